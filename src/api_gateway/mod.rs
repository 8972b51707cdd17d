//! The operator's API at API Gateway: what is read of it, and the calls that change it.
//!
//! REST APIs (`rest`), and HTTP and WebSocket APIs (`http`), belong to two versions of the service. The rest of the program
//! has one form of both: `read` and `change` call the version of the API's protocol. A route is a method, and what only one
//! version has is absent in the other.

pub mod api;
pub mod authorizer;
pub mod change;
pub mod deployment;
pub mod domains;
pub mod export;
pub mod http;
pub mod method;
mod read;
pub mod rest;
pub mod stage;
pub mod target;

pub use self::api::Api;
pub use self::authorizer::{Authorizer, AuthorizerSettings};
pub use self::deployment::Deployment;

pub use self::method::{AuthorizationType, Mark, Method, MethodKey};
pub use self::read::{
    all, authorizers, deployment, deployments, export, find, get, identify, methods, responses,
    served, stage, stages,
};
pub use self::rest::methods::Draft;
pub use self::rest::responses::Response;
pub use self::stage::{ListedStage, Served, Stage};
pub use self::target::{ApiRef, ApiTarget, Protocol};

//! Reads the operator's API: its methods, its stage, and what that stage serves. Read only, because
//! the API belongs to the operator.
//!
//! API Gateway's control-plane calls are limited to 10 per second and account, so everything is
//! read once per observation and in the largest pages.

mod authorizers;
pub mod definition;
pub mod domains;
pub mod export;
mod find;
pub mod interface;
mod methods;
mod responses;
mod stage;
mod target;

pub use self::authorizers::{Authorizer, AuthorizerSettings, authorizers};
pub use self::definition::{Integration, Settings};
pub use self::find::{RestApi, all, find};
pub use self::methods::{AuthorizationType, Draft, Mark, Method, MethodKey, draft, methods};
pub use self::responses::{Response, responses, set as set_response};
pub use self::stage::{Served, Stage, deployment, stage, stages, stages_of};
pub use self::target::ApiTarget;

//! The API as it stands: its methods, its stage, what that stage really serves. Read only; the API is not ours.
//!
//! API Gateway's control calls are limited to 10 a second in an account, so everything is asked for once a look and in
//! the largest pages.

mod authorizers;
pub mod definition;
pub mod export;
mod find;
mod methods;
mod responses;
mod stage;
mod target;

pub use self::authorizers::{Authorizer, AuthorizerSettings, authorizers};
pub use self::definition::{Integration, Settings};
pub use self::find::{RestApi, find};
pub use self::methods::{AuthorizationType, Draft, Mark, Method, MethodKey, draft, methods};
pub use self::responses::{Response, responses, set as set_response};
pub use self::stage::{Served, Stage, deployment, stage, stages};
pub use self::target::ApiTarget;

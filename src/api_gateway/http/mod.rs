//! HTTP and WebSocket APIs: version 2 of API Gateway.

pub(in crate::api_gateway) mod authorizers;
pub(in crate::api_gateway) mod change;
pub(in crate::api_gateway) mod deployments;
pub(in crate::api_gateway) mod export;
pub(in crate::api_gateway) mod find;
pub mod pending;
pub(in crate::api_gateway) mod routes;
pub(in crate::api_gateway) mod stage;

pub use self::routes::{CONNECT, DEFAULT_ROUTE};

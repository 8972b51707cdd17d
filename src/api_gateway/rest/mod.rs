//! REST APIs: version 1 of API Gateway.

pub(in crate::api_gateway) mod authorizers;
pub(in crate::api_gateway) mod change;
pub mod definition;
pub(in crate::api_gateway) mod deployments;
pub(in crate::api_gateway) mod export;
pub(in crate::api_gateway) mod find;
pub mod interface;
pub mod methods;
pub mod responses;
pub(in crate::api_gateway) mod stage;

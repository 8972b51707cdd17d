//! An API of the account.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rest::definition::Settings;
use super::target::{ApiRef, Protocol};

/// The API that a name or an id refers to, and its current settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Api {
    pub id: String,
    pub protocol: Protocol,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    /// Whether it is a private API, which can be reached only from within VPCs.
    pub private: bool,
    /// Whether its default endpoint is disabled: callers use a custom domain name of the operator.
    pub default_endpoint_disabled: bool,
    /// Whether API Gateway answers preflight requests itself, which only HTTP APIs can have.
    pub answers_preflights: bool,
    /// The settings that a deployment publishes in addition to the methods.
    pub settings: Settings,
    /// Its description as the service writes it, with the members that the SDK does not know.
    pub description: Value,
}

impl Api {
    /// The API in calls.
    pub fn api(&self) -> ApiRef<'_> {
        ApiRef {
            id: &self.id,
            protocol: self.protocol,
        }
    }
}

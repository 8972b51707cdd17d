//! An authorizer of an API, and its settings.

use serde::Serialize;

use super::target::Protocol;
use crate::names::LIVE;

/// An authorizer of the API.
#[derive(Debug, Clone)]
pub struct Authorizer {
    pub id: String,
    pub name: String,
    /// The URI at which it is invoked; for an authorizer of user pools, their ARNs.
    pub uri: String,
    pub kind: String,
    /// The sources of the credential, with commas between them; empty if there is none.
    pub identity_source: String,
    pub ttl: i32,
    /// The form of events and answers, see [`payload_format`].
    pub payload_format: String,
}

/// The form of events and answers of an authorizer; empty for REST and WebSocket APIs, which have one form. `version`:
/// that of the payload.
pub fn payload_format(version: Option<&str>, simple_responses: Option<bool>) -> String {
    match (version, simple_responses) {
        (Some(version), Some(true)) => format!("{version}, simple responses"),
        (Some(version), _) => version.to_owned(),
        (None, _) => String::new(),
    }
}

/// The settings of an authorizer, in API Gateway's terms; a deployment keeps those it was made
/// with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorizerSettings {
    /// The source of the credential, for example `method.request.header.apikey` or `$request.header.apikey`; empty if there
    /// is none.
    pub identity_source: String,
    /// How many seconds API Gateway caches a policy.
    pub ttl: i32,
    /// The alias of the function that it invokes.
    pub alias: &'static str,
    /// The form of events and answers. Digests of former releases lack it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub payload_format: String,
}

impl AuthorizerSettings {
    /// That of an authorizer which is invoked for every request.
    pub const NO_IDENTITY_SOURCE: &'static str = "";

    /// The settings of this stack's authorizer in an API of this kind.
    pub fn of(protocol: Protocol, identity_source: &str) -> Self {
        Self {
            identity_source: identity_source.to_owned(),
            ttl: TTL,
            alias: LIVE,
            payload_format: match protocol {
                Protocol::Http => payload_format(Some(PAYLOAD_VERSION), Some(true)),
                Protocol::Rest | Protocol::WebSocket => String::new(),
            },
        }
    }

    /// The settings of this stack's authorizer that is invoked for every request.
    pub fn observing(protocol: Protocol) -> Self {
        Self::of(protocol, Self::NO_IDENTITY_SOURCE)
    }

    /// Whether the authorizer is invoked for every request, because it observes.
    pub fn observes(&self) -> bool {
        self.identity_source == Self::NO_IDENTITY_SOURCE
    }
}

/// The time that an authorizer without one caches a policy, in seconds.
/// Source: API Gateway, `CreateAuthorizer`.
pub const DEFAULT_TTL: i32 = 300;

/// The version of the events that the authorizer reads for an HTTP API.
pub const PAYLOAD_VERSION: &str = "2.0";

/// The authorizer counts usage, so requests with a cached policy would not be metered.
const TTL: i32 = 0;

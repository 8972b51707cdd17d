//! The definition that a stage serves, from its export.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::authorizer::{Authorizer, AuthorizerSettings};
use super::method::MethodKey;
use super::rest::definition::{self, Integration, Settings};
use super::rest::interface::{Interface, Validation};
use super::rest::responses::Response;
use crate::names::LIVE;

/// The definition that a stage serves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Export {
    pub methods: BTreeMap<MethodKey, Method>,
    pub settings: Settings,
    /// The settings of each Lambda authorizer, by the URI at which it is invoked.
    pub authorizers: BTreeMap<String, ExportedAuthorizer>,
    /// Customized gateway responses by type.
    pub responses: BTreeMap<String, Response>,
    pub validation: Validation,
    /// The extensions of the document that this version does not know.
    pub unknown: BTreeMap<String, Value>,
}

/// One method that a stage serves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Method {
    /// The URI at which its Lambda authorizer is invoked.
    pub authorizer_uri: Option<String>,
    /// The scopes that a token needs, if a user pool authorizes the method.
    pub scopes: BTreeSet<String>,
    /// Whether an API key of API Gateway is required.
    pub api_key: bool,
    /// `custom`, `awsSigv4`, `cognito_user_pools`, ...; `None` if at most an API key is required.
    pub guard: Option<String>,
    pub integration: Integration,
    /// What it accepts, with its validator by name.
    pub interface: Interface,
}

/// The settings of an exported authorizer, as far as the export contains them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportedAuthorizer {
    pub identity_source: Option<String>,
    pub ttl: Option<i32>,
    /// Whether it is invoked through the alias, if that was checked.
    pub alias: Option<bool>,
    /// The form of events and answers, if the API has several.
    pub payload_format: Option<String>,
}

impl ExportedAuthorizer {
    /// Whether it may have the settings `wanted`.
    pub fn fits(&self, wanted: &AuthorizerSettings) -> bool {
        let payload_format = self.payload_format.as_ref();
        self.has(&wanted.identity_source, wanted.ttl)
            && self.alias != Some(false)
            && payload_format.is_none_or(|format| *format == wanted.payload_format)
    }

    /// All settings, if the export has them. `invokes_alias`: whether its URI is that of the alias.
    pub fn settings(&self, invokes_alias: bool) -> Option<AuthorizerSettings> {
        Some(AuthorizerSettings {
            identity_source: self.identity_source.clone()?,
            ttl: self.ttl?,
            alias: if invokes_alias { LIVE } else { return None },
            payload_format: self.payload_format.clone().unwrap_or_default(),
        })
    }

    /// Whether it may have the settings of an authorizer of the draft.
    pub fn is_as(&self, drafted: &Authorizer) -> bool {
        self.has(&drafted.identity_source, drafted.ttl)
    }

    fn has(&self, identity_source: &str, ttl: i32) -> bool {
        let sources = |text: &str| -> BTreeSet<String> {
            let parts = text.split(',');
            parts.map(|part| definition::header(part.trim())).collect()
        };
        let source = self.identity_source.as_ref();
        source.is_none_or(|source| sources(source) == sources(identity_source))
            && self.ttl.is_none_or(|served| served == ttl)
    }
}

//! What the stack has in the API.

use std::collections::BTreeMap;

use super::{Found, What};
use crate::api_gateway::Protocol;
use crate::id::LogicalId;
use crate::resource::api_attachment::ApiAttachments;
use crate::resource::api_authorizer::ApiAuthorizers;
use crate::resource::{Context, ResourceError, ResourceKind as _};

/// The authorizer of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorizer {
    pub api_id: String,
    /// Whether the API is a REST API, and not an HTTP or WebSocket API.
    pub is_of_rest_api: bool,
    pub authorizer_id: String,
    pub name: String,
    pub uri: String,
    /// `REQUEST` or `TOKEN`.
    pub kind: String,
    /// With commas between several; empty if there is none.
    pub identity_source: String,
    /// The form of events and answers, see [`payload_format`](crate::api_gateway::authorizer::payload_format).
    pub payload_format: String,
    /// In seconds.
    pub ttl: i32,
}

impl Authorizer {
    /// The identity sources, one by one.
    pub fn identity_sources(&self) -> impl Iterator<Item = &str> {
        let sources = self.identity_source.split(',');
        sources.filter(|source| !source.is_empty())
    }

    /// The version of the payload and whether responses are simple, if the API has more than one form: HTTP APIs alone.
    pub fn payload(&self) -> Option<(&str, bool)> {
        let version = self.payload_format.split(',').next();
        let version = version.filter(|version| !version.is_empty())?;
        Some((version, self.payload_format != version))
    }
}

/// What the stack has changed in an API that belongs to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub api_id: String,
    /// Whether the API is a REST API, and not an HTTP or WebSocket API.
    pub is_of_rest_api: bool,
    pub stage: String,
    /// The methods with this stack's authorizer, and the authorization that each had before, if it is recorded.
    pub methods: BTreeMap<String, Option<String>>,
    /// The types of the gateway responses that the stack has replaced.
    pub responses: Vec<String>,
}

pub(super) async fn authorizer(cx: &Context, id: &LogicalId) -> Result<Found, ResourceError> {
    let all = ApiAuthorizers::list(cx).await?.owned;
    let found = all.into_iter().find(|found| found.id == *id);
    let authorizer = found.and_then(|found| Some((found.target, found.authorizer?)));
    Ok(authorizer.map(|(target, found)| {
        let authorizer = Authorizer {
            api_id: target.id,
            is_of_rest_api: target.protocol == Protocol::Rest,
            payload_format: found.payload_format,
            authorizer_id: found.id,
            name: found.name,
            uri: found.uri,
            kind: found.kind,
            identity_source: found.identity_source,
            ttl: found.ttl,
        };
        (What::Authorizer(authorizer), BTreeMap::new())
    }))
}

pub(super) async fn attachment(cx: &Context, id: &LogicalId) -> Result<Found, ResourceError> {
    let all = ApiAttachments::list(cx).await?.owned;
    let found = all
        .into_iter()
        .find(|found| ApiAttachments::identify(found).id == *id);
    Ok(found.map(|found| {
        let attachment = Attachment {
            api_id: found.target().id.clone(),
            is_of_rest_api: found.target().protocol == Protocol::Rest,
            stage: found.target().stage.clone(),
            methods: found.protected(),
            responses: found.replaced_responses(),
        };
        (What::Attachment(attachment), BTreeMap::new())
    }))
}

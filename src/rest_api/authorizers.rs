//! The authorizers of the API.

use std::sync::Arc;

use serde::Serialize;

use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::names::LIVE;
use crate::resource::Context;

/// An authorizer of the API.
#[derive(Debug, Clone)]
pub struct Authorizer {
    pub id: String,
    pub name: String,
    /// The URI at which it is invoked; for an authorizer of user pools, their ARNs.
    pub uri: String,
    pub kind: String,
    pub identity_source: String,
    pub ttl: i32,
}

/// The settings of an authorizer, in API Gateway's terms; a deployment keeps those it was made
/// with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorizerSettings {
    /// The source of the credential, for example `method.request.header.apikey`; empty if there is none.
    pub identity_source: String,
    /// How many seconds API Gateway caches a policy.
    pub ttl: i32,
    /// The alias of the function that it invokes.
    pub alias: &'static str,
}

impl AuthorizerSettings {
    /// That of an authorizer which is invoked for every request.
    pub const NO_IDENTITY_SOURCE: &'static str = "";

    /// The settings of this stack's authorizer.
    pub fn ours(identity_source: &str) -> Self {
        Self {
            identity_source: identity_source.to_owned(),
            ttl: TTL,
            alias: LIVE,
        }
    }

    /// Whether the authorizer is invoked for every request, because it observes.
    pub fn observes(&self) -> bool {
        self.identity_source == Self::NO_IDENTITY_SOURCE
    }
}

/// The time that an authorizer without one caches a policy, in seconds.
/// Source: API Gateway, `CreateAuthorizer`.
pub const DEFAULT_TTL: i32 = 300;

/// The authorizer counts usage, so requests with a cached policy would not be metered.
const TTL: i32 = 0;

/// The API's authorizers; empty if the API does not exist.
///
/// # Errors
/// When the listing fails otherwise.
pub async fn authorizers(cx: &Context, api_id: &str) -> Result<Arc<Vec<Authorizer>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_authorizers()
            .rest_api_id(api_id)
            .limit(500);
        let listed = pages(|position| async {
            let request = request.clone().set_position(position);
            let answer = optional(
                cx.aws()
                    .call_idempotent("apigateway:GetAuthorizers", || request.clone().send())
                    .await,
            )?;
            Ok(answer.map_or((None, None), |page| (page.items, page.position)))
        })
        .await?;
        Ok(listed
            .into_iter()
            .filter_map(|found| {
                Some(Authorizer {
                    id: found.id?,
                    name: found.name.unwrap_or_default(),
                    uri: found.authorizer_uri.unwrap_or_else(|| {
                        let mut pools = found.provider_arns.unwrap_or_default();
                        pools.sort_unstable();
                        pools.join(",")
                    }),
                    kind: found
                        .r#type
                        .map_or_else(String::new, |kind| kind.as_str().to_owned()),
                    identity_source: found.identity_source.unwrap_or_default(),
                    ttl: found
                        .authorizer_result_ttl_in_seconds
                        .unwrap_or(DEFAULT_TTL),
                })
            })
            .collect())
    };
    cx.listings()
        .get_or_fetch(format!("authorizers {api_id}"), ask)
        .await
}

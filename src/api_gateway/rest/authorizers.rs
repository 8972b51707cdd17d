//! The authorizers of the API.

use std::sync::Arc;

use crate::api_gateway::authorizer::{Authorizer, DEFAULT_TTL};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Context;

/// The API's authorizers; empty if the API does not exist.
///
/// # Errors
/// When the listing fails otherwise.
pub(in crate::api_gateway) async fn authorizers(
    cx: &Context,
    api_id: &str,
) -> Result<Arc<Vec<Authorizer>>, AwsError> {
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
                    payload_format: String::new(),
                })
            })
            .collect())
    };
    cx.listings()
        .get_or_fetch(format!("authorizers {api_id}"), ask)
        .await
}

//! The authorizers of an HTTP or WebSocket API.

use std::sync::Arc;

use aws_sdk_apigatewayv2::types;

use crate::api_gateway::authorizer::{Authorizer, payload_format};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Context;

/// Empty if the API does not exist.
pub(in crate::api_gateway) async fn authorizers(
    cx: &Context,
    api_id: &str,
) -> Result<Arc<Vec<Authorizer>>, AwsError> {
    let ask = async {
        let request = cx.aws().apigatewayv2.get_authorizers().api_id(api_id);
        let listed = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let answer = optional(
                cx.aws()
                    .call_idempotent("apigateway:GetAuthorizers", || request.clone().send())
                    .await,
            )?;
            Ok(answer.map_or((None, None), |page| (page.items, page.next_token)))
        })
        .await?;
        Ok(listed.into_iter().filter_map(read).collect())
    };
    cx.listings()
        .get_or_fetch(format!("authorizers {api_id}"), ask)
        .await
}

fn read(found: types::Authorizer) -> Option<Authorizer> {
    let tokens = found.jwt_configuration.map(|jwt| {
        let mut audience = jwt.audience.unwrap_or_default();
        audience.sort_unstable();
        format!("{} {}", jwt.issuer.unwrap_or_default(), audience.join(","))
    });
    let version = found.authorizer_payload_format_version.as_deref();
    Some(Authorizer {
        id: found.authorizer_id?,
        name: found.name.unwrap_or_default(),
        uri: found.authorizer_uri.or(tokens).unwrap_or_default(),
        kind: found
            .authorizer_type
            .map_or_else(String::new, |kind| kind.as_str().to_owned()),
        identity_source: found.identity_source.unwrap_or_default().join(","),
        // Without one, nothing is cached: the console alone fills in 300.
        ttl: found.authorizer_result_ttl_in_seconds.unwrap_or_default(),
        payload_format: payload_format(version, found.enable_simple_responses),
    })
}

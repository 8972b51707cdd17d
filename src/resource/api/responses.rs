//! The gateway responses of the API's draft: what callers see of a refusal that API Gateway itself gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_apigateway::types::GatewayResponseType;
use serde::{Deserialize, Serialize};

use crate::aws::ec2::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Cx;

/// A gateway response that somebody made, in place of API Gateway's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// `403`; without one the type's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Headers, `gatewayresponse.header.Retry-After`, and where their values come from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Bodies by content type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, String>,
}

/// Every gateway response that is not API Gateway's own, by type; empty if there is no such API.
///
/// # Errors
/// When the listing fails otherwise.
pub async fn responses(cx: &Cx, api_id: &str) -> Result<Arc<BTreeMap<String, Response>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_gateway_responses()
            .rest_api_id(api_id)
            .limit(500);
        let listed = pages(|position| async {
            let request = request.clone().set_position(position);
            let answer = optional(
                cx.aws()
                    .repeatable("apigateway:GetGatewayResponses", || request.clone().send())
                    .await,
            )?;
            Ok(answer.map_or((None, None), |page| (page.items, page.position)))
        })
        .await?;
        Ok(listed
            .into_iter()
            .filter(|found| !found.default_response)
            .filter_map(|found| {
                let response = Response {
                    status: found.status_code,
                    parameters: found
                        .response_parameters
                        .unwrap_or_default()
                        .into_iter()
                        .collect(),
                    templates: found
                        .response_templates
                        .unwrap_or_default()
                        .into_iter()
                        .collect(),
                };
                Some((found.response_type?.as_str().to_owned(), response))
            })
            .collect())
    };
    cx.view().once(format!("responses {api_id}"), ask).await
}

/// Makes the gateway response of a type what it should be; `None` is API Gateway's own.
///
/// # Errors
/// What the service answers.
pub async fn set(
    cx: &Cx,
    api_id: &str,
    kind: &str,
    response: Option<&Response>,
) -> Result<(), AwsError> {
    let kind = GatewayResponseType::from(kind);
    let Some(response) = response else {
        let request = cx
            .aws()
            .apigateway
            .delete_gateway_response()
            .rest_api_id(api_id)
            .response_type(kind);
        optional(
            cx.aws()
                .change("apigateway:DeleteGatewayResponse", || {
                    request.clone().send()
                })
                .await,
        )?;
        return Ok(());
    };
    let map = |map: &BTreeMap<String, String>| {
        let map = map.iter().map(|(key, value)| (key.clone(), value.clone()));
        Some(map.collect())
    };
    let request = cx
        .aws()
        .apigateway
        .put_gateway_response()
        .rest_api_id(api_id)
        .response_type(kind)
        .set_status_code(response.status.clone())
        .set_response_parameters(map(&response.parameters))
        .set_response_templates(map(&response.templates));
    cx.aws()
        .change("apigateway:PutGatewayResponse", || request.clone().send())
        .await
}

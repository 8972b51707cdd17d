//! The gateway responses of the API's draft: what callers receive when API Gateway itself refuses a
//! request.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_apigateway::types::GatewayResponseType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Context;

/// A customized gateway response, which replaces API Gateway's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// For example `403`; `None` for the type's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Headers such as `gatewayresponse.header.Retry-After`, and the sources of their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Bodies by content type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, String>,
}

/// The default status of each type. `DEFAULT_4XX` and `DEFAULT_5XX` have none: each of their types
/// keeps its own. Source: `GetGatewayResponses`.
const STATUSES: &[(&str, &str)] = &[
    ("ACCESS_DENIED", "403"),
    ("API_CONFIGURATION_ERROR", "500"),
    ("AUTHORIZER_CONFIGURATION_ERROR", "500"),
    ("AUTHORIZER_FAILURE", "500"),
    ("BAD_REQUEST_BODY", "400"),
    ("BAD_REQUEST_PARAMETERS", "400"),
    ("EXPIRED_TOKEN", "403"),
    ("INTEGRATION_FAILURE", "504"),
    ("INTEGRATION_TIMEOUT", "504"),
    ("INVALID_API_KEY", "403"),
    ("INVALID_SIGNATURE", "403"),
    ("MISSING_AUTHENTICATION_TOKEN", "403"),
    ("QUOTA_EXCEEDED", "429"),
    ("REQUEST_TOO_LARGE", "413"),
    ("RESOURCE_NOT_FOUND", "404"),
    ("THROTTLED", "429"),
    ("UNAUTHORIZED", "401"),
    ("UNSUPPORTED_MEDIA_TYPE", "415"),
    ("WAF_FILTERED", "403"),
];

/// The default body of a type, with its content type.
const TEMPLATE: (&str, &str) = (
    "application/json",
    r#"{"message":$context.error.messageString}"#,
);

impl Response {
    /// Converts a gateway response from an export.
    pub fn exported(given: &Value) -> Self {
        let map = |name: &str| -> BTreeMap<String, String> {
            let entries = given[name].as_object().into_iter().flatten();
            entries
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        };
        let status = definition::text(&given["statusCode"]);
        Self {
            status: status.as_str().map(str::to_owned),
            parameters: map("responseParameters"),
            templates: map("responseTemplates"),
        }
    }

    /// The effective response: an export omits what a listing fills in, and header names are
    /// case-insensitive.
    pub fn meaning(&self, kind: &str) -> Self {
        let own = STATUSES.iter().find(|(name, _)| *name == kind);
        let own = own.map(|(_, status)| (*status).to_owned());
        let mut templates = self.templates.clone();
        if templates.is_empty() {
            templates.insert(TEMPLATE.0.to_owned(), TEMPLATE.1.to_owned());
        }
        let parameters = self.parameters.iter();
        Self {
            status: self.status.clone().or(own),
            parameters: parameters
                .map(|(name, value)| (definition::header(name), value.clone()))
                .collect(),
            templates,
        }
    }

    /// Whether it equals API Gateway's default. A type inherits from its class, so for a type this is
    /// unknown.
    pub fn is_default(&self, kind: &str) -> bool {
        kind.starts_with("DEFAULT_") && self.meaning(kind) == Self::default().meaning(kind)
    }
}

/// Every customized gateway response, by type; empty if the API does not exist.
///
/// # Errors
/// When the listing fails otherwise.
pub async fn responses(
    cx: &Context,
    api_id: &str,
) -> Result<Arc<BTreeMap<String, Response>>, AwsError> {
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
                    .call_idempotent("apigateway:GetGatewayResponses", || request.clone().send())
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
    cx.listings()
        .get_or_fetch(format!("responses {api_id}"), ask)
        .await
}

/// Writes the gateway response of a type; `None` restores API Gateway's default.
///
/// # Errors
/// The error of the service.
pub async fn set(
    cx: &Context,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(status: Option<&str>, header: &str, template: &str) -> Response {
        let header = format!("gatewayresponse.header.{header}");
        Response {
            status: status.map(str::to_owned),
            parameters: BTreeMap::from([(header, "'*'".to_owned())]),
            templates: BTreeMap::from([("application/json".to_owned(), template.to_owned())]),
        }
    }

    #[test]
    fn a_listing_and_an_export_of_one_response_mean_the_same() {
        let headers = json!({"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"});
        let template = r#"{"message":$context.error.messageString}"#;
        let own = listed(None, "access-control-allow-origin", template);
        let same = |kind: &str, listed: &Response, exported: Value| {
            listed.meaning(kind) == Response::exported(&exported).meaning(kind)
        };
        // The console's "Enable CORS" sets only headers: the listing fills in the template, the export does
        // not.
        assert!(same(
            "DEFAULT_4XX",
            &own,
            json!({"responseParameters": headers})
        ));
        let with_status = listed(Some("403"), "Access-Control-Allow-Origin", template);
        for exported in [
            json!({"statusCode": 403, "responseParameters": headers, "responseTemplates": {"application/json": template}}),
            json!({"statusCode": "403", "responseParameters": headers}),
            json!({"responseParameters": headers}),
        ] {
            assert!(
                same("ACCESS_DENIED", &with_status, exported.clone()),
                "{exported}"
            );
        }
        for exported in [
            json!({"statusCode": 404, "responseParameters": headers}),
            json!({"statusCode": 403}),
            json!({"responseParameters": headers, "responseTemplates": {"application/json": "{}"}}),
        ] {
            assert!(
                !same("ACCESS_DENIED", &with_status, exported.clone()),
                "{exported}"
            );
        }
    }

    #[test]
    fn a_class_that_says_nothing_is_none() {
        assert!(Response::exported(&json!({})).is_default("DEFAULT_5XX"));
        assert!(!Response::exported(&json!({"statusCode": 599})).is_default("DEFAULT_5XX"));
        assert!(!Response::default().is_default("UNAUTHORIZED"));
    }
}

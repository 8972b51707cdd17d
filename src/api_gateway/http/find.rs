//! Finds an HTTP or WebSocket API.

use aws_sdk_apigatewayv2::types::ProtocolType;
use serde_json::Value;

use crate::api_gateway::api::Api;
use crate::api_gateway::rest::definition::{API_KEY_SOURCE, Settings};
use crate::api_gateway::target::Protocol;
use crate::aws::paginate::pages;
use crate::aws::{Aws, AwsError, optional};

fn protocol(kind: Option<&ProtocolType>) -> Protocol {
    match kind {
        Some(ProtocolType::Websocket) => Protocol::WebSocket,
        _ => Protocol::Http,
    }
}

/// Where a WebSocket API takes the keys of its usage plans from, as a setting of REST APIs.
/// Source: API Gateway Developer Guide, "Selection expressions", on API key selection.
fn key_source(expression: Option<&str>) -> Settings {
    let is_authorizer = expression == Some("$context.authorizer.usageIdentifierKey");
    let source = is_authorizer.then(|| (API_KEY_SOURCE, "AUTHORIZER".into()));
    source.into_iter().collect()
}

/// The SDK has two types with the same fields: one for a single API, and one for an API in a list.
macro_rules! described {
    ($id:expr, $api:ident) => {
        Api {
            id: $id,
            protocol: protocol($api.protocol_type.as_ref()),
            name: $api.name.unwrap_or_default(),
            tags: $api.tags.unwrap_or_default().into_iter().collect(),
            private: false,
            default_endpoint_disabled: $api.disable_execute_api_endpoint.unwrap_or_default(),
            answers_preflights: $api.cors_configuration.is_some(),
            settings: key_source($api.api_key_selection_expression.as_deref()),
            description: Value::Null,
        }
    };
}

pub(in crate::api_gateway) async fn get(aws: &Aws, id: &str) -> Result<Option<Api>, AwsError> {
    let request = aws.apigatewayv2.get_api().api_id(id);
    let answer = optional(
        aws.call_idempotent("apigateway:GetApi", || request.clone().send())
            .await,
    )?;
    Ok(answer.map(|api| described!(id.to_owned(), api)))
}

pub(in crate::api_gateway) async fn all(aws: &Aws) -> Result<Vec<Api>, AwsError> {
    let request = aws.apigatewayv2.get_apis();
    let apis = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = aws
            .call_idempotent("apigateway:GetApis", || request.clone().send())
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(apis
        .into_iter()
        .filter_map(|mut api| Some(described!(api.api_id.take()?, api)))
        .collect())
}

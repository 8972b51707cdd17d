//! The definition of an HTTP API from its export: that of a stage, or the draft. WebSocket APIs have none.
//! Source: API Gateway, `ExportApi` and the OpenAPI extensions it writes.

use std::sync::Arc;

use serde_json::Value;

use crate::api_gateway::authorizer::{AuthorizerSettings, payload_format};
use crate::api_gateway::export::{Export, ExportedAuthorizer, Method};
use crate::api_gateway::method::MethodKey;
use crate::api_gateway::rest::definition;
use crate::api_gateway::target::{ApiRef, ApiTarget, Protocol};
use crate::aws::{AwsError, Class, optional};
use crate::resource::Context;

/// The extension of a route that accepts all verbs, and of `$default`.
const ANY: &str = "x-amazon-apigateway-any-method";
pub(super) const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";
/// The path of the route `$default`.
const DEFAULT: &str = "/$default";

/// The kinds of authorization in [`Method::guard`].
pub(in crate::api_gateway) const CUSTOM: &str = "custom";
pub(in crate::api_gateway) const JWT: &str = "jwt";
pub(in crate::api_gateway) const IAM: &str = "awsSigv4";

/// The export of the stage; `None` if the service provides none.
pub(in crate::api_gateway) async fn export(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Arc<Option<Export>>, AwsError> {
    let ask = async {
        let document = document(cx, target.api(), Some(&target.stage)).await?;
        Ok((*document).as_ref().map(read))
    };
    cx.listings()
        .get_or_fetch(format!("export {} {}", target.id, target.stage), ask)
        .await
}

/// The OpenAPI document of a stage, or of the draft; `None` if the service provides none.
pub(super) async fn document(
    cx: &Context,
    api: ApiRef<'_>,
    stage: Option<&str>,
) -> Result<Arc<Option<Value>>, AwsError> {
    let ask = async {
        if api.protocol == Protocol::WebSocket {
            return Ok(None);
        }
        let request = cx
            .aws()
            .apigatewayv2
            .export_api()
            .api_id(api.id)
            .specification("OAS30")
            .output_type("JSON")
            .include_extensions(true)
            .set_stage_name(stage.map(str::to_owned));
        let answer = cx
            .aws()
            .call_idempotent("apigateway:ExportApi", || request.clone().send())
            .await;
        if matches!(&answer, Err(error) if error.class == Class::Fatal) {
            return Ok(None);
        }
        let body = optional(answer)?.and_then(|answer| answer.body);
        Ok(body.and_then(|body| serde_json::from_slice(body.as_ref()).ok()))
    };
    let key = format!("document {} {}", api.id, stage.unwrap_or_default());
    cx.listings().get_or_fetch(key, ask).await
}

/// The key of an operation; `None` for other members of a path.
pub(super) fn operation_key(path: &str, verb: &str) -> Option<MethodKey> {
    if path == DEFAULT {
        return (verb == ANY).then(|| MethodKey::new("$default", ""));
    }
    let verb = match verb {
        ANY => "ANY".to_owned(),
        "get" | "head" | "post" | "put" | "patch" | "delete" | "options" => verb.to_uppercase(),
        _ => return None,
    };
    Some(MethodKey::new(path, verb))
}

/// Whether the operation needs IAM permissions: an extension of its own says so.
/// Source: API Gateway Developer Guide, "x-amazon-apigateway-auth object".
fn needs_iam(operation: &Value) -> bool {
    let kind = operation["x-amazon-apigateway-auth"]["type"].as_str();
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("AWS_IAM"))
}

fn read(document: &Value) -> Export {
    let schemes = &document["components"]["securitySchemes"];
    let mut export = Export::default();
    for (path, verbs) in document["paths"].as_object().into_iter().flatten() {
        for (verb, operation) in verbs.as_object().into_iter().flatten() {
            let Some(key) = operation_key(path, verb) else {
                continue;
            };
            let required = operation["security"].as_array().into_iter().flatten();
            let required: Vec<_> = required
                .filter_map(Value::as_object)
                .flatten()
                .map(|(name, scopes)| (&schemes[name.as_str()], scopes))
                .collect();
            let guard = required.iter().find_map(|(scheme, _)| {
                let authorizer = scheme.get(AUTHORIZER);
                let is_jwt = authorizer.is_some_and(|authorizer| authorizer["type"] == JWT);
                let kind = scheme["x-amazon-apigateway-authtype"].as_str();
                match (authorizer, is_jwt) {
                    (Some(_), true) => Some(JWT.to_owned()),
                    (Some(_), false) => Some(CUSTOM.to_owned()),
                    (None, _) => kind.map(str::to_owned),
                }
            });
            let scopes = required.iter().filter_map(|(_, scopes)| scopes.as_array());
            let uri = required
                .iter()
                .find_map(|(scheme, _)| scheme[AUTHORIZER]["authorizerUri"].as_str());
            let method = Method {
                authorizer_uri: uri.map(str::to_owned),
                scopes: scopes
                    .flatten()
                    .filter_map(|scope| scope.as_str().map(str::to_owned))
                    .collect(),
                guard: guard.or_else(|| needs_iam(operation).then(|| IAM.to_owned())),
                ..Method::default()
            };
            export.methods.insert(key, method);
        }
    }
    let schemes = schemes.as_object().into_iter().flatten();
    export.authorizers = schemes
        .filter_map(|(_, scheme)| authorizer(&scheme[AUTHORIZER]))
        .collect();
    export
}

/// The URI and the settings of an exported Lambda authorizer.
fn authorizer(exported: &Value) -> Option<(String, ExportedAuthorizer)> {
    let uri = exported["authorizerUri"].as_str()?;
    let source = match &exported["identitySource"] {
        Value::Array(sources) => {
            let sources: Vec<_> = sources.iter().filter_map(Value::as_str).collect();
            sources.join(",")
        }
        source => source
            .as_str()
            .unwrap_or(AuthorizerSettings::NO_IDENTITY_SOURCE)
            .to_owned(),
    };
    let ttl = definition::number(&exported["authorizerResultTtlInSeconds"]);
    let version = &exported["authorizerPayloadFormatVersion"];
    let version = definition::text(version);
    let settings = ExportedAuthorizer {
        identity_source: Some(source),
        ttl: Some(ttl.and_then(|ttl| i32::try_from(ttl).ok()).unwrap_or(0)),
        alias: None,
        payload_format: Some(payload_format(
            version.as_str(),
            exported["enableSimpleResponses"].as_bool(),
        )),
    };
    Some((uri.to_owned(), settings))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_export_tells_routes_and_their_authorizers() {
        let export = read(&json!({
            "openapi": "3.0.1",
            "paths": {
                "/orders/{id}": {
                    "get": {"security": [{"ours": []}]},
                    "post": {"security": [{"tokens": ["orders/write"]}]},
                    "delete": {"x-amazon-apigateway-auth": {"type": "AWS_IAM"}},
                    "x-amazon-apigateway-any-method": {},
                    "parameters": [],
                },
                "/$default": {"x-amazon-apigateway-any-method": {"isDefaultRoute": true, "security": [{"ours": []}]}},
            },
            "components": {"securitySchemes": {
                "ours": {"type": "apiKey", "name": "apikey", "in": "header", "x-amazon-apigateway-authorizer": {
                    "type": "request", "identitySource": "$request.header.apikey", "authorizerUri": "arn:ours",
                    "authorizerPayloadFormatVersion": "2.0", "authorizerResultTtlInSeconds": 0, "enableSimpleResponses": true,
                }},
                "tokens": {"type": "oauth2", "x-amazon-apigateway-authorizer": {"type": "jwt", "jwtConfiguration": {}}},
            }},
        }));
        let found: Vec<_> = export
            .methods
            .iter()
            .map(|(key, method)| format!("{key}: {}", method.guard.as_deref().unwrap_or("open")))
            .collect();
        assert_eq!(
            found,
            [
                "$default: custom",
                "ANY /orders/{id}: open",
                "DELETE /orders/{id}: awsSigv4",
                "GET /orders/{id}: custom",
                "POST /orders/{id}: jwt",
            ]
        );
        let scopes = &export.methods[&MethodKey::new("/orders/{id}", "POST")].scopes;
        assert!(scopes.contains("orders/write"));
        let fits = |source| {
            export.authorizers["arn:ours"].fits(&AuthorizerSettings::of(Protocol::Http, source))
        };
        assert!(fits("$request.header.apikey") && !fits("$request.header.key"));
    }

    #[test]
    fn nonsense_is_an_empty_export() {
        assert_eq!(read(&json!([1, "x"])), Export::default());
    }
}

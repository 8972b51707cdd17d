//! The definition that a stage serves, from its export: only the export contains a deployment's
//! integrations and the authorizer of each method. Source: API Gateway's `GetExport` and the
//! OpenAPI extensions it writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::definition;
use super::interface::{self, Validation};
use super::responses::Response;
use crate::api_gateway::authorizer::{AuthorizerSettings, DEFAULT_TTL};
use crate::api_gateway::export::{Export, ExportedAuthorizer, Method};
use crate::api_gateway::method::MethodKey;
use crate::api_gateway::target::ApiTarget;
use crate::aws::{AwsError, Class, optional};
use crate::resource::Context;

/// The verb of a method that accepts all verbs.
const ANY: &str = "x-amazon-apigateway-any-method";
/// The extension that describes the authorizer of a security scheme.
const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";

/// The export of the stage; `None` if the service provides none.
///
/// # Errors
/// When the call fails otherwise.
pub(in crate::api_gateway) async fn export(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Arc<Option<Export>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_export()
            .rest_api_id(&target.id)
            .stage_name(&target.stage)
            .export_type("swagger")
            .accepts("application/json")
            .parameters("extensions", "apigateway");
        let answer = cx
            .aws()
            .call_idempotent("apigateway:GetExport", || request.clone().send())
            .await;
        // The service refuses to export an API that was imported with features that an export cannot
        // contain; then the summary is used.
        if matches!(&answer, Err(error) if error.class == Class::Fatal) {
            return Ok(None);
        }
        let body = optional(answer)?.and_then(|answer| answer.body);
        let document: Option<Value> =
            body.and_then(|body| serde_json::from_slice(body.as_ref()).ok());
        Ok(document.map(|document| read(&document)))
    };
    cx.listings()
        .get_or_fetch(format!("export {} {}", target.id, target.stage), ask)
        .await
}

fn read(document: &Value) -> Export {
    let schemes = &document["securityDefinitions"];
    let mut methods = BTreeMap::new();
    for (path, verbs) in document["paths"].as_object().into_iter().flatten() {
        for (verb, operation) in verbs.as_object().into_iter().flatten() {
            let verb = match verb.as_str() {
                ANY => "ANY".to_owned(),
                "get" | "head" | "post" | "put" | "patch" | "delete" | "options" => {
                    verb.to_uppercase()
                }
                // Parameters and other members are at the same level as the verbs.
                _ => continue,
            };
            let requirements: Vec<_> = operation["security"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_object)
                .flatten()
                .map(|(name, scopes)| (&schemes[name.as_str()], scopes))
                .collect();
            let authorizer_uri = requirements
                .iter()
                .find_map(|(scheme, _)| scheme[AUTHORIZER]["authorizerUri"].as_str());
            // A scheme with neither is that of the API key.
            let guard = requirements.iter().find_map(|(scheme, _)| {
                let bare = scheme.get(AUTHORIZER).map(|_| "custom");
                scheme["x-amazon-apigateway-authtype"].as_str().or(bare)
            });
            let scopes = requirements
                .iter()
                .filter_map(|(_, scopes)| scopes.as_array());
            let method = Method {
                authorizer_uri: authorizer_uri.map(str::to_owned),
                scopes: scopes
                    .flatten()
                    .filter_map(|scope| scope.as_str().map(str::to_owned))
                    .collect(),
                api_key: requirements
                    .iter()
                    .filter_map(|(scheme, _)| scheme["name"].as_str())
                    .any(|name| name.eq_ignore_ascii_case("x-api-key")),
                guard: guard.map(str::to_owned),
                integration: definition::exported(&operation["x-amazon-apigateway-integration"]),
                interface: interface::exported(operation, document),
            };
            methods.insert(MethodKey::new(path, verb), method);
        }
    }
    let authorizers = schemes.as_object().into_iter().flatten();
    Export {
        methods,
        authorizers: authorizers
            .filter_map(|(_, scheme)| asking(&scheme["x-amazon-apigateway-authorizer"]))
            .collect(),
        settings: definition::exported_settings(document),
        validation: Validation::exported(document),
        unknown: definition::unknown_extensions(document),
        responses: document["x-amazon-apigateway-gateway-responses"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(kind, response)| (kind.clone(), Response::exported(response)))
            .collect(),
    }
}

/// The URI and the settings of an exported Lambda authorizer.
fn asking(authorizer: &Value) -> Option<(String, ExportedAuthorizer)> {
    let uri = authorizer["authorizerUri"].as_str()?;
    let ttl = definition::number(&authorizer["authorizerResultTtlInSeconds"]);
    let source = authorizer["identitySource"].as_str();
    // The export of a TOKEN authorizer never has it. Without it, a REQUEST authorizer is invoked for every request.
    let is_request = authorizer["type"] == "request";
    let source = source.or(is_request.then_some(AuthorizerSettings::NO_IDENTITY_SOURCE));
    let asking = ExportedAuthorizer {
        identity_source: source.map(str::to_owned),
        // An export without it is that of an authorizer with the default.
        ttl: match authorizer["authorizerResultTtlInSeconds"].is_null() {
            true => Some(DEFAULT_TTL),
            false => ttl.and_then(|ttl| i32::try_from(ttl).ok()),
        },
        alias: None,
        payload_format: None,
    };
    Some((uri.to_owned(), asking))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_gateway::target::Protocol;
    use serde_json::json;

    #[test]
    fn an_export_tells_methods_their_authorizer_and_what_else_is_served() {
        let export = read(&json!({
            "paths": {"/orders": {
                "get": {"security": [{"ours": []}, {"api_key": []}, {"pool": ["orders/read"]}], "x-amazon-apigateway-integration": {"type": "mock"}},
                "options": {},
                "post": {"security": [{"api_key": []}]},
                "x-amazon-apigateway-any-method": {"security": [{"sigv4": []}]},
                "parameters": [],
            }},
            "securityDefinitions": {
                "ours": {"x-amazon-apigateway-authorizer": {
                    "authorizerUri": "arn:ours", "type": "request", "identitySource": "method.request.header.apikey",
                    "authorizerResultTtlInSeconds": 0,
                }},
                "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
                "sigv4": {"x-amazon-apigateway-authtype": "awsSigv4"},
            },
            "x-amazon-apigateway-gateway-responses": {"ACCESS_DENIED": {"statusCode": "403"}},
        }));
        let uri = |verb: &str| {
            let method = &export.methods[&MethodKey::new("/orders", verb)];
            method.authorizer_uri.as_deref()
        };
        let guard = |verb: &str| {
            let method = &export.methods[&MethodKey::new("/orders", verb)];
            method.guard.as_deref()
        };
        assert_eq!(export.methods.len(), 4);
        assert_eq!(
            [uri("GET"), uri("OPTIONS"), uri("ANY")],
            [Some("arn:ours"), None, None]
        );
        let get = &export.methods[&MethodKey::new("/orders", "GET")];
        assert!(get.api_key && get.scopes.contains("orders/read"));
        assert_eq!(
            ["GET", "OPTIONS", "POST", "ANY"].map(guard),
            [Some("custom"), None, None, Some("awsSigv4")]
        );
        assert!(export.responses.contains_key("ACCESS_DENIED"));
        let fits = |source| {
            export.authorizers["arn:ours"].fits(&AuthorizerSettings::of(Protocol::Rest, source))
        };
        assert!(fits("method.request.header.apikey") && !fits("method.request.header.key"));
        assert!(ExportedAuthorizer::default().fits(&AuthorizerSettings::of(
            Protocol::Rest,
            "method.request.header.key"
        )));
        let (_, without) = asking(&json!({"authorizerUri": "arn:ours"})).expect("an authorizer");
        assert_eq!(without.ttl, Some(DEFAULT_TTL));
        let asking = asking(&json!({
            "authorizerUri": "arn:ours", "identitySource": "method.request.header.App-Key,method.request.header.app-id",
            "authorizerResultTtlInSeconds": "0",
        }));
        let (_, asking) = asking.expect("an authorizer");
        let both = "method.request.header.app-id, method.request.header.app-key";
        assert!(
            asking.fits(&AuthorizerSettings::of(Protocol::Rest, both)) && asking.ttl == Some(0)
        );
    }

    #[test]
    fn nonsense_is_an_empty_export() {
        assert_eq!(read(&json!([1, "x"])), Export::default());
    }
}

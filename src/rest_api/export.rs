//! The definition that a stage serves, from its export: only the export contains a deployment's
//! integrations and the authorizer of each method. Source: API Gateway's `GetExport` and the
//! OpenAPI extensions it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::authorizers::{Authorizer, AuthorizerSettings, DEFAULT_TTL};
use super::definition::{self, Integration, Settings};
use super::interface::{self, Interface, Validation};
use super::methods::MethodKey;
use super::responses::Response;
use super::target::ApiTarget;
use crate::aws::{AwsError, Class, optional};
use crate::resource::Context;

/// The verb of a method that accepts all verbs.
const ANY: &str = "x-amazon-apigateway-any-method";
/// The extension that describes the authorizer of a security scheme.
const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";

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

/// The export of the stage; `None` if the service provides none.
///
/// # Errors
/// When the call fails otherwise.
pub async fn export(cx: &Context, target: &ApiTarget) -> Result<Arc<Option<Export>>, AwsError> {
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

/// The settings of an exported authorizer, as far as the export contains them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportedAuthorizer {
    pub identity_source: Option<String>,
    pub ttl: Option<i32>,
    /// Whether it is invoked through the alias, if that was checked.
    pub alias: Option<bool>,
}

impl ExportedAuthorizer {
    /// Whether it may have the settings `wanted`.
    pub fn fits(&self, wanted: &AuthorizerSettings) -> bool {
        self.has(&wanted.identity_source, wanted.ttl) && self.alias != Some(false)
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
    };
    Some((uri.to_owned(), asking))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let fits = |source| export.authorizers["arn:ours"].fits(&AuthorizerSettings::ours(source));
        assert!(fits("method.request.header.apikey") && !fits("method.request.header.key"));
        assert!(
            ExportedAuthorizer::default()
                .fits(&AuthorizerSettings::ours("method.request.header.key"))
        );
        let (_, without) = asking(&json!({"authorizerUri": "arn:ours"})).expect("an authorizer");
        assert_eq!(without.ttl, Some(DEFAULT_TTL));
        let asking = asking(&json!({
            "authorizerUri": "arn:ours", "identitySource": "method.request.header.App-Key,method.request.header.app-id",
            "authorizerResultTtlInSeconds": "0",
        }));
        let (_, asking) = asking.expect("an authorizer");
        let both = "method.request.header.app-id, method.request.header.app-key";
        assert!(asking.fits(&AuthorizerSettings::ours(both)) && asking.ttl == Some(0));
    }

    #[test]
    fn nonsense_is_an_empty_export() {
        assert_eq!(read(&json!([1, "x"])), Export::default());
    }
}

//! The changes of other users in the draft of an HTTP API that its stage does not serve yet, from two exports.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::export::{AUTHORIZER, document, operation_key};
use crate::api_gateway::method::MethodKey;
use crate::api_gateway::target::ApiTarget;
use crate::aws::AwsError;
use crate::printable::line;
use crate::resource::Context;

/// Lists the changes, one line each; `None` if the service does not export the API. `ours`: the routes whose authorization
/// this stack changes. `is_our_uri`: whether this stack's authorizer is invoked at the URI.
///
/// # Errors
/// The error of the service.
pub async fn look(
    cx: &Context,
    target: &ApiTarget,
    ours: &BTreeSet<MethodKey>,
    is_our_uri: impl Fn(&str) -> bool,
) -> Result<Option<Vec<String>>, AwsError> {
    let draft = document(cx, target.api(), None).await?;
    let served = document(cx, target.api(), Some(&target.stage)).await?;
    let (Some(draft), Some(served)) = (&*draft, &*served) else {
        return Ok(None);
    };
    Ok(Some(changes(draft, served, ours, is_our_uri)))
}

/// The members of an operation by meaning: what guards it, and the rest.
#[derive(Debug, Clone, Default, PartialEq)]
struct Operation {
    guard: BTreeMap<String, Value>,
    rest: Map<String, Value>,
}

/// A document without what names it only: its title, servers and tags differ between a stage and the draft.
#[derive(Debug, Default)]
struct Definition {
    operations: BTreeMap<MethodKey, Operation>,
    /// The authorizers that are not this stack's.
    authorizers: BTreeMap<String, Value>,
    /// The other members of the document and of its components.
    rest: BTreeMap<String, Value>,
}

const SECURITY: [&str; 2] = ["security", "x-amazon-apigateway-auth"];

fn definition(document: &Value, is_our_uri: &impl Fn(&str) -> bool) -> Definition {
    let mut definition = Definition::default();
    let schemes = &document["components"]["securitySchemes"];
    for (path, verbs) in document["paths"].as_object().into_iter().flatten() {
        for (verb, operation) in verbs.as_object().into_iter().flatten() {
            let Some(key) = operation_key(path, verb) else {
                continue;
            };
            let mut rest = operation.as_object().cloned().unwrap_or_default();
            let mut guard = BTreeMap::new();
            for name in SECURITY {
                rest.remove(name);
            }
            for scheme in operation["security"].as_array().into_iter().flatten() {
                for (name, scopes) in scheme.as_object().into_iter().flatten() {
                    let scheme = &schemes[name.as_str()];
                    guard.insert(
                        name.clone(),
                        Value::from(vec![scheme.clone(), scopes.clone()]),
                    );
                }
            }
            if let Some(auth) = operation.get(SECURITY[1]) {
                guard.insert(SECURITY[1].to_owned(), auth.clone());
            }
            definition.operations.insert(key, Operation { guard, rest });
        }
    }
    for (name, value) in document.as_object().into_iter().flatten() {
        if ["openapi", "info", "servers", "paths", "components", "tags"].contains(&name.as_str()) {
            continue;
        }
        definition.rest.insert(name.clone(), value.clone());
    }
    for (name, value) in document["components"].as_object().into_iter().flatten() {
        if name != "securitySchemes" {
            definition.rest.insert(name.clone(), value.clone());
        }
    }
    for (name, scheme) in schemes.as_object().into_iter().flatten() {
        // The scheme of IAM has no settings.
        let Some(authorizer) = scheme.get(AUTHORIZER) else {
            continue;
        };
        let uri = authorizer["authorizerUri"].as_str();
        if !uri.is_some_and(is_our_uri) {
            definition.authorizers.insert(name.clone(), scheme.clone());
        }
    }
    definition
}

/// Describes the changes, in the order of the routes. Pure.
fn changes(
    draft: &Value,
    served: &Value,
    ours: &BTreeSet<MethodKey>,
    is_our_uri: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (draft, served) = (
        definition(draft, &is_our_uri),
        definition(served, &is_our_uri),
    );
    let mut changes = Vec::new();
    let keys: BTreeSet<_> = draft
        .operations
        .keys()
        .chain(served.operations.keys())
        .collect();
    for key in keys {
        match (draft.operations.get(key), served.operations.get(key)) {
            (Some(_), None) => changes.push(format!("{key} is new")),
            (None, Some(_)) => changes.push(format!("{key} is removed")),
            (Some(now), Some(served)) => {
                if now.guard != served.guard && !ours.contains(key) {
                    changes.push(format!("{key}: authorization changed"));
                }
                let members: BTreeSet<_> = now.rest.keys().chain(served.rest.keys()).collect();
                let different: Vec<_> = members
                    .into_iter()
                    .filter(|name| now.rest.get(*name) != served.rest.get(*name))
                    .map(|name| line(name.trim_start_matches("x-amazon-apigateway-")))
                    .collect();
                if !different.is_empty() {
                    changes.push(format!("{key}: {} changed", different.join(", ")));
                }
            }
            (None, None) => {}
        }
    }
    // One that only one side has is that of another stack, or of routes that this stack changes: the other routes with it are
    // listed.
    let authorizers = draft.authorizers.iter().filter(|(name, now)| {
        let served = served.authorizers.get(*name);
        served.is_some_and(|served| served != *now)
    });
    changes.extend(
        authorizers.map(|(name, _)| format!("the API's authorizer {} changed", line(name))),
    );
    let names: BTreeSet<_> = draft.rest.keys().chain(served.rest.keys()).collect();
    changes.extend(
        names
            .into_iter()
            .filter(|name| draft.rest.get(*name) != served.rest.get(*name))
            .map(|name| {
                let name = name.trim_start_matches("x-amazon-apigateway-");
                format!("the API's {} changed", line(name))
            }),
    );
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api(routes: &Value, cors: &Value) -> Value {
        json!({
            "openapi": "3.0.1", "info": {"title": "orders", "version": "now"}, "servers": [{"url": "https://x"}],
            "paths": routes, "x-amazon-apigateway-cors": cors,
            "components": {"securitySchemes": {
                "ours": {AUTHORIZER: {"authorizerUri": "arn:ours"}},
                "theirs": {AUTHORIZER: {"authorizerUri": "arn:theirs"}},
            }},
        })
    }

    fn told(draft: &Value, served: &Value) -> Vec<String> {
        let ours = [MethodKey::new("/a", "GET")].into();
        changes(draft, served, &ours, |uri| uri == "arn:ours")
    }

    #[test]
    fn what_others_changed_is_told_and_this_stacks_authorizer_is_not() {
        let served = api(
            &json!({
                "/a": {"get": {"x-amazon-apigateway-integration": {"uri": "1"}}},
                "/b": {"get": {}, "post": {"security": [{"theirs": []}]}},
            }),
            &json!({"maxAge": 1}),
        );
        assert!(told(&served, &served).is_empty());
        let protected = api(
            &json!({
                "/a": {"get": {"security": [{"ours": []}], "x-amazon-apigateway-integration": {"uri": "1"}}},
                "/b": {"get": {}, "post": {"security": [{"theirs": []}]}},
            }),
            &json!({"maxAge": 1}),
        );
        assert!(told(&protected, &served).is_empty());
        let mut edited = api(
            &json!({
                "/a": {"get": {"x-amazon-apigateway-integration": {"uri": "2"}}},
                "/b": {"post": {"security": [{"sigv4": []}]}},
                "/c": {"x-amazon-apigateway-any-method": {}},
            }),
            &json!({"maxAge": 2}),
        );
        edited["components"]["securitySchemes"]["sigv4"] =
            json!({"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"});
        assert_eq!(
            told(&edited, &served),
            [
                "GET /a: integration changed",
                "GET /b is removed",
                "POST /b: authorization changed",
                "ANY /c is new",
                "the API's cors changed",
            ]
        );
    }

    #[test]
    fn an_authorizer_that_only_one_side_has_is_told_with_its_routes_only() {
        let mut served = api(
            &json!({"/a": {"get": {"security": [{"theirs": []}]}}, "/b": {"get": {}}}),
            &json!({}),
        );
        // This stack has taken over `GET /a`, and another stack has an authorizer for another stage.
        let schemes = |document: &mut Value| document["components"]["securitySchemes"].take();
        let mut drafted = api(
            &json!({"/a": {"get": {"security": [{"ours": []}]}}, "/b": {"get": {}}}),
            &json!({}),
        );
        let all = schemes(&mut drafted);
        schemes(&mut served);
        served["components"]["securitySchemes"] = json!({"theirs": all["theirs"]});
        let other = json!({AUTHORIZER: {"authorizerUri": "arn:other"}});
        drafted["components"]["securitySchemes"] = json!({"ours": all["ours"], "other": other});
        assert_eq!(told(&drafted, &served), [""; 0]);
        drafted["paths"]["/b"]["get"] = json!({"security": [{"other": []}]});
        assert_eq!(told(&drafted, &served), ["GET /b: authorization changed"]);
        drafted["paths"]["/b"]["get"] = json!({});
        let mut changed = all["theirs"].clone();
        changed[AUTHORIZER]["authorizerResultTtlInSeconds"] = json!(7);
        drafted["components"]["securitySchemes"]["theirs"] = changed;
        assert_eq!(
            told(&drafted, &served),
            ["the API's authorizer theirs changed"]
        );
    }
}

//! The integrations of methods and the other settings that a deployment publishes, in one form for
//! the draft and the export of a stage. Pure.
//!
//! The draft and the export write the same values differently: in upper or lower case, with or
//! without defaults. Only what both contain is kept; models, validators and documentation are not.
//! Source: Amazon API Gateway REST API reference (`Integration`) and the OpenAPI extension
//! `x-amazon-apigateway-integration`.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_apigateway::types::Integration as ServiceIntegration;
use serde_json::{Map, Value, json};

/// An integration by field, without fields that have their default value.
pub type Integration = BTreeMap<String, Value>;

/// The settings that a deployment publishes in addition to the methods, by their name in reports,
/// without those that have their default value.
pub type Settings = BTreeMap<&'static str, Value>;

const BINARY_MEDIA_TYPES: &str = "binary media types";
const MINIMUM_COMPRESSION_SIZE: &str = "minimum compression size";
const API_KEY_SOURCE: &str = "API key source";
const POLICY: &str = "resource policy";

/// The default timeout of an integration, in milliseconds.
const DEFAULT_TIMEOUT: i64 = 29_000;

/// The text that represents an empty template where the service cannot write null.
const PASSTHROUGH: &str = "__passthrough__";

/// Converts an integration from the service's listing.
pub fn integration(given: &ServiceIntegration) -> Integration {
    let texts = |map: &Option<HashMap<String, String>>| json!(map.clone().unwrap_or_default());
    let responses: Map<String, Value> = given
        .integration_responses
        .iter()
        .flatten()
        .map(|(status, response)| {
            let pattern = response
                .selection_pattern
                .clone()
                .filter(|pattern| !pattern.is_empty());
            let fields = json!({
                "statusCode": response.status_code.as_ref().unwrap_or(status),
                "responseParameters": texts(&response.response_parameters),
                "responseTemplates": texts(&response.response_templates),
                "contentHandling": response.content_handling.as_ref().map(|word| word.as_str()),
            });
            (pattern.unwrap_or_else(|| "default".to_owned()), fields)
        })
        .collect();
    normal(&json!({
        "type": given.r#type.as_ref().map(|word| word.as_str()),
        "httpMethod": given.http_method,
        "uri": given.uri,
        "credentials": given.credentials,
        "connectionType": given.connection_type.as_ref().map(|word| word.as_str()),
        "connectionId": given.connection_id,
        "requestParameters": texts(&given.request_parameters),
        "requestTemplates": texts(&given.request_templates),
        "passthroughBehavior": given.passthrough_behavior,
        "contentHandling": given.content_handling.as_ref().map(|word| word.as_str()),
        "timeoutInMillis": given.timeout_in_millis,
        "cacheKeyParameters": given.cache_key_parameters,
        "responses": responses,
    }))
}

/// Converts an integration from an export: the object of `x-amazon-apigateway-integration`.
pub fn exported(given: &Value) -> Integration {
    normal(given)
}

fn normal(given: &Value) -> Integration {
    let mut fields = Integration::new();
    for name in [
        "type",
        "httpMethod",
        "uri",
        "credentials",
        "connectionType",
        "connectionId",
        "requestParameters",
        "requestTemplates",
        "passthroughBehavior",
        "contentHandling",
        "timeoutInMillis",
        "cacheKeyParameters",
    ] {
        let value = &given[name];
        let word = || value.as_str().unwrap_or_default().to_uppercase();
        let value = match name {
            "type" => json!(word()),
            "connectionType" if word() == "INTERNET" => Value::Null,
            "passthroughBehavior" if word() == "WHEN_NO_MATCH" => Value::Null,
            "passthroughBehavior" | "connectionType" | "contentHandling" if value.is_string() => {
                json!(word())
            }
            "timeoutInMillis" => {
                json!(number(value).filter(|ms| ![0, DEFAULT_TIMEOUT].contains(ms)))
            }
            "cacheKeyParameters" => sorted(value),
            "requestParameters" => headers(value),
            "requestTemplates" => templates(value),
            // A mock integration has no backend, so its backend method has no meaning.
            "httpMethod"
                if given["type"]
                    .as_str()
                    .is_some_and(|kind| kind.eq_ignore_ascii_case("mock")) =>
            {
                Value::Null
            }
            _ => value.clone(),
        };
        put(&mut fields, name, value);
    }
    let responses = given["responses"].as_object().into_iter().flatten();
    for (pattern, response) in responses {
        let handling = response["contentHandling"].as_str().map(str::to_uppercase);
        let mut kept = Integration::new();
        put(&mut kept, "status", text(&response["statusCode"]));
        put(
            &mut kept,
            "parameters",
            headers(&response["responseParameters"]),
        );
        put(
            &mut kept,
            "templates",
            templates(&response["responseTemplates"]),
        );
        put(&mut kept, "content handling", json!(handling));
        put(&mut fields, &format!("response {pattern}"), json!(kept));
    }
    fields
}

/// Stores a value unless it is empty.
fn put(fields: &mut Integration, name: &str, value: Value) {
    let says_nothing = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    };
    if !says_nothing {
        fields.insert(name.to_owned(), value);
    }
}

/// Converts a value that is written as a number or as a text to one form.
pub(super) fn text(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

/// The value as a number, if it is one.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The name of a parameter, for comparison: header names are case-insensitive.
pub(super) fn header(name: &str) -> String {
    match name.to_ascii_lowercase() {
        lower if lower.contains(".header.") => lower,
        _ => name.to_owned(),
    }
}

fn headers(map: &Value) -> Value {
    let entries = map.as_object().into_iter().flatten();
    let named = entries.map(|(name, value)| (header(name), value.clone()));
    Value::Object(named.collect())
}

/// The templates without empty ones: the draft and the export list these differently.
fn templates(map: &Value) -> Value {
    let entries = map.as_object().into_iter().flatten();
    let says_something = |text: &Value| !matches!(text.as_str(), None | Some("" | PASSTHROUGH));
    let kept = entries.filter(|(_, text)| says_something(text));
    Value::Object(
        kept.map(|(kind, text)| (kind.clone(), text.clone()))
            .collect(),
    )
}

fn sorted(list: &Value) -> Value {
    let mut texts: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    texts.sort_unstable();
    json!(texts)
}

/// The API's settings from its description.
pub fn settings(
    binary_media_types: Option<Vec<String>>,
    minimum_compression_size: Option<i32>,
    api_key_source: Option<String>,
    policy: Option<&str>,
) -> Settings {
    let mut settings = Settings::new();
    let mut types = binary_media_types.unwrap_or_default();
    types.sort_unstable();
    if !types.is_empty() {
        settings.insert(BINARY_MEDIA_TYPES, json!(types));
    }
    if let Some(size) = minimum_compression_size {
        settings.insert(MINIMUM_COMPRESSION_SIZE, json!(size));
    }
    if let Some(source) = api_key_source.filter(|source| source != "HEADER") {
        settings.insert(API_KEY_SOURCE, json!(source));
    }
    if let Some(policy) = policy.filter(|policy| !policy.is_empty()) {
        settings.insert(POLICY, plain(policy_document(policy)));
    }
    settings
}

/// The API's settings from an export.
pub fn exported_settings(export: &Value) -> Settings {
    let of = |name: &str| &export[format!("x-amazon-apigateway-{name}")];
    let mut settings = Settings::new();
    let types = sorted(of("binary-media-types"));
    if types.as_array().is_some_and(|types| !types.is_empty()) {
        settings.insert(BINARY_MEDIA_TYPES, types);
    }
    if let Some(size) = number(of("minimum-compression-size")) {
        settings.insert(MINIMUM_COMPRESSION_SIZE, json!(size));
    }
    if let Some(source) = of("api-key-source")
        .as_str()
        .filter(|source| *source != "HEADER")
    {
        settings.insert(API_KEY_SOURCE, json!(source));
    }
    let policy = of("policy");
    if policy.is_object() {
        settings.insert(POLICY, plain(policy.clone()));
    }
    settings
}

/// A policy document in one form: a list with one element becomes the element, and the order of
/// names has no meaning.
fn plain(document: Value) -> Value {
    match document {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(plain).collect();
            if items.iter().all(Value::is_string) {
                items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            }
            match items.len() {
                1 => items.remove(0),
                _ => Value::Array(items),
            }
        }
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(name, value)| (name, plain(value))).collect())
        }
        other => other,
    }
}

/// Parses the policy in the description of an API, which is JSON whose quotes are escaped once
/// more.
fn policy_document(text: &str) -> Value {
    serde_json::from_str(text)
        .or_else(|_| {
            let inner: String = serde_json::from_str(&format!("\"{text}\""))?;
            serde_json::from_str(&inner)
        })
        .unwrap_or_else(|_: serde_json::Error| json!(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_apigateway::types::{ConnectionType, IntegrationResponse, IntegrationType};

    #[test]
    fn the_draft_and_the_export_of_one_integration_are_equal() {
        let response = IntegrationResponse::builder()
            .status_code("200")
            .response_templates("application/json", "{}")
            .build();
        let draft = ServiceIntegration::builder()
            .r#type(IntegrationType::HttpProxy)
            .http_method("GET")
            .uri("https://example.com/${stageVariables.path}")
            .connection_type(ConnectionType::Internet)
            .passthrough_behavior("WHEN_NO_MATCH")
            .timeout_in_millis(29_000)
            .cache_namespace("abc123")
            .cache_key_parameters("b")
            .cache_key_parameters("a")
            .integration_responses("200", response)
            .build();
        let export = json!({
            "type": "http_proxy", "httpMethod": "GET", "uri": "https://example.com/${stageVariables.path}",
            "passthroughBehavior": "when_no_match", "cacheKeyParameters": ["a", "b"],
            "responses": {"default": {"statusCode": "200", "responseTemplates": {"application/json": "{}"}}},
        });
        assert_eq!(integration(&draft), exported(&export));
    }

    #[test]
    fn what_only_one_side_writes_makes_no_difference() {
        let one = json!({
            "type": "MOCK", "timeoutInMillis": "5000",
            "requestParameters": {"integration.request.header.X-Id": "method.request.header.id", "integration.request.path.Id": "'1'"},
            "requestTemplates": {"application/json": "{}", "text/plain": null},
            "responses": {"default": {"statusCode": 200, "responseTemplates": {"application/json": ""}}},
        });
        let other = json!({
            "type": "mock", "timeoutInMillis": 5000,
            "requestParameters": {"integration.request.header.x-id": "method.request.header.id", "integration.request.path.Id": "'1'"},
            "requestTemplates": {"application/json": "{}", "text/xml": "__passthrough__"},
            "responses": {"default": {"statusCode": "200"}},
        });
        assert_eq!(exported(&one), exported(&other));
        let lower =
            json!({"type": "mock", "requestParameters": {"integration.request.path.id": "'1'"}});
        let upper =
            json!({"type": "mock", "requestParameters": {"integration.request.path.Id": "'1'"}});
        assert_ne!(exported(&lower), exported(&upper));
    }

    #[test]
    fn every_field_that_differs_makes_two_integrations_differ() {
        let export = json!({
            "type": "aws", "httpMethod": "POST", "uri": "arn:x", "credentials": "arn:role", "connectionType": "VPC_LINK",
            "connectionId": "link", "requestParameters": {"a": "b"}, "requestTemplates": {"application/json": "x"},
            "passthroughBehavior": "never", "contentHandling": "CONVERT_TO_TEXT", "timeoutInMillis": 5000,
            "cacheKeyParameters": ["a"],
            "responses": {"default": {"statusCode": "200"}, "4..": {"statusCode": "400"}},
        });
        let all = export.as_object().expect("an object");
        for name in all.keys() {
            let mut other = all.clone();
            other.remove(name);
            assert_ne!(exported(&export), exported(&Value::Object(other)), "{name}");
        }
    }

    #[test]
    fn a_policy_is_the_same_in_both_writings() {
        let policy = json!({"Version": "2012-10-17", "Statement": []});
        let escaped = r#"{\"Version\":\"2012-10-17\",\"Statement\":[]}"#;
        let draft = settings(None, None, Some("HEADER".to_owned()), Some(escaped));
        assert_eq!(
            draft,
            exported_settings(&json!({"x-amazon-apigateway-policy": policy}))
        );
        let policy = |action: Value, vpcs: Value| {
            let statement =
                json!({"Action": action, "Condition": {"StringEquals": {"aws:SourceVpc": vpcs}}});
            exported_settings(&json!({"x-amazon-apigateway-policy": {"Statement": [statement]}}))
        };
        assert_eq!(
            policy(json!("execute-api:Invoke"), json!(["a", "b"])),
            policy(json!(["execute-api:Invoke"]), json!(["b", "a"]))
        );
        assert_ne!(
            policy(json!("execute-api:Invoke"), json!(["a", "b"])),
            policy(json!("execute-api:Invoke"), json!("a"))
        );
    }
}

//! The integrations of methods and the other settings that a deployment publishes, in one form for
//! the draft and the export of a stage. Pure.
//!
//! The draft and the export write the same values differently: in upper or lower case, with or
//! without defaults.
//! Source: Amazon API Gateway REST API reference (`Integration`) and the OpenAPI extension
//! `x-amazon-apigateway-integration`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// An integration by field, without fields that have their default value.
pub type Integration = BTreeMap<String, Value>;

/// The settings that a deployment publishes in addition to the methods, by their name in reports,
/// without those that have their default value.
pub type Settings = BTreeMap<&'static str, Value>;

const BINARY_MEDIA_TYPES: &str = "binary media types";
const MINIMUM_COMPRESSION_SIZE: &str = "minimum compression size";
/// `HEADER` is the default, and not a member of the settings.
pub const API_KEY_SOURCE: &str = "API key source";
pub const POLICY: &str = "resource policy";

/// The default timeout of an integration, in milliseconds.
const DEFAULT_TIMEOUT: i64 = 29_000;

/// The members of an integration that are compared in a form of their own, and those without an effect: the cache
/// namespace is an internal id.
const KNOWN: [&str; 14] = [
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
    "cacheNamespace",
    "responses",
];

/// Members that an integration without them also has, with their default.
fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "responseTransferMode" => value.as_str() == Some("BUFFERED"),
        "tlsConfig" => *value == json!({"insecureSkipVerification": false}),
        _ => false,
    }
}

/// The text that represents an empty template where the service cannot write null.
const PASSTHROUGH: &str = "__passthrough__";

/// Converts an integration from the service's listing: the object `methodIntegration`.
pub fn drafted(given: &Value) -> Integration {
    let mut given = given.clone();
    let Some(members) = given.as_object_mut() else {
        return Integration::new();
    };
    let listed = members.remove("integrationResponses").unwrap_or_default();
    let responses: Map<String, Value> = listed
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, response)| {
            let pattern = response["selectionPattern"].as_str();
            let pattern = pattern.filter(|pattern| !pattern.is_empty());
            let mut response = response.clone();
            if let Some(members) = response.as_object_mut() {
                members.remove("selectionPattern");
                members.entry("statusCode").or_insert_with(|| json!(status));
            }
            (pattern.unwrap_or("default").to_owned(), response)
        })
        .collect();
    members.insert("responses".to_owned(), responses.into());
    normal(&given)
}

/// Converts an integration from an export: the object of `x-amazon-apigateway-integration`.
pub fn exported(given: &Value) -> Integration {
    normal(given)
}

fn normal(given: &Value) -> Integration {
    let mut fields = Integration::new();
    for name in KNOWN {
        let value = &given[name];
        let word = || value.as_str().unwrap_or_default().to_uppercase();
        let value = match name {
            "cacheNamespace" | "responses" => continue,
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
    // A member that this version does not know may have an effect. Names with an underscore are links.
    for (name, value) in given.as_object().into_iter().flatten() {
        if !KNOWN.contains(&name.as_str()) && !name.starts_with('_') && !is_default(name, value) {
            put(&mut fields, name, text(value));
        }
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
pub(super) fn put(fields: &mut Integration, name: &str, value: Value) {
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
pub(in crate::api_gateway) fn text(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

/// The value as a number, if it is one.
pub(in crate::api_gateway) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The name of a parameter, for comparison: header names are case-insensitive.
pub(in crate::api_gateway) fn header(name: &str) -> String {
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

pub(super) fn sorted(list: &Value) -> Value {
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

/// The extensions of an export's document that are compared in a form of their own, and those that a deployment does not
/// publish.
const KNOWN_EXTENSIONS: [&str; 13] = [
    "api-key-source",
    "binary-media-types",
    "documentation",
    "endpoint-access-mode",
    "endpoint-configuration",
    "gateway-responses",
    "importexport-version",
    "minimum-compression-size",
    "policy",
    "request-validator",
    "request-validators",
    "security-policy",
    "tag-value",
];

/// The extensions of an export's document that this version does not know.
pub fn unknown_extensions(export: &Value) -> BTreeMap<String, Value> {
    let members = export.as_object().into_iter().flatten();
    let extensions = members.filter_map(|(name, value)| {
        let name = name.strip_prefix("x-amazon-apigateway-")?;
        Some((name, value)).filter(|_| !KNOWN_EXTENSIONS.contains(&name))
    });
    extensions
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

/// Whether the description of an API has the value of an extension.
pub fn has_extension(description: &Value, name: &str, value: &Value) -> bool {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    let member = words.fold(first, |member, word| {
        let (head, tail) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        member + &head.to_uppercase() + tail
    });
    text(&description[member]) == text(value)
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

    #[test]
    fn the_draft_and_the_export_of_one_integration_are_equal() {
        let draft = json!({
            "type": "HTTP_PROXY", "httpMethod": "GET", "uri": "https://example.com/${stageVariables.path}",
            "connectionType": "INTERNET", "passthroughBehavior": "WHEN_NO_MATCH", "timeoutInMillis": 29000,
            "cacheNamespace": "abc123", "cacheKeyParameters": ["b", "a"], "responseTransferMode": "BUFFERED",
            "tlsConfig": {"insecureSkipVerification": false}, "_links": {},
            "integrationResponses": {"200": {"statusCode": "200", "responseTemplates": {"application/json": "{}"}}},
        });
        let export = json!({
            "type": "http_proxy", "httpMethod": "GET", "uri": "https://example.com/${stageVariables.path}",
            "passthroughBehavior": "when_no_match", "cacheKeyParameters": ["a", "b"],
            "responses": {"default": {"statusCode": "200", "responseTemplates": {"application/json": "{}"}}},
        });
        assert_eq!(drafted(&draft), exported(&export));
    }

    #[test]
    fn a_response_is_named_by_its_pattern() {
        let draft = json!({"type": "MOCK", "integrationResponses": {
            "200": {"selectionPattern": ""},
            "404": {"statusCode": "404", "selectionPattern": "4.*"},
        }});
        let export = json!({"type": "mock", "responses": {
            "default": {"statusCode": "200"}, "4.*": {"statusCode": "404"},
        }});
        assert_eq!(drafted(&draft), exported(&export));
        assert_eq!(drafted(&json!(null)), Integration::new());
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
            "cacheKeyParameters": ["a"], "responseTransferMode": "STREAM", "inventedIn2027": 1,
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

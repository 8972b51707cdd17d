//! The JSON Schema agrees with the reader about every file that a test of the configuration reads, and has every key.

use std::collections::{BTreeMap, BTreeSet};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::super::keys::SCHEMAS;
use super::*;

/// Rules that only the reader checks, as parts of their messages: what a schema cannot express, or only in a way that no
/// editor could explain.
const READER_ALONE: &[&str] = &[
    "needs subnets in two zones",
    "needs `authorizer.mode: observe`",
    "must name one address",
    "is too small for",
    "without host bits",
    "must be private addresses",
    "must differ from `name`",
    "is also the name of the application key",
    "must begin with `https://`",
    "excludes everything",
    "must be whole",
    "must be at least `1s`",
    "duplicate key",
    "too many or too long",
];

thread_local! {
    static SCHEMA: (Schemas, SchemaIndex) = {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", json_schema()).expect("a schema");
        let index = compiler.compile("schema.json", &mut schemas).expect("a valid schema");
        (schemas, index)
    };
}

/// What the schema finds wrong in a value.
fn refused_by_schema(value: &Value) -> Option<String> {
    SCHEMA.with(|(schemas, index)| {
        let checked = schemas.validate(value, *index);
        checked.err().map(|error| format!("{error:#}"))
    })
}

/// The schema accepts what the reader accepts.
pub(super) fn accepts(text: &str, loaded: &Result<Config, Problems>) {
    // Not every file can be converted, such as one with a key that is no text.
    if loaded.is_ok()
        && let Ok(value) = serde_yaml::from_str::<Value>(text)
    {
        assert_eq!(refused_by_schema(&value), None, "{text}");
    }
}

/// The schema accepts what the reader accepts, and refuses what it refuses, except for the rules above.
pub(super) fn agrees(text: &str, loaded: &Result<Config, Problems>) {
    accepts(text, loaded);
    // The values of variables are not known to the schema.
    let text = text.replace("${TOKEN}", TOKEN);
    let Ok(value) = serde_yaml::from_str::<Value>(&text) else {
        return;
    };
    let refused = refused_by_schema(&value);
    match loaded {
        Err(problems) if !text.contains("${") => {
            let is_alone = |problem: &Problem| {
                READER_ALONE
                    .iter()
                    .any(|part| problem.message.contains(part))
            };
            assert!(
                refused.is_some() || problems.0.iter().all(is_alone),
                "the schema accepts this:\n{problems}\n{text}"
            );
        }
        _ => {}
    }
}

/// The keys of each section of the schema, by its path.
fn sections(schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    collect(schema, "", &mut found);
    found
}

fn collect(schema: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Some(properties) = schema["properties"].as_object()
        && schema["additionalProperties"] == Value::Bool(false)
    {
        found.insert(path.to_owned(), properties.keys().cloned().collect());
        for (key, value) in properties {
            let path = match path {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            collect(value, &path, found);
        }
    }
    for value in schema["anyOf"].as_array().into_iter().flatten() {
        collect(value, path, found);
    }
    if schema["items"].is_object() {
        collect(&schema["items"], &format!("{path}[]"), found);
    }
}

#[test]
fn it_has_the_keys_of_the_reader() {
    let of_reader = SCHEMAS.iter().map(|section| {
        let keys = section.keys.iter().map(|key| (*key).to_owned());
        (section.path.to_owned(), keys.collect::<BTreeSet<_>>())
    });
    assert_eq!(
        sections(&json_schema()),
        of_reader.collect::<BTreeMap<_, _>>()
    );
}

/// Every key that the template has, commented out or not, by the path of its section.
fn keys_of_template() -> BTreeSet<(String, String)> {
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for line in include_str!("../../../templates/threescale-gw.yaml").lines() {
        let indent = line.len() - line.trim_start().len();
        let is_comment = line.trim_start().starts_with('#');
        let text = line.trim_start().trim_start_matches("# ");
        let (is_item, text) = match text.trim_start().strip_prefix("- ") {
            Some(item) => (true, item),
            None => (false, text),
        };
        let Some((key, value)) = text.split_once(':').filter(|(key, value)| {
            let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
            !key.is_empty()
                && key.chars().all(is_key)
                && (value.is_empty() || value.starts_with(' '))
        }) else {
            if let Some(Ok(value)) = is_item.then(|| serde_yaml::from_str::<Value>(text)) {
                let path = format!("{section}.mapping_rules[]");
                keys.extend(
                    value
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(key, _)| (path.clone(), key.clone())),
                );
            }
            continue;
        };
        if indent == 0 {
            section = match is_comment {
                true => String::new(),
                false => key.to_owned(),
            };
        }
        let path = match indent {
            0 => "",
            _ => &section,
        };
        keys.insert((path.to_owned(), key.to_owned()));
        let value = value.split(" #").next().unwrap_or_default();
        if let Ok(Value::Object(inner)) = serde_yaml::from_str::<Value>(value) {
            let path = format!("{path}.{key}");
            keys.extend(inner.keys().map(|key| (path.clone(), key.clone())));
        }
    }
    // A tag.
    keys.remove(&(String::new(), "team".to_owned()));
    keys
}

#[test]
fn it_has_the_keys_of_the_template() {
    let sections = sections(&json_schema());
    let of_schema = sections
        .into_iter()
        .flat_map(|(path, keys)| keys.into_iter().map(move |key| (path.clone(), key)));
    let (of_schema, of_template) = (of_schema.collect::<BTreeSet<_>>(), keys_of_template());
    let unknown: Vec<_> = of_template.difference(&of_schema).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // A comment explains it.
    let left: Vec<_> = of_schema.difference(&of_template).collect();
    let key_name = ("threescale.credentials".to_owned(), "key_name".to_owned());
    assert_eq!(left, [&key_name]);
}

/// Every schema of a key, with its path.
fn keys<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        keys(value, &path, found);
        found.push((path, value));
    }
    for value in schema["anyOf"].as_array().into_iter().flatten() {
        keys(value, path, found);
    }
    if schema["items"].is_object() {
        keys(&schema["items"], path, found);
    }
}

#[test]
fn every_key_has_a_description_and_a_default_that_the_reader_takes() {
    let schema = json_schema();
    let mut found = Vec::new();
    keys(&schema, "", &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for (path, value) in &found {
        assert!(value["description"].is_string(), "{path}");
    }
    let defaults: BTreeMap<_, _> = found
        .iter()
        .filter(|(_, value)| !value["default"].is_null())
        .map(|(path, value)| (path.as_str(), &value["default"]))
        .collect();
    // The reader gives the same configuration with the default as without the key.
    let file = |path: &str, value: &Value| {
        let mut file: Value = serde_yaml::from_str(&GOOD.replace("${TOKEN}", TOKEN)).expect("YAML");
        let keys: Vec<_> = path.trim_start_matches('.').split('.').collect();
        let mut place = &mut file;
        for key in keys {
            place = &mut place[key];
        }
        *place = value.clone();
        file.to_string()
    };
    let mut same = 0;
    for (path, value) in defaults {
        // These need other keys beside them.
        if path.contains("mapping_rules") || path.ends_with("key_name") || path.ends_with("route") {
            continue;
        }
        assert_eq!(config(&file(path, value)), config(GOOD), "{path}: {value}");
        same += 1;
    }
    assert!(same > 20, "{same}");
}

#[test]
fn variables_can_take_the_place_of_every_value() {
    let text = "\
stack: ${A}
account: ${A}
region: ${A:-eu-west-1}
tags: {team: '${A}'}
api: {id: '${A}', stage: '${A}', protect: ['${A}'], responses: {limits: '${A}', types: '${A}'}, usage_key: '${A}'}
threescale:
  service_id: ${A}
  service_token: ${A}
  backend: ${A}
  allow_plain_http: ${A}
  timeout: ${A}
  credentials: {kind: '${A}', in: '${A}', name: '${A}', key_name: '${A}'}
  mapping_rules: [{method: '${A}', pattern: '${A}', metric: '${A}', delta: '${A}', last: '${A}'}]
network: {vpc: '${A}', subnets: ['${A}'], route: '${A}', nat: '${A}', elastic_ips: ['${A}'], endpoints: '${A}'}
cache: {kind: '${A}', engine: '${A}', engine_version: '${A}', node_type: '${A}', replicas: '${A}', tls: '${A}'}
authorizer: {architecture: '${A}', memory: '${A}', caching: '${A}', max_age: '${A}', log_retention_days: '${A}'}
deletion_protection: ${A}
";
    let value: Value = serde_yaml::from_str(text).expect("YAML");
    assert_eq!(refused_by_schema(&value), None);
    let checked = check("t.yaml", text, &|_| None);
    assert_eq!(checked.problems, []);
}

//! What the sections of the schema consist of.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::Choice;
use super::super::read::Schema;

/// An environment variable in a value, which can become anything.
pub(super) const VARIABLE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}";
/// EC2 ids have 17 hexadecimal digits; ids created before 2016 have 8.
pub(super) const EC2_ID: &str = "([0-9a-f]{8}|[0-9a-f]{17})";
pub(super) const DURATION: &str = r"(0|\s*([0-9][0-9\s.]*[A-Za-zµ]+\s*)+)";

/// The keys of a section, each with its schema.
pub(super) type Properties = Vec<(&'static str, Value)>;

/// A section with these properties and no others.
pub(super) fn object(of: &Schema, about: &str, properties: Properties, required: &[&str]) -> Value {
    debug_assert!(
        properties.iter().all(|(key, _)| of.keys.contains(key)),
        "{}",
        of.path
    );
    let properties: Map<_, _> = properties
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let mut schema = json!({
        "description": about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A section in which all keys have defaults, so that it may be empty.
pub(super) fn optional(of: &Schema, about: &str, properties: Properties) -> Value {
    with(
        object(of, about, properties, &[]),
        &[("type", json!(["object", "null"]))],
    )
}

/// A section, or a word in its place.
pub(super) fn or_word(section: Value, word: &str) -> Value {
    json!({"description": section["description"], "anyOf": [section, {"const": word}, variable()]})
}

pub(super) fn variable() -> Value {
    json!({"$ref": "#/definitions/variable"})
}

/// The pattern of a whole text, which may also contain a variable.
pub(super) fn either(pattern: &str) -> String {
    format!("^({pattern})$|{VARIABLE}")
}

pub(super) fn text(pattern: &str, about: &str) -> Value {
    json!({"description": about, "type": "string", "pattern": either(pattern)})
}

pub(super) fn path(about: &str) -> Value {
    json!({"description": about, "type": "string", "minLength": 1})
}

pub(super) fn duration(default: Duration, about: &str) -> Value {
    let default = humantime::format_duration(default).to_string();
    with(text(DURATION, about), &[("default", json!(default))])
}

pub(super) fn boolean(default: bool, about: &str) -> Value {
    json!({"description": about, "default": default, "anyOf": [{"type": "boolean"}, variable()]})
}

pub(super) fn whole(
    from: impl Into<i64>,
    to: impl Into<i64>,
    default: impl Into<i64>,
    about: &str,
) -> Value {
    let number = json!({"type": "integer", "minimum": from.into(), "maximum": to.into()});
    json!({"description": about, "default": default.into(), "anyOf": [number, variable()]})
}

pub(super) fn words<T: Choice>() -> Vec<&'static str> {
    T::ALL.iter().map(|choice| choice.word()).collect()
}

/// One of a few words. The first one is the default.
pub(super) fn choice<T: Choice>(about: &str) -> Value {
    let default = words::<T>().first().copied();
    with(
        described(choice_of::<T>(), about),
        &[("default", json!(default))],
    )
}

pub(super) fn choice_of<T: Choice>() -> Value {
    word_of(&words::<T>())
}

pub(super) fn word_of(words: &[&str]) -> Value {
    json!({"anyOf": [{"enum": words}, variable()]})
}

pub(super) fn described(schema: Value, about: &str) -> Value {
    with(schema, &[("description", json!(about))])
}

pub(super) fn with(mut schema: Value, more: &[(&str, Value)]) -> Value {
    for (key, value) in more {
        schema[*key] = value.clone();
    }
    schema
}

//! What the schemas consist of.

use serde_json::{Map, Value, json};

/// An object that has all of these keys.
pub(super) fn object<'a>(keys: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let keys: Map<_, _> = keys
        .into_iter()
        .map(|(key, schema)| (key.to_owned(), schema))
        .collect();
    let required: Vec<_> = keys.keys().cloned().collect();
    json!({"type": "object", "properties": keys, "required": required})
}

/// The object with one more key, which it always has.
pub(super) fn with(mut object: Value, key: &str, schema: Value) -> Value {
    object["properties"][key] = schema;
    if let Some(required) = object["required"].as_array_mut() {
        required.push(key.into());
    }
    object
}

/// The object without a key.
pub(super) fn without(mut object: Value, key: &str) -> Value {
    if let Some(properties) = object["properties"].as_object_mut() {
        properties.remove(key);
    }
    if let Some(required) = object["required"].as_array_mut() {
        required.retain(|required| required != key);
    }
    object
}

/// A line of a stream.
pub(super) fn event(name: &str, object: Value) -> Value {
    with(object, "event", json!({"const": name}))
}

/// An object with any keys, whose values are all of this form.
pub(super) fn map(of: Value) -> Value {
    json!({"type": "object", "additionalProperties": of})
}

pub(super) fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

pub(super) fn nullable(of: Value) -> Value {
    any([of, null()])
}

pub(super) fn any(forms: impl IntoIterator<Item = Value>) -> Value {
    json!({"anyOf": forms.into_iter().collect::<Vec<_>>()})
}

pub(super) fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"enum": all.into_iter().collect::<Vec<_>>()})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn integer() -> Value {
    json!({"type": "integer"})
}

pub(super) fn number() -> Value {
    json!({"type": "number"})
}

pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn null() -> Value {
    json!({"type": "null"})
}

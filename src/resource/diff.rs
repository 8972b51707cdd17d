//! The differences between a desired resource and the actual one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::state::Output;
use crate::aws::tags;

/// Stands for an id that is not known before the resource exists.
pub const NEW: &str = "(new)";

/// What differs: a property that the code changes by, and that people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A property of the kind.
    Property(&'static str),
    /// A tag, by its key.
    Tag(String),
    /// One of several of the same sort: an environment variable, a gateway response, a route.
    Item(&'static str, String),
    /// A method of the API, `GET /orders`.
    Method(String),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => f.write_str(name),
            Self::Tag(key) => write!(f, "tag {key}"),
            Self::Item(sort, name) => write!(f, "{sort} {name}"),
            Self::Method(label) => f.write_str(label),
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One difference between what is and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub field: Field,
    pub from: String,
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}

/// All differences of one resource. Empty means that it is as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    pub changes: Vec<Change>,
    /// One of the changes cannot be made in place.
    pub replace: bool,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether a change of `field` is among them.
    pub fn has(&self, field: &Field) -> bool {
        self.changes.iter().any(|change| change.field == *field)
    }

    /// Notes a change that can be made in place, if the two differ.
    pub fn field(&mut self, field: Field, from: impl ToString, to: impl ToString) {
        let (from, to) = (from.to_string(), to.to_string());
        if from != to {
            self.changes.push(Change { field, from, to });
        }
    }

    /// Notes a change that needs a replacement, if the two differ.
    pub fn immutable(&mut self, field: Field, from: impl ToString, to: impl ToString) {
        let before = self.changes.len();
        self.field(field, from, to);
        self.replace |= self.changes.len() > before;
    }

    /// Notes a reference to another resource that cannot be changed in place. `to` is unknown while that one is to be made.
    pub fn reference(&mut self, field: Field, from: &str, to: Option<Output>) {
        self.immutable(
            field,
            from,
            to.map_or_else(|| NEW.to_owned(), |output| output.physical_id),
        );
    }

    /// Notes the tags that are missing.
    pub fn tags(&mut self, desired: &BTreeMap<String, String>, actual: &BTreeMap<String, String>) {
        for (key, value) in tags::missing(desired, actual) {
            let from = actual.get(&key).map_or("(none)", String::as_str);
            let from = from.to_owned();
            self.field(Field::Tag(key), from, value);
        }
    }
}

/// Items as one sorted, comma-separated text.
pub fn sorted(items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items.join(",")
}

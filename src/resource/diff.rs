//! The differences between a desired resource and the actual one.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::state::Output;
use crate::aws::tags;

/// One difference between what is and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub field: String,
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
    pub fn has(&self, field: &str) -> bool {
        self.changes.iter().any(|change| change.field == field)
    }

    /// Notes a change that can be made in place, if the two differ.
    pub fn field(&mut self, field: impl Into<String>, from: impl ToString, to: impl ToString) {
        let (from, to) = (from.to_string(), to.to_string());
        if from != to {
            self.changes.push(Change {
                field: field.into(),
                from,
                to,
            });
        }
    }

    /// Notes a change that needs a replacement, if the two differ.
    pub fn immutable(&mut self, field: impl Into<String>, from: impl ToString, to: impl ToString) {
        let before = self.changes.len();
        self.field(field, from, to);
        self.replace |= self.changes.len() > before;
    }

    /// Notes a reference to another resource that cannot be changed in place. `to` is unknown while that one is to be made.
    pub fn reference(&mut self, field: &str, from: &str, to: Option<Output>) {
        self.immutable(
            field,
            from,
            to.map_or_else(|| "(new)".to_owned(), |output| output.physical_id),
        );
    }

    /// Notes the tags that are missing.
    pub fn tags(&mut self, desired: &BTreeMap<String, String>, actual: &BTreeMap<String, String>) {
        for (key, value) in tags::missing(desired, actual) {
            let from = actual.get(&key).map_or("(none)", String::as_str);
            self.field(format!("tag {key}"), from, value);
        }
    }
}

/// Items as one sorted, comma-separated text.
pub fn sorted(items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items.join(",")
}

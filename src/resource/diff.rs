//! The differences between the desired and the actual state of a resource.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::shown::{NEW, Shown};
use crate::aws::tags;
use crate::printable::line;

/// The property that differs, for use in code and in reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A property of the kind.
    Property(&'static str),
    /// A tag, by its key.
    Tag(String),
    /// One of several items of the same type: an environment variable, a gateway response, a route.
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

/// One difference between the actual and the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub field: Field,
    /// In words for people, as `to`.
    pub from: String,
    pub to: String,
    /// The actual value; null if there is none.
    pub before: Value,
    /// The desired value; null if there is none, or it is not known before the change.
    pub after: Value,
}

impl Change {
    /// A change from the actual to the desired value.
    pub fn new(field: Field, from: &impl Shown, to: &impl Shown) -> Self {
        Self {
            field,
            from: from.text(),
            to: to.text(),
            before: from.value(),
            after: to.value(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The actual value is text from the account.
        write!(f, "{}: {} -> {}", self.field, line(&self.from), self.to)
    }
}

/// All differences of one resource. If it is empty, the resource has the desired state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    pub changes: Vec<Change>,
    /// Whether a change requires that the resource is replaced.
    pub replace: bool,
}

impl Diff {
    /// Whether there are no differences.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether `field` differs.
    pub fn has(&self, field: &Field) -> bool {
        self.changes.iter().any(|change| change.field == *field)
    }

    /// Adds a change that can be made in place, if the values differ.
    pub fn field(&mut self, field: Field, from: impl Shown, to: impl Shown) {
        if from.text() != to.text() {
            self.changes.push(Change::new(field, &from, &to));
        }
    }

    /// The same for a value that AWS may not report: an unknown value is no difference.
    pub fn known<T: Shown>(&mut self, field: Field, from: Option<T>, to: impl Shown) {
        if let Some(from) = from {
            self.field(field, from, to);
        }
    }

    /// Adds a change that requires a replacement, if the values differ. A value that AWS does not report,
    /// which is an empty text, is never a reason for a replacement.
    pub fn immutable(&mut self, field: Field, from: impl Shown, to: impl Shown) {
        if from.text().is_empty() {
            return;
        }
        let before = self.changes.len();
        self.field(field, from, to);
        self.replace |= self.changes.len() > before;
    }

    /// The same for a value that is no text.
    pub fn known_immutable<T: Shown>(&mut self, field: Field, from: Option<T>, to: impl Shown) {
        if let Some(from) = from {
            self.immutable(field, from, to);
        }
    }

    /// Adds a change of a reference to another resource, which cannot be changed in place. `to` is
    /// unknown until that resource is created.
    pub fn reference(&mut self, field: Field, from: &str, to: Option<String>) {
        self.immutable(field, from, to.unwrap_or_else(|| NEW.to_owned()));
    }

    /// Adds the missing tags.
    pub fn tags(&mut self, desired: &BTreeMap<String, String>, actual: &BTreeMap<String, String>) {
        for (key, value) in tags::missing(desired, actual) {
            let from = actual.get(&key).cloned();
            let from = from.unwrap_or_else(|| "(none)".to_owned());
            self.field(Field::Tag(key), from, value);
        }
    }
}

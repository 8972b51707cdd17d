//! Reads the file's values and collects their problems.
//!
//! Every method reports a problem at its position and continues, so that one run shows all problems. `None` is a value
//! that is missing or was already reported.

use std::fmt;

use super::document::{Node, Value};
use super::problem::{Flaw, Invalid, Open, Position};
use super::substitute::{Environment, Failure, substitute, variables};
use crate::nearest::nearest;

/// Maximum number of characters of the file that a message repeats.
const MAX_SHOWN: usize = 60;

/// The keys that a section can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schema {
    /// The section's path; empty for the top level.
    pub(super) path: &'static str,
    pub(super) keys: &'static [&'static str],
}

/// A scalar with its variables substituted.
#[derive(Debug)]
pub(super) enum Scalar {
    Bool(bool),
    Integer(i128),
    /// No setting uses it, so its value is not kept.
    Float,
    Text(String),
    /// The result of a substitution, which can be of any type.
    Filled(String),
}

/// Whether a value may be repeated in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    Yes,
    /// It is a secret, or could be a secret in the wrong place.
    No,
}

/// A value and its key.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) key_at: Position,
    node: &'n Node,
}

impl Field<'_> {
    /// Whether the value is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    /// Whether the value is neither a list nor a mapping, and there is one.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(
            self.node.value,
            Value::Null | Value::Sequence(_) | Value::Mapping(_)
        )
    }

    /// Whether the value is a mapping.
    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    /// The position of the value, or of its key if there is no value.
    pub(super) fn at(&self) -> Position {
        match self.node.value {
            Value::Null => self.key_at,
            _ => self.node.at,
        }
    }
}

/// A mapping of the file.
#[derive(Debug)]
pub(super) struct Section<'n> {
    path: String,
    /// The position of its key, where missing keys are reported.
    at: Position,
    fields: Vec<(&'n str, Field<'n>)>,
}

impl<'n> Section<'n> {
    /// The field of a key, if the file has that key.
    pub(super) fn field(&self, key: &str) -> Option<&Field<'n>> {
        self.fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, field)| field)
    }

    /// All keys with their fields, in file order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'n str, &Field<'n>)> {
        self.fields.iter().map(|(name, field)| (*name, field))
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// Reads values and collects their problems.
pub(super) struct Reader<'a> {
    environment: Environment<'a>,
    /// All sections, for hints about the right section of a key.
    schemas: &'static [Schema],
    flaws: Vec<Flaw>,
    /// The values that are not known, if variables that are not set are no problem; otherwise `None`.
    open: Option<Vec<Open>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: Environment<'a>, schemas: &'static [Schema]) -> Self {
        Self {
            environment,
            schemas,
            flaws: Vec::new(),
            open: None,
        }
    }

    /// Leaves values open whose variables are not set.
    pub(super) fn leaving_open(mut self) -> Self {
        self.open = Some(Vec::new());
        self
    }

    /// The problems, and the values that are open.
    pub(super) fn finish(self) -> (Vec<Flaw>, Vec<Open>) {
        (self.flaws, self.open.unwrap_or_default())
    }

    /// The number of problems and open values so far. If it does not change, everything read in between is known and
    /// valid.
    pub(super) fn flaw_count(&self) -> usize {
        self.flaws.len() + self.open_count()
    }

    fn open_count(&self) -> usize {
        self.open.as_ref().map_or(0, Vec::len)
    }

    /// Reports a problem of a field, at its value.
    pub(super) fn report(&mut self, field: &Field<'_>, message: &str) {
        self.report_at(field.at(), &field.path, message);
    }

    /// Reports a problem at any position.
    pub(super) fn report_at(&mut self, at: Position, path: &str, message: &str) {
        let message = if path.is_empty() {
            message.to_owned()
        } else {
            format!("{path}: {message}")
        };
        self.flaws.push(Flaw::new(at, message));
    }

    /// The whole file as a section.
    pub(super) fn root<'n>(&mut self, node: &'n Node, schema: &Schema) -> Option<Section<'n>> {
        let field = Field {
            path: String::new(),
            key_at: Position::START,
            node,
        };
        if matches!(node.value, Value::Null) {
            self.report(&field, "the file is empty");
            return None;
        }
        self.section(&field, schema)
    }

    /// A mapping that has only the keys of its schema.
    pub(super) fn section<'n>(
        &mut self,
        field: &Field<'n>,
        schema: &Schema,
    ) -> Option<Section<'n>> {
        let section = self.mapping(field)?;
        for (key, field) in section
            .fields()
            .filter(|(key, _)| !schema.keys.contains(key))
        {
            let hint = self
                .meant_key(key, schema)
                .map(|key| format!("; did you mean `{key}`?"));
            let message = format!("unknown key{}", hint.unwrap_or_default());
            self.report_at(field.key_at, &field.path, &message);
        }
        Some(section)
    }

    /// The key that the user meant: a similar one in this section, or the same or a similar one elsewhere.
    fn meant_key(&self, key: &str, schema: &Schema) -> Option<String> {
        if let Some(meant) = nearest(key, schema.keys.iter().copied()) {
            return Some(meant.to_owned());
        }
        let mut others = self.schemas.iter().filter(|other| *other != schema);
        let meant = |other: &Schema| {
            nearest(key, other.keys.iter().copied()).map(|key| join(other.path, key))
        };
        others.find_map(meant)
    }

    /// A mapping with any keys. A missing value counts as an empty mapping, because its keys may be commented out.
    pub(super) fn mapping<'n>(&mut self, field: &Field<'n>) -> Option<Section<'n>> {
        let entries = match &field.node.value {
            Value::Mapping(entries) => entries.as_slice(),
            Value::Null => &[],
            other => {
                let message = format!("must be a mapping of keys to values, not {}", kind(other));
                self.report(field, &message);
                return None;
            }
        };
        let mut fields: Vec<(&str, Field<'_>)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let Value::Text(name) = &key.value else {
                let message = format!(
                    "keys must be text (put it in quotes), not {}",
                    kind(&key.value)
                );
                self.report_at(key.at, &field.path, &message);
                continue;
            };
            let path = join(&field.path, &printable(name));
            if let Some((_, first)) = fields.iter().find(|(known, _)| known == name) {
                let message = format!("duplicate key; first given in line {}", first.key_at.line);
                self.report_at(key.at, &path, &message);
                continue;
            }
            fields.push((
                name,
                Field {
                    path,
                    key_at: key.at,
                    node,
                },
            ));
        }
        Some(Section {
            path: field.path.clone(),
            at: field.key_at,
            fields,
        })
    }

    /// The field of a required key.
    pub(super) fn required<'s, 'n>(
        &mut self,
        section: &'s Section<'n>,
        key: &str,
    ) -> Option<&'s Field<'n>> {
        let field = section.field(key);
        if field.is_none() {
            self.report_at(
                section.at,
                &join(&section.path, key),
                "missing, and has no default",
            );
        }
        field
    }

    /// Reads a scalar.
    pub(super) fn scalar<T>(
        &mut self,
        field: &Field<'_>,
        show: Show,
        parse: impl FnOnce(Scalar) -> Result<T, Invalid>,
    ) -> Option<T> {
        let mut substituted = false;
        let scalar = match &field.node.value {
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Integer(value) => Scalar::Integer(*value),
            Value::Float => Scalar::Float,
            Value::Text(text) => match substitute(text, self.environment) {
                Ok(value) => {
                    substituted = value.changed;
                    if substituted {
                        Scalar::Filled(value.text)
                    } else {
                        Scalar::Text(value.text)
                    }
                }
                Err(failures) => {
                    for failure in failures {
                        self.fail(field, failure);
                    }
                    return None;
                }
            },
            other @ (Value::Null | Value::Sequence(_) | Value::Mapping(_)) => {
                let message = format!("must be a single value, not {}", kind(other));
                self.report(field, &message);
                return None;
            }
        };
        parse(scalar)
            .map_err(|invalid| {
                let message = refusal(&invalid, &field.node.source, show, substituted);
                self.report(field, &message);
            })
            .ok()
    }

    /// A variable that is not set leaves the value open, or is a problem.
    fn fail(&mut self, field: &Field<'_>, failure: Failure) {
        match (failure, &mut self.open) {
            (Failure::Unset(variable), Some(open)) => open.push(Open {
                at: field.at(),
                key: field.path.clone(),
                variable,
            }),
            (failure, _) => self.report(field, &failure.to_string()),
        }
    }

    /// Reads a secret, or returns `unknown` if it is left open: no rule depends on the value of a secret.
    pub(super) fn secret<T>(
        &mut self,
        field: &Field<'_>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
        unknown: T,
    ) -> Option<T> {
        let (flaws, open) = (self.flaws.len(), self.open_count());
        let secret = self.text(field, Show::No, parse);
        let is_open = self.flaws.len() == flaws && self.open_count() > open;
        secret.or_else(|| is_open.then_some(unknown))
    }

    /// Reads a scalar as text.
    pub(super) fn text<T>(
        &mut self,
        field: &Field<'_>,
        show: Show,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.scalar(field, show, |scalar| match scalar {
            Scalar::Text(text) | Scalar::Filled(text) => parse(&text),
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float => {
                Err(Invalid::new("must be text: put it in quotes"))
            }
        })
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        self.scalar(field, Show::Yes, |scalar| match scalar {
            Scalar::Bool(value) => Ok(value),
            Scalar::Filled(text) if text == "true" => Ok(true),
            Scalar::Filled(text) if text == "false" => Ok(false),
            Scalar::Text(text) if text == "true" || text == "false" => {
                Err(Invalid::new("must be true or false: leave the quotes out"))
            }
            _ => Err(Invalid::new("must be `true` or `false`")),
        })
    }

    /// Reads a whole number in an inclusive range.
    pub(super) fn whole<T>(&mut self, field: &Field<'_>, from: T, to: T) -> Option<T>
    where
        T: Copy + PartialOrd + fmt::Display + TryFrom<i128>,
    {
        self.number(field, |number| {
            let number = number.and_then(|number| T::try_from(number).ok());
            let number = number.filter(|number| from <= *number && *number <= to);
            number
                .ok_or_else(|| Invalid::new(format!("must be a whole number from {from} to {to}")))
        })
    }

    /// Reads a number. `parse` gets `None` for anything except a whole number.
    pub(super) fn number<T>(
        &mut self,
        field: &Field<'_>,
        parse: impl FnOnce(Option<i128>) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.scalar(field, Show::Yes, |scalar| match scalar {
            Scalar::Integer(value) => parse(Some(value)),
            Scalar::Filled(text) => parse(text.parse().ok()),
            Scalar::Bool(_) | Scalar::Float => parse(None),
            Scalar::Text(text) if text.parse::<i128>().is_ok() => {
                Err(Invalid::new("must be a number: leave the quotes out"))
            }
            Scalar::Text(_) => parse(None),
        })
    }

    /// The items of a list, each as a field.
    pub(super) fn list<'n>(&mut self, field: &Field<'n>) -> Option<Vec<Field<'n>>> {
        let Value::Sequence(nodes) = &field.node.value else {
            let message = format!("must be a list, not {}", kind(&field.node.value));
            self.report(field, &message);
            return None;
        };
        let item = |(index, node): (usize, &'n Node)| Field {
            path: format!("{}[{index}]", field.path),
            key_at: node.at,
            node,
        };
        Some(nodes.iter().enumerate().map(item).collect())
    }
}

/// The message for a value that is not accepted.
fn refusal(invalid: &Invalid, source: &str, show: Show, substituted: bool) -> String {
    let mut message = invalid.must.clone();
    if show == Show::Yes {
        if source.is_empty() {
            message.push_str(", not empty");
        } else {
            // The source contains variables by name, without their values.
            message.push_str(&format!(", not `{}`", printable(source)));
        }
    }
    if show == Show::No && substituted {
        let names = variables(source);
        if !names.is_empty() {
            message.push_str(&format!("; it comes from {}", names.join(" and ")));
        }
    }
    // A hint can repeat part of the value.
    if let Some(hint) = invalid
        .hint
        .as_ref()
        .filter(|_| show == Show::Yes && !substituted)
    {
        message.push_str(&format!("; {hint}"));
    }
    message
}

/// A text of the file, shortened and on one line.
fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .flat_map(shown_character)
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn shown_character(c: char) -> impl Iterator<Item = char> {
    // Control characters could move the cursor of the terminal that shows the message.
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

fn kind<N>(value: &Value<N>) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Integer(_) | Value::Float => "a number",
        Value::Text(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

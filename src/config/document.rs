//! A YAML file as values with their positions.
//!
//! Two readers must agree on the file: `serde_yaml` provides the values, [`locate`] their positions. Unlike
//! `serde_yaml::Value`, the values keep duplicate keys, so that these can be reported together with all other problems.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::locate::{Place, Shape, locate};
use super::problem::{Flaw, Position};

/// Maximum size of the file in bytes: more than the mapping rules that fit into a stack's parameters usually need.
const MAX_SIZE: usize = 1024 * 1024;

/// Line separators of YAML 1.1 that are text in YAML 1.2. Some editors insert them, and no editor shows them.
const SEPARATORS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// A value and its start position.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    /// A scalar as written, without quotes; empty for collections.
    pub(super) source: String,
    pub(super) value: Value<Node>,
}

/// The value of a node whose children are of type `N`.
#[derive(Debug)]
pub(super) enum Value<N> {
    Null,
    Bool(bool),
    /// Whole numbers beyond 128 bits are clamped: no setting is that large.
    Integer(i128),
    Float,
    Text(String),
    Sequence(Vec<N>),
    Mapping(Vec<(N, N)>),
}

/// A value without its position.
struct Unplaced(Value<Unplaced>);

/// Parses the text of a configuration file.
///
/// # Errors
/// Problems that prevent reading the file at all. Later checks cannot add to them.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Flaw>> {
    // Editors on Windows write a byte order mark there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_SIZE {
        let message = format!("the file is larger than {} KiB", MAX_SIZE / 1024);
        return Err(vec![Flaw::new(Position::START, message)]);
    }
    if let Some((before, separator)) = text
        .char_indices()
        .find(|(_, c)| SEPARATORS.contains(c))
        .map(|(at, c)| (&text[..at], c))
    {
        let line = before.split('\n').count();
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = format!(
            "an invisible line separator (U+{:04X})",
            u32::from(separator)
        );
        return Err(vec![Flaw::new(Position { line, column }, message)]);
    }
    let place = locate(text)?;
    let place = place.ok_or_else(|| vec![Flaw::new(Position::START, "the file is empty")])?;
    let value =
        serde_yaml::from_str::<Unplaced>(text).map_err(|error| vec![syntax_flaw(&error)])?;
    join(place, value).map_err(|at| {
        vec![Flaw::new(
            at,
            "can be read in two ways: write it more plainly, or in quotes",
        )]
    })
}

fn syntax_flaw(error: &serde_yaml::Error) -> Flaw {
    let at = error
        .location()
        .map_or(Position::START, |location| Position {
            line: location.line().max(1),
            column: location.column().max(1),
        });
    // The message repeats the position at its end.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Flaw::new(at, message)
}

/// Combines values with their positions.
///
/// # Errors
/// The first position at which the two readers disagree.
fn join(place: Place, value: Unplaced) -> Result<Node, Position> {
    let at = place.at;
    let (source, value) = match (place.shape, value.0) {
        (Shape::Scalar(source), Value::Null) => (source, Value::Null),
        (Shape::Scalar(source), Value::Bool(value)) => (source, Value::Bool(value)),
        (Shape::Scalar(source), Value::Integer(value)) => (source, Value::Integer(value)),
        (Shape::Scalar(source), Value::Float) => (source, Value::Float),
        (Shape::Scalar(source), Value::Text(text)) if source == text => (source, Value::Text(text)),
        (Shape::Sequence(places), Value::Sequence(values)) if places.len() == values.len() => {
            let nodes = places
                .into_iter()
                .zip(values)
                .map(|(place, value)| join(place, value));
            (
                String::new(),
                Value::Sequence(nodes.collect::<Result<_, _>>()?),
            )
        }
        (Shape::Mapping(places), Value::Mapping(values)) if places.len() == values.len() => {
            let nodes = places
                .into_iter()
                .zip(values)
                .map(|(place, value)| Ok((join(place.0, value.0)?, join(place.1, value.1)?)));
            (
                String::new(),
                Value::Mapping(nodes.collect::<Result<_, _>>()?),
            )
        }
        _ => return Err(at),
    };
    Ok(Node { at, source, value })
}

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnplacedVisitor).map(Self)
    }
}

struct UnplacedVisitor;

impl<'de> Visitor<'de> for UnplacedVisitor {
    type Value = Value<Unplaced>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Self::Value, E> {
        Ok(Value::Integer(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Float)
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(Value::Sequence(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(text: &str) -> Vec<String> {
        let show = |flaw: Flaw| format!("{}:{} {}", flaw.at.line, flaw.at.column, flaw.message);
        parse(text).err().into_iter().flatten().map(show).collect()
    }

    fn outline(node: &Node) -> String {
        let at = format!("{}:{}", node.at.line, node.at.column);
        match &node.value {
            Value::Null => format!("null@{at}"),
            Value::Bool(value) => format!("{value}@{at}"),
            Value::Integer(value) => format!("{value}@{at}"),
            Value::Float => format!("float@{at}"),
            Value::Text(text) => format!("{text:?}@{at}"),
            Value::Sequence(items) => format!(
                "[{}]",
                items.iter().map(outline).collect::<Vec<_>>().join(" ")
            ),
            Value::Mapping(entries) => {
                let entry =
                    |(key, value): &(Node, Node)| format!("{}={}", outline(key), outline(value));
                format!(
                    "{{{}}}",
                    entries.iter().map(entry).collect::<Vec<_>>().join(" ")
                )
            }
        }
    }

    fn outlined(text: &str) -> String {
        parse(text).map_or_else(|flaws| format!("{flaws:?}"), |node| outline(&node))
    }

    #[test]
    fn places_every_value() {
        assert_eq!(
            outlined("a: 1\nb:\n  - x\n  -   \"ÿ\": [true, 1.5]\na: 2\n"),
            "{\"a\"@1:1=1@1:4 \"b\"@2:1=[\"x\"@3:5 {\"ÿ\"@4:7=[true@4:13 float@4:19]}] \"a\"@5:1=2@5:4}",
        );
    }

    #[test]
    fn reads_other_line_breaks_and_a_byte_order_mark() {
        let same = "{\"a\"@1:1=1@1:4 \"b\"@2:1=\"c d\"@2:4}";
        assert_eq!(outlined("\u{feff}a: 1\r\nb: c\r\n  d\r\n"), same);
        assert_eq!(outlined("---\na: 1\n...\n"), "{\"a\"@2:1=1@2:4}");
        assert_eq!(outlined("a: |\n  x\n  y\n"), "{\"a\"@1:1=\"x\\ny\\n\"@2:3}");
    }

    #[test]
    fn refuses_what_the_configuration_has_no_use_for() {
        for text in ["", "# nothing\n", "\n\n"] {
            assert_eq!(flaws(text), ["1:1 the file is empty"]);
        }
        assert_eq!(
            flaws("a: 1\n---\nb: 2\n"),
            ["2:1 a second document begins here: the file must hold one"]
        );
        let anchors = "anchors and aliases (`&`, `*`) are not supported: write the value out, in quotes if it begins so";
        assert_eq!(
            flaws("a: &x 1\nb: *x\nc: !!int s3cret\n"),
            [
                format!("1:4 {anchors}"),
                format!("2:4 {anchors}"),
                "3:4 tags (`!`) are not supported: write the plain value, in quotes if it begins so".to_owned(),
            ],
        );
        assert_eq!(
            flaws(&format!("a: {}", "[".repeat(100))),
            ["1:19 nested too deeply"]
        );
        assert_eq!(
            flaws("a: 1\nö: x\u{2028}y\n"),
            ["2:5 an invisible line separator (U+2028)"]
        );
        let deep: String = (0..40)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect();
        assert_eq!(flaws(&deep), ["17:17 nested too deeply"]);
        assert_eq!(
            flaws(&format!("a: {}", "x".repeat(MAX_SIZE))),
            ["1:1 the file is larger than 1024 KiB"]
        );
    }

    #[test]
    fn a_bomb_of_aliases_is_not_unfolded() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (from, to) in ('a'..'i').zip('b'..='i') {
            bomb += &format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", "));
        }
        assert!(
            flaws(&bomb)
                .iter()
                .all(|flaw| flaw.contains("anchors and aliases"))
        );
        assert!(!flaws("a: &a [*a]\n").is_empty());
    }

    #[test]
    fn syntax_errors_have_a_position_and_no_content() {
        for text in [
            "a: [s3cret",
            "a: \"s3cret",
            "a: 1\n b: s3cret",
            "\ta: s3cret",
            "a: s3cret: x",
            "@s3cret",
            "a: 'x' s3cret",
        ] {
            let flaws = flaws(text);
            assert_eq!(flaws.len(), 1, "{text:?}: {flaws:?}");
            assert!(!flaws[0].contains("s3cret"), "{flaws:?}");
        }
    }
}

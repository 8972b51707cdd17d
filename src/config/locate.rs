//! The positions of all nodes in a YAML file.
//!
//! `serde_yaml` returns values without positions, so the file is read a second time, as a stream of marked events, into
//! a tree of the same shape. Features that the configuration does not need are refused here, before any value is read:
//! tags (they could change the type of a value), anchors and aliases (a few lines can expand to gigabytes), multiple
//! documents, and deep nesting.

use saphyr_parser::{Event, Marker, Parser, Tag};

use super::problem::{Flaw, Position};

/// Maximum nesting depth. The configuration itself needs four levels.
const MAX_DEPTH: usize = 16;

/// A node of the file and its start position.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: Position,
    pub(super) shape: Shape,
}

/// The shape of a node, as far as positions need it.
#[derive(Debug)]
pub(super) enum Shape {
    /// The text of the file with quotes and escapes resolved; also empty for a missing value.
    Scalar(String),
    Sequence(Vec<Place>),
    Mapping(Vec<(Place, Place)>),
}

/// A collection that is still being read. In mappings, keys and values alternate.
struct Open {
    at: Position,
    mapping: bool,
    children: Vec<Place>,
}

impl Open {
    fn close(self) -> Place {
        let Self {
            at,
            mapping,
            children,
        } = self;
        let shape = if mapping {
            Shape::Mapping(pairs(children))
        } else {
            Shape::Sequence(children)
        };
        Place { at, shape }
    }
}

fn pairs(children: Vec<Place>) -> Vec<(Place, Place)> {
    let mut pairs = Vec::with_capacity(children.len() / 2);
    let mut children = children.into_iter();
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// Reads the positions of the one document in `text`; `None` if there is no document.
///
/// # Errors
/// The first syntax error, or everything that is valid YAML but not accepted here.
pub(super) fn locate(text: &str) -> Result<Option<Place>, Vec<Flaw>> {
    let mut parser = Parser::new_from_str(text);
    let mut flaws = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                flaws.push(Flaw::new(position(error.marker()), error.info()));
                return Err(flaws);
            }
        };
        let at = position(&span.start);
        flaws.extend(refusal(&event).map(|message| Flaw::new(at, message)));
        let closed = match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    flaws.push(Flaw::new(
                        at,
                        "a second document begins here: the file must hold one",
                    ));
                    return Err(flaws);
                }
                None
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == MAX_DEPTH {
                    flaws.push(Flaw::new(at, "nested too deeply"));
                    return Err(flaws);
                }
                let mapping = matches!(event, Event::MappingStart(..));
                open.push(Open {
                    at,
                    mapping,
                    children: Vec::new(),
                });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(Open::close),
            Event::Scalar(text, ..) => Some(Place {
                at,
                shape: Shape::Scalar(text.into_owned()),
            }),
            // Refused above. The placeholder keeps keys and values aligned.
            Event::Alias(_) => Some(Place {
                at,
                shape: Shape::Scalar(String::new()),
            }),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => None,
        };
        if let Some(place) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(place),
                None => root = Some(place),
            }
        }
    }
    if flaws.is_empty() {
        Ok(root)
    } else {
        Err(flaws)
    }
}

/// Why an event is not accepted. Messages never repeat the event's content, because it may be a secret.
fn refusal(event: &Event<'_>) -> Option<&'static str> {
    const ANCHOR: &str = "anchors and aliases (`&`, `*`) are not supported: write the value out, in quotes if it begins so";
    const TAG: &str =
        "tags (`!`) are not supported: write the plain value, in quotes if it begins so";
    let (anchor, tag): (usize, Option<&Tag>) = match event {
        Event::Alias(_) => return Some(ANCHOR),
        Event::Scalar(_, _, anchor, tag) => (*anchor, tag.as_deref()),
        Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
            (*anchor, tag.as_deref())
        }
        _ => return None,
    };
    // The parser numbers anchors from 1.
    if anchor != 0 {
        Some(ANCHOR)
    } else {
        tag.map(|_| TAG)
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

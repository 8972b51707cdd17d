//! An index of path patterns, so that a path is compared with all of them at once. The time for a path does not depend on
//! how many patterns there are, only on how many match.
//!
//! The patterns are a tree: those that begin in the same way share the nodes of their beginning. A path is read once, byte
//! by byte, with all nodes that its beginning can lead to.

use std::mem;

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// This text.
    Text(&'a str),
    /// One or more bytes for which [`is_in_parameter`] holds.
    Parameter,
}

/// Whether a byte can be a part of what a `{name}` matches: all of an escaped path segment except `[` and `]`.
pub(crate) const fn is_in_parameter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-'
                | b'.'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b'@'
                | b':'
        )
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// What leads to this node; empty for the root and for a parameter.
    text: Vec<u8>,
    is_parameter: bool,
    /// The nodes that begin with a text, by its first byte, sorted.
    texts: Vec<(u8, u32)>,
    parameter: Option<u32>,
    /// The patterns that end here and match all paths that begin like this.
    open: Vec<u32>,
    /// The patterns that end here and match only whole paths.
    whole: Vec<u32>,
}

/// The patterns, by numbers.
#[derive(Debug, Clone)]
pub(crate) struct Index(Vec<Node>);

/// A node, and how much of its text was read.
type Place = (u32, u32);

impl Index {
    pub(crate) fn new() -> Self {
        Self(vec![Node::default()])
    }

    /// Adds a pattern. Without `whole`, it matches all paths that begin like it.
    pub(crate) fn add(&mut self, parts: &[Part<'_>], whole: bool, number: u32) {
        let mut node = 0;
        for part in parts {
            node = match part {
                Part::Text(text) => self.text(node, text.as_bytes()),
                Part::Parameter => self.parameter(node),
            };
        }
        let node = &mut self.0[node];
        let ends = if whole {
            &mut node.whole
        } else {
            &mut node.open
        };
        ends.push(number);
    }

    fn push(&mut self, node: Node) -> (usize, u32) {
        self.0.push(node);
        let at = self.0.len() - 1;
        // Every node is for at least one byte of a pattern, and those are far fewer.
        (at, u32::try_from(at).unwrap_or(u32::MAX))
    }

    fn parameter(&mut self, from: usize) -> usize {
        if let Some(known) = self.0[from].parameter {
            return known as usize;
        }
        let (at, number) = self.push(Node {
            is_parameter: true,
            ..Node::default()
        });
        self.0[from].parameter = Some(number);
        at
    }

    fn text(&mut self, mut from: usize, mut text: &[u8]) -> usize {
        while let Some(first) = text.first() {
            let position = self.0[from]
                .texts
                .binary_search_by_key(first, |(byte, _)| *byte);
            let next = match position {
                Ok(position) => self.0[from].texts[position].1 as usize,
                Err(position) => {
                    let (at, number) = self.push(Node {
                        text: text.to_vec(),
                        ..Node::default()
                    });
                    self.0[from].texts.insert(position, (*first, number));
                    return at;
                }
            };
            let known = &self.0[next].text;
            let same = known.iter().zip(text).take_while(|(a, b)| a == b).count();
            if same < known.len() {
                self.split(next, same);
            }
            from = next;
            text = &text[same..];
        }
        from
    }

    /// Divides a node: its first bytes stay, and the rest becomes a node after it.
    fn split(&mut self, at: usize, length: usize) {
        let mut rest = mem::take(&mut self.0[at]);
        let text = rest.text[..length].to_vec();
        rest.text.drain(..length);
        let first = rest.text[0];
        let (_, number) = self.push(rest);
        self.0[at] = Node {
            text,
            texts: vec![(first, number)],
            ..Node::default()
        };
    }

    /// The numbers of the patterns that match, ascending, each once.
    pub(crate) fn find(&self, path: &str) -> Vec<u32> {
        let mut found = self.0[0].open.clone();
        let mut places: Vec<Place> = vec![(0, 0)];
        let mut next: Vec<Place> = Vec::new();
        for byte in path.bytes() {
            for (number, read) in places.drain(..) {
                self.step((number, read), byte, &mut next, &mut found);
            }
            mem::swap(&mut places, &mut next);
            if places.is_empty() {
                break;
            }
        }
        for (number, read) in places {
            let node = &self.0[number as usize];
            if read as usize == node.text.len() {
                found.extend(&node.whole);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The places to which a byte leads from a place.
    fn step(&self, (number, read): Place, byte: u8, next: &mut Vec<Place>, found: &mut Vec<u32>) {
        let node = &self.0[number as usize];
        if let Some(expected) = node.text.get(read as usize) {
            if *expected == byte {
                self.reach((number, read + 1), next, found);
            }
            return;
        }
        if let Ok(position) = node.texts.binary_search_by_key(&byte, |(first, _)| *first) {
            self.reach((node.texts[position].1, 1), next, found);
        }
        if is_in_parameter(byte) {
            if node.is_parameter && !next.contains(&(number, 0)) {
                // What ends here was found with the first byte.
                next.push((number, 0));
            }
            if let Some(parameter) = node.parameter {
                self.reach((parameter, 0), next, found);
            }
        }
    }

    fn reach(&self, place: Place, next: &mut Vec<Place>, found: &mut Vec<u32>) {
        let (number, read) = place;
        let node = &self.0[number as usize];
        // A parameter is reached from itself and from the node before it.
        if node.is_parameter && next.contains(&place) {
            return;
        }
        next.push(place);
        if read as usize == node.text.len() {
            found.extend(&node.open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &[(&[Part<'_>], bool)], path: &str) -> Vec<u32> {
        let mut index = Index::new();
        for (number, (parts, whole)) in (0..).zip(patterns) {
            index.add(parts, *whole, number);
        }
        index.find(path)
    }

    #[test]
    fn finds_every_pattern_that_matches() {
        use Part::{Parameter, Text};
        let patterns: [(&[Part<'_>], bool); 8] = [
            (&[], false),
            (&[], true),
            (&[Text("/orders")], false),
            (&[Text("/orders")], true),
            (&[Text("/orders/"), Parameter], true),
            (&[Text("/orders/"), Parameter, Text("/lines")], false),
            (&[Text("/order"), Parameter], false),
            (&[Text("/o"), Parameter, Parameter, Text("s")], true),
        ];
        for (path, numbers) in [
            ("", vec![0, 1]),
            ("/", vec![0]),
            ("/order", vec![0]),
            ("/orders", vec![0, 2, 3, 6, 7]),
            ("/orders/", vec![0, 2, 6]),
            ("/orders/7", vec![0, 2, 4, 6]),
            ("/orders/7/lines/1", vec![0, 2, 5, 6]),
            ("/orders/7/8/lines", vec![0, 2, 6]),
            ("/os", vec![0]),
            ("/oars", vec![0, 7]),
        ] {
            assert_eq!(found(&patterns, path), numbers, "{path}");
        }
    }

    #[test]
    fn a_parameter_can_contain_the_text_after_it() {
        use Part::{Parameter, Text};
        let pattern: [(&[Part<'_>], bool); 1] = [(&[Text("/"), Parameter, Text("ab")], true)];
        for (path, matches) in [
            ("/xab", true),
            ("/abab", true),
            ("/aabab", true),
            ("/ab", false),
            ("/xabx", false),
            ("/x/ab", false),
        ] {
            assert_eq!(!found(&pattern, path).is_empty(), matches, "{path}");
        }
    }
}

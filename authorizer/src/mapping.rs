//! Mapping rules: which metrics a request counts toward, with APIcast's exact semantics.
//!
//! APIcast turns a pattern into a regular expression with a few textual replacements and leaves the rest to PCRE. This
//! module does the same with `regex-lite`, which supports the syntax that patterns can contain and is linear in time.
//! Patterns of text and parameters alone, which most are, are compared without it, all at once (`patterns`).

mod reading;

use std::collections::HashSet;
use std::fmt::Write as _;

use regex_lite::Regex;

use self::reading::{Reading, has_dots_or_slashes, is_plain, normalize};
use crate::event::Request;
use crate::patterns::{Index, Part};
use crate::settings::RuleSettings;

/// What a `{name}` of a pattern matches: all characters of an escaped path segment except `[` and `]`.
const PARAMETER: &str = r"[A-Za-z0-9_\-.~%!$&'()*+,;=@:]+";

/// The compiled rules, in their order.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    /// The beginnings of the rules' patterns, by the place of the rule.
    index: Index,
}

#[derive(Debug, Clone)]
struct Rule {
    /// `None` for `ANY`.
    method: Option<String>,
    path: PathPattern,
    query: Vec<(String, Expected)>,
    metric: String,
    delta: u64,
    last: bool,
}

#[derive(Debug, Clone)]
enum PathPattern {
    /// What the index says.
    Indexed,
    /// An expression; the index has the text that every match begins with.
    Expression(Regex),
    /// An invalid expression. APIcast continues as if the rule did not match.
    Never,
}

#[derive(Debug, Clone)]
enum Expected {
    Any,
    Equal(String),
}

/// The usage of a request: metrics with amounts, each metric once, in the order of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage(pub Vec<(String, u64)>);

/// The path can be understood in two ways that count differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

impl Usage {
    /// Whether this usage has at least the other one's amount of every metric.
    fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(metric, amount)| {
            let own = self.0.iter().find(|(name, _)| name == metric);
            own.is_some_and(|(_, own)| own >= amount)
        })
    }

    /// Adds to a metric. The sum is limited so that it is exact as a 64-bit counter and as a Lua number.
    pub fn add(&mut self, metric: &str, amount: u64) {
        const LIMIT: u64 = 1 << 52;
        match self.0.iter_mut().find(|(name, _)| name == metric) {
            Some((_, sum)) => *sum = sum.saturating_add(amount).min(LIMIT),
            None => self.0.push((metric.to_owned(), amount.min(LIMIT))),
        }
    }

    /// The metrics with their amounts, for example `hits=1,orders=2`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (metric, amount) in &self.0 {
            if !text.is_empty() {
                text.push(',');
            }
            // Writing to a String cannot fail.
            let _ = write!(text, "{metric}={amount}");
        }
        text
    }
}

impl Rules {
    /// Compiles the rules. Without any, each request is one hit.
    #[must_use]
    pub fn new(rules: &[RuleSettings]) -> Self {
        let mut index = Index::new();
        if rules.is_empty() {
            index.add(&[], false, 0);
            let every = Rule {
                method: None,
                path: PathPattern::Indexed,
                query: Vec::new(),
                metric: "hits".to_owned(),
                delta: 1,
                last: false,
            };
            let rules = vec![every];
            return Self { rules, index };
        }
        let rules = (0..).zip(rules);
        let rules = rules.map(|(number, rule)| Rule::new(rule, number, &mut index));
        Self {
            rules: rules.collect(),
            index,
        }
    }

    /// All metrics of the rules, each once.
    #[must_use]
    pub fn metrics(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let metrics = self.rules.iter().map(|rule| &rule.metric);
        let first = metrics.filter(|metric| seen.insert(metric.as_str()));
        first.cloned().collect()
    }

    /// The number of rules that can never match because their pattern is not a valid regular expression.
    #[must_use]
    pub fn unusable(&self) -> usize {
        let never = |rule: &&Rule| matches!(rule.path, PathPattern::Never);
        self.rules.iter().filter(never).count()
    }

    /// The usage of a request; empty if no rule matches.
    ///
    /// # Errors
    /// The backend of the API may see another path than the mapping rules, and that one counts differently.
    pub fn usage_of(&self, request: &Request<'_>) -> Result<Usage, Ambiguous> {
        let (path, decoded) = (request.path.as_ref(), request.path_is_decoded);
        let read = |reading| {
            let path = normalize(path, decoded, reading);
            self.count(&request.method, &path, &request.query)
        };
        let usage = read(Reading::APICAST);
        if !is_plain(path) && has_dots_or_slashes(path, decoded) {
            for reading in Reading::OTHERS {
                let other = read(reading);
                if !(usage.covers(&other) && other.covers(&usage)) {
                    return Err(Ambiguous);
                }
            }
        }
        self.largest(request, usage)
    }

    /// The largest one of this usage and those of the other paths that the request may mean.
    fn largest(&self, request: &Request<'_>, mut usage: Usage) -> Result<Usage, Ambiguous> {
        for path in others(request) {
            let path = normalize(path, request.path_is_decoded, Reading::APICAST);
            let other = self.count(&request.method, &path, &request.query);
            if usage.covers(&other) {
                continue;
            }
            if !other.covers(&usage) {
                return Err(Ambiguous);
            }
            usage = other;
        }
        Ok(usage)
    }

    /// The usage of an encoded path as APIcast reads it; empty if no rule matches. `query` is decoded.
    #[must_use]
    pub fn usage<N: AsRef<str>, V: AsRef<str>>(
        &self,
        method: &str,
        path: &str,
        query: &[(N, V)],
    ) -> Usage {
        self.count(method, &normalize(path, false, Reading::APICAST), query)
    }

    /// The usage of a normalized path.
    fn count<N: AsRef<str>, V: AsRef<str>>(
        &self,
        method: &str,
        path: &str,
        query: &[(N, V)],
    ) -> Usage {
        let mut usage = Usage::default();
        let found = self.index.find(path);
        let found = found
            .into_iter()
            .filter_map(|at| self.rules.get(at as usize));
        for rule in found {
            if rule.matches(method, path, query) {
                usage.add(&rule.metric, rule.delta);
                if rule.last {
                    break;
                }
            }
        }
        usage
    }
}

impl Rule {
    /// Compiles a rule, and adds its pattern to the index.
    fn new(rule: &RuleSettings, number: u32, index: &mut Index) -> Self {
        let mut pattern = String::with_capacity(rule.pattern.len());
        for character in rule.pattern.chars() {
            if !(character == '/' && pattern.ends_with('/')) {
                pattern.push(character);
            }
        }
        let path = pattern.split('?').next().unwrap_or_default();
        let query = rule.pattern.split_once('?').map_or("", |(_, query)| query);
        Self {
            method: (rule.method != "ANY").then(|| rule.method.clone()),
            path: PathPattern::new(path, number, index),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    let expected = if has_parameter(value) {
                        Expected::Any
                    } else {
                        Expected::Equal(value.to_owned())
                    };
                    (name.to_owned(), expected)
                })
                .collect(),
            metric: rule.metric.trim().to_owned(),
            delta: rule.delta,
            last: rule.last,
        }
    }

    /// Whether a rule matches of which the index says that it may.
    fn matches<N: AsRef<str>, V: AsRef<str>>(
        &self,
        method: &str,
        path: &str,
        query: &[(N, V)],
    ) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.matches(path)
            && self.query.iter().all(|(name, expected)| {
                let value = query
                    .iter()
                    .rev()
                    .find(|(key, _)| key.as_ref() == name)
                    .map(|(_, value)| value.as_ref());
                match (expected, value) {
                    (_, None) => false,
                    (Expected::Any, Some(_)) => true,
                    (Expected::Equal(wanted), Some(value)) => wanted == value,
                }
            })
    }
}

/// Whether the text contains a `{…}` with at least one character inside.
fn has_parameter(text: &str) -> bool {
    text.find('{')
        .is_some_and(|open| text[open + 1..].chars().skip(1).any(|c| c == '}'))
}

/// The characters that mean something in an expression.
fn is_special(character: char) -> bool {
    "{}$*+()|[]^\\".contains(character)
}

impl PathPattern {
    fn new(pattern: &str, number: u32, index: &mut Index) -> Self {
        let (text, whole) = match pattern.strip_suffix('$') {
            Some(text) => (text, true),
            None => (pattern, false),
        };
        let parts = parts(text);
        let is_plain = |part: &Part<'_>| match part {
            Part::Text(text) => !text.contains(is_special),
            Part::Parameter => true,
        };
        if parts.iter().all(is_plain) {
            index.add(&parts, whole, number);
            return Self::Indexed;
        }
        let mut prefix: &str = pattern.split(is_special).next().unwrap_or_default();
        let next = pattern[prefix.len()..].chars().next();
        if matches!(next, Some('*' | '+')) {
            // The repetition applies to the character before it.
            prefix = prefix
                .char_indices()
                .next_back()
                .map_or("", |(last, _)| &prefix[..last]);
        }
        if pattern.contains('|') {
            prefix = "";
        }
        match Regex::new(&expression(&self::parts(pattern))) {
            Ok(regex) => {
                index.add(&[Part::Text(prefix)], false, number);
                Self::Expression(regex)
            }
            Err(_) => Self::Never,
        }
    }

    /// Whether a path matches of which the index says that it may.
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Indexed => true,
            Self::Expression(regex) => regex.is_match(path),
            Self::Never => false,
        }
    }
}

/// Splits a pattern as APIcast does: a `{…}` has at least one character and as few as possible inside.
fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        // The first character after the opening brace is always part of the name, even if it is a brace.
        let mut inside = rest[open..].char_indices().skip(2);
        let Some((close, _)) = inside.find(|(_, character)| *character == '}') else {
            // There is none after any later brace either.
            break;
        };
        parts.push(Part::Text(&rest[..open]));
        parts.push(Part::Parameter);
        rest = &rest[open + close + 1..];
    }
    parts.push(Part::Text(rest));
    parts
}

/// APIcast's expression for a pattern: only `.` stands for itself.
fn expression(parts: &[Part<'_>]) -> String {
    let mut expression = "^".to_owned();
    for part in parts {
        match part {
            Part::Text(text) => expression.push_str(&text.replace('.', "\\.")),
            Part::Parameter => expression.push_str(PARAMETER),
        }
    }
    expression
}

/// The other paths that a request may mean: without the slash at the end, if the resource may not have it, and up to a
/// decoded `?` or `#`, where a backend may see the end of the path.
fn others<'p>(request: &'p Request<'_>) -> impl Iterator<Item = &'p str> {
    let whole = request.path.as_ref();
    // Only decoding leaves these in a path.
    let cut = whole.find(['?', '#']).map(|end| &whole[..end]);
    let without_slash = |path: &'p str| {
        let short = path.trim_end_matches('/');
        let differs = !short.is_empty() && short.len() != path.len();
        (request.path_has_open_end && differs).then_some(short)
    };
    let all = [cut, without_slash(whole), cut.and_then(without_slash)];
    all.into_iter().flatten()
}

#[cfg(test)]
mod tests;

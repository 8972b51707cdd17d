//! Mapping rules: which metrics a request counts toward, with APIcast's exact semantics.
//!
//! APIcast turns a pattern into a regular expression with a few textual replacements and leaves the rest to PCRE. This
//! module does the same with `regex-lite`, which supports the syntax that patterns can contain and is linear in time.
//! Patterns of text and parameters alone, which most are, are compared without it, all at once (`patterns`).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use regex_lite::Regex;

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
            let path = normalise(path, decoded, reading);
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
            let path = normalise(path, request.path_is_decoded, Reading::APICAST);
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
        self.count(method, &normalise(path, false, Reading::APICAST), query)
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

/// How a path is understood. The parts of a path that are not normalized by API Gateway are normalized by some backends
/// and not by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// An encoded slash separates segments.
    slashes: bool,
    /// The segments `.` and `..` are resolved.
    dots: bool,
}

impl Reading {
    /// As nginx in front of APIcast.
    const APICAST: Self = Self {
        slashes: true,
        dots: true,
    };
    const OTHERS: [Self; 3] = [
        Self {
            slashes: false,
            dots: true,
        },
        Self {
            slashes: true,
            dots: false,
        },
        Self {
            slashes: false,
            dots: false,
        },
    ];
}

/// Whether the path needs no change, as most paths. A dot may be part of a dot segment.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~' | b'/');
    path.starts_with('/') && !path.contains("//") && path.bytes().all(plain)
}

/// Whether the path contains an encoded slash or a dot segment.
fn has_dots_or_slashes(path: &str, decoded: bool) -> bool {
    let bytes = decode(path, decoded);
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    slashes(&bytes) != slashes(path.as_bytes())
        || bytes
            .split(|byte| *byte == b'/')
            .any(|segment| matches!(segment, b"." | b".."))
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

fn decode(path: &str, decoded: bool) -> Cow<'_, [u8]> {
    if decoded {
        Cow::Borrowed(path.as_bytes())
    } else {
        percent_decode_str(path).into()
    }
}

/// The path as nginx normalizes it, escaped again: percent-decoded, slashes merged, dot segments resolved; the last two
/// as far as the reading says.
fn normalise(path: &str, decoded: bool, reading: Reading) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let whole;
    let mut parts: Vec<Cow<'_, [u8]>> = Vec::new();
    if reading.slashes {
        whole = decode(path, decoded);
        parts.extend(whole.split(|b| *b == b'/').map(Cow::Borrowed));
    } else {
        parts.extend(path.split('/').map(|part| decode(part, decoded)));
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut directory = true;
    for segment in &parts {
        directory = true;
        match segment.as_ref() {
            b"" => {}
            b"." if reading.dots => {}
            b".." if reading.dots => {
                segments.pop();
            }
            segment => {
                segments.push(segment);
                directory = false;
            }
        }
    }
    let mut escaped = String::with_capacity(path.len() + 8);
    for segment in &segments {
        escaped.push('/');
        for byte in *segment {
            match byte {
                0..=0x20
                | 0x7f..=0xff
                | b'"'
                | b'#'
                | b'%'
                | b'/'
                | b'<'
                | b'>'
                | b'?'
                | b'\\'
                | b'^'
                | b'`'
                | b'{'
                | b'|'
                | b'}' => {
                    // Writing to a String cannot fail.
                    let _ = write!(escaped, "%{byte:02X}");
                }
                _ => escaped.push(char::from(*byte)),
            }
        }
    }
    if directory {
        escaped.push('/');
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn rule(pattern: &str) -> RuleSettings {
        RuleSettings {
            method: "GET".to_owned(),
            pattern: pattern.to_owned(),
            metric: "hits".to_owned(),
            delta: 1,
            last: false,
        }
    }

    fn split(target: &str) -> (&str, Vec<(String, String)>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (
            path,
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn matches(pattern: &str, target: &str) -> bool {
        let (path, query) = split(target);
        !Rules::new(&[rule(pattern)])
            .usage("GET", path, &query)
            .0
            .is_empty()
    }

    /// Section 16.3 of the reference, recorded from APIcast's code. Rows with a form body are left out, because API
    /// Gateway does not pass the body to an authorizer.
    #[test]
    fn recorded_cases() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("/", &["/", "/anything", "/a/b?c=d"], &[]),
            ("/$", &["/", "/?x=1"], &["/anything"]),
            (
                "/foo",
                &[
                    "/foo",
                    "/foo/",
                    "/foobar",
                    "/foo/bar",
                    "/foo?a=1",
                    "/%66oo",
                    "/foo%2Fbar",
                ],
                &["/Foo", "/x/foo"],
            ),
            ("/foo/", &["/foo/", "/foo/x"], &["/foo"]),
            (
                "/foo$",
                &["/foo", "/foo?a=1"],
                &["/foo/", "/foobar", "/foo/bar"],
            ),
            (
                "/foo/{id}",
                &["/foo/1", "/foo/1/2", "/foo/a%20b", "/foo/a[b]"],
                &["/foo", "/foo/"],
            ),
            (
                "/foo/{id}$",
                &[
                    "/foo/1",
                    "/foo/a%20b",
                    "/foo/%C3%A9",
                    "/foo/a.b-c_d~e",
                    "/foo/a@b:c",
                    "/foo/a;b",
                    "/foo/a%3Fb",
                    "/foo/a%7Cb",
                ],
                &[
                    "/foo/1/",
                    "/foo/1/2",
                    "/foo/a%2Fb",
                    "/foo/a[b]",
                    "/foo/a%5Bb%5D",
                ],
            ),
            (
                "/foo/{id}/bar",
                &["/foo/1/bar", "/foo/1/bar/baz", "/foo/1/barista"],
                &["/foo/1/2/bar", "/foo//bar"],
            ),
            (
                "/foo/{id}.json",
                &["/foo/1.json", "/foo/1.json/x"],
                &["/foo/1xjson", "/foo/1.xml"],
            ),
            ("/v{v}/x", &["/v1/x", "/v1.2/x"], &["/v/x"]),
            ("/a.b", &["/a.b"], &["/axb"]),
            ("/a+b", &["/ab", "/aab"], &["/a+b"]),
            ("/a*", &["/a", "/aaa", "/b"], &[]),
            ("/foo(bar)", &["/foobar"], &["/foo(bar)"]),
            ("//a///b", &["/a/b", "//a//b"], &[]),
            ("/foo%20bar", &["/foo%20bar"], &[]),
            ("/%C3%A9", &["/%C3%A9"], &[]),
            ("/b", &["/a/../b", "/a/%2e%2e/b", "/./b"], &[]),
            (
                "/foo?a=1",
                &["/foo?a=1", "/foo?b=2&a=1", "/foo?a=2&a=1", "/foo/bar?a=1"],
                &["/foo", "/foo?a=2", "/foo?a=1&a=2"],
            ),
            (
                "/foo?a={x}",
                &["/foo?a=1", "/foo?a=", "/foo?a"],
                &["/foo", "/foo?b=1"],
            ),
            ("/foo$?a={x}", &["/foo?a=1"], &["/foo/?a=1", "/foobar?a=1"]),
            ("/foo?a=x{y}z", &["/foo?a=1"], &[]),
            ("/foo?a=b%20c", &[], &["/foo?a=b%20c", "/foo?a=b+c"]),
            ("/foo?a=", &["/foo?a="], &["/foo"]),
            (
                "/foo?a=1&b={b}",
                &["/foo?a=1&b=2"],
                &["/foo?b=2", "/foo?a=1"],
            ),
        ];
        for (pattern, yes, no) in table {
            for target in *yes {
                assert!(matches(pattern, target), "{pattern} must match {target}");
            }
            for target in *no {
                assert!(
                    !matches(pattern, target),
                    "{pattern} must not match {target}"
                );
            }
        }
    }

    /// The rules, each with its pattern as an expression.
    fn expressions(rules: &[RuleSettings]) -> Vec<(Rule, Regex)> {
        let each = rules.iter().filter_map(|settings| {
            let rule = Rule {
                path: PathPattern::Indexed,
                ..Rule::new(settings, 0, &mut Index::new())
            };
            let mut pattern = settings.pattern.split('?').next()?.to_owned();
            while pattern.contains("//") {
                pattern = pattern.replace("//", "/");
            }
            Some((rule, Regex::new(&expression(&parts(&pattern))).ok()?))
        });
        each.collect()
    }

    /// The usage according to the rules one after another.
    fn one_by_one(rules: &[(Rule, Regex)], method: &str, target: &str) -> Usage {
        let (path, query) = split(target);
        let path = normalise(path, false, Reading::APICAST);
        let mut usage = Usage::default();
        for (rule, pattern) in rules {
            if rule.matches(method, &path, &query) && pattern.is_match(&path) {
                usage.add(&rule.metric, rule.delta);
                if rule.last {
                    break;
                }
            }
        }
        usage
    }

    /// Few pieces, so that patterns begin alike and often match.
    fn pieces(all: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        vec(select(all), 0..most).prop_map(|pieces| pieces.concat())
    }

    fn some_rule() -> impl Strategy<Value = RuleSettings> {
        const PATTERN: &[&str] = &[
            "/", "/", "/", "a", "ab", "b", ".", "{x}", "{x}", "{y}", "+", "*", "(b)", "%20", "{",
            "$",
        ];
        let query = prop_oneof![Just(""), Just(""), Just("?q={v}"), Just("?q=1")];
        let pattern = (pieces(PATTERN, 7), any::<bool>(), query)
            .prop_map(|(text, end, query)| format!("/{text}{}{query}", if end { "$" } else { "" }));
        let method = prop_oneof![Just("ANY"), Just("GET"), Just("POST")];
        let metric = prop_oneof![Just("hits"), Just("a"), Just("b")];
        (method, pattern, metric, 1..4_u64, prop::bool::weighted(0.1)).prop_map(
            |(method, pattern, metric, delta, last)| RuleSettings {
                method: method.to_owned(),
                pattern,
                metric: metric.to_owned(),
                delta,
                last,
            },
        )
    }

    fn some_target() -> impl Strategy<Value = String> {
        const TARGET: &[&str] = &[
            "/", "/", "/", "a", "a", "b", "ab", ".", "-", "%20", "%5B", "%C3%A9", "..", "+", "$",
        ];
        let query = prop_oneof![Just(""), Just("?q=1"), Just("?q=2")];
        (pieces(TARGET, 9), query).prop_map(|(path, query)| format!("/{path}{query}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 400,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn all_at_once_is_the_same_as_one_by_one(
            rules in vec(some_rule(), 1..25),
            targets in vec(some_target(), 1..12),
        ) {
            let all = Rules::new(&rules);
            let rules = expressions(&rules);
            for target in targets {
                let (path, query) = split(&target);
                for method in ["GET", "PUT"] {
                    let usage = all.usage(method, path, &query);
                    prop_assert_eq!(usage, one_by_one(&rules, method, &target), "{}", target);
                }
            }
        }
    }

    #[test]
    fn all_matching_rules_add_up_until_the_last() {
        let with = |pattern: &str, metric: &str, delta, last| RuleSettings {
            metric: metric.to_owned(),
            delta,
            last,
            ..rule(pattern)
        };
        let rules = |last| {
            Rules::new(&[
                with("/", "hits", 1, false),
                with("/foo", "foo", 1, last),
                with("/foo/{id}", "foo_id", 2, false),
                with("/foo", "hits", 3, false),
            ])
        };
        let none: [(&str, &str); 0] = [];
        assert_eq!(
            rules(false).usage("GET", "/foo/1", &none).summary(),
            "hits=4,foo=1,foo_id=2"
        );
        assert_eq!(
            rules(true).usage("GET", "/foo/1", &none).summary(),
            "hits=1,foo=1"
        );
        for last in [false, true] {
            assert_eq!(rules(last).usage("GET", "/zzz", &none).summary(), "hits=1");
        }
        assert_eq!(rules(true).metrics(), ["hits", "foo", "foo_id"]);
    }

    #[test]
    fn methods() {
        let any = Rules::new(&[RuleSettings {
            method: "ANY".to_owned(),
            ..rule("/")
        }]);
        let none: [(&str, &str); 0] = [];
        assert_eq!(any.usage("PATCH", "/", &none).summary(), "hits=1");
        let get = Rules::new(&[rule("/")]);
        assert_eq!(get.usage("get", "/", &none), Usage::default());
        assert_eq!(get.usage("POST", "/", &none), Usage::default());
    }

    #[test]
    fn without_rules_every_request_is_a_hit() {
        let none: [(&str, &str); 0] = [];
        assert_eq!(Rules::new(&[]).usage("X", "", &none).summary(), "hits=1");
    }

    #[test]
    fn an_unusable_pattern_matches_nothing() {
        let rules = Rules::new(&[rule("/a("), rule("/{"), rule("/{}")]);
        assert_eq!(rules.unusable(), 3);
        let none: [(&str, &str); 0] = [];
        assert_eq!(rules.usage("GET", "/a(", &none), Usage::default());
    }

    #[test]
    fn dot_segments_end_at_the_root() {
        for (path, normal) in [
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("", "/"),
            ("a//b", "/a/b"),
            ("/a%", "/a%25"),
            ("/a%zz", "/a%25zz"),
            ("/...", "/..."),
        ] {
            assert_eq!(normalise(path, false, Reading::APICAST), normal, "{path:?}");
        }
    }

    #[test]
    fn a_decoded_path_is_not_decoded_again() {
        for (path, normal) in [
            ("/a%61", "/a%2561"),
            ("/a b", "/a%20b"),
            ("/a%2Fb", "/a%252Fb"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(normalise(path, true, Reading::APICAST), normal, "{path:?}");
        }
    }

    fn request(path: &str, decoded: bool, open: bool) -> Request<'_> {
        Request {
            format: crate::event::Format::Policy,
            arn: "".into(),
            method: "GET".into(),
            resource: "".into(),
            path: path.into(),
            path_is_decoded: decoded,
            path_has_open_end: open,
            headers: crate::event::Pairs::default(),
            query: Vec::new(),
            token: None,
            source_ip: None,
            gateway_id: None,
        }
    }

    fn orders_and_all() -> Rules {
        let with = |pattern: &str, metric: &str| RuleSettings {
            metric: metric.to_owned(),
            ..rule(pattern)
        };
        Rules::new(&[with("/", "hits"), with("/orders$", "orders")])
    }

    #[test]
    fn a_path_that_can_be_another_one_is_refused_if_that_one_counts_differently() {
        let usage = |path, decoded| {
            let usage = orders_and_all().usage_of(&request(path, decoded, false));
            usage.map(|usage| usage.summary())
        };
        for path in [
            "/x/../orders",
            "/x/%2e%2E/orders",
            "/./orders",
            "/x/..%2forders",
            "/x%2F..%2Forders",
            "/orders/x/..%2f..%2forders",
        ] {
            assert_eq!(usage(path, false), Err(Ambiguous), "{path}");
        }
        assert_eq!(usage("/x/../orders", true), Err(Ambiguous));
        // The same in every reading.
        for path in [
            "/groups/a%2Fb",
            "/a/../b",
            "/orders/.",
            "/orders%2F..",
            "/a.b/c",
            "/...",
            "/orders.",
        ] {
            assert_eq!(usage(path, false), Ok("hits=1".to_owned()), "{path}");
        }
        assert_eq!(usage("/orders", false), Ok("hits=1,orders=1".to_owned()));
        assert_eq!(usage("/%6frders", false), Ok("hits=1,orders=1".to_owned()));
        assert_eq!(usage("/%6frders", true), Ok("hits=1".to_owned()));
    }

    #[test]
    fn of_an_open_end_the_larger_usage_counts() {
        let usage = |path, open| {
            let usage = orders_and_all().usage_of(&request(path, false, open));
            usage.map(|usage| usage.summary())
        };
        assert_eq!(usage("/orders/", true), Ok("hits=1,orders=1".to_owned()));
        assert_eq!(usage("/orders/", false), Ok("hits=1".to_owned()));
        assert_eq!(usage("/orders.x/", true), Ok("hits=1".to_owned()));
        assert_eq!(usage("/", true), Ok("hits=1".to_owned()));
        let either = Rules::new(&[
            rule("/docs/"),
            RuleSettings {
                metric: "other".to_owned(),
                ..rule("/docs$")
            },
        ]);
        assert_eq!(
            either.usage_of(&request("/docs/", false, true)),
            Err(Ambiguous)
        );
    }

    #[test]
    fn of_a_decoded_end_the_larger_usage_counts() {
        let usage = |path, decoded, open| {
            let usage = orders_and_all().usage_of(&request(path, decoded, open));
            usage.map(|usage| usage.summary())
        };
        let both = Ok("hits=1,orders=1".to_owned());
        for path in ["/orders?x", "/orders#", "/a/../orders?x/.."] {
            assert_eq!(usage(path, true, false), both, "{path}");
        }
        assert_eq!(usage("/orders/?x", true, true), both);
        assert_eq!(usage("/orders/?x", true, false), Ok("hits=1".to_owned()));
        // An encoded path never has one.
        assert_eq!(usage("/orders%3Fx", false, false), Ok("hits=1".to_owned()));
    }

    #[test]
    fn sums_do_not_overflow() {
        let mut usage = Usage::default();
        usage.add("a", u64::MAX);
        usage.add("a", u64::MAX);
        assert_eq!(usage.0, [("a".to_owned(), 1 << 52)]);
    }
}

//! Who is refused, or would be refused in the mode observe: sums of the authorizer's log. Pure.
//!
//! The lines are read by their fields, which the authorizer's README describes: those of decisions, and those of metrics with
//! `Reasons` or, from former releases, `Decisions`, and with `LogLinesLeftOut`.

use std::collections::BTreeMap;

use serde_json::Value;

/// The mode of the authorizer that made a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Every request was allowed.
    Observe,
    /// The decisions applied.
    Enforce,
}

impl Mode {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// Reasons that mean the same to the owner of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Requests without a key.
    NoKey,
    /// Keys that 3scale does not accept.
    BadKey,
    /// Passed limits.
    Limit,
    /// Paths that no mapping rule matches.
    Unmatched,
    /// No decision could be made, for any caller.
    Failure,
    /// A reason of another release.
    Other,
}

impl Group {
    /// The group of a reason; `None` if the request is allowed. A test compares them with the authorizer's README.
    fn of(reason: &str) -> Option<Self> {
        Some(match reason {
            "authorized" | "old_answer" | "outage" => return None,
            "credential_missing" => Self::NoKey,
            "credential_unusable"
            | "user_key_invalid"
            | "application_not_found"
            | "application_key_invalid"
            | "application_not_active"
            | "referrer_not_allowed"
            | "redirect_uri_invalid"
            | "redirect_url_invalid"
            | "authentication_error"
            | "denied"
            | "too_many_unknown" => Self::BadKey,
            "limits_exceeded" => Self::Limit,
            "no_mapping_rule" | "path_ambiguous" => Self::Unmatched,
            "service_not_active"
            | "oauth_not_enabled"
            | "misconfigured"
            | "backend_unavailable"
            | "not_ready"
            | "internal" => Self::Failure,
            _ => Self::Other,
        })
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::BadKey => "bad_key",
            Self::Limit => "limit",
            Self::Unmatched => "unmatched",
            Self::Failure => "failure",
            Self::Other => "other",
        }
    }
}

/// The most different methods and the most different examples of a group that are kept.
const KEPT: usize = 2_000;
/// The number of examples of a group.
const EXAMPLES: usize = 3;

/// An example of a refused request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The end of the key, as the authorizer logs it.
    pub credential: Option<String>,
    /// The method of the API, such as `GET /orders/{id}`.
    pub method: String,
    /// The path of the request, if no mapping rule matches it, without its values; see [`masked`].
    pub path: Option<String>,
    /// The metric of a passed limit.
    pub metric: Option<String>,
}

/// How often something was logged, and when for the last time, in Unix milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub times: u64,
    pub last_ms: i64,
}

impl Seen {
    fn again(&mut self, at_ms: i64) {
        self.times += 1;
        self.last_ms = self.last_ms.max(at_ms);
    }
}

/// How often a reason was given.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// In lines of decisions, of which some may have been left out.
    logged: u64,
    /// In metrics, of which the last ones of a process may be missing.
    measured: u64,
}

impl Count {
    /// Both miss some, and none has too many.
    fn requests(self) -> u64 {
        self.logged.max(self.measured)
    }
}

#[derive(Debug, Clone, Default)]
struct OfGroup {
    methods: BTreeMap<String, u64>,
    examples: BTreeMap<Example, Seen>,
}

#[derive(Debug, Clone, Default)]
struct OfMode {
    reasons: BTreeMap<String, Count>,
    groups: BTreeMap<Group, OfGroup>,
    left_out: u64,
}

/// The sums of a log.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    modes: BTreeMap<Mode, OfMode>,
}

/// The sums of one mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub mode: Mode,
    pub requests: u64,
    /// Those that the mode enforce refuses.
    pub refused: u64,
    pub groups: Vec<GroupSummary>,
    /// The number of refusals that are in no line, and so in no method and no example.
    pub left_out: u64,
}

/// The sums of the reasons of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSummary {
    pub group: Group,
    pub requests: u64,
    /// The part of all requests, 0 to 1.
    pub share: f64,
    /// Most frequent first.
    pub reasons: Vec<(String, u64)>,
    /// Most frequent first; as far as they are logged.
    pub methods: Vec<(String, u64)>,
    /// Most frequent first.
    pub examples: Vec<(Example, Seen)>,
}

impl Refusals {
    /// Takes a line of the log. Lines of other kinds are ignored.
    pub fn take(&mut self, at_ms: i64, text: &str) {
        let Ok(Value::Object(line)) = serde_json::from_str(text.trim()) else {
            return;
        };
        let line = Value::Object(line);
        let text = |name: &str| line[name].as_str();
        if text("event") == Some("decision") {
            let Some(reason) = text("reason") else {
                return;
            };
            let of_mode = self.of_mode(text("mode"));
            of_mode.count(reason).logged += 1;
            if line["allowed"] != true {
                of_mode.refused(at_ms, reason, &line);
            }
            return;
        }
        if line["_aws"].is_null() {
            return;
        }
        let of_one = text("Reason").map(|reason| (reason, &line["Decisions"]));
        let of_all = line["Reasons"].as_object().into_iter().flatten();
        let of_all = of_all.map(|(reason, times)| (reason.as_str(), times));
        for (reason, times) in of_one.into_iter().chain(of_all) {
            if let Some(times) = whole(times) {
                self.of_mode(text("Mode")).count(reason).measured += times;
            }
        }
        if let Some(times) = whole(&line["LogLinesLeftOut"]) {
            self.of_mode(text("Mode")).left_out += times;
        }
    }

    fn of_mode(&mut self, word: Option<&str>) -> &mut OfMode {
        let mode = match word == Some(Mode::Observe.as_str()) {
            true => Mode::Observe,
            false => Mode::Enforce,
        };
        self.modes.entry(mode).or_default()
    }

    /// The sums of each mode of which there are any.
    pub fn summaries(&self) -> Vec<Summary> {
        let summary = |(mode, of_mode): (&Mode, &OfMode)| of_mode.summary(*mode);
        self.modes.iter().filter_map(summary).collect()
    }
}

impl OfMode {
    fn count(&mut self, reason: &str) -> &mut Count {
        self.reasons.entry(reason.to_owned()).or_default()
    }

    fn refused(&mut self, at_ms: i64, reason: &str, line: &Value) {
        let text = |name: &str| line[name].as_str().filter(|text| !text.is_empty());
        let group = Group::of(reason).unwrap_or(Group::Other);
        let words = [text("method"), text("resource")];
        let method = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let example = Example {
            credential: text("credential").map(str::to_owned),
            path: text("path").map(|path| masked(path, text("resource").unwrap_or_default())),
            metric: text("metric")
                .filter(|_| group == Group::Limit)
                .map(str::to_owned),
            method,
        };
        let of_group = self.groups.entry(group).or_default();
        let methods = &mut of_group.methods;
        if !example.method.is_empty()
            && (methods.len() < KEPT || methods.contains_key(&example.method))
        {
            *methods.entry(example.method.clone()).or_default() += 1;
        }
        let examples = &mut of_group.examples;
        if examples.len() < KEPT || examples.contains_key(&example) {
            examples.entry(example).or_default().again(at_ms);
        }
    }

    fn summary(&self, mode: Mode) -> Option<Summary> {
        let requests: u64 = self.reasons.values().map(|count| count.requests()).sum();
        if requests == 0 {
            return None;
        }
        let mut groups: BTreeMap<Group, Vec<(String, u64)>> = BTreeMap::new();
        for (reason, count) in &self.reasons {
            if let Some(group) = Group::of(reason) {
                let reasons = groups.entry(group).or_default();
                reasons.push((reason.clone(), count.requests()));
            }
        }
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(group, reasons)| {
                let of_group = self.groups.get(&group).cloned().unwrap_or_default();
                let sum: u64 = reasons.iter().map(|(_, times)| times).sum();
                let mut examples: Vec<_> = of_group.examples.into_iter().collect();
                examples.sort_by_key(|(_, seen)| std::cmp::Reverse((seen.times, seen.last_ms)));
                examples.truncate(EXAMPLES);
                GroupSummary {
                    group,
                    requests: sum,
                    share: sum as f64 / requests as f64,
                    reasons: most_frequent(reasons),
                    methods: most_frequent(of_group.methods.into_iter().collect()),
                    examples,
                }
            })
            .collect();
        Some(Summary {
            mode,
            requests,
            refused: groups.iter().map(|group| group.requests).sum(),
            groups,
            left_out: self.left_out,
        })
    }
}

/// The longest segment of a path that is a word.
const WORD: usize = 24;

/// A path of a request to this resource, without what may be personal: a parameter of the resource is shown by its name, and `*`
/// takes the place of every other segment that looks like an id. The rest is what a mapping rule can match.
fn masked(path: &str, resource: &str) -> String {
    let segments: Vec<_> = path.split('/').collect();
    let names: Vec<_> = resource.split('/').collect();
    let parameter = |name: &&&str| name.starts_with('{') && !name.ends_with("+}");
    let is_of_resource = names
        .iter()
        .zip(&segments)
        .all(|(name, segment)| name.starts_with('{') || name == segment);
    let shown = segments.iter().enumerate().map(|(index, segment)| {
        let name = names.get(index).filter(|_| is_of_resource);
        match name.filter(parameter) {
            Some(name) => *name,
            None if is_id(segment) => "*",
            None => *segment,
        }
    });
    shown.collect::<Vec<_>>().join("/")
}

/// Whether a segment of a path looks like a value, and not like a word or a version such as `v1`.
fn is_id(segment: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let is_version = segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.len() <= 2 && rest.chars().all(is_digit));
    let mut parts = segment.split('%');
    let first = parts.next().unwrap_or_default();
    // Of what is percent-encoded, only `@` matters.
    let is_address = segment.contains('@') || segment.contains("%40");
    let rest = parts.map(|part| part.get(2..).unwrap_or_default());
    let has_digit = [first]
        .into_iter()
        .chain(rest)
        .any(|part| part.contains(is_digit));
    !is_version && (has_digit || is_address || segment.chars().count() > WORD)
}

fn most_frequent(mut all: Vec<(String, u64)>) -> Vec<(String, u64)> {
    all.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
    all
}

/// A number of a metric.
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    (number.is_finite() && number >= 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(lines: &[Value]) -> Vec<Summary> {
        let mut refusals = Refusals::default();
        for (at, line) in (1..).zip(lines) {
            refusals.take(at, &line.to_string());
        }
        refusals.summaries()
    }

    fn decision(mode: &str, reason: &str, more: &Value) -> Value {
        let mut line = json!({
            "event": "decision", "allowed": Group::of(reason).is_none(), "reason": reason, "method": "GET",
            "resource": "/orders", "credential": null, "metric": "hits=1",
        });
        if mode == "observe" {
            line["mode"] = json!(mode);
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            line[name] = value.clone();
        }
        line
    }

    fn measured(mode: Option<&str>, reason: &str, times: f64) -> Value {
        let mut line = json!({"_aws": {}, "Decisions": times, "Reason": reason});
        if let Some(mode) = mode {
            line["Mode"] = json!(mode);
        }
        line
    }

    #[test]
    fn requests_are_summed_by_mode_reason_and_method() {
        let none = json!({});
        let key = |end: &str, resource: &str| json!({"credential": format!("***{end}"), "resource": resource});
        let found = of(&[
            decision("observe", "authorized", &none),
            decision("observe", "authorized", &none),
            decision("observe", "credential_missing", &json!({"method": "POST"})),
            decision("observe", "user_key_invalid", &key("aaaa", "/orders/{id}")),
            decision("observe", "user_key_invalid", &key("aaaa", "/orders/{id}")),
            decision("observe", "application_not_active", &key("bbbb", "/orders")),
            decision(
                "observe",
                "limits_exceeded",
                &json!({"metric": "hits", "credential": "***cccc"}),
            ),
            decision("observe", "no_mapping_rule", &json!({"path": "/x/1"})),
            decision("enforce", "denied", &none),
        ]);
        let [observe, enforce] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (observe.mode, observe.requests, observe.refused),
            (Mode::Observe, 8, 6)
        );
        assert_eq!(
            (enforce.mode, enforce.requests, enforce.refused),
            (Mode::Enforce, 1, 1)
        );
        let groups: Vec<_> = observe.groups.iter().map(|group| group.group).collect();
        assert_eq!(
            groups,
            [Group::NoKey, Group::BadKey, Group::Limit, Group::Unmatched]
        );
        let bad = &observe.groups[1];
        assert_eq!((bad.requests, bad.share), (3, 0.375));
        let pair = |text: &str, times| (text.to_owned(), times);
        assert_eq!(
            bad.reasons,
            [
                pair("user_key_invalid", 2),
                pair("application_not_active", 1)
            ]
        );
        assert_eq!(
            bad.methods,
            [pair("GET /orders/{id}", 2), pair("GET /orders", 1)]
        );
        let (example, seen) = &bad.examples[0];
        assert_eq!(example.credential.as_deref(), Some("***aaaa"));
        assert_eq!(
            *seen,
            Seen {
                times: 2,
                last_ms: 5
            }
        );
        assert_eq!(observe.groups[0].methods, [pair("POST /orders", 1)]);
        assert_eq!(
            observe.groups[2].examples[0].0.metric.as_deref(),
            Some("hits")
        );
        assert_eq!(
            observe.groups[3].examples[0].0.path.as_deref(),
            Some("/x/*")
        );
    }

    #[test]
    fn a_path_is_shown_without_its_values() {
        for (path, resource, shown) in [
            ("/old/orders", "/{proxy+}", "/old/orders"),
            ("/v2/old/4711", "/{proxy+}", "/v2/old/*"),
            ("/users/kim@example.com/x", "/{proxy+}", "/users/*/x"),
            ("/users/kim%40example.com", "/{proxy+}", "/users/*"),
            (
                "/users/kim/cart",
                "/users/{name}/cart",
                "/users/{name}/cart",
            ),
            (
                "/users/kim/1/2",
                "/users/{name}/{rest+}",
                "/users/{name}/*/*",
            ),
            ("/a/c0ffee00-b", "", "/a/*"),
            ("/a/%2e%2E/b%2Fc", "/{proxy+}", "/a/%2e%2E/b%2Fc"),
            ("/a/abcdefghijklmnopqrstuvwxyz", "/{proxy+}", "/a/*"),
            // The path below a base path does not fit the resource.
            ("/shop/users/kim", "/users/{name}", "/shop/users/kim"),
            ("/%", "/{proxy+}", "/%"),
            ("", "", ""),
        ] {
            assert_eq!(masked(path, resource), shown, "{path}");
        }
    }

    #[test]
    fn metrics_complete_what_the_lines_leave_out_and_the_other_way_round() {
        let bad = decision("enforce", "user_key_invalid", &json!({}));
        let found = of(&[
            bad.clone(),
            bad,
            decision("enforce", "limits_exceeded", &json!({})),
            measured(None, "user_key_invalid", 40.0),
            measured(None, "user_key_invalid", 10.0),
            json!({"_aws": {}, "Reasons": {"authorized": 49, "x": -1, "y": "1"}}),
            measured(Some("observe"), "authorized", 1.0),
            json!({"_aws": {}, "LogLinesLeftOut": 48.0, "RedisLatency": [1.0]}),
        ]);
        let enforce = &found[1];
        assert_eq!(
            (enforce.requests, enforce.refused, enforce.left_out),
            (100, 51, 48)
        );
        assert_eq!(enforce.groups[0].share, 0.5);
        assert_eq!(enforce.groups[0].methods[0].1, 2);
        assert_eq!(found[0].requests, 1);
    }

    #[test]
    fn other_lines_are_ignored_and_what_is_kept_is_bounded() {
        let mut refusals = Refusals::default();
        for text in [
            "REPORT RequestId: 1",
            "7",
            r#"{"event":"decision"}"#,
            r#"{"event":"backend","reason":"user_key_invalid"}"#,
            r#"{"Decisions":1,"Reason":"authorized"}"#,
            r#"{"_aws":{},"Decisions":-1,"Reason":"authorized"}"#,
            r#"{"_aws":{},"Decisions":"1","Reason":7}"#,
        ] {
            refusals.take(0, text);
        }
        assert_eq!(refusals.summaries(), []);
        for n in 0..KEPT + 10 {
            let more = json!({"resource": format!("/{n}")});
            refusals.take(0, &decision("observe", "of the future", &more).to_string());
        }
        let found = &refusals.summaries()[0].groups[0];
        assert_eq!(found.group, Group::Other);
        assert_eq!(
            (found.requests, found.methods.len()),
            (KEPT as u64 + 10, KEPT)
        );
    }

    #[test]
    fn every_reason_of_the_authorizer_has_a_group() {
        let reasons = crate::verify::reason::tests::documented();
        assert!(reasons.len() > 20, "{reasons:?}");
        for reason in reasons {
            assert_ne!(Group::of(reason), Some(Group::Other), "{reason}");
        }
    }
}

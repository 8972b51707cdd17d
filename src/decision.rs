//! One decision of the authorizer, found in its log by the id of the request. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::code::Explanation;
use crate::duration::exact;
use crate::reasons::REASONS;

/// The longest id of a request that the authorizer logs.
const LONGEST: usize = 128;

/// A decision, as the authorizer logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Whether the mode enforce allows the request.
    pub allowed: bool,
    pub reason: String,
    /// Whether the request passed because of the mode observe.
    pub observed: bool,
    /// Where the decision comes from, such as `cache`.
    pub source: Option<String>,
    /// The end of the key.
    pub credential: Option<String>,
    pub method: Option<String>,
    pub resource: Option<String>,
    pub path: Option<String>,
    pub metric: Option<String>,
}

impl Decision {
    /// What the reason means; `None` if this release does not have it.
    pub fn explanation(&self) -> Option<Explanation> {
        let known = REASONS.iter().find(|(name, _)| *name == self.reason);
        known.map(|(_, explanation)| *explanation)
    }
}

/// The id of a trace in a header `X-Amzn-Trace-Id` or `traceparent`, or the id itself.
fn trace_id(text: &str) -> Option<&str> {
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let pairs = text.split(';');
    let mut root = pairs.filter_map(|pair| pair.trim().strip_prefix("Root="));
    let text = root.next_back().unwrap_or(text);
    let parts: Vec<_> = text.split('-').collect();
    match parts[..] {
        [trace] if is_hex(trace, 32) => Some(trace),
        ["1", time, unique] if is_hex(time, 8) && is_hex(unique, 24) => Some(text),
        [version, trace, parent, flags, ..]
            if is_hex(version, 2)
                && is_hex(trace, 32)
                && is_hex(parent, 16)
                && is_hex(flags, 2) =>
        {
            Some(trace)
        }
        _ => None,
    }
}

/// Checks a header with a trace, or the id in it, and returns the id.
///
/// # Errors
/// What it must be.
pub fn parse_trace(text: &str) -> Result<String, String> {
    trace_id(text).map(str::to_owned).ok_or_else(|| {
        "it must be the header X-Amzn-Trace-Id or traceparent of a request, or the id of the trace in it"
            .to_owned()
    })
}

/// Whether a line of the log is about a request of the trace with this id.
pub fn is_of_trace(line: &Value, id: &str) -> bool {
    let mut headers = ["amzn_trace", "traceparent"]
        .into_iter()
        .filter_map(|name| line[name].as_str());
    headers.any(|header| trace_id(header).is_some_and(|known| known.eq_ignore_ascii_case(id)))
}

/// Checks the id of a request, or of its trace.
///
/// # Errors
/// What it must be.
pub fn parse_id(text: &str) -> Result<String, String> {
    if let Some(id) = trace_id(text) {
        return Ok(id.to_owned());
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+/.:".contains(&byte);
    match (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err(
            "it must be the id of a request, the header x-amzn-RequestId (of an HTTP API, apigw-requestid) of its response, or its \
             header X-Amzn-Trace-Id or traceparent"
                .to_owned(),
        ),
    }
}

/// The filter pattern of CloudWatch Logs for lines that contain the id.
pub fn filter(id: &str) -> String {
    format!("\"{id}\"")
}

/// The decision in a line, if it is about the request with this id: that of API Gateway, that of the function's invocation, or that of
/// the trace.
pub fn of(at_ms: i64, line: &str, id: &str) -> Option<Decision> {
    let line: Value = serde_json::from_str(line.trim()).ok()?;
    let text = |name: &str| line[name].as_str().filter(|text| !text.is_empty());
    let is_meant = ["gateway_request", "request"]
        .into_iter()
        .any(|name| text(name) == Some(id))
        || is_of_trace(&line, id);
    if text("event") != Some("decision") || !is_meant {
        return None;
    }
    let owned = |name: &str| text(name).map(str::to_owned);
    Some(Decision {
        at_ms,
        allowed: line["allowed"] == true,
        reason: owned("reason")?,
        observed: text("mode") == Some("observe"),
        source: owned("source"),
        credential: owned("credential"),
        method: owned("method"),
        resource: owned("resource"),
        path: owned("path"),
        metric: owned("metric"),
    })
}

/// What a source means, in words.
pub fn source(word: &str) -> Option<&'static str> {
    Some(match word {
        "request" => "the request alone; 3scale was not asked",
        "cache" => "an answer of 3scale in Redis",
        "memory" => "an answer of 3scale in the memory of the function",
        "backend" => "3scale, which was asked for this request",
        "direct" => "3scale, which was asked directly, without Redis",
        "old-answer" => "an old answer of 3scale, because it gives none now",
        "mode" => "the caching mode, because 3scale gives no answer",
        _ => return None,
    })
}

/// What the authorizer does for a method that uses it, in one word.
pub fn guarded(observes: bool) -> &'static str {
    match observes {
        true => "observed",
        false => "protected",
    }
}

/// Why the log may have no decision about a request with this id.
pub fn absences(id: &str, since: Duration) -> Vec<String> {
    let mut all = Vec::new();
    if id.ends_with('=') {
        all.push(
            "of a REST API, the id looks like the header `x-amz-apigw-id`: the log has that of `x-amzn-RequestId`"
                .to_owned(),
        );
    }
    all.extend(
        [
            "API Gateway answered before it called the authorizer: a request without a key receives 401 in the mode enforce, \
             and a resource policy, throttling or a path that does not exist refuse, too",
            "the request was allowed: of the allowed requests, every hundredth is logged, and all of them in the mode observe",
            "there were many refusals at once: about 10 in a second are logged",
            "CloudWatch Logs does not show the line yet: try again in a minute",
            "the authorizer that runs is of a former release, which logs no ids of API Gateway: `threescale-gw up` replaces it",
        ]
        .map(str::to_owned),
    );
    all.push(format!(
        "the request was more than {} ago: --since goes further back",
        exact(since)
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "66b53bf4-73c1-486c-af83-18293d603e7f";

    fn line(name: &str) -> Value {
        json!({
            "event": "decision", name: ID, "allowed": false, "reason": "limits_exceeded", "source": "cache",
            "credential": "***9f3c", "method": "GET", "resource": "/orders", "metric": "hits",
        })
    }

    #[test]
    fn a_decision_is_found_by_either_id() {
        for name in ["gateway_request", "request"] {
            let decision = of(7, &line(name).to_string(), ID).expect("a decision");
            assert_eq!((decision.at_ms, decision.allowed), (7, false));
            assert_eq!(decision.credential.as_deref(), Some("***9f3c"));
            assert!(!decision.observed && decision.path.is_none());
            let cause = decision.explanation().expect("known").cause;
            assert!(cause.contains("used up a limit"), "{cause}");
        }
    }

    #[test]
    fn other_lines_are_no_decision_about_it() {
        let mut observed = line("request");
        observed["mode"] = json!("observe");
        observed["reason"] = json!("of_the_future");
        let decision = of(1, &observed.to_string(), ID).expect("a decision");
        assert!(decision.observed && decision.explanation().is_none());
        for text in [
            line("path").to_string(),
            format!("START RequestId: {ID}"),
            format!(r#"{{"event":"backend","request":"{ID}"}}"#),
            format!(r#"{{"event":"decision","request":"{ID}"}}"#),
            format!("\"{ID}\""),
        ] {
            assert_eq!(of(1, &text, ID), None, "{text}");
        }
    }

    #[test]
    fn an_id_cannot_change_the_filter() {
        assert_eq!(parse_id(ID).as_deref(), Ok(ID));
        assert!(parse_id("JKJaXmPLvHcESHA=").is_ok());
        let long = "a".repeat(LONGEST + 1);
        for bad in ["", "a b", "a\"b", "a\\", "\u{e9}", &long] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
        assert_eq!(filter(ID), format!("\"{ID}\""));
    }

    #[test]
    fn a_decision_is_found_by_its_trace() {
        let root = "1-67891233-abcdef012345678912345678";
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let amzn = format!("Self=1-67891233-12456789abcdef012345678a;Root={root};Sampled=1");
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        for (given, id) in [
            (&amzn, root),
            (&root.to_owned(), root),
            (&parent, trace),
            (&trace.to_owned(), trace),
        ] {
            assert_eq!(parse_trace(given).as_deref(), Ok(id));
            assert_eq!(parse_id(given).as_deref(), Ok(id));
        }
        let mut line = line("request");
        line["amzn_trace"] = json!(amzn);
        line["traceparent"] = json!(parent);
        for id in [root, trace] {
            assert!(of(1, &line.to_string(), id).is_some());
        }
        // The id of a span is not that of the trace.
        assert!(of(1, &line.to_string(), "00f067aa0ba902b7").is_none());
        for bad in ["", "1", ID, "00f067aa0ba902b7", "Root=x", "\"", "é"] {
            assert!(parse_trace(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_other_header_is_recognized() {
        let day = Duration::from_secs(86_400);
        let of = |id: &str| absences(id, day);
        assert!(of("JKJaXmPLvHcESHA=")[0].contains("x-amzn-RequestId"));
        assert!(!of(ID)[0].contains("x-amz-apigw-id"));
        assert!(of(ID).last().expect("one").contains("more than 1 day ago"));
    }

    #[test]
    fn every_source_of_the_authorizer_has_words() {
        let readme = include_str!("../authorizer/README.md");
        let row = readme.lines().find(|line| line.starts_with("| `source` |"));
        let (_, words) = row.expect("a row").split_once("| `source` |").expect("it");
        let words: Vec<_> = words.split('`').skip(1).step_by(2).collect();
        assert_eq!(words.len(), 7);
        for word in words {
            assert!(source(word).is_some(), "{word}");
        }
    }
}

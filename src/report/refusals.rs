//! The sums of the authorizer's log, as text and as JSON.

use serde_json::{Value, json};

use super::logs::time;
use super::style::Style;
use crate::printable;
use crate::refusals::{Example, Group, GroupSummary, Mode, Seen, Summary};

/// The number of methods of a group in the text.
const SHOWN: usize = 5;

/// The words for a group.
fn words(group: Group) -> &'static str {
    match group {
        Group::NoKey => "no key",
        Group::BadKey => "bad key",
        Group::Limit => "passed limit",
        Group::Unmatched => "unmatched path",
        Group::Failure => "no decision",
        Group::Other => "other reason",
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// What the sums do not contain.
pub fn notes(summaries: &[Summary]) -> Vec<String> {
    let mut notes = Vec::new();
    for summary in summaries {
        let word = summary.mode.as_str();
        if summary.mode == Mode::Enforce {
            notes.push(format!(
                "{word}: API Gateway refuses requests without a key before they reach the authorizer, so they are not in its log"
            ));
            notes.push(format!(
                "{word}: the numbers of requests are from the metrics in the log, which a process writes every 10 s: its last ones can be missing"
            ));
        }
        if summary.left_out > 0 {
            notes.push(format!(
                "{word}: {} refusals were not logged one by one, so they are missing in the methods and the examples",
                summary.left_out
            ));
        }
    }
    notes
}

/// The sums as text, at most 80 columns wide unless a name is long.
pub fn table(summaries: &[Summary], style: &Style) -> String {
    let mut lines = Vec::new();
    for summary in summaries {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(of_mode(summary, style));
    }
    let notes = notes(summaries).into_iter();
    lines.extend(notes.map(|note| format!("{} {note}", style.warn("note"))));
    lines.join("\n")
}

fn of_mode(summary: &Summary, style: &Style) -> Vec<String> {
    let Summary {
        mode,
        requests,
        refused,
        ..
    } = summary;
    let what = match mode {
        Mode::Observe => "would be refused",
        Mode::Enforce => "are refused",
    };
    let share = percent(*refused as f64 / (*requests).max(1) as f64);
    let head = format!(
        "{}: {requests} requests, {refused} ({share}) {what}",
        mode.as_str()
    );
    let mut lines = vec![style.bold(&head)];
    for group in &summary.groups {
        lines.extend(of_group(group, style));
    }
    lines
}

fn of_group(group: &GroupSummary, style: &Style) -> Vec<String> {
    let reasons: Vec<_> = match &group.reasons[..] {
        [(reason, _)] => vec![printable::line(reason).into_owned()],
        several => several
            .iter()
            .map(|(reason, times)| format!("{} {times}", printable::line(reason)))
            .collect(),
    };
    let mut lines = vec![format!(
        "  {:<15} {:>9} {:>6}  {}",
        words(group.group),
        group.requests,
        percent(group.share),
        style.dim(&reasons.join(", "))
    )];
    for (method, times) in group.methods.iter().take(SHOWN) {
        lines.push(format!("    {times:>9}  {}", printable::line(method)));
    }
    let more = group.methods.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.push(format!("               and {more} more methods"));
    }
    let examples = group.examples.iter().filter_map(example);
    lines.extend(examples.map(|text| style.dim(&format!("    for example {text}"))));
    lines
}

/// An example in words; `None` if it says no more than the method.
fn example((example, seen): &(Example, Seen)) -> Option<String> {
    let Example {
        credential,
        path,
        metric,
        ..
    } = example;
    let key = credential.as_ref().map(|key| format!("key {key}"));
    let path = path.as_ref().map(|path| format!("path {path}"));
    let metric = metric.as_ref().map(|metric| format!("metric {metric}"));
    let parts: Vec<_> = [key, path, metric].into_iter().flatten().collect();
    if parts.is_empty() {
        return None;
    }
    let times = match seen.times {
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    let text = format!(
        "{}: {times}, last at {}",
        parts.join(", "),
        time(seen.last_ms)
    );
    Some(printable::line(&text).into_owned())
}

/// The sums as one JSON document.
pub fn document(stack: &str, since_ms: i64, summaries: &[Summary]) -> Value {
    let modes: Vec<_> = summaries
        .iter()
        .map(|summary| {
            let groups: Vec<_> = summary.groups.iter().map(group_document).collect();
            json!({
                "mode": summary.mode.as_str(),
                "requests": summary.requests,
                "refused": summary.refused,
                "groups": groups,
                "not_logged": summary.left_out,
            })
        })
        .collect();
    json!({"stack": stack, "since": time(since_ms), "modes": modes, "notes": notes(summaries)})
}

fn group_document(group: &GroupSummary) -> Value {
    let named = |pairs: &[(String, u64)], name: &str| -> Vec<Value> {
        let pairs = pairs.iter();
        pairs
            .map(|(text, times)| json!({name: text, "requests": times}))
            .collect()
    };
    let examples: Vec<_> = group
        .examples
        .iter()
        .map(|(example, seen)| {
            json!({
                "credential": example.credential,
                "method": example.method,
                "path": example.path,
                "metric": example.metric,
                "requests": seen.times,
                "last": time(seen.last_ms),
            })
        })
        .collect();
    json!({
        "group": group.group.as_str(),
        "requests": group.requests,
        "share": (group.share * 10_000.0).round() / 10_000.0,
        "reasons": named(&group.reasons, "reason"),
        "methods": named(&group.methods, "method"),
        "examples": examples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusals::Refusals;

    fn summaries() -> Vec<Summary> {
        let mut refusals = Refusals::default();
        let at = 1_764_130_000_123;
        for line in [
            json!({"event": "decision", "mode": "observe", "allowed": true, "reason": "authorized", "method": "GET", "resource": "/orders"}),
            json!({"event": "decision", "mode": "observe", "allowed": false, "reason": "credential_missing", "method": "GET", "resource": "/orders"}),
            json!({"event": "decision", "mode": "observe", "allowed": false, "reason": "user_key_invalid", "method": "GET",
                "resource": "/orders/{id}", "credential": "***9f3c\u{1b}[2J"}),
            json!({"event": "decision", "mode": "observe", "allowed": false, "reason": "no_mapping_rule", "method": "GET",
                "resource": "/{proxy+}", "path": "/old/1", "credential": "***"}),
            json!({"_aws": {}, "Decisions": 4, "Reason": "limits_exceeded"}),
            json!({"_aws": {}, "LogLinesLeftOut": 4}),
        ] {
            refusals.take(at, &line.to_string());
        }
        refusals.summaries()
    }

    #[test]
    fn the_text_has_shares_methods_and_masked_examples() {
        let text = table(&summaries(), &Style::plain());
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn the_document_has_the_same_numbers() {
        let document = document("orders", 1_764_130_000_123, &summaries());
        let observe = &document["modes"][0];
        assert_eq!(
            (&observe["mode"], &observe["requests"], &observe["refused"]),
            (&json!("observe"), &json!(4), &json!(3))
        );
        let bad = &observe["groups"][1];
        assert_eq!(
            (&bad["group"], &bad["share"]),
            (&json!("bad_key"), &json!(0.25))
        );
        assert_eq!(
            bad["methods"],
            json!([{"method": "GET /orders/{id}", "requests": 1}])
        );
        assert_eq!(bad["examples"][0]["last"], "2025-11-26T04:06:40.123Z");
        let enforce = &document["modes"][1];
        assert_eq!(enforce["not_logged"], 4);
        assert_eq!(document["notes"].as_array().map(Vec::len), Some(3));
    }
}

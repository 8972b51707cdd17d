//! What `doctor` finds, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::layout;
use super::logs::time;
use super::style::Style;
use crate::code::Explanation;
use crate::decision::{self, Decision, absences};
use crate::preflight::doctor::{Check, Outcome, is_well};
use crate::printable::line;
use crate::reasons::REASONS;
use crate::threescale::{Limit, Told, Verdict};

/// Where the text of a row begins.
const INDENT: usize = 21;

/// One line for each check, and one for what to do.
pub fn table(checks: &[Check], style: &Style) -> String {
    let columns = style.row_columns();
    let mut lines = Vec::new();
    for check in checks {
        let word = format!("{:<4}", word(check.outcome));
        let word = match check.outcome {
            Outcome::Ok => style.good(&word),
            Outcome::Warn => style.warn(&word),
            Outcome::Fail => style.bad(&word),
            Outcome::Skipped => style.dim(&word),
        };
        let text = hung(&line(&check.text), columns);
        lines.push(format!("{word}  {:<13}  {text}", check.topic.as_str()));
        if let Some(hint) = &check.hint {
            let hint = hung(&format!("hint: {}", line(hint)), columns);
            lines.push(style.dim(&format!("{:INDENT$}{hint}", "")));
        }
    }
    lines.join("\n")
}

/// The text in lines that fit behind the names of the checks.
fn hung(text: &str, columns: usize) -> String {
    let columns = columns.saturating_sub(INDENT).max(INDENT);
    layout::wrap(text, columns).replace('\n', &format!("\n{:INDENT$}", ""))
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "OK",
        Outcome::Warn => "WARN",
        Outcome::Fail => "FAIL",
        Outcome::Skipped => "-",
    }
}

/// The checks as one JSON document.
pub fn document(checks: &[Check]) -> Value {
    let ok = is_well(checks);
    let checks: Vec<_> = checks
        .iter()
        .map(|check| {
            json!({
                "name": check.topic.as_str(),
                "result": check.outcome.as_str(),
                "text": check.text,
                "hint": check.hint,
            })
        })
        .collect();
    json!({"checks": checks, "ok": ok})
}

/// The verdict of a decision, in a word and in words.
fn verdict(decision: &Decision) -> &'static str {
    match (decision.allowed, decision.observed) {
        (true, _) => "allowed",
        (false, true) => "would be refused; it passed, because the mode is observe",
        (false, false) => "refused",
    }
}

/// The decisions about a request as text; without one, what that can mean.
pub fn decisions(id: &str, since: Duration, found: &[Decision], style: &Style) -> String {
    if found.is_empty() {
        let meanings = absences(id, since).into_iter();
        let meanings: Vec<_> = meanings.map(|meaning| format!("- {meaning}")).collect();
        return format!(
            "the log has no decision about request {id}. That can mean:\n{}",
            meanings.join("\n")
        );
    }
    let parts: Vec<_> = found
        .iter()
        .map(|decision| one(id, decision, style))
        .collect();
    parts.join("\n\n")
}

fn one(id: &str, decision: &Decision, style: &Style) -> String {
    let head = format!("request {id}: {}", verdict(decision));
    let head = match decision.allowed {
        true => style.good(&head),
        false => style.warn(&head),
    };
    let explanation = decision.explanation();
    let words = [&decision.method, &decision.resource].into_iter().flatten();
    let method = words.map(String::as_str).collect::<Vec<_>>().join(" ");
    let source = decision
        .source
        .as_deref()
        .map(|word| match decision::source(word) {
            Some(meaning) => format!("{word} ({meaning})"),
            None => word.to_owned(),
        });
    let rows = [
        ("Time", Some(time(decision.at_ms))),
        ("Method", Some(method).filter(|method| !method.is_empty())),
        ("Path", decision.path.clone()),
        ("Key", decision.credential.clone()),
        ("Metric", decision.metric.clone()),
        ("Source", source),
        ("Reason", Some(decision.reason.clone())),
        ("Cause", explanation.map(|told| told.cause.to_owned())),
        ("Effect", explanation.map(|told| told.effect.to_owned())),
        ("What to do", explanation.map(|told| told.action.to_owned())),
    ];
    let rows = rows
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<12}{}", line(&value?))));
    std::iter::once(head)
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The decisions about a request as one JSON document.
pub fn decisions_document(stack: &str, id: &str, since: Duration, found: &[Decision]) -> Value {
    let decisions: Vec<_> = found
        .iter()
        .map(|decision| {
            let explanation = decision.explanation().map(
                |told| json!({"cause": told.cause, "effect": told.effect, "action": told.action}),
            );
            json!({
                "time": time(decision.at_ms),
                "allowed": decision.allowed,
                "mode": if decision.observed { "observe" } else { "enforce" },
                "reason": decision.reason,
                "explanation": explanation,
                "source": decision.source,
                "method": decision.method,
                "resource": decision.resource,
                "path": decision.path,
                "credential": decision.credential,
                "metric": decision.metric,
            })
        })
        .collect();
    let meanings = match found.is_empty() {
        true => absences(id, since),
        false => Vec::new(),
    };
    json!({"stack": stack, "request": id, "decisions": decisions, "meanings": meanings})
}

/// What 3scale says about a key, in words. `masked` is the end of the key.
pub fn key_table(masked: &str, told: &Told, style: &Style) -> String {
    let (head, reason, text) = match &told.verdict {
        Verdict::Allowed if used_up(told).next().is_some() => (
            style.warn("3scale allows it, and a limit is used up"),
            Some("limits_exceeded"),
            None,
        ),
        Verdict::Allowed => (style.good("3scale allows it"), None, None),
        Verdict::Refused(reason) => (style.bad("3scale refuses it"), Some(reason.as_str()), None),
        Verdict::Fault(text) => (
            style.bad("3scale does not accept what the configuration says"),
            None,
            Some(text),
        ),
        Verdict::Unclear(text) => (style.warn("3scale gives no decision"), None, Some(text)),
    };
    let explanation = reason.and_then(explained);
    let known = matches!(told.verdict, Verdict::Allowed | Verdict::Refused(_));
    let next = "the caller must send it where `threescale.credentials` says. `threescale-gw doctor --request <id>` tells about one \
                request. What changes in 3scale takes effect within `authorizer.max_age`";
    let next = (told.verdict == Verdict::Allowed && reason.is_none()).then(|| next.to_owned());
    let mut rows = vec![
        ("Reason", reason.map(str::to_owned)),
        ("Cause", text.cloned()),
        ("Cause", explanation.map(|told| told.cause.to_owned())),
        ("Effect", explanation.map(|told| told.effect.to_owned())),
        ("What to do", explanation.map(|told| told.action.to_owned())),
        ("What to do", next),
        ("Plan", told.plan.clone()),
    ];
    rows.extend(
        told.limits
            .iter()
            .map(|limit| ("Limit", Some(limit_text(limit)))),
    );
    if known && !told.missing.is_empty() {
        let missing = told.missing.join(", ");
        rows.push((
            "Metrics",
            Some(format!(
                "the product does not have {missing}: requests that `threescale.mapping_rules` counts on them are refused. Create them \
                 in 3scale, or correct the rules"
            )),
        ));
    }
    rows.extend(
        told.notices
            .iter()
            .map(|notice| ("Note", Some(notice.clone()))),
    );
    let rows = rows
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<12}{}", line(&value?))));
    std::iter::once(format!("key {}: {head}", line(masked)))
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

fn explained(reason: &str) -> Option<Explanation> {
    let known = REASONS.iter().find(|(name, _)| *name == reason);
    known.map(|(_, explanation)| *explanation)
}

fn used_up(told: &Told) -> impl Iterator<Item = &Limit> {
    told.limits.iter().filter(|limit| limit.is_used_up())
}

fn limit_text(limit: &Limit) -> String {
    let Limit {
        metric,
        period,
        max,
        used,
        ends,
    } = limit;
    let used_up = match (limit.is_used_up(), ends) {
        (false, _) => String::new(),
        (true, Some(ends)) => format!(", used up until {ends}"),
        (true, None) => ", used up".to_owned(),
    };
    format!("{metric}: {used} of {max} per {period}{used_up}")
}

/// What 3scale says about a key, as one JSON document.
pub fn key_document(masked: &str, told: &Told) -> Value {
    let (allowed, reason, text) = match &told.verdict {
        Verdict::Allowed => (Some(true), None, None),
        Verdict::Refused(reason) => (Some(false), Some(reason), None),
        Verdict::Fault(text) | Verdict::Unclear(text) => (None, None, Some(text)),
    };
    let explanation = reason
        .and_then(|reason| explained(reason))
        .map(|told| json!({"cause": told.cause, "effect": told.effect, "action": told.action}));
    let limits: Vec<_> = told
        .limits
        .iter()
        .map(|limit| {
            json!({"metric": limit.metric, "period": limit.period, "max": limit.max, "used": limit.used,
                "used_up": limit.is_used_up(), "ends": limit.ends})
        })
        .collect();
    json!({
        "key": masked, "allowed": allowed, "reason": reason, "explanation": explanation, "text": text,
        "plan": told.plan, "limits": limits, "missing_metrics": told.missing, "notices": told.notices,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::doctor::Topic;

    #[test]
    fn a_check_is_a_line_with_what_to_do() {
        let checks = [
            Check::ok(Topic::Configuration, "threescale-gw.yaml is valid"),
            Check::fail(Topic::Credentials, "no \u{1b}[2Jcredentials").hint("log in"),
            Check::skipped(Topic::Rights, "the credentials are refused"),
            Check::warn(Topic::Lock, "locked"),
        ];
        let text = table(&checks, &Style::plain());
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{1b}'));
        let narrow = table(&checks, &Style::wide(48));
        assert!(narrow.contains("\n                     "), "{narrow}");
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 48),
            "{narrow}"
        );
        let document = document(&checks);
        assert_eq!(document["ok"], false);
        assert_eq!(
            document["checks"][1],
            json!({"name": "credentials", "result": "fail", "text": "no \u{1b}[2Jcredentials", "hint": "log in"})
        );
        assert_eq!(document["checks"][2]["hint"], Value::Null);
    }

    fn refused() -> Decision {
        let line = json!({
            "event": "decision", "request": "r-1", "allowed": false, "reason": "limits_exceeded", "source": "cache",
            "credential": "***9f3c", "method": "GET", "resource": "/orders", "metric": "hits\u{1b}",
        });
        decision::of(1_764_130_000_123, &line.to_string(), "r-1").expect("a decision")
    }

    #[test]
    fn a_decision_is_told_with_its_reason() {
        let day = Duration::from_secs(86_400);
        let found = [refused()];
        let text = decisions("r-1", day, &found, &Style::plain());
        insta::assert_snapshot!(text);
        let document = decisions_document("orders", "r-1", day, &found);
        let told = &document["decisions"][0];
        assert_eq!(
            (&told["mode"], &told["allowed"]),
            (&json!("enforce"), &json!(false))
        );
        assert!(told["explanation"]["action"].is_string());
        assert_eq!(document["meanings"], json!([]));
        let observed = Decision {
            observed: true,
            reason: "of_the_future".to_owned(),
            ..refused()
        };
        let text = decisions("r-1", day, &[refused(), observed], &Style::plain());
        assert!(
            text.contains("\n\nrequest r-1: would be refused; it passed"),
            "{text}"
        );
        let document = decisions_document("orders", "r-1", day, &[]);
        assert_eq!(document["decisions"], json!([]));
        assert!(
            document["meanings"]
                .as_array()
                .is_some_and(|all| all.len() > 4)
        );
        let text = decisions("r-1", day, &[], &Style::plain());
        assert!(text.contains("\n- the request was allowed"), "{text}");
    }
}

//! Formats a function's log lines: JSON becomes `name=value` pairs.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::style::Style;
use crate::printable;

/// Prefixes of Lambda's own lines about an invocation. Source: Lambda Developer Guide, "Working with Lambda function
/// logs".
const OF_LAMBDA: [&str; 5] = [
    "INIT_START ",
    "START RequestId:",
    "END RequestId:",
    "REPORT RequestId:",
    "XRAY TraceId:",
];

/// Whether a line is one of the many that readers do not need: a CloudWatch metric, or Lambda's own about an
/// invocation.
pub fn is_measurement(text: &str) -> bool {
    OF_LAMBDA.iter().any(|start| text.starts_with(start))
        || parse(text).is_some_and(|record| record.contains_key("_aws"))
}

/// Formats Unix milliseconds as RFC 3339 in UTC.
pub fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

/// Formats one line.
pub fn line(function: &str, at_ms: i64, text: &str, style: &Style) -> String {
    let head = format!(
        "{} {}",
        style.dim(&time(at_ms)),
        style.bold(&format!("{function:<10}"))
    );
    let Some(mut record) = parse(text) else {
        return format!("{head} {}", printable::line(text.trim_end()));
    };
    let mut words = Vec::new();
    for (name, width) in [("level", 5), ("event", 0)] {
        if let Some(value) = record.remove(name) {
            let word = format!("{:<width$}", plain(&value));
            words.push(match word.trim_end() {
                "error" => style.bad(&word),
                "warn" => style.warn(&word),
                _ => word,
            });
        }
    }
    if let Some(allowed) = record.remove("allowed") {
        let observed = record.get("mode").is_some_and(|mode| mode == "observe");
        words.push(match (allowed == Value::Bool(true), observed) {
            (true, _) => style.good("allowed"),
            (false, true) => style.warn("would be refused"),
            (false, false) => style.warn("refused"),
        });
    }
    let pairs = record
        .iter()
        .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""))
        .map(|(name, value)| format!("{}={}", printable::line(name), plain(value)));
    words.extend(pairs);
    format!("{head} {}", words.join(" "))
}

fn parse(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text.trim()).ok()
}

/// Formats a value, in quotes if it is ambiguous without them.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=') =>
        {
            printable::line(text).into_owned()
        }
        other => printable::line(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        line("authorizer", 1_764_130_000_123, text, &Style::plain())
    }

    #[test]
    fn lines_are_for_a_reader() {
        const HEAD: &str = "2025-11-26T04:06:40.123Z authorizer";
        for (text, wanted) in [
            (
                r#"{"level":"info","event":"decision","allowed":false,"reason":"limits_exceeded","metric":"hits","method":"","credential":null,"us":412}"#,
                "info  decision refused metric=hits reason=limits_exceeded us=412",
            ),
            (
                r#"{"level":"info","event":"decision","mode":"observe","allowed":false,"reason":"denied"}"#,
                "info  decision would be refused mode=observe reason=denied",
            ),
            (
                r#"{"level":"error","event":"backend","error":"no route to \"su1\"\u001b[2J"}"#,
                r#"error backend error="no route to \"su1\"\u001b[2J""#,
            ),
            ("thread panicked\u{1b}[2J\n", r"thread panicked\u{1b}[2J"),
            (
                r#"{"level":"info","event":"report","batches":[1,2]}"#,
                "info  report batches=[1,2]",
            ),
        ] {
            assert_eq!(shown(text), format!("{HEAD} {wanted}"));
        }
        assert!(is_measurement("REPORT RequestId: 1 Duration: 2 ms\n"));
        assert!(is_measurement(r#"{"_aws":{"Timestamp":7}}"#));
        assert!(!is_measurement(r#"{"event":"report"}"#));
    }
}

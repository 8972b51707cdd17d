//! The explanations of codes and reasons, as text and as JSON.

use serde_json::{Value, json};

use super::layout::behind;
use crate::code::{Code, Explanation};
use crate::reasons::REASONS;

/// The width of the text, on a terminal that is wide enough.
pub const WIDTH: usize = 80;
/// Where the text begins.
const INDENT: usize = 13;

/// A code or a reason.
#[derive(Debug)]
pub struct Topic {
    pub name: &'static str,
    /// Whether it is a reason of the authorizer, and not the code of an error.
    pub is_reason: bool,
    pub explanation: Explanation,
}

/// All codes of errors, then all reasons of the authorizer.
pub fn topics() -> Vec<Topic> {
    let codes = Code::ALL.iter().map(|code| Topic {
        name: code.as_str(),
        is_reason: false,
        explanation: code.explanation(),
    });
    let reasons = REASONS.iter().map(|(name, explanation)| Topic {
        name,
        is_reason: true,
        explanation: *explanation,
    });
    codes.chain(reasons).collect()
}

/// One of them as text of this width.
pub fn text(topic: &Topic, width: usize) -> String {
    let Explanation {
        cause,
        effect,
        action,
    } = topic.explanation;
    let rows = [("Cause", cause), ("Effect", effect), ("What to do", action)];
    let rows = rows.map(|(head, text)| format!("{head:<INDENT$}{}", behind(text, INDENT, width)));
    format!("{} ({})\n\n{}", topic.name, what(topic), rows.join("\n"))
}

/// All of them, each with the first sentence of its cause.
pub fn list(topics: &[Topic], width: usize) -> String {
    let section = |title: &str, is_reason| {
        let mut lines = vec![title.to_owned()];
        for topic in topics.iter().filter(|topic| topic.is_reason == is_reason) {
            let cause = topic.explanation.cause;
            let first = cause.split_once(". ").map_or(cause, |(first, _)| first);
            let first = first.trim_end_matches('.');
            lines.push(format!("  {:<26}{}", topic.name, behind(first, 28, width)));
        }
        lines.join("\n")
    };
    format!(
        "{}\n\n{}",
        section("Errors of the program", false),
        section("Reasons of the authorizer", true)
    )
}

/// One of them as JSON.
pub fn document(topic: &Topic) -> Value {
    let Explanation {
        cause,
        effect,
        action,
    } = topic.explanation;
    json!({
        "code": topic.name,
        "kind": if topic.is_reason { "reason" } else { "error" },
        "cause": cause,
        "effect": effect,
        "action": action,
    })
}

fn what(topic: &Topic) -> &'static str {
    match topic.is_reason {
        true => "a reason of the authorizer",
        false => "an error of threescale-gw",
    }
}

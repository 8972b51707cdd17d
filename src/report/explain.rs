//! The explanations of codes and reasons, as text and as JSON.

use serde_json::{Value, json};

use super::layout::behind;
use crate::code::{Code, Explanation};
use crate::notice::NoticeCode;
use crate::reasons::REASONS;

/// The width of the text, on a terminal that is wide enough.
pub const WIDTH: usize = 80;
/// Where the text begins.
const INDENT: usize = 13;

/// What has a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Error,
    Notice,
    /// Of the authorizer.
    Reason,
}

/// A code or a reason.
#[derive(Debug)]
pub struct Topic {
    pub name: &'static str,
    pub sort: Sort,
    pub explanation: Explanation,
}

/// All codes of errors and notices, then all reasons of the authorizer.
pub fn topics() -> Vec<Topic> {
    let codes = Code::ALL.iter().map(|code| Topic {
        name: code.as_str(),
        sort: Sort::Error,
        explanation: code.explanation(),
    });
    let notices = NoticeCode::ALL.iter().map(|code| Topic {
        name: code.as_str(),
        sort: Sort::Notice,
        explanation: code.explanation(),
    });
    let reasons = REASONS.iter().map(|(name, explanation)| Topic {
        name,
        sort: Sort::Reason,
        explanation: *explanation,
    });
    codes.chain(notices).chain(reasons).collect()
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
    let section = |title: &str, sort| {
        let mut lines = vec![title.to_owned()];
        for topic in topics.iter().filter(|topic| topic.sort == sort) {
            let cause = topic.explanation.cause;
            let first = cause.split_once(". ").map_or(cause, |(first, _)| first);
            let first = first.trim_end_matches('.');
            lines.push(format!("  {:<26}{}", topic.name, behind(first, 28, width)));
        }
        lines.join("\n")
    };
    format!(
        "{}\n\n{}\n\n{}",
        section("Errors of the program", Sort::Error),
        section("Notices of the program", Sort::Notice),
        section("Reasons of the authorizer", Sort::Reason)
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
        "kind": match topic.sort {
            Sort::Error => "error",
            Sort::Notice => "notice",
            Sort::Reason => "reason",
        },
        "cause": cause,
        "effect": effect,
        "action": action,
    })
}

fn what(topic: &Topic) -> &'static str {
    match topic.sort {
        Sort::Error => "an error of threescale-gw",
        Sort::Notice => "a notice of threescale-gw",
        Sort::Reason => "a reason of the authorizer",
    }
}

//! The plan: a table with the reason for each change, a total, and the costs.

use serde_json::{Value, json};

use super::style::Style;
use crate::action::Action;
use crate::engine::plan::{Item, Plan};
use crate::names::Names;
use crate::preflight::Findings;

/// The maximum number of changes that the table lists per resource. The rest is counted.
const SHOWN: usize = 12;

fn mark(action: Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Replace => "!",
        Action::Delete => "-",
        Action::Wait => ".",
        Action::None => " ",
    }
}

/// The table as text.
pub fn table(plan: &Plan, extras: &Findings, style: &Style) -> String {
    let mut lines = Vec::new();
    for item in plan.items.iter().filter(|item| item.action != Action::None) {
        lines.push(row(item, style));
        lines.extend(reasons(item, extras, style));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    for notice in &extras.notices {
        lines.push(format!("{} {notice}", style.warn("note")));
    }
    if !extras.pending.is_empty() {
        lines.push(format!(
            "{} the deployment also publishes undeployed changes of others:",
            style.warn("note")
        ));
        lines.extend(extras.pending.iter().map(|edit| format!("    {edit}")));
    }
    if !extras.prices.is_empty() {
        let total: f64 = extras.prices.iter().map(|(_, price)| price).sum();
        let parts: Vec<_> = extras
            .prices
            .iter()
            .map(|(what, price)| format!("{what} {price:.2}"))
            .collect();
        lines.push(format!(
            "Costs about ${total:.0} a month when idle ({}); us-east-1, {}.",
            parts.join(", "),
            extras.prices_of
        ));
    }
    lines.push(total(plan));
    lines.join("\n")
}

/// The total in one line.
pub fn total(plan: &Plan) -> String {
    if plan.is_empty() {
        return format!(
            "No changes: all {} resources match the configuration.",
            plan.items.len()
        );
    }
    let counts = [
        (Action::Create, "to create"),
        (Action::Update, "to update"),
        (Action::Replace, "to replace"),
        (Action::Delete, "to delete"),
        (Action::Wait, "in progress"),
        (Action::None, "unchanged"),
    ];
    let parts: Vec<_> = counts
        .iter()
        .map(|(action, words)| (plan.count(*action), words))
        .filter(|(n, _)| *n > 0)
        .map(|(n, words)| format!("{n} {words}"))
        .collect();
    format!("Plan: {}.", parts.join(", "))
}

fn row(item: &Item, style: &Style) -> String {
    let mark = mark(item.action);
    let id = format!("{:<32}", item.id.to_string());
    let action = format!("{:<8}", item.action.as_str());
    let text = format!(
        "{mark} {id} {action} {}",
        item.physical_id.as_deref().unwrap_or_default()
    );
    let text = text.trim_end();
    match item.action {
        Action::Create => style.good(text),
        Action::Delete | Action::Replace => style.bad(text),
        _ => style.warn(text),
    }
}

fn reasons(item: &Item, extras: &Findings, style: &Style) -> Vec<String> {
    let mut reasons: Vec<_> = item.changes.iter().map(ToString::to_string).collect();
    if item.action == Action::Create && item.id.kind == crate::kind::Kind::ApiAttachment {
        reasons.extend(extras.attaches.iter().cloned());
    }
    if item.action == Action::Replace {
        reasons.push("forces replacement".to_owned());
    }
    let more = reasons.len().saturating_sub(SHOWN);
    reasons.truncate(SHOWN);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    reasons
        .into_iter()
        .map(|reason| style.dim(&format!("    {reason}")))
        .collect()
}

/// The plan as one JSON document.
pub fn document(plan: &Plan, names: &Names, extras: &Findings, outputs: &Value) -> Value {
    let resources: Vec<_> = plan
        .items
        .iter()
        .map(|item| {
            json!({
                "id": item.id,
                "kind": item.id.kind.as_str(),
                "physical_id": item.physical_id,
                "state": item.phase.as_ref().map_or("absent", |phase| phase.as_str()),
                "action": item.action,
                "drift": item.changes,
            })
        })
        .collect();
    json!({
        "stack": names.stack,
        "region": names.region,
        "account": names.account,
        "resources": resources,
        "notices": extras.notices,
        "pending": extras.pending,
        "outputs": outputs,
    })
}

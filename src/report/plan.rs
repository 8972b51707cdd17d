//! The plan: a table with the reason for each change, a total, and the costs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::layout::wrap;
use super::style::Style;
use crate::action::Action;
use crate::engine::plan::{Item, Plan};
use crate::event::Scope;
use crate::kind::Kind;
use crate::preflight::Findings;
use crate::prices::{self, Cheaper, Costs};

/// The maximum number of changes that the table lists per resource. The rest is counted.
const SHOWN: usize = 12;

/// The least width of the column of the logical ids.
const ID_WIDTH: usize = 32;

const PENDING: &str = "the deployment also publishes undeployed changes of others:";

/// A space at which no line breaks.
const JOINED: char = '\u{a0}';

pub(super) fn mark(action: Action) -> &'static str {
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
    let shown = || plan.items.iter().filter(|item| item.action != Action::None);
    let width = id_width(shown());
    for item in shown() {
        lines.push(row(item, width, style));
        let reasons = reasons(item, extras);
        lines.extend(
            reasons
                .iter()
                .map(|reason| style.dim(&format!("    {reason}"))),
        );
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    for notice in &extras.notices {
        lines.push(format!("{} {notice}", style.warn("note")));
    }
    if !extras.pending.is_empty() {
        lines.push(format!("{} {PENDING}", style.warn("note")));
        lines.extend(extras.pending.iter().map(|edit| format!("    {edit}")));
    }
    if let Some(costs) = &extras.costs {
        let columns = style.columns();
        lines.extend(costs_of(costs).iter().map(|line| {
            // A price stays on the line of its name.
            wrap(line, columns).replace(JOINED, " ")
        }));
    }
    lines.extend(ready(extras));
    lines.push(total(plan));
    lines.join("\n")
}

/// The costs: the total, its parts, and the change that makes it cheaper.
fn costs_of(costs: &Costs) -> Vec<String> {
    let about = format!(
        "${:.0} a month when idle, and with traffic ${:.2} a month for metrics and ${:.2} per million requests",
        costs.idle_total(),
        costs.metrics,
        costs.per_million_requests
    );
    let region = &costs.region;
    let mut lines = vec![match region == prices::REGION {
        true => format!("Costs about {about} ({region}, {}).", prices::AS_OF),
        false => format!(
            "The prices of {region} are not known. In {}, it costs about {about} ({}).",
            prices::REGION,
            prices::AS_OF
        ),
    }];
    let known = |(what, price): &(String, Option<f64>)| {
        price.map(|price| format!("{what}{JOINED}{price:.2}"))
    };
    let parts: Vec<_> = costs.idle.iter().filter_map(known).collect();
    if !parts.is_empty() {
        lines.push(format!("    idle: {}", parts.join(", ")));
    }
    let unknown = costs.idle.iter().filter(|(_, price)| price.is_none());
    lines.extend(
        unknown.map(|(what, _)| format!("    not included: {what}, whose price is not known")),
    );
    if let Some(Cheaper { change, saves, but }) = &costs.cheaper {
        let but = but.map_or_else(String::new, |but| format!(" (but {but})"));
        lines.push(format!(
            "    cheaper: `{change}` saves ${saves:.2} a month{but}"
        ));
    }
    lines
}

/// Whole minutes, rounded up; `None` if it takes no time worth a word.
fn minutes(duration: Duration) -> Option<u64> {
    let minutes = duration.as_secs().div_ceil(60);
    (minutes > 1).then_some(minutes)
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

/// The width of the column of the logical ids.
pub(super) fn id_width<'a>(items: impl Iterator<Item = &'a Item>) -> usize {
    let widths = items.map(|item| item.id.to_string().len());
    widths.max().unwrap_or_default().max(ID_WIDTH)
}

fn row(item: &Item, width: usize, style: &Style) -> String {
    let mark = mark(item.action);
    let id = format!("{:<width$}", item.id.to_string());
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

/// Whether the API gets a new attachment.
fn attaches(item: &Item) -> bool {
    item.action == Action::Create && item.id.kind == Kind::ApiAttachment
}

/// What changes of a resource, and why.
pub(super) fn reasons(item: &Item, extras: &Findings) -> Vec<String> {
    let mut reasons: Vec<_> = item.changes.iter().map(ToString::to_string).collect();
    if attaches(item) {
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
}

/// What else a reader of the plan needs to know: notices, changes of others, costs, and how long it takes.
pub(super) fn notes(extras: &Findings) -> Vec<String> {
    let mut notes = extras.notices.clone();
    if !extras.pending.is_empty() {
        notes.push(format!("{PENDING} {}", extras.pending.join("; ")));
    }
    if let Some(costs) = &extras.costs {
        let costs = costs_of(costs).join("\n").replace(JOINED, " ");
        notes.push(costs);
    }
    notes.extend(ready(extras));
    notes
}

/// How long the change takes, if it is worth a word.
fn ready(extras: &Findings) -> Option<String> {
    minutes(extras.ready_in).map(|minutes| format!("Ready in about {minutes} minutes on AWS."))
}

fn costs_document(costs: &Costs) -> Value {
    let cents = |price: f64| (price * 100.0).round() / 100.0;
    let idle: Vec<_> = costs
        .idle
        .iter()
        .map(|(what, price)| json!({"item": what, "per_month": price.map(cents)}))
        .collect();
    let cheaper = costs.cheaper.as_ref().map(|cheaper| {
        json!({"change": cheaper.change, "saves_per_month": cents(cheaper.saves), "but": cheaper.but})
    });
    json!({
        "currency": "USD",
        "region": prices::REGION,
        "as_of": prices::AS_OF,
        "idle": idle,
        "idle_per_month": cents(costs.idle_total()),
        "metrics_per_month": cents(costs.metrics),
        "per_million_requests": cents(costs.per_million_requests),
        "cheaper": cheaper,
    })
}

/// The counts that a merge request of GitLab shows. As in Terraform, a replacement is a creation and a deletion.
/// Source: <https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsterraform>.
pub fn gitlab(plan: &Plan) -> Value {
    let count = |action| plan.count(action) + plan.count(Action::Replace);
    json!({
        "create": count(Action::Create),
        "update": plan.count(Action::Update),
        "delete": count(Action::Delete),
    })
}

/// The plan as one JSON document.
pub fn document(plan: &Plan, scope: &Scope, extras: &Findings, outputs: &Value) -> Value {
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
    let totals = Action::ALL.map(|action| (action.as_str().to_owned(), plan.count(action).into()));
    let totals: Map<_, _> = totals.into_iter().collect();
    // Shown for a new attachment only.
    let attaches = plan.items.iter().any(attaches).then_some(&extras.attaches);
    json!({
        "stack": scope.stack,
        "region": scope.region,
        "account": scope.account,
        "account_alias": scope.account_alias,
        "caller": scope.caller,
        "profile": scope.profile,
        "api": scope.apis.first(),
        "stages": scope.apis.iter().map(|api| &api.stage).collect::<Vec<_>>(),
        "resources": resources,
        "totals": totals,
        "methods": extras.methods,
        "attaches": attaches.map_or(&[][..], Vec::as_slice),
        "automatic_stages": extras.automatic_stages,
        "blockers": extras.blockers,
        "notices": extras.notices,
        "pending": extras.pending,
        "costs": extras.costs.as_ref().map(costs_document),
        "ready_in_minutes": minutes(extras.ready_in).unwrap_or_default(),
        "outputs": outputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(region: &str) -> Costs {
        let node = |price| ("cache/main".to_owned(), price);
        Costs {
            region: region.to_owned(),
            idle: vec![("nat-gateway/a".to_owned(), Some(32.85)), node(None)],
            metrics: 3.0,
            per_million_requests: 0.39,
            cheaper: None,
        }
    }

    #[test]
    fn unknown_prices_are_named() {
        let text = costs_of(&costs("us-east-1")).join("\n");
        assert!(
            text.starts_with("Costs about $33 a month when idle"),
            "{text}"
        );
        assert!(
            text.contains("not included: cache/main, whose price is not known"),
            "{text}"
        );
        let elsewhere = costs_of(&costs("eu-west-1")).join("\n");
        let first =
            "The prices of eu-west-1 are not known. In us-east-1, it costs about $33 a month";
        assert!(elsewhere.starts_with(first), "{elsewhere}");
        assert_eq!(costs_document(&costs("eu-west-1"))["idle_per_month"], 32.85);
    }

    #[test]
    fn a_minute_is_not_worth_a_word() {
        let of = |seconds| minutes(Duration::from_secs(seconds));
        assert_eq!([0, 60, 61, 420].map(of), [None, None, Some(2), Some(7)]);
    }
}

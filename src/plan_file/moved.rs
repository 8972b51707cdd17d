//! What differs between an approved plan and the current one. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Drift, PlanFile, Resource};
use crate::code::Code;
use crate::finding::Finding;
use crate::printable::line;

/// How a plan is of something else than this run: of another stack, place, API, configuration or authorizer.
pub fn mismatches(approved: &PlanFile, now: &PlanFile) -> Vec<Finding> {
    let places = [
        ("stack", &approved.stack, &now.stack),
        ("account", &approved.account, &now.account),
        ("Region", &approved.region, &now.region),
        ("API", &approved.api.id, &now.api.id),
        ("stage", &approved.api.stage, &now.api.stage),
    ];
    let mut texts: Vec<_> = places
        .into_iter()
        .filter(|(_, approved, now)| approved != now)
        .map(|(what, approved, now)| {
            format!(
                "the plan is for {what} {}, and this run is for {}",
                line(approved),
                line(now)
            )
        })
        .collect();
    let mut keys = Vec::new();
    different_keys("", &approved.configuration, &now.configuration, &mut keys);
    texts.extend(keys);
    if approved.package != now.package {
        texts.push("the authorizer is another one than that of the plan".to_owned());
    }
    Finding::all(Code::PlanMismatch, texts).collect()
}

/// The keys of the configuration that differ, with their values.
fn different_keys(path: &str, approved: &Value, now: &Value, found: &mut Vec<String>) {
    if approved == now {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (approved, now) {
        let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let path = match path.is_empty() {
                true => key.clone(),
                false => format!("{path}.{key}"),
            };
            let of = |object: &serde_json::Map<String, Value>| {
                object.get(key).cloned().unwrap_or(Value::Null)
            };
            different_keys(&path, &of(before), &of(after), found);
        }
        return;
    }
    let (approved, now) = (approved.to_string(), now.to_string());
    found.push(format!(
        "the configuration differs: {path} is {} in the plan, and {} now",
        line(&approved),
        line(&now)
    ));
}

/// Which resources have changed since the plan was made, and how.
pub fn resources(approved: &[Resource], now: &[Resource]) -> Vec<Finding> {
    let by_id = |all: &[Resource]| -> BTreeMap<String, Resource> {
        let all = all.iter().cloned();
        all.map(|one| (one.id.clone(), one)).collect()
    };
    let (before, after) = (by_id(approved), by_id(now));
    let mut ids: Vec<_> = before.keys().chain(after.keys()).collect();
    ids.sort();
    ids.dedup();
    let texts = |id: &String| match (before.get(id), after.get(id)) {
        (Some(before), Some(after)) => changes(before, after),
        (Some(before), None) => vec![format!("{} is gone", described(before))],
        (None, Some(after)) => vec![format!(
            "{} is there, and not in the plan",
            described(after)
        )],
        (None, None) => Vec::new(),
    };
    ids.into_iter()
        .flat_map(|id| texts(id).into_iter().map(move |text| finding(id, &text)))
        .collect()
}

/// The same for what a deployment publishes.
pub fn differences(approved: &PlanFile, now: &PlanFile) -> Vec<Finding> {
    let mut texts = Vec::new();
    for (before, after, sort) in [
        (&approved.attaches, &now.attaches, "a change of the API"),
        (
            &approved.automatic_stages,
            &now.automatic_stages,
            "a stage that deploys automatically",
        ),
        (
            &approved.pending,
            &now.pending,
            "an undeployed change of others",
        ),
    ] {
        let new = after.iter().filter(|one| !before.contains(one));
        texts.extend(new.map(|one| format!("{sort} was added since the plan: {}", line(one))));
        let gone = before.iter().filter(|one| !after.contains(one));
        texts.extend(gone.map(|one| format!("{sort} is gone since the plan: {}", line(one))));
    }
    let texts = texts.iter();
    texts
        .map(|text| finding("api-attachment/main", text))
        .collect()
}

fn finding(id: &str, text: &str) -> Finding {
    Finding {
        resource: Some(id.to_owned()),
        ..Finding::new(Code::PlanStale, format!("{id}: {text}"))
    }
}

fn described(resource: &Resource) -> String {
    match &resource.physical_id {
        Some(id) => line(id).into_owned(),
        None => "it".to_owned(),
    }
}

/// What has changed of one resource, in words.
fn changes(before: &Resource, after: &Resource) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    match (&before.physical_id, &after.physical_id) {
        (Some(id), None) => return vec![format!("{} was deleted since the plan", line(id))],
        (None, Some(id)) => return vec![format!("{} was created since the plan", line(id))],
        (Some(old), Some(new)) if old != new => {
            return vec![format!(
                "{} has taken the place of {} since the plan",
                line(new),
                line(old)
            )];
        }
        _ => {}
    }
    let mut texts = Vec::new();
    if before.state != after.state {
        texts.push(format!(
            "its state was {} and is {}",
            line(&before.state),
            line(&after.state)
        ));
    }
    let new = after.drift.iter().filter(|one| !before.drift.contains(one));
    for Drift { field, from, to } in new {
        let was = before
            .drift
            .iter()
            .find(|old| old.field == *field && !after.drift.contains(old));
        let (field, from, to) = (line(field), line(from), line(to));
        texts.push(match (was, &*from, &*to) {
            (Some(old), ..) if old.to == to => {
                format!("{field} was {} and is {from}", line(&old.from))
            }
            (_, from, "(none)") => format!("{field} {from} was added since the plan"),
            (_, "(none)", to) => format!("{field} {to} was removed since the plan"),
            _ => format!("{field} differs since the plan: {from} -> {to}"),
        });
    }
    if texts.is_empty() {
        let gone = before.drift.iter().filter(|one| !after.drift.contains(one));
        texts.extend(gone.map(|Drift { field, from, to }| {
            let (field, from, to) = (line(field), line(from), line(to));
            format!("{field} differs no longer since the plan: {from} -> {to}")
        }));
    }
    if texts.is_empty() {
        let (old, new) = (line(&before.action), line(&after.action));
        texts.push(format!("the plan is to {old} it, and now to {new} it"));
    }
    texts
}

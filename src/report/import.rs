//! What `import` adopts and what it leaves, as text and as JSON.

use serde_json::{Map, Value, json};

use super::style::Style;
use crate::code::Code;
use crate::finding::Finding;
use crate::names::Names;
use crate::resource::adoption::{Adoption, Left, Setting};

/// The key of a setting and its value.
pub fn setting(setting: &Setting) -> (&'static str, Value) {
    match setting {
        Setting::Cidr(cidr) => ("network.cidr", cidr.to_string().into()),
        Setting::Zones(zones) => ("network.zones", (*zones).into()),
    }
}

/// A setting as a line of the configuration.
pub fn setting_text(one: &Setting) -> String {
    match setting(one) {
        (key, Value::String(text)) => format!("{key}: {text}"),
        (key, value) => format!("{key}: {value}"),
    }
}

/// The table as text.
pub fn table(adoption: &Adoption, stack: &str, style: &Style) -> String {
    let mut lines = Vec::new();
    for one in &adoption.adopted {
        let mark = if one.is_ours { " " } else { "+" };
        let line = format!(
            "{mark} {:<32} {:<26} {}",
            one.id.to_string(),
            one.physical_id,
            one.about
        );
        let line = line.trim_end();
        lines.push(match one.is_ours {
            true => style.dim(line),
            false => style.good(line),
        });
    }
    if !adoption.created.is_empty() {
        let ids: Vec<_> = adoption.created.iter().map(ToString::to_string).collect();
        lines.push(String::new());
        lines.push(format!(
            "Not there yet, and created by `up`: {}",
            ids.join(", ")
        ));
    }
    if !adoption.left.is_empty() {
        lines.push(String::new());
        lines.push("Left as it is:".to_owned());
        for Left {
            what,
            physical_id,
            why,
            advice,
        } in &adoption.left
        {
            lines.push(format!("  {} {physical_id}: {why}", style.bold(what)));
            lines.extend(advice.iter().map(|advice| format!("    {advice}")));
        }
    }
    lines.push(String::new());
    let new = adoption.to_adopt().count();
    lines.push(match adoption.blockers.is_empty() {
        true => format!(
            "Import: {new} to stack {stack}, {} left. `down` then deletes what is imported.",
            adoption.left.len()
        ),
        false => format!("{} does not fit stack {stack}.", adoption.vpc),
    });
    lines.join("\n")
}

/// The same as one JSON document. `fitting`: the settings with which it would fit.
pub fn document(adoption: &Adoption, names: &Names, fitting: &[Setting], outcome: &str) -> Value {
    let adopted: Vec<_> = adoption
        .adopted
        .iter()
        .map(|one| {
            json!({
                "id": one.id,
                "kind": one.id.kind.as_str(),
                "physical_id": one.physical_id,
                "action": if one.is_ours { "none" } else { "import" },
            })
        })
        .collect();
    let left: Vec<_> = adoption
        .left
        .iter()
        .map(|one| {
            json!({
                "what": one.what,
                "physical_id": one.physical_id,
                "why": one.why,
                "advice": one.advice,
            })
        })
        .collect();
    let settings: Map<String, Value> = fitting
        .iter()
        .map(|one| {
            let (key, value) = setting(one);
            (key.to_owned(), value)
        })
        .collect();
    json!({
        "stack": names.stack,
        "region": names.region,
        "account": names.account,
        "vpc": adoption.vpc,
        "outcome": outcome,
        "resources": adopted,
        "created_by_up": adoption.created,
        "left": left,
        "blockers": Finding::all(Code::CannotImport, adoption.blockers.iter().cloned()).collect::<Vec<_>>(),
        "settings": settings,
    })
}

//! The status.

use super::{code, folded, list, outputs, page, table, text};
use crate::api_gateway::Protocol;
use crate::decision::guarded;
use crate::report::status::{Method, Status, health};
use crate::report::style::Style;

/// The verdict first, what is not healthy next, and the rest folded.
pub fn status(status: &Status) -> String {
    let style = Style::plain();
    let summary = status.summary(&style);
    let (verdict, rest) = summary
        .split_first()
        .map_or(("", &[][..]), |(verdict, rest)| (verdict.as_str(), rest));
    let names = &status.names;
    let heads = ["Health", "Resource", "Id", "Changes"];
    let resources = |well: bool| {
        let items = status.items.iter();
        let rows: Vec<_> = items
            .filter(|item| status.is_well(item) == well)
            .map(|item| {
                let changes: Vec<_> = item
                    .changes
                    .iter()
                    .map(|change| text(&change.to_string()))
                    .collect();
                vec![
                    health(item, status.is_compared).to_owned(),
                    code(&item.id.to_string()),
                    code(item.physical_id.as_deref().unwrap_or_default()),
                    changes.join("<br>"),
                ]
            })
            .collect();
        (rows.len(), table(&heads, &rows))
    };
    let (count, well) = resources(true);
    let word = if status.is_compared {
        "healthy"
    } else {
        "ready"
    };
    let observes = status.observes == Some(true);
    let unit = match status.protocol() {
        Protocol::Rest => "Method",
        Protocol::Http | Protocol::WebSocket => "Route",
    };
    let methods = |well: bool| {
        let is_well = |method: &Method| (method.protected && method.remark.is_none()) == well;
        let rows: Vec<_> = status
            .methods()
            .filter(|(_, method)| is_well(method))
            .map(|(stage, method)| {
                let at = match status.stages.len() {
                    0 | 1 => String::new(),
                    _ => format!(" in {}", code(&stage.target.stage)),
                };
                vec![
                    method.word(observes).to_owned(),
                    format!("{}{at}", code(&method.label())),
                    text(&method.told().unwrap_or_default()),
                ]
            })
            .collect();
        (rows.len(), table(&["Authorization", unit, "Remark"], &rows))
    };
    let (count_of_methods, protected) = methods(true);
    let failed = status.self_test.iter().flat_map(|report| &report.checks);
    let failed = failed
        .filter(|check| !check.ok)
        .map(|check| text(&check.to_string()));
    page([
        Some(format!(
            "### Stack {}: {}",
            code(&names.stack),
            text(verdict)
        )),
        Some(format!("{}, account {}", names.region, names.account)),
        list(rest.iter().map(|line| text(line))),
        list(failed),
        resources(false).1,
        folded(&format!("{count} resources are {word}"), well),
        methods(false).1,
        folded(
            &format!("{} {}", status.units(count_of_methods), guarded(observes)),
            protected,
        ),
        outputs(&status.outputs),
    ])
}

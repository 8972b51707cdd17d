//! The plan.

use super::{code, folded, list, page, place, table, text};
use crate::action::Action;
use crate::engine::plan::{Item, Plan};
use crate::event::Scope;
use crate::preflight::Findings;
use crate::report::plan::{mark, notes, reasons, total};

/// Beyond this number of changed resources, a click opens the table.
const OPEN: usize = 40;

/// The plan, with the reasons for each change and the costs.
pub fn plan(plan: &Plan, scope: &Scope, findings: &Findings) -> String {
    let row = |item: &Item| {
        let reasons: Vec<_> = reasons(item, findings)
            .iter()
            .map(|reason| text(reason))
            .collect();
        vec![
            format!("{} {}", mark(item.action), item.action.as_str()),
            code(&item.id.to_string()),
            code(item.physical_id.as_deref().unwrap_or_default()),
            reasons.join("<br>"),
        ]
    };
    let changed = plan.items.iter().filter(|item| item.action != Action::None);
    let rows: Vec<_> = changed.map(row).collect();
    let changes = table(&["Action", "Resource", "Id", "Changes"], &rows);
    let changes = match rows.len() > OPEN {
        true => folded(&format!("{} resources", rows.len()), changes),
        false => changes,
    };
    page([
        Some(format!("### Plan for stack {}", code(&scope.stack))),
        Some(format!("**{}**", text(&total(plan)))),
        Some(place(scope)),
        changes,
        list(notes(findings).iter().map(|note| text(note))),
    ])
}

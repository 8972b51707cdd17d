//! What `validate` finds, as text and as JSON.

use serde_json::{Value, json};

use super::style::Style;
use super::{note, text};
use crate::cli::{Format, Global};
use crate::code::Code;
use crate::config::Checked;

/// Shows the problems of the file with this name.
pub fn show(global: &Global, name: &str, checked: &Checked) {
    if global.output == Format::Json {
        super::document(document(name, checked));
        return;
    }
    for problem in &checked.problems {
        text(&problem.to_string());
    }
    let style = Style::stderr(global);
    if !global.quiet {
        for unset in &checked.unset {
            note(&format!("{} {unset}", style.dim("note")));
        }
    }
    let head = style.bad(&format!("error[{}]:", Code::ConfigInvalid.as_str()));
    match checked.problems.len() {
        0 => text(&format!("{name} is valid")),
        1 => note(&format!("{} {name} has 1 problem", head)),
        count => note(&format!("{} {name} has {count} problems", head)),
    }
}

fn document(name: &str, checked: &Checked) -> Value {
    let problems: Vec<_> = checked
        .problems
        .iter()
        .map(|problem| {
            json!({
                "code": Code::ConfigInvalid,
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "message": problem.message,
            })
        })
        .collect();
    json!({
        "file": name,
        "valid": checked.problems.is_empty(),
        "problems": problems,
        "unset": checked.unset,
    })
}

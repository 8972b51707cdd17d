//! What `validate` finds, as text and as JSON.

use serde_json::{Value, json};

use super::style::Style;
use super::{note, result, text};
use crate::cli::{Format, Global};
use crate::code::Code;
use crate::config::Checked;

/// Shows the problems of the file with this name.
pub fn show(global: &Global, name: &str, checked: &Checked) {
    if global.output == Format::Json {
        result(&document(name, checked).to_string());
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
    json!({
        "file": name,
        "valid": checked.problems.is_empty(),
        "problems": checked.problems,
        "unset": checked.unset,
    })
}

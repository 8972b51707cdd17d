//! What `init` has written, as text and as JSON.

use serde_json::{Value, json};

use crate::cli::Global;
use crate::config::{ApiSelector, Draft};

/// The commands to run next.
pub fn next(global: &Global) -> Vec<String> {
    let mut flags = String::new();
    let file = global.file.display().to_string();
    let is_default = !global.names_file() || global.file.as_os_str() == "-";
    for (flag, value) in [
        ("-f", (!is_default).then_some(&file)),
        ("--region", global.region.as_ref()),
        ("--profile", global.profile.as_ref()),
    ] {
        if let Some(value) = value {
            flags.push_str(&format!(" {flag} {}", shell(value)));
        }
    }
    vec![
        "export THREESCALE_SERVICE_TOKEN=...".to_owned(),
        format!("threescale-gw plan{flags}"),
        format!("threescale-gw up{flags}"),
    ]
}

/// As text.
pub fn text(global: &Global, draft: &Draft) -> String {
    let (what, api) = api(draft);
    let mut lines = vec![
        format!(
            "wrote {}: stack {} for the API with the {what} {api}, stage {}",
            global.file.display(),
            draft.stack,
            draft.stage
        ),
        "Next, with a service token of the product:".to_owned(),
    ];
    lines.extend(next(global).iter().map(|line| format!("  {line}")));
    lines.join("\n")
}

/// As JSON, with the text of the file if it was not written to one.
pub fn document(global: &Global, draft: &Draft, is_written: bool) -> Value {
    let (what, api) = api(draft);
    let file = is_written.then(|| global.file.display().to_string());
    json!({
        "file": file,
        "text": draft.text(),
        "stack": draft.stack.as_str(),
        "api": {what: api, "stage": draft.stage},
        "next": next(global),
    })
}

fn api(draft: &Draft) -> (&'static str, &str) {
    match &draft.api {
        ApiSelector::Id(id) => ("id", id),
        ApiSelector::Name(name) => ("name", name),
    }
}

/// A word as a shell reads it.
fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

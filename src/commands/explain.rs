//! `explain`: what a code or a reason means, and what to do.

use crate::cli::{Format, Global};
use crate::error::{Error, ExitStatus, Result};
use crate::nearest::nearest;
use crate::report;
use crate::report::explain::{Topic, WIDTH, document, list, text, topics};
use crate::report::style::Style;

/// Runs `explain`.
pub(super) fn run(global: &Global, code: Option<&str>) -> Result<ExitStatus> {
    let all = topics();
    let width = Style::stdout(global).columns().min(WIDTH);
    let is_json = global.output == Format::Json;
    let Some(code) = code else {
        match is_json {
            true => {
                let codes: Vec<_> = all.iter().map(document).collect();
                report::document(serde_json::json!({"codes": codes}));
            }
            false => report::result(&list(&all, width)),
        }
        return Ok(ExitStatus::Done);
    };
    let topic = find(&all, code)?;
    match is_json {
        true => report::document(document(topic)),
        false => report::result(&text(topic, width)),
    }
    Ok(ExitStatus::Done)
}

/// The code, also as it is printed with an error: `error[lock-held]`.
fn find<'a>(all: &'a [Topic], code: &str) -> Result<&'a Topic> {
    let bare = code.trim().trim_end_matches(':');
    let bare = bare
        .strip_prefix("error[")
        .unwrap_or(bare)
        .trim_matches(['[', ']']);
    let is_meant = |topic: &&Topic| topic.name.eq_ignore_ascii_case(bare);
    all.iter().find(is_meant).ok_or_else(|| {
        let meant = nearest(bare, all.iter().map(|topic| topic.name));
        let meant = meant.map(|name| format!("; did you mean `{name}`?"));
        Error::usage(format!("`{code}` is no code{}", meant.unwrap_or_default()))
            .hint("`threescale-gw explain` lists all codes")
    })
}

//! `doctor --request`: the decision of the authorizer about one request.

use std::time::Duration;

use jiff::Timestamp;

use crate::aws::logs::lines;
use crate::cli::{Format, Global};
use crate::commands::existing::absent;
use crate::commands::logs::{failed, millis};
use crate::commands::session;
use crate::decision;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::report::doctor::{decisions, decisions_document};
use crate::report::{self, style::Style};
use crate::resource::function;

/// Finds the decision in the log, and says what it means.
pub(super) async fn run(
    global: &Global,
    id: &str,
    since: Duration,
    sink: Sink,
) -> Result<ExitStatus> {
    let cx = session::connect(global, 1, sink).await?;
    let since_ms = Timestamp::now()
        .as_millisecond()
        .saturating_sub(millis(since))
        .max(0);
    let group = cx.names().log_group(function::NAMES[0]);
    let filter = decision::filter(id);
    let lines = match lines(cx.aws(), &group, since_ms, Some(&filter)).await {
        Ok(lines) => lines,
        Err(error) => {
            let error = failed(&cx, &group, error);
            return Err(match error.status() {
                ExitStatus::Refused => absent(&cx).await.map_or(error, Error::from),
                _ => error,
            });
        }
    };
    let found = lines.iter();
    let mut found: Vec<_> = found
        .filter_map(|line| decision::of(line.at_ms, &line.text, id))
        .collect();
    found.sort_by_key(|decision| decision.at_ms);
    match global.output {
        Format::Json => {
            let document = decisions_document(&cx.names().stack, id, since, &found);
            report::document(document);
        }
        Format::Text | Format::Markdown => {
            report::text(&decisions(id, since, &found, &Style::stdout(global)));
        }
    }
    Ok(match found.is_empty() {
        true => ExitStatus::Failed,
        false => ExitStatus::Done,
    })
}

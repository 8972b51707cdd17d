//! `report`: who is refused, or would be refused in the mode observe.

use jiff::Timestamp;

use super::logs::{failed, millis};
use crate::aws::logs;
use crate::cli::{Format, Global, ReportArgs};
use crate::duration::exact;
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::notice::NoticeCode;
use crate::refusals::Refusals;
use crate::report::{self, refusals, style::Style};
use crate::resource::function;

/// Runs `report`.
pub(super) async fn run(global: &Global, args: &ReportArgs, sink: Sink) -> Result<ExitStatus> {
    let cx = super::session::connect(global, 2, sink).await?;
    let since_ms = Timestamp::now()
        .as_millisecond()
        .saturating_sub(millis(args.since))
        .max(0);
    let group = cx.names().log_group(function::NAMES[0]);
    let mut sums = Refusals::default();
    let take = |line: logs::Line| sums.take(line.at_ms, &line.text);
    if let Err(error) = logs::each_line(cx.aws(), &group, since_ms, take).await {
        if error.is_not_found() {
            super::existing::ensure_exists(&cx).await?;
        }
        return Err(failed(&cx, &group, error));
    }
    let summaries = sums.summaries();
    match global.output {
        Format::Json => {
            let document = refusals::document(&cx.names().stack, since_ms, &summaries);
            report::document(document);
        }
        Format::Text | Format::Markdown if summaries.is_empty() => {}
        Format::Text | Format::Markdown => {
            report::text(&refusals::table(&summaries, &Style::stdout(global)))
        }
    }
    if summaries.is_empty() {
        cx.sink().finding(
            NoticeCode::NothingLogged,
            format!(
                "no decision was logged in the last {}; --since goes further back",
                exact(args.since)
            ),
        );
    }
    Ok(ExitStatus::Done)
}

//! `logs`: shows what the authorizer and the reporter logged, ordered by time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::existing;
use crate::aws::AwsError;
use crate::aws::logs::{self as log_groups, Line};
use crate::cli::{Format, Global, LogFunction, LogsArgs};
use crate::code::Code;
use crate::decision;
use crate::duration::exact;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::notice::NoticeCode;
use crate::report::{self, logs, style::Style};
use crate::resource::Context;

/// The interval between requests for new lines. CloudWatch allows five such calls per second, account and Region.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Runs `logs`.
pub(super) async fn run(global: &Global, args: &LogsArgs, sink: Sink) -> Result<ExitStatus> {
    let cx = super::session::connect(global, 2, sink).await?;
    let since = Timestamp::now().as_millisecond() - millis(args.since);
    let mut functions = args.functions.clone();
    if functions.is_empty() {
        functions = vec![LogFunction::Authorizer, LogFunction::Reporter];
    }
    functions.sort_unstable();
    functions.dedup();
    let mut tails: Vec<_> = functions
        .into_iter()
        .map(|function| (function.word(), Tail::since(since)))
        .collect();
    let style = Style::stdout(global);
    let mut shown = 0;
    let of_trace = args.trace.as_deref().map(decision::filter);
    let filter = of_trace.as_deref().or(args.filter.as_deref());
    // One listener for all rounds: a signal that arrives without a listener is lost.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| {
        Error::failed(anyhow::Error::new(error).context("listening to signals"))
    })?;
    loop {
        let lines = tokio::select! {
            lines = look(&cx, &mut tails, filter) => match lines {
                // Also where the group is missing, the stack may exist.
                Err(error) if error.status() == ExitStatus::Refused => {
                    let absent = existing::absent(&cx).await;
                    return Err(absent.map_or(error, Error::from));
                }
                lines => lines?,
            },
            _ = interrupt.recv() => {
                report::interrupted();
                return Ok(ExitStatus::Interrupted);
            }
        };
        for (function, line) in &lines {
            if args
                .trace
                .as_deref()
                .is_some_and(|id| !is_of_trace(&line.text, id))
            {
                continue;
            }
            let text = match global.output {
                Format::Json => Some(json(function, line)),
                Format::Text if !args.all && logs::is_measurement(&line.text) => None,
                Format::Text | Format::Markdown => {
                    Some(logs::line(function, line.at_ms, &line.text, &style))
                }
            };
            if let Some(text) = text {
                if !report::is_read(&text) {
                    return Ok(ExitStatus::Done);
                }
                shown += 1;
            }
        }
        if !args.follow {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = interrupt.recv() => {
                report::interrupted();
                return Ok(ExitStatus::Interrupted);
            }
        }
    }
    if shown == 0 {
        cx.sink().finding(
            NoticeCode::NothingLogged,
            format!(
                "nothing was written in the last {}; --since goes further back",
                exact(args.since)
            ),
        );
    }
    Ok(ExitStatus::Done)
}

/// The new lines of all functions, oldest first.
async fn look(
    cx: &Context,
    tails: &mut [(&'static str, Tail)],
    filter: Option<&str>,
) -> Result<Vec<(&'static str, Line)>> {
    let asked = try_join_all(tails.iter_mut().map(|(function, tail)| async move {
        let group = cx.names().log_group(function);
        let lines = log_groups::lines(cx.aws(), &group, tail.from(), filter)
            .await
            .map_err(|error| failed(cx, &group, error))?;
        let new = tail.take(lines).into_iter();
        let new = new.map(|line| (*function, line)).collect::<Vec<_>>();
        Ok::<_, Error>(new)
    }))
    .await?;
    let mut lines: Vec<_> = asked.into_iter().flatten().collect();
    lines.sort_by_key(|(_, line)| line.at_ms);
    Ok(lines)
}

pub(super) fn failed(cx: &Context, group: &str, error: AwsError) -> Error {
    if error.is_not_found() {
        let stack = &cx.names().stack;
        return Error::refused(format!("stack {stack} has no log group {group}"))
            .with_code(Code::StackNotFound)
            .hint("`threescale-gw up` makes it; `--stack` and `--region` lead to another stack");
    }
    error.into()
}

/// A line as one JSON object. A message that is already JSON stays JSON.
fn json(function: &str, line: &Line) -> String {
    let mut object = json!({"event": "log", "time": logs::time(line.at_ms), "function": function});
    match serde_json::from_str::<Value>(line.text.trim()) {
        Ok(record @ Value::Object(_)) => object["record"] = record,
        _ => object["text"] = line.text.trim_end().into(),
    }
    report::versioned(object).to_string()
}

/// Whether a line is about a request of a trace. What contains its id somewhere else is not.
fn is_of_trace(text: &str, id: &str) -> bool {
    serde_json::from_str(text.trim()).is_ok_and(|line| decision::is_of_trace(&line, id))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Separates the new lines of a log from those already shown.
#[derive(Debug)]
pub struct Tail {
    from_ms: i64,
    seen: BTreeMap<String, i64>,
}

impl Tail {
    /// A line can appear this long after a line with a later timestamp, because each instance of a function delivers
    /// its logs independently.
    const LATE_MS: i64 = 15_000;

    /// Starts at a time, in Unix milliseconds.
    pub fn since(from_ms: i64) -> Self {
        Self {
            from_ms: from_ms.max(0),
            seen: BTreeMap::new(),
        }
    }

    /// The time from which to read the log, in Unix milliseconds.
    pub fn from(&self) -> i64 {
        self.from_ms
    }

    /// Returns the new lines, oldest first.
    pub fn take(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        lines.retain(|line| self.seen.insert(line.id.clone(), line.at_ms).is_none());
        lines.sort_by_key(|line| line.at_ms);
        if let Some(newest) = lines.last() {
            self.from_ms = self.from_ms.max(newest.at_ms.saturating_sub(Self::LATE_MS));
            self.seen.retain(|_, at_ms| *at_ms >= self.from_ms);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, at_ms: i64) -> Line {
        Line {
            id: id.to_owned(),
            at_ms,
            text: format!("text of {id}"),
        }
    }

    fn ids(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.id.as_str()).collect()
    }

    #[test]
    fn a_line_comes_once_in_order_and_also_when_it_is_late() {
        let mut tail = Tail::since(5);
        assert_eq!(
            ids(&tail.take(vec![line("b", 20_000), line("a", 10)])),
            ["a", "b"]
        );
        assert_eq!(tail.from(), 5_000);
        let late = vec![line("c", 19_000), line("b", 20_000), line("d", 20_000)];
        assert_eq!(ids(&tail.take(late)), ["c", "d"]);
        assert_eq!(tail.take(vec![line("d", 20_000)]), []);
        assert_eq!(tail.from(), 5_000);
        // Lines outside the requested time range are forgotten.
        assert_eq!(ids(&tail.take(vec![line("e", 90_000)])), ["e"]);
        assert_eq!(tail.seen.len(), 1);
    }
}

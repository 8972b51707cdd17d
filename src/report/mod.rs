//! All output: to a terminal, to a pipe, as JSON.
//!
//! Results go to standard output, everything else to standard error. With `-o json`, the events of `up` and `down` are
//! results too.

pub mod bar;
pub mod doctor;
pub mod explain;
pub mod graph;
pub mod iam_policy;
pub mod import;
pub mod init;
pub mod json;
pub mod layout;
pub mod list;
pub mod live;
pub mod load;
pub mod logs;
pub mod plain;
pub mod plan;
pub mod refusals;
pub mod screen;
pub mod status;
pub mod style;
pub mod sweep;
pub mod terminal;
pub mod usage;
pub mod validate;
pub mod verify;
pub mod version;

use std::io::Write as _;
use std::time::Duration;

use console::Term;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use self::style::Style;
use crate::cli::{Format, Global};
use crate::error::{Error, ExitStatus};
use crate::event::{Event, Scope, Tally};
use crate::principal;
use crate::printable::{block, line};

/// Shows events in one format.
pub trait Reporter: Send {
    /// Shows one event.
    fn event(&mut self, event: &Event);
    /// How often `tick` is called.
    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }
    /// Called regularly during the run.
    fn tick(&mut self) {}
    /// Called once, after the last event.
    fn finish(&mut self) {}
}

/// Shows events as they arrive, until the last sink is dropped.
pub fn start(
    global: &Global,
    json_events: bool,
    mut events: UnboundedReceiver<Event>,
) -> JoinHandle<()> {
    let style = Style::stderr(global);
    let mut reporter: Box<dyn Reporter> = match global.output {
        Format::Json if json_events => Box::new(json::Json),
        _ if global.quiet => Box::new(plain::Quiet),
        Format::Json => Box::new(plain::Quiet),
        // One line per request would interfere with live lines.
        Format::Text if style.is_terminal && !global.verbose => {
            Box::new(terminal::Terminal::new(style))
        }
        Format::Text => Box::new(plain::Plain::new(style, global.verbose)),
    };
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(reporter.every());
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Settled(settled)) => {
                        screen::clear();
                        settled.notify_one();
                    }
                    Some(event) => reporter.event(&event),
                    None => break,
                },
                _ = clock.tick() => reporter.tick(),
            }
        }
        reporter.finish();
    })
}

/// Writes a result as it is: a document, or lines that other programs read. A closed pipe is not an error.
pub fn result(text: &str) {
    let _ = is_read(text);
}

/// Writes a result for people: on a terminal, it is wrapped at words.
pub fn text(text: &str) {
    result(&style::fitted(&Term::stdout(), text));
}

/// Writes a line of a result, and returns whether the stream is still open.
pub fn is_read(text: &str) -> bool {
    screen::clear();
    writeln!(std::io::stdout().lock(), "{}", block(text)).is_ok()
}

/// Writes a file of this program's own to standard output, unchanged. A closed pipe is not an error.
pub fn file(content: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(content).and_then(|()| stdout.flush());
}

/// Writes text that is not a result. On a terminal, it is wrapped at words.
pub fn note(text: &str) {
    screen::above(&style::fitted(&Term::stderr(), text));
}

/// Writes a question, and stays on its line for the answer.
pub fn question(text: &str) {
    let text = style::fitted(&Term::stderr(), text);
    // The space before the answer is no end of a line.
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{} ", block(text.trim_end()));
    let _ = stderr.flush();
}

/// The scope of a change: what it works on, and as whom.
pub fn scope(scope: &Scope) -> String {
    let Scope {
        stack,
        account,
        account_alias,
        region,
        caller,
        profile,
        apis,
    } = scope;
    let apis: Vec<_> = apis
        .iter()
        .map(|api| {
            let name = api.name.as_ref();
            let name = name.map(|name| format!(" ({})", line(name)));
            let name = name.unwrap_or_default();
            format!("API {}{name}, stage {}", api.id, api.stage)
        })
        .collect();
    let apis = match apis.is_empty() {
        true => "no API attached".to_owned(),
        false => apis.join("; "),
    };
    let alias = account_alias
        .as_deref()
        .map(|alias| format!("{}, ", line(alias)));
    let alias = alias.unwrap_or_default();
    let caller = caller.as_deref().map(principal::described);
    let profile = profile
        .as_deref()
        .map(|profile| format!("profile {profile}"));
    let whom: Vec<_> = [caller, profile].into_iter().flatten().collect();
    let whom = match whom.is_empty() {
        true => String::new(),
        false => format!("\nas {}", line(&whom.join(", "))),
    };
    format!("Stack {stack} in {region} (account {alias}{account}), {apis}{whom}")
}

/// Writes an error with its hints.
pub fn error(global: &Global, error: &Error) {
    let style = Style::stderr(global);
    let code = error.code();
    note(&format!(
        "{} {error}",
        style.bad(&format!("error[{}]:", code.as_str()))
    ));
    for hint in error.hints() {
        note(&format!("{} {hint}", style.dim("hint:")));
    }
    if global.output == Format::Json {
        let line = serde_json::json!({
            "event": "error",
            "code": code,
            "message": error.to_string(),
            "hints": error.hints(),
            "exit_code": error.status() as u8,
        });
        result(&line.to_string());
    }
}

/// Writes the last line of `up` and `down`.
pub fn summary(global: &Global, status: ExitStatus, tally: Tally, took: Duration) {
    match global.output {
        Format::Json => {
            let mut line = serde_json::json!({"event": "summary", "outcome": status.as_str(), "seconds": seconds(took)});
            if let (Some(line), Ok(serde_json::Value::Object(counts))) =
                (line.as_object_mut(), serde_json::to_value(tally))
            {
                line.extend(counts);
            }
            result(&line.to_string());
        }
        Format::Text if global.quiet && status == ExitStatus::Done => {}
        Format::Text => {
            let style = Style::stderr(global);
            let counts = [
                (tally.created, "created"),
                (tally.updated, "updated"),
                (tally.replaced, "replaced"),
                (tally.deleted, "deleted"),
                (tally.failed, "failed"),
                (tally.unchanged, "unchanged"),
            ];
            let counts: Vec<_> = counts
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, word)| format!("{n} {word}"))
                .collect();
            let counts = if counts.is_empty() {
                "nothing changed".to_owned()
            } else {
                counts.join(", ")
            };
            let word = if status == ExitStatus::Done {
                style.good(status.as_str())
            } else {
                style.bad(status.as_str())
            };
            note(&format!("{word}: {counts} in {}", elapsed(took)));
        }
    }
}

/// Seconds with one decimal place, for JSON.
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10.0).round() / 10.0
}

/// Formats an estimate: `40 s`, `5 min`.
pub fn about(duration: Duration) -> String {
    match duration.as_secs() {
        secs @ 0..60 => format!("{} s", secs.div_ceil(10) * 10),
        secs => format!("{} min", secs.div_ceil(60)),
    }
}

/// Formats a duration: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn elapsed(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        secs @ 10..60 => format!("{secs} s"),
        secs => format!("{} min {:02} s", secs / 60, secs % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ScopeApi;

    #[test]
    fn a_scope_names_stack_account_region_every_api_and_whom() {
        let api = |id: &str, name: Option<&str>| ScopeApi {
            id: id.to_owned(),
            name: name.map(str::to_owned),
            stage: "prod".to_owned(),
        };
        let of = |apis| Scope {
            stack: "orders".to_owned(),
            account: "123456789012".to_owned(),
            account_alias: None,
            region: "us-east-1".to_owned(),
            caller: None,
            profile: None,
            apis,
        };
        let line = |apis| scope(&of(apis));
        let begin = "Stack orders in us-east-1 (account 123456789012), ";
        assert_eq!(
            line(vec![api("a1", Some("shop")), api("b2", None)]),
            format!("{begin}API a1 (shop), stage prod; API b2, stage prod")
        );
        assert_eq!(line(Vec::new()), format!("{begin}no API attached"));
        let as_whom = Scope {
            account_alias: Some("acme-prod".to_owned()),
            caller: Some("arn:aws:sts::123456789012:assumed-role/Admin/kim".to_owned()),
            profile: Some("prod".to_owned()),
            ..of(Vec::new())
        };
        assert_eq!(
            scope(&as_whom),
            "Stack orders in us-east-1 (account acme-prod, 123456789012), no API attached\n\
             as role Admin, session kim, profile prod"
        );
    }
}

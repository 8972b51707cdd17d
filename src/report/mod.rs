//! All output: to a terminal, to a pipe, as JSON.
//!
//! Results go to standard output, everything else to standard error. With `-o json`, the events of `up` and `down` are
//! results too.

pub mod bar;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod github;
pub mod graph;
mod heading;
pub mod iam_policy;
pub mod import;
pub mod init;
pub mod json;
pub mod layout;
pub mod list;
pub mod live;
pub mod load;
pub mod logs;
pub mod markdown;
pub mod plain;
pub mod plan;
pub mod refusals;
pub mod release;
mod retries;
pub mod schema;
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
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use self::github::Workflow;
use self::heading::counts;
pub use self::heading::scope;
use self::markdown::{Changes, Ended};
use self::style::Style;
use crate::action::Action;
use crate::cli::{Format, Global};
use crate::duration::elapsed;
use crate::engine::plan::Plan;
use crate::error::{Error, ExitStatus};
use crate::event::{Event, Tally};
use crate::printable::block;

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

/// Shows events as they arrive, until the last sink is dropped. Returns what the events of a change tell.
pub fn start(
    global: &Global,
    is_change: bool,
    mut events: UnboundedReceiver<Event>,
) -> JoinHandle<Changes> {
    let style = Style::stderr(global);
    let mut reporter: Box<dyn Reporter> = match global.output {
        Format::Json if is_change => Box::new(json::Json),
        _ if global.quiet => Box::new(plain::Quiet),
        Format::Json => Box::new(plain::Quiet),
        // One line per request would interfere with live lines.
        Format::Text | Format::Markdown if style.is_terminal && !global.verbose => {
            Box::new(terminal::Terminal::new(style))
        }
        Format::Text | Format::Markdown => Box::new(plain::Plain::new(style, global.verbose)),
    };
    let mut workflow = Workflow::from_environment();
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(reporter.every());
        let mut changes = Changes::default();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Settled(settled)) => {
                        screen::clear();
                        settled.notify_one();
                    }
                    Some(event) => {
                        if is_change {
                            changes.add(&event);
                            workflow.event(&event);
                        }
                        reporter.event(&event);
                    }
                    None => break,
                },
                _ = clock.tick() => reporter.tick(),
            }
        }
        reporter.finish();
        workflow.end_group();
        changes
    })
}

/// Writes a result as it is: a document, or lines that other programs read. A closed pipe is not an error.
pub fn result(text: &str) {
    let _ = is_read(text);
}

/// Writes a result in the format that was asked for, and adds it to the job summary of a workflow.
pub fn show(
    global: &Global,
    text_of: impl FnOnce(&Style) -> String,
    document: impl FnOnce() -> serde_json::Value,
    markdown: impl Fn() -> String,
) {
    match global.output {
        Format::Text => text(&text_of(&Style::stdout(global))),
        Format::Json => self::document(document()),
        Format::Markdown => result(&markdown()),
    }
    Workflow::from_environment().summarize(markdown);
}

/// The version of the schemas of all documents. It changes if a key is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// A JSON document with the version of its schema.
pub fn versioned(mut document: Value) -> Value {
    document["schema_version"] = SCHEMA_VERSION.into();
    document
}

/// Writes a JSON document, or one object of a stream.
pub fn document(document: Value) {
    result(&versioned(document).to_string());
}

/// Writes a result for people: on a terminal, it is wrapped at words.
pub fn text(text: &str) {
    result(&style::fitted(&Term::stdout(), text));
}

/// Writes a message with commands. On a terminal, prose is wrapped at words. Indented lines are commands, which are never broken.
pub fn guide(text: &str) {
    result(&style::guided(&Term::stdout(), text));
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

/// Ends the line on which a terminal shows the `^C` of the user.
pub fn interrupted() {
    if Term::stderr().is_term() {
        note("");
    }
}

/// Writes a question, and stays on its line for the answer.
pub fn question(text: &str) {
    let text = style::fitted(&Term::stderr(), text);
    // The space before the answer is no end of a line.
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{} ", block(text.trim_end()));
    let _ = stderr.flush();
}

/// Writes an error with its hints.
pub fn error(global: &Global, error: &Error) {
    Workflow::from_environment().annotate(error);
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
            "findings": error.findings(),
            "hints": error.hints(),
            "exit_code": error.status() as u8,
        });
        document(line);
    }
}

/// Writes the outputs of a stack. As Markdown, they are part of the page that ends the change.
pub fn outputs(global: &Global, outputs: &[(&'static str, String)]) {
    match global.output {
        Format::Json => {
            let mut line: serde_json::Map<_, _> = outputs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
                .collect();
            line.insert("event".to_owned(), "outputs".into());
            document(line.into());
        }
        Format::Text => {
            let width = outputs.iter().map(|(name, _)| name.len()).max();
            let width = width.unwrap_or_default();
            let lines: Vec<_> = outputs
                .iter()
                .map(|(name, value)| format!("{name:<width$}  {value}"))
                .collect();
            text(&lines.join("\n"));
        }
        Format::Markdown => {}
    }
}

/// Writes the page that ends a change, if it was asked for, and tells a workflow how the change ended.
pub fn ended(global: &Global, changes: &Changes, ended: &Ended) {
    if global.output == Format::Markdown {
        result(&markdown::run(changes, ended));
    }
    let workflow = Workflow::from_environment();
    workflow.summarize(|| markdown::run(changes, ended));
    let outcome = ("outcome", ended.status.as_str().to_owned());
    workflow.set([outcome].into_iter().chain(ended.outputs.iter().cloned()));
}

/// Tells a workflow how many resources of each action a plan has.
pub fn planned(plan: &Plan) {
    let count = |action| plan.count(action).to_string();
    Workflow::from_environment().set([
        ("has_changes", (!plan.is_empty()).to_string()),
        ("create", count(Action::Create)),
        ("update", count(Action::Update)),
        ("replace", count(Action::Replace)),
        ("delete", count(Action::Delete)),
    ]);
}

fn summary_object(status: ExitStatus, tally: Tally, took: Duration) -> Value {
    let mut line = serde_json::json!(tally);
    line["event"] = "summary".into();
    line["outcome"] = status.as_str().into();
    line["seconds"] = seconds(took).into();
    line
}

/// Writes the last line of `up` and `down`.
pub fn summary(global: &Global, status: ExitStatus, tally: Tally, took: Duration) {
    match global.output {
        Format::Json => document(summary_object(status, tally, took)),
        Format::Text | Format::Markdown if global.quiet && status == ExitStatus::Done => {}
        Format::Text | Format::Markdown => {
            let style = Style::stderr(global);
            let counts = counts(tally);
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

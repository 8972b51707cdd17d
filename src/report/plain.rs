//! One plain line per change of state, and a heartbeat: for pipes and CI logs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::heading::past;
use super::layout::row;
use super::retries::Retries;
use super::style::Style;
use super::{Reporter, note};
use crate::duration::elapsed;
use crate::event::Event;
use crate::id::LogicalId;

/// After this time without a line, a line lists what is still running.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The minimum interval between progress lines that belong to no resource.
const PROGRESS: Duration = Duration::from_secs(10);

/// Writes lines to standard error.
#[derive(Debug)]
pub struct Plain {
    style: Style,
    verbose: bool,
    running: BTreeMap<LogicalId, (Instant, String)>,
    last_line: Instant,
    last_progress: Option<Instant>,
    retries: Retries,
}

impl Plain {
    /// Also writes requests if `verbose`.
    pub fn new(style: Style, verbose: bool) -> Self {
        Self {
            style,
            verbose,
            running: BTreeMap::new(),
            last_line: Instant::now(),
            last_progress: None,
            retries: Retries::default(),
        }
    }

    fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        note(text);
    }
}

/// The line for an event, the same in plain and live reports; `None` if the event needs no line.
pub fn line(style: &Style, event: &Event) -> Option<String> {
    Some(match event {
        Event::Finished {
            id,
            action,
            physical_id,
            took,
        } => {
            let action = style.good(&format!("{:<8}", past(*action)));
            let head = format!("{action} {:<28}", id.to_string());
            let id = physical_id.as_deref().unwrap_or_default();
            row(&head, id, &style.dim(&elapsed(*took)), style.row_columns())
        }
        Event::Failed {
            code,
            id,
            action,
            error,
            hint,
        } => {
            let hint = hint
                .as_ref()
                .map(|hint| format!("\n  {} {hint}", style.dim("hint:")))
                .unwrap_or_default();
            format!(
                "{} {} {id}: {error}{hint}",
                style.bad(&format!("failed[{}]", code.as_str())),
                action.as_str()
            )
        }
        Event::Skipped { id, because, .. } => {
            format!("{} {id}, which needs {because}", style.warn("skipped"))
        }
        Event::Left {
            id, because: None, ..
        } => format!("{} {id}: AWS is deleting it", style.warn("left")),
        Event::Left {
            id,
            because: Some(because),
            ..
        } => format!(
            "{} {id}, which can be deleted after {because}",
            style.warn("left")
        ),
        Event::OfStack { stack, event } => {
            let text = match &**event {
                // Without the columns of a run on one stack.
                Event::Finished {
                    id, action, took, ..
                } => format!("{} {id} in {}", style.good(past(*action)), elapsed(*took)),
                Event::Waiting { id, what, .. } => format!("waiting {id}: {what}"),
                event => line(style, event)?,
            };
            format!("{} {text}", style.bold(&format!("{}:", stack.stack)))
        }
        Event::Notice {
            id: Some(id), text, ..
        } => format!("{} {id}: {text}", style.warn("note")),
        Event::Notice { id: None, text, .. } => format!("{} {text}", style.warn("note")),
        Event::Step { text } => text.clone(),
        Event::Verified(report) => super::verify::brief(report, style),
        Event::Interrupted => {
            let text = "interrupted: waiting for calls in flight; interrupt again to leave at once";
            style.warn(text)
        }
        Event::Retrying { id, cause, wait } if *wait >= Duration::from_secs(1) => {
            let id = id.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
            style.dim(&format!(
                "{id}{cause}; trying again in {:.1} s",
                wait.as_secs_f64()
            ))
        }
        _ => return None,
    })
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        if !self.verbose && self.retries.is_repeated(event, Instant::now()) {
            return;
        }
        match event {
            Event::Started { id, action } => {
                self.running
                    .insert(id.clone(), (Instant::now(), action.as_str().to_owned()));
            }
            Event::Waiting { id, what, .. } => {
                if let Some((_, state)) = self.running.get_mut(id) {
                    state.clone_from(what);
                }
                self.line(&format!("waiting {id}: {what}"));
            }
            Event::Finished { id, .. } | Event::Failed { id, .. } | Event::Left { id, .. } => {
                self.running.remove(id);
            }
            // A build reports more than a log should contain.
            Event::Progress { text, .. }
                if self
                    .last_progress
                    .is_none_or(|last| last.elapsed() >= PROGRESS) =>
            {
                self.last_progress = Some(Instant::now());
                self.line(text);
            }
            Event::Request {
                operation,
                outcome,
                took,
            } if self.verbose => {
                let text = format!("  {operation} {outcome} {} ms", took.as_millis());
                self.line(&self.style.dim(&text));
            }
            _ => {}
        }
        if let Some(line) = line(&self.style, event) {
            self.line(&line);
        }
    }

    fn tick(&mut self) {
        if self.last_line.elapsed() < HEARTBEAT || self.running.is_empty() {
            return;
        }
        let running: Vec<_> = self
            .running
            .iter()
            .map(|(id, (since, state))| format!("{id} ({state}, {})", elapsed(since.elapsed())))
            .collect();
        self.line(&format!("still at work: {}", running.join(", ")));
    }
}

/// Writes failures only.
#[derive(Debug)]
pub struct Quiet;

impl Reporter for Quiet {
    fn event(&mut self, event: &Event) {
        let (stack, event) = match event {
            Event::OfStack { stack, event } => (format!("{}: ", stack.stack), &**event),
            event => (String::new(), event),
        };
        if let Event::Failed {
            code,
            id,
            action,
            error,
            ..
        } = event
        {
            let code = code.as_str();
            note(&format!(
                "{stack}failed[{code}] {} {id}: {error}",
                action.as_str()
            ));
        }
    }
}

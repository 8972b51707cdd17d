//! The commands, one a file, and what they share.

mod down;
mod handover;
mod input;
mod logs;
mod plan;
mod rollback;
mod sandbox;
mod session;
mod status;
mod unlock;
mod up;
mod verify;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{FutureExt as _, LocalBoxFuture, TryFutureExt as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, Format, Global};
use crate::engine::control::{Control, Stop};
use crate::engine::executor::{Outcome, execute};
use crate::engine::plan::Plan;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Scope, Sink};
use crate::report;
use crate::resource::{Cx, self_test};

/// Runs a command to its end and says how that was.
pub async fn run(mut cli: Cli) -> ExitStatus {
    if !matches!(cli.command, Command::Sandbox(_))
        && let Err(error) = sandbox::lead(&mut cli.global)
    {
        report::error(&cli.global, &error);
        return error.status();
    }
    let (sink, events) = Sink::channel();
    let json_events = matches!(cli.command, Command::Up(_) | Command::Down(_));
    let reporter = report::start(&cli.global, json_events, events);
    let result = dispatch(&cli, sink).await;
    // Every sink is gone by now, so the reporter has seen all there is.
    let _ = reporter.await;
    let ending = match result {
        Ok(ending) => ending,
        Err(error) => {
            report::error(&cli.global, &error);
            let status = error.status();
            let summary = json_events.then(Summary::default);
            Ending {
                status,
                text: None,
                summary: summary.filter(|_| cli.global.output == Format::Json),
            }
        }
    };
    if let Some(text) = &ending.text {
        report::result(text);
    }
    if let Some(summary) = ending.summary {
        report::summary(&cli.global, ending.status, summary.tally, summary.took);
    }
    ending.status
}

/// Boxed, since what a whole command keeps while it waits is too much for a stack.
fn dispatch(cli: &Cli, sink: Sink) -> LocalBoxFuture<'_, Result<Ending>> {
    let global = &cli.global;
    match &cli.command {
        Command::Plan(args) => plan::run(global, args, sink)
            .map_ok(Ending::from)
            .boxed_local(),
        Command::Up(args) => up::run(global, args, sink).boxed_local(),
        Command::Status(args) => status::run(global, args, sink)
            .map_ok(Ending::from)
            .boxed_local(),
        Command::Verify(args) => verify::run(global, args, sink)
            .map_ok(Ending::from)
            .boxed_local(),
        Command::Logs(args) => logs::run(global, args, sink)
            .map_ok(Ending::from)
            .boxed_local(),
        Command::Down(args) => down::run(global, args, sink).boxed_local(),
        Command::Rollback(args) => rollback::run(global, args, sink)
            .map_ok(Ending::from)
            .boxed_local(),
        Command::Unlock => unlock::run(global, sink).map_ok(Ending::from).boxed_local(),
        Command::Sandbox(args) => sandbox::run(global, args, sink).boxed_local(),
    }
}

/// The totals that end the report of a change.
#[derive(Debug, Default)]
struct Summary {
    tally: crate::event::Tally,
    took: Duration,
}

/// How a command ended, and what it has to say when all events are shown.
#[derive(Debug)]
struct Ending {
    status: ExitStatus,
    text: Option<String>,
    summary: Option<Summary>,
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        Self {
            status,
            text: None,
            summary: None,
        }
    }
}

/// Says what is about to be changed, before anything is asked. `asks`: a question follows, which nobody is to answer
/// without knowing this. Written here and not by a reporter, which would run behind the question.
fn announce(global: &Global, sink: &Sink, scope: Scope, asks: bool) {
    if asks || (global.output == Format::Text && !global.quiet) {
        report::note(&report::scope(&scope));
    }
    sink.emit(Event::Scope(scope));
}

/// Asks on the terminal. Without one there is nobody to ask, and that is refused at once.
async fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !can_ask() {
        return Err(Error::refused("there is no terminal to ask on")
            .hint("give --yes to go on without being asked"));
    }
    let question = format!("{question} [y/N] ");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question}");
        let _ = stderr.flush();
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })
    .await
    .map_err(|error| Error::failed(anyhow::anyhow!(error)))?
    .map_err(|error| Error::failed(anyhow::anyhow!(error).context("reading the answer")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Error::refused("not confirmed; nothing was changed"))
    }
}

fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Turns signals into an orderly end. Until work begins there is nothing to bring to an end, so a signal leaves at once.
#[derive(Debug)]
struct Signals {
    control: Control,
    working: Arc<AtomicBool>,
    listener: tokio::task::JoinHandle<()>,
}

impl Signals {
    fn listen(timeout: Option<Duration>, sink: Sink) -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed(anyhow::anyhow!(error)));
        let (mut interrupt, mut terminate) = (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        );
        let control = Control::new(timeout);
        let working = Arc::new(AtomicBool::new(false));
        let (heard, at_work) = (control.clone(), Arc::clone(&working));
        let listener = tokio::spawn(async move {
            let mut before = false;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if before || !at_work.load(Ordering::SeqCst) {
                    std::process::exit(ExitStatus::Interrupted as i32);
                }
                before = true;
                heard.interrupt();
                sink.emit(Event::Interrupted);
            }
        });
        Ok(Self {
            control,
            working,
            listener,
        })
    }

    /// From here on a signal lets calls in flight return first.
    fn working(&self) {
        self.working.store(true, Ordering::SeqCst);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The listener holds a sink, and the reporter ends when the last one is gone.
        self.listener.abort();
    }
}

/// Walks a plan and turns its outcome into an exit status.
async fn carry_out(plan: &Plan, cx: &Cx, signals: &Signals) -> (Outcome, ExitStatus) {
    let outcome = execute(plan, cx, &signals.control).await;
    let status = match outcome.stopped {
        Some(Stop::Interrupted) => ExitStatus::Interrupted,
        Some(Stop::TimedOut) => {
            cx.sink().emit(Event::Notice {
                id: None,
                text: "the time given with --timeout is over".to_owned(),
            });
            ExitStatus::Partial
        }
        None if outcome.failures.is_empty() => ExitStatus::Done,
        // All else is done, and to run it again changes nothing: what the authorizer depends on must be mended.
        None if outcome
            .failures
            .iter()
            .all(|(_, error)| error.operation == self_test::OPERATION) =>
        {
            ExitStatus::Failed
        }
        None => ExitStatus::Partial,
    };
    if status != ExitStatus::Done {
        let text = if status == ExitStatus::Failed {
            "the authorizer did not pass its self-test, so nothing of the API was touched"
        } else {
            "not everything is done: run the same command again, it goes on from here"
        }
        .to_owned();
        cx.sink().emit(Event::Notice { id: None, text });
    }
    (outcome, status)
}

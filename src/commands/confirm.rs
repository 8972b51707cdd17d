//! Announces a change and asks for confirmation on the terminal.

use std::fs::File;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::cli::{Format, Global};
use crate::error::{Error, Result};
use crate::event::{Event, Scope, Sink};
use crate::printable::block;
use crate::report;

/// Announces the change before any question. `asks`: a question follows, and the user needs this information to answer
/// it. Written here and not by a reporter, because a reporter would run after the question.
pub(super) fn announce(global: &Global, sink: &Sink, scope: Scope, asks: bool) {
    if asks || (global.output == Format::Text && !global.quiet) {
        report::note(&report::scope(&scope));
    }
    sink.emit(Event::Scope(scope));
}

/// Asks on the terminal. Without a terminal the command is refused at once.
pub(super) async fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !is_interactive() {
        return Err(
            Error::refused("not a terminal: cannot ask for confirmation")
                .hint("pass --yes to skip the confirmation"),
        );
    }
    let question = format!("{question} [y/N] ");
    let answer = tokio::task::spawn_blocking(move || {
        report::screen::pause(true);
        ask(&question);
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })
    .await;
    report::screen::pause(false);
    let answer = answer
        .map_err(|error| Error::failed(anyhow::anyhow!(error)))?
        .map_err(|error| Error::failed(anyhow::anyhow!(error).context("reading the answer")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Error::refused("canceled; nothing was changed"))
    }
}

/// Writes the question to the terminal, and waits for nothing.
fn ask(question: &str) {
    match controlling_terminal() {
        Some(mut terminal) if !std::io::stderr().is_terminal() => {
            let _ = write!(terminal, "{}", block(question));
            let _ = terminal.flush();
        }
        _ => report::question(question),
    }
}

/// The terminal of the user, also where the output goes to another program, as in `up 2>&1 | tee log`.
fn controlling_terminal() -> Option<File> {
    File::options().write(true).open("/dev/tty").ok()
}

/// Whether the user can be asked: the answer comes from a terminal, and the question reaches it.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
        && (std::io::stderr().is_terminal() || controlling_terminal().is_some())
}

/// Asks `question`. Edits of others that are published with it (`pending`) need an answer, or the flag that accepts them.
pub(super) async fn confirm_with(yes: bool, question: &str, pending: &[String]) -> Result<()> {
    if pending.is_empty() {
        return confirm(yes, &format!("{question}?")).await;
    }
    if yes {
        let count = pending.len();
        let text = format!(
            "the deployment would also publish {count} edit{} of others:\n  - {}",
            if count == 1 { "" } else { "s" },
            pending.join("\n  - ")
        );
        return Err(Error::refused(text)
            .hint("publish or take back these edits first, or give --publish-pending"));
    }
    let edits = pending.join("; ");
    let question = format!("{question}, and publish the undeployed changes of others ({edits})?");
    confirm(false, &question).await
}

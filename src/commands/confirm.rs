//! Announces a change and asks for confirmation on the terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::cli::{Format, Global};
use crate::code::Code;
use crate::engine::plan::Plan;
use crate::error::{Error, Result};
use crate::event::{Event, Scope, Sink};
use crate::printable::{block, line};
use crate::report;

/// Announces the change before any question. `asks`: a question follows, and the user needs this information to answer
/// it. Written here and not by a reporter, because a reporter would run after the question.
pub(super) fn announce(global: &Global, sink: &Sink, scope: Scope, asks: bool) {
    if shows(global, asks) {
        report::note(&report::scope(&scope));
    }
    sink.emit(Event::Scope(scope));
}

/// Whether what a change is about is written for people. Before a question it always is.
pub(super) fn shows(global: &Global, asks: bool) -> bool {
    asks || (global.output != Format::Json && !global.quiet)
}

/// What the user is asked before a change.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// What is done, without a question mark.
    pub(super) what: String,
    /// Edits of others that are published with it.
    pub(super) pending: &'a [String],
    /// The name of the stack, if the user must type it.
    pub(super) name: Option<&'a str>,
}

/// Asks on the terminal. Without a terminal the command is refused at once.
pub(super) async fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    let answer = ask(format!("{question} [y/N] ")).await?;
    match is_yes(&answer) {
        true => Ok(()),
        false => Err(canceled("canceled; nothing was changed".to_owned())),
    }
}

/// Whether questions can be asked.
pub(super) fn is_interactive() -> bool {
    terminal().is_some()
}

/// Asks. Edits of others that are published with the change need an answer, or the flag that accepts them.
pub(super) async fn confirm_change(yes: bool, question: &Question<'_>) -> Result<()> {
    let pending = question.pending;
    if yes && pending.is_empty() {
        return Ok(());
    }
    if yes {
        let count = pending.len();
        let text = format!(
            "the deployment would also publish {count} edit{} of others:\n  - {}",
            if count == 1 { "" } else { "s" },
            pending.join("\n  - ")
        );
        return Err(Error::refused(text)
            .with_code(Code::PendingEdits)
            .hint("publish or take back these edits first, or give --publish-pending"));
    }
    let answer = ask(question.text()).await?;
    question.judge(&answer)
}

impl Question<'_> {
    fn text(&self) -> String {
        let what = match self.pending {
            [] => format!("{}?", self.what),
            pending => format!(
                "{}, and publish the undeployed changes of others ({})?",
                self.what,
                pending.join("; ")
            ),
        };
        match self.name {
            None => format!("{what} [y/N] "),
            Some(_) => format!(
                "{what}\nCallers use the API that it protects. Type the name of the stack to confirm: "
            ),
        }
    }

    fn judge(&self, answer: &str) -> Result<()> {
        match self.name {
            None if is_yes(answer) => Ok(()),
            Some(name) if answer.trim() == name => Ok(()),
            Some(name) if !answer.trim().is_empty() => Err(canceled(format!(
                "canceled, because `{}` is not `{name}`; nothing was changed",
                line(answer.trim())
            ))),
            _ => Err(canceled("canceled; nothing was changed".to_owned())),
        }
    }
}

fn canceled(text: String) -> Error {
    Error::refused(text).with_code(Code::NotConfirmed)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes")
}

/// What a plan does, where: `Create 28 resources of stack orders in acme-prod (123456789012), us-east-1`. Pure.
pub(super) fn what(plan: &Plan, scope: &Scope) -> String {
    let counts = [
        (Action::Create, "create"),
        (Action::Update, "update"),
        (Action::Replace, "replace"),
        (Action::Delete, "delete"),
        (Action::Wait, "wait for"),
    ];
    let counts: Vec<_> = counts
        .into_iter()
        .map(|(action, verb)| (plan.count(action), verb))
        .filter(|(count, _)| *count > 0)
        .collect();
    told(&counts, scope)
}

/// The same for these counts of resources, each with what is done with them.
pub(super) fn told(counts: &[(usize, &str)], scope: &Scope) -> String {
    let verbs: Vec<_> = counts
        .iter()
        .map(|(count, verb)| format!("{verb} {count}"))
        .collect();
    let noun = match counts.last() {
        Some((1, _)) => "resource",
        _ => "resources",
    };
    let verbs = match verbs.split_last() {
        None => "finish the last run".to_owned(),
        Some((last, [])) => format!("{last} {noun}"),
        Some((last, others)) => format!("{} and {last} {noun}", others.join(", ")),
    };
    let mut letters = verbs.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let account = match &scope.account_alias {
        Some(alias) => format!("{} ({})", line(alias), scope.account),
        None => scope.account.clone(),
    };
    let only_creates = counts.iter().all(|(_, verb)| *verb == "create");
    let of = if only_creates && !counts.is_empty() {
        "for"
    } else {
        "of"
    };
    format!(
        "{}{} {of} stack {} in {account}, {}",
        first.map(String::from).unwrap_or_default(),
        letters.as_str(),
        scope.stack,
        scope.region
    )
}

/// Where a question goes, if a user is there to answer it. Where standard error is a pipe, as with `2>&1 | tee`, the user has seen
/// what was written to it, and the question goes to the controlling terminal. In a file, the user would not see it.
fn terminal() -> Option<Box<dyn Write + Send>> {
    let stderr = std::io::stderr();
    if !std::io::stdin().is_terminal() {
        return None;
    }
    if stderr.is_terminal() {
        return Some(Box::new(stderr));
    }
    let copy = stderr.as_fd().try_clone_to_owned().ok()?;
    let kind = File::from(copy).metadata().ok()?.file_type();
    if !kind.is_fifo() {
        return None;
    }
    let terminal = OpenOptions::new().write(true).open("/dev/tty").ok()?;
    Some(Box::new(terminal))
}

/// How long the reader of standard error may take until the question follows what it shows.
const READ_WITHIN: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(20);

/// Whether the program that reads standard error has not read all of it: the question would appear above the plan.
fn is_unread() -> bool {
    rustix::io::ioctl_fionread(std::io::stderr()).is_ok_and(|bytes| bytes > 0)
}

/// Whether a question waits for its answer.
static IS_ASKING: AtomicBool = AtomicBool::new(false);

/// Ends the line of a question that is not answered, so that what follows has a line of its own.
pub(super) fn leave_question() {
    if IS_ASKING.load(Ordering::SeqCst)
        && let Some(mut terminal) = terminal()
    {
        let _ = writeln!(terminal);
    }
}

/// Asks on the terminal, and returns the line that the user has typed.
async fn ask(question: String) -> Result<String> {
    let Some(mut terminal) = terminal() else {
        return Err(
            Error::refused("not a terminal: cannot ask for confirmation")
                .with_code(Code::NotConfirmed)
                .hint("pass --yes to skip the confirmation"),
        );
    };
    let answer = tokio::task::spawn_blocking(move || {
        report::screen::pause(true);
        match std::io::stderr().is_terminal() {
            true => report::question(&question),
            false => {
                let began = Instant::now();
                while is_unread() && began.elapsed() < READ_WITHIN {
                    std::thread::sleep(AGAIN);
                }
                let _ = write!(terminal, "{}", block(&question));
                let _ = terminal.flush();
            }
        }
        let mut line = String::new();
        IS_ASKING.store(true, Ordering::SeqCst);
        let read = std::io::stdin().lock().read_line(&mut line);
        IS_ASKING.store(false, Ordering::SeqCst);
        read.map(|_| line)
    })
    .await;
    report::screen::pause(false);
    answer
        .map_err(|error| Error::failed(anyhow::anyhow!(error)))?
        .map_err(|error| Error::failed(anyhow::anyhow!(error).context("reading the answer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(alias: Option<&str>) -> Scope {
        Scope {
            stack: "orders".to_owned(),
            account: "123456789012".to_owned(),
            account_alias: alias.map(str::to_owned),
            region: "us-east-1".to_owned(),
            caller: None,
            profile: None,
            apis: Vec::new(),
        }
    }

    #[test]
    fn the_question_repeats_what_matters() {
        let place = "stack orders in acme-prod (123456789012), us-east-1";
        for (counts, text) in [
            (&[(28, "create")][..], "Create 28 resources for"),
            (&[(1, "delete")], "Delete 1 resource of"),
            (
                &[(3, "create"), (2, "update")],
                "Create 3 and update 2 resources of",
            ),
            (
                &[(3, "create"), (2, "update"), (1, "delete")],
                "Create 3, update 2 and delete 1 resource of",
            ),
            (&[], "Finish the last run of"),
        ] {
            let told = told(counts, &scope(Some("acme-prod")));
            assert_eq!(told, format!("{text} {place}"));
        }
        let told = told(&[(1, "update")], &scope(None));
        assert_eq!(
            told,
            "Update 1 resource of stack orders in 123456789012, us-east-1"
        );
    }

    #[test]
    fn a_yes_or_the_name_of_the_stack_confirms() {
        let question = |name| Question {
            what: "Delete 1 resource".to_owned(),
            pending: &[],
            name,
        };
        let confirms = |name, answer: &str| question(name).judge(answer).is_ok();
        for answer in ["y\n", "Y", " yes "] {
            assert!(confirms(None, answer), "{answer}");
            assert!(!confirms(Some("orders"), answer), "{answer}");
        }
        for answer in ["", "\n", "n", "orders"] {
            assert!(!confirms(None, answer), "{answer}");
        }
        assert!(confirms(Some("orders"), "orders\n"));
        assert!(!confirms(Some("orders"), "order"));
        assert!(question(None).text().ends_with("? [y/N] "));
        assert!(question(Some("orders")).text().ends_with("to confirm: "));
        let edits = ["GET /new is new".to_owned()];
        let pending = Question {
            pending: &edits,
            ..question(None)
        };
        assert!(pending.text().contains("(GET /new is new)? [y/N]"));
    }
}

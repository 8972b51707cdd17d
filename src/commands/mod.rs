//! The commands, one per file.

mod approval;
mod completions;
mod confirm;
mod doctor;
mod down;
mod ending;
mod existing;
mod explain;
mod export;
mod frozen;
mod handover;
mod iam_policy;
mod import;
mod init;
mod input;
mod list;
mod logs;
mod man;
mod offline;
mod outputs;
mod plan;
mod prompt;
mod refusals;
mod release;
mod removal;
mod rollback;
mod sandbox;
mod session;
mod signals;
mod status;
mod sweep;
mod unlock;
mod up;
mod validate;
mod verification;
mod verified_api;
mod verify;
mod version;
mod walk;

use futures::future::{FutureExt as _, LocalBoxFuture, TryFutureExt as _, ready};

use self::ending::{CommandOutcome, Summary};
use crate::cli::{Cli, Command, Format};
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::report;
use crate::report::markdown::Ended;

/// Runs a command to completion and returns its exit status. A command that needs no network starts no runtime.
pub fn run(mut cli: Cli) -> ExitStatus {
    if let Command::Offline(command) = &cli.command {
        let ended = has_markdown(&cli)
            .and_then(|()| sandbox::apply_sandbox_target(&mut cli.global))
            .and_then(|()| offline::run(&cli.global, command));
        return ended.unwrap_or_else(|error| {
            report::error(&cli.global, &error);
            error.status()
        });
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run_connected(cli)),
        Err(error) => {
            let error = Error::failed(anyhow::anyhow!(error).context("starting the runtime"));
            report::error(&cli.global, &error);
            error.status()
        }
    }
}

/// Refuses `-o markdown` where a command has no page.
fn has_markdown(cli: &Cli) -> Result<()> {
    let has = matches!(
        cli.command,
        Command::Plan(_)
            | Command::Up(_)
            | Command::Down(_)
            | Command::Verify(_)
            | Command::Status(_)
    );
    if has || cli.global.output != Format::Markdown {
        return Ok(());
    }
    let text = "-o markdown: this command has no Markdown; `plan`, `up`, `down`, `verify` and `status` have";
    Err(Error::usage(text))
}

async fn run_connected(mut cli: Cli) -> ExitStatus {
    if !matches!(cli.command, Command::Sandbox(_))
        && let Err(error) = sandbox::apply_sandbox_target(&mut cli.global)
    {
        report::error(&cli.global, &error);
        return error.status();
    }
    if let Err(error) = has_markdown(&cli) {
        report::error(&cli.global, &error);
        return error.status();
    }
    let (sink, events) = Sink::channel();
    let is_change = match &cli.command {
        Command::Up(_) | Command::Down(_) => true,
        Command::Sweep(args) => !args.dry_run,
        _ => false,
    };
    let reporter = report::start(&cli.global, is_change, events);
    let result = dispatch(&cli, sink).await;
    // All sinks are dropped at this point, so the reporter has received every event.
    let changes = reporter.await.unwrap_or_default();
    let (ending, error) = match result {
        Ok(ending) => (ending, None),
        Err(error) => {
            report::error(&cli.global, &error);
            let summary = is_change.then(Summary::default);
            let ending = CommandOutcome {
                status: error.status(),
                text: None,
                outputs: None,
                summary: summary.filter(|_| cli.global.output == Format::Json),
            };
            (ending, Some(error))
        }
    };
    if let Some(text) = &ending.text {
        match cli.global.output {
            Format::Text | Format::Markdown => report::text(text),
            Format::Json => report::result(text),
        }
    }
    if let Some(outputs) = &ending.outputs {
        report::outputs(&cli.global, outputs);
    }
    if is_change {
        report::ended(
            &cli.global,
            &changes,
            &Ended {
                status: ending.status,
                error: error.as_ref(),
                totals: ending.summary.as_ref().map(|end| (end.tally, end.took)),
                outputs: ending.outputs.as_deref().unwrap_or_default(),
            },
        );
    }
    if let Some(summary) = ending.summary {
        report::summary(&cli.global, ending.status, summary.tally, summary.took);
    }
    ending.status
}

/// Boxed, because the state of a whole command is too large for the stack.
fn dispatch(cli: &Cli, sink: Sink) -> LocalBoxFuture<'_, Result<CommandOutcome>> {
    let global = &cli.global;
    match &cli.command {
        Command::Init(args) => init::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Plan(args) => plan::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Up(args) => up::run(global, args, sink).boxed_local(),
        Command::Status(args) => status::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Verify(args) => verify::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Logs(args) => logs::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Report(args) => refusals::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Doctor(args) => doctor::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Down(args) => down::run(global, args, sink).boxed_local(),
        Command::List(args) => list::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Sweep(args) => sweep::run(global, args, sink).boxed_local(),
        Command::Rollback(args) => rollback::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Import(args) => import::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Export(args) => export::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::IamPolicy(args) => iam_policy::run(global, args)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Release(args) => release::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Unlock(args) => unlock::run(global, args, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Sandbox(args) => sandbox::run(global, args, sink).boxed_local(),
        Command::Offline(command) => ready(offline::run(global, command))
            .map_ok(CommandOutcome::from)
            .boxed_local(),
    }
}

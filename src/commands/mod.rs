//! The commands, one per file.

mod completions;
mod confirm;
mod doctor;
mod down;
mod ending;
mod existing;
mod explain;
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

/// Runs a command to completion and returns its exit status. A command that needs no network starts no runtime.
pub fn run(mut cli: Cli) -> ExitStatus {
    if let Command::Offline(command) = &cli.command {
        let ended = sandbox::apply_sandbox_target(&mut cli.global)
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

async fn run_connected(mut cli: Cli) -> ExitStatus {
    if !matches!(cli.command, Command::Sandbox(_))
        && let Err(error) = sandbox::apply_sandbox_target(&mut cli.global)
    {
        report::error(&cli.global, &error);
        return error.status();
    }
    let (sink, events) = Sink::channel();
    let json_events = match &cli.command {
        Command::Up(_) | Command::Down(_) => true,
        Command::Sweep(args) => !args.dry_run,
        _ => false,
    };
    let reporter = report::start(&cli.global, json_events, events);
    let result = dispatch(&cli, sink).await;
    // All sinks are dropped at this point, so the reporter has received every event.
    let _ = reporter.await;
    let ending = match result {
        Ok(ending) => ending,
        Err(error) => {
            report::error(&cli.global, &error);
            let status = error.status();
            let summary = json_events.then(Summary::default);
            CommandOutcome {
                status,
                text: None,
                summary: summary.filter(|_| cli.global.output == Format::Json),
            }
        }
    };
    if let Some(text) = &ending.text {
        match cli.global.output {
            Format::Text => report::text(text),
            Format::Json => report::result(text),
        }
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
        Command::IamPolicy(args) => iam_policy::run(global, args)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Unlock => unlock::run(global, sink)
            .map_ok(CommandOutcome::from)
            .boxed_local(),
        Command::Sandbox(args) => sandbox::run(global, args, sink).boxed_local(),
        Command::Offline(command) => ready(offline::run(global, command))
            .map_ok(CommandOutcome::from)
            .boxed_local(),
    }
}

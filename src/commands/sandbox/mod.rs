//! `sandbox`: runs the whole system on this machine, without an AWS or 3scale account.
//!
//! It starts an AWS emulator that runs functions, a real Redis, a stand-in for 3scale and an API to protect. Then it
//! runs `up` with the ordinary code path and an ordinary configuration file.

mod attach;
mod detach;
mod folders;
mod load;
mod messages;
mod signals;
mod start;

pub(super) use attach::apply_sandbox_target;

use rustix::fs::Mode;
use rustix::process::umask;

use super::ending::CommandOutcome;
use crate::cli::{Global, SandboxArgs};
use crate::error::Result;
use crate::event::Sink;

/// Runs `sandbox`.
pub(super) async fn run(global: &Global, args: &SandboxArgs, sink: Sink) -> Result<CommandOutcome> {
    match args.action {
        Some(action) => attach::run(global, action).await.map(CommandOutcome::from),
        None if args.detach || args.keep => detach::run(sink).await.map(CommandOutcome::from),
        None => {
            // All files of the sandbox and its programs are private to this user from their creation.
            umask(Mode::RWXG | Mode::RWXO);
            start::run(global, args, sink).await
        }
    }
}

//! `sandbox`: the whole system on this machine, without an AWS or a 3scale account.
//!
//! An AWS emulator in which functions run, a real Redis, a stand-in for 3scale, an API to protect, and then `up` by the
//! ordinary code path with an ordinary configuration file.

mod attach;
mod detach;
mod folders;
mod load;
mod messages;
mod running;
mod set_up;
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
        None if args.detach => detach::run(sink).await.map(CommandOutcome::from),
        None => {
            // Whatever it and its programs write is for this user alone, from the moment it is made.
            umask(Mode::RWXG | Mode::RWXO);
            start::run(global, args, sink).await
        }
    }
}

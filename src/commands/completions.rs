//! `completions`: what a shell needs to complete a command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::ExitStatus;
use crate::report;

/// Runs `completions`.
pub(super) fn run(shell: Shell) -> ExitStatus {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    report::file(&script);
    ExitStatus::Done
}

//! Parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use threescale_gw::cli::Cli;

fn main() -> ExitCode {
    threescale_gw::run(Cli::parse()).into()
}

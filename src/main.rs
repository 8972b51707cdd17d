//! Parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match threescale_gw::parse(std::env::args_os()) {
        Ok(cli) => threescale_gw::run(cli).into(),
        Err(answered) => answered.into(),
    }
}

//! The commands that need neither an account nor a network.

use super::{completions, explain, man, validate, version};
use crate::cli::{Global, Offline};
use crate::config;
use crate::error::{ExitStatus, Result};
use crate::report;

/// Runs one of them.
pub(super) fn run(global: &Global, command: &Offline) -> Result<ExitStatus> {
    match command {
        Offline::Validate => validate::run(global),
        Offline::Schema => {
            report::result(&format!("{:#}", config::json_schema()));
            Ok(ExitStatus::Done)
        }
        Offline::Version => version::run(global),
        Offline::Explain(args) => explain::run(global, args.code.as_deref()),
        Offline::Completions(args) => Ok(completions::run(args.shell)),
        Offline::Man(args) => man::run(global, args.out.as_deref()),
    }
}

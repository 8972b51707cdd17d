//! The commands that need neither an account nor a network.

use super::{completions, explain, man, validate, version};
use crate::cli::{Global, Offline};
use crate::error::{ExitStatus, Result};
use crate::report;

/// Runs one of them.
pub(super) fn run(global: &Global, command: &Offline) -> Result<ExitStatus> {
    match command {
        Offline::Validate => validate::run(global),
        Offline::Schema(args) => {
            report::result(&format!("{:#}", report::schema::schema(args.of)));
            Ok(ExitStatus::Done)
        }
        Offline::Version => version::run(global),
        Offline::Explain(args) => explain::run(global, args.code.as_deref()),
        Offline::Completions(args) => Ok(completions::run(args.shell)),
        Offline::Man(args) => man::run(global, args.out.as_deref()),
    }
}

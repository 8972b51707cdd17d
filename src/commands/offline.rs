//! The commands that need neither an account nor a network.

use super::validate;
use crate::cli::{Global, Offline};
use crate::error::{ExitStatus, Result};

/// Runs one of them.
pub(super) fn run(global: &Global, command: &Offline) -> Result<ExitStatus> {
    match command {
        Offline::Validate => validate::run(global),
    }
}

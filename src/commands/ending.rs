//! How a command ended.

use std::time::Duration;

use crate::error::ExitStatus;
use crate::event::Tally;

/// The totals that end the report of a change.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) tally: Tally,
    pub(super) took: Duration,
}

/// How a command ended, and what it reports after all events are shown.
#[derive(Debug)]
pub(super) struct CommandOutcome {
    pub(super) status: ExitStatus,
    /// A result that is written after all events.
    pub(super) text: Option<String>,
    /// The outputs of the stack, if the command reports them.
    pub(super) outputs: Option<Vec<(&'static str, String)>>,
    pub(super) summary: Option<Summary>,
}

impl From<ExitStatus> for CommandOutcome {
    fn from(status: ExitStatus) -> Self {
        Self {
            status,
            text: None,
            outputs: None,
            summary: None,
        }
    }
}

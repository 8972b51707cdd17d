//! What can go wrong, and the exit code each kind of failure ends with.
//!
//! Errors carry a source chain and, where there is one, a hint: what to do next. Only [`crate::run`] turns them into
//! text and an exit code.

use std::fmt;
use std::process::ExitCode;

/// How a run ended. The numbers are documented in docs/commands.md and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, or there was nothing to do.
    Done = 0,
    /// The work failed.
    Failed = 1,
    /// Wrong usage or configuration; no request was sent.
    Usage = 2,
    /// There is something to do (`--exit-code`).
    Pending = 3,
    /// Refused before anything was changed: preflight, lock, not ours.
    Refused = 4,
    /// Part of the work is done: run it again.
    Partial = 5,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl ExitStatus {
    /// The word that stands in the JSON summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// A failure with the exit status it ends in and, where known, what to do next.
#[derive(Debug)]
pub struct Error {
    status: ExitStatus,
    source: anyhow::Error,
    hints: Vec<String>,
}

impl Error {
    /// A failure of the work itself.
    pub fn failed(source: impl Into<anyhow::Error>) -> Self {
        Self::new(ExitStatus::Failed, source)
    }

    /// Wrong usage or configuration.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, anyhow::anyhow!("{message}"))
    }

    /// Refused before anything was changed.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Refused, anyhow::anyhow!("{message}"))
    }

    /// Any failure with a status of the caller's choice.
    pub fn new(status: ExitStatus, source: impl Into<anyhow::Error>) -> Self {
        Self {
            status,
            source: source.into(),
            hints: Vec::new(),
        }
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with another status.
    #[must_use]
    pub fn with_status(mut self, status: ExitStatus) -> Self {
        self.status = status;
        self
    }

    /// The exit status.
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// The hints, in order.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl From<anyhow::Error> for Error {
    fn from(source: anyhow::Error) -> Self {
        Self::failed(source)
    }
}

/// The result of everything a command does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

//! The errors of the program, and the exit code of each kind of error.
//!
//! An error has a code, a source chain and, where known, a hint with the next step. Only [`crate::run`]
//! converts errors to text and an exit code.

use std::fmt;
use std::process::ExitCode;

use crate::code::Code;
use crate::finding::Finding;

/// The exit status of a run. The numbers are documented in docs/commands.md and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Success, or nothing to do.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// Invalid usage or configuration; no request was sent.
    Usage = 2,
    /// Changes are pending (`--exit-code`).
    Pending = 3,
    /// Refused before anything was changed: preflight check, lock, or a resource of another owner.
    Refused = 4,
    /// Part of the work is done: run the command again.
    Partial = 5,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl ExitStatus {
    /// The word used in the JSON summary.
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

/// An error with its exit status and, where known, the next step.
#[derive(Debug)]
pub struct Error {
    status: ExitStatus,
    code: Code,
    source: anyhow::Error,
    hints: Vec<String>,
    findings: Vec<Finding>,
}

impl Error {
    /// An error with status `Failed`.
    pub fn failed(source: impl Into<anyhow::Error>) -> Self {
        Self::new(ExitStatus::Failed, source)
    }

    /// An error with status `Usage`: invalid usage or configuration.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, anyhow::anyhow!("{message}"))
    }

    /// An error with status `Refused`: nothing was changed.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Refused, anyhow::anyhow!("{message}"))
    }

    /// An error with any status, and the code that an error with this status has unless it has another one.
    pub fn new(status: ExitStatus, source: impl Into<anyhow::Error>) -> Self {
        let code = match status {
            ExitStatus::Usage => Code::Usage,
            ExitStatus::Refused => Code::Refused,
            ExitStatus::Partial => Code::Partial,
            ExitStatus::Interrupted => Code::Interrupted,
            ExitStatus::Failed | ExitStatus::Done | ExitStatus::Pending => Code::Failed,
        };
        Self {
            status,
            code,
            source: source.into(),
            hints: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// A refusal with several reasons: one line for each below the heading, with its code if it is another one.
    pub fn found(code: Code, heading: &str, findings: Vec<Finding>) -> Self {
        let text = |finding: &Finding| match finding.code == code {
            true => finding.message.clone(),
            false => format!("{} [{}]", finding.message, finding.code.as_str()),
        };
        let texts: Vec<_> = findings.iter().map(text).collect();
        Self::refused(list(heading, &texts))
            .with_code(code)
            .with_findings(findings)
    }

    /// Adds what the error consists of, each with a code of its own.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// Adds a hint with the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Replaces the exit status.
    #[must_use]
    pub fn with_status(mut self, status: ExitStatus) -> Self {
        self.status = status;
        self
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// What kind of error it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The exit status of the process.
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// The error of this type in the chain of causes.
    pub fn cause<T: std::error::Error + Send + Sync + 'static>(&self) -> Option<&T> {
        let mut chain = self.source.chain();
        chain.find_map(|error| error.downcast_ref::<T>())
    }

    /// What the error consists of.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The hints, in the order they were added.
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

/// One line per item below a heading; a single item needs no list.
pub fn list(heading: &str, items: &[String]) -> String {
    match items {
        [one] => one.clone(),
        several => format!("{heading}\n  - {}", several.join("\n  - ")),
    }
}

/// The result type of every command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

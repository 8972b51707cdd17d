//! The errors of work on one resource.

use std::fmt;
use std::time::Duration;

use aws_smithy_types::error::operation::BuildError;

use crate::aws::{AwsError, Class};
use crate::code::Code;
use crate::duration::{elapsed, exact};
use crate::error::{Error, ExitStatus};
use crate::printable::line;

/// How long a call that was throttled, or whose result is unknown, is retried.
const TROUBLE: Duration = Duration::from_secs(180);

/// An error of work on one resource.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceError {
    /// An AWS call failed.
    Aws(AwsError),
    /// Something that this stack does not manage has the resource's name, or two resources have its tags.
    NotManaged(String),
    /// Something else changes the resource during the run.
    ConcurrentChange { what: String, hint: Option<String> },
    /// AWS does not show yet what was written. It is read again for at most `within`.
    NotVisible { what: String, within: Duration },
    /// The last error of work that was retried for the time `tried`.
    Retried { error: Box<Self>, tried: Duration },
    /// The resource still differs after this many updates.
    NotConverging { updates: usize, what: String },
    /// The resource did not reach a final state in time.
    TimedOut { state: String, after: Duration },
    /// The service reports that the resource failed for good.
    Failed(String),
    /// The operator has to change something first.
    Blocked { what: String, hint: Option<String> },
    /// A KMS key of the operator cannot be used.
    KmsKey { what: String, hint: Option<String> },
    /// Another stack holds the lock of the API.
    ApiLocked { what: String, hint: Option<String> },
    /// The authorizer did not pass its self-test.
    SelfTest { what: String, hint: Option<String> },
    /// The API answers real requests in a way that harms callers.
    Verification { what: String, hint: Option<String> },
    /// The authorizer was not built.
    Build(String),
    /// An error of this program.
    Bug(String),
}

impl ResourceError {
    /// How long the same work is retried; `None` if a retry would not help.
    pub fn retried_for(&self) -> Option<Duration> {
        match self {
            Self::Aws(error) => match error.class {
                Class::Throttled | Class::Ambiguous => Some(TROUBLE),
                Class::NotYet(budget) => Some(budget),
                _ => None,
            },
            Self::NotVisible { within, .. } => Some(*within),
            _ => None,
        }
    }

    /// The failed AWS call, if it is one.
    pub fn aws(&self) -> Option<&AwsError> {
        match self {
            Self::Aws(error) => Some(error),
            Self::Retried { error, .. } => error.aws(),
            _ => None,
        }
    }

    /// The code of an error with this cause.
    pub fn kind(&self) -> Code {
        match self {
            Self::Aws(error) => error.kind(),
            Self::NotManaged(_) => Code::NotManaged,
            Self::ConcurrentChange { .. } => Code::ConcurrentChange,
            Self::NotVisible { .. } => Code::NotVisible,
            Self::Retried { error, .. } => error.kind(),
            Self::NotConverging { .. } => Code::NotConverging,
            Self::TimedOut { .. } => Code::ResourceTimeout,
            Self::Failed(_) => Code::ResourceFailed,
            Self::Blocked { .. } => Code::Blocked,
            Self::KmsKey { .. } => Code::KmsKeyUnusable,
            Self::ApiLocked { .. } => Code::LockHeld,
            Self::SelfTest { .. } => Code::SelfTest,
            Self::Verification { .. } => Code::Verification,
            Self::Build(_) => Code::Build,
            Self::Bug(_) => Code::Internal,
        }
    }

    /// Whether what the call was to create exists already.
    pub fn is_already_there(&self) -> bool {
        self.aws().is_some_and(AwsError::is_already_there)
    }

    /// Whether the call was carried out, and only its answer is lost.
    pub fn is_carried_out(&self) -> bool {
        self.aws().is_some_and(AwsError::is_carried_out)
    }

    /// Whether it is unknown if the call was carried out.
    pub fn is_ambiguous(&self) -> bool {
        self.aws()
            .is_some_and(|error| error.class == Class::Ambiguous)
    }

    /// What failed, in one word: the AWS operation, if it is a call.
    pub fn subject(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.operation,
            Self::Retried { error, .. } => error.subject(),
            Self::Build(_) => "package",
            Self::SelfTest { .. } => "self-test",
            _ => "the same failure",
        }
    }

    /// Whether two resources failed for the same reason.
    pub fn is_same_cause(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Aws(one), Self::Aws(two)) => {
                (one.operation, &one.message) == (two.operation, &two.message)
            }
            (Self::Retried { error, .. }, other) | (other, Self::Retried { error, .. }) => {
                error.is_same_cause(other)
            }
            (one, two) => one == two,
        }
    }

    /// The next step for the user, if known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Aws(error) => error.hint(),
            Self::Retried { error, .. } => error.hint(),
            Self::ConcurrentChange { hint, .. }
            | Self::Blocked { hint, .. }
            | Self::KmsKey { hint, .. }
            | Self::ApiLocked { hint, .. }
            | Self::SelfTest { hint, .. }
            | Self::Verification { hint, .. } => hint.clone(),
            Self::NotVisible { .. } | Self::TimedOut { .. } => {
                Some("run the same command again; it goes on from here".to_owned())
            }
            _ => None,
        }
    }

    /// The error after retries for the time `tried`.
    #[must_use]
    pub fn after(self, tried: Duration) -> Self {
        match self {
            Self::Aws(_) | Self::NotVisible { .. } => Self::Retried {
                error: Box::new(self),
                tried,
            },
            other => other,
        }
    }
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(error) => error.fmt(f),
            Self::Retried { error, tried } => write!(f, "{error} (tried for {})", elapsed(*tried)),
            Self::NotManaged(what)
            | Self::ConcurrentChange { what, .. }
            | Self::NotVisible { what, .. }
            | Self::Blocked { what, .. }
            | Self::KmsKey { what, .. }
            | Self::ApiLocked { what, .. }
            | Self::Verification { what, .. } => f.write_str(what),
            Self::NotConverging { updates, what } => write!(
                f,
                "did not converge after {updates} updates; something else may be changing it: {what}"
            ),
            Self::TimedOut { state, after } => write!(
                f,
                "timed out after {} waiting; last state: {}",
                exact(*after),
                line(state)
            ),
            // Mostly the reason of a service.
            Self::Failed(why) => write!(f, "failed: {}", line(why)),
            Self::SelfTest { what, .. } => write!(f, "self-test: {what}"),
            Self::Build(why) => write!(f, "package: {why}"),
            Self::Bug(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for ResourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.aws().and_then(std::error::Error::source)
    }
}

impl From<AwsError> for ResourceError {
    fn from(error: AwsError) -> Self {
        Self::Aws(error)
    }
}

impl From<BuildError> for ResourceError {
    fn from(error: BuildError) -> Self {
        Self::Bug(error.to_string())
    }
}

impl From<getrandom::Error> for ResourceError {
    fn from(error: getrandom::Error) -> Self {
        Self::Blocked {
            what: format!("the operating system provides no random bytes: {error}"),
            hint: None,
        }
    }
}

impl From<ResourceError> for Error {
    fn from(source: ResourceError) -> Self {
        let hint = source.hint();
        let status = match source {
            ResourceError::ApiLocked { .. } => ExitStatus::Refused,
            _ => ExitStatus::Failed,
        };
        let code = source.kind();
        let error = Self::new(status, source).with_code(code);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(class: Class) -> ResourceError {
        let error = AwsError::incomplete("ec2:CreateVpc", "no");
        ResourceError::Aws(AwsError { class, ..error })
    }

    #[test]
    fn what_passes_by_itself_is_tried_again() {
        let second = Duration::from_secs(1);
        assert_eq!(aws(Class::Throttled).retried_for(), Some(TROUBLE));
        assert_eq!(aws(Class::Ambiguous).retried_for(), Some(TROUBLE));
        assert_eq!(aws(Class::NotYet(second)).retried_for(), Some(second));
        let what = "a method".to_owned();
        let within = second;
        assert_eq!(
            ResourceError::NotVisible { what, within }.retried_for(),
            Some(second)
        );
        for last in [
            aws(Class::Fatal),
            aws(Class::Denied),
            ResourceError::Build("no compiler".to_owned()),
            ResourceError::Failed("no capacity".to_owned()),
        ] {
            assert_eq!(last.retried_for(), None, "{last}");
        }
    }

    #[test]
    fn what_a_service_says_is_on_one_line() {
        let failed = ResourceError::Failed("no\nerror: \u{1b}[31mluck".to_owned());
        assert_eq!(failed.to_string(), r"failed: no\nerror: \u{1b}[31mluck");
    }

    #[test]
    fn a_failed_retry_says_for_how_long_it_was_tried() {
        let minute = Duration::from_millis(60_500);
        let error = aws(Class::Throttled).after(minute);
        assert_eq!(
            error.to_string(),
            "ec2:CreateVpc: no (tried for 1 min 00 s)"
        );
        assert_eq!(error.hint(), aws(Class::Throttled).hint());
        assert_eq!(error.kind(), aws(Class::Throttled).kind());
        // Two resources are seldom tried for the same time.
        assert!(error.is_same_cause(&aws(Class::Throttled).after(2 * minute)));
        let timed_out = ResourceError::TimedOut {
            state: "pending".to_owned(),
            after: minute,
        };
        assert_eq!(timed_out.clone().after(minute), timed_out);
    }
}

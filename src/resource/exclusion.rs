//! Excludes the runs of other stacks while this run touches the draft of an API.

use std::fmt;

use futures::future::BoxFuture;

use super::error::ResourceError;
use crate::api_gateway::ApiTarget;

/// The exclusion of other stacks from the APIs that this run changes.
pub trait ApiExclusion: fmt::Debug + Send + Sync {
    /// Excludes the other stacks from the API for the work on `target`. Returns whether it was open to them
    /// before: then what was read of the API must be read again.
    ///
    /// # Errors
    /// [`ResourceError::ApiLocked`] if another stack does not finish in time, and the errors of the service.
    fn enter<'a>(&'a self, target: &'a ApiTarget) -> BoxFuture<'a, Result<bool, ResourceError>>;

    /// Ends the work on `target`. If it was the last work on the API, other stacks are admitted again.
    ///
    /// # Errors
    /// The errors of the service.
    fn leave<'a>(&'a self, target: &'a ApiTarget) -> BoxFuture<'a, Result<(), ResourceError>>;
}

/// The lock of the stack that a run holds.
pub trait StackLock: fmt::Debug + Send + Sync {
    /// Checks that the run still holds it: a user can release it. If it does not, the run stops.
    ///
    /// # Errors
    /// An error of the class `Stopped` if the lock is lost. A failed read is none: the lease counts then.
    fn ensure_held(&self) -> BoxFuture<'_, Result<(), ResourceError>>;
}

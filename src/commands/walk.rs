//! Applies a plan and turns its outcome into an exit status.

use super::signals::Signals;
use crate::cancel::StopReason;
use crate::engine::executor::{Outcome, execute};
use crate::engine::plan::Plan;
use crate::error::ExitStatus;
use crate::resource::{Context, ResourceError};

/// Applies a plan and returns its outcome with the exit status.
pub(super) async fn apply(plan: &Plan, cx: &Context, signals: &Signals) -> (Outcome, ExitStatus) {
    let outcome = execute(plan, cx, &signals.cancel).await;
    let status = match outcome.stopped {
        Some(StopReason::Interrupted) => ExitStatus::Interrupted,
        Some(StopReason::TimedOut) => {
            cx.sink().notice("the --timeout has passed");
            ExitStatus::Partial
        }
        None if outcome.failures.is_empty() => ExitStatus::Done,
        // Everything else is done, and another run would change nothing: the user must repair what the authorizer
        // depends on.
        None if outcome
            .failures
            .iter()
            .all(|(_, error)| matches!(error, ResourceError::SelfTest { .. })) =>
        {
            ExitStatus::Failed
        }
        None => ExitStatus::Partial,
    };
    if status != ExitStatus::Done {
        let text = if status == ExitStatus::Failed {
            "the authorizer did not pass its self-test, so the API was not changed"
        } else {
            "incomplete: run the same command again to resume"
        }
        .to_owned();
        cx.sink().notice(text);
    }
    (outcome, status)
}

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
    if outcome.stopped == Some(StopReason::TimedOut) {
        cx.sink().notice("the --timeout has passed");
    }
    let status = status(&outcome);
    if status != ExitStatus::Done {
        let text = match status {
            ExitStatus::Failed => {
                "the authorizer did not pass its self-test, so the API was not changed"
            }
            ExitStatus::Refused => "nothing was changed",
            _ => "incomplete: run the same command again to resume",
        };
        cx.sink().notice(text);
    }
    (outcome, status)
}

/// The exit status of an execution. Pure.
fn status(outcome: &Outcome) -> ExitStatus {
    match outcome.stopped {
        Some(StopReason::Interrupted) => ExitStatus::Interrupted,
        Some(StopReason::TimedOut) => ExitStatus::Partial,
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
        None if !outcome.tally.is_any_changed()
            && outcome
                .failures
                .iter()
                .all(|(_, error)| matches!(error, ResourceError::ApiLocked { .. })) =>
        {
            ExitStatus::Refused
        }
        None => ExitStatus::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tally;
    use crate::id::LogicalId;
    use crate::kind::Kind;

    #[test]
    fn a_run_that_only_waited_for_another_stack_is_refused() {
        let locked = ResourceError::ApiLocked {
            what: "API abc is locked".to_owned(),
            hint: None,
        };
        let failed = ResourceError::Failed("no capacity".to_owned());
        let with = |created, errors: &[&ResourceError]| {
            let id = LogicalId::new(Kind::ApiAttachment, "main");
            status(&Outcome {
                tally: Tally {
                    created,
                    ..Tally::default()
                },
                failures: errors
                    .iter()
                    .map(|error| (id.clone(), (*error).clone()))
                    .collect(),
                ..Outcome::default()
            })
        };
        assert_eq!(with(0, &[]), ExitStatus::Done);
        assert_eq!(with(0, &[&locked, &locked]), ExitStatus::Refused);
        assert_eq!(with(1, &[&locked]), ExitStatus::Partial);
        assert_eq!(with(0, &[&locked, &failed]), ExitStatus::Partial);
    }
}

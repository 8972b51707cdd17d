//! Applies a plan and turns its outcome into an exit status.

use std::time::Duration;

use crate::cancel::{CancelToken, StopReason};
use crate::engine::executor::{Outcome, execute};
use crate::engine::plan::Plan;
use crate::error::ExitStatus;
use crate::event::Tally;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::prices;
use crate::resource::billed::billed;
use crate::resource::{Context, ResourceError};

/// How long an incomplete run may read what it costs.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Applies a plan and returns its outcome with the exit status.
pub(super) async fn apply(
    plan: &Plan,
    cx: &Context,
    cancel: &CancelToken,
) -> (Outcome, ExitStatus) {
    let outcome = execute(plan, cx, cancel).await;
    if outcome.stopped == Some(StopReason::TimedOut) {
        cx.sink().notice("the --timeout has passed");
    }
    let status = status(&outcome);
    if status != ExitStatus::Done {
        let text = match status {
            ExitStatus::Failed => kept(plan, &outcome),
            ExitStatus::Refused => "nothing was changed",
            _ => "incomplete: run the same command again to resume",
        };
        cx.sink().notice(text);
        if status != ExitStatus::Refused {
            let reads = tokio::time::timeout(READ_WITHIN, costs(cx)).await;
            let existing = existing(plan, outcome.tally);
            let notice = remains(&cx.names().stack, existing, reads.ok().flatten());
            if let Some(text) = notice {
                cx.sink().finding(NoticeCode::StackRemains, text);
            }
        }
    }
    (outcome, status)
}

/// Reports what a run that does not wait has left, and what it costs.
pub(super) async fn report_rest(cx: &Context, left: &[LogicalId]) {
    let reads = tokio::time::timeout(READ_WITHIN, costs(cx)).await;
    let text = rest(&cx.names().stack, left.len(), reads.ok().flatten());
    cx.sink().notice(text);
}

/// What a run that does not wait has left. Pure.
fn rest(stack: &str, left: usize, costs: Option<(f64, bool)>) -> String {
    let costs = match costs {
        Some((0.0, true)) => "They cost nothing".to_owned(),
        Some((known, true)) => format!("They cost about ${known:.2} a month until then"),
        Some((known, false)) => format!("They cost at least ${known:.2} a month until then"),
        None => "What they cost is not known".to_owned(),
    };
    format!(
        "resources of stack {stack} that AWS can delete only later: {left}. {costs}. The stack has expired: `threescale-gw sweep` or \
         `threescale-gw down --stack {stack}` deletes them"
    )
}

/// What exists of the stack costs so much per month, if that can be read, and whether all prices are known.
async fn costs(cx: &Context) -> Option<(f64, bool)> {
    let billed = billed(&cx.fresh()).await.ok()?;
    Some(prices::sum(&prices::of_account(&billed)))
}

/// How many resources exist after the run.
fn existing(plan: &Plan, tally: Tally) -> usize {
    let before = plan.items.iter().filter(|item| item.phase.is_some());
    (before.count() + tally.created).saturating_sub(tally.deleted)
}

/// What a failed self-test, or a route that failed its verification, has kept from being changed. Pure.
fn kept(plan: &Plan, outcome: &Outcome) -> &'static str {
    if has_harmed(outcome) {
        return "the first route did not pass its verification, so no other route was changed";
    }
    match plan.changes(&[Kind::ApiAttachment]) {
        true => "the authorizer did not pass its self-test, so the API was not changed",
        false => {
            "the authorizer did not pass its self-test, so the versions that are live were not changed"
        }
    }
}

/// Whether the first of routes that change one at a time did not pass its verification. Pure.
pub(super) fn has_harmed(outcome: &Outcome) -> bool {
    let mut failures = outcome.failures.iter();
    failures.any(|(_, error)| matches!(error, ResourceError::Verification { .. }))
}

/// What an incomplete run leaves. Pure.
fn remains(stack: &str, existing: usize, costs: Option<(f64, bool)>) -> Option<String> {
    let costs = match costs {
        Some((known, true)) => format!(" and cost about ${known:.2} a month when idle"),
        Some((known, false)) => format!(" and cost at least ${known:.2} a month when idle"),
        None => String::new(),
    };
    (existing > 0).then(|| {
        format!(
            "resources of stack {stack} that exist now: {existing}. They stay{costs}: `threescale-gw down --stack {stack}` deletes them"
        )
    })
}

/// The exit status of an execution. Pure.
fn status(outcome: &Outcome) -> ExitStatus {
    match outcome.stopped {
        Some(StopReason::Interrupted) => ExitStatus::Interrupted,
        Some(StopReason::TimedOut) => ExitStatus::Partial,
        None if outcome.failures.is_empty() => ExitStatus::Done,
        // Everything else is done, and another run would change nothing: the user must repair what the authorizer
        // depends on.
        None if outcome.failures.iter().all(|(_, error)| {
            matches!(
                error,
                ResourceError::SelfTest { .. } | ResourceError::Verification { .. }
            )
        }) =>
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
    use crate::action::Action;
    use crate::engine::plan::Item;
    use crate::id::LogicalId;
    use crate::resource::Output;

    #[test]
    fn a_failed_self_test_keeps_the_api_or_the_live_versions() {
        let item = |kind| Item {
            id: LogicalId::new(kind, "main"),
            action: Action::Update,
            physical_id: None,
            phase: None,
            changes: Vec::new(),
            output: Output::default(),
        };
        let plan = |kinds: &[Kind]| Plan {
            items: kinds.iter().copied().map(item).collect(),
            steps: Vec::new(),
        };
        let kept = |kinds: &[Kind]| kept(&plan(kinds), &Outcome::default());
        assert!(
            kept(&[Kind::FunctionAlias, Kind::ApiAttachment])
                .ends_with("so the API was not changed")
        );
        assert!(
            kept(&[Kind::FunctionAlias]).ends_with("the versions that are live were not changed")
        );
    }

    #[test]
    fn what_remains_is_told_with_its_costs() {
        let of = |existing, costs| remains("orders", existing, costs);
        assert_eq!(of(0, Some((0.0, true))), None);
        let text = of(25, Some((36.5, true))).expect("a notice");
        assert!(text.contains("exist now: 25. They stay and cost about $36.50 a month"));
        assert!(text.contains("`threescale-gw down --stack orders` deletes them"));
        let unknown = of(3, Some((3.65, false))).expect("a notice");
        assert!(unknown.contains("at least $3.65"), "{unknown}");
        assert!(!of(3, None).expect("a notice").contains('$'));
    }

    #[test]
    fn the_rest_is_told_with_its_costs() {
        let of = |costs| rest("pr-7", 12, costs);
        let free = of(Some((0.0, true)));
        assert!(free.contains("only later: 12. They cost nothing. The stack has expired: "));
        assert!(free.contains("`threescale-gw down --stack pr-7`"), "{free}");
        assert!(of(Some((3.65, true))).contains("They cost about $3.65 a month until then"));
        assert!(of(Some((3.65, false))).contains("at least $3.65"));
        assert!(of(None).contains("not known"));
    }

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

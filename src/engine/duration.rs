//! How long a plan usually takes until the stack is ready. Pure.

use std::time::Duration;

use super::plan::Plan;
use crate::action::Action;

/// The sum of the usual durations along the longest chain of resources that are created. Deletions come after the stack is
/// ready.
pub fn until_ready(plan: &Plan) -> Duration {
    let own: Vec<Duration> = plan
        .steps
        .iter()
        .map(|step| match step.action {
            Action::Create | Action::Replace => step.id.kind.usual().0.unwrap_or_default(),
            _ => Duration::ZERO,
        })
        .collect();
    // A plan has no cycle, so this ends: each round settles the steps whose needs are settled.
    let mut ends: Vec<Option<Duration>> = vec![None; own.len()];
    for _ in 0..own.len() {
        let before = ends.clone();
        for (index, step) in plan.steps.iter().enumerate() {
            let needs: Option<Vec<_>> = step.needs.iter().map(|need| ends[*need]).collect();
            ends[index] =
                needs.map(|needs| own[index] + needs.into_iter().max().unwrap_or_default());
        }
        if before == ends {
            break;
        }
    }
    ends.into_iter().flatten().max().unwrap_or_default()
}

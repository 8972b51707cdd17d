//! How long a plan usually takes until the stack is ready. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::plan::Plan;
use crate::action::Action;

/// The sum of the usual durations along the longest chain of resources that are created. Deletions come after the stack is
/// ready.
pub fn until_ready(plan: &Plan) -> Duration {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| {
            let own = match step.action {
                Action::Create | Action::Replace => step.id.kind.usual().0.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            (own, &step.needs)
        })
        .collect();
    longest(&steps)
}

/// What is left of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// All of it.
    Whole,
    /// It is at work for this long.
    Running(Duration),
    /// Nothing.
    Done,
}

/// How long the rest of a run usually takes: the longest chain of what is left of its steps, each with its usual duration and the
/// steps that must finish first. A step that takes longer than usual counts as one that ends now.
pub fn remaining(steps: &[(Duration, Left, &BTreeSet<usize>)]) -> Duration {
    let steps: Vec<_> = steps
        .iter()
        .map(|(usual, left, needs)| {
            let own = match left {
                Left::Whole => *usual,
                Left::Running(since) => usual.saturating_sub(*since),
                Left::Done => Duration::ZERO,
            };
            (own, *needs)
        })
        .collect();
    longest(&steps)
}

/// The longest chain of steps, each with its duration and the steps that must finish first. A plan has no cycle; the steps of
/// one would not count.
fn longest(steps: &[(Duration, &BTreeSet<usize>)]) -> Duration {
    let mut ends: Vec<Option<Duration>> = vec![None; steps.len()];
    // Each round settles the steps whose needs are settled.
    loop {
        let before = ends.clone();
        for (index, (own, needs)) in steps.iter().enumerate() {
            let needs: Option<Vec<_>> = needs.iter().map(|need| before[*need]).collect();
            ends[index] = needs.map(|needs| *own + needs.into_iter().max().unwrap_or_default());
        }
        if before == ends {
            return ends.into_iter().flatten().max().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_and_what_runs_counts_no_longer() {
        let second = Duration::from_secs;
        let (none, first) = (BTreeSet::new(), BTreeSet::from([0]));
        let both = BTreeSet::from([1, 2]);
        let of = |lefts: [Left; 4]| {
            let usual = [10, 60, 100, 5].map(second);
            let needs = [&none, &first, &first, &both];
            let steps: Vec<_> = (0..4).map(|at| (usual[at], lefts[at], needs[at])).collect();
            remaining(&steps)
        };
        use Left::{Done, Running, Whole};
        assert_eq!(of([Whole; 4]), second(115));
        assert_eq!(of([Done, Whole, Running(second(30)), Whole]), second(75));
        assert_eq!(
            of([Done, Running(second(10)), Running(second(300)), Whole]),
            second(55)
        );
        assert_eq!(of([Done, Done, Running(second(300)), Whole]), second(5));
        assert_eq!(of([Done; 4]), Duration::ZERO);
    }

    #[test]
    fn the_longest_chain_counts_and_not_the_sum() {
        let of = |steps: &[(u64, &[usize])]| {
            let needs: Vec<BTreeSet<_>> = steps
                .iter()
                .map(|(_, needs)| needs.iter().copied().collect())
                .collect();
            let steps: Vec<_> = steps
                .iter()
                .zip(&needs)
                .map(|((seconds, _), needs)| (Duration::from_secs(*seconds), needs))
                .collect();
            longest(&steps).as_secs()
        };
        assert_eq!(of(&[]), 0);
        // A need can come later in the list.
        assert_eq!(of(&[(2, &[2]), (7, &[]), (1, &[]), (3, &[0])]), 7);
        assert_eq!(of(&[(2, &[2]), (7, &[2]), (1, &[]), (3, &[0, 1])]), 11);
        assert_eq!(of(&[(1, &[1]), (1, &[0]), (5, &[])]), 5);
    }
}

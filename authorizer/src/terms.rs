//! The terms that the cache decides by: which metric counts toward which limits. [`crate::tree`] computes them.

use crate::xml::{Limit, Status};

/// The limits of a plan, and the metrics that count toward them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The limits of the plan, with 3scale's counters.
    pub limits: Vec<Limit>,
    /// Each metric with the positions of the limits that it counts toward.
    pub metrics: Vec<(String, Vec<usize>)>,
}

/// Whether a reported limit explains the refusal of this usage, with the metrics as in `terms`. 3scale also refuses an
/// amount of 0 if the limit is exceeded.
#[must_use]
pub fn explained(terms: &Terms, usage: &[(String, u64)]) -> bool {
    terms.limits.iter().enumerate().any(|(index, limit)| {
        let mut amounts = terms
            .metrics
            .iter()
            .filter(|(_, limits)| limits.contains(&index))
            .map(|(metric, _)| {
                let amount = usage.iter().find(|(name, _)| name == metric);
                amount.map_or(0, |(_, amount)| *amount)
            })
            .peekable();
        amounts.peek().is_some() && amounts.fold(limit.current, u64::saturating_add) > limit.max
    })
}

/// Whether a limit is smaller than this usage, as far as the answer shows, so that it never allows the usage.
#[must_use]
pub fn never_fits(status: &Status, usage: &[(String, u64)]) -> bool {
    status.limits.iter().any(|limit| {
        let counts = |metric: &str| line(status, metric).contains(&limit.metric);
        usage
            .iter()
            .filter(|(metric, _)| counts(metric))
            .fold(0, |sum: u64, (_, amount)| sum.saturating_add(*amount))
            > limit.max
    })
}

/// A metric and its ancestors, as far as the answer shows them.
fn line(status: &Status, metric: &str) -> Vec<String> {
    let mut line = vec![metric.to_owned()];
    // Every step adds a metric, so a cycle in the hierarchy ends the loop.
    while let Some(parent) = line.last().and_then(|metric| parent(status, metric)) {
        if line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

fn parent(status: &Status, metric: &str) -> Option<String> {
    let mut listed = status.hierarchy.iter();
    let found = listed.find(|(_, children)| children.iter().any(|child| child == metric));
    found.map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::periods::Period;
    use crate::tree::Tree;

    fn limit(metric: &str, max: u64, current: u64) -> Limit {
        Limit {
            metric: metric.to_owned(),
            period: Period::Minute,
            start_s: 0,
            max,
            current,
        }
    }

    fn status(limits: &[Limit], hierarchy: &[(&str, &str)]) -> Status {
        Status {
            authorized: true,
            plan: String::new(),
            app_id: None,
            limits: limits.to_vec(),
            hierarchy: hierarchy
                .iter()
                .map(|(name, children)| {
                    (
                        (*name).to_owned(),
                        children.split_whitespace().map(str::to_owned).collect(),
                    )
                })
                .collect(),
        }
    }

    fn usage(usage: &[(&str, u64)]) -> Vec<(String, u64)> {
        usage
            .iter()
            .map(|(metric, amount)| ((*metric).to_owned(), *amount))
            .collect()
    }

    #[test]
    fn what_explains_a_refusal() {
        let explained = |limits: &[Limit], used: &[(&str, u64)]| {
            let used = usage(used);
            let metrics: Vec<String> = used.iter().map(|(metric, _)| metric.clone()).collect();
            let mut tree = Tree::default();
            let status = status(limits, &[("hits", "orders")]);
            // Everything that the answer does not show is apart.
            tree.explore(&status, &metrics, 0, &mut |_| {
                let mut status = status.clone();
                for limit in &mut status.limits {
                    limit.current = limit.max;
                }
                Some((status, crate::backend::Headers::default()))
            });
            super::explained(&tree.terms(&status, &metrics), &used)
        };
        let hits = [limit("hits", 10, 9)];
        assert!(!explained(&[], &[("hits", 1)]));
        assert!(!explained(&hits, &[("hits", 1)]));
        assert!(explained(&hits, &[("hits", 2)]));
        assert!(explained(&hits, &[("hits", 1), ("orders", 1)]));
        assert!(!explained(&hits, &[("bytes", 100)]));
        assert!(!explained(&[limit("hits", 10, 10)], &[("hits", 0)]));
        assert!(explained(&[limit("hits", 10, 11)], &[("hits", 0)]));
        assert!(!explained(&[limit("hits", 10, 11)], &[("bytes", 1)]));
        assert!(explained(&hits, &[("hits", u64::MAX)]));
    }

    #[test]
    fn what_never_fits() {
        let status = status(&[limit("hits", 3, 3)], &[("hits", "orders")]);
        assert!(!never_fits(&status, &usage(&[("hits", 3)])));
        assert!(never_fits(&status, &usage(&[("hits", 4)])));
        assert!(never_fits(&status, &usage(&[("hits", 2), ("orders", 2)])));
        assert!(!never_fits(&status, &usage(&[("bytes", 4)])));
    }

    #[test]
    fn a_circle_ends() {
        let status = status(&[limit("a", 1, 0)], &[("a", "b"), ("b", "a")]);
        assert_eq!(line(&status, "a").len(), 2);
    }
}

//! Converts an answer of 3scale to the terms that the cache decides by: which metric counts toward which limits.

use crate::backend::Headers;
use crate::xml::{Limit, Status};

const HITS: &str = "hits";

/// The limits of a plan, and the metrics that count toward them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The limits of the plan, with 3scale's counters.
    pub limits: Vec<Limit>,
    /// Each metric with the positions of the limits that it counts toward.
    pub metrics: Vec<(String, Vec<usize>)>,
}

/// Computes the terms for `metrics`. `usage` is the usage of the call, and `limited_ancestors` are those of the
/// [unlisted] metrics and the [orphans] that have a limited ancestor.
///
/// The answer lists every limit of the plan and, for metrics with limits, their direct children. In the two levels of
/// the portal, that places every listed metric exactly. Below a level without limits (methods of an attached backend,
/// and deeper trees created through the internal API), the answer does not show an ancestor. A metric with such an
/// ancestor counts toward every limit, so that an application is stopped too early rather than too late. If the metric
/// has a limit of its own, it counts toward that one and those of `hits`, the only ancestor that the portal places
/// above a level without limits.
#[must_use]
pub fn terms(
    status: &Status,
    headers: &Headers,
    metrics: &[String],
    usage: &[(String, u64)],
    limited_ancestors: &[String],
) -> Terms {
    let mut placed: Vec<(String, Vec<usize>)> = metrics
        .iter()
        .map(|metric| (metric.clone(), place(status, metric, limited_ancestors)))
        .collect();
    let expected = remaining(status, &placed, usage);
    // A metric with the amount 0 whose limit is used up makes the header 0, even if other limits have usage left.
    let clouded = status.limits.iter().enumerate().any(|(index, limit)| {
        limit.current >= limit.max
            && placed.iter().any(|(metric, limits)| {
                limits.contains(&index)
                    && !usage
                        .iter()
                        .any(|(name, amount)| name == metric && *amount > 0)
            })
    });
    let misplaced = match (headers.remaining.filter(|_| !clouded), expected) {
        (Some(told), Some(expected)) => told >= 0 && told < expected,
        (Some(told), None) => told >= 0 && usage.iter().any(|(_, amount)| *amount > 0),
        (None, _) => false,
    };
    if misplaced {
        let all: Vec<usize> = (0..status.limits.len()).collect();
        for (metric, limits) in &mut placed {
            if usage
                .iter()
                .any(|(name, amount)| name == metric && *amount > 0)
            {
                limits.clone_from(&all);
            }
        }
    }
    Terms {
        limits: status.limits.clone(),
        metrics: placed,
    }
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

/// The metrics for which the answer does not show whether they have a limited ancestor: they have no limit and are not
/// a child of a limited metric.
#[must_use]
pub fn unlisted(status: &Status, metrics: &[String]) -> Vec<String> {
    if status.limits.is_empty() {
        return Vec::new();
    }
    metrics
        .iter()
        .filter(|metric| {
            !limited(status, metric) && parent(status, metric).is_none() && *metric != HITS
        })
        .cloned()
        .collect()
}

fn place(status: &Status, metric: &str, limited_ancestors: &[String]) -> Vec<usize> {
    let has_limited_ancestor = |metric: &String| limited_ancestors.contains(metric);
    let mut line = line(status, metric);
    match line.last() {
        Some(top) if has_limited_ancestor(top) && limited(status, top) => {
            line.push(HITS.to_owned())
        }
        _ if line.first().is_some_and(has_limited_ancestor) => {
            return (0..status.limits.len()).collect();
        }
        _ => {}
    }
    status
        .limits
        .iter()
        .enumerate()
        .filter(|(_, limit)| line.contains(&limit.metric))
        .map(|(index, _)| index)
        .collect()
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

fn limited(status: &Status, metric: &str) -> bool {
    status.limits.iter().any(|limit| limit.metric == metric)
}

/// How much of a metric its own limits still allow.
fn room(status: &Status, metric: &str) -> Option<u64> {
    status
        .limits
        .iter()
        .filter(|limit| limit.metric == metric)
        .map(|limit| limit.max.saturating_sub(limit.current))
        .min()
}

/// The limited metrics for which the answer does not show whether they are below `hits`, which is limited too: those at
/// the top of the shown ancestors of `metrics`. An independent metric looks like a method whose parent has no limit.
#[must_use]
pub fn orphans(status: &Status, metrics: &[String]) -> Vec<String> {
    if !limited(status, HITS) {
        return Vec::new();
    }
    let mut tops: Vec<String> = metrics
        .iter()
        .filter_map(|metric| line(status, metric).pop())
        .filter(|top| top != HITS && limited(status, top))
        .collect();
    tops.sort();
    tops.dedup();
    tops
}

/// A usage of `hits` and the orphans that is within the limits of each of them, but exceeds those of `hits` if an
/// orphan counts there too. `None` if an orphan's own limit is used up. Half of the room of the narrowest limit is left
/// for the usage of others meanwhile.
#[must_use]
pub fn probe_usage(status: &Status, orphans: &[String]) -> Option<Vec<(String, u64)>> {
    let mut usage = Vec::new();
    let mut least = u64::MAX;
    for orphan in orphans {
        let amount = room(status, orphan)?.div_ceil(2);
        if amount == 0 {
            return None;
        }
        least = least.min(amount);
        usage.push((orphan.clone(), amount));
    }
    let hits = room(status, HITS)?.saturating_sub(least / 2);
    if hits > 0 {
        usage.push((HITS.to_owned(), hits));
    }
    Some(usage)
}

/// What 3scale's answer to such a usage shows: whether an orphan is below `hits`. `None` if the counters changed so
/// much meanwhile that the answer is ambiguous.
#[must_use]
pub fn probe_result(usage: &[(String, u64)], status: &Status) -> Option<bool> {
    let fits = |metric: &str, amount: u64| room(status, metric).is_some_and(|room| amount <= room);
    if !status.authorized {
        return usage
            .iter()
            .all(|(metric, amount)| fits(metric, *amount))
            .then_some(true);
    }
    let of_hits = usage.iter().find(|(metric, _)| metric == HITS);
    let of_hits = of_hits.map_or(0, |(_, amount)| *amount);
    usage
        .iter()
        .filter(|(metric, _)| metric != HITS)
        .all(|(_, amount)| !fits(HITS, amount.saturating_add(of_hits)))
        .then_some(false)
}

fn parent(status: &Status, metric: &str) -> Option<String> {
    let listed = status
        .hierarchy
        .iter()
        .find(|(_, children)| children.iter().any(|child| child == metric))
        .map(|(name, _)| name.clone());
    // The hits of an attached backend are those of the product, even if the product's have no limit and are not listed.
    listed.or_else(|| (backend_metric(metric) == Some(HITS)).then(|| HITS.to_owned()))
}

/// The part before the backend's ID in `orders.12`.
fn backend_metric(metric: &str) -> Option<&str> {
    metric
        .rsplit_once('.')
        .filter(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
        .map(|(name, _)| name)
}

/// How many more requests with this usage 3scale's header should allow if the metrics are placed correctly; `None`
/// without a limit.
fn remaining(
    status: &Status,
    placed: &[(String, Vec<usize>)],
    usage: &[(String, u64)],
) -> Option<i64> {
    let mut amounts = vec![0_u64; status.limits.len()];
    for (metric, amount) in usage {
        let Some((_, limits)) = placed.iter().find(|(name, _)| name == metric) else {
            continue;
        };
        for limit in limits {
            if let Some(sum) = amounts.get_mut(*limit) {
                *sum = sum.saturating_add(*amount);
            }
        }
    }
    status
        .limits
        .iter()
        .zip(amounts)
        .filter(|(_, amount)| *amount > 0)
        .map(|(limit, amount)| {
            i64::try_from(limit.max.saturating_sub(limit.current) / amount).unwrap_or(i64::MAX)
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::periods::Period;

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

    fn placed(status: &Status, metric: &str, told: Option<i64>) -> Vec<usize> {
        let headers = Headers {
            remaining: told,
            ..Headers::default()
        };
        let metrics = [metric.to_owned()];
        terms(status, &headers, &metrics, &[(metric.to_owned(), 1)], &[]).metrics[0]
            .1
            .clone()
    }

    #[test]
    fn methods_count_on_their_ancestors() {
        let status = status(
            &[
                limit("hits", 100, 2),
                limit("orders", 3, 1),
                limit("bytes", 1000, 0),
            ],
            &[
                ("hits", "products orders"),
                ("orders", "orders_lines"),
                ("bytes", ""),
            ],
        );
        assert_eq!(placed(&status, "hits", None), [0]);
        assert_eq!(placed(&status, "orders", None), [0, 1]);
        assert_eq!(placed(&status, "orders_lines", None), [0, 1]);
        assert_eq!(placed(&status, "bytes", None), [2]);
        assert_eq!(placed(&status, "other", None), [0_usize; 0]);
    }

    #[test]
    fn an_ancestor_that_is_not_shown_counts_on_everything() {
        let status = status(
            &[limit("hits", 100, 2), limit("bytes", 1000, 0)],
            &[("hits", "products orders"), ("bytes", "")],
        );
        // orders_lines is below orders, which is not listed: only the header shows it.
        assert_eq!(placed(&status, "orders_lines", Some(98)), [0, 1]);
        assert_eq!(placed(&status, "orders_lines", Some(-1)), [0_usize; 0]);
        assert_eq!(placed(&status, "hits", Some(98)), [0]);
        assert_eq!(placed(&status, "hits", Some(97)), [0, 1]);
    }

    #[test]
    fn metrics_of_attached_backends() {
        let status = status(
            &[limit("hits", 100, 0), limit("bytes", 9, 0)],
            &[("hits", "hits.12"), ("bytes", "")],
        );
        assert_eq!(placed(&status, "hits.12", None), [0]);
        assert_eq!(placed(&status, "orders.12", None), [0_usize; 0]);
        let metrics = ["hits.12", "orders.12", "hits", "bytes"].map(str::to_owned);
        assert_eq!(unlisted(&status, &metrics), ["orders.12"]);
        let told = terms(
            &status,
            &Headers::default(),
            &metrics,
            &[],
            &["orders.12".to_owned()],
        );
        assert_eq!(told.metrics[1].1, [0, 1]);
        assert_eq!(placed(&status, "orders.", None), [0_usize; 0]);
    }

    #[test]
    fn a_limited_metric_below_a_level_without_limits_counts_on_hits() {
        let status = status(
            &[
                limit("hits", 10, 4),
                limit("orders.12", 8, 2),
                limit("bytes", 1000, 0),
            ],
            &[
                ("hits", "hits.12"),
                ("orders.12", "lines.12"),
                ("bytes", ""),
            ],
        );
        let metrics = ["lines.12", "bytes", "hits"].map(str::to_owned);
        let orphans = orphans(&status, &metrics);
        assert_eq!(orphans, ["bytes", "orders.12"]);
        let placed = |limited_ancestors: &[String]| {
            terms(
                &status,
                &Headers::default(),
                &metrics,
                &[],
                limited_ancestors,
            )
            .metrics
            .into_iter()
            .map(|(_, limits)| limits)
            .collect::<Vec<_>>()
        };
        assert_eq!(placed(&[]), [vec![1], vec![2], vec![0]]);
        // Not toward the limit of bytes, because it is not a child of bytes.
        assert_eq!(
            placed(&["orders.12".to_owned()]),
            [vec![0, 1], vec![2], vec![0]]
        );
    }

    #[test]
    fn what_explains_a_refusal() {
        let explained = |limits: &[Limit], usage: &[(&str, u64)]| {
            let usage: Vec<(String, u64)> = usage
                .iter()
                .map(|(metric, amount)| ((*metric).to_owned(), *amount))
                .collect();
            let metrics: Vec<String> = usage.iter().map(|(metric, _)| metric.clone()).collect();
            let status = status(limits, &[("hits", "orders")]);
            let terms = terms(&status, &Headers::default(), &metrics, &usage, &[]);
            super::explained(&terms, &usage)
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
    fn a_usage_tells_what_is_below_hits() {
        let orphans = ["a", "b"].map(str::to_owned);
        let usage = |hits: (u64, u64), a: (u64, u64), b: (u64, u64)| {
            let limits = [
                limit("hits", hits.1, hits.0),
                limit("a", a.1, a.0),
                limit("b", b.1, b.0),
            ];
            let status = status(&limits, &[]);
            probe_usage(&status, &orphans).map(|usage| (usage, status))
        };
        for (hits, a, b) in [
            ((0, 10), (0, 8), (0, 8)),
            ((0, 10), (0, 1), (0, 1000)),
            ((9, 10), (0, 1000), (0, 1000)),
            ((10, 10), (2, 3), (0, 5)),
            ((12, 10), (2, 3), (0, 5)),
            ((0, 1 << 40), (0, 9), (0, 1 << 50)),
        ] {
            let (usage, mut status) = usage(hits, a, b).expect("a usage");
            let amount = |metric: &str| {
                let found = usage.iter().find(|(name, _)| name == metric);
                found.map_or(0, |(_, amount)| *amount)
            };
            let room = hits.1 - hits.0.min(hits.1);
            assert!(amount("hits") <= room);
            for (metric, own) in [("a", a), ("b", b)] {
                assert!(amount(metric) <= own.1 - own.0);
                assert!(amount("hits") + amount(metric) > room, "{usage:?}");
            }
            assert_eq!(probe_result(&usage, &status), Some(false));
            status.authorized = false;
            assert_eq!(probe_result(&usage, &status), Some(true));
            // Refused because of the usage of others meanwhile; allowed in a window that has just begun.
            status.limits[1].current = status.limits[1].max;
            assert_eq!(probe_result(&usage, &status), None);
            status.authorized = true;
            status.limits[0].current = 0;
            status.limits[0].max = 1 << 60;
            assert_eq!(probe_result(&usage, &status), None);
        }
        assert_eq!(usage((0, 10), (8, 8), (0, 8)), None);
    }

    #[test]
    fn a_circle_ends() {
        let status = status(&[limit("a", 1, 0)], &[("a", "b"), ("b", "a")]);
        assert_eq!(placed(&status, "a", None), [0]);
    }
}

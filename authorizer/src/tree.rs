//! The tree of the service's metrics, as far as it decides which limits a metric counts toward.
//!
//! An answer of 3scale lists every limit of the plan and, for metrics with limits, their direct children. Below a metric
//! without limits (the hits of an attached backend, or trees that the portal does not make), it does not show who is above
//! whom. Then 3scale's decisions about well-chosen usages show it: a usage that uses up a limit exactly is allowed together
//! with one more of another metric only if that one does not count toward the limit.
//!
//! A metric that may count toward a limit counts toward it until an answer shows that it does not. So an application in a
//! tree of any shape is never stopped too late.

use std::collections::{BTreeMap, HashMap};
use std::slice;

use crate::backend::Headers;
use crate::periods::{Period, Windows};
use crate::terms::Terms;
use crate::xml::{Limit, Status};

/// In the portal, this metric is always at the top.
const HITS: &str = "hits";
/// The most questions about one answer. The rest is asked with the next answers.
const MAX_QUESTIONS: usize = 64;
/// How far the clock of this process and the one of 3scale may be apart where a time tells two limits apart, in seconds.
const CLOCK_SKEW: i64 = 5;

/// Usage by metric.
pub type Amounts = [(String, u64)];

/// What is known about metrics that no answer shows as children: whether a metric is below another one. It is about the
/// service, so it is the same for all applications and plans.
#[derive(Debug, Default)]
pub struct Tree {
    below: HashMap<String, HashMap<String, bool>>,
}

/// Whether a metric is below another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Yes,
    No,
    Unknown,
}

impl Tree {
    /// The limits of an answer, and for each metric those that it counts toward.
    #[must_use]
    pub fn terms(&self, status: &Status, metrics: &[String]) -> Terms {
        if status.limits.is_empty() {
            return Terms {
                limits: Vec::new(),
                metrics: metrics
                    .iter()
                    .map(|metric| (metric.clone(), Vec::new()))
                    .collect(),
            };
        }
        let shape = Shape::of(status, metrics);
        let counts = |metric: &String| {
            let positions = status.limits.iter().enumerate();
            let mut counts: Vec<(bool, usize)> = positions
                .filter_map(|(index, limit)| {
                    let relation = self.relation(&shape, metric, &limit.metric);
                    let may_count = self.may_count(&shape, metric, &limit.metric);
                    may_count.then_some((relation != Relation::Yes, index))
                })
                .collect();
            // The first one of several that refuse is named.
            counts.sort_unstable();
            let counts = counts.into_iter().map(|(_, index)| index).collect();
            (metric.clone(), counts)
        };
        Terms {
            limits: status.limits.clone(),
            metrics: metrics.iter().map(counts).collect(),
        }
    }

    /// Whether `metric` is `above`, or below it as far as is known.
    fn may_count(&self, shape: &Shape, metric: &str, above: &str) -> bool {
        match self.relation(shape, metric, above) {
            Relation::Yes => true,
            Relation::No => false,
            Relation::Unknown => shape.top(metric) != HITS,
        }
    }

    /// Whether `metric` is `above` or below it.
    fn relation(&self, shape: &Shape, metric: &str, above: &str) -> Relation {
        if metric == above || shape.line(metric).iter().any(|name| name == above) {
            return Relation::Yes;
        }
        let top = shape.top(metric);
        let known = |metric: &str, above: &str| self.below.get(metric)?.get(above).copied();
        match known(top, above) {
            Some(true) => return Relation::Yes,
            Some(false) => return Relation::No,
            None => {}
        }
        let others = shape.line(above);
        let is_below_top =
            others.iter().any(|name| name == top) || known(shape.top(above), top) == Some(true);
        let is_apart = others.iter().any(|name| known(top, name) == Some(false));
        match is_below_top || is_apart {
            true => Relation::No,
            false => Relation::Unknown,
        }
    }

    fn learn(&mut self, metric: &str, above: &str, is_below: bool) {
        self.below
            .entry(metric.to_owned())
            .or_default()
            .insert(above.to_owned(), is_below);
    }

    /// Finds out what the answer does not show about these metrics. `ask` is an `authorize` call; it returns `None` if there
    /// is no answer or no time, which ends the questions. `now_s` is the time in Unix seconds.
    pub fn explore(
        &mut self,
        status: &Status,
        metrics: &[String],
        now_s: i64,
        ask: &mut dyn FnMut(&Amounts) -> Option<(Status, Headers)>,
    ) {
        if status.limits.is_empty() {
            return;
        }
        let shape = Shape::of(status, metrics);
        let limited = shape.limited.clone();
        let mut tops: Vec<String> = Vec::new();
        for metric in metrics.iter().chain(&limited) {
            let top = shape.top(metric);
            if !tops.iter().any(|known| known == top) {
                tops.push(top.to_owned());
            }
        }
        let mut session = Session {
            tree: self,
            shape,
            status: status.clone(),
            now_s,
            left: MAX_QUESTIONS,
            ask,
        };
        if !session.is_open(&limited, &tops) {
            return;
        }
        // A metric whose own limit is used up makes 3scale refuse every question with it.
        let (tops, used_up): (Vec<String>, Vec<String>) = tops.into_iter().partition(|metric| {
            let one = [(metric.clone(), 1)];
            !session.exceeds(&session.certain(&one))
        });
        if limited.len() > 1 && session.is_open(&limited, &tops) {
            // Usually, nothing is hidden, and one question shows it.
            session.question(&limited, &tops);
        }
        // First what is below `hits`: that explains refusals of the other questions.
        let (hits, others): (Vec<String>, Vec<String>) =
            limited.into_iter().partition(|name| name == HITS);
        for tops in [&tops, &used_up] {
            session.sift(&hits, tops);
            session.sift(&others, tops);
        }
    }
}

/// What an answer shows about the tree.
struct Shape {
    /// Each metric with itself and its ancestors, as far as the answer shows them.
    lines: HashMap<String, Vec<String>>,
    /// The metrics with limits, those at the top first.
    limited: Vec<String>,
}

impl Shape {
    fn of(status: &Status, metrics: &[String]) -> Self {
        let mut parents: HashMap<&str, &str> = HashMap::new();
        for (parent, children) in &status.hierarchy {
            for child in children {
                parents.entry(child).or_insert(parent);
            }
        }
        let mut limited: Vec<String> = Vec::new();
        for limit in &status.limits {
            if !limited.contains(&limit.metric) {
                limited.push(limit.metric.clone());
            }
        }
        let mut lines = HashMap::new();
        for metric in metrics.iter().chain(&limited) {
            let mut line = vec![metric.clone()];
            // Every step adds a metric, so a circle ends the loop.
            while let Some(parent) = line.last().and_then(|name| parents.get(name.as_str())) {
                if line.iter().any(|name| name == parent) {
                    break;
                }
                line.push((*parent).to_owned());
            }
            lines.insert(metric.clone(), line);
        }
        let depth = |name: &String| lines.get(name).map_or(0, Vec::len);
        limited.sort_by(|one, other| (depth(one), one).cmp(&(depth(other), other)));
        Self { lines, limited }
    }

    fn line(&self, metric: &str) -> &[String] {
        self.lines.get(metric).map_or(&[], Vec::as_slice)
    }

    /// The topmost ancestor of a metric that the answer shows, or the metric itself.
    fn top<'a>(&'a self, metric: &'a str) -> &'a str {
        self.line(metric).last().map_or(metric, String::as_str)
    }
}

/// How much of a metric its own limits still allow; `None` without a limit.
fn room(status: &Status, metric: &str) -> Option<u64> {
    let own = status.limits.iter().filter(|limit| limit.metric == metric);
    own.map(left).min()
}

fn left(limit: &Limit) -> u64 {
    limit.max.saturating_sub(limit.current)
}

/// What a question showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// It was allowed, and what follows is learned.
    Allowed,
    /// It was refused, and no limit that is known to apply explains it.
    Refused,
    /// It was refused because of usage that was counted meanwhile.
    Stale,
    /// It was not asked: it would be refused in any case.
    Blocked,
    /// It was not asked: it would show nothing.
    Useless,
}

/// The questions about one answer.
struct Session<'a> {
    tree: &'a mut Tree,
    shape: Shape,
    /// The latest answer.
    status: Status,
    now_s: i64,
    left: usize,
    ask: &'a mut dyn FnMut(&Amounts) -> Option<(Status, Headers)>,
}

impl Session<'_> {
    fn relation(&self, metric: &str, above: &str) -> Relation {
        self.tree.relation(&self.shape, metric, above)
    }

    fn may_count(&self, metric: &str, above: &str) -> bool {
        self.tree.may_count(&self.shape, metric, above)
    }

    fn is_open(&self, above: &[String], metrics: &[String]) -> bool {
        above.iter().any(|above| {
            metrics
                .iter()
                .any(|metric| self.relation(metric, above) == Relation::Unknown)
        })
    }

    /// Sends a question, unless there were too many.
    fn send(&mut self, usage: &Amounts) -> Option<Headers> {
        self.left = self.left.checked_sub(1)?;
        let Some((status, headers)) = (self.ask)(usage) else {
            self.left = 0;
            return None;
        };
        self.status = status;
        Some(headers)
    }

    /// What a usage adds to each metric with limits, through the relations that `counts`.
    fn sums(&self, usage: &Amounts, counts: impl Fn(&str, &str) -> bool) -> BTreeMap<String, u64> {
        self.shape
            .limited
            .iter()
            .map(|above| {
                let sum = usage
                    .iter()
                    .filter(|(metric, _)| counts(metric, above))
                    .fold(0_u64, |sum, (_, amount)| sum.saturating_add(*amount));
                (above.clone(), sum)
            })
            .collect()
    }

    fn certain(&self, usage: &Amounts) -> BTreeMap<String, u64> {
        self.sums(usage, |metric, above| {
            self.relation(metric, above) == Relation::Yes
        })
    }

    /// Whether such sums are more than a limit allows. 3scale compares only the limits of metrics in the usage.
    fn exceeds(&self, sums: &BTreeMap<String, u64>) -> bool {
        sums.iter().any(|(above, sum)| {
            *sum > 0 && room(&self.status, above).is_some_and(|room| *sum > room)
        })
    }

    /// One of each of the metrics, and as much of `above` as their limits allow.
    fn usage(&self, above: &[String], metrics: &[String]) -> Option<Vec<(String, u64)>> {
        let mut usage: Vec<(String, u64)> =
            metrics.iter().map(|metric| (metric.clone(), 1)).collect();
        if self.exceeds(&self.certain(&usage)) {
            return None;
        }
        for name in above {
            let sums = self.certain(&usage);
            let rooms = sums
                .iter()
                .filter(|(limited, _)| self.relation(name, limited) == Relation::Yes)
                .filter_map(|(limited, sum)| {
                    Some(room(&self.status, limited)?.saturating_sub(*sum))
                });
            let fill = rooms.min().unwrap_or(0);
            match usage.iter_mut().find(|(metric, _)| metric == name) {
                Some((_, amount)) => *amount = amount.saturating_add(fill),
                None if fill > 0 => usage.push((name.clone(), fill)),
                None => {}
            }
        }
        Some(usage)
    }

    /// Asks whether one of the metrics is below one of `above`.
    fn question(&mut self, above: &[String], metrics: &[String]) -> Shown {
        let Some(usage) = self.usage(above, metrics) else {
            return Shown::Blocked;
        };
        if self.apart(&usage).is_empty() {
            return Shown::Useless;
        }
        if self.send(&usage).is_none() {
            return Shown::Stale;
        }
        if self.status.authorized {
            self.learn_from_allowed(&usage);
            return Shown::Allowed;
        }
        match self.exceeds(&self.certain(&usage)) {
            true => Shown::Stale,
            false => Shown::Refused,
        }
    }

    /// The pairs of which an allowed usage shows that the first is not below the second.
    fn apart(&self, usage: &Amounts) -> Vec<(String, String)> {
        let mut apart = Vec::new();
        for (above, sum) in self.certain(usage) {
            let Some(room) = room(&self.status, &above) else {
                continue;
            };
            for (metric, amount) in usage {
                if sum.saturating_add(*amount) > room
                    && *amount > 0
                    && self.relation(metric, &above) == Relation::Unknown
                {
                    apart.push((self.shape.top(metric).to_owned(), above.clone()));
                }
            }
        }
        apart
    }

    fn learn_from_allowed(&mut self, usage: &Amounts) {
        for (metric, above) in self.apart(usage) {
            self.tree.learn(&metric, &above, false);
        }
    }

    /// Finds out which of the metrics are below which of `above`: asks about all of them at once, then about halves.
    fn sift(&mut self, above: &[String], metrics: &[String]) {
        let unknown = |this: &Self, metric: &String, above: &String| {
            this.relation(metric, above) == Relation::Unknown
        };
        let above: Vec<String> = above
            .iter()
            .filter(|above| metrics.iter().any(|metric| unknown(self, metric, above)))
            .cloned()
            .collect();
        let metrics: Vec<String> = metrics
            .iter()
            .filter(|metric| above.iter().any(|above| unknown(self, metric, above)))
            .cloned()
            .collect();
        if above.is_empty() || self.left == 0 {
            return;
        }
        let shown = self.question(&above, &metrics);
        if !self.is_open(&above, &metrics) {
            return;
        }
        let halves = |all: &[String]| {
            let (first, second) = all.split_at(all.len() / 2);
            [first.to_vec(), second.to_vec()]
        };
        match (above.as_slice(), metrics.as_slice()) {
            ([above], [metric]) => match shown {
                Shown::Refused if !self.is_explained(above, metric) => {
                    if !self.may_be_reversed(above, metric) {
                        self.tree.learn(metric, above, true);
                    }
                }
                Shown::Blocked | Shown::Useless | Shown::Refused | Shown::Allowed => {
                    self.longest_limit(above, metric);
                }
                Shown::Stale => {}
            },
            ([_], _) => {
                for half in halves(&metrics) {
                    self.sift(&above, &half);
                }
            }
            _ => {
                for half in halves(&above) {
                    self.sift(&half, &metrics);
                }
            }
        }
    }

    /// Whether `above` may be below the metric: that explains the refusal of the question about these two as well, if the
    /// metric has a limit. Asks about it.
    fn may_be_reversed(&mut self, above: &str, metric: &str) -> bool {
        let (metric, above) = (metric.to_owned(), above.to_owned());
        let unknown = |this: &Self| this.relation(&above, &metric) == Relation::Unknown;
        if !unknown(self) {
            return false;
        }
        let usage = self.usage(slice::from_ref(&above), slice::from_ref(&metric));
        let sum: u64 = usage
            .iter()
            .flatten()
            .fold(0, |sum: u64, (_, amount)| sum.saturating_add(*amount));
        if room(&self.status, &metric).is_none_or(|room| sum <= room) {
            return false;
        }
        self.question(slice::from_ref(&metric), slice::from_ref(&above));
        if unknown(self) {
            self.longest_limit(&metric, &above);
        }
        self.relation(&above, &metric) != Relation::No
    }

    /// Whether another relation that is not known yet may explain the refusal of the question about these two.
    fn is_explained(&self, above: &str, metric: &str) -> bool {
        let pair = [above.to_owned()];
        let Some(usage) = self.usage(&pair, &[metric.to_owned()]) else {
            return true;
        };
        let sums = self.sums(&usage, |name, limited| {
            (name, limited) != (metric, above) && self.may_count(name, limited)
        });
        self.exceeds(&sums)
    }

    /// A smaller limit of a common ancestor prevents that the limits of `above` are used up. A usage that is larger than
    /// both is refused, and the headers are about the one with the longer period.
    fn longest_limit(&mut self, above: &str, metric: &str) {
        let limits = self.status.limits.iter();
        let own = limits.filter(|limit| limit.metric == above);
        let Some(wanted) = own.max_by_key(|limit| limit.period).cloned() else {
            return;
        };
        let amount = left(&wanted).saturating_add(1);
        let hidden = self.status.limits.iter().any(|limit| {
            limit.period >= wanted.period
                && left(limit) < amount
                && self.relation(metric, &limit.metric) == Relation::Yes
        });
        if hidden {
            return;
        }
        let usage = [(metric.to_owned(), amount)];
        let Some(headers) = self.send(&usage) else {
            return;
        };
        if self.status.authorized {
            self.learn_from_allowed(&usage);
            return;
        }
        let mut limits = self.status.limits.iter();
        let now = limits.find(|limit| limit.metric == above && limit.period == wanted.period);
        let Some((max, reset_s)) = headers.max.zip(headers.reset_s) else {
            return;
        };
        if now.is_none_or(|now| left(now) >= amount) {
            return;
        }
        let limits = self.status.limits.iter();
        let told: Vec<&Limit> = limits
            .filter(|limit| i64::try_from(limit.max) == Ok(max))
            .collect();
        let (longer, shorter): (Vec<&Limit>, Vec<&Limit>) = told
            .into_iter()
            .partition(|limit| limit.period >= wanted.period);
        let off = |limit: &Limit| self.reset_s(limit).abs_diff(reset_s);
        let is_shorter = match longer.is_empty() {
            true => !shorter.is_empty(),
            false => {
                shorter
                    .iter()
                    .any(|limit| off(limit) <= CLOCK_SKEW.unsigned_abs())
                    && longer.iter().all(|limit| off(limit) > 60)
            }
        };
        if is_shorter {
            self.tree.learn(metric, above, false);
        } else if shorter.is_empty()
            && !longer.is_empty()
            && longer.iter().all(|limit| limit.metric == above)
        {
            self.tree.learn(metric, above, true);
        }
    }

    /// The header with the time until the limit's period ends, as 3scale sends it now; -1 for eternity.
    fn reset_s(&self, limit: &Limit) -> i64 {
        if limit.period == Period::Eternity {
            return -1;
        }
        let windows = Windows::at(self.now_s);
        windows.end_s[limit.period.index()].saturating_sub(self.now_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service with a plan, as far as `authorize` looks at it.
    struct Service {
        parents: Vec<(&'static str, &'static str)>,
        limits: Vec<Limit>,
        asked: usize,
    }

    /// 50 seconds before the end of a minute, and long before the end of an hour and a day.
    const NOW_S: i64 = 1_795_331_650;

    fn limit(metric: &str, period: Period, max: u64, current: u64) -> Limit {
        Limit {
            metric: metric.to_owned(),
            period,
            start_s: Windows::at(NOW_S).start_s[period.index()],
            max,
            current,
        }
    }

    impl Service {
        fn of(parents: &[(&'static str, &'static str)], limits: &[Limit]) -> Self {
            Self {
                parents: parents.to_vec(),
                limits: limits.to_vec(),
                asked: 0,
            }
        }

        fn is_below(&self, metric: &str, above: &str) -> bool {
            let parent = self.parents.iter().find(|(child, _)| *child == metric);
            metric == above || parent.is_some_and(|(_, parent)| self.is_below(parent, above))
        }

        fn status(&self) -> Status {
            let children = |limit: &Limit| {
                let of = self.parents.iter();
                let of = of.filter(|(_, parent)| *parent == limit.metric);
                let children = of.map(|(child, _)| (*child).to_owned()).collect();
                (limit.metric.clone(), children)
            };
            Status {
                authorized: true,
                limits: self.limits.clone(),
                hierarchy: self.limits.iter().map(children).collect(),
                ..Status::default()
            }
        }

        fn authorize(&mut self, usage: &Amounts) -> (Status, Headers) {
            self.asked += 1;
            let amount = |limit: &Limit| {
                let below = usage.iter();
                let below = below.filter(|(metric, _)| self.is_below(metric, &limit.metric));
                below.map(|(_, amount)| amount).sum::<u64>()
            };
            let applying = self.limits.iter().filter(|limit| amount(limit) > 0);
            let told = applying.clone().min_by_key(|limit| {
                let remaining = left(limit) / amount(limit);
                (remaining, std::cmp::Reverse(limit.period))
            });
            let mut status = self.status();
            status.authorized = applying
                .clone()
                .all(|limit| limit.current + amount(limit) <= limit.max);
            let headers = told.map_or(Headers::default(), |limit| Headers {
                remaining: i64::try_from(left(limit) / amount(limit)).ok(),
                reset_s: Some(match limit.period {
                    Period::Eternity => -1,
                    period => Windows::at(NOW_S).end_s[period.index()] - NOW_S,
                }),
                max: i64::try_from(limit.max).ok(),
            });
            (status, headers)
        }

        /// The metrics with limits that each metric counts toward, as found out.
        fn found(&mut self, tree: &mut Tree, metrics: &[&str]) -> Vec<String> {
            let metrics: Vec<String> = metrics.iter().map(|name| (*name).to_owned()).collect();
            let status = self.status();
            tree.explore(&status, &metrics, NOW_S, &mut |usage| {
                Some(self.authorize(usage))
            });
            let terms = tree.terms(&status, &metrics);
            let of = terms.metrics.iter().map(|(metric, limits)| {
                let mut names: Vec<&str> = limits
                    .iter()
                    .map(|index| status.limits[*index].metric.as_str())
                    .collect();
                names.sort_unstable();
                names.dedup();
                format!("{metric}: {}", names.join(" "))
            });
            of.collect()
        }
    }

    const BACKEND: [(&str, &str); 4] = [
        ("hits.12", "hits"),
        ("a.12", "hits.12"),
        ("b.12", "hits.12"),
        ("checkout", "hits"),
    ];

    #[test]
    fn shown_ancestors_need_no_question() {
        let parents = [("orders", "hits"), ("lines", "orders")];
        let day = |metric, max| limit(metric, Period::Day, max, 0);
        let mut service = Service::of(&parents, &[day("hits", 9), day("orders", 3)]);
        let found = service.found(&mut Tree::default(), &["hits", "orders", "lines"]);
        assert_eq!(
            found,
            ["hits: hits", "orders: hits orders", "lines: hits orders"]
        );
        assert_eq!(service.asked, 0);
        let mut service = Service::of(&parents, &[]);
        assert_eq!(service.found(&mut Tree::default(), &["lines"]), ["lines: "]);
        assert_eq!(service.asked, 0);
    }

    #[test]
    fn independent_metrics_need_one() {
        let limits = [
            limit("hits", Period::Day, 3, 1),
            limit("bytes", Period::Hour, 0, 0),
            limit("cpu", Period::Minute, 7, 2),
        ];
        let mut service = Service::of(&[], &limits);
        let metrics = [
            "hits", "cpu", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8",
        ];
        let mut tree = Tree::default();
        let found = service.found(&mut tree, &metrics);
        assert_eq!(found[0], "hits: hits");
        assert_eq!(found[1], "cpu: cpu");
        assert!(
            found[2..].iter().all(|found| found.ends_with(": ")),
            "{found:?}"
        );
        // `bytes` cannot be used at all: a question of its own shows that no limit of a longer period applies.
        assert_eq!(service.asked, 2);
        // It is about the service, so other plans and applications need none.
        service.limits[0].current = 0;
        service.found(&mut tree, &metrics);
        assert_eq!(service.asked, 2);
    }

    #[test]
    fn methods_of_an_attached_backend_count_toward_its_ancestors_only() {
        let all = ["hits", "checkout", "hits.12", "a.12", "b.12", "t0"];
        let day = |metric, max| limit(metric, Period::Day, max, 0);
        let minute = |metric, max| limit(metric, Period::Minute, max, 0);
        for limits in [
            vec![day("hits", 1000), limit("b.12", Period::Eternity, 0, 0)],
            vec![day("hits", 1000), day("b.12", 2)],
            vec![day("hits", 3), day("b.12", 2)],
            // The limit of hits is smaller, so that of b.12 cannot be used up.
            vec![minute("hits", 5), day("b.12", 100)],
            vec![minute("hits", 5), day("b.12", 5)],
            vec![
                minute("hits", 5),
                limit("hits", Period::Year, 9000, 0),
                day("b.12", 100),
            ],
            vec![minute("b.12", 2), minute("hits", 5), day("checkout", 2)],
        ] {
            let mut service = Service::of(&BACKEND, &limits);
            let found = service.found(&mut Tree::default(), &all);
            let checkout = limits.iter().any(|limit| limit.metric == "checkout");
            let wanted = [
                "hits: hits",
                if checkout {
                    "checkout: checkout hits"
                } else {
                    "checkout: hits"
                },
                "hits.12: hits",
                "a.12: hits",
                "b.12: b.12 hits",
                "t0: ",
            ];
            assert_eq!(found, wanted, "{limits:?}");
            assert!(service.asked < 20, "{}", service.asked);
        }
    }

    #[test]
    fn a_hidden_ancestor_of_any_name_is_found() {
        let parents = [("b", "a"), ("c", "b"), ("d", "c")];
        let day = |metric, max| limit(metric, Period::Day, max, 0);
        let mut service = Service::of(&parents, &[day("a", 1), day("c", 1)]);
        let found = service.found(&mut Tree::default(), &["a", "c", "d"]);
        assert_eq!(found[1..], ["c: a c", "d: a c"]);
        let mut service = Service::of(&parents, &[day("a", 9), day("c", 3)]);
        let found = service.found(&mut Tree::default(), &["a", "b", "c", "d"]);
        assert_eq!(found, ["a: a", "b: a", "c: a c", "d: a c"]);
    }

    /// Both directions explain a refusal of the first question. The limit of the longer period shows which one it is.
    #[test]
    fn hits_below_another_metric_is_not_taken_for_the_opposite() {
        let parents = [("b", "a"), ("hits", "b")];
        let limits = [
            limit("hits", Period::Minute, 5, 1),
            limit("a", Period::Hour, 8, 4),
        ];
        let mut service = Service::of(&parents, &limits);
        let found = service.found(&mut Tree::default(), &["hits", "a", "b"]);
        assert_eq!(found, ["hits: a hits", "a: a", "b: a"]);
    }

    #[test]
    fn without_an_answer_every_limit_may_apply() {
        let limits = [
            limit("hits", Period::Day, 3, 0),
            limit("bytes", Period::Day, 3, 0),
        ];
        let service = Service::of(&[], &limits);
        let mut tree = Tree::default();
        let metrics = ["hits", "bytes", "t0"].map(str::to_owned);
        let mut asked = 0;
        tree.explore(&service.status(), &metrics, NOW_S, &mut |_| {
            asked += 1;
            None
        });
        assert_eq!(asked, 1);
        let terms = tree.terms(&service.status(), &metrics);
        let counts: Vec<&[usize]> = terms.metrics.iter().map(|(_, on)| on.as_slice()).collect();
        // In the portal, nothing is above `hits`.
        assert_eq!(counts, [&[0][..], &[1, 0], &[0, 1]]);
    }

    #[test]
    fn usage_that_is_counted_meanwhile_shows_nothing() {
        let limits = [limit("hits", Period::Day, 3, 0)];
        let mut service = Service::of(&[], &limits);
        let mut tree = Tree::default();
        let metrics = ["t0".to_owned()];
        let status = service.status();
        // 3scale's counter was 0 when the limits were read, and is 2 when the question arrives.
        service.limits[0].current = 2;
        tree.explore(&status, &metrics, NOW_S, &mut |usage| {
            Some(service.authorize(usage))
        });
        assert_eq!(tree.terms(&status, &metrics).metrics[0].1, [0]);
        // Next time.
        let status = service.status();
        tree.explore(&status, &metrics, NOW_S, &mut |usage| {
            Some(service.authorize(usage))
        });
        assert!(tree.terms(&status, &metrics).metrics[0].1.is_empty());
    }

    #[test]
    fn many_hidden_metrics_are_found_out_bit_by_bit() {
        let names: Vec<String> = (0..100).map(|n| format!("m{n}.12")).collect();
        let mut parents = vec![("hits.12", "hits")];
        for name in &names {
            parents.push((Box::leak(name.clone().into_boxed_str()), "hits.12"));
        }
        let limits = [limit("hits", Period::Day, 1000, 0)];
        let mut service = Service::of(&parents, &limits);
        let mut tree = Tree::default();
        let all: Vec<&str> = names.iter().map(String::as_str).chain(["t0"]).collect();
        for _ in 0..5 {
            let before = service.asked;
            service.found(&mut tree, &all);
            assert!(service.asked - before <= MAX_QUESTIONS);
        }
        let before = service.asked;
        let found = service.found(&mut tree, &all);
        assert_eq!(service.asked, before);
        assert_eq!(
            (found[0].as_str(), found[100].as_str()),
            ("m0.12: hits", "t0: ")
        );
    }
}

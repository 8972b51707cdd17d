//! The usage of an application compared with its limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Amount, Limit, descendants, line, with_ancestors};
use crate::periods::format;

/// An application's limits with their counters, and the usage that a request adds.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    /// In the order of the response, each with its stored counter.
    limits: Vec<(&'a Limit, u64)>,
    parents: &'a BTreeMap<String, String>,
    /// The usage as it was sent.
    sent: Vec<(String, Amount)>,
    /// The metrics of the usage and their ancestors.
    lines: BTreeSet<String>,
    /// Whether the request reports the usage that it is allowed.
    count: bool,
    now: i64,
    pub(crate) exceeded: bool,
}

impl<'a> Standing<'a> {
    /// With `flat`, the caller has added the usage of methods to their parents. Only the decision depends on it: headers
    /// and counters in the response are those of a request without it.
    pub(crate) fn of(
        limits: Vec<(&'a Limit, u64)>,
        parents: &'a BTreeMap<String, String>,
        usage: &[(String, Amount)],
        flat: bool,
        count: bool,
        now: i64,
    ) -> Self {
        let asked = match flat {
            true => usage.to_vec(),
            false => with_ancestors(parents, usage),
        };
        let exceeded = limits.iter().any(|(limit, counter)| {
            match asked.iter().find(|(metric, _)| *metric == limit.metric) {
                Some((_, amount)) => added(*counter, Some(amount)) > limit.max,
                None => usage.is_empty() && *counter > limit.max,
            }
        });
        let lines = usage.iter().flat_map(|(metric, _)| line(parents, metric));
        Self {
            limits,
            parents,
            sent: usage.to_vec(),
            lines: lines.collect(),
            count,
            now,
            exceeded,
        }
    }

    /// A number after the usage of a metric and all its descendants is added to it.
    fn with_usage(&self, metric: &str, number: u64) -> u64 {
        let sent = |metric: &str| {
            let found = self.sent.iter().find(|(name, _)| name == metric);
            found.map(|(_, amount)| amount)
        };
        let below = descendants(self.parents, metric);
        below
            .iter()
            .fold(added(number, sent(metric)), |number, metric| {
                added(number, sent(metric))
            })
    }

    /// The counter that a response shows. It includes the usage of this request if that usage is counted.
    fn current(&self, limit: &Limit, counter: u64) -> u64 {
        match self.count && !self.exceeded {
            true => self.with_usage(&limit.metric, counter),
            false => counter,
        }
    }

    /// How many more requests like this one the limit allows; -1 if it does not limit them.
    fn remaining(&self, limit: &Limit, counter: u64) -> i64 {
        let left = limit.max.saturating_sub(self.current(limit, counter));
        match (left, self.with_usage(&limit.metric, 0)) {
            (0, _) => 0,
            (_, 0) => -1,
            (left, amount) => i64::try_from(left / amount).unwrap_or(i64::MAX),
        }
    }

    /// The limit headers. They describe the limit of the metrics and their ancestors with the fewest remaining requests
    /// like this one. As in 3scale, a limit that does not limit the request replaces the limits before it and is replaced
    /// by those after it, so the result depends on their order.
    pub(crate) fn headers(&self, now_ms: i64) -> Vec<(&'static str, String)> {
        let concerned = |limit: &Limit| self.lines.is_empty() || self.lines.contains(&limit.metric);
        let mut best: Option<(i64, &Limit)> = None;
        for (limit, counter) in self.limits.iter().filter(|(limit, _)| concerned(limit)) {
            let new = self.remaining(limit, *counter);
            let better = best.is_none_or(|(known, best)| match new == known {
                true => limit.period > best.period,
                false => known == -1 || new < known,
            });
            if better {
                best = Some((new, limit));
            }
        }
        let Some((left, limit)) = best.filter(|(left, _)| *left != -1) else {
            return vec![
                ("3scale-limit-remaining", "-1".to_owned()),
                ("3scale-limit-reset", "-1".to_owned()),
            ];
        };
        let reset = limit.period.window(self.now).1.map_or(-1, |end| {
            let ms = end.saturating_mul(1000).saturating_sub(now_ms);
            ms.saturating_add(999).div_euclid(1000)
        });
        vec![
            ("3scale-limit-remaining", left.to_string()),
            ("3scale-limit-reset", reset.to_string()),
            ("3scale-limit-max-value", limit.max.to_string()),
        ]
    }

    /// The element `usage_reports`, or an empty string if there are no limits.
    pub(crate) fn reports(&self) -> String {
        self.element(|limit, counter| self.current(limit, counter))
    }

    /// The same with the counters as stored.
    pub(crate) fn stored(&self) -> String {
        self.element(|_, counter| counter)
    }

    fn element(&self, current: impl Fn(&Limit, u64) -> u64) -> String {
        if self.limits.is_empty() {
            return String::new();
        }
        let mut text = "<usage_reports>".to_owned();
        for (limit, counter) in &self.limits {
            let exceeded = match *counter > limit.max {
                true => " exceeded=\"true\"",
                false => "",
            };
            text.push_str(&format!(
                "<usage_report metric=\"{}\" period=\"{}\"{exceeded}>",
                limit.metric,
                limit.period.word()
            ));
            if let (start, Some(end)) = limit.period.window(self.now) {
                text.push_str(&format!(
                    "<period_start>{}</period_start><period_end>{}</period_end>",
                    format(start),
                    format(end)
                ));
            }
            text.push_str(&format!(
                "<max_value>{}</max_value><current_value>{}</current_value></usage_report>",
                limit.max,
                current(limit, *counter)
            ));
        }
        text.push_str("</usage_reports>");
        text
    }
}

/// The value of a counter after this usage.
fn added(counter: u64, amount: Option<&Amount>) -> u64 {
    match amount {
        None => counter,
        Some(Amount::Add(number)) => counter.saturating_add(*number),
        Some(Amount::Set(number)) => *number,
    }
}

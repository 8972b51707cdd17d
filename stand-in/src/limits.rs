//! The usage of an application compared with its limits.

use std::collections::HashMap;

use crate::model::{Amount, Limit};
use crate::periods::format;

/// An application's limits with their counters, and the usage that a request adds.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    /// In the order of the response, each with its stored counter.
    limits: Vec<(&'a Limit, u64)>,
    /// The usage that the request asks for, by metric. The usage of methods is added to their parents unless the caller
    /// has done so.
    asked: HashMap<String, Amount>,
    /// The added usage as a response shows it.
    shown: HashMap<String, Amount>,
    without_usage: bool,
    /// Whether the request reports the usage that it is allowed.
    count: bool,
    now: i64,
    pub(crate) exceeded: bool,
}

impl<'a> Standing<'a> {
    pub(crate) fn of(
        limits: Vec<(&'a Limit, u64)>,
        asked: HashMap<String, Amount>,
        shown: HashMap<String, Amount>,
        without_usage: bool,
        count: bool,
        now: i64,
    ) -> Self {
        let mut standing = Self {
            limits,
            asked,
            shown,
            without_usage,
            count,
            now,
            exceeded: false,
        };
        let exceeded = standing.applying().any(|(limit, counter)| {
            let after = added(counter, standing.asked.get(&limit.metric));
            after > limit.max
        });
        standing.exceeded = exceeded;
        standing
    }

    /// The limits that apply to the request: those of its metrics and their ancestors, or all limits if it has no
    /// usage.
    fn applying(&self) -> impl Iterator<Item = (&'a Limit, u64)> {
        let applies = |limit: &Limit| self.without_usage || self.asked.contains_key(&limit.metric);
        self.limits
            .iter()
            .copied()
            .filter(move |(limit, _)| applies(limit))
    }

    /// The counter that a response shows. It includes the usage of this request if that usage is counted.
    fn current(&self, limit: &Limit, counter: u64) -> u64 {
        match self.count && !self.exceeded {
            true => added(counter, self.shown.get(&limit.metric)),
            false => counter,
        }
    }

    /// The limit headers. They describe the limit with the fewest remaining requests like this one.
    pub(crate) fn headers(&self, now_ms: i64) -> Vec<(&'static str, String)> {
        let remaining = |limit: &Limit, counter: u64| -> Option<u64> {
            let current = self.current(limit, counter);
            let left = limit.max.saturating_sub(current);
            match self.asked.get(&limit.metric).map_or(0, |a| a.number()) {
                0 => (left == 0).then_some(0),
                amount => Some(left / amount),
            }
        };
        let best = self
            .applying()
            .filter_map(|(limit, counter)| Some((remaining(limit, counter)?, limit)))
            .min_by_key(|(left, limit)| (*left, std::cmp::Reverse(limit.period)));
        let Some((left, limit)) = best else {
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

//! What a report contains: which counters, with which minutes, and how a report that is too large or refused is split.

use std::collections::BTreeMap;

use crate::backend::{MAX_TRANSACTIONS, metric_size, transaction_size};
use crate::batch::Counter;
use crate::keys::Name;

/// How far in the future a counter's minute may be. 3scale silently drops a whole report with a minute that is more than an
/// hour in the future.
const AHEAD_S: i64 = 60;
/// The number of fields in a batch. Each becomes at most three parameters; 3scale accepts 4096, and 1000 transactions.
pub(crate) const MAX_FIELDS: usize = 1000;

/// A transaction to be reported.
pub(crate) struct Piece<'a> {
    pub(crate) application: &'a str,
    pub(crate) name: &'a Name,
    pub(crate) minute_s: i64,
    pub(crate) counters: Vec<&'a Counter>,
}

impl<'a> Piece<'a> {
    /// The same transaction with these counters.
    fn with(&self, counters: Vec<&'a Counter>) -> Self {
        Self {
            application: self.application,
            name: self.name,
            minute_s: self.minute_s,
            counters,
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.counters.iter().map(|counter| counter.amount).sum()
    }
}

/// Whether a counter's minute is so far in the future that the clock that it was counted by is wrong.
pub(crate) fn is_ahead(minute_s: i64, now_s: i64) -> bool {
    minute_s > now_s.saturating_add(AHEAD_S)
}

/// The minute with which a counter is reported: its own, or the present one if that is in the future.
pub(crate) fn sent_minute(minute_s: i64, now_s: i64) -> i64 {
    if is_ahead(minute_s, now_s) {
        now_s - now_s.rem_euclid(60)
    } else {
        minute_s
    }
}

/// Splits transactions into reports that 3scale accepts: few enough counters, and small enough.
pub(crate) fn parts<'a>(pieces: impl IntoIterator<Item = Piece<'a>>) -> Vec<Vec<Piece<'a>>> {
    let mut parts: Vec<Vec<Piece<'a>>> = Vec::new();
    let (mut fields, mut size) = (MAX_FIELDS, 0);
    for piece in pieces {
        let head = transaction_size(piece.name);
        let mut begun = false;
        for counter in &piece.counters {
            let length = metric_size(&counter.metric);
            let more = length + if begun { 0 } else { head };
            if fields >= MAX_FIELDS || size + more > MAX_TRANSACTIONS {
                parts.push(Vec::new());
                (fields, size, begun) = (0, 0, false);
            }
            size += length + if begun { 0 } else { head };
            fields += 1;
            let Some(part) = parts.last_mut() else {
                continue;
            };
            match part.last_mut() {
                Some(last) if begun => last.counters.push(counter),
                _ => part.push(piece.with(vec![*counter])),
            }
            begun = true;
        }
    }
    parts
}

/// Splits a report into two; `None` if it has only one counter.
pub(crate) fn halves<'a>(pieces: &[Piece<'a>]) -> Option<(Vec<Piece<'a>>, Vec<Piece<'a>>)> {
    match pieces {
        [] => None,
        [piece] => {
            let (first, second) = piece.counters.split_at(piece.counters.len() / 2);
            let half = |counters: &[&'a Counter]| vec![piece.with(counters.to_vec())];
            (!first.is_empty()).then(|| (half(first), half(second)))
        }
        _ => {
            let (first, second) = pieces.split_at(pieces.len() / 2);
            let half = |pieces: &[Piece<'a>]| {
                pieces
                    .iter()
                    .map(|piece| piece.with(piece.counters.clone()))
                    .collect()
            };
            Some((half(first), half(second)))
        }
    }
}

pub(crate) fn by_minute(counters: &[Counter]) -> BTreeMap<i64, Vec<&Counter>> {
    let mut minutes: BTreeMap<i64, Vec<&Counter>> = BTreeMap::new();
    for counter in counters {
        minutes.entry(counter.minute_s).or_default().push(counter);
    }
    minutes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(metrics: impl Iterator<Item = String>) -> Vec<Counter> {
        metrics
            .map(|metric| Counter {
                minute_s: 60,
                field: format!("60\x1f{metric}"),
                metric,
                amount: 1,
            })
            .collect()
    }

    fn name() -> Name {
        Name {
            app_id: Some("app".to_owned()),
            user_key: None,
        }
    }

    fn piece<'a>(name: &'a Name, counters: &'a [Counter]) -> Piece<'a> {
        Piece {
            application: "a",
            name,
            minute_s: 60,
            counters: counters.iter().collect(),
        }
    }

    #[test]
    fn reports_are_small() {
        let name = name();
        let long = counters((0..900).map(|n| format!("{n:0200}")));
        let few = counters((0..3).map(|n| n.to_string()));
        let parts = parts([piece(&name, &few), piece(&name, &long), piece(&name, &few)]);
        let mut all = Vec::new();
        for part in &parts {
            let size: usize = part
                .iter()
                .map(|piece| {
                    let metrics = piece.counters.iter().map(|c| metric_size(&c.metric));
                    transaction_size(piece.name) + metrics.sum::<usize>()
                })
                .sum();
            assert!(size <= MAX_TRANSACTIONS, "{size}");
            let counters = part.iter().flat_map(|piece| &piece.counters);
            all.extend(counters.map(|counter| counter.metric.clone()));
        }
        assert!(parts.len() > 2);
        let sent = few
            .iter()
            .chain(&long)
            .chain(&few)
            .map(|c| c.metric.clone());
        assert!(all.into_iter().eq(sent));
    }

    #[test]
    fn a_minute_in_the_future_is_the_present_one() {
        assert_eq!(sent_minute(0, 6_000), 0);
        assert_eq!(sent_minute(6_000, 6_010), 6_000);
        assert_eq!(sent_minute(6_060, 6_000), 6_060, "clocks differ a little");
        assert_eq!(sent_minute(6_120, 6_010), 6_000);
        assert_eq!(sent_minute(i64::MAX, 6_010), 6_000);
    }

    #[test]
    fn a_report_is_halved_down_to_one_counter() {
        let name = name();
        let three = counters((0..3).map(|n| n.to_string()));
        let metrics = |pieces: &[Piece<'_>]| {
            let counters = pieces.iter().flat_map(|piece| &piece.counters);
            counters.map(|c| c.metric.clone()).collect::<String>()
        };
        let (first, second) = halves(&[piece(&name, &three)]).expect("halves");
        assert_eq!(
            (metrics(&first), metrics(&second)),
            ("0".into(), "12".into())
        );
        assert!(halves(&first).is_none());
        let two = [piece(&name, &three), piece(&name, &three)];
        let (first, second) = halves(&two).expect("halves");
        assert_eq!(metrics(&first), metrics(&second));
    }
}

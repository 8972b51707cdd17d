//! The counters of a batch, as a script reads them from Redis.

use crate::keys::{Keys, Name};
use crate::redis::Value;

/// How old 3scale's last confirmation of an application may be. Its own caches are up to 60 s old.
const PROOF_FOR_MS: i64 = 75_000;

/// A counter of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) minute_s: i64,
    pub(crate) metric: String,
    pub(crate) amount: u64,
    pub(crate) field: String,
}

/// An application of a batch.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) application: String,
    pub(crate) name: Option<Name>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) known_at_ms: i64,
    pub(crate) known: Vec<String>,
}

impl Row {
    /// The same application with these counters.
    pub(crate) fn with(&self, counters: Vec<Counter>) -> Self {
        Self {
            application: self.application.clone(),
            name: self.name.clone(),
            counters,
            known_at_ms: self.known_at_ms,
            known: self.known.clone(),
        }
    }

    /// Whether 3scale has confirmed the application and all these metrics recently enough.
    pub(crate) fn proven(&self, now_ms: i64) -> bool {
        let fresh = (0..PROOF_FOR_MS).contains(&(now_ms - self.known_at_ms));
        fresh
            && self
                .counters
                .iter()
                .all(|counter| self.known.contains(&counter.metric))
    }
}

/// A reply that is UTF-8 text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => String::from_utf8(text.clone()).ok(),
        _ => None,
    }
}

/// The applications of a batch, from the reply of `read.lua`. `None` if it is not such a reply.
pub(crate) fn rows(value: &Value, keys: &Keys) -> Option<Vec<Row>> {
    let Value::Array(values) = value else {
        return None;
    };
    values.iter().map(|value| row(value, keys)).collect()
}

fn row(value: &Value, keys: &Keys) -> Option<Row> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [
        application,
        Value::Array(fields),
        known_at_ms,
        Value::Array(known),
    ] = &parts[..]
    else {
        return None;
    };
    let application = text(application)?;
    let mut name = None;
    let mut counters = Vec::new();
    for pair in fields.chunks(2) {
        let [field, amount] = pair else {
            return None;
        };
        let (field, amount) = (text(field)?, text(amount)?);
        if field == "n" {
            name = keys.open(&application, &amount);
            continue;
        }
        let (minute, metric) = field.split_once('\x1f')?;
        counters.push(Counter {
            minute_s: minute.parse().ok()?,
            metric: metric.to_owned(),
            amount: amount.parse().ok()?,
            field: field.clone(),
        });
    }
    counters.sort_by(|a, b| (a.minute_s, &a.metric).cmp(&(b.minute_s, &b.metric)));
    Some(Row {
        application,
        name,
        counters,
        known_at_ms: text(known_at_ms)?.parse().ok()?,
        known: known.iter().filter_map(text).collect(),
    })
}

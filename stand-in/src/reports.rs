//! Reports: accepted based on their structure, then checked and counted by the worker as a whole or not at all.

use std::time::Instant;

use crate::amount::amount;
use crate::answers::{Failure, broken, xml};
use crate::cached::View;
use crate::http::Response;
use crate::model::{Amount, Counting, IntegrationError, Job, Transaction, Who, with_ancestors};
use crate::params::{Map, Param};
use crate::periods::timestamp;
use crate::state::State;

/// The process number of the worker, which has its own caches.
const WORKER: u64 = u64::MAX;
/// The maximum number of seconds that a transaction can be in the past, and (below) in the future, both inclusive.
const PAST: i64 = 86_400;
const FUTURE: i64 = 3_600;

/// Accepts the transactions of a report.
pub(crate) fn accept(state: &mut State, map: &Map, flat: bool, now_ms: i64) -> Response {
    if map.iter().any(|(_, value)| *value == Param::Nil) {
        let text = "transactions has a nil transaction";
        return Failure::new(400, "transactions_has_nil_transaction", text).response();
    }
    let of_user = |value: &Param| {
        let Param::Map(fields) = value else {
            return false;
        };
        !matches!(fields.get("user_id"), None | Some(Param::Nil))
    };
    if map.iter().any(|(_, value)| of_user(value)) {
        return Failure::end_users().response();
    }
    let mut transactions = Vec::new();
    for (_, value) in map.iter() {
        match value {
            Param::Map(fields) => match transaction(fields) {
                Some(transaction) => transactions.push(transaction),
                None => return broken(),
            },
            Param::Nil | Param::Text(_) | Param::List(_) => return broken(),
        }
    }
    state.largest_report = state.largest_report.max(transactions.len());
    let job = Job {
        transactions,
        flat,
        accepted: Instant::now(),
    };
    queue(state, job, now_ms);
    xml(202, Vec::new(), String::new())
}

/// Parses a transaction. `None` if its usage is not a hash, for which the listener fails.
fn transaction(fields: &Map) -> Option<Transaction> {
    let usage = match fields.get("usage") {
        None | Some(Param::Nil) => Vec::new(),
        Some(Param::Map(map)) => {
            let text = |value: &Param| match value {
                Param::Text(text) => Some(text.clone()),
                _ => None,
            };
            let metrics = map.iter();
            metrics
                .map(|(metric, value)| (metric.trim().to_owned(), text(value)))
                .collect()
        }
        Some(_) => return None,
    };
    let who = match (fields.text("app_id"), fields.text("user_key")) {
        (Some(_), Some(_)) => Who::Both,
        (Some(id), None) => Who::AppId(id.to_owned()),
        (None, Some(key)) => Who::UserKey(key.to_owned()),
        (None, None) => Who::Nobody,
    };
    Some(Transaction {
        who,
        timestamp: fields.any_text("timestamp").map(str::to_owned),
        usage,
    })
}

/// Queues a job without the usage values that are zero. If no usage remains, nothing is queued.
pub(crate) fn queue(state: &mut State, mut job: Job, now_ms: i64) {
    let zero = |value: &Option<String>| {
        let digits = value.as_deref().unwrap_or_default().trim();
        !digits.is_empty() && digits.bytes().all(|byte| byte == b'0')
    };
    for transaction in &mut job.transactions {
        transaction.usage.retain(|(_, value)| !zero(value));
    }
    job.transactions.retain(|known| !known.usage.is_empty());
    if job.transactions.is_empty() {
        return;
    }
    state.queue.push_back(job);
    if state.counting == Counting::Prompt {
        work(state, now_ms);
    }
}

/// Counts all queued jobs.
pub(crate) fn work(state: &mut State, now_ms: i64) {
    while let Some(job) = state.queue.pop_front() {
        count(state, job, now_ms);
    }
}

/// A transaction that can be counted.
struct Resolved {
    id: String,
    time: i64,
    usage: Vec<(String, Amount)>,
}

pub(crate) fn count(state: &mut State, job: Job, now_ms: i64) {
    let known = state.view(WORKER, now_ms);
    let mut view = View::new(state, known);
    let resolved: Result<Vec<_>, Failure> = job
        .transactions
        .iter()
        .map(|transaction| resolve(&mut view, transaction, now_ms.div_euclid(1000)))
        .collect();
    let parents = view.metrics();
    let known = view.into_process();
    state.keep(WORKER, known);
    let resolved = match resolved {
        Ok(resolved) => resolved,
        Err(failure) => {
            state.lost_batches.push(failure.code);
            state.keep_error(IntegrationError {
                code: failure.code,
                text: failure.text,
                time: now_ms.div_euclid(1000),
                request: None,
            });
            return;
        }
    };
    let mut failed = false;
    for transaction in resolved {
        let out_of_range = |(_, amount): &(String, Amount)| i64::try_from(amount.number()).is_err();
        if transaction.usage.iter().any(out_of_range) {
            failed = true;
            continue;
        }
        let Resolved { id, time, usage } = transaction;
        for (metric, amount) in &usage {
            let total = state
                .totals
                .entry((id.clone(), metric.clone()))
                .or_default();
            *total = match amount {
                Amount::Add(number) => total.saturating_add(*number),
                Amount::Set(number) => *number,
            };
        }
        let whole = match job.flat {
            true => usage,
            false => with_ancestors(&parents.parents, &usage),
        };
        for (metric, amount) in whole {
            state.add(&id, &metric, amount, time);
        }
    }
    if failed {
        state.failed.push(job);
    }
}

fn resolve(view: &mut View<'_>, transaction: &Transaction, now: i64) -> Result<Resolved, Failure> {
    let no_id = |text: String| Failure::new(404, "application_not_found", text);
    let id = match &transaction.who {
        Who::Both => {
            let text = "either app_id or user_key is allowed, not both";
            return Err(Failure::new(403, "authentication_error", text));
        }
        Who::Nobody => return Err(no_id("application id is missing".to_owned())),
        Who::UserKey(key) => view.id_of(key).ok_or_else(|| {
            let text = format!("user key \"{key}\" is invalid");
            Failure::new(403, "user_key_invalid", text)
        })?,
        Who::AppId(id) => id.clone(),
    };
    if view.application(&id).is_none() {
        return Err(no_id(format!("application with id=\"{id}\" was not found")));
    }
    let time = transaction.timestamp.as_deref().and_then(timestamp);
    let time = time.unwrap_or(now);
    if time < now.saturating_sub(PAST) {
        let text = "reporting transactions older than 86400 seconds is not allowed";
        return Err(Failure::new(400, "transaction_timestamp_too_old", text));
    }
    if time > now.saturating_add(FUTURE) {
        let text = "reporting transactions more than 3600 seconds in the future is not allowed";
        return Err(Failure::new(400, "transaction_timestamp_too_new", text));
    }
    let metrics = view.metrics();
    let mut usage = Vec::new();
    for (metric, value) in &transaction.usage {
        if !metrics.names.contains(metric) {
            let text = format!("metric \"{metric}\" is invalid");
            return Err(Failure::new(404, "metric_invalid", text));
        }
        usage.push((metric.clone(), amount(metric, value.as_deref())?));
    }
    Ok(Resolved { id, time, usage })
}

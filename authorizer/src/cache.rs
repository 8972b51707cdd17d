//! The shared cache: decisions and counters in Redis, through scripts that run there as one step.
//!
//! What the scripts do with which keys is in the README; they are in `scripts/`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::failure::{Cause, Failure};
use crate::periods::{Period, Windows};
use crate::redis::{Arguments, RedisError, Value};
use crate::redis::{RedisClient, Script};
use crate::terms::Terms;

/// What the cache says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has no good answer: 3scale must be asked.
    Miss,
    /// The same, and the credential was not seen for a day.
    Unknown,
    /// The same, and too many of those were refused in this second.
    Flood,
    /// It may pass, and is counted.
    Allowed(Grant),
    /// It would pass a limit.
    Limited(Limited),
    /// 3scale refused the credential.
    Denied {
        /// 3scale's code.
        code: String,
        /// For how long this holds, milliseconds; can be negative for an old answer.
        holds_ms: i64,
    },
}

/// What is kept of an application for whoever asks about it: its key in the cache, its sealed name, and its plan, with
/// the character 0x1f between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Application(pub String);

impl Application {
    /// Key, sealed name and plan.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &str) {
        let (key, rest) = self.0.split_once('\x1f').unwrap_or((&self.0, ""));
        let (name, plan) = rest.split_once('\x1f').unwrap_or((rest, ""));
        (key, name, plan)
    }
}

/// A request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose it is.
    pub application: Application,
    /// How many more such requests would pass; none without a limit.
    pub remaining: Option<u64>,
    /// Period of the limit that comes first.
    pub period: Option<Period>,
    /// Whether this request is the one that should renew the answer.
    pub renew: bool,
}

/// A request that would pass a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Whose it is.
    pub application: Application,
    /// Period of the limit.
    pub period: Option<Period>,
    /// The limit's metric.
    pub metric: String,
    /// If it is not certain: milliseconds until it is worth asking again.
    pub settles_ms: Option<u64>,
}

/// A request's question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Key of the credential, from [`crate::keys::Keys::credential`].
    pub credential: &'a str,
    /// Metrics and amounts.
    pub usage: &'a [(String, u64)],
    /// Unix milliseconds.
    pub now_ms: i64,
    /// Number of the request in this process; a number is counted once.
    pub sequence: u64,
    /// Answers from before this moment do not count, Unix milliseconds.
    pub not_before_ms: i64,
    /// Whether answers that are too old do, because 3scale gives no new one.
    pub old: bool,
}

/// What 3scale said about an application, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The application's key.
    pub application: &'a str,
    /// Its sealed name.
    pub name: &'a str,
    /// Plan name.
    pub plan: &'a str,
    /// Limits and metrics.
    pub terms: &'a Terms,
    /// When 3scale was asked, Unix milliseconds.
    pub asked_ms: i64,
    /// Whether the request is to be decided and counted too.
    pub count: bool,
}

/// The authorizer's cache.
#[derive(Debug)]
pub struct Cache {
    /// The connection.
    pub redis: RedisClient,
    pub(crate) prefix: String,
    process: String,
    keep_ms: i64,
    hit: Arc<Script>,
    store: Arc<Script>,
}

/// The prefix of all keys of a stack's service. The braces keep them together should the cache ever be a cluster.
#[must_use]
pub fn prefix(stack: &str, service: &str) -> String {
    format!("tg:{{{stack}:{service}}}:")
}

impl Cache {
    /// `process` must differ between any two processes; `keep` is how long answers are kept if longer than their age.
    #[must_use]
    pub fn new(
        redis: RedisClient,
        prefix: String,
        process: String,
        max_age: Duration,
        keep: Duration,
    ) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        // What never changes is part of the scripts: each argument costs Redis time. A prefix is made of letters,
        // digits and `-_.:{}` (the settings are checked for it), so it needs no escaping.
        let head = format!("local P, MAX_AGE = '{prefix}', {}\n", ms(max_age));
        let script = |text| {
            let common = include_str!("scripts/common.lua");
            Arc::new(Script::new(&[&head, common, text]))
        };
        Self {
            redis,
            process,
            keep_ms: ms(keep.max(max_age)).max(1),
            hit: script(include_str!("scripts/hit.lua")),
            store: script(include_str!("scripts/store.lua")),
            prefix,
        }
    }

    /// Decides and counts in one round trip.
    ///
    /// # Errors
    /// No answer; see [`RedisError`] for whether it may have been counted.
    pub fn decide(
        &mut self,
        question: &Question<'_>,
        deadline: Instant,
    ) -> Result<Decision, RedisError> {
        let script = Arc::clone(&self.hit);
        let value = self.run(&script, question, &|_| (), deadline)?;
        decision(&value).ok_or_else(nonsense)
    }

    /// Stores what 3scale said about the question's credential and, if asked for, decides and counts.
    ///
    /// # Errors
    /// As [`Cache::decide`].
    pub fn store(
        &mut self,
        question: &Question<'_>,
        stored: &Stored<'_>,
        deadline: Instant,
    ) -> Result<Option<Decision>, RedisError> {
        let keep_ms = self.keep_ms;
        let more = |arguments: &mut Arguments| {
            arguments
                .text(if stored.count { "1" } else { "0" })
                .number(stored.asked_ms)
                .number(keep_ms)
                .text("A")
                .text(stored.application)
                .text(stored.name)
                .text(stored.plan)
                .number(stored.terms.limits.len());
            for limit in &stored.terms.limits {
                arguments
                    .number(limit.period.index() + 1)
                    .number(limit.max)
                    .number(limit.current)
                    .number(limit.start)
                    .text(&limit.metric);
            }
            arguments.number(stored.terms.metrics.len());
            for (metric, limits) in &stored.terms.metrics {
                let numbers: String = limits
                    .iter()
                    .map(|limit| format!("{},", limit + 1))
                    .collect();
                arguments.text(metric).text(numbers);
            }
        };
        let script = Arc::clone(&self.store);
        let value = self.run(&script, question, &more, deadline)?;
        if !stored.count {
            return Ok(None);
        }
        decision(&value).map(Some).ok_or_else(nonsense)
    }

    /// Stores that 3scale refused the question's credential, until `till_ms`; with `keep`, for use beyond that.
    ///
    /// # Errors
    /// As [`Cache::decide`].
    pub fn store_denial(
        &mut self,
        question: &Question<'_>,
        code: &str,
        till_ms: i64,
        keep: bool,
        deadline: Instant,
    ) -> Result<(), RedisError> {
        let keep_ms = if keep { self.keep_ms } else { 0 };
        let more = |arguments: &mut Arguments| {
            arguments
                .text("0")
                .number(question.now_ms)
                .number(keep_ms)
                .text("D")
                .text(code)
                .number(till_ms);
        };
        let script = Arc::clone(&self.store);
        self.run(&script, question, &more, deadline).map(drop)
    }

    /// Runs one of the two scripts. When the connection ends before the answer, it is asked once more on a new one:
    /// the scripts know a repetition by its number and count it once.
    fn run(
        &mut self,
        script: &Script,
        question: &Question<'_>,
        more: &dyn Fn(&mut Arguments),
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let mut key = String::with_capacity(self.prefix.len() + 32);
        key.push_str(&self.prefix);
        key.push_str("c:");
        key.push_str(question.credential);
        for repeated in [false, true] {
            let mut arguments = Arguments::default();
            arguments
                .number(question.now_ms)
                .number(question.not_before_ms)
                .text(&self.process)
                .number(question.sequence)
                .text(match (repeated, question.old) {
                    (false, false) => "",
                    (false, true) => "o",
                    (true, false) => "r",
                    (true, true) => "ro",
                })
                .text(starts(question.now_ms))
                .number(question.usage.len());
            for (metric, amount) in question.usage {
                arguments.text(metric).number(*amount);
            }
            more(&mut arguments);
            match self.redis.script(script, &key, &arguments, deadline) {
                Err(RedisError::Unknown(_, true)) if !repeated => {}
                // Whatever this one says: the first may have been carried out.
                Err(RedisError::NotDone(why)) if repeated => {
                    return Err(RedisError::Unknown(why, false));
                }
                result => return result,
            }
        }
        Err(nonsense())
    }
}

/// The starts of the current windows as the scripts take them.
fn starts(now_ms: i64) -> String {
    let mut text = String::with_capacity(80);
    let mut buffer = itoa::Buffer::new();
    for start in Windows::at(now_ms.div_euclid(1000)).start {
        text.push_str(buffer.format(start));
        text.push(' ');
    }
    text
}

fn nonsense() -> RedisError {
    let failure = Failure::new(Cause::Failed, "an answer that is not understood");
    RedisError::Unknown(failure, false)
}

/// Reads a script's answer; anything unexpected is none.
fn decision(value: &Value) -> Option<Decision> {
    let Value::Array(values) = value else {
        return None;
    };
    let text = |at: usize| match values.get(at) {
        Some(Value::Text(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    };
    let number = |at: usize| match values.get(at) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let period = |at: usize| {
        let index = usize::try_from(number(at)?).ok()?.checked_sub(1)?;
        Period::ALL.get(index).copied()
    };
    let application = |at: usize| text(at).map(|text| Application(text.to_owned()));
    match text(0)? {
        "M" => Some(Decision::Miss),
        "U" => Some(Decision::Unknown),
        "F" => Some(Decision::Flood),
        "D" => Some(Decision::Denied {
            code: text(1)?.to_owned(),
            holds_ms: number(2)?,
        }),
        "A" => Some(Decision::Allowed(Grant {
            application: application(1)?,
            remaining: u64::try_from(number(2)?).ok(),
            period: period(3),
            renew: number(4)? == 1,
        })),
        "L" => Some(Decision::Limited(Limited {
            application: application(1)?,
            period: period(2),
            metric: text(3)?.to_owned(),
            settles_ms: u64::try_from(number(4)?).ok(),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unexpected_is_an_answer() {
        for value in [
            Value::Nil,
            Value::Int(1),
            Value::Text(b"A".to_vec()),
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Text(b"A".to_vec())]),
            Value::Array(vec![Value::Text(b"?".to_vec())]),
            Value::Array(vec![Value::Int(65)]),
        ] {
            assert_eq!(decision(&value), None, "{value:?}");
        }
    }
}

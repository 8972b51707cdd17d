//! The shared cache: decisions and counters in Redis, through scripts that run there as one step.
//!
//! What the scripts do with which keys is in the README; they are in `scripts/`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::digest;
use rustls::ClientConfig;

use crate::breaker::Breaker;
use crate::periods::{Period, Windows};
pub use crate::redis::Endpoint;
use crate::redis::{Connection, RedisError, Value, error_code};

/// One limit with what 3scale has counted, and the metrics that count on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The plan's limits.
    pub limits: Vec<crate::xml::Limit>,
    /// Each known metric with the positions of the limits it counts on.
    pub metrics: Vec<(String, Vec<usize>)>,
}

/// What the cache says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It does not know: 3scale must be asked.
    Miss,
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

/// A request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The application's key in the cache.
    pub application: String,
    /// Its sealed name.
    pub name: String,
    /// Plan name.
    pub plan: String,
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
    /// The application's key in the cache.
    pub application: String,
    /// Its sealed name.
    pub name: String,
    /// Plan name.
    pub plan: String,
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

/// A script with its name for Redis.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    text: String,
    sha: String,
}

impl Script {
    pub(crate) fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let sha = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { text, sha }
    }
}

/// A link to Redis that connects when needed, tells what failed, and stays away from what has just failed.
#[derive(Debug)]
pub struct Link {
    endpoint: Option<Endpoint>,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    breaker: Breaker,
}

impl Link {
    /// A link to nowhere, until [`Link::point_to`].
    #[must_use]
    pub fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            endpoint: None,
            tls,
            connection: None,
            breaker: Breaker::new(1, Duration::from_millis(250), Duration::from_secs(5)),
        }
    }

    /// Takes an address over; a change closes the connection.
    pub fn point_to(&mut self, endpoint: Option<Endpoint>) {
        if self.endpoint != endpoint {
            self.endpoint = endpoint;
            self.connection = None;
            self.breaker.success();
        }
    }

    /// The address, if there is one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Connects if there is no connection.
    ///
    /// # Errors
    /// There is no address, it was unreachable a moment ago, or it is now.
    pub fn connect(&mut self, deadline: Instant) -> Result<(), RedisError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let not_done = |why: &str| RedisError::NotDone(why.to_owned());
        let endpoint = self
            .endpoint
            .as_ref()
            .ok_or_else(|| not_done("no cache yet"))?;
        if !self.breaker.allows(Instant::now()) {
            return Err(not_done("unreachable a moment ago"));
        }
        match Connection::open(endpoint, self.tls.as_ref(), deadline) {
            Ok(connection) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                self.breaker.failure(Instant::now());
                Err(error)
            }
        }
    }

    /// One question. Error answers are errors; they mean that nothing was done.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub fn command(&mut self, arguments: &[&[u8]], deadline: Instant) -> Result<Value, RedisError> {
        self.connect(deadline)?;
        let Some(connection) = &mut self.connection else {
            return Err(RedisError::NotDone("no connection".to_owned()));
        };
        match connection.command(arguments, deadline) {
            Ok(Value::Error(error)) => {
                let code = error_code(&error);
                if code != "NOSCRIPT" {
                    // A replica, a server that is loading, or one that lost our login: a new connection may be to
                    // another server.
                    if matches!(code, "READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH") {
                        self.connection = None;
                    }
                    self.breaker.failure(Instant::now());
                }
                Err(RedisError::NotDone(code.to_owned()))
            }
            Ok(value) => {
                self.breaker.success();
                Ok(value)
            }
            Err(error) => {
                self.connection = None;
                // A connection that ended says nothing about the next one.
                if !matches!(error, RedisError::Unknown(_, true)) {
                    self.breaker.failure(Instant::now());
                }
                Err(error)
            }
        }
    }

    /// Runs a script by name, and with its text where Redis does not have it (any more).
    pub(crate) fn script(
        &mut self,
        script: &Script,
        key: &str,
        arguments: &[&[u8]],
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let mut all: Vec<&[u8]> = Vec::with_capacity(arguments.len() + 4);
        all.extend([&b"EVALSHA"[..], script.sha.as_bytes(), b"1", key.as_bytes()]);
        all.extend(arguments);
        match self.command(&all, deadline) {
            Err(RedisError::NotDone(code)) if code == "NOSCRIPT" => {
                all[0] = b"EVAL";
                all[1] = script.text.as_bytes();
                self.command(&all, deadline)
            }
            result => result,
        }
    }
}

/// The authorizer's cache.
#[derive(Debug)]
pub struct Cache {
    /// The connection.
    pub link: Link,
    prefix: String,
    process: String,
    max_age_ms: i64,
    keep_ms: i64,
    hit: Script,
    store: Script,
}

/// The prefix of all keys of a stack's service. The braces keep them together should the cache ever be a cluster.
#[must_use]
pub fn prefix(stack: &str, service: &str) -> String {
    format!("tg:{{{stack}:{service}}}:")
}

const COMMON: &str = include_str!("scripts/common.lua");

impl Cache {
    /// `process` must differ between any two processes; `keep` is how long answers are kept beyond their age.
    #[must_use]
    pub fn new(
        link: Link,
        prefix: String,
        process: String,
        max_age: Duration,
        keep: Duration,
    ) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            link,
            prefix,
            process,
            max_age_ms: ms(max_age),
            keep_ms: ms(keep.max(max_age)).max(1),
            hit: Script::new(&[COMMON, include_str!("scripts/hit.lua")]),
            store: Script::new(&[COMMON, include_str!("scripts/store.lua")]),
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
        let arguments = self.arguments(question);
        let value = self.run(false, question, arguments, deadline)?;
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
        let mut arguments = self.arguments(question);
        arguments.extend(
            [
                if stored.count { "1" } else { "0" },
                &stored.asked_ms.to_string(),
                &self.keep_ms.to_string(),
                "A",
                stored.application,
                stored.name,
                stored.plan,
                &stored.terms.limits.len().to_string(),
            ]
            .map(str::to_owned),
        );
        for limit in &stored.terms.limits {
            arguments.push((limit.period.index() + 1).to_string());
            arguments.push(limit.max.to_string());
            arguments.push(limit.current.to_string());
            arguments.push(limit.start.to_string());
            arguments.push(limit.metric.clone());
        }
        arguments.push(stored.terms.metrics.len().to_string());
        for (metric, limits) in &stored.terms.metrics {
            arguments.push(metric.clone());
            arguments.push(
                limits
                    .iter()
                    .map(|limit| format!("{},", limit + 1))
                    .collect(),
            );
        }
        let value = self.run(true, question, arguments, deadline)?;
        if !stored.count {
            return Ok(None);
        }
        decision(&value).map(Some).ok_or_else(nonsense)
    }

    /// Stores that 3scale refused the question's credential, until `till_ms`.
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
        let mut arguments = self.arguments(question);
        let keep_ms = if keep { self.keep_ms } else { 0 };
        arguments.extend([
            "0".to_owned(),
            question.now_ms.to_string(),
            keep_ms.to_string(),
            "D".to_owned(),
            code.to_owned(),
            till_ms.to_string(),
        ]);
        self.run(true, question, arguments, deadline).map(drop)
    }

    fn arguments(&self, question: &Question<'_>) -> Vec<String> {
        let mut arguments = Vec::with_capacity(20 + 2 * question.usage.len());
        arguments.push(self.prefix.clone());
        arguments.push(question.now_ms.to_string());
        arguments.push(self.max_age_ms.to_string());
        arguments.push(question.not_before_ms.to_string());
        arguments.push(self.process.clone());
        arguments.push(question.sequence.to_string());
        arguments.push("0".to_owned());
        arguments.push(if question.old { "1" } else { "0" }.to_owned());
        let windows = Windows::at(question.now_ms.div_euclid(1000));
        arguments.extend(windows.start.iter().map(ToString::to_string));
        arguments.push(question.usage.len().to_string());
        for (metric, amount) in question.usage {
            arguments.push(metric.clone());
            arguments.push(amount.to_string());
        }
        arguments
    }

    /// Runs one of the two scripts. When the connection ends before the answer, it is asked once more on a new one:
    /// the scripts know a repetition by its number and count it once.
    fn run(
        &mut self,
        store: bool,
        question: &Question<'_>,
        mut arguments: Vec<String>,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let script = if store { &self.store } else { &self.hit };
        let key = format!("{}c:{}", self.prefix, question.credential);
        for repeated in [false, true] {
            if repeated {
                arguments[6] = "1".to_owned();
            }
            let bytes: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
            match self.link.script(script, &key, &bytes, deadline) {
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

fn nonsense() -> RedisError {
    RedisError::Unknown("an answer that is not understood".to_owned(), false)
}

/// Reads a script's answer; anything unexpected is none.
fn decision(value: &Value) -> Option<Decision> {
    let Value::Array(values) = value else {
        return None;
    };
    let text = |at: usize| match values.get(at) {
        Some(Value::Text(text)) => std::str::from_utf8(text).ok().map(str::to_owned),
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
    match text(0)?.as_str() {
        "M" => Some(Decision::Miss),
        "D" => Some(Decision::Denied {
            code: text(1)?,
            holds_ms: number(2)?,
        }),
        "A" => Some(Decision::Allowed(Grant {
            application: text(1)?,
            name: text(2)?,
            plan: text(3)?,
            remaining: u64::try_from(number(4)?).ok(),
            period: period(5),
            renew: number(6)? == 1,
        })),
        "L" => Some(Decision::Limited(Limited {
            application: text(1)?,
            name: text(2)?,
            plan: text(3)?,
            period: period(4),
            metric: text(5)?,
            settles_ms: u64::try_from(number(6)?).ok(),
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

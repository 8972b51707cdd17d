//! The shared cache: decisions and counters in Redis. Each operation is one script, which Redis runs as one step.
//!
//! The README describes the keys; the scripts are in `scripts/`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::batch::text;
use crate::failure::{Cause, Failure};
use crate::keys::Keys;
use crate::periods::Period;
use crate::redis::{Arguments, RedisClient, RedisError, Script, Value};
use crate::scripts::{
    AuthorizerScripts, BatchKeys, Lists, RECORD_TTL, REFERRER_RECORD_TTL, RefusalKeys, RequestArgs,
    RequestKeys, ScriptArgs, ScriptKeys, StoreArgs, StoreDenialArgs, UnknownKeys,
};
use crate::terms::Terms;

/// The cache's result for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// There is no usable answer: 3scale must be called.
    Miss,
    /// The same, and the credential was not accepted in the last 24 hours.
    Unknown,
    /// The same, and 3scale has refused too many such credentials in this second.
    Flood,
    /// The request is allowed and counted.
    Allowed(Grant),
    /// The request would exceed a limit.
    Limited(Limited),
    /// 3scale refused the credential.
    Denied {
        /// 3scale's code.
        code: String,
        /// How long the refusal is still used; negative for an old answer.
        holds_for_ms: i64,
    },
}

/// An application's record in the cache: its key, its sealed name, and its plan, with the character 0x1f between them.
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

/// An allowed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The application of the request.
    pub application: Application,
    /// How many more such requests would be allowed; `None` without a limit.
    pub remaining: Option<u64>,
    /// The period of the limit that is reached first.
    pub period: Option<Period>,
    /// Whether this request should renew the answer.
    pub renew: bool,
}

/// A request that would exceed a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The application of the request.
    pub application: Application,
    /// The period of the limit.
    pub period: Option<Period>,
    /// The limit's metric.
    pub metric: String,
    /// If this is not certain: how long it stays uncertain.
    pub uncertain_for_ms: Option<u64>,
    /// Whether the limit is smaller than the usage of the request, so that waiting does not help.
    pub never: bool,
}

/// A request, as the scripts take it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The credential's key, from [`crate::keys::Keys::credential`].
    pub credential: &'a str,
    /// The metrics with their amounts.
    pub usage: &'a [(String, u64)],
    /// The current time, Unix milliseconds.
    pub now_ms: i64,
    /// The number of the request in this process. Redis counts a number once.
    pub sequence: u64,
    /// Answers from before this time are not used, Unix milliseconds.
    pub not_before_ms: i64,
    /// Whether to use answers that are too old, because 3scale gives no new one.
    pub old: bool,
    /// Whether the request was sent before and may have been counted.
    pub repeated: bool,
    /// The key of the caller's address, for the budget of unknown credentials; empty if it is not known or not needed.
    pub source: &'a str,
}

/// 3scale's answer about an application.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The application's key, from [`crate::keys::Keys::application`].
    pub application: &'a str,
    /// The sealed name.
    pub name: &'a str,
    /// The name of the plan.
    pub plan: &'a str,
    /// The limits and the metrics that count toward them.
    pub terms: &'a Terms,
    /// When 3scale was called, Unix milliseconds.
    pub asked_at_ms: i64,
    /// Whether to decide on the request and count it too.
    pub count: bool,
    /// Whether the record is that of a credential with a referrer.
    pub referred: bool,
}

/// The cache of one stack's service.
#[derive(Debug)]
pub struct Cache {
    /// The client that runs the scripts.
    pub redis: RedisClient,
    pub(crate) prefix: String,
    process: String,
    keep_for_ms: i64,
    keep_referred_for_ms: i64,
    /// The key of the applications with usage.
    dirty: String,
    /// The applications of credentials, as Redis had them last. A script names its keys before it runs, and most keys are
    /// those of the application.
    applications: HashMap<String, String>,
    scripts: AuthorizerScripts,
}

/// How often a script is run with other keys, because what it found is about those.
const MAX_TRIES: usize = 8;

/// What a script returns instead of a result if it needs other keys.
enum Needs {
    /// The credential is of this application, or of none.
    Application(Option<String>),
    /// The index of the application has these batches.
    Batches(Vec<String>),
}

impl Needs {
    fn read(value: &Value) -> Option<Self> {
        let Value::Array(values) = value else {
            return None;
        };
        match (values.first()?, values.get(1)) {
            (Value::Text(kind), more) if kind == b"K" => {
                Some(Self::Application(more.and_then(text)))
            }
            (Value::Text(kind), Some(Value::Array(names))) if kind == b"W" => {
                Some(Self::Batches(names.iter().filter_map(text).collect()))
            }
            _ => None,
        }
    }
}

/// The prefix of all keys of a stack's service. The braces keep the keys in one slot if the cache is a cluster.
#[must_use]
pub fn prefix(stack: &str, service: &str) -> String {
    format!("tg:{{{stack}:{service}}}:")
}

/// The prefix of all keys of an authorizer that observes and reports no usage. Records are different where 3scale's counters
/// do not contain what is counted here.
#[must_use]
pub fn unreported_prefix(stack: &str, service: &str) -> String {
    format!("{}unreported:", prefix(stack, service))
}

/// The end of the names of the lists of unreported usage. Stacks with the same name and different `hash-key`s do not share
/// them, because one cannot open a name that the other sealed.
pub(crate) fn mark(keys: &Keys) -> String {
    format!(":{}", keys.fingerprint())
}

/// The end of these names in releases that shared the lists.
pub(crate) const FORMER_MARK: &str = "";

impl Cache {
    /// `process` must be unique among all processes. `reported`: whether usage is reported to 3scale.
    #[must_use]
    pub fn new(
        redis: RedisClient,
        prefix: String,
        process: String,
        max_age: Duration,
        reported: bool,
    ) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            redis,
            process,
            keep_for_ms: ms(RECORD_TTL.max(max_age)),
            keep_referred_for_ms: ms(REFERRER_RECORD_TTL.max(max_age)),
            dirty: Lists::new(&prefix, FORMER_MARK).dirty,
            applications: HashMap::new(),
            scripts: AuthorizerScripts::new(&prefix, ms(max_age), reported),
            prefix,
        }
    }

    /// Counts for the reporter with these keys.
    pub(crate) fn set_keys(&mut self, keys: &Keys) {
        self.dirty = Lists::new(&self.prefix, &mark(keys)).dirty;
    }

    /// Decides on a request and counts it. If the process has the application of the credential, this takes one round trip.
    ///
    /// # Errors
    /// There is no answer; [`RedisError`] says whether the request may have been counted.
    pub fn decide(
        &mut self,
        question: &Question<'_>,
        deadline: Instant,
    ) -> Result<Decision, RedisError> {
        let mut repeated = question.repeated;
        for _ in 0..MAX_TRIES {
            let value = match self.applications.get(question.credential).cloned() {
                Some(application) => {
                    let keys = |this: &Self, keys: &mut Arguments| {
                        this.request_keys(question, &application).to_keys(keys);
                    };
                    self.hit(question, &keys, &mut repeated, deadline)?
                }
                None => self.look_up(question, &mut repeated, deadline)?,
            };
            match Needs::read(&value) {
                Some(Needs::Application(application)) => {
                    self.know(question.credential, application.as_deref());
                }
                _ => return decision(&value).ok_or_else(unexpected_reply),
            }
        }
        Err(too_many_tries(repeated))
    }

    /// Finds the application of a credential. Counts nothing.
    fn look_up(
        &mut self,
        question: &Question<'_>,
        repeated: &mut bool,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let keys = |this: &Self, keys: &mut Arguments| {
            this.unknown_keys(question).to_keys(keys);
        };
        let mut sent_again = *repeated;
        match self.hit(question, &keys, &mut sent_again, deadline) {
            Err(RedisError::Unknown(why, _)) if !*repeated => Err(RedisError::NotDone(why)),
            result => result,
        }
    }

    /// Stores 3scale's answer about the credential and, if `stored.count` is set, decides on the request and counts it.
    ///
    /// # Errors
    /// As [`Cache::decide`].
    pub fn store(
        &mut self,
        question: &Question<'_>,
        stored: &Stored<'_>,
        deadline: Instant,
    ) -> Result<Option<Decision>, RedisError> {
        let args = StoreArgs {
            count: stored.count,
            asked_at_ms: stored.asked_at_ms,
            keep_for_ms: match stored.referred {
                true => self.keep_referred_for_ms,
                false => self.keep_for_ms,
            },
            application: stored.application,
            name: stored.name,
            plan: stored.plan,
            terms: stored.terms,
        };
        let mut batches = Vec::new();
        let mut repeated = question.repeated;
        for _ in 0..MAX_TRIES {
            let keys = |this: &Self, keys: &mut Arguments| {
                this.request_keys(question, stored.application)
                    .to_keys(keys);
                let of_batches = BatchKeys {
                    prefix: &this.prefix,
                    application: stored.application,
                    batches: &batches,
                };
                of_batches.to_keys(keys);
            };
            let more = |arguments: &mut Arguments| args.to_argv(arguments);
            let value = self.write(question, &keys, &more, &mut repeated, deadline)?;
            if let Some(Needs::Batches(found)) = Needs::read(&value) {
                batches = found;
                continue;
            }
            self.know(question.credential, Some(stored.application));
            if !stored.count {
                return Ok(None);
            }
            return decision(&value).map(Some).ok_or_else(unexpected_reply);
        }
        Err(too_many_tries(repeated))
    }

    /// Stores that 3scale refused the credential, until `until_ms`. With `keep`, the record stays as long as an
    /// answer's.
    ///
    /// # Errors
    /// As [`Cache::decide`].
    pub fn store_denial(
        &mut self,
        question: &Question<'_>,
        code: &str,
        until_ms: i64,
        keep: bool,
        deadline: Instant,
    ) -> Result<(), RedisError> {
        let args = StoreDenialArgs {
            asked_at_ms: question.now_ms,
            keep_for_ms: if keep { self.keep_for_ms } else { 0 },
            code,
            until_ms,
        };
        let more = |arguments: &mut Arguments| args.to_argv(arguments);
        let mut repeated = question.repeated;
        for _ in 0..MAX_TRIES {
            let known = self.applications.get(question.credential).cloned();
            let keys = |this: &Self, keys: &mut Arguments| {
                let refusal = RefusalKeys {
                    unknown: this.unknown_keys(question),
                    application: known.as_deref(),
                };
                refusal.to_keys(keys);
            };
            let value = self.write(question, &keys, &more, &mut repeated, deadline)?;
            let Some(Needs::Application(application)) = Needs::read(&value) else {
                self.know(question.credential, None);
                return Ok(());
            };
            self.know(question.credential, application.as_deref());
        }
        Err(too_many_tries(repeated))
    }

    /// Remembers the application of a credential.
    fn know(&mut self, credential: &str, application: Option<&str>) {
        const MANY: usize = 16_384;
        let Some(application) = application else {
            self.applications.remove(credential);
            return;
        };
        if self.applications.len() >= MANY {
            self.applications.clear();
        }
        self.applications
            .insert(credential.to_owned(), application.to_owned());
    }

    fn request_keys<'a>(
        &'a self,
        question: &Question<'a>,
        application: &'a str,
    ) -> RequestKeys<'a> {
        RequestKeys {
            prefix: &self.prefix,
            dirty: &self.dirty,
            process: &self.process,
            credential: question.credential,
            application,
        }
    }

    fn unknown_keys<'a>(&'a self, question: &Question<'a>) -> UnknownKeys<'a> {
        UnknownKeys {
            prefix: &self.prefix,
            credential: question.credential,
            now_ms: question.now_ms,
            source: question.source,
        }
    }

    fn hit(
        &mut self,
        question: &Question<'_>,
        keys: &dyn Fn(&Self, &mut Arguments),
        repeated: &mut bool,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let none = |_: &mut Arguments| {};
        self.run(
            |scripts| &scripts.hit,
            question,
            keys,
            &none,
            repeated,
            deadline,
        )
    }

    fn write(
        &mut self,
        question: &Question<'_>,
        keys: &dyn Fn(&Self, &mut Arguments),
        more: &dyn Fn(&mut Arguments),
        repeated: &mut bool,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        self.run(
            |scripts| &scripts.store,
            question,
            keys,
            more,
            repeated,
            deadline,
        )
    }

    /// Runs one of the two scripts. If the connection ends before the answer, repeats it once on a new connection: the
    /// scripts recognize a repetition by its number and count it once.
    fn run(
        &mut self,
        script: fn(&AuthorizerScripts) -> &Script,
        question: &Question<'_>,
        keys: &dyn Fn(&Self, &mut Arguments),
        more: &dyn Fn(&mut Arguments),
        repeated: &mut bool,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        for again in [false, true] {
            *repeated |= again;
            let args = RequestArgs {
                now_ms: question.now_ms,
                not_before_ms: question.not_before_ms,
                sequence: question.sequence,
                repeated: *repeated,
                old: question.old,
                usage: question.usage,
            };
            let mut arguments = Arguments::default();
            keys(self, &mut arguments);
            let keys = arguments.count();
            args.to_argv(&mut arguments);
            more(&mut arguments);
            match self
                .redis
                .script(script(&self.scripts), keys, &arguments, deadline)
            {
                Err(RedisError::Unknown(_, true)) if !again => {}
                // Redis may have run the first attempt, even if it did not run this one.
                Err(RedisError::NotDone(why)) if *repeated => {
                    return Err(RedisError::Unknown(why, false));
                }
                result => return result,
            }
        }
        Err(unexpected_reply())
    }
}

/// What is in Redis changes faster than a script can be run.
fn too_many_tries(repeated: bool) -> RedisError {
    let failure = Failure::new(Cause::Failed, "the keys of the request keep changing");
    match repeated {
        true => RedisError::Unknown(failure, false),
        false => RedisError::NotDone(failure),
    }
}

fn unexpected_reply() -> RedisError {
    let failure = Failure::new(Cause::Failed, "a response that is not understood");
    RedisError::Unknown(failure, false)
}

/// Reads a script's answer; `None` for any other value.
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
            holds_for_ms: number(2)?,
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
            uncertain_for_ms: u64::try_from(number(4)?).ok(),
            never: number(4)? == -2,
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

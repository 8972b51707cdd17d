//! The decision: cache, 3scale, and what happens when one of them or both give no answer.

use std::time::{Duration, Instant};

use crate::answer::{Effect, Outcome};
use crate::backend::{Answer, Backend, Call, Headers};
use crate::breaker::Breaker;
use crate::cache::{self, Cache, Decision, Grant, Limited, Link, Question, Stored, Terms};
use crate::clock::Clock;
use crate::credentials::{self, Credential, Missing};
use crate::event::Request;
use crate::http::Roots;
use crate::keys::{Keys, Name};
use crate::log::{self, Metrics};
use crate::mapping::{Rules, Usage};
use crate::periods::{Period, Windows};
use crate::redis::{self, RedisError};
use crate::secrets::{self, Secrets, SecretsError};
use crate::settings::{Caching, Settings};
use crate::xml::Status;

/// How long answers are kept for the modes that use them while 3scale is down.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// The Parameter Store is not asked more often than this when something we have from it does not work.
const REREAD_EVERY: Duration = Duration::from_secs(10);
/// Part of the answer's time kept for writing it.
const MARGIN: Duration = Duration::from_millis(30);
/// How long a metric that 3scale does not know is left out of the questions.
const BAD_METRIC: Duration = Duration::from_secs(60);
/// How long nobody is asked after 3scale refused our own set-up.
const MISCONFIGURED: Duration = Duration::from_secs(2);
/// Longest usage part of a question, in bytes; the whole query string must stay below 10,240.
const MAX_USAGE: usize = 4096;

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// No one was asked.
    Request,
    /// Redis.
    Cache,
    /// 3scale, the answer being cached.
    Backend,
    /// 3scale, past a Redis that does not answer (or that the mode does not use).
    Direct,
    /// An answer that is too old, because 3scale gives no new one.
    OldAnswer,
    /// The mode, because nothing else could be asked.
    Mode,
}

impl Source {
    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Cache => "cache",
            Self::Backend => "backend",
            Self::Direct => "direct",
            Self::OldAnswer => "old-answer",
            Self::Mode => "mode",
        }
    }
}

/// A decision, for the answer and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The answer.
    pub outcome: Outcome,
    /// Where it came from.
    pub source: Source,
    /// The credential as a log may show it.
    pub credential: Option<String>,
}

/// Everything a decision needs, kept for the life of the process.
#[derive(Debug)]
pub struct Authorizer {
    pub(crate) settings: Settings,
    pub(crate) rules: Rules,
    pub(crate) agent: ureq::Agent,
    pub(crate) backend: Backend,
    pub(crate) cache: Cache,
    pub(crate) secrets: Result<Secrets, SecretsError>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    configured: Vec<String>,
    read: Option<Instant>,
    breaker: Breaker,
    misconfigured: Option<(Instant, String)>,
    bad_metrics: Vec<(String, Instant)>,
    sequence: u64,
    not_before_ms: i64,
}

/// What 3scale's answer means for the decision.
enum Verdict {
    Known(Box<Status>, Headers),
    Refused(String),
    Broken,
    NoAnswer,
}

struct Asking<'a> {
    credential: &'a Credential,
    key: String,
    usage: &'a Usage,
    deadline: Instant,
}

impl Authorizer {
    /// Sets everything up and asks nobody.
    #[must_use]
    pub fn new(settings: Settings, roots: Option<&Roots>, clock: Clock) -> Self {
        let agent = crate::http::agent(roots);
        let rules = Rules::new(&settings.service.mapping_rules);
        let configured = rules.metrics();
        if rules.unusable() > 0 {
            log::note(
                "warn",
                "mapping-rules",
                serde_json::json!({ "never_match": rules.unusable() }),
            );
        }
        let keep = match settings.service.caching {
            Caching::Resilient | Caching::Allow => KEEP,
            Caching::Strict | Caching::None => settings.service.max_age(),
        };
        let cache = Cache::new(
            Link::new(redis::tls_config(roots.map(Roots::store))),
            cache::prefix(&settings.stack, &settings.service.service_id),
            process_id(),
            settings.service.max_age(),
            keep,
        );
        Self {
            backend: Backend::new(
                agent.clone(),
                &settings.service.backend,
                &settings.service.service_id,
            ),
            metrics: Metrics::new(&settings.stack, &settings.function),
            secrets: Err(SecretsError::Unreachable("not read yet".to_owned())),
            settings,
            rules,
            agent,
            cache,
            clock,
            configured,
            read: None,
            breaker: Breaker::new(3, Duration::from_millis(500), Duration::from_secs(5)),
            misconfigured: None,
            bad_metrics: Vec::new(),
            sequence: 0,
            not_before_ms: 0,
        }
    }

    /// Reads the secrets and connects to Redis: what can be done before the first event.
    pub fn warm_up(&mut self) {
        self.read_secrets(self.settings.budgets.ssm);
        if self.secrets.is_ok() && self.settings.service.caching != Caching::None {
            // Without it the first event tries again.
            let _ = self
                .cache
                .link
                .connect(Instant::now() + self.settings.budgets.redis * 2);
        }
    }

    /// Reads the Parameter Store. What was known stays if nothing new can be read.
    pub(crate) fn read_secrets(&mut self, budget: Duration) {
        self.read = Some(Instant::now());
        match secrets::read(
            &self.agent,
            &self.settings.aws,
            &self.settings.parameters,
            budget,
        ) {
            Ok(secrets) => {
                self.cache.link.point_to(secrets.cache.clone());
                self.secrets = Ok(secrets);
            }
            Err(error) => {
                log::note(
                    "error",
                    "secrets",
                    serde_json::json!({ "error": error.to_string() }),
                );
                if self.secrets.is_err() {
                    self.secrets = Err(error);
                }
            }
        }
    }

    /// Makes what can be made ready for work that needs Redis: the secrets, and an address that answers.
    pub(crate) fn reach_cache(&mut self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        if self.secrets.is_err() {
            self.read_secrets(self.settings.budgets.ssm.min(left() / 2));
        }
        let connect = |this: &mut Self| {
            let until = Instant::now() + (this.settings.budgets.redis * 5).min(left() / 2);
            this.cache.link.connect(until).is_ok()
        };
        if !connect(self) && self.may_reread() {
            self.read_secrets(self.settings.budgets.ssm.min(left() / 2));
            connect(self);
        }
    }

    fn may_reread(&self) -> bool {
        self.read.is_none_or(|read| read.elapsed() >= REREAD_EVERY)
    }

    /// Decides. Always gives a decision, and gives it before `deadline` as far as anything here can wait.
    pub fn decide(&mut self, request: &Request<'_>, deadline: Instant) -> Decided {
        let deadline = deadline
            .min(Instant::now() + self.settings.budgets.answer)
            .checked_sub(MARGIN)
            .unwrap_or(deadline);
        let credential = match credentials::find(&self.settings.service.credentials, request) {
            Ok(credential) => credential,
            Err(Missing::Absent) => {
                return at_once(Outcome {
                    effect: Effect::Unauthorized,
                    ..Outcome::deny("credential_missing")
                });
            }
            Err(Missing::Unusable) => return at_once(Outcome::deny("credential_unusable")),
        };
        let usage = self
            .rules
            .usage(&request.method, &request.path, &request.query);
        let (outcome, source) = if usage.0.is_empty() {
            (Outcome::deny("no_mapping_rule"), Source::Request)
        } else {
            self.ask(&credential, &usage, deadline)
        };
        Decided {
            outcome,
            source,
            credential: Some(credential.masked()),
        }
    }

    fn ask(
        &mut self,
        credential: &Credential,
        usage: &Usage,
        deadline: Instant,
    ) -> (Outcome, Source) {
        if self.secrets.is_err() && (self.read.is_none() || self.may_reread_soon()) {
            let left = deadline.saturating_duration_since(Instant::now());
            self.read_secrets(left / 2);
        }
        let Ok(secrets) = &self.secrets else {
            return (Outcome::deny("not_ready"), Source::Request);
        };
        self.sequence += 1;
        let asking = Asking {
            credential,
            key: secrets
                .keys
                .credential(&self.settings.service.service_id, credential),
            usage,
            deadline,
        };
        if self.settings.service.caching == Caching::None {
            return self.direct(&asking);
        }
        match self.ask_cache(&asking, false) {
            Ok(Decision::Miss) => self.miss(&asking),
            Ok(Decision::Allowed(grant)) => {
                self.metrics.add("CacheHits", 1.0);
                if grant.renew {
                    self.renew(&asking);
                }
                (self.allowed(&grant, &asking, "authorized"), Source::Cache)
            }
            Ok(refusal) => {
                self.metrics.add("CacheHits", 1.0);
                (self.refused(refusal), Source::Cache)
            }
            Err(error) => self.without_cache(&asking, &error),
        }
    }

    /// Without secrets nothing works, so they are asked for more eagerly than a replaced address.
    fn may_reread_soon(&self) -> bool {
        self.read
            .is_none_or(|read| read.elapsed() >= Duration::from_secs(1))
    }

    fn question<'a>(&self, asking: &'a Asking<'_>, old: bool) -> Question<'a> {
        Question {
            credential: &asking.key,
            usage: &asking.usage.0,
            now_ms: self.clock.now_ms(),
            sequence: self.sequence,
            not_before_ms: self.not_before_ms,
            old,
        }
    }

    fn redis_deadline(&self, asking: &Asking<'_>) -> Instant {
        asking
            .deadline
            .min(Instant::now() + self.settings.budgets.redis)
    }

    fn ask_cache(&mut self, asking: &Asking<'_>, old: bool) -> Result<Decision, RedisError> {
        let question = self.question(asking, old);
        let deadline = self.redis_deadline(asking);
        let started = Instant::now();
        let result = self.cache.decide(&question, deadline);
        self.metrics.took("RedisLatency", started.elapsed());
        result
    }

    /// The cache has no answer: 3scale is asked, and what it says is stored, decided by, and counted in one step.
    fn miss(&mut self, asking: &Asking<'_>) -> (Outcome, Source) {
        self.metrics.add("CacheMisses", 1.0);
        let asked_ms = self.clock.now_ms();
        let (verdict, metrics) = self.authorize(asking);
        match verdict {
            Verdict::Known(status, headers) => {
                let stored = self.store(asking, &status, &headers, &metrics, asked_ms, true);
                match stored {
                    Some(Ok(Some(Decision::Allowed(grant)))) => {
                        (self.allowed(&grant, asking, "authorized"), Source::Backend)
                    }
                    Some(Ok(Some(Decision::Miss) | None)) | None => {
                        (Outcome::deny("internal"), Source::Backend)
                    }
                    Some(Ok(Some(refusal))) => (self.refused(refusal), Source::Backend),
                    Some(Err(error)) => self.without_cache(asking, &error),
                }
            }
            Verdict::Refused(code) => {
                self.store_denial(asking, &code);
                (Outcome::deny(&code), Source::Backend)
            }
            Verdict::Broken => (Outcome::deny("misconfigured"), Source::Backend),
            Verdict::NoAnswer => self.outage(asking),
        }
    }

    /// The request has been allowed and counted by an answer that is about to get too old. Whatever comes out holds
    /// for the next request.
    fn renew(&mut self, asking: &Asking<'_>) {
        let asked_ms = self.clock.now_ms();
        let (verdict, metrics) = self.authorize(asking);
        match verdict {
            Verdict::Known(status, headers) => {
                let _ = self.store(asking, &status, &headers, &metrics, asked_ms, false);
            }
            Verdict::Refused(code) => self.store_denial(asking, &code),
            Verdict::Broken | Verdict::NoAnswer => {}
        }
    }

    /// 3scale gives no answer: the caching mode decides, as in APIcast.
    fn outage(&mut self, asking: &Asking<'_>) -> (Outcome, Source) {
        let mode = self.settings.service.caching;
        let unavailable = (Outcome::deny("backend_unavailable"), Source::Mode);
        if !matches!(mode, Caching::Resilient | Caching::Allow) {
            return unavailable;
        }
        match self.ask_cache(asking, true) {
            Ok(Decision::Allowed(grant)) => (
                self.allowed(&grant, asking, "old_answer"),
                Source::OldAnswer,
            ),
            Ok(Decision::Miss) if mode == Caching::Allow => self.pass_unknown(asking),
            Ok(Decision::Miss) => unavailable,
            Ok(refusal) => (self.refused(refusal), Source::OldAnswer),
            Err(_) if mode == Caching::Allow => self.pass_uncounted(asking),
            Err(_) => unavailable,
        }
    }

    /// Mode `allow`, and nothing is known of the caller: it passes, and is counted under the credential it came with.
    /// The reporter finds out whether that names an application.
    fn pass_unknown(&mut self, asking: &Asking<'_>) -> (Outcome, Source) {
        let Ok(secrets) = &self.secrets else {
            return (Outcome::deny("not_ready"), Source::Mode);
        };
        let name = name_of(asking.credential, None);
        let application = secrets.keys.unconfirmed(&asking.key);
        let Some(sealed) = secrets.keys.seal(&application, &name) else {
            return (Outcome::deny("internal"), Source::Mode);
        };
        let terms = Terms {
            limits: Vec::new(),
            metrics: self
                .metrics_with(asking.usage)
                .into_iter()
                .map(|metric| (metric, Vec::new()))
                .collect(),
        };
        let stored = Stored {
            application: &application,
            name: &sealed,
            plan: "",
            terms: &terms,
            // Never fresh: the next request asks 3scale again.
            asked_ms: 0,
            count: true,
        };
        let question = self.question(asking, true);
        let deadline = self.redis_deadline(asking);
        match self.cache.store(&question, &stored, deadline) {
            Ok(Some(Decision::Allowed(grant))) => {
                (self.allowed(&grant, asking, "outage"), Source::Mode)
            }
            _ => self.pass_uncounted(asking),
        }
    }

    /// Mode `allow` with neither 3scale nor Redis: it passes, and nothing is left that could count it.
    fn pass_uncounted(&mut self, asking: &Asking<'_>) -> (Outcome, Source) {
        self.lost(asking.usage);
        let mut outcome = Outcome::deny("outage");
        outcome.effect = Effect::Allow;
        (outcome, Source::Mode)
    }

    fn lost(&mut self, usage: &Usage) {
        let sum: u64 = usage.0.iter().map(|(_, amount)| amount).sum();
        #[allow(clippy::cast_precision_loss)]
        self.metrics.add("LostUsage", sum as f64);
        log::note(
            "error",
            "usage-lost",
            serde_json::json!({ "usage": usage.summary() }),
        );
    }

    /// Redis gives no answer: the address may be an old one, else 3scale is asked and counts at once.
    fn without_cache(&mut self, asking: &Asking<'_>, error: &RedisError) -> (Outcome, Source) {
        self.metrics.add("RedisErrors", 1.0);
        if matches!(error, RedisError::NotDone(_)) && self.may_reread() {
            let before = self.cache.link.endpoint().cloned();
            let left = asking.deadline.saturating_duration_since(Instant::now());
            self.read_secrets(left / 3);
            if self.cache.link.endpoint() != before.as_ref() {
                match self.ask_cache(asking, false) {
                    Ok(Decision::Miss) => return self.miss(asking),
                    Ok(Decision::Allowed(grant)) => {
                        return (self.allowed(&grant, asking, "authorized"), Source::Cache);
                    }
                    Ok(refusal) => return (self.refused(refusal), Source::Cache),
                    Err(_) => {}
                }
            }
        }
        self.direct(asking)
    }

    /// 3scale decides and counts, with nothing in between.
    fn direct(&mut self, asking: &Asking<'_>) -> (Outcome, Source) {
        let outage = |this: &mut Self| {
            if this.settings.service.caching == Caching::Allow {
                this.pass_uncounted(asking)
            } else {
                (Outcome::deny("backend_unavailable"), Source::Mode)
            }
        };
        let Some(answer) = self.call(Call::AuthRep, asking, &asking.usage.0) else {
            return outage(self);
        };
        // What was counted past the cache is not in its sums: its answers must be newer than this.
        self.not_before_ms = self.clock.now_ms() + 1;
        let outcome = match answer {
            Answer::Authorized(status, headers) => Outcome {
                effect: Effect::Allow,
                reason: "authorized".to_owned(),
                app_id: app_id(asking.credential, &status),
                plan: Some(status.plan.clone()),
                metric: asking.usage.summary(),
                remaining: headers.remaining.and_then(|n| u64::try_from(n).ok()),
                reset: headers.reset.and_then(|n| u64::try_from(n).ok()),
                retry_after: None,
            },
            Answer::LimitsExceeded(status, headers) => Outcome {
                app_id: status
                    .as_ref()
                    .and_then(|status| app_id(asking.credential, status)),
                plan: status.map(|status| status.plan.clone()),
                metric: asking.usage.summary(),
                remaining: Some(0),
                reset: headers.reset.and_then(|n| u64::try_from(n).ok()),
                retry_after: headers.reset.and_then(|n| u64::try_from(n).ok()),
                ..Outcome::deny("limits_exceeded")
            },
            Answer::Denied(code) => Outcome::deny(&code),
            Answer::MetricInvalid(_) | Answer::Misconfigured(_) => Outcome::deny("misconfigured"),
            Answer::None(_) => return outage(self),
        };
        (outcome, Source::Direct)
    }

    /// One call, unless 3scale has just failed too often or refused our own set-up.
    fn call(&mut self, call: Call, asking: &Asking<'_>, usage: &[(String, u64)]) -> Option<Answer> {
        let now = Instant::now();
        if let Some((since, code)) = &self.misconfigured {
            if now - *since < MISCONFIGURED {
                return Some(Answer::Misconfigured(code.clone()));
            }
            self.misconfigured = None;
        }
        if !self.breaker.allows(now) {
            return None;
        }
        let token = self.secrets.as_ref().ok()?.service_token.clone();
        let answer = self.backend.ask(
            call,
            &token,
            asking.credential,
            usage
                .iter()
                .map(|(metric, amount)| (metric.as_str(), *amount)),
            asking.deadline.saturating_duration_since(now),
        );
        self.metrics.add("BackendCalls", 1.0);
        self.metrics.took("BackendLatency", now.elapsed());
        match &answer {
            Answer::None(why) => {
                self.breaker.failure(Instant::now());
                self.metrics.add("BackendErrors", 1.0);
                log::note("error", "backend", serde_json::json!({ "error": why }));
            }
            Answer::Misconfigured(code) => {
                self.breaker.success();
                self.misconfigured = Some((Instant::now(), code.clone()));
                self.metrics.add("Misconfigured", 1.0);
                log::note(
                    "error",
                    "misconfigured",
                    serde_json::json!({ "code": code }),
                );
                if self.may_reread() {
                    // The token may have been replaced; the next request has the new one.
                    self.read = Some(Instant::now());
                    let left = asking.deadline.saturating_duration_since(Instant::now());
                    self.read_secrets(left / 2);
                }
            }
            _ => self.breaker.success(),
        }
        Some(answer)
    }

    /// Asks 3scale about the caller and, in the same call, about all metrics of the rules, so that one answer is good
    /// for every kind of request. A metric 3scale does not know is left out and asked about again a minute later.
    fn authorize(&mut self, asking: &Asking<'_>) -> (Verdict, Vec<String>) {
        for _ in 0..4 {
            let metrics = self.metrics_with(asking.usage);
            let usage: Vec<(String, u64)> = metrics
                .iter()
                .map(|metric| {
                    let amount = asking.usage.0.iter().find(|(name, _)| name == metric);
                    (metric.clone(), amount.map_or(0, |(_, amount)| *amount))
                })
                .collect();
            let Some(answer) = self.call(Call::Authorize, asking, &usage) else {
                return (Verdict::NoAnswer, metrics);
            };
            let verdict = match answer {
                Answer::Authorized(status, headers) => Verdict::Known(status, headers),
                // The header then speaks of a metric that need not be this request's.
                Answer::LimitsExceeded(Some(status), _) => {
                    Verdict::Known(status, Headers::default())
                }
                Answer::LimitsExceeded(None, _) => Verdict::Refused("limits_exceeded".to_owned()),
                Answer::Denied(code) => Verdict::Refused(code),
                Answer::Misconfigured(_) => Verdict::Broken,
                Answer::None(_) => Verdict::NoAnswer,
                Answer::MetricInvalid(name) => {
                    let used = |name: &str| asking.usage.0.iter().any(|(used, _)| used == name);
                    log::note(
                        "error",
                        "metric-unknown",
                        serde_json::json!({ "metric": name }),
                    );
                    match name {
                        Some(name) if metrics.contains(&name) && !used(&name) => {
                            self.bad_metrics.push((name, Instant::now()));
                        }
                        _ if metrics.len() > asking.usage.0.len() => {
                            let now = Instant::now();
                            self.bad_metrics.extend(
                                metrics
                                    .into_iter()
                                    .filter(|name| !used(name))
                                    .map(|name| (name, now)),
                            );
                        }
                        _ => {
                            return (Verdict::Broken, metrics);
                        }
                    }
                    continue;
                }
            };
            return (verdict, metrics);
        }
        (Verdict::NoAnswer, Vec::new())
    }

    /// The request's metrics and, as far as they fit, all others of the rules that 3scale is not known to lack.
    fn metrics_with(&mut self, usage: &Usage) -> Vec<String> {
        let now = Instant::now();
        self.bad_metrics
            .retain(|(_, since)| now - *since < BAD_METRIC);
        let mut metrics: Vec<String> = usage.0.iter().map(|(metric, _)| metric.clone()).collect();
        let mut size: usize = metrics.iter().map(|metric| metric.len() * 3 + 32).sum();
        for metric in &self.configured {
            size += metric.len() * 3 + 16;
            if size > MAX_USAGE {
                break;
            }
            let bad = self.bad_metrics.iter().any(|(bad, _)| bad == metric);
            if !bad && !metrics.contains(metric) {
                metrics.push(metric.clone());
            }
        }
        metrics
    }

    fn store(
        &mut self,
        asking: &Asking<'_>,
        status: &Status,
        headers: &Headers,
        metrics: &[String],
        asked_ms: i64,
        count: bool,
    ) -> Option<Result<Option<Decision>, RedisError>> {
        let secrets = self.secrets.as_ref().ok()?;
        let name = name_of(asking.credential, status.app_id.clone());
        let application = secrets
            .keys
            .application(&self.settings.service.service_id, &name);
        let sealed = secrets.keys.seal(&application, &name)?;
        let terms = crate::terms::terms(status, headers, metrics, &asking.usage.0);
        let stored = Stored {
            application: &application,
            name: &sealed,
            plan: &status.plan,
            terms: &terms,
            asked_ms,
            count,
        };
        let question = self.question(asking, false);
        let deadline = self.redis_deadline(asking);
        Some(self.cache.store(&question, &stored, deadline))
    }

    fn store_denial(&mut self, asking: &Asking<'_>, code: &str) {
        let holds = denial_holds(code).min(self.settings.service.max_age());
        let question = self.question(asking, false);
        let till = question
            .now_ms
            .saturating_add(i64::try_from(holds.as_millis()).unwrap_or(0));
        let keep = self.settings.service.caching == Caching::Allow;
        let deadline = self.redis_deadline(asking);
        if let Err(error) = self
            .cache
            .store_denial(&question, code, till, keep, deadline)
        {
            log::note(
                "warn",
                "redis",
                serde_json::json!({ "error": error.to_string() }),
            );
        }
    }

    fn allowed(&self, grant: &Grant, asking: &Asking<'_>, reason: &str) -> Outcome {
        Outcome {
            effect: Effect::Allow,
            reason: reason.to_owned(),
            app_id: match asking.credential {
                Credential::AppId { id, .. } => Some(id.clone()),
                Credential::UserKey(_) => self.app_id(&grant.application, &grant.name),
            },
            plan: Some(grant.plan.clone()),
            metric: asking.usage.summary(),
            remaining: grant.remaining,
            reset: grant.period.and_then(|period| self.until_end(period)),
            retry_after: None,
        }
    }

    fn refused(&self, decision: Decision) -> Outcome {
        match decision {
            Decision::Limited(Limited {
                application,
                name,
                plan,
                period,
                metric,
                settles_ms,
            }) => {
                let reset = period.and_then(|period| self.until_end(period));
                Outcome {
                    app_id: self.app_id(&application, &name),
                    plan: Some(plan),
                    metric,
                    remaining: Some(0),
                    reset,
                    retry_after: match settles_ms {
                        Some(ms) => Some(ms.div_ceil(1000).max(1)),
                        None => reset,
                    },
                    ..Outcome::deny("limits_exceeded")
                }
            }
            Decision::Denied { code, .. } => Outcome::deny(&code),
            // Never handed in; a refusal is what an unexpected answer must become.
            Decision::Miss | Decision::Allowed(_) => Outcome::deny("internal"),
        }
    }

    /// Whole seconds until the current window of a period ends; none for eternity.
    fn until_end(&self, period: Period) -> Option<u64> {
        let now = self.clock.now_ms();
        let end = Windows::at(now.div_euclid(1000)).end[period.index()];
        let left = end.checked_mul(1000)?.checked_sub(now)?;
        u64::try_from(left).ok().map(|ms| ms.div_ceil(1000))
    }

    fn app_id(&self, application: &str, sealed: &str) -> Option<String> {
        let keys: &Keys = &self.secrets.as_ref().ok()?.keys;
        keys.open(application, sealed)?.app_id
    }
}

fn at_once(outcome: Outcome) -> Decided {
    Decided {
        outcome,
        source: Source::Request,
        credential: None,
    }
}

/// How long a refusal holds: shorter the sooner somebody expects it to be lifted.
fn denial_holds(code: &str) -> Duration {
    Duration::from_secs(match code {
        "application_not_active" | "service_not_active" => 30,
        "limits_exceeded" => 2,
        _ => 10,
    })
}

fn name_of(credential: &Credential, app_id: Option<String>) -> Name {
    match credential {
        Credential::UserKey(key) => Name {
            app_id,
            user_key: Some(key.clone()),
        },
        Credential::AppId { id, .. } => Name {
            app_id: Some(id.clone()),
            user_key: None,
        },
    }
}

fn app_id(credential: &Credential, status: &Status) -> Option<String> {
    name_of(credential, status.app_id.clone()).app_id
}

/// A name for this process that no other has: its counts are told apart by it.
pub(crate) fn process_id() -> String {
    let mut bytes = [0_u8; 12];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness: two processes are not started by the same nanosecond with the same number.
        let time = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        return format!("{}-{}", time.as_nanos(), std::process::id());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

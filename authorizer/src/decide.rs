//! The decision on a request: from the cache, from 3scale, or by the caching mode when one of them or both do not
//! answer.

mod degraded;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::answer::{Effect, Outcome};
use crate::breaker::SharedBucket;
use crate::cache::{Application, Decision, Grant, Limited, Question, Stored};
use crate::clients::Clients;
use crate::credentials::{self, Credential, Missing};
use crate::event::Request;
use crate::keys::Name;
use crate::log;
use crate::mapping::{Ambiguous, Rules, Usage};
use crate::memory::Memory;
use crate::periods::{Period, Windows};
use crate::redis::RedisError;
use crate::scripts::{REFUSALS_PER_S, SOURCE_REFUSALS_PER_S};
use crate::settings::{Caching, RuleSettings, Service, WRITING};
use crate::upstream::{AuthorizationRequest, Known, UNCLEAR, Upstream, Verdict};
use crate::xml::Status;

/// The longest referrer that is sent to 3scale, in bytes. The query string must stay below 10,240.
const MAX_REFERRER: usize = 512;
/// How long a process remembers which credentials need a referrer.
const NEEDS_REFERRER: Duration = Duration::from_secs(600);

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The request alone.
    Request,
    /// Redis.
    Cache,
    /// The memory of the process, without Redis.
    Memory,
    /// 3scale, and the answer is in Redis now.
    Backend,
    /// 3scale, without Redis, which does not answer or is not used in this mode.
    Direct,
    /// An answer that is too old, because 3scale gives no new one.
    OldAnswer,
    /// The caching mode, because neither Redis nor 3scale answered.
    Mode,
}

impl Source {
    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Cache => "cache",
            Self::Memory => "memory",
            Self::Backend => "backend",
            Self::Direct => "direct",
            Self::OldAnswer => "old-answer",
            Self::Mode => "mode",
        }
    }
}

/// A decision, with what the answer and the log need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The answer.
    pub outcome: Outcome,
    /// Where it came from.
    pub source: Source,
    /// The credential; the log masks it.
    pub credential: Option<Credential>,
}

impl Decided {
    /// Whether the decision was made without something that decisions are usually made with: Redis, an answer of 3scale, the
    /// secrets, or settings that 3scale accepts.
    pub(crate) fn is_degraded(&self, uses_redis: bool) -> bool {
        match self.source {
            Source::OldAnswer | Source::Mode => true,
            Source::Direct if uses_redis => true,
            _ => matches!(
                self.outcome.reason.as_str(),
                "old_answer" | "outage" | "misconfigured" | "not_ready" | "internal"
            ),
        }
    }
}

/// Decides on requests. Keeps what it learns for the life of the process.
#[derive(Debug)]
pub struct Authorizer {
    /// `None` until they are read from the Parameter Store.
    rules: Option<Rules>,
    upstream: Upstream,
    /// Limits the calls of this process about credentials that were not accepted in the last 24 hours.
    unknown_key_limiter: SharedBucket,
    /// Keys of credentials that 3scale or the cache accepted. Without Redis they pass the limiter, so that a flood of
    /// unknown credentials does not lock out known callers.
    known_good_keys: HashSet<String>,
    /// Empty if there is Redis.
    memory: Memory,
    /// The address of the present caller; empty if it is not known.
    source_ip: String,
    sequence: u64,
    not_before_ms: i64,
    /// Keys of credentials whose applications have referrer filters: for those, the referrer is part of the question and
    /// of the record's key from the start. Only a hint, so it is forgotten as a whole.
    needs_referrer: HashSet<String>,
    needs_referrer_since: Option<Instant>,
    /// The application ids of opened records.
    app_id_cache: HashMap<String, Option<String>>,
}

impl Authorizer {
    /// An authorizer for a service.
    #[must_use]
    pub fn new(service: &Service) -> Self {
        let rules = match service.stored_rules {
            Some(_) => None,
            None => Some(compiled(&service.mapping_rules)),
        };
        Self {
            upstream: Upstream::new(rules.as_ref().map(Rules::metrics).unwrap_or_default()),
            rules,
            unknown_key_limiter: SharedBucket::new(
                REFUSALS_PER_S,
                Duration::from_millis(200),
                SOURCE_REFUSALS_PER_S,
            ),
            source_ip: String::new(),
            known_good_keys: HashSet::new(),
            memory: Memory::default(),
            sequence: 0,
            not_before_ms: 0,
            needs_referrer: HashSet::new(),
            needs_referrer_since: None,
            app_id_cache: HashMap::new(),
        }
    }

    /// Compiles the mapping rules, if the clients have read them by now.
    pub(crate) fn take_rules(&mut self, clients: &mut Clients) {
        if self.rules.is_none()
            && let Some(read) = clients.take_rules()
        {
            let rules = compiled(&read);
            self.upstream = Upstream::new(rules.metrics());
            self.rules = Some(rules);
        }
    }

    /// All metrics of the mapping rules.
    pub(crate) fn metrics(&self) -> &[String] {
        self.upstream.configured()
    }

    /// Ends the pauses after failures, so that the next decision calls 3scale.
    pub(crate) fn end_pauses(&mut self) {
        self.upstream.reset();
    }

    /// Decides on a request. Always returns a decision, and returns it before `deadline`: every wait is limited by it.
    pub fn decide(
        &mut self,
        clients: &mut Clients,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Decided {
        let deadline = deadline
            .min(Instant::now() + clients.settings.budgets.answer)
            .checked_sub(WRITING)
            .unwrap_or(deadline);
        let credential = match credentials::find(&clients.settings.service.credentials, request) {
            Ok(credential) => credential,
            Err(Missing::Absent) => {
                return at_once(Outcome {
                    effect: Effect::Unauthorized,
                    ..Outcome::deny("credential_missing")
                });
            }
            Err(Missing::Unusable) => return at_once(Outcome::deny("credential_unusable")),
        };
        self.source_ip.clear();
        self.source_ip
            .push_str(request.source_ip.as_deref().unwrap_or_default());
        if self.rules.is_none() {
            read_missing(clients, deadline);
            self.take_rules(clients);
        }
        let usage = match &self.rules {
            Some(rules) => rules.usage_of(request),
            None => {
                let outcome = Outcome::deny("not_ready");
                return Decided {
                    outcome,
                    source: Source::Request,
                    credential: Some(credential),
                };
            }
        };
        let (outcome, source) = match usage {
            Err(Ambiguous) => (Outcome::deny("path_ambiguous"), Source::Request),
            Ok(usage) if usage.0.is_empty() => (Outcome::deny("no_mapping_rule"), Source::Request),
            Ok(usage) => self.ask_referred(clients, request, &credential, &usage, deadline),
        };
        Decided {
            outcome,
            source,
            credential: Some(credential),
        }
    }

    /// Asks without the referrer first: then one answer is enough for an application without referrer filters, however
    /// many referrers its requests have. 3scale refuses the others with a code of its own, and those are asked about
    /// with the referrer, each referrer with a record of its own.
    fn ask_referred(
        &mut self,
        clients: &mut Clients,
        request: &Request<'_>,
        credential: &Credential,
        usage: &Usage,
        deadline: Instant,
    ) -> (Outcome, Source) {
        let known = self.is_known_to_need_referrer(clients, credential);
        if !known {
            let (outcome, source) = self.ask(clients, credential, usage, deadline);
            if outcome.reason != REFERRER_NOT_ALLOWED {
                return (outcome, source);
            }
            self.remember_to_need_referrer(clients, credential);
            let Some(referrer) = referrer(request) else {
                return (outcome, source);
            };
            return self.ask_with(clients, credential, Some(referrer), usage, deadline);
        }
        self.ask_with(clients, credential, referrer(request), usage, deadline)
    }

    fn is_known_to_need_referrer(&mut self, clients: &Clients, credential: &Credential) -> bool {
        if self.needs_referrer.is_empty() {
            return false;
        }
        if self
            .needs_referrer_since
            .is_none_or(|since| since.elapsed() > NEEDS_REFERRER)
        {
            self.needs_referrer.clear();
        }
        key(clients, credential, None).is_some_and(|key| self.needs_referrer.contains(&key))
    }

    fn remember_to_need_referrer(&mut self, clients: &Clients, credential: &Credential) {
        const MANY: usize = 16_384;
        if self.needs_referrer.len() >= MANY {
            self.needs_referrer.clear();
        }
        if self.needs_referrer.is_empty() {
            self.needs_referrer_since = Some(Instant::now());
        }
        self.needs_referrer.extend(key(clients, credential, None));
    }

    pub(crate) fn ask(
        &mut self,
        clients: &mut Clients,
        credential: &Credential,
        usage: &Usage,
        deadline: Instant,
    ) -> (Outcome, Source) {
        self.ask_with(clients, credential, None, usage, deadline)
    }

    fn ask_with(
        &mut self,
        clients: &mut Clients,
        credential: &Credential,
        referrer: Option<&str>,
        usage: &Usage,
        deadline: Instant,
    ) -> (Outcome, Source) {
        read_missing(clients, deadline);
        let Some(key) = key(clients, credential, referrer) else {
            return (Outcome::deny("not_ready"), Source::Request);
        };
        self.sequence += 1;
        // Only unknown credentials have a budget.
        let source = match &clients.secrets {
            Ok(secrets) if !self.source_ip.is_empty() && !self.known_good_keys.contains(&key) => {
                secrets.keys.source(&self.source_ip)
            }
            _ => String::new(),
        };
        let request = AuthorizationRequest {
            credential,
            key,
            referrer,
            source,
            usage,
            deadline,
        };
        if !clients.settings.service.uses_redis() {
            let remembered = self.memory.refusal(&request.key, clients.clock.now_ms());
            return match remembered {
                Some(code) => (Outcome::deny(code), Source::Memory),
                None => self.direct(clients, &request),
            };
        }
        match self.ask_cache(clients, &request, false) {
            Ok(Decision::Miss) => self.miss(clients, &request, true),
            Ok(Decision::Unknown) => self.miss(clients, &request, false),
            Ok(Decision::Allowed(grant)) => {
                clients.metrics.add("CacheHits", 1.0);
                if grant.renew {
                    self.renew(clients, &request);
                }
                (
                    self.allowed(clients, &grant, &request, "authorized"),
                    Source::Cache,
                )
            }
            Ok(refusal) => {
                clients.metrics.add("CacheHits", 1.0);
                (self.refused(clients, refusal), Source::Cache)
            }
            Err(error) => self.without_cache(clients, &request, &error),
        }
    }

    fn question<'a>(
        &self,
        clients: &Clients,
        request: &'a AuthorizationRequest<'_>,
        old: bool,
    ) -> Question<'a> {
        Question {
            credential: &request.key,
            usage: &request.usage.0,
            now_ms: clients.clock.now_ms(),
            sequence: self.sequence,
            not_before_ms: self.not_before_ms,
            old,
            repeated: false,
            source: &request.source,
        }
    }

    fn ask_cache(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        old: bool,
    ) -> Result<Decision, RedisError> {
        let question = self.question(clients, request, old);
        Self::ask_redis(clients, request, &question)
    }

    fn ask_redis(
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        question: &Question<'_>,
    ) -> Result<Decision, RedisError> {
        let deadline = clients.redis_deadline(request.deadline);
        let started = Instant::now();
        let result = clients.cache.decide(question, deadline);
        clients.metrics.took("RedisLatency", started.elapsed());
        result
    }

    /// The cache has no answer: calls 3scale, then stores its answer, decides, and counts in one step. `seen` says
    /// whether the credential was accepted in the last 24 hours.
    fn miss(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        seen: bool,
    ) -> (Outcome, Source) {
        clients.metrics.add("CacheMisses", 1.0);
        if !seen
            && !self
                .unknown_key_limiter
                .allows(&request.source, Instant::now())
        {
            return (too_many_unknown(), Source::Request);
        }
        let asked_at_ms = clients.clock.now_ms();
        match self.upstream.authorize(clients, request) {
            Verdict::Known(known) => {
                match self.store(clients, request, &known, asked_at_ms, true) {
                    Some(Ok(Some(Decision::Allowed(grant)))) => (
                        self.allowed(clients, &grant, request, "authorized"),
                        Source::Backend,
                    ),
                    Some(Ok(Some(Decision::Miss | Decision::Unknown) | None)) | None => {
                        (Outcome::deny("internal"), Source::Backend)
                    }
                    Some(Ok(Some(refusal))) => (self.refused(clients, refusal), Source::Backend),
                    Some(Err(error)) => self.without_cache(clients, request, &error),
                }
            }
            Verdict::Refused(code) => {
                if !seen && !needs_referrer(request, &code) {
                    self.unknown_key_limiter
                        .refused(&request.source, Instant::now());
                }
                self.store_denial(clients, request, &code);
                (Outcome::deny(&code), Source::Backend)
            }
            Verdict::Unclear => {
                // The last answer about a credential that was accepted stays.
                if !seen {
                    self.unknown_key_limiter
                        .refused(&request.source, Instant::now());
                    self.store_refusal(clients, request, "denied", UNCLEAR, false);
                }
                (Outcome::deny("denied"), Source::Backend)
            }
            Verdict::Broken => (Outcome::deny("misconfigured"), Source::Backend),
            Verdict::NoAnswer => self.outage(clients, request),
        }
    }

    /// The request is allowed and counted already, by an answer that is about to get too old. The new answer is for the
    /// next request.
    fn renew(&mut self, clients: &mut Clients, request: &AuthorizationRequest<'_>) {
        let asked_at_ms = clients.clock.now_ms();
        match self.upstream.authorize(clients, request) {
            Verdict::Known(known) => {
                // If this fails, the old answer is used until it is too old.
                let _ = self.store(clients, request, &known, asked_at_ms, false);
            }
            Verdict::Refused(code) => self.store_denial(clients, request, &code),
            Verdict::Unclear | Verdict::Broken | Verdict::NoAnswer => {}
        }
    }

    fn remember(&mut self, request: &AuthorizationRequest<'_>) {
        const MANY: usize = 16_384;
        if self.known_good_keys.contains(&request.key) {
            return;
        }
        if self.known_good_keys.len() >= MANY {
            self.known_good_keys.clear();
        }
        self.known_good_keys.insert(request.key.clone());
    }

    fn store(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        known: &Known,
        asked_at_ms: i64,
        count: bool,
    ) -> Option<Result<Option<Decision>, RedisError>> {
        let secrets = clients.secrets.as_ref().ok()?;
        let status = &known.status;
        let name = name_of(request.credential, status.app_id.clone());
        let application = secrets
            .keys
            .application(&clients.settings.service.service_id, &name);
        let sealed = secrets.keys.seal(&application, &name)?;
        let stored = Stored {
            application: &application,
            name: &sealed,
            plan: &status.plan,
            terms: &known.terms,
            asked_at_ms,
            count,
            referred: request.referrer.is_some(),
        };
        let question = self.question(clients, request, false);
        let deadline = clients.redis_deadline(request.deadline);
        Some(clients.cache.store(&question, &stored, deadline))
    }

    fn store_denial(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        code: &str,
    ) {
        let needs_referrer = needs_referrer(request, code);
        let holds = match needs_referrer {
            true => clients.settings.service.max_age(),
            false => denial_holds(code),
        };
        // The application exists, so the credential is no unknown one.
        let keep = clients.settings.service.caching == Caching::Allow || needs_referrer;
        self.store_refusal(clients, request, code, holds, keep);
    }

    fn store_refusal(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        code: &str,
        holds: Duration,
        keep: bool,
    ) {
        let holds = holds.min(clients.settings.service.max_age());
        let question = self.question(clients, request, false);
        let until_ms = question
            .now_ms
            .saturating_add(i64::try_from(holds.as_millis()).unwrap_or(0));
        let deadline = clients.redis_deadline(request.deadline);
        if let Err(error) = clients
            .cache
            .store_denial(&question, code, until_ms, keep, deadline)
        {
            log::note(
                "warn",
                "redis",
                serde_json::json!({ "error": error.to_string() }),
            );
        }
    }

    fn allowed(
        &mut self,
        clients: &mut Clients,
        grant: &Grant,
        request: &AuthorizationRequest<'_>,
        reason: &str,
    ) -> Outcome {
        self.remember(request);
        Outcome {
            effect: Effect::Allow,
            reason: reason.to_owned(),
            app_id: match request.credential {
                Credential::AppId { id, .. } => Some(id.clone()),
                Credential::UserKey(_) => self.app_id(clients, &grant.application),
            },
            plan: Some(grant.application.parts().2.to_owned()),
            metric: request.usage.summary(),
            remaining: grant.remaining,
            reset_s: grant.period.and_then(|period| until_end(clients, period)),
            retry_after_s: None,
        }
    }

    fn refused(&mut self, clients: &mut Clients, decision: Decision) -> Outcome {
        match decision {
            Decision::Limited(Limited {
                application,
                period,
                metric,
                uncertain_for_ms,
                never,
            }) => {
                let reset_s = period.and_then(|period| until_end(clients, period));
                Outcome {
                    app_id: self.app_id(clients, &application),
                    plan: Some(application.parts().2.to_owned()),
                    metric,
                    remaining: Some(0),
                    reset_s,
                    retry_after_s: match uncertain_for_ms {
                        _ if never => None,
                        Some(ms) => Some(ms.div_ceil(1000).max(1)),
                        None => reset_s,
                    },
                    ..Outcome::deny("limits_exceeded")
                }
            }
            Decision::Denied { code, .. } => Outcome::deny(&code),
            Decision::Flood => too_many_unknown(),
            // Callers do not pass these. A value that is not expected is a refusal.
            Decision::Miss | Decision::Unknown | Decision::Allowed(_) => Outcome::deny("internal"),
        }
    }

    /// Decrypting a name takes longer than the rest of a hit, and the same few names repeat.
    fn app_id(&mut self, clients: &mut Clients, application: &Application) -> Option<String> {
        const MANY: usize = 512;
        if let Some(known) = self.app_id_cache.get(&application.0) {
            return known.clone();
        }
        let keys = &clients.secrets.as_ref().ok()?.keys;
        let (key, name, _) = application.parts();
        let app_id = keys.open(key, name)?.app_id;
        if self.app_id_cache.len() >= MANY {
            self.app_id_cache.clear();
        }
        self.app_id_cache
            .insert(application.0.clone(), app_id.clone());
        app_id
    }
}

/// 3scale's code for a referrer that is missing or that no filter of the application matches.
const REFERRER_NOT_ALLOWED: &str = "referrer_not_allowed";

/// Whether 3scale refused the credential only because it was asked without the referrer.
fn needs_referrer(request: &AuthorizationRequest<'_>, code: &str) -> bool {
    request.referrer.is_none() && code == REFERRER_NOT_ALLOWED
}

/// The referrer of a request. 3scale accepts `*` for every filter, so it is no referrer.
fn referrer<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    request
        .header("referer")
        .map(str::trim)
        .filter(|referrer| !referrer.is_empty())
        .last()
        .filter(|referrer| *referrer != "*" && referrer.len() <= MAX_REFERRER)
}

/// Compiles the rules. Logs how many of them can never match.
fn compiled(rules: &[RuleSettings]) -> Rules {
    let rules = Rules::new(rules);
    if rules.unusable() > 0 {
        log::note(
            "warn",
            "mapping-rules",
            serde_json::json!({ "never_match": rules.unusable() }),
        );
    }
    rules
}

/// Reads the Parameter Store if that failed before.
fn read_missing(clients: &mut Clients, deadline: Instant) {
    if clients.secrets.is_err() && clients.may_retry() {
        let left = deadline.saturating_duration_since(Instant::now());
        clients.read_secrets(left / 2);
    }
}

/// The key of the record in the cache; `None` without secrets.
fn key(clients: &Clients, credential: &Credential, referrer: Option<&str>) -> Option<String> {
    let keys = &clients.secrets.as_ref().ok()?.keys;
    let key = keys.credential(&clients.settings.service.service_id, credential);
    Some(match referrer {
        Some(referrer) => keys.referred(&key, referrer),
        None => key,
    })
}

/// Whole seconds until the current window of a period ends; `None` for eternity.
fn until_end(clients: &Clients, period: Period) -> Option<u64> {
    let now = clients.clock.now_ms();
    let end = Windows::at(now.div_euclid(1000)).end_s[period.index()];
    let left = end.checked_mul(1000)?.checked_sub(now)?;
    u64::try_from(left).ok().map(|ms| ms.div_ceil(1000))
}

fn too_many_unknown() -> Outcome {
    Outcome {
        retry_after_s: Some(1),
        ..Outcome::deny("too_many_unknown")
    }
}

fn at_once(outcome: Outcome) -> Decided {
    Decided {
        outcome,
        source: Source::Request,
        credential: None,
    }
}

/// How long a refusal is used. It is shorter for refusals that are likely to be lifted soon.
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

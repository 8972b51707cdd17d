//! The decision: cache, 3scale, and what happens when one of them or both give no answer.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::answer::{Effect, Outcome};
use crate::ask::{Asking, Known, Verdict};
use crate::backend::{Answer, Backend, Call};
use crate::breaker::{Breaker, Bucket};
use crate::cache::{self, Application, Cache, Decision, Grant, Limited, Question, Stored, Terms};
use crate::clock::Clock;
use crate::credentials::{self, Credential, Missing};
use crate::event::Request;
use crate::failure::{Cause, Failure};
use crate::http::Roots;
use crate::keys::Name;
use crate::log::{self, Metrics};
use crate::mapping::{Rules, Usage};
use crate::periods::{Period, Windows};
use crate::redis::Link;
use crate::redis::{self, RedisError};
use crate::secrets::{self, Secrets, SecretsError};
use crate::settings::{Caching, Settings};
use crate::xml::Status;

/// How long answers are kept, however old: some modes use them while 3scale is down, and in all of them they tell a
/// credential that was good from one that nobody knows.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// The Parameter Store is not asked more often than this when something we have from it does not work.
const REREAD_EVERY: Duration = Duration::from_secs(10);
/// Part of the answer's time kept for writing it.
const MARGIN: Duration = Duration::from_millis(30);

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
    /// The credential, for the log to mask.
    pub credential: Option<Credential>,
}

type HiddenCase = (Vec<String>, Vec<String>);

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
    pub(crate) configured: Vec<String>,
    pub(crate) read: Option<Instant>,
    pub(crate) breaker: Breaker,
    strangers: Bucket,
    /// Keys of credentials that passed here: no flood of others shuts them out where there is no cache to tell them apart.
    good: HashSet<String>,
    pub(crate) misconfigured: Option<(Instant, String)>,
    pub(crate) bad_metrics: Vec<(String, Instant)>,
    /// Limited metrics, and those of which it does not show whether there is a limit above them; which of these have one;
    /// since when that is known.
    pub(crate) hidden: Vec<(HiddenCase, Vec<String>, Instant)>,
    sequence: u64,
    not_before_ms: i64,
    opened: HashMap<String, Option<String>>,
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
        let cache = Cache::new(
            Link::new(redis::tls_config(roots.map(Roots::store))),
            cache::prefix(&settings.stack, &settings.service.service_id),
            process_id(),
            settings.service.max_age(),
            KEEP,
        );
        Self {
            backend: Backend::new(
                agent.clone(),
                &settings.service.backend,
                &settings.service.service_id,
            ),
            metrics: Metrics::new(&settings.stack, &settings.function),
            secrets: Err(SecretsError::Unreachable(Failure::new(
                Cause::Failed,
                "not read yet",
            ))),
            settings,
            rules,
            agent,
            cache,
            clock,
            configured,
            read: None,
            breaker: Breaker::new(3, Duration::from_millis(500), Duration::from_secs(5)),
            strangers: Bucket::new(50, Duration::from_millis(200)),
            good: HashSet::new(),
            misconfigured: None,
            bad_metrics: Vec::new(),
            hidden: Vec::new(),
            sequence: 0,
            not_before_ms: 0,
            opened: HashMap::new(),
        }
    }

    /// Reads the secrets and connects to Redis: what can be done before the first event. A caller may be waiting for it
    /// already, so all of it has one deadline.
    pub fn warm_up(&mut self) {
        let budgets = self.settings.budgets;
        let until = Instant::now() + budgets.ssm + budgets.redis;
        self.read_secrets(budgets.ssm);
        if self.secrets.is_ok() && self.settings.service.caching != Caching::None {
            // Without it the first event tries again.
            let _ = self
                .cache
                .link
                .connect(until.min(Instant::now() + budgets.redis * 2));
        }
    }

    /// Reads the Parameter Store. What was known stays if nothing new can be read.
    pub(crate) fn read_secrets(&mut self, budget: Duration) {
        // What came out is in `secrets` and in the log.
        let _ = self.try_read_secrets(budget);
    }

    /// The same, and says how it went this time.
    pub(crate) fn try_read_secrets(&mut self, budget: Duration) -> Result<(), SecretsError> {
        let read = secrets::read(
            &self.agent,
            &self.settings.aws,
            &self.settings.parameters,
            &self.settings.names,
            budget,
        );
        // From its end on: what was just waited for is not waited for again at once.
        self.read = Some(Instant::now());
        match read {
            Ok(secrets) => {
                self.cache.link.point_to(secrets.cache.clone());
                self.secrets = Ok(secrets);
                Ok(())
            }
            Err(error) => {
                log::note(
                    "error",
                    "secrets",
                    serde_json::json!({ "error": error.to_string() }),
                );
                if self.secrets.is_err() {
                    self.secrets = Err(error.clone());
                }
                Err(error)
            }
        }
    }

    /// Makes what can be made ready for work that needs Redis: the secrets, and an address that answers.
    pub(crate) fn reach_cache(&mut self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        if self.secrets.is_err() {
            // The reporter has more time than a caller.
            self.read_secrets((self.settings.budgets.ssm * 3).min(left() / 2));
        }
        let connect = |this: &mut Self| {
            let until = Instant::now() + (this.settings.budgets.redis * 5).min(left() / 2);
            this.cache.link.connect(until).is_ok()
        };
        if !connect(self) && self.may_reread() {
            self.read_secrets((self.settings.budgets.ssm * 3).min(left() / 2));
            connect(self);
        }
    }

    /// Lets the Parameter Store be read again at once.
    #[doc(hidden)]
    pub fn forget_reading(&mut self) {
        self.read = None;
    }

    pub(crate) fn may_reread(&self) -> bool {
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
            credential: Some(credential),
        }
    }

    pub(crate) fn ask(
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
            Ok(Decision::Miss) => self.miss(&asking, true),
            Ok(Decision::Unknown) => self.miss(&asking, false),
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
    /// `seen`: whether the credential is one that was good not long ago.
    fn miss(&mut self, asking: &Asking<'_>, seen: bool) -> (Outcome, Source) {
        self.metrics.add("CacheMisses", 1.0);
        if !seen && !self.strangers.allows(Instant::now()) {
            return (too_many_unknown(), Source::Request);
        }
        let asked_ms = self.clock.now_ms();
        match self.authorize(asking) {
            Verdict::Known(known) => match self.store(asking, &known, asked_ms, true) {
                Some(Ok(Some(Decision::Allowed(grant)))) => {
                    (self.allowed(&grant, asking, "authorized"), Source::Backend)
                }
                Some(Ok(Some(Decision::Miss | Decision::Unknown) | None)) | None => {
                    (Outcome::deny("internal"), Source::Backend)
                }
                Some(Ok(Some(refusal))) => (self.refused(refusal), Source::Backend),
                Some(Err(error)) => self.without_cache(asking, &error),
            },
            Verdict::Refused(code) => {
                if !seen {
                    self.strangers.refused();
                }
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
        match self.authorize(asking) {
            Verdict::Known(known) => {
                // The old answer holds for what is left of its time.
                let _ = self.store(asking, &known, asked_ms, false);
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
            Ok(Decision::Allowed(grant)) => {
                let unconfirmed = self.secrets.as_ref().is_ok_and(|secrets| {
                    secrets.keys.unconfirmed(&asking.key) == grant.application.parts().0
                });
                let reason = if unconfirmed { "outage" } else { "old_answer" };
                (self.allowed(&grant, asking, reason), Source::OldAnswer)
            }
            Ok(Decision::Miss | Decision::Unknown) if mode == Caching::Allow => {
                self.pass_unknown(asking)
            }
            Ok(Decision::Miss | Decision::Unknown) => unavailable,
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
        if self.cache.link.has_just_failed() {
            log::note(
                "error",
                "redis",
                serde_json::json!({ "error": error.to_string() }),
            );
        }
        if matches!(error, RedisError::NotDone(_)) && self.may_reread() {
            let before = self.cache.link.endpoint().cloned();
            let left = asking.deadline.saturating_duration_since(Instant::now());
            self.read_secrets(left / 3);
            if self.cache.link.endpoint() != before.as_ref() {
                match self.ask_cache(asking, false) {
                    Ok(Decision::Miss | Decision::Unknown) => return self.miss(asking, true),
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
        let stranger = !self.good.contains(&asking.key);
        if stranger && !self.strangers.allows(Instant::now()) {
            return (too_many_unknown(), Source::Request);
        }
        let Some(answer) = self.call(Call::AuthRep, asking, &asking.usage.0) else {
            return outage(self);
        };
        // What was counted past the cache is not in its sums: its answers must be newer than this.
        self.not_before_ms = self.clock.now_ms() + 1;
        match &answer {
            Answer::Authorized(..) => self.remember(asking),
            Answer::Denied(_) if stranger => self.strangers.refused(),
            _ => {}
        }
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

    fn remember(&mut self, asking: &Asking<'_>) {
        const MANY: usize = 16_384;
        if self.good.contains(&asking.key) {
            return;
        }
        if self.good.len() >= MANY {
            self.good.clear();
        }
        self.good.insert(asking.key.clone());
    }

    fn store(
        &mut self,
        asking: &Asking<'_>,
        known: &Known,
        asked_ms: i64,
        count: bool,
    ) -> Option<Result<Option<Decision>, RedisError>> {
        let secrets = self.secrets.as_ref().ok()?;
        let status = &known.status;
        let name = name_of(asking.credential, status.app_id.clone());
        let application = secrets
            .keys
            .application(&self.settings.service.service_id, &name);
        let sealed = secrets.keys.seal(&application, &name)?;
        let terms = crate::terms::terms(
            status,
            &known.headers,
            &known.metrics,
            &asking.usage.0,
            &known.hidden,
        );
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

    fn allowed(&mut self, grant: &Grant, asking: &Asking<'_>, reason: &str) -> Outcome {
        self.remember(asking);
        Outcome {
            effect: Effect::Allow,
            reason: reason.to_owned(),
            app_id: match asking.credential {
                Credential::AppId { id, .. } => Some(id.clone()),
                Credential::UserKey(_) => self.app_id(&grant.application),
            },
            plan: Some(grant.application.parts().2.to_owned()),
            metric: asking.usage.summary(),
            remaining: grant.remaining,
            reset: grant.period.and_then(|period| self.until_end(period)),
            retry_after: None,
        }
    }

    fn refused(&mut self, decision: Decision) -> Outcome {
        match decision {
            Decision::Limited(Limited {
                application,
                period,
                metric,
                settles_ms,
            }) => {
                let reset = period.and_then(|period| self.until_end(period));
                Outcome {
                    app_id: self.app_id(&application),
                    plan: Some(application.parts().2.to_owned()),
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
            Decision::Flood => too_many_unknown(),
            // Never handed in; a refusal is what an unexpected answer must become.
            Decision::Miss | Decision::Unknown | Decision::Allowed(_) => Outcome::deny("internal"),
        }
    }

    /// Whole seconds until the current window of a period ends; none for eternity.
    fn until_end(&self, period: Period) -> Option<u64> {
        let now = self.clock.now_ms();
        let end = Windows::at(now.div_euclid(1000)).end[period.index()];
        let left = end.checked_mul(1000)?.checked_sub(now)?;
        u64::try_from(left).ok().map(|ms| ms.div_ceil(1000))
    }

    /// Opening a name costs more than anything else in a hit, and the same few come again and again.
    fn app_id(&mut self, application: &Application) -> Option<String> {
        const MANY: usize = 512;
        if let Some(known) = self.opened.get(&application.0) {
            return known.clone();
        }
        let keys = &self.secrets.as_ref().ok()?.keys;
        let (key, name, _) = application.parts();
        let app_id = keys.open(key, name)?.app_id;
        if self.opened.len() >= MANY {
            self.opened.clear();
        }
        self.opened.insert(application.0.clone(), app_id.clone());
        app_id
    }
}

fn too_many_unknown() -> Outcome {
    Outcome {
        retry_after: Some(1),
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

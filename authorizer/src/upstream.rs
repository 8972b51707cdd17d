//! The guard in front of 3scale: whether to call it, which metrics to ask about, and what its answers mean.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::backend::{Answer, Call};
use crate::breaker::Breaker;
use crate::clients::Clients;
use crate::credentials::Credential;
use crate::failure::Failure;
use crate::log;
use crate::mapping::Usage;
use crate::terms::{self, Terms};
use crate::tree::Tree;
use crate::xml::Status;

/// How long a metric that 3scale does not know is left out of the calls.
const UNKNOWN_METRIC: Duration = Duration::from_secs(60);
/// How long 3scale is not called after it refused our own setup.
const MISCONFIGURED: Duration = Duration::from_secs(2);
/// How long a credential is not asked about again after an unclear refusal.
pub(crate) const UNCLEAR: Duration = Duration::from_secs(5);
/// How many unclear refusals are kept.
const MAX_UNCLEAR: usize = 1024;
/// The time between two questions whether unclear refusals are about our own setup, if it is not at fault.
const SUSPECTED_EVERY: Duration = Duration::from_secs(5);
/// A credential that no one has, for that question.
const NO_ONE: &str = "threescale-gw-self-test";
/// The longest usage part of a call, in bytes. The whole query string must stay below 10,240.
const MAX_USAGE: usize = 5000;
/// How long it is used what 3scale's answers showed about the tree of metrics.
const TREE: Duration = Duration::from_secs(600);

/// What 3scale's answer means for the decision on a request.
pub(crate) enum Verdict {
    Known(Known),
    Refused(String),
    /// A refusal that is neither about the credential nor about our own setup. It is for this credential alone, and
    /// only for a few seconds.
    Unclear,
    Broken,
    NoAnswer,
}

/// An answer about an application, with what is needed to compute its terms.
pub(crate) struct Known {
    pub(crate) status: Box<Status>,
    /// The limits of the plan, and the metrics of the call with those that they count toward.
    pub(crate) terms: Terms,
}

/// A request, as the calls of 3scale and Redis need it.
pub(crate) struct AuthorizationRequest<'a> {
    pub(crate) credential: &'a Credential,
    /// The key of the credential, or of the credential with the referrer.
    pub(crate) key: String,
    /// The referrer, if an answer about this credential depends on it.
    pub(crate) referrer: Option<&'a str>,
    /// The key of the caller's address; empty if it is not known or not needed.
    pub(crate) source: String,
    pub(crate) usage: &'a Usage,
    pub(crate) deadline: Instant,
}

/// The guard in front of 3scale: decides whether to ask, what to ask about, and what the answer means.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// All metrics of the mapping rules.
    configured: Vec<String>,
    breaker: Breaker,
    misconfigured: Option<Misconfigured>,
    unclear: Unclear,
    /// Metrics that 3scale does not know, with the time of its answer.
    unknown_metrics: Vec<(String, Instant)>,
    /// What is known about the metrics, and since when.
    tree: Tree,
    tree_since: Instant,
}

/// 3scale's refusal of our own setup.
#[derive(Debug)]
struct Misconfigured {
    since: Instant,
    code: String,
}

/// Refusals that are neither about the credential nor about our own setup.
#[derive(Debug, Default)]
struct Unclear {
    /// By the credential's key: until when it is refused, and the answer.
    refused: HashMap<String, (Instant, String)>,
    /// When a question about a credential that no one has showed that our own setup is not at fault.
    setup_good: Option<Instant>,
}

impl Unclear {
    /// The answer about this credential, if it is recent.
    fn about(&self, key: &str, now: Instant) -> Option<String> {
        let (until, code) = self.refused.get(key)?;
        (now < *until).then(|| code.clone())
    }

    /// Keeps an answer. Returns whether our own setup is suspected: different credentials got such an answer.
    fn keep(&mut self, key: &str, code: &str, now: Instant) -> bool {
        self.refused.retain(|_, (until, _)| now < *until);
        if self.refused.len() >= MAX_UNCLEAR {
            self.refused.clear();
        }
        self.refused
            .insert(key.to_owned(), (now + UNCLEAR, code.to_owned()));
        let good = self
            .setup_good
            .is_some_and(|since| now - since < SUSPECTED_EVERY);
        self.refused.len() > 1 && !good
    }
}

impl Upstream {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            breaker: Breaker::new(3, Duration::from_millis(500), Duration::from_secs(5)),
            misconfigured: None,
            unclear: Unclear::default(),
            unknown_metrics: Vec::new(),
            tree: Tree::default(),
            tree_since: Instant::now(),
        }
    }

    /// All metrics of the mapping rules.
    pub(crate) fn configured(&self) -> &[String] {
        &self.configured
    }

    /// Ends the pauses after earlier failures.
    pub(crate) fn reset(&mut self) {
        self.breaker.success();
        self.misconfigured = None;
        self.unclear = Unclear::default();
    }

    /// How long to wait for 3scale. An `authorize` call leaves time for Redis, which stores the answer.
    fn backend_time(
        clients: &Clients,
        call: Call,
        request: &AuthorizationRequest<'_>,
        now: Instant,
    ) -> Duration {
        let left = request.deadline.saturating_duration_since(now);
        match call {
            Call::Authorize => left
                .saturating_sub(clients.settings.budgets.redis)
                .max(left / 2),
            Call::AuthRep => left,
        }
    }

    /// Calls 3scale once, unless it has just failed too often or has refused our own setup. If 3scale refuses the
    /// service token, the token may have been replaced: then reads it again and repeats the call. A refused call is not
    /// counted.
    pub(crate) fn call(
        &mut self,
        clients: &mut Clients,
        call: Call,
        request: &AuthorizationRequest<'_>,
        usage: &[(String, u64)],
    ) -> Option<Answer> {
        let mut answer = self.call_once(clients, call, request, usage)?;
        if matches!(answer, Answer::Misconfigured(_)) {
            let left = request.deadline.saturating_duration_since(Instant::now());
            if !clients.may_reread() || !clients.reread_token(left / 2) {
                return Some(answer);
            }
            self.misconfigured = None;
            answer = self.call_once(clients, call, request, usage)?;
        }
        Some(answer)
    }

    fn call_once(
        &mut self,
        clients: &mut Clients,
        call: Call,
        request: &AuthorizationRequest<'_>,
        usage: &[(String, u64)],
    ) -> Option<Answer> {
        let now = Instant::now();
        if let Some(misconfigured) = &self.misconfigured {
            if now - misconfigured.since < MISCONFIGURED {
                return Some(Answer::Misconfigured(misconfigured.code.clone()));
            }
            self.misconfigured = None;
        }
        if let Some(code) = self.unclear.about(&request.key, now) {
            return Some(Answer::Unclear(code));
        }
        if !self.breaker.allows(now) {
            return None;
        }
        let time = Self::backend_time(clients, call, request, now);
        let answer = Self::ask(
            clients,
            call,
            request.credential,
            request.referrer,
            usage,
            time,
        )?;
        match &answer {
            Answer::None(why, wait) => self.failed(clients, why, *wait),
            Answer::Misconfigured(code) => self.refuse_all(clients, code),
            Answer::Unclear(code) => {
                self.breaker.success();
                log::note(
                    "error",
                    "answer-unclear",
                    serde_json::json!({ "answer": code, "credential": request.credential.masked() }),
                );
                if self.unclear.keep(&request.key, code, Instant::now())
                    && let Some(code) = self.setup_refused(clients, request)
                {
                    return Some(Answer::Misconfigured(code));
                }
            }
            _ => self.breaker.success(),
        }
        Some(answer)
    }

    fn ask(
        clients: &mut Clients,
        call: Call,
        credential: &Credential,
        referrer: Option<&str>,
        usage: &[(String, u64)],
        time: Duration,
    ) -> Option<Answer> {
        let started = Instant::now();
        let token = &clients.secrets.as_ref().ok()?.service_token;
        let usage = usage
            .iter()
            .map(|(metric, amount)| (metric.as_str(), *amount));
        let answer = clients
            .backend
            .ask_referred(call, token, credential, referrer, usage, time);
        clients.metrics.add("BackendCalls", 1.0);
        clients.metrics.took("BackendLatency", started.elapsed());
        Some(answer)
    }

    fn failed(&mut self, clients: &mut Clients, why: &Failure, wait: Option<Duration>) {
        let now = Instant::now();
        match wait {
            Some(wait) => self.breaker.failure_for(now, wait),
            None => self.breaker.failure(now),
        }
        clients.metrics.add("BackendErrors", 1.0);
        let wait = wait.map(|wait| wait.as_secs());
        log::note(
            "error",
            "backend",
            serde_json::json!({ "error": why.text, "retry_after": wait }),
        );
    }

    /// Our own setup is refused: 3scale is not called for a moment.
    fn refuse_all(&mut self, clients: &mut Clients, code: &str) {
        self.breaker.success();
        self.misconfigured = Some(Misconfigured {
            since: Instant::now(),
            code: code.to_owned(),
        });
        clients.metrics.add("Misconfigured", 1.0);
        log::note(
            "error",
            "misconfigured",
            serde_json::json!({ "code": code }),
        );
    }

    /// Different credentials got an unclear refusal. A question about a credential that no one has, with the usual
    /// metrics, decides whether our own setup is at fault: 3scale answers it if it gets it. Returns the answer that
    /// shows that it is.
    fn setup_refused(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
    ) -> Option<String> {
        let no_one = match request.credential {
            Credential::UserKey(_) => Credential::UserKey(NO_ONE.to_owned()),
            Credential::AppId { .. } => Credential::AppId {
                id: NO_ONE.to_owned(),
                key: None,
            },
        };
        let usage: Vec<(String, u64)> = self
            .metrics_with(request.usage)
            .into_iter()
            .map(|metric| (metric, 0))
            .collect();
        let time = Self::backend_time(clients, Call::Authorize, request, Instant::now());
        match Self::ask(clients, Call::Authorize, &no_one, None, &usage, time)? {
            Answer::None(why, wait) => self.failed(clients, &why, wait),
            Answer::Misconfigured(code) | Answer::Unclear(code) => {
                self.refuse_all(clients, &code);
                return Some(code);
            }
            Answer::Authorized(..)
            | Answer::LimitsExceeded(..)
            | Answer::Denied(_)
            | Answer::MetricInvalid(_) => self.unclear.setup_good = Some(Instant::now()),
        }
        None
    }

    /// Asks 3scale about the caller and, in the same call, about all metrics of the mapping rules, so that one answer
    /// is enough for every kind of request. A metric that 3scale does not know is left out for one minute.
    pub(crate) fn authorize(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
    ) -> Verdict {
        for _ in 0..4 {
            let metrics = self.metrics_with(request.usage);
            let usage: Vec<(String, u64)> = metrics
                .iter()
                .map(|metric| {
                    let amount = request.usage.0.iter().find(|(name, _)| name == metric);
                    (metric.clone(), amount.map_or(0, |(_, amount)| *amount))
                })
                .collect();
            let Some(answer) = self.call(clients, Call::Authorize, request, &usage) else {
                return Verdict::NoAnswer;
            };
            let verdict = match answer {
                Answer::Authorized(status, _) => {
                    Verdict::Known(self.known(clients, request, status, &metrics))
                }
                // The header may be about a metric that this request does not use.
                Answer::LimitsExceeded(Some(status), _) => {
                    self.limited(clients, request, status, &metrics, &usage)
                }
                Answer::LimitsExceeded(None, _) => Verdict::Refused("limits_exceeded".to_owned()),
                Answer::Denied(code) => Verdict::Refused(code),
                Answer::Misconfigured(_) => Verdict::Broken,
                Answer::Unclear(_) => Verdict::Unclear,
                Answer::None(..) => Verdict::NoAnswer,
                Answer::MetricInvalid(name) => {
                    let used = |name: &str| request.usage.0.iter().any(|(used, _)| used == name);
                    log::note(
                        "error",
                        "metric-unknown",
                        serde_json::json!({ "metric": name }),
                    );
                    match name {
                        Some(name) if metrics.contains(&name) && !used(&name) => {
                            self.unknown_metrics.push((name, Instant::now()));
                        }
                        _ if metrics.len() > request.usage.0.len() => {
                            let now = Instant::now();
                            self.unknown_metrics.extend(
                                metrics
                                    .into_iter()
                                    .filter(|name| !used(name))
                                    .map(|name| (name, now)),
                            );
                        }
                        _ => {
                            return Verdict::Broken;
                        }
                    }
                    continue;
                }
            };
            return verdict;
        }
        // 3scale named another unknown metric each time. That is not an outage, so no caching mode may allow the
        // request.
        Verdict::Broken
    }

    fn known(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        status: Box<Status>,
        metrics: &[String],
    ) -> Known {
        let terms = self.terms(clients, request, &status, metrics);
        Known { status, terms }
    }

    /// 3scale may refuse because of the limit of a metric that this request does not use. If the reported limits
    /// explain the refusal, the scripts decide by them; otherwise the request is refused.
    fn limited(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        status: Box<Status>,
        metrics: &[String],
        usage: &[(String, u64)],
    ) -> Verdict {
        let known = self.known(clients, request, status, metrics);
        if terms::explained(&known.terms, usage) {
            Verdict::Known(known)
        } else {
            Verdict::Refused("limits_exceeded".to_owned())
        }
    }

    /// Which limits the metrics count toward. What the answer does not show is asked, in the first half of the time for
    /// this request. It is about the service, so it is kept for a while and used for all applications.
    fn terms(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        status: &Status,
        metrics: &[String],
    ) -> Terms {
        if self.tree_since.elapsed() >= TREE {
            self.tree = Tree::default();
            self.tree_since = Instant::now();
        }
        let mut tree = std::mem::take(&mut self.tree);
        let until = request
            .deadline
            .checked_sub(clients.settings.budgets.answer / 2);
        let now_s = clients.clock.now_ms().div_euclid(1000);
        tree.explore(status, metrics, now_s, &mut |usage| {
            if until.is_none_or(|until| Instant::now() >= until) {
                return None;
            }
            match self.call(clients, Call::Authorize, request, usage)? {
                Answer::Authorized(status, headers)
                | Answer::LimitsExceeded(Some(status), headers) => Some((*status, headers)),
                _ => None,
            }
        });
        let terms = tree.terms(status, metrics);
        self.tree = tree;
        terms
    }

    /// The request's metrics and, as far as they fit, all other metrics of the mapping rules that 3scale knows.
    pub(crate) fn metrics_with(&mut self, usage: &Usage) -> Vec<String> {
        let now = Instant::now();
        self.unknown_metrics
            .retain(|(_, since)| now - *since < UNKNOWN_METRIC);
        let mut metrics: Vec<String> = usage.0.iter().map(|(metric, _)| metric.clone()).collect();
        let length = |metric: &str| {
            form_urlencoded::byte_serialize(metric.as_bytes())
                .map(str::len)
                .sum::<usize>()
                + 16
        };
        let mut size: usize = metrics.iter().map(|metric| length(metric) + 16).sum();
        for metric in &self.configured {
            size += length(metric);
            if size > MAX_USAGE {
                break;
            }
            let bad = self.unknown_metrics.iter().any(|(bad, _)| bad == metric);
            if !bad && !metrics.contains(metric) {
                metrics.push(metric.clone());
            }
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclear_refusal_is_for_one_credential_and_ends() {
        let mut unclear = Unclear::default();
        let start = Instant::now();
        assert!(!unclear.keep("a", "status 403", start));
        assert!(!unclear.keep("a", "status 403", start));
        assert_eq!(unclear.about("a", start).as_deref(), Some("status 403"));
        assert_eq!(unclear.about("b", start), None);
        assert_eq!(unclear.about("a", start + UNCLEAR), None);
    }

    #[test]
    fn different_credentials_make_the_setup_suspect() {
        let mut unclear = Unclear::default();
        let start = Instant::now();
        assert!(!unclear.keep("a", "status 403", start));
        assert!(unclear.keep("b", "status 403", start));
        unclear.setup_good = Some(start);
        assert!(!unclear.keep("c", "status 403", start));
        let later = start + SUSPECTED_EVERY;
        assert!(
            !unclear.keep("d", "status 403", later),
            "the others are over"
        );
        assert!(unclear.keep("e", "status 403", later));
    }

    #[test]
    fn unclear_refusals_are_few() {
        let mut unclear = Unclear::default();
        let start = Instant::now();
        for n in 0..MAX_UNCLEAR * 3 {
            unclear.keep(&n.to_string(), "status 403", start);
            assert!(unclear.refused.len() <= MAX_UNCLEAR);
        }
    }
}

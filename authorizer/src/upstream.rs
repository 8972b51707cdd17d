//! The guard in front of 3scale: whether to call it, which metrics to ask about, and what its answers mean.

use std::time::{Duration, Instant};

use crate::backend::{Answer, Call};
use crate::breaker::Breaker;
use crate::clients::Clients;
use crate::credentials::Credential;
use crate::log;
use crate::mapping::Usage;
use crate::terms::{self, Terms};
use crate::tree::Tree;
use crate::xml::Status;

/// How long a metric that 3scale does not know is left out of the calls.
const UNKNOWN_METRIC: Duration = Duration::from_secs(60);
/// How long 3scale is not called after it refused our own setup.
const MISCONFIGURED: Duration = Duration::from_secs(2);
/// The longest usage part of a call, in bytes. The whole query string must stay below 10,240.
const MAX_USAGE: usize = 5000;
/// How long it is used what 3scale's answers showed about the tree of metrics.
const TREE: Duration = Duration::from_secs(600);

/// What 3scale's answer means for the decision on a request.
pub(crate) enum Verdict {
    Known(Known),
    Refused(String),
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

impl Upstream {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            breaker: Breaker::new(3, Duration::from_millis(500), Duration::from_secs(5)),
            misconfigured: None,
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
        let answer = self.call_once(clients, call, request, usage)?;
        let Answer::Misconfigured(_) = answer else {
            return Some(answer);
        };
        let left = request.deadline.saturating_duration_since(Instant::now());
        if !clients.may_reread() || !clients.reread_token(left / 2) {
            return Some(answer);
        }
        self.misconfigured = None;
        self.call_once(clients, call, request, usage)
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
        if !self.breaker.allows(now) {
            return None;
        }
        let token = &clients.secrets.as_ref().ok()?.service_token;
        let answer = clients.backend.ask_referred(
            call,
            token,
            request.credential,
            request.referrer,
            usage
                .iter()
                .map(|(metric, amount)| (metric.as_str(), *amount)),
            Self::backend_time(clients, call, request, now),
        );
        clients.metrics.add("BackendCalls", 1.0);
        clients.metrics.took("BackendLatency", now.elapsed());
        match &answer {
            Answer::None(why) => {
                self.breaker.failure(Instant::now());
                clients.metrics.add("BackendErrors", 1.0);
                log::note("error", "backend", serde_json::json!({ "error": why.text }));
            }
            Answer::Misconfigured(code) => {
                self.breaker.success();
                self.misconfigured = Some(Misconfigured {
                    since: Instant::now(),
                    code: code.clone(),
                });
                clients.metrics.add("Misconfigured", 1.0);
                log::note(
                    "error",
                    "misconfigured",
                    serde_json::json!({ "code": code }),
                );
            }
            _ => self.breaker.success(),
        }
        Some(answer)
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
                Answer::None(_) => Verdict::NoAnswer,
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

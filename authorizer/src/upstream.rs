//! The guard in front of 3scale: whether to call it, which metrics to ask about, and what its answers mean.

use std::time::{Duration, Instant};

use crate::backend::{Answer, Call, Headers};
use crate::breaker::Breaker;
use crate::clients::Clients;
use crate::credentials::Credential;
use crate::log;
use crate::mapping::Usage;
use crate::terms;
use crate::xml::Status;

/// How long a metric that 3scale does not know is left out of the calls.
const UNKNOWN_METRIC: Duration = Duration::from_secs(60);
/// How long 3scale is not called after it refused our own setup.
const MISCONFIGURED: Duration = Duration::from_secs(2);
/// The longest usage part of a call, in bytes. The whole query string must stay below 10,240.
const MAX_USAGE: usize = 5000;
/// How long the result about limited ancestors is used.
const LIMITED_ANCESTORS: Duration = Duration::from_secs(600);
/// Up to this number of metrics, each one is asked about separately.
const MAX_PROBES: usize = 8;

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
    pub(crate) headers: Headers,
    /// The metrics of the call.
    pub(crate) metrics: Vec<String>,
    /// The metrics that have a limited ancestor that the answer does not show.
    pub(crate) limited_ancestors: Vec<String>,
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
    limited_ancestors: Vec<LimitedAncestors>,
}

/// 3scale's refusal of our own setup.
#[derive(Debug)]
struct Misconfigured {
    since: Instant,
    code: String,
}

/// Which metrics have a limited ancestor that 3scale's answer does not show. The result depends on the service and the
/// plan, which the two lists identify, and not on the application.
#[derive(Debug)]
struct LimitedAncestors {
    /// The metrics with limits.
    limited: Vec<String>,
    /// The metrics for which the answer does not show whether they have a limited ancestor.
    undetermined: Vec<String>,
    /// Those of them that have one.
    found: Vec<String>,
    since: Instant,
}

impl Upstream {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            breaker: Breaker::new(3, Duration::from_millis(500), Duration::from_secs(5)),
            misconfigured: None,
            unknown_metrics: Vec::new(),
            limited_ancestors: Vec::new(),
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
                Answer::Authorized(status, headers) => {
                    Verdict::Known(self.known(clients, request, status, headers, metrics))
                }
                // The header may be about a metric that this request does not use.
                Answer::LimitsExceeded(Some(status), _) => {
                    self.limited(clients, request, status, metrics, &usage)
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
        headers: Headers,
        metrics: Vec<String>,
    ) -> Known {
        let limited_ancestors = self.limited_ancestors(clients, request, &status, &metrics);
        Known {
            status,
            headers,
            metrics,
            limited_ancestors,
        }
    }

    /// 3scale may refuse because of the limit of a metric that this request does not use. If the reported limits
    /// explain the refusal, the scripts decide by them; otherwise the request is refused.
    fn limited(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        status: Box<Status>,
        metrics: Vec<String>,
        usage: &[(String, u64)],
    ) -> Verdict {
        let known = self.known(clients, request, status, Headers::default(), metrics);
        let terms = terms::terms(
            &known.status,
            &known.headers,
            &known.metrics,
            usage,
            &known.limited_ancestors,
        );
        if terms::explained(&terms, usage) {
            Verdict::Known(known)
        } else {
            Verdict::Refused("limits_exceeded".to_owned())
        }
    }

    /// Finds out which metrics have a limited ancestor that the answer does not show. The result depends on the service
    /// and the plan, so it is kept for a while and shared by applications. If 3scale does not tell, the metric counts
    /// as having one.
    fn limited_ancestors(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        status: &Status,
        metrics: &[String],
    ) -> Vec<String> {
        let unlisted = terms::unlisted(status, metrics);
        let orphans = terms::orphans(status, metrics);
        if unlisted.is_empty() && orphans.is_empty() {
            return Vec::new();
        }
        let mut limited: Vec<String> = status.limits.iter().map(|l| l.metric.clone()).collect();
        limited.sort();
        limited.dedup();
        let undetermined = [&unlisted[..], &orphans].concat();
        let now = Instant::now();
        self.limited_ancestors
            .retain(|memo| now - memo.since < LIMITED_ANCESTORS);
        let memo = self
            .limited_ancestors
            .iter()
            .find(|memo| memo.limited == limited && memo.undetermined == undetermined);
        if let Some(memo) = memo {
            return memo.found.clone();
        }
        let mut certain = true;
        let mut found = sift(unlisted, |metrics| {
            let answer = self.limit_applies(clients, request, metrics);
            certain &= answer.is_some();
            answer.unwrap_or(true)
        });
        found.extend(sift(orphans, |orphans| {
            let answer = self.below_hits(clients, request, status, orphans);
            certain &= answer.is_some();
            answer.unwrap_or(true)
        }));
        if certain {
            self.limited_ancestors.push(LimitedAncestors {
                limited,
                undetermined,
                found: found.clone(),
                since: now,
            });
        }
        found
    }

    /// Whether any limit applies to a usage of these metrics; `None` if 3scale does not tell.
    fn limit_applies(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        metrics: &[String],
    ) -> Option<bool> {
        let usage: Vec<(String, u64)> = metrics.iter().map(|metric| (metric.clone(), 1)).collect();
        match self.call(clients, Call::Authorize, request, &usage)? {
            Answer::Authorized(_, headers) => headers.remaining.map(|remaining| remaining != -1),
            Answer::LimitsExceeded(..) => Some(true),
            _ => None,
        }
    }

    /// Whether one of these limited metrics also counts toward the limits of `hits`; `None` if 3scale does not tell.
    fn below_hits(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        status: &Status,
        orphans: &[String],
    ) -> Option<bool> {
        let usage = terms::probe_usage(status, orphans)?;
        match self.call(clients, Call::Authorize, request, &usage)? {
            Answer::Authorized(status, _) | Answer::LimitsExceeded(Some(status), _) => {
                terms::probe_result(&usage, &status)
            }
            _ => None,
        }
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

/// The metrics for which `question` returns true. Asks about all of them at once and, if the result is true and there
/// are only a few, about each one.
fn sift(mut metrics: Vec<String>, mut question: impl FnMut(&[String]) -> bool) -> Vec<String> {
    if metrics.is_empty() || !question(&metrics) {
        return Vec::new();
    }
    if (2..=MAX_PROBES).contains(&metrics.len()) {
        metrics.retain(|metric| question(std::slice::from_ref(metric)));
    }
    metrics
}

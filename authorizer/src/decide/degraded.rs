//! Decisions while 3scale or Redis does not answer, and those of services that use no Redis.

use std::time::Instant;

use super::{Authorizer, Source, app_id, denial_holds, name_of, needs_referrer, too_many_unknown};
use crate::answer::{Effect, Outcome};
use crate::backend::{Answer, Call};
use crate::cache::{Decision, Question, Stored};
use crate::clients::Clients;
use crate::log;
use crate::mapping::Usage;
use crate::redis::RedisError;
use crate::settings::Caching;
use crate::terms::Terms;
use crate::upstream::AuthorizationRequest;

impl Authorizer {
    /// 3scale does not answer: the caching mode decides, as in APIcast.
    pub(super) fn outage(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
    ) -> (Outcome, Source) {
        let mode = clients.settings.service.caching;
        let unavailable = (Outcome::deny("backend_unavailable"), Source::Mode);
        if !matches!(mode, Caching::Resilient | Caching::Allow) {
            return unavailable;
        }
        match self.ask_cache(clients, request, true) {
            Ok(Decision::Allowed(grant)) => {
                let unconfirmed = clients.secrets.as_ref().is_ok_and(|secrets| {
                    secrets.keys.unconfirmed(&request.key) == grant.application.parts().0
                });
                let reason = if unconfirmed { "outage" } else { "old_answer" };
                (
                    self.allowed(clients, &grant, request, reason),
                    Source::OldAnswer,
                )
            }
            Ok(Decision::Miss | Decision::Unknown) if mode == Caching::Allow => {
                self.pass_unknown(clients, request)
            }
            Ok(Decision::Miss | Decision::Unknown) => unavailable,
            Ok(refusal) => (self.refused(clients, refusal), Source::OldAnswer),
            Err(_) if mode == Caching::Allow => self.pass_uncounted(clients, request),
            Err(_) => unavailable,
        }
    }

    /// In the mode `allow`, a caller without any record is allowed and counted under the credential that it sent. The
    /// reporter finds out whether the credential belongs to an application.
    fn pass_unknown(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
    ) -> (Outcome, Source) {
        let Ok(secrets) = &clients.secrets else {
            return (Outcome::deny("not_ready"), Source::Mode);
        };
        let name = name_of(request.credential, None);
        let application = secrets.keys.unconfirmed(&request.key);
        let Some(sealed) = secrets.keys.seal(&application, &name) else {
            return (Outcome::deny("internal"), Source::Mode);
        };
        let terms = Terms {
            limits: Vec::new(),
            metrics: self
                .upstream
                .metrics_with(request.usage)
                .into_iter()
                .map(|metric| (metric, Vec::new()))
                .collect(),
        };
        let stored = Stored {
            application: &application,
            name: &sealed,
            plan: "",
            terms: &terms,
            // Always too old, so that the next request calls 3scale again.
            asked_at_ms: 0,
            count: true,
            referred: request.referrer.is_some(),
        };
        let question = self.question(clients, request, true);
        let deadline = clients.redis_deadline(request.deadline);
        match clients.cache.store(&question, &stored, deadline) {
            Ok(Some(Decision::Allowed(grant))) => (
                self.allowed(clients, &grant, request, "outage"),
                Source::Mode,
            ),
            _ => self.pass_uncounted(clients, request),
        }
    }

    /// In the mode `allow`, a request is allowed even if nothing can count it.
    fn pass_uncounted(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
    ) -> (Outcome, Source) {
        if clients.settings.mode.reports() {
            lost(clients, request.usage);
        }
        let mut outcome = Outcome::deny("outage");
        outcome.effect = Effect::Allow;
        (outcome, Source::Mode)
    }

    /// Redis does not answer: tries a new endpoint if there is one, otherwise calls 3scale, which then decides and
    /// counts.
    pub(super) fn without_cache(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
        error: &RedisError,
    ) -> (Outcome, Source) {
        clients.metrics.add("RedisErrors", 1.0);
        if clients.cache.redis.was_attempted() {
            log::note(
                "error",
                "redis",
                serde_json::json!({ "error": error.to_string() }),
            );
        }
        let not_done = matches!(error, RedisError::NotDone(_));
        // A cache that changes its TLS or its token ends the connection and accepts no new one: the request may have
        // been counted before.
        let reread = not_done || clients.cache.redis.is_unreachable();
        if reread && clients.may_reread() {
            let before = clients.cache.redis.endpoint().cloned();
            let left = request.deadline.saturating_duration_since(Instant::now());
            clients.read_secrets(left / 3);
            if clients.cache.redis.endpoint() != before.as_ref() {
                let question = Question {
                    repeated: !not_done,
                    ..self.question(clients, request, false)
                };
                match Self::ask_redis(clients, request, &question) {
                    Ok(Decision::Miss | Decision::Unknown) => {
                        return self.miss(clients, request, true);
                    }
                    Ok(Decision::Allowed(grant)) => {
                        return (
                            self.allowed(clients, &grant, request, "authorized"),
                            Source::Cache,
                        );
                    }
                    Ok(refusal) => return (self.refused(clients, refusal), Source::Cache),
                    Err(_) => {}
                }
            }
        }
        self.direct(clients, request)
    }

    /// 3scale decides and counts in one call, without Redis.
    pub(super) fn direct(
        &mut self,
        clients: &mut Clients,
        request: &AuthorizationRequest<'_>,
    ) -> (Outcome, Source) {
        let outage = |this: &mut Self, clients: &mut Clients| match clients.settings.service.caching
        {
            Caching::Allow => match this.memory.last_refusal(&request.key) {
                Some(code) => (Outcome::deny(code), Source::Memory),
                None => this.pass_uncounted(clients, request),
            },
            Caching::Resilient if this.memory.is_accepted(&request.key) => {
                let (outcome, _) = this.pass_uncounted(clients, request);
                let reason = "old_answer".to_owned();
                (Outcome { reason, ..outcome }, Source::Memory)
            }
            _ => (Outcome::deny("backend_unavailable"), Source::Mode),
        };
        let unknown = !self.known_good_keys.contains(&request.key);
        if unknown
            && !self
                .unknown_key_limiter
                .allows(&request.source, Instant::now())
        {
            return (too_many_unknown(), Source::Request);
        }
        let call = match clients.settings.mode.reports() {
            true => Call::AuthRep,
            // 3scale checks the limits, and counts nothing.
            false => Call::Authorize,
        };
        let Some(answer) = self.upstream.call(clients, call, request, &request.usage.0) else {
            return outage(self, clients);
        };
        // Redis does not contain what was counted without it, so answers from before this time are not used any more.
        self.not_before_ms = clients.clock.now_ms() + 1;
        match &answer {
            Answer::Authorized(..) => self.remember(request),
            Answer::Denied(code) if unknown && !needs_referrer(request, code) => self
                .unknown_key_limiter
                .refused(&request.source, Instant::now()),
            Answer::Unclear(_) if unknown => self
                .unknown_key_limiter
                .refused(&request.source, Instant::now()),
            _ => {}
        }
        if clients.settings.service.remembers() {
            self.memorize(clients, request, &answer);
        }
        let outcome = match answer {
            Answer::Authorized(status, headers) => Outcome {
                effect: Effect::Allow,
                reason: "authorized".to_owned(),
                app_id: app_id(request.credential, &status),
                plan: Some(status.plan.clone()),
                metric: request.usage.summary(),
                remaining: headers.remaining.and_then(|n| u64::try_from(n).ok()),
                reset_s: headers.reset_s.and_then(|n| u64::try_from(n).ok()),
                retry_after_s: None,
            },
            Answer::LimitsExceeded(status, headers) => {
                let reset_s = headers.reset_s.and_then(|n| u64::try_from(n).ok());
                let never = status
                    .as_ref()
                    .is_some_and(|status| crate::terms::never_fits(status, &request.usage.0));
                Outcome {
                    app_id: status
                        .as_ref()
                        .and_then(|status| app_id(request.credential, status)),
                    plan: status.map(|status| status.plan.clone()),
                    metric: request.usage.summary(),
                    remaining: Some(0),
                    reset_s,
                    retry_after_s: reset_s.filter(|_| !never),
                    ..Outcome::deny("limits_exceeded")
                }
            }
            Answer::Denied(code) => Outcome::deny(&code),
            Answer::Unclear(_) => Outcome::deny("denied"),
            Answer::MetricInvalid(_) | Answer::Misconfigured(_) => Outcome::deny("misconfigured"),
            Answer::None(..) => return outage(self, clients),
        };
        (outcome, Source::Direct)
    }

    fn memorize(&mut self, clients: &Clients, request: &AuthorizationRequest<'_>, answer: &Answer) {
        match answer {
            Answer::Authorized(..) | Answer::LimitsExceeded(..) => self.memory.accept(&request.key),
            Answer::Denied(code) if !needs_referrer(request, code) => {
                let holds = denial_holds(code).min(clients.settings.service.max_age());
                let now_ms = clients.clock.now_ms();
                self.memory.refuse(&request.key, code, now_ms, holds);
            }
            _ => {}
        }
    }
}

fn lost(clients: &mut Clients, usage: &Usage) {
    let sum: u64 = usage.0.iter().map(|(_, amount)| amount).sum();
    clients.metrics.add("LostUsage", sum as f64);
    log::note(
        "error",
        "usage-lost",
        serde_json::json!({ "usage": usage.summary() }),
    );
}

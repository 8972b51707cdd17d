//! The function: setup, events in, answers out, and one log line for each decision.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::answer::{self, Effect};
use crate::breaker::TokenBucket;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::credentials::Credential;
use crate::decide::{Authorizer, Decided};
use crate::event::{self, Event, Request};
use crate::http::RootCertificates;
use crate::log;
use crate::observe;
use crate::reporter::Reporter;
use crate::runtime::{Invocation, Reply, Runtime, RuntimeError};
use crate::selftest;
use crate::settings::{Mode, Role, Settings, UsageKey};
use crate::trace;

/// How long before Lambda's own time-out the answer must be ready.
const BEFORE_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs the function until Lambda ends the process.
#[must_use]
pub fn run() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = match Settings::read(&variable) {
        Ok(settings) => settings,
        Err(error) => return cannot_start(&variable, &error.to_string()),
    };
    let roots = match settings
        .ca_file
        .as_deref()
        .map(RootCertificates::read)
        .transpose()
    {
        Ok(roots) => roots,
        Err(error) => {
            return cannot_start(&variable, &format!("THREESCALE_GW_CA_FILE: {error}"));
        }
    };
    let mut runtime = Runtime::new(&settings.runtime_api);
    let mut function = Function::new(settings, roots.as_ref());
    match serve(&mut runtime, &mut function) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => stopped(&error),
    }
}

fn stopped(error: &RuntimeError) -> ExitCode {
    log::note("error", "runtime", json!({ "error": error.to_string() }));
    ExitCode::FAILURE
}

/// Ends the process, or allows every request if the authorizer observes.
fn cannot_start(variable: &dyn Fn(&str) -> Option<String>, why: &str) -> ExitCode {
    log::note("error", "start", json!({ "error": why }));
    let Some(address) = variable("AWS_LAMBDA_RUNTIME_API") else {
        return ExitCode::FAILURE;
    };
    let mut runtime = Runtime::new(&address);
    let is_authorizer = variable("THREESCALE_GW_ROLE").as_deref() == Some("authorizer");
    if is_authorizer && Mode::read(variable).is_ok_and(Mode::observes) {
        return match observe::serve(&mut runtime, why) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => stopped(&error),
        };
    }
    // If this fails too, the log line is enough.
    let _ = runtime.init_error(why);
    ExitCode::FAILURE
}

/// The longest path in the log, in bytes.
const MAX_PATH: usize = 200;

/// The path of a request that matches no mapping rule, which shows what is missing.
fn unmatched<'a>(reason: &str, path: &'a str) -> Option<&'a str> {
    let is_unmatched = matches!(reason, "no_mapping_rule" | "path_ambiguous");
    is_unmatched.then(|| &path[..path.floor_char_boundary(MAX_PATH)])
}

/// The key for usage plans, if it is known.
fn usage_key(wanted: Option<UsageKey>, decided: &Decided) -> Option<&str> {
    match (wanted?, &decided.credential) {
        (UsageKey::UserKey, Some(Credential::UserKey(key))) => Some(key),
        (UsageKey::AppId, Some(Credential::AppId { id, .. })) => Some(id),
        (UsageKey::AppId, _) => decided.outcome.app_id.as_deref(),
        (UsageKey::UserKey, _) => None,
    }
}

fn serve(runtime: &mut Runtime, function: &mut Function) -> Result<(), RuntimeError> {
    loop {
        let invocation = runtime.next_invocation()?;
        let reply = function.handle(&invocation);
        runtime.reply(&invocation.request_id, &reply)?;
    }
}

/// The function, in either role.
#[derive(Debug)]
pub struct Function {
    clients: Clients,
    authorizer: Authorizer,
    reporter: Reporter,
    allowed: u64,
    /// Limits the log lines of refusals. The metrics count all of them.
    lines: TokenBucket,
}

impl Function {
    /// Creates the clients, reads the secrets, and connects to Redis.
    #[must_use]
    pub fn new(settings: Settings, roots: Option<&RootCertificates>) -> Self {
        let reporter = Reporter::new(&settings);
        let mut authorizer = Authorizer::new(&settings.service);
        let mut clients = Clients::new(settings, roots, Clock::default());
        clients.warm_up();
        authorizer.take_rules(&mut clients);
        Self {
            clients,
            authorizer,
            reporter,
            allowed: 0,
            lines: TokenBucket::new(100, Duration::from_millis(100)),
        }
    }

    /// Answers one event. Always returns an answer.
    pub fn handle(&mut self, invocation: &Invocation) -> Reply {
        let started = Instant::now();
        let deadline = invocation
            .deadline
            .checked_sub(BEFORE_TIMEOUT)
            .unwrap_or(started)
            .max(started + Duration::from_millis(50));
        // A panic must not end the process and with it the answers to the next callers. API Gateway turns a function
        // error into a 500, so the request is not allowed, unless the authorizer observes.
        let reply = catch_unwind(AssertUnwindSafe(|| {
            self.answer(invocation, started, deadline)
        }))
        .unwrap_or_else(|_| {
            self.allowed_blind(invocation, started)
                .unwrap_or_else(|| Reply::Error("internal error".to_owned()))
        });
        trace::forget();
        let now = Instant::now();
        self.clients.metrics.flush(now, false);
        self.clients.refresh(now);
        reply
    }

    fn answer(&mut self, invocation: &Invocation, started: Instant, deadline: Instant) -> Reply {
        let settings = &self.clients.settings;
        let event = event::parse_with(&invocation.event, &settings.base_paths);
        match (event, settings.role) {
            (Ok(Event::Authorize(request)), Role::Authorizer) => {
                trace::remember(&request);
                let decided = self
                    .authorizer
                    .decide(&mut self.clients, &request, deadline);
                self.note(&request, &decided, &invocation.request_id, started);
                let passed = self.clients.settings.mode.observes();
                let passed = passed.then(|| observe::passed(&decided.outcome));
                answer::write(
                    passed.as_ref().unwrap_or(&decided.outcome),
                    request.format,
                    &request.arn,
                    self.clients.settings.service.http_api_answer,
                    usage_key(self.clients.settings.service.usage_key, &decided),
                    self.clients.settings.service.limits,
                )
            }
            (Ok(Event::Scheduled), Role::Reporter) => {
                let summary = self.reporter.run(&mut self.clients, deadline);
                self.clients.metrics.flush(Instant::now(), true);
                Reply::Answer(summary.to_json().to_string().into_bytes())
            }
            (Ok(Event::SelfTest), _) => Reply::Answer(
                selftest::run(&mut self.clients, &mut self.authorizer, deadline)
                    .to_string()
                    .into_bytes(),
            ),
            (Ok(_), _) => {
                Reply::Error("this function does not accept events of this kind".to_owned())
            }
            (Err(error), _) => {
                log::note("error", "event", json!({ "error": error.to_string() }));
                self.allowed_blind(invocation, started)
                    .unwrap_or_else(|| Reply::Error(error.to_string()))
            }
        }
    }

    /// An Allow without a decision, if the authorizer observes and the event is about a request to an API.
    fn allowed_blind(&mut self, invocation: &Invocation, started: Instant) -> Option<Reply> {
        const REASON: &str = "internal";
        let settings = &self.clients.settings;
        if !settings.mode.observes() || settings.role != Role::Authorizer {
            return None;
        }
        let http_api = settings.service.http_api_answer;
        let reply = observe::blind(&invocation.event, REASON, http_api)?;
        self.clients.metrics.reason(REASON);
        observe::note_blind(&invocation.request_id, REASON, started);
        Some(reply)
    }

    fn note(&mut self, request: &Request<'_>, decided: &Decided, id: &str, started: Instant) {
        let outcome = &decided.outcome;
        let settings = &self.clients.settings;
        let (mode, limits) = (settings.mode, settings.service.limits);
        let metrics = &mut self.clients.metrics;
        metrics.reason(&outcome.reason);
        if outcome.effect != Effect::Allow {
            metrics.add("Refused", 1.0);
        }
        if decided.is_degraded(settings.service.uses_redis()) {
            metrics.add("Degraded", 1.0);
        }
        let kind = answer::kind(outcome, request.format, limits);
        let is_unauthorized = kind == answer::Kind::Unauthorized && !mode.observes();
        if is_unauthorized {
            metrics.add("Unauthorized", 1.0);
        }
        if mode.observes() {
            // Every decision is logged, so that the shares of the reasons are exact.
        } else if outcome.effect == Effect::Allow {
            let every = self.clients.settings.log_allowed;
            self.allowed += 1;
            if every == 0 || !self.allowed.is_multiple_of(every) {
                return;
            }
        } else if !self.lines.allows(started) {
            self.clients.metrics.add("LogLinesLeftOut", 1.0);
            return;
        } else {
            self.lines.refused();
            if is_unauthorized {
                // CloudWatch counts it as an error of the function: an alarm subtracts this sum from those of the same minute.
                self.clients.metrics.hurry();
            }
        }
        let (api, stage) = request.stage();
        let mut line = json!({
            "level": "info",
            "event": "decision",
            "request": id,
            "gateway_request": request.gateway_id,
            "allowed": outcome.effect == Effect::Allow,
            "reason": outcome.reason,
            "source": decided.source.word(),
            "credential": decided.credential.as_ref().map(Credential::masked),
            "api": api,
            "stage": stage,
            "method": request.method,
            "resource": request.resource,
            "metric": outcome.metric,
            "us": u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
        if let Some(path) = unmatched(&outcome.reason, &request.path) {
            line["path"] = path.into();
        }
        if mode.observes() {
            line["mode"] = mode.word().into();
            line["answer"] = kind.word().into();
        }
        log::traced(line);
    }
}

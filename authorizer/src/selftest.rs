//! The self-test: what we depend on is asked in turn, so that the CLI knows before an API depends on us.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backend::{Answer, Call};
use crate::cache::{Decision, Question};
use crate::credentials::Credential;
use crate::decide::Authorizer;
use crate::redis::Arguments;
use crate::settings::{Caching, CredentialKind};

/// A credential nobody has. 3scale must say so: then the address, the service and the token are right.
const NOBODY: &str = "threescale-gw-self-test";

/// Runs all checks and gives the answer's document.
pub fn run(authorizer: &mut Authorizer, deadline: Instant) -> Value {
    let deadline = deadline.min(Instant::now() + Duration::from_secs(8));
    let mut checks = Vec::new();
    let mut check = |name: &str, result: Result<(), String>, started: Instant| {
        checks.push(json!({
            "name": name,
            "ok": result.is_ok(),
            "ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "error": result.err(),
        }));
    };
    let started = Instant::now();
    authorizer.read_secrets(left(deadline) / 3);
    let secrets = authorizer
        .secrets
        .as_ref()
        .map(drop)
        .map_err(ToString::to_string);
    check("secrets", secrets.clone(), started);
    let started = Instant::now();
    check("redis", redis(authorizer, deadline), started);
    let started = Instant::now();
    check("threescale", threescale(authorizer, deadline), started);
    let started = Instant::now();
    check("decision", decision(authorizer, deadline), started);
    let ok = checks.iter().all(|check| check["ok"] == true);
    json!({ "ok": ok, "checks": checks })
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn redis(authorizer: &mut Authorizer, deadline: Instant) -> Result<(), String> {
    if authorizer.settings.service.caching == Caching::None {
        return Ok(());
    }
    let until = Instant::now() + left(deadline) / 3;
    authorizer
        .cache
        .link
        .command(&[b"PING"], &Arguments::default(), until)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn nobody(authorizer: &Authorizer) -> Credential {
    match authorizer
        .settings
        .service
        .credentials
        .first()
        .map(|source| source.kind)
    {
        Some(CredentialKind::AppId) => Credential::AppId {
            id: NOBODY.to_owned(),
            key: None,
        },
        _ => Credential::UserKey(NOBODY.to_owned()),
    }
}

fn threescale(authorizer: &Authorizer, deadline: Instant) -> Result<(), String> {
    let secrets = authorizer
        .secrets
        .as_ref()
        .map_err(|_| "no service token".to_owned())?;
    let answer = authorizer.backend.ask(
        Call::Authorize,
        &secrets.service_token,
        &nobody(authorizer),
        std::iter::empty(),
        left(deadline) / 2,
    );
    match answer {
        Answer::Authorized(..) | Answer::LimitsExceeded(..) => Ok(()),
        Answer::Denied(code) if code == "authentication_error" => Err(code),
        Answer::Denied(_) => Ok(()),
        Answer::MetricInvalid(_) => Err("metric_invalid".to_owned()),
        Answer::Misconfigured(code) => Err(format!("3scale refused the set-up: {code}")),
        Answer::None(why) => Err(why),
    }
}

/// The scripts run where the decisions will be made.
fn decision(authorizer: &mut Authorizer, deadline: Instant) -> Result<(), String> {
    if authorizer.settings.service.caching == Caching::None {
        return Ok(());
    }
    let secrets = authorizer
        .secrets
        .as_ref()
        .map_err(|_| "no hash key".to_owned())?;
    let key = secrets
        .keys
        .credential(&authorizer.settings.service.service_id, &nobody(authorizer));
    let question = Question {
        credential: &key,
        usage: &[("hits".to_owned(), 1)],
        now_ms: authorizer.clock.now_ms(),
        sequence: 0,
        not_before_ms: 0,
        old: false,
    };
    let until = Instant::now() + left(deadline) / 2;
    match authorizer.cache.decide(&question, until) {
        Ok(Decision::Miss | Decision::Unknown | Decision::Denied { .. }) => Ok(()),
        Ok(_) => Err("the cache knows a credential that nobody has".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

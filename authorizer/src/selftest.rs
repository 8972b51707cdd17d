//! The self-test: checks the dependencies in order, so that the CLI finds problems before an API uses the authorizer.
//!
//! Each check has a part of the time, so that one that hangs does not prevent the others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::Effect;
use crate::backend::{Known, groups};
use crate::cache::{Application, Decision, Question};
use crate::clients::Clients;
use crate::credentials::Credential;
use crate::decide::{Authorizer, Source};
use crate::failure::{Cause, Failure};
use crate::http;
use crate::keys::Name;
use crate::mapping::Usage;
use crate::redis::RedisClient;
use crate::redis::{Arguments, Endpoint, MAX_CLIENTS, Value as RedisValue, expects_tls, refusal};
use crate::secrets::Secrets;
use crate::settings::CredentialKind;

/// A credential that does not exist. If 3scale says so, the address, the service, and the token are right.
pub(crate) const UNKNOWN: &str = "threescale-gw-self-test";

/// The time for all checks. The function's own time-out is 5 s.
const ALL: Duration = Duration::from_millis(4_300);
/// The longest time of each check.
const SECRETS: Duration = Duration::from_millis(1_400);
const REDIS: Duration = Duration::from_millis(1_000);
const OTHER_WAY: Duration = Duration::from_millis(200);
const THREESCALE: Duration = Duration::from_millis(1_300);

/// Runs all checks and returns the result as a JSON document.
///
/// Three checks use only the clients. The last one also makes a decision with `authorizer`.
pub fn run(clients: &mut Clients, authorizer: &mut Authorizer, deadline: Instant) -> Value {
    let deadline = deadline.min(Instant::now() + ALL);
    let mut report = Report(Vec::new());
    let secrets = report.check("secrets", None, || {
        let left = SECRETS.min(left(deadline));
        clients
            .try_read_secrets(left)
            .map_err(|error| error.failure(&http::place(&clients.settings.aws.ssm_endpoint)))
    });
    authorizer.take_rules(clients);
    let missing = (!secrets).then_some("the secrets could not be read");
    let mut warning = None;
    let cache = report.check("redis", missing, || {
        warning = redis(clients, deadline.min(Instant::now() + REDIS))?;
        Ok(())
    });
    report.warn(warning);
    let backend = report.check("threescale", missing, || {
        let deadline = deadline.min(Instant::now() + THREESCALE);
        threescale(clients, authorizer.metrics(), cache, deadline)
    });
    let missing = missing
        .or((!cache).then_some("the check of Redis failed"))
        .or((!backend).then_some("the check of 3scale failed"));
    report.check("decision", missing, || {
        decision(clients, authorizer, deadline)
    });
    let ok = report.0.iter().all(|check| check["ok"] == true);
    json!({ "ok": ok, "checks": report.0, "mode": clients.settings.mode.word() })
}

struct Report(Vec<Value>);

impl Report {
    /// Runs one check, unless something it needs is `missing`. Returns whether it passed.
    fn check(
        &mut self,
        name: &str,
        missing: Option<&str>,
        check: impl FnOnce() -> Result<(), Failure>,
    ) -> bool {
        let started = Instant::now();
        let result = match missing {
            Some(why) => Err(Failure::new(Cause::Skipped, format!("not tried: {why}"))),
            None => check(),
        };
        let failure = result.err();
        let ok = failure.is_none();
        self.0.push(json!({
            "name": name,
            "ok": ok,
            "ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "error": failure.as_ref().map(|failure| failure.text.as_str()),
            "cause": failure.as_ref().map(|failure| failure.cause.word()),
            "warning": null,
        }));
        ok
    }

    /// Adds a warning to the last check.
    fn warn(&mut self, warning: Option<String>) {
        if let Some(check) = self.0.last_mut() {
            check["warning"] = json!(warning);
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Connects and writes a key: reading would also work on a replica or a full server. Returns a warning if the server may
/// drop what must not be lost.
fn redis(clients: &Clients, deadline: Instant) -> Result<Option<String>, Failure> {
    if !clients.settings.service.uses_redis() {
        return Ok(None);
    }
    let client = &clients.cache.redis;
    let write = || {
        let mut connection = client.probe(deadline)?;
        let key = format!("{}self-test", clients.cache.prefix);
        let words: [&[u8]; 5] = [b"SET", key.as_bytes(), b"1", b"PX", b"10000"];
        match connection.command(&words, &Arguments::default(), deadline)? {
            RedisValue::Text(text) if text == b"OK" => {}
            RedisValue::Error(error) => return Err(refusal(&error)),
            _ => {
                return Err(Failure::new(
                    Cause::Protocol,
                    "a response that is not Redis'",
                ));
            }
        }
        // CONFIG GET has the policy, too, but ElastiCache does not offer it. A user may lack the permission for INFO.
        let memory = connection.command(&[b"INFO", b"memory"], &Arguments::default(), deadline);
        Ok(match memory {
            Ok(RedisValue::Text(memory)) => evicts(&String::from_utf8_lossy(&memory)),
            _ => None,
        })
    };
    write().map_err(|failure| match client.endpoint() {
        Some(endpoint) => explain(other_way(failure, endpoint, client))
            .of(format_args!("{}:{}", endpoint.host, endpoint.port)),
        None => failure,
    })
}

/// The warning for a server that drops keys without an expiry when its memory is full, from its `INFO memory`: counted usage
/// that is not reported yet is in such keys. The other policies that evict drop nothing that a report needs.
fn evicts(memory: &str) -> Option<String> {
    let value = |name: &str| {
        let mut lines = memory.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let policy = value("maxmemory_policy").filter(|policy| policy.starts_with("allkeys-"))?;
    // Without a limit, nothing is dropped.
    let limit: u64 = value("maxmemory")?.parse().ok()?;
    let policy: String = policy
        .chars()
        .filter(char::is_ascii_graphic)
        .take(32)
        .collect();
    (limit > 0).then(|| {
        format!(
            "the eviction policy of the cache is {policy}: when its memory is full, it drops counted usage that is not reported yet"
        )
    })
}

/// A Redis server that gets TLS where it expects plain text, or the other way round, seems to hang or closes the
/// connection. This tries the other way, without credentials.
fn other_way(failure: Failure, endpoint: &Endpoint, client: &RedisClient) -> Failure {
    let worth_it = match failure.cause {
        Cause::Timeout => true,
        Cause::Protocol => !endpoint.tls,
        _ => false,
    };
    if !worth_it {
        return failure;
    }
    let other = Endpoint {
        tls: !endpoint.tls,
        user: None,
        password: None,
        fallback: Vec::new(),
        database: 0,
        ..endpoint.clone()
    };
    let deadline = Instant::now() + OTHER_WAY;
    let opened = client.open(&other, deadline);
    if endpoint.tls {
        let answered = opened
            .and_then(|mut open| open.command(&[b"PING"], &Arguments::default(), deadline))
            .is_ok();
        if answered {
            return Failure::new(
                Cause::Tls,
                "TLS: the server does not speak TLS; it answers a plain connection",
            );
        }
        return failure;
    }
    // A certificate that is not accepted also proves that the server speaks TLS.
    let encrypted = match opened {
        Ok(_) => true,
        Err(error) => {
            let why = Failure::from(error);
            matches!(
                why.cause,
                Cause::TlsChain | Cause::TlsName | Cause::TlsValidity
            )
        }
    };
    if encrypted {
        return expects_tls();
    }
    failure
}

/// Describes the codes of Redis.
fn explain(failure: Failure) -> Failure {
    let code = &failure.text;
    let text = match (failure.cause, code.as_str()) {
        (Cause::Auth, "NOAUTH") => {
            "NOAUTH: the server requires an AUTH token, but none is configured".to_owned()
        }
        (Cause::Auth, "NOPERM") => {
            "NOPERM: the user has no permission to write the keys".to_owned()
        }
        (Cause::Auth, _) => format!("{code}: the AUTH token or the user is refused"),
        (Cause::Full, MAX_CLIENTS) => {
            "the server accepts no more connections (max number of clients reached)".to_owned()
        }
        (Cause::Protocol, "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT") => {
            format!("{code}: the cache is in cluster mode, which is not supported")
        }
        (Cause::ReadOnly, "READONLY") => "READONLY: the server is a replica".to_owned(),
        (Cause::ReadOnly, _) => format!("{code}: the server accepts no writes"),
        (Cause::Full, _) => format!("{code}: the server is full and evicts nothing"),
        (Cause::Protocol, text) if text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            format!("the server answered {code}")
        }
        _ => return failure,
    };
    Failure { text, ..failure }
}

fn unknown_credential(clients: &Clients, suffix: &str) -> Credential {
    let name = format!("{UNKNOWN}{suffix}");
    match clients
        .settings
        .service
        .credentials
        .first()
        .map(|source| source.kind)
    {
        Some(CredentialKind::AppId) => Credential::AppId {
            id: name,
            key: None,
        },
        _ => Credential::UserKey(name),
    }
}

fn threescale(
    clients: &Clients,
    configured: &[String],
    cache: bool,
    deadline: Instant,
) -> Result<(), Failure> {
    let place = clients.backend.place();
    let secrets = clients
        .secrets
        .as_ref()
        .map_err(|error| error.failure(&place))?;
    let token = &secrets.service_token;
    clients
        .backend
        .check_service(token, &unknown_credential(clients, ""), left(deadline))
        .and_then(|()| {
            if cache && clients.settings.service.uses_redis() {
                metrics(clients, secrets, configured, deadline)
            } else {
                Ok(())
            }
        })
        .map_err(|failure| failure.of(format_args!("3scale, {place}")))
}

/// 3scale checks metrics only after it has found the application. The metrics are therefore checked with applications
/// from the cache, or not at all if the cache has none. Nothing is counted.
fn metrics(
    clients: &Clients,
    secrets: &Secrets,
    configured: &[String],
    deadline: Instant,
) -> Result<(), Failure> {
    let exists = |name: &Name, metrics: &[&str]| {
        let metrics = metrics.iter().copied();
        match clients.backend.application_exists(
            &secrets.service_token,
            name,
            metrics,
            left(deadline),
        ) {
            Known::Yes => Ok(true),
            Known::No => Ok(false),
            Known::Unclear(why) | Known::NoAnswer(why) => Err(why),
        }
    };
    // The check of Redis reports its failures.
    let names = applications(clients, secrets, deadline).unwrap_or_default();
    for name in names {
        for part in groups(configured) {
            if exists(&name, &part)? {
                continue;
            }
            if !exists(&name, &[])? {
                // The application does not exist any more; another one may.
                break;
            }
            for metric in part {
                if !exists(&name, &[metric])? {
                    return Err(Failure::new(
                        Cause::MetricUnknown,
                        format!("the metric {metric} of the mapping rules does not exist"),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The names of a few applications that 3scale has confirmed, from a short scan of the cache.
fn applications(
    clients: &Clients,
    secrets: &Secrets,
    deadline: Instant,
) -> Result<Vec<Name>, Failure> {
    const FEW: usize = 3;
    const LOOKS: usize = 10;
    let pattern = format!("{}a:*", clients.cache.prefix);
    let mut connection = clients.cache.redis.probe(deadline)?;
    let mut ask = |words: &[&[u8]]| match connection.command(words, &Arguments::default(), deadline)
    {
        Ok(RedisValue::Array(values)) => Ok(values),
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(Failure::from(error)),
    };
    let mut names = Vec::new();
    let mut cursor = b"0".to_vec();
    for _ in 0..LOOKS {
        let found = ask(&[
            b"SCAN",
            &cursor,
            b"MATCH",
            pattern.as_bytes(),
            b"COUNT",
            b"1000",
        ])?;
        // For example, the user lacks the permission. Then no application is found.
        let [RedisValue::Text(next), RedisValue::Array(keys)] = &found[..] else {
            break;
        };
        for key in keys {
            let RedisValue::Text(key) = key else { continue };
            let values = ask(&[b"HMGET", key, b"t", b"r"])?;
            // Without `t`, the record is not certain.
            let [RedisValue::Text(asked), RedisValue::Text(record)] = &values[..] else {
                continue;
            };
            let record = Application(String::from_utf8_lossy(record).into_owned());
            let (application, sealed, _) = record.parts();
            let name = secrets.keys.open(application, sealed);
            names.extend(name.filter(|_| asked != b"0"));
            if names.len() >= FEW {
                return Ok(names);
            }
        }
        if next == b"0" {
            break;
        }
        cursor.clone_from(next);
    }
    Ok(names)
}

/// Checks that Redis runs the scripts, and that the decision on a credential that does not exist is a refusal.
fn decision(
    clients: &mut Clients,
    authorizer: &mut Authorizer,
    deadline: Instant,
) -> Result<(), Failure> {
    let cached = clients.settings.service.uses_redis();
    // Earlier failures must not prevent this check.
    clients.cache.redis.reset();
    authorizer.end_pauses();
    if cached {
        scripts(clients, deadline).map_err(|failure| {
            let cause = match failure.cause {
                Cause::ReadOnly | Cause::Full => failure.cause,
                Cause::Auth => Cause::Scripts,
                Cause::Protocol if failure.text == "ERR" => Cause::Scripts,
                _ => Cause::Failed,
            };
            match cause {
                Cause::Scripts => Failure::new(
                    cause,
                    format!(
                        "{}: the cache does not run our scripts (EVALSHA, EVAL, and the commands that they call)",
                        failure.text
                    ),
                ),
                _ => explain(Failure { cause, ..failure }),
            }
        })?;
    }
    let credential = unknown_credential(clients, "");
    let metric = authorizer.metrics().first().map_or("hits", String::as_str);
    let usage = Usage(vec![(metric.to_owned(), 1)]);
    let (outcome, source) = authorizer.ask(clients, &credential, &usage, deadline);
    let failed = |text: String| Err(Failure::new(Cause::Failed, text));
    if outcome.effect == Effect::Allow {
        return failed("a credential that does not exist was allowed".to_owned());
    }
    if cached && source == Source::Direct {
        return failed("the decision was made without the cache".to_owned());
    }
    match outcome.reason.as_str() {
        // `too_many_unknown`: other callers send so many unknown credentials that this one was not checked.
        "user_key_invalid" | "application_not_found" | "too_many_unknown" => Ok(()),
        reason => failed(format!("an unexpected refusal: {reason}")),
    }
}

/// Runs both scripts with a credential that no request uses.
fn scripts(clients: &mut Clients, deadline: Instant) -> Result<(), Failure> {
    let secrets = clients
        .secrets
        .as_ref()
        .map_err(|error| Failure::new(Cause::Failed, error.to_string()))?;
    let service = &clients.settings.service.service_id;
    let key = secrets
        .keys
        .credential(service, &unknown_credential(clients, "-scripts"));
    let now_ms = clients.clock.now_ms();
    let question = Question {
        credential: &key,
        usage: &[("hits".to_owned(), 1)],
        now_ms,
        sequence: 0,
        not_before_ms: 0,
        old: false,
        repeated: false,
        source: "",
    };
    clients.cache.redis.connect(deadline)?;
    clients.cache.store_denial(
        &question,
        "user_key_invalid",
        now_ms + 1_000,
        false,
        deadline,
    )?;
    match clients.cache.decide(&question, deadline)? {
        Decision::Denied { .. } => Ok(()),
        _ => Err(Failure::new(
            Cause::Failed,
            "the cache did not return what was stored in it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_drops_counts_is_a_warning() {
        let warning = |policy: &str, limit: &str| {
            evicts(&format!(
                "# Memory\r\nused_memory:1\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n"
            ))
        };
        for policy in [
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "allkeys-lrm",
        ] {
            let text = warning(policy, "1048576").expect("a warning");
            assert!(text.contains(policy), "{text}");
            assert_eq!(warning(policy, "0"), None);
        }
        for policy in ["noeviction", "volatile-lru", "volatile-ttl"] {
            assert_eq!(warning(policy, "1048576"), None);
        }
        assert_eq!(evicts(""), None);
    }

    #[test]
    fn the_codes_of_redis_are_told_apart() {
        for (error, cause, text) in [
            (MAX_CLIENTS, Cause::Full, "accepts no more connections"),
            ("OOM command not allowed", Cause::Full, "evicts nothing"),
            (
                "WRONGPASS invalid",
                Cause::Auth,
                "the AUTH token or the user is refused",
            ),
            ("MOVED 1 127.0.0.1:6381", Cause::Protocol, "cluster mode"),
        ] {
            let failure = explain(refusal(error));
            assert_eq!(failure.cause, cause, "{error}");
            assert!(failure.text.contains(text), "{failure}");
        }
    }
}

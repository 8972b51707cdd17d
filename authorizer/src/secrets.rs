//! The secrets, the cache's endpoint, and the settings that do not fit into the environment, read from the Parameter Store.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use crate::failure::{Cause, Failure};
use crate::http;
use crate::keys::Keys;
use crate::redis::Endpoint;
use crate::settings::{Aws, ParameterNames, RuleSettings};
use crate::stored::Stored;

/// The values from the Parameter Store. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// 3scale's service token.
    pub service_token: String,
    /// The keys for the cache.
    pub keys: Keys,
    /// The cache's endpoint; `None` while the cache is being created.
    pub cache: Option<Endpoint>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// What a read of the Parameter Store returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    pub secrets: Secrets,
    /// The mapping rules, if they were asked for.
    pub rules: Option<Vec<RuleSettings>>,
    /// The certificate authorities of 3scale, if they were asked for.
    pub roots: Option<Vec<CertificateDer<'static>>>,
}

/// What a read of the Parameter Store includes besides the secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The mapping rules.
    pub rules: Option<Stored>,
    /// The certificate authorities of 3scale.
    pub roots: Option<Stored>,
}

/// Why the secrets could not be read. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsError {
    /// The Parameter Store did not answer.
    Unreachable(Failure),
    /// The Parameter Store refused, with this status and code.
    Refused(u16, String),
    /// The parameter with this name does not exist.
    Absent(String),
    /// The value of the parameter with this name cannot be used.
    Unusable(String),
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the Parameter Store cannot be reached: {why}"),
            Self::Refused(status, code) => {
                write!(f, "the Parameter Store answered {status} {code}")
            }
            Self::Absent(name) => write!(f, "the parameter {name} is missing"),
            Self::Unusable(name) => write!(f, "the parameter {name} cannot be used"),
        }
    }
}

impl std::error::Error for SecretsError {}

impl SecretsError {
    /// Whether the same call may succeed a moment later: the Parameter Store throttled it, or failed.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused(status, code) => is_throttled(*status, code) || *status >= 500,
            _ => false,
        }
    }

    /// The failure for the self-test; `place` is the Parameter Store's host and port.
    #[must_use]
    pub fn failure(&self, place: &str) -> Failure {
        match self {
            Self::Unreachable(why) => {
                let why = match why.cause {
                    // The Parameter Store answered, but not in a usable way.
                    Cause::Protocol => Failure::new(Cause::SsmUnreachable, why.text.as_str()),
                    _ => why.clone(),
                };
                why.of(format_args!("the Parameter Store, {place}"))
            }
            Self::Refused(status, code) => {
                let denied = (400..500).contains(status) && !is_throttled(*status, code);
                let cause = if denied {
                    Cause::SsmDenied
                } else {
                    Cause::SsmUnreachable
                };
                let text = format!("status {status} {code}");
                Failure::new(cause, text.trim_end())
                    .of(format_args!("the Parameter Store, {place}"))
            }
            Self::Absent(_) => Failure::new(Cause::Missing, self.to_string()),
            Self::Unusable(_) => Failure::new(Cause::Invalid, self.to_string()),
        }
    }
}

/// Throttling is a 400 too, with a code of its own.
fn is_throttled(status: u16, code: &str) -> bool {
    status == 429
        || code.contains("Throttl")
        || matches!(code, "TooManyRequestsException" | "RequestLimitExceeded")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: String,
}

/// The first pause before the Parameter Store is asked again after it throttled the call or failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// Reads the parameters that `names` selects below `path`, and the mapping rules that are stored there. If the Parameter
/// Store throttles a call or fails, tries again, all within `budget`.
///
/// # Errors
/// The Parameter Store does not answer in time or refuses, or a parameter is missing or unusable.
pub fn read(
    agent: &ureq::Agent,
    aws: &Aws,
    path: &str,
    names: &ParameterNames,
    more: &Wanted,
    budget: Duration,
) -> Result<Values, SecretsError> {
    let deadline = Instant::now() + budget;
    let mut pause = FIRST_PAUSE;
    let wanted = wanted(path, names, more);
    let mut calls: Vec<&[String]> = wanted.chunks(NAMES_PER_CALL).collect();
    let mut found = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SecretsError::Unreachable(Failure::new(
                Cause::Timeout,
                "time-out: no answer",
            )));
        }
        let mut error = None;
        let mut again = Vec::new();
        for (call, answer) in get_all(agent, aws, &calls, left) {
            match answer {
                Ok(part) => found.extend(part.parameters),
                Err(why) if error.is_some() && why.may_pass() => again.push(call),
                Err(why) => {
                    again.push(call);
                    error = Some(why);
                }
            }
        }
        calls = again;
        let Some(error) = error else {
            return assemble(path, names, more, &found);
        };
        let wait = random_part(pause);
        if !error.may_pass() || wait >= deadline.saturating_duration_since(Instant::now()) {
            return Err(error);
        }
        std::thread::sleep(wait);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Makes the calls at the same time: few functions need more than one, and a caller may wait for them.
fn get_all<'a>(
    agent: &ureq::Agent,
    aws: &Aws,
    calls: &[&'a [String]],
    left: Duration,
) -> Vec<(&'a [String], Result<Found, SecretsError>)> {
    let Some((first, others)) = calls.split_first() else {
        return Vec::new();
    };
    std::thread::scope(|scope| {
        let get = |names: &[String]| get(agent, aws, names, left);
        let others: Vec<_> = others
            .iter()
            .map(|names| {
                let thread = std::thread::Builder::new();
                (*names, thread.spawn_scoped(scope, move || get(names)))
            })
            .collect();
        let mut answers = vec![(*first, get(first))];
        answers.extend(others.into_iter().map(|(names, thread)| {
            let answer = thread.ok().and_then(|thread| thread.join().ok());
            (names, answer.unwrap_or_else(|| get(names)))
        }));
        answers
    })
}

/// From half of a pause to all of it, so that processes that start together do not ask together again.
pub(crate) fn random_part(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness, the whole pause is as good.
    let part = match getrandom::fill(&mut byte) {
        Ok(()) => u32::from(byte[0]),
        Err(_) => 255,
    };
    pause / 2 + pause / 510 * part
}

/// The number of names that `GetParameters` accepts.
const NAMES_PER_CALL: usize = 10;

/// The full names of all parameters that may be needed.
fn wanted(path: &str, names: &ParameterNames, more: &Wanted) -> Vec<String> {
    let mut wanted = vec![names.service_token.as_str(), HASH_KEY];
    match &names.cache {
        Some(name) => wanted.push(name),
        None => wanted.extend([CACHE_URL, CACHE_ENDPOINT]),
    }
    wanted.extend([AUTH_TOKEN, FORMER_AUTH_TOKEN]);
    // A name that is there twice is an error.
    wanted.sort_unstable();
    wanted.dedup();
    let rules = more.rules.iter().flat_map(|rules| rules.names(RULES));
    let roots = more.roots.iter().flat_map(|roots| roots.names(ROOTS));
    wanted
        .into_iter()
        .map(str::to_owned)
        .chain(rules)
        .chain(roots)
        .map(|name| format!("{path}/{name}"))
        .collect()
}

fn get(
    agent: &ureq::Agent,
    aws: &Aws,
    names: &[String],
    left: Duration,
) -> Result<Found, SecretsError> {
    let body = serde_json::json!({ "Names": names, "WithDecryption": true });
    let body = body.to_string();
    let request = signed(aws, &body, SystemTime::now())
        .map_err(|what| SecretsError::Unreachable(Failure::new(Cause::Invalid, what)))?;
    let request = agent
        .configure_request(request)
        .timeout_global(Some(left))
        .timeout_connect(Some(http::connecting(left)))
        .build();
    let mut response = agent
        .run(request)
        .map_err(|error| SecretsError::Unreachable(http::failure(&error)))?;
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .with_config()
        .limit(1 << 20)
        .read_to_string()
        .map_err(|error| SecretsError::Unreachable(http::failure(&error)))?;
    if status != 200 {
        return Err(SecretsError::Refused(status, error_code(&text)));
    }
    serde_json::from_str(&text).map_err(|_| {
        SecretsError::Unreachable(Failure::new(
            Cause::SsmUnreachable,
            "a response that is not understood",
        ))
    })
}

/// The code of an AWS JSON error, `com.amazonaws.ssm#AccessDenied` or shorter. Never its message, which can contain
/// parts of the request.
fn error_code(body: &str) -> String {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "__type")]
        kind: String,
    }
    serde_json::from_str::<Error>(body)
        .ok()
        .and_then(|error| error.kind.rsplit('#').next().map(str::to_owned))
        .filter(|code| code.len() < 80 && code.bytes().all(|b| b.is_ascii_alphanumeric()))
        .unwrap_or_default()
}

fn signed(
    aws: &Aws,
    body: &str,
    time: SystemTime,
) -> Result<ureq::http::Request<String>, &'static str> {
    let credentials = Credentials::new(
        &aws.access_key_id,
        &aws.secret_access_key,
        aws.session_token.clone(),
        None,
        "environment",
    );
    let identity: Identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&aws.region)
        .name("ssm")
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| "the request cannot be signed")?
        .into();
    let uri = format!("{}/", aws.ssm_endpoint.trim_end_matches('/'));
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "AmazonSSM.GetParameters"),
    ];
    let signable = SignableRequest::new(
        "POST",
        &uri,
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(|_| "the endpoint is not a valid URL")?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|_| "the request cannot be signed")?
        .into_parts();
    let mut request = ureq::http::Request::post(&uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    request
        .body(body.to_owned())
        .map_err(|_| "the endpoint is not a valid URL")
}

fn assemble(
    path: &str,
    names: &ParameterNames,
    more: &Wanted,
    parameters: &[Parameter],
) -> Result<Values, SecretsError> {
    let find = |name: &str| {
        parameters
            .iter()
            .find(|parameter| {
                parameter
                    .name
                    .strip_prefix(path)
                    .and_then(|rest| rest.strip_prefix('/'))
                    == Some(name)
            })
            .map(|parameter| parameter.value.trim())
            .filter(|value| !value.is_empty())
    };
    let absent = |name: &str| SecretsError::Absent(name.to_owned());
    let unusable = |name: &str| SecretsError::Unusable(name.to_owned());
    let service_token = find(&names.service_token)
        .ok_or_else(|| absent(&names.service_token))?
        .to_owned();
    let keys = Keys::from_hex(find(HASH_KEY).ok_or_else(|| absent(HASH_KEY))?)
        .ok_or_else(|| unusable(HASH_KEY))?;
    let cache_name = match &names.cache {
        Some(name) => name,
        None if find(CACHE_URL).is_some() => CACHE_URL,
        None => CACHE_ENDPOINT,
    };
    let cache = find(cache_name)
        .map(|url| {
            // The operator's own URL contains its password. The endpoint of the stack's cache is no secret.
            if cache_name.starts_with(SECRETS) {
                return Endpoint::parse(url, None).ok_or_else(|| unusable(cache_name));
            }
            let token = find(AUTH_TOKEN);
            let mut endpoint = Endpoint::parse(url, token).ok_or_else(|| unusable(cache_name))?;
            if token.is_some() {
                let former = find(FORMER_AUTH_TOKEN).map(|former| Some(former.to_owned()));
                endpoint.fallback = former.into_iter().chain([None]).collect();
            }
            Ok(endpoint)
        })
        .transpose()?;
    let content = |base: &str, stored: &Stored| {
        let mut values = String::new();
        for name in stored.names(base) {
            values.push_str(find(&name).ok_or_else(|| absent(&name))?);
        }
        let name = format!("{base}-{}", stored.digest);
        let content = stored.content(&values).ok_or_else(|| unusable(&name))?;
        Ok((name, content))
    };
    let rules = more.rules.as_ref().map(|stored| {
        let (name, content) = content(RULES, stored)?;
        rules_of(&content).ok_or_else(|| unusable(&name))
    });
    let roots = more.roots.as_ref().map(|stored| {
        let (name, content) = content(ROOTS, stored)?;
        http::certificates(content.as_bytes()).ok_or_else(|| unusable(&name))
    });
    let secrets = Secrets {
        service_token,
        keys,
        cache,
    };
    Ok(Values {
        secrets,
        rules: rules.transpose()?,
        roots: roots.transpose()?,
    })
}

fn rules_of(content: &str) -> Option<Vec<RuleSettings>> {
    let rules: Vec<RuleSettings> = serde_json::from_str(content).ok()?;
    let is_usable = !rules.is_empty() && rules.iter().all(|rule| rule.check().is_ok());
    is_usable.then_some(rules)
}

/// The beginning of the names of the parameters with the mapping rules.
const RULES: &str = "rules";
/// The same of those with the certificate authorities of 3scale.
const ROOTS: &str = "ca";
/// The prefix of every secret.
const SECRETS: &str = "secrets/";
const HASH_KEY: &str = "secrets/hash-key";
const CACHE_URL: &str = "secrets/cache-url";
const CACHE_ENDPOINT: &str = "cache-endpoint";
const AUTH_TOKEN: &str = "secrets/cache-auth-token";
/// The token before, while the cache accepts it.
const FORMER_AUTH_TOKEN: &str = "secrets/cache-auth-token-former";

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Vec<Parameter> {
        pairs
            .iter()
            .map(|(name, value)| Parameter {
                name: format!("/threescale-gw/s/{name}"),
                value: (*value).to_owned(),
            })
            .collect()
    }

    #[test]
    fn assembles_what_is_there_and_ignores_the_rest() {
        let key = "00".repeat(32);
        let base = [
            ("secrets/service-token", "token"),
            ("secrets/hash-key", key.as_str()),
            ("lock", "someone"),
            ("attachment/a", "{}"),
        ];
        let read = |more: &[(&str, &str)]| {
            let names = ParameterNames::default();
            let all = parameters(&[&base, more].concat());
            assemble("/threescale-gw/s", &names, &Wanted::default(), &all)
                .map(|values| values.secrets)
        };
        assert!(read(&[]).expect("secrets").cache.is_none());
        let secrets = read(&[
            ("cache-endpoint", "rediss://cache:6379"),
            ("secrets/cache-auth-token", "auth-secret"),
        ])
        .expect("secrets");
        let endpoint = secrets.cache.clone().expect("endpoint");
        assert!(endpoint.tls);
        assert_eq!(endpoint.password.as_deref(), Some("auth-secret"));
        assert_eq!(endpoint.fallback, [None]);
        assert!(!format!("{secrets:?}").contains("secret\""));
        let rotated = read(&[
            ("cache-endpoint", "rediss://cache:6379"),
            ("secrets/cache-auth-token", "new"),
            ("secrets/cache-auth-token-former", "former"),
        ])
        .expect("secrets");
        let endpoint = rotated.cache.expect("endpoint");
        assert_eq!(endpoint.password.as_deref(), Some("new"));
        assert_eq!(endpoint.fallback, [Some("former".to_owned()), None]);
        assert_eq!(
            read(&[("cache-endpoint", "http://x")]).expect_err("refused"),
            SecretsError::Unusable("cache-endpoint".to_owned())
        );
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(
            assemble("/p", &ParameterNames::default(), &Wanted::default(), &[])
                .expect_err("refused"),
            SecretsError::Absent("secrets/service-token".to_owned())
        );
        assert_eq!(
            assemble(
                "/threescale-gw/s",
                &ParameterNames::default(),
                &Wanted::default(),
                &parameters(&[("secrets/service-token", "t"), ("secrets/hash-key", "zz")])
            )
            .expect_err("refused"),
            SecretsError::Unusable("secrets/hash-key".to_owned())
        );
    }

    #[test]
    fn reads_the_parameters_that_the_version_names_and_no_others() {
        let key = "00".repeat(32);
        let all = parameters(&[
            ("secrets/service-token", "former"),
            ("secrets/service-token-1", "new"),
            ("secrets/hash-key", key.as_str()),
            ("secrets/cache-url", "redis://former:1"),
            ("secrets/cache-url-1", "redis://new:2"),
            ("cache-endpoint", "rediss://ours:3"),
            ("cache-endpoint-1", "rediss://moved:4"),
            ("secrets/cache-auth-token", "auth-secret"),
        ]);
        let read = |service_token: &str, cache: &str| {
            let names = ParameterNames {
                service_token: service_token.to_owned(),
                cache: Some(cache.to_owned()),
            };
            let secrets = assemble("/threescale-gw/s", &names, &Wanted::default(), &all)?.secrets;
            let port = secrets.cache.map(|cache| {
                // Only the stack's own cache has the stored AUTH token.
                let is_ours = ["ours", "moved"].contains(&cache.host.as_str());
                assert_eq!(cache.password.is_some(), is_ours, "{}", cache.host);
                cache.port
            });
            Ok((secrets.service_token, port))
        };
        let found = |token: &str, port| Ok((token.to_owned(), port));
        assert_eq!(
            read("secrets/service-token", "secrets/cache-url"),
            found("former", Some(1))
        );
        assert_eq!(
            read("secrets/service-token-1", "secrets/cache-url-1"),
            found("new", Some(2))
        );
        assert_eq!(
            read("secrets/service-token", "cache-endpoint"),
            found("former", Some(3))
        );
        assert_eq!(
            read("secrets/service-token", "cache-endpoint-1"),
            found("former", Some(4))
        );
        assert_eq!(
            read("secrets/service-token", "secrets/cache-url-2"),
            found("former", None)
        );
        assert_eq!(
            read("secrets/service-token-2", "cache-endpoint"),
            Err(SecretsError::Absent("secrets/service-token-2".to_owned()))
        );
    }

    #[test]
    fn all_parameters_fit_into_one_call() {
        let names = |cache: Option<&str>| ParameterNames {
            service_token: "secrets/service-token-1".to_owned(),
            cache: cache.map(str::to_owned),
        };
        assert_eq!(
            wanted("/p", &names(None), &Wanted::default()),
            [
                "/p/cache-endpoint",
                "/p/secrets/cache-auth-token",
                "/p/secrets/cache-auth-token-former",
                "/p/secrets/cache-url",
                "/p/secrets/hash-key",
                "/p/secrets/service-token-1",
            ]
        );
        let own = names(Some("secrets/cache-url-1"));
        let with = |parts| {
            let stored = Stored {
                digest: "0123456789ab".to_owned(),
                parts,
                count: 0,
            };
            let rules = Some(stored.clone());
            let roots = Some(Stored { parts: 1, ..stored });
            wanted("/p", &own, &Wanted { rules, roots })
        };
        assert_eq!(wanted("/p", &own, &Wanted::default()).len(), 5);
        assert_eq!(with(4).len(), NAMES_PER_CALL);
        assert_eq!(
            with(2)[5..],
            [
                "/p/rules-0123456789ab-1",
                "/p/rules-0123456789ab-2",
                "/p/ca-0123456789ab-1"
            ]
        );
    }

    #[test]
    fn only_throttling_and_failures_are_tried_again() {
        let refused = |status, code: &str| SecretsError::Refused(status, code.to_owned());
        for (status, code) in [
            (400, "ThrottlingException"),
            (429, ""),
            (500, ""),
            (503, ""),
        ] {
            assert!(refused(status, code).may_pass(), "{status} {code}");
        }
        assert!(!refused(400, "AccessDeniedException").may_pass());
        assert!(!SecretsError::Absent("x".to_owned()).may_pass());
    }

    #[test]
    fn pauses_differ_and_are_bounded() {
        let pause = Duration::from_millis(510);
        for _ in 0..100 {
            let part = random_part(pause);
            assert!(part >= pause / 2 && part <= pause, "{part:?}");
        }
    }

    #[test]
    fn error_codes_hold_no_free_text() {
        assert_eq!(
            error_code(r#"{"__type":"com.amazonaws.ssm#AccessDeniedException","message":"m"}"#),
            "AccessDeniedException"
        );
        assert_eq!(error_code(r#"{"__type":"a b"}"#), "");
        assert_eq!(error_code("<html>"), "");
    }
}

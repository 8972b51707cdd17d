//! Real requests that prove the API is protected as it should be: what to ask, what to expect, what an answer means. Pure;
//! [`http`] sends, [`prove`](run::prove) asks again while a deployment spreads.

pub mod http;
pub mod run;

use serde_json::{Value, json};

use crate::config::{CredentialLocation, Credentials};
use crate::resource::api::Method;
use crate::secret::Secret;

/// Stands for path parameters, and is a key that nobody has.
const NOBODY: &str = "threescale-gw-verify";

/// The authorizer's reasons that say nothing of the key: whoever calls is refused. Source: the authorizer's README, "reason".
const FAILURES: [&str; 5] = [
    "misconfigured",
    "backend_unavailable",
    "not_ready",
    "internal",
    "service_not_active",
];

/// The verbs that change nothing by definition. Source: RFC 9110, section 9.2.1.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// How the API's methods are meant to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// By our authorizer.
    Protected,
    /// Without a credential.
    Open,
    /// By something that is not ours: not called.
    Guarded,
}

/// What a request is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// A protected method refuses a caller without a key.
    NoKey,
    /// A protected method refuses a key that nobody has, and it is our authorizer that does.
    BadKey,
    /// A protected method lets the operator's test key in.
    GoodKey,
    /// An open method asks for nothing.
    Open,
    /// The stage serves a protected method with our authorizer: read, not called.
    Guard,
}

impl Check {
    /// The words for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no key",
            Self::BadKey => "bad key",
            Self::GoodKey => "good key",
            Self::Open => "open",
            Self::Guard => "guard",
        }
    }
}

/// A credential to call with.
#[derive(Debug, Clone)]
pub struct Key {
    /// The user key, or the application id.
    pub id: Secret,
    /// The application key, next to an application id.
    pub key: Option<Secret>,
}

impl Key {
    /// One that no application has.
    fn nobody() -> Self {
        Self {
            id: Secret::from(NOBODY.to_owned()),
            key: Some(Secret::from(NOBODY.to_owned())),
        }
    }

    /// Reads `--key`: a user key, or `<app_id>:<app_key>`.
    pub fn parse(text: &str, credentials: &Credentials) -> Self {
        let pair = credentials.key_name.as_ref().and(text.split_once(':'));
        match pair {
            Some((id, key)) => Self {
                id: Secret::from(id.to_owned()),
                key: Some(Secret::from(key.to_owned())),
            },
            None => Self {
                id: Secret::from(text.to_owned()),
                key: None,
            },
        }
    }
}

/// One request and what it is to show.
#[derive(Debug, Clone)]
pub struct Probe {
    /// `GET /orders/{id}`, as the API has it.
    pub label: String,
    pub check: Check,
    pub verb: String,
    /// Below the stage, with query, without a slash at its beginning.
    pub path: String,
    pub headers: Vec<(String, Secret)>,
}

/// The requests that show whether `methods` answer as they are meant to. `key`: the operator's, for calls that are safe.
pub fn probes(
    methods: &[(Method, Meant)],
    credentials: &Credentials,
    key: Option<&Key>,
) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (method, meant) in methods {
        let Some(verb) = verb(method, methods) else {
            continue;
        };
        let is_safe = SAFE.contains(&verb);
        let mut add = |check, key: Option<&Key>| {
            probes.push(probe(method, check, verb, credentials, key));
        };
        match meant {
            Meant::Protected => {
                add(Check::NoKey, None);
                if is_safe {
                    add(Check::BadKey, Some(&Key::nobody()));
                    if key.is_some() {
                        add(Check::GoodKey, key);
                    }
                }
            }
            // What is open reaches the backend, so only what changes nothing is called.
            Meant::Open if is_safe => add(Check::Open, None),
            Meant::Open | Meant::Guarded => {}
        }
    }
    probes
}

/// The verb to call a method with: its own; for `ANY` the first that has no method of its own there.
fn verb<'a>(method: &'a Method, all: &[(Method, Meant)]) -> Option<&'a str> {
    if method.method != "ANY" {
        return Some(&method.method);
    }
    let is_taken = |verb: &str| {
        all.iter()
            .any(|(other, _)| other.path == method.path && other.method == verb)
    };
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .find(|verb| !is_taken(verb))
}

fn probe(
    method: &Method,
    check: Check,
    verb: &str,
    credentials: &Credentials,
    key: Option<&Key>,
) -> Probe {
    let parts: Vec<_> = method
        .path
        .trim_start_matches('/')
        .split('/')
        .map(|part| if part.starts_with('{') { NOBODY } else { part })
        .collect();
    let mut path = parts.join("/");
    let mut headers = Vec::new();
    if let Some(key) = key {
        let named = [
            (Some(&credentials.name), Some(&key.id)),
            (credentials.key_name.as_ref(), key.key.as_ref()),
        ];
        let named: Vec<_> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name?, value?)))
            .collect();
        match credentials.location {
            CredentialLocation::Header => {
                headers = named
                    .into_iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
            }
            CredentialLocation::Query => {
                let pairs = named
                    .into_iter()
                    .map(|(name, value)| (name, value.expose()));
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                path = format!("{path}?{query}");
            }
        }
    }
    Probe {
        label: method.label(),
        check,
        verb: verb.to_owned(),
        path,
        headers,
    }
}

/// What a request was answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// API Gateway's word for an answer of its own, `UnauthorizedException`; an integration's answer has none.
    pub error_type: Option<String>,
    /// The JSON body, as far as it is read.
    pub body: Value,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A protected method answers without a key, or with one that nobody has.
    Open,
    /// API Gateway could not get a decision of the authorizer: it failed, took too long, or may not be invoked.
    AuthorizerFailed,
    /// Another authorizer decides.
    WrongAuthorizer,
    /// The authorizer that the stage serves looks for the credential elsewhere, so every caller is refused.
    Misplaced,
    /// The operator's test key is refused for what it is: its limits are exceeded, its application is suspended.
    KeyRefused,
    /// It is refused for another reason, or for none that is told, so others with a good key may be as well.
    Refuses,
    /// A method that is meant to be open asks for a credential.
    Blocked,
    /// The stage does not serve this method.
    NotServed,
    /// API Gateway has no capacity for the question just now.
    Throttled,
    /// Nobody answered.
    Unreachable,
}

impl Fault {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::AuthorizerFailed => "authorizer_failed",
            Self::WrongAuthorizer => "wrong_authorizer",
            Self::Misplaced => "misplaced",
            Self::KeyRefused => "key_refused",
            Self::Refuses => "refuses",
            Self::Blocked => "blocked",
            Self::NotServed => "not_served",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether callers suffer from it, so that the stage has to go back. What could not be asked says nothing of them, nor
    /// does a key that is refused for what it is.
    pub fn harms(self) -> bool {
        !matches!(self, Self::Throttled | Self::Unreachable | Self::KeyRefused)
    }
}

/// What an answer means: all is well, with a remark perhaps, or a fault and what was seen.
pub type Verdict = Result<Option<String>, (Fault, String)>;

/// Judges an answer. `ours_speaks`: refusals carry the authorizer's reason, for the gateway responses are ours.
pub fn judge(check: Check, answer: &Answer, ours_speaks: bool) -> Verdict {
    let kind = answer.error_type.as_deref().unwrap_or_default();
    let seen = format!(
        "{}{}",
        answer.status,
        if kind.is_empty() {
            String::new()
        } else {
            format!(" {kind}")
        }
    );
    if answer.status == 429 && kind.contains("TooManyRequests") || kind.contains("LimitExceeded") {
        return Err((Fault::Throttled, seen));
    }
    if is_authorizer_failure(answer, kind) {
        return Err((Fault::AuthorizerFailed, seen));
    }
    let reason = answer.body["error"].as_str();
    if kind.contains("MissingAuthenticationToken") {
        // What stands for a missing signature, and for a method that is not there.
        let fault = match check {
            Check::Open => Fault::Blocked,
            _ => Fault::NotServed,
        };
        return Err((fault, seen));
    }
    let refused = is_refusal(answer, kind);
    let remark = |reason: &str| (!reason.is_empty()).then(|| reason.to_owned());
    match check {
        // A resource policy, a firewall or a usage plan may refuse before the authorizer is asked.
        Check::NoKey if refused => Ok(remark(kind).filter(|kind| kind != "UnauthorizedException")),
        // What was sent where the configuration says was not found there. Source: API Gateway answers a missing identity
        // source with 401 by itself, and an authorizer's "Unauthorized" likewise.
        Check::BadKey | Check::GoodKey
            if refused
                && (kind.contains("Unauthorized") || reason == Some("credential_missing")) =>
        {
            Err((Fault::Misplaced, seen))
        }
        Check::BadKey if refused && ours_speaks && reason == Some("") => Err((
            Fault::WrongAuthorizer,
            format!("{seen}, without a reason of ours"),
        )),
        Check::BadKey if refused => Ok(reason.and_then(remark)),
        Check::NoKey | Check::BadKey => Err((Fault::Open, seen)),
        // A usage plan of API Gateway's own wants its own key.
        Check::GoodKey if kind == "ForbiddenException" => Ok(Some(
            "refused by API Gateway's own x-api-key or policy".to_owned(),
        )),
        Check::GoodKey if refused => {
            let why = reason.filter(|reason| !reason.is_empty());
            Err(match why {
                Some(why) if FAILURES.contains(&why) => (Fault::Refuses, format!("{seen}, {why}")),
                Some(why) => (Fault::KeyRefused, format!("{seen}, {why}")),
                None => (Fault::Refuses, seen),
            })
        }
        Check::Open if refused && kind != "ForbiddenException" => Err((Fault::Blocked, seen)),
        Check::GoodKey | Check::Open | Check::Guard => Ok(None),
    }
}

/// Whether API Gateway itself refused. Its status may be anything, for an operator may give its answers another one; an
/// answer without its word for them, or a body of its shape, is a backend's.
fn is_refusal(answer: &Answer, kind: &str) -> bool {
    let named = ["Unauthorized", "AccessDenied", "Forbidden"]
        .iter()
        .any(|word| kind.contains(word));
    let ours = answer.body["error"].is_string() && answer.body["detail"].is_string();
    let plain = answer.body.as_object().is_some_and(|body| {
        body.len() == 1 && body.keys().all(|key| key.eq_ignore_ascii_case("message"))
    });
    named || (matches!(answer.status, 401 | 403) && (ours || plain))
}

/// Whether API Gateway says that it got no decision. A failed authorizer is a bare 500, which our gateway response names.
fn is_authorizer_failure(answer: &Answer, kind: &str) -> bool {
    let named = answer.body["error"] == "authorizer_failure" || kind.contains("Authorizer");
    let bare = answer
        .body
        .as_object()
        .is_some_and(|body| body.len() == 1 && body.get("message").is_some_and(Value::is_null));
    named || (answer.status == 500 && bare)
}

/// One request's outcome.
#[derive(Debug, Clone)]
pub struct Row {
    pub label: String,
    pub check: Check,
    pub verb: String,
    /// The status of the last answer.
    pub status: Option<u16>,
    pub verdict: Verdict,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub url: String,
    pub rows: Vec<Row>,
    /// What could not be asked, and why.
    pub skipped: Option<String>,
}

impl Report {
    /// Whether every answer was the right one.
    pub fn is_well(&self) -> bool {
        self.rows.iter().all(|row| row.verdict.is_ok())
    }

    /// The rows whose fault callers suffer from.
    pub fn harms(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(|row| matches!(&row.verdict, Err((fault, _)) if fault.harms()))
    }

    /// As one JSON object.
    pub fn document(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let (fault, text) = match &row.verdict {
                    Ok(remark) => (None, remark.clone()),
                    Err((fault, seen)) => (Some(fault.as_str()), Some(seen.clone())),
                };
                json!({
                    "method": row.label, "check": row.check.as_str(), "request": row.verb, "status": row.status,
                    "ok": row.verdict.is_ok(), "fault": fault, "detail": text,
                })
            })
            .collect();
        json!({"url": self.url, "ok": self.is_well(), "skipped": self.skipped, "requests": rows})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(verb: &str, path: &str) -> Method {
        Method {
            path: path.to_owned(),
            method: verb.to_owned(),
            resource_id: String::new(),
            authorization: "NONE".to_owned(),
            authorizer_id: None,
            authorizer: None,
            scopes: Vec::new(),
            api_key_required: false,
        }
    }

    fn credentials(location: CredentialLocation, key_name: Option<&str>) -> Credentials {
        let kind = match key_name {
            Some(_) => crate::config::CredentialKind::AppId,
            None => crate::config::CredentialKind::UserKey,
        };
        Credentials {
            kind,
            location,
            name: "apikey".to_owned(),
            key_name: key_name.map(str::to_owned),
        }
    }

    fn answer(status: u16, kind: &str, body: Value) -> Answer {
        Answer {
            status,
            error_type: Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
            body,
        }
    }

    #[test]
    fn unsafe_methods_are_called_without_a_key_and_only_where_that_is_refused() {
        let methods = [
            (method("GET", "/orders/{id}"), Meant::Protected),
            (method("POST", "/orders"), Meant::Protected),
            (method("GET", "/health"), Meant::Open),
            (method("POST", "/hook"), Meant::Open),
            (method("OPTIONS", "/orders"), Meant::Open),
        ];
        let header = credentials(CredentialLocation::Header, None);
        let key = Key::parse("good", &header);
        let probes = probes(&methods, &header, Some(&key));
        let told: Vec<_> = probes
            .iter()
            .map(|probe| {
                (
                    probe.verb.as_str(),
                    probe.path.as_str(),
                    probe.check,
                    probe.headers.len(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("GET", "orders/threescale-gw-verify", Check::NoKey, 0),
                ("GET", "orders/threescale-gw-verify", Check::BadKey, 1),
                ("GET", "orders/threescale-gw-verify", Check::GoodKey, 1),
                ("POST", "orders", Check::NoKey, 0),
                ("GET", "health", Check::Open, 0),
                ("OPTIONS", "orders", Check::Open, 0),
            ]
        );
    }

    #[test]
    fn any_is_called_by_a_verb_without_a_method_of_its_own() {
        let methods = [
            (method("ANY", "/x/{proxy+}"), Meant::Protected),
            (method("GET", "/x/{proxy+}"), Meant::Open),
        ];
        let header = credentials(CredentialLocation::Header, None);
        let probes = probes(&methods, &header, None);
        assert_eq!(
            (probes[0].verb.as_str(), probes[0].path.as_str()),
            ("HEAD", "x/threescale-gw-verify")
        );
    }

    #[test]
    fn an_application_id_and_key_go_where_the_configuration_says() {
        let query = credentials(CredentialLocation::Query, Some("app_key"));
        let key = Key::parse("id:k&y", &query);
        let methods = [(method("GET", "/"), Meant::Protected)];
        let probes = probes(&methods, &query, Some(&key));
        assert_eq!(probes[2].path, "?apikey=id&app_key=k%26y");
    }

    #[test]
    fn each_fault_is_told_from_the_answer() {
        let ours = |reason: &str| json!({"error": reason});
        let fault =
            |check, answer: Answer| judge(check, &answer, true).err().map(|(fault, _)| fault);
        for (check, answer, expected) in [
            (
                Check::NoKey,
                answer(401, "UnauthorizedException", Value::Null),
                None,
            ),
            (
                Check::NoKey,
                answer(403, "ForbiddenException", Value::Null),
                None,
            ),
            (
                Check::NoKey,
                answer(418, "UnauthorizedException", Value::Null),
                None,
            ),
            (
                Check::NoKey,
                answer(401, "", json!({"message": "Unauthorized"})),
                None,
            ),
            (
                Check::NoKey,
                answer(200, "", Value::Null),
                Some(Fault::Open),
            ),
            // A backend that refuses by itself was reached.
            (
                Check::NoKey,
                answer(401, "", json!({"code": 7})),
                Some(Fault::Open),
            ),
            (
                Check::Open,
                answer(403, "MissingAuthenticationTokenException", Value::Null),
                Some(Fault::Blocked),
            ),
            (
                Check::NoKey,
                answer(404, "", Value::Null),
                Some(Fault::Open),
            ),
            (
                Check::NoKey,
                answer(502, "InternalServerErrorException", Value::Null),
                Some(Fault::Open),
            ),
            (
                Check::NoKey,
                answer(500, "AuthorizerConfigurationException", Value::Null),
                Some(Fault::AuthorizerFailed),
            ),
            (
                Check::NoKey,
                answer(500, "", json!({"message": null})),
                Some(Fault::AuthorizerFailed),
            ),
            (
                Check::NoKey,
                answer(403, "MissingAuthenticationTokenException", Value::Null),
                Some(Fault::NotServed),
            ),
            (
                Check::BadKey,
                answer(403, "AccessDeniedException", ours("user_key_invalid")),
                None,
            ),
            (
                Check::BadKey,
                answer(403, "AccessDeniedException", ours("")),
                Some(Fault::WrongAuthorizer),
            ),
            (
                Check::BadKey,
                answer(500, "", ours("authorizer_failure")),
                Some(Fault::AuthorizerFailed),
            ),
            (
                Check::BadKey,
                answer(200, "", Value::Null),
                Some(Fault::Open),
            ),
            // A stale authorizer that reads another header.
            (
                Check::BadKey,
                answer(401, "UnauthorizedException", ours("credential_missing")),
                Some(Fault::Misplaced),
            ),
            (
                Check::BadKey,
                answer(
                    401,
                    "UnauthorizedException",
                    json!({"message": "Unauthorized"}),
                ),
                Some(Fault::Misplaced),
            ),
            (
                Check::BadKey,
                answer(
                    401,
                    "",
                    json!({"error": "credential_missing", "detail": "Unauthorized"}),
                ),
                Some(Fault::Misplaced),
            ),
            (
                Check::GoodKey,
                answer(401, "UnauthorizedException", ours("credential_missing")),
                Some(Fault::Misplaced),
            ),
            (Check::GoodKey, answer(200, "", Value::Null), None),
            (Check::GoodKey, answer(403, "", Value::Null), None),
            (
                Check::GoodKey,
                answer(403, "AccessDeniedException", ours("limits_exceeded")),
                Some(Fault::KeyRefused),
            ),
            (
                Check::GoodKey,
                answer(403, "AccessDeniedException", ours("misconfigured")),
                Some(Fault::Refuses),
            ),
            (
                Check::GoodKey,
                answer(403, "AccessDeniedException", json!({"message": "no"})),
                Some(Fault::Refuses),
            ),
            (Check::Open, answer(401, "", Value::Null), None),
            (
                Check::Open,
                answer(401, "UnauthorizedException", Value::Null),
                Some(Fault::Blocked),
            ),
            (
                Check::Open,
                answer(429, "TooManyRequestsException", Value::Null),
                Some(Fault::Throttled),
            ),
        ] {
            assert_eq!(
                fault(check, answer.clone()),
                expected,
                "{check:?} {answer:?}"
            );
        }
    }
}

//! Real requests that prove the API is protected as it should be: what to ask, what to expect, what an answer means. Pure;
//! [`http`] sends, [`prove`](run::prove) asks again while a deployment spreads.

pub mod http;
mod judge;
mod reason;
pub mod run;

use serde_json::{Value, json};

pub use self::judge::{Answer, Fault, Verdict, judge};

use crate::config::{CredentialLocation, Credentials};
use crate::resource::api::Method;
use crate::secret::Secret;

/// Stands for path parameters, and is a key that nobody has.
const NOBODY: &str = "threescale-gw-verify";

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
    /// The authorizer itself says that it can decide: asked where no refusal tells.
    SelfTest,
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
            Self::SelfTest => "self-test",
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

impl Row {
    /// Whether the request had a key, so that the authorizer's reason can be seen in its answer.
    fn is_keyed(&self) -> bool {
        matches!(self.check, Check::BadKey | Check::GoodKey)
    }

    /// Whether no mapping rule matches the request: every caller of just this is refused, which may be meant so.
    pub fn is_unmapped(&self) -> bool {
        let told = self.verdict.as_ref().ok().and_then(Option::as_deref);
        self.is_keyed() && told == Some(reason::UNMAPPED)
    }

    /// Whether the answer shows that the authorizer can decide, or is wrong anyway.
    fn tells_of_decisions(&self) -> bool {
        self.is_keyed()
            && match &self.verdict {
                Ok(Some(told)) => reason::says(told) == Some(reason::Says::Key),
                Ok(None) => self.check == Check::GoodKey,
                Err(_) => true,
            }
    }
}

/// Whether all requests with a key, of which there are some, meet no mapping rule: then nobody gets in.
fn all_unmapped<'a>(rows: impl Iterator<Item = &'a Row>) -> bool {
    let mut keyed = rows.filter(|row| row.is_keyed()).peekable();
    keyed.peek().is_some() && keyed.all(Row::is_unmapped)
}

/// Makes a fault of what is one only where no request is answered otherwise.
fn conclude(rows: &mut [Row]) {
    if !all_unmapped(rows.iter()) {
        return;
    }
    for row in rows.iter_mut().filter(|row| row.is_keyed()) {
        let status = row.status.map(|status| status.to_string());
        let seen = format!("{}, {}", status.unwrap_or_default(), reason::UNMAPPED);
        row.verdict = Err((Fault::NobodyGetsIn, seen));
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub url: String,
    pub rows: Vec<Row>,
    /// What could not be asked, and why.
    pub skipped: Option<String>,
    /// What the answers do not show.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether every answer was the right one.
    pub fn is_well(&self) -> bool {
        self.rows.iter().all(|row| row.verdict.is_ok())
    }

    /// Whether the answers show that the authorizer can decide. Where they do not, all callers may be refused and no answer
    /// would be another one.
    pub fn tells_of_decisions(&self) -> bool {
        self.rows.iter().any(Row::tells_of_decisions)
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
                    "ok": row.verdict.is_ok(), "fault": fault, "detail": text, "unmapped": row.is_unmapped(),
                })
            })
            .collect();
        json!({
            "url": self.url, "ok": self.is_well(), "skipped": self.skipped, "notes": self.notes, "requests": rows,
        })
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

    fn row(check: Check, verdict: Verdict) -> Row {
        Row {
            label: "GET /orders".to_owned(),
            check,
            verb: "GET".to_owned(),
            status: Some(403),
            verdict,
        }
    }

    #[test]
    fn nobody_gets_in_where_no_request_meets_a_mapping_rule() {
        let told = |reason: &str| Ok(Some(reason.to_owned()));
        let open = || row(Check::Open, Ok(None));
        let faults = |mut rows: Vec<Row>| {
            conclude(&mut rows);
            let fault = |row: &Row| row.verdict.as_ref().err().map(|(fault, _)| *fault);
            rows.iter().filter_map(fault).collect::<Vec<_>>()
        };
        let unmapped = || row(Check::BadKey, told("no_mapping_rule"));
        assert_eq!(faults(vec![open(), row(Check::NoKey, Ok(None))]), []);
        assert_eq!(
            faults(vec![
                unmapped(),
                row(Check::BadKey, told("user_key_invalid")),
                open()
            ]),
            []
        );
        assert_eq!(
            faults(vec![
                unmapped(),
                row(Check::GoodKey, told("no_mapping_rule")),
                open()
            ]),
            [Fault::NobodyGetsIn; 2]
        );
    }

    #[test]
    fn only_some_answers_show_that_the_authorizer_decides() {
        let shows = |check, verdict| {
            let report = Report {
                rows: vec![row(Check::NoKey, Ok(None)), row(check, verdict)],
                ..Report::default()
            };
            report.tells_of_decisions()
        };
        let told = |reason: &str| Ok(Some(reason.to_owned()));
        assert!(shows(Check::BadKey, told("user_key_invalid")));
        assert!(shows(Check::GoodKey, Ok(None)));
        assert!(shows(
            Check::BadKey,
            Err((Fault::NobodyGetsIn, String::new()))
        ));
        for silent in [
            "the reason is not told",
            "ForbiddenException",
            "no_mapping_rule",
        ] {
            assert!(!shows(Check::BadKey, told(silent)), "{silent}");
        }
        assert!(!shows(Check::Open, Ok(None)));
    }
}

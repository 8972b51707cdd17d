//! The requests that show whether an API is protected. Pure.

use super::report::Check;
use crate::api_gateway::Method;
use crate::config::{CredentialLocation, Credentials};
use crate::secret::Secret;

/// The value of path parameters, and a key that no application has.
const NOBODY: &str = "threescale-gw-verify";

/// The safe methods, which change nothing. Source: RFC 9110, section 9.2.1.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// The expected protection of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Protected by our authorizer.
    Protected,
    /// Requires no credential.
    Open,
    /// Protected by another authorization type, so it is not called.
    Guarded,
}

/// A credential for requests.
#[derive(Debug, Clone)]
pub struct Key {
    /// The user key, or the application id.
    pub id: Secret,
    /// The application key that accompanies an application id.
    pub key: Option<Secret>,
}

impl Probe {
    /// Whether the request changes nothing, even if it reaches the backend.
    pub(super) fn is_safe(&self) -> bool {
        SAFE.contains(&self.verb.as_str())
    }
}

impl Key {
    /// A key that no application has.
    fn nobody() -> Self {
        Self {
            id: Secret::from(NOBODY.to_owned()),
            key: Some(Secret::from(NOBODY.to_owned())),
        }
    }

    /// Parses `--key`: a user key, or `<app_id>:<app_key>`.
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

/// A request and what it checks.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The method as the API defines it, such as `GET /orders/{id}`.
    pub label: String,
    pub check: Check,
    pub verb: String,
    /// The path below the stage, with the query string and without a leading slash.
    pub path: String,
    pub headers: Vec<(String, Secret)>,
}

/// The requests that check whether `methods` behave as expected. `key`: the operator's key, for safe methods only.
pub fn probes(
    methods: &[(Method, Expectation)],
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
            Expectation::Protected => {
                add(Check::NoKey, None);
                if is_safe {
                    add(Check::BadKey, Some(&Key::nobody()));
                    if key.is_some() {
                        add(Check::GoodKey, key);
                    }
                }
            }
            // Requests to open methods reach the backend, so only safe methods are called.
            Expectation::Open if is_safe => add(Check::Open, None),
            Expectation::Open | Expectation::Guarded => {}
        }
    }
    probes
}

/// The HTTP method of a request: the method's own, or for `ANY` the first one that the path does not define itself.
fn verb<'a>(method: &'a Method, all: &[(Method, Expectation)]) -> Option<&'a str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn method(verb: &str, path: &str) -> Method {
        Method::new(verb, path)
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
            (method("GET", "/orders/{id}"), Expectation::Protected),
            (method("POST", "/orders"), Expectation::Protected),
            (method("GET", "/health"), Expectation::Open),
            (method("POST", "/hook"), Expectation::Open),
            (method("OPTIONS", "/orders"), Expectation::Open),
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
            (method("ANY", "/x/{proxy+}"), Expectation::Protected),
            (method("GET", "/x/{proxy+}"), Expectation::Open),
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
        let methods = [(method("GET", "/"), Expectation::Protected)];
        let probes = probes(&methods, &query, Some(&key));
        assert_eq!(probes[2].path, "?apikey=id&app_key=k%26y");
    }
}

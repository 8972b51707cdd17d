//! The requests that show whether an API is protected. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::expectation::Expectation;
use super::report::Check;
use super::route_request::{self, PLACEHOLDER};
use crate::api_gateway::{Api, Method, Protocol};
use crate::config::{CredentialLocation, Credentials};
use crate::secret::Secret;

/// The safe methods, which change nothing. Source: RFC 9110, section 9.2.1.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

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
    /// A key that no application has. HTTP and WebSocket APIs tell no reason, so theirs is random: the authorizer logs its end.
    ///
    /// # Errors
    /// When there is no random number.
    pub fn unknown(protocol: Protocol) -> Result<Self, getrandom::Error> {
        let mut text = PLACEHOLDER.to_owned();
        if protocol != Protocol::Rest {
            let mut random = [0; 12];
            getrandom::fill(&mut random)?;
            text = format!("{text}-{}", URL_SAFE_NO_PAD.encode(random));
        }
        Ok(Self {
            id: Secret::from(text.clone()),
            key: Some(Secret::from(text)),
        })
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
    /// Whether the stage serves the route without authorization; `None` if that is not known.
    pub is_open_in_stage: Option<bool>,
}

/// The keys of the requests.
#[derive(Debug, Clone)]
pub struct Keys {
    /// A key that no application has.
    pub unknown_key: Key,
    /// The operator's key, for safe methods only.
    pub good: Option<Key>,
}

/// The requests that check whether `methods` of `api` behave as expected.
pub fn probes(
    api: &Api,
    methods: &[(Method, Expectation)],
    credentials: &Credentials,
    keys: &Keys,
) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (method, meant) in methods {
        let found = match api.protocol {
            Protocol::Rest => verb(method, methods).map(|verb| (verb, path(method))),
            Protocol::Http => route_request::find(method, methods),
            // A connection is opened at the address of the stage.
            Protocol::WebSocket => Some(("GET", String::new())),
        };
        let Some((verb, path)) = found else {
            continue;
        };
        let is_safe = SAFE.contains(&verb);
        let mut add = |check, key: Option<&Key>| {
            probes.push(probe(method, check, (verb, &path), credentials, key));
        };
        match meant {
            Expectation::Protected => {
                add(Check::NoKey, None);
                if is_safe {
                    add(Check::BadKey, Some(&keys.unknown_key));
                    if keys.good.is_some() {
                        add(Check::GoodKey, keys.good.as_ref());
                    }
                }
                if api.answers_preflights && route_request::catches_preflights(method, methods) {
                    probes.push(preflight(method, &path));
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

/// The path of a method, with values for its parameters and without a leading slash.
fn path(method: &Method) -> String {
    let parts: Vec<_> = method
        .path
        .trim_start_matches('/')
        .split('/')
        .map(|part| {
            if part.starts_with('{') {
                PLACEHOLDER
            } else {
                part
            }
        })
        .collect();
    parts.join("/")
}

/// The request that a browser sends before another one. Source: the Fetch standard, "CORS-preflight request".
fn preflight(method: &Method, path: &str) -> Probe {
    let headers = [
        ("Origin", "https://threescale-gw-verify.invalid"),
        ("Access-Control-Request-Method", "GET"),
    ];
    let header = |(name, value): (&str, &str)| (name.to_owned(), Secret::from(value.to_owned()));
    Probe {
        label: method.label(),
        check: Check::Preflight,
        verb: "OPTIONS".to_owned(),
        path: path.to_owned(),
        headers: headers.map(header).into(),
        is_open_in_stage: None,
    }
}

fn probe(
    method: &Method,
    check: Check,
    (verb, path): (&str, &str),
    credentials: &Credentials,
    key: Option<&Key>,
) -> Probe {
    let mut path = path.to_owned();
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
        is_open_in_stage: None,
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

    /// The requests to an API of this kind, with this key of the operator.
    fn asked(
        protocol: Protocol,
        methods: &[(Method, Expectation)],
        credentials: &Credentials,
        good: Option<Key>,
    ) -> Vec<Probe> {
        let api = Api {
            protocol,
            answers_preflights: protocol == Protocol::Http,
            ..Api::default()
        };
        let unknown_key = Key::unknown(protocol).expect("a random number");
        probes(&api, methods, credentials, &Keys { unknown_key, good })
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
        let probes = asked(Protocol::Rest, &methods, &header, Some(key));
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
        let probes = asked(Protocol::Rest, &methods, &header, None);
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
        let probes = asked(Protocol::Rest, &methods, &query, Some(key));
        assert_eq!(probes[2].path, "?apikey=id&app_key=k%26y");
    }

    #[test]
    fn routes_that_catch_preflights_are_asked_like_a_browser() {
        let methods = [
            (method("ANY", "/files/{proxy+}"), Expectation::Protected),
            (method("ANY", "/items"), Expectation::Protected),
            (method("OPTIONS", "/items"), Expectation::Open),
            (method("GET", "/orders"), Expectation::Protected),
            (method("", "$default"), Expectation::Protected),
            (method("ANY", "/open"), Expectation::Open),
        ];
        let header = credentials(CredentialLocation::Header, None);
        let preflights = |protocol| -> Vec<_> {
            let probes = asked(protocol, &methods, &header, None).into_iter();
            probes
                .filter(|probe| probe.check == Check::Preflight)
                .map(|probe| format!("{} /{} {}", probe.verb, probe.path, probe.headers.len()))
                .collect()
        };
        assert_eq!(
            preflights(Protocol::Http),
            [
                "OPTIONS /files/threescale-gw-verify 2",
                "OPTIONS /threescale-gw-verify 2"
            ]
        );
        assert_eq!(preflights(Protocol::Rest), [""; 0]);
    }

    #[test]
    fn a_connection_is_opened_at_the_stage_and_the_unknown_key_is_another_one_each_time() {
        let methods = [(method("", "$connect"), Expectation::Protected)];
        let query = credentials(CredentialLocation::Query, None);
        let paths = || -> Vec<_> {
            let probes = asked(Protocol::WebSocket, &methods, &query, None);
            probes
                .into_iter()
                .map(|probe| (probe.verb, probe.path))
                .collect()
        };
        let (one, other) = (paths(), paths());
        assert_eq!(one[0], ("GET".to_owned(), String::new()));
        assert!(
            one[1].1.starts_with("?apikey=threescale-gw-verify-"),
            "{one:?}"
        );
        assert_ne!(one[1], other[1]);
    }
}

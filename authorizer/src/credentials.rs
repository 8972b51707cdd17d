//! The caller's credential: where it is in the request, and which ones are refused without a call.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::event::{Format, Request};
use crate::settings::{CredentialKind, CredentialSource, Place};

/// The longest accepted credential, in bytes. 3scale's own limit is the query string's, 10,240 bytes, into which two
/// percent-encoded credentials of this length fit together with the usage.
pub const MAX_LENGTH: usize = 512;

/// A caller's credential. `Debug` shows no part of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The user key of a service with `backend_version` 1.
    UserKey(String),
    /// The application ID and key of a service with `backend_version` 2.
    AppId {
        /// The application ID.
        id: String,
        /// The application key, if the caller sent one.
        key: Option<String>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserKey(_) => "UserKey(***)",
            Self::AppId { .. } => "AppId(***)",
        })
    }
}

impl Credential {
    /// The form for log lines: the last four characters of a long credential, nothing of a short one.
    #[must_use]
    pub fn masked(&self) -> String {
        let secret = match self {
            Self::UserKey(key) => key,
            Self::AppId { id, .. } => id,
        };
        let characters = secret.chars().count();
        if characters < 16 {
            return "***".to_owned();
        }
        let tail: String = secret.chars().skip(characters - 4).collect();
        format!("***{tail}")
    }
}

/// Why there is no usable credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// There is none, or only empty ones.
    Absent,
    /// There is one, but it is too long or not text.
    Unusable,
}

/// Finds the caller's credential in the first of `sources` that contains one.
///
/// # Errors
/// There is none, or the first one is unusable.
pub fn find(sources: &[CredentialSource], request: &Request<'_>) -> Result<Credential, Missing> {
    for source in sources {
        if let Some(found) = read(source, request) {
            return found.and_then(check);
        }
    }
    Err(Missing::Absent)
}

type Found = Option<Result<Credential, Missing>>;

fn read(source: &CredentialSource, request: &Request<'_>) -> Found {
    if let Some(token) = request.token.as_deref() {
        // API Gateway has already selected the header, so the configured place does not matter.
        return authorization(source.kind, token, true);
    }
    match source.place {
        Place::Basic => request
            .header("authorization")
            .flat_map(|value| values(request, value))
            .find_map(|value| authorization(source.kind, value, false)),
        Place::Header => pair(
            source.kind,
            || header(request, &source.name),
            || header(request, &source.key_name),
        ),
        Place::Query => pair(
            source.kind,
            || last_filled(request.parameter(&source.name)),
            || last_filled(request.parameter(&source.key_name)),
        ),
    }
}

fn pair<'a>(
    kind: CredentialKind,
    name: impl FnOnce() -> Option<&'a str>,
    key: impl FnOnce() -> Option<&'a str>,
) -> Found {
    let first = name()?.to_owned();
    Some(Ok(match kind {
        CredentialKind::UserKey => Credential::UserKey(first),
        CredentialKind::AppId => Credential::AppId {
            id: first,
            key: key().map(str::to_owned),
        },
    }))
}

/// The header with the configured name. As in APIcast, `-` and `_` in the name are equal.
fn header<'a>(request: &'a Request<'_>, name: &str) -> Option<&'a str> {
    let exact = request
        .header(name)
        .flat_map(|value| values(request, value));
    let exact = last_filled(exact).map(str::trim);
    if exact.is_some() || !name.contains(['-', '_']) {
        return exact;
    }
    let same = |a: u8, b: u8| {
        a.eq_ignore_ascii_case(&b) || (a == b'-' && b == b'_') || (a == b'_' && b == b'-')
    };
    let alike = |key: &str| {
        key.len() == name.len() && key.bytes().zip(name.bytes()).all(|(a, b)| same(a, b))
    };
    let found = request.headers.0.iter().filter(|(key, _)| alike(key));
    last_filled(found.flat_map(|(_, value)| values(request, value))).map(str::trim)
}

/// The values of a header. HTTP APIs join those of repeated headers with commas.
fn values<'a>(request: &Request<'_>, header: &'a str) -> impl Iterator<Item = &'a str> {
    let is_joined = request.format == Format::HttpApi;
    header.split(move |character| is_joined && character == ',')
}

/// The last one of repeated values, as in 3scale. Blank values count as absent. Spaces around a query value stay,
/// because 3scale does not trim keys.
fn last_filled<'a>(values: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    values.filter(|value| !value.trim().is_empty()).last()
}

/// The rest of an `Authorization` header with this scheme, in any case (RFC 9110).
fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = value.split_once([' ', '\t'])?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// Parses `Basic` and `Bearer`. As in APIcast, the last colon separates user and password. APIcast compares the scheme
/// with its case.
fn authorization(kind: CredentialKind, value: &str, bare: bool) -> Found {
    let value = value.trim();
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(encoded) = after_scheme(value, "Basic") {
        let Ok(decoded) = STANDARD
            .decode(encoded)
            .or_else(|_| STANDARD_NO_PAD.decode(encoded))
        else {
            return Some(Err(Missing::Unusable));
        };
        let Ok(decoded) = String::from_utf8(decoded) else {
            return Some(Err(Missing::Unusable));
        };
        let (user, password) = decoded.rsplit_once(':').unwrap_or((&decoded, ""));
        return match kind {
            CredentialKind::UserKey => filled(user)
                .or_else(|| filled(password))
                .map(|key| Ok(Credential::UserKey(key))),
            CredentialKind::AppId => filled(user).map(|id| {
                Ok(Credential::AppId {
                    id,
                    key: filled(password),
                })
            }),
        };
    }
    let token = match after_scheme(value, "Bearer") {
        Some(token) => token,
        None if bare => value,
        None => return None,
    };
    filled(token).map(|token| {
        Ok(match kind {
            CredentialKind::UserKey => Credential::UserKey(token),
            CredentialKind::AppId => Credential::AppId {
                id: token,
                key: None,
            },
        })
    })
}

fn check(credential: Credential) -> Result<Credential, Missing> {
    let usable = match &credential {
        Credential::UserKey(key) => key.len() <= MAX_LENGTH,
        Credential::AppId { id, key } => {
            id.len() <= MAX_LENGTH && key.as_ref().is_none_or(|key| key.len() <= MAX_LENGTH)
        }
    };
    usable.then_some(credential).ok_or(Missing::Unusable)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::event::Pairs;

    fn request<'a>(headers: &[(&'a str, &'a str)], query: &[(&'a str, &'a str)]) -> Request<'a> {
        let pairs = |pairs: &[(&'a str, &'a str)]| {
            pairs
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
                .collect::<Vec<_>>()
        };
        Request {
            format: Format::Policy,
            arn: "".into(),
            method: "GET".into(),
            resource: "".into(),
            path: "/".into(),
            path_is_decoded: false,
            path_has_open_end: false,
            headers: Pairs(pairs(headers)),
            query: pairs(query),
            token: None,
            source_ip: None,
            gateway_id: None,
        }
    }

    fn source(kind: CredentialKind, place: Place, name: &str) -> CredentialSource {
        CredentialSource {
            kind,
            place,
            name: name.to_owned(),
            key_name: "app_key".to_owned(),
        }
    }

    fn user_key(key: &str) -> Result<Credential, Missing> {
        Ok(Credential::UserKey(key.to_owned()))
    }

    fn app(id: &str, key: Option<&str>) -> Result<Credential, Missing> {
        Ok(Credential::AppId {
            id: id.to_owned(),
            key: key.map(str::to_owned),
        })
    }

    #[test]
    fn user_key_in_header_and_query() {
        let sources = [
            source(CredentialKind::UserKey, Place::Header, "user_key"),
            source(CredentialKind::UserKey, Place::Query, "user_key"),
        ];
        let find = |headers: &[_], query: &[_]| super::find(&sources, &request(headers, query));
        assert_eq!(find(&[("User-Key", "a")], &[]), user_key("a"));
        assert_eq!(
            find(&[("USER_KEY", "a")], &[("user_key", "b")]),
            user_key("a")
        );
        assert_eq!(
            find(&[], &[("user_key", "b"), ("user_key", "c")]),
            user_key("c")
        );
        assert_eq!(
            find(&[("user-key", " ")], &[("user_key", "b")]),
            user_key("b")
        );
        assert_eq!(
            find(&[("user-key", "")], &[("USER_KEY", "b")]),
            Err(Missing::Absent)
        );
        assert_eq!(find(&[], &[]), Err(Missing::Absent));
    }

    #[test]
    fn app_id_and_key() {
        let sources = [source(CredentialKind::AppId, Place::Header, "app_id")];
        let find = |headers: &[_]| super::find(&sources, &request(headers, &[]));
        assert_eq!(
            find(&[("App-Id", "i"), ("App-Key", "k")]),
            app("i", Some("k"))
        );
        assert_eq!(find(&[("app_id", "i")]), app("i", None));
        assert_eq!(find(&[("app_key", "k")]), Err(Missing::Absent));
    }

    #[test]
    fn basic_and_bearer() {
        let encode = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let find = |kind, value: &str| {
            super::find(
                &[source(kind, Place::Basic, "")],
                &request(&[("Authorization", value)], &[]),
            )
        };
        use CredentialKind::{AppId, UserKey};
        assert_eq!(find(UserKey, &encode("u:p")), user_key("u"));
        assert_eq!(find(UserKey, &encode(":p")), user_key("p"));
        assert_eq!(find(UserKey, &encode("u")), user_key("u"));
        assert_eq!(find(UserKey, "Bearer t"), user_key("t"));
        assert_eq!(find(AppId, &encode("a:b:k")), app("a:b", Some("k")));
        assert_eq!(find(AppId, &encode(":k")), Err(Missing::Absent));
        assert_eq!(find(AppId, "Bearer t"), app("t", None));
        assert_eq!(find(UserKey, "basic dTpw"), user_key("u"));
        assert_eq!(find(UserKey, "BASIC  dTpw"), user_key("u"));
        assert_eq!(find(UserKey, "bearer t"), user_key("t"));
        assert_eq!(find(AppId, "BEARER\tt"), app("t", None));
        assert_eq!(find(UserKey, "Bearer"), Err(Missing::Absent));
        assert_eq!(find(UserKey, "Bearert x"), Err(Missing::Absent));
        assert_eq!(find(UserKey, "Basic ???"), Err(Missing::Unusable));
        assert_eq!(find(UserKey, "Basic /w=="), Err(Missing::Unusable));
        assert_eq!(find(UserKey, "Digest x"), Err(Missing::Absent));
    }

    #[test]
    fn http_apis_join_repeated_headers() {
        let find = |sources: &[CredentialSource], headers: &[_]| {
            let joined = Request {
                format: Format::HttpApi,
                ..request(headers, &[])
            };
            (
                super::find(sources, &joined),
                super::find(sources, &request(headers, &[])),
            )
        };
        let key = [source(CredentialKind::UserKey, Place::Header, "x-user_key")];
        for (header, of_http_api, of_rest) in [
            ("a,b", "b", "a,b"),
            ("a, b ", "b", "a, b"),
            ("a,", "a", "a,"),
            (",a, ,", "a", ",a, ,"),
        ] {
            for name in ["x-user_key", "x-user-key"] {
                let found = find(&key, &[(name, header)]);
                assert_eq!(
                    found,
                    (user_key(of_http_api), user_key(of_rest)),
                    "{header}"
                );
            }
        }
        let (none, _) = find(&key, &[("x-user-key", " , ")]);
        assert_eq!(none, Err(Missing::Absent));
        let app_id = [source(CredentialKind::AppId, Place::Header, "app_id")];
        let (found, _) = find(&app_id, &[("app_id", "i,j"), ("app_key", "k,l")]);
        assert_eq!(found, app("j", Some("l")));
        let basic = [source(CredentialKind::UserKey, Place::Basic, "")];
        let (found, of_rest) = find(&basic, &[("authorization", "Digest x,bearer k,Bearer l")]);
        assert_eq!((found, of_rest), (user_key("k"), Err(Missing::Absent)));
    }

    #[test]
    fn tokens() {
        let mut request = request(&[], &[]);
        let sources = [source(CredentialKind::UserKey, Place::Header, "apikey")];
        for (token, wanted) in [
            ("k", "k"),
            ("Bearer k", "k"),
            ("bearer k", "k"),
            ("basic dTpw", "u"),
        ] {
            request.token = Some(Cow::Borrowed(token));
            assert_eq!(find(&sources, &request), user_key(wanted));
        }
        request.token = Some(Cow::Borrowed(" "));
        assert_eq!(find(&sources, &request), Err(Missing::Absent));
    }

    #[test]
    fn oversized_ones_are_unusable() {
        let sources = [source(CredentialKind::UserKey, Place::Header, "apikey")];
        let long = "x".repeat(MAX_LENGTH + 1);
        assert_eq!(
            find(&sources, &request(&[("apikey", &long)], &[])),
            Err(Missing::Unusable)
        );
        assert!(find(&sources, &request(&[("apikey", &long[1..])], &[])).is_ok());
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let credential = Credential::UserKey("0123456789abcdef".to_owned());
        assert_eq!(format!("{credential:?}"), "UserKey(***)");
        assert_eq!(credential.masked(), "***cdef");
        assert_eq!(Credential::UserKey("short".to_owned()).masked(), "***");
    }
}

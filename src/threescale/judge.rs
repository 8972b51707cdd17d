//! What the responses of 3scale mean for the configuration. Pure.
//!
//! Source of the statuses, codes and their order: recordings of the Service Management API.

use crate::config::CredentialKind;

/// The response to one request, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Response {
        status: u16,
        /// The value of the header with the reason of a 409.
        reason: Option<String>,
        /// The beginning of the body.
        body: String,
    },
    None(String),
}

/// What the request was about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The host and port of 3scale.
    pub place: &'a str,
    pub service_id: &'a str,
    pub kind: CredentialKind,
    /// Whether the credential is that of `--key`. Otherwise no application has it.
    pub has_key: bool,
}

/// What is known after the requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What makes the authorizer refuse callers.
    pub faults: Vec<String>,
    /// What is not checked, and why.
    pub notices: Vec<String>,
}

/// What the first response proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The service token, the product and the kind of the credentials fit, and the application exists if there is one.
    Passed,
    Fault(String),
    /// The response decides nothing.
    Unclear(String),
}

/// The error code of a response. `None` if the body is not an error of 3scale.
pub(super) fn code(body: &str) -> Option<&str> {
    let body = body.trim_start();
    let body = match body.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>")?.1.trim_start(),
        None => body,
    };
    let (code, _) = body.strip_prefix("<error code=\"")?.split_once('"')?;
    let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
    (code.len() < 80 && !code.is_empty() && code.chars().all(is_code)).then_some(code)
}

fn unchecked(asked: Asked<'_>, why: &str) -> Proof {
    Proof::Unclear(format!(
        "3scale ({}) {why}: the service token, the kind of the credentials and the metrics are not checked from this machine. The \
         authorizer checks them with its self-test",
        asked.place
    ))
}

/// Judges the response to `authorize` without usage.
pub fn service(asked: Asked<'_>, reply: &Reply) -> Proof {
    let (status, reason, body) = match reply {
        Reply::Response {
            status,
            reason,
            body,
        } => (*status, reason.as_deref(), body),
        Reply::None(why) => {
            return unchecked(asked, &format!("cannot be reached: {why}"));
        }
    };
    let service = asked.service_id;
    let no_decision = |what: String| unchecked(asked, &format!("answers {what}"));
    let code = match (status, code(body)) {
        (400..=499, Some(code)) if status != 409 => code,
        (409, _) if asked.has_key && reason.is_some_and(refuses_application) => {
            return Proof::Fault(format!(
                "--key: 3scale refuses its application ({})",
                reason.unwrap_or_default()
            ));
        }
        // The body of a 409 may be malformed.
        (200 | 409, None) if reason.is_some() || body.contains("<status>") => return Proof::Passed,
        _ => return no_decision(format!("with status {status}, and not as 3scale does")),
    };
    match (code, asked.kind) {
        ("user_key_invalid", CredentialKind::UserKey)
        | ("application_not_found", CredentialKind::AppId) => match asked.has_key {
            true => Proof::Fault(format!(
                "--key: 3scale has no application with this key in the product {service} ({code}). A new key takes up to a minute"
            )),
            false => Proof::Passed,
        },
        ("user_key_invalid", CredentialKind::AppId) => Proof::Fault(format!(
            "threescale.credentials: the product {service} uses user keys, but `kind: app_id` is configured"
        )),
        ("application_not_found", CredentialKind::UserKey) => Proof::Fault(format!(
            "threescale.credentials: the product {service} uses application ids, but `kind: user_key` is configured"
        )),
        ("service_token_invalid", _) => Proof::Fault(format!(
            "threescale.service_token: 3scale ({}) does not accept it, or it is not a token of the product {service} of \
             `threescale.service_id`. 3scale does not say which of the two (service_token_invalid)",
            asked.place
        )),
        (
            "provider_key_invalid"
            | "provider_key_invalid_or_service_missing"
            | "provider_key_or_service_token_required",
            _,
        ) => Proof::Fault(format!(
            "threescale.service_token: 3scale ({}) does not accept it ({code})",
            asked.place
        )),
        ("service_id_invalid" | "service_id_missing", _) => Proof::Fault(format!(
            "threescale.service_id: 3scale ({}) has no product {service} ({code})",
            asked.place
        )),
        (code, _) => no_decision(format!("{code} (status {status})")),
    }
}

/// Whether a refusal with this reason is the same for every request of the application.
fn refuses_application(reason: &str) -> bool {
    matches!(
        reason,
        "application_key_invalid" | "application_not_active" | "service_not_active"
    )
}

/// Judges the response to `authorize` with `no_body` and an amount of 0 of some metrics, for an application that exists: whether
/// all of them exist. 3scale checks them before keys, states and limits.
///
/// # Errors
/// Why the response does not show it.
pub fn have_metrics(reply: &Reply) -> Result<bool, String> {
    match reply {
        Reply::Response {
            status: 200 | 409, ..
        } => Ok(true),
        Reply::Response { status: 404, .. } => Ok(false),
        Reply::Response { status, .. } => Err(format!("3scale answers with status {status}")),
        Reply::None(why) => Err(why.clone()),
    }
}

/// The fault of metrics that do not exist.
pub fn missing_metrics(service_id: &str, missing: &[String]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "threescale.mapping_rules: the product {service_id} does not have the metrics or methods {}. A new one takes up to a minute",
        listed(missing)
    ))
}

/// The notice for metrics that are not checked. `None` if there are none: every product has `hits`.
pub fn unchecked_metrics(metrics: &[String], why: &str) -> Option<String> {
    let others: Vec<_> = metrics.iter().filter(|metric| *metric != "hits").collect();
    (!others.is_empty()).then(|| {
        let others: Vec<_> = others.into_iter().cloned().collect();
        format!(
            "whether the product has the metrics {} of `threescale.mapping_rules` is not checked: {why}",
            listed(&others)
        )
    })
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CredentialKind::{AppId, UserKey};

    fn asked(kind: CredentialKind, has_key: bool) -> Asked<'static> {
        Asked {
            place: "su1.3scale.net:443",
            service_id: "42",
            kind,
            has_key,
        }
    }

    fn error(status: u16, code: &str) -> Reply {
        Reply::Response {
            status,
            reason: None,
            body: format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error code=\"{code}\">text</error>"
            ),
        }
    }

    fn response(status: u16, reason: Option<&str>, body: &str) -> Reply {
        Reply::Response {
            status,
            reason: reason.map(str::to_owned),
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_credential_that_no_application_has_proves_the_rest() {
        for (kind, status, code, expected) in [
            (UserKey, 403, "user_key_invalid", ""),
            (AppId, 404, "application_not_found", ""),
            (AppId, 403, "user_key_invalid", "uses user keys"),
            (
                UserKey,
                404,
                "application_not_found",
                "uses application ids",
            ),
            (
                UserKey,
                403,
                "service_token_invalid",
                "threescale.service_token: 3scale (su1.3scale.net:443) does not accept it, or",
            ),
            (
                UserKey,
                403,
                "provider_key_invalid",
                "threescale.service_token",
            ),
            (
                AppId,
                403,
                "service_id_invalid",
                "threescale.service_id: 3scale",
            ),
        ] {
            let proof = service(asked(kind, false), &error(status, code));
            match (expected, proof) {
                ("", Proof::Passed) => {}
                (expected, Proof::Fault(text)) if !expected.is_empty() => {
                    assert!(text.contains(expected), "{text}");
                }
                (_, proof) => panic!("{code}: {proof:?}"),
            }
        }
    }

    #[test]
    fn a_key_must_be_that_of_an_application() {
        let ok = "<?xml version=\"1.0\"?><status><authorized>true</authorized>";
        for (reply, expected) in [
            (response(200, None, ok), ""),
            (response(409, Some("limits_exceeded"), "<status>"), ""),
            (
                response(409, Some("referrer_not_allowed"), "broken < body"),
                "",
            ),
            (
                response(409, Some("application_key_invalid"), "<status>"),
                "(application_key_invalid)",
            ),
            (
                response(409, Some("application_not_active"), "<status>"),
                "(application_not_active)",
            ),
            (
                error(403, "user_key_invalid"),
                "A new key takes up to a minute",
            ),
        ] {
            match (expected, service(asked(UserKey, true), &reply)) {
                ("", Proof::Passed) => {}
                (expected, Proof::Fault(text)) if !expected.is_empty() => {
                    assert!(
                        text.starts_with("--key: ") && text.contains(expected),
                        "{text}"
                    );
                }
                (_, proof) => panic!("{reply:?}: {proof:?}"),
            }
        }
    }

    #[test]
    fn other_responses_decide_nothing() {
        for (reply, words) in [
            (
                Reply::None("its name does not resolve".to_owned()),
                "cannot be reached: its name does not resolve",
            ),
            (response(404, None, ""), "with status 404, and not as"),
            (response(403, None, "<html>"), "status 403"),
            (response(302, None, ""), "status 302"),
            (response(200, None, "welcome"), "status 200"),
            (response(503, None, "<status>"), "status 503"),
            (error(500, "user_key_invalid"), "status 500"),
            (
                error(422, "not_valid_data"),
                "answers not_valid_data (status 422)",
            ),
            (error(403, "\u{1b}[31m"), "status 403"),
            (error(403, ""), "status 403"),
        ] {
            for has_key in [false, true] {
                let proof = service(asked(UserKey, has_key), &reply);
                let Proof::Unclear(text) = proof else {
                    panic!("{reply:?}: {proof:?}");
                };
                assert!(
                    text.contains(words) && !text.contains('\u{1b}'),
                    "{words}: {text}"
                );
            }
        }
    }

    #[test]
    fn metrics_exist_or_not_or_it_is_unknown() {
        assert_eq!(have_metrics(&response(200, None, "")), Ok(true));
        assert_eq!(have_metrics(&response(409, None, "")), Ok(true));
        assert_eq!(have_metrics(&response(404, None, "")), Ok(false));
        for reply in [response(503, None, ""), Reply::None("x".to_owned())] {
            assert!(have_metrics(&reply).is_err(), "{reply:?}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| -> Vec<_> { (1..=count).map(|n| format!("m{n}")).collect() };
        assert_eq!(missing_metrics("42", &[]), None);
        let text = missing_metrics("42", &names(12)).expect("a fault");
        assert!(text.contains("m10 and 2 more."), "{text}");
        assert_eq!(unchecked_metrics(&["hits".to_owned()], "why"), None);
        let text = unchecked_metrics(&names(2), "why").expect("a notice");
        assert!(
            text.contains("the metrics m1, m2 of") && text.ends_with("why"),
            "{text}"
        );
    }
}

//! Evaluates the response to a request. Pure.

use super::answer::{Answer, OBSERVED, Refusals, UNTOLD, has_our_shape, is_authorizer_failure};
use super::reason::{self, Says};
use super::report::{Check, Fault, Verdict};
use super::route_judge;
use crate::api_gateway::Protocol;

/// Evaluates a response.
pub fn judge(check: Check, answer: &Answer, refusals: Refusals) -> Verdict {
    if answer.protocol != Protocol::Rest {
        return route_judge::judge(check, answer, refusals);
    }
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
    let reason = answer.body["error"].as_str().filter(|why| !why.is_empty());
    // Without a credential, the authorizer is not called, so only a policy can deny the access.
    if answer.is_of_policy()
        || (check == Check::NoKey && kind.contains("AccessDenied") && reason.is_none())
    {
        return Err((Fault::NotAdmitted, seen));
    }
    let reason = answer.body["error"].as_str();
    if kind.contains("MissingAuthenticationToken") {
        // The error for a missing signature, and for a method that does not exist.
        let fault = match check {
            Check::Open => Fault::Blocked,
            _ => Fault::NotServed,
        };
        return Err((fault, seen));
    }
    let refused = is_refusal(answer, kind);
    let unauthorized = refused
        && (kind.contains("Unauthorized")
            || [Some("credential_missing"), Some("unauthorized")].contains(&reason));
    match check {
        Check::NoKey | Check::BadKey | Check::GoodKey if refusals.are_observed => match refused {
            false => Ok(Some(OBSERVED.to_owned())),
            // An API Gateway usage plan requires its own API key, or a firewall refuses the request.
            true if kind == "ForbiddenException" => Ok(Some(kind.to_owned())),
            true => Err((Fault::Enforced, seen)),
        },
        // A resource policy, a firewall or a usage plan can refuse the request before the authorizer is called.
        Check::NoKey if refused => Ok(Some(kind.to_owned())
            .filter(|kind| !kind.is_empty() && kind != "UnauthorizedException")),
        // The credential was sent where the configuration specifies, and was not found there. Source: API Gateway
        // itself returns 401 for a missing identity source, and for an authorizer's "Unauthorized".
        Check::BadKey if unauthorized && refusals.are_unauthorized => Ok(Some(UNTOLD.to_owned())),
        Check::GoodKey if unauthorized && refusals.are_unauthorized => {
            Err((Fault::Refuses, format!("{seen}, {UNTOLD}")))
        }
        Check::BadKey | Check::GoodKey if unauthorized => Err((Fault::Misplaced, seen)),
        // A version of the authorizer that denies bad keys, behind a response that is only for passed limits.
        Check::BadKey if refused && answer.status == 429 && reason != Some("limits_exceeded") => {
            let why = reason.unwrap_or(UNTOLD);
            Err((Fault::WrongAuthorizer, format!("{seen}, {why}")))
        }
        Check::BadKey if refused && (refusals.have_reasons || has_our_shape(answer)) => {
            bad_key(reason, kind, &seen)
        }
        // The text might come from another tool's gateway response, so it is not known to be the authorizer's reason.
        Check::BadKey if refused => Ok(Some(match reason {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => UNTOLD.to_owned(),
        })),
        Check::NoKey | Check::BadKey => Err((Fault::Open, seen)),
        // An API Gateway usage plan requires its own API key.
        Check::GoodKey if kind == "ForbiddenException" => Ok(Some(
            "refused by API Gateway's own x-api-key or policy".to_owned(),
        )),
        Check::GoodKey if refused => good_key(reason.filter(|why| !why.is_empty()), seen),
        // The backend's own refusal.
        Check::Open if answer.is_of_backend() => Ok(None),
        Check::Open if refused && kind != "ForbiddenException" => Err((Fault::Blocked, seen)),
        Check::GoodKey | Check::Open | Check::Preflight | Check::Guard | Check::SelfTest => {
            Ok(None)
        }
    }
}

/// Evaluates the refusal of a key that no application has, if refusals contain the authorizer's reason. Only 3scale's
/// own refusal of the credential shows that others are allowed.
pub(super) fn bad_key(reason: Option<&str>, kind: &str, seen: &str) -> Verdict {
    let Some(why) = reason else {
        // Refused by a firewall, a policy or a usage plan, with or without the authorizer.
        return Ok(Some(match kind {
            "" => UNTOLD.to_owned(),
            kind => kind.to_owned(),
        }));
    };
    let fault = match reason::says(why) {
        Some(Says::Key | Says::Unmapped) => return Ok(Some(why.to_owned())),
        Some(Says::Everyone) => Fault::NobodyGetsIn,
        Some(Says::NotAsked) => Fault::NotAsked,
        Some(Says::Credential) => Fault::Misplaced,
        // The authorizer allowed the request, and something else then refused it.
        Some(Says::Passes) => Fault::Open,
        None if why.is_empty() => {
            return Err((
                Fault::WrongAuthorizer,
                format!("{seen}, without a reason of the authorizer"),
            ));
        }
        None => {
            return Err((
                Fault::WrongAuthorizer,
                format!("{seen}, {why}, which is not a reason of the authorizer"),
            ));
        }
    };
    Err((fault, format!("{seen}, {why}")))
}

/// Evaluates the refusal of the operator's test key.
pub(super) fn good_key(reason: Option<&str>, seen: String) -> Verdict {
    let Some(why) = reason else {
        return Err((Fault::Refuses, seen));
    };
    let fault = match reason::says(why) {
        // The reason does not depend on the key.
        Some(Says::Unmapped) => return Ok(Some(why.to_owned())),
        Some(Says::Key | Says::Credential) => Fault::KeyRefused,
        Some(Says::NotAsked) => Fault::NotAsked,
        // `Passes`: allowed by the authorizer, refused by a policy.
        Some(Says::Everyone | Says::Passes) | None => Fault::Refuses,
    };
    Err((fault, format!("{seen}, {why}")))
}

/// Whether API Gateway itself refused the request. An operator can customize the status, so it can have any value. A
/// response with neither API Gateway's error type nor its body format comes from a backend.
fn is_refusal(answer: &Answer, kind: &str) -> bool {
    let named = ["Unauthorized", "AccessDenied", "Forbidden"]
        .iter()
        .any(|word| kind.contains(word));
    let ours = has_our_shape(answer);
    let plain = answer.body.as_object().is_some_and(|body| {
        body.len() == 1 && body.keys().all(|key| key.eq_ignore_ascii_case("message"))
    });
    named || (matches!(answer.status, 401 | 403 | 429) && (ours || plain))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, kind: &str, body: Value) -> Answer {
        Answer {
            status,
            error_type: Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
            body,
            ..Answer::default()
        }
    }

    const REASONS: Refusals = Refusals {
        have_reasons: true,
        are_unauthorized: false,
        are_observed: false,
        need_key: false,
    };

    #[test]
    fn a_bad_key_is_a_401_where_a_deny_is_a_passed_limit() {
        let unauthorized = json!({"error": "unauthorized", "detail": "Unauthorized"});
        let denied = |status, reason: &str| {
            answer(
                status,
                "AccessDeniedException",
                json!({"error": reason, "detail": ""}),
            )
        };
        let limits_only = Refusals {
            are_unauthorized: true,
            ..REASONS
        };
        let judged = |check, answer: &Answer, refusals| {
            judge(check, answer, refusals).map_err(|(fault, _)| fault)
        };
        for kind in ["UnauthorizedException", ""] {
            let answer = answer(401, kind, unauthorized.clone());
            let untold = Ok(Some(UNTOLD.to_owned()));
            assert_eq!(judged(Check::BadKey, &answer, limits_only), untold);
            assert!(judged(Check::NoKey, &answer, limits_only).is_ok());
            let refused = judged(Check::GoodKey, &answer, limits_only);
            assert_eq!(refused, Err(Fault::Refuses));
            let refused = judged(Check::BadKey, &answer, REASONS);
            assert_eq!(refused, Err(Fault::Misplaced));
        }
        // The former version, with its own gateway response or with the new one.
        let former = judged(Check::BadKey, &denied(403, "user_key_invalid"), limits_only);
        assert!(former.is_ok());
        for refusals in [REASONS, limits_only] {
            let shown = judged(Check::BadKey, &denied(429, "user_key_invalid"), refusals);
            assert_eq!(shown, Err(Fault::WrongAuthorizer));
        }
        let passed = judged(Check::GoodKey, &denied(429, "limits_exceeded"), limits_only);
        assert_eq!(passed, Err(Fault::KeyRefused));
    }

    #[test]
    fn nothing_is_refused_by_an_authorizer_that_observes() {
        let observed = Refusals {
            are_observed: true,
            ..REASONS
        };
        let judged =
            |check, answer: &Answer| judge(check, answer, observed).map_err(|(fault, _)| fault);
        let own = answer(401, "", json!({"reason": "the backend's"}));
        let unauthorized = answer(401, "UnauthorizedException", Value::Null);
        let denied = answer(
            403,
            "AccessDeniedException",
            json!({"error": "user_key_invalid", "detail": ""}),
        );
        let failed = answer(500, "AuthorizerFailureException", json!({"message": null}));
        let api_key = answer(403, "ForbiddenException", json!({"message": "Forbidden"}));
        for check in [Check::NoKey, Check::BadKey, Check::GoodKey] {
            for passes in [&answer(200, "", Value::Null), &own] {
                assert_eq!(judged(check, passes), Ok(Some(OBSERVED.to_owned())));
            }
            assert_eq!(judged(check, &denied), Err(Fault::Enforced));
            assert_eq!(judged(check, &failed), Err(Fault::AuthorizerFailed));
            assert!(judged(check, &api_key).is_ok());
        }
        assert_eq!(judged(Check::NoKey, &unauthorized), Err(Fault::Enforced));
        assert_eq!(judged(Check::Open, &unauthorized), Err(Fault::Blocked));
    }

    #[test]
    fn each_fault_is_told_from_the_answer() {
        let ours = |reason: &str| json!({"error": reason});
        let fault =
            |check, answer: Answer| judge(check, &answer, REASONS).err().map(|(fault, _)| fault);
        for (check, answer, expected) in [
            (
                Check::BadKey,
                answer(403, "AccessDeniedException", ours("misconfigured")),
                Some(Fault::NobodyGetsIn),
            ),
            (
                Check::BadKey,
                answer(403, "AccessDeniedException", ours("too_many_unknown")),
                Some(Fault::NotAsked),
            ),
            (
                Check::BadKey,
                answer(403, "AccessDeniedException", ours("no_mapping_rule")),
                None,
            ),
            (
                Check::BadKey,
                answer(403, "AccessDeniedException", ours("a_word_of_others")),
                Some(Fault::WrongAuthorizer),
            ),
            (
                Check::BadKey,
                answer(403, "ForbiddenException", json!({"message": "Forbidden"})),
                None,
            ),
            (
                Check::GoodKey,
                answer(403, "AccessDeniedException", ours("no_mapping_rule")),
                None,
            ),
            (
                Check::GoodKey,
                answer(403, "AccessDeniedException", ours("service_not_active")),
                Some(Fault::Refuses),
            ),
            (
                Check::GoodKey,
                answer(403, "AccessDeniedException", ours("application_not_active")),
                Some(Fault::KeyRefused),
            ),
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
            // A backend received the request and refuses it.
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
                answer(503, "", ours("authorizer_failure")),
                Some(Fault::AuthorizerFailed),
            ),
            (
                Check::BadKey,
                answer(200, "", Value::Null),
                Some(Fault::Open),
            ),
            // An outdated authorizer that reads another header.
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

    /// With gateway responses of other tools, a refusal has no known reason, and the texts are not evaluated.
    #[test]
    fn the_texts_of_others_are_no_reasons() {
        let judged = |body: Value| {
            judge(
                Check::BadKey,
                &answer(403, "AccessDeniedException", body),
                Refusals::default(),
            )
        };
        assert_eq!(
            judged(json!({"Message": "no"})),
            Ok(Some(UNTOLD.to_owned()))
        );
        assert_eq!(
            judged(json!({"error": "internal"})),
            Ok(Some("internal".to_owned()))
        );
        // Except in our own format: another tool edited our gateway responses.
        let ours = json!({"error": "misconfigured", "detail": "..."});
        assert_eq!(
            judged(ours).map_err(|(fault, _)| fault),
            Err(Fault::NobodyGetsIn)
        );
    }
}

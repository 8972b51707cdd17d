//! Evaluates the responses of HTTP and WebSocket APIs. Pure.
//!
//! These APIs have no gateway responses: status and body of a refusal are fixed, and tell no reason. A backend can answer the
//! same, so a refusal alone does not prove that the authorizer was asked: see [`proof`](super::proof).
//! Source: API Gateway Developer Guide, "Control access to HTTP APIs with AWS Lambda authorizers" and "Managing connected users
//! and client apps: $connect and $disconnect routes".

use super::answer::{Answer, OBSERVED, Refusals, UNTOLD, is_of_gateway};
use super::probes::Probe;
use super::report::{Check, Fault, Row, Verdict};

/// What a browser meets on a route that refuses preflight requests, and the remedy.
/// Source: API Gateway Developer Guide, "Configure CORS for HTTP APIs".
const NO_PREFLIGHT: &str = "the preflight requests of browsers are refused: add a route `OPTIONS /{proxy+}` with an integration and \
                            without authorization";

/// Evaluates a response.
pub(super) fn judge(check: Check, answer: &Answer, refusals: Refusals) -> Verdict {
    // A protected route refuses `HEAD` without a body, too. Elsewhere, such a status is one of the backend.
    let is_refusal_expected =
        matches!(check, Check::NoKey | Check::BadKey) && !refusals.are_observed;
    let is_own = is_of_gateway(answer) && (is_refusal_expected || !answer.is_to_head);
    let own = is_own.then_some(answer.status);
    let seen = answer.status.to_string();
    match (check, own) {
        (Check::Guard | Check::SelfTest, _) => Ok(None),
        (_, Some(429)) => Err((Fault::Throttled, seen)),
        (Check::Preflight, Some(401 | 403 | 500)) => Ok(Some(NO_PREFLIGHT.to_owned())),
        (Check::Preflight, _) => Ok(None),
        (Check::Open, Some(401 | 403)) => Err((Fault::Blocked, seen)),
        (Check::Open, Some(404)) => Err((Fault::NotServed, seen)),
        (Check::Open, _) => Ok(None),
        (_, Some(500)) => Err((Fault::AuthorizerFailed, seen)),
        (Check::NoKey | Check::BadKey, Some(404)) => Err((Fault::NotServed, seen)),
        (_, Some(401 | 403)) if refusals.are_observed => Err((Fault::Enforced, seen)),
        _ if refusals.are_observed => Ok(Some(OBSERVED.to_owned())),
        (Check::NoKey, Some(401)) => Ok(None),
        (Check::NoKey, Some(403)) if refusals.need_key => Err((
            Fault::WrongAuthorizer,
            format!("{seen}, not the 401 for a missing credential"),
        )),
        (Check::NoKey, Some(403)) => Ok(None),
        (Check::BadKey | Check::GoodKey, Some(401)) => Err((Fault::Misplaced, seen)),
        (Check::BadKey, Some(403)) => Ok(Some(UNTOLD.to_owned())),
        (Check::GoodKey, Some(403)) => Err((Fault::Refuses, format!("{seen}, {UNTOLD}"))),
        (Check::GoodKey, _) => Ok(None),
        (Check::NoKey | Check::BadKey, _) if matches!(answer.status, 401 | 403) => {
            Err((Fault::Open, format!("{seen} of the backend")))
        }
        (Check::NoKey | Check::BadKey, _) => Err((Fault::Open, seen)),
    }
}

/// Corrects what a response alone does not tell, with what the stage serves: a backend can answer with the same body.
pub(super) fn correct(row: &mut Row, probe: &Probe, refusals: Refusals) {
    let of_backend = |row: &Row| row.status.map(|status| format!("{status} of the backend"));
    match (&row.verdict, row.check, probe.is_open_in_stage) {
        (Err((Fault::Blocked | Fault::NotServed, _)), Check::Open, Some(true)) => {
            row.verdict = Ok(of_backend(row));
        }
        (Err((Fault::NotServed, _)), Check::NoKey | Check::BadKey, Some(_))
            if refusals.are_observed =>
        {
            row.verdict = Ok(Some(OBSERVED.to_owned()));
        }
        _ => {}
    }
}

/// A failure of the integration answers like one of the authorizer. If the authorizer refuses a bad key on the same route, it
/// works, so the integration fails.
pub(super) fn tell_integrations(rows: &mut [Row]) {
    let decides = |row: &&Row| row.check == Check::BadKey && row.verdict.is_ok();
    let decided: Vec<_> = rows
        .iter()
        .filter(decides)
        .map(|row| row.label.clone())
        .collect();
    for row in rows {
        let has_failed = matches!(&row.verdict, Err((Fault::AuthorizerFailed, _)));
        if row.check == Check::GoodKey && has_failed && decided.contains(&row.label) {
            row.verdict = Ok(Some("500 of the integration".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api_gateway::Protocol;

    fn answer(protocol: Protocol, status: u16, body: Value) -> Answer {
        Answer {
            protocol,
            status,
            body,
            ..Answer::default()
        }
    }

    fn of_gateway(status: u16) -> Answer {
        let text = match status {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            429 => "Too Many Requests",
            _ => "Internal Server Error",
        };
        answer(Protocol::Http, status, json!({ "message": text }))
    }

    const ENFORCED: Refusals = Refusals {
        have_reasons: false,
        are_unauthorized: false,
        are_observed: false,
        need_key: true,
    };
    const ALL: [Check; 4] = [Check::NoKey, Check::BadKey, Check::GoodKey, Check::Open];

    fn faults(answer: &Answer, refusals: Refusals) -> [Option<Fault>; 4] {
        ALL.map(|check| judge(check, answer, refusals).err().map(|(fault, _)| fault))
    }

    /// The table of what callers see, for requests without a key, with a bad one, with a good one, and to an open route.
    #[test]
    fn each_answer_of_an_http_api_has_one_meaning() {
        use Fault::{
            AuthorizerFailed, Blocked, Misplaced, NotServed, Open, Refuses, Throttled,
            WrongAuthorizer,
        };
        let backend = |status, body| answer(Protocol::Http, status, body);
        let rows = [
            (
                of_gateway(401),
                [None, Some(Misplaced), Some(Misplaced), Some(Blocked)],
            ),
            (
                of_gateway(403),
                [Some(WrongAuthorizer), None, Some(Refuses), Some(Blocked)],
            ),
            (
                of_gateway(404),
                [Some(NotServed), Some(NotServed), None, Some(NotServed)],
            ),
            (of_gateway(429), [Some(Throttled); 4]),
            (
                of_gateway(500),
                [
                    Some(AuthorizerFailed),
                    Some(AuthorizerFailed),
                    Some(AuthorizerFailed),
                    None,
                ],
            ),
        ];
        for (answer, expected) in rows {
            assert_eq!(faults(&answer, ENFORCED), expected, "{answer:?}");
        }
        // What the backend answers is never a refusal of the authorizer.
        for answer in [
            backend(200, Value::Null),
            backend(204, Value::Null),
            backend(302, Value::Null),
            backend(400, json!({"message": "Bad Request"})),
            backend(401, json!({"message": "Unauthorized", "code": 7})),
            backend(401, json!({"message": "unauthorized"})),
            backend(401, Value::Null),
            backend(
                403,
                json!({"error": "user_key_invalid", "detail": "Forbidden"}),
            ),
            backend(403, json!({"Message": "Forbidden"})),
            backend(404, json!({"message": "no such order"})),
            backend(429, json!({"message": "slow down"})),
            backend(500, json!({"message": null})),
            backend(502, json!({"message": "Bad Gateway"})),
            backend(503, json!({"message": "Service Unavailable"})),
        ] {
            assert_eq!(
                faults(&answer, ENFORCED),
                [Some(Open), Some(Open), None, None],
                "{answer:?}"
            );
        }
        // The function refuses a request without a key itself.
        let asked = Refusals {
            need_key: false,
            ..ENFORCED
        };
        for status in [401, 403] {
            assert_eq!(judge(Check::NoKey, &of_gateway(status), asked), Ok(None));
        }
    }

    #[test]
    fn a_refusal_of_head_has_no_body() {
        use Fault::{Misplaced, NotServed, Open, WrongAuthorizer};
        let head = |status| Answer {
            is_to_head: true,
            ..answer(Protocol::Http, status, Value::Null)
        };
        for (status, expected) in [
            (200, [Some(Open), Some(Open), None, None]),
            (401, [None, Some(Misplaced), None, None]),
            (403, [Some(WrongAuthorizer), None, None, None]),
            (404, [Some(NotServed), Some(NotServed), None, None]),
        ] {
            assert_eq!(faults(&head(status), ENFORCED), expected, "{status}");
        }
        let observed = Refusals {
            are_observed: true,
            need_key: false,
            ..ENFORCED
        };
        for status in [200, 401, 403] {
            assert_eq!(faults(&head(status), observed), [None; 4], "{status}");
        }
    }

    #[test]
    fn a_handshake_is_judged_by_its_status() {
        use Fault::{AuthorizerFailed, Misplaced, Open, Refuses, Throttled, WrongAuthorizer};
        let body = json!({"message": "Forbidden", "connectionId": "c", "requestId": "r"});
        for (status, expected) in [
            (101, [Some(Open), Some(Open), None]),
            (401, [None, Some(Misplaced), Some(Misplaced)]),
            (403, [Some(WrongAuthorizer), None, Some(Refuses)]),
            (429, [Some(Throttled); 3]),
            (500, [Some(AuthorizerFailed); 3]),
            (502, [Some(Open), Some(Open), None]),
        ] {
            let answer = answer(Protocol::WebSocket, status, body.clone());
            assert_eq!(faults(&answer, ENFORCED)[..3], expected, "{status}");
        }
    }

    #[test]
    fn an_authorizer_that_observes_refuses_nothing() {
        let observed = Refusals {
            are_observed: true,
            need_key: false,
            ..ENFORCED
        };
        let keyed = |answer: &Answer| faults(answer, observed)[..3].to_vec();
        for status in [401, 403] {
            assert_eq!(keyed(&of_gateway(status)), [Some(Fault::Enforced); 3]);
            let own = answer(Protocol::Http, status, Value::Null);
            assert_eq!(keyed(&own), [None; 3]);
        }
        assert_eq!(keyed(&answer(Protocol::Http, 200, Value::Null)), [None; 3]);
        assert_eq!(keyed(&of_gateway(500)), [Some(Fault::AuthorizerFailed); 3]);
    }

    #[test]
    fn a_refused_preflight_is_a_warning_with_its_remedy() {
        for (status, is_refused) in [(204, false), (401, true), (403, true), (404, false)] {
            let answer = match status {
                204 => answer(Protocol::Http, 204, Value::Null),
                status => of_gateway(status),
            };
            let told = judge(Check::Preflight, &answer, ENFORCED).expect("no fault");
            let names_remedy = told.is_some_and(|text| text.contains("OPTIONS /{proxy+}"));
            assert_eq!(names_remedy, is_refused, "{status}");
        }
    }

    fn row(check: Check, answer: &Answer, refusals: Refusals) -> Row {
        Row {
            label: "GET /a".to_owned(),
            check,
            verb: "GET".to_owned(),
            status: Some(answer.status),
            request_id: None,
            verdict: judge(check, answer, refusals),
            as_before: false,
        }
    }

    #[test]
    fn the_stage_tells_the_backend_from_the_gateway() {
        let observed = Refusals {
            are_observed: true,
            ..ENFORCED
        };
        for (check, status, refusals, is_open_in_stage, is_well) in [
            (Check::Open, 401, ENFORCED, Some(true), true),
            (Check::Open, 404, ENFORCED, Some(true), true),
            (Check::Open, 401, ENFORCED, Some(false), false),
            (Check::Open, 404, ENFORCED, None, false),
            (Check::NoKey, 404, ENFORCED, Some(false), false),
            (Check::NoKey, 404, observed, Some(false), true),
            (Check::NoKey, 404, observed, None, false),
            (Check::BadKey, 401, observed, Some(false), false),
        ] {
            let mut row = row(check, &of_gateway(status), refusals);
            let probe = Probe {
                label: String::new(),
                check,
                verb: "GET".to_owned(),
                path: String::new(),
                headers: Vec::new(),
                is_open_in_stage,
            };
            correct(&mut row, &probe, refusals);
            assert_eq!(
                row.verdict.is_ok(),
                is_well,
                "{check:?} {status} {is_open_in_stage:?}"
            );
        }
    }

    #[test]
    fn a_500_for_a_good_key_is_of_the_integration_if_the_authorizer_decides() {
        for (bad, is_well) in [(403, true), (500, false)] {
            let mut rows = [(Check::BadKey, bad), (Check::GoodKey, 500)]
                .map(|(check, status)| row(check, &of_gateway(status), ENFORCED));
            tell_integrations(&mut rows);
            assert_eq!(rows[1].verdict.is_ok(), is_well);
        }
    }
}

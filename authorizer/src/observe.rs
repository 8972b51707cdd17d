//! The mode observe: every request is allowed, also if the function itself fails.

use std::time::Instant;

use serde_json::{Value, json};

use crate::answer::{self, Effect, Outcome};
use crate::event::Format;
use crate::failure::Cause;
use crate::log;
use crate::runtime::{Reply, Runtime, RuntimeError};
use crate::settings::{HttpApiAnswer, LimitStatus, Mode};

/// The decision as an Allow. Keeps everything else, so that a backend can see the reason.
#[must_use]
pub(crate) fn passed(outcome: &Outcome) -> Outcome {
    Outcome {
        effect: Effect::Allow,
        ..outcome.clone()
    }
}

/// An Allow for an event on which no decision could be made, for this reason. `None` if the event is not about a request to
/// an API.
pub(crate) fn blind(event: &[u8], reason: &str, http_api: HttpApiAnswer) -> Option<Reply> {
    // An event that cannot be read at all is API Gateway's, too: the other two have a fixed text.
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    let of_others = ["threescale-gw", "detail-type", "source"];
    if of_others.iter().any(|name| !event[name].is_null()) {
        return None;
    }
    let (format, arn) = if event["version"] == "2.0" || event["routeArn"].is_string() {
        (Format::HttpApi, &event["routeArn"])
    } else if event["requestContext"]["eventType"] == "CONNECT" {
        (Format::WebSocket, &event["methodArn"])
    } else {
        (Format::Policy, &event["methodArn"])
    };
    let arn = arn.as_str().filter(|arn| !arn.is_empty()).unwrap_or("*");
    let outcome = passed(&Outcome::deny(reason));
    let limits = LimitStatus::Forbidden;
    Some(answer::write(&outcome, format, arn, http_api, None, limits))
}

/// Logs a decision that could not be made.
pub(crate) fn note_blind(request: &str, reason: &str, started: Instant) {
    let line = json!({
        "level": "error",
        "event": "decision",
        "mode": "observe",
        "request": request,
        "allowed": false,
        "answer": answer::Kind::Failure.word(),
        "reason": reason,
        "source": "request",
        "us": u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
    });
    log::traced(line);
}

/// Answers events without usable settings: every request is allowed, and the self-test fails with `why`.
pub(crate) fn serve(runtime: &mut Runtime, why: &str) -> Result<(), RuntimeError> {
    const REASON: &str = "not_ready";
    loop {
        let invocation = runtime.next_invocation()?;
        let started = Instant::now();
        let allowed = blind(&invocation.event, REASON, HttpApiAnswer::default());
        if allowed.is_some() {
            note_blind(&invocation.request_id, REASON, started);
        }
        let reply = allowed.unwrap_or_else(|| failed_test(why));
        runtime.reply(&invocation.request_id, &reply)?;
    }
}

/// The self-test of a function without usable settings.
fn failed_test(why: &str) -> Reply {
    let check = json!({
        "name": "secrets", "ok": false, "ms": 0, "error": why, "cause": Cause::Invalid.word(), "warning": null,
    });
    let mode = Mode::Observe { reports: true };
    let test = json!({ "ok": false, "checks": [check], "mode": mode.word() });
    Reply::Answer(test.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_cannot_be_decided_is_allowed() {
        let allowed = |event: &str| {
            let Some(Reply::Answer(answer)) =
                blind(event.as_bytes(), "internal", HttpApiAnswer::Simple)
            else {
                return Value::Null;
            };
            serde_json::from_slice(&answer).expect("JSON")
        };
        let statement = |event: &str| allowed(event)["policyDocument"]["Statement"][0].clone();
        for (event, resource) in [
            (
                r#"{"type":"REQUEST","methodArn":"arn:aws:execute-api:eu-west-1:1:api/prod/GET/x","headers":7}"#,
                "arn:aws:execute-api:eu-west-1:1:api/prod/*/*",
            ),
            (
                r#"{"type":"REQUEST","methodArn":"arn:aws:execute-api:eu-west-1:1:api/prod/$connect","headers":7,
                "requestContext":{"eventType":"CONNECT"}}"#,
                "arn:aws:execute-api:eu-west-1:1:api/prod/*",
            ),
            (r#"{"type":"REQUEST"}"#, "*"),
            ("{}", "*"),
            ("not JSON", "*"),
        ] {
            let statement = statement(event);
            assert_eq!(
                (&statement["Effect"], &statement["Resource"]),
                (&json!("Allow"), &json!(resource)),
                "{event}"
            );
        }
        for http_api in [
            r#"{"version":"2.0"}"#,
            r#"{"version":"3.0","routeArn":"arn"}"#,
        ] {
            assert_eq!(allowed(http_api)["isAuthorized"], true, "{http_api}");
        }
        assert_eq!(allowed("{}")["context"]["reason"], "internal");
        for others in [
            r#"{"threescale-gw":"self-test"}"#,
            r#"{"source":"aws.events"}"#,
            r#"{"detail-type":"Scheduled Event"}"#,
        ] {
            assert_eq!(blind(others.as_bytes(), "x", HttpApiAnswer::Simple), None);
        }
    }

    #[test]
    fn a_refusal_passes_with_its_reason() {
        let refused = Outcome {
            effect: Effect::Unauthorized,
            ..Outcome::deny("credential_missing")
        };
        let passed = passed(&refused);
        assert_eq!(
            (passed.effect, passed.reason.as_str()),
            (Effect::Allow, "credential_missing")
        );
    }
}

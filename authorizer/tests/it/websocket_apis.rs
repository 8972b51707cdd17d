//! WebSocket APIs through the real binary: one decision for each new connection.

use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::gateway::{World, connection};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::{Limit, Period};

const ALL: &str = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/*";

fn world() -> World {
    World::with_clock(Clock::default())
        .with(
            "credentials",
            json!([
                { "kind": "user_key", "in": "header", "name": "apikey" },
                { "kind": "user_key", "in": "query", "name": "user_key" },
            ]),
        )
        .with(
            "mapping_rules",
            json!([
                { "method": "GET", "pattern": "/$", "metric": "hits" },
                { "method": "GET", "pattern": "/$?channel={name}", "metric": "orders" },
                { "method": "POST", "pattern": "/", "metric": "products" },
            ]),
        )
}

/// The effect of the policy and its reason, or the function error.
fn decided(process: &Process, event: &Value) -> (String, String) {
    match process.api.invoke(&event.to_string()) {
        Answer::Result(answer) => {
            let statement = &answer["policyDocument"]["Statement"][0];
            assert_eq!(statement["Resource"], ALL, "{answer}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&statement["Effect"]),
                text(&answer["context"]["reason"]),
            )
        }
        Answer::Error(error) => (
            "error".to_owned(),
            error["errorMessage"].as_str().unwrap().to_owned(),
        ),
    }
}

fn with_header(name: &str, values: &[&str]) -> Value {
    let mut event = connection(&[]);
    event["headers"][name] = json!(values.last());
    event["multiValueHeaders"][name] = json!(values);
    event
}

#[test]
fn a_connection_is_decided_and_counted_once() {
    let world = world();
    let limits = [Limit::new("hits", Period::Eternity, 1)];
    world.threescale.add("tight", &limits);
    let process = world.process("authorizer", &[]);
    let with_key = |key: &str| connection(&[("user_key", &[key])]);
    for (event, effect, reason) in [
        (with_key("uk_free"), "Allow", "authorized"),
        (
            connection(&[("user_key", &["bad", "uk_free"]), ("channel", &["a"])]),
            "Allow",
            "authorized",
        ),
        (
            connection(&[("user_key", &["uk_free", "bad"])]),
            "Deny",
            "user_key_invalid",
        ),
        (with_header("ApiKey", &["uk_free"]), "Allow", "authorized"),
        (with_header("ApiKey", &["bad"]), "Deny", "user_key_invalid"),
        (with_key("uk_tight"), "Allow", "authorized"),
        (with_key("uk_tight"), "Deny", "limits_exceeded"),
        // API Gateway turns this into a 401.
        (with_key(""), "error", "Unauthorized"),
        (connection(&[]), "error", "Unauthorized"),
    ] {
        let (effect, reason) = (effect.to_owned(), reason.to_owned());
        assert_eq!(decided(&process, &event), (effect, reason), "{event}");
    }
    let reporter = world.process("reporter", &[]);
    reporter.api.invoke(r#"{"source":"aws.events"}"#);
    assert_eq!(world.threescale.total("free", "hits"), 3);
    assert_eq!(world.threescale.total("free", "orders"), 1);
    assert_eq!(world.threescale.total("free", "products"), 0);
    assert_eq!(world.threescale.total("tight", "hits"), 1);
}

/// The status of limits is a setting of REST APIs, and what is no fault of the caller is an error.
#[test]
fn a_refusal_is_a_deny_and_a_failure_is_an_error() {
    let world = world().with("limits", json!(429));
    let process = world.process("authorizer", &[]);
    let event = connection(&[("user_key", &["bad"])]);
    assert_eq!(decided(&process, &event).0, "Deny");
    world.threescale.stop();
    let event = connection(&[("user_key", &["uk_free"])]);
    let failed = ("error".to_owned(), "backend_unavailable".to_owned());
    assert_eq!(decided(&process, &event), failed);
}

#[test]
fn the_log_of_a_connection_names_its_route() {
    let world = world();
    let process = world.process("authorizer", &[]);
    decided(
        &process,
        &connection(&[("user_key", &["0123456789abcdef"])]),
    );
    let output = process.output();
    let line = output
        .lines()
        .find(|line| line.contains("***cdef"))
        .unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for (name, wanted) in [
        ("event", "decision"),
        ("reason", "user_key_invalid"),
        ("api", "a1b2c3d4e5"),
        ("stage", "prod"),
        ("resource", "$connect"),
        ("method", "GET"),
        ("gateway_request", "gateway-3"),
    ] {
        assert_eq!(line[name], wanted, "{line}");
    }
}

#[test]
fn the_mode_observe_allows_every_connection() {
    let world = world();
    let observing = world.process("authorizer", &[("THREESCALE_GW_MODE", "observe")]);
    let mut malformed = connection(&[]);
    malformed["multiValueHeaders"] = json!(7);
    for (event, reason) in [
        (connection(&[("user_key", &["uk_free"])]), "authorized"),
        (connection(&[("user_key", &["bad"])]), "user_key_invalid"),
        (connection(&[]), "credential_missing"),
        (malformed, "internal"),
    ] {
        let wanted = ("Allow".to_owned(), reason.to_owned());
        assert_eq!(decided(&observing, &event), wanted, "{event}");
    }
}

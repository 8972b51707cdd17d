//! HTTP APIs (payload 2.0) through the real binary: simple answers, repeated headers, decoded paths, and custom domain names.

use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::gateway::{World, event, http_event, is_authorized};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::{Limit, Mode, Period};

fn world() -> World {
    World::with_clock(Clock::default())
}

fn with_key(key: &str, path: &str) -> Value {
    http_event(json!({ "apikey": key, "host": "example.com" }), path, "")
}

/// Whether the simple answer allows the request, and its context.
fn decided(process: &Process, event: &Value) -> (bool, Value) {
    match process.api.invoke(&event.to_string()) {
        Answer::Result(mut answer) => (is_authorized(&answer), answer["context"].take()),
        Answer::Error(error) => panic!("{event}: {error}"),
    }
}

fn reason(process: &Process, event: &Value) -> String {
    let (allowed, context) = decided(process, event);
    let reason = context["reason"].as_str().unwrap().to_owned();
    assert_eq!(allowed, reason == "authorized", "{event}: {context}");
    reason
}

/// What counts, or the reason of a refusal.
fn counted(process: &Process, event: &Value) -> String {
    let (allowed, context) = decided(process, event);
    let what = if allowed { "metric" } else { "reason" };
    context[what].as_str().unwrap().to_owned()
}

fn decisions(process: Process) -> Vec<Value> {
    let output = process.output();
    let lines = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["event"] == "decision")
        .collect()
}

#[test]
fn every_decision_is_a_simple_answer_and_a_hit_is_counted_once() {
    let rules = json!([
        { "method": "GET", "pattern": "/orders", "metric": "hits" },
        { "method": "GET", "pattern": "/orders/{id}$", "metric": "orders" },
    ]);
    let world = world().with("mapping_rules", rules);
    let limits = [Limit::new("hits", Period::Eternity, 1)];
    world.threescale.add("tight", &limits);
    let process = world.process("authorizer", &[]);
    let (allowed, context) = decided(&process, &with_key("uk_free", "/prod/orders/1"));
    assert!(allowed);
    assert_eq!(
        context,
        json!({ "reason": "authorized", "app_id": "app_free", "plan": "Plan free", "metric": "hits=1,orders=1" })
    );
    for (event, wanted) in [
        (with_key("no-such-key", "/prod/orders"), "user_key_invalid"),
        (with_key("uk_free", "/prod/other"), "no_mapping_rule"),
        (with_key("uk_free", "/prod/x/../orders"), "path_ambiguous"),
        (with_key("", "/prod/orders"), "credential_missing"),
        (
            http_event(json!({}), "/prod/orders", ""),
            "credential_missing",
        ),
        (
            http_event(Value::Null, "/prod/orders", ""),
            "credential_missing",
        ),
        (
            with_key(&"x".repeat(513), "/prod/orders"),
            "credential_unusable",
        ),
        (with_key("uk_tight", "/prod/orders"), "authorized"),
        (with_key("uk_tight", "/prod/orders"), "limits_exceeded"),
    ] {
        assert_eq!(reason(&process, &event), wanted, "{event}");
    }
    let reporter = world.process("reporter", &[]);
    reporter.api.invoke(r#"{"source":"aws.events"}"#);
    assert_eq!(world.threescale.total("free", "hits"), 1);
    assert_eq!(world.threescale.total("free", "orders"), 1);
    assert_eq!(world.threescale.total("tight", "hits"), 1);
}

/// The status of limits is a setting of REST APIs.
#[test]
fn a_refusal_is_no_error_with_any_status_of_limits() {
    let world = world().with("limits", json!(429));
    let process = world.process("authorizer", &[]);
    for (key, wanted) in [("bad", "user_key_invalid"), ("", "credential_missing")] {
        assert_eq!(reason(&process, &with_key(key, "/prod/")), wanted);
    }
}

/// API Gateway answers 500: a 403 would read as the fault of the caller.
#[test]
fn what_is_no_fault_of_the_caller_is_an_error() {
    let world = world();
    let error = |process: &Process| match process.api.invoke(&with_key("uk_free", "/").to_string())
    {
        Answer::Result(answer) => panic!("{answer}"),
        Answer::Error(error) => error["errorMessage"].as_str().unwrap().to_owned(),
    };
    world.threescale.stop();
    assert_eq!(
        error(&world.process("authorizer", &[])),
        "backend_unavailable"
    );
    world.ssm.delete("secrets/service-token");
    assert_eq!(error(&world.process("authorizer", &[])), "not_ready");
}

#[test]
fn an_event_of_another_form_is_an_error() {
    let world = world();
    let process = world.process("authorizer", &[]);
    let mut unknown = with_key("uk_free", "/prod/");
    unknown["version"] = json!("3.0");
    let mut without_path = with_key("uk_free", "/prod/");
    without_path["rawPath"].take();
    without_path["requestContext"].take();
    let mut of_rest: Value = serde_json::from_str(&event("uk_free", "/")).unwrap();
    of_rest["version"] = json!("3.0");
    for event in [unknown, without_path, of_rest] {
        let answer = process.api.invoke(&event.to_string());
        assert!(matches!(answer, Answer::Error(_)), "{event}: {answer:?}");
    }
    assert_eq!(
        reason(&process, &with_key("uk_free", "/prod/")),
        "authorized"
    );
}

/// A key that is sent twice is decided as in a REST API, which sends a list of values: the last one counts.
#[test]
fn a_key_that_is_sent_twice_is_decided_as_in_a_rest_api() {
    let world = world().with(
        "credentials",
        json!([
            { "kind": "user_key", "in": "header", "name": "apikey" },
            { "kind": "user_key", "in": "query", "name": "user_key" },
        ]),
    );
    let process = world.process("authorizer", &[]);
    for values in [
        &["bad", "uk_free"][..],
        &["uk_free", "bad"],
        &["uk_free", " "],
        &["", "uk_free", ""],
        &["", " "],
    ] {
        let mut rest: Value = serde_json::from_str(&event("", "/")).unwrap();
        rest["multiValueHeaders"]["apikey"] = json!(values);
        let of_rest = match process.api.invoke(&rest.to_string()) {
            Answer::Result(answer) => answer["context"]["reason"].as_str().unwrap().to_owned(),
            Answer::Error(_) => "credential_missing".to_owned(),
        };
        let joined = with_key(&values.join(","), "/prod/");
        assert_eq!(reason(&process, &joined), of_rest, "{values:?}");
        let pairs: Vec<_> = values
            .iter()
            .map(|value| format!("user_key={}", value.replace(' ', "+")))
            .collect();
        let in_query = http_event(json!({}), "/prod/", &pairs.join("&"));
        assert_eq!(reason(&process, &in_query), of_rest, "{values:?}");
    }
}

/// Two values of a header cannot be told from one with a comma. A query parameter and `Basic` can have one.
#[test]
fn a_comma_in_a_credential() {
    let mut world = world();
    {
        let mut state = world.threescale.state();
        state.mode = Mode::AppId;
        state.applications[0].id = "i,1".to_owned();
        state.applications[0].keys = vec!["k,1".to_owned()];
    }
    world.settings["credentials"] = json!([
        { "kind": "app_id", "in": "header", "name": "app_id" },
        { "kind": "app_id", "in": "query", "name": "app_id" },
        { "kind": "app_id", "in": "basic" },
    ]);
    let process = world.process("authorizer", &[]);
    let headers = |headers: Value| http_event(headers, "/prod/", "");
    for (event, wanted) in [
        (
            headers(json!({ "app_id": "i,1", "app_key": "k,1" })),
            "application_not_found",
        ),
        (
            http_event(json!({}), "/prod/", "app_id=i,1&app_key=k%2C1"),
            "authorized",
        ),
        // "i,1:k,1"
        (
            headers(json!({ "authorization": "Basic aSwxOmssMQ==" })),
            "authorized",
        ),
        (
            headers(json!({ "authorization": "Digest a=b,Basic aSwxOmssMQ==" })),
            "authorized",
        ),
    ] {
        assert_eq!(reason(&process, &event), wanted, "{event}");
    }
}

fn rules() -> Value {
    json!([
        { "method": "GET", "pattern": "/", "metric": "hits" },
        { "method": "GET", "pattern": "/aa$", "metric": "bytes" },
        { "method": "GET", "pattern": "/a%2561$", "metric": "orders" },
        { "method": "GET", "pattern": "/products$", "metric": "products" },
        { "method": "GET", "pattern": "/prod$", "metric": "products", "delta": 10 },
        { "method": "GET", "pattern": "/files/{name}$", "metric": "orders" },
    ])
}

/// Sends the event with this route, and with these parameters if it has some.
fn routed(path: &str, key: &str, parameters: Value) -> Value {
    let mut event = with_key("uk_free", path);
    event["routeKey"] = json!(key);
    event["requestContext"]["routeKey"] = json!(key);
    if !parameters.is_null() {
        event["pathParameters"] = parameters;
    }
    event
}

#[test]
fn the_path_is_counted_as_api_gateway_routed_it() {
    let world = world().with("mapping_rules", rules());
    let process = world.process("authorizer", &[]);
    let on_default = |path: &str| {
        let mut event = with_key("uk_free", path);
        event["requestContext"]["stage"] = json!("$default");
        event
    };
    let none = || Value::Null;
    for (event, wanted) in [
        // The caller sent /a%2561: API Gateway has decoded it, and it is not decoded again.
        (with_key("uk_free", "/prod/a%61"), "hits=1,orders=1"),
        (
            routed("/prod/a%61", "GET /{a}", json!({ "a": "a%61" })),
            "hits=1,orders=1",
        ),
        (with_key("uk_free", "/prod/aa"), "hits=1,bytes=1"),
        // The name of the stage is in front of the path.
        (with_key("uk_free", "/prod"), "hits=1"),
        (with_key("uk_free", "/prod/"), "hits=1"),
        (with_key("uk_free", "/prod/prod"), "hits=1,products=10"),
        (with_key("uk_free", "//prod//products"), "hits=1,products=1"),
        (
            routed("/prod/products", "GET /products", none()),
            "hits=1,products=1",
        ),
        (
            routed(
                "/prod/products/",
                "GET /{proxy+}",
                json!({ "proxy": "products" }),
            ),
            "hits=1,products=1",
        ),
        (on_default("/prod"), "hits=1,products=10"),
        (on_default("/products"), "hits=1,products=1"),
        (on_default("/$default/products"), "hits=1"),
        // Dots and encoded slashes are resolved by some backends and not by others.
        (with_key("uk_free", "/prod/x/./y"), "hits=1"),
        (with_key("uk_free", "/prod/./products"), "path_ambiguous"),
        (with_key("uk_free", "/prod/../products"), "path_ambiguous"),
        (
            routed("/prod/files/a", "GET /files/{name}", json!({ "name": "a" })),
            "hits=1,orders=1",
        ),
        (
            routed(
                "/prod/files/a/b",
                "GET /files/{name}",
                json!({ "name": "a/b" }),
            ),
            "path_ambiguous",
        ),
        (
            routed(
                "/prod/files/a/b",
                "GET /files/{proxy+}",
                json!({ "proxy": "a/b" }),
            ),
            "hits=1",
        ),
        (
            routed(
                "/prod/files/a/b",
                "GET /files/{name}",
                json!({ "name": "a/b?x" }),
            ),
            "path_ambiguous",
        ),
        (
            routed("/prod/products?/", "GET /{a}", json!({ "a": "products?/" })),
            "hits=1,products=1",
        ),
        // The caller sent %3F: a backend may see the end of the path there.
        (with_key("uk_free", "/prod/products?x"), "hits=1,products=1"),
    ] {
        assert_eq!(counted(&process, &event), wanted, "{event}");
    }
}

#[test]
fn the_base_path_of_a_custom_domain_name_is_not_counted() {
    let world = world().with("mapping_rules", rules());
    let paths = r#"{"api.example.com":["shop","shop/v2"],"*.example.org":[""]}"#;
    let knowing = world.process("authorizer", &[("THREESCALE_GW_BASE_PATHS", paths)]);
    let unknowing = world.process("authorizer", &[]);
    let at = |domain: &str, mut event: Value| {
        event["requestContext"]["domainName"] = json!(domain);
        event
    };
    let (known, root) = ("api.example.com", "a.example.org");
    let products = "hits=1,products=1";
    for (event, wanted, without) in [
        (
            at(known, with_key("uk_free", "/shop/products")),
            products,
            "hits=1",
        ),
        (
            at(known, with_key("uk_free", "/shop/v2/products")),
            products,
            "hits=1",
        ),
        (at(known, with_key("uk_free", "/shop")), "hits=1", "hits=1"),
        (
            at(known, with_key("uk_free", "/shop/prod")),
            "hits=1,products=10",
            "hits=1",
        ),
        // The name of the stage is not in front of the path.
        (
            at(root, with_key("uk_free", "/prod/products")),
            "hits=1",
            products,
        ),
        (
            at(root, with_key("uk_free", "/products")),
            products,
            products,
        ),
        // The route tells the base path.
        (
            at(
                known,
                routed("/shop/products", "GET /products", Value::Null),
            ),
            products,
            products,
        ),
        (
            at(
                "other.example.com",
                routed("/x/products", "GET /products", Value::Null),
            ),
            products,
            products,
        ),
        (
            at(
                known,
                routed(
                    "/shop/products",
                    "ANY /{proxy+}",
                    json!({ "proxy": "products" }),
                ),
            ),
            products,
            products,
        ),
    ] {
        assert_eq!(counted(&knowing, &event), wanted, "{event}");
        assert_eq!(counted(&unknowing, &event), without, "{event}");
    }
}

/// `verify` searches the log for the end of the key it made up, because an HTTP API answers every refusal alike.
#[test]
fn the_log_of_a_refusal_has_the_end_of_the_key() {
    let world = world();
    let process = world.process("authorizer", &[]);
    reason(
        &process,
        &with_key("threescale-gw-verify-0123456789abcdef", "/prod/orders"),
    );
    reason(&process, &with_key("", "/prod/orders"));
    reason(
        &process,
        &routed("/prod/orders", "GET /orders", Value::Null),
    );
    let output = process.output();
    // As a filter pattern of CloudWatch Logs: "***cdef".
    assert_eq!(output.matches("***cdef").count(), 1, "{output}");
    // The errors that Lambda counts do not include these refusals.
    assert!(!output.contains("Unauthorized"), "{output}");
    let lines = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines
        .filter(|line: &Value| line["event"] == "decision")
        .collect();
    // Of the allowed ones, every hundredth is logged.
    assert_eq!(lines.len(), 2, "{output}");
    assert_eq!(lines[0]["credential"], "***cdef");
    assert_eq!(lines[1]["credential"], Value::Null);
    for (line, reason) in lines.iter().zip(["user_key_invalid", "credential_missing"]) {
        let of_request = json!({
            "allowed": false, "reason": reason, "api": "a1b2c3d4e5", "stage": "prod", "resource": "$default",
            "method": "GET", "gateway_request": "gateway-2",
        });
        for (name, wanted) in of_request.as_object().unwrap() {
            assert_eq!(&line[name], wanted, "{line}");
        }
    }
}

#[test]
fn the_mode_observe_allows_every_request() {
    let world = world();
    let observing = world.process("authorizer", &[("THREESCALE_GW_MODE", "observe")]);
    let broken = world.process(
        "authorizer",
        &[
            ("THREESCALE_GW_MODE", "observe"),
            ("THREESCALE_GW_SETTINGS", "{"),
        ],
    );
    let mut malformed = with_key("uk_free", "/prod/");
    malformed["headers"] = json!(7);
    let mut unknown = with_key("uk_free", "/prod/");
    unknown["version"] = json!("3.0");
    let events = [
        (with_key("uk_free", "/prod/"), "authorized", "allow"),
        (with_key("bad", "/prod/"), "user_key_invalid", "deny"),
        (with_key("", "/prod/"), "credential_missing", "deny"),
        (malformed, "internal", "failure"),
        (unknown, "internal", "failure"),
    ];
    for (event, reason, _) in &events {
        let (allowed, context) = decided(&observing, event);
        assert!(
            allowed && context["reason"] == *reason,
            "{event}: {context}"
        );
        let (allowed, context) = decided(&broken, event);
        assert!(
            allowed && context["reason"] == "not_ready",
            "{event}: {context}"
        );
    }
    let answers: Vec<_> = decisions(observing)
        .iter()
        .map(|line| line["answer"].clone())
        .collect();
    assert_eq!(answers, events.map(|(.., answer)| json!(answer)));
}

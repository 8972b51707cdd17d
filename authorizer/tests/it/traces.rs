//! The ids of traces in the log.

use serde_json::{Value, json};

use crate::support::gateway::{World, environment, event};
use crate::support::runtime_api::Process;
use crate::support::threescale::Fault;

const AMZN: &str = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The event with more headers.
fn with(event: &str, headers: &[(&str, &[&str])]) -> String {
    let mut event: Value = serde_json::from_str(event).unwrap();
    for (name, values) in headers {
        event["multiValueHeaders"][name] = json!(values);
        event["headers"][name] = json!(values.last());
    }
    event.to_string()
}

/// The log of a process that logs every decision.
fn log(world: &World, events: &[String]) -> (Vec<Value>, String) {
    let mut environment = environment("authorizer", &world.ssm, &world.settings, None);
    environment.extend(world.extra.iter().cloned());
    environment.push(("THREESCALE_GW_LOG_ALLOWED".to_owned(), "1".to_owned()));
    let process = Process::start(&environment);
    for event in events {
        process.api.invoke(event);
    }
    let text = process.output();
    let lines = text.lines().map(serde_json::from_str);
    (lines.map(Result::unwrap).collect(), text)
}

fn decisions(lines: &[Value]) -> Vec<&Value> {
    let mut decisions = lines.iter().collect::<Vec<_>>();
    decisions.retain(|line| line["event"] == "decision");
    decisions
}

#[test]
fn the_ids_of_a_request_are_on_every_line_about_it() {
    let mut world = World::patient();
    world.settings["caching"] = json!("allow");
    let traced = |key: &str| {
        with(
            &event(key, "/"),
            &[("X-Amzn-Trace-Id", &[AMZN]), ("TraceParent", &[PARENT])],
        )
    };
    let (lines, text) = log(&world, &[traced("uk_free"), traced("wrong"), traced("")]);
    assert_eq!(decisions(&lines).len(), 3, "{text}");
    for line in decisions(&lines) {
        assert_eq!(
            (&line["amzn_trace"], &line["traceparent"]),
            (&json!(AMZN), &json!(PARENT)),
            "{line}"
        );
    }
    world.threescale.fail(Some(Fault::Close));
    world.redis.stop();
    let (lines, text) = log(
        &world,
        &[
            event("uk_free", "/"),
            traced("uk_free"),
            event("uk_free", "/"),
        ],
    );
    let mut of = std::collections::BTreeMap::<&str, [u32; 2]>::new();
    for line in &lines {
        let Some(event) = line["event"].as_str() else {
            continue;
        };
        of.entry(event).or_default()[usize::from(line["traceparent"] == PARENT)] += 1;
    }
    // The requests before and after it have none.
    assert_eq!(of["decision"], [2, 1], "{text}");
    assert_eq!(of["usage-lost"], [2, 1], "{text}");
    assert!(of["backend"][0] >= 1, "{text}");
}

#[test]
fn what_is_no_id_is_not_logged() {
    let world = World::patient();
    let headers: [(&str, &[&str]); 7] = [
        ("traceparent", &["\u{1b}[2J"]),
        ("traceparent", &[PARENT, PARENT]),
        (
            "traceparent",
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
        ),
        (
            "X-Amzn-Trace-Id",
            &["Root=1-67891233-abcdef012345678912345678;x=\u{1b}]0;\u{7}"],
        ),
        ("X-Amzn-Trace-Id", &["not a trace"]),
        ("X-Amzn-Trace-Id", &[AMZN, AMZN]),
        ("X-Amzn-Trace", &[AMZN]),
    ];
    let events = headers.map(|header| with(&event("uk_free", "/"), &[header]));
    let (lines, text) = log(&world, &events);
    assert_eq!(decisions(&lines).len(), events.len());
    assert!(!text.contains("trace"), "{text}");
    assert!(!text.contains("u001b"), "{text}");
}

#[test]
fn a_request_to_an_http_api_has_its_ids() {
    let world = World::patient();
    let event = json!({
        "version": "2.0", "type": "REQUEST", "routeArn": "arn", "rawPath": "/", "rawQueryString": "",
        "headers": {"apikey": "uk_free", "x-amzn-trace-id": AMZN, "traceparent": PARENT},
        "requestContext": {"stage": "$default", "http": {"method": "GET", "path": "/"}},
    });
    let (lines, text) = log(&world, &[event.to_string()]);
    let decisions = decisions(&lines);
    assert_eq!(decisions.len(), 1, "{text}");
    assert_eq!(decisions[0]["amzn_trace"], AMZN);
    assert_eq!(decisions[0]["traceparent"], PARENT);
}

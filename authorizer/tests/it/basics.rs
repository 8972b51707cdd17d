//! The basic flow (miss, hit, refusal, report), and the real binary end to end.
use serde_json::json;

use crate::support::gateway::{Authorizer, World, decide, environment, event};
use crate::support::runtime_api::{Answer, Process};
use authorizer::answer::Effect;
use authorizer::clock::Clock;
use authorizer::decide::Source;

#[test]
fn the_second_request_asks_nobody_but_redis() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    let first = decide(&mut authorizer, &event("uk_free", "/orders"));
    assert_eq!(
        (first.outcome.effect, first.source),
        (Effect::Allow, Source::Backend)
    );
    assert_eq!(first.outcome.app_id.as_deref(), Some("app_free"));
    assert_eq!(first.outcome.plan.as_deref(), Some("Plan free"));
    let second = decide(&mut authorizer, &event("uk_free", "/orders"));
    assert_eq!(
        (second.outcome.effect, second.source),
        (Effect::Allow, Source::Cache)
    );
    assert_eq!(second.outcome, first.outcome);
    assert_eq!(world.threescale.calls("authorize"), 1);
    assert_eq!(world.threescale.calls("authrep"), 0);
}

#[test]
fn what_was_counted_is_reported_once() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    for _ in 0..25 {
        assert_eq!(
            decide(&mut authorizer, &event("uk_free", "/"))
                .outcome
                .effect,
            Effect::Allow
        );
    }
    let summary = world.report();
    assert_eq!(
        (summary.reports, summary.delivered, summary.stopped),
        (1, 25, None)
    );
    assert_eq!(world.threescale.total("free", "hits"), 25);
    assert_eq!(world.report().reports, 0);
    assert_eq!(world.threescale.total("free", "hits"), 25);
}

#[test]
fn unknown_keys_are_refused_and_remembered() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    for source in [Source::Backend, Source::Cache, Source::Cache] {
        let decided = decide(&mut authorizer, &event("nobody", "/"));
        assert_eq!(
            (decided.outcome.effect, decided.source),
            (Effect::Deny, source)
        );
        assert_eq!(decided.outcome.reason, "user_key_invalid");
    }
    assert_eq!(world.threescale.calls("authorize"), 1);
}

#[test]
fn the_binary_answers_api_gateway() {
    let world = World::with_clock(Clock::default());
    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let Answer::Result(allowed) = process.api.invoke(&event("uk_free", "/orders")) else {
        panic!("an error");
    };
    assert_eq!(allowed["policyDocument"]["Statement"][0]["Effect"], "Allow");
    assert_eq!(
        allowed["policyDocument"]["Statement"][0]["Resource"],
        "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/*/*"
    );
    assert_eq!(allowed["context"]["app_id"], "app_free");
    let Answer::Result(denied) = process.api.invoke(&event("nobody", "/orders")) else {
        panic!("an error");
    };
    assert_eq!(denied["policyDocument"]["Statement"][0]["Effect"], "Deny");
    let Answer::Error(error) = process.api.invoke(&event("", "/orders")) else {
        panic!("a result");
    };
    assert_eq!(error["errorMessage"], "Unauthorized");
    let Answer::Result(test) = process.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
        panic!("an error");
    };
    assert_eq!(test["ok"], true, "{test}");
    let reporter = Process::start(&environment("reporter", &world.ssm, &world.settings, None));
    let scheduled = json!({ "detail-type": "Scheduled Event", "source": "aws.events" }).to_string();
    let Answer::Result(report) = reporter.api.invoke(&scheduled) else {
        panic!("an error");
    };
    assert_eq!(report["delivered"], 1, "{report}");
    assert_eq!(world.threescale.total("free", "hits"), 1);
}

/// A flood of unknown keys: this process calls 3scale about fifty at once and five a second, and always about callers
/// that were accepted before.
#[test]
fn a_flood_of_bad_keys_costs_little() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    decide(&mut authorizer, &event("uk_free", "/"));
    let started = std::time::Instant::now();
    for n in 0..2_000 {
        assert_eq!(
            decide(&mut authorizer, &event(&format!("bad-{n}"), "/"))
                .outcome
                .effect,
            Effect::Deny
        );
    }
    let asked = world.threescale.calls("authorize");
    let most = 52 + started.elapsed().as_millis() as u64 / 200;
    assert!(asked <= most, "{asked} calls, at most {most}");
    world.advance(61_000);
    assert_eq!(
        decide(&mut authorizer, &event("uk_free", "/"))
            .outcome
            .effect,
        Effect::Allow
    );
}

/// All processes together call 3scale about unknown keys only until it has refused fifty in a second. Callers that were
/// accepted before still pass, and their answers are still renewed.
#[test]
fn a_flood_of_bad_keys_over_many_processes() {
    let world = World::patient();
    let mut first = world.authorizer();
    let reason = |authorizer: &mut Authorizer, key: &str| {
        decide(authorizer, &event(key, "/")).outcome.reason
    };
    assert_eq!(reason(&mut first, "uk_free"), "authorized");
    for round in 0..2 {
        world.advance(61_000);
        let before = world.threescale.calls("authorize");
        for process in 0..6 {
            let mut authorizer = world.authorizer();
            for n in 0..10 {
                let key = format!("bad-{round}-{process}-{n}");
                let wanted = if process < 5 {
                    "user_key_invalid"
                } else {
                    "too_many_unknown"
                };
                assert_eq!(reason(&mut authorizer, &key), wanted, "{key}");
            }
        }
        assert_eq!(world.threescale.calls("authorize"), before + 50);
        assert_eq!(reason(&mut world.authorizer(), "uk_free"), "authorized");
        assert_eq!(world.threescale.calls("authorize"), before + 51);
        assert_eq!(
            reason(&mut world.authorizer(), &format!("bad-{round}-0-0")),
            "user_key_invalid"
        );
    }
}

/// An event of a caller at another address.
fn event_from(address: &str, key: &str) -> String {
    event(key, "/").replace("192.0.2.1", address)
}

/// One sender uses up the budget of refusals. New callers at other addresses are still asked about, in this process and in
/// others, with Redis and without.
#[test]
fn one_sender_does_not_shut_new_callers_out() {
    for mode in ["strict", "none"] {
        let world = World::patient().with("caching", json!(mode));
        let new = |n: usize| world.threescale.add(&format!("n{n}"), &[]);
        let reason = |authorizer: &mut Authorizer, address: &str, key: &str| {
            decide(authorizer, &event_from(address, key)).outcome.reason
        };
        let mut authorizer = world.authorizer();
        for n in 0..80 {
            let reason = reason(&mut authorizer, "192.0.2.1", &format!("bad-{n}"));
            if n < 50 {
                assert_eq!(reason, "user_key_invalid", "{mode} {n}");
            }
        }
        assert_eq!(
            reason(&mut authorizer, "192.0.2.1", "bad"),
            "too_many_unknown"
        );
        for n in 0..40 {
            new(n);
            let address = format!("198.51.100.{n}");
            let key = format!("uk_n{n}");
            assert_eq!(
                reason(&mut authorizer, &address, &key),
                "authorized",
                "{mode} {n}"
            );
        }
        for n in 40..50 {
            new(n);
            let key = format!("uk_n{n}");
            let mut other = world.authorizer();
            assert_eq!(
                reason(&mut other, "2001:db8::1", &key),
                "authorized",
                "{mode} {n}"
            );
        }
        // Addresses without end are bounded too.
        let refused = (0..200)
            .map(|n| {
                reason(
                    &mut authorizer,
                    &format!("203.0.113.{n}"),
                    &format!("bad-{n}-x"),
                )
            })
            .filter(|reason| reason == "too_many_unknown")
            .count();
        assert!(refused >= 100, "{mode}: {refused}");
    }
}

/// Without Redis, a process knows only the callers that it allowed itself: it calls 3scale about fifty others at once,
/// and always about those callers.
#[test]
fn a_flood_of_bad_keys_without_redis() {
    for mode in ["none", "strict"] {
        let mut world = World::new().with("caching", json!(mode));
        let mut authorizer = world.authorizer();
        let allowed = |authorizer: &mut Authorizer| {
            let outcome = decide(authorizer, &event("uk_free", "/")).outcome;
            assert_eq!(outcome.effect, Effect::Allow, "{mode}: {outcome:?}");
        };
        allowed(&mut authorizer);
        world.redis.stop();
        let started = std::time::Instant::now();
        for n in 0..500 {
            let decided = decide(&mut authorizer, &event(&format!("bad-{n}"), "/"));
            assert_eq!(decided.outcome.effect, Effect::Deny);
        }
        let asked = world.threescale.calls("authrep");
        let most = 52 + started.elapsed().as_millis() as u64 / 200;
        assert!(asked <= most, "{mode}: {asked} calls, at most {most}");
        allowed(&mut authorizer);
    }
}

#[test]
fn token_events_and_http_apis() {
    let world = World::with_clock(Clock::default());
    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let answer = |event: serde_json::Value| match process.api.invoke(&event.to_string()) {
        Answer::Result(answer) => answer,
        Answer::Error(error) => error,
    };
    let token = |key: &str| json!({ "type": "TOKEN", "authorizationToken": key, "methodArn": crate::support::gateway::ARN });
    assert_eq!(
        answer(token("uk_free"))["policyDocument"]["Statement"][0]["Effect"],
        "Allow"
    );
    assert_eq!(
        answer(token("bad"))["policyDocument"]["Statement"][0]["Effect"],
        "Deny"
    );
    assert_eq!(answer(token(""))["errorMessage"], "Unauthorized");
    let http = |key: &str| {
        json!({
            "version": "2.0", "type": "REQUEST", "routeArn": crate::support::gateway::ARN, "rawPath": "/prod/orders",
            "rawQueryString": "", "headers": { "apikey": key },
            "requestContext": { "stage": "prod", "http": { "method": "GET", "path": "/prod/orders" } },
        })
    };
    assert_eq!(answer(http("uk_free"))["isAuthorized"], true);
    let denied = answer(http("bad"));
    assert_eq!(
        (&denied["isAuthorized"], &denied["context"]["reason"]),
        (&json!(false), &json!("user_key_invalid"))
    );
    for nonsense in [
        json!({}),
        json!([]),
        json!({ "type": "REQUEST" }),
        json!({ "source": "aws.events" }),
    ] {
        assert!(answer(nonsense)["errorMessage"].is_string());
    }
    // The process still runs after all these events.
    assert_eq!(answer(http("uk_free"))["isAuthorized"], true);
}

//! The mode observe: decisions as in the mode enforce, and nothing is refused.

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::gateway::{World, decide, environment, event};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::{Fault, Limit, Period};

const MODE: &str = "THREESCALE_GW_MODE";
const REPORT: &str = "THREESCALE_GW_REPORT";

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn observing(mut world: World) -> World {
    world.extra.push(variable(MODE, "observe"));
    world
}

fn unreported(world: World) -> World {
    let mut world = observing(world);
    world.extra.push(variable(REPORT, "false"));
    world
}

/// A process of the authorizer in the mode observe, with these variables in place of the usual ones.
fn process(world: &World, instead: &[(&str, &str)]) -> Process {
    let mut environment = environment("authorizer", &world.ssm, &world.settings, None);
    environment.push(variable(MODE, "observe"));
    environment.retain(|(name, _)| instead.iter().all(|(other, _)| name != other));
    environment.extend(instead.iter().map(|(name, value)| variable(name, value)));
    Process::start(&environment)
}

/// The reason in the answer, which is an Allow.
fn passes(process: &Process, event: &str) -> String {
    match process.api.invoke(event) {
        Answer::Result(answer) => {
            let statement = &answer["policyDocument"]["Statement"][0];
            assert_eq!(statement["Effect"], "Allow", "{event}: {answer}");
            answer["context"]["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        }
        Answer::Error(error) => panic!("{event}: {error}"),
    }
}

/// The logged decisions of a process.
fn decisions(process: Process) -> Vec<Value> {
    let output = process.output();
    let lines = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["event"] == "decision")
        .collect()
}

#[test]
fn everyone_passes_and_each_decision_is_logged_as_enforce_makes_it() {
    let world = World::with_clock(Clock::default()).with(
        "mapping_rules",
        json!([{"method": "GET", "pattern": "/orders", "metric": "hits"}]),
    );
    world
        .threescale
        .add("tight", &[Limit::new("hits", Period::Eternity, 1)]);
    let events = [
        (event("uk_free", "/orders"), "authorized", "allow"),
        (event("", "/orders"), "credential_missing", "unauthorized"),
        (
            event("no-such-key-of-anyone", "/orders"),
            "user_key_invalid",
            "deny",
        ),
        (event("uk_free", "/other/1"), "no_mapping_rule", "deny"),
        (event("uk_tight", "/orders"), "authorized", "allow"),
        (event("uk_tight", "/orders"), "limits_exceeded", "deny"),
        (
            json!({"type": "REQUEST", "headers": 7}).to_string(),
            "internal",
            "failure",
        ),
        ("{}".to_owned(), "internal", "failure"),
    ];
    let observing = process(&world, &[]);
    for (event, reason, _) in &events {
        assert_eq!(passes(&observing, event), *reason, "{event}");
    }
    let Answer::Result(test) = observing.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
        panic!("an error");
    };
    assert_eq!(
        (&test["ok"], &test["mode"]),
        (&json!(true), &json!("observe")),
        "{test}"
    );
    let logged = decisions(observing);
    let told = |name: &str| -> Vec<_> { logged.iter().map(|line| line[name].clone()).collect() };
    let wanted =
        |what: fn(&(String, &str, &str)) -> Value| -> Vec<_> { events.iter().map(what).collect() };
    assert_eq!(told("reason"), wanted(|(_, reason, _)| json!(reason)));
    assert_eq!(told("answer"), wanted(|(.., answer)| json!(answer)));
    assert_eq!(
        told("allowed"),
        wanted(|(.., answer)| json!(*answer == "allow"))
    );
    assert!(logged.iter().all(|line| line["mode"] == "observe"));
    assert_eq!(logged[2]["credential"], "***yone");
    assert_eq!(logged[0]["resource"], "/{proxy+}");
    assert_eq!(
        (&logged[3]["path"], &logged[2]["path"]),
        (&json!("/other/1"), &Value::Null)
    );
    let enforcing = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let reply = |event: &str| enforcing.api.invoke(event);
    for (event, _, answer) in &events {
        // The other stack has used the limit up.
        if event.contains("uk_tight") {
            continue;
        }
        match (reply(event), *answer) {
            (Answer::Result(result), "allow" | "deny") => {
                let effect = result["policyDocument"]["Statement"][0]["Effect"].as_str();
                let wanted = if *answer == "allow" { "Allow" } else { "Deny" };
                assert_eq!(effect, Some(wanted), "{event}");
            }
            (Answer::Error(error), "unauthorized") => {
                assert_eq!(error["errorMessage"], "Unauthorized");
            }
            (Answer::Error(_), "failure") => {}
            (other, _) => panic!("{event}: {other:?}"),
        }
    }
}

#[test]
fn an_outage_of_redis_and_3scale_and_of_the_parameters_refuses_nobody() {
    let mut world = World::with_clock(Clock::default());
    let old = process(&world, &[]);
    assert_eq!(passes(&old, &event("uk_free", "/")), "authorized");
    world.threescale.fail(Some(Fault::Close));
    assert_eq!(passes(&old, &event("new", "/")), "backend_unavailable");
    world.threescale.fail(Some(Fault::Status(403, "<html>")));
    assert!(!passes(&old, &event("newer", "/")).is_empty());
    world.threescale.fail(None);
    world.redis.stop();
    assert_eq!(passes(&old, &event("uk_free", "/")), "authorized");
    world.threescale.stop();
    for key in ["uk_free", "new", ""] {
        let reason = passes(&old, &event(key, "/"));
        let wanted = match key {
            "" => "credential_missing",
            _ => "backend_unavailable",
        };
        assert_eq!(reason, wanted, "{key}");
    }
    world.ssm.delete("secrets/service-token");
    let new = process(&world, &[]);
    assert_eq!(passes(&new, &event("uk_free", "/")), "not_ready");
    assert_eq!(decisions(new)[0]["answer"], "failure");
}

#[test]
fn a_function_without_usable_settings_refuses_nobody_and_fails_its_self_test() {
    let world = World::with_clock(Clock::default());
    for instead in [
        [("THREESCALE_GW_SETTINGS", "{")],
        [("THREESCALE_GW_STACK", "")],
        [("THREESCALE_GW_CA_FILE", "/no/such/file")],
    ] {
        let observing = process(&world, &instead);
        assert_eq!(passes(&observing, &event("uk_free", "/")), "not_ready");
        assert_eq!(passes(&observing, "not even JSON"), "not_ready");
        let Answer::Result(test) = observing.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
            panic!("an error");
        };
        let check = &test["checks"][0];
        assert_eq!(
            (&test["ok"], &check["cause"]),
            (&json!(false), &json!("invalid"))
        );
        let error = check["error"].as_str().unwrap_or_default();
        assert!(error.contains(instead[0].0), "{error}");
        assert_eq!(decisions(observing).len(), 2);
    }
}

#[test]
fn what_passes_only_because_of_the_mode_is_not_counted() {
    let world = observing(World::new());
    world
        .threescale
        .add("tight", &[Limit::new("hits", Period::Eternity, 3)]);
    let mut authorizer = world.authorizer();
    for n in 0..5 {
        let outcome = decide(&mut authorizer, &event("uk_tight", "/")).outcome;
        assert_eq!(outcome.effect == Effect::Allow, n < 3, "{n}: {outcome:?}");
        decide(&mut authorizer, &event("bad", "/"));
    }
    assert_eq!(world.report().delivered, 3);
    assert_eq!(world.threescale.total("tight", "hits"), 3);
}

/// Limits are decided with what is counted here and what 3scale has counted, also while nothing is reported.
#[test]
fn unreported_usage_counts_for_the_limits_alone() {
    let world = unreported(World::new());
    let limits = [Limit::new("hits", Period::Eternity, 10)];
    world.threescale.add("tight", &limits);
    let now = world.clock.now_ms() / 1000;
    world.threescale.state().others("tight", "hits", 4, now);
    let mut authorizer = world.authorizer();
    let mut allowed = 0;
    for n in 0..9 {
        // Each answer of 3scale is renewed, and knows nothing of what was counted here.
        world.advance(61_000);
        let outcome = decide(&mut authorizer, &event("uk_tight", "/")).outcome;
        allowed += usize::from(outcome.effect == Effect::Allow);
        assert_eq!(outcome.effect == Effect::Allow, n < 6, "{n}: {outcome:?}");
    }
    assert_eq!(allowed, 6);
    assert_eq!(world.report().delivered, 0);
    assert_eq!(world.threescale.total("tight", "hits"), 0);
    // The mode that reports begins with what 3scale has counted.
    let reporting = observing(World {
        extra: Vec::new(),
        ..world
    });
    let outcome = decide(&mut reporting.authorizer(), &event("uk_tight", "/")).outcome;
    assert_eq!(
        (outcome.effect, outcome.remaining),
        (Effect::Allow, Some(5))
    );
    assert_eq!(reporting.report().delivered, 1);
    assert_eq!(reporting.threescale.total("tight", "hits"), 1);
}

#[test]
fn without_redis_unreported_usage_is_only_checked_by_3scale() {
    let mut world = unreported(World::new());
    world.redis.stop();
    let mut authorizer = world.authorizer();
    for _ in 0..3 {
        let outcome = decide(&mut authorizer, &event("uk_free", "/")).outcome;
        assert_eq!(outcome.effect, Effect::Allow, "{outcome:?}");
    }
    assert_eq!(world.threescale.calls("authrep"), 0);
    assert_eq!(world.threescale.total("free", "hits"), 0);
}

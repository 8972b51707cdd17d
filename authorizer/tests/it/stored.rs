//! Settings that do not fit into the environment: they are read from parameters at start.

use std::time::Instant;

use authorizer::answer::Effect;
use serde_json::json;

use crate::support::eventually;
use crate::support::gateway::{World, decide, environment, event, many_rules, one_of_many};
use crate::support::runtime_api::{Answer, Process};
use crate::support::ssm::Fault;

fn last() -> String {
    event("uk_free", &one_of_many(1999, "7"))
}

fn world() -> World {
    let mut world = World::patient();
    let metrics = (0..2000).map(|number| format!("metric_{number}"));
    world.threescale.state().metrics.extend(metrics);
    world.store_rules(&many_rules());
    world
}

#[test]
fn two_thousand_rules_come_from_parameters() {
    let world = world();
    let mut authorizer = world.authorizer();
    // Their names and those of the secrets do not fit into one call.
    let parts = world.settings["stored_rules"]["parts"].as_u64();
    assert!(parts > Some(5), "{parts:?}");
    assert_eq!(world.ssm.reads(), 2);
    let decided = decide(&mut authorizer, &last());
    assert_eq!(decided.outcome.effect, Effect::Allow, "{decided:?}");
    let other = decide(&mut authorizer, &event("uk_free", "/resource-1/7/lines"));
    assert_eq!(other.outcome.reason, "no_mapping_rule");
    assert_eq!(world.report().delivered, 1);
    world.threescale.work();
    assert_eq!(world.threescale.total("free", "metric_1999"), 1);
    // The rules of a process never change, so they are not read again.
    let before = world.ssm.reads();
    authorizer.clients.forget_reading();
    authorizer.clients.refresh(Instant::now());
    eventually("the secrets are read again", || world.ssm.reads() > before);
    assert_eq!(world.ssm.reads(), before + 1);
}

#[test]
fn the_real_binary_and_the_self_test_read_the_rules() {
    let world = world();
    let environment = environment("authorizer", &world.ssm, &world.settings, None);
    let process = Process::start(&environment);
    let Answer::Result(checks) = process.api.invoke(r#"{"threescale-gw": "self-test"}"#) else {
        panic!("no result");
    };
    assert_eq!(checks["ok"], true, "{checks}");
    let Answer::Result(policy) = process.api.invoke(&last()) else {
        panic!("no result");
    };
    assert_eq!(policy["context"]["reason"], "authorized", "{policy}");
}

#[test]
fn without_its_rules_the_authorizer_lets_nobody_in_and_recovers() {
    let world = world();
    let digest = world.settings["stored_rules"]["digest"].as_str().unwrap();
    let name = format!("rules-{digest}-2");
    let value = world.ssm.get(&name);
    let reason = |authorizer: &mut _| decide(authorizer, &last()).outcome.reason;
    // A part is missing, or somebody has changed it.
    for (missing, changed) in [(true, None), (false, Some(value.to_lowercase()))] {
        match &changed {
            Some(changed) => world.ssm.put(&name, changed),
            None => world.ssm.delete(&name),
        }
        let mut authorizer = world.authorizer();
        assert_eq!(reason(&mut authorizer), "not_ready", "{missing}");
        world.ssm.put(&name, &value);
        authorizer.clients.forget_reading();
        assert_eq!(reason(&mut authorizer), "authorized", "{missing}");
    }
}

#[test]
fn a_throttled_call_is_repeated_alone() {
    let world = world();
    world.ssm.fail_next(1, Fault::Throttled);
    let mut authorizer = world.authorizer();
    assert_eq!(world.ssm.reads(), 3);
    let decided = decide(&mut authorizer, &last());
    assert_eq!(decided.outcome.reason, "authorized");
}

#[test]
fn rules_are_either_in_the_environment_or_in_parameters() {
    let mut world = world();
    world.settings["mapping_rules"] =
        json!([{ "method": "GET", "pattern": "/", "metric": "hits" }]);
    let mut environment = environment("authorizer", &world.ssm, &world.settings, None);
    let read = |environment: &[(String, String)]| {
        let find = |asked: &str| environment.iter().find(|(name, _)| name == asked);
        authorizer::settings::Settings::read(&|asked| find(asked).map(|(_, value)| value.clone()))
            .map_err(|error| error.to_string())
    };
    environment.push((
        "AWS_LAMBDA_RUNTIME_API".to_owned(),
        "127.0.0.1:1".to_owned(),
    ));
    let error = read(&environment).unwrap_err();
    assert!(
        error.contains("either mapping_rules or stored_rules"),
        "{error}"
    );
}

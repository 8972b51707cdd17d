//! Other servers than the one of most tests: a later generation, and cluster mode, where the keys of a script are in one slot.

use std::collections::BTreeSet;

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use serde_json::json;

use crate::support::gateway::{START_MS, World, decide, environment, event};
use crate::support::redis::Redis;
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::{Limit, Period};

/// All scripts run on this server, with their usual results.
fn serves(redis: Redis) {
    let mut world = World::with_redis(Clock::standing(START_MS), redis);
    world.extra = vec![("THREESCALE_GW_REDIS_MS".to_owned(), "20000".to_owned())];
    let limit = Limit::new("hits", Period::Minute, 3);
    world.threescale.add("three", &[limit]);
    let mut authorizer = world.authorizer();
    let mut ask = |key: &str| decide(&mut authorizer, &event(key, "/")).outcome;
    for _ in 0..3 {
        assert_eq!(ask("uk_three").effect, Effect::Allow);
    }
    assert_eq!(ask("uk_three").reason, "limits_exceeded");
    for _ in 0..2 {
        assert_eq!(ask("uk_free").effect, Effect::Allow);
        assert_eq!(ask("no-such-key").reason, "user_key_invalid");
    }
    assert_eq!(world.threescale.calls("authorize"), 3);
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (5, None));
    assert_eq!(world.threescale.total("three", "hits"), 3);
    assert_eq!(world.report().delivered, 0);

    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let event = json!({"threescale-gw": "self-test"}).to_string();
    let Answer::Result(tested) = process.api.invoke(&event) else {
        panic!("no answer");
    };
    assert_eq!(tested["ok"], true, "{tested}");
}

/// In cluster mode, as a serverless cache.
#[test]
fn the_rights_in_the_readme_are_enough() {
    let redis = Redis::cluster(true);
    redis.limit_to_the_rights_in_the_readme();
    serves(redis);
}

/// A script calls a command in each of its branches, of which a test runs few.
#[test]
fn the_rights_in_the_readme_cover_each_command_of_the_scripts() {
    let readme = include_str!("../../README.md");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scripts");
    let mut commands = BTreeSet::new();
    for script in std::fs::read_dir(folder).expect("the scripts") {
        let text = std::fs::read_to_string(script.expect("a script").path()).expect("text");
        // Some scripts have `redis.call` under the name `call`.
        let calls = text.split("call('").skip(1);
        let names = calls.filter_map(|call| call.split('\'').next());
        commands.extend(names.map(str::to_lowercase));
    }
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        assert!(readme.contains(&format!(" +{command}")), "{command}");
    }
}

#[test]
fn valkey_runs_the_scripts() {
    serves(Redis::valkey(&[]));
}

#[test]
fn a_cluster_with_one_node_runs_the_scripts() {
    for is_valkey in [false, true] {
        serves(Redis::cluster(is_valkey));
    }
}

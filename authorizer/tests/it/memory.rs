//! Without Redis (`cache: memory`): 3scale decides and counts each request, and the process remembers its answers.

use authorizer::answer::Effect;
use authorizer::decide::Source;
use serde_json::json;

use crate::support::gateway::{World, decide, environment, event};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::Fault;

/// No Redis and no address of one.
fn world(mode: &str) -> World {
    let mut world = World::new()
        .with("cache", json!("memory"))
        .with("caching", json!(mode));
    world.redis.stop();
    world.ssm.delete("cache-endpoint");
    world
}

#[test]
fn each_request_is_counted_by_3scale() {
    let world = world("strict");
    let mut authorizer = world.authorizer();
    for _ in 0..3 {
        let decided = decide(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(
            (decided.outcome.effect, decided.source),
            (Effect::Allow, Source::Direct)
        );
    }
    assert_eq!(world.threescale.total("free", "hits"), 3);
}

#[test]
fn a_refusal_is_remembered_for_a_while_and_by_its_own_key() {
    let world = world("strict");
    let mut authorizer = world.authorizer();
    let ask = |authorizer: &mut _, key: &str| {
        let decided = decide(authorizer, &event(key, "/"));
        (decided.outcome.reason, decided.source)
    };
    let refused = |source| ("user_key_invalid".to_owned(), source);
    assert_eq!(ask(&mut authorizer, "bad"), refused(Source::Direct));
    let calls = world.threescale.calls("authrep");
    assert_eq!(ask(&mut authorizer, "bad"), refused(Source::Memory));
    assert_eq!(world.threescale.calls("authrep"), calls);
    assert_eq!(ask(&mut authorizer, "worse"), refused(Source::Direct));
    world.advance(10_001);
    assert_eq!(ask(&mut authorizer, "bad"), refused(Source::Direct));
}

#[test]
fn an_outage_is_answered_from_memory() {
    for (mode, known, refused, unknown) in [
        ("strict", None, None, None),
        ("resilient", Some("old_answer"), None, None),
        ("allow", Some("outage"), None, Some("outage")),
        ("none", None, None, None),
    ] {
        let world = world(mode);
        let mut authorizer = world.authorizer();
        decide(&mut authorizer, &event("uk_free", "/"));
        decide(&mut authorizer, &event("refused", "/"));
        world.advance(61_000);
        world.threescale.fail(Some(Fault::Close));
        for (key, reason) in [("uk_free", known), ("refused", refused), ("new", unknown)] {
            let outcome = decide(&mut authorizer, &event(key, "/")).outcome;
            assert_eq!(
                outcome.effect == Effect::Allow,
                reason.is_some(),
                "{mode}, {key}: {outcome:?}"
            );
            assert_eq!(reason.unwrap_or(&outcome.reason), outcome.reason, "{mode}");
        }
    }
}

#[test]
fn the_real_binary_and_its_self_test_need_no_redis() {
    let world = world("strict");
    let environment = environment("authorizer", &world.ssm, &world.settings, None);
    let process = Process::start(&environment);
    for (event, member) in [
        (r#"{"threescale-gw": "self-test"}"#.to_owned(), "/ok"),
        (event("uk_free", "/"), "/context/reason"),
    ] {
        let Answer::Result(answer) = process.api.invoke(&event) else {
            panic!("no result");
        };
        let found = answer.pointer(member);
        assert!(
            found == Some(&json!(true)) || found == Some(&json!("authorized")),
            "{answer}"
        );
    }
}

//! Referrer filters: the `Referer` of a request is sent to 3scale, and part of what an answer is cached for, only for
//! applications that have such filters.

use authorizer::decide::Source;
use serde_json::{Value, json};

use crate::support::gateway::{Authorizer, World, decide, event};
use crate::support::threescale::{Fault, Limit, Period};

/// The event of a request with these referrers.
fn referred(key: &str, referrers: &[&str]) -> String {
    let mut event: Value = serde_json::from_str(&event(key, "/")).unwrap();
    event["multiValueHeaders"]["Referer"] = json!(referrers);
    event.to_string()
}

fn ask(authorizer: &mut Authorizer, key: &str, referrers: &[&str]) -> (String, Source) {
    let decided = decide(authorizer, &referred(key, referrers));
    (decided.outcome.reason, decided.source)
}

/// A service with the application `filtered`, which accepts requests from example.com.
fn world() -> World {
    let world = World::patient();
    world.threescale.add("filtered", &[]);
    let mut state = world.threescale.state();
    state.keep_received = true;
    state.referrer_filters_required = true;
    let added = state.applications.last_mut().unwrap();
    added.referrer_filters = vec!["https://*.example.com/*".to_owned()];
    drop(state);
    world
}

const GOOD: &str = "https://www.example.com/a?b=c&d";
const OTHER: &str = "https://shop.example.com/";
const BAD: &str = "https://www.example.org/";

fn allowed(source: Source) -> (String, Source) {
    ("authorized".to_owned(), source)
}

fn refused(source: Source) -> (String, Source) {
    ("referrer_not_allowed".to_owned(), source)
}

#[test]
fn an_answer_is_about_one_referrer_where_filters_want_it() {
    let world = world();
    let mut authorizer = world.authorizer();
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[GOOD]),
        allowed(Source::Backend)
    );
    // Once without the referrer, once with it.
    assert_eq!(world.threescale.calls("authorize"), 2);
    for _ in 0..3 {
        assert_eq!(
            ask(&mut authorizer, "uk_filtered", &[GOOD]),
            allowed(Source::Cache)
        );
    }
    // The last one counts, and spaces around it do not.
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD, &format!(" {GOOD} ")]),
        allowed(Source::Cache)
    );
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD]),
        refused(Source::Backend)
    );
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD]),
        refused(Source::Cache)
    );
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[OTHER]),
        allowed(Source::Backend)
    );
    assert_eq!(world.threescale.calls("authorize"), 4);
    // 3scale accepts the referrer `*` for every filter, and one that is too long would not fit into the question.
    let long = format!("https://www.example.com/{}", "x".repeat(512));
    for none in [&[][..], &["*"], &[" * "], &[""], &[long.as_str()]] {
        assert_eq!(
            ask(&mut authorizer, "uk_filtered", none),
            refused(Source::Cache),
            "{none:?}"
        );
    }
    // Another process finds the answers.
    assert_eq!(
        ask(&mut world.authorizer(), "uk_filtered", &[GOOD]),
        allowed(Source::Cache)
    );
    assert_eq!(world.threescale.calls("authorize"), 4);
    assert_eq!(world.report().delivered, 7);
    assert_eq!(world.threescale.total("filtered", "hits"), 7);
}

#[test]
fn without_filters_one_answer_serves_every_referrer() {
    let world = world();
    let mut authorizer = world.authorizer();
    for n in 0..20 {
        let referrer = format!("https://secret.example.net/{n}");
        let source = if n == 0 {
            Source::Backend
        } else {
            Source::Cache
        };
        assert_eq!(
            ask(&mut authorizer, "uk_free", &[&referrer]),
            allowed(source)
        );
    }
    assert_eq!(world.threescale.calls("authorize"), 1);
    assert!(!format!("{:?}", world.threescale.state().received).contains("secret"));
    let records = world.redis.ask("KEYS *}:c:*");
    assert!(
        records.starts_with("*1\r\n") || records.starts_with("*1"),
        "{records}"
    );
}

/// The limits of an application are those of all its referrers, filters that come and go take effect within `max_age`,
/// and the answers about referrers are renewed and used in an outage as others are.
#[test]
fn filters_change_and_limits_are_shared() {
    let world = world().with("caching", json!("resilient"));
    let filters = |filters: &[&str]| {
        let mut state = world.threescale.state();
        let application = state.applications.last_mut().unwrap();
        application.referrer_filters = filters.iter().map(|&filter| filter.to_owned()).collect();
    };
    world
        .threescale
        .state()
        .applications
        .last_mut()
        .unwrap()
        .limits = vec![Limit::new("hits", Period::Day, 5)];
    filters(&[]);
    let mut authorizer = world.authorizer();
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD]),
        allowed(Source::Backend)
    );
    filters(&["https://*.example.com/*"]);
    world.advance(61_000);
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD]),
        refused(Source::Backend)
    );
    for referrer in [GOOD, OTHER] {
        assert_eq!(
            ask(&mut authorizer, "uk_filtered", &[referrer]),
            allowed(Source::Backend)
        );
    }
    let calls = world.threescale.calls("authorize");
    world.advance(49_000);
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[GOOD]),
        allowed(Source::Cache)
    );
    assert_eq!(world.threescale.calls("authorize"), calls + 1);
    world.advance(61_000);
    world.threescale.fail(Some(Fault::Status(503, "")));
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[GOOD]),
        ("old_answer".to_owned(), Source::OldAnswer)
    );
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[OTHER]).0,
        "limits_exceeded"
    );
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD]).0,
        "referrer_not_allowed"
    );
}

/// 3scale decides on each request: the referrer is sent to it where it is wanted, and a refusal is no unknown key.
#[test]
fn without_a_cache_the_referrer_is_sent_too() {
    let world = world().with("caching", json!("none"));
    let mut authorizer = world.authorizer();
    for _ in 0..60 {
        assert_eq!(
            ask(&mut authorizer, "uk_filtered", &[GOOD]),
            allowed(Source::Direct)
        );
    }
    assert_eq!(world.threescale.calls("authrep"), 61);
    assert_eq!(world.threescale.total("filtered", "hits"), 60);
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[BAD]),
        refused(Source::Direct)
    );
    assert_eq!(
        ask(&mut authorizer, "uk_filtered", &[]),
        refused(Source::Direct)
    );
}

/// Applications with filters do not take from the number of unknown keys that 3scale is asked about.
#[test]
fn many_filtered_applications_are_no_flood() {
    let world = world();
    for n in 0..80 {
        world.threescale.add(&format!("many{n}"), &[]);
        let mut state = world.threescale.state();
        state.applications.last_mut().unwrap().referrer_filters =
            vec!["https://*.example.com/*".to_owned()];
    }
    let mut authorizer = world.authorizer();
    for round in 0..2 {
        for n in 0..40 {
            let key = format!("uk_many{}", n + 40 * round);
            assert_eq!(ask(&mut authorizer, &key, &[GOOD]).0, "authorized", "{key}");
        }
        // The first refusal of each is counted by all processes together, for one second.
        world.advance(1_000);
    }
    // An hour later, their answers are too old, and they are not unknown.
    world.advance(3_000_000);
    for n in 0..80 {
        let key = format!("uk_many{n}");
        assert_eq!(
            ask(&mut world.authorizer(), &key, &[GOOD]).0,
            "authorized",
            "{key}"
        );
    }
}

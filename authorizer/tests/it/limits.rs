//! Limits: the usage that passes in a window is at most the limit, through any number of processes, regardless of what
//! 3scale's queue does.

use std::sync::atomic::{AtomicU64, Ordering};

use authorizer::answer::{Effect, Outcome};
use authorizer::clock::Clock;
use authorizer::decide::Source;
use serde_json::json;

use crate::support::gateway::{Authorizer, START_MS, World, decide, environment, event};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::{Counting, Limit, Period};

fn limit(metric: &'static str, period: Period, max: u64) -> Limit {
    Limit::new(metric, period, max)
}

fn ask(authorizer: &mut Authorizer, key: &str) -> Outcome {
    decide(authorizer, &event(key, "/")).outcome
}

/// The number of `tries` requests that pass.
fn passes(authorizer: &mut Authorizer, key: &str, tries: usize) -> usize {
    (0..tries)
        .filter(|_| ask(authorizer, key).effect == Effect::Allow)
        .count()
}

/// Waits until delivered amounts count as part of 3scale's counters. That depends on Redis' own clock.
fn settled(world: &World) {
    let gone = || world.redis.ask("KEYS *}:g:*").trim() == "*0";
    crate::support::eventually("the delivered sums are gone", gone);
}

#[test]
fn exactly_the_limit_passes_and_the_figures_are_3scales() {
    let world = World::patient();
    world
        .threescale
        .add("five", &[limit("hits", Period::Minute, 5)]);
    let mut authorizer = world.authorizer();
    for remaining in [4, 3, 2, 1, 0] {
        let outcome = ask(&mut authorizer, "uk_five");
        assert_eq!(
            (outcome.effect, outcome.remaining, outcome.reset_s),
            (Effect::Allow, Some(remaining), Some(50))
        );
    }
    let refused = ask(&mut authorizer, "uk_five");
    assert_eq!(
        (
            refused.reason.as_str(),
            refused.remaining,
            refused.reset_s,
            refused.retry_after_s
        ),
        ("limits_exceeded", Some(0), Some(50), Some(50))
    );
    assert_eq!(refused.app_id.as_deref(), Some("app_five"));
    assert_eq!(world.threescale.calls("authorize"), 1);
}

#[test]
fn many_processes_share_one_limit() {
    let world = World::patient();
    world
        .threescale
        .add("shared", &[limit("hits", Period::Minute, 100)]);
    let passed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut authorizer = world.authorizer();
                passed.fetch_add(
                    passes(&mut authorizer, "uk_shared", 40) as u64,
                    Ordering::SeqCst,
                );
            });
        }
    });
    assert_eq!(passed.load(Ordering::SeqCst), 100);
    assert_eq!(world.report().delivered, 100);
    let counted =
        world
            .threescale
            .state()
            .counted("shared", "hits", Period::Minute, START_MS / 1000);
    assert_eq!(counted, 100);
}

/// The same with real processes and the real clock: in no minute more than the limit.
#[test]
fn real_processes_share_one_limit() {
    let world = World::with_clock(Clock::default());
    world.threescale.add(
        "shared",
        &[
            limit("hits", Period::Minute, 30),
            limit("hits", Period::Hour, 55),
        ],
    );
    let environment = environment("authorizer", &world.ssm, &world.settings, None);
    let passed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let process = Process::start(&environment);
                for _ in 0..20 {
                    if let Answer::Result(answer) = process.api.invoke(&event("uk_shared", "/"))
                        && answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
                    {
                        passed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let report = world.report();
    let passed = passed.load(Ordering::SeqCst);
    assert_eq!(report.delivered, passed);
    // The run may cover the end of one minute, then of at most two, and the hour's limit applies to both (or the end of
    // an hour, with both of its windows).
    let now = world.clock.now_ms() / 1000;
    let state = world.threescale.state();
    let minutes: Vec<u64> = (0..4)
        .map(|n| state.counted("shared", "hits", Period::Minute, now - n * 60))
        .collect();
    assert!(minutes.iter().all(|count| *count <= 30), "{minutes:?}");
    assert!(passed >= 30, "{passed}");
}

#[test]
fn a_new_minute_begins_at_its_first_millisecond() {
    let world = World::patient();
    world.threescale.add(
        "two",
        &[
            limit("hits", Period::Minute, 2),
            limit("hits", Period::Day, 5),
        ],
    );
    let mut authorizer = world.authorizer();
    let minute = START_MS / 60_000 * 60_000;
    world.clock.set(minute + 59_998);
    assert_eq!(passes(&mut authorizer, "uk_two", 3), 2);
    world.clock.set(minute + 59_999);
    assert_eq!(ask(&mut authorizer, "uk_two").retry_after_s, Some(1));
    world.clock.set(minute + 60_000);
    assert_eq!(passes(&mut authorizer, "uk_two", 3), 2);
    world.clock.set(minute + 120_000);
    // Only the limit of the day applies now.
    assert_eq!(passes(&mut authorizer, "uk_two", 3), 1);
    let refused = ask(&mut authorizer, "uk_two");
    assert!(refused.retry_after_s > Some(3600), "{refused:?}");
}

/// Every period, beyond its end, with reports in between and a 3scale queue that does not move.
#[test]
fn no_period_is_passed_while_3scale_counts_nothing() {
    for period in Period::ALL {
        let world = World::patient();
        world.threescale.state().counting = Counting::Manual;
        world.threescale.add("ten", &[limit("hits", period, 10)]);
        let mut passed = 0;
        for _ in 0..6 {
            let mut authorizer = world.authorizer();
            passed += passes(&mut authorizer, "uk_ten", 3);
            world.report();
            // The sum of the minute stays the same; longer periods are checked again.
            world.advance(if period == Period::Minute {
                7_000
            } else {
                61_000
            });
        }
        assert_eq!(passed, 10, "{period:?}");
        world.threescale.work();
        let counted = world
            .threescale
            .state()
            .counted("ten", "hits", period, START_MS / 1000);
        assert_eq!(counted, 10, "{period:?}");
    }
}

/// Usage of other gateways counts from the next answer on, and our own usage in 3scale's counter is not counted twice.
#[test]
fn others_usage_and_ours_are_told_apart() {
    let world = World::patient();
    world
        .threescale
        .add("mixed", &[limit("hits", Period::Hour, 100)]);
    let mut authorizer = world.authorizer();
    assert_eq!(passes(&mut authorizer, "uk_mixed", 20), 20);
    assert_eq!(world.report().delivered, 20);
    let now = world.clock.now_ms() / 1000;
    world.threescale.state().others("mixed", "hits", 30, now);
    settled(&world);
    world.advance(61_000);
    // 3scale's counter is 50, and 20 of that are ours.
    assert_eq!(ask(&mut authorizer, "uk_mixed").remaining, Some(49));
    assert_eq!(passes(&mut authorizer, "uk_mixed", 60), 49);
    world.advance(61_000);
    world.report();
    settled(&world);
    assert_eq!(ask(&mut authorizer, "uk_mixed").reason, "limits_exceeded");
    let counted = world
        .threescale
        .state()
        .counted("mixed", "hits", Period::Hour, now);
    assert_eq!(counted, 100);
}

/// An answer of 3scale shortly after a report may or may not include it. Near the limit, that refuses requests, but
/// only as long as it can matter.
#[test]
fn what_may_have_settled_is_asked_again() {
    let world = World::patient();
    world
        .threescale
        .add("near", &[limit("hits", Period::Hour, 100)]);
    let mut authorizer = world.authorizer();
    assert_eq!(passes(&mut authorizer, "uk_near", 60), 60);
    world.advance(61_000);
    // Reported and counted at once, but that is not known: 60 in the counter, and 60 that may still be added.
    assert_eq!(world.report().delivered, 60);
    let unsure = ask(&mut authorizer, "uk_near");
    assert_eq!(
        (unsure.reason.as_str(), unsure.retry_after_s),
        ("limits_exceeded", Some(5))
    );
    world.advance(6_000);
    settled(&world);
    assert_eq!(passes(&mut authorizer, "uk_near", 60), 40);
}

#[test]
fn methods_count_on_their_parents_limits() {
    let world = World::patient().with(
        "mapping_rules",
        json!([
            { "method": "GET", "pattern": "/orders", "metric": "orders", "delta": 2 },
            { "method": "GET", "pattern": "/lines", "metric": "orders_lines" },
            { "method": "GET", "pattern": "/hits", "metric": "hits" },
            { "method": "GET", "pattern": "/both", "metric": "hits" },
            { "method": "GET", "pattern": "/both", "metric": "orders" },
            { "method": "GET", "pattern": "/bytes", "metric": "bytes", "delta": 1000 },
        ]),
    );
    world.threescale.add(
        "tree",
        &[
            limit("hits", Period::Day, 10),
            limit("orders", Period::Day, 6),
        ],
    );
    let mut authorizer = world.authorizer();
    let mut ask = |path: &str| decide(&mut authorizer, &event("uk_tree", path)).outcome;
    assert_eq!(ask("/orders").remaining, Some(2)); // hits 2, orders 2
    assert_eq!(ask("/lines").remaining, Some(3)); // hits 3, orders 3
    assert_eq!(ask("/both").remaining, Some(2)); // hits 5, orders 4: counts the parent twice
    assert_eq!(ask("/bytes").remaining, None);
    assert_eq!(ask("/orders").remaining, Some(0)); // hits 7, orders 6
    assert_eq!(ask("/lines").metric, "orders");
    for left in [2, 1, 0] {
        assert_eq!(ask("/hits").remaining, Some(left));
    }
    assert_eq!(ask("/hits").metric, "hits");
    assert_eq!(ask("/bytes").effect, Effect::Allow);
    world.report();
    let now = START_MS / 1000;
    let state = world.threescale.state();
    assert_eq!(state.counted("tree", "hits", Period::Day, now), 10);
    assert_eq!(state.counted("tree", "orders", Period::Day, now), 6);
    assert_eq!(state.counted("tree", "bytes", Period::Day, now), 2000);
}

/// Requests that count toward a metric, toward one two levels below it, and toward an independent one.
fn deep_tree() -> World {
    World::patient().with(
        "mapping_rules",
        json!([
            { "method": "GET", "pattern": "/hits", "metric": "hits" },
            { "method": "GET", "pattern": "/lines", "metric": "orders_lines" },
            { "method": "GET", "pattern": "/bytes", "metric": "bytes", "delta": 1000 },
        ]),
    )
}

/// A hierarchy deeper than the portal's, with a level that the answer does not show: its metrics count toward every
/// limit, an independent metric does not.
#[test]
fn a_hidden_ancestor_is_found_out() {
    let world = deep_tree();
    for name in ["a", "b"] {
        world
            .threescale
            .add(name, &[limit("hits", Period::Day, 10)]);
    }
    let mut authorizer = world.authorizer();
    let mut ask = |key: &str, path: &str| decide(&mut authorizer, &event(key, path)).outcome;
    for key in ["uk_a", "uk_b"] {
        assert_eq!(ask(key, "/hits").remaining, Some(9));
        for left in (0..9).rev() {
            assert_eq!(ask(key, "/lines").remaining, Some(left), "{key}");
        }
        assert_eq!(ask(key, "/lines").reason, "limits_exceeded");
        assert_eq!(ask(key, "/bytes").effect, Effect::Allow);
    }
    // Two calls for the answer, three about ancestors, and none about ancestors for the second application.
    assert_eq!(world.threescale.calls("authorize"), 5);
    world.report();
    let state = world.threescale.state();
    assert_eq!(state.counted("a", "hits", Period::Day, START_MS / 1000), 10);
}

/// The same for a metric with a limit of its own: it counts toward that limit and the one of `hits`, and an independent
/// limited metric only toward its own.
#[test]
fn a_limited_metric_below_one_without_limits() {
    let world = deep_tree();
    for name in ["a", "b"] {
        world.threescale.add(
            name,
            &[
                limit("hits", Period::Day, 10),
                limit("orders_lines", Period::Day, 8),
                limit("bytes", Period::Day, 20_000),
            ],
        );
    }
    let mut authorizer = world.authorizer();
    let mut ask = |key: &str, path: &str| decide(&mut authorizer, &event(key, path)).outcome;
    for key in ["uk_a", "uk_b"] {
        for left in (3..8).rev() {
            assert_eq!(ask(key, "/lines").remaining, Some(left), "{key}");
        }
        for left in (0..5).rev() {
            assert_eq!(ask(key, "/hits").remaining, Some(left), "{key}");
        }
        let refused = ask(key, "/lines");
        assert_eq!(
            (refused.reason.as_str(), refused.metric.as_str()),
            ("limits_exceeded", "hits")
        );
        assert_eq!(ask(key, "/hits").reason, "limits_exceeded");
        assert_eq!(ask(key, "/bytes").remaining, Some(19));
    }
    // Two calls for the answers, six about ancestors, and none about ancestors for the second application.
    assert_eq!(world.threescale.calls("authorize"), 8);
    world.report();
    let state = world.threescale.state();
    for name in ["a", "b"] {
        let counted = |metric| state.counted(name, metric, Period::Day, START_MS / 1000);
        assert_eq!((counted("hits"), counted("orders_lines")), (10, 5));
    }
}

#[test]
fn a_disabled_metric() {
    let world = World::patient();
    world
        .threescale
        .add("zero", &[limit("hits", Period::Eternity, 0)]);
    let mut authorizer = world.authorizer();
    for source in [Source::Backend, Source::Cache] {
        let decided = decide(&mut authorizer, &event("uk_zero", "/"));
        assert_eq!(
            (decided.outcome.reason.as_str(), decided.source),
            ("limits_exceeded", source)
        );
        assert_eq!(
            (decided.outcome.reset_s, decided.outcome.retry_after_s),
            (None, None)
        );
    }
}

/// A limit that is smaller than one request's usage never allows it, so there is no time to come again; also if another
/// limit is used up until a later time, and without Redis.
#[test]
fn a_limit_smaller_than_one_request() {
    for mode in ["strict", "none"] {
        let world = World::patient().with("caching", json!(mode)).with(
            "mapping_rules",
            json!([
                { "method": "GET", "pattern": "/hits", "metric": "hits" },
                { "method": "GET", "pattern": "/orders", "metric": "orders", "delta": 3 },
            ]),
        );
        let day = |metric, max| limit(metric, Period::Day, max);
        world.threescale.add("off", &[day("hits", 0)]);
        world
            .threescale
            .add("few", &[day("hits", 3), limit("orders", Period::Minute, 2)]);
        world.threescale.add("one", &[day("hits", 1)]);
        let mut authorizer = world.authorizer();
        let mut ask = |key: &str, path: &str| {
            let outcome = decide(&mut authorizer, &event(key, path)).outcome;
            (outcome.reason, outcome.retry_after_s.is_some())
        };
        let refused = |retry| ("limits_exceeded".to_owned(), retry);
        assert_eq!(ask("uk_off", "/hits"), refused(false), "{mode}");
        assert_eq!(ask("uk_few", "/orders"), refused(false), "{mode}");
        for _ in 0..3 {
            assert_eq!(ask("uk_few", "/hits").0, "authorized", "{mode}");
        }
        assert_eq!(ask("uk_few", "/hits"), refused(true), "{mode}");
        assert_eq!(ask("uk_few", "/orders"), refused(false), "{mode}");
        // The usage of a method counts toward its parent.
        assert_eq!(ask("uk_one", "/orders"), refused(false), "{mode}");
        assert_eq!(ask("uk_one", "/hits").0, "authorized", "{mode}");
        assert_eq!(ask("uk_one", "/hits"), refused(true), "{mode}");
    }
}

/// A plan that gets a limit: usage that was counted before and is not reported yet counts toward it.
#[test]
fn a_limit_that_appears_later() {
    let world = World::patient();
    let mut authorizer = world.authorizer();
    assert_eq!(passes(&mut authorizer, "uk_free", 8), 8);
    world.threescale.state().applications[0].limits = vec![limit("hits", Period::Day, 10)];
    world.advance(61_000);
    assert_eq!(passes(&mut authorizer, "uk_free", 8), 2);
    world.report();
    assert_eq!(world.threescale.total("free", "hits"), 10);
}

/// A change of the plan or of the application's state has an effect within `max_age`, and a replaced key stops working.
#[test]
fn revocation_within_max_age() {
    let world = World::patient();
    let mut authorizer = world.authorizer();
    assert_eq!(ask(&mut authorizer, "uk_free").effect, Effect::Allow);
    world.threescale.state().applications[0].active = false;
    world.advance(47_000);
    assert_eq!(ask(&mut authorizer, "uk_free").effect, Effect::Allow);
    world.advance(13_000);
    assert_eq!(
        ask(&mut authorizer, "uk_free").reason,
        "application_not_active"
    );
    world.threescale.state().applications[0].active = true;
    world.advance(31_000);
    assert_eq!(ask(&mut authorizer, "uk_free").effect, Effect::Allow);
    world.threescale.state().applications[0].user_key = "uk_new".to_owned();
    world.advance(60_000);
    assert_eq!(ask(&mut authorizer, "uk_free").reason, "user_key_invalid");
    assert_eq!(ask(&mut authorizer, "uk_new").effect, Effect::Allow);
}

/// One of many requests renews the answer before it gets too old.
#[test]
fn one_of_many_renews() {
    let world = World::patient();
    let mut authorizers: Vec<_> = (0..5).map(|_| world.authorizer()).collect();
    assert_eq!(ask(&mut authorizers[0], "uk_free").effect, Effect::Allow);
    for _ in 0..5 {
        world.advance(49_000);
        for authorizer in &mut authorizers {
            let decided = decide(authorizer, &event("uk_free", "/"));
            assert_eq!(
                (decided.outcome.effect, decided.source),
                (Effect::Allow, Source::Cache)
            );
        }
    }
    assert_eq!(world.threescale.calls("authorize"), 6);
    assert_eq!(world.report().delivered, 26);
}

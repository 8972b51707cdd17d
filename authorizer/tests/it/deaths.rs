//! A process or its connection ends at each of its calls in turn, before the call is carried out, or after that but
//! before the answer. The sums must be right in each case, or within the documented window.

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::fuse::{End, Fault, Fuse};
use crate::support::gateway::{Authorizer, World, decide, environment, event};
use crate::support::runtime_api::{Answer, Process};
use crate::support::storm::end_leases;
use crate::support::threescale::{Fault as Outage, Limit};

/// More calls than any of these processes makes.
const MANY: usize = 60;
const REPORT: &str = "POST /transactions.xml";

/// Injects all faults at all calls, until a run ends before it reaches the call. Returns the number of calls.
fn at_every_call(mut run: impl FnMut(Fault) -> bool) -> usize {
    for call in 0..MANY {
        let mut reached = false;
        for end in [End::Process, End::Connection] {
            for after in [false, true] {
                reached |= run(Fault { call, after, end });
            }
        }
        if !reached {
            return call;
        }
    }
    panic!("the run does not end");
}

/// A process whose calls go through the fuse.
fn process(world: &World, role: &str, fuse: &mut Fuse) -> Process {
    let cache = fuse.redis(world.redis.port);
    let backend = fuse.http(world.threescale.address().port());
    world.ssm.put("cache-endpoint", &format!("redis://{cache}"));
    let mut settings = world.settings.clone();
    settings["backend"] = format!("http://{backend}").into();
    let mut environment = environment(role, &world.ssm, &settings, None);
    // These tests are not about time-outs.
    for name in ["REDIS", "ANSWER"] {
        environment.push((format!("THREESCALE_GW_{name}_MS"), "5000".to_owned()));
    }
    Process::start(&environment)
}

/// The process has ended. The next ones connect without the fuse.
fn end(mut process: Process, world: &World) {
    process.kill();
    world.ssm.put("cache-endpoint", &world.redis.url());
}

/// The answer, unless the process is killed before it.
fn invoke(process: &mut Process, fuse: &Fuse, fault: Fault, event: &str) -> Option<Answer> {
    let id = process.api.begin(event);
    let mut answer = None;
    eventually("an answer, or the end", || {
        answer = process.api.answer(id);
        answer.is_some() || (fault.end == End::Process && fuse.blown())
    });
    if answer.is_none() {
        process.kill();
        fuse.release();
    }
    answer
}

/// Fills Redis: usage of two minutes, of an application that 3scale does not know, and of yesterday. All of it is so
/// old that the reporter checks every application, so each run has the same calls, for every order in which Redis
/// returns the usage.
fn counted() -> World {
    let world = World::with_clock(Clock::default()).with("caching", json!("allow"));
    for name in ["a", "b"] {
        world.threescale.add(name, &[]);
    }
    let now = world.clock.now_ms();
    let ask = |minutes_ago: i64, keys: &[&str]| {
        let clock = Clock::standing(now - minutes_ago * 60_000);
        let mut authorizer = Authorizer::new(world.read_settings("authorizer"), None, clock);
        authorizer.clients.warm_up();
        for key in keys {
            let decided = decide(&mut authorizer, &event(key, "/"));
            assert_eq!(decided.outcome.effect, Effect::Allow);
        }
    };
    ask(25 * 60, &["uk_b", "uk_b", "uk_b"]);
    ask(5, &["uk_free", "uk_a", "uk_a"]);
    world.threescale.fail(Some(Outage::Close));
    ask(2, &["who-is-this"]);
    world.threescale.fail(None);
    ask(3, &["uk_a", "uk_a", "uk_free", "uk_b"]);
    world
}

/// The expected result.
const SUMS: [(&str, u64); 3] = [("free", 2), ("a", 4), ("b", 1)];

#[test]
fn a_reporter_may_end_at_any_call() {
    let mut windows = 0;
    let calls = at_every_call(|fault| {
        let world = counted();
        let mut fuse = Fuse::new(fault);
        let mut reporter = process(&world, "reporter", &mut fuse);
        let scheduled = json!({ "detail-type": "Scheduled Event", "source": "aws.events" });
        let first = invoke(&mut reporter, &fuse, fault, &scheduled.to_string());
        let reached = fuse.blown();
        let calls = fuse.calls();
        let context = format!("{fault:?}: {calls:?}, {first:?}");
        end(reporter, &world);
        end_leases(&world.redis);
        let last = world.report();
        assert_eq!(last.stopped, None, "{context}");
        for pattern in ["p:*", "f:*", "b:*", "batches*", "owners*", "dirty*"] {
            let keys = world.redis.ask(&format!("KEYS *}}:{pattern}"));
            assert_eq!(keys.trim(), "*0", "{context}: {keys}");
        }
        // The documented window: 3scale has the report, and the counters are still in Redis.
        let at = |call: Option<usize>| call.and_then(|call| calls.get(call)).map(String::as_str);
        let in_window = reached
            && if fault.after {
                at(Some(fault.call)) == Some(REPORT)
            } else {
                fault.end == End::Process && at(fault.call.checked_sub(1)) == Some(REPORT)
            };
        // The first report contains everything that 3scale knows, the other one the rest.
        let reports_before = calls
            .iter()
            .take(fault.call + usize::from(fault.after))
            .filter(|call| *call == REPORT)
            .count();
        let twice = in_window && reports_before == 1;
        windows += u64::from(twice);
        for (name, sum) in SUMS {
            let counted = world.threescale.total(name, "hits");
            let wanted = if twice { sum * 2 } else { sum };
            assert_eq!(counted, wanted, "{name}, {context}");
        }
        for lost in &world.threescale.state().lost_batches {
            assert_eq!(*lost, "user_key_invalid", "{context}");
        }
        let given_up = first
            .as_ref()
            .and_then(|answer| match answer {
                Answer::Result(answer) => answer["undeliverable"].as_u64(),
                Answer::Error(_) => None,
            })
            .unwrap_or(0)
            + last.undeliverable;
        // A run that was killed may have logged it already.
        assert!(fault.end == End::Process || given_up >= 3, "{context}");
        reached
    });
    // The calls of Redis (claim, take, read, give up, lease, settle), two reports, and calls about applications.
    assert!(calls >= 12, "{calls}");
    // Killed and cut after the report, and killed before the counters are removed: nothing else counts twice.
    assert_eq!(windows, 3);
}

fn allows(answer: Option<&Answer>) -> u64 {
    let allow = |answer: &Value| answer["policyDocument"]["Statement"][0]["Effect"] == "Allow";
    u64::from(matches!(answer, Some(Answer::Result(answer)) if allow(answer)))
}

/// A miss, hits, a refusal, and a limit: each allowed request is counted once, and at most the one request that was
/// under way when the process ended is counted too.
#[test]
fn an_authorizer_may_end_at_any_call() {
    let calls = at_every_call(|fault| {
        let world = World::with_clock(Clock::default());
        // Eternity, so that the window does not end at midnight.
        let all = Limit::new("hits", threescale_stand_in::Period::Eternity, 3);
        world.threescale.add("three", &[all]);
        let mut fuse = Fuse::new(fault);
        let mut first = process(&world, "authorizer", &mut fuse);
        let mut passed = 0;
        let mut died = false;
        let keys = ["uk_three", "uk_three", "nobody", "uk_three"];
        for key in keys {
            let answer = invoke(&mut first, &fuse, fault, &event(key, "/"));
            passed += allows(answer.as_ref());
            if answer.is_none() {
                died = true;
                break;
            }
        }
        let reached = fuse.blown();
        let context = format!("{fault:?}: {:?}", fuse.calls());
        end(first, &world);
        // Another process continues.
        let mut next = world.authorizer();
        for _ in 0..4 {
            let decided = decide(&mut next, &event("uk_three", "/"));
            passed += u64::from(decided.outcome.effect == Effect::Allow);
        }
        assert_eq!(world.report().stopped, None, "{context}");
        let counted = world.threescale.total("three", "hits");
        assert!(counted >= passed, "{counted} of {passed}, {context}");
        assert!(
            counted - passed <= u64::from(died),
            "{counted} for {passed}, {context}"
        );
        assert!(passed <= 3, "{passed} passed, {context}");
        assert!(passed + u64::from(died) >= 3, "{passed} passed, {context}");
        reached
    });
    // Two calls of 3scale, and more than four of Redis.
    assert!(calls >= 6, "{calls}");
}

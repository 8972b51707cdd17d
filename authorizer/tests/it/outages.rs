//! Every outage has a defined answer within a second, and no request passes by mistake.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use authorizer::answer::Effect;
use authorizer::decide::{Decided, Source};
use serde_json::json;

use crate::support::eventually;
use crate::support::gateway::{Authorizer, World, decide, environment, event};
use crate::support::http::{Response, Server};
use crate::support::redis::Redis;
use crate::support::runtime_api::{Answer, Process};
use crate::support::ssm;
use crate::support::threescale::{Fault, Limit, Period};

const SECOND: Duration = Duration::from_secs(1);

/// Decides, and checks the promised second (with a margin for a machine under load).
fn timely(authorizer: &mut Authorizer, event: &str) -> Decided {
    let started = Instant::now();
    let decided = decide(authorizer, event);
    assert!(started.elapsed() < SECOND * 3, "{:?}", started.elapsed());
    decided
}

fn world(mode: &str) -> World {
    World::new().with("caching", json!(mode))
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::Status(500, "Internal Server Error"),
        Fault::Status(503, ""),
        Fault::Status(429, "slow down"),
        Fault::Status(408, ""),
        Fault::Close,
        Fault::Hang(Duration::from_secs(5)),
        Fault::Raw(b"nonsense"),
        Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<status><authorized>true</auth"),
        Fault::Status(200, "<html>welcome</html>"),
    ]
}

/// The table of modes in the README, with every kind of failure of 3scale.
#[test]
fn each_mode_does_what_the_table_says() {
    for (mode, known, unknown) in [
        ("strict", None, None),
        ("resilient", Some("old_answer"), None),
        ("allow", Some("old_answer"), Some("outage")),
        ("none", None, None),
    ] {
        for (n, fault) in faults().into_iter().enumerate() {
            let world = world(mode);
            let mut authorizer = world.authorizer();
            assert_eq!(
                decide(&mut authorizer, &event("uk_free", "/"))
                    .outcome
                    .effect,
                Effect::Allow
            );
            assert_eq!(
                decide(&mut authorizer, &event("refused", "/"))
                    .outcome
                    .effect,
                Effect::Deny
            );
            world.advance(61_000);
            world.threescale.fail(Some(fault));
            let check = |key: &str, wanted: Option<&str>| {
                let outcome = timely(&mut world.authorizer(), &event(key, "/")).outcome;
                let context = format!("{mode}, fault {n}, {key}: {outcome:?}");
                assert_eq!(
                    outcome.effect == Effect::Allow,
                    wanted.is_some(),
                    "{context}"
                );
                assert_eq!(
                    wanted.unwrap_or(&outcome.reason),
                    outcome.reason,
                    "{context}"
                );
            };
            check("uk_free", known);
            check("refused", None);
            check("never-seen", unknown);
        }
    }
}

#[test]
fn fresh_answers_do_not_need_3scale() {
    for mode in ["strict", "resilient", "allow"] {
        let world = world(mode);
        let mut authorizer = world.authorizer();
        decide(&mut authorizer, &event("uk_free", "/"));
        world.threescale.fail(Some(Fault::Close));
        world.advance(59_000);
        let decided = decide(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(
            (decided.outcome.effect, decided.source),
            (Effect::Allow, Source::Cache),
            "{mode}"
        );
    }
}

/// A request that the mode allows is counted, and reported when 3scale is back, if the application exists.
#[test]
fn usage_of_an_outage_is_reported_after_it() {
    let world = world("allow");
    let mut authorizer = world.authorizer();
    world.threescale.fail(Some(Fault::Close));
    for key in ["uk_free", "uk_free", "who-is-this"] {
        assert_eq!(
            decide(&mut authorizer, &event(key, "/")).outcome.reason,
            "outage"
        );
    }
    let during = world.report();
    assert_eq!(during.delivered, 0);
    assert!(during.stopped.is_some());
    world.threescale.fail(None);
    let after = world.report();
    assert_eq!(after.stopped, None);
    assert_eq!(world.threescale.total("free", "hits"), 2);
    // Sent separately, so no other usage was lost.
    assert_eq!(after.isolated, 1);
    assert_eq!(world.threescale.state().lost_batches, ["user_key_invalid"]);
}

/// While a NAT instance is replaced, neither 3scale nor the Parameter Store is reachable. Processes that run, and in a network
/// with an endpoint of the Parameter Store also those that start, refuse no caller that the cache knows, and no usage is lost.
#[test]
fn five_minutes_without_a_way_out_refuse_no_known_key_and_lose_no_usage() {
    let world = world("resilient");
    let applications = ["a", "b", "c"];
    for application in applications {
        world.threescale.add(application, &[]);
    }
    world.threescale.add(
        "few",
        &[Limit {
            metric: "hits".to_owned(),
            period: Period::Day,
            max: 5,
        }],
    );
    let mut authorizer = world.authorizer();
    let mut passed = BTreeMap::<&str, u64>::new();
    let mut pass = |authorizer: &mut Authorizer, application: &'static str| {
        let event = event(&format!("uk_{application}"), "/");
        let outcome = timely(authorizer, &event).outcome;
        let is_allowed = outcome.effect == Effect::Allow;
        *passed.entry(application).or_default() += u64::from(is_allowed);
        (is_allowed, outcome.reason)
    };
    for application in applications.into_iter().chain(["few"]) {
        assert!(pass(&mut authorizer, application).0);
    }
    assert_eq!(world.report().stopped, None);

    world.threescale.fail(Some(Fault::Close));
    for seconds in (0..300).step_by(10) {
        world.advance(10_000);
        world.ssm.fault(Some(ssm::Fault::Broken));
        authorizer.clients.forget_reading();
        authorizer.clients.refresh(Instant::now());
        for application in applications {
            let (is_allowed, reason) = pass(&mut authorizer, application);
            assert!(is_allowed, "after {seconds} s: {application}: {reason}");
        }
        assert_eq!(
            timely(&mut authorizer, &event("never-seen", "/"))
                .outcome
                .effect,
            Effect::Deny
        );
        world.ssm.fault(None);
        if seconds % 60 == 0 {
            let during = world.report();
            assert_eq!(during.delivered, 0);
            assert!(during.stopped.is_some());
            assert!(
                pass(&mut world.authorizer(), "a").0,
                "a process that starts"
            );
        }
    }
    // A limit holds meanwhile.
    let mut of_few = || pass(&mut authorizer, "few").0;
    assert_eq!(
        [(); 6].map(|()| of_few()),
        [true, true, true, true, false, false]
    );

    world.threescale.fail(None);
    assert_eq!(world.report().stopped, None);
    for (application, passed) in passed {
        assert_eq!(
            world.threescale.total(application, "hits"),
            passed,
            "{application}"
        );
    }
}

#[test]
fn redis_down_is_3scale_directly_and_counted() {
    let mut world = World::new();
    let mut authorizer = world.authorizer();
    decide(&mut authorizer, &event("uk_free", "/"));
    world.redis.stop();
    for _ in 0..3 {
        let decided = timely(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(
            (decided.outcome.effect, decided.source),
            (Effect::Allow, Source::Direct)
        );
        assert_eq!(decided.outcome.app_id.as_deref(), Some("app_free"));
    }
    assert_eq!(
        timely(&mut authorizer, &event("bad", "/")).outcome.reason,
        "user_key_invalid"
    );
    assert_eq!(world.threescale.total("free", "hits"), 3);
    world.redis.restart();
    eventually("Redis is used again", || {
        decide(&mut authorizer, &event("uk_free", "/")).source != Source::Direct
    });
    let direct = world.threescale.total("free", "hits");
    let reported = world.report().delivered;
    assert_eq!(world.threescale.total("free", "hits"), direct + reported);
    // The first request before the outage, and the one that ended the loop.
    assert_eq!(reported, 2);
}

#[test]
fn both_down_is_a_refusal_save_in_one_mode() {
    for mode in ["strict", "resilient", "allow"] {
        let mut world = world(mode);
        let mut authorizer = world.authorizer();
        decide(&mut authorizer, &event("uk_free", "/"));
        world.redis.stop();
        world.threescale.fail(Some(Fault::Close));
        let outcome = timely(&mut authorizer, &event("uk_free", "/")).outcome;
        let wanted = if mode == "allow" {
            (Effect::Allow, "outage")
        } else {
            (Effect::Deny, "backend_unavailable")
        };
        assert_eq!((outcome.effect, outcome.reason.as_str()), wanted, "{mode}");
    }
}

#[test]
fn a_frozen_redis_is_not_waited_for_twice() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    decide(&mut authorizer, &event("uk_free", "/"));
    world.redis.freeze(true);
    let mut slow = 0;
    for _ in 0..10 {
        let started = Instant::now();
        let decided = timely(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(decided.source, Source::Direct);
        slow += u32::from(started.elapsed() >= Duration::from_millis(190));
    }
    world.redis.freeze(false);
    assert!(slow <= 3, "waited {slow} times");
}

/// Another server answers on the port of Redis.
#[test]
fn nonsense_from_redis_is_no_answer() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"+OK\r\n+OK\r\n",
        b"*1\r\n$1\r\nA\r\n",
        b"*5\r\n$1\r\nA\r\n$0\r\n\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"-ERR no\r\n",
        b"-OOM command not allowed\r\n",
        b"-READONLY You can't write\r\n",
        b"-LOADING Redis is loading\r\n",
        b"-NOSCRIPT\r\n",
        b"",
    ] {
        let world = World::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let bytes = bytes.to_vec();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for mut stream in listener.incoming().flatten() {
                let mut chunk = [0; 65536];
                while matches!(stream.read(&mut chunk), Ok(1..)) && !bytes.is_empty() {
                    if stream.write_all(&bytes).is_err() {
                        break;
                    }
                }
            }
        });
        world
            .ssm
            .put("cache-endpoint", &format!("redis://{address}"));
        let mut authorizer = world.authorizer();
        let good = timely(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(
            (good.outcome.effect, good.source),
            (Effect::Allow, Source::Direct),
            "{shown}"
        );
        let bad = timely(&mut authorizer, &event("bad", "/"));
        assert_eq!(bad.outcome.effect, Effect::Deny, "{shown}");
        assert_eq!(world.threescale.total("free", "hits"), 1, "{shown}");
    }
}

/// A full Redis accepts no counts, so 3scale counts.
#[test]
fn a_full_redis() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    decide(&mut authorizer, &event("uk_free", "/"));
    world.redis.ask("CONFIG SET maxmemory 1");
    for _ in 0..3 {
        assert_eq!(
            decide(&mut authorizer, &event("uk_free", "/")).source,
            Source::Direct
        );
    }
    world.redis.ask("CONFIG SET maxmemory 0");
    assert_eq!(world.threescale.total("free", "hits"), 3);
    assert_eq!(world.report().delivered, 1);
    assert_eq!(world.threescale.total("free", "hits"), 4);
}

/// A failover: the server is a replica for a while, which answers reads and accepts no writes.
#[test]
fn a_redis_that_fails_over() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    let mut passed = 0;
    let mut pass = |authorizer: &mut Authorizer| {
        let decided = timely(authorizer, &event("uk_free", "/"));
        assert_eq!(decided.outcome.effect, Effect::Allow);
        passed += 1;
        decided.source
    };
    assert_eq!(pass(&mut authorizer), Source::Backend);
    assert_eq!(world.redis.ask("REPLICAOF 127.0.0.1 1"), "+OK\r\n");
    for _ in 0..3 {
        assert_eq!(pass(&mut authorizer), Source::Direct);
    }
    assert!(world.report().stopped.is_some());
    assert_eq!(world.redis.ask("REPLICAOF NO ONE"), "+OK\r\n");
    eventually("Redis is used again", || {
        // Answers from before a direct call are not used.
        world.advance(2);
        pass(&mut authorizer) != Source::Direct
    });
    assert_eq!(pass(&mut authorizer), Source::Cache);
    assert_eq!(world.report().stopped, None);
    assert_eq!(world.threescale.total("free", "hits"), passed);
}

/// Redis loses its scripts in a restart or a flush, and gets them again.
#[test]
fn forgotten_scripts() {
    let mut world = World::new();
    let mut authorizer = world.authorizer();
    decide(&mut authorizer, &event("uk_free", "/"));
    world.redis.ask("SCRIPT FLUSH");
    assert_eq!(
        decide(&mut authorizer, &event("uk_free", "/")).source,
        Source::Cache
    );
    world.redis.restart();
    assert_eq!(
        decide(&mut authorizer, &event("uk_free", "/")).source,
        Source::Cache
    );
    assert_eq!(world.report().delivered, 3);
}

#[test]
fn a_failing_3scale_is_left_alone_and_tried_again() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    world.threescale.fail(Some(Fault::Status(500, "")));
    for n in 0..20 {
        assert_eq!(
            timely(&mut authorizer, &event(&format!("k{n}"), "/"))
                .outcome
                .reason,
            "backend_unavailable"
        );
    }
    let calls = world.threescale.calls("authorize");
    assert!(calls < 10, "{calls} calls");
    world.threescale.fail(None);
    eventually("3scale is asked again", || {
        decide(&mut authorizer, &event("uk_free", "/"))
            .outcome
            .effect
            == Effect::Allow
    });
}

/// A server that asks to wait is not called before.
#[test]
fn a_retry_after_is_honored() {
    for (mode, known) in [
        ("strict", "backend_unavailable"),
        ("resilient", "old_answer"),
    ] {
        let world = World::patient().with("caching", json!(mode));
        let mut authorizer = world.authorizer();
        decide(&mut authorizer, &event("uk_free", "/"));
        world.advance(61_000);
        let calls = world.threescale.calls("authorize");
        world.threescale.fail_next(&[Fault::Raw(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n",
        )]);
        for _ in 0..3 {
            let outcome = decide(&mut authorizer, &event("uk_free", "/")).outcome;
            assert_eq!(outcome.reason, known, "{mode}");
        }
        assert_eq!(world.threescale.calls("authorize"), calls + 1, "{mode}");
    }
}

fn asked(world: &World) -> u64 {
    world.threescale.calls("authorize") + world.threescale.calls("authrep")
}

/// What refuses may be in front of 3scale, such as a firewall that does not like a header of this caller.
#[test]
fn an_unclear_refusal_is_for_one_credential() {
    for (status, body) in [(403, "<html>Request blocked</html>"), (414, ""), (400, "")] {
        for mode in ["strict", "none"] {
            let world = World::patient().with("caching", json!(mode));
            let mut authorizer = world.authorizer();
            let mut reason = |key: &str| decide(&mut authorizer, &event(key, "/")).outcome.reason;
            world.threescale.fail_next(&[Fault::Status(status, body)]);
            assert_eq!(reason("odd"), "denied", "{status} {mode}");
            assert_eq!(reason("uk_free"), "authorized", "{status} {mode}");
            assert_eq!(asked(&world), 2);
            assert_eq!(reason("odd"), "denied", "{status} {mode}");
            assert_eq!(asked(&world), 2, "the credential is not asked about again");
        }
    }
}

/// The last answer about a credential that was accepted is still there for an outage.
#[test]
fn an_unclear_refusal_leaves_the_last_answer() {
    let world = World::patient().with("caching", json!("resilient"));
    let mut authorizer = world.authorizer();
    let mut reason = || {
        decide(&mut authorizer, &event("uk_free", "/"))
            .outcome
            .reason
    };
    assert_eq!(reason(), "authorized");
    world.advance(61_000);
    world.threescale.fail_next(&[Fault::Status(403, "<html>")]);
    assert_eq!(reason(), "denied");
    assert_eq!(reason(), "denied");
    world.threescale.fail(Some(Fault::Close));
    let outcome = decide(&mut world.authorizer(), &event("uk_free", "/")).outcome;
    assert_eq!(outcome.reason, "old_answer");
}

/// Different credentials get an unclear refusal: a question about a credential that no one has decides whether it is the
/// set-up.
#[test]
fn different_credentials_make_the_set_up_suspect() {
    for mode in ["strict", "none"] {
        let world = World::patient().with("caching", json!(mode));
        let refusal = || Fault::Status(403, "<html>");
        let mut authorizer = world.authorizer();
        let mut reason = |key: &str| decide(&mut authorizer, &event(key, "/")).outcome.reason;
        world.threescale.fail_next(&[refusal(), refusal()]);
        assert_eq!(reason("odd-1"), "denied");
        assert_eq!(reason("odd-2"), "denied");
        assert_eq!(asked(&world), 3, "two callers and one question");
        assert_eq!(reason("uk_free"), "authorized");

        world.threescale.fail(Some(refusal()));
        let before = asked(&world);
        let mut authorizer = world.authorizer();
        let mut reason = |key: &str| decide(&mut authorizer, &event(key, "/")).outcome.reason;
        assert_eq!(reason("odd-3"), "denied");
        assert_eq!(reason("odd-4"), "misconfigured");
        assert_eq!(asked(&world), before + 3);
        for n in 5..9 {
            assert_eq!(reason(&format!("odd-{n}")), "misconfigured");
        }
        assert_eq!(
            asked(&world),
            before + 3,
            "3scale is not called for a moment"
        );
    }
}

#[test]
fn no_secrets_no_answer_but_a_refusal() {
    for fault in [
        ssm::Fault::Denied,
        ssm::Fault::Broken,
        ssm::Fault::Nonsense,
        ssm::Fault::Slow(Duration::from_secs(5)),
    ] {
        for mode in ["strict", "allow", "none"] {
            let world = world(mode);
            world.ssm.fault(Some(fault));
            let mut authorizer = world.authorizer();
            let decided = timely(&mut authorizer, &event("uk_free", "/"));
            assert_eq!(
                (decided.outcome.effect, decided.outcome.reason.as_str()),
                (Effect::Deny, "not_ready")
            );
            world.ssm.fault(None);
            eventually("the secrets are read", || {
                decide(&mut authorizer, &event("uk_free", "/"))
                    .outcome
                    .effect
                    == Effect::Allow
            });
            if mode != "strict" {
                break;
            }
        }
    }
}

/// All parameters are read in one call, and a call that the Parameter Store throttles or answers with 5xx is repeated within
/// the time of the first caller.
#[test]
fn a_throttled_start_refuses_no_caller() {
    for fault in [None, Some(ssm::Fault::Throttled), Some(ssm::Fault::Broken)] {
        let world = World::new();
        if let Some(fault) = fault {
            world.ssm.fail_next(2, fault);
        }
        let mut authorizer = world.authorizer();
        let calls = if fault.is_some() { 3 } else { 1 };
        assert_eq!(world.ssm.reads(), calls);
        let outcome = decide(&mut authorizer, &event("uk_free", "/")).outcome;
        assert_eq!(outcome.reason, "authorized");
        assert_eq!(world.ssm.reads(), calls);
    }
}

/// A hash key that is recreated reaches a running process in the background, without a failure that makes it look.
#[test]
fn a_recreated_hash_key_reaches_running_processes() {
    let world = World::new();
    let mut authorizer = world.authorizer();
    assert_eq!(
        decide(&mut authorizer, &event("uk_free", "/")).source,
        Source::Backend
    );
    assert_eq!(
        decide(&mut authorizer, &event("uk_free", "/")).source,
        Source::Cache
    );
    let before = world.ssm.reads();
    authorizer.clients.refresh(Instant::now());
    assert_eq!(world.ssm.reads(), before, "it is not due");
    world.ssm.put("secrets/hash-key", &"5a".repeat(32));
    authorizer.clients.forget_reading();
    // The credential has another key in Redis now, as for a process that has just started.
    eventually("the new key is used", || {
        authorizer.clients.refresh(Instant::now());
        decide(&mut authorizer, &event("uk_free", "/")).source == Source::Backend
    });
    assert_eq!(world.ssm.reads(), before + 1);
    let mut new = world.authorizer();
    assert_eq!(
        decide(&mut new, &event("uk_free", "/")).source,
        Source::Cache
    );
}

/// The start waits once for a Parameter Store that hangs. The first event, which was waiting meanwhile, is answered at
/// once.
#[test]
fn a_hanging_parameter_store_is_not_waited_for_twice() {
    let world = World::new();
    world
        .ssm
        .fault(Some(ssm::Fault::Slow(Duration::from_secs(5))));
    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let Answer::Error(error) = process.api.invoke(&event("uk_free", "/")) else {
        panic!("no failure");
    };
    assert_eq!(error["errorMessage"], "not_ready");
    assert_eq!(world.ssm.state.lock().unwrap().reads, 1);
}

#[test]
fn a_wrong_token_refuses_what_is_not_known_and_is_read_anew() {
    for mode in ["strict", "resilient", "allow"] {
        let world = world(mode);
        let mut authorizer = world.authorizer();
        decide(&mut authorizer, &event("uk_free", "/"));
        world.threescale.state().token = "st_new".to_owned();
        let known = decide(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(
            (known.outcome.effect, known.source),
            (Effect::Allow, Source::Cache),
            "{mode}"
        );
        let unknown = decide(&mut authorizer, &event("new", "/")).outcome;
        assert_eq!(
            (unknown.effect, unknown.reason.as_str()),
            (Effect::Deny, "misconfigured"),
            "{mode}"
        );
        world.advance(61_000);
        let old = decide(&mut authorizer, &event("uk_free", "/")).outcome;
        assert_eq!(
            (old.effect, old.reason.as_str()),
            (Effect::Deny, "misconfigured"),
            "{mode}"
        );
        world.ssm.put("secrets/service-token", "st_new");
        assert_eq!(
            decide(&mut world.authorizer(), &event("uk_free", "/"))
                .outcome
                .effect,
            Effect::Allow
        );
    }
}

/// A running process reads a replaced token with the first event that needs it, with Redis and without.
#[test]
fn a_replaced_token_is_learnt_by_a_living_authorizer() {
    for mode in ["strict", "none"] {
        let world = world(mode);
        world.threescale.add("a", &[]);
        let mut authorizer = world.authorizer();
        let reason = |authorizer: &mut Authorizer, key: &str| {
            decide(authorizer, &event(key, "/")).outcome.reason
        };
        assert_eq!(reason(&mut authorizer, "uk_free"), "authorized");
        world.threescale.state().token = "st_new".to_owned();
        world.ssm.put("secrets/service-token", "st_new");
        authorizer.clients.forget_reading();
        assert_eq!(reason(&mut authorizer, "uk_a"), "authorized", "{mode}");
        assert_eq!(reason(&mut authorizer, "nobody"), "user_key_invalid");
        assert_eq!(world.report().stopped, None);
        assert_eq!(world.threescale.total("a", "hits"), 1, "{mode}");
    }
}

/// At the first start the cache may not be ready yet, and it can be replaced while a process runs.
#[test]
fn the_caches_address_is_learnt() {
    let world = World::new();
    let none = ssm::Ssm::start(crate::support::threescale::TOKEN, None);
    let world = World { ssm: none, ..world };
    let mut authorizer = world.authorizer();
    assert_eq!(
        timely(&mut authorizer, &event("uk_free", "/")).source,
        Source::Direct
    );
    world.ssm.put("cache-endpoint", &world.redis.url());
    authorizer.clients.forget_reading();
    assert_eq!(
        timely(&mut authorizer, &event("uk_free", "/")).source,
        Source::Backend
    );
    let other = Redis::start(&[]);
    world.ssm.put("cache-endpoint", &other.url());
    let mut world = world;
    world.redis.stop();
    authorizer.clients.forget_reading();
    assert_eq!(
        timely(&mut authorizer, &event("uk_free", "/")).source,
        Source::Backend
    );
}

/// A name that does not resolve, and an address without a server.
#[test]
fn unreachable_addresses() {
    let world = World::new();
    for address in [
        "redis://does-not-exist.invalid:6379",
        "rediss://127.0.0.1:1",
        "redis://127.0.0.1:1",
    ] {
        world.ssm.put("cache-endpoint", address);
        assert_eq!(
            timely(&mut world.authorizer(), &event("uk_free", "/")).source,
            Source::Direct,
            "{address}"
        );
    }
    for backend in [
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "http://does-not-exist.invalid",
    ] {
        let world = World::new().with("backend", json!(backend));
        let decided = timely(&mut world.authorizer(), &event("uk_free", "/"));
        assert_eq!(decided.outcome.reason, "backend_unavailable", "{backend}");
    }
    // A server that is reachable but is not the expected one.
    let web = Server::start(std::sync::Arc::new(|_| Response::new(200, "<html>")));
    let world = World::new().with("backend", json!(web.url()));
    let decided = timely(&mut world.authorizer(), &event("uk_free", "/"));
    assert_eq!(decided.outcome.reason, "backend_unavailable");
}

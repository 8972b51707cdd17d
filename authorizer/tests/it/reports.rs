//! The reporter: batches, reports in doubt, killed reporters, and usage that 3scale would lose silently.

use std::sync::Arc;
use std::time::{Duration, Instant};

use authorizer::answer::Effect;
use authorizer::clients::Clients;
use authorizer::clock::Clock;
use authorizer::reporter::Reporter;
use serde_json::json;

use crate::support::eventually;
use crate::support::fuse::{self, End, Fuse};
use crate::support::gateway::{World, decide, environment, event};
use crate::support::http::{Request, Response, Server};
use crate::support::runtime_api::{Answer, Process};
use crate::support::ssm::HASH_KEY;
use crate::support::threescale::{Fault, Period};

pub(crate) fn hit(world: &World, key: &str, times: usize) {
    let mut authorizer = world.authorizer();
    for _ in 0..times {
        assert_eq!(
            decide(&mut authorizer, &event(key, "/")).outcome.effect,
            Effect::Allow
        );
    }
}

pub(crate) fn nothing_left(world: &World) {
    for pattern in ["p", "f", "b"] {
        let keys = world.redis.ask(&format!("KEYS *}}:{pattern}:*"));
        assert_eq!(keys.trim(), "*0", "{pattern}: {keys}");
    }
    assert_eq!(world.redis.ask("KEYS *}:batches*").trim(), "*0");
    assert_eq!(world.redis.ask("KEYS *}:owners*").trim(), "*0");
}

#[test]
fn usage_lands_in_the_minute_it_was_made_in() {
    let world = World::patient();
    let first = world.clock.now_ms() / 1000;
    hit(&world, "uk_free", 3);
    world.advance(50_000);
    hit(&world, "uk_free", 4);
    world.advance(3_600_000);
    let summary = world.report();
    assert_eq!(
        (summary.reports, summary.transactions, summary.delivered),
        (1, 2, 7)
    );
    let state = world.threescale.state();
    assert_eq!(state.counted("free", "hits", Period::Minute, first), 3);
    assert_eq!(state.counted("free", "hits", Period::Minute, first + 50), 4);
    assert_eq!(state.counted("free", "hits", Period::Hour, first), 7);
    drop(state);
    nothing_left(&world);
}

/// Redis is gone when a report is accepted: the next run of the process removes the counters before it reports any.
#[test]
fn a_report_is_not_sent_again_because_redis_was_gone() {
    let run = |call: usize| {
        let world = World::patient();
        hit(&world, "uk_free", 3);
        let mut fuse = Fuse::new(fuse::Fault {
            call,
            after: false,
            end: End::Everything,
        });
        let settings = world.read_settings("reporter");
        let mut reporter = Reporter::new(&settings);
        let cache = fuse.redis(world.redis.port);
        world.ssm.put("cache-endpoint", &format!("redis://{cache}"));
        let deadline = || Instant::now() + Duration::from_secs(20);
        // The calls of 3scale are counted, too.
        let mut through = world.read_settings("reporter");
        let backend = fuse.http(world.threescale.address().port());
        through.service.backend = format!("http://{backend}");
        let mut clients = Clients::new(through, None, world.clock.clone());
        let first = reporter.run(&mut clients, deadline());
        world.ssm.put("cache-endpoint", &world.redis.url());
        let mut clients = Clients::new(settings, None, world.clock.clone());
        let second = reporter.run(&mut clients, deadline());
        assert_eq!(second.stopped, None);
        (world, fuse, first)
    };
    let (_, fuse, _) = run(1_000);
    let calls = fuse.calls();
    let report = calls.iter().position(|call| call.starts_with("POST"));
    let (world, fuse, first) = run(report.unwrap() + 1);
    assert!(fuse.blown());
    assert_eq!(first.delivered, 3);
    assert!(first.stopped.is_some());
    assert_eq!(world.threescale.total("free", "hits"), 3);
    nothing_left(&world);
}

#[test]
fn large_amounts_go_in_batches() {
    let world = World::patient();
    let many = 1_300;
    for n in 0..many {
        world.threescale.add(&format!("n{n}"), &[]);
    }
    let mut authorizer = world.authorizer();
    for n in 0..many {
        decide(&mut authorizer, &event(&format!("uk_n{n}"), "/"));
    }
    let summary = world.report();
    assert_eq!(
        (summary.delivered, summary.isolated, summary.stopped),
        (many, 0, None)
    );
    assert!(summary.reports >= 2);
    assert!(world.threescale.state().largest_report <= 1000);
    for n in 0..many {
        assert_eq!(world.threescale.total(&format!("n{n}"), "hits"), 1, "{n}");
    }
    nothing_left(&world);
}

/// One application with more minutes than fit into a report.
#[test]
fn an_application_larger_than_a_batch() {
    let world = World::patient();
    let mut authorizer = world.authorizer();
    let minutes = 1_200;
    for _ in 0..minutes {
        decide(&mut authorizer, &event("uk_free", "/"));
        world.advance(60_000);
    }
    let summary = world.report();
    assert_eq!(
        (summary.delivered, summary.stopped, summary.undeliverable),
        (minutes, None, 0)
    );
    assert!(world.threescale.state().largest_report <= 1000);
    nothing_left(&world);
}

/// Refused or never sent: nothing is lost, and nothing is counted twice.
#[test]
fn what_3scale_did_not_take_is_sent_again() {
    for fault in [
        Fault::Status(403, ""),
        Fault::Status(400, ""),
        Fault::Status(422, ""),
    ] {
        let world = World::patient();
        hit(&world, "uk_free", 5);
        world.threescale.state().only_reports = true;
        world.threescale.fail(Some(fault));
        for _ in 0..3 {
            let summary = world.report();
            assert_eq!((summary.delivered, summary.in_doubt), (0, 0));
            assert!(summary.stopped.is_some());
        }
        hit(&world, "uk_free", 2);
        world.threescale.fail(None);
        assert_eq!(world.report().delivered, 7);
        assert_eq!(world.threescale.total("free", "hits"), 7);
        nothing_left(&world);
    }
}

/// The documented window: an answer is lost. The report is sent again, and counted twice if 3scale had received it.
#[test]
fn in_doubt_is_sent_again() {
    for (fault, counted) in [
        (Fault::Status(500, ""), 5),
        (Fault::Close, 5),
        (Fault::Raw(b"x"), 5),
        (Fault::LoseAnswer, 10),
        (Fault::CountAnd500, 10),
    ] {
        let world = World::patient();
        hit(&world, "uk_free", 5);
        world.threescale.state().only_reports = true;
        world.threescale.fail_next(&[fault]);
        let first = world.report();
        assert_eq!((first.delivered, first.in_doubt), (0, 1));
        assert_eq!(world.report().delivered, 5);
        assert_eq!(world.threescale.total("free", "hits"), counted);
        nothing_left(&world);
    }
}

/// While 3scale does not answer, no report is sent that it might count each time.
#[test]
fn an_outage_multiplies_nothing() {
    let world = World::patient();
    hit(&world, "uk_free", 5);
    world.threescale.fail(Some(Fault::CountAnd500));
    for _ in 0..5 {
        let summary = world.report();
        assert_eq!((summary.reports, summary.in_doubt), (0, 0));
        assert!(summary.stopped.is_some());
    }
    world.threescale.fail(None);
    assert_eq!(world.report().delivered, 5);
    assert_eq!(world.threescale.total("free", "hits"), 5);
}

#[test]
fn reporters_at_the_same_time_deliver_once() {
    let world = World::patient();
    for n in 0..300 {
        world.threescale.add(&format!("n{n}"), &[]);
    }
    std::thread::scope(|scope| {
        for part in 0..3 {
            let world = &world;
            scope.spawn(move || {
                let mut authorizer = world.authorizer();
                for round in 0..3 {
                    for n in 0..100 {
                        decide(
                            &mut authorizer,
                            &event(&format!("uk_n{}", part * 100 + n), "/"),
                        );
                    }
                    // While others report.
                    let _ = round;
                }
            });
        }
        for _ in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(world.report().stopped, None);
                }
            });
        }
    });
    world.report();
    for n in 0..300 {
        assert_eq!(world.threescale.total(&format!("n{n}"), "hits"), 3, "{n}");
    }
    nothing_left(&world);
}

/// A run delivers the usage from before it and leaves the rest to the next run: it ends under any traffic, without many
/// small reports.
#[test]
fn a_run_ends_under_traffic() {
    let world = World::patient();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut requests = 0;
            let mut authorizer = world.authorizer();
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                decide(&mut authorizer, &event("uk_free", "/"));
                requests += 1;
            }
            requests
        });
        eventually("some traffic", || world.threescale.calls("authorize") > 0);
        let reports: u64 = (0..10).map(|_| world.report().reports).sum();
        assert!(reports <= 10, "{reports}");
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        let requests: u64 = traffic.join().expect("traffic");
        world.report();
        assert_eq!(world.threescale.total("free", "hits"), requests);
    });
}

/// A real reporter is killed while its report is under way: another one takes over its batch when the lease expires.
#[test]
fn a_killed_reporter_loses_nothing() {
    for counted_before in [false, true] {
        let world = World::with_clock(Clock::default());
        hit(&world, "uk_free", 5);
        world.threescale.state().only_reports = true;
        // The call hangs, before or after 3scale has accepted it.
        let fault = if counted_before {
            Fault::LoseAnswer
        } else {
            Fault::Hang(Duration::from_secs(30))
        };
        if counted_before {
            world
                .threescale
                .fail_next(&[Fault::Hang(Duration::from_secs(30)), fault]);
        } else {
            world.threescale.fail_next(&[fault]);
        }
        let mut process =
            Process::start(&environment("reporter", &world.ssm, &world.settings, None));
        let api = &process.api;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let scheduled = json!({ "detail-type": "Scheduled Event", "source": "aws.events" });
                api.begin(&scheduled.to_string());
            });
        });
        eventually("the report is under way", || {
            world.threescale.calls("report") == 1
        });
        process.kill();
        // The lease is still valid, so no other reporter sends the batch while the first one may still do so.
        assert_eq!(world.report().reports, 0);
        world
            .redis
            .ask(&format!("ZADD {} 0 {}", batches(&world), batch(&world)));
        if counted_before {
            assert_eq!(world.report().in_doubt, 1);
        }
        assert_eq!(world.report().delivered, 5);
        assert_eq!(
            world.threescale.total("free", "hits"),
            if counted_before { 10 } else { 5 }
        );
        nothing_left(&world);
    }
}

fn batches(world: &World) -> String {
    let keys = world.redis.ask("KEYS *}:batches*");
    keys.lines().nth(2).expect("batches").trim().to_owned()
}

fn batch(world: &World) -> String {
    let all = world.redis.ask(&format!("ZRANGE {} 0 -1", batches(world)));
    all.lines().nth(2).expect("a batch").trim().to_owned()
}

/// Stacks of one name with one Redis have their own lists. A name that one of them has sealed cannot be opened by the other.
#[test]
fn two_stacks_of_one_name_do_not_take_each_others_usage() {
    let world = World::patient();
    hit(&world, "uk_free", 3);
    let other = HASH_KEY.replace("00", "ff");
    world.ssm.put("secrets/hash-key", &other);
    hit(&world, "uk_free", 2);
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (2, None));
    world.ssm.put("secrets/hash-key", HASH_KEY);
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (3, None));
    nothing_left(&world);
}

/// Stacks of pull requests share a Redis and a product: neither takes or changes what the other has counted.
#[test]
fn two_stacks_with_one_redis_and_one_product_share_no_key() {
    let mut world = World::patient();
    let be = |world: &mut World, stack: &str, hash_key: &str| {
        let stack = ("THREESCALE_GW_STACK".to_owned(), stack.to_owned());
        world.extra.retain(|(name, _)| *name != stack.0);
        world.extra.push(stack);
        world.ssm.put("secrets/hash-key", hash_key);
    };
    let keys = |world: &World, pattern: &str| -> Vec<String> {
        let all = world.redis.ask(&format!("KEYS {pattern}"));
        let names = all.lines().filter(|line| line.starts_with("tg:"));
        let mut names: Vec<_> = names.map(|name| name.trim().to_owned()).collect();
        names.sort();
        names
    };
    // One name is the beginning of the other, and both have the same key for their hashes.
    be(&mut world, "pr-1", HASH_KEY);
    hit(&world, "uk_free", 3);
    let first = keys(&world, "*");
    assert!(!first.is_empty());
    be(&mut world, "pr-17", HASH_KEY);
    hit(&world, "uk_free", 2);
    assert_eq!(keys(&world, "tg:{pr-1:*"), first);
    let second = keys(&world, "tg:{pr-17:*");
    assert_eq!(keys(&world, "*").len(), first.len() + second.len());
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (2, None));
    be(&mut world, "pr-1", HASH_KEY);
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (3, None));
    assert_eq!(world.threescale.total("free", "hits"), 5);
    nothing_left(&world);
}

/// A former release had lists without the fingerprint of the hash key.
#[test]
fn usage_in_the_lists_of_a_former_release_is_reported_once() {
    let world = World::patient();
    // A batch that was taken and not delivered, and usage that was not taken.
    hit(&world, "uk_free", 2);
    world.threescale.fail(Some(Fault::Close));
    assert!(world.report().stopped.is_some());
    world.threescale.fail(None);
    hit(&world, "uk_free", 3);
    for list in ["batches", "owners", "dirty"] {
        let found = world.redis.ask(&format!("KEYS *}}:{list}:*"));
        let marked = found.lines().nth(2).expect("the list").trim();
        let (former, _) = marked.rsplit_once(':').expect("a mark");
        assert_eq!(
            world.redis.ask(&format!("RENAME {marked} {former}")).trim(),
            "+OK"
        );
    }
    // The same minute, and the next one.
    hit(&world, "uk_free", 4);
    world.advance(60_000);
    hit(&world, "uk_free", 5);
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (14, None));
    assert_eq!(world.report().delivered, 0);
    assert_eq!(world.threescale.total("free", "hits"), 14);
    nothing_left(&world);
}

/// A deleted application or metric loses only its own usage.
#[test]
fn what_3scale_does_not_know_goes_alone() {
    let world = World::patient().with(
        "mapping_rules",
        json!([
            { "method": "GET", "pattern": "/", "metric": "hits" },
            { "method": "GET", "pattern": "/bytes", "metric": "bytes" },
        ]),
    );
    for name in ["gone", "stays"] {
        world.threescale.add(name, &[]);
    }
    let mut authorizer = world.authorizer();
    for key in ["uk_gone", "uk_stays", "uk_free"] {
        decide(&mut authorizer, &event(key, "/bytes"));
        decide(&mut authorizer, &event(key, "/"));
    }
    {
        let mut state = world.threescale.state();
        state
            .applications
            .retain(|application| application.id != "app_gone");
        state.metrics.remove("bytes");
    }
    // So late that no confirmation is recent enough.
    world.advance(76_000);
    let summary = world.report();
    // Three applications with a deleted metric: each metric is sent separately, and of one application both are lost.
    assert_eq!((summary.isolated, summary.stopped), (6, None));
    for name in ["stays", "free"] {
        assert_eq!(world.threescale.total(name, "hits"), 2, "{name}");
        assert_eq!(world.threescale.total(name, "bytes"), 0);
    }
    assert_eq!(world.threescale.state().lost_batches.len(), 4);
    nothing_left(&world);
}

fn run(process: &Process) -> serde_json::Value {
    let scheduled = json!({ "detail-type": "Scheduled Event", "source": "aws.events" });
    match process.api.invoke(&scheduled.to_string()) {
        Answer::Result(summary) => summary,
        Answer::Error(error) => panic!("{error}"),
    }
}

/// A running reporter whose service token was replaced between two events. No existing application is taken for an
/// unknown one.
#[test]
fn a_replaced_token_is_learnt_by_a_living_reporter() {
    let world = World::with_clock(Clock::default());
    world.threescale.add("a", &[]);
    let process = Process::start(&environment("reporter", &world.ssm, &world.settings, None));
    hit(&world, "uk_free", 2);
    assert_eq!(run(&process)["delivered"], 2);
    hit(&world, "uk_free", 3);
    hit(&world, "uk_a", 4);
    world.threescale.state().token = "st_new".to_owned();
    // The Parameter Store has no new token yet.
    let refused = run(&process);
    assert_eq!(
        (&refused["delivered"], &refused["apart"]),
        (&json!(0), &json!(0))
    );
    let why = refused["stopped"].as_str().expect("a reason");
    assert!(why.contains("service_token_invalid"), "{why}");
    world.ssm.put("secrets/service-token", "st_new");
    let summary = run(&process);
    assert_eq!(
        (
            &summary["delivered"],
            &summary["apart"],
            &summary["stopped"]
        ),
        (&json!(7), &json!(0), &json!(null)),
    );
    assert_eq!(world.threescale.total("free", "hits"), 5);
    assert_eq!(world.threescale.total("a", "hits"), 4);
    assert!(world.threescale.state().lost_batches.is_empty());
    nothing_left(&world);
}

/// The same when 3scale refuses a report: the token was replaced after the calls about applications.
#[test]
fn a_token_refused_by_a_report_is_read_anew() {
    let world = World::with_clock(Clock::default());
    let process = Process::start(&environment("reporter", &world.ssm, &world.settings, None));
    hit(&world, "uk_free", 3);
    assert_eq!(run(&process)["delivered"], 3);
    hit(&world, "uk_free", 4);
    world.ssm.put("secrets/service-token", "st_new");
    world.threescale.state().only_reports = true;
    let body = r#"<?xml version="1.0"?><error code="service_token_invalid">text</error>"#;
    world.threescale.fail_next(&[Fault::Status(403, body)]);
    assert_eq!(run(&process)["delivered"], 0);
    let reads = || world.ssm.state.lock().unwrap().reads;
    let before = reads();
    world.threescale.state().token = "st_new".to_owned();
    assert_eq!(run(&process)["delivered"], 4);
    assert_eq!(reads(), before);
    assert_eq!(world.threescale.total("free", "hits"), 7);
    nothing_left(&world);
}

/// Usage is reported with the application's ID, so a replaced user key loses nothing.
#[test]
fn a_replaced_user_key_loses_nothing() {
    let world = World::patient();
    hit(&world, "uk_free", 5);
    world.threescale.state().applications[0].user_key = "uk_other".to_owned();
    world.advance(76_000);
    assert_eq!(world.report().delivered, 5);
    assert_eq!(world.threescale.total("free", "hits"), 5);
}

#[test]
fn what_is_too_old_is_said_and_given_up() {
    let world = World::patient();
    hit(&world, "uk_free", 5);
    world.advance(12 * 3_600_000);
    hit(&world, "uk_free", 3);
    world.advance(12 * 3_600_000);
    let summary = world.report();
    assert_eq!(
        (summary.undeliverable, summary.delivered, summary.stopped),
        (5, 3, None)
    );
    assert!(world.threescale.state().lost_batches.is_empty());
    assert_eq!(world.threescale.total("free", "hits"), 3);
    nothing_left(&world);
}

/// It ends before its own time-out and continues in the next run.
#[test]
fn no_time_left() {
    let world = World::patient();
    hit(&world, "uk_free", 5);
    let mut authorizer = world.authorizer();
    let mut reporter = Reporter::new(&world.read_settings("reporter"));
    let summary = reporter.run(
        &mut authorizer.clients,
        Instant::now() + Duration::from_millis(200),
    );
    assert_eq!(
        (summary.delivered, summary.stopped.as_deref()),
        (0, Some("no time left"))
    );
    assert_eq!(world.report().delivered, 5);
}

/// A proxy in front of 3scale that delays the answers about applications, but not those to reports.
fn slow_questions(backend: String, delay: Duration) -> Server {
    let agent = authorizer::http::agent(None);
    let pass = move |request: Request| {
        let url = format!("{backend}{}", request.target);
        let answer = if request.method == "GET" {
            std::thread::sleep(delay);
            let options = request.header("3scale-options").unwrap_or_default();
            agent.get(url).header("3scale-options", options).call()
        } else {
            let form = "application/x-www-form-urlencoded";
            agent.post(url).content_type(form).send(&request.body[..])
        };
        let mut answer = answer.expect("an answer of the stand-in");
        let body = answer.body_mut().read_to_vec().expect("a body");
        Response::new(answer.status().as_u16(), body)
    };
    Server::start(Arc::new(pass))
}

/// Checking all applications of a batch takes several runs: each run reports what it knows, and no run reports anything
/// twice.
#[test]
fn a_batch_that_is_asked_about_for_longer_than_a_run() {
    let many = 20;
    let mut world = World::patient();
    let mut authorizer = world.authorizer();
    for n in 0..many {
        world.threescale.add(&format!("n{n}"), &[]);
        decide(&mut authorizer, &event(&format!("uk_n{n}"), "/"));
    }
    // An application that 3scale does not know is sent separately, in the run that finds this out.
    world
        .threescale
        .state()
        .applications
        .retain(|application| application.id != "app_n7");
    world.advance(76_000);
    let slow = slow_questions(world.threescale.url(), Duration::from_millis(200));
    world.settings["backend"] = slow.url().into();
    let mut reporter = Reporter::new(&world.read_settings("reporter"));
    let mut authorizer = world.authorizer();
    let mut delivered = Vec::new();
    eventually("everything is delivered", || {
        let summary = reporter.run(
            &mut authorizer.clients,
            Instant::now() + Duration::from_secs(3),
        );
        assert_eq!(summary.in_doubt, 0);
        delivered.push(summary.delivered);
        let done = summary.stopped.is_none();
        assert!(
            done || summary.stopped.as_deref() == Some("no time left"),
            "{summary:?}"
        );
        done
    });
    assert!(delivered.len() > 1, "{delivered:?}");
    assert_eq!(delivered.iter().sum::<u64>(), many);
    for n in (0..many).filter(|n| *n != 7) {
        assert_eq!(world.threescale.total(&format!("n{n}"), "hits"), 1, "{n}");
    }
    nothing_left(&world);
}

/// Usage without a recent confirmation is sent in parts, so that after a killed run only a few applications are checked
/// again.
#[test]
fn what_was_found_out_is_sent_in_parts() {
    let world = World::patient();
    let mut authorizer = world.authorizer();
    for n in 0..120 {
        world.threescale.add(&format!("n{n}"), &[]);
        decide(&mut authorizer, &event(&format!("uk_n{n}"), "/"));
    }
    world.advance(76_000);
    let summary = world.report();
    assert_eq!(
        (summary.reports, summary.delivered, summary.stopped),
        (3, 120, None)
    );
    assert_eq!(world.threescale.state().largest_report, 50);
    nothing_left(&world);
}

#[test]
fn redis_down_and_up_again() {
    let mut world = World::patient();
    hit(&world, "uk_free", 5);
    world.redis.stop();
    assert!(world.report().stopped.is_some());
    world.redis.restart();
    assert_eq!(world.report().delivered, 5);
}

/// Redis contains no credential that gives access to an API, and neither does our output.
#[test]
fn no_credential_stands_in_redis() {
    let world = World::patient();
    world.threescale.state().applications[0].user_key = "uk-very-secret-credential".to_owned();
    hit(&world, "uk-very-secret-credential", 2);
    let dump = |world: &World| {
        let keys = world.redis.ask("KEYS *");
        let mut all = keys.clone();
        for key in keys.lines().skip(2).step_by(2) {
            let key = key.trim();
            for command in ["GET", "HGETALL", "SMEMBERS", "LRANGE", "ZRANGE"] {
                let range = if command.ends_with("RANGE") {
                    " 0 -1"
                } else {
                    ""
                };
                all.push_str(&world.redis.ask(&format!("{command} {key}{range}")));
            }
        }
        all
    };
    let all = dump(&world);
    assert!(all.contains("tg:{test:1001}:"), "{all}");
    for secret in ["very-secret", "app_free", "st_1001", "session-token"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

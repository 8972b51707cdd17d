//! A million requests of a hundred applications through several authorizers, with reporters running meanwhile: the sum
//! must be exact. `cargo bench -p authorizer --bench million`
//!
//! `-- cluster` uses a Valkey in cluster mode with the rights in the README, as a serverless cache has, and `-- memory` no cache,
//! so that 3scale decides each request. With `--profile dev`, the scripts check that they declare every key.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports to a terminal"
)]
#![expect(unreachable_pub, reason = "the harness is the tests'")]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the tests' harness has more than a bench needs")]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use serde_json::json;
use support::gateway::{World, decide, event};
use support::redis::Redis;

const REQUESTS: u64 = 1_000_000;
const THREADS: u64 = 3;

/// The cache for this argument.
fn world(argument: Option<&str>) -> World {
    let with = |redis| World::with_redis(Clock::default(), redis);
    let mut world = match argument {
        Some("cluster") => {
            let redis = Redis::cluster(true);
            redis.limit_to_the_rights_in_the_readme();
            with(redis)
        }
        Some("memory") => {
            let mut world = World::with_clock(Clock::default()).with("cache", json!("memory"));
            world.redis.stop();
            world.ssm.delete("cache-endpoint");
            world
        }
        _ => with(Redis::start(&["--appendonly", "no"])),
    };
    // Enough time for every call: this bench is not about a slow Redis.
    world.extra = vec![
        ("THREESCALE_GW_REDIS_MS".to_owned(), "20000".to_owned()),
        ("THREESCALE_GW_ANSWER_MS".to_owned(), "60000".to_owned()),
    ];
    world
}

fn main() {
    let argument = std::env::args().find(|argument| ["cluster", "memory"].contains(&&**argument));
    let world = world(argument.as_deref());
    let reporters = if argument.as_deref() == Some("memory") {
        0
    } else {
        2
    };
    for n in 0..100 {
        world.threescale.add(&format!("n{n}"), &[]);
    }
    let started = Instant::now();
    let allowed = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let reported = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (world, allowed) = (&world, &allowed);
                scope.spawn(move || {
                    let mut authorizer = world.authorizer();
                    let events: Vec<String> =
                        (0..100).map(|n| event(&format!("uk_n{n}"), "/")).collect();
                    for n in (thread..REQUESTS).step_by(THREADS as usize) {
                        let decided = decide(&mut authorizer, &events[(n % 100) as usize]);
                        allowed.fetch_add(
                            u64::from(decided.outcome.effect == Effect::Allow),
                            Ordering::Relaxed,
                        );
                    }
                })
            })
            .collect();
        let reporters: Vec<_> = (0..reporters)
            .map(|_| {
                let (world, done) = (&world, &done);
                scope.spawn(move || {
                    let mut sum = 0;
                    while !done.load(Ordering::SeqCst) {
                        sum += world.report().delivered;
                        std::thread::sleep(Duration::from_millis(500));
                    }
                    sum
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        reporters
            .into_iter()
            .map(|reporter| reporter.join().unwrap())
            .sum::<u64>()
    });
    let took = started.elapsed();
    let reported = match reporters {
        0 => 0,
        _ => reported + world.report().delivered,
    };
    let counted: u64 = world.threescale.state().totals.values().sum();
    let allowed = allowed.load(Ordering::SeqCst);
    let calls = world.threescale.state().calls.clone();
    println!(
        "{allowed} of {REQUESTS} passed in {:.1} s, {reported} reported, {counted} counted by 3scale, {} calls of 3scale: {:?}",
        took.as_secs_f64(),
        calls.values().sum::<u64>(),
        calls
    );
    assert_eq!(allowed, REQUESTS, "none was refused");
    assert_eq!(counted, REQUESTS, "every one is counted once");
}

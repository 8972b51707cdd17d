//! A model of counting: random interleavings of all events, and a sum that must be right.

use std::collections::HashMap;

use authorizer::answer::Effect;
use authorizer::decide::Source;
use authorizer::keys::{Keys, Name};
use serde_json::json;

use crate::support::fuse::{self, End, Fuse};
use crate::support::gateway::{Authorizer, World, decide, event};
use crate::support::ssm::HASH_KEY;
use crate::support::threescale::{Counting, Fault, Limit, Period, SERVICE};

/// A small deterministic generator, so that a failing seed can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

const NAMES: [&str; 4] = ["free", "a", "b", "c"];

struct Model {
    world: World,
    authorizers: Vec<Authorizer>,
    allowed: HashMap<&'static str, u64>,
    /// The usage that reports in doubt may have counted once more, by application: what Redis contained of it then.
    doubled: HashMap<&'static str, u64>,
    /// The allowed requests of the limited application in each window of an hour.
    hours: HashMap<i64, u64>,
    redis_up: bool,
    backend_up: bool,
}

const HOURLY: u64 = 40;

impl Model {
    fn new(mode: &str) -> Self {
        let world = World::patient().with("caching", json!(mode));
        world.threescale.state().counting = Counting::Manual;
        world.threescale.add("a", &[]);
        world
            .threescale
            .add("b", &[Limit::new("hits", Period::Hour, HOURLY)]);
        world
            .threescale
            .add("c", &[Limit::new("hits", Period::Eternity, 1 << 40)]);
        let authorizers = (0..3).map(|_| world.authorizer()).collect();
        Self {
            world,
            authorizers,
            allowed: HashMap::new(),
            doubled: HashMap::new(),
            hours: HashMap::new(),
            redis_up: true,
            backend_up: true,
        }
    }

    fn request(&mut self, random: &mut Random) {
        let name = NAMES[random.below(4) as usize];
        let authorizer = &mut self.authorizers[random.below(3) as usize];
        let hour = self.world.clock.now_ms().div_euclid(3_600_000);
        let decided = decide(authorizer, &event(&format!("uk_{name}"), "/"));
        if decided.outcome.effect == Effect::Allow {
            *self.allowed.entry(name).or_default() += 1;
            // Without Redis, 3scale decides, which counts late here.
            if name == "b" && decided.source != Source::Direct {
                *self.hours.entry(hour).or_default() += 1;
            }
        }
    }

    /// The usage in Redis, in a batch or not, that is not removed yet.
    fn pending(&self) -> HashMap<&'static str, u64> {
        if !self.redis_up {
            return HashMap::new();
        }
        let keys = Keys::from_hex(HASH_KEY).expect("a key");
        let mut pending = HashMap::new();
        for name in NAMES {
            let application = keys.application(
                SERVICE,
                &Name {
                    app_id: Some(format!("app_{name}")),
                    user_key: None,
                },
            );
            let all = self.world.redis.ask(&format!("KEYS *:{application}"));
            let counters = |key: &&str| key.contains("}:p:") || key.contains("}:f:");
            for key in all.lines().filter(counters) {
                let fields = self.world.redis.ask(&format!("HGETALL {key}"));
                let words: Vec<&str> = fields.lines().skip(2).step_by(2).collect();
                let amounts = words.chunks(2).filter(|pair| pair[0] != "n");
                let sum: u64 = amounts
                    .map(|pair| pair[1].parse::<u64>().expect("an amount"))
                    .sum();
                *pending.entry(name).or_default() += sum;
            }
        }
        pending
    }

    fn may_double(&mut self, pending: &HashMap<&'static str, u64>) {
        for (name, sum) in pending {
            *self.doubled.entry(name).or_default() += sum;
        }
    }

    fn report(&mut self, fault: Option<Fault>) {
        if let (Some(fault), true) = (fault, self.backend_up) {
            self.world.threescale.state().only_reports = true;
            self.world.threescale.fail_next(&[fault]);
        }
        let pending = self.pending();
        let summary = self.world.report();
        if summary.in_doubt > 0 {
            self.may_double(&pending);
        }
        if self.backend_up {
            self.world.threescale.fail(None);
            self.world.threescale.state().only_reports = false;
        }
    }

    /// A reporter that ends at one of its calls.
    fn dying_report(&mut self, random: &mut Random) {
        let mut fuse = Fuse::new(fuse::Fault {
            call: random.below(12) as usize,
            after: random.below(2) == 1,
            end: End::Everything,
        });
        let pending = self.pending();
        self.world.report_through(&mut fuse);
        // It may have received 3scale's answer and then ended.
        if fuse.blown() && fuse.calls().iter().any(|call| call.starts_with("POST")) {
            self.may_double(&pending);
        }
    }

    fn step(&mut self, random: &mut Random, doubts: bool) {
        match random.below(100) {
            0..67 => self.request(random),
            67..70 if doubts => self.dying_report(random),
            70..78 => self.report(None),
            78..80 => self.report(Some(Fault::Status(403, ""))),
            80..82 if doubts => self.report(Some(Fault::LoseAnswer)),
            82..86 => self.world.threescale.work(),
            86..91 => self.world.advance(1_000 * (1 + random.below(90) as i64)),
            91..93 => self.authorizers[random.below(3) as usize] = self.world.authorizer(),
            93..95 => {
                self.world.redis.restart();
                self.redis_up = true;
            }
            95 => {
                self.world.redis.stop();
                self.redis_up = false;
            }
            96..98 => {
                // More often available than not.
                self.backend_up = !self.backend_up || random.below(2) == 0;
                self.world
                    .threescale
                    .fail((!self.backend_up).then_some(Fault::Status(503, "")));
            }
            98 => {
                self.world.redis.restart();
                self.redis_up = true;
                self.world.redis.ask("SCRIPT FLUSH");
            }
            _ => {}
        }
    }

    fn finish(&mut self, context: &str, doubts: bool) {
        self.world.redis.restart();
        self.world.threescale.fail(None);
        // After the leases of the reporters that ended.
        self.world.advance(900_000);
        let last = self.world.report();
        assert_eq!((last.stopped, last.undeliverable), (None, 0), "{context}");
        self.world.threescale.work();
        assert!(
            self.world.threescale.state().lost_batches.is_empty(),
            "{context}"
        );
        for name in NAMES {
            let allowed = self.allowed.get(name).copied().unwrap_or(0);
            let counted = self.world.threescale.total(name, "hits");
            assert!(
                counted >= allowed,
                "{context}: {name} lost usage: {counted} of {allowed}"
            );
            let more = self.doubled.get(name).copied().unwrap_or(0);
            assert!(doubts || more == 0, "{context}");
            assert!(
                counted <= allowed + more,
                "{context}: {name} counted {counted} for {allowed} and {more} in doubt"
            );
        }
        assert!(
            self.allowed.values().sum::<u64>() > 50,
            "{context}: hardly anything passed"
        );
        for (hour, passed) in &self.hours {
            assert!(*passed <= HOURLY, "{context}: {passed} in hour {hour}");
        }
    }
}

fn run(seed: u64, mode: &str, doubts: bool) {
    let mut random = Random(seed);
    let mut model = Model::new(mode);
    for _ in 0..400 {
        model.step(&mut random, doubts);
    }
    model.finish(&format!("seed {seed}, {mode}"), doubts);
}

/// Without doubt: exactly once.
#[test]
fn everything_that_passed_is_counted_exactly_once() {
    std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || {
                run(
                    seed,
                    if seed % 2 == 0 { "strict" } else { "resilient" },
                    false,
                )
            });
        }
    });
}

/// Answers to reports get lost too, and reporters end: at least once, and within the documented window.
#[test]
fn with_lost_answers_nothing_is_lost() {
    std::thread::scope(|scope| {
        for seed in 100..106 {
            scope.spawn(move || run(seed, "strict", true));
        }
    });
}

/// The connection ends after each request was carried out and before its answer: the request is still counted once.
#[test]
fn lost_answers_of_redis_are_recognized() {
    let world = World::patient();
    let proxy = crate::support::cut::CutProxy::start(world.redis.port);
    world
        .ssm
        .put("cache-endpoint", &format!("redis://{}", proxy.address));
    let mut authorizer = world.authorizer();
    let mut allowed = 0;
    for n in 0..200 {
        proxy.cut_next(n % 3 == 1);
        let decided = decide(&mut authorizer, &event("uk_free", "/"));
        assert_eq!(
            (decided.outcome.effect, decided.source == Source::Direct),
            (Effect::Allow, false),
            "{n}"
        );
        allowed += 1;
    }
    world.ssm.put("cache-endpoint", &world.redis.url());
    assert_eq!(world.report().delivered, allowed);
    assert_eq!(world.threescale.total("free", "hits"), allowed);
}

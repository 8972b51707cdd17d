//! The scripts that decide, below the authorizer: which keys they are called with, and how often.

use std::time::{Duration, Instant};

use authorizer::cache::{Cache, Decision, Question, Stored, prefix};
use authorizer::periods::Period;
use authorizer::redis::{Endpoint, RedisClient};
use authorizer::terms::Terms;
use authorizer::xml::Limit;

use crate::support::gateway::World;

struct Fixture {
    world: World,
    usage: [(String, u64); 1],
    prefix: String,
}

impl Fixture {
    fn new() -> Self {
        Self {
            world: World::patient(),
            usage: [("hits".to_owned(), 1)],
            prefix: prefix("test", "1001"),
        }
    }

    fn process(&self, name: &str) -> Cache {
        let mut redis = RedisClient::new(None);
        redis.set_endpoint(Endpoint::parse(&self.world.redis.url(), None));
        let max_age = Duration::from_secs(60);
        Cache::new(redis, self.prefix.clone(), name.to_owned(), max_age, true)
    }

    fn question(&self, sequence: u64) -> Question<'_> {
        Question {
            credential: "c",
            usage: &self.usage,
            now_ms: self.world.clock.now_ms(),
            sequence,
            not_before_ms: 0,
            old: false,
            repeated: false,
            source: "",
        }
    }

    /// Stores that the credential is one of an application.
    fn store(&self, process: &mut Cache, application: &str, limit: Option<u64>) {
        let now_ms = self.world.clock.now_ms();
        let limits: Vec<_> = limit
            .map(|max| Limit {
                metric: "hits".to_owned(),
                period: Period::Eternity,
                start_s: 0,
                max,
                current: 0,
            })
            .into_iter()
            .collect();
        let terms = Terms {
            metrics: vec![("hits".to_owned(), (0..limits.len()).collect())],
            limits,
        };
        let stored = Stored {
            application,
            name: "n",
            plan: "p",
            terms: &terms,
            asked_at_ms: now_ms,
            count: false,
            referred: false,
        };
        process
            .store(&self.question(0), &stored, deadline())
            .expect("stored");
    }

    fn decide(&self, process: &mut Cache, sequence: u64) -> Decision {
        process
            .decide(&self.question(sequence), deadline())
            .expect("a decision")
    }

    /// What is counted for an application.
    fn counted(&self, application: &str) -> u64 {
        let values = self
            .world
            .redis
            .ask(&format!("HVALS {}p:{application}", self.prefix));
        values
            .lines()
            .filter_map(|line| line.parse::<u64>().ok())
            .sum()
    }

    /// The number of scripts that ran since the last call.
    fn scripts(&self) -> u64 {
        let stats = self.world.redis.ask("INFO commandstats");
        self.world.redis.ask("CONFIG RESETSTAT");
        let calls = stats.lines().filter_map(|line| {
            let rest = line.strip_prefix("cmdstat_eval")?.split_once(":calls=")?.1;
            rest.split(',').next()?.parse::<u64>().ok()
        });
        calls.sum()
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed(_))
}

/// A request that arrives at Redis after later ones of its process, because it was sent again meanwhile, is not counted a
/// second time.
#[test]
fn a_late_original_is_not_counted_again() {
    let fixture = Fixture::new();
    let mut process = fixture.process("process");
    fixture.store(&mut process, "a", None);
    // 9 and 10 differ in length: they are compared as numbers.
    for (sequence, counted) in [(8, 1), (9, 2), (8, 2), (10, 3), (9, 3), (10, 3), (11, 4)] {
        assert!(is_allowed(&fixture.decide(&mut process, sequence)));
        assert_eq!(fixture.counted("a"), counted, "{sequence}");
    }
}

#[test]
fn only_the_first_request_of_a_process_takes_two_round_trips() {
    let fixture = Fixture::new();
    let mut processes = [fixture.process("first"), fixture.process("second")];
    fixture.store(&mut processes[0], "a", None);
    // Redis has the script from now on.
    assert!(is_allowed(&fixture.decide(&mut processes[0], 1)));
    fixture.scripts();
    for (process, sequence, scripts) in [(0, 2, 1), (1, 1, 2), (1, 2, 1), (0, 3, 1)] {
        assert!(is_allowed(
            &fixture.decide(&mut processes[process], sequence)
        ));
        assert_eq!(fixture.scripts(), scripts);
    }
    assert_eq!(fixture.counted("a"), 5);
}

/// For example, because 3scale names its id, which was not known before.
#[test]
fn a_credential_of_another_application_is_counted_there() {
    let fixture = Fixture::new();
    let (mut first, mut second) = (fixture.process("first"), fixture.process("second"));
    fixture.store(&mut first, "a", None);
    assert!(is_allowed(&fixture.decide(&mut first, 1)));
    fixture.store(&mut second, "b", None);
    assert!(is_allowed(&fixture.decide(&mut first, 2)));
    assert_eq!((fixture.counted("a"), fixture.counted("b")), (1, 1));
}

#[test]
fn a_credential_whose_record_has_expired_is_unknown() {
    let fixture = Fixture::new();
    let mut process = fixture.process("process");
    fixture.store(&mut process, "a", None);
    fixture
        .world
        .redis
        .ask(&format!("DEL {}c:c", fixture.prefix));
    assert_eq!(fixture.decide(&mut process, 1), Decision::Unknown);
    assert_eq!(fixture.counted("a"), 0);
}

#[test]
fn a_limit_includes_the_usage_that_is_being_reported() {
    let fixture = Fixture::new();
    let mut process = fixture.process("process");
    let prefix = &fixture.prefix;
    let now_s = fixture.world.clock.now_ms() / 1000;
    let redis = &fixture.world.redis;
    for batch in ["f:one:a", "g:two-1:a"] {
        redis.ask(&format!("HSET {prefix}{batch} {now_s}\x1fhits 4"));
        redis.ask(&format!("SADD {prefix}w:a {batch}"));
    }
    // It was reported meanwhile.
    redis.ask(&format!("SADD {prefix}w:a f:three:a"));
    fixture.store(&mut process, "a", Some(10));
    let remaining = |decision| match decision {
        Decision::Allowed(grant) => grant.remaining,
        _ => None,
    };
    assert_eq!(remaining(fixture.decide(&mut process, 1)), Some(1));
    assert_eq!(remaining(fixture.decide(&mut process, 2)), Some(0));
    assert!(!is_allowed(&fixture.decide(&mut process, 3)));
    assert_eq!(redis.ask(&format!("SCARD {prefix}w:a")).trim(), ":2");
}

/// The other credentials of the application, and the reporter, ask 3scale again.
#[test]
fn a_refusal_makes_the_record_of_the_application_uncertain() {
    let fixture = Fixture::new();
    let (mut first, mut second) = (fixture.process("first"), fixture.process("second"));
    fixture.store(&mut first, "a", None);
    let until_ms = fixture.world.clock.now_ms() + 10_000;
    let question = fixture.question(1);
    second
        .store_denial(&question, "user_key_invalid", until_ms, false, deadline())
        .expect("stored");
    let exists = |field| {
        let redis = &fixture.world.redis;
        redis
            .ask(&format!("HEXISTS {}a:a {field}", fixture.prefix))
            .trim()
            == ":1"
    };
    assert!(!exists("t") && exists("r"));
    let refused = fixture.decide(&mut first, 2);
    assert!(matches!(refused, Decision::Denied { .. }), "{refused:?}");
}

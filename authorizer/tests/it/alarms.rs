//! The alarms that `up` creates, evaluated on what real processes write and on what Lambda measures of them: each one fires in
//! the failure that it is for, and none fires without a failure.
//!
//! Each request of a run is the first one of a process, whose metrics are written at once. A minute of a run takes as long as its
//! requests.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use authorizer::clock::Clock;
use authorizer::log::now_ms;
use serde_json::{Value, json};

use crate::support::cloudwatch::CloudWatch;
use crate::support::gateway::{World, decide, environment, event};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::Fault;

const FUNCTION: &str = "threescale-gw-test-authorizer";
const REPORT: &str = r#"{"source":"aws.events"}"#;

/// The alarms of the stack `test`, as the tests of the CLI write them.
fn alarms() -> Vec<Value> {
    let snapshot = include_str!("snapshots/alarms.snap");
    let content = snapshot.splitn(3, "---\n").nth(2).expect("a snapshot");
    serde_json::from_str(content).expect("JSON")
}

/// A stack over some minutes.
struct Run {
    world: World,
    watch: CloudWatch,
    minute: i64,
    /// How many processes Lambda runs at the same time.
    concurrency: usize,
    patience: &'static [(&'static str, &'static str)],
    is_without_redis: bool,
}

/// Nothing times out only because the machine is busy.
const PATIENT: &[(&str, &str)] = &[
    ("THREESCALE_GW_REDIS_MS", "20000"),
    ("THREESCALE_GW_ANSWER_MS", "20000"),
    ("THREESCALE_GW_SSM_MS", "20000"),
];

impl Run {
    fn new(world: World) -> Self {
        Self {
            world,
            watch: CloudWatch::default(),
            minute: 0,
            concurrency: 10,
            patience: PATIENT,
            is_without_redis: false,
        }
    }

    /// The log and the result of one event in a new process, and how long it took.
    fn process(&self, role: &str, event: &str) -> (String, Answer, Duration) {
        let mut environment = environment(role, &self.world.ssm, &self.world.settings, None);
        let patience = self.patience.iter();
        environment.extend(patience.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let process = Process::start(&environment);
        process.api.wait_for_start();
        let started = Instant::now();
        let answer = process.api.invoke(event);
        let took = started.elapsed();
        (process.output(), answer, took)
    }

    /// Requests that arrive at the same moment.
    fn requests(&mut self, events: &[String]) {
        let at = self.minute * 60;
        let (run, throttled) = events.split_at(events.len().min(self.concurrency));
        let mut put = |metric: &str, value: f64| {
            self.watch.put_lambda(FUNCTION, metric, at, value);
        };
        for _ in throttled {
            put("Throttles", 1.0);
        }
        for event in run {
            let (log, answer, took) = self.process("authorizer", event);
            let is_error = matches!(answer, Answer::Error(_));
            let mut put = |metric: &str, value: f64| {
                self.watch.put_lambda(FUNCTION, metric, at, value);
            };
            put("Invocations", 1.0);
            put("Throttles", 0.0);
            put("Errors", f64::from(u8::from(is_error)));
            put("Duration", took.as_secs_f64() * 1000.0);
            self.watch.take_log(at, &log);
        }
    }

    fn report(&mut self) {
        let (log, _, _) = self.process("reporter", REPORT);
        self.watch.take_log(self.minute * 60, &log);
    }

    /// The alarms that fire at the end of this minute, or that have fired before.
    fn end_minute(&mut self, fired: &mut BTreeSet<String>) {
        self.minute += 1;
        let now = self.minute * 60;
        let fires = alarms()
            .into_iter()
            .filter(|alarm| self.watch.fires(alarm, now));
        fired.extend(fires.map(|alarm| alarm["name"].as_str().expect("a name").to_owned()));
    }

    fn stop_redis(&mut self) {
        if !std::mem::replace(&mut self.is_without_redis, true) {
            self.world.redis.stop();
        }
    }

    /// Minutes with the usual requests and reports.
    fn calm(&mut self, minutes: usize) {
        for _ in 0..minutes {
            self.requests(&usual());
            self.report();
            self.end_minute(&mut BTreeSet::new());
        }
    }

    /// Five minutes of calm, after which no alarm lacks data, and then these: returns the alarms that have fired in them.
    fn after_calm(
        &mut self,
        minutes: usize,
        mut minute: impl FnMut(&mut Self),
    ) -> BTreeSet<String> {
        let mut fired = BTreeSet::new();
        self.calm(5);
        for _ in 0..minutes {
            minute(self);
            self.end_minute(&mut fired);
        }
        fired
    }
}

/// Requests of a caller, of one with a wrong key, and of one without a key.
fn usual() -> Vec<String> {
    ["uk_free", "wrong", ""].map(|key| event(key, "/")).to_vec()
}

/// Requests that Redis has no answer for.
fn unknown(minute: i64) -> Vec<String> {
    vec![event(&format!("new-{minute}"), "/")]
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn calm() -> BTreeSet<String> {
    Run::new(World::with_clock(Clock::default())).after_calm(8, |run| {
        run.requests(&usual());
        run.report();
    })
}

fn threescale_is_away() -> BTreeSet<String> {
    let mut run = Run::new(World::with_clock(Clock::default()));
    run.after_calm(3, |run| {
        run.world.threescale.fail(Some(Fault::Close));
        let requests = unknown(run.minute);
        run.requests(&requests);
        run.report();
    })
}

fn redis_is_away() -> BTreeSet<String> {
    let mut run = Run::new(World::with_clock(Clock::default()));
    run.after_calm(7, |run| {
        run.stop_redis();
        run.requests(&usual());
        run.report();
    })
}

fn the_reporter_does_not_run() -> BTreeSet<String> {
    let mut run = Run::new(World::with_clock(Clock::default()));
    run.after_calm(7, |run| run.requests(&usual()))
}

fn nothing_can_count() -> BTreeSet<String> {
    let mut run = Run::new(World::with_clock(Clock::default()).with("caching", json!("allow")));
    run.after_calm(5, |run| {
        run.stop_redis();
        run.world.threescale.fail(Some(Fault::Close));
        run.requests(&[event("uk_free", "/")]);
    })
}

/// Usage that was counted this long ago, while 3scale cannot be reached.
fn usage_waits(hours: i64) -> BTreeSet<String> {
    let clock = Clock::standing(now_ms() - hours * 3_600_000);
    let mut run = Run::new(World::with_clock(clock));
    let mut authorizer = run.world.authorizer();
    let decided = decide(&mut authorizer, &event("uk_free", "/"));
    assert_eq!(decided.outcome.reason, "authorized");
    run.world.threescale.fail(Some(Fault::Close));
    let mut fired = BTreeSet::new();
    for _ in 0..5 {
        run.report();
        run.end_minute(&mut fired);
    }
    fired
}

fn threescale_is_slow() -> BTreeSet<String> {
    let mut run = Run::new(World::with_clock(Clock::default()));
    run.after_calm(3, |run| {
        run.patience = &[];
        run.world
            .threescale
            .fail(Some(Fault::Hang(Duration::from_secs(5))));
        let requests = unknown(run.minute);
        run.requests(&requests);
    })
}

fn lambda_runs_too_few() -> BTreeSet<String> {
    let mut run = Run::new(World::with_clock(Clock::default()));
    run.after_calm(3, |run| {
        run.concurrency = 1;
        run.requests(&usual());
        run.report();
    })
}

#[test]
fn each_alarm_fires_in_the_failure_that_it_is_for() {
    type Scenario = (
        &'static str,
        fn() -> BTreeSet<String>,
        &'static [&'static str],
    );
    let scenarios: [Scenario; 8] = [
        ("calm", calm, &[]),
        (
            "3scale is away",
            threescale_is_away,
            &["authorizer-errors", "decisions-degraded"],
        ),
        (
            "Redis is away",
            redis_is_away,
            &["decisions-degraded", "reporter-silent"],
        ),
        (
            "no reporter",
            the_reporter_does_not_run,
            &["reporter-silent"],
        ),
        (
            "nothing can count",
            nothing_can_count,
            &["decisions-degraded", "usage-lost"],
        ),
        ("usage waits", || usage_waits(2), &["report-lag"]),
        (
            "usage is too old",
            || usage_waits(25),
            &["report-lag", "usage-lost"],
        ),
        (
            "3scale is slow",
            threescale_is_slow,
            &[
                "authorizer-duration",
                "authorizer-errors",
                "decisions-degraded",
            ],
        ),
    ];
    let throttled: Scenario = (
        "too few processes",
        lambda_runs_too_few,
        &["authorizer-throttles"],
    );
    let mut needed: BTreeSet<String> = alarms()
        .iter()
        .map(|alarm| alarm["name"].as_str().unwrap().to_owned())
        .collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .into_iter()
            .chain([throttled])
            .map(|(what, run, expected)| (what, scope.spawn(run), expected))
            .collect();
        for (what, run, expected) in running {
            let fired = run.join().expect("the run ends");
            assert_eq!(fired, names(expected), "{what}");
            for name in expected {
                needed.remove(*name);
            }
        }
    });
    assert!(needed.is_empty(), "never fired: {needed:?}");
}

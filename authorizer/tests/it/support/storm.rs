//! Callers and a reporter, while 3scale and Redis fail in every way in which no count can get lost. In the end 3scale has
//! counted every request that was allowed, once.
//!
//! What the README says may be counted twice or not at all is left out: an answer of 3scale to a call that counts and that
//! is lost, and a Redis that ends in the middle of a request. `deaths.rs` is about those.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use authorizer::answer::Effect;
use authorizer::clients::Clients;
use authorizer::clock::Clock;
use authorizer::decide::Source;
use authorizer::http::RootCertificates;
use authorizer::reporter::Reporter;
use serde_json::json;

use super::eventually;
use super::forward::Forward;
use super::gateway::{Authorizer, World, decide, event};
use super::redis::Redis;
use super::threescale::{Fault, Limit, Period};
use super::tls::TlsProxy;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// 3scale answers 429.
    TooMany,
    /// A server in front of 3scale answers 413 to all but small reports.
    TooLarge,
    /// A server in front of 3scale answers 403 with HTML.
    Refusal,
    /// The same with 200.
    Welcome,
    /// The handshake with 3scale takes long.
    Far,
    /// The handshake does not end.
    Unreachable,
    /// 3scale does not listen.
    Dead,
    /// The cache fails over: the name that the clients use still names the old server, which is a replica now.
    Failover,
    /// The cache is restarted.
    Restart,
    /// The same while 3scale answers 429.
    RestartAndTooMany,
}

/// The numbers of a run, or of a part of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers {
    pub decisions: u64,
    pub allowed: u64,
    /// Allowed by 3scale without Redis, of the callers that use Redis.
    pub direct: u64,
    pub runs: u64,
    /// Runs of the reporter that ended early.
    pub stopped: u64,
    pub reports: u64,
    pub reported: u64,
    pub in_doubt: u64,
    /// What 3scale did not get.
    pub lost: u64,
}

impl Numbers {
    fn since(self, before: Self) -> Self {
        Self {
            decisions: self.decisions - before.decisions,
            allowed: self.allowed - before.allowed,
            direct: self.direct - before.direct,
            runs: self.runs - before.runs,
            stopped: self.stopped - before.stopped,
            reports: self.reports - before.reports,
            reported: self.reported - before.reported,
            in_doubt: self.in_doubt - before.in_doubt,
            lost: self.lost - before.lost,
        }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} decisions, {} allowed ({} without Redis), {} reported in {} reports, {} runs ({} stopped)",
            self.decisions,
            self.allowed,
            self.direct,
            self.reported,
            self.reports,
            self.runs,
            self.stopped
        )
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Sums {
    pub all: Numbers,
    /// What 3scale has counted.
    pub counted: u64,
}

/// How a run goes on.
pub struct Plan<'a> {
    pub troubles: &'a mut dyn Iterator<Item = Trouble>,
    /// Whether a part of the run is over, from its numbers so far and its beginning.
    pub over: &'a dyn Fn(Trouble, &Numbers, Instant) -> bool,
    /// After each part.
    pub told: &'a dyn Fn(Trouble, &Numbers),
    /// The pause of a caller after a decision, and of the reporter after a run.
    pub pace: (Duration, Duration),
}

const FRESH: usize = 150;

pub struct Storm {
    world: World,
    tls: TlsProxy,
    roots: RootCertificates,
    cache: Forward,
    second: Redis,
    on_second: bool,
}

impl Storm {
    pub fn new() -> Self {
        let mut world = World::with_redis(Clock::default(), Redis::start(&[]));
        let second = Redis::start(&[]);
        // Not as an option: after a restart it would be a replica again.
        second.ask(&format!("REPLICAOF 127.0.0.1 {}", world.redis.port));
        let cache = Forward::start(world.redis.port);
        world
            .ssm
            .put("cache-endpoint", &format!("redis://{}", cache.address));
        let tls = TlsProxy::start(world.threescale.address().port());
        world.settings["backend"] = json!(format!("https://localhost:{}", tls.address.port()));
        // So that 3scale is asked all the time.
        world.settings["max_age_s"] = json!(1);
        // Longer than anything but an unreachable 3scale takes, on a busy machine too.
        world.extra = ["ANSWER", "REDIS"]
            .map(|name| (format!("THREESCALE_GW_{name}_MS"), "5000".to_owned()))
            .to_vec();
        for n in 0..FRESH {
            world.threescale.add(&format!("fresh{n}"), &[]);
        }
        let limit = Limit::new("hits", Period::Minute, 500);
        world.threescale.add("limited", &[limit]);
        Self {
            roots: RootCertificates::read(&tls.ca_file).expect("roots"),
            world,
            tls,
            cache,
            second,
            on_second: false,
        }
    }

    fn begin(&mut self, trouble: Trouble) {
        let threescale = &self.world.threescale;
        match trouble {
            Trouble::None => {}
            Trouble::TooMany => threescale.fail(Some(Fault::Status(429, "slow down"))),
            Trouble::TooLarge => threescale.state().largest_allowed_body = Some(2_000),
            Trouble::Refusal => threescale.fail(Some(Fault::Status(403, "<html>no</html>"))),
            Trouble::Welcome => threescale.fail(Some(Fault::Status(200, "<html>hello</html>"))),
            Trouble::Far => self.tls.far(Duration::from_millis(300)),
            Trouble::Unreachable => self.tls.block(true),
            Trouble::Dead => threescale.stop(),
            Trouble::Failover => {
                let next = match self.on_second {
                    true => self.world.redis.port,
                    false => self.second.port,
                };
                eventually("the failover begins", || {
                    self.master()
                        .ask(&format!("FAILOVER TO 127.0.0.1 {next}"))
                        .starts_with("+OK")
                });
                self.on_second = !self.on_second;
                eventually("the other server is the master", || {
                    self.master().ask("ROLE").contains("master")
                });
            }
            Trouble::Restart => self.end_cache(),
            Trouble::RestartAndTooMany => {
                self.begin(Trouble::TooMany);
                self.end_cache();
            }
        }
    }

    fn end(&mut self, trouble: Trouble) {
        let threescale = &self.world.threescale;
        match trouble {
            Trouble::None => {}
            Trouble::TooMany | Trouble::Refusal | Trouble::Welcome => threescale.fail(None),
            Trouble::TooLarge => threescale.state().largest_allowed_body = None,
            Trouble::Far => self.tls.far(Duration::ZERO),
            Trouble::Unreachable => self.tls.block(false),
            Trouble::Dead => threescale.restart().expect("the same port"),
            Trouble::Failover => self.cache.point_to(self.master().port),
            Trouble::Restart => self.master_mut().restart(),
            Trouble::RestartAndTooMany => {
                self.master_mut().restart();
                self.end(Trouble::TooMany);
            }
        }
    }

    /// Ends the cache as a maintenance does: no command is carried out whose answer is lost.
    fn end_cache(&mut self) {
        let master = self.master_mut();
        eventually("the data is in the file", || {
            let info = master.ask("INFO persistence");
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
        });
        assert!(master.ask("CLIENT PAUSE 60000 WRITE").starts_with("+OK"));
        // The answers of everything that was carried out before are sent before this one.
        master.ask("PING");
        master.stop();
    }

    fn master(&self) -> &Redis {
        match self.on_second {
            true => &self.second,
            false => &self.world.redis,
        }
    }

    fn master_mut(&mut self) -> &mut Redis {
        match self.on_second {
            true => &mut self.second,
            false => &mut self.world.redis,
        }
    }

    /// Calls until the troubles are over, and reports everything.
    pub fn run(mut self, plan: Plan<'_>) -> Sums {
        let numbers = Mutex::new(Numbers::default());
        let over = AtomicBool::new(false);
        let settings: Vec<_> = ["strict", "resilient", "strict", "none"]
            .into_iter()
            .map(|mode| {
                self.world.settings["caching"] = json!(mode);
                (mode != "none", self.world.read_settings("authorizer"))
            })
            .collect();
        // It has ten times as long for Redis, and its leases are as much longer.
        self.world.extra.retain(|(name, _)| !name.contains("REDIS"));
        let reporter = self.world.read_settings("reporter");
        let (roots, clock) = (self.roots.clone(), self.world.clock.clone());
        let number = AtomicU64::new(0);
        let mut clients = Clients::new(reporter.clone(), Some(&roots), clock.clone());
        let mut reporter = Reporter::new(&reporter);
        std::thread::scope(|scope| {
            for (cached, settings) in settings {
                let (numbers, over, number, clock) = (&numbers, &over, &number, clock.clone());
                let mut authorizer = Authorizer::new(settings, Some(&roots), clock);
                scope.spawn(move || {
                    authorizer.clients.warm_up();
                    while !over.load(Ordering::SeqCst) {
                        let n = number.fetch_add(1, Ordering::SeqCst);
                        let decided = decide(&mut authorizer, &event(&key(n), "/"));
                        let mut numbers = numbers.lock().unwrap();
                        numbers.decisions += 1;
                        if decided.outcome.effect == Effect::Allow {
                            numbers.allowed += 1;
                            let direct = cached && decided.source == Source::Direct;
                            numbers.direct += u64::from(direct);
                        }
                        drop(numbers);
                        std::thread::sleep(plan.pace.0);
                    }
                });
            }
            let (numbers, over) = (&numbers, &over);
            let (clients, reporter) = (&mut clients, &mut reporter);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    report(reporter, clients, numbers);
                    std::thread::sleep(plan.pace.1);
                }
            });
            let end = End(over);
            for trouble in plan.troubles {
                let before = *numbers.lock().unwrap();
                let started = Instant::now();
                self.begin(trouble);
                let so_far = || numbers.lock().unwrap().since(before);
                while !(plan.over)(trouble, &so_far(), started) {
                    let numbers = so_far();
                    assert!(
                        started.elapsed() < Duration::from_secs(120),
                        "{trouble:?} does not end: {numbers}"
                    );
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.end(trouble);
                (plan.told)(trouble, &so_far());
            }
            drop(end);
        });
        eventually("everything is reported", || {
            // A run that lost Redis could not give its batch back.
            end_leases(self.master());
            report(&mut reporter, &mut clients, &numbers)
                && self.master().ask("KEYS *}:[pfb]:*").trim() == "*0"
        });
        let all = *numbers.lock().unwrap();
        let state = self.world.threescale.state();
        assert_eq!(state.lost_batches, [""; 0]);
        Sums {
            all,
            counted: state.totals.values().sum(),
        }
    }
}

/// Ends all leases, as if their time were over.
pub fn end_leases(redis: &Redis) {
    let keys = redis.ask("KEYS *}:batches*");
    let Some(key) = keys.lines().nth(2) else {
        return;
    };
    let all = redis.ask(&format!("ZRANGE {key} 0 -1"));
    for batch in all.lines().skip(2).step_by(2) {
        redis.ask(&format!("ZADD {} 0 {}", key.trim(), batch.trim()));
    }
}

/// Ends the threads, also if the run has failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The credential of a request: a few that come again and again, and many that come rarely.
fn key(n: u64) -> String {
    match n % 4 {
        0 => "uk_free".to_owned(),
        1 => "uk_limited".to_owned(),
        2 => "no-such-key".to_owned(),
        _ => format!("uk_fresh{}", n / 4 % FRESH as u64),
    }
}

/// One run of the reporter. Returns whether nothing is left.
fn report(reporter: &mut Reporter, clients: &mut Clients, numbers: &Mutex<Numbers>) -> bool {
    let summary = reporter.run(clients, Instant::now() + Duration::from_secs(30));
    let mut numbers = numbers.lock().unwrap();
    numbers.runs += 1;
    numbers.stopped += u64::from(summary.stopped.is_some());
    numbers.reports += summary.reports;
    numbers.reported += summary.delivered;
    numbers.in_doubt += summary.in_doubt;
    numbers.lost += summary.put_aside + summary.undeliverable;
    summary.stopped.is_none()
}

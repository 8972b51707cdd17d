//! The real binary under a Lambda Runtime API on loopback, with Redis and everything else on the same core.
//!
//! `cargo bench -p authorizer` prints one table. The floor of the same run is the least possible runtime: take an
//! event, one Redis GET, answer. All times are from the last byte of the event to the last byte of the answer.
//!
//! `OTHER` is the path of another `bootstrap` that is measured in the same run, in turns with this one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports to a terminal"
)]
#![expect(
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "figures for people"
)]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the tests' harness has more than a bench needs")]
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use authorizer::backend::{Answer, Backend, Call};
use authorizer::clock::Clock;
use authorizer::credentials::Credential;
use authorizer::mapping::Rules;
use authorizer::settings::RuleSettings;
use support::gateway::{self, World};
use support::redis::{Redis, reserve_port};
use support::threescale::{Limit, Period};

/// The binary of this build.
const THIS: &str = env!("CARGO_BIN_EXE_bootstrap");

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--floor") => floor(&arguments[2]),
        Some("--inner") => measure(),
        _ => {
            // Everything runs on one core, so that no figure hides work on another one.
            let this = std::env::current_exe().unwrap();
            let pinned = Command::new("taskset")
                .args(["-c", "0"])
                .arg(&this)
                .arg("--inner")
                .status();
            assert!(
                pinned.is_ok_and(|status| status.success()),
                "the bench failed (it needs taskset of util-linux)"
            );
        }
    }
}

fn measure() {
    let rounds = 20_000;
    // In memory, as a cache runs.
    let world = World::with_redis(Clock::default(), Redis::start(&["--appendonly", "no"]));
    let floor = {
        let mut driver = Driver::start(
            &std::env::current_exe().unwrap(),
            &["--floor", &world.redis.port.to_string()],
            &[],
        );
        driver.warm_up(&gateway::event("uk_free", "/orders"));
        driver.run(rounds, |_| gateway::event("uk_free", "/orders"))
    };
    println!("floor                       {floor}");

    let environment = gateway::environment("authorizer", &world.ssm, &world.settings, None);
    world.threescale.add(
        "limited",
        &[
            Limit::new("hits", Period::Day, 1 << 40),
            Limit::new("hits", Period::Minute, 1 << 40),
        ],
    );
    for n in 0..MISSED {
        world.threescale.add(&format!("miss{n}"), &[]);
    }
    let programs = programs();
    let mut drivers: Vec<Driver> = programs
        .iter()
        .map(|program| Driver::start(program, &[], &environment))
        .collect();
    let cpu = |drivers: &[Driver]| drivers.iter().map(Driver::cpu).collect::<Vec<_>>();

    let in_turns = |drivers: &mut Vec<Driver>, key: &str| {
        let event = gateway::event(key, "/orders");
        for driver in drivers.iter_mut() {
            driver.warm_up(&event);
        }
        let before = cpu(drivers);
        let figures = turns(drivers, rounds, |driver, _| driver.exchange(&event));
        let cpu = cpu(drivers).into_iter().zip(before);
        let cpu: Vec<f64> = cpu.map(|(after, before)| after - before).collect();
        (figures, cpu)
    };
    let (free, free_cpu) = in_turns(&mut drivers, "uk_free");
    let resident: Vec<f64> = drivers.iter().map(Driver::resident).collect();
    let (limited, _) = in_turns(&mut drivers, "uk_limited");
    let (refused, _) = in_turns(&mut drivers, "no-such-key");
    let own = threescale_alone(&world, MISSES, true);
    let kept = threescale_alone(&world, MISSES, false);
    let miss = turns(&mut drivers, MISSES, |driver, n| {
        if n % MISSED == 0 {
            world.redis.ask("FLUSHALL");
        }
        driver.exchange(&gateway::event(
            &format!("uk_miss{}", n % MISSED),
            "/orders",
        ))
    });
    for (at, program) in programs.iter().enumerate() {
        if programs.len() > 1 {
            println!("\n{}", program.display());
        }
        println!(
            "start to first answer       {}   (at most 15 ms)",
            first_answer(program, &environment)
        );
        println!(
            "cache hit                   {}   ({:.2} x floor, at most 3; p99 at most 150 us)",
            free[at],
            free[at].p50 / floor.p50
        );
        println!(
            "CPU per 1000 hits           {:.4} s   (at most 0.04 s)",
            free_cpu[at] / rounds as f64 * 1000.0
        );
        println!("cache hit, two limits       {}", limited[at]);
        println!("refusal from the cache      {}", refused[at]);
        println!(
            "miss                        {}; 3scale's own time p50 {own:.1} us ({kept:.1} us on an open connection): {:.1} us on top, {:.1} x floor   (at most 150 us)",
            miss[at],
            miss[at].p50 - own,
            (miss[at].p50 - own) / floor.p50
        );
        println!(
            "resident                    {:.1} MB   (at most 15 MB)",
            resident[at]
        );
        size(program);
    }

    println!();
    rules();
    client_alone(&world);
    drivers.truncate(1);
    calls(&world, &mut drivers[0]);
    drop(drivers);
    tls(&world, rounds);
}

/// The binaries that are measured: this one, and the one in `OTHER`.
fn programs() -> Vec<PathBuf> {
    let other = std::env::var_os("OTHER").map(PathBuf::from);
    [PathBuf::from(THIS)].into_iter().chain(other).collect()
}

/// Each process in turn, a short time each, so that all of them have the same machine.
fn turns(
    drivers: &mut [Driver],
    rounds: usize,
    mut exchange: impl FnMut(&mut Driver, usize) -> Duration,
) -> Vec<Figures> {
    const TURN: usize = 10 * MISSED;
    let mut times = vec![Vec::with_capacity(rounds); drivers.len()];
    for first in (0..rounds).step_by(TURN) {
        for (driver, times) in drivers.iter_mut().zip(&mut times) {
            times.extend((first..first + TURN).map(|n| exchange(driver, n)));
        }
    }
    times.into_iter().map(Figures::new).collect()
}

/// One of two thousand mapping rules: compiling all, and the match of a request.
fn rules() {
    let text = gateway::many_rules().to_string();
    let settings: Vec<RuleSettings> = serde_json::from_str(&text).unwrap();
    let started = Instant::now();
    let rules = Rules::new(&settings);
    let compiled = started.elapsed();
    let none: [(&str, &str); 0] = [];
    let rounds = 200_000;
    let paths: Vec<_> = (0..100)
        .map(|number| gateway::one_of_many(number * 19, "a1b2c3d4-0000"))
        .collect();
    let started = Instant::now();
    for path in paths.iter().cycle().take(rounds) {
        assert_eq!(rules.usage("GET", path, &none).0.len(), 1);
    }
    println!(
        "one of 2000 rules           {:.2} us   (at most 10 us); all compiled in {:.1} ms",
        started.elapsed().as_secs_f64() * 1e6 / rounds as f64,
        compiled.as_secs_f64() * 1e3
    );
}

/// The calls of 3scale for requests of a hundred applications, allowed and refused.
fn calls(world: &World, driver: &mut Driver) {
    for n in 0..100 {
        world.threescale.add(&format!("many{n}"), &[]);
        world
            .threescale
            .add(&format!("full{n}"), &[Limit::new("hits", Period::Day, 0)]);
    }
    let requests = 200_000;
    let all = || world.threescale.calls("authorize") + world.threescale.calls("authrep");
    let before = all();
    driver.run(requests, |n| {
        gateway::event(&format!("uk_many{}", n % 100), "/orders")
    });
    println!(
        "3scale calls                {:.2} per 1000 allowed   (at most 1)",
        (all() - before) as f64 / requests as f64 * 1000.0
    );
    let before = all();
    driver.run(requests / 4, |n| {
        gateway::event(&format!("uk_full{}", n % 100), "/orders")
    });
    println!(
        "                            {:.2} per 1000 refused by a limit   (at most 10)",
        (all() - before) as f64 / requests as f64 * 4000.0
    );
    let before = all();
    driver.run(requests / 4, |n| {
        gateway::event(&format!("bad_key_{}", n % 100), "/orders")
    });
    println!(
        "                            {:.2} per 1000 of 100 unknown keys   (at most 10)",
        (all() - before) as f64 / requests as f64 * 4000.0
    );
}

/// Few applications, because the stand-in searches all of them: a miss would include that time with cold CPU caches,
/// while a tight loop would not.
const MISSED: usize = 20;
const MISSES: usize = 2_000;

/// The time of a call of 3scale with our client.
fn client_alone(world: &World) {
    let backend = Backend::new(
        authorizer::http::agent(None),
        &world.threescale.url(),
        "1001",
    );
    let usage = [("hits", 1)];
    let times = (0..2_000).map(|_| {
        let started = Instant::now();
        let key = Credential::UserKey("uk_free".to_owned());
        let answer = backend.ask(
            Call::Authorize,
            "st_1001",
            &key,
            usage.into_iter(),
            Duration::from_secs(1),
        );
        assert!(matches!(answer, Answer::Authorized(..)));
        started.elapsed()
    });
    println!(
        "one call of 3scale          {}",
        Figures::new(times.collect())
    );
}

/// The time of the same call of the stand-in through a plain socket: on one connection, and with a new connection for each
/// call, as the authorizer opens it to a server that is near.
fn threescale_alone(world: &World, rounds: usize, opens: bool) -> f64 {
    let connect = || {
        let stream = TcpStream::connect(world.threescale.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    let mut stream = connect();
    let mut times = Vec::new();
    let mut chunk = [0_u8; 16384];
    for n in 0..rounds {
        let request = format!(
            "GET /transactions/authorize.xml?service_token=st_1001&service_id=1001&user_key=uk_miss{}&usage%5Bhits%5D=1 HTTP/1.1\r\n\
             Host: x\r\n3scale-options: rejection_reason_header=1&limit_headers=1&hierarchy=1&list_app_keys=1\r\n\r\n",
            n % MISSED
        );
        let started = Instant::now();
        if opens {
            stream = connect();
        }
        stream.write_all(request.as_bytes()).unwrap();
        let read = stream.read(&mut chunk).unwrap();
        assert!(chunk[..read].ends_with(b"</status>"));
        times.push(started.elapsed());
    }
    Figures::new(times).p50
}

/// A Redis server with TLS, if it was built with it.
fn tls(world: &World, rounds: usize) {
    let directory = tempfile::TempDir::new().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = file("cert.pem", certified.cert.pem());
    let key = file("key.pem", certified.signing_key.serialize_pem());
    let (port, _reserved) = reserve_port().unwrap();
    let redis = std::panic::catch_unwind(|| {
        Redis::start(&[
            "--appendonly",
            "no",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &certificate,
            "--tls-auth-clients",
            "no",
        ])
    });
    let Ok(_redis) = redis else {
        println!("over TLS                    this Redis has none");
        return;
    };
    world
        .ssm
        .put("cache-endpoint", &format!("rediss://localhost:{port}"));
    let environment = gateway::environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        Some(Path::new(&certificate)),
    );
    println!(
        "start over TLS              {}",
        first_answer(Path::new(THIS), &environment)
    );
    let mut driver = Driver::start(Path::new(THIS), &[], &environment);
    driver.warm_up(&gateway::event("uk_free", "/orders"));
    let hit = driver.run(rounds, |_| gateway::event("uk_free", "/orders"));
    println!(
        "cache hit over TLS          {hit}; resident {:.1} MB",
        driver.resident()
    );
}

/// From the start of the process to the answer to its first event.
fn first_answer(program: &Path, environment: &[(String, String)]) -> String {
    let mut starts: Vec<_> = (0..20)
        .map(|_| {
            let started = Instant::now();
            let mut driver = Driver::start(program, &[], environment);
            driver.exchange(&gateway::event("uk_free", "/orders"));
            started.elapsed()
        })
        .collect();
    starts.sort();
    format!(
        "p50 {:.1} ms, worst of 20 {:.1} ms",
        ms(starts[10]),
        ms(starts[19])
    )
}

fn size(program: &Path) {
    let zip = Command::new("sh")
        .args(["-c", "gzip -9 < \"$0\" | wc -c"])
        .arg(program)
        .output()
        .unwrap();
    let zip: f64 = String::from_utf8_lossy(&zip.stdout).trim().parse().unwrap();
    let plain = std::fs::metadata(program).unwrap().len() as f64;
    println!(
        "binary                      {:.2} MB, compressed {:.2} MB   (at most 3 MB)",
        plain / 1e6,
        zip / 1e6
    );
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

struct Figures {
    least: f64,
    p50: f64,
    p99: f64,
}

impl Figures {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
        Self {
            least: at(0),
            p50: at(50),
            p99: at(99),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {:.1} us, p99 {:.1} us, least {:.1} us",
            self.p50, self.p99, self.least
        )
    }
}

/// A Runtime API with one process, in one thread.
struct Driver {
    child: Child,
    stream: TcpStream,
    input: Vec<u8>,
}

impl Driver {
    fn start(program: &Path, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                listener.local_addr().unwrap().to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut driver = Self {
            child,
            stream,
            input: Vec::new(),
        };
        driver.request();
        driver
    }

    /// Reads one request: head and body.
    fn request(&mut self) {
        self.input.clear();
        let mut chunk = [0_u8; 8192];
        loop {
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the process is gone");
            self.input.extend_from_slice(&chunk[..read]);
            if let Some(head) = find(&self.input, b"\r\n\r\n") {
                let length = content_length(&self.input[..head]);
                if self.input.len() == head + 4 + length {
                    return;
                }
            }
        }
    }

    /// One invocation, which the process has requested already.
    fn exchange(&mut self, event: &str) -> Duration {
        let message = format!(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
             Lambda-Runtime-Deadline-Ms: {}\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:x\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
            authorizer::log::now_ms() + 10_000,
            event.len()
        );
        let started = Instant::now();
        self.stream.write_all(message.as_bytes()).unwrap();
        self.request();
        let time = started.elapsed();
        assert!(
            find(&self.input, b"/response HTTP").is_some(),
            "{}",
            String::from_utf8_lossy(&self.input)
        );
        self.stream
            .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        self.request();
        time
    }

    fn warm_up(&mut self, event: &str) {
        for _ in 0..2_000 {
            self.exchange(event);
        }
    }

    fn run(&mut self, rounds: usize, event: impl Fn(usize) -> String) -> Figures {
        Figures::new((0..rounds).map(|n| self.exchange(&event(n))).collect())
    }

    /// The CPU seconds of the process so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap();
        stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
    }

    fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1024.0
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(input: &[u8], what: &[u8]) -> Option<usize> {
    input.windows(what.len()).position(|window| window == what)
}

fn content_length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    text.lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap())
}

/// The least possible runtime.
fn floor(port: &str) {
    let mut api = TcpStream::connect(std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap()).unwrap();
    let mut redis = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    api.set_nodelay(true).unwrap();
    redis.set_nodelay(true).unwrap();
    let mut input = vec![0_u8; 16384];
    let mut answer = vec![0_u8; 4096];
    loop {
        api.write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut have = 0;
        loop {
            match api.read(&mut input[have..]) {
                Ok(0) | Err(_) => return,
                Ok(read) => have += read,
            }
            if let Some(head) = find(&input[..have], b"\r\n\r\n")
                && have == head + 4 + content_length(&input[..head])
            {
                break;
            }
        }
        redis
            .write_all(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
            .unwrap();
        assert!(redis.read(&mut answer).unwrap() > 0);
        let body = r#"{"principalId":"x","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"}]}}"#;
        let reply = format!(
            "POST /2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        api.write_all(reply.as_bytes()).unwrap();
        assert!(api.read(&mut answer).unwrap() > 0);
    }
}

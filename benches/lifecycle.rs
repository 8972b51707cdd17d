//! Measures requests, duration and memory over the life of a stack, against the test AWS.
//!
//! `cargo bench --profile dev --bench lifecycle` prints a table. No emulator reproduces the durations of AWS. This
//! benchmark measures the program itself and the time it adds to the waiting times.

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{TestAws, Workplace};

const RUNS: usize = 5;

/// The measurements of one run of the binary.
#[derive(Debug, Clone, Copy)]
struct Sample {
    requests: u64,
    seconds: f64,
    /// With the pages of the program file, of which an unoptimized one has many.
    peak_mib: f64,
    /// What the program allocates.
    own_mib: f64,
}

fn measure(aws: &TestAws, workplace: &Workplace, arguments: &[&str]) -> Sample {
    aws.check_log();
    let began = Instant::now();
    let mut child = workplace.start(arguments);
    let status = format!("/proc/{}/status", child.id());
    let (mut peak_kib, mut own_kib) = (0.0f64, 0.0f64);
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("a status") {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            kib.unwrap_or_default()
        };
        peak_kib = peak_kib.max(kib("VmHWM:"));
        own_kib = own_kib.max(kib("RssAnon:"));
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = began.elapsed().as_secs_f64();
    assert!(ended.success(), "{arguments:?}");
    let requests = aws.get("stats")["requests"].as_u64().expect("a number");
    Sample {
        requests,
        seconds,
        peak_mib: peak_kib / 1024.0,
        own_mib: own_kib / 1024.0,
    }
}

fn row(what: &str, goal: &str, mut samples: Vec<Sample>) {
    samples.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let (min, median, max) = (
        samples[0],
        samples[samples.len() / 2],
        samples[samples.len() - 1],
    );
    let most = |of: fn(&Sample) -> f64| samples.iter().map(of).fold(0.0, f64::max);
    let (peak, own) = (
        most(|sample| sample.peak_mib),
        most(|sample| sample.own_mib),
    );
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!(
            "{what:<34} {:>4} requests  {:>6.2} s ({:.2} to {:.2})  {peak:>5.1} MiB, {own:>4.1} allocated   {goal}",
            median.requests, median.seconds, min.seconds, max.seconds
        );
    }
}

/// Empties the account except for this API, at the rate of control calls that API Gateway allows an account.
fn at_quota(aws: &TestAws, api: &Value) {
    aws.check_log();
    aws.post("reset", &json!({}));
    aws.post("seed", &json!({ "api": api }));
    let rate = json!({"per_second": 10, "burst": 40});
    aws.post("config", &json!({ "apigateway_rate": rate }));
}

fn main() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let (mut fresh, mut again, mut plan, mut down) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        fresh.push(measure(&aws, &workplace, &["up", "--yes"]));
        again.push(measure(&aws, &workplace, &["up", "--yes"]));
        plan.push(measure(&aws, &workplace, &["plan"]));
        down.push(measure(&aws, &workplace, &["down", "--yes"]));
    }
    row(
        "up, fresh, instant transitions",
        "at most 2.2 s; 60 MiB if optimized",
        fresh,
    );
    row("up, converged", "at most 41 requests", again);
    row("plan, converged", "at most 0.15 s", plan);
    row("down, instant transitions", "at most 2.0 s", down);

    // VPC, then subnets, then cache, NAT gateway and functions with their first versions in parallel: three transitions in
    // sequence.
    aws.post("config", &json!({"delay": 10}));
    let slow = measure(&aws, &workplace, &["up", "--yes"]);
    row(
        "up, every transition 10 s",
        "at most 32 s: 1.07 times the longest chain of 30 s",
        vec![slow],
    );
    let slow = measure(&aws, &workplace, &["down", "--yes"]);
    row("down, every transition 10 s", "", vec![slow]);

    let workplace = workplace.distant(&aws);
    // One method for each resource that an API can have.
    let methods: Vec<_> = (0..300)
        .map(|n| json!({"method": "GET", "path": format!("/orders-{n:03}")}))
        .collect();
    at_quota(
        &aws,
        &json!({"name": "orders-api", "stage": "prod", "methods": methods}),
    );
    let attached = measure(&aws, &workplace, &["up", "--yes", "--no-verify"]);
    row(
        "up, fresh, 300 methods",
        "at most 40 s at 10 calls a second",
        vec![attached],
    );
    let verified = measure(&aws, &workplace, &["up", "--yes"]);
    row("up, verifies 300 methods", "", vec![verified]);
    let again = measure(&aws, &workplace, &["up", "--yes"]);
    row("up, converged, 300 methods", "", vec![again]);

    // An HTTP API whose stage deploys automatically: at least one call for each route.
    let routes: Vec<_> = (0..120)
        .map(|n| json!({"key": format!("GET /orders-{n:03}")}))
        .collect();
    let stages = json!([{"name": "prod", "auto_deploy": true}]);
    at_quota(
        &aws,
        &json!({"protocol": "HTTP", "name": "orders-api", "routes": routes, "stages": stages}),
    );
    let attached = measure(&aws, &workplace, &["up", "--yes", "--no-verify"]);
    row(
        "up, fresh, HTTP API, 120 routes",
        "at most 32 s at 10 calls a second: 20 s more than the routes need",
        vec![attached],
    );
    let verified = measure(&aws, &workplace, &["up", "--yes"]);
    row("up, verifies 120 routes", "", vec![verified]);
    let again = measure(&aws, &workplace, &["up", "--yes"]);
    row("up, converged, 120 routes", "", vec![again]);
    let down = measure(&aws, &workplace, &["down", "--yes"]);
    row("down, 120 routes", "", vec![down]);
}

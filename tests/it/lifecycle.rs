//! The life cycle of a stack: created, unchanged by a second run, visible in `status`, and deleted without a trace.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;

use crate::support::{Run, TestAws, Workplace, assert_same, eventually, http_api};
use serde_json::json;

#[test]
fn up_then_nothing_to_do_then_down_without_a_trace() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);

    let up = workplace.succeed(&["up", "--yes"]);
    assert!(
        up.stdout
            .contains("redis_endpoint  master.threescale-gw-orders-cache"),
        "{}",
        up.stdout
    );
    assert!(
        up.stdout
            .contains(&format!("{}/_aws/execute-api/", aws.url())),
        "{}",
        up.stdout
    );
    aws.check_log();

    let again = workplace.succeed(&["up", "--yes"]);
    assert!(
        again.stderr.contains("No changes: all 30 resources"),
        "{}",
        again.stderr
    );
    let stats = aws.get("stats");
    assert_eq!(stats["mutating"], 0);
    // One of them asks whether an HTTP API has the name, too.
    assert!(
        stats["requests"].as_u64().is_some_and(|n| n <= 41),
        "{stats}"
    );

    let down = workplace.succeed(&["down", "--yes", "--stack", "orders"]);
    assert!(down.stderr.contains("done: 30 deleted"), "{}", down.stderr);
    assert_same(&before, &aws.account());

    let nothing = workplace.succeed(&["down", "--yes", "--stack", "orders"]);
    assert!(nothing.stderr.contains("No changes"), "{}", nothing.stderr);
}

#[test]
fn everything_taggable_carries_its_tags_from_the_first_call() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    workplace.succeed(&["up", "--yes"]);
    let operations = aws.changes();
    for retagging in ["CreateTags", "AddTagsToResource", "TagResource", "TagRole"] {
        assert!(
            !operations.iter().any(|operation| operation == retagging),
            "{operations:?}"
        );
    }
    let account = aws.account();
    for list in [
        "vpcs",
        "subnets",
        "addresses",
        "nat_gateways",
        "route_tables",
        "security_groups",
        "functions",
        "roles",
    ] {
        let ours: Vec<_> = account[list]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|item| item["tags"]["threescale-gw:stack"] == "orders")
            .collect();
        assert!(!ours.is_empty(), "{list}");
        for item in ours {
            assert_eq!(item["tags"]["team"], "payments", "{item}");
            let name = item["tags"]["Name"].as_str().unwrap_or_default();
            assert!(name.starts_with("threescale-gw-orders-"), "{item}");
        }
    }
}

#[test]
fn json_lines_name_every_resource_and_end_with_the_summary() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let lines = workplace.succeed(&["up", "--yes", "-o", "json"]).lines();
    for line in &lines {
        assert!(line["event"].is_string(), "{line}");
    }
    let finished: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "finished")
        .collect();
    assert_eq!(finished.len(), 30);
    for line in finished {
        assert_eq!(line["action"], "create", "{line}");
        assert!(
            line["physical_id"]
                .as_str()
                .is_some_and(|id| !id.is_empty()),
            "{line}"
        );
    }
    let last = lines.last().expect("a summary");
    assert_eq!(
        (&last["event"], &last["outcome"], &last["created"]),
        (&json!("summary"), &json!("done"), &json!(30))
    );
}

#[test]
fn transitions_are_waited_for_and_interfaces_reaped() {
    let aws = TestAws::seeded();
    aws.post(
        "config",
        &json!({"delay": 1, "eni_linger": 2, "role_delay": 1, "page_size": 2}),
    );
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let up = workplace.succeed(&["up", "--yes"]);
    assert!(
        up.stderr.contains("waiting cache/main: creating"),
        "{}",
        up.stderr
    );
    assert!(
        up.stderr.contains("waiting nat-gateway/a: pending"),
        "{}",
        up.stderr
    );
    let again = workplace.succeed(&["up", "--yes"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);
    let down = workplace.succeed(&["down", "--yes"]);
    assert!(
        down.stderr.contains("that Lambda has not released"),
        "{}",
        down.stderr
    );
    assert_same(&before, &aws.account());
}

/// Source: API Gateway quotas: 10 requests a second with a burst of 40, for all control plane requests of an account.
#[test]
fn no_call_exceeds_the_quota_of_api_gateway() {
    let rest = TestAws::seeded();
    let workplace = Workplace::new(&rest);
    stays_below_quota(&rest, &workplace.distant(&rest), 20);
    let mut api = http_api::rich("prod", true);
    api["stages"] = json!([{"name": "prod", "auto_deploy": true}, {"name": "dev"}]);
    let http = http_api::account(&api);
    let workplace = http_api::workplace(&http, "[prod, dev]");
    // More than the burst: the others have to wait.
    stays_below_quota(&http, &workplace.distant(&http), 60);
}

fn stays_below_quota(aws: &TestAws, workplace: &Workplace, at_least: usize) {
    let quota = json!({"per_second": 10, "burst": 40});
    aws.post("config", &json!({"apigateway_rate": quota}));
    for arguments in [["up", "--yes"], ["down", "--yes"]] {
        workplace.succeed(&arguments);
        let log = aws.log();
        let services = ["apigateway", "apigatewayv2"].map(|name| json!(name));
        let calls = log
            .iter()
            .filter(|entry| services.contains(&entry["service"]));
        assert!(calls.count() > at_least, "{arguments:?}");
        let throttled = log.iter().filter(|entry| entry["status"] == 429);
        assert_eq!(throttled.count(), 0, "{arguments:?}");
        // The token bucket is full again before the next run.
        aws.post("advance", &json!({"seconds": 10}));
        aws.check_log();
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let mut shown = String::new();
    for arguments in [
        &["plan"][..],
        &["up", "--yes", "-v"],
        &["up", "--yes", "-o", "json"],
        &["status", "-o", "json"],
        &["plan", "-o", "json"],
        &["down", "--yes", "-o", "json"],
    ] {
        let run = workplace.succeed(arguments);
        shown.push_str(&run.stdout);
        shown.push_str(&run.stderr);
    }
    assert!(!shown.contains("the-service-token"));
    assert!(!shown.contains("not-a-secret-of-anybody"));
}

#[test]
fn a_proxy_is_used_for_aws_and_not_for_an_emulator() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    proxy.set_nonblocking(true).expect("no waiting");
    let address = format!("http://{}", proxy.local_addr().expect("its address"));
    let command = |arguments: &[&str]| {
        let mut command = workplace.command(arguments);
        command.env("HTTPS_PROXY", &address);
        command.env("HTTP_PROXY", &address);
        command
    };
    // The proxy never responds. The requests of `up` and the requests that verify the API do not use it.
    let up = command(&["up", "--yes"]).output().expect("it runs");
    let up = Run::of(up);
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    assert!(up.stderr.contains("verified: "), "{}", up.stderr);

    let mut child = command(&["unlock", "--stack", "orders"])
        .env_remove("AWS_ENDPOINT_URL")
        .spawn()
        .expect("it starts");
    let (stream, _) = eventually("a connection", || proxy.accept().ok());
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    read.expect("a request");
    assert_eq!(line, "CONNECT sts.us-east-1.amazonaws.com:443 HTTP/1.1\r\n");
    child.kill().expect("it runs still");
    child.wait().expect("it ends");
}

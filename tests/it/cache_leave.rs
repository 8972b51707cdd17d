//! A stack leaves a cache, because it is replaced or because another one is configured: the reporter delivers the counted
//! usage before.

use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace};
use serde_json::{Value, json};

const OWN: &str = "{url: \"redis://mine:6379\"}";

fn workplace(aws: &TestAws, lines: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit("authorizer:", &format!("{lines}\nauthorizer:"));
    here
}

/// An account with a deployed stack that has these lines in its configuration, and a cleared log.
fn stand(lines: &str) -> (TestAws, Workplace) {
    let aws = TestAws::state(&format!("a stack with {lines}"), || {
        let aws = TestAws::seeded();
        workplace(&aws, lines).succeed(&["up", "--yes"]);
        aws
    });
    let here = workplace(&aws, lines);
    (aws, here)
}

/// The position of the first logged call with this operation and this text in its parameters.
#[track_caller]
fn position(log: &[Value], operation: &str, text: &str) -> usize {
    let is_it = |entry: &Value| {
        entry["operation"] == operation && entry["parameters"].to_string().contains(text)
    };
    let found = log.iter().position(is_it);
    found.unwrap_or_else(|| panic!("no {operation} with {text}"))
}

/// The positions of the runs of the live reporter.
fn runs(log: &[Value]) -> Vec<usize> {
    let is_run = |entry: &Value| {
        entry["operation"] == "Invoke"
            && entry["parameters"]["FunctionName"] == "threescale-gw-orders-reporter"
            && entry["parameters"]["Qualifier"] == "live"
    };
    let entries = log.iter().enumerate();
    entries
        .filter(|(_, entry)| is_run(entry))
        .map(|(index, _)| index)
        .collect()
}

/// Lets the next runs of the reporter deliver these sums.
fn counts(aws: &TestAws, sums: &[u64]) {
    aws.post("config", &json!({"outcomes": {"reports": sums}}));
    aws.check_log();
}

#[test]
fn a_replaced_cache_is_emptied_before_anything_is_deleted() {
    let (aws, here) = stand("cache: {tls: true}");
    here.edit("tls: true", "tls: false");
    counts(&aws, &[5, 2, 9]);
    let up = here.succeed(&["up", "--yes"]);
    let told = "cache/main: usage delivered to 3scale before: 7";
    assert!(up.stderr.contains(told), "{}", up.stderr);
    let log = aws.log();
    let runs = runs(&log);
    assert_eq!(runs.len(), 2, "{runs:?}");
    for deletion in ["DeleteReplicationGroup", "DeleteParameter"] {
        assert!(runs[1] < position(&log, deletion, "orders"), "{deletion}");
    }
}

#[test]
fn a_cache_whose_usage_cannot_be_delivered_stays() {
    let (aws, here) = stand("cache: {tls: true}");
    let before = aws.account()["replication_groups"].clone();
    here.edit("tls: true", "tls: false");
    let refused = json!([{"service": "lambda", "operation": "Invoke", "kind": "deny"}]);
    aws.post("faults", &refused);
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    assert!(up.stderr.contains("lambda:Invoke"), "{}", up.stderr);
    assert_eq!(aws.account()["replication_groups"], before);
    aws.post("faults", &json!([]));
    here.succeed(&["up", "--yes"]);
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
}

/// The authorizer stops to use the cache first, and the reporter stays until the cache is empty.
#[test]
fn a_cache_is_emptied_before_its_network_is_replaced() {
    let (aws, here) = stand("network: {cidr: 10.42.0.0/16}");
    here.edit("10.42.0.0/16", "10.43.0.0/16");
    counts(&aws, &[3]);
    let up = here.succeed(&["up", "--yes"]);
    let told = "cache/main: usage delivered to 3scale before: 3";
    assert!(up.stderr.contains(told), "{}", up.stderr);
    let log = aws.log();
    let runs = runs(&log);
    let moved = |name: &str| position(&log, "UpdateAlias", &format!("threescale-gw-orders-{name}"));
    assert!(moved("authorizer") < runs[0], "{runs:?}");
    assert!(runs[1] < moved("reporter"), "{runs:?}");
    for deletion in [
        "DeleteReplicationGroup",
        "DeleteNatGateway",
        "DeleteRouteTable",
    ] {
        assert!(runs[1] < position(&log, deletion, ""), "{deletion}");
    }
}

/// After it has delivered, the reporter leaves the network too, and reaches the cache no more.
#[test]
fn a_replacement_of_the_network_that_is_killed_is_finished_by_the_next_up() {
    const CIDR: [&str; 2] = ["10.42.0.0/16", "10.43.0.0/16"];
    let (aws, here) = stand("network: {cidr: 10.42.0.0/16}");
    here.edit(CIDR[0], CIDR[1]);
    let mut states = killed_after_each(&aws, &here, &["up", "--yes"], "lambda");
    let mut moves = (0..)
        .zip(&states)
        .filter(|(_, killed)| killed.after == "UpdateAlias");
    let (of_reporter, _) = moves.nth(1).expect("the authorizer and the reporter move");
    // At this call and after two more, the cache may still exist.
    states.truncate(of_reporter + 3);
    states.drain(..of_reporter);
    each(states, |_, Killed { after, aws }| {
        let here = workplace(&aws, "network: {cidr: 10.43.0.0/16}");
        here.succeed(&["up", "--yes"]);
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "killed after {after}: {}", plan.stdout);
    });
}

/// The authorizer moves first. Then the former reporter delivers what is left, and only then the reporter moves.
#[test]
fn the_former_cache_is_emptied_after_a_move_to_another_one() {
    let (aws, here) = stand("cache: {tls: true}");
    let moves = [("cache: {tls: true}", OWN), (OWN, "cache: {tls: true}")];
    for (from, to) in moves {
        let (from, to) = (
            from.trim_start_matches("cache: "),
            to.trim_start_matches("cache: "),
        );
        here.edit(from, to);
        counts(&aws, &[4, 1]);
        let up = here.succeed(&["up", "--yes"]);
        let told = "lambda-alias/reporter: usage delivered to 3scale before: 5";
        assert!(up.stderr.contains(told), "{}", up.stderr);
        let log = aws.log();
        let runs = runs(&log);
        assert_eq!(runs.len(), 2, "{runs:?}");
        let moved =
            |name: &str| position(&log, "UpdateAlias", &format!("threescale-gw-orders-{name}"));
        assert!(moved("authorizer") < runs[0] && runs[1] < moved("reporter"));
        let deleted = log
            .iter()
            .position(|entry| entry["operation"] == "DeleteReplicationGroup");
        assert!(deleted.is_none_or(|deleted| moved("reporter") < deleted));
        assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    }
}

/// After the API is restored, nothing is counted any more.
#[test]
fn down_delivers_the_usage_before_it_deletes_what_that_needs() {
    let (start, _) = stand("cache: {tls: true}");
    let fork = || {
        let aws = start.fork();
        let here = workplace(&aws, "cache: {tls: true}");
        counts(&aws, &[5, 2, 9]);
        (aws, here)
    };
    let down = ["down", "--yes"];
    let told = "lambda-alias/reporter: usage delivered to 3scale before the deletion: ";

    let (aws, here) = fork();
    let delivered = here.succeed(&down);
    let text = format!("{told}7\n");
    assert!(delivered.stderr.contains(&text), "{}", delivered.stderr);
    let log = aws.log();
    let made = runs(&log);
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(position(&log, "UpdateStage", "") < made[0]);
    for deletion in [
        "DeleteReplicationGroup",
        "DeleteNatGateway",
        "DeleteAlias",
        "DeleteRouteTable",
    ] {
        assert!(made[1] < position(&log, deletion, ""), "{deletion}");
    }

    // What cannot be delivered is no reason to keep the stack.
    let (aws, here) = fork();
    let denied = json!([{"service": "lambda", "operation": "Invoke", "kind": "deny"}]);
    aws.post("faults", &denied);
    let lost = here.succeed(&down);
    let text = format!("{told}0; what else was counted since the last report is lost: ");
    assert!(lost.stderr.contains(&text), "{}", lost.stderr);
    assert!(lost.stderr.contains("lambda:Invoke"), "{}", lost.stderr);

    let (aws, here) = fork();
    let account = aws.account();
    let mut gateways = account["nat_gateways"].as_array().expect("a list").iter();
    let ours = gateways.find(|gateway| gateway["tags"]["threescale-gw:stack"] == "orders");
    let gateway = json!({"NatGatewayId": ours.expect("it")["id"]});
    aws.call("ec2", "DeleteNatGateway", gateway);
    let lost = here.succeed(&down);
    let text = "is lost: the network of the stack has no way out";
    assert!(lost.stderr.contains(text), "{}", lost.stderr);
    assert_eq!(runs(&aws.log()), [0; 0]);
}

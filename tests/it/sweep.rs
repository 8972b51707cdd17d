//! Temporary stacks: `up --ttl`, `down --no-wait`, and `sweep`, which deletes what has expired and nothing else.

use serde_json::{Value, json};

use crate::own::{Network, add, own_network};
use crate::support::kill::{each, killed_after, killed_after_each};
use crate::support::rest_api::{self, API, assert_mentions, draft, served};
use crate::support::{Run, TestAws, Workplace, assert_same, standing};

const CACHE: &str = "cache: {url: \"rediss://:shared-secret@cache.example.com:6379\"}";
const UP: [&str; 4] = ["up", "--yes", "--ttl", "4h"];
const SWEEP: [&str; 2] = ["sweep", "--yes"];
const PAST: &str = "2020-01-01T00:00:00Z";

/// Sets when a stack expires, as another user.
fn set_expiry(aws: &TestAws, stack: &str, value: &str) {
    let name = format!("/threescale-gw/{stack}/expires");
    let parameter = json!({"Name": name, "Value": value, "Overwrite": true});
    aws.call("ssm", "PutParameter", parameter);
}

/// The parameters in the account, by name.
fn parameters(aws: &TestAws) -> Vec<String> {
    let account = aws.account();
    let all = account["parameters"].as_array().expect("a list").iter();
    all.filter_map(|parameter| parameter["name"].as_str())
        .map(str::to_owned)
        .collect()
}

/// A stack in a network and with a cache of the operator, as pull requests have it.
fn small(aws: &TestAws, network: &Network) -> Workplace {
    let here = Workplace::new(aws);
    add(&here, &format!("{}\n{CACHE}", network.text));
    here
}

/// An account with an expired stack, its folder, and the account before the stack.
fn expired() -> (TestAws, Workplace, Value) {
    let ready = TestAws::state("with a network for pull requests", || {
        let aws = TestAws::seeded();
        own_network(&aws);
        aws
    });
    let before = ready.account();
    let aws = TestAws::state("with an expired stack", || {
        let aws = ready.fork();
        small(&aws, &network_of(&aws)).succeed(&UP);
        set_expiry(&aws, "orders", PAST);
        aws
    });
    let here = small(&aws, &network_of(&aws));
    (aws, here, before)
}

/// The network of [`expired`].
fn network_of(aws: &TestAws) -> Network {
    let account = aws.account();
    let list = |name: &str| account[name].as_array().cloned().expect("a list");
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    let vpcs = list("vpcs");
    let vpc = vpcs.iter().find(|vpc| vpc["cidr"] == "10.9.0.0/16");
    let vpc = id(vpc.expect("the VPC"));
    let subnets = list("subnets");
    let private =
        |subnet: &&Value| subnet["vpc"] == vpc.as_str() && subnet["cidr"] != "10.9.2.0/24";
    let subnets: Vec<_> = subnets.iter().filter(private).map(id).collect();
    Network {
        text: format!("network: {{vpc: {vpc}, subnets: [{}]}}", subnets.join(", ")),
        vpc,
    }
}

#[test]
fn a_stack_lives_as_long_as_the_last_ttl_says() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let network = own_network(&aws);
    let with_network = aws.account();
    let here = small(&aws, &network);
    let refused = here.run(&["up", "--yes", "--ttl", "10s"]);
    assert_eq!(refused.code, Some(2));
    assert_mentions(&refused, &["--ttl", "it must be at least 1m"]);
    let up = here.succeed(&UP);
    assert_mentions(&up, &["stack orders expires at ", ", in 4h"]);
    let expires = |run: &Run| run.json()["expires"].as_str().map(str::to_owned);
    let status = || here.succeed(&["status", "-o", "json"]);
    let first = expires(&status()).expect("an expiry");
    let parameter = parameters(&aws)
        .into_iter()
        .find(|name| name == "/threescale-gw/orders/expires");
    assert!(parameter.is_some());
    let tags = json!({"ResourceType": "Parameter", "ResourceId": "/threescale-gw/orders/expires"});
    let tags = aws.call("ssm", "ListTagsForResource", tags)["TagList"].to_string();
    assert!(
        tags.contains("threescale-gw:expires") && tags.contains(&first),
        "{tags}"
    );
    assert_mentions(
        &here.succeed(&["plan"]),
        &[&format!("expires at {first}, in ")],
    );
    assert_mentions(
        &here.succeed(&["status"]),
        &[&format!("expires at {first}, in ")],
    );
    let list = here.succeed(&["list", "-o", "json"]).json();
    let row = |list: &Value| {
        let mut stacks = list["stacks"].as_array().expect("a list").iter();
        let row = stacks.find(|row| row["stack"] == "orders").cloned();
        row.expect("the stack")
    };
    assert_eq!(
        (&row(&list)["expires"], &row(&list)["expired"]),
        (&json!(first), &json!(false))
    );
    let list = here.succeed(&["list"]);
    assert_mentions(&list, &["EXPIRES", "in 4h"]);

    // It is kept without the flag, and renewed by a few calls where nothing else changes.
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    assert_eq!(aws.changes(), [""; 0]);
    assert_eq!(expires(&status()).as_ref(), Some(&first));
    let renewed = here.succeed(&["up", "--yes", "--ttl", "8h"]);
    assert_mentions(&renewed, &[", in 8h"]);
    assert_eq!(
        aws.changes(),
        [
            "PutParameter",
            "PutParameter",
            "AddTagsToResource",
            "DeleteParameter"
        ]
    );
    assert!(expires(&status()).is_some_and(|second| second > first));
    let swept = here.succeed(&SWEEP);
    assert_mentions(&swept, &["No expired stacks in us-east-1"]);

    // An expired stack is not changed without a decision about it.
    set_expiry(&aws, "orders", PAST);
    aws.check_log();
    let refused = here.run(&["up", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert_mentions(
        &refused,
        &[
            "error[stack-expired]: stack orders expired at 2020-01-01T00:00:00Z",
            "--ttl none",
        ],
    );
    assert_mentions(
        &here.succeed(&["plan"]),
        &["expired at 2020-01-01T00:00:00Z"],
    );
    let list = here.succeed(&["list", "--expired"]);
    assert_mentions(&list, &["orders ", "expired"]);
    assert!(!list.stdout.contains("other "), "{}", list.stdout);
    assert_mentions(
        &here.succeed(&["sweep", "--dry-run"]),
        &["orders ", "expired"],
    );
    let old = here.succeed(&["sweep", "--dry-run", "--older-than", "36500d", "-o", "json"]);
    assert_eq!(old.json()["stacks"], json!([]));
    // Without a terminal, the question cannot be answered.
    assert_eq!(here.run(&["sweep"]).code, Some(4));
    assert_eq!(aws.changes(), [""; 0]);

    let kept = here.succeed(&["up", "--yes", "--ttl", "none"]);
    assert_mentions(&kept, &["no longer expires (--ttl none)"]);
    assert_eq!(expires(&status()), None);
    assert_mentions(&here.succeed(&SWEEP), &["No expired stacks"]);
    assert_mentions(
        &here.succeed(&["list", "--expired"]),
        &["No expired stacks"],
    );
    // What others have written and cannot be read is no expiry.
    here.succeed(&UP);
    set_expiry(&aws, "orders", "soon");
    assert_mentions(
        &here.succeed(&["status"]),
        &["has an expiry that cannot be read"],
    );
    assert_mentions(&here.succeed(&SWEEP), &["No expired stacks"]);
    here.succeed(&["down", "--yes"]);
    assert_same(&with_network, &aws.account());
    assert_ne!(before, with_network);

    here.edit("stack: orders", "deletion_protection: true\nstack: orders");
    let refused = here.run(&UP);
    assert_eq!(refused.code, Some(2));
    assert_mentions(&refused, &["--ttl contradicts `deletion_protection: true`"]);
}

#[test]
fn sweep_deletes_what_has_expired_and_nothing_else() {
    let (aws, here, before) = expired();
    // A stack that never expires, and one that is not named by a file.
    let swept = here.succeed(&["sweep", "--yes", "-o", "json"]);
    assert_same(&before, &aws.account());
    let lines = swept.lines();
    let of_stack = lines.iter().find(|line| line["event"] == "stack");
    let of_stack = of_stack.expect("the stack");
    assert_eq!(
        (
            &of_stack["stack"],
            &of_stack["region"],
            &of_stack["outcome"]
        ),
        (&json!("orders"), &json!("us-east-1"), &json!("deleted"))
    );
    let finished: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "finished" && line["kind"] != "network-interface")
        .collect();
    assert!(finished.iter().all(|line| line["stack"] == "orders"));
    assert_eq!(of_stack["deleted"], json!(finished.len()));
    let last = lines.last().expect("a summary");
    assert_eq!(
        (&last["event"], &last["outcome"]),
        (&json!("summary"), &json!("done"))
    );

    // In all Regions.
    let (aws, here, before) = expired();
    let swept = here.succeed(&["sweep", "--yes", "--all-regions"]);
    assert_mentions(&swept, &["orders", "deleted: "]);
    assert_same(&before, &aws.account());

    // Of stacks with nothing but parameters in common, only the expired one.
    let (aws, here) = standing();
    let whole = aws.account();
    assert_mentions(&here.succeed(&SWEEP), &["No expired stacks"]);
    assert_same(&whole, &aws.account());
    assert!(aws.changes().is_empty());
}

#[test]
fn a_stack_that_another_run_works_on_is_skipped() {
    let (aws, here, before) = expired();
    let held = json!({"operation": "DeleteRole", "kind": "hold-before"});
    let down = here.run_with(&aws, &["down", "--yes"], &held, || {
        let swept = here.succeed(&SWEEP);
        assert_mentions(&swept, &["skipped: stack orders is locked by "]);
        let refused = here.run(&["down", "--yes", "--lock-timeout", "1s"]);
        assert_eq!(refused.code, Some(4), "{}", refused.stderr);
        assert_mentions(
            &refused,
            &["error[lock-held]", "waiting until that run has ended"],
        );
    });
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    assert_same(&before, &aws.account());

    // It was renewed after it was listed.
    let (aws, here, _) = expired();
    let held = json!({"operation": "PutParameter", "kind": "hold-before"});
    let swept = here.run_with(&aws, &SWEEP, &held, || {
        set_expiry(&aws, "orders", "2999-01-01T00:00:00Z");
    });
    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
    assert_mentions(&swept, &["left alone"]);
    assert_eq!(aws.changes(), ["PutParameter", "DeleteParameter"]);
    let status = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(status["expires"], "2999-01-01T00:00:00Z");
}

#[test]
fn a_run_waits_for_the_lock_as_long_as_it_is_told() {
    let (aws, here, before) = expired();
    aws.post(
        "faults",
        &json!([{"operation": "DeleteRole", "kind": "hold-before"}]),
    );
    let first = here.start(&SWEEP);
    assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
    let waiting = |arguments: &[&str]| {
        let mut child = here.start(arguments);
        let errors = child.stderr.take().expect("its errors");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(errors));
        let said = lines.find(|line| {
            let waits = |line: &String| line.contains("waiting until that run has ended");
            line.as_ref().is_ok_and(waits)
        });
        assert!(said.is_some_and(|said| said.is_ok_and(|said| said.contains("is locked by"))));
        (child, lines)
    };
    let (mut stopped, _lines) = waiting(&["down", "--yes", "--lock-timeout", "10m"]);
    crate::interrupt::send(&stopped, rustix::process::Signal::INT);
    assert_eq!(stopped.wait().expect("its end").code(), Some(130));
    let (second, lines) = waiting(&["sweep", "--yes", "--lock-timeout", "10m"]);
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    for child in [first, second] {
        let run = Run::of(child.wait_with_output().expect("its end"));
        assert_eq!(run.code, Some(0), "{}\n{rest:?}", run.stderr);
    }
    assert_same(&before, &aws.account());
}

#[test]
fn a_killed_sweep_is_finished_by_the_next() {
    let (aws, here, before) = expired();
    let states = killed_after_each(&aws, &here, &SWEEP, "*");
    assert!(states.len() >= 15, "{} changing calls", states.len());
    each(states, |_, killed| {
        Workplace::new(&killed.aws).succeed(&SWEEP);
        assert_same(&before, &killed.aws.account());
    });
}

#[test]
fn up_killed_after_each_call_is_swept_once_it_has_expired() {
    let (_, _, before) = expired();
    let aws = TestAws::state("with a network for pull requests", || unreachable!());
    let states = killed_after_each(&aws, &small(&aws, &network_of(&aws)), &UP, "*");
    assert!(states.len() >= 15, "{} changing calls", states.len());
    each(states, |nth, killed| {
        // The first call takes the lock: nothing else is there.
        let is_marked = parameters(&killed.aws)
            .iter()
            .any(|name| name.ends_with("/orders/expires"));
        assert_eq!(is_marked, nth > 1, "after {nth}, {}", killed.after);
        if is_marked {
            set_expiry(&killed.aws, "orders", PAST);
        }
        Workplace::new(&killed.aws).succeed(&SWEEP);
        assert_same(&before, &killed.aws.account());
    });
}

#[test]
fn each_call_of_a_sweep_fails_once() {
    let kinds = [
        (true, "throttle"),
        (true, "500"),
        (true, "drop"),
        (true, "unreadable"),
        (false, "throttle"),
        (false, "503"),
        (false, "drop"),
    ];
    each(kinds.to_vec(), |_, (mutating, kind)| {
        let (aws, here, before) = expired();
        let rule = json!({"mutating": mutating, "every": true, "kind": kind});
        aws.post("faults", &json!([rule]));
        here.succeed(&SWEEP);
        assert!(aws.log().iter().any(|entry| entry["injected"] == true));
        assert_same(&before, &aws.account());
    });
}

#[test]
fn a_stack_that_cannot_be_deleted_does_not_stop_the_others() {
    // Two stacks on one API, of which one has a network that others use.
    let aws = TestAws::seeded();
    let id = rest_api::id(&aws.account(), "orders-api");
    rest_api::add_stage(&aws, &id);
    let network = own_network(&aws);
    let one = Workplace::new(&aws);
    one.edit(
        API,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /orders"]}"#,
    );
    let two = small(&aws, &network);
    two.edit(
        API,
        r#"api: {name: orders-api, stage: dev, protect: ["POST /orders"]}"#,
    );
    two.edit("stack: orders", "stack: pr-7");
    let before = aws.account();
    one.succeed(&UP);
    two.succeed(&UP);
    let vpcs = aws.account()["vpcs"].as_array().cloned().expect("a list");
    let ours = |vpc: &&Value| vpc["tags"]["threescale-gw:stack"] == "orders";
    let vpc = vpcs.iter().find(ours).expect("the VPC")["id"].clone();
    let group = json!({"GroupName": "of-others", "Description": "of others", "VpcId": vpc});
    let group = aws.call("ec2", "CreateSecurityGroup", group)["GroupId"].clone();
    for stack in ["orders", "pr-7"] {
        set_expiry(&aws, stack, PAST);
    }
    let swept = one.run(&["sweep", "--yes", "-o", "json"]);
    assert_eq!(swept.code, Some(5), "{}", swept.stderr);
    let lines = swept.lines();
    let of = |stack: &str| {
        let mut stacks = lines.iter();
        let line = stacks.find(|line| line["event"] == "stack" && line["stack"] == stack);
        line.expect("the stack").clone()
    };
    assert_eq!(of("pr-7")["outcome"], "deleted", "{}", of("pr-7"));
    assert_eq!(
        (&of("orders")["outcome"], &of("orders")["code"]),
        (&json!("failed"), &json!("network-in-use"))
    );
    assert_eq!(draft(&aws.account(), &id)["GET /orders"], rest_api::ours());
    // A sweep that could do nothing is refused.
    assert_eq!(one.run(&SWEEP).code, Some(4));
    aws.call("ec2", "DeleteSecurityGroup", json!({"GroupId": group}));
    one.succeed(&SWEEP);
    assert_same(&before, &aws.account());
}

#[test]
fn down_without_waiting_stops_the_bills_and_leaves_the_rest_to_sweep() {
    let before = TestAws::seeded().account();
    let id = rest_api::id(&before, "orders-api");
    let (aws, here) = standing();
    let slow = json!({"nat-gateway-delete": 3600, "cache-delete": 3600});
    aws.post("config", &json!({"delay": slow, "eni_linger": 3600}));
    let down = here.succeed(&["down", "--yes", "--no-wait"]);
    assert_mentions(
        &down,
        &[
            "left nat-gateway/a: AWS is deleting it",
            "left cache/main: AWS is deleting it",
            "left elastic-ip/a, which can be deleted after nat-gateway/a",
            "They cost about $3.65 a month until then.",
            "`threescale-gw sweep`",
        ],
    );
    let after = aws.account();
    assert_eq!(draft(&after, &id), draft(&before, &id));
    assert_eq!(served(&after, &id, "prod"), served(&before, &id, "prod"));
    assert_eq!(after["functions"], before["functions"]);
    let listed = here.succeed(&["list", "--expired", "-o", "json"]).json();
    assert_eq!(listed["stacks"][0]["stack"], "orders");
    // Again, and then all of it.
    here.succeed(&["down", "--yes", "--no-wait", "--stack", "orders"]);
    aws.post("advance", &json!({"seconds": 7200}));
    here.succeed(&SWEEP);
    assert_same(&before, &aws.account());

    // Where nothing takes long, nothing is left.
    let (aws, here, before) = expired();
    aws.post("config", &json!({"eni_linger": 0}));
    here.succeed(&["down", "--yes", "--no-wait"]);
    assert_same(&before, &aws.account());
}

#[test]
fn down_without_waiting_killed_after_each_call_is_swept() {
    let before = TestAws::seeded().account();
    let (aws, here) = standing();
    let slow = json!({"nat-gateway-delete": 3600, "cache-delete": 3600});
    aws.post("config", &json!({"delay": slow, "eni_linger": 3600}));
    let mut states = killed_after_each(&aws, &here, &["down", "--yes", "--no-wait"], "*");
    assert!(states.len() >= 15, "{} changing calls", states.len());
    // The first calls take the locks of the stack and of the API: the stack is not marked yet.
    states.drain(..2);
    each(states, |_, killed| {
        killed
            .aws
            .post("config", &json!({"delay": 0, "eni_linger": 0}));
        killed.aws.post("advance", &json!({"seconds": 7200}));
        Workplace::new(&killed.aws).succeed(&SWEEP);
        assert_same(&before, &killed.aws.account());
    });
}

/// Six stacks share a network and a cache, and four have their own. Half of them are killed while they are created or
/// deleted.
#[test]
fn ten_stacks_of_pull_requests_are_swept_to_nothing() {
    let aws = TestAws::start();
    let quotas = json!({"vpcs": 20, "elastic_ips": 20, "nat_gateways": 20});
    aws.post("config", &json!({"quotas": quotas}));
    let mut apis = Vec::new();
    for number in 0..10 {
        let mut api = crate::support::aws::api();
        api["name"] = json!(format!("orders-api-{number}"));
        apis.push(api);
    }
    rest_api::seed(&aws, &apis);
    let network = own_network(&aws);
    let before = aws.account();
    let folder = |number: usize| {
        let here = Workplace::new(&aws);
        here.edit("stack: orders", &format!("stack: pr-{number}"));
        here.edit("name: orders-api", &format!("name: orders-api-{number}"));
        match number {
            0..6 => add(&here, &format!("{}\n{CACHE}", network.text)),
            _ => add(
                &here,
                &format!("network: {{cidr: 10.{}.0.0/16}}", 20 + number),
            ),
        }
        here
    };
    // Killed in `up`, and later in `down`, after this changing call.
    let killed_in_up = [(0, 1), (1, 2), (6, 12)];
    let killed_in_down = [(2, 4), (7, 9)];
    let whole: Vec<_> = (0..10)
        .filter(|number| killed_in_up.iter().all(|(killed, _)| killed != number))
        .collect();
    each(whole, |_, number| {
        folder(number).succeed(&UP);
    });
    for (number, nth) in killed_in_up {
        assert!(killed_after(&aws, &folder(number), &UP, nth).is_some());
    }
    let down = ["down", "--yes"];
    for (number, nth) in killed_in_down {
        assert!(killed_after(&aws, &folder(number), &down, nth).is_some());
    }
    let here = folder(0);
    let listed = here.succeed(&["list", "-o", "json"]).json();
    let stacks = listed["stacks"].as_array().expect("a list").iter();
    let named: Vec<_> = stacks
        .filter(|row| {
            row["stack"]
                .as_str()
                .is_some_and(|name| name.starts_with("pr-"))
        })
        .collect();
    assert_eq!(named.len(), 10, "{named:?}");
    // All but the one of which only the lock was written.
    assert_eq!(
        named.iter().filter(|row| row["expires"].is_null()).count(),
        1
    );
    for number in 1..10 {
        set_expiry(&aws, &format!("pr-{number}"), PAST);
    }
    let swept = here.succeed(&SWEEP);
    assert_eq!(
        swept.stdout.matches("deleted: ").count(),
        9,
        "{}",
        swept.stdout
    );
    assert_same(&before, &aws.account());
    let listed = here.succeed(&["list", "-o", "json"]).json();
    assert!(!listed["stacks"].to_string().contains("pr-"), "{listed}");
}

//! `doctor`: what `up` depends on, without a change, and the decision about one request.

use serde_json::{Value, json};

use crate::early::with_threescale;
use crate::refusals::{create_log, write};
use crate::support::rest_api::assert_mentions;
use crate::support::{Run, TestAws, Workplace, artifact, standing};

const NAMES: [&str; 8] = [
    "configuration",
    "credentials",
    "region",
    "rights",
    "quotas",
    "3scale",
    "tools",
    "lock",
];

/// The checks that did not end well, with the exit code of the run.
fn not_ok(here: &Workplace, arguments: &[&str]) -> (Option<i32>, Vec<(String, Value)>) {
    let arguments: Vec<_> = ["doctor", "-o", "json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    of(&here.run(&arguments))
}

fn of(run: &Run) -> (Option<i32>, Vec<(String, Value)>) {
    let document = run.json();
    let checks = document["checks"].as_array().expect("a list");
    let name = |check: &Value| check["name"].as_str().expect("a name").to_owned();
    assert_eq!(checks.iter().map(name).collect::<Vec<_>>(), NAMES);
    assert_eq!(document["ok"], run.code == Some(0), "{document}");
    let others = checks.iter().filter(|check| check["result"] != "ok");
    let others = others.map(|check| (name(check), check.clone()));
    (run.code, others.collect())
}

/// The results by name.
fn results(found: &[(String, Value)]) -> Vec<(&str, &str)> {
    found
        .iter()
        .map(|(name, check)| (name.as_str(), check["result"].as_str().unwrap_or_default()))
        .collect()
}

fn text_of<'a>(found: &'a [(String, Value)], name: &str) -> &'a str {
    let check = found.iter().find(|(found, _)| found == name);
    let check = &check.unwrap_or_else(|| panic!("{name}: {found:?}")).1;
    check["text"].as_str().expect("a text")
}

#[test]
fn what_a_new_stack_depends_on_is_checked_with_reads_alone() {
    let (threescale, aws, here) = with_threescale();
    let before = aws.account();
    let run = here.succeed(&["doctor"]);
    assert_mentions(
        &run,
        &[
            "OK    configuration  threescale-gw.yaml is valid",
            "OK    credentials    user operator in account 123456789012",
            "OK    region         us-east-1",
            "OK    rights         the policies of arn:aws:iam::123456789012:user/operator allow what a new stack needs",
            "OK    quotas         there is room for a new stack: ",
            "accepts the token of product 1001",
            "OK    tools          the code of the authorizer is there",
            "OK    lock           stack orders is not locked",
        ],
    );
    assert_eq!(not_ok(&here, &[]), (Some(0), Vec::new()));

    // Each fault is found, and the other checks are made all the same.
    aws.post(
        "config",
        &json!({"lacks": ["ec2:CreateNatGateway", "iam:PassRole"], "quotas": {"elastic_ips": 0}}),
    );
    here.edit("st_1001", "not-the-token");
    here.write("bootstrap.zip", b"no zip");
    let lock = json!({"Name": "/threescale-gw/orders/lock", "Value": "x", "Type": "String"});
    aws.call("ssm", "PutParameter", lock);
    aws.check_log();
    let (code, found) = not_ok(&here, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        results(&found),
        [
            ("rights", "fail"),
            ("quotas", "fail"),
            ("3scale", "fail"),
            ("tools", "fail"),
            ("lock", "warn")
        ]
    );
    assert!(text_of(&found, "rights").ends_with("ec2:CreateNatGateway, iam:PassRole"));
    assert!(text_of(&found, "quotas").contains("the quota for Elastic IPs is 0"));
    assert!(text_of(&found, "lock").contains("unknown holder"));
    for (_, check) in &found {
        assert!(check["hint"].is_string(), "{check}");
        assert!(!check.to_string().contains("not-the-token"), "{check}");
    }
    let text = here.run(&["doctor"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(1), ""));
    assert_eq!(text.stdout.matches("FAIL  ").count(), 4, "{}", text.stdout);
    assert_eq!(text.stdout.matches("hint: ").count(), 5, "{}", text.stdout);
    assert!(aws.changes().is_empty());

    // What may not be asked is a warning.
    here.edit("not-the-token", "st_1001");
    here.write("bootstrap.zip", &artifact(0));
    aws.post(
        "config",
        &json!({"lacks": [], "quotas": {"elastic_ips": 5}}),
    );
    threescale.stop();
    let denied = json!([
        {"service": "iam", "operation": "SimulatePrincipalPolicy", "kind": "deny"},
        {"operation": "GetServiceQuota", "kind": "deny"},
    ]);
    aws.post("faults", &denied);
    let (code, found) = not_ok(&here, &[]);
    assert_eq!(code, Some(0), "{found:?}");
    let warned = ["rights", "quotas", "3scale", "lock"].map(|name| (name, "warn"));
    assert_eq!(results(&found), warned);
    assert!(text_of(&found, "3scale").contains("connection refused"));
    let key = json!({"Name": "/threescale-gw/orders/lock"});
    aws.call("ssm", "DeleteParameter", key);
    assert_eq!(before, aws.account());
}

#[test]
fn what_cannot_be_checked_is_said() {
    let (aws, here) = standing();
    // An emulator of AWS: 3scale is not asked. The network is there, and a full quota is no fault.
    aws.post("config", &json!({"quotas": {"vpcs": 1}}));
    let (code, found) = not_ok(&here, &[]);
    assert_eq!(
        (code, results(&found)),
        (Some(0), vec![("3scale", "skipped")])
    );

    here.edit("service_id", "service_ip");
    let (code, found) = not_ok(&here, &[]);
    assert_eq!(code, Some(1));
    let skipped = ["rights", "quotas", "3scale", "tools"].map(|name| (name, "skipped"));
    assert_eq!(results(&found)[0], ("configuration", "fail"));
    assert_eq!(results(&found)[1..], skipped);
    assert!(text_of(&found, "configuration").contains("threescale-gw.yaml:5:"));
    here.edit("service_ip", "service_id");

    let without = |arguments: &[&str], change: &dyn Fn(&mut std::process::Command)| {
        let mut command = here.command(arguments);
        change(&mut command);
        of(&Run::of(command.output().expect("the binary runs")))
    };
    let doctor = ["doctor", "-o", "json"];
    let (code, found) = without(&doctor, &|command| {
        command.env_remove("AWS_REGION");
    });
    assert_eq!(code, Some(1));
    assert_eq!(
        results(&found)[..2],
        [("credentials", "skipped"), ("region", "fail")]
    );
    let (_, found) = without(&doctor, &|command| {
        command.env_remove("AWS_ACCESS_KEY_ID");
        command.env_remove("AWS_SECRET_ACCESS_KEY");
    });
    let refused = [
        ("credentials", "fail"),
        ("region", "skipped"),
        ("rights", "skipped"),
        ("quotas", "skipped"),
        ("3scale", "skipped"),
        ("lock", "skipped"),
    ];
    assert_eq!(results(&found), refused);
    assert!(text_of(&found, "lock").contains("AWS has not accepted the credentials"));
    let expired = json!([{
        "kind": "error", "code": "ExpiredTokenException", "message": "not accepted", "status": 400,
    }]);
    aws.post("faults", &expired);
    let (code, found) = not_ok(&here, &[]);
    assert_eq!((code, results(&found)), (Some(1), refused.to_vec()));
    assert!(text_of(&found, "credentials").contains("have expired"));
    aws.post("faults", &json!([]));

    here.edit(
        "stack: orders",
        "stack: orders\naccount: \"210987654321\"\nregion: eu-west-1",
    );
    let (code, found) = not_ok(&here, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        results(&found)[..2],
        [("credentials", "fail"), ("region", "fail")]
    );

    std::fs::remove_file(here.path("threescale-gw.yaml")).expect("removed");
    let (code, found) = not_ok(&here, &["--stack", "orders"]);
    assert_eq!((code, results(&found)), (Some(0), skipped.to_vec()));
    let (code, found) = not_ok(&here, &[]);
    assert_eq!(
        (code, results(&found)[0]),
        (Some(1), ("configuration", "fail"))
    );
    assert!(aws.changes().is_empty());
}

const ID: &str = "66b53bf4-73c1-486c-af83-18293d603e7f";

fn decision(id: &str, allowed: bool, reason: &str) -> Value {
    json!({
        "level": "info", "event": "decision", "request": "of-the-function", "gateway_request": id, "allowed": allowed,
        "reason": reason, "source": "cache", "credential": "***9f3c", "method": "GET", "resource": "/orders",
        "metric": "hits", "us": 90,
    })
}

#[test]
fn the_decision_about_a_request_is_found_by_its_id() {
    let aws = TestAws::seeded();
    create_log(&aws);
    let here = Workplace::new(&aws);
    std::fs::remove_file(here.path("threescale-gw.yaml")).expect("removed");
    let ask = |id: &str, more: &[&str]| {
        let head = ["doctor", "--stack", "orders", "--request", id];
        here.run(&[&head[..], more].concat())
    };
    let absent = ask(ID, &[]);
    assert_eq!(absent.code, Some(1), "{}", absent.stderr);
    assert_mentions(
        &absent,
        &[
            "the log has no decision about request 66b53bf4",
            "- API Gateway answered before it called the authorizer",
            "- the request was allowed",
            "- the request was more than 1 day ago",
        ],
    );
    write(
        &aws,
        &[
            decision("another", false, "user_key_invalid"),
            decision(ID, false, "limits_exceeded"),
            json!({"event": "backend", "error": ID}),
        ],
    );
    let found = ask(ID, &[]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert_mentions(
        &found,
        &[
            "request 66b53bf4-73c1-486c-af83-18293d603e7f: refused",
            "Method      GET /orders",
            "Key         ***9f3c",
            "Source      cache (an answer of 3scale in Redis)",
            "Reason      limits_exceeded",
            "Cause       The application has used up a limit",
        ],
    );
    let document = ask(ID, &["-o", "json", "--since", "1h"]).json();
    let decisions = document["decisions"].as_array().expect("a list");
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0]["reason"], "limits_exceeded");
    assert!(decisions[0]["explanation"]["cause"].is_string());
    let by_function = ask("of-the-function", &["-o", "json"]).json();
    assert_eq!(by_function["decisions"].as_array().map(Vec::len), Some(2));
    let absent = ask("JKJaXmPLvHcESHA=", &["-o", "json"]);
    assert_eq!(absent.code, Some(1));
    let first = absent.json()["meanings"][0].clone();
    assert!(
        first
            .as_str()
            .is_some_and(|text| text.contains("x-amzn-RequestId"))
    );
    assert_eq!(ask("a\"b", &[]).code, Some(2));
    assert_eq!(here.run(&["doctor", "--since", "1h"]).code, Some(2));
    let missing = here.run(&["doctor", "--stack", "nowhere", "--request", ID]);
    assert_eq!(missing.code, Some(4), "{}", missing.stderr);
    assert!(aws.log().iter().all(|entry| {
        let operation = entry["operation"].as_str().unwrap_or_default();
        entry["mutating"] == false
            || ["CreateLogGroup", "CreateLogStream", "PutLogEvents"].contains(&operation)
    }));
}

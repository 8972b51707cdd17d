//! What is told before anything is changed: 3scale is asked from this machine, and IAM for the rights of the operator.

use threescale_stand_in::{Mode, Threescale};

use crate::support::{Run, TestAws, Workplace, assert_same, standing};
use serde_json::{Value, json};

/// A stand-in for 3scale on this machine, and an account whose stack uses it.
pub(crate) fn with_threescale() -> (Threescale, TestAws, Workplace) {
    let threescale = Threescale::start(|| 1_800_000_000_000).expect("a server");
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    workplace.edit(
        "service_id: \"2555417834780\", service_token: the-service-token",
        &format!(
            "service_id: \"1001\", service_token: st_1001, backend: \"{}\"",
            threescale.url()
        ),
    );
    (threescale, aws, workplace)
}

fn assert_refused(run: &Run, words: &str) {
    assert_eq!(run.code, Some(4), "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    for secret in ["st_1001", "not-the-token", "uk_free"] {
        let shown = [&run.stdout, &run.stderr];
        assert!(shown.iter().all(|text| !text.contains(secret)), "{secret}");
    }
}

#[test]
fn three_scale_is_asked_before_anything_is_changed() {
    let (threescale, aws, workplace) = with_threescale();
    let before = aws.account();
    workplace.edit("st_1001", "not-the-token");
    let words = "threescale.service_token: 3scale (127.0.0.1:";
    assert_refused(&workplace.run(&["up", "--yes", "-v"]), words);
    let plan = workplace.run(&["plan", "-v"]);
    assert_refused(&plan, words);
    assert!(plan.stdout.contains("Plan: "), "{}", plan.stdout);
    let plan = workplace.run(&["plan", "-o", "json"]);
    assert_refused(&plan, words);
    assert!(plan.lines()[0]["resources"].is_array());
    workplace.edit("not-the-token", "st_1001");

    workplace.edit("service_id: \"1001\"", "service_id: \"1002\"");
    let words = "not a token of the product 1002";
    assert_refused(&workplace.run(&["up", "--yes"]), words);
    workplace.edit("service_id: \"1002\"", "service_id: \"1001\"");

    threescale.state().mode = Mode::AppId;
    let words = "the product 1001 uses application ids, but `kind: user_key`";
    assert_refused(&workplace.run(&["up", "--yes"]), words);
    threescale.state().mode = Mode::UserKey;

    // Metrics are checked only with a key.
    let rules = "mapping_rules: [{method: GET, pattern: /, metric: order}, {method: GET, pattern: /, metric: hits}]";
    let line = format!("st_1001, {rules}");
    workplace.edit("st_1001", &line);
    let plan = workplace.succeed(&["plan"]);
    let note = "note whether the product has the metrics order of `threescale.mapping_rules` is not checked";
    assert!(plan.stdout.contains(note), "{}", plan.stdout);
    let words = "the product 1001 does not have the metrics or methods order.";
    for command in [&["plan"][..], &["up", "--yes"]] {
        let mut command = workplace.command(command);
        let run = command.env("THREESCALE_TEST_KEY", "uk_free");
        assert_refused(&Run::of(run.output().expect("it runs")), words);
    }
    workplace.edit("metric: order}", "metric: orders}");
    let plan = workplace.succeed(&["plan", "--key", "uk_free"]);
    assert!(!plan.stdout.contains("not checked"), "{}", plan.stdout);
    let words = "--key: 3scale has no application with this key";
    assert_refused(&workplace.run(&["plan", "--key", "uk_no"]), words);
    assert_same(&before, &aws.account());

    // One request in a run that changes something, and none in a run that does not.
    let asked = || threescale.calls("authorize");
    let count = asked();
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(asked(), count + 1);
    workplace.succeed(&["up", "--yes"]);
    workplace.succeed(&["plan"]);
    assert_eq!(asked(), count + 1);
    assert_eq!(
        threescale.calls("authrep") + threescale.calls("report"),
        0,
        "nothing is counted"
    );
}

#[test]
fn a_three_scale_that_cannot_be_reached_from_this_machine_is_not_checked() {
    let (threescale, aws, workplace) = with_threescale();
    threescale.stop();
    let note = "cannot be reached: connection refused: the service token, the kind of the credentials and the metrics are not";
    let plan = workplace.succeed(&["plan"]);
    assert!(plan.stdout.contains(note), "{}", plan.stdout);
    let notices = workplace.succeed(&["plan", "-o", "json"]).json()["notices"].to_string();
    assert!(notices.contains(note), "{notices}");
    let up = workplace.succeed(&["up", "--yes"]);
    assert!(up.stderr.contains(note), "{}", up.stderr);

    // An emulator of AWS: the token is not sent beyond this machine.
    let threescale = "backend: \"https://threescale.invalid\"";
    let (before, rest) = std::fs::read_to_string(workplace.path("threescale-gw.yaml"))
        .expect("a configuration")
        .split_once("backend: \"")
        .map(|(before, rest)| (before.to_owned(), rest.to_owned()))
        .expect("an address");
    let (_, after) = rest.split_once('"').expect("its end");
    let text = format!("{before}{threescale}{after}");
    workplace.write("threescale-gw.yaml", text.as_bytes());
    let plan = workplace.succeed(&["plan"]);
    assert!(
        plan.stdout.contains("to update") && !plan.stdout.contains("cannot be reached"),
        "{}",
        plan.stdout
    );
    drop(aws);
}

/// The number of simulations since the log was last cleared.
fn simulations(aws: &TestAws) -> usize {
    let log = aws.log().into_iter();
    log.filter(|entry| entry["operation"] == "SimulatePrincipalPolicy")
        .count()
}

#[test]
fn missing_rights_are_all_told_before_anything_is_changed() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let lacks = |actions: Value| aws.post("config", &json!({"lacks": actions}));
    lacks(json!([
        "ec2:CreateNatGateway",
        "elasticache:Create*",
        "iam:PassRole",
        "apigateway:P*"
    ]));
    let words = "the policies of arn:aws:iam::123456789012:user/operator do not allow what the plan needs: apigateway:PATCH, \
                 apigateway:POST, ec2:CreateNatGateway, elasticache:CreateCacheSubnetGroup, elasticache:CreateReplicationGroup, \
                 iam:PassRole.";
    for command in [&["up", "--yes"][..], &["plan"]] {
        assert_refused(&workplace.run(command), words);
        assert!(aws.changes().is_empty());
        assert!((1..=9).contains(&simulations(&aws)));
        aws.check_log();
    }
    // What the plan does not need.
    lacks(json!([
        "ec2:RunInstances",
        "elasticache:CreateServerlessCache",
        "ec2:Delete*",
        "iam:DeleteRole"
    ]));
    workplace.succeed(&["plan"]);
    assert_same(&before, &aws.account());

    // A right to ask is no condition.
    lacks(json!(["iam:SimulatePrincipalPolicy"]));
    let plan = workplace.succeed(&["plan"]);
    let note = "the rights of arn:aws:iam::123456789012:user/operator could not be read and are not checked";
    assert_eq!(plan.stdout.matches(note).count(), 1, "{}", plan.stdout);
    let up = workplace.succeed(&["up", "--yes"]);
    assert_eq!(up.stderr.matches(note).count(), 1, "{}", up.stderr);
}

fn calls_as(aws: &TestAws, caller: &str) {
    let caller = format!("arn:aws:{caller}");
    aws.post("config", &json!({"caller": caller}));
}

/// Lets the caller be in a session of a new role with these statements.
fn calls_as_role(aws: &TestAws, statements: Value) {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]});
    let role = json!({"RoleName": "deployer", "Path": "/team/", "AssumeRolePolicyDocument": trust.to_string()});
    aws.call("iam", "CreateRole", role);
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    let policy =
        json!({"RoleName": "deployer", "PolicyName": "own", "PolicyDocument": policy.to_string()});
    aws.call("iam", "PutRolePolicy", policy);
    calls_as(aws, "sts::123456789012:assumed-role/deployer/ci");
}

/// A policy that was written by hand may name only what the program uses.
#[test]
fn rights_on_parts_of_the_api_and_of_the_parameters_are_sufficient() {
    let (_threescale, aws, here) = with_threescale();
    let api = crate::support::rest_api::id(&aws.account(), "orders-api");
    let of_api = [
        "/authorizers*",
        "/deployments*",
        "/resources/*/methods/*",
        "/stages/*",
    ];
    let of_api = of_api.map(|part| format!("arn:aws:apigateway:us-east-1::/restapis/{api}{part}"));
    let of_stack = ["lock", "secrets/*", "attachment/*", "cache-endpoint"];
    let of_stack = of_stack.map(|name| {
        format!("arn:aws:ssm:us-east-1:123456789012:parameter/threescale-gw/orders/{name}")
    });
    let others = ["ec2", "elasticache", "events", "iam", "lambda", "logs"];
    let others = others.map(|service| format!("{service}:*"));
    calls_as_role(
        &aws,
        json!([
            {"Effect": "Allow", "Action": "apigateway:*", "Resource": of_api},
            {"Effect": "Allow", "Action": "ssm:*", "Resource": of_stack},
            {"Effect": "Allow", "Action": others, "Resource": "*"},
        ]),
    );
    here.succeed(&["plan"]);
    let doctor = here.succeed(&["doctor"]);
    let told =
        "the policies of arn:aws:iam::123456789012:role/team/deployer allow what a new stack needs";
    assert!(doctor.stdout.contains(told), "{}", doctor.stdout);
}

#[test]
fn the_rights_of_a_session_are_those_of_its_role() {
    let (aws, workplace) = standing();
    workplace.succeed(&["plan"]);
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(simulations(&aws), 0, "there is nothing to do");

    calls_as_role(
        &aws,
        json!([{"Effect": "Allow", "Action": ["ssm:*", "lambda:*"], "Resource": "*"}]),
    );
    workplace.edit("authorizer:", "network: {nat: per-zone}\nauthorizer:");
    let words = "the policies of arn:aws:iam::123456789012:role/team/deployer do not allow what the plan needs: ec2:AllocateAddress, \
                 ec2:CreateNatGateway,";
    let plan = workplace.run(&["plan"]);
    assert_refused(&plan, words);
    assert!(!plan.stderr.contains("ssm:"), "{}", plan.stderr);

    // The root user may do everything.
    aws.check_log();
    for caller in [
        "iam::123456789012:root",
        "sts::123456789012:federated-user/ann",
    ] {
        calls_as(&aws, caller);
        workplace.succeed(&["plan"]);
    }
    assert_eq!(simulations(&aws), 0);
}

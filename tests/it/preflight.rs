//! Conditions that are refused before any change, and the behavior when a permission is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::locked::{lock, put_lock};
use crate::support::rest_api::resource_id;
use crate::support::{Run, TestAws, Workplace, artifact, assert_same};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The number of workers that run in parallel, each with its own account.
const WORKERS: usize = 2;

/// A function by which another user creates a resource with a name that the stack needs.
type Take = fn(&TestAws);

#[track_caller]
pub(crate) fn assert_mentions(run: &Run, code: i32, texts: &[&str]) {
    let shown = format!("{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(code), "{shown}");
    for text in texts {
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
}

/// Every changing request that succeeded.
pub(crate) fn carried_out(aws: &TestAws) -> Vec<Value> {
    let log = aws.log().into_iter();
    log.filter(|entry| entry["mutating"] == true && entry["status"] == 200)
        .collect()
}

/// The ID of the API that the tests protect.
fn api_id(aws: &TestAws) -> String {
    let account = aws.account();
    let apis = account["rest_apis"].as_array().expect("a list");
    let api = apis.iter().find(|api| api["name"] == "orders-api");
    api.and_then(|api| api["id"].as_str())
        .expect("the API")
        .to_owned()
}

/// A function of the other stack in the seed.
const OTHER: &str = "arn:aws:lambda:us-east-1:123456789012:function:threescale-gw-other-authorizer";

/// Every name that must be exact: the error message, and how another user creates a resource with that name.
const NAMES: &[(&str, Take)] = &[
    (
        "iam-role/authorizer cannot be created: threescale-gw-orders-us-east-1 already exists",
        |aws| {
            let trust = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
            ]});
            let role = json!({"RoleName": "threescale-gw-orders-us-east-1", "AssumeRolePolicyDocument": trust.to_string()});
            aws.call("iam", "CreateRole", role);
        },
    ),
    (
        "lambda/reporter cannot be created: threescale-gw-orders-reporter already exists",
        |aws| {
            let zip = STANDARD.encode(artifact(9));
            let role =
                "arn:aws:iam::123456789012:role/threescale-gw/threescale-gw-other-authorizer";
            let function = json!({
                "FunctionName": "threescale-gw-orders-reporter", "Runtime": "provided.al2023", "Handler": "bootstrap",
                "Role": role, "Code": {"ZipFile": {"$base64": zip}},
            });
            aws.call("lambda", "CreateFunction", function);
        },
    ),
    (
        "log-group/authorizer cannot be created: /aws/lambda/threescale-gw-orders-authorizer already exists",
        |aws| {
            let group = json!({"logGroupName": "/aws/lambda/threescale-gw-orders-authorizer"});
            aws.call("logs", "CreateLogGroup", group);
        },
    ),
    (
        "cache-subnet-group/main cannot be created: threescale-gw-orders-cache already exists",
        |aws| {
            let account = aws.account();
            let groups = account["cache_subnet_groups"].as_array().expect("a list");
            let subnet = &groups[0]["Subnets"][0]["SubnetIdentifier"];
            let group = json!({
                "CacheSubnetGroupName": "threescale-gw-orders-cache", "CacheSubnetGroupDescription": "theirs",
                "SubnetIds": [subnet],
            });
            aws.call("elasticache", "CreateCacheSubnetGroup", group);
        },
    ),
    (
        "cache/main cannot be created: threescale-gw-orders-cache already exists",
        |aws| {
            let account = aws.account();
            let groups = account["cache_subnet_groups"].as_array().expect("a list");
            let theirs = groups
                .iter()
                .find(|group| group["tags"]["threescale-gw:stack"] == "other");
            let group = json!({
                "ReplicationGroupId": "threescale-gw-orders-cache", "ReplicationGroupDescription": "theirs",
                "Engine": "redis", "CacheNodeType": "cache.t4g.micro", "NumCacheClusters": 1,
                "CacheSubnetGroupName": theirs.expect("their group")["CacheSubnetGroupName"],
            });
            aws.call("elasticache", "CreateReplicationGroup", group);
        },
    ),
    (
        "schedule/reporter cannot be created: threescale-gw-orders-reporter already exists",
        |aws| {
            let rule = json!({"Name": "threescale-gw-orders-reporter", "ScheduleExpression": "rate(1 day)"});
            aws.call("events", "PutRule", rule);
        },
    ),
    ("already exists and it invokes another function", |aws| {
        let authorizer = json!({
            "restApiId": api_id(aws), "name": "threescale-gw-orders-authorizer", "type": "REQUEST",
            "authorizerUri": format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{OTHER}/invocations"),
            "identitySource": "method.request.header.apikey",
        });
        aws.call("apigateway", "CreateAuthorizer", authorizer);
    }),
];

#[test]
fn a_name_that_somebody_else_took_is_refused() {
    let aws = TestAws::start();
    for (text, take) in NAMES {
        aws.post("reset", &json!({}));
        aws.seed();
        take(&aws);
        let workplace = Workplace::new(&aws);
        assert_mentions(&workplace.run(&["plan"]), 4, &[text]);
        assert_mentions(&workplace.run(&["up", "--yes"]), 4, &[text]);
        assert!(aws.changes().is_empty(), "{text}");
        aws.check_log();
    }
}

#[test]
fn a_parameter_that_somebody_else_put_among_ours_is_left_alone() {
    let aws = TestAws::seeded();
    let put = |name: &str| {
        let parameter = json!({"Name": format!("/threescale-gw/orders/secrets/{name}"), "Value": "theirs", "Type": "String"});
        aws.call("ssm", "PutParameter", parameter);
    };
    put("service-token");
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let name = "/threescale-gw/orders/secrets/service-token";
    let theirs = || {
        let account = aws.account();
        let all = account["parameters"].as_array().expect("a list").clone();
        all.into_iter().find(|parameter| parameter["name"] == name)
    };
    let was = theirs();
    // The stack is deployed alongside it.
    workplace.succeed(&["up", "--yes"]);
    assert_mentions(&workplace.run(&["up", "--yes"]), 0, &["No changes"]);
    assert_eq!(theirs(), was);
    let down = workplace.run(&["down", "--yes"]);
    assert_mentions(&down, 0, &[&format!("{name} is left alone")]);
    assert_same(&before, &aws.account());
    aws.call("ssm", "DeleteParameter", json!({"Name": name}));

    // A secret that no resource of the stack uses is not deleted either. The stack's own secrets are.
    workplace.succeed(&["up", "--yes"]);
    put("another");
    let text = "/threescale-gw/orders/secrets/another";
    assert_mentions(&workplace.run(&["up", "--yes"]), 4, &[text]);
    workplace.succeed(&["down", "--yes"]);
    aws.call("ssm", "DeleteParameter", json!({"Name": text}));
    put("service-token");
    assert_same(&before, &aws.account());
}

#[test]
fn all_findings_come_at_once_and_nothing_is_changed() {
    let aws = TestAws::seeded();
    NAMES.iter().for_each(|(_, take)| take(&aws));
    let quotas = json!({"vpcs": 2, "elastic_ips": 2, "nat_gateways": 1});
    aws.post("config", &json!({"quotas": quotas}));
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    workplace.edit("stage: prod", "stage: staging");

    let mut texts: Vec<_> = NAMES.iter().map(|(text, _)| *text).collect();
    texts.extend([
        r#"has no stage "staging" with a deployment; "#,
        "1 more needed, but the quota for VPCs is 2 and 2 are used",
        "1 more needed, but the quota for Elastic IPs is 2 and 2 are used",
        "1 more needed, but the quota for NAT gateways in us-east-1a is 1 and 1 are used",
        "nothing was changed, because",
    ]);
    for command in [&["plan"][..], &["up", "--yes"]] {
        assert_mentions(&workplace.run(command), 4, &texts);
    }
    let down = workplace.run(&["down", "--yes", "--stack", "orders"]);
    assert_mentions(
        &down,
        0,
        &["threescale-gw-orders-us-east-1 is left alone", "No changes"],
    );
    assert!(aws.changes().is_empty());
    assert_same(&before, &aws.account());
}

#[test]
fn each_finding_comes_alone_too() {
    let aws = TestAws::seeded();
    let ample = json!({"vpcs": 5, "elastic_ips": 5, "nat_gateways": 5});
    // The edit, the exhausted quota, and the error message.
    let cases = [
        (
            "name: orders-api",
            "name: order-api",
            json!({}),
            "no API has the name order-api in account 123456789012 and Region us-east-1; did you mean `orders-api`?",
        ),
        (
            "name: orders-api",
            "id: zzzzzzzzzz",
            json!({}),
            "no API has the id zzzzzzzzzz",
        ),
        (
            "stage: prod",
            "stage: staging",
            json!({}),
            r#"has no stage "staging" with a deployment; "#,
        ),
        (
            "stage: prod",
            "stage: prod",
            json!({"vpcs": 2}),
            "the quota for VPCs is 2",
        ),
        (
            "stage: prod",
            "stage: prod",
            json!({"elastic_ips": 2}),
            "the quota for Elastic IPs is 2",
        ),
        (
            "stage: prod",
            "stage: prod",
            json!({"nat_gateways": 1}),
            "the quota for NAT gateways in us-east-1a is 1",
        ),
        (
            "tags: {team: payments}",
            "network: {nat: per-zone}",
            json!({"nat_gateways": 1}),
            "1 more needed, but the quota for NAT gateways in us-east-1a is 1",
        ),
        (
            r#"except: ["GET /health"]"#,
            r#"protect: ["GET /nothing"]"#,
            json!({}),
            "no method of API",
        ),
        (
            r#"except: ["GET /health"]"#,
            r#"protect: ["GET /ordres", "GET /orders"]"#,
            json!({}),
            "`api.protect`: GET /ordres selects no method of the API: did you mean GET /orders?",
        ),
        (
            "tags: {team: payments}",
            "network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0]}",
            json!({}),
            "there is no VPC vpc-0123456789abcdef0",
        ),
    ];
    for (from, to, full, text) in cases {
        aws.post("config", &json!({"quotas": ample}));
        aws.post("config", &json!({"quotas": full}));
        let workplace = Workplace::new(&aws);
        workplace.edit(from, to);
        assert_mentions(&workplace.run(&["up", "--yes"]), 4, &[text]);
        assert!(aws.changes().is_empty(), "{text}");
    }
    // A deployed stack is not blocked by quotas, or by missing permission to read them.
    aws.post("config", &json!({"quotas": ample}));
    aws.post(
        "faults",
        &json!([{"operation": "GetServiceQuota", "kind": "deny"}]),
    );
    let workplace = Workplace::new(&aws);
    let up = workplace.succeed(&["up", "--yes"]);
    let said = up.stderr.matches("some quotas could not be read").count();
    assert_eq!(said, 1, "{}", up.stderr);
    aws.post(
        "config",
        &json!({"quotas": {"vpcs": 3, "elastic_ips": 3, "nat_gateways": 2}}),
    );
    aws.post("faults", &json!([]));
    workplace.edit("stage: prod", "stage: prod, protect: [\"GET /orders\"]");
    workplace.succeed(&["up", "--yes"]);
}

/// Every command refuses another account or region than the configuration allows, with `--stack` too.
#[test]
fn the_configuration_can_name_the_only_account_and_region() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let at = |account: &str, region: &str| {
        let here = Workplace::new(&aws);
        let place = format!("stack: orders\naccount: \"{account}\"\nregion: {region}");
        here.edit("stack: orders", &place);
        here
    };
    here.succeed(&["up", "--yes"]);
    let before = aws.account();
    for (there, text) in [
        (
            at("210987654321", "us-east-1"),
            "`account` of the configuration is 210987654321",
        ),
        (
            at("123456789012", "eu-west-1"),
            "`region` of the configuration is eu-west-1",
        ),
    ] {
        for command in [
            &["plan"][..],
            &["up", "--yes"],
            &["status"],
            &["verify"],
            &["rollback"],
            &["unlock"],
            &["down", "--yes"],
            &["down", "--yes", "--stack", "orders"],
        ] {
            assert_mentions(&there.run(command), 4, &[text]);
        }
    }
    assert_same(&before, &aws.account());
    let there = at("123456789012", "us-east-1");
    there.succeed(&["plan", "--exit-code"]);
}

/// An artifact that cannot be read is a problem of the configuration, at its position.
#[test]
fn an_artifact_that_is_no_file_is_refused_at_its_place() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    for (artifact, text) in [
        ("nothing.zip", "nothing.zip"),
        ("/", "it is not a regular file"),
        ("/dev/zero", "it is not a regular file"),
    ] {
        here.edit("artifact: bootstrap.zip", &format!("artifact: {artifact}"));
        for command in ["plan", "status"] {
            let run = here.run(&[command]);
            let line = "threescale-gw.yaml:6:24: authorizer.artifact: ";
            assert_mentions(&run, 2, &[line, text]);
        }
        here.edit(&format!("artifact: {artifact}"), "artifact: bootstrap.zip");
    }
    assert!(aws.log().is_empty());
}

#[test]
fn a_method_that_cannot_be_deployed_is_found_before_the_first_change() {
    let aws = TestAws::seeded();
    let id = api_id(&aws);
    let resource = resource_id(&aws.account(), &id, "/orders");
    let method = json!({"restApiId": id, "resourceId": resource, "httpMethod": "DELETE", "authorizationType": "NONE"});
    aws.call("apigateway", "PutMethod", method);
    let workplace = Workplace::new(&aws);
    let text = "a method without an integration: add one to DELETE /orders, or delete it";
    assert_mentions(&workplace.run(&["up", "--yes"]), 4, &[text]);
    assert!(aws.changes().is_empty());
}

#[test]
fn without_the_api_all_else_is_found_at_once_too() {
    let aws = TestAws::seeded();
    let quotas = json!({"vpcs": 2, "elastic_ips": 2, "nat_gateways": 1});
    aws.post("config", &json!({"quotas": quotas}));
    let workplace = Workplace::new(&aws);
    workplace.edit("name: orders-api", "name: another-api");
    let texts = [
        "no API has the name another-api",
        "the quota for VPCs is 2",
        "the quota for Elastic IPs is 2",
        "the quota for NAT gateways in us-east-1a is 1",
    ];
    assert_mentions(&workplace.run(&["up", "--yes"]), 4, &texts);
    assert!(aws.changes().is_empty());
}

#[test]
fn zones_that_lack_something_are_the_last_choice() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    // The fifth zone of us-east-1 in the test AWS is use1-az3, which does not offer everything.
    workplace.edit("tags: {team: payments}", "network: {zones: 5}");
    workplace.succeed(&["up", "--yes"]);
    let account = aws.account();
    let subnets = account["subnets"].as_array().expect("a list");
    let zones: BTreeSet<_> = subnets
        .iter()
        .filter(|subnet| subnet["tags"]["threescale-gw:stack"] == "orders")
        .filter_map(|subnet| subnet["zone"].as_str())
        .collect();
    let others = ["a", "b", "c", "d", "f"].map(|letter| format!("us-east-1{letter}"));
    assert_eq!(zones, others.iter().map(String::as_str).collect());
    let plan = workplace.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);

    let fault = json!({"operation": "CreateNatGateway", "kind": "error", "code": "NotAvailableInZone",
                       "message": "Nat Gateway is not available in this availability zone", "status": 400});
    workplace.succeed(&["down", "--yes"]);
    aws.post("faults", &json!([fault]));
    let up = workplace.run(&["up", "--yes"]);
    assert_mentions(&up, 5, &["NotAvailableInZone", "`network.vpc`"]);
    aws.post("faults", &json!([]));
    workplace.succeed(&["down", "--yes"]);
}

#[test]
fn one_cause_is_told_once() {
    let aws = TestAws::seeded();
    aws.post(
        "faults",
        &json!([{"operation": "CreateSubnet", "kind": "deny"}]),
    );
    let up = Workplace::new(&aws).run(&["up", "--yes"]);
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    let count = |text: &str| up.stderr.matches(text).count();
    assert_eq!(count("grant ec2:CreateSubnet"), 1, "{}", up.stderr);
    assert_eq!(
        count("ec2:CreateSubnet, as with subnet/"),
        3,
        "{}",
        up.stderr
    );
}

/// The operations in the log, by service and name, each with the IAM action that allows it.
fn operations(aws: &TestAws, mutating: bool) -> BTreeMap<(String, String), String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let log = aws
        .log()
        .into_iter()
        .filter(|entry| entry["mutating"] == mutating);
    log.map(|entry| {
        let operation = (text(&entry["service"]), text(&entry["operation"]));
        (operation, text(&entry["iam_action"]))
    })
    .collect()
}

#[test]
fn a_plan_that_may_not_look_names_the_permission() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let denied_each = |times: usize| {
        aws.post("log/clear", &json!({}));
        workplace.succeed(&["plan"]);
        let reads = operations(&aws, false);
        assert!(reads.len() >= times, "{reads:?}");
        for ((service, operation), action) in reads {
            aws.post(
                "faults",
                &json!([{"service": service, "operation": operation, "kind": "deny"}]),
            );
            let plan = workplace.run(&["plan"]);
            // A plan succeeds without what only its checks need.
            let checks = [
                "GetServiceQuota",
                "GetAccountSettings",
                "DescribeVpcBlockPublicAccessOptions",
                "DescribeAccountVpcEncryptionControl",
                "ListRequiredTags",
                "SimulatePrincipalPolicy",
                "DescribeReservedCacheNodesOfferings",
                "DescribeInstanceTypeOfferings",
                "ListAccountAliases",
                // The API is a REST API, and a policy of a former release does not contain this one.
                "GetApis",
            ];
            let code = if checks.contains(&&*operation) { 0 } else { 1 };
            let hint = format!("grant {action} to the calling identity");
            let texts: &[&str] = if code == 0 { &[] } else { &[&hint, &operation] };
            assert_mentions(&plan, code, texts);
        }
        aws.post("faults", &json!([]));
        assert!(aws.changes().is_empty());
    };
    denied_each(20);
    workplace.succeed(&["up", "--yes"]);
    aws.check_log();
    denied_each(25);
}

#[test]
fn an_up_that_lacks_a_permission_does_the_rest_and_the_next_one_completes() {
    let aws = TestAws::seeded();
    Workplace::new(&aws).succeed(&["up", "--yes"]);
    let operations = operations(&aws, true);
    assert!(operations.len() >= 25, "{operations:?}");
    let left = Mutex::new(operations.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let aws = TestAws::start();
                loop {
                    let next = left.lock().expect("the rest").next();
                    let Some(((service, operation), action)) = next else {
                        return;
                    };
                    aws.post("reset", &json!({}));
                    aws.seed();
                    denied(&aws, &service, &operation, &action);
                    aws.check_log();
                }
            });
        }
    });
}

#[test]
fn the_permission_that_lacks_is_named_where_it_is_not_the_call_s_own() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    for (operation, action) in [
        ("CreateVpc", "ec2:CreateTags"),
        ("CreateFunction", "iam:PassRole"),
    ] {
        aws.post(
            "faults",
            &json!([{"operation": operation, "kind": "deny", "iam_action": action}]),
        );
        let run = workplace.run(&["up", "--yes"]);
        let hint = format!("grant {action} to the calling identity");
        assert_mentions(&run, 5, &[operation, &hint]);
    }
}

/// Runs `up` once without the permission for `operation` and once with it.
fn denied(aws: &TestAws, service: &str, operation: &str, action: &str) {
    let workplace = Workplace::new(aws);
    aws.post(
        "faults",
        &json!([{"service": service, "operation": operation, "kind": "deny"}]),
    );
    let run = workplace.run(&["up", "--yes", "-o", "json"]);
    let lines = run.lines();
    let summary = lines.last().expect("a summary").clone();
    let hint = format!("grant {action} to the calling identity");
    let of = |event: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["event"] == event).collect()
    };
    match operation {
        // Without the lock, the run does nothing.
        "PutParameter" => {
            assert_eq!(
                (run.code, carried_out(aws).len()),
                (Some(1), 0),
                "{}",
                run.stdout
            );
            assert!(run.stdout.contains(&hint), "{}", run.stdout);
        }
        // The lock remains, but it is stale because its owner's process has ended.
        "DeleteParameter" => {
            assert_eq!(run.code, Some(0), "{}", run.stdout);
            assert!(
                run.stdout.contains("could not release the lock"),
                "{}",
                run.stdout
            );
        }
        _ => {
            let (failed, skipped, finished) = (of("failed"), of("skipped"), of("finished"));
            assert_eq!(
                (run.code, &summary["outcome"]),
                (Some(5), &json!("partial")),
                "{operation}: {}",
                run.stdout
            );
            assert!(!failed.is_empty(), "{operation}");
            for (index, failure) in failed.iter().enumerate() {
                // The first failure shows the cause. The others refer to it.
                let (hint, again) = match index {
                    0 => (json!(hint), false),
                    _ => (Value::Null, true),
                };
                assert_eq!(failure["hint"], hint, "{operation}");
                let text = failure["error"].as_str().unwrap_or_default();
                assert_eq!(text.contains(", as with "), again, "{failure}");
                assert!(
                    failure["error"]
                        .as_str()
                        .is_some_and(|error| error.contains(operation)),
                    "{failure}"
                );
                assert!(
                    failure["resource"]
                        .as_str()
                        .is_some_and(|id| id.contains('/')),
                    "{failure}"
                );
            }
            // Every resource has exactly one result, and each skipped resource is skipped because of a failure.
            assert_eq!(
                failed.len() + skipped.len() + finished.len(),
                30,
                "{operation}: {}",
                run.stdout
            );
            let causes: BTreeSet<_> = failed
                .iter()
                .filter_map(|line| line["resource"].as_str())
                .collect();
            for line in &skipped {
                assert!(
                    line["because"]
                        .as_str()
                        .is_some_and(|id| causes.contains(id)),
                    "{line}"
                );
            }
            assert_eq!(summary["created"], json!(finished.len()), "{operation}");
        }
    }
    aws.post("faults", &json!([]));
    let run = workplace.run(&["up", "--yes"]);
    assert_eq!(
        run.code,
        Some(0),
        "after {operation} was denied: {}",
        run.stderr
    );
    let plan = workplace.run(&["plan", "--exit-code"]);
    assert_eq!(
        plan.code,
        Some(0),
        "after {operation} was denied: {}",
        plan.stdout
    );
}

#[test]
fn without_a_terminal_region_or_credentials_nothing_begins() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    for command in ["up", "down"] {
        let run = workplace.run(&[command]);
        assert_mentions(
            &run,
            4,
            &["not a terminal: cannot ask for confirmation", "--yes"],
        );
        // A wrong configuration is reported first.
        let run = workplace.command(&[command, "-f", "none.yaml"]).output();
        let run = Run::of(run.expect("the binary runs"));
        assert_mentions(&run, 2, &["reading the configuration none.yaml"]);
    }
    let no_region = workplace
        .command(&["plan"])
        .env_remove("AWS_REGION")
        .output();
    let no_region = Run::of(no_region.expect("the binary runs"));
    assert_mentions(&no_region, 2, &["no AWS region is known", "--region"]);
    let without_keys = workplace
        .command(&["up", "--yes"])
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .output();
    let without_keys = Run::of(without_keys.expect("the binary runs"));
    assert_mentions(
        &without_keys,
        4,
        &[
            "no usable credentials",
            "no credentials are found: name a profile",
        ],
    );
    // The output shows the causes as text and not the SDK's debug output of the error.
    assert!(
        !without_keys.stderr.contains("{ "),
        "{}",
        without_keys.stderr
    );
    assert_eq!(aws.get("stats")["requests"], 0);

    let codes = [
        (
            "InvalidClientTokenId",
            403,
            "AWS does not recognize the access key",
        ),
        ("ExpiredTokenException", 400, "the credentials have expired"),
        (
            "SignatureDoesNotMatch",
            403,
            "the secret access key does not belong to the access key",
        ),
    ];
    for (code, status, words) in codes {
        let fault =
            json!({"kind": "error", "code": code, "message": "not accepted", "status": status});
        aws.post("faults", &json!([fault]));
        for command in [
            &["plan"][..],
            &["up", "--yes"],
            &["status"],
            &["down", "--yes"],
        ] {
            let run = workplace.run(command);
            let texts = [
                code,
                words,
                "the credentials are those of AWS_ACCESS_KEY_ID",
            ];
            assert_mentions(&run, 4, &texts);
            assert_eq!(run.stderr.matches("hint:").count(), 1, "{}", run.stderr);
        }
    }
    assert!(aws.changes().is_empty());
}

/// Text from the account neither controls the terminal nor forges lines of output.
#[test]
fn what_others_write_in_the_account_cannot_control_the_terminal() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    workplace.succeed(&["up", "--yes"]);
    let host = "build\u{1b}]0;owned\u{7}\nerror: forged\u{9b}2J";
    put_lock(&aws, &lock(host, "0", 4711).to_string());
    let variables =
        json!({"Variables": {"EVIL": "\u{1b}[2J", "THREESCALE_GW_ROLE": "a\u{1b}[2J\u{202e}b"}});
    aws.call(
        "lambda",
        "UpdateFunctionConfiguration",
        json!({"FunctionName": "threescale-gw-orders-reporter", "Environment": variables}),
    );
    for command in [&["status"][..], &["plan"], &["up", "--yes"]] {
        let run = workplace.run(command);
        let shown = format!("{}\n{}", run.stdout, run.stderr);
        let unsafe_characters: String = shown
            .chars()
            .filter(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c))
            .collect();
        assert_eq!(unsafe_characters, "", "{shown}");
        assert!(
            !shown.lines().any(|line| line.starts_with("error: forged")),
            "{shown}"
        );
        assert!(shown.contains(r"\u{1b}"), "{shown}");
    }
}

#[test]
fn a_protected_stack_is_not_taken_down() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    workplace.edit("stack: orders", "stack: orders\ndeletion_protection: true");
    workplace.succeed(&["up", "--yes"]);
    let whole = aws.account();
    aws.check_log();
    for arguments in [
        &["down", "--yes"][..],
        &["down", "--yes", "--stack", "orders", "-f", "none.yaml"],
    ] {
        let down = workplace.run(arguments);
        assert_mentions(
            &down,
            4,
            &[
                "stack orders is protected against deletion",
                "deletion_protection: false",
            ],
        );
    }
    assert!(aws.changes().is_empty());
    workplace.edit("deletion_protection: true", "deletion_protection: false");
    let still = workplace.run(&["down", "--yes"]);
    assert_mentions(&still, 4, &["is protected against deletion"]);
    assert_same(&whole, &aws.account());
    workplace.succeed(&["up", "--yes"]);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

//! `plan --out` and `up --plan`: what was approved is what is done, and everything else is refused before any change.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use threescale_gw::cli::Document;
use threescale_gw::kind::Kind;

use crate::moves;
use crate::own_route::Vpc;
use crate::support::drifted::Stack;
use crate::support::http_api;
use crate::support::{Run, TestAws, Workplace, artifact, schemas, standing};

const FILE: &str = "plan.json";
const ROLE: &str = "threescale-gw-orders-us-east-1";
const NAME: &str = "threescale-gw-orders-cache";

/// Writes a plan.
fn plan(here: &Workplace) -> Value {
    here.succeed(&["plan", "--out", FILE]);
    let text = fs::read_to_string(here.path(FILE)).expect("a plan");
    let plan = serde_json::from_str(&text).expect("JSON");
    assert_eq!(schemas::fault(Document::PlanFile, &plan), None, "{text}");
    plan
}

fn apply(here: &Workplace) -> Run {
    here.run(&["up", "--plan", FILE])
}

/// Requires a refusal with these texts and without a change.
#[track_caller]
fn assert_refused(aws: &TestAws, run: &Run, code: &str, texts: &[&str]) {
    assert_eq!(run.code, Some(4), "{}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains(&format!("error[{code}]: ")),
        "{}",
        run.stderr
    );
    for text in texts {
        assert!(run.stderr.contains(text), "{text}: {}", run.stderr);
    }
    assert_eq!(aws.changes(), [""; 0], "{}", run.stderr);
}

/// The same folder for another account.
fn copied(here: &Workplace, aws: &TestAws) -> Workplace {
    let copy = Workplace::new(aws);
    for name in [FILE, "threescale-gw.yaml", "bootstrap.zip"] {
        let bytes = fs::read(here.path(name)).expect("a file");
        copy.write(name, &bytes);
    }
    copy
}

fn untag(stack: &Stack, list: &str, id: &str) {
    let tags = json!({"Resources": [stack.id(list, id)], "Tags": [{"Key": "team"}]});
    stack.ec2("DeleteTags", tags);
}

fn untag_cache(stack: &Stack, kind: &str) {
    let arn = format!("arn:aws:elasticache:us-east-1:123456789012:{kind}:{NAME}");
    let parameters = json!({"ResourceName": arn, "TagKeys": ["team"]});
    stack
        .aws
        .call("elasticache", "RemoveTagsFromResource", parameters);
}

/// A change of one resource by another user, and its logical id.
type Change = (&'static str, fn(&Stack));

/// One of each kind that the stack of the tests has.
const CHANGES: &[Change] = &[
    ("vpc/main", |stack| untag(stack, "vpcs", "vpc/main")),
    ("subnet/private-a", |stack| {
        untag(stack, "subnets", "subnet/private-a");
    }),
    ("internet-gateway/main", |stack| {
        untag(stack, "internet_gateways", "internet-gateway/main");
    }),
    ("elastic-ip/a", |stack| {
        untag(stack, "addresses", "elastic-ip/a");
    }),
    ("nat-gateway/a", Stack::delete_nat_gateway),
    ("route-table/private", |stack| {
        let table = stack.id("route_tables", "route-table/private");
        let route = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"});
        stack.ec2("DeleteRoute", route);
    }),
    ("security-group/cache", |stack| {
        let group = stack.id("security_groups", "security-group/cache");
        let rule = json!({"GroupId": group, "IpPermissions": [
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ]});
        stack.ec2("AuthorizeSecurityGroupIngress", rule);
    }),
    ("cache-subnet-group/main", |stack| {
        untag_cache(stack, "subnetgroup");
    }),
    ("cache/main", |stack| untag_cache(stack, "replicationgroup")),
    ("secret/service-token", |stack| {
        let name = "/threescale-gw/orders/secrets/service-token";
        stack
            .aws
            .call("ssm", "DeleteParameter", json!({"Name": name}));
    }),
    ("parameter/cache-endpoint", |stack| {
        let parameter = json!({"Name": "/threescale-gw/orders/cache-endpoint", "Value": "elsewhere:6379",
            "Type": "String", "Overwrite": true});
        stack.aws.call("ssm", "PutParameter", parameter);
    }),
    // `plan` alone does not look at further policies of the role.
    ("iam-role/authorizer", |stack| {
        let document = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
        ]});
        let policy =
            json!({"RoleName": ROLE, "PolicyName": "more", "PolicyDocument": document.to_string()});
        stack.aws.call("iam", "PutRolePolicy", policy);
    }),
    ("log-group/reporter", |stack| {
        let name = "/aws/lambda/threescale-gw-orders-reporter";
        stack
            .aws
            .call("logs", "DeleteLogGroup", json!({"logGroupName": name}));
    }),
    ("lambda/authorizer", |stack| {
        let memory = json!({"MemorySize": 512});
        stack.lambda("UpdateFunctionConfiguration", memory);
    }),
    ("lambda-alias/authorizer", |stack| {
        let version = json!({"Name": "live", "FunctionVersion": "$LATEST"});
        stack.lambda("UpdateAlias", version);
    }),
    ("lambda-permission/everybody", |stack| {
        let permission = json!({"StatementId": "everybody", "Action": "lambda:InvokeFunction", "Principal": "*",
            "Qualifier": "live"});
        stack.lambda("AddPermission", permission);
    }),
    ("schedule/reporter", |stack| {
        let rule =
            json!({"Name": "threescale-gw-orders-reporter", "ScheduleExpression": "rate(1 day)"});
        stack.aws.call("events", "PutRule", rule);
    }),
    ("api-authorizer/main", |stack| {
        let patch =
            json!({"op": "replace", "path": "/authorizerResultTtlInSeconds", "value": "3600"});
        let parameters = json!({"restApiId": stack.api().0, "authorizerId": stack.authorizer_id(),
            "patchOperations": [patch]});
        stack.aws.call("apigateway", "UpdateAuthorizer", parameters);
    }),
    ("api-attachment/main", |stack| {
        stack.open("GET /orders");
        stack.publish();
    }),
];

/// The kinds that only other stacks have.
const WITH_LINES: &str = "network: {nat: instance, endpoints: true}\ncache: {kind: serverless}\nmonitoring: {topic: \"arn:aws:sns:us-east-1:123456789012:alarms\", dashboard: true}";
const OTHERS: &[Change] = &[
    ("nat-instance/a", |stack| {
        untag(stack, "instances", "nat-instance/a");
    }),
    ("vpc-endpoint/ssm", |stack| {
        untag(stack, "vpc_endpoints", "vpc-endpoint/ssm");
    }),
    ("serverless-cache/main", |stack| {
        untag_cache(stack, "serverlesscache");
    }),
    ("cache-user/main", |stack| {
        let user = json!({"UserId": NAME, "AccessString": "on ~* +@all"});
        stack.aws.call("elasticache", "ModifyUser", user);
    }),
    ("cache-user-group/main", |stack| {
        untag_cache(stack, "usergroup");
    }),
    ("alarm/usage-lost", |stack| {
        let names = json!({"AlarmNames": ["threescale-gw-orders-usage-lost"]});
        stack.aws.call("cloudwatch", "DisableAlarmActions", names);
    }),
    ("dashboard/main", |stack| {
        let dashboard = json!({"DashboardName": "threescale-gw-orders-us-east-1", "DashboardBody": "{\"widgets\": []}"});
        stack.aws.call("cloudwatch", "PutDashboard", dashboard);
    }),
];

/// Makes each change in an account of its own, between the plan and its execution.
fn each_is_refused(aws: &TestAws, here: &Workplace, changes: &[Change]) {
    plan(here);
    let one = |(id, change): &Change| {
        let copy = aws.fork();
        let workplace = copied(here, &copy);
        let stack = Stack {
            aws: copy,
            workplace,
            before: Value::Null,
            whole: Value::Null,
        };
        change(&stack);
        stack.aws.post("log/clear", &json!({}));
        let run = apply(&stack.workplace);
        assert_refused(&stack.aws, &run, "plan-stale", &[&format!("{id}: ")]);
    };
    std::thread::scope(|scope| {
        for some in changes.chunks(changes.len().div_ceil(4)) {
            scope.spawn(move || some.iter().for_each(one));
        }
    });
}

#[test]
fn a_change_of_any_kind_of_resource_since_the_plan_is_refused_by_name() {
    let (aws, here) = standing();
    // The plan has something to do.
    here.edit("authorizer: {", "authorizer: {log_retention_days: 30, ");
    each_is_refused(&aws, &here, CHANGES);

    let aws = TestAws::seeded();
    let quotas = json!({"vpcs": 10, "elastic_ips": 10, "nat_gateways": 10, "vcpus": 10});
    aws.post("config", &json!({"quotas": quotas}));
    let here = moves::workplace(&aws, WITH_LINES);
    here.succeed(&["up", "--yes"]);
    each_is_refused(&aws, &here, OTHERS);

    // The association of a subnet of the operator.
    let aws = TestAws::seeded();
    aws.post(
        "config",
        &json!({"quotas": {"vpcs": 10, "elastic_ips": 10}}),
    );
    let here = moves::workplace(&aws, &Vpc::new(&aws, "10.9", true).routed(""));
    here.succeed(&["up", "--yes"]);
    let planned = plan(&here);
    let resources = planned["resources"].as_array().expect("a list").iter();
    let mut associated = resources.filter(|one| one["kind"] == "route-association");
    let association = associated.next().expect("an association");
    let subnet = association["id"].as_str().expect("an id");
    let (_, subnet) = subnet.split_once('/').expect("a kind");
    let filter = json!({"Filters": [{"Name": "association.subnet-id", "Values": [subnet]}]});
    let tables = aws.call("ec2", "DescribeRouteTables", filter);
    let mut associations = tables["RouteTables"][0]["Associations"]
        .as_array()
        .expect("a list")
        .iter();
    let found = associations.find(|one| one["SubnetId"] == subnet);
    let found = &found.expect("an association")["RouteTableAssociationId"];
    aws.call(
        "ec2",
        "DisassociateRouteTable",
        json!({"AssociationId": found}),
    );
    aws.post("log/clear", &json!({}));
    let refused = apply(&here);
    let named = format!("route-association/{subnet}: ");
    assert_refused(&aws, &refused, "plan-stale", &[&named]);

    let kind = |id: &str| Kind::parse(id.split('/').next().unwrap_or_default()).expect("a kind");
    let mut tried: BTreeSet<_> = CHANGES
        .iter()
        .chain(OTHERS)
        .map(|(id, _)| kind(id))
        .collect();
    tried.insert(Kind::RouteAssociation);
    // AWS leaves network interfaces behind. No plan has them.
    tried.insert(Kind::NetworkInterface);
    assert_eq!(tried, Kind::ALL.into_iter().collect());
}

#[test]
fn what_was_approved_is_done_without_a_question_and_once() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let said = here.succeed(&["plan", "--out", FILE]).stderr;
    let next =
        "The plan is in plan.json. This does exactly that: threescale-gw up --plan plan.json";
    assert!(said.contains(next), "{said}");
    let planned = plan(&here);
    let total = planned["totals"]["create"].as_u64().expect("a number");
    let closed = planned["methods"]["closed"].as_array().map(Vec::len);
    assert_eq!(
        (closed, &planned["methods"]["opened"]),
        (Some(4), &json!([]))
    );
    let metadata = fs::metadata(here.path(FILE)).expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let run = here.run(&["up", "--plan", FILE, "-o", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = run.lines();
    assert_eq!(lines.last().expect("a summary")["created"], total);
    let shown = lines.iter().find(|line| line["event"] == "plan");
    assert_eq!(shown.expect("the plan")["resources"], planned["resources"]);
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));

    // It was carried out.
    aws.post("log/clear", &json!({}));
    let again = here.run(&["up", "--plan", FILE, "-o", "json"]);
    assert_refused(&aws, &again, "plan-stale", &["vpc/main: vpc-"]);
    let lines = again.lines();
    let error = lines.iter().find(|line| line["event"] == "error");
    let findings = &error.expect("an error")["findings"];
    assert_eq!(findings[0]["code"], "plan-stale");
    assert!(findings[0]["resource"].is_string(), "{findings}");

    // A plan of nothing does nothing.
    plan(&here);
    aws.post("log/clear", &json!({}));
    let nothing = apply(&here);
    assert_eq!(nothing.code, Some(0), "{}", nothing.stderr);
    assert!(nothing.stderr.contains("No changes"), "{}", nothing.stderr);
    assert_eq!(aws.changes(), [""; 0]);
}

#[test]
fn a_change_while_the_lock_is_taken_is_refused_too() {
    let (aws, here) = standing();
    here.edit("authorizer: {", "authorizer: {memory: 256, ");
    plan(&here);
    aws.post("log/clear", &json!({}));
    let lock = json!({"service": "ssm", "operation": "PutParameter", "nth": 1, "kind": "hold"});
    let run = here.run_with(&aws, &["up", "--plan", FILE], &lock, || {
        let rule =
            json!({"Name": "threescale-gw-orders-reporter", "ScheduleExpression": "rate(1 day)"});
        aws.call("events", "PutRule", rule);
    });
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("schedule/reporter: "), "{}", run.stderr);
    let changes: BTreeSet<_> = aws.changes().into_iter().collect();
    let of_lock = [
        "AddTagsToResource",
        "DeleteParameter",
        "PutParameter",
        "PutRule",
    ];
    assert!(
        changes.iter().all(|one| of_lock.contains(&&**one)),
        "{changes:?}"
    );
    here.succeed(&["up", "--yes"]);
}

#[test]
fn a_file_of_something_else_is_refused_with_what_differs() {
    let (aws, here) = standing();
    here.edit("authorizer: {", "authorizer: {memory: 256, ");
    plan(&here);
    let original = fs::read(here.path(FILE)).expect("a plan");
    let configuration = fs::read_to_string(here.path("threescale-gw.yaml")).expect("a file");
    aws.post("log/clear", &json!({}));

    // A comment and another order change nothing of the configuration.
    here.edit("stack: orders", "# a comment\nstack: orders");
    here.edit("memory: 256", "memory: 512");
    let text = "the configuration differs: authorizer.memory is 256 in the plan, and 512 now";
    assert_refused(&aws, &apply(&here), "plan-mismatch", &[text]);
    here.write("threescale-gw.yaml", configuration.as_bytes());

    here.write("bootstrap.zip", &artifact(1));
    let text = "the authorizer is another one than that of the plan";
    assert_refused(&aws, &apply(&here), "plan-mismatch", &[text]);
    here.write("bootstrap.zip", &artifact(0));

    let edited = String::from_utf8_lossy(&original).replace("\"update\"", "\"none\"");
    here.write(FILE, edited.as_bytes());
    let text = "the file was changed after it was written";
    assert_refused(
        &aws,
        &apply(&here),
        "plan-file-invalid",
        &[text, "plan.json:"],
    );

    let here_is = |run: Run, text: &str| {
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(text), "{}", run.stderr);
    };
    aws.post("log/clear", &json!({}));
    here.write(FILE, b"no JSON");
    here_is(apply(&here), "error[plan-file-invalid]: plan.json:1:2: ");
    here_is(
        here.run(&["up", "--plan", "none.json"]),
        "error[plan-file-invalid]: reading the plan none.json: ",
    );
    here_is(
        here.run(&["up", "--plan", FILE, "--only", "authorizer"]),
        "error[usage]: ",
    );
    assert_eq!(aws.log().len(), 0, "no request after a wrong file");

    // With what it was made with, it is carried out, also if the order and the comments of the configuration differ.
    here.write(FILE, &original);
    let moved = configuration.replace("stack: orders\n", "") + "stack: orders # at the end\n";
    here.write("threescale-gw.yaml", moved.as_bytes());
    let done = apply(&here);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[test]
fn undeployed_changes_of_others_are_approved_with_the_plan_and_later_ones_are_not() {
    let (aws, here) = standing();
    let stack = Stack {
        aws,
        workplace: here,
        before: Value::Null,
        whole: Value::Null,
    };
    let here = &stack.workplace;
    let (id, methods) = stack.api();
    let change = |label: &str| {
        let of = json!({"restApiId": id, "resourceId": methods[label]["resourceId"],
            "httpMethod": label.split(' ').next(),
            "patchOperations": [{"op": "replace", "path": "/apiKeyRequired", "value": "true"}]});
        stack.aws.call("apigateway", "UpdateMethod", of);
    };
    change("GET /health");
    here.edit(
        ", except: [\"GET /health\"]",
        ", except: [\"GET /health\", \"GET /orders\"]",
    );
    let planned = plan(here);
    assert_eq!(
        planned["pending"].as_array().map(Vec::len),
        Some(1),
        "{planned}"
    );
    let opened = &planned["methods"]["opened"];
    assert_eq!(opened[0]["method"], "GET /orders", "{planned}");
    change("GET /internal");
    stack.aws.post("log/clear", &json!({}));
    let text = "api-attachment/main: an undeployed change of others was added since the plan: ";
    assert_refused(&stack.aws, &apply(here), "plan-stale", &[text]);
    plan(here);
    let done = apply(here);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[test]
fn a_stage_that_deploys_automatically_since_the_plan_was_not_approved() {
    let aws = http_api::account(&http_api::rich("prod", false));
    let here = http_api::workplace(&aws, "prod");
    assert_eq!(plan(&here)["automatic_stages"], json!([]));
    let id = http_api::id(&aws.account());
    let automatic = json!({"ApiId": id, "StageName": "prod", "AutoDeploy": true});
    aws.call("apigatewayv2", "UpdateStage", automatic);
    let text = "a stage that deploys automatically was added since the plan: prod";
    assert_refused(&aws, &apply(&here), "plan-stale", &[text]);
    assert_eq!(plan(&here)["automatic_stages"], json!(["prod"]));
}

#[test]
fn no_secret_is_in_the_file_not_even_as_a_digest() {
    let secrets = [
        "a-service-token",
        "a-cache-password",
        "a-user-key-of-a-caller",
    ];
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    here.edit(
        "service_token: the-service-token",
        "service_token: a-service-token",
    );
    here.edit(
        "authorizer:",
        "network: none\ncache: {url: \"rediss://user:a-cache-password@redis.example.com:6379\"}\nauthorizer:",
    );
    let out = ["plan", "--out", FILE, "--key", secrets[2]];
    let mut all = Vec::new();
    let mut look = |here: &Workplace, more: &[&str]| {
        let arguments: Vec<_> = out.iter().chain(more).copied().collect();
        let run = here.succeed(&arguments);
        let file = fs::read_to_string(here.path(FILE)).expect("a plan");
        all.extend([file, run.stdout, run.stderr]);
    };
    look(&here, &[]);
    look(&here, &["-o", "json"]);
    // A stack that has secrets of its own, and gets another token.
    let (other, with_cache) = standing();
    with_cache.edit(
        "service_token: the-service-token",
        "service_token: a-service-token",
    );
    look(&with_cache, &[]);
    let mut secrets: Vec<_> = secrets.iter().map(|one| (*one).to_owned()).collect();
    let path = json!({"Path": "/threescale-gw/orders/secrets", "WithDecryption": true});
    let stored = other.call("ssm", "GetParametersByPath", path);
    let stored = stored["Parameters"].as_array().expect("a list").iter();
    secrets.extend(stored.filter_map(|one| one["Value"].as_str().map(str::to_owned)));
    assert!(secrets.len() > 5, "{}", secrets.len());
    for secret in secrets {
        let digest = Sha256::digest(&secret);
        let hex = format!("{digest:x}");
        let shown = [
            secret,
            hex[..12].to_owned(),
            STANDARD.encode(digest)[..12].to_owned(),
        ];
        for text in &all {
            for one in &shown {
                assert!(!text.contains(one), "{one}: {text}");
            }
        }
    }
}

#[test]
fn a_plan_that_would_fail_is_not_written() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    here.edit("stage: prod", "stage: staging");
    let run = here.run(&["plan", "--out", FILE]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("[stage-not-found]"), "{}", run.stderr);
    assert!(!here.path(FILE).exists());
    let run = here.run(&["plan", "--out", "none/plan.json"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
}

/// The lines of docs/ci.md that judge a plan.
fn rules() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md");
    let text = fs::read_to_string(path).expect("a document");
    let lines = text.lines().map(str::trim);
    let rules: Vec<_> = lines
        .filter(|line| line.starts_with("jq -e ") && line.ends_with(FILE))
        .map(str::to_owned)
        .collect();
    assert_eq!(rules.len(), 3, "{rules:?}");
    rules
}

#[test]
fn the_rules_of_the_documentation_stop_what_they_should() {
    let judge = |here: &Workplace| -> Vec<bool> {
        plan(here);
        let passes = |rule: &String| {
            let ran = here.shell(rule).output().expect("a shell");
            let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(matches!(ran.status.code(), Some(0 | 1)), "{rule}: {errors}");
            ran.status.success()
        };
        rules().iter().map(passes).collect()
    };
    let aws = TestAws::seeded();
    assert_eq!(judge(&Workplace::new(&aws)), [true, true, true]);
    let (aws, here) = standing();
    assert_eq!(judge(&here), [true, true, true]);
    for (from, to, verdict) in [
        (
            "\"GET /health\"",
            "\"GET /health\", \"GET /orders\"",
            [false, true, true],
        ),
        (
            "authorizer:",
            "cache: {replicas: 5}\nauthorizer:",
            [true, false, true],
        ),
        (
            "authorizer:",
            "cache: {kind: serverless}\nauthorizer:",
            [true, true, false],
        ),
    ] {
        let here = Workplace::new(&aws);
        here.edit(from, to);
        assert_eq!(judge(&here), verdict, "{to}");
    }
}

//! `iam-policy`: every request of whole life cycles is allowed by the policy of its command, and the policies have no action
//! that no life cycle uses, except a few.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::moves::workplace;
use crate::own_route::Vpc;
use crate::support::rest_api::{API, id};
use crate::support::{TestAws, Workplace};

const ACCOUNT: &str = "123456789012";

/// What no life cycle here uses, and when it is used.
const RARE: [(&str, &str); 26] = [
    ("apigateway:DELETE", "up: api.responses.types: false"),
    ("apigateway:POST", "down: others have published the API"),
    (
        "apigateway:PUT",
        "down: others have customized gateway responses",
    ),
    (
        "apigateway:ListRoutingRules",
        "plan, up, status, export: a custom domain name has routing rules",
    ),
    (
        "ec2:AuthorizeSecurityGroupEgress",
        "up: the rule was removed",
    ),
    (
        "ec2:DescribeVpcBlockPublicAccessExclusions",
        "plan, up: the account blocks VPCs",
    ),
    ("ec2:ModifyVpcEndpoint", "up: the endpoint was changed"),
    ("ec2:StartInstances", "up: the NAT instance was stopped"),
    (
        "elasticache:ModifyCacheSubnetGroup",
        "up: its subnets were changed",
    ),
    (
        "elasticache:ModifyServerlessCache",
        "up: the cache was changed",
    ),
    ("elasticache:ModifyUser", "up: the user was changed"),
    ("elasticache:ModifyUserGroup", "up: the group was changed"),
    (
        "iam:CreateServiceLinkedRole",
        "up: the first cache of the account",
    ),
    ("iam:DeleteRole", "up: authorizer.role_arn"),
    ("iam:DeleteRolePolicy", "up: authorizer.role_arn"),
    (
        "iam:DetachRolePolicy",
        "up, down: others attached a policy to the role",
    ),
    ("iam:GetPolicy", "plan, up: authorizer.permissions_boundary"),
    (
        "iam:ListRoles",
        "status, down, export: the stack does not exist",
    ),
    (
        "ssm:DescribeParameters",
        "status, down, export: the stack does not exist",
    ),
    (
        "tag:GetResources",
        "status, down, export: the stack does not exist",
    ),
    (
        "iam:PutRolePermissionsBoundary",
        "up: authorizer.permissions_boundary",
    ),
    (
        "iam:UpdateAssumeRolePolicy",
        "up: the trust policy was changed",
    ),
    (
        "lambda:DeleteAlias",
        "up: an alias that the configuration does not have",
    ),
    (
        "lambda:ListFunctions",
        "plan, up, down: security groups of the operator",
    ),
    (
        "logs:DeleteLogGroup",
        "up: a log group that the configuration does not have",
    ),
    (
        "route53:AssociateVPCWithHostedZone",
        "up: EC2 needs it, for an endpoint",
    ),
];

/// Actions that a command needs only while something is in transition, which these life cycles meet or not.
const IN_TRANSITION: [(&str, &str); 1] = [("lambda:GetFunctionConfiguration", "down")];

fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a text matches a pattern with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// The statements of a policy.
fn statements(here: &Workplace, arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<_> = ["iam-policy", "-o", "json", "--account", ACCOUNT]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let policies = here.succeed(&arguments).json()["policies"].clone();
    let documents = policies.as_array().expect("a list").iter();
    documents
        .flat_map(|policy| {
            assert!(policy["characters"].as_u64().is_some_and(|n| n <= 6144));
            policy["document"]["Statement"].as_array().cloned()
        })
        .flatten()
        .collect()
}

/// The resource of a request, where its parameters tell it.
fn resource(entry: &Value, action: &str) -> Option<String> {
    let parameter = |names: &[&str]| {
        let mut found = names
            .iter()
            .filter_map(|name| entry["parameters"][*name].as_str());
        found.next().map(str::to_owned)
    };
    let arn = |service: &str, rest: String| {
        let global = service == "iam";
        let region = if global { "" } else { "us-east-1" };
        match rest.starts_with("arn:") {
            true => rest,
            false => format!("arn:aws:{service}:{region}:{ACCOUNT}:{rest}"),
        }
    };
    let service = action.split(':').next().expect("a service");
    if action == "iam:PassRole" {
        return parameter(&["Role"]);
    }
    if entry["service"].as_str().is_some_and(|of| {
        let of = of.replace("service-quotas", "servicequotas");
        of.replace("apigatewayv2", "apigateway") != service
    }) {
        // A right that the call needs in another service.
        return None;
    }
    let named = |kind: &str, name: String| match name.starts_with("arn:") {
        true => name,
        false => format!("{kind}{name}"),
    };
    match service {
        "lambda" => {
            let function = parameter(&["FunctionName", "Resource"])?;
            Some(arn(service, named("function:", function)))
        }
        "ssm" => {
            let path = parameter(&["Name", "Path", "ResourceId"])?;
            Some(arn(service, named("parameter", path)))
        }
        "events" => {
            let rule = parameter(&["ResourceARN", "Rule", "Name"])?;
            Some(arn(service, named("rule/", rule)))
        }
        "iam" => {
            let role = parameter(&["RoleName"])?;
            Some(arn(service, named("role/threescale-gw/", role)))
        }
        "cloudwatch" => {
            let given = parameter(&["ResourceARN"]);
            let dashboard = parameter(&["DashboardName"])
                .map(|name| format!("arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}"));
            let alarm = parameter(&["AlarmName"]);
            let alarm = alarm.map(|name| arn(service, format!("alarm:{name}")));
            given.or(dashboard).or(alarm)
        }
        "logs" => {
            let group = parameter(&["resourceArn", "logGroupName"])?;
            Some(arn(service, named("log-group:", group)))
        }
        "elasticache" => {
            let kinds = [
                ("ResourceName", ""),
                ("ReplicationGroupId", "replicationgroup:"),
                ("CacheSubnetGroupName", "subnetgroup:"),
                ("ServerlessCacheName", "serverlesscache:"),
                ("UserGroupId", "usergroup:"),
                ("UserId", "user:"),
            ];
            let found = kinds
                .iter()
                .find_map(|(name, kind)| Some(named(kind, parameter(&[name])?)));
            Some(arn(service, found?))
        }
        "apigateway" => entry["iam_resource"].as_str().map(str::to_owned),
        _ => None,
    }
}

/// The tag of the stack in a request that creates something.
fn is_tagged(entry: &Value) -> bool {
    let specifications = entry["parameters"]["TagSpecifications"].as_array();
    let tags = specifications
        .into_iter()
        .flatten()
        .filter_map(|specification| specification["Tags"].as_array());
    let mut tags = tags.flatten();
    tags.any(|tag| tag["Key"] == "threescale-gw:stack" && tag["Value"] == "orders")
}

fn allows(statement: &Value, entry: &Value, action: &str) -> bool {
    let condition = &statement["Condition"]["StringEquals"];
    let resource = resource(entry, action);
    let of_resource = |pattern: &&str| {
        resource
            .as_ref()
            .is_none_or(|resource| matches(pattern, resource))
    };
    list(&statement["Action"]).contains(&action)
        && list(&statement["Resource"]).iter().any(of_resource)
        && (condition["aws:RequestTag/threescale-gw:stack"].is_null() || is_tagged(entry))
        && (condition["ec2:CreateAction"].is_null()
            || list(&condition["ec2:CreateAction"])
                .contains(&entry["operation"].as_str().expect("a name")))
}

/// The statements of the policy of each command.
type Policies = BTreeMap<&'static str, Vec<Value>>;

/// The actions that each command has used.
type Used = BTreeMap<&'static str, BTreeSet<String>>;

const COMMANDS: [&str; 5] = ["plan", "up", "down", "status", "export"];

/// The policies of the configuration, or those of the stack alone.
fn policies(here: &Workplace, is_stack_alone: bool) -> Policies {
    let of = |command| {
        let mut arguments = vec!["--for", command];
        if is_stack_alone {
            arguments.extend(["--stack", "orders"]);
        }
        (command, statements(here, &arguments))
    };
    COMMANDS.map(of).into()
}

/// Judges every request of a run by each of these policies.
struct Judge<'a> {
    policies: Vec<&'a Policies>,
    used: &'a Mutex<Used>,
}

impl Judge<'_> {
    /// Runs a command. Every request must be allowed by its policies.
    fn run(&self, aws: &TestAws, here: &Workplace, command: &'static str) {
        aws.post("log/clear", &json!({}));
        let changes = ["up", "down"].contains(&command);
        let arguments: &[&str] = match command {
            "export" => &[command, "--format", "terraform"],
            _ if changes => &[command, "--yes"],
            "plan" => &[command, "--out", "plan.json"],
            _ => &[command],
        };
        here.succeed(arguments);
        let mut found = BTreeSet::new();
        for entry in aws.log() {
            for action in list(&entry["iam_actions"]) {
                for policies in &self.policies {
                    let mut policy = policies[command].iter();
                    assert!(
                        policy.any(|statement| allows(statement, &entry, action)),
                        "{command}: {action}: {entry}"
                    );
                }
                found.insert(action.to_owned());
            }
        }
        let mut used = self.used.lock().expect("the actions");
        used.entry(command).or_default().extend(found);
    }

    /// Creates the stack, and returns the account with it.
    fn create(&self, aws: &TestAws, here: impl Fn(&TestAws) -> Workplace) -> TestAws {
        let first = here(aws);
        self.run(aws, &first, "plan");
        self.run(aws, &first, "up");
        let standing = aws.fork();
        let here = here(aws);
        for command in ["plan", "up", "status", "export", "down"] {
            self.run(aws, &here, command);
        }
        standing
    }
}

fn seeded() -> TestAws {
    let aws = TestAws::seeded();
    let quotas = json!({"vpcs": 10, "elastic_ips": 10, "nat_gateways": 10, "vcpus": 10});
    aws.post("config", &json!({"quotas": quotas, "eni_linger": 0.05}));
    aws
}

const KINDS: [&str; 6] = [
    "cache: {kind: node}",
    "network: {nat: instance}",
    "network: {endpoints: true}\ncache: {replicas: 1}",
    "cache: {node_type: cache.t4g.small}\nmonitoring: {topic: \"arn:aws:sns:us-east-1:123456789012:alarms\", dashboard: true}",
    "cache: {kind: serverless}",
    "network: none\ncache: memory",
];

#[test]
fn every_request_is_allowed_by_the_policy_of_its_command() {
    let used = Mutex::new(Used::new());
    let empty = TestAws::seeded();
    let of_stack = policies(&Workplace::new(&empty), true);
    let (of_stack, used) = (&of_stack, &used);
    std::thread::scope(|scope| {
        // One life cycle for each configuration, with its own policies and with those of the stack alone.
        for (index, lines) in KINDS.into_iter().enumerate() {
            scope.spawn(move || {
                let aws = seeded();
                let api = id(&aws.account(), "orders-api");
                let here = |aws: &TestAws| {
                    let here = workplace(aws, lines);
                    here.edit("name: orders-api", &format!("id: {api}"));
                    here
                };
                let of_configuration = policies(&here(&aws), false);
                let judge = Judge {
                    policies: vec![of_stack, &of_configuration],
                    used,
                };
                let standing = judge.create(&aws, here);
                // The stack becomes the next one.
                let judge = Judge {
                    policies: vec![of_stack],
                    used,
                };
                let next = workplace(&standing, KINDS[(index + 1) % KINDS.len()]);
                judge.run(&standing, &next, "plan");
                judge.run(&standing, &next, "up");
                if index + 1 < KINDS.len() {
                    return;
                }
                next.edit("team: payments", "team: orders");
                judge.run(&standing, &next, "up");
                next.write("bootstrap.zip", &crate::support::artifact(1));
                judge.run(&standing, &next, "up");
                judge.run(&standing, &next, "down");
            });
        }
        // An HTTP API.
        scope.spawn(|| {
            let aws = seeded();
            let routes = json!([{"key": "$default"}, {"key": "GET /orders/{id}"}]);
            let api = json!({"protocol": "HTTP", "name": "shop", "routes": routes});
            let api = aws.post("seed", &json!({ "api": api }));
            let id = api["api_id"].as_str().expect("an id");
            let domain = json!({"DomainName": "api.example.com"});
            aws.call("apigatewayv2", "CreateDomainName", domain);
            let mapping = json!({"DomainName": "api.example.com", "ApiMappingKey": "shop", "ApiId": id, "Stage": "prod"});
            aws.call("apigatewayv2", "CreateApiMapping", mapping);
            let here = |aws: &TestAws| {
                let here = workplace(aws, "network: none\ncache: memory");
                here.edit(API, &format!("api: {{id: {id}, stage: prod}}"));
                here
            };
            let of_configuration = policies(&here(&aws), false);
            let judge = Judge {
                policies: vec![of_stack, &of_configuration],
                used,
            };
            judge.create(&aws, here);
        });
        // A network of the operator.
        scope.spawn(|| {
            let aws = seeded();
            let vpc = Vpc::new(&aws, "10.9", true);
            let judge = Judge {
                policies: vec![of_stack],
                used,
            };
            judge.create(&aws, |aws| workplace(aws, &vpc.routed("")));
        });
    });
    // The life cycles of the stack use everything.
    let used = used.lock().expect("the actions");
    let mut unused = BTreeSet::new();
    for (command, policy) in of_stack {
        for action in policy
            .iter()
            .flat_map(|statement| list(&statement["Action"]))
        {
            if !used[command].contains(action) {
                unused.insert((action.to_owned(), *command));
            }
        }
    }
    let is_rare = |action: &str, command: &str| {
        let mut rare = RARE.iter();
        rare.any(|(rare, why)| {
            *rare == action
                && why
                    .split_once(':')
                    .is_some_and(|(commands, _)| commands.contains(command))
        })
    };
    let surplus: Vec<_> = unused
        .iter()
        .filter(|(action, command)| !is_rare(action, command))
        .filter(|(action, command)| !IN_TRANSITION.contains(&(action.as_str(), *command)))
        .collect();
    assert!(surplus.is_empty(), "{surplus:#?}");
    for (action, _) in RARE {
        assert!(
            unused.iter().any(|(unused, _)| unused == action),
            "{action} is used"
        );
    }
}

/// The stack attaches an internet gateway to a VPC of the operator, which has no tag of the stack.
#[test]
fn an_internet_gateway_of_a_vpc_of_the_operator_is_allowed() {
    let aws = seeded();
    let vpc = Vpc::new(&aws, "10.9", false);
    let here = workplace(&aws, &vpc.routed(""));
    for (command, attachment) in [
        ("up", "ec2:AttachInternetGateway"),
        ("down", "ec2:DetachInternetGateway"),
    ] {
        let policy = statements(&here, &["--for", command]);
        aws.post("log/clear", &json!({}));
        here.succeed(&[command, "--yes"]);
        let mut attached = 0;
        for entry in aws.log() {
            for action in list(&entry["iam_actions"]) {
                let allowed = policy.iter().any(|one| allows(one, &entry, action));
                assert!(allowed, "{command}: {action}: {entry}");
                if action == attachment {
                    attached += 1;
                    let id = entry["parameters"]["VpcId"].as_str().expect("an id");
                    let arn = format!("arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/{id}");
                    let of_vpc = |one: &Value| {
                        one["Condition"].is_null()
                            && list(&one["Action"]).contains(&action)
                            && list(&one["Resource"]).contains(&arn.as_str())
                    };
                    assert!(policy.iter().any(of_vpc), "{action} on {arn}");
                }
            }
        }
        assert_eq!(attached, 1, "{command}");
    }
}

#[test]
fn every_request_of_a_sweep_is_allowed_by_its_policy_for_all_stacks() {
    let (aws, here) = crate::support::standing();
    let parameter = json!({"Name": "/threescale-gw/orders/expires", "Value": "2020-01-01T00:00:00Z", "Type": "String"});
    aws.call("ssm", "PutParameter", parameter);
    let policy = statements(&here, &["--for", "sweep"]);
    let own = policy.iter().find(|statement| statement["Sid"] == "Own");
    let tag = &own.expect("a statement")["Condition"]["StringLike"];
    assert_eq!(tag["aws:ResourceTag/threescale-gw:stack"], "*");
    let of_one = statements(&here, &["--for", "sweep", "--stack", "orders"]);
    assert_eq!(of_one.len(), policy.len());
    for arguments in [
        &["sweep", "--dry-run", "--all-regions"][..],
        &["sweep", "--yes"],
    ] {
        aws.post("log/clear", &json!({}));
        here.succeed(arguments);
        for entry in aws.log() {
            for action in list(&entry["iam_actions"]) {
                let allowing = policy.iter().find(|it| allows(it, &entry, action));
                assert!(allowing.is_some(), "{action}: {entry}");
            }
        }
    }
    let terraform = here.succeed(&[
        "iam-policy",
        "--for",
        "sweep",
        "--format",
        "terraform",
        "-q",
    ]);
    let start = "resource \"aws_iam_policy\" \"threescale-gw-sweep\" {";
    assert!(terraform.stdout.starts_with(start), "{}", terraform.stdout);
}

#[test]
fn policies_and_trust_policies_are_printed_without_a_request() {
    let aws = TestAws::start();
    let here = Workplace::new(&aws);
    let all = ["iam-policy", "--for", "up", "--stack", "orders"];
    let with = |more: &[&str]| here.run(&[&all[..], more].concat());

    // Two documents, of which each is one for `aws iam create-policy`.
    let both = with(&["--account", ACCOUNT]);
    assert!(both.stderr.contains("note: 2 policies"), "{}", both.stderr);
    let parts: Vec<_> = ["1", "2"]
        .iter()
        .map(|part| {
            let run = with(&["--account", ACCOUNT, "--part", part]);
            assert_eq!(run.json()["Version"], "2012-10-17");
            assert_eq!(run.stderr, "");
            run.stdout
        })
        .collect();
    assert_eq!(both.stdout, parts.concat());
    let part = with(&["--account", ACCOUNT, "--part", "2", "-o", "json"]).json();
    let documents = part["policies"].as_array().expect("a list").iter();
    let documents: Vec<_> = documents.map(|policy| &policy["document"]).collect();
    let second: Value = serde_json::from_str(&parts[1]).expect("JSON");
    assert_eq!(documents, [&second]);
    let unknown = with(&["--part", "1"]);
    let note = "note: the account is not known, so the ARNs have `*` in its place: give --account";
    assert!(unknown.stderr.contains(note), "{}", unknown.stderr);
    assert!(
        unknown.stdout.contains("us-east-1:*:"),
        "{}",
        unknown.stdout
    );
    // Without a configuration, or with one that names the key no longer.
    let keys =
        ["a", "b"].map(|digit| format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{}", digit.repeat(32)));
    let former = with(&[
        "--account",
        ACCOUNT,
        "--kms-key",
        &keys[0],
        "--kms-key",
        &keys[1],
        "-o",
        "json",
    ]);
    let former = former.json();
    let documents = former["policies"].as_array().expect("a list").iter();
    let mut statements = documents
        .flat_map(|policy| policy["document"]["Statement"].as_array())
        .flatten();
    let of_keys = statements.find(|statement| statement["Sid"] == "Key");
    let of_keys = of_keys.expect("a statement");
    assert_eq!(of_keys["Resource"], json!(keys));
    assert!(
        list(&of_keys["Action"]).contains(&"kms:Decrypt"),
        "{of_keys}"
    );
    let terraform = with(&["--format", "terraform", "--part", "2", "-q"]);
    let start = "resource \"aws_iam_policy\" \"threescale-gw-orders-up-2\" {\n  name = \"threescale-gw-orders-up-2\"\n  policy = jsonencode({\n";
    assert!(terraform.stdout.starts_with(start), "{}", terraform.stdout);

    let trust = |more: &[&str]| {
        let fixed = [
            "iam-policy",
            "--trust",
            "github",
            "--repository",
            "acme/orders",
        ];
        here.run(&[&fixed[..], more].concat())
    };
    let policy = trust(&["--account", ACCOUNT, "--branch", "release/1"]).json();
    let condition = &policy["Statement"][0]["Condition"]["StringEquals"];
    let subject = "token.actions.githubusercontent.com:sub";
    assert_eq!(
        condition[subject],
        "repo:acme/orders:ref:refs/heads/release/1"
    );
    let role = trust(&["--account", ACCOUNT, "--format", "terraform"]);
    let start = "resource \"aws_iam_role\" \"threescale-gw-orders-operator\" {";
    assert!(role.stdout.starts_with(start), "{}", role.stdout);

    let of_group = |service| {
        let policy = [
            "iam-policy",
            "--account",
            ACCOUNT,
            "--repository",
            "acme/shop/orders",
        ];
        here.run(&[&policy[..], &["--trust", service]].concat())
    };
    assert_eq!(of_group("gitlab").code, Some(0));
    for (run, words) in [
        (trust(&[]), "give --account"),
        (trust(&["--account", "1234"]), "twelve digits"),
        (
            trust(&["--account", ACCOUNT, "--branch", "*"]),
            "the name of one branch",
        ),
        (
            of_group("github"),
            "a repository of GitHub is <owner>/<name>",
        ),
        (trust(&["--for", "up"]), "cannot be used with"),
        (with(&["--part", "3"]), "the policy has 2 parts"),
        (
            with(&["--kms-key", "alias/own"]),
            "must be the ARN of a KMS key",
        ),
        (
            with(&["--format", "terraform", "-o", "json"]),
            "contradicts",
        ),
        (here.run(&["iam-policy"]), "--for <COMMAND>"),
    ] {
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        assert!(!run.stdout.contains("Statement"), "{}", run.stdout);
    }
    assert!(aws.log().is_empty());
}

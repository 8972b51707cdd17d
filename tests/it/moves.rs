//! A stack moves to a network of the operator's own, and back: the functions that callers use have a way to 3scale and to
//! their cache at every moment, and a killed move is completed by the next `up`.

use crate::own::own_network_in;
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::id;
use crate::support::{TestAws, Workplace, assert_same, counts};
use serde_json::{Value, json};

pub(crate) const HERE: &str = "# the network";
const GOOD: &str = "a-good-key";
const OWN_CACHE: &str = "cache: {url: \"rediss://user:secret@cache.example.com:6379\"}";

const OUTSIDE: &str = "network: none\ncache: memory";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A folder whose configuration has these lines.
pub(crate) fn workplace(aws: &TestAws, lines: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit("authorizer:", &format!("{lines}\nauthorizer:"));
    here
}

/// Two networks of the operator, and an account with a deployed stack in the first of these networks.
pub(crate) struct Start {
    pub(crate) aws: TestAws,
    /// The account before the stack.
    pub(crate) before: Value,
    pub(crate) own: String,
}

impl Start {
    pub(crate) fn with(lines: impl Fn(&str) -> String) -> Self {
        let aws = TestAws::seeded();
        let limits = json!({"eni_linger": 0.05, "quotas": {"vpcs": 10, "elastic_ips": 10}});
        aws.post("config", &limits);
        let own = own_network_in(&aws, "10.9").text;
        Self::of(aws, &own, lines)
    }

    /// The same in this account, which has the network of the operator.
    pub fn of(aws: TestAws, own: &str, lines: impl Fn(&str) -> String) -> Self {
        let before = aws.account();
        workplace(&aws, &lines(own)).succeed(&["up", "--yes"]);
        let own = own.to_owned();
        Self { aws, before, own }
    }
}

/// The self-test of every live version passes, and it is outside all networks, or each of its subnets has a route to a NAT
/// gateway that is available, or to an instance that runs.
#[track_caller]
pub(crate) fn assert_served(aws: &TestAws, when: &str) {
    let account = aws.account();
    let gateways = account["nat_gateways"].as_array().expect("a list");
    let instances = account["instances"].as_array().expect("a list");
    let tables = account["route_tables"].as_array().expect("a list");
    let has_way_out = |subnet: &Value| {
        let mut of_subnet = tables.iter().filter(|table| {
            let subnets = table["subnets"].as_array();
            subnets.is_some_and(|subnets| subnets.contains(subnet))
        });
        of_subnet.any(|table| {
            let mut routes = table["routes"].as_array().expect("a list").iter();
            routes.any(|route| {
                let (mut gateways, mut instances) = (gateways.iter(), instances.iter());
                route["destination"] == "0.0.0.0/0"
                    && (gateways.any(|gateway| {
                        gateway["id"] == route["target"] && gateway["state"] == "available"
                    }) || instances.any(|instance| {
                        instance["network_interface"] == route["target"]
                            && instance["state"] == "running"
                    }))
            })
        })
    };
    for name in ["authorizer", "reporter"] {
        let name = format!("threescale-gw-orders-{name}");
        let functions = account["functions"].as_array().expect("a list");
        let function = functions
            .iter()
            .find(|function| function["FunctionName"] == name.as_str());
        let function = function.expect("the function");
        let alias = &function["aliases"][0];
        assert_eq!(alias["Name"], "live", "{when}");
        let mut versions = function["versions"].as_array().expect("a list").iter();
        let live = versions.find(|version| version["Version"] == alias["FunctionVersion"]);
        let live = live.unwrap_or_else(|| panic!("{when}: {name} has no live version"));
        let subnets = live["VpcConfig"]["SubnetIds"].as_array();
        let subnets = subnets.filter(|subnets| !subnets.is_empty());
        for subnet in subnets.into_iter().flatten() {
            assert!(
                has_way_out(subnet),
                "{when}: {name} has no way out of {subnet}"
            );
        }
        let test = json!({"FunctionName": name, "Qualifier": "live", "Payload": "{\"threescale-gw\": \"self-test\"}"});
        let answer = text(&aws.call("lambda", "Invoke", test)["Payload"]);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["ok"], true, "{when}: {name}: {answer}");
    }
}

/// Moves the stack of `aws` to another network, as [`changes`].
pub(crate) fn moves(start: &Start, aws: &TestAws, from: &str, to: &str, every: usize) {
    let here = workplace(aws, from);
    here.edit(from, to);
    let shown = here.succeed(&["plan"]).stdout;
    assert_eq!(
        shown.contains("move to another network without an interruption"),
        from != OUTSIDE,
        "{shown}"
    );
    assert_eq!(
        shown.contains("each request waits for 3scale"),
        to == OUTSIDE
    );
    let has_cache = |lines: &str| !lines.contains("cache:") || lines.contains("kind:");
    assert_eq!(
        shown.contains("stays until no function uses it"),
        has_cache(from) && has_cache(to)
    );
    let calls = changes(start, aws, from, to, every);
    assert!(calls >= 10, "{calls} changing calls");
}

/// A caller with a good key, one without, after every changing call from now on.
pub(crate) fn call_meanwhile(aws: &TestAws) {
    let path = format!("{}/prod/orders", id(&aws.account(), "orders-api"));
    let good = json!({"path": path, "headers": {"apikey": GOOD}});
    let watch = json!([good, {"path": path}]);
    aws.post("config", &json!({"valid_keys": [GOOD], "watch": watch}));
}

/// The good one of these callers was served after every changing call, and the other one refused as long as there was a stack.
#[track_caller]
pub(crate) fn assert_answered(aws: &TestAws, at_least: usize, is_protected: bool, when: &str) {
    let watched = aws.get("watched");
    let watched = watched.as_array().expect("a list");
    assert!(watched.len() >= at_least, "{when}: {watched:?}");
    for seen in watched {
        assert_eq!(seen["statuses"][0], 200, "{when}: {seen}");
        assert!(
            !is_protected || seen["statuses"][1] == 401,
            "{when}: {seen}"
        );
    }
}

/// Changes the network of the stack of `aws` from `from` to `to`. After every changing call, its callers are served. A run that
/// is killed there is completed by the next one, whose result is that of the whole change; this is tried after every `nth` call.
/// Returns the number of changing calls.
pub(crate) fn changes(start: &Start, aws: &TestAws, from: &str, to: &str, every: usize) -> usize {
    let here = workplace(aws, from);
    here.edit(from, to);
    assert_served(aws, "before");
    call_meanwhile(aws);
    let states = killed_after_each(aws, &here, &["up", "--yes"], "*");
    let calls = states.len();
    assert!(calls >= 5, "{calls} changing calls");
    assert_served(aws, "after");
    assert_answered(aws, calls, true, &format!("{from} -> {to}"));
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    let whole = counts(&aws.account());
    each(states, |nth, Killed { after, aws }| {
        let when = format!("{from} -> {to}, killed after {nth}, {after}");
        assert_served(&aws, &when);
        if nth % every != 0 {
            return;
        }
        let here = workplace(&aws, to);
        match nth / every % 5 {
            0 => {
                here.succeed(&["down", "--yes", "--stack", "orders"]);
                assert_same(&start.before, &aws.account());
                assert_answered(&aws, 1, false, &when);
            }
            // Back to the former network.
            1 => {
                here.edit(to, from);
                here.succeed(&["up", "--yes"]);
                assert_served(&aws, &when);
                assert_answered(&aws, 1, true, &when);
                let plan = here.run(&["plan", "--exit-code"]);
                assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
            }
            _ => {
                here.succeed(&["up", "--yes"]);
                assert_eq!(counts(&aws.account()), whole, "{when}");
                assert_answered(&aws, 0, true, &when);
                let plan = here.run(&["plan", "--exit-code"]);
                assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
            }
        }
    });
    calls
}

#[test]
fn a_move_to_an_own_network_never_leaves_callers_without_3scale_and_cache() {
    let start = Start::with(|_| HERE.to_owned());
    moves(&start, &start.aws.fork(), HERE, &start.own, 1);
}

#[test]
fn a_move_back_never_leaves_callers_without_3scale_and_cache() {
    let start = Start::with(str::to_owned);
    moves(&start, &start.aws.fork(), &start.own, HERE, 1);
}

#[test]
fn a_move_with_an_own_cache_never_leaves_callers_without_3scale_and_cache() {
    let start = Start::with(|_| format!("{HERE}\n{OWN_CACHE}"));
    let (created, own) = (
        format!("{HERE}\n{OWN_CACHE}"),
        format!("{}\n{OWN_CACHE}", start.own),
    );
    moves(&start, &start.aws, &created, &own, 7);
    moves(&start, &start.aws, &own, &created, 7);
}

#[test]
fn a_move_out_of_the_network_and_back_never_leaves_callers_without_3scale() {
    let start = Start::with(|_| HERE.to_owned());
    moves(&start, &start.aws, HERE, OUTSIDE, 5);
    moves(&start, &start.aws, OUTSIDE, HERE, 5);
}

/// With a NAT instance in the network of the stack, and an endpoint of the Parameter Store in both.
#[test]
fn a_move_with_instance_and_endpoints_never_leaves_callers_without_3scale() {
    let here = "network: {nat: instance, endpoints: true}";
    let start = Start::with(|_| here.to_owned());
    let own = start.own.replace("subnets:", "endpoints: true, subnets:");
    let (_, vpc) = own.split_once("vpc: ").expect("the VPC");
    let (vpc, _) = vpc.split_once(',').expect("the subnets");
    let change = json!({"VpcId": vpc, "EnableDnsHostnames": {"Value": true}});
    start.aws.call("ec2", "ModifyVpcAttribute", change);
    let mut before = start.before.clone();
    let vpcs = before["vpcs"].as_array_mut().expect("a list");
    let of_own = vpcs.iter_mut().find(|found| found["id"] == vpc);
    of_own.expect("the VPC")["dns_hostnames"] = json!("true");
    let start = Start { before, ..start };
    moves(&start, &start.aws, here, &own, 7);
    moves(&start, &start.aws, &own, here, 7);
}

#[test]
fn the_former_network_stays_until_the_new_one_is_proved_and_its_usage_is_delivered() {
    let Start { aws, own, .. } = Start::with(|_| HERE.to_owned());
    // Another owner has copied the tags and the name of a security group, and uses it.
    let theirs = own_network_in(&aws, "10.8").text;
    let (_, vpc) = theirs.split_once("vpc: ").expect("the VPC");
    let (vpc, subnet) = vpc.split_once(", subnets: [").expect("the subnets");
    let (subnet, _) = subnet.split_once(',').expect("two subnets");
    let tags = json!([
        {"Key": "Name", "Value": "threescale-gw-orders-security-group-authorizer"},
        {"Key": "threescale-gw:resource", "Value": "security-group/authorizer"},
        {"Key": "threescale-gw:stack", "Value": "orders"},
    ]);
    let group = json!({"GroupName": "threescale-gw-orders-authorizer", "Description": "theirs", "VpcId": vpc,
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]});
    let group = text(&aws.call("ec2", "CreateSecurityGroup", group)["GroupId"]);
    let server = json!({"SubnetId": subnet, "Groups": [group], "Description": "their server"});
    aws.call("ec2", "CreateNetworkInterface", server);
    let here = workplace(&aws, HERE);
    let unchanged = here.succeed(&["up", "--yes"]);
    assert!(
        unchanged.stderr.contains("No changes"),
        "{}",
        unchanged.stderr
    );

    // The self-test fails in the new network.
    let check = |name: &str, cause: &str| json!({"name": name, "ok": cause.is_empty(), "ms": 1, "cause": cause, "error": cause});
    let failed = json!({"ok": false, "checks": [check("secrets", "ssm_denied")]});
    let outcome = json!({"threescale-gw-orders-authorizer": {"payload": failed, "error": false}});
    aws.post("config", &json!({"outcomes": {"invoke": outcome}}));
    here.edit(HERE, &own);
    aws.check_log();
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    aws.post("config", &json!({"outcomes": {"invoke": null}}));
    assert_served(&aws, "after a self-test that failed in the new network");
    let deletes =
        |operation: &String| operation.starts_with("Delete") && operation != "DeleteParameter";
    let deleted: Vec<_> = aws.changes().into_iter().filter(deletes).collect();
    assert_eq!(deleted, [""; 0]);

    aws.post("config", &json!({"outcomes": {"reports": [4, 1]}}));
    aws.check_log();
    let up = here.succeed(&["up", "--yes"]);
    let told = "lambda-alias/reporter: usage delivered to 3scale before: 5";
    assert!(up.stderr.contains(told), "{}", up.stderr);
    let log = aws.log();
    let position = |operation: &str, text: &str| {
        let mut entries = log.iter();
        let found = entries.position(|entry| {
            entry["operation"] == operation && entry["parameters"].to_string().contains(text)
        });
        found.unwrap_or_else(|| panic!("no {operation} with {text}"))
    };
    let moved = |name: &str| position("UpdateAlias", &format!("threescale-gw-orders-{name}"));
    assert!(moved("authorizer") < moved("reporter"));
    for deletion in ["DeleteReplicationGroup", "DeleteNatGateway", "DeleteSubnet"] {
        assert!(moved("reporter") < position(deletion, ""), "{deletion}");
    }
    assert_served(&aws, "after the move");

    let down = here.succeed(&["down", "--yes", "-o", "json"]).lines();
    let notice = down.iter().find(|line| line["code"] == "left-alone");
    let told = notice.expect("a notice")["text"].as_str().expect("text");
    assert!(
        told.starts_with(&format!("{group} is left alone")),
        "{told}"
    );
    let after = aws.account();
    let groups = after["security_groups"].as_array().expect("a list").iter();
    let of_stack = groups.filter(|found| found["tags"]["threescale-gw:stack"] == "orders");
    let of_stack: Vec<_> = of_stack.map(|found| text(&found["id"])).collect();
    assert_eq!(of_stack, [group]);
}

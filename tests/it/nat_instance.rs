//! A NAT instance in place of a NAT gateway: its life, its repair, and the change of the way out of a stack in use.

use serde_json::{Value, json};

use crate::moves::assert_served;
use crate::support::drifted::{Drift, Stack};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, counts};

const HERE: &str = "network: {nat: instance}";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A folder whose configuration has this network.
fn workplace(aws: &TestAws, network: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit("authorizer:", &format!("{network}\nauthorizer:"));
    here
}

/// An account with an instance that needs a moment to forward.
fn seeded() -> TestAws {
    let aws = TestAws::seeded();
    let quotas = json!({"vpcs": 10, "elastic_ips": 10, "nat_gateways": 10, "vcpus": 10});
    aws.post(
        "config",
        &json!({"quotas": quotas, "delay": {"instance-boot": 0.3}}),
    );
    aws
}

/// The same with a stack that has a way out of this kind.
fn standing(network: &str) -> TestAws {
    TestAws::state(&format!("standing with {network}"), || {
        let aws = seeded();
        workplace(&aws, network).succeed(&["up", "--yes"]);
        aws
    })
}

fn instances(aws: &TestAws) -> Vec<Value> {
    let account = aws.account();
    account["instances"].as_array().cloned().expect("a list")
}

/// The addresses of the stack.
fn public_ips(aws: &TestAws) -> Vec<String> {
    let account = aws.account();
    let addresses = account["addresses"].as_array().expect("a list").iter();
    let ours = addresses.filter(|address| address["tags"]["threescale-gw:stack"] == "orders");
    let ips: Vec<_> = ours.map(|address| text(&address["public_ip"])).collect();
    assert!(!ips.is_empty());
    ips
}

#[test]
fn a_stack_with_a_nat_instance_is_created_repeated_and_deleted() {
    let aws = seeded();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    let plan = here.succeed(&["plan"]).stdout;
    for words in [
        "nat-instance/a 3.71",
        "elastic-ip/nat-instance 3.65",
        "security-group/nat",
    ] {
        assert!(plan.contains(words), "{words}: {plan}");
    }
    aws.check_log();
    let up = here.succeed(&["up", "--yes"]);
    let launches: Vec<_> = aws
        .log()
        .into_iter()
        .filter(|entry| entry["operation"] == "RunInstances")
        .collect();
    let [launch] = launches.as_slice() else {
        panic!("{} launches", launches.len());
    };
    let launch = &launch["parameters"];
    assert_eq!(launch["InstanceType"], "t4g.nano");
    let volume = &launch["BlockDeviceMappings"][0]["Ebs"];
    assert_eq!(
        (&volume["Encrypted"], &volume["DeleteOnTermination"]),
        (&json!(true), &json!(true))
    );
    for absent in ["KeyName", "IamInstanceProfile"] {
        assert_eq!(launch[absent], Value::Null, "{absent}");
    }
    let found = instances(&aws);
    let [instance] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(instance["state"], "running");
    assert_eq!(instance["source_dest_check"], false);
    assert_eq!(instance["http_tokens"], "required");
    let account = aws.account();
    let groups = account["security_groups"].as_array().expect("a list");
    let group = groups
        .iter()
        .find(|group| group["id"] == instance["groups"][0]);
    let ingress = group.expect("its group")["ingress"].clone();
    assert_eq!(
        ingress,
        json!(
            ["-1 all 10.42.128.0/18", "-1 all 10.42.192.0/18"]
                .map(|rule| format!("{rule} \"the authorizer and the reporter\""))
        )
    );
    assert_served(&aws, "after up");
    let ip = text(&instance["public_ip"]);
    assert!(up.stdout.contains(&ip), "{}", up.stdout);
    let status = here.succeed(&["status", "--exit-code"]).stdout;
    assert!(status.contains(&ip), "{status}");

    // Nothing to do; a newer image would be no difference.
    aws.check_log();
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    here.succeed(&["up", "--yes"]);
    let changes = aws.changes();
    assert!(
        !changes
            .iter()
            .any(|call| call.contains("Instance") || call.contains("Address")),
        "{changes:?}"
    );
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_killed_launch_is_completed_with_the_same_instance() {
    let aws = seeded();
    // The next runs do not find the instance at once.
    aws.post("config", &json!({"read_lag": 2}));
    let here = workplace(&aws, HERE);
    let mut states = killed_after_each(&aws, &here, &["up", "--yes"], "ec2");
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    let whole = counts(&aws.account());
    // The other calls of a first `up` are killed in other tests.
    let launches = [
        "RunInstances",
        "ModifyInstanceAttribute",
        "AssociateAddress",
    ];
    let is_launch = |state: &Killed| launches.contains(&state.after.as_str());
    states.retain(is_launch);
    assert!(states.len() >= launches.len(), "{} calls", states.len());
    each(states, |nth, Killed { after, aws }| {
        let here = workplace(&aws, HERE);
        here.succeed(&["up", "--yes"]);
        assert_eq!(instances(&aws).len(), 1, "killed after {nth}, {after}");
        assert_eq!(counts(&aws.account()), whole, "killed after {nth}, {after}");
        assert_served(&aws, &after);
    });
}

/// Each transition takes a moment, with an endpoint as well.
#[test]
fn a_killed_deletion_is_finished_by_the_next_one() {
    let aws = seeded();
    let before = aws.account();
    let delay = json!({"instance": 0.3, "instance-boot": 0.2, "vpc-endpoint": 0.3});
    aws.post("config", &json!({"delay": delay}));
    let here = workplace(&aws, "network: {nat: instance, endpoints: true}");
    let up = here.succeed(&["up", "--yes"]);
    for words in [
        "waiting nat-instance/a: pending",
        "waiting vpc-endpoint/ssm: pending",
    ] {
        assert!(up.stderr.contains(words), "{words}: {}", up.stderr);
    }
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    let states = killed_after_each(&aws, &here, &["down", "--yes"], "ec2");
    assert_same(&before, &aws.account());
    let of = |wanted: &str| states.iter().filter(|state| state.after == wanted).count();
    assert_eq!((of("TerminateInstances"), of("DeleteVpcEndpoints")), (1, 1));
    each(states, |nth, Killed { after, aws }| {
        let here = workplace(&aws, HERE);
        match nth % 3 {
            // It is built again, without the endpoint.
            0 => {
                here.succeed(&["up", "--yes"]);
                assert_served(&aws, &format!("killed after {nth}, {after}"));
                here.succeed(&["down", "--yes"]);
            }
            _ => {
                here.succeed(&["down", "--yes"]);
            }
        }
        assert_same(&before, &aws.account());
    });
}

/// Another user changes the instance: `status` and `plan` name it, and `up` repairs it.
#[test]
fn a_changed_instance_is_repaired() {
    fn instance(stack: &Stack) -> String {
        stack.id("instances", "nat-instance/a")
    }
    const DRIFTS: &[Drift] = &[
        (
            "stopped",
            |stack| {
                let of = json!({"InstanceIds": [instance(stack)]});
                stack.ec2("StopInstances", of);
            },
            &["nat-instance/a", "route-table/private"],
        ),
        (
            "terminated",
            |stack| {
                let of = json!({"InstanceIds": [instance(stack)]});
                stack.ec2("TerminateInstances", of);
            },
            &["nat-instance/a", "route-table/private"],
        ),
        (
            "its check of source and destination is on",
            |stack| {
                let check =
                    json!({"InstanceId": instance(stack), "SourceDestCheck": {"Value": true}});
                stack.ec2("ModifyInstanceAttribute", check);
            },
            &["nat-instance/a"],
        ),
        (
            "it has lost its address",
            |stack| {
                let address = stack.id("addresses", "elastic-ip/nat-instance");
                let found = stack.ec2("DescribeAddresses", json!({"AllocationIds": [address]}));
                let association = &found["Addresses"][0]["AssociationId"];
                stack.ec2("DisassociateAddress", json!({"AssociationId": association}));
            },
            &["nat-instance/a"],
        ),
        (
            "it has another group",
            |stack| {
                let other = stack.id("security_groups", "security-group/authorizer");
                let groups = json!({"InstanceId": instance(stack), "Groups": [other]});
                stack.ec2("ModifyInstanceAttribute", groups);
            },
            &["nat-instance/a"],
        ),
    ];
    let before = seeded().account();
    let aws = standing(HERE);
    let stack = Stack {
        workplace: workplace(&aws, HERE),
        whole: aws.account(),
        before,
        aws,
    };
    for drift in DRIFTS {
        stack.repairs(drift);
        assert_served(&stack.aws, drift.0);
        assert_eq!(
            counts(&stack.aws.account()),
            counts(&stack.whole),
            "{}",
            drift.0
        );
    }

    // Its status checks fail: it is replaced. They pass for the new one.
    let impaired = instance(&stack);
    let outcome = |result| json!({"outcomes": {"instance-status": result}});
    stack.aws.post("config", &outcome(json!("impaired")));
    let (code, status) = stack.status();
    assert_eq!(code, Some(3), "{status}");
    let plan = stack.workplace.run(&["plan"]).stdout;
    assert!(plan.contains("status checks: impaired -> ok"), "{plan}");
    stack.aws.post(
        "faults",
        &json!([{"operation": "TerminateInstances", "kind": "hold"}]),
    );
    let up = stack.workplace.start(&["up", "--yes"]);
    while stack.aws.get("held?timeout=1")["held"].is_null() {}
    stack.aws.post("config", &outcome(Value::Null));
    stack.aws.post("faults", &json!([]));
    stack.aws.post("release", &json!({}));
    let up = up.wait_with_output().expect("its end");
    assert!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );
    assert_ne!(instance(&stack), impaired);
    assert_served(&stack.aws, "after the replacement");
    stack.end();
}

#[test]
fn a_launch_that_cannot_succeed_is_explained() {
    let aws = seeded();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    let fails = |words: &[&str]| {
        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(5), "{}", up.stderr);
        for words in words {
            assert!(up.stderr.contains(words), "{words}: {}", up.stderr);
        }
    };
    aws.post("config", &json!({"quotas": {"vcpus": 1}}));
    fails(&[
        "VcpuLimitExceeded",
        "Running On-Demand Standard",
        "network.nat: single",
        "They stay and cost about $",
        "`threescale-gw down --stack orders` deletes them",
    ]);
    aws.post("config", &json!({"quotas": {"vcpus": 10}}));
    let unsupported = json!([{"operation": "RunInstances", "kind": "error", "code": "Unsupported", "status": 400,
        "message": "Your requested instance type (t4g.nano) is not supported in your requested Availability Zone"}]);
    aws.post("faults", &unsupported);
    fails(&["Unsupported", "network.nat: single"]);
    aws.post("faults", &json!([]));
    // EC2 accepts the launch, and ends the instance by itself.
    let failure = json!({"code": "Client.InternalError", "message": "Client.InternalError: Client error on launch"});
    aws.post("config", &json!({"outcomes": {"instance": failure}}));
    fails(&["Client error on launch"]);
    let launches = aws
        .changes()
        .into_iter()
        .filter(|call| call == "RunInstances");
    assert!(launches.count() <= 4);
    aws.post("config", &json!({"outcomes": {"instance": null}}));
    here.succeed(&["up", "--yes"]);
    assert_eq!(instances(&aws).len(), 1);
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// Changes the way out of a stack. After every changing call, its callers are served. A run that is killed there is completed
/// by the next one, whose result is that of the whole change.
fn changes(from: &str, to: &str, addresses: &str) {
    let before = seeded().account();
    let aws = standing(from);
    let here = workplace(&aws, to);
    let plan = here.succeed(&["plan"]).stdout;
    assert!(plan.contains(addresses), "{plan}");
    assert_served(&aws, "before");
    let states = killed_after_each(&aws, &here, &["up", "--yes"], "*");
    assert!(states.len() >= 8, "{} changing calls", states.len());
    assert_served(&aws, "after");
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    let status = here.succeed(&["status", "--exit-code"]).stdout;
    for ip in public_ips(&aws) {
        assert!(status.contains(&ip), "{ip}: {status}");
    }
    let whole = counts(&aws.account());
    each(states, |nth, Killed { after, aws }| {
        let when = format!("{from} -> {to}, killed after {nth}, {after}");
        assert_served(&aws, &when);
        let here = workplace(&aws, to);
        match nth % 4 {
            0 => {
                here.succeed(&["down", "--yes", "--stack", "orders"]);
                assert_same(&before, &aws.account());
            }
            // Back to the former way out.
            1 => {
                here.edit(to, from);
                here.succeed(&["up", "--yes"]);
                assert_served(&aws, &when);
                assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0), "{when}");
            }
            _ => {
                here.succeed(&["up", "--yes"]);
                assert_eq!(counts(&aws.account()), whole, "{when}");
                assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0), "{when}");
            }
        }
    });
}

#[test]
fn a_nat_gateway_stays_until_the_instance_forwards() {
    changes(
        "network: {nat: single}",
        HERE,
        "3scale sees a new address in place of",
    );
}

#[test]
fn an_instance_stays_until_the_nat_gateway_is_available() {
    changes(
        HERE,
        "network: {nat: single}",
        "3scale sees a new address in place of",
    );
}

#[test]
fn nat_gateways_per_zone_stay_until_the_instance_forwards() {
    changes(
        "network: {nat: per-zone}",
        HERE,
        "3scale sees a new address in place of",
    );
}

#[test]
fn an_instance_stays_until_a_nat_gateway_is_available_in_each_zone() {
    changes(
        HERE,
        "network: {nat: per-zone}",
        "3scale sees 2 new addresses in place of",
    );
}

#[test]
fn an_address_of_the_operator_has_one_user_at_a_time() {
    let aws = seeded();
    let address = |aws: &TestAws| {
        let answer = aws.call("ec2", "AllocateAddress", json!({"Domain": "vpc"}));
        text(&answer["AllocationId"])
    };
    let (first, second) = (address(&aws), address(&aws));
    let before = aws.account();
    let single = format!("network: {{nat: single, elastic_ips: [{first}]}}");
    let here = workplace(&aws, &single);
    here.succeed(&["up", "--yes"]);
    here.edit("nat: single", "nat: instance");
    let plan = here.run(&["up", "--yes"]);
    assert_eq!(plan.code, Some(4), "{}", plan.stderr);
    let words = format!("network.elastic_ips: {first} is in use by");
    assert!(plan.stderr.contains(&words), "{}", plan.stderr);
    here.edit(&first, &second);
    let plan = here.succeed(&["plan"]).stdout;
    assert!(
        plan.contains("admit those of `network.elastic_ips` first"),
        "{plan}"
    );
    here.succeed(&["up", "--yes"]);
    assert_served(&aws, "with the other address");
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_zone_without_the_instance_type_is_told_before_anything_is_created() {
    let aws = seeded();
    let without = json!(["us-east-1a", "us-east-1b"]);
    aws.post("config", &json!({"zones_without_t4g": without}));
    let here = workplace(&aws, HERE);
    aws.check_log();
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    let told = "nat-instance/a: Amazon EC2 offers no t4g.nano in us-east-1a";
    assert!(up.stderr.contains(told), "{}", up.stderr);
    assert!(aws.changes().is_empty());
    // A gateway needs none.
    here.edit("nat: instance", "nat: single");
    here.succeed(&["plan"]);
    let asked = |entry: &Value| entry["operation"] == "DescribeInstanceTypeOfferings";
    assert_eq!(aws.log().into_iter().filter(asked).count(), 1);
}

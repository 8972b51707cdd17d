//! The endpoint of the Parameter Store: `network.endpoints` in the VPC of the stack, and in one of the operator that has no
//! way to the Internet.

use serde_json::{Value, json};

use crate::support::drifted::{Drift, Stack};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, counts, standing};

const WITH: &str = "network: {endpoints: true}\nauthorizer:";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn endpoints(aws: &TestAws) -> Vec<Value> {
    let account = aws.account();
    account["vpc_endpoints"]
        .as_array()
        .cloned()
        .expect("a list")
}

#[test]
fn a_live_stack_gets_an_endpoint_and_leaves_it_again() {
    let before = TestAws::seeded().account();
    let (aws, here) = standing();
    let without = counts(&aws.account());
    here.edit("authorizer:", WITH);
    let plan = here.succeed(&["plan"]).stdout;
    assert!(plan.contains("vpc-endpoint/ssm 14.60"), "{plan}");
    let states = killed_after_each(&aws, &here, &["up", "--yes"], "ec2");
    assert!(states.len() >= 3, "{} calls", states.len());
    let found = endpoints(&aws);
    let [endpoint] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(endpoint["service"], "com.amazonaws.us-east-1.ssm");
    assert_eq!(endpoint["private_names"], true);
    assert_eq!(endpoint["subnets"].as_array().map(Vec::len), Some(2));
    let whole = counts(&aws.account());
    each(states, |nth, Killed { after, aws }| {
        let here = Workplace::new(&aws);
        here.edit("authorizer:", WITH);
        here.succeed(&["up", "--yes"]);
        assert_eq!(counts(&aws.account()), whole, "killed after {nth}, {after}");
    });
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));

    // Another user changes it.
    const DRIFTS: &[Drift] = &[
        (
            "another group",
            |stack| {
                let endpoint = stack.id("vpc_endpoints", "vpc-endpoint/ssm");
                let group = stack.id("security_groups", "security-group/endpoint");
                let other = stack.id("security_groups", "security-group/authorizer");
                let change = json!({"VpcEndpointId": endpoint, "AddSecurityGroupIds": [other], "RemoveSecurityGroupIds": [group]});
                stack.ec2("ModifyVpcEndpoint", change);
            },
            &["vpc-endpoint/ssm"],
        ),
        (
            "no private names, and one subnet",
            |stack| {
                let endpoint = stack.id("vpc_endpoints", "vpc-endpoint/ssm");
                let subnet = stack.id("subnets", "subnet/private-b");
                let change = json!({"VpcEndpointId": endpoint, "PrivateDnsEnabled": false, "RemoveSubnetIds": [subnet]});
                stack.ec2("ModifyVpcEndpoint", change);
            },
            &["vpc-endpoint/ssm"],
        ),
        (
            "deleted",
            |stack| {
                let endpoint = stack.id("vpc_endpoints", "vpc-endpoint/ssm");
                stack.ec2("DeleteVpcEndpoints", json!({"VpcEndpointIds": [endpoint]}));
            },
            &["vpc-endpoint/ssm"],
        ),
    ];
    let stack = Stack {
        whole: aws.account(),
        workplace: here,
        before,
        aws,
    };
    for drift in DRIFTS {
        stack.repairs(drift);
        assert_eq!(counts(&stack.aws.account()), whole, "{}", drift.0);
    }

    stack.workplace.edit(WITH, "authorizer:");
    let states = killed_after_each(&stack.aws, &stack.workplace, &["up", "--yes"], "ec2");
    assert_eq!(counts(&stack.aws.account()), without);
    each(states, |nth, Killed { after, aws }| {
        let here = Workplace::new(&aws);
        match nth % 2 {
            0 => {
                here.succeed(&["up", "--yes"]);
                assert_eq!(
                    counts(&aws.account()),
                    without,
                    "killed after {nth}, {after}"
                );
            }
            _ => {
                here.succeed(&["down", "--yes"]);
                assert_same(&stack.before, &aws.account());
            }
        }
    });
    stack.workplace.edit("authorizer:", WITH);
    stack.workplace.succeed(&["up", "--yes"]);
    stack.end();
}

/// A VPC without a way out, with two subnets in one of two zones.
struct Lonely {
    aws: TestAws,
    vpc: String,
    subnets: Vec<String>,
}

impl Lonely {
    fn new() -> Self {
        let aws = TestAws::seeded();
        aws.post("config", &json!({"ssm_network": true}));
        let vpc = aws.call("ec2", "CreateVpc", json!({"CidrBlock": "10.9.0.0/16"}));
        let vpc = text(&vpc["Vpc"]["VpcId"]);
        let subnets = ["a", "a", "b"].into_iter().enumerate();
        let subnets = subnets.map(|(index, zone)| {
            let subnet = json!({
                "VpcId": vpc, "CidrBlock": format!("10.9.{index}.0/24"), "AvailabilityZone": format!("us-east-1{zone}"),
            });
            text(&aws.call("ec2", "CreateSubnet", subnet)["Subnet"]["SubnetId"])
        });
        let subnets = subnets.collect();
        Self { aws, vpc, subnets }
    }

    fn set_host_names(&self, on: bool) {
        let change = json!({"VpcId": self.vpc, "EnableDnsHostnames": {"Value": on}});
        self.aws.call("ec2", "ModifyVpcAttribute", change);
    }

    /// A folder whose configuration names 3scale at a private address.
    fn workplace(&self, more: &str) -> Workplace {
        let here = Workplace::new(&self.aws);
        let network = format!(
            "network: {{vpc: {}, subnets: [{}]{more}}}\nauthorizer:",
            self.vpc,
            self.subnets.join(", ")
        );
        here.edit("authorizer:", &network);
        here.edit(
            "threescale: {",
            "threescale: {backend: \"https://10.9.0.50\", ",
        );
        here
    }
}

#[test]
fn a_vpc_without_the_internet_works_with_an_endpoint() {
    let lonely = Lonely::new();
    let aws = &lonely.aws;
    let before = aws.account();
    let here = lonely.workplace(", nat: none");
    let up = here.run(&["up", "--yes"]);
    assert_ne!(up.code, Some(0));
    for words in ["ssm_unreachable", "network.endpoints: true"] {
        assert!(up.stderr.contains(words), "{words}: {}", up.stderr);
    }
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());

    let here = lonely.workplace(", nat: none, endpoints: true");
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert!(up.stderr.contains("enableDnsHostnames"), "{}", up.stderr);
    lonely.set_host_names(true);
    let before = aws.account();
    let plan = here.succeed(&["plan"]).stdout;
    let note = "the functions must reach 10.9.0.50 in another way";
    assert!(plan.contains(note), "{plan}");
    here.succeed(&["up", "--yes"]);
    let found = endpoints(aws);
    // One subnet of each zone.
    let mut subnets = [0, 2].map(|index| json!(lonely.subnets[index]));
    subnets.sort_by_key(ToString::to_string);
    assert_eq!(found[0]["subnets"], json!(subnets));
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    assert_eq!(here.run(&["status", "--exit-code"]).code, Some(0));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn an_endpoint_of_others_is_named_before_anything_is_changed() {
    let lonely = Lonely::new();
    let aws = &lonely.aws;
    lonely.set_host_names(true);
    let theirs = json!({"VpcEndpointType": "Interface", "VpcId": lonely.vpc, "PrivateDnsEnabled": true,
        "ServiceName": "com.amazonaws.us-east-1.ssm", "SubnetIds": [lonely.subnets[0]]});
    let theirs = aws.call("ec2", "CreateVpcEndpoint", theirs);
    let theirs = text(&theirs["VpcEndpoint"]["VpcEndpointId"]);
    let before = aws.account();
    let here = lonely.workplace(", endpoints: true");
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    let words = format!(
        "network.endpoints: {} has the endpoint {theirs} of the Parameter Store already",
        lonely.vpc
    );
    assert!(up.stderr.contains(&words), "{}", up.stderr);
    assert_same(&before, &aws.account());
}

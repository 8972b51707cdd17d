//! Others in the stack's network: named before anything is deleted, never deleted, and not waited for.

use std::collections::BTreeMap;

use crate::support::drifted::Stack;
use crate::support::rest_api::assert_mentions;
use crate::support::{Run, TestAws, assert_same, eventually, standing};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn text(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// The ids of the resources that the stack owns, in some of the account's lists.
fn owned(aws: &TestAws, lists: &[&str]) -> usize {
    let account = aws.account();
    let ours = |list: &&str| {
        let all = account[*list].as_array().expect("a list").clone();
        let is_ours = |item: &&Value| item["tags"]["threescale-gw:stack"] == "orders";
        all.iter().filter(is_ours).count()
    };
    lists.iter().map(ours).sum()
}

/// What another team puts into the stack's network.
struct Theirs {
    interfaces: Vec<String>,
    subnet: String,
    /// The address range of their subnet.
    block: String,
    association: String,
    endpoint: String,
    group: String,
    peering: String,
    vpc: String,
    acl: String,
    egress: String,
    carrier: String,
    vpn: String,
}

impl Theirs {
    fn add(stack: &Stack) -> Self {
        let vpc = stack.id("vpcs", "vpc/main");
        let private = stack.id("subnets", "subnet/private-a");
        let group = stack.ec2(
            "CreateSecurityGroup",
            json!({"GroupName": "theirs", "Description": "theirs", "VpcId": vpc}),
        );
        let group = text(&group["GroupId"]);
        let cache = stack.id("security_groups", "security-group/cache");
        let pair = json!({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": cache}]});
        stack.ec2(
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": [pair]}),
        );
        // The second one looks as if Lambda had released it, but it has none of the stack's groups.
        let interfaces = ["their server", "AWS Lambda VPC ENI-theirs-1"].map(|description| {
            let made = stack.ec2(
                "CreateNetworkInterface",
                json!({"SubnetId": private, "Groups": [group], "Description": description}),
            );
            text(&made["NetworkInterface"]["NetworkInterfaceId"])
        });
        let block = json!({"VpcId": vpc, "CidrBlock": "10.44.0.0/24"});
        let block = stack.ec2("AssociateVpcCidrBlock", block);
        let subnet = json!({"VpcId": vpc, "CidrBlock": "10.44.0.0/28"});
        let subnet = text(&stack.ec2("CreateSubnet", subnet)["Subnet"]["SubnetId"]);
        let table = stack.id("route_tables", "route-table/private");
        let associated = stack.ec2(
            "AssociateRouteTable",
            json!({"RouteTableId": table, "SubnetId": subnet}),
        );
        let endpoint = stack.ec2(
            "CreateVpcEndpoint",
            json!({"VpcId": vpc, "ServiceName": "com.amazonaws.us-east-1.guardduty-data", "VpcEndpointType": "Interface",
                "SubnetIds": [private], "SecurityGroupIds": [group]}),
        );
        let other = stack.ec2("CreateVpc", json!({"CidrBlock": "10.9.0.0/16"}));
        let other = text(&other["Vpc"]["VpcId"]);
        let peering = stack.ec2(
            "CreateVpcPeeringConnection",
            json!({"VpcId": other, "PeerVpcId": vpc}),
        );
        let of_vpc = || json!({"VpcId": vpc});
        let acl = stack.ec2("CreateNetworkAcl", of_vpc());
        let egress = stack.ec2("CreateEgressOnlyInternetGateway", of_vpc());
        let egress = &egress["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"];
        let carrier = stack.ec2("CreateCarrierGateway", of_vpc());
        let vpn = stack.ec2("CreateVpnGateway", json!({"Type": "ipsec.1"}));
        let vpn = text(&vpn["VpnGateway"]["VpnGatewayId"]);
        stack.ec2(
            "AttachVpnGateway",
            json!({"VpcId": vpc, "VpnGatewayId": vpn}),
        );
        Self {
            acl: text(&acl["NetworkAcl"]["NetworkAclId"]),
            egress: text(egress),
            carrier: text(&carrier["CarrierGateway"]["CarrierGatewayId"]),
            vpn,
            interfaces: interfaces.to_vec(),
            subnet,
            block: text(&block["CidrBlockAssociation"]["AssociationId"]),
            association: text(&associated["AssociationId"]),
            endpoint: text(&endpoint["VpcEndpoint"]["VpcEndpointId"]),
            group,
            peering: text(&peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]),
            vpc: other,
        }
    }

    fn remove(&self, stack: &Stack) {
        let delete = |operation: &str, parameters: Value| stack.ec2(operation, parameters);
        for interface in &self.interfaces {
            delete(
                "DeleteNetworkInterface",
                json!({"NetworkInterfaceId": interface}),
            );
        }
        let endpoint = json!({"VpcEndpointIds": [self.endpoint]});
        delete("DeleteVpcEndpoints", endpoint);
        let association = json!({"AssociationId": self.association});
        delete("DisassociateRouteTable", association);
        delete("DeleteSubnet", json!({"SubnetId": self.subnet}));
        let block = json!({"AssociationId": self.block});
        delete("DisassociateVpcCidrBlock", block);
        delete("DeleteSecurityGroup", json!({"GroupId": self.group}));
        let peering = json!({"VpcPeeringConnectionId": self.peering});
        delete("DeleteVpcPeeringConnection", peering);
        delete("DeleteVpc", json!({"VpcId": self.vpc}));
        delete("DeleteNetworkAcl", json!({"NetworkAclId": self.acl}));
        delete(
            "DeleteEgressOnlyInternetGateway",
            json!({"EgressOnlyInternetGatewayId": self.egress}),
        );
        let carrier = json!({"CarrierGatewayId": self.carrier});
        delete("DeleteCarrierGateway", carrier);
        let vpc = stack.id("vpcs", "vpc/main");
        let attachment = json!({"VpcId": vpc, "VpnGatewayId": self.vpn});
        delete("DetachVpnGateway", attachment);
        delete("DeleteVpnGateway", json!({"VpnGatewayId": self.vpn}));
    }
}

#[test]
fn down_names_others_in_the_network_before_it_deletes_anything_and_can_leave_the_network() {
    let stack = Stack::new();
    let theirs = Theirs::add(&stack);
    let with_theirs = stack.aws.account();
    stack.aws.check_log();
    let refused = stack.workplace.run(&["down", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    let mut names = vec![
        theirs.subnet.as_str(),
        &theirs.endpoint,
        "com.amazonaws.us-east-1.guardduty-data",
        &theirs.peering,
        &theirs.vpc,
        &theirs.group,
        "(owner 123456789012, ",
        "\"their server\")",
        "--leave-network",
        &theirs.acl,
        &theirs.egress,
        &theirs.carrier,
        &theirs.vpn,
    ];
    names.extend(theirs.interfaces.iter().map(String::as_str));
    assert_mentions(&refused, &names);
    assert!(stack.aws.changes().is_empty());
    // `up` does not begin a replacement of the network either.
    stack.workplace.edit(
        "tags: {team: payments}",
        "tags: {team: payments}\nnetwork: {cidr: 10.43.0.0/16}",
    );
    for command in [&["plan"][..], &["up", "--yes"]] {
        let replaced = stack.workplace.run(command);
        assert_eq!(replaced.code, Some(4), "{}", replaced.stderr);
        assert_mentions(
            &replaced,
            &["the plan deletes", "vpc/main", &theirs.interfaces[0]],
        );
    }
    assert!(stack.aws.changes().is_empty());
    assert_same(&with_theirs, &stack.aws.account());

    let left = stack
        .workplace
        .succeed(&["down", "--yes", "--leave-network"]);
    let network = [
        ("vpcs", "vpc/main"),
        ("subnets", "subnet/private-a"),
        ("internet_gateways", "internet-gateway/main"),
        ("route_tables", "route-table/private"),
        // Their server is in a private subnet and reaches the internet through it.
        ("nat_gateways", "nat-gateway/a"),
        ("addresses", "elastic-ip/a"),
        // Their group's rules name it, and its rules name the authorizer's.
        ("security_groups", "security-group/cache"),
        ("security_groups", "security-group/authorizer"),
    ];
    for (list, id) in network {
        let physical_id = stack.id(list, id);
        let expected = format!("{id}: {physical_id} stays (--leave-network)");
        assert_mentions(&left, &[&expected]);
    }
    let rest = [
        "functions",
        "replication_groups",
        "cache_subnet_groups",
        "roles",
        "log_groups",
        "rules",
        "parameters",
    ];
    assert_eq!(owned(&stack.aws, &rest), 0);
    let after = stack.aws.account();
    assert_eq!(after["rest_apis"], stack.before["rest_apis"]);
    for list in [
        "vpcs",
        "subnets",
        "route_tables",
        "internet_gateways",
        "addresses",
        "nat_gateways",
        "security_groups",
    ] {
        assert_eq!(after[list], with_theirs[list], "{list}");
    }
    let again = stack
        .workplace
        .succeed(&["down", "--yes", "--leave-network"]);
    assert_mentions(&again, &["has only its network"]);
    assert_eq!(stack.workplace.run(&["down", "--yes"]).code, Some(4));

    theirs.remove(&stack);
    // Without its tags, the internet gateway can be another team's.
    let gateway = stack.id("internet_gateways", "internet-gateway/main");
    let mut tags = json!({"Resources": [gateway], "Tags": [{"Key": "threescale-gw:stack"}]});
    stack.ec2("DeleteTags", tags.clone());
    let refused = stack.workplace.run(&["down", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert_mentions(&refused, &[&format!("internet gateway {gateway}")]);
    tags["Tags"][0]["Value"] = "orders".into();
    stack.ec2("CreateTags", tags);
    // A policy of an earlier version does not allow the new listings, which is no reason to refuse.
    let denied = ["DescribeCarrierGateways", "DescribeVpnGateways"];
    let denied =
        denied.map(|operation| json!({"service": "ec2", "operation": operation, "kind": "deny"}));
    stack.aws.post("faults", &json!(denied));
    let down = stack.workplace.succeed(&["down", "--yes"]);
    assert_mentions(
        &down,
        &[
            "is not known",
            "ec2:DescribeVpnGateways",
            "ec2:DescribeCarrierGateways",
        ],
    );
    assert_same(&stack.before, &stack.aws.account());
}

#[test]
fn what_others_add_during_down_is_named_and_not_waited_for() {
    let (aws, here) = standing();
    let stack = Stack {
        before: Value::Null,
        whole: Value::Null,
        aws,
        workplace: here,
    };
    let subnet = stack.id("subnets", "subnet/private-b");
    let rule =
        json!({"service": "ec2", "operation": "DeleteNatGateway", "kind": "hold", "times": 1});
    let mut theirs = String::new();
    let down = stack
        .workplace
        .run_with(&stack.aws, &["down", "--yes"], &rule, || {
            let made = stack.ec2(
                "CreateNetworkInterface",
                json!({"SubnetId": subnet, "Description": "their server"}),
            );
            theirs = text(&made["NetworkInterface"]["NetworkInterfaceId"]);
        });
    assert_eq!(down.code, Some(5), "{}", down.stderr);
    assert_mentions(
        &down,
        &[
            &theirs,
            "\"their server\"",
            "others hold it",
            "--leave-network",
        ],
    );
    assert_eq!(
        owned(&stack.aws, &["functions", "nat_gateways", "route_tables"]),
        0
    );
    assert_eq!(stack.workplace.run(&["down", "--yes"]).code, Some(4));
    stack.ec2(
        "DeleteNetworkInterface",
        json!({"NetworkInterfaceId": theirs}),
    );
    stack.workplace.succeed(&["down", "--yes"]);
    assert_same(&TestAws::seeded().account(), &stack.aws.account());
}

#[test]
fn a_wait_names_what_holds_the_resource() {
    let (aws, here) = standing();
    // The drain sees no interface, so the deletion of the groups and subnets meets those of the functions.
    let omitted =
        json!({"omit": {"DescribeNetworkInterfaces": ["NetworkInterfaces"]}, "eni_linger": 3600});
    aws.post("config", &omitted);
    let rule =
        json!({"service": "ec2", "operation": "DeleteSubnet", "kind": "hold-before", "times": 1});
    aws.post("faults", &json!([rule]));
    let child = here.start(&["down", "--yes", "-o", "json"]);
    assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
    aws.post(
        "config",
        &json!({"omit": {"DescribeNetworkInterfaces": []}}),
    );
    let before = aws.log().len();
    aws.post("release", &json!({}));
    // The second look at a group follows the report of the first.
    eventually("two looks for what holds a group", || {
        let log = aws.log();
        let mut looks: BTreeMap<String, usize> = BTreeMap::new();
        for entry in &log[before..] {
            let filters = &entry["parameters"]["Filters"];
            let is_look = entry["operation"] == "DescribeNetworkInterfaces"
                && filters[0]["Name"] == "group-id"
                && filters[1].is_null();
            *looks.entry(filters.to_string()).or_default() += usize::from(is_look);
        }
        looks.values().any(|count| *count > 1).then_some(())
    });
    // The role is gone, so Lambda never releases them.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), Signal::INT).expect("a signal");
    let down = Run::of(child.wait_with_output().expect("it ends"));
    assert_eq!(down.code, Some(130), "{}", down.stderr);
    assert_mentions(
        &down,
        &[
            "; held by network interface eni-",
            "in-use, \\\"AWS Lambda VPC ENI-threescale-gw-orders-",
        ],
    );
    assert!(!down.stdout.contains("others hold it"), "{}", down.stdout);
}

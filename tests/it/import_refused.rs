//! What `import` refuses: networks that do not fit, or that others use.

use crate::support::handmade::{Handmade, SAME, handmade, id, owned, strings};
use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace, assert_same};
use serde_json::{Value, json};

/// What does not fit is named, all at once, and nothing is changed.
#[test]
fn every_reason_against_an_import_is_named() {
    let (aws, made, _) = handmade();
    let call = |operation: &str, parameters: Value| aws.call("ec2", operation, parameters);
    let tag = |resource: &str, key: &str, value: &str| {
        call(
            "CreateTags",
            json!({"Resources": [resource], "Tags": [{"Key": key, "Value": value}]}),
        );
    };
    let vpc = &made.vpc;
    let block = json!({"VpcId": vpc, "CidrBlock": "10.44.0.0/16"});
    call("AssociateVpcCidrBlock", block);
    let subnet = |range: &str, zone: &str| {
        let subnet = json!({"VpcId": vpc, "CidrBlock": range, "AvailabilityZone": format!("us-east-1{zone}")});
        id(&call("CreateSubnet", subnet)["Subnet"]["SubnetId"])
    };
    let third = subnet("10.44.0.0/24", "c");
    let second = subnet("10.44.1.0/24", "a");
    let group = json!({"GroupName": "servers", "Description": "servers", "VpcId": vpc});
    let group = id(&call("CreateSecurityGroup", group)["GroupId"]);
    let server = json!({"SubnetId": third, "Groups": [group], "Description": "their server"});
    call("CreateNetworkInterface", server);
    let endpoint = json!({
        "VpcId": vpc, "ServiceName": "com.amazonaws.us-east-1.ssm", "VpcEndpointType": "Interface",
        "SubnetIds": [third], "SecurityGroupIds": [group],
    });
    let endpoint = id(&call("CreateVpcEndpoint", endpoint)["VpcEndpoint"]["VpcEndpointId"]);
    let other = id(&call("CreateVpc", json!({"CidrBlock": "10.9.0.0/16"}))["Vpc"]["VpcId"]);
    let peering = json!({"VpcId": other, "PeerVpcId": vpc});
    let peering = call("CreateVpcPeeringConnection", peering);
    let peering = id(&peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]);
    let acl = id(&call("CreateNetworkAcl", json!({"VpcId": vpc}))["NetworkAcl"]["NetworkAclId"]);
    tag(&made.tables[0], "ManagedBy", "Terraform");
    tag(&made.public[1], "threescale-gw:stack", "partners");
    let address = json!({"Domain": "vpc"});
    let others_address = id(&call("AllocateAddress", address)["AllocationId"]);
    tag(&others_address, "managed-by", "pulumi");
    let nat = json!({"SubnetId": made.public[0], "AllocationId": others_address});
    let nat = id(&call("CreateNatGateway", nat)["NatGateway"]["NatGatewayId"]);

    let workplace = Workplace::new(&aws);
    let seen = aws.account();
    let run = workplace.run(&["import", "--yes", "--vpc", vpc]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert_mentions(
        &run,
        &[
            &format!(
                "subnet {} belongs to stack partners of this tool",
                made.public[1]
            ),
            &format!(
                "zone us-east-1a has 2 private subnets ({}, {second})",
                made.private[0]
            ),
            "its subnets are in 3 zones, and `network.zones` is 2",
            &format!(
                "route table {} belongs to another tool (tag ManagedBy = Terraform)",
                made.tables[0]
            ),
            "(owner 123456789012, available, \"their server\")",
            &format!("others use {vpc}: VPC endpoint {endpoint} (com.amazonaws.us-east-1.ssm)"),
            &format!("VPC peering connection {peering} with {other}"),
            &format!("network ACL {acl}"),
            &format!("NAT gateway {nat}: there is another one"),
            &format!("`network.vpc: {vpc}` with `network.subnets`"),
        ],
    );
    assert!(
        !run.stderr.contains(&format!("network interface {nat}")),
        "{}",
        run.stderr
    );
    assert_same(&seen, &aws.account());

    let vpcs = seen["vpcs"].as_array().expect("a list").iter();
    let mut default = vpcs.filter(|vpc| vpc["default"] == true);
    let default = id(&default.next().expect("a default VPC")["id"]);
    let missing = "vpc-0123456789abcdef0";
    for (arguments, lines, exit, words) in [
        (
            &["--vpc", &*default][..],
            "",
            4,
            "is the default VPC, which `down` would delete",
        ),
        (
            &["--vpc", missing],
            "",
            4,
            "there is no vpc-0123456789abcdef0 in us-east-1",
        ),
        (&["--vpc", "subnet-1"], "", 2, "it must be the id of a VPC"),
        (
            &[],
            "account: \"999999999999\"",
            4,
            "`account` of the configuration is 999999999999",
        ),
        (
            &[],
            "network: none\ncache: memory",
            2,
            "`network` names no network of the stack",
        ),
    ] {
        let workplace = Workplace::new(&aws);
        workplace.edit("tags: {team: payments}", lines);
        let run = workplace.run(&[&["import", "--yes"], arguments].concat());
        assert_eq!(run.code, Some(exit), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert_same(&seen, &aws.account());
}

/// The VPC need not be named if only one can be meant.
#[test]
fn the_vpc_is_found_or_must_be_named() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let none = workplace.run(&["import", "--yes"]);
    assert_eq!(none.code, Some(4), "{}", none.stderr);
    assert_mentions(
        &none,
        &["no VPC has a NAT gateway and belongs to no stack", "--vpc"],
    );
    let first = Handmade::make(&aws, "10.42.0.0/16", SAME);
    let second = Handmade::make(&aws, "10.42.0.0/16", SAME);
    let several = workplace.run(&["import", "--yes"]);
    assert_eq!(several.code, Some(4), "{}", several.stderr);
    assert_mentions(
        &several,
        &["several VPCs may be meant", &first.vpc, &second.vpc],
    );
    workplace.succeed(&["import", "--yes", "--vpc", &second.vpc]);
    assert_eq!(owned(&aws), strings(second.expected()));
}

//! Several resources with the tags of one of the stack's: spares are deleted, those of others are left alone, and what
//! cannot be told apart is refused.

use crate::support::drifted::{Stack, unhealthy};
use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace, assert_same};
use serde_json::{Value, json};

fn text(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// The tags that the stack gives to the resource `id`, with this name.
fn tags(id: &str, name: Option<&str>) -> Value {
    let ours = format!("threescale-gw-orders-{}", id.replace('/', "-"));
    json!([
        {"Key": "Name", "Value": name.unwrap_or(&ours)},
        {"Key": "team", "Value": "payments"},
        {"Key": "threescale-gw:resource", "Value": id},
        {"Key": "threescale-gw:stack", "Value": "orders"},
    ])
}

fn ec2(aws: &TestAws, operation: &str, parameters: Value) -> Value {
    aws.call("ec2", operation, parameters)
}

/// A VPC with the tags of the stack's, and the id of a subnet in it with the tags of one of the stack's.
fn copied_network(aws: &TestAws, cidr: &str, name: Option<&str>) -> (String, String) {
    let vpc = json!({"CidrBlock": format!("{cidr}.0.0/16"),
        "TagSpecifications": [{"ResourceType": "vpc", "Tags": tags("vpc/main", name)}]});
    let vpc = text(&ec2(aws, "CreateVpc", vpc)["Vpc"]["VpcId"]);
    let subnet = json!({"VpcId": vpc, "CidrBlock": format!("{cidr}.0.0/24"),
        "TagSpecifications": [{"ResourceType": "subnet", "Tags": tags("subnet/private-a", name)}]});
    let subnet = text(&ec2(aws, "CreateSubnet", subnet)["Subnet"]["SubnetId"]);
    (vpc, subnet)
}

#[test]
fn spares_are_deleted() {
    let stack = Stack::new();
    let specification =
        |kind: &str, id: &str| json!([{"ResourceType": kind, "Tags": tags(id, None)}]);
    let vpc = stack.id("vpcs", "vpc/main");
    let made = [
        (
            "CreateVpc",
            json!({"CidrBlock": "10.42.0.0/16", "TagSpecifications": specification("vpc", "vpc/main")}),
        ),
        (
            "CreateInternetGateway",
            json!({"TagSpecifications": specification("internet-gateway", "internet-gateway/main")}),
        ),
        (
            "AllocateAddress",
            json!({"Domain": "vpc", "TagSpecifications": specification("elastic-ip", "elastic-ip/a")}),
        ),
        (
            "CreateRouteTable",
            json!({"VpcId": vpc, "TagSpecifications": specification("route-table", "route-table/private")}),
        ),
    ];
    let ids = [
        "/Vpc/VpcId",
        "/InternetGateway/InternetGatewayId",
        "/AllocationId",
        "/RouteTable/RouteTableId",
    ];
    let spares: Vec<_> = made
        .into_iter()
        .zip(ids)
        .map(|((operation, parameters), id)| {
            let made = stack.ec2(operation, parameters);
            text(made.pointer(id).expect("an id"))
        })
        .collect();
    let (code, status) = stack.status();
    assert_eq!((code, unhealthy(&status).len()), (Some(3), 4), "{status}");
    let plan = stack.workplace.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stderr);
    for (kind, spare) in ["vpc", "internet-gateway", "elastic-ip", "route-table"]
        .iter()
        .zip(&spares)
    {
        assert_mentions(&plan, &[&format!("- {kind}/spare-{spare}")]);
    }
    assert_mentions(&plan, &["Plan: 4 to delete, 30 unchanged."]);
    // `down` deletes them too.
    let copy = stack.aws.fork();
    let here = Workplace::new(&copy);
    here.succeed(&["down", "--yes"]);
    assert_same(&stack.before, &copy.account());

    stack.workplace.succeed(&["up", "--yes"]);
    assert_same(&stack.whole, &stack.aws.account());
    assert_eq!(stack.status().0, Some(0));
}

#[test]
fn what_a_stranger_has_tagged_with_our_tags_is_left_alone() {
    let before = TestAws::seeded();
    before.post("config", &json!({"quotas": {"vpcs": 10}}));
    // A name of its own shows that it is another owner's, even before there is a stack.
    let (vpc, subnet) = copied_network(&before, "10.50", Some("theirs"));
    before.post("log/clear", &json!({}));
    let aws = before.fork();
    let here = Workplace::new(&aws);
    let notice = format!("{vpc} stays unchanged: it has the tags of vpc/main");
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(&up, &[&notice, &format!("{subnet} stays unchanged")]);
    // An exact copy with its contents is told by what the functions use.
    let (copy, inside) = copied_network(&aws, "10.51", None);
    ec2(
        &aws,
        "CreateNetworkInterface",
        json!({"SubnetId": inside, "Description": "their server"}),
    );
    aws.check_log();
    let status = here.succeed(&["status", "--exit-code"]);
    assert_mentions(&status, &[&notice, &copy, &inside]);
    let again = here.succeed(&["up", "--yes"]);
    assert_mentions(&again, &["No changes"]);
    assert_eq!(aws.changes(), [""; 0]);
    let down = here.succeed(&["down", "--yes"]);
    assert_mentions(
        &down,
        &[
            &format!("{copy} is left alone"),
            &format!("{vpc} is left alone"),
        ],
    );
    let mut after = aws.account();
    for list in [
        "vpcs",
        "subnets",
        "network_interfaces",
        "route_tables",
        "security_groups",
    ] {
        let theirs = |item: &Value| {
            ["vpc", "subnet", "id"]
                .iter()
                .any(|key| item[key] == copy.as_str() || item[key] == inside.as_str())
        };
        let all = after[list].as_array_mut().expect("a list");
        let count = all.len();
        all.retain(|item| !theirs(item));
        assert!(all.len() < count, "{list}");
    }
    assert_same(&before.account(), &after);
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"quotas": {"vpcs": 10}}));
    let (one, _) = copied_network(&aws, "10.50", None);
    let (two, _) = copied_network(&aws, "10.51", None);
    let before = aws.account();
    let here = Workplace::new(&aws);
    for command in [&["plan"][..], &["up", "--yes"], &["down", "--yes"]] {
        let run = here.run(command);
        assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
        assert_mentions(
            &run,
            &[
                &one,
                &two,
                "nothing shows which of them this stack has created",
                "subnet/private-a",
            ],
        );
    }
    let status = here.succeed(&["status"]);
    assert_mentions(&status, &[&one, "nothing shows which of them"]);
    assert!(aws.changes().is_empty());
    assert_same(&before, &aws.account());
    // Without the tag, the other one decides.
    let untagged = json!({"Resources": [two], "Tags": [{"Key": "threescale-gw:stack"}]});
    ec2(&aws, "DeleteTags", untagged);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stderr);
}

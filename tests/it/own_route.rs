//! A VPC of the operator in which the stack creates what is missing: subnets and their way to the Internet. What the operator's
//! subnets were associated with is restored.

use crate::moves::{HERE, Start, assert_served, changes, workplace};
use crate::own::{add, id, lives, own_network_in, owned};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, counts};
use serde_json::{Value, json};

/// A VPC of the operator.
pub(crate) struct Vpc {
    pub(crate) id: String,
    /// Two private subnets without a way to the Internet: one with a route table of its own, one with the main one.
    private: [String; 2],
    /// Two public subnets, if there is an Internet gateway.
    public: Vec<String>,
    /// The route table of the first private subnet.
    table: String,
}

fn ec2(aws: &TestAws, operation: &str, parameters: Value) -> Value {
    aws.call("ec2", operation, parameters)
}

fn associate(aws: &TestAws, table: &str, subnet: &str) {
    let association = json!({"RouteTableId": table, "SubnetId": subnet});
    ec2(aws, "AssociateRouteTable", association);
}

fn table(aws: &TestAws, vpc: &str) -> String {
    let table = ec2(aws, "CreateRouteTable", json!({"VpcId": vpc}));
    id(&table["RouteTable"]["RouteTableId"])
}

impl Vpc {
    pub(crate) fn new(aws: &TestAws, range: &str, has_gateway: bool) -> Self {
        let block = json!({"CidrBlock": format!("{range}.0.0/16")});
        let vpc = id(&ec2(aws, "CreateVpc", block)["Vpc"]["VpcId"]);
        let subnet = |(index, zone): (u8, &str)| {
            let subnet = json!({"VpcId": vpc, "CidrBlock": format!("{range}.{index}.0/24"),
                "AvailabilityZone": format!("us-east-1{zone}")});
            id(&ec2(aws, "CreateSubnet", subnet)["Subnet"]["SubnetId"])
        };
        let private = [(0, "a"), (1, "b")].map(subnet);
        let own = table(aws, &vpc);
        associate(aws, &own, &private[0]);
        let mut public = Vec::new();
        if has_gateway {
            public.extend([(2, "a"), (3, "b")].map(subnet));
            let gateway = ec2(aws, "CreateInternetGateway", json!({}));
            let gateway = &gateway["InternetGateway"]["InternetGatewayId"];
            let attached = json!({"InternetGatewayId": gateway, "VpcId": vpc});
            ec2(aws, "AttachInternetGateway", attached);
            let outside = table(aws, &vpc);
            ec2(
                aws,
                "CreateRoute",
                json!({"RouteTableId": outside, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}),
            );
            for subnet in &public {
                associate(aws, &outside, subnet);
            }
        }
        Self {
            id: vpc,
            private,
            public,
            table: own,
        }
    }

    /// The lines that configure it.
    fn with(&self, keys: &str) -> String {
        format!("network: {{vpc: {}, {keys}}}", self.id)
    }

    /// With its private subnets, and a way out for them.
    pub(crate) fn routed(&self, more: &str) -> String {
        let subnets = self.private.join(", ");
        self.with(&format!("subnets: [{subnets}], route: create{more}"))
    }
}

fn test_aws() -> TestAws {
    let aws = TestAws::seeded();
    let limits = json!({"eni_linger": 0.05, "quotas": {"vpcs": 10, "elastic_ips": 10}});
    aws.post("config", &limits);
    aws
}

/// The route table that a subnet is associated with.
fn table_of(account: &Value, subnet: &str) -> Option<Value> {
    let mut tables = account["route_tables"].as_array().expect("a list").iter();
    let has = |table: &&Value| {
        let subnets = table["subnets"].as_array();
        subnets.is_some_and(|subnets| subnets.iter().any(|of| of == subnet))
    };
    tables.find(has).cloned()
}

#[track_caller]
fn assert_owned(aws: &TestAws, expected: [usize; 6]) {
    let kinds = [
        "vpcs",
        "subnets",
        "internet_gateways",
        "addresses",
        "nat_gateways",
        "route_tables",
    ];
    assert_eq!(kinds.map(|kind| owned(aws, kind)), expected, "{kinds:?}");
}

#[test]
fn a_way_out_of_subnets_of_ones_own_is_created_and_their_route_tables_are_restored() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", true);
    lives(&aws, &vpc.routed(""), |here| {
        assert_owned(&aws, [0, 0, 0, 1, 1, 1]);
        assert_served(&aws, "up");
        let account = aws.account();
        let ours = table_of(&account, &vpc.private[0]).expect("a table");
        assert_eq!(ours["tags"]["threescale-gw:stack"], "orders");
        assert_eq!(table_of(&account, &vpc.private[1]), Some(ours));
        let mut gateways = account["nat_gateways"].as_array().expect("a list").iter();
        let ours = gateways.find(|one| one["tags"]["threescale-gw:stack"] == "orders");
        assert_eq!(ours.map(|one| &one["subnet"]), Some(&json!(vpc.public[0])));
        let status = here.succeed(&["status", "--all"]).stdout;
        assert!(status.contains("nat-gateway/a@"), "{status}");
        let mut addresses = account["addresses"].as_array().expect("a list").iter();
        let address = addresses.find(|one| one["tags"]["threescale-gw:stack"] == "orders");
        let address = id(&address.expect("an address")["public_ip"]);
        let output = status
            .lines()
            .find(|line| line.starts_with("nat_public_ip"));
        assert!(
            output.is_some_and(|line| line.ends_with(&address)),
            "{status}"
        );
        // Another stack in these subnets has a way out, which is not its own.
        let other = Workplace::new(&aws);
        add(&other, &vpc.routed(""));
        other.edit("stack: orders", "stack: billing");
        let plan = other.run(&["plan"]);
        let told = "a route table of the stack orders";
        let lines = plan.stdout.lines().filter(|line| line.contains(told));
        assert_eq!(lines.count(), 2, "{}{}", plan.stdout, plan.stderr);
        assert!(!plan.stdout.contains("nat-gateway"), "{}", plan.stdout);
    });
    // One for each zone, with addresses that stay with the operator.
    let address = || id(&ec2(&aws, "AllocateAddress", json!({"Domain": "vpc"}))["AllocationId"]);
    let addresses = [address(), address()].join(", ");
    let per_zone = format!(", nat: per-zone, elastic_ips: [{addresses}]");
    lives(&aws, &vpc.routed(&per_zone), |_| {
        assert_owned(&aws, [0, 0, 0, 0, 2, 2]);
        assert_served(&aws, "up");
    });
}

#[test]
fn subnets_are_created_in_a_vpc_that_has_no_internet_gateway() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", false);
    let cidrs = vpc.with("subnet_cidrs: [10.9.8.0/24, 10.9.9.0/28], route: create");
    lives(&aws, &cidrs, |_| {
        assert_owned(&aws, [0, 3, 1, 1, 1, 2]);
        assert_served(&aws, "up");
    });
}

#[test]
fn a_nat_gateway_of_ones_own_is_used() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", true);
    let address = ec2(&aws, "AllocateAddress", json!({"Domain": "vpc"}));
    let nat = json!({"SubnetId": vpc.public[1], "AllocationId": address["AllocationId"]});
    let nat = id(&ec2(&aws, "CreateNatGateway", nat)["NatGateway"]["NatGatewayId"]);
    lives(&aws, &vpc.routed(&format!(", nat: {nat}")), |_| {
        assert_owned(&aws, [0, 0, 0, 0, 0, 1]);
        assert_served(&aws, "up");
    });
}

/// The default VPC, whose subnets are all public, with an interface that has a public address.
fn default_vpc(aws: &TestAws) -> (String, Vec<String>) {
    let account = aws.account();
    let list = |name: &str| account[name].as_array().cloned().expect("a list");
    let vpc = list("vpcs").into_iter().find(|vpc| vpc["default"] == true);
    let vpc = id(&vpc.expect("a default VPC")["id"]);
    let mut subnets = list("subnets");
    subnets.retain(|subnet| subnet["vpc"] == vpc.as_str());
    let subnets: Vec<_> = subnets.iter().map(|subnet| id(&subnet["id"])).collect();
    let gateway = ec2(aws, "CreateInternetGateway", json!({}));
    let gateway = &gateway["InternetGateway"]["InternetGatewayId"];
    let attached = json!({"InternetGatewayId": gateway, "VpcId": vpc});
    ec2(aws, "AttachInternetGateway", attached);
    let tables = list("route_tables").into_iter();
    let mut main = tables.filter(|table| table["main"] == true && table["vpc"] == vpc.as_str());
    let main = id(&main.next().expect("a main table")["id"]);
    let route =
        json!({"RouteTableId": main, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway});
    ec2(aws, "CreateRoute", route);
    let server = json!({"SubnetId": subnets[0], "Description": "their server"});
    let server = ec2(aws, "CreateNetworkInterface", server);
    let server = id(&server["NetworkInterface"]["NetworkInterfaceId"]);
    let address = ec2(aws, "AllocateAddress", json!({"Domain": "vpc"}));
    let address = json!({"AllocationId": address["AllocationId"], "NetworkInterfaceId": server});
    ec2(aws, "AssociateAddress", address);
    (server, subnets)
}

#[test]
fn the_default_vpc_gets_private_subnets_or_its_own_are_routed_with_a_warning() {
    let aws = test_aws();
    let (server, subnets) = default_vpc(&aws);
    let cidrs =
        "network: {vpc: default, subnet_cidrs: [172.31.200.0/24, 172.31.201.0/24], route: create}";
    lives(&aws, cidrs, |_| {
        assert_owned(&aws, [0, 2, 0, 1, 1, 1]);
        assert_served(&aws, "up");
    });
    let named = subnets[..2].join(", ");
    let named = format!("network: {{vpc: default, subnets: [{named}], route: create}}");
    let here = Workplace::new(&aws);
    add(&here, &named);
    let plan = here.succeed(&["plan"]);
    let warning = "can no longer be reached from the Internet";
    let lines = plan.stdout.lines().filter(|line| line.contains(warning));
    assert_eq!(lines.count(), 1, "{}", plan.stdout);
    assert!(plan.stdout.contains(&server), "{}", plan.stdout);
    assert!(plan.stdout.contains("their server"), "{}", plan.stdout);
    lives(&aws, &named, |_| {
        assert_owned(&aws, [0, 0, 0, 1, 1, 1]);
        assert_served(&aws, "up");
    });
}

#[test]
fn each_fault_of_a_route_is_a_line_of_the_plan() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", true);
    let other = Vpc::new(&aws, "10.8", false);
    let peering = json!({"VpcId": vpc.id, "PeerVpcId": other.id});
    let peering = ec2(&aws, "CreateVpcPeeringConnection", peering);
    let peering = id(&peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]);
    let accepted = json!({"VpcPeeringConnectionId": peering});
    ec2(&aws, "AcceptVpcPeeringConnection", accepted);
    let route = json!({"RouteTableId": vpc.table, "DestinationCidrBlock": "10.8.0.0/16", "VpcPeeringConnectionId": peering});
    ec2(&aws, "CreateRoute", route);
    let cases = [
        (
            vpc.routed(""),
            vec![format!(
                "{} would lose the other routes of {}: 10.8.0.0/16 to {peering}",
                vpc.private[0], vpc.table
            )],
        ),
        (
            vpc.with("subnet_cidrs: [10.7.0.0/24, 10.9.1.0/24], route: create, nat: nat-0123456789abcdef0"),
            vec![
                format!("10.7.0.0/24 is not in {}", vpc.id),
                format!("10.9.1.0/24 overlaps {}", vpc.private[1]),
                format!("there is no nat-0123456789abcdef0 in {}", vpc.id),
            ],
        ),
        (
            vpc.with("subnet_cidrs: [10.9.200.0/24]"),
            vec!["10.9.200.0/24 has no route 0.0.0.0/0 in".to_owned()],
        ),
    ];
    for (lines, faults) in cases {
        let here = Workplace::new(&aws);
        add(&here, &lines);
        aws.check_log();
        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(4), "{lines}: {}", up.stderr);
        for fault in faults {
            let told = up.stderr.lines().filter(|line| line.contains(&fault));
            assert_eq!(told.count(), 1, "{fault}: {}", up.stderr);
        }
        assert!(aws.changes().is_empty());
    }

    // Both subnets have a way.
    let own = own_network_in(&aws, "10.6").text;
    let here = Workplace::new(&aws);
    add(
        &here,
        &own.replace("subnets:", "route: create, nat: per-zone, subnets:"),
    );
    let plan = here.succeed(&["plan"]).stdout;
    let note =
        "network.nat: per-zone has no effect: every subnet has a way to the Internet already";
    assert!(plan.contains(note), "{plan}");
}

#[test]
fn a_route_table_that_somebody_changed_is_restored_as_it_was_found_last() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", true);
    let here = Workplace::new(&aws);
    add(&here, &vpc.routed(""));
    let [first, second] = &vpc.private;
    here.succeed(&["up", "--yes"]);
    // Somebody associates a subnet with another table: `up` associates it with the stack's again.
    let theirs = table(&aws, &vpc.id);
    let associations = ec2(&aws, "DescribeRouteTables", json!({}));
    let tables = associations["RouteTables"].as_array().expect("a list");
    let mut associations = tables
        .iter()
        .flat_map(|table| table["Associations"].as_array().expect("a list"));
    let association = associations.find(|one| one["SubnetId"] == first.as_str());
    let association = &association.expect("an association")["RouteTableAssociationId"];
    let replaced = json!({"AssociationId": association, "RouteTableId": theirs});
    ec2(&aws, "ReplaceRouteTableAssociation", replaced);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);
    assert!(
        plan.stdout.contains(&format!("route-association/{first}")),
        "{}",
        plan.stdout
    );
    here.succeed(&["up", "--yes"]);
    assert_served(&aws, "repaired");
    // The main route table applied to the second one, and the former table of the first one is deleted.
    ec2(&aws, "DeleteRouteTable", json!({"RouteTableId": theirs}));
    let down = here.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(5), "{}", down.stderr);
    let told = format!("{theirs}, the former route table of {first}, does not exist");
    assert!(down.stderr.contains(&told), "{}", down.stderr);
    let account = aws.account();
    assert_eq!(table_of(&account, second), None);
    let ours = table_of(&account, first).expect("a table");
    assert_eq!(ours["tags"]["threescale-gw:stack"], "orders");
    // Its way out is still there. The operator chooses another table.
    assert_eq!(owned(&aws, "nat_gateways"), 1);
    let associations = ec2(
        &aws,
        "DescribeRouteTables",
        json!({"RouteTableIds": [ours["id"]]}),
    );
    let association = &associations["RouteTables"][0]["Associations"][0]["RouteTableAssociationId"];
    let replaced = json!({"AssociationId": association, "RouteTableId": vpc.table});
    ec2(&aws, "ReplaceRouteTableAssociation", replaced);
    here.succeed(&["down", "--yes"]);
    assert_owned(&aws, [0; 6]);
    let table = table_of(&aws.account(), first).expect("a table");
    assert_eq!(table["id"], vpc.table.as_str());
}

#[test]
fn a_killed_up_or_down_restores_the_route_tables() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", true);
    let before = aws.account();
    let lines = vpc.routed("");
    let here = Workplace::new(&aws);
    add(&here, &lines);
    let ups = killed_after_each(&aws, &here, &["up", "--yes"], "ec2");
    let whole = counts(&aws.account());
    each(ups, |nth, Killed { after, aws }| {
        let here = Workplace::new(&aws);
        add(&here, &lines);
        let when = format!("up, killed after {nth}, {after}");
        if nth % 2 == 0 {
            here.succeed(&["up", "--yes"]);
            assert_eq!(counts(&aws.account()), whole, "{when}");
            assert_served(&aws, &when);
        }
        here.succeed(&["down", "--yes", "--stack", "orders"]);
        assert_same(&before, &aws.account());
    });
    let downs = killed_after_each(&aws, &here, &["down", "--yes"], "ec2");
    assert_same(&before, &aws.account());
    each(downs, |nth, Killed { aws, .. }| {
        let here = Workplace::new(&aws);
        add(&here, &lines);
        if nth % 2 == 0 {
            here.succeed(&["up", "--yes"]);
            assert_served(&aws, &format!("down, killed after {nth}, then up"));
        }
        here.succeed(&["down", "--yes", "--stack", "orders"]);
        assert_same(&before, &aws.account());
    });
}

#[test]
fn a_change_of_the_way_out_never_leaves_callers_without_3scale() {
    let start = Start::with(|_| HERE.to_owned());
    let vpc = Vpc::new(&start.aws, "10.7", true);
    let start = Start {
        before: {
            let other = start.aws.fork();
            workplace(&other, HERE).succeed(&["down", "--yes", "--stack", "orders"]);
            other.account()
        },
        ..start
    };
    let aws = &start.aws;
    let single = vpc.routed("");
    let per_zone = vpc.routed(", nat: per-zone");
    let instance = vpc.routed(", nat: instance");
    let cidrs = vpc.with("subnet_cidrs: [10.7.8.0/24, 10.7.9.0/24], route: create");
    let others =
        vpc.with("subnet_cidrs: [10.7.8.0/24, 10.7.10.0/24], route: create, nat: per-zone");
    for (from, to) in [
        (HERE, single.as_str()),
        (&single, &instance),
        (&instance, &per_zone),
        (&per_zone, &cidrs),
        (&cidrs, &others),
        (&others, &start.own),
        (&start.own, &single),
        (&single, HERE),
    ] {
        changes(&start, aws, from, to, 9);
    }
}

#[test]
fn a_plan_that_would_cut_off_the_network_is_refused() {
    let aws = test_aws();
    let vpc = Vpc::new(&aws, "10.9", true);
    let refused = |here: &Workplace, arguments: &[&str], text: &str| {
        aws.check_log();
        let run = here.run(arguments);
        assert_eq!(run.code, Some(4), "{text}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(text), "{text}: {}", run.stderr);
        assert!(
            aws.changes()
                .iter()
                .all(|change| change.contains("Parameter"))
        );
    };
    // The subnets that the stack created would lose their route.
    let here = Workplace::new(&aws);
    let cidrs = vpc.with("subnet_cidrs: [10.9.8.0/24, 10.9.9.0/24], route: create");
    add(&here, &cidrs);
    here.succeed(&["up", "--yes"]);
    here.edit(", route: create", "");
    refused(&here, &["up", "--yes"], "has no route 0.0.0.0/0 in rtb-");
    // So would the NAT gateway.
    let both = [&vpc.private[0], &vpc.public[0]]
        .map(String::as_str)
        .join(", ");
    let cidrs = cidrs.replace(", route: create", "");
    here.edit(
        &cidrs,
        &vpc.with(&format!("subnets: [{both}], route: create")),
    );
    refused(
        &here,
        &["up", "--yes"],
        "would lose its route to the Internet",
    );
    // And a function of another stack.
    let text = vpc.with(&format!("subnets: [{both}], route: create"));
    here.edit(&text, &vpc.routed(""));
    here.succeed(&["up", "--yes"]);
    let description =
        "AWS Lambda VPC ENI-threescale-gw-billing-authorizer-01234567-89ab-cdef-0123-456789abcdef";
    let interface = json!({"SubnetId": vpc.private[0], "Description": description});
    let interface = ec2(&aws, "CreateNetworkInterface", interface);
    let interface = id(&interface["NetworkInterface"]["NetworkInterfaceId"]);
    refused(&here, &["down", "--yes"], &interface);
    ec2(
        &aws,
        "DeleteNetworkInterface",
        json!({"NetworkInterfaceId": interface}),
    );
    // And a route table of the operator, which routes to the NAT gateway of the stack by now.
    let account = aws.account();
    let mut gateways = account["nat_gateways"].as_array().expect("a list").iter();
    let gateway = gateways.find(|one| one["tags"]["threescale-gw:stack"] == "orders");
    let gateway = id(&gateway.expect("a NAT gateway")["id"]);
    let by_range = json!({"RouteTableId": vpc.table, "DestinationCidrBlock": "0.0.0.0/0"});
    let mut route = by_range.clone();
    route["NatGatewayId"] = json!(gateway);
    ec2(&aws, "CreateRoute", route);
    let text = format!("{}, which has a route to {gateway}", vpc.table);
    refused(&here, &["down", "--yes"], &text);
    here.edit("route: create", "route: create, nat: instance");
    refused(&here, &["up", "--yes"], &text);
    here.succeed(&["down", "--yes", "--leave-network"]);
    assert_owned(&aws, [0, 0, 0, 1, 1, 1]);
    ec2(&aws, "DeleteRoute", by_range);
    here.succeed(&["down", "--yes"]);
    assert_owned(&aws, [0; 6]);
}

#[test]
fn the_vpc_of_the_stack_is_not_taken_for_one_of_the_operator() {
    let aws = test_aws();
    let here = Workplace::new(&aws);
    here.succeed(&["up", "--yes"]);
    let account = aws.account();
    let of_stack = |kind: &str| -> Vec<String> {
        let all = account[kind].as_array().expect("a list").iter();
        let ours = all.filter(|one| one["tags"]["threescale-gw:stack"] == "orders");
        ours.map(|one| id(&one["id"])).collect()
    };
    let (vpcs, subnets) = (of_stack("vpcs"), of_stack("subnets"));
    for more in ["", ", route: create"] {
        let here = Workplace::new(&aws);
        let subnets = subnets.join(", ");
        add(
            &here,
            &format!("network: {{vpc: {}, subnets: [{subnets}]{more}}}", vpcs[0]),
        );
        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(4), "{}", up.stderr);
        let told = format!("{} is the VPC of this stack", vpcs[0]);
        assert!(up.stderr.contains(&told), "{}", up.stderr);
    }
    assert_eq!(aws.account()["vpcs"], account["vpcs"]);
}

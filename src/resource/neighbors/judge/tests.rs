//! Tests of what holds a network.

use super::super::around::{Attached, Group, OwnTable, Peering, Table};
use super::*;

fn id(text: &str) -> LogicalId {
    text.parse().expect("a logical id")
}

fn ids(texts: &[&str]) -> BTreeSet<LogicalId> {
    texts.iter().map(|text| id(text)).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, LogicalId> {
    let pairs = pairs.iter();
    pairs.map(|(key, of)| ((*key).to_owned(), id(of))).collect()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn own() -> Own {
    let table = |of: &str, target: &str| OwnTable {
        id: id(of),
        borrowed: BTreeSet::new(),
        target: Some(text(target)),
    };
    Own {
        vpcs: map(&[("vpc-1", "vpc/main")]),
        subnets: map(&[
            ("subnet-1", "subnet/private-a"),
            ("subnet-2", "subnet/public-a"),
        ]),
        tables: [
            (text("rtb-1"), table("route-table/private", "nat-1")),
            (text("rtb-2"), table("route-table/public", "igw-1")),
        ]
        .into(),
        groups: map(&[
            ("sg-1", "security-group/authorizer"),
            ("sg-2", "security-group/cache"),
        ]),
        functions: vec![text("threescale-gw-orders-authorizer")],
        rules: vec![(id("security-group/cache"), text("sg-1"))],
        gateways: [(text("nat-1"), (id("nat-gateway/a"), text("eipalloc-1")))].into(),
        former_gateways: [text("nat-0")].into(),
        instances: BTreeMap::new(),
        addresses: map(&[("eipalloc-1", "elastic-ip/a")]),
        internet_gateways: map(&[("igw-1", "internet-gateway/main")]),
        endpoints: BTreeMap::new(),
        borrowed_vpcs: BTreeSet::new(),
    }
}

fn interface(description: &str, requester: &str, groups: &[&str]) -> Interface {
    Interface {
        id: text("eni-1"),
        owner: text("123456789012"),
        requester: text(requester),
        description: text(description),
        status: text("in-use"),
        subnet: text("subnet-1"),
        vpc: text("vpc-1"),
        groups: groups.iter().map(|group| text(group)).collect(),
    }
}

fn attached(what: &'static str, id: &str) -> Attached {
    Attached::new(what, text(id), Some(text("vpc-1")))
}

/// The network as the stack has created it.
fn undisturbed() -> Around {
    let table = |id: &str, subnets: &[&str]| Table {
        id: text(id),
        vpc: text("vpc-1"),
        is_main: subnets.is_empty(),
        associated: subnets.iter().map(|subnet| text(subnet)).collect(),
        ..Table::default()
    };
    let group = |id: &str, name: &str, names: &[&str]| Group {
        id: text(id),
        name: text(name),
        vpc: text("vpc-1"),
        names: names.iter().map(|name| text(name)).collect(),
    };
    Around {
        interfaces: vec![
            interface(
                "AWS Lambda VPC ENI-threescale-gw-orders-authorizer-1",
                "AROA:1",
                &["sg-1"],
            ),
            interface("AWS Lambda VPC ENI: 1", "AROA:1", &["sg-1"]),
            interface(
                "ElastiCache threescale-gw-orders-cache-001",
                "amazon-elasticache",
                &["sg-2"],
            ),
            interface("Interface for NAT Gateway nat-1", "", &[]),
            interface("Interface for NAT Gateway nat-0", "", &[]),
        ],
        subnets: vec![
            (text("subnet-1"), text("vpc-1")),
            (text("subnet-2"), text("vpc-1")),
        ],
        groups: vec![
            group("sg-0", "default", &["sg-0"]),
            group("sg-1", "threescale-gw-orders-authorizer", &[]),
            group("sg-2", "threescale-gw-orders-cache", &["sg-1"]),
        ],
        tables: vec![
            table("rtb-0", &[]),
            table("rtb-1", &["subnet-1"]),
            table("rtb-2", &["subnet-2"]),
        ],
        attached: vec![attached("internet gateway", "igw-1")],
        ..Around::default()
    }
}

#[test]
fn the_instance_and_the_endpoint_of_the_stack_are_not_others() {
    let instance = (id("nat-instance/a"), text("eipalloc-2"));
    let mut own = own();
    own.instances.insert(text("eni-2"), instance);
    own.endpoints = map(&[("vpce-1", "vpc-endpoint/ssm")]);
    own.groups.insert(text("sg-3"), id("security-group/nat"));
    own.addresses
        .insert(text("eipalloc-2"), id("elastic-ip/nat-instance"));
    if let Some(table) = own.tables.get_mut("rtb-1") {
        table.target = Some(text("eni-2"));
    }
    let of_instance = Interface {
        id: text("eni-2"),
        ..interface("threescale-gw-orders: NAT instance", "", &["sg-3"])
    };
    let of_endpoint = interface("VPC Endpoint Interface vpce-1", "727180483921", &["sg-1"]);
    assert!(is_ours(&of_instance, &own) && is_ours(&of_endpoint, &own));
    let of_others = interface("VPC Endpoint Interface vpce-2", "727180483921", &["sg-1"]);
    assert!(!is_ours(&of_others, &own));
    let endpoint = Endpoint {
        id: text("vpce-1"),
        vpc: text("vpc-1"),
        ..Endpoint::default()
    };
    let around = Around {
        endpoints: vec![endpoint],
        interfaces: vec![of_instance],
        ..Around::default()
    };
    let neighbors = Neighbors::new(own.clone(), &around);
    assert_eq!(neighbors.foreign, []);
    // A server of others sends through the instance.
    let around = Around {
        interfaces: vec![interface("their server", "", &[])],
        tables: vec![Table {
            id: text("rtb-1"),
            vpc: text("vpc-1"),
            associated: vec![text("subnet-1")],
            ..Table::default()
        }],
        ..Around::default()
    };
    let left = Neighbors::new(own, &around).left();
    let of_instance = ids(&[
        "nat-instance/a",
        "elastic-ip/nat-instance",
        "security-group/nat",
    ]);
    assert!(left.is_superset(&of_instance), "{left:?}");
    assert!(!left.contains(&id("nat-gateway/a")), "{left:?}");
}

#[test]
fn an_undisturbed_network_has_no_neighbors() {
    let found = Neighbors::new(own(), &undisturbed());
    assert_eq!(found.foreign, []);
    let network = [
        "internet-gateway/main",
        "route-table/private",
        "route-table/public",
        "subnet/private-a",
        "subnet/public-a",
        "vpc/main",
    ];
    assert_eq!(found.left(), ids(&network));
}

#[test]
fn an_interface_of_our_function_is_ours_in_the_groups_of_the_operator() {
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    for (function, is_own) in [
        ("threescale-gw-orders-authorizer", true),
        ("threescale-gw-orders-authorizer-authorizer", false),
        ("theirs", false),
    ] {
        let description = format!("AWS Lambda VPC ENI-{function}-{id}");
        let found = interface(&description, "AROA:1", &["sg-9"]);
        assert_eq!(is_ours(&found, &own()), is_own, "{description}");
    }
}

#[test]
fn an_interface_is_ours_only_with_our_groups_and_from_our_services() {
    for foreign in [
        interface("AWS Lambda VPC ENI-theirs-1", "AROA:2", &["sg-9"]),
        interface("AWS Lambda VPC ENI-theirs-1", "AROA:2", &["sg-1", "sg-9"]),
        interface("AWS Lambda VPC ENI-theirs-1", "AROA:2", &[]),
        interface("a server", "", &["sg-1"]),
        interface("Interface for NAT Gateway nat-2", "", &[]),
    ] {
        assert!(!is_ours(&foreign, &own()), "{foreign:?}");
    }
}

#[test]
fn the_endpoint_of_a_serverless_cache_is_ours_only_with_our_groups() {
    let endpoint = |service: &str, groups: &[&str]| Endpoint {
        id: text("vpce-1"),
        service: text(service),
        vpc: text("vpc-1"),
        interfaces: vec![text("eni-1")],
        groups: groups.iter().map(|group| text(group)).collect(),
        ..Endpoint::default()
    };
    let serverless = "com.amazonaws.elasticache.serverless.us-east-1.vpce-svc-1";
    for (service, groups, is_ours) in [
        (serverless, &["sg-2"][..], true),
        (serverless, &["sg-2", "sg-9"], false),
        (serverless, &[], false),
        ("com.amazonaws.us-east-1.ssm", &["sg-2"], false),
    ] {
        let endpoint = endpoint(service, groups);
        assert_eq!(endpoint.is_of_cache(&own()), is_ours, "{endpoint:?}");
        let groups = map(&[("sg-2", "security-group/cache")]);
        let interface = interface("VPC Endpoint Interface vpce-1", "", &["sg-2"]);
        assert_eq!(endpoint_of(&interface), Some("vpce-1"));
        let of_groups = Own {
            groups,
            ..Own::default()
        };
        let is_only_ours = endpoint.is_of_cache(&of_groups);
        let listed = std::slice::from_ref(&endpoint);
        let used = used_by_others(&of_groups, &[interface], listed);
        assert_eq!(used.is_empty(), is_only_ours, "{endpoint:?}");
        let around = Around {
            endpoints: vec![endpoint],
            ..Around::default()
        };
        let found = Neighbors::new(own(), &around);
        assert_eq!(found.foreign.is_empty(), is_ours);
    }
}

#[test]
fn everything_that_others_have_is_named_with_what_it_holds() {
    let mut around = undisturbed();
    around.interfaces.push(Interface {
        id: text("eni-2"),
        ..interface("a \u{1b}server", "", &["sg-1"])
    });
    around.subnets.push((text("subnet-9"), text("vpc-1")));
    around.groups.push(Group {
        id: text("sg-9"),
        name: text("theirs"),
        vpc: text("vpc-1"),
        names: [text("sg-2")].into(),
    });
    around.tables[1].associated.push(text("subnet-9"));
    around.tables.push(Table {
        id: text("rtb-9"),
        vpc: text("vpc-1"),
        ..Table::default()
    });
    around.endpoints.push(Endpoint {
        id: text("vpce-1"),
        service: text("com.amazonaws.us-east-1.guardduty-data"),
        vpc: text("vpc-1"),
        is_managed: true,
        interfaces: vec![text("eni-2b")],
        subnets: vec![text("subnet-1")],
        groups: vec![text("sg-9")],
        tables: vec![text("rtb-1")],
    });
    around.interfaces.push(Interface {
        id: text("eni-2b"),
        ..interface("VPC Endpoint Interface vpce-1", "", &["sg-9"])
    });
    around.peerings.push(Peering {
        id: text("pcx-1"),
        vpcs: [text("vpc-9"), text("vpc-1")],
    });
    around.attached.extend([
        attached("VPN gateway", "vgw-9"),
        attached("network ACL", "acl-9"),
    ]);
    let found = Neighbors::new(own(), &around);
    let told: Vec<_> = found
        .foreign
        .iter()
        .map(|holder| (holder.to_string(), holder.holds.clone()))
        .collect();
    let expected: &[(&str, &[&str])] = &[
        (
            "network interface eni-2 (owner 123456789012, in-use, \"a \\\\u{1b}server\")",
            &["security-group/authorizer", "subnet/private-a", "vpc/main"],
        ),
        ("subnet subnet-9", &["vpc/main"]),
        (
            "security group sg-9 (theirs)",
            &["security-group/cache", "vpc/main"],
        ),
        (
            "the association of subnet-9 with route table rtb-1",
            &["route-table/private"],
        ),
        ("route table rtb-9", &["vpc/main"]),
        (
            "VPC endpoint vpce-1 (com.amazonaws.us-east-1.guardduty-data, created by an AWS service)",
            &["route-table/private", "subnet/private-a", "vpc/main"],
        ),
        ("VPC peering connection pcx-1 with vpc-9", &["vpc/main"]),
        ("VPN gateway vgw-9", &["vpc/main"]),
        ("network ACL acl-9", &["vpc/main"]),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(text, holds)| ((*text).to_owned(), ids(holds)))
        .collect();
    assert_eq!(told, expected);
    // Their server in the private subnet reaches the internet through the NAT gateway.
    let left = found.left();
    for stays in [
        "nat-gateway/a",
        "elastic-ip/a",
        "security-group/authorizer",
        "security-group/cache",
    ] {
        assert!(left.contains(&id(stays)), "{left:?}");
    }
}

#[test]
fn in_a_vpc_of_the_operator_only_what_uses_our_groups_counts() {
    let own = Own {
        groups: own().groups,
        rules: own().rules,
        ..Own::default()
    };
    let mut around = undisturbed();
    around.interfaces.truncate(3);
    assert_eq!(Neighbors::new(own.clone(), &around).foreign, []);
    assert!(Neighbors::new(own.clone(), &around).left().is_empty());
    around.interfaces.push(interface("a server", "", &["sg-2"]));
    let found = Neighbors::new(own, &around);
    assert_eq!(found.foreign.len(), 1);
    // The rules of the cache's group name the authorizer's.
    let both = ["security-group/authorizer", "security-group/cache"];
    assert_eq!(found.left(), ids(&both));
}

#[test]
fn a_route_of_others_holds_a_gateway_in_a_vpc_of_the_operator() {
    let nat = |id: &str| (self::id(id), text("eipalloc-1"));
    let own = |suffix: &str| Own {
        gateways: [(text("nat-1"), nat(&format!("nat-gateway/a{suffix}")))].into(),
        instances: [(text("eni-1"), nat(&format!("nat-instance/a{suffix}")))].into(),
        internet_gateways: map(&[("igw-1", &format!("internet-gateway/main{suffix}"))]),
        ..Own::default()
    };
    let targets = ["nat-1", "eni-1", "igw-1", "vgw-1"];
    let theirs = Table {
        id: text("rtb-1"),
        vpc: text("vpc-1"),
        is_main: true,
        targets: targets.map(text).into(),
        ..Table::default()
    };
    let around = Around {
        tables: vec![theirs],
        ..Around::default()
    };
    let found = Neighbors::new(own("@0123abcd"), &around);
    let told: Vec<_> = found.foreign.iter().map(ToString::to_string).collect();
    let expected = ["nat-1", "eni-1", "igw-1"];
    let expected =
        expected.map(|target| format!("route table rtb-1, which has a route to {target}"));
    assert_eq!(told, expected);
    let left = found.left();
    for stays in ["nat-gateway/a", "nat-instance/a", "internet-gateway/main"] {
        assert!(left.contains(&id(&format!("{stays}@0123abcd"))), "{left:?}");
    }
    // In a VPC of the stack, the route table itself is named.
    assert_eq!(Neighbors::new(own(""), &around).foreign, []);
}

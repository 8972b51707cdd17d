use super::*;
use crate::aws::own_network::DefaultRoute;

const VPC: &str = "vpc-0123456789abcdef0";

fn config(network: &str) -> Config {
    let text = format!(
        "stack: orders\napi: {{id: a1b2c3d4e5, stage: prod}}\nthreescale: {{service_id: \"1\", service_token: t}}\nnetwork: {{vpc: {VPC}, {network}}}\n"
    );
    crate::config::load("test.yaml", &text, &|_| None).expect("a configuration")
}

fn subnet(id: &str, zone: &str, cidr: &str) -> Subnet {
    Subnet {
        id: id.to_owned(),
        zone: format!("us-east-1{zone}"),
        cidr: cidr.parse().ok(),
        owner: Some("123456789012".to_owned()),
        free: Some(100),
    }
}

fn table(id: &str, subnets: &[&str], target: Option<Target>) -> Table {
    Table {
        id: id.to_owned(),
        is_main: id == "rtb-main",
        subnets: subnets.iter().map(|id| (*id).to_owned()).collect(),
        default_route: target.map(|target| DefaultRoute {
            target,
            is_blackhole: false,
            is_whole: true,
        }),
        others: Vec::new(),
        endpoints: Vec::new(),
        stack: None,
    }
}

fn igw() -> Option<Target> {
    Some(Target::InternetGateway("igw-1".to_owned()))
}

/// A VPC with two private subnets without a way out, and two public ones.
fn seen() -> Seen {
    Seen {
        account: "123456789012".to_owned(),
        vpc: VPC.to_owned(),
        cidrs: vec!["10.0.0.0/16".parse().expect("a range")],
        subnets: vec![
            subnet("subnet-0abc000a", "a", "10.0.0.0/24"),
            subnet("subnet-0abc000b", "b", "10.0.1.0/24"),
            subnet("subnet-0abd000a", "a", "10.0.2.0/24"),
            subnet("subnet-0abd000b", "b", "10.0.3.0/24"),
        ],
        tables: vec![
            table("rtb-main", &[], None),
            table("rtb-public", &["subnet-0abd000a", "subnet-0abd000b"], igw()),
        ],
        internet_gateway: Some("igw-1".to_owned()),
        zones: ["us-east-1a", "us-east-1b", "us-east-1c"]
            .map(str::to_owned)
            .to_vec(),
        ..Seen::default()
    }
}

const BOTH: &str = "subnets: [subnet-0abc000a, subnet-0abc000b], route: create";

fn chosen(network: &str, seen: &Seen) -> OwnVpc {
    let config = config(network);
    let own = config.network.existing().expect("a VPC");
    choose(&config, own, seen)
}

/// The ways, as `NAT gateway: subnets`.
#[track_caller]
fn ways(network: &str, seen: &Seen) -> Vec<String> {
    let vpc = chosen(network, seen);
    assert_eq!(vpc.faults, [""; 0], "{network}");
    let ways = vpc.ways.expect("ways");
    let text = |way: Way| {
        let nat = match way.nat {
            NatPlace::Existing(id) => id,
            NatPlace::InSubnet { letter, subnet } => format!("{letter} in {subnet}"),
            NatPlace::InNewSubnet { letter, cidr, .. } => format!("{letter} in {cidr}"),
        };
        let created = way.created.iter().map(ToString::to_string);
        let subnets: Vec<_> = way.subnets.into_iter().chain(created).collect();
        format!("{nat}: {}", subnets.join(" "))
    };
    ways.all.into_iter().map(text).collect()
}

#[track_caller]
fn fault(network: &str, seen: &Seen, expected: &str) {
    let faults = chosen(network, seen).faults;
    assert!(
        faults.len() == 1 && faults[0].contains(expected),
        "{faults:?}"
    );
}

#[test]
fn a_nat_gateway_is_created_in_a_public_subnet_of_the_operator() {
    let mut seen = seen();
    let expected = ["a in subnet-0abd000a: subnet-0abc000a subnet-0abc000b"];
    assert_eq!(ways(BOTH, &seen), expected);
    assert_eq!(
        ways(&format!("{BOTH}, nat: per-zone"), &seen),
        [
            "a in subnet-0abd000a: subnet-0abc000a",
            "b in subnet-0abd000b: subnet-0abc000b"
        ]
    );
    let ways_of = chosen(BOTH, &seen).ways.expect("ways");
    assert_eq!(ways_of.internet_gateway.as_deref(), Some("igw-1"));
    // Not in one that another account shares, or that has no address left; then in another zone.
    seen.subnets[2].owner = Some("999999999999".to_owned());
    let elsewhere = ["b in subnet-0abd000b: subnet-0abc000a subnet-0abc000b"];
    assert_eq!(ways(BOTH, &seen), elsewhere);
    seen.subnets[2].owner = None;
    seen.subnets[2].free = Some(0);
    assert_eq!(ways(BOTH, &seen), elsewhere);
}

#[test]
fn a_public_subnet_that_gets_another_route_itself_is_no_place() {
    let public = "subnets: [subnet-0abd000a, subnet-0abd000b], route: create";
    // The default VPC: every subnet is public.
    let mut seen = seen();
    assert_eq!(
        ways(public, &seen),
        ["a in 10.0.255.240/28: subnet-0abd000a subnet-0abd000b"]
    );
    // The end of the VPC is taken.
    seen.subnets
        .push(subnet("subnet-0abc000c", "c", "10.0.128.0/17"));
    assert_eq!(
        ways(public, &seen),
        ["a in 10.0.127.240/28: subnet-0abd000a subnet-0abd000b"]
    );
}

#[test]
fn what_the_stack_has_stays_where_it_is() {
    let mut seen = seen();
    let id = |kind, name: &str| LogicalId::in_vpc(kind, name, VPC);
    // In a public subnet that another one would be chosen before.
    let gateway = id(Kind::NatGateway, "b");
    seen.our_gateways
        .insert(gateway, "subnet-0abd000b".to_owned());
    let expected = ["b in subnet-0abd000b: subnet-0abc000a subnet-0abc000b"];
    assert_eq!(ways(BOTH, &seen), expected);
    seen.our_gateways.clear();
    let instance = id(Kind::NatInstance, "b");
    seen.our_gateways
        .insert(instance, "subnet-0abd000b".to_owned());
    assert_eq!(ways(BOTH, &seen), expected);
    // In a public subnet of its own, although there are others by now.
    seen.our_gateways.clear();
    seen.subnets
        .push(subnet("subnet-0abc0001", "a", "10.0.9.0/28"));
    let own = id(Kind::Subnet, "public-a");
    seen.our_subnets.insert(own, "subnet-0abc0001".to_owned());
    seen.tables[1].subnets.push("subnet-0abc0001".to_owned());
    let expected = ["a in 10.0.9.0/28: subnet-0abc000a subnet-0abc000b"];
    assert_eq!(ways(BOTH, &seen), expected);
    // Its subnets keep their zones.
    let cidrs = "subnet_cidrs: [10.0.8.0/24, 10.0.9.128/28], route: create";
    assert_eq!(chosen(cidrs, &seen).zones, ["us-east-1a", "us-east-1b"]);
    seen.subnets
        .push(subnet("subnet-0abc0002", "a", "10.0.9.128/28"));
    let second = stack::subnet_id("10.0.9.128/28".parse().expect("a range"), VPC);
    seen.our_subnets
        .insert(second, "subnet-0abc0002".to_owned());
    let kept = chosen(cidrs, &seen);
    assert_eq!(kept.zones, ["us-east-1b", "us-east-1a"]);
    assert_eq!(kept.subnets, ["subnet-0abc0002"]);
    assert_eq!(kept.faults, [""; 0]);
    assert_eq!(ways(cidrs, &seen), ["a in 10.0.9.0/28: 1 0"]);
}

#[test]
fn a_subnet_with_a_way_of_the_operator_keeps_it() {
    let mut seen = seen();
    let nat = Nat {
        id: "nat-1".to_owned(),
        state: "available".to_owned(),
        is_private: false,
        subnet: Some("subnet-0abd000a".to_owned()),
    };
    let target = Some(Target::NatGateway("nat-1".to_owned()));
    seen.gateways.push(nat);
    seen.tables
        .push(table("rtb-nat", &["subnet-0abc000a"], target));
    assert_eq!(ways(BOTH, &seen), ["b in subnet-0abd000b: subnet-0abc000b"]);
    let transit = Some(Target::Other("tgw-1".to_owned()));
    seen.tables
        .push(table("rtb-tgw", &["subnet-0abc000b"], transit));
    assert_eq!(ways(BOTH, &seen), [""; 0]);
    let addresses = format!("{BOTH}, elastic_ips: [eipalloc-0abc1234]");
    fault(&addresses, &seen, "has a way to the Internet already");
    let note = |network: &str| without_effect(&config(network), &chosen(network, &seen));
    let per_zone = format!("{BOTH}, nat: per-zone");
    assert!(note(&per_zone).is_some_and(|note| note.contains("per-zone has no effect")));
    assert_eq!(note(BOTH), None);
    // What the stack has changed stays changed.
    seen.associated.insert("subnet-0abc000b".to_owned());
    assert_eq!(ways(BOTH, &seen), ["b in subnet-0abd000b: subnet-0abc000b"]);
}

#[test]
fn the_name_of_a_gateway_has_its_zone_and_its_index() {
    let gateway = |name: &str| LogicalId::in_vpc(Kind::NatGateway, name, VPC);
    let zone_of = |name: &str| zone(&gateway(name), "us-east-1");
    assert_eq!(zone_of("b").as_deref(), Some("us-east-1b"));
    assert_eq!(zone_of("us-east-1-1").as_deref(), Some("us-east-1-1"));
    assert_eq!(
        zone(&LogicalId::new(Kind::NatGateway, "b"), "us-east-1"),
        None
    );
    let ways = chosen(&format!("{BOTH}, nat: per-zone"), &seen())
        .ways
        .expect("ways");
    assert_eq!(
        ["a", "b", "c"].map(|name| ways.index(&gateway(name))),
        [Some(0), Some(1), None]
    );
}

#[test]
fn a_vpc_without_an_internet_gateway_gets_one() {
    let mut seen = seen();
    seen.internet_gateway = None;
    seen.tables.pop();
    assert_eq!(
        ways("subnet_cidrs: [10.0.255.0/24], route: create", &seen),
        ["a in 10.0.254.240/28: 0"]
    );
    // Its own one is not taken for the operator's.
    for gateway in [&mut seen.internet_gateway, &mut seen.our_internet_gateway] {
        *gateway = Some("igw-2".to_owned());
    }
    let ways_of = chosen(BOTH, &seen).ways.expect("ways");
    assert_eq!(ways_of.internet_gateway, None);
}

#[test]
fn a_nat_gateway_of_the_operator_is_used() {
    let mut seen = seen();
    let with = format!("{BOTH}, nat: nat-0abc1234");
    fault(&with, &seen, "there is no nat-0abc1234 in vpc-");
    seen.gateways.push(Nat {
        id: "nat-0abc1234".to_owned(),
        state: "available".to_owned(),
        is_private: false,
        subnet: Some("subnet-0abd000a".to_owned()),
    });
    let expected = ["nat-0abc1234: subnet-0abc000a subnet-0abc000b"];
    assert_eq!(ways(&with, &seen), expected);
    seen.gateways[0].state = "failed".to_owned();
    fault(&with, &seen, "is in the state failed");
    seen.gateways[0].is_private = true;
    fault(&with, &seen, "is private");
}

#[test]
fn what_cannot_be_created_is_a_fault() {
    let mut seen = seen();
    let cidrs = |cidr: &str| format!("subnet_cidrs: [{cidr}]");
    fault(&cidrs("10.1.0.0/24"), &seen, "10.1.0.0/24 is not in vpc-");
    fault(
        &cidrs("10.0.0.128/25"),
        &seen,
        "overlaps subnet-0abc000a (10.0.0.0/24)",
    );
    let three = "10.0.8.0/24, 10.0.9.0/24, 10.0.10.0/24, 10.0.11.0/24";
    fault(
        &cidrs(three),
        &seen,
        "4 subnets need a zone each, and the Region offers 3",
    );
    let per_zone = format!("{BOTH}, nat: per-zone, elastic_ips: [eipalloc-0abc1234]");
    fault(
        &per_zone,
        &seen,
        "one address for each NAT gateway: 2, not 1",
    );
    let mut many = config(BOTH);
    many.tags = (0..46).map(|n| (n.to_string(), String::new())).collect();
    let own = many.network.existing().expect("a VPC");
    let faults = choose(&many, own, &seen).faults;
    let told = "2 subnets need a tag each in the route table of the stack, and `tags` leaves 1";
    assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
    seen.cidrs = vec!["10.0.0.0/22".parse().expect("a range")];
    let public = "subnets: [subnet-0abd000a, subnet-0abd000b], route: create";
    fault(public, &seen, "no room for one of /28");
}

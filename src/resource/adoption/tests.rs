//! Tests of the decision: what is found in, what is adopted and left out.

use std::collections::BTreeMap;

use super::found::{
    Address, Found, Function, Group, InternetGateway, NatGateway, Subnet, Table, Tags, Vpc,
};
use super::judge::judge;
use super::outcome::{Adoption, Setting, Slice, Wanted};

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Two zones with one NAT gateway, in equal slices of 10.42.0.0/16.
fn wanted() -> Wanted {
    let slices = [
        ("a", true, "10.42.0.0/18"),
        ("b", true, "10.42.64.0/18"),
        ("a", false, "10.42.128.0/18"),
        ("b", false, "10.42.192.0/18"),
    ];
    let slice = |(letter, is_public, cidr): (&str, bool, &str)| Slice {
        letter: letter.to_owned(),
        is_public,
        cidr: cidr.parse().expect("a range"),
    };
    Wanted {
        stack: "orders".to_owned(),
        account: "1".to_owned(),
        cidr: "10.42.0.0/16".parse().expect("a range"),
        letters: vec!["a".to_owned(), "b".to_owned()],
        slices: slices.into_iter().map(slice).collect(),
        is_per_zone: false,
        elastic_ips: Vec::new(),
    }
}

fn subnet(id: &str, cidr: &str, zone: &str) -> Subnet {
    Subnet {
        id: id.to_owned(),
        zone: zone.to_owned(),
        cidr: Some(cidr.parse().expect("a range")),
        tags: Tags::new(),
    }
}

fn table(id: &str, target: &str, subnets: &[&str]) -> Table {
    Table {
        id: id.to_owned(),
        subnets: subnets.iter().map(|id| (*id).to_owned()).collect(),
        default_route: Some(target.to_owned()).filter(|target| !target.is_empty()),
        ..Table::default()
    }
}

fn nat(id: &str, subnet: &str, address: &str) -> NatGateway {
    NatGateway {
        id: id.to_owned(),
        state: "available".to_owned(),
        subnet: Some(subnet.to_owned()),
        addresses: vec![address.to_owned()],
        ..NatGateway::default()
    }
}

fn address(id: &str) -> Address {
    Address {
        id: id.to_owned(),
        ..Address::default()
    }
}

/// The same network, made by hand. The letters in its ids are those of the zones.
fn found() -> Found {
    let main = Table {
        is_main: true,
        ..table("rtb-main", "", &[])
    };
    Found {
        vpc: Vpc {
            id: "vpc-1".to_owned(),
            cidr: "10.42.0.0/16".to_owned(),
            owner: "1".to_owned(),
            ..Vpc::default()
        },
        subnets: vec![
            subnet("public-x", "10.42.0.0/18", "x"),
            subnet("public-y", "10.42.64.0/18", "y"),
            subnet("private-x", "10.42.128.0/18", "x"),
            subnet("private-y", "10.42.192.0/18", "y"),
        ],
        internet_gateways: vec![InternetGateway {
            id: "igw-1".to_owned(),
            tags: Tags::new(),
        }],
        gateways: vec![nat("nat-x", "public-x", "eip-x")],
        addresses: vec![address("eip-x")],
        tables: vec![
            main,
            table("rtb-public", "igw-1", &["public-x", "public-y"]),
            table("rtb-private", "nat-x", &["private-x", "private-y"]),
        ],
        ..Found::default()
    }
}

fn adopted(adoption: &Adoption) -> BTreeMap<String, String> {
    let adopted = adoption.adopted.iter();
    adopted
        .map(|one| (one.id.to_string(), one.physical_id.clone()))
        .collect()
}

fn created(adoption: &Adoption) -> Vec<String> {
    adoption.created.iter().map(ToString::to_string).collect()
}

fn left(adoption: &Adoption) -> Vec<(&str, &str)> {
    let left = adoption.left.iter();
    left.map(|one| (one.physical_id.as_str(), one.why.as_str()))
        .collect()
}

/// The only blocker.
fn blocker(adoption: &Adoption) -> &str {
    assert_eq!(adoption.blockers.len(), 1, "{:?}", adoption.blockers);
    &adoption.blockers[0]
}

#[test]
fn the_same_network_is_adopted_as_a_whole() {
    let adoption = judge(&wanted(), &found());
    assert_eq!(adoption.blockers, Vec::<String>::new());
    assert_eq!(left(&adoption), []);
    assert_eq!(created(&adoption), Vec::<String>::new());
    let expected = [
        ("elastic-ip/a", "eip-x"),
        ("internet-gateway/main", "igw-1"),
        ("nat-gateway/a", "nat-x"),
        ("route-table/private", "rtb-private"),
        ("route-table/public", "rtb-public"),
        ("subnet/private-a", "private-x"),
        ("subnet/private-b", "private-y"),
        ("subnet/public-a", "public-x"),
        ("subnet/public-b", "public-y"),
        ("vpc/main", "vpc-1"),
    ];
    assert_eq!(adopted(&adoption), tags(&expected));
    assert_eq!(adoption.to_adopt().count(), expected.len());
    assert!(!adoption.is_done());
}

/// The stack's NAT gateway is in the first zone, so the zone of the existing one becomes the first.
#[test]
fn the_zone_of_the_nat_gateway_is_the_first() {
    let mut found = found();
    found.gateways = vec![
        nat("nat-unused", "public-x", "eip-x"),
        nat("nat-y", "public-y", "eip-y"),
    ];
    found.addresses.push(address("eip-y"));
    found.tables[2].default_route = Some("nat-y".to_owned());
    let adoption = judge(&wanted(), &found);
    let ids = adopted(&adoption);
    assert_eq!(ids["nat-gateway/a"], "nat-y");
    assert_eq!(ids["subnet/public-a"], "public-y");
    assert_eq!(ids["subnet/private-b"], "private-x");
    let why = "with `network.nat: single`, there is only one, in another zone";
    assert_eq!(left(&adoption), [("nat-unused", why)]);
    // With one in each zone, both fit, but each private subnet needs a table of its own.
    let per_zone = Wanted {
        is_per_zone: true,
        ..wanted()
    };
    let adoption = judge(&per_zone, &found);
    assert_eq!(adopted(&adoption)["nat-gateway/b"], "nat-unused");
    assert_eq!(
        created(&adoption),
        ["route-table/private-a", "route-table/private-b"]
    );
    assert_eq!(left(&adoption)[0].0, "rtb-private");
}

#[test]
fn one_table_for_each_zone_fits_one_nat_gateway_too() {
    let mut found = found();
    found.tables[2].subnets.pop();
    found
        .tables
        .push(table("rtb-second", "nat-x", &["private-y"]));
    let ids = adopted(&judge(&wanted(), &found));
    assert_eq!(ids["route-table/private"], "rtb-private");
    assert_eq!(ids["route-table/private-b"], "rtb-second");
    let per_zone = Wanted {
        is_per_zone: true,
        ..wanted()
    };
    let ids = adopted(&judge(&per_zone, &found));
    assert_eq!(ids["route-table/private-a"], "rtb-private");
    assert_eq!(ids["route-table/private-b"], "rtb-second");
}

#[test]
fn tables_that_do_not_fit_are_left() {
    let mut found = found();
    found.tables[1].subnets.push("private-y".to_owned());
    found.tables[2].subnets.pop();
    found.tables.push(table("rtb-unused", "", &[]));
    found.tables.push(Table {
        has_gateways: true,
        ..table("rtb-edge", "", &[])
    });
    let adoption = judge(&wanted(), &found);
    let mut left: Vec<_> = left(&adoption).into_iter().map(|(id, _)| id).collect();
    left.sort_unstable();
    assert_eq!(left, ["rtb-edge", "rtb-public", "rtb-unused"]);
    // The subnet has the role that its route gives it.
    assert!(
        blocker(&adoption).starts_with(
            "zone y has 2 public subnets (public-y, private-y), and the stack has one"
        )
    );
}

/// The routes of a subnet that others have given it stay.
#[test]
fn no_subnet_loses_routes() {
    let text = |table: &str| {
        format!(
            "route table {table} has routes other than 0.0.0.0/0, which its subnets would lose: `up` would associate them with another table"
        )
    };
    let mut found = found();
    // What stays the table of its subnets keeps its routes.
    found.tables[2].has_other_routes = true;
    assert_eq!(judge(&wanted(), &found).blockers, Vec::<String>::new());
    found.tables[2].subnets.pop();
    let second = table("rtb-second", "nat-x", &["private-y"]);
    found.tables.push(Table {
        has_other_routes: true,
        ..second
    });
    assert_eq!(blocker(&judge(&wanted(), &found)), text("rtb-second"));
    let per_zone = Wanted {
        is_per_zone: true,
        ..wanted()
    };
    assert_eq!(judge(&per_zone, &found).blockers, Vec::<String>::new());
    found.tables.pop();
    found.tables[0].has_other_routes = true;
    assert_eq!(blocker(&judge(&wanted(), &found)), text("rtb-main"));
}

#[test]
fn the_main_table_is_left_to_the_vpc() {
    let mut found = found();
    found.tables[0].default_route = Some("igw-1".to_owned());
    found.tables.remove(1);
    let adoption = judge(&wanted(), &found);
    assert_eq!(created(&adoption), ["route-table/public"]);
    assert_eq!(left(&adoption)[0].0, "rtb-main");
    assert_eq!(adoption.blockers, Vec::<String>::new());
}

#[test]
fn nat_gateways_that_up_would_replace_are_left() {
    type Change = fn(&mut Found, &mut Wanted);
    let cases: [(Change, &str); 7] = [
        (
            |found, _| found.gateways[0].is_private = true,
            "it is a private NAT gateway",
        ),
        (
            |found, _| found.gateways[0].state = "failed".to_owned(),
            "its state is failed",
        ),
        (
            |found, _| found.gateways[0].subnet = None,
            "it is in no subnet",
        ),
        (
            |found, _| found.gateways[0].subnet = Some("private-x".to_owned()),
            "private-x is not one of the public subnets of the stack",
        ),
        (
            |found, _| found.gateways[0].addresses.push("eip-2".to_owned()),
            "it has several addresses",
        ),
        (
            |_, wanted| wanted.elastic_ips.push("eip-own".to_owned()),
            "its address is eip-x, and `network.elastic_ips` names eip-own",
        ),
        (
            |found, _| found.addresses[0].tags = tags(&[("terraform", "true")]),
            "its address eip-x belongs to another tool (tag terraform = true)",
        ),
    ];
    for (change, why) in cases {
        let (mut found, mut wanted) = (found(), wanted());
        change(&mut found, &mut wanted);
        let adoption = judge(&wanted, &found);
        assert_eq!(left(&adoption), [("nat-x", why)]);
        assert!(!adopted(&adoption).contains_key("nat-gateway/a"), "{why}");
        assert!(!adopted(&adoption).contains_key("elastic-ip/a"), "{why}");
        assert!(created(&adoption).contains(&"nat-gateway/a".to_owned()));
    }
    let named = Wanted {
        elastic_ips: vec!["eip-x".to_owned()],
        ..wanted()
    };
    let adoption = judge(&named, &found());
    assert_eq!(adopted(&adoption)["nat-gateway/a"], "nat-x");
    assert!(!adopted(&adoption).contains_key("elastic-ip/a"));
    assert_eq!(created(&adoption), Vec::<String>::new());
}

#[test]
fn what_does_not_fit_names_the_settings_that_do() {
    let mut found = found();
    found.vpc.cidr = "10.0.0.0/16".to_owned();
    let adoption = judge(&wanted(), &found);
    let cidr = "vpc-1 has the range 10.0.0.0/16, and `network.cidr` is 10.42.0.0/16";
    assert_eq!(blocker(&adoption), cidr);
    let range = "10.0.0.0/16".parse().expect("a range");
    assert_eq!(adoption.settings, [Setting::Cidr(range)]);

    let mut found = self::found();
    found.subnets.push(subnet("third", "10.42.0.0/24", "z"));
    let adoption = judge(&wanted(), &found);
    let zones = "its subnets are in 3 zones, and `network.zones` is 2";
    assert_eq!(blocker(&adoption), zones);
    assert_eq!(adoption.settings, [Setting::Zones(3)]);

    // What `up` would create overlaps with what is there.
    let mut found = self::found();
    found.subnets.truncate(1);
    found.subnets[0].cidr = "10.42.0.0/17".parse().ok();
    let adoption = judge(&wanted(), &found);
    assert!(
        blocker(&adoption).starts_with(
            "`up` would create subnet/public-b with 10.42.64.0/18, which overlaps with public-x"
        ),
        "{:?}",
        adoption.blockers
    );
    assert_eq!(adoption.settings, [Setting::Zones(1)]);
}

#[test]
fn what_belongs_to_others_is_not_adopted() {
    type Change = fn(&mut Found);
    let cases: [(Change, &str); 8] = [
        (
            |found| {
                found.groups.push(Group {
                    id: "sg-1".to_owned(),
                    name: "threescale-gw-other-authorizer".to_owned(),
                    tags: tags(&[("threescale-gw:stack", "other")]),
                });
            },
            "security group sg-1 belongs to stack other of this tool",
        ),
        (
            |found| found.vpc.is_default = true,
            "vpc-1 is the default VPC, which `down` would delete: use it with `network.vpc: default` instead",
        ),
        (
            |found| found.vpc.owner = "2".to_owned(),
            "vpc-1 belongs to account 2",
        ),
        (
            |found| {
                found.vpc.tags = tags(&[("aws:cloudformation:stack-name", "net")]);
            },
            "VPC vpc-1 belongs to CloudFormation stack net",
        ),
        (
            |found| found.subnets[0].tags = tags(&[("threescale-gw:stack", "other")]),
            "subnet public-x belongs to stack other of this tool",
        ),
        (
            |found| found.internet_gateways[0].tags = tags(&[("terraform", "1")]),
            "Internet gateway igw-1 belongs to another tool (tag terraform = 1)",
        ),
        (
            |found| found.gateways[0].tags = tags(&[("ManagedBy", "pulumi")]),
            "NAT gateway nat-x belongs to another tool (tag ManagedBy = pulumi)",
        ),
        (
            |found| found.taken = vec![("vpc/main".parse().expect("an id"), "vpc-2".to_owned())],
            "the stack already has vpc/main: vpc-2",
        ),
    ];
    for (change, text) in cases {
        let mut found = found();
        change(&mut found);
        assert_eq!(blocker(&judge(&wanted(), &found)), text);
    }
}

/// An import that is repeated keeps the ids that it has given.
#[test]
fn what_is_the_stacks_already_keeps_its_id() {
    let mut found = found();
    let own = |id: &str| {
        tags(&[
            ("threescale-gw:stack", "orders"),
            ("threescale-gw:resource", id),
        ])
    };
    found.vpc.tags = own("vpc/main");
    found.subnets[0].tags = own("subnet/public-b");
    found.taken = vec![
        ("vpc/main".parse().expect("an id"), "vpc-1".to_owned()),
        (
            "subnet/public-b".parse().expect("an id"),
            "public-x".to_owned(),
        ),
    ];
    let adoption = judge(&wanted(), &found);
    assert_eq!(adoption.blockers, Vec::<String>::new());
    let ids = adopted(&adoption);
    assert_eq!(ids["subnet/public-b"], "public-x");
    assert_eq!(ids["subnet/private-b"], "private-x");
    assert_eq!(ids["subnet/public-a"], "public-y");
    assert!(adoption.to_adopt().all(|one| one.physical_id != "vpc-1"));
    assert!(!adoption.is_done());
}

#[test]
fn what_has_a_fixed_name_is_left() {
    let mut found = found();
    let group = |name: &str, tags| Group {
        id: format!("sg-{name}"),
        name: name.to_owned(),
        tags,
    };
    let own = [
        ("threescale-gw:stack", "orders"),
        ("threescale-gw:resource", "security-group/cache"),
    ];
    found.groups = vec![
        group("default", Tags::new()),
        group("own", tags(&own)),
        group("redis", Tags::new()),
    ];
    found.functions = ["theirs", "threescale-gw-orders-authorizer"]
        .map(|name| Function {
            name: name.to_owned(),
            role: "arn:role".to_owned(),
        })
        .to_vec();
    let adoption = judge(&wanted(), &found);
    let left: Vec<_> = left(&adoption).into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, ["sg-redis", "theirs"]);
    let advice = adoption.left[1].advice.as_deref().unwrap_or_default();
    assert!(
        advice.contains("`authorizer.role_arn: arn:role`"),
        "{advice}"
    );
}

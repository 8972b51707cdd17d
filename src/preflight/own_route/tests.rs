use super::*;
use crate::aws::own_network::DefaultRoute;
use crate::stack::{Way, Ways};

fn table(id: &str, subnets: &[&str], target: Target) -> Table {
    Table {
        id: id.to_owned(),
        is_main: id == "rtb-main",
        subnets: subnets.iter().map(|id| (*id).to_owned()).collect(),
        default_route: Some(DefaultRoute {
            target,
            is_blackhole: false,
            is_whole: true,
        }),
        others: Vec::new(),
        endpoints: Vec::new(),
        stack: None,
    }
}

fn igw() -> Target {
    Target::InternetGateway("igw-1".to_owned())
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn what_a_subnet_loses_is_told() {
    let mut tables = vec![
        table("rtb-main", &[], igw()),
        table("rtb-1", &["subnet-1"], Target::Other("tgw-1".to_owned())),
    ];
    let changed = ids(&["subnet-1", "subnet-2"]);
    assert_eq!(public(&changed, &tables), ["subnet-2"]);
    let interfaces = [PublicInterface {
        id: "eni-1".to_owned(),
        subnet: "subnet-2".to_owned(),
        address: "198.51.100.7".to_owned(),
        purpose: "i-1\u{1b}[2J".to_owned(),
    }];
    let verdict = judge(&changed, &tables, &[], &interfaces);
    assert_eq!(verdict.faults, [""; 0]);
    let [first, second, lost] = verdict.notices.as_slice() else {
        panic!("{:?}", verdict.notices);
    };
    assert!(first.contains("in place of rtb-1, which"), "{first}");
    assert!(
        second.contains("in place of the main route table rtb-main"),
        "{second}"
    );
    assert!(
        lost.contains("in subnet-2") && lost.contains("eni-1 (198.51.100.7, i-1"),
        "{lost}"
    );
    assert!(!lost.contains('\u{1b}'), "{lost:?}");

    tables[1].others = ids(&["10.9.0.0/16 to pcx-1"]);
    tables[0].endpoints = ids(&["vpce-1"]);
    let verdict = judge(&changed, &tables, &[], &[]);
    let [fault] = verdict.faults.as_slice() else {
        panic!("{:?}", verdict.faults);
    };
    assert!(
        fault.contains("subnet-1 would lose the other routes of rtb-1: 10.9.0.0/16 to pcx-1"),
        "{fault}"
    );
    assert!(
        verdict
            .notices
            .iter()
            .any(|notice| notice.contains("subnet-2 no longer uses the gateway endpoint vpce-1"))
    );
}

#[test]
fn a_subnet_with_a_nat_gateway_or_a_route_of_another_stack_is_refused() {
    let mut tables = vec![table("rtb-1", &["subnet-1", "subnet-2"], igw())];
    let mut gateway = Nat {
        id: "nat-1".to_owned(),
        state: "available".to_owned(),
        is_private: false,
        subnet: Some("subnet-2".to_owned()),
    };
    let changed = ids(&["subnet-1", "subnet-2"]);
    let faults = |tables: &[Table], gateway: &Nat| {
        judge(&changed, tables, std::slice::from_ref(gateway), &[]).faults
    };
    let found = faults(&tables, &gateway);
    assert!(
        found.len() == 1 && found[0].contains("nat-1 is in subnet-2"),
        "{found:?}"
    );
    gateway.state = "deleted".to_owned();
    assert_eq!(faults(&tables, &gateway), [""; 0]);
    tables[0].stack = Some("billing".to_owned());
    let found = faults(&tables, &gateway);
    assert!(
        found.len() == 2 && found[0].contains("a route table of the stack billing"),
        "{found:?}"
    );
}

#[test]
fn routes_that_go_with_a_table_are_told() {
    let mut ours = table("rtb-1", &["subnet-1"], igw());
    let deleted = BTreeSet::from(["rtb-1".to_owned()]);
    assert_eq!(lost(&deleted, std::slice::from_ref(&ours)), [""; 0]);
    ours.others = ids(&["10.9.0.0/16 to pcx-1"]);
    let told = lost(&deleted, std::slice::from_ref(&ours));
    assert!(
        told.len() == 1 && told[0].contains("rtb-1 is deleted") && told[0].contains("pcx-1"),
        "{told:?}"
    );
    assert_eq!(lost(&BTreeSet::new(), &[ours]), [""; 0]);
}

#[test]
fn a_network_is_judged_as_the_plan_leaves_it() {
    let own = ExistingVpc {
        id: "vpc-1".to_owned(),
        subnets: Vec::new(),
        subnet_cidrs: ["10.0.8.0/24", "10.0.9.0/28"]
            .map(|cidr| cidr.parse().expect("a range"))
            .to_vec(),
        route: crate::config::RouteMode::Create,
    };
    let vpc = OwnVpc {
        zones: ids(&["us-east-1a", "us-east-1b"]),
        ways: Some(Ways {
            internet_gateway: None,
            all: vec![Way {
                nat: NatPlace::Existing("nat-1".to_owned()),
                subnets: ids(&["subnet-1"]),
                created: vec![0, 1],
                ranges: Vec::new(),
            }],
        }),
        ..OwnVpc::default()
    };
    let mut network = OwnNetwork {
        subnets: vec![Subnet {
            id: "subnet-8".to_owned(),
            cidr: "10.0.8.0/24".parse().ok(),
            ..Subnet::default()
        }],
        tables: Some(vec![
            table(
                "rtb-ours",
                &["subnet-1", "subnet-2", "subnet-3"],
                Target::NatGateway("nat-2".to_owned()),
            ),
            table("rtb-1", &[], igw()),
            table("rtb-2", &["subnet-8"], igw()),
        ]),
        ..OwnNetwork::default()
    };
    let former = BTreeMap::from([
        ("subnet-1".to_owned(), Former::Main),
        ("subnet-2".to_owned(), Former::Main),
        ("subnet-3".to_owned(), Former::Table("rtb-1".to_owned())),
    ]);
    let deleted = BTreeSet::from(["rtb-2".to_owned()]);
    let subnets = planned(&mut network, &own, &vpc, &former, &deleted);
    assert_eq!(subnets, ["subnet-8", "10.0.9.0/28"]);
    let new = &network.subnets[1];
    assert_eq!((new.zone.as_str(), new.free), ("us-east-1b", Some(11)));
    let tables = network.tables.expect("tables");
    assert_eq!(tables[0].subnets, ["subnet-1"]);
    assert_eq!(tables[1].subnets, ["subnet-3"]);
    assert_eq!(tables.len(), 2);
    assert!(places(&vpc).is_empty());
    let routed: Vec<_> = routed(&vpc, &subnets).into_iter().collect();
    assert_eq!(routed, ["10.0.9.0/28", "subnet-1", "subnet-8"]);
}

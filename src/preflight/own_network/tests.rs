use super::*;
use crate::aws::encryption::Encryption;
use crate::aws::{AwsError, Class};

const SUBNETS: [&str; 2] = ["subnet-a", "subnet-b"];

fn ids() -> Vec<String> {
    SUBNETS.map(str::to_owned).to_vec()
}

const NONE: &BTreeSet<String> = &BTreeSet::new();

fn needs(subnets: &[String]) -> Needs<'_> {
    Needs {
        stack: "orders",
        account: "123456789012",
        vpc: "vpc-1",
        subnets,
        key: "network.subnets",
        routed: NONE,
        gateways: &[],
        host: HOSTED,
        port: 443,
        needs_internet: true,
        has_cache: true,
        has_endpoint: false,
        is_serverless: false,
        new_addresses: 3,
    }
}

fn route(target: Target) -> Option<DefaultRoute> {
    Some(DefaultRoute {
        target,
        is_blackhole: false,
        is_whole: true,
    })
}

fn nat_route() -> Option<DefaultRoute> {
    route(Target::NatGateway("nat-1".to_owned()))
}

fn rule(number: i32, is_outbound: bool, allows: bool, cidr: &str, ports: (u16, u16)) -> Rule {
    Rule {
        number,
        is_outbound,
        allows,
        protocol: TCP.to_owned(),
        cidr: cidr.parse().expect("a test's own range"),
        ports: Some(ports),
    }
}

/// The default network ACL, which allows everything.
fn open() -> Vec<Rule> {
    let all = |is_outbound| Rule {
        protocol: ALL_PROTOCOLS.to_owned(),
        ports: None,
        ..rule(100, is_outbound, true, "0.0.0.0/0", (0, 0))
    };
    vec![all(true), all(false)]
}

/// Two private subnets with a NAT gateway in a public one.
fn network() -> OwnNetwork {
    let subnet = |(id, zone, cidr): (&str, &str, &str)| Subnet {
        id: id.to_owned(),
        zone: zone.to_owned(),
        cidr: cidr.parse().ok(),
        owner: Some("123456789012".to_owned()),
        free: Some(250),
    };
    let table = |id: &str, is_main, subnets: &[&str], default_route| Table {
        id: id.to_owned(),
        is_main,
        subnets: subnets.iter().map(|id| (*id).to_owned()).collect(),
        default_route,
        others: Vec::new(),
        endpoints: Vec::new(),
        stack: None,
    };
    OwnNetwork {
        dns_support: Some(true),
        dns_host_names: Some(true),
        subnets: [
            ("subnet-a", "us-east-1a", "10.0.1.0/24"),
            ("subnet-b", "us-east-1b", "10.0.2.0/24"),
            ("subnet-public", "us-east-1a", "10.0.0.0/24"),
        ]
        .map(subnet)
        .to_vec(),
        tables: Some(vec![
            table(
                "rtb-main",
                true,
                &[],
                route(Target::InternetGateway("igw-1".to_owned())),
            ),
            table("rtb-private", false, &SUBNETS, nat_route()),
        ]),
        gateways: Some(vec![Nat {
            id: "nat-1".to_owned(),
            state: "available".to_owned(),
            is_private: false,
            subnet: Some("subnet-public".to_owned()),
        }]),
        acls: Some(vec![Acl {
            id: "acl-1".to_owned(),
            is_default: false,
            subnets: ids(),
            rules: open(),
        }]),
        encryption: None,
        unread: Vec::new(),
    }
}

fn changed(change: impl FnOnce(&mut OwnNetwork)) -> Verdict {
    let mut network = network();
    change(&mut network);
    judge(needs(&ids()), &network)
}

/// With another default route of the private subnets.
fn routed(default_route: Option<DefaultRoute>) -> Verdict {
    changed(|network| {
        for table in network.tables.iter_mut().flatten().skip(1) {
            table.default_route = default_route.clone();
        }
    })
}

/// With other rules of the network ACL.
fn filtered(rules: Vec<Rule>) -> Verdict {
    changed(|network| {
        for acl in network.acls.iter_mut().flatten() {
            acl.rules.clone_from(&rules);
        }
    })
}

#[track_caller]
fn fault(verdict: &Verdict, part: &str) {
    assert!(
        verdict.faults.iter().any(|fault| fault.contains(part)),
        "{verdict:?}"
    );
}

#[track_caller]
fn notice(verdict: &Verdict, part: &str) {
    assert_eq!(verdict.faults, [] as [&str; 0]);
    assert!(
        verdict.notices.iter().any(|notice| notice.contains(part)),
        "{verdict:?}"
    );
}

#[test]
fn private_subnets_with_a_nat_gateway_are_fine() {
    assert_eq!(changed(|_| {}), Verdict::default());
}

#[test]
fn a_route_of_another_stack_is_told() {
    let of = |stack: &str| {
        changed(|network| {
            let tables = network.tables.as_mut().expect("tables");
            for table in tables {
                table.stack = Some(stack.to_owned());
            }
        })
    };
    assert_eq!(of("orders"), Verdict::default());
    notice(&of("billing"), "subnet-a uses rtb-");
    notice(&of("billing"), "a route table of the stack billing");
}

#[test]
fn what_is_unknown_is_no_fault() {
    let network = OwnNetwork {
        subnets: SUBNETS
            .map(|id| Subnet {
                id: id.to_owned(),
                ..Subnet::default()
            })
            .to_vec(),
        ..OwnNetwork::default()
    };
    assert_eq!(judge(needs(&ids()), &network).faults, [] as [&str; 0]);
    let denied = changed(|network| {
        network.tables = None;
        network.unread = vec![AwsError {
            class: Class::Denied,
            ..AwsError::incomplete("ec2:DescribeRouteTables", "denied".to_owned())
        }];
    });
    notice(&denied, "ec2:DescribeRouteTables");
}

#[test]
fn five_faults_are_five_lines() {
    let verdict = changed(|network| {
        network.dns_support = Some(false);
        network.subnets[0].free = Some(0);
        for table in network.tables.iter_mut().flatten().skip(1) {
            table.subnets.truncate(1);
        }
        for nat in network.gateways.iter_mut().flatten() {
            nat.state = "failed".to_owned();
        }
        for acl in network.acls.iter_mut().flatten() {
            acl.rules.truncate(1);
            acl.subnets.truncate(1);
        }
        network.subnets.truncate(2);
    });
    assert!(verdict.faults.len() >= 5, "{verdict:?}");
    fault(&verdict, "enableDnsSupport");
    fault(&verdict, "subnet-a has no free address");
    fault(&verdict, "nat-1, which is in the state failed");
    fault(
        &verdict,
        "subnet-b has a default route to the Internet gateway igw-1",
    );
    fault(
        &verdict,
        "acl-1 of subnet-a does not allow inbound responses",
    );
}

#[test]
fn the_subnets_are_in_the_vpc_and_in_two_zones() {
    fault(
        &changed(|network| network.subnets.truncate(1)),
        "subnet-b is not in vpc-1",
    );
    let one_zone = changed(|network| network.subnets[1].zone = "us-east-1a".to_owned());
    notice(&one_zone, "every subnet is in us-east-1a");
}

#[test]
fn the_addresses_suffice_for_interfaces_and_nodes() {
    let left = |a, b| {
        changed(|network| {
            network.subnets[0].free = a;
            network.subnets[1].free = b;
        })
    };
    fault(&left(Some(1), Some(1)), "needs 3 addresses");
    assert_eq!(left(Some(1), Some(2)), Verdict::default());
    assert_eq!(left(Some(1), None), Verdict::default());
}

#[test]
fn a_shared_subnet_is_told() {
    let shared = changed(|network| network.subnets[0].owner = Some("999999999999".to_owned()));
    notice(&shared, "account 999999999999 shares subnet-a");
}

#[test]
fn a_way_out_is_a_nat_gateway_that_works() {
    fault(&routed(None), "has no route 0.0.0.0/0 in rtb-private");
    fault(
        &routed(route(Target::InternetGateway("igw-1".to_owned()))),
        "Lambda functions have no public address",
    );
    let gone = nat_route().map(|route| DefaultRoute {
        is_blackhole: true,
        ..route
    });
    fault(&routed(gone), "nat-1, which does not exist");
    let alone = changed(|network| {
        for table in network.tables.iter_mut().flatten().take(1) {
            table.default_route = None;
        }
    });
    fault(
        &alone,
        "whose own subnet has no route to an Internet gateway",
    );
    // The subnets of a NAT gateway of another VPC are not known.
    let elsewhere = changed(|network| network.gateways = Some(Vec::new()));
    notice(&elsewhere, "leads to nat-1");
}

#[test]
fn other_targets_are_accepted_with_a_notice() {
    for id in ["tgw-1", "eni-1", "vpce-1", "pcx-1"] {
        notice(
            &routed(route(Target::Other(id.to_owned()))),
            &format!("leads to {id}: whether su1.3scale.net is reachable is not checked"),
        );
    }
    let private = changed(|network| {
        for nat in network.gateways.iter_mut().flatten() {
            nat.is_private = true;
        }
    });
    notice(&private, "the private nat-1");
    let halves = nat_route().map(|route| DefaultRoute {
        is_whole: false,
        ..route
    });
    notice(&routed(halves), "leads to nat-1");
}

#[test]
fn a_3scale_in_the_network_needs_no_internet() {
    let mut network = network();
    for table in network.tables.iter_mut().flatten() {
        table.default_route = None;
    }
    let ids = ids();
    let needs = Needs {
        host: "3scale.example.internal",
        needs_internet: false,
        ..needs(&ids)
    };
    notice(
        &judge(needs, &network),
        "must reach 3scale.example.internal and the Parameter Store in another way",
    );
}

#[test]
fn an_endpoint_needs_host_names_and_replaces_the_way_to_the_parameter_store() {
    let mut network = network();
    for table in network.tables.iter_mut().flatten() {
        table.default_route = None;
    }
    network.dns_host_names = Some(false);
    let ids = ids();
    let needs = Needs {
        host: "3scale.example.internal",
        needs_internet: false,
        has_endpoint: true,
        ..needs(&ids)
    };
    let verdict = judge(needs, &network);
    fault(&verdict, "`network.endpoints` needs them: turn them on");
    let text = "must reach 3scale.example.internal in another way";
    let mut notices = verdict.notices.iter();
    assert!(notices.any(|notice| notice.contains(text)), "{verdict:?}");
}

#[test]
fn names_are_resolved() {
    fault(
        &changed(|network| network.dns_support = Some(false)),
        "turn it on",
    );
    let hosts = changed(|network| network.dns_host_names = Some(false));
    notice(&hosts, "enableDnsHostnames");
}

#[test]
fn network_acls_let_requests_and_responses_through() {
    let outward = || rule(100, true, true, "0.0.0.0/0", (443, 443));
    let back = || rule(100, false, true, "0.0.0.0/0", EPHEMERAL);
    let cache = |is_outbound| rule(110, is_outbound, true, "10.0.0.0/16", (1024, 65535));
    let fine = vec![outward(), back(), cache(true)];
    assert_eq!(filtered(fine.clone()), Verdict::default());
    let without = |index: usize| {
        let mut rules = fine.clone();
        rules.remove(index);
        filtered(rules)
    };
    fault(
        &without(0),
        "does not allow outbound traffic to TCP port 443",
    );
    fault(&without(1), "does not allow inbound responses");
    fault(
        &without(2),
        "acl-1 of subnet-a does not allow outbound traffic of the cache (TCP port 6379) with 10.0.2.0/24",
    );
    // The rule with the lowest number decides.
    let mut denied = fine.clone();
    denied.insert(0, rule(90, true, false, "0.0.0.0/0", (0, 65535)));
    fault(&filtered(denied), "outbound traffic to TCP port 443");
    let mut narrow = fine;
    narrow.insert(0, rule(90, true, false, "203.0.113.0/24", (443, 443)));
    assert_eq!(filtered(narrow), Verdict::default());
}

#[test]
fn encryption_in_transit_must_exclude_lambda() {
    let enforced = |excludes_lambda| {
        changed(|network| network.encryption = Some(Encryption { excludes_lambda }))
    };
    fault(&enforced(false), "Lambda is not excluded");
    notice(&enforced(true), "enforces encryption in transit");
}

#[test]
fn a_serverless_cache_needs_subnets_in_two_zones() {
    let mut network = network();
    for subnet in &mut network.subnets {
        subnet.zone = "us-east-1a".to_owned();
    }
    let ids = ids();
    let of = |is_serverless| {
        let needs = Needs {
            is_serverless,
            ..needs(&ids)
        };
        let verdict = judge(needs, &network);
        (verdict.faults, verdict.notices.len())
    };
    assert_eq!(of(false), (Vec::new(), 1));
    let fault = "network.subnets: every subnet is in us-east-1a, and `cache.kind: serverless` needs subnets in two zones";
    assert_eq!(of(true), (vec![fault.to_owned()], 0));
}

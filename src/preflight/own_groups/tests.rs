use super::*;

fn rule(protocol: &str, ports: Option<(u16, u16)>, to: &str) -> Outbound {
    Outbound {
        protocol: protocol.to_owned(),
        ports,
        to: match to.parse() {
            Ok(range) => Destination::Range(range),
            Err(_) => Destination::Named(to.to_owned()),
        },
    }
}

fn group(id: &str, outbound: Vec<Outbound>) -> Group {
    Group {
        id: id.to_owned(),
        vpc: "vpc-1".to_owned(),
        outbound,
    }
}

/// The verdict about groups, with the hosted 3scale and a cache of the stack.
fn judged(names: &[&str], found: &[Group], change: impl Fn(&mut Needs<'_>)) -> Verdict {
    let groups: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let of_stack = BTreeSet::from(["sg-cache".to_owned()]);
    let ranges = ["10.0.0.0/24", "10.0.1.0/24"].map(|range| range.parse().expect("a range"));
    let mut needs = Needs {
        groups: &groups,
        vpc: Some("vpc-1"),
        of_stack: &of_stack,
        host: "su1.3scale.net",
        port: 443,
        cache_port: Some(6379),
        cache_group: Some("sg-cache"),
        cache_ranges: &ranges,
    };
    change(&mut needs);
    judge(&needs, found)
}

#[test]
fn groups_that_let_everything_out_are_good() {
    let all = group("sg-1", vec![rule("-1", None, "0.0.0.0/0")]);
    assert_eq!(judged(&["sg-1"], &[all], |_| ()), Verdict::default());
    // Each group adds to the others.
    let web = group("sg-1", vec![rule("tcp", Some((443, 443)), "0.0.0.0/0")]);
    for to in ["sg-cache", "10.0.0.0/23", "0.0.0.0/0"] {
        let cache = group("sg-2", vec![rule("6", Some((6000, 7000)), to)]);
        let verdict = judged(&["sg-1", "sg-2"], &[web.clone(), cache], |_| ());
        assert_eq!(verdict, Verdict::default(), "{to}");
    }
    let verdict = judged(&["sg-1"], &[web], |needs| needs.cache_port = None);
    assert_eq!(verdict, Verdict::default());
}

#[test]
fn a_port_that_no_rule_allows_is_a_fault() {
    let udp = group("sg-1", vec![rule("udp", Some((0, 65535)), "0.0.0.0/0")]);
    let verdict = judged(&["sg-1"], &[udp], |needs| needs.port = 8443);
    let told = |port, what| {
        format!(
            "authorizer.security_groups: no rule of sg-1 allows outbound traffic to TCP port {port}, so the functions do not reach {what}: add one"
        )
    };
    assert_eq!(
        verdict.faults,
        [
            told(8443, "su1.3scale.net"),
            told(443, "the Parameter Store"),
            told(6379, "the cache")
        ]
    );
    assert!(verdict.notices.is_empty());
    let closed = group("sg-1", Vec::new());
    let verdict = judged(&["sg-1"], &[closed], |needs| needs.cache_port = None);
    assert_eq!(
        verdict.faults,
        [told(443, "su1.3scale.net and the Parameter Store")]
    );
}

#[test]
fn a_rule_for_a_part_of_the_network_is_a_notice() {
    let some = group(
        "sg-1",
        vec![
            rule("tcp", Some((443, 443)), "10.0.0.0/8"),
            rule("tcp", Some((443, 443)), "pl-1"),
            rule("tcp", Some((6379, 6379)), "10.0.0.0/24"),
        ],
    );
    let verdict = judged(&["sg-1"], &[some], |_| ());
    assert!(verdict.faults.is_empty(), "{verdict:?}");
    let told = |port, to, what| {
        format!(
            "authorizer.security_groups: sg-1 allow outbound traffic to TCP port {port} only to {to}: whether the functions reach {what} is not checked"
        )
    };
    assert_eq!(
        verdict.notices,
        [
            told(
                443,
                "10.0.0.0/8, pl-1",
                "su1.3scale.net and the Parameter Store"
            ),
            told(6379, "10.0.0.0/24", "the cache")
        ]
    );
}

#[test]
fn groups_must_exist_in_the_vpc_and_be_the_operators() {
    let elsewhere = Group {
        vpc: "vpc-2".to_owned(),
        ..group("sg-2", Vec::new())
    };
    let found = [elsewhere, group("sg-cache", Vec::new())];
    let verdict = judged(&["sg-1", "sg-2", "sg-cache"], &found, |_| ());
    assert_eq!(
        verdict.faults,
        [
            "authorizer.security_groups: there is no security group sg-1",
            "authorizer.security_groups: sg-2 is in vpc-2, not in vpc-1",
            "authorizer.security_groups: sg-cache belongs to the stack: name a security group of your own",
        ]
    );
    let verdict = judged(&["sg-1"], &[], |needs| needs.vpc = None);
    assert_eq!(verdict.faults.len(), 1);
    assert!(verdict.faults[0].contains("this run creates the VPC"));
}

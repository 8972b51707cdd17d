use super::*;

fn check<T>(parse: impl Fn(&str) -> Result<T, Invalid>, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(parse(text).is_ok(), "{text:?} is refused");
    }
    for text in bad {
        assert!(parse(text).is_err(), "{text:?} is accepted");
    }
}

#[test]
fn names_of_aws() {
    let longest = format!("a{}", "b".repeat(31));
    check(
        stack_name,
        &["a", "orders-2", &longest],
        &["", "1a", "-a", "Orders", "a_b", "ä", &format!("{longest}b")],
    );
    check(
        api_id,
        &["a1b2c3d4e5", "0123456789", "a1b2c3d4"],
        &["", "a1b2c3d", "a1b2c3d4e5f6g", "A1B2C3D4E5", "a1b2-3d4e5"],
    );
    check(api_name, &["orders api", "ä"], &["", " ", "a\nb"]);
    check(
        stage,
        &["prod", "v1_2-x", "$default", &"s".repeat(128)],
        &["", "$prod", "default$", "a b", "a/b", &"s".repeat(129)],
    );
    check(
        vpc_id,
        &["default", "vpc-0abc1234", "vpc-0123456789abcdef0"],
        &[
            "",
            "vpc-0abc",
            "vpc-0123456789ABCDEF0",
            "subnet-0abc1234",
            "Default",
        ],
    );
    check(
        subnet_id,
        &["subnet-0abc1234", "subnet-0123456789abcdef0"],
        &["", "subnet-", "vpc-0abc1234", "subnet-0abc123g"],
    );
    check(
        node_type,
        &[
            "cache.t4g.micro",
            "cache.m5.24xlarge",
            "cache.r6gd.xlarge",
            "cache.c7gn.large",
        ],
        &[
            "",
            "t4g.micro",
            "cache.t4g",
            "cache.t4g.",
            "cache..micro",
            "cache.t4g.micro.x",
            "cache.tg.micro",
            "cache.t4g.12",
            "cache.m1.small",
            "CACHE.t4g.micro",
        ],
    );
    check(
        log_retention_days_text,
        &["1", "14", "3653"],
        &["", "x", "0", "2", "15", "3654"],
    );
}

fn log_retention_days_text(text: &str) -> Result<u32, Invalid> {
    log_retention_days(text.parse().ok())
}

#[test]
fn tags() {
    check(
        tag_key,
        &["team", "cost-center:eu/1@x", "Zürich 1", &"k".repeat(128)],
        &[
            "",
            "aws:x",
            "AWS:x",
            "threescale-gw:stack",
            "Name",
            "a\tb",
            "a*",
            "a#b",
            &"k".repeat(129),
        ],
    );
    check(
        tag_value,
        &["", "payments", "a=b", &"ü".repeat(256)],
        &["a\nb", "a,b", "<x>", &"v".repeat(257)],
    );
}

#[test]
fn names_of_3scale() {
    check(
        service_id,
        &["2555417834780", "1"],
        &["", "orders", "12 ", "-1", "1.5"],
    );
    check(
        metric,
        &["hits", "orders", "get_order-2", "hits.12", "a/b"],
        &["", ".x", "-x", "a b", "a[b]", "ä", &"m".repeat(256)],
    );
    check(
        token,
        &["0123abcd", "ä"],
        &["", " ", "a b", "a\n", &"t".repeat(4097)],
    );
    let header = |text: &str| parameter_name(text, CredentialLocation::Header);
    check(
        header,
        &["apikey", "X-Api-Key", "user_key", "a.b$"],
        &["", "a b", "a:b", "a,b", "ä", &"n".repeat(129)],
    );
}

#[test]
fn backends() {
    check(
        backend,
        &[
            "https://su1.3scale.net",
            "https://su1.3scale.net:443/",
            "https://10.0.0.1:8443",
            "https://3scale.example.com/backend/",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://localhost",
            "http://su1.3scale.net",
        ],
        &[
            "",
            "su1.3scale.net",
            "ftp://x",
            "https://u:p@x",
            "https://x/y//z",
            "https://x/a%2fb",
            &format!("https://x/{}", "y".repeat(300)),
            "https://x?y=1",
            "https://x/#y",
            "https:// x",
            "https://",
        ],
    );
    for (text, url, way) in [
        (
            "https://SU1.3scale.net:443/",
            "https://su1.3scale.net",
            Way::Encrypted,
        ),
        (
            "https://3scale.corp/a/../backend/",
            "https://3scale.corp/backend",
            Way::Encrypted,
        ),
    ] {
        assert_eq!(backend(text), Ok((url.to_owned(), way)));
    }
    for (host, way) in [
        ("127.0.0.1", Way::Loopback),
        ("[::1]:3000", Way::Loopback),
        ("a.localhost", Way::Loopback),
        ("10.0.0.1", Way::Private),
        ("172.31.255.255", Way::Private),
        ("192.168.1.1:3000", Way::Private),
        ("100.64.0.1", Way::Private),
        ("[fd00::1]", Way::Private),
        ("backend.3scale.internal", Way::Private),
        ("internal-a-1.eu-west-1.elb.amazonaws.com", Way::Private),
        ("172.32.0.1", Way::Public),
        ("169.254.169.254", Way::Public),
        ("0.0.0.0", Way::Public),
        ("[fe80::1]", Way::Public),
        ("a-1.eu-west-1.elb.amazonaws.com", Way::Public),
        ("internal", Way::Public),
        ("backend.3scale.svc", Way::Public),
        ("127.0.0.1.example.com", Way::Public),
        ("10.0.0.1.internal.example.com", Way::Public),
    ] {
        let read = backend(&format!("http://{host}")).map(|(_, way)| way);
        assert_eq!(read, Ok(way), "{host}");
    }
}

#[test]
fn cache_urls() {
    check(
        cache_url,
        &[
            "rediss://cache.example.com",
            "redis://10.0.0.1:6380",
            "rediss://user:p%40ss@cache.example.com:6379/3",
            "rediss://:p@[::1]",
        ],
        &[
            "",
            "cache.example.com:6379",
            "https://x",
            "rediss://",
            "rediss:///3",
            "rediss://x/y",
            "rediss://x?a=b",
            "rediss://x#a",
            "rediss://x:70000",
            "rediss://a b",
        ],
    );
    assert_eq!(cache_url("redis://x").map(|(_, tls)| tls), Ok(false));
    assert_eq!(cache_url("rediss://x").map(|(_, tls)| tls), Ok(true));
}

#[test]
fn address_ranges() {
    check(
        vpc_cidr,
        &[
            "10.42.0.0/16",
            "172.31.0.0/16",
            "192.168.7.0/28",
            "100.64.0.0/16",
        ],
        &[
            "",
            "10.42.0.0",
            "10.42.0.0/33",
            "10.42.1.0/16",
            "10.0.0.0/15",
            "10.0.0.0/29",
            "8.8.0.0/16",
            "172.32.0.0/16",
            "fd00::/56",
            "127.0.0.0/16",
        ],
    );
    let hint = vpc_cidr("10.42.1.0/16")
        .err()
        .and_then(|invalid| invalid.hint);
    assert_eq!(hint.as_deref(), Some("did you mean `10.42.0.0/16`?"));
}

#[test]
fn durations() {
    check(
        max_age,
        &["0s", "60s", "5m", "1h 30m", "1d"],
        &["", "60", "1500ms", "25h", "-1s", "x"],
    );
    check(
        report_every,
        &["1m", "60s", "5m", "6h"],
        &["0s", "30s", "90s", "7h", "1", "60s 1ms"],
    );
}

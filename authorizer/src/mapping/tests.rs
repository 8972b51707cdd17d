use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn rule(pattern: &str) -> RuleSettings {
    RuleSettings {
        method: "GET".to_owned(),
        pattern: pattern.to_owned(),
        metric: "hits".to_owned(),
        delta: 1,
        last: false,
    }
}

fn split(target: &str) -> (&str, Vec<(String, String)>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (
        path,
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
    )
}

fn matches(pattern: &str, target: &str) -> bool {
    let (path, query) = split(target);
    !Rules::new(&[rule(pattern)])
        .usage("GET", path, &query)
        .0
        .is_empty()
}

/// Section 16.3 of the reference, recorded from APIcast's code. Rows with a form body are left out, because API
/// Gateway does not pass the body to an authorizer.
#[test]
fn recorded_cases() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/", "/anything", "/a/b?c=d"], &[]),
        ("/$", &["/", "/?x=1"], &["/anything"]),
        (
            "/foo",
            &[
                "/foo",
                "/foo/",
                "/foobar",
                "/foo/bar",
                "/foo?a=1",
                "/%66oo",
                "/foo%2Fbar",
            ],
            &["/Foo", "/x/foo"],
        ),
        ("/foo/", &["/foo/", "/foo/x"], &["/foo"]),
        (
            "/foo$",
            &["/foo", "/foo?a=1"],
            &["/foo/", "/foobar", "/foo/bar"],
        ),
        (
            "/foo/{id}",
            &["/foo/1", "/foo/1/2", "/foo/a%20b", "/foo/a[b]"],
            &["/foo", "/foo/"],
        ),
        (
            "/foo/{id}$",
            &[
                "/foo/1",
                "/foo/a%20b",
                "/foo/%C3%A9",
                "/foo/a.b-c_d~e",
                "/foo/a@b:c",
                "/foo/a;b",
                "/foo/a%3Fb",
                "/foo/a%7Cb",
            ],
            &[
                "/foo/1/",
                "/foo/1/2",
                "/foo/a%2Fb",
                "/foo/a[b]",
                "/foo/a%5Bb%5D",
            ],
        ),
        (
            "/foo/{id}/bar",
            &["/foo/1/bar", "/foo/1/bar/baz", "/foo/1/barista"],
            &["/foo/1/2/bar", "/foo//bar"],
        ),
        (
            "/foo/{id}.json",
            &["/foo/1.json", "/foo/1.json/x"],
            &["/foo/1xjson", "/foo/1.xml"],
        ),
        ("/v{v}/x", &["/v1/x", "/v1.2/x"], &["/v/x"]),
        ("/a.b", &["/a.b"], &["/axb"]),
        ("/a+b", &["/ab", "/aab"], &["/a+b"]),
        ("/a*", &["/a", "/aaa", "/b"], &[]),
        ("/foo(bar)", &["/foobar"], &["/foo(bar)"]),
        ("//a///b", &["/a/b", "//a//b"], &[]),
        ("/foo%20bar", &["/foo%20bar"], &[]),
        ("/%C3%A9", &["/%C3%A9"], &[]),
        ("/b", &["/a/../b", "/a/%2e%2e/b", "/./b"], &[]),
        (
            "/foo?a=1",
            &["/foo?a=1", "/foo?b=2&a=1", "/foo?a=2&a=1", "/foo/bar?a=1"],
            &["/foo", "/foo?a=2", "/foo?a=1&a=2"],
        ),
        (
            "/foo?a={x}",
            &["/foo?a=1", "/foo?a=", "/foo?a"],
            &["/foo", "/foo?b=1"],
        ),
        ("/foo$?a={x}", &["/foo?a=1"], &["/foo/?a=1", "/foobar?a=1"]),
        ("/foo?a=x{y}z", &["/foo?a=1"], &[]),
        ("/foo?a=b%20c", &[], &["/foo?a=b%20c", "/foo?a=b+c"]),
        ("/foo?a=", &["/foo?a="], &["/foo"]),
        (
            "/foo?a=1&b={b}",
            &["/foo?a=1&b=2"],
            &["/foo?b=2", "/foo?a=1"],
        ),
    ];
    for (pattern, yes, no) in table {
        for target in *yes {
            assert!(matches(pattern, target), "{pattern} must match {target}");
        }
        for target in *no {
            assert!(
                !matches(pattern, target),
                "{pattern} must not match {target}"
            );
        }
    }
}

/// The rules, each with its pattern as an expression.
fn expressions(rules: &[RuleSettings]) -> Vec<(Rule, Regex)> {
    let each = rules.iter().filter_map(|settings| {
        let rule = Rule {
            path: PathPattern::Indexed,
            ..Rule::new(settings, 0, &mut Index::new())
        };
        let mut pattern = settings.pattern.split('?').next()?.to_owned();
        while pattern.contains("//") {
            pattern = pattern.replace("//", "/");
        }
        Some((rule, Regex::new(&expression(&parts(&pattern))).ok()?))
    });
    each.collect()
}

/// The usage according to the rules one after another.
fn one_by_one(rules: &[(Rule, Regex)], method: &str, target: &str) -> Usage {
    let (path, query) = split(target);
    let path = normalize(path, false, Reading::APICAST);
    let mut usage = Usage::default();
    for (rule, pattern) in rules {
        if rule.matches(method, &path, &query) && pattern.is_match(&path) {
            usage.add(&rule.metric, rule.delta);
            if rule.last {
                break;
            }
        }
    }
    usage
}

/// Few pieces, so that patterns begin alike and often match.
fn pieces(all: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    vec(select(all), 0..most).prop_map(|pieces| pieces.concat())
}

fn some_rule() -> impl Strategy<Value = RuleSettings> {
    const PATTERN: &[&str] = &[
        "/", "/", "/", "a", "ab", "b", ".", "{x}", "{x}", "{y}", "+", "*", "(b)", "%20", "{", "$",
    ];
    let query = prop_oneof![Just(""), Just(""), Just("?q={v}"), Just("?q=1")];
    let pattern = (pieces(PATTERN, 7), any::<bool>(), query)
        .prop_map(|(text, end, query)| format!("/{text}{}{query}", if end { "$" } else { "" }));
    let method = prop_oneof![Just("ANY"), Just("GET"), Just("POST")];
    let metric = prop_oneof![Just("hits"), Just("a"), Just("b")];
    (method, pattern, metric, 1..4_u64, prop::bool::weighted(0.1)).prop_map(
        |(method, pattern, metric, delta, last)| RuleSettings {
            method: method.to_owned(),
            pattern,
            metric: metric.to_owned(),
            delta,
            last,
        },
    )
}

fn some_target() -> impl Strategy<Value = String> {
    const TARGET: &[&str] = &[
        "/", "/", "/", "a", "a", "b", "ab", ".", "-", "%20", "%5B", "%C3%A9", "..", "+", "$",
    ];
    let query = prop_oneof![Just(""), Just("?q=1"), Just("?q=2")];
    (pieces(TARGET, 9), query).prop_map(|(path, query)| format!("/{path}{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn all_at_once_is_the_same_as_one_by_one(
        rules in vec(some_rule(), 1..25),
        targets in vec(some_target(), 1..12),
    ) {
        let all = Rules::new(&rules);
        let rules = expressions(&rules);
        for target in targets {
            let (path, query) = split(&target);
            for method in ["GET", "PUT"] {
                let usage = all.usage(method, path, &query);
                prop_assert_eq!(usage, one_by_one(&rules, method, &target), "{}", target);
            }
        }
    }
}

#[test]
fn all_matching_rules_add_up_until_the_last() {
    let with = |pattern: &str, metric: &str, delta, last| RuleSettings {
        metric: metric.to_owned(),
        delta,
        last,
        ..rule(pattern)
    };
    let rules = |last| {
        Rules::new(&[
            with("/", "hits", 1, false),
            with("/foo", "foo", 1, last),
            with("/foo/{id}", "foo_id", 2, false),
            with("/foo", "hits", 3, false),
        ])
    };
    let none: [(&str, &str); 0] = [];
    assert_eq!(
        rules(false).usage("GET", "/foo/1", &none).summary(),
        "hits=4,foo=1,foo_id=2"
    );
    assert_eq!(
        rules(true).usage("GET", "/foo/1", &none).summary(),
        "hits=1,foo=1"
    );
    for last in [false, true] {
        assert_eq!(rules(last).usage("GET", "/zzz", &none).summary(), "hits=1");
    }
    assert_eq!(rules(true).metrics(), ["hits", "foo", "foo_id"]);
}

#[test]
fn methods() {
    let any = Rules::new(&[RuleSettings {
        method: "ANY".to_owned(),
        ..rule("/")
    }]);
    let none: [(&str, &str); 0] = [];
    assert_eq!(any.usage("PATCH", "/", &none).summary(), "hits=1");
    let get = Rules::new(&[rule("/")]);
    assert_eq!(get.usage("get", "/", &none), Usage::default());
    assert_eq!(get.usage("POST", "/", &none), Usage::default());
}

#[test]
fn without_rules_every_request_is_a_hit() {
    let none: [(&str, &str); 0] = [];
    assert_eq!(Rules::new(&[]).usage("X", "", &none).summary(), "hits=1");
}

#[test]
fn an_unusable_pattern_matches_nothing() {
    let rules = Rules::new(&[rule("/a("), rule("/{"), rule("/{}")]);
    assert_eq!(rules.unusable(), 3);
    let none: [(&str, &str); 0] = [];
    assert_eq!(rules.usage("GET", "/a(", &none), Usage::default());
}

#[test]
fn dot_segments_end_at_the_root() {
    for (path, normal) in [
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("", "/"),
        ("a//b", "/a/b"),
        ("/a%", "/a%25"),
        ("/a%zz", "/a%25zz"),
        ("/...", "/..."),
    ] {
        assert_eq!(normalize(path, false, Reading::APICAST), normal, "{path:?}");
    }
}

#[test]
fn a_decoded_path_is_not_decoded_again() {
    for (path, normal) in [
        ("/a%61", "/a%2561"),
        ("/a b", "/a%20b"),
        ("/a%2Fb", "/a%252Fb"),
        ("/caf\u{e9}", "/caf%C3%A9"),
        ("/plain", "/plain"),
    ] {
        assert_eq!(normalize(path, true, Reading::APICAST), normal, "{path:?}");
    }
}

fn request(path: &str, decoded: bool, open: bool) -> Request<'_> {
    Request {
        format: crate::event::Format::Policy,
        arn: "".into(),
        method: "GET".into(),
        resource: "".into(),
        path: path.into(),
        path_is_decoded: decoded,
        path_has_open_end: open,
        headers: crate::event::Pairs::default(),
        query: Vec::new(),
        token: None,
        source_ip: None,
        gateway_id: None,
    }
}

fn orders_and_all() -> Rules {
    let with = |pattern: &str, metric: &str| RuleSettings {
        metric: metric.to_owned(),
        ..rule(pattern)
    };
    Rules::new(&[with("/", "hits"), with("/orders$", "orders")])
}

#[test]
fn a_path_that_can_be_another_one_is_refused_if_that_one_counts_differently() {
    let usage = |path, decoded| {
        let usage = orders_and_all().usage_of(&request(path, decoded, false));
        usage.map(|usage| usage.summary())
    };
    for path in [
        "/x/../orders",
        "/x/%2e%2E/orders",
        "/./orders",
        "/x/..%2forders",
        "/x%2F..%2Forders",
        "/orders/x/..%2f..%2forders",
    ] {
        assert_eq!(usage(path, false), Err(Ambiguous), "{path}");
    }
    assert_eq!(usage("/x/../orders", true), Err(Ambiguous));
    // The same in every reading.
    for path in [
        "/groups/a%2Fb",
        "/a/../b",
        "/orders/.",
        "/orders%2F..",
        "/a.b/c",
        "/...",
        "/orders.",
    ] {
        assert_eq!(usage(path, false), Ok("hits=1".to_owned()), "{path}");
    }
    assert_eq!(usage("/orders", false), Ok("hits=1,orders=1".to_owned()));
    assert_eq!(usage("/%6frders", false), Ok("hits=1,orders=1".to_owned()));
    assert_eq!(usage("/%6frders", true), Ok("hits=1".to_owned()));
}

#[test]
fn of_an_open_end_the_larger_usage_counts() {
    let usage = |path, open| {
        let usage = orders_and_all().usage_of(&request(path, false, open));
        usage.map(|usage| usage.summary())
    };
    assert_eq!(usage("/orders/", true), Ok("hits=1,orders=1".to_owned()));
    assert_eq!(usage("/orders/", false), Ok("hits=1".to_owned()));
    assert_eq!(usage("/orders.x/", true), Ok("hits=1".to_owned()));
    assert_eq!(usage("/", true), Ok("hits=1".to_owned()));
    let either = Rules::new(&[
        rule("/docs/"),
        RuleSettings {
            metric: "other".to_owned(),
            ..rule("/docs$")
        },
    ]);
    assert_eq!(
        either.usage_of(&request("/docs/", false, true)),
        Err(Ambiguous)
    );
}

#[test]
fn of_a_decoded_end_the_larger_usage_counts() {
    let usage = |path, decoded, open| {
        let usage = orders_and_all().usage_of(&request(path, decoded, open));
        usage.map(|usage| usage.summary())
    };
    let both = Ok("hits=1,orders=1".to_owned());
    for path in ["/orders?x", "/orders#", "/a/../orders?x/.."] {
        assert_eq!(usage(path, true, false), both, "{path}");
    }
    assert_eq!(usage("/orders/?x", true, true), both);
    assert_eq!(usage("/orders/?x", true, false), Ok("hits=1".to_owned()));
    // An encoded path never has one.
    assert_eq!(usage("/orders%3Fx", false, false), Ok("hits=1".to_owned()));
}

#[test]
fn sums_do_not_overflow() {
    let mut usage = Usage::default();
    usage.add("a", u64::MAX);
    usage.add("a", u64::MAX);
    assert_eq!(usage.0, [("a".to_owned(), 1 << 52)]);
}

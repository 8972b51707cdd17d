//! Properties: keys never collide, parsers never panic, and a request passes only if something allows it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use authorizer::answer::{self, Effect, Outcome};
use authorizer::cache;
use authorizer::credentials::Credential;
use authorizer::event;
use authorizer::keys::{Keys, Name};
use authorizer::mapping::Rules;
use authorizer::runtime::Reply;
use authorizer::settings::{HttpApiAnswer, LimitStatus, RuleSettings};
use authorizer::{redis, xml};
use proptest::collection::vec;
use proptest::prelude::*;
use threescale_stand_in::Period;

use crate::support::gateway::{World, decide, event as rest_event, is_authorized};
use crate::support::http::{Response, Server};
use crate::support::ssm::HASH_KEY;
use crate::support::threescale::Limit;

fn keys() -> Keys {
    Keys::from_hex(HASH_KEY).unwrap()
}

/// Few characters, so that different parts often concatenate to the same text.
fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ab:\u{1f}]{0,4}").unwrap()
}

fn credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        text().prop_map(Credential::UserKey),
        (text(), proptest::option::of(text())).prop_map(|(id, key)| Credential::AppId { id, key }),
    ]
}

fn no_persistence(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(no_persistence(256))]

    #[test]
    fn keys_of_different_credentials_differ(all in vec((text(), credential()), 2..40)) {
        let keys = keys();
        let mut seen: HashMap<String, (String, Credential)> = HashMap::new();
        for (service, credential) in all {
            let key = keys.credential(&service, &credential);
            let entry = seen.entry(key.clone()).or_insert_with(|| (service.clone(), credential.clone()));
            prop_assert!(*entry == (service, credential));
            // A key is exactly one field of a colon-separated name.
            prop_assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        }
    }

    #[test]
    fn keys_of_different_applications_differ(all in vec((text(), proptest::option::of(text()), proptest::option::of(text())), 2..40)) {
        let keys = keys();
        let mut seen = HashMap::new();
        for (service, app_id, user_key) in all {
            let key = keys.application(&service, &Name { app_id: app_id.clone(), user_key: user_key.clone() });
            // The ID identifies the application; the user key only if there is no ID.
            let who = (service, app_id.clone(), if app_id.is_some() { None } else { user_key });
            prop_assert_eq!(seen.entry(key).or_insert_with(|| who.clone()), &who);
        }
    }

    /// The prefix of all keys of a stack's service: no two are equal, and none begins with another.
    #[test]
    fn services_share_no_keys(all in vec(("[a-z0-9-]{1,5}", "[a-zA-Z0-9._-]{1,5}"), 2..20)) {
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            let (first, second) = (cache::prefix(&one.0, &one.1), cache::prefix(&other.0, &other.1));
            prop_assert_eq!(first.starts_with(&second), one == other);
        }
    }

    #[test]
    fn names_come_back_as_they_were(app_id in proptest::option::of(".*"), user_key in proptest::option::of(".*")) {
        let name = Name { app_id, user_key };
        let sealed = keys().seal("a", &name).unwrap();
        prop_assert_eq!(keys().open("a", &sealed), Some(name));
        prop_assert_eq!(keys().open("b", &sealed), None);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = event::parse(&bytes);
        let _ = redis::decode(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = xml::parse(&text);
        let _ = keys().open("a", &text);
        let _ = redis::Endpoint::parse(&text, None);
    }

    /// Valid input with a few bytes changed, removed, or doubled, which reaches deeper than random bytes.
    #[test]
    fn no_damage_makes_a_parser_panic(edits in vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..6)) {
        for valid in [
            rest_event("uk_free", "/orders/1").into_bytes(),
            br#"{"version":"2.0","type":"REQUEST","routeArn":"arn","rawPath":"/a%20","rawQueryString":"a=%zz&b","headers":{"a":"b"},"requestContext":{"http":{"method":"GET"}}}"#.to_vec(),
            br#"<?xml version="1.0"?><status><authorized>true</authorized><plan>a &amp; b</plan><usage_reports><usage_report metric="hits" period="day"><period_start>2026-11-22 00:00:00 +0000</period_start><max_value>1</max_value><current_value>0</current_value></usage_report></usage_reports></status>"#.to_vec(),
            b"*3\r\n$1\r\nA\r\n:-1\r\n*-1\r\n".to_vec(),
        ] {
            let mut bytes = valid;
            for (at, how, byte) in &edits {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = *byte,
                    1 => bytes.insert(at, *byte),
                    2 if bytes.len() > 1 => { bytes.remove(at); }
                    _ => bytes.extend_from_within(at..),
                }
            }
            if let Ok(event::Event::Authorize(request)) = event::parse(&bytes) {
                let rules = Rules::new(&[rule("/{a}/b?c={d}")]);
                let _ = rules.usage_of(&request);
            }
            let _ = redis::decode(&bytes);
            let _ = xml::parse(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn no_pattern_and_no_path_panics(pattern in "[/a{}$?=&*+().|\\[\\]é-]{0,20}", path in "[/a%25.é?{}-]{0,20}") {
        let none: [(&str, &str); 0] = [];
        let _ = Rules::new(&[rule(&pattern)]).usage("GET", &path, &none);
    }

    /// A decision on a request to an HTTP API is a boolean, with strings, or an error, which API Gateway answers with 500.
    #[test]
    fn an_http_api_gets_a_boolean_or_an_error(
        effect in prop::sample::select(&[Effect::Allow, Effect::Deny, Effect::Unauthorized][..]),
        reason in prop_oneof![Just("not_ready".to_owned()), Just("limits_exceeded".to_owned()), ".*"],
        app_id in proptest::option::of(".*"),
        plan in proptest::option::of(".*"),
        metric in ".*",
        numbers in any::<[Option<u64>; 3]>(),
        limits in prop::sample::select(&[LimitStatus::Forbidden, LimitStatus::TooManyRequests][..]),
        arn in ".*",
    ) {
        let [remaining, reset_s, retry_after_s] = numbers;
        let outcome = Outcome { effect, reason, app_id, plan, metric, remaining, reset_s, retry_after_s };
        let format = event::Format::HttpApi;
        match answer::write(&outcome, format, &arn, HttpApiAnswer::Simple, Some("key"), limits) {
            Reply::Answer(answer) => {
                let answer = serde_json::from_slice(&answer).unwrap();
                prop_assert_eq!(is_authorized(&answer), effect == Effect::Allow);
            }
            Reply::Error(error) => {
                prop_assert!(effect == Effect::Deny && error == outcome.reason);
            }
        }
    }

    /// The fast comparison of plain patterns has the same result as the regular expression.
    #[test]
    fn plain_patterns_are_what_their_expressions_say(pattern in "(/[ab.]{0,3}){1,3}[$]?", path in "(/[ab]{0,3}){1,3}") {
        let none: [(&str, &str); 0] = [];
        let fast = !Rules::new(&[rule(&pattern)]).usage("GET", &path, &none).0.is_empty();
        // A group turns the pattern into an expression with the same meaning.
        let (text, end) = pattern.strip_suffix('$').map_or((pattern.as_str(), ""), |text| (text, "$"));
        let slow = !Rules::new(&[rule(&format!("{text}(){end}"))]).usage("GET", &path, &none).0.is_empty();
        prop_assert_eq!(fast, slow);
    }
}

fn rule(pattern: &str) -> RuleSettings {
    RuleSettings {
        method: "ANY".into(),
        pattern: pattern.into(),
        metric: "hits".into(),
        delta: 1,
        last: false,
    }
}

const GOOD: &str = r#"<?xml version="1.0" encoding="UTF-8"?><status><authorized>true</authorized><plan>Free</plan></status>"#;

/// A refusal by a limit, of a plan without limits or with a limit that is not used up.
const REFUSED: [&str; 2] = [
    r#"<?xml version="1.0" encoding="UTF-8"?><status><authorized>false</authorized><reason>usage limits are exceeded</reason><plan>Free</plan></status>"#,
    r#"<?xml version="1.0" encoding="UTF-8"?><status><authorized>false</authorized><reason>usage limits are exceeded</reason><plan>Free</plan><usage_reports><usage_report metric="hits" period="eternity"><max_value>9</max_value><current_value>3</current_value></usage_report></usage_reports></status>"#,
];

/// Whatever 3scale or another server answers, only a 200 with the whole document allows the request.
#[test]
fn no_answer_of_3scale_allows_by_mistake() {
    let answer = Arc::new(Mutex::new(Vec::<u8>::new()));
    let given = Arc::clone(&answer);
    let server = Server::start(Arc::new(move |_| {
        Response::Raw(given.lock().unwrap().clone())
    }));
    let allowed = std::cell::Cell::new(0_u32);
    for mode in ["strict", "resilient", "none"] {
        let world = World::new()
            .with("backend", server.url().into())
            .with("caching", mode.into());
        let strategy = (
            prop_oneof![
                Just((200_u16, GOOD)),
                (100..600_u16).prop_map(|status| (status, GOOD)),
                (0..REFUSED.len()).prop_map(|n| (409, REFUSED[n])),
            ],
            vec(
                (
                    any::<prop::sample::Index>(),
                    prop_oneof![Just(b' '), any::<u8>()],
                ),
                0..3,
            ),
            proptest::option::of(prop_oneof![
                Just("limits_exceeded".to_owned()),
                "[ -~]{0,20}"
            ]),
            any::<prop::sample::Index>(),
            any::<bool>(),
        );
        let mut runner = proptest::test_runner::TestRunner::new(no_persistence(150));
        let number = std::cell::Cell::new(0_u32);
        runner
            .run(&strategy, |((status, body), edits, reason, cut, whole)| {
                let mut body = body.as_bytes().to_vec();
                for (at, byte) in edits {
                    let at = at.index(body.len());
                    body[at] = byte;
                }
                if !whole {
                    body.truncate(cut.index(body.len()));
                }
                let reason = reason
                    .map(|reason| format!("3scale-rejection-reason: {reason}\r\n"))
                    .unwrap_or_default();
                let mut raw = format!(
                    "HTTP/1.1 {status} X\r\n{reason}Content-Length: {}\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                raw.extend(&body);
                *answer.lock().unwrap() = raw;
                number.set(number.get() + 1);
                // Fewer refusals in one second than stop the calls.
                world.advance(1_000);
                let mut authorizer = world.authorizer();
                let decided = decide(
                    &mut authorizer,
                    &rest_event(&format!("key-{}", number.get()), "/"),
                );
                if decided.outcome.effect == Effect::Allow {
                    allowed.set(allowed.get() + 1);
                    let text = String::from_utf8_lossy(&body).into_owned();
                    prop_assert_eq!(status, 200);
                    prop_assert!(
                        text.contains("<authorized>true</authorized>")
                            && text.ends_with("</status>"),
                        "{}",
                        text
                    );
                }
                Ok(())
            })
            .unwrap();
    }
    // Some requests were allowed.
    assert!(allowed.get() > 10, "{allowed:?}");
}

/// Metrics whose names contain the separators of Redis keys have counters and limits of their own.
#[test]
fn metrics_are_counted_apart() {
    let strategy = proptest::collection::btree_map("[ab:0-9._-]{1,4}", (1_u64..5, 1_u64..4), 2..6);
    let mut runner = proptest::test_runner::TestRunner::new(no_persistence(12));
    runner
        .run(&strategy, |metrics| {
            let rules: Vec<_> = metrics
                .iter()
                .enumerate()
                .map(|(n, (metric, (delta, _)))| {
                    serde_json::json!({
                        "method": "GET", "pattern": format!("/{n}$"), "metric": metric, "delta": delta,
                    })
                })
                .collect();
            let world = World::patient().with("mapping_rules", rules.into());
            let limits: Vec<Limit> = metrics
                .iter()
                .flat_map(|(metric, (delta, times))| {
                    [Period::Day, Period::Eternity].map(|period| Limit::new(metric, period, delta * times))
                })
                .collect();
            world.threescale.state().metrics.extend(metrics.keys().cloned());
            world.threescale.add("a", &limits);
            let mut authorizer = world.authorizer();
            let most = metrics.values().map(|(_, times)| *times).max().unwrap_or(0);
            for round in 0..=most {
                for (n, (_, times)) in metrics.values().enumerate() {
                    let decided = decide(&mut authorizer, &rest_event("uk_a", &format!("/{n}")));
                    prop_assert_eq!(decided.outcome.effect == Effect::Allow, round < *times);
                }
            }
            world.report();
            for (metric, (delta, times)) in &metrics {
                prop_assert_eq!(world.threescale.total("a", metric), delta * times);
            }
            prop_assert!(world.threescale.state().lost_batches.is_empty());
            Ok(())
        })
        .unwrap();
}

/// Whatever another server in place of Redis answers, without 3scale only a complete `A` answer allows the request.
#[test]
fn no_answer_of_redis_allows_by_mistake() {
    let answer = Arc::new(Mutex::new(Vec::<u8>::new()));
    let given = Arc::clone(&answer);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let given = Arc::clone(&given);
            std::thread::spawn(move || {
                let mut chunk = [0; 65536];
                while matches!(stream.read(&mut chunk), Ok(1..)) {
                    let bytes = given.lock().unwrap().clone();
                    if stream.write_all(&bytes).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let world = World::new().with("backend", "http://127.0.0.1:1".into());
    world
        .ssm
        .put("cache-endpoint", &format!("redis://{address}"));
    let element = prop_oneof![
        Just("$1\r\nA\r\n".to_owned()),
        Just("$1\r\nM\r\n".to_owned()),
        Just("$1\r\nD\r\n".to_owned()),
        Just("$1\r\nL\r\n".to_owned()),
        Just("$-1\r\n".to_owned()),
        Just("-ERR x\r\n".to_owned()),
        any::<i64>().prop_map(|n| format!(":{n}\r\n")),
        "[ -~]{0,10}".prop_map(|text| format!("${}\r\n{text}\r\n", text.len())),
        "[ -~]{0,10}".prop_map(|text| format!("{text}\r\n")),
    ];
    let allowed = std::cell::Cell::new(0_u32);
    let mut runner = proptest::test_runner::TestRunner::new(no_persistence(250));
    runner
        .run(&(vec(element, 0..6), -1..7_i64), |(elements, length)| {
            let text = format!("*{length}\r\n{}", elements.concat());
            *answer.lock().unwrap() = text.clone().into_bytes();
            let mut authorizer = world.authorizer();
            let decided = decide(&mut authorizer, &rest_event("uk_free", "/"));
            if decided.outcome.effect == Effect::Allow {
                allowed.set(allowed.get() + 1);
                prop_assert!(
                    text.starts_with("*5\r\n$1\r\nA\r\n") || text.starts_with("*6\r\n$1\r\nA\r\n"),
                    "{}",
                    text
                );
            }
            Ok(())
        })
        .unwrap();
    let good = b"*5\r\n$1\r\nA\r\n$3\r\nx\x1fy\r\n:-1\r\n:0\r\n:0\r\n";
    *answer.lock().unwrap() = good.to_vec();
    let decided = decide(&mut world.authorizer(), &rest_event("uk_free", "/"));
    assert_eq!(
        decided.outcome.effect,
        Effect::Allow,
        "a whole answer is one"
    );
}

//! Everything that comes from outside, damaged: nothing panics, and what is read is right. The input consists of valid
//! documents that are cut, combined, and changed, because random bytes rarely get past the first check. `FUZZ_CASES`
//! sets the number of cases of each test.

use authorizer::answer::{self, Effect, Outcome};
use authorizer::credentials;
use authorizer::event::{self, Event, Format};
use authorizer::mapping::Rules;
use authorizer::redis;
use authorizer::runtime::Reply;
use authorizer::settings::{
    CredentialKind, CredentialSource, HttpApiAnswer, LimitStatus, Place, RuleSettings,
};
use authorizer::xml::{self, Document};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::support::gateway::{connection, event as rest_event, http_event, is_authorized};

/// Any bytes as an event: parsed, searched for credentials, mapped, and answered.
fn read_event(data: &[u8]) {
    let base_paths = r#"{"api.example.com":["","prod","a"],"*.example.com":["prod/x"]}"#;
    let base_paths = serde_json::from_str(base_paths).unwrap();
    let Ok(Event::Authorize(request)) = event::parse_with(data, &base_paths) else {
        return;
    };
    let source = |kind, place| CredentialSource {
        kind,
        place,
        name: "key".to_owned(),
        key_name: "app_key".to_owned(),
    };
    for kind in [CredentialKind::UserKey, CredentialKind::AppId] {
        for place in [Place::Header, Place::Query, Place::Basic] {
            let _ = credentials::find(&[source(kind, place)], &request);
        }
    }
    let rule = |pattern: &str| RuleSettings {
        method: "ANY".to_owned(),
        pattern: pattern.to_owned(),
        metric: "hits".to_owned(),
        delta: 1,
        last: false,
    };
    let rules = Rules::new(&[
        rule("/{a}/b.{c}$?d={e}"),
        rule("/a+(b)*"),
        rule(&request.path),
    ]);
    let _ = rules.usage_of(&request);
    for effect in [Effect::Allow, Effect::Deny, Effect::Unauthorized] {
        let reply = answer::write(
            &Outcome {
                effect,
                ..Outcome::deny(&request.path)
            },
            request.format,
            &request.arn,
            HttpApiAnswer::Simple,
            None,
            LimitStatus::Forbidden,
        );
        if let (Format::HttpApi, Reply::Answer(answer)) = (request.format, reply) {
            let answer = serde_json::from_slice(&answer).unwrap();
            assert_eq!(is_authorized(&answer), effect == Effect::Allow);
        }
    }
}

/// Any text as an answer of 3scale: a document that is parsed as authorized contains the word.
fn read_xml(text: &str) {
    if let Some(Document::Status(status)) = xml::parse(text) {
        assert!(!status.authorized || text.contains("true"));
    }
}

/// Any bytes as a reply of Redis: a decoded reply is complete, and fewer bytes would not be enough.
fn read_reply(data: &[u8]) {
    if let Ok(Some((value, used))) = redis::decode(data) {
        assert!(used <= data.len());
        assert_eq!(redis::decode(&data[..used]), Ok(Some((value, used))));
        assert_eq!(redis::decode(&data[..used - 1]), Ok(None));
    }
}

/// Changes the input in one place.
#[derive(Debug, Clone)]
enum Edit {
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Double(Index, Index),
    /// The rest comes from another document.
    Cross(Index, Index, Index),
}

fn edit(words: &'static [&'static str]) -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (
            index(),
            prop_oneof![
                vec(any::<u8>(), 0..8),
                proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            ],
        )
            .prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (index(), index()).prop_map(|(from, to)| Edit::Cut(from, to)),
        (index(), index()).prop_map(|(from, to)| Edit::Double(from, to)),
        (index(), index(), index()).prop_map(|(at, which, from)| Edit::Cross(at, which, from)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, corpus: &[Vec<u8>]) {
    let at = |index: &Index, length: usize| index.index(length + 1);
    match edit {
        Edit::Put(_, _) if bytes.is_empty() => {}
        Edit::Put(index, byte) => {
            let index = index.index(bytes.len());
            bytes[index] = *byte;
        }
        Edit::Insert(index, new) => {
            let index = at(index, bytes.len());
            bytes.splice(index..index, new.iter().copied());
        }
        Edit::Cut(from, to) => {
            let (from, to) = (at(from, bytes.len()), at(to, bytes.len()));
            bytes.drain(from.min(to)..from.max(to));
        }
        Edit::Double(from, to) => {
            let (from, to) = (at(from, bytes.len()), at(to, bytes.len()));
            // Limits the growth.
            if bytes.len() < 1 << 16 {
                bytes.extend_from_within(from.min(to)..from.max(to));
            }
        }
        Edit::Cross(index, which, from) => {
            let other = which.get(corpus);
            let from = at(from, other.len());
            bytes.truncate(at(index, bytes.len()));
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn run(corpus: &[Vec<u8>], words: &'static [&'static str], body: impl Fn(&[u8])) {
    let cases = std::env::var("FUZZ_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(10_000);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (any::<Index>(), vec(edit(words), 0..8));
    runner
        .run(&strategy, |(which, edits)| {
            let mut bytes = which.get(corpus).clone();
            for edit in &edits {
                apply(&mut bytes, edit, corpus);
            }
            body(&bytes);
            Ok(())
        })
        .unwrap();
}

fn corpus(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn any_event() {
    let rest = rest_event("uk_free", "/orders/1");
    let mut of_http = http_event(
        serde_json::json!({"key": "a,b", "authorization": "Basic dTpw,Bearer k"}),
        "/prod/x/y z?/%61/",
        "key=a&key=b",
    );
    let custom = of_http.to_string().replace(
        "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "api.example.com",
    );
    of_http["routeKey"] = "GET /x/{id}/{proxy+}".into();
    of_http["pathParameters"] = serde_json::json!({"id": "y z?", "proxy": "%61/"});
    let of_route = of_http.to_string();
    let of_socket = connection(&[("key", &["a", "b"])]).to_string();
    let corpus = corpus(&[
        &rest,
        &custom,
        &of_route,
        &of_socket,
        r#"{"type":"TOKEN","authorizationToken":"Bearer k","methodArn":"arn:aws:execute-api:r:1:a/prod/GET/a/b"}"#,
        r#"{"version":"2.0","type":"REQUEST","routeArn":"arn","rawPath":"/prod/a%20","rawQueryString":"a=%zz&b&key=1","headers":{"key":"b","authorization":"Basic dTpw"},"requestContext":{"stage":"prod","http":{"method":"GET","path":"/a"}}}"#,
        r#"{"version":"0","detail-type":"Scheduled Event","source":"aws.events"}"#,
        r#"{"threescale-gw":"self-test"}"#,
        r#"{"type":"REQUEST","methodArn":"a","httpMethod":"GET","path":"/\u00e9/..//%2e%2e/{}","multiValueHeaders":{"KEY":["a",null,"b"],"Authorization":["Basic ???"]},"multiValueQueryStringParameters":{"key":["",""]}}"#,
    ]);
    run(
        &corpus,
        &[
            "null", "{}", "[]", "\"\"", "\\u0000", "\\ud800", "\"key\":", "/../", "%", "Basic ",
            "é", "1e999", ",", "?", "#", "%2F", "$default", "CONNECT", "{proxy+}",
        ],
        read_event,
    );
}

#[test]
fn any_xml() {
    let corpus = corpus(&[
        r#"<?xml version="1.0" encoding="UTF-8"?><status><authorized>true</authorized><plan>a &amp; b</plan><usage_reports><usage_report metric="hits" period="day" exceeded="true"><period_start>2026-11-22 00:00:00 +0000</period_start><period_end>2026-11-23 00:00:00 +0000</period_end><max_value>1</max_value><current_value>2</current_value></usage_report></usage_reports><app_keys app="i" svc="1"><key id="k"/></app_keys><hierarchy><metric name="hits" children="a b"/></hierarchy></status>"#,
        r#"<?xml version="1.0" encoding="UTF-8"?><status><authorized>false</authorized><reason>application key "<b>&" is invalid</reason><plan>Free</plan></status>"#,
        r#"<?xml version="1.0" encoding="UTF-8"?><error code="user_key_invalid">user key "x" is invalid</error>"#,
    ]);
    run(
        &corpus,
        &[
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<!DOCTYPE x [",
            "&#0;",
            "&#x110000;",
            "&lol;",
            "</status>",
            "<status>",
            "<authorized>true</authorized>",
            "99999999999999999999",
            "-1",
            "eternity",
        ],
        |bytes| read_xml(&String::from_utf8_lossy(bytes)),
    );
}

#[test]
fn any_answer_of_redis() {
    let corpus = corpus(&[
        "*5\r\n$1\r\nA\r\n$3\r\nx\u{1f}y\r\n:-1\r\n:0\r\n:0\r\n",
        "*3\r\n$-1\r\n*-1\r\n*1\r\n*1\r\n:1\r\n",
        "-ERR Error running script\r\n",
        "+OK\r\n",
        "$4\r\n\r\n\r\n\r\n",
    ]);
    run(
        &corpus,
        &[
            "\r\n",
            "$",
            "*",
            ":",
            "-",
            "+",
            "*1\r\n",
            "$99999999999\r\n",
            "*99999999\r\n",
            "-1\r\n",
        ],
        read_reply,
    );
}

//! Requests as API Gateway delivers them, through the real binary: where the credential is, which requests are refused
//! without a call, and what is logged about them.

use std::collections::BTreeSet;

use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::gateway::{ARN, World, arn, event};
use crate::support::runtime_api::{Answer, Process};

fn world() -> World {
    World::with_clock(Clock::default())
}

/// The reason of the decision, or the function's error.
fn reason(process: &Process, event: &Value) -> String {
    match process.api.invoke(&event.to_string()) {
        Answer::Result(answer) => {
            let reason = answer["context"]["reason"].as_str().unwrap().to_owned();
            let allowed = answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
                || answer["isAuthorized"] == true;
            assert_eq!(allowed, reason == "authorized", "{answer}");
            reason
        }
        Answer::Error(error) => error["errorMessage"].as_str().unwrap().to_owned(),
    }
}

fn rest(headers: Value, query: Value) -> Value {
    json!({
        "type": "REQUEST", "methodArn": ARN, "httpMethod": "GET", "path": "/", "resource": "/",
        "headers": null, "multiValueHeaders": headers,
        "queryStringParameters": null, "multiValueQueryStringParameters": query,
        "requestContext": { "stage": "prod" },
    })
}

fn http_api(headers: Value, query: &str) -> Value {
    json!({
        "version": "2.0", "type": "REQUEST", "routeArn": ARN, "rawPath": "/prod/", "rawQueryString": query,
        "headers": headers, "requestContext": { "stage": "prod", "http": { "method": "GET", "path": "/prod/" } },
    })
}

/// The `Basic` header for "u:p" and similar, as a client sends it.
fn basic(text: &str) -> String {
    use base64::Engine as _;
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(text)
    )
}

const NONE: &str = "Unauthorized";

#[test]
fn user_keys_wherever_they_stand() {
    let mut world = world();
    let key = "a+b c/é&=%41";
    world.threescale.state().applications[0].user_key = key.to_owned();
    world.settings["credentials"] = json!([
        { "kind": "user_key", "in": "header", "name": "x-api_key" },
        { "kind": "user_key", "in": "query", "name": "user_key" },
        { "kind": "user_key", "in": "basic" },
    ]);
    let process = world.process("authorizer", &[]);
    let none = || json!({});
    let query = |values: &[&str]| json!({ "user_key": values });
    for (event, wanted) in [
        // Any case of the name, and `-` for `_`.
        (rest(json!({ "X-Api-Key": [key] }), none()), "authorized"),
        (rest(json!({ "x-api_key": [key] }), none()), "authorized"),
        (rest(json!({ "X_API_KEY": [key] }), none()), "authorized"),
        // The last one of several is used, and an empty one counts as absent.
        (
            rest(json!({ "x-api-key": ["bad", key] }), none()),
            "authorized",
        ),
        (
            rest(json!({ "x-api-key": [key, "bad"] }), none()),
            "user_key_invalid",
        ),
        (
            rest(json!({ "x-api-key": [key, " "] }), none()),
            "authorized",
        ),
        // REST APIs decode the query, and do not change headers.
        (rest(none(), query(&[key])), "authorized"),
        (rest(none(), query(&["bad", key])), "authorized"),
        (rest(none(), json!({ "USER_KEY": [key] })), NONE),
        // The first place that contains one is used.
        (
            rest(json!({ "x-api-key": ["bad"] }), query(&[key])),
            "user_key_invalid",
        ),
        (
            rest(json!({ "x-api-key": [""] }), query(&[key])),
            "authorized",
        ),
        // Basic: the user, otherwise the password; and Bearer.
        (
            rest(
                json!({ "Authorization": [basic(&format!("{key}:"))] }),
                none(),
            ),
            "authorized",
        ),
        (
            rest(
                json!({ "authorization": [basic(&format!(":{key}"))] }),
                none(),
            ),
            "authorized",
        ),
        (
            rest(
                json!({ "AUTHORIZATION": [format!("Bearer {key}")] }),
                none(),
            ),
            "authorized",
        ),
        (
            rest(
                json!({ "Authorization": [format!("bearer {key}")] }),
                none(),
            ),
            "authorized",
        ),
        (rest(json!({ "Authorization": ["Digest x"] }), none()), NONE),
        (
            rest(json!({ "Authorization": ["Basic ???"] }), none()),
            "credential_unusable",
        ),
        // HTTP APIs join headers with commas and do not change the query.
        (http_api(json!({ "x-api_key": key }), ""), "authorized"),
        (
            http_api(none(), "user_key=a%2Bb+c%2F%C3%A9%26%3D%2541&x"),
            "authorized",
        ),
        (
            http_api(none(), "user_key=bad&user_key=a%2Bb%20c/%c3%a9%26%3D%2541"),
            "authorized",
        ),
        (rest(none(), none()), NONE),
        (http_api(none(), ""), "credential_missing"),
        // The token of the event; API Gateway knows its place.
        (
            json!({ "type": "TOKEN", "authorizationToken": key, "methodArn": ARN }),
            "authorized",
        ),
        (
            json!({ "type": "TOKEN", "authorizationToken": basic(&format!("{key}:")), "methodArn": ARN }),
            "authorized",
        ),
        (
            json!({ "type": "TOKEN", "authorizationToken": " ", "methodArn": ARN }),
            NONE,
        ),
    ] {
        assert_eq!(reason(&process, &event), wanted, "{event}");
    }
}

#[test]
fn application_ids_and_keys_wherever_they_stand() {
    let mut world = world();
    {
        let mut state = world.threescale.state();
        state.mode = threescale_stand_in::Mode::AppId;
        state.applications[0].keys = vec!["k:1&".to_owned()];
        state.applications[0].id = "a:b".to_owned();
    }
    world.settings["credentials"] = json!([
        { "kind": "app_id", "in": "header", "name": "app-id", "key_name": "app-key" },
        { "kind": "app_id", "in": "query", "name": "id", "key_name": "key" },
        { "kind": "app_id", "in": "basic" },
    ]);
    let process = world.process("authorizer", &[]);
    let none = || json!({});
    for (event, wanted) in [
        (
            rest(json!({ "App-Id": ["a:b"], "APP-KEY": ["k:1&"] }), none()),
            "authorized",
        ),
        (
            rest(json!({ "App-Id": ["a:b"] }), none()),
            "application_key_invalid",
        ),
        (
            rest(json!({ "App-Id": ["a:b"], "App-Key": ["k2"] }), none()),
            "application_key_invalid",
        ),
        (
            rest(json!({ "App-Id": ["b"], "App-Key": ["k:1&"] }), none()),
            "application_not_found",
        ),
        (rest(json!({ "App-Key": ["k:1&"] }), none()), NONE),
        (
            rest(none(), json!({ "id": ["a:b"], "key": ["k:1&"] })),
            "authorized",
        ),
        (http_api(none(), "id=a%3Ab&key=k:1%26"), "authorized"),
        // Split at the last colon, as in APIcast, so the key must not contain one.
        (
            rest(json!({ "Authorization": [basic("a:b:k:1&")] }), none()),
            "application_not_found",
        ),
        (
            rest(json!({ "Authorization": ["Bearer a:b"] }), none()),
            "application_key_invalid",
        ),
    ] {
        assert_eq!(reason(&process, &event), wanted, "{event}");
    }
    world.threescale.state().applications[0].keys = vec!["k3".to_owned()];
    let event = rest(json!({ "Authorization": [basic("a:b:k3")] }), none());
    assert_eq!(reason(&process, &event), "authorized");
}

/// A path as API Gateway delivers it to a REST API: as it was sent, with the base path of a custom domain.
fn routed(path: &str, resource: &str, parameters: Value, below: &str) -> Value {
    json!({
        "type": "REQUEST", "methodArn": arn(below), "httpMethod": "GET", "path": path, "resource": resource,
        "pathParameters": parameters, "headers": { "apikey": "uk_free" }, "queryStringParameters": null,
        "requestContext": { "stage": "prod", "path": path, "resourcePath": resource },
    })
}

/// The mapping rules are about the path below the root of the API, decoded once.
#[test]
fn the_path_that_api_gateway_routed_is_counted() {
    let world = world().with(
        "mapping_rules",
        json!([
            { "method": "GET", "pattern": "/", "metric": "hits" },
            { "method": "GET", "pattern": "/orders/{id}$", "metric": "orders" },
            { "method": "GET", "pattern": "/products$", "metric": "products" },
            { "method": "GET", "pattern": "/a%61$", "metric": "bytes" },
            { "method": "GET", "pattern": "/a%2561$", "metric": "bytes", "delta": 1000 },
        ]),
    );
    let process = world.process("authorizer", &[]);
    let token = |path: &str| json!({ "type": "TOKEN", "authorizationToken": "uk_free", "methodArn": arn(path) });
    let http = |raw: &str, key: &str, domain: &str| {
        json!({
            "version": "2.0", "type": "REQUEST", "routeKey": key, "routeArn": arn(raw), "rawPath": raw,
            "rawQueryString": "", "headers": { "apikey": "uk_free" },
            "requestContext": {
                "stage": "prod", "apiId": "a1b2c3d4e5", "domainName": domain, "http": { "method": "GET", "path": raw },
            },
        })
    };
    let none = || Value::Null;
    let (own, custom) = (
        "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "api.example.com",
    );
    let orders = "hits=1,orders=1";
    for (event, wanted) in [
        (
            routed(
                "/orders/1",
                "/orders/{id}",
                json!({ "id": "1" }),
                "/orders/1",
            ),
            orders,
        ),
        (
            routed(
                "/shop/orders/1",
                "/orders/{id}",
                json!({ "id": "1" }),
                "/orders/1",
            ),
            orders,
        ),
        (
            routed("/a/b/orders/1", "/orders/{id}", none(), "/orders/1"),
            orders,
        ),
        (
            routed(
                "/shop/orders/1",
                "/{proxy+}",
                json!({ "proxy": "orders/1" }),
                "/orders/1",
            ),
            orders,
        ),
        (
            routed("/shop/orders/1", "/{proxy+}", none(), "/orders/1"),
            orders,
        ),
        (
            routed(
                "/shop/orders/1/",
                "/orders/{id}",
                json!({ "id": "1" }),
                "/orders/1/",
            ),
            orders,
        ),
        (
            routed("/shop/products/", "/products", none(), "/products/"),
            "hits=1,products=1",
        ),
        (
            routed(
                "/shop/products",
                "/{a}",
                json!({ "a": "products" }),
                "/products",
            ),
            "hits=1,products=1",
        ),
        // The API's own first resource equals the base path.
        (
            routed(
                "/orders/orders/1",
                "/orders/{id}",
                json!({ "id": "1" }),
                "/orders/1",
            ),
            orders,
        ),
        (
            routed(
                "/orders/1/orders/1",
                "/{proxy+}",
                json!({ "proxy": "1/orders/1" }),
                "/1/orders/1",
            ),
            "hits=1",
        ),
        (routed("/orders/1", "/", none(), "/"), "hits=1"),
        // Decoded once.
        (routed("/%61%61", "/{a}", none(), "/%61%61"), "hits=1"),
        (
            routed("/a%2561", "/{a}", none(), "/a%2561"),
            "hits=1,bytes=1000",
        ),
        (token("/orders/1"), orders),
        (token("/products/"), "hits=1,products=1"),
        (token("/a%2561"), "hits=1,bytes=1000"),
        (http("/prod/orders/1", "GET /orders/{id}", own), orders),
        (http("/prod/a%61", "GET /{a}", own), "hits=1,bytes=1000"),
        (
            http("/prod/orders/1", "GET /prod/{a}/{b}", custom),
            "hits=1",
        ),
        (http("/orders/1", "GET /orders/{id}", custom), orders),
        (http("/shop/orders/1", "GET /orders/{id}", custom), orders),
        // The same, however it is read.
        (
            routed("/orders/a%20b", "/orders/{id}", none(), "/orders/a%20b"),
            orders,
        ),
        (routed("/x%2Fy", "/{a}", none(), "/x%2Fy"), "hits=1"),
    ] {
        let Answer::Result(answer) = process.api.invoke(&event.to_string()) else {
            panic!("{event}");
        };
        assert_eq!(answer["context"]["metric"], wanted, "{event}: {answer}");
    }
    for event in [
        routed("/x/../orders/1", "/{proxy+}", none(), "/x/../orders/1"),
        routed(
            "/x/..%2Forders%2f1",
            "/{proxy+}",
            none(),
            "/x/..%2Forders%2f1",
        ),
        routed(
            "/shop/orders/1%2F2",
            "/orders/{id}",
            none(),
            "/orders/1%2F2",
        ),
        routed("/orders/%2e%2E", "/orders/{id}", none(), "/orders/%2e%2E"),
        token("/x/%2e%2e/products"),
        http("/prod/x/../products", "GET /{proxy+}", own),
    ] {
        let Answer::Result(answer) = process.api.invoke(&event.to_string()) else {
            panic!("{event}");
        };
        assert_eq!(
            answer["context"]["reason"], "path_ambiguous",
            "{event}: {answer}"
        );
    }
}

/// Neither 3scale nor Redis is called about a value that cannot be a credential, or a request that no rule matches.
#[test]
fn refused_without_a_call() {
    let world = world().with(
        "mapping_rules",
        json!([{ "method": "GET", "pattern": "/orders", "metric": "hits" }]),
    );
    let process = world.process("authorizer", &[]);
    let long = "x".repeat(513);
    assert_eq!(
        reason(&process, &http_api(json!({ "apikey": &long[1..] }), "")),
        "no_mapping_rule"
    );
    world.redis.ask("CONFIG RESETSTAT");
    for key in ["", " ", "\t"] {
        assert_eq!(
            reason(&process, &rest(json!({ "apikey": [key] }), json!({}))),
            NONE
        );
    }
    let refused: Value = serde_json::from_str(&event(&long, "/orders")).unwrap();
    assert_eq!(reason(&process, &refused), "credential_unusable");
    let unmatched: Value = serde_json::from_str(&event("uk_free", "/other")).unwrap();
    let Answer::Result(answer) = process.api.invoke(&unmatched.to_string()) else {
        panic!("an error");
    };
    assert_eq!(answer["context"]["message"], "No Mapping Rule matched");
    assert_eq!(answer["context"]["reason"], "no_mapping_rule");
    assert_eq!(
        world.threescale.calls("authorize") + world.threescale.calls("authrep"),
        0
    );
    let scripts = world.redis.ask("INFO commandstats");
    assert!(!scripts.contains("eval"), "{scripts}");
}

fn lines(process: Process) -> Vec<Value> {
    process
        .output()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// One line for each refusal, a sample of the allowed requests, and no credential in any of them.
#[test]
fn decisions_are_written_down() {
    let world = world();
    let key = "uk-a-long-and-secret-credential-1";
    world.threescale.state().applications[0].user_key = key.to_owned();
    let process = world.process("authorizer", &[("THREESCALE_GW_LOG_ALLOWED", "3")]);
    for _ in 0..7 {
        process.api.invoke(&event(key, "/orders"));
    }
    process
        .api
        .invoke(&event("nobody-has-this-secret-credential-2", "/orders"));
    process.api.invoke(&event("short-secret", "/orders"));
    process.api.invoke(&event("", "/orders"));
    let lines = lines(process);
    let text = serde_json::to_string(&lines).unwrap();
    for secret in ["secret", "st_1001", "000102", "session-token"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let decisions: Vec<&Value> = lines
        .iter()
        .filter(|line| line["event"] == "decision")
        .collect();
    let shown: Vec<(bool, &str, &str)> = decisions
        .iter()
        .map(|line| {
            (
                line["allowed"].as_bool().unwrap(),
                line["reason"].as_str().unwrap(),
                line["credential"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (true, "authorized", "***al-1"),
            (true, "authorized", "***al-1"),
            (false, "user_key_invalid", "***al-2"),
            (false, "user_key_invalid", "***"),
            (false, "credential_missing", ""),
        ]
    );
    for line in decisions {
        assert!(line["us"].is_u64() && line["method"] == "GET", "{line}");
        assert!(line["request"].as_str().unwrap().starts_with("request-"));
        assert_eq!(line["gateway_request"], "gateway-1");
    }
}

/// The format of CloudWatch metrics: every metric and dimension that is named is in the line, metrics as numbers and
/// dimensions as strings.
fn metrics(lines: &[Value]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for line in lines.iter().filter(|line| line.get("_aws").is_some()) {
        assert!(line["_aws"]["Timestamp"].as_i64() > Some(1_500_000_000_000));
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "ThreescaleGateway");
            for dimension in directive["Dimensions"][0].as_array().unwrap() {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{line}");
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                assert!(metric["Unit"].is_string());
                let value = &line[name];
                let numbers = value.as_array().map_or(value.is_number(), |values| {
                    values.len() <= 100 && values.iter().all(Value::is_number)
                });
                assert!(numbers, "{name} in {line}");
                let reason = line["Reason"].as_str();
                let name = reason.map_or(name.to_owned(), |reason| format!("{name} {reason}"));
                all.push((name, value.clone()));
            }
        }
    }
    all
}

#[test]
fn metrics_for_cloudwatch() {
    let world = world();
    let of = |events: &[&str], role: &str| {
        let process = world.process(role, &[("THREESCALE_GW_METRICS", "all")]);
        for event in events {
            process.api.invoke(event);
        }
        metrics(&lines(process))
    };
    let names = |metrics: &[(String, Value)]| {
        metrics
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<BTreeSet<String>>()
    };
    let request = event("uk_free", "/");
    // The metrics of the first event of a process are written at once, later ones every ten seconds.
    let miss = of(&[&request], "authorizer");
    assert_eq!(
        names(&miss),
        [
            "BackendCalls",
            "BackendLatency",
            "CacheMisses",
            "Decisions authorized",
            "RedisLatency"
        ]
        .map(str::to_owned)
        .into()
    );
    let hit = of(&[&request], "authorizer");
    assert_eq!(
        names(&hit),
        ["CacheHits", "Decisions authorized", "RedisLatency"]
            .map(str::to_owned)
            .into()
    );
    assert_eq!(
        hit.iter().find(|(name, _)| name == "CacheHits").unwrap().1,
        1.0
    );
    let report = of(&[r#"{"source":"aws.events"}"#], "reporter");
    let value = |name: &str| {
        report
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    assert_eq!(value("UsageDelivered"), Some(&json!(2.0)));
    for zero in [
        "UsageUndeliverable",
        "LostUsage",
        "ReportsInDoubt",
        "ReportsApart",
    ] {
        assert_eq!(value(zero), Some(&json!(0.0)), "{zero}");
    }
    assert!(value("ReportLag").unwrap()[0].as_f64() >= Some(0.0));
}

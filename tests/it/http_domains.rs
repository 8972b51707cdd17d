//! Custom domain names of HTTP APIs: the base paths that the authorizer must know.

use serde_json::{Value, json};

use crate::preflight::assert_mentions;
use crate::support::rest_api::API;
use crate::support::{TestAws, Workplace};

const DOMAIN: &str = "api.example.com";

/// An HTTP API with these routes, its id, and a folder for a stack on it.
fn stand(routes: &[&str]) -> (TestAws, String, Workplace) {
    let aws = TestAws::start();
    let routes = routes.iter().map(|key| json!({ "key": key }));
    let routes: Vec<_> = routes.collect();
    let api = json!({"protocol": "HTTP", "name": "orders-api", "routes": routes});
    let seeded = aws.post("seed", &json!({ "api": api }));
    let id = seeded["api_id"].as_str().expect("an id").to_owned();
    let here = Workplace::new(&aws);
    here.edit(
        API,
        "api: {name: orders-api, stage: prod}\nnetwork: none\ncache: memory",
    );
    (aws, id, here)
}

fn domain(aws: &TestAws, name: &str) {
    aws.call(
        "apigatewayv2",
        "CreateDomainName",
        json!({"DomainName": name}),
    );
}

fn map(aws: &TestAws, name: &str, key: &str, id: &str) -> String {
    let mapping = json!({"DomainName": name, "ApiMappingKey": key, "ApiId": id, "Stage": "prod"});
    let made = aws.call("apigatewayv2", "CreateApiMapping", mapping);
    made["ApiMappingId"].as_str().expect("an id").to_owned()
}

/// What a function knows of base paths.
fn known(aws: &TestAws, name: &str) -> Value {
    let function = format!("threescale-gw-orders-{name}");
    let found = aws.call(
        "lambda",
        "GetFunctionConfiguration",
        json!({"FunctionName": function}),
    );
    let known = &found["Environment"]["Variables"]["THREESCALE_GW_BASE_PATHS"];
    match known.as_str() {
        Some(text) => serde_json::from_str(text).expect("JSON"),
        None => Value::Null,
    }
}

#[test]
fn the_authorizer_of_an_http_api_with_default_knows_its_base_paths() {
    let (aws, id, here) = stand(&["$default", "GET /orders/{id}"]);
    domain(&aws, DOMAIN);
    let first = map(&aws, DOMAIN, "shop/v1", &id);
    domain(&aws, "root.example.com");
    map(&aws, "root.example.com", "", &id);
    here.succeed(&["up", "--yes", "--no-verify"]);
    assert_eq!(known(&aws, "authorizer"), json!({DOMAIN: ["shop/v1"]}));
    assert_eq!(known(&aws, "reporter"), Value::Null);
    aws.check_log();

    // Another mapping is a change of the function.
    map(&aws, DOMAIN, "", &id);
    let gone = json!({"DomainName": DOMAIN, "ApiMappingId": first});
    aws.call("apigatewayv2", "DeleteApiMapping", gone);
    map(&aws, DOMAIN, "shop/v2", &id);
    let plan = here.succeed(&["plan"]);
    assert_mentions(
        &plan,
        0,
        &[
            "base paths",
            r#"{"api.example.com":["shop/v1"]}"#,
            r#"{"api.example.com":["","shop/v2"]}"#,
        ],
    );
    here.succeed(&["up", "--yes", "--no-verify"]);
    assert_eq!(known(&aws, "authorizer"), json!({DOMAIN: ["", "shop/v2"]}));

    // Nothing depends on the right to read them.
    aws.post(
        "faults",
        &json!([{"operation": "GetDomainNames", "kind": "deny"}]),
    );
    let plan = here.succeed(&["plan"]);
    assert_mentions(
        &plan,
        0,
        &["the base paths of custom domain names could not be read"],
    );
    aws.post("faults", &json!([]));
    here.succeed(&["down", "--yes"]);
}

#[test]
fn without_default_the_domain_names_are_not_read() {
    let (aws, id, here) = stand(&["ANY /orders/{proxy+}"]);
    domain(&aws, DOMAIN);
    map(&aws, DOMAIN, "shop", &id);
    here.succeed(&["plan"]);
    let log = aws.log();
    let mut asked = log.iter().map(|entry| &entry["operation"]);
    assert!(!asked.any(|operation| operation == "GetDomainNames"));
}

//! `status` says first what matters: the verdict, when the API was verified, what the stack costs, and which ways lead past
//! the authorizer.

use serde_json::{Value, json};

use crate::support::rest_api::{account, add_stage, assert_mentions, change, publish, workplace};
use crate::support::{TestAws, Workplace};

const HERE: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;

/// A stack on the stage prod of an API that has a stage dev, too.
fn stand() -> (TestAws, String, Workplace) {
    let (aws, id) = account();
    add_stage(&aws, &id);
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    (aws, id, here)
}

fn domain(aws: &TestAws, name: &str, mappings: &[(&str, &str, &str)]) {
    let parameters = json!({"domainName": name});
    aws.call("apigateway", "CreateDomainName", parameters);
    for (base_path, id, stage) in mappings {
        let mut mapping = json!({"domainName": name, "restApiId": id, "basePath": base_path});
        if !stage.is_empty() {
            mapping["stage"] = json!(stage);
        }
        aws.call("apigateway", "CreateBasePathMapping", mapping);
    }
}

#[test]
fn status_names_the_ways_past_the_authorizer() {
    let (aws, id, here) = stand();
    let dev = format!("{}/_aws/execute-api/{id}/dev/", aws.url());
    let doors = || here.succeed(&["status", "-o", "json"]).json()["api"]["doors"].clone();
    let methods = [
        "ANY /files/{proxy+}",
        "GET /orders",
        "POST /orders",
        "GET /orders/{id}",
    ];
    let stage = json!({"kind": "stage", "stage": "dev", "methods": methods, "url": dev});
    assert_eq!(doors(), json!([stage]));
    domain(
        &aws,
        "api.example.com",
        &[("v1", &id, "dev"), ("v2", &id, "prod"), ("all", &id, "")],
    );
    let mapping = |base_path: &str| json!({"kind": "domain", "domain": "api.example.com", "base_path": base_path, "stage": "dev"});
    let mut found = doors();
    let found = found.as_array_mut().expect("a list");
    found.sort_by_key(ToString::to_string);
    assert_eq!(
        json!(found),
        json!([mapping("all/dev"), mapping("v1"), stage])
    );
    let status = here.succeed(&["status", "--exit-code"]);
    assert_mentions(
        &status,
        &[
            "\nhealthy, but 3 ways past the authorizer\n",
            &format!("door stage dev serves 4 protected methods without authorization, at {dev}: "),
            "POST /orders, and 1 more\n",
            "door https://api.example.com/v1 leads to stage dev\n",
        ],
    );
    // Without a configuration, they are the same.
    let alone = [
        "status",
        "-o",
        "json",
        "--stack",
        "orders",
        "-f",
        "none.yaml",
    ];
    let alone = here.succeed(&alone).json();
    assert_eq!(alone["api"]["doors"].as_array().map(Vec::len), Some(3));

    let denied = json!([{"operation": "GetDomainNames", "kind": "deny"}]);
    aws.post("faults", &denied);
    let status = here.succeed(&["status"]);
    assert_mentions(
        &status,
        &["whether a custom domain name leads to a stage without"],
    );
    aws.post("faults", &json!([]));

    // A stage that serves the protected methods is no door, and a method that others open is one.
    publish(&aws, &id, "dev");
    assert_eq!(doors(), json!([]));
    change(
        &aws,
        &id,
        "GET",
        "/orders",
        &[("/authorizationType", "NONE")],
    );
    publish(&aws, &id, "prod");
    let opened = json!({"kind": "method", "method": "GET /orders", "stage": "prod"});
    assert_eq!(doors(), json!([opened]));
    let status = here.succeed(&["status"]);
    assert_mentions(
        &status,
        &["door GET /orders was opened in stage prod by others\n"],
    );
    // What others have deployed is not what was verified.
    assert!(!status.stdout.contains("verified at"), "{}", status.stdout);
    assert!(aws.changes().is_empty());
}

#[test]
fn mappings_with_several_segments_and_routing_rules_are_ways_past_the_authorizer() {
    let (aws, id, here) = stand();
    let call = |operation: &str, parameters: Value| aws.call("apigatewayv2", operation, parameters);
    let create = |name: &str, mode: &str| {
        let domain = json!({"DomainName": name, "RoutingMode": mode});
        call("CreateDomainName", domain);
        let mapping =
            json!({"DomainName": name, "ApiMappingKey": "shop/v1", "ApiId": id, "Stage": "dev"});
        call("CreateApiMapping", mapping);
        let invoke = json!({"InvokeApi": {"ApiId": id, "Stage": "dev", "StripBasePath": true}});
        let paths = json!({"MatchBasePaths": {"AnyOf": ["rule"]}});
        let rule =
            json!({"DomainName": name, "Priority": 1, "Conditions": [paths], "Actions": [invoke]});
        call("CreateRoutingRule", rule);
    };
    create("m.example.com", "API_MAPPING_ONLY");
    create("r.example.com", "ROUTING_RULE_ONLY");
    create("b.example.com", "ROUTING_RULE_THEN_API_MAPPING");
    let status = here.succeed(&["status"]).stdout;
    let doors = status.lines().filter(|line| line.starts_with("door https"));
    let mut doors: Vec<_> = doors.collect();
    doors.sort_unstable();
    assert_eq!(
        doors,
        [
            "door https://b.example.com/rule leads to stage dev",
            "door https://b.example.com/shop/v1 leads to stage dev",
            "door https://m.example.com/shop/v1 leads to stage dev",
            "door https://r.example.com/rule leads to stage dev",
        ]
    );
    let denied = json!([{"operation": "ListRoutingRules", "kind": "deny"}]);
    aws.post("faults", &denied);
    let status = here.succeed(&["status"]);
    assert_mentions(
        &status,
        &["the routing rules of the custom domain name r.example.com could not be read"],
    );
}

#[test]
fn status_says_the_verdict_first_and_the_rest_with_all() {
    let (aws, _, here) = stand();
    let version = env!("CARGO_PKG_VERSION");
    let status = here.succeed(&["status"]).stdout;
    let lines: Vec<_> = status.lines().collect();
    assert_eq!(lines[1], "healthy, but 1 way past the authorizer");
    assert!(lines[2].starts_with("verified at 20"), "{status}");
    assert!(
        lines[2].ends_with(&format!(" UTC by version {version}")),
        "{status}"
    );
    assert_eq!(
        lines[3],
        "costs about $48.51 a month when idle (us-east-1, August 2026)"
    );
    for line in [
        "all 30 resources are healthy",
        "4 methods are protected",
        "guarded   GET     /internal  by AWS_IAM",
        "the authorizer passes its self-test",
    ] {
        assert!(lines.contains(&line), "{line}: {status}");
    }
    let all = here.succeed(&["status", "--all"]);
    assert_mentions(
        &all,
        &[
            "healthy   vpc/main",
            "protected GET     /orders\n",
            "ok      redis",
        ],
    );
    let document = here.succeed(&["status", "-o", "json"]).json();
    let api = &document["api"];
    assert_eq!(
        (&api["verified"], &api["verified_by"]),
        (&json!(true), &json!(version))
    );
    assert!(
        api["verified_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z')),
        "{api}"
    );
    let cost = ["cost_per_month", "cost_is_complete"].map(|key| document[key].clone());
    assert_eq!(cost, [json!(48.51), json!(true)]);

    let function = json!({"FunctionName": "threescale-gw-orders-authorizer", "Timeout": 29});
    aws.call("lambda", "UpdateFunctionConfiguration", function);
    let group = json!({"logGroupName": "/aws/lambda/threescale-gw-orders-reporter"});
    aws.call("logs", "DeleteLogGroup", group);
    let status = here.succeed(&["status"]).stdout;
    assert_eq!(
        status.lines().nth(1),
        Some("unhealthy: run `threescale-gw up` to repair")
    );
    let lock = json!({"Name": "/threescale-gw/orders/lock", "Value": "by hand", "Type": "String"});
    aws.call("ssm", "PutParameter", lock);
    let status = here.succeed(&["status"]).stdout;
    let lines: Vec<_> = status.lines().collect();
    let running = "unhealthy: a run is in progress, or was interrupted (see the lock)";
    assert_eq!(lines[1], running);
    assert!(
        status.contains("note locked by an unknown holder"),
        "{status}"
    );
    assert!(status.contains("missing   log-group/reporter"), "{status}");
    assert!(!status.contains("vpc/main"), "{status}");
    assert_eq!(document["lock"], Value::Null);
}

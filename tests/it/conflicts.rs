//! API Gateway refuses a write while another user writes to the same API: the call is sent again, unless what it changes is
//! not as it was.

use serde_json::{Value, json};

use crate::support::http_api::{self, rich};
use crate::support::rest_api::{self, change, draft, resource_id};
use crate::support::{Run, TestAws, eventually};

const BOTH: &str =
    r#"api: {name: orders-api, stage: prod, protect: ["GET /orders", "GET /orders/{id}"]}"#;

/// The resources of the methods that a run has changed.
fn changed(aws: &TestAws) -> Vec<Value> {
    let log = aws.log().into_iter();
    let calls = log.filter(|call| call["operation"] == "UpdateMethod");
    calls
        .map(|call| call["parameters"]["resourceId"].clone())
        .collect()
}

/// What another user sets on a method while the program changes the others is recorded, and `down` restores it.
#[test]
fn a_method_that_others_change_meanwhile_is_not_overwritten_unseen() {
    let (aws, id) = rest_api::account();
    let paths = ["/orders", "/orders/{id}"];
    // The first method is protected, and the call for the second one is refused once.
    let rules = json!([
        {"operation": "UpdateMethod", "nth": 1, "kind": "hold"},
        {"operation": "UpdateMethod", "nth": 2, "kind": "conflict"},
    ]);
    aws.post("faults", &rules);
    let here = rest_api::workplace(&aws, BOTH);
    let child = here.start(&["up", "--yes"]);
    eventually("the held call", || {
        (!aws.get("held?timeout=1")["held"].is_null()).then_some(())
    });
    let first = changed(&aws);
    let is_first = |path: &&str| first.contains(&json!(resource_id(&aws.account(), &id, path)));
    let second = paths.iter().find(|path| !is_first(path));
    let second = *second.expect("another method");
    let iam = [("/authorizationType", "AWS_IAM")];
    change(&aws, &id, "GET", second, &iam);
    aws.post("release", &json!({}));
    let up = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    for path in paths {
        let label = format!("GET {path}");
        assert_eq!(draft(&aws.account(), &id)[&label], rest_api::ours());
    }
    here.succeed(&["down", "--yes"]);
    let restored = draft(&aws.account(), &id);
    for path in paths {
        let wanted = if path == second { "AWS_IAM" } else { "NONE" };
        assert_eq!(restored[&format!("GET {path}")], wanted);
    }
}

/// `rollback` is for incidents: it does not end because another user writes to the API at the moment.
#[test]
fn a_rollback_waits_for_another_write() {
    let (rest, id, here) = rest_api::stack(BOTH);
    let http = http_api::account(&rich("prod", true));
    let there = http_api::workplace(&http, "prod");
    there.succeed(&["up", "--yes"]);
    let conflict = json!([{"operation": "UpdateStage", "every": true, "kind": "conflict"}]);
    for (aws, here) in [(&rest, &here), (&http, &there)] {
        aws.post("faults", &conflict);
        let rollback = here.succeed(&["rollback", "-o", "json"]).json();
        assert_eq!(rollback["stages"][0]["moved"], true, "{rollback}");
    }
    let served = rest_api::served(&rest.account(), &id, "prod");
    assert_eq!(served["GET /orders"], "NONE");
    let served = http_api::served(&http.account(), "prod");
    assert_eq!(served["GET /orders"], "NONE");
}

/// A route of another stack, which is protected for one deployment, is returned to that stack: only the refused call is sent again.
#[test]
fn a_route_is_returned_to_another_stack_after_another_write() {
    let aws = http_api::account(&json!({
        "protocol": "HTTP", "name": "orders-api", "routes": [{"key": "GET /orders"}],
        "stages": [{"name": "prod"}, {"name": "dev"}],
    }));
    let one = http_api::workplace(&aws, "prod");
    let two = http_api::workplace(&aws, "dev");
    two.edit("stack: orders", "stack: partners");
    one.succeed(&["up", "--yes", "--no-verify"]);
    let routes = http_api::api(&aws.account())["Routes"].clone();
    // The first call protects the route, and the second one returns it.
    let rule = json!({"operation": "UpdateRoute", "nth": 2, "kind": "conflict"});
    aws.post("faults", &json!([rule]));
    let up = two.succeed(&["up", "--yes", "--no-verify", "-o", "json"]);
    assert_eq!(http_api::api(&aws.account())["Routes"], routes);
    let lines = up.lines();
    let retried = lines.iter().filter(|line| line["event"] == "retrying");
    let retried: Vec<_> = retried.map(|line| &line["resource"]).collect();
    // A whole step would have the name of its resource.
    assert_eq!(retried, [&Value::Null], "{}", up.stderr);
}

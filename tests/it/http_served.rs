//! Stages that cannot be frozen, and whose restored routes API Gateway deploys late or not at all: the authorizer stays while such a
//! stage invokes it.

use serde_json::{Value, json};

use crate::http_odd::{account, workplace};
use crate::support::http_api::{GOOD, api, comparable, id, served, watched};
use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace, assert_same};

const STAGE: &str = "$default";
const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";
const UP: [&str; 4] = ["up", "--yes", "--settle", "1ms"];
const DOWN: [&str; 2] = ["down", "--yes"];

/// An API that quick create made.
fn quick() -> (TestAws, Workplace) {
    let aws = account(&json!({
        "protocol": "HTTP", "name": "orders-api", "quick_create": true,
        "routes": [{"key": "GET /orders"}, {"key": "POST /orders"}],
    }));
    let here = workplace(&aws, STAGE, "");
    (aws, here)
}

/// Lets automatic deployments fail, or not.
fn failing(aws: &TestAws, fails: bool) {
    let outcome = fails
        .then(|| json!({"status": "FAILED", "message": "no \u{1b}[31mluck.", "automatic": true}));
    aws.post("config", &json!({"outcomes": {"deployment": outcome}}));
}

/// Sends a request with a valid key to each route after each changing call.
fn watch(aws: &TestAws) {
    aws.post("log/clear", &json!({}));
    let id = id(&aws.account());
    let request = |method: &str, path: &str| json!({"method": method, "path": format!("{id}{path}"), "headers": {"apikey": GOOD}});
    let requests = [
        request("GET", "/orders"),
        request("POST", "/orders"),
        request("GET", "/elsewhere"),
    ];
    aws.post("config", &json!({ "watch": requests }));
}

/// Asserts that no caller with a valid key met anything.
#[track_caller]
fn assert_unharmed(aws: &TestAws, when: &str) {
    let watched = watched(aws);
    assert!(!watched.is_empty(), "{when}");
    for (operation, statuses) in watched {
        assert_eq!(statuses, [200; 3], "{when}, after {operation}");
    }
}

fn serves_ours(account: &Value) -> bool {
    served(account, STAGE).values().all(|kind| kind == OURS)
}

/// The routes of the draft with an authorizer.
fn drafted(account: &Value) -> usize {
    let routes = api(account)["Routes"].as_array().expect("a list").iter();
    routes
        .filter(|route| route["AuthorizerId"] != Value::Null)
        .count()
}

const TOLD: [&str; 2] = [
    "stage $default still serves $default and 2 more with this stack's authorizer",
    r"its last automatic deployment failed (no \u{1b}[31mluck)",
];

#[test]
fn down_keeps_the_authorizer_while_the_restored_routes_are_not_deployed() {
    let (aws, here) = quick();
    let before = aws.account();
    here.succeed(&UP);
    failing(&aws, true);
    watch(&aws);
    // The next run is refused, too: the record of the original routes is kept.
    for _ in 0..2 {
        let down = here.run(&DOWN);
        assert_eq!(down.code, Some(5), "{}", down.stderr);
        assert_mentions(&down, &TOLD);
        assert_mentions(&down, &["failed[blocked]"]);
        assert!(!down.stderr.contains('\u{1b}'), "{}", down.stderr);
        let after = aws.account();
        assert!(serves_ours(&after), "{after}");
        assert_eq!(drafted(&after), 0, "{after}");
        assert_unharmed(&aws, "down");
    }
    let calls = aws.changes();
    let deleted = ["DeleteAuthorizer", "DeleteFunction", "DeleteAlias"];
    assert!(
        !calls.iter().any(|call| deleted.contains(&call.as_str())),
        "{calls:?}"
    );
    failing(&aws, false);
    here.succeed(&DOWN);
    assert_unharmed(&aws, "the last down");
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// API Gateway lists a deployment a moment after the change that causes it, and needs a while for it.
#[test]
fn down_waits_until_the_restored_routes_are_deployed() {
    let (aws, here) = quick();
    let before = aws.account();
    here.succeed(&UP);
    aws.post(
        "config",
        &json!({"http_api": {"unlisted": 2}, "delay": {"deployment-automatic": 1}}),
    );
    watch(&aws);
    here.succeed(&DOWN);
    assert_unharmed(&aws, "down");
    aws.post("advance", &json!({"seconds": 2}));
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

#[test]
fn rollback_does_not_claim_what_is_not_deployed() {
    let (aws, here) = quick();
    let before = aws.account();
    here.succeed(&UP);
    failing(&aws, true);
    for restored in ["3 routes are restored", "nothing was left to restore"] {
        let back = here.run(&["rollback"]);
        assert_eq!(back.code, Some(1), "{}", back.stderr);
        assert_mentions(&back, &TOLD);
        assert_mentions(&back, &[restored, "[cannot-roll-back]"]);
        assert!(serves_ours(&aws.account()));
    }
    failing(&aws, false);
    here.succeed(&["rollback"]);
    assert_eq!(served(&aws.account(), STAGE), served(&before, STAGE));
    here.succeed(&UP);
    assert!(serves_ours(&aws.account()));
    here.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// The first route harms callers, and its restored state cannot be deployed.
#[test]
fn up_does_not_claim_what_is_not_deployed() {
    let (aws, here) = quick();
    let before = aws.account();
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let rule = json!({"operation": "UpdateRoute", "nth": 1, "kind": "hold"});
    let up = here.run_with(&aws, &UP, &rule, || failing(&aws, true));
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "1 route is restored, but stage $default still serves GET /orders with this stack's authorizer",
        ],
    );
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    failing(&aws, false);
    here.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

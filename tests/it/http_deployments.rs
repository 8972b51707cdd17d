//! Deployments of HTTP APIs that take their time or fail, automatic ones and those of the stack, and how many calls a run makes.

use serde_json::{Value, json};

use crate::http_odd::{account, workplace};
use crate::support::http_api::{api, assert_unmixed, comparable, id, served, stage_of, watched};
use crate::support::kill::each;
use crate::support::rest_api::assert_mentions;
use crate::support::{Run, TestAws, Workplace, assert_same};

const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";
const UP: [&str; 3] = ["up", "--yes", "--no-verify"];

/// An API with two open routes.
fn orders(auto_deploy: bool) -> (TestAws, Workplace) {
    let aws = account(&json!({
        "protocol": "HTTP", "name": "orders-api", "routes": [{"key": "GET /orders"}, {"key": "POST /orders"}],
        "stages": [{"name": "prod", "auto_deploy": auto_deploy}],
    }));
    let here = workplace(&aws, "prod", "");
    (aws, here)
}

/// Lets deployments fail: automatic ones, the others, or none.
fn failing(aws: &TestAws, automatic: Option<bool>) {
    let outcome = automatic.map(|automatic| {
        json!({"status": "FAILED", "message": "no \u{1b}[31mluck.", "automatic": automatic})
    });
    aws.post("config", &json!({"outcomes": {"deployment": outcome}}));
}

/// Watches both routes.
fn watch(aws: &TestAws) {
    aws.post("log/clear", &json!({}));
    let place = format!("{}/prod/orders", id(&aws.account()));
    let requests = ["GET", "POST"].map(|verb| json!({"method": verb, "path": place}));
    aws.post("config", &json!({"watch": requests}));
}

fn assert_protected(aws: &TestAws) {
    let served = served(&aws.account(), "prod");
    assert!(served.values().all(|kind| kind == OURS), "{served:?}");
}

fn automatic(aws: &TestAws) -> bool {
    stage_of(&aws.account(), "prod")["AutoDeploy"] == true
}

/// Makes an edit as another user, which automatic deployment cannot deploy.
fn undeployed_edit(aws: &TestAws) {
    failing(aws, Some(true));
    let route = json!({"ApiId": id(&aws.account()), "RouteKey": "OPTIONS /theirs"});
    aws.call("apigatewayv2", "CreateRoute", route);
    failing(aws, None);
}

/// Each deployment is pending for a while: nothing moves before it is deployed, and nothing is left behind.
#[test]
fn a_pending_deployment_is_waited_for() {
    for auto_deploy in [true, false] {
        let (aws, here) = orders(auto_deploy);
        let before = aws.account();
        aws.post("config", &json!({"delay": {"deployment": 0.5}}));
        watch(&aws);
        here.succeed(&UP);
        assert_unmixed(&aws, 9, "up");
        assert_protected(&aws);
        assert_eq!(automatic(&aws), auto_deploy);
        here.succeed(&["down", "--yes"]);
        assert_unmixed(&aws, 9, "down");
        // The deployments that others made meanwhile are ready by then.
        aws.post("advance", &json!({"seconds": 1}));
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// Also if the draft is deployed with the next change only.
#[test]
fn nothing_is_left_if_the_draft_is_deployed_with_the_next_change() {
    let (aws, here) = orders(true);
    let before = aws.account();
    aws.post("config", &json!({"http_api": {"thaw": "next-change"}}));
    watch(&aws);
    here.succeed(&UP);
    assert_protected(&aws);
    here.succeed(&["down", "--yes"]);
    assert_unmixed(&aws, 9, "up and down");
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// A deployment that API Gateway made by itself and lists late is none of another user: the former one is still known.
#[test]
fn an_automatic_deployment_that_is_listed_late_is_not_one_of_others() {
    each((1..=6).collect(), |_, unlisted| {
        let (aws, here) = orders(true);
        let before = aws.account();
        aws.post("config", &json!({"http_api": {"unlisted": unlisted}}));
        let up = here.succeed(&UP);
        let when = format!("{unlisted}: {}", up.stderr);
        assert!(!up.stderr.contains("another user"), "{when}");
        assert_protected(&aws);
        for _ in 0..unlisted {
            let of_api = json!({"ApiId": id(&before)});
            aws.call("apigatewayv2", "GetDeployments", of_api);
        }
        here.succeed(&["rollback"]);
        let now = aws.account();
        assert_eq!(served(&now, "prod"), served(&before, "prod"), "{when}");
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

/// Another user has changed the API a moment before.
#[test]
fn an_edit_that_is_about_to_be_deployed_automatically_needs_no_consent() {
    let (aws, here) = orders(true);
    aws.post("config", &json!({"delay": {"deployment-automatic": 2}}));
    let theirs = json!({"ApiId": id(&aws.account()), "RouteKey": "OPTIONS /theirs"});
    aws.call("apigatewayv2", "CreateRoute", theirs);
    here.succeed(&UP);
    aws.post("advance", &json!({"seconds": 3}));
    let served = served(&aws.account(), "prod");
    assert_eq!(served["GET /orders"], OURS);
    assert_eq!(served["OPTIONS /theirs"], "NONE");
}

/// One that is pending when automatic deployment is turned off might still be served, after the routes have switched.
#[test]
fn a_stage_is_frozen_after_its_pending_automatic_deployments() {
    let (aws, here) = orders(true);
    let before = aws.account();
    aws.post(
        "config",
        &json!({"http_api": {"pending_when_off": "served"}, "delay": {"deployment-automatic": 2}}),
    );
    let statuses = || {
        let now = aws.account();
        let deployments = api(&now)["Deployments"].as_array().expect("a list");
        let statuses = deployments
            .iter()
            .map(|one| one["DeploymentStatus"].clone());
        statuses.collect::<Vec<_>>()
    };
    let theirs = json!({"ApiId": id(&before), "RouteKey": "OPTIONS /theirs"});
    let made = aws.call("apigatewayv2", "CreateRoute", theirs);
    let theirs = json!({"ApiId": id(&before), "RouteId": made["RouteId"]});
    // `up` creates its authorizer, and another user deletes a route while `down` begins.
    for (arguments, early) in [
        (
            &UP[..],
            json!({"operation": "CreateAuthorizer", "nth": 1, "kind": "hold"}),
        ),
        (
            &["down", "--yes"],
            json!({"operation": "PutParameter", "nth": 1, "kind": "hold-before"}),
        ),
    ] {
        aws.post("advance", &json!({"seconds": 3}));
        let freeze = json!({"operation": "UpdateStage", "nth": 1, "kind": "hold-before"});
        aws.post("faults", &json!([early, freeze]));
        let child = here.start(arguments);
        let held = aws.get("held?timeout=60");
        assert_eq!(held["held"]["operation"], early["operation"], "{held}");
        if arguments[0] == "down" {
            aws.call("apigatewayv2", "DeleteRoute", theirs.clone());
        }
        assert!(statuses().contains(&json!("PENDING")), "{arguments:?}");
        aws.post("release", &json!({}));
        let held = aws.get("held?timeout=60");
        assert_eq!(held["held"]["operation"], "UpdateStage", "{held}");
        let statuses = statuses();
        let mut statuses = statuses.iter();
        assert!(statuses.all(|status| status == "DEPLOYED"), "{arguments:?}");
        aws.post("faults", &json!([]));
        aws.post("release", &json!({}));
        let run = Run::of(child.wait_with_output().expect("its end"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    aws.post("advance", &json!({"seconds": 3}));
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// What was made a moment ago may not be readable yet.
#[test]
fn a_deployment_that_cannot_be_read_yet_is_waited_for() {
    for auto_deploy in [true, false] {
        let (aws, here) = orders(auto_deploy);
        let before = aws.account();
        let unseen = json!([{"operation": "GetDeployment", "every": true, "kind": "error", "code": "NotFoundException",
            "message": "Invalid Deployment identifier specified", "status": 404}]);
        aws.post("faults", &unseen);
        here.succeed(&UP);
        assert_protected(&aws);
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// The stage stays as it is, the run says why, and the next one completes it or takes it back.
#[test]
fn a_failed_deployment_of_the_stack_changes_nothing_for_callers() {
    for auto_deploy in [true, false] {
        let (aws, here) = orders(auto_deploy);
        let before = aws.account();
        watch(&aws);
        failing(&aws, Some(false));
        let up = here.run(&UP);
        assert_eq!(up.code, Some(5), "{}", up.stderr);
        assert_mentions(&up, &["deployment ", r" failed: no \u{1b}[31mluck."]);
        if auto_deploy {
            assert_mentions(&up, &["automatic deployment of stage prod", "is off until"]);
        }
        assert!(!up.stderr.contains('\u{1b}'), "{}", up.stderr);
        assert_eq!(
            served(&aws.account(), "prod"),
            served(&before, "prod"),
            "{auto_deploy}"
        );
        for (operation, statuses) in watched(&aws) {
            assert_eq!(statuses, [200; 2], "after {operation}");
        }
        failing(&aws, None);
        let again = aws.fork();
        workplace(&again, "prod", "").succeed(&UP);
        assert_protected(&again);
        assert_eq!(automatic(&again), auto_deploy);
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// What waits since the failure is listed although the stage deploys automatically, and needs consent.
#[test]
fn an_automatic_deployment_that_failed_before_is_told_and_what_waits_needs_consent() {
    let (aws, here) = orders(true);
    undeployed_edit(&aws);
    let before = aws.account();
    let failed = "the last automatic deployment of stage prod";
    let plan = here.run(&["plan"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let shown = r"failed (no \u{1b}[31mluck): it serves deployment";
    assert_mentions(&plan, &[failed, shown, "OPTIONS /theirs is new"]);
    let up = here.run(&UP);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(
        &up,
        &[failed, "OPTIONS /theirs is new", "--publish-pending"],
    );
    assert_same(&before, &aws.account());

    watch(&aws);
    here.succeed(&[&UP[..], &["--publish-pending"]].concat());
    assert_unmixed(&aws, 9, "up");
    let served = served(&aws.account(), "prod");
    assert_eq!(served["GET /orders"], OURS);
    assert_eq!(served["OPTIONS /theirs"], "NONE");
    here.succeed(&["down", "--yes"]);
    assert!(automatic(&aws));
}

/// The draft cannot be deployed when the stage is thawed: the run fails, the API stays protected, and `status` tells it.
#[test]
fn a_failed_automatic_deployment_after_the_verification_leaves_the_stage_protected() {
    let (aws, here) = orders(true);
    let before = aws.account();
    watch(&aws);
    failing(&aws, Some(true));
    aws.post("config", &json!({"delay": {"deployment": 0.3}}));
    let up = here.run(&["up", "--yes", "-o", "json"]);
    aws.post("config", &json!({"delay": 0}));
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    let lines = up.lines();
    let failures: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "failed")
        .collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["code"], "resource-failed");
    assert_unmixed(&aws, 9, "up");
    assert_protected(&aws);
    assert!(automatic(&aws));
    let failed = ["the last automatic deployment of stage prod", "failed (no "];
    let status = here.run(&["status"]);
    assert_mentions(&status, &failed);
    assert_mentions(&status, &["last automatic deployment  failed: no "]);
    assert!(!status.stdout.contains('\u{1b}'), "{}", status.stdout);
    let status = here.run(&["status", "-o", "json"]).json();
    assert_eq!(status["api"]["failed_deployment"], r"no \u{1b}[31mluck.");
    assert_eq!(status["healthy"], true, "{status}");
    // Nothing is left to do: the stage serves what was verified.
    let again = here.succeed(&["up", "--yes"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);

    // Also while the failures last.
    let broken = aws.fork();
    let there = workplace(&broken, "prod", "");
    let down = there.succeed(&["down", "--yes"]);
    assert_mentions(&down, &failed);
    assert_eq!(served(&broken.account(), "prod"), served(&before, "prod"));
    assert!(automatic(&broken));

    failing(&aws, None);
    here.succeed(&["down", "--yes"]);
    assert_same(&without_failed(&before), &without_failed(&aws.account()));
}

/// The account without what API Gateway could not deploy.
fn without_failed(account: &Value) -> Value {
    let mut account = comparable(account);
    for api in account["http_apis"].as_array_mut().expect("a list") {
        for stage in api["Stages"].as_array_mut().expect("a list") {
            stage["LastDeploymentStatusMessage"] = Value::Null;
        }
    }
    account
}

/// The control calls to HTTP APIs since the log was cleared: changes of routes, and all others.
fn calls(aws: &TestAws) -> [usize; 2] {
    let log = aws.log();
    let of_api = log
        .iter()
        .filter(|entry| entry["service"] == "apigatewayv2");
    let (routes, others): (Vec<_>, Vec<_>) =
        of_api.partition(|entry| entry["operation"] == "UpdateRoute");
    [routes.len(), others.len()]
}

/// API Gateway accepts 10 calls a second: a route costs one call, and everything else the same as with few routes.
#[test]
fn a_hundred_and_twenty_routes_are_one_call_each_on_top_of_those_of_two() {
    let [few, many] = [2, 120].map(|routes: usize| {
        let keys: Vec<_> = (0..routes)
            .map(|number| json!({"key": format!("GET /orders-{number:03}")}))
            .collect();
        let aws = account(&json!({
            "protocol": "HTTP", "name": "orders-api", "routes": keys, "stages": [{"name": "prod", "auto_deploy": true}],
        }));
        let here = workplace(&aws, "prod", "");
        aws.post("log/clear", &json!({}));
        here.succeed(&UP);
        let [changes, others] = calls(&aws);
        assert_eq!(changes, routes);
        assert!(others <= 100, "{others} calls for {routes} routes");
        aws.post("log/clear", &json!({}));
        here.succeed(&["plan"]);
        [others, calls(&aws)[1]]
    });
    // The routes are listed in pages of a hundred, and compared once more before the deployment.
    assert!(
        many[0] <= few[0] + 12,
        "{many:?}, and {few:?} for two routes"
    );
    assert!(
        many[1] <= few[1] + 2,
        "{many:?}, and {few:?} for two routes"
    );
}

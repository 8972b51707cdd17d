//! What a user of HTTP and WebSocket APIs sees and may do beyond `up` and `down`: moves between kinds of APIs, APIs and stages
//! that others delete, rollbacks, reports.

use serde_json::json;

use crate::support::http_api::{GOOD, PROTECTED, api, comparable, id, rich, served, stage_of};
use crate::support::kill::each;
use crate::support::rest_api::{API, assert_mentions};
use crate::support::{TestAws, Workplace, assert_same, aws};

/// `plan` and `status` while automatic deployment is off.
const OFF: &str = "is off until the next `threescale-gw up` or `threescale-gw down`";

/// An account with a REST API `orders-rest`, an HTTP API `orders-api`, whose stage `$default` deploys automatically, and a WebSocket
/// API `chat`.
pub fn account() -> TestAws {
    TestAws::state("apis of all kinds", || {
        let aws = TestAws::start();
        let chat = json!({"protocol": "WEBSOCKET", "name": "chat", "routes": [{"key": "$connect"}, {"key": "message"}],
            "stages": [{"name": "prod"}]});
        let mut rest = aws::api();
        rest["name"] = json!("orders-rest");
        for api in [rest, rich("$default", true), chat] {
            aws.post("seed", &json!({ "api": api }));
        }
        aws.post("config", &json!({"valid_keys": [GOOD]}));
        aws
    })
}

/// A stack without a network for the API of this line.
fn workplace(aws: &TestAws, api: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit(API, &format!("{api}\nnetwork: none\ncache: memory"));
    here
}

fn http(aws: &TestAws) -> Workplace {
    workplace(aws, "api: {name: orders-api, stage: $default}")
}

/// An account in which the stack protects the HTTP API.
fn protected() -> (TestAws, Workplace) {
    let aws = TestAws::state("a protected HTTP API", || {
        let aws = account();
        http(&aws).succeed(&["up", "--yes"]);
        aws
    });
    let here = http(&aws);
    (aws, here)
}

fn set_automatic(aws: &TestAws, is_on: bool) {
    let id = id(&aws.account());
    let stage = json!({"ApiId": id, "StageName": "$default", "AutoDeploy": is_on});
    aws.call("apigatewayv2", "UpdateStage", stage);
}

#[test]
fn a_stack_moves_between_apis_of_all_kinds() {
    const APIS: [&str; 3] = [
        "api: {name: orders-rest, stage: prod}",
        "api: {name: orders-api, stage: $default}",
        "api: {name: chat, stage: prod}",
    ];
    let before = account().account();
    // Each kind to both others.
    let ways = vec![[0, 1, 0], [0, 2, 0], [1, 2, 1]];
    each(ways, |_, way| {
        let aws = account();
        for kind in way {
            let here = workplace(&aws, APIS[kind]);
            here.succeed(&["up", "--yes", "--publish-pending"]);
            let plan = here.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(0), "{way:?}: {}", plan.stdout);
        }
        let here = workplace(&aws, APIS[way[2]]);
        here.succeed(&["down", "--yes", "--publish-pending"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

#[test]
fn an_api_that_others_delete_and_create_again_is_protected_again() {
    let (aws, here) = protected();
    aws.call(
        "apigatewayv2",
        "DeleteApi",
        json!({"ApiId": id(&aws.account())}),
    );
    let gone = here.run(&["status"]);
    assert_eq!(gone.code, Some(4));
    assert_mentions(&gone, &["no API has the name orders-api"]);
    let gone = here.run(&[
        "status",
        "--stack",
        "orders",
        "-f",
        "none.yaml",
        "--exit-code",
    ]);
    assert_eq!(gone.code, Some(3), "{}", gone.stdout);
    assert_mentions(
        &gone,
        &["no longer exists: `threescale-gw down --stack orders` deletes the rest"],
    );
    aws.post("seed", &json!({"api": rich("$default", true)}));
    let before = served(&aws.account(), "$default");
    assert_mentions(&here.run(&["plan"]), &["3 to create, 3 to delete"]);
    here.succeed(&["up", "--yes"]);
    let after = served(&aws.account(), "$default");
    for route in PROTECTED {
        assert_eq!(after[route], "CUSTOM threescale-gw-orders-authorizer");
    }
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    assert_eq!(served(&aws.account(), "$default"), before);
}

#[test]
fn a_stage_that_others_delete_is_a_fault_and_down_removes_the_rest() {
    let (aws, here) = protected();
    let stage = json!({"ApiId": id(&aws.account()), "StageName": "$default"});
    aws.call("apigatewayv2", "DeleteStage", stage);
    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(3), "{}", status.stdout);
    assert_mentions(&status, &["unhealthy: see the faults below"]);
    assert_mentions(&status, &["has no stage \"$default\" with a deployment"]);
    let plan = here.run(&["plan"]);
    assert_eq!(plan.code, Some(4), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    let api = api(&after);
    let routes = api["Routes"].as_array().expect("a list").iter();
    let ours = routes.filter(|route| route["AuthorizationType"] == "CUSTOM");
    // The route of the owner.
    assert_eq!(ours.count(), 1, "{api}");
    assert_eq!(after["functions"], json!([]));
}

/// A run that ended after it moved the stage leaves automatic deployment off: every command that reads says so, and `plan` has
/// something to do.
#[test]
fn automatic_deployment_that_a_run_left_off_is_told() {
    let aws = account();
    let here = http(&aws);
    let moved = json!({"operation": "UpdateStage", "nth": 2, "kind": "hold"});
    let held = here.run_with(&aws, &["up", "--yes"], &moved, || {
        let aws = aws.fork();
        assert_eq!(stage_of(&aws.account(), "$default")["AutoDeploy"], false);
        let here = http(&aws);
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{}", plan.stdout);
        assert_mentions(&plan, &["No changes: "]);
        assert_mentions(&plan, &[OFF]);
        let status = here.run(&["status", "--exit-code"]);
        assert_eq!(status.code, Some(3), "{}", status.stdout);
        assert_mentions(&status, &[OFF, "unhealthy: a run is in progress"]);
        aws.post("advance", &json!({"seconds": 300}));
        here.succeed(&["up", "--yes"]);
        assert_eq!(stage_of(&aws.account(), "$default")["AutoDeploy"], true);
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
        assert!(!plan.stdout.contains(OFF), "{}", plan.stdout);
        assert_eq!(here.run(&["status", "--exit-code"]).code, Some(0));
    });
    assert_eq!(held.code, Some(0), "{}", held.stderr);
}

/// When others turn it on, API Gateway deploys the protected draft. The next `up` verifies it.
#[test]
fn automatic_deployment_that_others_turn_on_again_is_verified() {
    let (aws, here) = protected();
    here.succeed(&["rollback"]);
    set_automatic(&aws, true);
    assert_mentions(&here.succeed(&["status"]), &["not verified: "]);
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(&up, &["updated  api-attachment/main", "verified: "]);
    let status = here.succeed(&["status"]);
    assert!(!status.stdout.contains("not verified"), "{}", status.stdout);
    assert!(!here.succeed(&["up", "--yes"]).stderr.contains("verified"));
}

/// Only `up` and `down` of the stack turn it on again, unless its owner does.
#[test]
fn a_release_after_a_rollback_is_refused_while_automatic_deployment_is_off() {
    let (aws, here) = protected();
    here.succeed(&["rollback"]);
    let stays = "automatic deployment of stage $default of API ";
    let released = aws.fork();
    let release = http(&released).run(&["release", "--yes"]);
    assert_eq!(release.code, Some(4), "{}", release.stderr);
    assert_mentions(&release, &[stays, "is off since", "[refused]"]);
    set_automatic(&aws, true);
    let release = here.succeed(&["release", "--yes"]);
    assert!(!release.stderr.contains(stays), "{}", release.stderr);
}

#[test]
fn the_words_are_those_of_routes() {
    let (aws, here) = protected();
    let other = json!({"ApiId": id(&aws.account()), "StageName": "beta"});
    aws.call("apigatewayv2", "CreateStage", other);
    here.succeed(&["rollback"]);
    aws.call(
        "apigatewayv2",
        "UpdateStage",
        json!({"ApiId": id(&aws.account()), "StageName": "beta", "DeploymentId": stage_of(&aws.account(), "$default")["DeploymentId"]}),
    );
    let plan = here.run(&["plan"]);
    assert_mentions(&plan, &["callers of the protected routes: "]);
    let page = here.run(&["status", "-o", "markdown"]).stdout;
    assert!(
        page.contains("| Authorization | Route | Remark |"),
        "{page}"
    );
    assert!(
        page.contains("| open | `$default` | protected in the draft only"),
        "{page}"
    );
    here.succeed(&["up", "--yes"]);
    let status = here.succeed(&["status"]);
    assert_mentions(&status, &["6 routes are protected"]);
    assert_mentions(
        &status,
        &["door stage beta serves 6 protected routes without authorization"],
    );
    let unknown = workplace(
        &aws,
        "api: {name: orders-api, stage: $default, protect: [GET /ordrs]}",
    );
    let plan = unknown.run(&["plan"]);
    assert_mentions(&plan, &["no route of API "]);
    assert_mentions(
        &plan,
        &["GET /ordrs selects no route of the API: did you mean GET /orders?"],
    );
}

/// `$default` has no path, and its refusals are counted under its name.
#[test]
fn refusals_of_the_route_default_are_found_under_its_name() {
    let (_aws, here) = protected();
    here.succeed(&["verify"]);
    let report = here.succeed(&["report", "-o", "json"]).json();
    let text = report.to_string();
    for route in ["GET $default", "GET /orders/{id}"] {
        assert!(text.contains(&format!("\"method\":\"{route}\"")), "{text}");
    }
    let lines = here.succeed(&["logs", "-o", "json"]).lines();
    let mut lines = lines.iter().map(|line| &line["record"]);
    let refusal = lines.find(|line| line["resource"] == "$default");
    let id = refusal.expect("a refusal")["gateway_request"].as_str();
    let id = id.expect("an id");
    let told = here.succeed(&["doctor", "--request", id]);
    assert_mentions(&told, &["Method      GET $default"]);
    let unknown = here.run(&["doctor", "--request", "AbCdEfGhIjKlMn0="]);
    assert_eq!(unknown.code, Some(1));
    assert_mentions(&unknown, &["of a REST API, the id looks like the header"]);
}

#[test]
fn names_of_others_reach_no_terminal_with_control_characters() {
    let aws = TestAws::start();
    let named = json!({"protocol": "HTTP", "name": "e\u{1b}[31mvil\n\u{7}", "stages": [{"name": "prod", "auto_deploy": true}],
        "routes": [{"key": "GET /o\u{1b}[2Jrders"}, {"key": "$default"}]});
    let seeded = aws.post("seed", &json!({ "api": named }));
    let here = workplace(
        &aws,
        &format!(
            "api: {{id: {}, stage: prod}}",
            seeded["api_id"].as_str().expect("an id")
        ),
    );
    for command in [
        "plan",
        "up --yes --no-verify",
        "status",
        "status -o markdown",
        "list",
        "verify --settle 0s",
        "rollback",
        "down --yes",
    ] {
        let arguments: Vec<_> = command.split(' ').collect();
        let run = here.run(&arguments);
        let said = format!("{}{}", run.stdout, run.stderr);
        let strange = |c: char| c.is_control() && c != '\n';
        assert!(!said.contains(strange), "{command}: {said:?}");
    }
}

#[test]
fn what_nearly_names_a_route_or_the_stage_is_corrected() {
    let aws = account();
    for (api, words) in [
        (
            "api: {name: orders-api, stage: $defualt}",
            "did you mean `$default`?",
        ),
        (
            "api: {name: orders-api, stage: default}",
            "did you mean `$default`?",
        ),
        (
            "api: {name: orders-api, stage: $default, protect: [ANY $default]}",
            "did you mean `$default`?",
        ),
        (
            "api: {name: chat, stage: prod, protect: [$default]}",
            "of a WebSocket API, only $connect can have an authorizer",
        ),
    ] {
        let run = workplace(&aws, api).run(&["plan"]);
        assert_ne!(run.code, Some(0), "{api}");
        assert_mentions(&run, &[words]);
    }
    assert_eq!(aws.changes(), [""; 0]);
}

/// A route keeps its id when its owner changes its key, and with it what is recorded of it.
#[test]
fn a_route_whose_key_its_owner_changes_is_restored() {
    let (aws, here) = protected();
    let account = aws.account();
    let routes = api(&account)["Routes"].as_array().expect("a list").iter();
    let mut routes = routes.filter(|route| route["RouteKey"] == "POST /orders");
    let route = &routes.next().expect("the route")["RouteId"];
    let renamed = json!({"ApiId": id(&account), "RouteId": route, "RouteKey": "PUT /orders"});
    aws.call("apigatewayv2", "UpdateRoute", renamed);
    let plan = here.run(&["plan"]);
    assert_mentions(&plan, &["record: 1 route missing -> complete"]);
    assert!(!plan.stdout.contains("is not recorded"), "{}", plan.stdout);
    let down = |aws: &TestAws| {
        http(aws).succeed(&["down", "--yes"]);
        assert_eq!(served(&aws.account(), "$default")["PUT /orders"], "NONE");
    };
    down(&aws.fork());
    here.succeed(&["up", "--yes"]);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    down(&aws);
}

/// A policy can be limited to the API of the stack, which is in one of two parts of API Gateway.
#[test]
fn an_operator_without_rights_for_rest_apis_works_on_others() {
    let aws = account();
    let before = aws.account();
    let id = id(&before);
    let denied = json!([{"service": "apigateway", "kind": "deny"}]);
    aws.post("faults", &denied);
    for api in [format!("id: {id}"), "name: orders-api".to_owned()] {
        let here = workplace(&aws, &format!("api: {{{api}, stage: $default}}"));
        here.succeed(&["up", "--yes"]);
        let status = here.succeed(&["status"]);
        assert_mentions(&status, &["6 routes are protected"]);
        here.succeed(&["verify"]);
        here.succeed(&["list"]);
        here.succeed(&["rollback"]);
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
    // A REST API may exist that the operator may not read.
    for api in ["id: a1b2c3d4e5", "name: orders-rest"] {
        let here = workplace(&aws, &format!("api: {{{api}, stage: prod}}"));
        let plan = here.run(&["plan"]);
        assert_eq!(plan.code, Some(1), "{}", plan.stderr);
        assert_mentions(&plan, &["grant apigateway:GET to the calling identity"]);
    }
    aws.post("faults", &json!([]));
}

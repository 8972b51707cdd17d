//! WebSocket APIs: `up` verifies with real handshakes, and what others do in the meantime needs consent or is told.

use serde_json::{Value, json};

use crate::support::http_api::{GOOD, account, api, id, served, stage_of};
use crate::support::kill::killed_after;
use crate::support::rest_api::{API, assert_mentions};
use crate::support::socket::{CONNECT, KINDS, Kind, OPEN, PROTECTED, chat, connect, handshakes};
use crate::support::{TestAws, Workplace};

const UP: [&str; 5] = ["up", "--yes", "--publish-pending", "--settle", "1ms"];
const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];
const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";

fn workplace(aws: &TestAws) -> Workplace {
    attached(aws, "orders", "prod")
}

/// The folder of a stack that is attached to this stage.
fn attached(aws: &TestAws, stack: &str, stage: &str) -> Workplace {
    let workplace = Workplace::new(aws);
    workplace.edit("stack: orders", &format!("stack: {stack}"));
    workplace.edit(API, &format!("api: {{name: orders-api, stage: {stage}}}"));
    workplace
}

/// Another user deploys the draft to the stage.
fn deploy(aws: &TestAws) {
    let id = id(&aws.account());
    let deployment = json!({"ApiId": id, "StageName": "prod"});
    aws.call("apigatewayv2", "CreateDeployment", deployment);
}

/// Another user adds a route to the draft.
fn edit(aws: &TestAws) {
    let route = json!({"ApiId": id(&aws.account()), "RouteKey": "theirs"});
    aws.call("apigatewayv2", "CreateRoute", route);
}

fn waits(aws: &TestAws) -> String {
    let id = id(&aws.account());
    format!("what waits in the draft of WebSocket API {id}, which API Gateway does not list")
}

#[test]
fn up_proves_with_handshakes_that_connections_are_asked_about() {
    for kind in KINDS {
        let aws = chat(kind);
        let here = workplace(&aws);
        let up = here.succeed(&[&UP[..], &["--key", GOOD]].concat());
        let rows = [
            "ok     $connect  no key    401",
            "ok     $connect  bad key   403  user_key_invalid",
            "ok     $connect  good key  101",
            "verified: ",
        ];
        assert_mentions(&up, &rows);
        assert_eq!(handshakes(&aws), PROTECTED, "{kind:?}");
        let status = here.succeed(&["status", "-o", "json"]).json();
        assert_eq!(status["api"]["verified"], true, "{kind:?}: {status}");
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{kind:?}: {}", plan.stdout);
    }
}

/// What does not pass the verification is undone, and an automatic stage is open in the draft, too: `$connect` is as it was.
#[test]
fn a_failed_verification_opens_the_stage_and_takes_the_created_route_away() {
    for kind in KINDS {
        let (_, auto_deploy) = kind;
        let aws = chat(kind);
        let before = aws.account();
        let here = workplace(&aws);
        aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
        let up = here.run(&UP);
        assert_eq!(up.code, Some(1), "{kind:?}: {}", up.stderr);
        assert_mentions(&up, &["is rolled back to deployment"]);
        assert_eq!(handshakes(&aws), OPEN, "{kind:?}");
        let after = aws.account();
        assert_eq!(served(&after, "prod"), served(&before, "prod"), "{kind:?}");
        let is_automatic = stage_of(&after, "prod")["AutoDeploy"] == true;
        assert_eq!(is_automatic, auto_deploy, "{kind:?}");
        if auto_deploy {
            assert_eq!(api(&after)["Routes"], api(&before)["Routes"], "{kind:?}");
        }
        aws.post("config", &json!({"outcomes": {"authorizer": null}}));
        here.succeed(&UP);
        assert_eq!(handshakes(&aws), PROTECTED, "{kind:?}");
        here.succeed(&[&DOWN[..], &["--publish-pending"]].concat());
        assert_eq!(api(&aws.account())["Routes"], api(&before)["Routes"]);
        assert_eq!(handshakes(&aws), OPEN, "{kind:?}");
    }
}

/// The stage that the program returns to lacks what others have changed, which cannot be listed: that is told.
#[test]
fn down_tells_that_a_stage_no_longer_serves_what_others_had_changed() {
    let aws = chat((true, false));
    let here = workplace(&aws);
    edit(&aws);
    here.succeed(&UP);
    assert!(served(&aws.account(), "prod").contains_key("theirs"));
    let down = here.succeed(&DOWN);
    assert_mentions(
        &down,
        &[
            "what others had changed in the draft since, which API Gateway does not list, is no longer served",
        ],
    );
    let after = aws.account();
    assert!(!served(&after, "prod").contains_key("theirs"));
    let mut routes = api(&after)["Routes"].as_array().expect("a list").iter();
    assert!(routes.any(|route| route["RouteKey"] == "theirs"));
}

/// A deployment on top of another user's publishes what waits in the draft, so `down` asks before it.
#[test]
fn down_over_a_deployment_of_others_needs_consent() {
    for has_connect in [true, false] {
        let aws = chat((has_connect, false));
        let here = workplace(&aws);
        here.succeed(&UP);
        deploy(&aws);
        edit(&aws);
        let protected = aws.account();
        let down = here.run(&DOWN);
        assert_eq!(down.code, Some(4), "{}", down.stderr);
        assert_mentions(&down, &[&waits(&aws), "--publish-pending"]);
        assert_eq!(aws.account()["http_apis"], protected["http_apis"]);
        assert_eq!(handshakes(&aws), PROTECTED);
        let down = here.succeed(&[&DOWN[..], &["--publish-pending"]].concat());
        assert_mentions(&down, &["another user has deployed the API since"]);
        assert_eq!(handshakes(&aws), OPEN);
        assert!(served(&aws.account(), "prod").contains_key("theirs"));
    }
}

/// The consent was given for something else: others deploy after the question.
#[test]
fn a_deployment_of_others_during_down_is_not_accepted_with_the_question() {
    let aws = chat((true, false));
    let here = workplace(&aws);
    here.succeed(&UP);
    let held = json!({"operation": "UpdateRoute", "kind": "hold-before"});
    let down = here.run_with(&aws, &DOWN, &held, || {
        deploy(&aws);
        edit(&aws);
    });
    assert_ne!(down.code, Some(0), "{}", down.stderr);
    assert_mentions(&down, &["the API was changed concurrently: ", &waits(&aws)]);
    assert!(!served(&aws.account(), "prod").contains_key("theirs"));
    here.succeed(&[&DOWN[..], &["--publish-pending"]].concat());
    assert_eq!(handshakes(&aws), OPEN);
}

/// Others' edits to a stage that deploys automatically are its own setting: neither `up` nor `down` asks, also after a kill and
/// a rollback, which leave the stage frozen.
#[test]
fn an_automatic_stage_needs_no_consent() {
    const UP: [&str; 4] = ["up", "--yes", "--settle", "1ms"];
    for has_connect in [true, false] {
        let aws = chat((has_connect, true));
        let here = workplace(&aws);
        let nth = aws_calls_until(&aws, "UpdateStage");
        let killed = aws.fork();
        let there = workplace(&killed);
        assert_eq!(
            killed_after(&killed, &there, &UP, nth).as_deref(),
            Some("UpdateStage")
        );
        let plan = there.run(&["plan", "-o", "json"]).json();
        assert_eq!(plan["pending"], json!([]), "{plan}");
        there.succeed(&UP);
        assert_eq!(handshakes(&killed), PROTECTED);

        here.succeed(&UP);
        here.succeed(&["rollback"]);
        let down = aws.fork();
        here.succeed(&UP);
        assert_eq!(handshakes(&aws), PROTECTED);
        workplace(&down).succeed(&DOWN);
        assert_eq!(handshakes(&down), OPEN);
        assert_eq!(stage_of(&down.account(), "prod")["AutoDeploy"], true);
    }
}

/// The number of the changing call of `up` with this name.
fn aws_calls_until(aws: &TestAws, operation: &str) -> usize {
    let aws = aws.fork();
    aws.post("log/clear", &json!({}));
    workplace(&aws).succeed(&UP);
    let changes = aws.changes();
    let before = changes.iter().take_while(|change| *change != operation);
    before.count() + 1
}

/// One route has one authorizer in the draft, and each stage serves it as it was at its deployment.
#[test]
fn two_stacks_protect_connections_to_two_stages() {
    let aws = account(&json!({
        "protocol": "WEBSOCKET", "name": "orders-api", "routes": [{"key": "$default"}, {"key": CONNECT}],
        "stages": [{"name": "prod"}, {"name": "dev"}],
    }));
    let before = aws.account();
    let (one, two) = (
        attached(&aws, "orders", "prod"),
        attached(&aws, "partners", "dev"),
    );
    let up = |here: &Workplace| here.succeed(&UP);
    let of = |stage: &str| served(&aws.account(), stage)[CONNECT].clone();
    up(&one);
    assert_eq!(
        (of("prod"), of("dev")),
        (OURS.to_owned(), "NONE".to_owned())
    );
    up(&two);
    let theirs = "CUSTOM threescale-gw-partners-authorizer";
    assert_eq!(
        (of("prod"), of("dev")),
        (OURS.to_owned(), theirs.to_owned())
    );
    for here in [&one, &two] {
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
        here.succeed(&["verify", "--settle", "1ms", "--key", GOOD]);
    }
    one.succeed(&[&DOWN[..], &["--publish-pending"]].concat());
    assert_eq!(
        (of("prod"), of("dev")),
        ("NONE".to_owned(), theirs.to_owned())
    );
    two.succeed(&["verify", "--settle", "1ms"]);
    two.succeed(&["down", "--yes", "--stack", "partners", "--publish-pending"]);
    assert_eq!(
        (of("prod"), of("dev")),
        ("NONE".to_owned(), "NONE".to_owned())
    );
    let after = aws.account();
    assert_eq!(api(&after)["Routes"], api(&before)["Routes"]);
    assert_eq!(api(&after)["Authorizers"], api(&before)["Authorizers"]);
}

/// A stack whose stage is not frozen would be opened by the other's route: one that deploys automatically is refused by name.
#[test]
fn a_second_stack_on_an_automatic_api_is_refused() {
    let aws = account(&json!({
        "protocol": "WEBSOCKET", "name": "orders-api", "routes": [{"key": CONNECT}],
        "stages": [{"name": "prod", "auto_deploy": true}, {"name": "dev"}],
    }));
    let one = attached(&aws, "orders", "prod");
    one.succeed(&UP);
    let two = attached(&aws, "partners", "dev");
    let refused = two.run(&UP);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert_mentions(&refused, &["stage prod of WebSocket API", "deploy"]);
    assert_eq!(handshakes(&aws), PROTECTED);
}

/// A guard of its owner is replaced only by name, and restored.
#[test]
fn a_guard_of_the_owner_is_replaced_only_by_name() {
    for (route, kind) in [
        (
            json!({"key": CONNECT, "authorization": "AWS_IAM"}),
            "AWS_IAM",
        ),
        (json!({"key": CONNECT, "authorizer": "own"}), "CUSTOM own"),
    ] {
        let aws = account(&json!({
            "protocol": "WEBSOCKET", "name": "orders-api", "routes": [route], "authorizers": {"own": {}},
        }));
        let before = aws.account();
        assert_eq!(served(&before, "prod")[CONNECT], kind);
        let here = workplace(&aws);
        let refused = here.run(&UP);
        assert_eq!(refused.code, Some(4), "{kind}: {}", refused.stderr);
        assert_mentions(&refused, &[CONNECT]);
        assert_eq!(api(&aws.account()), api(&before));
        here.edit("stage: prod", "stage: prod, protect: [$connect]");
        here.succeed(&UP);
        assert_eq!(served(&aws.account(), "prod")[CONNECT], OURS);
        assert_eq!(handshakes(&aws), PROTECTED);
        here.succeed(&[&DOWN[..], &["--publish-pending"]].concat());
        assert_eq!(served(&aws.account(), "prod")[CONNECT], kind);
        assert_eq!(api(&aws.account())["Routes"], api(&before)["Routes"]);
    }
}

/// The API key of API Gateway is the owner's: it is required before, between and after.
#[test]
fn a_required_api_key_stays_required() {
    for auto_deploy in [true, false] {
        let aws = chat((true, auto_deploy));
        let now = aws.account();
        let route = json!({"ApiId": id(&now), "RouteId": connect(&now).expect("it")["RouteId"], "ApiKeyRequired": true});
        aws.call("apigatewayv2", "UpdateRoute", route);
        if !auto_deploy {
            deploy(&aws);
        }
        let required = |aws: &TestAws| {
            let now = aws.account();
            let route = connect(&now).expect("the route");
            route["ApiKeyRequired"].clone()
        };
        let before = aws.account();
        let here = workplace(&aws);
        here.succeed(&["up", "--yes", "--no-verify", "--publish-pending"]);
        assert_eq!(required(&aws), true);
        here.succeed(&[&DOWN[..], &["--publish-pending"]].concat());
        assert_eq!(required(&aws), true);
        assert_eq!(served(&aws.account(), "prod"), served(&before, "prod"));
    }
}

/// What a rollback leaves is shown until the next `up`.
#[test]
fn status_shows_that_a_rollback_opened_the_stage() {
    for auto_deploy in [true, false] {
        let kind: Kind = (false, auto_deploy);
        let aws = chat(kind);
        let here = workplace(&aws);
        here.succeed(&UP);
        let back = here.succeed(&["rollback"]);
        assert_mentions(&back, &["rolled back stage prod of API"]);
        let told = back.stderr.contains("automatic deployment of stage prod");
        assert_eq!(told, auto_deploy, "{}", back.stderr);
        let again = here.succeed(&["rollback"]);
        assert_mentions(&again, &["which is not of this stack"]);
        let status = here.run(&["status", "-o", "json"]).json();
        assert_eq!(status["api"]["methods"][0]["protected"], json!(false));
        let verify = here.run(&["verify", "--settle", "1ms", "-o", "json"]);
        assert_eq!(verify.code, Some(1), "{}", verify.stdout);
        let rows = verify.json()["requests"].clone();
        assert_eq!(rows[0]["fault"], Value::from("open"), "{rows}");
    }
}

/// A change of what the authorizer asks for is deployed and verified by the run that makes it, whether the stage deploys
/// automatically or not.
#[test]
fn changed_settings_take_effect_with_the_run_that_makes_them() {
    for auto_deploy in [true, false] {
        let aws = chat((true, auto_deploy));
        let observing = workplace(&aws);
        observing.edit("authorizer: {", "authorizer: {mode: observe, ");
        observing.succeed(&UP);
        let here = workplace(&aws);
        here.succeed(&UP);
        assert_eq!(handshakes(&aws), PROTECTED, "automatic: {auto_deploy}");
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{auto_deploy}: {}", plan.stdout);
        let stage = stage_of(&aws.account(), "prod")["AutoDeploy"] == true;
        assert_eq!(stage, auto_deploy);
        here.succeed(&DOWN);
        assert_eq!(handshakes(&aws), OPEN);
    }
}

//! `rollback` moves the stage back to the deployment before the stack's with one call, and the next `up` moves it
//! forward again.

use crate::support::assert_same;
use crate::support::rest_api::{
    account, assert_mentions, deployments, draft, publish, served, stage_of, workplace,
};

const HERE: &str = "api: {name: orders-api, stage: prod}";
/// The changing calls of a rollback. The first and the last one are for the lock of the API.
const MOVES: [&str; 3] = ["PutParameter", "UpdateStage", "DeleteParameter"];

#[test]
fn the_stage_goes_back_with_one_call_and_the_next_up_brings_it_forward_again() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    let protected = aws.account();

    aws.post("log/clear", &serde_json::json!({}));
    let run = here.succeed(&["rollback", "--stack", "orders", "-f", "none.yaml"]);
    assert_eq!(aws.changes(), MOVES);
    let former = stage_of(&before, &id, "prod")["deploymentId"]
        .as_str()
        .expect("an id");
    assert_mentions(&run, &[&id, "prod", former]);
    let open = "without authorization now in stage prod";
    let told = run.stderr.lines().find(|line| line.contains(open));
    let told = told.unwrap_or_else(|| panic!("{open}: {}", run.stderr));
    assert!(told.contains("GET /orders"), "{told}");
    let back = aws.account();
    assert_eq!(stage_of(&back, &id, "prod"), stage_of(&before, &id, "prod"));
    assert_eq!(draft(&back, &id), draft(&protected, &id));
    assert_eq!(deployments(&back, &id), deployments(&protected, &id));

    // A second `rollback` has nothing to do and reports that.
    aws.post("log/clear", &serde_json::json!({}));
    let run = here.succeed(&["rollback", "-o", "json"]);
    let stages = &run.json()["stages"];
    assert_eq!(stages[0]["moved"], false);
    assert_eq!(stages[0]["from"], former);
    assert_eq!(aws.changes(), [MOVES[0], MOVES[2]]);

    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3));
    assert_mentions(&plan, &["deployment", former]);
    here.succeed(&["up", "--yes"]);
    let forward = aws.account();
    assert_eq!(served(&forward, &id, "prod"), draft(&protected, &id));
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));

    here.succeed(&["rollback"]);
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn without_a_deployment_to_go_back_to_nothing_is_changed() {
    let (aws, id) = account();
    let here = workplace(&aws, HERE);
    let run = here.run(&["rollback"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert_mentions(&run, &["there is no stack orders in us-east-1"]);

    // Another user publishes a deployment after the stack's, and the next `up` deploys after that. A rollback would
    // undo the other user's work.
    here.succeed(&["up", "--yes"]);
    crate::support::rest_api::change(
        &aws,
        &id,
        "GET",
        "/orders",
        &[("/authorizationType", "NONE")],
    );
    publish(&aws, &id, "prod");
    here.succeed(&["up", "--yes"]);
    let before = aws.account();
    let run = here.run(&["rollback"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_mentions(&run, &["has published in between", "threescale-gw down"]);
    assert_same(&before, &aws.account());
}

/// Only methods with the stack's own authorizer in the served deployment count as protected by the stack.
#[test]
fn a_method_is_protected_by_us_or_it_is_not() {
    let (aws, _) = account();
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, protect: ["ANY /*", "GET /me"]}"#,
    );
    let is_protected = || {
        let status = here.succeed(&["status", "-o", "json"]).json();
        let methods = status["api"]["methods"].as_array().expect("a list");
        let me = methods.iter().find(|method| method["path"] == "/me");
        me.expect("the method")["protected"] == true
    };
    assert!(!is_protected(), "its own authorizer guards it");
    here.succeed(&["up", "--yes"]);
    assert!(is_protected());
    here.succeed(&["rollback"]);
    assert!(!is_protected(), "its own authorizer guards it again");
}

#[test]
fn what_others_published_with_our_authorizer_is_no_success_and_a_deployment_can_be_named() {
    let (aws, id) = account();
    let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    let former = former.as_str().expect("an id");
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    let theirs = publish(&aws, &id, "prod");
    let before = aws.account();
    let run = here.run(&["rollback"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_mentions(
        &run,
        &[
            &theirs,
            "another user published and which uses this stack's authorizer",
            "rollback --to <deployment>",
        ],
    );
    assert_same(&before, &aws.account());

    aws.check_log();
    let moved = here.succeed(&["rollback", "--to", former]);
    assert_mentions(&moved, &["rolled back stage", former, &theirs]);
    assert_eq!(aws.changes(), MOVES);
    assert_eq!(
        stage_of(&aws.account(), &id, "prod")["deploymentId"],
        former
    );
    let none = here.run(&["rollback", "--to", "nosuch"]);
    assert_eq!(none.code, Some(1), "{}", none.stderr);
    assert_mentions(&none, &["deployment nosuch does not exist", &theirs]);
}

#[test]
fn a_deployment_that_others_deleted_is_reported_and_the_others_are_listed() {
    let (aws, id) = account();
    let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    let former = former.as_str().expect("an id");
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    assert!(
        !here.succeed(&["status"]).stdout.contains(former),
        "the former deployment exists"
    );
    let made = aws.call(
        "apigateway",
        "CreateDeployment",
        serde_json::json!({"restApiId": id, "description": "second release"}),
    );
    let second = made["id"].as_str().expect("an id");
    aws.call(
        "apigateway",
        "DeleteDeployment",
        serde_json::json!({"restApiId": id, "deploymentId": former}),
    );
    let before = aws.account();
    let status = here.succeed(&["status"]);
    let text =
        format!("deployment {former}, to which `rollback` returns stage prod, no longer exists");
    assert_mentions(&status, &[&text]);
    let run = here.run(&["rollback"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_mentions(
        &run,
        &[
            &format!("deployment {former} does not exist"),
            &format!("other deployments of the API: {second} (second release, "),
            "rollback --to <deployment>",
        ],
    );
    assert_same(&before, &aws.account());
    here.succeed(&["rollback", "--to", second]);
    assert_eq!(
        stage_of(&aws.account(), &id, "prod")["deploymentId"],
        second
    );
}

//! HTTP APIs: all routes switch in one moment, whether the stage deploys automatically or not, and everything is restored.

use serde_json::{Value, json};

use crate::support::http_api::{
    PROTECTED, account, api, assert_unmixed, comparable, rich, served, stage_of, watch, workplace,
};
use crate::support::kill::{each, killed_after_each, to_finish_and_remove};
use crate::support::rest_api::assert_mentions;
use crate::support::{Run, assert_same, eventually};

/// The stages of the tests: their name, and whether they deploy automatically.
const STAGES: [(&str, bool); 4] = [
    ("prod", true),
    ("$default", true),
    ("prod", false),
    ("$default", false),
];

/// Asserts that the stage serves the protected routes with the stack's authorizer, and the others as before.
fn assert_protected(before: &Value, now: &Value, stage: &str) {
    let ours = "CUSTOM threescale-gw-orders-authorizer";
    let mut wanted = served(before, stage);
    for route in PROTECTED {
        wanted.insert(route.to_owned(), ours.to_owned());
    }
    assert_eq!(served(now, stage), wanted);
}

fn automatic(account: &Value, stage: &str) -> bool {
    stage_of(account, stage)["AutoDeploy"] == true
}

#[test]
fn up_protects_and_down_restores_in_one_moment_each() {
    for (stage, auto_deploy) in STAGES {
        let when = format!("stage {stage}, automatic: {auto_deploy}");
        let aws = account(&rich(stage, auto_deploy));
        let before = aws.account();
        let here = workplace(&aws, stage);
        watch(&aws, stage);
        here.succeed(&["up", "--yes"]);
        assert_unmixed(&aws, 30, &when);
        aws.check_log();
        let after = aws.account();
        assert_protected(&before, &after, stage);
        assert_eq!(automatic(&after, stage), auto_deploy, "{when}");
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
        let again = here.succeed(&["up", "--yes"]);
        assert!(
            again.stderr.contains("No changes"),
            "{when}: {}",
            again.stderr
        );

        aws.post("log/clear", &json!({}));
        here.succeed(&["down", "--yes"]);
        assert_unmixed(&aws, 20, &when);
        aws.check_log();
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// Each state that a kill of `up` leaves: the routes are all open or all protected, the next `up` finishes and thaws, and so
/// does the next `down`.
#[test]
fn up_killed_after_each_call_is_finished_or_removed() {
    for stage in ["prod", "$default"] {
        let aws = account(&rich(stage, true));
        let before = aws.account();
        let here = workplace(&aws, stage);
        watch(&aws, stage);
        let states = killed_after_each(&aws, &here, &["up", "--yes"], "apigatewayv2");
        assert!(states.len() >= 9, "{} changing calls", states.len());
        each(
            to_finish_and_remove(states),
            |nth, (operation, aws, goes_on)| {
                let when = format!("{stage}, killed after {nth}, {operation}, up: {goes_on}");
                let here = workplace(&aws, stage);
                aws.post("log/clear", &json!({}));
                watch(&aws, stage);
                if goes_on {
                    here.succeed(&["up", "--yes"]);
                    assert_protected(&before, &aws.account(), stage);
                    assert!(automatic(&aws.account(), stage), "{when}");
                    let plan = here.run(&["plan", "--exit-code"]);
                    assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
                }
                here.succeed(&["down", "--yes", "--stack", "orders"]);
                assert_unmixed(&aws, 1, &when);
                assert_same(&comparable(&before), &comparable(&aws.account()));
            },
        );
    }
}

#[test]
fn down_killed_after_each_call_is_finished_by_the_next_down() {
    const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];
    let aws = account(&rich("prod", true));
    let before = aws.account();
    let here = workplace(&aws, "prod");
    here.succeed(&["up", "--yes"]);
    let states = killed_after_each(&aws, &here, &DOWN, "apigatewayv2");
    assert!(states.len() >= 9, "{} changing calls", states.len());
    each(states, |nth, killed| {
        let aws = killed.aws;
        watch(&aws, "prod");
        workplace(&aws, "prod").succeed(&DOWN);
        let when = format!("killed after {nth}, {}", killed.after);
        assert_unmixed(&aws, 1, &when);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

/// A rollback takes two calls, says that automatic deployment is off, and the next `up` or `down` turns it on again.
#[test]
fn a_rollback_opens_all_routes_and_leaves_automatic_deployment_off_until_the_next_run() {
    let aws = account(&rich("prod", true));
    let before = aws.account();
    let here = workplace(&aws, "prod");
    here.succeed(&["up", "--yes"]);
    let protected = aws.account();
    aws.post("log/clear", &json!({}));
    watch(&aws, "prod");
    let back = here.run(&["rollback"]);
    assert_mentions(
        &back,
        &[
            "automatic deployment of stage prod",
            "is off until the next",
        ],
    );
    assert_eq!(back.code, Some(0));
    assert_unmixed(&aws, 2, "rollback");
    let calls = aws.changes();
    let of_stage = calls.iter().filter(|call| *call == "UpdateStage").count();
    assert_eq!(of_stage, 2, "{calls:?}");
    let open = aws.account();
    assert_eq!(served(&open, "prod"), served(&before, "prod"));
    assert!(!automatic(&open, "prod"));
    let status = here.run(&["status"]);
    assert_mentions(&status, &["automatic deployment: off -> on"]);

    let up = aws.fork();
    workplace(&up, "prod").succeed(&["up", "--yes"]);
    assert_eq!(served(&up.account(), "prod"), served(&protected, "prod"));
    assert!(automatic(&up.account(), "prod"));
    here.succeed(&["down", "--yes"]);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// What does not pass the verification is undone: the stage goes back in one call, and deploys automatically again.
#[test]
fn a_failed_verification_restores_the_routes_and_thaws_the_stage() {
    for auto_deploy in [true, false] {
        let aws = account(&rich("prod", auto_deploy));
        let before = aws.account();
        let here = workplace(&aws, "prod");
        watch(&aws, "prod");
        aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
        let up = here.run(&["up", "--yes", "--settle", "0s"]);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_mentions(&up, &["is rolled back to deployment"]);
        let after = aws.account();
        assert_eq!(served(&after, "prod"), served(&before, "prod"));
        assert_eq!(automatic(&after, "prod"), auto_deploy);
        aws.post("config", &json!({"outcomes": {"authorizer": null}}));
        here.succeed(&["up", "--yes"]);
        assert_protected(&before, &aws.account(), "prod");
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// Another stage that deploys automatically would publish each route at once.
#[test]
fn another_stage_that_deploys_automatically_is_refused_by_name() {
    let mut seed = rich("prod", true);
    seed["stages"] =
        json!([{"name": "prod", "auto_deploy": true}, {"name": "dev", "auto_deploy": true}]);
    let aws = account(&seed);
    let before = aws.account();
    let here = workplace(&aws, "prod");
    let up = here.run(&["up", "--yes"]);
    assert_ne!(up.code, Some(0));
    assert_mentions(&up, &["stage dev", "deploys automatically"]);
    here.succeed(&["down", "--yes", "--stack", "orders"]);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// A stage that quick create made refuses to be frozen: each route is either as before or protected, and all are restored.
#[test]
fn a_managed_stage_is_changed_route_by_route() {
    let seed = json!({"protocol": "HTTP", "name": "orders-api", "quick_create": true,
        "routes": [{"key": "GET /orders"}, {"key": "POST /orders"}, {"key": "GET /orders/{id}"}]});
    let aws = account(&seed);
    let before = aws.account();
    let here = workplace(&aws, "$default");
    here.succeed(&["up", "--yes"]);
    let after = aws.account();
    let protected = served(&after, "$default");
    assert!(
        protected
            .values()
            .all(|kind| kind.starts_with("CUSTOM threescale-gw")),
        "{protected:?}"
    );
    let changed: Vec<_> = aws
        .log()
        .into_iter()
        .filter(|entry| entry["operation"] == "UpdateRoute")
        .map(|entry| entry["parameters"]["RouteId"].clone())
        .collect();
    let first = api(&after)["Routes"]
        .as_array()
        .and_then(|routes| routes.iter().find(|route| route["RouteId"] == changed[0]));
    assert_eq!(
        first.map(|route| &route["RouteKey"]),
        Some(&json!("GET /orders"))
    );
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// Each changing call of `up` and `down` fails once, or its answer is lost.
#[test]
fn a_fault_at_each_call_changes_nothing_in_the_end() {
    for kind in ["throttle", "500", "drop", "unreadable", "conflict"] {
        let aws = account(&rich("prod", true));
        let before = aws.account();
        let here = workplace(&aws, "prod");
        watch(&aws, "prod");
        let every =
            json!([{"service": "apigatewayv2", "mutating": true, "every": true, "kind": kind}]);
        aws.post("faults", &every);
        here.succeed(&["up", "--yes"]);
        assert_unmixed(&aws, 9, kind);
        assert_protected(&before, &aws.account(), "prod");
        here.succeed(&["down", "--yes"]);
        assert_unmixed(&aws, 9, kind);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// The stages of an API share its draft, so the stack is removed from the one before it is attached to the other.
#[test]
fn a_move_to_another_stage_is_refused_until_the_stack_is_removed() {
    let mut seed = rich("prod", false);
    seed["stages"] = json!([{"name": "prod"}, {"name": "dev"}]);
    let aws = account(&seed);
    let before = aws.account();
    workplace(&aws, "prod").succeed(&["up", "--yes"]);
    let there = workplace(&aws, "dev");
    let protected = aws.account();
    let up = there.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["the stack is attached to stage prod of HTTP API"]);
    assert_same(&protected, &aws.account());
    workplace(&aws, "prod").succeed(&["down", "--yes"]);
    assert_same(&comparable(&before), &comparable(&aws.account()));
    there.succeed(&["up", "--yes"]);
    assert_protected(&before, &aws.account(), "dev");
    assert_eq!(served(&aws.account(), "prod"), served(&before, "prod"));
    there.succeed(&["down", "--yes"]);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// Two stacks protect different routes of one stage: neither opens nor takes over a route of the other.
#[test]
fn two_stacks_protect_different_routes_of_one_stage() {
    for auto_deploy in [true, false] {
        let aws = account(&rich("prod", auto_deploy));
        let before = aws.account();
        let only = |stack: &str, route: &str| {
            let here = workplace(&aws, "prod");
            here.edit("stack: orders", &format!("stack: {stack}"));
            here.edit(
                "except: [\"GET /health\"]",
                &format!("protect: [\"{route}\"]"),
            );
            here
        };
        let (one, two) = (
            only("orders", "GET /orders"),
            only("partners", "POST /orders"),
        );
        one.succeed(&["up", "--yes"]);
        two.succeed(&["up", "--yes"]);
        let both = served(&aws.account(), "prod");
        assert_eq!(
            both["GET /orders"],
            "CUSTOM threescale-gw-orders-authorizer"
        );
        assert_eq!(
            both["POST /orders"],
            "CUSTOM threescale-gw-partners-authorizer"
        );
        one.succeed(&["down", "--yes"]);
        let second = served(&aws.account(), "prod");
        assert_eq!(second["GET /orders"], "NONE");
        assert_eq!(
            second["POST /orders"],
            "CUSTOM threescale-gw-partners-authorizer"
        );
        two.succeed(&["down", "--yes"]);
        let after = aws.account();
        assert_eq!(served(&after, "prod"), served(&before, "prod"));
        assert_eq!(api(&after)["Routes"], api(&before)["Routes"]);
        assert_eq!(api(&after)["Authorizers"], api(&before)["Authorizers"]);
        assert_eq!(automatic(&after, "prod"), auto_deploy);
    }
}

/// After a rollback, a run that does not change the API leaves the stage open and frozen.
#[test]
fn a_run_for_the_authorizer_alone_does_not_undo_a_rollback() {
    let aws = account(&rich("prod", true));
    let before = aws.account();
    let here = workplace(&aws, "prod");
    here.succeed(&["up", "--yes"]);
    here.succeed(&["rollback"]);
    let artifact = crate::support::artifact(1);
    here.write("bootstrap.zip", &artifact);
    here.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(served(&aws.account(), "prod"), served(&before, "prod"));
    here.succeed(&["up", "--yes"]);
    assert_protected(&before, &aws.account(), "prod");
    assert!(automatic(&aws.account(), "prod"));
    here.succeed(&["down", "--yes"]);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// The mode changes in one moment for all callers, and a failed verification of it returns to the former mode.
#[test]
fn a_change_of_the_mode_on_an_automatic_stage_takes_effect_in_one_moment_and_is_undone_whole() {
    let aws = account(&rich("prod", true));
    let here = workplace(&aws, "prod");
    here.edit("authorizer: {", "authorizer: {mode: observe, ");
    here.succeed(&["up", "--yes"]);
    let observed = served(&aws.account(), "prod");
    here.edit("mode: observe, ", "");
    let failing = aws.fork();
    watch(&aws, "prod");
    here.succeed(&["up", "--yes"]);
    assert_unmixed(&aws, 5, "observe to enforce");
    assert_eq!(served(&aws.account(), "prod"), observed);
    assert!(automatic(&aws.account(), "prod"));

    let here = workplace(&failing, "prod");
    failing.post(
        "config",
        &json!({"outcomes": {"authorizer": {"3": "error", "2": "error"}}}),
    );
    let up = here.run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    failing.post("config", &json!({"outcomes": {"authorizer": null}}));
    watch(&failing, "prod");
    let verify = here.run(&["status"]);
    assert_mentions(&verify, &["automatic deployment"]);
    here.succeed(&["up", "--yes"]);
    assert!(automatic(&failing.account(), "prod"));
}

/// Other users go on while a run has the stage frozen: their edit is deployed by the thaw, told, and nothing of theirs is lost.
#[test]
fn an_edit_of_others_while_the_stage_is_frozen_is_deployed_and_told() {
    let aws = account(&rich("prod", true));
    let here = workplace(&aws, "prod");
    let id = crate::support::http_api::id(&aws.account());
    aws.post(
        "faults",
        &json!([{"service": "apigatewayv2", "operation": "UpdateStage", "nth": 2, "kind": "hold"}]),
    );
    let child = here.start(&["up", "--yes"]);
    eventually("the held call", || {
        (!aws.get("held?timeout=1")["held"].is_null()).then_some(())
    });
    aws.call(
        "apigatewayv2",
        "CreateRoute",
        json!({"ApiId": id, "RouteKey": "OPTIONS /theirs"}),
    );
    assert!(!served(&aws.account(), "prod").contains_key("OPTIONS /theirs"));
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    let up = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "automatic deployment of stage prod is on again",
            "OPTIONS /theirs is new",
        ],
    );
    let after = aws.account();
    assert!(served(&after, "prod").contains_key("OPTIONS /theirs"));
    assert!(automatic(&after, "prod"));
    here.succeed(&["down", "--yes"]);
    assert!(served(&aws.account(), "prod").contains_key("OPTIONS /theirs"));
}

/// What others have not deployed yet is listed and refused, and published with consent only.
#[test]
fn what_waits_in_the_draft_is_listed_and_needs_consent() {
    let mut seed = rich("prod", false);
    seed["pending"] = json!([{"key": "GET /new"}, {"remove": "GET /health"}, {"cors": {"AllowOrigins": ["https://x.example"]}}]);
    let aws = account(&seed);
    let before = aws.account();
    let here = workplace(&aws, "prod");
    let plan = here.run(&["plan"]);
    assert_mentions(
        &plan,
        &[
            "GET /new is new",
            "GET /health is removed",
            "the API's cors changed",
        ],
    );
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_same(&before, &aws.account());
    here.succeed(&["up", "--yes", "--publish-pending"]);
    let after = served(&aws.account(), "prod");
    assert!(after.contains_key("GET /new") && !after.contains_key("GET /health"));
    here.succeed(&["down", "--yes"]);
    assert_eq!(api(&before)["Routes"], api(&aws.account())["Routes"]);
}

/// One stage is configured, the other is not and does not deploy automatically: it serves the same before, between and after.
#[test]
fn another_stage_is_not_changed() {
    let mut seed = rich("prod", true);
    seed["stages"] = json!([{"name": "prod", "auto_deploy": true}, {"name": "dev"}]);
    let aws = account(&seed);
    let before = aws.account();
    let here = workplace(&aws, "prod");
    watch(&aws, "dev");
    here.succeed(&["up", "--yes"]);
    let status = here.run(&["status"]);
    assert_mentions(&status, &["stage dev serves"]);
    here.succeed(&["down", "--yes"]);
    for (operation, statuses) in crate::support::http_api::watched(&aws) {
        assert_eq!(statuses, [200; 5], "after {operation}");
    }
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

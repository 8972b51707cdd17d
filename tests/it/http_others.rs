//! Others change an HTTP API before, while and after the stack protects it: nothing of theirs is lost, and no caller sees an
//! in-between state of the stack's making.

use serde_json::{Value, json};

use crate::http_odd::{account, workplace};
use crate::support::http_api::{api, comparable, id, served, stage_of};
use crate::support::kill::each;
use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace, assert_same};

const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";
const UP: [&str; 3] = ["up", "--yes", "--no-verify"];

fn orders(auto_deploy: bool) -> (TestAws, Workplace) {
    let aws = account(&json!({
        "protocol": "HTTP", "name": "orders-api",
        "routes": [{"key": "GET /a"}, {"key": "GET /b"}, {"key": "GET /c"}, {"key": "GET /d"}],
        "stages": [{"name": "prod", "auto_deploy": auto_deploy}],
    }));
    let here = workplace(&aws, "prod", "");
    (aws, here)
}

fn route(account: &Value, key: &str) -> Value {
    let routes = api(account)["Routes"].as_array().expect("a list");
    let route = routes.iter().find(|route| route["RouteKey"] == key);
    route.expect("the route").clone()
}

/// One edit of each kind: `GET /b` is deleted, `GET /c` needs IAM permissions, and `GET /new` is added.
fn edit(aws: &TestAws) {
    let account = aws.account();
    let of_c = json!({"ApiId": id(&account), "RouteId": route(&account, "GET /c")["RouteId"], "AuthorizationType": "AWS_IAM"});
    aws.call("apigatewayv2", "UpdateRoute", of_c);
    edit_others(aws);
}

/// The same without that of `GET /c`.
fn edit_others(aws: &TestAws) {
    let account = aws.account();
    let of = |key: &str| json!({"ApiId": id(&account), "RouteId": route(&account, key)["RouteId"]});
    aws.call("apigatewayv2", "DeleteRoute", of("GET /b"));
    let target = route(&account, "GET /a")["Target"].clone();
    let added = json!({"ApiId": id(&account), "RouteKey": "GET /new", "Target": target});
    aws.call("apigatewayv2", "CreateRoute", added);
}

/// What the stage serves, and what the draft has, as `key: authorization`.
fn state(aws: &TestAws) -> [Vec<String>; 2] {
    let account = aws.account();
    let served = served(&account, "prod").into_iter();
    let served = served.map(|(key, kind)| format!("{key}: {kind}"));
    let routes = api(&account)["Routes"].as_array().expect("a list").iter();
    let mut drafted: Vec<_> = routes
        .map(|route| {
            let kind = route["AuthorizationType"].as_str().unwrap_or_default();
            format!("{}: {kind}", route["RouteKey"].as_str().expect("a key"))
        })
        .collect();
    drafted.sort();
    [served.collect(), drafted]
}

fn lines(routes: &[(&str, &str)]) -> Vec<String> {
    let lines = routes.iter().map(|(key, kind)| format!("{key}: {kind}"));
    lines.collect()
}

const EDITED: [(&str, &str); 4] = [
    ("GET /a", "NONE"),
    ("GET /c", "AWS_IAM"),
    ("GET /d", "NONE"),
    ("GET /new", "NONE"),
];

#[test]
fn edits_between_the_plan_and_up_are_refused_and_then_protected() {
    for auto_deploy in [true, false] {
        let (aws, here) = orders(auto_deploy);
        here.succeed(&["plan", "--out", "plan.json"]);
        edit(&aws);
        let before = aws.account();
        let approved = here.run(&["up", "--plan", "plan.json", "--no-verify"]);
        assert_eq!(approved.code, Some(4), "{}", approved.stderr);
        assert_same(&before, &aws.account());
        if auto_deploy {
            here.succeed(&UP);
        } else {
            let refused = here.run(&UP);
            assert_eq!(refused.code, Some(4), "{}", refused.stderr);
            let told = [
                "GET /b is removed",
                "GET /c: authorization changed",
                "GET /new is new",
            ];
            assert_mentions(&refused, &told);
            assert_same(&before, &aws.account());
            here.succeed(&[&UP[..], &["--publish-pending"]].concat());
        }
        let protected = [
            ("GET /a", OURS),
            ("GET /c", "AWS_IAM"),
            ("GET /d", OURS),
            ("GET /new", OURS),
        ];
        assert_eq!(state(&aws)[0], lines(&protected), "{auto_deploy}");
        here.succeed(&["down", "--yes"]);
        assert_eq!(
            state(&aws),
            [lines(&EDITED), lines(&EDITED)],
            "{auto_deploy}"
        );
    }
}

/// At the moments of a run: after the freeze, between the routes, before and after the stage moves.
#[test]
fn edits_at_any_moment_of_up_are_kept() {
    let moments = vec![
        ("CreateAuthorizer", 1),
        ("UpdateStage", 1),
        ("UpdateRoute", 1),
        ("CreateDeployment", 1),
        ("UpdateStage", 2),
        ("UpdateStage", 3),
    ];
    each(moments, |_, (operation, nth)| {
        let when = format!("{operation} {nth}");
        let (aws, here) = orders(true);
        let rule =
            json!({"service": "apigatewayv2", "operation": operation, "nth": nth, "kind": "hold"});
        // An authorization that others set in the second before the run does is overwritten: there is no conditional update.
        let keeps_c = operation != "UpdateRoute";
        let up = here.run_with(&aws, &UP, &rule, || match keeps_c {
            true => edit(&aws),
            false => edit_others(&aws),
        });
        // What others have published in the last moment is refused: it was not shown.
        assert!(matches!(up.code, Some(0 | 5)), "{when}: {}", up.stderr);
        assert!(!up.stderr.contains("panicked"), "{when}: {}", up.stderr);
        here.succeed(&UP);
        let [served, _] = state(&aws);
        let has = |line: &str| served.iter().any(|found| found == line);
        for open in ["GET /a", "GET /d", "GET /new"] {
            assert!(has(&format!("{open}: {OURS}")), "{when}: {served:?}");
        }
        let of_c = if keeps_c { "AWS_IAM" } else { OURS };
        assert!(has(&format!("GET /c: {of_c}")), "{when}: {served:?}");
        assert_eq!(served.len(), 4, "{when}: {served:?}");
        assert!(
            stage_of(&aws.account(), "prod")["AutoDeploy"] == true,
            "{when}"
        );
        let status = here.run(&["status", "--exit-code", "--no-deep"]);
        assert!(
            matches!(status.code, Some(0 | 3)),
            "{when}: {}",
            status.stdout
        );
        here.succeed(&["down", "--yes"]);
        let mut left = EDITED;
        left[1].1 = if keeps_c { "AWS_IAM" } else { "NONE" };
        assert_eq!(state(&aws), [lines(&left), lines(&left)], "{when}");
    });
}

#[test]
fn edits_between_up_and_down_are_kept() {
    for auto_deploy in [true, false] {
        let (aws, here) = orders(auto_deploy);
        here.succeed(&UP);
        edit(&aws);
        let down: &[&str] = match auto_deploy {
            true => &["down", "--yes"],
            false => &["down", "--yes", "--publish-pending"],
        };
        let run = here.succeed(down);
        assert_mentions(&run, &["GET /c was changed by another user since"]);
        let [served, drafted] = state(&aws);
        assert_eq!(drafted, lines(&EDITED), "{auto_deploy}");
        if auto_deploy {
            assert_eq!(served, lines(&EDITED));
        }
    }
}

#[test]
fn an_authorizer_of_others_with_our_name_is_refused_and_left_alone() {
    for names in ["unique", "any"] {
        let (aws, here) = orders(true);
        aws.post("config", &json!({"http_api": {"authorizer_names": names}}));
        let account = aws.account();
        let function = "arn:aws:lambda:us-east-1:123456789012:function:theirs";
        let theirs = json!({
            "ApiId": id(&account), "Name": "threescale-gw-orders-authorizer", "AuthorizerType": "REQUEST", "IdentitySource": [],
            "AuthorizerPayloadFormatVersion": "2.0",
            "AuthorizerUri": format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"),
        });
        aws.call("apigatewayv2", "CreateAuthorizer", theirs);
        let before = aws.account();
        for command in [&["plan"][..], &UP] {
            let run = here.run(command);
            assert_eq!(run.code, Some(4), "{names}: {}", run.stderr);
            assert_mentions(&run, &["it invokes another function"]);
        }
        assert_same(&before, &aws.account());
    }
}

/// Another user turns automatic deployment on while the stage is frozen: the run freezes it again, or fails; it never ends
/// with some routes protected only.
#[test]
fn automatic_deployment_that_others_turn_on_meanwhile_does_not_leave_a_mixed_stage() {
    let moments = vec![
        ("UpdateStage", 1),
        ("UpdateRoute", 2),
        ("CreateDeployment", 1),
        ("UpdateStage", 2),
    ];
    each(moments, |_, (operation, nth)| {
        let when = format!("{operation} {nth}");
        let (aws, here) = orders(true);
        let before = aws.account();
        let rule =
            json!({"service": "apigatewayv2", "operation": operation, "nth": nth, "kind": "hold"});
        let on = json!({"ApiId": id(&before), "StageName": "prod", "AutoDeploy": true});
        let up = here.run_with(&aws, &UP, &rule, || {
            aws.call("apigatewayv2", "UpdateStage", on.clone());
        });
        if up.code != Some(0) {
            assert_eq!(up.code, Some(5), "{when}: {}", up.stderr);
            let told = "another user has turned automatic deployment of stage prod";
            assert_mentions(&up, &["failed[concurrent-change]", told]);
            here.succeed(&UP);
        }
        let [served, _] = state(&aws);
        assert!(
            served.iter().all(|line| line.ends_with(OURS)),
            "{when}: {served:?}"
        );
        assert!(
            stage_of(&aws.account(), "prod")["AutoDeploy"] == true,
            "{when}"
        );
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

/// Without an export, nothing tells what a deployment would publish. A stage that deploys automatically serves the draft already.
#[test]
fn what_waits_in_an_api_that_is_not_exported_needs_consent() {
    for (auto_deploy, code, status) in [
        (true, "BadRequestException", 400),
        (false, "BadRequestException", 400),
        (false, "NotFoundException", 404),
    ] {
        let (aws, here) = orders(auto_deploy);
        edit(&aws);
        let before = aws.account();
        let fault = json!([{"operation": "ExportApi", "kind": "error", "code": code, "message": "no", "status": status}]);
        aws.post("faults", &fault);
        let plan = here.succeed(&["plan", "-o", "json"]).json();
        let waits = format!(
            "what waits in the draft of HTTP API {}, which API Gateway could not export",
            id(&before)
        );
        let pending = if auto_deploy {
            json!([])
        } else {
            json!([waits])
        };
        assert_eq!(plan["pending"], pending, "{code}");
        if !auto_deploy {
            let up = here.run(&UP);
            assert_eq!(up.code, Some(4), "{}", up.stderr);
            assert_mentions(&up, &[&waits, "--publish-pending"]);
            assert_same(&before, &aws.account());
        }
        let consent = |arguments: &[&'static str]| match auto_deploy {
            true => arguments.to_vec(),
            false => [arguments, &["--publish-pending"]].concat(),
        };
        here.succeed(&consent(&UP));
        let protected = [
            ("GET /a", OURS),
            ("GET /c", "AWS_IAM"),
            ("GET /d", OURS),
            ("GET /new", OURS),
        ];
        assert_eq!(state(&aws)[0], lines(&protected), "{code}");
        here.succeed(&consent(&["down", "--yes"]));
        assert_eq!(state(&aws), [lines(&EDITED), lines(&EDITED)], "{code}");
    }
}

/// Whether an export has the authorizers that no route uses is not known.
const EXPORTED: [&str; 2] = ["used", "all"];

/// The authorizer of a stack in the draft is no edit of others for a stack on another stage.
#[test]
fn two_stacks_on_two_stages_see_no_edits_of_each_other() {
    for (exported, route) in EXPORTED.into_iter().flat_map(|exported| {
        let routes = ["GET /a", "GET /b"];
        routes.map(|route| (exported, route))
    }) {
        let when = format!("{exported}, {route}");
        let aws = account(&json!({
            "protocol": "HTTP", "name": "orders-api", "routes": [{"key": "GET /a"}, {"key": "GET /b"}],
            "stages": [{"name": "prod"}, {"name": "dev"}],
        }));
        let before = aws.account();
        aws.post(
            "config",
            &json!({"http_api": {"exported_authorizers": exported}}),
        );
        let one = workplace(&aws, "prod", ", protect: [\"GET /a\"]");
        let two = workplace(&aws, "dev", &format!(", protect: [\"{route}\"]"));
        two.edit("stack: orders", "stack: partners");
        one.succeed(&UP);
        let plan = two.succeed(&["plan", "-o", "json"]).json();
        assert_eq!(plan["pending"], json!([]), "{when}");
        two.succeed(&UP);
        let account = aws.account();
        assert_eq!(served(&account, "prod")["GET /a"], OURS, "{when}");
        let theirs = "CUSTOM threescale-gw-partners-authorizer";
        assert_eq!(served(&account, "dev")[route], theirs, "{when}");
        for stack in [&one, &two] {
            stack.succeed(&["rollback"]);
            stack.succeed(&UP);
        }
        two.succeed(&["down", "--yes"]);
        one.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// The former authorizers of routes that the stack takes over by name are used by no route of the draft any more. With this many
/// routes, the draft is compared once more before the deployment.
#[test]
fn authorizers_of_routes_that_are_taken_over_are_no_edits_of_others() {
    for exported in EXPORTED {
        let mut routes: Vec<_> = (0..12)
            .map(|number| json!({"key": format!("GET /user-{number:02}"), "authorization": "JWT", "authorizer": "tokens", "scopes": ["a"]}))
            .collect();
        routes.push(json!({"key": "GET /me", "authorizer": "own"}));
        let keys: Vec<_> = routes.iter().map(|route| route["key"].clone()).collect();
        let aws = account(&json!({
            "protocol": "HTTP", "name": "orders-api", "routes": routes, "stages": [{"name": "prod"}],
        }));
        let before = aws.account();
        aws.post(
            "config",
            &json!({"http_api": {"exported_authorizers": exported}}),
        );
        let here = workplace(&aws, "prod", &format!(", protect: {}", Value::from(keys)));
        let rule = json!({"operation": "UpdateRoute", "nth": 13, "kind": "hold", "freeze": true});
        aws.post("faults", &json!([rule]));
        let mut killed = here.start(&UP);
        assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
        killed.kill().expect("a signal");
        killed.wait().expect("its end");
        aws.post("release", &json!({}));
        aws.post("faults", &json!([]));
        let protected = || {
            let served = served(&aws.account(), "prod");
            served.values().filter(|kind| *kind == OURS).count()
        };
        here.succeed(&UP);
        assert_eq!(protected(), 13, "{exported}");
        here.succeed(&["rollback"]);
        assert_eq!(protected(), 0, "{exported}");
        here.succeed(&UP);
        assert_eq!(protected(), 13, "{exported}");
        here.succeed(&["down", "--yes"]);
        assert_same(&comparable(&before), &comparable(&aws.account()));
        // All in one run.
        here.succeed(&UP);
        assert_eq!(protected(), 13, "{exported}");
    }
}

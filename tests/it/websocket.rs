//! WebSocket APIs: `$connect` asks the authorizer, and a missing one is created and deleted again.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::http_api::{GOOD, api, comparable, id, served, stage_of, watched};
use crate::support::kill::{each, killed_after_each, to_finish_and_remove};
use crate::support::rest_api::{API, assert_mentions};
use crate::support::socket::{CONNECT, KINDS, OPEN, PROTECTED, chat, connect, handshakes};
use crate::support::{TestAws, Workplace, assert_same};

const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";
const UP: [&str; 4] = ["up", "--yes", "--no-verify", "--publish-pending"];
const DOWN: [&str; 5] = ["down", "--yes", "--publish-pending", "--stack", "orders"];

fn workplace(aws: &TestAws) -> Workplace {
    let workplace = Workplace::new(aws);
    workplace.edit(API, "api: {name: orders-api, stage: prod}");
    workplace
}

/// Handshakes that the test AWS sends after each changing call from now on: without a key, and with a valid one.
fn watch(aws: &TestAws) {
    aws.post("log/clear", &json!({}));
    let id = id(&aws.account());
    let handshake = |key: Option<&str>| {
        let mut headers = json!({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13"});
        if let Some(key) = key {
            headers["apikey"] = key.into();
        }
        json!({"path": format!("{id}/prod"), "headers": headers})
    };
    aws.post(
        "config",
        &json!({"watch": [handshake(None), handshake(Some(GOOD))]}),
    );
}

/// Asserts that connections without a key changed once at most, between accepted and refused, and those with a valid key were
/// accepted always.
fn assert_one_change(aws: &TestAws, when: &str) {
    let watched = watched(aws);
    let mut seen: Vec<_> = watched
        .iter()
        .map(|(_, statuses)| statuses.as_slice())
        .collect();
    seen.dedup();
    assert!(!seen.is_empty() && seen.len() <= 2, "{when}: {watched:?}");
    let known = |statuses: &&[u64]| {
        [[101, 101], [401, 101]]
            .iter()
            .any(|known| known == *statuses)
    };
    assert!(seen.iter().all(known), "{when}: {watched:?}");
}

fn automatic(account: &Value) -> bool {
    stage_of(account, "prod")["AutoDeploy"] == true
}

fn assert_protected(before: &Value, aws: &TestAws, when: &str) {
    let now = aws.account();
    let mut wanted = served(before, "prod");
    wanted.insert(CONNECT.to_owned(), OURS.to_owned());
    assert_eq!(served(&now, "prod"), wanted, "{when}");
    assert_eq!(automatic(&now), automatic(before), "{when}");
    assert_eq!(handshakes(aws), PROTECTED, "{when}");
}

fn assert_restored(before: &Value, aws: &TestAws, when: &str) {
    assert_eq!(automatic(&aws.account()), automatic(before), "{when}");
    assert_eq!(handshakes(aws), OPEN, "{when}");
    assert_same(&comparable(before), &comparable(&aws.account()));
}

/// The operations that changed routes of the API.
fn of_routes(aws: &TestAws) -> BTreeSet<String> {
    let changes = aws.log().into_iter().filter(|entry| {
        let operation = entry["operation"].as_str().unwrap_or_default();
        let is_change = entry["mutating"] == true && entry["service"] == "apigatewayv2";
        is_change && operation.ends_with("Route")
    });
    changes
        .map(|entry| entry["operation"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn up_protects_connect_and_down_restores_it_in_one_moment_each() {
    for kind in KINDS {
        let when = format!("{kind:?}");
        let (has_connect, _) = kind;
        let aws = chat(kind);
        let before = aws.account();
        assert_eq!(handshakes(&aws), OPEN);
        let here = workplace(&aws);
        let state = if has_connect { "NONE" } else { "(none)" };
        let plan = here.run(&["plan"]);
        assert_mentions(&plan, &[&format!("$connect: {state} -> protected")]);
        watch(&aws);
        here.succeed(&UP);
        let [created, deleted] = match has_connect {
            true => ["UpdateRoute"; 2],
            false => ["CreateRoute", "DeleteRoute"],
        };
        assert_eq!(of_routes(&aws), [created.to_owned()].into(), "{when}");
        assert_one_change(&aws, &when);
        assert_protected(&before, &aws, &when);
        let status = here.run(&["status", "-o", "json"]).json();
        let rows = status["api"]["methods"].as_array().expect("a list");
        assert_eq!(rows.len(), 1, "{when}: {rows:?}");
        assert_eq!(
            (&rows[0]["path"], &rows[0]["protected"]),
            (&json!(CONNECT), &json!(true)),
            "{when}: {rows:?}"
        );
        let again = here.succeed(&UP);
        assert!(
            again.stderr.contains("No changes"),
            "{when}: {}",
            again.stderr
        );

        watch(&aws);
        let down = here.succeed(&DOWN);
        if !has_connect {
            assert_mentions(&down, &["$connect of API", "is deleted"]);
        }
        assert_eq!(of_routes(&aws), [deleted.to_owned()].into(), "{when}");
        assert_one_change(&aws, &when);
        assert_restored(&before, &aws, &when);
    }
}

/// Connections are either all accepted or all asked about, in each state that a kill of `up` leaves; the next `up` finishes and
/// thaws, and so does the next `down`.
#[test]
fn up_killed_after_each_call_is_finished_or_removed() {
    for kind in KINDS {
        let aws = chat(kind);
        let before = aws.account();
        let here = workplace(&aws);
        watch(&aws);
        let states = killed_after_each(&aws, &here, &UP, "apigatewayv2");
        assert!(states.len() >= 4, "{} changing calls", states.len());
        each(
            to_finish_and_remove(states),
            |nth, (operation, aws, goes_on)| {
                let when = format!("{kind:?}, killed after {nth}, {operation}, up: {goes_on}");
                let here = workplace(&aws);
                if goes_on {
                    watch(&aws);
                    here.succeed(&UP);
                    assert_one_change(&aws, &when);
                    assert_protected(&before, &aws, &when);
                    let plan = here.run(&["plan", "--exit-code"]);
                    assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
                }
                watch(&aws);
                here.succeed(&DOWN);
                assert_one_change(&aws, &when);
                assert_restored(&before, &aws, &when);
            },
        );
    }
}

#[test]
fn down_killed_after_each_call_is_finished_by_the_next_down_or_undone_by_the_next_up() {
    for kind in KINDS {
        let aws = chat(kind);
        let before = aws.account();
        let here = workplace(&aws);
        here.succeed(&UP);
        let states = killed_after_each(&aws, &here, &DOWN, "apigatewayv2");
        assert!(states.len() >= 3, "{} changing calls", states.len());
        each(states, |nth, killed| {
            let when = format!("{kind:?}, killed after {nth}, {}", killed.after);
            let up = killed.aws.fork();
            let aws = killed.aws;
            watch(&aws);
            workplace(&aws).succeed(&DOWN);
            assert_one_change(&aws, &when);
            assert_restored(&before, &aws, &when);

            let here = workplace(&up);
            here.succeed(&UP);
            assert_protected(&before, &up, &when);
            here.succeed(&DOWN);
            assert_restored(&before, &up, &when);
        });
    }
}

/// Each changing call fails once, or its answer is lost: also that of CreateRoute, whose repetition would be a conflict.
#[test]
fn a_fault_at_each_call_changes_nothing_in_the_end() {
    for kind in ["throttle", "500", "drop", "unreadable"] {
        for api in [(false, true), (false, false)] {
            let when = format!("{api:?}, {kind}");
            let aws = chat(api);
            let before = aws.account();
            let here = workplace(&aws);
            watch(&aws);
            let every =
                json!([{"service": "apigatewayv2", "mutating": true, "every": true, "kind": kind}]);
            aws.post("faults", &every);
            here.succeed(&UP);
            assert_one_change(&aws, &when);
            assert_protected(&before, &aws, &when);
            here.succeed(&DOWN);
            assert_restored(&before, &aws, &when);
        }
    }
}

/// The route that this stack created stays if its owner uses it since, without the authorizer.
#[test]
fn a_created_route_that_its_owner_uses_stays() {
    for auto_deploy in [true, false] {
        let aws = chat((false, auto_deploy));
        let here = workplace(&aws);
        here.succeed(&UP);
        let now = aws.account();
        let route = connect(&now).expect("the route")["RouteId"].clone();
        let mut routes = api(&now)["Routes"].as_array().expect("a list").iter();
        let message = routes.find(|route| route["RouteKey"] == "message");
        let target = message.expect("the route")["Target"].clone();
        assert!(target.is_string(), "{target}");
        let used = json!({"ApiId": id(&now), "RouteId": route, "Target": target});
        aws.call("apigatewayv2", "UpdateRoute", used);
        let down = here.succeed(&DOWN);
        assert_mentions(
            &down,
            &["$connect was created by this stack, and is used by another user since: it stays"],
        );
        let now = aws.account();
        let left = connect(&now).expect("the route");
        assert_eq!(
            (
                &left["RouteId"],
                &left["AuthorizationType"],
                &left["Target"]
            ),
            (&route, &json!("NONE"), &target)
        );
        assert_eq!(handshakes(&aws), OPEN);
    }
}

/// What its owner deletes, or creates again, is recorded as it is then.
#[test]
fn the_record_follows_the_owner_of_the_route() {
    let aws = chat((false, true));
    let before = aws.account();
    let here = workplace(&aws);
    here.succeed(&UP);
    let of_route = |aws: &TestAws| {
        let now = aws.account();
        json!({"ApiId": id(&now), "RouteId": connect(&now).expect("the route")["RouteId"]})
    };
    aws.call("apigatewayv2", "DeleteRoute", of_route(&aws));
    assert_eq!(handshakes(&aws), OPEN);
    let status = here.run(&["status"]);
    assert_mentions(&status, &["every connection is accepted"]);
    let plan = here.run(&["plan"]);
    assert_mentions(&plan, &["$connect: (none) -> protected"]);
    here.succeed(&UP);
    assert_protected(&before, &aws, "deleted by its owner");

    // An own route in its place, which `down` keeps although it is bare.
    aws.call("apigatewayv2", "DeleteRoute", of_route(&aws));
    let own = json!({"ApiId": id(&before), "RouteKey": CONNECT});
    aws.call("apigatewayv2", "CreateRoute", own);
    let owned = aws.account();
    here.succeed(&UP);
    assert_eq!(handshakes(&aws), PROTECTED);
    here.succeed(&DOWN);
    assert_eq!(connect(&aws.account()), connect(&owned));
    assert_eq!(handshakes(&aws), OPEN);
}

/// A rollback opens the stage whether it deploys automatically or not, also after a kill; the next `up` protects it again.
#[test]
fn a_rollback_opens_the_stage_until_the_next_up() {
    for auto_deploy in [true, false] {
        let aws = chat((false, auto_deploy));
        let before = aws.account();
        let here = workplace(&aws);
        here.succeed(&UP);
        let states = killed_after_each(&aws, &here, &["rollback"], "apigatewayv2");
        assert!(!states.is_empty());
        each(states, |nth, killed| {
            let when = format!(
                "automatic: {auto_deploy}, killed after {nth}, {}",
                killed.after
            );
            let here = workplace(&killed.aws);
            let again = killed.aws.fork();
            workplace(&again).succeed(&["rollback"]);
            assert_eq!(handshakes(&again), OPEN, "{when}");
            here.succeed(&UP);
            assert_protected(&before, &killed.aws, &when);
        });
        assert_eq!(handshakes(&aws), OPEN);
        let status = here.run(&["status", "-o", "json"]).json();
        let route = &status["api"]["methods"][0];
        assert_eq!(
            (&route["protected"], &route["authorization"]),
            (&json!(false), &json!("NONE")),
            "{status}"
        );
        here.succeed(&UP);
        let rolled_back = here.succeed(&["rollback"]);
        assert_mentions(
            &rolled_back,
            &[
                "without authorization now in stage prod",
                ": $connect; `threescale-gw up` protects it again",
            ],
        );
        here.succeed(&UP);
        assert_protected(&before, &aws, "after the rollback");
        here.succeed(&DOWN);
        assert_restored(&before, &aws, "after the rollback");
    }
}

/// What another user deployed on top cannot be listed, but was made from the draft with this stack's authorizer.
#[test]
fn a_deployment_of_others_on_top_is_replaced_before_the_authorizer_is_deleted() {
    let aws = chat((false, false));
    let here = workplace(&aws);
    here.succeed(&UP);
    let api = id(&aws.account());
    aws.call(
        "apigatewayv2",
        "CreateDeployment",
        json!({"ApiId": api, "StageName": "prod"}),
    );
    assert_eq!(handshakes(&aws), PROTECTED);
    let down = here.succeed(&DOWN);
    assert_mentions(&down, &["another user has deployed the API since"]);
    assert_eq!(handshakes(&aws), OPEN);
    assert_eq!(connect(&aws.account()), None);
}

#[test]
fn a_route_that_should_stay_closed_is_left_with_iam() {
    for kind in KINDS {
        let aws = chat(kind);
        let here = workplace(&aws);
        here.succeed(&UP);
        here.succeed(&["down", "--yes", "--publish-pending", "--keep-protected"]);
        assert_eq!(handshakes(&aws), [403; 3], "{kind:?}");
        let now = aws.account();
        let left = connect(&now).expect("the route");
        assert_eq!(left["AuthorizationType"], "AWS_IAM", "{kind:?}");
    }
}

//! Stages that cannot be frozen: routes take effect one at a time, and changed settings of the authorizer at once.

use serde_json::{Value, json};

use crate::support::http_api::{
    GOOD, account, api, comparable, id, served, stage_of, watched, workplace,
};
use crate::support::kill::{each, killed_after_each, to_finish_and_remove};
use crate::support::rest_api::{OURS, assert_mentions};
use crate::support::{Run, TestAws, Workplace, artifact, assert_same};

const STAGE: &str = "$default";
const PROTECTED: &str = "CUSTOM threescale-gw-orders-authorizer";
const UP: [&str; 4] = ["up", "--yes", "--settle", "1ms"];
const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];

/// An account with an API that quick create made, with these routes and its own `$default`.
fn quick(routes: &[&str]) -> TestAws {
    let routes: Vec<_> = routes.iter().map(|key| json!({ "key": key })).collect();
    account(&json!({
        "protocol": "HTTP", "name": "orders-api", "quick_create": true, "routes": routes,
    }))
}

/// The routes of most tests.
const ROUTES: [&str; 3] = ["GET /orders", "POST /orders", "GET /orders/{id}"];

/// The routes that were changed, in their order, by their keys.
fn changed(aws: &TestAws) -> Vec<String> {
    let now = aws.account();
    let routes = api(&now)["Routes"].as_array().expect("a list");
    let key = |id: &Value| {
        let mut routes = routes.iter();
        let route = routes.find(|route| route["RouteId"] == *id);
        route.expect("the route")["RouteKey"]
            .as_str()
            .expect("a key")
            .to_owned()
    };
    let calls = aws.log().into_iter();
    calls
        .filter(|call| call["operation"] == "UpdateRoute")
        .map(|call| key(&call["parameters"]["RouteId"]))
        .collect()
}

/// A request that is sent after each changing call.
fn request(aws: &TestAws, method: &str, path: &str, key: Option<(&str, &str)>) -> Value {
    let id = id(&aws.account());
    let mut request = json!({"method": method, "path": format!("{id}{path}")});
    if let Some((name, key)) = key {
        request["headers"] = json!({ (name): key });
    }
    request
}

/// Requests without a key and with a valid one to two routes.
fn watch_routes(aws: &TestAws) {
    aws.post("log/clear", &json!({}));
    let key = Some(("apikey", GOOD));
    let requests = [
        request(aws, "GET", "/orders", None),
        request(aws, "POST", "/orders", None),
        request(aws, "GET", "/orders", key),
        request(aws, "POST", "/orders", key),
    ];
    aws.post("config", &json!({ "watch": requests }));
}

/// Asserts that each route is as before or protected in each moment, and that a valid key is always accepted.
#[track_caller]
fn assert_each_whole(aws: &TestAws, when: &str) {
    let watched = watched(aws);
    assert!(!watched.is_empty(), "{when}");
    for (operation, statuses) in watched {
        let (without, with) = statuses.split_at(2);
        assert!(
            without.iter().all(|status| [200, 401].contains(status)) && with == [200, 200],
            "{when}, after {operation}: {statuses:?}"
        );
    }
}

#[track_caller]
fn assert_all_protected(aws: &TestAws, when: &str) {
    let served = served(&aws.account(), STAGE);
    assert!(
        served.values().all(|kind| kind == PROTECTED),
        "{when}: {served:?}"
    );
}

#[test]
fn the_first_route_is_proved_before_another_one_changes() {
    let aws = quick(&ROUTES);
    let before = aws.account();
    let here = workplace(&aws, STAGE);
    let plan = here.run(&["plan"]);
    assert_mentions(
        &plan,
        &["one of them is changed and verified before the others"],
    );
    watch_routes(&aws);
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(
        &up,
        &["GET /orders answers as expected, so the other routes change"],
    );
    assert_each_whole(&aws, "up");
    assert_eq!(changed(&aws)[0], "GET /orders");
    let calls = aws.log().into_iter();
    let calls = calls.filter_map(|call| {
        let operation = call["operation"].as_str()?.to_owned();
        ["UpdateRoute", "FilterLogEvents"]
            .contains(&operation.as_str())
            .then_some(operation)
    });
    // The log is read for the first route, and for all of them at the end.
    let mut calls: Vec<_> = calls.collect();
    calls.dedup();
    assert_eq!(
        calls,
        [
            "UpdateRoute",
            "FilterLogEvents",
            "UpdateRoute",
            "FilterLogEvents"
        ]
    );
    aws.check_log();
    assert_all_protected(&aws, "up");
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    let status = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(status["api"]["verified"], true, "{status}");
    watch_routes(&aws);
    here.succeed(&DOWN);
    assert_each_whole(&aws, "down");
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// A valid key that is refused harms callers as much as an authorizer that fails, and a refusal for every caller does, too.
#[test]
fn a_first_route_that_answers_wrongly_is_restored_and_no_other_is_touched() {
    for outcomes in [
        json!({"authorizer": "error"}),
        json!({"authorizer": "timeout"}),
        json!({"reasons": {"GET /orders": "service_not_active"}}),
    ] {
        let aws = quick(&ROUTES);
        let before = aws.account();
        let here = workplace(&aws, STAGE);
        aws.post("config", &json!({ "outcomes": outcomes }));
        let up = here.run(&[&UP[..], &["--key", GOOD]].concat());
        assert_eq!(up.code, Some(1), "{outcomes}: {}", up.stderr);
        assert_mentions(
            &up,
            &[
                "the API does not behave as expected after the change: GET /orders: ",
                "1 route is restored, and no other route was changed",
            ],
        );
        assert_eq!(changed(&aws), ["GET /orders", "GET /orders"], "{outcomes}");
        let after = aws.account();
        assert_eq!(api(&after)["Routes"], api(&before)["Routes"]);
        assert_eq!(served(&after, STAGE), served(&before, STAGE));
        let none = json!({"authorizer": null, "reasons": null});
        aws.post("config", &json!({ "outcomes": none }));
        here.succeed(&UP);
        assert_all_protected(&aws, "the next run");
        here.succeed(&DOWN);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// What cannot be requested safely is not asked first, if there is another route.
#[test]
fn the_first_route_is_one_that_a_request_reaches_safely() {
    for (routes, except, first) in [
        (&["POST /a", "ANY /d"][..], "$default", "ANY /d"),
        (&["GET /a/{id}", "POST /a"], "$default", "GET /a/{id}"),
        (&["POST /a", "DELETE /b"], "$default", "POST /a"),
        // Behind the others, no request to it is sure.
        (&["ANY /{proxy+}", "ANY /"], "POST /none", "ANY /"),
    ] {
        let aws = quick(routes);
        let here = workplace(&aws, STAGE);
        here.edit(
            "except: [\"GET /health\"]",
            &format!("except: [\"{except}\"]"),
        );
        aws.post("log/clear", &json!({}));
        let up = here.succeed(&UP);
        assert_eq!(changed(&aws)[0], first);
        let text = format!("{first} answers as expected, so the other routes change");
        assert_mentions(&up, &[&text]);
    }
}

#[test]
fn without_verification_the_first_route_is_not_proved_and_that_is_told() {
    let aws = quick(&ROUTES);
    let here = workplace(&aws, STAGE);
    let up = here.succeed(&["up", "--yes", "--no-verify"]);
    assert_mentions(
        &up,
        &["the first one is not verified before the others (--no-verify)"],
    );
    let reads = aws.log().into_iter();
    let reads = reads.filter(|call| call["operation"] == "FilterLogEvents");
    assert_eq!(reads.count(), 0);
    assert_all_protected(&aws, "up");
}

/// A first route that tells nothing is no reason to leave the others open.
#[test]
fn a_first_route_that_cannot_be_asked_is_told() {
    let aws = quick(&ROUTES);
    let here = workplace(&aws, STAGE);
    let api = json!({"ApiId": id(&aws.account()), "DisableExecuteApiEndpoint": true});
    aws.call("apigatewayv2", "UpdateApi", api);
    let up = here.succeed(&UP);
    assert_mentions(
        &up,
        &[
            "what GET /orders answers proves nothing, and the other routes change all the same",
            "not verified:",
        ],
    );
    assert_all_protected(&aws, "up");
}

/// Each state that a kill of `up` leaves: the next `up` finishes, and so does the next `down`.
#[test]
fn a_run_killed_after_each_call_is_finished_or_removed() {
    let aws = quick(&ROUTES);
    let before = aws.account();
    let here = workplace(&aws, STAGE);
    watch_routes(&aws);
    let states = killed_after_each(&aws, &here, &UP, "apigatewayv2");
    assert!(states.len() >= 5, "{} changing calls", states.len());
    each(
        to_finish_and_remove(states),
        |nth, (operation, aws, goes_on)| {
            let when = format!("killed after {nth}, {operation}, up: {goes_on}");
            let here = workplace(&aws, STAGE);
            if goes_on {
                watch_routes(&aws);
                here.succeed(&UP);
                assert_each_whole(&aws, &when);
                assert_all_protected(&aws, &when);
                let plan = here.run(&["plan", "--exit-code"]);
                assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
            }
            watch_routes(&aws);
            here.succeed(&DOWN);
            assert_each_whole(&aws, &when);
            assert_same(&comparable(&before), &comparable(&aws.account()));
        },
    );
}

/// The routes of a killed run are proved first, and all of them are restored if one of them harms callers.
#[test]
fn what_a_killed_run_has_changed_is_proved_before_another_route_changes() {
    let aws = quick(&ROUTES);
    let before = aws.account();
    let here = workplace(&aws, STAGE);
    let states = killed_after_each(&aws, &here, &UP, "apigatewayv2");
    let states: Vec<_> = states
        .into_iter()
        .filter(|killed| killed.after == "UpdateRoute")
        .collect();
    // With all of them, the verification at the end restores them.
    assert_eq!(states.len(), 4);
    each(states, |nth, killed| {
        let aws = killed.aws;
        aws.post("log/clear", &json!({}));
        aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
        let up = workplace(&aws, STAGE).run(&UP);
        assert_eq!(up.code, Some(1), "{nth}: {}", up.stderr);
        assert_eq!(changed(&aws).len(), nth, "{:?}", changed(&aws));
        assert_eq!(
            changed(&aws).last().map(String::as_str),
            Some("GET /orders")
        );
        assert_eq!(served(&aws.account(), STAGE), served(&before, STAGE));
        aws.post("config", &json!({"outcomes": {"authorizer": null}}));
        workplace(&aws, STAGE).succeed(&UP);
        assert_all_protected(&aws, &format!("{nth}"));
    });
}

/// A kill while the first route is restored leaves a route that the next run proves.
#[test]
fn a_run_killed_while_it_restores_the_first_route_is_finished() {
    let aws = quick(&ROUTES);
    let before = aws.account();
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    for nth in [1, 2] {
        let aws = aws.fork();
        let here = workplace(&aws, STAGE);
        let rule = json!({"operation": "UpdateRoute", "nth": nth, "kind": "hold"});
        aws.post("faults", &json!([rule]));
        let mut child = here.start(&UP);
        assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
        child.kill().expect("a signal");
        child.wait().expect("its end");
        aws.post("release", &json!({}));
        aws.post("faults", &json!([]));
        let up = here.run(&UP);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_eq!(served(&aws.account(), STAGE), served(&before, STAGE));
        here.succeed(&DOWN);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// A new route is proved with the new version of the authorizer, which the protected routes ask, too.
#[test]
fn a_new_version_that_harms_the_first_route_is_left() {
    let aws = quick(&ROUTES);
    let here = workplace(&aws, STAGE);
    here.edit(
        "except: [\"GET /health\"]",
        "protect: [\"POST /orders\", \"GET /orders/{id}\"]",
    );
    here.succeed(&UP);
    let former = served(&aws.account(), STAGE);
    here.edit(
        "protect: [\"POST /orders\", \"GET /orders/{id}\"]",
        "except: []",
    );
    here.write("bootstrap.zip", &artifact(1));
    let second = json!({"outcomes": {"authorizer": {"2": "error"}}});
    aws.post("config", &second);
    let up = here.run(&UP);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "1 route is restored",
            "version 1 of the authorizer is live again",
        ],
    );
    assert_eq!(served(&aws.account(), STAGE), former);
    let verify = workplace(&aws, STAGE);
    verify.edit(
        "except: [\"GET /health\"]",
        "protect: [\"POST /orders\", \"GET /orders/{id}\"]",
    );
    verify.succeed(&["verify", "--settle", "1ms"]);
}

/// The other routes of an API may match a mapping rule.
#[test]
fn a_first_route_that_no_rule_counts_is_no_fault() {
    let aws = quick(&ROUTES);
    let here = workplace(&aws, STAGE);
    aws.post(
        "config",
        &json!({"outcomes": {"reasons": {"GET /orders": "no_mapping_rule"}}}),
    );
    let up = here.succeed(&UP);
    assert_mentions(&up, &["GET /orders answers as expected"]);
    assert_all_protected(&aws, "up");
}

/// Requests to one route: without a key, with a valid key in its former place, and in its new one.
fn watch_places(aws: &TestAws) {
    aws.post("log/clear", &json!({}));
    let of = |key| request(aws, "GET", "/orders", key);
    let requests = [
        of(None),
        of(Some(("apikey", GOOD))),
        of(Some(("x-key", GOOD))),
    ];
    aws.post("config", &json!({ "watch": requests }));
}

/// Asserts that no caller without a key is let in, and that a valid key is accepted in one of its places at each moment.
#[track_caller]
fn assert_keys_are_asked(aws: &TestAws, when: &str) {
    let watched = watched(aws);
    assert!(!watched.is_empty(), "{when}");
    for (operation, statuses) in watched {
        let [without, former, new] = statuses[..] else {
            panic!("{statuses:?}");
        };
        let is_safe = [401, 403].contains(&without)
            && [former, new].contains(&200)
            && statuses.iter().all(|status| *status != 500);
        assert!(is_safe, "{when}, after {operation}: {statuses:?}");
    }
}

/// A folder whose configuration takes keys in the header `x-key`.
fn in_new_place(aws: &TestAws) -> Workplace {
    let here = workplace(aws, STAGE);
    here.edit(
        "service_token: the-service-token",
        "service_token: the-service-token, credentials: {name: x-key}",
    );
    here
}

/// An account whose stack takes keys in the header `apikey`, and a folder in which they are taken in `x-key`.
fn moved_key() -> (TestAws, Workplace) {
    let aws = quick(&ROUTES);
    workplace(&aws, STAGE).succeed(&UP);
    let here = in_new_place(&aws);
    (aws, here)
}

/// The identity source of the stack's authorizer.
fn source(aws: &TestAws) -> Value {
    let now = aws.account();
    let mut authorizers = api(&now)["Authorizers"].as_array().expect("a list").iter();
    let ours = authorizers.find(|found| found["Name"] == "threescale-gw-orders-authorizer");
    ours.expect("the authorizer")["IdentitySource"].clone()
}

#[test]
fn another_place_of_the_key_takes_effect_at_once_and_no_caller_is_harmed() {
    let (aws, here) = moved_key();
    let plan = here.run(&["plan"]);
    assert_mentions(
        &plan,
        &["the settings of the authorizer change for all routes of stage $default at once"],
    );
    watch_places(&aws);
    let of_functions = aws.fork();
    let mut states = killed_after_each(&aws, &here, &UP, "apigatewayv2");
    assert_keys_are_asked(&aws, "up");
    assert_eq!(source(&aws), json!(["$request.header.x-key"]));
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    let statuses = watched(&aws);
    let (_, last) = statuses.last().expect("a moment");
    assert_eq!(last[..], [401, 401, 200]);
    // The version that accepts the former place, too, is no longer live.
    let live = json!({"FunctionName": OURS, "Qualifier": "live"});
    let live = aws.call("lambda", "GetFunctionConfiguration", live);
    let settings = live["Environment"].to_string();
    assert!(
        settings.contains("x-key") && !settings.contains("apikey"),
        "{settings}"
    );
    let there = in_new_place(&of_functions);
    states.extend(killed_after_each(&of_functions, &there, &UP, "lambda"));
    assert!(states.len() >= 5, "{} changing calls", states.len());
    each(states, |nth, killed| {
        let when = format!("killed after {nth}, {}", killed.after);
        let aws = killed.aws;
        let there = in_new_place(&aws);
        watch_places(&aws);
        there.succeed(&UP);
        if !watched(&aws).is_empty() {
            assert_keys_are_asked(&aws, &when);
        }
        assert_eq!(source(&aws), json!(["$request.header.x-key"]), "{when}");
        let plan = there.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
    });
}

/// Neither a failed verification nor a kill during it leaves callers with settings that do not work.
#[test]
fn settings_that_fail_the_verification_are_changed_back() {
    let (aws, here) = moved_key();
    let failing = json!({"outcomes": {"authorizer": {"2": "error", "3": "error"}}});
    let killed = aws.fork();
    let assert_back = |up: &Run, aws: &TestAws, when: &str| {
        assert_eq!(up.code, Some(1), "{when}: {}", up.stderr);
        assert_mentions(
            up,
            &["the former settings of the authorizer are restored in stage $default"],
        );
        assert_eq!(source(aws), json!(["$request.header.apikey"]), "{when}");
        let former = workplace(aws, STAGE);
        former.succeed(&["verify", "--settle", "1ms", "--key", GOOD]);
    };
    aws.post("config", &failing);
    let up = here.run(&UP);
    assert_back(&up, &aws, "at once");
    assert_all_protected(&aws, "at once");
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&UP);
    assert_eq!(source(&aws), json!(["$request.header.x-key"]));

    let there = in_new_place(&killed);
    let rule = json!({"operation": "UpdateAuthorizer", "kind": "hold"});
    killed.post("faults", &json!([rule]));
    let mut child = there.start(&UP);
    assert_ne!(killed.get("held?timeout=60")["held"], Value::Null);
    child.kill().expect("a signal");
    child.wait().expect("its end");
    killed.post("release", &json!({}));
    killed.post("faults", &json!([]));
    killed.post("config", &failing);
    let up = there.run(&UP);
    assert_back(&up, &killed, "after a kill");
}

/// The mode changes at once, in both directions: a valid key is accepted always, and others are let in only while it observes.
#[test]
fn a_change_of_the_mode_takes_effect_at_once() {
    let aws = quick(&ROUTES);
    let here = workplace(&aws, STAGE);
    here.succeed(&UP);
    let watch = |aws: &TestAws| {
        aws.post("log/clear", &json!({}));
        let of = |key| request(aws, "GET", "/orders", key);
        aws.post(
            "config",
            &json!({"watch": [of(None), of(Some(("apikey", GOOD)))]}),
        );
    };
    for (from, to, order) in [
        (
            "authorizer: {",
            "authorizer: {mode: observe, ",
            [401, 403, 200],
        ),
        ("mode: observe, ", "", [200, 403, 401]),
    ] {
        here.edit(from, to);
        watch(&aws);
        here.succeed(&UP);
        let mut seen = Vec::new();
        for (operation, statuses) in watched(&aws) {
            assert_eq!(statuses[1], 200, "{to}, after {operation}");
            seen.push(statuses[0]);
        }
        seen.dedup();
        let mut order = order.iter();
        assert!(
            seen.iter().all(|status| order.any(|next| next == status)),
            "{to}: {seen:?}"
        );
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{to}: {}", plan.stdout);
    }
}

/// A rollback restores the routes, newest first, and says how many.
#[test]
fn a_rollback_restores_the_routes_of_a_stage_that_cannot_be_moved() {
    let aws = quick(&ROUTES);
    let before = aws.account();
    let here = workplace(&aws, STAGE);
    here.succeed(&UP);
    aws.post("log/clear", &json!({}));
    let back = here.succeed(&["rollback"]);
    assert_mentions(&back, &["4 routes are restored in API"]);
    assert_eq!(
        changed(&aws).last().map(String::as_str),
        Some("GET /orders")
    );
    assert_eq!(served(&aws.account(), STAGE), served(&before, STAGE));
    assert_eq!(stage_of(&aws.account(), STAGE)["AutoDeploy"], true);
    here.succeed(&UP);
    assert_all_protected(&aws, "the next up");
}

/// API Gateway may let a stage of quick create be changed: then it is like any other.
#[test]
fn a_managed_stage_that_can_be_frozen_changes_in_one_moment_and_is_moved_back() {
    let aws = quick(&ROUTES);
    aws.post(
        "config",
        &json!({"http_api": {"managed_stage": "accepted"}}),
    );
    let before = aws.account();
    let here = workplace(&aws, STAGE);
    watch_routes(&aws);
    here.succeed(&["up", "--yes", "--no-verify"]);
    for (operation, statuses) in watched(&aws) {
        assert_eq!(statuses[0], statuses[1], "after {operation}");
    }
    assert_all_protected(&aws, "up");
    // What was thawed before it was verified is undone whole.
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let up = here.run(&UP);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(&up, &["stage $default is rolled back to deployment"]);
    assert_eq!(served(&aws.account(), STAGE), served(&before, STAGE));
    assert_eq!(stage_of(&aws.account(), STAGE)["AutoDeploy"], true);
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&UP);
    let back = here.succeed(&["rollback"]);
    assert_mentions(&back, &["rolled back stage $default of API"]);
    here.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// An authorizer that another user has set on a route stays: only what this run changed is restored.
#[test]
fn a_route_with_another_authorizer_is_restored_with_it() {
    let aws = account(&json!({
        "protocol": "HTTP", "name": "orders-api", "quick_create": true, "authorizers": {"own": {}},
        "routes": [{"key": "GET /me", "authorizer": "own"}, {"key": "POST /orders"}],
    }));
    let before = aws.account();
    let here = workplace(&aws, STAGE);
    here.edit(
        "except: [\"GET /health\"]",
        "protect: [\"GET /me\", \"POST /orders\"]",
    );
    aws.post(
        "config",
        &json!({"outcomes": {"functions": {(OURS): "error"}}}),
    );
    let up = here.run(&UP);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_eq!(served(&aws.account(), STAGE), served(&before, STAGE));
}

/// API Gateway may refuse to change the route of quick create: `plan` says so, the refusal leaves the API as it was, and without
/// the route `up` succeeds. If the stage cannot be frozen either, the route that was changed first is restored.
#[test]
fn a_managed_route_that_cannot_be_changed_is_told_and_left_out() {
    const FIRST: &str = "GET /orders";
    for (stage, proved) in [("accepted", true), ("refused", true), ("refused", false)] {
        let when = format!("{stage}, proved: {proved}");
        let aws = quick(&ROUTES);
        aws.post(
            "config",
            &json!({"http_api": {"managed_stage": stage, "managed_route": "refused"}}),
        );
        let before = aws.account();
        let here = workplace(&aws, STAGE);
        let plan = here.succeed(&["plan"]);
        let told = "was created by quick create: API Gateway may refuse to set its authorizer";
        assert_mentions(&plan, &["$default of HTTP API", told]);
        let arguments = match proved {
            true => &UP[..],
            false => &["up", "--yes", "--no-verify"],
        };
        let is_first_restored = proved && stage == "refused";
        let (tried, said) = match is_first_restored {
            true => (
                &[FIRST, STAGE, FIRST][..],
                "1 route is restored, and no other route was changed",
            ),
            false => (&[STAGE][..], ""),
        };
        // Also of a second run, which finds what the first one has recorded.
        for run in 1..=2 {
            aws.post("log/clear", &json!({}));
            let up = here.run(arguments);
            assert_eq!(up.code, Some(5), "{when}, {run}: {}", up.stderr);
            assert_mentions(
                &up,
                &[
                    "failed[blocked]",
                    "sets no authorizer on route $default",
                    "api.except",
                    said,
                ],
            );
            let after = aws.account();
            assert_eq!(changed(&aws), tried, "{when}, {run}");
            assert_eq!(api(&after)["Routes"], api(&before)["Routes"], "{when}");
            assert_eq!(served(&after, STAGE), served(&before, STAGE), "{when}");
            assert_eq!(stage_of(&after, STAGE)["AutoDeploy"], true, "{when}");
        }
        here.edit("except: [\"GET /health\"]", "except: [\"$default\"]");
        let plan = here.succeed(&["plan"]);
        assert!(!plan.stdout.contains(told), "{when}: {}", plan.stdout);
        here.succeed(&UP);
        let mut wanted = served(&before, STAGE);
        wanted.extend(ROUTES.map(|route| (route.to_owned(), PROTECTED.to_owned())));
        assert_eq!(served(&aws.account(), STAGE), wanted, "{when}");
        here.succeed(&DOWN);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

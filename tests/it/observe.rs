//! The mode observe: every request is allowed, and the change of the mode has no moment that is of neither.

use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{
    self, account, assert_mentions, authorizer, id, publish, workplace,
};
use crate::support::{TestAws, Workplace, artifact, assert_same};
use serde_json::{Value, json};

const HERE: &str = "api: {name: orders-api, stage: prod, except: [\"GET /health\"]}";
const ENFORCE: &str = "authorizer: {artifact";
const OBSERVE: &str = "authorizer: {mode: observe, artifact";
const PATH: &str = "/orders";

/// The statuses of a request without a key and of one with a key that no application has.
const ENFORCED: (u64, u64) = (401, 403);
const OBSERVED: (u64, u64) = (200, 200);

/// A folder with a configuration in this mode.
fn in_mode(aws: &TestAws, mode: &str) -> Workplace {
    let here = workplace(aws, HERE);
    here.edit(ENFORCE, mode);
    here
}

/// An account with a stack in this mode, and the account before it.
fn stack(mode: &str) -> (TestAws, String, Workplace) {
    let aws = TestAws::state(&format!("observe, {mode}"), || {
        let (aws, _) = account();
        in_mode(&aws, mode).succeed(&["up", "--yes"]);
        aws
    });
    let id = id(&aws.account(), "orders-api");
    let here = in_mode(&aws, mode);
    (aws, id, here)
}

fn statuses(aws: &TestAws, id: &str) -> (u64, u64) {
    let status = |key| u64::from(rest_api::call(aws, id, PATH, key).0);
    (status(None), status(Some("bad")))
}

/// From here on, the test AWS sends both requests after every changing call.
fn watch(aws: &TestAws, id: &str) {
    let path = format!("{id}/prod{PATH}");
    let bad = json!({"path": path, "headers": {"apikey": "bad"}});
    aws.post("config", &json!({"watch": [{"path": path}, bad]}));
}

/// The different pairs of statuses since [`watch`], in order.
fn watched(aws: &TestAws) -> Vec<(u64, u64)> {
    let watched = aws.get("watched");
    let mut seen = Vec::new();
    for statuses in watched.as_array().expect("a list") {
        let status = |n: usize| statuses["statuses"][n].as_u64().unwrap_or_default();
        let pair = (status(0), status(1));
        if seen.last() != Some(&pair) {
            seen.push(pair);
        }
    }
    seen
}

/// The identity source of the authorizer in the draft, and its TTL.
fn identity_source(aws: &TestAws, id: &str) -> (Value, Value) {
    let found = aws.call("apigateway", "GetAuthorizers", json!({"restApiId": id}));
    let mut all = found["items"].as_array().expect("a list").iter();
    let ours = all
        .find(|found| found["name"] == rest_api::OURS)
        .expect("ours");
    (
        ours["identitySource"].clone(),
        ours["authorizerResultTtlInSeconds"].clone(),
    )
}

#[test]
fn the_first_up_in_the_mode_observe_refuses_no_caller_and_down_leaves_nothing() {
    let (aws, id) = account();
    let before = aws.account();
    let here = in_mode(&aws, OBSERVE);
    let plan = here.succeed(&["plan"]);
    assert_mentions(
        &plan,
        &[
            "callers of the observed methods: all requests are allowed; refusals are only logged",
            "GET /orders: NONE -> observed",
            "so CORS preflight requests will be logged as refusals",
        ],
    );
    watch(&aws, &id);
    let states = killed_after_each(&aws, &here, &["up", "--yes"], "*");
    assert_eq!(watched(&aws), [OBSERVED]);
    aws.post("config", &json!({"watch": []}));
    assert_eq!(statuses(&aws, &id), OBSERVED);
    let (source, ttl) = identity_source(&aws, &id);
    assert!(source.as_str().is_none_or(str::is_empty), "{source}");
    assert_eq!(ttl, 0);
    assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    // What a killed run has left is completed or removed, and no caller is refused meanwhile.
    let states: Vec<_> = states.into_iter().step_by(6).collect();
    each(states, |nth, killed| {
        let here = in_mode(&killed.aws, OBSERVE);
        watch(&killed.aws, &id);
        match nth % 2 {
            0 => here.succeed(&["up", "--yes"]),
            _ => here.succeed(&["down", "--yes"]),
        };
        let seen = watched(&killed.aws);
        assert!(
            seen.is_empty() || seen == [OBSERVED],
            "{}: {seen:?}",
            killed.after
        );
    });

    let verified = here.succeed(&["verify", "-o", "json"]).json();
    let requests = verified["requests"].as_array().expect("a list");
    let check = |name: &str| -> Vec<_> {
        let rows = requests.iter().filter(|row| row["check"] == name);
        rows.map(|row| row["status"].clone()).collect()
    };
    assert!(!check("no key").is_empty(), "{verified}");
    for status in check("no key").iter().chain(&check("bad key")) {
        assert_eq!(*status, 200, "{verified}");
    }
    assert_eq!(check("self-test").len(), 1, "{verified}");
    // A method that may change something is not called.
    let unsafe_ones = requests.iter().filter(|row| {
        let method = row["method"].as_str().unwrap_or_default();
        method.starts_with("POST") || method.starts_with("DELETE")
    });
    assert_eq!(unsafe_ones.count(), 0, "{verified}");
    assert_mentions(
        &here.succeed(&["status"]),
        &[
            "mode  observe: all requests are allowed; refusals are only logged",
            "methods are observed",
        ],
    );
    let status = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(status["mode"], "observe");

    watch(&aws, &id);
    here.succeed(&["down", "--yes"]);
    assert_eq!(watched(&aws), [OBSERVED]);
    aws.post("config", &json!({"watch": []}));
    assert_same(&before, &aws.account());
}

#[test]
fn the_mode_changes_without_a_moment_that_is_of_neither() {
    for (from, to, expected, told) in [
        (
            ENFORCE,
            OBSERVE,
            [ENFORCED, OBSERVED],
            "callers of the observed methods: all requests are allowed; refusals are only logged",
        ),
        (
            OBSERVE,
            ENFORCE,
            [OBSERVED, ENFORCED],
            "requests without a key get 401 from now on, and requests that the authorizer refuses get 403",
        ),
    ] {
        let (aws, id, here) = stack(from);
        assert_eq!(statuses(&aws, &id), expected[0]);
        here.edit(from, to);
        assert_mentions(&here.succeed(&["plan"]), &[told]);
        watch(&aws, &id);
        let states = killed_after_each(&aws, &here, &["up", "--yes"], "*");
        assert_eq!(watched(&aws), expected, "{to}");
        aws.post("config", &json!({"watch": []}));
        assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
        assert_mentions(&here.succeed(&["verify"]), &["verified:"]);
        // A run that continues after a kill, and one that goes back.
        each(states, |nth, killed| {
            let (next, last) = match nth % 2 {
                0 => (from, expected[0]),
                _ => (to, expected[1]),
            };
            let here = in_mode(&killed.aws, next);
            watch(&killed.aws, &id);
            here.succeed(&["up", "--yes"]);
            let seen = watched(&killed.aws);
            assert!(
                seen.iter().all(|pair| expected.contains(pair)) && seen.len() <= 2,
                "{nth} {}: {seen:?}",
                killed.after
            );
            assert_eq!(statuses(&killed.aws, &id), last, "{nth} {}", killed.after);
            killed.aws.post("config", &json!({"watch": []}));
            assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
        });
    }
}

/// New code in the same run is live before the mode changes, in a version that serves only for that time.
#[test]
fn a_change_of_the_mode_with_new_code_and_one_that_fails() {
    for (from, to, expected) in [
        (ENFORCE, OBSERVE, [ENFORCED, OBSERVED]),
        (OBSERVE, ENFORCE, [OBSERVED, ENFORCED]),
    ] {
        let (aws, id, here) = stack(from);
        here.edit(from, to);
        here.write("bootstrap.zip", &artifact(7));
        watch(&aws, &id);
        // The stage, or the last version, does not pass the verification.
        let failing = json!({"outcomes": {"authorizer": {"2": "error", "3": "error"}}});
        aws.post("config", &failing);
        let up = here.run(&["up", "--yes", "--settle", "0s"]);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        aws.post("config", &json!({"outcomes": {"authorizer": null}}));
        assert_eq!(statuses(&aws, &id), expected[0], "{}", up.stderr);
        // Only failures of the function were between.
        for pair in watched(&aws) {
            let is_failure = [(401, 503), (503, 503)].contains(&pair);
            assert!(is_failure || expected.contains(&pair), "{pair:?}");
        }
        let aws = aws.fork();
        let here = in_mode(&aws, to);
        here.write("bootstrap.zip", &artifact(7));
        watch(&aws, &id);
        here.succeed(&["up", "--yes"]);
        let seen = watched(&aws);
        assert!(seen.iter().all(|pair| expected.contains(pair)), "{seen:?}");
        assert_eq!(seen.last(), Some(&expected[1]));
        aws.post("config", &json!({"watch": []}));
        assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    }
}

#[test]
fn an_authorizer_that_does_not_observe_is_found_before_the_api_changes() {
    let (aws, id, here) = stack(ENFORCE);
    let older = json!({"ok": true, "checks": []});
    aws.post(
        "config",
        &json!({"outcomes": {"invoke": {rest_api::OURS: {"payload": older}}}}),
    );
    here.edit(ENFORCE, OBSERVE);
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(&up, &["does not observe: its code is older"]);
    assert_eq!(statuses(&aws, &id), ENFORCED);
    assert_eq!(identity_source(&aws, &id).0, "method.request.header.apikey");
    let verify = here.run(&["verify", "--settle", "0s"]);
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    assert_mentions(&verify, &["the mode of the live version is enforce"]);
}

/// Another user deploys in the middle of the change, and edits the authorizer.
#[test]
fn what_others_deploy_does_not_stop_the_mode() {
    let (aws, id, here) = stack(ENFORCE);
    here.edit(ENFORCE, OBSERVE);
    let states = killed_after_each(&aws, &here, &["up", "--yes"], "apigateway");
    let deployed = states
        .into_iter()
        .find(|state| state.after == "CreateDeployment");
    let aws = deployed.expect("a deployment").aws;
    assert_eq!(statuses(&aws, &id), ENFORCED);
    publish(&aws, &id, "prod");
    let here = in_mode(&aws, OBSERVE);
    here.succeed(&["up", "--yes"]);
    assert_eq!(statuses(&aws, &id), OBSERVED);
    // The identity source comes back by hand.
    let ours = authorizer(&aws.account(), &id, rest_api::OURS);
    let patch = json!([{"op": "replace", "path": "/identitySource", "value": "method.request.header.apikey"}]);
    aws.call(
        "apigateway",
        "UpdateAuthorizer",
        json!({"restApiId": id, "authorizerId": ours, "patchOperations": patch}),
    );
    publish(&aws, &id, "prod");
    assert_eq!(statuses(&aws, &id).0, 401);
    let verify = here.run(&["verify", "--settle", "0s"]);
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    assert_mentions(&verify, &["refused, although the mode is observe"]);
    here.succeed(&["up", "--yes"]);
    assert_eq!(statuses(&aws, &id), OBSERVED);
}

#[test]
fn a_rollback_after_a_change_of_the_mode_opens_the_api_or_keeps_the_mode() {
    for (from, to) in [(ENFORCE, OBSERVE), (OBSERVE, ENFORCE)] {
        let (aws, id, here) = stack(from);
        here.edit(from, to);
        here.succeed(&["up", "--yes"]);
        watch(&aws, &id);
        here.succeed(&["rollback", "--stack", "orders"]);
        assert_eq!(statuses(&aws, &id), OBSERVED, "without the authorizer");
        here.succeed(&["up", "--yes"]);
        let wanted = if to == OBSERVE { OBSERVED } else { ENFORCED };
        assert_eq!(statuses(&aws, &id), wanted);
        for pair in watched(&aws) {
            assert!([ENFORCED, OBSERVED].contains(&pair), "{pair:?}");
        }
    }
    // The stage cannot be moved, because another user published: the version that observes does not come back.
    let (aws, id, here) = stack(OBSERVE);
    here.edit(OBSERVE, ENFORCE);
    here.succeed(&["up", "--yes"]);
    publish(&aws, &id, "prod");
    let rollback = here.run(&["rollback", "--stack", "orders"]);
    assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
    assert_mentions(
        &rollback,
        &["it observes, and the stage refuses requests without a key"],
    );
    assert_eq!(statuses(&aws, &id), ENFORCED);
}

#[test]
fn the_mode_does_not_begin_while_the_stack_leaves_a_stage() {
    let (aws, id, here) = stack(ENFORCE);
    rest_api::add_stage(&aws, &id);
    here.edit(ENFORCE, OBSERVE);
    here.edit("stage: prod", "stage: dev");
    let before = aws.account();
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["change `api` and the mode one after the other"]);
    assert_same(&before, &aws.account());
}

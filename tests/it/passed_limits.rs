//! A passed limit can have the status 429. A bad key has it at no moment.

use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{
    self, account, add_stage, assert_mentions, id, rest_api, workplace,
};
use crate::support::{TestAws, Workplace};
use serde_json::json;

const HERE: &str = "api: {name: orders-api, stage: prod}";
const LIMITS: &str = "api: {name: orders-api, stage: prod, responses: {limits: 429}}";
/// A method of which the test AWS refuses every caller because of a passed limit.
const LIMITED: (&str, &str) = ("GET /orders/{id}", "/orders/1");

/// An account with a stack with this `api` line, one method of which is limited.
fn stack(api: &str) -> (TestAws, String, Workplace) {
    let aws = TestAws::state(&format!("passed limits, {api}"), || {
        let (aws, _) = account();
        aws.post(
            "config",
            &json!({"outcomes": {"reasons": {LIMITED.0: "limits_exceeded"}},
                    "authorizer_context": {"retry_after": "17"}}),
        );
        workplace(&aws, api).succeed(&["up", "--yes"]);
        aws
    });
    let id = id(&aws.account(), "orders-api");
    let here = workplace(&aws, api);
    (aws, id, here)
}

/// The status, the error and the `Retry-After` of a response.
fn call(aws: &TestAws, id: &str, path: &str, key: Option<&str>) -> (u16, String, Option<String>) {
    let (status, body, headers) = rest_api::call(aws, id, path, key);
    let error = body["error"].as_str().unwrap_or_default();
    let retry_after = headers["retry-after"].as_str().map(str::to_owned);
    (status, error.to_owned(), retry_after)
}

/// From here on, the test AWS sends a request with a bad key and one that passes a limit after every changing call.
fn watch(aws: &TestAws, id: &str) {
    let request =
        |path: &str| json!({"path": format!("{id}/prod{path}"), "headers": {"apikey": "bad"}});
    aws.post(
        "config",
        &json!({"watch": [request("/orders"), request(LIMITED.1)]}),
    );
}

/// Requires that after every changing call a bad key was refused with a 401 or a 403, and a passed limit with a 403 or a
/// 429. Returns the different pairs, in order.
#[track_caller]
fn watched(aws: &TestAws) -> Vec<(u64, u64)> {
    let watched = aws.get("watched");
    let mut seen: Vec<(u64, u64)> = Vec::new();
    for statuses in watched.as_array().expect("a list") {
        let status = |n: usize| statuses["statuses"][n].as_u64().unwrap_or_default();
        let pair = (status(0), status(1));
        assert!([401, 403].contains(&pair.0), "{statuses} in {watched}");
        assert!([403, 429].contains(&pair.1), "{statuses} in {watched}");
        if seen.last() != Some(&pair) {
            seen.push(pair);
        }
    }
    seen
}

#[test]
fn a_passed_limit_is_a_429_and_a_bad_key_a_401() {
    let (aws, id, here) = stack(LIMITS);
    let unauthorized = (401, "unauthorized".to_owned(), None);
    assert_eq!(call(&aws, &id, "/orders", Some("bad")), unauthorized);
    assert_eq!(call(&aws, &id, "/orders", None), unauthorized);
    let passed = (429, "limits_exceeded".to_owned(), Some("17".to_owned()));
    assert_eq!(call(&aws, &id, LIMITED.1, Some("bad")), passed);
    aws.post(
        "config",
        &json!({"authorizer_context": {"reason": "not_ready"}}),
    );
    assert_eq!(call(&aws, &id, "/orders", Some("bad")).0, 503);

    aws.post(
        "config",
        &json!({"authorizer_context": null, "outcomes": {"reasons": null}}),
    );
    assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    // No response has a reason, so the self-test shows that the authorizer can decide.
    let verified = here.succeed(&["verify", "-o", "json"]).json();
    let requests = verified["requests"].as_array().expect("a list");
    let bad_key = requests.iter().find(|row| row["check"] == "bad key");
    assert_eq!(bad_key.expect("a request")["status"], 401);
    assert!(
        requests.iter().any(|row| row["check"] == "self-test"),
        "{verified}"
    );
    // A key that the operator gives and that is refused is a fault, for any reason.
    let refused = here.run(&["verify", "--key", "bad", "--settle", "0s", "-o", "json"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stdout.contains(r#""fault":"refuses""#),
        "{}",
        refused.stdout
    );
    here.succeed(&["down", "--yes"]);
}

#[test]
fn a_bad_key_is_at_no_moment_answered_as_a_passed_limit() {
    for (from, to, expected) in [
        (HERE, LIMITS, [(403, 403), (401, 403), (401, 429)]),
        (LIMITS, HERE, [(401, 429), (401, 403), (403, 403)]),
    ] {
        let (aws, id, here) = stack(from);
        here.edit(from, to);
        let plan = here.succeed(&["plan"]);
        let told: &[&str] = match to {
            LIMITS => &[
                "response ACCESS_DENIED: other texts, status 403 -> 3scale's texts (only for a passed limit), status 429",
                "a passed limit is answered with status 429, and every other refusal of the authorizer with status 401",
            ],
            _ => &["response ACCESS_DENIED: other texts, status 429 -> 3scale's texts, status 403"],
        };
        assert_mentions(&plan, told);
        watch(&aws, &id);
        let states = killed_after_each(&aws, &here, &["up", "--yes"], "*");
        assert_eq!(watched(&aws), expected);
        aws.post("config", &json!({"watch": []}));
        assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
        // A run that continues after a kill, and one that goes back.
        each(states, |nth, killed| {
            let next = if nth % 2 == 0 { from } else { to };
            let here = workplace(&killed.aws, next);
            here.succeed(&["up", "--yes"]);
            let last = if nth % 2 == 0 {
                expected[0]
            } else {
                expected[2]
            };
            let seen = watched(&killed.aws);
            assert!(
                seen.is_empty() || seen.last() == Some(&last),
                "{nth}: {seen:?}"
            );
        });
    }
}

#[test]
fn a_change_of_the_status_that_fails_is_undone_without_a_429_for_a_bad_key() {
    let former = "is rolled back to deployment";
    let memory = "bootstrap.zip, memory: 256}";
    for (from, to, more, undone, left) in [
        (HERE, LIMITS, "bootstrap.zip}", former, (403, 403)),
        // New code is also in the version that serves both deployments.
        (LIMITS, HERE, memory, former, (401, 429)),
        // Without other changes, that is the former version, and the last step fails.
        (
            LIMITS,
            HERE,
            "bootstrap.zip}",
            "version 1 of the authorizer is live again",
            (401, 403),
        ),
    ] {
        let (aws, id, here) = stack(from);
        here.edit(from, to);
        here.edit("bootstrap.zip}", more);
        watch(&aws, &id);
        let failing = json!({"outcomes": {"authorizer": {"2": "error", "3": "error"}}});
        aws.post("config", &failing);
        let up = here.run(&["up", "--yes", "--settle", "0s"]);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_mentions(&up, &[undone]);
        for seen in aws.get("watched").as_array().expect("a list") {
            assert_ne!(seen["statuses"][0], 429, "{seen}");
        }
        let status = |path| call(&aws, &id, path, Some("bad")).0;
        assert_eq!((status("/orders"), status(LIMITED.1)), left);
    }
}

#[test]
fn stacks_on_one_api_have_one_status_of_a_passed_limit() {
    let (aws, id, _) = stack(LIMITS);
    add_stage(&aws, &id);
    let second = r#"api: {name: orders-api, stage: dev, protect: ["POST /orders"]}"#;
    let here = workplace(&aws, second);
    here.edit(
        "stack: orders",
        "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
    );
    let before = aws.account();
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["set `api.responses.limits: 429`"]);
    crate::support::assert_same(&before, &aws.account());
    here.edit("stage: dev,", "stage: dev, responses: {limits: 429},");
    here.succeed(&["up", "--yes"]);
}

/// With another network, the attachment to the former stage is removed before the new one is made.
#[test]
fn a_stack_that_moves_to_another_stage_knows_its_gateway_responses() {
    let (aws, id, here) = stack(LIMITS);
    add_stage(&aws, &id);
    here.edit(LIMITS, "api: {name: orders-api, stage: dev}");
    here.edit(
        "stack: orders",
        "stack: orders\nnetwork: {cidr: 10.43.0.0/16}",
    );
    here.succeed(&["up", "--yes"]);
    let account = aws.account();
    let responses = rest_api(&account, &id)["gateway_responses"].clone();
    let denied = responses.as_array().expect("a list").iter();
    let mut denied = denied.filter(|response| response["responseType"] == "ACCESS_DENIED");
    assert_eq!(denied.next().expect("a response")["statusCode"], "403");
    here.succeed(&["down", "--yes"]);
    assert_eq!(
        rest_api(&aws.account(), &id)["gateway_responses"],
        json!([])
    );
}

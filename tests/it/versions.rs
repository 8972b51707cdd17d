//! New code and new settings go live when an alias moves, after their self-test. Callers always depend on a published
//! version.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::kill::killed_after;
use crate::support::rest_api::{account, assert_mentions, id, stage_of, workplace};
use crate::support::{TestAws, Workplace, assert_same, counts, former};
use serde_json::{Value, json};

const HERE: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;
const GOOD: &str = "a-good-key";
const TOKEN: &str = "service_token: the-service-token";

/// An account with an API, a deployed stack that protects it, accepted callers, and a 3scale that accepts the
/// configured token.
fn stand() -> (TestAws, String, Workplace) {
    let aws = TestAws::state("a stack and callers", || {
        let (aws, _) = account();
        stand_on(&aws);
        aws
    });
    let api = id(&aws.account(), "orders-api");
    let here = workplace(&aws, HERE);
    (aws, api, here)
}

fn stand_on(aws: &TestAws) -> Workplace {
    let here = workplace(aws, HERE);
    aws.post(
        "config",
        &json!({
            "valid_keys": [GOOD],
            "valid_tokens": ["the-service-token", "another-token"],
            "valid_services": ["2555417834780", "1001"],
        }),
    );
    here.succeed(&["up", "--yes"]);
    here
}

/// From here on, the test AWS sends a request with a good key in each of these headers after every changing call.
fn watch(aws: &TestAws, api: &str, headers: &[&str]) {
    aws.post("log/clear", &json!({}));
    let request =
        |name: &&str| json!({"path": format!("{api}/prod/orders"), "headers": {*name: GOOD}});
    let requests: Vec<_> = headers.iter().map(request).collect();
    aws.post("config", &json!({"watch": requests}));
}

/// Requires that at least one of the watched requests was allowed after every changing call. Returns the number of
/// changing calls.
#[track_caller]
fn nobody_was_refused(aws: &TestAws) -> usize {
    let watched = aws.get("watched");
    let watched = watched.as_array().expect("a list");
    for seen in watched {
        let statuses = seen["statuses"].as_array().expect("a list");
        assert!(statuses.contains(&json!(200)), "{seen} in {watched:?}");
    }
    watched.len()
}

fn function<'a>(account: &'a Value, name: &str) -> &'a Value {
    let functions = account["functions"].as_array().expect("a list");
    let is_it =
        |function: &&Value| function["FunctionName"] == format!("threescale-gw-orders-{name}");
    functions.iter().find(is_it).expect("the function")
}

/// The version that the alias points to, and all versions.
fn versions(account: &Value, name: &str) -> (String, Vec<String>) {
    let function = function(account, name);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = function["versions"].as_array().expect("a list");
    let all = all
        .iter()
        .map(|version| text(&version["Version"]))
        .collect();
    (text(&function["aliases"][0]["FunctionVersion"]), all)
}

/// The suffixes of the stack's parameters that contain a service token.
fn tokens(account: &Value) -> Vec<String> {
    let all = account["parameters"].as_array().expect("a list");
    let names = all
        .iter()
        .filter_map(|parameter| parameter["name"].as_str());
    names
        .filter_map(|name| name.strip_prefix("/threescale-gw/orders/secrets/service-token"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_mistake_in_the_configuration_reaches_no_caller() {
    let (aws, api, here) = stand();
    let before = aws.account();
    let configuration = std::fs::read(here.path("threescale-gw.yaml")).expect("the configuration");
    watch(&aws, &api, &["apikey"]);
    for (from, to, told) in [
        (TOKEN, "service_token: a-mistyped-token", "token_invalid"),
        ("2555417834780", "2555417834781", "service_unknown"),
    ] {
        here.edit(from, to);
        for arguments in [
            &["up", "--yes"][..],
            &["up", "--yes", "--only", "authorizer"],
        ] {
            let up = here.run(arguments);
            assert_eq!(up.code, Some(1), "{}", up.stderr);
            assert_mentions(&up, &[told, "were not changed"]);
            let after = aws.account();
            for name in ["authorizer", "reporter"] {
                assert_eq!(
                    function(&after, name)["aliases"],
                    function(&before, name)["aliases"]
                );
            }
            assert_eq!(after["rest_apis"], before["rest_apis"]);
        }
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{}", plan.stdout);
        here.write("threescale-gw.yaml", &configuration);
    }
    assert!(nobody_was_refused(&aws) > 8);
    // With the corrected configuration, the previous version matches, and the version that never went live is deleted.
    here.succeed(&["up", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_cache_of_ones_own_is_tried_before_it_is_used() {
    let (aws, api) = account();
    let here = workplace(
        &aws,
        &format!("{HERE}\ncache: {{url: \"redis://mine:6379\"}}"),
    );
    aws.post(
        "config",
        &json!({"valid_keys": [GOOD], "outcomes": {"cache_urls": {"redis://mistyped:6379": ["dns", "no such host"]}}}),
    );
    here.succeed(&["up", "--yes"]);
    let before = aws.account();
    here.edit("redis://mine", "redis://mistyped");
    aws.post("config", &json!({"outcomes": {"invoke": {"*": {"payload": {
        "ok": false,
        "checks": [{"name": "redis", "ok": false, "ms": 1, "error": "no such host", "cause": "auth"}],
    }}}}}));
    watch(&aws, &api, &["apikey"]);
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    nobody_was_refused(&aws);
    let after = aws.account();
    let url = |account: &Value| {
        let all = account["parameters"].as_array().expect("a list");
        let is_it =
            |parameter: &&Value| parameter["name"] == "/threescale-gw/orders/secrets/cache-url";
        all.iter().find(is_it).cloned()
    };
    assert!(url(&before).is_some());
    assert_eq!(url(&after), url(&before), "the live version reads it");
    assert_eq!(versions(&after, "authorizer").0, "1");
}

#[test]
fn another_header_and_another_token_refuse_no_caller_at_any_moment() {
    let (aws, api, here) = stand();
    here.edit(
        TOKEN,
        "service_token: another-token, credentials: {kind: user_key, in: header, name: x-key}",
    );
    watch(&aws, &api, &["apikey", "x-key"]);
    here.succeed(&["up", "--yes"]);
    assert!(nobody_was_refused(&aws) >= 15);
    aws.post("config", &json!({"watch": []}));
    let watched = aws.get("watched");
    assert_eq!(
        watched
            .as_array()
            .and_then(|all| all.last())
            .map(|last| &last["statuses"]),
        Some(&json!([401, 200])),
        "the former header is not asked for any more"
    );
    let account = aws.account();
    // Version 1 has the former settings and version 2 the configured ones. The version that accepts both headers is
    // deleted.
    assert_eq!(
        versions(&account, "authorizer"),
        ("2".to_owned(), vec!["1".to_owned(), "2".to_owned()])
    );
    let settings = &function(&account, "authorizer")["Environment"]["Variables"];
    assert_eq!(
        settings["THREESCALE_GW_TOKEN_PARAMETER"],
        "secrets/service-token-1"
    );
    let again = here.succeed(&["up", "--yes"]);
    assert_mentions(&again, &["No changes"]);
}

#[test]
fn the_last_two_versions_stay_with_what_they_read() {
    let (aws, _) = account();
    let empty = aws.account();
    let here = stand_on(&aws);
    let change = |from: &str, to: &str, (live, former): (&str, &str), read: &[&str]| {
        here.edit(from, to);
        here.succeed(&["up", "--yes"]);
        let account = aws.account();
        let mut all = vec![live.to_owned(), former.to_owned()];
        all.sort();
        for name in ["authorizer", "reporter"] {
            assert_eq!(versions(&account, name), (live.to_owned(), all.clone()));
        }
        assert_eq!(tokens(&account), read);
        assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    };
    let other = "service_token: another-token";
    change(TOKEN, other, ("2", "1"), &["", "-1"]);
    // A version with exactly these settings already exists.
    change(other, TOKEN, ("1", "2"), &["", "-1"]);
    change(TOKEN, other, ("2", "1"), &["", "-1"]);
    let memory = |megabytes: u32| format!("bootstrap.zip, memory: {megabytes}}}");
    change("bootstrap.zip}", &memory(256), ("3", "2"), &["-1"]);
    change(&memory(256), &memory(512), ("4", "3"), &["-1"]);
    here.succeed(&["down", "--yes"]);
    assert_same(&empty, &aws.account());
}

#[test]
fn what_real_requests_do_not_pass_is_moved_back_and_so_does_rollback() {
    let (aws, api, here) = stand();
    let live = |account: &Value| ["authorizer", "reporter"].map(|name| versions(account, name).0);
    let served = |account: &Value| {
        crate::support::rest_api::stage_of(account, &api, "prod")["deploymentId"].clone()
    };
    let deployment = served(&aws.account());

    // The self-test passes, but real requests receive a 500.
    aws.post(
        "config",
        &json!({"outcomes": {"authorizer": {"2": "error"}}}),
    );
    here.edit("bootstrap.zip}", "bootstrap.zip, memory: 256}");
    let up = here.run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &["version 1 of the authorizer is live again, in place of version 2"],
    );
    let account = aws.account();
    assert_eq!(live(&account), ["1", "1"]);
    assert_eq!(
        served(&account),
        deployment,
        "the stage was not what changed"
    );

    // With another header, the deployment changes as well: both the alias and the stage move back.
    here.edit(
        "the-service-token",
        "the-service-token, credentials: {kind: user_key, in: header, name: x-key}",
    );
    aws.post(
        "config",
        &json!({"outcomes": {"authorizer": {"3": "error", "4": "error"}}}),
    );
    let up = here.run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    let account = aws.account();
    assert_eq!(live(&account), ["1", "1"]);
    assert_eq!(served(&account), deployment);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);

    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&["up", "--yes"]);
    assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    let [now, _] = live(&aws.account());
    let rollback = here.succeed(&["rollback", "-o", "json"]).json();
    assert_eq!(
        rollback["functions"][0],
        json!({"name": "authorizer", "from": now, "to": "1"})
    );
    assert_eq!(live(&aws.account()), ["1", "1"]);
    here.succeed(&["up", "--yes"]);
    assert_eq!(live(&aws.account())[0], now);
}

/// The deployment before the stack is gone, so the stage stays on the one that asks for the new header.
#[test]
fn a_stage_that_cannot_be_moved_keeps_the_version_that_reads_its_credentials() {
    let (aws, api, here) = stand();
    let served = |account: &Value| stage_of(account, &api, "prod")["deploymentId"].clone();
    here.edit(
        "the-service-token",
        "the-service-token, credentials: {kind: user_key, in: header, name: x-key}",
    );
    here.succeed(&["up", "--yes"]);
    let now = aws.account();
    let known = aws.call("apigateway", "GetDeployments", json!({"restApiId": api}));
    for known in known["items"].as_array().expect("a list") {
        if known["id"] != served(&now) {
            let former = json!({"restApiId": api, "deploymentId": known["id"]});
            aws.call("apigateway", "DeleteDeployment", former);
        }
    }
    let rollback = here.run(&["rollback"]);
    assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
    assert_mentions(
        &rollback,
        &["version 1 of the authorizer stays previous: a stage could not be moved"],
    );
    let after = aws.account();
    assert_eq!(served(&after), served(&now));
    assert_eq!(versions(&after, "authorizer").0, "2");

    // A version that reads the same header replaces a faulty one.
    here.edit("bootstrap.zip}", "bootstrap.zip, memory: 256}");
    here.succeed(&["up", "--yes"]);
    assert_ne!(versions(&aws.account(), "authorizer").0, "2");
    let rollback = here.run(&["rollback"]);
    assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
    assert_eq!(versions(&aws.account(), "authorizer").0, "2");
}

#[test]
fn a_stack_of_the_release_before_aliases_is_led_to_them_under_constant_calls() {
    let (aws, api, here) = stand();
    let whole = counts(&aws.account());
    former::make(&aws, &api);
    watch(&aws, &api, &["apikey", "x-key"]);

    // The code cannot be updated separately before the API invokes the alias.
    let only = here.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(only.code, Some(4), "{}", only.stderr);
    assert_mentions(&only, &["run `threescale-gw up` first"]);
    assert!(aws.changes().is_empty());

    // A caller that sends requests continuously, in addition to the watched requests.
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let url = format!("{}/_aws/execute-api/{api}/prod/orders", aws.url());
            let agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .new_agent();
            let mut calls = 0;
            while !is_over.load(Ordering::SeqCst) {
                let answer = agent
                    .get(&url)
                    .header("apikey", GOOD)
                    .call()
                    .expect("an answer");
                assert_eq!(answer.status(), 200, "call {calls}");
                calls += 1;
            }
            calls
        });
        let up = here.run(&["up", "--yes"]);
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(up.code, Some(0), "{}", up.stderr);
        assert!(caller.join().expect("no refused call") > 0);
    });
    assert!(nobody_was_refused(&aws) >= 15);
    let account = aws.account();
    for name in ["authorizer", "reporter"] {
        assert_eq!(
            function(&account, name)["policy"],
            json!([]),
            "only the alias may be invoked"
        );
        assert_eq!(
            versions(&account, name),
            // Version numbers are not reused: version 1 existed before the stack was turned into a former one.
            ("3".to_owned(), vec!["2".to_owned(), "3".to_owned()])
        );
    }
    assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    // Except for the previous version, the account equals its state after a first `up`.
    let mut now = counts(&account);
    now.retain(|path, _| !path.contains("/versions") && !path.contains("/deployments"));
    let mut whole = whole;
    whole.retain(|path, _| !path.contains("/versions") && !path.contains("/deployments"));
    assert_eq!(now, whole);
    here.succeed(&["down", "--yes"]);
}

#[test]
fn an_up_that_is_killed_after_each_of_its_calls_refuses_nobody_and_is_finished() {
    let (aws, api, here) = stand();
    let uninterrupted = {
        former::make(&aws, &api);
        here.edit(
            TOKEN,
            "service_token: another-token, credentials: {kind: user_key, in: header, name: x-key}",
        );
        watch(&aws, &api, &["apikey", "x-key"]);
        here.succeed(&["up", "--yes"]);
        nobody_was_refused(&aws);
        counts(&aws.account())
    };
    here.succeed(&["down", "--yes"]);
    aws.check_log();

    // Again, but every run is killed right after its first change, and its lock is released.
    let (aws, api, here) = stand();
    former::make(&aws, &api);
    here.edit(
        TOKEN,
        "service_token: another-token, credentials: {kind: user_key, in: header, name: x-key}",
    );
    watch(&aws, &api, &["apikey", "x-key"]);
    let (mut killed, mut nth, mut account) = (Vec::new(), 2, aws.account());
    while let Some(operation) = killed_after(&aws, &here, &["up", "--yes"], nth) {
        here.succeed(&["unlock"]);
        let now = aws.account();
        // Every run gets at least as far as the one before: creating a version for both headers takes several calls in
        // a row, and the lock of the API is gone again.
        let is_repeated = killed.last() == Some(&operation) && operation != "PutParameter";
        nth = match is_repeated || now == account {
            true => nth + 1,
            false => 2,
        };
        killed.push(operation);
        account = now;
        assert!(killed.len() < 100, "it comes to no end: {killed:?}");
    }
    for operation in [
        "CreateAlias",
        "UpdateAuthorizer",
        "CreateDeployment",
        "PublishVersion",
        "UpdateAlias",
        "DeleteFunction",
    ] {
        assert!(
            killed.iter().any(|killed| killed == operation),
            "{operation} in {killed:?}"
        );
    }
    assert!(nobody_was_refused(&aws) > killed.len());
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    let without_deployments = |mut counts: std::collections::BTreeMap<String, usize>| {
        counts.retain(|path, _| !path.contains("/deployments"));
        counts
    };
    assert_eq!(
        without_deployments(counts(&aws.account())),
        without_deployments(uninterrupted)
    );
    here.succeed(&["down", "--yes"]);
}

#[test]
fn each_call_of_the_move_that_fails_once_refuses_nobody() {
    for kind in ["throttle", "500", "drop"] {
        let (aws, api, here) = stand();
        former::make(&aws, &api);
        here.edit(
            TOKEN,
            "service_token: another-token, credentials: {kind: user_key, in: header, name: x-key}",
        );
        watch(&aws, &api, &["apikey", "x-key"]);
        aws.post(
            "faults",
            &json!([{"mutating": true, "every": true, "kind": kind}]),
        );
        here.succeed(&["up", "--yes"]);
        aws.post("faults", &json!([]));
        nobody_was_refused(&aws);
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{kind}: {}", plan.stdout);
    }
}

//! Real requests after a deployment: wrong responses are detected, and the stage moves back.

use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{
    OURS, account, assert_mentions, authorizer, change, ours, publish, served, stack, stage_of,
    workplace,
};
use crate::support::{Run, TestAws, standing};
use serde_json::{Value, json};

const HERE: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;
/// A configuration that also protects a method that has an authorizer of its own.
const OWN: &str = r#"api: {name: orders-api, stage: prod, protect: ["ANY /*", "GET /me"], except: ["GET /health"]}"#;
/// A configuration that names a method, so that the stack also protects it if another authorizer does.
const NAMED: &str = r#"api: {name: orders-api, stage: prod, protect: ["ANY /*", "GET /orders"], except: ["GET /health"]}"#;

fn requests(aws: &TestAws) -> Vec<String> {
    let list = aws.get("requests");
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    list.as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                text(entry, "method"),
                text(entry, "path"),
                text(entry, "credential")
            )
        })
        .collect()
}

/// An `up` that does not wait for a deployment to take effect.
const UP: [&str; 4] = ["up", "--yes", "--settle", "1ms"];

/// Requires that an `up` deployed, found these errors, moved the stage back, and exited with 1.
#[track_caller]
fn went_back(aws: &TestAws, up: &Run, id: &str, former: &Value, texts: &[&str]) {
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(up, texts);
    assert_mentions(
        up,
        &[&format!(
            "rolled back to deployment {}",
            former.as_str().expect("an id")
        )],
    );
    assert_eq!(
        stage_of(&aws.account(), id, "prod")["deploymentId"],
        *former
    );
}

#[test]
fn up_asks_every_method_and_calls_nothing_that_is_not_safe() {
    let (aws, _) = account();
    let here = workplace(&aws, HERE);
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(
        &up,
        &["verified:", "ok     GET /orders", "ok     POST /orders"],
    );
    let mut asked = requests(&aws);
    asked.sort();
    // Before the deployment, the API is asked the same where that is safe.
    let posted = asked.iter().filter(|request| request.starts_with("POST"));
    assert_eq!(posted.count(), 1);
    asked.dedup();
    assert_eq!(
        asked,
        [
            // An `ANY` method is called with a safe HTTP method.
            "GET /files/threescale-gw-verify given",
            "GET /files/threescale-gw-verify none",
            "GET /health none",
            "GET /orders given",
            "GET /orders none",
            "GET /orders/threescale-gw-verify given",
            "GET /orders/threescale-gw-verify none",
            "OPTIONS /orders none",
            "POST /orders none",
        ]
    );
    // A second `up` deploys nothing, so it sends no requests.
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    assert_eq!(requests(&aws), [""; 0]);
}

#[test]
fn a_deployment_that_takes_its_time_is_waited_for() {
    let (aws, id) = account();
    aws.post("config", &json!({"deployment_lag": 20}));
    let here = workplace(&aws, HERE);
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(&up, &["do not have the expected result yet", "verified:"]);
    assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
}

#[test]
fn what_is_wrong_after_the_deployment_moves_the_stage_back() {
    for (config, texts) in [
        (
            json!({"outcomes": {"open": ["GET /me"]}}),
            &["GET /me: reachable without a valid credential (200)"][..],
        ),
        (
            json!({"outcomes": {"authorizer": "error"}}),
            &["GET /orders: API Gateway got no decision from the authorizer (503"],
        ),
        (
            json!({"outcomes": {"authorizer": "timeout"}}),
            &["GET /orders: API Gateway got no decision from the authorizer (503"],
        ),
        (
            json!({"outcomes": {"closed": ["OPTIONS /orders"]}}),
            &["OPTIONS /orders: a credential is required, but the method should be open (403"],
        ),
    ] {
        let (aws, id) = account();
        let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        let here = workplace(&aws, OWN);
        let up = here.run_with(&aws, &UP, &held(), || {
            aws.post("config", &config);
        });
        went_back(&aws, &up, &id, &former, texts);
        // Everything except the stage is up to date, so once the cause is removed, one deployment is enough.
        aws.post(
            "config",
            &json!({"outcomes": {"open": null, "closed": null, "authorizer": null}}),
        );
        here.succeed(&["up", "--yes"]);
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
        let verify = here.succeed(&["verify"]);
        assert_mentions(&verify, &["verified:"]);
    }
}

/// The faults that an API has before the deployment, too, are reported, but the stage stays.
#[test]
fn what_was_the_same_before_the_deployment_does_not_move_the_stage() {
    let same = "this was the same before the change";
    for (outcomes, text) in [
        (
            json!({"open": ["POST /orders"]}),
            "POST /orders: reachable without a valid credential (200)",
        ),
        (
            json!({"authorizer": "allow"}),
            "GET /orders: reachable without a valid credential (200)",
        ),
        // The backend refuses requests without its own credential, and the authorizer is not called.
        (
            json!({"open": ["GET /orders"],
                   "backends": {"GET /orders": {"status": 401, "body": {"message": "Unauthorized"}}}}),
            "GET /orders: reachable without a valid credential (401 of the backend)",
        ),
    ] {
        let (aws, id) = account();
        let here = workplace(&aws, HERE);
        aws.post("config", &json!({"outcomes": outcomes}));
        // A later run has not asked before the deployment, and does not move the stage either.
        for _ in 0..2 {
            let up = here.run(&UP);
            assert_eq!(up.code, Some(1), "{}", up.stderr);
            assert_mentions(
                &up,
                &[
                    same,
                    text,
                    "as before the change",
                    "stage prod stays unchanged",
                ],
            );
            assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
        }
        let none = json!({"open": null, "authorizer": null, "backends": null});
        aws.post("config", &json!({"outcomes": none}));
        assert_mentions(&here.succeed(&UP), &["verified:"]);
        assert!(!here.succeed(&UP).stderr.contains("verified"));
    }

    // A failing authorizer is no reason to return to a deployment that has it, too.
    let (aws, id, here) = stack(HERE);
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    here.edit("except:", "responses: false, except:");
    for _ in 0..2 {
        let up = here.run(&UP);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_mentions(&up, &[same, "got no decision from the authorizer (500"]);
        assert_ne!(
            stage_of(&aws.account(), &id, "prod")["deploymentId"],
            former
        );
    }
}

/// The owner decides how an open method answers.
#[test]
fn a_method_that_should_be_open_may_refuse_as_it_did_before() {
    let own = json!({"status": 401, "body": {"message": "Unauthorized"}});
    for outcomes in [
        json!({"backends": {"GET /health": own}}),
        json!({"closed": ["OPTIONS /orders"]}),
    ] {
        let (aws, id) = account();
        let here = workplace(&aws, HERE);
        aws.post("config", &json!({"outcomes": outcomes}));
        assert_mentions(&here.succeed(&UP), &["verified: 9 requests"]);
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
    }
}

#[test]
fn a_resource_policy_that_refuses_this_machine_is_not_a_fault_of_the_api() {
    let aws = TestAws::start();
    for responses in ["", ", responses: false"] {
        aws.check_log();
        aws.post("reset", &json!({}));
        let mut api = crate::support::rest_api::rich("orders-api");
        let every =
            json!({"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"});
        let with = |effect: &str, condition: Value| {
            let mut statement = every.clone();
            statement["Effect"] = json!(effect);
            statement["Condition"] = condition;
            statement
        };
        let admitted = json!({"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}});
        api["policy"] = json!({"Version": "2012-10-17",
            "Statement": [with("Allow", json!({})), with("Deny", admitted)]});
        let id = crate::support::rest_api::seed(&aws, &[api]).remove(0);
        let here = workplace(&aws, &HERE.replace('}', &format!("{responses}}}")));
        let words = [
            "not verified:",
            "resource policy refuses requests",
            "run `threescale-gw verify` from an address that it admits",
        ];
        assert_mentions(&here.succeed(&["up", "--yes"]), &words);
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
        assert_mentions(&here.succeed(&["verify"]), &words);
        let verify = here.succeed(&["verify", "-o", "json"]).json();
        assert!(
            verify["skipped"]
                .as_str()
                .is_some_and(|why| why.contains("policy")),
            "{verify}"
        );
    }
}

#[test]
fn credentials_that_expire_after_the_deployment_do_not_prevent_the_verification() {
    let expired = json!([{"operation": "*", "kind": "error", "code": "ExpiredTokenException", "status": 403,
        "message": "The security token included in the request is expired"}]);
    let text = "stage prod serves our deployment and it was not verified";
    for (outcome, result) in [
        (
            Value::Null,
            "the requests, which need no credentials, found nothing that affects callers",
        ),
        (
            json!("error"),
            "GET /orders: API Gateway got no decision from the authorizer",
        ),
    ] {
        let (aws, id) = account();
        let here = workplace(&aws, HERE);
        let rule = json!({"operation": "CreateDeployment", "nth": 1, "kind": "hold"});
        aws.post("faults", &json!([rule]));
        let up = here.start(&UP);
        assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
        aws.post("config", &json!({"outcomes": {"authorizer": outcome}}));
        aws.post("faults", &expired);
        aws.post("release", &json!({}));
        let up = Run::of(up.wait_with_output().expect("it ends"));
        assert_eq!(up.code, Some(5), "{}", up.stderr);
        assert_mentions(
            &up,
            &[
                text,
                "ExpiredTokenException",
                result,
                "renew the credentials",
            ],
        );
        assert_mentions(&up, &["GET /orders          no key    401"]);
        aws.post("faults", &json!([]));
        aws.post("config", &json!({"outcomes": {"authorizer": null}}));
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
        here.run(&["unlock"]);
        assert_mentions(&here.succeed(&UP), &["verified:"]);
    }
}

/// A run that was killed after its deployment leaves nothing to change. What it has not verified is verified all the same.
#[test]
fn what_a_killed_run_did_not_verify_is_verified_by_the_next_up() {
    let (aws, _, here) = stack(HERE);
    let edit = (r#"except: ["GET /health"]"#, r#"except: ["GET /files"]"#);
    here.edit(edit.0, edit.1);
    let mut states = killed_after_each(&aws, &here, &UP, "*");
    let deployed = states
        .iter()
        .position(|killed| killed.after == "CreateDeployment");
    let states = states.split_off(deployed.expect("a deployment"));
    let noted = states
        .iter()
        .position(|killed| killed.after == "PutParameter");
    let noted = noted.expect("a record");
    assert!(noted > 0 && states.len() > noted + 1, "{}", states.len());
    each(states, |nth, killed| {
        let here = workplace(&killed.aws, HERE);
        here.edit(edit.0, edit.1);
        let was_verified = nth > noted;
        let status = || here.succeed(&["status", "-o", "json"]).json();
        let before = status();
        assert_eq!(before["api"]["verified"], was_verified, "{}", killed.after);
        assert_eq!(before["healthy"], true, "{before}");
        assert_eq!(
            before["notices"].to_string().contains("not verified"),
            !was_verified
        );
        assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
        let up = here.succeed(&UP);
        for text in ["was not verified: this run verifies it", "verified: "] {
            assert_eq!(up.stderr.contains(text), !was_verified, "{}", up.stderr);
        }
        assert_eq!(status()["api"]["verified"], true);
    });
}

/// A fault that holds the deployment before it is executed.
fn held() -> Value {
    json!({"operation": "CreateDeployment", "kind": "hold-before"})
}

/// The stage moves back to its previous deployment, and not to one in which nothing is protected.
#[test]
fn a_later_deployment_that_is_wrong_goes_back_to_the_one_before_it() {
    let (aws, id, here) = stack(HERE);
    let ours_before = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    here.edit(r#"except: ["GET /health"]"#, r#"except: ["GET /files"]"#);
    let up = here.run_with(&aws, &UP, &held(), || {
        aws.post("config", &json!({"outcomes": {"open": ["GET /orders"]}}));
    });
    let text = "GET /orders: reachable without a valid credential (200)";
    went_back(&aws, &up, &id, &ours_before, &[text]);
    assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());

    // The same applies if another user published a deployment after the stack's.
    let theirs = publish(&aws, &id, "prod");
    here.edit(r#"except: ["GET /files"]"#, r#"except: ["GET /health"]"#);
    aws.post("config", &json!({"outcomes": {"open": null}}));
    let up = here.run_with(&aws, &UP, &held(), || {
        aws.post("config", &json!({"outcomes": {"closed": ["GET /health"]}}));
    });
    let text = "GET /health: a credential is required, but the method should be open (403";
    went_back(&aws, &up, &id, &json!(theirs), &[text]);
    aws.post("config", &json!({"outcomes": {"closed": null}}));
    here.succeed(&["up", "--yes"]);
    assert_eq!(served(&aws.account(), &id, "prod")["GET /health"], "NONE");
}

/// Removes API Gateway's permission to invoke the stack's authorizer, as another user.
fn remove_permission(aws: &TestAws) {
    let function = "threescale-gw-orders-authorizer";
    let policy = aws.call(
        "lambda",
        "GetPolicy",
        json!({"FunctionName": function, "Qualifier": "live"}),
    );
    let policy: Value =
        serde_json::from_str(policy["Policy"].as_str().expect("text")).expect("JSON");
    let statement = &policy["Statement"][0]["Sid"];
    aws.call(
        "lambda",
        "RemovePermission",
        json!({"FunctionName": function, "Qualifier": "live", "StatementId": statement}),
    );
}

/// Assigns another authorizer to `GET /orders`, as another user.
fn take_away(aws: &TestAws, id: &str) {
    let own = authorizer(&aws.account(), id, "own");
    change(aws, id, "GET", "/orders", &[("/authorizerId", &own)]);
}

/// Points the stack's authorizer to another function, as another user.
fn lead(aws: &TestAws, id: &str, function: &str) {
    let function = format!("arn:aws:lambda:us-east-1:123456789012:function:{function}");
    let uri = format!(
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    );
    let authorizer = authorizer(&aws.account(), id, OURS);
    let patches = json!([{"op": "replace", "path": "/authorizerUri", "value": uri}]);
    aws.call(
        "apigateway",
        "UpdateAuthorizer",
        json!({"restApiId": id, "authorizerId": authorizer, "patchOperations": patches}),
    );
}

#[test]
fn what_others_break_before_the_deployment_moves_the_stage_back() {
    let no_permission: &dyn Fn(&TestAws, &str) = &|aws, _| remove_permission(aws);
    let elsewhere: &dyn Fn(&TestAws, &str) = &|aws, id| lead(aws, id, "theirs");
    for (meanwhile, text) in [
        (
            no_permission,
            "GET /orders: API Gateway got no decision from the authorizer (500",
        ),
        (elsewhere, "GET /orders: another authorizer decides (403"),
    ] {
        let (aws, id) = account();
        let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        aws.post(
            "config",
            &json!({"outcomes": {"functions": {"theirs": "deny"}}}),
        );
        let here = workplace(&aws, HERE);
        let up = here.run_with(&aws, &UP, &held(), || meanwhile(&aws, &id));
        went_back(&aws, &up, &id, &former, &[text]);
        // `up` restores the permission. The changed authorizer has to be corrected by the user who changed it.
        lead(&aws, &id, OURS);
        here.succeed(&["up", "--yes"]);
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
        here.succeed(&["verify"]);
    }
}

#[test]
fn a_method_that_others_take_before_the_deployment_is_put_right_in_the_same_run() {
    let (aws, id) = account();
    let here = workplace(&aws, NAMED);
    let up = here.run_with(&aws, &UP, &held(), || take_away(&aws, &id));
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    assert_mentions(&up, &["verified:"]);
    assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
}

#[test]
fn the_permission_and_another_authorizer_are_found_by_verify() {
    let (aws, id, here) = stack(HERE);

    remove_permission(&aws);
    let verify = here.run(&["verify", "--settle", "1ms"]);
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    assert_mentions(
        &verify,
        &[
            "wrong  GET /orders",
            "bad key",
            "got no decision from the authorizer",
        ],
    );
    here.succeed(&["up", "--yes"]);
    here.succeed(&["verify"]);

    // Another user assigns another authorizer to a method and publishes the change. That authorizer also refuses
    // requests, but it is not the stack's.
    take_away(&aws, &id);
    publish(&aws, &id, "prod");
    here.edit("except:", "protect: [\"ANY /*\", \"GET /orders\"], except:");
    let verify = here.run(&["verify", "--settle", "1ms", "-o", "json"]);
    assert_eq!(verify.code, Some(1));
    let document = verify.json();
    let wrong: Vec<_> = document["requests"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["fault"] == "wrong_authorizer")
        .map(|row| row["method"].as_str().expect("text"))
        .collect();
    assert!(wrong.contains(&"GET /orders"), "{document}");
    assert_eq!(document["ok"], false);
}

/// Another user deploys a method with another authorizer, and sets the draft back to the stack's.
#[test]
fn a_method_that_the_stage_serves_with_another_authorizer_is_drift() {
    let (aws, id, here) = stack(HERE);
    take_away(&aws, &id);
    publish(&aws, &id, "prod");
    let ours = authorizer(&aws.account(), &id, OURS);
    change(&aws, &id, "GET", "/orders", &[("/authorizerId", &ours)]);

    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(3), "{}", status.stdout);
    assert_mentions(&status, &["served with the authorizer of another owner"]);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);
    here.succeed(&["up", "--yes"]);
    let status = here.succeed(&["status", "--exit-code"]);
    assert!(
        !status.stdout.contains("another owner"),
        "{}",
        status.stdout
    );
    here.succeed(&["verify"]);
}

#[test]
fn the_credential_is_looked_for_where_the_configuration_says_in_the_stage_too() {
    let (aws, _) = account();
    aws.post("config", &json!({"valid_keys": ["the-test-key"]}));
    let here = workplace(&aws, HERE);
    here.edit(
        "service_token: the-service-token",
        "service_token: the-service-token, credentials: {in: header, name: apikey}",
    );
    let key = ["--key", "the-test-key"];
    here.succeed(&[&["up", "--yes"][..], &key].concat());
    here.edit("in: header", "in: query");
    let up = here.succeed(&[&["up", "--yes"][..], &key].concat());
    assert_mentions(&up, &["ok     GET /orders", "good key  200"]);
}

#[test]
fn a_method_that_others_open_is_found_though_something_else_refuses_the_call() {
    let (aws, id, here) = stack(HERE);
    // With an export, and if the service returns no export.
    let refused = json!([{"operation": "GetExport", "kind": "error", "code": "BadRequestException",
        "message": "unable to export", "status": 400}]);
    for faults in [json!([]), refused] {
        // The method still requires an API key, so requests without one are refused.
        change(
            &aws,
            &id,
            "POST",
            "/orders",
            &[("/authorizationType", "NONE")],
        );
        publish(&aws, &id, "prod");
        aws.post("faults", &faults);
        let verify = here.run(&["verify", "--settle", "1ms"]);
        assert_eq!(verify.code, Some(1), "{}", verify.stdout);
        assert_mentions(
            &verify,
            &[
                "ok     POST /orders         no key    403",
                "wrong  POST /orders         guard",
                "reachable without a valid credential: the stage serves it without an authorizer",
                "FAIL: 1 check of the stage and the authorizer fails",
            ],
        );
        here.succeed(&["up", "--yes"]);
        here.succeed(&["verify"]);
        aws.post("faults", &json!([]));
    }
}

#[test]
fn a_test_key_is_let_in_where_that_is_safe_and_never_shown() {
    let (aws, _) = account();
    aws.post("config", &json!({"valid_keys": ["the-test-key"]}));
    let here = workplace(&aws, HERE);
    let mut command = here.command(&["up", "--yes", "-v"]);
    command.env("THREESCALE_TEST_KEY", "the-test-key");
    let up = crate::support::Run::of(command.output().expect("it runs"));
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    assert_mentions(&up, &["ok     GET /orders", "good key  200"]);
    let verify = here.succeed(&["verify", "--key", "the-test-key"]);
    let posted = aws.get("requests");
    let posted: Vec<_> = posted
        .as_array()
        .expect("a list")
        .iter()
        .filter(|request| request["method"] == "POST")
        .map(|request| request["credential"].clone())
        .collect();
    assert!(
        !posted.is_empty() && posted.iter().all(|credential| credential == "none"),
        "{posted:?}"
    );

    let refused = here.run(&["verify", "--key", "another-key", "--settle", "1ms"]);
    assert_eq!(refused.code, Some(1));
    assert_mentions(
        &refused,
        &["the test key is refused: 403", "user_key_invalid"],
    );
    for run in [&up, &verify, &refused] {
        let shown = format!("{}{}", run.stdout, run.stderr);
        assert!(
            !shown.contains("the-test-key") && !shown.contains("another-key"),
            "{shown}"
        );
    }
}

#[test]
fn a_test_key_that_is_refused_for_what_it_is_leaves_the_stage_where_it_is() {
    for (reason, stays) in [
        ("limits_exceeded", true),
        ("application_not_active", true),
        ("service_not_active", false),
        ("backend_unavailable", false),
    ] {
        let (aws, id) = account();
        let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        let here = workplace(&aws, HERE);
        aws.post("config", &json!({"authorizer_context": {"reason": reason}}));
        let arguments = ["up", "--yes", "--settle", "1ms", "--key", "the-key"];
        let up = here.run(&arguments);
        if !stays {
            let texts: &[&str] = if reason == "backend_unavailable" {
                &["got no decision from the authorizer (503"]
            } else {
                &["not for what it is", reason]
            };
            went_back(&aws, &up, &id, &former, texts);
            continue;
        }
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_mentions(
            &up,
            &["the test key is refused (403", reason, "stage prod stays"],
        );
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
        // No successful verification was recorded, so the next run verifies again.
        let again = here.run(&arguments);
        assert_eq!(again.code, Some(1), "{}", again.stderr);
        aws.post("config", &json!({"valid_keys": ["the-key"]}));
        assert_mentions(&here.succeed(&arguments), &["verified:"]);
        assert!(!here.succeed(&arguments).stderr.contains("verified"));
        aws.post("config", &json!({"valid_keys": []}));
    }
}

#[test]
fn what_could_not_be_asked_is_asked_by_the_next_up() {
    let (aws, _) = account();
    let here = workplace(&aws, HERE);
    aws.post(
        "config",
        &json!({"outcomes": {"throttled": ["GET /health"]}}),
    );
    for _ in 0..2 {
        let up = here.succeed(&UP);
        assert_mentions(
            &up,
            &[
                "API Gateway is throttling",
                "not every request could be sent from here",
            ],
        );
    }
    aws.post("config", &json!({"outcomes": {"throttled": null}}));
    assert_mentions(&here.succeed(&UP), &["verified:"]);
    assert!(!here.succeed(&UP).stderr.contains("verified"));
}

#[test]
fn an_api_that_cannot_be_reached_is_said_to_be_unverified() {
    let aws = TestAws::start();
    for (attribute, value, words) in [
        ("endpoint_type", json!("PRIVATE"), "is private"),
        ("disable_execute_api_endpoint", json!(true), "is disabled"),
    ] {
        aws.check_log();
        aws.post("reset", &json!({}));
        let mut api = crate::support::rest_api::rich("orders-api");
        api[attribute] = value;
        crate::support::rest_api::seed(&aws, &[api]);
        let here = workplace(&aws, HERE);
        let up = here.succeed(&["up", "--yes"]);
        assert_mentions(&up, &["not verified:", words, "--url"]);
        assert_eq!(requests(&aws), [""; 0]);
        let status = here.succeed(&["status", "-o", "json"]).json();
        let api = &status["api"];
        assert_eq!(
            (&api["verified"], &api["verified_at"]),
            (&json!(false), &json!(null)),
            "{status}"
        );
        assert_mentions(
            &here.succeed(&["status"]),
            &["not verified: the API could not be called"],
        );
        // No later run tries again.
        assert!(!here.succeed(&["up", "--yes"]).stderr.contains("verified"));
        let verify = here.succeed(&["verify", "-o", "json"]).json();
        assert!(
            verify["skipped"].as_str().expect("text").contains(words),
            "{verify}"
        );
    }

    // The requests go to this address instead of the API's own, and nothing listens there.
    let (aws, _) = account();
    let here = workplace(&aws, HERE);
    let up = here.succeed(&["up", "--yes", "--no-verify"]);
    assert!(!up.stderr.contains("verified"), "{}", up.stderr);
    let verify = here.run(&[
        "verify",
        "--settle",
        "1ms",
        "--url",
        "http://127.0.0.1:1/base",
    ]);
    assert_eq!(verify.code, Some(1));
    assert_mentions(&verify, &["no answer", "http://127.0.0.1:1/base"]);
    // The next `up` does the verification that `--no-verify` skipped, and ends as if it had deployed.
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let found = here.run(&["up", "--yes", "--settle", "1ms", "-o", "json"]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    let lines = found.lines();
    let summary = lines.last().expect("a summary");
    assert_eq!(
        (&summary["outcome"], &summary["failed"]),
        (&"failed".into(), &1.into())
    );
    assert!(lines.iter().all(|line| line["event"] != "outputs"));
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&["up", "--yes", "--no-verify"]);
    let wrong = here.run(&["verify", "--url", "orders.example.com"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert_mentions(&here.succeed(&["up", "--yes"]), &["verified:"]);
}

#[test]
fn a_stage_that_does_not_exist_is_named_and_not_verified() {
    let (_aws, here) = standing();
    here.edit("stage: prod", "stage: prd");
    let missing = "has no stage \"prd\" with a deployment";
    let verify = here.run(&["verify"]);
    assert_eq!(verify.code, Some(4), "{}", verify.stdout);
    assert!(verify.stderr.contains(missing), "{}", verify.stderr);
    let status = here.succeed(&["status"]).stdout;
    assert!(status.contains(missing), "{status}");
    assert!(!status.contains("protected"), "{status}");
}

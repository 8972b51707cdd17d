//! The API is not changed until the authorizer's self-test passes. `status` runs the self-test too.

use crate::support::rest_api::{account, assert_mentions, rest_api, stack, workplace};
use crate::support::{TestAws, Workplace};
use serde_json::{Value, json};

const HERE: &str = "api: {name: orders-api, stage: prod}";

/// The response of a self-test in which one check fails.
fn failed(check: &str, cause: &str) -> Value {
    let of = |name: &str| match name {
        name if name == check => {
            json!({"name": name, "ok": false, "ms": 3, "error": format!("{name} says {cause}"), "cause": cause})
        }
        // The decision check is skipped after a failed check.
        "decision" => {
            json!({"name": name, "ok": false, "ms": 0, "error": "not tried", "cause": "skipped"})
        }
        name => json!({"name": name, "ok": true, "ms": 1, "error": null, "cause": null}),
    };
    let checks = ["secrets", "redis", "threescale", "decision"].map(of);
    json!({"ok": false, "checks": checks})
}

fn answer(aws: &TestAws, payload: &Value, is_error: bool) {
    aws.post(
        "config",
        &json!({"outcomes": {"invoke": {"*": {"payload": payload, "error": is_error}}}}),
    );
}

fn changes_of_the_api(aws: &TestAws) -> Vec<String> {
    let api = |entry: &Value| entry["service"] == "apigateway" && entry["mutating"] == true;
    let log = aws.log();
    let found = log.iter().filter(|entry| api(entry));
    found.map(|entry| entry["operation"].to_string()).collect()
}

/// `up` must exit with 1, print these texts, and leave the API unchanged.
#[track_caller]
fn refused(aws: &TestAws, here: &Workplace, id: &str, before: &Value, texts: &[&str]) {
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(&up, texts);
    assert_mentions(&up, &["the API was not changed"]);
    assert_eq!(rest_api(&aws.account(), id), rest_api(before, id));
    assert_eq!(changes_of_the_api(aws), [""; 0]);
}

#[test]
fn a_cache_that_drops_counts_is_a_warning() {
    let (aws, here) = crate::support::standing();
    let policy = "the eviction policy of the cache is allkeys-lru";
    aws.post("config", &json!({"outcomes": {"cache_warning": policy}}));
    let remedy = format!("note {policy}: set `maxmemory-policy` to `noeviction` or `volatile-lru`");
    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(0), "{}", status.stdout);
    assert!(status.stdout.contains(&remedy), "{}", status.stdout);
    let up = here.succeed(&["up", "--yes"]);
    assert!(up.stderr.contains(&remedy), "{}", up.stderr);
}

#[test]
fn each_failure_of_the_self_test_leaves_the_api_alone_and_is_told_with_its_remedy() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    for (check, cause, remedy) in [
        (
            "secrets",
            "ssm_denied",
            "may not read this stack's parameters",
        ),
        (
            "secrets",
            "ssm_unreachable",
            "no way to the Parameter Store",
        ),
        ("secrets", "missing", "recreates the missing parameters"),
        ("redis", "tls", "`cache.tls`"),
        ("redis", "auth", "refuses the password"),
        ("redis", "read_only", "address of the primary"),
        ("redis", "full", "is full"),
        ("redis", "protocol", "does not speak Redis"),
        ("threescale", "tls_chain", "`threescale.ca_file`"),
        ("threescale", "tls_name", "for another name"),
        ("threescale", "tls_validity", "renew it"),
        ("threescale", "tls", "does not speak TLS"),
        (
            "threescale",
            "token_invalid",
            "check `threescale.service_token`",
        ),
        (
            "threescale",
            "service_unknown",
            "check `threescale.service_id`",
        ),
        ("threescale", "metric_unknown", "`threescale.mapping_rules`"),
        ("threescale", "http_status", "3scale answers with an error"),
        ("threescale", "protocol", "is not 3scale's"),
        ("decision", "scripts", "must run Lua scripts"),
        ("decision", "failed", "log group"),
    ] {
        answer(&aws, &failed(check, cause), false);
        let what = format!("{check} ({cause}): {check} says {cause}");
        refused(&aws, &here, &id, &before, &[&what, remedy]);
    }

    // A function that times out, and one that returns something other than a self-test.
    answer(
        &aws,
        &json!({"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 5.00 seconds"}),
        true,
    );
    refused(&aws, &here, &id, &before, &["Task timed out", "log group"]);
    answer(&aws, &json!("hello"), false);
    refused(&aws, &here, &id, &before, &["up --only authorizer"]);

    // After the cause is fixed, the same command continues from there.
    aws.post("config", &json!({"outcomes": {"invoke": null}}));
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(&up, &["created  api-attachment/main"]);
}

#[test]
fn what_may_pass_by_itself_is_waited_for() {
    let (aws, _) = account();
    let here = workplace(&aws, HERE);
    for (check, cause) in [
        ("redis", "dns"),
        ("redis", "timeout"),
        ("threescale", "no_route"),
    ] {
        answer(&aws, &failed(check, cause), false);
        let child = here.start(&["up", "--yes", "-o", "json"]);
        // `up` repeats the self-test. Once it passes, the run continues.
        crate::support::eventually("a second self-test", || {
            let invoked = aws
                .log()
                .iter()
                .filter(|entry| entry["operation"] == "Invoke")
                .count();
            (invoked >= 2).then_some(())
        });
        aws.post("config", &json!({"outcomes": {"invoke": null}}));
        let run = crate::support::Run::of(child.wait_with_output().expect("it ends"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let what = format!("{check} ({cause})");
        let waited = |line: &Value| {
            line["event"] == "retrying"
                && line["cause"]
                    .as_str()
                    .is_some_and(|text| text.contains(&what))
        };
        assert!(run.lines().iter().any(waited), "{}", run.stdout);
        here.succeed(&["down", "--yes"]);
        aws.check_log();
    }
}

#[test]
fn a_later_up_and_status_ask_again() {
    let (aws, _, here) = stack(HERE);
    // `--deep` is the former way to request the self-test, which now runs by default.
    here.succeed(&["status", "--deep", "--exit-code"]);
    let status = here.succeed(&["status", "--exit-code", "--all"]);
    assert_mentions(
        &status,
        &[
            "self-test",
            "ok      redis",
            "ok      threescale",
            "healthy",
        ],
    );

    answer(&aws, &failed("threescale", "token_invalid"), false);
    let before = aws.account();
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "threescale (token_invalid)",
            "check `threescale.service_token`",
        ],
    );
    crate::support::assert_same(&before, &aws.account());

    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(3));
    assert_mentions(
        &status,
        &[
            "threescale (token_invalid)",
            "check `threescale.service_token`",
            "unhealthy: the authorizer does not pass its self-test",
        ],
    );
    let document = here.run(&["status", "-o", "json"]).json();
    assert_eq!(document["healthy"], false);
    assert_eq!(document["self_test"]["checks"][2]["cause"], "token_invalid");
    // `--no-deep` skips the self-test and reports only the configuration.
    let shallow = here.succeed(&["status", "--no-deep", "--exit-code"]);
    assert_mentions(
        &shallow,
        &["healthy (configuration only: the self-test was not run)"],
    );
    let shallow = here.succeed(&["status", "--no-deep", "-o", "json"]).json();
    assert_eq!(shallow["self_test"], Value::Null);
    // A missing permission to invoke the function is not a failure of the stack either.
    let denied = json!([{"service": "lambda", "operation": "Invoke", "kind": "deny"}]);
    aws.post("faults", &denied);
    let status = here.succeed(&["status", "--exit-code"]);
    assert_mentions(
        &status,
        &[
            "the authorizer's self-test was not run, so whether callers get in is not known: lambda:Invoke",
            "healthy (configuration only",
        ],
    );
    let status = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(status["self_test"], Value::Null);
    assert!(
        status["notices"].to_string().contains("was not run"),
        "{status}"
    );
}

/// The self-test also runs when something else than the attachment changes.
#[test]
fn an_up_that_changes_something_else_proves_the_authorizer_too() {
    let (aws, _) = account();
    aws.post("config", &json!({"valid_tokens": ["the-service-token"]}));
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    let fails = |arguments: &[&str], change: &str| {
        let up = here.run(arguments);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_mentions(
            &up,
            &[
                change,
                "threescale (token_invalid)",
                "check `threescale.service_token`",
            ],
        );
    };
    here.edit("the-service-token", "another-token");
    fails(&["up", "--yes"], "created  secret/service-token");
    here.write("bootstrap.zip", &crate::support::artifact(1));
    fails(
        &["up", "--yes", "--only", "authorizer"],
        "updated  lambda/authorizer",
    );
    let summary = here.run(&["up", "--yes", "-o", "json"]);
    assert_eq!(summary.code, Some(1), "{}", summary.stderr);
    here.edit("another-token", "the-service-token");
    here.succeed(&["up", "--yes"]);
}

/// The reporter's new version becomes live only after its own self-test.
#[test]
fn the_reporter_is_proved_before_it_is_live() {
    let (aws, _, here) = stack(HERE);
    let reporter = "threescale-gw-orders-reporter";
    let live = |aws: &TestAws| {
        let parameters = json!({"FunctionName": reporter, "Name": "live"});
        aws.call("lambda", "GetAlias", parameters)["FunctionVersion"].clone()
    };
    let before = live(&aws);
    let outcome = |payload: &Value| json!({"outcomes": {"invoke": {reporter: payload}}});
    let broken = json!({"payload": failed("redis", "auth"), "error": false});
    aws.post("config", &outcome(&broken));
    here.write("bootstrap.zip", &crate::support::artifact(2));
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(&up, &["the reporter cannot work: redis (auth)"]);
    assert_eq!(live(&aws), before);
    aws.post("config", &json!({"outcomes": {"invoke": null}}));
    here.succeed(&["up", "--yes"]);
    assert_ne!(live(&aws), before);
}

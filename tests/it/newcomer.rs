//! What a new user meets: wrong addresses, half of the credentials, a lock of a run that is alive, the next step after an
//! interruption.

use std::process::Stdio;

use serde_json::json;

use crate::early::with_threescale;
use crate::support::rest_api::{self, assert_mentions, id};
use crate::support::{Run, TestAws, Workplace, standing};

#[test]
fn a_stage_that_does_not_exist_is_not_verified() {
    let (aws, here) = standing();
    let url = format!(
        "{}/_aws/execute-api/{}/nowhere",
        aws.url(),
        id(&aws.account(), "orders-api")
    );
    let verify = here.run(&["verify", "--settle", "1ms", "--url", &url]);
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    assert_mentions(
        &verify,
        &[
            "FAIL:",
            "the stage does not serve it",
            "there is no stage or base path at this URL",
        ],
    );
    let right = url.replace("nowhere", "prod");
    here.succeed(&["verify", "--url", &right]);
}

#[test]
fn a_released_lock_stops_its_run_at_the_next_step() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let hold = json!({"operation": "CreateVpc", "kind": "hold"});
    let up = here.run_with(&aws, &["up", "--yes"], &hold, || {
        let refused = here.run(&["unlock"]);
        assert_eq!(refused.code, Some(4), "{}", refused.stderr);
        assert_mentions(
            &refused,
            &["may be in progress", "unlock --stack orders --yes"],
        );
        let released = here.succeed(&["unlock", "--yes"]);
        assert!(released.stdout.starts_with("released the lock held by"));
    });
    assert_eq!(up.code, Some(130), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "the lock was broken: this run stops",
            "run the same command again",
        ],
    );
    let account = aws.account();
    let subnets = account["subnets"].as_array().expect("a list").iter();
    let ours = subnets.filter(|subnet| subnet["tags"]["threescale-gw:stack"] == "orders");
    assert_eq!(ours.count(), 0);
    here.succeed(&["up", "--yes"]);
}

#[test]
fn status_names_the_command_that_goes_on() {
    let (aws, here) = standing();
    here.succeed(&["rollback"]);
    let text = "not protected: stage prod serves the deployment from before the stack, after a rollback or an interrupted run. `threescale-gw up`";
    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(3));
    assert!(status.stdout.contains(text), "{}", status.stdout);
    let document = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(document["api"]["rolled_back"], true);
    here.succeed(&["up", "--yes"]);
    let document = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(document["api"]["rolled_back"], false);

    // `down`, until the first deletion that fails.
    let fails = json!([{"operation": "DeleteReplicationGroup", "kind": "deny"}]);
    aws.post("faults", &fails);
    assert_ne!(here.run(&["down", "--yes"]).code, Some(0));
    aws.post("faults", &json!([]));
    std::fs::remove_file(here.path("threescale-gw.yaml")).expect("no configuration");
    let status = here.run(&["status", "--exit-code", "--stack", "orders"]);
    assert_eq!(status.code, Some(3), "{}", status.stdout);
    let text = "incomplete: attached to no API. `threescale-gw up` completes the stack, `threescale-gw down` deletes the rest";
    assert!(status.stdout.contains(text), "{}", status.stdout);
}

#[test]
fn half_of_an_access_key_is_named() {
    let aws = TestAws::start();
    let here = Workplace::new(&aws);
    here.write(
        "aws-config",
        b"[default]\nregion = us-east-1\n[profile half]\naws_secret_access_key = nothing\nregion = us-east-1\n",
    );
    let run = |without: &[&str], arguments: &[&str]| {
        let mut command = here.command(arguments);
        command.env("AWS_CONFIG_FILE", here.path("aws-config"));
        without.iter().for_each(|name| {
            command.env_remove(name);
        });
        Run::of(command.output().expect("the binary runs"))
    };
    let (key, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    for (without, arguments, texts) in [
        (
            &[secret][..],
            &["plan"][..],
            [
                "AWS_ACCESS_KEY_ID is set in the environment, but AWS_SECRET_ACCESS_KEY is not",
                "set AWS_SECRET_ACCESS_KEY, too",
            ],
        ),
        (
            &[key],
            &["plan"],
            [
                "AWS_SECRET_ACCESS_KEY is set in the environment, but AWS_ACCESS_KEY_ID is not",
                "set AWS_ACCESS_KEY_ID, too",
            ],
        ),
        (
            &[key, secret],
            &["list", "--profile", "half"],
            [
                "profile `half` has aws_secret_access_key, but not aws_access_key_id",
                "aws configure --profile half",
            ],
        ),
        (
            &[key, secret],
            &["list"],
            [
                "there are no usable credentials",
                "no credentials are found: name a profile",
            ],
        ),
    ] {
        let run = run(without, arguments);
        assert_eq!(run.code, Some(4), "{}", run.stderr);
        assert_mentions(&run, &texts);
        assert!(
            !run.stderr.contains("credential provider"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn an_empty_variable_is_named() {
    let aws = TestAws::start();
    let here = Workplace::new(&aws);
    here.edit("the-service-token", "\"${THREESCALE_SERVICE_TOKEN}\"");
    let mut command = here.command(&["plan"]);
    command.env("THREESCALE_SERVICE_TOKEN", "");
    let run = Run::of(command.output().expect("the binary runs"));
    assert_eq!(run.code, Some(2));
    assert_mentions(
        &run,
        &["threescale.service_token: must not be empty; it comes from THREESCALE_SERVICE_TOKEN"],
    );
}

#[test]
fn the_lock_and_an_unknown_region_are_said_by_list() {
    let (aws, here) = standing();
    let lock = json!({"Name": "/threescale-gw/orders/lock", "Value": "x", "Type": "String"});
    aws.call("ssm", "PutParameter", lock);
    let list = here.succeed(&["list"]);
    assert_mentions(
        &list,
        &["note orders (us-east-1) is locked: a run works on it, or was killed"],
    );
}

/// Runs `doctor --key` with this key on standard input.
fn key(here: &Workplace, key: &str, arguments: &[&str]) -> Run {
    let mut command = here.command(&[&["doctor", "--key"], arguments].concat());
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("its input"), key.as_bytes())
        .expect("a pipe");
    Run::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn a_key_is_explained() {
    let (threescale, aws, here) = with_threescale();
    let good = key(&here, "uk_free\n", &[]);
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    assert_mentions(
        &good,
        &["key ***: 3scale allows it", "Plan", "doctor --request"],
    );
    let unknown = key(&here, "a-key-of-no-application", &[]);
    assert_eq!(unknown.code, Some(0), "{}", unknown.stderr);
    assert_mentions(
        &unknown,
        &[
            "key ***tion: 3scale refuses it",
            "Reason      user_key_invalid",
            "What to do  Compare the key",
        ],
    );
    let document = key(&here, "a-key-of-no-application", &["-o", "json"]).json();
    assert_eq!(
        (&document["allowed"], &document["reason"]),
        (&json!(false), &json!("user_key_invalid"))
    );
    assert!(!document.to_string().contains("of-no-app"), "{document}");

    let rules = "st_1001, mapping_rules: [{method: GET, pattern: /, metric: order}]";
    here.edit("st_1001", rules);
    let missing = key(&here, "uk_free", &[]);
    assert_mentions(
        &missing,
        &["the product does not have order", "correct the rules"],
    );
    let document = key(&here, "uk_free", &["-o", "json"]).json();
    assert_eq!(document["missing_metrics"], json!(["order"]));
    here.edit("st_1001", "not-the-token");
    let token = key(&here, "uk_free", &[]);
    assert_eq!(token.code, Some(1));
    assert_mentions(
        &token,
        &[
            "3scale does not accept what the configuration says",
            "threescale.service_token",
        ],
    );
    let none = here.run(&["doctor", "--key"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert_mentions(&none, &["there is no key", "THREESCALE_TEST_KEY"]);
    threescale.stop();
    let silent = key(&here, "uk_free", &[]);
    assert_eq!(silent.code, Some(1));
    assert_mentions(&silent, &["3scale gives no decision", "cannot be reached"]);
    assert!(aws.log().is_empty());
}

#[test]
fn a_deployment_of_the_other_mode_is_no_target_of_a_rollback() {
    let (aws, here) = standing();
    let api = id(&aws.account(), "orders-api");
    let enforced = rest_api::stage_of(&aws.account(), &api, "prod")["deploymentId"].clone();
    let enforced = enforced.as_str().expect("an id").to_owned();
    here.edit("authorizer: {", "authorizer: {mode: observe, ");
    let only = here.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(only.code, Some(4), "{}", only.stderr);
    assert_mentions(&only, &["`authorizer.mode` changes", "without --only"]);
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    let back = here.run(&["rollback", "--to", &enforced]);
    assert_eq!(back.code, Some(4), "{}", back.stderr);
    assert_mentions(
        &back,
        &["is for `authorizer.mode: enforce`", "without --to"],
    );
    let changes = aws.changes();
    assert!(changes.is_empty(), "{changes:?}");
}

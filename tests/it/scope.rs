//! The credentials and the stack that a command uses: explicit flags take precedence, contradictions are refused, and
//! every change starts with a line that states what it affects.

use std::collections::BTreeSet;

use crate::support::rest_api::assert_mentions;
use crate::support::{Run, TestAws, Workplace};
use serde_json::{Value, json};

/// The access key in the environment of every [`Workplace`].
const OF_ENVIRONMENT: &str = "AKIAIOSFODNN7EXAMPLE";
const OF_PROD: &str = "AKIAPROD000000000000";
const OF_PROCESS: &str = "AKIAPROCESS000000000";

/// Profiles of every kind that works without a network.
fn profiles(here: &Workplace) {
    std::fs::create_dir(here.path(".aws")).expect("a folder");
    let credentials =
        format!("[prod]\naws_access_key_id = {OF_PROD}\naws_secret_access_key = none\n");
    here.write(".aws/credentials", credentials.as_bytes());
    let process =
        format!(r#"{{"Version": 1, "AccessKeyId": "{OF_PROCESS}", "SecretAccessKey": "none"}}"#);
    here.write("credentials.json", process.as_bytes());
    let config = "[profile prod]\nregion = eu-west-1\n[profile process]\ncredential_process = cat credentials.json\n\
                  [profile empty]\nregion = us-east-1\n";
    here.write(".aws/config", config.as_bytes());
}

/// Runs the binary with changes to its environment. A variable with the value `None` is removed.
fn run_in(here: &Workplace, arguments: &[&str], variables: &[(&str, Option<&str>)]) -> Run {
    let mut command = here.command(arguments);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Run::of(command.output().expect("the binary runs"))
}

/// The access keys that signed the requests since the previous call of this function.
fn keys(aws: &TestAws) -> BTreeSet<String> {
    let log = aws.log();
    aws.check_log();
    let key = |entry: &Value| entry["access_key"].as_str().map(str::to_owned);
    log.iter().filter_map(key).collect()
}

fn only(key: &str) -> BTreeSet<String> {
    [key.to_owned()].into()
}

#[test]
fn a_named_profile_is_the_only_source_of_credentials() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    profiles(&here);

    here.succeed(&["plan"]);
    assert_eq!(keys(&aws), only(OF_ENVIRONMENT));
    for (profile, key) in [("prod", OF_PROD), ("process", OF_PROCESS)] {
        here.succeed(&["plan", "--profile", profile]);
        assert_eq!(keys(&aws), only(key), "{profile}");
    }
    // In the environment, an access key takes precedence over a profile, as in every AWS tool.
    let profile = ("AWS_PROFILE", Some("prod"));
    run_in(&here, &["plan"], &[profile]);
    assert_eq!(keys(&aws), only(OF_ENVIRONMENT));
    let no_key = [
        profile,
        ("AWS_ACCESS_KEY_ID", None),
        ("AWS_SECRET_ACCESS_KEY", None),
    ];
    let plan = run_in(&here, &["plan"], &no_key);
    assert_eq!(
        (plan.code, keys(&aws)),
        (Some(0), only(OF_PROD)),
        "{}",
        plan.stderr
    );
    // The region comes from the profile if nothing else sets one, and no request is made to find it.
    let status = ["down", "--yes", "--stack", "orders", "--profile", "prod"];
    assert_mentions(&here.succeed(&status), &["in us-east-1"]);
    let status = run_in(&here, &status, &[("AWS_REGION", None)]);
    assert_mentions(
        &status,
        &["Stack orders in eu-west-1 (account 123456789012)"],
    );
    aws.check_log();

    // A profile without credentials results in no credentials, regardless of the environment.
    let empty = here.run(&["plan", "--profile", "empty"]);
    assert_eq!(empty.code, Some(4), "{}", empty.stderr);
    assert_mentions(
        &empty,
        &[
            "no usable credentials",
            "profile `empty` has no credentials: run `aws configure",
        ],
    );
    assert_eq!(aws.log(), [Value::Null; 0]);
}

#[test]
fn an_unknown_profile_is_wrong_usage_and_nothing_is_sent() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let none = here.run(&["plan", "--profile", "prod"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert_mentions(&none, &["no profile `prod`", "there are no profiles"]);
    profiles(&here);
    let stack = ["--stack", "orders"];
    for command in [
        &["plan"][..],
        &["up", "--yes"],
        &["status"],
        &["verify"],
        &["down", "--yes"],
        &["rollback"],
        &["import", "--yes"],
        &["unlock"],
        &["logs"],
    ] {
        let arguments = [command, &stack, &["--profile", "prdo"]].concat();
        let run = here.run(&arguments);
        assert_eq!(run.code, Some(2), "{command:?}: {}", run.stderr);
        let texts = [
            "--profile: the AWS configuration has no profile `prdo`; did you mean `prod`?",
            "empty, process, prod",
        ];
        assert_mentions(&run, &texts);
    }
    let misspelt = run_in(&here, &["plan"], &[("AWS_PROFILE", Some("prdo"))]);
    assert_eq!(misspelt.code, Some(2), "{}", misspelt.stderr);
    assert_mentions(&misspelt, &["AWS_PROFILE: ", "did you mean `prod`?"]);
    let elsewhere = ("AWS_CONFIG_FILE", Some("other"));
    here.write(
        "other",
        b"[profile staging]\nregion = us-east-1\naws_access_key_id = AKIA\n[s3cret",
    );
    let broken = run_in(&here, &["plan", "--profile", "staging"], &[elsewhere]);
    assert_eq!(broken.code, Some(2), "{}", broken.stderr);
    assert_mentions(
        &broken,
        &["reading the profiles of the AWS configuration", "on line 4"],
    );
    assert!(!broken.stderr.contains("s3cret"), "{}", broken.stderr);
    assert_eq!(aws.log(), [Value::Null; 0]);
    // The profile named `default` does not have to exist.
    assert_eq!(
        run_in(&here, &["plan"], &[("AWS_PROFILE", Some("default"))]).code,
        Some(0)
    );
}

#[test]
fn a_stack_that_contradicts_the_file_is_refused_by_every_command() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let commands = [
        &["plan"][..],
        &["up", "--yes"],
        &["status"],
        &["verify"],
        &["down", "--yes"],
        &["rollback"],
        &["import", "--yes"],
        &["unlock"],
        &["logs"],
    ];
    for command in commands {
        let run = here.run(&[command, &["--stack", "payments"]].concat());
        assert_eq!(run.code, Some(2), "{command:?}: {}", run.stderr);
        let text = "--stack payments contradicts threescale-gw.yaml, which is for stack orders";
        assert_mentions(&run, &[text]);
    }
    // The same applies to a file in which more values are missing than such a command needs.
    here.edit("the-service-token", "\"${NOT_SET}\"");
    assert_eq!(
        here.run(&["down", "--yes", "--stack", "payments"]).code,
        Some(2)
    );
    assert_eq!(aws.log(), [Value::Null; 0]);
    here.succeed(&["down", "--yes", "--stack", "orders"]);
    // Without a file, or with one that cannot be read, there is no contradiction.
    here.succeed(&["down", "--yes", "--stack", "payments", "-f", "none.yaml"]);
    here.write("threescale-gw.yaml", b"stack: [");
    here.succeed(&["down", "--yes", "--stack", "payments"]);
}

#[test]
fn every_change_says_first_what_it_works_on() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let up = here.succeed(&["up", "--yes"]);
    let account = aws.account();
    let apis = account["rest_apis"].as_array().expect("a list");
    let api = apis
        .iter()
        .find(|api| api["name"] == "orders-api")
        .expect("the API");
    let id = api["id"].as_str().expect("an id");
    let begin = "Stack orders in us-east-1 (account 123456789012), ";
    let first = |run: &Run| run.stderr.lines().next().unwrap_or_default().to_owned();
    let named = format!("{begin}API {id} (orders-api), stage prod");
    assert_eq!(first(&up), named);
    assert_eq!(up.stderr.lines().nth(1), Some("as user operator"));
    assert_eq!(first(&here.succeed(&["up", "--yes"])), named);
    assert_eq!(here.succeed(&["up", "--yes", "-q"]).stderr, "");
    let event = |name: Value| {
        json!({"event": "scope", "stack": "orders", "account": "123456789012", "region": "us-east-1",
            "account_alias": null, "caller": "arn:aws:iam::123456789012:user/operator", "profile": null,
            "schema_version": 1, "apis": [{"id": id, "name": name, "protocol": "REST", "stage": "prod"}]})
    };
    let up = here.succeed(&["up", "--yes", "-o", "json"]);
    assert_eq!(up.lines()[0], event("orders-api".into()));
    assert_eq!(first(&here.succeed(&["unlock"])), named);
    let rollback = ["rollback", "--stack", "orders"];
    assert_eq!(first(&here.succeed(&rollback)), named);
    // Without the permission to read the API, its id is shown.
    let denied = json!([{"operation": "GetRestApi", "kind": "deny"}]);
    aws.post("faults", &denied);
    let recorded = format!("{begin}API {id}, stage prod");
    assert_eq!(first(&here.succeed(&["unlock"])), recorded);
    aws.post("faults", &json!([]));
    for command in ["unlock", "rollback"] {
        let document = here.succeed(&[command, "-o", "json"]).json();
        assert_eq!(
            (&document["account"], &document["region"]),
            (&"123456789012".into(), &"us-east-1".into())
        );
    }
    let down = here.succeed(&[
        "down",
        "--yes",
        "--stack",
        "orders",
        "-f",
        "none.yaml",
        "-o",
        "json",
    ]);
    assert!(
        down.lines().contains(&event("orders-api".into())),
        "{}",
        down.stdout
    );
    // The name of the account is read where there is something to change.
    let alias = json!({"AccountAlias": "acme-prod"});
    aws.call("iam", "CreateAccountAlias", alias);
    let named = "Stack orders in us-east-1 (account acme-prod, 123456789012), API ";
    let plan = here.succeed(&["plan"]);
    assert!(plan.stdout.starts_with(named), "{}", plan.stdout);
    let document = here.succeed(&["plan", "-o", "json"]).json();
    let expected = json!(["acme-prod", "arn:aws:iam::123456789012:user/operator", null]);
    let told = ["account_alias", "caller", "profile"].map(|key| document[key].clone());
    assert_eq!(json!(told), expected);
    assert_eq!(
        document["api"],
        json!({"id": id, "name": "orders-api", "protocol": "REST", "stage": "prod"})
    );
    let denied = json!([{"operation": "ListAccountAliases", "kind": "deny"}]);
    aws.post("faults", &denied);
    let plan = here.succeed(&["plan"]);
    assert!(plan.stdout.starts_with(begin), "{}", plan.stdout);
    aws.post("faults", &json!([]));
    // The line also appears when there is nothing to change, because the account might be the wrong one.
    let nothing = here.succeed(&["down", "--yes"]);
    assert_eq!(first(&nothing), format!("{begin}no API attached"));
}

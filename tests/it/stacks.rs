//! Commands that need only the name of a stack, and what a misspelt name is answered with.

use serde_json::{Value, json};

use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{self, assert_mentions, change, publish};
use crate::support::{Run, TestAws, Workplace, standing};

const ORDERS: [&str; 2] = ["--stack", "orders"];

/// A folder without a configuration.
fn elsewhere(aws: &TestAws) -> Workplace {
    let here = Workplace::new(aws);
    std::fs::remove_file(here.path("threescale-gw.yaml")).expect("the configuration");
    here
}

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

#[test]
fn every_command_for_an_existing_stack_works_by_its_name_alone() {
    let (aws, owner) = standing();
    let here = elsewhere(&aws);
    let id = rest_api::id(&aws.account(), "orders-api");

    let status = here.succeed(&with(&["status", "--exit-code"], &ORDERS));
    assert_mentions(
        &status,
        &[
            "Stack orders in us-east-1 (account 123456789012)",
            "ready     vpc/main",
            &format!("API {id}, stage prod"),
            "protected GET     /orders",
            "open      GET     /health",
            "guarded   GET     /internal",
            "The authorizer's self-test",
            "redis_endpoint  master.threescale-gw-orders-cache",
            "drift is not known: there is no configuration threescale-gw.yaml to compare with",
            "healthy (not compared with a configuration)",
        ],
    );
    // What both ways of looking show is the same.
    let document = here
        .succeed(&with(&["status", "-o", "json"], &ORDERS))
        .json();
    let compared = owner.succeed(&["status", "-o", "json"]).json();
    for key in [
        "stack", "account", "api", "outputs", "lock", "faults", "healthy",
    ] {
        assert_eq!(document[key], compared[key], "{key}");
    }
    assert_eq!(
        (&document["compared"], &compared["compared"]),
        (&json!(false), &json!(true))
    );
    let names = |document: &Value| {
        let resources = document["resources"].as_array().expect("a list").iter();
        let mut names: Vec<_> = resources
            .map(|resource| {
                (
                    resource["id"].to_string(),
                    resource["physical_id"].to_string(),
                )
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&document), names(&compared));

    let verified = here
        .succeed(&with(&["verify", "-o", "json"], &ORDERS))
        .json();
    let with_file = owner.succeed(&["verify", "-o", "json"]).json();
    assert_eq!(verified["requests"], with_file["requests"]);
    assert_eq!(
        verified["notes"],
        json!(["without a configuration, a method counts as protected if it uses the authorizer"])
    );
    here.succeed(&with(&["logs"], &ORDERS));
    let unlock = here.succeed(&with(&["unlock"], &ORDERS));
    assert_eq!(unlock.stdout, "stack orders is not locked\n");
    assert!(aws.changes().is_empty());

    // What others have done is seen without a configuration, too.
    let open = [("/authorizationType", "NONE")];
    change(&aws, &id, "GET", "/orders", &open);
    publish(&aws, &id, "prod");
    let status = here.succeed(&with(&["status"], &ORDERS));
    assert_mentions(&status, &["open      GET     /orders\n"]);
    here.succeed(&with(&["down", "--yes", "--must-exist"], &ORDERS));
    let gone = here.run(&with(&["status"], &ORDERS));
    assert_eq!(gone.code, Some(4), "{}", gone.stderr);
}

#[test]
fn a_misspelt_stack_is_answered_with_the_stacks_there_are() {
    let (aws, _owner) = standing();
    let here = elsewhere(&aws);
    const ORDRES: [&str; 2] = ["--stack", "ordres"];
    let refused = |run: &Run| {
        assert_eq!(run.code, Some(4), "{}", run.stderr);
        assert_mentions(
            run,
            &[
                "there is no stack ordres in us-east-1 (account 123456789012); did you mean `orders`?",
                "the stacks there are orders, other",
            ],
        );
    };
    for command in [
        &["status"][..],
        &["verify"],
        &["logs"],
        &["rollback"],
        &["unlock"],
        &["down", "--yes", "--must-exist"],
    ] {
        refused(&here.run(&with(command, &ORDRES)));
    }
    let down = here.succeed(&with(&["down", "--yes"], &ORDRES));
    assert_mentions(
        &down,
        &[
            "No changes: stack ordres has no resources.",
            "did you mean `orders`? the stacks there are orders, other",
        ],
    );
    // Where the stacks cannot be listed, the answer says so.
    let denied = json!([{"operation": "DescribeParameters", "kind": "deny"}]);
    aws.post("faults", &denied);
    let status = here.run(&with(&["status"], &ORDRES));
    assert_eq!(status.code, Some(4), "{}", status.stderr);
    assert_mentions(
        &status,
        &["the stacks of the account are not known: ssm:DescribeParameters"],
    );
    aws.post("faults", &json!([]));
    let elsewhere = here.run(&with(&["status", "--region", "eu-west-1"], &ORDERS));
    assert_mentions(
        &elsewhere,
        &["there are no stacks in this account and Region"],
    );
    assert!(aws.changes().is_empty());
}

/// A stack that `up` has begun, and one that `down` has begun to remove, are found by name.
#[test]
fn a_half_made_stack_is_found() {
    let ids =
        |aws: &TestAws| -> Run { elsewhere(aws).run(&["down", "--yes", "--stack", "ordesr"]) };
    let found = |killed: &crate::support::kill::Killed, nth: usize| {
        let text = "did you mean `orders`?";
        let run = ids(&killed.aws);
        let is_found = run.stderr.contains(text);
        assert!(is_found, "after {nth}, {}: {}", killed.after, run.stderr);
    };
    let aws = TestAws::seeded();
    let states = killed_after_each(&aws, &Workplace::new(&aws), &["up", "--yes"], "*");
    each(states, |nth, killed| found(&killed, nth));
    let (aws, workplace) = standing();
    let mut states = killed_after_each(&aws, &workplace, &["down", "--yes"], "*");
    // The last call releases the lock of the stack, which is then gone.
    assert_eq!(
        states.pop().map(|last| last.after),
        Some("DeleteParameter".to_owned())
    );
    each(states, |nth, killed| found(&killed, nth));
}

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

    let status = here.succeed(&with(&["status", "--exit-code", "--all"], &ORDERS));
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
    let down = here.succeed(&with(&["down", "--yes", "-o", "json"], &ORDRES));
    assert_mentions(&down, &["did you mean `orders`?"]);
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

#[test]
fn list_shows_the_stacks_of_a_region_or_of_all() {
    let (aws, _owner) = standing();
    let here = elsewhere(&aws);
    let id = rest_api::id(&aws.account(), "orders-api");
    let list = here.succeed(&["list"]);
    for line in list.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let row = list.stdout.lines().find(|line| line.starts_with("orders "));
    let row: Vec<_> = row.expect("the stack").split_whitespace().collect();
    assert_eq!(
        (row[1], row[3], row[4], row[5]),
        ("orders-api/prod", "operator", version, "$48.51")
    );
    assert_mentions(
        &list,
        &["Stacks in us-east-1 (account 123456789012)", "August 2026"],
    );

    let document = here.succeed(&["list", "-o", "json"]).json();
    assert_eq!(
        (&document["regions"], &document["skipped"]),
        (&json!(["us-east-1"]), &json!([]))
    );
    let stacks = document["stacks"].as_array().expect("a list");
    let orders = stacks.iter().find(|stack| stack["stack"] == "orders");
    let mut orders = orders.expect("the stack").clone();
    assert!(
        orders["created"]
            .as_str()
            .is_some_and(|text| text.ends_with('Z')),
        "{orders}"
    );
    orders["created"] = Value::Null;
    let expected = json!({
        "stack": "orders", "region": "us-east-1", "created": null,
        "apis": [{"id": id, "name": "orders-api", "protocol": "REST", "stage": "prod"}],
        "created_by": "arn:aws:iam::123456789012:user/operator", "version": version, "expires": null, "expired": false,
        "cost_per_month": 48.51, "cost_is_complete": true, "locked": false,
    });
    assert_eq!(orders, expected);
    // A stack without parameters is found by its tags. Who created it is not known.
    let tags = json!([{"Key": "threescale-gw:stack", "Value": "remains"}]);
    let tags = json!([{"ResourceType": "vpc", "Tags": tags}]);
    let vpc = json!({"CidrBlock": "10.99.0.0/16", "TagSpecifications": tags});
    aws.call("ec2", "CreateVpc", vpc);
    let list = here.succeed(&["list", "-o", "json"]).json();
    let stacks = list["stacks"].as_array().expect("a list").iter();
    let remains = stacks.clone().find(|stack| stack["stack"] == "remains");
    let remains = remains.expect("the remains of a stack");
    assert_eq!(remains["created_by"], Value::Null, "{remains}");

    let lock = json!({"Name": "/threescale-gw/far/lock", "Value": "{}", "Type": "String"});
    let far = json!({"service": "ssm", "operation": "PutParameter", "region": "eu-west-1", "parameters": lock});
    aws.post("call", &far);
    let all = here.succeed(&["list", "--all-regions"]);
    assert_mentions(
        &all,
        &[
            "Stacks in eu-west-1",
            "far ",
            "Stacks in us-east-1",
            "skipped, not enabled: ",
        ],
    );
    let all = here
        .succeed(&["list", "--all-regions", "-o", "json"])
        .json();
    let found = all["stacks"].as_array().expect("a list").iter();
    let found: Vec<_> = found
        .map(|stack| (&stack["region"], &stack["stack"], &stack["locked"]))
        .collect();
    let expected = [
        (json!("eu-west-1"), json!("far"), json!(true)),
        (json!("us-east-1"), json!("orders"), json!(false)),
        (json!("us-east-1"), json!("other"), json!(true)),
        (json!("us-east-1"), json!("remains"), json!(false)),
    ];
    assert_eq!(
        found,
        expected
            .each_ref()
            .map(|(region, stack, locked)| (region, stack, locked))
    );
    assert!(all["skipped"].as_array().is_some_and(|skipped| {
        skipped.iter().all(|one| one["why"] == "not_enabled") && !skipped.is_empty()
    }));

    // What may not be read is not known, and is said.
    let denied = [
        "GetResources",
        "ListRoles",
        "GetRestApis",
        "DescribeNatGateways",
        "GetParameters",
    ];
    let denied: Vec<_> = denied
        .iter()
        .map(|operation| json!({"operation": operation, "kind": "deny"}))
        .collect();
    aws.post("faults", &denied.into());
    let list = here.succeed(&["list", "-o", "json"]).json();
    let orders = &list["stacks"][0];
    assert_eq!(
        orders["apis"],
        json!([{"id": id, "name": null, "protocol": "REST", "stage": "prod"}])
    );
    assert_eq!(
        (&orders["cost_per_month"], &orders["version"]),
        (&Value::Null, &Value::Null)
    );
    let notices = list["notices"].to_string();
    for operation in [
        "tag:GetResources",
        "iam:ListRoles",
        "ec2:DescribeNatGateways",
        "ssm:GetParameters",
    ] {
        assert!(notices.contains(operation), "{operation}: {notices}");
    }
    // In all Regions, one that may not be read at all is skipped. In one Region, that is an error.
    aws.post(
        "faults",
        &json!([{"operation": "DescribeParameters", "kind": "deny"}]),
    );
    let list = here.run(&["list"]);
    assert_eq!(list.code, Some(1), "{}", list.stderr);
    assert_mentions(&list, &["ssm:DescribeParameters"]);
    let all = here.succeed(&["list", "--all-regions"]);
    assert_mentions(
        &all,
        &[
            "No stacks in ",
            "note us-east-1 was skipped: ssm:DescribeParameters",
        ],
    );
    assert!(aws.changes().is_empty());

    // As Regions that an account must enable answer to some session tokens.
    let invalid = json!([{"operation": "DescribeParameters", "kind": "error", "status": 400, "nth": 1,
        "code": "UnrecognizedClientException", "message": "The security token included in the request is invalid."}]);
    aws.post("faults", &invalid);
    let all = here.succeed(&["list", "--all-regions", "-o", "json"]);
    let all = all.json();
    let skipped = all["skipped"].as_array().expect("a list").iter();
    let failed: Vec<_> = skipped.filter(|one| one["why"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let error = failed[0]["error"].to_string();
    assert!(error.contains("ssm:DescribeParameters"), "{error}");
}

#[test]
fn list_shows_the_version_that_has_verified_one_of_several_apis_last() {
    let aws = TestAws::seeded();
    let here = elsewhere(&aws);
    let verify = |api: &str, version: &str| {
        let head = json!({"previous_deployment": "d", "verified": "e", "verified_by": version});
        let name = format!("/threescale-gw/several/attachment/{api}/prod/head");
        let head =
            json!({"Name": name, "Value": head.to_string(), "Type": "String", "Overwrite": true});
        aws.call("ssm", "PutParameter", head);
    };
    for (api, version) in [("a", "0.0.1"), ("b", "0.0.2"), ("a", "0.0.3")] {
        verify(api, version);
        let list = here.succeed(&["list", "-o", "json"]).json();
        let mut stacks = list["stacks"].as_array().expect("a list").iter();
        let several = stacks.find(|stack| stack["stack"] == "several");
        assert_eq!(several.expect("the stack")["version"], version, "{list}");
    }
}

/// A process that returns credentials may ask the user for something.
#[test]
fn the_credentials_for_all_regions_are_obtained_once() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let key = json!({"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "not-a-secret"});
    here.write("credentials.json", key.to_string().as_bytes());
    here.write("obtain", b"echo >> obtained; cat credentials.json");
    here.write("config", b"[default]\ncredential_process = sh obtain\n");
    let mut list = here.command(&["list", "--all-regions"]);
    list.env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_CONFIG_FILE", here.path("config"));
    let list = Run::of(list.output().expect("the binary runs"));
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let obtained = std::fs::read_to_string(here.path("obtained")).expect("a file");
    assert_eq!(obtained.lines().count(), 1);
}

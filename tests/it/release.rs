//! `release`: a stack is forgotten, and nothing of it is deleted.

use serde_json::{Value, json};

use crate::moves::{assert_answered, assert_served, call_meanwhile, workplace};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::{assert_mentions, id};
use crate::support::terminal::Terminal;
use crate::support::{TestAws, Workplace, assert_same, standing};

const STACK: [&str; 2] = ["--stack", "orders"];

/// The account as others see it: without the tags of this program, and without the parameters that only it reads.
fn seen_by_others(aws: &TestAws) -> Value {
    fn without_tags(value: &mut Value) {
        match value {
            Value::Array(all) => all.iter_mut().for_each(without_tags),
            Value::Object(map) => {
                map.retain(|key, _| !key.starts_with("threescale-gw:"));
                map.values_mut().for_each(without_tags);
            }
            _ => {}
        }
    }
    let mut account = aws.account();
    without_tags(&mut account);
    let parameters = account["parameters"].as_array_mut().expect("a list");
    parameters.retain(|parameter| {
        let name = parameter["name"].as_str().or(parameter["Name"].as_str());
        let name = name.expect("a name");
        let own = name.strip_prefix("/threescale-gw/orders/");
        own.is_none_or(|name| name.starts_with("secrets/") || name == "cache-endpoint")
    });
    account
}

/// The tags and records that are left of the stack.
fn left(aws: &TestAws) -> Vec<String> {
    fn tags(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| tags(value, found)),
            Value::Object(map) => {
                let is_ours = map
                    .get("threescale-gw:stack")
                    .is_some_and(|stack| stack == "orders");
                if is_ours {
                    found.push(value.to_string());
                }
                map.values().for_each(|value| tags(value, found));
            }
            _ => {}
        }
    }
    let account = aws.account();
    let mut found = Vec::new();
    tags(&account, &mut found);
    let parameters = account["parameters"].as_array().expect("a list");
    let names = parameters.iter().filter_map(|parameter| {
        let name = parameter["name"].as_str().or(parameter["Name"].as_str());
        name?.strip_prefix("/threescale-gw/orders/")
    });
    let records = names.filter(|name| !name.starts_with("secrets/") && *name != "cache-endpoint");
    found.extend(records.map(str::to_owned));
    found
}

#[test]
fn a_released_stack_keeps_serving_and_is_never_found_again() {
    let (aws, here) = standing();
    let before = seen_by_others(&aws);
    call_meanwhile(&aws);
    let run = here.succeed(&["release", "--yes", "--out", "orders.json"]);
    assert_mentions(
        &run,
        &[
            "released stack orders",
            "nothing was deleted",
            "GET /orders of API",
            "was open (NONE)",
        ],
    );
    assert_same(&before, &seen_by_others(&aws));
    assert_eq!(left(&aws), ["released"]);
    assert_served(&aws, "after the release");
    assert_answered(&aws, 10, true, "during the release");
    let text = std::fs::read_to_string(here.path("orders.json")).expect("the file");
    let saved: Value = serde_json::from_str(&text).expect("JSON");
    let path = format!(
        "/threescale-gw/orders/attachment/{}/prod/methods-000",
        id(&aws.account(), "orders-api")
    );
    let methods = saved["records"][path]
        .as_array()
        .expect("the record of the methods");
    let get = methods
        .iter()
        .find(|one| one["path"] == "/orders" && one["method"] == "GET");
    assert_eq!(get.expect("GET /orders")["authorization"], "NONE");

    let whole = aws.account();
    aws.check_log();
    let again = here.succeed(&["release", "--yes"]);
    assert!(
        again
            .stdout
            .contains("nothing to do: stack orders was released at"),
        "{}",
        again.stdout
    );
    let elsewhere = Workplace::new(&aws);
    std::fs::remove_file(elsewhere.path("threescale-gw.yaml")).expect("no configuration");
    for arguments in [
        &["down", "--yes"][..],
        &["status"],
        &["rollback"],
        &["verify"],
    ] {
        let run = elsewhere.run(&[arguments, &STACK].concat());
        assert_eq!(run.code, Some(4), "{arguments:?}: {}", run.stderr);
        assert_mentions(&run, &["[stack-released]", "no longer manages it"]);
    }
    for arguments in [
        &["plan"][..],
        &["up", "--yes"],
        &["down", "--yes"],
        &["status"],
        &["import", "--yes"],
    ] {
        let run = here.run(arguments);
        assert_eq!(run.code, Some(4), "{arguments:?}: {}", run.stderr);
        assert_mentions(&run, &["[stack-released]", "use another name"]);
    }
    let listed = here.succeed(&["list", "-o", "json"]).json();
    let stacks = listed["stacks"].as_array().expect("a list").iter();
    let stacks: Vec<_> = stacks.filter_map(|stack| stack["stack"].as_str()).collect();
    assert_eq!(stacks, ["other"]);
    assert_eq!(aws.changes(), [""; 0]);
    assert_same(&whole, &aws.account());
}

#[test]
fn a_killed_release_serves_callers_and_is_completed_by_the_next_one() {
    let (aws, here) = standing();
    let before = seen_by_others(&aws);
    call_meanwhile(&aws);
    let states = killed_after_each(&aws, &here, &["release", "--yes"], "*");
    assert!(states.len() >= 20, "{} changing calls", states.len());
    let whole = aws.account();
    each(states, |nth, Killed { after, aws }| {
        let when = format!("killed after {nth}, {after}");
        assert_served(&aws, &when);
        let here = Workplace::new(&aws);
        let up = here.run(&["up", "--yes"]);
        let down = here.run(&["down", "--yes"]);
        // The lock alone is no beginning.
        if nth == 1 {
            assert_eq!(
                (up.code, down.code),
                (Some(0), Some(0)),
                "{when}: {}",
                down.stderr
            );
            return;
        }
        assert_eq!(
            (up.code, down.code),
            (Some(4), Some(4)),
            "{when}: {}",
            up.stderr
        );
        assert_same(&before, &seen_by_others(&aws));
        here.succeed(&["release", "--yes"]);
        assert_same(&whole, &aws.account());
        assert_eq!(left(&aws), ["released"], "{when}");
        assert_served(&aws, &when);
    });
}

#[test]
fn every_kind_of_resource_loses_its_tags() {
    for lines in [
        "network: {nat: instance, endpoints: true}\ncache: {kind: serverless}\nmonitoring: {topic: \"arn:aws:sns:us-east-1:123456789012:alarms\", dashboard: true}",
        "network: none\ncache: memory",
    ] {
        let aws = TestAws::seeded();
        let here = workplace(&aws, lines);
        here.succeed(&["up", "--yes"]);
        let before = seen_by_others(&aws);
        assert!(left(&aws).len() >= 10, "{lines}");
        let document = here.succeed(&["release", "--yes", "-o", "json"]).json();
        assert_eq!(document["outcome"], "released");
        assert_eq!(left(&aws), ["released"], "{lines}");
        assert_same(&before, &seen_by_others(&aws));
        assert_served(&aws, lines);
    }
}

#[test]
fn a_stack_that_does_not_exist_is_not_released() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let run = here.run(&["release", "--yes"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert_mentions(&run, &["there is no stack orders", "other"]);
    assert_eq!(aws.changes(), [""; 0]);
}

#[test]
fn a_stack_that_guards_methods_is_released_only_by_its_name() {
    let (aws, here) = standing();
    let refused = here.run(&["release"]);
    assert_eq!(refused.code, Some(4));
    assert_mentions(&refused, &["pass --yes"]);
    let mut terminal = Terminal::start(&here, (60, 100), &["release"]);
    terminal.answer("Type the name of the stack to confirm:", "y\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("`y` is not `orders`"), "{shown}");
    assert_eq!(aws.changes(), [""; 0]);
    let mut terminal = Terminal::start(&here, (60, 100), &["release"]);
    terminal.answer("Type the name of the stack to confirm:", "orders\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(left(&aws), ["released"]);
}

#[test]
fn a_file_that_exists_is_not_overwritten() {
    let (aws, here) = standing();
    here.write("orders.json", b"mine");
    let run = here.run(&["release", "--yes", "--out", "orders.json"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert_mentions(&run, &["orders.json exists already"]);
    let lock = |operation: &String| !operation.ends_with("Parameter");
    assert_eq!(aws.changes().into_iter().filter(lock).count(), 0);
    let text = std::fs::read_to_string(here.path("orders.json")).expect("the file");
    assert_eq!(text, "mine");
    assert_eq!(json!(here.run(&["plan", "--exit-code"]).code), 0);
}

//! Every changing call is once throttled, once answered with a server error, and once executed with its response lost
//! or unreadable. `up` and `down` succeed, and nothing exists twice.

use crate::support::{TestAws, Workplace, assert_same, counts, standing};
use serde_json::json;

fn survives(kind: &str) {
    let whole = counts(&standing().0.account());
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    aws.post(
        "faults",
        &json!([{"mutating": true, "every": true, "kind": kind}]),
    );
    workplace.succeed(&["up", "--yes"]);
    let log = aws.log();
    let mut hit: Vec<_> = log
        .iter()
        .filter(|e| e["injected"] == true)
        .filter_map(|e| e["operation"].as_str().map(str::to_owned))
        .collect();
    hit.sort();
    hit.dedup();
    assert!(hit.len() >= 20, "{hit:?}");
    assert_eq!(counts(&aws.account()), whole);
    let plan = workplace.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);

    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn each_call_throttled_once() {
    survives("throttle");
}

#[test]
fn each_call_answered_with_a_server_error_once() {
    survives("500");
}

#[test]
fn each_call_carried_out_and_its_answer_lost_once() {
    survives("drop");
}

#[test]
fn each_call_carried_out_and_its_answer_unreadable_once() {
    survives("unreadable");
}

#[test]
fn a_reading_call_whose_answer_is_unreadable_is_named_with_the_cause() {
    let (aws, workplace) = standing();
    aws.post(
        "faults",
        &json!([{"operation": "GetResources", "kind": "unreadable"}]),
    );
    for arguments in [&["status"][..], &["plan"], &["down", "--yes"]] {
        let run = workplace.run(arguments);
        assert_eq!(run.code, Some(1), "{arguments:?}: {}", run.stderr);
        let words = "apigateway:GetResources: the answer could not be parsed: ";
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
        let hint = "check what answers in place of AWS";
        assert!(run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn each_reading_call_fails_once() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    for kind in ["throttle", "503", "drop"] {
        aws.post(
            "faults",
            &json!([{"mutating": false, "every": true, "kind": kind}]),
        );
        workplace.succeed(&["up", "--yes"]);
        workplace.succeed(&["down", "--yes"]);
    }
}

#[test]
fn what_was_made_and_is_not_shown_yet_is_not_made_twice() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    workplace.succeed(&["up", "--yes"]);
    let whole = counts(&aws.account());
    let creations = |aws: &TestAws| {
        let mut made = aws.changes();
        made.retain(|name| name.starts_with("Create") || name.starts_with("Allocate"));
        made.sort();
        made
    };
    let once = creations(&aws);
    workplace.succeed(&["down", "--yes"]);
    aws.check_log();

    aws.post("config", &json!({"read_lag": 3}));
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(creations(&aws), once);
    assert_eq!(counts(&aws.account()), whole);
    aws.post("config", &json!({"read_lag": 0}));
    let plan = workplace.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

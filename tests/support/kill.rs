//! Runs of the binary that are killed at a chosen moment.

use serde_json::json;

use super::{Run, TestAws, Workplace, eventually};

/// Runs the binary, kills it when the account is as it is right after changing call `nth`, and says which that was; `None`
/// if there is no such call.
pub fn killed_after(
    aws: &TestAws,
    workplace: &Workplace,
    arguments: &[&str],
    nth: usize,
) -> Option<String> {
    killed_after_one_of(aws, workplace, arguments, "*", nth)
}

/// The same among the calls to one service.
pub fn killed_after_one_of(
    aws: &TestAws,
    workplace: &Workplace,
    arguments: &[&str],
    service: &str,
    nth: usize,
) -> Option<String> {
    aws.post(
        "faults",
        &json!([{"service": service, "mutating": true, "nth": nth, "kind": "hold", "freeze": true}]),
    );
    let mut child = workplace.start(arguments);
    let held = eventually("the held call or the end", || {
        let held = aws.get("held?timeout=0.2");
        if let Some(operation) = held["held"]["operation"].as_str() {
            return Some(Some(operation.to_owned()));
        }
        child.try_wait().expect("a status").map(|_| None)
    });
    child.kill().expect("a signal");
    let run = Run::of(child.wait_with_output().expect("its end"));
    aws.post("release", &json!({}));
    aws.post("faults", &json!([]));
    assert!(
        held.is_some() || run.code == Some(0),
        "{}\n{}",
        run.stdout,
        run.stderr
    );
    held
}

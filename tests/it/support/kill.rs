//! Interrupted runs of the binary: killed at one call, or copied after every changing call.

use std::collections::VecDeque;
use std::process::Child;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Run, TestAws, Workplace, eventually};

/// Runs the binary and kills it right after changing call `nth`. Returns the operation of that call, or `None` if the
/// run makes fewer calls.
pub fn killed_after(
    aws: &TestAws,
    workplace: &Workplace,
    arguments: &[&str],
    nth: usize,
) -> Option<String> {
    hold(aws, &json!({"mutating": true, "nth": nth}));
    let mut child = workplace.start(arguments);
    let held = held_or_ended(aws, &mut child);
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

/// The account in the state that a kill leaves: right after a changing call.
pub struct Killed {
    /// The operation of the call.
    pub after: String,
    pub aws: TestAws,
}

/// Runs the binary until it succeeds, and copies the account right after each changing call to `service`. The run has
/// ended by the time of the return, as a killed run has.
pub fn killed_after_each(
    aws: &TestAws,
    workplace: &Workplace,
    arguments: &[&str],
    service: &str,
) -> Vec<Killed> {
    hold(aws, &json!({"mutating": true, "service": service}));
    let mut child = workplace.start(arguments);
    let mut states = Vec::new();
    while let Some(after) = held_or_ended(aws, &mut child) {
        let aws_then = aws.fork();
        aws.post("release", &json!({}));
        states.push(Killed {
            after,
            aws: aws_then,
        });
    }
    let run = Run::of(child.wait_with_output().expect("its end"));
    aws.post("faults", &json!([]));
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    states
}

/// Each state twice, with the operation of its call: one to go on from (`true`), and one to remove.
pub fn to_finish_and_remove(states: Vec<Killed>) -> Vec<(String, TestAws, bool)> {
    let both = |killed: Killed| {
        let copy = killed.aws.fork();
        [
            (killed.after.clone(), killed.aws, true),
            (killed.after, copy, false),
        ]
    };
    states.into_iter().flat_map(both).collect()
}

/// Holds the calls that match, and freezes all other calls while one is held.
fn hold(aws: &TestAws, rule: &Value) {
    let mut rule = rule.clone();
    rule["kind"] = json!("hold");
    rule["freeze"] = json!(true);
    aws.post("faults", &json!([rule]));
}

/// The operation of the held call, or `None` if the run ended.
fn held_or_ended(aws: &TestAws, child: &mut Child) -> Option<String> {
    eventually("the held call or the end", || {
        let held = aws.get("held?timeout=0.2");
        if let Some(operation) = held["held"]["operation"].as_str() {
            return Some(Some(operation.to_owned()));
        }
        child.try_wait().expect("a status").map(|_| None)
    })
}

/// Runs `scenario` with each item and its number, starting at 1, on as many threads as there are cores.
pub fn each<T: Send>(items: Vec<T>, scenario: impl Fn(usize, T) + Sync) {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let left: Mutex<VecDeque<_>> = Mutex::new((1..).zip(items).collect());
    let next = || {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.pop_front()
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, item)) = next() {
                    scenario(number, item);
                }
            });
        }
    });
}

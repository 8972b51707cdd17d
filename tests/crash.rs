//! Killed after every single changing call, the next run finishes; nothing is there twice, nothing is left behind.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use support::{Run, TestAws, Workplace, assert_same, counts, eventually};

/// Servers that work side by side. Each run of the binary is short, so two cores are kept busy by two.
const WORKERS: usize = 2;

/// Runs the binary, kills it when the account is as it is right after changing call `nth`; `None` if there is no such call.
fn killed_after(
    aws: &TestAws,
    workplace: &Workplace,
    arguments: &[&str],
    nth: usize,
) -> Option<()> {
    aws.post(
        "faults",
        &json!([{"mutating": true, "nth": nth, "kind": "hold", "freeze": true}]),
    );
    let mut child = workplace.start(arguments);
    let held = eventually("the held call or the end", || {
        if !aws.get("held?timeout=0.2")["held"].is_null() {
            return Some(true);
        }
        child.try_wait().expect("a status").map(|_| false)
    });
    child.kill().expect("a signal");
    let run = Run::of(child.wait_with_output().expect("its end"));
    aws.post("release", &json!({}));
    aws.post("faults", &json!([]));
    assert!(
        held || run.code == Some(0),
        "{}\n{}",
        run.stdout,
        run.stderr
    );
    held.then_some(())
}

/// Walks through all changing calls with several servers; `scenario` returns false behind the last one.
fn after_every_call(scenario: impl Fn(&TestAws, usize) -> bool + Sync) -> usize {
    let next = AtomicUsize::new(1);
    let end = AtomicUsize::new(usize::MAX);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let aws = TestAws::start();
                loop {
                    let nth = next.fetch_add(1, Ordering::SeqCst);
                    if nth >= end.load(Ordering::SeqCst) {
                        return;
                    }
                    aws.post("reset", &json!({}));
                    aws.seed();
                    if !scenario(&aws, nth) {
                        end.fetch_min(nth, Ordering::SeqCst);
                    }
                    aws.check_log();
                }
            });
        }
    });
    end.load(Ordering::SeqCst) - 1
}

#[test]
fn up_killed_after_each_call_is_finished_by_the_next_up() {
    // An uninterrupted run, to compare with.
    let whole = {
        let aws = TestAws::seeded();
        Workplace::new(&aws).succeed(&["up", "--yes"]);
        counts(&aws.account())
    };
    let calls = after_every_call(|aws, nth| {
        let before = aws.account();
        let workplace = Workplace::new(aws);
        if killed_after(aws, &workplace, &["up", "--yes"], nth).is_none() {
            return false;
        }
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(counts(&aws.account()), whole, "killed after call {nth}");
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(
            plan.code,
            Some(0),
            "killed after call {nth}: {}",
            plan.stdout
        );
        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
        true
    });
    assert!(calls >= 40, "{calls} changing calls");
}

#[test]
fn down_killed_after_each_call_is_finished_by_the_next_down() {
    let calls = after_every_call(|aws, nth| {
        let before = aws.account();
        let workplace = Workplace::new(aws);
        workplace.succeed(&["up", "--yes"]);
        aws.check_log();
        if killed_after(
            aws,
            &workplace,
            &["down", "--yes", "--stack", "orders"],
            nth,
        )
        .is_none()
        {
            return false;
        }
        workplace.succeed(&["down", "--yes", "--stack", "orders"]);
        assert_same(&before, &aws.account());
        true
    });
    assert!(calls >= 35, "{calls} changing calls");
}

#[test]
fn a_half_made_stack_is_brought_down() {
    after_every_call(|aws, nth| {
        // Every third call is enough here: `up` and `down` are both killed everywhere above.
        let nth = nth * 3;
        let before = aws.account();
        let workplace = Workplace::new(aws);
        let killed = killed_after(aws, &workplace, &["up", "--yes"], nth).is_some();
        workplace.succeed(&["down", "--yes", "--stack", "orders"]);
        assert_same(&before, &aws.account());
        killed
    });
}

//! Killed after every single changing call, the next run finishes; nothing is there twice, nothing is left behind.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use support::kill::{killed_after, killed_after_one_of};
use support::rest_api::{change, draft, publish, served};
use support::{TestAws, Workplace, assert_same, counts};

/// Servers that work side by side. Each run of the binary is short, so two cores are kept busy by two.
const WORKERS: usize = 2;

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

/// Whatever comes after a `down --keep-protected` that was killed: the API is what the next run says.
#[test]
fn a_method_that_is_to_stay_closed_is_no_change_of_others_after_a_kill() {
    const KEEP: [&str; 5] = ["down", "--yes", "--stack", "orders", "--keep-protected"];
    let open = "GET /orders";
    let calls = after_every_call(|aws, nth| {
        let (nth, next) = ((nth - 1) / 3 + 1, (nth - 1) % 3);
        let before = aws.account();
        let id = api_id(&before);
        let workplace = Workplace::new(aws);
        workplace.succeed(&["up", "--yes"]);
        let whole = aws.account();
        aws.check_log();
        match killed_after_one_of(aws, &workplace, &KEEP, "apigateway", nth).as_deref() {
            // By then the API is handed back, and the record of it gone.
            None | Some("DeleteAuthorizer") => return false,
            Some(_) => {}
        }
        match next {
            0 => {
                workplace.succeed(&KEEP);
                let after = aws.account();
                assert_eq!(draft(&after, &id)[open], "AWS_IAM");
                assert_eq!(served(&after, &id, "prod"), draft(&after, &id));
                let again = workplace.succeed(&["down", "--yes"]);
                assert!(again.stderr.contains("Nothing to do"), "{}", again.stderr);
                assert_same(&after, &aws.account());
            }
            1 => {
                workplace.succeed(&["down", "--yes"]);
                assert_same(&before, &aws.account());
            }
            _ => {
                workplace.succeed(&["up", "--yes"]);
                let again = aws.account();
                assert_eq!(served(&again, &id, "prod"), served(&whole, &id, "prod"));
                // What was closed is deployed anew; our deployments all go with `down`.
                let but_deployments = |account| {
                    let mut counts = counts(account);
                    counts.retain(|path, _| !path.starts_with("/rest_apis/deployments"));
                    counts
                };
                assert_eq!(but_deployments(&again), but_deployments(&whole));
                assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
                workplace.succeed(&["down", "--yes"]);
                assert_same(&before, &aws.account());
            }
        }
        true
    });
    // Each with three that come after it.
    assert!(calls >= 3 * 6, "{calls} runs");
}

/// The owners guard a method that was open and publish that; an `up` that takes it again is killed.
#[test]
fn a_method_that_was_guarded_since_is_not_opened_after_a_kill() {
    let guarded = "GET /orders";
    let calls = after_every_call(|aws, nth| {
        let id = api_id(&aws.account());
        let workplace = Workplace::new(aws);
        workplace.edit("except: [\"GET /health\"]", "protect: [\"GET /orders\"]");
        workplace.succeed(&["up", "--yes"]);
        let iam = [("/authorizationType", "AWS_IAM"), ("/authorizerId", "")];
        change(aws, &id, "GET", "/orders", &iam);
        publish(aws, &id, "prod");
        aws.check_log();
        if killed_after(aws, &workplace, &["up", "--yes"], nth).is_none() {
            return false;
        }
        if nth % 2 == 0 {
            workplace.succeed(&["up", "--yes"]);
        }
        workplace.succeed(&["down", "--yes"]);
        let after = aws.account();
        assert_eq!(draft(&after, &id)[guarded], "AWS_IAM", "after call {nth}");
        assert_eq!(
            served(&after, &id, "prod")[guarded],
            "AWS_IAM",
            "after call {nth}"
        );
        true
    });
    assert!(calls >= 6, "{calls} changing calls");
}

/// The id of the API that is seeded.
fn api_id(account: &serde_json::Value) -> String {
    let apis = account["rest_apis"].as_array().expect("a list");
    let api = apis.iter().find(|api| api["name"] == "orders-api");
    let id = api.and_then(|api| api["id"].as_str());
    id.expect("the API's id").to_owned()
}

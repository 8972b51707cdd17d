//! After a kill at every changing call, the next run completes. Nothing exists twice, and nothing is left behind.

use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{self, change, draft, publish, served};
use crate::support::{TestAws, Workplace, assert_same, counts, standing};

#[test]
fn up_killed_after_each_call_is_finished_by_the_next_up() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let states = killed_after_each(&aws, &Workplace::new(&aws), &["up", "--yes"], "*");
    assert!(states.len() >= 40, "{} changing calls", states.len());
    let whole = counts(&aws.account());
    each(states, |nth, killed| {
        let (aws, after) = (&killed.aws, &killed.after);
        let workplace = Workplace::new(aws);
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(counts(&aws.account()), whole, "killed after {nth}, {after}");
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(
            plan.code,
            Some(0),
            "killed after {nth}, {after}: {}",
            plan.stdout
        );
        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    });
}

#[test]
fn down_killed_after_each_call_is_finished_by_the_next_down() {
    const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];
    let before = TestAws::seeded().account();
    let (aws, workplace) = standing();
    let states = killed_after_each(&aws, &workplace, &DOWN, "*");
    assert!(states.len() >= 35, "{} changing calls", states.len());
    each(states, |_, killed| {
        Workplace::new(&killed.aws).succeed(&DOWN);
        assert_same(&before, &killed.aws.account());
    });
}

#[test]
fn a_half_made_stack_is_brought_down() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let mut states = killed_after_each(&aws, &Workplace::new(&aws), &["up", "--yes"], "*");
    // Every third call is enough here: the tests above kill `up` and `down` at every call.
    let mut nth = 0;
    states.retain(|_| {
        nth += 1;
        nth % 3 == 0
    });
    each(states, |_, killed| {
        Workplace::new(&killed.aws).succeed(&["down", "--yes", "--stack", "orders"]);
        assert_same(&before, &killed.aws.account());
    });
}

/// After a killed `down --keep-protected`, every kind of next run leaves the API as that run specifies.
#[test]
fn a_method_that_is_to_stay_closed_is_no_change_of_others_after_a_kill() {
    const KEEP: [&str; 5] = ["down", "--yes", "--stack", "orders", "--keep-protected"];
    let open = "GET /orders";
    let before = TestAws::seeded().account();
    let id = rest_api::id(&before, "orders-api");
    let (aws, workplace) = standing();
    let whole = aws.account();
    let mut states = killed_after_each(&aws, &workplace, &KEEP, "apigateway");
    // From this call on, the API is restored and its record is deleted.
    let handed_back = states
        .iter()
        .position(|killed| killed.after == "DeleteAuthorizer");
    states.truncate(handed_back.expect("the authorizer is deleted"));
    assert!(states.len() >= 6, "{} calls", states.len());
    // Each state is followed by each of three next runs.
    let runs = states
        .iter()
        .flat_map(|killed| (0..3).map(|next| (next, killed.aws.fork())))
        .collect();
    each(runs, |_, (next, aws)| {
        let workplace = Workplace::new(&aws);
        match next {
            0 => {
                workplace.succeed(&KEEP);
                let after = aws.account();
                assert_eq!(draft(&after, &id)[open], "AWS_IAM");
                assert_eq!(served(&after, &id, "prod"), draft(&after, &id));
                let again = workplace.succeed(&["down", "--yes"]);
                assert!(again.stderr.contains("No changes"), "{}", again.stderr);
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
                // The closed methods are deployed again. `down` deletes all deployments of the stack.
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
    });
}

/// The owners protect a method that was open and publish the change. Then an `up` that protects the method again is
/// killed.
#[test]
fn a_method_that_was_guarded_since_is_not_opened_after_a_kill() {
    const PROTECT: (&str, &str) = ("except: [\"GET /health\"]", "protect: [\"GET /orders\"]");
    let guarded = "GET /orders";
    let aws = TestAws::seeded();
    let id = rest_api::id(&aws.account(), "orders-api");
    let workplace = Workplace::new(&aws);
    workplace.edit(PROTECT.0, PROTECT.1);
    workplace.succeed(&["up", "--yes"]);
    let iam = [("/authorizationType", "AWS_IAM"), ("/authorizerId", "")];
    change(&aws, &id, "GET", "/orders", &iam);
    publish(&aws, &id, "prod");
    let states = killed_after_each(&aws, &workplace, &["up", "--yes"], "*");
    assert!(states.len() >= 6, "{} changing calls", states.len());
    each(states, |nth, killed| {
        let workplace = Workplace::new(&killed.aws);
        workplace.edit(PROTECT.0, PROTECT.1);
        if nth % 2 == 0 {
            workplace.succeed(&["up", "--yes"]);
        }
        workplace.succeed(&["down", "--yes"]);
        let after = killed.aws.account();
        assert_eq!(draft(&after, &id)[guarded], "AWS_IAM", "after call {nth}");
        let served = served(&after, &id, "prod");
        assert_eq!(served[guarded], "AWS_IAM", "after call {nth}");
    });
}

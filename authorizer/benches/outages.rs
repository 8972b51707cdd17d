//! Callers and a reporter for ten minutes, in which 3scale answers 429, 413 and HTML, is far away and dies, and Redis fails
//! over and is restarted: the sums of allowed and of counted usage must be equal.
//!
//! `cargo bench -p authorizer --bench outages`; `-- 60` for another number of seconds.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports to a terminal"
)]
#![expect(unreachable_pub, reason = "the harness is the tests'")]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the tests' harness has more than a bench needs")]
mod support;

use std::time::{Duration, Instant};

use support::storm::{Plan, Storm, Trouble};

const CYCLE: [Trouble; 11] = [
    Trouble::TooMany,
    Trouble::Failover,
    Trouble::TooLarge,
    Trouble::Refusal,
    Trouble::Restart,
    Trouble::Far,
    Trouble::Welcome,
    Trouble::Dead,
    Trouble::RestartAndTooMany,
    Trouble::Unreachable,
    Trouble::Failover,
];

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(600));
    let started = Instant::now();
    // After each trouble, some time without one.
    let mut troubles = CYCLE
        .into_iter()
        .cycle()
        .flat_map(|trouble| [trouble, Trouble::None])
        .take_while(|_| started.elapsed() < time);
    let sums = Storm::new().run(Plan {
        troubles: &mut troubles,
        over: &|_, numbers, since| {
            since.elapsed() >= Duration::from_secs(4) && numbers.decisions > 0
        },
        told: &|trouble, numbers| {
            let at = started.elapsed().as_secs();
            println!("{at:4} s  {:18} {numbers}", format!("{trouble:?}"));
        },
        pace: (Duration::from_millis(1), Duration::from_millis(500)),
    });
    println!(
        "{:.0} s: {}; {} in doubt, {} lost; {} counted by 3scale",
        started.elapsed().as_secs_f64(),
        sums.all,
        sums.all.in_doubt,
        sums.all.lost,
        sums.counted
    );
    assert_eq!(sums.counted, sums.all.allowed, "every one is counted once");
    assert_eq!(sums.all.lost, 0);
}

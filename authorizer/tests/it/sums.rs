//! The sums of allowed and of counted usage are equal, although 3scale and Redis fail between a request and its report. The
//! bench `outages` does the same for ten minutes.

use std::time::Duration;

use crate::support::storm::{Plan, Storm, Trouble};

#[expect(clippy::print_stdout, reason = "shown if the test fails")]
#[test]
fn every_allowed_request_is_counted_once() {
    let troubles = [
        Trouble::None,
        Trouble::TooMany,
        Trouble::Failover,
        Trouble::TooLarge,
        Trouble::Refusal,
        Trouble::Restart,
        Trouble::Far,
        Trouble::Welcome,
        Trouble::Unreachable,
        Trouble::RestartAndTooMany,
        Trouble::Dead,
        Trouble::Failover,
        Trouble::None,
    ];
    let sums = Storm::new().run(Plan {
        troubles: &mut troubles.into_iter(),
        over: &|trouble, numbers, _| {
            let felt = match trouble {
                // The callers wait for the same connection until it is open.
                Trouble::Unreachable => return numbers.decisions > 0,
                Trouble::TooMany | Trouble::Refusal | Trouble::Dead => numbers.stopped > 0,
                Trouble::Welcome => numbers.in_doubt > 0,
                Trouble::Failover | Trouble::Restart => numbers.direct >= 10,
                _ => numbers.reports > 0 || trouble == Trouble::RestartAndTooMany,
            };
            felt && numbers.decisions >= 100
        },
        told: &|trouble, numbers| println!("{trouble:?}: {numbers}"),
        pace: (Duration::from_millis(1), Duration::from_millis(20)),
    });
    assert_eq!(sums.counted, sums.all.allowed, "{sums:?}");
    assert_eq!(sums.all.lost, 0);
    assert!(sums.all.allowed > 0 && sums.all.reported > 0);
}

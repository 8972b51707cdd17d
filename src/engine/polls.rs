//! Schedules polls of pending resources: all steps that wait for resources of one kind share a
//! poll.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::kind::Kind;

/// The next poll of each kind: its time, and the view `T` of the account that starts then.
#[derive(Debug)]
pub(super) struct Polls<T>(Mutex<BTreeMap<Kind, (Instant, T)>>);

impl<T> Default for Polls<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Polls<T> {
    /// Returns the poll that a step joins if it would poll at `now + wait`: an earlier one that is
    /// already scheduled, or a new one.
    pub fn join(
        &self,
        kind: Kind,
        now: Instant,
        wait: Duration,
        begin: impl FnOnce() -> T,
    ) -> (Instant, T) {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = now + wait;
        match next.get(&kind) {
            Some((at, view)) if *at > now && *at <= wanted => (*at, view.clone()),
            _ => {
                let look = (wanted, begin());
                next.insert(kind, look.clone());
                look
            }
        }
    }
}

/// The wait until the next poll, as a share of the time waited so far. The end of a wait is seen at
/// most 0.2 seconds late, after more than 10 seconds 2 % late, and never more than 2 seconds late.
pub(super) fn poll(waited: Duration) -> Duration {
    (waited / 50).clamp(Duration::from_millis(200), Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn steps_of_one_kind_share_a_look() {
        let polls = Polls::default();
        let now = Instant::now();
        let first = polls.join(Kind::Subnet, now, SECOND, || 1);
        assert_eq!(first, (now + SECOND, 1));
        // Another step would poll a little later.
        let later = now + SECOND / 10;
        assert_eq!(polls.join(Kind::Subnet, later, SECOND, || 2), first);
        assert_eq!(polls.join(Kind::Vpc, later, SECOND, || 3).1, 3);
    }

    #[test]
    fn a_look_that_comes_too_late_or_has_begun_is_not_shared() {
        let polls = Polls::default();
        let now = Instant::now();
        polls.join(Kind::Subnet, now, 4 * SECOND, || 1);
        assert_eq!(
            polls.join(Kind::Subnet, now, SECOND, || 2),
            (now + SECOND, 2)
        );
        // At its scheduled time the poll has started: later changes may be missing from it.
        let at = now + SECOND;
        assert_eq!(polls.join(Kind::Subnet, at, SECOND, || 3), (at + SECOND, 3));
    }

    #[test]
    fn the_end_of_a_wait_is_seen_soon() {
        for (waited, wanted) in [
            (0, 200),
            (10_000, 200),
            (50_000, 1_000),
            (100_000, 2_000),
            (900_000, 2_000),
        ] {
            let wanted = Duration::from_millis(wanted);
            assert_eq!(poll(Duration::from_millis(waited)), wanted);
        }
    }
}

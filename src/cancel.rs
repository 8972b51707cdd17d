//! Stops a run on a signal, when `--timeout` expires or when its lock does. Calls in flight complete;
//! nothing new starts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The reason why a run stops early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    Interrupted,
    TimedOut,
}

#[derive(Debug, Default)]
struct Inner {
    interrupted: AtomicBool,
    woken: Notify,
    /// When the lease of each held lock ends, on the clock of [`since_boot`].
    leases: Mutex<BTreeMap<String, Duration>>,
}

/// The time since the machine was started. Unlike the time of day, it cannot be set. It includes the
/// time in which the machine was suspended.
pub fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// The cancellation token that all steps of a run share.
#[derive(Debug, Clone)]
pub struct CancelToken {
    inner: Arc<Inner>,
    deadline: Option<Instant>,
}

impl CancelToken {
    /// A token for a run with this timeout; `None` means no limit.
    pub fn new(timeout: Option<Duration>) -> Self {
        Self {
            inner: Arc::default(),
            deadline: timeout.map(|timeout| Instant::now() + timeout),
        }
    }

    /// A token for a part of the run, with the same timeout. An interruption of the run must be passed on to it.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            inner: Arc::default(),
            deadline: self.deadline,
        }
    }

    /// Stops the run: nothing new starts after this call.
    pub fn interrupt(&self) {
        self.inner.interrupted.store(true, Ordering::SeqCst);
        self.inner.woken.notify_waiters();
    }

    /// From now on the run must stop at `end`, on the clock of [`since_boot`], unless that is moved. `lock`
    /// identifies the lock: the first lease to end counts.
    pub fn lease_until(&self, lock: &str, end: Option<Duration>) {
        let leases = self.inner.leases.lock();
        let mut leases = leases.unwrap_or_else(PoisonError::into_inner);
        match end {
            Some(end) => drop(leases.insert(lock.to_owned(), end)),
            None => drop(leases.remove(lock)),
        }
    }

    /// Returns the reason if the run must stop.
    pub fn stop(&self) -> Option<StopReason> {
        let leases = self.inner.leases.lock();
        let first = leases
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .min()
            .copied();
        // Read before every call: a machine that has slept is woken in the middle of its work.
        let expired = first.is_some_and(|end| end <= since_boot());
        if expired || self.inner.interrupted.load(Ordering::SeqCst) {
            return Some(StopReason::Interrupted);
        }
        self.deadline
            .filter(|deadline| *deadline <= Instant::now())
            .map(|_| StopReason::TimedOut)
    }

    /// Waits until the run must stop and returns the reason.
    pub async fn stopped(&self) -> StopReason {
        loop {
            if let Some(stop) = self.stop() {
                return stop;
            }
            self.sleep(Duration::from_secs(3600)).await;
        }
    }

    /// Sleeps for `wait`, or until the run must stop.
    pub async fn sleep(&self, wait: Duration) {
        let woken = self.inner.woken.notified();
        tokio::pin!(woken);
        // Registered before the flag is read; otherwise an interrupt in between would be missed.
        woken.as_mut().enable();
        if self.stop().is_some() {
            return;
        }
        let until = Instant::now() + wait;
        let until = self.deadline.map_or(until, |deadline| until.min(deadline));
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = woken => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_alone_and_with_the_time_of_the_run() {
        let cancel = CancelToken::new(None);
        let part = cancel.part();
        part.interrupt();
        assert_eq!(part.stop(), Some(StopReason::Interrupted));
        assert_eq!(cancel.stop(), None);
        let over = CancelToken::new(Some(Duration::ZERO)).part();
        assert_eq!(over.stop(), Some(StopReason::TimedOut));
    }

    #[test]
    fn a_run_stops_when_its_lease_ends() {
        let cancel = CancelToken::new(None);
        let later = || Some(since_boot() + Duration::from_secs(3600));
        cancel.lease_until("a", later());
        assert_eq!(cancel.stop(), None);
        cancel.lease_until("b", Some(since_boot()));
        assert_eq!(cancel.stop(), Some(StopReason::Interrupted));
        cancel.lease_until("a", later());
        assert_eq!(cancel.stop(), Some(StopReason::Interrupted));
        cancel.lease_until("a", None);
        assert_eq!(cancel.stop(), Some(StopReason::Interrupted));
        cancel.lease_until("b", None);
        assert_eq!(cancel.stop(), None);
    }
}

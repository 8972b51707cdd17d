//! Stops a run on a signal or when `--timeout` expires. Calls in flight complete; nothing new
//! starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

    /// Stops the run: nothing new starts after this call.
    pub fn interrupt(&self) {
        self.inner.interrupted.store(true, Ordering::SeqCst);
        self.inner.woken.notify_waiters();
    }

    /// Returns the reason if the run must stop.
    pub fn stop(&self) -> Option<StopReason> {
        if self.inner.interrupted.load(Ordering::SeqCst) {
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

//! Stops a run: by a signal or by `--timeout`. What is under way is waited for; nothing new begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Why a run stops before its end.
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

/// Shared by all steps of a run.
#[derive(Debug, Clone)]
pub struct CancelToken {
    inner: Arc<Inner>,
    deadline: Option<Instant>,
}

impl CancelToken {
    /// A run that may last `timeout`.
    pub fn new(timeout: Option<Duration>) -> Self {
        Self {
            inner: Arc::default(),
            deadline: timeout.map(|timeout| Instant::now() + timeout),
        }
    }

    /// Starts nothing new from here on.
    pub fn interrupt(&self) {
        self.inner.interrupted.store(true, Ordering::SeqCst);
        self.inner.woken.notify_waiters();
    }

    /// Whether the run must stop, and why.
    pub fn stop(&self) -> Option<StopReason> {
        if self.inner.interrupted.load(Ordering::SeqCst) {
            return Some(StopReason::Interrupted);
        }
        self.deadline
            .filter(|deadline| *deadline <= Instant::now())
            .map(|_| StopReason::TimedOut)
    }

    /// Comes back when the run must stop, and with why.
    pub async fn stopped(&self) -> StopReason {
        loop {
            if let Some(stop) = self.stop() {
                return stop;
            }
            self.sleep(Duration::from_secs(3600)).await;
        }
    }

    /// Sleeps, but not past the moment when the run must stop.
    pub async fn sleep(&self, wait: Duration) {
        let woken = self.inner.woken.notified();
        tokio::pin!(woken);
        // Registered before the flag is read, or an interrupt in between would be slept through.
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

//! The wall clock. Calendar periods and the ages of answers depend on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::log;

/// The system's clock, or a clock that a test sets.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that shows the given Unix milliseconds until it is [set](Clock::set).
    #[must_use]
    pub fn standing(at_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(at_ms)))
    }

    /// Sets this clock and all its clones to another time.
    pub fn set(&self, at_ms: i64) {
        self.0.store(at_ms, Ordering::SeqCst);
    }

    /// The current time in Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self.0.load(Ordering::SeqCst) {
            0 => log::now_ms(),
            standing => standing,
        }
    }
}

//! The wall clock: calendar periods and the ages of answers are told by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::log;

/// The system's clock, or one that stands where a test puts it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that stands at the given Unix milliseconds until it is [set](Clock::set).
    #[must_use]
    pub fn standing(at_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(at_ms)))
    }

    /// Puts a standing clock, and all its clones, to another moment.
    pub fn set(&self, at_ms: i64) {
        self.0.store(at_ms, Ordering::SeqCst);
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self.0.load(Ordering::SeqCst) {
            0 => log::now_ms(),
            standing => standing,
        }
    }
}

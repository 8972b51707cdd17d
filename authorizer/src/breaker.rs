//! A circuit breaker: what has just failed is not waited for again with every request.

use std::time::{Duration, Instant};

/// Open for a time that doubles with every further failure; then one try decides.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// Failures in a row before it opens.
    threshold: u32,
    first: Duration,
    longest: Duration,
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Opens after `threshold` failures in a row, for `first` and then twice as long each time, up to `longest`.
    #[must_use]
    pub fn new(threshold: u32, first: Duration, longest: Duration) -> Self {
        Self {
            threshold,
            first,
            longest,
            failures: 0,
            open_until: None,
        }
    }

    /// Whether a try is allowed now.
    #[must_use]
    pub fn allows(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    /// It worked: closed again.
    pub fn success(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }

    /// It failed.
    pub fn failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(self.threshold) {
            let wait = self.first.saturating_mul(1 << beyond.min(16));
            self.open_until = Some(now + wait.min(self.longest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_longer_and_longer_and_closes_at_once() {
        let second = Duration::from_secs(1);
        let mut breaker = Breaker::new(2, second, second * 3);
        let start = Instant::now();
        breaker.failure(start);
        assert!(breaker.allows(start));
        for open in [1, 2, 3, 3] {
            breaker.failure(start);
            assert!(!breaker.allows(start + second * open - Duration::from_millis(1)));
            assert!(breaker.allows(start + second * open));
        }
        breaker.success();
        assert!(breaker.allows(start));
        breaker.failure(start);
        assert!(breaker.allows(start));
    }
}

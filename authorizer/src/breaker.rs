//! Limits on repeated failures: [`Breaker`] pauses calls to a service that has just failed, and [`TokenBucket`] and
//! [`SharedBucket`] limit calls that keep being refused.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A circuit breaker. It opens for a time that doubles with every further failure; then one call decides.
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
    /// Opens after `threshold` failures in a row, for `first`, and then for twice as long each time, up to `longest`.
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

    /// Whether a call is allowed now.
    #[must_use]
    pub fn allows(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    /// Records a success, which closes it.
    pub fn success(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }

    /// Records a failure that says how long to wait: it opens at once, at least for that time.
    pub fn failure_for(&mut self, now: Instant, wait: Duration) {
        self.failure(now);
        let until = now + wait;
        self.open_until = Some(self.open_until.map_or(until, |open| open.max(until)));
    }

    /// Records a failure.
    pub fn failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(self.threshold) {
            let wait = self.first.saturating_mul(1 << beyond.min(16));
            self.open_until = Some(now + wait.min(self.longest));
        }
    }
}

/// A bucket of tokens: a refusal takes one token, and time adds them again.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    size: u32,
    left: u32,
    every: Duration,
    filled: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket of `size` tokens. One token is added after each `every`.
    #[must_use]
    pub fn new(size: u32, every: Duration) -> Self {
        Self {
            size,
            left: size,
            every,
            filled: None,
        }
    }

    /// Whether a token is left.
    pub fn allows(&mut self, now: Instant) -> bool {
        let since = *self.filled.get_or_insert(now);
        let back = (now - since).as_nanos() / self.every.as_nanos().max(1);
        if back > 0 {
            self.left = u32::try_from(back)
                .unwrap_or(u32::MAX)
                .saturating_add(self.left)
                .min(self.size);
            self.filled = Some(now);
        }
        self.left > 0
    }

    /// Takes one token.
    pub fn refused(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

/// Limits refusals, shared by the addresses of the callers: when one sender has used up the common bucket, the callers at
/// addresses with few refusals have another one.
#[derive(Debug)]
pub struct SharedBucket {
    common: TokenBucket,
    reserve: TokenBucket,
    sources: HashMap<String, TokenBucket>,
    share: u32,
}

/// The time after which an address gets a token of its share back.
const SHARE_EVERY: Duration = Duration::from_secs(5);
/// How many addresses are remembered.
const MAX_SOURCES: usize = 4096;

impl SharedBucket {
    /// Two buckets of `size` tokens. An address has a `share` of the second one.
    #[must_use]
    pub fn new(size: u32, every: Duration, share: u32) -> Self {
        Self {
            common: TokenBucket::new(size, every),
            reserve: TokenBucket::new(size, every),
            sources: HashMap::new(),
            share,
        }
    }

    /// Whether a token is left for this address. An empty address has no share.
    pub fn allows(&mut self, source: &str, now: Instant) -> bool {
        if self.common.allows(now) {
            return true;
        }
        let share = match self.sources.get_mut(source) {
            Some(share) => share.allows(now),
            None => !source.is_empty(),
        };
        share && self.reserve.allows(now)
    }

    /// Takes one token.
    pub fn refused(&mut self, source: &str, now: Instant) {
        if self.common.allows(now) {
            self.common.refused();
        } else {
            self.reserve.refused();
        }
        if source.is_empty() {
            return;
        }
        if self.sources.len() >= MAX_SOURCES {
            self.sources.clear();
        }
        let share = self.share;
        let bucket = self
            .sources
            .entry(source.to_owned())
            .or_insert_with(|| TokenBucket::new(share, SHARE_EVERY));
        bucket.allows(now);
        bucket.refused();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_again() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(2, Duration::from_millis(100));
        for _ in 0..2 {
            assert!(bucket.allows(start));
            bucket.refused();
        }
        assert!(!bucket.allows(start + Duration::from_millis(99)));
        assert!(bucket.allows(start + Duration::from_millis(100)));
        bucket.refused();
        assert!(!bucket.allows(start + Duration::from_millis(199)));
        assert!(bucket.allows(start + Duration::from_secs(9)));
    }

    #[test]
    fn one_address_does_not_use_up_the_share_of_others() {
        let start = Instant::now();
        let mut bucket = SharedBucket::new(10, Duration::from_secs(1), 2);
        for _ in 0..10 {
            assert!(bucket.allows("a", start));
            bucket.refused("a", start);
        }
        assert!(!bucket.allows("a", start));
        assert!(!bucket.allows("", start));
        for other in 0..5 {
            for _ in 0..2 {
                assert!(bucket.allows(&other.to_string(), start));
                bucket.refused(&other.to_string(), start);
            }
            assert!(!bucket.allows(&other.to_string(), start));
        }
        assert!(
            !bucket.allows("new", start),
            "the second bucket is empty too"
        );
        assert!(bucket.allows("a", start + Duration::from_secs(1)));
    }

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

    #[test]
    fn opens_at_once_for_the_time_that_a_failure_asks_for() {
        let second = Duration::from_secs(1);
        let mut breaker = Breaker::new(2, second * 5, second * 5);
        let start = Instant::now();
        breaker.failure_for(start, second * 3);
        assert!(!breaker.allows(start + second * 3 - Duration::from_millis(1)));
        assert!(breaker.allows(start + second * 3));
        breaker.failure_for(start, second * 3);
        assert!(!breaker.allows(start + second * 4));
        assert!(breaker.allows(start + second * 5));
    }
}

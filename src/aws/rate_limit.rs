//! Stays below API Gateway's control-plane quota, which all callers of an account share: 10
//! requests per second with a burst of 40, and one `CreateDeployment` every 5 seconds. Source: API
//! Gateway quotas.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A token bucket that admits calls in the order they arrive.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<Bucket>);

/// A token bucket, stored as in the generic cell rate algorithm: the time at which the bucket is
/// full again represents the number of tokens in it.
#[derive(Debug, Default)]
struct Bucket {
    full_at: Option<Instant>,
    deployed: Option<Instant>,
}

/// One token every tenth of a second: the quota.
const REFILL: Duration = Duration::from_millis(100);
/// Two tokens below the quota's burst, because delayed calls may arrive at AWS together.
const BURST: u32 = 38;
const DEPLOYMENT_GAP: Duration = Duration::from_secs(5);

impl RateLimiter {
    /// Returns when the call may be sent.
    pub async fn acquire(&self, operation: &str) {
        let deployment = operation.ends_with(":CreateDeployment");
        let at = self.bucket().take(Instant::now(), deployment);
        tokio::time::sleep_until(at).await;
    }

    /// Records that AWS throttled a call: other callers use the quota too, so no burst is left.
    pub fn throttled(&self) {
        self.bucket().drain(Instant::now());
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        // The bucket is consistent after every statement, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// Takes a token and returns the time at which a call that arrives `now` may be sent.
    fn take(&mut self, now: Instant, deployment: bool) -> Instant {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + REFILL);
        let mut at = full_at
            .checked_sub(REFILL * (BURST - 1))
            .map_or(now, |at| at.max(now));
        if deployment {
            let free = self.deployed.map(|last| last + DEPLOYMENT_GAP);
            at = free.map_or(at, |free| at.max(free));
            self.deployed = Some(at);
        }
        at
    }

    /// Removes all tokens.
    fn drain(&mut self, now: Instant) {
        let empty = now + REFILL * (BURST - 1);
        self.full_at = Some(self.full_at.map_or(empty, |at| at.max(empty)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The send times of `calls` calls that all arrive `now`.
    fn times(bucket: &mut Bucket, now: Instant, calls: usize) -> Vec<Duration> {
        let sent = (0..calls).map(|_| bucket.take(now, false).duration_since(now));
        sent.collect()
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_quota() {
        let times = times(&mut Bucket::default(), Instant::now(), 340);
        assert!(times[..38].iter().all(Duration::is_zero));
        for (n, time) in (1..).zip(&times[38..]) {
            assert_eq!(*time, Duration::from_millis(100) * n);
        }
    }

    /// Checks that AWS's bucket has a token for each call, however the calls are distributed.
    #[test]
    fn no_call_exceeds_the_quota() {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        let (mut tokens, mut last) = (40.0_f64, start);
        // Bursts with pauses between them that grow a little each time.
        for round in 0..60u32 {
            let now = start + Duration::from_millis(u64::from(round * round * 7));
            for _ in 0..10 {
                let at = bucket.take(now, false);
                tokens = (tokens + at.duration_since(last).as_secs_f64() * 10.0).min(40.0) - 1.0;
                last = at;
                assert!(tokens >= 0.0, "round {round}");
            }
        }
    }

    #[test]
    fn the_bucket_fills_again() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        times(&mut bucket, now, 38);
        let later = now + Duration::from_secs(2);
        let times = times(&mut bucket, later, 21);
        assert!(times[..20].iter().all(Duration::is_zero));
        assert_eq!(times[20], Duration::from_millis(100));
    }

    #[test]
    fn after_a_throttled_call_there_is_no_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        bucket.drain(now);
        let steady: Vec<_> = (0..20).map(|n| Duration::from_millis(100) * n).collect();
        assert_eq!(times(&mut bucket, now, 20), steady);
        // Waiting calls are not admitted earlier.
        bucket.drain(now);
        let next = bucket.take(now, false).duration_since(now);
        assert_eq!(next, Duration::from_millis(2000));
    }

    #[test]
    fn deployments_keep_their_distance_and_hold_up_no_other_call() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        let first = bucket.take(now, true);
        let second = bucket.take(now, true);
        assert_eq!(second.duration_since(first), Duration::from_secs(5));
        assert_eq!(bucket.take(now, false), now);
    }
}

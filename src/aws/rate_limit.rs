//! Keeps below API Gateway's control quota, which all callers of an account share: 10 calls a second with a burst of 40,
//! and one `CreateDeployment` in 5 seconds. Source: API Gateway quotas.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Admits calls in the order they come, by a token bucket.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<Bucket>);

/// A token bucket as the generic cell rate algorithm keeps it: the moment at which the bucket is full again stands for
/// the number of tokens in it.
#[derive(Debug, Default)]
struct Bucket {
    full_at: Option<Instant>,
    deployed: Option<Instant>,
}

/// One token in a tenth of a second: the quota.
const REFILL: Duration = Duration::from_millis(100);
/// Two tokens below the quota's burst, because calls may catch up with one another on their way to AWS.
const BURST: u32 = 38;
const DEPLOYMENT_GAP: Duration = Duration::from_secs(5);

impl RateLimiter {
    /// Returns when the call may be sent.
    pub async fn acquire(&self, operation: &str) {
        let deployment = operation.ends_with(":CreateDeployment");
        let at = self.bucket().take(Instant::now(), deployment);
        tokio::time::sleep_until(at).await;
    }

    /// Takes note that AWS throttled a call: others use the quota too, so there is no burst left.
    pub fn throttled(&self) {
        self.bucket().drain(Instant::now());
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        // A bucket is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// The moment at which a call that comes `now` may be sent.
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

    /// Empties the bucket.
    fn drain(&mut self, now: Instant) {
        let empty = now + REFILL * (BURST - 1);
        self.full_at = Some(self.full_at.map_or(empty, |at| at.max(empty)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `calls` that all come `now` may be sent.
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

    /// AWS's bucket, however the calls are distributed, has a token for each.
    #[test]
    fn no_call_exceeds_the_quota() {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        let (mut tokens, mut last) = (40.0_f64, start);
        // Bursts with pauses in between, which are a little longer each time.
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
        // What already waits is not admitted sooner.
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

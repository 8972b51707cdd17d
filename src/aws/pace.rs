//! Keeps below API Gateway's control quota, which all callers of an account share: 10 calls a second, and one
//! `CreateDeployment` in 5 seconds. Source: API Gateway quotas.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Lets callers through one by one, in the order they came.
#[derive(Debug)]
pub struct Pacer(Mutex<Bucket>);

/// A token bucket for all calls, and a last-sent mark for deployments.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    deployment_gap: Duration,
    tokens: f64,
    at: Instant,
    deployed: Option<Instant>,
}

impl Pacer {
    /// A little below the quota: 9.5 calls a second. The account's burst is 40; we take a quarter of it.
    pub fn api_gateway() -> Self {
        Self(Mutex::new(Bucket::api_gateway(Instant::now())))
    }

    /// Returns when the call may be sent.
    pub async fn admit(&self, operation: &str) {
        // The lock is kept while sleeping, or later callers would overtake.
        let mut bucket = self.0.lock().await;
        let at = bucket.take(Instant::now(), operation.ends_with(":CreateDeployment"));
        tokio::time::sleep_until(at).await;
    }
}

impl Bucket {
    fn api_gateway(now: Instant) -> Self {
        let burst = 10.0;
        Self {
            per_second: 9.5,
            burst,
            deployment_gap: Duration::from_secs(5),
            tokens: burst,
            at: now,
            deployed: None,
        }
    }

    /// The moment at which a call that comes `now` may be sent.
    fn take(&mut self, now: Instant, deployment: bool) -> Instant {
        let mut at = now.max(self.at);
        if deployment {
            at = self
                .deployed
                .map_or(at, |last| at.max(last + self.deployment_gap));
        }
        let gained = at.duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        if self.tokens < 1.0 {
            at += Duration::from_secs_f64((1.0 - self.tokens) / self.per_second);
            self.tokens = 1.0;
        }
        self.tokens -= 1.0;
        self.at = at;
        if deployment {
            self.deployed = Some(at);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_hundred_calls_take_what_the_quota_allows() {
        let now = Instant::now();
        let mut bucket = Bucket::api_gateway(now);
        let last = (0..300)
            .map(|_| bucket.take(now, false))
            .last()
            .expect("three hundred");
        let took = last.duration_since(now).as_secs_f64();
        assert!((30.0..=31.0).contains(&took), "{took}");
    }

    #[test]
    fn in_no_second_are_there_more_than_the_quota_and_our_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::api_gateway(now);
        let times: Vec<_> = (0..100).map(|_| bucket.take(now, false)).collect();
        for window in times.windows(21) {
            assert!(window[20].duration_since(window[0]) > Duration::from_secs(1));
        }
    }

    #[test]
    fn deployments_keep_their_distance() {
        let now = Instant::now();
        let mut bucket = Bucket::api_gateway(now);
        let first = bucket.take(now, true);
        assert_eq!(
            bucket.take(now, true).duration_since(first),
            Duration::from_secs(5)
        );
    }
}

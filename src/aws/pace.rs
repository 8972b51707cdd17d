//! Keeps below API Gateway's control quota, which all callers of an account share: 10 calls a second, and one
//! `CreateDeployment` in 5 seconds. Source: API Gateway quotas.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token bucket for all calls, and a last-sent mark for deployments.
#[derive(Debug)]
pub struct Pacer {
    per_second: f64,
    burst: f64,
    deployment_gap: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Instant,
    deployed: Option<Instant>,
}

impl Pacer {
    /// A little below the quota: 9.5 calls a second. The account's burst is 40; we take a quarter of it.
    pub fn api_gateway() -> Self {
        Self {
            per_second: 9.5,
            burst: 10.0,
            deployment_gap: Duration::from_secs(5),
            state: Mutex::new(State {
                tokens: 10.0,
                at: Instant::now(),
                deployed: None,
            }),
        }
    }

    /// Returns when the call may be sent.
    pub async fn admit(&self, operation: &str) {
        let mut state = self.state.lock().await;
        if operation.ends_with(":CreateDeployment") {
            if let Some(last) = state.deployed {
                tokio::time::sleep_until(last + self.deployment_gap).await;
            }
            state.deployed = Some(Instant::now());
        }
        let now = Instant::now();
        let gained = now.duration_since(state.at).as_secs_f64() * self.per_second;
        state.tokens = (state.tokens + gained).min(self.burst);
        state.at = now;
        if state.tokens < 1.0 {
            // The lock is kept while sleeping: callers are let through one by one, in the order they came.
            tokio::time::sleep(Duration::from_secs_f64(
                (1.0 - state.tokens) / self.per_second,
            ))
            .await;
            state.tokens = 1.0;
            state.at = Instant::now();
        }
        state.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_hundred_calls_take_what_the_quota_allows() {
        let pacer = Pacer::api_gateway();
        let began = Instant::now();
        for _ in 0..300 {
            pacer.admit("apigateway:UpdateMethod").await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((30.0..=31.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn deployments_keep_their_distance() {
        let pacer = Pacer::api_gateway();
        let began = Instant::now();
        pacer.admit("apigateway:CreateDeployment").await;
        pacer.admit("apigateway:CreateDeployment").await;
        assert!(began.elapsed() >= Duration::from_secs(5));
    }
}

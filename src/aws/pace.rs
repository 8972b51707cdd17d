//! Keeps below API Gateway's control quota, which all callers of an account share: 10 calls a second, and one
//! `CreateDeployment` in 5 seconds. Source: API Gateway quotas.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Lets callers through one by one, in the order they came.
#[derive(Debug)]
pub struct Pacer(Mutex<Window>);

/// The moments of the last calls, and of the last deployment.
#[derive(Debug, Default)]
struct Window {
    sent: VecDeque<Instant>,
    deployed: Option<Instant>,
}

/// As many calls as the quota allows for a second ...
const CALLS: usize = 10;
/// ... in any time as long as this: a little more, for on their way to AWS calls may catch up with one another.
const SPAN: Duration = Duration::from_millis(1050);
const DEPLOYMENT_GAP: Duration = Duration::from_secs(5);

impl Pacer {
    /// A little below the quota: 9.5 calls a second over time, and in no second more than 10.
    pub fn api_gateway() -> Self {
        Self(Mutex::default())
    }

    /// Returns when the call may be sent.
    pub async fn admit(&self, operation: &str) {
        // The lock is kept while sleeping, or later callers would overtake.
        let mut window = self.0.lock().await;
        let at = window.take(Instant::now(), operation.ends_with(":CreateDeployment"));
        tokio::time::sleep_until(at).await;
    }
}

impl Window {
    /// The moment at which a call that comes `now` may be sent.
    fn take(&mut self, now: Instant, deployment: bool) -> Instant {
        let mut at = self.sent.back().map_or(now, |last| now.max(*last));
        if self.sent.len() == CALLS
            && let Some(first) = self.sent.pop_front()
        {
            at = at.max(first + SPAN);
        }
        if deployment {
            let free = self.deployed.map(|last| last + DEPLOYMENT_GAP);
            at = free.map_or(at, |free| at.max(free));
            self.deployed = Some(at);
        }
        self.sent.push_back(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_hundred_calls_take_what_the_quota_allows() {
        let now = Instant::now();
        let mut window = Window::default();
        let last = (0..300)
            .map(|_| window.take(now, false))
            .last()
            .expect("three hundred");
        let took = last.duration_since(now).as_secs_f64();
        assert!((30.0..=31.0).contains(&took), "{took}");
    }

    #[test]
    fn in_no_second_are_there_more_than_the_quota() {
        let now = Instant::now();
        let mut window = Window::default();
        let times: Vec<_> = (0..100).map(|_| window.take(now, false)).collect();
        for eleven in times.windows(11) {
            assert!(eleven[10].duration_since(eleven[0]) > Duration::from_secs(1));
        }
        // What a converged run reads is not held up.
        assert_eq!(times[9], now);
    }

    #[test]
    fn deployments_keep_their_distance() {
        let now = Instant::now();
        let mut window = Window::default();
        let first = window.take(now, true);
        assert_eq!(
            window.take(now, true).duration_since(first),
            Duration::from_secs(5)
        );
    }
}

//! The results of the requests: counts, latencies and reasons for refusals.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// The results of a period of time.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// In microseconds, in the order of the responses.
    latencies: Vec<u32>,
    /// Allowed requests.
    pub allowed: u64,
    /// Refused requests, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The usage of the allowed requests according to the authorizer's responses, over all metrics.
    pub usage: u64,
}

/// Percentiles, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of the responses were at most this slow.
    pub p50: u32,
    /// 9 of 10.
    pub p90: u32,
    /// 99 of 100.
    pub p99: u32,
    /// 999 of 1000.
    pub p999: u32,
    /// The slowest.
    pub max: u32,
}

impl Figures {
    /// Adds one response of the function: a policy, a simple response of an HTTP API's authorizer, or an error.
    pub fn add(&mut self, took: Duration, is_result: bool, answer: &[u8]) {
        self.latencies
            .push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let context = &answer["context"];
        let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
        let is_allowed = effect == "Allow" || answer["isAuthorized"] == true;
        if is_result && is_allowed {
            self.allowed += 1;
            self.usage += usage(context["metric"].as_str().unwrap_or_default());
            return;
        }
        let reason = match (is_result, answer["errorMessage"].as_str()) {
            (true, _) => context["reason"].as_str().unwrap_or("no policy"),
            (false, Some("Unauthorized")) => "credential_missing",
            // A decision that could not be made: its reason is one word.
            (false, Some(reason)) if is_word(reason) => reason,
            (false, _) => "function error",
        };
        *self.refused.entry(reason.to_owned()).or_default() += 1;
    }

    /// Adds the results of another period.
    pub fn merge(&mut self, other: &Self) {
        self.latencies.extend(&other.latencies);
        self.allowed += other.allowed;
        self.usage += other.usage;
        for (reason, count) in &other.refused {
            *self.refused.entry(reason.clone()).or_default() += count;
        }
    }

    /// The number of responses of all kinds.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Percentiles; all 0 without responses.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        // The nearest rank: the smallest value that at least `per_mille` of 1000 values do not exceed.
        let at = |per_mille: usize| {
            let rank = (sorted.len() * per_mille).div_ceil(1000);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Latency {
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: at(1000),
        }
    }
}

/// Whether a text is one of the authorizer's reasons, and not the description of an error.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The sum of all amounts: 3 for `hits=1,orders=2`.
fn usage(metric: &str) -> u64 {
    let amounts = metric.split(',').filter_map(|part| part.rsplit_once('='));
    amounts
        .filter_map(|(_, amount)| amount.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let policy = |effect: &str, context: Value| {
            let policy = serde_json::json!({
                "policyDocument": {"Statement": [{"Effect": effect}]}, "context": context,
            });
            policy.to_string().into_bytes()
        };
        let mut figures = Figures::default();
        let passed = policy("Allow", serde_json::json!({"metric": "hits=1,orders=2"}));
        let refused = policy("Deny", serde_json::json!({"reason": "limits_exceeded"}));
        for (is_result, answer) in [
            (true, passed.as_slice()),
            (true, &refused),
            (
                true,
                br#"{"isAuthorized": true, "context": {"metric": "hits=2"}}"#,
            ),
            (
                true,
                br#"{"isAuthorized": false, "context": {"reason": "user_key_invalid"}}"#,
            ),
            (false, br#"{"errorMessage": "Unauthorized"}"#),
            (false, br#"{"errorMessage": "backend_unavailable"}"#),
            (false, b"{}"),
            (true, b"not JSON"),
        ] {
            figures.add(Duration::from_micros(5), is_result, answer);
        }
        assert_eq!(
            (figures.decisions(), figures.allowed, figures.usage),
            (8, 2, 5)
        );
        let reasons: Vec<&str> = figures.refused.keys().map(String::as_str).collect();
        let wanted = [
            "backend_unavailable",
            "credential_missing",
            "function error",
            "limits_exceeded",
            "no policy",
            "user_key_invalid",
        ];
        assert_eq!(reasons, wanted);
    }

    #[test]
    fn percentiles() {
        let mut figures = Figures::default();
        assert_eq!(figures.latency(), Latency::default());
        for n in (1..=1000).rev() {
            figures.add(Duration::from_micros(n), true, b"");
        }
        let wanted = Latency {
            p50: 500,
            p90: 900,
            p99: 990,
            p999: 999,
            max: 1000,
        };
        assert_eq!(figures.latency(), wanted);
    }
}

//! Log lines and metrics on standard output, which Lambda sends to CloudWatch.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::settings::Mode;

/// The system's time in Unix milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// Writes one line. If that fails, the line is lost.
pub fn line(value: &Value) {
    let mut text = value.to_string();
    text.push('\n');
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a line about an error or another notable event, with its details.
pub fn note(level: &str, event: &str, details: Value) {
    let mut object = Map::new();
    object.insert("level".to_owned(), level.into());
    object.insert("event".to_owned(), event.into());
    if let Value::Object(details) = details {
        object.extend(details);
    }
    line(&Value::Object(object));
}

/// A metric's unit, as CloudWatch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    Milliseconds,
    Seconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
        }
    }
}

/// Metrics in CloudWatch's embedded metric format. They are summed and written at most every ten seconds, because one
/// line for each request would cost more than the request.
#[derive(Debug)]
pub struct Metrics {
    stack: String,
    function: String,
    mode: Mode,
    sums: BTreeMap<&'static str, f64>,
    /// The number of decisions by reason.
    reasons: BTreeMap<String, u64>,
    samples: BTreeMap<&'static str, (Unit, Vec<f64>)>,
    written: Option<Instant>,
}

/// The embedded metric format accepts at most 100 values for a metric.
const MAX_SAMPLES: usize = 100;
/// There are fewer reasons than this. The limit is for those that come from outside.
const MAX_REASONS: usize = 40;
const EVERY: Duration = Duration::from_secs(10);
const NAMESPACE: &str = "ThreescaleGateway";

impl Metrics {
    /// Creates the metrics of one function of a stack.
    #[must_use]
    pub fn new(stack: &str, function: &str, mode: Mode) -> Self {
        Self {
            stack: stack.to_owned(),
            function: function.to_owned(),
            mode,
            sums: BTreeMap::new(),
            reasons: BTreeMap::new(),
            samples: BTreeMap::new(),
            written: None,
        }
    }

    /// Adds to a sum.
    pub fn add(&mut self, name: &'static str, amount: f64) {
        *self.sums.entry(name).or_default() += amount;
    }

    /// Counts a decision.
    pub fn reason(&mut self, reason: &str) {
        if let Some(count) = self.reasons.get_mut(reason) {
            *count += 1;
        } else if self.reasons.len() < MAX_REASONS {
            self.reasons.insert(reason.to_owned(), 1);
        }
    }

    /// Records a measurement.
    pub fn sample(&mut self, name: &'static str, unit: Unit, value: f64) {
        let (_, values) = self.samples.entry(name).or_insert((unit, Vec::new()));
        if values.len() < MAX_SAMPLES {
            values.push(value);
        }
    }

    /// Records a duration in milliseconds.
    pub fn took(&mut self, name: &'static str, duration: Duration) {
        self.sample(name, Unit::Milliseconds, duration.as_secs_f64() * 1000.0);
    }

    /// Writes the collected metrics if it is time, or if `force` is set.
    pub fn flush(&mut self, now: Instant, force: bool) {
        let due = self.written.is_none_or(|written| now - written >= EVERY);
        if !(due || force) {
            return;
        }
        self.written = Some(now);
        for value in self.take(now_ms()) {
            line(&value);
        }
    }

    fn take(&mut self, now_ms: i64) -> Vec<Value> {
        let mut lines = Vec::new();
        let mut names = Vec::new();
        let mut values = Map::new();
        for (name, sum) in std::mem::take(&mut self.sums) {
            names.push(json!({ "Name": name, "Unit": Unit::Count.name() }));
            values.insert(name.to_owned(), json!(sum));
        }
        for (name, (unit, samples)) in std::mem::take(&mut self.samples) {
            names.push(json!({ "Name": name, "Unit": unit.name() }));
            values.insert(name.to_owned(), json!(samples));
        }
        if !names.is_empty() {
            lines.push(self.embed(now_ms, &json!(["Stack", "Function"]), names, values));
        }
        for (reason, count) in std::mem::take(&mut self.reasons) {
            let names = vec![json!({ "Name": "Decisions", "Unit": Unit::Count.name() })];
            let mut values = Map::new();
            values.insert("Decisions".to_owned(), json!(count));
            values.insert("Reason".to_owned(), json!(reason));
            lines.push(self.embed(now_ms, &json!(["Stack", "Reason"]), names, values));
        }
        lines
    }

    fn embed(
        &self,
        now_ms: i64,
        dimensions: &Value,
        names: Vec<Value>,
        mut values: Map<String, Value>,
    ) -> Value {
        values.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now_ms,
                "CloudWatchMetrics": [
                    { "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": names },
                ],
            }),
        );
        if self.mode.observes() {
            values.insert("Mode".to_owned(), json!(self.mode.word()));
        }
        values.insert("Stack".to_owned(), json!(self.stack));
        values.insert("Function".to_owned(), json!(self.function));
        Value::Object(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_in_the_embedded_format() {
        let mut metrics = Metrics::new("s", "f", Mode::Enforce);
        metrics.add("CacheHits", 1.0);
        metrics.add("CacheHits", 1.0);
        metrics.took("RedisLatency", Duration::from_millis(2));
        metrics.reason("authorized");
        let lines = metrics.take(7);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            json!({
                "_aws": {"Timestamp": 7, "CloudWatchMetrics": [{
                    "Namespace": "ThreescaleGateway", "Dimensions": [["Stack", "Function"]],
                    "Metrics": [{"Name": "CacheHits", "Unit": "Count"},
                        {"Name": "RedisLatency", "Unit": "Milliseconds"}]}]},
                "Stack": "s", "Function": "f", "CacheHits": 2.0, "RedisLatency": [2.0]
            })
        );
        assert_eq!(lines[1]["Reason"], "authorized");
        assert_eq!(lines[1]["Decisions"], 1);
        assert!(metrics.take(8).is_empty());
        let mut observing = Metrics::new("s", "f", Mode::Observe { reports: true });
        observing.reason("user_key_invalid");
        assert_eq!(observing.take(9)[0]["Mode"], "observe");
    }

    #[test]
    fn what_comes_from_outside_is_bounded() {
        let mut metrics = Metrics::new("s", "f", Mode::Enforce);
        for number in 0..1000 {
            metrics.reason(&number.to_string());
            metrics.took("x", Duration::ZERO);
        }
        assert_eq!(metrics.reasons.len(), MAX_REASONS);
        assert_eq!(metrics.samples["x"].1.len(), MAX_SAMPLES);
    }
}

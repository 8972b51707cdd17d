//! Log lines and metrics on standard output, which Lambda sends to CloudWatch.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::settings::{Mode, Series};
use crate::trace;

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

/// Writes a line about an error or another notable event, with its details, and the trace of the request that it is about.
pub fn note(level: &str, event: &str, details: Value) {
    let mut object = Map::new();
    object.insert("level".to_owned(), level.into());
    object.insert("event".to_owned(), event.into());
    if let Value::Object(details) = details {
        object.extend(details);
    }
    traced(Value::Object(object));
}

/// Writes a line with the trace of the present request.
pub(crate) fn traced(mut value: Value) {
    if let Value::Object(object) = &mut value {
        trace::add_to(object);
    }
    line(&value);
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

/// The metrics that are always series, by stack. A sum of zero is not written: CloudWatch bills a series for each hour in
/// which it gets a value.
const FEW: [&str; 6] = [
    "Degraded",
    "LostUsage",
    "Refused",
    "ReportLag",
    "Unauthorized",
    "UsageDelivered",
];

/// Metrics in CloudWatch's embedded metric format. They are summed and written at most every ten seconds, because one
/// line for each request would cost more than the request.
#[derive(Debug)]
pub struct Metrics {
    stack: String,
    function: String,
    mode: Mode,
    series: Series,
    sums: BTreeMap<&'static str, f64>,
    /// The number of decisions by reason.
    reasons: BTreeMap<String, u64>,
    samples: BTreeMap<&'static str, (Unit, Vec<f64>)>,
    written: Option<Instant>,
    is_urgent: bool,
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
    pub fn new(stack: &str, function: &str, mode: Mode, series: Series) -> Self {
        Self {
            stack: stack.to_owned(),
            function: function.to_owned(),
            mode,
            series,
            sums: BTreeMap::new(),
            reasons: BTreeMap::new(),
            samples: BTreeMap::new(),
            written: None,
            is_urgent: false,
        }
    }

    /// Adds to a sum.
    pub fn add(&mut self, name: &'static str, amount: f64) {
        *self.sums.entry(name).or_default() += amount;
    }

    /// Makes the next flush write what there is.
    pub(crate) fn hurry(&mut self) {
        self.is_urgent = true;
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
            // To the microsecond, which is shorter in the log.
            values.push((value * 1000.0).round() / 1000.0);
        }
    }

    /// Records a duration in milliseconds.
    pub fn took(&mut self, name: &'static str, duration: Duration) {
        self.sample(name, Unit::Milliseconds, duration.as_secs_f64() * 1000.0);
    }

    /// Writes the collected metrics if it is time, or if `force` is set.
    pub fn flush(&mut self, now: Instant, force: bool) {
        let due = self.written.is_none_or(|written| now - written >= EVERY);
        if !(due || force || self.is_urgent) {
            return;
        }
        self.written = Some(now);
        for value in self.take(now_ms()) {
            line(&value);
        }
    }

    fn take(&mut self, now_ms: i64) -> Vec<Value> {
        self.is_urgent = false;
        let mut few = Vec::new();
        let mut all = Vec::new();
        let mut members = Map::new();
        for (name, sum) in std::mem::take(&mut self.sums) {
            let series = json!({ "Name": name, "Unit": Unit::Count.name() });
            if sum > 0.0 && FEW.contains(&name) {
                few.push(series.clone());
            }
            all.push(series);
            members.insert(name.to_owned(), json!(sum));
        }
        for (name, (unit, samples)) in std::mem::take(&mut self.samples) {
            let series = json!({ "Name": name, "Unit": unit.name() });
            let is_few = FEW.contains(&name);
            if is_few {
                few.push(series.clone());
            }
            all.push(series);
            let value = match self.series {
                Series::Few if !is_few => summary(&samples),
                _ => json!(samples),
            };
            members.insert(name.to_owned(), value);
        }
        let reasons = std::mem::take(&mut self.reasons);
        if all.is_empty() && reasons.is_empty() {
            return Vec::new();
        }
        let by_stack = directive(&["Stack"], few);
        match self.series {
            Series::Few => {
                if !reasons.is_empty() {
                    members.insert("Reasons".to_owned(), json!(reasons));
                }
                vec![self.embed(now_ms, by_stack, members)]
            }
            Series::All => {
                let directives = by_stack
                    .into_iter()
                    .chain(directive(&["Stack", "Function"], all));
                let mut lines = Vec::new();
                if !members.is_empty() {
                    lines.push(self.embed(now_ms, directives, members));
                }
                for (reason, count) in reasons {
                    let series = json!({ "Name": "Decisions", "Unit": Unit::Count.name() });
                    let members = [("Decisions", json!(count)), ("Reason", json!(reason))];
                    let members = members.map(|(name, value)| (name.to_owned(), value));
                    lines.push(self.embed(
                        now_ms,
                        directive(&["Stack", "Reason"], vec![series]),
                        members.into_iter().collect(),
                    ));
                }
                lines
            }
        }
    }

    fn embed(
        &self,
        now_ms: i64,
        directives: impl IntoIterator<Item = Value>,
        mut members: Map<String, Value>,
    ) -> Value {
        let directives: Vec<_> = directives.into_iter().collect();
        members.insert(
            "_aws".to_owned(),
            json!({ "Timestamp": now_ms, "CloudWatchMetrics": directives }),
        );
        if self.mode.observes() {
            members.insert("Mode".to_owned(), json!(self.mode.word()));
        }
        members.insert("Stack".to_owned(), json!(self.stack));
        members.insert("Function".to_owned(), json!(self.function));
        Value::Object(members)
    }
}

/// What makes series of the members of a line with these names; `None` without names.
fn directive(dimensions: &[&str], names: Vec<Value>) -> Option<Value> {
    (!names.is_empty())
        .then(|| json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": names }))
}

/// Measurements that are no series.
fn summary(samples: &[f64]) -> Value {
    let most = samples.iter().copied().fold(0.0, f64::max);
    let mean = samples.iter().sum::<f64>() / samples.len().max(1) as f64;
    json!({ "count": samples.len(), "mean": (mean * 1000.0).round() / 1000.0, "max": most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(series: Series) -> Metrics {
        let mut metrics = Metrics::new("s", "f", Mode::Enforce, series);
        metrics.add("CacheHits", 1.0);
        metrics.add("CacheHits", 1.0);
        metrics.add("Refused", 1.0);
        metrics.add("LostUsage", 0.0);
        metrics.took("RedisLatency", Duration::from_micros(2000));
        metrics.took("RedisLatency", Duration::from_micros(1000));
        metrics.reason("authorized");
        metrics
    }

    #[test]
    fn few_metrics_are_series_and_all_are_in_the_line() {
        let mut few = metrics(Series::Few);
        assert_eq!(
            few.take(7),
            [json!({
                "_aws": {"Timestamp": 7, "CloudWatchMetrics": [{
                    "Namespace": "ThreescaleGateway", "Dimensions": [["Stack"]],
                    "Metrics": [{"Name": "Refused", "Unit": "Count"}]}]},
                "Stack": "s", "Function": "f", "CacheHits": 2.0, "Refused": 1.0, "LostUsage": 0.0,
                "RedisLatency": {"count": 2, "mean": 1.5, "max": 2.0}, "Reasons": {"authorized": 1}
            })]
        );
        assert!(few.take(8).is_empty());
        few.reason("authorized");
        assert_eq!(few.take(9)[0]["_aws"]["CloudWatchMetrics"], json!([]));
    }

    #[test]
    fn all_metrics_can_be_series() {
        let lines = metrics(Series::All).take(7);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            json!({
                "_aws": {"Timestamp": 7, "CloudWatchMetrics": [
                    {"Namespace": "ThreescaleGateway", "Dimensions": [["Stack"]],
                    "Metrics": [{"Name": "Refused", "Unit": "Count"}]},
                    {"Namespace": "ThreescaleGateway", "Dimensions": [["Stack", "Function"]],
                    "Metrics": [{"Name": "CacheHits", "Unit": "Count"}, {"Name": "LostUsage", "Unit": "Count"},
                        {"Name": "Refused", "Unit": "Count"}, {"Name": "RedisLatency", "Unit": "Milliseconds"}]}]},
                "Stack": "s", "Function": "f", "CacheHits": 2.0, "Refused": 1.0, "LostUsage": 0.0,
                "RedisLatency": [2.0, 1.0]
            })
        );
        assert_eq!(lines[1]["Reason"], "authorized");
        assert_eq!(lines[1]["Decisions"], 1);
        let mut observing = Metrics::new("s", "f", Mode::Observe { reports: true }, Series::All);
        observing.reason("user_key_invalid");
        assert_eq!(observing.take(9)[0]["Mode"], "observe");
    }

    #[test]
    fn what_is_urgent_is_written_at_once() {
        let mut metrics = Metrics::new("s", "f", Mode::Enforce, Series::Few);
        let now = Instant::now();
        metrics.flush(now, true);
        metrics.add("Refused", 1.0);
        metrics.flush(now, false);
        assert!(!metrics.sums.is_empty());
        metrics.hurry();
        metrics.flush(now, false);
        assert!(metrics.sums.is_empty() && !metrics.is_urgent);
    }

    #[test]
    fn what_comes_from_outside_is_bounded() {
        let mut metrics = Metrics::new("s", "f", Mode::Enforce, Series::Few);
        for number in 0..1000 {
            metrics.reason(&number.to_string());
            metrics.took("x", Duration::ZERO);
        }
        assert_eq!(metrics.reasons.len(), MAX_REASONS);
        assert_eq!(metrics.samples["x"].1.len(), MAX_SAMPLES);
    }
}

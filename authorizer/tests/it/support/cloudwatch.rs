//! Metrics and alarms as CloudWatch has them: as far as the alarms of a stack need it.
//!
//! Source: CloudWatch User Guide, "Alarm evaluation", "Configuring how alarms treat missing data" and "Using metric math".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A namespace, a name, and the dimensions.
pub type Series = (String, String, BTreeMap<String, String>);

/// What metrics have been written, with their times in Unix seconds.
#[derive(Clone, Default)]
pub struct CloudWatch {
    values: BTreeMap<Series, Vec<(i64, f64)>>,
}

/// How many periods before those of the alarm are looked at if some have no data. CloudWatch does not say how many it takes; its
/// table of examples has two.
const FURTHER: i64 = 2;

impl CloudWatch {
    /// Writes a value of a metric of Lambda.
    pub fn put_lambda(&mut self, function: &str, metric: &str, at_s: i64, value: f64) {
        let dimensions = BTreeMap::from([("FunctionName".to_owned(), function.to_owned())]);
        let series = ("AWS/Lambda".to_owned(), metric.to_owned(), dimensions);
        self.values.entry(series).or_default().push((at_s, value));
    }

    /// Takes the metrics out of the log of a function, as if it had been written at this time.
    pub fn take_log(&mut self, at_s: i64, log: &str) {
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for line in lines {
            let Some(directives) = line["_aws"]["CloudWatchMetrics"].as_array() else {
                continue;
            };
            for directive in directives {
                let text = |value: &Value| value.as_str().expect("text").to_owned();
                for names in directive["Dimensions"].as_array().expect("dimensions") {
                    let names = names.as_array().expect("names").iter().map(text);
                    let dimensions: BTreeMap<_, _> = names
                        .map(|name| (name.clone(), text(&line[name])))
                        .collect();
                    for metric in directive["Metrics"].as_array().expect("metrics") {
                        let name = text(&metric["Name"]);
                        let values = match &line[&name] {
                            Value::Array(values) => values.clone(),
                            value => vec![value.clone()],
                        };
                        let series = (text(&directive["Namespace"]), name, dimensions.clone());
                        let of_series = self.values.entry(series).or_default();
                        let values = values.iter().map(|value| value.as_f64().expect("a number"));
                        of_series.extend(values.map(|value| (at_s, value)));
                    }
                }
            }
        }
    }

    /// All series, each of which CloudWatch bills on its own.
    pub fn series(&self) -> BTreeSet<Series> {
        self.values.keys().cloned().collect()
    }

    /// Whether an alarm is in the state ALARM at this time.
    pub fn fires(&self, alarm: &Value, now_s: i64) -> bool {
        let number = |name: &str| alarm[name].as_f64().expect("a number");
        let whole = |name: &str| alarm[name].as_i64().expect("a whole number");
        let queries = alarm["queries"].as_array().expect("queries");
        let period = queries
            .iter()
            .find_map(|query| query["metric"]["period"].as_i64())
            .expect("a period");
        let end = now_s.div_euclid(period) * period;
        let (periods, datapoints) = (whole("periods"), whole("datapoints"));
        let points: Vec<f64> = (1..=periods + FURTHER)
            .filter_map(|back| self.point(queries, end - back * period))
            .take(usize::try_from(periods).expect("few periods"))
            .collect();
        let missing = periods - i64::try_from(points.len()).expect("few points");
        let threshold = number("threshold");
        let passes = |value: &&f64| match alarm["comparison"].as_str() {
            Some("GreaterThanThreshold") => **value > threshold,
            Some("LessThanThreshold") => **value < threshold,
            other => panic!("{other:?}"),
        };
        let passing = i64::try_from(points.iter().filter(passes).count()).expect("few points");
        let of_missing = match alarm["missing"].as_str() {
            Some("breaching") => missing,
            Some("notBreaching") => 0,
            other => panic!("{other:?}"),
        };
        passing + of_missing >= datapoints
    }

    /// The value of the last query in the period that begins at this time.
    fn point(&self, queries: &[Value], start: i64) -> Option<f64> {
        let mut values = BTreeMap::new();
        let mut last = None;
        for query in queries {
            let metric = &query["metric"];
            last = match query["expression"].as_str() {
                Some(expression) => Expression::new(expression, &values).value(),
                None => self.statistic(metric, start),
            };
            values.insert(query["id"].as_str().expect("an id"), last);
        }
        last
    }

    fn statistic(&self, metric: &Value, start: i64) -> Option<f64> {
        let text = |name: &str| metric[name].as_str().expect("text").to_owned();
        let dimensions = serde_json::from_value(metric["dimensions"].clone()).expect("dimensions");
        let end = start + metric["period"].as_i64().expect("a period");
        let all = self
            .values
            .get(&(text("namespace"), text("metric"), dimensions))?;
        let mut values: Vec<f64> = all
            .iter()
            .filter(|(at, _)| (start..end).contains(at))
            .map(|(_, value)| *value)
            .collect();
        values.sort_by(f64::total_cmp);
        let greatest = *values.last()?;
        Some(match metric["statistic"].as_str().expect("a statistic") {
            "Sum" => values.iter().sum(),
            "Maximum" => greatest,
            "SampleCount" => values.len() as f64,
            percentile => {
                let of_100 = percentile.strip_prefix('p').expect("a percentile");
                let of_100: usize = of_100.parse().expect("a number");
                values[(values.len() * of_100).div_ceil(100).max(1) - 1]
            }
        })
    }
}

/// An expression of metric math about one period: numbers, ids, `+ - * /`, parentheses, and `FILL(id, number)`. A value is
/// missing if one that it needs is.
struct Expression<'a> {
    rest: &'a str,
    values: &'a BTreeMap<&'a str, Option<f64>>,
}

impl<'a> Expression<'a> {
    fn new(text: &'a str, values: &'a BTreeMap<&'a str, Option<f64>>) -> Self {
        Self { rest: text, values }
    }

    fn value(mut self) -> Option<f64> {
        let value = self.sum();
        assert_eq!(self.rest.trim(), "", "the whole expression is known");
        // CloudWatch has no value where the divisor is zero.
        value.filter(|value| value.is_finite())
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product();
        loop {
            if self.takes("+") {
                value = self.product().and_then(|other| Some(value? + other));
            } else if self.takes("-") {
                value = self.product().and_then(|other| Some(value? - other));
            } else {
                return value;
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor();
        loop {
            if self.takes("*") {
                value = self.factor().and_then(|other| Some(value? * other));
            } else if self.takes("/") {
                value = self.factor().and_then(|other| Some(value? / other));
            } else {
                return value;
            }
        }
    }

    fn factor(&mut self) -> Option<f64> {
        if self.takes("(") {
            let value = self.sum();
            assert!(self.takes(")"), "{}", self.rest);
            return value;
        }
        if self.takes("FILL(") {
            let value = self.sum();
            assert!(self.takes(","), "{}", self.rest);
            let other = self.sum();
            assert!(self.takes(")"), "{}", self.rest);
            return value.or(other);
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word.parse() {
            Ok(number) => Some(number),
            Err(_) => *self.values.get(word).expect("an id of an earlier query"),
        }
    }

    fn takes(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest).trim_start();
        rest.is_some()
    }
}

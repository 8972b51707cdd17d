//! The alarms of a stack.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{NAMESPACE, Subject};

/// A series of a metric, or an expression over those of other queries of the alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A metric with its dimensions, summed up for each period in seconds by a statistic.
    Metric {
        namespace: String,
        metric: String,
        dimensions: BTreeMap<String, String>,
        period: i32,
        statistic: String,
    },
    /// An expression of metric math.
    Expression(String),
}

/// A query of an alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Query {
    pub id: String,
    #[serde(flatten)]
    pub source: Source,
}

/// What an alarm is set to, apart from its name, its tags and its actions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// What it means, and what to do.
    pub description: String,
    /// The alarm watches the last one.
    pub queries: Vec<Query>,
    /// `GreaterThanThreshold` or `LessThanThreshold`.
    pub comparison: String,
    pub threshold: f64,
    /// How many of the last periods are evaluated.
    pub periods: i32,
    /// How many of them must pass the threshold.
    pub datapoints: i32,
    /// What a period without data is: `breaching`, `notBreaching`, `ignore` or `missing`.
    pub missing: String,
}

impl Settings {
    /// How many metrics it watches.
    pub fn metric_count(&self) -> usize {
        let queries = self.queries.iter();
        queries
            .filter(|query| matches!(query.source, Source::Metric { .. }))
            .count()
    }

    /// What is watched, in words: by query.
    pub fn metrics(&self) -> Vec<String> {
        let words = self.queries.iter().map(|query| match &query.source {
            Source::Expression(expression) => expression.clone(),
            Source::Metric {
                namespace,
                metric,
                dimensions,
                period,
                statistic,
            } => {
                let dimensions = dimensions.iter();
                let dimensions: Vec<_> = dimensions
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect();
                let dimensions = dimensions.join(", ");
                format!("{statistic} of {namespace} {metric} ({dimensions}) in {period} s")
            }
        });
        words.collect()
    }

    /// When the alarm fires, in words.
    pub fn condition(&self) -> String {
        let sign = match self.comparison.as_str() {
            GREATER => ">",
            LESS => "<",
            other => other,
        };
        let (datapoints, periods) = (self.datapoints, self.periods);
        format!(
            "{sign} {} in {datapoints} of {periods} periods",
            self.threshold
        )
    }
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// The name within the stack.
    pub name: &'static str,
    #[serde(flatten)]
    pub settings: Settings,
}

/// The names of all alarms that a stack can have.
pub const ALARMS: [&str; 7] = [
    "authorizer-errors",
    "authorizer-throttles",
    "authorizer-duration",
    "decisions-degraded",
    "usage-lost",
    "report-lag",
    "reporter-silent",
];

const GREATER: &str = "GreaterThanThreshold";
const LESS: &str = "LessThanThreshold";
const BREACHING: &str = "breaching";
const NOT_BREACHING: &str = "notBreaching";
const MINUTE: i32 = 60;
const FIVE_MINUTES: i32 = 300;
const HOUR: i32 = 3600;

/// The alarms of a stack, in the order of its dashboard. What only the reporter measures has none without it.
pub fn alarms(subject: &Subject) -> Vec<Alarm> {
    let mut alarms = vec![
        errors(subject),
        throttles(subject),
        duration(subject),
        degraded(subject),
        lost(subject),
    ];
    if let Some(every) = subject.report_every {
        let minutes = i32::try_from(every.as_secs() / 60).unwrap_or(i32::MAX);
        alarms.push(lag(subject, minutes));
        alarms.push(silent(subject, minutes));
    }
    alarms
}

/// A metric of the authorizer that Lambda writes.
fn lambda(subject: &Subject, id: &str, metric: &str, statistic: &str) -> Query {
    let function = subject.names.function("authorizer");
    query(
        id,
        ("AWS/Lambda", metric),
        ("FunctionName", function),
        statistic,
        MINUTE,
    )
}

/// A metric of the functions themselves.
fn own(subject: &Subject, id: &str, metric: &str, statistic: &str, period: i32) -> Query {
    let stack = subject.names.stack.clone();
    query(id, (NAMESPACE, metric), ("Stack", stack), statistic, period)
}

fn query(
    id: &str,
    (namespace, metric): (&str, &str),
    (dimension, value): (&str, String),
    statistic: &str,
    period: i32,
) -> Query {
    Query {
        id: id.to_owned(),
        source: Source::Metric {
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
            dimensions: BTreeMap::from([(dimension.to_owned(), value)]),
            period,
            statistic: statistic.to_owned(),
        },
    }
}

/// An alarm that fires if the query is greater in 3 of 5 minutes, so that neither one slow minute nor the boundary between
/// two of them fires it.
fn in_three_of_five(
    name: &'static str,
    queries: Vec<Query>,
    threshold: f64,
    description: String,
) -> Alarm {
    Alarm {
        name,
        settings: Settings {
            description,
            queries,
            comparison: GREATER.to_owned(),
            threshold,
            periods: 5,
            datapoints: 3,
            missing: NOT_BREACHING.to_owned(),
        },
    }
}

/// Lambda counts an answer 401 as an error: that is how an authorizer refuses a request without a credential. It is
/// subtracted, and what is left is compared with the invocations, because the two are not written at the same moment.
fn errors(subject: &Subject) -> Alarm {
    let expression = Query {
        id: "failed".to_owned(),
        source: Source::Expression(
            "100 * (errors - FILL(unauthorized, 0)) / invocations".to_owned(),
        ),
    };
    in_three_of_five(
        "authorizer-errors",
        vec![
            lambda(subject, "errors", "Errors", "Sum"),
            own(subject, "unauthorized", "Unauthorized", "Sum", MINUTE),
            lambda(subject, "invocations", "Invocations", "Sum"),
            expression,
        ],
        1.0,
        format!(
            "More than 1 % of the requests fail with 5xx because the authorizer cannot decide. The log names the cause: {}",
            logs(subject, "authorizer")
        ),
    )
}

fn throttles(subject: &Subject) -> Alarm {
    in_three_of_five(
        "authorizer-throttles",
        vec![lambda(subject, "throttles", "Throttles", "Sum")],
        0.0,
        format!(
            "Lambda does not run the authorizer for all requests, and API Gateway answers them with 500. Request a higher \
             quota for concurrent executions: aws service-quotas request-service-quota-increase --service-code lambda \
             --quota-code L-B99A9384 --desired-value <number> --region {}",
            subject.names.region
        ),
    )
}

fn duration(subject: &Subject) -> Alarm {
    let timeout_ms = subject.timeout.as_secs_f64() * 1000.0;
    in_three_of_five(
        "authorizer-duration",
        vec![lambda(subject, "duration", "Duration", "p99")],
        (timeout_ms * 0.9).round(),
        format!(
            "One of 100 decisions takes almost the {timeout_ms} ms that a request waits for 3scale (threescale.timeout): 3scale or \
             Redis is slow. The self-test measures both: {}",
            command(subject, "status")
        ),
    )
}

fn degraded(subject: &Subject) -> Alarm {
    in_three_of_five(
        "decisions-degraded",
        vec![own(subject, "degraded", "Degraded", "Sum", MINUTE)],
        0.0,
        format!(
            "Decisions are made without Redis, or without an answer of 3scale: authorizer.caching decides what callers get. The \
             self-test says what does not answer: {}",
            command(subject, "status")
        ),
    )
}

fn lost(subject: &Subject) -> Alarm {
    Alarm {
        name: "usage-lost",
        settings: Settings {
            description: format!(
                "Usage is not counted in 3scale, and will not be. The lines usage-lost, usage-undeliverable and usage-put-aside \
                 have the sums: {}",
                logs(subject, "--filter '\"usage-\"'")
            ),
            queries: vec![own(subject, "lost", "LostUsage", "Sum", FIVE_MINUTES)],
            comparison: GREATER.to_owned(),
            threshold: 0.0,
            periods: 1,
            datapoints: 1,
            missing: NOT_BREACHING.to_owned(),
        },
    }
}

/// An hour, or twice the time between two runs.
fn lag(subject: &Subject, every_minutes: i32) -> Alarm {
    let every = every_minutes.saturating_mul(MINUTE);
    let threshold = HOUR.max(every.saturating_mul(2));
    Alarm {
        name: "report-lag",
        settings: Settings {
            description: format!(
                "Usage has waited for more than {} minutes to be reported to 3scale, which accepts it for 24 hours. The log says \
                 why reports fail: {}",
                threshold / MINUTE,
                logs(subject, "reporter")
            ),
            queries: vec![own(
                subject,
                "lag",
                "ReportLag",
                "Maximum",
                every.max(FIVE_MINUTES),
            )],
            comparison: GREATER.to_owned(),
            threshold: f64::from(threshold),
            periods: 1,
            datapoints: 1,
            missing: NOT_BREACHING.to_owned(),
        },
    }
}

/// Five minutes, or the time in which the reporter should have run twice.
fn silent(subject: &Subject, every_minutes: i32) -> Alarm {
    let periods = every_minutes.saturating_mul(2).max(5);
    Alarm {
        name: "reporter-silent",
        settings: Settings {
            description: format!(
                "The reporter has not read the usage for {periods} minutes, so nothing is reported to 3scale. The log and the schedule \
                 say why: {} and {}",
                logs(subject, "reporter"),
                command(subject, "status")
            ),
            queries: vec![own(subject, "runs", "ReportLag", "SampleCount", MINUTE)],
            comparison: LESS.to_owned(),
            threshold: 1.0,
            periods,
            datapoints: periods,
            missing: BREACHING.to_owned(),
        },
    }
}

fn command(subject: &Subject, words: &str) -> String {
    let names = &subject.names;
    format!(
        "threescale-gw {words} --stack {} --region {}",
        names.stack, names.region
    )
}

fn logs(subject: &Subject, what: &str) -> String {
    command(subject, &format!("logs {what} --since 1h"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::subject;
    use super::*;

    /// The longest description. Source: CloudWatch, `PutMetricAlarm`.
    const MAX_DESCRIPTION: usize = 1024;

    #[test]
    fn every_alarm_says_what_to_do() {
        for alarm in alarms(&subject(Some(1))) {
            let text = &alarm.settings.description;
            assert!(
                text.contains("threescale-gw ") || text.contains("aws "),
                "{text}"
            );
            assert!(text.len() <= MAX_DESCRIPTION && text.is_ascii(), "{text}");
        }
    }

    #[test]
    fn without_a_reporter_nothing_is_expected_of_it() {
        let names = |every| {
            let alarms = alarms(&subject(every));
            alarms.iter().map(|alarm| alarm.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Some(1)), ALARMS);
        assert_eq!(names(None), ALARMS[..5]);
    }

    #[test]
    fn a_reporter_that_runs_seldom_is_not_silent_between_two_runs() {
        let of = |minutes: u64, name: &str| {
            let alarm = alarms(&subject(Some(minutes)))
                .into_iter()
                .find(|alarm| alarm.name == name)
                .expect("an alarm");
            let Source::Metric { period, .. } = &alarm.settings.queries[0].source else {
                panic!("a metric");
            };
            (*period, alarm.settings.periods)
        };
        assert_eq!(of(1, "reporter-silent"), (60, 5));
        assert_eq!(of(60, "reporter-silent"), (60, 120));
        assert_eq!(of(1, "report-lag"), (300, 1));
        assert_eq!(of(60, "report-lag"), (3600, 1));
        // At most a day. Source: CloudWatch, `PutMetricAlarm`.
        let (period, periods) = of(240, "reporter-silent");
        assert!(period * periods <= 86_400);
    }
}

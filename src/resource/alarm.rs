//! The alarms of CloudWatch.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat,
    Statistic, Tag,
};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{
    Context, Diff, Field, Identity, List, Listing, Resource, ResourceError, ResourceKind, Shown,
    Unmanaged,
};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::monitoring::{ALARMS, Query, Settings, Source};
use crate::resource::parameter::{self, MONITORING};

const DESCRIPTION: Field = Field::Property("description");
const METRICS: Field = Field::Property("metrics");
const CONDITION: Field = Field::Property("condition");
const MISSING_DATA: Field = Field::Property("missing data");
const ACTIONS: Field = Field::Property("actions");

/// The actual alarm.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    alarm: String,
    pub(super) settings: Settings,
    actions: Actions,
    tags: BTreeMap<String, String>,
}

/// What an alarm does when its state changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Actions {
    is_enabled: bool,
    alarm: Vec<String>,
    ok: Vec<String>,
    insufficient_data: Vec<String>,
}

impl Actions {
    fn of(topic: &str) -> Self {
        Self {
            is_enabled: true,
            alarm: vec![topic.to_owned()],
            ok: vec![topic.to_owned()],
            insufficient_data: Vec::new(),
        }
    }
}

impl Shown for Actions {
    fn text(&self) -> String {
        let of = |state: &str, actions: &[String]| match actions {
            [] => None,
            actions => Some(format!("{state}: {}", actions.join(", "))),
        };
        let words: Vec<_> = [
            (!self.is_enabled).then(|| "disabled".to_owned()),
            of("ALARM", &self.alarm),
            of("OK", &self.ok),
            of("INSUFFICIENT_DATA", &self.insufficient_data),
        ]
        .into_iter()
        .flatten()
        .collect();
        words.join("; ")
    }

    fn value(&self) -> Value {
        json!({
            "enabled": self.is_enabled,
            "alarm": self.alarm,
            "ok": self.ok,
            "insufficient_data": self.insufficient_data,
        })
    }
}

/// Alarms of CloudWatch.
#[derive(Debug)]
pub struct Alarms;

impl ResourceKind for Alarms {
    type Actual = Actual;
    const KIND: Kind = Kind::Alarm;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        if !is_watched(cx).await? {
            return Ok(Listing::default());
        }
        let names: Vec<_> = ALARMS.iter().map(|name| cx.names().alarm(name)).collect();
        // Both types, because an alarm of either one can have the name.
        let request = cx
            .aws()
            .cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names))
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm);
        let answer = cx
            .aws()
            .call_idempotent("cloudwatch:DescribeAlarms", || request.clone().send())
            .await?;
        let composites = answer.composite_alarms.unwrap_or_default();
        let found = answer.metric_alarms.unwrap_or_default();
        let plain = found
            .iter()
            .map(|alarm| (alarm.alarm_name.clone(), Some(alarm)));
        let composite = composites
            .iter()
            .map(|alarm| (alarm.alarm_name.clone(), None));
        let mut listing = Listing::default();
        let tagged = plain.chain(composite).filter_map(|(name, alarm)| {
            let name = name?;
            let within = ALARMS
                .iter()
                .find(|within| cx.names().alarm(within) == name)?;
            Some((*within, name, alarm))
        });
        let tagged = tagged.map(|(within, name, alarm)| async move {
            let tags = tags_of(cx, &cx.names().alarm_arn(within)).await?;
            Ok::<_, ResourceError>((within, name, alarm, tags))
        });
        for (within, name, alarm, tags) in try_join_all(tagged).await? {
            match (tags::owner(&cx.names().stack, &tags), alarm) {
                (Some(id), Some(alarm)) => listing.owned.push(Actual {
                    id,
                    alarm: name,
                    settings: settings(alarm),
                    actions: Actions {
                        is_enabled: alarm.actions_enabled != Some(false),
                        alarm: alarm.alarm_actions().to_vec(),
                        ok: alarm.ok_actions().to_vec(),
                        insufficient_data: alarm.insufficient_data_actions().to_vec(),
                    },
                    tags,
                }),
                _ => listing
                    .unmanaged
                    .push(Unmanaged::named(Kind::Alarm, within, name, &tags)),
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.alarm.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .cloudwatch
            .delete_alarms()
            .alarm_names(&actual.alarm);
        let answer = optional(
            cx.aws()
                .call_idempotent("cloudwatch:DeleteAlarms", || request.clone().send())
                .await,
        );
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.class == Class::Fatal => Err(in_use(cx, actual, error).await),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the stack may have alarms or a dashboard. Of any other stack, CloudWatch is not read: its operator may have no right
/// to it.
pub(super) async fn is_watched(cx: &Context) -> Result<bool, ResourceError> {
    Ok(cx.options().wants_monitoring || parameter::all(cx).await?.contains_key(MONITORING))
}

/// What alarms and dashboard need: an alarm about what does not run yet would fire at once.
pub(super) fn needs() -> Vec<LogicalId> {
    vec![
        LogicalId::new(Kind::Parameter, MONITORING),
        LogicalId::new(Kind::FunctionAlias, "authorizer"),
    ]
}

pub(super) async fn tags_of(
    cx: &Context,
    arn: &str,
) -> Result<BTreeMap<String, String>, ResourceError> {
    let request = cx
        .aws()
        .cloudwatch
        .list_tags_for_resource()
        .resource_arn(arn);
    let answer = optional(
        cx.aws()
            .call_idempotent("cloudwatch:ListTagsForResource", || request.clone().send())
            .await,
    )?;
    let tags = answer.and_then(|answer| answer.tags).unwrap_or_default();
    Ok(tags::collect(
        tags.iter().map(|tag| (tag.key(), tag.value())),
    ))
}

/// Writes the tags that are missing.
pub(super) async fn tag(
    cx: &Context,
    arn: &str,
    missing: BTreeMap<String, String>,
) -> Result<(), ResourceError> {
    if missing.is_empty() {
        return Ok(());
    }
    let request = cx
        .aws()
        .cloudwatch
        .tag_resource()
        .resource_arn(arn)
        .set_tags(Some(to_tags(missing)));
    cx.aws()
        .call_idempotent("cloudwatch:TagResource", || request.clone().send())
        .await?;
    Ok(())
}

pub(super) fn to_tags(tags: BTreeMap<String, String>) -> Vec<Tag> {
    let tags = tags.into_iter();
    tags.map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// Names the composite alarms that depend on the alarm, if that is why CloudWatch does not delete it.
async fn in_use(cx: &Context, actual: &Actual, error: AwsError) -> ResourceError {
    let request = cx
        .aws()
        .cloudwatch
        .describe_alarms()
        .alarm_types(AlarmType::CompositeAlarm)
        .parents_of_alarm_name(&actual.alarm);
    let parents = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("cloudwatch:DescribeAlarms", || request.clone().send())
            .await?;
        Ok((page.composite_alarms, page.next_token))
    });
    let parents = parents.await.unwrap_or_default();
    let names: Vec<_> = parents
        .iter()
        .filter_map(|parent| parent.alarm_name())
        .collect();
    if names.is_empty() {
        return error.into();
    }
    ResourceError::Blocked {
        what: format!(
            "the composite alarm {} depends on alarm {}",
            names.join(", "),
            actual.alarm
        ),
        hint: Some(format!(
            "remove {} from the rule of the composite alarm, then run the same command again",
            actual.alarm
        )),
    }
}

/// The settings of an alarm, in the same form for an alarm of one metric and for one of an expression.
fn settings(alarm: &MetricAlarm) -> Settings {
    let queries = match alarm.metrics() {
        [] => vec![Query {
            id: String::new(),
            source: Source::Metric {
                namespace: alarm.namespace().unwrap_or_default().to_owned(),
                metric: alarm.metric_name().unwrap_or_default().to_owned(),
                dimensions: dimensions(alarm.dimensions()),
                period: alarm.period.unwrap_or_default(),
                statistic: alarm
                    .statistic()
                    .map(Statistic::as_str)
                    .or(alarm.extended_statistic())
                    .unwrap_or_default()
                    .to_owned(),
            },
        }],
        queries => queries.iter().map(query).collect(),
    };
    let periods = alarm.evaluation_periods.unwrap_or_default();
    Settings {
        description: alarm.alarm_description().unwrap_or_default().to_owned(),
        queries,
        comparison: alarm
            .comparison_operator()
            .map(ComparisonOperator::as_str)
            .unwrap_or_default()
            .to_owned(),
        threshold: alarm.threshold.unwrap_or_default(),
        periods,
        datapoints: alarm.datapoints_to_alarm.unwrap_or(periods),
        missing: alarm.treat_missing_data().unwrap_or("missing").to_owned(),
    }
}

fn query(query: &MetricDataQuery) -> Query {
    let metric = query.metric_stat().and_then(MetricStat::metric);
    let source = match (query.expression(), metric) {
        (None, Some(metric)) => Source::Metric {
            namespace: metric.namespace().unwrap_or_default().to_owned(),
            metric: metric.metric_name().unwrap_or_default().to_owned(),
            dimensions: dimensions(metric.dimensions()),
            period: query
                .metric_stat()
                .and_then(MetricStat::period)
                .unwrap_or_default(),
            statistic: query
                .metric_stat()
                .and_then(MetricStat::stat)
                .unwrap_or_default()
                .to_owned(),
        },
        (expression, _) => Source::Expression(expression.unwrap_or_default().to_owned()),
    };
    Query {
        id: query.id().unwrap_or_default().to_owned(),
        source,
    }
}

fn dimensions(dimensions: &[Dimension]) -> BTreeMap<String, String> {
    tags::collect(
        dimensions
            .iter()
            .map(|dimension| (dimension.name(), dimension.value())),
    )
}

fn to_dimensions(dimensions: &BTreeMap<String, String>) -> Vec<Dimension> {
    let dimensions = dimensions.iter();
    dimensions
        .map(|(name, value)| Dimension::builder().name(name).value(value).build())
        .collect()
}

/// The desired alarm.
#[derive(Debug)]
pub struct Alarm {
    pub name: &'static str,
    pub settings: Settings,
    /// The ARN of the SNS topic that it notifies.
    pub topic: String,
}

impl Alarm {
    async fn put(
        &self,
        cx: &Context,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<(), ResourceError> {
        let settings = &self.settings;
        let request = cx
            .aws()
            .cloudwatch
            .put_metric_alarm()
            .alarm_name(cx.names().alarm(self.name))
            .alarm_description(&settings.description)
            .actions_enabled(true)
            .alarm_actions(&self.topic)
            .ok_actions(&self.topic)
            .evaluation_periods(settings.periods)
            .datapoints_to_alarm(settings.datapoints)
            .threshold(settings.threshold)
            .comparison_operator(settings.comparison.as_str().into())
            .treat_missing_data(&settings.missing)
            .set_tags(tags.map(to_tags));
        let request = match &settings.queries[..] {
            [
                Query {
                    source:
                        Source::Metric {
                            namespace,
                            metric,
                            dimensions,
                            period,
                            statistic,
                        },
                    ..
                },
            ] => {
                let request = request
                    .namespace(namespace)
                    .metric_name(metric)
                    .set_dimensions(Some(to_dimensions(dimensions)))
                    .period(*period);
                match statistic.starts_with('p') {
                    true => request.extended_statistic(statistic),
                    false => request.statistic(statistic.as_str().into()),
                }
            }
            queries => {
                let last = queries.len().saturating_sub(1);
                let queries = queries.iter().enumerate();
                let queries = queries.map(|(n, query)| to_query(query, n == last));
                request.set_metrics(Some(queries.collect()))
            }
        };
        cx.aws()
            .call_idempotent("cloudwatch:PutMetricAlarm", || request.clone().send())
            .await?;
        Ok(())
    }
}

fn to_query(query: &Query, is_watched: bool) -> MetricDataQuery {
    let built = MetricDataQuery::builder()
        .id(&query.id)
        .return_data(is_watched);
    match &query.source {
        Source::Expression(expression) => built.expression(expression).build(),
        Source::Metric {
            namespace,
            metric,
            dimensions,
            period,
            statistic,
        } => {
            let metric = Metric::builder()
                .namespace(namespace)
                .metric_name(metric)
                .set_dimensions(Some(to_dimensions(dimensions)))
                .build();
            let stat = MetricStat::builder()
                .metric(metric)
                .period(*period)
                .stat(statistic)
                .build();
            built.metric_stat(stat).build()
        }
    }
}

impl Resource for Alarm {
    type Kind = Alarms;

    fn name(&self) -> &str {
        self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        needs()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let (is, wanted) = (&actual.settings, &self.settings);
        diff.field(DESCRIPTION, &is.description, &wanted.description);
        let metrics = |of: &Settings| List::new(of.metrics(), "; ");
        diff.field(METRICS, metrics(is), metrics(wanted));
        diff.field(CONDITION, is.condition(), wanted.condition());
        diff.field(MISSING_DATA, &is.missing, &wanted.missing);
        let actions = Actions::of(&self.topic);
        diff.field(ACTIONS, &actual.actions, actions);
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::Alarm, self.name));
        self.put(cx, Some(tags)).await
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        let settings = [DESCRIPTION, METRICS, CONDITION, MISSING_DATA, ACTIONS];
        if settings.iter().any(|field| diff.has(field)) {
            // CloudWatch ignores tags for an alarm that exists.
            self.put(cx, None).await?;
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        tag(cx, &cx.names().alarm_arn(self.name), missing).await
    }
}

//! The EventBridge rule that invokes the reporter.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_eventbridge::types::{RuleState, Tag, Target};

use super::{
    Context, Diff, Field, Identity, Listing, Resource, ResourceError, ResourceKind, Unmanaged,
};
use crate::aws::{AwsError, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const ENABLED: Field = Field::Property("enabled");
const EXPRESSION: Field = Field::Property("expression");
const RULE_TARGET: Field = Field::Property("target");

const TARGET: &str = "reporter";

/// The actual rule.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    rule: String,
    pub(super) expression: String,
    enabled: bool,
    /// ARN by target id.
    targets: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
}

/// Rules of EventBridge.
#[derive(Debug)]
pub struct Schedules;

impl ResourceKind for Schedules {
    type Actual = Actual;
    const KIND: Kind = Kind::Schedule;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let rule = cx.names().rule();
        let request = cx.aws().events.describe_rule().name(&rule);
        let answer = optional(
            cx.aws()
                .call_idempotent("events:DescribeRule", || request.clone().send())
                .await,
        )?;
        let mut listing = Listing::default();
        let Some(found) = answer else {
            return Ok(listing);
        };
        let request = cx
            .aws()
            .events
            .list_tags_for_resource()
            .resource_arn(cx.names().rule_arn());
        let answer = optional(
            cx.aws()
                .call_idempotent("events:ListTagsForResource", || request.clone().send())
                .await,
        )?;
        let tags = answer.and_then(|answer| answer.tags).unwrap_or_default();
        let tags = tags::collect(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value()))));
        let Some(id) = tags::owner(&cx.names().stack, &tags) else {
            listing
                .unmanaged
                .push(Unmanaged::named(Kind::Schedule, "reporter", rule, &tags));
            return Ok(listing);
        };
        let request = cx.aws().events.list_targets_by_rule().rule(&rule);
        let answer = optional(
            cx.aws()
                .call_idempotent("events:ListTargetsByRule", || request.clone().send())
                .await,
        )?;
        let targets = answer.and_then(|answer| answer.targets).unwrap_or_default();
        listing.owned.push(Actual {
            id,
            rule,
            expression: found.schedule_expression.unwrap_or_default(),
            enabled: found.state != Some(RuleState::Disabled),
            targets: targets
                .into_iter()
                .map(|target| (target.id, target.arn))
                .collect(),
            tags,
        });
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.rule.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        if !actual.targets.is_empty() {
            let ids: Vec<_> = actual.targets.keys().cloned().collect();
            let request = cx
                .aws()
                .events
                .remove_targets()
                .rule(&actual.rule)
                .set_ids(Some(ids));
            optional(
                cx.aws()
                    .call_idempotent("events:RemoveTargets", || request.clone().send())
                    .await,
            )?;
        }
        let request = cx.aws().events.delete_rule().name(&actual.rule);
        optional(
            cx.aws()
                .call_idempotent("events:DeleteRule", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired rule.
#[derive(Debug)]
pub struct Schedule {
    /// Whole minutes.
    pub every: Duration,
    /// The alias that the rule invokes.
    pub alias: LogicalId,
    /// The rule's calls fail until it may invoke the function.
    pub permission: LogicalId,
}

impl Schedule {
    fn expression(&self) -> String {
        match self.every.as_secs() / 60 {
            0 | 1 => "rate(1 minute)".to_owned(),
            minutes => format!("rate({minutes} minutes)"),
        }
    }

    async fn put(
        &self,
        cx: &Context,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .events
            .put_rule()
            .name(cx.names().rule())
            .description(format!(
                "threescale-gw stack {}: reports usage to 3scale",
                cx.names().stack
            ))
            .schedule_expression(self.expression())
            .state(RuleState::Enabled)
            .set_tags(tags.map(to_tags).transpose()?);
        cx.aws()
            .call_idempotent("events:PutRule", || request.clone().send())
            .await?;
        Ok(())
    }
}

impl Resource for Schedule {
    type Kind = Schedules;

    fn name(&self) -> &str {
        "reporter"
    }

    fn needs(&self) -> Vec<LogicalId> {
        vec![self.alias.clone(), self.permission.clone()]
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.field(EXPRESSION, &actual.expression, self.expression());
        diff.field(ENABLED, actual.enabled, true);
        let target = actual.targets.get(TARGET).map_or("(none)", String::as_str);
        diff.field(RULE_TARGET, target, cx.names().live_arn("reporter"));
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        self.put(
            cx,
            Some(cx.tags(&LogicalId::new(Kind::Schedule, self.name()))),
        )
        .await
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&EXPRESSION) || diff.has(&ENABLED) {
            // The service ignores tags for an existing rule.
            self.put(cx, None).await?;
        }
        if diff.has(&RULE_TARGET) {
            let target = Target::builder()
                .id(TARGET)
                .arn(cx.names().live_arn("reporter"))
                .build();
            let target = target?;
            let request = cx
                .aws()
                .events
                .put_targets()
                .rule(&actual.rule)
                .targets(target);
            let answer = cx
                .aws()
                .call_idempotent("events:PutTargets", || request.clone().send())
                .await?;
            if let Some(entry) = answer.failed_entries.unwrap_or_default().into_iter().next() {
                let (code, message) = (
                    entry.error_code.unwrap_or_default(),
                    entry.error_message.unwrap_or_default(),
                );
                return Err(AwsError {
                    code,
                    ..AwsError::incomplete("events:PutTargets", message)
                }
                .into());
            }
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        if !missing.is_empty() {
            let request = cx
                .aws()
                .events
                .tag_resource()
                .resource_arn(cx.names().rule_arn())
                .set_tags(Some(to_tags(missing)?));
            cx.aws()
                .call_idempotent("events:TagResource", || request.clone().send())
                .await?;
        }
        Ok(())
    }
}

fn to_tags(tags: BTreeMap<String, String>) -> Result<Vec<Tag>, ResourceError> {
    Ok(tags
        .into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()?)
}

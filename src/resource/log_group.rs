//! The log groups of the functions, created before Lambda would create them without tags and
//! retention.

use std::collections::BTreeMap;

use super::shown::Amount;
use super::{
    Context, Diff, Field, Identity, Listing, Resource, ResourceError, ResourceKind, Unmanaged,
};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::function::NAMES;

const RETENTION: Field = Field::Property("retention");

/// The actual log group.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    group: String,
    retention_days: Option<i32>,
    tags: BTreeMap<String, String>,
}

/// Log groups of CloudWatch Logs.
#[derive(Debug)]
pub struct LogGroups;

impl LogGroups {
    async fn tags(cx: &Context, name: &str) -> Result<BTreeMap<String, String>, ResourceError> {
        let request = cx
            .aws()
            .logs
            .list_tags_for_resource()
            .resource_arn(cx.names().log_group_arn(name));
        let answer = optional(
            cx.aws()
                .call_idempotent("logs:ListTagsForResource", || request.clone().send())
                .await,
        )?;
        Ok(answer
            .and_then(|answer| answer.tags)
            .unwrap_or_default()
            .into_iter()
            .collect())
    }
}

impl ResourceKind for LogGroups {
    type Actual = Actual;
    const KIND: Kind = Kind::LogGroup;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .logs
            .describe_log_groups()
            .log_group_name_prefix(cx.names().log_group(""));
        let groups = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("logs:DescribeLogGroups", || request.clone().send())
                .await?;
            Ok((page.log_groups, page.next_token))
        })
        .await?;
        let mut listing = Listing::default();
        for name in NAMES {
            let group = cx.names().log_group(name);
            let Some(found) = groups
                .iter()
                .find(|found| found.log_group_name.as_deref() == Some(&group))
            else {
                continue;
            };
            let tags = Self::tags(cx, name).await?;
            match tags::owner(&cx.names().stack, &tags) {
                Some(id) => {
                    listing.owned.push(Actual {
                        id,
                        group,
                        retention_days: found.retention_in_days,
                        tags,
                    });
                }
                None => {
                    listing
                        .unmanaged
                        .push(Unmanaged::named(Kind::LogGroup, name, group, &tags))
                }
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.group.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .logs
            .delete_log_group()
            .log_group_name(&actual.group);
        optional(
            cx.aws()
                .call_idempotent("logs:DeleteLogGroup", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired log group.
#[derive(Debug)]
pub struct LogGroup {
    /// The name of its function.
    pub name: &'static str,
    pub retention_days: i32,
}

impl Resource for LogGroup {
    type Kind = LogGroups;

    fn name(&self) -> &str {
        self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        Vec::new()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let wanted = Amount(self.retention_days, "days");
        match actual.retention_days {
            Some(days) => diff.field(RETENTION, Amount(days, "days"), wanted),
            None => diff.field(RETENTION, "for ever", wanted),
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::LogGroup, self.name));
        let request = cx
            .aws()
            .logs
            .create_log_group()
            .log_group_name(cx.names().log_group(self.name))
            .set_tags(Some(tags.into_iter().collect()));
        cx.aws()
            .call_non_idempotent("logs:CreateLogGroup", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&RETENTION) {
            let request = cx
                .aws()
                .logs
                .put_retention_policy()
                .log_group_name(&actual.group)
                .retention_in_days(self.retention_days);
            cx.aws()
                .call_idempotent("logs:PutRetentionPolicy", || request.clone().send())
                .await?;
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        if !missing.is_empty() {
            let request = cx
                .aws()
                .logs
                .tag_resource()
                .resource_arn(cx.names().log_group_arn(self.name))
                .set_tags(Some(missing.into_iter().collect()));
            cx.aws()
                .call_idempotent("logs:TagResource", || request.clone().send())
                .await?;
        }
        Ok(())
    }
}

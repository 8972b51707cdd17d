//! Tags of ElastiCache resources.

use std::collections::BTreeMap;

use aws_sdk_elasticache::types::Tag;

use super::account::if_readable;
use super::{Aws, AwsError, Class, tags};

impl Aws {
    /// Whether the Region has this node type. ElastiCache has no list of node types; it offers reservations of those that a Region
    /// has. `Err` inside if that cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn offers_node_type(
        &self,
        node_type: &str,
    ) -> Result<Result<bool, AwsError>, AwsError> {
        let request = self
            .elasticache
            .describe_reserved_cache_nodes_offerings()
            .cache_node_type(node_type);
        let asked = self
            .call_idempotent("elasticache:DescribeReservedCacheNodesOfferings", || {
                request.clone().send()
            })
            .await;
        if_readable(asked.map(|answer| !answer.reserved_cache_nodes_offerings().is_empty()))
    }
}

/// The tags as the SDK has them.
pub fn to_tags(tags: BTreeMap<String, String>) -> Vec<Tag> {
    tags.into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// The tags of the resource `arn`; `None` if they cannot be read in its current state.
///
/// # Errors
/// Any other error of the service.
pub async fn tags_of(aws: &Aws, arn: String) -> Result<Option<BTreeMap<String, String>>, AwsError> {
    let request = aws.elasticache.list_tags_for_resource().resource_name(arn);
    match aws
        .call_idempotent("elasticache:ListTagsForResource", || request.clone().send())
        .await
    {
        Ok(answer) => Ok(Some(tags::collect(
            answer.tag_list().iter().map(|tag| (tag.key(), tag.value())),
        ))),
        Err(error) if error.is_not_found() || matches!(error.class, Class::NotYet(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the tags `missing` to the resource `arn`.
///
/// # Errors
/// The error of the service.
pub async fn write_tags(
    aws: &Aws,
    arn: String,
    missing: BTreeMap<String, String>,
) -> Result<(), AwsError> {
    if missing.is_empty() {
        return Ok(());
    }
    let request = aws
        .elasticache
        .add_tags_to_resource()
        .resource_name(arn)
        .set_tags(Some(to_tags(missing)));
    aws.call_idempotent("elasticache:AddTagsToResource", || request.clone().send())
        .await?;
    Ok(())
}

/// Removes the tags whose keys begin with `prefix` from the resource `arn`. ElastiCache refuses the key of a tag that does not exist.
///
/// # Errors
/// The error of the service.
pub async fn untag(aws: &Aws, arn: String, prefix: &str) -> Result<(), AwsError> {
    let tags = tags_of(aws, arn.clone()).await?.unwrap_or_default();
    let keys = tags.into_keys().filter(|key| key.starts_with(prefix));
    let keys: Vec<_> = keys.collect();
    if keys.is_empty() {
        return Ok(());
    }
    let request = aws
        .elasticache
        .remove_tags_from_resource()
        .resource_name(arn)
        .set_tag_keys(Some(keys));
    aws.call_idempotent("elasticache:RemoveTagsFromResource", || {
        request.clone().send()
    })
    .await?;
    Ok(())
}

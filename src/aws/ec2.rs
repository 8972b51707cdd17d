//! Helpers shared by the EC2 kinds: tag filters, and tags on create.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use super::paginate::pages;
use super::{Aws, AwsError, tags};

/// A filter that matches resources with the tag of `stack`.
pub fn of_stack(stack: &str) -> Filter {
    filter(&format!("tag:{}", tags::STACK), [stack.to_owned()])
}

/// A filter that matches resources whose `name` is one of `values`.
pub fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder()
        .name(name)
        .set_values(Some(values.into_iter().collect()))
        .build()
}

/// The tag specification for the call that creates a resource of this type.
pub fn tagged(kind: ResourceType, tags: BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(to_tags(tags)))
        .build()
}

/// Converts the SDK's tags to a map.
pub fn from_tags(tags: Option<&Vec<Tag>>) -> BTreeMap<String, String> {
    tags::collect(
        tags.into_iter()
            .flatten()
            .map(|tag| (tag.key(), tag.value())),
    )
}

/// Writes the missing tags to `physical_id`.
///
/// # Errors
/// The error of the service.
pub async fn write_tags(
    aws: &Aws,
    physical_id: &str,
    desired: &BTreeMap<String, String>,
    actual: &BTreeMap<String, String>,
) -> Result<(), AwsError> {
    let missing = tags::missing(desired, actual);
    if missing.is_empty() {
        return Ok(());
    }
    tag(aws, vec![physical_id.to_owned()], missing).await
}

/// Writes the same tags to several resources in one call.
///
/// # Errors
/// The error of the service.
pub async fn tag(
    aws: &Aws,
    physical_ids: Vec<String>,
    tags: BTreeMap<String, String>,
) -> Result<(), AwsError> {
    let request = aws
        .ec2
        .create_tags()
        .set_resources(Some(physical_ids))
        .set_tags(Some(to_tags(tags)));
    aws.call_idempotent("ec2:CreateTags", || request.clone().send())
        .await?;
    Ok(())
}

/// How many values a filter may have. Source: EC2 API Reference, Filter.
const VALUES: usize = 200;

/// The keys of the tags of these resources that begin with `prefix`.
///
/// # Errors
/// The error of the service.
pub async fn tag_keys(
    aws: &Aws,
    physical_ids: &[String],
    prefix: &str,
) -> Result<BTreeSet<String>, AwsError> {
    let mut keys = BTreeSet::new();
    for ids in physical_ids.chunks(VALUES) {
        let request = aws
            .ec2
            .describe_tags()
            .filters(filter("resource-id", ids.iter().cloned()))
            .filters(filter("key", [format!("{prefix}*")]));
        let listed = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = aws
                .call_idempotent("ec2:DescribeTags", || request.clone().send())
                .await?;
            Ok((page.tags, page.next_token))
        })
        .await?;
        keys.extend(listed.into_iter().filter_map(|tag| tag.key));
    }
    Ok(keys)
}

/// Removes the tags with these keys from all these resources in one call. A resource without such a tag is no error.
///
/// # Errors
/// The error of the service.
pub async fn untag(
    aws: &Aws,
    physical_ids: Vec<String>,
    keys: BTreeSet<String>,
) -> Result<(), AwsError> {
    let keys = keys.into_iter().map(|key| Tag::builder().key(key).build());
    let request = aws
        .ec2
        .delete_tags()
        .set_resources(Some(physical_ids))
        .set_tags(Some(keys.collect()));
    aws.call_idempotent("ec2:DeleteTags", || request.clone().send())
        .await?;
    Ok(())
}

fn to_tags(tags: BTreeMap<String, String>) -> Vec<Tag> {
    tags.into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

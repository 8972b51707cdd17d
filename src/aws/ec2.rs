//! What the EC2 kinds share: the stack's filter, and tags in the creating call.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use super::{Aws, AwsError, tags};

/// Matches what carries the tag of `stack`.
pub fn of_stack(stack: &str) -> Filter {
    filter(&format!("tag:{}", tags::STACK), [stack.to_owned()])
}

/// Matches `name` being one of `values`.
pub fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder()
        .name(name)
        .set_values(Some(values.into_iter().collect()))
        .build()
}

/// Tags for the call that makes a resource of this type.
pub fn tagged(kind: ResourceType, tags: BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(to_tags(tags)))
        .build()
}

/// The SDK's tags as a map.
pub fn from_tags(tags: Option<&Vec<Tag>>) -> BTreeMap<String, String> {
    tags::collect(
        tags.into_iter()
            .flatten()
            .map(|tag| (tag.key(), tag.value())),
    )
}

/// Writes the tags that are missing on `physical_id`.
///
/// # Errors
/// What the service answers.
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
    let request = aws
        .ec2
        .create_tags()
        .resources(physical_id)
        .set_tags(Some(to_tags(missing)));
    aws.call_idempotent("ec2:CreateTags", || request.clone().send())
        .await?;
    Ok(())
}

fn to_tags(tags: BTreeMap<String, String>) -> Vec<Tag> {
    tags.into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

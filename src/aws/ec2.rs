//! What the EC2 kinds share: the stack's filter, tags in the creating call, pages.

use std::collections::BTreeMap;
use std::future::Future;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use super::{Aws, AwsError, tags};

/// Asks for one page after the other until there is none left.
///
/// # Errors
/// What `ask` fails with.
pub async fn pages<T, Fut>(ask: impl Fn(Option<String>) -> Fut) -> Result<Vec<T>, AwsError>
where
    Fut: Future<Output = Result<(Option<Vec<T>>, Option<String>), AwsError>>,
{
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let (page, next) = ask(token).await?;
        all.extend(page.unwrap_or_default());
        match next {
            Some(next) if !next.is_empty() => token = Some(next),
            _ => return Ok(all),
        }
    }
}

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

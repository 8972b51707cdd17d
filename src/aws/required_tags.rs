//! Reads the tag keys that the organization requires.

use super::account::if_readable;
use super::paginate::pages;
use super::{Aws, AwsError};

/// The tag keys that the tag policy of the account requires for a type of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequiredTags {
    /// The type as tag policies name it, for example `ec2:vpc`.
    pub resource_type: String,
    /// The same types as CloudFormation names them, for example `AWS::EC2::VPC`.
    pub cloudformation_types: Vec<String>,
    pub keys: Vec<String>,
}

impl Aws {
    /// The tag keys that the account's tag policy requires. `Err` inside if they cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn required_tags(&self) -> Result<Result<Vec<RequiredTags>, AwsError>, AwsError> {
        let listed = pages(|token| async {
            let request = self.tagging.list_required_tags().set_next_token(token);
            let page = self
                .call_idempotent("tag:ListRequiredTags", || request.clone().send())
                .await?;
            Ok((page.required_tags, page.next_token))
        });
        if_readable(listed.await.map(|tags| {
            let tags = tags.into_iter().map(|tag| RequiredTags {
                resource_type: tag.resource_type.unwrap_or_default(),
                cloudformation_types: tag.cloud_formation_resource_types.unwrap_or_default(),
                keys: tag.reporting_tag_keys.unwrap_or_default(),
            });
            tags.collect()
        }))
    }
}

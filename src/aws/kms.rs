//! Reads what the checks of the operator's own KMS key need.

use super::{Aws, AwsError, Idempotency, account::if_readable, optional};

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `Enabled`, `Disabled`, `PendingDeletion` and so on.
    pub state: String,
    /// `ENCRYPT_DECRYPT`, `SIGN_VERIFY` and so on.
    pub usage: String,
    /// `SYMMETRIC_DEFAULT`, `RSA_2048` and so on.
    pub spec: String,
    /// Whether AWS manages it, as it does `aws/ssm`.
    pub is_of_aws: bool,
}

impl Aws {
    /// A KMS key by its ARN: `None` if there is none. `Err` inside if that cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn kms_key(&self, arn: &str) -> Result<Result<Option<Key>, AwsError>, AwsError> {
        let request = self.kms.describe_key().key_id(arn);
        let answer = self
            .call("kms:DescribeKey", Idempotency::Unsafe, || {
                request.clone().send()
            })
            .await;
        if_readable(optional(answer).map(|answer| {
            let found = answer.and_then(|answer| answer.key_metadata)?;
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            Some(Key {
                state: text(found.key_state().map(|state| state.as_str())),
                usage: text(found.key_usage().map(|usage| usage.as_str())),
                spec: text(found.key_spec().map(|spec| spec.as_str())),
                is_of_aws: found
                    .key_manager()
                    .is_some_and(|manager| manager.as_str() == "AWS"),
            })
        }))
    }
}

//! Reads the VPC encryption controls: those of a VPC, and those of the account.

use aws_sdk_ec2::types::VpcEncryptionControlExclusionState as State;

use super::known::known;
use super::{Aws, AwsError};

/// A VPC that enforces encryption in transit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// Whether Lambda functions are excluded from it.
    pub excludes_lambda: bool,
}

/// An account that enforces encryption in transit in its VPCs, where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEncryption {
    pub excludes_lambda: bool,
    pub excludes_nat_gateways: bool,
    pub excludes_internet_gateways: bool,
}

fn is_excluded(state: Option<&State>) -> bool {
    state.is_some_and(|state| matches!(state.as_str(), "enabled" | "enabling"))
}

impl Aws {
    /// The encryption control of a VPC that enforces encryption. `Err` inside if it cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn encryption_of(
        &self,
        vpc: &str,
    ) -> Result<Result<Option<Encryption>, AwsError>, AwsError> {
        let mut unread = Vec::new();
        let found = known(self.encryption(vpc).await, &mut unread)?;
        Ok(unread.pop().map_or(Ok(found.flatten()), Err))
    }

    /// The encryption control of the account, if it enforces encryption. `Err` inside if it cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn account_encryption(
        &self,
    ) -> Result<Result<Option<AccountEncryption>, AwsError>, AwsError> {
        let asked = self.call_idempotent("ec2:DescribeAccountVpcEncryptionControl", || {
            self.ec2.describe_account_vpc_encryption_control().send()
        });
        let mut unread = Vec::new();
        let answer = known(asked.await, &mut unread)?;
        if let Some(error) = unread.pop() {
            return Ok(Err(error));
        }
        let control = answer.and_then(|answer| answer.account_vpc_encryption_control);
        let mode = |mode: &str| mode == "attempt-enforce";
        let control = control.filter(|control| {
            let found = control.mode.as_ref();
            found.is_some_and(|found| mode(found.as_str()))
        });
        Ok(Ok(control.map(|control| {
            let exclusions = control.exclusions.as_ref();
            let lambda = exclusions.and_then(|all| all.lambda.as_ref());
            let nat = exclusions.and_then(|all| all.nat_gateway.as_ref());
            let internet = exclusions.and_then(|all| all.internet_gateway.as_ref());
            AccountEncryption {
                excludes_lambda: is_excluded(lambda),
                excludes_nat_gateways: is_excluded(nat),
                excludes_internet_gateways: is_excluded(internet),
            }
        })))
    }

    /// The encryption control of a VPC that enforces encryption.
    pub(super) async fn encryption(&self, vpc: &str) -> Result<Option<Encryption>, AwsError> {
        let request = self.ec2.describe_vpc_encryption_controls().vpc_ids(vpc);
        let answer = self
            .call_idempotent("ec2:DescribeVpcEncryptionControls", || {
                request.clone().send()
            })
            .await?;
        let mut controls = answer.vpc_encryption_controls.unwrap_or_default();
        controls.retain(|control| {
            let mode = control.mode.as_ref().map(|mode| mode.as_str());
            control.vpc_id.as_deref() == Some(vpc) && mode == Some("enforce")
        });
        Ok(controls.pop().map(|control| {
            let exclusions = control.resource_exclusions;
            let lambda = exclusions.and_then(|exclusions| exclusions.lambda);
            let state = lambda.and_then(|lambda| lambda.state);
            Encryption {
                excludes_lambda: is_excluded(state.as_ref()),
            }
        }))
    }
}

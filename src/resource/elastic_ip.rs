//! The Elastic IPs of the NAT gateways.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{DomainType, ResourceType};

use super::claims::Claim;
use super::{
    Context, Diff, Identity, Listing, Output, Phase, Resource, ResourceError, ResourceKind,
};
use crate::aws::ec2::{from_tags, of_stack, tagged, write_tags};
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

/// The actual Elastic IP.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) allocation_id: String,
    public_ip: String,
    /// Whether it is associated with anything.
    is_used: bool,
    tags: BTreeMap<String, String>,
}

/// Elastic IP addresses of EC2.
#[derive(Debug)]
pub struct ElasticIps;

impl ResourceKind for ElasticIps {
    type Actual = Actual;
    const KIND: Kind = Kind::ElasticIp;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_addresses()
            .filters(of_stack(&cx.names().stack));
        let answer = cx
            .aws()
            .call_idempotent("ec2:DescribeAddresses", || request.clone().send())
            .await?;
        let mut listing = Listing::default();
        for address in answer.addresses.unwrap_or_default() {
            let tags = from_tags(address.tags.as_ref());
            let (Some(id), Some(allocation_id)) =
                (tags::owner(&cx.names().stack, &tags), address.allocation_id)
            else {
                continue;
            };
            listing.owned.push(Actual {
                id,
                allocation_id,
                is_used: address.association_id.is_some(),
                public_ip: address.public_ip.unwrap_or_default(),
                tags,
            });
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let attributes = BTreeMap::from([("public_ip", actual.public_ip.clone())]);
        let output = Output {
            physical_id: actual.allocation_id.clone(),
            attributes,
        };
        Identity {
            id: actual.id.clone(),
            phase: Phase::Ready,
            output,
        }
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            is_used: actual.is_used,
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .release_address()
            .allocation_id(&actual.allocation_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:ReleaseAddress", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired Elastic IP.
#[derive(Debug)]
pub struct ElasticIp {
    pub name: String,
}

impl Resource for ElasticIp {
    type Kind = ElasticIps;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        Vec::new()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::ElasticIp, self.name()));
        let request = cx
            .aws()
            .ec2
            .allocate_address()
            .domain(DomainType::Vpc)
            .tag_specifications(tagged(ResourceType::ElasticIp, tags));
        cx.aws()
            .call_non_idempotent("ec2:AllocateAddress", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        Ok(write_tags(
            cx.aws(),
            &actual.allocation_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}

//! The VPC.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    AttributeBooleanValue, ResourceType, Vpc as Live, VpcAttributeName, VpcState,
};

use super::claims::Claim;
use super::{
    Context, Diff, Field, Identity, Listing, Phase, Resource, ResourceError, ResourceKind,
};
use crate::aws::ec2::{from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const CIDR: Field = Field::Property("cidr");
const DNS_HOSTNAMES: Field = Field::Property("dns hostnames");
const DNS_SUPPORT: Field = Field::Property("dns support");

/// The actual VPC.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) vpc_id: String,
    phase: Phase,
    cidr: String,
    dns_support: bool,
    dns_hostnames: bool,
    tags: BTreeMap<String, String>,
}

/// VPCs of EC2.
#[derive(Debug)]
pub struct Vpcs;

impl Vpcs {
    async fn attribute(
        cx: &Context,
        vpc_id: &str,
        name: VpcAttributeName,
    ) -> Result<bool, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_vpc_attribute()
            .vpc_id(vpc_id)
            .attribute(name.clone());
        let answer = optional(
            cx.aws()
                .call_idempotent("ec2:DescribeVpcAttribute", || request.clone().send())
                .await,
        )?;
        let value = answer.and_then(|answer| match name {
            VpcAttributeName::EnableDnsSupport => answer.enable_dns_support,
            _ => answer.enable_dns_hostnames,
        });
        Ok(value.and_then(|value| value.value).unwrap_or_default())
    }
}

fn phase_of(state: Option<VpcState>) -> Phase {
    match state {
        Some(VpcState::Available) | None => Phase::Ready,
        Some(VpcState::Pending) => Phase::Pending("pending".to_owned()),
        Some(VpcState::Deleting) => Phase::Deleting("deleting".to_owned()),
        Some(other) => Phase::Unknown(other.as_str().to_owned()),
    }
}

impl ResourceKind for Vpcs {
    type Actual = Actual;
    const KIND: Kind = Kind::Vpc;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_vpcs()
            .filters(of_stack(&cx.names().stack));
        let vpcs: Vec<Live> = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeVpcs", || request.clone().send())
                .await?;
            Ok((page.vpcs, page.next_token))
        })
        .await?;
        let mut listing = Listing::default();
        for vpc in vpcs {
            let tags = from_tags(vpc.tags.as_ref());
            let (Some(id), Some(vpc_id)) = (tags::owner(&cx.names().stack, &tags), vpc.vpc_id)
            else {
                continue;
            };
            let (dns_support, dns_hostnames) = tokio::try_join!(
                Self::attribute(cx, &vpc_id, VpcAttributeName::EnableDnsSupport),
                Self::attribute(cx, &vpc_id, VpcAttributeName::EnableDnsHostnames)
            )?;
            listing.owned.push(Actual {
                id,
                vpc_id,
                phase: phase_of(vpc.state),
                cidr: vpc.cidr_block.unwrap_or_default(),
                dns_support,
                dns_hostnames,
                tags,
            });
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::new(
            actual.id.clone(),
            actual.phase.clone(),
            actual.vpc_id.clone(),
        )
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx.aws().ec2.delete_vpc().vpc_id(&actual.vpc_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DeleteVpc", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired VPC.
#[derive(Debug)]
pub struct Vpc {
    pub cidr: String,
}

impl Resource for Vpc {
    type Kind = Vpcs;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        Vec::new()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.immutable(CIDR, &actual.cidr, &self.cidr);
        diff.field(DNS_SUPPORT, actual.dns_support, true);
        diff.field(DNS_HOSTNAMES, actual.dns_hostnames, true);
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::Vpc, self.name()));
        let request = cx
            .aws()
            .ec2
            .create_vpc()
            .cidr_block(&self.cidr)
            .tag_specifications(tagged(ResourceType::Vpc, tags));
        cx.aws()
            .call_non_idempotent("ec2:CreateVpc", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        let on = || AttributeBooleanValue::builder().value(true).build();
        // EC2 accepts only one attribute per call.
        if diff.has(&DNS_SUPPORT) {
            let request = cx
                .aws()
                .ec2
                .modify_vpc_attribute()
                .vpc_id(&actual.vpc_id)
                .enable_dns_support(on());
            cx.aws()
                .call_idempotent("ec2:ModifyVpcAttribute", || request.clone().send())
                .await?;
        }
        if diff.has(&DNS_HOSTNAMES) {
            let request = cx
                .aws()
                .ec2
                .modify_vpc_attribute()
                .vpc_id(&actual.vpc_id)
                .enable_dns_hostnames(on());
            cx.aws()
                .call_idempotent("ec2:ModifyVpcAttribute", || request.clone().send())
                .await?;
        }
        Ok(write_tags(cx.aws(), &actual.vpc_id, &cx.tags(&actual.id), &actual.tags).await?)
    }
}

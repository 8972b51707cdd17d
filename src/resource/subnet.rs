//! The public and the private subnets, one of each per zone.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{ResourceType, Subnet as Live, SubnetState};

use super::claims::Claim;
use super::network_interface::NetworkInterfaces;
use super::{
    Context, Diff, Field, Identity, Listing, Phase, Reference, Resource, ResourceError,
    ResourceKind,
};
use crate::aws::ec2::{from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const CIDR: Field = Field::Property("cidr");
const VPC: Field = Field::Property("vpc");
const ZONE: Field = Field::Property("zone");

/// The actual subnet.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) subnet_id: String,
    pub(super) vpc_id: String,
    phase: Phase,
    cidr: String,
    pub(super) zone: String,
    tags: BTreeMap<String, String>,
}

/// Subnets of EC2.
#[derive(Debug)]
pub struct Subnets;

fn phase_of(state: Option<SubnetState>) -> Phase {
    match state {
        Some(SubnetState::Available) | None => Phase::Ready,
        Some(SubnetState::Pending) => Phase::Pending("pending".to_owned()),
        Some(state @ (SubnetState::Failed | SubnetState::FailedInsufficientCapacity)) => {
            Phase::Failed(state.as_str().to_owned())
        }
        Some(other) => Phase::Unknown(other.as_str().to_owned()),
    }
}

impl ResourceKind for Subnets {
    type Actual = Actual;
    const KIND: Kind = Kind::Subnet;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_subnets()
            .filters(of_stack(&cx.names().stack));
        let subnets: Vec<Live> = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
                .await?;
            Ok((page.subnets, page.next_token))
        })
        .await?;
        let mut listing = Listing::default();
        for subnet in subnets {
            let tags = from_tags(subnet.tags.as_ref());
            let (Some(id), Some(subnet_id)) =
                (tags::owner(&cx.names().stack, &tags), subnet.subnet_id)
            else {
                continue;
            };
            listing.owned.push(Actual {
                id,
                subnet_id,
                vpc_id: subnet.vpc_id.unwrap_or_default(),
                phase: phase_of(subnet.state),
                cidr: subnet.cidr_block.unwrap_or_default(),
                zone: subnet.availability_zone.unwrap_or_default(),
                tags,
            });
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::new(
            actual.id.clone(),
            actual.phase.clone(),
            actual.subnet_id.clone(),
        )
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx.aws().ec2.delete_subnet().subnet_id(&actual.subnet_id);
        let result = cx
            .aws()
            .call_idempotent("ec2:DeleteSubnet", || request.clone().send())
            .await;
        if result
            .as_ref()
            .is_err_and(|error| error.code == "DependencyViolation")
        {
            // A function that moved to other subnets leaves its interface behind; the subnet can be deleted
            // after the interface.
            NetworkInterfaces::reap(cx, &actual.subnet_id).await?;
        }
        Ok(optional(result).map(|_| ())?)
    }
}

/// The desired subnet.
#[derive(Debug)]
pub struct Subnet {
    /// `public-a`, `private-a`, …; in a VPC of the operator, the CIDR block of a private one.
    pub name: String,
    pub vpc: Reference,
    pub cidr: String,
    /// The Availability Zone, for example `us-east-1a`.
    pub zone: String,
}

impl Resource for Subnet {
    type Kind = Subnets;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        self.vpc.need().into_iter().collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.reference(VPC, &actual.vpc_id, self.vpc.known_output(cx));
        if !actual.tags.contains_key(tags::IMPORTED) {
            diff.immutable(CIDR, &actual.cidr, &self.cidr);
        }
        diff.immutable(ZONE, &actual.zone, &self.zone);
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::Subnet, self.name()));
        let request = cx
            .aws()
            .ec2
            .create_subnet()
            .vpc_id(self.vpc.resolve(cx)?)
            .cidr_block(&self.cidr)
            .availability_zone(&self.zone)
            .tag_specifications(tagged(ResourceType::Subnet, tags));
        cx.aws()
            .call_non_idempotent("ec2:CreateSubnet", || request.clone().send())
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
            &actual.subnet_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}

//! The NAT gateways: the route of the private subnets to 3scale.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{NatGateway as Live, NatGatewayState, ResourceType};
use sha2::{Digest as _, Sha256};

use super::claims::Claim;
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Output, Phase, Reference, Resource,
    ResourceError, ResourceKind,
};
use crate::aws::ec2::{from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::hex;
use crate::id::LogicalId;
use crate::kind::Kind;

const ADDRESS: Field = Field::Property("address");
const SUBNET: Field = Field::Property("subnet");

/// The actual NAT gateway; one in state `deleted` counts as absent, although it is listed for about
/// an hour.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) gateway_id: String,
    pub subnet_id: String,
    pub(super) vpc_id: String,
    pub(super) allocation_id: String,
    public_ip: String,
    phase: Phase,
    tags: BTreeMap<String, String>,
}

/// The result of one listing: existing gateways, and the ids of deleted ones.
#[derive(Debug, Default)]
struct Census {
    living: Vec<Actual>,
    dead: Vec<(LogicalId, String)>,
}

/// NAT gateways of EC2.
#[derive(Debug)]
pub struct NatGateways;

impl NatGateways {
    /// The ids of the stack's deleted NAT gateways that EC2 still lists.
    ///
    /// # Errors
    /// When the listing fails.
    pub(super) async fn deleted(cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
        let census = cx
            .listings()
            .get_or_fetch("nat gateways", Self::ask(cx))
            .await?;
        Ok(census.dead.iter().map(|(_, id)| id.clone()).collect())
    }

    async fn ask(cx: &Context) -> Result<Census, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_nat_gateways()
            .filter(of_stack(&cx.names().stack));
        let gateways: Vec<Live> = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeNatGateways", || request.clone().send())
                .await?;
            Ok((page.nat_gateways, page.next_token))
        })
        .await?;
        let mut census = Census::default();
        for gateway in gateways {
            let tags = from_tags(gateway.tags.as_ref());
            let (Some(id), Some(gateway_id)) = (
                tags::owner(&cx.names().stack, &tags),
                gateway.nat_gateway_id,
            ) else {
                continue;
            };
            let phase = match gateway.state {
                Some(NatGatewayState::Deleted) => {
                    census.dead.push((id, gateway_id));
                    continue;
                }
                Some(NatGatewayState::Pending) => Phase::Pending("pending".to_owned()),
                Some(NatGatewayState::Deleting) => Phase::Deleting("deleting".to_owned()),
                Some(NatGatewayState::Failed) => {
                    let code = gateway.failure_code.unwrap_or_default();
                    Phase::Failed(format!(
                        "{code}: {}",
                        gateway.failure_message.unwrap_or_default()
                    ))
                }
                Some(NatGatewayState::Available) | None => Phase::Ready,
                Some(other) => Phase::Unknown(other.as_str().to_owned()),
            };
            let address = gateway
                .nat_gateway_addresses
                .unwrap_or_default()
                .into_iter()
                .next();
            let (allocation_id, public_ip) = address
                .map(|a| (a.allocation_id, a.public_ip))
                .unwrap_or_default();
            census.living.push(Actual {
                id,
                gateway_id,
                subnet_id: gateway.subnet_id.unwrap_or_default(),
                vpc_id: gateway.vpc_id.unwrap_or_default(),
                allocation_id: allocation_id.unwrap_or_default(),
                public_ip: public_ip.unwrap_or_default(),
                phase,
                tags,
            });
        }
        Ok(census)
    }
}

impl ResourceKind for NatGateways {
    type Actual = Actual;
    const KIND: Kind = Kind::NatGateway;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let census = cx
            .listings()
            .get_or_fetch("nat gateways", Self::ask(cx))
            .await?;
        Ok(Listing {
            owned: census.living.clone(),
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        let attributes = BTreeMap::from([("public_ip", actual.public_ip.clone())]);
        let output = Output {
            physical_id: actual.gateway_id.clone(),
            attributes,
        };
        Identity {
            id: actual.id.clone(),
            phase: actual.phase.clone(),
            output,
        }
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            uses: Some(actual.allocation_id.clone()),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .delete_nat_gateway()
            .nat_gateway_id(&actual.gateway_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DeleteNatGateway", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired NAT gateway.
#[derive(Debug)]
pub struct NatGateway {
    pub name: String,
    pub subnet: Reference,
    pub address: Reference,
    /// A NAT gateway that is created before the internet gateway is attached fails.
    pub internet_gateway: Reference,
}

impl Resource for NatGateway {
    type Kind = NatGateways;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let needs = [&self.subnet, &self.internet_gateway, &self.address];
        needs.into_iter().filter_map(Reference::need).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.reference(SUBNET, &actual.subnet_id, self.subnet.known_output(cx));
        // An emulator may not report the address; then it cannot be compared.
        if !actual.allocation_id.is_empty() {
            let address = self.address.known_output(cx);
            let address = address.unwrap_or_else(|| NEW.to_owned());
            diff.immutable(ADDRESS, &actual.allocation_id, address);
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let id = LogicalId::new(Kind::NatGateway, self.name());
        let allocation_id = self.address.resolve(cx)?;
        let census = cx
            .listings()
            .get_or_fetch("nat gateways", NatGateways::ask(cx))
            .await?;
        let mut dead: Vec<_> = census
            .dead
            .iter()
            .filter(|(of, _)| *of == id)
            .map(|(_, gateway)| gateway.as_str())
            .collect();
        dead.sort_unstable();
        // The same token returns the same gateway, even if it is deleted by now, so the token includes the
        // deleted ones.
        let seed = format!(
            "{} {id} {allocation_id} {}",
            cx.names().stack,
            dead.join(" ")
        );
        let token = hex::encode(&Sha256::digest(seed));
        let request = cx
            .aws()
            .ec2
            .create_nat_gateway()
            .client_token(token)
            .subnet_id(self.subnet.resolve(cx)?)
            .allocation_id(allocation_id)
            .tag_specifications(tagged(ResourceType::Natgateway, cx.tags(&id)));
        cx.aws()
            .call_idempotent("ec2:CreateNatGateway", || request.clone().send())
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
            &actual.gateway_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}

//! The internet gateway and its attachment to the VPC.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{InternetGateway as Live, ResourceType};

use super::claims::Claim;
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Output, Phase, Reference, Resource,
    ResourceError, ResourceKind,
};
use crate::aws::ec2::{from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const VPC: Field = Field::Property("vpc");

/// The actual internet gateway.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    gateway_id: String,
    /// The VPC it is attached to, and the state of the attachment.
    pub(super) attachment: Option<(String, String)>,
    tags: BTreeMap<String, String>,
}

impl Actual {
    fn vpc_id(&self) -> &str {
        self.attachment
            .as_ref()
            .map_or("(none)", |(vpc_id, _)| vpc_id)
    }
}

/// Internet gateways of EC2.
#[derive(Debug)]
pub struct InternetGateways;

impl InternetGateways {
    async fn detach(cx: &Context, gateway_id: &str, vpc_id: &str) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .detach_internet_gateway()
            .internet_gateway_id(gateway_id)
            .vpc_id(vpc_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DetachInternetGateway", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

impl ResourceKind for InternetGateways {
    type Actual = Actual;
    const KIND: Kind = Kind::InternetGateway;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_internet_gateways()
            .filters(of_stack(&cx.names().stack));
        let gateways: Vec<Live> = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeInternetGateways", || request.clone().send())
                .await?;
            Ok((page.internet_gateways, page.next_token))
        })
        .await?;
        let mut listing = Listing::default();
        for gateway in gateways {
            let tags = from_tags(gateway.tags.as_ref());
            let (Some(id), Some(gateway_id)) = (
                tags::owner(&cx.names().stack, &tags),
                gateway.internet_gateway_id,
            ) else {
                continue;
            };
            let attachment = gateway
                .attachments
                .unwrap_or_default()
                .into_iter()
                .next()
                .and_then(|attachment| {
                    let state = attachment
                        .state
                        .as_ref()
                        .map_or_else(String::new, |state| state.as_str().to_owned());
                    Some((attachment.vpc_id?, state))
                });
            listing.owned.push(Actual {
                id,
                gateway_id,
                attachment,
                tags,
            });
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let phase = match &actual.attachment {
            Some((_, state)) if state == "attaching" || state == "detaching" => {
                Phase::Pending(state.clone())
            }
            _ => Phase::Ready,
        };
        let output = Output {
            physical_id: actual.gateway_id.clone(),
            ..Output::default()
        };
        Identity {
            id: actual.id.clone(),
            phase,
            output,
        }
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: actual.attachment.as_ref().map(|(vpc_id, _)| vpc_id.clone()),
            is_used: actual.attachment.is_some(),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        if let Some((vpc_id, _)) = &actual.attachment {
            Self::detach(cx, &actual.gateway_id, vpc_id).await?;
        }
        let request = cx
            .aws()
            .ec2
            .delete_internet_gateway()
            .internet_gateway_id(&actual.gateway_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DeleteInternetGateway", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired internet gateway.
#[derive(Debug)]
pub struct InternetGateway {
    pub name: String,
    pub vpc: Reference,
}

impl Resource for InternetGateway {
    type Kind = InternetGateways;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        self.vpc.need().into_iter().collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let vpc = self.vpc.known_output(cx);
        if actual.attachment.is_some() && vpc.is_none() {
            // The gateway is attached to a VPC that will be deleted, so it is replaced too.
            diff.immutable(VPC, actual.vpc_id(), NEW);
        } else {
            diff.field(VPC, actual.vpc_id(), vpc.as_deref().unwrap_or(NEW));
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::InternetGateway, self.name()));
        let request = cx
            .aws()
            .ec2
            .create_internet_gateway()
            .tag_specifications(tagged(ResourceType::InternetGateway, tags));
        cx.aws()
            .call_non_idempotent("ec2:CreateInternetGateway", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&VPC) {
            if let Some((vpc_id, _)) = &actual.attachment {
                InternetGateways::detach(cx, &actual.gateway_id, vpc_id).await?;
            }
            let vpc_id = self.vpc.resolve(cx)?;
            let request = cx
                .aws()
                .ec2
                .attach_internet_gateway()
                .internet_gateway_id(&actual.gateway_id)
                .vpc_id(vpc_id);
            // A second attach call fails, so after a lost response the state is read and the call is not
            // repeated.
            cx.aws()
                .call_non_idempotent("ec2:AttachInternetGateway", || request.clone().send())
                .await?;
        }
        Ok(write_tags(
            cx.aws(),
            &actual.gateway_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}

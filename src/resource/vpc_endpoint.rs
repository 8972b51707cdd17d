//! The interface VPC endpoint of the Parameter Store: with it, the functions read their secrets without the Internet.
//!
//! Lambda writes the logs of the functions from outside the VPC, so they need no other endpoint of AWS.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{ResourceType, VpcEndpoint as Live, VpcEndpointType};

use super::claims::Claim;
use super::security_group::SecurityGroups;
use super::{
    Context, Diff, Field, Identity, List, Listing, NEW, Phase, Reference, Resource, ResourceError,
    ResourceKind, listed,
};
use crate::aws::ec2::{filter, from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

/// The name of the security group of the endpoint.
pub const GROUP_NAME: &str = "endpoint";

const VPC: Field = Field::Property("vpc");
const SUBNETS: Field = Field::Property("subnets");
const GROUP: Field = Field::Property("security group");
const PRIVATE_NAMES: Field = Field::Property("private DNS names");

/// The actual endpoint; one in state `deleted` counts as absent.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    pub(super) endpoint_id: String,
    vpc_id: String,
    pub(super) subnets: BTreeSet<String>,
    groups: BTreeSet<String>,
    private_names: Option<bool>,
    phase: Phase,
    tags: BTreeMap<String, String>,
}

/// VPC endpoints of EC2.
#[derive(Debug)]
pub struct VpcEndpoints;

impl VpcEndpoints {
    async fn ask(cx: &Context) -> Result<Vec<Live>, AwsError> {
        let request = cx
            .aws()
            .ec2
            .describe_vpc_endpoints()
            .filters(of_stack(&cx.names().stack));
        pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeVpcEndpoints", || request.clone().send())
                .await?;
            Ok((page.vpc_endpoints, page.next_token))
        })
        .await
    }
}

/// The phase of a state. The service writes the states in lower case, its documentation in upper case.
/// Source: Amazon EC2 API reference, `VpcEndpoint`.
fn phase_of(state: &str, failure: Option<&str>) -> Option<Phase> {
    let state = state.to_ascii_lowercase();
    Some(match state.as_str() {
        "deleted" => return None,
        "pending" => Phase::Pending(state),
        "available" | "" => Phase::Ready,
        "deleting" => Phase::Deleting(state),
        "failed" | "rejected" | "expired" | "partial" => {
            let why = failure.map_or_else(String::new, |why| format!(": {why}"));
            Phase::Failed(format!("{state}{why}"))
        }
        _ => Phase::Unknown(state),
    })
}

impl ResourceKind for VpcEndpoints {
    type Actual = Actual;
    const KIND: Kind = Kind::VpcEndpoint;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        // The group exists before the endpoint and after it: other stacks need neither the call nor its permission.
        if !SecurityGroups::has(cx, GROUP_NAME).await? {
            return Ok(listing);
        }
        let endpoints = Self::ask(cx).await?;
        for endpoint in endpoints {
            let tags = from_tags(endpoint.tags.as_ref());
            let (Some(id), Some(endpoint_id)) = (
                tags::owner(&cx.names().stack, &tags),
                endpoint.vpc_endpoint_id,
            ) else {
                continue;
            };
            let state = endpoint.state.as_ref().map_or("", |state| state.as_str());
            let failure = endpoint
                .last_error
                .as_ref()
                .and_then(|error| error.message());
            let Some(phase) = phase_of(state, failure) else {
                continue;
            };
            listing.owned.push(Actual {
                id,
                endpoint_id,
                vpc_id: endpoint.vpc_id.unwrap_or_default(),
                subnets: endpoint
                    .subnet_ids
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                groups: endpoint
                    .groups
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|group| group.group_id)
                    .collect(),
                private_names: endpoint.private_dns_enabled,
                phase,
                tags,
            });
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::new(
            actual.id.clone(),
            actual.phase.clone(),
            actual.endpoint_id.clone(),
        )
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        const CALL: &str = "ec2:DeleteVpcEndpoints";
        let request = cx
            .aws()
            .ec2
            .delete_vpc_endpoints()
            .vpc_endpoint_ids(&actual.endpoint_id);
        let answer = cx
            .aws()
            .call_idempotent(CALL, || request.clone().send())
            .await;
        // The call succeeds even if the endpoint is not deleted.
        let unsuccessful = optional(answer)?.and_then(|answer| answer.unsuccessful);
        let mut errors = unsuccessful
            .unwrap_or_default()
            .into_iter()
            .filter_map(|item| item.error);
        match errors.next() {
            None => Ok(()),
            Some(error) if error.code().is_some_and(|code| code.ends_with("NotFound")) => Ok(()),
            Some(error) => Err(AwsError {
                code: error.code.unwrap_or_default(),
                ..AwsError::incomplete(CALL, error.message.unwrap_or_default())
            }
            .into()),
        }
    }
}

/// The desired endpoint.
#[derive(Debug)]
pub struct VpcEndpoint {
    /// `ssm` in the VPC of the stack, `ssm@...` in one of the operator: while a stack moves, it has one in both.
    pub name: String,
    pub vpc: Reference,
    /// At most one for each zone.
    pub subnets: Vec<Reference>,
    pub security_group: LogicalId,
}

/// The names that the endpoint of the Parameter Store can have in a Region; those of China have a prefix for some services.
/// Source: AWS CDK, pull request 16139; Systems Manager User Guide, "Creating VPC endpoints".
pub fn service_names(region: &str) -> [String; 2] {
    ["com.amazonaws", "cn.com.amazonaws"].map(|prefix| format!("{prefix}.{region}.ssm"))
}

/// The name under which the Region offers the endpoint.
async fn service_name(cx: &Context) -> Result<String, ResourceError> {
    let region = &cx.names().region;
    let request = cx
        .aws()
        .ec2
        .describe_vpc_endpoint_services()
        .filters(filter("service-name", service_names(region)));
    let answer = cx
        .aws()
        .call_idempotent("ec2:DescribeVpcEndpointServices", || request.clone().send())
        .await?;
    let offered = answer.service_details.unwrap_or_default();
    let mut names = offered
        .into_iter()
        .filter_map(|service| service.service_name);
    names.next().ok_or_else(|| ResourceError::Blocked {
        what: format!("{region} offers no VPC endpoint for the Parameter Store"),
        hint: Some("remove `network.endpoints`".to_owned()),
    })
}

impl VpcEndpoint {
    fn wanted_subnets(&self, cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
        self.subnets
            .iter()
            .map(|subnet| subnet.resolve(cx))
            .collect()
    }
}

impl Resource for VpcEndpoint {
    type Kind = VpcEndpoints;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let subnets = self.subnets.iter().filter_map(Reference::need);
        subnets
            .chain(self.vpc.need())
            .chain([self.security_group.clone()])
            .collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.immutable(
            VPC,
            &actual.vpc_id,
            self.vpc.known_output(cx).as_deref().unwrap_or(NEW),
        );
        let subnets = List::sorted(actual.subnets.iter().cloned());
        let wanted = listed(&self.subnets, cx);
        let known: BTreeSet<_> = self
            .subnets
            .iter()
            .filter_map(|subnet| subnet.known_output(cx))
            .collect();
        // A subnet that is replaced cannot be deleted before the endpoint leaves it.
        match known.len() < self.subnets.len() && !actual.subnets.is_subset(&known) {
            true => diff.immutable(SUBNETS, subnets, wanted),
            false => diff.field(SUBNETS, subnets, wanted),
        }
        let group = cx.known_output(&self.security_group);
        let group = group.map_or_else(|| NEW.to_owned(), |group| group.physical_id);
        // An emulator may not report the groups; then they cannot be compared.
        if !actual.groups.is_empty() {
            let groups = List::sorted(actual.groups.iter().cloned());
            diff.field(GROUP, groups, List::sorted([group]));
        }
        diff.known(PRIVATE_NAMES, actual.private_names, true);
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::VpcEndpoint, self.name()));
        let service = service_name(cx).await?;
        let vpc = self.vpc.resolve(cx)?;
        let subnets = self.wanted_subnets(cx)?;
        let group = cx.physical_id(&self.security_group)?;
        // Without a token: the same one would return an endpoint that is deleted. The private names keep EC2 from creating two.
        let request = cx
            .aws()
            .ec2
            .create_vpc_endpoint()
            .vpc_endpoint_type(VpcEndpointType::Interface)
            .vpc_id(vpc)
            .service_name(service)
            .set_subnet_ids(Some(subnets.into_iter().collect()))
            .security_group_ids(group)
            .private_dns_enabled(true)
            .tag_specifications(tagged(ResourceType::VpcEndpoint, tags));
        cx.aws()
            .call_non_idempotent("ec2:CreateVpcEndpoint", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if [SUBNETS, GROUP, PRIVATE_NAMES]
            .iter()
            .any(|field| diff.has(field))
        {
            let subnets = self.wanted_subnets(cx)?;
            let groups = BTreeSet::from([cx.physical_id(&self.security_group)?]);
            let some = |ids: Vec<String>| (!ids.is_empty()).then_some(ids);
            let more = |wanted: &BTreeSet<String>, actual: &BTreeSet<String>| {
                some(wanted.difference(actual).cloned().collect())
            };
            let request = cx
                .aws()
                .ec2
                .modify_vpc_endpoint()
                .vpc_endpoint_id(&actual.endpoint_id)
                .set_add_subnet_ids(more(&subnets, &actual.subnets))
                .set_remove_subnet_ids(more(&actual.subnets, &subnets))
                .set_add_security_group_ids(more(&groups, &actual.groups))
                .set_remove_security_group_ids(more(&actual.groups, &groups))
                .set_private_dns_enabled(diff.has(&PRIVATE_NAMES).then_some(true));
            cx.aws()
                .call_idempotent("ec2:ModifyVpcEndpoint", || request.clone().send())
                .await?;
            return Ok(());
        }
        Ok(write_tags(
            cx.aws(),
            &actual.endpoint_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_endpoint_is_absent_and_a_failed_one_says_why() {
        assert_eq!(phase_of("deleted", None), None);
        assert_eq!(phase_of("Available", None), Some(Phase::Ready));
        let pending = Phase::Pending("pending".to_owned());
        assert_eq!(phase_of("pending", None), Some(pending));
        let failed = Phase::Failed("failed: no address".to_owned());
        assert_eq!(phase_of("failed", Some("no address")), Some(failed));
        let unknown = Phase::Unknown("pendingacceptance".to_owned());
        assert_eq!(phase_of("PendingAcceptance", None), Some(unknown));
    }
}

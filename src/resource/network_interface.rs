//! The network interfaces that Lambda leaves behind: deleted as soon as Lambda has released them.
//!
//! This program never creates one. Lambda releases them minutes after a function is deleted, often
//! without deleting them, and until then the network resources around them cannot be deleted.
//! Source: Lambda Developer Guide, foundation-networking; the deletion follows Terraform's AWS
//! provider, `service/ec2/vpc_network_interface.go`.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{Filter, NetworkInterface};
use aws_sdk_lambda::types::FunctionVersion;

use super::function::NAMES;
use super::security_group::SecurityGroups;
use super::{Context, Identity, Listing, Output, Phase, ResourceError, ResourceKind, claims};
use crate::aws::ec2::filter;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::{INTERFACE_PREFIX, is_interface_of};

/// The actual network interface.
#[derive(Debug, Clone)]
pub struct Actual {
    interface_id: String,
    in_use: bool,
}

/// Network interfaces that Lambda creates in the stack's subnets.
#[derive(Debug)]
pub struct NetworkInterfaces;

/// After detachment, the type changes from `lambda` to `interface`: only the description still
/// identifies it.
fn left_by_lambda() -> Filter {
    filter("description", ["AWS Lambda VPC ENI*".to_owned()])
}

async fn own_groups(cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
    let groups = SecurityGroups::list(cx).await?.owned.into_iter();
    let named = groups.filter(|group| group.name == cx.names().exact(&group.id.name));
    Ok(named.map(|group| group.group_id).collect())
}

/// The groups whose interfaces must disappear: all, or those in the network that the stack has left. The functions use the
/// others.
async fn left_groups(cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
    let groups = claims::settled::<SecurityGroups>(cx).await?.owned;
    let former = groups
        .iter()
        .filter(|(identity, _)| identity.id.is_former());
    let former: BTreeSet<_> = former.map(|(_, group)| group.group_id.clone()).collect();
    match cx.options().home {
        Some(_) if !former.is_empty() => Ok(former),
        _ => own_groups(cx).await,
    }
}

/// Whether the interface has the stack's security groups and no others. A function of another owner can share a
/// subnet, and one of the groups.
fn is_ours(found: &NetworkInterface, groups: &BTreeSet<String>) -> bool {
    let mut ids = found.groups().iter().map(|group| group.group_id());
    !found.groups().is_empty() && ids.all(|id| id.is_some_and(|id| groups.contains(id)))
}

fn is_in_use(interface: &NetworkInterface) -> bool {
    let status = interface.status.as_ref();
    status.is_none_or(|status| status.as_str() != "available")
}

async fn listed(cx: &Context, filters: &[Filter]) -> Result<Vec<NetworkInterface>, ResourceError> {
    let request = cx.aws().ec2.describe_network_interfaces();
    let request = request.set_filters(Some(filters.to_vec()));
    let interfaces = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeNetworkInterfaces", || request.clone().send())
            .await?;
        Ok((page.network_interfaces, page.next_token))
    })
    .await?;
    Ok(interfaces)
}

/// The interfaces that were created for the functions in security groups of the operator. Lambda needs the role of the
/// functions to release them. Those that Lambda shares with other functions stay.
/// Source: Lambda Developer Guide, foundation-networking, on Hyperplane network interfaces.
async fn in_groups_of_others(cx: &Context) -> Result<Vec<NetworkInterface>, ResourceError> {
    let functions = NAMES.map(|name| cx.names().function(name));
    let patterns = functions.each_ref();
    let patterns = patterns.map(|name| format!("{INTERFACE_PREFIX}{name}-*"));
    let mut found = listed(cx, &[filter("description", patterns)]).await?;
    found.retain(|interface| {
        let description = interface.description.as_deref().unwrap_or_default();
        let mut functions = functions.iter();
        functions.any(|function| is_interface_of(function, description))
    });
    if !found.iter().any(is_in_use) {
        return Ok(found);
    }
    let users = places(cx).await;
    found.retain(|interface| {
        // If the functions cannot be listed, another one may use it for ever.
        let is_shared = match &users {
            Ok(users) => place(interface).is_some_and(|place| users.contains(&place)),
            Err(_) => true,
        };
        !is_in_use(interface) || !is_shared
    });
    Ok(found)
}

/// A subnet and security groups. Functions with the same ones share an interface.
type Place = (String, BTreeSet<String>);

fn place(interface: &NetworkInterface) -> Option<Place> {
    let groups = interface.groups().iter();
    let groups = groups.filter_map(|group| group.group_id.clone());
    Some((interface.subnet_id.clone()?, groups.collect()))
}

/// The places of all functions of the account, with those of their versions.
async fn places(cx: &Context) -> Result<BTreeSet<Place>, AwsError> {
    let request = cx.aws().lambda.list_functions();
    let request = request.function_version(FunctionVersion::All);
    let functions = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("lambda:ListFunctions", || request.clone().send())
            .await?;
        Ok((page.functions, page.next_marker))
    })
    .await?;
    let networks = functions.into_iter().filter_map(|one| one.vpc_config);
    let places = networks.flat_map(|network| {
        let groups: BTreeSet<_> = network.security_group_ids().iter().cloned().collect();
        let subnets = network.subnet_ids.unwrap_or_default().into_iter();
        subnets.map(move |subnet| (subnet, groups.clone()))
    });
    Ok(places.collect())
}

impl NetworkInterfaces {
    /// Deletes the interfaces of the stack in a subnet that Lambda has released.
    ///
    /// # Errors
    /// The error of the service.
    pub async fn reap(cx: &Context, subnet_id: &str) -> Result<(), ResourceError> {
        let ours = own_groups(cx).await?;
        if ours.is_empty() {
            return Ok(());
        }
        let request = cx
            .aws()
            .ec2
            .describe_network_interfaces()
            .filters(filter("subnet-id", [subnet_id.to_owned()]))
            .filters(filter("status", ["available".to_owned()]))
            .filters(filter("group-id", ours.iter().cloned()))
            .filters(left_by_lambda());
        let answer = cx
            .aws()
            .call_idempotent("ec2:DescribeNetworkInterfaces", || request.clone().send())
            .await?;
        for interface_id in answer
            .network_interfaces()
            .iter()
            .filter(|found| is_ours(found, &ours))
            .filter_map(|found| found.network_interface_id())
        {
            Self::delete_one(cx, interface_id).await?;
        }
        Ok(())
    }

    async fn delete_one(cx: &Context, interface_id: &str) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .delete_network_interface()
            .network_interface_id(interface_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DeleteNetworkInterface", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

impl ResourceKind for NetworkInterfaces {
    type Actual = Actual;
    const KIND: Kind = Kind::NetworkInterface;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let groups = left_groups(cx).await?;
        let mut ours = Vec::new();
        if !groups.is_empty() {
            let of_groups = filter("group-id", groups.iter().cloned());
            ours = listed(cx, &[of_groups, left_by_lambda()]).await?;
            ours.retain(|found| is_ours(found, &groups));
        }
        if ours.is_empty() && cx.options().home.is_none() {
            ours = in_groups_of_others(cx).await?;
        }
        let owned = ours.into_iter().filter_map(|interface| {
            let in_use = is_in_use(&interface);
            Some(Actual {
                interface_id: interface.network_interface_id?,
                in_use,
            })
        });
        Ok(Listing {
            owned: owned.collect(),
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        let phase = if actual.in_use {
            Phase::Deleting("in use by Lambda".to_owned())
        } else {
            Phase::Ready
        };
        let output = Output {
            physical_id: actual.interface_id.clone(),
            ..Output::default()
        };
        Identity {
            id: LogicalId::new(Kind::NetworkInterface, &actual.interface_id),
            phase,
            output,
        }
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        Self::delete_one(cx, &actual.interface_id).await
    }
}

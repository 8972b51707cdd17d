//! Reads what is in and around a VPC.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    Address, InternetGateway, NatGateway, Route, RouteTable, SecurityGroup, Subnet, Vpc,
};

use super::found::{self, Found, Subject};
use super::services::{authorizers, caches, functions, note};
use crate::aws::ec2::{filter, from_tags};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, tags};
use crate::id::LogicalId;
use crate::resource::elastic_ip::ElasticIps;
use crate::resource::internet_gateway::InternetGateways;
use crate::resource::nat_gateway::NatGateways;
use crate::resource::neighbors::{attached, endpoints, interfaces, peerings};
use crate::resource::route_table::RouteTables;
use crate::resource::state::Phase;
use crate::resource::subnet::Subnets;
use crate::resource::vpc::Vpcs;
use crate::resource::{Context, ResourceError, ResourceKind};

const DEFAULT_ROUTE: &str = "0.0.0.0/0";

/// The VPCs that an import may mean: the one of the stack, or else those with a NAT gateway that belong to no stack and are not
/// the default VPC.
///
/// # Errors
/// When a listing fails.
pub async fn candidates(cx: &Context) -> Result<Vec<String>, ResourceError> {
    let own = Vpcs::list(cx).await?.owned;
    if !own.is_empty() {
        return Ok(own.into_iter().map(|vpc| vpc.vpc_id).collect());
    }
    let working = ["available", "pending"].map(str::to_owned);
    let with_gateway = gateways(cx, filter("state", working)).await?;
    let with_gateway: BTreeSet<_> = with_gateway
        .into_iter()
        .filter_map(|gateway| gateway.vpc_id)
        .collect();
    let vpcs = vpcs(cx, filter("is-default", ["false".to_owned()])).await?;
    let free = vpcs.into_iter().filter(|vpc| {
        let is_of_stack = from_tags(vpc.tags.as_ref()).contains_key(tags::STACK);
        !is_of_stack
            && vpc
                .vpc_id
                .as_ref()
                .is_some_and(|id| with_gateway.contains(id))
    });
    Ok(free.filter_map(|vpc| vpc.vpc_id).collect())
}

/// Reads a VPC; `None` if it does not exist.
///
/// # Errors
/// When a listing fails. Functions and caches that may not be listed are only noted.
pub async fn read(cx: &Context, subject: &Subject) -> Result<Option<Found>, ResourceError> {
    let id = &subject.vpc;
    let in_vpc = || filter("vpc-id", [id.clone()]);
    let Some(vpc) = vpcs(cx, in_vpc()).await?.pop() else {
        return Ok(None);
    };
    let of_vpc = [id.clone()];
    let (subnets, internet_gateways, gateways, tables, groups) = tokio::try_join!(
        subnets(cx, in_vpc()),
        internet_gateways(cx, id),
        gateways(cx, in_vpc()),
        tables(cx, in_vpc()),
        groups(cx, in_vpc()),
    )?;
    let (interfaces, endpoints, peerings, (attached, unlisted)) = tokio::try_join!(
        interfaces(cx, in_vpc()),
        endpoints(cx, in_vpc()),
        peerings(cx, |vpc| vpc == id),
        attached(cx, &of_vpc),
    )?;
    for error in unlisted {
        note(cx, "whether others have something more in the VPC", &error);
    }
    let gateways: Vec<_> = gateways.into_iter().filter_map(gateway).collect();
    let addresses: BTreeSet<_> = gateways
        .iter()
        .flat_map(|gateway| gateway.addresses.clone())
        .collect();
    let (addresses, functions, (caches, cache_subnet_groups), authorizers, taken) = tokio::try_join!(
        addresses_of(cx, addresses),
        functions(cx, id),
        caches(cx, id),
        authorizers(cx, subject.api.as_deref()),
        taken(cx),
    )?;
    Ok(Some(Found {
        vpc: found::Vpc {
            id: id.clone(),
            cidr: vpc.cidr_block.unwrap_or_default(),
            is_default: vpc.is_default == Some(true),
            owner: vpc.owner_id.unwrap_or_else(|| cx.names().account.clone()),
            tags: from_tags(vpc.tags.as_ref()),
        },
        subnets: subnets.into_iter().filter_map(subnet).collect(),
        internet_gateways,
        gateways,
        addresses,
        tables: tables.into_iter().filter_map(table).collect(),
        groups,
        functions,
        caches,
        cache_subnet_groups,
        authorizers,
        interfaces,
        endpoints,
        peerings,
        attached,
        taken,
    }))
}

type Filter = aws_sdk_ec2::types::Filter;

async fn vpcs(cx: &Context, by: Filter) -> Result<Vec<Vpc>, AwsError> {
    let request = cx.aws().ec2.describe_vpcs().filters(by);
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeVpcs", || request.clone().send())
            .await?;
        Ok((page.vpcs, page.next_token))
    })
    .await
}

async fn subnets(cx: &Context, by: Filter) -> Result<Vec<Subnet>, AwsError> {
    let request = cx.aws().ec2.describe_subnets().filters(by);
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
            .await?;
        Ok((page.subnets, page.next_token))
    })
    .await
}

fn subnet(subnet: Subnet) -> Option<found::Subnet> {
    Some(found::Subnet {
        id: subnet.subnet_id?,
        zone: subnet.availability_zone.unwrap_or_default(),
        cidr: subnet.cidr_block.and_then(|cidr| cidr.parse().ok()),
        tags: from_tags(subnet.tags.as_ref()),
    })
}

async fn internet_gateways(
    cx: &Context,
    vpc: &str,
) -> Result<Vec<found::InternetGateway>, AwsError> {
    let by = filter("attachment.vpc-id", [vpc.to_owned()]);
    let request = cx.aws().ec2.describe_internet_gateways().filters(by);
    let listed: Vec<InternetGateway> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeInternetGateways", || request.clone().send())
            .await?;
        Ok((page.internet_gateways, page.next_token))
    })
    .await?;
    let gateway = |found: InternetGateway| {
        Some(found::InternetGateway {
            id: found.internet_gateway_id?,
            tags: from_tags(found.tags.as_ref()),
        })
    };
    Ok(listed.into_iter().filter_map(gateway).collect())
}

async fn gateways(cx: &Context, by: Filter) -> Result<Vec<NatGateway>, AwsError> {
    let request = cx.aws().ec2.describe_nat_gateways().filter(by);
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeNatGateways", || request.clone().send())
            .await?;
        Ok((page.nat_gateways, page.next_token))
    })
    .await
}

/// A NAT gateway that exists: EC2 lists deleted ones for about an hour.
fn gateway(gateway: NatGateway) -> Option<found::NatGateway> {
    let state = gateway
        .state
        .map_or_else(String::new, |state| state.as_str().to_owned());
    if matches!(state.as_str(), "deleted" | "deleting") {
        return None;
    }
    let addresses = gateway
        .nat_gateway_addresses
        .unwrap_or_default()
        .into_iter();
    Some(found::NatGateway {
        id: gateway.nat_gateway_id?,
        state,
        is_private: gateway
            .connectivity_type
            .is_some_and(|kind| kind.as_str() == "private"),
        subnet: gateway.subnet_id.filter(|subnet| !subnet.is_empty()),
        addresses: addresses.filter_map(|one| one.allocation_id).collect(),
        tags: from_tags(gateway.tags.as_ref()),
    })
}

async fn addresses_of(
    cx: &Context,
    ids: BTreeSet<String>,
) -> Result<Vec<found::Address>, ResourceError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let request = cx
        .aws()
        .ec2
        .describe_addresses()
        .filters(filter("allocation-id", ids));
    let answer = cx
        .aws()
        .call_idempotent("ec2:DescribeAddresses", || request.clone().send())
        .await?;
    let address = |found: Address| {
        Some(found::Address {
            id: found.allocation_id?,
            public_ip: found.public_ip.unwrap_or_default(),
            tags: from_tags(found.tags.as_ref()),
        })
    };
    Ok(answer
        .addresses
        .unwrap_or_default()
        .into_iter()
        .filter_map(address)
        .collect())
}

async fn tables(cx: &Context, by: Filter) -> Result<Vec<RouteTable>, AwsError> {
    let request = cx.aws().ec2.describe_route_tables().filters(by);
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
            .await?;
        Ok((page.route_tables, page.next_token))
    })
    .await
}

fn table(table: RouteTable) -> Option<found::Table> {
    let associations = table.associations.unwrap_or_default();
    let target = |route: Route| {
        let targets = [
            route.nat_gateway_id,
            route.gateway_id,
            route.transit_gateway_id,
            route.network_interface_id,
            route.instance_id,
            route.vpc_peering_connection_id,
        ];
        targets
            .into_iter()
            .flatten()
            .find(|id| !id.is_empty())
            .unwrap_or_else(|| "another target".to_owned())
    };
    let routes = table.routes.unwrap_or_default();
    let is_local = |route: &Route| route.gateway_id.as_deref() == Some("local");
    let is_default = |route: &Route| route.destination_cidr_block.as_deref() == Some(DEFAULT_ROUTE);
    let adds_routes = table
        .propagating_vgws
        .as_ref()
        .is_some_and(|all| !all.is_empty());
    Some(found::Table {
        id: table.route_table_id?,
        is_main: associations.iter().any(|one| one.main == Some(true)),
        has_gateways: adds_routes || associations.iter().any(|one| one.gateway_id.is_some()),
        subnets: associations
            .into_iter()
            .filter_map(|one| one.subnet_id)
            .collect(),
        has_other_routes: routes
            .iter()
            .any(|route| !is_local(route) && !is_default(route)),
        default_route: routes.into_iter().find(is_default).map(target),
        tags: from_tags(table.tags.as_ref()),
    })
}

async fn groups(cx: &Context, by: Filter) -> Result<Vec<found::Group>, AwsError> {
    let request = cx.aws().ec2.describe_security_groups().filters(by);
    let listed: Vec<SecurityGroup> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeSecurityGroups", || request.clone().send())
            .await?;
        Ok((page.security_groups, page.next_token))
    })
    .await?;
    let group = |found: SecurityGroup| {
        Some(found::Group {
            id: found.group_id?,
            name: found.group_name.unwrap_or_default(),
            tags: from_tags(found.tags.as_ref()),
        })
    };
    Ok(listed.into_iter().filter_map(group).collect())
}

/// What has the tags of the stack already.
pub(super) async fn taken(cx: &Context) -> Result<Vec<(LogicalId, String)>, ResourceError> {
    let (vpcs, subnets, internet, gateways, addresses, tables) = tokio::try_join!(
        of_kind::<Vpcs>(cx),
        of_kind::<Subnets>(cx),
        of_kind::<InternetGateways>(cx),
        of_kind::<NatGateways>(cx),
        of_kind::<ElasticIps>(cx),
        of_kind::<RouteTables>(cx)
    )?;
    let all = [vpcs, subnets, internet, gateways, addresses, tables];
    Ok(all.into_iter().flatten().collect())
}

async fn of_kind<K: ResourceKind>(cx: &Context) -> Result<Vec<(LogicalId, String)>, ResourceError> {
    let listed = K::list(cx).await?.owned.into_iter();
    let living = listed
        .map(|actual| K::identify(&actual))
        .filter(|found| !matches!(found.phase, Phase::Deleting(_)));
    Ok(living
        .map(|found| (found.id, found.output.physical_id))
        .collect())
}

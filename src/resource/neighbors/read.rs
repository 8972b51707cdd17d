//! The listings of EC2 that show what is in a network.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    Filter, IpPermission, NetworkInterface, RouteTable, SecurityGroup, Subnet, VpcEndpoint,
    VpcPeeringConnection,
};

use super::around::{Endpoint, Group, Interface, Own, Peering, Table};
use super::attached::attached;
use super::judge;
use crate::aws::AwsError;
use crate::aws::ec2::filter;
use crate::aws::paginate::pages;
use crate::id::LogicalId;
use crate::resource::nat_instance_listing::NatInstances;
use crate::resource::vpc_endpoint::VpcEndpoints;
use crate::resource::{Context, ResourceError, ResourceKind as _};

/// Whether a VPC has nothing but what EC2 creates with it.
///
/// # Errors
/// When a listing fails.
pub async fn is_empty(cx: &Context, vpc_id: &str) -> Result<bool, AwsError> {
    let by = || filter("vpc-id", [vpc_id.to_owned()]);
    let vpcs = [vpc_id.to_owned()];
    let (interfaces, subnets, groups, tables, endpoints, peerings, attached) = tokio::try_join!(
        interfaces(cx, by()),
        subnets(cx, by()),
        groups(cx, by()),
        tables(cx, by()),
        endpoints(cx, by()),
        peerings(cx, |vpc| vpc == vpc_id),
        attached(cx, &vpcs)
    )?;
    Ok(interfaces.is_empty()
        && subnets.is_empty()
        && endpoints.is_empty()
        && peerings.is_empty()
        && attached.0.is_empty()
        && groups.iter().all(|group| group.name == "default")
        && tables
            .iter()
            .all(|table| table.is_main && table.associated.is_empty()))
}

/// Which of the security groups others use.
///
/// # Errors
/// When the listing fails.
pub async fn used_by_others(
    cx: &Context,
    of: &BTreeMap<String, LogicalId>,
) -> Result<BTreeSet<String>, ResourceError> {
    let found = interfaces(cx, filter("group-id", of.keys().cloned())).await?;
    let (instances, endpoints) = tokio::try_join!(NatInstances::list(cx), VpcEndpoints::list(cx))?;
    let own = Own {
        groups: of.clone(),
        instances: instances
            .owned
            .into_iter()
            .map(|instance| (instance.interface_id.clone(), instance.user()))
            .collect(),
        endpoints: endpoints
            .owned
            .iter()
            .map(VpcEndpoints::identify)
            .map(|identity| (identity.output.physical_id, identity.id))
            .collect(),
        ..Own::default()
    };
    let endpoints = endpoints_with(cx, &found).await?;
    Ok(judge::used_by_others(&own, &found, &endpoints))
}

/// The VPC endpoints to which these interfaces belong.
pub(super) async fn endpoints_with(
    cx: &Context,
    interfaces: impl IntoIterator<Item = &Interface>,
) -> Result<Vec<Endpoint>, AwsError> {
    let interfaces = interfaces.into_iter();
    let ids: BTreeSet<_> = interfaces.filter_map(judge::endpoint_of).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    endpoints(
        cx,
        filter("vpc-endpoint-id", ids.into_iter().map(str::to_owned)),
    )
    .await
}

pub(super) async fn pages_of_interfaces(
    cx: &Context,
    by: Filter,
) -> Result<Vec<NetworkInterface>, AwsError> {
    let request = cx.aws().ec2.describe_network_interfaces().filters(by);
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeNetworkInterfaces", || request.clone().send())
            .await?;
        Ok((page.network_interfaces, page.next_token))
    })
    .await
}

pub(super) fn to_interface(found: NetworkInterface) -> Interface {
    Interface {
        id: found.network_interface_id.unwrap_or_default(),
        owner: found.owner_id.unwrap_or_default(),
        requester: found.requester_id.unwrap_or_default(),
        description: found.description.unwrap_or_default(),
        status: found
            .status
            .map_or_else(String::new, |status| status.as_str().to_owned()),
        subnet: found.subnet_id.unwrap_or_default(),
        vpc: found.vpc_id.unwrap_or_default(),
        groups: found
            .groups
            .unwrap_or_default()
            .into_iter()
            .filter_map(|group| group.group_id)
            .collect(),
    }
}

pub(in crate::resource) async fn interfaces(
    cx: &Context,
    by: Filter,
) -> Result<Vec<Interface>, AwsError> {
    let found = pages_of_interfaces(cx, by).await?;
    Ok(found.into_iter().map(to_interface).collect())
}

pub(super) async fn subnets(cx: &Context, by: Filter) -> Result<Vec<(String, String)>, AwsError> {
    let request = cx.aws().ec2.describe_subnets().filters(by);
    let found: Vec<Subnet> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
            .await?;
        Ok((page.subnets, page.next_token))
    })
    .await?;
    let found = found.into_iter();
    Ok(found
        .filter_map(|subnet| Some((subnet.subnet_id?, subnet.vpc_id?)))
        .collect())
}

pub(super) async fn groups(cx: &Context, by: Filter) -> Result<Vec<Group>, AwsError> {
    let request = cx.aws().ec2.describe_security_groups().filters(by);
    let found: Vec<SecurityGroup> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeSecurityGroups", || request.clone().send())
            .await?;
        Ok((page.security_groups, page.next_token))
    })
    .await?;
    let named = |rules: Option<Vec<IpPermission>>| {
        let pairs = rules.unwrap_or_default().into_iter();
        let pairs = pairs.flat_map(|rule| rule.user_id_group_pairs.unwrap_or_default());
        pairs.filter_map(|pair| pair.group_id).collect::<Vec<_>>()
    };
    let group = |found: SecurityGroup| Group {
        id: found.group_id.unwrap_or_default(),
        name: found.group_name.unwrap_or_default(),
        vpc: found.vpc_id.unwrap_or_default(),
        names: named(found.ip_permissions)
            .into_iter()
            .chain(named(found.ip_permissions_egress))
            .collect(),
    };
    Ok(found.into_iter().map(group).collect())
}

pub(super) async fn tables(cx: &Context, by: Filter) -> Result<Vec<Table>, AwsError> {
    let request = cx.aws().ec2.describe_route_tables().filters(by);
    let found: Vec<RouteTable> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
            .await?;
        Ok((page.route_tables, page.next_token))
    })
    .await?;
    let table = |found: RouteTable| {
        let associations = found.associations.unwrap_or_default();
        Table {
            id: found.route_table_id.unwrap_or_default(),
            vpc: found.vpc_id.unwrap_or_default(),
            is_main: associations.iter().any(|one| one.main == Some(true)),
            associated: associations
                .into_iter()
                .filter_map(|one| one.subnet_id.or(one.gateway_id))
                .collect(),
            targets: found
                .routes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|route| {
                    let gateway = route.nat_gateway_id.or(route.gateway_id);
                    gateway.or(route.network_interface_id)
                })
                .collect(),
        }
    };
    Ok(found.into_iter().map(table).collect())
}

pub(in crate::resource) async fn endpoints(
    cx: &Context,
    by: Filter,
) -> Result<Vec<Endpoint>, AwsError> {
    let request = cx.aws().ec2.describe_vpc_endpoints().filters(by);
    let found: Vec<VpcEndpoint> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeVpcEndpoints", || request.clone().send())
            .await?;
        Ok((page.vpc_endpoints, page.next_token))
    })
    .await?;
    let is_there = |endpoint: &VpcEndpoint| {
        let state = endpoint
            .state
            .as_ref()
            .map(|state| state.as_str().to_lowercase());
        state.as_deref() != Some("deleted")
    };
    let endpoint = |found: VpcEndpoint| Endpoint {
        id: found.vpc_endpoint_id.unwrap_or_default(),
        service: found.service_name.unwrap_or_default(),
        vpc: found.vpc_id.unwrap_or_default(),
        is_managed: found.requester_managed == Some(true)
            || found
                .tags
                .unwrap_or_default()
                .iter()
                .any(|tag| tag.key() == Some("GuardDutyManaged")),
        interfaces: found.network_interface_ids.unwrap_or_default(),
        subnets: found.subnet_ids.unwrap_or_default(),
        groups: found
            .groups
            .unwrap_or_default()
            .into_iter()
            .filter_map(|group| group.group_id)
            .collect(),
        tables: found.route_table_ids.unwrap_or_default(),
    };
    Ok(found.into_iter().filter(is_there).map(endpoint).collect())
}

/// One listing of the connections that exist: a filter by VPC would need one for each side.
pub(in crate::resource) async fn peerings(
    cx: &Context,
    is_meant: impl Fn(&String) -> bool,
) -> Result<Vec<Peering>, AwsError> {
    let alive = [
        "active",
        "pending-acceptance",
        "provisioning",
        "initiating-request",
    ];
    let request = cx
        .aws()
        .ec2
        .describe_vpc_peering_connections()
        .filters(filter("status-code", alive.map(str::to_owned)));
    let found: Vec<VpcPeeringConnection> = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeVpcPeeringConnections", || {
                request.clone().send()
            })
            .await?;
        Ok((page.vpc_peering_connections, page.next_token))
    })
    .await?;
    let peering = |found: VpcPeeringConnection| Peering {
        id: found.vpc_peering_connection_id.unwrap_or_default(),
        vpcs: [found.requester_vpc_info, found.accepter_vpc_info]
            .map(|info| info.and_then(|info| info.vpc_id).unwrap_or_default()),
    };
    let all = found.into_iter().map(peering);
    Ok(all
        .filter(|peering| peering.vpcs.iter().any(&is_meant))
        .collect())
}

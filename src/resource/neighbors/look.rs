//! Reads from EC2 what is in the stack's network.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    Filter, IpPermission, NetworkInterface, RouteTable, SecurityGroup, Subnet, VpcEndpoint,
    VpcPeeringConnection,
};

use super::Holder;
use super::judge::{
    Around, Endpoint, Group, Interface, Neighbors, Own, OwnTable, Peering, Table, judge,
};
use crate::aws::AwsError;
use crate::aws::ec2::filter;
use crate::aws::paginate::pages;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::elastic_ip::ElasticIps;
use crate::resource::internet_gateway::InternetGateways;
use crate::resource::nat_gateway::NatGateways;
use crate::resource::route_table::RouteTables;
use crate::resource::security_group::SecurityGroups;
use crate::resource::subnet::Subnets;
use crate::resource::vpc::Vpcs;
use crate::resource::{
    Context, Identity, ResourceError, ResourceKind, nat_gateway, security_group,
};

/// Lists what others have in the stack's network, and what they use of it.
///
/// # Errors
/// When a listing fails.
pub async fn look(cx: &Context) -> Result<Neighbors, ResourceError> {
    let own = own(cx).await?;
    let around = around(cx, &own).await?;
    Ok(Neighbors::new(own, &around))
}

/// Lists what holds a resource that EC2 did not delete.
async fn holders(cx: &Context, held: &Identity) -> Result<Vec<Holder>, ResourceError> {
    let (id, physical_id) = (&held.id, &held.output.physical_id);
    if id.kind == Kind::Vpc {
        let own = own(cx).await?;
        let around = around(cx, &own).await?;
        return Ok(holding(id, &own, &around));
    }
    // Only what is needed: this is repeated while the wait lasts.
    let (groups_of_stack, gateways) =
        tokio::try_join!(SecurityGroups::list(cx), NatGateways::list(cx))?;
    let groups_of_stack = groups_of_stack.owned;
    let mut own = Own {
        former_gateways: NatGateways::deleted(cx).await?,
        gateways: by_gateway(gateways.owned),
        groups: by_group(&groups_of_stack),
        ..Own::default()
    };
    let by = |name: &str| filter(name, [physical_id.clone()]);
    let mut around = Around::default();
    match id.kind {
        Kind::Subnet => {
            own.subnets.insert(physical_id.clone(), id.clone());
            around.interfaces = interfaces(cx, by("subnet-id")).await?;
        }
        Kind::SecurityGroup => {
            let group = groups_of_stack.into_iter();
            let mut group = group.filter(|group| group.group_id == *physical_id);
            let vpc_id = group.next().map(|group| group.vpc_id);
            (around.interfaces, around.groups) = tokio::try_join!(
                interfaces(cx, by("group-id")),
                groups(cx, filter("vpc-id", vpc_id))
            )?;
        }
        Kind::InternetGateway => {
            let gateways = InternetGateways::list(cx).await?.owned.into_iter();
            let of_id = gateways.filter(|gateway| gateway.id == *id);
            let vpcs: Vec<_> = of_id
                .filter_map(|gateway| Some(gateway.attachment?.0))
                .collect();
            // A public address in the VPC holds the gateway.
            own.vpcs = vpcs.iter().map(|vpc| (vpc.clone(), id.clone())).collect();
            let found = pages_of_interfaces(cx, filter("vpc-id", vpcs)).await?;
            let with_address = found
                .into_iter()
                .filter(|found| found.association.is_some());
            around.interfaces = with_address.map(to_interface).collect();
        }
        _ => {}
    }
    Ok(holding(id, &own, &around))
}

fn by_group(groups: &[security_group::Actual]) -> BTreeMap<String, LogicalId> {
    let groups = groups.iter();
    groups
        .map(|group| (group.group_id.clone(), group.id.clone()))
        .collect()
}

fn by_gateway(gateways: Vec<nat_gateway::Actual>) -> BTreeMap<String, (LogicalId, String)> {
    let gateways = gateways.into_iter();
    gateways
        .map(|gateway| (gateway.gateway_id, (gateway.id, gateway.allocation_id)))
        .collect()
}

fn holding(id: &LogicalId, own: &Own, around: &Around) -> Vec<Holder> {
    let mut holders = judge(own, around);
    holders.retain(|holder| holder.holds.contains(id));
    holders
}

/// The stack's own network, from the listings of this observation.
async fn own(cx: &Context) -> Result<Own, ResourceError> {
    let (vpcs, subnets, tables, groups, gateways, addresses, internet_gateways) = tokio::try_join!(
        Vpcs::list(cx),
        Subnets::list(cx),
        RouteTables::list(cx),
        SecurityGroups::list(cx),
        NatGateways::list(cx),
        ElasticIps::list(cx),
        InternetGateways::list(cx)
    )?;
    let former_gateways = NatGateways::deleted(cx).await?;
    let groups = groups.owned;
    let rules = groups.iter().flat_map(|group| {
        let named = group.groups_in_rules();
        named.map(|named| (group.id.clone(), named.to_owned()))
    });
    Ok(Own {
        rules: rules.collect(),
        vpcs: vpcs
            .owned
            .into_iter()
            .map(|vpc| (vpc.vpc_id, vpc.id))
            .collect(),
        subnets: subnets
            .owned
            .into_iter()
            .map(|subnet| (subnet.subnet_id, subnet.id))
            .collect(),
        tables: tables
            .owned
            .into_iter()
            .map(|table| {
                let target = table.default_route.map(|(target, _)| target);
                (
                    table.table_id,
                    OwnTable {
                        id: table.id,
                        target,
                    },
                )
            })
            .collect(),
        groups: by_group(&groups),
        gateways: by_gateway(gateways.owned),
        former_gateways,
        addresses: addresses
            .owned
            .into_iter()
            .map(|address| (address.allocation_id, address.id))
            .collect(),
        others: internet_gateways
            .owned
            .into_iter()
            .map(|gateway| gateway.id)
            .collect(),
    })
}

/// What is in the stack's VPCs. In a VPC of the operator, only what uses the stack's groups and subnets counts.
async fn around(cx: &Context, own: &Own) -> Result<Around, ResourceError> {
    let vpcs: Vec<_> = own.vpcs.keys().cloned().collect();
    let outside = SecurityGroups::list(cx).await?.owned;
    let outside: Vec<_> = outside
        .into_iter()
        .filter(|group| !own.vpcs.contains_key(&group.vpc_id))
        .collect();
    let in_vpcs = |ids: &[String]| filter("vpc-id", ids.iter().cloned());
    let mut around = Around::default();
    if !vpcs.is_empty() {
        let (interfaces, subnets, groups, tables, endpoints, peerings) = tokio::try_join!(
            interfaces(cx, in_vpcs(&vpcs)),
            subnets(cx, in_vpcs(&vpcs)),
            groups(cx, in_vpcs(&vpcs)),
            tables(cx, in_vpcs(&vpcs)),
            endpoints(cx, in_vpcs(&vpcs)),
            peerings(cx, &own.vpcs)
        )?;
        around = Around {
            interfaces,
            subnets,
            groups,
            tables,
            endpoints,
            peerings,
        };
    }
    if !outside.is_empty() {
        let ids = outside.iter().map(|group| group.group_id.clone());
        let places: BTreeSet<_> = outside.iter().map(|group| group.vpc_id.clone()).collect();
        let places: Vec<_> = places.into_iter().collect();
        let (interfaces, groups) = tokio::try_join!(
            interfaces(cx, filter("group-id", ids)),
            groups(cx, in_vpcs(&places))
        )?;
        around.interfaces.extend(interfaces);
        around.groups.extend(groups);
    }
    let subnets: Vec<_> = own.subnets.keys().cloned().collect();
    if vpcs.is_empty() && !subnets.is_empty() {
        // The VPC has lost its tags.
        around
            .interfaces
            .extend(interfaces(cx, filter("subnet-id", subnets)).await?);
    }
    Ok(around)
}

async fn pages_of_interfaces(cx: &Context, by: Filter) -> Result<Vec<NetworkInterface>, AwsError> {
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

fn to_interface(found: NetworkInterface) -> Interface {
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

async fn interfaces(cx: &Context, by: Filter) -> Result<Vec<Interface>, AwsError> {
    let found = pages_of_interfaces(cx, by).await?;
    Ok(found.into_iter().map(to_interface).collect())
}

async fn subnets(cx: &Context, by: Filter) -> Result<Vec<(String, String)>, AwsError> {
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

async fn groups(cx: &Context, by: Filter) -> Result<Vec<Group>, AwsError> {
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

async fn tables(cx: &Context, by: Filter) -> Result<Vec<Table>, AwsError> {
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
        }
    };
    Ok(found.into_iter().map(table).collect())
}

async fn endpoints(cx: &Context, by: Filter) -> Result<Vec<Endpoint>, AwsError> {
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
async fn peerings(
    cx: &Context,
    vpcs: &BTreeMap<String, LogicalId>,
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
        .filter(|peering| peering.vpcs.iter().any(|vpc| vpcs.contains_key(vpc)))
        .collect())
}

/// Turns EC2's refusal to delete a resource into one that names what holds it. What others hold does not end by itself,
/// so it is not waited for.
pub async fn explain(cx: &Context, held: &Identity, refusal: AwsError) -> ResourceError {
    if refusal.code != "DependencyViolation" || !held.id.kind.is_network() {
        return refusal.into();
    }
    // If it cannot be read, the refusal itself is reported.
    let holders = holders(cx, held).await.unwrap_or_default();
    let text = |is_foreign: bool| {
        let meant = holders
            .iter()
            .filter(|holder| holder.is_foreign == is_foreign);
        meant
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (foreign, own) = (text(true), text(false));
    if !foreign.is_empty() {
        return ResourceError::Blocked {
            what: format!("others hold it: {foreign}"),
            hint: Some(
                "remove what is named, or run `threescale-gw down --leave-network`".to_owned(),
            ),
        };
    }
    if own.is_empty() {
        return refusal.into();
    }
    let message = format!("{}; held by {own}", refusal.message.trim_end_matches('.'));
    AwsError { message, ..refusal }.into()
}

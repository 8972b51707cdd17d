//! Reads from EC2 what is in the stack's network.

use std::collections::{BTreeMap, BTreeSet};

use super::Holder;
use super::around::{Around, Endpoint, Own, OwnTable};
use super::attached::attached;
use super::judge::{Neighbors, judge};
use super::read::{
    endpoints, endpoints_with, groups, interfaces, pages_of_interfaces, peerings, subnets, tables,
    to_interface,
};
use crate::aws::AwsError;
use crate::aws::ec2::filter;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::resource::claims::settled;
use crate::resource::elastic_ip::ElasticIps;
use crate::resource::function::NAMES;
use crate::resource::internet_gateway::InternetGateways;
use crate::resource::nat_gateway::{self, NatGateways};
use crate::resource::nat_instance_listing::{self, NatInstances};
use crate::resource::route_table::RouteTables;
use crate::resource::security_group::SecurityGroups;
use crate::resource::subnet::Subnets;
use crate::resource::vpc::Vpcs;
use crate::resource::vpc_endpoint::VpcEndpoints;
use crate::resource::{Context, Identity, ResourceError};

/// Lists what others have in the stack's network, and what they use of it.
///
/// # Errors
/// When a listing fails.
pub async fn look(cx: &Context) -> Result<Neighbors, ResourceError> {
    let own = own(cx).await?;
    let (around, unlisted) = around(cx, &own).await?;
    for error in unlisted {
        let text = format!(
            "whether others have something more in the VPC is not known, and AWS does not delete it then: {error}"
        );
        cx.sink().finding(NoticeCode::NotKnown, text);
    }
    Ok(Neighbors::new(own, &around))
}

/// Lists what holds a resource that EC2 did not delete.
async fn holders(cx: &Context, held: &Identity) -> Result<Vec<Holder>, ResourceError> {
    let (id, physical_id) = (&held.id, &held.output.physical_id);
    if id.kind == Kind::Vpc {
        let own = own(cx).await?;
        let (around, _) = around(cx, &own).await?;
        return Ok(holding(id, &own, &around));
    }
    // Only what is needed: this is repeated while the wait lasts.
    let (groups_of_stack, gateways, instances, endpoints) = tokio::try_join!(
        settled::<SecurityGroups>(cx),
        settled::<NatGateways>(cx),
        settled::<NatInstances>(cx),
        settled::<VpcEndpoints>(cx)
    )?;
    let groups_of_stack = groups_of_stack.owned;
    let mut own = Own {
        former_gateways: NatGateways::deleted(cx).await?,
        functions: functions(cx),
        gateways: by_gateway(gateways.owned),
        instances: by_interface(instances.owned),
        endpoints: by_physical_id(&endpoints.owned),
        groups: by_physical_id(&groups_of_stack),
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
            let mut group = group.filter(|(_, group)| group.group_id == *physical_id);
            let vpc_id = group.next().map(|(_, group)| group.vpc_id);
            (around.interfaces, around.groups) = tokio::try_join!(
                interfaces(cx, by("group-id")),
                groups(cx, filter("vpc-id", vpc_id))
            )?;
        }
        Kind::InternetGateway => {
            let gateways = settled::<InternetGateways>(cx).await?.owned.into_iter();
            let of_id = gateways.filter(|(identity, _)| identity.id == *id);
            let vpcs: Vec<_> = of_id
                .filter_map(|(_, gateway)| Some(gateway.attachment?.0))
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
    around.endpoints = of_caches(cx, &own, &around).await?;
    Ok(holding(id, &own, &around))
}

fn functions(cx: &Context) -> Vec<String> {
    NAMES.map(|name| cx.names().function(name)).into()
}

/// The endpoints of the stack's serverless caches, if one of the interfaces belongs to an endpoint.
async fn of_caches(cx: &Context, own: &Own, around: &Around) -> Result<Vec<Endpoint>, AwsError> {
    let listed = around.endpoints.iter();
    let listed: BTreeSet<_> = listed.flat_map(|endpoint| &endpoint.interfaces).collect();
    let interfaces = around.interfaces.iter();
    let unlisted = interfaces.filter(|interface| !listed.contains(&interface.id));
    let mut endpoints = endpoints_with(cx, unlisted).await?;
    endpoints.retain(|endpoint| endpoint.is_of_cache(own));
    Ok(endpoints)
}

fn by_physical_id<A>(owned: &[(Identity, A)]) -> BTreeMap<String, LogicalId> {
    let owned = owned.iter();
    owned
        .map(|(identity, _)| (identity.output.physical_id.clone(), identity.id.clone()))
        .collect()
}

fn by_gateway(
    gateways: Vec<(Identity, nat_gateway::Actual)>,
) -> BTreeMap<String, (LogicalId, String)> {
    let gateways = gateways.into_iter();
    gateways
        .map(|(identity, gateway)| (gateway.gateway_id, (identity.id, gateway.allocation_id)))
        .collect()
}

/// By network interface, which the routes name, as by NAT gateway.
fn by_interface(
    instances: Vec<(Identity, nat_instance_listing::Actual)>,
) -> BTreeMap<String, (LogicalId, String)> {
    let instances = instances.into_iter();
    instances
        .map(|(identity, instance)| {
            let (_, address) = instance.user();
            (instance.interface_id, (identity.id, address))
        })
        .collect()
}

fn holding(id: &LogicalId, own: &Own, around: &Around) -> Vec<Holder> {
    let mut holders = judge(own, around);
    holders.retain(|holder| holder.holds.contains(id));
    holders
}

/// The stack's own network, from the listings of this observation.
async fn own(cx: &Context) -> Result<Own, ResourceError> {
    let (vpcs, subnets, tables, groups) = tokio::try_join!(
        settled::<Vpcs>(cx),
        settled::<Subnets>(cx),
        settled::<RouteTables>(cx),
        settled::<SecurityGroups>(cx)
    )?;
    let (gateways, instances, endpoints, addresses, internet_gateways) = tokio::try_join!(
        settled::<NatGateways>(cx),
        settled::<NatInstances>(cx),
        settled::<VpcEndpoints>(cx),
        settled::<ElasticIps>(cx),
        settled::<InternetGateways>(cx)
    )?;
    let rules = groups.owned.iter().flat_map(|(identity, group)| {
        let named = group.groups_in_rules();
        named.map(|named| (identity.id.clone(), named.to_owned()))
    });
    let of_tables = tables.owned.iter();
    let of_tables = of_tables.map(|(identity, table)| (identity, &table.vpc_id));
    let of_gateways = gateways.owned.iter();
    let of_gateways = of_gateways.map(|(identity, gateway)| (identity, &gateway.vpc_id));
    let of_instances = instances.owned.iter();
    let of_instances = of_instances.map(|(identity, instance)| (identity, &instance.vpc_id));
    let attached = internet_gateways.owned.iter();
    let attached = attached
        .filter_map(|(identity, gateway)| Some((identity, &gateway.attachment.as_ref()?.0)));
    let all = of_tables.chain(of_gateways).chain(of_instances);
    let borrowed_vpcs = all
        .chain(attached)
        .filter(|(identity, _)| identity.id.is_in_own_vpc())
        .map(|(_, vpc)| vpc.clone())
        .collect();
    Ok(Own {
        functions: functions(cx),
        rules: rules.collect(),
        borrowed_vpcs,
        vpcs: by_physical_id(&vpcs.owned),
        subnets: by_physical_id(&subnets.owned),
        tables: tables
            .owned
            .into_iter()
            .map(|(identity, table)| {
                let borrowed = table.borrowed();
                let target = table.default_route.map(|(target, _)| target);
                (
                    table.table_id,
                    OwnTable {
                        id: identity.id,
                        borrowed,
                        target,
                    },
                )
            })
            .collect(),
        groups: by_physical_id(&groups.owned),
        gateways: by_gateway(gateways.owned),
        former_gateways: NatGateways::deleted(cx).await?,
        instances: by_interface(instances.owned),
        endpoints: by_physical_id(&endpoints.owned),
        addresses: by_physical_id(&addresses.owned),
        internet_gateways: by_physical_id(&internet_gateways.owned),
    })
}

/// What is in the stack's VPCs, and the listings that a missing permission prevents. In a VPC of the operator, only what
/// uses the stack's groups and subnets counts.
async fn around(cx: &Context, own: &Own) -> Result<(Around, Vec<AwsError>), ResourceError> {
    let vpcs: Vec<_> = own.vpcs.keys().cloned().collect();
    let outside = settled::<SecurityGroups>(cx).await?.owned;
    let outside: Vec<_> = outside
        .into_iter()
        .map(|(_, group)| group)
        .filter(|group| !own.vpcs.contains_key(&group.vpc_id))
        .collect();
    let in_vpcs = |ids: &[String]| filter("vpc-id", ids.iter().cloned());
    let (mut around, mut unlisted) = (Around::default(), Vec::new());
    if !vpcs.is_empty() {
        let (interfaces, subnets, groups, tables, endpoints, peerings, of_vpcs) = tokio::try_join!(
            interfaces(cx, in_vpcs(&vpcs)),
            subnets(cx, in_vpcs(&vpcs)),
            groups(cx, in_vpcs(&vpcs)),
            tables(cx, in_vpcs(&vpcs)),
            endpoints(cx, in_vpcs(&vpcs)),
            peerings(cx, |vpc| own.vpcs.contains_key(vpc)),
            attached(cx, &vpcs)
        )?;
        unlisted = of_vpcs.1;
        around = Around {
            interfaces,
            subnets,
            groups,
            tables,
            endpoints,
            peerings,
            attached: of_vpcs.0,
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
    // In a VPC of the operator, or in one that has lost its tags.
    let is_apart = |id: &LogicalId| vpcs.is_empty() || id.is_in_own_vpc();
    let subnets = own.subnets.iter().filter(|(_, id)| is_apart(id));
    let subnets = subnets.map(|(id, _)| id.clone());
    let borrowed = own.tables.values().flat_map(|table| table.borrowed.clone());
    let subnets: Vec<_> = subnets.chain(borrowed).collect();
    if !subnets.is_empty() {
        around
            .interfaces
            .extend(interfaces(cx, filter("subnet-id", subnets)).await?);
    }
    if !own.borrowed_vpcs.is_empty() {
        let by = filter("vpc-id", own.borrowed_vpcs.iter().cloned());
        around.tables.extend(tables(cx, by).await?);
    }
    let of_caches = of_caches(cx, own, &around).await?;
    around.endpoints.extend(of_caches);
    Ok((around, unlisted))
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

//! Reads from the account what decides about a VPC of the operator.

use std::collections::BTreeMap;

use super::ways::{self, Seen};
use crate::aws::account::Vpc;
use crate::config::{Config, ExistingVpc, RouteMode};
use crate::error::Result;
use crate::id::LogicalId;
use crate::resource::internet_gateway::InternetGateways;
use crate::resource::nat_gateway::NatGateways;
use crate::resource::nat_instance_listing::NatInstances;
use crate::resource::route_table::RouteTables;
use crate::resource::subnet::Subnets;
use crate::resource::{Context, ResourceKind as _, claims};
use crate::stack::OwnVpc;

/// The VPC of the operator that the configuration names, and what the stack creates in it; `None` if there is no such VPC.
///
/// # Errors
/// When the VPC cannot be read.
pub async fn own_vpc(cx: &Context, config: &Config) -> Result<Option<OwnVpc>> {
    let Some(own) = config.network.existing() else {
        return Ok(None);
    };
    let Some(vpc) = cx.aws().vpc(&own.id).await? else {
        return Ok(None);
    };
    // What the stack would create in it has other names than what it has, which it would delete.
    let is_ours = vpc.stack.as_ref() == Some(&cx.names().stack);
    let fault = is_ours.then(|| {
        format!(
            "network.vpc: {} is the VPC of this stack: remove `network.vpc` and what belongs to it, or name another VPC",
            vpc.id
        )
    });
    if is_ours || (own.subnet_cidrs.is_empty() && own.route == RouteMode::Existing) {
        return Ok(Some(OwnVpc {
            id: vpc.id,
            subnets: own.subnets.clone(),
            faults: fault.into_iter().collect(),
            ..OwnVpc::default()
        }));
    }
    let seen = see(cx, own, vpc).await?;
    Ok(Some(ways::choose(config, own, &seen)))
}

async fn see(cx: &Context, own: &ExistingVpc, vpc: Vpc) -> Result<Seen> {
    let aws = cx.aws();
    let Vpc { id: vpc, cidrs, .. } = vpc;
    let (subnets, tables, gateways, internet_gateway) = tokio::try_join!(
        aws.subnets_of(&vpc),
        aws.tables(&vpc),
        aws.gateways(&vpc),
        aws.internet_gateway_of(&vpc)
    )?;
    let zones = match own.subnet_cidrs.is_empty() {
        true => Vec::new(),
        false => aws.zones().await?,
    };
    let (our_subnets, our_gateways, our_instances, our_internet_gateways, tables_of_stack) = tokio::try_join!(
        claims::settled::<Subnets>(cx),
        claims::settled::<NatGateways>(cx),
        claims::settled::<NatInstances>(cx),
        claims::settled::<InternetGateways>(cx),
        RouteTables::list(cx)
    )?;
    let is_here = |id: &LogicalId| id.is_of_vpc(&vpc);
    let our_subnets: BTreeMap<_, _> = our_subnets
        .owned
        .into_iter()
        .filter(|(identity, _)| is_here(&identity.id))
        .map(|(identity, _)| (identity.id, identity.output.physical_id))
        .collect();
    let our_instances = our_instances.owned.into_iter();
    let our_instances = our_instances.map(|(identity, instance)| (identity, instance.subnet_id));
    let our_gateways: BTreeMap<_, _> = our_gateways
        .owned
        .into_iter()
        .map(|(identity, gateway)| (identity, gateway.subnet_id))
        .chain(our_instances)
        .filter(|(identity, _)| is_here(&identity.id))
        .map(|(identity, subnet)| (identity.id, subnet))
        .collect();
    let our_internet_gateway = our_internet_gateways
        .owned
        .into_iter()
        .find(|(identity, _)| is_here(&identity.id))
        .map(|(identity, _)| identity.output.physical_id);
    let associations = tables_of_stack.owned.into_iter();
    let associated = associations.flat_map(|table| table.associations.into_keys());
    let associated = associated.collect();
    Ok(Seen {
        account: cx.names().account.clone(),
        vpc,
        cidrs,
        subnets,
        tables,
        gateways,
        internet_gateway,
        zones,
        our_subnets,
        our_gateways,
        our_internet_gateway,
        associated,
    })
}

//! Reads what decides about claims. As long as every id has one claim with the exact name, that is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::judge::{Claim, Verdict, Verdicts, decide, is_away, is_doubtful, to_inspect};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::cache_subnet_group::CacheSubnetGroups;
use crate::resource::context::{Context, Home};
use crate::resource::elastic_ip::ElasticIps;
use crate::resource::error::ResourceError;
use crate::resource::function::Functions;
use crate::resource::internet_gateway::InternetGateways;
use crate::resource::nat_gateway::NatGateways;
use crate::resource::nat_instance_listing::NatInstances;
use crate::resource::neighbors::{is_empty, used_by_others};
use crate::resource::route_table::RouteTables;
use crate::resource::security_group::SecurityGroups;
use crate::resource::serverless_cache::ServerlessCaches;
use crate::resource::state::{Identity, Unmanaged};
use crate::resource::subnet::Subnets;
use crate::resource::traits::ResourceKind;
use crate::resource::vpc::Vpcs;
use crate::resource::vpc_endpoint::VpcEndpoints;

/// The resources of one kind, without those of other owners.
#[derive(Debug)]
pub struct Settled<A> {
    /// A spare has an id of its own, so that it is deleted.
    pub owned: Vec<(Identity, A)>,
    pub unmanaged: Vec<Unmanaged>,
}

/// The resources of this kind that the stack owns, and those that block its names.
///
/// # Errors
/// When a listing fails.
pub async fn settled<K: ResourceKind>(cx: &Context) -> Result<Settled<K::Actual>, ResourceError> {
    let listing = K::list(cx).await?;
    let mut settled = Settled {
        owned: Vec::with_capacity(listing.owned.len()),
        unmanaged: listing.unmanaged,
    };
    let claims = claims::<K>(cx, &listing.owned);
    let is_clear = !is_doubtful(&claims)
        && match K::KIND {
            Kind::SecurityGroup => !is_anywhere_away(cx, &claims).await?,
            _ => true,
        };
    let verdicts = match is_clear {
        true => Arc::default(),
        false => verdicts(cx).await?,
    };
    for actual in listing.owned {
        let mut identity = K::identify(&actual);
        let physical_id = &identity.output.physical_id;
        match verdicts.get(physical_id) {
            Verdict::Ours => {}
            Verdict::Former => identity.id = LogicalId::former(K::KIND, physical_id),
            Verdict::Spare => identity.id = LogicalId::new(K::KIND, format!("spare-{physical_id}")),
            Verdict::Apart | Verdict::Unclear => continue,
        }
        settled.owned.push((identity, actual));
    }
    let unclear = verdicts.unclear().into_iter();
    settled
        .unmanaged
        .extend(unclear.filter(|claim| claim.id.kind == K::KIND));
    Ok(settled)
}

fn claims<K: ResourceKind>(cx: &Context, owned: &[K::Actual]) -> Vec<Claim> {
    let stack = &cx.names().stack;
    owned
        .iter()
        .filter_map(|actual| K::claim(stack, actual))
        .collect()
}

/// The decisions about all claims on the network.
///
/// # Errors
/// When a listing fails.
pub async fn verdicts(cx: &Context) -> Result<Arc<Verdicts>, ResourceError> {
    cx.listings().get_or_fetch("claims", read(cx)).await
}

async fn read(cx: &Context) -> Result<Verdicts, ResourceError> {
    let (vpcs, subnets, internet_gateways, tables, groups) = tokio::try_join!(
        Vpcs::list(cx),
        Subnets::list(cx),
        InternetGateways::list(cx),
        RouteTables::list(cx),
        SecurityGroups::list(cx)
    )?;
    let (gateways, instances, addresses, endpoints) = tokio::try_join!(
        NatGateways::list(cx),
        NatInstances::list(cx),
        ElasticIps::list(cx),
        VpcEndpoints::list(cx)
    )?;
    let mut all = claims::<Vpcs>(cx, &vpcs.owned);
    all.extend(claims::<Subnets>(cx, &subnets.owned));
    all.extend(claims::<InternetGateways>(cx, &internet_gateways.owned));
    all.extend(claims::<RouteTables>(cx, &tables.owned));
    all.extend(claims::<SecurityGroups>(cx, &groups.owned));
    all.extend(claims::<NatGateways>(cx, &gateways.owned));
    all.extend(claims::<NatInstances>(cx, &instances.owned));
    all.extend(claims::<ElasticIps>(cx, &addresses.owned));
    all.extend(claims::<VpcEndpoints>(cx, &endpoints.owned));
    let is_away = is_anywhere_away(cx, &all).await?;
    if !is_doubtful(&all) && !is_away {
        return Ok(Verdicts::default());
    }
    mark_unused(cx, &mut all).await?;
    let (functions, caches, serverless) = tokio::try_join!(
        Functions::list(cx),
        CacheSubnetGroups::subnets(cx),
        ServerlessCaches::found(cx)
    )?;
    let of_functions = functions.owned.into_iter().flat_map(|function| {
        let content = function.content;
        content.subnets.into_iter().chain(content.security_groups)
    });
    // Which of the caches is desired is not known yet.
    let serverless = serverless.iter().filter(|cache| cache.is_ours);
    let of_serverless = serverless.flat_map(|cache| cache.subnets.clone().unwrap_or_default());
    let of_caches = caches.into_iter().chain(of_serverless);
    let anchors: BTreeSet<_> = of_functions.chain(of_caches).collect();
    let mut empty = BTreeSet::new();
    for vpc in to_inspect(&all, &anchors) {
        if is_empty(cx, &vpc).await? {
            empty.insert(vpc);
        }
    }
    let home = cx.options().home.as_ref();
    Ok(decide(&all, &anchors, &empty, home))
}

/// Whether a security group is outside the network that the configuration asks for.
async fn is_anywhere_away(cx: &Context, claims: &[Claim]) -> Result<bool, ResourceError> {
    let home = match &cx.options().home {
        None => return Ok(false),
        Some(Home::Given { vpc, .. }) => BTreeSet::from([vpc.clone()]),
        Some(Home::Outside) => BTreeSet::new(),
        Some(Home::Created) => {
            let vpc = LogicalId::new(Kind::Vpc, "main");
            match cx.unscoped().known_output(&vpc) {
                Some(known) => BTreeSet::from([known.physical_id]),
                None => {
                    let (vpcs, subnets) = tokio::try_join!(Vpcs::list(cx), Subnets::list(cx))?;
                    let vpcs = vpcs.owned.into_iter().map(|vpc| vpc.vpc_id);
                    let of_subnets = subnets.owned.into_iter();
                    let of_subnets = of_subnets
                        .filter(|subnet| !subnet.id.is_in_own_vpc())
                        .map(|subnet| subnet.vpc_id);
                    vpcs.chain(of_subnets).collect()
                }
            }
        }
    };
    Ok(is_away(claims, &home))
}

/// Finds the security groups that only the stack's own functions and its cache use, if there are several.
async fn mark_unused(cx: &Context, all: &mut [Claim]) -> Result<(), ResourceError> {
    let groups = all
        .iter()
        .filter(|claim| claim.id.kind == Kind::SecurityGroup);
    let groups: BTreeMap<_, _> = groups
        .map(|claim| (claim.physical_id.clone(), claim.id.clone()))
        .collect();
    let ids: BTreeSet<_> = groups.values().collect();
    if cx.options().home.is_none() && ids.len() == groups.len() {
        return Ok(());
    }
    if groups.is_empty() {
        return Ok(());
    }
    let used = used_by_others(cx, &groups).await?;
    for claim in all {
        if groups.contains_key(&claim.physical_id) {
            claim.is_used = used.contains(&claim.physical_id);
        }
    }
    Ok(())
}

/// The VPCs that the stack has created.
///
/// # Errors
/// When a listing fails.
pub async fn created_vpcs(cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
    let (vpcs, subnets) = tokio::try_join!(settled::<Vpcs>(cx), settled::<Subnets>(cx))?;
    let vpcs = vpcs.owned.into_iter().map(|(_, vpc)| vpc.vpc_id);
    // A VPC can have lost its tags.
    let of_subnets = subnets
        .owned
        .into_iter()
        .filter(|(identity, _)| !identity.id.is_in_own_vpc())
        .map(|(_, subnet)| subnet.vpc_id);
    Ok(vpcs.chain(of_subnets).collect())
}

/// The ids of the stack's private subnets in the first `zones` zones.
///
/// # Errors
/// When the listing fails.
pub async fn private_subnets(cx: &Context, zones: u8) -> Result<BTreeSet<String>, ResourceError> {
    let letters: Vec<_> = (b'a'..).take(usize::from(zones)).map(char::from).collect();
    let is_meant = |id: &LogicalId| {
        let letter = id.name.strip_prefix("private-");
        letter.is_some_and(|letter| letter.chars().all(|letter| letters.contains(&letter)))
    };
    let subnets = settled::<Subnets>(cx).await?.owned.into_iter();
    let meant = subnets.filter(|(identity, _)| is_meant(&identity.id));
    Ok(meant.map(|(_, subnet)| subnet.subnet_id).collect())
}

/// The zones of the stack's subnets, by the letter in their names.
///
/// # Errors
/// When the listing fails.
pub async fn zones(cx: &Context) -> Result<BTreeMap<String, String>, ResourceError> {
    let letter = |id: &LogicalId| id.name.rsplit('-').next().unwrap_or_default().to_owned();
    let subnets = settled::<Subnets>(cx).await?.owned.into_iter();
    Ok(subnets
        .filter(|(identity, _)| !identity.id.is_in_own_vpc())
        .map(|(_, subnet)| (letter(&subnet.id), subnet.zone))
        .collect())
}

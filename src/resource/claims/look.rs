//! Reads what decides about claims. As long as every id has one claim with the exact name, that is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::judge::{Claim, Verdict, Verdicts, decide, is_doubtful, to_inspect};
use crate::id::LogicalId;
use crate::resource::cache_subnet_group::CacheSubnetGroups;
use crate::resource::context::Context;
use crate::resource::elastic_ip::ElasticIps;
use crate::resource::error::ResourceError;
use crate::resource::function::Functions;
use crate::resource::internet_gateway::InternetGateways;
use crate::resource::nat_gateway::NatGateways;
use crate::resource::neighbors::is_empty;
use crate::resource::route_table::RouteTables;
use crate::resource::security_group::SecurityGroups;
use crate::resource::state::{Identity, Unmanaged};
use crate::resource::subnet::Subnets;
use crate::resource::traits::ResourceKind;
use crate::resource::vpc::Vpcs;

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
    let is_clear = !is_doubtful(&claims::<K>(cx, &listing.owned));
    let verdicts = match is_clear {
        true => Arc::default(),
        false => verdicts(cx).await?,
    };
    for actual in listing.owned {
        let mut identity = K::identify(&actual);
        let physical_id = &identity.output.physical_id;
        match verdicts.get(physical_id) {
            Verdict::Ours => {}
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
    let (vpcs, subnets, internet_gateways, tables, groups, gateways, addresses) = tokio::try_join!(
        Vpcs::list(cx),
        Subnets::list(cx),
        InternetGateways::list(cx),
        RouteTables::list(cx),
        SecurityGroups::list(cx),
        NatGateways::list(cx),
        ElasticIps::list(cx)
    )?;
    let mut all = claims::<Vpcs>(cx, &vpcs.owned);
    all.extend(claims::<Subnets>(cx, &subnets.owned));
    all.extend(claims::<InternetGateways>(cx, &internet_gateways.owned));
    all.extend(claims::<RouteTables>(cx, &tables.owned));
    all.extend(claims::<SecurityGroups>(cx, &groups.owned));
    all.extend(claims::<NatGateways>(cx, &gateways.owned));
    all.extend(claims::<ElasticIps>(cx, &addresses.owned));
    if !is_doubtful(&all) {
        return Ok(Verdicts::default());
    }
    let (functions, caches) = tokio::try_join!(Functions::list(cx), CacheSubnetGroups::list(cx))?;
    let of_functions = functions.owned.into_iter().flat_map(|function| {
        let content = function.content;
        content.subnets.into_iter().chain(content.security_groups)
    });
    let of_caches = caches.owned.into_iter().flat_map(|group| group.subnets);
    let anchors: BTreeSet<_> = of_functions.chain(of_caches).collect();
    let mut empty = BTreeSet::new();
    for vpc in to_inspect(&all, &anchors) {
        if is_empty(cx, &vpc).await? {
            empty.insert(vpc);
        }
    }
    Ok(decide(&all, &anchors, &empty))
}

/// The zones of the stack's subnets, by the letter in their names.
///
/// # Errors
/// When the listing fails.
pub async fn zones(cx: &Context) -> Result<BTreeMap<String, String>, ResourceError> {
    let letter = |id: &LogicalId| id.name.rsplit('-').next().unwrap_or_default().to_owned();
    let subnets = settled::<Subnets>(cx).await?.owned.into_iter();
    Ok(subnets
        .map(|(_, subnet)| (letter(&subnet.id), subnet.zone))
        .collect())
}

//! The last delivery of the counted usage, before `down` deletes what it needs.

use super::cache_group::Caches;
use super::function_publication::Publication;
use super::nat_gateway::NatGateways;
use super::nat_instance_listing::NatInstances;
use super::parameter::{CACHE_PARAMETER, is_own_cache};
use super::route_table::RouteTables;
use super::serverless_cache::ServerlessCaches;
use super::subnet::Subnets;
use super::vpc::Vpcs;
use super::{Context, Phase, ResourceError, ResourceKind, usage};

/// Lets the live reporter deliver what its cache holds.
///
/// # Errors
/// When the stack cannot be listed, or the run must stop.
pub(super) async fn deliver(cx: &Context, reporter: &Publication) -> Result<(), ResourceError> {
    let live = reporter.versions.live();
    // A version that was detached from its network reaches nothing.
    let Some(live) = live.filter(|live| !live.content.subnets.is_empty()) else {
        return Ok(());
    };
    let cache = live.content.environment.get(CACHE_PARAMETER);
    let is_own = cache.is_some_and(|path| is_own_cache(path));
    // An interrupted `down` may have deleted parts of the stack: the reporter would try for a minute.
    let obstacle = match is_own || has_cache(cx).await? {
        false => Some("the stack has no cache that is available"),
        true if !has_way_out(cx).await? => Some("the network of the stack has no way out"),
        true => None,
    };
    usage::deliver_last(cx, &reporter.id, obstacle, is_own).await
}

/// Whether the stack has a cache that is available.
async fn has_cache(cx: &Context) -> Result<bool, ResourceError> {
    let (caches, serverless) = tokio::try_join!(Caches::list(cx), ServerlessCaches::list(cx))?;
    let caches = caches.owned.iter().map(Caches::identify);
    let serverless = serverless.owned.iter().map(ServerlessCaches::identify);
    let mut all = caches.chain(serverless);
    Ok(all.any(|cache| cache.phase == Phase::Ready))
}

/// Whether the stack's network leads to 3scale. Others decide about a network of the operator.
async fn has_way_out(cx: &Context) -> Result<bool, ResourceError> {
    let (vpcs, subnets, tables, gateways, instances) = tokio::try_join!(
        Vpcs::list(cx),
        Subnets::list(cx),
        RouteTables::list(cx),
        NatGateways::list(cx),
        NatInstances::list(cx)
    )?;
    if vpcs.owned.is_empty() {
        return Ok(true);
    }
    let instances = instances.owned.iter().map(NatInstances::identify);
    let gateways = gateways.owned.iter().map(NatGateways::identify);
    let mut gateways = gateways.chain(instances);
    let has_gateway = gateways.any(|gateway| gateway.phase == Phase::Ready);
    let leads_out = |subnet: &str| tables.owned.iter().any(|table| table.leads_out(subnet));
    let mut subnets = subnets.owned.iter();
    Ok(has_gateway && subnets.all(|subnet| leads_out(&subnet.subnet_id)))
}

//! What of a stack is billed while nothing uses it, as it is in the account.

use super::alarm::Alarms;
use super::cache_group::Caches;
use super::dashboard::Dashboards;
use super::elastic_ip::ElasticIps;
use super::function::Functions;
use super::nat_gateway::NatGateways;
use super::nat_instance_listing::NatInstances;
use super::schedule::Schedules;
use super::serverless_cache::ServerlessCaches;
use super::vpc_endpoint::VpcEndpoints;
use super::{Context, Identity, Phase, ResourceError, ResourceKind};
use crate::id::LogicalId;
use crate::kind::Kind;

/// What is billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Billed {
    NatGateway,
    NatInstance,
    Address,
    /// An interface endpoint, with an interface in each of its subnets.
    Endpoint {
        subnets: usize,
    },
    /// A replication group. What the service does not report is `None`.
    Nodes {
        node_type: Option<String>,
        engine: Option<String>,
        nodes: usize,
    },
    ServerlessCache,
    /// An alarm, with the number of metrics that it watches.
    Alarm {
        metrics: usize,
    },
    Dashboard,
    /// The runs of the reporter, and the metrics that they write.
    Reporter {
        /// In MB.
        memory: i32,
        architecture: String,
        /// The expression of its schedule.
        schedule: String,
    },
}

/// What of the stack is billed, by logical id. The requests are those of an observation, which shares its listings.
///
/// # Errors
/// When a listing fails.
pub async fn billed(cx: &Context) -> Result<Vec<(LogicalId, Billed)>, ResourceError> {
    let (gateways, instances, addresses, endpoints) = tokio::try_join!(
        NatGateways::list(cx),
        NatInstances::list(cx),
        ElasticIps::list(cx),
        VpcEndpoints::list(cx),
    )?;
    let (caches, serverless, schedules) = tokio::try_join!(
        Caches::list(cx),
        ServerlessCaches::list(cx),
        Schedules::list(cx)
    )?;
    let (alarms, dashboards) = tokio::try_join!(Alarms::list(cx), Dashboards::list(cx))?;
    let mut billed = Vec::new();
    billed.extend(ids::<NatGateways>(&gateways.owned).map(|id| (id, Billed::NatGateway)));
    billed.extend(ids::<NatInstances>(&instances.owned).map(|id| (id, Billed::NatInstance)));
    billed.extend(ids::<ElasticIps>(&addresses.owned).map(|id| (id, Billed::Address)));
    let endpoints = endpoints.owned.iter();
    let endpoints = endpoints.filter(|endpoint| exists(&VpcEndpoints::identify(endpoint)));
    billed.extend(endpoints.map(|endpoint| {
        let subnets = endpoint.subnets.len();
        (
            VpcEndpoints::identify(endpoint).id,
            Billed::Endpoint { subnets },
        )
    }));
    let caches = caches.owned.iter();
    let caches = caches.filter(|group| exists(&Caches::identify(group)));
    billed.extend(caches.map(|group| {
        let nodes = Billed::Nodes {
            node_type: group.node_type.clone(),
            engine: group.engine.clone(),
            nodes: group.nodes,
        };
        (group.id.clone(), nodes)
    }));
    billed.extend(alarms.owned.iter().map(|alarm| {
        let metrics = alarm.settings.metric_count();
        (Alarms::identify(alarm).id, Billed::Alarm { metrics })
    }));
    billed.extend(ids::<Dashboards>(&dashboards.owned).map(|id| (id, Billed::Dashboard)));
    let ours = serverless.owned.iter().filter(|cache| cache.is_ours);
    let ours = ours.filter(|cache| exists(&ServerlessCaches::identify(cache)));
    billed.extend(ours.map(|cache| {
        (
            ServerlessCaches::identify(cache).id,
            Billed::ServerlessCache,
        )
    }));
    if let Some(schedule) = schedules.owned.first() {
        let functions = Functions::list(cx).await?.owned;
        let id = LogicalId::new(Kind::Function, "reporter");
        billed.extend(
            functions
                .iter()
                .find(|found| found.id == id)
                .map(|reporter| {
                    let reporter = Billed::Reporter {
                        memory: reporter.content.memory,
                        architecture: reporter.content.architecture.clone(),
                        schedule: schedule.expression.clone(),
                    };
                    (id, reporter)
                }),
        );
    }
    Ok(billed)
}

/// The resources that exist, and are not being deleted.
fn ids<K: ResourceKind>(found: &[K::Actual]) -> impl Iterator<Item = LogicalId> {
    let identities = found.iter().map(K::identify);
    identities.filter(exists).map(|found| found.id)
}

/// Whether it exists, and is not being deleted.
fn exists(found: &Identity) -> bool {
    !matches!(found.phase, Phase::Deleting(_))
}

//! The actual cache, a replication group: only a replication group supports TLS, an AUTH token and encryption at rest, even
//! with one node.

use std::collections::BTreeMap;

use aws_sdk_elasticache::types::{
    AutomaticFailoverStatus, MultiAzStatus, ReplicationGroup, TransitEncryptionMode,
};

use super::cache_change::Tls;
use super::{
    Context, Identity, Listing, Output, Phase, ResourceError, ResourceKind, Unmanaged, usage,
};
use crate::aws::paginate::pages;
use crate::aws::{Class, elasticache, optional, tags};
use crate::engine_version::EngineVersion;
use crate::id::LogicalId;
use crate::kind::Kind;

/// The port of the cache.
pub const PORT: u16 = 6379;
/// The tag with the fingerprint of the AUTH token; the service reports only that there is a token.
pub(super) const TOKEN_TAG: &str = "threescale-gw:auth-token";
/// Its value while the cache gets its first token.
pub(super) const NO_TOKEN: &str = "none";
/// The tag with the engine and its version, for example `redis-7.1`: the service reports the version only with the nodes,
/// which would take one more request in every run.
pub(super) const VERSION_TAG: &str = "threescale-gw:engine-version";

/// The output attributes with the engine and its version, if they are known.
pub(super) const ENGINE_ATTRIBUTE: &str = "engine";
pub(super) const VERSION_ATTRIBUTE: &str = "engine_version";

/// The engine and its version in the output of a cache.
pub fn engine_of<'a>(
    attributes: &'a BTreeMap<&'static str, String>,
) -> Option<(&'a str, EngineVersion)> {
    let version = attributes.get(VERSION_ATTRIBUTE)?;
    Some((
        attributes.get(ENGINE_ATTRIBUTE)?,
        EngineVersion::parse(version)?,
    ))
}

/// The actual replication group.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) group_id: String,
    /// The number in its name, which is also that of its subnet group.
    pub(super) number: u32,
    phase: Phase,
    /// `host:port`, once the group has an endpoint.
    pub(super) endpoint: Option<String>,
    // `None` is a property that the service does not report: older responses lack some.
    pub(super) engine: Option<String>,
    pub(super) version: Option<EngineVersion>,
    pub(super) automatic_upgrades: Option<bool>,
    pub(super) node_type: Option<String>,
    pub(super) nodes: usize,
    pub(super) failover: Option<bool>,
    pub(super) multi_az: Option<bool>,
    pub(super) tls: Option<Tls>,
    pub(super) auth: Option<bool>,
    /// The fingerprint of the AUTH token; `None` if it is unknown.
    pub(super) token: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// Replication groups of ElastiCache.
#[derive(Debug)]
pub struct Caches;

impl Caches {
    async fn describe(cx: &Context, name: &str) -> Result<Option<ReplicationGroup>, ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .describe_replication_groups()
            .replication_group_id(name);
        let answer = optional(
            cx.aws()
                .call_idempotent("elasticache:DescribeReplicationGroups", || {
                    request.clone().send()
                })
                .await,
        )?;
        Ok(answer.and_then(|answer| answer.replication_groups?.into_iter().next()))
    }

    /// Every group that has a name of the stack. One listing, however many there are.
    async fn found(cx: &Context) -> Result<Vec<(u32, String, ReplicationGroup)>, ResourceError> {
        let request = cx.aws().elasticache.describe_replication_groups();
        let groups = pages(|marker| async {
            let request = request.clone().set_marker(marker);
            let page = cx
                .aws()
                .call_idempotent("elasticache:DescribeReplicationGroups", || {
                    request.clone().send()
                })
                .await?;
            Ok((page.replication_groups, page.marker))
        })
        .await?;
        let of_stack = groups.into_iter().filter_map(|group| {
            let name = group.replication_group_id.clone()?;
            Some((cx.names().number_of_cache(&name)?, name, group))
        });
        Ok(of_stack.collect())
    }

    /// Adds a found group to the listing.
    async fn read(
        cx: &Context,
        listing: &mut Listing<Actual>,
        number: u32,
        name: String,
        group: ReplicationGroup,
    ) -> Result<(), ResourceError> {
        let desired = cx.options().cache_number;
        let id = match desired {
            Some(desired) if desired != number => LogicalId::former(Kind::Cache, number),
            _ => LogicalId::new(Kind::Cache, "main"),
        };
        // Tags cannot be read in every state; the description, which only the creator writes, replaces
        // them.
        let tags =
            elasticache::tags_of(cx.aws(), cx.names().cache_arn("replicationgroup", &name)).await?;
        let ours = match &tags {
            Some(tags) => tags::owner(&cx.names().stack, tags).is_some(),
            None => group.description.as_deref() == Some(&description(cx)),
        };
        if !ours && number != desired.unwrap_or_default() {
            return Ok(());
        }
        if !ours {
            let why = tags::why_unmanaged(&tags.unwrap_or_default());
            listing.unmanaged.push(Unmanaged {
                id,
                physical_id: name,
                why,
            });
            return Ok(());
        }
        let token = tags.as_ref().and_then(|tags| tags.get(TOKEN_TAG).cloned());
        let nodes = group.member_clusters.unwrap_or_default();
        let mut version = tags
            .as_ref()
            .and_then(|tags| noted_version(tags, group.engine.as_deref()));
        if let (Some(_), Some(node)) = (&tags, nodes.first())
            && (version.is_none() || cx.options().inspect_engine_version)
        {
            version = Self::version_of(cx, node).await?.or(version);
        }
        let tags = tags.unwrap_or_else(|| cx.tags(&LogicalId::new(Kind::Cache, "main")));
        let endpoint = group
            .node_groups
            .unwrap_or_default()
            .into_iter()
            .find_map(|node_group| node_group.primary_endpoint)
            .and_then(|endpoint| {
                Some(format!(
                    "{}:{}",
                    endpoint.address?,
                    endpoint.port.unwrap_or(i32::from(PORT))
                ))
            });
        let phase = phase_of(group.status);
        listing.owned.push(Actual {
            id,
            group_id: name,
            number,
            phase,
            endpoint,
            engine: group.engine,
            version,
            automatic_upgrades: group.auto_minor_version_upgrade,
            node_type: group.cache_node_type,
            nodes: nodes.len(),
            failover: group.automatic_failover.map(|status| {
                matches!(
                    status,
                    AutomaticFailoverStatus::Enabled | AutomaticFailoverStatus::Enabling
                )
            }),
            multi_az: group
                .multi_az
                .map(|status| status == MultiAzStatus::Enabled),
            tls: Tls::of(
                group.transit_encryption_enabled,
                group
                    .transit_encryption_mode
                    .as_ref()
                    .map(TransitEncryptionMode::as_str),
            ),
            auth: group.auth_token_enabled,
            token,
            tags,
        });
        Ok(())
    }

    /// Reads the version of the engine from a node; `None` if the caller may not.
    async fn version_of(cx: &Context, node: &str) -> Result<Option<EngineVersion>, ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .describe_cache_clusters()
            .cache_cluster_id(node);
        let asked = cx
            .aws()
            .call_idempotent("elasticache:DescribeCacheClusters", || {
                request.clone().send()
            })
            .await;
        if matches!(&asked, Err(error) if error.class == Class::Denied) {
            return Ok(None);
        }
        let node = optional(asked)?.and_then(|answer| answer.cache_clusters?.into_iter().next());
        Ok(node.and_then(|node| EngineVersion::parse(&node.engine_version?)))
    }
}

/// The version in a tag, if the tag is about this engine.
pub(super) fn noted_version(
    tags: &BTreeMap<String, String>,
    engine: Option<&str>,
) -> Option<EngineVersion> {
    let (of, version) = tags.get(VERSION_TAG)?.split_once('-')?;
    let is_it = engine.is_none_or(|engine| engine == of);
    EngineVersion::parse(version).filter(|_| is_it)
}

impl ResourceKind for Caches {
    type Actual = Actual;
    const KIND: Kind = Kind::Cache;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        for (number, name, group) in Self::found(cx).await? {
            Self::read(cx, &mut listing, number, name, group).await?;
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let mut attributes = BTreeMap::new();
        if let Some(endpoint) = &actual.endpoint {
            attributes.insert("endpoint", endpoint.clone());
        }
        if let Some(engine) = &actual.engine {
            attributes.insert(ENGINE_ATTRIBUTE, engine.clone());
        }
        if let Some(version) = actual.version {
            attributes.insert(VERSION_ATTRIBUTE, version.to_string());
        }
        let output = Output {
            physical_id: actual.group_id.clone(),
            attributes,
        };
        Identity {
            id: actual.id.clone(),
            phase: actual.phase.clone(),
            output,
        }
    }

    async fn phase(cx: &Context, actual: &Actual) -> Result<Option<Phase>, ResourceError> {
        let group = Self::describe(cx, &actual.group_id).await?;
        Ok(group.map(|group| phase_of(group.status)))
    }

    /// The counted usage.
    async fn empty(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        usage::empty(cx, &actual.id).await
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .delete_replication_group()
            .replication_group_id(&actual.group_id);
        optional(
            cx.aws()
                .call_idempotent("elasticache:DeleteReplicationGroup", || {
                    request.clone().send()
                })
                .await,
        )?;
        Ok(())
    }
}

/// The phase of a group with this status. Source: the API reference of ElastiCache (`ReplicationGroup`,
/// `CacheCluster`).
fn phase_of(status: Option<String>) -> Phase {
    let Some(status) = status else {
        return Phase::Unknown("without a status".to_owned());
    };
    match status.as_str() {
        // A group that takes a snapshot accepts reads and writes.
        "available" | "snapshotting" => Phase::Ready,
        "creating" | "modifying" | "rebooting cluster nodes" => Phase::Pending(status),
        "deleting" | "deleted" => Phase::Deleting(status),
        "create-failed" => Phase::Failed(status),
        "incompatible-network" => Phase::Blocked {
            state: status,
            hint: "ElastiCache cannot work in its subnets: check that the subnets of its subnet group exist and have free \
                   addresses; if that is not the cause, `threescale-gw down` and `up` recreate the stack",
        },
        "incompatible-parameters" | "restore-failed" => Phase::Blocked {
            state: status,
            hint: "look at the events of the replication group in ElastiCache; `threescale-gw down` and `up` recreate the stack",
        },
        _ => Phase::Unknown(status),
    }
}

pub(super) fn description(cx: &Context) -> String {
    format!("threescale-gw stack {}", cx.names().stack)
}

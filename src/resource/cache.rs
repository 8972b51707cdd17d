//! The cache, as a replication group: only a replication group supports TLS, an AUTH token and
//! encryption at rest, even with one node.

use std::collections::BTreeMap;

use aws_sdk_elasticache::types::{AutomaticFailoverStatus, MultiAzStatus, ReplicationGroup};

use super::parameter::{CACHE_AUTH_TOKEN, FINGERPRINT, Secrets, fingerprint};
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Output, Phase, Resource, ResourceError,
    ResourceKind, Unmanaged,
};
use crate::aws::{elasticache, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const AUTH_TOKEN: Field = Field::Property("auth token");
const AUTH_TOKEN_IN_USE: Field = Field::Property("auth token in use");
const AUTOMATIC_FAILOVER: Field = Field::Property("automatic failover");
const ENGINE: Field = Field::Property("engine");
const MULTI_AZ: Field = Field::Property("multi-AZ");
const NODE_TYPE: Field = Field::Property("node type");
const REPLICAS: Field = Field::Property("replicas");
const SUBNET_GROUP: Field = Field::Property("subnet group");
const TLS: Field = Field::Property("tls");

/// The port of the cache.
pub const PORT: u16 = 6379;
/// The tag with the fingerprint of the AUTH token; the service reports only that there is a token.
const TOKEN_TAG: &str = "threescale-gw:auth-token";

/// The actual replication group.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    group_id: String,
    phase: Phase,
    /// `host:port`, once the group has an endpoint.
    endpoint: Option<String>,
    // `None` is a property that the service does not report: older responses lack some.
    engine: Option<String>,
    node_type: Option<String>,
    nodes: usize,
    failover: Option<bool>,
    multi_az: Option<bool>,
    tls: Option<bool>,
    auth: Option<bool>,
    /// The fingerprint of the AUTH token; `None` if it is unknown.
    token: Option<String>,
    tags: BTreeMap<String, String>,
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
}

impl ResourceKind for Caches {
    type Actual = Actual;
    const KIND: Kind = Kind::Cache;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let name = cx.names().cache();
        let mut listing = Listing::default();
        let Some(group) = Self::describe(cx, &name).await? else {
            return Ok(listing);
        };
        let id = LogicalId::new(Kind::Cache, "main");
        // Tags cannot be read in every state; the description, which only the creator writes, replaces
        // them.
        let tags =
            elasticache::tags_of(cx.aws(), cx.names().cache_arn("replicationgroup", &name)).await?;
        let ours = match &tags {
            Some(tags) => tags::owner(&cx.names().stack, tags).is_some(),
            None => group.description.as_deref() == Some(&description(cx)),
        };
        if !ours {
            let why = "is not managed by this stack (no stack tag)".to_owned();
            listing.unmanaged.push(Unmanaged {
                id,
                physical_id: name,
                why,
            });
            return Ok(listing);
        }
        let token = tags.as_ref().and_then(|tags| tags.get(TOKEN_TAG).cloned());
        let tags = tags.unwrap_or_else(|| cx.tags(&id));
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
            group_id: group.replication_group_id.unwrap_or(name),
            phase,
            endpoint,
            engine: group.engine,
            node_type: group.cache_node_type,
            nodes: group.member_clusters.map_or(0, |members| members.len()),
            failover: group.automatic_failover.map(|status| {
                matches!(
                    status,
                    AutomaticFailoverStatus::Enabled | AutomaticFailoverStatus::Enabling
                )
            }),
            multi_az: group
                .multi_az
                .map(|status| status == MultiAzStatus::Enabled),
            tls: group.transit_encryption_enabled,
            auth: group.auth_token_enabled,
            token,
            tags,
        });
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let mut attributes = BTreeMap::new();
        if let Some(endpoint) = &actual.endpoint {
            attributes.insert("endpoint", endpoint.clone());
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

/// The desired cache.
#[derive(Debug)]
pub struct Cache {
    /// `redis` or `valkey`.
    pub engine: &'static str,
    pub node_type: String,
    pub replicas: u8,
    /// Whether the replicas can be in another Availability Zone.
    pub multi_az: bool,
    /// TLS, which is required for the AUTH token.
    pub tls: bool,
    pub subnet_group: LogicalId,
    pub security_group: LogicalId,
    /// The AUTH token, if TLS is on.
    pub auth_token: Option<LogicalId>,
}

impl Cache {
    /// Whether automatic failover is on, and whether it is Multi-AZ.
    fn failover(&self) -> (bool, bool) {
        let several = self.replicas > 0;
        (several, several && self.multi_az)
    }

    async fn write_failover(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let (failover, multi_az) = self.failover();
        let request = cx
            .aws()
            .elasticache
            .modify_replication_group()
            .replication_group_id(&actual.group_id)
            .automatic_failover_enabled(failover)
            .multi_az_enabled(multi_az)
            .apply_immediately(true);
        cx.aws()
            .call_idempotent("elasticache:ModifyReplicationGroup", || {
                request.clone().send()
            })
            .await?;
        Ok(())
    }
}

impl Resource for Cache {
    type Kind = Caches;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        let mut needs = vec![self.subnet_group.clone(), self.security_group.clone()];
        needs.extend(self.auth_token.clone());
        needs
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.known_immutable(ENGINE, actual.engine.as_ref(), self.engine);
        diff.known_immutable(TLS, actual.tls, self.tls);
        diff.known_immutable(AUTH_TOKEN, actual.auth, self.tls);
        let has_token = actual.auth.unwrap_or(true) && self.tls;
        if let (Some(token), Some(made_with), true) = (&self.auth_token, &actual.token, has_token) {
            // A lost or changed token blocks all access: only a new cache accepts a new token at once.
            let token = cx
                .known_output(token)
                .and_then(|token| token.attributes.get(FINGERPRINT).cloned());
            let token = token.unwrap_or_else(|| NEW.to_owned());
            diff.immutable(AUTH_TOKEN_IN_USE, made_with, token);
        }
        diff.reference(
            SUBNET_GROUP,
            &cx.names().cache_subnet_group(),
            cx.known_output(&self.subnet_group),
        );
        diff.known(NODE_TYPE, actual.node_type.as_ref(), &self.node_type);
        // The members of a new group are not all listed yet.
        if actual.nodes > 0 {
            diff.field(REPLICAS, actual.nodes - 1, usize::from(self.replicas));
            let on = |on| if on { "on" } else { "off" };
            let (failover, multi_az) = self.failover();
            diff.known(AUTOMATIC_FAILOVER, actual.failover.map(on), on(failover));
            diff.known(MULTI_AZ, actual.multi_az.map(on), on(multi_az));
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let mut tags = cx.tags(&LogicalId::new(Kind::Cache, self.name()));
        let token = match self.auth_token {
            Some(_) => Some(Secrets::value(cx, CACHE_AUTH_TOKEN).await?),
            None => None,
        };
        tags.extend(
            token
                .as_ref()
                .map(|token| (TOKEN_TAG.to_owned(), fingerprint(token))),
        );
        let (failover, multi_az) = self.failover();
        let mut request = cx
            .aws()
            .elasticache
            .create_replication_group()
            .replication_group_id(cx.names().cache())
            .replication_group_description(description(cx))
            .engine(self.engine)
            .cache_node_type(&self.node_type)
            .num_cache_clusters(i32::from(self.replicas) + 1)
            .automatic_failover_enabled(failover)
            .multi_az_enabled(multi_az)
            .cache_subnet_group_name(cx.physical_id(&self.subnet_group)?)
            .security_group_ids(cx.physical_id(&self.security_group)?)
            .port(i32::from(PORT))
            .at_rest_encryption_enabled(true)
            .transit_encryption_enabled(self.tls)
            .set_tags(Some(elasticache::to_tags(tags)));
        if let Some(token) = &token {
            request = request.auth_token(token.expose());
        }
        cx.aws()
            .call_non_idempotent("elasticache:CreateReplicationGroup", || {
                request.clone().send()
            })
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&NODE_TYPE) {
            let request = cx
                .aws()
                .elasticache
                .modify_replication_group()
                .replication_group_id(&actual.group_id)
                .cache_node_type(&self.node_type)
                .apply_immediately(true);
            cx.aws()
                .call_idempotent("elasticache:ModifyReplicationGroup", || {
                    request.clone().send()
                })
                .await?;
            // The group is now in state `modifying`; other differences are updated when it is available again.
            return Ok(());
        }
        let fails_over_anew = diff.has(&AUTOMATIC_FAILOVER) || diff.has(&MULTI_AZ);
        // The last replica can be removed only after failover is off, and failover needs a replica.
        if fails_over_anew && self.replicas == 0 {
            return self.write_failover(cx, actual).await;
        }
        if diff.has(&REPLICAS) {
            let replicas = i32::from(self.replicas);
            if usize::from(self.replicas) + 1 > actual.nodes {
                let request = cx
                    .aws()
                    .elasticache
                    .increase_replica_count()
                    .replication_group_id(&actual.group_id)
                    .new_replica_count(replicas)
                    .apply_immediately(true);
                cx.aws()
                    .call_idempotent("elasticache:IncreaseReplicaCount", || {
                        request.clone().send()
                    })
                    .await?;
            } else {
                let request = cx
                    .aws()
                    .elasticache
                    .decrease_replica_count()
                    .replication_group_id(&actual.group_id)
                    .new_replica_count(replicas)
                    .apply_immediately(true);
                cx.aws()
                    .call_idempotent("elasticache:DecreaseReplicaCount", || {
                        request.clone().send()
                    })
                    .await?;
            }
            return Ok(());
        }
        if fails_over_anew {
            return self.write_failover(cx, actual).await;
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        let arn = cx.names().cache_arn("replicationgroup", &actual.group_id);
        Ok(elasticache::write_tags(cx.aws(), arn, missing).await?)
    }
}

fn description(cx: &Context) -> String {
    format!("threescale-gw stack {}", cx.names().stack)
}

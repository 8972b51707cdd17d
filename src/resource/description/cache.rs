//! The caches, and what they need.

use aws_sdk_elasticache::types::{
    AutomaticFailoverStatus, CacheCluster, MultiAzStatus, ReplicationGroup, ServerlessCache as Live,
};

use super::{Found, What, incomplete};
use crate::aws::{elasticache, optional};
use crate::resource::{Context, ResourceError};

/// A replication group with one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    pub group_id: String,
    pub description: String,
    pub engine: String,
    pub version: String,
    pub node_type: String,
    pub nodes: usize,
    pub fails_over: bool,
    pub multi_az: bool,
    pub subnet_group: String,
    pub security_groups: Vec<String>,
    pub port: i32,
    pub at_rest_encryption: bool,
    pub tls: bool,
    /// `required` or `preferred`.
    pub tls_mode: Option<String>,
    pub has_token: bool,
    pub automatic_upgrades: bool,
    pub snapshot_days: i32,
}

/// A user of a serverless cache. Its password is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUser {
    pub user_id: String,
    pub user_name: String,
    pub engine: String,
    pub access: String,
}

/// A serverless cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerlessCache {
    pub name: String,
    pub description: String,
    pub engine: String,
    pub major_version: String,
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub user_group: Option<String>,
    /// The least and the most of data, in GB.
    pub gigabytes: (Option<i32>, Option<i32>),
    /// The least and the most of ECPUs a second.
    pub ecpus: (Option<i32>, Option<i32>),
    pub snapshot_days: i32,
}

async fn tags(
    cx: &Context,
    kind: &str,
    name: &str,
) -> Result<std::collections::BTreeMap<String, String>, ResourceError> {
    let arn = cx.names().cache_arn(kind, name);
    let tags = elasticache::tags_of(cx.aws(), arn).await?;
    Ok(tags.unwrap_or_default())
}

pub(super) async fn subnet_group(cx: &Context, name: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().elasticache.describe_cache_subnet_groups();
    let request = request.cache_subnet_group_name(name);
    let asked = cx
        .aws()
        .call_idempotent("elasticache:DescribeCacheSubnetGroups", || {
            request.clone().send()
        })
        .await;
    let found = optional(asked)?.and_then(|answer| answer.cache_subnet_groups?.pop());
    let Some(found) = found else {
        return Ok(None);
    };
    let subnets = found.subnets.unwrap_or_default().into_iter();
    let mut subnets: Vec<_> = subnets
        .filter_map(|subnet| subnet.subnet_identifier)
        .collect();
    subnets.sort_unstable();
    let what = What::CacheSubnetGroup {
        name: name.to_owned(),
        description: found.cache_subnet_group_description.unwrap_or_default(),
        subnets,
    };
    Ok(Some((what, tags(cx, "subnetgroup", name).await?)))
}

pub(super) async fn replication_group(
    cx: &Context,
    group_id: &str,
) -> Result<Found, ResourceError> {
    const NODES: &str = "elasticache:DescribeCacheClusters";
    let request = cx.aws().elasticache.describe_replication_groups();
    let request = request.replication_group_id(group_id);
    let asked = cx
        .aws()
        .call_idempotent("elasticache:DescribeReplicationGroups", || {
            request.clone().send()
        })
        .await;
    let found = optional(asked)?.and_then(|answer| answer.replication_groups?.pop());
    let Some(found) = found else {
        return Ok(None);
    };
    let node = found.member_clusters().first();
    let node = node.ok_or_else(|| incomplete("elasticache:DescribeReplicationGroups", "node"))?;
    let request = cx.aws().elasticache.describe_cache_clusters();
    let request = request.cache_cluster_id(node);
    let answer = cx
        .aws()
        .call_idempotent(NODES, || request.clone().send())
        .await?;
    let node = answer.cache_clusters.and_then(|mut all| all.pop());
    let node = node.ok_or_else(|| incomplete(NODES, "node"))?;
    let tags = tags(cx, "replicationgroup", group_id).await?;
    Ok(Some((What::Cache(of_group(group_id, found, node)), tags)))
}

/// A group and one of its nodes, which alone tells the version, the subnet group and the security groups.
fn of_group(group_id: &str, group: ReplicationGroup, node: CacheCluster) -> Cache {
    let endpoint = group
        .node_groups()
        .iter()
        .find_map(|shard| shard.primary_endpoint.clone());
    let security_groups = node.security_groups.unwrap_or_default().into_iter();
    let mut security_groups: Vec<_> = security_groups
        .filter_map(|group| group.security_group_id)
        .collect();
    security_groups.sort_unstable();
    Cache {
        group_id: group_id.to_owned(),
        nodes: group.member_clusters().len(),
        description: group.description.unwrap_or_default(),
        engine: group.engine.or(node.engine).unwrap_or_default(),
        version: node.engine_version.unwrap_or_default(),
        node_type: group
            .cache_node_type
            .or(node.cache_node_type)
            .unwrap_or_default(),
        fails_over: group.automatic_failover.is_some_and(|status| {
            matches!(
                status,
                AutomaticFailoverStatus::Enabled | AutomaticFailoverStatus::Enabling
            )
        }),
        multi_az: group.multi_az == Some(MultiAzStatus::Enabled),
        subnet_group: node.cache_subnet_group_name.unwrap_or_default(),
        security_groups,
        port: endpoint
            .and_then(|endpoint| endpoint.port)
            .unwrap_or(i32::from(crate::resource::cache_group::PORT)),
        at_rest_encryption: group.at_rest_encryption_enabled.unwrap_or_default(),
        tls: group.transit_encryption_enabled.unwrap_or_default(),
        tls_mode: group
            .transit_encryption_mode
            .map(|mode| mode.as_str().to_owned()),
        has_token: group.auth_token_enabled.unwrap_or_default(),
        automatic_upgrades: group
            .auto_minor_version_upgrade
            .or(node.auto_minor_version_upgrade)
            .unwrap_or_default(),
        snapshot_days: group.snapshot_retention_limit.unwrap_or_default(),
    }
}

pub(super) async fn user(cx: &Context, user_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().elasticache.describe_users().user_id(user_id);
    let asked = cx
        .aws()
        .call_idempotent("elasticache:DescribeUsers", || request.clone().send())
        .await;
    let Some(found) = optional(asked)?.and_then(|answer| answer.users?.pop()) else {
        return Ok(None);
    };
    let user = CacheUser {
        user_id: user_id.to_owned(),
        user_name: found.user_name.unwrap_or_default(),
        engine: found.engine.unwrap_or_default(),
        access: found.access_string.unwrap_or_default(),
    };
    Ok(Some((
        What::CacheUser(user),
        tags(cx, "user", user_id).await?,
    )))
}

pub(super) async fn user_group(cx: &Context, group_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().elasticache.describe_user_groups();
    let request = request.user_group_id(group_id);
    let asked = cx
        .aws()
        .call_idempotent("elasticache:DescribeUserGroups", || request.clone().send())
        .await;
    let Some(found) = optional(asked)?.and_then(|answer| answer.user_groups?.pop()) else {
        return Ok(None);
    };
    let mut users = found.user_ids.unwrap_or_default();
    users.sort_unstable();
    let what = What::CacheUserGroup {
        group_id: group_id.to_owned(),
        engine: found.engine.unwrap_or_default(),
        users,
    };
    Ok(Some((what, tags(cx, "usergroup", group_id).await?)))
}

pub(super) async fn serverless(cx: &Context, name: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().elasticache.describe_serverless_caches();
    let request = request.serverless_cache_name(name);
    let asked = cx
        .aws()
        .call_idempotent("elasticache:DescribeServerlessCaches", || {
            request.clone().send()
        })
        .await;
    let found = optional(asked)?.and_then(|answer| answer.serverless_caches?.pop());
    let Some(found) = found else {
        return Ok(None);
    };
    let what = What::ServerlessCache(of_serverless(name, found));
    Ok(Some((what, tags(cx, "serverlesscache", name).await?)))
}

fn of_serverless(name: &str, found: Live) -> ServerlessCache {
    let limits = found.cache_usage_limits;
    let (data, ecpus) = limits.map_or((None, None), |limits| {
        (limits.data_storage, limits.ecpu_per_second)
    });
    let sorted = |ids: Option<Vec<String>>| {
        let mut ids = ids.unwrap_or_default();
        ids.sort_unstable();
        ids
    };
    ServerlessCache {
        name: name.to_owned(),
        description: found.description.unwrap_or_default(),
        engine: found.engine.unwrap_or_default(),
        major_version: found.major_engine_version.unwrap_or_default(),
        subnets: sorted(found.subnet_ids),
        security_groups: sorted(found.security_group_ids),
        user_group: found.user_group_id.filter(|group| !group.is_empty()),
        gigabytes: data.map_or((None, None), |data| (data.minimum, data.maximum)),
        ecpus: ecpus.map_or((None, None), |ecpus| (ecpus.minimum, ecpus.maximum)),
        snapshot_days: found.snapshot_retention_limit.unwrap_or_default(),
    }
}

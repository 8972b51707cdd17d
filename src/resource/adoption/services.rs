//! Reads what is in a VPC beside the network itself: functions and caches, and the authorizers of the API.

use aws_sdk_elasticache::types::{CacheCluster, CacheSubnetGroup};
use aws_sdk_lambda::types::FunctionConfiguration;

use super::found;
use crate::api_gateway;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class};
use crate::notice::NoticeCode;
use crate::resource::{Context, ResourceError};

/// Notes what cannot be listed.
pub(super) fn note(cx: &Context, what: &str, error: &AwsError) {
    let text = format!("{what} is not known, and AWS does not delete the VPC then: {error}");
    cx.sink().finding(NoticeCode::NotKnown, text);
}

/// The answer, or nothing if the caller may not ask.
fn allowed<T: Default>(
    cx: &Context,
    what: &str,
    answer: Result<T, AwsError>,
) -> Result<T, ResourceError> {
    match answer {
        Err(error) if error.class == Class::Denied => {
            note(cx, what, &error);
            Ok(T::default())
        }
        answer => Ok(answer?),
    }
}

/// The functions in the VPC.
pub(super) async fn functions(
    cx: &Context,
    vpc: &str,
) -> Result<Vec<found::Function>, ResourceError> {
    let request = cx.aws().lambda.list_functions();
    let listed: Result<Vec<FunctionConfiguration>, _> = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("lambda:ListFunctions", || request.clone().send())
            .await?;
        Ok((page.functions, page.next_marker))
    })
    .await;
    let listed = allowed(cx, "which functions are in the VPC", listed)?;
    let is_in = |function: &FunctionConfiguration| {
        let config = function.vpc_config.as_ref();
        config.and_then(|config| config.vpc_id.as_deref()) == Some(vpc)
    };
    let found = listed.into_iter().filter(is_in);
    let function = |found: FunctionConfiguration| found::Function {
        name: found.function_name.unwrap_or_default(),
        role: found.role.unwrap_or_default(),
    };
    Ok(found.map(function).collect())
}

/// The caches in the VPC, and the names of its cache subnet groups.
pub(super) async fn caches(
    cx: &Context,
    vpc: &str,
) -> Result<(Vec<found::Cache>, Vec<String>), ResourceError> {
    const WHAT: &str = "which caches are in the VPC";
    let request = cx.aws().elasticache.describe_cache_subnet_groups();
    let groups: Result<Vec<CacheSubnetGroup>, _> = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("elasticache:DescribeCacheSubnetGroups", || {
                request.clone().send()
            })
            .await?;
        Ok((page.cache_subnet_groups, page.marker))
    })
    .await;
    let groups = allowed(cx, WHAT, groups)?;
    let groups: Vec<_> = groups
        .into_iter()
        .filter(|group| group.vpc_id.as_deref() == Some(vpc))
        .filter_map(|group| group.cache_subnet_group_name)
        .collect();
    if groups.is_empty() {
        return Ok((Vec::new(), groups));
    }
    let request = cx
        .aws()
        .elasticache
        .describe_cache_clusters()
        .show_cache_node_info(true);
    let clusters: Result<Vec<CacheCluster>, _> = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("elasticache:DescribeCacheClusters", || {
                request.clone().send()
            })
            .await?;
        Ok((page.cache_clusters, page.marker))
    })
    .await;
    let clusters = allowed(cx, WHAT, clusters)?.into_iter();
    let mut caches: Vec<_> = clusters
        .filter(|cluster| {
            let group = cluster.cache_subnet_group_name.as_ref();
            group.is_some_and(|group| groups.contains(group))
        })
        .filter_map(cache)
        .collect();
    // Each node of a replication group is a cluster.
    caches.sort_by(|one, other| one.name.cmp(&other.name));
    caches.dedup_by(|one, other| one.name == other.name);
    Ok((caches, groups))
}

fn cache(cluster: CacheCluster) -> Option<found::Cache> {
    let scheme = match cluster.transit_encryption_enabled {
        Some(true) => "rediss",
        _ => "redis",
    };
    let is_memcached = cluster.engine.as_deref() == Some("memcached");
    let group = cluster.replication_group_id.filter(|id| !id.is_empty());
    let mut nodes = cluster.cache_nodes.unwrap_or_default().into_iter();
    let node = nodes.next().and_then(|node| node.endpoint);
    let url = match (&group, node) {
        _ if is_memcached => None,
        (Some(_), _) => Some(format!("{scheme}://<its primary endpoint>:6379")),
        (None, Some(node)) => node
            .address
            .map(|address| format!("{scheme}://{address}:{}", node.port.unwrap_or(6379))),
        (None, None) => None,
    };
    Some(found::Cache {
        is_group: group.is_some(),
        name: group.or(cluster.cache_cluster_id)?,
        url,
    })
}

/// The authorizers of the API that invoke functions.
pub(super) async fn authorizers(
    cx: &Context,
    api: Option<&str>,
) -> Result<Vec<found::Authorizer>, ResourceError> {
    let Some(api) = api else {
        return Ok(Vec::new());
    };
    let api = api_gateway::identify(cx, api).await?;
    let authorizers = api_gateway::authorizers(cx, api).await?;
    let invoking: Vec<_> = authorizers
        .iter()
        .filter(|one| one.uri.contains(":lambda:"))
        .collect();
    if invoking.is_empty() {
        return Ok(Vec::new());
    }
    let methods = api_gateway::methods(cx, api).await?;
    let authorizer = |one: &api_gateway::Authorizer| found::Authorizer {
        id: one.id.clone(),
        name: one.name.clone(),
        kind: one.kind.clone(),
        methods: methods
            .iter()
            .filter(|method| method.authorizer_id.as_ref() == Some(&one.id))
            .map(api_gateway::Method::label)
            .collect(),
    };
    Ok(invoking.into_iter().map(authorizer).collect())
}

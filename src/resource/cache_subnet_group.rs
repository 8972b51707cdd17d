//! The cache subnet group of the private subnets.

use std::collections::BTreeMap;

use super::{
    Context, Diff, Field, Identity, Listing, Output, Phase, Reference, Resource, ResourceError,
    ResourceKind, Unmanaged, joined, sorted,
};
use crate::aws::{elasticache, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const SUBNETS: Field = Field::Property("subnets");

/// The actual cache subnet group.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    name: String,
    pub(super) subnets: Vec<String>,
    tags: BTreeMap<String, String>,
}

/// Subnet groups of ElastiCache.
#[derive(Debug)]
pub struct CacheSubnetGroups;

impl ResourceKind for CacheSubnetGroups {
    type Actual = Actual;
    const KIND: Kind = Kind::CacheSubnetGroup;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let name = cx.names().cache_subnet_group();
        let request = cx
            .aws()
            .elasticache
            .describe_cache_subnet_groups()
            .cache_subnet_group_name(&name);
        let answer = optional(
            cx.aws()
                .call_idempotent("elasticache:DescribeCacheSubnetGroups", || {
                    request.clone().send()
                })
                .await,
        )?;
        let mut listing = Listing::default();
        let Some(group) = answer.and_then(|answer| answer.cache_subnet_groups?.into_iter().next())
        else {
            return Ok(listing);
        };
        let tags = elasticache::tags_of(cx.aws(), cx.names().cache_arn("subnetgroup", &name))
            .await?
            .unwrap_or_default();
        match tags::owner(&cx.names().stack, &tags) {
            Some(id) => {
                let subnets = group
                    .subnets
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|s| s.subnet_identifier)
                    .collect();
                listing.owned.push(Actual {
                    id,
                    name,
                    subnets,
                    tags,
                });
            }
            None => listing.unmanaged.push(Unmanaged {
                id: LogicalId::new(Kind::CacheSubnetGroup, "main"),
                physical_id: name,
                why: "is not managed by this stack (no stack tag)".to_owned(),
            }),
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let output = Output {
            physical_id: actual.name.clone(),
            ..Output::default()
        };
        Identity {
            id: actual.id.clone(),
            phase: Phase::Ready,
            output,
        }
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .delete_cache_subnet_group()
            .cache_subnet_group_name(&actual.name);
        optional(
            cx.aws()
                .call_idempotent("elasticache:DeleteCacheSubnetGroup", || {
                    request.clone().send()
                })
                .await,
        )?;
        Ok(())
    }
}

/// The desired cache subnet group.
#[derive(Debug)]
pub struct CacheSubnetGroup {
    pub subnets: Vec<Reference>,
}

impl CacheSubnetGroup {
    fn subnet_ids(&self, cx: &Context) -> Result<Vec<String>, ResourceError> {
        self.subnets
            .iter()
            .map(|subnet| subnet.resolve(cx))
            .collect()
    }
}

impl Resource for CacheSubnetGroup {
    type Kind = CacheSubnetGroups;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        self.subnets.iter().filter_map(Reference::need).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        // A group cannot move to another VPC, and a cache in it keeps the old subnets in use.
        let moved = self.subnets.iter().all(|subnet| {
            subnet
                .known_output(cx)
                .is_none_or(|id| !actual.subnets.contains(&id))
        });
        if moved {
            diff.immutable(
                SUBNETS,
                sorted(actual.subnets.clone()),
                joined(&self.subnets, cx),
            );
        } else {
            diff.field(
                SUBNETS,
                sorted(actual.subnets.clone()),
                joined(&self.subnets, cx),
            );
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::CacheSubnetGroup, self.name()));
        let request = cx
            .aws()
            .elasticache
            .create_cache_subnet_group()
            .cache_subnet_group_name(cx.names().cache_subnet_group())
            .cache_subnet_group_description(format!("threescale-gw stack {}", cx.names().stack))
            .set_subnet_ids(Some(self.subnet_ids(cx)?))
            .set_tags(Some(elasticache::to_tags(tags)));
        cx.aws()
            .call_non_idempotent("elasticache:CreateCacheSubnetGroup", || {
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
        if diff.has(&SUBNETS) {
            let request = cx
                .aws()
                .elasticache
                .modify_cache_subnet_group()
                .cache_subnet_group_name(&actual.name)
                .set_subnet_ids(Some(self.subnet_ids(cx)?));
            cx.aws()
                .call_idempotent("elasticache:ModifyCacheSubnetGroup", || {
                    request.clone().send()
                })
                .await?;
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        let arn = cx.names().cache_arn("subnetgroup", &actual.name);
        Ok(elasticache::write_tags(cx.aws(), arn, missing).await?)
    }
}

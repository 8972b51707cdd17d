//! The cache subnet group of the private subnets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Context, Diff, Field, Home, Identity, List, Listing, Reference, Resource, ResourceError,
    ResourceKind, Unmanaged, listed,
};
use crate::aws::paginate::pages;
use crate::aws::{elasticache, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const SUBNETS: Field = Field::Property("subnets");

/// The actual cache subnet group.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    name: String,
    subnets: Vec<String>,
    tags: BTreeMap<String, String>,
}

/// A group with a name of the stack, as the service has it.
#[derive(Debug, Clone)]
struct Found {
    number: u32,
    name: String,
    /// `None` if it is another owner's.
    owner: Option<LogicalId>,
    vpc: Option<String>,
    subnets: Vec<String>,
    tags: BTreeMap<String, String>,
}

impl Found {
    fn actual(self, id: LogicalId) -> Actual {
        Actual {
            id,
            name: self.name,
            subnets: self.subnets,
            tags: self.tags,
        }
    }

    /// Whether a cache in this group can stay in the desired network. `created` are the stack's own VPCs.
    fn is_in_place(&self, home: &Home, created: &BTreeSet<String>) -> bool {
        // An unknown VPC is no reason for another cache.
        let is_in = |vpcs: &dyn Fn(&String) -> bool| self.vpc.as_ref().is_none_or(vpcs);
        match home {
            Home::Created => is_in(&|vpc| created.contains(vpc)),
            Home::Outside => false,
            // A group cannot leave the subnets in which its cache is.
            Home::Given { vpc, subnets } => {
                is_in(&|of| of == vpc)
                    && (self.subnets.is_empty()
                        || self.subnets.iter().any(|id| subnets.contains(id)))
            }
        }
    }
}

/// A group with a name of the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub number: u32,
    pub is_ours: bool,
    /// Whether a cache in the group can stay in the desired network.
    pub is_in_place: bool,
}

/// Subnet groups of ElastiCache.
#[derive(Debug)]
pub struct CacheSubnetGroups;

impl CacheSubnetGroups {
    /// The numbers in the names of subnet groups. `created` are the stack's own VPCs.
    ///
    /// # Errors
    /// When a listing fails.
    pub(super) async fn numbers(
        cx: &Context,
        home: &Home,
        created: &BTreeSet<String>,
    ) -> Result<Vec<Numbered>, ResourceError> {
        let found = Self::found(cx).await?;
        let numbered = found.iter().map(|group| Numbered {
            number: group.number,
            is_ours: group.owner.is_some(),
            is_in_place: group.is_in_place(home, created),
        });
        Ok(numbered.collect())
    }

    /// The subnets of the stack's groups.
    ///
    /// # Errors
    /// When a listing fails.
    pub(super) async fn subnets(cx: &Context) -> Result<Vec<String>, ResourceError> {
        let found = Self::found(cx).await?;
        let ours = found.iter().filter(|group| group.owner.is_some());
        Ok(ours.flat_map(|group| group.subnets.clone()).collect())
    }

    /// Every group that has a name of the stack. One listing, however many there are.
    async fn found(cx: &Context) -> Result<Arc<Vec<Found>>, ResourceError> {
        let ask = Self::ask(cx);
        cx.listings().get_or_fetch("cache subnet groups", ask).await
    }

    async fn ask(cx: &Context) -> Result<Vec<Found>, ResourceError> {
        let request = cx.aws().elasticache.describe_cache_subnet_groups();
        let groups = pages(|marker| async {
            let request = request.clone().set_marker(marker);
            let page = cx
                .aws()
                .call_idempotent("elasticache:DescribeCacheSubnetGroups", || {
                    request.clone().send()
                })
                .await?;
            Ok((page.cache_subnet_groups, page.marker))
        })
        .await?;
        let mut found = Vec::new();
        for group in groups {
            let Some(name) = group.cache_subnet_group_name else {
                continue;
            };
            let Some(number) = cx.names().number_of_cache_subnet_group(&name) else {
                continue;
            };
            let arn = cx.names().cache_arn("subnetgroup", &name);
            let tags = elasticache::tags_of(cx.aws(), arn)
                .await?
                .unwrap_or_default();
            let subnets = group.subnets.unwrap_or_default().into_iter();
            found.push(Found {
                number,
                name,
                owner: tags::owner(&cx.names().stack, &tags),
                vpc: group.vpc_id.filter(|vpc| !vpc.is_empty()),
                subnets: subnets.filter_map(|s| s.subnet_identifier).collect(),
                tags,
            });
        }
        Ok(found)
    }
}

impl ResourceKind for CacheSubnetGroups {
    type Actual = Actual;
    const KIND: Kind = Kind::CacheSubnetGroup;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let desired = cx.options().cache_number;
        let mut listing = Listing::default();
        for group in Self::found(cx).await?.iter().cloned() {
            let is_desired = desired.is_none_or(|desired| desired == group.number);
            match group.owner {
                Some(_) if !is_desired => {
                    let id = LogicalId::former(Kind::CacheSubnetGroup, group.number);
                    listing.owned.push(group.actual(id));
                }
                Some(ref id) => {
                    let id = id.clone();
                    listing.owned.push(group.actual(id));
                }
                None if group.number == desired.unwrap_or_default() => {
                    listing.unmanaged.push(Unmanaged::named(
                        Kind::CacheSubnetGroup,
                        "main",
                        group.name,
                        &group.tags,
                    ));
                }
                None => {}
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.name.clone())
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
        let (subnets, wanted) = (
            List::sorted(actual.subnets.clone()),
            listed(&self.subnets, cx),
        );
        match moved {
            true => diff.immutable(SUBNETS, subnets, wanted),
            false => diff.field(SUBNETS, subnets, wanted),
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::CacheSubnetGroup, self.name()));
        let number = cx.options().cache_number.unwrap_or_default();
        let request = cx
            .aws()
            .elasticache
            .create_cache_subnet_group()
            .cache_subnet_group_name(cx.names().cache_subnet_group(number))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_stays_in_a_network_with_its_vpc_and_one_of_its_subnets() {
        let group = |vpc: Option<&str>, subnet: &str| Found {
            number: 0,
            name: "cache".to_owned(),
            owner: None,
            vpc: vpc.map(str::to_owned),
            subnets: vec![subnet.to_owned()],
            tags: BTreeMap::new(),
        };
        let given = |vpc: &str, subnet: &str| Home::Given {
            vpc: vpc.to_owned(),
            subnets: vec![subnet.to_owned()],
        };
        let created = BTreeSet::from(["vpc-1".to_owned()]);
        for (vpc, subnet, home, stays) in [
            (Some("vpc-1"), "s-1", Home::Created, true),
            (Some("vpc-2"), "s-2", Home::Created, false),
            (None, "s-2", Home::Created, true),
            (Some("vpc-2"), "s-2", given("vpc-2", "s-2"), true),
            // Another subnet of the same VPC.
            (Some("vpc-2"), "s-2", given("vpc-2", "s-3"), false),
            (Some("vpc-1"), "s-1", given("vpc-2", "s-2"), false),
            (Some("vpc-1"), "s-1", Home::Outside, false),
        ] {
            let found = group(vpc, subnet);
            assert_eq!(found.is_in_place(&home, &created), stays, "{home:?}");
        }
    }
}

//! The cache subnet group of the private subnets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Context, Diff, Field, Home, Identity, Listing, Reference, Resource, ResourceError,
    ResourceKind, Unmanaged, joined, sorted,
};
use crate::aws::paginate::pages;
use crate::aws::{elasticache, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::CACHES;

const SUBNETS: Field = Field::Property("subnets");

/// The actual cache subnet group.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    name: String,
    pub(super) subnets: Vec<String>,
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

/// The number of the desired cache. A cache cannot move to another network, and its name is unique in the account: a
/// cache in the desired network keeps its number, and otherwise the new one gets a number that is not taken.
fn choose(found: &[Found], home: &Home, created: &BTreeSet<String>) -> u32 {
    let ours = || found.iter().filter(|group| group.owner.is_some());
    let stays = ours().filter(|group| group.is_in_place(home, created));
    if let Some(number) = stays.map(|group| group.number).min() {
        return number;
    }
    if ours().next().is_none() {
        return 0;
    }
    let is_taken = |number: &u32| found.iter().any(|group| group.number == *number);
    let mut free = (0..CACHES).filter(|number| !is_taken(number));
    free.next().unwrap_or_default()
}

/// Subnet groups of ElastiCache.
#[derive(Debug)]
pub struct CacheSubnetGroups;

impl CacheSubnetGroups {
    /// The number in the names of the desired cache and its subnet group. `created` are the stack's own VPCs.
    ///
    /// # Errors
    /// When a listing fails.
    pub async fn number(
        cx: &Context,
        home: &Home,
        created: &BTreeSet<String>,
    ) -> Result<u32, ResourceError> {
        Ok(choose(&Self::found(cx).await?, home, created))
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
                    listing.unmanaged.push(Unmanaged {
                        id: LogicalId::new(Kind::CacheSubnetGroup, "main"),
                        physical_id: group.name,
                        why: "is not managed by this stack (no stack tag)".to_owned(),
                    });
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
    fn a_cache_in_the_desired_network_keeps_its_number_and_another_one_gets_a_free_one() {
        let group = |number, owner: bool, vpc: Option<&str>, subnet: &str| Found {
            number,
            name: format!("cache-{number}"),
            owner: owner.then(|| LogicalId::new(Kind::CacheSubnetGroup, "main")),
            vpc: vpc.map(str::to_owned),
            subnets: vec![subnet.to_owned()],
            tags: BTreeMap::new(),
        };
        let given = |vpc: &str, subnet: &str| Home::Given {
            vpc: vpc.to_owned(),
            subnets: vec![subnet.to_owned()],
        };
        let created = BTreeSet::from(["vpc-1".to_owned()]);
        let (one, other) = (
            group(0, true, Some("vpc-1"), "s-1"),
            group(1, true, Some("vpc-2"), "s-2"),
        );
        let theirs = group(1, false, Some("vpc-2"), "s-2");
        let both = [one.clone(), other.clone()];
        for (found, home, number) in [
            (&[][..], Home::Created, 0),
            (&both[..1], Home::Created, 0),
            (&both[..1], given("vpc-2", "s-2"), 1),
            (&both, Home::Created, 0),
            (&both, given("vpc-2", "s-2"), 1),
            // Another subnet of the same VPC.
            (&both, given("vpc-2", "s-3"), 2),
            (&both, given("vpc-3", "s-4"), 2),
            (&both[1..], Home::Created, 0),
            (&[one, theirs.clone()], given("vpc-2", "s-2"), 2),
            // A name that another owner has is refused.
            (&[group(0, false, None, "s-1")], Home::Created, 0),
            (&[theirs], Home::Created, 0),
            (&[group(1, true, None, "s-2")], Home::Created, 1),
        ] {
            assert_eq!(choose(found, &home, &created), number, "{found:?} {home:?}");
        }
    }
}

//! A serverless cache of ElastiCache: Valkey with TLS, reached through a VPC endpoint in two or three zones. It speaks the
//! protocol of a cluster; the functions need none of it, because all their keys are in one slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_elasticache::types::{
    CacheUsageLimits, DataStorage, DataStorageUnit, ServerlessCache as Found,
};

use super::cache_group::{ENGINE_ATTRIBUTE, PORT, VERSION_ATTRIBUTE, description};
use super::security_group::{self, SecurityGroups};
use super::{
    Context, Diff, Field, Identity, List, Listing, NEW, Output, Phase, Reference, Resource,
    ResourceError, ResourceKind, listed, usage,
};
use crate::aws::paginate::pages;
use crate::aws::{elasticache, optional, tags};
use crate::engine_version::{EngineVersion, VALKEY, WantedEngine};
use crate::id::LogicalId;
use crate::kind::Kind;

const ENGINE_VERSION: Field = Field::Property("engine version");
const SECURITY_GROUPS: Field = Field::Property("security groups");
const SUBNETS: Field = Field::Property("subnets");
const USER_GROUP: Field = Field::Property("user group");

/// The limit of a new cache in GB, so that its price has one, too. When it is reached, ElastiCache drops answers of 3scale, which
/// expire, and no counted usage, which does not. A limit that the operator changes is kept.
const MAX_GB: i32 = 1;
/// The most zones of a cache.
pub const ZONES: usize = 3;

/// The actual serverless cache.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    name: String,
    /// The number in its name.
    pub(super) number: u32,
    /// Whether the stack owns it.
    pub(super) is_ours: bool,
    phase: Phase,
    /// `host:port`, once the cache has an endpoint.
    endpoint: Option<String>,
    // `None` is a property that the service does not report.
    major: Option<u32>,
    version: Option<EngineVersion>,
    pub(super) subnets: Option<Vec<String>>,
    security_groups: Option<Vec<String>>,
    user_group: Option<String>,
    tags: BTreeMap<String, String>,
}

/// Serverless caches of ElastiCache.
#[derive(Debug)]
pub struct ServerlessCaches;

impl ServerlessCaches {
    async fn describe(cx: &Context, name: &str) -> Result<Option<Found>, ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .describe_serverless_caches()
            .serverless_cache_name(name);
        let answer = optional(
            cx.aws()
                .call_idempotent("elasticache:DescribeServerlessCaches", || {
                    request.clone().send()
                })
                .await,
        )?;
        Ok(answer.and_then(|answer| answer.serverless_caches?.into_iter().next()))
    }

    /// Every cache that has a name of the stack. One listing, however many there are.
    pub(super) async fn found(cx: &Context) -> Result<Arc<Vec<Actual>>, ResourceError> {
        if !may_exist(cx).await? {
            return Ok(Arc::default());
        }
        let ask = Self::ask(cx);
        cx.listings().get_or_fetch("serverless caches", ask).await
    }

    async fn ask(cx: &Context) -> Result<Vec<Actual>, ResourceError> {
        let request = cx.aws().elasticache.describe_serverless_caches();
        let caches = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("elasticache:DescribeServerlessCaches", || {
                    request.clone().send()
                })
                .await?;
            Ok((page.serverless_caches, page.next_token))
        })
        .await?;
        let mut found = Vec::new();
        for cache in caches {
            let Some(name) = cache.serverless_cache_name else {
                continue;
            };
            let Some(number) = cx.names().number_of_cache(&name) else {
                continue;
            };
            let arn = cx.names().cache_arn("serverlesscache", &name);
            let tags = elasticache::tags_of(cx.aws(), arn).await?;
            // Tags cannot be read in every state; the description, which only the creator writes, replaces them.
            let is_ours = match &tags {
                Some(tags) => tags::owner(&cx.names().stack, tags).is_some(),
                None => cache.description.as_deref() == Some(&description(cx)),
            };
            let id = LogicalId::new(Kind::ServerlessCache, "main");
            let endpoint = cache.endpoint.and_then(|endpoint| {
                let port = endpoint.port.unwrap_or(i32::from(PORT));
                Some(format!("{}:{port}", endpoint.address?))
            });
            let full = cache.full_engine_version.as_deref().unwrap_or_default();
            let full = full.split_whitespace().last();
            let major = cache.major_engine_version.as_deref().unwrap_or_default();
            found.push(Actual {
                name,
                number,
                is_ours,
                phase: phase_of(cache.status),
                endpoint,
                major: major.split('.').next().and_then(|text| text.parse().ok()),
                version: full.and_then(EngineVersion::parse),
                subnets: cache.subnet_ids.filter(|subnets| !subnets.is_empty()),
                security_groups: cache.security_group_ids,
                user_group: cache.user_group_id,
                tags: tags.unwrap_or_else(|| cx.tags(&id)),
                id,
            });
        }
        Ok(found)
    }
}

impl ResourceKind for ServerlessCaches {
    type Actual = Actual;
    const KIND: Kind = Kind::ServerlessCache;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        for cache in Self::found(cx).await?.iter().cloned() {
            let id = cx.id_of_cache(Kind::ServerlessCache, cache.number);
            if cache.is_ours {
                listing.owned.push(Actual { id, ..cache });
            } else {
                listing
                    .unmanaged
                    .extend(cx.taken(id, cache.name, cache.number));
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let mut attributes = BTreeMap::from([(ENGINE_ATTRIBUTE, VALKEY.to_owned())]);
        attributes.extend(actual.endpoint.clone().map(|text| ("endpoint", text)));
        let version = actual.version.map(|version| version.to_string());
        attributes.extend(version.map(|version| (VERSION_ATTRIBUTE, version)));
        let output = Output {
            physical_id: actual.name.clone(),
            attributes,
        };
        Identity {
            id: actual.id.clone(),
            phase: actual.phase.clone(),
            output,
        }
    }

    async fn phase(cx: &Context, actual: &Actual) -> Result<Option<Phase>, ResourceError> {
        let cache = Self::describe(cx, &actual.name).await?;
        Ok(cache.map(|cache| phase_of(cache.status)))
    }

    /// The counted usage.
    async fn empty(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        usage::empty(cx, &actual.id).await
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .delete_serverless_cache()
            .serverless_cache_name(&actual.name);
        optional(
            cx.aws()
                .call_idempotent("elasticache:DeleteServerlessCache", || {
                    request.clone().send()
                })
                .await,
        )?;
        Ok(())
    }
}

/// The phase of a cache with this status. Source: the API reference of ElastiCache (`ServerlessCache`), which writes the words in
/// upper case; the service answers in lower case.
fn phase_of(status: Option<String>) -> Phase {
    let Some(status) = status.map(|status| status.to_lowercase()) else {
        return Phase::Unknown("without a status".to_owned());
    };
    match status.as_str() {
        "available" => Phase::Ready,
        "creating" | "modifying" => Phase::Pending(status),
        "deleting" => Phase::Deleting(status),
        "create-failed" => Phase::Failed(status),
        _ => Phase::Unknown(status),
    }
}

/// The subnets of a new cache: at most three, each in another zone. Pure.
fn place(found: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let mut zones = BTreeSet::new();
    let of_new_zone = found
        .into_iter()
        .filter(|(_, zone)| zones.insert(zone.clone()));
    of_new_zone.map(|(subnet, _)| subnet).take(ZONES).collect()
}

/// Whether the stack may have a serverless cache, or its user.
pub(super) async fn may_exist(cx: &Context) -> Result<bool, ResourceError> {
    Ok(cx.options().wants_serverless_cache
        || SecurityGroups::has(cx, security_group::SERVERLESS_CACHE).await?)
}

/// The desired serverless cache.
#[derive(Debug)]
pub struct ServerlessCache {
    /// Only the major version counts.
    pub engine: WantedEngine,
    /// Subnets of the functions.
    pub subnets: Vec<Reference>,
    pub security_group: LogicalId,
    pub user_group: LogicalId,
}

impl ServerlessCache {
    /// The wanted subnets in their order, one of each zone.
    async fn place(&self, cx: &Context) -> Result<Vec<String>, ResourceError> {
        let wanted: Result<Vec<_>, _> = self.subnets.iter().map(|one| one.resolve(cx)).collect();
        let wanted = wanted?;
        let zones = cx.aws().zones_of(&wanted).await?;
        let zone = |id: &String| Some((id.clone(), zones.get(id)?.clone()));
        Ok(place(wanted.iter().filter_map(zone)))
    }
}

fn known(cx: &Context, id: &LogicalId) -> String {
    let output = cx.known_output(id);
    output.map_or_else(|| NEW.to_owned(), |output| output.physical_id)
}

impl Resource for ServerlessCache {
    type Kind = ServerlessCaches;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        let subnets = self.subnets.iter().filter_map(Reference::need);
        let others = [self.security_group.clone(), self.user_group.clone()];
        subnets.chain(others).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let wanted = self.engine.version.major;
        match actual.major {
            Some(major) if major < wanted => diff.field(ENGINE_VERSION, major, wanted),
            Some(major) if self.engine.is_named => diff.immutable(ENGINE_VERSION, major, wanted),
            _ => {}
        }
        // The subnets cannot be changed. A cache in some of the wanted ones stays.
        let ids: Vec<_> = self
            .subnets
            .iter()
            .filter_map(|one| one.known_output(cx))
            .collect();
        if let Some(subnets) = &actual.subnets
            && !subnets.iter().any(|subnet| ids.contains(subnet))
        {
            let wanted = listed(&self.subnets, cx);
            diff.immutable(SUBNETS, List::sorted(subnets.clone()), wanted);
        }
        let groups = actual.security_groups.clone().map(List::sorted);
        let group = List::sorted([known(cx, &self.security_group)]);
        diff.known(SECURITY_GROUPS, groups, group);
        let user_group = actual.user_group.as_deref().unwrap_or("(none)");
        diff.field(USER_GROUP, user_group, known(cx, &self.user_group));
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::ServerlessCache, self.name()));
        let storage = DataStorage::builder()
            .maximum(MAX_GB)
            .unit(DataStorageUnit::Gb)
            .build();
        let limits = CacheUsageLimits::builder().data_storage(storage).build();
        let request = cx
            .aws()
            .elasticache
            .create_serverless_cache()
            .serverless_cache_name(cx.name_of_cache())
            .description(description(cx))
            .engine(VALKEY)
            .major_engine_version(self.engine.version.major.to_string())
            .cache_usage_limits(limits)
            .security_group_ids(cx.physical_id(&self.security_group)?)
            .user_group_id(cx.physical_id(&self.user_group)?)
            .set_subnet_ids(Some(self.place(cx).await?))
            .set_tags(Some(elasticache::to_tags(tags)));
        cx.aws()
            .call_non_idempotent("elasticache:CreateServerlessCache", || {
                request.clone().send()
            })
            .await?;
        Ok(())
    }

    /// Makes one change; called again when the cache is available, until nothing differs.
    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .modify_serverless_cache()
            .serverless_cache_name(&actual.name);
        let request = if diff.has(&USER_GROUP) {
            request.user_group_id(cx.physical_id(&self.user_group)?)
        } else if diff.has(&SECURITY_GROUPS) {
            request.security_group_ids(cx.physical_id(&self.security_group)?)
        } else if diff.has(&ENGINE_VERSION) {
            let major = self.engine.version.major.to_string();
            request.engine(VALKEY).major_engine_version(major)
        } else {
            let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
            let arn = cx.names().cache_arn("serverlesscache", &actual.name);
            return Ok(elasticache::write_tags(cx.aws(), arn, missing).await?);
        };
        cx.aws()
            .call_idempotent("elasticache:ModifyServerlessCache", || {
                request.clone().send()
            })
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_in_one_subnet_of_each_of_three_zones_at_most() {
        let placed = |subnets: &[(&str, &str)]| {
            let subnets = subnets.iter();
            place(subnets.map(|(subnet, zone)| ((*subnet).to_owned(), (*zone).to_owned())))
        };
        assert_eq!(
            placed(&[("s1", "a"), ("s2", "a"), ("s3", "b")]),
            ["s1", "s3"]
        );
        let four = [("s1", "d"), ("s2", "c"), ("s3", "b"), ("s4", "a")];
        assert_eq!(placed(&four), ["s1", "s2", "s3"]);
    }

    #[test]
    fn states_in_either_case() {
        for (status, phase) in [
            ("available", Phase::Ready),
            ("AVAILABLE", Phase::Ready),
            ("CREATING", Phase::Pending("creating".to_owned())),
            ("modifying", Phase::Pending("modifying".to_owned())),
            ("deleting", Phase::Deleting("deleting".to_owned())),
            ("create-failed", Phase::Failed("create-failed".to_owned())),
            ("odd", Phase::Unknown("odd".to_owned())),
        ] {
            assert_eq!(phase_of(Some(status.to_owned())), phase);
        }
        assert!(matches!(phase_of(None), Phase::Unknown(_)));
    }
}

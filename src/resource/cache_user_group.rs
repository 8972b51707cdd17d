//! The user group of a serverless cache, with its user.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_elasticache::types::UserGroup;

use super::cache_user::phase_of;
use super::serverless_cache::may_exist;
use super::{
    Context, Diff, Field, Identity, List, Listing, NEW, Phase, Resource, ResourceError,
    ResourceKind,
};
use crate::aws::paginate::pages;
use crate::aws::{elasticache, optional, tags};
use crate::engine_version::VALKEY;
use crate::id::LogicalId;
use crate::kind::Kind;

const USERS: Field = Field::Property("users");

/// The actual user group.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    group_id: String,
    /// The number in its name, which is that of its cache.
    pub(super) number: u32,
    phase: Phase,
    // `None` is a property that the service does not report.
    users: Option<Vec<String>>,
    /// `None` if they cannot be read in the present state.
    tags: Option<BTreeMap<String, String>>,
}

impl Actual {
    /// Whether the stack owns it. Tags cannot be read in every state; they are read again before the group is changed or deleted.
    pub(super) fn is_ours(&self, cx: &Context) -> bool {
        let is_ours = |tags| tags::owner(&cx.names().stack, tags).is_some();
        self.tags.as_ref().is_none_or(is_ours)
    }
}

/// User groups of ElastiCache.
#[derive(Debug)]
pub struct CacheUserGroups;

impl CacheUserGroups {
    async fn describe(cx: &Context, group_id: &str) -> Result<Option<UserGroup>, ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .describe_user_groups()
            .user_group_id(group_id);
        let answer = optional(
            cx.aws()
                .call_idempotent("elasticache:DescribeUserGroups", || request.clone().send())
                .await,
        )?;
        Ok(answer.and_then(|answer| answer.user_groups?.into_iter().next()))
    }

    /// Every group that has a name of the stack. One listing, however many there are.
    pub(super) async fn found(cx: &Context) -> Result<Arc<Vec<Actual>>, ResourceError> {
        if !may_exist(cx).await? {
            return Ok(Arc::default());
        }
        let ask = Self::ask(cx);
        cx.listings().get_or_fetch("cache user groups", ask).await
    }

    async fn ask(cx: &Context) -> Result<Vec<Actual>, ResourceError> {
        let request = cx.aws().elasticache.describe_user_groups();
        let groups = pages(|marker| async {
            let request = request.clone().set_marker(marker);
            let page = cx
                .aws()
                .call_idempotent("elasticache:DescribeUserGroups", || request.clone().send())
                .await?;
            Ok((page.user_groups, page.marker))
        })
        .await?;
        let mut found = Vec::new();
        for group in groups {
            let Some(group_id) = group.user_group_id else {
                continue;
            };
            let Some(number) = cx.names().number_of_cache(&group_id) else {
                continue;
            };
            let arn = cx.names().cache_arn("usergroup", &group_id);
            found.push(Actual {
                id: LogicalId::new(Kind::CacheUserGroup, "main"),
                group_id,
                number,
                phase: phase_of(group.status),
                users: group.user_ids,
                tags: elasticache::tags_of(cx.aws(), arn).await?,
            });
        }
        Ok(found)
    }
}

impl ResourceKind for CacheUserGroups {
    type Actual = Actual;
    const KIND: Kind = Kind::CacheUserGroup;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        for group in Self::found(cx).await?.iter().cloned() {
            let id = cx.id_of_cache(Kind::CacheUserGroup, group.number);
            if group.is_ours(cx) {
                listing.owned.push(Actual { id, ..group });
            } else {
                let taken = cx.taken(id, group.group_id, group.number);
                listing.unmanaged.extend(taken);
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::new(
            actual.id.clone(),
            actual.phase.clone(),
            actual.group_id.clone(),
        )
    }

    async fn phase(cx: &Context, actual: &Actual) -> Result<Option<Phase>, ResourceError> {
        let group = Self::describe(cx, &actual.group_id).await?;
        Ok(group.map(|group| phase_of(group.status)))
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .elasticache
            .delete_user_group()
            .user_group_id(&actual.group_id);
        optional(
            cx.aws()
                .call_idempotent("elasticache:DeleteUserGroup", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired user group.
#[derive(Debug)]
pub struct CacheUserGroup {
    pub user: LogicalId,
}

impl CacheUserGroup {
    fn users(&self, cx: &Context) -> Vec<String> {
        let user = cx.known_output(&self.user);
        vec![user.map_or_else(|| NEW.to_owned(), |user| user.physical_id)]
    }
}

impl Resource for CacheUserGroup {
    type Kind = CacheUserGroups;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        vec![self.user.clone()]
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let users = actual.users.clone().map(List::sorted);
        diff.known(USERS, users, List::sorted(self.users(cx)));
        if let Some(tags) = &actual.tags {
            diff.tags(&cx.tags(&actual.id), tags);
        }
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::CacheUserGroup, self.name()));
        let request = cx
            .aws()
            .elasticache
            .create_user_group()
            .user_group_id(cx.name_of_cache())
            .engine(VALKEY)
            .user_ids(cx.physical_id(&self.user)?)
            .set_tags(Some(elasticache::to_tags(tags)));
        cx.aws()
            .call_non_idempotent("elasticache:CreateUserGroup", || request.clone().send())
            .await?;
        Ok(())
    }

    /// Takes the next step; called again when the group is active, until nothing differs.
    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&USERS) {
            let (now, wanted) = (actual.users.clone().unwrap_or_default(), self.users(cx));
            let only = |of: &[String], not: &[String]| -> Option<Vec<String>> {
                let only: Vec<_> = of.iter().filter(|id| !not.contains(id)).cloned().collect();
                (!only.is_empty()).then_some(only)
            };
            let request = cx
                .aws()
                .elasticache
                .modify_user_group()
                .user_group_id(&actual.group_id)
                .set_user_ids_to_add(only(&wanted, &now))
                .set_user_ids_to_remove(only(&now, &wanted));
            // A repeated call is refused, because the user is in the group: after a lost reply, the group is read again.
            cx.aws()
                .call_non_idempotent("elasticache:ModifyUserGroup", || request.clone().send())
                .await?;
            return Ok(());
        }
        let arn = cx.names().cache_arn("usergroup", &actual.group_id);
        let tags = actual.tags.clone().unwrap_or_default();
        let missing = tags::missing(&cx.tags(&actual.id), &tags);
        Ok(elasticache::write_tags(cx.aws(), arn, missing).await?)
    }
}

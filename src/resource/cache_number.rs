//! The number of the desired cache. A cache cannot move to another network, nor become one of another kind, and its name is
//! unique in the account: a cache of the desired kind in the desired network keeps its number, and otherwise the new one gets
//! a number that is not taken.

use std::collections::BTreeSet;

use super::cache_subnet_group::CacheSubnetGroups;
use super::cache_user::CacheUsers;
use super::cache_user_group::CacheUserGroups;
use super::claims;
use super::serverless_cache::ServerlessCaches;
use super::{Context, Home, ResourceError, Unmanaged};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::CACHES;

/// The desired kind of cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    Node,
    Serverless,
}

/// A number that is taken in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    number: u32,
    /// The kind of the stack's cache with this number, or of a part of it; `None` if another owner has it.
    kind: Option<CacheKind>,
    /// Whether this is the cache itself, or what shows where it is. A user and a user group are left of an interrupted creation, or
    /// deletion.
    is_whole: bool,
    /// Whether a cache of this kind can stay in the desired network.
    is_in_place: bool,
}

fn choose(taken: &[Taken], wanted: CacheKind) -> u32 {
    let ours = || taken.iter().filter(|one| one.kind.is_some());
    let is_wanted = |one: &&Taken| {
        // The parts of a cache have its number, and one of them can tell more than the others.
        let mut same = taken.iter().filter(|other| other.number == one.number);
        one.kind == Some(wanted) && same.all(|other| other.is_in_place)
    };
    let stays = ours().filter(is_wanted);
    if let Some((_, number)) = stays.map(|one| (!one.is_whole, one.number)).min() {
        return number;
    }
    if ours().next().is_none() {
        return 0;
    }
    let is_taken = |number: &u32| taken.iter().any(|one| one.number == *number);
    let mut free = (0..CACHES).filter(|number| !is_taken(number));
    free.next().unwrap_or_default()
}

/// The number in the names of the desired cache and its parts. `zones` is the number of zones of a network that the stack creates.
///
/// # Errors
/// When a listing fails.
pub async fn number(
    cx: &Context,
    home: &Home,
    zones: u8,
    wanted: CacheKind,
) -> Result<u32, ResourceError> {
    let created = claims::created_vpcs(cx).await?;
    let nodes = CacheSubnetGroups::numbers(cx, home, &created).await?;
    let nodes = nodes.into_iter().map(|group| Taken {
        number: group.number,
        kind: group.is_ours.then_some(CacheKind::Node),
        is_whole: true,
        is_in_place: group.is_in_place,
    });
    let mut taken: Vec<_> = nodes.collect();
    let (caches, groups, users) = tokio::try_join!(
        ServerlessCaches::found(cx),
        CacheUserGroups::found(cx),
        CacheUsers::found(cx)
    )?;
    let usable: BTreeSet<_> = match home {
        Home::Given { subnets, .. } => subnets.iter().cloned().collect(),
        Home::Outside => BTreeSet::new(),
        Home::Created if caches.is_empty() => BTreeSet::new(),
        Home::Created => claims::private_subnets(cx, zones).await?,
    };
    let serverless = |number, is_ours: bool, is_whole, is_in_place| Taken {
        number,
        kind: is_ours.then_some(CacheKind::Serverless),
        is_whole,
        is_in_place,
    };
    // A cache keeps its subnets in use.
    let is_in_place = |subnets: &Vec<String>| subnets.iter().all(|id| usable.contains(id));
    taken.extend(caches.iter().map(|cache| {
        // Unknown subnets are no reason for another cache.
        let is_in_place = cache.subnets.as_ref().is_none_or(is_in_place);
        serverless(cache.number, cache.is_ours, true, is_in_place)
    }));
    let groups = groups
        .iter()
        .map(|one| serverless(one.number, one.is_ours(cx), false, true));
    taken.extend(groups);
    let users = users
        .iter()
        .map(|one| serverless(one.number, one.is_ours(cx), false, true));
    taken.extend(users);
    Ok(choose(&taken, wanted))
}

impl Context {
    /// The id of the stack's resource of this kind whose name has this number: that of the desired cache, or of one that the
    /// stack leaves.
    pub(super) fn id_of_cache(&self, kind: Kind, number: u32) -> LogicalId {
        match self.options().cache_number {
            Some(desired) if desired != number => LogicalId::former(kind, number),
            _ => LogicalId::new(kind, "main"),
        }
    }

    /// The name of the desired cache, which is also that of its user and its user group.
    pub(super) fn name_of_cache(&self) -> String {
        let number = self.options().cache_number.unwrap_or_default();
        self.names().cache(number)
    }

    /// A resource of another owner that has a name of the stack, if it is the name of the desired cache.
    pub(super) fn taken(
        &self,
        id: LogicalId,
        physical_id: String,
        number: u32,
    ) -> Option<Unmanaged> {
        let is_meant = number == self.options().cache_number.unwrap_or_default();
        is_meant.then(|| Unmanaged {
            id,
            physical_id,
            why: "is not managed by this stack (no stack tag)".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_of_the_desired_kind_in_the_desired_network_keeps_its_number() {
        use CacheKind::{Node, Serverless};
        let one = |number, kind, is_in_place| Taken {
            number,
            kind,
            is_whole: true,
            is_in_place,
        };
        let user = |number| Taken {
            is_whole: false,
            ..one(number, Some(Serverless), true)
        };
        let node = one(0, Some(Node), true);
        let serverless = one(1, Some(Serverless), true);
        let theirs = one(1, None, false);
        for (taken, wanted, number) in [
            (&[][..], Serverless, 0),
            (&[node], Node, 0),
            (&[node], Serverless, 1),
            (&[node, serverless], Serverless, 1),
            (&[node, serverless], Node, 0),
            (&[serverless], Serverless, 1),
            (&[serverless], Node, 0),
            // In another network.
            (&[one(0, Some(Node), false)], Node, 1),
            (&[one(0, Some(Serverless), false)], Serverless, 1),
            // The user and the user group do not tell where the cache is.
            (&[user(1), one(1, Some(Serverless), false)], Serverless, 0),
            (&[user(0), serverless], Serverless, 1),
            (&[user(1), node], Serverless, 1),
            (&[node, theirs], Serverless, 2),
            // A name that another owner has is refused.
            (&[one(0, None, false)], Node, 0),
            (&[theirs], Serverless, 0),
        ] {
            assert_eq!(choose(taken, wanted), number, "{taken:?} {wanted:?}");
        }
    }
}

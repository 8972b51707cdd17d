//! The rules with which the cache admits security groups that the functions have left. They are removed after the last
//! version in these groups is deleted; until then, that version needs its cache.

use super::claims::settled;
use super::security_group::{CACHE, SecurityGroups};
use super::{Context, ResourceError};
use crate::id::LogicalId;
use crate::kind::Kind;

/// Removes the rules that no version needs any more. What a killed run leaves, the next one finds as a difference.
///
/// # Errors
/// When a listing or the removal fails.
pub(super) async fn remove(cx: &Context) -> Result<(), ResourceError> {
    let cache = LogicalId::new(Kind::SecurityGroup, CACHE);
    let groups = settled::<SecurityGroups>(cx).await?.owned.into_iter();
    for (_, group) in groups.filter(|(identity, _)| identity.id == cache) {
        SecurityGroups::forget_former(cx, &group).await?;
    }
    Ok(())
}

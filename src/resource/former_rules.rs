//! The rules with which the cache and the endpoint admit security groups that the functions have left. They are removed after the last
//! version in these groups is deleted; until then, that version needs its cache.

use super::claims::settled;
use super::security_group::{CACHE, SERVERLESS_CACHE, SecurityGroups};
use super::{Context, ResourceError, vpc_endpoint};

/// Removes the rules that no version needs any more. What a killed run leaves, the next one finds as a difference.
///
/// # Errors
/// When a listing or the removal fails.
pub(super) async fn remove(cx: &Context) -> Result<(), ResourceError> {
    let admitting = [CACHE, SERVERLESS_CACHE, vpc_endpoint::GROUP_NAME];
    let groups = settled::<SecurityGroups>(cx).await?.owned.into_iter();
    for (_, group) in groups.filter(|(identity, _)| admitting.contains(&&*identity.id.name)) {
        SecurityGroups::forget_former(cx, &group).await?;
    }
    Ok(())
}

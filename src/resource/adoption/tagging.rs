//! Writes the tags that adopt a network.
//!
//! The tag of the stack is what makes a resource the stack's, so it is written last, to all resources in one call: at every
//! moment, the stack has all of them or none.

use std::collections::BTreeMap;

use super::outcome::{Adopted, Adoption};
use super::read::taken;
use crate::aws::ec2::tag;
use crate::aws::tags;
use crate::resource::{Context, ResourceError};

/// Tags the resources that are not the stack's yet.
///
/// # Errors
/// The error of the service. Before the last call, nothing is the stack's.
pub async fn adopt(cx: &Context, adoption: &Adoption) -> Result<(), ResourceError> {
    let new: Vec<&Adopted> = adoption.to_adopt().collect();
    for one in &new {
        cx.ensure_locked().await?;
        let mut desired = cx.tags(&one.id);
        desired.remove(tags::STACK);
        let name = one.former_name.clone();
        desired.extend(name.map(|name| (tags::IMPORTED.to_owned(), name)));
        tag(cx.aws(), vec![one.physical_id.clone()], desired).await?;
    }
    cx.ensure_locked().await?;
    let stack = BTreeMap::from([(tags::STACK.to_owned(), cx.names().stack.clone())]);
    let ids = new.iter().map(|one| one.physical_id.clone()).collect();
    Ok(tag(cx.aws(), ids, stack).await?)
}

/// Whether the listings show everything as the stack's: a tag may take a moment to become visible.
///
/// # Errors
/// When a listing fails.
pub async fn is_adopted(cx: &Context, adoption: &Adoption) -> Result<bool, ResourceError> {
    let shown = taken(&cx.fresh()).await?;
    let is_shown = |one: &Adopted| {
        let mut shown = shown.iter();
        shown.any(|(id, physical_id)| *id == one.id && *physical_id == one.physical_id)
    };
    Ok(adoption.adopted.iter().all(is_shown))
}

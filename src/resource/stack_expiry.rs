//! When the stack expires: a parameter, which exists before the first resource and is deleted after the last one.
//!
//! One parameter and not a tag on every resource: it is changed by one write for every stack, and a run can read it
//! consistently under the lock of the stack. Listings by tag lag. What shows the parameter in a listing by tag also has the
//! instant as a tag of it.

use std::time::Duration;

use aws_sdk_ssm::types::{ResourceTypeForTagging, Tag};
use jiff::Timestamp;

use super::parameter::{self, EXPIRES};
use super::{Context, ResourceError};
use crate::aws::{carried_out, tags};
use crate::expiry::{Expiry, text};
use crate::id::LogicalId;
use crate::kind::Kind;

/// What the stack has stored, in the view of `cx`; `None` if it does not expire.
///
/// # Errors
/// When the listing fails.
pub async fn read(cx: &Context) -> Result<Option<Expiry>, ResourceError> {
    let all = parameter::all(cx).await?;
    Ok(all.get(EXPIRES).map(|value| Expiry::parse(value.expose())))
}

/// Whether the stack has expired at least `since` ago, by the clock of the service.
///
/// # Errors
/// When the listing fails.
pub async fn has_passed(cx: &Context, since: Duration) -> Result<bool, ResourceError> {
    let listed = parameter::list(cx).await?;
    Ok(listed.get(EXPIRES).is_some_and(|stored| {
        let now = stored.written.zip(stored.age);
        let now = now.and_then(|(written, age)| written.checked_add(age).ok());
        let now = now.unwrap_or_else(Timestamp::now);
        Expiry::parse(stored.value.expose()).has_passed(now, since)
    }))
}

/// Stores when the stack expires.
///
/// # Errors
/// The error of the service.
pub async fn set(cx: &Context, at: Timestamp) -> Result<(), ResourceError> {
    let id = LogicalId::new(Kind::Parameter, EXPIRES);
    let value = text(at);
    let exists = parameter::all(cx).await?.contains_key(EXPIRES);
    let created = match exists {
        false => parameter::put(cx, &id, EXPIRES, &value, false).await,
        true => Ok(()),
    };
    match created {
        Ok(()) if !exists => {}
        Err(error) if !error.is_already_there() && !error.is_ambiguous() => return Err(error),
        _ => parameter::put(cx, &id, EXPIRES, &value, true).await?,
    }
    let tag = Tag::builder().key(tags::EXPIRES).value(value).build()?;
    let request = cx
        .aws()
        .ssm
        .add_tags_to_resource()
        .resource_type(ResourceTypeForTagging::Parameter)
        .resource_id(cx.names().parameter(EXPIRES))
        .tags(tag);
    let tagged = cx
        .aws()
        .call_idempotent("ssm:AddTagsToResource", || request.clone().send());
    Ok(carried_out(tagged.await.map(|_| ()))?)
}

/// Removes the expiry, if there is one in the view of `cx`.
///
/// # Errors
/// The error of the service.
pub async fn remove(cx: &Context) -> Result<(), ResourceError> {
    match parameter::all(cx).await?.contains_key(EXPIRES) {
        true => parameter::remove(cx, EXPIRES).await,
        false => Ok(()),
    }
}

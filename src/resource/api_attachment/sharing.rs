//! What the records of the stages of one API have in common: the methods and the gateway responses, which belong to the API.

use std::collections::BTreeSet;

use super::record::{self, AttachmentState, Record};
use crate::api_gateway::{self, ApiTarget, Method};
use crate::resource::{Context, ResourceError};

/// The records of the other stages of the API.
///
/// # Errors
/// When the listing fails, or a record cannot be read.
pub(super) async fn others(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Vec<(ApiTarget, Record)>, ResourceError> {
    let mut all = record::all(cx).await?;
    all.retain(|other, _| other.api() == target.api() && other != target);
    Ok(all.into_iter().collect())
}

/// The records of the other stages of this run, which have the same methods and gateway responses: each of them may be the last
/// one that the stack leaves.
///
/// # Errors
/// When the listing fails, or a record cannot be read.
pub(super) async fn of_run(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Vec<(ApiTarget, Record)>, ResourceError> {
    if cx.stages().len() < 2 {
        return Ok(Vec::new());
    }
    let mut others = others(&cx.fresh(), target).await?;
    others.retain(|(other, _)| cx.stages().contains(other));
    Ok(others)
}

/// Records the original states of `methods` for the other stages of this run, too.
///
/// # Errors
/// The errors of the services.
pub(super) async fn share(
    cx: &Context,
    target: &ApiTarget,
    methods: &[&Method],
) -> Result<(), ResourceError> {
    for (other, record) in of_run(cx, target).await? {
        let is_other =
            |method: &&&Method| record.method(&method.path, &method.method) != Some(**method);
        let differing = methods.iter().filter(is_other);
        let differing: Vec<_> = differing.map(|method| (*method).clone()).collect();
        record::note(cx, &other, &record, &differing).await?;
    }
    Ok(())
}

/// Records for the other stages of the API, too, that a `down --keep-protected` has started.
///
/// # Errors
/// The errors of the services.
pub(super) async fn note_closing(cx: &Context, target: &ApiTarget) -> Result<(), ResourceError> {
    for (other, record) in others(&cx.fresh(), target).await? {
        if let Some(head) = record.head.filter(|head| !head.closing) {
            let closing = AttachmentState {
                closing: true,
                ..head
            };
            record::write_head(cx, &other, &closing).await?;
        }
    }
    Ok(())
}

/// The deployments to which stages with these records may be moved back.
pub(super) fn former<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeSet<String> {
    let heads = records.filter_map(|record| record.head.as_ref());
    let former = heads.flat_map(|head| [&head.previous_deployment, &head.last_deployment]);
    former.flatten().cloned().collect()
}

/// The deployments that the other stages of the API serve to which the stack is attached, or will be, and those to which they
/// may be moved back.
///
/// # Errors
/// The errors of the services.
pub(super) async fn needed_elsewhere(
    cx: &Context,
    target: &ApiTarget,
) -> Result<BTreeSet<String>, ResourceError> {
    let attached = others(&cx.fresh(), target).await?;
    let mut needed = former(attached.iter().map(|(_, record)| record));
    let wanted = cx.stages().iter().filter(|other| *other != target);
    let names: BTreeSet<_> = attached
        .iter()
        .map(|(other, _)| other)
        .chain(wanted.filter(|other| other.api() == target.api()))
        .map(|other| other.stage.as_str())
        .collect();
    if names.is_empty() {
        return Ok(needed);
    }
    let stages = api_gateway::stages(cx.aws(), target.api())
        .await?
        .into_iter();
    let others = stages.filter(|stage| names.contains(stage.name.as_str()));
    needed.extend(others.filter_map(|stage| stage.deployment));
    Ok(needed)
}

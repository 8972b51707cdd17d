//! The stages of an API to which the stack is attached: they share the draft, so those that deploy automatically are frozen
//! and thawed together.

use std::collections::BTreeSet;

use super::automatic::{self, Switch};
use super::marker;
use super::record::{self, AttachmentState, Record};
use super::served::asks_us;
use crate::api_gateway::{self, ApiTarget, Method, Protocol};
use crate::resource::{Context, ResourceError};

/// The other stages of the API that were frozen, and those that API Gateway does not let anyone freeze.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    pub(super) stages: Vec<ApiTarget>,
    pub(super) refused: Vec<String>,
}

/// Freezes the other stages of the API that the stack has a record of and that deploy automatically.
///
/// # Errors
/// The errors of the services, or that a stage still deploys automatically after it was frozen.
pub(super) async fn freeze_others(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Frozen, ResourceError> {
    let mut frozen = Frozen::default();
    if target.protocol == Protocol::Rest || !record::is_shared(cx, target).await? {
        return Ok(frozen);
    }
    let cx = &cx.fresh();
    for (other, record) in others(cx, target).await? {
        let stage = api_gateway::stage(cx, &other).await?;
        let (Some(head), Some(stage)) = (&record.head, &*stage) else {
            continue;
        };
        if !stage.deploys_automatically {
            continue;
        }
        let serves_ours = asks_us(cx, &other, stage, &record).await?;
        let switch = automatic::freeze(cx, &other, head, stage, serves_ours).await?;
        let now = api_gateway::stage(&cx.fresh(), &other).await?;
        automatic::ensure_frozen(switch, (*now).as_ref())?;
        match switch {
            Switch::RouteByRoute => frozen.refused.push(other.stage),
            Switch::AtOnce => frozen.stages.push(other),
        }
    }
    Ok(frozen)
}

/// The records of the other stages of the API.
async fn others(
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
pub(super) async fn sharing(
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
    for (other, record) in sharing(cx, target).await? {
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

/// Whether the stage is frozen and serves this stack's authorizer: once it is verified, it can be thawed. After a rollback, it
/// does not serve it. `is_drafted`: the draft is as configured. Otherwise only this stack's own deployment is known to be what
/// the draft is.
///
/// # Errors
/// The errors of the services.
pub async fn serves_frozen(
    cx: &Context,
    target: &ApiTarget,
    is_drafted: bool,
) -> Result<bool, ResourceError> {
    if !automatic::is_left_frozen(cx, target).await? {
        return Ok(false);
    }
    let stage = api_gateway::stage(cx, target).await?;
    let Some(stage) = &*stage else {
        return Ok(false);
    };
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let is_ours = marker::is_ours(cx, &stage.description);
    Ok(is_ours || (is_drafted && asks_us(cx, target, stage, &record).await?))
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
    let mut needed = BTreeSet::new();
    for (_, record) in &attached {
        if let Some(head) = &record.head {
            let former = [&head.previous_deployment, &head.last_deployment];
            needed.extend(former.into_iter().flatten().cloned());
        }
    }
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

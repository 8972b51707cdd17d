//! The stages of an API to which the stack is attached: they share the draft, so those that deploy automatically are frozen
//! and thawed together.

use std::collections::BTreeSet;

use super::automatic::{self, Switch};
use super::served::asks_us;
use super::{drafted, marker, record};
use crate::api_gateway::{self, ApiTarget, Protocol};
use crate::resource::{Context, ResourceError, api_authorizer};

/// Freezes the other stages of the API that the stack has a record of and that deploy automatically. Returns the names of
/// those that API Gateway does not let anyone freeze.
///
/// # Errors
/// The errors of the services, or that a stage still deploys automatically after it was frozen.
pub(super) async fn freeze_others(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Vec<String>, ResourceError> {
    if target.protocol == Protocol::Rest || !record::is_shared(cx, target).await? {
        return Ok(Vec::new());
    }
    let cx = &cx.fresh();
    let mut refused = Vec::new();
    for (other, record) in record::all(cx).await? {
        if other.api() != target.api() || other == *target {
            continue;
        }
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
        if switch == Switch::RouteByRoute {
            refused.push(other.stage);
        }
    }
    Ok(refused)
}

/// Thaws the frozen stages of the API after a run that has not changed what they serve. A stage that serves something else
/// than the draft stays frozen: the next run completes the change.
///
/// # Errors
/// The errors of the services.
pub(super) async fn thaw_unchanged(cx: &Context, target: &ApiTarget) -> Result<(), ResourceError> {
    let cx = &cx.fresh();
    let is_ours = |uri: &str| api_authorizer::is_ours(cx, uri);
    let is_drafted = drafted::is_drafted(cx, target, is_ours).await?;
    for (stage, record) in record::all(cx).await? {
        if stage.api() != target.api() {
            continue;
        }
        let served = api_gateway::stage(cx, &stage).await?;
        let Some(served) = &*served else {
            continue;
        };
        if asks_us(cx, &stage, served, &record).await? == is_drafted {
            automatic::thaw(cx, &stage, is_ours).await?;
        }
    }
    Ok(())
}

/// Whether the stage is frozen and serves this stack's authorizer: once it is verified, it can be thawed. After a rollback, it
/// does not serve it.
///
/// # Errors
/// The errors of the services.
pub async fn serves_frozen(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    if !automatic::is_left_frozen(cx, target).await? {
        return Ok(false);
    }
    let stage = api_gateway::stage(cx, target).await?;
    let Some(stage) = &*stage else {
        return Ok(false);
    };
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    Ok(marker::is_ours(cx, &stage.description) || asks_us(cx, target, stage, &record).await?)
}

/// The deployments that the other stages of the API serve to which the stack is attached, or will be.
///
/// # Errors
/// The errors of the services.
pub(super) async fn served_elsewhere(
    cx: &Context,
    target: &ApiTarget,
) -> Result<BTreeSet<String>, ResourceError> {
    let attached = record::targets(cx).await?;
    let is_other = |other: &&ApiTarget| other.api() == target.api() && *other != target;
    let others = attached.iter().chain(cx.stages()).filter(is_other);
    let others: BTreeSet<_> = others.map(|other| other.stage.as_str()).collect();
    if others.is_empty() {
        return Ok(BTreeSet::new());
    }
    let stages = api_gateway::stages(cx.aws(), target.api())
        .await?
        .into_iter();
    let others = stages.filter(|stage| others.contains(stage.name.as_str()));
    Ok(others.filter_map(|stage| stage.deployment).collect())
}

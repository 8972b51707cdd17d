//! The stages of an API to which the stack is attached: they share the draft, so those that deploy automatically are frozen
//! and thawed together.

use super::automatic::{self, Switch};
use super::served::asks_us;
use super::{marker, record, sharing};
use crate::api_gateway::{self, ApiTarget, Protocol};
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
    for (other, record) in sharing::others(cx, target).await? {
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

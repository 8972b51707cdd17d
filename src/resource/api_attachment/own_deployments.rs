//! Deletes the deployments that this stack made.

use super::marker::{is_restored, marker, protects};
use super::sharing;
use crate::api_gateway::change::{self, await_automatic_deployments};
use crate::api_gateway::{self, ApiTarget, Protocol, deployments};
use crate::aws::{Class, optional};
use crate::id::LogicalId;
use crate::resource::{Context, ResourceError};

/// Deletes the deployments of this stack from which API Gateway moves a stage when the authorizer is deleted, which deploys the
/// draft. A stage that was thawed before may still have served them. `id`: whose work it is.
///
/// # Errors
/// The errors of the services.
pub async fn remove_left(
    cx: &Context,
    id: &LogicalId,
    target: &ApiTarget,
) -> Result<(), ResourceError> {
    if target.protocol == Protocol::Rest {
        return Ok(());
    }
    let stages = api_gateway::stages(cx.aws(), target.api()).await?;
    let mut stages = stages.iter().filter(|stage| stage.name == target.stage);
    if stages.any(|stage| stage.deploys_automatically) {
        await_automatic_deployments(cx, target.api()).await?;
        remove_unserved(cx, id, target).await?;
    }
    Ok(())
}

/// Deletes this stack's deployments that no stage serves any more, because automatic deployment is on again. `id`: whose work it is.
///
/// # Errors
/// The errors of the service.
pub(super) async fn remove_unserved(
    cx: &Context,
    id: &LogicalId,
    target: &ApiTarget,
) -> Result<(), ResourceError> {
    let stages = api_gateway::stages(cx.aws(), target.api()).await?;
    let is_served = |id: &str| {
        let mut stages = stages.iter();
        stages.any(|stage| stage.deployment.as_deref() == Some(id))
    };
    let mark = marker(cx);
    let is_ours = |description: &str| {
        protects(description, &mark).is_some() || is_restored(description, &mark)
    };
    let kept = sharing::needed_elsewhere(cx, target).await?;
    for found in deployments(cx, target.api()).await? {
        if is_ours(&found.description) && !is_served(&found.id) && !kept.contains(&found.id) {
            remove(cx, id, target, &found.id).await?;
        }
    }
    Ok(())
}

/// Deletes a deployment, unless a stage serves it. `id`: whose work it is.
pub(super) async fn remove(
    cx: &Context,
    id: &LogicalId,
    target: &ApiTarget,
    deployment: &str,
) -> Result<(), ResourceError> {
    match change::delete_deployment(cx, target.api(), deployment).await {
        // Only REST APIs have a known text for it.
        Err(error)
            if error.message.contains("Active stages")
                || (target.protocol != Protocol::Rest && error.class == Class::Fatal) =>
        {
            let text = format!("deployment {deployment} is left: a stage serves it");
            cx.notice(id, text);
            Ok(())
        }
        other => Ok(optional(other).map(|_| ())?),
    }
}

//! The way back: the stage returns to the deployment it had before ours, and nothing else changes.

use super::deployments::move_stage;
use super::marker::is_ours;
use super::record;
use super::served::asks_us;
use crate::resource::{Context, ResourceError};
use crate::rest_api::{self, ApiTarget};

/// Where the stage is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTarget {
    /// To the deployment before ours: away from us.
    BeforeUs,
    /// To the deployment before our newest, which may be one of ours.
    Previous,
    /// To this one.
    Deployment(String),
}

/// What came of a way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolledBack {
    /// The stage serves `to` again in place of `from`.
    Moved { from: String, to: String },
    /// The stage serves a deployment that is not ours, and our authorizer is not in it.
    NotOurs { deployment: String },
    /// The stage serves what others published with our authorizer in it.
    OthersWithOurs { deployment: String },
    /// The stage serves ours, and no former one is noted: others published in between.
    NoFormer { deployment: String },
    /// There is no such stage, or no such API.
    NoStage,
}

/// Puts the stage back with one changing call. Methods, authorizer and record stay: the next `up` sees that the stage does not
/// serve ours and deploys it again.
///
/// # Errors
/// What the services answer.
pub async fn roll_back(
    cx: &Context,
    target: &ApiTarget,
    way: &RollbackTarget,
) -> Result<RolledBack, ResourceError> {
    let cx = cx.fresh();
    let Some(stage) = (*rest_api::stage(&cx, target).await?).clone() else {
        return Ok(RolledBack::NoStage);
    };
    let record = record::all(&cx).await?.remove(target).unwrap_or_default();
    let from = stage.deployment_id.clone();
    let to = match (way, &record.head) {
        (RollbackTarget::Deployment(to), _) => Some(to.clone()),
        _ if !is_ours(&cx, &stage.description) => {
            return Ok(match asks_us(&stage, &record) {
                true => RolledBack::OthersWithOurs { deployment: from },
                false => RolledBack::NotOurs { deployment: from },
            });
        }
        (RollbackTarget::Previous, Some(head)) if head.last_deployment.is_some() => {
            head.last_deployment.clone()
        }
        (_, Some(head)) => {
            if head.published && *way == RollbackTarget::BeforeUs {
                let text = "the previous deployment lacks changes of others that were published with this stack's deployment: they are no longer served";
                cx.sink().notice(text);
            }
            head.previous_deployment.clone()
        }
        (_, None) => None,
    };
    let Some(to) = to else {
        return Ok(RolledBack::NoFormer { deployment: from });
    };
    move_stage(&cx, target, &to).await?;
    Ok(RolledBack::Moved { from, to })
}

//! The way back: the stage returns to the deployment it had before ours, and nothing else changes.

use aws_sdk_apigateway::types::Op;

use super::{is_ours, patch, record};
use crate::aws::AwsError;
use crate::resource::{ApiTarget, Cx, api};

/// What came of a way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolledBack {
    /// The stage serves `to` again in place of our `from`.
    Moved { from: String, to: String },
    /// The stage serves a deployment that is not ours.
    NotOurs { deployment: String },
    /// The stage serves ours, and no former one is noted: others published in between.
    NoFormer { deployment: String },
    /// There is no such stage, or no such API.
    NoStage,
}

/// Makes the stage serve `deployment`. It keeps its settings.
///
/// # Errors
/// What the service answers.
pub async fn move_stage(cx: &Cx, target: &ApiTarget, deployment: &str) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .update_stage()
        .rest_api_id(&target.id)
        .stage_name(&target.stage)
        .patch_operations(patch(Op::Replace, "/deploymentId", deployment));
    cx.aws()
        .repeatable("apigateway:UpdateStage", || request.clone().send())
        .await?;
    Ok(())
}

/// Puts the stage back on the deployment before ours, with one changing call. Methods, authorizer and record stay: the next
/// `up` sees that the stage does not serve ours and deploys it again.
///
/// # Errors
/// What the services answer.
pub async fn roll_back(cx: &Cx, target: &ApiTarget) -> Result<RolledBack, AwsError> {
    let cx = cx.fresh();
    let Some(stage) = (*api::stage(&cx, target).await?).clone() else {
        return Ok(RolledBack::NoStage);
    };
    let from = stage.deployment_id;
    if !is_ours(&cx, &stage.description) {
        return Ok(RolledBack::NotOurs { deployment: from });
    }
    let former = record::all(&cx)
        .await?
        .remove(target)
        .and_then(|record| record.head)
        .and_then(|head| head.previous_deployment);
    let Some(to) = former else {
        return Ok(RolledBack::NoFormer { deployment: from });
    };
    move_stage(&cx, target, &to).await?;
    Ok(RolledBack::Moved { from, to })
}

//! The way back: the stage returns to the deployment it had before ours, and nothing else changes.

use aws_sdk_apigateway::types::Op;

use super::record::{self, Record};
use super::{is_ours, patch};
use crate::aws::AwsError;
use crate::event::Event;
use crate::resource::api::{self, Stage};
use crate::resource::{ApiTarget, Cx};

/// Where the stage is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To the deployment before ours: away from us.
    Former,
    /// To the deployment before our newest, which may be one of ours.
    Last,
    /// To this one.
    To(String),
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
        .change("apigateway:UpdateStage", || request.clone().send())
        .await
}

/// Puts the stage back with one changing call. Methods, authorizer and record stay: the next `up` sees that the stage does not
/// serve ours and deploys it again.
///
/// # Errors
/// What the services answer.
pub async fn roll_back(cx: &Cx, target: &ApiTarget, way: &Way) -> Result<RolledBack, AwsError> {
    let cx = cx.fresh();
    let Some(stage) = (*api::stage(&cx, target).await?).clone() else {
        return Ok(RolledBack::NoStage);
    };
    let record = record::all(&cx).await?.remove(target).unwrap_or_default();
    let from = stage.deployment_id.clone();
    let to = match (way, &record.head) {
        (Way::To(to), _) => Some(to.clone()),
        _ if !is_ours(&cx, &stage.description) => {
            return Ok(match asks_us(&stage, &record) {
                true => RolledBack::OthersWithOurs { deployment: from },
                false => RolledBack::NotOurs { deployment: from },
            });
        }
        (Way::Last, Some(head)) if head.last_deployment.is_some() => head.last_deployment.clone(),
        (_, Some(head)) => {
            if head.published && *way == Way::Former {
                let text = "the deployment before ours lacks edits of others that were published with ours: they are not served any more";
                cx.sink().emit(Event::Notice {
                    id: None,
                    text: text.to_owned(),
                });
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

/// Whether a deployment of others lets our authorizer decide: a method has a Lambda authorizer that had none before us.
pub(super) fn asks_us(stage: &Stage, record: &Record) -> bool {
    let is_before = record
        .head
        .as_ref()
        .is_some_and(|head| head.previous_deployment.as_ref() == Some(&stage.deployment_id));
    let served = stage.served.as_ref().filter(|_| !is_before);
    served.is_some_and(|served| {
        record
            .methods()
            .filter(|before| before.authorization != "CUSTOM")
            .any(|before| {
                let now = served.get(&(before.path.clone(), before.method.clone()));
                now.is_some_and(|now| now == "CUSTOM")
            })
    })
}

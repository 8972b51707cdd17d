//! The API's deployments: which are ours, how one is published, and how the stage gets back what it had.

use aws_sdk_apigateway::types::Op;

use super::actual::Actual;
use super::marker::{is_ours, restores};
use super::method_updates::patch;
use crate::aws::optional;
use crate::aws::paginate::pages;
use crate::resource::{Context, ResourceError};
use crate::rest_api::{ApiTarget, Stage};

/// Whether a deployment is of a `down --keep-protected` that did not come to its end. One that did leaves such a deployment
/// as well, which is then what the stage had before us.
pub(super) fn is_of_closing(actual: &Actual, id: &str, description: &str) -> bool {
    let head = actual.record.head.as_ref().filter(|head| head.closing);
    head.is_some_and(|head| head.previous_deployment.as_deref() != Some(id))
        && description == restores(&actual.marker, true)
}

/// Publishes the API's draft to the stage, which keeps its settings. `stage`: as it is now. The new deployment's id is
/// returned where the service tells it.
pub(super) async fn deploy(
    cx: &Context,
    target: &ApiTarget,
    stage: Option<&Stage>,
    description: &str,
) -> Result<Option<String>, ResourceError> {
    // To a stage with a canary a deployment goes as the canary's, or is refused; moved there, it is the stage's own.
    // Source: API Gateway Developer Guide, "Create a canary release".
    let has_canary = stage.is_some_and(|stage| stage.canary.is_some());
    let request = cx
        .aws()
        .apigateway
        .create_deployment()
        .rest_api_id(&target.id)
        .set_stage_name((!has_canary).then(|| target.stage.clone()))
        .description(description);
    let made = cx
        .aws()
        .call_non_idempotent("apigateway:CreateDeployment", || request.clone().send())
        .await?;
    if let Some(id) = made.id.as_ref().filter(|_| has_canary) {
        move_stage(cx, target, id).await?;
    }
    Ok(made.id)
}

/// Makes the stage serve `deployment`. It keeps its settings.
///
/// # Errors
/// What the service answers.
pub async fn move_stage(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .apigateway
        .update_stage()
        .rest_api_id(&target.id)
        .stage_name(&target.stage)
        .patch_operations(patch(Op::Replace, "/deploymentId", deployment));
    Ok(cx
        .aws()
        .change("apigateway:UpdateStage", || request.clone().send())
        .await?)
}

/// Every deployment of the API, with its description.
pub(super) async fn deployments(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Vec<(String, String)>, ResourceError> {
    let request = cx
        .aws()
        .apigateway
        .get_deployments()
        .rest_api_id(&target.id)
        .limit(500);
    let deployments = pages(|position| async {
        let request = request.clone().set_position(position);
        let answer = optional(
            cx.aws()
                .call_idempotent("apigateway:GetDeployments", || request.clone().send())
                .await,
        )?;
        Ok(answer.map_or((None, None), |page| (page.items, page.position)))
    })
    .await?;
    Ok(deployments
        .into_iter()
        .filter_map(|d| Some((d.id?, d.description.unwrap_or_default())))
        .collect())
}

/// Moves the stage away from our deployment: back to the one it had if nobody published since, neither on top of ours nor
/// with it, else to a new one of the restored draft. Then deletes the deployments that are ours, but for `kept`. Returns
/// where the stage was moved to.
pub(super) async fn restore_stage(
    cx: &Context,
    actual: &Actual,
    kept: Option<&str>,
) -> Result<Option<String>, ResourceError> {
    let target = &actual.target;
    let all = deployments(cx, target).await?;
    // The former deployment would open what is to stay closed.
    let goes_back = !cx.options().keep_protected;
    let restored = restores(&actual.marker, !goes_back);
    let ours = |id: &str, description: &str| {
        is_ours(cx, description) || (goes_back && is_of_closing(actual, id, description))
    };
    let stage = actual.stage.as_ref();
    let description = stage.map(|stage| &stage.description);
    let mut moved_to = None;
    if stage.is_some_and(|stage| ours(&stage.deployment_id, &stage.description)) {
        let head = actual.record.head.as_ref();
        if goes_back && head.is_some_and(|head| head.published) {
            cx.notice(
                &actual.id,
                "changes of others were published with this stack's deployment: the restored methods are deployed on top of them",
            );
        }
        let previous = head
            .filter(|head| goes_back && !head.published)
            .and_then(|head| head.previous_deployment.clone())
            .filter(|previous| all.iter().any(|(id, _)| id == previous));
        moved_to = match previous {
            Some(previous) => {
                move_stage(cx, target, &previous).await?;
                Some(previous)
            }
            None => deploy(cx, target, stage, &restored).await?,
        };
    } else if description != Some(&restored) && actual.serves_ours(cx) {
        cx.notice(
            &actual.id,
            "another user has deployed the API since: the restored methods are deployed on top",
        );
        moved_to = deploy(cx, target, stage, &restored).await?;
    }
    for (deployment, _) in all
        .iter()
        .filter(|(id, description)| ours(id, description) && Some(id.as_str()) != kept)
    {
        remove(cx, actual, deployment).await?;
    }
    Ok(moved_to)
}

/// Deletes a deployment, unless a stage serves it.
pub(super) async fn remove(
    cx: &Context,
    actual: &Actual,
    deployment: &str,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .apigateway
        .delete_deployment()
        .rest_api_id(&actual.target.id)
        .deployment_id(deployment);
    match cx
        .aws()
        .change("apigateway:DeleteDeployment", || request.clone().send())
        .await
    {
        Err(error) if error.message.contains("Active stages") => {
            let text = format!("deployment {deployment} is left: a stage serves it");
            cx.notice(&actual.id, text);
            Ok(())
        }
        other => Ok(optional(other).map(|_| ())?),
    }
}

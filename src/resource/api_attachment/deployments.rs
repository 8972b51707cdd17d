//! The API's deployments: which of them this stack made, how one is published, and how the stage's
//! former deployment is restored.

use aws_sdk_apigateway::types::Op;
use jiff::Timestamp;

use super::actual::Actual;
use super::marker::{protects, restores};
use super::method_updates::patch;
use crate::aws::kept::timestamp;
use crate::aws::optional;
use crate::aws::paginate::pages;
use crate::resource::{Context, ResourceError};
use crate::rest_api::{self, ApiTarget, Stage};

/// Whether a deployment was made by a `down --keep-protected` that was interrupted. One that
/// completed leaves such a deployment too, which is then the deployment that the stage had before
/// this stack.
pub(super) fn is_of_closing(actual: &Actual, id: &str, description: &str) -> bool {
    let head = actual.record.head.as_ref().filter(|head| head.closing);
    head.is_some_and(|head| head.previous_deployment.as_deref() != Some(id))
        && description == restores(&actual.marker, true)
}

/// Deploys the API's draft to the stage, which keeps its settings. `stage` is its current state.
/// Returns the id of the new deployment if the service reports it.
pub(super) async fn deploy(
    cx: &Context,
    target: &ApiTarget,
    stage: Option<&Stage>,
    description: &str,
) -> Result<Option<String>, ResourceError> {
    // For a stage with a canary, a deployment goes to the canary or is refused; moved to the stage, it
    // becomes the stage's own.
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

/// Sets the deployment that the stage serves. The stage keeps its settings.
///
/// # Errors
/// The error of the service.
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

/// A deployment of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    pub id: String,
    pub description: String,
    pub created: Option<Timestamp>,
}

/// Every deployment of the API.
///
/// # Errors
/// The error of the service.
pub async fn deployments(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Vec<Deployment>, ResourceError> {
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
        .filter_map(|found| {
            Some(Deployment {
                id: found.id?,
                description: found.description.unwrap_or_default(),
                created: found.created_date.as_ref().and_then(timestamp),
            })
        })
        .collect())
}

/// The deployments of others that are in `now` and not in `before`, except `known`. Newest last. Pure.
fn new_of_others<'a>(
    mark: &str,
    before: &[Deployment],
    now: &'a [Deployment],
    known: &[Option<&str>],
) -> Vec<&'a Deployment> {
    let is_new = |found: &&Deployment| {
        let is_known = known.contains(&Some(found.id.as_str()))
            || before.iter().any(|former| former.id == found.id);
        let is_ours = protects(&found.description, mark).is_some()
            || [false, true]
                .map(|closed| restores(mark, closed))
                .contains(&found.description);
        !is_known && !is_ours
    };
    let mut new: Vec<_> = now.iter().filter(is_new).collect();
    new.sort_by_key(|found| found.created);
    new
}

/// The newest deployment that others made after `before` was listed, and that the stage served until this run moved it. API
/// Gateway has no conditional update, so this shows only after the move. `known` are the deployments between which the stage
/// was moved. A deployment that another stage serves does not count.
///
/// # Errors
/// The errors of the service.
pub(super) async fn replaced(
    cx: &Context,
    target: &ApiTarget,
    mark: &str,
    before: &[Deployment],
    known: &[Option<&str>],
) -> Result<Option<String>, ResourceError> {
    let now = deployments(cx, target).await?;
    let mut new = new_of_others(mark, before, &now, known);
    if new.is_empty() {
        return Ok(None);
    }
    let stages = rest_api::stages(cx, &target.id).await?;
    let is_elsewhere = |id: &str| {
        let mut stages = stages.iter();
        stages.any(|(stage, deployment)| *stage != target.stage && deployment == id)
    };
    new.retain(|found| !is_elsewhere(&found.id));
    Ok(new.last().map(|found| found.id.clone()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_deployments_of_others_count() {
        const MARK: &str = "threescale-gw-orders";
        let made = |id: &str, description: &str, second| Deployment {
            id: id.to_owned(),
            description: description.to_owned(),
            created: Timestamp::from_second(second).ok(),
        };
        let before = [made("a", "theirs", 1)];
        let now = [
            made("a", "theirs", 1),
            made("d", "theirs", 5),
            made("b", "theirs", 2),
            made("c", "theirs", 4),
            made("e", "threescale-gw-orders protects 1", 6),
            made("f", "threescale-gw-orders restored", 6),
            made("g", "threescale-gw-orders-2 protects 1", 3),
        ];
        let new = new_of_others(MARK, &before, &now, &[Some("b"), None]);
        let ids: Vec<_> = new.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(ids, ["g", "c", "d"]);
        assert!(new_of_others(MARK, &now, &now, &[]).is_empty());
    }
}

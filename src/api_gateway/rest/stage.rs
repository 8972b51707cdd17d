//! The stages of a REST API, and the deployments they serve.

use std::sync::Arc;

use crate::api_gateway::method::MethodKey;
use crate::api_gateway::stage::{ListedStage, Served, Stage};
use crate::api_gateway::target::ApiTarget;
use crate::aws::{Aws, AwsError, optional};
use crate::resource::Context;

/// The stage, and what it serves; `None` if the stage or the API does not exist.
///
/// # Errors
/// When a call fails otherwise.
pub(in crate::api_gateway) async fn stage(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Arc<Option<Stage>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_stage()
            .rest_api_id(&target.id)
            .stage_name(&target.stage);
        let answer = optional(
            cx.aws()
                .call_idempotent("apigateway:GetStage", || request.clone().send())
                .await,
        )?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let canary = answer.canary_settings.map(|canary| canary.percent_traffic);
        let Some(deployment_id) = answer.deployment_id else {
            return Ok(None);
        };
        let (description, served) = deployment(cx, &target.id, &deployment_id).await?;
        Ok(Some(Stage {
            deployment_id,
            description,
            served,
            canary,
            authorizer_uris: None,
            deploys_automatically: false,
            is_managed: false,
            failed_deployment: None,
        }))
    };
    cx.listings()
        .get_or_fetch(format!("stage {} {}", target.id, target.stage), ask)
        .await
}

/// The stages of an API of the account, each with its deployment.
///
/// # Errors
/// When the listing fails.
pub(in crate::api_gateway) async fn stages(
    aws: &Aws,
    api_id: &str,
) -> Result<Vec<ListedStage>, AwsError> {
    let request = aws.apigateway.get_stages().rest_api_id(api_id);
    let answer = optional(
        aws.call_idempotent("apigateway:GetStages", || request.clone().send())
            .await,
    )?;
    let stages = answer.and_then(|answer| answer.item).unwrap_or_default();
    Ok(stages
        .into_iter()
        .filter_map(|stage| {
            Some(ListedStage {
                name: stage.stage_name?,
                deployment: stage.deployment_id,
                deploys_automatically: false,
            })
        })
        .collect())
}

/// A deployment's description, and what it serves if the service reports it; neither for a
/// deployment that no longer exists.
///
/// # Errors
/// When the call fails otherwise.
pub(in crate::api_gateway) async fn deployment(
    cx: &Context,
    api_id: &str,
    deployment_id: &str,
) -> Result<(String, Option<Served>), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .get_deployment()
        .rest_api_id(api_id)
        .deployment_id(deployment_id)
        .embed("apisummary");
    let answer = optional(
        cx.aws()
            .call_idempotent("apigateway:GetDeployment", || request.clone().send())
            .await,
    )?;
    let Some(deployment) = answer else {
        return Ok((String::new(), None));
    };
    // An emulator may omit the authorization; then it is unknown for every method.
    let served = deployment.api_summary.and_then(|summary| {
        summary
            .into_iter()
            .flat_map(|(path, methods)| {
                methods.into_iter().map(move |(method, snapshot)| {
                    let authorization = snapshot.authorization_type?;
                    Some((MethodKey::new(&*path, method), authorization.into()))
                })
            })
            .collect()
    });
    Ok((deployment.description.unwrap_or_default(), served))
}

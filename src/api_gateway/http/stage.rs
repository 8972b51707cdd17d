//! The stages of an HTTP or WebSocket API, and what they serve.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::export;
use crate::api_gateway::method::AuthorizationType;
use crate::api_gateway::stage::{ListedStage, Served, Stage};
use crate::api_gateway::target::{ApiTarget, Protocol};
use crate::aws::paginate::pages;
use crate::aws::{Aws, AwsError, optional};
use crate::printable::line;
use crate::resource::Context;

/// `None` if the stage or the API does not exist, or nothing is deployed to the stage.
pub(in crate::api_gateway) async fn stage(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Arc<Option<Stage>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigatewayv2
            .get_stage()
            .api_id(&target.id)
            .stage_name(&target.stage);
        let answer = optional(
            cx.aws()
                .call_idempotent("apigateway:GetStage", || request.clone().send())
                .await,
        )?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let Some(deployment_id) = answer.deployment_id else {
            return Ok(None);
        };
        let request = cx
            .aws()
            .apigatewayv2
            .get_deployment()
            .api_id(&target.id)
            .deployment_id(&deployment_id);
        let deployment = optional(
            cx.aws()
                .call_idempotent("apigateway:GetDeployment", || request.clone().send())
                .await,
        )?;
        let deploys_automatically = answer.auto_deploy.unwrap_or_default();
        let message = answer.last_deployment_status_message;
        Ok(Some(Stage {
            deployment_id,
            description: deployment
                .and_then(|deployment| deployment.description)
                .unwrap_or_default(),
            served: served(cx, target).await?,
            canary: None,
            authorizer_uris: authorizer_uris(cx, target).await?,
            deploys_automatically,
            is_managed: answer.api_gateway_managed.unwrap_or_default(),
            failed_deployment: message
                .filter(|_| deploys_automatically)
                .and_then(|message| failure(&message)),
        }))
    };
    cx.listings()
        .get_or_fetch(format!("stage {} {}", target.id, target.stage), ask)
        .await
}

/// Why the last automatic deployment failed. API Gateway tells it in a text alone; a deployment that fails need not be listed.
/// Source: texts of `lastDeploymentStatusMessage` that users of API Gateway have published, such as "Deployment attempt failed:
/// Unable to deploy API because no routes exist in this API".
fn failure(message: &str) -> Option<String> {
    let rest = message.strip_prefix("Deployment attempt failed")?;
    let reason = rest.trim_start_matches([':', ' ']);
    let reason = if reason.is_empty() { message } else { reason };
    Some(line(reason).into_owned())
}

/// What the stage serves. A deployment of these APIs has no list of its routes, but an HTTP API can be exported.
/// Source: API Gateway, `GetDeployment` and `ExportApi`.
pub(in crate::api_gateway) async fn served(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<Served>, AwsError> {
    if target.protocol == Protocol::WebSocket {
        return Ok(None);
    }
    let export = export::export(cx, target).await?;
    Ok((*export).as_ref().map(|export| {
        let methods = export.methods.iter();
        methods
            .map(|(key, method)| {
                let authorization = match method.guard.as_deref() {
                    None => AuthorizationType::None,
                    Some(export::CUSTOM) => AuthorizationType::Custom,
                    Some(export::JWT) => AuthorizationType::Jwt,
                    Some(export::IAM) => AuthorizationType::AwsIam,
                    Some(other) => AuthorizationType::from(other),
                };
                (key.clone(), authorization)
            })
            .collect()
    }))
}

/// The URIs of the Lambda authorizers that the routes of a stage use.
async fn authorizer_uris(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<BTreeSet<String>>, AwsError> {
    let export = export::export(cx, target).await?;
    Ok((*export).as_ref().map(|export| {
        let methods = export.methods.values();
        let uris = methods.filter_map(|method| method.authorizer_uri.clone());
        uris.collect()
    }))
}

/// The stages of an API, each with its deployment.
pub(in crate::api_gateway) async fn stages(
    aws: &Aws,
    api_id: &str,
) -> Result<Vec<ListedStage>, AwsError> {
    let request = aws.apigatewayv2.get_stages().api_id(api_id);
    let stages = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let answer = optional(
            aws.call_idempotent("apigateway:GetStages", || request.clone().send())
                .await,
        )?;
        Ok(answer.map_or((None, None), |page| (page.items, page.next_token)))
    })
    .await?;
    Ok(stages
        .into_iter()
        .filter_map(|stage| {
            Some(ListedStage {
                name: stage.stage_name?,
                deployment: stage.deployment_id,
                deploys_automatically: stage.auto_deploy.unwrap_or_default(),
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_of_a_failure_is_one() {
        let why = "Unable to deploy API because no routes exist in this API";
        for (message, reason) in [
            (format!("Deployment attempt failed: {why}"), Some(why)),
            (
                "Deployment attempt failed".to_owned(),
                Some("Deployment attempt failed"),
            ),
            (
                "Successfully deployed stage with deployment ID 'biw5qf'".to_owned(),
                None,
            ),
            ("Deployment in progress".to_owned(), None),
            (String::new(), None),
            (
                "Deployment attempt failed: \u{1b}[31mno\nluck".to_owned(),
                Some(r"\u{1b}[31mno\nluck"),
            ),
        ] {
            assert_eq!(failure(&message).as_deref(), reason, "{message}");
        }
    }
}

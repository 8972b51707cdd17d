//! The deployments of an HTTP or WebSocket API.

use std::time::Duration;

use aws_sdk_apigatewayv2::types::{self, DeploymentStatus};

use crate::api_gateway::deployment::Deployment;
use crate::aws::kept::timestamp;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class, optional};
use crate::printable::line;
use crate::resource::Context;

/// How long a deployment may be pending.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time between two looks at it.
const STEP: Duration = Duration::from_secs(1);

pub(in crate::api_gateway) async fn deployments(
    cx: &Context,
    api_id: &str,
) -> Result<Vec<Deployment>, AwsError> {
    let deployments = listed(cx, api_id).await?;
    Ok(deployments
        .into_iter()
        .filter_map(|found| {
            Some(Deployment {
                id: found.deployment_id?,
                description: found.description.unwrap_or_default(),
                created: found.created_date.as_ref().and_then(timestamp),
            })
        })
        .collect())
}

async fn listed(cx: &Context, api_id: &str) -> Result<Vec<types::Deployment>, AwsError> {
    let request = cx.aws().apigatewayv2.get_deployments().api_id(api_id);
    pages(|token| async {
        let request = request.clone().set_next_token(token);
        let answer = optional(
            cx.aws()
                .call_idempotent("apigateway:GetDeployments", || request.clone().send())
                .await,
        )?;
        Ok(answer.map_or((None, None), |page| (page.items, page.next_token)))
    })
    .await
}

/// Waits until API Gateway has ended the automatic deployments of the API, so that its stages serve the draft unless that failed.
///
/// # Errors
/// When the listing fails.
pub(in crate::api_gateway) async fn await_automatic(
    cx: &Context,
    api_id: &str,
) -> Result<(), AwsError> {
    let is_pending = |found: &types::Deployment| {
        found.auto_deployed.unwrap_or_default()
            && found.deployment_status == Some(DeploymentStatus::Pending)
    };
    let mut waited = Duration::ZERO;
    while waited < PATIENCE && listed(cx, api_id).await?.iter().any(is_pending) {
        waited += STEP;
        cx.aws().pause(STEP).await;
    }
    Ok(())
}

/// Checks that a deployment is ready to be served.
///
/// # Errors
/// That it is still pending, so the same call is made again later, or why it failed.
pub(in crate::api_gateway) async fn ensure_deployed(
    cx: &Context,
    api_id: &str,
    deployment: &str,
) -> Result<(), AwsError> {
    const OPERATION: &str = "apigateway:GetDeployment";
    let request = cx
        .aws()
        .apigatewayv2
        .get_deployment()
        .api_id(api_id)
        .deployment_id(deployment);
    let mut waited = Duration::ZERO;
    loop {
        let found = cx
            .aws()
            .call_idempotent(OPERATION, || request.clone().send())
            .await?;
        match found.deployment_status {
            None | Some(DeploymentStatus::Deployed) => return Ok(()),
            Some(DeploymentStatus::Failed) => {
                let why = found.deployment_status_message.unwrap_or_default();
                let why = line(&why);
                return Err(AwsError {
                    class: Class::Fatal,
                    ..AwsError::incomplete(
                        OPERATION,
                        format!("deployment {deployment} of API {api_id} failed: {why}"),
                    )
                });
            }
            Some(_) if waited < PATIENCE => {
                waited += STEP;
                cx.aws().pause(STEP).await;
            }
            Some(_) => {
                return Err(AwsError::incomplete(
                    OPERATION,
                    format!("deployment {deployment} of API {api_id} is still pending"),
                ));
            }
        }
    }
}

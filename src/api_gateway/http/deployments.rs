//! The deployments of an HTTP or WebSocket API.

use std::time::Duration;

use aws_sdk_apigatewayv2::types::{self, DeploymentStatus};

use crate::api_gateway::deployment::Deployment;
use crate::aws::kept::timestamp;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class, optional};
use crate::printable::line;
use crate::resource::{Context, ResourceError};

/// How long a deployment may be pending.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take until a new deployment can be read.
const UNSEEN: Duration = Duration::from_secs(30);
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
                is_automatic: found.auto_deployed.unwrap_or_default(),
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
/// When the listing fails, or one is still pending after that time.
pub(in crate::api_gateway) async fn await_automatic(
    cx: &Context,
    api_id: &str,
) -> Result<(), ResourceError> {
    let is_pending = |found: &types::Deployment| {
        found.auto_deployed.unwrap_or_default()
            && found.deployment_status == Some(DeploymentStatus::Pending)
    };
    let mut waited = Duration::ZERO;
    loop {
        let pending = listed(cx, api_id).await?.into_iter().find(is_pending);
        let Some(pending) = pending else {
            return Ok(());
        };
        refuse_longer(api_id, &pending, waited)?;
        waited += STEP;
        cx.aws().pause(STEP).await;
    }
}

/// Refuses to wait longer for a pending deployment than it may take.
fn refuse_longer(
    api_id: &str,
    pending: &types::Deployment,
    waited: Duration,
) -> Result<(), ResourceError> {
    if waited < PATIENCE {
        return Ok(());
    }
    let id = pending.deployment_id.as_deref().unwrap_or_default();
    Err(ResourceError::TimedOut {
        state: format!("automatic deployment {id} of API {api_id} is pending"),
        after: waited,
    })
}

/// Checks that a deployment is ready to be served.
///
/// # Errors
/// Why it failed, or that it is still pending or cannot be read yet.
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
            .await;
        let found = match found {
            // It was made a moment ago.
            Err(error) if error.is_not_found() && waited < UNSEEN => None,
            found => Some(found?),
        };
        match found.as_ref().map(|found| &found.deployment_status) {
            Some(None | Some(DeploymentStatus::Deployed)) => return Ok(()),
            Some(Some(DeploymentStatus::Failed)) => {
                let why = found.and_then(|found| found.deployment_status_message);
                let why = why.unwrap_or_default();
                let why = line(&why);
                return Err(AwsError {
                    class: Class::Fatal,
                    ..AwsError::incomplete(
                        OPERATION,
                        format!("deployment {deployment} of API {api_id} failed: {why}"),
                    )
                });
            }
            None | Some(Some(_)) if waited < PATIENCE => {
                waited += STEP;
                cx.aws().pause(STEP).await;
            }
            None | Some(Some(_)) => {
                return Err(AwsError::incomplete(
                    OPERATION,
                    format!("deployment {deployment} of API {api_id} is still pending"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_that_stays_pending_ends_the_run() {
        let pending = types::Deployment::builder().deployment_id("d1").build();
        let waited = |waited| refuse_longer("a1", &pending, waited);
        assert_eq!(waited(Duration::ZERO), Ok(()));
        assert_eq!(waited(PATIENCE - STEP), Ok(()));
        let error = waited(PATIENCE).expect_err("it is too long");
        assert_eq!(
            error.to_string(),
            "timed out after 2 min waiting; last state: automatic deployment d1 of API a1 is pending"
        );
        assert_eq!(error.retried_for(), None);
    }
}

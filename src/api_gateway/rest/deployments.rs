//! The deployments of a REST API.

use crate::api_gateway::deployment::Deployment;
use crate::aws::kept::timestamp;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Context;

pub(in crate::api_gateway) async fn deployments(
    cx: &Context,
    api_id: &str,
) -> Result<Vec<Deployment>, AwsError> {
    let request = cx
        .aws()
        .apigateway
        .get_deployments()
        .rest_api_id(api_id)
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
                is_automatic: false,
            })
        })
        .collect())
}

//! The calls that change a REST API.

use aws_sdk_apigateway::types::{AuthorizerType, Op, PatchOperation};

use crate::api_gateway::authorizer::AuthorizerSettings;
use crate::api_gateway::method::{AuthorizationType, Method};
use crate::api_gateway::target::ApiTarget;
use crate::aws::AwsError;
use crate::resource::Context;

fn patch(op: Op, path: &str, value: &str) -> PatchOperation {
    PatchOperation::builder()
        .op(op)
        .path(path)
        .value(value)
        .build()
}

pub(in crate::api_gateway) async fn set_authorizer(
    cx: &Context,
    api_id: &str,
    now: &Method,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    let mut operations = vec![
        patch(
            Op::Replace,
            "/authorizationType",
            AuthorizationType::Custom.as_str(),
        ),
        patch(Op::Replace, "/authorizerId", authorizer_id),
    ];
    // Scopes belong to Cognito authorizers; API Gateway rejects them with other types.
    operations.extend(
        now.scopes
            .iter()
            .map(|scope| patch(Op::Remove, "/authorizationScopes", scope)),
    );
    update_method(cx, api_id, now, operations).await
}

async fn update_method(
    cx: &Context,
    api_id: &str,
    method: &Method,
    operations: Vec<PatchOperation>,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .update_method()
        .rest_api_id(api_id)
        .resource_id(&method.resource_id)
        .http_method(&method.method)
        .set_patch_operations(Some(operations));
    cx.aws()
        .change("apigateway:UpdateMethod", || request.clone().send())
        .await
}

pub(in crate::api_gateway) async fn restore_method(
    cx: &Context,
    api_id: &str,
    wanted: &Method,
    now: &Method,
) -> Result<(), AwsError> {
    let mut operations = vec![
        patch(
            Op::Replace,
            "/authorizationType",
            wanted.authorization.as_str(),
        ),
        patch(
            Op::Replace,
            "/authorizerId",
            wanted.authorizer_id.as_deref().unwrap_or_default(),
        ),
    ];
    operations.extend(
        wanted
            .scopes
            .iter()
            .map(|scope| patch(Op::Add, "/authorizationScopes", scope)),
    );
    update_method(cx, api_id, now, operations).await
}

/// Deploys the draft to the stage, or to none. Returns the id of the new deployment if the service reports it.
pub(in crate::api_gateway) async fn create_deployment(
    cx: &Context,
    api_id: &str,
    stage: Option<&str>,
    description: &str,
) -> Result<Option<String>, AwsError> {
    let request = cx
        .aws()
        .apigateway
        .create_deployment()
        .rest_api_id(api_id)
        .set_stage_name(stage.map(str::to_owned))
        .description(description);
    let made = cx
        .aws()
        .call_non_idempotent("apigateway:CreateDeployment", || request.clone().send())
        .await?;
    Ok(made.id)
}

pub(in crate::api_gateway) async fn delete_deployment(
    cx: &Context,
    api_id: &str,
    deployment: &str,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .delete_deployment()
        .rest_api_id(api_id)
        .deployment_id(deployment);
    cx.aws()
        .change("apigateway:DeleteDeployment", || request.clone().send())
        .await
}

pub(in crate::api_gateway) async fn move_stage(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<(), AwsError> {
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

pub(in crate::api_gateway) async fn create_authorizer(
    cx: &Context,
    api_id: &str,
    name: &str,
    uri: &str,
    settings: &AuthorizerSettings,
) -> Result<(), AwsError> {
    let source = Some(settings.identity_source.clone()).filter(|text| !text.is_empty());
    let request = cx
        .aws()
        .apigateway
        .create_authorizer()
        .rest_api_id(api_id)
        .name(name)
        .r#type(AuthorizerType::Request)
        .authorizer_uri(uri)
        .set_identity_source(source)
        .authorizer_result_ttl_in_seconds(settings.ttl);
    cx.aws()
        .call_non_idempotent("apigateway:CreateAuthorizer", || request.clone().send())
        .await
        .map(|_| ())
}

pub(in crate::api_gateway) async fn update_authorizer(
    cx: &Context,
    api_id: &str,
    authorizer_id: &str,
    uri: &str,
    settings: &AuthorizerSettings,
) -> Result<(), AwsError> {
    let replace = |path: &str, value: &str| patch(Op::Replace, path, value);
    let request = cx
        .aws()
        .apigateway
        .update_authorizer()
        .rest_api_id(api_id)
        .authorizer_id(authorizer_id)
        .patch_operations(replace("/type", AuthorizerType::Request.as_str()))
        .patch_operations(replace("/authorizerUri", uri))
        .patch_operations(replace("/identitySource", &settings.identity_source))
        .patch_operations(replace(
            "/authorizerResultTtlInSeconds",
            &settings.ttl.to_string(),
        ));
    cx.aws()
        .change("apigateway:UpdateAuthorizer", || request.clone().send())
        .await
}

pub(in crate::api_gateway) async fn delete_authorizer(
    cx: &Context,
    api_id: &str,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .delete_authorizer()
        .rest_api_id(api_id)
        .authorizer_id(authorizer_id);
    cx.aws()
        .change("apigateway:DeleteAuthorizer", || request.clone().send())
        .await
}

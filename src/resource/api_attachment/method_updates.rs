//! The calls that change the authorization of one method.

use aws_sdk_apigateway::types::{Op, PatchOperation};

use crate::resource::{Context, ResourceError};
use crate::rest_api::{ApiTarget, AuthorizationType, Method};

pub(super) fn patch(op: Op, path: &str, value: &str) -> PatchOperation {
    PatchOperation::builder()
        .op(op)
        .path(path)
        .value(value)
        .build()
}

/// Sets an authorizer on a method.
pub(super) async fn set_authorizer(
    cx: &Context,
    target: &ApiTarget,
    now: &Method,
    authorizer_id: &str,
) -> Result<(), ResourceError> {
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
    update_method(cx, target, now, operations).await
}

async fn update_method(
    cx: &Context,
    target: &ApiTarget,
    method: &Method,
    operations: Vec<PatchOperation>,
) -> Result<(), ResourceError> {
    let request = cx
        .aws()
        .apigateway
        .update_method()
        .rest_api_id(&target.id)
        .resource_id(&method.resource_id)
        .http_method(&method.method)
        .set_patch_operations(Some(operations));
    Ok(cx
        .aws()
        .change("apigateway:UpdateMethod", || request.clone().send())
        .await?)
}

/// Restores the authorization of a method.
pub(super) async fn restore_method(
    cx: &Context,
    target: &ApiTarget,
    wanted: &Method,
    now: &Method,
) -> Result<(), ResourceError> {
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
    update_method(cx, target, now, operations).await
}

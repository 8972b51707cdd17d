//! The calls that change an HTTP or WebSocket API. API Gateway accepts one write at a time for an API.

use aws_sdk_apigatewayv2::types::{AuthorizationType as Type, AuthorizerType};

use super::deployments::ensure_deployed;
use crate::api_gateway::authorizer::{AuthorizerSettings, PAYLOAD_VERSION};
use crate::api_gateway::method::Method;
use crate::api_gateway::target::{ApiRef, ApiTarget, Protocol};
use crate::aws::{AwsError, optional};
use crate::resource::Context;

pub(in crate::api_gateway) async fn set_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    now: &Method,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    restore_method(cx, api, &now.asking(authorizer_id), now).await
}

/// Sets the authorization of a route, unless others have deleted the route since. What is not sent stays as it is, and `NONE`
/// removes the authorizer.
/// Source: API Gateway, `UpdateRoute`.
pub(in crate::api_gateway) async fn restore_method(
    cx: &Context,
    api: ApiRef<'_>,
    wanted: &Method,
    now: &Method,
) -> Result<(), AwsError> {
    let scopes = Some(wanted.scopes.clone())
        .filter(|wanted| api.protocol == Protocol::Http && *wanted != now.scopes);
    let request = cx
        .aws()
        .apigatewayv2
        .update_route()
        .api_id(api.id)
        .route_id(&now.resource_id)
        .authorization_type(Type::from(wanted.authorization.as_str()))
        .set_authorizer_id(wanted.authorizer_id.clone())
        .set_authorization_scopes(scopes);
    let changed = cx
        .aws()
        .change("apigateway:UpdateRoute", || request.clone().send())
        .await;
    optional(changed).map(|_| ())
}

/// Creates a route without an integration, and with the authorizer from its first moment.
pub(in crate::api_gateway) async fn create_route(
    cx: &Context,
    api: ApiRef<'_>,
    route: &Method,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigatewayv2
        .create_route()
        .api_id(api.id)
        .route_key(route.label())
        .authorization_type(Type::Custom)
        .authorizer_id(authorizer_id);
    cx.aws()
        .call_non_idempotent("apigateway:CreateRoute", || request.clone().send())
        .await
        .map(|_| ())
}

/// Deletes a route, if it exists.
pub(in crate::api_gateway) async fn delete_route(
    cx: &Context,
    api: ApiRef<'_>,
    route: &Method,
) -> Result<(), AwsError> {
    if route.is_absent {
        return Ok(());
    }
    let request = cx
        .aws()
        .apigatewayv2
        .delete_route()
        .api_id(api.id)
        .route_id(&route.resource_id);
    let deleted = cx
        .aws()
        .change("apigateway:DeleteRoute", || request.clone().send())
        .await;
    optional(deleted).map(|_| ())
}

/// Deploys the draft to no stage, and waits until a stage can serve the deployment.
pub(in crate::api_gateway) async fn create_deployment(
    cx: &Context,
    api_id: &str,
    description: &str,
) -> Result<Option<String>, AwsError> {
    let request = cx
        .aws()
        .apigatewayv2
        .create_deployment()
        .api_id(api_id)
        .description(description);
    let made = cx
        .aws()
        .call_non_idempotent("apigateway:CreateDeployment", || request.clone().send())
        .await?;
    if let Some(id) = &made.deployment_id {
        ensure_deployed(cx, api_id, id).await?;
    }
    Ok(made.deployment_id)
}

pub(in crate::api_gateway) async fn delete_deployment(
    cx: &Context,
    api_id: &str,
    deployment: &str,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigatewayv2
        .delete_deployment()
        .api_id(api_id)
        .deployment_id(deployment);
    cx.aws()
        .change("apigateway:DeleteDeployment", || request.clone().send())
        .await
}

/// The stage must not deploy automatically.
pub(in crate::api_gateway) async fn move_stage(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigatewayv2
        .update_stage()
        .api_id(&target.id)
        .stage_name(&target.stage)
        .deployment_id(deployment);
    cx.aws()
        .change("apigateway:UpdateStage", || request.clone().send())
        .await
}

/// Turns the automatic deployment of a stage on or off. No other setting is sent: API Gateway refuses some that it returns.
pub(in crate::api_gateway) async fn set_automatic_deployment(
    cx: &Context,
    target: &ApiTarget,
    is_on: bool,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigatewayv2
        .update_stage()
        .api_id(&target.id)
        .stage_name(&target.stage)
        .auto_deploy(is_on);
    cx.aws()
        .change("apigateway:UpdateStage", || request.clone().send())
        .await
}

/// The identity sources as a list.
fn sources(settings: &AuthorizerSettings) -> Vec<String> {
    let sources = settings.identity_source.split(',');
    let sources = sources.filter(|source| !source.is_empty());
    sources.map(str::to_owned).collect()
}

pub(in crate::api_gateway) async fn create_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    name: &str,
    uri: &str,
    settings: &AuthorizerSettings,
) -> Result<(), AwsError> {
    let is_http = api.protocol == Protocol::Http;
    let request = cx
        .aws()
        .apigatewayv2
        .create_authorizer()
        .api_id(api.id)
        .name(name)
        .authorizer_type(AuthorizerType::Request)
        .authorizer_uri(uri)
        .set_identity_source(Some(sources(settings)))
        .set_authorizer_payload_format_version(is_http.then(|| PAYLOAD_VERSION.to_owned()))
        .set_enable_simple_responses(is_http.then_some(true))
        .set_authorizer_result_ttl_in_seconds(is_http.then_some(settings.ttl));
    cx.aws()
        .call_non_idempotent("apigateway:CreateAuthorizer", || request.clone().send())
        .await
        .map(|_| ())
}

pub(in crate::api_gateway) async fn update_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    authorizer_id: &str,
    uri: &str,
    settings: &AuthorizerSettings,
) -> Result<(), AwsError> {
    let is_http = api.protocol == Protocol::Http;
    let request = cx
        .aws()
        .apigatewayv2
        .update_authorizer()
        .api_id(api.id)
        .authorizer_id(authorizer_id)
        .authorizer_type(AuthorizerType::Request)
        .authorizer_uri(uri)
        .set_identity_source(Some(sources(settings)))
        .set_authorizer_payload_format_version(is_http.then(|| PAYLOAD_VERSION.to_owned()))
        .set_enable_simple_responses(is_http.then_some(true))
        .set_authorizer_result_ttl_in_seconds(is_http.then_some(settings.ttl));
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
        .apigatewayv2
        .delete_authorizer()
        .api_id(api_id)
        .authorizer_id(authorizer_id);
    cx.aws()
        .change("apigateway:DeleteAuthorizer", || request.clone().send())
        .await
}

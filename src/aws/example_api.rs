//! The example API of the sandbox: a few paths with one response each, deployed to a stage, like an
//! operator's existing API.

use std::collections::BTreeMap;

use aws_sdk_apigateway::types::IntegrationType;
use aws_sdk_apigatewayv2::types::{IntegrationType as HttpIntegrationType, ProtocolType};

use super::{Aws, AwsError, carried_out};

/// The methods of the example API, unless the user provides another API.
pub const METHODS: &[(&str, &str)] = &[
    ("GET", "/orders"),
    ("POST", "/orders"),
    ("OPTIONS", "/orders"),
    ("GET", "/products"),
    ("GET", "/health"),
];

/// The backend of the HTTP API, which only the sandbox's API Gateway has (`src/sandbox/http_apis.py`): HTTP APIs have no
/// mock integrations.
const BACKEND: &str = "https://backend.invalid";

/// Creates an HTTP API with these routes (method and path), and stages that deploy automatically, as most stages of HTTP
/// APIs do. Returns the id of the API.
///
/// # Errors
/// The error of the service.
pub async fn create_http(
    aws: &Aws,
    name: &str,
    stages: &[String],
    routes: &[(String, String)],
) -> Result<String, AwsError> {
    let missing = |call: &'static str, what: &str| {
        AwsError::incomplete(call, format!("the answer has no {what}"))
    };
    const CREATE_API: &str = "apigateway:CreateApi";
    let request = aws.apigatewayv2.create_api().name(name);
    let request = request.protocol_type(ProtocolType::Http);
    let api = aws
        .call_non_idempotent(CREATE_API, || request.clone().send())
        .await?;
    let api_id = api.api_id.ok_or_else(|| missing(CREATE_API, "id"))?;
    const CREATE_INTEGRATION: &str = "apigateway:CreateIntegration";
    let request = aws
        .apigatewayv2
        .create_integration()
        .api_id(&api_id)
        .integration_type(HttpIntegrationType::HttpProxy)
        .integration_method("ANY")
        .integration_uri(BACKEND)
        .payload_format_version("1.0");
    let integration = aws
        .call_non_idempotent(CREATE_INTEGRATION, || request.clone().send())
        .await?;
    let integration = integration.integration_id;
    let integration = integration.ok_or_else(|| missing(CREATE_INTEGRATION, "id"))?;
    for (method, path) in routes {
        let request = aws
            .apigatewayv2
            .create_route()
            .api_id(&api_id)
            .route_key(route_key(method, path))
            .target(format!("integrations/{integration}"));
        aws.call_non_idempotent("apigateway:CreateRoute", || request.clone().send())
            .await?;
    }
    for stage in stages {
        let request = aws.apigatewayv2.create_stage().api_id(&api_id);
        let request = request.stage_name(stage).auto_deploy(true);
        aws.call_non_idempotent("apigateway:CreateStage", || request.clone().send())
            .await?;
    }
    Ok(api_id)
}

/// The key of a route. In OpenAPI, the route `$default` has a path.
fn route_key(method: &str, path: &str) -> String {
    match path {
        "/$default" => "$default".to_owned(),
        path => format!("{method} {path}"),
    }
}

/// Creates a REST API with these methods (method and path), deploys it to `stages` and returns its id.
///
/// # Errors
/// The error of the service.
pub async fn create_rest(
    aws: &Aws,
    name: &str,
    stages: &[String],
    methods: &[(String, String)],
) -> Result<String, AwsError> {
    let missing = |what: &str| {
        AwsError::incomplete(
            "apigateway:CreateRestApi",
            format!("the answer has no {what}"),
        )
    };
    let request = aws.apigateway.create_rest_api().name(name);
    let api = aws
        .call_non_idempotent("apigateway:CreateRestApi", || request.clone().send())
        .await?;
    let api_id = api.id.ok_or_else(|| missing("id"))?;
    let request = aws.apigateway.get_resources().rest_api_id(&api_id);
    let resources = aws
        .call_idempotent("apigateway:GetResources", || request.clone().send())
        .await?;
    let root = resources
        .items
        .unwrap_or_default()
        .into_iter()
        .next()
        .and_then(|item| item.id);
    // The resources created so far, by path without a trailing slash.
    let mut made = BTreeMap::from([(String::new(), root.ok_or_else(|| missing("root resource"))?)]);
    for (method, path) in methods {
        let mut at = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let parent = made.get(&at).cloned().unwrap_or_default();
            at = format!("{at}/{part}");
            if made.contains_key(&at) {
                continue;
            }
            let request = aws
                .apigateway
                .create_resource()
                .rest_api_id(&api_id)
                .parent_id(parent)
                .path_part(part);
            let resource = aws
                .call_non_idempotent("apigateway:CreateResource", || request.clone().send())
                .await?;
            made.insert(
                at.clone(),
                resource.id.ok_or_else(|| missing("resource id"))?,
            );
        }
        let resource = made.get(&at).map(String::as_str).unwrap_or_default();
        put_method(aws, &api_id, resource, method).await?;
    }
    for stage in stages {
        let request = aws
            .apigateway
            .create_deployment()
            .rest_api_id(&api_id)
            .stage_name(stage);
        let deployed = aws
            .call_non_idempotent("apigateway:CreateDeployment", || request.clone().send())
            .await;
        carried_out(deployed)?;
    }
    Ok(api_id)
}

async fn put_method(aws: &Aws, api_id: &str, resource: &str, method: &str) -> Result<(), AwsError> {
    let of = aws
        .apigateway
        .put_method()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method);
    let request = of.authorization_type("NONE");
    aws.change("apigateway:PutMethod", || request.clone().send())
        .await?;
    let request = aws
        .apigateway
        .put_integration()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method)
        .r#type(IntegrationType::Mock)
        .request_templates("application/json", "{\"statusCode\": 200}");
    aws.change("apigateway:PutIntegration", || request.clone().send())
        .await?;
    let request = aws
        .apigateway
        .put_method_response()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method)
        .status_code("200");
    aws.change("apigateway:PutMethodResponse", || request.clone().send())
        .await?;
    let request = aws
        .apigateway
        .put_integration_response()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method)
        .status_code("200")
        .response_templates("application/json", "{\"answer\": \"of the backend\"}");
    aws.change("apigateway:PutIntegrationResponse", || {
        request.clone().send()
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_has_a_key_of_its_own() {
        assert_eq!(route_key("ANY", "/$default"), "$default");
        assert_eq!(route_key("GET", "/a/{id}"), "GET /a/{id}");
    }
}

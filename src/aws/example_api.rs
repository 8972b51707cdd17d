//! The API of the sandbox: a few paths with mock integrations, deployed, as an operator's API would stand before us.

use aws_sdk_apigateway::types::IntegrationType;

use super::{Aws, AwsError};

/// What the API has.
const METHODS: &[(&str, &str)] = &[
    ("GET", "/orders"),
    ("POST", "/orders"),
    ("OPTIONS", "/orders"),
    ("GET", "/products"),
    ("GET", "/health"),
];

/// Makes the API and deploys it to `stage`; returns its id.
///
/// # Errors
/// What the service answers.
pub async fn create(aws: &Aws, name: &str, stage: &str) -> Result<String, AwsError> {
    let missing = |what: &str| {
        AwsError::unexpected(
            "apigateway:CreateRestApi",
            format!("the answer has no {what}"),
        )
    };
    let request = aws.apigateway.create_rest_api().name(name);
    let api = aws
        .once("apigateway:CreateRestApi", || request.clone().send())
        .await?;
    let api_id = api.id.ok_or_else(|| missing("id"))?;
    let request = aws.apigateway.get_resources().rest_api_id(&api_id);
    let resources = aws
        .repeatable("apigateway:GetResources", || request.clone().send())
        .await?;
    let root = resources
        .items
        .unwrap_or_default()
        .into_iter()
        .next()
        .and_then(|item| item.id);
    let root = root.ok_or_else(|| missing("root resource"))?;
    let mut made: Vec<(&str, String)> = Vec::new();
    for (method, path) in METHODS {
        let known = made
            .iter()
            .find(|(known, _)| known == path)
            .map(|(_, id)| id.clone());
        let resource = match known {
            Some(id) => id,
            None => {
                let part = path.trim_start_matches('/');
                let request = aws
                    .apigateway
                    .create_resource()
                    .rest_api_id(&api_id)
                    .parent_id(&root)
                    .path_part(part);
                let resource = aws
                    .once("apigateway:CreateResource", || request.clone().send())
                    .await?;
                let id = resource.id.ok_or_else(|| missing("resource id"))?;
                made.push((path, id.clone()));
                id
            }
        };
        put_method(aws, &api_id, &resource, method).await?;
    }
    let request = aws
        .apigateway
        .create_deployment()
        .rest_api_id(&api_id)
        .stage_name(stage);
    aws.once("apigateway:CreateDeployment", || request.clone().send())
        .await?;
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
    aws.repeatable("apigateway:PutMethod", || request.clone().send())
        .await?;
    let request = aws
        .apigateway
        .put_integration()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method)
        .r#type(IntegrationType::Mock)
        .request_templates("application/json", "{\"statusCode\": 200}");
    aws.repeatable("apigateway:PutIntegration", || request.clone().send())
        .await?;
    let request = aws
        .apigateway
        .put_method_response()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method)
        .status_code("200");
    aws.repeatable("apigateway:PutMethodResponse", || request.clone().send())
        .await?;
    let request = aws
        .apigateway
        .put_integration_response()
        .rest_api_id(api_id)
        .resource_id(resource)
        .http_method(method)
        .status_code("200")
        .response_templates("application/json", "{\"answer\": \"of the backend\"}");
    aws.repeatable("apigateway:PutIntegrationResponse", || {
        request.clone().send()
    })
    .await?;
    Ok(())
}

//! Finds the API by its id or its name.

use std::collections::BTreeMap;

use aws_sdk_apigateway::types::{EndpointConfiguration, EndpointType};
use serde_json::Value;

use super::definition::{self, Settings};
use crate::aws::kept;
use crate::aws::paginate::pages;
use crate::aws::{Aws, AwsError, optional};

/// The API that a name or an id refers to, and its current settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestApi {
    pub id: String,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    /// Whether it is a private API, which can be reached only from within VPCs.
    pub private: bool,
    /// Whether its default endpoint is disabled: callers use a custom domain name of the operator.
    pub default_endpoint_disabled: bool,
    /// The settings that a deployment publishes in addition to the methods.
    pub settings: Settings,
    /// Its description as the service writes it, with the members that the SDK does not know.
    pub description: Value,
}

/// The SDK has two types with the same fields: one for a single API, and one for an API in a list.
macro_rules! described {
    ($id:expr, $api:ident, $description:expr) => {
        RestApi {
            id: $id,
            name: $api.name.unwrap_or_default(),
            tags: $api.tags.unwrap_or_default().into_iter().collect(),
            private: is_private($api.endpoint_configuration.as_ref()),
            default_endpoint_disabled: $api.disable_execute_api_endpoint,
            settings: definition::settings(
                $api.binary_media_types,
                $api.minimum_compression_size,
                $api.api_key_source.map(|source| source.as_str().to_owned()),
                $api.policy.as_deref(),
            ),
            description: $description,
        }
    };
}

fn is_private(configuration: Option<&EndpointConfiguration>) -> bool {
    configuration
        .is_some_and(|configuration| configuration.types().contains(&EndpointType::Private))
}

/// The API with this id, or all APIs with this name.
///
/// # Errors
/// When the listing fails.
pub async fn find(
    aws: &Aws,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<RestApi>, AwsError> {
    if let Some(id) = id {
        let request = aws.apigateway.get_rest_api().rest_api_id(id);
        let raw = kept::document();
        let answer = optional(
            aws.call_idempotent("apigateway:GetRestApi", || {
                let call = request.clone().customize();
                call.interceptor(raw.clone()).send()
            })
            .await,
        )?;
        return Ok(answer
            .map(|api| described!(id.to_owned(), api, raw.take().unwrap_or_default()))
            .into_iter()
            .collect());
    }
    let all = all(aws).await?;
    Ok(all
        .into_iter()
        .filter(|api| Some(api.name.as_str()) == name)
        .collect())
}

/// Every API of the account and Region.
///
/// # Errors
/// When the listing fails.
pub async fn all(aws: &Aws) -> Result<Vec<RestApi>, AwsError> {
    let request = aws.apigateway.get_rest_apis().limit(500);
    let apis = pages(|position| async {
        let request = request.clone().set_position(position);
        let raw = kept::document();
        let page = aws
            .call_idempotent("apigateway:GetRestApis", || {
                let call = request.clone().customize();
                call.interceptor(raw.clone()).send()
            })
            .await?;
        let document = raw.take().unwrap_or_default();
        let of_page = page.items.unwrap_or_default().into_iter().map(|api| {
            let mut items = document["item"].as_array().into_iter().flatten();
            let found = items.find(|item| item["id"].as_str() == api.id.as_deref());
            let description = found.cloned().unwrap_or_default();
            (api, description)
        });
        Ok((Some(of_page.collect()), page.position))
    })
    .await?;
    Ok(apis
        .into_iter()
        .filter_map(|(api, description)| Some(described!(api.id?, api, description)))
        .collect())
}

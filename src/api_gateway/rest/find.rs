//! Finds the API by its id or its name.

use super::definition;
use crate::api_gateway::api::Api;
use crate::api_gateway::target::Protocol;
use crate::aws::kept;
use crate::aws::paginate::pages;
use crate::aws::{Aws, AwsError, optional};
use aws_sdk_apigateway::types::{EndpointConfiguration, EndpointType};

/// The SDK has two types with the same fields: one for a single API, and one for an API in a list.
macro_rules! described {
    ($id:expr, $api:ident, $description:expr) => {
        Api {
            id: $id,
            protocol: Protocol::Rest,
            answers_preflights: false,
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

/// The API with this id.
pub(in crate::api_gateway) async fn get(aws: &Aws, id: &str) -> Result<Option<Api>, AwsError> {
    let request = aws.apigateway.get_rest_api().rest_api_id(id);
    let raw = kept::document();
    let answer = optional(
        aws.call_idempotent("apigateway:GetRestApi", || {
            let call = request.clone().customize();
            call.interceptor(raw.clone()).send()
        })
        .await,
    )?;
    Ok(answer.map(|api| described!(id.to_owned(), api, raw.take().unwrap_or_default())))
}

/// Every API of the account and Region.
///
/// # Errors
/// When the listing fails.
pub(in crate::api_gateway) async fn all(aws: &Aws) -> Result<Vec<Api>, AwsError> {
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

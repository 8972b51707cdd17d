//! The API as it stands: its methods, its stage, what that stage really serves. Read only; the API is not ours.
//!
//! API Gateway's control calls are limited to 10 a second in an account, so everything is asked for once a look and in
//! the largest pages.

pub mod definition;
pub mod export;
mod responses;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_apigateway::types::{EndpointConfiguration, EndpointType};
use serde::{Deserialize, Serialize};

pub use self::definition::{Integration, Settings};
pub use self::responses::{Response, responses, set as set_response};
use super::{ApiTarget, Cx};
use crate::aws::ec2::pages;
use crate::aws::{Aws, AwsError, optional};

/// What an authorizer keeps when somebody makes it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub name: String,
    pub uri: String,
}

/// One method of the API's draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    pub path: String,
    /// `GET`, …, or `ANY`.
    pub method: String,
    pub resource_id: String,
    /// `NONE`, `AWS_IAM`, `CUSTOM` or `COGNITO_USER_POOLS`.
    pub authorization: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer_id: Option<String>,
    /// What it is found by where that id is gone; noted in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer: Option<Mark>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub api_key_required: bool,
}

impl Method {
    /// `GET /orders`.
    pub fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it asks the authorizer `authorizer_id`.
    pub fn asks(&self, authorizer_id: &str) -> bool {
        self.authorization == "CUSTOM" && self.authorizer_id.as_deref() == Some(authorizer_id)
    }
}

/// The stage and the deployment it serves.
#[derive(Debug, Clone)]
pub struct Stage {
    pub deployment_id: String,
    pub description: String,
    /// `None` where the service does not tell.
    pub served: Option<Served>,
    /// Per cent of the requests that a canary release answers; `None` without one.
    pub canary: Option<f64>,
}

/// Authorization type by `(path, method)` in a deployment.
pub type Served = BTreeMap<(String, String), String>;

/// An authorizer of the API.
#[derive(Debug, Clone)]
pub struct Authorizer {
    pub id: String,
    pub name: String,
    /// Where it is invoked; of one that asks user pools their ARNs.
    pub uri: String,
    pub kind: String,
    pub identity_source: String,
    pub ttl: i32,
}

/// The API's draft: what the next deployment publishes.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// In the order of path and verb.
    pub methods: Arc<Vec<Method>>,
    /// What each method does with a request, by `(path, method)`.
    pub integrations: BTreeMap<(String, String), Integration>,
}

/// Every method of the API's draft, in the order of path and verb.
///
/// # Errors
/// When the listing fails.
pub async fn methods(cx: &Cx, api_id: &str) -> Result<Arc<Vec<Method>>, AwsError> {
    Ok(Arc::clone(&draft(cx, api_id).await?.methods))
}

/// The API's draft.
///
/// # Errors
/// When the listing fails.
pub async fn draft(cx: &Cx, api_id: &str) -> Result<Arc<Draft>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_resources()
            .rest_api_id(api_id)
            .limit(500)
            .embed("methods");
        let resources = pages(|position| async {
            let request = request.clone().set_position(position);
            let page = cx
                .aws()
                .repeatable("apigateway:GetResources", || request.clone().send())
                .await?;
            Ok((page.items, page.position))
        })
        .await?;
        let mut methods = Vec::new();
        let mut integrations = BTreeMap::new();
        for resource in resources {
            let (Some(resource_id), Some(path)) = (resource.id, resource.path) else {
                continue;
            };
            for (verb, method) in resource.resource_methods.unwrap_or_default() {
                if let Some(integration) = &method.method_integration {
                    let integration = definition::integration(integration);
                    integrations.insert((path.clone(), verb.clone()), integration);
                }
                methods.push(Method {
                    path: path.clone(),
                    method: verb,
                    resource_id: resource_id.clone(),
                    authorization: method
                        .authorization_type
                        .unwrap_or_else(|| "NONE".to_owned()),
                    authorizer_id: method.authorizer_id.filter(|id| !id.is_empty()),
                    authorizer: None,
                    scopes: method.authorization_scopes.unwrap_or_default(),
                    api_key_required: method.api_key_required.unwrap_or_default(),
                });
            }
        }
        methods.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        Ok(Draft {
            methods: Arc::new(methods),
            integrations,
        })
    };
    cx.view().once(format!("draft {api_id}"), ask).await
}

/// The stage, and what it serves; `None` if there is no such stage or API.
///
/// # Errors
/// When a call fails otherwise.
pub async fn stage(cx: &Cx, target: &ApiTarget) -> Result<Arc<Option<Stage>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_stage()
            .rest_api_id(&target.id)
            .stage_name(&target.stage);
        let answer = optional(
            cx.aws()
                .repeatable("apigateway:GetStage", || request.clone().send())
                .await,
        )?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let canary = answer.canary_settings.map(|canary| canary.percent_traffic);
        let Some(deployment_id) = answer.deployment_id else {
            return Ok(None);
        };
        let (description, served) = deployment(cx, &target.id, &deployment_id).await?;
        Ok(Some(Stage {
            deployment_id,
            description,
            served,
            canary,
        }))
    };
    cx.view()
        .once(format!("stage {} {}", target.id, target.stage), ask)
        .await
}

/// The stages of an API, each with its deployment.
///
/// # Errors
/// When the listing fails.
pub async fn stages(cx: &Cx, api_id: &str) -> Result<Vec<(String, String)>, AwsError> {
    let request = cx.aws().apigateway.get_stages().rest_api_id(api_id);
    let answer = optional(
        cx.aws()
            .repeatable("apigateway:GetStages", || request.clone().send())
            .await,
    )?;
    let stages = answer.and_then(|answer| answer.item).unwrap_or_default();
    Ok(stages
        .into_iter()
        .filter_map(|stage| Some((stage.stage_name?, stage.deployment_id?)))
        .collect())
}

/// A deployment's description, and what it serves where the service tells; a deployment that is gone has neither.
///
/// # Errors
/// When the call fails otherwise.
pub async fn deployment(
    cx: &Cx,
    api_id: &str,
    deployment_id: &str,
) -> Result<(String, Option<Served>), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .get_deployment()
        .rest_api_id(api_id)
        .deployment_id(deployment_id)
        .embed("apisummary");
    let answer = optional(
        cx.aws()
            .repeatable("apigateway:GetDeployment", || request.clone().send())
            .await,
    )?;
    let Some(deployment) = answer else {
        return Ok((String::new(), None));
    };
    // An emulator may leave the authorization out; then nothing is known of any method.
    let served = deployment.api_summary.and_then(|summary| {
        summary
            .into_iter()
            .flat_map(|(path, methods)| {
                methods.into_iter().map(move |(method, snapshot)| {
                    Some(((path.clone(), method), snapshot.authorization_type?))
                })
            })
            .collect()
    });
    Ok((deployment.description.unwrap_or_default(), served))
}

/// The API's authorizers; empty if there is no such API.
///
/// # Errors
/// When the listing fails otherwise.
pub async fn authorizers(cx: &Cx, api_id: &str) -> Result<Arc<Vec<Authorizer>>, AwsError> {
    let ask = async {
        let request = cx
            .aws()
            .apigateway
            .get_authorizers()
            .rest_api_id(api_id)
            .limit(500);
        let listed = pages(|position| async {
            let request = request.clone().set_position(position);
            let answer = optional(
                cx.aws()
                    .repeatable("apigateway:GetAuthorizers", || request.clone().send())
                    .await,
            )?;
            Ok(answer.map_or((None, None), |page| (page.items, page.position)))
        })
        .await?;
        Ok(listed
            .into_iter()
            .filter_map(|found| {
                Some(Authorizer {
                    id: found.id?,
                    name: found.name.unwrap_or_default(),
                    uri: found.authorizer_uri.unwrap_or_else(|| {
                        let mut pools = found.provider_arns.unwrap_or_default();
                        pools.sort_unstable();
                        pools.join(",")
                    }),
                    kind: found
                        .r#type
                        .map_or_else(String::new, |kind| kind.as_str().to_owned()),
                    identity_source: found.identity_source.unwrap_or_default(),
                    ttl: found.authorizer_result_ttl_in_seconds.unwrap_or_default(),
                })
            })
            .collect())
    };
    cx.view().once(format!("authorizers {api_id}"), ask).await
}

/// Which API a name or an id means, and how it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestApi {
    pub id: String,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    /// It is reached from within VPCs alone.
    pub private: bool,
    /// Its own address is switched off: callers use a domain name of the operator's.
    pub default_endpoint_disabled: bool,
    /// What a deployment publishes beside the methods.
    pub settings: Settings,
}

/// The description of one API and one of a list are two types with the same fields.
macro_rules! described {
    ($id:expr, $api:ident) => {
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
        }
    };
}

fn is_private(configuration: Option<&EndpointConfiguration>) -> bool {
    configuration
        .is_some_and(|configuration| configuration.types().contains(&EndpointType::Private))
}

/// The APIs with this id, or all with this name.
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
        let answer = optional(
            aws.repeatable("apigateway:GetRestApi", || request.clone().send())
                .await,
        )?;
        return Ok(answer
            .map(|api| described!(id.to_owned(), api))
            .into_iter()
            .collect());
    }
    let request = aws.apigateway.get_rest_apis().limit(500);
    let apis = pages(|position| async {
        let request = request.clone().set_position(position);
        let page = aws
            .repeatable("apigateway:GetRestApis", || request.clone().send())
            .await?;
        Ok((page.items, page.position))
    })
    .await?;
    Ok(apis
        .into_iter()
        .filter(|api| api.name.as_deref() == name)
        .filter_map(|api| Some(described!(api.id?, api)))
        .collect())
}

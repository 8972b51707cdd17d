//! The methods of the API's draft.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::{self, Integration};
use crate::aws::AwsError;
use crate::aws::ec2::pages;
use crate::resource::Cx;

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

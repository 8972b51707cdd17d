//! The methods of a REST API's draft.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::definition::{self, Integration};
use super::interface::{self, Interface};
use crate::api_gateway::method::{AuthorizationType, Method, MethodKey};
use crate::aws::AwsError;
use crate::aws::kept;
use crate::aws::paginate::pages;
use crate::resource::Context;

/// The API's draft: what the next deployment publishes.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Sorted by path and verb.
    pub methods: Arc<Vec<Method>>,
    /// The integration of each method, by path and verb.
    pub integrations: BTreeMap<MethodKey, Integration>,
    /// What each method accepts, with its validator by id.
    pub interfaces: BTreeMap<MethodKey, Interface>,
}

/// Every method of the API's draft, sorted by path and verb.
///
/// # Errors
/// When the listing fails.
pub async fn methods(cx: &Context, api_id: &str) -> Result<Arc<Vec<Method>>, AwsError> {
    Ok(Arc::clone(&draft(cx, api_id).await?.methods))
}

/// The methods of a resource in the document of a listing; API Gateway names its list `item`.
fn raw_methods<'a>(document: &'a Value, resource_id: &str) -> &'a Value {
    let mut items = document["item"].as_array().into_iter().flatten();
    let found = items.find(|item| item["id"] == resource_id);
    found.map_or(&Value::Null, |item| &item["resourceMethods"])
}

/// The methods and integrations of the API's draft.
///
/// # Errors
/// When the listing fails.
pub async fn draft(cx: &Context, api_id: &str) -> Result<Arc<Draft>, AwsError> {
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
            let raw = kept::document();
            let page = cx
                .aws()
                .call_idempotent("apigateway:GetResources", || {
                    let call = request.clone().customize();
                    call.interceptor(raw.clone()).send()
                })
                .await?;
            let document = Arc::new(raw.take().unwrap_or_default());
            let items = page.items.unwrap_or_default();
            let of_page = items.into_iter().map(|item| (item, Arc::clone(&document)));
            Ok((Some(of_page.collect()), page.position))
        })
        .await?;
        let mut methods = Vec::new();
        let (mut integrations, mut interfaces) = (BTreeMap::new(), BTreeMap::new());
        for (resource, document) in resources {
            let (Some(resource_id), Some(path)) = (resource.id, resource.path) else {
                continue;
            };
            // The SDK drops members that it does not know.
            let raw = raw_methods(&document, &resource_id);
            for (verb, method) in resource.resource_methods.unwrap_or_default() {
                let key = MethodKey::new(&*path, &*verb);
                if method.method_integration.is_some() {
                    let integration = definition::drafted(&raw[&verb]["methodIntegration"]);
                    integrations.insert(key.clone(), integration);
                }
                interfaces.insert(key, interface::drafted(&raw[&verb]));
                methods.push(Method {
                    path: path.clone(),
                    method: verb,
                    resource_id: resource_id.clone(),
                    authorization: method
                        .authorization_type
                        .map(AuthorizationType::from)
                        .unwrap_or_default(),
                    authorizer_id: method.authorizer_id.filter(|id| !id.is_empty()),
                    authorizer: None,
                    scopes: method.authorization_scopes.unwrap_or_default(),
                    api_key_required: method.api_key_required.unwrap_or_default(),
                    ..Method::default()
                });
            }
        }
        methods.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        Ok(Draft {
            methods: Arc::new(methods),
            integrations,
            interfaces,
        })
    };
    cx.listings()
        .get_or_fetch(format!("draft {api_id}"), ask)
        .await
}

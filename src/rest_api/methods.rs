//! The methods of the API's draft.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::{self, Integration};
use super::interface::{self, Interface};
use crate::aws::AwsError;
use crate::aws::kept;
use crate::aws::paginate::pages;
use crate::resource::Context;

/// The properties of an authorizer that stay the same when it is recreated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub name: String,
    pub uri: String,
}

/// The authorization type of a method. Source: `authorizationType` of API Gateway's `Method`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AuthorizationType {
    #[default]
    None,
    AwsIam,
    /// A Lambda authorizer.
    Custom,
    CognitoUserPools,
    /// A type that this program does not know.
    Other(String),
}

impl AuthorizationType {
    /// API Gateway's name of the type.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
            Self::Custom => "CUSTOM",
            Self::CognitoUserPools => "COGNITO_USER_POOLS",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for AuthorizationType {
    fn from(word: &str) -> Self {
        let known = [
            Self::None,
            Self::AwsIam,
            Self::Custom,
            Self::CognitoUserPools,
        ];
        let mut known = known.into_iter();
        known
            .find(|one| one.as_str() == word)
            .unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

impl From<String> for AuthorizationType {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl From<AuthorizationType> for String {
    fn from(authorization: AuthorizationType) -> Self {
        authorization.as_str().to_owned()
    }
}

impl fmt::Display for AuthorizationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The key of a method: its path and its verb, in this order. The verb is `ANY` for all verbs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodKey {
    pub path: String,
    pub verb: String,
}

impl MethodKey {
    /// The key of the method `verb` at `path`.
    pub fn new(path: impl Into<String>, verb: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            verb: verb.into(),
        }
    }
}

impl fmt::Display for MethodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path)
    }
}

/// One method of the API's draft.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    pub path: String,
    /// `GET`, …, or `ANY`.
    pub method: String,
    pub resource_id: String,
    pub authorization: AuthorizationType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer_id: Option<String>,
    /// Identifies the authorizer if its id no longer exists; stored in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizer: Option<Mark>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub api_key_required: bool,
}

impl Method {
    /// A method without authorization.
    pub fn new(verb: &str, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            method: verb.to_owned(),
            ..Self::default()
        }
    }

    /// The path and verb of the method.
    pub fn key(&self) -> MethodKey {
        MethodKey::new(&*self.path, &*self.method)
    }

    /// The label for reports: `GET /orders`.
    pub fn label(&self) -> String {
        self.key().to_string()
    }

    /// Whether it uses the authorizer `authorizer_id`.
    pub fn asks(&self, authorizer_id: &str) -> bool {
        self.authorization == AuthorizationType::Custom
            && self.authorizer_id.as_deref() == Some(authorizer_id)
    }
}

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

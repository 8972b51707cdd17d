//! A method of a REST API, or a route of an HTTP or WebSocket API.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::printable::line;

/// The properties of an authorizer that stay the same when it is recreated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub name: String,
    pub uri: String,
}

/// The authorization type of a method. Source: `authorizationType` of API Gateway's `Method` and `Route`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AuthorizationType {
    #[default]
    None,
    AwsIam,
    /// A Lambda authorizer.
    Custom,
    CognitoUserPools,
    /// A JSON Web Token of an HTTP API.
    Jwt,
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
            Self::Jwt => "JWT",
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
            Self::Jwt,
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

/// The key of a method: its path and its verb, in this order. The verb is `ANY` for all verbs, and empty for a route without
/// one, such as `$default`.
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

/// On one line: the key of a route can be any text.
impl fmt::Display for MethodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = line(&self.path);
        if self.verb.is_empty() {
            return f.write_str(&path);
        }
        write!(f, "{} {path}", line(&self.verb))
    }
}

/// One method of the API's draft.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    pub path: String,
    /// `GET`, …, or `ANY`; empty for a route such as `$default`.
    pub method: String,
    /// The resource of the method, or the id of the route.
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
    /// Whether the API has no such route. Without `$connect`, a WebSocket API accepts every connection, so that the missing
    /// route counts as an open one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_absent: bool,
    /// Whether the route consists of its key and its authorization, as one that this program created; not stored in records.
    #[serde(skip)]
    pub is_bare: bool,
    /// Whether quick create made the route: API Gateway may refuse to change it. Not stored in records.
    #[serde(skip)]
    pub is_managed: bool,
}

impl Method {
    /// Whether two states of a method have the same authorization.
    pub fn has_authorization_of(&self, other: &Self) -> bool {
        let scopes = |method: &Self| method.scopes.iter().cloned().collect::<BTreeSet<_>>();
        self.authorization == other.authorization
            && self.authorizer_id == other.authorizer_id
            && scopes(self) == scopes(other)
    }

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

    /// Its authorization for reports.
    pub fn shown_authorization(&self) -> &str {
        match self.is_absent {
            true => "(none)",
            false => self.authorization.as_str(),
        }
    }

    /// The method with the authorizer `authorizer_id` set on it.
    pub fn asking(&self, authorizer_id: &str) -> Self {
        Self {
            authorization: AuthorizationType::Custom,
            authorizer_id: Some(authorizer_id.to_owned()),
            scopes: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether it uses the authorizer `authorizer_id`.
    pub fn asks(&self, authorizer_id: &str) -> bool {
        self.authorization == AuthorizationType::Custom
            && self.authorizer_id.as_deref() == Some(authorizer_id)
    }
}

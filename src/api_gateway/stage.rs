//! A stage of an API, and what it serves.

use std::collections::{BTreeMap, BTreeSet};

use super::method::{AuthorizationType, MethodKey};

/// The stage and the deployment it serves.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    pub deployment_id: String,
    pub description: String,
    /// `None` if the service does not report it.
    pub served: Option<Served>,
    /// The percentage of requests that a canary release answers; `None` without a canary.
    pub canary: Option<f64>,
    /// The URIs of the Lambda authorizers that its routes use, if the service tells them. A REST API has them in its export only.
    pub authorizer_uris: Option<BTreeSet<String>>,
    /// Whether every change of the draft is deployed to the stage at once, and API Gateway sets its deployment.
    pub deploys_automatically: bool,
    /// Whether quick create made it: API Gateway may refuse to change it.
    pub is_managed: bool,
    /// Why the last automatic deployment failed, in API Gateway's words: the stage is then behind the draft.
    pub failed_deployment: Option<String>,
}

/// The authorization type of each method in a deployment.
pub type Served = BTreeMap<MethodKey, AuthorizationType>;

/// A stage in the listing of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedStage {
    pub name: String,
    /// `None` if nothing is deployed to it.
    pub deployment: Option<String>,
    pub deploys_automatically: bool,
}

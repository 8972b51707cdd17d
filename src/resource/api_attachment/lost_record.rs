//! APIs that use this stack's authorizer although the parameters with the attachment's record are gone.
//!
//! The permissions of the authorizer function, the authorizer in the API and the descriptions of the
//! deployments still name the API. Without the function, its methods would answer 500.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::kind::ApiAttachments;
use super::marker::is_ours;
use super::record;
use crate::api_gateway::{self, ApiTarget, AuthorizationType, Method};
use crate::aws::optional;
use crate::resource::{
    Context, ResourceError, ResourceKind as _, api_authorizer, function_permission,
};

/// Methods that use this stack's authorizer and whose original state is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecorded {
    pub api: String,
    /// The stage that serves them; `None` for the draft.
    pub stage: Option<String>,
    /// The labels of the methods.
    pub methods: Vec<String>,
}

impl Unrecorded {
    /// One sentence about the methods.
    pub fn describe(&self) -> String {
        let place = match &self.stage {
            Some(stage) => format!("stage {stage} of API {}", self.api),
            None => format!("draft of API {}", self.api),
        };
        format!(
            "the original authorization of {} is not recorded ({place})",
            self.methods.join(", ")
        )
    }

    /// The same with the consequence.
    pub fn notice(&self) -> String {
        format!(
            "{}: `down` refuses to run until it is set by hand",
            self.describe()
        )
    }
}

/// The methods with an unknown original state in the APIs that the stack has a record of.
///
/// # Errors
/// The errors of the services.
pub async fn of_recorded(cx: &Context) -> Result<Vec<Unrecorded>, ResourceError> {
    let attachments = ApiAttachments::list(cx).await?.owned;
    let unknown = attachments.into_iter().map(|actual| Unrecorded {
        api: actual.target.id,
        stage: None,
        methods: actual.unknown.iter().map(Method::label).collect(),
    });
    Ok(unknown.filter(|found| !found.methods.is_empty()).collect())
}

/// The APIs of the account that contain this stack's authorizer, if neither a record nor a permission
/// names an API.
///
/// # Errors
/// The errors of the services.
pub async fn listed(cx: &Context) -> Result<BTreeSet<String>, ResourceError> {
    let is_known = !record::targets(cx).await?.is_empty();
    if is_known || !function_permission::unrecorded_apis(cx).await?.is_empty() {
        return Ok(BTreeSet::new());
    }
    let looked = api_gateway::all(cx.aws())
        .await?
        .into_iter()
        .map(|api| async move {
            let authorizers = api_gateway::authorizers(cx, api.api()).await?;
            let mut authorizers = authorizers.iter();
            let ours = authorizers.any(|found| api_authorizer::is_ours(cx, &found.uri));
            Ok::<_, ResourceError>(ours.then_some(api.id))
        });
    let found = try_join_all(looked).await?;
    Ok(found.into_iter().flatten().collect())
}

/// The methods of these APIs that use this stack's authorizer, in the draft or in a stage.
///
/// # Errors
/// The errors of the services.
pub async fn of_lost(
    cx: &Context,
    apis: &BTreeSet<String>,
) -> Result<Vec<Unrecorded>, ResourceError> {
    let mut found = Vec::new();
    for api in apis {
        let mut add = |stage: Option<&str>, methods: Vec<String>| {
            if !methods.is_empty() {
                found.push(Unrecorded {
                    api: api.clone(),
                    stage: stage.map(str::to_owned),
                    methods,
                });
            }
        };
        let api = api_gateway::identify(cx, api).await?;
        let authorizers = api_gateway::authorizers(cx, api).await?;
        let drafted = optional(api_gateway::methods(cx, api).await)?.unwrap_or_default();
        let asks_us = |method: &&Method| {
            let mut ours = authorizers
                .iter()
                .filter(|found| api_authorizer::is_ours(cx, &found.uri));
            ours.any(|ours| method.asks(&ours.id))
        };
        add(
            None,
            drafted.iter().filter(asks_us).map(Method::label).collect(),
        );
        for stage in api_gateway::stages(cx.aws(), api).await? {
            let Some(deployment) = stage.deployment else {
                continue;
            };
            let target = api.stage(stage.name);
            let served = served(cx, &target, &deployment).await?;
            add(Some(&target.stage), served);
        }
    }
    Ok(found)
}

/// The labels of the methods that a stage serves with this stack's authorizer.
async fn served(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<Vec<String>, ResourceError> {
    if let Some(export) = &*api_gateway::export(cx, target).await? {
        let methods = export.methods.iter().filter(|(_, method)| {
            let uri = method.authorizer_uri.as_deref();
            uri.is_some_and(|uri| api_authorizer::is_ours(cx, uri))
        });
        return Ok(methods.map(|(key, _)| key.to_string()).collect());
    }
    // Without an export, only the description shows whose authorizer it is.
    let (description, served) = api_gateway::deployment(cx, target.api(), deployment).await?;
    let served = served.filter(|_| is_ours(cx, &description));
    Ok(served
        .into_iter()
        .flatten()
        .filter(|(_, authorization)| *authorization == AuthorizationType::Custom)
        .map(|(key, _)| key.to_string())
        .collect())
}

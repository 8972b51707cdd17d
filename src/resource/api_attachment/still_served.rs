//! Whether a stage that deploys automatically, and that API Gateway does not let anyone freeze or move, still serves this stack's
//! authorizer after it was taken from the routes of the draft: its automatic deployment is pending, or has failed.

use std::time::Duration;

use super::actual::Actual;
use crate::api_gateway::change::{await_automatic_deployments, restore_method};
use crate::api_gateway::{self, ApiTarget, MethodKey, Protocol};
use crate::resource::{Context, ResourceError, api_authorizer};

/// How long the stage may lag behind its draft without a pending or a failed deployment: API Gateway may list one later.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two looks at it.
const STEP: Duration = Duration::from_secs(1);

/// What a stage serves although the draft does not have it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillServed {
    stage: String,
    /// The labels of the routes with this stack's authorizer; empty if API Gateway does not export what the stage serves.
    routes: Vec<String>,
    /// Why the last automatic deployment failed.
    failure: Option<String>,
}

impl StillServed {
    /// Whether the last automatic deployment has failed. Otherwise it may still be pending.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The sentence about it.
    pub fn describe(&self) -> String {
        let Self { stage, routes, .. } = self;
        let why = match &self.failure {
            Some(why) => format!(
                "its last automatic deployment failed ({})",
                why.trim_end_matches('.')
            ),
            None => "API Gateway has not deployed the restored draft yet".to_owned(),
        };
        let routes = match routes.as_slice() {
            [] => return format!("stage {stage} may still use this stack's authorizer: {why}"),
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        format!("stage {stage} still serves {routes} with this stack's authorizer: {why}")
    }
}

/// The routes that the stage still serves with this stack's authorizer and that do not have it in the draft; `None` if there is
/// none. Waits until API Gateway has ended the automatic deployments of the API.
///
/// # Errors
/// The errors of the services.
pub(super) async fn look(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<StillServed>, ResourceError> {
    if target.protocol != Protocol::Http {
        return Ok(None);
    }
    let mut waited = Duration::ZERO;
    loop {
        let cx = cx.fresh();
        let stage = api_gateway::stage(&cx, target).await?;
        if (*stage)
            .as_ref()
            .is_none_or(|stage| !stage.deploys_automatically)
        {
            return Ok(None);
        }
        let is_pending = match await_automatic_deployments(&cx, target.api()).await {
            Err(ResourceError::TimedOut { .. }) => true,
            ended => {
                ended?;
                false
            }
        };
        let cx = cx.fresh();
        let stage = api_gateway::stage(&cx, target).await?;
        let failure = (*stage)
            .as_ref()
            .and_then(|stage| stage.failed_deployment.clone());
        let routes = match routes(&cx, target).await? {
            Some(routes) if routes.is_empty() => return Ok(None),
            Some(routes) => routes,
            // One that was frozen serves this stack's deployment of the restored draft.
            None => match (*stage).as_ref().filter(|_| failure.is_some()) {
                Some(stage) if stage.is_managed => Vec::new(),
                _ => return Ok(None),
            },
        };
        if failure.is_some() || is_pending || waited >= PATIENCE {
            return Ok(Some(StillServed {
                stage: target.stage.clone(),
                routes,
                failure,
            }));
        }
        waited += STEP;
        cx.aws().pause(STEP).await;
    }
}

/// The labels of the routes; `None` if API Gateway does not export what the stage serves.
async fn routes(cx: &Context, target: &ApiTarget) -> Result<Option<Vec<String>>, ResourceError> {
    let export = api_gateway::export(cx, target).await?;
    let Some(export) = &*export else {
        return Ok(None);
    };
    let authorizers = api_gateway::authorizers(cx, target.api()).await?;
    let drafted = api_gateway::methods(cx, target.api()).await?;
    let is_ours = |uri: &str| api_authorizer::is_ours(cx, uri);
    let is_drafted = |key: &MethodKey| {
        let mut ours = authorizers.iter().filter(|found| is_ours(&found.uri));
        let now = drafted.iter().find(|now| now.key() == *key);
        now.is_some_and(|now| ours.any(|ours| now.asks(&ours.id)))
    };
    let served = export.methods.iter().filter(|(key, method)| {
        method.authorizer_uri.as_deref().is_some_and(is_ours) && !is_drafted(key)
    });
    Ok(Some(served.map(|(key, _)| key.to_string()).collect()))
}

/// Refuses to go on, so that the authorizer stays while the stage invokes it.
///
/// # Errors
/// The errors of the services, or what the stage still serves.
pub(super) async fn refuse(cx: &Context, target: &ApiTarget) -> Result<(), ResourceError> {
    let Some(found) = look(cx, target).await? else {
        return Ok(());
    };
    let next = match found.has_failed() {
        true => {
            "remove the cause, and run `threescale-gw down` again, which lets API Gateway deploy the draft again"
        }
        false => "run `threescale-gw down` again in a few minutes",
    };
    Err(ResourceError::Blocked {
        what: format!("{} (API {})", found.describe(), target.id),
        hint: Some(format!("the draft is restored: {next}")),
    })
}

/// Lets API Gateway deploy the restored draft again if its last automatic deployment failed: it does so with each change, also
/// with one that leaves a route as it is.
///
/// # Errors
/// The errors of the services.
pub(super) async fn deploy_again(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
    let is_behind = actual.stage.as_ref().is_some_and(|stage| {
        let mut uris = stage.authorizer_uris.iter().flatten();
        stage.deploys_automatically
            && stage.failed_deployment.is_some()
            && uris.any(|uri| api_authorizer::is_ours(cx, uri))
    });
    let is_recorded = |key: MethodKey| actual.record.method(&key.path, &key.verb).is_some();
    let mut routes = actual.methods.iter();
    let route = routes.find(|now| !now.is_absent && is_recorded(now.key()));
    if let Some(route) = route.filter(|_| is_behind) {
        restore_method(cx, actual.target.api(), route, route).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_served_is_told_with_its_cause() {
        let told = |routes: &[&str], failure: Option<&str>| {
            let found = StillServed {
                stage: "$default".to_owned(),
                routes: routes.iter().map(|route| (*route).to_owned()).collect(),
                failure: failure.map(str::to_owned),
            };
            found.describe()
        };
        assert_eq!(
            told(&["GET /a"], Some("no luck.")),
            "stage $default still serves GET /a with this stack's authorizer: its last automatic deployment failed (no luck)"
        );
        assert_eq!(
            told(&["GET /a", "GET /b", "$default"], None),
            "stage $default still serves GET /a and 2 more with this stack's authorizer: API Gateway has not deployed the restored \
             draft yet"
        );
        assert_eq!(
            told(&[], Some("no luck")),
            "stage $default may still use this stack's authorizer: its last automatic deployment failed (no luck)"
        );
    }
}

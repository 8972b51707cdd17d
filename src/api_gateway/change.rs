//! Changes the operator's API. Each function calls the service of the API's protocol.
//!
//! API Gateway refuses a write while another one of the same API is in progress. The changes that are made one after another,
//! or with which an API is moved back, are then sent again. Terraform's provider does the same with every call
//! (`internal/service/apigatewayv2/service_package.go`). Here, what others may have changed meanwhile is read first. A
//! deployment is not sent again, because it publishes the whole draft.

use std::time::Instant;

use super::authorizer::AuthorizerSettings;
use super::method::Method;
use super::rest::responses::Response;
use super::stage::Stage;
use super::target::{ApiRef, ApiTarget, Protocol};
use super::{http, read, rest};
use crate::aws::{AwsError, Backoff, optional};
use crate::event::Event;
use crate::resource::{Context, ResourceError};

/// Sends a change again while API Gateway refuses it because of another write, unless `is_as_before` finds that this has
/// changed what the change was decided on.
async fn persist<S, R>(
    cx: &Context,
    send: impl Fn() -> S,
    is_as_before: impl Fn() -> R,
) -> Result<(), AwsError>
where
    S: Future<Output = Result<(), AwsError>>,
    R: Future<Output = Result<bool, AwsError>>,
{
    let (began, mut backoff) = (Instant::now(), Backoff::new());
    loop {
        let Err(error) = send().await else {
            return Ok(());
        };
        let budget = error.is_behind_another_write();
        if budget.is_none_or(|budget| began.elapsed() > budget) {
            return Err(error);
        }
        let wait = backoff.wait();
        cx.sink().emit(Event::Retrying {
            id: None,
            cause: error.to_string(),
            wait,
        });
        cx.aws().pause(wait).await;
        if !is_as_before().await? {
            return Err(error);
        }
    }
}

/// Whether a method still has the authorization with which it was read.
async fn is_as_read(cx: &Context, api: ApiRef<'_>, before: &Method) -> Result<bool, AwsError> {
    let methods = optional(read::methods(&cx.fresh(), api).await)?.unwrap_or_default();
    let key = before.key();
    let now = methods.iter().find(|method| method.key() == key);
    Ok(match now.filter(|now| !now.is_absent) {
        Some(now) => !before.is_absent && now.has_authorization_of(before),
        None => before.is_absent,
    })
}

/// Sets an authorizer on a method, or creates the route with it. `now`: its current state.
///
/// # Errors
/// The error of the service.
pub async fn set_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    now: &Method,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    if now.is_absent {
        return http::change::create_route(cx, api, now, authorizer_id).await;
    }
    let send = || async {
        match api.protocol {
            Protocol::Rest => rest::change::set_authorizer(cx, api.id, now, authorizer_id).await,
            Protocol::Http | Protocol::WebSocket => {
                http::change::set_authorizer(cx, api, now, authorizer_id).await
            }
        }
    };
    persist(cx, send, || is_as_read(cx, api, now)).await
}

/// Restores the authorization of a method, or deletes the route that was absent. `now`: its current state.
///
/// # Errors
/// The error of the service.
pub async fn restore_method(
    cx: &Context,
    api: ApiRef<'_>,
    wanted: &Method,
    now: &Method,
) -> Result<(), AwsError> {
    let send = || async {
        match api.protocol {
            Protocol::Rest => rest::change::restore_method(cx, api.id, wanted, now).await,
            Protocol::Http | Protocol::WebSocket if wanted.is_absent => {
                http::change::delete_route(cx, api, now).await
            }
            Protocol::Http | Protocol::WebSocket => {
                http::change::restore_method(cx, api, wanted, now).await
            }
        }
    };
    persist(cx, send, || is_as_read(cx, api, now)).await
}

/// Writes the gateway response of a type, which only REST APIs have; `None` restores API Gateway's default. `now`: its current
/// state.
///
/// # Errors
/// The error of the service.
pub async fn set_response(
    cx: &Context,
    api_id: &str,
    kind: &str,
    wanted: Option<&Response>,
    now: Option<&Response>,
) -> Result<(), AwsError> {
    let send = || rest::responses::set(cx, api_id, kind, wanted);
    let is_as_read = || async {
        let responses = rest::responses::responses(&cx.fresh(), api_id).await?;
        Ok(responses.get(kind) == now)
    };
    persist(cx, send, is_as_read).await
}

/// Deploys the API's draft to the stage, which keeps its settings. `stage` is its current state.
/// Returns the id of the new deployment if the service reports it.
///
/// # Errors
/// The error of the service.
pub async fn deploy(
    cx: &Context,
    target: &ApiTarget,
    stage: Option<&Stage>,
    description: &str,
) -> Result<Option<String>, AwsError> {
    let id = &target.id;
    match target.protocol {
        Protocol::Rest => {
            // For a stage with a canary, a deployment goes to the canary or is refused; moved to the stage, it
            // becomes the stage's own.
            // Source: API Gateway Developer Guide, "Create a canary release".
            let has_canary = stage.is_some_and(|stage| stage.canary.is_some());
            let to = (!has_canary).then_some(target.stage.as_str());
            let made = rest::change::create_deployment(cx, id, to, description).await?;
            if let Some(made) = made.as_ref().filter(|_| has_canary) {
                move_stage(cx, target, made).await?;
            }
            Ok(made)
        }
        Protocol::Http | Protocol::WebSocket => {
            let made = http::change::create_deployment(cx, id, description).await?;
            if let Some(made) = &made {
                move_stage(cx, target, made).await?;
            }
            Ok(made)
        }
    }
}

/// Sets the deployment that the stage serves. The stage keeps its settings. The caller looks afterwards for a deployment that
/// others have made meanwhile: API Gateway has no conditional update.
///
/// # Errors
/// The error of the service.
pub async fn move_stage(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<(), AwsError> {
    let send = || async {
        match target.protocol {
            Protocol::Rest => rest::change::move_stage(cx, target, deployment).await,
            Protocol::Http | Protocol::WebSocket => {
                http::change::move_stage(cx, target, deployment).await
            }
        }
    };
    persist(cx, send, || async { Ok(true) }).await
}

/// Turns the automatic deployment of a stage on or off, which stages of REST APIs do not have.
///
/// # Errors
/// The error of the service.
pub async fn set_automatic_deployment(
    cx: &Context,
    target: &ApiTarget,
    is_on: bool,
) -> Result<(), AwsError> {
    if target.protocol == Protocol::Rest {
        return Ok(());
    }
    let send = || http::change::set_automatic_deployment(cx, target, is_on);
    persist(cx, send, || async { Ok(true) }).await
}

/// Waits until API Gateway has ended the automatic deployments of the API, which REST APIs do not have.
///
/// # Errors
/// The error of the service, or that one is pending for two minutes.
pub async fn await_automatic_deployments(
    cx: &Context,
    api: ApiRef<'_>,
) -> Result<(), ResourceError> {
    match api.protocol {
        Protocol::Rest => Ok(()),
        Protocol::Http | Protocol::WebSocket => {
            http::deployments::await_automatic(cx, api.id).await
        }
    }
}

/// Deletes a deployment.
///
/// # Errors
/// The error of the service.
pub async fn delete_deployment(
    cx: &Context,
    api: ApiRef<'_>,
    deployment: &str,
) -> Result<(), AwsError> {
    let send = || async {
        match api.protocol {
            Protocol::Rest => rest::change::delete_deployment(cx, api.id, deployment).await,
            Protocol::Http | Protocol::WebSocket => {
                http::change::delete_deployment(cx, api.id, deployment).await
            }
        }
    };
    persist(cx, send, || async { Ok(true) }).await
}

/// Creates a Lambda authorizer that is invoked at `uri`.
///
/// # Errors
/// The error of the service.
pub async fn create_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    name: &str,
    uri: &str,
    settings: &AuthorizerSettings,
) -> Result<(), AwsError> {
    match api.protocol {
        Protocol::Rest => rest::change::create_authorizer(cx, api.id, name, uri, settings).await,
        Protocol::Http | Protocol::WebSocket => {
            http::change::create_authorizer(cx, api, name, uri, settings).await
        }
    }
}

/// Sets all settings of an authorizer.
///
/// # Errors
/// The error of the service.
pub async fn update_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    authorizer_id: &str,
    uri: &str,
    settings: &AuthorizerSettings,
) -> Result<(), AwsError> {
    let send = || async {
        match api.protocol {
            Protocol::Rest => {
                rest::change::update_authorizer(cx, api.id, authorizer_id, uri, settings).await
            }
            Protocol::Http | Protocol::WebSocket => {
                http::change::update_authorizer(cx, api, authorizer_id, uri, settings).await
            }
        }
    };
    persist(cx, send, || async { Ok(true) }).await
}

/// Deletes an authorizer.
///
/// # Errors
/// The error of the service.
pub async fn delete_authorizer(
    cx: &Context,
    api: ApiRef<'_>,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    match api.protocol {
        Protocol::Rest => rest::change::delete_authorizer(cx, api.id, authorizer_id).await,
        Protocol::Http | Protocol::WebSocket => {
            http::change::delete_authorizer(cx, api.id, authorizer_id).await
        }
    }
}

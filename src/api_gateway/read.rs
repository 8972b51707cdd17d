//! Reads the operator's API. Each function asks the service of the API's protocol.
//!
//! API Gateway's control-plane calls are limited to 10 per second and account, so everything is
//! read once per observation, and of REST APIs in the largest pages. The listings of the other
//! APIs have pages of the service's own size: how large one may be is not documented.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::api::Api;
use super::authorizer::Authorizer;
use super::deployment::Deployment;
use super::export::Export;
use super::method::Method;
use super::rest::responses::Response;
use super::stage::{ListedStage, Served, Stage};
use super::target::{ApiRef, ApiTarget, Protocol};
use super::{http, rest};
use crate::aws::{Aws, AwsError, Class};
use crate::resource::Context;

/// The API, if it exists.
///
/// # Errors
/// When the call fails.
pub async fn get(aws: &Aws, api: ApiRef<'_>) -> Result<Option<Api>, AwsError> {
    match api.protocol {
        Protocol::Rest => rest::find::get(aws, api.id).await,
        Protocol::Http | Protocol::WebSocket => http::find::get(aws, api.id).await,
    }
}

/// The API with this id, or all APIs with this name, of every protocol that the operator may read.
///
/// # Errors
/// When a call fails.
pub async fn find(aws: &Aws, id: Option<&str>, name: Option<&str>) -> Result<Vec<Api>, AwsError> {
    let Some(id) = id else {
        return all_of(aws, |api| Some(api.name.as_str()) == name).await;
    };
    let rest = rest::find::get(aws, id).await;
    if let Some(found) = readable(rest.clone())?.flatten() {
        return Ok(vec![found]);
    }
    match readable(http::find::get(aws, id).await)?.flatten() {
        Some(found) => Ok(vec![found]),
        None => rest.map(Vec::from_iter),
    }
}

/// The API with this id, of a protocol that is not known. It counts as a REST API if it does not exist.
///
/// # Errors
/// When a call fails.
pub async fn identify<'a>(cx: &Context, id: &'a str) -> Result<ApiRef<'a>, AwsError> {
    let ask = async {
        let found = find(cx.aws(), Some(id), None).await?;
        Ok(found.first().map(|api| api.protocol).unwrap_or_default())
    };
    let key = format!("protocol of {id}");
    let protocol = *cx.listings().get_or_fetch(key, ask).await?;
    Ok(ApiRef { id, protocol })
}

/// Every API of the account and Region: REST APIs first. An operator without the rights for HTTP and WebSocket APIs, whose
/// policy may be that of a former release, sees REST APIs only. One without those for REST APIs sees the others, if there are any.
///
/// # Errors
/// When a listing fails otherwise.
pub async fn all(aws: &Aws) -> Result<Vec<Api>, AwsError> {
    all_of(aws, |_| true).await
}

async fn all_of(aws: &Aws, is_wanted: impl Fn(&Api) -> bool) -> Result<Vec<Api>, AwsError> {
    let (rest, http) = tokio::join!(rest::find::all(aws), http::find::all(aws));
    let mut http = readable(http)?.unwrap_or_default();
    http.retain(&is_wanted);
    if http.is_empty() {
        let mut rest = rest?;
        rest.retain(&is_wanted);
        return Ok(rest);
    }
    let mut all = readable(rest)?.unwrap_or_default();
    all.retain(&is_wanted);
    all.extend(http);
    Ok(all)
}

/// `None` if the operator may not read it.
fn readable<T>(result: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match result {
        Err(error) if error.class == Class::Denied => Ok(None),
        other => other.map(Some),
    }
}

/// The methods or routes of the draft, sorted by path and verb. Of a WebSocket API, the route `$connect` alone, because only
/// it can have an authorizer; it may be absent.
///
/// # Errors
/// When the listing fails.
pub async fn methods(cx: &Context, api: ApiRef<'_>) -> Result<Arc<Vec<Method>>, AwsError> {
    match api.protocol {
        Protocol::Rest => rest::methods::methods(cx, api.id).await,
        Protocol::Http => http::routes::routes(cx, api.id).await,
        Protocol::WebSocket => http::routes::connect(cx, api.id).await,
    }
}

/// The API's authorizers; empty if the API does not exist.
///
/// # Errors
/// When the listing fails otherwise.
pub async fn authorizers(cx: &Context, api: ApiRef<'_>) -> Result<Arc<Vec<Authorizer>>, AwsError> {
    match api.protocol {
        Protocol::Rest => rest::authorizers::authorizers(cx, api.id).await,
        Protocol::Http | Protocol::WebSocket => http::authorizers::authorizers(cx, api.id).await,
    }
}

/// The stage, and what it serves; `None` if the stage or the API does not exist, or nothing is deployed to it.
///
/// # Errors
/// When a call fails otherwise.
pub async fn stage(cx: &Context, target: &ApiTarget) -> Result<Arc<Option<Stage>>, AwsError> {
    match target.protocol {
        Protocol::Rest => rest::stage::stage(cx, target).await,
        Protocol::Http | Protocol::WebSocket => http::stage::stage(cx, target).await,
    }
}

/// The stages of an API; empty if it does not exist.
///
/// # Errors
/// When the listing fails otherwise.
pub async fn stages(aws: &Aws, api: ApiRef<'_>) -> Result<Vec<ListedStage>, AwsError> {
    match api.protocol {
        Protocol::Rest => rest::stage::stages(aws, api.id).await,
        Protocol::Http | Protocol::WebSocket => http::stage::stages(aws, api.id).await,
    }
}

/// What a stage serves: `deployment`. `None` if the service does not report it.
///
/// # Errors
/// When the call fails.
pub async fn served(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<Option<Served>, AwsError> {
    match target.protocol {
        Protocol::Rest => Ok(rest::stage::deployment(cx, &target.id, deployment).await?.1),
        Protocol::Http | Protocol::WebSocket => http::stage::served(cx, target).await,
    }
}

/// A deployment's description, and what it serves if the service reports it, which only that of REST APIs does; neither for
/// a deployment that no longer exists.
///
/// # Errors
/// When the call fails otherwise.
pub async fn deployment(
    cx: &Context,
    api: ApiRef<'_>,
    deployment: &str,
) -> Result<(String, Option<Served>), AwsError> {
    match api.protocol {
        Protocol::Rest => rest::stage::deployment(cx, api.id, deployment).await,
        Protocol::Http | Protocol::WebSocket => {
            let all = deployments(cx, api).await?;
            let found = all.into_iter().find(|found| found.id == deployment);
            Ok((found.unwrap_or_default().description, None))
        }
    }
}

/// Every deployment of the API.
///
/// # Errors
/// When the listing fails.
pub async fn deployments(cx: &Context, api: ApiRef<'_>) -> Result<Vec<Deployment>, AwsError> {
    match api.protocol {
        Protocol::Rest => rest::deployments::deployments(cx, api.id).await,
        Protocol::Http | Protocol::WebSocket => http::deployments::deployments(cx, api.id).await,
    }
}

/// The gateway responses of a REST API that differ from API Gateway's defaults, by type. The other protocols have none.
///
/// # Errors
/// When the listing fails.
pub async fn responses(
    cx: &Context,
    api: ApiRef<'_>,
) -> Result<Arc<BTreeMap<String, Response>>, AwsError> {
    match api.protocol {
        Protocol::Rest => rest::responses::responses(cx, api.id).await,
        Protocol::Http | Protocol::WebSocket => Ok(Arc::default()),
    }
}

/// The export of the stage; `None` if the service provides none.
///
/// # Errors
/// When the call fails otherwise.
pub async fn export(cx: &Context, target: &ApiTarget) -> Result<Arc<Option<Export>>, AwsError> {
    match target.protocol {
        Protocol::Rest => rest::export::export(cx, target).await,
        Protocol::Http | Protocol::WebSocket => http::export::export(cx, target).await,
    }
}

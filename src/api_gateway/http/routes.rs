//! The routes of the draft of an HTTP or WebSocket API, in the form of methods.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_apigatewayv2::types::Route;

use crate::api_gateway::method::{AuthorizationType, Method, MethodKey};
use crate::aws::AwsError;
use crate::aws::paginate::pages;
use crate::resource::Context;

/// The method of a route key: `GET /orders`, `$default`, or the key of a WebSocket route, which have a path alone.
pub(in crate::api_gateway) fn key(route: &str) -> MethodKey {
    match route.split_once(' ') {
        Some((verb, path)) => MethodKey::new(path, verb),
        None => MethodKey::new(route, ""),
    }
}

/// Every route of the draft, sorted by path and verb.
pub(in crate::api_gateway) async fn routes(
    cx: &Context,
    api_id: &str,
) -> Result<Arc<Vec<Method>>, AwsError> {
    let ask = async {
        let request = cx.aws().apigatewayv2.get_routes().api_id(api_id);
        let routes = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("apigateway:GetRoutes", || request.clone().send())
                .await?;
            Ok((page.items, page.next_token))
        })
        .await?;
        let method = |route: Route| {
            let is_bare = is_bare(&route);
            let MethodKey { path, verb } = key(&route.route_key?);
            Some(Method {
                path,
                method: verb,
                resource_id: route.route_id?,
                authorization: route
                    .authorization_type
                    .map(|kind| AuthorizationType::from(kind.as_str()))
                    .unwrap_or_default(),
                authorizer_id: route.authorizer_id.filter(|id| !id.is_empty()),
                authorizer: None,
                scopes: route.authorization_scopes.unwrap_or_default(),
                api_key_required: route.api_key_required.unwrap_or_default(),
                is_absent: false,
                is_bare,
                is_managed: route.api_gateway_managed.unwrap_or_default(),
            })
        };
        let mut methods: Vec<_> = routes.into_iter().filter_map(method).collect();
        methods.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        Ok(methods)
    };
    cx.listings()
        .get_or_fetch(format!("routes {api_id}"), ask)
        .await
}

/// The route of an HTTP API for what no other route takes.
pub const DEFAULT_ROUTE: &str = "$default";

/// The route that opens a connection to a WebSocket API.
pub const CONNECT: &str = "$connect";

/// The route `$connect` of a WebSocket API: only it can have an authorizer. It counts as absent if the draft does not have it.
/// Source: API Gateway Developer Guide, "Managing connected users and client apps".
pub(in crate::api_gateway) async fn connect(
    cx: &Context,
    api_id: &str,
) -> Result<Arc<Vec<Method>>, AwsError> {
    let all = routes(cx, api_id).await?;
    let mut found = all.iter().filter(|route| route.path == CONNECT);
    let absent = || Method {
        is_absent: true,
        ..Method::new("", CONNECT)
    };
    let connect = found.next().cloned().unwrap_or_else(absent);
    Ok(Arc::new(vec![connect]))
}

/// Whether the route has nothing but a key and an authorization.
fn is_bare(route: &Route) -> bool {
    let texts = [
        &route.target,
        &route.operation_name,
        &route.model_selection_expression,
        &route.route_response_selection_expression,
    ];
    let is_empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    texts.into_iter().all(is_empty)
        && !route.api_key_required.unwrap_or_default()
        && route.request_models.as_ref().is_none_or(HashMap::is_empty)
        && route
            .request_parameters
            .as_ref()
            .is_none_or(HashMap::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_bare_until_its_owner_uses_it() {
        let route = || Route::builder().route_key(CONNECT).route_id("r1");
        let guarded = route().authorization_type(AuthorizationType::Custom.as_str().into());
        for bare in [route(), guarded.authorizer_id("z1").target("")] {
            assert!(is_bare(&bare.build()));
        }
        let used = [
            route().target("integrations/i1"),
            route().operation_name("connect"),
            route().api_key_required(true),
            route().route_response_selection_expression("$default"),
            route().request_models("$default", "Connect"),
        ];
        for used in used {
            assert!(!is_bare(&used.build()));
        }
    }

    #[test]
    fn a_route_key_is_a_method_whose_label_is_the_key() {
        for route in [
            "GET /orders/{id}",
            "ANY /files/{proxy+}",
            "$default",
            "$connect",
            "message",
        ] {
            assert_eq!(key(route).to_string(), route);
        }
    }
}

//! The routes of the draft of an HTTP or WebSocket API, in the form of methods.

use std::sync::Arc;

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
        let method = |route: aws_sdk_apigatewayv2::types::Route| {
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

/// The route `$connect` of a WebSocket API, if the draft has it: only it can have an authorizer.
/// Source: API Gateway Developer Guide, "Managing connected users and client apps".
pub(in crate::api_gateway) async fn connect(
    cx: &Context,
    api_id: &str,
) -> Result<Arc<Vec<Method>>, AwsError> {
    let all = routes(cx, api_id).await?;
    let connect = all.iter().filter(|route| route.path == CONNECT);
    Ok(Arc::new(connect.cloned().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

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

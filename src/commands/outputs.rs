//! The outputs of a stack: what its user needs to know of it.

use crate::api_gateway::target::DEFAULT_STAGE;
use crate::api_gateway::{ApiTarget, Protocol};
use crate::engine_version::describe;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{Context, Output, cache_group};
use crate::stack;

/// The outputs of a stack with resources of these ids, as far as they are known.
pub(super) fn outputs(
    cx: &Context,
    ids: impl Iterator<Item = LogicalId>,
) -> Vec<(&'static str, String)> {
    let mut outputs = Vec::new();
    let cache = [Kind::Cache, Kind::ServerlessCache]
        .into_iter()
        .find_map(|kind| cx.known_output(&LogicalId::new(kind, "main")));
    if let Some(Output { attributes, .. }) = cache {
        let endpoint = attributes.get("endpoint").cloned();
        outputs.extend(endpoint.map(|endpoint| ("redis_endpoint", endpoint)));
        let engine = cache_group::engine_of(&attributes);
        let engine = engine.map(|(name, version)| describe(name, version));
        outputs.extend(engine.map(|engine| ("redis_engine", engine)));
    }
    outputs.extend(
        cx.api()
            .map(|target| ("invoke_url", invoke_url(cx, target))),
    );
    if cx.stages().len() > 1 {
        let urls = cx.stages().iter().map(|target| invoke_url(cx, target));
        outputs.push(("invoke_urls", urls.collect::<Vec<_>>().join(", ")));
    }
    let ips = public_ips(cx, ids).join(", ");
    if !ips.is_empty() {
        outputs.push(("nat_public_ip", ips));
    }
    outputs
}

/// The addresses that 3scale sees, by zone.
fn public_ips(cx: &Context, ids: impl Iterator<Item = LogicalId>) -> Vec<String> {
    let ip_of = |id: &LogicalId| {
        let ip = cx.known_output(id)?.attributes.get("public_ip").cloned();
        ip.filter(|ip| !ip.is_empty())
    };
    let ways_out = ids.filter_map(|id| {
        let address = match id.kind {
            Kind::NatGateway => id.short_name(),
            Kind::NatInstance => stack::NAT_INSTANCE,
            _ => return None,
        };
        // An address of the operator is no resource of the stack.
        let of_address = ip_of(&id.beside(Kind::ElasticIp, address));
        of_address.or_else(|| ip_of(&id))
    });
    ways_out.collect()
}

/// Where callers reach the API.
pub(super) fn invoke_url(cx: &Context, target: &ApiTarget) -> String {
    let host = format!("{}.{}", cx.names().region, cx.aws().dns_suffix);
    address(target, &host, cx.aws().endpoint_url.as_deref())
}

/// The address of a stage. `host`: the Region and the suffix of its names. `endpoint`: that of an emulator.
fn address(target: &ApiTarget, host: &str, endpoint: Option<&str>) -> String {
    let ApiTarget { id, stage, .. } = target;
    if let Some(endpoint) = endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        // Emulators name the stage `$default`, too.
        let url = format!("{endpoint}/_aws/execute-api/{id}/{stage}/");
        return match target.protocol {
            Protocol::Rest | Protocol::Http => url,
            Protocol::WebSocket => url.replacen("http", "ws", 1),
        };
    }
    let scheme = match target.protocol {
        Protocol::Rest | Protocol::Http => "https",
        Protocol::WebSocket => "wss",
    };
    let host = format!("{scheme}://{id}.execute-api.{host}/");
    match stage.as_str() {
        DEFAULT_STAGE => host,
        stage => format!("{host}{stage}/"),
    }
}

/// Outputs as a part of a document.
pub(super) fn document(outputs: &[(&'static str, String)]) -> serde_json::Value {
    let outputs = outputs.iter();
    outputs
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_gateway::ApiRef;

    #[test]
    fn the_stage_default_has_no_segment_on_aws() {
        let host = "eu-west-1.amazonaws.com";
        let emulator = Some("https://127.0.0.1:4566/");
        for (protocol, stage, endpoint, expected) in [
            (
                Protocol::Rest,
                "prod",
                None,
                "https://a1.execute-api.eu-west-1.amazonaws.com/prod/",
            ),
            (
                Protocol::Http,
                "prod",
                None,
                "https://a1.execute-api.eu-west-1.amazonaws.com/prod/",
            ),
            (
                Protocol::Http,
                "$default",
                None,
                "https://a1.execute-api.eu-west-1.amazonaws.com/",
            ),
            (
                Protocol::WebSocket,
                "prod",
                None,
                "wss://a1.execute-api.eu-west-1.amazonaws.com/prod/",
            ),
            (
                Protocol::Http,
                "$default",
                emulator,
                "https://127.0.0.1:4566/_aws/execute-api/a1/$default/",
            ),
            (
                Protocol::WebSocket,
                "prod",
                emulator,
                "wss://127.0.0.1:4566/_aws/execute-api/a1/prod/",
            ),
        ] {
            let target = ApiRef { id: "a1", protocol }.stage(stage);
            assert_eq!(address(&target, host, endpoint), expected);
        }
    }
}

//! The HTTP client of all AWS calls.

use std::sync::{Arc, OnceLock};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::error::Error;

/// A client that uses the proxy from the environment. Emulators and the instance metadata service
/// use plain HTTP and are reached directly.
///
/// # Errors
/// When the environment variable does not contain a valid proxy address.
pub fn client() -> Result<SharedHttpClient, Error> {
    let proxy = proxy(|name| std::env::var(name).ok())?;
    let plain = Builder::new().build_with_connector_fn(|settings, components| {
        connector(settings, components).build_http()
    });
    let tls = Builder::new().build_with_connector_fn(move |settings, components| {
        connector(settings, components)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .proxy_config(proxy.clone())
            .build()
    });
    Ok(SharedHttpClient::new(ByScheme {
        plain,
        tls: Arc::new(tls),
    }))
}

fn connector(
    settings: Option<&HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> ConnectorBuilder {
    let mut connector = ConnectorBuilder::default();
    connector.set_connector_settings(settings.cloned());
    if let Some(components) = components {
        connector.set_sleep_impl(components.sleep_impl());
    }
    connector
}

/// Loads the root certificates at the first HTTPS request. The SDK's client loads them for every
/// service, even if all services are emulators.
#[derive(Debug)]
struct ByScheme {
    plain: SharedHttpClient,
    tls: Arc<SharedHttpClient>,
}

impl HttpClient for ByScheme {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(SchemeConnector {
            plain: self.plain.http_connector(settings, components),
            tls: OnceLock::new(),
            client: Arc::clone(&self.tls),
            settings: settings.clone(),
            components: components.clone(),
        })
    }

    fn validate_base_client_config(
        &self,
        _components: &RuntimeComponentsBuilder,
        _cfg: &ConfigBag,
    ) -> Result<(), BoxError> {
        // The SDK's own client loads the certificates at this point.
        Ok(())
    }
}

#[derive(Debug)]
struct SchemeConnector {
    plain: SharedHttpConnector,
    tls: OnceLock<SharedHttpConnector>,
    client: Arc<SharedHttpClient>,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for SchemeConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if !request.uri().starts_with("https:") {
            return self.plain.call(request);
        }
        let connector = || self.client.http_connector(&self.settings, &self.components);
        self.tls.get_or_init(connector).call(request)
    }
}

/// The HTTPS proxy. The variable names are those of curl. The address may contain a password, so no
/// error shows it.
fn proxy(variable: impl Fn(&str) -> Option<String>) -> Result<ProxyConfig, Error> {
    let first = |names: &[&'static str]| {
        let set = |name: &&'static str| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        };
        names.iter().find_map(set)
    };
    let Some((name, address)) = first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    else {
        return Ok(ProxyConfig::disabled());
    };
    let address = if address.contains("://") {
        address
    } else {
        format!("http://{address}")
    };
    let proxy = ProxyConfig::https(address).map_err(|_| {
        Error::usage(format!("{name} is not the address of an HTTP proxy")).hint(
            "for example http://proxy.example.com:8080; NO_PROXY lists what is reached without it",
        )
    })?;
    Ok(match first(&["NO_PROXY", "no_proxy"]) {
        Some((_, hosts)) => proxy.no_proxy(hosts),
        None => proxy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<ProxyConfig, Error> {
        let find = |name: &str| set.iter().find(|(set, _)| *set == name);
        proxy(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_proxy_is_taken_from_the_first_variable_that_names_one() {
        assert!(read(&[]).is_ok_and(|proxy| proxy.is_disabled()));
        assert!(read(&[("HTTPS_PROXY", "")]).is_ok_and(|proxy| proxy.is_disabled()));
        let set = [
            ("all_proxy", "socks5://a"),
            ("https_proxy", "a.example:3128"),
        ];
        let shown = format!("{:?}", read(&set).expect("a proxy"));
        assert!(shown.contains("a.example:3128"), "{shown}");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_shown() {
        for address in [
            "socks5://user:secret@a:1",
            "http://user:secret@",
            "http:// secret",
        ] {
            let error = read(&[("ALL_PROXY", address)]).expect_err("no proxy");
            let shown = format!("{error} {:?}", error.hints());
            assert!(
                shown.contains("ALL_PROXY") && !shown.contains("secret"),
                "{shown}"
            );
        }
    }
}

//! The HTTP client of all AWS calls.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::error::Error;

/// A client that goes through the proxy which the environment names. Plain HTTP is spoken with emulators and with the
/// metadata service of the machine, and goes there directly.
///
/// # Errors
/// When what the environment names is not the address of a proxy.
pub fn client() -> Result<SharedHttpClient, Error> {
    let proxy = proxy(|name| std::env::var(name).ok())?;
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    });
    Ok(client)
}

/// The proxy for HTTPS. The names are curl's. The address may hold a password, so no error shows it.
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

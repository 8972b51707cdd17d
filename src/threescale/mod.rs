//! Asks 3scale from this machine what the authorizer depends on, before anything is changed: the service token, the kind of
//! the credentials, and the metrics of the mapping rules. No request counts usage.

mod application;
mod ask;
mod judge;

use url::{Host, Url};

pub use self::application::{Limit, Told, Verdict};
pub use self::ask::{Application, Question, about, ask};
pub use self::judge::Findings;

/// Whether 3scale is asked from this machine. A run against an emulator of AWS, which speaks plain HTTP, sends nothing beyond
/// this machine.
pub fn is_asked(aws_endpoint: Option<&str>, backend: &str) -> bool {
    let is_emulator = aws_endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    !is_emulator || is_loopback(backend)
}

fn is_loopback(address: &str) -> bool {
    let url = Url::parse(address).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_against_an_emulator_stays_on_this_machine() {
        let emulator = Some("http://127.0.0.1:4566");
        for (endpoint, backend, expected) in [
            (None, "https://su1.3scale.net", true),
            (
                Some("https://vpce-1.example.com"),
                "https://su1.3scale.net",
                true,
            ),
            (emulator, "https://su1.3scale.net", false),
            (emulator, "http://10.1.2.3", false),
            (emulator, "https://localhost.example.com", false),
            (emulator, "http://localhost:3000", true),
            (emulator, "http://127.0.0.1:3000/backend", true),
            (emulator, "http://[::1]:3000", true),
        ] {
            assert_eq!(
                is_asked(endpoint, backend),
                expected,
                "{endpoint:?} {backend}"
            );
        }
    }
}

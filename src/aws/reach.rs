//! What it means that no connection can be made: an address that nothing listens on, a name that does not exist, a machine
//! without a network. Pure.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use super::AwsError;

/// How long a name is looked up again. A mistyped Region or address never exists.
const LOOKUP: Duration = Duration::from_secs(10);

/// Why no connection can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing listens on an address of this machine.
    NothingListens,
    /// The name of the endpoint is not found.
    NoName,
    /// This machine has no route to the endpoint.
    NoRoute,
}

/// The reason in a transport error, if a long retry does not help. Once something has answered, the network exists, and a failure
/// is one that passes. A failed lookup has no kind of its own: its text is that of `hyper-util`
/// (`client/legacy/connect/http.rs`).
pub(super) fn failure(error: &AwsError, is_local: bool, has_answer: bool) -> Option<Failure> {
    match error.io {
        Some(ErrorKind::ConnectionRefused) if is_local => Some(Failure::NothingListens),
        _ if has_answer => None,
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => Some(Failure::NoRoute),
        _ if error.message.contains("dns error") => Some(Failure::NoName),
        _ => None,
    }
}

impl Failure {
    /// How long the call is retried.
    pub(super) fn budget(self) -> Duration {
        match self {
            Self::NothingListens => Duration::ZERO,
            Self::NoName | Self::NoRoute => LOOKUP,
        }
    }

    /// The failure in words. `at` is the endpoint that replaces AWS's own, `meant` the Region that was probably meant.
    pub(super) fn describe(self, at: Option<&str>, region: &str, meant: Option<&str>) -> String {
        let endpoint = match at {
            Some(url) => url.to_owned(),
            None => format!("the endpoint of the Region {region}"),
        };
        match self {
            Self::NothingListens => format!(
                "nothing listens on {}",
                at.unwrap_or("the endpoint on this machine")
            ),
            Self::NoRoute => format!("this machine has no route to {endpoint}"),
            Self::NoName => {
                let meant = meant.filter(|_| at.is_none());
                let meant = meant.map(|meant| format!("; did you mean {meant}?"));
                format!(
                    "the name of {endpoint} is not found in DNS{}",
                    meant.unwrap_or_default()
                )
            }
        }
    }
}

/// Whether an endpoint is on this machine: the one of all services, or one in a variable such as `AWS_ENDPOINT_URL_STS`.
pub(super) fn is_local(
    url: Option<&str>,
    mut variables: impl Iterator<Item = (String, String)>,
) -> bool {
    match url {
        Some(url) => is_loopback(url),
        None => {
            variables.any(|(name, url)| name.starts_with("AWS_ENDPOINT_URL_") && is_loopback(&url))
        }
    }
}

/// Whether the address is on this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = url::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNS: &str = "dispatch failure: io error: client error (Connect): dns error: failed to lookup address information: Name or service not known";

    #[test]
    fn only_what_does_not_pass_is_final() {
        let refused = Some(ErrorKind::ConnectionRefused);
        for (message, io, is_local, has_answer, expected) in [
            ("", refused, true, false, Some(Failure::NothingListens)),
            // What listened a moment ago has ended.
            ("", refused, true, true, Some(Failure::NothingListens)),
            ("", refused, false, false, None),
            (
                DNS,
                Some(ErrorKind::Other),
                false,
                false,
                Some(Failure::NoName),
            ),
            (DNS, None, false, true, None),
            (
                "",
                Some(ErrorKind::NetworkUnreachable),
                false,
                false,
                Some(Failure::NoRoute),
            ),
            (
                "",
                Some(ErrorKind::HostUnreachable),
                false,
                false,
                Some(Failure::NoRoute),
            ),
            ("no answer in time", None, true, false, None),
        ] {
            let error = AwsError {
                io,
                ..AwsError::incomplete("sts:GetCallerIdentity", message)
            };
            let found = failure(&error, is_local, has_answer);
            assert_eq!(found, expected, "{message} {io:?}");
        }
    }

    #[test]
    fn the_words_name_the_endpoint_and_the_region_that_was_meant() {
        let text = Failure::NothingListens.describe(Some("http://127.0.0.1:1"), "us-east-1", None);
        assert_eq!(text, "nothing listens on http://127.0.0.1:1");
        let text = Failure::NoName.describe(None, "us-eest-1", Some("us-east-1"));
        assert_eq!(
            text,
            "the name of the endpoint of the Region us-eest-1 is not found in DNS; did you mean us-east-1?"
        );
    }

    #[test]
    fn an_endpoint_on_this_machine_is_recognized() {
        let none = std::iter::empty;
        for (url, local) in [
            ("http://127.0.0.1:4566", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("https://vpce-1.sts.us-east-1.vpce.amazonaws.com", false),
            ("not a url", false),
        ] {
            assert_eq!(is_local(Some(url), none()), local, "{url}");
        }
        let sts = (
            "AWS_ENDPOINT_URL_STS".to_owned(),
            "http://127.0.0.1:1".to_owned(),
        );
        assert!(is_local(None, [sts].into_iter()));
        assert!(!is_local(None, none()));
    }
}

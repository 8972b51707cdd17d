//! The HTTP client for 3scale and the Parameter Store, and the classification of its errors.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::connect::{Background, NotSent};
use crate::failure::{Cause, Failure};
use crate::tls::Tls;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use ureq::http::Uri;
use ureq::tls::{PemItem, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;

/// Idle connections older than this are not used again. A NAT gateway drops them after 350 s, and many servers after 60 s.
const MAX_IDLE: Duration = Duration::from_secs(55);
/// The same for a call that counts. It is less than the time for which servers keep connections: it would stay unknown
/// whether a call on a connection that the server closes was counted.
pub const MAX_IDLE_COUNTING: Duration = Duration::from_secs(4);

/// The size limit of the head of a response.
const MAX_HEAD: usize = 32 << 10;
/// The sizes of the buffers of a connection, which `ureq` clears for each one. The first one is larger than the head of a
/// response, the second one than that of a request.
const INPUT: usize = 2 * MAX_HEAD;
const OUTPUT: usize = 32 << 10;

/// A client that follows no redirects, uses no proxy, and returns every status as a response. It opens connections in the
/// background, see `connect`.
#[must_use]
pub fn agent(roots: Option<&RootCertificates>) -> ureq::Agent {
    client(roots, &[]).0
}

/// The same client, and its connector, which can open a connection before the first request. It trusts these certificate
/// authorities as well.
pub(crate) fn client(
    roots: Option<&RootCertificates>,
    more: &[CertificateDer<'static>],
) -> (ureq::Agent, Background) {
    let mut roots = store(roots);
    if !more.is_empty() {
        let store = Arc::make_mut(&mut roots);
        store.add_parsable_certificates(more.iter().cloned());
    }
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_age(MAX_IDLE)
        .max_response_header_size(MAX_HEAD)
        .input_buffer_size(INPUT)
        .output_buffer_size(OUTPUT)
        .user_agent(concat!("threescale-gw/", env!("CARGO_PKG_VERSION")))
        .build();
    let background = Background::new(Tls::new(roots));
    let agent = ureq::Agent::with_parts(config, background.clone(), background.clone());
    (agent, background)
}

/// Mozilla's root certificates, or those that replace them.
pub(crate) fn store(roots: Option<&RootCertificates>) -> Arc<RootCertStore> {
    match roots {
        Some(roots) => roots.store(),
        None => Arc::new(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        }),
    }
}

/// The certificates of a PEM text; `None` if one of them cannot be a root certificate, or if there is none.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.ok()? {
            let certificate = CertificateDer::from(certificate.der().to_vec());
            store.add(certificate.clone()).ok()?;
            certificates.push(certificate);
        }
    }
    (!certificates.is_empty()).then_some(certificates)
}

/// Root certificates that replace Mozilla's.
#[derive(Debug, Clone)]
pub struct RootCertificates(Arc<RootCertStore>);

impl RootCertificates {
    /// Reads a PEM bundle.
    ///
    /// # Errors
    /// The file cannot be read, or it contains no usable certificate.
    pub fn read(path: &Path) -> io::Result<Self> {
        let unusable = || io::Error::new(io::ErrorKind::InvalidData, "no usable certificate");
        let pem = std::fs::read(path)?;
        let certificates = certificates(&pem).ok_or_else(unusable)?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        Ok(Self(Arc::new(store)))
    }

    /// The certificates.
    #[must_use]
    pub fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

/// The failure for an error, without the URL, which can contain secrets.
#[must_use]
pub fn failure(error: &ureq::Error) -> Failure {
    let (cause, text) = match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve) => {
            (Cause::Dns, "the host name did not resolve in time")
        }
        ureq::Error::Timeout(ureq::Timeout::Connect) => (
            Cause::Timeout,
            "time-out: no connection yet; the next request goes on with it",
        ),
        ureq::Error::Timeout(_) => (Cause::Timeout, "time-out: no answer"),
        ureq::Error::Io(error) => return Failure::io(error),
        ureq::Error::Other(other) if other.is::<NotSent>() => {
            return not_sent(error).map_or_else(
                || Failure::new(Cause::Failed, "the request could not be sent"),
                Failure::io,
            );
        }
        ureq::Error::Rustls(error) => return Failure::tls(error),
        ureq::Error::Tls(what) => return Failure::new(Cause::Tls, format!("TLS: {what}")),
        ureq::Error::HostNotFound => (Cause::Dns, "the host name does not resolve"),
        ureq::Error::ConnectionFailed => (Cause::Refused, "connection failed"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => (Cause::Invalid, "the URL cannot be used"),
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            (Cause::Protocol, "a response that is not HTTP")
        }
        ureq::Error::BodyExceedsLimit(_) => (Cause::Protocol, "a response that is too large"),
        _ => (Cause::Protocol, "the request failed"),
    };
    Failure::new(cause, text)
}

/// The time-out for the connection, within a time-out for the whole request. It is shorter, so that an error shows
/// which of the two ended.
#[must_use]
pub fn connecting(left: Duration) -> Duration {
    left.saturating_sub(Duration::from_millis(5))
}

/// Host and port of a URL, for messages.
#[must_use]
pub fn place(url: &str) -> String {
    url.parse::<Uri>()
        .ok()
        .and_then(|uri| {
            uri.scheme()
                .zip(uri.authority())
                .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
        })
        .unwrap_or_else(|| "an unusable URL".to_owned())
}

/// The longest time of a `Retry-After` that is honored. A server that is ready earlier, or that sends a wrong date, must
/// not keep callers out for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The time that a `Retry-After` header asks to wait, in seconds or until a date; `None` if it cannot be read or is over.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date(value)?.duration_since(now).ok()?,
    };
    (!wait.is_zero()).then(|| wait.min(MAX_RETRY_AFTER))
}

/// A date as servers have to write it, `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(value: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = time::Month::try_from(u8::try_from(month + 1).ok()?).ok()?;
    let date = time::Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let mut parts = time.split(':').map(str::parse::<u8>);
    let mut part = || parts.next()?.ok();
    let moment = date
        .with_hms(part()?, part()?, part()?)
        .ok()?
        .assume_utc()
        .unix_timestamp();
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(moment).ok()?))
}

/// Whether the request cannot have reached the server, so that it is safe to repeat it.
#[must_use]
pub fn never_sent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => true,
        ureq::Error::Timeout(timeout) => {
            matches!(timeout, ureq::Timeout::Resolve | ureq::Timeout::Connect)
        }
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        _ => not_sent(error).is_some(),
    }
}

/// The error of a connection that ended before the whole request was sent. The server cannot have carried it out, so it
/// can be sent again on another connection.
#[must_use]
pub fn not_sent(error: &ureq::Error) -> Option<&io::Error> {
    match error {
        ureq::Error::Other(other) => other.downcast_ref::<NotSent>().map(|error| &error.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date_and_bounded() {
        // 2026-11-22 07:14:10 UTC.
        let now = UNIX_EPOCH + Duration::from_secs(1_795_331_650);
        for (value, wait) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("99999", Some(30)),
            ("18446744073709551615", Some(30)),
            ("Sun, 22 Nov 2026 07:14:15 GMT", Some(5)),
            ("Sun, 22 Nov 2026 07:14:10 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 22 Nov 2099 07:14:15 GMT", Some(30)),
            ("Sun, 32 Nov 2026 07:14:15 GMT", None),
            ("Sun, 22 Nov 2026 07:14 GMT", None),
            ("Sun, 22 Nov 2026 07:14:15 CET", None),
        ] {
            assert_eq!(
                retry_after(value, now),
                wait.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}

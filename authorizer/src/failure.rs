//! Why a dependency gave no answer or a wrong one: one word for programs, and a text for people.

use std::fmt;
use std::io;

use rustls::CertificateError;

/// The causes. Their words are part of the self-test's answer and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The Parameter Store refuses: permissions, credentials, or the KMS key of the parameters.
    SsmDenied,
    /// The Parameter Store answers, but not in a usable way.
    SsmUnreachable,
    /// A parameter does not exist.
    Missing,
    /// A parameter's value cannot be used.
    Invalid,
    /// The stack has no cache endpoint yet.
    EndpointMissing,
    /// The host name does not resolve.
    Dns,
    /// No connection, or no answer, in time.
    Timeout,
    /// The network reports that there is no route.
    NoRoute,
    /// No process listens at the address.
    Refused,
    /// TLS failed.
    Tls,
    /// The certificate is not of an authority that is trusted.
    TlsChain,
    /// The certificate is for another name.
    TlsName,
    /// The certificate has expired, or is not valid yet.
    TlsValidity,
    /// The cache's login is wrong or lacks a permission.
    Auth,
    /// The cache accepts no writes.
    ReadOnly,
    /// The cache is full.
    Full,
    /// The server's response does not follow its protocol.
    Protocol,
    /// 3scale refuses the service token or the service ID.
    TokenInvalid,
    /// 3scale knows the token but not the service.
    ServiceUnknown,
    /// The service uses the other kind of credentials.
    CredentialKind,
    /// 3scale does not know a metric of the mapping rules.
    MetricUnknown,
    /// An unexpected HTTP status.
    HttpStatus,
    /// The cache does not run our scripts.
    Scripts,
    /// Anything else.
    Failed,
    /// The check was not run because an earlier one failed.
    Skipped,
}

impl Cause {
    /// The cause's word in the self-test's answer.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SsmDenied => "ssm_denied",
            Self::SsmUnreachable => "ssm_unreachable",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::EndpointMissing => "endpoint_missing",
            Self::Dns => "dns",
            Self::Timeout => "timeout",
            Self::NoRoute => "no_route",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::TlsChain => "tls_chain",
            Self::TlsName => "tls_name",
            Self::TlsValidity => "tls_validity",
            Self::Auth => "auth",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Protocol => "protocol",
            Self::TokenInvalid => "token_invalid",
            Self::ServiceUnknown => "service_unknown",
            Self::CredentialKind => "credential_kind",
            Self::MetricUnknown => "metric_unknown",
            Self::HttpStatus => "http_status",
            Self::Scripts => "scripts",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A cause and a description. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    /// What happened, for people.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Failure {
    #[must_use]
    pub fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self {
            cause,
            text: text.into(),
        }
    }

    /// The same, with the name of the dependency in front of the text.
    #[must_use]
    pub fn of(self, what: impl fmt::Display) -> Self {
        Self {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    /// The failure for an I/O error of a socket, with or without TLS.
    #[must_use]
    pub fn io(error: &io::Error) -> Self {
        if let Some(error) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return Self::tls(error);
        }
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Self::new(Cause::Timeout, "time-out: no answer")
            }
            io::ErrorKind::ConnectionRefused => Self::new(Cause::Refused, "connection refused"),
            // A network that blocks the connection reports one of these.
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied => {
                Self::new(Cause::NoRoute, format!("no route: {}", error.kind()))
            }
            io::ErrorKind::UnexpectedEof if error.to_string().starts_with("tls handshake") => {
                Self::new(
                    Cause::Tls,
                    "TLS: the server closed the connection during the handshake",
                )
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::new(
                Cause::Protocol,
                "the connection was closed without an answer",
            ),
            kind => Self::new(Cause::Protocol, kind.to_string()),
        }
    }

    /// The failure for a TLS error.
    #[must_use]
    pub fn tls(error: &rustls::Error) -> Self {
        use rustls::Error;
        let (cause, text) = match error {
            Error::InvalidCertificate(reason) => match reason {
                // A certificate that names a trusted issuer but is not signed by it.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => (
                    Cause::TlsChain,
                    "the certificate's issuer is not trusted".to_owned(),
                ),
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => (
                    Cause::TlsName,
                    "the certificate is for another name".to_owned(),
                ),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    (Cause::TlsValidity, "the certificate has expired".to_owned())
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                    Cause::TlsValidity,
                    "the certificate is not valid yet".to_owned(),
                ),
                other => (
                    Cause::TlsChain,
                    format!("the certificate is not accepted: {other}"),
                ),
            },
            Error::InvalidMessage(_) => (Cause::Tls, "the server does not speak TLS".to_owned()),
            other => (Cause::Tls, other.to_string()),
        };
        Self::new(cause, format!("TLS: {text}"))
    }
}

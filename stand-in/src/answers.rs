//! The bodies and headers of responses.

use crate::http::Response;

pub(crate) const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// An error response: a status, a code, and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// Empty for errors without a body.
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: u16, code: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, code, text }
    }

    /// End users do not exist any more.
    pub(crate) fn end_users() -> Self {
        let text = "End-users are no longer supported, do not specify the user_id parameter";
        Self::new(400, "end_users_no_longer_supported", text)
    }

    pub(crate) fn response(&self) -> Response {
        let body = match self.code {
            "" => String::new(),
            code => format!(
                "{HEAD}<error code=\"{code}\">{}</error>",
                escape(&self.text)
            ),
        };
        xml(self.status, Vec::new(), body)
    }
}

/// Escapes `&`, `<`, and `>`. Quotes are not escaped.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A response of the transaction endpoints, with the headers that all of these responses have.
pub(crate) fn xml(status: u16, own: Vec<(&str, String)>, body: String) -> Response {
    let mut headers = vec![
        ("content-type", "application/vnd.3scale-v2.0+xml".to_owned()),
        ("access-control-allow-origin", "*".to_owned()),
        (
            "access-control-expose-headers",
            "ETag, Link, 3scale-rejection-reason".to_owned(),
        ),
        ("content-security-policy", "default-src 'self'".to_owned()),
    ];
    headers.extend(own);
    headers.push(("x-content-type-options", "nosniff".to_owned()));
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let body = body.into_bytes();
    Response::Reply {
        status,
        headers,
        body,
    }
}

/// The 500 response of the web server itself.
pub(crate) fn broken() -> Response {
    Response::new(500, "Internal Server Error\n")
}

/// The same response without its body.
pub(crate) fn without_body(response: Response) -> Response {
    match response {
        Response::Reply {
            status, headers, ..
        } => Response::Reply {
            status,
            headers,
            body: Vec::new(),
        },
        other => other,
    }
}

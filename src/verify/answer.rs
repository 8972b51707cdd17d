//! The response to a request, and how the API answers what the authorizer refuses. Pure.

use serde_json::Value;

use crate::api_gateway::Protocol;

/// The response to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub protocol: Protocol,
    pub status: u16,
    /// The error type of API Gateway's own responses, such as `UnauthorizedException`. Integration responses have none.
    pub error_type: Option<String>,
    /// The JSON body. Null if it is not JSON or exceeds the bytes that are read.
    pub body: Value,
    /// The ID that an HTTP or WebSocket API gives the request, as the authorizer logs it.
    pub request_id: Option<String>,
    /// Whether it answers a `HEAD` request, and so has no body.
    pub is_to_head: bool,
}

impl Answer {
    /// Whether the backend answered: API Gateway's own responses have an error type, or those of HTTP APIs a fixed body.
    pub(super) fn is_of_backend(&self) -> bool {
        match self.protocol {
            Protocol::Rest => {
                self.error_type.is_none()
                    && !has_our_shape(self)
                    && !is_authorizer_failure(self, "")
            }
            Protocol::Http | Protocol::WebSocket => !is_of_gateway(self),
        }
    }

    /// Whether an HTTP or WebSocket API itself may have refused the request.
    pub(super) fn may_be_refusal(&self) -> bool {
        let is_refusal = matches!(self.status, 401 | 403 | 404);
        self.protocol != Protocol::Rest && is_refusal && !self.is_of_backend()
    }

    /// Whether API Gateway itself refused the request, before any authorizer: a stage or a base path that does not exist, a missing
    /// API key, or a firewall.
    pub(super) fn is_forbidden(&self) -> bool {
        self.error_type.as_deref() == Some("ForbiddenException")
    }

    /// Whether another response means the same. The rest of a body can contain anything.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let seen = |answer: &Self| (answer.status, answer.error_type.clone());
        if self.protocol != Protocol::Rest {
            return seen(self) == seen(other) && self.is_of_backend() == other.is_of_backend();
        }
        let has_failed = |answer: &Self| {
            is_authorizer_failure(answer, answer.error_type.as_deref().unwrap_or_default())
        };
        // A failure of the authorizer is one with any gateway response.
        (has_failed(self) && has_failed(other))
            || (seen(self) == seen(other) && self.body["error"] == other.body["error"])
    }

    /// Whether the API's resource policy refused the request, according to API Gateway's message.
    /// Source: AWS Knowledge Center, "How do I troubleshoot HTTP 403 Forbidden errors when using a Lambda authorizer with
    /// an API Gateway REST API?".
    pub(super) fn is_of_policy(&self) -> bool {
        let texts = ["message", "Message", "detail"].map(|name| self.body[name].as_str());
        let refuses =
            |text: &str| text.contains("is not authorized to perform: execute-api:Invoke");
        texts.into_iter().flatten().any(refuses)
    }
}

/// The text for an unknown reason.
pub(super) const UNTOLD: &str = "the reason is not told";

/// How the API answers what the authorizer refuses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusals {
    /// The gateway responses are managed, so a Deny contains the authorizer's reason.
    pub have_reasons: bool,
    /// The authorizer denies only requests that pass a limit. All others that it refuses get a 401 without a reason.
    pub are_unauthorized: bool,
    /// There are none: the authorizer observes, and allows every request.
    pub are_observed: bool,
    /// Of an HTTP or WebSocket API: the authorizer has an identity source, so API Gateway itself refuses a request without it.
    pub need_key: bool,
}

/// The text for an authorizer that allows every request.
pub const OBSERVED: &str = "allowed: the mode is observe";

/// Whether API Gateway itself answered: an HTTP API with the body of this status. The body of a handshake is not documented, and
/// an answer to `HEAD` has none: then API Gateway or the backend may have answered.
pub(super) fn is_of_gateway(answer: &Answer) -> bool {
    let message = match answer.status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        _ => return false,
    };
    let body = answer.body.as_object();
    answer.protocol == Protocol::WebSocket
        || answer.is_to_head
        || body.is_some_and(|body| {
            let has_text = body.get("message").is_some_and(|text| *text == message);
            has_text && body.len() == 1
        })
}

/// Whether the body has the format of our gateway responses.
pub(super) fn has_our_shape(answer: &Answer) -> bool {
    answer.body["error"].is_string() && answer.body["detail"].is_string()
}

/// Whether API Gateway got no decision. A failed authorizer results in a 500 with a null message, or in our gateway
/// response, a 503 that names the failure.
pub(super) fn is_authorizer_failure(answer: &Answer, kind: &str) -> bool {
    let named = answer.body["error"] == "authorizer_failure" || kind.contains("Authorizer");
    let bare = answer
        .body
        .as_object()
        .is_some_and(|body| body.len() == 1 && body.get("message").is_some_and(Value::is_null));
    named || (answer.status == 500 && bare)
}

//! The gateway responses of the API that the stack manages.

use serde::Serialize;

/// The gateway responses that the stack may write, and the status of a passed limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Responses {
    pub types: ResponseTypes,
    pub limits: LimitStatus,
}

/// The types of gateway responses that the stack may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseTypes {
    /// All types in `TYPES`, except those that other users customized.
    All,
    /// No gateway responses.
    Off,
    /// These types, even if other users customized them.
    Named(Vec<String>),
}

/// The status with which the API answers a request that passes a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum LimitStatus {
    /// 403, as for every other refusal.
    #[default]
    #[serde(rename = "403")]
    Forbidden,
    /// 429. Every other refusal is a 401: a Deny has one status for all reasons.
    #[serde(rename = "429")]
    TooManyRequests,
}

impl Responses {
    /// The types of gateway responses that can be named.
    pub const TYPES: [&str; 3] = ["UNAUTHORIZED", ACCESS_DENIED, "AUTHORIZER_FAILURE"];
    /// No gateway responses.
    pub const OFF: Self = Self {
        types: ResponseTypes::Off,
        limits: LimitStatus::Forbidden,
    };

    /// Whether the stack may write this type, and whether it is named.
    pub fn wants(&self, kind: &str) -> (bool, bool) {
        match &self.types {
            ResponseTypes::All => (true, false),
            ResponseTypes::Off => (false, false),
            ResponseTypes::Named(names) => {
                let is_named = names.iter().any(|name| name == kind);
                (is_named, is_named)
            }
        }
    }
}

/// The type of the response to a Deny.
pub const ACCESS_DENIED: &str = "ACCESS_DENIED";

impl From<ResponseTypes> for Responses {
    fn from(types: ResponseTypes) -> Self {
        let limits = LimitStatus::default();
        Self { types, limits }
    }
}

impl LimitStatus {
    /// The HTTP status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "403",
            Self::TooManyRequests => "429",
        }
    }
}

//! The gateway responses of the API that the stack manages.

/// The gateway responses that the stack may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Responses {
    /// All types in `TYPES`, except those that other users customized.
    All,
    /// No gateway responses.
    Off,
    /// These types, even if other users customized them.
    Named(Vec<String>),
}

impl Responses {
    /// The types of gateway responses that can be named.
    pub const TYPES: [&str; 3] = ["UNAUTHORIZED", "ACCESS_DENIED", "AUTHORIZER_FAILURE"];
}

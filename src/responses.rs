//! Which gateway responses of the API the stack manages.

/// Which gateway responses are ours to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Responses {
    /// All we know, but for those that others made.
    All,
    /// None.
    Off,
    /// These, though others made them.
    Named(Vec<String>),
}

impl Responses {
    /// The types of gateway responses that can be named.
    pub const TYPES: [&str; 3] = ["UNAUTHORIZED", "ACCESS_DENIED", "AUTHORIZER_FAILURE"];
}

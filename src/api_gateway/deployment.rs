//! A deployment of an API.

use jiff::Timestamp;

/// A deployment of the API: the copy of the draft that a stage can serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    pub id: String,
    pub description: String,
    pub created: Option<Timestamp>,
    /// Whether API Gateway made it by itself, because a stage deploys automatically.
    pub is_automatic: bool,
}

//! Which API, and which stage of it.

/// The API a stack is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiTarget {
    pub id: String,
    pub stage: String,
}

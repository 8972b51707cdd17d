//! The API and the stage that a stack is attached to.

/// The API and stage that a stack is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiTarget {
    pub id: String,
    pub stage: String,
}

//! What is done with a resource.

use serde::Serialize;

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Create,
    Update,
    /// Deleted and made anew, since a change cannot be made in place.
    Replace,
    Delete,
    /// It is on its way already: only waited for.
    Wait,
    None,
}

impl Action {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Wait => "wait",
            Self::None => "none",
        }
    }
}

//! The actions that a plan can take on a resource.

use serde::Serialize;

/// The action that a plan takes on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Create,
    Update,
    /// Deletes and recreates the resource, because a change cannot be made in place.
    Replace,
    Delete,
    /// The resource is already being created or updated: only wait for it.
    Wait,
    None,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Update,
        Self::Replace,
        Self::Delete,
        Self::Wait,
        Self::None,
    ];

    /// The word used in reports and in JSON output.
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

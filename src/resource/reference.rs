//! References to resources of the stack or of the operator.

use super::context::Context;
use super::error::ResourceError;
use super::shown::{List, NEW};
use crate::id::LogicalId;

/// A resource that the operator provides, or one of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Managed(LogicalId),
    Given(String),
}

impl Reference {
    /// The id to wait for, if the resource belongs to the stack.
    pub fn need(&self) -> Option<LogicalId> {
        match self {
            Self::Managed(id) => Some(id.clone()),
            Self::Given(_) => None,
        }
    }

    /// The physical id, if it is known.
    pub fn known_output(&self, cx: &Context) -> Option<String> {
        match self {
            Self::Managed(id) => cx.known_output(id).map(|output| output.physical_id),
            Self::Given(physical_id) => Some(physical_id.clone()),
        }
    }

    /// The physical id.
    ///
    /// # Errors
    /// As [`Context::output`].
    pub fn resolve(&self, cx: &Context) -> Result<String, ResourceError> {
        match self {
            Self::Managed(id) => cx.physical_id(id),
            Self::Given(physical_id) => Ok(physical_id.clone()),
        }
    }
}

/// The physical ids of `references`, with `(new)` for those that will be created.
pub fn listed(references: &[Reference], cx: &Context) -> List<String> {
    List::sorted(
        references
            .iter()
            .map(|reference| reference.known_output(cx).unwrap_or_else(|| NEW.to_owned())),
    )
}

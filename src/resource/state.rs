//! What the account holds of a kind: which resource it is, and its phase.

use std::collections::BTreeMap;

use crate::id::LogicalId;

/// Where a resource stands in its life. The text is the service's own word for the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Pending(String),
    Ready,
    Deleting(String),
    /// Never recovers: delete it and make another.
    Failed(String),
}

impl Phase {
    /// One word for reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Ready => "ready",
            Self::Deleting(_) => "deleting",
            Self::Failed(_) => "failed",
        }
    }
}

/// What other resources and the user may learn of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub physical_id: String,
    pub attributes: BTreeMap<&'static str, String>,
}

/// Which resource something in the account is, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: LogicalId,
    pub phase: Phase,
    pub output: Output,
}

impl Identity {
    /// A resource that is ready and has no outputs but its physical id.
    pub fn ready(id: LogicalId, physical_id: String) -> Self {
        Self {
            id,
            phase: Phase::Ready,
            output: Output {
                physical_id,
                ..Output::default()
            },
        }
    }
}

/// Something in the account that bears a name we need and is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmanaged {
    pub id: LogicalId,
    pub physical_id: String,
    pub why: String,
}

/// All of one kind that concerns the stack.
#[derive(Debug, Clone)]
pub struct Listing<A> {
    pub owned: Vec<A>,
    pub foreign: Vec<Unmanaged>,
}

impl<A> Default for Listing<A> {
    fn default() -> Self {
        Self {
            owned: Vec::new(),
            foreign: Vec::new(),
        }
    }
}

//! The actual state of a resource: its identity and its phase.

use std::collections::BTreeMap;

use crate::aws::tags;
use crate::id::LogicalId;
use crate::kind::Kind;

/// The phase of a resource's life cycle. The text is the service's own name for the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Pending(String),
    /// A state that this version does not know.
    Unknown(String),
    Ready,
    Deleting(String),
    /// Never recovers: delete and recreate it.
    Failed(String),
    /// Does not end by itself, and a replacement would lose data or meet the same cause: the operator decides.
    Blocked {
        state: String,
        hint: &'static str,
    },
}

impl Phase {
    /// One word for reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Unknown(_) => "unknown",
            Self::Ready => "ready",
            Self::Deleting(_) => "deleting",
            Self::Failed(_) | Self::Blocked { .. } => "failed",
        }
    }
}

/// The properties of a resource that other resources and reports can read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub physical_id: String,
    pub attributes: BTreeMap<&'static str, String>,
}

/// Which resource of the stack an actual resource is, and its phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: LogicalId,
    pub phase: Phase,
    pub output: Output,
}

impl Identity {
    /// A resource whose only output is its physical id.
    pub fn new(id: LogicalId, phase: Phase, physical_id: String) -> Self {
        let output = Output {
            physical_id,
            ..Output::default()
        };
        Self { id, phase, output }
    }

    /// The same, and it is ready.
    pub fn ready(id: LogicalId, physical_id: String) -> Self {
        Self::new(id, Phase::Ready, physical_id)
    }
}

/// A resource that has a name this stack needs but belongs to another owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmanaged {
    pub id: LogicalId,
    pub physical_id: String,
    pub why: String,
}

impl Unmanaged {
    /// What has the name of a resource of the stack, and these tags.
    pub fn named(
        kind: Kind,
        name: &str,
        physical_id: String,
        tags: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            id: LogicalId::new(kind, name),
            physical_id,
            why: tags::why_unmanaged(tags),
        }
    }
}

/// All resources of one kind that concern the stack.
#[derive(Debug, Clone)]
pub struct Listing<A> {
    pub owned: Vec<A>,
    pub unmanaged: Vec<Unmanaged>,
}

impl<A> Default for Listing<A> {
    fn default() -> Self {
        Self {
            owned: Vec::new(),
            unmanaged: Vec::new(),
        }
    }
}

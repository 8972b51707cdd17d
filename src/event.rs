//! The one vocabulary that work and display share: work emits [`Event`]s and never prints; reporters consume them.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::action::Action;
use crate::id::LogicalId;

/// Something that happened while the work went on.
#[derive(Debug, Clone)]
pub enum Event {
    /// What the change works on, before it begins.
    Scope(Scope),
    /// Work on a resource began.
    Started { id: LogicalId, action: Action },
    /// A resource got (or was found to have) its physical id.
    Identified {
        id: LogicalId,
        action: Action,
        physical_id: String,
    },
    /// What a resource waits for now, in words.
    Waiting {
        id: LogicalId,
        action: Action,
        what: String,
    },
    /// A call was refused for a while and is tried again.
    Retrying {
        id: Option<LogicalId>,
        cause: String,
        wait: Duration,
    },
    /// Work on a resource ended well.
    Finished {
        id: LogicalId,
        action: Action,
        physical_id: Option<String>,
        took: Duration,
    },
    /// Work on a resource failed.
    Failed {
        id: LogicalId,
        action: Action,
        error: String,
        hint: Option<String>,
    },
    /// A resource was not worked on, because something it needs failed.
    Skipped {
        id: LogicalId,
        action: Action,
        because: LogicalId,
    },
    /// Something was left alone or deserves a look.
    Notice { id: Option<LogicalId>, text: String },
    /// A step outside any resource: lock, build, observation.
    Step { text: String },
    /// How far something beside the resources is, replaced by the next such event: a build, an installation.
    Progress { text: String },
    /// Real requests to the API were answered.
    Verified(crate::verify::Report),
    /// The signal to stop came; calls in flight are waited for.
    Interrupted,
    /// One AWS request was answered (shown with `-v`).
    Request {
        operation: String,
        outcome: String,
        took: Duration,
    },
}

/// What a changing command works on: told before it asks, so that nobody changes another account or stack than they think.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    pub stack: String,
    pub account: String,
    pub region: String,
    /// The APIs that the stack is attached to, or will be.
    pub apis: Vec<ScopeApi>,
}

/// An API with a stage, of a [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScopeApi {
    pub id: String,
    /// Where it was looked up.
    pub name: Option<String>,
    pub stage: String,
}

/// Totals of a run, as they stand in the last line of every report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub created: usize,
    pub updated: usize,
    pub replaced: usize,
    pub deleted: usize,
    pub unchanged: usize,
    pub failed: usize,
}

impl Tally {
    /// Adds what an earlier part of the same run changed.
    pub fn add(&mut self, earlier: &Self) {
        self.created += earlier.created;
        self.updated += earlier.updated;
        self.replaced += earlier.replaced;
        self.deleted += earlier.deleted;
        self.failed += earlier.failed;
    }
}

/// Where events go. Cheap to clone; sending never blocks and never fails, also when nobody listens any more.
#[derive(Debug, Clone)]
pub struct Sink(mpsc::UnboundedSender<Event>);

impl Sink {
    /// A sink and the end that reporters read.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells the user something that concerns no single resource.
    pub fn notice(&self, text: impl Into<String>) {
        self.emit(Event::Notice {
            id: None,
            text: text.into(),
        });
    }

    /// Emits one event.
    pub fn emit(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

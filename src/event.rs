//! The interface between work and display: work emits [`Event`]s and never prints; reporters
//! consume them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use crate::action::Action;
use crate::code::Code;
use crate::id::LogicalId;
use crate::notice::NoticeCode;

/// Something that happened during a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// The account, region, stack and APIs that the change affects; sent before the change starts.
    Scope(Scope),
    /// What the run is about to change: the document of `plan`.
    Plan(serde_json::Value),
    /// The steps of a run, before the first of them starts.
    Planned { steps: Vec<PlannedStep> },
    /// A step of the run started.
    StepStarted { index: usize },
    /// A step of the run ended, in any way, or will not start.
    StepEnded { index: usize },
    /// Work on a resource started.
    Started { id: LogicalId, action: Action },
    /// The physical id of a resource is known.
    Identified {
        id: LogicalId,
        action: Action,
        physical_id: String,
    },
    /// A resource waits for this state.
    Waiting {
        id: LogicalId,
        action: Action,
        what: String,
    },
    /// A call failed temporarily and is retried.
    Retrying {
        id: Option<LogicalId>,
        cause: String,
        wait: Duration,
    },
    /// Work on a resource succeeded.
    Finished {
        id: LogicalId,
        action: Action,
        physical_id: Option<String>,
        took: Duration,
    },
    /// Work on a resource failed.
    Failed {
        code: Code,
        id: LogicalId,
        action: Action,
        error: String,
        hint: Option<String>,
    },
    /// A resource was skipped, because a resource it needs failed.
    Skipped {
        id: LogicalId,
        action: Action,
        because: LogicalId,
    },
    /// A resource is left, because AWS is still deleting it or the resource `because`.
    Left {
        id: LogicalId,
        action: Action,
        because: Option<LogicalId>,
    },
    /// Something was left unchanged or needs the user's attention.
    Notice {
        id: Option<LogicalId>,
        /// If a script may act on it.
        code: Option<NoticeCode>,
        text: String,
    },
    /// A step that belongs to no resource: lock, build, observation.
    Step { text: String },
    /// The progress of work outside the resources, such as a build or an installation. Each event
    /// replaces the previous one.
    Progress {
        text: String,
        /// What is done, and all of it, if that is known.
        share: Option<(u32, u32)>,
    },
    /// The API answered real requests.
    Verified(crate::verify::Report),
    /// The signal to stop was received; calls in flight complete.
    Interrupted,
    /// An event of one of several stacks.
    OfStack {
        stack: StackPlace,
        event: Box<Event>,
    },
    /// Everything before this must be shown.
    Settled(Arc<Notify>),
    /// AWS answered one request (shown with `-v`).
    Request {
        operation: String,
        outcome: String,
        took: Duration,
    },
}

impl Event {
    /// Whether it is about a stack, and not about the run.
    fn is_of_stack(&self) -> bool {
        !matches!(
            self,
            Self::Interrupted | Self::Settled(_) | Self::Request { .. } | Self::OfStack { .. }
        )
    }
}

/// A stack of an account, for runs that work on several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackPlace {
    pub stack: String,
    pub region: String,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    pub id: LogicalId,
    pub action: Action,
    /// Indices of the steps that must end first.
    pub needs: BTreeSet<usize>,
}

/// What a changing command affects. It is shown before the confirmation, so that the user does not
/// change another account or stack by mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    pub stack: String,
    pub account: String,
    /// The name of the account, if it was read and there is one.
    pub account_alias: Option<String>,
    pub region: String,
    /// The ARN of the user or role that makes the change.
    pub caller: Option<String>,
    /// The profile that the credentials are from, if they are from one.
    pub profile: Option<String>,
    /// The APIs that the stack is, or will be, attached to.
    pub apis: Vec<ScopeApi>,
}

/// An API and stage of a [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScopeApi {
    pub id: String,
    /// `REST`, `HTTP`, or `WEBSOCKET`.
    pub protocol: &'static str,
    /// The API's name, if it was read.
    pub name: Option<String>,
    pub stage: String,
}

/// The totals of a run, as shown in the last line of every report.
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
    /// Whether anything was changed.
    pub fn is_any_changed(&self) -> bool {
        self.created + self.updated + self.replaced + self.deleted > 0
    }

    /// Adds the changes of an earlier part of the same run.
    pub fn add(&mut self, earlier: &Self) {
        self.created += earlier.created;
        self.updated += earlier.updated;
        self.replaced += earlier.replaced;
        self.deleted += earlier.deleted;
        self.failed += earlier.failed;
    }
}

/// The sender of events. It is cheap to clone; sending never blocks and never fails, even without a
/// receiver.
#[derive(Debug, Clone)]
pub struct Sink {
    sender: mpsc::UnboundedSender<Event>,
    /// The stack that the events are about, in a run that works on several.
    stack: Option<StackPlace>,
}

impl Sink {
    /// Creates a sink and the receiver that reporters read.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let stack = None;
        (Self { sender, stack }, receiver)
    }

    /// The same sink, for the events of one of several stacks.
    #[must_use]
    pub fn of_stack(&self, stack: StackPlace) -> Self {
        Self {
            sender: self.sender.clone(),
            stack: Some(stack),
        }
    }

    /// Reports something to the user that concerns no single resource.
    pub fn notice(&self, text: impl Into<String>) {
        self.emit(Event::Notice {
            id: None,
            code: None,
            text: text.into(),
        });
    }

    /// The same for something that a script may act on.
    pub fn finding(&self, code: NoticeCode, text: impl Into<String>) {
        self.emit(Event::Notice {
            id: None,
            code: Some(code),
            text: text.into(),
        });
    }

    /// Waits until everything that was emitted is shown, and the live lines are removed: other output can follow.
    pub async fn settle(&self) {
        let settled = Arc::new(Notify::new());
        self.emit(Event::Settled(Arc::clone(&settled)));
        // Without a receiver, nothing is shown.
        let _ = tokio::time::timeout(Duration::from_secs(1), settled.notified()).await;
    }

    /// Emits one event.
    pub fn emit(&self, event: Event) {
        let event = match (&self.stack, event) {
            (Some(stack), event) if event.is_of_stack() => Event::OfStack {
                stack: stack.clone(),
                event: Box::new(event),
            },
            (_, event) => event,
        };
        let _ = self.sender.send(event);
    }
}

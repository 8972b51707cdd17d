//! What work on resources is given.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::error::ResourceError;
use super::state::Output;
use super::view::View;
use crate::aws::{Aws, tags};
use crate::cancel::CancelToken;
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::names::Names;
use crate::rest_api::ApiTarget;

#[derive(Debug)]
struct Shared {
    names: Names,
    user_tags: BTreeMap<String, String>,
    api: Option<ApiTarget>,
    keeps_protected: AtomicBool,
    edits: Mutex<Option<Vec<String>>>,
    publishes_edits: AtomicBool,
    looks_closely: AtomicBool,
    skips_verification: AtomicBool,
    secrets: OnceLock<BTreeMap<&'static str, String>>,
    outputs: Mutex<BTreeMap<LogicalId, Output>>,
    sink: Sink,
}

/// What work on resources is given: the clients, the names, the outputs of what is done, one view of the account.
#[derive(Debug, Clone)]
pub struct Cx {
    shared: Arc<Shared>,
    aws: Arc<Aws>,
    view: Arc<View>,
    /// The reader, and whose outputs it may read. `None` may read all.
    scope: Option<(LogicalId, Arc<[LogicalId]>)>,
}

impl Cx {
    /// A context for one run.
    pub fn new(
        aws: Aws,
        names: Names,
        user_tags: BTreeMap<String, String>,
        api: Option<ApiTarget>,
        sink: Sink,
    ) -> Self {
        let shared = Shared {
            names,
            user_tags,
            api,
            keeps_protected: AtomicBool::new(false),
            edits: Mutex::default(),
            publishes_edits: AtomicBool::new(false),
            looks_closely: AtomicBool::new(false),
            skips_verification: AtomicBool::new(false),
            secrets: OnceLock::new(),
            outputs: Mutex::default(),
            sink,
        };
        Self {
            shared: Arc::new(shared),
            aws: Arc::new(aws),
            view: Arc::default(),
            scope: None,
        }
    }

    /// The same context with nothing remembered of the account.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            view: Arc::default(),
            ..self.clone()
        }
    }

    /// The same context, restricted to the outputs that `id` declared to need.
    #[must_use]
    pub fn scoped(&self, id: &LogicalId, needs: Vec<LogicalId>) -> Self {
        Self {
            scope: Some((id.clone(), needs.into())),
            ..self.clone()
        }
    }

    /// The same context, which begins no call any more once the run must stop.
    #[must_use]
    pub fn until(&self, cancel: &CancelToken) -> Self {
        Self {
            aws: Arc::new(self.aws.until(cancel)),
            ..self.clone()
        }
    }

    /// The clients.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The names of this stack.
    pub fn names(&self) -> &Names {
        &self.shared.names
    }

    /// The API that is to be attached, where the run knows one.
    pub fn api(&self) -> Option<&ApiTarget> {
        self.shared.api.as_ref()
    }

    /// From here on, methods that would be open without us are closed when they are given back.
    pub fn keep_protected(&self) {
        self.shared.keeps_protected.store(true, Ordering::Relaxed);
    }

    /// Whether methods that would be open without us are to be closed.
    pub fn keeps_protected(&self) -> bool {
        self.shared.keeps_protected.load(Ordering::Relaxed)
    }

    /// The edits of others that were shown: no other ones may be published. Without a list, any may.
    pub fn accept_edits(&self, shown: Option<Vec<String>>) {
        *self
            .shared
            .edits
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// Takes note of the edits that the next deployment publishes; returns those that were not accepted.
    pub fn publish_edits(&self, found: Vec<String>) -> Vec<String> {
        let any = !found.is_empty();
        self.shared.publishes_edits.fetch_or(any, Ordering::Relaxed);
        let shown = self
            .shared
            .edits
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*shown {
            Some(shown) => found
                .into_iter()
                .filter(|edit| !shown.contains(edit))
                .collect(),
            None => Vec::new(),
        }
    }

    /// Whether a deployment publishes edits of others, too.
    pub fn publishes_edits(&self) -> bool {
        self.shared.publishes_edits.load(Ordering::Relaxed)
    }

    /// From here on, looks also ask for what takes further requests and seldom differs.
    pub fn look_closely(&self) {
        self.shared.looks_closely.store(true, Ordering::Relaxed);
    }

    /// Whether looks also ask for what seldom differs.
    pub fn looks_closely(&self) -> bool {
        self.shared.looks_closely.load(Ordering::Relaxed)
    }

    /// From here on, a deployment counts as good though no real request has shown it.
    pub fn skip_verification(&self) {
        self.shared
            .skips_verification
            .store(true, Ordering::Relaxed);
    }

    /// Whether a deployment counts as good though no real request has shown it.
    pub fn skips_verification(&self) -> bool {
        self.shared.skips_verification.load(Ordering::Relaxed)
    }

    /// Under which names the configured secrets stand, by the name they have when there is one only.
    pub fn name_secrets(&self, names: BTreeMap<&'static str, String>) {
        // A run reads one configuration.
        let _ = self.shared.secrets.set(names);
    }

    /// These names; `None` where the run knows no configuration.
    pub fn secret_names(&self) -> Option<&BTreeMap<&'static str, String>> {
        self.shared.secrets.get()
    }

    /// The memory of this look at the account.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The tags that the resource `id` carries.
    pub fn tags(&self, id: &LogicalId) -> BTreeMap<String, String> {
        tags::of(&self.shared.names.stack, id, &self.shared.user_tags)
    }

    /// Tells the user something about `id`.
    pub fn notice(&self, id: &LogicalId, text: impl Into<String>) {
        self.shared.sink.emit(Event::Notice {
            id: Some(id.clone()),
            text: text.into(),
        });
    }

    /// Where events go.
    pub fn sink(&self) -> &Sink {
        &self.shared.sink
    }

    /// Makes a resource's output known to those that need it.
    pub fn publish(&self, id: &LogicalId, output: Output) {
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), output);
    }

    /// Forgets an output, because the resource is to be made anew.
    pub fn retract(&self, id: &LogicalId) {
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// The output of a needed resource, if it is known by now.
    pub fn peek(&self, id: &LogicalId) -> Option<Output> {
        if let Some((reader, needs)) = &self.scope {
            // An undeclared read works only by luck of the order, so it is a bug that every run shows.
            assert!(
                needs.contains(id),
                "{reader} reads {id}, which it does not declare to need"
            );
        }
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// The output of a needed resource.
    ///
    /// # Errors
    /// When it is not there, which the order of work rules out.
    pub fn output(&self, id: &LogicalId) -> Result<Output, ResourceError> {
        self.peek(id)
            .ok_or_else(|| ResourceError::Bug(format!("{id} is needed and does not exist")))
    }

    /// The physical id of a needed resource.
    ///
    /// # Errors
    /// As [`Self::output`].
    pub fn physical_id(&self, id: &LogicalId) -> Result<String, ResourceError> {
        Ok(self.output(id)?.physical_id)
    }
}

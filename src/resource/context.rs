//! What work on resources is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ResourceError;
use super::listing_cache::ListingCache;
use super::state::Output;
use crate::aws::{Aws, tags};
use crate::cancel::CancelToken;
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::names::Names;
use crate::rest_api::ApiTarget;

/// What a run is told before it begins.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Methods that were open before us are closed instead of reopened.
    pub keep_protected: bool,
    /// Observations also read what takes further requests and seldom differs: the other policies of the role.
    pub inspect_role_policies: bool,
    /// A deployment counts as verified though no real request was sent.
    pub skip_verification: bool,
    /// The parameter of each configured secret, by the secret's name; `None` where the run knows no configuration.
    pub secret_names: Option<BTreeMap<&'static str, String>>,
}

#[derive(Debug)]
struct Shared {
    names: Names,
    user_tags: BTreeMap<String, String>,
    api: Option<ApiTarget>,
    outputs: Mutex<BTreeMap<LogicalId, Output>>,
    sink: Sink,
}

/// What work on resources is given: the clients, the names, the outputs of what is done, one view of the account.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
    options: Arc<RunOptions>,
    aws: Arc<Aws>,
    view: Arc<ListingCache>,
    /// The reader, and whose outputs it may read. `None` may read all.
    scope: Option<(LogicalId, Arc<[LogicalId]>)>,
}

impl Context {
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
            outputs: Mutex::default(),
            sink,
        };
        Self {
            shared: Arc::new(shared),
            options: Arc::default(),
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

    /// The options of the run.
    pub fn options(&self) -> &RunOptions {
        &self.options
    }

    /// The same context with other options.
    #[must_use]
    pub fn with_options(&self, options: RunOptions) -> Self {
        Self {
            options: Arc::new(options),
            ..self.clone()
        }
    }

    /// The memory of this look at the account.
    pub fn listings(&self) -> &ListingCache {
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
    pub fn set_output(&self, id: &LogicalId, output: Output) {
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), output);
    }

    /// Forgets an output, because the resource is to be made anew.
    pub fn forget_output(&self, id: &LogicalId) {
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// The output of a needed resource, if it is known by now.
    pub fn known_output(&self, id: &LogicalId) -> Option<Output> {
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
        self.known_output(id)
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

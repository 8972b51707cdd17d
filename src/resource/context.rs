//! The context in which resources are read and changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ResourceError;
use super::exclusion::{ApiExclusion, StackLock};
use super::listing_cache::ListingCache;
use super::route_proof::RouteProof;
use super::state::Output;
use crate::api_gateway::ApiTarget;
use crate::aws::{Aws, tags};
use crate::cancel::CancelToken;
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::names::Names;
use crate::notice::NoticeCode;

/// The network that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// The stack's own VPC, which may not exist yet.
    Created,
    /// The operator's VPC and subnets.
    Given { vpc: String, subnets: Vec<String> },
    /// No VPC.
    Outside,
}

/// The options of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Close the methods that were open before this stack, and do not reopen them.
    pub keep_protected: bool,
    /// Also read the other policies of the role, which takes more requests and seldom shows a
    /// difference.
    pub inspect_role_policies: bool,
    /// Also read the version of the cache's engine from a node, which takes one more request.
    pub inspect_engine_version: bool,
    /// Replace the AUTH token of the cache.
    pub rotate_cache_token: bool,
    /// Build the authorizer, although there is a zip file of the release.
    pub builds: bool,
    /// Do not wait until AWS has deleted what takes long.
    pub no_wait: bool,
    /// Count a deployment as verified without real requests.
    pub skip_verification: bool,
    /// The undeployed changes of others that the removal of the stack may publish; `None` accepts any.
    pub accepted_edits: Option<Vec<String>>,
    /// The network that the configuration asks for; `None` if the run has no configuration.
    pub home: Option<Home>,
    /// The operator's own security groups of the functions; empty if they have that of the stack, or the run has no
    /// configuration.
    pub security_groups: Vec<String>,
    /// The number in the names of the desired cache; `None` if the run desires none, or has no configuration.
    pub cache_number: Option<u32>,
    /// Whether the desired cache is a serverless one.
    pub wants_serverless_cache: bool,
    /// Whether the configuration has alarms or a dashboard.
    pub wants_monitoring: bool,
    /// The parameter name of each configured secret, and of the address of the stack's cache, by its plain name; `None` if
    /// the run has no configuration.
    pub secret_names: Option<BTreeMap<&'static str, String>>,
    /// The ARN of the operator's own KMS key for secrets and environments.
    pub kms_key: Option<String>,
    /// Whether the stack has, or may still have, a KMS key of the operator.
    pub had_kms_key: bool,
    /// The names of the parameters with the settings that do not fit into the environment, if the run has a configuration.
    pub stored_names: BTreeSet<String>,
    /// Excludes the other stacks on an API; `None` for a run that changes no API.
    pub exclusion: Option<Arc<dyn ApiExclusion>>,
    /// The lock of the stack; `None` for a run that changes nothing.
    pub lock: Option<Arc<dyn StackLock>>,
    /// Proves the first of routes that are changed one at a time; `None` for a run that verifies nothing.
    pub route_proof: Option<Arc<dyn RouteProof>>,
}

impl RunOptions {
    /// The desired KMS key: `None` inside for the keys of AWS. `None` if the stack never had another one, or the run has no
    /// configuration: then the keys stay as they are.
    pub fn wanted_kms_key(&self) -> Option<Option<&str>> {
        let is_meant = self.secret_names.is_some() && (self.kms_key.is_some() || self.had_kms_key);
        is_meant.then_some(self.kms_key.as_deref())
    }
}

#[derive(Debug)]
struct Shared {
    user_tags: BTreeMap<String, String>,
    stages: Vec<ApiTarget>,
    /// The first stage that the stack had at the beginning of a run that knows no API.
    first_stage: tokio::sync::OnceCell<Option<ApiTarget>>,
    api_turn: Arc<tokio::sync::Mutex<()>>,
    outputs: Mutex<BTreeMap<LogicalId, Output>>,
    sink: Sink,
}

/// The context in which resources are read and changed: the clients, the names, the outputs of
/// finished resources, and one view of the account.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
    names: Arc<Names>,
    options: Arc<RunOptions>,
    aws: Arc<Aws>,
    view: Arc<ListingCache>,
    /// The reader, and the ids whose outputs it may read. `None` may read all.
    scope: Option<(LogicalId, Arc<[LogicalId]>)>,
}

impl Context {
    /// A context for one run. `stages`: those to attach to, all of one API; none if the run knows no API.
    pub fn new(
        aws: Aws,
        names: Names,
        user_tags: BTreeMap<String, String>,
        stages: Vec<ApiTarget>,
        sink: Sink,
    ) -> Self {
        let shared = Shared {
            user_tags,
            stages,
            first_stage: tokio::sync::OnceCell::new(),
            api_turn: Arc::default(),
            outputs: Mutex::default(),
            sink,
        };
        Self {
            shared: Arc::new(shared),
            names: Arc::new(names),
            options: Arc::default(),
            aws: Arc::new(aws),
            view: Arc::default(),
            scope: None,
        }
    }

    /// The same context with an empty listing cache.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            view: Arc::default(),
            ..self.clone()
        }
    }

    /// The same context, restricted to the outputs of the declared needs of `id`.
    #[must_use]
    pub fn scoped(&self, id: &LogicalId, needs: Vec<LogicalId>) -> Self {
        Self {
            scope: Some((id.clone(), needs.into())),
            ..self.clone()
        }
    }

    /// The same context, which may read all outputs.
    #[must_use]
    pub fn unscoped(&self) -> Self {
        Self {
            scope: None,
            ..self.clone()
        }
    }

    /// The same context, but it starts no call once the run must stop.
    #[must_use]
    pub fn until(&self, cancel: &CancelToken) -> Self {
        Self {
            aws: Arc::new(self.aws.until(cancel)),
            ..self.clone()
        }
    }

    /// The same context, with the parameters of the API's lock instead of the stack's own.
    #[must_use]
    pub fn of_api(&self, api_id: &str) -> Self {
        Self {
            names: Arc::new(self.names.of_api(api_id)),
            ..self.fresh()
        }
    }

    /// Excludes the other stacks on the API, as [`ApiExclusion::enter`].
    ///
    /// # Errors
    /// As [`ApiExclusion::enter`].
    pub async fn enter_api(&self, target: &ApiTarget) -> Result<bool, ResourceError> {
        match &self.options.exclusion {
            Some(exclusion) => exclusion.enter(target).await,
            None => Ok(false),
        }
    }

    /// Admits the other stacks on the API again, as [`ApiExclusion::leave`].
    ///
    /// # Errors
    /// As [`ApiExclusion::leave`].
    pub async fn leave_api(&self, target: &ApiTarget) -> Result<(), ResourceError> {
        match &self.options.exclusion {
            Some(exclusion) => exclusion.leave(target).await,
            None => Ok(()),
        }
    }

    /// Checks that the run still holds the lock of the stack, as [`StackLock::ensure_held`].
    ///
    /// # Errors
    /// As [`StackLock::ensure_held`].
    pub async fn ensure_locked(&self) -> Result<(), ResourceError> {
        match &self.options.lock {
            Some(lock) => lock.ensure_held().await,
            None => Ok(()),
        }
    }

    /// The AWS clients.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The names of this stack.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The API to attach to and its first stage, if the run knows one.
    pub fn api(&self) -> Option<&ApiTarget> {
        self.shared.stages.first()
    }

    /// The stages to attach to, all of one API.
    pub fn stages(&self) -> &[ApiTarget] {
        &self.shared.stages
    }

    /// The first stage of the run. If it knows no API, the one that `find` has found first: it stays the same while records are
    /// deleted.
    ///
    /// # Errors
    /// Those of `find`.
    pub async fn first_stage<F>(
        &self,
        find: impl FnOnce() -> F,
    ) -> Result<Option<&ApiTarget>, ResourceError>
    where
        F: Future<Output = Result<Option<ApiTarget>, ResourceError>>,
    {
        if let Some(api) = self.api() {
            return Ok(Some(api));
        }
        let first = self.shared.first_stage.get_or_try_init(find).await?;
        Ok(first.as_ref())
    }

    /// The stage to attach to that replaces `former`: another one of the same API. `None` if the run attaches to `former`, too.
    pub fn successor(&self, former: &ApiTarget) -> Option<&ApiTarget> {
        let stages = self.stages();
        let is_former = !stages.contains(former);
        let mut others = stages.iter().filter(|stage| stage.api() == former.api());
        others.next().filter(|_| is_former)
    }

    /// Waits until no other attachment of this run is changed: the stages of an API share its draft.
    pub async fn api_turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.shared.api_turn).lock_owned().await
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

    /// The listing cache of this observation.
    pub fn listings(&self) -> &ListingCache {
        &self.view
    }

    /// The tags of the resource `id`.
    pub fn tags(&self, id: &LogicalId) -> BTreeMap<String, String> {
        tags::of(&self.names.stack, id, &self.shared.user_tags)
    }

    /// Reports something about `id` to the user.
    pub fn notice(&self, id: &LogicalId, text: impl Into<String>) {
        self.shared.sink.emit(Event::Notice {
            id: Some(id.clone()),
            code: None,
            text: text.into(),
        });
    }

    /// The same for something that a script may act on.
    pub fn finding(&self, id: &LogicalId, code: NoticeCode, text: impl Into<String>) {
        self.shared.sink.emit(Event::Notice {
            id: Some(id.clone()),
            code: Some(code),
            text: text.into(),
        });
    }

    /// The sink for events.
    pub fn sink(&self) -> &Sink {
        &self.shared.sink
    }

    /// Publishes a resource's output to the resources that need it.
    pub fn set_output(&self, id: &LogicalId, output: Output) {
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), output);
    }

    /// Removes an output, because the resource will be recreated.
    pub fn forget_output(&self, id: &LogicalId) {
        self.shared
            .outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// The output of a needed resource, if it is known.
    pub fn known_output(&self, id: &LogicalId) -> Option<Output> {
        if let Some((reader, needs)) = &self.scope {
            // An undeclared read would depend on the order of steps, so it fails in every run.
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
    /// When it is missing, which the order of steps prevents.
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

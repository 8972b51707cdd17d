//! What a resource is: found, compared, created, updated and deleted the same way for every kind.
//!
//! One kind stands in one file, in this order: the actual state, the listing, the deletion, the desired state with its
//! needs, diff, create and update. The only finder of a kind is its listing; `up` picks from it, `down` uses it whole.

pub mod api;
pub mod api_attachment;
pub mod api_authorizer;
pub mod cache;
pub mod cache_subnet_group;
pub mod elastic_ip;
pub mod function;
pub mod function_alias;
pub mod function_permission;
mod function_publishing;
pub mod function_versions;
pub mod iam_role;
pub mod internet_gateway;
pub mod kind;
pub mod log_group;
pub mod nat_gateway;
pub mod network_interface;
pub mod node;
pub mod parameter;
pub mod route_table;
pub mod schedule;
pub mod security_group;
pub mod self_test;
pub mod subnet;
pub mod view;
pub mod vpc;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Serialize, Serializer};

pub use self::kind::Kind;
pub use self::node::{AnyKind, Found, Look, Node, any_kinds};
use self::view::View;
use crate::aws::{Aws, AwsError, tags};
use crate::engine::control::Control;
use crate::event::{Event, Sink};
use crate::names::Names;

/// The name of one resource of a stack: `kind/name`, for example `nat-gateway/a`. Also the value of a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicalId {
    pub kind: Kind,
    pub name: String,
}

impl LogicalId {
    /// The id of the resource called `name` among those of `kind`.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for LogicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

impl FromStr for LogicalId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is not kind/name"))?;
        let kind =
            Kind::parse(kind).ok_or_else(|| format!("{kind:?} is not a kind of resource"))?;
        Ok(Self::new(kind, name))
    }
}

impl Serialize for LogicalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

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

/// Something in the account that bears a name we need and is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub id: LogicalId,
    pub physical_id: String,
    pub why: String,
}

/// All of one kind that concerns the stack.
#[derive(Debug, Clone)]
pub struct Listing<A> {
    pub owned: Vec<A>,
    pub foreign: Vec<Foreign>,
}

impl<A> Default for Listing<A> {
    fn default() -> Self {
        Self {
            owned: Vec::new(),
            foreign: Vec::new(),
        }
    }
}

/// One difference between what is and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub field: String,
    pub from: String,
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}

/// All differences of one resource. Empty means that it is as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    pub changes: Vec<Change>,
    /// One of the changes cannot be made in place.
    pub replace: bool,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether a change of `field` is among them.
    pub fn has(&self, field: &str) -> bool {
        self.changes.iter().any(|change| change.field == field)
    }

    /// Notes a change that can be made in place, if the two differ.
    pub fn field(&mut self, field: impl Into<String>, from: impl ToString, to: impl ToString) {
        let (from, to) = (from.to_string(), to.to_string());
        if from != to {
            self.changes.push(Change {
                field: field.into(),
                from,
                to,
            });
        }
    }

    /// Notes a change that needs a replacement, if the two differ.
    pub fn immutable(&mut self, field: impl Into<String>, from: impl ToString, to: impl ToString) {
        let before = self.changes.len();
        self.field(field, from, to);
        self.replace |= self.changes.len() > before;
    }

    /// Notes a reference to another resource that cannot be changed in place. `to` is unknown while that one is to be made.
    pub fn reference(&mut self, field: &str, from: &str, to: Option<Output>) {
        self.immutable(
            field,
            from,
            to.map_or_else(|| "(new)".to_owned(), |output| output.physical_id),
        );
    }

    /// Notes the tags that are missing.
    pub fn tags(&mut self, desired: &BTreeMap<String, String>, actual: &BTreeMap<String, String>) {
        for (key, value) in tags::missing(desired, actual) {
            let from = actual.get(&key).map_or("(none)", String::as_str);
            self.field(format!("tag {key}"), from, value);
        }
    }
}

/// What a kind can do with what the account holds, without knowing what is desired.
pub trait ResourceKind: Send + Sync + 'static {
    /// The state as the account has it.
    type Actual: Clone + Send + Sync + 'static;
    /// The kind.
    const KIND: Kind;

    /// Everything of this kind that is the stack's, and what stands in its way. One listing, whatever the number.
    fn list(cx: &Cx) -> impl Future<Output = Result<Listing<Self::Actual>, AwsError>> + Send;

    /// Which resource `actual` is, and its phase.
    fn identify(actual: &Self::Actual) -> Identity;

    /// How `actual` stands by now; `None` where it is gone. Asked again and again while it is pending, so a kind whose listing
    /// takes many calls asks for less.
    fn phase(
        cx: &Cx,
        actual: &Self::Actual,
    ) -> impl Future<Output = Result<Option<Phase>, AwsError>> + Send {
        async move {
            let wanted = Self::identify(actual);
            let listing = Self::list(cx).await?;
            let mut all = listing.owned.iter().map(Self::identify);
            let is_it = |found: &Identity| {
                found.id == wanted.id && found.output.physical_id == wanted.output.physical_id
            };
            Ok(all.find(is_it).map(|found| found.phase))
        }
    }

    /// Makes the next step towards its absence; called again until the listing does not show it any more.
    fn delete(cx: &Cx, actual: &Self::Actual) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Tells somebody else's from the stack's where the listing cannot. Asked before it is changed or deleted.
    fn foreign(
        _cx: &Cx,
        _actual: &Self::Actual,
    ) -> impl Future<Output = Result<Option<Foreign>, AwsError>> + Send {
        async { Ok(None) }
    }
}

/// A desired resource: what it should be and how to get there.
pub trait Resource: Send + Sync + 'static {
    /// Its kind.
    type Kind: ResourceKind;

    /// The name within the kind.
    fn name(&self) -> &str;

    /// What must be there before this one is worked on. [`Cx::output`] answers for these only.
    fn needs(&self) -> Vec<LogicalId>;

    /// What differs. Pure: reads only its arguments and the outputs of what it needs.
    fn diff(&self, cx: &Cx, actual: &<Self::Kind as ResourceKind>::Actual) -> Diff;

    /// Waits for what a change needs beside the account, before the account is touched: a build, a proof. It changes
    /// nothing, so it may be broken off. `diff` is what an update is to change, `None` before a create.
    fn prepare(
        &self,
        _cx: &Cx,
        _diff: Option<&Diff>,
    ) -> impl Future<Output = Result<(), AwsError>> + Send {
        async { Ok(()) }
    }

    /// Makes it with its tags, in one call, and returns without waiting. What more it needs, `diff` then shows.
    fn create(&self, cx: &Cx) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Changes what `diff` names.
    fn update(
        &self,
        cx: &Cx,
        actual: &<Self::Kind as ResourceKind>::Actual,
        diff: &Diff,
    ) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Lets go of what is about to be replaced without being replaced itself. Returns whether there was anything to do.
    fn release(
        &self,
        _cx: &Cx,
        _actual: &<Self::Kind as ResourceKind>::Actual,
    ) -> impl Future<Output = Result<bool, AwsError>> + Send {
        async { Ok(false) }
    }
}

/// The API a stack is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiTarget {
    pub id: String,
    pub stage: String,
}

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
    pub fn until(&self, control: &Control) -> Self {
        Self {
            aws: Arc::new(self.aws.until(control)),
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
    pub fn output(&self, id: &LogicalId) -> Result<Output, AwsError> {
        self.peek(id)
            .ok_or_else(|| AwsError::unexpected("plan", format!("{id} is needed and not there")))
    }

    /// The physical id of a needed resource.
    ///
    /// # Errors
    /// As [`Self::output`].
    pub fn physical_id(&self, id: &LogicalId) -> Result<String, AwsError> {
        Ok(self.output(id)?.physical_id)
    }
}

/// A resource that the user brought, or one that we make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Managed(LogicalId),
    Given(String),
}

impl Reference {
    /// The id to wait for, if it is one of ours.
    pub fn need(&self) -> Option<LogicalId> {
        match self {
            Self::Managed(id) => Some(id.clone()),
            Self::Given(_) => None,
        }
    }

    /// The physical id, if it is known by now.
    pub fn peek(&self, cx: &Cx) -> Option<String> {
        match self {
            Self::Managed(id) => cx.peek(id).map(|output| output.physical_id),
            Self::Given(physical_id) => Some(physical_id.clone()),
        }
    }

    /// The physical id.
    ///
    /// # Errors
    /// As [`Cx::output`].
    pub fn resolve(&self, cx: &Cx) -> Result<String, AwsError> {
        match self {
            Self::Managed(id) => cx.physical_id(id),
            Self::Given(physical_id) => Ok(physical_id.clone()),
        }
    }
}

/// The physical ids of `references` as one sorted text, `(new)` for those to be made: what diffs of sets compare.
pub fn joined(references: &[Reference], cx: &Cx) -> String {
    sorted(
        references
            .iter()
            .map(|reference| reference.peek(cx).unwrap_or_else(|| "(new)".to_owned())),
    )
}

/// Items as one sorted, comma-separated text.
pub fn sorted(items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items.join(",")
}

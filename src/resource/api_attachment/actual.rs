//! An attachment as the account has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::{self, Record, ResponseBackup};
use super::{marker, missing_record, other_stacks, restored};
use crate::aws::optional;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{Context, ResourceError, api_authorizer};
use crate::rest_api::export::ExportedAuthorizer;
use crate::rest_api::{self, ApiTarget, AuthorizationType, Authorizer, Method, Response, Stage};

/// An attachment as the account has it: the record, the API's draft, and what the stage serves.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) target: ApiTarget,
    pub(super) record: Record,
    /// Methods as they were before us that this record does not know yet: those of another stage of this API, which a
    /// stack that moves to this one takes over, and those whose record was lost.
    pub(super) unrecorded: Vec<Method>,
    /// Methods that ask our authorizer, as they are, when nobody knows what they were.
    pub(super) unknown: Vec<Method>,
    pub(super) methods: Vec<Method>,
    pub(super) stage: Option<Stage>,
    /// How our authorizer asks in a deployment that somebody else published; of ours its description tells that.
    pub(super) asking: Option<ExportedAuthorizer>,
    pub(super) authorizer_id: Option<String>,
    /// What our deployments' descriptions begin with.
    pub(super) marker: String,
    /// The authorizers that the API has.
    pub(super) authorizers: Arc<Vec<Authorizer>>,
    /// Those of other stacks that guard other stages: their methods may be borrowed.
    pub(super) elsewhere: BTreeSet<String>,
    /// The methods that those took.
    pub(super) held_elsewhere: Vec<other_stacks::Held>,
    /// The gateway responses that are not API Gateway's own, by type.
    pub(super) responses: BTreeMap<String, Response>,
    /// Gateway responses that other stacks took, with what they were before any of us.
    pub(super) shared_responses: BTreeMap<String, ResponseBackup>,
    /// Gateway responses that this stack took for another stage of this API, and that this record does not know yet.
    pub(super) unrecorded_responses: BTreeMap<String, ResponseBackup>,
}

impl Actual {
    /// Looks at everything that concerns the attachment to `target`.
    pub(super) async fn load(
        cx: &Context,
        target: &ApiTarget,
        record: Record,
    ) -> Result<Self, ResourceError> {
        let authorizers = rest_api::authorizers(cx, &target.id).await?;
        let authorizer = authorizers
            .iter()
            .find(|authorizer| authorizer.name == cx.names().api_authorizer());
        let stage = (*rest_api::stage(cx, target).await?).clone();
        let mut of_other_stages = Vec::new();
        let mut unrecorded_responses = BTreeMap::new();
        for (other, theirs) in record::all(cx).await? {
            if other.id == target.id && other != *target {
                of_other_stages.extend(theirs.chunks.into_values().flatten());
                unrecorded_responses.extend(theirs.responses);
            }
        }
        of_other_stages.retain(|method| record.method(&method.path, &method.method).is_none());
        unrecorded_responses.retain(|kind, _| !record.responses.contains_key(kind));
        let others_serve_us = stage.as_ref().is_some_and(|stage| {
            !marker::is_ours(cx, &stage.description)
                && !record.chunks.is_empty()
                && record.head.as_ref().is_none_or(|head| {
                    head.previous_deployment.as_ref() != Some(&stage.deployment_id)
                })
        });
        let asking = if others_serve_us {
            let export = rest_api::export::export(cx, target).await?;
            (*export).as_ref().and_then(|export| {
                let mut ours = export
                    .authorizers
                    .iter()
                    .filter(|(uri, _)| api_authorizer::is_ours(cx, uri));
                ours.next().map(|(uri, asking)| ExportedAuthorizer {
                    alias: Some(*uri == api_authorizer::uri(cx)),
                    ..asking.clone()
                })
            })
        } else {
            None
        };
        // Without the API there is nothing to read, and nothing to give back.
        let methods = optional(rest_api::methods(cx, &target.id).await)?;
        let mut actual = Self {
            id: api_authorizer::identify(Kind::ApiAttachment, cx, target),
            target: target.clone(),
            record,
            unrecorded: of_other_stages,
            unknown: Vec::new(),
            methods: methods.map(|methods| methods.to_vec()).unwrap_or_default(),
            stage,
            asking,
            authorizer_id: authorizer.map(|authorizer| authorizer.id.clone()),
            marker: marker::marker(cx),
            authorizers: Arc::clone(&authorizers),
            elsewhere: other_stacks::elsewhere(cx, target).await?,
            held_elsewhere: other_stacks::held_elsewhere(cx, target).await?,
            shared_responses: other_stacks::others(cx, &target.id)
                .await?
                .iter()
                .flat_map(|other| other.responses.clone())
                .collect(),
            responses: (*rest_api::responses(cx, &target.id).await?).clone(),
            unrecorded_responses,
        };
        let lost = actual
            .taken()
            .filter(|now| actual.before(now).is_none())
            .cloned()
            .collect();
        if cx.api() != Some(target) {
            actual.unrecorded.clear();
            actual.unrecorded_responses.clear();
        }
        let (found, unknown) =
            missing_record::look(cx, target, actual.record.head.as_ref(), lost).await?;
        actual.unrecorded.extend(found);
        actual.unknown = unknown;
        Ok(actual)
    }

    /// The methods of the draft that ask our authorizer.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(|now| self.is_taken(now))
    }

    /// Whether a method of the draft asks our authorizer.
    pub(super) fn is_taken(&self, method: &Method) -> bool {
        self.authorizer_id
            .as_deref()
            .is_some_and(|id| method.asks(id))
    }

    /// A method as it was before us.
    pub(super) fn before(&self, now: &Method) -> Option<&Method> {
        let unrecorded = || {
            self.unrecorded
                .iter()
                .find(|before| before.path == now.path && before.method == now.method)
        };
        self.record
            .method(&now.path, &now.method)
            .or_else(unrecorded)
    }

    /// A method as it is to be without us.
    pub(super) fn restored(&self, before: &Method) -> Method {
        restored::restored_or_closed(before, &self.authorizers)
    }

    /// Whether a method that is about to be taken is to be recorded as it is: nothing is known of it, or its owners changed
    /// it since. One that is borrowed is returned to the stack that has it, and keeps its record.
    pub(super) fn is_to_be_recorded(&self, now: &Method) -> bool {
        self.before(now).is_none_or(|before| {
            !other_stacks::is_lent(now, &self.elsewhere)
                && !self.record.is_closed(now)
                && restored::is_changed(now, before, &self.authorizers)
        })
    }

    /// What is known of the gateway responses before us.
    pub(super) fn taken_responses(&self) -> BTreeMap<String, ResponseBackup> {
        let mut taken = self.record.responses.clone();
        taken.extend(self.unrecorded_responses.clone());
        taken
    }

    /// Every method that is known as it was before us.
    pub(super) fn all_before(&self) -> impl Iterator<Item = &Method> {
        self.record.methods().chain(&self.unrecorded)
    }

    /// The methods that ask our authorizer, as they were and as they are.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Method, &Method)> {
        self.taken()
            .filter_map(|now| Some((self.before(now)?, now)))
    }

    /// The methods that a `down --keep-protected` has closed before it was ended, as they were and as they are.
    pub(super) fn closed(&self) -> impl Iterator<Item = (&Method, &Method)> {
        let closed = self.methods.iter().filter(|now| self.record.is_closed(now));
        closed.filter_map(|now| Some((self.before(now)?, now)))
    }

    /// Whether the stage serves the deployment that it had before us.
    pub(super) fn is_before_us(&self) -> bool {
        let head = self.record.head.as_ref();
        head.zip(self.stage.as_ref()).is_some_and(|(head, stage)| {
            head.previous_deployment.as_ref() == Some(&stage.deployment_id)
        })
    }

    /// Whether the stage may serve one of the methods with our authorizer. The service tells the type of an authorizer
    /// and not which one it is, so a method that had another one before us counts too.
    pub(super) fn serves_ours(&self, cx: &Context) -> bool {
        let Some(stage) = self.stage.as_ref().filter(|_| !self.is_before_us()) else {
            return false;
        };
        match &stage.served {
            Some(served) => self.all_before().any(|before| {
                served
                    .get(&before.key())
                    .is_some_and(|now| *now == AuthorizationType::Custom)
            }),
            None => marker::is_ours(cx, &stage.description),
        }
    }
}

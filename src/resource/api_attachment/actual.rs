//! The actual state of an attachment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::{self, Record, ResponseBackup};
use super::{marker, missing_record, other_stacks, restored, served};
use crate::api_gateway::export::ExportedAuthorizer;
use crate::api_gateway::{
    self, ApiTarget, AuthorizationType, Authorizer, Method, MethodKey, Protocol, Response, Stage,
};
use crate::aws::optional;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{Context, ResourceError, api_authorizer};

/// The actual state of an attachment: the record, the API's draft, and what the stage serves.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) target: ApiTarget,
    pub(super) record: Record,
    /// The original state of methods that this record does not contain yet: methods of another stage of
    /// this API, which a stack that moves to this stage takes over, and methods whose record was lost.
    pub(super) unrecorded: Vec<Method>,
    /// The current state of methods that use this stack's authorizer and whose original state is
    /// unknown.
    pub(super) unknown: Vec<Method>,
    pub(super) methods: Vec<Method>,
    /// Whether the API exists.
    pub(super) exists: bool,
    /// Whether the run attaches the stack to other stages, too.
    pub(super) is_one_of_several: bool,
    pub(super) stage: Option<Stage>,
    /// The authorizer settings in a deployment that another user published; the description of this
    /// stack's deployments contains them.
    pub(super) asking: Option<ExportedAuthorizer>,
    /// The methods that such a deployment serves with an authorizer of another owner.
    pub(super) served_by_others: BTreeSet<MethodKey>,
    pub(super) authorizer_id: Option<String>,
    /// The prefix of the descriptions of this stack's deployments.
    pub(super) marker: String,
    /// Where this stack's authorizer is invoked: at the alias of the function, and at the function in former releases.
    pub(super) uris: [String; 2],
    /// The authorizers of the API.
    pub(super) authorizers: Arc<Vec<Authorizer>>,
    /// The authorizers of other stacks that protect other stages: their methods may be borrowed.
    pub(super) elsewhere: BTreeSet<String>,
    /// The methods that those stacks protect.
    pub(super) held_elsewhere: Vec<other_stacks::Held>,
    /// The gateway responses that differ from API Gateway's defaults, by type.
    pub(super) responses: BTreeMap<String, Response>,
    /// Gateway responses that other stacks replaced, with their state before any stack changed them.
    pub(super) shared_responses: BTreeMap<String, ResponseBackup>,
    /// Gateway responses that this stack replaced for another stage of this API, and that this record
    /// does not contain yet.
    pub(super) unrecorded_responses: BTreeMap<String, ResponseBackup>,
}

impl Actual {
    /// The API and the stage.
    pub(in crate::resource) fn target(&self) -> &ApiTarget {
        &self.target
    }

    /// The methods with this stack's authorizer, and the authorization that each had before, if it is recorded.
    pub(in crate::resource) fn protected(&self) -> BTreeMap<String, Option<String>> {
        let is_ours = |method: &&Method| {
            self.authorizer_id.is_some() && method.authorizer_id == self.authorizer_id
        };
        let before = |method: &Method| {
            let recorded = self.record.method(&method.path, &method.method);
            recorded.map(|recorded| recorded.authorization.as_str().to_owned())
        };
        let methods = self.methods.iter().filter(is_ours);
        let methods = methods.map(|method| (method.label(), before(method)));
        methods.collect()
    }

    /// The types of the gateway responses that this stack has replaced.
    pub(in crate::resource) fn replaced_responses(&self) -> Vec<String> {
        self.record.responses.keys().cloned().collect()
    }

    /// Reads the record of the attachment to `target`, and everything that concerns it.
    pub(super) async fn read(cx: &Context, target: &ApiTarget) -> Result<Self, ResourceError> {
        let record = record::all(cx).await?.remove(target).unwrap_or_default();
        Self::load(cx, target, record).await
    }

    /// Reads everything that concerns the attachment to `target`.
    pub(super) async fn load(
        cx: &Context,
        target: &ApiTarget,
        record: Record,
    ) -> Result<Self, ResourceError> {
        let authorizers = api_gateway::authorizers(cx, target.api()).await?;
        let authorizer = authorizers
            .iter()
            .find(|authorizer| authorizer.name == cx.names().api_authorizer());
        let stage = (*api_gateway::stage(cx, target).await?).clone();
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
        let export = match others_serve_us {
            true => (*api_gateway::export(cx, target).await?).clone(),
            false => None,
        };
        let is_ours = |uri: &str| api_authorizer::is_ours(cx, uri);
        let uri_of_alias = api_authorizer::uri(cx);
        let exported = export.as_ref().and_then(|export| {
            let (uri, asking) = export.authorizers.iter().find(|(uri, _)| is_ours(uri))?;
            Some(ExportedAuthorizer {
                alias: Some(*uri == uri_of_alias),
                ..asking.clone()
            })
        });
        // A WebSocket API has no export, and automatic deployment publishes the draft.
        let is_published = stage.as_ref().is_some_and(|stage| {
            target.protocol == Protocol::WebSocket && stage.deploys_automatically
        });
        let drafted = authorizer.filter(|_| others_serve_us && is_published);
        let asking = exported.or_else(|| {
            drafted.map(|found| ExportedAuthorizer {
                identity_source: Some(found.identity_source.clone()),
                ttl: Some(found.ttl),
                alias: Some(found.uri == uri_of_alias),
                payload_format: None,
            })
        });
        let served = export.iter().flat_map(|export| &export.methods);
        let served_by_others = served
            .filter(|(_, method)| {
                method
                    .authorizer_uri
                    .as_deref()
                    .is_some_and(|uri| !is_ours(uri))
            })
            .map(|(key, _)| key.clone())
            .collect();
        // Without the API there is nothing to read or restore.
        let methods = optional(api_gateway::methods(cx, target.api()).await)?;
        let mut actual = Self {
            id: api_authorizer::identify(Kind::ApiAttachment, cx, target).await?,
            target: target.clone(),
            record,
            unrecorded: of_other_stages,
            unknown: Vec::new(),
            exists: methods.is_some(),
            is_one_of_several: cx.stages().len() > 1,
            methods: methods.map(|methods| methods.to_vec()).unwrap_or_default(),
            stage,
            asking,
            served_by_others,
            authorizer_id: authorizer.map(|authorizer| authorizer.id.clone()),
            marker: marker::marker(cx),
            uris: [uri_of_alias, api_authorizer::former_uri(cx)],
            authorizers: Arc::clone(&authorizers),
            elsewhere: other_stacks::elsewhere(cx, target).await?,
            held_elsewhere: other_stacks::held_elsewhere(cx, target).await?,
            shared_responses: other_stacks::others(cx, target.api())
                .await?
                .iter()
                .flat_map(|other| other.responses.clone())
                .collect(),
            responses: (*api_gateway::responses(cx, target.api()).await?).clone(),
            unrecorded_responses,
        };
        let (mut renamed, mut lost) = (Vec::new(), Vec::new());
        for now in actual.taken().filter(|now| actual.before(now).is_none()) {
            match actual.before_rename(now) {
                Some(before) => renamed.push(before),
                None => lost.push(now.clone()),
            }
        }
        if cx.successor(target).is_some() {
            // The attachment to that stage keeps them.
            actual.unrecorded.clear();
            actual.unrecorded_responses.clear();
        }
        let (found, unknown) =
            missing_record::look(cx, target, actual.record.head.as_ref(), lost).await?;
        actual.unrecorded.extend(found.into_iter().chain(renamed));
        actual.unknown = unknown;
        Ok(actual)
    }

    /// The same with the stage as it is now: others may have deployed it since it was read.
    pub(super) async fn with_current_stage(&self, cx: &Context) -> Result<Self, ResourceError> {
        let cx = cx.fresh();
        let stage = (*api_gateway::stage(&cx, &self.target).await?).clone();
        let deployment = |stage: &Option<Stage>| {
            let stage = stage.as_ref();
            stage.map(|stage| stage.deployment_id.clone())
        };
        let mut now = self.clone();
        if deployment(&stage) != deployment(&self.stage) {
            // What others deployed may contain methods that were recorded since.
            let record = record::all(&cx).await?.remove(&self.target);
            now.record = record.unwrap_or_default();
        }
        now.stage = stage;
        Ok(now)
    }

    /// The methods of the draft that use this stack's authorizer.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(|now| self.is_taken(now))
    }

    /// Whether a method of the draft uses this stack's authorizer.
    pub(super) fn is_taken(&self, method: &Method) -> bool {
        self.authorizer_id
            .as_deref()
            .is_some_and(|id| method.asks(id))
    }

    /// The state of a method before this stack protected it.
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

    /// The state before this stack protected it of a method whose path or key its owner has changed since, by its id.
    fn before_rename(&self, now: &Method) -> Option<Method> {
        let is_rest = self.target.protocol == Protocol::Rest;
        let is_same = |before: &&Method| {
            let has_id = before.resource_id == now.resource_id && !before.is_absent;
            // A resource has several methods, and a route is one.
            has_id && (!is_rest || before.method == now.method)
        };
        let before = self.record.methods().find(is_same)?;
        Some(Method {
            path: now.path.clone(),
            method: now.method.clone(),
            ..before.clone()
        })
    }

    /// Whether an interrupted `down --keep-protected` has closed this method, which was open before this stack.
    pub(super) fn is_closed(&self, now: &Method) -> bool {
        self.record.is_closing() && record::was_closed(self.before(now), now)
    }

    /// The desired state of a method after this stack is removed.
    pub(super) fn restored(&self, before: &Method) -> Method {
        restored::restored_or_closed(before, &self.authorizers)
    }

    /// Whether the current state of a method must be recorded before the method is protected: there is
    /// no record of it, or its owner changed it since. A borrowed method is returned to the stack that
    /// protects it, and keeps its record.
    pub(super) fn is_to_be_recorded(&self, now: &Method) -> bool {
        self.before(now).is_none_or(|before| {
            !other_stacks::is_lent(now, &self.elsewhere)
                && !self.is_closed(now)
                && restored::is_changed(now, before, &self.authorizers)
        })
    }

    /// The recorded states of the gateway responses before this stack changed them.
    pub(super) fn taken_responses(&self) -> BTreeMap<String, ResponseBackup> {
        let mut taken = self.record.responses.clone();
        taken.extend(self.unrecorded_responses.clone());
        taken
    }

    /// Every method whose original state is known.
    pub(super) fn all_before(&self) -> impl Iterator<Item = &Method> {
        self.record.methods().chain(&self.unrecorded)
    }

    /// The original and current states of the methods that use this stack's authorizer.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Method, &Method)> {
        self.taken()
            .filter_map(|now| Some((self.before(now)?, now)))
    }

    /// The original and current states of the methods that an interrupted `down --keep-protected` has
    /// closed.
    pub(super) fn closed(&self) -> impl Iterator<Item = (&Method, &Method)> {
        let closed = self.methods.iter().filter(|now| self.is_closed(now));
        closed.filter_map(|now| Some((self.before(now)?, now)))
    }

    /// Whether the stage serves the deployment that it had before this stack.
    pub(super) fn is_before_us(&self) -> bool {
        let head = self.record.head.as_ref();
        head.zip(self.stage.as_ref()).is_some_and(|(head, stage)| {
            head.previous_deployment.as_ref() == Some(&stage.deployment_id)
        })
    }

    /// Whether the stage may serve a method with this stack's authorizer. Of a REST API, the service reports the type
    /// of an authorizer and not its id, so a method that had another Lambda authorizer before counts
    /// too.
    pub(super) fn serves_ours(&self) -> bool {
        let Some(stage) = self.stage.as_ref().filter(|_| !self.is_before_us()) else {
            return false;
        };
        if let Some(uris) = &stage.authorizer_uris {
            return self.uris.iter().any(|uri| uris.contains(uri));
        }
        match &stage.served {
            Some(served) => self.all_before().any(|before| {
                served
                    .get(&before.key())
                    .is_some_and(|now| *now == AuthorizationType::Custom)
            }),
            None if self.target.protocol != Protocol::Rest => {
                let is_drafted = self.taken().next().is_some();
                served::asks_unlisted(stage, &self.record, &self.marker, is_drafted)
            }
            None => marker::protects(&stage.description, &self.marker).is_some(),
        }
    }
}

#[cfg(test)]
impl Actual {
    /// An API without methods and without a record, for tests.
    pub(super) fn example() -> Self {
        Self {
            id: LogicalId::new(Kind::ApiAttachment, "main"),
            target: ApiTarget::of_segment("a1", "prod"),
            record: Record::default(),
            unrecorded: Vec::new(),
            unknown: Vec::new(),
            methods: Vec::new(),
            exists: true,
            is_one_of_several: false,
            stage: None,
            asking: None,
            served_by_others: BTreeSet::new(),
            authorizer_id: None,
            marker: "threescale-gw-orders".to_owned(),
            uris: ["alias", "function"].map(str::to_owned),
            authorizers: Arc::default(),
            elsewhere: BTreeSet::new(),
            held_elsewhere: Vec::new(),
            responses: BTreeMap::new(),
            shared_responses: BTreeMap::new(),
            unrecorded_responses: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(verb: &str, path: &str, id: &str) -> Method {
        Method {
            resource_id: id.to_owned(),
            ..Method::new(verb, path)
        }
    }

    #[test]
    fn what_its_owner_renamed_is_found_by_its_id() {
        let recorded = Method {
            authorization: AuthorizationType::AwsIam,
            ..method("POST", "/orders", "r1")
        };
        let of = |protocol, now: Method| {
            let chunks = [("methods-000".to_owned(), vec![recorded.clone()])];
            let actual = Actual {
                target: ApiTarget {
                    protocol,
                    ..Actual::example().target
                },
                record: Record {
                    chunks: chunks.into(),
                    ..Record::default()
                },
                ..Actual::example()
            };
            actual.before_rename(&now)
        };
        let before = of(Protocol::Http, method("PUT", "/items", "r1")).expect("a record");
        assert_eq!(before.label(), "PUT /items");
        assert_eq!(before.authorization, AuthorizationType::AwsIam);
        assert_eq!(of(Protocol::Http, method("POST", "/items", "r2")), None);
        // The resource of a REST API was moved; another method of it is not the same.
        let before = of(Protocol::Rest, method("POST", "/items", "r1"));
        assert_eq!(
            before.map(|before| before.label()).as_deref(),
            Some("POST /items")
        );
        assert_eq!(of(Protocol::Rest, method("PUT", "/items", "r1")), None);
    }
}

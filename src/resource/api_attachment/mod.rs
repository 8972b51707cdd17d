//! The attachment of the authorizer to the API's methods, and the deployment that makes it count.
//!
//! The API is not ours: what each method was is recorded first ([`record`]), and given back exactly. Callers see nothing
//! of a change until the stage is deployed, which happens once, when every method is ready.

mod deployments;
mod desired;
mod hand_back;
pub mod lost;
pub mod pending;
pub mod record;
pub mod responses;
mod restored;
pub mod rollback;
pub mod select;
pub mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_apigateway::types::{Op, PatchOperation};

use self::deployments::{is_ours, mark, protects};
pub use self::desired::ApiAttachment;
use self::record::Record;
use self::responses::Taken;
use super::api::export::Asking;
use super::api::{self, Authorizer, Method, Response, Stage};
use super::api_authorizer::{self, Asks};
use super::{
    ApiTarget, Cx, Identity, Kind, Listing, LogicalId, Output, Phase, ResourceKind, function_alias,
};
use crate::aws::{AwsError, optional};

/// An attachment as the account has it: the record, the API's draft, and what the stage serves.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    target: ApiTarget,
    record: Record,
    /// Methods as they were before us that this record does not know yet: those of another stage of this API, which a
    /// stack that moves to this one takes over, and those whose record was lost.
    unrecorded: Vec<Method>,
    /// Methods that ask our authorizer, as they are, when nobody knows what they were.
    unknown: Vec<Method>,
    methods: Vec<Method>,
    stage: Option<Stage>,
    /// How our authorizer asks in a deployment that somebody else published; of ours its description tells that.
    asking: Option<Asking>,
    authorizer_id: Option<String>,
    /// What our deployments' descriptions begin with.
    mark: String,
    /// The authorizers that the API has.
    authorizers: Arc<Vec<Authorizer>>,
    /// Those of other stacks that guard other stages: their methods may be borrowed.
    elsewhere: BTreeSet<String>,
    /// The methods that those took.
    held_elsewhere: Vec<shared::Held>,
    /// The gateway responses that are not API Gateway's own, by type.
    responses: BTreeMap<String, Response>,
    /// Gateway responses that other stacks took, with what they were before any of us.
    shared_responses: BTreeMap<String, Taken>,
    /// Gateway responses that this stack took for another stage of this API, and that this record does not know yet.
    unrecorded_responses: BTreeMap<String, Taken>,
}

/// The kind.
#[derive(Debug)]
pub struct ApiAttachments;

/// How the API asks the authorizer of a stack as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub asks: Asks,
    /// The labels of the methods that the stage serves protected.
    pub methods: BTreeSet<String>,
}

/// How a stage asks for our authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The digest of how our deployment asks; of a deployment that others published it is not known.
    asks: Option<String>,
    /// Real requests were answered with it as they should be, or nobody wants to know.
    is_verified: bool,
}

impl Served {
    /// Whether callers are asked for their credential as `asks` says, and for no other any more.
    pub fn is_settled(&self, asks: &Asks) -> bool {
        self.is_verified && self.asks.as_deref() == Some(&responses::digest(asks))
    }
}

/// How the stage of `target` asks for our authorizer; `None` where it does not.
///
/// # Errors
/// What the services answer.
pub async fn served(cx: &Cx, target: &ApiTarget) -> Result<Option<Served>, AwsError> {
    let Some(stage) = (*api::stage(cx, target).await?).clone() else {
        return Ok(None);
    };
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let mark = mark(cx);
    let Some(holds) = protects(&stage.description, &mark) else {
        let asks_us = rollback::asks_us(&stage, &record);
        return Ok(asks_us.then_some(Served {
            asks: None,
            is_verified: false,
        }));
    };
    let head = record.head.as_ref();
    let verified = head.and_then(|head| head.verified.as_ref());
    Ok(Some(Served {
        asks: holds.authorizer.map(str::to_owned),
        is_verified: cx.skips_verification() || verified == Some(&stage.deployment_id),
    }))
}

/// How the stage asks for our authorizer where it invokes the function itself and not its alias, as releases without
/// aliases had it; `None` where it does not.
///
/// # Errors
/// What the services answer.
pub async fn standing(cx: &Cx, target: &ApiTarget) -> Result<Option<Standing>, AwsError> {
    if served(cx, target).await?.is_none() {
        return Ok(None);
    }
    let authorizers = api::authorizers(cx, &target.id).await?;
    let mut ours = authorizers
        .iter()
        .filter(|authorizer| authorizer.name == cx.names().api_authorizer());
    let Some(ours) = ours.next() else {
        return Ok(None);
    };
    let former = api_authorizer::former_uri(cx);
    let export = api::export::export(cx, target).await?;
    let mut asks = Asks::ours(&ours.identity_source);
    asks.ttl = ours.ttl;
    let is_former = match &*export {
        Some(export) => {
            if let Some(exported) = export.authorizers.get(&former) {
                // The draft may have been edited since.
                asks.identity_source =
                    (exported.identity_source.clone()).unwrap_or(asks.identity_source);
                asks.ttl = exported.ttl.unwrap_or(asks.ttl);
            }
            let uris = export.methods.values();
            uris.filter_map(|method| method.authorizer_uri.as_ref())
                .any(|uri| *uri == former)
        }
        None => ours.uri == former || function_alias::live_version(cx).await?.is_none(),
    };
    if !is_former {
        return Ok(None);
    }
    let elsewhere = shared::elsewhere(cx, target).await?;
    let stage = api::stage(cx, target).await?;
    let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
    let is_served = |method: &&Method| {
        let key = (method.path.clone(), method.method.clone());
        served.is_none_or(|served| served.get(&key).is_some_and(|now| now == "CUSTOM"))
    };
    let methods = api::methods(cx, &target.id).await?;
    let methods = methods
        .iter()
        .filter(|method| method.asks(&ours.id) || shared::is_lent(method, &elsewhere))
        .filter(is_served)
        .map(Method::label)
        .collect();
    Ok(Some(Standing { asks, methods }))
}

impl Actual {
    /// Looks at everything that concerns the attachment to `target`.
    async fn load(cx: &Cx, target: &ApiTarget, record: Record) -> Result<Self, AwsError> {
        let authorizers = api::authorizers(cx, &target.id).await?;
        let authorizer = authorizers
            .iter()
            .find(|authorizer| authorizer.name == cx.names().api_authorizer());
        let stage = (*api::stage(cx, target).await?).clone();
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
            !is_ours(cx, &stage.description)
                && !record.chunks.is_empty()
                && record.head.as_ref().is_none_or(|head| {
                    head.previous_deployment.as_ref() != Some(&stage.deployment_id)
                })
        });
        let asking = if others_serve_us {
            let export = api::export::export(cx, target).await?;
            (*export).as_ref().and_then(|export| {
                let mut ours = export
                    .authorizers
                    .iter()
                    .filter(|(uri, _)| api_authorizer::is_ours(cx, uri));
                ours.next().map(|(uri, asking)| Asking {
                    alias: Some(*uri == api_authorizer::uri(cx)),
                    ..asking.clone()
                })
            })
        } else {
            None
        };
        // Without the API there is nothing to read, and nothing to give back.
        let methods = optional(api::methods(cx, &target.id).await)?;
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
            mark: mark(cx),
            authorizers: Arc::clone(&authorizers),
            elsewhere: shared::elsewhere(cx, target).await?,
            held_elsewhere: shared::held_elsewhere(cx, target).await?,
            shared_responses: shared::others(cx, &target.id)
                .await?
                .iter()
                .flat_map(|other| other.responses.clone())
                .collect(),
            responses: (*api::responses(cx, &target.id).await?).clone(),
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
        let (found, unknown) = lost::look(cx, target, actual.record.head.as_ref(), lost).await?;
        actual.unrecorded.extend(found);
        actual.unknown = unknown;
        Ok(actual)
    }

    /// The methods of the draft that ask our authorizer.
    fn taken(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(|now| self.is_taken(now))
    }

    /// Whether a method of the draft asks our authorizer.
    fn is_taken(&self, method: &Method) -> bool {
        self.authorizer_id
            .as_deref()
            .is_some_and(|id| method.asks(id))
    }

    /// A method as it was before us.
    fn before(&self, now: &Method) -> Option<&Method> {
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
    fn restored(&self, before: &Method) -> Method {
        restored::restored_or_closed(before, &self.authorizers)
    }

    /// Whether a method that is about to be taken is to be recorded as it is: nothing is known of it, or its owners changed
    /// it since. One that is borrowed is returned to the stack that has it, and keeps its record.
    fn is_to_be_recorded(&self, now: &Method) -> bool {
        self.before(now).is_none_or(|before| {
            !shared::is_lent(now, &self.elsewhere)
                && !self.record.is_closed(now)
                && restored::is_changed(now, before, &self.authorizers)
        })
    }

    /// What is known of the gateway responses before us.
    fn taken_responses(&self) -> BTreeMap<String, Taken> {
        let mut taken = self.record.responses.clone();
        taken.extend(self.unrecorded_responses.clone());
        taken
    }

    /// Every method that is known as it was before us.
    fn all_before(&self) -> impl Iterator<Item = &Method> {
        self.record.methods().chain(&self.unrecorded)
    }

    /// The methods that ask our authorizer, as they were and as they are.
    fn held(&self) -> impl Iterator<Item = (&Method, &Method)> {
        self.taken()
            .filter_map(|now| Some((self.before(now)?, now)))
    }

    /// The methods that a `down --keep-protected` has closed before it was ended, as they were and as they are.
    fn closed(&self) -> impl Iterator<Item = (&Method, &Method)> {
        let closed = self.methods.iter().filter(|now| self.record.is_closed(now));
        closed.filter_map(|now| Some((self.before(now)?, now)))
    }

    /// Whether the stage serves the deployment that it had before us.
    fn is_before_us(&self) -> bool {
        let head = self.record.head.as_ref();
        head.zip(self.stage.as_ref()).is_some_and(|(head, stage)| {
            head.previous_deployment.as_ref() == Some(&stage.deployment_id)
        })
    }

    /// Whether the stage may serve one of the methods with our authorizer. The service tells the type of an authorizer
    /// and not which one it is, so a method that had another one before us counts too.
    fn serves_ours(&self, cx: &Cx) -> bool {
        let Some(stage) = self.stage.as_ref().filter(|_| !self.is_before_us()) else {
            return false;
        };
        match &stage.served {
            Some(served) => self.all_before().any(|before| {
                served
                    .get(&(before.path.clone(), before.method.clone()))
                    .is_some_and(|now| now == "CUSTOM")
            }),
            None => is_ours(cx, &stage.description),
        }
    }
}

fn patch(op: Op, path: &str, value: &str) -> PatchOperation {
    PatchOperation::builder()
        .op(op)
        .path(path)
        .value(value)
        .build()
}

/// Lets an authorizer decide about a method.
async fn entrust(
    cx: &Cx,
    target: &ApiTarget,
    now: &Method,
    authorizer_id: &str,
) -> Result<(), AwsError> {
    let mut operations = vec![
        patch(Op::Replace, "/authorizationType", "CUSTOM"),
        patch(Op::Replace, "/authorizerId", authorizer_id),
    ];
    // Scopes belong to Cognito authorizers; with another kind API Gateway refuses them.
    operations.extend(
        now.scopes
            .iter()
            .map(|scope| patch(Op::Remove, "/authorizationScopes", scope)),
    );
    update_method(cx, target, now, operations).await
}

async fn update_method(
    cx: &Cx,
    target: &ApiTarget,
    method: &Method,
    operations: Vec<PatchOperation>,
) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .update_method()
        .rest_api_id(&target.id)
        .resource_id(&method.resource_id)
        .http_method(&method.method)
        .set_patch_operations(Some(operations));
    cx.aws()
        .change("apigateway:UpdateMethod", || request.clone().send())
        .await
}

impl ResourceKind for ApiAttachments {
    type Actual = Actual;
    const KIND: Kind = Kind::ApiAttachment;

    async fn list(cx: &Cx) -> Result<Listing<Actual>, AwsError> {
        let ask = async {
            let mut listing = Listing::default();
            let mut records = record::all(cx).await?;
            if let Some(api) = cx.api() {
                records.entry(api.clone()).or_default();
            }
            for (target, record) in records {
                let actual = Actual::load(cx, &target, record).await?;
                let concerns = !actual.record.chunks.is_empty()
                    || !actual.record.responses.is_empty()
                    || !actual.unrecorded.is_empty()
                    || !actual.unknown.is_empty();
                if concerns {
                    listing.owned.push(actual);
                }
            }
            Ok(listing)
        };
        Ok((*cx.view().once("api attachments", ask).await?).clone())
    }

    fn identify(actual: &Actual) -> Identity {
        let physical_id = format!("{}/{}", actual.target.id, actual.target.stage);
        Identity {
            id: actual.id.clone(),
            phase: Phase::Ready,
            output: Output {
                physical_id,
                ..Output::default()
            },
        }
    }

    async fn delete(cx: &Cx, actual: &Actual) -> Result<(), AwsError> {
        hand_back::hand_back(cx, actual).await
    }
}

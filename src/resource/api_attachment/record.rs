//! The original state of each method and the former deployment of the stage: the only data that
//! cannot be read again from AWS.
//!
//! Under `attachment/<api>/<stage>/` in the stack's parameters there are a `head`, any number of
//! `methods-NNN`, each a JSON list that fits a standard parameter of 4 KB, and a `response-<TYPE>`
//! for each gateway response that this stack replaced. A method or a response is recorded before it
//! is changed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::route_marks::Marks;
use super::{deleted_api, drafted};
use crate::api_gateway::{self, ApiTarget, AuthorizationType, Method, Protocol, Response, Stage};
use crate::hex;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{Context, ResourceError, parameter};

/// The maximum size of a standard parameter. Source: SSM `PutParameter`.
const PARAMETER_MAX: usize = 4096;
const PREFIX: &str = "attachment/";
/// The name of the parameter that records the state.
pub(super) const HEAD: &str = "head";
/// The name prefix of a parameter that records methods; a number follows.
pub(super) const METHODS: &str = "methods-";
/// The name prefix of a parameter that records a gateway response; its type follows.
pub(super) const RESPONSE: &str = "response-";

/// The state of the attachment to one API and stage, with the deployment to roll back to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentState {
    /// The deployment that the stage had before this stack's; `None` once another user published on top
    /// of this stack's.
    pub previous_deployment: Option<String>,
    /// The deployment that the stage had before this stack's newest, if it is a different one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployment: Option<String>,
    /// Whether undeployed changes of other users were published together with this stack's: the
    /// deployment before lacks them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published: bool,
    /// The deployment of this stack with which the API last answered real requests as expected. If a
    /// run was killed before the requests, this differs from the current deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// The version of the authorizer that answered those requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_version: Option<String>,
    /// The version of this program that made those requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<String>,
    /// Whether no request could be sent, because the API has no address that this program can call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_called: bool,
    /// The faults that this verification found and that the API had before, too: they are no reason to undo
    /// the change. Marks of the rows of a report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub as_before: Vec<String>,
    /// `down --keep-protected` has started: methods that were open before this stack may be closed by
    /// it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closing: bool,
    /// A deployment is in progress for which methods of other stacks were reset to their state before
    /// those stacks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resetting: bool,
    /// This stack is about to turn the automatic deployment of the stage off, or has done so. It is turned on again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// Whether the deployment that the stage had when it was frozen has this stack's authorizer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen_with_ours: bool,
    /// Automatic deployment was turned on again before the stage was verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
    /// The routes that took effect one at a time, and were not verified since.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub unverified_routes: Marks,
    /// The identity source of the authorizer before its settings took effect at once, if they were not verified since; empty
    /// if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_source: Option<String>,
}

/// The authorization of a method that should stay closed, and of one whose own authorizer no longer
/// exists.
pub(super) const CLOSED: AuthorizationType = AuthorizationType::AwsIam;

/// The record of one API and stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub head: Option<AttachmentState>,
    /// The recorded methods, by parameter name below the target's path.
    pub chunks: BTreeMap<String, Vec<Method>>,
    /// The gateway responses that this stack replaced, by type.
    pub responses: BTreeMap<String, ResponseBackup>,
}

impl Record {
    /// The original state of the method.
    pub fn method(&self, path: &str, method: &str) -> Option<&Method> {
        self.methods()
            .find(|m| m.path == path && m.method == method)
    }

    /// Whether a `down --keep-protected` has started and was interrupted.
    pub(super) fn is_closing(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.closing)
    }

    /// Whether a run was interrupted in a state that cannot be detected from the API alone.
    pub(super) fn is_in_between(&self) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| head.closing || head.resetting)
    }

    /// Whether such a run has closed this method, which was open before this stack.
    pub fn is_closed(&self, now: &Method) -> bool {
        self.is_closing() && was_closed(self.method(&now.path, &now.method), now)
    }

    /// The same record with the methods that only the records of other stages of the API have: an interrupted run has restored
    /// this stage, and not yet those.
    #[must_use]
    pub fn of_all_stages(mut self, target: &ApiTarget, all: &BTreeMap<ApiTarget, Record>) -> Self {
        let others = all.iter().filter(|(other, _)| other.api() == target.api());
        for (index, (_, other)) in others.enumerate() {
            let missing = |method: &&Method| self.method(&method.path, &method.method).is_none();
            let more: Vec<_> = other.methods().filter(missing).cloned().collect();
            self.chunks.insert(format!("{METHODS}of-{index}"), more);
        }
        self
    }

    /// Every recorded method; if a method has two records, the first one counts.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.chunks.values().flatten()
    }
}

/// Whether a method that was open is closed now.
pub(super) fn was_closed(before: Option<&Method>, now: &Method) -> bool {
    let was_open = before.is_some_and(|before| before.authorization == AuthorizationType::None);
    now.authorization == CLOSED && was_open
}

/// How many of the written responses are remembered, so that a response is recognized as this
/// stack's whenever a run was killed.
const REMEMBERED: usize = 3;

/// What is recorded for a type before this stack's response is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseBackup {
    /// The response before this stack's; `None` is API Gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Response>,
    /// The digests of the responses that this stack wrote, or was about to write; newest last.
    pub ours: Vec<String>,
}

impl ResponseBackup {
    /// The record for a type that is about to be written: its current response, unless a stack of this
    /// program wrote that one. `records` are the record of this stack, and that of another stack on the
    /// same API.
    pub fn of(now: Option<&Response>, records: [Option<&Self>; 2]) -> Self {
        let mut taken = records.into_iter().flatten().next().cloned();
        let is_ours = now.is_some_and(|now| {
            let mut records = records.into_iter().flatten();
            records.any(|taken| taken.is_ours(now))
        });
        match &mut taken {
            Some(taken) if is_ours => taken.clone(),
            Some(taken) => Self {
                before: now.cloned(),
                ours: std::mem::take(&mut taken.ours),
            },
            None => Self {
                before: now.cloned(),
                ours: Vec::new(),
            },
        }
    }

    /// Whether this stack wrote this response.
    pub fn is_ours(&self, response: &Response) -> bool {
        self.ours.contains(&digest(response))
    }

    /// Adds one more response of this stack to the record.
    #[must_use]
    pub fn with_written(mut self, response: &Response) -> Self {
        let digest = digest(response);
        self.ours.retain(|known| *known != digest);
        self.ours.push(digest);
        let excess = self.ours.len().saturating_sub(REMEMBERED);
        self.ours.drain(..excess);
        self
    }
}

/// The prefix of a hash that identifies a response.
pub fn digest<T: Serialize>(response: &T) -> String {
    let text = serde_json::to_vec(response).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..4])
}

fn path(target: &ApiTarget, name: &str) -> String {
    format!("{PREFIX}{}/{}/{name}", target.id, target.segment())
}

/// Parses a parameter name: the API and stage, and the part of their record.
fn belongs(name: &str) -> Option<(ApiTarget, &str)> {
    let parts: Vec<_> = name.strip_prefix(PREFIX)?.split('/').collect();
    let [api, stage, part] = parts[..] else {
        return None;
    };
    Some((ApiTarget::of_segment(api, stage), part))
}

/// The APIs and stages that the stack has a record of, even if the record cannot be read.
///
/// # Errors
/// When the listing fails.
pub async fn targets(cx: &Context) -> Result<BTreeSet<ApiTarget>, ResourceError> {
    let all = parameter::all(cx).await?;
    let targets = all.keys().filter_map(|name| belongs(name));
    Ok(targets.map(|(target, _)| target).collect())
}

/// Whether the stack has a record of another stage of the same API. Stages share the draft.
///
/// # Errors
/// When the listing fails.
pub(super) async fn is_shared(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    let all = targets(cx).await?;
    let is_other = |other: &ApiTarget| other.api() == target.api() && other != target;
    Ok(all.iter().any(is_other))
}

/// Every record of the stack.
///
/// # Errors
/// When the listing fails, or a record cannot be read: without it, nothing may be changed.
pub async fn all(cx: &Context) -> Result<BTreeMap<ApiTarget, Record>, ResourceError> {
    let mut records: BTreeMap<ApiTarget, Record> = BTreeMap::new();
    for (name, value) in parameter::all(cx).await?.iter() {
        let Some((target, part)) = belongs(name) else {
            continue;
        };
        let record = records.entry(target).or_default();
        let unreadable = |error: serde_json::Error| ResourceError::Blocked {
            what: format!("{} cannot be read: {error}", cx.names().parameter(name)),
            hint: None,
        };
        if part == HEAD {
            record.head = Some(serde_json::from_str(value.expose()).map_err(unreadable)?);
        } else if let Some(kind) = part.strip_prefix(RESPONSE) {
            let taken = serde_json::from_str(value.expose()).map_err(unreadable)?;
            record.responses.insert(kind.to_owned(), taken);
        } else {
            record.chunks.insert(
                part.to_owned(),
                serde_json::from_str(value.expose()).map_err(unreadable)?,
            );
        }
    }
    Ok(records)
}

/// The version of this program that has verified one of these APIs last, without reading the rest of the record. `None` if an
/// earlier release did, or none has.
///
/// # Errors
/// When the call fails.
pub async fn verified_by(
    cx: &Context,
    targets: &BTreeSet<ApiTarget>,
) -> Result<Option<String>, ResourceError> {
    let heads: Vec<_> = targets.iter().map(|target| path(target, HEAD)).collect();
    let values = parameter::values(cx, &heads).await?;
    let versions = values.iter().filter_map(|(value, written)| {
        let head: AttachmentState = serde_json::from_str(value.expose()).ok()?;
        Some((written, head.verified_by?))
    });
    // The verification is the last write of a run.
    let last = versions.max_by_key(|(written, _)| *written);
    Ok(last.map(|(_, version)| version))
}

/// When this deployment of the API was verified, and by which version of this program. Neither is known if another one was
/// verified last, or no request could be sent.
///
/// # Errors
/// When the listing fails.
pub async fn verification(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<(Option<Timestamp>, Option<String>), ResourceError> {
    let listed = parameter::list(cx).await?;
    let Some(stored) = listed.get(&path(target, HEAD)) else {
        return Ok((None, None));
    };
    let head: Option<AttachmentState> = serde_json::from_str(stored.value.expose()).ok();
    let head = head.filter(|head| head.verified.as_deref() == Some(deployment) && !head.not_called);
    // The verification is the last write of a run.
    Ok(match head {
        Some(head) => (stored.written, head.verified_by),
        None => (None, None),
    })
}

fn id() -> LogicalId {
    LogicalId::new(Kind::ApiAttachment, "main")
}

/// Encodes JSON without `{{`, which SSM rejects because it would refer to a parameter. In JSON it
/// can occur only within a string, so it is escaped. Source: Systems Manager User Guide, "Creating
/// Parameter Store parameters".
fn encode<T: Serialize>(value: &T) -> Result<String, ResourceError> {
    let text =
        serde_json::to_string(value).map_err(|error| ResourceError::Bug(error.to_string()))?;
    Ok(text.replace("{{", "{\\u007b"))
}

/// Writes the head with the current deployment of the stage, unless there is a head. `is_our_uri`:
/// whether this stack's authorizer is invoked at the URI.
///
/// # Errors
/// The errors of the services, or that the stage does not exist.
pub async fn write_first_head(
    cx: &Context,
    target: &ApiTarget,
    is_our_uri: impl Fn(&str) -> bool,
) -> Result<(), ResourceError> {
    if all(cx)
        .await?
        .get(target)
        .is_some_and(|record| record.head.is_some())
    {
        return Ok(());
    }
    let Some(stage) = (*api_gateway::stage(cx, target).await?).clone() else {
        if api_gateway::get(cx.aws(), target.api()).await?.is_none() {
            return Err(deleted_api::deleted(&target.id));
        }
        let text = format!("API {} has no stage {}", target.id, target.stage);
        return Err(ResourceError::Blocked {
            what: text,
            hint: None,
        });
    };
    // A deployment with this stack's authorizer, from a head that was lost, is no rollback target.
    let ours = super::marker::is_ours(cx, &stage.description)
        || serves_ours(cx, target, &stage, is_our_uri).await?;
    let head = AttachmentState {
        previous_deployment: (!ours).then_some(stage.deployment_id),
        ..AttachmentState::default()
    };
    parameter::put(cx, &id(), &path(target, HEAD), &encode(&head)?, false).await
}

/// Whether the deployment of another user contains this stack's authorizer.
async fn serves_ours(
    cx: &Context,
    target: &ApiTarget,
    stage: &Stage,
    is_our_uri: impl Fn(&str) -> bool,
) -> Result<bool, ResourceError> {
    if stage.served.is_none() && target.protocol != Protocol::Rest {
        return drafted::is_drafted(cx, target, is_our_uri).await;
    }
    let mut served = stage.served.iter().flatten();
    if !served.any(|(_, authorization)| *authorization == AuthorizationType::Custom) {
        return Ok(false);
    }
    let export = api_gateway::export(cx, target).await?;
    Ok((*export).as_ref().is_some_and(|export| {
        let mut methods = export.methods.values();
        methods.any(|method| {
            let uri = method.authorizer_uri.as_ref();
            uri.is_some_and(|uri| is_our_uri(uri))
        })
    }))
}

/// Changes the head, if there is one.
///
/// # Errors
/// The errors of the services.
pub(super) async fn update_head(
    cx: &Context,
    target: &ApiTarget,
    change: impl FnOnce(AttachmentState) -> AttachmentState,
) -> Result<(), ResourceError> {
    let record = all(cx).await?.remove(target);
    let Some(head) = record.and_then(|record| record.head) else {
        return Ok(());
    };
    let changed = change(head.clone());
    if changed == head {
        return Ok(());
    }
    write_head(cx, target, &changed).await
}

/// Writes the head, or overwrites it.
///
/// # Errors
/// The error of the service.
pub async fn write_head(
    cx: &Context,
    target: &ApiTarget,
    head: &AttachmentState,
) -> Result<(), ResourceError> {
    parameter::put(cx, &id(), &path(target, HEAD), &encode(head)?, true).await
}

/// Deletes the head, which is the last part of an attachment's record.
///
/// # Errors
/// The error of the service.
pub async fn remove_head(cx: &Context, target: &ApiTarget) -> Result<(), ResourceError> {
    parameter::remove(cx, &path(target, HEAD)).await
}

/// Records the current state of `methods` in as few parameters as possible; an earlier record of a
/// method is replaced. A new parameter is written first: the former one counts until the new one is
/// complete.
///
/// # Errors
/// The error of the service.
pub async fn note(
    cx: &Context,
    target: &ApiTarget,
    record: &Record,
    methods: &[Method],
) -> Result<(), ResourceError> {
    for write in writes(&record.chunks, methods)? {
        match write {
            // The name is free, so the parameter is created with its tags; if the response is lost, the next
            // listing shows it.
            Write::Add(name, text) => {
                parameter::put(cx, &id(), &path(target, &name), &text, false).await?;
            }
            Write::Replace(name, text) => {
                parameter::put(cx, &id(), &path(target, &name), &text, true).await?;
            }
            Write::Remove(name) => parameter::remove(cx, &path(target, &name)).await?,
        }
    }
    Ok(())
}

/// A change to the parameters that record methods; names are below the target's path.
#[derive(Debug, PartialEq, Eq)]
enum Write {
    Add(String, String),
    Replace(String, String),
    Remove(String),
}

/// The writes that record `methods`, in order.
fn writes(
    present: &BTreeMap<String, Vec<Method>>,
    methods: &[Method],
) -> Result<Vec<Write>, ResourceError> {
    let key = |method: &Method| method.key();
    let mut left: BTreeMap<_, _> = methods.iter().map(|method| (key(method), method)).collect();
    let is_named = |method: &Method| methods.iter().any(|named| key(named) == key(method));
    let mut changed = Vec::new();
    for (name, chunk) in present {
        if !chunk.iter().any(is_named) {
            continue;
        }
        let others: Vec<_> = chunk.iter().filter(|method| !is_named(method)).collect();
        // In the same parameter, if it fits.
        let here: BTreeSet<_> = chunk.iter().map(key).collect();
        let mut kept = others.clone();
        kept.extend(here.iter().filter_map(|key| left.get(key).copied()));
        let mut text = encode(&kept)?;
        if text.len() > PARAMETER_MAX {
            kept = others;
            text = encode(&kept)?;
        }
        for method in &kept {
            left.remove(&key(method));
        }
        changed.push(match kept.is_empty() {
            true => Write::Remove(name.clone()),
            false => Write::Replace(name.clone(), text),
        });
    }
    let used = present
        .keys()
        .filter_map(|name| name.strip_prefix(METHODS)?.parse::<usize>().ok())
        .max();
    let first = used.map_or(0, |last| last + 1);
    let new: Vec<_> = methods
        .iter()
        .filter(|method| left.contains_key(&key(method)))
        .cloned()
        .collect();
    let added = chunks(&new)?.into_iter().enumerate();
    let mut writes: Vec<_> = added
        .map(|(index, text)| Write::Add(format!("{METHODS}{:03}", first + index), text))
        .collect();
    writes.extend(changed);
    Ok(writes)
}

/// Deletes the records of methods and gateway responses. The head stays until the authorizer is
/// deleted.
///
/// # Errors
/// The error of the service.
pub async fn remove_items(
    cx: &Context,
    target: &ApiTarget,
    record: &Record,
) -> Result<(), ResourceError> {
    for name in record.chunks.keys() {
        parameter::remove(cx, &path(target, name)).await?;
    }
    for kind in record.responses.keys() {
        remove_response(cx, target, kind).await?;
    }
    Ok(())
}

/// Writes the record of a gateway response. `known`: a record of it exists already.
///
/// # Errors
/// The error of the service, or that another user's response is too large to be recorded.
pub async fn write_response(
    cx: &Context,
    target: &ApiTarget,
    kind: &str,
    taken: &ResponseBackup,
    known: bool,
) -> Result<(), ResourceError> {
    let text = encode(taken)?;
    if text.len() > PARAMETER_MAX {
        let text = format!(
            "the gateway response {kind} of API {} is too large to be recorded",
            target.id
        );
        return Err(ResourceError::Blocked {
            what: text,
            hint: Some(format!("take {kind} out of `api.responses`")),
        });
    }
    parameter::put(
        cx,
        &id(),
        &path(target, &format!("{RESPONSE}{kind}")),
        &text,
        known,
    )
    .await
}

/// Deletes the record of a gateway response.
///
/// # Errors
/// The error of the service.
pub async fn remove_response(
    cx: &Context,
    target: &ApiTarget,
    kind: &str,
) -> Result<(), ResourceError> {
    parameter::remove(cx, &path(target, &format!("{RESPONSE}{kind}"))).await
}

/// Divides `methods` into JSON lists that each fit a parameter.
fn chunks(methods: &[Method]) -> Result<Vec<String>, ResourceError> {
    let mut chunks = Vec::new();
    let mut current = String::new();
    for method in methods {
        let text = encode(method)?;
        if !current.is_empty() && current.len() + text.len() + 2 > PARAMETER_MAX {
            chunks.push(format!("{current}]"));
            current.clear();
        }
        current.push(if current.is_empty() { '[' } else { ',' });
        current.push_str(&text);
    }
    if !current.is_empty() {
        chunks.push(format!("{current}]"));
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(n: usize) -> Method {
        Method {
            path: format!("/orders/{{id}}/lines/{n}"),
            method: "GET".to_owned(),
            resource_id: "abc123".to_owned(),
            authorization: AuthorizationType::CognitoUserPools,
            authorizer_id: Some("xyz789".to_owned()),
            authorizer: Some(api_gateway::Mark {
                name: "own".to_owned(),
                uri: "arn:aws:apigateway:us-east-1:lambda:path/own/invocations".to_owned(),
            }),
            scopes: vec!["orders/read".to_owned()],
            api_key_required: n.is_multiple_of(2),
            is_absent: n.is_multiple_of(3),
            is_bare: false,
            is_managed: false,
        }
    }

    #[test]
    fn three_hundred_methods_are_split_and_read_back_whole() {
        let methods: Vec<_> = (0..300).map(method).collect();
        let chunks = chunks(&methods).expect("encodes");
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() <= PARAMETER_MAX));
        let read: Vec<Method> = chunks
            .iter()
            .flat_map(|chunk| serde_json::from_str::<Vec<Method>>(chunk).expect("decodes"))
            .collect();
        assert_eq!(read, methods);
    }

    #[test]
    fn what_is_noted_again_takes_the_place_of_what_was_known() {
        let chunk = |numbers: &[usize]| numbers.iter().map(|n| method(*n)).collect::<Vec<_>>();
        let noted = |n: usize, authorization: &str| Method {
            authorization: authorization.into(),
            ..method(n)
        };
        let read = |text: &str| serde_json::from_str::<Vec<Method>>(text).expect("decodes");
        // Two records of one method, as an earlier version may have left them.
        let present = BTreeMap::from([
            ("methods-000".to_owned(), chunk(&[0, 1])),
            ("methods-002".to_owned(), chunk(&[1])),
            ("methods-003".to_owned(), chunk(&[2])),
        ]);
        let written = writes(&present, &[noted(1, "AWS_IAM"), method(9)]).expect("encodes");
        let [
            Write::Add(new, nine),
            Write::Replace(first, kept),
            Write::Remove(gone),
        ] = &written[..]
        else {
            panic!("{written:?}");
        };
        assert_eq!(
            [new.as_str(), first, gone],
            ["methods-004", "methods-000", "methods-002"]
        );
        assert_eq!(read(nine), [method(9)]);
        assert_eq!(read(kept), [method(0), noted(1, "AWS_IAM")]);

        // A method that no longer fits its parameter moves to a new one, which is written first.
        let full: Vec<_> = (0..300).map(method).collect();
        let full: Vec<Method> = read(&chunks(&full).expect("encodes")[0]);
        let long = Method {
            scopes: vec!["s".repeat(1000)],
            ..full[3].clone()
        };
        let present = BTreeMap::from([("methods-000".to_owned(), full.clone())]);
        let written = writes(&present, std::slice::from_ref(&long)).expect("encodes");
        let [Write::Add(_, moved), Write::Replace(_, rest)] = &written[..] else {
            panic!("{written:?}");
        };
        assert_eq!(read(moved), [long]);
        assert_eq!(read(rest).len(), full.len() - 1);
        assert_eq!(writes(&present, &[]).expect("encodes"), []);
    }

    #[test]
    fn what_would_refer_to_a_parameter_is_escaped() {
        for text in ["{{a}}", "{{{a", "\\{{", "{{{{", "{ {"] {
            let written = encode(&text).expect("encodes");
            assert!(!written.contains("{{"), "{written}");
            assert_eq!(
                serde_json::from_str::<String>(&written).ok().as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn nothing_to_record_is_no_parameter() {
        assert!(chunks(&[]).expect("encodes").is_empty());
    }
}

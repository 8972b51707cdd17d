//! The authorizer within the API, and the head of the attachment's record, which names the API.
//!
//! Authorizers cannot have tags. An authorizer belongs to this stack if it has this stack's name
//! and invokes this stack's function. The head is written before the authorizer is created and
//! deleted after it, so that `down` finds the authorizer without a configuration file.

use std::sync::Arc;

use super::api_attachment::{automatic, deleted_api, own_deployments, record};
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Output, Phase, Resource, ResourceError,
    ResourceKind, Unmanaged, function_permission,
};
use crate::api_gateway::{self, ApiTarget, Authorizer, AuthorizerSettings, authorizers, change};
use crate::aws::optional;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::LIVE;
use crate::resource::health_check::SelfTestGate;

const AUTHORIZER: Field = Field::Property("authorizer");
const IDENTITY_SOURCE: Field = Field::Property("identity source");
const INVOKES: Field = Field::Property("invokes");
const RECORD: Field = Field::Property("record");
const RESULT_TTL: Field = Field::Property("result TTL");
const PAYLOAD_FORMAT: Field = Field::Property("payload format");
const TYPE: Field = Field::Property("type");

/// The type of an authorizer that receives the whole request.
const REQUEST: &str = "REQUEST";

/// The actual authorizer, or at least the head of its record.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) target: ApiTarget,
    pub(super) authorizer: Option<Authorizer>,
    /// Whether the deployment to roll back to is recorded for each stage.
    has_heads: bool,
}

/// Authorizers of API Gateway.
#[derive(Debug)]
pub struct ApiAuthorizers;

/// The URI at which API Gateway invokes the authorizer function: its alias.
pub fn uri(cx: &Context) -> String {
    address(cx, &cx.names().live_arn("authorizer"))
}

/// The URI of the function itself, which releases without aliases set in the API.
pub fn former_uri(cx: &Context) -> String {
    address(cx, &cx.names().function_arn("authorizer"))
}

/// Whether this is the URI of this stack's authorizer.
pub fn is_ours(cx: &Context, address: &str) -> bool {
    address == uri(cx) || address == former_uri(cx)
}

fn address(cx: &Context, function: &str) -> String {
    format!(
        "arn:{}:apigateway:{}:lambda:path/2015-03-31/functions/{function}/invocations",
        cx.names().partition(),
        cx.names().region,
    )
}

/// The logical id of a resource attached to `target`: `main` for the first stage of this run, or of
/// the stack if the run has no API; an id derived from the target for other stages and APIs.
///
/// # Errors
/// When the records cannot be listed.
pub async fn identify(
    kind: Kind,
    cx: &Context,
    target: &ApiTarget,
) -> Result<LogicalId, ResourceError> {
    let recorded = || async { Ok(record::targets(cx).await?.into_iter().next()) };
    let first = cx.first_stage(recorded).await?;
    Ok(LogicalId::new(kind, attached_name(first, target)))
}

/// The name in such an id. `first`: the first stage.
pub fn attached_name(first: Option<&ApiTarget>, target: &ApiTarget) -> String {
    match first {
        Some(first) if first != target => format!("{}-{}", target.id, target.segment()),
        _ => "main".to_owned(),
    }
}

/// The identity source in plans.
fn source_text(source: &str) -> &str {
    match source {
        AuthorizerSettings::NO_IDENTITY_SOURCE => "(none)",
        source => source,
    }
}

impl ResourceKind for ApiAuthorizers {
    type Actual = Actual;
    const KIND: Kind = Kind::ApiAuthorizer;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        let records = record::all(cx).await?;
        let mut targets: Vec<_> = records.keys().cloned().collect();
        if let Some(api) = cx.api().filter(|api| !records.contains_key(*api)) {
            targets.push(api.clone());
        }
        // The stages of a run share the authorizer, so that of the first one counts.
        targets.retain(|target| cx.api() == Some(target) || !cx.stages().contains(target));
        // Without a record, the stage is not known. It does not matter for the authorizer.
        let lost = function_permission::unrecorded_apis(cx).await?;
        for id in lost {
            if cx.api().is_none_or(|api| api.id != id) {
                targets.push(api_gateway::identify(cx, &id).await?.stage(""));
            }
        }
        for target in targets {
            let is_recorded = |target: &ApiTarget| {
                let record = records.get(target);
                record.is_some_and(|record| record.head.is_some())
            };
            let has_heads = match cx.api() == Some(&target) {
                true => cx.stages().iter().all(is_recorded),
                false => is_recorded(&target),
            };
            let has_head = is_recorded(&target);
            let all = authorizers(cx, target.api()).await?;
            let named = all
                .iter()
                .find(|authorizer| authorizer.name == cx.names().api_authorizer());
            let id = match target.stage.is_empty() {
                true => LogicalId::new(Kind::ApiAuthorizer, &target.id),
                false => identify(Kind::ApiAuthorizer, cx, &target).await?,
            };
            match named {
                Some(found) if !is_ours(cx, &found.uri) => listing.unmanaged.push(Unmanaged {
                    id,
                    physical_id: format!("authorizer {} of API {}", found.id, target.id),
                    why: "it invokes another function".to_owned(),
                }),
                Some(found) => listing.owned.push(Actual {
                    id,
                    target,
                    authorizer: Some(found.clone()),
                    has_heads,
                }),
                None if has_head => listing.owned.push(Actual {
                    id,
                    target,
                    authorizer: None,
                    has_heads,
                }),
                None => {}
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        let physical_id = actual
            .authorizer
            .as_ref()
            .map_or_else(String::new, |authorizer| authorizer.id.clone());
        let output = Output {
            physical_id,
            ..Output::default()
        };
        Identity {
            id: actual.id.clone(),
            phase: Phase::Ready,
            output,
        }
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        // The stages of one API share the authorizer, and API Gateway refuses concurrent writes to an API.
        let _turn = cx.api_turn().await;
        let has_record = !actual.target.stage.is_empty();
        if has_record {
            cx.enter_api(&actual.target).await?;
        }
        // If only the stage changed, the authorizer stays.
        let stays = cx.successor(&actual.target).is_some();
        if let Some(authorizer) = actual.authorizer.as_ref().filter(|_| !stays) {
            let deleted =
                optional(change::delete_authorizer(cx, actual.target.api(), &authorizer.id).await);
            if let Err(error) = deleted {
                let error = error.into();
                if !deleted_api::is_deleted(cx, actual.target.api(), &error).await? {
                    return Err(error);
                }
            }
        }
        if has_record {
            automatic::thaw(cx, &actual.target, |uri| is_ours(cx, uri)).await?;
            own_deployments::remove_left(cx, &actual.id, &actual.target).await?;
            // First: without the record, the next run does not know for which API a killed one has left its lock.
            cx.leave_api(&actual.target).await?;
            record::remove_head(cx, &actual.target).await?;
        }
        Ok(())
    }
}

/// The desired authorizer.
#[derive(Debug)]
pub struct ApiAuthorizer {
    /// The first stage of the stack.
    pub api: ApiTarget,
    /// The others.
    pub more: Vec<ApiTarget>,
    pub asks: AuthorizerSettings,
    /// Everything the authorizer depends on: the API is changed only after all of it exists and is
    /// verified.
    pub after: Vec<LogicalId>,
    pub proof: Arc<SelfTestGate>,
}

impl ApiAuthorizer {
    /// Records each stage that has no record yet.
    async fn write_first_heads(&self, cx: &Context) -> Result<(), ResourceError> {
        for target in self.stages() {
            record::write_first_head(cx, target, |uri| is_ours(cx, uri)).await?;
        }
        Ok(())
    }

    fn stages(&self) -> impl Iterator<Item = &ApiTarget> {
        [&self.api].into_iter().chain(&self.more)
    }
}

impl Resource for ApiAuthorizer {
    type Kind = ApiAuthorizers;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        self.after.clone()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        if !actual.has_heads {
            diff.field(RECORD, "(none)", NEW);
        }
        let Some(authorizer) = &actual.authorizer else {
            diff.field(AUTHORIZER, "(none)", NEW);
            return diff;
        };
        if authorizer.uri != uri(cx) {
            diff.field(INVOKES, "the function", format!("its alias {LIVE}"));
        }
        diff.field(TYPE, &authorizer.kind, REQUEST);
        diff.field(
            IDENTITY_SOURCE,
            source_text(&authorizer.identity_source),
            source_text(&self.asks.identity_source),
        );
        diff.field(RESULT_TTL, authorizer.ttl, self.asks.ttl);
        diff.field(
            PAYLOAD_FORMAT,
            &authorizer.payload_format,
            &self.asks.payload_format,
        );
        diff
    }

    async fn prepare(&self, cx: &Context, _diff: Option<&Diff>) -> Result<(), ResourceError> {
        self.proof.ensure_passed(cx).await
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        // First: by its record, the next run knows for which API a killed one has left its lock.
        self.write_first_heads(cx).await?;
        cx.enter_api(&self.api).await?;
        let name = cx.names().api_authorizer();
        let created =
            change::create_authorizer(cx, self.api.api(), &name, &uri(cx), &self.asks).await;
        let created = created.map_err(ResourceError::from);
        deleted_api::explained(cx, self.api.api(), created).await
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        let Some(authorizer) = &actual.authorizer else {
            return self.create(cx).await;
        };
        if !actual.has_heads {
            self.write_first_heads(cx).await?;
        }
        cx.enter_api(&self.api).await?;
        for target in self.stages() {
            automatic::freeze_before_settings(cx, target, &authorizer.identity_source).await?;
        }
        let updated =
            change::update_authorizer(cx, self.api.api(), &authorizer.id, &uri(cx), &self.asks)
                .await;
        deleted_api::explained(cx, self.api.api(), updated.map_err(ResourceError::from)).await
    }
}

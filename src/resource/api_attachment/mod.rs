//! The attachment of the authorizer to the API's methods, and the deployment that makes it count.
//!
//! The API is not ours: what each method was is recorded first ([`record`]), and given back exactly. Callers see nothing
//! of a change until the stage is deployed, which happens once, when every method is ready.

pub mod lost;
pub mod record;
pub mod rollback;
pub mod select;

use std::sync::OnceLock;

use aws_sdk_apigateway::types::{Op, PatchOperation};

use self::record::{Head, Record};
use super::api::{self, Method, Stage};
use super::api_authorizer;
use super::{
    ApiTarget, Cx, Diff, Identity, Kind, Listing, LogicalId, Output, Phase, Resource, ResourceKind,
};
use crate::aws::ec2::pages;
use crate::aws::{AwsError, optional};
use crate::config::MethodPattern;

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
    authorizer_id: Option<String>,
}

/// The kind.
#[derive(Debug)]
pub struct ApiAttachments;

/// Marks a deployment as made by this stack.
fn mark(cx: &Cx) -> String {
    format!("threescale-gw-{}", cx.names().stack)
}

/// Whether a deployment's description says that this stack made it to protect the API.
fn is_ours(cx: &Cx, description: &str) -> bool {
    description
        .strip_prefix(&mark(cx))
        .is_some_and(|rest| rest.starts_with(" protects "))
}

impl Actual {
    /// Looks at everything that concerns the attachment to `target`.
    async fn load(cx: &Cx, target: &ApiTarget, record: Record) -> Result<Self, AwsError> {
        let authorizers = api::authorizers(cx, &target.id).await?;
        let authorizer = authorizers
            .iter()
            .find(|authorizer| authorizer.name == cx.names().api_authorizer());
        let stage = (*api::stage(cx, target).await?).clone();
        let of_other_stages: Vec<_> = record::all(cx)
            .await?
            .into_iter()
            .filter(|(other, _)| other.id == target.id && other != target)
            .flat_map(|(_, other)| other.chunks.into_values().flatten())
            .filter(|method| record.method(&method.path, &method.method).is_none())
            .collect();
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
            authorizer_id: authorizer.map(|authorizer| authorizer.id.clone()),
        };
        let lost = actual
            .taken()
            .filter(|now| actual.before(now).is_none())
            .cloned()
            .collect();
        if cx.api() != Some(target) {
            actual.unrecorded.clear();
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

    /// Every method that is known as it was before us.
    fn all_before(&self) -> impl Iterator<Item = &Method> {
        self.record.methods().chain(&self.unrecorded)
    }

    /// The methods that ask our authorizer, as they were and as they are.
    fn held(&self) -> impl Iterator<Item = (&Method, &Method)> {
        self.taken()
            .filter_map(|now| Some((self.before(now)?, now)))
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

    async fn give_back(&self, cx: &Cx, before: &Method, now: &Method) -> Result<(), AwsError> {
        let mut operations = vec![
            patch(Op::Replace, "/authorizationType", &before.authorization),
            patch(
                Op::Replace,
                "/authorizerId",
                before.authorizer_id.as_deref().unwrap_or_default(),
            ),
        ];
        operations.extend(
            before
                .scopes
                .iter()
                .map(|scope| patch(Op::Add, "/authorizationScopes", scope)),
        );
        update_method(cx, &self.target, now, operations).await
    }
}

fn patch(op: Op, path: &str, value: &str) -> PatchOperation {
    PatchOperation::builder()
        .op(op)
        .path(path)
        .value(value)
        .build()
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
        .repeatable("apigateway:UpdateMethod", || request.clone().send())
        .await?;
    Ok(())
}

/// Publishes the API's draft to the stage, which keeps its settings.
async fn deploy(cx: &Cx, target: &ApiTarget, description: &str) -> Result<(), AwsError> {
    let request = cx
        .aws()
        .apigateway
        .create_deployment()
        .rest_api_id(&target.id)
        .stage_name(&target.stage)
        .description(description);
    cx.aws()
        .once("apigateway:CreateDeployment", || request.clone().send())
        .await?;
    Ok(())
}

/// Every deployment of the API, with its description.
async fn deployments(cx: &Cx, target: &ApiTarget) -> Result<Vec<(String, String)>, AwsError> {
    let request = cx
        .aws()
        .apigateway
        .get_deployments()
        .rest_api_id(&target.id)
        .limit(500);
    let deployments = pages(|position| async {
        let request = request.clone().set_position(position);
        let answer = optional(
            cx.aws()
                .repeatable("apigateway:GetDeployments", || request.clone().send())
                .await,
        )?;
        Ok(answer.map_or((None, None), |page| (page.items, page.position)))
    })
    .await?;
    Ok(deployments
        .into_iter()
        .filter_map(|d| Some((d.id?, d.description.unwrap_or_default())))
        .collect())
}

/// Moves the stage away from our deployment: back to the one it had if nobody published since, else to a new one of the
/// restored draft. Then deletes the deployments that are ours, but for `kept`.
async fn restore_stage(cx: &Cx, actual: &Actual, kept: Option<&str>) -> Result<(), AwsError> {
    let target = &actual.target;
    let all = deployments(cx, target).await?;
    let restored = format!("{} restored", mark(cx));
    let description = actual.stage.as_ref().map(|stage| &stage.description);
    if description.is_some_and(|description| is_ours(cx, description)) {
        let previous = actual
            .record
            .head
            .as_ref()
            .and_then(|head| head.previous_deployment.clone());
        match previous.filter(|previous| all.iter().any(|(id, _)| id == previous)) {
            Some(previous) => rollback::move_stage(cx, target, &previous).await?,
            None => deploy(cx, target, &restored).await?,
        }
    } else if description != Some(&restored) && actual.serves_ours(cx) {
        cx.notice(
            &actual.id,
            "someone published the API since: the restored methods are deployed on top",
        );
        deploy(cx, target, &restored).await?;
    }
    for (deployment, _) in all
        .iter()
        .filter(|(id, description)| is_ours(cx, description) && Some(id.as_str()) != kept)
    {
        let request = cx
            .aws()
            .apigateway
            .delete_deployment()
            .rest_api_id(&target.id)
            .deployment_id(deployment);
        match cx
            .aws()
            .repeatable("apigateway:DeleteDeployment", || request.clone().send())
            .await
        {
            Err(error) if error.message.contains("Active stages") => {
                cx.notice(
                    &actual.id,
                    format!("deployment {deployment} is left: another stage serves it"),
                );
            }
            other => {
                optional(other)?;
            }
        }
    }
    Ok(())
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
        lost::refuse(&actual.unknown)?;
        // Where only the stage changed, the attachment to the new one has taken these over.
        let stays = cx
            .api()
            .filter(|api| api.id == actual.target.id && **api != actual.target);
        let (kept, kept_stage) = match stays {
            Some(api) => (
                record::all(cx).await?.remove(api).unwrap_or_default(),
                (*api::stage(cx, api).await?).clone(),
            ),
            None => (Record::default(), None),
        };
        let is_kept = |method: &Method| kept.method(&method.path, &method.method).is_some();
        for before in actual.record.methods().filter(|before| !is_kept(before)) {
            let now = actual
                .methods
                .iter()
                .find(|now| now.path == before.path && now.method == before.method);
            let Some(now) = now else { continue };
            let as_before = now.authorization == before.authorization
                && now.authorizer_id == before.authorizer_id;
            if !actual.is_taken(now) && !as_before {
                cx.notice(
                    &actual.id,
                    format!(
                        "{} was changed by others since and is left as it is",
                        now.label()
                    ),
                );
            }
        }
        for (before, now) in actual.held().filter(|(before, _)| !is_kept(before)) {
            actual.give_back(cx, before, now).await?;
        }
        let kept_deployment = kept_stage.map(|stage| stage.deployment_id);
        restore_stage(cx, actual, kept_deployment.as_deref()).await?;
        record::remove_methods(cx, &actual.target, &actual.record).await
    }
}

/// The attachment as it should be.
#[derive(Debug)]
pub struct ApiAttachment {
    pub api: ApiTarget,
    pub protect: Vec<MethodPattern>,
    pub except: Vec<MethodPattern>,
    pub authorizer: LogicalId,
    /// Everything the authorizer lives on: the API asks it only when all of that is there.
    pub after: Vec<LogicalId>,
    /// Tells the deployments of two runs apart; a repeated call bears the same.
    pub token: OnceLock<String>,
}

/// The changes that make an attachment what it should be.
#[derive(Debug, Default)]
struct Steps<'a> {
    take: Vec<&'a Method>,
    /// As it was, and as it is.
    give_back: Vec<(&'a Method, &'a Method)>,
    deploy: bool,
}

impl ApiAttachment {
    fn steps<'a>(&self, actual: &'a Actual) -> Steps<'a> {
        let wanted: Vec<_> = actual
            .methods
            .iter()
            .filter(|method| actual.is_taken(method) || select::is_free(method, &self.protect))
            .filter(|method| select::is_wanted(method, &self.protect, &self.except))
            .collect();
        let take: Vec<_> = wanted
            .iter()
            .copied()
            .filter(|method| !actual.is_taken(method))
            .collect();
        let give_back: Vec<_> = actual
            .held()
            .filter(|(_, now)| !select::is_wanted(now, &self.protect, &self.except))
            .collect();
        let served_as = |method: &Method, wanted: &str| {
            let key = (method.path.clone(), method.method.clone());
            let served = actual
                .stage
                .as_ref()
                .and_then(|stage| stage.served.as_ref());
            served.is_none_or(|served| served.get(&key).is_some_and(|now| now == wanted))
        };
        let released: Vec<_> = actual
            .all_before()
            .filter(|before| {
                !select::is_wanted(before, &self.protect, &self.except)
                    && before.authorization != "CUSTOM"
            })
            .filter(|before| {
                actual
                    .methods
                    .iter()
                    .any(|now| now.label() == before.label())
            })
            .collect();
        // The deployment from before the first change cannot hold ours, whatever its summary looks like.
        let current = !actual.is_before_us()
            && wanted.iter().all(|method| served_as(method, "CUSTOM"))
            && released
                .iter()
                .all(|before| served_as(before, &before.authorization));
        let deploy = !take.is_empty() || !give_back.is_empty() || (!current && !wanted.is_empty());
        Steps {
            take,
            give_back,
            deploy,
        }
    }

    async fn apply(&self, cx: &Cx, actual: &Actual) -> Result<(), AwsError> {
        let steps = self.steps(actual);
        let authorizer_id = cx.physical_id(&self.authorizer)?;
        let unrecorded: Vec<_> = steps
            .take
            .iter()
            .copied()
            .filter(|method| actual.before(method).is_none())
            .chain(&actual.unrecorded)
            .cloned()
            .collect();
        record::add(cx, &self.api, &actual.record, &unrecorded).await?;
        for method in &steps.take {
            let mut operations = vec![
                patch(Op::Replace, "/authorizationType", "CUSTOM"),
                patch(Op::Replace, "/authorizerId", &authorizer_id),
            ];
            // Scopes belong to Cognito authorizers; with another kind API Gateway refuses them.
            operations.extend(
                method
                    .scopes
                    .iter()
                    .map(|scope| patch(Op::Remove, "/authorizationScopes", scope)),
            );
            update_method(cx, &self.api, method, operations).await?;
        }
        for (before, now) in &steps.give_back {
            actual.give_back(cx, before, now).await?;
        }
        if !steps.deploy {
            return Ok(());
        }
        self.note_previous(cx, actual).await?;
        let fresh = crate::aws::random_hex::<6>("apigateway:CreateDeployment")?;
        let token = self.token.get_or_init(|| fresh);
        deploy(cx, &self.api, &format!("{} protects {token}", mark(cx))).await
    }

    /// Notes the deployment to go back to: the one that is served now, if it is not ours. When somebody published on top
    /// of ours there is none to go back to, for it would take their work away.
    async fn note_previous(&self, cx: &Cx, actual: &Actual) -> Result<(), AwsError> {
        let (Some(stage), Some(head)) = (&actual.stage, &actual.record.head) else {
            return Ok(());
        };
        if is_ours(cx, &stage.description)
            || head.previous_deployment.as_ref() == Some(&stage.deployment_id)
        {
            return Ok(());
        }
        let first = !deployments(cx, &self.api)
            .await?
            .iter()
            .any(|(_, description)| is_ours(cx, description));
        let previous_deployment = first.then(|| stage.deployment_id.clone());
        record::write_head(
            cx,
            &self.api,
            &Head {
                previous_deployment,
            },
        )
        .await
    }
}

impl Resource for ApiAttachment {
    type Kind = ApiAttachments;

    fn name(&self) -> &str {
        "main"
    }

    fn needs(&self) -> Vec<LogicalId> {
        self.after
            .iter()
            .cloned()
            .chain([self.authorizer.clone()])
            .collect()
    }

    fn diff(&self, _cx: &Cx, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        if !actual.unrecorded.is_empty() {
            let methods = actual.unrecorded.len();
            diff.field("record", format!("lacks {methods} methods"), "whole");
        }
        let steps = self.steps(actual);
        for method in &steps.take {
            diff.field(method.label(), &method.authorization, "protected");
        }
        for (before, now) in &steps.give_back {
            diff.field(now.label(), "protected", &before.authorization);
        }
        if steps.deploy {
            let deployment = actual
                .stage
                .as_ref()
                .map_or("(none)", |stage| stage.deployment_id.as_str());
            diff.field("deployment", deployment, "(new)");
        }
        diff
    }

    async fn create(&self, cx: &Cx) -> Result<(), AwsError> {
        let cx = cx.fresh();
        let record = record::all(&cx)
            .await?
            .remove(&self.api)
            .unwrap_or_default();
        let actual = Actual::load(&cx, &self.api, record).await?;
        self.apply(&cx, &actual).await
    }

    async fn update(&self, cx: &Cx, actual: &Actual, _diff: &Diff) -> Result<(), AwsError> {
        self.apply(cx, actual).await
    }
}

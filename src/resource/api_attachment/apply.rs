//! The desired state of the attachment, and the steps to reach it.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::actual::Actual;
use super::automatic::{self, Switch};
use super::deployments::{is_of_closing, replaced};
use super::kind::ApiAttachments;
use super::marker::{DeploymentDigest, description, is_ours};
use super::method_steps::{Wanted, method_steps};
use super::own_deployments::remove;
use super::protect::protect;
use super::publication::Publication;
use super::record::{self, AttachmentState, ResponseBackup, digest};
use super::stages::{self, Frozen};
use super::{
    deleted_api, other_stacks, responses, restore, restored, selection, sharing, undeployed_changes,
};
use crate::api_gateway::change::{deploy, restore_method, set_authorizer, set_response};
use crate::api_gateway::{self, ApiTarget, Deployment, Method, Response, deployments};
use crate::decision::guarded;
use crate::id::LogicalId;
use crate::resource::health_check::SelfTestGate;
use crate::resource::{Context, Diff, Field, NEW, Resource, ResourceError, Shown, api_authorizer};

const AUTHORIZER_IN_THE_STAGE: Field = Field::Property("authorizer in the stage");
const AUTOMATIC_DEPLOYMENT: Field = Field::Property("automatic deployment");
const API: Field = Field::Property("API");
/// The value in JSON of a method that uses the authorizer.
pub const GUARDED: [&str; 2] = ["protected", "observed"];
pub const DEPLOYMENT: Field = Field::Property("deployment");
const RECORD: Field = Field::Property("record");

/// What the authorizer does for a method, in every stage or in this one.
#[derive(Debug, Clone, Copy)]
pub struct Guarded {
    pub observes: bool,
    pub in_this_stage: bool,
}

impl Shown for Guarded {
    fn text(&self) -> String {
        let word = guarded(self.observes);
        match self.in_this_stage {
            true => format!("{word} in this stage"),
            false => word.to_owned(),
        }
    }

    fn value(&self) -> Value {
        guarded(self.observes).into()
    }
}

/// With more changed methods than this, the draft is compared again before the deployment: API Gateway's
/// quota makes the changes of 300 methods take half a minute. Fewer take about as long as the comparison.
const MANY: usize = 10;

/// The desired state of the attachment.
#[derive(Debug)]
pub struct ApiAttachment {
    /// `main` for the first stage of the stack.
    pub name: String,
    pub api: ApiTarget,
    pub wanted: Wanted,
    pub publication: Arc<Publication>,
    pub authorizer: LogicalId,
    /// The permission that allows API Gateway to invoke the function.
    pub permission: LogicalId,
    /// The attachment to the stage before, if there are several: they share the draft.
    pub after: Option<LogicalId>,
    pub proof: Arc<SelfTestGate>,
    /// Identifies the deployments of this run; a repeated call has the same token.
    pub token: OnceLock<String>,
}

impl ApiAttachment {
    async fn apply(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let _turn = cx.api_turn().await;
        let is_new = cx.enter_api(&self.api).await?;
        if is_new || cx.stages().len() > 1 {
            return self.apply_afresh(cx).await;
        }
        self.apply_now(cx, actual).await
    }

    /// Reads the API before it is changed.
    async fn apply_afresh(&self, cx: &Context) -> Result<(), ResourceError> {
        let cx = cx.fresh();
        let actual = Actual::read(&cx, &self.api).await?;
        self.apply_now(&cx, &actual).await
    }

    async fn apply_now(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        if !actual.exists {
            return Err(deleted_api::deleted(&self.api.id));
        }
        deleted_api::explained(cx, self.api.api(), self.change(cx, actual).await).await
    }

    async fn change(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let is_writing = method_steps(actual, &self.wanted).writes();
        if !is_writing && (self.is_to_be_thawed(cx, actual) || is_thawed_by_others(actual)) {
            let is_ours = |uri: &str| api_authorizer::is_ours(cx, uri);
            let published = automatic::thaw(cx, &self.api, is_ours).await?;
            if !published.is_empty() {
                notice_published(cx, actual, &published);
                self.publication.note_republished(&self.api);
            }
        }
        let (switch, frozen, stages) = match is_writing {
            true => self.freeze(cx, actual).await?,
            false => (Switch::AtOnce, None, Vec::new()),
        };
        let actual = frozen.as_ref().unwrap_or(actual);
        let mut is_changed = false;
        let carried_out = self.carry_out(cx, actual, switch, &mut is_changed).await;
        if let Err(error) = &carried_out
            && !is_changed
            // Otherwise the same work is done again, or the last call may have been carried out.
            && error.retried_for().is_none()
        {
            thaw(cx, &stages).await;
        }
        carried_out
    }

    /// Makes the changes. `is_changed` is set with the first change of the draft or the stage that succeeds.
    async fn carry_out(
        &self,
        cx: &Context,
        actual: &Actual,
        switch: Switch,
        is_changed: &mut bool,
    ) -> Result<(), ResourceError> {
        let steps = method_steps(actual, &self.wanted);
        let publishes_changes = match steps.deploy {
            true => self.refuse_new_changes(cx, actual).await?,
            false => false,
        };
        let authorizer_id = cx.physical_id(&self.authorizer)?;
        let taken = || {
            steps
                .protect
                .iter()
                .chain(&steps.protect_for_deployment)
                .copied()
        };
        let mut unrecorded: Vec<_> = taken()
            .filter(|method| actual.is_to_be_recorded(method))
            .map(|method| restored::marked(method, &actual.authorizers))
            .collect();
        for before in &actual.unrecorded {
            if !unrecorded.iter().any(|now| now.label() == before.label()) {
                unrecorded.push(before.clone());
            }
        }
        record::note(cx, &self.api, &actual.record, &unrecorded).await?;
        let is_noted = |method: &&Method| unrecorded.iter().all(|new| new.key() != method.key());
        let kept = actual.record.methods().filter(is_noted);
        let recorded: Vec<_> = unrecorded.iter().chain(kept).collect();
        sharing::share(cx, &self.api, &recorded).await?;
        self.answer(cx, actual, &steps.responses).await?;
        let mut to_protect: Vec<_> = taken().collect();
        // One that API Gateway may refuse to change comes first, before anything is changed.
        to_protect.sort_by_key(|method| !method.is_managed);
        if switch == Switch::RouteByRoute {
            to_protect = self
                .change_first(cx, actual, to_protect, &authorizer_id)
                .await?;
        }
        for method in to_protect {
            protect(cx, &self.api, method, &authorizer_id).await?;
            *is_changed = true;
        }
        for (before, now) in &steps.restore {
            let wanted = restore::wanted(cx, actual, before);
            restore_method(cx, self.api.api(), &wanted, now).await?;
            *is_changed = true;
        }
        if steps.deploy && switch == Switch::AtOnce {
            if taken().count() + steps.restore.len() > MANY {
                self.refuse_new_changes(&cx.fresh(), actual).await?;
            }
            // Listed first: what others deploy after the stage is read is then new.
            let before = deployments(cx, self.api.api()).await?;
            let now = actual.with_current_stage(cx).await?;
            automatic::ensure_frozen(switch, now.stage.as_ref())?;
            let mut head = self
                .note_previous(cx, &now, &before, publishes_changes)
                .await?;
            if let Some(head) = head
                .as_mut()
                .filter(|_| !steps.reset_for_deployment.is_empty())
            {
                head.resetting = true;
                record::write_head(cx, &self.api, head).await?;
            }
            for (before, now) in &steps.reset_for_deployment {
                let wanted = reset(actual, before, now);
                restore_method(cx, self.api.api(), &wanted, now).await?;
                *is_changed = true;
            }
            let fresh = crate::hex::random::<6>()?;
            let token = self.token.get_or_init(|| fresh);
            let (asks, answers) = (digest(&self.wanted.asks), steps.responses.digest());
            let holds = DeploymentDigest {
                authorizer: Some(&asks),
                responses: answers.as_deref(),
                limits: steps.responses.limits(),
            };
            let description = description(&actual.marker, token, holds);
            let made = deploy(cx, &self.api, now.stage.as_ref(), &description).await;
            let made = automatic::explained(cx, &self.api, made).await?;
            *is_changed = true;
            self.publication.note_made(&self.api);
            self.note_replaced(cx, &now, &before, made.as_deref(), head)
                .await?;
        }
        for (before, now) in &steps.reset_for_deployment {
            let theirs = now.authorizer_id.as_deref().unwrap_or_default();
            let reset = reset(actual, before, now);
            set_authorizer(cx, self.api.api(), &reset, theirs).await?;
        }
        for (now, authorizer_id) in &steps.return_to_other_stack {
            set_authorizer(cx, self.api.api(), now, authorizer_id).await?;
        }
        for method in &steps.protect_for_deployment {
            let now = method.asking(&authorizer_id);
            restore_method(cx, self.api.api(), method, &now).await?;
        }
        for (before, now) in &steps.restore_after_crash {
            restore_method(cx, self.api.api(), before, now).await?;
        }
        if actual.record.is_in_between() || !steps.reset_for_deployment.is_empty() {
            self.settle(cx, actual).await?;
        }
        Ok(())
    }

    /// Freezes the stages of the stack that deploy automatically, and reads the API again. Also returns the stages that this
    /// has frozen.
    async fn freeze(
        &self,
        cx: &Context,
        actual: &Actual,
    ) -> Result<(Switch, Option<Actual>, Vec<ApiTarget>), ResourceError> {
        automatic::refuse_other_stages(cx, &self.api).await?;
        let Frozen {
            mut stages,
            mut refused,
        } = stages::freeze_others(cx, &self.api).await?;
        let stage = actual.stage.as_ref();
        let stage = stage.filter(|stage| stage.deploys_automatically && refused.is_empty());
        let mut frozen = None;
        if let (Some(stage), Some(head)) = (stage, &actual.record.head) {
            let serves_ours = actual.serves_ours();
            let switch = automatic::freeze(cx, &self.api, head, stage, serves_ours).await?;
            match switch {
                Switch::RouteByRoute if cx.stages().len() > 1 => {
                    refused.push(self.api.stage.clone());
                }
                Switch::RouteByRoute => {}
                Switch::AtOnce => stages.push(self.api.clone()),
            }
            frozen = Some(switch);
        }
        if let Some(refused) = refused.first() {
            thaw(cx, &stages).await;
            return Err(automatic::cannot_freeze(&self.api, refused));
        }
        let Some(switch) = frozen else {
            return Ok((Switch::AtOnce, None, stages));
        };
        let now = match Actual::read(&cx.fresh(), &self.api).await {
            Ok(now) => now,
            Err(error) => {
                if error.retried_for().is_none() {
                    thaw(cx, &stages).await;
                }
                return Err(error);
            }
        };
        automatic::ensure_frozen(switch, now.stage.as_ref())?;
        Ok((switch, Some(now), stages))
    }

    /// Whether the stage serves this stack's verified deployment, and only its automatic deployment is still off.
    fn is_to_be_thawed(&self, cx: &Context, actual: &Actual) -> bool {
        let (Some(stage), Some(head)) = (&actual.stage, &actual.record.head) else {
            return false;
        };
        let is_verified = cx.options().skip_verification
            || head.verified.as_ref() == Some(&stage.deployment_id)
            || !is_ours(cx, &stage.description);
        is_verified && automatic::is_frozen(Some(head), Some(stage))
    }

    /// Reads the undeployed changes of other users again before the API is changed. Returns whether
    /// there are any.
    ///
    /// # Errors
    /// When there is a change that the operator has not accepted.
    async fn refuse_new_changes(
        &self,
        cx: &Context,
        actual: &Actual,
    ) -> Result<bool, ResourceError> {
        let Some(api) = api_gateway::get(cx.aws(), self.api.api()).await? else {
            return Err(deleted_api::deleted(&self.api.id));
        };
        let served = actual
            .stage
            .as_ref()
            .and_then(|stage| stage.served.as_ref());
        let is_as_before = |before: &Method| {
            let key = before.key();
            served.and_then(|served| served.get(&key)) == Some(&before.authorization)
        };
        let held = actual.held_elsewhere.iter().map(|held| &held.before);
        let wanted = actual.methods.iter().filter(|method| {
            self.wanted.is_protected(method)
                && (selection::is_free(method, &self.wanted.protect)
                    || other_stacks::is_lent(method, &actual.elsewhere))
        });
        let ours = actual
            .all_before()
            .chain(held.filter(|before| is_as_before(before)))
            .chain(wanted)
            .map(|method| method.key())
            .collect();
        let found =
            undeployed_changes::look(cx, &api, &self.api, ours, &self.wanted.responses).await?;
        let new = self.publication.new_among(&found);
        if new.is_empty() {
            return Ok(!found.is_empty());
        }
        Err(ResourceError::ConcurrentChange {
            what: format!("the API was changed concurrently: {}", new.join("; ")),
            hint: Some("`threescale-gw plan` shows the changes; revert them, or run `threescale-gw up` again and accept them".to_owned()),
        })
    }

    /// Records a deployment that others made between the reading of the stage and this stack's deployment, which replaced
    /// it: no rollback goes behind it. Both are of the same draft, so nothing of theirs is lost.
    async fn note_replaced(
        &self,
        cx: &Context,
        now: &Actual,
        before: &[Deployment],
        made: Option<&str>,
        head: Option<AttachmentState>,
    ) -> Result<(), ResourceError> {
        let noted = now.stage.as_ref().map(|stage| stage.deployment_id.as_str());
        let theirs = replaced(cx, &self.api, &now.marker, before, &[noted, made]).await?;
        let (Some(theirs), Some(head)) = (theirs, head) else {
            return Ok(());
        };
        let text = format!(
            "another user deployed stage {} meanwhile ({theirs}): this stack's deployment is on top of it",
            self.api.stage
        );
        cx.notice(&now.id, text);
        // It has this stack's authorizer, because the draft had it.
        let noted = AttachmentState {
            previous_deployment: None,
            last_deployment: Some(theirs),
            verified: None,
            published: false,
            ..head
        };
        record::write_head(cx, &self.api, &noted).await
    }

    /// Clears the interrupted states: this stack protects the methods again that a `down
    /// --keep-protected` had closed, and the methods of other stacks have their own authorizers again.
    async fn settle(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        // The head may have been written since `actual` was read.
        let cx = cx.fresh();
        let record = record::all(&cx).await?.remove(&self.api);
        let Some(head) = record.and_then(|record| record.head) else {
            return Ok(());
        };
        if head.closing {
            let others = sharing::others(&cx, &self.api).await?;
            let kept = sharing::former(others.iter().map(|(_, record)| record));
            for found in deployments(&cx, self.api.api()).await? {
                if is_of_closing(actual, &found.id, &found.description) && !kept.contains(&found.id)
                {
                    remove(&cx, &actual.id, &self.api, &found.id).await?;
                }
            }
        }
        let settled = AttachmentState {
            closing: false,
            resetting: false,
            ..head
        };
        record::write_head(&cx, &self.api, &settled).await
    }

    /// Writes this stack's gateway responses, and restores those that the stack no longer manages.
    async fn answer(
        &self,
        cx: &Context,
        actual: &Actual,
        steps: &responses::Steps,
    ) -> Result<(), ResourceError> {
        let record = &actual.record.responses;
        let sharing = sharing::of_run(cx, &self.api).await?;
        let unrecorded = actual.unrecorded_responses.iter();
        for (kind, taken) in unrecorded.filter(|(kind, _)| !steps.restore.contains(kind)) {
            record::write_response(cx, &self.api, kind, taken, false).await?;
        }
        let known = actual.taken_responses();
        for kind in &steps.write {
            let response = &steps.managed[kind];
            let records = [known.get(*kind), actual.shared_responses.get(*kind)];
            let taken = ResponseBackup::of(actual.responses.get(*kind), records);
            let taken = taken.with_written(response);
            let is_recorded = known.contains_key(*kind);
            record::write_response(cx, &self.api, kind, &taken, is_recorded).await?;
            for (other, record) in &sharing {
                let is_recorded = record.responses.contains_key(*kind);
                record::write_response(cx, other, kind, &taken, is_recorded).await?;
            }
            let now = actual.responses.get(*kind);
            if now != Some(response) {
                set_response(cx, &self.api.id, kind, Some(response), now).await?;
            }
        }
        for kind in &steps.restore {
            let taken = known.get(kind).cloned().unwrap_or_default();
            let is_shared = actual.shared_responses.contains_key(kind);
            let now = actual.responses.get(kind);
            if !is_shared && responses::is_untouched(&taken, now) {
                set_response(cx, &self.api.id, kind, taken.before.as_ref(), now).await?;
            }
            if record.contains_key(kind) {
                record::remove_response(cx, &self.api, kind).await?;
            }
        }
        Ok(())
    }

    /// Records the deployments to roll back to. After a failed deployment, this is the deployment
    /// served now. For the removal of this stack, it is the deployment before this stack's first,
    /// unless another user published later: a rollback would discard that user's changes. Returns the
    /// updated head.
    async fn note_previous(
        &self,
        cx: &Context,
        actual: &Actual,
        deployments: &[Deployment],
        publishes_changes: bool,
    ) -> Result<Option<AttachmentState>, ResourceError> {
        let (Some(stage), Some(head)) = (&actual.stage, &actual.record.head) else {
            return Ok(None);
        };
        let is_previous = head.previous_deployment.as_ref() == Some(&stage.deployment_id);
        let mut noted = AttachmentState {
            last_deployment: (!is_previous).then(|| stage.deployment_id.clone()),
            as_before: Vec::new(),
            ..head.clone()
        };
        // API Gateway itself deploys such a stage: when this stack's authorizer is created, and when the stage is thawed.
        let is_automatic = head.frozen;
        let is_known = is_previous
            || is_ours(cx, &stage.description)
            || (is_automatic && actual.serves_ours())
            || is_of_closing(actual, &stage.deployment_id, &stage.description);
        if !is_known {
            let elsewhere = sharing::needed_elsewhere(cx, &self.api).await?;
            let first = is_automatic
                || !deployments
                    .iter()
                    .any(|found| is_ours(cx, &found.description) && !elsewhere.contains(&found.id));
            // A deployment of another user that uses this stack's authorizer is no rollback target, even if
            // this stack's own deployments no longer exist.
            let goes_back = first && !actual.serves_ours();
            noted.previous_deployment = goes_back.then(|| stage.deployment_id.clone());
            noted.verified = None;
            noted.published = false;
        }
        noted.published |= publishes_changes;
        if noted != *head {
            record::write_head(cx, &self.api, &noted).await?;
        }
        Ok(Some(noted))
    }
}

/// How a method of another stack is for the deployment: as before that stack. `now`: its current state.
fn reset(actual: &Actual, before: &Method, now: &Method) -> Method {
    if restored::is_in_use(before, now) {
        return restored::opened(now);
    }
    Method {
        resource_id: now.resource_id.clone(),
        ..actual.restored(before)
    }
}

/// Thaws stages that this run has frozen, before it has changed anything. One that stays frozen is reported at the end of the
/// run, and thawed by the next one.
async fn thaw(cx: &Context, stages: &[ApiTarget]) {
    for stage in stages {
        let is_ours = |uri: &str| api_authorizer::is_ours(cx, uri);
        let _ = automatic::thaw(cx, stage, is_ours).await;
    }
}

/// Whether the stage deploys automatically again although no run has recorded it.
fn is_thawed_by_others(actual: &Actual) -> bool {
    let head = actual.record.head.as_ref();
    let stage = actual.stage.as_ref();
    head.is_some_and(|head| head.frozen) && stage.is_some_and(|stage| stage.deploys_automatically)
}

/// Tells which changes of others automatic deployment has published.
fn notice_published(cx: &Context, actual: &Actual, published: &[String]) {
    let text = format!(
        "automatic deployment is on again, which published changes of others: {}",
        published.join("; ")
    );
    cx.notice(&actual.id, text);
}

impl Resource for ApiAttachment {
    type Kind = ApiAttachments;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let needs = [self.authorizer.clone(), self.permission.clone()];
        needs.into_iter().chain(self.after.clone()).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        if !actual.exists {
            diff.field(API, "(none)", &self.api.id);
            return diff;
        }
        let steps = method_steps(actual, &self.wanted);
        let guarded = Guarded {
            observes: self.wanted.asks.observes(),
            in_this_stage: false,
        };
        let is_new = actual.record.chunks.is_empty() && steps.deploy && !actual.serves_ours();
        if is_new {
            // Another stage of the stack has them in the draft.
            for (before, now) in actual.held() {
                let before = before.shown_authorization();
                diff.field(Field::Method(now.label()), before, guarded);
            }
        } else if !actual.unrecorded.is_empty() {
            let methods = actual.unrecorded.len();
            let unit = self.api.protocol.unit();
            let plural = if methods == 1 { "" } else { "s" };
            diff.field(
                RECORD,
                format!("{methods} {unit}{plural} missing"),
                "complete",
            );
        }
        if actual.record.is_in_between() || is_thawed_by_others(actual) {
            diff.field(RECORD, "of an interrupted run", "complete");
        }
        for method in &steps.protect {
            diff.field(
                Field::Method(method.label()),
                method.shown_authorization(),
                guarded,
            );
        }
        for method in &steps.protect_for_deployment {
            diff.field(
                Field::Method(method.label()),
                "another stack's",
                Guarded {
                    in_this_stage: true,
                    ..guarded
                },
            );
        }
        for (before, now) in &steps.restore {
            let to = match restored::is_in_use(before, now) {
                true => restored::opened(now),
                false => (*before).clone(),
            };
            let to = to.shown_authorization();
            diff.field(Field::Method(now.label()), guarded, to);
        }
        for (_, now) in &steps.restore_after_crash {
            diff.field(
                Field::Method(now.label()),
                guarded,
                "another stack's in the draft",
            );
        }
        for (now, _) in &steps.return_to_other_stack {
            diff.field(
                Field::Method(now.label()),
                now.shown_authorization(),
                "another stack's in the draft",
            );
        }
        for kind in &steps.responses.write {
            let now = actual.responses.get(*kind);
            let managed = steps.responses.managed.get(*kind);
            let from = match now {
                None => "API Gateway's",
                Some(now) if managed == Some(now) => "not recorded",
                Some(_) if actual.taken_responses().contains_key(*kind) => "other texts",
                Some(_) => "customized by others",
            };
            let status = |response: Option<&Response>| response?.status.clone();
            let told = responses::told(kind, self.wanted.responses.limits);
            let (from, to) = match (status(now), status(managed)) {
                (Some(now), Some(next)) if now != next => (
                    format!("{from}, status {now}"),
                    format!("{told}, status {next}"),
                ),
                _ => (from.to_owned(), told.to_owned()),
            };
            diff.field(Field::Item("response", (*kind).to_owned()), from, to);
        }
        for kind in &steps.responses.restore {
            diff.field(
                Field::Item("response", kind.clone()),
                "3scale's texts",
                "as before",
            );
        }
        if steps.deploy && !steps.serves_settings && !actual.is_before_us() {
            diff.field(AUTHORIZER_IN_THE_STAGE, "other settings", "as configured");
        }
        let is_frozen = automatic::is_frozen(actual.record.head.as_ref(), actual.stage.as_ref());
        if is_frozen && (steps.deploy || self.is_to_be_thawed(cx, actual)) {
            diff.field(AUTOMATIC_DEPLOYMENT, "off", "on");
        }
        if steps.deploy {
            let deployment = actual
                .stage
                .as_ref()
                .map_or("(none)", |stage| stage.deployment_id.as_str());
            diff.field(DEPLOYMENT, deployment, NEW);
        }
        diff
    }

    async fn prepare(&self, cx: &Context, _diff: Option<&Diff>) -> Result<(), ResourceError> {
        self.proof.ensure_passed(cx).await
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let _turn = cx.api_turn().await;
        cx.enter_api(&self.api).await?;
        self.apply_afresh(cx).await
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        self.apply(cx, actual).await
    }
}

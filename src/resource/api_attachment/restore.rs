//! Restores the API: methods, gateway responses and stage return to their original state, which is
//! verified by reading them again.

use std::cmp::Reverse;
use std::time::Duration;

use super::actual::Actual;
use super::marker::is_ours;
use super::own_deployments::remove_unserved;
use super::record::{self, AttachmentState, CLOSED, Record, ResponseBackup};
use super::removal::{ensure_leaves, refuse_of_another_stack, restore_stage};
use super::{automatic, missing_record, responses, restored, sharing, stages, still_served};
use crate::api_gateway::change::{restore_method, set_response};
use crate::api_gateway::{self, ApiTarget, AuthorizationType, Method, Protocol};
use crate::aws::{AwsError, optional};
use crate::resource::{Context, ResourceError, api_authorizer};

/// How often routes are restored while others change the API.
const ATTEMPTS: usize = 5;

/// How long a listing may lag behind a write.
const LAG: Duration = Duration::from_secs(60);

/// Restores everything, and deletes the record only when the API matches it.
///
/// # Errors
/// The errors of the services, or what still differs.
pub(super) async fn restore(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
    missing_record::refuse(&actual.unknown)?;
    ensure_leaves(cx, actual).await?;
    refuse_of_another_stack(cx, actual).await?;
    let frozen = freeze(cx, actual).await?;
    let actual = frozen.as_ref().unwrap_or(actual);
    // If only the stage changed, the attachment to the new stage has taken these over.
    let stays = cx.successor(&actual.target);
    let kept = match stays {
        Some(api) => record::all(cx).await?.remove(api).unwrap_or_default(),
        None => Record::default(),
    };
    let is_kept = |method: &Method| kept.method(&method.path, &method.method).is_some();
    for before in actual.record.methods().filter(|before| !is_kept(before)) {
        tell_changed(cx, actual, before);
    }
    if let Some(head) = &actual.record.head
        && cx.options().keep_protected
        && !head.closing
    {
        let closing = AttachmentState {
            closing: true,
            ..head.clone()
        };
        record::write_head(cx, &actual.target, &closing).await?;
        sharing::note_closing(cx, &actual.target).await?;
    }
    let reopened = actual.closed().filter(|_| !cx.options().keep_protected);
    let given: Vec<_> = actual
        .held()
        .chain(reopened)
        .filter(|(before, _)| !is_kept(before))
        .map(|(before, now)| (wanted(cx, actual, before), now))
        .collect();
    for (wanted, now) in &given {
        restore_method(cx, actual.target.api(), wanted, now).await?;
    }
    if given.is_empty() {
        still_served::deploy_again(cx, actual).await?;
    }
    match stays {
        None => restore_responses(cx, actual).await?,
        // The attachment to the new stage may not have taken them over yet.
        Some(api) => {
            for (kind, taken) in &actual.record.responses {
                if !kept.responses.contains_key(kind) {
                    record::write_response(cx, api, kind, taken, false).await?;
                }
            }
        }
    }
    let moved_to = restore_stage(cx, actual).await?;
    prove(
        cx,
        actual,
        given.iter().map(|(wanted, _)| wanted),
        stays.is_none(),
        moved_to.as_deref(),
    )
    .await?;
    let is_our_uri = |uri: &str| api_authorizer::is_ours(cx, uri);
    let published = automatic::thaw(cx, &actual.target, is_our_uri).await?;
    if !published.is_empty() {
        let text = format!(
            "automatic deployment is on again, which published changes of others: {}",
            published.join("; ")
        );
        cx.notice(&actual.id, text);
    }
    if stays.is_none() {
        still_served::refuse(cx, &actual.target).await?;
    }
    if let Some(failure) = automatic::failed_deployment(&cx.fresh(), &actual.target).await? {
        cx.notice(&actual.id, failure);
    }
    if actual.target.protocol != Protocol::Rest && stays.is_none() {
        remove_unserved(cx, &actual.id, &actual.target).await?;
    }
    if stays.is_none() {
        refuse_while_served(&cx.fresh(), &actual.target).await?;
    }
    record::remove_items(cx, &actual.target, &actual.record).await
}

/// Freezes a stage that deploys automatically and serves this stack's authorizer, and reads the API again.
async fn freeze(cx: &Context, actual: &Actual) -> Result<Option<Actual>, ResourceError> {
    let reopens = !cx.options().keep_protected && actual.closed().next().is_some();
    let changes_draft = reopens || actual.held().next().is_some();
    if changes_draft {
        // One that cannot be frozen deploys each restored route.
        stages::freeze_others(cx, &actual.target).await?;
    }
    let (Some(stage), Some(head)) = (&actual.stage, &actual.record.head) else {
        return Ok(None);
    };
    let is_needed = changes_draft || actual.serves_ours();
    if !stage.deploys_automatically || !is_needed {
        return Ok(None);
    }
    let switch = automatic::freeze(cx, &actual.target, head, stage, actual.serves_ours()).await?;
    let now = Actual::read(&cx.fresh(), &actual.target).await?;
    automatic::ensure_frozen(switch, now.stage.as_ref())?;
    Ok(Some(now))
}

/// Reports a method that another user changed since; the change is kept.
fn tell_changed(cx: &Context, actual: &Actual, before: &Method) {
    let Some(now) = actual
        .methods
        .iter()
        .find(|now| now.path == before.path && now.method == before.method)
    else {
        return;
    };
    let as_before = now.has_authorization_of(&actual.restored(before));
    if !actual.is_taken(now) && !as_before && !actual.is_closed(now) {
        let text = format!(
            "{} was changed by another user since and stays unchanged",
            now.label()
        );
        cx.notice(&actual.id, text);
    }
}

/// The desired state of a method after this stack is removed: its original state, unless that is
/// impossible, or the operator prefers a closed method to an open one.
pub(super) fn wanted(cx: &Context, actual: &Actual, before: &Method) -> Method {
    if cx.options().keep_protected && before.authorization == AuthorizationType::None {
        return restored::closed(before);
    }
    let now = actual.methods.iter().find(|now| now.key() == before.key());
    if let Some(now) = now.filter(|now| restored::is_in_use(before, now)) {
        let text = format!(
            "{} was created by this stack, and is used by another user since: it stays, without authorization",
            before.label()
        );
        cx.notice(&actual.id, text);
        return restored::opened(now);
    }
    restored::restored(before, &actual.authorizers).unwrap_or_else(|| {
        let text = format!(
            "the authorizer {} of {} no longer exists: it is set to {CLOSED} instead of being opened",
            before.authorizer_id.as_deref().unwrap_or_default(),
            before.label()
        );
        cx.notice(&actual.id, text);
        restored::closed(before)
    })
}

/// The gateway responses that this stack replaced, except those that another stack needs: the last
/// stack restores them.
fn given_back(actual: &Actual) -> impl Iterator<Item = (&String, &ResponseBackup)> {
    let taken = actual.record.responses.iter();
    taken.filter(|(kind, _)| !actual.shared_responses.contains_key(*kind))
}

async fn restore_responses(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
    for (kind, taken) in given_back(actual) {
        let now = actual.responses.get(kind);
        if now == taken.before.as_ref() {
            continue;
        }
        if responses::is_untouched(taken, now) {
            set_response(cx, &actual.target.id, kind, taken.before.as_ref(), now).await?;
        } else {
            let text = format!(
                "the gateway response {kind} was changed by another user since and stays unchanged"
            );
            cx.notice(&actual.id, text);
        }
    }
    Ok(())
}

/// Restores the routes of the draft after a rollback of frozen stages to their former deployments, and thaws them: then the
/// draft is what they serve. Returns whether it did. It does not if a stage still has this stack's authorizer.
///
/// # Errors
/// The errors of the services.
pub async fn withdraw(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    let cx = &cx.fresh();
    let mut frozen = Vec::new();
    let mut attached = None;
    for (stage, record) in record::all(cx).await? {
        if stage.api() != target.api() {
            continue;
        }
        let actual = Actual::load(cx, &stage, record).await?;
        if actual.stage.is_some() && !actual.is_before_us() {
            return Ok(false);
        }
        if automatic::is_frozen(actual.record.head.as_ref(), actual.stage.as_ref()) {
            frozen.push(stage);
        }
        attached = Some(actual);
    }
    let Some(actual) = attached.filter(|_| !frozen.is_empty()) else {
        return Ok(false);
    };
    restore_routes(cx, &actual, |_| true).await?;
    for stage in &frozen {
        automatic::thaw(cx, stage, |uri| api_authorizer::is_ours(cx, uri)).await?;
    }
    Ok(true)
}

/// Restores the routes of the draft that use this stack's authorizer, newest first. Returns their number. Reads the API again if
/// others change it meanwhile.
///
/// # Errors
/// The errors of the services.
pub(super) async fn restore_routes(
    cx: &Context,
    actual: &Actual,
    is_meant: impl Fn(&Method) -> bool,
) -> Result<usize, ResourceError> {
    let (mut restored, mut attempts) = (0, 1);
    let mut read;
    let mut actual = actual;
    loop {
        match restore_held(cx, actual, &is_meant, &mut restored).await {
            Err(error) if attempts < ATTEMPTS && error.is_behind_another_write().is_some() => {
                attempts += 1;
                read = Actual::read(&cx.fresh(), &actual.target).await?;
                actual = &read;
            }
            ended => return Ok(ended.map(|()| restored)?),
        }
    }
}

/// The same once, as the API was read. Counts the restored routes.
async fn restore_held(
    cx: &Context,
    actual: &Actual,
    is_meant: &impl Fn(&Method) -> bool,
    restored: &mut usize,
) -> Result<(), AwsError> {
    let mut held: Vec<_> = actual.held().filter(|(_, now)| is_meant(now)).collect();
    held.sort_by_key(|(_, now)| Reverse(automatic::order(now)));
    for (before, now) in &held {
        let wanted = wanted(cx, actual, before);
        restore_method(cx, actual.target.api(), &wanted, now).await?;
        *restored += 1;
    }
    Ok(())
}

/// Reads the restored methods, gateway responses and stage again: each must have its desired state.
async fn prove<'a>(
    cx: &Context,
    actual: &Actual,
    given: impl Iterator<Item = &'a Method>,
    with_responses: bool,
    moved_to: Option<&str>,
) -> Result<(), ResourceError> {
    let cx = cx.fresh();
    let methods =
        optional(api_gateway::methods(&cx, actual.target.api()).await)?.unwrap_or_default();
    for wanted in given {
        let Some(now) = methods
            .iter()
            .find(|now| now.path == wanted.path && now.method == wanted.method)
        else {
            continue;
        };
        if !now.has_authorization_of(wanted) {
            let (now, label) = (&now.authorization, now.label());
            return Err(lags(format!(
                "{label} is {now} after it was restored to {}",
                wanted.authorization
            )));
        }
    }
    if with_responses && !actual.record.responses.is_empty() {
        let responses = api_gateway::responses(&cx, actual.target.api()).await?;
        for (kind, taken) in given_back(actual) {
            let now = responses.get(kind);
            if now != taken.before.as_ref() && responses::is_untouched(taken, now) {
                return Err(lags(format!(
                    "the gateway response {kind} is still the one of this stack"
                )));
            }
        }
    }
    if let (Some(to), Some(from)) = (moved_to, &actual.stage) {
        let now = api_gateway::stage(&cx, &actual.target).await?;
        // A deployment that another user published in between is accepted; this stack's former deployment
        // is not, because it uses the authorizer that will be deleted.
        if let Some(now) = now
            .as_ref()
            .as_ref()
            .filter(|now| now.deployment_id == from.deployment_id && now.deployment_id != to)
        {
            return Err(lags(format!(
                "stage {} serves deployment {} after it was moved to {to}",
                actual.target.stage, now.deployment_id
            )));
        }
    }
    Ok(())
}

/// The draft belongs to the whole API: a user who deployed another stage since has published this
/// stack's authorizer there. Without the authorizer that stage could not answer, so the authorizer
/// stays until no stage uses it.
async fn refuse_while_served(cx: &Context, target: &ApiTarget) -> Result<(), ResourceError> {
    let attached = record::all(cx).await?;
    let (mut asked, mut ours) = (Vec::new(), Vec::new());
    for stage in api_gateway::stages(cx.aws(), target.api()).await? {
        let Some(deployment) = stage.deployment else {
            continue;
        };
        let other = target.api().stage(stage.name);
        // The stages with recorded methods are restored separately.
        let recorded = attached.get(&other);
        if other == *target || recorded.is_some_and(|record| !record.chunks.is_empty()) {
            continue;
        }
        let export = api_gateway::export(cx, &other).await?;
        let asks = match &*export {
            Some(export) => export
                .methods
                .values()
                .filter_map(|method| method.authorizer_uri.as_deref())
                .any(|uri| api_authorizer::is_ours(cx, uri)),
            None => is_ours(
                cx,
                &api_gateway::deployment(cx, target.api(), &deployment)
                    .await?
                    .0,
            ),
        };
        if asks {
            let list = match recorded {
                Some(_) => &mut ours,
                None => &mut asked,
            };
            list.push(other.stage);
        }
    }
    if asked.is_empty() {
        return match ours.as_slice() {
            [] => Ok(()),
            // Until then, the record of this stage has what that one needs.
            stages => Err(lags(format!(
                "stage {} of API {} still uses this stack's authorizer",
                stages.join(", "),
                target.id
            ))),
        };
    }
    let text = format!(
        "stage {} of API {} still uses this stack's authorizer: another user deployed it there",
        asked.join(", "),
        target.id
    );
    Err(ResourceError::Blocked {
        what: text,
        hint: Some("the draft is restored: deploy the API to that stage again, or move the stage to another deployment; then run `threescale-gw down` again"
                .to_owned()),
    })
}

fn lags(what: String) -> ResourceError {
    ResourceError::NotVisible { what, within: LAG }
}

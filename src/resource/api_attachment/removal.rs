//! What the removal of this stack does to the stage: it returns to its former deployment, or the
//! restored draft is deployed. Such a deployment publishes the undeployed changes of others, too.

use std::collections::BTreeSet;

use super::actual::Actual;
use super::deployments::{is_of_closing, replaced};
use super::marker::{protects, restores};
use super::other_stacks::{is_lent, stack_of};
use super::own_deployments::remove;
use super::{sharing, undeployed_changes};
use crate::api_gateway::change::{deploy, move_stage};
use crate::api_gateway::{
    self, ApiTarget, AuthorizationType, Deployment, Method, Protocol, deployments,
};
use crate::resource::{Context, ResourceError};
use crate::responses::Responses;

/// How the removal of this stack changes what the stage serves.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StageMove {
    /// It does not serve this stack's authorizer.
    Stays,
    /// It returns to this deployment.
    Returns(String),
    /// The restored draft is deployed, for the reason that callers of the program should learn.
    Deploys(Option<&'static str>),
}

/// Decides how the stage is moved. `all`: the deployments of the API. Pure.
fn stage_move(actual: &Actual, all: &[Deployment], keep_protected: bool) -> StageMove {
    // The former deployment would open methods that should stay closed.
    let goes_back = !keep_protected;
    let Some(stage) = &actual.stage else {
        return StageMove::Stays;
    };
    if is_removed(
        actual,
        keep_protected,
        &stage.deployment_id,
        &stage.description,
    ) {
        let head = actual.record.head.as_ref();
        let is_published = head.is_some_and(|head| head.published);
        let previous = head
            .filter(|head| goes_back && !is_published && !head.frozen)
            .and_then(|head| head.previous_deployment.clone())
            .filter(|previous| all.iter().any(|found| found.id == *previous));
        return match previous {
            Some(previous) => StageMove::Returns(previous),
            None => StageMove::Deploys((goes_back && is_published).then_some(
                "changes of others were published with this stack's deployment: the restored draft is deployed on top of them",
            )),
        };
    }
    let is_automatic = actual.record.head.as_ref().is_some_and(|head| head.frozen);
    let is_restored = stage.description == restores(&actual.marker, keep_protected);
    if is_restored || !actual.serves_ours() {
        return StageMove::Stays;
    }
    if stage.deploys_automatically {
        // It could not be frozen, and deploys each restored route.
        return StageMove::Stays;
    }
    StageMove::Deploys((!is_automatic).then_some(
        "another user has deployed the API since: the restored draft is deployed on top",
    ))
}

/// Whether the removal of this stack moves the stage.
pub(super) fn moves(cx: &Context, actual: &Actual) -> bool {
    // To which deployment does not matter.
    stage_move(actual, &[], cx.options().keep_protected) != StageMove::Stays
}

/// Why a stage cannot leave the stages of the stack: it would have to serve a new deployment, which would contain the
/// authorizer, because the other stages keep it in the draft. `all`: the deployments of the API. Pure.
fn why_stuck(actual: &Actual, all: &[Deployment]) -> Option<&'static str> {
    if !matches!(stage_move(actual, all, false), StageMove::Deploys(_)) {
        return None;
    }
    let description = actual.stage.as_ref().map(|stage| &*stage.description);
    let is_ours = protects(description.unwrap_or_default(), &actual.marker).is_some();
    let head = actual.record.head.as_ref();
    Some(match head.filter(|_| is_ours) {
        None => "another user has deployed it since",
        Some(head) if head.published => {
            "changes of others were published with this stack's deployment"
        }
        Some(head) if head.previous_deployment.is_none() => {
            "no deployment without the authorizer is known to which it could return"
        }
        Some(_) => "the deployment that it served before the stack no longer exists",
    })
}

/// Whether a stage of a REST API leaves the stages of the run. Those of other APIs are refused.
fn is_leaving(cx: &Context, target: &ApiTarget) -> bool {
    target.protocol == Protocol::Rest && cx.successor(target).is_some()
}

/// The sentence about a stage that cannot leave the stages of the run.
///
/// # Errors
/// The error of the service.
pub(super) async fn stuck(cx: &Context, actual: &Actual) -> Result<Option<String>, ResourceError> {
    let target = &actual.target;
    if !is_leaving(cx, target) {
        return Ok(None);
    }
    let all = deployments(cx, target.api()).await?;
    Ok(why_stuck(actual, &all).map(|why| format!("{}: {STUCK_HINT}", told_stuck(target, why))))
}

fn told_stuck(target: &ApiTarget, why: &str) -> String {
    format!(
        "stage {} of {} {} cannot leave `api.stage`: {why}, and a new deployment would contain the authorizer, which the other stages keep",
        target.stage, target.protocol, target.id
    )
}

const STUCK_HINT: &str = "add the stage again, or run `threescale-gw down` first";

/// Refuses to change anything for a stage that cannot leave the stages of the run.
///
/// # Errors
/// The error of the service, or why.
pub(super) async fn ensure_leaves(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
    if !is_leaving(cx, &actual.target) {
        return Ok(());
    }
    let all = deployments(cx, actual.target.api()).await?;
    refuse_stuck(actual, &all)
}

fn refuse_stuck(actual: &Actual, all: &[Deployment]) -> Result<(), ResourceError> {
    match why_stuck(actual, all) {
        None => Ok(()),
        Some(why) => Err(ResourceError::ConcurrentChange {
            what: told_stuck(&actual.target, why),
            hint: Some(STUCK_HINT.to_owned()),
        }),
    }
}

/// Refuses to deploy the restored draft to the stage while another stack, which is attached to other stages, has its authorizer
/// there: the stage would get it.
///
/// # Errors
/// The error of the service, or the methods and that stack.
pub(super) async fn refuse_of_another_stack(
    cx: &Context,
    actual: &Actual,
) -> Result<(), ResourceError> {
    let all = deployments(cx, actual.target.api()).await?;
    match of_another_stack(actual, &all, cx.options().keep_protected) {
        None => Ok(()),
        Some((what, stack)) => Err(ResourceError::Blocked {
            what,
            hint: Some(format!(
                "run `threescale-gw down --stack {stack}` first; or move the stage with `threescale-gw rollback --to <deployment>`, and run \
                 `threescale-gw down` again"
            )),
        }),
    }
}

/// The sentence about it, and the stack. Pure.
fn of_another_stack(
    actual: &Actual,
    all: &[Deployment],
    keep_protected: bool,
) -> Option<(String, String)> {
    let is_deployed = matches!(
        stage_move(actual, all, keep_protected),
        StageMove::Deploys(_)
    );
    let served = actual.stage.as_ref()?.served.as_ref();
    let is_served = |method: &Method| {
        let now = served.and_then(|served| served.get(&method.key()));
        now == Some(&AuthorizationType::Custom) && actual.before(method).is_none()
    };
    let lent = |method: &&Method| is_lent(method, &actual.elsewhere) && !is_served(method);
    let mut lent = actual.methods.iter().filter(lent);
    let first = lent.next().filter(|_| is_deployed)?;
    let name = actual
        .authorizers
        .iter()
        .find(|found| first.authorizer_id.as_ref() == Some(&found.id))
        .map(|found| found.name.as_str());
    let stack = name.and_then(stack_of)?;
    let methods = match lent.count() {
        0 => first.label(),
        more => format!("{} and {more} more", first.label()),
    };
    let target = &actual.target;
    let text = format!(
        "stage {} of {} {} cannot return to its former deployment, and a new one would contain the authorizer of stack {stack} on {methods}",
        target.stage, target.protocol, target.id
    );
    Some((text, stack.to_owned()))
}

/// Whether the removal of this stack deletes the deployment. Pure.
fn is_removed(actual: &Actual, keep_protected: bool, id: &str, description: &str) -> bool {
    protects(description, &actual.marker).is_some()
        || (!keep_protected && is_of_closing(actual, id, description))
}

/// Moves the stage away from this stack's deployment: back to its former deployment if no other
/// user has published since, neither on top of this stack's deployment nor with it; otherwise to a
/// new deployment of the restored draft. Then deletes this stack's deployments that serve no other
/// stage of the stack. Returns the deployment that the stage was moved to.
pub(super) async fn restore_stage(
    cx: &Context,
    actual: &Actual,
) -> Result<Option<String>, ResourceError> {
    // Restoring the methods takes time, and a deployment that others make meanwhile is never replaced by
    // an older one.
    let target = &actual.target;
    let all = deployments(cx, target.api()).await?;
    let actual = &actual.with_current_stage(cx).await?;
    let keep_protected = cx.options().keep_protected;
    if is_leaving(cx, target) {
        refuse_stuck(actual, &all)?;
    }
    let moved_to = match stage_move(actual, &all, keep_protected) {
        StageMove::Stays => None,
        StageMove::Returns(previous) => {
            move_stage(cx, target, &previous).await?;
            if target.protocol == Protocol::WebSocket {
                let text = format!(
                    "stage {} serves deployment {previous} again: what others had changed in the draft since, which API Gateway does not list, is no longer served",
                    target.stage
                );
                cx.notice(&actual.id, text);
            }
            let from = actual.stage.as_ref();
            let from = from.map(|stage| stage.deployment_id.as_str());
            let known = [from, Some(previous.as_str())];
            let theirs = replaced(cx, target, &actual.marker, &all, &known).await?;
            if let Some(theirs) = &theirs {
                // It is of the restored draft.
                move_stage(cx, target, theirs).await?;
                let text = format!(
                    "another user deployed stage {} meanwhile: it serves deployment {theirs}",
                    target.stage
                );
                cx.notice(&actual.id, text);
            }
            Some(theirs.unwrap_or(previous))
        }
        StageMove::Deploys(why) => {
            refuse_new_edits(cx, actual).await?;
            if let Some(why) = why {
                cx.notice(&actual.id, why);
            }
            let description = restores(&actual.marker, keep_protected);
            deploy(cx, target, actual.stage.as_ref(), &description).await?
        }
    };
    let kept = sharing::needed_elsewhere(cx, target).await?;
    for found in all.iter().filter(|found| {
        is_removed(actual, keep_protected, &found.id, &found.description)
            && !kept.contains(&found.id)
    }) {
        remove(cx, &actual.id, target, &found.id).await?;
    }
    Ok(moved_to)
}

/// The undeployed changes of others that the removal of this attachment publishes.
///
/// # Errors
/// The errors of the services.
pub(super) async fn pending(cx: &Context, actual: &Actual) -> Result<Vec<String>, ResourceError> {
    let all = deployments(cx, actual.target.api()).await?;
    match stage_move(actual, &all, cx.options().keep_protected) {
        StageMove::Deploys(_) => edits(cx, actual).await,
        StageMove::Stays | StageMove::Returns(_) => Ok(Vec::new()),
    }
}

/// Refuses to deploy the restored draft with a change that the operator has not accepted.
///
/// # Errors
/// The errors of the services, or the changes.
async fn refuse_new_edits(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
    let Some(accepted) = &cx.options().accepted_edits else {
        return Ok(());
    };
    let mut new = edits(&cx.fresh(), actual).await?;
    new.retain(|edit| !accepted.contains(edit));
    if new.is_empty() {
        return Ok(());
    }
    Err(ResourceError::ConcurrentChange {
        what: format!("the API was changed concurrently: {}", new.join("; ")),
        hint: Some(
            "revert the changes, or run `threescale-gw down` again and accept them".to_owned(),
        ),
    })
}

/// The undeployed changes of others in the draft.
async fn edits(cx: &Context, actual: &Actual) -> Result<Vec<String>, ResourceError> {
    let target = &actual.target;
    let Some(api) = api_gateway::get(cx.aws(), target.api()).await? else {
        return Ok(Vec::new());
    };
    let head = actual.record.head.as_ref();
    let is_automatic = head.is_some_and(|head| head.frozen);
    if target.protocol == Protocol::WebSocket && !is_automatic {
        return Ok(vec![undeployed_changes::unlisted(target)]);
    }
    let ours: BTreeSet<_> = actual
        .all_before()
        .chain(actual.taken())
        .map(Method::key)
        .collect();
    undeployed_changes::look(cx, &api, target, ours, &Responses::OFF).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api_gateway::Stage;
    use crate::resource::api_attachment::record::{AttachmentState, Record};

    /// The move of a stage that serves a deployment with this description, and `GET /orders` with this
    /// authorization. `GET /orders` was open before this stack, and the former deployment is `d0`.
    fn moved(
        description: &str,
        authorization: AuthorizationType,
        state: AttachmentState,
        keep_protected: bool,
    ) -> StageMove {
        let before = Method::new("GET", "/orders");
        let served = [(before.key(), authorization)].into();
        let actual = Actual {
            record: Record {
                head: Some(state),
                chunks: BTreeMap::from([("methods-000".to_owned(), vec![before])]),
                responses: BTreeMap::new(),
            },
            stage: Some(Stage {
                deployment_id: "d1".to_owned(),
                description: description.to_owned(),
                served: Some(served),
                canary: None,
                authorizer_uris: None,
                deploys_automatically: false,
                is_managed: false,
                failed_deployment: None,
            }),
            ..Actual::example()
        };
        let all = [("d0", "first"), ("d1", description)];
        let all = all.map(|(id, description)| Deployment {
            id: id.to_owned(),
            description: description.to_owned(),
            created: None,
            is_automatic: false,
        });
        stage_move(&actual, &all, keep_protected)
    }

    #[test]
    fn the_stage_returns_only_from_our_deployment_to_the_one_before_it() {
        const OURS: &str = "threescale-gw-orders protects 1";
        let custom = AuthorizationType::Custom;
        let after = |previous: &str, published| AttachmentState {
            previous_deployment: Some(previous.to_owned()),
            published,
            ..AttachmentState::default()
        };
        let to_former = moved(OURS, custom.clone(), after("d0", false), false);
        assert_eq!(to_former, StageMove::Returns("d0".to_owned()));
        for (description, state, keep_protected) in [
            // Others published after this stack, or with it.
            ("theirs", after("d0", false), false),
            (OURS, after("d0", true), false),
            (OURS, AttachmentState::default(), false),
            // Others deleted the former deployment.
            (OURS, after("gone", false), false),
            (OURS, after("d0", false), true),
        ] {
            let moved = moved(description, custom.clone(), state, keep_protected);
            assert!(matches!(moved, StageMove::Deploys(_)), "{description}");
        }
        for (description, authorization) in [
            ("theirs", AuthorizationType::None),
            ("threescale-gw-orders restored", custom),
        ] {
            let moved = moved(description, authorization, after("d0", false), false);
            assert_eq!(moved, StageMove::Stays, "{description}");
        }
    }
}

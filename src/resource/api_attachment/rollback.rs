//! Rolls the stage back to the deployment it had before this stack's; nothing else changes.

use super::actual::Actual;
use super::automatic::{Switch, freeze_and_read};
use super::deployments::replaced;
use super::drafted::is_drafted;
use super::marker::{is_ours, marker, protects};
use super::record::{self, digest};
use super::restore::restore_routes;
use super::route_by_route::{Restored, restore_unproved};
use super::served::asks_us;
use super::still_served::{self, StillServed};
use crate::api_gateway::change::move_stage;
use crate::api_gateway::{self, ApiTarget, AuthorizerSettings, deployments};
use crate::aws::Class;
use crate::resource::{Context, ResourceError, api_authorizer, function_publication};

/// The target of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTarget {
    /// The deployment before this stack's: without the authorizer.
    BeforeUs,
    /// The deployment before this stack's newest, which may also be this stack's.
    Previous,
    /// The deployment with this id.
    Deployment(String),
}

/// The result of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolledBack {
    /// The stage serves `to` again instead of `from`.
    Moved { from: String, to: String },
    /// The stage serves another user's deployment, which does not contain this stack's authorizer.
    NotOurs { deployment: String },
    /// The stage serves another user's deployment that contains this stack's authorizer.
    OthersWithOurs { deployment: String },
    /// The stage serves this stack's deployment, and no former one is recorded because another user
    /// published in between.
    NoFormer { deployment: String },
    /// The deployment `to` no longer exists. The stage still serves `from`.
    Gone { from: String, to: String },
    /// The stage deploys automatically and cannot be moved, so what this stack has changed was changed back.
    ChangedBack(Restored),
    /// The same, and the stage still serves the authorizer where the draft does not have it any more.
    NotDeployed(Restored, StillServed),
    /// The stage or the API does not exist.
    NoStage,
}

impl RolledBack {
    /// Whether the stage still uses this stack's authorizer as it did.
    pub fn still_asks(&self) -> bool {
        match self {
            Self::OthersWithOurs { .. }
            | Self::NoFormer { .. }
            | Self::Gone { .. }
            | Self::NotDeployed(..) => true,
            Self::Moved { .. } | Self::ChangedBack(_) | Self::NotOurs { .. } | Self::NoStage => {
                false
            }
        }
    }
}

/// Rolls the stage back with one changing call. Methods, authorizer and record stay: the next `up`
/// detects that the stage does not serve this stack's deployment and deploys it again.
///
/// # Errors
/// The errors of the services.
pub async fn roll_back(
    cx: &Context,
    target: &ApiTarget,
    way: &RollbackTarget,
) -> Result<RolledBack, ResourceError> {
    let cx = cx.fresh();
    // Listed first: what others deploy after the stage is read is then new.
    let all = match way {
        RollbackTarget::Deployment(_) => Vec::new(),
        RollbackTarget::BeforeUs | RollbackTarget::Previous => {
            deployments(&cx, target.api()).await?
        }
    };
    let Some(stage) = (*api_gateway::stage(&cx, target).await?).clone() else {
        return Ok(RolledBack::NoStage);
    };
    let record = record::all(&cx).await?.remove(target).unwrap_or_default();
    let from = stage.deployment_id.clone();
    let head = record.head.clone().unwrap_or_default();
    let asks_us = asks_us(&cx, target, &stage, &record).await?;
    // After the thaw, API Gateway has deployed it.
    let is_automatic = stage.deploys_automatically || head.frozen;
    let to = match (way, &record.head) {
        (RollbackTarget::Deployment(to), _) => Some(to.clone()),
        _ if !(is_ours(&cx, &stage.description) || is_automatic && asks_us) => {
            return Ok(match asks_us {
                true => RolledBack::OthersWithOurs { deployment: from },
                false => RolledBack::NotOurs { deployment: from },
            });
        }
        (RollbackTarget::Previous, Some(head)) if head.last_deployment.is_some() => {
            head.last_deployment.clone()
        }
        (_, Some(head)) => {
            let is_behind = head.published || is_automatic;
            if is_behind && *way == RollbackTarget::BeforeUs {
                let text = match head.published {
                    true => {
                        "the previous deployment lacks changes of others that were published with this stack's deployment: they are no longer served"
                    }
                    false => {
                        "the previous deployment does not have what others may have changed in the API since the stack was attached"
                    }
                };
                cx.sink().notice(text);
            }
            head.previous_deployment.clone()
        }
        (_, None) => None,
    };
    let Some(to) = to else {
        return match stage.is_managed && stage.deploys_automatically {
            true => change_back(&cx, target, way).await,
            false => Ok(RolledBack::NoFormer { deployment: from }),
        };
    };
    if stage.deploys_automatically {
        let all = deployments(&cx, target.api()).await?;
        if all.iter().all(|found| found.id != to) {
            return Ok(RolledBack::Gone { from, to });
        }
        let switch = freeze_and_read(&cx, target, &head, &stage, asks_us).await?;
        if switch == Switch::RouteByRoute {
            return change_back(&cx, target, way).await;
        }
    }
    let Err(error) = move_stage(&cx, target, &to).await else {
        if matches!(way, RollbackTarget::Deployment(_)) {
            return Ok(RolledBack::Moved { from, to });
        }
        let known = [Some(from.as_str()), Some(to.as_str())];
        let Some(theirs) = replaced(&cx, target, &marker(&cx), &all, &known).await? else {
            return Ok(RolledBack::Moved { from, to });
        };
        // Made while the draft had this stack's authorizer, on top of this stack's deployment.
        move_stage(&cx, target, &theirs).await?;
        return Ok(RolledBack::OthersWithOurs { deployment: theirs });
    };
    // The service may report a missing deployment in several ways, so only the listing counts.
    let may_be_gone = matches!(
        error.class,
        Class::Fatal | Class::NotFound | Class::NotYet(_)
    );
    if may_be_gone
        && let Ok(all) = deployments(&cx, target.api()).await
        && all.iter().all(|found| found.id != to)
    {
        return Ok(RolledBack::Gone { from, to });
    }
    Err(error.into())
}

/// Changes back what a stage serves that API Gateway does not let anyone move: all routes, or what was not verified since.
async fn change_back(
    cx: &Context,
    target: &ApiTarget,
    way: &RollbackTarget,
) -> Result<RolledBack, ResourceError> {
    if let RollbackTarget::Deployment(to) = way {
        return Err(ResourceError::Blocked {
            what: format!(
                "stage {} of API {} was made by quick create and deploys automatically, so it cannot be moved to deployment {to}",
                target.stage, target.id
            ),
            hint: Some("`threescale-gw rollback` without --to restores its routes".to_owned()),
        });
    }
    let actual = Actual::read(&cx.fresh(), target).await?;
    let is_whole = *way == RollbackTarget::BeforeUs;
    let restored = match is_whole {
        true => Restored {
            routes: restore_routes(cx, &actual, |_| true).await?,
            settings: false,
        },
        false => restore_unproved(cx, target, &actual).await?,
    };
    if is_whole && restored.routes == 0 {
        still_served::deploy_again(cx, &actual).await?;
    }
    cx.sink().notice(format!(
        "{} in API {}; waiting until API Gateway has deployed them to stage {}",
        restored.describe(),
        target.id,
        target.stage
    ));
    if let Some(served) = still_served::look(cx, target).await? {
        return Ok(RolledBack::NotDeployed(restored, served));
    }
    if is_whole && restored.routes == 0 {
        let stage = api_gateway::stage(&cx.fresh(), target).await?;
        return Ok(match &*stage {
            Some(stage) => RolledBack::NotOurs {
                deployment: stage.deployment_id.clone(),
            },
            None => RolledBack::NoStage,
        });
    }
    Ok(RolledBack::ChangedBack(restored))
}

/// Whether the stage serves the deployment from before this stack, and the draft has this stack's authorizer.
///
/// # Errors
/// The errors of the services.
pub async fn is_rolled_back(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    let stage = api_gateway::stage(cx, target).await?;
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let former = record.head.and_then(|head| head.previous_deployment);
    let serves_former = (*stage)
        .as_ref()
        .is_some_and(|stage| former.as_ref() == Some(&stage.deployment_id));
    if !serves_former {
        return Ok(false);
    }
    is_drafted(cx, target, |uri| api_authorizer::is_ours(cx, uri)).await
}

/// The mode for which this stack made the deployment, if the live version of the authorizer has the other one: whether it
/// observes. In the mode observe, API Gateway asks the authorizer also about requests without a key.
///
/// # Errors
/// The errors of the services.
pub async fn other_mode(
    cx: &Context,
    target: &ApiTarget,
    deployment: &str,
) -> Result<Option<bool>, ResourceError> {
    let all = deployments(cx, target.api()).await?;
    let description = all.iter().find(|found| found.id == deployment);
    let mark = marker(cx);
    let holds = description.and_then(|found| protects(&found.description, &mark));
    let Some(asks) = holds.and_then(|holds| holds.authorizer) else {
        return Ok(None);
    };
    let none = AuthorizerSettings::observing(target.protocol);
    let observed = asks == digest(&none);
    let live = function_publication::observes(cx).await?;
    Ok(live.filter(|live| *live != observed).map(|_| observed))
}

/// The deployment to which a rollback returns the stage, if others have deleted it.
///
/// # Errors
/// The errors of the services.
pub async fn missing_target(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<String>, ResourceError> {
    let stage = api_gateway::stage(cx, target).await?;
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let serves_ours = match &*stage {
        Some(stage) if is_ours(cx, &stage.description) => true,
        Some(stage) => stage.deploys_automatically && asks_us(cx, target, stage, &record).await?,
        None => false,
    };
    let Some(to) = record
        .head
        .and_then(|head| head.previous_deployment)
        .filter(|_| serves_ours)
    else {
        return Ok(None);
    };
    let all = deployments(cx, target.api()).await?;
    Ok(all.iter().all(|found| found.id != to).then_some(to))
}

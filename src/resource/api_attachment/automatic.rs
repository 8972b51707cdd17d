//! Stages of HTTP and WebSocket APIs that deploy automatically.
//!
//! API Gateway deploys every change of the draft to such a stage at once, one route at a time, and does not let anyone set its
//! deployment. So that all routes change in one moment, the stage is *frozen* first: its automatic deployment is turned off,
//! and the record says so before. It is *thawed* after the verification: turned on again, which deploys the draft.
//!
//! A stage that quick create made may refuse to be frozen. Then each route takes effect when it is changed.

use std::time::Duration;

use super::record::{self, AttachmentState};
use super::{marker, other_stacks};
use crate::api_gateway::change::{await_automatic_deployments, set_automatic_deployment};
use crate::api_gateway::{self, ApiTarget, Method, MethodKey, Protocol, Stage, http};
use crate::aws::{AwsError, Class};
use crate::resource::{Context, ResourceError};

/// Whether the automatic deployment of the stage is off because a run has turned it off.
pub(super) fn is_frozen(head: Option<&AttachmentState>, stage: Option<&Stage>) -> bool {
    head.is_some_and(|head| head.frozen) && stage.is_some_and(|stage| !stage.deploys_automatically)
}

/// How the changes of a run take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// When the stage is moved to a new deployment.
    AtOnce,
    /// Each route when it is changed.
    RouteByRoute,
}

/// How long a stage may lag behind a write.
const LAG: Duration = Duration::from_secs(60);
/// The time between two readings.
const STEP: Duration = Duration::from_secs(1);

/// Refuses to go on while the stage still deploys automatically after it was frozen: the reading lags, or another user has
/// turned automatic deployment on.
///
/// # Errors
/// That it does.
pub(super) fn ensure_frozen(switch: Switch, stage: Option<&Stage>) -> Result<(), ResourceError> {
    match stage {
        Some(stage) if stage.deploys_automatically && switch == Switch::AtOnce => {
            Err(ResourceError::NotVisible {
                what: "the stage still deploys automatically".to_owned(),
                within: LAG,
            })
        }
        _ => Ok(()),
    }
}

/// Freezes the stage as [`freeze_at_once`] does, and again while it is read as one that still deploys automatically.
///
/// # Errors
/// The errors of the services, or that it still does after a minute.
pub(super) async fn freeze_and_read(
    cx: &Context,
    target: &ApiTarget,
    head: &AttachmentState,
    stage: &Stage,
    serves_ours: bool,
) -> Result<Switch, ResourceError> {
    let mut waited = Duration::ZERO;
    loop {
        let switch = freeze_at_once(cx, target, head, stage, serves_ours).await?;
        let now = api_gateway::stage(&cx.fresh(), target).await?;
        match ensure_frozen(switch, (*now).as_ref()) {
            Err(_) if waited < LAG => {
                waited += STEP;
                cx.aws().pause(STEP).await;
            }
            read => return read.map(|()| switch),
        }
    }
}

/// The error of a deployment in words, if the stage could not be moved to it because another user has turned automatic
/// deployment on since it was frozen.
///
/// # Errors
/// That, or the error itself.
pub(super) async fn explained<T>(
    cx: &Context,
    target: &ApiTarget,
    deployed: Result<T, AwsError>,
) -> Result<T, ResourceError> {
    match deployed {
        Err(error) if error.class == Class::Fatal && target.protocol != Protocol::Rest => {
            let stage = api_gateway::stage(&cx.fresh(), target).await?;
            match &*stage {
                Some(stage) if stage.deploys_automatically => {
                    Err(ResourceError::ConcurrentChange {
                        what: format!(
                            "another user has turned automatic deployment of stage {} of API {} on meanwhile, which deploys the draft",
                            target.stage, target.id
                        ),
                        hint: Some("run the same command again; it goes on from here".to_owned()),
                    })
                }
                _ => Err(error.into()),
            }
        }
        other => Ok(other?),
    }
}

/// Freezes a stage that serves this stack's authorizer, before the settings of the authorizer change: otherwise they would
/// take effect before the function is ready for them, and could not be undone with the stage. If the stage cannot be frozen,
/// `source`, the current identity source, is recorded instead.
///
/// # Errors
/// The errors of the services.
pub async fn freeze_before_settings(
    cx: &Context,
    target: &ApiTarget,
    source: &str,
) -> Result<(), ResourceError> {
    if target.protocol == Protocol::Rest {
        return Ok(());
    }
    let cx = &cx.fresh();
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let stage = api_gateway::stage(cx, target).await?;
    let (Some(head), Some(stage)) = (&record.head, &*stage) else {
        return Ok(());
    };
    if record.chunks.is_empty() {
        return Ok(());
    }
    match freeze(cx, target, head, stage, true).await? {
        Switch::AtOnce => {
            let now = api_gateway::stage(&cx.fresh(), target).await?;
            ensure_frozen(Switch::AtOnce, (*now).as_ref())
        }
        Switch::RouteByRoute => note_settings(cx, target, source).await,
    }
}

/// Records, before the settings of the authorizer take effect at once, with which identity source they were verified.
async fn note_settings(
    cx: &Context,
    target: &ApiTarget,
    source: &str,
) -> Result<(), ResourceError> {
    record::update_head(&cx.fresh(), target, |head| AttachmentState {
        unverified: true,
        former_source: Some(head.former_source.unwrap_or_else(|| source.to_owned())),
        ..head
    })
    .await
}

/// Freezes the stage if it deploys automatically. Waits for the automatic deployments that are pending before and after it: the
/// stage might still move to one of them. The caller then reads the API again: until this moment, what others change was deployed. `serves_ours`: whether
/// the stage serves this stack's authorizer.
///
/// # Errors
/// The errors of the services, or that such a deployment does not end.
pub(super) async fn freeze(
    cx: &Context,
    target: &ApiTarget,
    head: &AttachmentState,
    stage: &Stage,
    serves_ours: bool,
) -> Result<Switch, ResourceError> {
    if !stage.deploys_automatically {
        return Ok(Switch::AtOnce);
    }
    await_automatic_deployments(cx, target.api()).await?;
    let switch = freeze_at_once(cx, target, head, stage, serves_ours).await?;
    if switch == Switch::AtOnce {
        // What others have changed meanwhile.
        await_automatic_deployments(cx, target.api()).await?;
    }
    Ok(switch)
}

/// The same without waiting.
///
/// # Errors
/// The errors of the services.
async fn freeze_at_once(
    cx: &Context,
    target: &ApiTarget,
    head: &AttachmentState,
    stage: &Stage,
    serves_ours: bool,
) -> Result<Switch, ResourceError> {
    if !stage.deploys_automatically {
        return Ok(Switch::AtOnce);
    }
    let frozen = AttachmentState {
        frozen: true,
        frozen_with_ours: serves_ours,
        // Others have turned it on since a former run froze it, which has deployed the draft.
        unverified: head.unverified || head.frozen,
        ..head.clone()
    };
    record::write_head(cx, target, &frozen).await?;
    match set_automatic_deployment(cx, target, false).await {
        Err(error) if stage.is_managed && error.class == Class::Fatal => {
            record::write_head(cx, target, head).await?;
            Ok(Switch::RouteByRoute)
        }
        frozen => {
            frozen?;
            Ok(Switch::AtOnce)
        }
    }
}

/// Refuses to change the draft if another stage, which is not one of this run's, would publish the change.
///
/// # Errors
/// The errors of the services, or the stage.
pub(super) async fn refuse_other_stages(
    cx: &Context,
    target: &ApiTarget,
) -> Result<(), ResourceError> {
    if target.protocol == Protocol::Rest {
        return Ok(());
    }
    let stages = api_gateway::stages(cx.aws(), target.api()).await?;
    let stacks = other_stacks::others(cx, target.api()).await?;
    // Another stack turns it on again.
    let is_frozen = |stage: &str| stacks.iter().any(|other| other.frozen.contains(stage));
    let others = stages.into_iter().filter(|stage| {
        let is_meant = |meant: &ApiTarget| *meant == target.api().stage(&*stage.name);
        (stage.deploys_automatically || is_frozen(&stage.name)) && !cx.stages().iter().any(is_meant)
    });
    let others: Vec<_> = others.map(|stage| stage.name).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(ResourceError::Blocked {
        what: format!(
            "stage {} of API {} deploys automatically, so it would publish each change of a route at once",
            others.join(", "),
            target.id
        ),
        hint: Some(
            "turn off automatic deployment of that stage, or add it to `api.stage`".to_owned(),
        ),
    })
}

/// Turns the automatic deployment of a stage on again that a run has turned off, and returns the changes of others that this
/// publishes. `is_our_uri`: whether this stack's authorizer is invoked at the URI.
///
/// # Errors
/// The errors of the services.
pub async fn thaw(
    cx: &Context,
    target: &ApiTarget,
    is_our_uri: impl Fn(&str) -> bool,
) -> Result<Vec<String>, ResourceError> {
    let cx = &cx.fresh();
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let Some(head) = record.head.as_ref().filter(|head| head.frozen) else {
        return Ok(Vec::new());
    };
    let stage = api_gateway::stage(cx, target).await?;
    let mut published = Vec::new();
    let is_still_frozen = is_frozen(Some(head), (*stage).as_ref());
    if is_still_frozen {
        // Its setting demands that they are published.
        let ours = record.methods().map(Method::key).collect();
        let edits = match target.protocol {
            Protocol::Http => http::pending::look(cx, target, &ours, is_our_uri).await?,
            Protocol::Rest | Protocol::WebSocket => None,
        };
        published = edits.unwrap_or_default();
    }
    // If it is read as on, the reading may lag behind the freeze, unless API Gateway has refused that.
    let is_set = |stage: &Stage| is_still_frozen || !stage.is_managed;
    if (*stage).as_ref().is_some_and(is_set) {
        set_automatic_deployment(cx, target, true).await?;
    }
    let served = (*stage).as_ref();
    let is_verified = served.map(|stage| &stage.deployment_id) == head.verified.as_ref();
    let is_ours = served.is_some_and(|stage| marker::is_ours(cx, &stage.description));
    let noted = AttachmentState {
        frozen: false,
        frozen_with_ours: false,
        // What others have turned on deploys the draft, and a killed run may have changed that.
        unverified: head.unverified || !is_still_frozen || (is_ours && !is_verified),
        ..head.clone()
    };
    record::write_head(cx, target, &noted).await?;
    if is_still_frozen {
        match await_automatic_deployments(cx, target.api()).await {
            Err(error @ ResourceError::TimedOut { .. }) => cx.sink().notice(format!(
                "automatic deployment of stage {} is on again, but API Gateway has not deployed the draft yet: {error}",
                target.stage
            )),
            ended => ended?,
        }
    }
    Ok(published)
}

/// Says that a stage of several cannot be frozen.
pub(super) fn cannot_freeze(target: &ApiTarget, stage: &str) -> ResourceError {
    ResourceError::Blocked {
        what: format!(
            "API Gateway does not turn off automatic deployment of stage {stage} of API {}, which was made by quick create: its routes \
             would change one at a time, and not together with those of the other stages of `api.stage`",
            target.id
        ),
        hint: Some(format!(
            "name {stage} alone in `api.stage`, or leave it out"
        )),
    }
}

/// What to say if the last automatic deployment of the stage failed.
///
/// # Errors
/// The errors of the services.
pub async fn failed_deployment(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<String>, ResourceError> {
    let stage = api_gateway::stage(cx, target).await?;
    Ok((*stage).as_ref().and_then(|stage| failure(target, stage)))
}

/// The same for a stage that is known. Pure.
pub fn failure(target: &ApiTarget, stage: &Stage) -> Option<String> {
    let why = stage.failed_deployment.as_ref()?;
    Some(format!(
        "the last automatic deployment of stage {} of API {} failed ({}): it serves deployment {}, without what was changed since",
        target.stage,
        target.id,
        why.trim_end_matches('.'),
        stage.deployment_id
    ))
}

/// Whether a run has turned the automatic deployment of the stage off, and it is still off.
///
/// # Errors
/// The errors of the services.
pub async fn is_left_frozen(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let Some(head) = record.head.filter(|head| head.frozen) else {
        return Ok(false);
    };
    let stage = api_gateway::stage(cx, target).await?;
    Ok(is_frozen(Some(&head), (*stage).as_ref()))
}

/// Says that the automatic deployment of a stage is off.
pub fn left_frozen(target: &ApiTarget) -> String {
    format!(
        "automatic deployment of stage {} of API {} is off until the next `threescale-gw up` or `threescale-gw down`",
        target.stage, target.id
    )
}

/// The order in which routes are changed one at a time: one that only reads first, so that a fault harms least.
pub(super) fn order(method: &Method) -> (bool, bool, MethodKey) {
    let is_unsafe = method.method != "GET";
    let is_variable = method.path.contains('{') || method.path.starts_with('$');
    (is_unsafe, is_variable, method.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_only_reads_is_changed_first() {
        let routes = ["$default", "POST /a", "GET /b/{id}", "GET /c", "ANY /d"];
        let mut methods: Vec<_> = routes
            .iter()
            .map(|route| match route.split_once(' ') {
                Some((verb, path)) => Method::new(verb, path),
                None => Method::new("", route),
            })
            .collect();
        methods.sort_by_key(order);
        let labels: Vec<_> = methods.iter().map(Method::label).collect();
        assert_eq!(
            labels,
            ["GET /c", "GET /b/{id}", "POST /a", "ANY /d", "$default"]
        );
    }

    #[test]
    fn a_stage_is_frozen_only_if_a_run_has_turned_it_off() {
        let head = |frozen| AttachmentState {
            frozen,
            ..AttachmentState::default()
        };
        let stage = |deploys_automatically| Stage {
            deploys_automatically,
            ..Stage::default()
        };
        assert!(is_frozen(Some(&head(true)), Some(&stage(false))));
        assert!(!is_frozen(Some(&head(true)), Some(&stage(true))));
        assert!(!is_frozen(Some(&head(false)), Some(&stage(false))));
        assert!(!is_frozen(None, Some(&stage(false))));
    }
}

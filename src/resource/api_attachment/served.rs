//! What the stage serves: whether it uses this stack's authorizer, and whether real requests have
//! been answered with it.

use std::collections::BTreeSet;

use super::drafted::is_drafted;
use super::record::{self, AttachmentState, Record, digest};
use super::route_marks::Marks;
use super::{automatic, marker, other_stacks};
use crate::api_gateway::export::ExportedAuthorizer;
use crate::api_gateway::{
    self, ApiTarget, AuthorizationType, AuthorizerSettings, Method, Protocol, Stage,
};
use crate::resource::{Context, ResourceError, api_authorizer, function_publication};

/// How the API uses the authorizer of an existing stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub asks: AuthorizerSettings,
    /// The labels of the methods that the stage serves protected.
    pub methods: BTreeSet<String>,
}

/// How a stage uses this stack's authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    protocol: Protocol,
    /// The digest of the authorizer settings in this stack's deployment; unknown for a deployment of
    /// another user.
    asks: Option<String>,
    /// Whether every refusal may be answered as a passed limit. Unknown for a deployment of another user, so it counts as
    /// possible.
    refuses_as_limit: bool,
    /// Whether real requests were answered as expected, or verification is skipped.
    is_verified: bool,
    /// The settings of this stack's authorizer in a deployment of another user, if they are known.
    exported: Option<ExportedAuthorizer>,
}

impl Served {
    /// Whether the stage requests the credential as `asks` says, and no former one.
    pub fn is_settled(&self, asks: &AuthorizerSettings) -> bool {
        self.is_verified && self.asks.as_deref() == Some(&digest(asks))
    }

    /// Whether the stage requests the credential as `asks` says, and no run moves it back. Other users' deployments are not
    /// verified.
    pub fn asks_for(&self, asks: &AuthorizerSettings) -> bool {
        self.is_settled(asks) || self.exported.as_ref().is_some_and(|found| found.fits(asks))
    }

    /// Whether the stage refuses requests without a credential before they reach the authorizer.
    pub fn refuses_keyless(&self) -> bool {
        let none = AuthorizerSettings::observing(self.protocol);
        let is_open = match &self.exported {
            Some(found) => found.fits(&none),
            None => self.asks.as_deref() == Some(&digest(&none)),
        };
        !is_open
    }

    /// Whether a version that denies bad keys can serve the stage, and every stage to which a run may move it back.
    pub fn may_deny(&self) -> bool {
        self.is_verified && !self.refuses_as_limit
    }
}

/// How the stage of `target` uses this stack's authorizer; `None` if it does not.
///
/// # Errors
/// The errors of the services.
pub async fn served(cx: &Context, target: &ApiTarget) -> Result<Option<Served>, ResourceError> {
    let Some(stage) = (*api_gateway::stage(cx, target).await?).clone() else {
        return Ok(None);
    };
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let mark = marker::marker(cx);
    let Some(holds) = marker::protects(&stage.description, &mark) else {
        if !asks_us(cx, target, &stage, &record).await? {
            return Ok(None);
        }
        let export = api_gateway::export(cx, target).await?;
        let exported = (*export).as_ref().and_then(|export| {
            let mut authorizers = export.authorizers.iter();
            authorizers.find(|(uri, _)| api_authorizer::is_ours(cx, uri))
        });
        // A stage that deploys automatically is thawed after the verification.
        let head = record.head.as_ref();
        let is_verified_before = cx.options().skip_verification
            || head.is_some_and(|head| {
                head.verified.is_some() && !head.unverified && head.unverified_routes.is_empty()
            });
        let settings = match exported {
            _ if !stage.deploys_automatically => None,
            Some((uri, found)) => found.settings(*uri == api_authorizer::uri(cx)),
            None => drafted_settings(cx, target).await?,
        };
        return Ok(Some(Served {
            protocol: target.protocol,
            asks: settings.map(|settings| digest(&settings)),
            refuses_as_limit: target.protocol == Protocol::Rest,
            is_verified: stage.deploys_automatically && is_verified_before,
            exported: exported.map(|(_, found)| found.clone()),
        }));
    };
    let head = record.head.as_ref();
    let verified = head.and_then(|head| head.verified.as_ref());
    Ok(Some(Served {
        protocol: target.protocol,
        asks: holds.authorizer.map(str::to_owned),
        refuses_as_limit: holds.limits.is_some(),
        is_verified: cx.options().skip_verification || verified == Some(&stage.deployment_id),
        exported: None,
    }))
}

/// The settings of this stack's authorizer in the draft of a WebSocket API, if it invokes the alias: automatic deployment
/// publishes them, and there is no export.
async fn drafted_settings(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<AuthorizerSettings>, ResourceError> {
    if target.protocol != Protocol::WebSocket {
        return Ok(None);
    }
    let authorizers = api_gateway::authorizers(cx, target.api()).await?;
    let uri = api_authorizer::uri(cx);
    let ours = authorizers.iter().find(|found| found.uri == uri);
    Ok(ours.map(|found| AuthorizerSettings::of(target.protocol, &found.identity_source)))
}

/// Whether the stage of one of these uses this stack's authorizer and refuses requests without a credential itself.
///
/// # Errors
/// The errors of the services.
pub async fn refuse_keyless(
    cx: &Context,
    targets: impl IntoIterator<Item = &ApiTarget>,
) -> Result<bool, ResourceError> {
    let cx = cx.fresh();
    for target in targets {
        let served = served(&cx, target).await?;
        if served.is_some_and(|served| served.refuses_keyless()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How the stage uses this stack's authorizer if it invokes the function itself and not its alias,
/// as in releases without aliases; `None` if it does not.
///
/// # Errors
/// The errors of the services.
pub async fn standing(cx: &Context, target: &ApiTarget) -> Result<Option<Standing>, ResourceError> {
    if served(cx, target).await?.is_none() {
        return Ok(None);
    }
    let authorizers = api_gateway::authorizers(cx, target.api()).await?;
    let mut ours = authorizers
        .iter()
        .filter(|authorizer| authorizer.name == cx.names().api_authorizer());
    let Some(ours) = ours.next() else {
        return Ok(None);
    };
    let former = api_authorizer::former_uri(cx);
    let export = api_gateway::export(cx, target).await?;
    let mut asks = AuthorizerSettings::of(target.protocol, &ours.identity_source);
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
        None => ours.uri == former || function_publication::live_version(cx).await?.is_none(),
    };
    if !is_former {
        return Ok(None);
    }
    let elsewhere = other_stacks::elsewhere(cx, target).await?;
    let stage = api_gateway::stage(cx, target).await?;
    let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
    let is_served = |method: &&Method| {
        let key = method.key();
        served.is_none_or(|served| {
            served
                .get(&key)
                .is_some_and(|now| *now == AuthorizationType::Custom)
        })
    };
    let methods = api_gateway::methods(cx, target.api()).await?;
    let methods = methods
        .iter()
        .filter(|method| method.asks(&ours.id) || other_stacks::is_lent(method, &elsewhere))
        .filter(is_served)
        .map(Method::label)
        .collect();
    Ok(Some(Standing { asks, methods }))
}

/// What the API serves, if it is not yet verified with real requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The deployment of this stack that the stage serves.
    pub deployment: Option<String>,
    /// The version of the authorizer that it invokes.
    pub version: Option<String>,
    /// Whether the deployment is new.
    pub is_new_deployment: bool,
    /// Whether the version is new.
    pub is_new_version: bool,
}

impl Unverified {
    /// What is verified once more, because others changed the API since.
    pub fn again(version: Option<String>) -> Self {
        Self {
            deployment: None,
            version,
            is_new_deployment: false,
            is_new_version: false,
        }
    }

    /// Names what is not verified, for reports.
    pub fn describe(&self, stage: &str) -> String {
        let version = self.version.as_deref().unwrap_or("(none)");
        let version = format!("version {version} of the authorizer");
        match self.deployment.as_ref().filter(|_| self.is_new_deployment) {
            Some(deployment) if self.is_new_version => {
                format!("deployment {deployment} of stage {stage} with {version}")
            }
            Some(deployment) => format!("deployment {deployment} of stage {stage}"),
            None => version,
        }
    }
}

/// Whether the stage serves this stack's authorizer as an earlier run has verified it; `None` if the stage does not use
/// the authorizer.
///
/// # Errors
/// The errors of the services.
pub async fn is_verified(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<Result<(), Unverified>>, ResourceError> {
    if served(cx, target).await?.is_none() {
        return Ok(None);
    }
    let unverified = unverified(cx, target).await?;
    Ok(Some(unverified.map_or(Ok(()), Err)))
}

/// Whether the API was not called by the run that should have verified it, because it has no address that can be called.
///
/// # Errors
/// The errors of the services.
pub async fn was_not_called(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    let record = record::all(cx).await?.remove(target);
    let head = record.and_then(|record| record.head);
    Ok(head.is_some_and(|head| head.not_called))
}

/// What the stage serves, unless a former run has recorded that the API answers with it as
/// expected.
///
/// # Errors
/// The errors of the services.
pub async fn unverified(
    cx: &Context,
    target: &ApiTarget,
) -> Result<Option<Unverified>, ResourceError> {
    let Some(stage) = (*api_gateway::stage(cx, target).await?).clone() else {
        return Ok(None);
    };
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let is_ours = marker::is_ours(cx, &stage.description);
    if !is_ours && !asks_us(cx, target, &stage, &record).await? {
        return Ok(None);
    }
    let head = record.head.unwrap_or_default();
    let version = function_publication::live_version(cx).await?;
    // A stage that cannot be frozen serves a deployment of API Gateway itself.
    let is_kept = is_ours || (stage.is_managed && stage.deploys_automatically);
    let found = Unverified {
        is_new_deployment: head.unverified
            || !head.unverified_routes.is_empty()
            || (head.frozen && stage.deploys_automatically)
            || (is_ours && head.verified.as_ref() != Some(&stage.deployment_id)),
        is_new_version: version != head.verified_version,
        deployment: is_kept.then_some(stage.deployment_id),
        version,
    };
    Ok((found.is_new_deployment || found.is_new_version).then_some(found))
}

/// Records that the API answers as expected with the result of [`unverified`], or that no later run has to call it because it
/// cannot be called.
///
/// # Errors
/// The errors of the services.
pub async fn note_verified(
    cx: &Context,
    target: &ApiTarget,
    found: Unverified,
    not_called: bool,
) -> Result<(), ResourceError> {
    record::update_head(cx, target, |head| AttachmentState {
        verified: found.deployment.or(head.verified),
        verified_version: found.version,
        verified_by: Some(env!("CARGO_PKG_VERSION").to_owned()),
        not_called,
        as_before: Vec::new(),
        unverified: false,
        unverified_routes: Marks::default(),
        former_source: None,
        ..head
    })
    .await
}

/// Records the faults that the API had before the change, too.
///
/// # Errors
/// The errors of the services.
pub async fn note_as_before(
    cx: &Context,
    target: &ApiTarget,
    marks: Vec<String>,
) -> Result<(), ResourceError> {
    record::update_head(cx, target, |head| AttachmentState {
        as_before: marks,
        ..head
    })
    .await
}

/// What is known about the API before its last deployment: the labels of the methods that required no
/// authorization, and the faults that an earlier verification found to be as before.
///
/// # Errors
/// The errors of the services.
pub async fn before(
    cx: &Context,
    target: &ApiTarget,
) -> Result<(BTreeSet<String>, Vec<String>), ResourceError> {
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let recorded: BTreeSet<_> = record
        .methods()
        .filter(|before| before.authorization == AuthorizationType::None)
        .map(Method::label)
        .collect();
    let head = record.head.unwrap_or_default();
    let is_first = head.last_deployment.is_none();
    let former = head.last_deployment.or(head.previous_deployment);
    let served = match former {
        Some(former) => api_gateway::deployment(cx, target.api(), &former).await?.1,
        None => None,
    };
    let open = match served {
        Some(served) => served
            .into_iter()
            .filter(|(_, authorization)| *authorization == AuthorizationType::None)
            .map(|(key, _)| key.to_string())
            .collect(),
        // A deployment of an HTTP or WebSocket API does not list its routes. Before the first deployment of this stack, those
        // that it has closed were open.
        None if target.protocol != Protocol::Rest && is_first => recorded,
        None => BTreeSet::new(),
    };
    Ok((open, head.as_before))
}

/// Whether another user's deployment uses this stack's authorizer: a method has a Lambda authorizer
/// that had none before.
///
/// # Errors
/// The errors of the services.
pub(super) async fn asks_us(
    cx: &Context,
    target: &ApiTarget,
    stage: &Stage,
    record: &Record,
) -> Result<bool, ResourceError> {
    if stage.served.is_none() && target.protocol != Protocol::Rest {
        let is_drafted = is_drafted(cx, target, |uri| api_authorizer::is_ours(cx, uri)).await?;
        return Ok(asks_unlisted(
            stage,
            record,
            &marker::marker(cx),
            is_drafted,
        ));
    }
    if let Some(uris) = stage
        .authorizer_uris
        .as_ref()
        .filter(|_| !is_before_us(stage, record))
    {
        return Ok(uris.iter().any(|uri| api_authorizer::is_ours(cx, uri)));
    }
    Ok(asks_listed(stage, record))
}

/// Whether a deployment uses this stack's authorizer, as far as is known, if the service does not list its routes. `is_drafted`:
/// whether the draft does, which automatic deployment publishes. Pure.
pub(super) fn asks_unlisted(stage: &Stage, record: &Record, mark: &str, is_drafted: bool) -> bool {
    let head = record.head.as_ref();
    if marker::protects(&stage.description, mark).is_some() {
        return true;
    }
    if is_before_us(stage, record) || marker::is_restored(&stage.description, mark) {
        return false;
    }
    if stage.deploys_automatically {
        return is_drafted;
    }
    match head.filter(|_| automatic::is_frozen(head, Some(stage))) {
        Some(head) => head.frozen_with_ours,
        // Another user deployed the draft.
        None => !record.chunks.is_empty(),
    }
}

/// Whether the stage serves the deployment that it had before this stack.
fn is_before_us(stage: &Stage, record: &Record) -> bool {
    let head = record.head.as_ref();
    head.is_some_and(|head| head.previous_deployment.as_ref() == Some(&stage.deployment_id))
}

fn asks_listed(stage: &Stage, record: &Record) -> bool {
    let is_before = is_before_us(stage, record);
    let served = stage.served.as_ref().filter(|_| !is_before);
    served.is_some_and(|served| {
        record
            .methods()
            .filter(|before| before.authorization != AuthorizationType::Custom)
            .any(|before| {
                let now = served.get(&before.key());
                now.is_some_and(|now| *now == AuthorizationType::Custom)
            })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const MARK: &str = "threescale-gw-orders";

    /// Whether the stage of a WebSocket API uses the authorizer, which this stack has recorded to protect `$connect`.
    fn asks(description: &str, head: AttachmentState, automatic: bool, is_drafted: bool) -> bool {
        let stage = Stage {
            deployment_id: "d1".to_owned(),
            description: description.to_owned(),
            deploys_automatically: automatic,
            ..Stage::default()
        };
        let record = Record {
            head: Some(head),
            chunks: BTreeMap::from([("methods-000".to_owned(), vec![Method::new("", "$connect")])]),
            ..Record::default()
        };
        asks_unlisted(&stage, &record, MARK, is_drafted)
    }

    #[test]
    fn what_a_websocket_stage_serves_follows_from_who_deployed_it() {
        let head = AttachmentState::default;
        let frozen = |frozen_with_ours| AttachmentState {
            frozen: true,
            frozen_with_ours,
            ..head()
        };
        let before = AttachmentState {
            previous_deployment: Some("d1".to_owned()),
            ..head()
        };
        assert!(asks(
            "threescale-gw-orders protects 1",
            head(),
            false,
            false
        ));
        assert!(!asks("threescale-gw-orders restored", head(), false, true));
        // Another user's, after this stack has recorded the route.
        assert!(asks("theirs", head(), false, false));
        assert!(!asks("theirs", before, false, true));
        // Automatic deployment publishes the draft, until the stage is frozen.
        assert!(asks("", head(), true, true) && !asks("", head(), true, false));
        assert!(asks("", frozen(true), false, true));
        assert!(!asks("", frozen(false), false, true));
    }
}

//! What is verified: the API, how its methods should behave, and how its callers send their credentials.

use super::session::Session;
use crate::api_gateway::target::DEFAULT_STAGE;
use crate::api_gateway::{self, Api, ApiTarget, AuthorizationType, Method, Protocol};
use crate::config::{Credentials, Mode};
use crate::error::{Error, Result};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::preflight;
use crate::resource::api_attachment::{other_stacks, record, responses};
use crate::resource::{Context, api_authorizer, function_publication};
use crate::responses::{ACCESS_DENIED, LimitStatus};
use crate::verify::{Expectation, Refusals};

/// What is verified.
pub(super) struct VerifiedApi {
    pub(super) target: ApiTarget,
    pub(super) api: Api,
    pub(super) methods: Vec<(Method, Expectation)>,
    pub(super) credentials: Credentials,
    /// The stages to which a path of the API's own address leads that begins with their name.
    pub(super) beside: Vec<String>,
    /// Whether a refusal has its reason: as the API is, and once it is deployed.
    has_reasons: (bool, bool),
    /// Whether the live authorizer denies only requests that pass a limit, and whether the configured one does.
    denies_limits_only: (bool, bool),
    /// Whether the live authorizer observes, if there is one, and whether the configured one does.
    observes: (Option<bool>, bool),
}

impl VerifiedApi {
    /// As the configuration says for this stage.
    pub(super) async fn of_configuration(
        session: &Session,
        cx: &Context,
        target: &ApiTarget,
    ) -> Result<Self> {
        let config = &session.config;
        let answers = responses::look(cx, target, &config.api.responses).await?;
        let has_reasons = answers.managed.contains_key(ACCESS_DENIED);
        Ok(Self {
            target: target.clone(),
            api: session.api.clone(),
            methods: meant(session, cx, target).await?,
            credentials: config.threescale.credentials.clone(),
            beside: beside(cx, target).await?,
            has_reasons: (has_reasons && answers.write.is_empty(), has_reasons),
            denies_limits_only: (
                function_publication::denies_limits_only(cx).await?,
                config.api.responses.limits == LimitStatus::TooManyRequests,
            ),
            observes: (
                function_publication::observes(cx).await?,
                config.authorizer.mode == Mode::Observe,
            ),
        })
    }

    /// As the account shows this stage: the methods that use the authorizer should be protected, and callers send their credentials
    /// where its settings say. Also returns what that leaves open, as notes.
    pub(super) async fn of_account(
        cx: &Context,
        target: &ApiTarget,
    ) -> Result<(Self, Vec<String>)> {
        let stack = &cx.names().stack;
        let Some(api) = api_gateway::get(cx.aws(), target.api()).await? else {
            let text = format!("API {} of stack {stack} no longer exists", target.id);
            return Err(Error::refused(text));
        };
        let settings = function_publication::live_settings(cx).await?;
        let credentials = settings.as_deref().and_then(Credentials::of_settings);
        let Some(credentials) = credentials else {
            let text = format!(
                "the settings of the authorizer of stack {stack} cannot be read, so it is not known where callers send their credentials"
            );
            return Err(Error::refused(text).hint("give the configuration with -f"));
        };
        let mut notes = vec![
            "without a configuration, a method counts as protected if it uses the authorizer"
                .to_owned(),
        ];
        let more = record::targets(cx).await?;
        let more = more.iter().filter(|other| !cx.stages().contains(other));
        notes.extend(more.map(|other| {
            format!(
                "the stack is also attached to stage {} of API {}, which was not verified",
                other.stage, other.id
            )
        }));
        let has_reasons = responses::has_reasons(cx, target).await?;
        let denies_limits_only = function_publication::denies_limits_only(cx).await?;
        let observes = function_publication::observes(cx).await?;
        let api = Self {
            target: target.clone(),
            api,
            methods: found_protected(cx, target).await?,
            credentials,
            beside: beside(cx, target).await?,
            has_reasons: (has_reasons, has_reasons),
            denies_limits_only: (denies_limits_only, denies_limits_only),
            observes: (observes, observes.unwrap_or_default()),
        };
        Ok((api, notes))
    }

    /// Whether the authorizer should observe.
    pub(super) fn observes(&self) -> bool {
        self.observes.1
    }

    /// How refusals answer. `is_deployed`: the gateway responses were deployed since this was read.
    pub(super) fn refusals(&self, is_deployed: bool) -> Refusals {
        let (now, deployed) = self.has_reasons;
        let (is_live, is_configured) = self.denies_limits_only;
        // The mode that observes ends before a deployment, and begins after it.
        let (was_observing, is_meant_to) = self.observes;
        let are_observed = match is_deployed {
            true => is_meant_to && was_observing != Some(false),
            false => was_observing.unwrap_or(is_meant_to),
        };
        Refusals {
            are_observed,
            have_reasons: now || (is_deployed && deployed),
            are_unauthorized: is_live || (is_deployed && is_configured),
            ..Refusals::default()
        }
    }
}

/// The stages beside the stage `$default` of an HTTP API, which has no name in its address.
async fn beside(cx: &Context, target: &ApiTarget) -> Result<Vec<String>> {
    if target.protocol != Protocol::Http || target.stage != DEFAULT_STAGE {
        return Ok(Vec::new());
    }
    let stages = api_gateway::stages(cx.aws(), target.api()).await?;
    let names = stages.into_iter().map(|stage| stage.name);
    Ok(names.filter(|name| name != DEFAULT_STAGE).collect())
}

/// The expected behavior of each method of the API.
async fn meant(
    session: &Session,
    cx: &Context,
    target: &ApiTarget,
) -> Result<Vec<(Method, Expectation)>> {
    let all = api_gateway::methods(cx, target.api()).await?;
    let elsewhere = other_stacks::elsewhere(cx, target).await?;
    let authorizer = cx
        .known_output(&LogicalId::new(Kind::ApiAuthorizer, "main"))
        .map(|output| output.physical_id);
    let records = record::all(cx).await?;
    let record = records.get(target).cloned().unwrap_or_default();
    let record = record.of_all_stages(target, &records);
    let ours = authorizer.as_deref();
    let sorted = preflight::methods((&session.config, target), &all, ours, &elsewhere, &record);
    let mut meant = expected(&all, |method| sorted.wanted.contains(method));
    let stage = api_gateway::stage(cx, target).await?;
    let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
    if let Some(served) = served.filter(|_| target.protocol != Protocol::Rest) {
        // An open route that another user created while automatic deployment is off is deployed later.
        meant.retain(|(route, meant)| {
            *meant != Expectation::Open || served.contains_key(&route.key())
        });
    }
    Ok(meant)
}

/// The same without a configuration. A method that another stack has in the draft may be protected in this stage only.
async fn found_protected(cx: &Context, target: &ApiTarget) -> Result<Vec<(Method, Expectation)>> {
    let all = api_gateway::methods(cx, target.api()).await?;
    let authorizers = api_gateway::authorizers(cx, target.api()).await?;
    let export = api_gateway::export(cx, target).await?;
    let is_ours = |method: &Method| {
        let mut ours = authorizers
            .iter()
            .filter(|found| api_authorizer::is_ours(cx, &found.uri));
        let exported = (*export)
            .as_ref()
            .and_then(|export| export.methods.get(&method.key()));
        let uri = exported.and_then(|method| method.authorizer_uri.as_deref());
        ours.any(|ours| method.asks(&ours.id))
            || uri.is_some_and(|uri| api_authorizer::is_ours(cx, uri))
    };
    Ok(expected(&all, is_ours))
}

fn expected(all: &[Method], is_protected: impl Fn(&Method) -> bool) -> Vec<(Method, Expectation)> {
    let meant = |method: &Method| {
        if is_protected(method) {
            Expectation::Protected
        } else if method.authorization == AuthorizationType::None {
            Expectation::Open
        } else {
            Expectation::Guarded
        }
    };
    all.iter()
        .map(|method| (method.clone(), meant(method)))
        .collect()
}

//! `verify`: proves with real requests that the API is protected.

use std::time::Duration;

use super::session::Session;
use crate::cli::{Format, Global, RequestArgs, VerifyArgs};
use crate::config::Mode;
use crate::error::{ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::report::style::Style;
use crate::resource::api_attachment::{other_stacks, record, responses};
use crate::resource::health_check::{self, Asked};
use crate::resource::{Context, RunOptions, api_authorizer, function_publication};
use crate::responses::LimitStatus;
use crate::rest_api;
use crate::rest_api::AuthorizationType;
use crate::verify::{self, Before, Check, Expectation, Fault, Key, Probe, Refusals, Report, Row};
use crate::{preflight, report};

/// Runs `verify`.
pub(super) async fn run(global: &Global, args: &VerifyArgs, sink: Sink) -> Result<ExitStatus> {
    let session = Session::open(global, 10, RunOptions::default(), sink).await?;
    session.observe(&session.cx).await?;
    let (cx, url) = (&session.cx, args.url.as_deref());
    let mut report = prove(&session, cx, &args.requests, url, &Before::default()).await?;
    let observes = session.config.authorizer.mode == Mode::Observe;
    let live = function_publication::observes(cx).await?;
    let is_other = live.is_some_and(|live| live != observes);
    if report.skipped.is_none() && (is_other || !report.tells_of_decisions()) {
        ask_itself(&session.cx, &mut report, observes).await;
    }
    match global.output {
        Format::Text => report::text(&report::verify::table(&report, &Style::stdout(global))),
        Format::Json => report::result(&report.document().to_string()),
    }
    Ok(if report.is_well() {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    })
}

/// Runs the authorizer's self-test if no response of the API shows whether it can decide: refusals do not carry its
/// reason, or no protected method is safe to call with a key, or every request is allowed. `observes`: the configured mode.
async fn ask_itself(cx: &Context, report: &mut Report, observes: bool) {
    let verdict = match health_check::asked(cx).await {
        Asked::Answered(answer) if answer.ok && answer.observes() != observes => {
            let live = if observes { "enforce" } else { "observe" };
            let text = format!("the mode of the live version is {live}: run `threescale-gw up`");
            Err((Fault::WrongMode, text))
        }
        Asked::Answered(answer) if answer.ok => {
            Ok(observes.then(|| "decides; the mode is observe".to_owned()))
        }
        Asked::Answered(answer) => {
            let failed: Vec<_> = answer.failed().map(ToString::to_string).collect();
            Err((Fault::NobodyGetsIn, failed.join("; ")))
        }
        Asked::Denied(cause) => {
            report.notes.push(format!(
                "no answer shows that the authorizer can decide, and its self-test could not be run ({cause}): give --key, or run \
                 `threescale-gw status` where lambda:InvokeFunction is allowed"
            ));
            return;
        }
    };
    report.rows.push(Row {
        label: LogicalId::new(Kind::Function, "authorizer").to_string(),
        check: Check::SelfTest,
        verb: String::new(),
        status: None,
        verdict,
        as_before: false,
    });
}

/// The requests that verify the API, and what their evaluation depends on.
pub(super) struct Requests {
    url: String,
    /// Why they cannot be sent.
    skipped: Option<String>,
    methods: Vec<(rest_api::Method, Expectation)>,
    probes: Vec<Probe>,
    answers: responses::Steps,
    /// Whether the live authorizer denies only requests that pass a limit, and whether the configured one does.
    denies_limits_only: (bool, bool),
    /// Whether the live authorizer observes, if there is one, and whether the configured one does.
    observes: (Option<bool>, bool),
}

impl Requests {
    /// Prepares the requests to `url`, or to the API's own address.
    pub(super) async fn prepare(
        session: &Session,
        cx: &Context,
        args: &RequestArgs,
        url: Option<&str>,
    ) -> Result<Self> {
        let own = session.invoke_url();
        let url = url.unwrap_or(&own);
        let methods = meant(session, cx).await?;
        let credentials = &session.config.threescale.credentials;
        let key = args
            .key
            .as_ref()
            .map(|key| Key::parse(key.expose(), credentials));
        let api = &session.facts.api;
        Ok(Self {
            url: url.to_owned(),
            skipped: unreachable(session, url == own),
            probes: verify::probes(&methods, credentials, key.as_ref()),
            methods,
            answers: responses::look(cx, api, &session.config.api.responses).await?,
            denies_limits_only: (
                function_publication::denies_limits_only(cx).await?,
                session.config.api.responses.limits == LimitStatus::TooManyRequests,
            ),
            observes: (
                function_publication::observes(cx).await?,
                session.config.authorizer.mode == Mode::Observe,
            ),
        })
    }

    /// Asks the API how it answers before a change.
    pub(super) async fn ask_before(&self, session: &Session, cx: &Context) -> Result<Before> {
        let stage = rest_api::stage(cx, &session.facts.api).await?;
        let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
        let open = served
            .into_iter()
            .flatten()
            .filter(|(_, authorization)| **authorization == AuthorizationType::None)
            .map(|(key, _)| key.to_string())
            .collect();
        Ok(match &self.skipped {
            Some(_) => Before::known(open, []),
            None => verify::run::ask_before(&self.url, &self.probes, open).await,
        })
    }

    /// Sends the requests. This needs no AWS credentials. `is_deployed`: the gateway responses were deployed after the
    /// requests were prepared.
    pub(super) async fn send(
        &self,
        sink: &Sink,
        settle: Duration,
        before: &Before,
        is_deployed: bool,
    ) -> Report {
        if let Some(reason) = &self.skipped {
            return Report {
                url: self.url.clone(),
                skipped: Some(reason.clone()),
                ..Report::default()
            };
        }
        let (is_live, is_configured) = self.denies_limits_only;
        // The mode that observes ends before a deployment, and begins after it.
        let (was_observing, is_meant_to) = self.observes;
        let are_observed = match is_deployed {
            true => is_meant_to && was_observing != Some(false),
            false => was_observing.unwrap_or(is_meant_to),
        };
        let refusals = Refusals {
            are_observed,
            have_reasons: self.answers.managed.contains_key("ACCESS_DENIED")
                && (is_deployed || self.answers.write.is_empty()),
            are_unauthorized: is_live || (is_deployed && is_configured),
        };
        let probes = self.probes.clone();
        let on_retry = |cause, wait| {
            sink.emit(Event::Retrying {
                id: None,
                cause,
                wait,
            });
        };
        verify::run::prove(&self.url, probes, refusals, settle, before, on_retry).await
    }
}

/// Verifies the API with requests to `url` or to its own address.
pub(super) async fn prove(
    session: &Session,
    cx: &Context,
    args: &RequestArgs,
    url: Option<&str>,
    before: &Before,
) -> Result<Report> {
    let requests = Requests::prepare(session, cx, args, url).await?;
    let mut report = requests.send(cx.sink(), args.settle, before, false).await;
    if requests.skipped.is_none() {
        let rows = misguarded(session, cx, &requests.methods).await?;
        report.rows.extend(rows);
    }
    Ok(report)
}

/// Why the API cannot be called at its own address, if that is the case.
fn unreachable(session: &Session, at_own_address: bool) -> Option<String> {
    let api = &session.api;
    if !at_own_address {
        return None;
    }
    if api.private {
        return Some(format!(
            "API {} is private: run `threescale-gw verify --url` from within its VPC",
            api.id
        ));
    }
    api.default_endpoint_disabled.then(|| {
        format!(
            "the default execute-api endpoint of API {} is disabled: run `threescale-gw verify --url https://<custom domain name>`",
            api.id
        )
    })
}

/// The expected behavior of each method of the API.
async fn meant(session: &Session, cx: &Context) -> Result<Vec<(rest_api::Method, Expectation)>> {
    let target = &session.facts.api;
    let all = rest_api::methods(cx, &target.id).await?;
    let elsewhere = other_stacks::elsewhere(cx, target).await?;
    let authorizer = cx
        .known_output(&LogicalId::new(Kind::ApiAuthorizer, "main"))
        .map(|output| output.physical_id);
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let ours = authorizer.as_deref();
    let sorted = preflight::methods(&session.config, &all, ours, &elsewhere, &record);
    let meant = |method: &rest_api::Method| {
        if sorted.wanted.contains(method) {
            Expectation::Protected
        } else if method.authorization == AuthorizationType::None {
            Expectation::Open
        } else {
            Expectation::Guarded
        }
    };
    Ok(all
        .iter()
        .map(|method| (method.clone(), meant(method)))
        .collect())
}

/// Protected methods that the stage serves without our authorizer. A refusal alone does not show this, because a
/// required API key, a policy, a firewall or the backend itself may also refuse.
async fn misguarded(
    session: &Session,
    cx: &Context,
    methods: &[(rest_api::Method, Expectation)],
) -> Result<Vec<Row>> {
    let (cx, target) = (cx.fresh(), &session.facts.api);
    let export = rest_api::export::export(&cx, target).await?;
    let stage = match &*export {
        Some(_) => None,
        None => (*rest_api::stage(&cx, target).await?).clone(),
    };
    let ours = |uri: &str| api_authorizer::is_ours(&cx, uri);
    // Information that the service does not return is not a fault.
    let fault = |method: &rest_api::Method| {
        let key = method.key();
        match &*export {
            Some(export) => export
                .methods
                .get(&key)
                .and_then(|served| exported(served, ours)),
            None => {
                let served = stage.as_ref()?.served.as_ref()?;
                summed_up(served.get(&key)?)
            }
        }
    };
    let row = |method: &rest_api::Method| {
        Some(Row {
            label: method.label(),
            check: Check::Guard,
            verb: String::new(),
            status: None,
            verdict: Err(fault(method)?),
            as_before: false,
        })
    };
    Ok(methods
        .iter()
        .filter(|(_, meant)| *meant == Expectation::Protected)
        .filter_map(|(method, _)| row(method))
        .collect())
}

/// The fault of a protected method, according to the stage's export.
fn exported(
    served: &rest_api::export::Method,
    ours: impl Fn(&str) -> bool,
) -> Option<(Fault, String)> {
    match (&served.authorizer_uri, &served.guard) {
        (Some(uri), _) if ours(uri) => None,
        (Some(by), _) => Some(decided_by(by)),
        // An authorizer whose address is not in the export.
        (None, Some(guard)) if guard == "custom" => None,
        (None, Some(guard)) => Some(decided_by(guard)),
        (None, None) => Some(unguarded()),
    }
}

/// The fault of a protected method with this authorization type in the deployment's summary.
fn summed_up(authorization: &AuthorizationType) -> Option<(Fault, String)> {
    match authorization {
        AuthorizationType::Custom => None,
        AuthorizationType::None => Some(unguarded()),
        other => Some(decided_by(other.as_str())),
    }
}

fn decided_by(other: &str) -> (Fault, String) {
    (
        Fault::WrongAuthorizer,
        format!("the stage serves it with {other}"),
    )
}

fn unguarded() -> (Fault, String) {
    let text = "the stage serves it without an authorizer";
    (Fault::Open, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stage_serves_without_our_authorizer_is_a_fault() {
        let served = |uri: Option<&str>, guard: Option<&str>| {
            let served = rest_api::export::Method {
                authorizer_uri: uri.map(str::to_owned),
                guard: guard.map(str::to_owned),
                ..rest_api::export::Method::default()
            };
            exported(&served, |uri| uri == "arn:ours").map(|(fault, _)| fault)
        };
        let custom = Some("custom");
        assert_eq!(served(Some("arn:ours"), custom), None);
        assert_eq!(
            served(Some("arn:theirs"), custom),
            Some(Fault::WrongAuthorizer)
        );
        assert_eq!(served(None, custom), None);
        assert_eq!(served(None, Some("awsSigv4")), Some(Fault::WrongAuthorizer));
        assert_eq!(served(None, None), Some(Fault::Open));
        let fault = |authorization| summed_up(&authorization).map(|(fault, _)| fault);
        assert_eq!(
            [
                AuthorizationType::Custom,
                AuthorizationType::None,
                AuthorizationType::AwsIam
            ]
            .map(fault),
            [None, Some(Fault::Open), Some(Fault::WrongAuthorizer)]
        );
    }
}

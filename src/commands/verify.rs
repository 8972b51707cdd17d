//! `verify`: proves with real requests that the API is protected.

use std::time::Duration;

use super::existing;
use super::input::{is_without_file, or_stack};
use super::outputs::invoke_url;
use super::session::{Session, attached, connect};
use super::verified_api::VerifiedApi;
use crate::api_gateway;
use crate::api_gateway::{Api, ApiTarget, AuthorizationType};
use crate::cli::{Global, RequestArgs, VerifyArgs};
use crate::code::Code;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::preflight;
use crate::report;
use crate::resource::health_check::{self, Asked};
use crate::resource::{Context, RunOptions, api_authorizer, function_publication};
use crate::verify::{self, Before, Check, Expectation, Fault, Key, Probe, Report, Row};

/// Runs `verify`.
pub(super) async fn run(global: &Global, args: &VerifyArgs, sink: Sink) -> Result<ExitStatus> {
    let url = args.url.as_deref();
    let (cx, requests, notes) = match is_without_file(global) {
        true => {
            let cx = attached(&connect(global, 10, sink).await?).await?;
            existing::ensure_managed(&cx).await?;
            let (api, notes) = VerifiedApi::of_account(&cx).await?;
            let requests = Requests::of(&cx, api, &args.requests, url);
            (cx, requests, notes)
        }
        false => {
            let session = Session::open(global, 10, RunOptions::default(), sink).await;
            let session = session.map_err(|error| or_stack(global, error))?;
            session.observe(&session.cx).await?;
            let target = &session.facts.api;
            if api_gateway::stage(&session.cx, target).await?.is_none() {
                let text = preflight::missing_stage(&session.cx, target).await;
                return Err(Error::refused(text).with_code(Code::StageNotFound));
            }
            let requests = Requests::prepare(&session, &session.cx, &args.requests, url).await?;
            (session.cx, requests, Vec::new())
        }
    };
    let mut report = requests
        .prove(&cx, args.requests.settle, &Before::default())
        .await?;
    report.notes.extend(notes);
    if report.all_forbidden {
        judge_forbidden(&mut report, &requests.api.methods);
    }
    let live = function_publication::observes(&cx).await?;
    let observes = requests.api.observes();
    let is_other = live.is_some_and(|live| live != observes);
    if report.skipped.is_none() && (is_other || !report.tells_of_decisions()) {
        ask_itself(&cx, &mut report, observes).await;
    }
    report::show(
        global,
        |style| report::verify::table(&report, style),
        || report.document(),
        || report::markdown::verify(&report),
    );
    Ok(if report.is_well() {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    })
}

/// API Gateway itself refuses every request. For a method that needs no API key of API Gateway, that is a fault.
fn judge_forbidden(report: &mut Report, methods: &[(api_gateway::Method, Expectation)]) {
    let base = "there is no stage or base path at this URL, or a firewall refuses this machine";
    if methods.iter().all(|(method, _)| method.api_key_required) {
        report.notes.push(format!(
            "API Gateway refused every request before the authorizer: the API key in `x-api-key` is missing, {base}"
        ));
        return;
    }
    report.nothing_is_served();
    report
        .notes
        .push(format!("API Gateway refused every request: {base}"));
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
    api: VerifiedApi,
    url: String,
    /// Why they cannot be sent.
    skipped: Option<String>,
    probes: Vec<Probe>,
}

impl Requests {
    /// Prepares the requests to `url`, or to the API's own address.
    pub(super) async fn prepare(
        session: &Session,
        cx: &Context,
        args: &RequestArgs,
        url: Option<&str>,
    ) -> Result<Self> {
        let api = VerifiedApi::of_configuration(session, cx).await?;
        Ok(Self::of(cx, api, args, url))
    }

    fn of(cx: &Context, api: VerifiedApi, args: &RequestArgs, url: Option<&str>) -> Self {
        let own = invoke_url(cx, &api.target);
        let url = url.unwrap_or(&own);
        let key = args
            .key
            .as_ref()
            .map(|key| Key::parse(key.expose(), &api.credentials));
        Self {
            url: url.to_owned(),
            skipped: unreachable(&api.api, url == own),
            probes: verify::probes(&api.methods, &api.credentials, key.as_ref()),
            api,
        }
    }

    /// Asks the API how it answers before a change.
    pub(super) async fn ask_before(&self, cx: &Context) -> Result<Before> {
        let stage = api_gateway::stage(cx, &self.api.target).await?;
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
        let probes = self.probes.clone();
        let refusals = self.api.refusals(is_deployed);
        let on_retry = |cause, wait| {
            sink.emit(Event::Retrying {
                id: None,
                cause,
                wait,
            });
        };
        verify::run::prove(&self.url, probes, refusals, settle, before, on_retry).await
    }

    /// Sends the requests, and reads what the stage serves.
    async fn prove(&self, cx: &Context, settle: Duration, before: &Before) -> Result<Report> {
        let mut report = self.send(cx.sink(), settle, before, false).await;
        if self.skipped.is_none() {
            let rows = misguarded(cx, &self.api.target, &self.api.methods).await?;
            report.rows.extend(rows);
        }
        Ok(report)
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
    requests.prove(cx, args.settle, before).await
}

/// Why the API cannot be called at its own address, if that is the case.
fn unreachable(api: &Api, at_own_address: bool) -> Option<String> {
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

/// Protected methods that the stage serves without our authorizer. A refusal alone does not show this, because a
/// required API key, a policy, a firewall or the backend itself may also refuse.
async fn misguarded(
    cx: &Context,
    target: &ApiTarget,
    methods: &[(api_gateway::Method, Expectation)],
) -> Result<Vec<Row>> {
    let cx = cx.fresh();
    let export = api_gateway::export(&cx, target).await?;
    let stage = match &*export {
        Some(_) => None,
        None => (*api_gateway::stage(&cx, target).await?).clone(),
    };
    let ours = |uri: &str| api_authorizer::is_ours(&cx, uri);
    // Information that the service does not return is not a fault.
    let fault = |method: &api_gateway::Method| {
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
    let row = |method: &api_gateway::Method| {
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
    served: &api_gateway::export::Method,
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
            let served = api_gateway::export::Method {
                authorizer_uri: uri.map(str::to_owned),
                guard: guard.map(str::to_owned),
                ..api_gateway::export::Method::default()
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

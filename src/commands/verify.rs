//! `verify`: proves with real requests that the API is protected.

mod in_stage;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use self::in_stage::InStage;
use super::existing;
use super::input::{is_without_file, or_stack};
use super::outputs::invoke_url;
use super::session::{Session, attached, connect};
use super::verified_api::VerifiedApi;
use crate::api_gateway;
use crate::api_gateway::http::CONNECT;
use crate::api_gateway::{Api, ApiTarget, AuthorizationType, Method, Protocol};
use crate::cli::{Global, RequestArgs, VerifyArgs};
use crate::code::Code;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::preflight;
use crate::report;
use crate::resource::health_check::{self, Asked};
use crate::resource::{Context, RunOptions, function_publication};
use crate::verify::{self, Before, Check, Expectation, Fault, Key, Keys, Probe, Report, Row};

/// Runs `verify`.
pub(super) async fn run(global: &Global, args: &VerifyArgs, sink: Sink) -> Result<ExitStatus> {
    let url = args.url.as_deref();
    let (cx, all) = match is_without_file(global) {
        true => {
            let cx = attached(&connect(global, 10, sink).await?).await?;
            existing::ensure_managed(&cx).await?;
            existing::ensure_exists(&cx).await?;
            let mut all = Vec::new();
            for target in chosen(cx.stages(), args)? {
                let (api, notes) = VerifiedApi::of_account(&cx, target).await?;
                all.push((Requests::of(&cx, api, &args.requests, url)?, notes));
            }
            (cx, all)
        }
        false => {
            let session = Session::open(global, 10, RunOptions::default(), sink).await;
            let session = session.map_err(|error| or_stack(global, error))?;
            session.observe(&session.cx).await?;
            let mut all = Vec::new();
            for target in chosen(session.cx.stages(), args)? {
                if api_gateway::stage(&session.cx, target).await?.is_none() {
                    let text = preflight::missing_stage(&session.cx, target).await;
                    return Err(Error::refused(text).with_code(Code::StageNotFound));
                }
                let requests =
                    Requests::prepare(&session, &session.cx, target, &args.requests, url).await?;
                all.push((requests, Vec::new()));
            }
            (session.cx, all)
        }
    };
    if all.is_empty() {
        let stack = &cx.names().stack;
        return Err(Error::refused(format!(
            "stack {stack} is attached to no API"
        )));
    }
    let live = function_publication::observes(&cx).await?;
    let mut reports = Vec::new();
    for (requests, notes) in &all {
        let mut report = requests
            .prove(&cx, args.requests.settle, &Before::default())
            .await?;
        report.notes.extend(notes.iter().cloned());
        if report.all_forbidden {
            judge_forbidden(&mut report, &requests.api.methods);
        }
        let observes = requests.api.observes();
        let is_other = live.is_some_and(|live| live != observes);
        if report.skipped.is_none() && (is_other || !report.tells_of_decisions()) {
            ask_itself(&cx, &mut report, observes).await;
        }
        reports.push(report);
    }
    report::show(
        global,
        |style| report::verify::tables(&reports, style),
        || verify::document(&reports),
        || report::markdown::verify(&reports),
    );
    Ok(if reports.iter().all(Report::is_well) {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    })
}

/// The stages to verify: that of `--stage`, or all.
fn chosen<'a>(stages: &'a [ApiTarget], args: &VerifyArgs) -> Result<Vec<&'a ApiTarget>> {
    let is_meant = |target: &&ApiTarget| {
        let wanted = args.stage.as_ref();
        wanted.is_none_or(|wanted| *wanted == target.stage)
    };
    let chosen: Vec<_> = stages.iter().filter(is_meant).collect();
    let names: Vec<_> = stages.iter().map(|target| &*target.stage).collect();
    match (chosen.as_slice(), &args.stage) {
        ([], Some(stage)) if !stages.is_empty() => Err(Error::usage(format!(
            "--stage {stage}: the stack is attached to {}",
            names.join(", ")
        ))),
        ([_, _, ..], None) if args.url.is_some() => Err(Error::usage(format!(
            "--url leads to one stage, and the stack is attached to {}: give --stage",
            names.join(", ")
        ))),
        _ => Ok(chosen),
    }
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
        request_id: None,
        verdict,
        as_before: false,
    });
}

/// What a failure of an HTTP or WebSocket API means, which tells no cause.
const FAILED: &str = "a 500 means that the function failed, took longer than 10 s or answered in another form, or that API Gateway \
                      may not invoke it: `threescale-gw logs` and `threescale-gw status` tell more";

/// The requests that verify the API, and what their evaluation depends on.
pub(super) struct Requests {
    api: VerifiedApi,
    url: String,
    /// Why they cannot be sent.
    skipped: Option<String>,
    /// The operator's key.
    key: Option<Key>,
    probes: Vec<Probe>,
    /// The key of the probes that no application has.
    unknown_key: Key,
    /// Why no request reaches some routes at the API's own address.
    unreached: Option<String>,
}

impl Requests {
    /// Prepares the requests to `url`, or to the API's own address.
    pub(super) async fn prepare(
        session: &Session,
        cx: &Context,
        target: &ApiTarget,
        args: &RequestArgs,
        url: Option<&str>,
    ) -> Result<Self> {
        let api = VerifiedApi::of_configuration(session, cx, target).await?;
        Self::of(cx, api, args, url)
    }

    fn of(
        cx: &Context,
        mut api: VerifiedApi,
        args: &RequestArgs,
        url: Option<&str>,
    ) -> Result<Self> {
        if api.api.protocol == Protocol::WebSocket && api.methods.is_empty() {
            // Without this route, every connection is accepted.
            let connect = Method::new("", CONNECT);
            api.methods.push((connect, Expectation::Protected));
        }
        let own = invoke_url(cx, &api.target);
        let url = url.unwrap_or(&own);
        let key = args
            .key
            .as_ref()
            .map(|key| Key::parse(key.expose(), &api.credentials));
        let unknown_key = Key::unknown(api.api.protocol).map_err(anyhow::Error::new)?;
        let keys = Keys {
            unknown_key: unknown_key.clone(),
            good: key.clone(),
        };
        let mut probes = verify::probes(&api.api, &api.methods, &api.credentials, &keys);
        let mut unreached = None;
        if url == own {
            unreached = unreached_routes(&probes, &api.beside);
            probes.retain(|probe| verify::other_stage(&probe.path, &api.beside).is_none());
        }
        Ok(Self {
            url: url.to_owned(),
            skipped: unreachable(&api.api, url == own),
            probes,
            unknown_key,
            unreached,
            key,
            api,
        })
    }

    /// The index of the first of these routes that a request reaches which changes nothing, or that any request reaches.
    pub(super) fn choose(&self, routes: &[String]) -> Option<usize> {
        let reaches = |route: &String, is_safe: bool| {
            let mut probes = self.probes.iter();
            probes.any(|probe| {
                let is_meant = match is_safe {
                    true => probe.check == Check::BadKey,
                    false => probe.check == Check::NoKey,
                };
                is_meant && probe.label == *route
            })
        };
        let first = |is_safe| routes.iter().position(|route| reaches(route, is_safe));
        first(true).or_else(|| first(false))
    }

    /// Proves one route, to which the authorizer was attached since the requests were prepared. What the stage serves is not
    /// compared: the other routes may be as before.
    pub(super) async fn prove_route(
        &self,
        cx: &Context,
        settle: Duration,
        before: &Before,
        route: &str,
    ) -> Result<Report> {
        let since = Timestamp::now();
        // The log has lines about the former key, with which the other routes were asked before.
        let unknown_key = Key::unknown(self.api.api.protocol).map_err(anyhow::Error::new)?;
        let keys = Keys {
            unknown_key: unknown_key.clone(),
            good: self.key.clone(),
        };
        let api = &self.api;
        let mut probes = verify::probes(&api.api, &api.methods, &api.credentials, &keys);
        probes.retain(|probe| probe.label == route);
        let in_stage = InStage::read(cx, &api.target).await?;
        let mut report = self
            .send_probes(probes, cx.sink(), settle, before, (true, in_stage.need_key))
            .await;
        // The export may lag behind the change of the route.
        let in_stage = InStage::read(cx, &api.target).await?;
        self.prove_refusals(cx, &mut report, (since, settle), &unknown_key, &in_stage)
            .await;
        Ok(report)
    }

    /// Asks the API how it answers before a change.
    pub(super) async fn ask_before(&self, cx: &Context) -> Result<Before> {
        let stage = api_gateway::stage(cx, &self.api.target).await?;
        let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
        let is_open = |authorization: &AuthorizationType| *authorization == AuthorizationType::None;
        let open = match served {
            Some(served) => served
                .iter()
                .filter(|(_, authorization)| is_open(authorization))
                .map(|(key, _)| key.to_string())
                .collect(),
            // Nothing tells what the stage of a WebSocket API serves, so the draft counts.
            None if self.api.api.protocol == Protocol::WebSocket => {
                let methods = self.api.methods.iter();
                methods
                    .filter(|(method, _)| is_open(&method.authorization))
                    .map(|(method, _)| method.label())
                    .collect()
            }
            None => BTreeSet::new(),
        };
        let at = (self.url.as_str(), self.api.api.protocol);
        Ok(match &self.skipped {
            Some(_) => Before::known(open, []),
            None => verify::run::ask_before(at, &self.probes, open).await,
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
        self.send_with(sink, settle, before, is_deployed, None)
            .await
    }

    /// The same with what the stage serves, if that is known.
    async fn send_with(
        &self,
        sink: &Sink,
        settle: Duration,
        before: &Before,
        is_deployed: bool,
        in_stage: Option<&InStage>,
    ) -> Report {
        let mut probes = self.probes.clone();
        if let Some(in_stage) = in_stage {
            let of = |(method, _): &(Method, Expectation)| {
                (method.label(), in_stage.is_open(&method.key()))
            };
            let open: BTreeMap<_, _> = self.api.methods.iter().map(of).collect();
            for probe in &mut probes {
                probe.is_open_in_stage = open.get(&probe.label).copied().flatten();
            }
        }
        let need_key = in_stage.is_none_or(|served| served.need_key);
        self.send_probes(probes, sink, settle, before, (is_deployed, need_key))
            .await
    }

    /// Sends these requests. `is_deployed`: as for [`Self::send`]. `need_key`: whether API Gateway itself refuses requests
    /// without a key.
    async fn send_probes(
        &self,
        probes: Vec<Probe>,
        sink: &Sink,
        settle: Duration,
        before: &Before,
        (is_deployed, need_key): (bool, bool),
    ) -> Report {
        if let Some(reason) = &self.skipped {
            return Report {
                url: self.url.clone(),
                skipped: Some(reason.clone()),
                ..Report::default()
            };
        }
        let refusals = verify::Refusals {
            need_key,
            ..self.api.refusals(is_deployed)
        };
        let on_retry = |cause, wait| {
            sink.emit(Event::Retrying {
                id: None,
                cause,
                wait,
            });
        };
        let at = (self.url.as_str(), self.api.api.protocol);
        let mut report = verify::run::prove(at, probes, refusals, settle, before, on_retry).await;
        report.stage.clone_from(&self.api.target.stage);
        let mut faults = report.rows.iter().map(|row| &row.verdict);
        let has_failed = faults.any(|verdict| matches!(verdict, Err((Fault::AuthorizerFailed, _))));
        if has_failed && self.api.api.protocol != Protocol::Rest {
            report.notes.push(FAILED.to_owned());
        }
        if let Some(why) = &self.unreached {
            report.tell_unreached(why);
        }
        report
    }

    /// Sends the requests, and reads what the stage serves and, if refusals tell no reason, what the authorizer logs.
    async fn prove(&self, cx: &Context, settle: Duration, before: &Before) -> Result<Report> {
        if self.skipped.is_some() {
            return Ok(self.send(cx.sink(), settle, before, false).await);
        }
        let (target, methods) = (&self.api.target, &self.api.methods);
        if target.protocol == Protocol::Rest {
            let mut report = self.send(cx.sink(), settle, before, false).await;
            let in_stage = InStage::read(cx, target).await?;
            report.rows.extend(in_stage.misguarded(cx, methods));
            return Ok(report);
        }
        let since = Timestamp::now();
        let in_stage = InStage::read(cx, target).await?;
        let mut report = self
            .send_with(cx.sink(), settle, before, false, Some(&in_stage))
            .await;
        self.prove_refusals(
            cx,
            &mut report,
            (since, settle),
            &self.unknown_key,
            &in_stage,
        )
        .await;
        let mut misguarded = in_stage.misguarded(cx, methods);
        if !misguarded.is_empty() {
            // What is deployed automatically may be served only since.
            misguarded = InStage::read(cx, target).await?.misguarded(cx, methods);
        }
        report.rows.extend(misguarded);
        Ok(report)
    }

    /// Completes the report with what the authorizer logs. `since`: when the requests were sent; a line may take up to
    /// `patience` to appear.
    async fn prove_refusals(
        &self,
        cx: &Context,
        report: &mut Report,
        (since, patience): (Timestamp, Duration),
        unknown_key: &Key,
        in_stage: &InStage,
    ) {
        let has_ours = |label: &str| {
            let mut methods = self.api.methods.iter().map(|(method, _)| method);
            let method = methods.find(|method| method.label() == label);
            method.is_some_and(|method| in_stage.has_ours(cx, &method.key()))
        };
        let log = log::Log {
            since,
            patience,
            is_draft: in_stage.is_draft(),
        };
        log.prove(cx, report, unknown_key, has_ours).await;
    }
}

/// Verifies a stage with requests to its own address.
pub(super) async fn prove(
    session: &Session,
    cx: &Context,
    target: &ApiTarget,
    args: &RequestArgs,
    before: &Before,
) -> Result<Report> {
    let requests = Requests::prepare(session, cx, target, args, None).await?;
    requests.prove(cx, args.settle, before).await
}

/// Why requests to some routes would reach another stage: one of `beside`, which the first segment of their path names.
fn unreached_routes(probes: &[Probe], beside: &[String]) -> Option<String> {
    let mut routes: Vec<_> = probes
        .iter()
        .filter_map(|probe| {
            let stage = verify::other_stage(&probe.path, beside)?;
            Some(format!("{} (stage {stage})", probe.label))
        })
        .collect();
    routes.dedup();
    let more = routes.split_off(routes.len().min(5)).len();
    if more > 0 {
        routes.push(format!("{more} more"));
    }
    (!routes.is_empty()).then(|| {
        format!(
            "the API's own address with that path leads to another stage: {}; `threescale-gw verify --url` with a custom domain name \
             reaches it",
            routes.join(", ")
        )
    })
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

//! Sends real requests after a change, and rolls back if callers are affected.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::session::Session;
use super::signals::Signals;
use super::verify::{Requests, prove};
use crate::action::Action;
use crate::api_gateway::ApiTarget;
use crate::aws::AwsError;
use crate::cancel::StopReason;
use crate::cli::UpArgs;
use crate::code::Code;
use crate::engine::plan::{Item, Plan};
use crate::error::{ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::report;
use crate::resource::api_attachment::restore::withdraw;
use crate::resource::api_attachment::rollback::{RollbackTarget, RolledBack, roll_back};
use crate::resource::api_attachment::served::{self, Unverified};
use crate::resource::function_publication::{self, MovedBack};
use crate::resource::{Context, ResourceError, RouteProof, RouteVerdict};
use crate::verify::{Before, Fault, Report, Row};

/// Verifies the API after a change, and moves the stage and the alias back if callers are affected. `before`: how the API
/// answered before; unknown if an earlier run made the change.
pub(super) async fn verify(
    session: &Session,
    cx: &Context,
    args: &UpArgs,
    signals: &Signals,
    found: Unverified,
    before: Option<&Before>,
) -> Result<ExitStatus> {
    let before = match before {
        Some(before) => before.clone(),
        None => {
            let (open, known) = served::before(cx, &session.facts.api).await?;
            Before::known(open, known)
        }
    };
    let report = tokio::select! {
        report = prove(session, cx, &args.requests, None, &before) => report?,
        // No result is recorded, so the next run verifies again.
        stop = signals.cancel.stopped() => return Ok(match stop {
            StopReason::Interrupted => ExitStatus::Interrupted,
            StopReason::TimedOut => ExitStatus::Partial,
        }),
    };
    let sink = cx.sink();
    sink.emit(Event::Verified(report.clone()));
    let worst = told(report.requires_rollback());
    if worst.is_empty() {
        return unharmed(session, cx, &report, found).await;
    }
    let back = go_back(&session.facts.api, cx, &found).await;
    let text = format!(
        "the API does not behave as expected after the change: {}; {}",
        shortened(&worst),
        back.join("; ")
    );
    let hint = "`threescale-gw status` and the log group of the authorizer tell more; then run `threescale-gw up` again";
    Ok(failed(sink, attachment(), text, Some(hint.to_owned())))
}

/// Undoes what did not pass verification: a new deployment, a new version, or both. Returns the results as sentences.
async fn go_back(target: &ApiTarget, cx: &Context, found: &Unverified) -> Vec<String> {
    let stage = &target.stage;
    let mut told = Vec::new();
    if found.is_new_deployment {
        // The stage first: a version that serves both deployments stays in place during the move.
        told.push(
            match roll_back(cx, target, &RollbackTarget::Previous).await {
                Ok(RolledBack::Moved { to, .. }) => {
                    let moved = format!("stage {stage} is rolled back to deployment {to}");
                    match withdraw(cx, target).await {
                        Ok(true) => {
                            format!("{moved} and deploys automatically again, without the authorizer")
                        }
                        Ok(false) => moved,
                        Err(error) => format!("{moved}; the routes could not be restored: {error}"),
                    }
                }
                Ok(RolledBack::ChangedBack(restored)) => {
                    format!("{} in stage {stage}", restored.describe())
                }
                Ok(
                    RolledBack::NotOurs { deployment } | RolledBack::OthersWithOurs { deployment },
                ) => format!(
                    "stage {stage} serves deployment {deployment}, which another user published since, and stays unchanged"
                ),
                Ok(RolledBack::Gone { to, .. }) => format!(
                    "the previous deployment {to} of stage {stage} no longer exists, so the stage stays unchanged"
                ),
                Ok(RolledBack::NoFormer { .. } | RolledBack::NoStage) => {
                    format!("stage {stage} has no previous deployment and stays unchanged")
                }
                Err(error) => format!("stage {stage} could not be moved back: {error}"),
            },
        );
    }
    if found.is_new_version {
        told.extend(version_back(target, cx).await);
    }
    told
}

/// Moves the aliases back from versions that did not pass verification. Returns the results as sentences.
async fn version_back(target: &ApiTarget, cx: &Context) -> Vec<String> {
    // What is not known counts as refused: then every moment is one of a mode.
    let asks = served::refuse_keyless(cx, [target]).await;
    match function_publication::move_back(cx, asks.unwrap_or(true)).await {
        Ok(moved) => moved.iter().map(MovedBack::describe).collect(),
        Err(error) => vec![format!("the alias could not be moved back: {error}")],
    }
}

/// The proof of the first of routes that change one at a time.
pub(super) struct FirstRoute {
    pub cx: Context,
    pub baseline: Arc<Baseline>,
    pub settle: Duration,
}

/// Without the requests, which can have a key in their path.
impl fmt::Debug for FirstRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstRoute").finish_non_exhaustive()
    }
}

impl RouteProof for FirstRoute {
    fn choose(&self, routes: &[String]) -> Option<usize> {
        self.baseline.requests.choose(routes)
    }

    fn prove<'a>(&'a self, route: &'a str) -> BoxFuture<'a, Result<RouteVerdict, ResourceError>> {
        Box::pin(async move {
            let Baseline { requests, before } = &*self.baseline;
            let cx = self.cx.fresh();
            let report = requests.prove_route(&cx, self.settle, before, route).await;
            let report = report.map_err(|error| match error.cause::<ResourceError>() {
                Some(cause) => cause.clone(),
                None => ResourceError::Failed(error.to_string()),
            })?;
            // The requests to the other routes may match a rule.
            let is_harmful = |row: &&Row| !row.is_nothing_mapped();
            let harm = told(report.requires_rollback().filter(is_harmful));
            if harm.is_empty() {
                let mut rows = report.rows.iter();
                let is_well = rows.all(|row| row.verdict.is_ok() || row.is_nothing_mapped());
                return Ok(match is_well && report.skipped.is_none() {
                    true => RouteVerdict::Works,
                    false => RouteVerdict::Unknown,
                });
            }
            cx.sink().emit(Event::Verified(report));
            Ok(RouteVerdict::Harms(shortened(&harm)))
        })
    }
}

/// After the first route has harmed callers: moves the aliases back if their versions are not verified, because the routes that
/// were protected before ask the same version.
pub(super) async fn leave_version(cx: &Context, target: &ApiTarget) -> Result<()> {
    let found = served::unverified(cx, target).await?;
    if found.is_some_and(|found| found.is_new_version) {
        for text in version_back(target, cx).await {
            cx.sink().notice(text);
        }
    }
    Ok(())
}

/// The failed rows, as text.
fn told<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<String> {
    let text = |row: &Row| {
        let (fault, seen) = row.verdict.as_ref().err()?;
        let words = report::verify::words(*fault);
        Some(format!("{}: {words} ({seen})", row.label))
    };
    rows.filter_map(text).collect()
}

/// Ends a verification that found nothing that affects callers. Success is recorded only if every request got a
/// response, so that a later run repeats the requests that this one could not make.
async fn unharmed(
    session: &Session,
    cx: &Context,
    report: &Report,
    found: Unverified,
) -> Result<ExitStatus> {
    let (sink, target) = (cx.sink(), &session.facts.api);
    let refused = told(
        report
            .rows
            .iter()
            .filter(|row| matches!(&row.verdict, Err((fault, _)) if *fault == Fault::KeyRefused)),
    );
    if !refused.is_empty() {
        let text = format!(
            "{}; stage {} stays unchanged",
            shortened(&refused),
            target.stage
        );
        let hint = "pass a key that 3scale accepts, then run `threescale-gw up` again";
        return Ok(failed(sink, attachment(), text, Some(hint.to_owned())));
    }
    let same = told(report.as_before());
    if !same.is_empty() {
        let marks = report.as_before().map(Row::mark).take(MARKS).collect();
        served::note_as_before(cx, target, marks).await?;
        let text = format!(
            "the API does not behave as expected, but this was the same before the change: {}; stage {} stays unchanged",
            shortened(&same),
            target.stage
        );
        let hint = "find the cause, for example a backend or a gateway response of others; then run `threescale-gw up` again";
        return Ok(failed(sink, attachment(), text, Some(hint.to_owned())));
    }
    if !report.is_well() {
        let text = "not every request could be sent from here, so a later `up` repeats them; or run `threescale-gw verify` from \
                    a host that reaches the API";
        sink.finding(NoticeCode::NotVerified, text);
        return Ok(ExitStatus::Done);
    }
    served::note_verified(cx, target, found).await?;
    Ok(ExitStatus::Done)
}

/// The number of faults that are recorded, so that the record fits its parameter.
const MARKS: usize = 100;

/// Verifies the API without AWS, because the credentials are not accepted any more after the deployment. The result cannot be
/// recorded, and the stage cannot be moved back.
pub(super) async fn verify_without_aws(
    session: &Session,
    args: &UpArgs,
    signals: &Signals,
    baseline: &Baseline,
    cause: &AwsError,
) -> ExitStatus {
    let (sink, stage) = (session.cx.sink(), &session.facts.api.stage);
    let settle = args.requests.settle;
    let report = tokio::select! {
        report = baseline.requests.send(sink, settle, &baseline.before, true) => report,
        _ = signals.cancel.stopped() => Report::default(),
    };
    sink.emit(Event::Verified(report.clone()));
    let worst = told(report.requires_rollback());
    let result = match (worst.is_empty(), &report.skipped) {
        (_, Some(_)) => String::new(),
        (true, None) => {
            "; the requests, which need no credentials, found nothing that affects callers"
                .to_owned()
        }
        (false, None) => format!(
            "; the requests, which need no credentials, found: {}; the stage could not be moved back",
            shortened(&worst)
        ),
    };
    let text =
        format!("stage {stage} serves our deployment and it was not verified: {cause}{result}");
    let hint = match worst.is_empty() {
        true => "renew the credentials and run `threescale-gw up` again, which verifies it",
        false => "renew the credentials and run `threescale-gw rollback`",
    };
    failed(sink, attachment(), text, Some(hint.to_owned()));
    ExitStatus::Partial
}

/// The requests of a verification, and how the API answered before the change.
pub(super) struct Baseline {
    pub requests: Requests,
    pub before: Before,
}

impl Baseline {
    /// Asks the API before `plan` is applied, if that changes what callers get.
    pub(super) async fn ask(
        session: &Session,
        cx: &Context,
        args: &UpArgs,
        signals: &Signals,
        plan: &Plan,
    ) -> Result<Option<Arc<Self>>> {
        let changes = |item: &Item| {
            let kinds = [Kind::ApiAttachment, Kind::FunctionAlias];
            kinds.contains(&item.id.kind) && !matches!(item.action, Action::None | Action::Delete)
        };
        if args.no_verify || !plan.items.iter().any(changes) {
            return Ok(None);
        }
        let requests = Requests::prepare(session, cx, &args.requests, None).await?;
        let target = &session.facts.api;
        let before = match served::unverified(cx, target).await? {
            // What a former run has changed is no reason to keep what this run changes.
            Some(_) => {
                let (open, known) = served::before(cx, target).await?;
                Before::known(open, known)
            }
            None => tokio::select! {
                before = requests.ask_before(cx) => before?,
                _ = signals.cancel.stopped() => return Ok(None),
            },
        };
        Ok(Some(Arc::new(Self { requests, before })))
    }
}

pub(super) fn attachment() -> LogicalId {
    LogicalId::new(Kind::ApiAttachment, "main")
}

/// Reports what failed after the last change.
pub(super) fn failed(
    sink: &Sink,
    id: LogicalId,
    error: String,
    hint: Option<String>,
) -> ExitStatus {
    sink.emit(Event::Failed {
        code: Code::Verification,
        id,
        action: Action::Update,
        error,
        hint,
    });
    ExitStatus::Failed
}

/// The first few lines, and the number of the others.
fn shortened(lines: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = lines.len().saturating_sub(SHOWN);
    let mut text = lines[..lines.len() - more].join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

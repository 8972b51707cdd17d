//! Sends real requests after a change, and rolls back if callers are affected.

use super::session::Session;
use super::signals::Signals;
use super::verify::{Requests, prove};
use crate::action::Action;
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
use crate::resource::Context;
use crate::resource::api_attachment::restore::withdraw;
use crate::resource::api_attachment::rollback::{RollbackTarget, RolledBack, roll_back};
use crate::resource::api_attachment::served::{self, Unverified};
use crate::resource::function_publication::{self, MovedBack};
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
    let back = go_back(session, cx, &found).await;
    let text = format!(
        "the API does not behave as expected after the change: {}; {}",
        shortened(&worst),
        back.join("; ")
    );
    let hint = "`threescale-gw status` and the log group of the authorizer tell more; then run `threescale-gw up` again";
    Ok(failed(sink, attachment(), text, Some(hint.to_owned())))
}

/// Undoes what did not pass verification: a new deployment, a new version, or both. Returns the results as sentences.
async fn go_back(session: &Session, cx: &Context, found: &Unverified) -> Vec<String> {
    let stage = &session.facts.api.stage;
    let mut told = Vec::new();
    if found.is_new_deployment {
        // The stage first: a version that serves both deployments stays in place during the move.
        told.push(
            match roll_back(cx, &session.facts.api, &RollbackTarget::Previous).await {
                Ok(RolledBack::Moved { to, .. }) => {
                    let moved = format!("stage {stage} is rolled back to deployment {to}");
                    match withdraw(cx, &session.facts.api).await {
                        Ok(true) => {
                            format!("{moved} and deploys automatically again, without the authorizer")
                        }
                        Ok(false) => moved,
                        Err(error) => format!("{moved}; the routes could not be restored: {error}"),
                    }
                }
                Ok(RolledBack::RoutesRestored { routes }) => {
                    let plural = if routes == 1 { " is" } else { "s are" };
                    format!("{routes} route{plural} restored in stage {stage}")
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
        // What is not known counts as refused: then every moment is one of a mode.
        let asks = served::refuse_keyless(cx, [&session.facts.api]).await;
        match function_publication::move_back(cx, asks.unwrap_or(true)).await {
            Ok(moved) => told.extend(moved.iter().map(MovedBack::describe)),
            Err(error) => told.push(format!("the alias could not be moved back: {error}")),
        }
    }
    told
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
    served::note_verified(cx, target, found, report.skipped.is_some()).await?;
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
    ) -> Result<Option<Self>> {
        let changes = |item: &Item| {
            let kinds = [Kind::ApiAttachment, Kind::FunctionAlias];
            kinds.contains(&item.id.kind) && !matches!(item.action, Action::None | Action::Delete)
        };
        if args.no_verify || !plan.items.iter().any(changes) {
            return Ok(None);
        }
        let requests = Requests::prepare(session, cx, &args.requests, None).await?;
        let before = tokio::select! {
            before = requests.ask_before(cx) => before?,
            _ = signals.cancel.stopped() => return Ok(None),
        };
        Ok(Some(Self { requests, before }))
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

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
use crate::printable::line;
use crate::report;
use crate::resource::api_attachment::record::{self, AttachmentState};
use crate::resource::api_attachment::restore::withdraw;
use crate::resource::api_attachment::rollback::{RollbackTarget, RolledBack, roll_back};
use crate::resource::api_attachment::served::{self, Unverified};
use crate::resource::api_attachment::{automatic, stages};
use crate::resource::function_publication::{self, MovedBack, StillNeeded};
use crate::resource::{Context, ResourceError, RouteProof, RouteVerdict, api_authorizer};
use crate::verify::{Before, Fault, Report, Row};

/// A stage, and what it serves that is not verified.
pub(super) type UnverifiedStage = (ApiTarget, Unverified);

/// What the stages of the session serve that no run has verified.
pub(super) async fn unverified(session: &Session, cx: &Context) -> Result<Vec<UnverifiedStage>> {
    let mut found = Vec::new();
    for target in session.facts.stages() {
        let unverified = served::unverified(cx, target).await?;
        found.extend(unverified.map(|unverified| (target.clone(), unverified)));
    }
    Ok(found)
}

/// How a verification ended.
pub(super) struct Verdict {
    pub status: ExitStatus,
    /// Whether the stages keep what they serve: nothing that was found is a reason to undo the change.
    pub is_kept: bool,
}

impl Verdict {
    fn kept(status: ExitStatus) -> Self {
        Self {
            status,
            is_kept: true,
        }
    }

    fn undone(status: ExitStatus) -> Self {
        Self {
            status,
            is_kept: false,
        }
    }
}

/// Verifies stages after a change, and moves them and the alias back if callers of one are affected. `baseline`: how the API
/// answered before; unknown if an earlier run made the change.
pub(super) async fn verify(
    session: &Session,
    cx: &Context,
    args: &UpArgs,
    signals: &Signals,
    found: Vec<UnverifiedStage>,
    baseline: Option<&Baseline>,
) -> Result<Verdict> {
    let sink = cx.sink();
    let mut verified = Vec::new();
    let mut worst = Vec::new();
    let mut affected = None;
    for (target, unverified) in &found {
        let before = match baseline.and_then(|baseline| baseline.before(target)) {
            Some(before) => before.clone(),
            None => {
                let (open, known) = served::before(cx, target).await?;
                Before::known(open, known)
            }
        };
        let report = tokio::select! {
            report = prove(session, cx, target, &args.requests, &before) => report?,
            // No result is recorded, so the next run verifies again.
            stop = signals.cancel.stopped() => return Ok(Verdict::undone(match stop {
                StopReason::Interrupted => ExitStatus::Interrupted,
                StopReason::TimedOut => ExitStatus::Partial,
            })),
        };
        sink.emit(Event::Verified(report.clone()));
        worst.extend(told(report.requires_rollback()));
        if !worst.is_empty() {
            affected = Some(target);
            break;
        }
        verified.push((target, unverified, report));
    }
    if worst.is_empty() {
        let mut status = ExitStatus::Done;
        for (target, unverified, report) in verified {
            let of_stage = unharmed(cx, target, &report, unverified.clone()).await?;
            if of_stage != ExitStatus::Done {
                status = of_stage;
            }
        }
        return Ok(Verdict::kept(status));
    }
    let mut back = go_back(session, cx, &found, args.only.is_none()).await;
    if back.is_empty() {
        // Only what others have changed was verified.
        let stages: Vec<_> = found.iter().map(|(target, _)| &*target.stage).collect();
        back.push(format!("stage {} stays unchanged", stages.join(", ")));
    }
    let text = format!(
        "the API does not behave as expected after the change: {}; {}",
        shortened(&worst),
        back.join("; ")
    );
    let hint = "`threescale-gw status` and the log group of the authorizer tell more; then run `threescale-gw up` again";
    let id = match affected {
        Some(target) => attachment_to(cx, target).await?,
        None => attachment(),
    };
    let status = failed(sink, id, text, Some(hint.to_owned()));
    Ok(Verdict::undone(status))
}

/// Undoes what did not pass verification: new deployments, a new version, or both. Returns the results as sentences.
/// `is_complete`: the run has brought the draft to the configured state.
async fn go_back(
    session: &Session,
    cx: &Context,
    found: &[UnverifiedStage],
    is_complete: bool,
) -> Vec<String> {
    let mut told = Vec::new();
    let (mut is_moved, mut stays) = (false, false);
    // The stages first: a version that serves both deployments stays in place during the move.
    for (target, _) in found.iter().filter(|(_, found)| found.is_new_deployment) {
        let moved = roll_back(cx, target, &RollbackTarget::Previous).await;
        is_moved |= matches!(moved, Ok(RolledBack::Moved { .. }));
        stays |= moved.as_ref().map_or(true, RolledBack::still_asks);
        told.push(moved_back(&target.stage, moved));
    }
    if is_moved {
        told.extend(thaw_others(session, cx, found, is_complete).await);
        match withdraw(cx, &session.facts.api).await {
            Ok(true) => told.push(
                "the routes are restored, and automatic deployment is on again, without the authorizer"
                    .to_owned(),
            ),
            Ok(false) => {}
            Err(error) => told.push(format!("the routes could not be restored: {error}")),
        }
    }
    if found.iter().any(|(_, found)| found.is_new_version) {
        told.extend(version_back(cx, stays).await);
    }
    told
}

/// Turns automatic deployment on again for the stages that the run has frozen and not moved: they serve what the draft has. Returns
/// what failed.
async fn thaw_others(
    session: &Session,
    cx: &Context,
    found: &[UnverifiedStage],
    is_complete: bool,
) -> Option<String> {
    let cx = cx.fresh();
    let is_moved = |target: &ApiTarget| {
        let mut moved = found.iter().filter(|(_, found)| found.is_new_deployment);
        moved.any(|(moved, _)| moved == target)
    };
    for target in session.facts.stages().filter(|target| !is_moved(target)) {
        let thawed = async {
            if stages::serves_frozen(&cx, target, is_complete).await? {
                automatic::thaw(&cx, target, |uri| api_authorizer::is_ours(&cx, uri)).await?;
            }
            Ok::<_, ResourceError>(())
        };
        if let Err(error) = thawed.await {
            let stage = &target.stage;
            return Some(format!(
                "automatic deployment of stage {stage} could not be turned on: {error}"
            ));
        }
    }
    None
}

/// What became of a stage that was to be moved back.
fn moved_back(stage: &str, moved: std::result::Result<RolledBack, ResourceError>) -> String {
    match moved {
        Ok(RolledBack::Moved { to, .. }) => {
            format!("stage {stage} is rolled back to deployment {to}")
        }
        Ok(RolledBack::ChangedBack(restored)) => {
            format!("{} in stage {stage}", restored.describe())
        }
        Ok(RolledBack::NotDeployed(restored, served)) => {
            format!("{}, but {}", restored.describe(), served.describe())
        }
        Ok(RolledBack::NotOurs { deployment } | RolledBack::OthersWithOurs { deployment }) => {
            format!(
                "stage {stage} serves deployment {deployment}, which another user published since, and stays unchanged"
            )
        }
        Ok(RolledBack::Gone { to, .. }) => format!(
            "the previous deployment {to} of stage {stage} no longer exists, so the stage stays unchanged"
        ),
        Ok(RolledBack::NoFormer { .. } | RolledBack::NoStage) => {
            format!("stage {stage} has no previous deployment and stays unchanged")
        }
        Err(error) => format!("stage {stage} could not be moved back: {error}"),
    }
}

/// Moves the aliases back from versions that did not pass verification. Returns the results as sentences. `stays`: a stage
/// could not be moved.
async fn version_back(cx: &Context, stays: bool) -> Vec<String> {
    // What is not known counts as refused: then every moment is one of a mode.
    let asks = served::refuse_keyless(cx, cx.stages()).await;
    let needed = StillNeeded {
        refuses_keyless: asks.unwrap_or(true),
        stays,
    };
    match function_publication::move_back(cx, needed).await {
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
        let (_, requests, _) = self.baseline.stages.first()?;
        requests.choose(routes)
    }

    fn prove<'a>(&'a self, route: &'a str) -> BoxFuture<'a, Result<RouteVerdict, ResourceError>> {
        Box::pin(async move {
            // Only a stage that is configured alone is changed like this.
            let Some((_, requests, before)) = self.baseline.stages.first() else {
                return Ok(RouteVerdict::Unknown);
            };
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
        let cx = &cx.fresh();
        let record = record::all(cx).await?.remove(target);
        let head = record.and_then(|record| record.head);
        let is_left = |head: &AttachmentState| {
            head.former_source.is_some() || !head.unverified_routes.is_empty()
        };
        let stays = head.as_ref().is_some_and(is_left)
            || automatic::failed_deployment(cx, target).await?.is_some();
        for text in version_back(cx, stays).await {
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
        Some(format!("{}: {words} ({})", row.label, line(seen)))
    };
    rows.filter_map(text).collect()
}

/// Ends a verification that found nothing that affects callers. Success is recorded only if every request got a
/// response, so that a later run repeats the requests that this one could not make.
async fn unharmed(
    cx: &Context,
    target: &ApiTarget,
    report: &Report,
    found: Unverified,
) -> Result<ExitStatus> {
    let sink = cx.sink();
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
        let id = attachment_to(cx, target).await?;
        return Ok(failed(sink, id, text, Some(hint.to_owned())));
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
        let id = attachment_to(cx, target).await?;
        return Ok(failed(sink, id, text, Some(hint.to_owned())));
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
    let sink = session.cx.sink();
    let settle = args.requests.settle;
    let (mut worst, mut is_skipped, mut stages) = (Vec::new(), false, Vec::new());
    let made = session.publication.made();
    let deployed = baseline.stages.iter();
    for (target, requests, before) in deployed.filter(|(target, ..)| made.contains(target)) {
        let report = tokio::select! {
            report = requests.send(sink, settle, before, true) => report,
            _ = signals.cancel.stopped() => Report::default(),
        };
        sink.emit(Event::Verified(report.clone()));
        worst.extend(told(report.requires_rollback()));
        is_skipped |= report.skipped.is_some();
        stages.push(target.stage.as_str());
    }
    let stage = stages.join(", ");
    let result = match (worst.is_empty(), is_skipped) {
        (false, _) => format!(
            "; the requests, which need no credentials, found: {}; the stage could not be moved back",
            shortened(&worst)
        ),
        (true, true) => String::new(),
        (true, false) => {
            "; the requests, which need no credentials, found nothing that affects callers"
                .to_owned()
        }
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

/// The requests of a verification for each stage, and how the API answered before the change.
pub(super) struct Baseline {
    stages: Vec<(ApiTarget, Requests, Before)>,
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
        let mut stages = Vec::new();
        for target in session.facts.stages() {
            let requests = Requests::prepare(session, cx, target, &args.requests, None).await?;
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
            stages.push((target.clone(), requests, before));
        }
        Ok(Some(Arc::new(Self { stages })))
    }

    /// How a stage answered.
    fn before(&self, target: &ApiTarget) -> Option<&Before> {
        let mut stages = self.stages.iter();
        let (_, _, before) = stages.find(|(stage, ..)| stage == target)?;
        Some(before)
    }
}

pub(super) fn attachment() -> LogicalId {
    LogicalId::new(Kind::ApiAttachment, "main")
}

/// The attachment to this stage.
async fn attachment_to(
    cx: &Context,
    target: &ApiTarget,
) -> std::result::Result<LogicalId, ResourceError> {
    api_authorizer::identify(Kind::ApiAttachment, cx, target).await
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

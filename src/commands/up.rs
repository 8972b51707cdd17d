//! `up`: creates, updates or repairs the stack.
//!
//! It observes first without the lock, and writes nothing if there is nothing to do. Under the lock it observes again,
//! so that the changes match the current state of the account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::approval;
use super::confirm::{Question, announce, confirm, confirm_change, is_interactive, shows, what};
use super::ending::{CommandOutcome, Summary};
use super::frozen;
use super::handover;
use super::input::load;
use super::outputs;
use super::session::{Session, look_failed, refuse};
use super::signals::Signals;
use super::verification::{
    Baseline, FirstRoute, UnverifiedStage, attachment, failed, leave_version, unverified, verify,
    verify_without_aws,
};
use super::walk::{apply, has_harmed};
use crate::action::Action;
use crate::aws::{AwsError, Class};
use crate::cli::{Format, Global, Only, UpArgs};
use crate::code::Code;
use crate::config::Mode;
use crate::engine::observe::observe;
use crate::engine::plan::{Item, Plan, plan};
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Scope, Sink, Tally};
use crate::expiry::Ttl;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::lock::{self, ApiLocks, Lock};
use crate::notice::NoticeCode;
use crate::plan_file::{self, PlanFile};
use crate::report::style::Style;
use crate::resource::api_attachment::served::Unverified;
use crate::resource::api_attachment::{automatic, stages};
use crate::resource::parameter::KMS_KEY;
use crate::resource::{
    Context, ResourceError, RunOptions, api_authorizer, function, function_publication, iam_role,
    stack_expiry,
};
use crate::responses::LimitStatus;
use crate::{preflight, report};

/// Runs `up`.
pub(super) async fn run(global: &Global, args: &UpArgs, sink: Sink) -> Result<CommandOutcome> {
    let began = Instant::now();
    let approved = args.plan.as_deref().map(plan_file::read).transpose()?;
    let approved = approved.as_ref();
    // The file is the approval.
    let yes = args.change.yes || approved.is_some();
    if !yes && !is_interactive() {
        // A wrong configuration is the first thing to correct.
        load(global).await?;
        return confirm(false, "").await.map(|()| ExitStatus::Done.into());
    }
    let signals = Signals::listen(args.change.timeout, sink.clone())?;
    let options = RunOptions {
        skip_verification: args.no_verify,
        builds: args.build,
        rotate_cache_token: args.rotate_cache_token,
        ..match approved {
            Some(_) => approval::options(),
            None => RunOptions::default(),
        }
    };
    let mut session = Session::open(global, args.change.parallelism, options, sink).await?;
    session.key.clone_from(&args.requests.key);
    if let Some(approved) = approved {
        approval::ensure_for_this(approved, &session)?;
    }
    let cache = &session.config.cache;
    if args.rotate_cache_token && (!cache.is_created() || !cache.tls) {
        return Err(Error::usage(
            "--rotate-cache-token: the stack has no cache with an AUTH token: its cache must be its own, with `cache.tls: true`",
        ));
    }
    if args.ttl.is_some_and(|ttl| ttl != Ttl::Unlimited) && session.config.deletion_protection {
        return Err(Error::usage(
            "--ttl contradicts `deletion_protection: true`: a stack that expires is deleted",
        ));
    }
    session.expiry = args.ttl.map(|ttl| ttl.end(Timestamp::now()));
    refuse_expired(&session).await?;
    let api_locks = Arc::new(ApiLocks::new(
        &session.cx,
        &signals.cancel,
        args.change.api_patience(),
    ));
    session.cx = session.cx.with_options(RunOptions {
        exclusion: Some(Arc::clone(&api_locks) as _),
        ..session.cx.options().clone()
    });
    let first = look(&session, &session.cx, args.only, approved).await;
    let mut scope = session.scope();
    // A run with nothing to do needs no further request.
    if first.as_ref().is_ok_and(|(plan, _)| !plan.is_empty()) {
        scope.account_alias = session.cx.aws().account_alias().await;
    }
    announce(global, session.cx.sink(), scope.clone(), !yes);
    let mut first = first?;
    if first.0.is_empty() && !session.changes_expiry().await? {
        // A run that was killed after its last change leaves only its lock.
        lock::remove_left(&session.cx, &signals.cancel).await?;
        session.proof.ensure_passed(&session.cx).await?;
        let mut ending = nothing(&session, global, &first.0, began);
        // The same applies to a run that was killed after its deployment, which was then never verified.
        let unverified = match args.no_verify {
            true => Vec::new(),
            false => unverified(&session, &session.cx).await?,
        };
        if unverified.is_empty() {
            frozen::tell(&session.cx, session.facts.stages()).await;
        } else {
            for (target, found) in &unverified {
                let text = found.describe(&target.stage);
                let sink = session.cx.sink();
                sink.notice(format!("{text} was not verified: this run verifies it"));
            }
            signals.enter_critical_section();
            let cx = session.cx.fresh();
            let lock = Lock::take_within(&cx, &signals.cancel, args.change.patience()).await?;
            let verified = finish(&session, &cx, args, &signals, None).await;
            frozen::tell(&cx.fresh(), session.facts.stages()).await;
            api_locks.release().await;
            lock.release().await?;
            ending.status = verified?;
            if ending.status != ExitStatus::Done {
                ending.outputs = None;
            }
            if let Some(summary) = &mut ending.summary {
                summary.tally.failed += usize::from(ending.status == ExitStatus::Failed);
            }
        }
        return Ok(ending);
    }
    let role = LogicalId::new(Kind::IamRole, "authorizer");
    let stands = |item: &Item| item.id == role && item.action != Action::Create;
    // Reads of the role's policies, which a run with nothing to do does not make.
    if approved.is_none()
        && first.0.items.iter().any(stands)
        && iam_role::may_more(&session.cx).await?
    {
        session.cx = session.cx.with_options(RunOptions {
            inspect_role_policies: true,
            ..session.cx.options().clone()
        });
        first = look(&session, &session.cx.fresh(), args.only, None).await?;
    }
    let cache = LogicalId::new(Kind::Cache, "main");
    let changes = |item: &Item| item.id == cache && item.action != Action::None;
    if first.0.items.iter().any(changes) {
        // AWS may have upgraded the engine since its version was noted.
        session.cx = session.cx.with_options(RunOptions {
            inspect_engine_version: true,
            ..session.cx.options().clone()
        });
    }
    if shows(global, !yes) {
        let style = Style::stderr(global);
        report::note(&report::plan::table(&first.0, &first.1, &style));
    }
    announce_plan(&session, &first, &scope);
    let pending: &[String] = match args.publish_pending || approved.is_some() {
        true => &[],
        false => &first.1.pending,
    };
    let question = Question {
        what: match first.0.is_empty() {
            true => format!("Change when stack {} expires", scope.stack),
            false => what(&first.0, &scope),
        },
        pending,
        name: None,
    };
    confirm_change(yes, &question).await?;
    // Without the time that the user took to answer.
    let began = Instant::now();

    let lock_cx = session.cx.fresh();
    signals.enter_critical_section();
    let lock = Lock::take_within(&lock_cx, &signals.cancel, args.change.patience()).await?;
    session.cx = session.cx.with_options(RunOptions {
        lock: Some(lock.watch()),
        ..session.cx.options().clone()
    });
    let worked = work(&session, args, &first, approved, &signals).await;
    frozen::tell(&session.cx.fresh(), session.facts.stages()).await;
    api_locks.release().await;
    let released = lock.release().await;
    let (outcome, status) = worked?;
    if let Err(error) = released {
        session.cx.sink().finding(
            NoticeCode::LockNotReleased,
            format!("could not release the lock: {error}"),
        );
    }
    Ok(CommandOutcome {
        status,
        text: None,
        outputs: (status == ExitStatus::Done).then(|| session.outputs()),
        summary: Some(Summary {
            tally: outcome,
            took: began.elapsed(),
        }),
    })
}

/// Reports what the run is about to change.
fn announce_plan(session: &Session, (plan, findings): &(Plan, preflight::Findings), scope: &Scope) {
    let outputs = outputs::document(&session.outputs());
    let document = report::plan::document(plan, scope, findings, &outputs);
    session.cx.sink().emit(Event::Plan(document));
}

/// Refuses a stack that the next `sweep` deletes, unless its expiry changes.
async fn refuse_expired(session: &Session) -> Result<()> {
    let expiry = stack_expiry::read(&session.cx).await?;
    let now = Timestamp::now();
    let expired = expiry.filter(|expiry| expiry.has_passed(now, Duration::ZERO));
    match expired.filter(|_| session.expiry.is_none()) {
        None => Ok(()),
        Some(expired) => {
            let stack = &session.cx.names().stack;
            let text = format!("stack {stack} {}", expired.describe(now));
            let error = Error::refused(text).with_code(Code::StackExpired);
            Err(error.hint(
                "renew it with `threescale-gw up --ttl 4h`, keep it with `--ttl none`, or delete it with `threescale-gw down`",
            ))
        }
    }
}

/// Whether the functions get other security groups, and those of the stack change with them.
fn changes_security_groups(plan: &Plan) -> bool {
    let mut changes = plan.items.iter().flat_map(|item| &item.changes);
    changes.any(|change| change.field == function::SECURITY_GROUPS)
        && plan.changes(&[Kind::SecurityGroup])
}

/// Whether the KMS key of the stack changes, or the change is not complete.
fn changes_kms_key(cx: &Context, plan: &Plan) -> bool {
    let has_key = cx.options().wanted_kms_key().is_some();
    plan.items.iter().any(|item| {
        let is_record = item.id == LogicalId::new(Kind::Parameter, KMS_KEY);
        let is_of_key = is_record || (has_key && item.id.kind == Kind::IamRole);
        is_of_key && item.action != Action::None
    })
}

/// Observes, plans and checks. Refuses a plan that is not the approved one.
async fn look(
    session: &Session,
    cx: &Context,
    only: Option<Only>,
    approved: Option<&PlanFile>,
) -> Result<(Plan, preflight::Findings)> {
    let observation = session.observe(cx).await?;
    let unmanaged = preflight::unmanaged(&observation.unmanaged);
    let mut plan = plan(observation);
    if let Some(approved) = approved {
        approval::ensure_same_resources(approved, session, &plan, &unmanaged)?;
    }
    if only == Some(Only::Authorizer) {
        let changes_groups = changes_security_groups(&plan);
        let changes_key = changes_kms_key(cx, &plan);
        plan.retain(|id, action| match id.kind {
            Kind::Function | Kind::FunctionAlias => true,
            // A new token is stored next to the one that the live version reads.
            Kind::Secret => action == Action::Create,
            _ => false,
        });
        let first = "run `threescale-gw up` first";
        let is_new = |item: &Item| item.id.kind == Kind::Function && item.action == Action::Create;
        if plan.items.iter().any(is_new) {
            return Err(Error::refused("the functions are not there yet").hint(first));
        }
        if handover::is_needed(cx, session).await? {
            let text = "the API invokes the authorizer function itself and not its alias";
            return Err(Error::refused(text).hint(first));
        }
        let observes = session.config.authorizer.mode == Mode::Observe;
        let live = function_publication::observes(cx).await?;
        if live.is_some_and(|live| live != observes) {
            let text = "`authorizer.mode` changes, and the API must be deployed with it";
            return Err(Error::refused(text).hint("run `threescale-gw up` without --only"));
        }
        if changes_key {
            let text = "the functions get another KMS key, which their role may not use yet";
            return Err(Error::refused(text).hint(first));
        }
        if changes_groups {
            let text =
                "the functions get other security groups, which the cache does not admit yet";
            return Err(Error::refused(text).hint(first));
        }
    }
    plan.check()
        .map_err(|text| Error::refused(text).with_code(Code::PlanRefused))?;
    let findings = session.findings(cx, unmanaged, &plan).await?;
    refuse(&findings.blockers)?;
    if let Some(approved) = approved {
        approval::ensure_same_deployment(approved, session, &plan, &findings)?;
    }
    Ok((plan, findings))
}

async fn work(
    session: &Session,
    args: &UpArgs,
    shown: &(Plan, preflight::Findings),
    approved: Option<&PlanFile>,
    signals: &Signals,
) -> Result<(Tally, ExitStatus)> {
    let cx = session.cx.fresh();
    let (plan, extras) = look(session, &cx, args.only, approved).await?;
    let is_swept = session.expiry.is_none()
        && stack_expiry::read(&cx).await? != stack_expiry::read(&session.cx).await?;
    let new_edits = !args.publish_pending && extras.pending != shown.1.pending;
    if is_swept || new_edits || (plan.outline() != shown.0.outline() && !args.change.yes) {
        return Err(Error::refused(
            "the plan is stale: the account changed since the plan was shown",
        )
        .with_code(Code::PlanStale)
        .hint("run the same command again"));
    }
    // Before the first resource: `sweep` also finds what a killed run has left.
    match session.expiry {
        Some(Some(at)) => stack_expiry::set(&cx, at).await?,
        Some(None) => stack_expiry::remove(&cx).await?,
        None => {}
    }
    // Minutes can pass before the deployment.
    let shown = (!args.publish_pending).then(|| extras.pending.clone());
    session.publication.accept(shown);
    let builds = plan
        .items
        .iter()
        .any(|item| item.id.kind == Kind::Function && item.action == Action::Create);
    // The build takes one to two minutes, as does the network, so both start now.
    let build = builds.then(|| {
        let package = Arc::clone(&session.package);
        tokio::spawn(async move { package.zip().await.map(|_| ()) })
    });
    let mut before = Tally::default();
    let (mut cx, mut plan) = (cx, plan);
    if args.only.is_none() && handover::is_needed(&cx, session).await? {
        let (tally, status) = handover::run(session, &cx, args, signals).await?;
        if status != ExitStatus::Done {
            return Ok((tally, status));
        }
        before = tally;
        cx = session.cx.fresh();
        plan = look(session, &cx, args.only, None).await?.0;
    }
    let baseline = Baseline::ask(session, &cx, args, signals, &plan).await?;
    if let Some(baseline) = &baseline {
        let proof = FirstRoute {
            cx: cx.clone(),
            baseline: Arc::clone(baseline),
            settle: args.requests.settle,
        };
        cx = cx.with_options(RunOptions {
            route_proof: Some(Arc::new(proof)),
            ..cx.options().clone()
        });
    }
    let (mut outcome, mut status) = apply(&plan, &cx, &signals.cancel).await;
    if has_harmed(&outcome) {
        leave_version(&session.cx.fresh(), &session.facts.api).await?;
    }
    if status == ExitStatus::Refused && before.is_any_changed() {
        status = ExitStatus::Partial;
    }
    outcome.tally.add(&before);
    if let Some(build) = build {
        // An interrupted run leaves no compiler running.
        build.abort();
        let _ = build.await;
    }
    let mut failures = outcome.failures.iter().map(|(_, error)| error);
    let mut expired = failures.find_map(|error| rejected(error.aws()));
    if status == ExitStatus::Done {
        // The authorizer may depend on anything that changed. If the API was changed, the self-test has already passed.
        if let Err(error) = session.proof.ensure_passed(&cx.fresh()).await {
            let hint = error.hint();
            let id = LogicalId::new(Kind::Function, "authorizer");
            status = failed(cx.sink(), id, error.to_string(), hint);
            outcome.tally.failed += 1;
            expired = rejected(error.aws());
        }
    }
    if status == ExitStatus::Done {
        status = match finish(
            session,
            &session.cx.fresh(),
            args,
            signals,
            baseline.as_deref(),
        )
        .await
        {
            Err(error) => {
                let source = error.cause::<ResourceError>().and_then(ResourceError::aws);
                expired = rejected(source.or_else(|| error.cause::<AwsError>()));
                match &expired {
                    Some(_) => ExitStatus::Failed,
                    None if error.status() == ExitStatus::Refused
                        && outcome.tally.is_any_changed() =>
                    {
                        return Err(error.with_status(ExitStatus::Partial));
                    }
                    None => return Err(error),
                }
            }
            status => status?,
        };
        outcome.tally.failed += usize::from(status == ExitStatus::Failed);
    }
    if let (Some(baseline), Some(cause)) = (&baseline, &expired)
        && !session.publication.made().is_empty()
    {
        status = verify_without_aws(session, args, signals, baseline, cause).await;
    }
    Ok((outcome.tally, status))
}

/// The error, if AWS does not accept the credentials.
fn rejected(error: Option<&AwsError>) -> Option<AwsError> {
    error
        .filter(|error| error.class == Class::Credentials)
        .cloned()
}

/// Verifies the API if this was not done since its last change, and ends a transition that this change needed.
async fn finish(
    session: &Session,
    cx: &Context,
    args: &UpArgs,
    signals: &Signals,
    baseline: Option<&Baseline>,
) -> Result<ExitStatus> {
    let target = &session.facts.api;
    let mut found = unverified(session, cx).await?;
    let mut cx = cx.clone();
    // The stages may have to be moved back.
    let may_move = !args.no_verify && found.iter().any(|(_, found)| found.is_new_deployment);
    if may_move && cx.enter_api(target).await? {
        cx = cx.fresh();
        found = unverified(session, &cx).await?;
    }
    // A step of this run has thawed them, which published changes of others.
    for target in session.publication.republished() {
        if found.iter().all(|(found, _)| *found != target) {
            let version = function_publication::live_version(&cx).await?;
            found.push((target, Unverified::again(version)));
        }
    }
    let mut status = ExitStatus::Done;
    if !args.no_verify && !found.is_empty() {
        let verdict = verify(session, &cx, args, signals, found, baseline).await?;
        if !verdict.is_kept {
            return Ok(verdict.status);
        }
        status = verdict.status;
    }
    // Also a stage that is not verified, but keeps this stack's deployment: its owner's setting counts.
    let (again, failure) = thaw(session, &cx, args.only.is_none()).await?;
    if status == ExitStatus::Done && !args.no_verify && !again.is_empty() {
        let verdict = verify(session, &cx.fresh(), args, signals, again, baseline).await?;
        status = verdict.status;
    }
    if let Some(failure) = failure {
        status = failed_deployment(&cx, failure);
    }
    if status != ExitStatus::Done {
        return Ok(status);
    }
    handover::leave_api(session, &cx).await;
    if args.only.is_some() || !is_in_transition(session, &cx).await? {
        return Ok(ExitStatus::Done);
    }
    // At this point the stage serves the new deployment, so the version that serves both is no longer needed.
    let cx = session.cx.fresh();
    let aliases: Vec<_> = session
        .nodes
        .iter()
        .filter(|node| node.id().kind == Kind::FunctionAlias)
        .cloned()
        .collect();
    let mut observation = observe(&aliases, &cx)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    observation.found.clear();
    let (_, status) = apply(&plan(observation), &cx, &signals.cancel).await;
    if status != ExitStatus::Done || args.no_verify {
        return Ok(status);
    }
    let cx = session.cx.fresh();
    let mut found = unverified(session, &cx).await?;
    found.retain(|(_, found)| !found.is_new_deployment);
    match found.is_empty() {
        true => Ok(status),
        false => {
            let verdict = verify(session, &cx, args, signals, found, baseline).await?;
            Ok(verdict.status)
        }
    }
}

/// Turns the automatic deployment of the stages on again that serve this stack's authorizer: one that a rollback has moved
/// away from it stays as it is. `is_complete`: the run has brought the draft to the configured state. Returns the stages on which
/// this has published changes of others, and what to say if the deployment of one failed.
async fn thaw(
    session: &Session,
    cx: &Context,
    is_complete: bool,
) -> Result<(Vec<UnverifiedStage>, Option<String>)> {
    let (mut again, mut failure) = (Vec::new(), None);
    for target in session.facts.stages() {
        if !stages::serves_frozen(&cx.fresh(), target, is_complete).await? {
            continue;
        }
        cx.enter_api(target).await?;
        let is_ours = |uri: &str| api_authorizer::is_ours(cx, uri);
        let published = automatic::thaw(cx, target, is_ours).await?;
        failure = failure.or(automatic::failed_deployment(&cx.fresh(), target).await?);
        if published.is_empty() {
            continue;
        }
        let text = format!(
            "automatic deployment of stage {} is on again, which published changes of others: {}",
            target.stage,
            published.join("; ")
        );
        cx.sink().notice(text);
        let version = function_publication::live_version(&cx.fresh()).await?;
        again.push((target.clone(), Unverified::again(version)));
    }
    Ok((again, failure))
}

/// Reports that API Gateway could not deploy the draft when automatic deployment was turned on again.
fn failed_deployment(cx: &Context, error: String) -> ExitStatus {
    cx.sink().emit(Event::Failed {
        code: Code::ResourceFailed,
        id: attachment(),
        action: Action::Update,
        error,
        hint: Some(
            "the API is protected; remove the cause, and API Gateway deploys everything with the next change of the API".to_owned(),
        ),
    });
    ExitStatus::Failed
}

/// Whether the live version serves a former deployment, too. That can also be the version of the former deployment.
async fn is_in_transition(session: &Session, cx: &Context) -> Result<bool> {
    let denies = session.config.api.responses.limits == LimitStatus::Forbidden;
    let observes = session.config.authorizer.mode == Mode::Observe;
    Ok(function_publication::is_in_transition(cx).await?
        || (observes && function_publication::observes(cx).await? == Some(false))
        || (denies && function_publication::denies_limits_only(cx).await?))
}

fn nothing(session: &Session, global: &Global, plan: &Plan, began: Instant) -> CommandOutcome {
    if global.output != Format::Json && !global.quiet {
        report::note(&report::plan::total(plan));
    }
    let tally = Tally {
        unchanged: plan.count(Action::None),
        ..Tally::default()
    };
    CommandOutcome {
        status: ExitStatus::Done,
        text: None,
        outputs: Some(session.outputs()),
        summary: Some(Summary {
            tally,
            took: began.elapsed(),
        }),
    }
}

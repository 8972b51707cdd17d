//! Moves the API of a stack from a release without aliases to the alias `live`, before anything of its functions
//! changes: until then the API invokes the functions themselves, and their new code and settings would serve callers
//! before they are proved.

use std::time::Duration;

use super::session::{Session, look_failed};
use super::signals::Signals;
use super::verification::verify;
use super::verify::prove;
use super::walk::apply;
use crate::api_gateway::ApiTarget;
use crate::cli::{RequestArgs, UpArgs};
use crate::engine::observe::observe;
use crate::engine::plan::plan;
use crate::error::{ExitStatus, Result};
use crate::event::Tally;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::resource::Context;
use crate::resource::api_attachment::{Standing, served};
use crate::stack;
use crate::verify::Before;

/// Whether the API invokes the functions themselves.
pub(super) async fn is_needed(cx: &Context, session: &Session) -> Result<bool> {
    let function = LogicalId::new(Kind::Function, "authorizer");
    if cx.known_output(&function).is_none() {
        return Ok(false);
    }
    Ok(standing(cx, session).await?.is_some())
}

/// The stage that invokes the functions themselves. Releases without aliases attach a stack to one stage.
async fn standing<'a>(
    cx: &Context,
    session: &'a Session,
) -> Result<Option<(&'a ApiTarget, Standing)>> {
    for target in session.facts.stages() {
        if let Some(standing) = served::standing(cx, target).await? {
            return Ok(Some((target, standing)));
        }
    }
    Ok(None)
}

/// Moves the API and the schedule to the aliases. Callers notice no change.
pub(super) async fn run(
    session: &Session,
    cx: &Context,
    args: &UpArgs,
    signals: &Signals,
) -> Result<(Tally, ExitStatus)> {
    let Some((target, standing)) = standing(cx, session).await? else {
        return Ok((Tally::default(), ExitStatus::Done));
    };
    cx.sink().notice("the API invokes the authorizer function and not its alias: first it is moved to the alias, with the current code and settings");
    // The later steps repair an API that fails already; only a change for the worse is rolled back.
    let is_well = match args.no_verify {
        true => false,
        false => {
            let once = RequestArgs {
                settle: Duration::ZERO,
                ..args.requests.clone()
            };
            prove(session, cx, target, &once, &Before::default())
                .await?
                .requires_rollback()
                .next()
                .is_none()
        }
    };
    let nodes = stack::handover(
        &session.config,
        &session.facts,
        &session.package,
        (target, standing),
        &session.publication,
    );
    let mut observation = observe(&nodes, cx)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    // Nothing is removed: what is not among these nodes is looked at afterwards.
    observation.found.clear();
    let (outcome, mut status) = apply(&plan(observation), cx, &signals.cancel).await;
    let mut tally = outcome.tally;
    if status == ExitStatus::Done && is_well {
        let cx = session.cx.fresh();
        if let Some(found) = served::unverified(&cx, target).await? {
            let found = vec![(target.clone(), found)];
            status = verify(session, &cx, args, signals, found, None)
                .await?
                .status;
            tally.failed += usize::from(status == ExitStatus::Failed);
        }
    }
    // The functions change next, which takes minutes.
    leave_api(session, cx).await;
    Ok((tally, status))
}

/// Admits other stacks on the API again. A lock that cannot be released expires.
pub(super) async fn leave_api(session: &Session, cx: &Context) {
    for target in session.facts.stages() {
        if let Err(error) = cx.leave_api(target).await {
            let api = &target.id;
            let text = format!("could not release the lock of API {api}: {error}");
            cx.sink().finding(NoticeCode::LockNotReleased, text);
        }
    }
}

//! `up`: creates, updates or repairs the stack.
//!
//! It looks first, without the lock: where nothing is to be done, nothing is written. Under the lock it looks again, so
//! that what it does is what the account needs, not what it needed a minute ago.

use std::sync::Arc;
use std::time::Instant;

use super::session::{Session, outputs_text, refuse};
use super::{Ending, Signals, Summary, can_ask, carry_out, confirm};
use crate::cli::{Format, Global, Only, UpArgs};
use crate::engine::plan::{Action, Plan, plan};
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink, Tally};
use crate::lock::{self, Lock};
use crate::report::style::Style;
use crate::resource::{Cx, Kind};
use crate::{preflight, report};

/// Runs `up`.
pub(super) async fn run(global: &Global, args: &UpArgs, sink: Sink) -> Result<Ending> {
    let began = Instant::now();
    if !args.change.yes && !can_ask() {
        return confirm(false, "").await.map(|()| ExitStatus::Done.into());
    }
    let signals = Signals::listen(args.change.timeout, sink.clone())?;
    let session = Session::open(global, args.change.parallelism, sink).await?;
    let first = look(&session, &session.cx, args.only).await?;
    if first.0.is_empty() {
        // A run that was killed behind its last change leaves nothing but its lock.
        lock::sweep(&session.cx).await?;
        return Ok(nothing(&session, global, &first.0, began));
    }
    if global.output == Format::Text && !global.quiet {
        let style = Style::stderr(global);
        report::note(&report::plan::table(&first.0, &first.1, &style));
    }
    confirm(args.change.yes, "Change this?").await?;

    let lock_cx = session.cx.fresh();
    signals.working();
    let lock = Lock::take(&lock_cx).await?;
    let worked = work(&session, args, &first.0, &signals).await;
    let released = lock.release().await;
    let (outcome, status) = worked?;
    if let Err(error) = released {
        session.cx.sink().emit(Event::Notice {
            id: None,
            text: format!("the lock could not be given back: {error}"),
        });
    }
    let text =
        (status == ExitStatus::Done).then(|| outputs_text(&session.outputs(), global.output));
    Ok(Ending {
        status,
        text,
        summary: Some(Summary {
            tally: outcome,
            took: began.elapsed(),
        }),
    })
}

/// Looks, plans and checks.
async fn look(
    session: &Session,
    cx: &Cx,
    only: Option<Only>,
) -> Result<(Plan, report::plan::Extras)> {
    let observation = session.observe(cx).await?;
    let foreign = preflight::foreign(&observation);
    let mut plan = plan(observation);
    if only == Some(Only::Authorizer) {
        plan.retain(Kind::Function);
        if plan.count(Action::Create) > 0 {
            return Err(Error::refused("the functions are not there yet")
                .hint("run `threescale-gw up` first"));
        }
    }
    plan.check().map_err(Error::refused)?;
    let (findings, extras) = session.findings(cx, foreign, &plan).await?;
    refuse(&findings)?;
    Ok((plan, extras))
}

async fn work(
    session: &Session,
    args: &UpArgs,
    shown: &Plan,
    signals: &Signals,
) -> Result<(Tally, ExitStatus)> {
    let cx = session.cx.fresh();
    let (plan, _) = look(session, &cx, args.only).await?;
    if plan.outline() != shown.outline() && !args.change.yes {
        return Err(
            Error::refused("the account changed while the plan was read")
                .hint("run the same command again"),
        );
    }
    let builds = plan
        .items
        .iter()
        .any(|item| item.id.kind == Kind::Function && item.action == Action::Create);
    // The build takes a minute or two, which the network takes as well: both begin now.
    let build = builds.then(|| {
        let package = Arc::clone(&session.package);
        tokio::spawn(async move { package.zip().await.map(|_| ()) })
    });
    let (outcome, status) = carry_out(&plan, &cx, signals).await;
    if let Some(build) = build {
        // An interrupted run leaves no compiler behind.
        build.abort();
        let _ = build.await;
    }
    Ok((outcome.tally, status))
}

fn nothing(session: &Session, global: &Global, plan: &Plan, began: Instant) -> Ending {
    if global.output == Format::Text && !global.quiet {
        report::note(&report::plan::total(plan));
    }
    let tally = Tally {
        unchanged: plan.count(Action::None),
        ..Tally::default()
    };
    let text = outputs_text(&session.outputs(), global.output);
    Ending {
        status: ExitStatus::Done,
        text: Some(text),
        summary: Some(Summary {
            tally,
            took: began.elapsed(),
        }),
    }
}

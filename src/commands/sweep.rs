//! `sweep`: deletes the stacks that have expired, as `down` does for each of them.
//!
//! A stack is deleted only if it has stored an expiry that has passed, which is read again under its lock: a run that renews
//! the stack in the meantime, or another `sweep`, holds the same lock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;

use super::confirm::{Question, confirm, confirm_change, is_interactive, shows};
use super::ending::{CommandOutcome, Summary};
use super::list::{Looked, is_expired};
use super::removal::{Network, left, look, work};
use super::session::names;
use super::signals::Signals;
use crate::aws::Aws;
use crate::aws::account::CallerIdentity;
use crate::cancel::{CancelToken, StopReason};
use crate::cli::{Format, Global, SweepArgs};
use crate::code::Code;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink, StackPlace, Tally};
use crate::lock::{self, ApiLocks, Lock};
use crate::notice::NoticeCode;
use crate::report;
use crate::report::list::Listed;
use crate::report::style::Style;
use crate::report::sweep::{End, Swept, lines, status, table};
use crate::resource::{Context, RunOptions, stack_expiry};

/// How many stacks are deleted concurrently: most of the time is spent on waiting for AWS.
const STACKS: usize = 5;

/// Runs `sweep`.
pub(super) async fn run(global: &Global, args: &SweepArgs, sink: Sink) -> Result<CommandOutcome> {
    let yes = args.change.yes;
    if !yes && !args.dry_run && !is_interactive() {
        return confirm(false, "").await.map(|()| ExitStatus::Done.into());
    }
    let signals = Signals::listen(args.change.timeout, sink.clone())?;
    let (now, since) = (Timestamp::now(), args.older_than.unwrap_or_default());
    let looked = super::list::look(
        global,
        args.change.parallelism,
        args.all_regions,
        true,
        &sink,
        |found| is_expired(found, now, since),
    );
    let mut looked = looked.await?;
    looked.listed.only_expired = true;
    if args.dry_run {
        match global.output {
            Format::Text | Format::Markdown => {
                report::text(&looked.listed.table(&Style::stdout(global), now));
            }
            Format::Json => report::document(looked.listed.document()),
        }
        return Ok(ExitStatus::Done.into());
    }
    if global.output == Format::Json {
        let denied = looked.listed.denied.iter().chain(&looked.listed.failed);
        denied.for_each(|(region, why)| {
            sink.finding(
                NoticeCode::RegionSkipped,
                format!("{region} was skipped: {why}"),
            )
        });
        let notices = looked.listed.notices.iter();
        notices.for_each(|notice| sink.notice(notice));
    }
    if shows(global, !yes) {
        report::note(&looked.listed.table(&Style::stderr(global), now));
    }
    if !looked.listed.rows.is_empty() {
        confirm(yes, &question(&looked.listed)).await?;
    }
    // Without the time that the user took to answer.
    let began = Instant::now();
    signals.enter_critical_section();
    remove_left_locks(&looked, &signals.cancel, &sink).await;
    let style = Style::stderr(global);
    let swept = sweep_all(&looked, args, &signals.cancel, &sink, &style).await;
    let mut tally = Tally::default();
    swept.iter().for_each(|one| tally.add(&one.tally));
    let status = match (signals.cancel.stop(), status(&swept)) {
        (Some(StopReason::Interrupted), _) => ExitStatus::Interrupted,
        (Some(StopReason::TimedOut), ExitStatus::Failed | ExitStatus::Refused) => {
            ExitStatus::Partial
        }
        (_, status) => status,
    };
    let text = match global.output {
        Format::Text | Format::Markdown => table(&swept, &Style::stdout(global)),
        Format::Json => lines(&swept),
    };
    Ok(CommandOutcome {
        status,
        text: (!swept.is_empty()).then_some(text),
        outputs: None,
        summary: Some(Summary {
            tally,
            took: began.elapsed(),
        }),
    })
}

/// What the user is asked. The stacks are listed above.
fn question(listed: &Listed) -> String {
    let stacks = match listed.rows.as_slice() {
        [one] => format!("stack {}", one.stack),
        rows => format!("{} stacks", rows.len()),
    };
    let regions: BTreeSet<_> = listed.rows.iter().map(|row| row.region.as_str()).collect();
    let regions: Vec<_> = regions.into_iter().collect();
    format!(
        "Delete {stacks} in account {}, {}, and restore the APIs?",
        listed.account,
        regions.join(", ")
    )
}

/// Removes the locks that runs have left which ended before they created anything.
async fn remove_left_locks(looked: &Looked, cancel: &CancelToken, sink: &Sink) {
    for (region, stack) in &looked.only_locked {
        if let Some(aws) = looked.connections.get(region) {
            let sink = sink.of_stack(StackPlace {
                stack: stack.clone(),
                region: region.clone(),
            });
            let cx = context(aws, &looked.caller, stack, sink.clone());
            if let Err(error) = lock::remove_left(&cx, cancel).await {
                sink.notice(format!("the lock could not be removed: {error}"));
            }
        }
    }
}

fn context(aws: &Aws, caller: &CallerIdentity, stack: &str, sink: Sink) -> Context {
    let names = names(stack, aws, caller);
    Context::new(aws.clone(), names, BTreeMap::new(), Vec::new(), sink)
}

async fn sweep_all(
    looked: &Looked,
    args: &SweepArgs,
    cancel: &CancelToken,
    sink: &Sink,
    style: &Style,
) -> Vec<Swept> {
    let rows = &looked.listed.rows;
    let (at_work, ended) = (&RefCell::new(BTreeSet::new()), &RefCell::new(0));
    let progress = || {
        let names: Vec<String> = at_work.borrow().iter().cloned().collect();
        if names.is_empty() {
            return;
        }
        let (ended, all) = (*ended.borrow(), rows.len());
        sink.emit(Event::Progress {
            text: format!("{ended} of {all} stacks; at work: {}", names.join(", ")),
            share: u32::try_from(ended).ok().zip(u32::try_from(all).ok()),
        });
    };
    let progress = &progress;
    let places = rows.iter().filter_map(|row| {
        let place = StackPlace {
            stack: row.stack.clone(),
            region: row.region.clone(),
        };
        Some((looked.connections.get(&row.region)?, place))
    });
    let mut swept: Vec<_> = stream::iter(places.map(|(aws, place)| async move {
        at_work.borrow_mut().insert(place.stack.clone());
        progress();
        let sink = sink.of_stack(place.clone());
        let began = Instant::now();
        let cx = context(aws, &looked.caller, &place.stack, sink.clone());
        let (end, tally) = match interruptible(&cx, args, cancel).await {
            Ok(ended) => ended,
            Err(error) => (failed(&error), Tally::default()),
        };
        let stack = place.stack.clone();
        let took = began.elapsed();
        let one = Swept {
            place,
            end,
            tally,
            took,
        };
        let text = one.describe(style);
        sink.emit(Event::Step { text });
        at_work.borrow_mut().remove(&stack);
        *ended.borrow_mut() += 1;
        progress();
        one
    }))
    .buffer_unordered(STACKS)
    .collect()
    .await;
    swept.sort_by(|one, other| one.place.cmp(&other.place));
    swept
}

fn failed(error: &Error) -> End {
    match error.code() {
        Code::LockHeld => End::Skipped(error.to_string()),
        code => End::Failed {
            code,
            status: error.status(),
            message: error.to_string(),
            hints: error.hints().to_vec(),
        },
    }
}

/// [`sweep`], which a signal to the whole run stops. A stack whose lock is lost stops alone.
async fn interruptible(
    cx: &Context,
    args: &SweepArgs,
    cancel: &CancelToken,
) -> Result<(End, Tally)> {
    let part = cancel.part();
    let swept = sweep(cx, args, &part);
    tokio::pin!(swept);
    tokio::select! {
        ended = &mut swept => return ended,
        stop = cancel.stopped() => {
            if stop == StopReason::Interrupted {
                part.interrupt();
            }
        }
    }
    swept.await
}

/// Deletes one stack, if it has still expired.
async fn sweep(cx: &Context, args: &SweepArgs, cancel: &CancelToken) -> Result<(End, Tally)> {
    let lock = Lock::take_within(&cx.fresh(), cancel, args.change.patience()).await?;
    let api_locks = Arc::new(ApiLocks::new(cx, cancel, args.change.api_patience()));
    let cx = cx.with_options(RunOptions {
        exclusion: Some(Arc::clone(&api_locks) as _),
        lock: Some(lock.watch()),
        ..RunOptions::default()
    });
    let since = args.older_than.unwrap_or_default();
    let removed = remove(&cx, since, args.publish_pending, cancel).await;
    api_locks.release().await;
    if let Err(error) = lock.release().await {
        cx.sink().finding(
            NoticeCode::LockNotReleased,
            format!("could not release the lock: {error}"),
        );
    }
    removed
}

async fn remove(
    cx: &Context,
    since: Duration,
    publish_pending: bool,
    cancel: &CancelToken,
) -> Result<(End, Tally)> {
    if !stack_expiry::has_passed(cx, since).await? {
        return Ok((End::Unneeded, Tally::default()));
    }
    let mut shown = look(cx).await?;
    if publish_pending {
        shown.pending.clear();
    }
    // Refuses edits of others.
    let question = Question {
        what: String::new(),
        pending: &shown.pending,
        name: None,
    };
    confirm_change(true, &question).await?;
    let network = Network {
        left: left(cx, &shown.plan, false).await?,
        is_left: false,
    };
    let cx = cx.with_options(RunOptions {
        accepted_edits: (!publish_pending).then(|| shown.pending.clone()),
        ..cx.options().clone()
    });
    let (tally, status) = work(&cx, &shown, &network, true, cancel).await?;
    let end = match status {
        ExitStatus::Done => End::Deleted,
        status => End::Incomplete(status),
    };
    Ok((end, tally))
}

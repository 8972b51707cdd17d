//! `release`: makes the program forget a stack without deleting anything.

use std::path::Path;

use super::confirm::{self, Question, announce, confirm_change, is_interactive, shows};
use super::removal::refuse_unclear;
use super::session::{connect, look_failed, named_stack};
use super::signals::Signals;
use super::{down, existing};
use crate::cancel::StopReason;
use crate::cli::{Format, Global, ReleaseArgs};
use crate::code::Code;
use crate::engine::observe::observe;
use crate::error::{Error, ExitStatus, Result, list};
use crate::event::Sink;
use crate::lock::{self, Lock};
use crate::notice::NoticeCode;
use crate::report::release::{Released, document, table};
use crate::report::style::Style;
use crate::resource::api_attachment::{automatic, record};
use crate::resource::release::{self, Standing, Tagged};
use crate::resource::{Context, RunOptions, claims};
use crate::{private, report};

/// Runs `release`.
pub(super) async fn run(global: &Global, args: &ReleaseArgs, sink: Sink) -> Result<ExitStatus> {
    if !args.yes && !is_interactive() {
        named_stack(global).await?;
        return confirm::confirm(false, "").await.map(|()| ExitStatus::Done);
    }
    let signals = Signals::listen(args.timeout, sink.clone())?;
    let cx = connect(global, 10, sink).await?;
    let mut scope = down::scope(&cx).await?;
    let standing = release::standing(&cx).await?;
    if let Standing::Released(at) = standing {
        // The lock of a run that was killed at its end.
        lock::remove_left(&cx.fresh(), &signals.cancel).await?;
        let text = existing::released(&cx.names().stack, at);
        return Ok(finish(global, &cx, &Released::default(), Some(&text)));
    }
    let has_begun = standing == Standing::Begun;
    let found = look(&cx).await?;
    if found.is_empty() && !has_begun {
        existing::ensure_exists(&cx).await?;
    }
    refuse_frozen(&cx, has_begun).await?;
    scope.account_alias = cx.aws().account_alias().await;
    announce(global, cx.sink(), scope.clone(), !args.yes);
    if shows(global, !args.yes) {
        report::note(&table(&found, &Style::stderr(global)));
    }
    let is_live = !args.yes && down::protects_live(&cx).await?;
    let question = Question {
        what: confirm::told(&[(found.tagged.len(), "release")], &scope),
        pending: &[],
        name: is_live.then_some(cx.names().stack.as_str()),
    };
    confirm_change(args.yes, &question).await?;

    signals.enter_critical_section();
    let lock = Lock::take(&cx.fresh(), &signals.cancel).await?;
    let cx = cx.with_options(RunOptions {
        lock: Some(lock.watch()),
        ..cx.options().clone()
    });
    let worked = work(&cx, args, &found, has_begun, &signals).await;
    if let Err(error) = lock.release().await {
        cx.sink().finding(
            NoticeCode::LockNotReleased,
            format!("could not release the lock: {error}"),
        );
    }
    Ok(finish(global, &cx, &worked?, None))
}

/// What is released.
async fn look(cx: &Context) -> Result<Released> {
    let observation = observe(&[], cx)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    let verdicts = claims::verdicts(cx).await?;
    refuse_unclear(cx, &verdicts)?;
    let mut tagged = release::tagged(observation.found.iter().map(|(_, live)| live));
    tagged.sort_by(|one, other| one.id.cmp(&other.id));
    let methods = match record::all(cx).await {
        Ok(records) => records.into_iter().flat_map(|(target, record)| {
            let methods = record.methods().cloned().collect::<Vec<_>>();
            methods
                .into_iter()
                .map(move |method| (target.clone(), method))
        }),
        Err(error) => return Err(error.into()),
    };
    Ok(Released {
        tagged,
        methods: methods.collect(),
        records: release::records(cx).await?,
        kept: release::kept(cx).await?,
    })
}

async fn work(
    cx: &Context,
    args: &ReleaseArgs,
    shown: &Released,
    has_begun: bool,
    signals: &Signals,
) -> Result<Released> {
    let cx = cx.fresh().until(&signals.cancel);
    let found = look(&cx).await?;
    if ids(&found) != ids(shown) && !args.yes {
        return Err(Error::refused(
            "the stack has changed since it was shown: nothing was changed",
        )
        .with_code(Code::PlanStale)
        .hint("run the same command again"));
    }
    if !has_begun {
        refuse_frozen(&cx, false).await?;
    }
    if let Some(file) = &args.out {
        write(&cx, file, &found, has_begun)?;
    }
    let status = || match signals.cancel.stop() {
        Some(StopReason::Interrupted) => ExitStatus::Interrupted,
        _ => ExitStatus::Partial,
    };
    let changed = async {
        release::begin(&cx).await?;
        release::untag(&cx, &found.tagged).await?;
        release::forget(&cx, &found.records).await?;
        release::end(&cx).await
    };
    changed.await.map_err(|error| {
        Error::from(error)
            .with_status(status())
            .hint("run the same command again: until then, `up` and `down` refuse this stack")
    })?;
    Ok(found)
}

/// Refuses while automatic deployment of a stage is off: without the record, no command turns it on again. By hand it would
/// deploy the draft, which an interrupted run may have changed in part, and which is protected after a rollback. A release that
/// has begun says so and is completed, because `up` and `down` refuse the stack until then.
async fn refuse_frozen(cx: &Context, has_begun: bool) -> Result<()> {
    let mut frozen = Vec::new();
    for target in record::all(cx).await?.keys() {
        if automatic::is_left_frozen(cx, target).await? {
            frozen.push(format!(
                "automatic deployment of stage {} of API {} is off since a rollback or an interrupted run, and after the release no command turns it on again: when you do, API Gateway deploys the draft",
                target.stage, target.id
            ));
        }
    }
    if frozen.is_empty() {
        return Ok(());
    }
    if has_begun {
        for text in frozen {
            cx.sink().finding(NoticeCode::AutomaticDeploymentOff, text);
        }
        return Ok(());
    }
    let text = list(
        "the stack cannot be released while automatic deployment is off:",
        &frozen,
    );
    Err(Error::refused(text)
        .hint("`threescale-gw up` protects and verifies the API, and turns it on again")
        .hint("`threescale-gw down` restores the API, turns it on again, and deletes the stack"))
}

fn ids(found: &Released) -> Vec<&Tagged> {
    found.tagged.iter().collect()
}

/// Writes what was recorded to a file, before anything is changed. A file of an earlier, interrupted run has more, and stays.
fn write(cx: &Context, file: &Path, found: &Released, has_begun: bool) -> Result<()> {
    let name = file.display();
    if file.exists() {
        if has_begun {
            cx.sink()
                .notice(format!("{name} of the interrupted run was not changed"));
            return Ok(());
        }
        return Err(Error::usage(format!("{name} exists already"))
            .with_code(Code::FileExists)
            .hint("name another file with --out, or remove the old one"));
    }
    let text = format!("{:#}\n", document(found, cx.names(), "released"));
    private::write(file, 0o600, text.as_bytes())
        .map_err(|error| Error::usage(format!("writing {name}: {error}")))
}

fn finish(
    global: &Global,
    cx: &Context,
    found: &Released,
    nothing_to_do: Option<&str>,
) -> ExitStatus {
    let stack = &cx.names().stack;
    match (global.output, nothing_to_do) {
        (Format::Json, _) => {
            let outcome = match nothing_to_do {
                Some(_) => "unchanged",
                None => "released",
            };
            report::document(document(found, cx.names(), outcome));
        }
        (_, Some(why)) => report::text(&format!("nothing to do: {why}")),
        (_, None) => report::text(&format!(
            "released stack {stack}: {} resources have lost its tags, and nothing was deleted",
            found.tagged.len()
        )),
    }
    ExitStatus::Done
}

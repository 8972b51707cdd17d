//! `down`: removes the stack and restores the API.
//!
//! It finds everything by tag and exact name, so it needs a stack's name and no configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::timeout;

use serde_json::json;

use super::confirm::{Question, announce, confirm, confirm_change, is_interactive, shows, what};
use super::ending::{CommandOutcome, Summary};
use super::existing::{self, Absent};
use super::removal::{Network, Removal, leave, left, look, work};
use super::session::{connect, named_stack};
use super::signals::Signals;
use crate::api_gateway;
use crate::api_gateway::AuthorizationType;
use crate::cli::{DownArgs, Format, Global};
use crate::engine::plan::Plan;
use crate::error::{ExitStatus, Result};
use crate::event::{Event, Scope, ScopeApi, Sink, Tally};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::lock::{self, ApiLocks, Lock};
use crate::notice::NoticeCode;
use crate::preflight::{ChangedMethod, Findings};
use crate::report;
use crate::report::style::Style;
use crate::resource::api_attachment::{record, served};
use crate::resource::{Context, RunOptions, stack_expiry};

/// Runs `down`.
pub(super) async fn run(global: &Global, args: &DownArgs, sink: Sink) -> Result<CommandOutcome> {
    let began = Instant::now();
    let (keep_protected, publish_pending, leave_network) = (
        args.keep_protected,
        args.publish_pending,
        args.leave_network,
    );
    let (must_exist, no_wait) = (args.must_exist, args.no_wait);
    let args = &args.change;
    if !args.yes && !is_interactive() {
        named_stack(global).await?;
        return confirm(false, "").await.map(|()| ExitStatus::Done.into());
    }
    let signals = Signals::listen(args.timeout, sink.clone())?;
    let cx = connect(global, args.parallelism, sink).await?;
    let cx = cx.with_options(RunOptions {
        keep_protected,
        no_wait,
        ..RunOptions::default()
    });
    existing::ensure_managed(&cx).await?;
    let mut shown = look(&cx).await?;
    if publish_pending {
        shown.pending.clear();
    }
    let left = left(&cx, &shown.plan, leave_network).await?;
    let mut scope = scope(&cx).await?;
    if !shown.plan.is_empty() {
        scope.account_alias = cx.aws().account_alias().await;
    }
    announce(global, cx.sink(), scope.clone(), !args.yes);
    report_left(&cx, &shown.plan, &left);
    leave(&mut shown.plan, &left);
    let is_marked = stack_expiry::read(&cx).await?.is_some();
    if shown.plan.is_empty() && !is_marked && lock::holder(&cx).await?.is_none() {
        let is_shown = !global.quiet;
        let say = |text: &str| match global.output {
            Format::Text | Format::Markdown => report::note(text),
            Format::Json => cx.sink().notice(text),
        };
        let absent = match left.is_empty() && (must_exist || is_shown) {
            true => existing::absent(&cx).await,
            false => None,
        };
        match absent {
            Some(absent) if must_exist => return Err(absent.into()),
            absent if is_shown => {
                let stack = &cx.names().stack;
                say(&match left.is_empty() {
                    true => format!("No changes: stack {stack} has no resources."),
                    false => format!("No changes: stack {stack} has only its network."),
                });
                if let Some(Absent { meant, others, .. }) = absent {
                    let meant = meant.map(|meant| format!("did you mean `{meant}`? "));
                    say(&format!("{}{others}", meant.unwrap_or_default()));
                }
            }
            _ => {}
        }
        let summary = Summary {
            tally: Tally::default(),
            took: began.elapsed(),
        };
        return Ok(CommandOutcome {
            status: ExitStatus::Done,
            text: None,
            outputs: None,
            summary: Some(summary),
        });
    }
    let extras = findings(&cx, &shown).await?;
    let document = report::plan::document(&shown.plan, &scope, &extras, &json!({}));
    cx.sink().emit(Event::Plan(document));
    if shows(global, !args.yes) {
        let style = Style::stderr(global);
        report::note(&report::plan::table(&shown.plan, &extras, &style));
    }
    let is_live = !args.yes && protects_live(&cx).await?;
    let question = Question {
        what: what(&shown.plan, &scope),
        pending: &shown.pending,
        name: is_live.then_some(cx.names().stack.as_str()),
    };
    confirm_change(args.yes, &question).await?;
    // Without the time that the user took to answer.
    let began = Instant::now();

    signals.enter_critical_section();
    let lock = Lock::take_within(&cx.fresh(), &signals.cancel, args.patience()).await?;
    let api_locks = Arc::new(ApiLocks::new(&cx, &signals.cancel, args.api_patience()));
    let cx = cx.with_options(RunOptions {
        exclusion: Some(Arc::clone(&api_locks) as _),
        lock: Some(lock.watch()),
        accepted_edits: (!publish_pending).then(|| shown.pending.clone()),
        ..cx.options().clone()
    });
    let network = Network {
        left,
        is_left: leave_network,
    };
    let worked = work(&cx, &shown, &network, args.yes, &signals.cancel).await;
    api_locks.release().await;
    let released = lock.release().await;
    let (tally, status) = worked?;
    if let Err(error) = released {
        cx.sink().finding(
            NoticeCode::LockNotReleased,
            format!("could not release the lock: {error}"),
        );
    }
    Ok(CommandOutcome {
        status,
        text: None,
        outputs: None,
        summary: Some(Summary {
            tally,
            took: began.elapsed(),
        }),
    })
}

/// Whether a stage serves a method with the authorizer of the stack.
pub(super) async fn protects_live(cx: &Context) -> Result<bool> {
    for target in record::targets(cx).await? {
        if served::served(cx, &target).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How long the name of an API may take.
const NAME_WITHIN: Duration = Duration::from_secs(3);

/// What the stack works on, as the account knows it.
pub(super) async fn scope(cx: &Context) -> Result<Scope> {
    let apis = record::targets(cx)
        .await?
        .into_iter()
        .map(|target| async move {
            // Only for the heading: neither a missing permission nor a service that does not answer matters.
            let found = api_gateway::get(cx.aws(), target.api());
            let found = timeout(NAME_WITHIN, found).await.ok().and_then(Result::ok);
            ScopeApi {
                name: found.flatten().map(|api| api.name),
                protocol: target.protocol.as_str(),
                id: target.id,
                stage: target.stage,
            }
        });
    Ok(super::session::scope(cx, join_all(apis).await))
}

/// Says which methods become open again, and what others have left in the draft.
async fn findings(cx: &Context, shown: &Removal) -> Result<Findings> {
    let mut extras = Findings {
        pending: shown.pending.clone(),
        ..Findings::default()
    };
    let addresses = shown
        .plan
        .items
        .iter()
        .filter(|item| item.id.kind == Kind::ElasticIp);
    let addresses = addresses.filter_map(|item| item.output.attributes.get("public_ip"));
    extras.notices.extend(addresses.map(|address| {
        format!("the public address {address} is released: 3scale or a firewall that admits it must admit another one")
    }));
    for (target, record) in record::all(cx).await? {
        for method in record.methods() {
            if method.authorization == AuthorizationType::None && !cx.options().keep_protected {
                extras.methods.opened.push(ChangedMethod {
                    api: target.id.clone(),
                    stage: target.stage.clone(),
                    method: method.label(),
                });
            }
            let method_of = format!("{} of API {}", method.label(), target.id);
            let returns = match method.authorization.as_str() {
                "NONE" if cx.options().keep_protected => {
                    format!(
                        "{method_of} is closed with AWS_IAM, where it was open before the stack"
                    )
                }
                "NONE" if method.is_absent => format!(
                    "{method_of} is deleted, unless it is used by another user since: every connection will be accepted"
                ),
                "NONE" => format!("{method_of} returns to NONE: it will be open"),
                other => format!("{method_of} returns to {other}"),
            };
            // The stages of an API share its methods.
            if !extras.notices.contains(&returns) {
                extras.notices.push(returns);
            }
        }
    }
    Ok(extras)
}

fn report_left(cx: &Context, plan: &Plan, left: &BTreeSet<LogicalId>) {
    for item in plan.items.iter().filter(|item| left.contains(&item.id)) {
        let physical_id = item.physical_id.as_deref().unwrap_or_default();
        cx.notice(&item.id, format!("{physical_id} stays (--leave-network)"));
    }
}

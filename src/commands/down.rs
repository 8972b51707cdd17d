//! `down`: removes the stack and restores the API.
//!
//! It finds everything by tag and exact name, so it needs a stack's name and no configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::confirm::{Question, announce, confirm, confirm_change, is_interactive, shows, what};
use super::ending::{CommandOutcome, Summary};
use super::existing::{self, Absent};
use super::session::{connect, look_failed, named_stack};
use super::signals::Signals;
use super::walk::apply;
use crate::action::Action;
use crate::aws::Class;
use crate::cli::{DownArgs, Format, Global};
use crate::code::Code;
use crate::engine::observe::observe;
use crate::engine::plan::{Plan, plan};
use crate::error::{Error, ExitStatus, Result, list};
use crate::event::{Event, Scope, ScopeApi, Sink, Tally};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::lock::{self, ApiLocks, Lock};
use crate::preflight::{ChangedMethod, Findings};
use crate::report;
use crate::report::style::Style;
use crate::resource::api_attachment::lost_record::{self, Unrecorded};
use crate::resource::api_attachment::{ApiAttachments, record, served};
use crate::resource::parameter::{self, DELETION_PROTECTION};
use crate::resource::{Context, ResourceError, RunOptions, claims, function_permission, neighbors};
use crate::rest_api::AuthorizationType;

/// Runs `down`.
pub(super) async fn run(global: &Global, args: &DownArgs, sink: Sink) -> Result<CommandOutcome> {
    let began = Instant::now();
    let (keep_protected, publish_pending, leave_network) = (
        args.keep_protected,
        args.publish_pending,
        args.leave_network,
    );
    let must_exist = args.must_exist;
    let args = &args.change;
    if !args.yes && !is_interactive() {
        named_stack(global).await?;
        return confirm(false, "").await.map(|()| ExitStatus::Done.into());
    }
    let signals = Signals::listen(args.timeout, sink.clone())?;
    let cx = connect(global, args.parallelism, sink).await?;
    let cx = cx.with_options(RunOptions {
        keep_protected,
        ..RunOptions::default()
    });
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
    if shown.plan.is_empty() && lock::holder(&cx).await?.is_none() {
        let is_shown = !global.quiet;
        let say = |text: &str| match global.output {
            Format::Text => report::note(text),
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
    let lock = Lock::take(&cx.fresh(), &signals.cancel).await?;
    let api_locks = Arc::new(ApiLocks::new(&cx, &signals.cancel, args.lock_timeout));
    let cx = cx.with_options(RunOptions {
        exclusion: Some(Arc::clone(&api_locks) as _),
        accepted_edits: (!publish_pending).then(|| shown.pending.clone()),
        ..cx.options().clone()
    });
    let network = Network {
        left,
        is_left: leave_network,
    };
    let worked = work(&cx, &shown, &network, args.yes, &signals).await;
    api_locks.release().await;
    let released = lock.release().await;
    let (tally, status) = worked?;
    if let Err(error) = released {
        cx.sink()
            .notice(format!("could not release the lock: {error}"));
    }
    Ok(CommandOutcome {
        status,
        text: None,
        summary: Some(Summary {
            tally,
            took: began.elapsed(),
        }),
    })
}

/// Whether a stage serves a method with the authorizer of the stack.
async fn protects_live(cx: &Context) -> Result<bool> {
    for target in record::targets(cx).await? {
        if served::served(cx, &target).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the stack works on, as the account knows it.
pub(super) async fn scope(cx: &Context) -> Result<Scope> {
    let apis = record::targets(cx)
        .await?
        .into_iter()
        .map(|target| ScopeApi {
            id: target.id,
            name: None,
            stage: target.stage,
        });
    Ok(super::session::scope(cx, apis.collect()))
}

/// What `down` does.
struct Removal {
    plan: Plan,
    /// The undeployed changes of others that it publishes.
    pending: Vec<String>,
}

async fn look(cx: &Context) -> Result<Removal> {
    let observation = observe(&[], cx)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    for unmanaged in &observation.unmanaged {
        let text = format!("{} is left alone: {}", unmanaged.physical_id, unmanaged.why);
        cx.sink().emit(Event::Notice {
            id: Some(unmanaged.id.clone()),
            text,
        });
    }
    let verdicts = claims::verdicts(cx).await?;
    for stranger in verdicts.strangers() {
        let text = format!("{} is left alone: {}", stranger.physical_id, stranger.why);
        cx.notice(&stranger.id, text);
    }
    let unclear = verdicts.unclear();
    if !unclear.is_empty() {
        let lines = unclear
            .iter()
            .map(|claim| format!("{} {}", claim.physical_id, claim.why));
        let lines: Vec<_> = lines.collect();
        return Err(Error::refused(format!(
            "not everything with the tags of stack {} can be its own:\n  - {}",
            cx.names().stack,
            lines.join("\n  - ")
        ))
        .with_code(Code::NotManaged));
    }
    if parameter::all(cx).await?.contains_key(DELETION_PROTECTION) {
        let text = format!("stack {} is protected against deletion", cx.names().stack);
        return Err(Error::refused(text)
            .with_code(Code::DeletionProtected)
            .hint("set `deletion_protection: false` and run `threescale-gw up`, then `down`"));
    }
    let plan = plan(observation);
    refuse_unrecorded(cx, &plan).await?;
    let pending = ApiAttachments::pending_of_removal(cx).await?;
    Ok(Removal { plan, pending })
}

/// Refuses to delete the authorizer while methods use it whose original authorization is unknown.
async fn refuse_unrecorded(cx: &Context, plan: &Plan) -> Result<()> {
    let mut found = lost_record::of_recorded(cx).await?;
    let mut apis = function_permission::unrecorded_apis(cx).await?;
    // Without the function, the methods fail already.
    if plan.items.iter().any(|item| item.id.kind == Kind::Function) {
        match lost_record::listed(cx).await {
            Ok(listed) => apis.extend(listed),
            Err(ResourceError::Aws(error)) if error.class == Class::Denied => {
                cx.sink().notice(format!(
                    "no record names the API of the stack, and the APIs of the account cannot be listed ({error}): make sure that none uses the authorizer"
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    found.extend(lost_record::of_lost(cx, &apis).await?);
    if found.is_empty() {
        return Ok(());
    }
    let methods: Vec<_> = found.iter().map(Unrecorded::describe).collect();
    let text = list("the authorization before the stack is unknown:", &methods);
    let error = Error::refused(text).with_code(Code::UnknownGuard);
    Err(error.hint(
        "set their authorization in the draft (NONE, AWS_IAM, or an authorizer of your own), deploy the API to the stages that serve them, and run `threescale-gw down` again: without the authorizer function, these methods answer 500",
    ))
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
            extras.notices.push(match method.authorization.as_str() {
                "NONE" if cx.options().keep_protected => {
                    format!("{method_of} is closed with AWS_IAM, where it was open before us")
                }
                "NONE" => format!("{method_of} returns to NONE: it will be open"),
                other => format!("{method_of} returns to {other}"),
            });
        }
    }
    Ok(extras)
}

/// What of the network is not deleted.
struct Network {
    left: BTreeSet<LogicalId>,
    /// Whether the user wants to keep it.
    is_left: bool,
}

/// The part of the network that is left. Others in the network are a reason to refuse, unless the user wants to leave it:
/// EC2 would not delete what they use, and that would show only after everything else is deleted.
async fn left(cx: &Context, plan: &Plan, is_wanted: bool) -> Result<BTreeSet<LogicalId>> {
    if !plan
        .items
        .iter()
        .any(|item| item.id.kind.can_serve_others())
    {
        return Ok(BTreeSet::new());
    }
    let neighbors = neighbors::look(cx).await?;
    if is_wanted {
        return Ok(neighbors.left());
    }
    if neighbors.foreign.is_empty() {
        return Ok(BTreeSet::new());
    }
    let list: Vec<_> = neighbors.foreign.iter().map(ToString::to_string).collect();
    let text = format!(
        "others use the network of stack {}, so it cannot be deleted:\n  - {}",
        cx.names().stack,
        list.join("\n  - ")
    );
    Err(Error::refused(text)
        .with_code(Code::NetworkInUse)
        .hint("remove what is named, then run `threescale-gw down` again")
        .hint("`threescale-gw down --leave-network` deletes everything except the network"))
}

fn leave(plan: &mut Plan, left: &BTreeSet<LogicalId>) {
    plan.retain(|id, _| !left.contains(id));
    if plan.items.is_empty() {
        // What Lambda leaves behind is no item.
        plan.steps.clear();
    }
}

fn report_left(cx: &Context, plan: &Plan, left: &BTreeSet<LogicalId>) {
    for item in plan.items.iter().filter(|item| left.contains(&item.id)) {
        let physical_id = item.physical_id.as_deref().unwrap_or_default();
        cx.notice(&item.id, format!("{physical_id} stays (--leave-network)"));
    }
}

async fn work(
    cx: &Context,
    shown: &Removal,
    network: &Network,
    yes: bool,
    signals: &Signals,
) -> Result<(Tally, ExitStatus)> {
    // Before the first deletion: a run that must wait for another stack in vain has changed nothing.
    for target in record::targets(cx).await? {
        cx.enter_api(&target).await?;
    }
    let cx = cx.fresh();
    let Removal { mut plan, pending } = look(&cx).await?;
    // The confirmation may have taken long.
    let left = match yes {
        true => network.left.clone(),
        false => left(&cx, &plan, network.is_left).await?,
    };
    leave(&mut plan, &left);
    let accepted = cx.options().accepted_edits.as_ref();
    let has_new_edits = accepted.is_some_and(|accepted| *accepted != pending);
    if has_new_edits || (plan.outline() != shown.plan.outline() && !yes) {
        return Err(Error::refused(
            "the plan is stale: the account changed since the plan was shown",
        )
        .with_code(Code::PlanStale)
        .hint("run the same command again"));
    }
    let (outcome, status) = apply(&plan, &cx, signals).await;
    debug_assert!(
        plan.items
            .iter()
            .all(|item| item.action == Action::Delete || item.id.kind == Kind::NetworkInterface)
    );
    Ok((outcome.tally, status))
}

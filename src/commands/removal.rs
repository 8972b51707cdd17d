//! The removal of a stack, by `down` and `sweep`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::frozen;
use super::session::look_failed;
use super::walk::{apply, report_rest};
use crate::action::Action;
use crate::aws::Class;
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::engine::observe::observe;
use crate::engine::plan::{Plan, plan};
use crate::error::{Error, ExitStatus, Result, list};
use crate::event::Tally;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::resource::api_attachment::lost_record::{self, Unrecorded};
use crate::resource::api_attachment::{ApiAttachments, record};
use crate::resource::parameter::{self, DELETION_PROTECTION};
use crate::resource::{
    Context, ResourceError, claims, function_permission, neighbors, stack_expiry,
};

/// What a removal does.
pub(super) struct Removal {
    pub(super) plan: Plan,
    /// The undeployed changes of others that it publishes.
    pub(super) pending: Vec<String>,
}

pub(super) async fn look(cx: &Context) -> Result<Removal> {
    let observation = observe(&[], cx)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    for unmanaged in &observation.unmanaged {
        let text = format!("{} is left alone: {}", unmanaged.physical_id, unmanaged.why);
        cx.finding(&unmanaged.id, NoticeCode::LeftAlone, text);
    }
    let verdicts = claims::verdicts(cx).await?;
    for stranger in verdicts.strangers() {
        let text = format!("{} is left alone: {}", stranger.physical_id, stranger.why);
        cx.finding(&stranger.id, NoticeCode::LeftAlone, text);
    }
    refuse_unclear(cx, &verdicts)?;
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

/// Refuses if it is not clear what of the things with the tags of the stack is its own.
pub(super) fn refuse_unclear(cx: &Context, verdicts: &claims::Verdicts) -> Result<()> {
    let unclear = verdicts.unclear();
    if unclear.is_empty() {
        return Ok(());
    }
    let lines = unclear.iter();
    let lines = lines.map(|claim| format!("{} {}", claim.physical_id, claim.why));
    let text = format!(
        "not everything with the tags of stack {} can be its own:\n  - {}",
        cx.names().stack,
        lines.collect::<Vec<_>>().join("\n  - ")
    );
    Err(Error::refused(text).with_code(Code::NotManaged))
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
                cx.sink().finding(NoticeCode::NotKnown, format!(
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

/// What of the network is not deleted.
pub(super) struct Network {
    pub(super) left: BTreeSet<LogicalId>,
    /// Whether the user wants to keep it.
    pub(super) is_left: bool,
}

/// The part of the network that is left. Others in the network are a reason to refuse, unless the user wants to leave it:
/// EC2 would not delete what they use, and that would show only after everything else is deleted.
pub(super) async fn left(
    cx: &Context,
    plan: &Plan,
    is_wanted: bool,
) -> Result<BTreeSet<LogicalId>> {
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

pub(super) fn leave(plan: &mut Plan, left: &BTreeSet<LogicalId>) {
    plan.retain(|id, _| !left.contains(id));
    if plan.items.is_empty() {
        // What Lambda leaves behind is no item.
        plan.steps.clear();
    }
}

pub(super) async fn work(
    cx: &Context,
    shown: &Removal,
    network: &Network,
    yes: bool,
    cancel: &CancelToken,
) -> Result<(Tally, ExitStatus)> {
    // Before the first deletion: a run that must wait for another stack in vain has changed nothing.
    let targets = record::targets(cx).await?;
    for target in &targets {
        cx.enter_api(target).await?;
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
    if cx.options().no_wait {
        // Before the first deletion: `sweep` also finds what a killed run has left.
        stack_expiry::set(&cx, Timestamp::now()).await?;
    }
    let (outcome, status) = apply(&plan, &cx, cancel).await;
    if status != ExitStatus::Done {
        frozen::tell(&cx.fresh(), &targets).await;
    }
    debug_assert!(
        plan.items
            .iter()
            .all(|item| item.action == Action::Delete || item.id.kind == Kind::NetworkInterface)
    );
    if status == ExitStatus::Done && !outcome.left.is_empty() {
        report_rest(&cx, &outcome.left).await;
    } else if status == ExitStatus::Done {
        // The view of this run does not show what it has written itself.
        let cx = match cx.options().no_wait {
            true => cx.fresh(),
            false => cx,
        };
        stack_expiry::remove(&cx)
            .await
            .map_err(|error| Error::from(error).with_status(ExitStatus::Partial))?;
    }
    Ok((outcome.tally, status))
}

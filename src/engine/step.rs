//! Runs one step: read, act, wait and read again, until the resource has the desired state or
//! cannot reach it.
//!
//! Only the duration of the current problem is kept between two rounds. A killed run, a lost
//! response and a throttled call are therefore all handled in the same way: by reading the state.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::{Operation, Step};
use super::polls::{Polls, poll};
use crate::action::Action;
use crate::aws::{AwsError, Backoff, Class};
use crate::cancel::{CancelToken, StopReason};
use crate::event::Event;
use crate::id::LogicalId;
use crate::notice::NoticeCode;
use crate::resource::{
    Context, DynKind, DynResource, Identity, Live, Observed, Phase, ResourceError,
};

/// The number of changes after which a resource counts as not converging. A cache of which everything changes takes 12.
const MAX_CHANGES: usize = 16;
/// How long a created resource may be missing from listings, because they are eventually
/// consistent.
const LAG: Duration = Duration::from_secs(60);
/// The same for a resource whose creation is uncertain.
const DOUBT: Duration = Duration::from_secs(3);
/// How long a state that this version does not know may last before it is reported.
const NAMED_AFTER: Duration = Duration::from_secs(60);

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum StepError {
    Stopped(StopReason),
    Failed(ResourceError),
    /// AWS is deleting it, and the run does not wait for that.
    Left,
}

impl From<StopReason> for StepError {
    fn from(stop: StopReason) -> Self {
        Self::Stopped(stop)
    }
}

/// Whether `now` is what a listing shows of `deleted` after an attempt to delete it. Pure.
fn is_rest_of(deleted: &Identity, now: &Identity) -> bool {
    let physical_id = &now.output.physical_id;
    if *physical_id == deleted.output.physical_id {
        // Which of several resources has the logical id can change with each deletion in the network.
        return now.id == deleted.id || deleted.id.kind.is_network();
    }
    // Of a resource that consists of several parts, only a record is left.
    physical_id.is_empty() && now.id == deleted.id
}

/// The state of one running step.
pub(super) struct StepRunner<'a> {
    pub step: &'a Step,
    pub cx: &'a Context,
    pub cancel: &'a CancelToken,
    polls: &'a Polls<Context>,
    waiting: Option<(String, Instant)>,
    /// Whether an unknown state was reported.
    named: bool,
    /// Since when which calls have failed, without a change in between: a call that fails after others have succeeded has its
    /// own time.
    trouble: BTreeMap<&'static str, (Instant, Backoff)>,
    changes: usize,
    made: Option<PendingCreate>,
    /// Whether something was changed, or may have been.
    acted: bool,
}

/// A resource that was created and may not be listed yet.
struct PendingCreate {
    since: Instant,
    /// How long it may be missing from the listing.
    lag: Duration,
    backoff: Backoff,
}

impl PendingCreate {
    /// Returns what to wait for after a create call, if anything.
    fn by(result: &Result<(), ResourceError>) -> Option<Self> {
        let lag = match result {
            Ok(()) => LAG,
            Err(error) if error.is_already_there() || error.is_carried_out() => LAG,
            // There was no response, so the call may have been carried out. A response that reports an error is
            // not waited for.
            Err(ResourceError::Aws(error))
                if error.class == Class::Ambiguous && error.status.is_none() =>
            {
                DOUBT
            }
            Err(_) => return None,
        };
        Some(Self {
            since: Instant::now(),
            lag,
            backoff: Backoff::new(),
        })
    }

    /// Returns the wait until the next read, as long as it is too early to create the resource again.
    fn wait(&mut self) -> Option<Duration> {
        (self.since.elapsed() < self.lag).then(|| self.backoff.wait())
    }
}

impl<'a> StepRunner<'a> {
    /// Runs the step.
    ///
    /// # Errors
    /// When the run is stopped or the step cannot succeed.
    pub async fn run(
        step: &'a Step,
        cx: &'a Context,
        cancel: &'a CancelToken,
        polls: &'a Polls<Context>,
    ) -> Result<Option<String>, StepError> {
        let mut round = Self {
            step,
            cx,
            cancel,
            polls,
            waiting: None,
            named: false,
            trouble: BTreeMap::new(),
            changes: 0,
            made: None,
            acted: false,
        };
        let ended = match cx.ensure_locked().await {
            Ok(()) => round.work().await,
            Err(lost) => Err(StepError::Failed(lost)),
        };
        match (ended, cancel.stop()) {
            // A call that was not sent is not a failure of the step.
            (Err(StepError::Failed(ResourceError::Aws(error))), Some(stop))
                if error.class == Class::Stopped =>
            {
                Err(stop.into())
            }
            (ended, _) => ended,
        }
    }

    async fn work(&mut self) -> Result<Option<String>, StepError> {
        match &self.step.work {
            Operation::Converge(node) => self.converge(&**node).await,
            Operation::Detach(node) => self.detach(&**node).await.map(|()| None),
            Operation::Empty(kind, found) => self.empty(*kind, found).await.map(|()| None),
            Operation::Delete(kind, found) => self.delete(*kind, found).await.map(|()| None),
            Operation::Drain(kind) => self.drain(*kind).await.map(|()| None),
        }
    }

    fn id(&self) -> &LogicalId {
        &self.step.id
    }

    fn proceed(&self) -> Result<(), StepError> {
        self.cancel.stop().map_or(Ok(()), |stop| Err(stop.into()))
    }

    async fn converge(&mut self, node: &dyn DynResource) -> Result<Option<String>, StepError> {
        // The plan saw under the lock that the resource does not exist, so the first read is not needed.
        let mut absent = self.step.action == Action::Create;
        let mut identified = false;
        loop {
            self.proceed()?;
            let cx = self.cx.fresh();
            let look = if absent {
                None
            } else {
                node.look(&cx).await.map_err(StepError::Failed)?
            };
            absent = false;
            let Some(look) = look else {
                // A second create call would create a duplicate.
                if let Some(wait) = self.made.as_mut().and_then(PendingCreate::wait) {
                    self.cx.sink().emit(Event::Retrying {
                        id: Some(self.id().clone()),
                        cause: "created; waiting until AWS shows it (eventual consistency)"
                            .to_owned(),
                        wait,
                    });
                    self.cancel.sleep(wait).await;
                    continue;
                }
                self.prepare(node, &cx, None).await?;
                let result = node.create(&cx).await;
                let result = self.own(result);
                if let Some(made) = PendingCreate::by(&result) {
                    self.made = Some(made);
                }
                self.after(result, "created, but not found afterwards")
                    .await?;
                continue;
            };
            self.made = None;
            let identity = &look.found.identity;
            if !identified && !identity.output.physical_id.is_empty() {
                identified = true;
                self.cx.sink().emit(Event::Identified {
                    id: identity.id.clone(),
                    action: self.step.action,
                    physical_id: identity.output.physical_id.clone(),
                });
            }
            match &identity.phase {
                Phase::Pending(_) | Phase::Unknown(_) | Phase::Deleting(_) => {
                    self.settle(node.kind(), &look.found).await?;
                }
                Phase::Blocked { state, hint } => {
                    return Err(StepError::Failed(ResourceError::Blocked {
                        what: format!("is in the state {state}, which does not end by itself"),
                        hint: Some((*hint).to_owned()),
                    }));
                }
                Phase::Failed(why) => {
                    // A failed resource never recovers. It is deleted and recreated once; a second failure is
                    // reported to the operator.
                    if self.changes > 1 {
                        return Err(StepError::Failed(ResourceError::Failed(why.clone())));
                    }
                    let result = node.kind().delete(&cx, &look.found).await;
                    self.after(result, why).await?;
                }
                Phase::Ready => {
                    self.waiting = None;
                    self.cx.set_output(&identity.id, identity.output.clone());
                    if look.diff.is_same() {
                        return Ok(Some(identity.output.physical_id.clone()));
                    }
                    let text = look
                        .diff
                        .changes
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(", ");
                    if look.diff.replace {
                        let text = format!("changed concurrently ({text}): run the command again");
                        return Err(StepError::Failed(ResourceError::ConcurrentChange {
                            what: text,
                            hint: None,
                        }));
                    }
                    self.prepare(node, &cx, Some(&look)).await?;
                    let result = node.update(&cx, &look).await;
                    let result = self.own(result);
                    self.after(result, &text).await?;
                }
            }
        }
    }

    /// Waits for what a change needs outside the account. The wait ends early when the run must stop.
    async fn prepare(
        &self,
        node: &dyn DynResource,
        cx: &Context,
        look: Option<&Observed>,
    ) -> Result<(), StepError> {
        tokio::select! {
            prepared = node.prepare(cx, look) => prepared.map_err(StepError::Failed),
            stop = self.cancel.stopped() => Err(stop.into()),
        }
    }

    async fn detach(&mut self, node: &dyn DynResource) -> Result<(), StepError> {
        loop {
            self.proceed()?;
            let cx = self.cx.fresh();
            let Some(look) = node.look(&cx).await.map_err(StepError::Failed)? else {
                return Ok(());
            };
            match &look.found.identity.phase {
                Phase::Pending(_) | Phase::Unknown(_) | Phase::Deleting(_) => {
                    self.settle(node.kind(), &look.found).await?;
                }
                _ => match node.detach(&cx, &look).await {
                    Ok(false) => return Ok(()),
                    other => self.after(other.map(|_| ()), "still holds on").await?,
                },
            }
        }
    }

    /// Waits for what must be taken out of a resource. It changes nothing in the account, so the wait ends early when the
    /// run must stop.
    async fn empty(&self, kind: &dyn DynKind, found: &Live) -> Result<(), StepError> {
        self.proceed()?;
        tokio::select! {
            emptied = kind.empty(self.cx, found) => emptied.map_err(StepError::Failed),
            stop = self.cancel.stopped() => Err(stop.into()),
        }
    }

    async fn delete(&mut self, kind: &dyn DynKind, found: &Live) -> Result<(), StepError> {
        let is_it = |other: &Live| is_rest_of(&found.identity, &other.identity);
        let mut first = Some(found);
        loop {
            self.proceed()?;
            let cx = self.cx.fresh();
            let listed;
            let now = match first
                .take()
                .filter(|found| matches!(found.identity.phase, Phase::Ready | Phase::Failed(_)))
            {
                Some(found) => found,
                None => {
                    listed = kind
                        .list(&cx)
                        .await
                        .map_err(StepError::Failed)?
                        .0
                        .into_iter()
                        .find(is_it);
                    match &listed {
                        Some(now) => now,
                        None => return Ok(()),
                    }
                }
            };
            match &now.identity.phase {
                Phase::Deleting(_) if self.cx.options().no_wait => return Err(StepError::Left),
                Phase::Pending(_) | Phase::Unknown(_) | Phase::Deleting(_) => {
                    if !self.settle(kind, now).await? {
                        return Ok(());
                    }
                }
                _ => {
                    let result = kind.delete(&cx, now).await;
                    self.after(result, "still there").await?;
                }
            }
        }
    }

    async fn drain(&mut self, kind: &dyn DynKind) -> Result<(), StepError> {
        let mut cx = self.cx.fresh();
        loop {
            self.proceed()?;
            let (found, _) = kind.list(&cx).await.map_err(StepError::Failed)?;
            let busy = found
                .iter()
                .filter(|found| found.identity.phase != Phase::Ready)
                .count();
            if found.is_empty() {
                return Ok(());
            }
            for free in found
                .iter()
                .filter(|found| found.identity.phase == Phase::Ready)
            {
                let result = kind.delete(&cx, free).await;
                self.changes = 0;
                self.after(result, "still there").await?;
            }
            cx = match busy {
                0 => self.cx.fresh(),
                _ if self.cx.options().no_wait => return Err(StepError::Left),
                _ => {
                    let what = format!("{busy} network interfaces that Lambda has not released");
                    self.wait(&what, self.id().kind.budget()).await?
                }
            };
        }
    }

    /// Waits, with a time limit, until `found` is neither pending nor being deleted. Returns whether it
    /// still exists.
    async fn settle(&mut self, kind: &dyn DynKind, found: &Live) -> Result<bool, StepError> {
        let mut phase = Some(found.identity.phase.clone());
        loop {
            let budget = self.id().kind.budget();
            let (what, budget) = match phase {
                Some(Phase::Pending(what) | Phase::Deleting(what)) => (what, budget),
                Some(Phase::Unknown(state)) => {
                    self.name_unknown(&state);
                    (state, self.id().kind.budget_of_unknown())
                }
                _ => break,
            };
            let cx = self.wait(&what, budget).await?;
            self.proceed()?;
            phase = kind.phase(&cx, found).await.map_err(StepError::Failed)?;
        }
        Ok(phase.is_some())
    }

    /// Reports an unknown state once, if it lasts.
    fn name_unknown(&mut self, state: &str) {
        let is_waiting = self.waiting.as_ref().filter(|(what, _)| what == state);
        let lasts = is_waiting.is_some_and(|(_, since)| since.elapsed() > NAMED_AFTER);
        if lasts && !self.named {
            self.named = true;
            self.cx.sink().emit(Event::Notice {
                id: Some(self.id().clone()),
                code: Some(NoticeCode::StateUnknown),
                text: format!("is in the state `{state}`, which this version of threescale-gw does not know; waiting until it ends"),
            });
        }
    }

    /// Waits a short time, with a limit, while the state is `what`, and returns the view for the next
    /// read.
    async fn wait(&mut self, what: &str, budget: Duration) -> Result<Context, StepError> {
        self.trouble.clear();
        let since = match &self.waiting {
            Some((text, since)) if text == what => *since,
            _ => {
                let (id, action) = (self.id().clone(), self.step.action);
                self.cx.sink().emit(Event::Waiting {
                    id,
                    action,
                    what: what.to_owned(),
                });
                let since = self
                    .waiting
                    .as_ref()
                    .map_or_else(Instant::now, |(_, since)| *since);
                self.waiting = Some((what.to_owned(), since));
                since
            }
        };
        if since.elapsed() > budget {
            return Err(StepError::Failed(ResourceError::TimedOut {
                state: what.to_owned(),
                after: budget,
            }));
        }
        let (kind, now) = (self.id().kind, Instant::now());
        let begin = || self.cx.fresh();
        let (at, cx) = self.polls.join(kind, now, poll(since.elapsed()), begin);
        self.cancel.sleep(at - now).await;
        Ok(cx)
    }

    /// Treats "already exists" as a listing that lags, if this run may have created the resource
    /// itself.
    fn own(&mut self, result: Result<(), ResourceError>) -> Result<(), ResourceError> {
        match result {
            Err(ResourceError::Aws(error)) if self.acted && error.is_already_there() => {
                let class = Class::NotYet(LAG);
                Err(AwsError { class, ..error }.into())
            }
            other => {
                self.acted |= match &other {
                    Ok(()) => true,
                    Err(error) => error.is_ambiguous() || error.is_carried_out(),
                };
                other
            }
        }
    }

    /// Handles the result of a change: records it, waits out temporary errors, and fails on others.
    async fn after(
        &mut self,
        result: Result<(), ResourceError>,
        what: &str,
    ) -> Result<(), StepError> {
        let Err(error) = result else {
            self.trouble.clear();
            self.changes += 1;
            if self.changes > MAX_CHANGES {
                return Err(StepError::Failed(ResourceError::NotConverging {
                    updates: MAX_CHANGES,
                    what: what.to_owned(),
                }));
            }
            if self.changes > 2 {
                // The change may take a moment to become visible.
                self.cancel.sleep(Duration::from_millis(250)).await;
            }
            return Ok(());
        };
        if error.is_carried_out() {
            // Only the response is lost: the next read shows the result of the change.
            self.changes += 1;
            if self.changes > MAX_CHANGES {
                return Err(StepError::Failed(error));
            }
            let wait = Backoff::new().wait();
            self.cx.sink().emit(Event::Retrying {
                id: Some(self.id().clone()),
                cause: error.to_string(),
                wait,
            });
            self.cancel.sleep(wait).await;
            return Ok(());
        }
        let Some(budget) = error.retried_for() else {
            return Err(StepError::Failed(error));
        };
        let (since, backoff) = self
            .trouble
            .entry(error.subject())
            .or_insert_with(|| (Instant::now(), Backoff::new()));
        let spent = since.elapsed();
        if spent > budget {
            return Err(StepError::Failed(error.after(spent)));
        }
        let wait = backoff.wait();
        self.cx.sink().emit(Event::Retrying {
            id: Some(self.id().clone()),
            cause: error.to_string(),
            wait,
        });
        self.cancel.sleep(wait).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn what_is_left_of_a_resource_is_recognized() {
        let of = |kind, name: &str, physical_id: &str| {
            Identity::ready(LogicalId::new(kind, name), physical_id.to_owned())
        };
        let authorizer = |name, physical_id| of(Kind::ApiAuthorizer, name, physical_id);
        let subnet = |name, physical_id| of(Kind::Subnet, name, physical_id);
        for (now, is_it) in [
            (authorizer("main", "abc123"), true),
            // Another deletion has deleted the authorizer that both share, and only the record is left.
            (authorizer("main", ""), true),
            (authorizer("main", "xyz789"), false),
            (authorizer("other", "abc123"), false),
            (authorizer("other", ""), false),
        ] {
            assert_eq!(
                is_rest_of(&authorizer("main", "abc123"), &now),
                is_it,
                "{now:?}"
            );
        }
        for (now, is_it) in [
            (subnet("public-b", "subnet-1"), true),
            (subnet("public-a", "subnet-2"), false),
        ] {
            assert_eq!(
                is_rest_of(&subnet("public-a", "subnet-1"), &now),
                is_it,
                "{now:?}"
            );
        }
    }
}

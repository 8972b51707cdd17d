//! The lock of a stack: only one run changes a stack at a time.
//!
//! The lock is the parameter `lock`. Creating a parameter is the only conditional write that
//! Parameter Store has: of several callers, one succeeds. Everything else follows from that.
//!
//! - A run takes a free lock by creating the parameter, and renews it while it is alive. It counts on
//!   it only for a part of the lease, by a local clock that cannot be set, and starts nothing after
//!   that. The rest of the lease is for the calls that are still in flight.
//! - A lock is dead if the service's clock shows that it was not renewed for a whole lease, or if its
//!   process can be proved to have ended. The local clock proves nothing.
//! - A run that takes over a dead lock, or breaks a lock, must first create a claim: a parameter whose
//!   name is made from the token of the run that it succeeds. Only one run can do so. It then reads the
//!   lock again, because the claim may be about a lock that has changed hands, and only then writes. A
//!   claim dies like a lock. The next claim is then named after the dead one, so nothing of another run
//!   ever has to be deleted to go on. The holder of the lock deletes all claims with it.
//! - Every overwrite must return the version that was read plus one. Otherwise another program has
//!   written in between, such as an earlier version, which knows no claims: the lock is lost. A version
//!   alone identifies nothing, because a recreated parameter starts again, so the token must match too.
//! - A takeover first writes the lock without its process, and completes it when the versions match. If
//!   they do not, other runs cannot conclude from the end of this process that the lock is free.
//! - Parameter Store has no conditional delete. A run deletes only what it has just read, only within
//!   its part of the lease, and reads again before it repeats a delete whose response was lost.
//!
//! The lock of an API is a lock of the same kind below a path that no stack has, see [`ApiLocks`].
//!
//! This assumes that the service does not carry out a call later than [`Pace::call`] after it was sent.

mod api;
mod holder;
mod wait;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::api::ApiLocks;
pub use self::holder::{Held, Holder};
use crate::aws::Backoff;
use crate::cancel::{CancelToken, StopReason, since_boot};
use crate::code::Code;
use crate::error::{Error, ExitStatus};
use crate::event::Event;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::Names;
use crate::notice::NoticeCode;
use crate::resource::{Context, ResourceError, parameter};

const NAME: &str = "lock";
const CLAIM: &str = "lock-after-";
/// How long writing the lock is retried if it is unknown whether the write succeeded.
const PATIENCE: Duration = Duration::from_secs(120);

/// The times that runs must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A lock that was not renewed for this long is dead.
    pub lease: Duration,
    /// How often a lock is renewed.
    pub renew: Duration,
    /// How long a call takes at most: nothing starts so shortly before the end of the lease.
    pub call: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(180),
            renew: Duration::from_secs(60),
            call: Duration::from_secs(60),
        }
    }
}

/// A held lock. Call [`Lock::release`] before the end of the run.
#[derive(Debug)]
pub struct Lock {
    cx: Context,
    cancel: CancelToken,
    /// Identifies the run.
    token: String,
    /// Ends the renewal when dropped.
    stop: oneshot::Sender<()>,
    /// Returns `None` if the lock was lost.
    renewal: JoinHandle<Option<Mine>>,
}

/// What this run knows of its lock.
#[derive(Debug)]
struct Mine {
    holder: Holder,
    pace: Pace,
    /// The versions that the lock can have if it is this run's: a write whose response was lost may
    /// have been carried out.
    versions: Range<i64>,
    /// Not later than the last successful write, on the clock of [`since_boot`].
    written: Duration,
    /// Whether this run may have claimed the lock of another.
    claimed: bool,
}

impl Mine {
    fn new(pace: Pace) -> Result<Self, ResourceError> {
        Ok(Self {
            holder: Holder::me(pace.lease)?,
            pace,
            versions: 1..2,
            written: since_boot(),
            claimed: false,
        })
    }

    /// A holder of the lock that `cx` is for.
    fn of(cx: &Context, pace: Pace) -> Result<Self, ResourceError> {
        let mut mine = Self::new(pace)?;
        let names = cx.names();
        mine.holder.stack = names.is_of_api().then(|| names.stack.clone());
        Ok(mine)
    }

    fn wrote(&mut self, version: i64, sent: Duration) {
        self.versions = version..version + 2;
        self.written = sent;
    }

    /// Whether `held` is this run's own lock, as it has written it.
    fn is(&self, held: &Held) -> bool {
        held.is_of(&self.holder.token) && self.versions.contains(&held.version)
    }

    /// Until when this run may count on its lock.
    fn until(&self) -> Duration {
        self.written + self.pace.lease.saturating_sub(self.pace.call)
    }

    /// Does `work` while this run may count on its lock.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, ResourceError>>,
    ) -> Result<T, ResourceError> {
        let left = self.until().saturating_sub(since_boot());
        let late = || ResourceError::Blocked {
            what: "no renewal has succeeded in time".to_owned(),
            hint: None,
        };
        if left.is_zero() {
            return Err(late());
        }
        let done = tokio::time::timeout(left, work).await;
        done.unwrap_or_else(|_| Err(late()))
    }
}

fn id(name: &str) -> LogicalId {
    LogicalId::new(Kind::Parameter, name)
}

fn encode(holder: &Holder) -> Result<String, ResourceError> {
    serde_json::to_string(holder).map_err(|error| ResourceError::Bug(error.to_string()))
}

/// Whether only a look at the parameter shows if the call was carried out, or with what result.
fn is_unknown(error: &ResourceError) -> bool {
    error.is_ambiguous() || error.is_carried_out()
}

/// Reports that a call is tried again, and waits.
async fn again(cx: &Context, cancel: Option<&CancelToken>, cause: &ResourceError, wait: Duration) {
    cx.sink().emit(Event::Retrying {
        id: None,
        cause: cause.to_string(),
        wait,
    });
    match cancel {
        Some(cancel) => cancel.sleep(wait).await,
        None => tokio::time::sleep(wait).await,
    }
}

/// The lock and the claims on it, as one listing shows them.
#[derive(Debug)]
struct Look {
    lock: Option<Held>,
    /// By their names.
    claims: BTreeMap<String, Held>,
}

impl Look {
    async fn at(cx: &Context) -> Result<Self, ResourceError> {
        let listed = parameter::list(cx).await?;
        let claims = listed.iter().filter(|(name, _)| name.starts_with(CLAIM));
        Ok(Self {
            lock: listed.get(NAME).map(Held::read),
            claims: claims
                .map(|(name, stored)| (name.clone(), Held::read(stored)))
                .collect(),
        })
    }

    /// The claims on the lock, each of which succeeds the one before, and the name of the next.
    fn succession(&self) -> (Vec<&Held>, String) {
        let mut name = self.lock.as_ref().map_or_else(String::new, claim_on);
        let mut claims: Vec<&Held> = Vec::new();
        while let Some(claim) = self.claims.get(&name)
            && !claims.contains(&claim)
        {
            claims.push(claim);
            name = claim_on(claim);
        }
        (claims, name)
    }
}

/// The name of the claim of the run that succeeds this one.
fn claim_on(held: &Held) -> String {
    format!("{CLAIM}{}", held.key())
}

/// Returns the current holder of the lock, if any.
///
/// # Errors
/// When the listing fails.
pub async fn holder(cx: &Context) -> Result<Option<Held>, ResourceError> {
    Ok(Look::at(cx).await?.lock)
}

/// Removes the lock of a run that has ended, if there is one, and the one that it may have left on the API of `cx`. The
/// lock of a live run stays.
///
/// # Errors
/// The error of the service.
pub async fn remove_left(cx: &Context, cancel: &CancelToken) -> Result<(), Error> {
    let Some(lock) = take_left(cx, cancel).await? else {
        return Ok(());
    };
    let of_api = match cx.api() {
        Some(api) => take_left(&cx.of_api(&api.id), cancel).await,
        None => Ok(None),
    };
    let released = match of_api {
        Ok(Some(left)) => left.release().await.map_err(Error::from),
        other => other.map(|_| ()),
    };
    lock.release().await?;
    released
}

/// Takes the lock if a run that has ended has left it.
async fn take_left(cx: &Context, cancel: &CancelToken) -> Result<Option<Lock>, Error> {
    if !parameter::all(cx).await?.contains_key(NAME) {
        return Ok(None);
    }
    let mine = Mine::of(cx, Pace::default())?;
    let is_dead = |held: Held| held.is_dead(&mine.holder, mine.pace.lease);
    if !holder(cx).await?.is_some_and(is_dead) {
        return Ok(None);
    }
    match Lock::take(cx, cancel).await {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.status() == ExitStatus::Refused => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first of these locks whose run may be in progress, described. A lock that cannot be read shows nothing of its run.
///
/// # Errors
/// When nothing can be known about this process.
pub fn living<'a>(
    all: impl IntoIterator<Item = &'a Held>,
) -> Result<Option<String>, ResourceError> {
    let lease = Pace::default().lease;
    let me = Holder::me(lease)?;
    let mut living = all
        .into_iter()
        .filter(|held| held.is_known() && !held.is_dead(&me, lease));
    Ok(living.next().map(Held::describe))
}

/// Removes the lock that was read as `shown`, whether or not its holder is alive. Another lock stays.
///
/// # Errors
/// `refused` if the lock has changed hands, and the error of the service.
pub async fn break_lock(cx: &Context, shown: &Held) -> Result<(), Error> {
    let mine = Mine::of(cx, Pace::default())?;
    let (names, lease) = (cx.names(), mine.pace.lease);
    let look = Look::at(cx).await?;
    match &look.lock {
        None => return Ok(()),
        Some(now) if now.key() != shown.key() => return Err(refused(names, now, lease)),
        Some(_) => {}
    }
    let (claims, _) = look.succession();
    let living = claims
        .iter()
        .find(|held| !held.is_dead(&mine.holder, lease));
    if let Some(other) = living {
        return Err(refused(names, other, lease));
    }
    if claim(cx, &mine.holder, &look).await?.is_none() {
        return Err(changed(names));
    }
    let token = &mine.holder.token;
    let deleted = mine.within(delete(cx, token, |now| now.key() == shown.key()));
    Ok(deleted.await?)
}

/// Claims the lock that was read as `look`. Returns the lock as it is under the claim, or `None` if
/// another run was faster or the lock has changed hands.
async fn claim(cx: &Context, me: &Holder, look: &Look) -> Result<Option<Held>, ResourceError> {
    let (_, name) = look.succession();
    match parameter::put_once(cx, &id(&name), &name, &encode(me)?, false).await {
        // The look below shows whose claim it is.
        Err(error) if !error.is_already_there() && !is_unknown(&error) => return Err(error),
        _ => {}
    }
    let now = Look::at(cx).await?;
    let claim = now.claims.get(&name);
    if !claim.is_some_and(|claim| claim.is_of(&me.token)) {
        return Ok(None);
    }
    let is_same = |now: &Held| {
        look.lock
            .as_ref()
            .is_some_and(|lock| lock.key() == now.key())
    };
    let lock = now.lock.filter(is_same);
    if lock.is_none() {
        parameter::remove(cx, &name).await?;
    }
    Ok(lock)
}

/// Overwrites the lock that the run `key` holds at this version. Returns whether no other
/// write happened in between.
async fn overwrite(
    cx: &Context,
    by: &Holder,
    key: &str,
    version: i64,
) -> Result<bool, ResourceError> {
    let text = encode(by)?;
    let mut backoff = Backoff::new();
    loop {
        let failed = match parameter::put_once(cx, &id(NAME), NAME, &text, true).await {
            Ok(written) => return Ok(written == version + 1),
            Err(error) if is_unknown(&error) => error,
            Err(error) => return Err(error),
        };
        match &Look::at(cx).await?.lock {
            Some(now) if now.version == version && now.key() == key => {}
            Some(now) => return Ok(now.version == version + 1 && now.is_of(&by.token)),
            None => return Ok(false),
        }
        again(cx, None, &failed, backoff.wait()).await;
    }
}

/// Deletes the lock and all claims if it is the one that `is` knows, otherwise the claims of the run
/// with this token.
async fn delete(
    cx: &Context,
    token: &str,
    is: impl Fn(&Held) -> bool,
) -> Result<(), ResourceError> {
    let mut backoff = Backoff::new();
    let mut void = BTreeSet::new();
    loop {
        let look = Look::at(cx).await?;
        let is_there = look.lock.as_ref().is_some_and(&is);
        let claims = look.claims.into_iter();
        void.extend(
            claims
                .filter(|(_, claim)| is_there || claim.is_of(token))
                .map(|(name, _)| name),
        );
        if !is_there {
            break;
        }
        match parameter::remove_once(cx, NAME).await {
            Ok(()) => break,
            Err(error) if is_unknown(&error) => again(cx, None, &error, backoff.wait()).await,
            Err(error) => return Err(error),
        }
    }
    for name in void {
        parameter::remove(cx, &name).await?;
    }
    Ok(())
}

/// Gives back the lock if this run holds it, and its claims. The lock of another run stays.
async fn give_back(cx: &Context, mine: &Mine) -> Result<(), ResourceError> {
    let token = &mine.holder.token;
    mine.within(delete(cx, token, |now| mine.is(now))).await
}

/// An error that names the holder of the lock and the possible next steps.
fn refused(names: &Names, held: &Held, lease: Duration) -> Error {
    let text = format!("{} is locked by {}", names.locked(), held.describe());
    let error = Error::refused(text).with_code(Code::LockHeld);
    // Anybody with access to the parameter can write this name.
    let is_name = |stack: &&str| {
        stack
            .bytes()
            .all(|it| it == b'-' || it.is_ascii_alphanumeric())
    };
    let stack = held.stack().filter(is_name).unwrap_or(&names.stack);
    let unlock = format!("`threescale-gw unlock --stack {stack}`");
    match held.expires(lease) {
        Some(expires) => error.hint("wait until that run is through").hint(format!(
            "if it has ended, its lock expires at {}; {unlock} releases it now",
            expires.strftime("%H:%M:%S UTC")
        )),
        None => error.hint(format!("if no run is under way, {unlock} removes it")),
    }
}

/// The error of a run that met another one at the same moment.
fn changed(names: &Names) -> Error {
    Error::refused(format!("the lock of {} is changing hands", names.locked()))
        .with_code(Code::LockHeld)
        .hint("run the same command again in a few minutes")
}

/// The error of a run that was stopped before it held the lock.
fn stopped(stop: StopReason) -> Error {
    match stop {
        StopReason::Interrupted => Error::new(
            ExitStatus::Interrupted,
            anyhow::anyhow!("interrupted while the lock was being acquired; nothing was changed"),
        ),
        StopReason::TimedOut => Error::new(
            ExitStatus::Partial,
            anyhow::anyhow!(
                "the --timeout passed before the lock was acquired; nothing was changed"
            ),
        )
        .with_code(Code::TimedOut),
    }
}

impl Lock {
    /// Takes the lock; a dead lock is taken over with a notice. A run that loses its lock to another
    /// run, or cannot renew it, is stopped through `cancel`.
    ///
    /// # Errors
    /// `refused` with the holder while another run holds the lock, and when the run is stopped while it
    /// waits.
    pub async fn take(cx: &Context, cancel: &CancelToken) -> Result<Self, Error> {
        Self::take_at(cx, cancel, Pace::default()).await
    }

    /// [`Self::take`] with other times. All runs on a stack must use the same ones.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn take_at(cx: &Context, cancel: &CancelToken, pace: Pace) -> Result<Self, Error> {
        let mut mine = Mine::of(cx, pace)?;
        let taken = acquire(&cx.until(cancel), cancel, &mut mine).await;
        let stop = cancel.stop();
        if stop.is_some() || (taken.is_err() && mine.claimed) {
            // A write may have succeeded although its response was lost.
            if let Err(error) = give_back(cx, &mine).await {
                cx.sink().finding(
                    NoticeCode::LockNotReleased,
                    format!("could not release the lock: {error}"),
                );
            }
        }
        if let Some(stop) = stop {
            return Err(stopped(stop));
        }
        taken?;
        cancel.lease_until(&mine.holder.token, Some(mine.until()));
        let token = mine.holder.token.clone();
        let (stop, stopping) = oneshot::channel();
        let renewal = keep(cx.clone(), cancel.clone(), mine, stopping);
        Ok(Self {
            cx: cx.clone(),
            cancel: cancel.clone(),
            token,
            stop,
            renewal: tokio::spawn(renewal),
        })
    }

    /// Releases the lock. If another run has taken it over, it stays.
    ///
    /// # Errors
    /// The error of the service; the lock then expires.
    pub async fn release(self) -> Result<(), ResourceError> {
        // A renewal in flight could otherwise be carried out after the delete.
        drop(self.stop);
        let mine = self.renewal.await;
        let mine = mine.map_err(|error| ResourceError::Bug(error.to_string()))?;
        let Some(mine) = mine else { return Ok(()) };
        let released = give_back(&self.cx, &mine).await;
        self.cancel.lease_until(&mine.holder.token, None);
        released
    }
}

async fn acquire(cx: &Context, cancel: &CancelToken, mine: &mut Mine) -> Result<(), Error> {
    let began = Instant::now();
    let mut backoff = Backoff::new();
    let mut earlier = since_boot();
    loop {
        let sent = since_boot();
        // Earlier versions judge by this time. It does not need to be exact.
        let expires = Timestamp::now() + mine.pace.lease;
        let age = expires.duration_since(mine.holder.expires).unsigned_abs();
        if age > mine.pace.lease / 6 {
            mine.holder.expires = expires;
        }
        let text = encode(&mine.holder)?;
        let failed = match parameter::put_once(cx, &id(NAME), NAME, &text, false).await {
            Ok(version) => {
                mine.wrote(version, sent);
                return Ok(());
            }
            // The response was lost: the holder is read below.
            Err(error) if error.is_already_there() || is_unknown(&error) => error,
            Err(error) => return Err(error.into()),
        };
        let look = Look::at(cx).await?;
        match &look.lock {
            // Released in between, or never written.
            None if began.elapsed() > PATIENCE => return Err(failed.into()),
            None => {}
            Some(held) if mine.is(held) => {
                mine.wrote(held.version, earlier);
                return Ok(());
            }
            Some(held) => {
                let (claims, _) = look.succession();
                let mut all = std::iter::once(held).chain(claims);
                let lease = mine.pace.lease;
                if let Some(living) = all.find(|held| !held.is_dead(&mine.holder, lease)) {
                    return Err(refused(cx.names(), living, lease));
                }
                if take_over(cx, mine, &look).await? {
                    let text = format!("took over the expired lock of {}", held.describe());
                    cx.sink().finding(NoticeCode::LockTakenOver, text);
                    return Ok(());
                }
            }
        }
        earlier = sent;
        again(cx, Some(cancel), &failed, backoff.wait()).await;
    }
}

/// Takes over the dead lock that was read as `look`. Returns whether this run holds it now; if not,
/// another run was faster.
async fn take_over(cx: &Context, mine: &mut Mine, look: &Look) -> Result<bool, Error> {
    mine.claimed = true;
    let Some(dead) = claim(cx, &mine.holder, look).await? else {
        return Ok(false);
    };
    // It may have been renewed by a run that only seemed to have ended.
    if !dead.is_dead(&mine.holder, mine.pace.lease) {
        return Err(refused(cx.names(), &dead, mine.pace.lease));
    }
    let (key, mut version) = (dead.key(), dead.version);
    let own = holder::key(&mine.holder.token);
    let complete = mine.holder.clone();
    for (before, by) in [(&key, complete.without_process()), (&own, complete)] {
        // If it cannot be read whether the write succeeded, the next version is this run's.
        mine.versions = version + 1..version + 2;
        let sent = since_boot();
        if !mine.within(overwrite(cx, &by, before, version)).await? {
            mine.versions = 0..0;
            return Err(changed(cx.names()));
        }
        version += 1;
        mine.wrote(version, sent);
    }
    Ok(true)
}

/// Renews the lock until `stopping`. Returns `None`, and stops the run, if the lock is lost.
async fn keep(
    cx: Context,
    cancel: CancelToken,
    mut mine: Mine,
    mut stopping: oneshot::Receiver<()>,
) -> Option<Mine> {
    let mut backoff = Backoff::new();
    let mut wait = mine.pace.renew;
    loop {
        tokio::select! {
            _ = &mut stopping => return Some(mine),
            () = tokio::time::sleep(wait) => {}
        }
        let text = match mine.within(renew(&cx, &mine)).await {
            Ok(Renewal::Done { version, sent }) => {
                mine.wrote(version, sent);
                cancel.lease_until(&mine.holder.token, Some(mine.until()));
                (backoff, wait) = (Backoff::new(), mine.pace.renew);
                continue;
            }
            Ok(Renewal::Lost(text)) => text,
            Err(error) if since_boot() < mine.until() => {
                // The end of the lease ends all waits of the run.
                let left = mine.until().saturating_sub(since_boot());
                wait = backoff.wait().min(left);
                let text = format!("the lock could not be renewed: {error}");
                cx.sink().notice(text);
                continue;
            }
            Err(error) => format!("the lock could not be renewed: {error}: this run stops"),
        };
        cancel.interrupt();
        cx.sink().finding(NoticeCode::LockLost, text);
        return None;
    }
}

enum Renewal {
    Done { version: i64, sent: Duration },
    Lost(String),
}

/// Extends the lease. If another run has the lock, nothing is written.
async fn renew(cx: &Context, mine: &Mine) -> Result<Renewal, ResourceError> {
    let look = Look::at(cx).await?;
    let held = match &look.lock {
        Some(held) if mine.is(held) => held,
        other => return Ok(Renewal::Lost(lost(other.as_ref()))),
    };
    let sent = since_boot();
    let mut by = mine.holder.clone();
    by.expires = Timestamp::now() + mine.pace.lease;
    if overwrite(cx, &by, &held.key(), held.version).await? {
        let version = held.version + 1;
        return Ok(Renewal::Done { version, sent });
    }
    Ok(Renewal::Lost(
        "another run has written the lock: this run stops".to_owned(),
    ))
}

/// The reason to stop a run that no longer holds the lock.
fn lost(held: Option<&Held>) -> String {
    match held {
        Some(held) => format!(
            "the lock is held by {} now: this run stops",
            held.describe()
        ),
        None => "the lock was broken: this run stops".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::parameter::Stored;
    use crate::secret::Secret;

    fn held(text: String, version: i64) -> Held {
        Held::read(&Stored {
            value: Secret::from(text),
            version,
            written: None,
            age: None,
        })
    }

    /// The lock of a run with this token.
    fn of(token: &str) -> Held {
        let mut holder = Holder::me(Duration::ZERO).expect("randomness");
        holder.token = token.to_owned();
        holder.owner = "ann".to_owned();
        held(encode(&holder).expect("JSON"), 1)
    }

    #[test]
    fn a_lock_is_this_runs_own_only_if_token_and_version_match() {
        let mut mine = Mine::new(Pace::default()).expect("randomness");
        let own = |version| held(encode(&mine.holder).expect("JSON"), version);
        let versions: Vec<_> = (0..8).map(own).collect();
        let others = of("other");
        let known = |mine: &Mine| -> Vec<i64> {
            let own = versions.iter().filter(|held| mine.is(held));
            own.map(|held| held.version).collect()
        };
        assert_eq!(known(&mine), [1]);
        mine.wrote(4, since_boot());
        // The next write may have been carried out although its response was lost.
        assert_eq!(known(&mine), [4, 5]);
        mine.wrote(1, since_boot());
        assert!(!mine.is(&others));
        mine.versions = 0..0;
        assert_eq!(known(&mine), [0; 0]);
    }

    #[test]
    fn a_run_counts_on_its_lock_for_a_part_of_the_lease() {
        let pace = Pace::default();
        let mut mine = Mine::new(pace).expect("randomness");
        mine.wrote(1, Duration::from_secs(1000));
        assert_eq!(
            mine.until() + pace.call,
            Duration::from_secs(1000) + pace.lease
        );
        // There is time for more than one attempt to renew it.
        assert!(pace.renew < pace.lease - pace.call);
    }

    #[test]
    fn a_claim_is_named_after_the_run_that_it_succeeds() {
        let look = |claims: &[(&str, &str)]| Look {
            lock: Some(of("a")),
            claims: claims
                .iter()
                .map(|(on, by)| (claim_on(&of(on)), of(by)))
                .collect(),
        };
        let next = |claims: &[(&str, &str)]| {
            let look = look(claims);
            let (held, name) = look.succession();
            (held.len(), name)
        };
        assert_eq!(next(&[]), (0, claim_on(&of("a"))));
        // A claim that is left from an earlier lock counts for nothing.
        assert_eq!(next(&[("z", "y")]), (0, claim_on(&of("a"))));
        assert_eq!(next(&[("a", "b")]), (1, claim_on(&of("b"))));
        assert_eq!(next(&[("b", "c"), ("a", "b")]), (2, claim_on(&of("c"))));
        // No program writes a circle, but it comes to an end.
        assert_eq!(next(&[("a", "b"), ("b", "a")]).0, 2);
    }

    #[test]
    fn a_run_is_told_who_has_its_lock() {
        let text = |held: Option<&Held>| lost(held);
        assert!(text(Some(&of("x"))).contains("held by ann@"));
        let by_hand = held("by hand".to_owned(), 1);
        assert!(text(Some(&by_hand)).contains("held by an unknown holder"));
        assert!(text(None).contains("broken"));
    }
}

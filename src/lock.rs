//! The lock of a stack: only one run changes a stack at a time.
//!
//! The lock is a parameter that only one caller can create. It records the holder, the host and the
//! start time, and is renewed while the run is alive. It is dead if it was not renewed in time, or
//! if it was taken on this machine by a process that no longer exists.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::aws::Backoff;
use crate::cancel::{CancelToken, StopReason};
use crate::error::{Error, ExitStatus};
use crate::event::Event;
use crate::hex;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{Context, ResourceError, parameter};

const NAME: &str = "lock";
/// A lock that was not renewed for this long is dead.
const LEASE: SignedDuration = SignedDuration::from_mins(3);
const RENEW: Duration = Duration::from_secs(60);
/// How long writing the lock is retried if it is unknown whether the write succeeded.
const PATIENCE: Duration = Duration::from_secs(120);

/// The holder of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Identifies the run.
    pub token: String,
    /// The user name, if the environment contains it.
    pub owner: String,
    pub host: String,
    pub pid: u32,
    /// Identifies the boot of the host: process ids of two boots are not comparable.
    pub boot: String,
    pub since: Timestamp,
    pub expires: Timestamp,
}

impl Holder {
    fn me() -> Result<Self, ResourceError> {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let now = Timestamp::now();
        Ok(Self {
            token: hex::random::<8>()?,
            owner: variable("USER")
                .or_else(|| variable("GITHUB_ACTOR"))
                .unwrap_or_else(|| "unknown".to_owned()),
            host: Some(read("/proc/sys/kernel/hostname"))
                .filter(|host| !host.is_empty())
                .unwrap_or_else(|| "unknown".to_owned()),
            pid: std::process::id(),
            boot: read("/proc/sys/kernel/random/boot_id"),
            since: now,
            expires: now + LEASE,
        })
    }

    /// Whether the run that took this lock is known to have ended.
    fn is_dead(&self, me: &Self) -> bool {
        let here = self.host == me.host && self.boot == me.boot && !self.boot.is_empty();
        let gone = here
            && self.pid != me.pid
            && !std::path::Path::new(&format!("/proc/{}", self.pid)).exists();
        gone || self.expires < me.since
    }

    /// Describes the holder, the host and the start time.
    pub fn describe(&self) -> String {
        format!(
            "{}@{} (process {}) since {}",
            self.owner,
            self.host,
            self.pid,
            self.since.strftime("%Y-%m-%d %H:%M:%S UTC")
        )
    }
}

/// A held lock. Call [`Lock::release`] before the end of the run.
#[derive(Debug)]
pub struct Lock {
    cx: Context,
    token: String,
    renewal: JoinHandle<()>,
}

fn id() -> LogicalId {
    LogicalId::new(Kind::Parameter, NAME)
}

fn encode(holder: &Holder) -> Result<String, ResourceError> {
    serde_json::to_string(holder).map_err(|error| ResourceError::Bug(error.to_string()))
}

/// What the lock's value says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    By(Holder),
    /// The value cannot be read: another version of the program or a user wrote it.
    Unreadable,
}

impl Held {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).map_or(Self::Unreadable, Self::By)
    }

    /// Whether the run with this token holds the lock.
    fn is_of(&self, token: &str) -> bool {
        matches!(self, Self::By(holder) if holder.token == token)
    }

    /// Describes the holder, the host and the start time.
    pub fn describe(&self) -> String {
        match self {
            Self::By(holder) => holder.describe(),
            Self::Unreadable => "an unknown holder (the lock cannot be read)".to_owned(),
        }
    }
}

/// Returns the current holder of the lock, if any.
///
/// # Errors
/// When the listing fails.
pub async fn holder(cx: &Context) -> Result<Option<Held>, ResourceError> {
    let all = parameter::all(&cx.fresh()).await?;
    Ok(all.get(NAME).map(|value| Held::read(value.expose())))
}

/// Removes the lock of a run that has ended, if there is one. The lock of a live run stays.
///
/// # Errors
/// The error of the service.
pub async fn sweep(cx: &Context, cancel: &CancelToken) -> Result<(), Error> {
    if !parameter::all(cx).await?.contains_key(NAME) {
        return Ok(());
    }
    match Lock::take(cx, cancel).await {
        Ok(lock) => Ok(lock.release().await?),
        Err(error) if error.status() == ExitStatus::Refused => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the lock, regardless of its holder.
///
/// # Errors
/// The error of the service.
pub async fn break_lock(cx: &Context) -> Result<(), ResourceError> {
    parameter::remove(cx, NAME).await
}

/// Removes the lock if the run with this token holds it. The lock of another run stays.
async fn give_back(cx: &Context, token: &str) -> Result<(), ResourceError> {
    match holder(cx).await? {
        Some(held) if held.is_of(token) => parameter::remove(cx, NAME).await,
        _ => Ok(()),
    }
}

/// An error that names the holder of the lock and the possible next steps.
fn refused(stack: &str, held: &Held) -> Error {
    let error = Error::refused(format!("stack {stack} is locked by {}", held.describe()));
    let unlock = format!("`threescale-gw unlock --stack {stack}`");
    match held {
        Held::By(holder) => error.hint("wait until that run is through").hint(format!(
            "if it has ended, its lock expires at {}; {unlock} releases it now",
            holder.expires.strftime("%H:%M:%S UTC")
        )),
        Held::Unreadable => error.hint(format!("if no run is under way, {unlock} removes it")),
    }
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
        ),
    }
}

impl Lock {
    /// Takes the lock; a dead lock is taken over with a notice. A run that loses its lock to another
    /// run is stopped through `cancel`.
    ///
    /// # Errors
    /// `refused` with the holder while another run holds the lock, and when the run is stopped while it
    /// waits.
    pub async fn take(cx: &Context, cancel: &CancelToken) -> Result<Self, Error> {
        let mut me = Holder::me()?;
        let taken = Self::acquire(&cx.until(cancel), cancel, &mut me).await;
        if let Some(stop) = cancel.stop() {
            // The write may have succeeded although its response was lost.
            give_back(cx, &me.token).await?;
            return Err(stopped(stop));
        }
        taken?;
        let token = me.token.clone();
        let (renewing, cancel) = (cx.clone(), cancel.clone());
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW).await;
                let text = match Self::renew(&renewing, &mut me).await {
                    Ok(None) => continue,
                    Ok(Some(text)) => {
                        cancel.interrupt();
                        text
                    }
                    Err(error) => format!("the lock could not be renewed: {error}"),
                };
                renewing.sink().notice(text);
            }
        });
        Ok(Self {
            cx: cx.clone(),
            token,
            renewal,
        })
    }

    async fn acquire(cx: &Context, cancel: &CancelToken, me: &mut Holder) -> Result<(), Error> {
        let began = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let failed = match parameter::put(cx, &id(), NAME, &encode(me)?, false).await {
                Ok(()) => return Ok(()),
                // The response was lost: the holder is read below.
                Err(error) if error.is_already_there() || error.is_ambiguous() => error,
                Err(error) => return Err(error.into()),
            };
            let other = match holder(cx).await? {
                // Released in between, or never written.
                None => {
                    if began.elapsed() > PATIENCE {
                        return Err(failed.into());
                    }
                    let wait = backoff.wait();
                    cx.sink().emit(Event::Retrying {
                        id: None,
                        cause: failed.to_string(),
                        wait,
                    });
                    cancel.sleep(wait).await;
                    continue;
                }
                Some(held) if held.is_of(&me.token) => return Ok(()),
                Some(Held::By(other)) => other,
                Some(held) => return Err(refused(&cx.names().stack, &held)),
            };
            me.since = Timestamp::now();
            if !other.is_dead(me) {
                return Err(refused(&cx.names().stack, &Held::By(other)));
            }
            me.expires = Timestamp::now() + LEASE;
            parameter::put(cx, &id(), NAME, &encode(me)?, true).await?;
            // If two runs take over at once, the run that wrote last holds the lock.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if holder(cx).await?.is_some_and(|now| now.is_of(&me.token)) {
                cx.sink().notice(format!(
                    "took over the expired lock of {}",
                    other.describe()
                ));
                return Ok(());
            }
        }
    }

    /// Extends the lease. Returns what happened if another run has the lock: then nothing is written.
    async fn renew(cx: &Context, me: &mut Holder) -> Result<Option<String>, ResourceError> {
        if let Some(text) = lost(holder(cx).await?.as_ref(), &me.token) {
            return Ok(Some(text));
        }
        me.expires = Timestamp::now() + LEASE;
        parameter::put(cx, &id(), NAME, &encode(me)?, true).await?;
        Ok(None)
    }

    /// Releases the lock. If another run has taken it over, it stays.
    ///
    /// # Errors
    /// The error of the service; the lock then expires.
    pub async fn release(self) -> Result<(), ResourceError> {
        self.renewal.abort();
        give_back(&self.cx, &self.token).await
    }
}

/// The reason to stop the run with this token, if it no longer holds the lock.
fn lost(held: Option<&Held>, token: &str) -> Option<String> {
    match held {
        Some(held) if held.is_of(token) => None,
        Some(held) => Some(format!(
            "the lock is held by {} now: this run stops",
            held.describe()
        )),
        None => Some("the lock was broken: this run stops".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder::me().expect("randomness")
    }

    #[test]
    fn a_lock_is_dead_when_it_expired_or_its_process_is_gone() {
        let me = holder();
        let alive = Holder {
            pid: 1,
            token: "x".to_owned(),
            ..me.clone()
        };
        assert!(!alive.is_dead(&me));
        let expired = Holder {
            expires: me.since - SignedDuration::from_secs(1),
            host: "other".to_owned(),
            ..alive.clone()
        };
        assert!(expired.is_dead(&me));
        // Larger than any process id that Linux assigns.
        let gone = Holder {
            pid: u32::MAX,
            ..alive.clone()
        };
        assert!(gone.is_dead(&me));
        let elsewhere = Holder {
            host: "other".to_owned(),
            ..gone
        };
        assert!(!elsewhere.is_dead(&me));
    }

    #[test]
    fn a_run_stops_when_its_lock_is_not_its_own_any_more() {
        let me = holder();
        let read = |holder: &Holder| Held::read(&encode(holder).expect("a JSON document"));
        assert_eq!(lost(Some(&read(&me)), &me.token), None);
        let other = Holder {
            token: "x".to_owned(),
            owner: "ann".to_owned(),
            ..me.clone()
        };
        for (held, text) in [
            (Some(read(&other)), "held by ann@"),
            (Some(Held::read("by hand")), "held by an unknown holder"),
            (None, "broken"),
        ] {
            let said = lost(held.as_ref(), &me.token).expect("a reason");
            assert!(said.contains(text), "{said}");
        }
    }
}

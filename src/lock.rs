//! The lock of a stack: one run changes it at a time.
//!
//! It is a parameter that only one caller can create. It says who holds it, where and since when, is renewed while the
//! run lives, and is dead when it was not renewed in time, or when it is this machine's and its process is gone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::aws::AwsError;
use crate::error::{Error, ExitStatus};
use crate::event::Event;
use crate::resource::{Cx, Kind, LogicalId, parameter};

const NAME: &str = "lock";
/// A lock that was not renewed for this long is dead.
const LEASE: SignedDuration = SignedDuration::from_mins(3);
const RENEW: Duration = Duration::from_secs(60);

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Tells two runs apart.
    pub token: String,
    /// `user`, as far as the environment tells.
    pub owner: String,
    pub host: String,
    pub pid: u32,
    /// Tells two boots of one host apart, whose process ids mean nothing to each other.
    pub boot: String,
    pub since: Timestamp,
    pub expires: Timestamp,
}

impl Holder {
    fn me() -> Result<Self, AwsError> {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let now = Timestamp::now();
        Ok(Self {
            token: crate::aws::random_hex::<8>("lock")?,
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

    /// Whether the run that took this lock is known to be gone.
    fn is_dead(&self, me: &Self) -> bool {
        let here = self.host == me.host && self.boot == me.boot && !self.boot.is_empty();
        let gone = here
            && self.pid != me.pid
            && !std::path::Path::new(&format!("/proc/{}", self.pid)).exists();
        gone || self.expires < me.since
    }

    /// Who, where and since when, in words.
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

/// A lock that is held. Call [`Lock::release`] before the end of the run.
#[derive(Debug)]
pub struct Lock {
    cx: Cx,
    renewal: JoinHandle<()>,
}

fn id() -> LogicalId {
    LogicalId::new(Kind::Parameter, NAME)
}

fn encode(holder: &Holder) -> Result<String, AwsError> {
    serde_json::to_string(holder).map_err(|error| AwsError::unexpected("lock", error.to_string()))
}

/// Who holds the lock now, if anybody does. A lock that cannot be read is held by nobody who could be asked.
///
/// # Errors
/// When the listing fails.
pub async fn holder(cx: &Cx) -> Result<Option<Holder>, AwsError> {
    let all = parameter::all(&cx.fresh()).await?;
    Ok(all
        .get(NAME)
        .and_then(|value| serde_json::from_str(value.expose()).ok()))
}

/// Removes the lock of a run that is gone, if there is one. One that is alive is left to its run.
///
/// # Errors
/// What the services answer.
pub async fn sweep(cx: &Cx) -> Result<(), Error> {
    if !parameter::all(cx).await?.contains_key(NAME) {
        return Ok(());
    }
    match Lock::take(cx).await {
        Ok(lock) => Ok(lock.release().await?),
        Err(error) if error.status() == ExitStatus::Refused => Ok(()),
        Err(error) => Err(error),
    }
}

/// Breaks the lock, whoever holds it.
///
/// # Errors
/// What the service answers.
pub async fn break_lock(cx: &Cx) -> Result<(), AwsError> {
    parameter::remove(cx, NAME).await
}

impl Lock {
    /// Takes the lock; a dead one is taken over, and that is said.
    ///
    /// # Errors
    /// `refused` with the holder while another run holds it.
    pub async fn take(cx: &Cx) -> Result<Self, Error> {
        let mut me = Holder::me()?;
        loop {
            match parameter::put(cx, &id(), NAME, &encode(&me)?, false).await {
                Ok(()) => break,
                // A lost answer: whose lock it is, is looked up below.
                Err(error)
                    if error.code == "ParameterAlreadyExists"
                        || error.class == crate::aws::Class::Ambiguous => {}
                Err(error) => return Err(error.into()),
            }
            let Some(other) = holder(cx).await? else {
                // Released in between, or never written.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            if other.token == me.token {
                break;
            }
            me.since = Timestamp::now();
            if !other.is_dead(&me) {
                let stack = &cx.names().stack;
                return Err(Error::refused(format!("stack {stack} is locked by {}", other.describe()))
                    .hint("wait until that run is through")
                    .hint(format!(
                        "if it is gone, its lock dies at {}; `threescale-gw unlock --stack {stack}` breaks it now",
                        other.expires.strftime("%H:%M:%S UTC")
                    )));
            }
            me.expires = Timestamp::now() + LEASE;
            parameter::put(cx, &id(), NAME, &encode(&me)?, true).await?;
            // Of two runs that take over at once, the one that wrote last has it.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if holder(cx).await?.is_some_and(|now| now.token == me.token) {
                cx.sink().emit(Event::Notice {
                    id: None,
                    text: format!("took over the dead lock of {}", other.describe()),
                });
                break;
            }
        }
        let renewing = cx.clone();
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW).await;
                me.expires = Timestamp::now() + LEASE;
                let Ok(text) = encode(&me) else { return };
                if let Err(error) = parameter::put(&renewing, &id(), NAME, &text, true).await {
                    let text = format!("the lock could not be renewed: {error}");
                    renewing.sink().emit(Event::Notice { id: None, text });
                }
            }
        });
        Ok(Self {
            cx: cx.clone(),
            renewal,
        })
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// What the service answers; the lock then dies by itself.
    pub async fn release(self) -> Result<(), AwsError> {
        self.renewal.abort();
        parameter::remove(&self.cx, NAME).await
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
        // Beyond the largest process id Linux gives out.
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
}

//! Who holds a lock, and whether that run is known to have ended.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::printable::line;
use crate::resource::ResourceError;
use crate::resource::parameter::Stored;

/// The holder of a lock, as every version of the program writes it. Only fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Identifies the run.
    pub token: String,
    /// The user name, if the environment contains it.
    pub owner: String,
    pub host: String,
    pub pid: u32,
    /// Identifies the boot of the host: process ids of two boots are not comparable. Empty if unknown.
    pub boot: String,
    /// Identifies the namespace of the process id: those of two containers are not comparable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<String>,
    /// When the process started, in clock ticks since the boot: a process id is used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// The stack of the run, in the lock of an API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    pub since: Timestamp,
    /// By the clock of the holder. Only earlier versions read it.
    pub expires: Timestamp,
}

/// What this machine shows about a process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Unknown,
    Gone,
    /// A process with this id started at this time.
    Started(u64),
}

impl Process {
    /// Looks for the process with this id in the own namespace.
    fn look(pid: u32) -> Self {
        let me = std::process::id();
        // `/proc` may belong to another namespace, or hide the processes of other users.
        let shows_own_ids = fs::read_link("/proc/self").is_ok_and(|own| own == *me.to_string());
        let shows_others = me != 1 && fs::read("/proc/1/stat").is_ok();
        if !shows_own_ids || !shows_others {
            return Self::Unknown;
        }
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => start_time(&stat).map_or(Self::Unknown, Self::Started),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Gone,
            Err(_) => Self::Unknown,
        }
    }
}

/// The 22nd field of a process's `stat`. The second is a name in parentheses that may contain
/// anything.
fn start_time(stat: &str) -> Option<u64> {
    let (_, behind_the_name) = stat.rsplit_once(')')?;
    behind_the_name.split_whitespace().nth(19)?.parse().ok()
}

impl Holder {
    pub(super) fn me(lease: Duration) -> Result<Self, ResourceError> {
        let read = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
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
            pid_namespace: namespace.map(|link| link.to_string_lossy().into_owned()),
            started: start_time(&read("/proc/self/stat")),
            stack: None,
            since: now,
            expires: now + lease,
        })
    }

    /// The same holder without its process: other runs cannot conclude that it has ended.
    pub(super) fn without_process(&self) -> Self {
        Self {
            boot: String::new(),
            pid_namespace: None,
            started: None,
            ..self.clone()
        }
    }

    /// Whether the run has ended, as `process` shows, which is what this machine shows about its
    /// process id.
    fn is_gone(&self, me: &Self, process: Process) -> bool {
        let comparable = !self.boot.is_empty()
            && self.pid_namespace.is_some()
            && self.host == me.host
            && self.boot == me.boot
            && self.pid_namespace == me.pid_namespace;
        match (process, self.started) {
            (Process::Gone, Some(_)) => comparable,
            (Process::Started(now), Some(then)) => comparable && now != then,
            _ => false,
        }
    }

    /// Describes the holder, the host and the start time.
    pub fn describe(&self) -> String {
        // Anybody with access to the parameter can write these names.
        let stack = self.stack.as_ref();
        format!(
            "{}{}@{} (process {}) since {}",
            stack.map_or_else(String::new, |stack| format!("stack {}: ", line(stack))),
            line(&self.owner),
            line(&self.host),
            self.pid,
            self.since.strftime("%Y-%m-%d %H:%M:%S UTC")
        )
    }
}

/// A lock, or a claim on one, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    text: String,
    /// `None` if the value cannot be read: another version of the program or a user wrote it.
    by: Option<Holder>,
    /// The version of the parameter.
    pub(super) version: i64,
    written: Option<Timestamp>,
    age: Option<SignedDuration>,
}

impl Held {
    pub(super) fn read(stored: &Stored) -> Self {
        let text = stored.value.expose();
        Self {
            text: text.to_owned(),
            by: serde_json::from_str(text).ok(),
            version: stored.version,
            written: stored.written,
            age: stored.age,
        }
    }

    /// Names the run that holds it: renewals do not change the name.
    pub(super) fn key(&self) -> String {
        let token = self.by.as_ref().map(|holder| holder.token.as_str());
        key(token.unwrap_or(&self.text))
    }

    /// The stack of the run that holds it, if it is the lock of an API.
    pub fn stack(&self) -> Option<&str> {
        self.by.as_ref()?.stack.as_deref()
    }

    /// Whether it can be read.
    pub fn is_known(&self) -> bool {
        self.by.is_some()
    }

    /// Whether the run with this token holds it.
    pub(super) fn is_of(&self, token: &str) -> bool {
        self.by.as_ref().is_some_and(|holder| holder.token == token)
    }

    /// Whether the run that holds it is known to have ended. One that cannot be read is not.
    pub(super) fn is_dead(&self, me: &Holder, lease: Duration) -> bool {
        self.by
            .as_ref()
            .is_some_and(|holder| self.is_dead_with(me, lease, Process::look(holder.pid)))
    }

    fn is_dead_with(&self, me: &Holder, lease: Duration, process: Process) -> bool {
        let Some(holder) = &self.by else { return false };
        let is_old = |age: SignedDuration| Duration::try_from(age).is_ok_and(|age| age > lease);
        self.age.is_some_and(is_old) || holder.is_gone(me, process)
    }

    /// When it expires, by the clock of the service; `None` if that is not known, or it does not expire.
    pub(super) fn expires(&self, lease: Duration) -> Option<Timestamp> {
        let written = self.by.as_ref().and(self.written)?;
        written.checked_add(lease).ok()
    }

    /// Describes the holder, the host and the start time.
    pub fn describe(&self) -> String {
        match &self.by {
            Some(holder) => holder.describe(),
            None => "an unknown holder (the lock cannot be read)".to_owned(),
        }
    }
}

/// A name for a run, by its token, that a parameter's name may contain.
pub(super) fn key(token: &str) -> String {
    hex::encode(&Sha256::digest(token)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const LEASE: Duration = Duration::from_secs(180);

    fn me() -> Holder {
        Holder {
            token: "me".to_owned(),
            owner: "kim".to_owned(),
            host: "build-7".to_owned(),
            pid: 4711,
            boot: "this boot".to_owned(),
            pid_namespace: Some("pid:[1]".to_owned()),
            started: Some(500),
            stack: None,
            since: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
        }
    }

    fn held(text: &str, age: Option<i64>) -> Held {
        Held::read(&Stored {
            value: Secret::from(text.to_owned()),
            version: 1,
            written: None,
            age: age.map(SignedDuration::from_secs),
        })
    }

    fn is_dead(holder: &Holder, age: Option<i64>, process: Process) -> bool {
        let text = serde_json::to_string(holder).expect("JSON");
        held(&text, age).is_dead_with(&me(), LEASE, process)
    }

    #[test]
    fn a_lock_is_dead_by_age_only_by_the_clock_of_the_service() {
        for (age, dead) in [
            (Some(181), true),
            (Some(180), false),
            (Some(-300), false),
            (None, false),
        ] {
            let elsewhere = me().without_process();
            assert_eq!(is_dead(&elsewhere, age, Process::Gone), dead, "{age:?}");
            let unreadable = held("by hand", age);
            assert!(!unreadable.is_dead_with(&me(), LEASE, Process::Gone));
        }
    }

    #[test]
    fn a_process_id_proves_something_only_where_it_is_comparable() {
        let dead = |holder: &Holder, process| is_dead(holder, Some(0), process);
        assert!(dead(&me(), Process::Gone));
        assert!(dead(&me(), Process::Started(501)));
        assert!(!dead(&me(), Process::Started(500)));
        assert!(!dead(&me(), Process::Unknown));
        let others = [
            Holder {
                host: "build-8".to_owned(),
                ..me()
            },
            Holder {
                boot: "another boot".to_owned(),
                ..me()
            },
            Holder {
                pid_namespace: Some("pid:[2]".to_owned()),
                ..me()
            },
            Holder {
                pid_namespace: None,
                ..me()
            },
            Holder {
                started: None,
                ..me()
            },
            me().without_process(),
        ];
        for other in &others {
            assert!(!dead(other, Process::Gone), "{other:?}");
            assert!(!dead(other, Process::Started(501)), "{other:?}");
        }
    }

    #[test]
    fn a_machine_that_knows_nothing_of_itself_judges_by_age_alone() {
        let nowhere = me().without_process();
        let text = serde_json::to_string(&nowhere).expect("JSON");
        assert!(!held(&text, Some(0)).is_dead_with(&nowhere, LEASE, Process::Gone));
    }

    #[test]
    fn the_start_time_stands_behind_a_name_with_any_characters() {
        let stat = "7 (a) 1 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(start_time(stat), Some(4242));
        assert_eq!(start_time("7 (a"), None);
        assert_eq!(start_time("7 (a) R 1"), None);
    }

    #[test]
    fn the_own_process_is_shown_as_it_says_of_itself() {
        let me = Holder::me(LEASE).expect("randomness");
        let shown = Process::look(me.pid);
        assert!(!me.is_gone(&me, shown), "{shown:?}");
    }

    #[test]
    fn the_lock_of_a_released_version_is_read() {
        let text = r#"{"token":"t","owner":"ann","host":"h","pid":1,"boot":"b","since":"2026-01-02T03:04:05Z",
            "expires":"2026-01-02T03:07:05Z","a_later_field":1}"#;
        let read = held(text, None);
        assert!(read.is_of("t"));
        assert!(read.describe().starts_with("ann@h (process 1) since "));
        assert_eq!(read.key(), key("t"));
    }
}

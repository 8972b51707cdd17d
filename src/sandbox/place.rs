//! The folder of a sandbox: numbered, below the cache, locked while the sandbox runs, with the files through which
//! other commands find it. Only the user who started it can read them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use crate::package::folder_lock;
use crate::private;

/// The file with the addresses, in the numbered folder while the sandbox runs.
const FACTS: &str = "sandbox.json";
/// The file with the keys, next to [`FACTS`].
const KEYS: &str = "keys.json";
/// The maximum number of running sandboxes.
const MOST: u16 = 64;

/// What other commands need to work with a running sandbox. It contains no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// Its number, from 1.
    pub number: u16,
    /// Its process id.
    pub pid: u32,
    /// The URL of its AWS.
    pub endpoint: String,
    /// The URL of the API, without a trailing slash.
    pub url: String,
    /// The URL of the 3scale stand-in.
    pub backend: String,
    /// The loopback address at which the running sandbox accepts requests.
    pub control: String,
    /// Redis' port on the loopback interface.
    pub redis_port: u16,
    /// The configuration file.
    pub config: PathBuf,
    /// The start time, RFC 3339.
    pub since: String,
}

/// A running sandbox.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its addresses.
    pub facts: Facts,
    /// Its keys.
    pub keys: Keys,
}

/// A number that no other running sandbox has, and its folder. Dropping this releases both.
#[derive(Debug)]
pub struct Place {
    /// The number, from 1.
    pub number: u16,
    /// The folder, which is not removed.
    pub dir: PathBuf,
    _lock: File,
}

impl Place {
    /// Reserves the lowest free number below `root`.
    ///
    /// # Errors
    /// The folder belongs to another user ([`private::Foreign`]), it cannot be created, or all numbers are in use.
    pub fn claim(root: &Path) -> anyhow::Result<Self> {
        private::folder(root)?;
        for number in 1..=MOST {
            let dir = root.join(number.to_string());
            private::folder(&dir)?;
            let lock = folder_lock::try_hold(&lock_of(&dir))
                .with_context(|| format!("locking the folder {}", dir.display()))?;
            if let Some(lock) = lock {
                // Removes the files of a killed sandbox.
                forget(&dir);
                return Ok(Self {
                    number,
                    dir,
                    _lock: lock,
                });
            }
        }
        bail!("{MOST} sandboxes are running; `threescale-gw sandbox stop` ends them")
    }

    /// Writes the files through which other commands find the sandbox.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn publish(&self, facts: &Facts, keys: &Keys) -> anyhow::Result<()> {
        let document = keys.document();
        private::write(&self.dir.join(KEYS), 0o600, document.as_bytes())?;
        // Written atomically and last, because other commands can read it at any time.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        serde_json::to_writer_pretty(&mut file, facts)?;
        file.persist(self.dir.join(FACTS))?;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        forget(&self.dir);
    }
}

fn forget(dir: &Path) {
    for name in [FACTS, KEYS] {
        let _ = fs::remove_file(dir.join(name));
    }
}

/// All running sandboxes of this user, by number.
#[must_use]
pub fn running(root: &Path) -> Vec<Found> {
    let numbers = 1..=MOST;
    let dirs = numbers.map(|number| root.join(number.to_string()));
    dirs.filter_map(|dir| {
        let text = fs::read(dir.join(FACTS)).ok()?;
        // Files of another user could redirect our calls, and the secrets in them.
        private::owned(root)
            .and_then(|()| private::owned(&dir))
            .ok()?;
        // A held lock means a running sandbox: the kernel releases the lock when the process ends.
        let free = folder_lock::try_hold(&lock_of(&dir)).ok()?.is_some();
        let facts = serde_json::from_slice(&text).ok().filter(|_| !free)?;
        let keys = Keys::read(&fs::read(dir.join(KEYS)).ok()?).ok()?;
        Some(Found { facts, keys })
    })
    .collect()
}

fn lock_of(dir: &Path) -> PathBuf {
    dir.join("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(number: u16) -> Facts {
        Facts {
            number,
            pid: 1,
            endpoint: String::new(),
            url: String::new(),
            backend: String::new(),
            control: String::new(),
            redis_port: 1,
            config: PathBuf::new(),
            since: String::new(),
        }
    }

    #[test]
    fn numbers_are_taken_and_given_back() {
        let root = tempfile::tempdir().expect("a folder");
        let first = Place::claim(root.path()).expect("a place");
        let second = Place::claim(root.path()).expect("a place");
        assert_eq!((first.number, second.number), (1, 2));
        assert!(running(root.path()).is_empty());
        for place in [&first, &second] {
            let keys = Keys::random().expect("keys");
            place.publish(&facts(place.number), &keys).expect("written");
            let found = running(root.path());
            let found = found
                .iter()
                .find(|found| found.facts.number == place.number);
            assert_eq!(found.expect("it runs").keys.access, keys.access);
        }
        for made in ["", "1", "1/sandbox.json", "1/keys.json"] {
            let metadata = fs::metadata(root.path().join(made)).expect("it is there");
            assert!(private::is_private(&metadata), "{made}");
        }
        let numbers = || -> Vec<u16> {
            let all = running(root.path());
            all.iter().map(|found| found.facts.number).collect()
        };
        assert_eq!(numbers(), [1, 2]);
        drop(first);
        assert_eq!(numbers(), [2]);
        // A killed sandbox: its file exists, and no process holds the lock.
        let left = root.path().join("1").join(FACTS);
        fs::write(&left, serde_json::to_string(&facts(1)).expect("text")).expect("written");
        // A process that another test starts inherits the lock, and releases it when it executes its program.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while numbers() != [2] || Place::claim(root.path()).expect("a place").number != 1 {
            assert!(std::time::Instant::now() < deadline, "{:?}", numbers());
            std::thread::yield_now();
            fs::write(&left, serde_json::to_string(&facts(1)).expect("text")).expect("written");
        }
        assert!(!left.exists() && !root.path().join("1").join(KEYS).exists());
    }
}

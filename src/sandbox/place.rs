//! Where a sandbox keeps what outlives a moment: a numbered folder below the cache, held as long as it runs, with the files
//! that other commands find it by. Only the user who started it can read them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use crate::package::folder_lock;
use crate::private;

/// Says where everything is; below the numbered folder, for as long as the sandbox runs.
const FACTS: &str = "sandbox.json";
/// Holds what opens it, beside [`FACTS`].
const KEYS: &str = "keys.json";
/// As many sandboxes there can be at once.
const MOST: u16 = 64;

/// What other commands need to work with a running sandbox. It holds no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// Its number, from 1.
    pub number: u16,
    /// Its process.
    pub pid: u32,
    /// Where AWS calls go.
    pub endpoint: String,
    /// The API, without a slash at the end.
    pub url: String,
    /// The stand-in for 3scale.
    pub backend: String,
    /// Where the running sandbox takes questions and orders: an address of the loopback interface.
    pub control: String,
    /// Redis' port on the loopback interface.
    pub redis_port: u16,
    /// The configuration file.
    pub config: PathBuf,
    /// When it stood, RFC 3339.
    pub since: String,
}

/// A sandbox that runs.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where everything is.
    pub facts: Facts,
    /// What opens it.
    pub keys: Keys,
}

/// A number that no other sandbox has, with its folder. Dropped, both are free.
#[derive(Debug)]
pub struct Place {
    /// The number, from 1.
    pub number: u16,
    /// The folder, which stays.
    pub dir: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes the lowest number that is free below `root`.
    ///
    /// # Errors
    /// The folder belongs to another user ([`private::Foreign`]), it cannot be made, or all numbers are taken.
    pub fn claim(root: &Path) -> anyhow::Result<Self> {
        private::folder(root)?;
        for number in 1..=MOST {
            let dir = root.join(number.to_string());
            private::folder(&dir)?;
            let lock = folder_lock::try_hold(&lock_of(&dir))
                .with_context(|| format!("locking the folder {}", dir.display()))?;
            if let Some(lock) = lock {
                // Of one that was killed.
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

    /// Lets other commands find the sandbox.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn publish(&self, facts: &Facts, keys: &Keys) -> anyhow::Result<()> {
        let document = keys.document();
        private::write(&self.dir.join(KEYS), 0o600, document.as_bytes())?;
        // As a whole or not at all, and last: others read it at any time.
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

/// All sandboxes that this user runs, by number.
#[must_use]
pub fn running(root: &Path) -> Vec<Found> {
    let numbers = 1..=MOST;
    let dirs = numbers.map(|number| root.join(number.to_string()));
    dirs.filter_map(|dir| {
        let text = fs::read(dir.join(FACTS)).ok()?;
        // Another user could send our calls, and the secrets in them, anywhere.
        private::owned(root)
            .and_then(|()| private::owned(&dir))
            .ok()?;
        // Whoever has the lock lives: the kernel takes it from the dead.
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
        while numbers() != [2] || Place::claim(root.path()).expect("a place").number != 1 {
            std::thread::yield_now();
            fs::write(&left, serde_json::to_string(&facts(1)).expect("text")).expect("written");
        }
        assert!(!left.exists() && !root.path().join("1").join(KEYS).exists());
    }
}

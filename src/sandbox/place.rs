//! Where a sandbox keeps what outlives a moment: a numbered folder below the cache, held as long as it runs, with the file
//! that other commands find it by.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::package::folder_lock;

/// Says where everything is; below the numbered folder, for as long as the sandbox runs.
const FACTS: &str = "sandbox.json";
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
    /// The folder cannot be made, or all numbers are taken.
    pub fn claim(root: &Path) -> anyhow::Result<Self> {
        for number in 1..=MOST {
            let dir = root.join(number.to_string());
            fs::create_dir_all(&dir)
                .with_context(|| format!("making the folder {}", dir.display()))?;
            let lock = folder_lock::try_hold(&lock_of(&dir))
                .with_context(|| format!("locking the folder {}", dir.display()))?;
            if let Some(lock) = lock {
                // Of one that was killed.
                let _ = fs::remove_file(dir.join(FACTS));
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
    /// The file cannot be written.
    pub fn publish(&self, facts: &Facts) -> anyhow::Result<()> {
        // As a whole or not at all: others read it at any time.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        serde_json::to_writer_pretty(&mut file, facts)?;
        file.persist(self.dir.join(FACTS))?;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.dir.join(FACTS));
    }
}

/// All sandboxes that run, by number.
#[must_use]
pub fn running(root: &Path) -> Vec<Facts> {
    let numbers = 1..=MOST;
    let dirs = numbers.map(|number| root.join(number.to_string()));
    dirs.filter_map(|dir| {
        let text = fs::read(dir.join(FACTS)).ok()?;
        // Whoever has the lock lives: the kernel takes it from the dead.
        let free = folder_lock::try_hold(&lock_of(&dir)).ok()?.is_some();
        serde_json::from_slice(&text).ok().filter(|_| !free)
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
            place.publish(&facts(place.number)).expect("written");
        }
        let numbers = || -> Vec<u16> {
            let all = running(root.path());
            all.iter().map(|facts| facts.number).collect()
        };
        assert_eq!(numbers(), [1, 2]);
        drop(first);
        assert_eq!(numbers(), [2]);
        // One that was killed: its file is there, and nobody holds the lock.
        let left = root.path().join("1").join(FACTS);
        fs::write(&left, serde_json::to_string(&facts(1)).expect("text")).expect("written");
        assert_eq!(numbers(), [2]);
        assert_eq!(Place::claim(root.path()).expect("a place").number, 1);
        assert!(!left.exists());
    }
}

//! `sandbox`: the whole system on this machine, without an AWS or a 3scale account.
//!
//! An AWS emulator in which functions run, a real Redis, a stand-in for 3scale, an API to protect, and then `up` by the
//! ordinary code path with an ordinary configuration file.

mod attach;
mod keep;
mod load;
mod set_up;
mod start;
mod words;

use std::path::{Path, PathBuf};

pub(super) use attach::lead;

use rustix::fs::Mode;
use rustix::process::umask;

use super::Ending;
use super::session::cache_dir;
use crate::cli::{Global, SandboxArgs};
use crate::error::{Error, Result};
use crate::event::Sink;
use crate::package::folder;
use crate::sandbox::{Found, running};

/// Names another folder for sandboxes.
const ELSEWHERE: &str = "THREESCALE_GW_SANDBOXES";

/// Runs `sandbox`.
pub(super) async fn run(global: &Global, args: &SandboxArgs, sink: Sink) -> Result<Ending> {
    match args.action {
        Some(action) => attach::run(global, action).await.map(Ending::from),
        None if args.keep => keep::run(sink).await.map(Ending::from),
        None => {
            // Whatever it and its programs write is for this user alone, from the moment it is made.
            umask(Mode::RWXG | Mode::RWXO);
            start::run(global, args, sink).await
        }
    }
}

/// What all sandboxes share: the Python environment.
fn cache() -> Result<PathBuf> {
    let cache = cache_dir().map_err(Error::refused)?;
    made(&cache.join("sandbox"))
}

/// Below which each sandbox has its folder: beside the Python environment, or elsewhere for a test that wants to be alone.
fn root() -> Result<PathBuf> {
    match std::env::var_os(ELSEWHERE) {
        Some(elsewhere) => made(Path::new(&elsewhere)),
        None => cache(),
    }
}

fn made(dir: &Path) -> Result<PathBuf> {
    folder::make(dir).map_err(|error| Error::refused(format!("{error:#}")))
}

/// All sandboxes that run. What their files say is followed, so they must not be another user's.
fn all_running() -> Result<Vec<Found>> {
    let root = match std::env::var_os(ELSEWHERE) {
        Some(elsewhere) => PathBuf::from(elsewhere),
        None => cache_dir().map_err(Error::refused)?.join("sandbox"),
    };
    let found = folder::find(&root).map_err(|error| Error::refused(format!("{error:#}")))?;
    Ok(found.map(|root| running(&root)).unwrap_or_default())
}

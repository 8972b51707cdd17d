//! Where sandboxes have their folders.

use std::path::{Path, PathBuf};

use crate::commands::session::cache_dir;
use crate::error::{Error, Result};
use crate::package::folder;
use crate::sandbox::{Found, running};

/// Names another folder for sandboxes.
const ELSEWHERE: &str = "THREESCALE_GW_SANDBOXES";

/// What all sandboxes share: the Python environment.
pub(super) fn cache() -> Result<PathBuf> {
    let cache = cache_dir().map_err(Error::refused)?;
    made(&cache.join("sandbox"))
}

/// Below which each sandbox has its folder: beside the Python environment, or elsewhere for a test that wants to be alone.
pub(super) fn root() -> Result<PathBuf> {
    match std::env::var_os(ELSEWHERE) {
        Some(elsewhere) => made(Path::new(&elsewhere)),
        None => cache(),
    }
}

fn made(dir: &Path) -> Result<PathBuf> {
    folder::make(dir).map_err(|error| Error::refused(format!("{error:#}")))
}

/// All sandboxes that run. What their files say is followed, so they must not be another user's.
pub(super) fn all_running() -> Result<Vec<Found>> {
    let root = match std::env::var_os(ELSEWHERE) {
        Some(elsewhere) => PathBuf::from(elsewhere),
        None => cache_dir().map_err(Error::refused)?.join("sandbox"),
    };
    let found = folder::find(&root).map_err(|error| Error::refused(format!("{error:#}")))?;
    Ok(found.map(|root| running(&root)).unwrap_or_default())
}

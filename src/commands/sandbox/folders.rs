//! The folders of sandboxes.

use std::path::{Path, PathBuf};

use crate::commands::session::cache_dir;
use crate::error::{Error, Result};
use crate::package::folder;
use crate::sandbox::{Found, running};

/// The environment variable that sets another folder for sandboxes.
const ELSEWHERE: &str = "THREESCALE_GW_SANDBOXES";

/// The folder that all sandboxes share: it holds the Python environment.
pub(super) fn cache() -> Result<PathBuf> {
    let cache = cache_dir().map_err(Error::refused)?;
    made(&cache.join("sandbox"))
}

/// The parent of each sandbox's folder: next to the Python environment, or elsewhere for a test that needs isolation.
pub(super) fn root() -> Result<PathBuf> {
    match std::env::var_os(ELSEWHERE) {
        Some(elsewhere) => made(Path::new(&elsewhere)),
        None => cache(),
    }
}

fn made(dir: &Path) -> Result<PathBuf> {
    folder::make(dir).map_err(|error| Error::refused(format!("{error:#}")))
}

/// All running sandboxes. Commands trust the contents of their files, so the files must not belong to another user.
pub(super) fn all_running() -> Result<Vec<Found>> {
    let root = match std::env::var_os(ELSEWHERE) {
        Some(elsewhere) => PathBuf::from(elsewhere),
        None => cache_dir().map_err(Error::refused)?.join("sandbox"),
    };
    let found = folder::find(&root).map_err(|error| Error::refused(format!("{error:#}")))?;
    Ok(found.map(|root| running(&root)).unwrap_or_default())
}

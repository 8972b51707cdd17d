//! Files with code: how they are read, named by their digest, and kept.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::ensure;
use sha2::{Digest as _, Sha256};

use super::archive;

/// Writes a file in `folder` atomically, readable only by this user.
pub(super) fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The hexadecimal SHA-256.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// The bytes of a file of any user.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    // Reading a pipe or a device might never end.
    ensure!(metadata.is_file(), "it is not a regular file");
    let length = metadata.len();
    ensure!(
        length <= archive::UNZIPPED_LIMIT,
        "it has {length} bytes, Lambda accepts at most {}",
        archive::UNZIPPED_LIMIT
    );
    Ok(fs::read(path)?)
}

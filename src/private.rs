//! Folders and files that no other user of this machine can read or change.
//!
//! Both are made so: between a creation with the usual mode and a later change of it, another user can open them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::geteuid;

/// What others may do: nothing.
const OTHERS: u32 = 0o077;

/// A folder belongs to another user, who can put anything into it.
#[derive(Debug)]
pub struct Foreign {
    path: PathBuf,
    owner: u32,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the folder {} belongs to another user (uid {}), who can read and change what is in it",
            self.path.display(),
            self.owner
        )
    }
}

impl std::error::Error for Foreign {}

/// Makes a folder, with those above it that are missing, for this user alone. One that is there is closed to others.
///
/// # Errors
/// [`Foreign`], or it cannot be made.
pub fn folder(path: &Path) -> anyhow::Result<()> {
    let making = || format!("making the folder {}", path.display());
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.with_context(making)?;
    owned(path)?;
    // An earlier version left it open.
    let mode = fs::metadata(path).with_context(making)?.mode();
    if mode & OTHERS != 0 {
        let closed = Permissions::from_mode(mode & 0o777 & !OTHERS);
        fs::set_permissions(path, closed).with_context(making)?;
    }
    Ok(())
}

/// Whether a folder, if there is one, is this user's.
///
/// # Errors
/// [`Foreign`], or it cannot be looked at.
pub fn owned(path: &Path) -> anyhow::Result<()> {
    // A link of another user may lead somewhere else tomorrow.
    for look in [fs::symlink_metadata::<&Path>, fs::metadata] {
        let owner = match look(path) {
            Ok(found) => found.uid(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("the folder {}", path.display()));
            }
        };
        if owner != geteuid().as_raw() {
            let path = path.to_owned();
            return Err(Foreign { path, owner }.into());
        }
    }
    Ok(())
}

/// Writes a file that only this user can read, in the place of one with that name.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    // One that is there would keep its mode, and might be a link.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode & !OTHERS)
        .open(path)?;
    file.write_all(contents)
}

/// Whether others can do anything with what this describes.
#[cfg(test)]
pub(crate) fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.mode() & OTHERS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(path: &Path) -> fs::Metadata {
        fs::symlink_metadata(path).expect("it is there")
    }

    #[test]
    fn folders_are_private_from_the_first_one_that_is_missing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a/b");
        folder(&path).expect("made");
        for made in [path.as_path(), path.parent().expect("a parent")] {
            assert!(is_private(&looked_at(made)), "{}", made.display());
        }
        // Of an earlier version.
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("opened");
        folder(&path).expect("closed");
        assert!(is_private(&looked_at(&path)));
    }

    #[test]
    fn the_folder_of_another_user_is_refused() {
        // Root's own cannot be closed, as root could.
        let (path, owner) = match geteuid().is_root() {
            true => {
                let dir = tempfile::tempdir().expect("a folder").keep();
                std::os::unix::fs::chown(&dir, Some(65534), None).expect("given away");
                (dir, 65534)
            }
            false => (PathBuf::from("/"), 0),
        };
        let error = folder(&path).expect_err("refused");
        assert_eq!(
            error.downcast_ref::<Foreign>().map(|f| f.owner),
            Some(owner)
        );
        if owner != 0 {
            fs::remove_dir(path).expect("removed");
        }
    }

    #[test]
    fn a_file_is_private_whatever_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        fs::write(&path, "open").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("opened");
        write(&path, 0o600, b"closed").expect("written");
        assert!(is_private(&looked_at(&path)));
        assert_eq!(fs::read(&path).expect("read"), b"closed");

        // A link leads nowhere: what it names stays as it was.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        write(&link, 0o700, b"other").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"closed");
        assert_eq!(looked_at(&link).mode() & 0o777, 0o700);
    }
}

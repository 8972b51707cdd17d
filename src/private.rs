//! Directories and files that no other user of this machine can read or change.
//!
//! They are created with restricted modes: if the mode were changed after creation, another user
//! could open them in between.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::geteuid;

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

/// The directory belongs to another user, who can write anything into it.
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

/// Creates a directory and its missing parents, accessible only by this user. Removes the access of
/// others from an existing directory.
///
/// # Errors
/// [`Foreign`], or it cannot be created.
pub fn folder(path: &Path) -> anyhow::Result<()> {
    let making = || format!("making the folder {}", path.display());
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.with_context(making)?;
    owned(path)?;
    // An earlier version of this program might have created it with wider permissions.
    let mode = fs::metadata(path).with_context(making)?.mode();
    if mode & OTHERS != 0 {
        let closed = Permissions::from_mode(mode & 0o777 & !OTHERS);
        fs::set_permissions(path, closed).with_context(making)?;
    }
    Ok(())
}

/// Checks that a directory, if it exists, belongs to this user.
///
/// # Errors
/// [`Foreign`], or it cannot be read.
pub fn owned(path: &Path) -> anyhow::Result<()> {
    // The owner of a symbolic link can change its target, so both are checked.
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

/// Writes a file that only this user can read, and replaces an existing file.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    // An existing file would keep its mode, and might be a symbolic link.
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

/// Whether the metadata grants no access to others.
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
        // As an earlier version created it.
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("opened");
        folder(&path).expect("closed");
        assert!(is_private(&looked_at(&path)));
    }

    #[test]
    fn the_folder_of_another_user_is_refused() {
        // Root owns `/`, so a test that runs as root needs a directory of another user.
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

        // The target of a link must not change.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        write(&link, 0o700, b"other").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"closed");
        assert_eq!(looked_at(&link).mode() & 0o777, 0o700);
    }
}

//! The cache folder: its location, and the checks that no other user can write to it.
//!
//! Its contents are uploaded and run. So it is never a location that users share, and each folder on its path must be
//! writable only by its owner, who is this user or root. Source of the rule: sshd's StrictModes, with Debian's
//! exception for groups of one user.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::process::geteuid;

/// The environment variable that sets the folder.
const VARIABLE: &str = "THREESCALE_GW_CACHE";
/// The error if no folder is known.
pub(super) const UNKNOWN: &str = "no folder is known to keep builds in: set HOME, or THREESCALE_GW_CACHE to a folder of your own";
/// Private to this user.
const PRIVATE: u32 = 0o700;
const STICKY: u32 = 0o1000;
/// Files that Cargo and rustup read in a folder and its parents. They determine the compiler and what it compiles.
const SETTINGS: [&str; 4] = [
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// The folder that the environment sets, or the one in the user's home.
///
/// # Errors
/// Neither exists. A folder that all users can write to is not a fallback.
pub(crate) fn place(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    let set = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(named) = set(VARIABLE) {
        return std::path::absolute(&named)
            .with_context(|| format!("{VARIABLE}={}", named.display()));
    }
    // A relative path would depend on the current folder.
    let base = set("XDG_CACHE_HOME").filter(|base| base.is_absolute());
    let base = base.or_else(|| Some(home.filter(|home| home.is_absolute())?.join(".cache")));
    let base = base.context(UNKNOWN)?;
    Ok(base.join("threescale-gw"))
}

/// The folder, created if it does not exist.
///
/// # Errors
/// It cannot be created, or other users can change its contents.
pub(crate) fn make(path: &Path) -> anyhow::Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE)
        .create(path)
        .with_context(|| format!("making the folder {}", path.display()))?;
    match find(path)? {
        Some(found) => Ok(found),
        None => bail!("the folder {} is gone again", path.display()),
    }
}

/// Returns the real path of the folder if it exists, and removes the access of other users.
///
/// # Errors
/// Other users can change its contents.
pub(crate) fn find(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let of = |path: &Path| format!("the folder {}", path.display());
    // Symbolic links are resolved first, so that the checked path is the path in use.
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| of(path)),
    };
    let me = geteuid().as_raw();
    for dir in real.ancestors() {
        let met = fs::symlink_metadata(dir).with_context(|| of(dir))?;
        let fault = match dir == real {
            true => own_fault(&Entry::of(&met), me),
            false => way_fault(&Entry::of(&met), me),
        };
        if let Some(fault) = fault {
            bail!(
                "{} is not a safe folder for builds, which are uploaded and run: {} {fault}; fix that, or set {VARIABLE} to a \
                 folder of your own",
                real.display(),
                dir.display()
            );
        }
        for settings in SETTINGS.map(|name| dir.join(name)) {
            // A link can point to a file of another user.
            let theirs = |met: Metadata| !Entry::of(&met).is_trusted(me);
            if fs::metadata(&settings).is_ok_and(theirs) {
                bail!(
                    "{} is not a safe folder for builds: Cargo would read {}, which another user can write; remove it, or set \
                     {VARIABLE} to a folder of your own",
                    real.display(),
                    settings.display()
                );
            }
        }
    }
    let mode = fs::metadata(&real).with_context(|| of(&real))?.mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(&real, Permissions::from_mode(PRIVATE)).with_context(|| of(&real))?;
    }
    Ok(Some(real))
}

/// The folder in which to query tools before the cache folder exists: its nearest existing parent, because rustup
/// selects a toolchain by folder. A parent in which other users could place code to run is not used.
pub(crate) fn nearest(path: &Path) -> PathBuf {
    let me = geteuid().as_raw();
    let is_safe = |dir: &&Path| {
        let met = fs::metadata(dir);
        met.is_ok_and(|met| met.is_dir() && Entry::of(&met).is_trusted(me))
    };
    let known = path.ancestors().find(|dir| dir.is_dir());
    known.filter(is_safe).unwrap_or(Path::new("/")).to_owned()
}

/// The bytes of a file, if it exists and only this user can write it.
pub(super) fn read_own(path: &Path) -> Option<Vec<u8>> {
    let met = fs::symlink_metadata(path).ok()?;
    let is_own = met.is_file() && own_fault(&Entry::of(&met), geteuid().as_raw()).is_none();
    is_own.then(|| fs::read(path).ok()).flatten()
}

/// Owner and permissions of a file or folder.
#[derive(Debug, Clone, Copy)]
struct Entry {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Entry {
    fn of(met: &Metadata) -> Self {
        Self {
            owner: met.uid(),
            group: met.gid(),
            mode: met.mode(),
        }
    }

    /// Whether other users than its owner may write. Many systems give each user a group with the same number and no
    /// other members.
    fn is_shared(&self) -> bool {
        let group = self.mode & 0o020 != 0 && self.group != self.owner;
        group || self.mode & 0o002 != 0
    }

    /// Whether only this user or root can write it.
    fn is_trusted(&self, me: u32) -> bool {
        [0, me].contains(&self.owner) && !self.is_shared()
    }
}

/// Why the folder itself, or a file in it, is not safe.
fn own_fault(entry: &Entry, me: u32) -> Option<String> {
    if entry.owner != me {
        return Some(format!("belongs to the user with the id {}", entry.owner));
    }
    entry.is_shared().then(|| writable(entry))
}

/// Why a parent folder is not safe. With the sticky bit, users cannot replace other users' files.
fn way_fault(entry: &Entry, me: u32) -> Option<String> {
    if ![0, me].contains(&entry.owner) {
        return Some(format!("belongs to the user with the id {}", entry.owner));
    }
    (entry.is_shared() && entry.mode & STICKY == 0).then(|| writable(entry))
}

fn writable(entry: &Entry) -> String {
    format!(
        "can be written by others (mode {:03o})",
        entry.mode & 0o7777
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;

    fn entry(owner: u32, group: u32, mode: u32) -> Entry {
        Entry { owner, group, mode }
    }

    #[test]
    fn the_folder_is_named_or_in_the_home_and_never_shared() {
        let at = |variables: &[(&str, &str)], home: Option<&str>| {
            let of = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            place(of, home.map(PathBuf::from)).map_err(|error| error.to_string())
        };
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(
            at(&[("THREESCALE_GW_CACHE", "/c"), xdg], Some("/h")),
            Ok("/c".into())
        );
        assert_eq!(at(&[xdg], Some("/h")), Ok("/x/threescale-gw".into()));
        let home = Ok(PathBuf::from("/h/.cache/threescale-gw"));
        for unusable in ["", "relative"] {
            assert_eq!(at(&[("XDG_CACHE_HOME", unusable)], Some("/h")), home);
        }
        assert_eq!(at(&[("THREESCALE_GW_CACHE", "")], Some("/h")), home);
        for no_home in [None, Some(""), Some("relative")] {
            let error = at(&[], no_home).expect_err("no folder");
            assert!(
                error.contains("set HOME, or THREESCALE_GW_CACHE"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_nobody_else_can_write_is_safe() {
        let own = |entry| own_fault(&entry, ME).is_none();
        let way = |entry| way_fault(&entry, ME).is_none();
        for (entry, is_own, is_way) in [
            (entry(ME, ME, 0o700), true, true),
            (entry(ME, 100, 0o755), true, true),
            // The user's own group, and a shared group.
            (entry(ME, ME, 0o775), true, true),
            (entry(ME, 100, 0o775), false, false),
            (entry(ME, ME, 0o777), false, false),
            (entry(0, 0, 0o755), false, true),
            (entry(0, 0, 0o1777), false, true),
            (entry(0, 0, 0o777), false, false),
            (entry(1001, 1001, 0o755), false, false),
            (entry(1001, 1001, 0o1777), false, false),
        ] {
            assert_eq!((own(entry), way(entry)), (is_own, is_way), "{entry:?}");
        }
    }

    #[test]
    fn a_new_folder_is_closed_and_an_open_one_is_refused_or_closed() {
        let dir = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path| fs::metadata(path).expect("a folder").mode() & 0o777;
        let cache = dir.path().join("one/two");
        assert_eq!(find(&cache).expect("no folder"), None);
        let made = make(&cache).expect("a folder");
        assert_eq!(mode(&made), 0o700);
        assert_eq!(mode(&dir.path().join("one")), 0o700);

        let set = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
        };
        set(&cache, 0o755);
        assert_eq!(find(&cache).expect("a folder"), Some(made.clone()));
        assert_eq!(mode(&made), 0o700);
        for open in [&cache, &dir.path().join("one")] {
            set(open, 0o757);
            let error = make(&cache).expect_err("a refusal").to_string();
            let text = format!("{} can be written by others (mode 757)", open.display());
            assert!(error.contains(&text), "{error}");
            set(open, 0o700);
        }
        // The target of a link is checked.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&cache, &link).expect("a link");
        assert_eq!(make(&link).expect("a folder"), made);

        let config = dir.path().join("one/.cargo/config.toml");
        fs::create_dir(config.with_file_name("")).expect("a folder");
        fs::write(&config, "").expect("a file");
        make(&cache).expect("one's own settings are fine");
        set(&config, 0o666);
        let error = make(&cache).expect_err("a refusal").to_string();
        assert!(error.contains("Cargo would read"), "{error}");
    }

    #[test]
    fn tools_are_not_asked_where_others_leave_files() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(nearest(&dir.path().join("not/there")), dir.path());
        let open = dir.path().join("open");
        fs::create_dir(&open).expect("a folder");
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).expect("a mode");
        assert_eq!(nearest(&open.join("not/there")), Path::new("/"));
    }

    #[test]
    fn a_file_that_others_can_write_is_not_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "x").expect("a file");
        assert_eq!(read_own(&file), Some(b"x".to_vec()));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert_eq!(read_own(&link), None);
        fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("a mode");
        assert_eq!(read_own(&file), None);
        assert_eq!(read_own(&dir.path().join("none")), None);
    }
}

//! The commit of a source tree, read without git: from a checkout, or from what `cargo package` records.

use std::fs;
use std::path::{Path, PathBuf};

/// A commit and the files that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// 40 hexadecimal digits, or 64 in a repository with SHA-256.
    pub commit: String,
    /// With another commit, one of these files differs.
    pub files: Vec<PathBuf>,
}

/// The commit of the tree in this folder; `None` if it is no checkout and no package of one.
pub fn of(root: &Path) -> Option<Found> {
    of_package(root).or_else(|| of_checkout(root))
}

/// `cargo package` records the commit in a file.
fn of_package(root: &Path) -> Option<Found> {
    let file = root.join(".cargo_vcs_info.json");
    let text = fs::read_to_string(&file).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = hash(rest.split('"').nth(1)?)?;
    Some(Found {
        commit,
        files: vec![file],
    })
}

fn of_checkout(root: &Path) -> Option<Found> {
    let git = root.join(".git");
    // In a worktree, it is a file that names the folder.
    let folder = match fs::read_to_string(&git) {
        Ok(text) => root.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    let head = folder.join("HEAD");
    let text = fs::read_to_string(&head).ok()?;
    let mut files = vec![head];
    let Some(name) = text.strip_prefix("ref:") else {
        let commit = hash(&text)?;
        return Some(Found { commit, files });
    };
    let name = name.trim();
    // The branches of a worktree are in the folder of the repository.
    let common = fs::read_to_string(folder.join("commondir"));
    let common = common.map_or_else(|_| folder.clone(), |path| folder.join(path.trim()));
    let loose = common.join(name);
    if let Ok(text) = fs::read_to_string(&loose) {
        files.push(loose);
        let commit = hash(&text)?;
        return Some(Found { commit, files });
    }
    let packed = common.join("packed-refs");
    let text = fs::read_to_string(&packed).ok()?;
    let commit = text.lines().find_map(|line| {
        let (commit, of) = line.split_once(' ')?;
        (of.trim() == name).then(|| hash(commit)).flatten()
    })?;
    files.push(packed);
    Some(Found { commit, files })
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hash =
        [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

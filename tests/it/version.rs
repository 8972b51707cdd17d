//! `version`, and the commit that a build finds.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli::alone;

#[path = "../../build/commit.rs"]
mod commit;

#[test]
fn version_tells_the_program_and_its_authorizer() {
    let short = format!("threescale-gw {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["version"][..], &["-V"], &["--version"]] {
        let run = alone(arguments, &[]);
        assert_eq!((run.code, &run.stdout), (Some(0), &short), "{arguments:?}");
    }
    let document = alone(&["version", "-o", "json"], &[]).json();
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    // This is no release build.
    assert!(document["commit"].is_null());
    let target = document["target"].as_str().expect("a target");
    assert!(target.starts_with(std::env::consts::ARCH), "{target}");
    let digest = |architecture: &str| {
        let digest = document["authorizer"][architecture].as_str();
        let digest = digest.expect("a digest").to_owned();
        assert_eq!(digest.len(), 64, "{digest}");
        digest
    };
    let (x86, arm) = (digest("x86_64"), digest("arm64"));
    assert_ne!(x86, arm);
    let long = alone(&["version", "--verbose"], &[]).stdout;
    assert_eq!(
        long,
        format!(
            "{short}commit      unknown\ntarget      {target}\nauthorizer\n  x86_64  {x86}\n  arm64   {arm}\n\
             code of the functions\n  x86_64  built on this machine\n  arm64   built on this machine\n"
        )
    );
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn the_commit_of_a_tree_is_found_without_git() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let root = folder.path();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    let found = || commit::of(root).map(|found| (found.commit, found.files.len()));
    assert_eq!(found(), None);
    write(".git/HEAD", &format!("{COMMIT}\n"));
    assert_eq!(found(), Some((COMMIT.to_owned(), 1)));
    write(".git/HEAD", "ref: refs/heads/main\n");
    assert_eq!(found(), None);
    write(
        ".git/packed-refs",
        &format!("# pack-refs\n{COMMIT} refs/heads/main\n"),
    );
    assert_eq!(found(), Some((COMMIT.to_owned(), 2)));
    let newer = COMMIT.replace('0', "f");
    write(".git/refs/heads/main", &format!("{newer}\n"));
    assert_eq!(found(), Some((newer, 2)));
    write(".git/refs/heads/main", "not a hash\n");
    assert_eq!(found(), None);
    // A package has no repository.
    let recorded = format!("{{\n  \"git\": {{\n    \"sha1\": \"{COMMIT}\"\n  }}\n}}");
    write(".cargo_vcs_info.json", &recorded);
    assert_eq!(found(), Some((COMMIT.to_owned(), 1)));
}

#[test]
fn the_commit_of_this_tree_is_the_one_that_git_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root)
        .output();
    let Ok(output) = git else {
        return;
    };
    if root.join(".git").exists() && output.status.success() {
        let found = commit::of(root).expect("a commit");
        assert_eq!(found.commit, String::from_utf8_lossy(&output.stdout).trim());
    }
}

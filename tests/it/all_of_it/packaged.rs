//! The packages hold all that an installation needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use toml_edit::DocumentMut;

use crate::cli::alone;

const PROGRAM: &str = "threescale-gw";
const STAND_IN: &str = "threescale-stand-in";

/// Cargo, without what this run of it has set: a build script runs again with another variable that it reads. It takes what
/// has been downloaded.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_of_this_run = text.starts_with("CARGO_") && text != "CARGO_HOME";
        if is_of_this_run || text.starts_with("RUSTC_") || text == "OUT_DIR" {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).arg("--offline").args(arguments);
    command
}

#[track_caller]
fn succeeded(output: std::io::Result<Output>) {
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Where the packages are unpacked: nothing else is there, and no parent is a workspace.
fn unpacked(empty: &Path) -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = empty.join("made");
    let arguments = ["package", "--no-verify", "--allow-dirty", "--target-dir"];
    let mut package = cargo(root, &arguments);
    package.arg(&made).args(["-p", PROGRAM, "-p", STAND_IN]);
    succeeded(package.output());
    let version = env!("CARGO_PKG_VERSION");
    let [program, stand_in] = [PROGRAM, STAND_IN].map(|name| {
        let mut tar = Command::new("tar");
        let file = made.join(format!("package/{name}-{version}.crate"));
        succeeded(tar.arg("-xzf").arg(file).current_dir(empty).output());
        empty.join(format!("{name}-{version}"))
    });
    fs::remove_dir_all(made).expect("removed");
    (program, stand_in)
}

/// A target folder in which the dependencies are compiled, because that takes minutes. Compiled files are replaced as a whole,
/// so links to them suffice. Cargo writes its own files in place.
fn warm() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let debug = folder.path().join("debug");
    fs::create_dir(&debug).expect("a folder");
    let built = Path::new(env!("CARGO_BIN_EXE_threescale-gw")).with_file_name("");
    for (how, part) in [("-al", "deps"), ("-a", ".fingerprint"), ("-a", "build")] {
        let mut copy = Command::new("cp");
        copy.arg(how).arg(built.join(part)).arg(&debug);
        succeeded(copy.output());
    }
    folder
}

#[test]
fn an_install_from_the_packages_works_in_an_empty_folder() {
    crate::support::times::measure();
    let empty = tempfile::tempdir().expect("a folder");
    let (program, stand_in) = unpacked(empty.path());
    let left = fs::read_dir(&program).expect("a folder").flatten();
    let mut left: Vec<_> = left
        .map(|entry| entry.file_name().display().to_string())
        .collect();
    left.sort();
    let expected = [
        ".cargo_vcs_info.json",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "Cargo.toml.orig",
        "LICENSE",
        "README.md",
        "build",
        "build.rs",
        "src",
        "templates",
    ];
    let is_expected = |name: &String| expected.contains(&name.as_str());
    assert!(left.iter().all(is_expected), "{left:?}");

    // Here, the stand-in is not from a registry, which would have its checksum.
    let lock = program.join("Cargo.lock");
    let text = fs::read_to_string(&lock).expect("a lock file");
    let mut locked: DocumentMut = text.parse().expect("TOML");
    let packages = locked["package"]
        .as_array_of_tables_mut()
        .expect("packages");
    let own = packages
        .iter_mut()
        .find(|package| package["name"].as_str() == Some(STAND_IN));
    let own = own.expect("the stand-in");
    own.remove("source");
    own.remove("checksum");
    fs::write(&lock, locked.to_string()).expect("a lock file");
    let target = warm();
    let root = empty.path().join("root");
    let patch = format!(
        "patch.crates-io.{STAND_IN}.path={:?}",
        stand_in.display().to_string()
    );
    let mut install = cargo(
        empty.path(),
        &["install", "--locked", "--debug", "--no-track", "--path"],
    );
    install
        .arg(&program)
        .arg("--root")
        .arg(&root)
        .arg("--target-dir")
        .arg(target.path());
    // Only of the program's own crates.
    install.args(["--config", "profile.dev.debug=false", "--config", &patch]);
    succeeded(install.output());

    // The source of the authorizer is complete: it has the same digests.
    let run = |program: &Path| {
        let output = Command::new(program)
            .args(["version", "-o", "json"])
            .output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let own = alone(&["version", "-o", "json"], &[]).stdout;
    assert_eq!(run(&root.join("bin").join(PROGRAM)), own);
}

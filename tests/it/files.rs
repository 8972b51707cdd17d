//! The structure of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The entries of `folder` that its module file does not declare.
fn forgotten(folder: &Path, module: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(module)).expect("a module");
    let declared = |name: &str| {
        text.lines()
            .any(|line| line.trim_start_matches("pub ") == format!("mod {name};"))
    };
    let mut forgotten = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let is_module = match path.is_dir() {
            true => path.join("mod.rs").exists(),
            false => {
                path.extension().is_some_and(|extension| extension == "rs")
                    && !["main", "mod"].contains(&name)
            }
        };
        if is_module && !declared(name) {
            forgotten.push(path.display().to_string());
        }
        if path.is_dir() && is_module {
            forgotten.extend(self::forgotten(&path, "mod.rs"));
        }
    }
    forgotten
}

#[test]
fn every_file_is_part_of_the_binary() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    assert_eq!(forgotten(&tests.join("it"), "main.rs"), [""; 0]);
    // Cargo would build a file in this folder as a separate test binary.
    let beside = fs::read_dir(tests).expect("a folder").flatten();
    let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let beside: Vec<_> = beside.filter(|entry| is_rust(&entry.path())).collect();
    assert!(beside.is_empty(), "{beside:?}");
}

/// All packages in a build, with their features.
fn packages(selection: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix",
            "none",
            "--format",
            "{p} {f}",
        ])
        .args(selection);
    let output = cargo.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)").trim());
    lines.map(str::to_owned).collect()
}

/// Cargo compiles a package again if its features differ, so the second command in the README could not reuse the build
/// of the first one.
#[test]
fn the_tests_are_built_on_what_the_program_is_built_on() {
    let run = packages(&["--package", "threescale-gw", "--edges", "normal,build"]);
    let test = packages(&["--workspace", "--edges", "normal,build,dev"]);
    let again: Vec<_> = run.difference(&test).collect();
    assert!(again.is_empty(), "{again:?}");
}

//! No file of tests is forgotten.

use std::fs;
use std::path::Path;

/// What `folder` holds and the module file there does not declare.
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
    // A file beside the folder would be a binary of its own.
    let beside = fs::read_dir(tests).expect("a folder").flatten();
    let beside: Vec<_> = beside.filter(|entry| entry.path().is_file()).collect();
    assert!(beside.is_empty(), "{beside:?}");
}

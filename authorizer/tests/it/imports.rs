//! The files of the crate import one another in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex_lite::Regex;

/// Each file, by its path below `src` without the ending, with the files it imports.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&source).unwrap().with_extension("");
                let text = fs::read_to_string(&path).unwrap();
                files.insert(name.to_str().unwrap().to_owned(), text);
            }
        }
    }
    files.remove("lib");
    files.remove("main");
    let from_root = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let from_folder = Regex::new(r"\bsuper::([a-z_]+)|(?m:^mod ([a-z_]+);)").unwrap();
    let names: BTreeSet<String> = files.keys().cloned().collect();
    let mut imports = BTreeMap::new();
    for (name, text) in files {
        let code: String = text
            .split("#[cfg(test)]")
            .next()
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(|line| format!("{line}\n"))
            .collect();
        let mut imported = BTreeSet::new();
        for module in from_root.captures_iter(&code) {
            let module = &module[1];
            let file = [module.to_owned(), format!("{module}/mod")]
                .into_iter()
                .find(|file| names.contains(file));
            imported.insert(file.unwrap_or_else(|| panic!("{name} imports {module}")));
        }
        if let Some((folder, _)) = name.split_once('/') {
            for module in from_folder.captures_iter(&code) {
                let module = module.get(1).or(module.get(2)).unwrap().as_str();
                imported.insert(format!("{folder}/{module}"));
            }
        }
        imports.insert(name, imported);
    }
    imports
}

#[test]
fn no_file_imports_itself_through_others() {
    let mut left = imports();
    assert!(left.len() > 25, "{left:?}");
    assert!(left["decide"].contains("upstream"));
    assert!(left["redis/mod"].contains("redis/client"));
    // Removes the files that import none of the remaining ones. The files of a cycle stay.
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, imported)| imported.iter().all(|name| !left.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(&name);
        }
    }
    assert!(left.is_empty(), "a cycle of imports in {left:#?}");
}

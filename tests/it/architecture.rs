//! The imports between modules match ARCHITECTURE.md, and no files import each other in a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A module by its path below the crate: `["resource", "vpc"]`.
type Module = Vec<String>;

/// The files of one crate: for each module, the paths it imports and the names it re-exports.
struct Crate {
    imports: BTreeMap<Module, Vec<Module>>,
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Crate {
    fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        sources(&root, &mut files);
        let parsed: Vec<_> = files
            .iter()
            .filter_map(|path| {
                let mut module: Module = path
                    .strip_prefix(&root)
                    .expect("a file below the folder")
                    .with_extension("")
                    .iter()
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect();
                module.pop_if(|name| ["lib", "main", "mod"].contains(&name.as_str()));
                // A file that contains only tests.
                if module.last().is_some_and(|name| name == "tests") {
                    return None;
                }
                let text = fs::read_to_string(path).expect("a source file");
                Some((module, syn::parse_file(&text).expect("Rust")))
            })
            .collect();
        let modules: BTreeSet<_> = parsed.iter().map(|(module, _)| module.clone()).collect();
        let mut read = Self {
            imports: BTreeMap::new(),
            exports: BTreeMap::new(),
        };
        for (module, file) in parsed {
            let mut paths = Paths {
                module: &module,
                modules: &modules,
                imports: Vec::new(),
                exports: BTreeMap::new(),
            };
            paths.visit_file(&file);
            let (imports, exports) = (paths.imports, paths.exports);
            read.imports
                .entry(module.clone())
                .or_default()
                .extend(imports);
            read.exports.entry(module).or_default().extend(exports);
        }
        read
    }

    /// The module that a path resolves to, including through re-exports, as the compiler resolves it.
    fn file_of(&self, path: &[String]) -> Module {
        for length in (0..=path.len()).rev() {
            let Some(exports) = self.exports.get(&path[..length]) else {
                continue;
            };
            return match path.get(length).and_then(|name| exports.get(name)) {
                Some(exported) => {
                    let mut path_there = exported.clone();
                    path_there.extend_from_slice(&path[length + 1..]);
                    self.file_of(&path_there)
                }
                None => path[..length].to_vec(),
            };
        }
        Vec::new()
    }

    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        self.imports
            .iter()
            .map(|(module, paths)| {
                let files = paths.iter().map(|path| self.file_of(path));
                let others = files.filter(|file| file != module).collect();
                (module.clone(), others)
            })
            .collect()
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Collects the paths of one file, except those in its test modules.
struct Paths<'a> {
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    imports: Vec<Module>,
    exports: BTreeMap<String, Module>,
}

impl Paths<'_> {
    /// The path from the crate root, or `None` for a path into another crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut absolute = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            _ => {
                let mut child = self.module.clone();
                child.push(first.clone());
                if !self.modules.contains(&child) {
                    return None;
                }
                child
            }
        };
        for name in rest {
            match name.as_str() {
                "super" => drop(absolute.pop()),
                "self" => {}
                name => absolute.push(name.to_owned()),
            }
        }
        Some(absolute)
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &mut Module, is_export: bool) {
        let (name, visible) = match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.use_tree(&path.tree, prefix, is_export);
                prefix.pop();
                return;
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, is_export);
                }
                return;
            }
            syn::UseTree::Glob(_) => ("self".to_owned(), "*".to_owned()),
            syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            syn::UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
        };
        prefix.push(name);
        if let Some(path) = self.absolute(prefix) {
            if is_export {
                self.exports.insert(visible, path);
            } else {
                self.imports.push(path);
            }
        }
        prefix.pop();
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_export = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&item.tree, &mut Vec::new(), is_export);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|name| name == "test")
        };
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        let is_local = ["crate", "super", "self"].contains(&names[0].as_str());
        if names.len() > 1
            && is_local
            && let Some(absolute) = self.absolute(&names)
        {
            self.imports.push(absolute);
        }
        visit::visit_path(self, path);
    }
}

/// Files that import each other, directly or through others.
fn cycle(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let mut left = edges.clone();
    loop {
        let free: Vec<_> = left
            .iter()
            .filter(|(_, needs)| !needs.iter().any(|need| left.contains_key(need)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            return left.keys().map(|module| module.join("::")).collect();
        }
        for module in free {
            left.remove(&module);
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    for folder in ["src", "authorizer/src", "stand-in/src"] {
        let edges = Crate::read(folder).edges();
        assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 20);
        assert_eq!(cycle(&edges), [""; 0], "{folder}");
    }
}

/// A row of the table: a module, the paths of its files, and the modules it imports.
struct Row {
    name: String,
    paths: Vec<Module>,
    imports: Vec<String>,
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    fs::read_to_string(path).expect("ARCHITECTURE.md")
}

fn table(document: &str) -> Vec<Row> {
    let lines = document
        .lines()
        .skip_while(|line| !line.starts_with("| Module |"))
        .skip(2);
    let list = |cell: &str| -> Vec<String> {
        let items = cell.split(',').map(|item| item.trim().trim_matches('`'));
        items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let paths = list(cells[1]);
            Row {
                name: cells[0].to_owned(),
                paths: paths
                    .iter()
                    .map(|path| path.split("::").map(str::to_owned).collect())
                    .collect(),
                imports: list(cells[2]),
            }
        })
        .collect()
}

/// The row whose path is the longest prefix of the file's path.
fn row_of<'a>(rows: &'a [Row], file: &Module) -> Option<&'a Row> {
    let depth = |row: &Row| {
        let fits = row.paths.iter().filter(|path| file.starts_with(path));
        fits.map(Vec::len).max()
    };
    rows.iter()
        .filter(|row| depth(row).is_some())
        .max_by_key(|row| depth(row))
}

#[test]
fn modules_import_what_architecture_md_says() {
    let rows = table(&document());
    let edges = Crate::read("src").edges();
    let (mut used, mut wrong) = (BTreeSet::new(), Vec::new());
    for (file, imports) in &edges {
        // Skip the crate root.
        if file.is_empty() {
            continue;
        }
        let name = file.join("::");
        let row = row_of(&rows, file).unwrap_or_else(|| panic!("{name} is in no row"));
        for import in imports.iter().filter(|import| !import.is_empty()) {
            let other = row_of(&rows, import).expect("a row");
            used.insert((row.name.clone(), other.name.clone()));
            if other.name != row.name && !row.imports.contains(&other.name) {
                let import = import.join("::");
                wrong.push(format!(
                    "{name} ({}) imports {import} ({})",
                    row.name, other.name
                ));
            }
        }
    }
    for (index, row) in rows.iter().enumerate() {
        for import in &row.imports {
            if !rows[..index].iter().any(|above| above.name == *import) {
                wrong.push(format!(
                    "{} names {import}, which is not above it",
                    row.name
                ));
            }
            if !used.contains(&(row.name.clone(), import.clone())) {
                wrong.push(format!("{} does not import {import}", row.name));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_picture_of_the_modules_is_the_table() {
    let document = document();
    let rows = table(&document);
    let drawn: BTreeSet<_> = document
        .lines()
        .filter_map(|line| line.trim().split_once(" --> "))
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect();
    let written: BTreeSet<_> = rows
        .iter()
        .filter(|row| row.name != "commands")
        .flat_map(|row| {
            let drawn = row.imports.iter().filter(|import| *import != "base");
            drawn.map(|import| (row.name.clone(), import.clone()))
        })
        .collect();
    assert_eq!(drawn, written);
}

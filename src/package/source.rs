//! The authorizer's source that the CLI contains, and the tree that it is built in.
//!
//! Dependencies that only the authorizer's tests and benchmarks use are left out: a build does not fetch them, and a
//! change of them does not change the function's code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};
use toml_edit::{Document, DocumentMut, Item, TableLike, Value};

/// The crate's code. Its manifest and lock file are derived from the two constants below. All three are read through links
/// in `build/`: `cargo package` leaves out the folders of other crates and writes a lock file of its own, but follows links.
static CODE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/build/authorizer");
const MANIFEST: &str = include_str!("../../build/authorizer.toml");
const LOCK: &str = include_str!("../../build/authorizer.lock");

/// The crate's name in its manifest and in the lock file, and the name of its folder.
pub(super) const CRATE: &str = "authorizer";
const LOCK_FILE: &str = "Cargo.lock";
/// The build's output folder, in the tree.
pub(super) const TARGET_DIR: &str = "target";

/// The files of the tree. The keys are relative paths, written with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    files: BTreeMap<String, Vec<u8>>,
    /// The minimum Rust version: major, minor, patch.
    rust_version: [u64; 3],
}

impl Tree {
    /// The tree that is bundled with this program.
    pub(super) fn bundled() -> anyhow::Result<Self> {
        let manifest = manifest(MANIFEST).context("the bundled authorizer's manifest")?;
        let lock = lock(LOCK, &manifest).context("the bundled authorizer's lock file")?;
        let rust_version = manifest
            .get("package")
            .and_then(|package| package.get("rust-version"));
        let rust_version = rust_version
            .and_then(Item::as_str)
            .and_then(version)
            .unwrap_or_default();
        let mut files = BTreeMap::from([
            (
                "Cargo.toml".to_owned(),
                include_bytes!("workspace.toml").to_vec(),
            ),
            (LOCK_FILE.to_owned(), lock.into_bytes()),
            (
                ".cargo/config.toml".to_owned(),
                include_bytes!("config.toml").to_vec(),
            ),
            (
                format!("{CRATE}/Cargo.toml"),
                manifest.to_string().into_bytes(),
            ),
        ]);
        add(&CODE, &mut files)?;
        Ok(Self {
            files,
            rust_version,
        })
    }

    /// The hexadecimal SHA-256 of paths, contents, and the settings that affect the binary.
    pub(super) fn hash(&self, settings: &[&str]) -> String {
        let mut hash = Sha256::new();
        // Lengths distinguish inputs that are equal when concatenated.
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        settings.iter().for_each(|setting| part(setting.as_bytes()));
        for (path, contents) in &self.files {
            part(path.as_bytes());
            part(contents);
        }
        format!("{:x}", hash.finalize())
    }

    /// The minimum Rust version: major, minor, patch.
    pub(super) fn rust_version(&self) -> [u64; 3] {
        self.rust_version
    }

    /// Returns an error if the lock file that Cargo wrote to `dir` has a version that this program was not tested with.
    pub(super) fn check_lock(&self, dir: &Path) -> anyhow::Result<()> {
        let ours = self.files.get(LOCK_FILE).context("no lock file")?;
        let theirs =
            fs::read_to_string(dir.join(LOCK_FILE)).context("reading Cargo's lock file")?;
        pinned(&String::from_utf8_lossy(ours), &theirs)
    }

    /// Writes the tree into `dir` and removes everything else there except [`TARGET_DIR`], the output of an earlier,
    /// unfinished build.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.file_name() == TARGET_DIR {
                true => {}
                false if entry.file_type()?.is_dir() => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        for (path, contents) in &self.files {
            let path = dir.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, contents)?;
        }
        Ok(())
    }
}

/// The numbers of a version, without a suffix such as `-nightly`.
pub(super) fn version(text: &str) -> Option<[u64; 3]> {
    let numbers = text.split(['-', '+', ' ']).next()?;
    let mut numbers = numbers.split('.').map(|number| number.parse().ok());
    let mut next = |default| numbers.next().map_or(default, |number| number);
    Some([next(None)?, next(Some(0))?, next(Some(0))?])
}

fn add(dir: &Dir<'_>, files: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    for file in dir.files() {
        let path = file
            .path()
            .to_str()
            .context("a file name that is not UTF-8")?;
        files.insert(format!("{CRATE}/src/{path}"), file.contents().to_vec());
    }
    dir.dirs().try_for_each(|dir| add(dir, files))
}

/// The manifest without tests, benchmarks, examples and their dependencies.
fn manifest(text: &str) -> anyhow::Result<DocumentMut> {
    let mut manifest: DocumentMut = text.parse()?;
    for key in ["bench", "dev-dependencies", "example", "test"] {
        manifest.remove(key);
    }
    for target in tables(manifest.get_mut("target")) {
        target.remove("dev-dependencies");
    }
    Ok(manifest)
}

/// Reduces the lock file to the crate of `manifest` and its possible dependencies. Those can include optional
/// dependencies that only other crates of this workspace enable: only Cargo can detect them, and it removes them.
fn lock(text: &str, manifest: &DocumentMut) -> anyhow::Result<String> {
    let whole: Document<_> = Document::parse(text)?;
    let packages: Vec<Package<'_>> = whole
        .get("package")
        .and_then(Item::as_array_of_tables)
        .context("no packages")?
        .iter()
        .map(Package::read)
        .collect::<Option<_>>()
        .context("a package without name or version")?;
    let direct = dependencies(manifest);
    let kept = |package: &Package<'_>, dependency: &str| {
        package.name != CRATE || direct.contains(name(dependency))
    };

    let mut needed = BTreeSet::new();
    let mut open = vec![CRATE.to_owned()];
    while let Some(wanted) = open.pop() {
        let found = packages.iter().position(|package| package.is(&wanted));
        let found = found.with_context(|| format!("`{wanted}` is missing"))?;
        if needed.insert(found) {
            let package = &packages[found];
            let dependencies = package
                .dependencies
                .iter()
                .filter(|dependency| kept(package, dependency));
            open.extend(dependencies.map(|dependency| (*dependency).to_owned()));
        }
    }

    let mut cut: DocumentMut = text.parse()?;
    let tables = cut
        .get_mut("package")
        .and_then(Item::as_array_of_tables_mut)
        .context("no packages")?;
    let mut index = 0;
    tables.retain(|_| {
        index += 1;
        needed.contains(&(index - 1))
    });
    let own = tables
        .iter_mut()
        .find(|table| table.get("name").and_then(Item::as_str) == Some(CRATE));
    if let Some(dependencies) = own
        .and_then(|table| table.get_mut("dependencies"))
        .and_then(Item::as_array_mut)
    {
        dependencies.retain(|dependency| {
            dependency
                .as_str()
                .is_some_and(|text| direct.contains(name(text)))
        });
        ensure!(
            dependencies.len() >= direct.len(),
            "it does not fit the manifest"
        );
    }
    Ok(cut.to_string())
}

/// Returns an error if `theirs` has a package that `ours` does not have with the same version, source and checksum.
fn pinned(ours: &str, theirs: &str) -> anyhow::Result<()> {
    let (ours, theirs): (DocumentMut, DocumentMut) = (ours.parse()?, theirs.parse()?);
    let identities = |lock: &DocumentMut| -> BTreeSet<[Option<String>; 4]> {
        let packages = lock.get("package").and_then(Item::as_array_of_tables);
        let field = |table: &toml_edit::Table, key| {
            table.get(key).and_then(Item::as_str).map(str::to_owned)
        };
        let packages = packages.into_iter().flatten();
        packages
            .map(|table| ["name", "version", "source", "checksum"].map(|key| field(table, key)))
            .collect()
    };
    let (ours, theirs) = (identities(&ours), identities(&theirs));
    ensure!(!theirs.is_empty(), "Cargo left an empty lock file");
    if let Some([name, version, ..]) = theirs.difference(&ours).next() {
        let (name, version) = (
            name.as_deref().unwrap_or("?"),
            version.as_deref().unwrap_or("?"),
        );
        bail!(
            "Cargo would build with {name} {version}, which is not what this program was tested with"
        );
    }
    Ok(())
}

/// One package of a lock file.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    dependencies: Vec<&'a str>,
}

impl<'a> Package<'a> {
    fn read(table: &'a toml_edit::Table) -> Option<Self> {
        let dependencies = table.get("dependencies").and_then(Item::as_array);
        Some(Self {
            name: table.get("name")?.as_str()?,
            version: table.get("version")?.as_str()?,
            dependencies: dependencies
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
        })
    }

    /// Whether `dependency` refers to this package. Cargo adds the version to the name only if there are several.
    fn is(&self, dependency: &str) -> bool {
        let mut words = dependency.split(' ');
        words.next() == Some(self.name)
            && words.next().is_none_or(|version| version == self.version)
    }
}

/// The package name in a dependency of a lock file.
fn name(dependency: &str) -> &str {
    dependency.split(' ').next().unwrap_or_default()
}

/// The dependencies of a manifest for all platforms, without dev-dependencies.
fn dependencies(manifest: &DocumentMut) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |table: &dyn TableLike| {
        for kind in ["build-dependencies", "dependencies"] {
            let listed = table.get(kind).and_then(Item::as_table_like);
            for (key, item) in listed.into_iter().flat_map(|listed| listed.iter()) {
                // The lock file lists a renamed dependency by its real name.
                let package = item
                    .as_table_like()
                    .and_then(|table| table.get("package"))
                    .and_then(Item::as_str);
                names.insert(package.unwrap_or(key).to_owned());
            }
        }
    };
    add(manifest.as_table());
    let targets = manifest.get("target").and_then(Item::as_table_like);
    for (_, target) in targets.into_iter().flat_map(|targets| targets.iter()) {
        if let Some(target) = target.as_table_like() {
            add(target);
        }
    }
    names
}

fn tables(item: Option<&mut Item>) -> impl Iterator<Item = &mut dyn TableLike> {
    let listed = item
        .and_then(Item::as_table_like_mut)
        .map(|table| table.iter_mut());
    listed
        .into_iter()
        .flatten()
        .filter_map(|(_, item)| item.as_table_like_mut())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
[package]
name = "authorizer"
rust-version = "1.94.1"

[[bench]]
name = "hot_path"
harness = false

[dependencies]
base = { package = "base64", version = "0.22" }
ring = "0.17"

[target.'cfg(unix)'.dependencies]
libc = "0.2"

[target.'cfg(unix)'.dev-dependencies]
nix = "0.31"

[dev-dependencies]
proptest = "1"
"#;

    const SAMPLE_LOCK: &str = r#"version = 4

[[package]]
name = "authorizer"
version = "0.1.0"
dependencies = ["base64 0.22.1", "libc", "nix", "proptest", "ring"]

[[package]]
name = "base64"
version = "0.21.0"

[[package]]
name = "base64"
version = "0.22.1"
checksum = "aa"

[[package]]
name = "libc"
version = "0.2.1"

[[package]]
name = "nix"
version = "0.31.0"
dependencies = ["libc"]

[[package]]
name = "proptest"
version = "1.0.0"
dependencies = ["base64 0.21.0"]

[[package]]
name = "ring"
version = "0.17.0"
dependencies = ["libc"]

[[package]]
name = "threescale-gw"
version = "0.1.0"
dependencies = ["base64 0.21.0"]
"#;

    fn packages(lock: &str) -> BTreeSet<String> {
        let lock: DocumentMut = lock.parse().expect("a lock file");
        let packages = lock["package"].as_array_of_tables().expect("packages");
        let text = |table: &toml_edit::Table, key| table[key].as_str().expect("text").to_owned();
        packages
            .iter()
            .map(|table| format!("{} {}", text(table, "name"), text(table, "version")))
            .collect()
    }

    #[test]
    fn the_benches_measure_what_is_shipped() {
        let profile = |text: &str, name: &str| {
            let document: toml_edit::DocumentMut = text.parse().expect("TOML");
            let of = |key: &str| document["profile"][name][key].to_string();
            ["opt-level", "lto", "codegen-units", "package"].map(of)
        };
        let shipped = profile(include_str!("workspace.toml"), "release");
        let measured = profile(include_str!("../../Cargo.toml"), "bench");
        assert_eq!(measured, shipped);
    }

    #[test]
    fn what_only_tests_need_is_left_out() {
        let manifest = manifest(SAMPLE).expect("a manifest");
        for gone in ["bench", "dev-dependencies", "proptest", "nix ="] {
            assert!(!manifest.to_string().contains(gone), "{gone}: {manifest}");
        }
        let lock = lock(SAMPLE_LOCK, &manifest).expect("a lock file");
        let expected = [
            "authorizer 0.1.0",
            "base64 0.22.1",
            "libc 0.2.1",
            "ring 0.17.0",
        ];
        assert_eq!(packages(&lock), expected.map(str::to_owned).into());
        let lock: DocumentMut = lock.parse().expect("a lock file");
        let own = lock["package"][0]["dependencies"]
            .as_array()
            .expect("dependencies");
        assert_eq!(
            own.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
            ["base64 0.22.1", "libc", "ring"]
        );
    }

    #[test]
    fn a_lock_file_that_does_not_fit_is_refused() {
        let manifest = manifest(SAMPLE).expect("a manifest");
        for (from, to) in [
            ("name = \"ring\"", "name = \"rung\""),
            (", \"ring\"", ""),
            ("[[package]]", "[[crate]]"),
        ] {
            assert!(
                lock(&SAMPLE_LOCK.replace(from, to), &manifest).is_err(),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn other_versions_and_other_code_are_refused() {
        let fewer = SAMPLE_LOCK.replace(
            "\n[[package]]\nname = \"base64\"\nversion = \"0.21.0\"\n",
            "",
        );
        assert_ne!(fewer, SAMPLE_LOCK);
        pinned(SAMPLE_LOCK, &fewer).expect("what is not used may go");
        for (from, to) in [
            ("version = \"0.17.0\"", "version = \"0.17.1\""),
            ("checksum = \"aa\"", "checksum = \"bb\""),
            (
                "checksum = \"aa\"",
                "checksum = \"aa\"\nsource = \"git+https://example.com\"",
            ),
            ("name = \"ring\"", "name = \"rung\""),
        ] {
            let refusal = pinned(SAMPLE_LOCK, &fewer.replace(from, to))
                .expect_err(to)
                .to_string();
            assert!(
                refusal.contains("not what this program was tested with"),
                "{refusal}"
            );
        }
        assert!(pinned(SAMPLE_LOCK, "version = 4\n").is_err());
    }

    #[test]
    fn the_bundled_tree_holds_the_crate_and_no_test() {
        let tree = Tree::bundled().expect("the bundled tree");
        for path in [
            "Cargo.toml",
            "Cargo.lock",
            "authorizer/Cargo.toml",
            "authorizer/src/main.rs",
        ] {
            assert!(tree.files.contains_key(path), "{path}");
        }
        let kept =
            |path: &String| path.starts_with("authorizer/src/") || path.matches('/').count() <= 1;
        assert!(tree.files.keys().all(kept), "{:?}", tree.files.keys());
        let lock = String::from_utf8(tree.files["Cargo.lock"].clone()).expect("text");
        assert!(
            !packages(&lock)
                .iter()
                .any(|package| package.starts_with("aws-sdk-")),
            "{lock}"
        );
        assert!(tree.rust_version() >= [1, 85, 0]);
    }

    #[test]
    fn the_hash_tells_files_and_settings_apart() {
        let tree = |files: &[(&str, &str)]| Tree {
            files: files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect(),
            rust_version: [1, 94, 1],
        };
        let hashes: BTreeSet<String> = [
            tree(&[("a", "bc")]).hash(&["x"]),
            tree(&[("ab", "c")]).hash(&["x"]),
            tree(&[("a", "b"), ("c", "")]).hash(&["x"]),
            tree(&[("a", "bc")]).hash(&["y"]),
            tree(&[("a", "bc")]).hash(&["x", ""]),
        ]
        .into();
        assert_eq!(hashes.len(), 5);
        assert_eq!(
            tree(&[("a", "bc")]).hash(&["x"]),
            tree(&[("a", "bc")]).hash(&["x"])
        );
    }

    #[test]
    fn writing_again_removes_strangers_and_keeps_the_work_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let tree = Tree::bundled().expect("the bundled tree");
        tree.write(dir.path()).expect("written");
        let stranger = dir.path().join("authorizer/src/stranger.rs");
        fs::write(&stranger, "").expect("a stranger");
        fs::write(dir.path().join("rust-toolchain.toml"), "").expect("a stranger");
        fs::create_dir(dir.path().join(TARGET_DIR)).expect("work");
        tree.write(dir.path()).expect("written again");
        assert!(!stranger.exists());
        assert!(!dir.path().join("rust-toolchain.toml").exists());
        assert!(dir.path().join(TARGET_DIR).exists());
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("1.94.1"), Some([1, 94, 1]));
        assert_eq!(version("1.96.0-nightly"), Some([1, 96, 0]));
        assert_eq!(version("1.85"), Some([1, 85, 0]));
        assert_eq!(version("new"), None);
        assert_eq!(version(""), None);
    }
}

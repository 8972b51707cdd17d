//! Builds the authorizer's package twice, in two places that share only the downloaded crates.
//!
//! The two builds run at the same time and take one to three minutes on two cores.

use std::fs;
use std::io::{Cursor, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use threescale_gw::package::{DIGESTS, Package, Release, write_release};

use crate::support::built::{Built, Lines, built, bundled, host, no_tools, provide};

/// Settings that would change every byte of the binary if the build read them.
const HOSTILE: &str = r#"
[build]
rustflags = ["-C", "target-cpu=native"]
rustc-wrapper = "/bin/false"
target-dir = "elsewhere"

[target.x86_64-unknown-linux-gnu]
linker = "/bin/false"

[target.aarch64-unknown-linux-gnu]
linker = "/bin/false"

[profile.release]
opt-level = 0
debug = true
lto = false
overflow-checks = true
strip = false
"#;

fn other() -> &'static str {
    match host() {
        "arm64" => "x86_64",
        _ => "arm64",
    }
}

fn text<T: std::fmt::Debug>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.expect_err("a refusal"))
}

/// A separate Cargo home: it shares the downloads, but unpacks the sources again in a different place.
fn another_home(dir: &TempDir) -> PathBuf {
    let own = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let own = own
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .expect("a home");
    let home = dir.path().join("home of cargo");
    fs::create_dir_all(home.join("registry")).expect("a folder");
    for shared in [
        "config.toml",
        "credentials.toml",
        "registry/cache",
        "registry/index",
    ] {
        if own.join(shared).exists() {
            symlink(own.join(shared), home.join(shared)).expect("a link");
        }
    }
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_source_gives_the_same_bytes_everywhere() {
    crate::support::times::measure();
    let first = tokio::task::spawn_blocking(built);
    let there = tempfile::tempdir().expect("a folder");

    // The second build runs in a deeper folder, below a Cargo configuration that the build must ignore.
    let cache = there.path().join("a folder/with a longer name");
    fs::create_dir_all(there.path().join(".cargo")).expect("a folder");
    fs::write(there.path().join(".cargo/config.toml"), HOSTILE).expect("a configuration");
    let mut environment: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name != "CARGO_HOME")
        .collect();
    let hostile = [
        ("CARGO_HOME", another_home(&there).into_os_string()),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0".into()),
        ("CFLAGS", "-O0 -g".into()),
        ("RUSTC_WRAPPER", "/bin/false".into()),
        ("RUSTFLAGS", "-C debuginfo=2".into()),
    ];
    environment.extend(hostile.map(|(name, value)| (name.into(), value)));
    let second = Lines::default();
    let elsewhere = bundled(&cache, &second).with_environment(environment);
    assert_eq!(elsewhere.source().len(), 64);
    elsewhere.check().expect("tools");

    let (first, again) = tokio::join!(first, elsewhere.zip());
    let Built {
        cache: here,
        zips,
        said,
    } = first.expect("a build");
    let zip = again.expect("a zip");
    let source = bundled(here.path(), said).source().to_owned();
    assert_eq!(source, elsewhere.source());
    for (other, of) in zips.iter().zip(["a place", "a package", "a cache"]) {
        assert!(zip == *other, "two zips of {of}, of {} bytes", zip.len());
    }
    the_files_of_a_release_are_the_same(here.path(), elsewhere).await;

    // Three callers and two packages cause one build. The dependencies are compiled before the crate itself.
    assert_eq!(said.starting("compiling authorizer "), 1);
    assert_eq!(said.starting("waiting for another build"), 1);
    assert_eq!(second.starting("compiling authorizer "), 1);

    // Only the zip, its checksum, and the empty lock file remain.
    let left = fs::read_dir(here.path())
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path());
    let mut left: Vec<_> = left
        .filter_map(|path| Some(path.extension()?.to_owned()))
        .collect();
    left.sort();
    assert_eq!(left, ["lock", "sha256", "zip"]);

    // Size limits: Lambda's, and the stricter one that the authorizer sets itself to keep cold starts short.
    assert!(zip.len() < 3 * 1024 * 1024, "{} bytes", zip.len());
    let mut archive = zip::ZipArchive::new(Cursor::new(&zip[..])).expect("an archive");
    assert_eq!(archive.len(), 1);
    let mut file = archive.by_name("bootstrap").expect("the binary");
    assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
    let mut binary = Vec::new();
    file.read_to_end(&mut binary).expect("the binary");
    let names_of = |path: &Path| {
        let path = path.to_string_lossy();
        binary
            .windows(path.len())
            .any(|window| window == path.as_bytes())
    };
    assert!(
        !names_of(here.path()) && !names_of(there.path()),
        "the binary names the folder it was built in"
    );
    drop(file);

    let copy = tempfile::tempdir().expect("a folder");
    provide(copy.path());
    the_cache_serves_without_tools(copy.path(), &zip).await;
    artifacts_are_taken_if_they_fit(copy.path(), &zip, &binary).await;
}

/// The files that two builds in two folders give a release.
async fn the_files_of_a_release_are_the_same(here: &Path, elsewhere: Package) {
    let source = elsewhere.source().to_owned();
    let packages = [bundled(here, &Lines::default()), elsewhere];
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    for (package, folder) in packages.into_iter().zip(&folders) {
        write_release(folder.path(), &[package])
            .await
            .expect("the files");
    }
    let names = [format!("authorizer-{}.zip", host()), DIGESTS.to_owned()];
    let read = |folder: &TempDir| {
        let files = names.clone().map(|name| fs::read(folder.path().join(name)));
        files.map(|file| file.expect("a file"))
    };
    let [zip, digests] = read(&folders[0]);
    assert!([&zip, &digests] == read(&folders[1]).each_ref());
    let digests = String::from_utf8(digests).expect("text");
    assert!(
        digests.starts_with(&format!("{} {source} ", host())),
        "{digests}"
    );
    let release = Release::new(&digests, None, vec![folders[0].path().to_owned()]);
    let release = release.expect("a release");
    let released = bundled(here, &Lines::default()).with_environment(no_tools());
    let released = released.with_release(Some(&release));
    assert!(*released.zip().await.expect("the zip of the release") == *zip);
    let digest = released.released().expect("a digest");
    assert!(release.has(digest) && digests.contains(digest));
}

async fn the_cache_serves_without_tools(cache: &Path, zip: &[u8]) {
    let lines = Lines::default();
    let cached = || bundled(cache, &lines).with_environment(no_tools());
    cached().check().expect("the cached zip");
    assert!(*cached().zip().await.expect("the cached zip") == *zip);

    // A truncated zip is rejected.
    let entries = fs::read_dir(cache)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path());
    let file = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "zip"))
        .last()
        .expect("a zip");
    fs::write(&file, &zip[..zip.len() / 2]).expect("half a zip");
    assert!(text(cached().check()).contains("https://rustup.rs"));
    let package = cached();
    let error = text(package.zip().await);
    assert!(error.contains("https://rustup.rs"), "{error}");
    assert_eq!(error, text(package.zip().await));
}

async fn artifacts_are_taken_if_they_fit(dir: &Path, zip: &[u8], binary: &[u8]) {
    let (zipped, bare) = (dir.join("given.zip"), dir.join("given"));
    fs::write(&zipped, zip).expect("a zip");
    fs::write(&bare, binary).expect("a binary");
    let (zipped_hash, bare_hash) = (
        Package::artifact(&zipped, host())
            .expect("a package")
            .source()
            .to_owned(),
        Package::artifact(&bare, host())
            .expect("a package")
            .source()
            .to_owned(),
    );
    assert_ne!(zipped_hash, bare_hash);
    for path in [&zipped, &bare] {
        let package = Package::artifact(path, host()).expect("a package");
        package.check().expect("it fits");
        assert!(
            *package.zip().await.expect("a zip") == *zip,
            "{}",
            path.display()
        );

        let package = Package::artifact(path, other()).expect("a package");
        let error = text(package.check());
        assert!(
            error.contains(&format!("built for {}, not for {}", host(), other())),
            "{error}"
        );
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert_eq!(error, text(package.zip().await));
    }
}

/// The owner of the folder could put any code there.
#[tokio::test]
async fn a_cache_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can change the owner of a folder.
        return;
    }
    let cache = tempfile::tempdir().expect("a folder");
    let package = || bundled(cache.path(), &Lines::default()).with_environment(no_tools());
    assert!(!text(package().check()).contains("not a safe folder"));
    std::os::unix::fs::chown(cache.path(), Some(65534), None).expect("given away");
    let wanted = "is not a safe folder for builds";
    let refused = text(package().check());
    assert!(refused.contains(wanted), "{refused}");
    let refused = text(package().zip().await);
    assert!(refused.contains(wanted), "{refused}");
}

#[test]
fn files_that_are_no_package_are_refused_with_their_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = text(Package::artifact(&dir.path().join("missing.zip"), host()));
    assert!(
        missing.contains("missing.zip") && missing.contains("No such file"),
        "{missing}"
    );

    let script = dir.path().join("bootstrap");
    fs::write(&script, "#!/bin/sh\n").expect("a script");
    let refused = text(
        Package::artifact(&script, host())
            .expect("a package")
            .check(),
    );
    assert!(
        refused.contains("not an ELF file") && refused.contains("bootstrap"),
        "{refused}"
    );

    let half = dir.path().join("half.zip");
    fs::write(&half, "PK\x03\x04").expect("half a zip");
    assert!(
        text(Package::artifact(&half, host()).expect("a package").check())
            .contains("not a sound zip")
    );

    assert!(text(Package::artifact(&script, "sparc")).contains("x86_64 and arm64"));
    assert!(
        text(Package::bundled(
            "",
            dir.path().to_owned(),
            Arc::new(|_, _| {})
        ))
        .contains("x86_64 and arm64")
    );
}

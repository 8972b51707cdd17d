//! Files in the cache folder are uploaded and run, so a file that another user could have written is not used.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::rest_api::assert_mentions;
use crate::support::{Run, TestAws, Workplace, artifact};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use threescale_gw::package::Package;

/// The package of this program, with a build environment that contains no tools.
fn package(cache: &Path) -> Package {
    let nothing: [(OsString, OsString); 1] = [("PATH".into(), "/nowhere".into())];
    Package::bundled("x86_64", cache.to_owned(), Arc::new(|_, _| {}))
        .expect("a package")
        .with_environment(nothing)
}

/// The path at which a build of the package is stored in `cache`.
fn build(cache: &Path, extension: &str) -> PathBuf {
    let package = package(cache);
    cache.join(format!(
        "authorizer-{}.{extension}",
        &package.source()[..32]
    ))
}

fn vouch(cache: &Path, zip: &[u8]) {
    let digest = format!("{:x}", Sha256::digest(zip));
    fs::write(build(cache, "sha256"), digest).expect("a digest");
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

fn refusal(cache: &Path) -> String {
    format!("{:#}", package(cache).check().expect_err("a refusal"))
}

const NOT_TAKEN: &str = "building the authorizer needs Rust";

#[tokio::test]
async fn a_zip_is_taken_only_with_a_digest_that_vouches_for_it() {
    let dir = TempDir::new().expect("a folder");
    let (cache, zip) = (dir.path(), artifact(7));
    fs::write(build(cache, "zip"), &zip).expect("a zip");
    assert!(refusal(cache).starts_with(NOT_TAKEN));
    let error = package(cache).zip().await.expect_err("nothing to take");
    assert!(error.to_string().starts_with(NOT_TAKEN), "{error}");
    // A checksum for another zip, for a truncated zip, and for this zip.
    vouch(cache, &artifact(8));
    assert!(refusal(cache).starts_with(NOT_TAKEN));
    vouch(cache, &zip);
    package(cache).check().expect("a zip");
    assert_eq!(*package(cache).zip().await.expect("a zip"), zip);
    fs::write(build(cache, "zip"), artifact(8)).expect("another zip");
    assert!(refusal(cache).starts_with(NOT_TAKEN));

    // A file that another user can write, or that another user owns.
    fs::write(build(cache, "zip"), &zip).expect("a zip");
    package(cache).check().expect("a zip");
    for planted in [build(cache, "zip"), build(cache, "sha256")] {
        set(&planted, 0o666);
        assert!(refusal(cache).starts_with(NOT_TAKEN));
        set(&planted, 0o644);
        // Only root can change the owner of a file.
        if chown(&planted, Some(65534), None).is_ok() {
            assert!(refusal(cache).starts_with(NOT_TAKEN));
            chown(&planted, Some(0), None).expect("restored");
        }
    }
    package(cache).check().expect("a zip");
}

#[tokio::test]
async fn a_folder_that_others_can_change_is_refused_with_everything_in_it() {
    let dir = TempDir::new().expect("a folder");
    let way = dir.path().join("way");
    let cache = way.join("cache");
    fs::create_dir_all(&cache).expect("a folder");
    set(&cache, 0o755);
    let zip = artifact(7);
    fs::write(build(&cache, "zip"), &zip).expect("a zip");
    vouch(&cache, &zip);
    package(&cache).check().expect("a zip");
    // The folder is now private to this user.
    let mode = fs::metadata(&cache).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    for open in [&cache, &way] {
        set(open, 0o777);
        let text = refusal(&cache);
        assert!(text.contains("is not a safe folder for builds"), "{text}");
        assert!(
            text.contains(&format!(
                "{} can be written by others (mode 777)",
                open.display()
            )),
            "{text}"
        );
        let error = package(&cache).zip().await.expect_err("a refusal");
        assert_eq!(error.to_string(), text);
        set(open, 0o700);
        if chown(open, Some(65534), None).is_ok() {
            let text = refusal(&cache);
            assert!(
                text.contains("belongs to the user with the id 65534"),
                "{text}"
            );
            chown(open, Some(0), None).expect("restored");
        }
    }
    package(&cache).check().expect("a zip");
}

#[test]
fn nothing_is_uploaded_from_a_folder_that_all_users_share() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    here.edit("authorizer: {artifact: bootstrap.zip}", "");
    let run = |cache: Option<&Path>, arguments: &[&str]| {
        let mut command = here.command(arguments);
        command
            .env_remove("HOME")
            .env("PATH", "/nowhere")
            .env("TMPDIR", here.folder.path());
        if let Some(cache) = cache {
            command.env("THREESCALE_GW_CACHE", cache);
        }
        Run::of(command.output().expect("the binary runs"))
    };
    // Builds were stored here when there was no home folder, and another user could have created it first.
    let shared = here.path("threescale-gw");
    fs::create_dir(&shared).expect("a folder");
    fs::write(build(&shared, "zip"), artifact(7)).expect("a zip");
    vouch(&shared, &artifact(7));
    run(None, &["up", "--yes"]);
    let planted = BASE64_STANDARD.encode(Sha256::digest(artifact(7)));
    assert!(!aws.account().to_string().contains(&planted));
    aws.check_log();
    aws.post("reset", &json!({}));
    aws.seed();

    set(&shared, 0o1777);
    for command in [&["plan"][..], &["up", "--yes"]] {
        let run = run(Some(&shared), command);
        assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
        let texts = [
            "is not a safe folder for builds",
            "can be written by others (mode 1777)",
            "THREESCALE_GW_CACHE",
        ];
        assert_mentions(&run, &texts);
    }
    assert!(aws.changes().is_empty());
    // A sandbox folder that another user could have created is not used either.
    fs::create_dir(shared.join("sandbox")).expect("a folder");
    set(&shared.join("sandbox"), 0o777);
    for command in [&["sandbox", "status"][..], &["status", "--sandbox"]] {
        let run = run(Some(&shared), command);
        assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
        assert_mentions(&run, &["sandbox can be written by others (mode 777)"]);
    }
    set(&shared, 0o700);
    assert_eq!(run(Some(&shared), &["plan"]).code, Some(0));
}

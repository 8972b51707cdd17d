//! What a release is made of and installed with: the steps of the container file, the action, and that all of them name the
//! same files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use toml_edit::DocumentMut;

use crate::cli::alone;
use crate::support::artifact;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file")
}

fn toml(path: &str) -> DocumentMut {
    read(path).parse().expect("TOML")
}

/// The files of a release for this machine, as dist names them: an archive with the program and the zip files, and its
/// checksum.
fn release(folder: &Path) {
    let name = format!("threescale-gw-{TARGET}");
    let inside = folder.join(&name);
    fs::create_dir_all(&inside).expect("a folder");
    symlink(
        env!("CARGO_BIN_EXE_threescale-gw"),
        inside.join("threescale-gw"),
    )
    .expect("a link");
    for architecture in ["x86_64", "arm64"] {
        fs::write(
            inside.join(format!("authorizer-{architecture}.zip")),
            artifact(7),
        )
        .expect("a zip");
    }
    fs::write(inside.join("README.md"), "").expect("a file");
    // Not compressed, which `tar` finds out itself: the program of a test is large.
    let archive = format!("{name}.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--dereference", "-cf", &archive, &name])
        .current_dir(folder);
    assert!(tar.status().expect("tar runs").success());
    fs::remove_dir_all(inside).expect("removed");
    let digest = Sha256::digest(fs::read(folder.join(&archive)).expect("an archive"));
    fs::write(
        folder.join(format!("{archive}.sha256")),
        format!("{digest:x} *{archive}\n"),
    )
    .expect("a checksum");
}

/// What the digests of the zip files in [`release`] are, for a program that is no release.
fn digests(folder: &Path) -> PathBuf {
    let source = alone(&["version", "-o", "json"], &[]).json()["authorizer"]["x86_64"].clone();
    let digest = Sha256::digest(artifact(7));
    let file = folder.join("authorizer-zips.txt");
    fs::write(
        &file,
        format!("x86_64 {} {digest:x}\n", source.as_str().expect("a digest")),
    )
    .expect("a file");
    file
}

/// An image as its steps leave it.
#[derive(Debug, Default)]
struct Image {
    root: PathBuf,
    workdir: String,
    user: String,
    entrypoint: Vec<String>,
}

/// Runs the steps of a container file: each stage in a folder of its own, in place of the root of an image. `from` has the
/// files of the base images that the steps take. `Err` is what a failed step has printed.
fn build(
    file: &str,
    context: &Path,
    arguments: &[(&str, &str)],
    stages: &Path,
) -> Result<Image, String> {
    let joined = file.replace("\\\n", " ");
    let steps = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut named, mut variables) = (BTreeMap::new(), BTreeMap::new());
    let mut image = Image::default();
    for (number, step) in steps.enumerate() {
        let (instruction, rest) = step.split_once(' ').expect("an instruction");
        let words: Vec<_> = rest.split_whitespace().collect();
        match instruction {
            "ARG" => {
                let (name, default) = rest.split_once('=').unwrap_or((rest, ""));
                let given = arguments.iter().find(|(given, _)| *given == name);
                variables.insert(
                    name.to_owned(),
                    given.map_or(default, |(_, value)| value).to_owned(),
                );
            }
            "FROM" => {
                let root = stages.join(number.to_string());
                fs::create_dir_all(root.join("etc/ssl/certs")).expect("a folder");
                // Base images with certificates have them in this file.
                fs::write(root.join("etc/ssl/certs/ca-certificates.crt"), words[0])
                    .expect("a file");
                image = Image {
                    root,
                    workdir: "/".to_owned(),
                    ..Image::default()
                };
                if let [_, "AS", name] = words.as_slice() {
                    named.insert((*name).to_owned(), image.root.clone());
                }
            }
            "WORKDIR" => {
                image.workdir = rest.to_owned();
                fs::create_dir_all(inside(&image.root, rest)).expect("a folder");
            }
            "COPY" => {
                let of_stage = words[0].strip_prefix("--from=");
                let from = of_stage.map_or(context, |name| named[name].as_path());
                let (to, files) = words[usize::from(of_stage.is_some())..]
                    .split_last()
                    .expect("a target");
                let to = match to.starts_with('/') {
                    true => inside(&image.root, to),
                    false => inside(&image.root, &image.workdir).join(to),
                };
                fs::create_dir_all(&to).expect("a folder");
                // A folder is copied with what is in it.
                let sources: Vec<_> = files
                    .iter()
                    .map(|file| match file.strip_suffix('/') {
                        Some(folder) => format!("{folder}/."),
                        None => (*file).to_owned(),
                    })
                    .map(|file| file.trim_start_matches('/').to_owned())
                    .collect();
                let line = format!("cp -r {} '{}'", sources.join(" "), to.display());
                shell(&line, from, &BTreeMap::new())?;
            }
            "RUN" => {
                let is_absolute = words
                    .iter()
                    .any(|word| word.trim_matches('"').starts_with('/'));
                assert!(
                    !is_absolute,
                    "only paths of the stage can be redirected: {rest}"
                );
                shell(rest, &inside(&image.root, &image.workdir), &variables)?;
            }
            "USER" => rest.clone_into(&mut image.user),
            "ENTRYPOINT" => {
                image.entrypoint = serde_json::from_str(rest).expect("the form of a list")
            }
            other => panic!("{other} is not known here"),
        }
    }
    Ok(image)
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn shell(line: &str, folder: &Path, variables: &BTreeMap<String, String>) -> Result<(), String> {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .envs(variables)
        .output();
    let output = output.expect("a shell");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn the_steps_of_the_container_file_make_an_image_that_works_without_a_compiler() {
    let file = read("build/Containerfile");
    let [context, stages] = [(); 2].map(|()| TempDir::new().expect("a folder"));
    release(context.path());
    let image = build(
        &file,
        context.path(),
        &[("TARGETARCH", "amd64")],
        stages.path(),
    )
    .expect("an image");
    assert!(inside(&image.root, "etc/ssl/certs/ca-certificates.crt").is_file());
    assert!(
        image
            .user
            .split(':')
            .all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "{image:?}"
    );
    assert!(inside(&image.root, &image.workdir).is_dir());
    let [program] = image.entrypoint.as_slice() else {
        panic!("{image:?}");
    };
    let program = inside(&image.root, program);
    assert_eq!(
        fs::metadata(&program)
            .expect("the program")
            .permissions()
            .mode()
            & 0o777,
        0o755
    );
    let output = Command::new(&program)
        .args(["version", "-o", "json"])
        .env_clear()
        .env("THREESCALE_GW_RELEASE_ZIPS", digests(context.path()))
        .output()
        .expect("it runs");
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let zip = inside(
        &image.root,
        "usr/local/share/threescale-gw/authorizer-x86_64.zip",
    );
    let zip = fs::canonicalize(zip).expect("the zip");
    assert_eq!(
        version["code"]["x86_64"],
        format!("the zip file of the release, {}", zip.display())
    );

    // Nothing of the release for another machine, and no file with another checksum.
    for (architecture, problem) in [
        ("arm64", "threescale-gw-aarch64-unknown-linux-gnu"),
        ("riscv64", "no release for riscv64"),
    ] {
        let stages = TempDir::new().expect("a folder");
        let error = build(
            &file,
            context.path(),
            &[("TARGETARCH", architecture)],
            stages.path(),
        );
        let error = error.expect_err("a failed step");
        assert!(error.contains(problem), "{error}");
    }
    let checksum = context
        .path()
        .join(format!("threescale-gw-{TARGET}.tar.gz.sha256"));
    let other = format!(
        "{:x} *threescale-gw-{TARGET}.tar.gz\n",
        Sha256::digest(b"another")
    );
    fs::write(checksum, other).expect("a checksum");
    let stages = TempDir::new().expect("a folder");
    let error = build(
        &file,
        context.path(),
        &[("TARGETARCH", "amd64")],
        stages.path(),
    );
    assert!(error.expect_err("a failed step").contains("did NOT match"));
}

/// Runs the script of the action, as a runner does.
fn set_up(job: &Path, releases: &Path, version: &str) -> Output {
    for folder in ["tools", "temp"] {
        fs::create_dir_all(job.join(folder)).expect("a folder");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/actions/setup/install.sh");
    Command::new("bash")
        .arg(script)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GITHUB_PATH", job.join("path"))
        .env(
            "GITHUB_SERVER_URL",
            format!("file://{}", releases.display()),
        )
        .env("REPOSITORY", "an-owner/a-name")
        .env("RUNNER_TEMP", job.join("temp"))
        .env("RUNNER_TOOL_CACHE", job.join("tools"))
        .env("VERSION", version)
        .output()
        .expect("bash runs")
}

#[test]
fn the_action_installs_a_release_only_with_its_checksum() {
    let [job, releases] = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let folder = releases
        .path()
        .join("an-owner/a-name/releases/download/v0.1.0");
    fs::create_dir_all(&folder).expect("a folder");
    let refused = |version: &str, problem: &str| {
        let output = set_up(job.path(), releases.path(), version);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("::error::threescale-gw: ") && said.contains(problem),
            "{said}"
        );
        assert!(!job.path().join("path").exists());
    };
    for branch in ["", "main", "0.1", "0.1.0;id"] {
        refused(branch, "is not a release");
    }
    refused("v0.1.0", "cannot download");
    release(&folder);
    let checksum = folder.join(format!("threescale-gw-{TARGET}.tar.gz.sha256"));
    let right = fs::read_to_string(&checksum).expect("a checksum");
    let other = format!(
        "{:x} *threescale-gw-{TARGET}.tar.gz\n",
        Sha256::digest(b"another")
    );
    fs::write(&checksum, other).expect("a checksum");
    refused("0.1.0", "does not have the SHA-256 of its release");
    fs::write(&checksum, right).expect("a checksum");
    // The second job of a machine has it already.
    for version in ["v0.1.0", "0.1.0"] {
        let output = set_up(job.path(), releases.path(), version);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            said,
            format!("threescale-gw {}\n", env!("CARGO_PKG_VERSION"))
        );
        fs::remove_dir_all(releases.path().join("an-owner")).ok();
    }
    let path = fs::read_to_string(job.path().join("path")).expect("a path");
    let installed = Path::new(path.lines().next().expect("a folder"));
    for file in [
        "threescale-gw",
        "authorizer-x86_64.zip",
        "authorizer-arm64.zip",
    ] {
        assert!(installed.join(file).is_file(), "{file}");
    }
}

#[test]
fn every_part_of_a_release_names_the_same_files() {
    let dist = toml("dist-workspace.toml");
    let dist = &dist["dist"];
    let list = |key: &str| -> Vec<String> {
        let values = dist[key].as_array().expect("a list").iter();
        values
            .map(|value| value.as_str().expect("text").to_owned())
            .collect()
    };
    let suffix = dist["unix-archive"].as_str().expect("text");
    let manifest = toml("Cargo.toml");
    let binstall = &manifest["package"]["metadata"]["binstall"];
    // How dist names an archive and the folder in it.
    let url =
        format!("{{ repo }}/releases/download/v{{ version }}/{{ name }}-{{ target }}{suffix}");
    assert_eq!(binstall["pkg-url"].as_str(), Some(url.as_str()));
    assert_eq!(
        binstall["bin-dir"].as_str(),
        Some("{ name }-{ target }/{ bin }")
    );
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("tgz"));
    for file in ["build/Containerfile", ".github/actions/setup/install.sh"] {
        let text = read(file);
        for target in list("targets") {
            assert!(
                text.contains(&format!("target={target}")),
                "{file}: {target}"
            );
        }
        assert_eq!(
            text.matches("target=").count(),
            list("targets").len(),
            "{file}"
        );
        assert!(text.contains(suffix), "{file}");
    }
    let zips: Vec<_> = list("include")
        .into_iter()
        .map(|path| path.replace("target/distrib/", ""))
        .collect();
    assert_eq!(zips, ["authorizer-x86_64.zip", "authorizer-arm64.zip"]);
    // dist downloads what earlier jobs have uploaded to this folder.
    let digests = format!("target/distrib/{}", threescale_gw::package::DIGESTS);
    for file in [
        ".github/release-setup.yml",
        ".github/workflows/authorizer.yml",
    ] {
        assert!(read(file).contains(&digests), "{file}");
    }
    let version = manifest["workspace"]["package"]["version"].as_str();
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
    let stand_in = &manifest["dependencies"]["threescale-stand-in"]["version"];
    assert_eq!(stand_in.as_str(), version);
}

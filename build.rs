//! Tells the program its commit and its target, for `threescale-gw version`, and the zip files of its release.

#![allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]

#[path = "build/commit.rs"]
mod commit;
#[path = "build/zips.rs"]
mod zips;

use std::env;
use std::fs;
use std::path::PathBuf;

/// Names the file with the zip files of the release.
const ZIPS: &str = "THREESCALE_GW_RELEASE_ZIPS";
/// The address below which the release has its files. Without it, the zip files must come with the program.
const URL: &str = "THREESCALE_GW_RELEASE_URL";

fn main() -> Result<(), String> {
    for file in ["build.rs", "build/commit.rs", "build/zips.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let variable = |name| env::var(name).unwrap_or_default();
    println!(
        "cargo:rustc-env=THREESCALE_GW_TARGET={}",
        variable("TARGET")
    );
    // Other builds would compile the whole program again after every commit.
    if variable("PROFILE") == "release" {
        let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        if let Some(found) = commit::of(&root) {
            println!("cargo:rustc-env=THREESCALE_GW_COMMIT={}", found.commit);
            for file in found.files {
                println!("cargo:rerun-if-changed={}", file.display());
            }
        }
    }
    release()
}

/// What only a release sets. A typing error there must not result in a program that builds.
fn release() -> Result<(), String> {
    for name in [ZIPS, URL] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let Some(file) = set(ZIPS) else {
        return Ok(());
    };
    println!("cargo:rerun-if-changed={file}");
    let of = |error: String| format!("{ZIPS}={file}: {error}");
    let text = fs::read_to_string(&file).map_err(|error| of(error.to_string()))?;
    let lines: Vec<_> = zips::parse(&text)
        .map_err(of)?
        .into_iter()
        .map(|zip| format!("{} {} {}", zip.architecture, zip.source, zip.digest))
        .collect();
    // A value has one line.
    println!("cargo:rustc-env={ZIPS}={}", lines.join(";"));
    if let Some(url) = set(URL) {
        zips::check_url(&url).map_err(|error| format!("{URL}: {error}"))?;
        println!("cargo:rustc-env={URL}={}", url.trim_end_matches('/'));
    }
    Ok(())
}

//! Tells the program its commit and its target, for `threescale-gw version`.

#![allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]

#[path = "build/commit.rs"]
mod commit;

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/commit.rs");
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
}

//! Compiles the tree. The same tree and tools produce the same bytes, independent of folder and user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::environment::Environment;
use super::meter::{Meter, Progress};
use super::process;
use super::source::{CRATE, TARGET_DIR, Tree};
use super::tool::{Tool, Toolchain};

/// The glibc version that zig links against: that of the `provided.al2023` runtime.
const GLIBC: &str = "2.34";
/// The binary's name in the crate.
const BINARY: &str = "bootstrap";

/// The folder for temporary files of compilers and linkers, below the target folder. A killed process does not remove
/// them.
const TEMPORARY_DIR: &str = "tmp";
/// The folder to which cargo-lambda writes binaries, below the target folder.
const LAMBDA_DIR: &str = "lambda";

/// Builds `tree` in `dir` and returns the binary. Dropping the future stops the build; the next build resumes from
/// there.
pub(super) async fn build(
    tree: &Tree,
    dir: &Path,
    toolchain: &Toolchain,
    environment: &Environment,
    progress: &Progress,
) -> anyhow::Result<Vec<u8>> {
    let temporary = dir.join(TARGET_DIR).join(TEMPORARY_DIR);
    fs::create_dir_all(&temporary).with_context(|| format!("creating {}", temporary.display()))?;
    let mut fetch = environment.command("cargo");
    fetch.args(["fetch", "--target", &toolchain.target]);
    settle(&mut fetch, dir, toolchain, "");
    run(fetch, "fetching what the authorizer depends on", progress).await?;

    // `cargo fetch` may only remove unused packages. From here on Cargo must use the remaining versions.
    tree.check_lock(dir)?;

    // The folders with the code of dependencies are known only after the fetch.
    let flags = flags(dir, toolchain, &registries(environment));
    let mut build = environment.command("cargo");
    match toolchain.tool {
        Tool::CargoLambda => {
            build.args(["lambda", "build", "--disable-optimizations", "--target"]);
            build.arg(format!("{}.{GLIBC}", toolchain.target));
            build
                .arg("--lambda-dir")
                .arg(dir.join(TARGET_DIR).join(LAMBDA_DIR));
            // Otherwise cargo-lambda would change the user's toolchain. The target's presence is already checked.
            build.arg("--skip-target-check");
        }
        Tool::Cargo => {
            build.args(["build", "--target", &toolchain.target]);
        }
    }
    build.args(["--release", "--locked", "--package", CRATE, "--bin", BINARY]);
    settle(&mut build, dir, toolchain, &flags);
    run(build, "compiling the authorizer", progress).await?;

    let target_dir = dir.join(TARGET_DIR);
    let binary = match toolchain.tool {
        // cargo-lambda moves the binary out of Cargo's output folder.
        Tool::CargoLambda => target_dir.join(LAMBDA_DIR).join(BINARY),
        Tool::Cargo => target_dir.join(&toolchain.target).join("release"),
    };
    fs::read(binary.join(BINARY)).context("the build succeeded but left no binary")
}

/// Overrides settings of the user's Cargo configuration that affect compilation.
fn settle(command: &mut Command, dir: &Path, toolchain: &Toolchain, flags: &str) {
    let target_dir = dir.join(TARGET_DIR);
    command
        .current_dir(dir)
        .env("CARGO_BUILD_BUILD_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_TERM_COLOR", "never")
        // Without a terminal, Cargo does not report its progress by default.
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "120")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .env("RUSTC_WRAPPER", "")
        .env("SOURCE_DATE_EPOCH", "315532800")
        .env("TMPDIR", target_dir.join(TEMPORARY_DIR));
    if toolchain.tool == Tool::Cargo {
        let target = toolchain.target.replace('-', "_").to_uppercase();
        command.env(format!("CARGO_TARGET_{target}_LINKER"), "cc");
    }
}

/// Compiler flags that keep this machine's folders out of the binary. Panics and assertions would contain them.
fn flags(dir: &Path, toolchain: &Toolchain, registries: &[PathBuf]) -> String {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec![remap(dir, "/build")];
    // A mirror of the registry has another folder but the same code.
    flags.extend(
        registries
            .iter()
            .map(|registry| remap(registry, "/registry")),
    );
    // If its sources are not installed, the standard library uses this path for them.
    let library = toolchain.sysroot.join("lib/rustlib/src/rust");
    flags.push(remap(&library, &format!("/rustc/{}", toolchain.commit)));
    // The separator that Cargo expects between encoded flags.
    flags.join("\x1f")
}

/// The folders with the unpacked code of dependencies, in a fixed order.
fn registries(environment: &Environment) -> Vec<PathBuf> {
    let unpacked = environment
        .cargo_home()
        .map(|home| home.join("registry/src"));
    let entries = unpacked.and_then(|unpacked| fs::read_dir(unpacked).ok());
    let mut registries: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    registries.sort();
    registries
}

async fn run(command: Command, what: &str, progress: &Progress) -> anyhow::Result<()> {
    let mut meter = Meter::default();
    let shown = |piece: &str| {
        if let Some(line) = meter.piece(piece) {
            progress(line, meter.count());
        }
    };
    let status = process::run(command, shown)
        .await
        .with_context(|| format!("{what}: cannot run `cargo`"))?;
    if !status.success() {
        bail!("{what}: {status}\n{}", meter.said());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_of_a_killed_compiler_stay_in_the_build_folder() {
        let toolchain = Toolchain {
            tool: Tool::Cargo,
            target: "x86_64-unknown-linux-gnu".to_owned(),
            sysroot: PathBuf::new(),
            commit: String::new(),
        };
        let mut command = Command::new("cargo");
        settle(&mut command, Path::new("/build"), &toolchain, "");
        let temporary = command.get_envs().find(|(name, _)| *name == "TMPDIR");
        let temporary = temporary.and_then(|(_, value)| value).expect("a folder");
        assert!(Path::new(temporary).starts_with(Path::new("/build").join(TARGET_DIR)));
    }
}

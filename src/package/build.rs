//! Compiles the tree: the same tree and the same tools give the same bytes in every folder and for every user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::Progress;
use super::environment::Environment;
use super::meter::Meter;
use super::process;
use super::source::{CRATE, TARGET_DIR, Tree};
use super::tool::{Tool, Toolchain};

/// The glibc that zig is told to link against: that of the `provided.al2023` runtime.
const GLIBC: &str = "2.34";
/// The binary's name in the crate.
const BINARY: &str = "bootstrap";

/// Where compilers and linkers keep temporary files, below the target folder: one that is killed leaves them.
const TEMPORARY_DIR: &str = "tmp";
/// Where cargo-lambda leaves binaries, below the target folder.
const LAMBDA_DIR: &str = "lambda";

/// Builds `tree`, which lies in `dir` and answers with the binary. Dropping the future ends the build; the next one goes
/// on from where it was.
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

    // Cargo may only have dropped what is not used. From here on it is bound to what is left.
    tree.check_lock(dir)?;

    // Only now it is known which folders the code of dependencies lies in.
    let flags = flags(dir, toolchain, &registries(environment));
    let mut build = environment.command("cargo");
    match toolchain.tool {
        Tool::CargoLambda => {
            build.args(["lambda", "build", "--disable-optimizations", "--target"]);
            build.arg(format!("{}.{GLIBC}", toolchain.target));
            build
                .arg("--lambda-dir")
                .arg(dir.join(TARGET_DIR).join(LAMBDA_DIR));
            // Otherwise it would change the user's toolchain on its own; that the target is there was checked.
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
        // It moves the binary away from where Cargo puts it.
        Tool::CargoLambda => target_dir.join(LAMBDA_DIR).join(BINARY),
        Tool::Cargo => target_dir.join(&toolchain.target).join("release"),
    };
    fs::read(binary.join(BINARY)).context("the build succeeded but left no binary")
}

/// Overrides what the user's own Cargo configuration may say about how to compile.
fn settle(command: &mut Command, dir: &Path, toolchain: &Toolchain, flags: &str) {
    let target_dir = dir.join(TARGET_DIR);
    command
        .current_dir(dir)
        .env("CARGO_BUILD_BUILD_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_TERM_COLOR", "never")
        // Without a terminal it would not say how far it is.
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

/// Compiler flags that keep this machine's folders out of the binary; panics and assertions would name them.
fn flags(dir: &Path, toolchain: &Toolchain, registries: &[PathBuf]) -> String {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec![remap(dir, "/build")];
    // A mirror of the registry has another folder, but the same code.
    flags.extend(
        registries
            .iter()
            .map(|registry| remap(registry, "/registry")),
    );
    // The standard library names its sources like this where they are not installed beside it.
    let library = toolchain.sysroot.join("lib/rustlib/src/rust");
    flags.push(remap(&library, &format!("/rustc/{}", toolchain.commit)));
    // What Cargo expects between encoded flags.
    flags.join("\x1f")
}

/// The folders that the code of dependencies was unpacked to, in a fixed order.
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
            progress(line);
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

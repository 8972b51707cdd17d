//! Selects the tool on this machine that builds the authorizer.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::environment::Environment;
use super::inspect::Architecture;
use super::source;

/// A build tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// Links with zig, for any architecture and against the runtime's glibc version.
    CargoLambda,
    /// Links with this machine's linker against this machine's C library.
    Cargo,
}

/// The tools found, and their target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolchain {
    pub(super) tool: Tool,
    /// The Rust target, without a glibc version.
    pub(super) target: String,
    /// The folder of the compiler and its libraries.
    pub(super) sysroot: PathBuf,
    /// The commit the compiler was built from.
    pub(super) commit: String,
}

impl Toolchain {
    /// Finds the tools that build for `architecture` with at least Rust `rust_version`. Commands run in `dir`, because
    /// rustup can select a toolchain by folder. The error states what to install.
    pub(super) fn find(
        architecture: Architecture,
        rust_version: [u64; 3],
        environment: &Environment,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        const RUST: &str = "building the authorizer needs Rust (https://rustup.rs), or set `authorizer.artifact` to a \
             zip built elsewhere";
        let ask = |program: &str, arguments: &[&str]| {
            let mut command = environment.command(program);
            command.args(arguments).current_dir(dir);
            answer(command)
        };
        ask("cargo", &["--version"]).context(RUST)?;
        let compiler = Compiler::parse(&ask("rustc", &["-vV"]).context(RUST)?).context(RUST)?;
        ensure!(
            compiler.version >= rust_version,
            "building the authorizer needs Rust {} or newer, this is {}; `rustup update`, or set `authorizer.artifact` \
             to a zip built elsewhere",
            dotted(rust_version),
            dotted(compiler.version)
        );
        let sysroot: PathBuf = ask("rustc", &["--print", "sysroot"])
            .context(RUST)?
            .trim()
            .into();
        let cargo_lambda = ask("cargo", &["lambda", "--version"]).is_ok();
        // Checked first, because `cargo lambda` would otherwise install zig itself.
        let zig = || {
            ask("python3", &["-m", "ziglang", "version"]).is_ok()
                || ask("zig", &["version"]).is_ok()
        };
        let linker = || ask("cc", &["--version"]).is_ok();
        let (tool, target) = choose(architecture, &compiler.host, cargo_lambda, zig, linker)?;
        // Cargo detects this only after minutes of compiling.
        ensure!(
            sysroot
                .join("lib/rustlib")
                .join(&target)
                .join("lib")
                .is_dir(),
            "building the authorizer needs Rust's standard library for {target}: `rustup target add {target}`, or set \
             `authorizer.artifact` to a zip built elsewhere"
        );
        Ok(Self {
            tool,
            target,
            sysroot,
            commit: compiler.commit,
        })
    }
}

/// The tool to use, and the target it builds for.
fn choose(
    architecture: Architecture,
    host: &str,
    cargo_lambda: bool,
    zig: impl FnOnce() -> bool,
    linker: impl FnOnce() -> bool,
) -> anyhow::Result<(Tool, String)> {
    const ELSEWHERE: &str = "or set `authorizer.artifact` to a zip built elsewhere";
    let (word, rust) = (architecture.as_str(), architecture.rust());
    let zig = cargo_lambda && zig();
    if zig {
        return Ok((Tool::CargoLambda, format!("{rust}-unknown-linux-gnu")));
    }
    let own = [
        format!("{rust}-unknown-linux-gnu"),
        format!("{rust}-unknown-linux-musl"),
    ];
    if own.iter().any(|own| own == host) {
        ensure!(
            linker(),
            "building the authorizer needs a C compiler and linker, `cc`: install your system's (`apt-get install gcc`), \
             or cargo-lambda (`pip install cargo-lambda`), {ELSEWHERE}"
        );
        return Ok((Tool::Cargo, host.to_owned()));
    }
    if cargo_lambda {
        bail!("cargo-lambda is installed but lacks zig: `pip install ziglang`, {ELSEWHERE}");
    }
    bail!(
        "building the authorizer for {word} on {host} needs cargo-lambda: `pip install cargo-lambda`, {ELSEWHERE}"
    )
}

/// The output of `rustc -vV`.
#[derive(Debug, PartialEq, Eq)]
struct Compiler {
    host: String,
    version: [u64; 3],
    commit: String,
}

impl Compiler {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let field = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.with_context(|| format!("`rustc -vV` names no {name}"))
        };
        let release = field("release")?;
        Ok(Self {
            host: field("host")?.to_owned(),
            version: source::version(release)
                .with_context(|| format!("`{release}` is no version of Rust"))?,
            commit: field("commit-hash")?.to_owned(),
        })
    }
}

/// The standard output of a command that succeeds.
fn answer(mut command: Command) -> anyhow::Result<String> {
    let name = || command.get_program().to_string_lossy().into_owned();
    let name = name();
    let output = command
        .output()
        .with_context(|| format!("cannot run `{name}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{name}` failed: {}",
            said.lines().next().unwrap_or("it said nothing")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn dotted(version: [u64; 3]) -> String {
    format!("{}.{}.{}", version[0], version[1], version[2])
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    const GNU: &str = "x86_64-unknown-linux-gnu";

    fn refusal(
        architecture: Architecture,
        host: &str,
        cargo_lambda: bool,
        zig: bool,
        linker: bool,
    ) -> String {
        choose(architecture, host, cargo_lambda, || zig, || linker)
            .expect_err("a refusal")
            .to_string()
    }

    #[test]
    fn cargo_lambda_is_preferred_and_cargo_suffices_at_home() {
        use Architecture::{Arm64, X86_64};
        let chosen = |architecture, host, cargo_lambda, zig| {
            choose(architecture, host, cargo_lambda, || zig, || true).expect("a tool")
        };
        assert_eq!(
            chosen(X86_64, GNU, true, true),
            (Tool::CargoLambda, GNU.to_owned())
        );
        assert_eq!(
            chosen(Arm64, GNU, true, true),
            (Tool::CargoLambda, "aarch64-unknown-linux-gnu".to_owned())
        );
        assert_eq!(
            chosen(Arm64, "aarch64-apple-darwin", true, true).0,
            Tool::CargoLambda
        );
        assert_eq!(
            chosen(X86_64, GNU, true, false),
            (Tool::Cargo, GNU.to_owned())
        );
        assert_eq!(
            chosen(X86_64, GNU, false, false),
            (Tool::Cargo, GNU.to_owned())
        );
        let musl = "x86_64-unknown-linux-musl";
        assert_eq!(
            chosen(X86_64, musl, false, false),
            (Tool::Cargo, musl.to_owned())
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        use Architecture::{Arm64, X86_64};
        let text = refusal(Arm64, GNU, false, false, true);
        assert!(
            text.contains("pip install cargo-lambda") && text.contains("authorizer.artifact"),
            "{text}"
        );
        assert!(
            refusal(X86_64, "aarch64-apple-darwin", false, false, true)
                .contains("pip install cargo-lambda")
        );
        assert!(refusal(Arm64, GNU, true, false, true).contains("pip install ziglang"));
        assert!(refusal(X86_64, GNU, false, false, false).contains("`cc`"));
    }

    #[test]
    fn the_compiler_is_read() {
        let text = "rustc 1.95.0 (abc 2026-03-21)\nbinary: rustc\ncommit-hash: abc\nhost: x\nrelease: 1.95.0-beta.1\n";
        let expected = Compiler {
            host: "x".to_owned(),
            version: [1, 95, 0],
            commit: "abc".to_owned(),
        };
        assert_eq!(Compiler::parse(text).expect("a compiler"), expected);
        for gone in [
            "commit-hash: abc\n",
            "host: x\n",
            "release: 1.95.0-beta.1\n",
        ] {
            assert!(Compiler::parse(&text.replace(gone, "")).is_err(), "{gone}");
        }
    }

    #[test]
    fn tools_are_looked_for_where_the_environment_says() {
        let dir = tempfile::tempdir().expect("a folder");
        let find = |path: OsString, rust_version| {
            let environment = Environment::admit(
                std::env::vars_os()
                    .filter(|(name, _)| name != "PATH")
                    .chain([(OsString::from("PATH"), path)]),
            );
            Toolchain::find(
                super::super::inspect::tests::host(),
                rust_version,
                &environment,
                dir.path(),
            )
        };
        let nowhere = find(dir.path().into(), [1, 0, 0]).expect_err("no tools");
        assert!(
            format!("{nowhere:#}")
                .starts_with("building the authorizer needs Rust (https://rustup.rs)")
        );
        let path = std::env::var_os("PATH").expect("a path");
        let too_new = find(path.clone(), [999, 0, 0])
            .expect_err("no such Rust")
            .to_string();
        assert!(too_new.contains("needs Rust 999.0.0 or newer"), "{too_new}");
        let found = find(path, [1, 0, 0]).expect("the tools that compiled this test");
        assert!(
            found.sysroot.is_dir()
                && found
                    .target
                    .starts_with(super::super::inspect::tests::host().rust())
        );
    }
}

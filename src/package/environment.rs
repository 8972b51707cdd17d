//! The environment variables of the commands that this program runs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Variables that locate tools, the user's folders and the sources of code. All others are removed: compiler flags
/// would change the build, and build scripts of dependencies must not see credentials.
const ADMITTED: [&str; 32] = [
    "ALL_PROXY",
    "CARGO_HOME",
    "GIT_SSH_COMMAND",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_UPDATE_ROOT",
    "SDKROOT",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "VIRTUAL_ENV",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// The same for prefixes of variable names.
const ADMITTED_PREFIXES: [&str; 11] = [
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_ZIGBUILD_",
    "NIX_",
    "PIP_",
    "PYENV_",
    "XDG_",
    "ZIG_",
];

/// Environment variables of a build and of the commands that check its tools.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The subset of `variables` that a build may see.
    pub(crate) fn admit(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let admitted = |name: &OsStr| {
            name.to_str().is_some_and(|name| {
                ADMITTED.contains(&name)
                    || ADMITTED_PREFIXES
                        .iter()
                        .any(|prefix| name.starts_with(prefix))
            })
        };
        Self(
            variables
                .into_iter()
                .filter(|(name, _)| admitted(name))
                .collect(),
        )
    }

    /// Exactly these variables.
    pub(crate) fn exactly<'a>(variables: impl IntoIterator<Item = (&'a str, OsString)>) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// A command with only this environment and without standard input.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.0).stdin(Stdio::null());
        command
    }

    /// The folder in which Cargo keeps downloads.
    pub(crate) fn cargo_home(&self) -> Option<PathBuf> {
        let variable = |name: &str| {
            self.0
                .get(OsStr::new(name))
                .filter(|value| !value.is_empty())
        };
        let home = || {
            variable("HOME")
                .map(PathBuf::from)
                .or_else(std::env::home_dir)
        };
        variable("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| home().map(|home| home.join(".cargo")))
    }
}

/// Shows names only, because values may contain credentials of a proxy or a registry.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::admit(
            variables
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
        )
    }

    #[test]
    fn nothing_that_changes_the_build_and_no_secret_gets_in() {
        let outside = [
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("CARGO_BUILD_TARGET", "x"),
            ("CARGO_ENCODED_RUSTFLAGS", "x"),
            ("CARGO_INCREMENTAL", "1"),
            ("CARGO_PROFILE_RELEASE_LTO", "off"),
            ("CARGO_TARGET_DIR", "x"),
            ("CC", "x"),
            ("CFLAGS", "-O0"),
            ("RUSTC", "x"),
            ("RUSTC_WRAPPER", "x"),
            ("RUSTFLAGS", "x"),
            ("THREESCALE_SERVICE_TOKEN", "s3cret"),
        ];
        let inside = [
            ("PATH", "/bin"),
            ("CARGO_NET_OFFLINE", "true"),
            ("CARGO_REGISTRIES_OURS_TOKEN", "s3cret"),
        ];
        let all: Vec<_> = outside.into_iter().chain(inside).collect();
        let admitted = environment(&all);
        assert_eq!(admitted, environment(&inside));
        assert!(!format!("{admitted:?}").contains("s3cret"));

        let output = environment(&[("PATH", "/usr/bin:/bin"), ("CFLAGS", "x")])
            .command("env")
            .output()
            .expect("env");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "PATH=/usr/bin:/bin"
        );
    }

    #[test]
    fn cargo_home_is_where_cargo_looks() {
        let home = |variables: &[(&str, &str)]| environment(variables).cargo_home();
        assert_eq!(
            home(&[("CARGO_HOME", "/c"), ("HOME", "/h")]),
            Some("/c".into())
        );
        assert_eq!(
            home(&[("CARGO_HOME", ""), ("HOME", "/h")]),
            Some("/h/.cargo".into())
        );
    }
}

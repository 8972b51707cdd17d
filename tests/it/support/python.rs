//! A Python environment for the tests with pinned versions, created once below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// The interpreter of an environment with the packages in `requirements`. Creates the environment if it does not exist.
pub fn venv(requirements: &Path) -> PathBuf {
    let text = fs::read(requirements).expect("the requirements");
    let hash: String = Sha256::digest(&text)[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // The test binaries are in target/<profile>/deps.
    let target = Path::new(env!("CARGO_BIN_EXE_threescale-gw"))
        .parent()
        .and_then(Path::parent)
        .expect("a target folder");
    let folder = target.join(format!("python-{hash}"));
    let interpreter = folder.join("bin/python");
    let ready = folder.join("ready");
    // Several test binaries and threads can call this at once. The first one creates the environment.
    let lock = File::create(target.join(format!("python-{hash}.lock"))).expect("a lock file");
    lock.lock().expect("the lock");
    if !ready.exists() {
        let _ = fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&interpreter)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
            ])
            .arg("--requirement")
            .arg(requirements));
        File::create(ready).expect("the mark");
    }
    interpreter
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; Python 3.11 or newer is needed"));
    assert!(status.success(), "{command:?} ended with {status}");
}

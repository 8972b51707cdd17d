//! The authorizer's package, built once for all tests of this process because it takes a minute or two.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tempfile::TempDir;
use threescale_gw::package::{Package, Progress};

/// A build in a separate cache folder.
pub struct Built {
    pub cache: TempDir,
    /// The results of three concurrent calls on two packages with one cache.
    pub zips: Vec<Arc<[u8]>>,
    pub said: Lines,
}

/// The progress lines of a build.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn progress(&self) -> Progress {
        let lines = Arc::clone(&self.0);
        Arc::new(move |line, _| lines.lock().expect("lines").push(line))
    }

    pub fn starting(&self, with: &str) -> usize {
        let lines = self.0.lock().expect("lines");
        lines.iter().filter(|line| line.starts_with(with)).count()
    }
}

/// This machine's architecture as a Lambda architecture.
pub fn host() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x86_64",
    }
}

pub fn bundled(cache: &Path, lines: &Lines) -> Package {
    Package::bundled(host(), cache.to_owned(), lines.progress()).expect("a package")
}

/// The build. The first caller runs it.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cache = tempfile::tempdir().expect("a folder");
        let said = Lines::default();
        let (one, two) = (bundled(cache.path(), &said), bundled(cache.path(), &said));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let zips = runtime.block_on(async { tokio::join!(one.zip(), one.zip(), two.zip()) });
        let zips = [zips.0, zips.1, zips.2].map(|zip| zip.expect("a zip"));
        Built {
            cache,
            zips: zips.into(),
            said,
        }
    })
}

/// An environment without a compiler, in which a package can only come from the cache.
pub fn no_tools() -> Vec<(OsString, OsString)> {
    vec![("PATH".into(), "/nowhere".into())]
}

/// Copies the package to `cache` unless it is there already, so that sandboxes do not build it again.
pub fn provide(cache: &Path) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let there = bundled(cache, &Lines::default()).with_environment(no_tools());
    if there.check().is_ok() {
        return;
    }
    let built = built().cache.path();
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder.create(cache).expect("a folder");
    // The checksum is copied after the zip.
    for extension in ["zip", "sha256"] {
        let files = fs::read_dir(built).expect("a folder").flatten();
        let is_it = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
        let from = files.map(|entry| entry.path()).find(is_it).expect("a file");
        let to = cache.join(from.file_name().expect("a name"));
        let half = to.with_extension("half");
        fs::copy(&from, &half).expect("a copy");
        fs::rename(&half, &to).expect("the file");
    }
}

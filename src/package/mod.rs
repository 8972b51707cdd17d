//! The zip with the authorizer's code: that of the release, built from the bundled source, or read from a file.
//!
//! Every binary is inspected before it is returned, because Lambda accepts any upload and fails at the first request.

mod archive;
mod build;
pub(crate) mod environment;
mod files;
pub(crate) mod folder;
pub(crate) mod folder_lock;
mod inspect;
mod meter;
pub(crate) mod process;
mod release;
mod source;
mod tool;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use environment::Environment;
use files::{digest, put, read};
use inspect::Architecture;
use release::ReleasedZip;
use source::Tree;
use tool::Toolchain;

pub use meter::Progress;
pub use release::{DIGESTS, Release, Supply};

/// The version of the build procedure, part of the source hash. Increase it when `build` changes the binary.
const RECIPE: &str = "1";

/// The extension of the file with a zip's digest.
const DIGEST: &str = "sha256";

/// The code of both functions.
pub struct Package {
    origin: Origin,
    architecture: Architecture,
    source: String,
    zip: OnceCell<Result<Arc<[u8]>, String>>,
}

enum Origin {
    Bundle(Bundle),
    Artifact { path: PathBuf, bytes: Arc<[u8]> },
}

/// The inputs of a build. A clone copies a few hundred kilobytes of source.
#[derive(Clone)]
struct Bundle {
    tree: Tree,
    /// The cache folder. Only a build and its check require it.
    cache: Option<PathBuf>,
    /// The base name of this source's files in the cache.
    name: String,
    progress: Progress,
    environment: Environment,
    /// The zip of the release, in place of a build.
    released: Option<ReleasedZip>,
}

impl Package {
    /// The bundled crate, for Lambda's `architecture` (`x86_64` or `arm64`). A program of a release uses the zip of that
    /// release. Otherwise it is built in `cache`, which also keeps the zip. The folder is created when needed, and other
    /// users must not be able to write to it.
    ///
    /// # Errors
    ///
    /// `architecture` is another value.
    pub fn bundled(
        architecture: &'static str,
        cache: impl Into<Option<PathBuf>>,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let architecture = Architecture::parse(architecture)?;
        let tree = Tree::bundled()?;
        let source = tree.hash(&[RECIPE, architecture.as_str()]);
        let name = format!("authorizer-{}", source.get(..32).unwrap_or(&source));
        let environment = Environment::admit(std::env::vars_os());
        let bundle = Bundle {
            tree,
            cache: cache.into(),
            name,
            progress,
            environment,
            released: None,
        };
        let package = Self {
            origin: Origin::Bundle(bundle),
            architecture,
            source,
            zip: OnceCell::new(),
        };
        Ok(package.with_release(Release::of_this_program().as_ref()))
    }

    /// A file: a zip with an executable `bootstrap`, which is used unchanged, or a binary, which is zipped. The file is
    /// read once, here.
    ///
    /// # Errors
    ///
    /// `architecture` is another value, or the file cannot be read or exceeds Lambda's size limit.
    pub fn artifact(path: &Path, architecture: &'static str) -> anyhow::Result<Self> {
        let architecture = Architecture::parse(architecture)?;
        let bytes = read(path).with_context(|| format!("reading {}", path.display()))?;
        let mut hash = Sha256::new_with_prefix("artifact\n");
        hash.update(&bytes);
        let source = format!("{:x}", hash.finalize());
        let origin = Origin::Artifact {
            path: path.to_owned(),
            bytes: bytes.into(),
        };
        Ok(Self {
            origin,
            architecture,
            source,
            zip: OnceCell::new(),
        })
    }

    /// Uses `variables` for builds instead of this process's environment variables. In both cases a build receives only
    /// those that locate tools and the sources of code.
    #[must_use]
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        if let Origin::Bundle(bundle) = &mut self.origin {
            bundle.environment = Environment::admit(variables);
        }
        self
    }

    /// Uses the zip of this release, if it was built from the bundled source. With `None`, it is built.
    #[must_use]
    pub fn with_release(mut self, release: Option<&Release>) -> Self {
        if let Origin::Bundle(bundle) = &mut self.origin {
            bundle.released =
                release.and_then(|release| release.zip(self.architecture, &self.source));
        }
        self
    }

    /// Where [`Self::zip`] takes the code from.
    pub fn supply(&self) -> Supply {
        match &self.origin {
            Origin::Bundle(bundle) => bundle.supply(),
            Origin::Artifact { path, .. } => Supply::Artifact(path.clone()),
        }
    }

    /// The hexadecimal SHA-256 of the zip of the release, if it is used.
    pub fn released(&self) -> Option<&str> {
        match &self.origin {
            Origin::Bundle(bundle) => bundle.released.as_ref().map(ReleasedZip::digest),
            Origin::Artifact { .. } => None,
        }
    }

    /// The hexadecimal SHA-256 of all source files with their dependency versions and build settings, or of the file.
    /// It requires no build and does not depend on the compiler: two machines with the same source agree that nothing
    /// has changed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Checks, before any change and without a build, whether [`Self::zip`] succeeds. The zip of a release is read or
    /// downloaded for that, and [`Self::zip`] returns it then.
    ///
    /// # Errors
    ///
    /// As [`Self::check`], or the file of the release cannot be read, or is another one.
    pub async fn ready(&self) -> anyhow::Result<()> {
        match self.supply() {
            Supply::Beside(_) | Supply::Download(_) => self.zip().await.map(drop),
            Supply::Build | Supply::Artifact(_) => self.check(),
        }
    }

    /// Checks, without a build, whether it is likely to succeed: Lambda can start the file, or the zip of an earlier build is
    /// in the cache, or the tools are installed.
    ///
    /// # Errors
    ///
    /// What to install, what is wrong with the file, or that the cache belongs to another user.
    pub fn check(&self) -> anyhow::Result<()> {
        match &self.origin {
            Origin::Bundle(bundle) => {
                let folder = folder::find(bundle.folder()?)?;
                match folder.and_then(|folder| bundle.cached(&folder, self.architecture)) {
                    Some(_) => Ok(()),
                    None => bundle.toolchain(self.architecture).map(|_| ()),
                }
            }
            Origin::Artifact { path, bytes } => zipped(path, bytes, self.architecture).map(|_| ()),
        }
    }

    /// The zip. A process builds it at most once, even if the build fails, and keeps it in the cache. Concurrent
    /// callers share one build, which stops when all of them drop their futures.
    ///
    /// # Errors
    ///
    /// The compiler's last output, or why Lambda cannot start the binary.
    pub async fn zip(&self) -> anyhow::Result<Arc<[u8]>> {
        let make = async {
            let zip = match &self.origin {
                Origin::Bundle(bundle) => bundle.zip(self.architecture).await,
                Origin::Artifact { path, bytes } => {
                    let (path, bytes, architecture) =
                        (path.clone(), Arc::clone(bytes), self.architecture);
                    blocking(move || zipped(&path, &bytes, architecture)).await
                }
            };
            zip.map(Arc::from).map_err(|error| format!("{error:#}"))
        };
        self.zip
            .get_or_init(|| make)
            .await
            .clone()
            .map_err(|error| anyhow!(error))
    }
}

/// Writes the zip files of a release into `folder`, and [`DIGESTS`].
///
/// # Errors
/// A build fails, or a file cannot be written.
pub async fn write_release(folder: &Path, packages: &[Package]) -> anyhow::Result<()> {
    let mut lines = String::new();
    for package in packages {
        let (architecture, zip) = (package.architecture.as_str(), package.zip().await?);
        let path = folder.join(release::name(architecture));
        fs::write(&path, &zip).with_context(|| format!("writing {}", path.display()))?;
        let digest = digest(&zip);
        lines.push_str(&format!("{architecture} {} {digest}\n", package.source()));
    }
    let path = folder.join(DIGESTS);
    fs::write(&path, lines).with_context(|| format!("writing {}", path.display()))
}

/// The executable in a zip of [`Package::zip`].
///
/// # Errors
///
/// It is not such a zip.
pub(crate) fn executable(zip: &[u8]) -> anyhow::Result<Vec<u8>> {
    archive::unpack(zip)
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Package");
        match &self.origin {
            Origin::Bundle(bundle) => debug.field("cache", &bundle.cache),
            Origin::Artifact { path, .. } => debug.field("artifact", path),
        };
        debug
            .field("architecture", &self.architecture)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Bundle {
    /// The cache folder, which might not exist yet.
    fn folder(&self) -> anyhow::Result<&Path> {
        self.cache.as_deref().context(folder::UNKNOWN)
    }

    /// The zip of an earlier build in `folder`, if it matches its digest, which is written after it. Other users can
    /// write neither file.
    fn cached(&self, folder: &Path, architecture: Architecture) -> Option<Vec<u8>> {
        let zip = folder::read_own(&self.path(folder, "zip"))?;
        let vouched = folder::read_own(&self.path(folder, DIGEST))?;
        if vouched != digest(&zip).as_bytes() {
            return None;
        }
        let binary = archive::unpack(&zip).ok()?;
        inspect::inspect(&binary, architecture)
            .is_ok()
            .then_some(zip)
    }

    fn toolchain(&self, architecture: Architecture) -> anyhow::Result<Toolchain> {
        Toolchain::find(
            architecture,
            self.tree.rust_version(),
            &self.environment,
            &folder::nearest(self.folder()?),
        )
    }

    fn supply(&self) -> Supply {
        let released = self.released.as_ref();
        released.map_or(Supply::Build, ReleasedZip::supply)
    }

    /// The zip of the release, or of a build.
    async fn zip(&self, architecture: Architecture) -> anyhow::Result<Vec<u8>> {
        let (Some(released), supply) = (self.released.clone(), self.supply()) else {
            return self.built(architecture).await;
        };
        let (cache, progress) = (self.cache.clone(), Arc::clone(&self.progress));
        match supply {
            Supply::Beside(path) => blocking(move || released.read(&path)).await,
            Supply::Download(url) => {
                blocking(move || released.download(&url, cache.as_deref(), &progress)).await
            }
            _ => self.built(architecture).await,
        }
    }

    async fn built(&self, architecture: Architecture) -> anyhow::Result<Vec<u8>> {
        let bundle = self.clone();
        // The real path, because compiler flags contain it, and a relative path there refers to another folder.
        let (folder, zip) = blocking(move || {
            let folder = folder::make(bundle.folder()?)?;
            let zip = bundle.cached(&folder, architecture);
            Ok((folder, zip))
        })
        .await?;
        if let Some(zip) = zip {
            return Ok(zip);
        }
        let bundle = Self {
            cache: Some(folder.clone()),
            ..self.clone()
        };
        let wait = || {
            (bundle.progress)(
                "waiting for another build of the authorizer".to_owned(),
                None,
            )
        };
        let lock = folder_lock::hold(&bundle.path(&folder, "lock"), wait)
            .await
            .context("locking the cache")?;

        // The process that held the lock might have built it. The lock moves into the task, because the task continues
        // after the caller ends.
        let (lock, bundle, folder, ready) = blocking(move || {
            let ready = match bundle.cached(&folder, architecture) {
                Some(zip) => Err(zip),
                None => {
                    let toolchain = bundle.toolchain(architecture)?;
                    bundle
                        .tree
                        .write(&bundle.path(&folder, "build"))
                        .context("writing the authorizer's source")?;
                    Ok(toolchain)
                }
            };
            Ok((lock, bundle, folder, ready))
        })
        .await?;
        let toolchain = match ready {
            Ok(toolchain) => toolchain,
            Err(zip) => return Ok(zip),
        };
        let binary = build::build(
            &bundle.tree,
            &bundle.path(&folder, "build"),
            &toolchain,
            &bundle.environment,
            &bundle.progress,
        )
        .await?;
        blocking(move || {
            inspect::inspect(&binary, architecture)?;
            let zip = archive::pack(&binary)?;
            bundle.store(&folder, &zip).context("keeping the zip")?;
            drop(lock);
            clean(&folder);
            Ok(zip)
        })
        .await
    }

    /// Writes the zip atomically, then its digest.
    fn store(&self, folder: &Path, zip: &[u8]) -> io::Result<()> {
        put(folder, &self.path(folder, "zip"), zip)?;
        put(folder, &self.path(folder, DIGEST), digest(zip).as_bytes())
    }

    fn path(&self, folder: &Path, extension: &str) -> PathBuf {
        folder.join(format!("{}.{extension}", self.name))
    }
}

/// Removes the build folders, hundreds of megabytes, of this and other sources, unless a build is running there. A
/// folder that cannot be removed remains until the next call.
fn clean(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "build")
        {
            let lock = folder_lock::try_hold(&path.with_extension("lock"));
            if let Ok(Some(_held)) = lock {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

/// Returns the zip to upload for an artifact.
fn zipped(path: &Path, bytes: &[u8], architecture: Architecture) -> anyhow::Result<Vec<u8>> {
    let zip = || {
        if bytes.starts_with(b"PK") {
            inspect::inspect(&archive::unpack(bytes)?, architecture)?;
            return Ok(bytes.to_vec());
        }
        inspect::inspect(bytes, architecture)?;
        archive::pack(bytes)
    };
    zip().with_context(|| path.display().to_string())
}

/// Runs blocking work on another thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the work was ended")?
}

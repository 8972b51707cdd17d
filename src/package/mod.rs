//! The zip with the authorizer's code: built from the source that this program carries, or taken from a file.
//!
//! Whatever it comes from, it is inspected before it is handed out, because Lambda takes anything and fails at the first
//! request.

mod archive;
mod build;
pub(crate) mod environment;
pub(crate) mod folder;
pub(crate) mod folder_lock;
mod inspect;
mod meter;
pub(crate) mod process;
mod source;
mod tool;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use environment::Environment;
use inspect::Architecture;
use source::Tree;
use tool::Toolchain;

/// Takes lines of progress: lower-case fragments such as `compiling ring v0.17.14 (23/140)`.
pub type Progress = Arc<dyn Fn(String) + Send + Sync>;

/// Decides, besides the tree, which bytes come out of a build; to be counted up when `build` changes them.
const RECIPE: &str = "1";

/// The extension of the file that vouches for a zip.
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

/// What a build needs. Cheap to clone, except for a few hundred kilobytes of source.
#[derive(Clone)]
struct Bundle {
    tree: Tree,
    /// Where builds are kept; nothing but a build needs it to be known.
    cache: Option<PathBuf>,
    /// The name of everything in the cache that belongs to this source.
    name: String,
    progress: Progress,
    environment: Environment,
}

impl Package {
    /// The crate that this program carries, for Lambda's `architecture` (`x86_64` or `arm64`). It is built below `cache`,
    /// where the zip stays as well; the folder is made when it is needed, and no other user may be able to write to it.
    ///
    /// # Errors
    ///
    /// Another architecture.
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
        };
        Ok(Self {
            origin: Origin::Bundle(bundle),
            architecture,
            source,
            zip: OnceCell::new(),
        })
    }

    /// A file: a zip with an executable `bootstrap`, which is taken as it is, or a bare binary, which is zipped. The file
    /// is read once, here.
    ///
    /// # Errors
    ///
    /// Another architecture, or a file that cannot be read or is larger than anything that Lambda takes.
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

    /// Lets a build see `variables` instead of this process's own environment variables. Either way it sees only those
    /// that lead to tools and to where code comes from.
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

    /// SHA-256, hexadecimal, of what the code is made from: of all source files with the versions and settings they are
    /// built with, or of the file. It is known without a build, and says nothing about the compiler: two machines with the
    /// same source agree that there is nothing to do.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// A cheap look, before anything is changed, at whether [`Self::zip`] can be expected to work: the file is one that
    /// Lambda can start, or the zip is in the cache, or the tools are there.
    ///
    /// # Errors
    ///
    /// They say what to install, what is wrong with the file, or that the cache belongs to another user.
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

    /// The zip. It is built at most once per process, whatever comes of it, and kept in the cache; callers at the same time
    /// share one build. When all of them drop their futures, the build ends.
    ///
    /// # Errors
    ///
    /// What the compiler said last, or why Lambda could not start what came out.
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

/// The executable in a zip of [`Package::zip`].
///
/// # Errors
///
/// It is no such zip.
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
    /// The folder of builds, which may not be there yet.
    fn folder(&self) -> anyhow::Result<&Path> {
        self.cache.as_deref().context(folder::UNKNOWN)
    }

    /// The zip of an earlier build in `folder`, if it is there and whole: its digest, written after it, vouches for every
    /// byte. Nobody else can write either of them.
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

    async fn zip(&self, architecture: Architecture) -> anyhow::Result<Vec<u8>> {
        let bundle = self.clone();
        // By its real path: it goes into compiler flags, which are relative to other folders than ours.
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
        let wait = || (bundle.progress)("waiting for another build of the authorizer".to_owned());
        let lock = folder_lock::hold(&bundle.path(&folder, "lock"), wait)
            .await
            .context("locking the cache")?;

        // The process that held the lock may have built it.
        // The lock moves into the task, because the work continues after the caller ends.
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

    /// Puts the zip in its place as a whole or not at all, and then what vouches for it.
    fn store(&self, folder: &Path, zip: &[u8]) -> io::Result<()> {
        put(folder, &self.path(folder, "zip"), zip)?;
        put(folder, &self.path(folder, DIGEST), digest(zip).as_bytes())
    }

    fn path(&self, folder: &Path, extension: &str) -> PathBuf {
        folder.join(format!("{}.{extension}", self.name))
    }
}

/// Writes a file of `folder` as a whole or not at all, for this user alone.
fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// SHA-256, hexadecimal.
fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Removes what builds leave, hundreds of megabytes, of this and of other sources, unless a build runs there. What cannot
/// be removed stays for the next time.
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

/// An artifact as the zip that is uploaded.
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

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    ensure!(
        length <= archive::UNZIPPED_LIMIT,
        "it has {length} bytes, Lambda accepts at most {}",
        archive::UNZIPPED_LIMIT
    );
    Ok(fs::read(path)?)
}

/// Runs work that would hold up others on this thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the work was ended")?
}

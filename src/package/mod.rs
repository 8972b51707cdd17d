//! The zip with the authorizer's code: built from the source that this program carries, or taken from a file.
//!
//! Whatever it comes from, it is inspected before it is handed out, because Lambda takes anything and fails at the first
//! request.

mod archive;
mod build;
pub(crate) mod environment;
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

use crate::private;

/// Takes lines of progress: lower-case fragments such as `compiling ring v0.17.14 (23/140)`.
pub type Progress = Arc<dyn Fn(String) + Send + Sync>;

/// Decides, besides the tree, which bytes come out of a build; to be counted up when `build` changes them.
const RECIPE: &str = "1";

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
    cache: PathBuf,
    /// The name of everything in the cache that belongs to this source.
    name: String,
    progress: Progress,
    environment: Environment,
}

impl Package {
    /// The crate that this program carries, for Lambda's `architecture` (`x86_64` or `arm64`). It is built below `cache`,
    /// where the zip stays as well; the folder is made when it is needed.
    ///
    /// # Errors
    ///
    /// Another architecture.
    pub fn bundled(
        architecture: &'static str,
        cache: PathBuf,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let architecture = Architecture::parse(architecture)?;
        let tree = Tree::bundled()?;
        let source = tree.hash(&[RECIPE, architecture.as_str()]);
        let name = format!("authorizer-{}", source.get(..32).unwrap_or(&source));
        let environment = Environment::admit(std::env::vars_os());
        let bundle = Bundle {
            tree,
            cache,
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
    /// same source agree that nothing is to be done.
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
                // Another user could have put any code there.
                private::owned(&bundle.cache)?;
                match bundle.cached(self.architecture) {
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
    /// The zip of an earlier build, if it is there and whole.
    fn cached(&self, architecture: Architecture) -> Option<Vec<u8>> {
        let zip = fs::read(self.path("zip")).ok()?;
        let binary = archive::unpack(&zip).ok()?;
        inspect::inspect(&binary, architecture)
            .is_ok()
            .then_some(zip)
    }

    fn toolchain(&self, architecture: Architecture) -> anyhow::Result<Toolchain> {
        let dir = self
            .cache
            .ancestors()
            .find(|dir| dir.is_dir())
            .unwrap_or(Path::new("/"));
        Toolchain::find(
            architecture,
            self.tree.rust_version(),
            &self.environment,
            dir,
        )
    }

    async fn zip(&self, architecture: Architecture) -> anyhow::Result<Vec<u8>> {
        private::owned(&self.cache)?;
        let bundle = self.clone();
        if let Some(zip) = blocking(move || Ok(bundle.cached(architecture))).await? {
            return Ok(zip);
        }
        fs::create_dir_all(&self.cache)
            .with_context(|| format!("making the folder {}", self.cache.display()))?;
        // It may have come from another user meanwhile.
        private::owned(&self.cache)?;
        // Paths go into compiler flags, which are relative to other folders than ours.
        let cache = self
            .cache
            .canonicalize()
            .with_context(|| format!("the folder {}", self.cache.display()))?;
        let bundle = Self {
            cache,
            ..self.clone()
        };
        let wait = || {
            (bundle.progress)("waiting for another process that builds the authorizer".to_owned())
        };
        let lock = folder_lock::hold(&bundle.path("lock"), wait)
            .await
            .context("locking the cache")?;

        // The process that held the lock may have built it.
        // The lock goes along, because this work goes on when the caller is gone.
        let (lock, bundle, ready) = blocking(move || {
            let ready = match bundle.cached(architecture) {
                Some(zip) => Err(zip),
                None => {
                    let toolchain = bundle.toolchain(architecture)?;
                    bundle
                        .tree
                        .write(&bundle.path("build"))
                        .context("writing the authorizer's source")?;
                    Ok(toolchain)
                }
            };
            Ok((lock, bundle, ready))
        })
        .await?;
        let toolchain = match ready {
            Ok(toolchain) => toolchain,
            Err(zip) => return Ok(zip),
        };
        let binary = build::build(
            &bundle.tree,
            &bundle.path("build"),
            &toolchain,
            &bundle.environment,
            &bundle.progress,
        )
        .await?;
        blocking(move || {
            inspect::inspect(&binary, architecture)?;
            let zip = archive::pack(&binary)?;
            bundle.store(&zip).context("keeping the zip")?;
            drop(lock);
            bundle.clean();
            Ok(zip)
        })
        .await
    }

    /// Puts the zip in its place as a whole or not at all.
    fn store(&self, zip: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.cache)?;
        file.write_all(zip)?;
        file.as_file().sync_all()?;
        file.persist(self.path("zip"))?;
        Ok(())
    }

    /// Removes what builds leave, hundreds of megabytes, of this and of other sources, unless somebody works there. What
    /// cannot be removed stays for the next time.
    fn clean(&self) {
        for entry in fs::read_dir(&self.cache).into_iter().flatten().flatten() {
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

    fn path(&self, extension: &str) -> PathBuf {
        self.cache.join(format!("{}.{extension}", self.name))
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
        "it has {length} bytes, Lambda takes at most {}",
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

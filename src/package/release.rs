//! The zip files of the release that this program belongs to. The program carries their digests, so the files themselves may
//! come from anywhere: from beside the program, or from the address of the release.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::files::{digest, put, read};
use super::inspect::Architecture;
use super::meter::Progress;
use super::{archive, folder, inspect};
use crate::printable;

/// What the build script of a release checks, too.
#[path = "../../build/zips.rs"]
mod zips;

/// How long a download of about a megabyte may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The file with the digests, which the build of the program takes.
pub const DIGESTS: &str = "authorizer-zips.txt";
/// Where packages keep the zip files, below the parent of the program's folder.
const SHARED: &str = "share/threescale-gw";

/// The zip files of a release, and where they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    zips: Vec<zips::Zip>,
    url: Option<String>,
    /// In the order in which they are looked at.
    folders: Vec<PathBuf>,
}

/// The zip file of a release for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReleasedZip {
    architecture: Architecture,
    digest: String,
    url: Option<String>,
    folders: Vec<PathBuf>,
}

/// Where the code of the functions comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supply {
    /// The file of `authorizer.artifact`.
    Artifact(PathBuf),
    /// It is built on this machine.
    Build,
    /// A file of the release that is beside the program.
    Beside(PathBuf),
    /// A file of the release at this address.
    Download(String),
}

impl Release {
    /// The release that this program was built for, if it was.
    pub fn of_this_program() -> Option<Self> {
        const ZIPS: &str = "THREESCALE_GW_RELEASE_ZIPS";
        const URL: &str = "THREESCALE_GW_RELEASE_URL";
        let mut zips =
            option_env!("THREESCALE_GW_RELEASE_ZIPS").map(|zips| zips.replace(';', "\n"));
        let mut url = option_env!("THREESCALE_GW_RELEASE_URL").map(str::to_owned);
        // The tests run one program as that of several releases.
        if cfg!(debug_assertions) {
            let of_test = env::var_os(ZIPS).and_then(|file| fs::read_to_string(file).ok());
            url = env::var(URL).ok().filter(|_| of_test.is_some()).or(url);
            zips = of_test.or(zips);
        }
        let program = env::current_exe().and_then(fs::canonicalize).ok();
        let folders = program.as_deref().and_then(Path::parent).map(|folder| {
            let shared = folder.parent().map(|parent| parent.join(SHARED));
            [Some(folder.to_owned()), shared]
                .into_iter()
                .flatten()
                .collect()
        });
        Self::new(&zips?, url.as_deref(), folders.unwrap_or_default()).ok()
    }

    /// A release with these zip files, one per line as `ARCHITECTURE SOURCE ZIP`, below `url`, or in `folders`.
    ///
    /// # Errors
    /// The first line that is not one, or the address.
    pub fn new(zips: &str, url: Option<&str>, folders: Vec<PathBuf>) -> Result<Self, String> {
        if let Some(url) = url {
            zips::check_url(url)?;
        }
        Ok(Self {
            zips: zips::parse(zips)?,
            url: url.map(|url| url.trim_end_matches('/').to_owned()),
            folders,
        })
    }

    /// The zip file that was built from this source.
    pub(super) fn zip(&self, architecture: Architecture, source: &str) -> Option<ReleasedZip> {
        let is_it =
            |zip: &&zips::Zip| zip.architecture == architecture.as_str() && zip.source == source;
        self.zips.iter().find(is_it).map(|zip| ReleasedZip {
            architecture,
            digest: zip.digest.clone(),
            url: self.url.clone(),
            folders: self.folders.clone(),
        })
    }

    /// Whether the code with this hexadecimal SHA-256 is a zip file of the release.
    pub fn has(&self, digest: &str) -> bool {
        self.zips.iter().any(|zip| zip.digest == digest)
    }
}

/// The name of a zip file.
pub(super) fn name(architecture: &str) -> String {
    format!("authorizer-{architecture}.zip")
}

impl ReleasedZip {
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    fn name(&self) -> String {
        name(self.architecture.as_str())
    }

    /// Where the file is. Without a file and an address, the authorizer is built.
    pub(super) fn supply(&self) -> Supply {
        let mut files = self.folders.iter().map(|folder| folder.join(self.name()));
        match (files.find(|file| file.exists()), &self.url) {
            (Some(file), _) => Supply::Beside(file),
            (None, Some(url)) => Supply::Download(format!("{url}/{}", self.name())),
            (None, None) => Supply::Build,
        }
    }

    /// Reads a file beside the program.
    pub(super) fn read(&self, path: &Path) -> anyhow::Result<Vec<u8>> {
        let zip = read(path).with_context(|| format!("reading {}", path.display()))?;
        self.verified(zip, &path.display().to_string())
    }

    /// Downloads the file, unless an earlier download is in the cache folder. Blocks.
    pub(super) fn download(
        &self,
        url: &str,
        cache: Option<&Path>,
        progress: &Progress,
    ) -> anyhow::Result<Vec<u8>> {
        let folder = cache.map(folder::make).transpose()?;
        let name = format!("release-{}.zip", self.digest.get(..32).unwrap_or_default());
        let kept = folder.map(|folder| (folder.join(name), folder));
        let found = kept.as_ref().and_then(|(path, _)| folder::read_own(path));
        if let Some(zip) = found.filter(|zip| digest(zip) == self.digest) {
            return self.verified(zip, url);
        }
        progress(format!("downloading {url}"), None);
        let zip = fetch(url).with_context(|| {
            format!(
                "downloading {url} (give `--build` to build it here, or put {} of the release beside the program)",
                self.name()
            )
        })?;
        let zip = self.verified(zip, url)?;
        if let Some((path, folder)) = kept {
            put(&folder, &path, &zip).context("keeping the zip")?;
        }
        Ok(zip)
    }

    /// The zip, if it is that of the release.
    fn verified(&self, zip: Vec<u8>, from: &str) -> anyhow::Result<Vec<u8>> {
        let found = digest(&zip);
        ensure!(
            found == self.digest,
            "{from} is not the authorizer of this release: its SHA-256 is {found}, expected {}; use the file of the release \
             that this program belongs to, or give `--build` to build the authorizer here",
            self.digest
        );
        let inspected =
            archive::unpack(&zip).and_then(|binary| inspect::inspect(&binary, self.architecture));
        inspected.with_context(|| from.to_owned())?;
        Ok(zip)
    }
}

impl fmt::Display for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact(path) => write!(f, "the file {}", path.display()),
            Self::Build => f.write_str("built on this machine"),
            Self::Beside(path) => write!(f, "the zip file of the release, {}", path.display()),
            Self::Download(url) => write!(f, "the zip file of the release, from {url}"),
        }
    }
}

/// The bytes at an address. Redirects to anything but HTTPS are not followed.
fn fetch(url: &str) -> anyhow::Result<Vec<u8>> {
    let tls = TlsConfig::builder().root_certs(roots()).build();
    let config = ureq::Agent::config_builder()
        .proxy(ureq::Proxy::try_from_env())
        .https_only(true)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(TIMEOUT))
        .tls_config(tls)
        .user_agent(concat!("threescale-gw/", env!("CARGO_PKG_VERSION")))
        .build();
    let fetched = ureq::Agent::from(config)
        .get(url)
        .call()
        .and_then(|mut response| {
            let body = response.body_mut().with_config();
            body.limit(archive::ZIPPED_LIMIT).read_to_vec()
        });
    fetched.map_err(|error| anyhow::anyhow!("{}", printable::line(&error.to_string())))
}

/// The authorities of this machine, among them those of its proxy, as for requests to AWS. A machine may have none.
fn roots() -> RootCerts {
    let own = rustls_native_certs::load_native_certs().certs;
    if own.is_empty() {
        return RootCerts::WebPki;
    }
    let own: Vec<_> = own
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    RootCerts::new_with_certs(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn release(url: Option<&str>, folders: &[&Path]) -> Release {
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        Release::new(&format!("x86_64 {A} {B}\n\n"), url, folders).expect("a release")
    }

    #[test]
    fn a_zip_of_other_source_is_not_that_of_this_program() {
        let release = release(None, &[]);
        let zip = |architecture, source| release.zip(architecture, source);
        let found = zip(Architecture::X86_64, A).expect("a zip file");
        assert_eq!(found.digest(), B);
        assert_eq!(zip(Architecture::X86_64, B), None);
        assert_eq!(zip(Architecture::Arm64, A), None);
        assert!(release.has(B) && !release.has(A));
    }

    #[test]
    fn a_file_comes_before_the_address_and_without_both_it_is_built() {
        let supply = |release: &Release| {
            let zip = release.zip(Architecture::X86_64, A);
            zip.expect("a zip file").supply()
        };
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let folders = [folders[0].path(), folders[1].path()];
        let with = release(Some("https://example.com/v1/"), &folders);
        let without = release(None, &folders);
        let url = "https://example.com/v1/authorizer-x86_64.zip".to_owned();
        assert_eq!(supply(&with), Supply::Download(url));
        assert_eq!(supply(&without), Supply::Build);
        for folder in folders.into_iter().rev() {
            let file = folder.join("authorizer-x86_64.zip");
            fs::write(&file, "").expect("a file");
            assert_eq!(supply(&with), Supply::Beside(file.clone()));
            assert_eq!(supply(&without), Supply::Beside(file));
        }
    }

    #[test]
    fn what_a_release_says_is_read_strictly() {
        for (text, problem) in [
            ("", "no zip file"),
            ("x86_64 aa", "is not `ARCHITECTURE SOURCE ZIP`"),
            (&format!("riscv {A} {B}"), "is not x86_64 or arm64"),
            (&format!("x86_64 {A} {B}0"), "is not a SHA-256"),
            (&format!("x86_64 {} {B}", A.to_uppercase()), "in lowercase"),
        ] {
            let error = Release::new(text, None, Vec::new()).expect_err(text);
            assert!(error.contains(problem), "{error}");
        }
        for url in [
            "http://example.com/v1",
            "https://",
            "https://a@b/c",
            "https://a/b?c",
            "v1",
        ] {
            let line = format!("arm64 {A} {B}");
            assert!(Release::new(&line, Some(url), Vec::new()).is_err(), "{url}");
        }
    }
}

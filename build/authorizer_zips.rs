//! Builds the zip files of a release into a folder, and the file with their digests:
//! `cargo run --example authorizer-zips -- FOLDER [ARCHITECTURE...]`. docs/release.md says how a release uses them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use threescale_gw::package::{Package, Progress, write_release};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name the folder to write to")?;
    let folder = std::path::absolute(folder)?;
    std::fs::create_dir_all(&folder)?;
    let named: Vec<_> = arguments.collect();
    let is_meant = |word: &&str| named.is_empty() || named.iter().any(|named| named == word);
    let packages: Vec<_> = ["x86_64", "arm64"]
        .into_iter()
        .filter(is_meant)
        .map(|architecture| package(architecture, folder.join("build")))
        .collect::<Result<_, _>>()?;
    write_release(&folder, &packages).await
}

/// It builds in the folder, and not in the cache of the user.
fn package(architecture: &'static str, cache: PathBuf) -> anyhow::Result<Package> {
    let progress: Progress = Arc::new(|_, _| ());
    Ok(Package::bundled(architecture, cache, progress)?.with_release(None))
}

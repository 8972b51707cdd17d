//! `version`: what this program is, and which authorizer it contains.

use std::sync::Arc;

use crate::cli::{Format, Global};
use crate::config::Architecture;
use crate::error::{ExitStatus, Result};
use crate::package::Package;
use crate::report;
use crate::report::version::Version;

/// Runs `version`.
pub(super) fn run(global: &Global) -> Result<ExitStatus> {
    let is_json = global.output == Format::Json;
    let digests = match is_json || global.verbose {
        true => digests()?,
        false => Vec::new(),
    };
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("THREESCALE_GW_COMMIT"),
        target: env!("THREESCALE_GW_TARGET"),
        authorizer: digests,
    };
    match is_json {
        true => report::document(version.document()),
        false => report::result(&version.text(global.verbose)),
    }
    Ok(ExitStatus::Done)
}

/// The digest of the bundled source for each architecture.
fn digests() -> Result<Vec<(&'static str, String)>> {
    let mut digests = Vec::new();
    for architecture in [Architecture::X86_64, Architecture::Arm64] {
        let architecture = architecture.as_str();
        let package = Package::bundled(architecture, None, Arc::new(|_, _| ()))?;
        digests.push((architecture, package.source().to_owned()));
    }
    Ok(digests)
}

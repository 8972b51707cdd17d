//! `version`: what this program is, and which authorizer it contains.

use std::sync::Arc;

use crate::cli::{Format, Global};
use crate::config::Architecture;
use crate::error::{ExitStatus, Result};
use crate::package::Package;
use crate::report;
use crate::report::version::{Authorizer, Version};

/// Runs `version`.
pub(super) fn run(global: &Global) -> Result<ExitStatus> {
    let is_json = global.output == Format::Json;
    let authorizers = match is_json || global.verbose {
        true => authorizers()?,
        false => Vec::new(),
    };
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("THREESCALE_GW_COMMIT"),
        target: env!("THREESCALE_GW_TARGET"),
        authorizers,
    };
    match is_json {
        true => report::document(version.document()),
        false => report::result(&version.text(global.verbose)),
    }
    Ok(ExitStatus::Done)
}

/// The bundled authorizer for each architecture.
fn authorizers() -> Result<Vec<Authorizer>> {
    let mut authorizers = Vec::new();
    for architecture in [Architecture::X86_64, Architecture::Arm64] {
        let architecture = architecture.as_str();
        let package = Package::bundled(architecture, None, Arc::new(|_, _| ()))?;
        authorizers.push(Authorizer {
            architecture,
            source: package.source().to_owned(),
            zip: package.released().map(str::to_owned),
            supply: package.supply().to_string(),
        });
    }
    Ok(authorizers)
}

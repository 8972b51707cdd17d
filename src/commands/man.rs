//! `man`: the manual pages.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::{Cli, Format, Global};
use crate::error::{ExitStatus, Result};
use crate::report;

/// Runs `man`.
pub(super) fn run(global: &Global, out: Option<&Path>) -> Result<ExitStatus> {
    let command = Cli::command().disable_help_subcommand(true);
    let Some(folder) = out else {
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .context("rendering the manual page")?;
        report::file(&page);
        return Ok(ExitStatus::Done);
    };
    let shown = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("creating {shown}"))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("writing the manual pages to {shown}"))?;
    match global.output {
        Format::Json => report::document(serde_json::json!({"folder": shown.to_string()})),
        Format::Text | Format::Markdown => {
            report::result(&format!("wrote the manual pages to {shown}"))
        }
    }
    Ok(ExitStatus::Done)
}

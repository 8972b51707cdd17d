//! `export`: writes the stack as Terraform configuration or as a CloudFormation template. It reads the account, and changes
//! nothing there.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::session::look_failed;
use super::status::{self, Seen};
use crate::action::Action;
use crate::cli::{ExportArgs, ExportFormat, Format, Global};
use crate::code::Code;
use crate::engine::plan::Item;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::export::{Export, Language, Written};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::printable::line;
use crate::resource::description::{Description, describe};
use crate::resource::{Context, Phase};
use crate::{lock, report};

/// Runs `export`.
pub(super) async fn run(global: &Global, args: &ExportArgs, sink: Sink) -> Result<ExitStatus> {
    let language = match args.format {
        ExportFormat::Terraform => Language::Terraform,
        ExportFormat::Cloudformation => Language::CloudFormation,
    };
    let is_printed = args.out.is_none() && global.output == Format::Text;
    if is_printed && language == Language::CloudFormation {
        return Err(Error::usage(
            "CloudFormation needs a template and the list of the resources to import: name a folder for both with --out",
        ));
    }
    let seen = status::seen(global, sink.clone()).await?;
    let export = read(&seen).await?;
    for text in &export.warnings {
        sink.finding(NoticeCode::NotSettled, text);
    }
    let written = export.write(language);
    if let Some(folder) = &args.out {
        write(folder, &written, args.force)?;
    }
    let shown = report::export::Shown {
        language,
        folder: args.out.as_deref(),
        export: &export,
        written: &written,
    };
    match global.output {
        Format::Json => report::document(shown.document()),
        _ if args.out.is_none() => {
            let texts = written.files.iter().map(|file| file.content.as_str());
            report::file(texts.collect::<Vec<_>>().join("\n").as_bytes());
        }
        Format::Text | Format::Markdown => report::text(&shown.text()),
    }
    Ok(ExitStatus::Done)
}

/// Reads what exists of the stack.
async fn read(seen: &Seen) -> Result<Export> {
    let Seen { cx, items, .. } = seen;
    let ids = items.iter().filter_map(|item| {
        let physical_id = item.physical_id.clone()?;
        Some((item.id.clone(), physical_id))
    });
    let ids: Vec<_> = ids.collect();
    let names = cx.names();
    if ids.is_empty() {
        let text = format!(
            "there is nothing to export: stack {} has no resources in {} (account {})",
            names.stack, names.region, names.account
        );
        return Err(Error::refused(text)
            .with_code(Code::StackNotFound)
            .hint("run `threescale-gw up` first, or check --region and --profile"));
    }
    let resources = describe(cx, &ids)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    let is_compared = seen.config.is_some();
    let watches = |(id, _): &(LogicalId, String)| matches!(id.kind, Kind::Alarm | Kind::Dashboard);
    Ok(Export {
        stack: names.stack.clone(),
        region: names.region.clone(),
        account: names.account.clone(),
        watching: ids.iter().any(watches),
        warnings: warnings(cx, items, is_compared, &resources).await?,
        resources,
    })
}

/// What shows that the stack is not as it will be.
async fn warnings(
    cx: &Context,
    items: &[Item],
    is_compared: bool,
    resources: &[Description],
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if let Some(holder) = lock::holder(cx).await? {
        warnings.push(format!(
            "a run changes the stack ({}): export again when it has ended",
            line(&holder.describe())
        ));
    }
    warnings.extend(items.iter().filter_map(unfinished));
    let differs = |item: &&Item| is_compared && item.action != Action::None;
    let differing: Vec<_> = items
        .iter()
        .filter(differs)
        .map(|item| item.id.to_string())
        .collect();
    if !differing.is_empty() {
        warnings.push(format!(
            "the stack differs from its configuration, and is exported as it is: `threescale-gw up` would change {}",
            differing.join(", ")
        ));
    }
    let is_gone = |item: &&Item| {
        item.physical_id.is_some() && resources.iter().all(|found| found.id != item.id)
    };
    let gone = items.iter().filter(is_gone);
    let gone = gone.filter(|item| crate::export::is_exported(&item.id));
    warnings.extend(gone.map(|item| format!("{} no longer exists, and is not exported", item.id)));
    Ok(warnings)
}

fn unfinished(item: &Item) -> Option<String> {
    item.physical_id.as_ref()?;
    let phase = item
        .phase
        .as_ref()
        .filter(|phase| **phase != Phase::Ready)?;
    Some(format!("{} is {}", item.id, phase.as_str()))
}

/// Writes all files, or none if one exists.
fn write(folder: &Path, written: &Written, replaces: bool) -> Result<()> {
    let paths: Vec<_> = written
        .files
        .iter()
        .map(|file| (folder.join(file.name), &file.content))
        .collect();
    let exists = |(path, _): &&(PathBuf, &String)| path.symlink_metadata().is_ok();
    if !replaces && let Some((path, _)) = paths.iter().find(exists) {
        return Err(Error::refused(format!("{} exists already", shown(path)))
            .with_code(Code::FileExists)
            .hint(
                "name another folder with --out, or replace the files of the export with --force",
            ));
    }
    let failed = |path: &Path, error: std::io::Error| {
        let context = format!("writing {}", shown(path));
        Error::failed(anyhow::Error::new(error).context(context))
    };
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            Error::refused(format!("{} is not a folder", shown(folder)))
                .with_code(Code::FileExists)
                .hint("name another folder with --out")
        }
        _ => failed(folder, error),
    })?;
    for (path, content) in paths {
        fs::write(&path, content).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    line(&path.display().to_string()).into_owned()
}

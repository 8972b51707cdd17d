//! `plan`: shows what `up` would change, and changes nothing.

use super::session::{Session, file_name, refuse};
use super::{approval, outputs};
use crate::cli::{Format, Global, PlanArgs};
use crate::code::Code;
use crate::engine::plan::plan;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::printable::line;
use crate::resource::RunOptions;
use crate::resource::api_attachment::automatic;
use crate::{preflight, report};

/// Runs `plan`.
pub(super) async fn run(global: &Global, args: &PlanArgs, sink: Sink) -> Result<ExitStatus> {
    let options = RunOptions {
        builds: args.build,
        ..match &args.out {
            Some(_) => approval::options(),
            None => RunOptions::default(),
        }
    };
    let mut session = Session::open(global, 10, options, sink).await?;
    session.key.clone_from(&args.key);
    if args.graph {
        let nodes = session.nodes.iter();
        let needs = nodes.map(|node| (node.id(), node.needs())).collect();
        report::result(&report::graph::mermaid(&needs));
        return Ok(ExitStatus::Done);
    }
    let observation = session.observe(&session.cx).await?;
    let unmanaged = preflight::unmanaged(&observation.unmanaged);
    let plan = plan(observation);
    plan.check()
        .map_err(|text| Error::refused(text).with_code(Code::PlanRefused))?;
    let findings = session.findings(&session.cx, unmanaged, &plan).await?;
    let mut scope = session.scope();
    // A plan without changes needs no further request.
    if !plan.is_empty() {
        scope.account_alias = session.cx.aws().account_alias().await;
    }
    let outputs = outputs::document(&session.outputs());
    let document = report::plan::document(&plan, &scope, &findings, &outputs);
    report::show(
        global,
        |style| {
            let scope = report::scope(&scope);
            let table = report::plan::table(&plan, &findings, style);
            format!("{scope}\n\n{table}")
        },
        || document.clone(),
        || report::markdown::plan(&plan, &scope, &findings),
    );
    report::planned(&plan);
    if let Some(path) = &args.gitlab_report {
        let text = report::plan::gitlab(&plan).to_string();
        std::fs::write(path, text).map_err(|error| {
            let doing = format!("writing {}", path.display());
            Error::failed(anyhow::Error::new(error).context(doing))
        })?;
    }
    refuse(&findings.blockers)?;
    if let Some(path) = &args.out {
        approval::write(path, &session, document)?;
        if global.output == Format::Text && !global.quiet {
            let file = match global.names_file() {
                true => format!(" --file {}", file_name(global)),
                false => String::new(),
            };
            let path = path.display().to_string();
            let path = line(&path);
            report::note(&format!(
                "The plan is in {path}. This does exactly that: threescale-gw up{file} --plan {path}"
            ));
        }
    }
    let mut is_something_to_do = !plan.is_empty();
    for target in session.facts.stages() {
        is_something_to_do |= automatic::is_left_frozen(&session.cx, target).await?;
    }
    Ok(if args.exit_code && is_something_to_do {
        ExitStatus::Pending
    } else {
        ExitStatus::Done
    })
}

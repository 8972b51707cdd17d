//! `plan`: shows what `up` would change, and changes nothing.

use super::session::{Session, refuse};
use crate::cli::{Global, PlanArgs};
use crate::code::Code;
use crate::engine::plan::plan;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::resource::RunOptions;
use crate::{preflight, report};

/// Runs `plan`.
pub(super) async fn run(global: &Global, args: &PlanArgs, sink: Sink) -> Result<ExitStatus> {
    let mut session = Session::open(global, 10, RunOptions::default(), sink).await?;
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
    let outputs = || {
        let outputs = session.outputs().into_iter();
        let outputs: serde_json::Map<_, _> = outputs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        outputs.into()
    };
    report::show(
        global,
        |style| {
            let scope = report::scope(&scope);
            let table = report::plan::table(&plan, &findings, style);
            format!("{scope}\n\n{table}")
        },
        || report::plan::document(&plan, &scope, &findings, &outputs()),
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
    Ok(if args.exit_code && !plan.is_empty() {
        ExitStatus::Pending
    } else {
        ExitStatus::Done
    })
}

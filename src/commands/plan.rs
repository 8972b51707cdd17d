//! `plan`: shows what `up` would change, and changes nothing.

use super::session::{Session, refuse};
use crate::cli::{Format, Global, PlanArgs};
use crate::code::Code;
use crate::engine::plan::plan;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::report::style::Style;
use crate::resource::RunOptions;
use crate::{preflight, report};

/// Runs `plan`.
pub(super) async fn run(global: &Global, args: &PlanArgs, sink: Sink) -> Result<ExitStatus> {
    let options = RunOptions {
        builds: args.build,
        ..RunOptions::default()
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
    match global.output {
        Format::Text => report::text(&format!(
            "{}\n\n{}",
            report::scope(&scope),
            report::plan::table(&plan, &findings, &Style::stdout(global))
        )),
        Format::Json => {
            let outputs: serde_json::Map<_, _> = session
                .outputs()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            let document = report::plan::document(&plan, &scope, &findings, &outputs.into());
            report::result(&document.to_string());
        }
    }
    refuse(&findings.blockers)?;
    Ok(if args.exit_code && !plan.is_empty() {
        ExitStatus::Pending
    } else {
        ExitStatus::Done
    })
}

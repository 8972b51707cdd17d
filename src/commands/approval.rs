//! `plan --out` and `up --plan`: what was approved is what is done.

use std::path::Path;

use super::session::Session;
use crate::code::Code;
use crate::engine::plan::Plan;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::plan_file::{self, PlanFile};
use crate::preflight::Findings;
use crate::report;
use crate::resource::RunOptions;

/// What is read in addition, so that the plan is that of an `up` which changes something.
pub(super) fn options() -> RunOptions {
    RunOptions {
        inspect_role_policies: true,
        inspect_engine_version: true,
        ..RunOptions::default()
    }
}

/// Writes the file of a plan, with its document.
pub(super) fn write(path: &Path, session: &Session, document: serde_json::Value) -> Result<()> {
    let created = jiff::Timestamp::now();
    let content = plan_file::content(
        report::versioned(document),
        serde_json::json!(session.config),
        session.package.source(),
        &format!("{created:.0}"),
    );
    plan_file::write(path, &content).map_err(|error| {
        let text = format!("writing the plan to {}", path.display());
        Error::failed(anyhow::Error::new(error).context(text))
    })
}

/// The plan of this run in the form of the file.
fn current(session: &Session, plan: &Plan, findings: &Findings) -> Result<PlanFile> {
    let outputs = serde_json::json!({});
    let document = report::plan::document(plan, &session.scope(), findings, &outputs);
    let configuration = serde_json::json!(session.config);
    let content = plan_file::content(document, configuration, session.package.source(), "");
    serde_json::from_value(content).map_err(|error| {
        Error::failed(anyhow::Error::new(error).context("comparing the plans"))
            .with_code(Code::Internal)
    })
}

/// Refuses a file that is of something else than this run.
pub(super) fn ensure_for_this(approved: &PlanFile, session: &Session) -> Result<()> {
    let now = current(session, &Plan::default(), &Findings::default())?;
    let found = plan_file::mismatches(approved, &now);
    match found.is_empty() {
        true => Ok(()),
        false => Err(Error::found(
            Code::PlanMismatch,
            "nothing was changed, because the plan is not for this run:",
            found,
        )
        .hint(
            "use what the plan was made with, or make a new one with `threescale-gw plan --out`",
        )),
    }
}

/// Refuses a plan if the resources are not those of the approved one. `unmanaged`: what has their names and is of others.
pub(super) fn ensure_same_resources(
    approved: &PlanFile,
    session: &Session,
    plan: &Plan,
    unmanaged: &[String],
) -> Result<()> {
    let now = current(session, plan, &Findings::default())?;
    let mut found: Vec<_> = Finding::all(Code::NotManaged, unmanaged.iter().cloned()).collect();
    found.extend(plan_file::resources(&approved.resources, &now.resources));
    ensure_none(found)
}

/// Refuses a plan that publishes something else than the approved one.
pub(super) fn ensure_same_deployment(
    approved: &PlanFile,
    session: &Session,
    plan: &Plan,
    findings: &Findings,
) -> Result<()> {
    let now = current(session, plan, findings)?;
    ensure_none(plan_file::differences(approved, &now))
}

fn ensure_none(found: Vec<Finding>) -> Result<()> {
    match found.is_empty() {
        true => Ok(()),
        false => Err(Error::found(
            Code::PlanStale,
            "nothing was changed, because the account is not as it was when the plan was made:",
            found,
        )
        .hint("make a new plan with `threescale-gw plan --out`, and have it approved")),
    }
}

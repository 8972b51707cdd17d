//! `unlock`: removes the locks of a run that no longer exists.

use std::collections::BTreeSet;

use serde_json::json;

use super::confirm::{announce, confirm, is_interactive};
use crate::cli::{Format, Global, UnlockArgs};
use crate::code::Code;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::lock::{self, Held};
use crate::report;

/// Runs `unlock`.
pub(super) async fn run(global: &Global, args: &UnlockArgs, sink: Sink) -> Result<ExitStatus> {
    let cx = super::session::connect(global, 1, sink).await?;
    let scope = super::down::scope(&cx).await?;
    announce(global, cx.sink(), scope.clone(), false);
    let stack = &cx.names().stack;
    let holder = lock::holder(&cx).await?;
    // The lock of an API that another stack holds stays.
    let is_own = |held: &Held| !held.is_known() || held.stack() == Some(stack.as_str());
    let mut of_apis = Vec::new();
    for api in scope
        .apis
        .iter()
        .map(|api| &api.id)
        .collect::<BTreeSet<_>>()
    {
        let of_api = cx.of_api(api);
        if let Some(shown) = lock::holder(&of_api).await?.filter(is_own) {
            of_apis.push((api, of_api, shown));
        }
    }
    let all = holder.iter().chain(of_apis.iter().map(|(.., shown)| shown));
    let living = lock::living(all)?;
    if let Some(living) = living.filter(|_| !args.yes) {
        ask(stack, &living).await?;
    }
    if let Some(shown) = &holder {
        lock::break_lock(&cx, shown).await?;
    }
    let mut apis = Vec::new();
    for (api, of_api, shown) in &of_apis {
        lock::break_lock(of_api, shown).await?;
        apis.push((api, shown.describe()));
    }
    // The stack of a configuration may be one that is not created yet.
    if holder.is_none() && apis.is_empty() && global.stack.is_some() {
        super::existing::ensure_exists(&cx).await?;
    }
    let broken = holder.map(|holder| holder.describe());
    match global.output {
        Format::Json => {
            let apis: Vec<_> = apis
                .iter()
                .map(|(api, broken)| json!({"api": api, "broken": broken}))
                .collect();
            let document = json!({
                "stack": scope.stack, "account": scope.account, "region": scope.region, "broken": broken, "apis": apis,
            });
            report::document(document);
        }
        Format::Text | Format::Markdown => {
            report::text(&match &broken {
                Some(holder) => format!("released the lock held by {holder}"),
                None => format!("stack {stack} is not locked"),
            });
            for (api, holder) in &apis {
                report::text(&format!("released the lock of API {api} held by {holder}"));
            }
        }
    }
    Ok(ExitStatus::Done)
}

/// Asks before the lock of a run is released that may be in progress.
async fn ask(stack: &str, living: &str) -> Result<()> {
    let text = format!("{living} may be in progress: its lock was renewed in the last 3 minutes");
    if !is_interactive() {
        return Err(Error::refused(text)
            .with_code(Code::LockHeld)
            .hint("wait until that run is through, or until its lock expires")
            .hint(format!(
                "if you know that it has ended, `threescale-gw unlock --stack {stack} --yes` releases its lock"
            )));
    }
    report::note(&format!(
        "{text}. Two runs at once can undo each other's work. The run stops at its next step if its lock is released."
    ));
    confirm(false, "Release the lock all the same?").await
}

//! `unlock`: removes the locks of a run that no longer exists.

use std::collections::BTreeSet;

use serde_json::json;

use super::confirm::announce;
use crate::cli::{Format, Global};
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::lock::{self, Held};
use crate::report;

/// Runs `unlock`.
pub(super) async fn run(global: &Global, sink: Sink) -> Result<ExitStatus> {
    let cx = super::session::connect(global, 1, sink).await?;
    let scope = super::down::scope(&cx).await?;
    announce(global, cx.sink(), scope.clone(), false);
    let stack = &cx.names().stack;
    let holder = lock::holder(&cx).await?;
    if let Some(shown) = &holder {
        lock::break_lock(&cx, shown).await?;
    }
    // The lock of an API that another stack holds stays.
    let is_own = |held: &Held| !held.is_known() || held.stack() == Some(stack.as_str());
    let mut apis = Vec::new();
    for api in scope
        .apis
        .iter()
        .map(|api| &api.id)
        .collect::<BTreeSet<_>>()
    {
        let of_api = cx.of_api(api);
        if let Some(shown) = lock::holder(&of_api).await?.filter(is_own) {
            lock::break_lock(&of_api, &shown).await?;
            apis.push((api, shown.describe()));
        }
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
        Format::Text => {
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

//! `unlock`: removes the lock of a run that no longer exists.

use serde_json::json;

use super::confirm::announce;
use crate::cli::{Format, Global};
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::{lock, report};

/// Runs `unlock`.
pub(super) async fn run(global: &Global, sink: Sink) -> Result<ExitStatus> {
    let cx = super::session::connect(global, 1, sink).await?;
    let scope = super::down::scope(&cx).await?;
    announce(global, cx.sink(), scope.clone(), false);
    let holder = lock::holder(&cx).await?;
    if let Some(shown) = &holder {
        lock::break_lock(&cx, shown).await?;
    }
    let broken = holder.map(|holder| holder.describe());
    report::result(&match (global.output, &broken) {
        (Format::Json, _) => {
            json!({"stack": scope.stack, "account": scope.account, "region": scope.region, "broken": broken}).to_string()
        }
        (Format::Text, Some(holder)) => format!("released the lock held by {holder}"),
        (Format::Text, None) => format!("stack {} is not locked", cx.names().stack),
    });
    Ok(ExitStatus::Done)
}

//! `unlock`: breaks the lock of a run that is gone.

use crate::cli::Global;
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::{lock, report};

/// Runs `unlock`.
pub(super) async fn run(global: &Global, sink: Sink) -> Result<ExitStatus> {
    let cx = super::down::connect(global, 1, sink).await?;
    match lock::holder(&cx).await? {
        Some(holder) => {
            lock::break_lock(&cx).await?;
            report::result(&format!("broke the lock of {}", holder.describe()));
        }
        None => report::result(&format!("stack {} is not locked", cx.names().stack)),
    }
    Ok(ExitStatus::Done)
}

//! The signals that end a sandbox.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

/// The signals that end a sandbox. A signal that arrives between two checks is seen at the next check.
pub(super) struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed(anyhow::anyhow!(error)));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    pub(super) async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

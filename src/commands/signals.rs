//! How a stop signal affects a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::confirm;
use crate::cancel::CancelToken;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::report::screen;

/// Turns signals into an orderly end. Before work begins, a signal ends the program at once.
#[derive(Debug)]
pub(super) struct Signals {
    pub(super) cancel: CancelToken,
    working: Arc<AtomicBool>,
    listener: tokio::task::JoinHandle<()>,
}

impl Signals {
    pub(super) fn listen(timeout: Option<Duration>, sink: Sink) -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed(anyhow::anyhow!(error)));
        let (mut interrupt, mut terminate) = (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        );
        let cancel = CancelToken::new(timeout);
        let working = Arc::new(AtomicBool::new(false));
        let (heard, at_work) = (cancel.clone(), Arc::clone(&working));
        let listener = tokio::spawn(async move {
            let mut before = false;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if before || !at_work.load(Ordering::SeqCst) {
                    confirm::leave_question();
                    screen::pause(true);
                    std::process::exit(ExitStatus::Interrupted as i32);
                }
                before = true;
                heard.interrupt();
                sink.emit(Event::Interrupted);
            }
        });
        Ok(Self {
            cancel,
            working,
            listener,
        })
    }

    /// From here on, a signal waits for calls in flight to return.
    pub(super) fn enter_critical_section(&self) {
        self.working.store(true, Ordering::SeqCst);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The listener holds a sink, and the reporter ends when the last sink is dropped.
        self.listener.abort();
    }
}

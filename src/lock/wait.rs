//! Waiting for the run that holds a lock.

use std::time::Duration;

use tokio::time::Instant;

use super::{Lock, Pace};
use crate::cancel::CancelToken;
use crate::error::{Error, ExitStatus};
use crate::resource::Context;

/// What is said about the wait for a run on the stack.
const UNTIL_ENDED: &str = "waiting until that run has ended";

impl Lock {
    /// [`Self::take`], but waits for the run that holds the lock, for `patience` at most.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn take_within(
        cx: &Context,
        cancel: &CancelToken,
        patience: Duration,
    ) -> Result<Self, Error> {
        take(cx, cancel, patience, UNTIL_ENDED).await
    }
}

/// Takes the lock that `cx` is for. Tells each holder that it waits for, and `until` when.
pub(super) async fn take(
    cx: &Context,
    cancel: &CancelToken,
    patience: Duration,
    until: &str,
) -> Result<Lock, Error> {
    let began = Instant::now();
    let mut told = String::new();
    loop {
        let error = match Lock::take_at(cx, cancel, Pace::default()).await {
            Ok(lock) => return Ok(lock),
            Err(error) => error,
        };
        let elapsed = began.elapsed();
        let is_held = error.status() == ExitStatus::Refused;
        if !is_held || cancel.stop().is_some() || elapsed >= patience {
            return Err(error);
        }
        let text = format!("{error}: {until}");
        if told != text {
            cx.sink().notice(&text);
            told = text;
        }
        let wait = (elapsed / 4).clamp(Duration::from_millis(500), Duration::from_secs(5));
        cancel
            .sleep(wait.min(patience.saturating_sub(elapsed)))
            .await;
    }
}

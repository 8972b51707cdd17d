//! Reads from the log of the authorizer who refused the requests of a verification.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::aws::logs::lines;
use crate::event::Event;
use crate::resource::{Context, function};
use crate::verify::proof::{Proof, Refusal};
use crate::verify::{Key, Report};

/// The first and the longest wait before the log is read again. CloudWatch accepts five such calls per second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// How far the clock of this machine may be ahead of that of the function.
const SKEW_MS: i64 = 5 * 60 * 1000;

/// When the requests were sent, and what is known without the log.
pub(super) struct Log {
    pub(super) since: Timestamp,
    /// How long a line may take to appear.
    pub(super) patience: Duration,
    /// Whether only the draft shows which authorizer a route has.
    pub(super) is_draft: bool,
}

impl Log {
    /// Completes the report with the reasons in the log. `has_ours`: whether a route has this stack's authorizer, by label.
    pub(super) async fn prove(
        &self,
        cx: &Context,
        report: &mut Report,
        unknown_key: &Key,
        has_ours: impl Fn(&str) -> bool,
    ) {
        let Some(proof) = Proof::of(report, unknown_key) else {
            return;
        };
        let group = cx.names().log_group(function::NAMES[0]);
        let since_ms = (self.since.as_millisecond() - SKEW_MS).max(0);
        let pattern = proof.pattern();
        let until = Instant::now() + self.patience;
        let (mut wait, mut known) = (AGAIN.0, 0);
        let refusals = loop {
            let read = match lines(cx.aws(), &group, since_ms, Some(&pattern)).await {
                Ok(read) => read,
                Err(error) => {
                    let shows = match self.is_draft {
                        true => "the draft of the API",
                        false => "what the stage serves",
                    };
                    report.notes.push(format!(
                        "the log group {group} cannot be read ({error}), so only {shows} shows that this stack's authorizer refuses \
                         a bad key, and the reason is not known"
                    ));
                    break None;
                }
            };
            let refusals: Vec<_> = read
                .iter()
                .filter_map(|line| Refusal::of_line(&line.text))
                .collect();
            let (found, is_complete) = proof.found(report, &refusals);
            // The authorizer leaves lines out if there are many in a second.
            let is_last = found > 0 && found == known;
            let now = Instant::now();
            if is_complete || is_last || now >= until {
                break Some(refusals);
            }
            known = found;
            let pause = wait.min(until - now);
            cx.sink().emit(Event::Retrying {
                id: None,
                cause: "the log of the authorizer does not show every refusal yet".to_owned(),
                wait: pause,
            });
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(AGAIN.1);
        };
        proof.complete(report, refusals.as_deref(), has_ours);
    }
}

//! Delivers the usage that a cache holds to 3scale before the cache is given up: the live reporter runs until nothing is
//! left of what was counted before.
//!
//! The event and its result are the contract between the reporter and this program; the authorizer's README has it.

use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use serde::Deserialize;

use super::function::NAMES;
use super::{Context, ResourceError, function_publication};
use crate::aws::{Backoff, Class, optional};
use crate::event::Event;
use crate::id::LogicalId;
use crate::names::LIVE;
use crate::printable::line;

/// How long a run that does not complete is repeated: another run of the reporter holds its batch for 43 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of a run of the reporter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Run {
    /// The sum of the delivered usage.
    delivered: u64,
    /// Why it ended before everything was delivered.
    stopped: Option<String>,
}

/// What follows a run.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Done,
    Again,
    /// After a pause, and only for some time.
    Later(String),
}

impl Run {
    /// A complete run delivers what was counted before it. Under traffic, one more run delivers what was counted
    /// meanwhile.
    fn next(&self, complete: u32) -> Next {
        match &self.stopped {
            Some(why) => Next::Later(why.clone()),
            None if self.delivered > 0 && complete == 0 => Next::Again,
            None => Next::Done,
        }
    }
}

/// Delivers the usage in the cache that the live reporter uses. Without a reporter, nothing delivers it.
///
/// # Errors
/// When the reporter cannot be invoked, or does not deliver.
pub async fn deliver(cx: &Context, id: &LogicalId) -> Result<(), ResourceError> {
    let cx = cx.fresh();
    if function_publication::live_reporter(&cx).await?.is_none() {
        return Ok(());
    }
    let began = Instant::now();
    let (mut backoff, mut delivered, mut complete) = (Backoff::new(), 0, 0);
    loop {
        let why = match report(&cx).await {
            Ok(None) => return Ok(()),
            Ok(Some(run)) => {
                delivered += run.delivered;
                match run.next(complete) {
                    Next::Done => break,
                    Next::Again => {
                        complete += 1;
                        continue;
                    }
                    Next::Later(why) => why,
                }
            }
            Err(error)
                if matches!(error.aws().map(|error| error.class), Some(Class::NotYet(_))) =>
            {
                error.to_string()
            }
            Err(error) => return Err(error),
        };
        if began.elapsed() > PATIENCE {
            return Err(not_delivered(&why));
        }
        let wait = backoff.wait();
        cx.sink().emit(Event::Retrying {
            id: Some(id.clone()),
            cause: format!("the reporter did not deliver all usage: {}", line(&why)),
            wait,
        });
        tokio::time::sleep(wait).await;
    }
    if delivered > 0 {
        cx.notice(id, format!("usage delivered to 3scale before: {delivered}"));
    }
    Ok(())
}

fn not_delivered(why: &str) -> ResourceError {
    ResourceError::Blocked {
        what: format!(
            "the usage in the cache was not delivered, so the cache stays: {}",
            line(why)
        ),
        hint: Some(
            "repair what the reporter needs, see `threescale-gw logs`, and run the same command again; `threescale-gw down` and \
             `up` recreate the stack and lose this usage"
                .to_owned(),
        ),
    }
}

/// Runs the live reporter once; `None` if it does not exist.
async fn report(cx: &Context) -> Result<Option<Run>, ResourceError> {
    let event = r#"{"source":"aws.events","detail-type":"Scheduled Event"}"#;
    let request = cx
        .aws()
        .lambda
        .invoke()
        .function_name(cx.names().function(NAMES[1]))
        .qualifier(LIVE)
        .payload(Blob::new(event));
    let asked = cx
        .aws()
        .call_idempotent("lambda:Invoke", || request.clone().send())
        .await;
    let Some(answer) = optional(asked)? else {
        return Ok(None);
    };
    let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let run = match answer.function_error {
        // It ran into Lambda's time-out, for example.
        Some(_) => None,
        None => serde_json::from_slice(&payload).ok(),
    };
    Ok(Some(run.unwrap_or_else(|| Run {
        delivered: 0,
        stopped: Some(format!(
            "the reporter failed: {}",
            String::from_utf8_lossy(&payload)
        )),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_run() {
        let run = |text: &str| serde_json::from_str::<Run>(text).expect("a run");
        let all = run(
            r#"{"reports":1,"transactions":2,"delivered":3,"apart":0,"undeliverable":0,"in_doubt":0,"stopped":null}"#,
        );
        assert_eq!((all.next(0), all.next(1)), (Next::Again, Next::Done));
        let nothing = run(r#"{"delivered":0,"stopped":null}"#);
        assert_eq!(nothing.next(0), Next::Done);
        let part = run(r#"{"delivered":5,"stopped":"no time left"}"#);
        assert_eq!(part.next(0), Next::Later("no time left".to_owned()));
    }
}

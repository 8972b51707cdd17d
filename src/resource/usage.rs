//! Delivers the usage that a cache holds to 3scale before the cache is given up or the stack is deleted: the live reporter
//! runs until nothing is left of what was counted before.
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
use crate::notice::NoticeCode;
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

/// What the runs of the reporter delivered.
struct Delivered {
    /// The sum of the usage.
    sum: u64,
    /// Why something may be left in the cache.
    left: Option<String>,
}

/// Delivers the usage in the cache that the live reporter uses. Without a reporter, nothing delivers it.
///
/// # Errors
/// When the reporter cannot be invoked, or does not deliver.
pub async fn deliver(cx: &Context, id: &LogicalId) -> Result<(), ResourceError> {
    let delivered = run(cx, id).await?;
    if let Some(why) = delivered.left {
        return Err(not_delivered(&why));
    }
    if delivered.sum > 0 {
        let text = format!("usage delivered to 3scale before: {}", delivered.sum);
        cx.notice(id, text);
    }
    Ok(())
}

/// Delivers the usage in the stack's own cache before the cache is deleted. A reporter outside the network does not reach the
/// cache: an interrupted run has detached it, after it delivered everything.
///
/// # Errors
/// As [`deliver`].
pub async fn empty(cx: &Context, id: &LogicalId) -> Result<(), ResourceError> {
    if !function_publication::is_reporter_detached(&cx.fresh()).await? {
        return deliver(cx, id).await;
    }
    cx.notice(
        id,
        "the reporter has left the network of the cache, which it does after it has delivered the usage: nothing is delivered again",
    );
    Ok(())
}

/// Delivers the usage in the cache before the stack is deleted. What cannot be delivered is no reason to keep the stack: the
/// operator has confirmed the deletion. `obstacle` is a known reason why the reporter cannot deliver; it is not invoked then.
/// `stays` says whether the cache and what it holds stay.
///
/// # Errors
/// When the run must stop.
pub async fn deliver_last(
    cx: &Context,
    id: &LogicalId,
    obstacle: Option<&str>,
    stays: bool,
) -> Result<(), ResourceError> {
    let delivered = match obstacle {
        Some(why) => Ok(Delivered {
            sum: 0,
            left: Some(why.to_owned()),
        }),
        None => run(cx, id).await,
    };
    let delivered = match delivered {
        Ok(delivered) => delivered,
        Err(error)
            if error
                .aws()
                .is_some_and(|error| error.class == Class::Stopped) =>
        {
            return Err(error);
        }
        Err(error) => Delivered {
            sum: 0,
            left: Some(error.to_string()),
        },
    };
    if let Some(text) = last(&delivered, stays) {
        match delivered.left {
            Some(_) => cx.finding(id, NoticeCode::UsageLeft, text),
            None => cx.notice(id, text),
        }
    }
    Ok(())
}

/// What is reported about the last delivery. Pure.
fn last(delivered: &Delivered, stays: bool) -> Option<String> {
    let sum = delivered.sum;
    match &delivered.left {
        None => (sum > 0).then(|| format!("usage delivered to 3scale before the deletion: {sum}")),
        Some(why) => {
            let end = match stays {
                true => "stays in your cache",
                false => "is lost",
            };
            Some(format!(
                "usage delivered to 3scale before the deletion: {sum}; what else was counted since the last report {end}: {}",
                line(why)
            ))
        }
    }
}

/// Runs the live reporter until the cache has nothing of what was counted before, for a limited time.
///
/// # Errors
/// When the reporter cannot be invoked.
async fn run(cx: &Context, id: &LogicalId) -> Result<Delivered, ResourceError> {
    let cx = cx.fresh();
    if function_publication::live_reporter(&cx).await?.is_none() {
        return Ok(Delivered { sum: 0, left: None });
    }
    let began = Instant::now();
    let (mut backoff, mut delivered, mut complete) = (Backoff::new(), 0, 0);
    loop {
        let why = match report(&cx).await {
            Ok(None) => break,
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
            return Ok(Delivered {
                sum: delivered,
                left: Some(why),
            });
        }
        let wait = backoff.wait();
        cx.sink().emit(Event::Retrying {
            id: Some(id.clone()),
            cause: format!("the reporter did not deliver all usage: {}", line(&why)),
            wait,
        });
        tokio::time::sleep(wait).await;
    }
    Ok(Delivered {
        sum: delivered,
        left: None,
    })
}

fn not_delivered(why: &str) -> ResourceError {
    ResourceError::Blocked {
        what: format!(
            "the usage in the cache was not delivered, so the cache stays: {}",
            line(why)
        ),
        hint: Some(
            "repair what the reporter needs, see `threescale-gw logs`, and run the same command again; `threescale-gw down` and \
             `up` recreate the stack and lose what cannot be delivered"
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
    fn a_last_delivery_tells_what_is_lost_or_stays() {
        let told = |sum, left: Option<&str>, stays| {
            let left = left.map(str::to_owned);
            last(&Delivered { sum, left }, stays).unwrap_or_default()
        };
        assert_eq!(told(0, None, false), "");
        let all = "usage delivered to 3scale before the deletion: 7";
        assert_eq!(told(7, None, false), all);
        let since = "what else was counted since the last report";
        let lost = format!("{all}; {since} is lost: 3scale: timeout");
        assert_eq!(told(7, Some("3scale: timeout"), false), lost);
        let stays = format!("{all}; {since} stays in your cache: no route");
        assert_eq!(told(7, Some("no route"), true), stays);
    }

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

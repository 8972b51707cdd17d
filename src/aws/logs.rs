//! Reads log groups of CloudWatch Logs.

use super::paginate::pages;
use super::{Aws, AwsError};

/// A log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The event id of CloudWatch Logs.
    pub id: String,
    /// The timestamp of the event, in Unix milliseconds.
    pub at_ms: i64,
    /// The message of the event.
    pub text: String,
}

/// Returns the events of a log group since a timestamp in Unix milliseconds. `filter` is a
/// CloudWatch Logs filter pattern.
///
/// # Errors
/// The error of the service.
pub async fn lines(
    aws: &Aws,
    group: &str,
    since_ms: i64,
    filter: Option<&str>,
) -> Result<Vec<Line>, AwsError> {
    let request = aws
        .logs
        .filter_log_events()
        .log_group_name(group)
        .start_time(since_ms)
        .set_filter_pattern(filter.map(str::to_owned));
    // A page may be empty and still have a next token.
    let events = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = aws
            .call_idempotent("logs:FilterLogEvents", || request.clone().send())
            .await?;
        Ok((page.events, page.next_token))
    })
    .await?;
    Ok(events
        .into_iter()
        .filter_map(|event| {
            let (at_ms, text) = (event.timestamp?, event.message?);
            // Emulators return no event ids. There, two events are different if any of their fields differ.
            let stream = event.log_stream_name.unwrap_or_default();
            let id = event.event_id;
            Some(Line {
                id: id.unwrap_or_else(|| format!("{stream} {at_ms} {text}")),
                at_ms,
                text,
            })
        })
        .collect())
}

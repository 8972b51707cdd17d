//! Reads log groups of CloudWatch Logs.

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;

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
    let mut lines = Vec::new();
    read(aws, group, since_ms, filter, |line| lines.push(line)).await?;
    Ok(lines)
}

/// The same for every event, without keeping them.
///
/// # Errors
/// The error of the service.
pub async fn each_line(
    aws: &Aws,
    group: &str,
    since_ms: i64,
    take: impl FnMut(Line),
) -> Result<(), AwsError> {
    read(aws, group, since_ms, None, take).await
}

async fn read(
    aws: &Aws,
    group: &str,
    since_ms: i64,
    filter: Option<&str>,
    mut take: impl FnMut(Line),
) -> Result<(), AwsError> {
    let request = aws
        .logs
        .filter_log_events()
        .log_group_name(group)
        .start_time(since_ms)
        .set_filter_pattern(filter.map(str::to_owned));
    let mut token = None;
    loop {
        let request = request.clone().set_next_token(token);
        let page = aws
            .call_idempotent("logs:FilterLogEvents", || request.clone().send())
            .await?;
        page.events
            .unwrap_or_default()
            .into_iter()
            .filter_map(line)
            .for_each(&mut take);
        // A page may be empty and still have a next token.
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(());
        }
    }
}

fn line(event: FilteredLogEvent) -> Option<Line> {
    let (at_ms, text) = (event.timestamp?, event.message?);
    // Emulators return no event ids. There, two events are different if any of their fields differ.
    let stream = event.log_stream_name.unwrap_or_default();
    let id = event.event_id;
    Some(Line {
        id: id.unwrap_or_else(|| format!("{stream} {at_ms} {text}")),
        at_ms,
        text,
    })
}

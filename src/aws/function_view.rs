//! What is read of a function that stands: its environment and its log.

use std::collections::BTreeMap;

use super::{Aws, AwsError};
use crate::aws::paginate::pages;

/// The environment that a function was given.
///
/// # Errors
/// What the service answers.
pub async fn environment(aws: &Aws, function: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let request = aws
        .lambda
        .get_function_configuration()
        .function_name(function);
    let answer = aws
        .call_idempotent("lambda:GetFunctionConfiguration", || request.clone().send())
        .await?;
    let variables = answer
        .environment
        .and_then(|environment| environment.variables);
    Ok(variables.unwrap_or_default().into_iter().collect())
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// CloudWatch's id of it.
    pub id: String,
    /// When it was written, Unix milliseconds.
    pub at_ms: i64,
    /// What was written.
    pub text: String,
}

/// The lines of a log group since a moment, Unix milliseconds. `filter`: a pattern in CloudWatch's words.
///
/// # Errors
/// What the service answers.
pub async fn log_lines(
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
    // A page may be empty and still have a next one.
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
            // Emulators have no ids. There a line is taken for another one if anything of it differs.
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

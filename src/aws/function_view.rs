//! What the sandbox reads of a function that stands: its environment and its log.

use std::collections::BTreeMap;

use super::{Aws, AwsError};

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
        .repeatable("lambda:GetFunctionConfiguration", || request.clone().send())
        .await?;
    let variables = answer
        .environment
        .and_then(|environment| environment.variables);
    Ok(variables.unwrap_or_default().into_iter().collect())
}

/// The lines that a function has written since a moment, Unix milliseconds, each with its own.
///
/// # Errors
/// What the service answers.
pub async fn log_lines(
    aws: &Aws,
    function: &str,
    since_ms: i64,
) -> Result<Vec<(i64, String)>, AwsError> {
    let request = aws
        .logs
        .filter_log_events()
        .log_group_name(format!("/aws/lambda/{function}"))
        .start_time(since_ms);
    let answer = aws
        .repeatable("logs:FilterLogEvents", || request.clone().send())
        .await?;
    let events = answer.events.unwrap_or_default().into_iter();
    Ok(events
        .filter_map(|event| Some((event.timestamp?, event.message?)))
        .collect())
}

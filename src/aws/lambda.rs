//! Reads the configuration of a Lambda function.

use std::collections::BTreeMap;

use super::{Aws, AwsError};

/// Returns the environment variables of a function.
///
/// # Errors
/// The error of the service.
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

//! An API that another user deletes during the run.
//!
//! API Gateway reports a change to such an API in several ways: as a missing API, resource or stage,
//! and for `CreateAuthorizer` as a conflict ("Unable to complete operation due to concurrent
//! modification. Please try again later."), which is not worth a retry then.

use crate::api_gateway::{self, ApiRef};
use crate::aws::Class;
use crate::resource::{Context, ResourceError};

/// The error of a change to an API that no longer exists.
pub fn deleted(api_id: &str) -> ResourceError {
    ResourceError::Blocked {
        what: format!("API {api_id} no longer exists: another user deleted it"),
        hint: Some(
            "run `threescale-gw down` to delete the stack, or set `api` to another API and run `threescale-gw up`"
                .to_owned(),
        ),
    }
}

/// Whether the error is the answer to a change of an API that no longer exists.
///
/// # Errors
/// When it cannot be read whether the API exists.
pub async fn is_deleted(
    cx: &Context,
    api: ApiRef<'_>,
    error: &ResourceError,
) -> Result<bool, ResourceError> {
    if !may_be_deleted(error) {
        return Ok(false);
    }
    Ok(api_gateway::get(cx.aws(), api).await?.is_none())
}

/// Replaces the error of a change by one that says so if the API no longer exists.
///
/// # Errors
/// The error of the change.
pub async fn explained(
    cx: &Context,
    api: ApiRef<'_>,
    result: Result<(), ResourceError>,
) -> Result<(), ResourceError> {
    let Err(error) = result else {
        return Ok(());
    };
    match is_deleted(cx, api, &error).await {
        Ok(true) => Err(deleted(api.id)),
        _ => Err(error),
    }
}

/// Whether a missing API can be the cause of the error.
fn may_be_deleted(error: &ResourceError) -> bool {
    error.aws().is_some_and(|error| {
        error.operation.starts_with("apigateway:")
            && (error.class == Class::NotFound || error.code == "ConflictException")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::AwsError;

    #[test]
    fn a_conflict_and_a_missing_part_can_be_a_missing_api() {
        let error = |operation, code: &str, class| {
            let error = AwsError::incomplete(operation, "");
            let code = code.to_owned();
            may_be_deleted(
                &AwsError {
                    code,
                    class,
                    ..error
                }
                .into(),
            )
        };
        assert!(error(
            "apigateway:CreateAuthorizer",
            "ConflictException",
            Class::NotYet(std::time::Duration::from_secs(60))
        ));
        assert!(error(
            "apigateway:UpdateMethod",
            "NotFoundException",
            Class::NotFound
        ));
        assert!(!error(
            "apigateway:UpdateMethod",
            "BadRequestException",
            Class::Fatal
        ));
        assert!(!error(
            "lambda:GetFunction",
            "ResourceNotFoundException",
            Class::NotFound
        ));
    }
}

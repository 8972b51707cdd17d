//! Detects responses that report success but do not match the service model.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;

/// Whether a complete response reports success but the rest of it does not match the service model.
/// A response that broke off has no body.
pub(super) fn is_unreadable<E>(error: &SdkError<E, Response>) -> bool {
    matches!(
        error,
        SdkError::ServiceError(_) | SdkError::ResponseError(_)
    ) && error
        .raw_response()
        .is_some_and(|response| response.status().is_success() && response.body().bytes().is_some())
}

/// The root cause, without the unexpected value, because that is part of the response and may be a
/// secret.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let cause = anyhow::Chain::new(error).last().map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    let cut = [", found", " but found"];
    let ends = cut.iter().filter_map(|word| cause.find(word));
    cause[..ends.min().unwrap_or(cause.len())].to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::aws::{AwsError, Class};

    /// Returns the SDK's result for a complete response or one that broke off.
    fn answered(
        status: u16,
        whole: bool,
        cause: &str,
    ) -> SdkError<GetCallerIdentityError, Response> {
        let body = match whole {
            true => SdkBody::from("?"),
            false => SdkBody::taken(),
        };
        let status = status.try_into().expect("a status");
        SdkError::response_error(cause.to_owned(), Response::new(status, body))
    }

    #[test]
    fn an_answer_that_cannot_be_parsed_is_told_as_that() {
        let of = |operation, status, whole, cause: &str| {
            AwsError::new(operation, &answered(status, whole, cause))
        };
        let read = of(
            "ssm:GetParametersByPath",
            200,
            true,
            "expected a map, found: \"the secret\"",
        );
        assert_eq!(
            read.to_string(),
            "ssm:GetParametersByPath: the answer could not be parsed: expected a map"
        );
        let number = "expected a number as text but found `the secret`";
        let number = of("ssm:GetParametersByPath", 200, true, number);
        assert!(number.message.ends_with(": expected a number as text"));
        assert_eq!(read.class, Class::Unreadable);
        assert!(!read.is_carried_out());
        assert!(
            read.hint()
                .is_some_and(|hint| hint.contains("AWS_ENDPOINT_URL"))
        );
        assert!(of("ssm:PutParameter", 200, true, "").is_carried_out());
        assert!(of("apigateway:DeleteDeployment", 202, true, "").is_carried_out());
        assert!(!of("lambda:Invoke", 200, true, "").is_carried_out());
        // A server error and an incomplete response do not show whether the call was carried out.
        assert_eq!(
            of("ssm:PutParameter", 500, true, "").class,
            Class::Ambiguous
        );
        assert_eq!(
            of("ssm:PutParameter", 200, false, "").class,
            Class::Ambiguous
        );
    }
}

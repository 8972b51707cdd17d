//! Answers that say the call was carried out, and whose rest is not what the service's model says.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;

/// Whether an answer came that says the call was carried out, whole, and the rest of it is not what the service's model
/// says. Of one that broke off the body is not there.
pub(super) fn is_unreadable<E>(error: &SdkError<E, Response>) -> bool {
    matches!(
        error,
        SdkError::ServiceError(_) | SdkError::ResponseError(_)
    ) && error
        .raw_response()
        .is_some_and(|response| response.status().is_success() && response.body().bytes().is_some())
}

/// The cause behind all others, without what was found: that is a piece of the answer, which may be a secret.
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

    /// What the SDK makes of a whole answer, or of one that broke off.
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
        // A server that failed, and an answer that broke off, tell nothing of the call.
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

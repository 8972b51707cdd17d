//! AWS errors, classified by service, operation, error code and message.
//!
//! Only errors that are known to be temporary are retried, each for a limited time. Source: the
//! errors that Terraform's AWS provider (`service/lambda/function.go`, `service/ec2/errors.go`,
//! `service/elasticache/`) and cdkd (`retryable-errors.ts`) retry.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::unreadable;
use crate::error::Error;

/// How an error is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The service throttled the call and did not carry it out: the same call may be sent again.
    Throttled,
    /// It is unknown whether the call was carried out: read the state before sending it again.
    Ambiguous,
    /// Another resource must first become visible, usable or free; read the state again for at most
    /// this long.
    NotYet(Duration),
    /// The resource that the call names does not exist.
    NotFound,
    /// The service reports that the call was carried out, but the rest of the response cannot be read.
    Unreadable,
    /// The caller lacks a permission.
    Denied,
    /// The credentials are missing, invalid or expired.
    Credentials,
    /// The call was not sent, because the run must stop.
    Stopped,
    /// Any other error: a retry would not help.
    Fatal,
}

/// A failed AWS call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// `service:Operation`, for example `ec2:CreateVpc`.
    pub operation: &'static str,
    /// The service's error code; empty if there was no response.
    pub code: String,
    /// The service's message, or the transport error.
    pub message: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// How the error is handled.
    pub class: Class,
    /// The next step, where only the code that found the error knows it.
    pub advice: Option<String>,
}

impl AwsError {
    /// Converts an SDK error. It copies nothing from the request, so it cannot contain a secret.
    pub fn new<E>(operation: &'static str, error: &SdkError<E, Response>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        if unreadable::is_unreadable(error) {
            return Self {
                status,
                class: Class::Unreadable,
                ..Self::incomplete(
                    operation,
                    format!(
                        "the answer could not be parsed: {}",
                        unreadable::innermost(error)
                    ),
                )
            };
        }
        let message = match error {
            SdkError::ServiceError(_) => match (error.message(), status) {
                (Some(message), _) => message.to_owned(),
                (None, Some(status)) => format!("HTTP {status} with an empty error body"),
                (None, None) => "an empty error body".to_owned(),
            },
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            other => chain(other),
        };
        let transport = !matches!(error, SdkError::ServiceError(_));
        let class = classify(operation, &code, &message, status, transport);
        Self {
            operation,
            code,
            message,
            status,
            class,
            advice: None,
        }
    }

    /// An error for a response that lacks a required field.
    pub fn incomplete(operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            operation,
            code: String::new(),
            message: message.into(),
            status: None,
            class: Class::Fatal,
            advice: None,
        }
    }

    /// Whether the named resource does not exist.
    pub fn is_not_found(&self) -> bool {
        self.class == Class::NotFound
    }

    /// Whether the change was carried out although its response cannot be read.
    pub fn is_carried_out(&self) -> bool {
        self.class == Class::Unreadable && !reads(verb(self.operation))
    }

    /// Whether the resource that the call should create already exists.
    pub fn is_already_there(&self) -> bool {
        let code = self.code.as_str();
        code.contains("AlreadyExists")
            || code.ends_with(".Duplicate")
            || code == "Resource.AlreadyAssociated"
            || (code == "ResourceConflictException"
                && ["lambda:CreateFunction", "lambda:AddPermission"].contains(&self.operation))
    }

    /// The next step for the user, if known.
    pub fn hint(&self) -> Option<String> {
        if self.advice.is_some() {
            return self.advice.clone();
        }
        match self.class {
            Class::Denied => {
                let action = denied_action(&self.message).map(str::to_owned);
                let action = action.unwrap_or_else(|| iam_action(self.operation));
                Some(format!("grant {action} to the calling identity"))
            }
            Class::Credentials => Some(
                "check the credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID, or `aws sso login`"
                    .to_owned(),
            ),
            Class::Fatal if self.code == "NotAvailableInZone" => Some(
                "use another region, or subnets of your own in other zones (`network.vpc`)"
                    .to_owned(),
            ),
            Class::Fatal
                if self.code.ends_with("LimitExceeded")
                    || self.code.ends_with("QuotaExceededException") =>
            {
                Some(
                    "raise the quota in Service Quotas, or remove what is no longer used"
                        .to_owned(),
                )
            }
            Class::Unreadable => Some(
                "check what answers in place of AWS (AWS_ENDPOINT_URL, HTTPS_PROXY), or use a newer threescale-gw"
                    .to_owned(),
            ),
            Class::Ambiguous | Class::Throttled => {
                Some("run the same command again; it goes on from here".to_owned())
            }
            _ => None,
        }
    }
}

/// Joins an error and its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = anyhow::Chain::new(error).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

/// `CreateVpc` of `ec2:CreateVpc`.
fn verb(operation: &str) -> &str {
    operation.split(':').nth(1).unwrap_or_default()
}

/// Whether a call only reads. The only purpose of invoking a function here is to read its response.
fn reads(verb: &str) -> bool {
    ["Describe", "Get", "List", "Filter", "Invoke"]
        .iter()
        .any(|word| verb.starts_with(word))
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for AwsError {}

impl From<AwsError> for Error {
    fn from(source: AwsError) -> Self {
        let hint = source.hint();
        let error = Self::failed(source);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Temporary errors: operation prefix, error code, text that the message must contain, and retry
/// time. Quota errors and denied calls are absent on purpose.
const NOT_YET: &[(&str, &str, &str, Duration)] = &[
    (
        "lambda:",
        "InvalidParameterValueException",
        "cannot be assumed by Lambda",
        Duration::from_secs(180),
    ),
    (
        "lambda:",
        "InvalidParameterValueException",
        "execution role does not have permissions",
        Duration::from_secs(180),
    ),
    (
        "lambda:",
        "InvalidParameterValueException",
        "throttled by EC2",
        Duration::from_secs(540),
    ),
    (
        "lambda:",
        "InvalidParameterValueException",
        "KMS key is invalid for CreateGrant",
        Duration::from_secs(180),
    ),
    (
        "lambda:",
        "ResourceConflictException",
        "in progress",
        Duration::from_secs(600),
    ),
    (
        "lambda:",
        "ResourceConflictException",
        "is currently in the following state",
        Duration::from_secs(600),
    ),
    (
        "lambda:",
        "ResourceConflictException",
        "concurrent update operation",
        MINUTE,
    ),
    (
        "apigateway:",
        "ConflictException",
        "concurrent modification",
        MINUTE,
    ),
    ("ec2:", "DependencyViolation", "", Duration::from_secs(2700)),
    ("ec2:", "InvalidGroup.InUse", "", Duration::from_secs(2700)),
    (
        "ec2:",
        "InvalidNetworkInterface.InUse",
        "",
        Duration::from_secs(2700),
    ),
    (
        "ec2:ReleaseAddress",
        "AuthFailure",
        "do not have permission to access the specified resource",
        Duration::from_secs(600),
    ),
    (
        "ec2:ReleaseAddress",
        "InvalidIPAddress.InUse",
        "",
        Duration::from_secs(600),
    ),
    (
        "elasticache:",
        "InvalidReplicationGroupState",
        "",
        Duration::from_secs(3600),
    ),
    (
        "elasticache:",
        "InvalidCacheClusterState",
        "",
        Duration::from_secs(300),
    ),
    (
        "elasticache:DeleteCacheSubnetGroup",
        "CacheSubnetGroupInUse",
        "",
        Duration::from_secs(300),
    ),
    (
        "elasticache:DeleteCacheSubnetGroup",
        "DependencyViolation",
        "",
        Duration::from_secs(300),
    ),
    ("iam:", "ConcurrentModification", "", MINUTE),
    ("iam:", "DeleteConflict", "", MINUTE),
    ("logs:", "OperationAbortedException", "", MINUTE),
    ("events:", "ConcurrentModificationException", "", MINUTE),
    ("ssm:", "TooManyUpdates", "", MINUTE),
];

/// EC2 error codes for a newly created object that is not visible everywhere yet. On a delete, the
/// same codes mean that the object no longer exists.
const FRESH: &[&str] = &[
    "InvalidVpcID.NotFound",
    "InvalidSubnetID.NotFound",
    "InvalidInternetGatewayID.NotFound",
    "InvalidRouteTableID.NotFound",
    "InvalidGroup.NotFound",
    "InvalidAllocationID.NotFound",
    "InvalidNetworkInterfaceID.NotFound",
    "InvalidNatGatewayID.NotFound",
    "NatGatewayNotFound",
];

const THROTTLES: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "EC2ThrottledException",
    "SlowDown",
    "TooManyRequestsException",
    "PriorRequestNotComplete",
];

fn classify(
    operation: &str,
    code: &str,
    message: &str,
    status: Option<u16>,
    transport: bool,
) -> Class {
    if THROTTLES.contains(&code) || status == Some(429) || message.contains("Rate exceeded") {
        return Class::Throttled;
    }
    let verb = verb(operation);
    let removes = [
        "Delete",
        "Detach",
        "Release",
        "Revoke",
        "Remove",
        "Disassociate",
    ]
    .iter()
    .any(|p| verb.starts_with(p));
    if FRESH.contains(&code) && !removes && !reads(verb) {
        return Class::NotYet(Duration::from_secs(180));
    }
    if let Some(row) = NOT_YET
        .iter()
        .find(|row| operation.starts_with(row.0) && code == row.1 && message.contains(row.2))
    {
        return Class::NotYet(row.3);
    }
    // An authorizer or permission that another call still holds is not retried here; see the table.
    if code.ends_with("NotFound")
        || code.ends_with("NotFoundException")
        || code.ends_with("NotFoundFault")
        || code == "NoSuchEntity"
        || code == "ParameterNotFound"
        || code == "Gateway.NotAttached"
    {
        return Class::NotFound;
    }
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "AuthorizationError" => return Class::Denied,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "AuthFailure"
        | "RequestExpired"
        | "MissingAuthenticationToken"
        | "IncompleteSignature" => return Class::Credentials,
        _ => {}
    }
    if transport && (message.contains("credential") || message.contains("no providers in chain")) {
        return Class::Credentials;
    }
    match status {
        Some(500..=599) => Class::Ambiguous,
        Some(403) if code == "403" || code.is_empty() => Class::Denied,
        Some(_) if transport => Class::Ambiguous,
        None if transport => Class::Ambiguous,
        _ => Class::Fatal,
    }
}

/// The IAM action that allows an operation. API Gateway names its actions after the HTTP verb.
pub fn iam_action(operation: &str) -> String {
    match operation.split_once(':') {
        Some(("apigateway", call)) => {
            let verb = match call {
                c if c.starts_with("Get") => "GET",
                c if c.starts_with("Create") => "POST",
                c if c.starts_with("Update") => "PATCH",
                c if c.starts_with("Delete") => "DELETE",
                _ => "PUT",
            };
            format!("apigateway:{verb}")
        }
        Some(("lambda", "Invoke")) => "lambda:InvokeFunction".to_owned(),
        _ => operation.to_owned(),
    }
}

/// The IAM action that the error message names. It can differ from the operation's own action:
/// CreateFunction also needs `iam:PassRole`.
fn denied_action(message: &str) -> Option<&str> {
    message
        .split("not authorized to perform")
        .skip(1)
        .filter_map(|rest| rest.trim_start_matches(':').split_whitespace().next())
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .find(|word| {
            word.split_once(':').is_some_and(|(service, action)| {
                let is_service = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                !service.is_empty()
                    && service.chars().all(is_service)
                    && action.starts_with(|c: char| c.is_ascii_uppercase())
                    && action.chars().all(|c| c.is_ascii_alphanumeric())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(operation: &str, code: &str, message: &str, status: u16) -> Class {
        classify(operation, code, message, Some(status), false)
    }

    #[test]
    fn a_throttle_is_known_by_code_text_or_status() {
        for code in THROTTLES {
            assert_eq!(
                class("ec2:CreateVpc", code, "", 400),
                Class::Throttled,
                "{code}"
            );
        }
        assert_eq!(
            class("elasticache:X", "Other", "Rate exceeded", 400),
            Class::Throttled
        );
        assert_eq!(
            class("apigateway:UpdateMethod", "", "", 429),
            Class::Throttled
        );
    }

    #[test]
    fn every_row_of_the_table_is_a_wait_with_an_end() {
        for (operation, code, text, budget) in NOT_YET {
            let operation = if operation.ends_with(':') {
                format!("{operation}DeleteX")
            } else {
                (*operation).to_owned()
            };
            assert_eq!(
                class(&operation, code, &format!("… {text} …"), 400),
                Class::NotYet(*budget),
                "{operation} {code}"
            );
        }
    }

    #[test]
    fn a_fresh_object_is_waited_for_but_gone_on_delete() {
        for code in FRESH {
            assert!(
                matches!(class("ec2:CreateRoute", code, "", 400), Class::NotYet(_)),
                "{code}"
            );
            assert_eq!(
                class("ec2:DeleteSubnet", code, "", 400),
                Class::NotFound,
                "{code}"
            );
        }
    }

    #[test]
    fn quota_denied_and_validation_errors_are_never_tried_again() {
        for code in [
            "AddressLimitExceeded",
            "VpcLimitExceeded",
            "NatGatewayLimitExceeded",
            "ValidationException",
        ] {
            assert_eq!(
                class("ec2:CreateVpc", code, "", 400),
                Class::Fatal,
                "{code}"
            );
        }
        assert_eq!(
            class("ec2:CreateVpc", "UnauthorizedOperation", "", 403),
            Class::Denied
        );
        assert_eq!(
            class("sts:GetCallerIdentity", "ExpiredToken", "", 403),
            Class::Credentials
        );
    }

    #[test]
    fn a_server_error_and_a_lost_answer_are_ambiguous() {
        assert_eq!(
            class("ec2:CreateVpc", "InternalError", "", 500),
            Class::Ambiguous
        );
        assert_eq!(
            classify("ec2:CreateVpc", "", "connection closed", None, true),
            Class::Ambiguous
        );
    }

    #[test]
    fn the_missing_action_is_named_as_iam_names_it() {
        assert_eq!(iam_action("ec2:CreateVpc"), "ec2:CreateVpc");
        assert_eq!(iam_action("apigateway:UpdateMethod"), "apigateway:PATCH");
        assert_eq!(iam_action("apigateway:CreateDeployment"), "apigateway:POST");
    }

    #[test]
    fn what_is_there_already_is_told_from_what_cannot_be() {
        let is_there = |operation: &'static str, code: &str| {
            AwsError {
                code: code.to_owned(),
                ..AwsError::incomplete(operation, "")
            }
            .is_already_there()
        };
        for (operation, code) in [
            ("lambda:CreateFunction", "ResourceConflictException"),
            ("lambda:AddPermission", "ResourceConflictException"),
            ("iam:CreateRole", "EntityAlreadyExists"),
            (
                "elasticache:CreateReplicationGroup",
                "ReplicationGroupAlreadyExists",
            ),
            (
                "elasticache:CreateCacheSubnetGroup",
                "CacheSubnetGroupAlreadyExists",
            ),
            ("logs:CreateLogGroup", "ResourceAlreadyExistsException"),
            ("ssm:PutParameter", "ParameterAlreadyExists"),
            ("ec2:CreateSecurityGroup", "InvalidGroup.Duplicate"),
            (
                "ec2:AuthorizeSecurityGroupEgress",
                "InvalidPermission.Duplicate",
            ),
            ("ec2:CreateRoute", "RouteAlreadyExists"),
            ("ec2:AttachInternetGateway", "Resource.AlreadyAssociated"),
        ] {
            assert!(is_there(operation, code), "{operation} {code}");
        }
        for (operation, code) in [
            ("lambda:UpdateFunctionCode", "ResourceConflictException"),
            ("ec2:CreateVpc", "VpcLimitExceeded"),
            ("ec2:CreateSubnet", "InvalidSubnet.Conflict"),
        ] {
            assert!(!is_there(operation, code), "{operation} {code}");
        }
    }

    #[test]
    fn the_action_that_a_refusal_names_counts_more_than_the_operation() {
        let hint = |message: &str| {
            let error = AwsError {
                code: "AccessDeniedException".to_owned(),
                class: Class::Denied,
                ..AwsError::incomplete("lambda:CreateFunction", message)
            };
            error.hint().unwrap_or_default()
        };
        let named = |action: &str| format!("grant {action} to the calling identity");
        let user = "arn:aws:iam::123456789012:user/operator";
        for (message, action) in [
            (
                format!("User: {user} is not authorized to perform: iam:PassRole on resource: arn"),
                "iam:PassRole",
            ),
            (
                format!(
                    "You are not authorized to perform this operation. User: {user} is not authorized to perform: \
                     ec2:CreateTags on resource: *"
                ),
                "ec2:CreateTags",
            ),
            (
                format!("{user} is not authorized to perform servicequotas:GetServiceQuota."),
                "servicequotas:GetServiceQuota",
            ),
            // The message names no action: fall back to the operation's own.
            (
                "You are not authorized to perform this operation.".to_owned(),
                "lambda:CreateFunction",
            ),
            (
                format!("not authorized to perform: {user}"),
                "lambda:CreateFunction",
            ),
            (String::new(), "lambda:CreateFunction"),
        ] {
            assert_eq!(hint(&message), named(action), "{message}");
        }
    }
}

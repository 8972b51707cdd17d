//! AWS errors, classified by service, operation, error code and message.
//!
//! Only errors that are known to be temporary are retried, each for a limited time. Source: the
//! errors that Terraform's AWS provider (`service/lambda/function.go`, `service/ec2/errors.go`,
//! `service/elasticache/`) and cdkd (`retryable-errors.ts`) retry.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::unreadable;
use crate::code::Code;
use crate::error::Error;
use crate::printable::line;

/// How an error is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The service throttled the call and did not carry it out: the same call may be sent again.
    Throttled,
    /// It is unknown whether the call was carried out: read the state before sending it again.
    Ambiguous,
    /// No connection could be made, so the request was not sent: try again for at most this long.
    Unreachable(Duration),
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
    /// The reason in the error's body, which Lambda adds to a throttled invocation, for example
    /// `ReservedFunctionConcurrentInvocationLimitExceeded`.
    pub reason: Option<String>,
    /// What the operating system reports about the connection, if there was no response.
    pub io: Option<ErrorKind>,
    /// How the error is handled.
    pub class: Class,
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
        let code = line(error.code().unwrap_or_default()).into_owned();
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
            message: line(&message).into_owned(),
            status,
            reason: error
                .raw_response()
                .and_then(|response| reason(response.body().bytes()?)),
            io: anyhow::Chain::new(error)
                .find_map(|cause| cause.downcast_ref::<std::io::Error>())
                .map(std::io::Error::kind),
            class,
        }
    }

    /// An error for a response that lacks a required field.
    pub fn incomplete(operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            operation,
            code: String::new(),
            message: line(&message.into()).into_owned(),
            status: None,
            reason: None,
            io: None,
            class: Class::Fatal,
        }
    }

    /// The code of an error with this cause.
    pub fn kind(&self) -> Code {
        match self.class {
            Class::Throttled => Code::AwsThrottled,
            Class::Ambiguous | Class::Unreadable => Code::AwsUnanswered,
            Class::Unreachable(_) => Code::AwsUnreachable,
            Class::NotFound => Code::AwsNotFound,
            Class::Denied => Code::AwsDenied,
            Class::Credentials => Code::AwsCredentials,
            Class::Stopped => Code::Interrupted,
            Class::NotYet(_) | Class::Fatal => Code::AwsFailed,
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

    /// How long the call may be sent again that API Gateway has not carried out, because it carries out one write at a time for
    /// an API. `None` for other errors.
    pub fn is_behind_another_write(&self) -> Option<Duration> {
        match self.class {
            Class::NotYet(budget) if self.code == "ConflictException" => Some(budget),
            _ => None,
        }
        .filter(|_| self.operation.starts_with("apigateway:"))
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

    /// Whether a KMS key cannot be used: it is disabled, deleted, or denied. Lambda names it in the code, and in the message where a
    /// change needs it; the Parameter Store has words of its own.
    /// Source: messages of the services, aws-ssm-copy issue 10, mu issue 345.
    pub fn is_about_key(&self) -> bool {
        let (code, message) = (self.code.as_str(), self.message.as_str());
        match self.operation.split(':').next() {
            Some("lambda") => {
                code.starts_with("KMS")
                    || (code == "InvalidParameterValueException" && message.contains("KMS"))
            }
            Some("ssm") => {
                let is_named = message.contains("ciphertext") || message.contains("kms:");
                code == "InvalidKeyId" || (self.class == Class::Denied && is_named)
            }
            _ => false,
        }
    }

    /// Whether the signature is not accepted because of the time in it.
    fn is_about_the_clock(&self) -> bool {
        ["RequestExpired", "RequestTimeTooSkewed"].contains(&self.code.as_str())
            || self.message.contains("Signature expired")
            || self.message.contains("Signature not yet current")
    }

    /// What AWS does not accept about the credentials, and the next step if it is the same for all of them. `None` if AWS was not
    /// asked.
    pub fn refusal(&self) -> Option<(&'static str, Option<String>)> {
        let words = match self.code.as_str() {
            "" => return None,
            _ if self.is_about_the_clock() => {
                return Some(("AWS does not accept the time of the request", self.hint()));
            }
            "ExpiredToken" | "ExpiredTokenException" => "the credentials have expired",
            "InvalidClientTokenId" | "UnrecognizedClientException" => {
                "AWS does not recognize the access key"
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" => {
                "the secret access key does not belong to the access key"
            }
            _ => "AWS does not accept the credentials",
        };
        Some((words, None))
    }

    /// Whether no source of credentials is configured on this machine.
    pub fn is_without_source(&self) -> bool {
        self.class == Class::Credentials && self.message.contains("no credentials found in chain")
    }

    /// Whether EC2 has no place for an instance of this type in this zone.
    fn is_about_instances(&self) -> bool {
        ["ec2:RunInstances", "ec2:StartInstances"].contains(&self.operation)
            && ["InsufficientInstanceCapacity", "Unsupported"].contains(&self.code.as_str())
    }

    /// The next step for the user, if known.
    pub fn hint(&self) -> Option<String> {
        match self.class {
            Class::Denied => {
                let action = denied_action(&self.message).map(str::to_owned);
                let action = action.unwrap_or_else(|| iam_action(self.operation));
                Some(denial_hint(&self.message, &action))
            }
            Class::Credentials if self.is_about_the_clock() => Some(
                "the clock of this machine differs from AWS's by more than AWS accepts: set it, for example with NTP"
                    .to_owned(),
            ),
            Class::Credentials => Some(
                "renew the credentials (with IAM Identity Center: `aws sso login`), then run the same command again"
                    .to_owned(),
            ),
            Class::Fatal if self.code == "NotAvailableInZone" => Some(
                "use another region, or subnets of your own in other zones (`network.vpc`)"
                    .to_owned(),
            ),
            _ if self.is_about_instances() => Some(
                "`network.nat: single` needs no instance; or run the same command again later".to_owned(),
            ),
            Class::Fatal if self.code == "VcpuLimitExceeded" => Some(
                "raise the quota `Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances` of Amazon EC2 in Service Quotas, \
                 or use `network.nat: single`"
                    .to_owned(),
            ),
            Class::Fatal if is_quota(&self.code) => {
                Some(
                    "raise the quota in Service Quotas, or remove what is no longer used"
                        .to_owned(),
                )
            }
            Class::Unreachable(Duration::ZERO) => Some(
                "start what should listen there, or correct --endpoint-url or AWS_ENDPOINT_URL".to_owned(),
            ),
            Class::Unreachable(_) => Some(
                "check the Region, the connection of this machine, its DNS servers, and HTTPS_PROXY".to_owned(),
            ),
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

/// Whether the code says that a quota is used up. Quotas are not retried.
fn is_quota(code: &str) -> bool {
    code.ends_with("LimitExceeded")
        || code.ends_with("LimitExceededException")
        || code.contains("QuotaExceeded")
        || code.contains("QuotaForCustomerExceeded")
}

/// The hint for a refused call. IAM's messages name the type of the policy that refuses it. An explicit
/// deny takes precedence over every allow.
/// Source: IAM User Guide, "Troubleshoot access denied error messages".
fn denial_hint(message: &str, action: &str) -> String {
    let policy = |text: &str| {
        let words = text
            .split([',', '.', ':'])
            .next()
            .unwrap_or_default()
            .trim();
        words
            .trim_start_matches("an ")
            .trim_start_matches("a ")
            .to_owned()
    };
    if let Some((_, rest)) = message.split_once("with an explicit deny in ") {
        return format!(
            "an explicit deny of {action} in the {} refuses this, and no allow overrides it: remove or narrow the deny",
            policy(rest)
        );
    }
    match message.split_once("because no ") {
        Some((_, rest)) if !rest.starts_with("identity-based policy") => {
            let policy = rest.split(" allows").next().unwrap_or_default();
            format!("allow {action} in the {}", policy.trim())
        }
        _ => format!("grant {action} to the calling identity"),
    }
}

/// The member `Reason` of an error's body. Only a word: the text could contain anything.
fn reason(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let reason = body.get("Reason")?.as_str()?;
    let is_word = !reason.is_empty() && reason.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| reason.to_owned())
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
        let code = source.kind();
        let error = Self::failed(source).with_code(code);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// The error of a function whose role may not decrypt its environment.
const KMS_DENIED: &str = "KMSAccessDeniedException";
/// What Lambda repeats of KMS about a key that does not become usable by itself.
const UNUSABLE_KEY: [&str; 5] = [
    "is disabled",
    "is pending deletion",
    "does not exist",
    "is not authorized to perform",
    "InvalidKeyUsageException",
];

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
    // Lambda looks for new subnets and security groups, which may not be visible to it yet.
    (
        "lambda:",
        "InvalidParameterValueException",
        "EC2 Error Code: InvalidSubnetID.NotFound",
        Duration::from_secs(180),
    ),
    (
        "lambda:",
        "InvalidParameterValueException",
        "EC2 Error Code: InvalidGroup.NotFound",
        Duration::from_secs(180),
    ),
    (
        "lambda:",
        "InvalidParameterValueException",
        "EC2 Error Code: InvalidSecurityGroupID.NotFound",
        Duration::from_secs(180),
    ),
    // A function that was not invoked for weeks is inactive. The first invocation restores it, which takes
    // 40 to 106 s. Source: aws-solutions-library-samples, issue 801 of
    // accelerated-intelligent-document-processing-on-aws.
    (
        "lambda:Invoke",
        "CodeArtifactUserPendingException",
        "",
        Duration::from_secs(300),
    ),
    (
        "lambda:Invoke",
        "ResourceNotReadyException",
        "",
        Duration::from_secs(300),
    ),
    // The callers of the API use the same concurrency.
    (
        "lambda:Invoke",
        "TooManyRequestsException",
        "",
        Duration::from_secs(30),
    ),
    // The grant for the role was created a moment ago.
    ("lambda:Invoke", KMS_DENIED, "", Duration::from_secs(30)),
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
        "ec2:DeleteNetworkInterface",
        "InvalidParameterValue",
        "is currently in use",
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
    // One of the stack that is not listed yet, or is being deleted, has the private names.
    (
        "ec2:CreateVpcEndpoint",
        "InvalidParameter",
        "conflicting DNS domain",
        Duration::from_secs(300),
    ),
    // It can last longer than this, and then another zone or a NAT gateway is the way.
    (
        "ec2:RunInstances",
        "InsufficientInstanceCapacity",
        "",
        Duration::from_secs(120),
    ),
    (
        "ec2:StartInstances",
        "InsufficientInstanceCapacity",
        "",
        Duration::from_secs(120),
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
        "elasticache:",
        "InvalidServerlessCacheStateFault",
        "",
        Duration::from_secs(2400),
    ),
    // The endpoint in the VPC disappears with a delay. Source: Terraform's AWS provider, `serverless_cache.go`.
    (
        "elasticache:DeleteServerlessCache",
        "DependencyViolation",
        "",
        Duration::from_secs(300),
    ),
    (
        "elasticache:",
        "InvalidUserGroupState",
        "",
        Duration::from_secs(600),
    ),
    (
        "elasticache:",
        "InvalidUserState",
        "",
        Duration::from_secs(300),
    ),
    // What was created a moment ago may not be visible yet.
    (
        "elasticache:CreateUserGroup",
        "UserNotFound",
        "",
        Duration::from_secs(180),
    ),
    (
        "elasticache:CreateServerlessCache",
        "UserGroupNotFound",
        "",
        Duration::from_secs(180),
    ),
    // The deletion of its group is not visible yet.
    (
        "elasticache:DeleteUser",
        "DefaultUserAssociatedToUserGroup",
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
    (
        "events:DeleteRule",
        "ValidationException",
        "since it has targets",
        MINUTE,
    ),
    ("ssm:", "TooManyUpdates", "", MINUTE),
    ("cloudwatch:", "ConcurrentModificationException", "", MINUTE),
    ("cloudwatch:", "ConflictException", "", MINUTE),
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
    "InvalidInstanceID.NotFound",
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
    // API Gateway's quotas have the status of a throttled call. A throttled invocation is not a throttled
    // control call: it is in the table.
    let is_invocation = operation == "lambda:Invoke";
    let is_throttled = THROTTLES.contains(&code)
        || !is_quota(code) && (status == Some(429) || message.contains("Rate exceeded"));
    if is_throttled && !is_invocation {
        return Class::Throttled;
    }
    // A function whose environment cannot be decrypted does not start: 502, but not a fault of the service.
    let is_about_key = operation.starts_with("lambda:")
        && (code.starts_with("KMS") && code != KMS_DENIED
            || message.contains("KMS key is invalid for CreateGrant")
                && UNUSABLE_KEY.iter().any(|text| message.contains(text)));
    if is_about_key {
        return Class::Fatal;
    }
    let verb = verb(operation);
    let removes = [
        "Delete",
        "Detach",
        "Release",
        "Revoke",
        "Remove",
        "Disassociate",
        "Terminate",
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
        | "RequestTimeTooSkewed"
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

/// The IAM action that allows an operation. API Gateway names its actions after the HTTP verb, but for those of routing rules.
/// Source: Service Authorization Reference, Amazon API Gateway Management V2.
pub fn iam_action(operation: &str) -> String {
    match operation.split_once(':') {
        Some(("apigateway", call)) if !call.contains("RoutingRule") => {
            let verb = match call {
                c if c.starts_with("Get") || c.starts_with("Export") => "GET",
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
mod tests;

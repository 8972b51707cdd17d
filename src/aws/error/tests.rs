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
fn a_quota_with_the_status_of_a_throttle_is_not_retried() {
    let quota = "LimitExceededException";
    assert_eq!(
        class("apigateway:CreateDeployment", quota, "", 429),
        Class::Fatal
    );
    let error = AwsError {
        code: quota.to_owned(),
        ..AwsError::incomplete("apigateway:CreateDeployment", "")
    };
    assert!(error.hint().is_some_and(|hint| hint.contains("quota")));
    for code in THROTTLES {
        assert!(class("ec2:CreateVpc", code, "", 429) == Class::Throttled);
    }
}

#[test]
fn a_throttled_invocation_is_not_a_throttled_control_call() {
    let code = "TooManyRequestsException";
    assert!(matches!(
        class("lambda:Invoke", code, "Rate Exceeded.", 429),
        Class::NotYet(_)
    ));
    assert_eq!(class("lambda:GetFunction", code, "", 429), Class::Throttled);
    let word = "ReservedFunctionConcurrentInvocationLimitExceeded";
    let body = format!(r#"{{"Reason":"{word}","Type":"User","message":"Rate Exceeded."}}"#);
    assert_eq!(reason(body.as_bytes()).as_deref(), Some(word));
    for other in [
        "",
        "<Error/>",
        "[]",
        r#"{"Reason":1}"#,
        r#"{"Reason":"a\u001b[0m"}"#,
    ] {
        assert_eq!(reason(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn a_wrong_clock_is_about_the_clock() {
    let hint = |code: &str, message: &str| {
        let error = AwsError {
            code: code.to_owned(),
            class: class("sts:GetCallerIdentity", code, message, 403),
            ..AwsError::incomplete("sts:GetCallerIdentity", message)
        };
        assert_eq!(error.class, Class::Credentials, "{code}");
        error.hint().unwrap_or_default()
    };
    for (code, message) in [
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261128T100000Z is now earlier than 20261128T101500Z (20261128T103000Z - 15 min.)",
        ),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20261128T110000Z is still later than 20261128T101500Z (20261128T100000Z + 15 min.)",
        ),
        ("RequestExpired", "Request has expired."),
        ("RequestTimeTooSkewed", ""),
    ] {
        assert!(hint(code, message).contains("clock"), "{code}");
    }
    let other = "The request signature we calculated does not match the signature you provided.";
    assert!(!hint("SignatureDoesNotMatch", other).contains("clock"));
}

#[test]
fn a_denial_names_the_policy_that_refuses() {
    let user = "User: arn:aws:iam::123456789012:user/operator is not authorized to perform: iam:PassRole on resource: r";
    for (cause, expected) in [
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o/p",
            "explicit deny of iam:PassRole in the service control policy",
        ),
        (
            "with an explicit deny in an identity-based policy",
            "explicit deny of iam:PassRole in the identity-based policy",
        ),
        (
            "because no permissions boundary allows the iam:PassRole action",
            "allow iam:PassRole in the permissions boundary",
        ),
        (
            "because no service control policy allows the iam:PassRole action",
            "allow iam:PassRole in the service control policy",
        ),
        (
            "because no identity-based policy allows the iam:PassRole action",
            "grant iam:PassRole to the calling identity",
        ),
    ] {
        let error = AwsError {
            class: Class::Denied,
            ..AwsError::incomplete("lambda:CreateFunction", format!("{user} {cause}"))
        };
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(expected), "{hint}");
    }
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
fn an_instance_that_has_no_place_can_be_a_nat_gateway() {
    let hint = |code: &str| {
        let error = AwsError {
            code: code.to_owned(),
            class: class("ec2:RunInstances", code, "", 400),
            ..AwsError::incomplete("ec2:RunInstances", "")
        };
        error.hint().unwrap_or_default()
    };
    for code in ["InsufficientInstanceCapacity", "Unsupported"] {
        assert!(hint(code).contains("network.nat: single"), "{code}");
    }
    assert!(hint("VcpuLimitExceeded").contains("Running On-Demand Standard"));
    let capacity = "InsufficientInstanceCapacity";
    let waits = class("ec2:RunInstances", capacity, "", 500);
    assert!(matches!(waits, Class::NotYet(_)));
}

#[test]
fn a_key_that_cannot_be_used_is_not_waited_for() {
    for code in [
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
    ] {
        assert_eq!(class("lambda:Invoke", code, "", 502), Class::Fatal);
    }
    // A grant or a permission that is new.
    let denied = class("lambda:Invoke", "KMSAccessDeniedException", "", 502);
    assert!(matches!(denied, Class::NotYet(_)), "{denied:?}");
    let update = |message: &str| {
        let operation = "lambda:UpdateFunctionConfiguration";
        let text = format!("the KMS key is invalid for CreateGrant. KMS Message: {message}");
        class(operation, "InvalidParameterValueException", &text, 400)
    };
    for message in [
        "k is disabled.",
        "k is pending deletion.",
        "Key 'k' does not exist",
    ] {
        assert_eq!(update(message), Class::Fatal, "{message}");
    }
    assert!(matches!(
        update("ARN does not refer to a valid principal"),
        Class::NotYet(_)
    ));
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
    let rules = "apigateway:ListRoutingRules";
    assert_eq!(iam_action(rules), rules);
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

#[test]
fn a_key_that_cannot_be_used_is_told_by_code_or_message() {
    let is_about_key = |operation, code: &str, message: &str, class| {
        let error = AwsError {
            code: code.to_owned(),
            class,
            ..AwsError::incomplete(operation, message)
        };
        error.is_about_key()
    };
    let (fatal, denied) = (Class::Fatal, Class::Denied);
    let invalid = "InvalidParameterValueException";
    for (operation, code, message, class, expected) in [
        ("lambda:Invoke", "KMSDisabledException", "", fatal, true),
        (
            "lambda:UpdateFunctionConfiguration",
            invalid,
            "the KMS key is invalid for CreateGrant",
            fatal,
            true,
        ),
        (
            "lambda:UpdateFunctionConfiguration",
            invalid,
            "no subnet",
            fatal,
            false,
        ),
        ("ssm:GetParametersByPath", "InvalidKeyId", "", fatal, true),
        (
            "ssm:GetParametersByPath",
            "AccessDeniedException",
            "not authorized to perform: kms:Decrypt",
            denied,
            true,
        ),
        (
            "ssm:GetParametersByPath",
            "AccessDeniedException",
            "ssm:GetParametersByPath",
            denied,
            false,
        ),
        ("ec2:CreateVpc", "InvalidKeyId", "", fatal, false),
    ] {
        let told = is_about_key(operation, code, message, class);
        assert_eq!(told, expected, "{operation} {code} {message}");
    }
}

#[test]
fn a_message_is_on_one_line() {
    let error = AwsError::incomplete("apigateway:X", "no\nerror: \u{1b}[31mluck".to_owned());
    assert_eq!(error.message, r"no\nerror: \u{1b}[31mluck");
}

//! The functions, and what they need.

use serde_json::{Map, Value, json};

use super::{Writer, set, tagged};
use crate::kind::Kind;
use crate::resource::description::{
    Alias, Authorizer, Description, Function, LogGroup, Permission, Role, Schedule,
};

pub(super) fn role(writer: &mut Writer, found: &Description, role: &Role) {
    let policies = role.inline.iter();
    let policies: Vec<_> = policies
        .map(|(name, document)| json!({"PolicyName": name, "PolicyDocument": document}))
        .collect();
    let mut properties = json!({
        "RoleName": role.name,
        "Path": role.path,
        "Description": role.description,
        "AssumeRolePolicyDocument": role.trust,
    });
    set(
        &mut properties,
        "Policies",
        Some(policies).filter(|policies| !policies.is_empty()),
    );
    let attached = Some(role.attached.clone()).filter(|attached| !attached.is_empty());
    set(&mut properties, "ManagedPolicyArns", attached);
    set(
        &mut properties,
        "PermissionsBoundary",
        role.boundary.clone(),
    );
    set(&mut properties, "MaxSessionDuration", role.max_session);
    writer.add(
        writer.label(found),
        "AWS::IAM::Role",
        json!({"RoleName": role.name}),
        tagged(properties, found),
    );
}

pub(super) fn log_group(writer: &mut Writer, found: &Description, group: &LogGroup) {
    let mut properties = json!({"LogGroupName": group.name});
    set(&mut properties, "RetentionInDays", group.retention_days);
    set(&mut properties, "KmsKeyId", group.kms_key.clone());
    writer.add(
        writer.label(found),
        "AWS::Logs::LogGroup",
        json!({"LogGroupName": group.name}),
        tagged(properties, found),
    );
}

pub(super) fn function(writer: &mut Writer, found: &Description, function: &Function) {
    let label = writer.label(found);
    let (bucket, key) = (format!("{label}Bucket"), format!("{label}Key"));
    let mut properties = json!({
        "FunctionName": function.name,
        "Description": function.description,
        "Role": writer.id(&function.role),
        "Code": {"S3Bucket": {"Ref": bucket}, "S3Key": {"Ref": key}},
        "Architectures": function.architectures,
        "MemorySize": function.memory,
        "Timeout": function.timeout,
    });
    writer.parameters.extend([
        (
            bucket,
            "The S3 bucket of the code. An import does not read it.",
        ),
        (key, "The zip file in that bucket, for the next update."),
    ]);
    set(&mut properties, "Runtime", function.runtime.clone());
    set(&mut properties, "Handler", function.handler.clone());
    set(&mut properties, "KmsKeyArn", function.kms_key.clone());
    let variables: Map<_, _> = function
        .environment
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    let environment = (!variables.is_empty()).then(|| json!({"Variables": variables}));
    set(&mut properties, "Environment", environment);
    let vpc = (!function.subnets.is_empty()).then(|| {
        json!({
            "SubnetIds": writer.ids(&function.subnets),
            "SecurityGroupIds": writer.ids(&function.security_groups),
        })
    });
    set(&mut properties, "VpcConfig", vpc);
    set(
        &mut properties,
        "ReservedConcurrentExecutions",
        function.reserved,
    );
    writer.add(
        label,
        "AWS::Lambda::Function",
        json!({"FunctionName": function.name}),
        tagged(properties, found),
    );
}

pub(super) fn alias(writer: &mut Writer, found: &Description, alias: &Alias) {
    let mut properties = json!({
        "Name": alias.name,
        "Description": alias.description,
        "FunctionName": writer.name(Kind::Function, &alias.function),
        "FunctionVersion": alias.version,
    });
    let weights: Vec<_> = alias
        .weights
        .iter()
        .map(|(version, weight)| {
            let weight: Value = serde_json::from_str(weight).unwrap_or_default();
            json!({"FunctionVersion": version, "FunctionWeight": weight})
        })
        .collect();
    let routing = (!weights.is_empty()).then(|| json!({"AdditionalVersionWeights": weights}));
    set(&mut properties, "RoutingConfig", routing);
    writer.add(
        writer.label(found),
        "AWS::Lambda::Alias",
        json!({"AliasArn": alias.arn}),
        properties,
    );
}

pub(super) fn permission(writer: &mut Writer, found: &Description, permission: &Permission) {
    if !permission.is_plain {
        return;
    }
    // Of an alias, `Ref` returns the ARN.
    let function = match permission.alias {
        Some(_) => writer.name(Kind::FunctionAlias, &permission.function),
        None => writer.name(Kind::Function, &permission.function),
    };
    let mut identified = permission.function.clone();
    if let Some(alias) = permission.alias {
        identified = format!("{identified}:{alias}");
    }
    let mut properties = json!({
        "FunctionName": function,
        "Action": permission.action,
        "Principal": permission.principal,
    });
    let source = permission.source.as_ref().map(|source| writer.id(source));
    set(&mut properties, "SourceArn", source);
    writer.add(
        writer.label(found),
        "AWS::Lambda::Permission",
        json!({"FunctionName": identified, "Id": permission.statement}),
        properties,
    );
}

pub(super) fn schedule(writer: &mut Writer, found: &Description, schedule: &Schedule) {
    let targets = schedule.targets.iter();
    let targets: Vec<_> = targets
        .map(|(id, arn)| json!({"Id": id, "Arn": writer.id(arn)}))
        .collect();
    let mut properties = json!({
        "Name": schedule.rule,
        "Description": schedule.description,
        "ScheduleExpression": schedule.expression,
        "State": if schedule.enabled { "ENABLED" } else { "DISABLED" },
    });
    set(
        &mut properties,
        "Targets",
        Some(targets).filter(|targets| !targets.is_empty()),
    );
    writer.add(
        writer.label(found),
        "AWS::Events::Rule",
        json!({"Arn": schedule.arn}),
        tagged(properties, found),
    );
}

pub(super) fn authorizer(writer: &mut Writer, found: &Description, authorizer: &Authorizer) {
    if !authorizer.is_of_rest_api {
        return of_version_2(writer, found, authorizer);
    }
    let mut properties = json!({
        "RestApiId": authorizer.api_id,
        "Name": authorizer.name,
        "Type": authorizer.kind,
        "AuthorizerUri": authorizer.uri,
        "AuthorizerResultTtlInSeconds": authorizer.ttl,
    });
    let source = Some(authorizer.identity_source.clone()).filter(|source| !source.is_empty());
    set(&mut properties, "IdentitySource", source);
    writer.add(
        writer.label(found),
        "AWS::ApiGateway::Authorizer",
        json!({"RestApiId": authorizer.api_id, "AuthorizerId": authorizer.authorizer_id}),
        properties,
    );
}

/// The authorizer of an HTTP or WebSocket API.
/// Source: AWS CloudFormation Template Reference, `AWS::ApiGatewayV2::Authorizer`.
fn of_version_2(writer: &mut Writer, found: &Description, authorizer: &Authorizer) {
    let sources: Vec<_> = authorizer.identity_sources().collect();
    let mut properties = json!({
        "ApiId": authorizer.api_id,
        "Name": authorizer.name,
        "AuthorizerType": authorizer.kind,
        "AuthorizerUri": authorizer.uri,
        "IdentitySource": sources,
    });
    if let Some((version, is_simple)) = authorizer.payload() {
        properties["AuthorizerPayloadFormatVersion"] = json!(version);
        properties["EnableSimpleResponses"] = json!(is_simple);
        properties["AuthorizerResultTtlInSeconds"] = json!(authorizer.ttl);
    }
    writer.add(
        writer.label(found),
        "AWS::ApiGatewayV2::Authorizer",
        json!({"ApiId": authorizer.api_id, "AuthorizerId": authorizer.authorizer_id}),
        properties,
    );
}

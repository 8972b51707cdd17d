//! The functions, and what they need.

use super::super::hcl::{Block, Expression};
use super::{Resources, Writer, ignoring, tagged};
use crate::kind::Kind;
use crate::resource::description::{
    Alias, Authorizer, Description, Function, LogGroup, Permission, Role, Schedule,
};

pub(super) fn role(writer: &Writer, found: &Description, role: &Role, all: &mut Resources) {
    let label = writer.labels.of(&found.id);
    let mut block = writer
        .block("aws_iam_role", found)
        .with("name", role.name.as_str())
        .with("path", role.path.as_str())
        .with("description", role.description.as_str());
    if let Some(boundary) = &role.boundary {
        block = block.with("permissions_boundary", boundary.as_str());
    }
    // The provider's default is an hour.
    if let Some(seconds) = role.max_session.filter(|seconds| *seconds != 3600) {
        block = block.with("max_session_duration", seconds);
    }
    block = block.with("assume_role_policy", Expression::Json(role.trust.clone()));
    all.add(&role.name, tagged(block, found));
    let name = || writer.name(Kind::IamRole, &role.name);
    for (index, (policy, document)) in role.inline.iter().enumerate() {
        let block = Block::new("resource", ["aws_iam_role_policy", &numbered(label, index)])
            .with("name", policy.as_str())
            .with("role", name())
            .with("policy", Expression::Json(document.clone()));
        all.add(format!("{}:{policy}", role.name), block);
    }
    for (index, arn) in role.attached.iter().enumerate() {
        let label = numbered(label, index);
        let block = Block::new("resource", ["aws_iam_role_policy_attachment", &label])
            .with("role", name())
            .with("policy_arn", arn.as_str());
        all.add(format!("{}/{arn}", role.name), block);
    }
}

fn numbered(label: &str, index: usize) -> String {
    match index {
        0 => label.to_owned(),
        index => format!("{label}_{}", index + 1),
    }
}

pub(super) fn log_group(
    writer: &Writer,
    found: &Description,
    group: &LogGroup,
    all: &mut Resources,
) {
    let mut block = writer
        .block("aws_cloudwatch_log_group", found)
        .with("name", group.name.as_str());
    if let Some(days) = group.retention_days {
        block = block.with("retention_in_days", days);
    }
    if let Some(key) = &group.kms_key {
        block = block.with("kms_key_id", key.as_str());
    }
    all.add(&group.name, tagged(block, found));
}

pub(super) fn function(
    writer: &Writer,
    found: &Description,
    function: &Function,
    all: &mut Resources,
) {
    let label = writer.labels.of(&found.id);
    let architectures = function.architectures.iter();
    let architectures: Vec<Expression> = architectures.map(|name| name.as_str().into()).collect();
    let mut block = writer
        .block("aws_lambda_function", found)
        .with("function_name", function.name.as_str())
        .with("description", function.description.as_str())
        .with("role", writer.id(&function.role))
        .with("filename", format!("{label}.zip").as_str());
    for (key, value) in [
        ("runtime", &function.runtime),
        ("handler", &function.handler),
    ] {
        if let Some(value) = value {
            block = block.with(key, value.as_str());
        }
    }
    block = block
        .with("architectures", architectures)
        .with("memory_size", function.memory)
        .with("timeout", function.timeout);
    if let Some(key) = &function.kms_key {
        block = block.with("kms_key_arn", key.as_str());
    }
    if let Some(reserved) = function.reserved {
        block = block.with("reserved_concurrent_executions", reserved);
    }
    block = tagged(block, found);
    if !function.environment.is_empty() {
        let variables = function.environment.iter();
        let variables = variables.map(|(key, value)| (key.clone(), value.as_str().into()));
        let variables = Expression::Object(variables.collect());
        block = block.with_block(Block::new("environment", []).with("variables", variables));
    }
    if !function.subnets.is_empty() {
        let vpc = Block::new("vpc_config", [])
            .with("subnet_ids", writer.ids(&function.subnets))
            .with("security_group_ids", writer.ids(&function.security_groups));
        block = block.with_block(vpc);
    }
    let kept = ignoring(&["filename"]);
    let block = block.with_block(kept.about(
        "The code stays as it is: its archive is not part of the export, and is not read. To deploy other code, remove this block, \
         and set `source_code_hash` and `publish`.",
    ));
    all.add(&function.name, block);
}

pub(super) fn alias(writer: &Writer, found: &Description, alias: &Alias, all: &mut Resources) {
    let mut block = writer
        .block("aws_lambda_alias", found)
        .with("name", alias.name.as_str())
        .with("description", alias.description.as_str())
        .with(
            "function_name",
            writer.name(Kind::Function, &alias.function),
        )
        .with("function_version", alias.version.as_str());
    if !alias.weights.is_empty() {
        let weights = alias.weights.iter();
        let weights = weights
            .map(|(version, weight)| (version.clone(), Expression::Reference(weight.clone())));
        let weights = Expression::Object(weights.collect());
        let routing = Block::new("routing_config", []).with("additional_version_weights", weights);
        block = block.with_block(routing);
    }
    let block = block.about(
        "Callers invoke this published version. Terraform publishes another one if `publish` of the function is true; \
         the alias follows with `function_version` of that.",
    );
    all.add(format!("{}/{}", alias.function, alias.name), block);
}

pub(super) fn permission(
    writer: &Writer,
    found: &Description,
    permission: &Permission,
    all: &mut Resources,
) {
    if !permission.is_plain {
        return;
    }
    let mut block = writer
        .block("aws_lambda_permission", found)
        .with("statement_id", permission.statement.as_str())
        .with("action", permission.action.as_str())
        .with(
            "function_name",
            writer.name(Kind::Function, &permission.function),
        );
    let mut import = permission.function.clone();
    if let Some(alias) = permission.alias {
        block = block.with(
            "qualifier",
            writer.name(Kind::FunctionAlias, &permission.function),
        );
        import.push(':');
        import.push_str(alias);
    }
    block = block.with("principal", permission.principal.as_str());
    if let Some(source) = &permission.source {
        block = block.with("source_arn", writer.id(source));
    }
    all.add(format!("{import}/{}", permission.statement), block);
}

pub(super) fn schedule(
    writer: &Writer,
    found: &Description,
    schedule: &Schedule,
    all: &mut Resources,
) {
    let block = writer
        .block("aws_cloudwatch_event_rule", found)
        .with("name", schedule.rule.as_str())
        .with("description", schedule.description.as_str())
        .with("schedule_expression", schedule.expression.as_str())
        .with(
            "state",
            if schedule.enabled {
                "ENABLED"
            } else {
                "DISABLED"
            },
        );
    all.add(&schedule.rule, tagged(block, found));
    let label = writer.labels.of(&found.id);
    for (index, (target, arn)) in schedule.targets.iter().enumerate() {
        let label = numbered(label, index);
        let block = Block::new("resource", ["aws_cloudwatch_event_target", &label])
            .with("rule", writer.name(Kind::Schedule, &schedule.rule))
            .with("target_id", target.as_str())
            .with("arn", writer.id(arn));
        all.add(format!("{}/{target}", schedule.rule), block);
    }
}

pub(super) fn authorizer(
    writer: &Writer,
    found: &Description,
    authorizer: &Authorizer,
    all: &mut Resources,
) {
    let block = match authorizer.is_of_rest_api {
        true => writer
            .block("aws_api_gateway_authorizer", found)
            .with("rest_api_id", authorizer.api_id.as_str())
            .with("name", authorizer.name.as_str())
            .with("type", authorizer.kind.as_str())
            .with("authorizer_uri", writer.id(&authorizer.uri))
            .with("identity_source", authorizer.identity_source.as_str())
            .with("authorizer_result_ttl_in_seconds", authorizer.ttl),
        false => of_version_2(writer, found, authorizer),
    };
    let units = match authorizer.is_of_rest_api {
        true => "Methods",
        false => "Routes",
    };
    let kept = Block::new("lifecycle", []).with("prevent_destroy", true).about(&format!(
        "{units} of the API use the authorizer. Give them another authorization and deploy the API before you destroy any of this.",
    ));
    all.add(
        format!("{}/{}", authorizer.api_id, authorizer.authorizer_id),
        block.with_block(kept),
    );
}

/// The authorizer of an HTTP or WebSocket API.
/// Source: Terraform Registry, hashicorp/aws, `aws_apigatewayv2_authorizer`.
fn of_version_2(writer: &Writer, found: &Description, authorizer: &Authorizer) -> Block {
    let sources = authorizer.identity_sources().map(Expression::from);
    let block = writer
        .block("aws_apigatewayv2_authorizer", found)
        .with("api_id", authorizer.api_id.as_str())
        .with("name", authorizer.name.as_str())
        .with("authorizer_type", authorizer.kind.as_str())
        .with("authorizer_uri", writer.id(&authorizer.uri))
        .with("identity_sources", sources.collect::<Vec<_>>());
    match authorizer.payload() {
        None => block,
        Some((version, is_simple)) => block
            .with("authorizer_payload_format_version", version)
            .with("enable_simple_responses", is_simple)
            .with("authorizer_result_ttl_in_seconds", authorizer.ttl),
    }
}

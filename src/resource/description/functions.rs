//! The functions, and what they need.

use std::collections::BTreeMap;

use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_lambda::types::FunctionConfiguration;
use serde_json::Value;

use super::{Found, What, document, incomplete};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::names::LIVE;
use crate::resource::function_permission::{ANYONE, FunctionPermissions};
use crate::resource::{Context, ResourceError, ResourceKind as _, parameter};

/// A role with its policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub arn: String,
    pub path: String,
    pub description: String,
    pub trust: Value,
    /// The inline policies by name.
    pub inline: BTreeMap<String, Value>,
    /// The ARNs of the managed policies.
    pub attached: Vec<String>,
    pub boundary: Option<String>,
    /// In seconds.
    pub max_session: Option<i32>,
}

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    pub name: String,
    /// `None`: for ever.
    pub retention_days: Option<i32>,
    pub kms_key: Option<String>,
}

/// A function as its next version would be, `$LATEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub arn: String,
    pub description: String,
    pub role: String,
    pub runtime: Option<String>,
    pub handler: Option<String>,
    pub architectures: Vec<String>,
    pub memory: i32,
    /// In seconds.
    pub timeout: i32,
    pub environment: BTreeMap<String, String>,
    pub kms_key: Option<String>,
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    /// `None`: without a reservation.
    pub reserved: Option<i32>,
}

/// The alias of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub arn: String,
    pub name: String,
    pub function: String,
    pub version: String,
    pub description: String,
    /// The shares of other versions.
    pub weights: BTreeMap<String, String>,
}

/// A statement of the resource policy of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub function: String,
    /// The alias of the statement; `None` for the function itself.
    pub alias: Option<&'static str>,
    pub statement: String,
    pub action: String,
    pub principal: String,
    /// `None`: any source.
    pub source: Option<String>,
    /// Whether it says no more than that: a permission that denies or has other conditions does.
    pub is_plain: bool,
}

/// A rule of EventBridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub rule: String,
    pub arn: String,
    pub description: String,
    pub expression: String,
    pub enabled: bool,
    /// ARN by target id.
    pub targets: BTreeMap<String, String>,
}

/// The name of a secret alone.
pub(super) fn secret(cx: &Context, path: &str) -> Found {
    let name = cx.names().parameter(path);
    Some((What::Secret { name }, BTreeMap::new()))
}

/// A plain parameter that the functions read. The others are records of this program.
pub(super) async fn parameter(cx: &Context, path: &str) -> Result<Found, ResourceError> {
    if parameter::is_record(path) {
        return Ok(None);
    }
    let all = parameter::all(cx).await?;
    let Some(value) = all.get(path) else {
        return Ok(None);
    };
    let what = What::Parameter {
        name: cx.names().parameter(path),
        value: value.expose().to_owned(),
    };
    let tags = parameter::tags_of(cx, path).await?;
    Ok(tags.map(|tags| (what, tags)))
}

pub(super) async fn role(cx: &Context, name: &str) -> Result<Found, ResourceError> {
    let iam = &cx.aws().iam;
    let request = iam.get_role().role_name(name);
    let asked = cx
        .aws()
        .call_idempotent("iam:GetRole", || request.clone().send())
        .await;
    let Some(found) = optional(asked)?.and_then(|answer| answer.role) else {
        return Ok(None);
    };
    let names: Vec<_> = pages(|marker| async {
        let request = iam.list_role_policies().role_name(name).set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("iam:ListRolePolicies", || request.clone().send())
            .await?;
        Ok((Some(page.policy_names), page.marker))
    })
    .await?;
    let mut inline = BTreeMap::new();
    for policy in names {
        let request = iam.get_role_policy().role_name(name).policy_name(&policy);
        let answer = cx
            .aws()
            .call_idempotent("iam:GetRolePolicy", || request.clone().send())
            .await?;
        inline.insert(policy, document(&answer.policy_document));
    }
    let attached = pages(|marker| async {
        let request = iam.list_attached_role_policies();
        let request = request.role_name(name).set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("iam:ListAttachedRolePolicies", || request.clone().send())
            .await?;
        Ok((page.attached_policies, page.marker))
    })
    .await?;
    let of_role = found.tags.iter().flatten();
    let tags = tags::collect(of_role.map(|tag| (Some(tag.key()), Some(tag.value()))));
    let trust = found.assume_role_policy_document.as_deref();
    let role = Role {
        name: name.to_owned(),
        trust: trust.map_or(Value::Null, document),
        arn: found.arn,
        path: found.path,
        description: found.description.unwrap_or_default(),
        inline,
        attached: attached
            .into_iter()
            .filter_map(|policy| policy.policy_arn)
            .collect(),
        boundary: found
            .permissions_boundary
            .and_then(|boundary| boundary.permissions_boundary_arn),
        max_session: found.max_session_duration,
    };
    Ok(Some((What::Role(role), tags)))
}

pub(super) async fn log_group(cx: &Context, name: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().logs.describe_log_groups();
    let request = request.log_group_name_prefix(name);
    let groups = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("logs:DescribeLogGroups", || request.clone().send())
            .await?;
        Ok((page.log_groups, page.next_token))
    })
    .await?;
    let mut groups = groups.into_iter();
    let Some(found) = groups.find(|group| group.log_group_name.as_deref() == Some(name)) else {
        return Ok(None);
    };
    // The ARN of a log group ends in `:*`, and that of its tags does not.
    let arn = found.arn.as_deref().unwrap_or_default();
    let arn = arn.strip_suffix(":*").unwrap_or(arn);
    let request = cx.aws().logs.list_tags_for_resource().resource_arn(arn);
    let answer = cx
        .aws()
        .call_idempotent("logs:ListTagsForResource", || request.clone().send())
        .await?;
    let group = LogGroup {
        name: name.to_owned(),
        retention_days: found.retention_in_days,
        kms_key: found.kms_key_id,
    };
    let tags = answer.tags.unwrap_or_default().into_iter().collect();
    Ok(Some((What::LogGroup(group), tags)))
}

pub(super) async fn function(cx: &Context, name: &str) -> Result<Found, ResourceError> {
    const CALL: &str = "lambda:GetFunction";
    let request = cx.aws().lambda.get_function().function_name(name);
    let asked = cx
        .aws()
        .call_idempotent(CALL, || request.clone().send())
        .await;
    let Some(answer) = optional(asked)? else {
        return Ok(None);
    };
    let found = answer
        .configuration
        .ok_or_else(|| incomplete(CALL, "configuration"))?;
    let reserved = answer
        .concurrency
        .and_then(|concurrency| concurrency.reserved_concurrent_executions);
    let tags = answer.tags.unwrap_or_default().into_iter().collect();
    Ok(Some((What::Function(of(name, found, reserved)), tags)))
}

fn of(name: &str, found: FunctionConfiguration, reserved: Option<i32>) -> Function {
    let sorted = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids
    };
    let environment = found.environment.and_then(|of| of.variables);
    let vpc = found.vpc_config;
    Function {
        name: name.to_owned(),
        arn: found.function_arn.unwrap_or_default(),
        description: found.description.unwrap_or_default(),
        role: found.role.unwrap_or_default(),
        runtime: found.runtime.map(|runtime| runtime.as_str().to_owned()),
        handler: found.handler,
        architectures: found
            .architectures
            .unwrap_or_default()
            .iter()
            .map(|architecture| architecture.as_str().to_owned())
            .collect(),
        memory: found.memory_size.unwrap_or_default(),
        timeout: found.timeout.unwrap_or_default(),
        environment: environment.unwrap_or_default().into_iter().collect(),
        kms_key: found.kms_key_arn.filter(|key| !key.is_empty()),
        subnets: sorted(
            vpc.as_ref()
                .map(|vpc| vpc.subnet_ids().to_vec())
                .unwrap_or_default(),
        ),
        security_groups: sorted(
            vpc.map(|vpc| vpc.security_group_ids().to_vec())
                .unwrap_or_default(),
        ),
        reserved,
    }
}

pub(super) async fn alias(cx: &Context, id: &LogicalId) -> Result<Found, ResourceError> {
    let function = cx.names().function(&id.name);
    let request = cx.aws().lambda.list_aliases().function_name(&function);
    let aliases = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = cx
            .aws()
            .call_idempotent("lambda:ListAliases", || request.clone().send())
            .await?;
        Ok((page.aliases, page.next_marker))
    });
    let mut aliases = optional(aliases.await)?.unwrap_or_default().into_iter();
    let found = aliases.find(|alias| alias.name.as_deref() == Some(LIVE));
    Ok(found.map(|found| {
        let weights = found
            .routing_config
            .and_then(|routing| routing.additional_version_weights);
        let alias = Alias {
            arn: found.alias_arn.unwrap_or_default(),
            name: LIVE.to_owned(),
            function,
            version: found.function_version.unwrap_or_default(),
            description: found.description.unwrap_or_default(),
            weights: weights
                .unwrap_or_default()
                .into_iter()
                .map(|(version, weight)| (version, weight.to_string()))
                .collect(),
        };
        (What::Alias(alias), BTreeMap::new())
    }))
}

pub(super) async fn permission(cx: &Context, id: &LogicalId) -> Result<Found, ResourceError> {
    let all = FunctionPermissions::list(cx).await?.owned;
    let found = all.into_iter().find(|found| found.id == *id);
    Ok(found.map(|found| {
        let grant = found.grant;
        let permission = Permission {
            function: found.function,
            alias: found.alias,
            statement: found.statement,
            is_plain: grant.effect == "Allow" && grant.conditions.is_empty(),
            action: grant.action,
            principal: grant.principal,
            source: Some(grant.source_arn).filter(|source| source != ANYONE),
        };
        (What::Permission(permission), BTreeMap::new())
    }))
}

pub(super) async fn schedule(cx: &Context, rule: &str) -> Result<Found, ResourceError> {
    let events = &cx.aws().events;
    let request = events.describe_rule().name(rule);
    let asked = cx
        .aws()
        .call_idempotent("events:DescribeRule", || request.clone().send())
        .await;
    let Some(found) = optional(asked)? else {
        return Ok(None);
    };
    let targets = pages(|token| async {
        let request = events.list_targets_by_rule().rule(rule);
        let request = request.set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("events:ListTargetsByRule", || request.clone().send())
            .await?;
        Ok((page.targets, page.next_token))
    })
    .await?;
    let arn = found.arn.unwrap_or_default();
    let request = events.list_tags_for_resource().resource_arn(&arn);
    let answer = cx
        .aws()
        .call_idempotent("events:ListTagsForResource", || request.clone().send())
        .await?;
    let of_rule = answer.tags.unwrap_or_default();
    let tags = tags::collect(
        of_rule
            .iter()
            .map(|tag| (Some(tag.key()), Some(tag.value()))),
    );
    let schedule = Schedule {
        rule: rule.to_owned(),
        arn,
        description: found.description.unwrap_or_default(),
        expression: found.schedule_expression.unwrap_or_default(),
        enabled: found.state != Some(RuleState::Disabled),
        targets: targets
            .into_iter()
            .map(|target| (target.id, target.arn))
            .collect(),
    };
    Ok(Some((What::Schedule(schedule), tags)))
}

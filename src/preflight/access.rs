//! Reads what the rules about the operator's own role, permissions boundary, KMS key and security groups need.

use futures::future::try_join_all;

use super::findings::Findings;
use super::subject::Subject;
use super::{kms_key as rules_of_key, own_groups, own_network, role as rules_of_role, trust};
use crate::action::Action;
use crate::aws::AwsError;
use crate::code::Code;
use crate::config::{Config, Vpc};
use crate::engine::plan::{Item, Plan};
use crate::error::Result;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::security_group::SecurityGroups;
use crate::resource::{Context, ResourceKind, cache_group};
use crate::stack;

/// Checks the operator's role, if the plan changes the functions.
pub(super) async fn role(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let Some(arn) = &subject.config.authorizer.role_arn else {
        return Ok(());
    };
    if !plan.changes(&[Kind::Function]) {
        return Ok(());
    }
    let unread = |error: &AwsError| {
        format!("a part of authorizer.role_arn could not be read and is not checked: {error}")
    };
    let mut refusal = rules_of_role::account(arn, cx.names());
    if refusal.is_none() {
        let name = arn.rsplit('/').next().unwrap_or_default();
        match cx.aws().trust_policy(name).await? {
            Ok(policy) => {
                let verdict = trust::judge(arn, policy.as_deref(), cx.names());
                refusal = verdict.faults.into_iter().next();
                findings.notices.extend(verdict.notices);
            }
            Err(error) => findings.notices.push(unread(&error)),
        }
    }
    if refusal.is_none() {
        let is_in_vpc = subject.config.network.vpc != Vpc::None;
        let key = subject.config.authorizer.kms_key.as_deref();
        let needed = rules_of_role::needed(cx.names(), is_in_vpc, key);
        let asked = needed
            .iter()
            .map(|(actions, resource)| cx.aws().not_allowed(arn, actions, resource));
        let answers = try_join_all(asked).await?;
        let unreadable = answers.iter().find_map(|answer| answer.as_ref().err());
        findings.notices.extend(unreadable.map(unread));
        let denied: Vec<_> = answers
            .into_iter()
            .zip(&needed)
            .map(|(denied, (_, resource))| (denied.unwrap_or_default(), resource.as_str()))
            .collect();
        refusal = rules_of_role::permissions(arn, &denied);
    }
    findings.block(Code::RoleUnusable, refusal);
    Ok(())
}

/// Checks the operator's KMS key, if the plan changes what uses it.
pub(super) async fn kms_key(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let Some(arn) = &subject.config.authorizer.kms_key else {
        return Ok(());
    };
    let users = [
        Kind::Function,
        Kind::FunctionAlias,
        Kind::IamRole,
        Kind::Secret,
        Kind::Parameter,
    ];
    if !plan.changes(&users) {
        return Ok(());
    }
    if let Some(fault) = rules_of_key::place(arn, cx.names()) {
        findings.block(Code::KmsKeyUnfit, [fault]);
        return Ok(());
    }
    match cx.aws().kms_key(arn).await? {
        Ok(key) => findings.add(
            Code::KmsKeyUnfit,
            rules_of_key::judge(arn, key.as_ref(), cx.names()),
        ),
        Err(error) => findings.notices.push(format!(
            "authorizer.kms_key could not be read and is not checked: {error}"
        )),
    }
    Ok(())
}

/// What keeps a policy from being the permissions boundary, if the plan sets it.
pub(super) async fn boundary(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
) -> Result<Option<String>> {
    let Some(arn) = &subject.config.authorizer.permissions_boundary else {
        return Ok(None);
    };
    let is_changed = |item: &Item| item.id.kind == Kind::IamRole && item.action != Action::None;
    if !plan.items.iter().any(is_changed) {
        return Ok(None);
    }
    let refusal = rules_of_role::boundary(arn, cx.names());
    if refusal.is_some() {
        return Ok(refusal);
    }
    // Without the permission to look, IAM refuses a missing policy when the role is created.
    let exists = cx.aws().has_policy(arn).await?;
    Ok(matches!(exists, Ok(false))
        .then(|| format!("authorizer.permissions_boundary: there is no policy {arn}")))
}

/// Checks the operator's security groups, if the plan changes what uses them.
pub(super) async fn security_groups(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let Subject { config, facts, .. } = subject;
    let groups = &config.authorizer.security_groups;
    let users = [
        Kind::Function,
        Kind::FunctionAlias,
        Kind::Cache,
        Kind::SecurityGroup,
    ];
    if groups.is_empty() || !plan.changes(&users) {
        return Ok(());
    }
    let is_own = config.network.existing().is_some();
    let created = cx.known_output(&LogicalId::new(Kind::Vpc, "main"));
    let vpc = match is_own {
        true => facts.own_vpc.as_ref().map(|vpc| vpc.id.clone()),
        false => created.map(|vpc| vpc.physical_id),
    };
    if is_own && vpc.is_none() {
        // A missing VPC is a fault of its own.
        return Ok(());
    }
    let found = match &vpc {
        Some(_) => cx.aws().security_groups(groups).await?,
        None => Vec::new(),
    };
    let has_cache = config.cache.is_created();
    let ranges = match (&vpc, config.network.existing()) {
        (Some(vpc), Some(own)) if has_cache => {
            let subnets = cx.aws().subnets_of(vpc).await?.into_iter();
            let used = subnets.filter(|subnet| own.subnets.contains(&subnet.id));
            let used = used.filter_map(|subnet| subnet.cidr);
            used.chain(own.subnet_cidrs.iter().copied()).collect()
        }
        (_, None) if has_cache => {
            let subnets = config.network.subnets().into_iter();
            let private = subnets.filter(|subnet| !subnet.public);
            private.map(|subnet| subnet.cidr).collect()
        }
        _ => Vec::new(),
    };
    let of_stack = SecurityGroups::list(cx).await?.owned;
    let of_stack = of_stack
        .iter()
        .map(|group| SecurityGroups::identify(group).output.physical_id)
        .collect();
    let cache_group = LogicalId::new(Kind::SecurityGroup, stack::security_group_of_cache(config));
    let cache_group = cx.known_output(&cache_group);
    let (host, port) = own_network::backend(config);
    let needs = own_groups::Needs {
        groups,
        vpc: vpc.as_deref(),
        of_stack: &of_stack,
        host,
        port,
        cache_port: cache_port(config),
        cache_group: cache_group.as_ref().map(|group| group.physical_id.as_str()),
        cache_ranges: &ranges,
    };
    let verdict = own_groups::judge(&needs, &found);
    findings.add(Code::SecurityGroupsUnfit, verdict);
    Ok(())
}

/// The port of the cache, if there is one.
fn cache_port(config: &Config) -> Option<u16> {
    let Some(url) = &config.cache.url else {
        return config.cache.is_created().then_some(cache_group::PORT);
    };
    let address = url.expose().split_once("://").map(|(_, rest)| rest)?;
    let authority = address.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port.parse());
    Some(port.and_then(|port| port.ok()).unwrap_or(cache_group::PORT))
}

//! Makes the program forget a stack: removes the tags by which its resources are found, and the records that only the program
//! reads. It deletes no resource, and nothing that the functions read.
//!
//! The parameter [`BEGUN`] exists from before the first change until after the last one: in between, a part of the stack is no
//! longer found, so that `up` would create it again and `down` would delete only the rest. [`DONE`] stays: the names of the
//! role, of the functions and of the parameters are still those of the stack.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::types::ResourceTypeForTagging;
use jiff::Timestamp;

use super::function::{CODE_TAG, SOURCE_TAG};
use super::{Context, Live, Phase, ResourceError, parameter};
use crate::aws::paginate::pages;
use crate::aws::{ec2, elasticache, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

/// Exists while a release is in progress, or was interrupted.
pub const BEGUN: &str = "releasing";
/// Exists after a release.
pub const DONE: &str = "released";

/// Whether the program manages the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does, or the stack does not exist.
    Managed,
    /// A release has begun.
    Begun,
    /// It was released, at this time if the service says so.
    Released(Option<Timestamp>),
}

/// Whether the program manages the stack.
///
/// # Errors
/// When the listing fails.
pub async fn standing(cx: &Context) -> Result<Standing, ResourceError> {
    let all = parameter::all(cx).await?;
    if all.contains_key(BEGUN) {
        return Ok(Standing::Begun);
    }
    if !all.contains_key(DONE) {
        return Ok(Standing::Managed);
    }
    let listed = parameter::list(cx).await?;
    let written = listed.get(DONE).and_then(|stored| stored.written);
    Ok(Standing::Released(written))
}

/// A resource with the tags of the stack, which it loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub id: LogicalId,
    pub physical_id: String,
}

/// The resources among `found` that have tags. What is being deleted is left alone.
pub fn tagged<'a>(found: impl IntoIterator<Item = &'a Live>) -> Vec<Tagged> {
    let found = found.into_iter().map(|live| &live.identity);
    let stays = found.filter(|identity| !matches!(identity.phase, Phase::Deleting(_)));
    let tagged = stays.map(|identity| Tagged {
        id: identity.id.clone(),
        physical_id: identity.output.physical_id.clone(),
    });
    tagged.filter(|one| has_tags(one.id.kind)).collect()
}

/// Whether resources of this kind have tags of their own.
fn has_tags(kind: Kind) -> bool {
    NETWORK.contains(&kind) || ORDER.contains(&kind)
}

/// The kinds of EC2. They lose their tags first, in one call.
const NETWORK: [Kind; 9] = [
    Kind::Vpc,
    Kind::Subnet,
    Kind::InternetGateway,
    Kind::ElasticIp,
    Kind::NatGateway,
    Kind::NatInstance,
    Kind::RouteTable,
    Kind::SecurityGroup,
    Kind::VpcEndpoint,
];

/// The kinds outside EC2, in the order in which they lose their tags. The functions and the cache show which of several networks
/// with copied tags is the stack's, so that they come after the network. The role names the stack longest.
const ORDER: [Kind; 13] = [
    Kind::Alarm,
    Kind::Dashboard,
    Kind::LogGroup,
    Kind::Schedule,
    Kind::Parameter,
    Kind::Secret,
    Kind::CacheUser,
    Kind::CacheUserGroup,
    Kind::ServerlessCache,
    Kind::Cache,
    Kind::CacheSubnetGroup,
    Kind::Function,
    Kind::IamRole,
];

/// The records of the stack that only the program reads, by their names: those of the API first, their heads last.
///
/// # Errors
/// When the listing fails.
pub async fn records(cx: &Context) -> Result<Vec<(String, String)>, ResourceError> {
    let all = parameter::all(cx).await?;
    let is_record = |name: &str| {
        name.starts_with("attachment/") || parameter::is_record(name) || name == parameter::EXPIRES
    };
    let mut records: Vec<_> = all
        .iter()
        .filter(|(name, _)| is_record(name))
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect();
    records.sort_by_key(|(name, _)| (name.ends_with("/head"), name.clone()));
    Ok(records)
}

/// Marks the release as begun.
///
/// # Errors
/// The error of the service.
pub async fn begin(cx: &Context) -> Result<(), ResourceError> {
    mark(cx, BEGUN).await
}

/// Marks the stack as released.
///
/// # Errors
/// The error of the service.
pub async fn end(cx: &Context) -> Result<(), ResourceError> {
    cx.ensure_locked().await?;
    mark(cx, DONE).await?;
    parameter::remove(cx, BEGUN).await
}

/// Writes a mark. It overwrites, so that the service accepts no tags: nothing of the stack would be found by them.
async fn mark(cx: &Context, name: &str) -> Result<(), ResourceError> {
    let id = LogicalId::new(Kind::Parameter, name);
    let by = concat!("by version ", env!("CARGO_PKG_VERSION"));
    parameter::put(cx, &id, name, by, true).await
}

/// Removes the tags of these resources.
///
/// # Errors
/// The error of the service.
pub async fn untag(cx: &Context, all: &[Tagged]) -> Result<(), ResourceError> {
    let of_network = all.iter().filter(|one| NETWORK.contains(&one.id.kind));
    let mut network: Vec<_> = of_network.map(|one| one.physical_id.clone()).collect();
    if !network.is_empty() {
        network.extend(parts_of_instances(cx, all).await?);
        let keys = ec2::tag_keys(cx.aws(), &network, tags::PREFIX).await?;
        if !keys.is_empty() {
            ec2::untag(cx.aws(), network, keys).await?;
        }
    }
    for kind in ORDER {
        for one in all.iter().filter(|one| one.id.kind == kind) {
            untag_one(cx, one).await?;
        }
    }
    Ok(())
}

/// The interfaces and volumes that NAT instances were created with, and that have their tags.
async fn parts_of_instances(cx: &Context, all: &[Tagged]) -> Result<Vec<String>, ResourceError> {
    let instances = all.iter().filter(|one| one.id.kind == Kind::NatInstance);
    let instances: Vec<_> = instances.map(|one| one.physical_id.clone()).collect();
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let request = cx
        .aws()
        .ec2
        .describe_instances()
        .filters(ec2::filter("instance-id", instances));
    let reservations = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeInstances", || request.clone().send())
            .await?;
        Ok((page.reservations, page.next_token))
    })
    .await?;
    let mut parts = BTreeSet::new();
    for instance in reservations.iter().flat_map(|some| some.instances()) {
        let interfaces = instance.network_interfaces().iter();
        parts.extend(interfaces.filter_map(|one| one.network_interface_id.clone()));
        let volumes = instance.block_device_mappings().iter();
        let volumes = volumes.filter_map(|one| one.ebs.as_ref()?.volume_id.clone());
        parts.extend(volumes);
    }
    Ok(parts.into_iter().collect())
}

async fn untag_one(cx: &Context, one: &Tagged) -> Result<(), ResourceError> {
    cx.ensure_locked().await?;
    let (aws, names) = (cx.aws(), cx.names());
    let name = &one.physical_id;
    let keys = || Some(vec![tags::STACK.to_owned(), tags::RESOURCE.to_owned()]);
    let of_cache = |kind| elasticache::untag(aws, names.cache_arn(kind, name), tags::PREFIX);
    match one.id.kind {
        Kind::LogGroup => {
            let arn = names.log_group_arn(&one.id.name);
            let request = aws.logs.untag_resource().resource_arn(arn);
            let request = request.set_tag_keys(keys());
            let untagged = aws.call_idempotent("logs:UntagResource", || request.clone().send());
            optional(untagged.await)?;
        }
        Kind::Schedule => {
            let request = aws.events.untag_resource().resource_arn(names.rule_arn());
            let request = request.set_tag_keys(keys());
            let untagged = aws.call_idempotent("events:UntagResource", || request.clone().send());
            optional(untagged.await)?;
        }
        Kind::Function => {
            let of_code = [SOURCE_TAG, CODE_TAG].map(str::to_owned);
            let keys = keys().into_iter().flatten().chain(of_code);
            let request = aws
                .lambda
                .untag_resource()
                .resource(names.function_arn(&one.id.name))
                .set_tag_keys(Some(keys.collect()));
            let untagged = aws.call_idempotent("lambda:UntagResource", || request.clone().send());
            optional(untagged.await)?;
        }
        Kind::IamRole => {
            let request = aws.iam.untag_role().role_name(name).set_tag_keys(keys());
            let untagged = aws.call_idempotent("iam:UntagRole", || request.clone().send());
            optional(untagged.await)?;
        }
        Kind::Secret | Kind::Parameter => {
            let request = aws
                .ssm
                .remove_tags_from_resource()
                .resource_type(ResourceTypeForTagging::Parameter)
                .resource_id(names.parameter(name))
                .set_tag_keys(keys());
            let untagged =
                aws.call_idempotent("ssm:RemoveTagsFromResource", || request.clone().send());
            optional(untagged.await)?;
        }
        Kind::Alarm => untag_of_cloudwatch(cx, names.alarm_arn(&one.id.name), keys()).await?,
        Kind::Dashboard => untag_of_cloudwatch(cx, names.dashboard_arn(), keys()).await?,
        Kind::CacheUser => of_cache("user").await?,
        Kind::CacheUserGroup => of_cache("usergroup").await?,
        Kind::ServerlessCache => of_cache("serverlesscache").await?,
        Kind::Cache => of_cache("replicationgroup").await?,
        Kind::CacheSubnetGroup => of_cache("subnetgroup").await?,
        _ => {}
    }
    Ok(())
}

async fn untag_of_cloudwatch(
    cx: &Context,
    arn: String,
    keys: Option<Vec<String>>,
) -> Result<(), ResourceError> {
    let request = cx.aws().cloudwatch.untag_resource().resource_arn(arn);
    let request = request.set_tag_keys(keys);
    let untagged = cx
        .aws()
        .call_idempotent("cloudwatch:UntagResource", || request.clone().send());
    optional(untagged.await)?;
    Ok(())
}

/// Removes these records.
///
/// # Errors
/// The error of the service.
pub async fn forget(cx: &Context, records: &[(String, String)]) -> Result<(), ResourceError> {
    for (name, _) in records {
        cx.ensure_locked().await?;
        parameter::remove(cx, name).await?;
    }
    Ok(())
}

/// The parameters of the stack that stay, because the functions read them.
///
/// # Errors
/// When the listing fails.
pub async fn kept(cx: &Context) -> Result<Vec<String>, ResourceError> {
    let records: BTreeMap<_, _> = records(cx).await?.into_iter().collect();
    let all = parameter::all(cx).await?;
    let is_kept = |name: &&String| {
        let name = name.as_str();
        !records.contains_key(name) && ![BEGUN, DONE].contains(&name) && !name.starts_with("lock")
    };
    let kept = all.keys().filter(is_kept);
    Ok(kept.map(|name| cx.names().parameter(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_and_the_role_lose_their_tags_last() {
        assert_eq!(ORDER[ORDER.len() - 2..], [Kind::Function, Kind::IamRole]);
        let untagged: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| !has_tags(*kind))
            .collect();
        // They are found by the name of what they belong to.
        assert_eq!(
            untagged,
            [
                Kind::RouteAssociation,
                Kind::FunctionAlias,
                Kind::FunctionPermission,
                Kind::NetworkInterface,
                Kind::ApiAuthorizer,
                Kind::ApiAttachment
            ]
        );
    }
}

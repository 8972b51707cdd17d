//! The stacks of an account and a Region, found without a configuration.
//!
//! A stack writes its lock, a parameter, before it creates anything, so the parameters name every stack that is in use. What
//! an interrupted `down` has left may have no parameters any more: the tags and the role, which is deleted last, name it. The
//! IAM role is in no listing by tag.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_resourcegroupstagging::types::TagFilter;
use aws_sdk_ssm::types::ParameterStringFilter;
use jiff::Timestamp;

use super::parameter::{EXPIRES, NAMES_PER_CALL};
use crate::api_gateway::ApiTarget;
use crate::aws::kept::timestamp;
use crate::aws::paginate::pages;
use crate::aws::{Aws, AwsError, Class, tags};
use crate::expiry::Expiry;
use crate::names;
use crate::resource::release;

/// What the account shows of a stack without reading its resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The APIs and stages that it has a record of.
    pub targets: BTreeSet<ApiTarget>,
    /// When the oldest of its parameters that was never overwritten was created.
    pub created: Option<Timestamp>,
    /// Who created that parameter, as an ARN.
    pub created_by: Option<String>,
    /// Whether a run holds its lock, or has left it.
    pub is_locked: bool,
    /// Whether it was released, which the names of its resources still show.
    is_released: bool,
    /// Whether it has other parameters than its lock.
    pub has_parameters: bool,
    /// Whether it has stored an expiry.
    pub is_temporary: bool,
    /// That expiry, once it was read.
    pub expiry: Option<Expiry>,
}

/// The stacks of an account and a Region.
#[derive(Debug, Clone, Default)]
pub struct Stacks {
    pub found: BTreeMap<String, Found>,
    /// Why stacks without parameters may be missing.
    pub unread: Vec<AwsError>,
}

/// A parameter as a listing without values shows it.
#[derive(Debug, Clone, Default)]
struct Listed {
    name: String,
    version: i64,
    written: Option<Timestamp>,
    written_by: Option<String>,
}

/// The stacks of the account and the Region of `aws`.
///
/// # Errors
/// When the parameters cannot be listed, or the credentials are refused.
pub async fn all(aws: &Aws) -> Result<Stacks, AwsError> {
    let (parameters, tagged, roles) = tokio::join!(parameters(aws), tagged(aws), roles(aws));
    let mut stacks = Stacks {
        found: of_parameters(&parameters?),
        unread: Vec::new(),
    };
    for named in [tagged, roles] {
        match named {
            Ok(names) => {
                for name in names {
                    stacks.found.entry(name).or_default();
                }
            }
            Err(error) if error.class == Class::Denied => stacks.unread.push(error),
            Err(error) => return Err(error),
        }
    }
    stacks.found.retain(|_, found| !found.is_released);
    Ok(stacks)
}

/// The stacks that parameters name. Pure.
fn of_parameters(parameters: &[Listed]) -> BTreeMap<String, Found> {
    let mut stacks: BTreeMap<String, Found> = BTreeMap::new();
    for parameter in parameters {
        let Some((stack, name)) = names::stack_of_parameter(&parameter.name) else {
            continue;
        };
        let found = stacks.entry(stack.to_owned()).or_default();
        if name == release::DONE {
            found.is_released = true;
        }
        if name == "lock" {
            found.is_locked = true;
            continue;
        }
        if name.starts_with("lock-") {
            continue;
        }
        found.has_parameters = true;
        found.is_temporary |= name == EXPIRES;
        let parts: Vec<_> = name.split('/').collect();
        if let ["attachment", api, stage, _] = parts[..] {
            found.targets.insert(ApiTarget::of_segment(api, stage));
        }
        // The date of an overwritten parameter is that of its last value.
        let is_older = |written: &Timestamp| found.created.is_none_or(|then| *written < then);
        let written = parameter.written.filter(|_| parameter.version == 1);
        if let Some(written) = written.filter(is_older) {
            found.created = Some(written);
            found.created_by.clone_from(&parameter.written_by);
        }
    }
    stacks
}

/// Reads when the temporary stacks expire.
///
/// # Errors
/// When a call fails.
pub async fn read_expiries(aws: &Aws, found: &mut BTreeMap<String, Found>) -> Result<(), AwsError> {
    let parameter = |stack: &String| format!("{}/{stack}/{EXPIRES}", names::PARAMETERS);
    let temporary = found.iter().filter(|(_, found)| found.is_temporary);
    let temporary: Vec<_> = temporary.map(|(stack, _)| parameter(stack)).collect();
    for named in temporary.chunks(NAMES_PER_CALL) {
        let request = aws.ssm.get_parameters().set_names(Some(named.to_vec()));
        let answer = aws
            .call_idempotent("ssm:GetParameters", || request.clone().send())
            .await?;
        for read in answer.parameters.unwrap_or_default() {
            let name = read.name.unwrap_or_default();
            let stack = names::stack_of_parameter(&name).map(|(stack, _)| stack);
            if let Some(found) = stack.and_then(|stack| found.get_mut(stack)) {
                found.expiry = read.value.as_deref().map(Expiry::parse);
            }
        }
    }
    Ok(())
}

async fn parameters(aws: &Aws) -> Result<Vec<Listed>, AwsError> {
    let filter = ParameterStringFilter::builder()
        .key("Path")
        .option("Recursive")
        .values(names::PARAMETERS)
        .build();
    let filter = filter
        .map_err(|error| AwsError::incomplete("ssm:DescribeParameters", error.to_string()))?;
    let request = aws
        .ssm
        .describe_parameters()
        .parameter_filters(filter)
        .max_results(50);
    let listed = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = aws
            .call_idempotent("ssm:DescribeParameters", || request.clone().send())
            .await?;
        Ok((page.parameters, page.next_token))
    })
    .await?;
    Ok(listed
        .into_iter()
        .map(|parameter| Listed {
            name: parameter.name.unwrap_or_default(),
            version: parameter.version,
            written: parameter.last_modified_date.as_ref().and_then(timestamp),
            written_by: parameter.last_modified_user,
        })
        .collect())
}

/// The stacks that tags name. A gateway or an instance is listed for an hour after it was deleted, and none is left alone in
/// its network, so they count for nothing.
async fn tagged(aws: &Aws) -> Result<BTreeSet<String>, AwsError> {
    let request = aws
        .tagging
        .get_resources()
        .tag_filters(TagFilter::builder().key(tags::STACK).build())
        .resources_per_page(100);
    let listed = pages(|token| async {
        let request = request.clone().set_pagination_token(token);
        let page = aws
            .call_idempotent("tag:GetResources", || request.clone().send())
            .await?;
        Ok((page.resource_tag_mapping_list, page.pagination_token))
    })
    .await?;
    let mut stacks = BTreeSet::new();
    for resource in listed {
        let arn = resource.resource_arn.unwrap_or_default();
        if [":natgateway/", ":instance/", ":network-interface/"]
            .iter()
            .any(|kind| arn.contains(kind))
        {
            continue;
        }
        // A resource whose tags were removed is listed without tags.
        let of_stack = resource.tags.unwrap_or_default().into_iter();
        let of_stack = of_stack.filter(|tag| tag.key() == tags::STACK);
        stacks.extend(of_stack.map(|tag| tag.value().to_owned()));
    }
    Ok(stacks)
}

/// The stacks of the Region that roles name.
async fn roles(aws: &Aws) -> Result<BTreeSet<String>, AwsError> {
    let request = aws.iam.list_roles().path_prefix(names::ROLES);
    let listed = pages(|marker| async {
        let request = request.clone().set_marker(marker);
        let page = aws
            .call_idempotent("iam:ListRoles", || request.clone().send())
            .await?;
        Ok((Some(page.roles), page.marker))
    })
    .await?;
    Ok(listed
        .iter()
        .filter_map(|role| names::stack_of_role(role.role_name(), &aws.region))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, version: i64, second: i64, by: &str) -> Listed {
        Listed {
            name: format!("/threescale-gw/{name}"),
            version,
            written: Timestamp::from_second(second).ok(),
            written_by: Some(by.to_owned()),
        }
    }

    #[test]
    fn the_oldest_first_value_tells_since_when_and_by_whom() {
        let found = of_parameters(&[
            listed("orders/lock", 1, 1, "arn:locker"),
            listed("orders/secrets/hash-key", 1, 20, "arn:kim"),
            listed("orders/attachment/a1/prod/head", 7, 10, "arn:late"),
            listed("orders/attachment/a1/prod/methods-000", 1, 30, "arn:ann"),
            listed("half/lock", 3, 5, "arn:kim"),
            listed("gone/released", 1, 5, "arn:kim"),
            listed("half/lock-after-0123", 1, 5, "arn:kim"),
            listed("pr-7/expires", 2, 6, "arn:kim"),
            listed("_apis/a1/lock", 1, 5, "arn:kim"),
            listed("handmade", 1, 5, "arn:kim"),
        ]);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["gone", "half", "orders", "pr-7"]);
        let released = found.values().filter(|found| found.is_released);
        assert_eq!(released.count(), 1);
        let target = ApiTarget::of_segment("a1", "prod");
        assert_eq!(
            found["orders"],
            Found {
                targets: [target].into(),
                created: Timestamp::from_second(20).ok(),
                created_by: Some("arn:kim".to_owned()),
                is_locked: true,
                has_parameters: true,
                ..Found::default()
            }
        );
        assert_eq!(
            found["half"],
            Found {
                is_locked: true,
                ..Found::default()
            }
        );
        assert_eq!(
            found["pr-7"],
            Found {
                has_parameters: true,
                is_temporary: true,
                ..Found::default()
            }
        );
    }
}

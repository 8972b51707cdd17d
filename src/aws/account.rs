//! Reads facts about the account: its id, its Availability Zones and its quotas.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_ec2::types::{AvailabilityZoneState, LocationType};
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType,
};
use ipnet::Ipv4Net;

use super::ec2::{filter, from_tags};
use super::paginate::pages;
use super::{Aws, AwsError, Class, Idempotency, optional, tags};

/// Availability Zone ids that lack NAT gateways or newer node types, so they are the last choice. A
/// zone id names the same zone in every account.
/// Source: aws/aws-cdk issue 5847 (apne1-az3); eksctl, `pkg/az/az.go` (the others).
const CONSTRAINED: [&str; 4] = ["apne1-az3", "cac1-az3", "use1-az3", "usw1-az2"];

/// The resource type that a quota limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaKind {
    Vpcs,
    ElasticIps,
    /// NAT gateways in this Availability Zone.
    NatGateways(String),
}

impl fmt::Display for QuotaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vpcs => f.write_str("VPCs"),
            Self::ElasticIps => f.write_str("Elastic IPs"),
            Self::NatGateways(zone) => write!(f, "NAT gateways in {zone}"),
        }
    }
}

/// A service quota that a new stack counts against.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    pub kind: QuotaKind,
    pub limit: usize,
    pub used: usize,
}

/// An Elastic IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub id: String,
    /// The instance or network interface that it is associated with.
    pub used_by: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// The identity of the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    pub account: String,
    /// The partition of the account, for example `aws` or `aws-us-gov`.
    pub partition: String,
    /// The ARN of the user or role.
    pub arn: String,
}

/// The partition in an ARN. `None` if it is not an ARN.
fn partition_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_arn = parts.next() == Some("arn");
    parts.next().filter(|part| is_arn && !part.is_empty())
}

/// What a run can do without: only refused credentials end it.
pub(super) fn if_readable<T>(answer: Result<T, AwsError>) -> Result<Result<T, AwsError>, AwsError> {
    match answer {
        Err(error) if error.class == Class::Credentials => Err(error),
        answer => Ok(answer),
    }
}

/// A VPC of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    pub id: String,
    pub cidrs: Vec<Ipv4Net>,
    /// The stack of this tool that it belongs to.
    pub stack: Option<String>,
}

impl Aws {
    /// Returns the account of the credentials, and its partition.
    ///
    /// # Errors
    /// When the credentials are missing, invalid or expired.
    pub async fn caller(&self) -> Result<CallerIdentity, AwsError> {
        let answer = self
            .call_idempotent("sts:GetCallerIdentity", || {
                self.sts.get_caller_identity().send()
            })
            .await?;
        let incomplete = |what| {
            AwsError::incomplete(
                "sts:GetCallerIdentity",
                format!("the answer names no {what}"),
            )
        };
        let arn = answer.arn.ok_or_else(|| incomplete("ARN"))?;
        let partition = partition_of(&arn).ok_or_else(|| incomplete("ARN"))?;
        let caller = CallerIdentity {
            partition: partition.to_owned(),
            account: answer.account.ok_or_else(|| incomplete("account"))?,
            arn,
        };
        Ok(self.caller.get_or_init(|| caller).clone())
    }

    /// The identity that [`Self::caller`] has read.
    pub fn known_caller(&self) -> Option<&CallerIdentity> {
        self.caller.get()
    }

    /// The alias of the account; `None` if it has none, or the alias cannot be read.
    pub async fn account_alias(&self) -> Option<String> {
        let answer = self
            .call("iam:ListAccountAliases", Idempotency::Unsafe, || {
                self.iam.list_account_aliases().send()
            })
            .await;
        // An account has one alias at most.
        answer.ok()?.account_aliases.into_iter().next()
    }

    /// Lists the Regions that the account has enabled, and those that it has not.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn regions(&self) -> Result<(Vec<String>, Vec<String>), AwsError> {
        let request = self.ec2.describe_regions().all_regions(true);
        let answer = self
            .call_idempotent("ec2:DescribeRegions", || request.clone().send())
            .await?;
        let (mut enabled, mut disabled) = (Vec::new(), Vec::new());
        for region in answer.regions.unwrap_or_default() {
            let is_disabled = region.opt_in_status.as_deref() == Some("not-opted-in");
            let regions = if is_disabled {
                &mut disabled
            } else {
                &mut enabled
            };
            regions.extend(region.region_name);
        }
        enabled.sort_unstable();
        disabled.sort_unstable();
        Ok((enabled, disabled))
    }

    /// Lists the available Availability Zones: preferred zones first, then by name.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn zones(&self) -> Result<Vec<String>, AwsError> {
        let request = self
            .ec2
            .describe_availability_zones()
            .filters(filter("zone-type", ["availability-zone".to_owned()]));
        let answer = self
            .call_idempotent("ec2:DescribeAvailabilityZones", || request.clone().send())
            .await?;
        let mut zones: Vec<_> = answer
            .availability_zones
            .unwrap_or_default()
            .into_iter()
            .filter(|zone| zone.state == Some(AvailabilityZoneState::Available))
            .filter_map(|zone| {
                let is_constrained = zone.zone_id().is_some_and(|id| CONSTRAINED.contains(&id));
                Some((is_constrained, zone.zone_name?))
            })
            .collect();
        zones.sort();
        Ok(zones.into_iter().map(|(_, name)| name).collect())
    }

    /// Resolves `id` to a VPC id: the VPC itself, or the default VPC of the region.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn vpc(&self, id: &str) -> Result<Option<Vpc>, AwsError> {
        let request = self.ec2.describe_vpcs();
        let request = if id == "default" {
            request.filters(filter("is-default", ["true".to_owned()]))
        } else {
            request.filters(filter("vpc-id", [id.to_owned()]))
        };
        let answer = self
            .call_idempotent("ec2:DescribeVpcs", || request.clone().send())
            .await?;
        Ok(answer
            .vpcs
            .unwrap_or_default()
            .into_iter()
            .next()
            .and_then(|vpc| {
                let more = vpc.cidr_block_association_set.unwrap_or_default();
                let more = more.into_iter().filter(|block| {
                    let state = block.cidr_block_state.as_ref();
                    let state = state.and_then(|state| state.state.as_ref());
                    state.is_none_or(|state| state.as_str() == "associated")
                });
                let all = more.filter_map(|block| block.cidr_block);
                let mut cidrs: Vec<_> = vpc.cidr_block.into_iter().chain(all).collect();
                cidrs.sort();
                cidrs.dedup();
                Some(Vpc {
                    stack: from_tags(vpc.tags.as_ref()).remove(tags::STACK),
                    id: vpc.vpc_id?,
                    cidrs: cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect(),
                })
            }))
    }

    /// Reads a quota. Returns `Err` inside if it cannot be read, because a missing permission must not
    /// block the run.
    async fn limit(
        &self,
        service: &str,
        code: &str,
    ) -> Result<Result<Option<usize>, AwsError>, AwsError> {
        let request = self
            .quotas
            .get_service_quota()
            .service_code(service)
            .quota_code(code);
        let answer = self
            .call("servicequotas:GetServiceQuota", Idempotency::Unsafe, || {
                request.clone().send()
            })
            .await;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "quotas are small, positive, whole numbers"
        )]
        if_readable(answer.map(|answer| {
            let value = answer.quota.and_then(|quota| quota.value);
            value.map(|value| value as usize)
        }))
    }

    /// Reads these Elastic IP addresses; those that do not exist are missing from the result.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn addresses(&self, ids: &[String]) -> Result<Vec<Address>, AwsError> {
        let request = self
            .ec2
            .describe_addresses()
            .filters(filter("allocation-id", ids.to_vec()));
        let answer = self
            .call_idempotent("ec2:DescribeAddresses", || request.clone().send())
            .await?;
        let addresses = answer.addresses.unwrap_or_default().into_iter();
        Ok(addresses
            .filter_map(|address| {
                Some(Address {
                    id: address.allocation_id?,
                    used_by: [address.instance_id, address.network_interface_id]
                        .into_iter()
                        .flatten()
                        .find(|id| !id.is_empty()),
                    tags: from_tags(address.tags.as_ref()),
                })
            })
            .collect())
    }

    /// The trust policy of a role: `None` if there is no such role. `Err` inside if that cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn trust_policy(
        &self,
        role: &str,
    ) -> Result<Result<Option<String>, AwsError>, AwsError> {
        let request = self.iam.get_role().role_name(role);
        let answer = self
            .call("iam:GetRole", Idempotency::Unsafe, || {
                request.clone().send()
            })
            .await;
        let found = optional(answer).map(|answer| {
            let role = answer.and_then(|answer| answer.role);
            role.map(|role| role.assume_role_policy_document.unwrap_or_default())
        });
        if_readable(found)
    }

    /// The actions that the policies of a role do not allow on a resource. What depends on a condition is left out, because
    /// only a real call has its values. `Err` inside if this cannot be simulated.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn not_allowed(
        &self,
        role: &str,
        actions: &[&str],
        resource: &str,
    ) -> Result<Result<Vec<String>, AwsError>, AwsError> {
        let request = self
            .iam
            .simulate_principal_policy()
            .policy_source_arn(role)
            .set_action_names(Some(actions.iter().map(ToString::to_string).collect()))
            .resource_arns(resource);
        let answer = self
            .call("iam:SimulatePrincipalPolicy", Idempotency::Unsafe, || {
                request.clone().send()
            })
            .await;
        if_readable(answer.map(|answer| {
            let results = answer.evaluation_results.unwrap_or_default().into_iter();
            let denied = results.filter(|result| {
                let missing = result.missing_context_values.as_ref();
                let is_certain = missing.is_none_or(Vec::is_empty);
                is_certain && result.eval_decision != PolicyEvaluationDecisionType::Allowed
            });
            denied.map(|result| result.eval_action_name).collect()
        }))
    }

    /// The ARN of a role, with its path. `None` if it cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn role_arn(&self, role: &str) -> Result<Option<String>, AwsError> {
        let request = self.iam.get_role().role_name(role);
        let answer = self
            .call("iam:GetRole", Idempotency::Unsafe, || {
                request.clone().send()
            })
            .await;
        let role = if_readable(answer)?.ok().and_then(|answer| answer.role);
        Ok(role.map(|role| role.arn))
    }

    /// The actions that the policies of a user or a role allow on none of these resources, in requests with this context. What
    /// depends on another condition is left out. `Err` inside if this cannot be simulated.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn allowed_nowhere(
        &self,
        principal: &str,
        actions: &[&str],
        resources: &[String],
        context: &[(String, String)],
    ) -> Result<Result<Vec<String>, AwsError>, AwsError> {
        let entry = |(key, value): &(String, String)| {
            ContextEntry::builder()
                .context_key_name(key)
                .context_key_values(value)
                .context_key_type(ContextKeyTypeEnum::String)
                .build()
        };
        let request = self
            .iam
            .simulate_principal_policy()
            .policy_source_arn(principal)
            .set_action_names(Some(actions.iter().map(ToString::to_string).collect()))
            .set_resource_arns(Some(resources.to_vec()))
            .set_context_entries(Some(context.iter().map(entry).collect()))
            .max_items(1000);
        let mut results = Vec::new();
        let mut marker = None;
        loop {
            let request = request.clone().set_marker(marker.take());
            let answer = self
                .call("iam:SimulatePrincipalPolicy", Idempotency::Unsafe, || {
                    request.clone().send()
                })
                .await;
            let answer = match if_readable(answer)? {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
            results.extend(answer.evaluation_results.unwrap_or_default());
            marker = answer.marker.filter(|_| answer.is_truncated);
            if marker.is_none() {
                return Ok(Ok(denied_everywhere(&results)));
            }
        }
    }

    /// Whether a managed policy exists. `Err` inside if that cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn has_policy(&self, arn: &str) -> Result<Result<bool, AwsError>, AwsError> {
        let request = self.iam.get_policy().policy_arn(arn);
        let answer = self
            .call("iam:GetPolicy", Idempotency::Unsafe, || {
                request.clone().send()
            })
            .await;
        if_readable(optional(answer).map(|answer| answer.is_some()))
    }

    /// Reads how many executions of functions the account may run at a time. Returns `Err` inside if that
    /// cannot be read. Service Quotas may report the default in place of the lower limit of a new account.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn concurrency(&self) -> Result<Result<Option<i32>, AwsError>, AwsError> {
        let answer = self
            .call("lambda:GetAccountSettings", Idempotency::Unsafe, || {
                self.lambda.get_account_settings().send()
            })
            .await;
        if_readable(answer.map(|answer| {
            let limit = answer.account_limit;
            limit.map(|limit| limit.concurrent_executions)
        }))
    }

    /// The zones of the Region that have the instance type. `Err` inside if that cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn zones_with(
        &self,
        instance_type: &str,
    ) -> Result<Result<BTreeSet<String>, AwsError>, AwsError> {
        let request = self
            .ec2
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("instance-type", [instance_type.to_owned()]));
        let found = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeInstanceTypeOfferings", || {
                    request.clone().send()
                })
                .await?;
            Ok((page.instance_type_offerings, page.next_token))
        });
        if_readable(found.await.map(|found| {
            let zones = found.into_iter().filter_map(|offering| offering.location);
            zones.collect()
        }))
    }

    /// Reads the quotas for VPCs, Elastic IPs and NAT gateways in each of `zones`, and reports why a
    /// quota cannot be read.
    ///
    /// # Errors
    /// When a listing fails.
    pub async fn quotas(
        &self,
        zones: &[String],
    ) -> Result<(Vec<Quota>, Option<AwsError>), AwsError> {
        let vpcs = async {
            let answer = self
                .call_idempotent("ec2:DescribeVpcs", || self.ec2.describe_vpcs().send())
                .await?;
            Ok::<_, AwsError>(answer.vpcs.map_or(0, |vpcs| vpcs.len()))
        };
        let addresses = async {
            let answer = self
                .call_idempotent("ec2:DescribeAddresses", || {
                    self.ec2.describe_addresses().send()
                })
                .await?;
            Ok::<_, AwsError>(answer.addresses.map_or(0, |addresses| addresses.len()))
        };
        let gateways = async {
            if zones.is_empty() {
                return Ok(Vec::new());
            }
            let request = self
                .ec2
                .describe_subnets()
                .filters(filter("availability-zone", zones.to_vec()));
            let answer = self
                .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
                .await?;
            let zone_of: BTreeMap<_, _> = answer
                .subnets
                .unwrap_or_default()
                .into_iter()
                .filter_map(|subnet| Some((subnet.subnet_id?, subnet.availability_zone?)))
                .collect();
            // A gateway in state `deleting` still counts.
            let states = ["pending", "available", "deleting"].map(str::to_owned);
            let request = self
                .ec2
                .describe_nat_gateways()
                .filter(filter("state", states));
            let answer = self
                .call_idempotent("ec2:DescribeNatGateways", || request.clone().send())
                .await?;
            let gateways = answer.nat_gateways.unwrap_or_default();
            let used_in = |zone: &String| {
                gateways
                    .iter()
                    .filter_map(|gateway| zone_of.get(gateway.subnet_id()?))
                    .filter(|found| *found == zone)
                    .count()
            };
            Ok::<_, AwsError>(zones.iter().map(used_in).collect())
        };
        let (vpcs, addresses, gateways, vpc_limit, address_limit, gateway_limit) = tokio::try_join!(
            vpcs,
            addresses,
            gateways,
            self.limit("vpc", "L-F678F1CE"),
            self.limit("ec2", "L-0263D0A3"),
            self.limit("vpc", "L-FE5A380F")
        )?;
        let mut quotas = Vec::new();
        let mut unread = None;
        let mut add = |kind, limit: &Result<Option<usize>, AwsError>, used| match limit {
            Ok(limit) => quotas.extend(limit.map(|limit| Quota { kind, limit, used })),
            Err(error) => unread = Some(error.clone()),
        };
        add(QuotaKind::Vpcs, &vpc_limit, vpcs);
        add(QuotaKind::ElasticIps, &address_limit, addresses);
        for (zone, used) in zones.iter().zip(gateways) {
            add(QuotaKind::NatGateways(zone.clone()), &gateway_limit, used);
        }
        Ok((quotas, unread))
    }
}

/// The actions that are denied on each resource, for all values of other conditions.
fn denied_everywhere(results: &[EvaluationResult]) -> Vec<String> {
    let is_denied = |decision: &PolicyEvaluationDecisionType, missing: &Option<Vec<String>>| {
        let is_certain = missing.as_ref().is_none_or(Vec::is_empty);
        is_certain && *decision != PolicyEvaluationDecisionType::Allowed
    };
    let mut denied: BTreeMap<&str, bool> = BTreeMap::new();
    for result in results {
        let of_resources = result.resource_specific_results.iter().flatten();
        let mut of_resources = of_resources.map(|result| {
            is_denied(
                &result.eval_resource_decision,
                &result.missing_context_values,
            )
        });
        let is_denied = is_denied(&result.eval_decision, &result.missing_context_values)
            && of_resources.all(|is_denied| is_denied);
        let all = denied.entry(&result.eval_action_name).or_insert(true);
        *all = *all && is_denied;
    }
    let denied = denied.into_iter().filter(|(_, is_denied)| *is_denied);
    denied.map(|(action, _)| action.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_is_that_of_the_arn() {
        for (arn, partition) in [
            ("arn:aws:iam::123456789012:root", Some("aws")),
            (
                "arn:aws-eusc:sts::123456789012:assumed-role/a/b",
                Some("aws-eusc"),
            ),
            ("arn::iam::123456789012:root", None),
            ("urn:aws:iam", None),
            ("", None),
        ] {
            assert_eq!(partition_of(arn), partition, "{arn}");
        }
    }

    #[test]
    fn an_action_is_denied_if_no_resource_allows_it_for_certain() {
        use PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
        use aws_sdk_iam::types::ResourceSpecificResult;
        let result = |action: &str,
                      decision: &PolicyEvaluationDecisionType,
                      missing: &[&str],
                      of: &[&PolicyEvaluationDecisionType]| {
            let of_resource = |decision: &&PolicyEvaluationDecisionType| {
                ResourceSpecificResult::builder()
                    .eval_resource_name("x")
                    .eval_resource_decision((*decision).clone())
                    .build()
                    .expect("a result")
            };
            EvaluationResult::builder()
                .eval_action_name(action)
                .eval_decision(decision.clone())
                .set_missing_context_values(Some(missing.iter().map(ToString::to_string).collect()))
                .set_resource_specific_results(Some(of.iter().map(of_resource).collect()))
                .build()
                .expect("a result")
        };
        let results = [
            result(
                "a:Denied",
                &ImplicitDeny,
                &[],
                &[&ImplicitDeny, &ExplicitDeny],
            ),
            result("a:Explicit", &ExplicitDeny, &[], &[]),
            result("a:Allowed", &Allowed, &[], &[]),
            result(
                "a:Somewhere",
                &ImplicitDeny,
                &[],
                &[&ImplicitDeny, &Allowed],
            ),
            result(
                "a:Conditional",
                &ImplicitDeny,
                &["aws:SourceIp"],
                &[&ImplicitDeny],
            ),
            // One result for each resource.
            result("a:Twice", &ImplicitDeny, &[], &[]),
            result("a:Twice", &Allowed, &[], &[]),
        ];
        assert_eq!(denied_everywhere(&results), ["a:Denied", "a:Explicit"]);
    }
}

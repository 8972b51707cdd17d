//! The actual NAT instances: which the stack has, and which of them have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_ec2::types::{
    Instance as Live, InstanceStateName, InstanceStatusSummary, SummaryStatus,
};

use super::claims::Claim;
use super::security_group::SecurityGroups;
use super::{Context, Identity, Listing, Output, Phase, ResourceError, ResourceKind};
use crate::aws::ec2::{filter, from_tags, of_stack};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

/// The name of the security group of the instance.
pub const GROUP_NAME: &str = "nat";
/// The name of the network interface among the outputs, which the routes name.
pub const INTERFACE: &str = "network_interface";

/// The actual NAT instance; one in state `terminated` counts as absent, although it is listed for about an hour.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) instance_id: String,
    pub(super) interface_id: String,
    pub subnet_id: String,
    pub(super) vpc_id: String,
    pub(super) groups: BTreeSet<String>,
    pub(super) source_check: Option<bool>,
    pub(super) allocation_id: String,
    public_ip: String,
    pub(super) phase: Phase,
    pub(super) is_stopped: bool,
    pub(super) is_impaired: bool,
    pub(super) tags: BTreeMap<String, String>,
}

impl Actual {
    /// Who uses the network interface, and its address.
    pub(super) fn user(&self) -> (LogicalId, String) {
        (self.id.clone(), self.allocation_id.clone())
    }
}

/// A terminated instance.
#[derive(Debug)]
pub(super) struct Dead {
    pub id: LogicalId,
    pub instance_id: String,
    /// Why EC2 ended it by itself, if it did.
    pub failure: Option<String>,
}

/// The result of one listing.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub living: Vec<Actual>,
    pub dead: Vec<Dead>,
}

/// NAT instances of EC2.
#[derive(Debug)]
pub struct NatInstances;

impl NatInstances {
    /// Without its security group, the stack has no instance: the group exists before it and after it. So other stacks need
    /// neither the call nor its permission.
    pub(super) async fn census(cx: &Context) -> Result<Arc<Census>, ResourceError> {
        if !SecurityGroups::has(cx, GROUP_NAME).await? {
            return Ok(Arc::default());
        }
        cx.listings()
            .get_or_fetch("nat instances", Self::ask(cx))
            .await
    }

    async fn ask(cx: &Context) -> Result<Census, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_instances()
            .filters(of_stack(&cx.names().stack));
        let reservations = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeInstances", || request.clone().send())
                .await?;
            Ok((page.reservations, page.next_token))
        })
        .await?;
        let instances = reservations
            .into_iter()
            .flat_map(|reservation| reservation.instances.unwrap_or_default());
        let mut census = Census::default();
        for instance in instances {
            let tags = from_tags(instance.tags.as_ref());
            let Some(id) = tags::owner(&cx.names().stack, &tags) else {
                continue;
            };
            census.add(id, tags, instance);
        }
        if !census.living.is_empty() {
            Self::complete(cx, &mut census.living).await?;
        }
        Ok(census)
    }

    /// Reads the addresses of the instances, and the results of their status checks.
    async fn complete(cx: &Context, living: &mut [Actual]) -> Result<(), AwsError> {
        let ids: Vec<_> = living
            .iter()
            .map(|actual| actual.instance_id.clone())
            .collect();
        let addresses = cx
            .aws()
            .ec2
            .describe_addresses()
            .filters(filter("instance-id", ids.clone()));
        let checks = cx
            .aws()
            .ec2
            .describe_instance_status()
            .set_instance_ids(Some(ids));
        let (addresses, checks) = tokio::join!(
            cx.aws()
                .call_idempotent("ec2:DescribeAddresses", || addresses.clone().send()),
            cx.aws()
                .call_idempotent("ec2:DescribeInstanceStatus", || checks.clone().send())
        );
        for address in addresses?.addresses.unwrap_or_default() {
            let of = living
                .iter_mut()
                .find(|actual| Some(actual.instance_id.as_str()) == address.instance_id());
            if let Some(actual) = of {
                actual.allocation_id = address.allocation_id.unwrap_or_default();
                actual.public_ip = address.public_ip.unwrap_or_default();
            }
        }
        // Without the permission, the checks are unknown.
        let checked = match checks {
            Err(error) if error.class == Class::Denied => Vec::new(),
            // It was terminated meanwhile.
            Err(error) if error.code == "InvalidInstanceID.NotFound" => Vec::new(),
            checks => checks?.instance_statuses.unwrap_or_default(),
        };
        for status in checked {
            let of_both = [status.instance_status(), status.system_status()];
            let mut of_both = of_both
                .into_iter()
                .flatten()
                .filter_map(InstanceStatusSummary::status);
            let of = living
                .iter_mut()
                .find(|actual| Some(actual.instance_id.as_str()) == status.instance_id());
            if let Some(actual) = of {
                actual.is_impaired = of_both.any(|checks| *checks == SummaryStatus::Impaired);
            }
        }
        Ok(())
    }
}

impl Census {
    fn add(&mut self, id: LogicalId, tags: BTreeMap<String, String>, instance: Live) {
        let instance_id = instance.instance_id.unwrap_or_default();
        let state = instance.state.and_then(|state| state.name);
        let phase = match &state {
            Some(InstanceStateName::Terminated) => {
                let failure = instance.state_reason.and_then(|reason| {
                    launch_failure(
                        reason.code().unwrap_or_default(),
                        reason.message().unwrap_or_default(),
                    )
                });
                self.dead.push(Dead {
                    id,
                    instance_id,
                    failure,
                });
                return;
            }
            Some(state @ (InstanceStateName::Pending | InstanceStateName::Stopping)) => {
                Phase::Pending(state.as_str().to_owned())
            }
            Some(InstanceStateName::ShuttingDown) => Phase::Deleting("shutting-down".to_owned()),
            Some(InstanceStateName::Running | InstanceStateName::Stopped) | None => Phase::Ready,
            Some(other) => Phase::Unknown(other.as_str().to_owned()),
        };
        let interface = instance
            .network_interfaces
            .unwrap_or_default()
            .into_iter()
            .find(|interface| {
                let attachment = interface.attachment.as_ref();
                attachment.and_then(|attachment| attachment.device_index) == Some(0)
            });
        let interface_id = interface.and_then(|interface| interface.network_interface_id);
        self.living.push(Actual {
            id,
            instance_id,
            interface_id: interface_id.unwrap_or_default(),
            subnet_id: instance.subnet_id.unwrap_or_default(),
            vpc_id: instance.vpc_id.unwrap_or_default(),
            groups: instance
                .security_groups
                .unwrap_or_default()
                .into_iter()
                .filter_map(|group| group.group_id)
                .collect(),
            source_check: instance.source_dest_check,
            allocation_id: String::new(),
            public_ip: String::new(),
            phase,
            is_stopped: state == Some(InstanceStateName::Stopped),
            is_impaired: false,
            tags,
        });
    }
}

/// Why EC2 ended an instance by itself; `None` if somebody terminated it.
/// Source: Amazon EC2 User Guide, "Troubleshoot instance termination issues", on state reasons.
fn launch_failure(code: &str, message: &str) -> Option<String> {
    let by_somebody = [
        "",
        "Client.UserInitiatedShutdown",
        "Client.InstanceInitiatedShutdown",
    ];
    (!by_somebody.contains(&code)).then(|| match message {
        "" => code.to_owned(),
        message => message.to_owned(),
    })
}

impl ResourceKind for NatInstances {
    type Actual = Actual;
    const KIND: Kind = Kind::NatInstance;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        Ok(Listing {
            owned: Self::census(cx).await?.living.clone(),
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        let attributes = BTreeMap::from([
            ("public_ip", actual.public_ip.clone()),
            (INTERFACE, actual.interface_id.clone()),
        ]);
        let output = Output {
            physical_id: actual.instance_id.clone(),
            attributes,
        };
        Identity {
            id: actual.id.clone(),
            phase: actual.phase.clone(),
            output,
        }
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            uses: Some(actual.allocation_id.clone()),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .terminate_instances()
            .instance_ids(&actual.instance_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:TerminateInstances", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_somebody_terminated_has_not_failed() {
        for code in [
            "",
            "Client.UserInitiatedShutdown",
            "Client.InstanceInitiatedShutdown",
        ] {
            assert_eq!(launch_failure(code, "text"), None, "{code}");
        }
        let failure = |code, message| launch_failure(code, message).unwrap_or_default();
        let text = "Client.InternalError: Client error on launch";
        assert_eq!(failure("Client.InternalError", text), text);
        assert_eq!(
            failure("Server.InsufficientInstanceCapacity", ""),
            "Server.InsufficientInstanceCapacity"
        );
    }
}

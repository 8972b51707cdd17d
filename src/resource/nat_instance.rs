//! The NAT instance: a route of the private subnets to 3scale that costs less than a NAT gateway.
//!
//! It is stateless: one that is terminated is replaced, one that is stopped is started. Its image, its type and its user
//! data are those of the day of its launch, and no reason to replace it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{
    AttributeBooleanValue, BlockDeviceMapping, CreditSpecificationRequest, EbsBlockDevice,
    HttpTokensState, InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification,
    InstanceType, ResourceType, VolumeType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::nat_instance_listing::{Actual, Dead, NatInstances};
use super::{
    Context, Diff, Field, List, NEW, Phase, Reference, Resource, ResourceError, ResourceKind as _,
};
use crate::action::Action;
use crate::aws::Backoff;
use crate::aws::ec2::{tagged, write_tags};
use crate::event::Event;
use crate::hex;
use crate::id::LogicalId;
use crate::kind::Kind;

/// The smallest type of the current generation with ARM processors.
pub const INSTANCE_TYPE: &str = "t4g.nano";

const STATE: Field = Field::Property("state");
const STATUS_CHECKS: Field = Field::Property("status checks");
const SUBNET: Field = Field::Property("subnet");
const ADDRESS: Field = Field::Property("address");
const GROUP: Field = Field::Property("security group");
const SOURCE_CHECK: Field = Field::Property("source/destination check");
const FORWARDING: Field = Field::Property("forwarding");

/// EC2 reads the id of the image from this public parameter, in the call that launches the instance.
/// Source: Amazon EC2 User Guide, "Reference AMIs using Systems Manager parameters".
const IMAGE: &str =
    "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64";
/// The smallest size of the image's volume, in GiB.
const VOLUME_GIB: i32 = 8;
/// The root device of the image.
const ROOT_DEVICE: &str = "/dev/xvda";

const USER_DATA: &str = include_str!("nat_instance.user-data.sh");
/// What the instance writes to its console when it forwards, at each start.
const READY: &str = "threescale-gw: this instance forwards";
/// The tag that notes that the console showed this: it does not keep its text.
const FORWARDS: &str = "threescale-gw:forwards";
/// How long the instance may take to boot and to forward. It usually takes one to two minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// The desired NAT instance.
#[derive(Debug)]
pub struct NatInstance {
    pub name: String,
    pub subnet: Reference,
    pub security_group: LogicalId,
    pub address: Reference,
    /// It installs a package from the Internet.
    pub internet_gateway: Reference,
    /// The public route table, without which it does not reach the Internet.
    /// `None` for a public subnet of the operator.
    pub route_table: Option<LogicalId>,
    /// The instances that had ended by themselves before this run launched one.
    pub former_failures: Mutex<Option<BTreeSet<String>>>,
}

impl NatInstance {
    /// Fails if EC2 has ended an instance that this run launched: another one would end in the same way.
    fn ensure_not_failed(&self, dead: &[&Dead]) -> Result<(), ResourceError> {
        let failed = dead.iter().filter(|dead| dead.failure.is_some());
        let mut before = self
            .former_failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(before) = &*before else {
            *before = Some(failed.map(|dead| dead.instance_id.clone()).collect());
            return Ok(());
        };
        let mut new = failed.filter(|dead| !before.contains(&dead.instance_id));
        match new.next() {
            Some(Dead {
                instance_id,
                failure: Some(why),
                ..
            }) => Err(ResourceError::Failed(format!(
                "EC2 terminated {instance_id} when it was launched: {why}"
            ))),
            _ => Ok(()),
        }
    }

    /// Waits until the instance has told on its console that it forwards.
    async fn wait_for_console(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let (began, mut backoff) = (Instant::now(), Backoff::new());
        cx.sink().emit(Event::Waiting {
            id: actual.id.clone(),
            action: Action::Update,
            what: "starting to forward".to_owned(),
        });
        loop {
            let request = cx
                .aws()
                .ec2
                .get_console_output()
                .instance_id(&actual.instance_id)
                .latest(true);
            let answer = cx
                .aws()
                .call_idempotent("ec2:GetConsoleOutput", || request.clone().send())
                .await?;
            if shows_ready(answer.output.as_deref().unwrap_or_default()) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(ResourceError::Blocked {
                    what: format!(
                        "{} does not forward: its console does not show that it has started to",
                        actual.instance_id
                    ),
                    hint: Some(format!(
                        "look at `aws ec2 get-console-output --latest --output text --instance-id {id}`; terminate the instance and \
                         run the same command again to launch another one",
                        id = actual.instance_id
                    )),
                });
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }
}

/// Whether the text of a console, as EC2 encodes it, contains the line that the user data writes last.
fn shows_ready(encoded: &str) -> bool {
    let text = BASE64.decode(encoded.trim()).unwrap_or_default();
    String::from_utf8_lossy(&text).contains(READY)
}

fn off() -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(false).build()
}

impl Resource for NatInstance {
    type Kind = NatInstances;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let references = [&self.subnet, &self.internet_gateway, &self.address];
        let needs = references.into_iter().filter_map(Reference::need);
        let needs = needs.chain([self.security_group.clone()]);
        needs.chain(self.route_table.clone()).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.reference(SUBNET, &actual.subnet_id, self.subnet.known_output(cx));
        if actual.is_impaired {
            diff.immutable(STATUS_CHECKS, "impaired", "ok");
        }
        let state = if actual.is_stopped {
            "stopped"
        } else {
            "running"
        };
        diff.field(STATE, state, "running");
        let group = cx.known_output(&self.security_group);
        let group = group.map_or_else(|| NEW.to_owned(), |group| group.physical_id);
        let groups = List::sorted(actual.groups.iter().cloned());
        diff.field(GROUP, groups, List::sorted([group]));
        diff.known(SOURCE_CHECK, actual.source_check.map(on_or_off), "off");
        let address = self.address.known_output(cx);
        let from = match actual.allocation_id.as_str() {
            "" => "(none)",
            id => id,
        };
        diff.field(ADDRESS, from, address.unwrap_or_else(|| NEW.to_owned()));
        if !actual.tags.contains_key(FORWARDS) {
            diff.field(FORWARDING, "(not confirmed)", "confirmed");
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn prepare(&self, cx: &Context, diff: Option<&Diff>) -> Result<(), ResourceError> {
        // Without its address, the instance cannot install what it needs.
        let is_complete = |diff: &&Diff| {
            diff.has(&FORWARDING) && ![STATE, ADDRESS].iter().any(|field| diff.has(field))
        };
        if diff.filter(is_complete).is_none() {
            return Ok(());
        }
        let id = LogicalId::new(Kind::NatInstance, self.name());
        let instances = NatInstances::list(cx).await?.owned;
        let is_it = |actual: &&Actual| actual.id == id && actual.phase == Phase::Ready;
        match instances.iter().find(is_it) {
            Some(actual) => self.wait_for_console(cx, actual).await,
            None => Ok(()),
        }
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let id = LogicalId::new(Kind::NatInstance, self.name());
        let census = NatInstances::census(cx).await?;
        let mut dead: Vec<_> = census.dead.iter().filter(|dead| dead.id == id).collect();
        dead.sort_unstable_by_key(|dead| &dead.instance_id);
        self.ensure_not_failed(&dead)?;
        let subnet = self.subnet.resolve(cx)?;
        let group = cx.physical_id(&self.security_group)?;
        let tags = cx.tags(&id);
        // The same token returns the same instance, even if it is terminated by now, and refuses other parameters.
        let dead: Vec<_> = dead.iter().map(|dead| dead.instance_id.as_str()).collect();
        let seed = format!("{subnet} {group} {tags:?} {USER_DATA} {}", dead.join(" "));
        let interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(subnet)
            .groups(group)
            .associate_public_ip_address(false)
            .delete_on_termination(true)
            .description(format!("threescale-gw-{}: NAT instance", cx.names().stack))
            .build();
        let volume = EbsBlockDevice::builder()
            .encrypted(true)
            .volume_type(VolumeType::Gp3)
            .volume_size(VOLUME_GIB)
            .delete_on_termination(true)
            .build();
        let request = cx
            .aws()
            .ec2
            .run_instances()
            .client_token(hex::encode(&Sha256::digest(seed)))
            .image_id(IMAGE)
            .instance_type(InstanceType::from(INSTANCE_TYPE))
            .min_count(1)
            .max_count(1)
            .network_interfaces(interface)
            .block_device_mappings(
                BlockDeviceMapping::builder()
                    .device_name(ROOT_DEVICE)
                    .ebs(volume)
                    .build(),
            )
            // The price of an hour is the most that it costs.
            .credit_specification(
                CreditSpecificationRequest::builder()
                    .cpu_credits("standard")
                    .build(),
            )
            .metadata_options(
                InstanceMetadataOptionsRequest::builder()
                    .http_tokens(HttpTokensState::Required)
                    .http_put_response_hop_limit(1)
                    .build(),
            )
            .user_data(BASE64.encode(USER_DATA))
            .tag_specifications(tagged(ResourceType::Instance, tags.clone()))
            .tag_specifications(tagged(ResourceType::NetworkInterface, tags.clone()))
            .tag_specifications(tagged(ResourceType::Volume, tags));
        cx.aws()
            .call_idempotent("ec2:RunInstances", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        let ec2 = &cx.aws().ec2;
        if diff.has(&STATE) {
            let request = ec2.start_instances().instance_ids(&actual.instance_id);
            cx.aws()
                .call_idempotent("ec2:StartInstances", || request.clone().send())
                .await?;
            return Ok(());
        }
        let modify = || {
            ec2.modify_instance_attribute()
                .instance_id(&actual.instance_id)
        };
        if diff.has(&SOURCE_CHECK) {
            let request = modify().source_dest_check(off());
            cx.aws()
                .call_idempotent("ec2:ModifyInstanceAttribute", || request.clone().send())
                .await?;
        }
        if diff.has(&GROUP) {
            let request = modify().groups(cx.physical_id(&self.security_group)?);
            cx.aws()
                .call_idempotent("ec2:ModifyInstanceAttribute", || request.clone().send())
                .await?;
        }
        if diff.has(&ADDRESS) {
            let request = ec2
                .associate_address()
                .allocation_id(self.address.resolve(cx)?)
                .network_interface_id(&actual.interface_id)
                // An address of the operator is not taken from what uses it.
                .allow_reassociation(matches!(self.address, Reference::Managed(_)));
            cx.aws()
                .call_idempotent("ec2:AssociateAddress", || request.clone().send())
                .await?;
            return Ok(());
        }
        let mut wanted = cx.tags(&actual.id);
        if diff.has(&FORWARDING) {
            wanted.insert(FORWARDS.to_owned(), "true".to_owned());
        }
        Ok(write_tags(cx.aws(), &actual.instance_id, &wanted, &actual.tags).await?)
    }
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_data_fits_and_tells_when_it_forwards() {
        assert!(USER_DATA.len() < 16_384);
        let told = format!("echo '{READY}' > /dev/console");
        let filters = USER_DATA.find("ExecStart=/usr/sbin/nft -f ");
        assert!(filters.is_some() && filters < USER_DATA.find(&told));
        let console = |text: &str| shows_ready(&BASE64.encode(text));
        assert!(console(&format!("[  30.1] cloud-init\r\n{READY}\r\n")));
        assert!(!console("[  30.1] cloud-init: Failed to run module"));
        assert!(!shows_ready("not base64!") && !shows_ready(""));
    }

    #[test]
    fn a_second_launch_that_fails_is_not_tried_again() {
        let instance = NatInstance {
            name: "a".to_owned(),
            subnet: Reference::Given("subnet-1".to_owned()),
            security_group: LogicalId::new(Kind::SecurityGroup, "nat"),
            address: Reference::Given("eipalloc-1".to_owned()),
            internet_gateway: Reference::Given("igw-1".to_owned()),
            route_table: None,
            former_failures: Mutex::default(),
        };
        let dead = |instance_id: &str| Dead {
            id: LogicalId::new(Kind::NatInstance, "a"),
            instance_id: instance_id.to_owned(),
            failure: Some("no key".to_owned()),
        };
        let (former, new) = (dead("i-1"), dead("i-2"));
        assert_eq!(instance.ensure_not_failed(&[&former]), Ok(()));
        assert_eq!(instance.ensure_not_failed(&[&former]), Ok(()));
        let error = instance.ensure_not_failed(&[&former, &new]);
        let text = error.expect_err("a failure").to_string();
        assert!(text.contains("i-2") && text.contains("no key"), "{text}");
    }
}

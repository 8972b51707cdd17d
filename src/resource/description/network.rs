//! The network: from the VPC to the endpoint.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    HttpTokensState, IpPermission, RouteTableAssociation, Volume as LiveVolume, VpcAttributeName,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Found, What, incomplete};
use crate::aws::ec2::{filter, from_tags};
use crate::aws::{AwsError, optional, tags};
use crate::resource::{Context, ResourceError, route_table};

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub subnet_id: String,
    pub vpc_id: String,
    pub cidr: String,
    pub zone: String,
    /// Whether what is launched in it gets a public address.
    pub maps_public_ips: bool,
}

/// A NAT instance with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatInstance {
    pub instance_id: String,
    pub image: String,
    pub instance_type: String,
    pub subnet_id: String,
    pub interface_id: String,
    pub groups: Vec<String>,
    pub checks_source: bool,
    /// Whether the metadata service requires a token.
    pub requires_token: bool,
    pub hop_limit: Option<i32>,
    /// `standard` or `unlimited`.
    pub cpu_credits: Option<String>,
    pub volume: Option<Volume>,
    pub user_data: String,
    pub address: Option<Address>,
}

/// The root volume of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name on the instance, for example `/dev/xvda`.
    pub device: String,
    pub volume_type: String,
    pub gib: i32,
    pub encrypted: bool,
    pub tags: BTreeMap<String, String>,
}

/// The association of an Elastic IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub association_id: String,
    pub allocation_id: String,
}

/// A route table with its default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    pub table_id: String,
    pub vpc_id: String,
    pub default_route: Option<Target>,
    pub associations: Vec<Association>,
}

/// The target of a default route, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Gateway(String),
    NatGateway(String),
    Interface(String),
}

/// The association of a subnet with a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    pub association_id: String,
    pub subnet_id: String,
    /// What the subnet of the operator was associated with before: the id of a route table, or `main`.
    pub former: Option<String>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    pub group_id: String,
    pub name: String,
    pub description: String,
    pub vpc_id: String,
    pub ingress: Vec<Rule>,
    pub egress: Vec<Rule>,
}

/// A rule of a security group with one peer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// `tcp`, `udp`, a number, or `-1` for all.
    pub protocol: String,
    /// `None`: all.
    pub ports: Option<(i32, i32)>,
    /// A range, the id of a security group (`sg-`), or that of a prefix list (`pl-`).
    pub peer: String,
    pub description: Option<String>,
}

/// An interface endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub endpoint_id: String,
    pub vpc_id: String,
    pub service: String,
    pub subnets: Vec<String>,
    pub groups: Vec<String>,
    pub private_names: bool,
}

fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    ids
}

pub(super) async fn vpc(cx: &Context, vpc_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_vpcs().vpc_ids(vpc_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeVpcs", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.vpcs?.pop());
    let Some(found) = found else {
        return Ok(None);
    };
    let attribute = async |name: VpcAttributeName| {
        let request = cx.aws().ec2.describe_vpc_attribute().vpc_id(vpc_id);
        let request = request.attribute(name);
        cx.aws()
            .call_idempotent("ec2:DescribeVpcAttribute", || request.clone().send())
            .await
    };
    let (support, hostnames) = tokio::try_join!(
        attribute(VpcAttributeName::EnableDnsSupport),
        attribute(VpcAttributeName::EnableDnsHostnames)
    )?;
    let tags = from_tags(found.tags.as_ref());
    let what = What::Vpc {
        vpc_id: vpc_id.to_owned(),
        cidr: found.cidr_block.unwrap_or_default(),
        dns_support: support
            .enable_dns_support
            .and_then(|on| on.value)
            .unwrap_or_default(),
        dns_hostnames: hostnames
            .enable_dns_hostnames
            .and_then(|on| on.value)
            .unwrap_or_default(),
    };
    Ok(Some((what, tags)))
}

pub(super) async fn subnet(cx: &Context, subnet_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_subnets().subnet_ids(subnet_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.subnets?.pop());
    Ok(found.map(|found| {
        let tags = from_tags(found.tags.as_ref());
        let subnet = Subnet {
            subnet_id: subnet_id.to_owned(),
            vpc_id: found.vpc_id.unwrap_or_default(),
            cidr: found.cidr_block.unwrap_or_default(),
            zone: found.availability_zone.unwrap_or_default(),
            maps_public_ips: found.map_public_ip_on_launch.unwrap_or_default(),
        };
        (What::Subnet(subnet), tags)
    }))
}

pub(super) async fn internet_gateway(
    cx: &Context,
    gateway_id: &str,
) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_internet_gateways();
    let request = request.internet_gateway_ids(gateway_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeInternetGateways", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.internet_gateways?.pop());
    Ok(found.map(|found| {
        let tags = from_tags(found.tags.as_ref());
        let attachment = found.attachments.and_then(|mut all| all.pop());
        let what = What::InternetGateway {
            gateway_id: gateway_id.to_owned(),
            vpc_id: attachment.and_then(|attachment| attachment.vpc_id),
        };
        (what, tags)
    }))
}

pub(super) async fn elastic_ip(cx: &Context, allocation_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_addresses();
    let request = request.allocation_ids(allocation_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeAddresses", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.addresses?.pop());
    Ok(found.map(|found| {
        let tags = from_tags(found.tags.as_ref());
        let what = What::ElasticIp {
            allocation_id: allocation_id.to_owned(),
            public_ip: found.public_ip.unwrap_or_default(),
        };
        (what, tags)
    }))
}

pub(super) async fn nat_gateway(cx: &Context, gateway_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_nat_gateways();
    let request = request.nat_gateway_ids(gateway_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeNatGateways", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.nat_gateways?.pop());
    Ok(found.map(|found| {
        let tags = from_tags(found.tags.as_ref());
        let addresses = found.nat_gateway_addresses.unwrap_or_default();
        let allocation = addresses
            .into_iter()
            .find_map(|address| address.allocation_id);
        let what = What::NatGateway {
            gateway_id: gateway_id.to_owned(),
            subnet_id: found.subnet_id.unwrap_or_default(),
            allocation_id: allocation.unwrap_or_default(),
        };
        (what, tags)
    }))
}

pub(super) async fn nat_instance(cx: &Context, instance_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_instances();
    let request = request.instance_ids(instance_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeInstances", || request.clone().send())
        .await;
    let reservations = optional(asked)?.and_then(|answer| answer.reservations);
    let mut instances = reservations
        .into_iter()
        .flatten()
        .flat_map(|reservation| reservation.instances.unwrap_or_default());
    let Some(found) = instances.next() else {
        return Ok(None);
    };
    let tags = from_tags(found.tags.as_ref());
    let metadata = found.metadata_options.as_ref();
    let interface = found
        .network_interfaces()
        .iter()
        .find_map(|interface| interface.network_interface_id.clone());
    let mapping = found
        .block_device_mappings()
        .iter()
        .find(|mapping| mapping.device_name == found.root_device_name);
    let volume = mapping.and_then(|mapping| {
        let volume = mapping.ebs.as_ref()?.volume_id.clone()?;
        Some((mapping.device_name.clone()?, volume))
    });
    let (user_data, volume, cpu_credits, address) = tokio::try_join!(
        user_data(cx, instance_id),
        volume_of(cx, volume),
        credits(cx, instance_id),
        address_of(cx, instance_id)
    )?;
    let groups = found.security_groups().iter();
    let instance = NatInstance {
        instance_id: instance_id.to_owned(),
        groups: sorted(groups.filter_map(|group| group.group_id.clone())),
        interface_id: interface.unwrap_or_default(),
        checks_source: found.source_dest_check.unwrap_or(true),
        requires_token: metadata
            .is_some_and(|options| options.http_tokens == Some(HttpTokensState::Required)),
        hop_limit: metadata.and_then(|options| options.http_put_response_hop_limit),
        image: found.image_id.unwrap_or_default(),
        instance_type: found
            .instance_type
            .map_or_else(String::new, |kind| kind.as_str().to_owned()),
        subnet_id: found.subnet_id.unwrap_or_default(),
        cpu_credits,
        volume,
        user_data,
        address,
    };
    Ok(Some((What::NatInstance(instance), tags)))
}

async fn user_data(cx: &Context, instance_id: &str) -> Result<String, AwsError> {
    let request = cx
        .aws()
        .ec2
        .describe_instance_attribute()
        .instance_id(instance_id)
        .attribute(aws_sdk_ec2::types::InstanceAttributeName::UserData);
    let answer = cx
        .aws()
        .call_idempotent("ec2:DescribeInstanceAttribute", || request.clone().send())
        .await?;
    let encoded = answer.user_data.and_then(|data| data.value);
    let decoded = BASE64.decode(encoded.unwrap_or_default().trim());
    Ok(String::from_utf8_lossy(&decoded.unwrap_or_default()).into_owned())
}

/// The volume of a device name and an id.
async fn volume_of(cx: &Context, of: Option<(String, String)>) -> Result<Option<Volume>, AwsError> {
    let Some((device, volume)) = of else {
        return Ok(None);
    };
    let request = cx.aws().ec2.describe_volumes().volume_ids(volume);
    let answer = cx
        .aws()
        .call_idempotent("ec2:DescribeVolumes", || request.clone().send())
        .await?;
    let read = |volume: LiveVolume| {
        Some(Volume {
            device: device.clone(),
            tags: from_tags(volume.tags.as_ref()),
            volume_type: volume.volume_type?.as_str().to_owned(),
            gib: volume.size?,
            encrypted: volume.encrypted.unwrap_or_default(),
        })
    };
    Ok(answer.volumes.and_then(|mut all| all.pop()).and_then(read))
}

async fn credits(cx: &Context, instance_id: &str) -> Result<Option<String>, AwsError> {
    let request = cx.aws().ec2.describe_instance_credit_specifications();
    let request = request.instance_ids(instance_id);
    let answer = cx
        .aws()
        .call_idempotent("ec2:DescribeInstanceCreditSpecifications", || {
            request.clone().send()
        })
        .await?;
    let first = answer
        .instance_credit_specifications
        .and_then(|mut all| all.pop());
    Ok(first.and_then(|of| of.cpu_credits))
}

async fn address_of(cx: &Context, instance_id: &str) -> Result<Option<Address>, AwsError> {
    let request = cx.aws().ec2.describe_addresses();
    let request = request.filters(filter("instance-id", [instance_id.to_owned()]));
    let answer = cx
        .aws()
        .call_idempotent("ec2:DescribeAddresses", || request.clone().send())
        .await?;
    let mut addresses = answer.addresses.unwrap_or_default().into_iter();
    Ok(addresses.find_map(|address| {
        Some(Address {
            association_id: address.association_id?,
            allocation_id: address.allocation_id?,
        })
    }))
}

pub(super) async fn route_table(cx: &Context, table_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_route_tables();
    let request = request.route_table_ids(table_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.route_tables?.pop());
    Ok(found.map(|found| {
        let tags = from_tags(found.tags.as_ref());
        let association = |one: RouteTableAssociation| {
            let subnet_id = one.subnet_id?;
            Some(Association {
                association_id: one.route_table_association_id?,
                former: tags.get(&tags::former_route_table(&subnet_id)).cloned(),
                subnet_id,
            })
        };
        let associations = found.associations.unwrap_or_default().into_iter();
        let mut associations: Vec<_> = associations.filter_map(association).collect();
        associations.sort_by(|one, other| one.subnet_id.cmp(&other.subnet_id));
        let mut routes = found.routes.unwrap_or_default().into_iter();
        let route = routes.find(|route| {
            route.destination_cidr_block.as_deref() == Some(route_table::DEFAULT_ROUTE)
        });
        let target = route.and_then(|route| {
            let gateway = route.gateway_id.map(Target::Gateway);
            let nat = route.nat_gateway_id.map(Target::NatGateway);
            let interface = route.network_interface_id.map(Target::Interface);
            nat.or(interface).or(gateway)
        });
        let table = RouteTable {
            table_id: table_id.to_owned(),
            vpc_id: found.vpc_id.unwrap_or_default(),
            default_route: target,
            associations,
        };
        (What::RouteTable(table), tags)
    }))
}

/// The rules of a permission, one for each peer.
fn rules(permission: IpPermission) -> Vec<Rule> {
    let groups = permission.user_id_group_pairs.unwrap_or_default();
    let groups = groups
        .into_iter()
        .map(|pair| (pair.group_id, pair.description));
    let v4 = permission.ip_ranges.unwrap_or_default();
    let v4 = v4
        .into_iter()
        .map(|range| (range.cidr_ip, range.description));
    let v6 = permission.ipv6_ranges.unwrap_or_default();
    let v6 = v6
        .into_iter()
        .map(|range| (range.cidr_ipv6, range.description));
    let lists = permission.prefix_list_ids.unwrap_or_default();
    let lists = lists
        .into_iter()
        .map(|list| (list.prefix_list_id, list.description));
    let peers = groups.chain(v4).chain(v6).chain(lists);
    let protocol = permission.ip_protocol.unwrap_or_default();
    let ports = permission.from_port.zip(permission.to_port);
    let rule = |(peer, description): (Option<String>, Option<String>)| {
        Some(Rule {
            protocol: protocol.clone(),
            ports: ports.filter(|_| protocol != "-1"),
            peer: peer?,
            description: description.filter(|text| !text.is_empty()),
        })
    };
    peers.filter_map(rule).collect()
}

pub(super) async fn security_group(cx: &Context, group_id: &str) -> Result<Found, ResourceError> {
    let request = cx.aws().ec2.describe_security_groups().group_ids(group_id);
    let asked = cx
        .aws()
        .call_idempotent("ec2:DescribeSecurityGroups", || request.clone().send())
        .await;
    let found = optional(asked)?.and_then(|answer| answer.security_groups?.pop());
    let read = |permissions: Option<Vec<IpPermission>>| {
        let all = permissions.unwrap_or_default();
        let mut all: Vec<_> = all.into_iter().flat_map(rules).collect();
        all.sort_unstable();
        all
    };
    Ok(found.map(|found| {
        let tags = from_tags(found.tags.as_ref());
        let group = SecurityGroup {
            group_id: group_id.to_owned(),
            name: found.group_name.unwrap_or_default(),
            description: found.description.unwrap_or_default(),
            vpc_id: found.vpc_id.unwrap_or_default(),
            ingress: read(found.ip_permissions),
            egress: read(found.ip_permissions_egress),
        };
        (What::SecurityGroup(group), tags)
    }))
}

pub(super) async fn endpoint(cx: &Context, endpoint_id: &str) -> Result<Found, ResourceError> {
    const CALL: &str = "ec2:DescribeVpcEndpoints";
    let request = cx.aws().ec2.describe_vpc_endpoints();
    let request = request.vpc_endpoint_ids(endpoint_id);
    let asked = cx
        .aws()
        .call_idempotent(CALL, || request.clone().send())
        .await;
    let Some(found) = optional(asked)?.and_then(|answer| answer.vpc_endpoints?.pop()) else {
        return Ok(None);
    };
    let tags = from_tags(found.tags.as_ref());
    let groups = found.groups.unwrap_or_default().into_iter();
    let endpoint = Endpoint {
        endpoint_id: endpoint_id.to_owned(),
        vpc_id: found.vpc_id.unwrap_or_default(),
        service: found
            .service_name
            .ok_or_else(|| incomplete(CALL, "service name"))?,
        subnets: sorted(found.subnet_ids.unwrap_or_default()),
        groups: sorted(groups.filter_map(|group| group.group_id)),
        private_names: found.private_dns_enabled.unwrap_or_default(),
    };
    Ok(Some((What::VpcEndpoint(endpoint), tags)))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{IpRange, UserIdGroupPair};

    use super::*;

    #[test]
    fn a_permission_is_one_rule_for_each_peer() {
        let group = UserIdGroupPair::builder().group_id("sg-1");
        let group = group.description("the functions").build();
        let range = IpRange::builder().cidr_ip("10.0.0.0/16").description("");
        let permission = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(6379)
            .to_port(6379)
            .user_id_group_pairs(group)
            .ip_ranges(range.build());
        let rule = |peer: &str, description: Option<&str>| Rule {
            protocol: "tcp".to_owned(),
            ports: Some((6379, 6379)),
            peer: peer.to_owned(),
            description: description.map(str::to_owned),
        };
        assert_eq!(
            rules(permission.build()),
            [
                rule("sg-1", Some("the functions")),
                rule("10.0.0.0/16", None)
            ]
        );
        // EC2 omits the ports of all protocols; an emulator writes -1.
        let all = IpPermission::builder().ip_protocol("-1").from_port(-1);
        let all = all.to_port(-1);
        let all = all.ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build());
        assert_eq!(rules(all.build())[0].ports, None);
    }
}

//! The network.

use std::collections::BTreeMap;

use super::super::hcl::{Block, Expression};
use super::{Resources, Writer, tagged, with_tags};
use crate::resource::description::{
    Description, Endpoint, NatInstance, RouteTable, Rule, SecurityGroup, Subnet, Target,
};

pub(super) fn subnet(writer: &Writer, found: &Description, subnet: &Subnet, all: &mut Resources) {
    let mut block = writer
        .block("aws_subnet", found)
        .with("vpc_id", writer.id(&subnet.vpc_id))
        .with("cidr_block", subnet.cidr.as_str())
        .with("availability_zone", subnet.zone.as_str());
    if subnet.maps_public_ips {
        block = block.with("map_public_ip_on_launch", true);
    }
    all.add(&subnet.subnet_id, tagged(block, found));
}

pub(super) fn nat_instance(
    writer: &Writer,
    found: &Description,
    instance: &NatInstance,
    all: &mut Resources,
) {
    let mut block = writer
        .block("aws_instance", found)
        .with("ami", instance.image.as_str())
        .with("instance_type", instance.instance_type.as_str())
        .with("subnet_id", writer.id(&instance.subnet_id))
        .with("vpc_security_group_ids", writer.ids(&instance.groups))
        .with("source_dest_check", instance.checks_source)
        .with("user_data", Expression::lines(&instance.user_data));
    block = tagged(block, found);
    if let Some(credits) = &instance.cpu_credits {
        let credits = Block::new("credit_specification", []).with("cpu_credits", credits.as_str());
        block = block.with_block(credits);
    }
    if instance.requires_token {
        let mut options = Block::new("metadata_options", []).with("http_tokens", "required");
        if let Some(limit) = instance.hop_limit {
            options = options.with("http_put_response_hop_limit", limit);
        }
        block = block.with_block(options);
    }
    if let Some(volume) = &instance.volume {
        let root = Block::new("root_block_device", [])
            .with("volume_type", volume.volume_type.as_str())
            .with("volume_size", volume.gib)
            .with("encrypted", volume.encrypted);
        block = block.with_block(with_tags(root, &volume.tags));
    }
    all.add(&instance.instance_id, block);
    if let Some(address) = &instance.address {
        let block = writer
            .block("aws_eip_association", found)
            .with("allocation_id", writer.id(&address.allocation_id))
            .with("instance_id", writer.id(&instance.instance_id));
        all.add(&address.association_id, block);
    }
}

pub(super) fn route_table(
    writer: &Writer,
    found: &Description,
    table: &RouteTable,
    all: &mut Resources,
) {
    let block = writer
        .block("aws_route_table", found)
        .with("vpc_id", writer.id(&table.vpc_id));
    all.add(&table.table_id, tagged(block, found));
    if let Some(target) = &table.default_route {
        let (key, target) = match target {
            Target::Gateway(id) => ("gateway_id", id),
            Target::NatGateway(id) => ("nat_gateway_id", id),
            Target::Interface(id) => ("network_interface_id", id),
        };
        let block = writer
            .block("aws_route", found)
            .with("route_table_id", writer.id(&table.table_id))
            .with("destination_cidr_block", "0.0.0.0/0")
            .with(key, writer.id(target));
        all.add(format!("{}_0.0.0.0/0", table.table_id), block);
    }
    for association in &table.associations {
        let subnet = match writer.labels.id(&association.subnet_id) {
            Some(reference) => reference.label.to_owned(),
            None => association.subnet_id.replace('-', "_"),
        };
        let mut block = Block::new("resource", ["aws_route_table_association", &subnet])
            .with("subnet_id", writer.id(&association.subnet_id))
            .with("route_table_id", writer.id(&table.table_id));
        match association.former.as_deref() {
            Some("main") => {
                block =
                    block.about("Before, the main route table of the VPC applied to this subnet.");
            }
            Some(former) => {
                let text = format!(
                    "Before, the subnet was associated with {former}. Without this resource, the main route table applies to it."
                );
                block = block.about(&text);
            }
            None => {}
        }
        all.add(
            format!("{}/{}", association.subnet_id, table.table_id),
            block,
        );
    }
}

pub(super) fn security_group(
    writer: &Writer,
    found: &Description,
    group: &SecurityGroup,
    all: &mut Resources,
) {
    let mut block = writer
        .block("aws_security_group", found)
        .with("name", group.name.as_str())
        .with("description", group.description.as_str())
        .with("vpc_id", writer.id(&group.vpc_id));
    block = tagged(block, found);
    for (key, rules) in [("ingress", &group.ingress), ("egress", &group.egress)] {
        for rules in alike(rules) {
            block = block.with_block(self::rule(writer, key, group, &rules));
        }
    }
    all.add(&group.group_id, block);
}

/// The rules by everything but their peers: the provider reads those that differ in the peers only as one block.
fn alike(rules: &[Rule]) -> Vec<Vec<&Rule>> {
    let of = |rule: &Rule| (rule.protocol.clone(), rule.ports, rule.description.clone());
    let mut groups: Vec<Vec<&Rule>> = Vec::new();
    for rule in rules {
        match groups.iter_mut().find(|group| of(group[0]) == of(rule)) {
            Some(group) => group.push(rule),
            None => groups.push(vec![rule]),
        }
    }
    groups
}

/// The block of rules that are alike.
fn rule(writer: &Writer, key: &str, group: &SecurityGroup, rules: &[&Rule]) -> Block {
    let mut block = Block::new(key, []);
    if let Some(rule) = rules.first() {
        let (from, to) = rule.ports.unwrap_or_default();
        if let Some(text) = &rule.description {
            block = block.with("description", text.as_str());
        }
        block = block
            .with("protocol", rule.protocol.as_str())
            .with("from_port", from)
            .with("to_port", to);
    }
    let mut peers: BTreeMap<&str, Vec<Expression>> = BTreeMap::new();
    for rule in rules {
        let key = match rule.peer.as_str() {
            // A resource cannot refer to itself.
            peer if peer == group.group_id => {
                block = block.with("self", true);
                continue;
            }
            peer if peer.starts_with("sg-") => "security_groups",
            peer if peer.starts_with("pl-") => "prefix_list_ids",
            peer if peer.contains(':') => "ipv6_cidr_blocks",
            _ => "cidr_blocks",
        };
        peers.entry(key).or_default().push(writer.id(&rule.peer));
    }
    for (key, peers) in peers {
        block = block.with(key, peers);
    }
    block
}

pub(super) fn endpoint(
    writer: &Writer,
    found: &Description,
    endpoint: &Endpoint,
    all: &mut Resources,
) {
    let block = writer
        .block("aws_vpc_endpoint", found)
        .with("vpc_id", writer.id(&endpoint.vpc_id))
        .with("service_name", endpoint.service.as_str())
        .with("vpc_endpoint_type", "Interface")
        .with("subnet_ids", writer.ids(&endpoint.subnets))
        .with("security_group_ids", writer.ids(&endpoint.groups))
        .with("private_dns_enabled", endpoint.private_names);
    all.add(&endpoint.endpoint_id, tagged(block, found));
}

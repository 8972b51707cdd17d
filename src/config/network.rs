//! Reads the section `network`.

use ipnet::Ipv4Net;

use super::keys::{
    DEFAULT_CIDR, DEFAULT_ZONES, MAX_CREATED_ZONES, MAX_SUBNETS, MAX_ZONES, NETWORK, NO_NETWORK,
};
use super::problem::Invalid;
use super::read::{Field, Reader, Section, Show};
use super::values::{choice, field, ids, is_word, optional_section, word};
use super::{Choice as _, ExistingVpc, NatMode, Network, RouteMode, Vpc, identifiers, validate};

pub(super) fn network(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<Network> {
    let is_none = is_word(reader, root, "network", NO_NETWORK)?;
    let section = match is_none {
        true => None,
        false => optional_section(reader, root, &NETWORK, "network")?,
    };
    let before = reader.flaw_count();
    let section = section.as_ref();
    let cidr = match field(section, "cidr") {
        Some(field) => reader.text(field, Show::Yes, identifiers::vpc_cidr),
        None => Some(DEFAULT_CIDR),
    };
    let zones = match field(section, "zones") {
        Some(field) => reader.whole(field, 1, MAX_CREATED_ZONES),
        None => Some(DEFAULT_ZONES),
    };
    let nat = nat(reader, section);
    let endpoints = match field(section, "endpoints") {
        Some(field) => reader.boolean(field),
        None => Some(false),
    };
    let route = choice(reader, section, "route");
    let existing = section
        .zip(route)
        .and_then(|(section, route)| existing_vpc(reader, section, route));
    let elastic_ips = match field(section, "elastic_ips") {
        Some(field) => elastic_ips(reader, field),
        None => Some(Vec::new()),
    };
    let vpc = match existing {
        Some(existing) => Vpc::Existing(existing),
        None if is_none => Vpc::None,
        None => Vpc::Created,
    };
    let sound = reader.flaw_count() == before;
    let has_nat_gateway = matches!(nat, Some((_, Some(_))));
    if let Some(section) = section {
        validate::own_network(reader, section, has_nat_gateway, route);
        let mode = nat.as_ref().map(|(mode, _)| *mode);
        validate::way_out(reader, section, mode, route);
    }
    let (nat, nat_gateway) = nat?;
    let network = Network {
        cidr: cidr?,
        zones: zones?,
        nat,
        nat_gateway,
        endpoints: endpoints?,
        elastic_ips: elastic_ips?,
        vpc,
    };
    if let Some(section) = section.filter(|_| sound) {
        if network.is_created() {
            validate::room(reader, section, &network);
        }
        validate::elastic_ips(reader, section, &network);
    }
    Some(network)
}

/// How many NAT gateways there are, or the user's own one.
fn nat(
    reader: &mut Reader<'_>,
    section: Option<&Section<'_>>,
) -> Option<(NatMode, Option<String>)> {
    let Some(field) = field(section, "nat") else {
        return Some((NatMode::Single, None));
    };
    reader.text(field, Show::Yes, |text| match text.starts_with("nat-") {
        true => Ok((NatMode::Single, Some(identifiers::nat_gateway_id(text)?))),
        false => match word(text) {
            Ok(mode) => Ok((mode, None)),
            Err(invalid) => {
                let modes = NatMode::ALL.iter().map(|mode| mode.word());
                let modes: Vec<_> = modes.map(|word| format!("`{word}`")).collect();
                let must = format!(
                    "must be {} or the id of a NAT gateway such as `nat-0123456789abcdef0`",
                    modes.join(", ")
                );
                Err(Invalid { must, ..invalid })
            }
        },
    })
}

/// The user's own VPC, with the subnets to use or to create.
fn existing_vpc(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    route: RouteMode,
) -> Option<ExistingVpc> {
    let id = section
        .field("vpc")
        .and_then(|field| reader.text(field, Show::Yes, identifiers::vpc_id));
    let subnets = section
        .field("subnets")
        .and_then(|field| subnets(reader, field));
    let subnet_cidrs = section
        .field("subnet_cidrs")
        .and_then(|field| subnet_cidrs(reader, field));
    if subnets.is_none() && subnet_cidrs.is_none() {
        return None;
    }
    Some(ExistingVpc {
        id: id?,
        subnets: subnets.unwrap_or_default(),
        subnet_cidrs: subnet_cidrs.unwrap_or_default(),
        route,
    })
}

fn subnet_cidrs(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<Ipv4Net>> {
    let items = reader.list(field)?;
    if !(1..=MAX_ZONES).contains(&items.len()) {
        let message = format!(
            "must be 1 to {MAX_ZONES} CIDR blocks, one for each zone, not {}",
            items.len()
        );
        reader.report(field, &message);
    }
    let mut cidrs: Vec<Ipv4Net> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(cidr) = reader.text(item, Show::Yes, identifiers::subnet_cidr) else {
            continue;
        };
        let overlaps = |other: &&Ipv4Net| other.contains(&cidr) || cidr.contains(&other.network());
        if let Some(other) = cidrs.iter().find(overlaps) {
            reader.report(item, &format!("overlaps `{other}`"));
        }
        cidrs.push(cidr);
    }
    Some(cidrs)
}

fn subnets(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let items = reader.list(field)?;
    if !(1..=MAX_SUBNETS).contains(&items.len()) {
        let message = format!("must be 1 to {MAX_SUBNETS} subnets, not {}", items.len());
        reader.report(field, &message);
    }
    Some(ids(reader, &items, "a subnet", identifiers::subnet_id))
}

fn elastic_ips(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let items = reader.list(field)?;
    Some(ids(
        reader,
        &items,
        "an address",
        identifiers::allocation_id,
    ))
}

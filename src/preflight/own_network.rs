//! Whether the functions can work in a network of the operator. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::encryption;
use super::findings::Verdict;
use crate::action::Action;
use crate::aws::own_network::{Acl, DefaultRoute, Nat, OwnNetwork, Rule, Subnet, Table, Target};
use crate::config::{CacheKind, Config};
use crate::engine::plan::Plan;
use crate::kind::Kind;
use crate::printable::line;
use crate::resource::{cache_group, serverless_cache};

const TCP: &str = "6";
const ALL_PROTOCOLS: &str = "-1";

/// The ports of responses to a Lambda function or through a NAT gateway.
/// Source: Amazon VPC User Guide, custom network ACLs, on ephemeral ports.
const EPHEMERAL: (u16, u16) = (1024, 65535);

/// What the stack needs of the network.
#[derive(Debug, Clone, Copy)]
pub struct Needs<'a> {
    pub stack: &'a str,
    pub account: &'a str,
    pub vpc: &'a str,
    /// The functions' subnets. One that does not exist has its CIDR block as its id.
    pub subnets: &'a [String],
    /// The key of the configuration that names them.
    pub key: &'a str,
    /// The subnets that the stack gives a way to the Internet.
    pub routed: &'a BTreeSet<String>,
    /// The public subnets of the stack's NAT gateways.
    pub gateways: &'a [String],
    /// The host of 3scale, and its port.
    pub host: &'a str,
    pub port: u16,
    /// Whether 3scale is reached over the Internet in any case.
    pub needs_internet: bool,
    /// Whether the stack has a cache in the subnets.
    pub has_cache: bool,
    /// Whether the stack has an endpoint of the Parameter Store.
    pub has_endpoint: bool,
    /// Whether that is a serverless cache.
    pub is_serverless: bool,
    /// The number of addresses that the plan takes.
    pub new_addresses: usize,
}

/// The host of the hosted 3scale, which has public addresses only.
const HOSTED: &str = "su1.3scale.net";

/// The host of 3scale, and its port.
pub fn backend(config: &Config) -> (&str, u16) {
    let address = &config.threescale.backend;
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    (
        host,
        port.unwrap_or(if scheme == "http" { 80 } else { 443 }),
    )
}

/// The parts of a network that the plan is about.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub vpc: &'a str,
    pub subnets: &'a [String],
    pub routed: &'a BTreeSet<String>,
    pub gateways: &'a [String],
}

/// What a plan needs of the network of the operator. The host borrows from `config`.
pub fn needs<'a>(config: &'a Config, account: &'a str, parts: Parts<'a>, plan: &Plan) -> Needs<'a> {
    let Parts {
        vpc,
        subnets,
        routed,
        gateways,
    } = parts;
    let creates = config
        .network
        .existing()
        .is_some_and(|own| own.subnets.is_empty());
    let (host, port) = backend(config);
    let has_cache = config.cache.is_created();
    let is_new = |kind: Kind| {
        let mut items = plan.items.iter();
        items.any(|item| {
            item.id.kind == kind && matches!(item.action, Action::Create | Action::Replace)
        })
    };
    let nodes = if is_new(Kind::Cache) {
        1 + usize::from(config.cache.replicas)
    } else if is_new(Kind::ServerlessCache) {
        subnets.len().min(serverless_cache::ZONES)
    } else {
        0
    };
    let interfaces = if is_new(Kind::Function) {
        subnets.len()
    } else {
        0
    };
    let endpoints = if is_new(Kind::VpcEndpoint) {
        subnets.len()
    } else {
        0
    };
    Needs {
        stack: config.stack.as_str(),
        account,
        vpc,
        subnets,
        key: match creates {
            true => "network.subnet_cidrs",
            false => "network.subnets",
        },
        routed,
        gateways,
        host,
        port,
        needs_internet: host == HOSTED,
        has_cache,
        is_serverless: config.cache.kind == CacheKind::Serverless,
        has_endpoint: config.network.endpoints,
        new_addresses: nodes + interfaces + endpoints,
    }
}

/// Checks the network of the operator.
pub fn judge(needs: Needs<'_>, network: &OwnNetwork) -> Verdict {
    let mut verdict = Verdict::default();
    let configured: Vec<&Subnet> = needs
        .subnets
        .iter()
        .filter_map(|id| network.subnets.iter().find(|subnet| subnet.id == *id))
        .collect();
    let outside = needs
        .subnets
        .iter()
        .filter(|id| !configured.iter().any(|subnet| subnet.id == **id));
    for id in outside {
        let fault = format!("{}: {id} is not in {}", needs.key, needs.vpc);
        verdict.faults.push(fault);
    }
    zones(needs, &configured, &mut verdict);
    addresses(needs, &configured, &mut verdict);
    owners(needs, &configured, &mut verdict);
    if let (Some(tables), Some(gateways)) = (&network.tables, &network.gateways) {
        routes(needs, &configured, tables, gateways, &mut verdict);
    }
    names(needs, network, &mut verdict);
    if let Some(acls) = &network.acls {
        let is_gateway = |subnet: &&Subnet| needs.gateways.contains(&subnet.id);
        let gateways: Vec<_> = network.subnets.iter().filter(is_gateway).collect();
        filters(needs, &configured, &gateways, acls, &mut verdict);
    }
    if let Some(control) = &network.encryption {
        verdict.add(encryption::of_vpc("network.vpc: ", needs.vpc, control));
    }
    let unread = network.unread.iter().map(|error| {
        format!("a part of network.vpc could not be read and is not checked: {error}")
    });
    verdict.notices.extend(unread);
    verdict
}

fn zones(needs: Needs<'_>, subnets: &[&Subnet], verdict: &mut Verdict) {
    let zones: BTreeSet<_> = subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
    if let (true, 1, Some(zone)) = (needs.is_serverless, zones.len(), zones.first()) {
        verdict.faults.push(format!(
            "{}: every subnet is in {zone}, and `cache.kind: serverless` needs subnets in two zones",
            needs.key
        ));
        return;
    }
    if let (1, Some(zone)) = (zones.len(), zones.first()) {
        verdict.notices.push(format!(
            "{}: every subnet is in {zone}; without this Availability Zone, the authorizer does not work",
            needs.key
        ));
    }
}

/// A function needs an address in each subnet, and each cache node needs one in some subnet.
fn addresses(needs: Needs<'_>, subnets: &[&Subnet], verdict: &mut Verdict) {
    if needs.new_addresses == 0 {
        return;
    }
    let full = subnets.iter().filter(|subnet| subnet.free == Some(0));
    let full: Vec<_> = full.collect();
    for subnet in &full {
        verdict
            .faults
            .push(format!("{}: {} has no free address", needs.key, subnet.id));
    }
    let free: Option<i32> = subnets.iter().map(|subnet| subnet.free).sum();
    let Some(free) = free.and_then(|free| usize::try_from(free).ok()) else {
        return;
    };
    if full.is_empty() && !subnets.is_empty() && free < needs.new_addresses {
        verdict.faults.push(format!(
            "{}: the stack needs {} addresses, and the subnets have {free} free",
            needs.key, needs.new_addresses
        ));
    }
}

fn owners(needs: Needs<'_>, subnets: &[&Subnet], verdict: &mut Verdict) {
    for subnet in subnets {
        let Some(owner) = subnet
            .owner
            .as_deref()
            .filter(|owner| *owner != needs.account)
        else {
            continue;
        };
        verdict.notices.push(format!(
            "{}: account {owner} shares {}: its routes and network ACLs are changed there",
            needs.key, subnet.id
        ));
    }
}

/// The route table of a subnet: its own, or the main one of the VPC.
pub(super) fn table_of<'a>(subnet: &str, tables: &'a [Table]) -> Option<&'a Table> {
    let own = tables
        .iter()
        .find(|table| table.subnets.iter().any(|id| id == subnet));
    own.or_else(|| tables.iter().find(|table| table.is_main))
}

fn routes(
    needs: Needs<'_>,
    subnets: &[&Subnet],
    tables: &[Table],
    gateways: &[Nat],
    verdict: &mut Verdict,
) {
    for subnet in subnets {
        if needs.routed.contains(&subnet.id) {
            continue;
        }
        let Some(table) = table_of(&subnet.id, tables) else {
            continue;
        };
        if let Some(other) = table.stack.as_ref().filter(|stack| *stack != needs.stack) {
            verdict.notices.push(format!(
                "{}: {} uses {}, a route table of the stack {}, which must not be removed before this one leaves the subnet",
                needs.key,
                subnet.id,
                table.id,
                line(other)
            ));
        }
        match way_out(table, tables, gateways) {
            WayOut::Works => {}
            WayOut::Unknown(target) => verdict.notices.push(format!(
                "{}: the default route of {} leads to {target}: whether {} is reachable is not checked",
                needs.key, subnet.id, needs.host
            )),
            WayOut::Missing(why) => {
                let text = format!("{}: {} {why}", needs.key, subnet.id);
                if needs.needs_internet {
                    let hint = "add a route 0.0.0.0/0 to a NAT gateway";
                    verdict.faults.push(format!(
                        "{text}, so {} is not reachable: {hint}",
                        needs.host
                    ));
                } else {
                    let and_store = match needs.has_endpoint {
                        true => "",
                        false => " and the Parameter Store",
                    };
                    verdict.notices.push(format!(
                        "{text}: the functions must reach {}{and_store} in another way",
                        needs.host
                    ));
                }
            }
        }
    }
}

/// Where the default route of a subnet ends.
pub(super) enum WayOut {
    Works,
    /// At a target whose own routes are not known.
    Unknown(String),
    /// Nowhere: the end of a sentence about the subnet.
    Missing(String),
}

pub(super) fn way_out(table: &Table, tables: &[Table], gateways: &[Nat]) -> WayOut {
    let Some(DefaultRoute {
        target,
        is_blackhole,
        is_whole,
    }) = &table.default_route
    else {
        return WayOut::Missing(format!("has no route 0.0.0.0/0 in {}", table.id));
    };
    if !is_whole {
        let (Target::Other(id) | Target::NatGateway(id) | Target::InternetGateway(id)) = target;
        return WayOut::Unknown(id.clone());
    }
    match target {
        Target::Other(id) | Target::InternetGateway(id) if *is_blackhole => WayOut::Missing(
            format!("has a default route to {id}, which does not exist or is not attached"),
        ),
        Target::Other(id) => WayOut::Unknown(id.clone()),
        Target::InternetGateway(id) => WayOut::Missing(format!(
            "has a default route to the Internet gateway {id}, and Lambda functions have no public address"
        )),
        Target::NatGateway(id) => match gateways.iter().find(|nat| nat.id == *id) {
            _ if *is_blackhole => {
                WayOut::Missing(format!("has a default route to {id}, which does not exist"))
            }
            // A NAT gateway in another VPC, or one that is not visible to this account.
            None => WayOut::Unknown(id.clone()),
            Some(nat) if nat.is_private => WayOut::Unknown(format!("the private {id}")),
            Some(nat) if nat.state != "available" => WayOut::Missing(format!(
                "has a default route to {id}, which is in the state {}",
                nat.state
            )),
            Some(nat) => of_gateway(nat, tables),
        },
    }
}

/// Whether a NAT gateway reaches the Internet: the routes of its own subnet decide.
fn of_gateway(nat: &Nat, tables: &[Table]) -> WayOut {
    let table = nat
        .subnet
        .as_deref()
        .and_then(|subnet| table_of(subnet, tables));
    match table {
        Some(table) if table.default_route.is_none() => WayOut::Missing(format!(
            "has a default route to {}, whose own subnet has no route to an Internet gateway",
            nat.id
        )),
        _ => WayOut::Works,
    }
}

fn names(needs: Needs<'_>, network: &OwnNetwork, verdict: &mut Verdict) {
    let vpc = needs.vpc;
    if network.dns_support == Some(false) {
        verdict.faults.push(format!(
            "network.vpc: DNS support (enableDnsSupport) of {vpc} is off, so the functions find neither 3scale nor the cache: turn it on"
        ));
    } else if network.dns_host_names == Some(false) && needs.has_endpoint {
        verdict.faults.push(format!(
            "network.vpc: DNS host names (enableDnsHostnames) of {vpc} are off, and `network.endpoints` needs them: turn them on"
        ));
    } else if network.dns_host_names == Some(false) {
        verdict.notices.push(format!(
            "network.vpc: DNS host names (enableDnsHostnames) of {vpc} are off, so VPC endpoints have no private DNS names"
        ));
    }
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy)]
struct Flow {
    is_outbound: bool,
    peer: Ipv4Net,
    ports: (u16, u16),
}

/// Whether an ACL lets a part of the flow through. The first rule that covers all of it decides.
fn lets(acl: &Acl, flow: Flow) -> bool {
    let covers = |rule: &Rule| {
        let ports = rule.ports.filter(|_| rule.protocol != ALL_PROTOCOLS);
        let (low, high) = ports.unwrap_or((0, u16::MAX));
        let all = rule.cidr.contains(&flow.peer) && low <= flow.ports.0 && high >= flow.ports.1;
        let some = (rule.cidr.contains(&flow.peer) || flow.peer.contains(&rule.cidr))
            && low <= flow.ports.1
            && high >= flow.ports.0;
        (all, some)
    };
    let rules = acl.rules.iter().filter(|rule| {
        rule.is_outbound == flow.is_outbound
            && (rule.protocol == TCP || rule.protocol == ALL_PROTOCOLS)
    });
    for rule in rules {
        match (rule.allows, covers(rule)) {
            (true, (_, true)) => return true,
            (false, (true, _)) => return false,
            _ => {}
        }
    }
    false
}

/// Network ACLs do not filter DNS queries to the resolver of the VPC.
/// Source: Amazon VPC User Guide, network ACLs, on what they do not filter.
fn filters(
    needs: Needs<'_>,
    subnets: &[&Subnet],
    gateways: &[&Subnet],
    acls: &[Acl],
    verdict: &mut Verdict,
) {
    let acl_of = |subnet: &Subnet| {
        let own = acls.iter().find(|acl| acl.subnets.contains(&subnet.id));
        own.or_else(|| acls.iter().find(|acl| acl.is_default))
    };
    let everywhere = Ipv4Net::default();
    // The subnets with the same refusal of the same ACL share a line.
    let mut refusals: BTreeMap<(&str, String, String), BTreeSet<&str>> = BTreeMap::new();
    let check = |key, subnet: &Subnet, flow: Flow, what: String| {
        let refusing = acl_of(subnet).filter(|acl| !lets(acl, flow));
        refusing.map(|acl| (key, acl.id.clone(), what))
    };
    let functions = subnets.iter().map(|subnet| (needs.key, subnet, false));
    let gateways = gateways
        .iter()
        .map(|subnet| ("network.route", subnet, true));
    for (key, subnet, is_gateway) in functions.chain(gateways) {
        let flow = |is_outbound, ports| Flow {
            is_outbound,
            peer: everywhere,
            ports,
        };
        let port = needs.port;
        let mut flows = vec![
            (
                flow(true, (port, port)),
                format!("outbound traffic to TCP port {port}"),
            ),
            (
                flow(false, EPHEMERAL),
                "inbound responses (TCP ports 1024-65535)".to_owned(),
            ),
        ];
        if is_gateway {
            flows.extend(of_gateway_in(subnet, port, subnets));
        } else if needs.has_cache {
            flows.extend(of_cache(subnet, subnets));
        }
        for (flow, what) in flows {
            if let Some(refusal) = check(key, subnet, flow, what) {
                refusals.entry(refusal).or_default().insert(&subnet.id);
            }
        }
    }
    for ((key, acl, what), subnets) in refusals {
        let subnets: Vec<_> = subnets.into_iter().collect();
        verdict.faults.push(format!(
            "{key}: the network ACL {acl} of {} does not allow {what}",
            subnets.join(", ")
        ));
    }
}

/// What passes between a NAT gateway in a subnet and the functions in the other subnets.
fn of_gateway_in(subnet: &Subnet, port: u16, subnets: &[&Subnet]) -> Vec<(Flow, String)> {
    let others = subnets.iter().filter(|other| other.id != subnet.id);
    let peers = others.filter_map(|other| other.cidr);
    peers
        .flat_map(|peer| {
            let flow = |is_outbound, ports| Flow {
                is_outbound,
                peer,
                ports,
            };
            [
                (
                    flow(false, (port, port)),
                    format!("inbound traffic to TCP port {port} from {peer}"),
                ),
                (
                    flow(true, EPHEMERAL),
                    format!("outbound responses (TCP ports 1024-65535) to {peer}"),
                ),
            ]
        })
        .collect()
}

/// What passes between a subnet and the cache in the other subnets. A network ACL does not filter traffic inside a subnet.
fn of_cache(subnet: &Subnet, subnets: &[&Subnet]) -> Vec<(Flow, String)> {
    let port = cache_group::PORT;
    let others = subnets.iter().filter(|other| other.id != subnet.id);
    let peers: Vec<_> = others.filter_map(|other| other.cidr).collect();
    let directions = [(true, "outbound"), (false, "inbound")];
    directions
        .into_iter()
        .flat_map(|(is_outbound, word)| {
            peers.iter().flat_map(move |peer| {
                let flow = |ports| Flow {
                    is_outbound,
                    peer: *peer,
                    ports,
                };
                [
                    (
                        flow((port, port)),
                        format!("{word} traffic of the cache (TCP port {port}) with {peer}"),
                    ),
                    (
                        flow(EPHEMERAL),
                        format!("{word} responses of the cache (TCP ports 1024-65535) with {peer}"),
                    ),
                ]
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;

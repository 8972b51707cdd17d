//! Decides what the stack creates in a VPC of the operator: the zones of its subnets, and their way to the Internet. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::own_network::{WayOut, table_of, way_out};
use crate::aws::own_network::{Nat, Subnet, Table, Target};
use crate::config::{Config, ExistingVpc, NatMode, RouteMode};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::stack::{self, NatPlace, OwnVpc, Way, Ways};

/// The prefix of a public subnet for a NAT gateway: the smallest that AWS allows.
const PUBLIC_PREFIX: u8 = 28;

/// The tags that a resource can have. Source: Amazon EC2 User Guide, tag restrictions.
const MAX_TAGS: usize = 50;
/// Those of this tool that every resource has.
const OUR_TAGS: usize = 3;

/// A VPC of the operator, and what the stack has in it.
#[derive(Debug, Default)]
pub struct Seen {
    pub account: String,
    pub vpc: String,
    pub cidrs: Vec<Ipv4Net>,
    pub subnets: Vec<Subnet>,
    pub tables: Vec<Table>,
    pub gateways: Vec<Nat>,
    pub internet_gateway: Option<String>,
    /// The Region's zones in the order in which the stack uses them.
    pub zones: Vec<String>,
    /// The subnets of the stack, by their logical ids.
    pub our_subnets: BTreeMap<LogicalId, String>,
    /// The subnets of the NAT gateways and the NAT instance of the stack, by their logical ids.
    pub our_gateways: BTreeMap<LogicalId, String>,
    pub our_internet_gateway: Option<String>,
    /// The subnets that are associated with route tables of the stack.
    pub associated: BTreeSet<String>,
}

/// What the stack creates in the VPC.
pub fn choose(config: &Config, own: &ExistingVpc, seen: &Seen) -> OwnVpc {
    let mut choice = Choice {
        seen,
        taken: own.subnet_cidrs.clone(),
        faults: Vec::new(),
    };
    let zones = choice.zones(own);
    let ways = (own.route == RouteMode::Create).then(|| choice.ways(config, own, &zones));
    let created = own.subnet_cidrs.iter().filter_map(|cidr| {
        let id = stack::subnet_id(*cidr, &seen.vpc);
        seen.our_subnets.get(&id).cloned()
    });
    OwnVpc {
        id: seen.vpc.clone(),
        subnets: own.subnets.iter().cloned().chain(created).collect(),
        zones,
        ways,
        faults: choice.faults,
    }
}

/// Says that `network.nat: per-zone` creates nothing.
pub fn without_effect(config: &Config, vpc: &OwnVpc) -> Option<String> {
    let creates = |ways: &Ways| !ways.all.is_empty();
    let ways = vpc.ways.as_ref().filter(|_| vpc.faults.is_empty())?;
    let is_meant = config.network.nat == NatMode::PerZone;
    (is_meant && !creates(ways)).then(|| {
        "network.nat: per-zone has no effect: every subnet has a way to the Internet already"
            .to_owned()
    })
}

/// The letter of a zone, which is the end of its name: `a` for `us-east-1a`.
fn letter(zone: &str) -> String {
    let last = zone.chars().next_back().filter(char::is_ascii_lowercase);
    last.map_or_else(|| zone.to_owned(), String::from)
}

/// The zone in the name of a NAT gateway in a VPC of the operator.
pub fn zone(gateway: &LogicalId, region: &str) -> Option<String> {
    let letter = Some(gateway.short_name()).filter(|_| gateway.is_in_own_vpc())?;
    Some(match letter.len() {
        1 => format!("{region}{letter}"),
        _ => letter.to_owned(),
    })
}

/// A subnet that needs a way to the Internet.
#[derive(Debug, Clone)]
enum Routed {
    Existing(String, Option<Ipv4Net>),
    Created(usize, Ipv4Net),
}

struct Choice<'a> {
    seen: &'a Seen,
    /// The CIDR blocks of subnets that will be created.
    taken: Vec<Ipv4Net>,
    faults: Vec<String>,
}

impl Choice<'_> {
    fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.seen.subnets.iter().find(|subnet| subnet.id == id)
    }

    fn our_subnet(&self, id: &LogicalId) -> Option<&Subnet> {
        self.subnet(self.seen.our_subnets.get(id)?)
    }

    /// The zones of the subnets to create, each in another one. What exists stays where it is.
    fn zones(&mut self, own: &ExistingVpc) -> Vec<String> {
        let seen = self.seen;
        let known: Vec<_> = own
            .subnet_cidrs
            .iter()
            .map(|cidr| {
                let subnet = self.our_subnet(&stack::subnet_id(*cidr, &seen.vpc));
                subnet.map(|subnet| subnet.zone.clone())
            })
            .collect();
        let mut free = seen
            .zones
            .iter()
            .filter(|zone| !known.iter().flatten().any(|known| known == *zone));
        let mut zones = Vec::new();
        for (cidr, known) in own.subnet_cidrs.iter().zip(&known) {
            match known.as_ref().or_else(|| free.next()) {
                Some(zone) => zones.push(zone.clone()),
                None => {
                    self.faults.push(format!(
                        "network.subnet_cidrs: {} subnets need a zone each, and the Region offers {}",
                        own.subnet_cidrs.len(),
                        seen.zones.len()
                    ));
                    break;
                }
            }
            if known.is_none() {
                self.faults.extend(room(*cidr, seen));
            }
        }
        zones
    }

    fn ways(&mut self, config: &Config, own: &ExistingVpc, zones: &[String]) -> Ways {
        let routed = self.routed(own, zones);
        if routed.is_empty() {
            if !config.network.elastic_ips.is_empty() {
                self.faults.push(
                    "network.elastic_ips: every subnet has a way to the Internet already, so there is no NAT gateway for these addresses"
                        .to_owned(),
                );
            }
            return Ways::default();
        }
        let mut all = Vec::new();
        match (&config.network.nat_gateway, config.network.nat) {
            (Some(existing), _) => {
                self.faults.extend(existing_gateway(existing, self.seen));
                all.push(way(NatPlace::Existing(existing.clone()), &routed));
            }
            (None, NatMode::Single | NatMode::Instance | NatMode::None) => {
                let mut of_routed: Vec<_> = routed.iter().map(|(zone, _)| zone.as_str()).collect();
                of_routed.dedup();
                let place = self.single(own, &of_routed);
                all.extend(place.map(|place| way(place, &routed)));
            }
            (None, NatMode::PerZone) => {
                let of_routed: BTreeSet<_> = routed.iter().map(|(zone, _)| zone.clone()).collect();
                for zone in of_routed {
                    let of_zone: Vec<_> = routed
                        .iter()
                        .filter(|(of, _)| *of == zone)
                        .cloned()
                        .collect();
                    let place = self
                        .existing_place(own, &zone)
                        .or_else(|| self.new_place(&zone));
                    all.extend(place.map(|place| way(place, &of_zone)));
                }
                let given = config.network.elastic_ips.len();
                if given != 0 && given != all.len() {
                    self.faults.push(format!(
                        "network.elastic_ips: must name one address for each NAT gateway: {}, not {given}",
                        all.len()
                    ));
                }
            }
        }
        let room = MAX_TAGS.saturating_sub(OUR_TAGS + config.tags.len());
        if let Some(way) = all.iter().find(|way: &&Way| way.subnets.len() > room) {
            self.faults.push(format!(
                "network.subnets: {} subnets need a tag each in the route table of the stack, and `tags` leaves {room}",
                way.subnets.len()
            ));
        }
        let is_ours = |id: &&String| Some(*id) == self.seen.our_internet_gateway.as_ref();
        let theirs = self.seen.internet_gateway.as_ref();
        Ways {
            internet_gateway: theirs.filter(|id| !is_ours(id)).cloned(),
            all,
        }
    }

    /// The subnets that need a way, with their zones. One that has a way of the operator keeps it.
    fn routed(&self, own: &ExistingVpc, zones: &[String]) -> Vec<(String, Routed)> {
        let seen = self.seen;
        let needs = |id: &&String| {
            let table = table_of(id, &seen.tables);
            let has_way = table.is_some_and(|table| {
                !matches!(
                    way_out(table, &seen.tables, &seen.gateways),
                    WayOut::Missing(_)
                )
            });
            seen.associated.contains(*id) || !has_way
        };
        let existing = own.subnets.iter().filter(needs).filter_map(|id| {
            let subnet = self.subnet(id)?;
            let routed = Routed::Existing(id.clone(), subnet.cidr);
            Some((subnet.zone.clone(), routed))
        });
        let created = zones.iter().zip(&own.subnet_cidrs).enumerate();
        let created =
            created.map(|(index, (zone, cidr))| (zone.clone(), Routed::Created(index, *cidr)));
        let mut routed: Vec<_> = existing.chain(created).collect();
        routed.sort_by(|(one, _), (other, _)| one.cmp(other));
        routed
    }

    /// The place of the only NAT gateway: where the stack has one, else in a public subnet of a zone of the routed subnets, else
    /// in any public subnet, else in a new one.
    fn single(&mut self, own: &ExistingVpc, routed: &[&str]) -> Option<NatPlace> {
        let seen = self.seen;
        let mut zones: Vec<&str> = routed.to_vec();
        let others: BTreeSet<_> = seen
            .subnets
            .iter()
            .map(|subnet| subnet.zone.as_str())
            .collect();
        zones.extend(others.into_iter().filter(|zone| !routed.contains(zone)));
        let is_ours = |zone: &&&str| self.our_place(zone).is_some();
        let zone = zones.iter().find(is_ours);
        let zone = zone.or_else(|| {
            let mut zones = zones.iter();
            zones.find(|zone| self.existing_place(own, zone).is_some())
        });
        match zone {
            Some(zone) => self.existing_place(own, zone),
            None => self.new_place(routed.first()?),
        }
    }

    /// The place in this zone that the stack has, or could have in a public subnet.
    fn existing_place(&self, own: &ExistingVpc, zone: &str) -> Option<NatPlace> {
        self.our_place(zone)
            .or_else(|| self.public_place(own, zone))
    }

    /// Where the stack has a NAT gateway in this zone, or the subnet for one.
    fn our_place(&self, zone: &str) -> Option<NatPlace> {
        let seen = self.seen;
        let letter = letter(zone);
        let public = LogicalId::in_vpc(Kind::Subnet, format!("public-{letter}"), &seen.vpc);
        let public = seen.our_subnets.get(&public);
        let kinds = [Kind::NatGateway, Kind::NatInstance];
        let mut gateways = kinds.into_iter().filter_map(|kind| {
            let id = LogicalId::in_vpc(kind, &letter, &seen.vpc);
            seen.our_gateways.get(&id)
        });
        let subnet = self.subnet(gateways.next().or(public)?)?;
        if public != Some(&subnet.id) {
            return Some(NatPlace::InSubnet {
                letter,
                subnet: subnet.id.clone(),
            });
        }
        Some(NatPlace::InNewSubnet {
            letter,
            zone: subnet.zone.clone(),
            cidr: subnet.cidr?,
        })
    }

    /// The first public subnet in a zone that does not get another route itself.
    fn public_place(&self, own: &ExistingVpc, zone: &str) -> Option<NatPlace> {
        let seen = self.seen;
        let is_public = |subnet: &&Subnet| {
            let table = table_of(&subnet.id, &seen.tables);
            let route = table.and_then(|table| table.default_route.as_ref());
            let leads_out = route.is_some_and(|route| {
                route.is_whole
                    && !route.is_blackhole
                    && matches!(route.target, Target::InternetGateway(_))
            });
            let is_shared = subnet.owner.as_ref().is_some_and(|of| *of != seen.account);
            leads_out && !is_shared && subnet.zone == zone && subnet.free != Some(0)
        };
        let is_ours = |id: &String| seen.our_subnets.values().any(|ours| ours == id);
        let public = seen
            .subnets
            .iter()
            .filter(is_public)
            .map(|subnet| &subnet.id)
            .filter(|id| !own.subnets.contains(id) && !is_ours(id));
        Some(NatPlace::InSubnet {
            letter: letter(zone),
            subnet: public.min()?.clone(),
        })
    }

    /// A new public subnet at the end of the first CIDR block that has room.
    fn new_place(&mut self, zone: &str) -> Option<NatPlace> {
        let of_subnets = self.seen.subnets.iter().filter_map(|subnet| subnet.cidr);
        let taken: Vec<_> = of_subnets.chain(self.taken.iter().copied()).collect();
        let blocks = self.seen.cidrs.iter();
        let mut free = blocks.filter_map(|block| last_free(*block, &taken));
        let Some(cidr) = free.next() else {
            self.faults.push(format!(
                "network.route: {} has no public subnet in {zone} and no room for one of /{PUBLIC_PREFIX}: add a CIDR block to it, or name a NAT gateway in `network.nat`",
                self.seen.vpc
            ));
            return None;
        };
        self.taken.push(cidr);
        Some(NatPlace::InNewSubnet {
            letter: letter(zone),
            zone: zone.to_owned(),
            cidr,
        })
    }
}

fn way(nat: NatPlace, routed: &[(String, Routed)]) -> Way {
    let mut way = Way {
        nat,
        subnets: Vec::new(),
        created: Vec::new(),
        ranges: Vec::new(),
    };
    for (_, routed) in routed {
        match routed {
            Routed::Existing(id, cidr) => {
                way.subnets.push(id.clone());
                way.ranges.extend(*cidr);
            }
            Routed::Created(index, cidr) => {
                way.created.push(*index);
                way.ranges.push(*cidr);
            }
        }
    }
    way
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// The last free block for a public subnet. It goes from the end down in steps over what is taken, so a large block takes no
/// more steps than it has subnets.
fn last_free(block: Ipv4Net, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let mut last = u32::from(block.broadcast());
    loop {
        let cidr = Ipv4Net::new(last.into(), PUBLIC_PREFIX).ok()?.trunc();
        if !block.contains(&cidr) {
            return None;
        }
        match taken.iter().find(|taken| overlap(**taken, cidr)) {
            None => return Some(cidr),
            Some(taken) => last = u32::from(taken.network().min(cidr.network())).checked_sub(1)?,
        }
    }
}

/// What keeps a subnet from being created in the VPC.
fn room(cidr: Ipv4Net, seen: &Seen) -> Option<String> {
    if !seen.cidrs.iter().any(|block| block.contains(&cidr)) {
        let blocks: Vec<_> = seen.cidrs.iter().map(ToString::to_string).collect();
        return Some(format!(
            "network.subnet_cidrs: {cidr} is not in {}, which has {}",
            seen.vpc,
            blocks.join(", ")
        ));
    }
    let other = seen
        .subnets
        .iter()
        .find_map(|subnet| Some((&subnet.id, subnet.cidr.filter(|of| overlap(*of, cidr))?)));
    other.map(|(id, of)| format!("network.subnet_cidrs: {cidr} overlaps {id} ({of})"))
}

/// What keeps a NAT gateway of the operator from being the way out.
fn existing_gateway(id: &str, seen: &Seen) -> Option<String> {
    let Some(nat) = seen.gateways.iter().find(|nat| nat.id == id) else {
        return Some(format!("network.nat: there is no {id} in {}", seen.vpc));
    };
    if nat.is_private {
        return Some(format!(
            "network.nat: {id} is private, and does not lead to the Internet"
        ));
    }
    (nat.state != "available").then(|| format!("network.nat: {id} is in the state {}", nat.state))
}

#[cfg(test)]
mod tests;

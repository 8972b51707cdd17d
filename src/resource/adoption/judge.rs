//! Decides what of a network becomes the stack's. Pure.
//!
//! An adopted resource must equal the desired one, or `up` must be able to change it in place. What `up` would replace, or `down`
//! would delete while others use it, is not adopted. The ranges of the subnets are an exception: they are kept as they are, see
//! [`tags::IMPORTED`].

use std::collections::{BTreeMap, BTreeSet};

use super::found::{Found, Subnet, Table, Tags};
use super::left;
use super::outcome::{Adopted, Adoption, Left, Setting, Wanted};
use super::owner::{other, own_id};
use crate::aws::tags;
use crate::id::LogicalId;
use crate::kind::Kind;

/// The subnets of one zone.
#[derive(Debug, Default)]
struct Zone<'a> {
    public: Vec<&'a Subnet>,
    private: Vec<&'a Subnet>,
}

/// The decision so far.
pub(super) struct Judge<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) found: &'a Found,
    pub(super) adoption: Adoption,
}

/// Decides what of a network becomes the stack's.
pub fn judge(wanted: &Wanted, found: &Found) -> Adoption {
    let mut judge = Judge {
        wanted,
        found,
        adoption: Adoption {
            vpc: found.vpc.id.clone(),
            cidr: found.vpc.cidr.clone(),
            ..Adoption::default()
        },
    };
    judge.vpc();
    judge.subnets();
    judge.internet_gateway();
    judge.nat_gateways();
    judge.tables();
    let Judge { mut adoption, .. } = judge;
    left::others(found, &mut adoption);
    left::functions_and_caches(wanted, found, &mut adoption);
    missing(wanted, &mut adoption);
    taken(found, &mut adoption);
    adoption.adopted.sort_by(|one, other| one.id.cmp(&other.id));
    adoption
}

impl<'a> Judge<'a> {
    pub(super) fn adopt(&mut self, id: LogicalId, physical_id: &str, about: String, of: &Tags) {
        let name = of.get("Name").filter(|name| {
            // An import that was killed has written the new name already.
            **name != tags::name(&self.wanted.stack, &id)
        });
        self.adoption.adopted.push(Adopted {
            is_ours: own_id(self.wanted, of).as_ref() == Some(&id),
            physical_id: physical_id.to_owned(),
            former_name: (!of.contains_key(tags::IMPORTED))
                .then(|| name.cloned().unwrap_or_default()),
            about,
            id,
        });
    }

    pub(super) fn leave(
        &mut self,
        what: &'static str,
        physical_id: &str,
        why: String,
        advice: Option<&str>,
    ) {
        self.adoption.left.push(Left {
            what,
            physical_id: physical_id.to_owned(),
            why,
            advice: advice.map(str::to_owned),
        });
    }

    pub(super) fn block(&mut self, text: String) {
        self.adoption.blockers.push(text);
    }

    /// Blocks if another owner has it: what it belongs to would delete or change it.
    pub(super) fn is_free(&mut self, what: &str, physical_id: &str, of: &Tags) -> bool {
        let Some(owner) = other(&self.wanted.stack, of) else {
            return true;
        };
        self.block(format!("{what} {physical_id} belongs to {owner}"));
        false
    }

    pub(super) fn physical_id(&self, kind: Kind, name: &str) -> Option<&str> {
        let id = LogicalId::new(kind, name);
        let found = self.adoption.adopted.iter().find(|one| one.id == id);
        found.map(|one| one.physical_id.as_str())
    }

    fn vpc(&mut self) {
        let found = self.found;
        let vpc = &found.vpc;
        if vpc.is_default {
            self.block(format!(
                "{} is the default VPC, which `down` would delete: use it with `network.vpc: default` instead",
                vpc.id
            ));
        }
        if vpc.owner != self.wanted.account {
            self.block(format!("{} belongs to account {}", vpc.id, vpc.owner));
        }
        self.is_free("VPC", &vpc.id, &vpc.tags);
        if vpc.cidr != self.wanted.cidr.to_string() {
            self.block(format!(
                "{} has the range {}, and `network.cidr` is {}",
                vpc.id, vpc.cidr, self.wanted.cidr
            ));
            let cidr = vpc.cidr.parse().ok().map(Setting::Cidr);
            self.adoption.settings.extend(cidr);
        }
        let id = LogicalId::new(Kind::Vpc, "main");
        self.adopt(id, &vpc.id, vpc.cidr.clone(), &vpc.tags);
    }

    /// The table that applies to a subnet.
    pub(super) fn table_of(&self, subnet: &str) -> Option<&'a Table> {
        let tables = self.found.tables.iter();
        let associated = |table: &&Table| table.subnets.iter().any(|id| id == subnet);
        let main = || self.found.tables.iter().find(|table| table.is_main);
        tables.clone().find(associated).or_else(main)
    }

    /// The target of the default route of a subnet.
    pub(super) fn way_of(&self, subnet: &str) -> Option<&'a str> {
        self.table_of(subnet)?.default_route.as_deref()
    }

    fn is_public(&self, subnet: &Subnet) -> bool {
        match own_id(self.wanted, &subnet.tags) {
            Some(id) => id.name.starts_with("public"),
            None => self
                .way_of(&subnet.id)
                .is_some_and(|way| way.starts_with("igw-")),
        }
    }

    fn subnets(&mut self) {
        let before = self.adoption.blockers.len();
        let mut zones: BTreeMap<&str, Zone<'a>> = BTreeMap::new();
        let found = self.found;
        for subnet in &found.subnets {
            if !self.is_free("subnet", &subnet.id, &subnet.tags) {
                continue;
            }
            let is_public = self.is_public(subnet);
            let zone = zones.entry(&subnet.zone).or_default();
            match is_public {
                true => zone.public.push(subnet),
                false => zone.private.push(subnet),
            }
        }
        for (name, zone) in &zones {
            for (side, subnets) in [("public", &zone.public), ("private", &zone.private)] {
                if let [_, _, ..] = subnets[..] {
                    let ids: Vec<_> = subnets.iter().map(|subnet| subnet.id.as_str()).collect();
                    self.block(format!(
                        "zone {name} has {} {side} subnets ({}), and the stack has one in each zone",
                        ids.len(),
                        ids.join(", ")
                    ));
                }
            }
        }
        let count = zones.len();
        if count > self.wanted.letters.len() {
            self.block(format!(
                "its subnets are in {count} zones, and `network.zones` is {}",
                self.wanted.letters.len()
            ));
            self.suggest_zones(count);
        }
        let letters = self.letters(&zones);
        for (name, zone) in &zones {
            let Some(letter) = letters.get(name) else {
                continue;
            };
            for (side, subnets) in [("public", &zone.public), ("private", &zone.private)] {
                for subnet in subnets.iter().take(1) {
                    let range = subnet.cidr.map(|cidr| cidr.to_string()).unwrap_or_default();
                    let id = LogicalId::new(Kind::Subnet, format!("{side}-{letter}"));
                    let about = format!("{range} in {name}");
                    self.adopt(id, &subnet.id, about, &subnet.tags);
                }
            }
        }
        if self.adoption.blockers.len() == before {
            self.overlaps(count);
        }
    }

    /// The letter of each zone: those that tags name, then first the zone of the NAT gateway, then in the order of ranges.
    fn letters(&self, zones: &BTreeMap<&'a str, Zone<'a>>) -> BTreeMap<&'a str, String> {
        let main = self
            .main_gateway()
            .and_then(|gateway| gateway.subnet.as_deref());
        let mut letters: BTreeMap<&str, String> = BTreeMap::new();
        for (name, zone) in zones {
            let subnets = zone.public.iter().chain(&zone.private);
            let ids = subnets.filter_map(|subnet| own_id(self.wanted, &subnet.tags));
            let letter = |id: LogicalId| id.name.rsplit('-').next().map(str::to_owned);
            if let Some(letter) = ids.filter_map(letter).next() {
                letters.insert(name, letter);
            }
        }
        let used: BTreeSet<_> = letters.values().cloned().collect();
        let mut free = self
            .wanted
            .letters
            .iter()
            .filter(|letter| !used.contains(*letter));
        let mut others: Vec<_> = zones
            .iter()
            .filter(|(name, _)| !letters.contains_key(*name))
            .collect();
        others.sort_by_key(|(name, zone)| {
            let subnets = || zone.public.iter().chain(&zone.private);
            let has_main = subnets().any(|subnet| Some(subnet.id.as_str()) == main);
            (
                !has_main,
                subnets().filter_map(|subnet| subnet.cidr).min(),
                **name,
            )
        });
        for ((name, _), letter) in others.into_iter().zip(free.by_ref()) {
            letters.insert(name, letter.clone());
        }
        letters
    }

    fn suggest_zones(&mut self, count: usize) {
        // Source: the range of `network.zones`.
        if let Some(count) = u8::try_from(count)
            .ok()
            .filter(|count| (1..=6).contains(count))
        {
            self.adoption.settings.push(Setting::Zones(count));
        }
    }

    /// What `up` would create must not overlap with what is there.
    fn overlaps(&mut self, zones: usize) {
        let wanted = self.wanted;
        if self.found.vpc.cidr != wanted.cidr.to_string() || zones > wanted.letters.len() {
            return;
        }
        let mut found = Vec::new();
        for slice in &wanted.slices {
            let side = if slice.is_public { "public" } else { "private" };
            let name = format!("{side}-{}", slice.letter);
            if self.physical_id(Kind::Subnet, &name).is_some() {
                continue;
            }
            let overlaps = |subnet: &&Subnet| {
                let cidr = subnet.cidr;
                cidr.is_some_and(|cidr| cidr.contains(&slice.cidr) || slice.cidr.contains(&cidr))
            };
            if let Some(subnet) = self.found.subnets.iter().find(overlaps) {
                found.push(format!(
                    "`up` would create subnet/{name} with {}, which overlaps with {}: create the {side} subnet yourself in another range",
                    slice.cidr, subnet.id
                ));
            }
        }
        if !found.is_empty() && zones > 0 && zones < wanted.letters.len() {
            self.suggest_zones(zones);
        }
        self.adoption.blockers.extend(found);
    }

    fn internet_gateway(&mut self) {
        let found = self.found;
        for gateway in &found.internet_gateways {
            if self.is_free("Internet gateway", &gateway.id, &gateway.tags) {
                let id = LogicalId::new(Kind::InternetGateway, "main");
                self.adopt(id, &gateway.id, String::new(), &gateway.tags);
            }
        }
    }
}

/// What `up` creates.
fn missing(wanted: &Wanted, adoption: &mut Adoption) {
    let letters = wanted.letters.iter();
    let of_zone = |kind, side: &'static str| {
        let letters = letters.clone();
        letters.map(move |letter| LogicalId::new(kind, format!("{side}{letter}")))
    };
    let count = if wanted.is_per_zone { usize::MAX } else { 1 };
    let mut ids = vec![LogicalId::new(Kind::InternetGateway, "main")];
    ids.extend(of_zone(Kind::Subnet, "public-"));
    ids.extend(of_zone(Kind::Subnet, "private-"));
    if wanted.elastic_ips.is_empty() {
        ids.extend(of_zone(Kind::ElasticIp, "").take(count));
    }
    ids.extend(of_zone(Kind::NatGateway, "").take(count));
    ids.push(LogicalId::new(Kind::RouteTable, "public"));
    match wanted.is_per_zone {
        true => ids.extend(of_zone(Kind::RouteTable, "private-")),
        false => ids.push(LogicalId::new(Kind::RouteTable, "private")),
    }
    ids.retain(|id| adoption.adopted.iter().all(|one| one.id != *id));
    ids.sort();
    adoption.created = ids;
}

/// Blocks where the stack has another resource with an id that would be given away.
fn taken(found: &Found, adoption: &mut Adoption) {
    let conflicts: Vec<_> = found
        .taken
        .iter()
        .filter(|(id, physical_id)| {
            let adopted = &adoption.adopted;
            adopted
                .iter()
                .any(|one| (one.id == *id) != (one.physical_id == *physical_id))
        })
        .map(|(id, physical_id)| format!("the stack already has {id}: {physical_id}"))
        .collect();
    adoption.blockers.extend(conflicts);
}

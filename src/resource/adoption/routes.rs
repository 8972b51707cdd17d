//! Decides about the NAT gateways with their addresses, and about the route tables. Pure.

use std::collections::BTreeSet;

use super::found::{NatGateway, Table};
use super::judge::Judge;
use super::owner::other;
use crate::id::LogicalId;
use crate::kind::Kind;

impl<'a> Judge<'a> {
    /// The NAT gateway that most subnets use.
    pub(super) fn main_gateway(&self) -> Option<&'a NatGateway> {
        let users = |gateway: &NatGateway| {
            let subnets = self.found.subnets.iter();
            let ways = subnets.filter(|subnet| self.way_of(&subnet.id) == Some(&gateway.id));
            ways.count()
        };
        let working = self
            .found
            .gateways
            .iter()
            .filter(|gateway| is_working(gateway));
        // The first of several.
        working.rev().max_by_key(|gateway| users(gateway))
    }

    pub(super) fn nat_gateways(&mut self) {
        let found = self.found;
        let main = self.main_gateway().map(|gateway| gateway.id.as_str());
        let mut gateways: Vec<_> = found.gateways.iter().collect();
        gateways.sort_by_key(|gateway| Some(gateway.id.as_str()) != main);
        for gateway in gateways {
            if !self.is_free("NAT gateway", &gateway.id, &gateway.tags) {
                continue;
            }
            if let Err((why, advice)) = self.nat_gateway(gateway) {
                self.leave("NAT gateway", &gateway.id, why, Some(&advice));
            }
        }
    }

    /// Adopts a NAT gateway and its address, or says why it does not fit.
    fn nat_gateway(&mut self, gateway: &'a NatGateway) -> Result<(), (String, String)> {
        const COSTS: &str = "`up` creates another one: delete this one then, because it costs money and `down` refuses while it exists";
        let no = |why: &str| Err((why.to_owned(), COSTS.to_owned()));
        if gateway.is_private {
            return no("it is a private NAT gateway");
        }
        if !is_working(gateway) {
            return no(&format!("its state is {}", gateway.state));
        }
        let Some(subnet) = &gateway.subnet else {
            return no("it is in no subnet");
        };
        let adopted = self
            .adoption
            .adopted
            .iter()
            .find(|one| one.physical_id == *subnet);
        let Some(letter) = adopted.and_then(|one| one.id.name.strip_prefix("public-")) else {
            return no(&format!(
                "{subnet} is not one of the public subnets of the stack"
            ));
        };
        let letter = letter.to_owned();
        let index = self.wanted.letters.iter().position(|one| *one == letter);
        let Some(index) = index.filter(|index| *index == 0 || self.wanted.is_per_zone) else {
            return Err((
                "with `network.nat: single`, there is only one, in another zone".to_owned(),
                "`network.nat: per-zone` adopts it; otherwise delete it, because it costs money and `down` refuses while it exists"
                    .to_owned(),
            ));
        };
        if self.physical_id(Kind::NatGateway, &letter).is_some() {
            return no(&format!("there is another one in {subnet}"));
        }
        let [address] = &gateway.addresses[..] else {
            return no("it has several addresses");
        };
        let own = self.wanted.elastic_ips.get(index);
        match own {
            Some(own) if own == address => {
                let why = "`network.elastic_ips` names it: it stays yours, and is never released";
                self.leave("Elastic IP", address, why.to_owned(), None);
            }
            Some(own) => {
                return no(&format!(
                    "its address is {address}, and `network.elastic_ips` names {own}"
                ));
            }
            None => {
                let found = self.found.addresses.iter().find(|one| one.id == *address);
                let Some(found) = found else {
                    return no(&format!("its address {address} is not one of this account"));
                };
                if let Some(owner) = other(&self.wanted.stack, &found.tags) {
                    return Err((
                        format!("its address {address} belongs to {owner}"),
                        format!(
                            "`network.elastic_ips: [{address}]` keeps the address theirs and adopts the gateway"
                        ),
                    ));
                }
                let id = LogicalId::new(Kind::ElasticIp, &letter);
                let about = found.public_ip.clone();
                self.adopt(id, &found.id, about, &found.tags);
            }
        }
        let id = LogicalId::new(Kind::NatGateway, &letter);
        self.adopt(id, &gateway.id, format!("in {subnet}"), &gateway.tags);
        Ok(())
    }

    pub(super) fn tables(&mut self) {
        let found = self.found;
        let mut tables: Vec<_> = found.tables.iter().collect();
        tables.sort_by_key(|table| std::cmp::Reverse(table.subnets.len()));
        for table in tables {
            if !self.is_free("route table", &table.id, &table.tags) {
                continue;
            }
            let role = self.role_of(table);
            // `up` deletes such a table, as after a change from `per-zone`.
            let is_surplus = |name: &str| !self.wanted.is_per_zone && name.starts_with("private-");
            let loses_subnets = role.as_ref().map_or(true, |(name, _)| is_surplus(name));
            if table.has_other_routes && loses_subnets && self.is_used(table) {
                self.block(format!(
                    "route table {} has routes other than 0.0.0.0/0, which its subnets would lose: `up` would associate them with another table",
                    table.id
                ));
                continue;
            }
            match role {
                Ok((name, about)) => {
                    let id = LogicalId::new(Kind::RouteTable, name);
                    self.adopt(id, &table.id, about, &table.tags);
                }
                Err(_)
                    if table.is_main
                        && table.subnets.is_empty()
                        && table.default_route.is_none() => {}
                Err((why, advice)) => self.leave("route table", &table.id, why, advice),
            }
        }
    }

    /// Whether subnets send by this table.
    fn is_used(&self, table: &Table) -> bool {
        let mut subnets = self.found.subnets.iter();
        subnets.any(|subnet| {
            let of_subnet = self.table_of(&subnet.id);
            of_subnet.is_some_and(|of_subnet| of_subnet.id == table.id)
        })
    }

    /// The name that a table gets, or why it gets none.
    fn role_of(&self, table: &Table) -> Result<(String, String), (String, Option<&'static str>)> {
        const DELETE: Option<&str> = Some(
            "`up` associates its subnets with others: delete it then, because `down` refuses while it exists",
        );
        if table.is_main {
            let why = "it is the main route table, which EC2 deletes with the VPC: `up` associates the subnets with tables of the stack";
            return Err((why.to_owned(), None));
        }
        if table.has_gateways {
            return Err(("gateways use it".to_owned(), DELETE));
        }
        let names: BTreeSet<Option<&str>> = table
            .subnets
            .iter()
            .map(|id| {
                let adopted = self
                    .adoption
                    .adopted
                    .iter()
                    .find(|one| one.physical_id == *id);
                adopted.map(|one| one.id.name.as_str())
            })
            .collect();
        let are = |side: &str| {
            !names.is_empty()
                && names
                    .iter()
                    .all(|name| name.is_some_and(|name| name.starts_with(side)))
        };
        let is_free = |name: &str| self.physical_id(Kind::RouteTable, name).is_none();
        let way = table.default_route.as_deref();
        let goes_to = |kind: Kind, name: &str| way.is_some() && way == self.physical_id(kind, name);
        let of = way.map_or_else(
            || "no default route".to_owned(),
            |way| format!("0.0.0.0/0 to {way}"),
        );
        if are("public") || (names.is_empty() && goes_to(Kind::InternetGateway, "main")) {
            return match is_free("public") {
                true => Ok(("public".to_owned(), of)),
                false => Err((
                    "the stack has one for all public subnets".to_owned(),
                    DELETE,
                )),
            };
        }
        let letters = self.wanted.letters.iter();
        let mut to_gateway = letters.filter(|letter| goes_to(Kind::NatGateway, letter));
        let letter = match names.first() {
            Some(Some(name)) if names.len() == 1 && are("private-") => {
                name.strip_prefix("private-").map(str::to_owned)
            }
            _ => to_gateway.next().filter(|_| names.is_empty()).cloned(),
        };
        match letter {
            Some(letter) if self.wanted.is_per_zone => {
                let name = format!("private-{letter}");
                match is_free(&name) {
                    true => Ok((name, of)),
                    false => Err(("the stack has one in each zone".to_owned(), DELETE)),
                }
            }
            _ if self.wanted.is_per_zone && are("private-") => Err((
                "with `network.nat: per-zone`, each private subnet has a table of its own"
                    .to_owned(),
                DELETE,
            )),
            _ if is_free("private") && (are("private-") || letter.is_some()) => {
                Ok(("private".to_owned(), of))
            }
            // As after a change from `per-zone` to `single`.
            Some(letter) if !names.is_empty() && is_free(&format!("private-{letter}")) => Ok((
                format!("private-{letter}"),
                format!("{of}; `up` deletes it, because route-table/private replaces it"),
            )),
            _ if names.is_empty() => Err((
                "no subnet uses it".to_owned(),
                Some("delete it: `down` refuses while it exists"),
            )),
            _ => Err((
                "its subnets do not have the same role in the stack".to_owned(),
                DELETE,
            )),
        }
    }
}

fn is_working(gateway: &NatGateway) -> bool {
    !gateway.is_private && matches!(gateway.state.as_str(), "available" | "pending")
}

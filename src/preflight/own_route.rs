//! What it means for the operator's subnets that the stack associates them with its route table. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Verdict;
use super::own_network::table_of;
use crate::aws::own_network::{Nat, OwnNetwork, PublicInterface, Subnet, Table, Target};
use crate::config::ExistingVpc;
use crate::printable::line;
use crate::resource::route_association::Former;
use crate::stack::{NatPlace, OwnVpc};

/// The number of addresses in a subnet that AWS takes. Source: Amazon VPC User Guide, subnet CIDR blocks.
const RESERVED: u32 = 5;

/// The network as the plan leaves it: with the subnets that it creates, and without the associations and the route tables
/// (`deleted`) that it ends. Returns the ids of the functions' subnets; one that does not exist has its CIDR block as its id.
pub fn planned(
    network: &mut OwnNetwork,
    own: &ExistingVpc,
    vpc: &OwnVpc,
    former: &BTreeMap<String, Former>,
    deleted: &BTreeSet<String>,
) -> Vec<String> {
    let routed = borrowed(vpc);
    let ended = former.iter().filter(|(id, _)| !routed.contains(*id));
    for table in network.tables.iter_mut().flatten() {
        table
            .subnets
            .retain(|id| !former.contains_key(id) || routed.contains(id));
        let is_restored = |former: &&Former| matches!(former, Former::Table(id) if *id == table.id);
        let restored = ended.clone().filter(|(_, former)| is_restored(former));
        table.subnets.extend(restored.map(|(id, _)| id.clone()));
    }
    if let Some(tables) = &mut network.tables {
        tables.retain(|table| !deleted.contains(&table.id));
    }
    let mut ids = own.subnets.clone();
    for (cidr, zone) in own.subnet_cidrs.iter().zip(&vpc.zones) {
        let existing = network.subnets.iter();
        let mut existing = existing.filter(|subnet| subnet.cidr == Some(*cidr));
        if let Some(existing) = existing.next() {
            ids.push(existing.id.clone());
            continue;
        }
        let addresses = u32::from(cidr.broadcast()) - u32::from(cidr.network()) + 1;
        ids.push(cidr.to_string());
        network.subnets.push(Subnet {
            id: cidr.to_string(),
            zone: zone.clone(),
            cidr: Some(*cidr),
            owner: None,
            free: i32::try_from(addresses.saturating_sub(RESERVED)).ok(),
        });
    }
    ids
}

/// The operator's subnets that the stack gives a way to the Internet.
fn borrowed(vpc: &OwnVpc) -> BTreeSet<String> {
    let ways = vpc.ways.iter().flat_map(|ways| &ways.all);
    ways.flat_map(|way| way.subnets.iter().cloned()).collect()
}

/// All subnets that the stack gives a way to the Internet. `created`: the ids of those that it creates.
pub fn routed(vpc: &OwnVpc, created: &[String]) -> BTreeSet<String> {
    let ways = vpc.ways.iter().flat_map(|ways| &ways.all);
    let of_stack = ways.flat_map(|way| &way.created);
    let of_stack = of_stack.filter_map(|index| created.get(*index).cloned());
    borrowed(vpc).into_iter().chain(of_stack).collect()
}

/// The public subnets of the operator that get a NAT gateway of the stack.
pub fn places(vpc: &OwnVpc) -> Vec<String> {
    let ways = vpc.ways.iter().flat_map(|ways| &ways.all);
    let places = ways.filter_map(|way| match &way.nat {
        NatPlace::InSubnet { subnet, .. } => Some(subnet.clone()),
        NatPlace::Existing(_) | NatPlace::InNewSubnet { .. } => None,
    });
    places.collect()
}

/// The subnets whose route to the Internet is an Internet gateway now, so that public addresses in them are in use.
pub fn public(changed: &[String], tables: &[Table]) -> Vec<String> {
    let is_public = |id: &&String| {
        let route = table_of(id, tables).and_then(|table| table.default_route.as_ref());
        route.is_some_and(|route| {
            !route.is_blackhole && matches!(route.target, Target::InternetGateway(_))
        })
    };
    changed.iter().filter(is_public).cloned().collect()
}

/// The routes that others have added to route tables that the plan deletes.
pub fn lost(deleted: &BTreeSet<String>, tables: &[Table]) -> Vec<String> {
    let deleted = tables.iter().filter(|table| deleted.contains(&table.id));
    let with_others = deleted.filter(|table| !table.others.is_empty());
    let text = |table: &Table| {
        format!(
            "network.route: {} is deleted, and with it routes that others have added: {}",
            table.id,
            table.others.join(", ")
        )
    };
    with_others.map(text).collect()
}

/// Checks the associations that the plan changes. `interfaces` are those with a public address in the public ones of
/// these subnets.
pub fn judge(
    changed: &[String],
    tables: &[Table],
    gateways: &[Nat],
    interfaces: &[PublicInterface],
) -> Verdict {
    let mut verdict = Verdict::default();
    for id in changed {
        let works = |nat: &&Nat| !["deleted", "deleting", "failed"].contains(&nat.state.as_str());
        let mut inside = gateways.iter().filter(works);
        if let Some(nat) = inside.find(|nat| nat.subnet.as_ref() == Some(id)) {
            verdict.faults.push(format!(
                "network.route: the NAT gateway {} is in {id} and would lose its route to the Internet: use other subnets",
                nat.id
            ));
            continue;
        }
        let Some(table) = table_of(id, tables) else {
            continue;
        };
        if let Some(other) = &table.stack {
            verdict.faults.push(format!(
                "network.route: {id} uses {}, a route table of the stack {} that does not lead to the Internet: repair it with `threescale-gw up` of that stack",
                table.id,
                line(other)
            ));
            continue;
        }
        if !table.others.is_empty() {
            verdict.faults.push(format!(
                "network.route: {id} would lose the other routes of {}: {}; add a route 0.0.0.0/0 to a NAT gateway to {} and remove `network.route`, or use other subnets",
                table.id,
                table.others.join(", "),
                table.id
            ));
        }
        for endpoint in &table.endpoints {
            verdict.notices.push(format!(
                "network.route: {id} no longer uses the gateway endpoint {endpoint} of {}: traffic to its service takes the NAT gateway",
                table.id
            ));
        }
        let restored = match table.is_main && !table.subnets.contains(id) {
            true => format!("the main route table {}", table.id),
            false => table.id.clone(),
        };
        verdict.notices.push(format!(
            "network.route: {id} gets a route table of the stack in place of {restored}, which `threescale-gw down` restores"
        ));
        let losing: Vec<_> = interfaces
            .iter()
            .filter(|interface| interface.subnet == *id)
            .map(|interface| {
                format!(
                    "{} ({}, {})",
                    interface.id,
                    interface.address,
                    line(&interface.purpose)
                )
            })
            .collect();
        if !losing.is_empty() {
            verdict.notices.push(format!(
                "network.route: in {id}, what has a public address can no longer be reached from the Internet: {}",
                losing.join(", ")
            ));
        }
    }
    verdict
}

#[cfg(test)]
mod tests;

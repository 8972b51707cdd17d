//! Distinguishes the stack's parts of a network from those of others. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::around::{Around, Endpoint, Interface, Own};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::{INTERFACE_PREFIX, is_interface_of};
use crate::printable::line;
use crate::resource::nat_instance_listing::GROUP_NAME;

/// How the service names of the endpoints begin that ElastiCache creates for serverless caches, and deletes with them. Source: the
/// AWS managed policy `ElastiCacheServiceRolePolicy`.
const SERVERLESS: &str = "com.amazonaws.elasticache.serverless.";

impl Endpoint {
    /// Whether it belongs to a serverless cache of the stack.
    pub(super) fn is_of_cache(&self, own: &Own) -> bool {
        self.service.starts_with(SERVERLESS)
            && has_only(&self.groups, |group| own.groups.contains_key(group))
    }
}

/// Something in the network, and what it holds: EC2 does not delete that before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    text: String,
    /// Whether another owner has it. AWS deletes the others when their resources are deleted.
    pub is_foreign: bool,
    /// The resources of the stack that it holds.
    pub holds: BTreeSet<LogicalId>,
    /// The targets of the default routes through which it may send.
    gateways: BTreeSet<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What others have in the network, and what of the network stays with them.
#[derive(Debug, Clone, Default)]
pub struct Neighbors {
    pub foreign: Vec<Holder>,
    own: Own,
}

/// The interfaces that AWS creates for the stack's own resources, and deletes after them.
fn is_ours(interface: &Interface, own: &Own) -> bool {
    let description = &interface.description;
    let of_gateway = description
        .strip_prefix("Interface for NAT Gateway ")
        .is_some_and(|gateway| {
            own.gateways.contains_key(gateway) || own.former_gateways.contains(gateway)
        });
    let mut functions = own.functions.iter();
    let of_function = functions.any(|function| is_interface_of(function, description));
    let is_serviced = description.starts_with("AWS Lambda VPC ENI")
        || description.starts_with("ElastiCache")
        || interface.requester == "amazon-elasticache";
    of_gateway
        || of_function
        || own.instances.contains_key(&interface.id)
        || description
            .strip_prefix("VPC Endpoint Interface ")
            .is_some_and(|endpoint| own.endpoints.contains_key(endpoint))
        || (is_serviced && has_only(&interface.groups, |group| own.groups.contains_key(group)))
}

/// Which groups of `own` others use. They are those of the stack, and those that may be.
pub(super) fn used_by_others(
    own: &Own,
    interfaces: &[Interface],
    endpoints: &[Endpoint],
) -> BTreeSet<String> {
    let of_caches = of_caches(own, endpoints);
    let is_ours = |found: &Interface| is_ours(found, own) || of_caches.contains(&found.id);
    let foreign = interfaces.iter().filter(|found| !is_ours(found));
    let used = foreign.flat_map(|found| found.groups.iter());
    used.filter(|group| own.groups.contains_key(*group))
        .cloned()
        .collect()
}

/// The interfaces of the endpoints of the stack's serverless caches.
fn of_caches<'a>(own: &Own, endpoints: &'a [Endpoint]) -> BTreeSet<&'a String> {
    let of_caches = endpoints
        .iter()
        .filter(|endpoint| endpoint.is_of_cache(own));
    of_caches
        .flat_map(|endpoint| &endpoint.interfaces)
        .collect()
}

/// The VPC endpoint of an interface, if it has one.
pub(super) fn endpoint_of(interface: &Interface) -> Option<&str> {
    interface
        .description
        .strip_prefix("VPC Endpoint Interface ")
}

/// Whether there are groups, and `is_meant` is true for all.
fn has_only(groups: &[String], is_meant: impl Fn(&String) -> bool) -> bool {
    !groups.is_empty() && groups.iter().all(is_meant)
}

fn known<'a>(
    ids: impl IntoIterator<Item = &'a String>,
    of: &BTreeMap<String, LogicalId>,
) -> BTreeSet<LogicalId> {
    ids.into_iter()
        .filter_map(|id| of.get(id).cloned())
        .collect()
}

/// The association of a subnet of the operator, if a function of another stack is in it: it would lose its way to 3scale.
/// Everything else in the subnet had another way before, which is restored.
fn route_of(interface: &Interface, own: &Own) -> Option<LogicalId> {
    let of_stack = interface
        .description
        .strip_prefix(INTERFACE_PREFIX)
        .is_some_and(|name| name.starts_with("threescale-gw-"));
    let mut tables = own.tables.values();
    let is_borrowed = of_stack
        && !is_ours(interface, own)
        && tables.any(|table| table.borrowed.contains(&interface.subnet));
    is_borrowed.then(|| LogicalId::new(Kind::RouteAssociation, &interface.subnet))
}

/// Everything that holds a part of the network.
pub(super) fn judge(own: &Own, around: &Around) -> Vec<Holder> {
    let mut holders = Vec::new();
    let of_endpoints: BTreeSet<_> = around
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.interfaces)
        .collect();
    let tables = own
        .tables
        .iter()
        .map(|(id, table)| (id.clone(), table.id.clone()));
    let tables: BTreeMap<_, _> = tables.collect();
    // The default routes of a subnet, or of everything in the VPC if its table is not known.
    let gateways = |subnet: &String| -> BTreeSet<String> {
        let of_subnet = around
            .tables
            .iter()
            .filter(|table| table.associated.contains(subnet));
        let targets = of_subnet.filter_map(|table| own.tables.get(&table.id)?.target.clone());
        targets.collect()
    };
    let mut add = |text: String, is_foreign, holds: BTreeSet<LogicalId>, gateways| {
        if !holds.is_empty() {
            holders.push(Holder {
                text,
                is_foreign,
                holds,
                gateways,
            });
        }
    };
    for interface in &around.interfaces {
        if of_endpoints.contains(&interface.id) {
            continue;
        }
        let holds = known(&interface.groups, &own.groups)
            .into_iter()
            .chain(known([&interface.subnet], &own.subnets))
            .chain(known([&interface.vpc], &own.vpcs))
            .chain(route_of(interface, own));
        let text = format!(
            "network interface {} (owner {}, {}, {:?})",
            interface.id,
            line(&interface.owner),
            line(&interface.status),
            line(&interface.description)
        );
        let is_foreign = !is_ours(interface, own);
        add(
            text,
            is_foreign,
            holds.collect(),
            gateways(&interface.subnet),
        );
    }
    let subnets = around.subnets.iter();
    for (subnet, vpc) in subnets.filter(|(id, _)| !own.subnets.contains_key(id)) {
        add(
            format!("subnet {subnet}"),
            true,
            known([vpc], &own.vpcs),
            gateways(subnet),
        );
    }
    for group in &around.groups {
        let named = known(&group.names, &own.groups);
        if let Some(id) = own.groups.get(&group.id) {
            let others = named.into_iter().filter(|named| named != id).collect();
            let text = format!(
                "security group {} of this stack, whose rules name it",
                group.id
            );
            add(text, false, others, BTreeSet::new());
            continue;
        }
        let holds = match group.name == "default" {
            // It belongs to the VPC and is deleted with it.
            true => named,
            false => named
                .into_iter()
                .chain(known([&group.vpc], &own.vpcs))
                .collect(),
        };
        let text = format!("security group {} ({})", group.id, line(&group.name));
        add(text, true, holds, BTreeSet::new());
    }
    for table in &around.tables {
        if let Some(own_table) = own.tables.get(&table.id) {
            let theirs =
                |id: &&String| !own.subnets.contains_key(*id) && !own_table.borrowed.contains(*id);
            for id in table.associated.iter().filter(theirs) {
                let text = format!("the association of {id} with route table {}", table.id);
                add(text, true, [own_table.id.clone()].into(), gateways(id));
            }
            continue;
        }
        if !table.is_main {
            let text = format!("route table {}", table.id);
            add(text, true, known([&table.vpc], &own.vpcs), BTreeSet::new());
        }
        // EC2 deletes a gateway that routes lead to, and the routes lead nowhere from then on.
        for (target, id) in own.lent() {
            if table.targets.contains(target) {
                let text = format!("route table {}, which has a route to {target}", table.id);
                add(text, true, [id.clone()].into(), BTreeSet::new());
            }
        }
    }
    for endpoint in &around.endpoints {
        let holds = known([&endpoint.vpc], &own.vpcs)
            .into_iter()
            .chain(known(&endpoint.subnets, &own.subnets))
            .chain(known(&endpoint.groups, &own.groups))
            .chain(known(&endpoint.tables, &tables));
        let by = match endpoint.is_managed {
            true => ", created by an AWS service",
            false => "",
        };
        let text = format!(
            "VPC endpoint {} ({}{by})",
            endpoint.id,
            line(&endpoint.service)
        );
        let is_foreign = !own.endpoints.contains_key(&endpoint.id) && !endpoint.is_of_cache(own);
        add(text, is_foreign, holds.collect(), BTreeSet::new());
    }
    for peering in &around.peerings {
        let [one, two] = &peering.vpcs;
        let other = if own.vpcs.contains_key(one) { two } else { one };
        let text = format!("VPC peering connection {} with {}", peering.id, line(other));
        add(text, true, known(&peering.vpcs, &own.vpcs), BTreeSet::new());
    }
    let attached = around.attached.iter();
    for one in attached.filter(|one| !own.internet_gateways.contains_key(&one.id)) {
        let text = format!("{} {}", one.what, one.id);
        add(text, true, known([&one.vpc], &own.vpcs), BTreeSet::new());
    }
    holders
}

impl Neighbors {
    pub(super) fn new(own: Own, around: &Around) -> Self {
        let mut foreign = judge(&own, around);
        foreign.retain(|holder| holder.is_foreign);
        Self { foreign, own }
    }

    /// Whether others hold one of these resources.
    pub fn hold<'a>(
        &'a self,
        is_meant: impl Fn(&LogicalId) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Holder> {
        let foreign = self.foreign.iter();
        foreign.filter(move |holder| holder.holds.iter().any(&is_meant))
    }

    /// What remains of the network when the rest of the stack is deleted: the VPC with its subnets, route tables
    /// and internet gateway, the security groups that others use, and the NAT gateways or the NAT instance that they may send
    /// through.
    pub fn left(&self) -> BTreeSet<LogicalId> {
        let own = &self.own;
        let tables = own.tables.values().map(|table| &table.id);
        let held: BTreeSet<_> = self
            .foreign
            .iter()
            .flat_map(|holder| holder.holds.clone())
            .collect();
        // In a VPC of the operator, only what others use remains, with its way to the Internet.
        let is_used = held
            .iter()
            .any(|id| id.is_in_own_vpc() || id.kind == Kind::RouteAssociation);
        let mut left: BTreeSet<_> = own
            .vpcs
            .values()
            .chain(own.subnets.values())
            .chain(tables)
            .chain(own.internet_gateways.values())
            .filter(|id| is_used || !id.is_in_own_vpc())
            .cloned()
            .collect();
        left.extend(held);
        let named = |left: &BTreeSet<LogicalId>| {
            let rules = own.rules.iter().filter(|(group, _)| left.contains(group));
            let ids = rules.filter_map(|(_, named)| own.groups.get(named).cloned());
            ids.collect::<Vec<_>>()
        };
        // A group that remains names others in its rules, so they remain too. There are no circles of more than two.
        for _ in 0..own.groups.len() {
            left.extend(named(&left));
        }
        let used: BTreeSet<_> = self
            .foreign
            .iter()
            .flat_map(|holder| &holder.gateways)
            .collect();
        for (gateway, (id, address)) in own.gateways.iter().chain(&own.instances) {
            if used.contains(gateway) || (is_used && id.is_in_own_vpc()) {
                left.insert(id.clone());
                left.extend(own.addresses.get(address).cloned());
                if id.kind == Kind::NatInstance {
                    let groups = own.groups.values();
                    left.extend(groups.filter(|group| group.name == GROUP_NAME).cloned());
                }
            }
        }
        left
    }
}

#[cfg(test)]
mod tests;

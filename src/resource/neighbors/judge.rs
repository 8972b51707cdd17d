//! Distinguishes the stack's parts of a network from those of others. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::{INTERFACE_PREFIX, is_interface_of};
use crate::printable::line;
use crate::resource::nat_instance_listing::GROUP_NAME;

/// A route table of the stack.
#[derive(Debug, Clone)]
pub(super) struct OwnTable {
    pub id: LogicalId,
    /// The subnets of the operator that get their former route table when the stack is removed.
    pub borrowed: BTreeSet<String>,
    /// The target of its default route.
    pub target: Option<String>,
}

/// The network resources of the stack, by their physical ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    pub vpcs: BTreeMap<String, LogicalId>,
    pub subnets: BTreeMap<String, LogicalId>,
    pub tables: BTreeMap<String, OwnTable>,
    pub groups: BTreeMap<String, LogicalId>,
    /// The names of the functions, which can be in security groups of the operator.
    pub functions: Vec<String>,
    /// The groups that the rules of a group name.
    pub rules: Vec<(LogicalId, String)>,
    /// The NAT gateways with their addresses.
    pub gateways: BTreeMap<String, (LogicalId, String)>,
    /// NAT gateways that are deleted: their interfaces disappear a little later.
    pub former_gateways: BTreeSet<String>,
    /// The NAT instances with their addresses, by network interface.
    pub instances: BTreeMap<String, (LogicalId, String)>,
    pub addresses: BTreeMap<String, LogicalId>,
    pub internet_gateways: BTreeMap<String, LogicalId>,
    pub endpoints: BTreeMap<String, LogicalId>,
    /// The VPCs of the operator in which the stack has route tables or gateways.
    pub borrowed_vpcs: BTreeSet<String>,
}

impl Own {
    /// The gateways and NAT instances in VPCs of the operator, by what a route names.
    fn lent(&self) -> impl Iterator<Item = (&String, &LogicalId)> {
        let nat = self.gateways.iter().chain(&self.instances);
        let nat = nat.map(|(target, (id, _))| (target, id));
        let all = nat.chain(&self.internet_gateways);
        all.filter(|(_, id)| id.is_in_own_vpc())
    }
}

#[derive(Debug, Clone, Default)]
pub(in crate::resource) struct Interface {
    pub id: String,
    pub owner: String,
    pub requester: String,
    pub description: String,
    pub status: String,
    pub subnet: String,
    pub vpc: String,
    pub groups: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub id: String,
    pub name: String,
    pub vpc: String,
    /// The groups that its rules name.
    pub names: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub id: String,
    pub vpc: String,
    pub is_main: bool,
    /// The associated subnets and gateways.
    pub associated: Vec<String>,
    /// The gateways and interfaces that its routes name.
    pub targets: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(in crate::resource) struct Endpoint {
    pub id: String,
    pub service: String,
    pub vpc: String,
    /// Whether an AWS service created it.
    pub is_managed: bool,
    pub interfaces: Vec<String>,
    pub subnets: Vec<String>,
    pub groups: Vec<String>,
    pub tables: Vec<String>,
}

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

#[derive(Debug, Clone, Default)]
pub(in crate::resource) struct Peering {
    pub id: String,
    pub vpcs: [String; 2],
}

/// A gateway or a network ACL of a VPC.
#[derive(Debug, Clone, Default)]
pub(in crate::resource) struct Attached {
    /// What it is, for reports.
    pub what: &'static str,
    pub id: String,
    pub vpc: String,
}

impl Attached {
    pub(super) fn new(what: &'static str, id: String, vpc: Option<String>) -> Self {
        let vpc = vpc.unwrap_or_default();
        Self { what, id, vpc }
    }
}

/// What EC2 lists in and around the network.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    pub interfaces: Vec<Interface>,
    /// By subnet, its VPC.
    pub subnets: Vec<(String, String)>,
    pub groups: Vec<Group>,
    pub tables: Vec<Table>,
    pub endpoints: Vec<Endpoint>,
    pub peerings: Vec<Peering>,
    pub attached: Vec<Attached>,
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
mod tests {
    use super::*;

    fn id(text: &str) -> LogicalId {
        text.parse().expect("a logical id")
    }

    fn ids(texts: &[&str]) -> BTreeSet<LogicalId> {
        texts.iter().map(|text| id(text)).collect()
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, LogicalId> {
        let pairs = pairs.iter();
        pairs.map(|(key, of)| ((*key).to_owned(), id(of))).collect()
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn own() -> Own {
        let table = |of: &str, target: &str| OwnTable {
            id: id(of),
            borrowed: BTreeSet::new(),
            target: Some(text(target)),
        };
        Own {
            vpcs: map(&[("vpc-1", "vpc/main")]),
            subnets: map(&[
                ("subnet-1", "subnet/private-a"),
                ("subnet-2", "subnet/public-a"),
            ]),
            tables: [
                (text("rtb-1"), table("route-table/private", "nat-1")),
                (text("rtb-2"), table("route-table/public", "igw-1")),
            ]
            .into(),
            groups: map(&[
                ("sg-1", "security-group/authorizer"),
                ("sg-2", "security-group/cache"),
            ]),
            functions: vec![text("threescale-gw-orders-authorizer")],
            rules: vec![(id("security-group/cache"), text("sg-1"))],
            gateways: [(text("nat-1"), (id("nat-gateway/a"), text("eipalloc-1")))].into(),
            former_gateways: [text("nat-0")].into(),
            instances: BTreeMap::new(),
            addresses: map(&[("eipalloc-1", "elastic-ip/a")]),
            internet_gateways: map(&[("igw-1", "internet-gateway/main")]),
            endpoints: BTreeMap::new(),
            borrowed_vpcs: BTreeSet::new(),
        }
    }

    fn interface(description: &str, requester: &str, groups: &[&str]) -> Interface {
        Interface {
            id: text("eni-1"),
            owner: text("123456789012"),
            requester: text(requester),
            description: text(description),
            status: text("in-use"),
            subnet: text("subnet-1"),
            vpc: text("vpc-1"),
            groups: groups.iter().map(|group| text(group)).collect(),
        }
    }

    fn attached(what: &'static str, id: &str) -> Attached {
        Attached::new(what, text(id), Some(text("vpc-1")))
    }

    /// The network as the stack has created it.
    fn undisturbed() -> Around {
        let table = |id: &str, subnets: &[&str]| Table {
            id: text(id),
            vpc: text("vpc-1"),
            is_main: subnets.is_empty(),
            associated: subnets.iter().map(|subnet| text(subnet)).collect(),
            ..Table::default()
        };
        let group = |id: &str, name: &str, names: &[&str]| Group {
            id: text(id),
            name: text(name),
            vpc: text("vpc-1"),
            names: names.iter().map(|name| text(name)).collect(),
        };
        Around {
            interfaces: vec![
                interface(
                    "AWS Lambda VPC ENI-threescale-gw-orders-authorizer-1",
                    "AROA:1",
                    &["sg-1"],
                ),
                interface("AWS Lambda VPC ENI: 1", "AROA:1", &["sg-1"]),
                interface(
                    "ElastiCache threescale-gw-orders-cache-001",
                    "amazon-elasticache",
                    &["sg-2"],
                ),
                interface("Interface for NAT Gateway nat-1", "", &[]),
                interface("Interface for NAT Gateway nat-0", "", &[]),
            ],
            subnets: vec![
                (text("subnet-1"), text("vpc-1")),
                (text("subnet-2"), text("vpc-1")),
            ],
            groups: vec![
                group("sg-0", "default", &["sg-0"]),
                group("sg-1", "threescale-gw-orders-authorizer", &[]),
                group("sg-2", "threescale-gw-orders-cache", &["sg-1"]),
            ],
            tables: vec![
                table("rtb-0", &[]),
                table("rtb-1", &["subnet-1"]),
                table("rtb-2", &["subnet-2"]),
            ],
            attached: vec![attached("internet gateway", "igw-1")],
            ..Around::default()
        }
    }

    #[test]
    fn the_instance_and_the_endpoint_of_the_stack_are_not_others() {
        let instance = (id("nat-instance/a"), text("eipalloc-2"));
        let mut own = own();
        own.instances.insert(text("eni-2"), instance);
        own.endpoints = map(&[("vpce-1", "vpc-endpoint/ssm")]);
        own.groups.insert(text("sg-3"), id("security-group/nat"));
        own.addresses
            .insert(text("eipalloc-2"), id("elastic-ip/nat-instance"));
        if let Some(table) = own.tables.get_mut("rtb-1") {
            table.target = Some(text("eni-2"));
        }
        let of_instance = Interface {
            id: text("eni-2"),
            ..interface("threescale-gw-orders: NAT instance", "", &["sg-3"])
        };
        let of_endpoint = interface("VPC Endpoint Interface vpce-1", "727180483921", &["sg-1"]);
        assert!(is_ours(&of_instance, &own) && is_ours(&of_endpoint, &own));
        let of_others = interface("VPC Endpoint Interface vpce-2", "727180483921", &["sg-1"]);
        assert!(!is_ours(&of_others, &own));
        let endpoint = Endpoint {
            id: text("vpce-1"),
            vpc: text("vpc-1"),
            ..Endpoint::default()
        };
        let around = Around {
            endpoints: vec![endpoint],
            interfaces: vec![of_instance],
            ..Around::default()
        };
        let neighbors = Neighbors::new(own.clone(), &around);
        assert_eq!(neighbors.foreign, []);
        // A server of others sends through the instance.
        let around = Around {
            interfaces: vec![interface("their server", "", &[])],
            tables: vec![Table {
                id: text("rtb-1"),
                vpc: text("vpc-1"),
                associated: vec![text("subnet-1")],
                ..Table::default()
            }],
            ..Around::default()
        };
        let left = Neighbors::new(own, &around).left();
        let of_instance = ids(&[
            "nat-instance/a",
            "elastic-ip/nat-instance",
            "security-group/nat",
        ]);
        assert!(left.is_superset(&of_instance), "{left:?}");
        assert!(!left.contains(&id("nat-gateway/a")), "{left:?}");
    }

    #[test]
    fn an_undisturbed_network_has_no_neighbors() {
        let found = Neighbors::new(own(), &undisturbed());
        assert_eq!(found.foreign, []);
        let network = [
            "internet-gateway/main",
            "route-table/private",
            "route-table/public",
            "subnet/private-a",
            "subnet/public-a",
            "vpc/main",
        ];
        assert_eq!(found.left(), ids(&network));
    }

    #[test]
    fn an_interface_of_our_function_is_ours_in_the_groups_of_the_operator() {
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        for (function, is_own) in [
            ("threescale-gw-orders-authorizer", true),
            ("threescale-gw-orders-authorizer-authorizer", false),
            ("theirs", false),
        ] {
            let description = format!("AWS Lambda VPC ENI-{function}-{id}");
            let found = interface(&description, "AROA:1", &["sg-9"]);
            assert_eq!(is_ours(&found, &own()), is_own, "{description}");
        }
    }

    #[test]
    fn an_interface_is_ours_only_with_our_groups_and_from_our_services() {
        for foreign in [
            interface("AWS Lambda VPC ENI-theirs-1", "AROA:2", &["sg-9"]),
            interface("AWS Lambda VPC ENI-theirs-1", "AROA:2", &["sg-1", "sg-9"]),
            interface("AWS Lambda VPC ENI-theirs-1", "AROA:2", &[]),
            interface("a server", "", &["sg-1"]),
            interface("Interface for NAT Gateway nat-2", "", &[]),
        ] {
            assert!(!is_ours(&foreign, &own()), "{foreign:?}");
        }
    }

    #[test]
    fn the_endpoint_of_a_serverless_cache_is_ours_only_with_our_groups() {
        let endpoint = |service: &str, groups: &[&str]| Endpoint {
            id: text("vpce-1"),
            service: text(service),
            vpc: text("vpc-1"),
            interfaces: vec![text("eni-1")],
            groups: groups.iter().map(|group| text(group)).collect(),
            ..Endpoint::default()
        };
        let serverless = "com.amazonaws.elasticache.serverless.us-east-1.vpce-svc-1";
        for (service, groups, is_ours) in [
            (serverless, &["sg-2"][..], true),
            (serverless, &["sg-2", "sg-9"], false),
            (serverless, &[], false),
            ("com.amazonaws.us-east-1.ssm", &["sg-2"], false),
        ] {
            let endpoint = endpoint(service, groups);
            assert_eq!(endpoint.is_of_cache(&own()), is_ours, "{endpoint:?}");
            let groups = map(&[("sg-2", "security-group/cache")]);
            let interface = interface("VPC Endpoint Interface vpce-1", "", &["sg-2"]);
            assert_eq!(endpoint_of(&interface), Some("vpce-1"));
            let of_groups = Own {
                groups,
                ..Own::default()
            };
            let is_only_ours = endpoint.is_of_cache(&of_groups);
            let listed = std::slice::from_ref(&endpoint);
            let used = used_by_others(&of_groups, &[interface], listed);
            assert_eq!(used.is_empty(), is_only_ours, "{endpoint:?}");
            let around = Around {
                endpoints: vec![endpoint],
                ..Around::default()
            };
            let found = Neighbors::new(own(), &around);
            assert_eq!(found.foreign.is_empty(), is_ours);
        }
    }

    #[test]
    fn everything_that_others_have_is_named_with_what_it_holds() {
        let mut around = undisturbed();
        around.interfaces.push(Interface {
            id: text("eni-2"),
            ..interface("a \u{1b}server", "", &["sg-1"])
        });
        around.subnets.push((text("subnet-9"), text("vpc-1")));
        around.groups.push(Group {
            id: text("sg-9"),
            name: text("theirs"),
            vpc: text("vpc-1"),
            names: [text("sg-2")].into(),
        });
        around.tables[1].associated.push(text("subnet-9"));
        around.tables.push(Table {
            id: text("rtb-9"),
            vpc: text("vpc-1"),
            ..Table::default()
        });
        around.endpoints.push(Endpoint {
            id: text("vpce-1"),
            service: text("com.amazonaws.us-east-1.guardduty-data"),
            vpc: text("vpc-1"),
            is_managed: true,
            interfaces: vec![text("eni-2b")],
            subnets: vec![text("subnet-1")],
            groups: vec![text("sg-9")],
            tables: vec![text("rtb-1")],
        });
        around.interfaces.push(Interface {
            id: text("eni-2b"),
            ..interface("VPC Endpoint Interface vpce-1", "", &["sg-9"])
        });
        around.peerings.push(Peering {
            id: text("pcx-1"),
            vpcs: [text("vpc-9"), text("vpc-1")],
        });
        around.attached.extend([
            attached("VPN gateway", "vgw-9"),
            attached("network ACL", "acl-9"),
        ]);
        let found = Neighbors::new(own(), &around);
        let told: Vec<_> = found
            .foreign
            .iter()
            .map(|holder| (holder.to_string(), holder.holds.clone()))
            .collect();
        let expected: &[(&str, &[&str])] = &[
            (
                "network interface eni-2 (owner 123456789012, in-use, \"a \\\\u{1b}server\")",
                &["security-group/authorizer", "subnet/private-a", "vpc/main"],
            ),
            ("subnet subnet-9", &["vpc/main"]),
            (
                "security group sg-9 (theirs)",
                &["security-group/cache", "vpc/main"],
            ),
            (
                "the association of subnet-9 with route table rtb-1",
                &["route-table/private"],
            ),
            ("route table rtb-9", &["vpc/main"]),
            (
                "VPC endpoint vpce-1 (com.amazonaws.us-east-1.guardduty-data, created by an AWS service)",
                &["route-table/private", "subnet/private-a", "vpc/main"],
            ),
            ("VPC peering connection pcx-1 with vpc-9", &["vpc/main"]),
            ("VPN gateway vgw-9", &["vpc/main"]),
            ("network ACL acl-9", &["vpc/main"]),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, holds)| ((*text).to_owned(), ids(holds)))
            .collect();
        assert_eq!(told, expected);
        // Their server in the private subnet reaches the internet through the NAT gateway.
        let left = found.left();
        for stays in [
            "nat-gateway/a",
            "elastic-ip/a",
            "security-group/authorizer",
            "security-group/cache",
        ] {
            assert!(left.contains(&id(stays)), "{left:?}");
        }
    }

    #[test]
    fn in_a_vpc_of_the_operator_only_what_uses_our_groups_counts() {
        let own = Own {
            groups: own().groups,
            rules: own().rules,
            ..Own::default()
        };
        let mut around = undisturbed();
        around.interfaces.truncate(3);
        assert_eq!(Neighbors::new(own.clone(), &around).foreign, []);
        assert!(Neighbors::new(own.clone(), &around).left().is_empty());
        around.interfaces.push(interface("a server", "", &["sg-2"]));
        let found = Neighbors::new(own, &around);
        assert_eq!(found.foreign.len(), 1);
        // The rules of the cache's group name the authorizer's.
        let both = ["security-group/authorizer", "security-group/cache"];
        assert_eq!(found.left(), ids(&both));
    }

    #[test]
    fn a_route_of_others_holds_a_gateway_in_a_vpc_of_the_operator() {
        let nat = |id: &str| (self::id(id), text("eipalloc-1"));
        let own = |suffix: &str| Own {
            gateways: [(text("nat-1"), nat(&format!("nat-gateway/a{suffix}")))].into(),
            instances: [(text("eni-1"), nat(&format!("nat-instance/a{suffix}")))].into(),
            internet_gateways: map(&[("igw-1", &format!("internet-gateway/main{suffix}"))]),
            ..Own::default()
        };
        let targets = ["nat-1", "eni-1", "igw-1", "vgw-1"];
        let theirs = Table {
            id: text("rtb-1"),
            vpc: text("vpc-1"),
            is_main: true,
            targets: targets.map(text).into(),
            ..Table::default()
        };
        let around = Around {
            tables: vec![theirs],
            ..Around::default()
        };
        let found = Neighbors::new(own("@0123abcd"), &around);
        let told: Vec<_> = found.foreign.iter().map(ToString::to_string).collect();
        let expected = ["nat-1", "eni-1", "igw-1"];
        let expected =
            expected.map(|target| format!("route table rtb-1, which has a route to {target}"));
        assert_eq!(told, expected);
        let left = found.left();
        for stays in ["nat-gateway/a", "nat-instance/a", "internet-gateway/main"] {
            assert!(left.contains(&id(&format!("{stays}@0123abcd"))), "{left:?}");
        }
        // In a VPC of the stack, the route table itself is named.
        assert_eq!(Neighbors::new(own(""), &around).foreign, []);
    }
}

//! What is in the stack's network and around it, as far as a decision needs it.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::LogicalId;

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
    pub(super) fn lent(&self) -> impl Iterator<Item = (&String, &LogicalId)> {
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

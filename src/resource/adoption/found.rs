//! What is found in and around a VPC. Data only.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use crate::id::LogicalId;
use crate::resource::neighbors::{Attached, Endpoint, Interface, Peering};

/// The tags of a resource.
pub(super) type Tags = BTreeMap<String, String>;

/// The VPC to adopt, and the API that the stack is for.
#[derive(Debug, Clone)]
pub struct Subject {
    pub vpc: String,
    /// The id of the REST API, if it is known.
    pub api: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Vpc {
    pub id: String,
    pub cidr: String,
    pub is_default: bool,
    /// The account that owns it.
    pub owner: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Subnet {
    pub id: String,
    pub zone: String,
    pub cidr: Option<Ipv4Net>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct InternetGateway {
    pub id: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct NatGateway {
    pub id: String,
    /// For example `available` or `failed`.
    pub state: String,
    pub is_private: bool,
    /// `None` for a regional NAT gateway.
    pub subnet: Option<String>,
    /// The allocation ids of its addresses.
    pub addresses: Vec<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Address {
    pub id: String,
    pub public_ip: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub id: String,
    pub is_main: bool,
    pub subnets: Vec<String>,
    /// Whether it is associated with a gateway, or a VPN gateway adds routes to it.
    pub has_gateways: bool,
    /// Whether it has other routes than those within the VPC and `0.0.0.0/0`.
    pub has_other_routes: bool,
    /// The target of `0.0.0.0/0`.
    pub default_route: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub id: String,
    pub name: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Function {
    pub name: String,
    pub role: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    /// The id of the replication group, or of a cluster without one.
    pub name: String,
    /// Whether it is a replication group.
    pub is_group: bool,
    /// Where it is reached, if that is known.
    pub url: Option<String>,
}

/// An authorizer of the API that invokes a function.
#[derive(Debug, Clone, Default)]
pub(super) struct Authorizer {
    pub id: String,
    pub name: String,
    /// For example `TOKEN`.
    pub kind: String,
    /// The methods that use it, for example `GET /orders`.
    pub methods: Vec<String>,
}

/// What is found in and around a VPC.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub(super) vpc: Vpc,
    pub(super) subnets: Vec<Subnet>,
    pub(super) internet_gateways: Vec<InternetGateway>,
    pub(super) gateways: Vec<NatGateway>,
    pub(super) addresses: Vec<Address>,
    pub(super) tables: Vec<Table>,
    pub(super) groups: Vec<Group>,
    pub(super) functions: Vec<Function>,
    pub(super) caches: Vec<Cache>,
    /// The names of the cache subnet groups in the VPC.
    pub(super) cache_subnet_groups: Vec<String>,
    pub(super) authorizers: Vec<Authorizer>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) peerings: Vec<Peering>,
    pub(super) attached: Vec<Attached>,
    /// What has the tags of the stack already, anywhere, with its physical id.
    pub(super) taken: Vec<(LogicalId, String)>,
}

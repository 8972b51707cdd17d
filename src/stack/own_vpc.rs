//! What the stack creates in a VPC of the operator: subnets, and their way to the Internet.

use std::sync::{Arc, Mutex};

use ipnet::Ipv4Net;

use super::{NAT_INSTANCE, Network, nat_group};
use crate::config::{Config, ExistingVpc, NatMode};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::elastic_ip::ElasticIp;
use crate::resource::internet_gateway::InternetGateway;
use crate::resource::nat_gateway::NatGateway;
use crate::resource::nat_instance::NatInstance;
use crate::resource::nat_instance_listing;
use crate::resource::route_association::RouteAssociation;
use crate::resource::route_table::{RouteTable, Target};
use crate::resource::subnet::Subnet;
use crate::resource::{DynResource, Reference};

/// A VPC of the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnVpc {
    pub id: String,
    /// The subnets of the functions that exist.
    pub subnets: Vec<String>,
    /// The zones of the subnets that the stack creates in it, in their order.
    pub zones: Vec<String>,
    /// How its subnets reach the Internet, if the stack creates that.
    pub ways: Option<Ways>,
    /// What keeps the stack from creating it.
    pub faults: Vec<String>,
}

/// How subnets of a VPC of the operator reach the Internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    /// The Internet gateway that the VPC has; without one, the stack creates it.
    pub internet_gateway: Option<String>,
    /// One way for all subnets, or one for each zone.
    pub all: Vec<Way>,
}

impl Ways {
    /// The index of a new NAT gateway.
    pub fn index(&self, gateway: &LogicalId) -> Option<usize> {
        let name = Some(gateway.short_name()).filter(|_| gateway.is_in_own_vpc())?;
        let mut ways = self.all.iter();
        ways.position(|way| way.nat.letter() == Some(name))
    }
}

/// A NAT gateway, and the subnets that use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub nat: NatPlace,
    /// The subnets of the operator that get another route table.
    pub subnets: Vec<String>,
    /// The subnets that the stack creates, by their index.
    pub created: Vec<usize>,
    /// The CIDR blocks of all these subnets.
    pub ranges: Vec<Ipv4Net>,
}

/// The place of a NAT gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatPlace {
    /// A NAT gateway of the operator.
    Existing(String),
    /// A new one in a public subnet of the operator. `letter` is that of the zone.
    InSubnet { letter: String, subnet: String },
    /// A new one in a new public subnet.
    InNewSubnet {
        letter: String,
        zone: String,
        cidr: Ipv4Net,
    },
}

impl NatPlace {
    /// The letter of the zone of a new NAT gateway.
    pub fn letter(&self) -> Option<&str> {
        match self {
            Self::Existing(_) => None,
            Self::InSubnet { letter, .. } | Self::InNewSubnet { letter, .. } => Some(letter),
        }
    }
}

/// The id of a private subnet that the stack creates in a VPC of the operator. Its CIDR block is its name, so that another
/// block is another subnet.
pub fn subnet_id(cidr: Ipv4Net, vpc: &str) -> LogicalId {
    let name = cidr.to_string().replace('/', "-");
    LogicalId::in_vpc(Kind::Subnet, name, vpc)
}

/// The network in a VPC of the operator.
pub(super) fn network(
    config: &Config,
    own: &ExistingVpc,
    vpc: &OwnVpc,
    nodes: &mut Vec<Arc<dyn DynResource>>,
) -> Network {
    let mut private: Vec<_> = own.subnets.iter().cloned().map(Reference::Given).collect();
    for (cidr, zone) in own.subnet_cidrs.iter().zip(&vpc.zones) {
        let id = subnet_id(*cidr, &vpc.id);
        nodes.push(Arc::new(Subnet {
            name: id.name.clone(),
            vpc: Reference::Given(vpc.id.clone()),
            cidr: cidr.to_string(),
            zone: zone.clone(),
        }));
        private.push(Reference::Managed(id));
    }
    let ways_out = match &vpc.ways {
        Some(ways) => create(config, own, vpc, ways, nodes),
        None => Vec::new(),
    };
    Network {
        vpc: Some(Reference::Given(vpc.id.clone())),
        private,
        ways_out,
    }
}

/// Adds what leads to the Internet. Returns what must exist before the functions use it.
fn create(
    config: &Config,
    own: &ExistingVpc,
    vpc: &OwnVpc,
    ways: &Ways,
    nodes: &mut Vec<Arc<dyn DynResource>>,
) -> Vec<LogicalId> {
    let of_vpc = |kind, name: &str| LogicalId::in_vpc(kind, name, &vpc.id);
    let given = || Reference::Given(vpc.id.clone());
    let has_new = ways.all.iter().any(|way| way.nat.letter().is_some());
    let internet_gateway = match &ways.internet_gateway {
        Some(existing) => Reference::Given(existing.clone()),
        None => {
            let id = of_vpc(Kind::InternetGateway, "main");
            if has_new {
                nodes.push(Arc::new(InternetGateway {
                    name: id.name.clone(),
                    vpc: given(),
                }));
            }
            Reference::Managed(id)
        }
    };
    let mut public = Vec::new();
    let mut ways_out = Vec::new();
    for (index, way) in ways.all.iter().enumerate() {
        let target = match &way.nat {
            NatPlace::Existing(nat) => Target::NatGateway(Reference::Given(nat.clone())),
            NatPlace::InSubnet { letter, subnet } => {
                let place = Place {
                    index,
                    letter,
                    subnet: Reference::Given(subnet.clone()),
                    internet_gateway: &internet_gateway,
                    route_table: None,
                };
                place.gateway(config, vpc, way, nodes)
            }
            NatPlace::InNewSubnet { letter, zone, cidr } => {
                let id = of_vpc(Kind::Subnet, &format!("public-{letter}"));
                nodes.push(Arc::new(Subnet {
                    name: id.name.clone(),
                    vpc: given(),
                    cidr: cidr.to_string(),
                    zone: zone.clone(),
                }));
                public.push(id.clone());
                let place = Place {
                    index,
                    letter,
                    subnet: Reference::Managed(id),
                    internet_gateway: &internet_gateway,
                    route_table: Some(of_vpc(Kind::RouteTable, "public")),
                };
                place.gateway(config, vpc, way, nodes)
            }
        };
        let table = match (config.network.nat, way.nat.letter()) {
            (NatMode::PerZone, Some(letter)) => {
                of_vpc(Kind::RouteTable, &format!("private-{letter}"))
            }
            _ => of_vpc(Kind::RouteTable, "private"),
        };
        let created = way.created.iter();
        let created = created.filter_map(|index| own.subnet_cidrs.get(*index));
        nodes.push(Arc::new(RouteTable {
            name: table.name.clone(),
            vpc: given(),
            target,
            subnets: created.map(|cidr| subnet_id(*cidr, &vpc.id)).collect(),
        }));
        for subnet in &way.subnets {
            ways_out.push(LogicalId::new(Kind::RouteAssociation, subnet));
            nodes.push(Arc::new(RouteAssociation {
                subnet: subnet.clone(),
                table: table.clone(),
            }));
        }
        ways_out.push(table);
    }
    if !public.is_empty() {
        let table = of_vpc(Kind::RouteTable, "public");
        nodes.push(Arc::new(RouteTable {
            name: table.name.clone(),
            vpc: given(),
            target: Target::InternetGateway(internet_gateway),
            subnets: public,
        }));
        ways_out.push(table);
    }
    ways_out
}

/// Where a NAT gateway or a NAT instance is created.
struct Place<'a> {
    /// Its index, which is that of its address.
    index: usize,
    /// The letter of its zone.
    letter: &'a str,
    subnet: Reference,
    internet_gateway: &'a Reference,
    /// The route table of the subnet, if the stack creates it.
    route_table: Option<LogicalId>,
}

impl Place<'_> {
    /// Adds the NAT gateway or the NAT instance, with an address of its own unless the operator has one for it.
    fn gateway(
        self,
        config: &Config,
        vpc: &OwnVpc,
        way: &Way,
        nodes: &mut Vec<Arc<dyn DynResource>>,
    ) -> Target {
        let of_vpc = |kind, name: &str| LogicalId::in_vpc(kind, name, &vpc.id);
        let is_instance = config.network.nat == NatMode::Instance;
        let address = match config.network.elastic_ips.get(self.index) {
            Some(own) => Reference::Given(own.clone()),
            None => {
                // Not that of the NAT gateway, which has its address until it is deleted.
                let name = match is_instance {
                    true => NAT_INSTANCE,
                    false => self.letter,
                };
                let address = of_vpc(Kind::ElasticIp, name);
                nodes.push(Arc::new(ElasticIp {
                    name: address.name.clone(),
                }));
                Reference::Managed(address)
            }
        };
        if !is_instance {
            let id = of_vpc(Kind::NatGateway, self.letter);
            nodes.push(Arc::new(NatGateway {
                name: id.name.clone(),
                subnet: self.subnet,
                address,
                internet_gateway: self.internet_gateway.clone(),
            }));
            return Target::NatGateway(Reference::Managed(id));
        }
        let id = of_vpc(Kind::NatInstance, self.letter);
        let ranges = way.ranges.iter().map(ToString::to_string);
        let group = nat_group(Reference::Given(vpc.id.clone()), ranges.collect());
        nodes.push(Arc::new(group));
        nodes.push(Arc::new(NatInstance {
            name: id.name.clone(),
            subnet: self.subnet,
            security_group: LogicalId::new(Kind::SecurityGroup, nat_instance_listing::GROUP_NAME),
            address,
            internet_gateway: self.internet_gateway.clone(),
            route_table: self.route_table,
            former_failures: Mutex::default(),
        }));
        Target::NatInstance(id)
    }
}

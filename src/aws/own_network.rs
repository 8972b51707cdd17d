//! Reads what the checks of a network need: routes, NAT gateways, network ACLs and the settings of the VPC.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{NetworkAcl, Route, RouteTable, VpcAttributeName, VpcEndpoint};
use ipnet::Ipv4Net;

use super::ec2::{filter, from_tags};
use super::encryption::Encryption;
use super::known::known;
use super::paginate::pages;
use super::{Aws, AwsError, tags};

/// A subnet of the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub cidr: Option<Ipv4Net>,
    /// The account that the subnet belongs to; another one shares it.
    pub owner: Option<String>,
    /// The number of free addresses.
    pub free: Option<i32>,
}

/// The first of `ids` in each zone: an endpoint has at most one subnet of a zone.
pub fn one_per_zone(ids: &[String], known: &[Subnet]) -> Vec<String> {
    let mut zones = BTreeSet::new();
    let mut first = Vec::new();
    for id in ids {
        let subnet = known.iter().find(|subnet| subnet.id == *id);
        if subnet.is_some_and(|subnet| zones.insert(&subnet.zone)) {
            first.push(id.clone());
        }
    }
    first
}

/// An endpoint of others with private DNS names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEndpoint {
    pub id: String,
    pub service: String,
}

/// The target of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    InternetGateway(String),
    NatGateway(String),
    /// The id of a transit gateway, an instance, an interface, a firewall endpoint or another target.
    Other(String),
}

/// The route to the Internet in a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultRoute {
    pub target: Target,
    /// Whether the target no longer exists.
    pub is_blackhole: bool,
    /// Whether the route is `0.0.0.0/0`, and not one of several that divide it or a prefix list.
    pub is_whole: bool,
}

/// A route table, with what the checks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub id: String,
    /// Whether it applies to subnets that are not associated with another one.
    pub is_main: bool,
    pub subnets: Vec<String>,
    pub default_route: Option<DefaultRoute>,
    /// The other routes out of the VPC, as `destination to target`.
    pub others: Vec<String>,
    /// The gateway endpoints to which it has routes.
    pub endpoints: Vec<String>,
    /// The stack of this tool that has created it.
    pub stack: Option<String>,
}

/// A network interface with a public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicInterface {
    pub id: String,
    pub subnet: String,
    pub address: String,
    /// What it is for: the instance that it is attached to, or its description.
    pub purpose: String,
}

/// A NAT gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    pub id: String,
    /// For example `available` or `failed`.
    pub state: String,
    pub is_private: bool,
    /// `None` for a regional NAT gateway.
    pub subnet: Option<String>,
}

/// A rule of a network ACL for IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub number: i32,
    pub is_outbound: bool,
    pub allows: bool,
    /// The IANA number as text; `-1` for all protocols.
    pub protocol: String,
    pub cidr: Ipv4Net,
    /// The ports; `None` for all.
    pub ports: Option<(u16, u16)>,
}

/// A network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    pub id: String,
    /// Whether new subnets get it.
    pub is_default: bool,
    pub subnets: Vec<String>,
    pub rules: Vec<Rule>,
}

/// What is known of a VPC of the operator. `None` is unknown.
#[derive(Debug, Clone, Default)]
pub struct OwnNetwork {
    pub dns_support: Option<bool>,
    pub dns_host_names: Option<bool>,
    pub subnets: Vec<Subnet>,
    pub tables: Option<Vec<Table>>,
    pub gateways: Option<Vec<Nat>>,
    pub acls: Option<Vec<Acl>>,
    pub encryption: Option<Encryption>,
    /// Why something is unknown.
    pub unread: Vec<AwsError>,
}

impl OwnNetwork {
    /// Whether a subnet's traffic may pass an Internet gateway of this VPC.
    pub fn reaches_internet_gateway(&self) -> bool {
        let is_gateway = |table: &Table| {
            let route = table.default_route.as_ref();
            route.is_some_and(|route| matches!(route.target, Target::InternetGateway(_)))
        };
        self.tables
            .as_ref()
            .is_some_and(|tables| tables.iter().any(is_gateway))
    }
}

impl Aws {
    /// The subnets of a VPC.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn subnets_of(&self, vpc: &str) -> Result<Vec<Subnet>, AwsError> {
        let request = self
            .ec2
            .describe_subnets()
            .filters(filter("vpc-id", [vpc.to_owned()]));
        let subnets = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
                .await?;
            Ok((page.subnets, page.next_token))
        })
        .await?;
        Ok(subnets
            .into_iter()
            .filter_map(|subnet| {
                Some(Subnet {
                    id: subnet.subnet_id?,
                    zone: subnet.availability_zone.unwrap_or_default(),
                    cidr: subnet.cidr_block.and_then(|cidr| cidr.parse().ok()),
                    owner: subnet.owner_id,
                    free: subnet.available_ip_address_count,
                })
            })
            .collect())
    }

    /// The endpoints of a VPC with private DNS names that do not have the tags of the stack.
    ///
    /// # Errors
    /// The error of the service.
    pub async fn named_endpoints(
        &self,
        vpc: &str,
        stack: &str,
    ) -> Result<Vec<NamedEndpoint>, AwsError> {
        let request = self
            .ec2
            .describe_vpc_endpoints()
            .filters(filter("vpc-id", [vpc.to_owned()]));
        let endpoints = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeVpcEndpoints", || request.clone().send())
                .await?;
            Ok((page.vpc_endpoints, page.next_token))
        })
        .await?;
        let is_others = |endpoint: &VpcEndpoint| {
            let tags = from_tags(endpoint.tags.as_ref());
            let state = endpoint.state.as_ref().map_or("", |state| state.as_str());
            tags::owner(stack, &tags).is_none() && !state.eq_ignore_ascii_case("deleted")
        };
        let others = endpoints.into_iter().filter(is_others);
        Ok(others
            .filter(|endpoint| endpoint.private_dns_enabled == Some(true))
            .filter_map(|endpoint| {
                Some(NamedEndpoint {
                    id: endpoint.vpc_endpoint_id?,
                    service: endpoint.service_name?,
                })
            })
            .collect())
    }

    /// The zones of these subnets, by their ids.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn zones_of(&self, ids: &[String]) -> Result<BTreeMap<String, String>, AwsError> {
        let request = self
            .ec2
            .describe_subnets()
            .filters(filter("subnet-id", ids.iter().cloned()));
        let subnets = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeSubnets", || request.clone().send())
                .await?;
            Ok((page.subnets, page.next_token))
        })
        .await?;
        let zone = |subnet: aws_sdk_ec2::types::Subnet| {
            Some((subnet.subnet_id?, subnet.availability_zone?))
        };
        Ok(subnets.into_iter().filter_map(zone).collect())
    }

    /// Reads the network of a VPC, of which `subnets` are known. What cannot be read is unknown.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn own_network(
        &self,
        vpc: &str,
        subnets: Vec<Subnet>,
    ) -> Result<OwnNetwork, AwsError> {
        let (support, names, tables, gateways, acls, encryption) = tokio::join!(
            self.vpc_attribute(vpc, VpcAttributeName::EnableDnsSupport),
            self.vpc_attribute(vpc, VpcAttributeName::EnableDnsHostnames),
            self.tables(vpc),
            self.gateways(vpc),
            self.acls(vpc),
            self.encryption(vpc),
        );
        let mut unread = Vec::new();
        let mut network = OwnNetwork {
            dns_support: known(support, &mut unread)?.flatten(),
            dns_host_names: known(names, &mut unread)?.flatten(),
            subnets,
            tables: known(tables, &mut unread)?,
            gateways: known(gateways, &mut unread)?,
            acls: known(acls, &mut unread)?,
            encryption: known(encryption, &mut unread)?.flatten(),
            unread: Vec::new(),
        };
        network.unread = unread;
        Ok(network)
    }

    /// Whether the account blocks traffic through Internet gateways, NAT gateways included, and no exclusion has one of
    /// `excluded` (ids of VPCs or subnets). `Err` inside if that cannot be read.
    ///
    /// # Errors
    /// When the credentials are refused.
    pub async fn blocks_internet(
        &self,
        excluded: &[String],
    ) -> Result<Result<bool, AwsError>, AwsError> {
        let mut unread = Vec::new();
        let blocks = known(self.is_blocked(excluded).await, &mut unread)?;
        Ok(unread.pop().map_or(Ok(blocks.unwrap_or_default()), Err))
    }

    async fn is_blocked(&self, excluded: &[String]) -> Result<bool, AwsError> {
        let operation = "ec2:DescribeVpcBlockPublicAccessOptions";
        let answer = self
            .call_idempotent(operation, || {
                self.ec2.describe_vpc_block_public_access_options().send()
            })
            .await?;
        let options = answer.vpc_block_public_access_options;
        let mode = options.and_then(|options| options.internet_gateway_block_mode);
        // The mode `block-ingress` lets NAT gateways through.
        if mode.is_none_or(|mode| mode.as_str() != "block-bidirectional") {
            return Ok(false);
        }
        if excluded.is_empty() {
            return Ok(true);
        }
        let exclusions = pages(|token| async {
            let request = self.ec2.describe_vpc_block_public_access_exclusions();
            let request = request.set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeVpcBlockPublicAccessExclusions", || {
                    request.clone().send()
                })
                .await?;
            Ok((page.vpc_block_public_access_exclusions, page.next_token))
        })
        .await?;
        let is_excluded = exclusions.iter().any(|exclusion| {
            let works = exclusion.state.as_ref().is_none_or(|state| {
                !matches!(
                    state.as_str(),
                    "create-failed" | "delete-complete" | "delete-in-progress"
                )
            });
            let arn = exclusion.resource_arn.as_deref().unwrap_or_default();
            let of = arn.rsplit('/').next().unwrap_or_default();
            works && excluded.iter().any(|id| id == of)
        });
        Ok(!is_excluded)
    }

    async fn vpc_attribute(
        &self,
        vpc: &str,
        attribute: VpcAttributeName,
    ) -> Result<Option<bool>, AwsError> {
        let request = self.ec2.describe_vpc_attribute();
        let request = request.vpc_id(vpc).attribute(attribute);
        let answer = self
            .call_idempotent("ec2:DescribeVpcAttribute", || request.clone().send())
            .await?;
        let value = answer.enable_dns_support.or(answer.enable_dns_hostnames);
        Ok(value.and_then(|value| value.value))
    }

    /// The route tables of a VPC.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn tables(&self, vpc: &str) -> Result<Vec<Table>, AwsError> {
        let request = self.ec2.describe_route_tables();
        let request = request.filters(filter("vpc-id", [vpc.to_owned()]));
        let tables = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
                .await?;
            Ok((page.route_tables, page.next_token))
        })
        .await?;
        Ok(tables.into_iter().filter_map(table).collect())
    }

    /// The id of the Internet gateway of a VPC.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn internet_gateway_of(&self, vpc: &str) -> Result<Option<String>, AwsError> {
        let request = self.ec2.describe_internet_gateways();
        let request = request.filters(filter("attachment.vpc-id", [vpc.to_owned()]));
        let answer = self
            .call_idempotent("ec2:DescribeInternetGateways", || request.clone().send())
            .await?;
        let mut gateways = answer.internet_gateways.unwrap_or_default().into_iter();
        Ok(gateways.find_map(|gateway| gateway.internet_gateway_id))
    }

    /// The network interfaces in subnets that have a public address.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn public_interfaces(
        &self,
        subnets: &[String],
    ) -> Result<Vec<PublicInterface>, AwsError> {
        let request = self.ec2.describe_network_interfaces();
        let request = request.filters(filter("subnet-id", subnets.to_vec()));
        let interfaces = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeNetworkInterfaces", || request.clone().send())
                .await?;
            Ok((page.network_interfaces, page.next_token))
        })
        .await?;
        let public = interfaces.into_iter().filter_map(|interface| {
            let address = interface.association?.public_ip?;
            let instance = interface
                .attachment
                .and_then(|attached| attached.instance_id);
            Some(PublicInterface {
                id: interface.network_interface_id?,
                subnet: interface.subnet_id.unwrap_or_default(),
                address,
                purpose: instance.or(interface.description).unwrap_or_default(),
            })
        });
        Ok(public.collect())
    }

    /// The NAT gateways of a VPC.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn gateways(&self, vpc: &str) -> Result<Vec<Nat>, AwsError> {
        let request = self.ec2.describe_nat_gateways();
        let request = request.filter(filter("vpc-id", [vpc.to_owned()]));
        let gateways = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeNatGateways", || request.clone().send())
                .await?;
            Ok((page.nat_gateways, page.next_token))
        })
        .await?;
        Ok(gateways
            .into_iter()
            .filter_map(|nat| {
                Some(Nat {
                    id: nat.nat_gateway_id?,
                    state: nat
                        .state
                        .map_or_else(String::new, |state| state.as_str().to_owned()),
                    is_private: nat
                        .connectivity_type
                        .is_some_and(|kind| kind.as_str() == "private"),
                    subnet: nat.subnet_id,
                })
            })
            .collect())
    }

    async fn acls(&self, vpc: &str) -> Result<Vec<Acl>, AwsError> {
        let request = self.ec2.describe_network_acls();
        let request = request.filters(filter("vpc-id", [vpc.to_owned()]));
        let acls = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeNetworkAcls", || request.clone().send())
                .await?;
            Ok((page.network_acls, page.next_token))
        })
        .await?;
        Ok(acls.into_iter().filter_map(acl).collect())
    }
}

fn table(table: RouteTable) -> Option<Table> {
    let stack = from_tags(table.tags.as_ref()).remove(tags::STACK);
    let associations = table.associations.unwrap_or_default();
    let routes = table.routes.unwrap_or_default();
    Some(Table {
        id: table.route_table_id?,
        is_main: associations.iter().any(|one| one.main == Some(true)),
        subnets: associations
            .into_iter()
            .filter_map(|one| one.subnet_id)
            .collect(),
        default_route: default_route(&routes),
        others: others(&routes),
        endpoints: routes
            .into_iter()
            .filter(is_endpoint)
            .filter_map(|route| route.gateway_id)
            .collect(),
        stack,
    })
}

/// The routes out of a VPC that are not the default one.
fn others(routes: &[Route]) -> Vec<String> {
    let is_local = |route: &Route| route.gateway_id.as_deref() == Some("local");
    let is_default = |route: &Route| route.destination_cidr_block.as_deref() == Some("0.0.0.0/0");
    let others = routes
        .iter()
        .filter(|route| !is_local(route) && !is_default(route) && !is_endpoint(route));
    let text = |route: &Route| {
        let destinations = [
            &route.destination_cidr_block,
            &route.destination_ipv6_cidr_block,
            &route.destination_prefix_list_id,
        ];
        let destination = destinations.into_iter().flatten().next();
        let egress_only = route.egress_only_internet_gateway_id.clone();
        let target = egress_only.unwrap_or_else(|| {
            let (Target::InternetGateway(id) | Target::NatGateway(id) | Target::Other(id)) =
                target(route);
            id
        });
        format!("{} to {target}", destination.map_or("?", String::as_str))
    };
    others.map(text).collect()
}

/// The route that traffic to the Internet takes: `0.0.0.0/0`, or a part of it that may replace it.
fn default_route(routes: &[Route]) -> Option<DefaultRoute> {
    let prefix = |route: &Route| {
        let cidr: Option<Ipv4Net> = route.destination_cidr_block.as_deref()?.parse().ok();
        cidr.map(|cidr| cidr.prefix_len())
    };
    let is_local = |route: &&Route| route.gateway_id.as_deref() == Some("local");
    let outward = || routes.iter().filter(|route| !is_local(route));
    let whole = outward().find(|route| prefix(route) == Some(0));
    let part = || {
        outward().find(|route| {
            prefix(route) == Some(1)
                || route
                    .destination_prefix_list_id
                    .as_deref()
                    .is_some_and(|_| !is_endpoint(route))
        })
    };
    let route = whole.or_else(part)?;
    Some(DefaultRoute {
        target: target(route),
        is_blackhole: route
            .state
            .as_ref()
            .is_some_and(|state| state.as_str() == "blackhole"),
        is_whole: whole.is_some(),
    })
}

/// Whether a route leads to a gateway endpoint (Amazon S3, DynamoDB), which is no way to the Internet.
fn is_endpoint(route: &Route) -> bool {
    let gateway = route.gateway_id.as_deref();
    gateway.is_some_and(|id| id.starts_with("vpce-"))
}

fn target(route: &Route) -> Target {
    if let Some(id) = &route.nat_gateway_id {
        return Target::NatGateway(id.clone());
    }
    match &route.gateway_id {
        Some(id) if id.starts_with("igw-") => return Target::InternetGateway(id.clone()),
        _ => {}
    }
    let others = [
        &route.gateway_id,
        &route.transit_gateway_id,
        &route.network_interface_id,
        &route.instance_id,
        &route.vpc_peering_connection_id,
        &route.local_gateway_id,
        &route.carrier_gateway_id,
        &route.core_network_arn,
    ];
    let id = others.into_iter().flatten().next().cloned();
    Target::Other(id.unwrap_or_else(|| "an unknown target".to_owned()))
}

fn acl(acl: NetworkAcl) -> Option<Acl> {
    let subnets = acl.associations.unwrap_or_default().into_iter();
    let entries = acl.entries.unwrap_or_default().into_iter();
    let mut rules: Vec<_> = entries
        .filter_map(|entry| {
            let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
            let ports = entry
                .port_range
                .and_then(|range| Some((port(range.from)?, port(range.to)?)));
            Some(Rule {
                number: entry.rule_number?,
                is_outbound: entry.egress?,
                allows: entry.rule_action?.as_str() == "allow",
                protocol: entry.protocol?,
                cidr: entry.cidr_block?.parse().ok()?,
                ports,
            })
        })
        .collect();
    rules.sort_by_key(|rule| rule.number);
    Some(Acl {
        id: acl.network_acl_id?,
        is_default: acl.is_default == Some(true),
        subnets: subnets.filter_map(|one| one.subnet_id).collect(),
        rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_in_the_first_subnet_of_each_zone() {
        let subnet = |id: &str, zone: &str| Subnet {
            id: id.to_owned(),
            zone: zone.to_owned(),
            ..Subnet::default()
        };
        let known = [subnet("s-1", "a"), subnet("s-2", "b"), subnet("s-3", "a")];
        let ids = ["s-3", "s-1", "s-9", "s-2"].map(str::to_owned);
        assert_eq!(one_per_zone(&ids, &known), ["s-3", "s-2"]);
    }
}

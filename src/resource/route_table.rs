//! The route tables: the public one routes to the internet gateway, the private ones to a NAT
//! gateway. In a VPC of the operator, subnets of the operator can be associated with a private one; see
//! [`super::route_association`].

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{ResourceType, Route, RouteTable as Live};

use super::claims::Claim;
use super::nat_instance_listing::INTERFACE;
use super::subnet::Subnets;
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Reference, Resource, ResourceError, ResourceKind,
};
use crate::aws::ec2::{filter, from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

const VPC: Field = Field::Property("vpc");

pub(super) const DEFAULT_ROUTE: &str = "0.0.0.0/0";

/// The actual route table.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) table_id: String,
    pub(super) vpc_id: String,
    /// Whether it has routes or associations.
    is_used: bool,
    /// Target and state of the default route.
    pub(super) default_route: Option<(String, String)>,
    /// The instance to which the default route leads.
    instance_id: Option<String>,
    /// Association id by subnet.
    pub associations: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
}

impl Actual {
    /// The subnets of the operator that get their former route table when the stack is removed.
    pub(super) fn borrowed(&self) -> BTreeSet<String> {
        let subnets = self.associations.keys();
        let is_recorded = |id: &&String| self.tags.contains_key(&tags::former_route_table(id));
        subnets.filter(is_recorded).cloned().collect()
    }

    /// Whether the subnet sends through the table's default route.
    pub(super) fn leads_out(&self, subnet: &str) -> bool {
        let route = self.default_route.as_ref();
        self.associations.contains_key(subnet) && route.is_some_and(|(_, state)| state == "active")
    }
}

/// Route tables of EC2.
#[derive(Debug)]
pub struct RouteTables;

impl ResourceKind for RouteTables {
    type Actual = Actual;
    const KIND: Kind = Kind::RouteTable;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_route_tables()
            .filters(of_stack(&cx.names().stack));
        let tables: Vec<Live> = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
                .await?;
            Ok((page.route_tables, page.next_token))
        })
        .await?;
        let mut listing = Listing::default();
        for table in tables {
            let tags = from_tags(table.tags.as_ref());
            let (Some(id), Some(table_id)) =
                (tags::owner(&cx.names().stack, &tags), table.route_table_id)
            else {
                continue;
            };
            let routes = table.routes.unwrap_or_default();
            let is_local = |route: &Route| route.gateway_id.as_deref() == Some("local");
            let is_used = !routes.iter().all(is_local)
                || table
                    .associations
                    .as_ref()
                    .is_some_and(|all| !all.is_empty());
            let default_route = routes
                .into_iter()
                .find(|route| route.destination_cidr_block.as_deref() == Some(DEFAULT_ROUTE));
            let instance_id = default_route
                .as_ref()
                .and_then(|route| route.instance_id.clone());
            let default_route = default_route.map(|route| {
                let target = route
                    .nat_gateway_id
                    .or(route.gateway_id)
                    .or(route.network_interface_id)
                    .unwrap_or_else(|| "(other)".to_owned());
                (
                    target,
                    route
                        .state
                        .map_or_else(String::new, |state| state.as_str().to_owned()),
                )
            });
            let associations = table
                .associations
                .unwrap_or_default()
                .into_iter()
                .filter_map(|association| {
                    Some((
                        association.subnet_id?,
                        association.route_table_association_id?,
                    ))
                })
                .collect();
            let vpc_id = table.vpc_id.unwrap_or_default();
            listing.owned.push(Actual {
                id,
                table_id,
                vpc_id,
                is_used,
                default_route,
                instance_id,
                associations,
                tags,
            });
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.table_id.clone())
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            is_used: actual.is_used,
            uses: actual.instance_id.clone().or_else(|| {
                let route = actual.default_route.as_ref();
                route.map(|(target, _)| target.clone())
            }),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let ours: BTreeSet<_> = Subnets::list(cx)
            .await?
            .owned
            .into_iter()
            .map(|subnet| subnet.subnet_id)
            .collect();
        // The former route tables of these are restored by now.
        let borrowed = actual.borrowed();
        let associations = actual.associations.iter();
        let associations: Vec<_> = associations
            .filter(|(subnet_id, _)| !borrowed.contains(*subnet_id))
            .collect();
        let theirs: Vec<_> = associations
            .iter()
            .map(|(subnet_id, _)| *subnet_id)
            .filter(|subnet_id| !ours.contains(*subnet_id))
            .cloned()
            .collect();
        if !theirs.is_empty() {
            return Err(ResourceError::Blocked {
                what: format!(
                    "subnets of others are associated with {}: {}",
                    actual.table_id,
                    theirs.join(", ")
                ),
                hint: Some(
                    "associate them with another route table, or run `threescale-gw down --leave-network`"
                        .to_owned(),
                ),
            });
        }
        for (_, association) in associations {
            let request = cx
                .aws()
                .ec2
                .disassociate_route_table()
                .association_id(association);
            optional(
                cx.aws()
                    .call_idempotent("ec2:DisassociateRouteTable", || request.clone().send())
                    .await,
            )?;
        }
        let request = cx
            .aws()
            .ec2
            .delete_route_table()
            .route_table_id(&actual.table_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DeleteRouteTable", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired route table: its default route and its subnets. Other routes belong to the operator
/// and are left unchanged.
#[derive(Debug)]
pub struct RouteTable {
    /// `public`, `private`, or `private-a`, … with one NAT gateway per zone.
    pub name: String,
    pub vpc: Reference,
    /// The target of `0.0.0.0/0`.
    pub target: Target,
    /// The subnets of the stack that are associated with it.
    pub subnets: Vec<LogicalId>,
}

/// The target of a default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    InternetGateway(Reference),
    NatGateway(Reference),
    NatInstance(LogicalId),
}

impl Target {
    /// What must exist before.
    fn need(&self) -> Option<LogicalId> {
        match self {
            Self::InternetGateway(of) | Self::NatGateway(of) => of.need(),
            Self::NatInstance(id) => Some(id.clone()),
        }
    }

    /// What a route names to lead to the target, if it is known.
    fn known(&self, cx: &Context) -> Option<String> {
        match self {
            Self::InternetGateway(of) | Self::NatGateway(of) => of.known_output(cx),
            Self::NatInstance(id) => cx.known_output(id)?.attributes.get(INTERFACE).cloned(),
        }
    }

    fn resolve(&self, cx: &Context) -> Result<String, ResourceError> {
        match self {
            Self::InternetGateway(of) | Self::NatGateway(of) => of.resolve(cx),
            Self::NatInstance(id) => {
                let output = cx.output(id)?;
                let interface = output.attributes.get(INTERFACE);
                interface
                    .cloned()
                    .ok_or_else(|| ResourceError::Bug(format!("{id} has no network interface")))
            }
        }
    }
}

impl RouteTable {
    async fn write_route(&self, cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let target = self.target.resolve(cx)?;
        if actual.default_route.is_some() {
            let request = cx
                .aws()
                .ec2
                .replace_route()
                .route_table_id(&actual.table_id)
                .destination_cidr_block(DEFAULT_ROUTE);
            let request = match self.target {
                Target::NatGateway(_) => request.nat_gateway_id(target),
                Target::NatInstance(_) => request.network_interface_id(target),
                Target::InternetGateway(_) => request.gateway_id(target),
            };
            cx.aws()
                .call_idempotent("ec2:ReplaceRoute", || request.clone().send())
                .await?;
        } else {
            let request = cx
                .aws()
                .ec2
                .create_route()
                .route_table_id(&actual.table_id)
                .destination_cidr_block(DEFAULT_ROUTE);
            let request = match self.target {
                Target::NatGateway(_) => request.nat_gateway_id(target),
                Target::NatInstance(_) => request.network_interface_id(target),
                Target::InternetGateway(_) => request.gateway_id(target),
            };
            cx.aws()
                .call_non_idempotent("ec2:CreateRoute", || request.clone().send())
                .await?;
        }
        Ok(())
    }

    async fn associate(
        &self,
        cx: &Context,
        actual: &Actual,
        subnet_id: &str,
    ) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .associate_route_table()
            .route_table_id(&actual.table_id)
            .subnet_id(subnet_id);
        match cx
            .aws()
            .call_non_idempotent("ec2:AssociateRouteTable", || request.clone().send())
            .await
        {
            Err(error) if error.code == "Resource.AlreadyAssociated" => {}
            other => return Ok(other.map(|_| ())?),
        }
        // The subnet is associated with another table, which happens when the number of NAT gateways
        // changes: replace the association in one call.
        let request = cx
            .aws()
            .ec2
            .describe_route_tables()
            .filters(filter("association.subnet-id", [subnet_id.to_owned()]));
        let answer = cx
            .aws()
            .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
            .await?;
        let association = answer
            .route_tables
            .unwrap_or_default()
            .into_iter()
            .flat_map(|table| table.associations.unwrap_or_default())
            .find(|association| association.subnet_id.as_deref() == Some(subnet_id))
            .and_then(|association| association.route_table_association_id);
        let Some(association) = association else {
            return Ok(());
        };
        let request = cx
            .aws()
            .ec2
            .replace_route_table_association()
            .association_id(association)
            .route_table_id(&actual.table_id);
        cx.aws()
            .call_non_idempotent("ec2:ReplaceRouteTableAssociation", || {
                request.clone().send()
            })
            .await?;
        Ok(())
    }
}

fn default_route() -> Field {
    Field::Item("route", DEFAULT_ROUTE.to_owned())
}

impl Resource for RouteTable {
    type Kind = RouteTables;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        let needs = self.vpc.need().into_iter().chain(self.target.need());
        needs.chain(self.subnets.iter().cloned()).collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.reference(VPC, &actual.vpc_id, self.vpc.known_output(cx));
        let wanted = self.target.known(cx);
        let wanted = wanted.unwrap_or_else(|| NEW.to_owned());
        let (target, state) = actual
            .default_route
            .clone()
            .unwrap_or_else(|| ("(none)".to_owned(), String::new()));
        let target = if state == "blackhole" {
            format!("{target} (blackhole)")
        } else {
            target
        };
        diff.field(default_route(), target, wanted);
        for subnet in &self.subnets {
            let subnet_id = cx.known_output(subnet).map(|output| output.physical_id);
            if !subnet_id
                .as_ref()
                .is_some_and(|subnet_id| actual.associations.contains_key(subnet_id))
            {
                diff.field(
                    Field::Item("association", subnet.name.clone()),
                    "(none)",
                    subnet_id.as_deref().unwrap_or(NEW),
                );
            }
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::RouteTable, self.name()));
        let request = cx
            .aws()
            .ec2
            .create_route_table()
            .vpc_id(self.vpc.resolve(cx)?)
            .tag_specifications(tagged(ResourceType::RouteTable, tags));
        cx.aws()
            .call_non_idempotent("ec2:CreateRouteTable", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&default_route()) {
            self.write_route(cx, actual).await?;
        }
        for subnet in &self.subnets {
            let subnet_id = cx.physical_id(subnet)?;
            if !actual.associations.contains_key(&subnet_id) {
                self.associate(cx, actual, &subnet_id).await?;
            }
        }
        Ok(write_tags(
            cx.aws(),
            &actual.table_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}

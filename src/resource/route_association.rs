//! The associations of the operator's subnets with a route table of the stack.
//!
//! What a subnet was associated with is recorded in a tag of the stack's route table before the association is changed, and
//! restored when the association is deleted. The record needs no other place: EC2 does not delete a route table that has an
//! association.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::RouteTableAssociation;

use super::route_table::{self, RouteTables};
use super::{Context, Diff, Field, Identity, Listing, Resource, ResourceError, ResourceKind};
use crate::aws::ec2::{filter, from_tags, write_tags};
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::printable::line;

const TABLE: Field = Field::Property("route table");

/// The record of a subnet that had no association, so that the main route table of the VPC applied.
const MAIN: &str = "main";

/// The actual association of a subnet of the operator.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    subnet: String,
    association_id: String,
    table_id: String,
    former: Former,
}

/// The association that a subnet has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Current {
    association: String,
    table: String,
    /// The stack of this tool that has created the route table.
    stack: Option<String>,
}

/// What applied to a subnet before its association with a route table of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Former {
    /// The main route table of the VPC, without an association.
    Main,
    /// The association with this route table.
    Table(String),
}

impl Former {
    fn parse(text: &str) -> Self {
        match text {
            MAIN => Self::Main,
            table => Self::Table(table.to_owned()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Main => MAIN,
            Self::Table(table) => table,
        }
    }
}

/// The associations of the operator's subnets.
#[derive(Debug)]
pub struct RouteAssociations;

impl RouteAssociations {
    /// What applied to each subnet of the operator that a route table of the stack applies to, by subnet.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn former(cx: &Context) -> Result<BTreeMap<String, Former>, ResourceError> {
        let all = Self::list(cx).await?.owned.into_iter();
        Ok(all.map(|one| (one.subnet, one.former)).collect())
    }

    /// The association of a subnet, its route table, and the stack of this tool that has created that; `None` where the main
    /// route table applies.
    async fn current(cx: &Context, subnet: &str) -> Result<Option<Current>, ResourceError> {
        let by_subnet = filter("association.subnet-id", [subnet.to_owned()]);
        let request = cx.aws().ec2.describe_route_tables().filters(by_subnet);
        let answer = cx
            .aws()
            .call_idempotent("ec2:DescribeRouteTables", || request.clone().send())
            .await?;
        let is_it = |one: &RouteTableAssociation| one.subnet_id.as_deref() == Some(subnet);
        let mut tables = answer.route_tables.unwrap_or_default().into_iter();
        Ok(tables.find_map(|table| {
            let stack = from_tags(table.tags.as_ref()).remove(tags::STACK);
            let association = table.associations?.into_iter().find(is_it)?;
            Some(Current {
                association: association.route_table_association_id?,
                table: table.route_table_id?,
                stack,
            })
        }))
    }

    async fn replace(cx: &Context, association: &str, table: &str) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .ec2
            .replace_route_table_association()
            .association_id(association)
            .route_table_id(table);
        let operation = "ec2:ReplaceRouteTableAssociation";
        cx.aws()
            .call_non_idempotent(operation, || request.clone().send())
            .await?;
        Ok(())
    }
}

/// The associations that are recorded in the tags of route tables.
fn recorded(tables: &[route_table::Actual]) -> Vec<Actual> {
    let of_table = |table: &route_table::Actual| -> Vec<Actual> {
        let associations = table.associations.iter();
        let recorded = associations.filter_map(|(subnet, association)| {
            let former = table.tags.get(&tags::former_route_table(subnet))?;
            Some(Actual {
                id: LogicalId::new(Kind::RouteAssociation, subnet),
                subnet: subnet.clone(),
                association_id: association.clone(),
                table_id: table.table_id.clone(),
                former: Former::parse(former),
            })
        });
        recorded.collect()
    };
    tables.iter().flat_map(of_table).collect()
}

impl ResourceKind for RouteAssociations {
    type Actual = Actual;
    const KIND: Kind = Kind::RouteAssociation;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        Ok(Listing {
            owned: recorded(&RouteTables::list(cx).await?.owned),
            unmanaged: Vec::new(),
        })
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.association_id.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let subnet = &actual.subnet;
        let Former::Table(table) = &actual.former else {
            let request = cx.aws().ec2.disassociate_route_table();
            let request = request.association_id(&actual.association_id);
            let result = cx
                .aws()
                .call_idempotent("ec2:DisassociateRouteTable", || request.clone().send())
                .await;
            return Ok(optional(result).map(|_| ())?);
        };
        match Self::replace(cx, &actual.association_id, table).await {
            Err(ResourceError::Aws(error)) if error.code == "InvalidRouteTableID.NotFound" => {
                Err(ResourceError::Blocked {
                    what: format!("{table}, the former route table of {subnet}, does not exist"),
                    hint: Some(format!(
                        "associate {subnet} with the route table that it is to have, and run the command again"
                    )),
                })
            }
            // Another user changed the association.
            Err(ResourceError::Aws(error)) if error.code == "InvalidAssociationID.NotFound" => {
                Ok(())
            }
            other => other,
        }
    }
}

/// The desired association of a subnet of the operator.
#[derive(Debug)]
pub struct RouteAssociation {
    pub subnet: String,
    pub table: LogicalId,
}

impl RouteAssociation {
    /// Records in the tags of the stack's route table what the subnet had.
    async fn record(
        &self,
        cx: &Context,
        table: &str,
        former: &Former,
    ) -> Result<(), ResourceError> {
        let key = tags::former_route_table(&self.subnet);
        let tags = BTreeMap::from([(key, former.as_str().to_owned())]);
        Ok(write_tags(cx.aws(), table, &tags, &BTreeMap::new()).await?)
    }
}

impl Resource for RouteAssociation {
    type Kind = RouteAssociations;

    fn name(&self) -> &str {
        &self.subnet
    }

    fn needs(&self) -> Vec<LogicalId> {
        vec![self.table.clone()]
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        let table = cx.known_output(&self.table);
        let table = table.map_or_else(|| super::NEW.to_owned(), |table| table.physical_id);
        diff.field(TABLE, actual.table_id.clone(), table);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let table = cx.physical_id(&self.table)?;
        let current = RouteAssociations::current(cx, &self.subnet).await?;
        let is_ours = |current: &Current| current.stack.as_ref() == Some(&cx.names().stack);
        let former = match &current {
            // The record of an association of the stack is lost. The main route table is what every subnet begins with.
            Some(current) if is_ours(current) => {
                let text = format!(
                    "the former route table of {} is not known: `threescale-gw down` restores the main route table of the VPC",
                    self.subnet
                );
                let id = LogicalId::new(Kind::RouteAssociation, &self.subnet);
                cx.finding(&id, NoticeCode::RouteNotRecorded, text);
                Former::Main
            }
            // That stack restores what the subnet had, and this one would have nothing to restore.
            Some(Current {
                table,
                stack: Some(other),
                ..
            }) => {
                return Err(ResourceError::Blocked {
                    what: format!(
                        "{} is associated with {table}, a route table of the stack {}",
                        self.subnet,
                        line(other)
                    ),
                    hint: Some(
                        "repair that stack, or associate the subnet with another route table"
                            .to_owned(),
                    ),
                });
            }
            Some(current) => Former::Table(current.table.clone()),
            None => Former::Main,
        };
        self.record(cx, &table, &former).await?;
        match current {
            Some(current) if current.table == table => Ok(()),
            Some(current) => RouteAssociations::replace(cx, &current.association, &table).await,
            None => {
                let request = cx.aws().ec2.associate_route_table();
                let request = request.route_table_id(table).subnet_id(&self.subnet);
                cx.aws()
                    .call_non_idempotent("ec2:AssociateRouteTable", || request.clone().send())
                    .await?;
                Ok(())
            }
        }
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        let table = cx.physical_id(&self.table)?;
        self.record(cx, &table, &actual.former).await?;
        RouteAssociations::replace(cx, &actual.association_id, &table).await
    }
}

//! The logical id of a resource.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::kind::Kind;

/// How the name of a resource begins that the stack has left.
const FORMER: &str = "former-";
/// What separates the name of a resource from the VPC of the operator that it is in.
const AT: char = '@';
/// How much of the id of a VPC is a part of a name.
const TAIL: usize = 8;

/// The end of the id of a VPC.
fn tail(vpc: &str) -> &str {
    let start = vpc.len().saturating_sub(TAIL);
    vpc.get(start..).unwrap_or(vpc)
}

/// The logical id of a resource of a stack: `kind/name`, for example `nat-gateway/a`. It is also
/// the value of a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicalId {
    pub kind: Kind,
    pub name: String,
}

impl LogicalId {
    /// The id of the resource `name` of this kind.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// The id of a resource that the stack leaves for another one with the same role, in another network. `which` tells several
    /// from each other.
    pub fn former(kind: Kind, which: impl fmt::Display) -> Self {
        Self::new(kind, format!("{FORMER}{which}"))
    }

    /// The id of a resource that the stack creates in a VPC of the operator. The VPC is a part of the name, so a stack that
    /// moves from one to another has different resources in both.
    pub fn in_vpc(kind: Kind, name: impl fmt::Display, vpc: &str) -> Self {
        Self::new(kind, format!("{name}{AT}{}", tail(vpc)))
    }

    /// The id of another resource in the same VPC.
    #[must_use]
    pub fn beside(&self, kind: Kind, name: &str) -> Self {
        match self.name.split_once(AT) {
            Some((_, vpc)) => Self::new(kind, format!("{name}{AT}{vpc}")),
            None => Self::new(kind, name),
        }
    }

    /// The name without the VPC of the operator.
    pub fn short_name(&self) -> &str {
        self.name
            .split_once(AT)
            .map_or(&self.name, |(name, _)| name)
    }

    /// Whether the stack creates the resource in a VPC of the operator.
    pub fn is_in_own_vpc(&self) -> bool {
        self.name.contains(AT)
    }

    /// Whether the name of the resource says that it is in this VPC of the operator.
    pub fn is_of_vpc(&self, vpc: &str) -> bool {
        let of = self.name.rsplit_once(AT).map(|(_, of)| of);
        of == Some(tail(vpc))
    }

    /// Whether the stack has left the resource for another one.
    pub fn is_former(&self) -> bool {
        self.name.starts_with(FORMER)
    }
}

impl fmt::Display for LogicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

impl FromStr for LogicalId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is not kind/name"))?;
        let kind =
            Kind::parse(kind).ok_or_else(|| format!("{kind:?} is not a kind of resource"))?;
        Ok(Self::new(kind, name))
    }
}

impl Serialize for LogicalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_resource_in_a_vpc_of_the_operator_says_which() {
        let id = LogicalId::in_vpc(Kind::Subnet, "10.0.96.0-24", "vpc-0123456789abcdef0");
        assert_eq!(id.to_string(), "subnet/10.0.96.0-24@9abcdef0");
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert!(id.is_in_own_vpc() && id.is_of_vpc("vpc-0123456789abcdef0"));
        assert!(!id.is_of_vpc("vpc-0123456789abcdef1"));
        let short = LogicalId::in_vpc(Kind::NatGateway, "a", "vpc-1");
        assert!(short.is_of_vpc("vpc-1") && !short.is_of_vpc(""));
        let address = short.beside(Kind::ElasticIp, "nat-instance");
        assert_eq!(address.to_string(), "elastic-ip/nat-instance@vpc-1");
        assert_eq!(address.short_name(), "nat-instance");
        let created = LogicalId::new(Kind::Subnet, "private-a");
        assert_eq!(
            created.beside(Kind::ElasticIp, "a").to_string(),
            "elastic-ip/a"
        );
        assert_eq!(created.short_name(), "private-a");
        assert!(!created.is_in_own_vpc() && !created.is_of_vpc("vpc-1"));
    }
}

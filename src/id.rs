//! The logical id of a resource.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::kind::Kind;

/// How the name of a resource begins that the stack has left.
const FORMER: &str = "former-";

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

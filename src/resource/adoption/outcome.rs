//! The desired network, and what becomes of the one that is found. Data only.

use ipnet::Ipv4Net;

use crate::id::LogicalId;
use crate::kind::Kind;

/// A subnet of the desired network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The letter of its zone.
    pub letter: String,
    pub is_public: bool,
    pub cidr: Ipv4Net,
}

/// The desired network.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub stack: String,
    pub account: String,
    pub cidr: Ipv4Net,
    /// The letters of the zones.
    pub letters: Vec<String>,
    pub slices: Vec<Slice>,
    /// Whether each zone has a NAT gateway, and not only the first one.
    pub is_per_zone: bool,
    /// The allocation ids of the operator's own addresses.
    pub elastic_ips: Vec<String>,
}

/// A resource that becomes the stack's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    pub id: LogicalId,
    pub physical_id: String,
    /// What the operator recognizes it by.
    pub about: String,
    /// Whether it is the stack's already.
    pub is_ours: bool,
    /// The name that it has, to be kept in a tag.
    pub(super) former_name: Option<String>,
}

/// A resource that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub what: &'static str,
    pub physical_id: String,
    pub why: String,
    /// What the operator can do.
    pub advice: Option<String>,
}

/// A setting that makes the configuration fit the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    Cidr(Ipv4Net),
    Zones(u8),
}

/// What of a network becomes the stack's.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    pub vpc: String,
    pub cidr: String,
    pub adopted: Vec<Adopted>,
    /// What `up` creates in the network.
    pub created: Vec<LogicalId>,
    pub left: Vec<Left>,
    /// Why nothing is adopted.
    pub blockers: Vec<String>,
    /// What would make it fit.
    pub settings: Vec<Setting>,
}

impl Adoption {
    /// The resources that are not the stack's yet.
    pub fn to_adopt(&self) -> impl Iterator<Item = &Adopted> {
        self.adopted.iter().filter(|adopted| !adopted.is_ours)
    }

    /// Whether the VPC is the stack's, and there is nothing more to adopt.
    pub fn is_done(&self) -> bool {
        self.to_adopt().next().is_none()
            && self
                .adopted
                .iter()
                .any(|adopted| adopted.id.kind == Kind::Vpc)
    }
}

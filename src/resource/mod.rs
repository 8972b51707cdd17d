//! The resources: all kinds are listed, compared, created, updated and deleted in the same way.
//!
//! Each kind is in one file, in this order: the actual state, the listing, the deletion, the
//! desired state with its needs, diff, create and update. A kind is found only through its listing;
//! `up` selects from it, `down` uses all of it.

pub mod adoption;
pub mod api_attachment;
pub mod api_authorizer;
pub mod billed;
pub mod cache;
mod cache_change;
pub mod cache_group;
pub mod cache_number;
pub mod cache_subnet_group;
pub mod cache_user;
pub mod cache_user_group;
pub mod claims;
mod context;
mod diff;
pub mod doors;
mod dynamic;
pub mod elastic_ip;
mod error;
mod exclusion;
mod former_rules;
pub mod function;
pub mod function_alias;
pub mod function_permission;
pub mod function_publication;
mod function_publishing;
pub mod function_versions;
pub mod health_check;
pub mod iam_role;
pub mod internet_gateway;
mod last_delivery;
mod listing_cache;
pub mod log_group;
pub mod nat_gateway;
pub mod nat_instance;
pub mod nat_instance_listing;
pub mod neighbors;
pub mod network_interface;
pub mod parameter;
mod reference;
mod registry;
pub mod route_association;
pub mod route_table;
pub mod schedule;
pub mod security_group;
pub mod serverless_cache;
pub mod stacks;
mod state;
pub mod subnet;
mod traits;
mod usage;
pub mod vpc;
pub mod vpc_endpoint;

pub use self::context::{Context, Home, RunOptions};
pub use self::diff::{Change, Diff, Field, NEW, sorted};
pub use self::dynamic::{DynKind, DynListing, DynResource, Live, Observed};
pub use self::error::ResourceError;
pub use self::exclusion::ApiExclusion;
pub use self::reference::{Reference, joined};
pub use self::registry::dyn_kinds;
pub use self::state::{Identity, Listing, Output, Phase, Unmanaged};
pub use self::traits::{Resource, ResourceKind};

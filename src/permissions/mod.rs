//! The IAM rights that a command needs: one table, from which come the policies of `iam-policy`. Pure.

mod examples;
mod policy;
mod scope;
pub mod table;
mod trust;

pub use self::policy::{
    MANAGED_POLICY_MAX, Principal, Purpose, by_service, documents, lacking, needed, principal,
    rights, size,
};
pub use self::scope::{ANY_STACK, Collection, Scope, partition};
pub use self::trust::{Provider, trust};

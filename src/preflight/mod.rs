//! What would make a plan fail, and what it means for the API: [`gather`] reads the account, the rules decide.

mod access;
mod api_rules;
mod changed_methods;
pub mod doctor;
mod encryption;
#[cfg(test)]
mod examples;
mod findings;
mod gather;
mod kinds;
mod kms_key;
mod meant;
mod mode;
mod own_groups;
mod own_network;
mod own_route;
mod own_vpc;
mod required_tags;
mod rights;
mod role;
mod rules;
mod subject;
mod topic;
mod trust;
mod ways;

pub use self::api_rules::{
    Methods, authorizers, canary, held, maker, methods, patterns, responses,
};
pub use self::findings::{ChangedMethod, Findings, MethodChanges, Verdict};
pub use self::gather::{gather, missing_stage, strangers};
pub use self::kinds::unsupported;
pub use self::meant::{other_api, other_stage};
pub use self::own_vpc::own_vpc;
pub use self::rights::{Simulated, rights, rights_of_new};
pub use self::rules::{choose_api, concurrency, engine_support, quotas, unmanaged, zones};
pub use self::subject::Subject;

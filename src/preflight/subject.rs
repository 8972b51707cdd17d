//! What a plan is about.

use crate::api_gateway::Api;
use crate::config::Config;
use crate::package::Package;
use crate::stack::Facts;

/// What a plan is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub api: &'a Api,
    pub package: &'a Package,
    /// Whether the account is that of a sandbox, which costs nothing and has neither quotas nor an organization.
    pub is_sandbox: bool,
}

//! What a plan is about.

use crate::config::Config;
use crate::package::Package;
use crate::rest_api::RestApi;
use crate::stack::Facts;

/// What a plan is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub api: &'a RestApi,
    pub package: &'a Package,
}

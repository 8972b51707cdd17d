//! The monthly prices of billed resources, in one dated table.
//!
//! US dollars, us-east-1, 730 hours. Source: infracost's test data (`nat_gateway_test.golden`,
//! `eip_test.golden`); for the cache, price tables that public repositories agree on. Prices
//! change, so the date is shown with them.

use crate::action::Action;
use crate::config::{CacheEngine, Config};
use crate::engine::plan::Plan;
use crate::kind::Kind;

/// The date of the table.
pub const AS_OF: &str = "prices of August 2026";

const NAT_GATEWAY: f64 = 32.85;
const PUBLIC_ADDRESS: f64 = 3.65;
/// Price by node type for Redis OSS; Valkey costs a fifth less.
const NODES: &[(&str, f64)] = &[("cache.t4g.micro", 11.68), ("cache.t3.micro", 12.41)];

/// The monthly price of a kind in this configuration, if it is known.
fn monthly(kind: Kind, config: &Config) -> Option<f64> {
    match kind {
        Kind::NatGateway => Some(NAT_GATEWAY),
        Kind::ElasticIp => Some(PUBLIC_ADDRESS),
        Kind::Cache => {
            let (_, node) = NODES
                .iter()
                .find(|(node_type, _)| *node_type == config.cache.node_type)?;
            let factor = if config.cache.engine == CacheEngine::Valkey {
                0.8
            } else {
                1.0
            };
            Some(node * factor * f64::from(config.cache.replicas + 1))
        }
        _ => None,
    }
}

/// The resources with hourly billing that the plan will create, with their monthly prices in US
/// dollars.
pub fn of(plan: &Plan, config: &Config) -> Vec<(String, f64)> {
    plan.items
        .iter()
        .filter(|item| item.action == Action::Create)
        .filter_map(|item| Some((item.id.to_string(), monthly(item.id.kind, config)?)))
        .collect()
}

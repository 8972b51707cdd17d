//! What billed resources cost a month, in one dated table.
//!
//! US dollars, us-east-1, 730 hours. Source: infracost's test data (`nat_gateway_test.golden`, `eip_test.golden`); for
//! the cache, price tables that public repositories agree on. Prices move, so the date is shown with them.

use crate::action::Action;
use crate::config::{CacheEngine, Config};
use crate::engine::plan::Plan;
use crate::kind::Kind;

/// When the table was written.
pub const AS_OF: &str = "prices of August 2026";

const NAT_GATEWAY: f64 = 32.85;
const PUBLIC_ADDRESS: f64 = 3.65;
/// By node type on Redis OSS; Valkey is a fifth less.
const NODES: &[(&str, f64)] = &[("cache.t4g.micro", 11.68), ("cache.t3.micro", 12.41)];

/// The price of a kind for this configuration, if it has one that we know.
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

/// What the plan will make that is billed by the hour.
pub fn of(plan: &Plan, config: &Config) -> Vec<(String, f64)> {
    plan.items
        .iter()
        .filter(|item| item.action == Action::Create)
        .filter_map(|item| Some((item.id.to_string(), monthly(item.id.kind, config)?)))
        .collect()
}

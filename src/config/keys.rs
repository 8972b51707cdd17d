//! The keys of each section of the file, with their defaults and limits.

use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::read::Schema;

pub(super) const ROOT: Schema = Schema {
    path: "",
    keys: &[
        "stack",
        "account",
        "region",
        "tags",
        "api",
        "threescale",
        "network",
        "cache",
        "authorizer",
        "monitoring",
        "deletion_protection",
    ],
};
pub(super) const API: Schema = Schema {
    path: "api",
    keys: &[
        "id",
        "name",
        "stage",
        "protect",
        "except",
        "responses",
        "usage_key",
    ],
};
pub(super) const RESPONSES: Schema = Schema {
    path: "api.responses",
    keys: &["limits", "types"],
};
pub(super) const THREESCALE: Schema = Schema {
    path: "threescale",
    keys: &[
        "service_id",
        "service_token",
        "backend",
        "allow_plain_http",
        "ca_file",
        "timeout",
        "credentials",
        "mapping_rules",
    ],
};
pub(super) const CREDENTIALS: Schema = Schema {
    path: "threescale.credentials",
    keys: &["kind", "in", "name", "key_name"],
};
pub(super) const MAPPING_RULE: Schema = Schema {
    path: "threescale.mapping_rules[]",
    keys: &["method", "pattern", "metric", "delta", "last"],
};
pub(super) const NETWORK: Schema = Schema {
    path: "network",
    keys: &[
        "cidr",
        "zones",
        "nat",
        "endpoints",
        "elastic_ips",
        "vpc",
        "subnets",
        "subnet_cidrs",
        "route",
    ],
};
pub(super) const CACHE: Schema = Schema {
    path: "cache",
    keys: &[
        "kind",
        "engine",
        "engine_version",
        "node_type",
        "replicas",
        "tls",
        "url",
    ],
};
pub(super) const AUTHORIZER: Schema = Schema {
    path: "authorizer",
    keys: &[
        "mode",
        "report",
        "architecture",
        "memory",
        "caching",
        "max_age",
        "report_every",
        "log_retention_days",
        "role_arn",
        "security_groups",
        "permissions_boundary",
        "kms_key",
        "artifact",
    ],
};
pub(super) const MONITORING: Schema = Schema {
    path: "monitoring",
    keys: &["topic", "dashboard", "metrics"],
};
pub(super) const SCHEMAS: &[Schema] = &[
    ROOT,
    API,
    RESPONSES,
    THREESCALE,
    CREDENTIALS,
    MAPPING_RULE,
    NETWORK,
    CACHE,
    AUTHORIZER,
    MONITORING,
];

pub(super) const DEFAULT_BACKEND: &str = "https://su1.3scale.net";
/// In place of the keys of `network`.
pub(super) const NO_NETWORK: &str = "none";
/// In place of the keys of `cache`.
pub(super) const MEMORY: &str = "memory";
pub(super) const DEFAULT_CIDR: Ipv4Net =
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 42, 0, 0), 16);
pub(super) const DEFAULT_ZONES: u8 = 2;
pub(super) const DEFAULT_NODE_TYPE: &str = "cache.t4g.micro";
pub(super) const DEFAULT_MEMORY: u32 = 128;
pub(super) const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
pub(super) const DEFAULT_REPORT_EVERY: Duration = Duration::from_secs(60);
pub(super) const DEFAULT_LOG_RETENTION_DAYS: u32 = 14;

/// The largest `delta` of a mapping rule: the authorizer does not start with a larger one. Many of them still fit into the
/// signed 64-bit numbers in which 3scale counts.
pub(super) const MAX_DELTA: i64 = 1_000_000_000_000;

/// Maximum number of subnets of a function (Lambda's `VpcConfig`).
pub(super) const MAX_SUBNETS: usize = 16;
/// The largest number of subnets that the stack creates in a user's own VPC.
pub(super) const MAX_ZONES: usize = 6;
/// The largest number of zones of a VPC that the stack creates.
pub(super) const MAX_CREATED_ZONES: u8 = 6;
/// The largest number of read replicas (ElastiCache).
pub(super) const MAX_REPLICAS: u8 = 5;
/// The memory of a function (Lambda).
pub(super) const MEMORY_MB: RangeInclusive<u32> = 128..=10_240;
/// Maximum number of security groups of a function (Lambda's `VpcConfig`).
pub(super) const MAX_SECURITY_GROUPS: usize = 5;

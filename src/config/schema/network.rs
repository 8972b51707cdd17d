//! The network and the cache.

use serde_json::{Value, json};

use super::super::identifiers::{MAX_SECRET, OLD_NODE_FAMILIES};
use super::super::keys::{
    CACHE, DEFAULT_CIDR, DEFAULT_NODE_TYPE, DEFAULT_ZONES, MAX_CREATED_ZONES, MAX_REPLICAS,
    MAX_SUBNETS, MAX_ZONES, MEMORY, NETWORK, NO_NETWORK,
};
use super::super::{CacheEngine, CacheKind, Choice as _, NatMode, RouteMode};
use super::parts::{
    EC2_ID, boolean, choice, either, optional, or_word, text, variable, whole, with, words,
};
use crate::engine_version::REDIS_VERSIONS;

const CIDR_END: &str = r"(\.[0-9]{1,3}){3}/(1[6-9]|2[0-8])";

pub(super) fn network() -> Value {
    let nat = json!({
        "description": "The way to 3scale: a single NAT gateway, one per zone, or a NAT instance. With `vpc`, also none, or the id \
            of a NAT gateway of yours.",
        "default": NatMode::ALL[0].word(),
        "anyOf": [
            {"enum": words::<NatMode>()},
            {"type": "string", "pattern": format!("^nat-{EC2_ID}$")},
            variable(),
        ],
    });
    let ids = |prefix: &str, of: &str| text(&format!("{prefix}-{EC2_ID}"), of);
    let private = format!("(10|100|172|192){CIDR_END}");
    let any = format!("[0-9]{{1,3}}{CIDR_END}");
    let properties = vec![
        (
            "cidr",
            with(
                text(
                    &private,
                    "The VPC to create, with a public and a private subnet in each Availability Zone: a private range, /16 to /28.",
                ),
                &[("default", json!(DEFAULT_CIDR.to_string()))],
            ),
        ),
        (
            "zones",
            whole(
                1,
                MAX_CREATED_ZONES,
                DEFAULT_ZONES,
                "The number of Availability Zones.",
            ),
        ),
        ("nat", nat),
        (
            "endpoints",
            boolean(
                false,
                "Whether the functions reach the Parameter Store through a VPC endpoint, without the Internet.",
            ),
        ),
        (
            "elastic_ips",
            json!({
                "description": "Elastic IP addresses of your own, one for each NAT gateway, or for the NAT instance. They are never released.",
                "type": "array",
                "uniqueItems": true,
                "items": ids("eipalloc", "The allocation id of an address."),
            }),
        ),
        (
            "vpc",
            text(
                &format!("(default|vpc-{EC2_ID})"),
                "An existing VPC, which is never deleted; `default` for the default VPC.",
            ),
        ),
        (
            "subnets",
            json!({
                "description": "The subnets of the functions and the cache in `vpc`.",
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_SUBNETS,
                "uniqueItems": true,
                "items": ids("subnet", "The id of a subnet."),
            }),
        ),
        (
            "subnet_cidrs",
            json!({
                "description": "Private subnets to create in `vpc`, each in another Availability Zone.",
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_ZONES,
                "items": text(&any, "A range of addresses, /16 to /28."),
            }),
        ),
        (
            "route",
            choice::<RouteMode>(
                "How the subnets in `vpc` reach 3scale: by their existing routes, or by what the stack creates.",
            ),
        ),
    ];
    let mut section = optional(
        &NETWORK,
        "The network of the functions and the cache.",
        properties,
    );
    let needs_vpc = json!(["vpc"]);
    section["dependencies"] = json!({
        "subnets": needs_vpc,
        "subnet_cidrs": needs_vpc,
        "route": needs_vpc,
        "vpc": {
            "oneOf": [{"required": ["subnets"]}, {"required": ["subnet_cidrs"]}],
            "properties": {"cidr": false, "zones": false},
        },
    });
    let creates = json!({
        "required": ["route"],
        "properties": {"route": {"not": {"const": RouteMode::Existing.word()}}},
    });
    section["allOf"] = json!([
        {
            "if": {"required": ["vpc", "nat"], "properties": {"nat": {"pattern": "^(single|per-zone|instance|nat-.*)$"}}},
            "then": creates,
        },
        {"if": {"required": ["vpc", "elastic_ips"]}, "then": creates},
        {
            "if": {"required": ["nat"], "properties": {"nat": {"const": NatMode::None.as_str()}}},
            "then": {"required": ["vpc"], "properties": {"route": {"not": {"const": RouteMode::Create.word()}}}},
        },
        {
            "if": {"required": ["nat"], "properties": {"nat": {"pattern": "^nat-"}}},
            "then": {"required": ["vpc"]},
        },
    ]);
    or_word(section, NO_NETWORK)
}

pub(super) fn cache() -> Value {
    let redis: Vec<_> = REDIS_VERSIONS.iter().map(ToString::to_string).collect();
    let properties = vec![
        (
            "kind",
            choice::<CacheKind>(
                "Nodes of ElastiCache, or ElastiCache Serverless for Valkey, which uses only `engine_version`.",
            ),
        ),
        (
            "engine",
            choice::<CacheEngine>("The engine. Valkey costs less."),
        ),
        (
            "engine_version",
            text(
                r"[0-9]+(\.[0-9]+)?",
                "The version of the engine, in quotes: by default \"7.1\" with redis, \"7.2\" with valkey, and \"8\" with serverless.",
            ),
        ),
        (
            "node_type",
            json!({
                "description": "The node type of ElastiCache.",
                "default": DEFAULT_NODE_TYPE,
                "type": "string",
                "pattern": either(r"cache\.[a-z]+[a-z0-9]*[0-9][a-z0-9]*\.[0-9]*[a-z]+"),
                "not": {"pattern": format!(r"^cache\.({})\.", OLD_NODE_FAMILIES.join("|"))},
            }),
        ),
        (
            "replicas",
            whole(0, MAX_REPLICAS, 0, "The number of read replicas."),
        ),
        (
            "tls",
            boolean(
                true,
                "Whether connections are encrypted, which an AUTH token also requires.",
            ),
        ),
        (
            "url",
            with(
                text(
                    r"[Rr][Ee][Dd][Ii][Ss][Ss]?://[^ \t\r\n?#/]*[^ \t\r\n?#/@]/*[0-9]*",
                    "An existing cache, in place of a created one: rediss://user:password@host:6379.",
                ),
                &[("maxLength", json!(MAX_SECRET))],
            ),
        ),
    ];
    let mut section = optional(
        &CACHE,
        "The cache of 3scale's answers and of usage that is not reported yet.",
        properties,
    );
    section["dependencies"] = json!({
        "url": {"properties": {"kind": false, "engine_version": false, "node_type": false, "replicas": false}},
    });
    let is = |value: &str| json!({"const": value});
    section["allOf"] = json!([
        {
            "if": {"required": ["kind"], "properties": {"kind": is(CacheKind::Serverless.as_str())}},
            "then": {"properties": {
                "node_type": false,
                "replicas": false,
                "tls": false,
                "engine": {"not": is(CacheEngine::Redis.as_str())},
                "engine_version": {"pattern": either("([7-9]|[1-9][0-9]+)")},
            }},
        },
        {
            "if": {"properties": {"kind": is(CacheKind::Node.as_str()), "engine": is(CacheEngine::Redis.as_str())}},
            "then": {"properties": {"engine_version": {"anyOf": [{"enum": redis}, variable()]}}},
        },
        {
            "if": {
                "required": ["engine"],
                "properties": {"kind": is(CacheKind::Node.as_str()), "engine": is(CacheEngine::Valkey.as_str())},
            },
            "then": {"properties": {"engine_version": {
                "pattern": either(r"(7\.([2-9]|[1-9][0-9]+)|([89]|[1-9][0-9]+)\.(0|[1-9][0-9]*))"),
            }}},
        },
    ]);
    or_word(section, MEMORY)
}

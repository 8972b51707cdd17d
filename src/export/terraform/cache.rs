//! The caches.

use super::super::hcl::Block;
use super::{Resources, Writer, ignoring, tagged};
use crate::kind::Kind;
use crate::resource::description::{Cache, CacheUser, Description, ServerlessCache};

pub(super) fn replication_group(
    writer: &Writer,
    found: &Description,
    cache: &Cache,
    all: &mut Resources,
) {
    let nodes = i32::try_from(cache.nodes).unwrap_or(i32::MAX);
    let mut block = writer
        .block("aws_elasticache_replication_group", found)
        .with("replication_group_id", cache.group_id.as_str())
        .with("description", cache.description.as_str())
        .with("engine", cache.engine.as_str())
        .with(
            "engine_version",
            version(&cache.engine, &cache.version).as_str(),
        )
        .with("node_type", cache.node_type.as_str())
        .with("num_cache_clusters", nodes)
        .with("port", cache.port)
        .with("automatic_failover_enabled", cache.fails_over)
        .with("multi_az_enabled", cache.multi_az)
        .with("auto_minor_version_upgrade", cache.automatic_upgrades)
        .with(
            "subnet_group_name",
            writer.name(Kind::CacheSubnetGroup, &cache.subnet_group),
        )
        .with("security_group_ids", writer.ids(&cache.security_groups))
        .with("at_rest_encryption_enabled", cache.at_rest_encryption)
        .with("transit_encryption_enabled", cache.tls);
    if let Some(mode) = cache.tls_mode.as_ref().filter(|_| cache.tls) {
        block = block.with("transit_encryption_mode", mode.as_str());
    }
    if cache.snapshot_days > 0 {
        block = block.with("snapshot_retention_limit", cache.snapshot_days);
    }
    block = tagged(block, found);
    if cache.has_token {
        let kept = ignoring(&["auth_token", "auth_token_update_strategy"]);
        block = block.with_block(kept.about(
            "The AUTH token cannot be read. It stays as it is: the functions read it from the Parameter Store.",
        ));
    }
    all.add(&cache.group_id, block);
}

/// The version as the provider compares it: Redis from 6 on and Valkey have no patch number.
fn version(engine: &str, version: &str) -> String {
    let parts: Vec<_> = version.split('.').collect();
    let major: u32 = parts
        .first()
        .and_then(|major| major.parse().ok())
        .unwrap_or_default();
    let has_patch = engine == "redis" && major < 6;
    match (has_patch, parts.as_slice()) {
        (false, [major, minor, ..]) => format!("{major}.{minor}"),
        _ => version.to_owned(),
    }
}

pub(super) fn user(writer: &Writer, found: &Description, user: &CacheUser, all: &mut Resources) {
    let block = writer
        .block("aws_elasticache_user", found)
        .with("user_id", user.user_id.as_str())
        .with("user_name", user.user_name.as_str())
        .with("engine", user.engine.as_str())
        .with("access_string", user.access.as_str());
    let kept = ignoring(&["authentication_mode", "passwords"]);
    let block = tagged(block, found).with_block(kept.about(
        "The password cannot be read. It stays as it is: the functions read it from the Parameter Store.",
    ));
    all.add(&user.user_id, block);
}

pub(super) fn serverless(
    writer: &Writer,
    found: &Description,
    cache: &ServerlessCache,
    all: &mut Resources,
) {
    let mut block = writer
        .block("aws_elasticache_serverless_cache", found)
        .with("name", cache.name.as_str())
        .with("description", cache.description.as_str())
        .with("engine", cache.engine.as_str())
        .with("major_engine_version", cache.major_version.as_str())
        .with("subnet_ids", writer.ids(&cache.subnets))
        .with("security_group_ids", writer.ids(&cache.security_groups));
    if let Some(group) = &cache.user_group {
        block = block.with("user_group_id", writer.name(Kind::CacheUserGroup, group));
    }
    if cache.snapshot_days > 0 {
        block = block.with("snapshot_retention_limit", cache.snapshot_days);
    }
    block = tagged(block, found);
    let bounded = |name: &str, (least, most): (Option<i32>, Option<i32>)| {
        let mut block = Block::new(name, []);
        if let Some(least) = least {
            block = block.with("minimum", least);
        }
        if let Some(most) = most {
            block = block.with("maximum", most);
        }
        block
    };
    let mut limits = Block::new("cache_usage_limits", []);
    if cache.gigabytes != (None, None) {
        let storage = bounded("data_storage", cache.gigabytes).with("unit", "GB");
        limits = limits.with_block(storage);
    }
    if cache.ecpus != (None, None) {
        limits = limits.with_block(bounded("ecpu_per_second", cache.ecpus));
    }
    if !limits.items.is_empty() {
        block = block.with_block(limits);
    }
    all.add(&cache.name, block);
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_has_the_parts_that_the_provider_compares() {
        assert_eq!(version("redis", "7.1.0"), "7.1");
        assert_eq!(version("redis", "6.2"), "6.2");
        assert_eq!(version("redis", "5.0.6"), "5.0.6");
        assert_eq!(version("valkey", "8.0.1"), "8.0");
        assert_eq!(version("valkey", "8"), "8");
    }
}

//! The caches. What CloudFormation would write, and this program does not read, is the AUTH token and the password: without
//! these properties, they stay as they are.

use serde_json::{Value, json};

use super::{Writer, set, tagged};
use crate::kind::Kind;
use crate::resource::description::{Cache, CacheUser, Description, ServerlessCache};

pub(super) fn replication_group(writer: &mut Writer, found: &Description, cache: &Cache) {
    let mut properties = json!({
        "ReplicationGroupId": cache.group_id,
        "ReplicationGroupDescription": cache.description,
        "Engine": cache.engine,
        "EngineVersion": cache.version,
        "CacheNodeType": cache.node_type,
        "NumCacheClusters": cache.nodes,
        "Port": cache.port,
        "AutomaticFailoverEnabled": cache.fails_over,
        "MultiAZEnabled": cache.multi_az,
        "AutoMinorVersionUpgrade": cache.automatic_upgrades,
        "CacheSubnetGroupName": writer.name(Kind::CacheSubnetGroup, &cache.subnet_group),
        "SecurityGroupIds": writer.ids(&cache.security_groups),
        "AtRestEncryptionEnabled": cache.at_rest_encryption,
        "TransitEncryptionEnabled": cache.tls,
    });
    let mode = cache.tls_mode.clone().filter(|_| cache.tls);
    set(&mut properties, "TransitEncryptionMode", mode);
    let days = Some(cache.snapshot_days).filter(|days| *days > 0);
    set(&mut properties, "SnapshotRetentionLimit", days);
    writer.add(
        writer.label(found),
        "AWS::ElastiCache::ReplicationGroup",
        json!({"ReplicationGroupId": cache.group_id}),
        tagged(properties, found),
    );
}

pub(super) fn user(writer: &mut Writer, found: &Description, user: &CacheUser) {
    let properties = json!({
        "UserId": user.user_id,
        "UserName": user.user_name,
        "Engine": user.engine,
        "AccessString": user.access,
    });
    writer.add(
        writer.label(found),
        "AWS::ElastiCache::User",
        json!({"UserId": user.user_id}),
        tagged(properties, found),
    );
}

fn bounds((least, most): (Option<i32>, Option<i32>)) -> Option<Value> {
    let mut bounds = json!({});
    set(&mut bounds, "Minimum", least);
    set(&mut bounds, "Maximum", most);
    (least.is_some() || most.is_some()).then_some(bounds)
}

pub(super) fn serverless(writer: &mut Writer, found: &Description, cache: &ServerlessCache) {
    let mut properties = json!({
        "ServerlessCacheName": cache.name,
        "Description": cache.description,
        "Engine": cache.engine,
        "MajorEngineVersion": cache.major_version,
        "SubnetIds": writer.ids(&cache.subnets),
        "SecurityGroupIds": writer.ids(&cache.security_groups),
    });
    let group = cache.user_group.as_ref();
    let group = group.map(|group| writer.name(Kind::CacheUserGroup, group));
    set(&mut properties, "UserGroupId", group);
    let days = Some(cache.snapshot_days).filter(|days| *days > 0);
    set(&mut properties, "SnapshotRetentionLimit", days);
    let mut limits = json!({});
    let storage = bounds(cache.gigabytes).map(|mut storage| {
        storage["Unit"] = json!("GB");
        storage
    });
    set(&mut limits, "DataStorage", storage);
    set(&mut limits, "ECPUPerSecond", bounds(cache.ecpus));
    let has_limits = limits.as_object().is_some_and(|limits| !limits.is_empty());
    set(
        &mut properties,
        "CacheUsageLimits",
        has_limits.then_some(limits),
    );
    writer.add(
        writer.label(found),
        "AWS::ElastiCache::ServerlessCache",
        json!({"ServerlessCacheName": cache.name}),
        tagged(properties, found),
    );
}

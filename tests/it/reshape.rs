//! A stack changes its shape: resources are updated in place where possible, replaced otherwise, and deleted when they
//! are no longer configured.

use crate::support::{TestAws, Workplace, assert_same};
use serde_json::json;

/// Each change: the first configuration, the configuration that replaces it, and an action that the plan must show.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "network: {cidr: 10.42.0.0/16}",
        "network: {cidr: 10.43.0.0/16}",
        "replace vpc/main",
    ),
    (
        "network: {nat: single}",
        "network: {nat: per-zone}",
        "create nat-gateway/b",
    ),
    (
        "network: {nat: per-zone}",
        "network: {nat: single}",
        "delete nat-gateway/b",
    ),
    (
        "network: {zones: 2}",
        "network: {zones: 3}",
        "create subnet/private-c",
    ),
    (
        "network: {zones: 3}",
        "network: {zones: 2}",
        "delete subnet/private-c",
    ),
    (
        "network: {zones: 4}",
        "network: {zones: 3}",
        "delete subnet/private-d",
    ),
    (
        "network: {nat: per-zone}",
        "network: {cidr: 10.43.0.0/16}",
        "replace vpc/main",
    ),
    (
        "network: {zones: 2, nat: per-zone}",
        "network: {zones: 3, nat: single}",
        "delete nat-gateway/b",
    ),
    (
        "network: {zones: 3, nat: per-zone}",
        "network: {zones: 2, nat: per-zone}",
        "delete nat-gateway/c",
    ),
    (
        "network: {zones: 3}",
        "network: {cidr: 10.43.0.0/16, zones: 2}",
        "delete subnet/public-c",
    ),
    (
        "cache: {tls: true}",
        "cache: {tls: false}",
        "replace cache/main",
    ),
    (
        "cache: {tls: false}",
        "cache: {tls: true, engine: valkey}",
        "update cache/main",
    ),
    (
        "cache: {engine: valkey, engine_version: \"8.0\"}",
        "cache: {engine: redis}",
        "replace cache/main",
    ),
    (
        "cache: {node_type: cache.t4g.micro}",
        "cache: {node_type: cache.t4g.small}",
        "update cache/main",
    ),
];

#[test]
fn each_change_of_shape_converges_and_leaves_nothing_behind() {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let aws = TestAws::start();
                while let Some(change) =
                    CHANGES.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
                {
                    takes_the_shape(&aws, change);
                }
            });
        }
    });
}

fn takes_the_shape(aws: &TestAws, (from, to, expected): &(&str, &str, &str)) {
    aws.check_log();
    aws.post("reset", &json!({}));
    aws.seed();
    // Enough for three zones with a NAT gateway each, in addition to two addresses of another user.
    aws.post(
        "config",
        &json!({"quotas": {"vpcs": 10, "elastic_ips": 10, "nat_gateways": 10}, "eni_linger": 0.2}),
    );
    let before = aws.account();
    let workplace = Workplace::new(aws);
    workplace.edit("stack: orders\n", &format!("stack: orders\n{from}\n"));
    workplace.succeed(&["up", "--yes"]);
    workplace.edit(from, to);
    let plan = workplace.run(&["plan", "--exit-code", "-o", "json"]);
    assert_eq!(plan.code, Some(3), "{from} -> {to}: {}", plan.stderr);
    let resources = plan.json()["resources"]
        .as_array()
        .cloned()
        .expect("a list");
    let actions: Vec<_> = resources
        .iter()
        .map(|r| {
            format!(
                "{} {}",
                r["action"].as_str().unwrap_or_default(),
                r["id"].as_str().unwrap_or_default()
            )
        })
        .collect();
    assert!(
        actions.iter().any(|action| action == expected),
        "{from} -> {to}: {actions:?}"
    );
    workplace.succeed(&["up", "--yes"]);
    let plan = workplace.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{from} -> {to}: {}", plan.stdout);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

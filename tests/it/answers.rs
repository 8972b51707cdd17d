//! Responses and states of AWS that are rare: absent members, inactive functions, states without an end, resources that
//! are not visible yet, exhausted quotas, and other partitions.

use crate::support::aws::api;
use crate::support::{Run, TestAws, Workplace, assert_same, standing};
use serde_json::json;

#[track_caller]
fn ends(run: &Run, code: i32, texts: &[&str]) {
    let shown = format!("{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(code), "{shown}");
    for text in texts {
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
}

const CACHE: &str = "threescale-gw-orders-cache";
const AUTHORIZER: &str = "threescale-gw-orders-authorizer";

/// An absent member means that the value is unknown. It is never a difference.
#[test]
fn what_the_service_does_not_report_is_no_difference() {
    let (aws, here) = standing();
    for absent in [
        json!({"DescribeReplicationGroups": [
            "Engine", "CacheNodeType", "AutomaticFailover", "MultiAZ", "TransitEncryptionEnabled", "AuthTokenEnabled",
        ]}),
        json!({"DescribeSubnets": ["CidrBlock", "AvailabilityZone", "State"]}),
        json!({"DescribeVpcs": ["CidrBlock", "State"]}),
        json!({"DescribeNatGateways": ["NatGatewayAddresses"]}),
        json!({"GetFunction": ["Architectures", "State"]}),
    ] {
        aws.post("config", &json!({"omit": absent}));
        let plan = here.run(&["plan", "--exit-code"]);
        ends(&plan, 0, &[]);
        let none: serde_json::Map<_, _> = absent
            .as_object()
            .expect("operations")
            .keys()
            .map(|operation| (operation.clone(), json!([])))
            .collect();
        aws.post("config", &json!({"omit": none}));
    }
}

/// An authorizer without a TTL caches policies for 300 seconds, so requests would not be counted.
#[test]
fn an_absent_ttl_is_the_default_of_the_service() {
    let (aws, here) = standing();
    aws.post(
        "config",
        &json!({"omit": {"GetAuthorizers": ["authorizerResultTtlInSeconds"]}}),
    );
    ends(
        &here.run(&["plan", "--exit-code"]),
        3,
        &["result TTL: 300 -> 0"],
    );
}

/// A function that was not invoked for weeks is inactive, and is restored by the first invocation.
#[test]
fn an_inactive_function_is_told_and_waited_for() {
    let (aws, here) = standing();
    for code in [
        "CodeArtifactUserPendingException",
        "ResourceNotReadyException",
    ] {
        let idle = json!({"name": AUTHORIZER, "code": code, "seconds": 1});
        aws.post("function", &idle);
        let status = here.run(&["status", "--exit-code"]);
        ends(
            &status,
            3,
            &["authorizer (inactive)", "run the same command again"],
        );
        aws.post("advance", &json!({"seconds": 2}));
        here.succeed(&["status", "--exit-code"]);
    }
    // A change proves the new version, and waits for it.
    aws.post("function", &json!({"name": AUTHORIZER, "seconds": 1}));
    here.edit("authorizer: {", "authorizer: {memory: 256, ");
    here.succeed(&["up", "--yes"]);
}

#[test]
fn a_function_without_concurrency_is_told_at_once() {
    let (aws, here) = standing();
    let parameters = json!({"FunctionName": AUTHORIZER, "ReservedConcurrentExecutions": 0});
    aws.call("lambda", "PutFunctionConcurrency", parameters);
    let status = here.run(&["status", "--exit-code"]);
    let texts = ["authorizer (throttled_reserved)", "reserved concurrency"];
    ends(&status, 3, &texts);
    // The listing shows it as well.
    let quick = here.run(&["status", "--no-deep", "--exit-code"]);
    let texts = [AUTHORIZER, "reserved concurrency is 0", "unhealthy"];
    ends(&quick, 3, &texts);
    let parameters = json!({"FunctionName": AUTHORIZER});
    aws.call("lambda", "DeleteFunctionConcurrency", parameters);
    // A new account has 10.
    aws.post("config", &json!({"quotas": {"concurrent_executions": 10}}));
    let status = here.succeed(&["status", "--exit-code"]);
    let text = "at most 10 executions at a time";
    assert!(status.stdout.contains(text), "{}", status.stdout);
    aws.post(
        "faults",
        &json!([{"operation": "GetAccountSettings", "kind": "deny"}]),
    );
    let status = here.succeed(&["status", "--exit-code"]);
    let text = "executions of Lambda is not known";
    assert!(status.stdout.contains(text), "{}", status.stdout);
}

/// A state that does not end by itself is reported before any change, and `down` removes the cache.
#[test]
fn a_cache_in_a_state_without_an_end_is_not_waited_for() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let here = Workplace::new(&aws);
    here.succeed(&["up", "--yes"]);
    for status in ["incompatible-network", "restore-failed"] {
        aws.post("cache", &json!({"id": CACHE, "status": status}));
        for command in [&["plan"][..], &["up", "--yes"]] {
            ends(&here.run(command), 4, &["cache/main", status]);
        }
        ends(
            &here.run(&["status", "--exit-code"]),
            3,
            &["failed", status],
        );
    }
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());

    // The same during the creation.
    let outcome = json!({"outcomes": {"cache": "incompatible-network"}});
    aws.post("config", &outcome);
    let up = here.run(&["up", "--yes"]);
    ends(
        &up,
        5,
        &["incompatible-network, which does not end by itself"],
    );
    aws.post("config", &json!({"outcomes": {"cache": null}}));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// Lambda does not see new subnets and security groups at once.
#[test]
fn what_lambda_does_not_see_yet_is_waited_for() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"lambda_lag": 3}));
    Workplace::new(&aws).succeed(&["up", "--yes"]);
}

/// A quota of API Gateway has the status of a throttled call, and is not retried.
#[test]
fn a_quota_of_api_gateway_is_not_retried() {
    let aws = TestAws::seeded();
    let quota = json!([{
        "service": "apigateway", "operation": "CreateDeployment", "kind": "error", "code": "LimitExceededException",
        "message": "Maximum number of deployments", "status": 429,
    }]);
    aws.post("faults", &quota);
    let up = Workplace::new(&aws).run(&["up", "--yes"]);
    ends(&up, 5, &["LimitExceededException", "raise the quota"]);
    let calls = aws.log();
    let deployments = calls
        .iter()
        .filter(|call| call["operation"] == "CreateDeployment");
    assert_eq!(deployments.count(), 1);
}

/// The partition is that of the account, not of a list of region names.
#[test]
fn the_life_cycle_runs_in_every_partition() {
    for region in ["us-gov-west-1", "cn-north-1", "eusc-de-east-1"] {
        let aws = TestAws::start();
        aws.post(&format!("seed?region={region}"), &json!({"api": api()}));
        let before = aws.get(&format!("account?region={region}"));
        let here = Workplace::new(&aws);
        let at = |arguments: &[&str]| here.succeed(&[arguments, &["--region", region]].concat());
        at(&["up", "--yes"]);
        at(&["plan", "--exit-code"]);
        at(&["status", "--exit-code"]);
        at(&["down", "--yes"]);
        assert_same(&before, &aws.get(&format!("account?region={region}")));
    }
}

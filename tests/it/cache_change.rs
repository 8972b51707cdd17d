//! Changes to the running cache: the calls that make them, that a new process of the functions reaches the cache in
//! every state between two calls, and that the next run completes them after a kill or a fault at any call.

use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, counts};
use serde_json::{Value, json};

const CACHE: &str = "threescale-gw-orders-cache";

/// An account with a deployed stack that has this `cache` line.
fn stand(cache: &str) -> (TestAws, Workplace) {
    let aws = TestAws::state(&format!("a stack with {cache}"), || {
        let aws = TestAws::seeded();
        workplace(&aws, cache).succeed(&["up", "--yes"]);
        aws
    });
    let here = workplace(&aws, cache);
    (aws, here)
}

fn workplace(aws: &TestAws, cache: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit("authorizer:", &format!("cache: {cache}\nauthorizer:"));
    here
}

/// The calls that change the replication group, with their parameters.
fn calls(aws: &TestAws) -> Vec<Value> {
    let of_group = |entry: &Value| {
        entry["service"] == "elasticache"
            && entry["mutating"] == true
            && entry["operation"] != "AddTagsToResource"
    };
    let log = aws.log();
    let changing = log.iter().filter(|entry| of_group(entry));
    changing
        .map(|entry| {
            let mut parameters = entry["parameters"].clone();
            if entry["operation"] == "ModifyReplicationGroup" {
                let fields = parameters.as_object_mut().expect("an object");
                assert_eq!(fields.remove("ReplicationGroupId"), Some(json!(CACHE)));
                assert_eq!(fields.remove("ApplyImmediately"), Some(json!(true)));
                parameters
            } else {
                entry["operation"].clone()
            }
        })
        .collect()
}

/// The actions of `plan`, apart from unchanged resources.
fn actions(here: &Workplace) -> Vec<String> {
    let plan = here.succeed(&["plan", "-o", "json"]).json();
    let resources = plan["resources"].as_array().expect("a list").iter();
    resources
        .filter(|resource| resource["action"] != "none")
        .map(|resource| {
            let text = |key: &str| resource[key].as_str().expect("text");
            format!("{} {}", text("action"), text("id"))
        })
        .collect()
}

fn group(aws: &TestAws) -> Value {
    let name = json!({"ReplicationGroupId": CACHE});
    aws.call("elasticache", "DescribeReplicationGroups", name)["ReplicationGroups"][0].clone()
}

/// Whether a new process of each function reaches the cache.
fn reach_the_cache(aws: &TestAws) -> bool {
    ["authorizer", "reporter"].iter().all(|name| {
        let invocation = json!({
            "FunctionName": format!("threescale-gw-orders-{name}"), "Qualifier": "live",
            "Payload": r#"{"threescale-gw": "self-test"}"#,
        });
        let answer = aws.call("lambda", "Invoke", invocation)["Payload"].clone();
        let answer: Value = serde_json::from_str(answer.as_str().expect("text")).expect("JSON");
        let mut checks = answer["checks"].as_array().expect("a list").iter();
        checks.any(|check| check["name"] == "redis" && check["ok"] == true)
    })
}

/// Makes a change of the `cache` line, which must be this plan and these calls, and nothing more.
#[track_caller]
fn change(aws: &TestAws, here: &Workplace, edit: (&str, &str), plan: &[&str], made: &[Value]) {
    here.edit(edit.0, edit.1);
    assert_eq!(actions(here), plan, "{edit:?}");
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    assert_eq!(calls(aws), made, "{edit:?}");
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{edit:?}: {}", plan.stdout);
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    let stats = aws.get("stats");
    assert_eq!(stats["mutating"], 0, "{edit:?}");
    let requests = stats["requests"].as_u64().expect("a number");
    // One of them asks whether an HTTP API has the name, too.
    assert!(requests <= 41, "{requests} requests after {edit:?}");
    assert!(reach_the_cache(aws), "{edit:?}");
}

const UPDATE: &[&str] = &["update cache/main"];

#[test]
fn the_engine_and_its_version_change_in_place_where_aws_can() {
    let (aws, here) = stand("{engine: redis}");
    aws.post("config", &json!({"delay": {"cache-update": 0.3}}));
    let to_valkey =
        json!({"Engine": "valkey", "EngineVersion": "7.2", "AutoMinorVersionUpgrade": false});
    let edit = ("engine: redis", "engine: valkey");
    change(&aws, &here, edit, UPDATE, &[to_valkey]);
    let outputs = here.succeed(&["up", "--yes"]).stdout;
    assert!(outputs.contains("redis_engine    Valkey 7.2"), "{outputs}");
    let to_redis =
        json!({"Engine": "redis", "EngineVersion": "7.1", "AutoMinorVersionUpgrade": false});
    let edit = ("engine: valkey", "engine: redis");
    change(&aws, &here, edit, UPDATE, &[to_redis]);
    let newer =
        json!({"Engine": "valkey", "EngineVersion": "8.0", "AutoMinorVersionUpgrade": false});
    let edit = ("engine: redis", "engine: valkey, engine_version: \"8.0\"");
    change(&aws, &here, edit, UPDATE, &[newer]);
    let newest = json!({"EngineVersion": "8.1", "AutoMinorVersionUpgrade": false});
    change(&aws, &here, ("8.0", "8.1"), UPDATE, &[newest]);
    // A pinned version never lowers the actual one.
    here.edit(", engine_version: \"8.1\"", "");
    assert_eq!(actions(&here), <[&str; 0]>::default());
    // There is no way back from here.
    here.edit("engine: valkey", "engine: redis");
    let plan = here.succeed(&["plan"]).stdout;
    for told in [
        "engine: valkey -> redis",
        "engine version: 8.1 -> 7.1",
        "forces replacement",
        "note cache/main is replaced: its usage is delivered to 3scale first",
    ] {
        assert!(plan.contains(told), "{told:?} is not in\n{plan}");
    }
}

#[test]
fn an_old_version_is_told_with_the_end_of_its_support() {
    let (aws, here) = stand("{engine: redis, engine_version: \"6.2\"}");
    let note = "Redis OSS 6.2 leaves standard support on 2027-01-31";
    let left = "Redis OSS 6.2 left standard support on 2027-01-31";
    for arguments in [&["plan"][..], &["status"]] {
        let shown = here.succeed(arguments).stdout;
        assert!(shown.contains(note) || shown.contains(left), "{shown}");
    }
    // An upgrade by AWS shows in `status`, and is no difference.
    let upgrade =
        json!({"ReplicationGroupId": CACHE, "EngineVersion": "7.0", "ApplyImmediately": true});
    aws.call("elasticache", "ModifyReplicationGroup", upgrade);
    here.edit(", engine_version: \"6.2\"", "");
    let made = json!({"EngineVersion": "7.1", "AutoMinorVersionUpgrade": false});
    let status = here.succeed(&["status"]).stdout;
    assert!(status.contains("engine version: 7.0 -> 7.1"), "{status}");
    assert!(!status.contains("standard support"), "{status}");
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    assert_eq!(calls(&aws), [made]);
}

/// A cache as the former release created it: without a pinned version.
#[test]
fn the_version_of_a_cache_that_was_not_pinned_is_read_once_and_kept() {
    let (aws, here) = stand("{engine: valkey}");
    let arn = group(&aws)["ARN"].clone();
    let upgrade = json!({
        "ReplicationGroupId": CACHE, "EngineVersion": "8.1", "AutoMinorVersionUpgrade": true, "ApplyImmediately": true,
    });
    aws.call("elasticache", "ModifyReplicationGroup", upgrade);
    let untag = json!({"ResourceName": arn, "TagKeys": ["threescale-gw:engine-version"]});
    aws.call("elasticache", "RemoveTagsFromResource", untag);
    let pinned = json!({"AutoMinorVersionUpgrade": false});
    let edit = ("engine: valkey", "engine: valkey");
    change(&aws, &here, edit, UPDATE, &[pinned]);
    let status = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(status["outputs"]["redis_engine"], "Valkey 8.1");
    assert_eq!(status["healthy"], true, "{status}");
}

#[test]
fn tls_and_the_token_are_turned_on_in_place() {
    let (aws, here) = stand("{tls: false}");
    let plan = [
        "update cache/main",
        "create secret/cache-auth-token",
        "update parameter/cache-endpoint",
    ];
    let mode =
        |mode: &str| json!({"TransitEncryptionEnabled": true, "TransitEncryptionMode": mode});
    let token = |strategy: &str| json!({"AuthToken": "***", "AuthTokenUpdateStrategy": strategy});
    let made = [
        mode("preferred"),
        mode("required"),
        token("ROTATE"),
        token("SET"),
    ];
    here.edit("tls: false", "tls: true");
    assert_eq!(actions(&here), plan);
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    assert_eq!(calls(&aws), made);
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    let found = group(&aws);
    assert_eq!(found["TransitEncryptionMode"], "required");
    assert_eq!(found["AuthTokenEnabled"], true);
    assert!(reach_the_cache(&aws));
    // AWS cannot delete a token, and cannot change TLS while there is one.
    here.edit("tls: true", "tls: false");
    assert!(actions(&here).contains(&"replace cache/main".to_owned()));
}

/// The state that a run leaves that was killed before the cache had a token.
#[test]
fn tls_is_turned_off_in_place_as_long_as_there_is_no_token() {
    let (aws, here) = stand("{tls: false}");
    for mode in ["preferred", "required"] {
        let on = json!({
            "ReplicationGroupId": CACHE, "TransitEncryptionEnabled": true, "TransitEncryptionMode": mode,
            "ApplyImmediately": true,
        });
        aws.call("elasticache", "ModifyReplicationGroup", on);
    }
    aws.check_log();
    here.succeed(&["up", "--yes"]);
    let preferred = json!({"TransitEncryptionEnabled": true, "TransitEncryptionMode": "preferred"});
    let off = json!({"TransitEncryptionEnabled": false});
    assert_eq!(calls(&aws), [preferred, off]);
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    assert!(reach_the_cache(&aws));
}

#[test]
fn the_token_is_rotated_and_never_shown() {
    let (aws, here) = stand("{tls: true}");
    let before = aws.account();
    let digest = |account: &Value, name: &str| {
        let all = account["parameters"].as_array().cloned().expect("a list");
        let name = format!("/threescale-gw/orders/secrets/{name}");
        let found = all.iter().find(|one| one["name"] == name.as_str());
        found.cloned()
    };
    aws.check_log();
    let up = here.succeed(&["up", "--yes", "--rotate-cache-token", "-v"]);
    let token = |strategy: &str| json!({"AuthToken": "***", "AuthTokenUpdateStrategy": strategy});
    assert_eq!(calls(&aws), [token("ROTATE"), token("SET")]);
    for told in ["secret/cache-auth-token", "auth token in use"] {
        assert!(up.stderr.contains(told), "{told}: {}", up.stderr);
    }
    let after = aws.account();
    assert_ne!(
        digest(&before, "cache-auth-token"),
        digest(&after, "cache-auth-token")
    );
    assert_eq!(digest(&after, "cache-auth-token-former"), None);
    assert!(reach_the_cache(&aws));
    let again = here.succeed(&["up", "--yes"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);
    for cache in ["{tls: false}", "{url: \"redis://mine:6379\"}"] {
        let run = workplace(&aws, cache).run(&["up", "--yes", "--rotate-cache-token"]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
    }
}

/// Kills `up` after every changing call. In each state, new processes of the functions reach the cache, and the next
/// `up` completes the change.
fn is_finished_after_a_kill(from: &str, to: &str, arguments: &[&str], least: usize) {
    let (aws, _) = stand(from);
    let here = workplace(&aws, to);
    let states = killed_after_each(&aws, &here, arguments, "*");
    assert!(states.len() >= least, "{} changing calls", states.len());
    let whole = counts(&aws.account());
    each(states, |nth, killed| {
        let Killed { aws, after } = killed;
        assert!(reach_the_cache(&aws), "killed after {nth}, {after}");
        let here = workplace(&aws, to);
        here.succeed(&["up", "--yes"]);
        assert_eq!(counts(&aws.account()), whole, "killed after {nth}, {after}");
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{nth}, {after}: {}", plan.stdout);
        assert!(reach_the_cache(&aws), "finished after {nth}, {after}");
    });
}

#[test]
fn a_killed_change_of_everything_is_finished_by_the_next_run() {
    let to = "{engine: valkey, tls: true, node_type: cache.t4g.small, replicas: 1}";
    is_finished_after_a_kill("{tls: false}", to, &["up", "--yes"], 11);
}

#[test]
fn a_killed_rotation_is_finished_by_the_next_run() {
    let rotate = ["up", "--yes", "--rotate-cache-token"];
    is_finished_after_a_kill("{tls: true}", "{tls: true}", &rotate, 6);
}

#[test]
fn each_call_of_a_change_fails_once() {
    let kinds = vec!["throttle", "500", "drop", "unreadable"];
    each(kinds, |_, kind| {
        let (aws, _) = stand("{tls: false}");
        let here = workplace(&aws, "{engine: valkey, tls: true, replicas: 1}");
        aws.post(
            "faults",
            &json!([{"mutating": true, "every": true, "kind": kind}]),
        );
        here.succeed(&["up", "--yes"]);
        here.succeed(&["up", "--yes", "--rotate-cache-token"]);
        aws.post("faults", &json!([]));
        assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0), "{kind}");
        assert!(reach_the_cache(&aws), "{kind}");
        here.succeed(&["down", "--yes"]);
        assert_same(&TestAws::seeded().account(), &aws.account());
    });
}

//! A stack with a serverless cache, and the change between both kinds of caches while callers use the stack.

use serde_json::{Value, json};

use crate::moves::{self, assert_served, workplace};
use crate::own::own_network_in;
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::id;
use crate::support::{TestAws, Workplace, assert_same, counts};

const NODE: &str = "cache: {kind: node}";
const SERVERLESS: &str = "cache: {kind: serverless}";
const GOOD: &str = "a-good-key";

/// An account with a deployed stack that has these lines in its configuration, and a cleared log.
fn stand(lines: &str) -> (TestAws, Workplace) {
    let aws = TestAws::state(&format!("a stack with {lines}"), || {
        let aws = TestAws::seeded();
        aws.post("config", &json!({"valid_keys": [GOOD]}));
        workplace(&aws, lines).succeed(&["up", "--yes"]);
        aws
    });
    let here = workplace(&aws, lines);
    (aws, here)
}

/// The parameters of the logged calls of this operation.
fn calls(aws: &TestAws, operation: &str) -> Vec<Value> {
    let log = aws.log().into_iter();
    log.filter(|entry| entry["operation"] == operation)
        .map(|entry| entry["parameters"].clone())
        .collect()
}

fn is_unchanged(here: &Workplace, when: &str) {
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
}

/// The one serverless cache of the account with this parameter.
fn one<'a>(account: &'a Value, kind: &str) -> &'a Value {
    let all = account[kind].as_array().expect("a list");
    assert_eq!(all.len(), 1, "{all:?}");
    &all[0]
}

#[test]
fn a_stack_with_a_serverless_cache_lives_and_leaves_nothing() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let here = workplace(&aws, SERVERLESS);
    let plan = here.succeed(&["plan"]).stdout;
    let costs = "serverless-cache/main 6.13";
    assert!(plan.contains(costs), "{plan}");
    let up = here.succeed(&["up", "--yes"]);
    for told in [
        "redis_endpoint  threescale-gw-orders-cache-tstaws.serverless.use1.cache.amazonaws.com:6379",
        "redis_engine    Valkey 8.1",
    ] {
        assert!(up.stdout.contains(told), "{}", up.stdout);
    }
    let account = aws.account();
    let cache = one(&account, "serverless_caches");
    assert_eq!(cache["SubnetIds"].as_array().map(Vec::len), Some(2));
    let limit = json!({"DataStorage": {"Maximum": 1, "Unit": "GB"}});
    assert_eq!(cache["CacheUsageLimits"], limit);
    assert_eq!(cache["tags"]["threescale-gw:stack"], "orders");
    let theirs = before["replication_groups"].as_array().map(Vec::len);
    assert_eq!(
        account["replication_groups"].as_array().map(Vec::len),
        theirs
    );
    assert_served(&aws, "after up");
    aws.check_log();
    let again = here.succeed(&["up", "--yes"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);
    assert_eq!(aws.changes(), [""; 0]);
    let status = here.succeed(&["status", "--all"]).stdout;
    for id in [
        "serverless-cache/main",
        "cache-user/main",
        "cache-user-group/main",
    ] {
        assert!(status.contains(id), "{id}: {status}");
    }

    // What others change is repaired; a limit that the operator has chosen is kept.
    let name = "threescale-gw-orders-cache";
    let change = |operation: &str, parameters: Value| {
        aws.call("elasticache", operation, parameters);
    };
    let all = "on ~* +@all";
    change(
        "ModifyUser",
        json!({"UserId": name, "AccessString": all, "Passwords": ["0123456789abcdef"]}),
    );
    let storage = json!({"DataStorage": {"Maximum": 20, "Unit": "GB"}});
    let limits =
        json!({"ServerlessCacheName": name, "CacheUsageLimits": storage, "RemoveUserGroup": true});
    change("ModifyServerlessCache", limits);
    change(
        "ModifyUserGroup",
        json!({"UserGroupId": name, "UserIdsToRemove": [name]}),
    );
    for (kind, of) in [
        ("user", name),
        ("usergroup", name),
        ("serverlesscache", name),
    ] {
        let arn = format!("arn:aws:elasticache:us-east-1:123456789012:{kind}:{of}");
        let key = if kind == "user" {
            "threescale-gw:auth-token"
        } else {
            "Name"
        };
        change(
            "RemoveTagsFromResource",
            json!({"ResourceName": arn, "TagKeys": [key]}),
        );
    }
    let plan = here.succeed(&["plan"]).stdout;
    for told in [
        "access string",
        "password",
        "user group",
        "users",
        "tag Name",
    ] {
        assert!(plan.contains(told), "{told}: {plan}");
    }
    here.succeed(&["up", "--yes"]);
    is_unchanged(&here, "after the repair");
    assert_served(&aws, "after the repair");
    let account = aws.account();
    let cache = one(&account, "serverless_caches");
    assert_eq!(cache["CacheUsageLimits"], storage);

    here.edit("kind: serverless", "kind: serverless, engine_version: '9'");
    here.succeed(&["up", "--yes"]);
    assert_eq!(
        one(&aws.account(), "serverless_caches")["MajorEngineVersion"],
        "9"
    );
    is_unchanged(&here, "after the change of the version");
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// Both ways on a live stack: the new cache is proved beside the former one, whose usage is delivered before it is deleted.
#[test]
fn the_kind_of_a_cache_changes_without_a_refused_call_or_a_lost_count() {
    let (aws, here) = stand(NODE);
    let path = format!("{}/prod/orders", id(&aws.account(), "orders-api"));
    let request = json!({"path": path, "headers": {"apikey": GOOD}});
    aws.post("config", &json!({"watch": [request]}));
    let ways = [
        (
            NODE,
            SERVERLESS,
            "CreateServerlessCache",
            "DeleteReplicationGroup",
            "cache/former-0",
        ),
        (
            SERVERLESS,
            NODE,
            "CreateReplicationGroup",
            "DeleteServerlessCache",
            "serverless-cache/former-1",
        ),
    ];
    for (from, to, creation, deletion, former) in ways {
        here.edit(from, to);
        aws.post("config", &json!({"outcomes": {"reports": [4, 1]}}));
        aws.check_log();
        let plan = here.succeed(&["plan"]).stdout;
        let told = "stays until no function uses it: ElastiCache cannot change its kind";
        assert!(plan.contains(told) && plan.contains(former), "{plan}");
        assert!(!plan.contains("move to another network"), "{plan}");
        let up = here.succeed(&["up", "--yes"]);
        let told = "lambda-alias/reporter: usage delivered to 3scale before: 5";
        assert!(up.stderr.contains(told), "{}", up.stderr);
        let log = aws.log();
        let position = |operation: &str, text: &str| {
            let found = log.iter().position(|entry| {
                entry["operation"] == operation && entry["parameters"].to_string().contains(text)
            });
            found.unwrap_or_else(|| panic!("no {operation} with {text}"))
        };
        let moved = |name: &str| position("UpdateAlias", &format!("threescale-gw-orders-{name}"));
        let runs = log.iter().enumerate().filter(|(_, entry)| {
            entry["operation"] == "Invoke"
                && entry["parameters"]["FunctionName"] == "threescale-gw-orders-reporter"
                && entry["parameters"]["Qualifier"] == "live"
        });
        let runs: Vec<_> = runs.map(|(index, _)| index).collect();
        assert!(position(creation, "") < moved("authorizer"), "{to}");
        assert_eq!(runs.len(), 2, "{to}: {runs:?}");
        assert!(
            moved("authorizer") < runs[0] && runs[1] < moved("reporter"),
            "{to}"
        );
        assert!(moved("reporter") < position(deletion, ""), "{to}");
        let watched = aws.get("watched");
        let watched = watched.as_array().expect("a list");
        assert!(watched.len() >= 10, "{}", watched.len());
        for seen in watched {
            assert_eq!(seen["statuses"], json!([200]), "{seen}");
        }
        is_unchanged(&here, to);
        assert_served(&aws, to);
    }
    aws.post("config", &json!({"watch": []}));
}

/// A new version of the functions that does not pass its self-test with the new cache leaves everything as it is.
#[test]
fn a_serverless_cache_that_is_not_reached_replaces_nothing() {
    let (aws, here) = stand(NODE);
    here.edit(NODE, SERVERLESS);
    aws.post(
        "config",
        &json!({"outcomes": {"serverless-cache": "create-failed"}}),
    );
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    assert!(up.stderr.contains("create-failed"), "{}", up.stderr);
    assert_served(&aws, "after a failed creation");
    assert_eq!(calls(&aws, "DeleteReplicationGroup"), [Value::Null; 0]);
    // Back again: what was begun is removed.
    aws.post("config", &json!({"outcomes": {"serverless-cache": null}}));
    let fork = aws.fork();
    let back = workplace(&fork, NODE);
    back.succeed(&["up", "--yes"]);
    assert_same(&stand(NODE).0.account(), &fork.account());
    here.succeed(&["up", "--yes"]);
    is_unchanged(&here, "after the second run");
    assert_served(&aws, "after the second run");
}

/// Kills `up` after every changing call of a change. In each state, callers are served, and the next run completes the change, takes
/// it back, or removes the stack.
fn is_finished_after_each_kill(from: &str, to: &str, arguments: &[&str], least: usize) {
    let (aws, _) = stand(from);
    let here = workplace(&aws, to);
    let states = killed_after_each(&aws, &here, arguments, "*");
    assert!(states.len() >= least, "{} changing calls", states.len());
    let whole = counts(&aws.account());
    each(states, |nth, Killed { after, aws }| {
        let when = format!("{from} -> {to}, killed after {nth}, {after}");
        assert_served(&aws, &when);
        let here = workplace(&aws, to);
        match nth % 4 {
            0 => {
                here.succeed(&["down", "--yes", "--stack", "orders"]);
                assert_same(&TestAws::seeded().account(), &aws.account());
            }
            1 if from != to => {
                let back = workplace(&aws, from);
                back.succeed(&["up", "--yes"]);
                is_unchanged(&back, &when);
                assert_served(&aws, &when);
            }
            _ => {
                here.succeed(&["up", "--yes"]);
                assert_eq!(counts(&aws.account()), whole, "{when}");
                is_unchanged(&here, &when);
                assert_served(&aws, &when);
            }
        }
    });
}

#[test]
fn a_killed_change_to_a_serverless_cache_is_finished_by_the_next_run() {
    is_finished_after_each_kill(NODE, SERVERLESS, &["up", "--yes"], 15);
}

#[test]
fn a_killed_change_to_a_node_is_finished_by_the_next_run() {
    is_finished_after_each_kill(SERVERLESS, NODE, &["up", "--yes"], 15);
}

#[test]
fn a_killed_rotation_of_the_password_is_finished_by_the_next_run() {
    let rotate = ["up", "--yes", "--rotate-cache-token"];
    is_finished_after_each_kill(SERVERLESS, SERVERLESS, &rotate, 6);
}

#[test]
fn a_killed_removal_is_finished_by_the_next_one() {
    let (aws, here) = stand(SERVERLESS);
    let states = killed_after_each(&aws, &here, &["down", "--yes"], "elasticache");
    let deletions = ["DeleteServerlessCache", "DeleteUserGroup", "DeleteUser"];
    let made: Vec<_> = states.iter().map(|state| state.after.as_str()).collect();
    assert_eq!(made, deletions);
    each(states, |_, Killed { after, aws }| {
        workplace(&aws, SERVERLESS).succeed(&["down", "--yes"]);
        let left = counts(&aws.account());
        assert_eq!(left, counts(&TestAws::seeded().account()), "{after}");
    });
}

#[test]
fn the_password_is_rotated_while_the_cache_is_used_and_never_shown() {
    let (aws, here) = stand(SERVERLESS);
    let before = one(&aws.account(), "cache_users")["passwords"].clone();
    aws.check_log();
    let up = here.succeed(&["up", "--yes", "--rotate-cache-token", "-v"]);
    let given: Vec<_> = calls(&aws, "ModifyUser")
        .iter()
        .map(|call| call["Passwords"].clone())
        .collect();
    assert_eq!(given, [json!(["***", "***"]), json!(["***"])], "{given:?}");
    for told in ["secret/cache-auth-token", "cache-user/main"] {
        assert!(up.stderr.contains(told), "{told}: {}", up.stderr);
    }
    let account = aws.account();
    let after = &one(&account, "cache_users")["passwords"];
    assert_ne!(*after, before);
    let parameters = account["parameters"].to_string();
    assert!(
        !parameters.contains("cache-auth-token-former"),
        "{parameters}"
    );
    assert_served(&aws, "after the rotation");
    is_unchanged(&here, "after the rotation");
}

#[test]
fn each_call_of_a_life_with_both_kinds_fails_once() {
    let kinds = vec!["throttle", "500", "drop", "unreadable"];
    each(kinds, |_, kind| {
        let aws = TestAws::seeded();
        let before = aws.account();
        let faults =
            json!([{"mutating": true, "every": true, "service": "elasticache", "kind": kind}]);
        aws.post("faults", &faults);
        let here = workplace(&aws, SERVERLESS);
        here.succeed(&["up", "--yes"]);
        here.succeed(&["up", "--yes", "--rotate-cache-token"]);
        here.edit(SERVERLESS, NODE);
        here.succeed(&["up", "--yes"]);
        is_unchanged(&here, kind);
        here.edit(NODE, SERVERLESS);
        here.succeed(&["up", "--yes"]);
        is_unchanged(&here, kind);
        assert_served(&aws, kind);
        here.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    });
}

/// Slow states, answers without the members that AWS may leave out, and a listing of several pages.
#[test]
fn states_that_last_are_waited_for_and_absent_members_are_no_difference() {
    let aws = TestAws::seeded();
    let slow = json!({"serverless-cache": 0.4, "cache-user": 0.3, "cache-user-group": 0.3});
    aws.post("config", &json!({"delay": slow}));
    let here = workplace(&aws, SERVERLESS);
    here.succeed(&["up", "--yes"]);
    here.succeed(&["up", "--yes", "--rotate-cache-token"]);
    let omit = json!({
        "DescribeServerlessCaches": ["SubnetIds", "SecurityGroupIds", "MajorEngineVersion", "FullEngineVersion", "CacheUsageLimits"],
        "DescribeUsers": ["Authentication", "AccessString", "UserGroupIds"],
        "DescribeUserGroups": ["UserIds", "ServerlessCaches"],
    });
    aws.post("config", &json!({"omit": omit}));
    is_unchanged(&here, "without members");
    let begun = json!({"ServerlessCacheName": "threescale-gw-orders-cache", "Description": "threescale-gw stack orders"});
    aws.call("elasticache", "ModifyServerlessCache", begun);
    here.succeed(&["down", "--yes"]);
    assert_same(&TestAws::seeded().account(), &aws.account());
}

#[test]
fn a_serverless_cache_works_in_a_network_of_the_operator() {
    let aws = TestAws::seeded();
    let limits = json!({"eni_linger": 0.05, "quotas": {"vpcs": 10, "elastic_ips": 10}});
    aws.post("config", &limits);
    let own = own_network_in(&aws, "10.9").text;
    let start = moves::Start::of(aws, &own, |_| format!("# the network\n{SERVERLESS}"));
    let (created, own) = (
        format!("# the network\n{SERVERLESS}"),
        format!("{own}\n{SERVERLESS}"),
    );
    moves::moves(&start, &start.aws, &created, &own, 7);
    moves::moves(&start, &start.aws, &own, &created, 7);
}

#[test]
fn a_node_type_that_the_region_does_not_offer_is_refused_before_anything_is_created() {
    let aws = TestAws::seeded();
    let here = workplace(&aws, "cache: {node_type: cache.r99g.large}");
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    let told = "cache.node_type: ElastiCache offers no cache.r99g.large in us-east-1";
    assert!(up.stderr.contains(told), "{}", up.stderr);
    assert_eq!(aws.changes(), [""; 0]);
    let denied = json!([{"operation": "DescribeReservedCacheNodesOfferings", "kind": "deny"}]);
    aws.post("faults", &denied);
    here.edit("cache.r99g.large", "cache.t4g.micro");
    let plan = here.succeed(&["plan"]).stdout;
    let told =
        "whether the Region has the node type cache.t4g.micro could not be read and is not checked";
    assert!(plan.contains(told), "{plan}");
    aws.post("faults", &json!([]));
    here.succeed(&["up", "--yes"]);
    here.edit("cache.t4g.micro", "cache.r99g.large");
    let plan = here.run(&["plan"]);
    assert_eq!(plan.code, Some(4), "{}", plan.stderr);
}

#[test]
fn the_names_of_a_cache_that_another_owner_has_are_refused() {
    let (aws, here) = stand(SERVERLESS);
    let name = "threescale-gw-orders-cache";
    for (kind, of) in [
        ("user", "cache-user"),
        ("usergroup", "cache-user-group"),
        ("serverlesscache", "serverless-cache"),
    ] {
        let aws = aws.fork();
        let here_then = workplace(&aws, SERVERLESS);
        let arn = format!("arn:aws:elasticache:us-east-1:123456789012:{kind}:{name}");
        let tags = json!({"ResourceName": arn, "TagKeys": ["threescale-gw:stack"]});
        aws.call("elasticache", "RemoveTagsFromResource", tags);
        let plan = here_then.run(&["plan"]);
        assert_eq!(plan.code, Some(4), "{kind}: {}", plan.stderr);
        let told = format!("{of}/main cannot be created: {name} already exists");
        assert!(plan.stderr.contains(&told), "{}", plan.stderr);
    }
    is_unchanged(&here, "");
}

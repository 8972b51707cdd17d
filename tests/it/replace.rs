//! Changes to the configuration: which resources are updated in place, which are replaced, and that nothing of the
//! former state remains.

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::support::{
    TestAws, Workplace, artifact, artifact_of, assert_same, counts, eventually, standing,
};
use serde_json::{Value, json};

/// A change to the configuration: the edit, the expected action for each resource, and some of the reasons in the plan.
struct Change {
    edit: (&'static str, &'static str),
    actions: &'static [(&'static str, &'static str)],
    reasons: &'static [&'static str],
}

/// The planned action for each resource, except for unchanged resources.
fn actions(workplace: &Workplace) -> BTreeMap<String, String> {
    let plan = workplace.succeed(&["plan", "-o", "json"]).json();
    let resources = plan["resources"].as_array().expect("a list").iter();
    resources
        .filter(|resource| resource["action"] != "none")
        .map(|resource| {
            let text = |key: &str| resource[key].as_str().expect("text").to_owned();
            (text("id"), text("action"))
        })
        .collect()
}

/// The resources of the stack by logical ID, with the number of physical resources for each.
fn owned(account: &Value) -> BTreeMap<String, usize> {
    let mut owned = BTreeMap::new();
    let lists = account
        .as_object()
        .expect("an account")
        .values()
        .filter_map(Value::as_array);
    for item in lists.flatten() {
        let tags = &item["tags"];
        if let (Some(id), true) = (
            tags["threescale-gw:resource"].as_str(),
            tags["threescale-gw:stack"] == "orders",
        ) {
            *owned.entry(id.to_owned()).or_default() += 1;
        }
    }
    owned
}

impl Change {
    /// Makes the change to a deployed stack.
    #[track_caller]
    fn make(&self, workplace: &Workplace) {
        let (from, to) = self.edit;
        workplace.edit(from, to);
        let expected: BTreeMap<_, _> = self
            .actions
            .iter()
            .map(|(id, action)| ((*id).to_owned(), (*action).to_owned()))
            .collect();
        // Tags are not part of a function version.
        let expected = match from.starts_with("tags:") {
            true => expected,
            false => with_aliases(expected),
        };
        assert_eq!(actions(workplace), expected, "{to}");
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{to}");
        for reason in self.reasons {
            assert!(
                plan.stdout.contains(reason),
                "{to}: {reason:?} is not in\n{}",
                plan.stdout
            );
        }
        let up = workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(0), "{to}: {}", up.stderr);
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{to}: {}", plan.stdout);
    }
}

/// Makes the changes one after the other on one stack. At the end, the account must equal its state before the stack.
fn walk(setup: &[(&str, &str)], changes: &[Change]) {
    walk_on(&TestAws::seeded(), setup, changes);
}

fn walk_on(aws: &TestAws, setup: &[(&str, &str)], changes: &[Change]) {
    let before = aws.account();
    let workplace = Workplace::new(aws);
    for (from, to) in setup {
        workplace.edit(from, to);
    }
    workplace.succeed(&["up", "--yes"]);
    for change in changes {
        change.make(&workplace);
        let owned = owned(&aws.account());
        let twice = owned
            .iter()
            .find(|(id, n)| **n > 1 && *id != "api-attachment/main");
        assert_eq!(twice, None, "only the attachment has several parameters");
        aws.check_log();
    }
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// A change to a function publishes a new version, and its alias moves to that version.
fn with_aliases(mut expected: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for name in ["authorizer", "reporter"] {
        if expected.contains_key(&format!("lambda/{name}")) {
            expected.insert(format!("lambda-alias/{name}"), "update".to_owned());
        }
    }
    expected
}

const FUNCTIONS: [(&str, &str); 2] = [
    ("lambda/authorizer", "update"),
    ("lambda/reporter", "update"),
];
const CUT: &str = "forces replacement";

#[test]
fn what_can_be_changed_in_place_is() {
    walk(
        &[],
        &[
            Change {
                edit: (
                    "artifact: bootstrap.zip",
                    "artifact: bootstrap.zip, memory: 256",
                ),
                actions: &FUNCTIONS,
                reasons: &["memory: 128 MB -> 256 MB"],
            },
            Change {
                edit: ("memory: 256", "memory: 256, report_every: 5m"),
                actions: &[FUNCTIONS[0], FUNCTIONS[1], ("schedule/reporter", "update")],
                reasons: &["expression: rate(1 minute) -> rate(5 minutes)"],
            },
            Change {
                edit: ("memory: 256", "memory: 256, log_retention_days: 30"),
                actions: &[
                    ("log-group/authorizer", "update"),
                    ("log-group/reporter", "update"),
                ],
                reasons: &["14 days -> 30 days"],
            },
            Change {
                edit: (
                    "tags: {team: payments}",
                    "tags: {team: payments, cost: \"42\"}\ncache: {node_type: cache.t4g.small}",
                ),
                actions: &[
                    ("cache-subnet-group/main", "update"),
                    ("cache/main", "update"),
                    ("elastic-ip/a", "update"),
                    ("iam-role/authorizer", "update"),
                    ("internet-gateway/main", "update"),
                    FUNCTIONS[0],
                    FUNCTIONS[1],
                    ("log-group/authorizer", "update"),
                    ("log-group/reporter", "update"),
                    ("nat-gateway/a", "update"),
                    ("route-table/private", "update"),
                    ("route-table/public", "update"),
                    ("schedule/reporter", "update"),
                    ("security-group/authorizer", "update"),
                    ("security-group/cache", "update"),
                    ("subnet/private-a", "update"),
                    ("subnet/private-b", "update"),
                    ("subnet/public-a", "update"),
                    ("subnet/public-b", "update"),
                    ("vpc/main", "update"),
                ],
                reasons: &[
                    "node type: cache.t4g.micro -> cache.t4g.small",
                    "tag cost: (none) -> 42",
                ],
            },
            Change {
                edit: (
                    "node_type: cache.t4g.small",
                    "node_type: cache.t4g.small, replicas: 1",
                ),
                actions: &[("cache/main", "update")],
                reasons: &["replicas: 0 -> 1"],
            },
            Change {
                edit: ("replicas: 1", "replicas: 0"),
                actions: &[("cache/main", "update")],
                reasons: &["replicas: 1 -> 0"],
            },
            Change {
                edit: (
                    "cache: {node_type: cache.t4g.small, replicas: 0}",
                    "deletion_protection: true",
                ),
                actions: &[
                    ("cache/main", "update"),
                    ("parameter/deletion-protection", "create"),
                ],
                reasons: &["node type: cache.t4g.small -> cache.t4g.micro"],
            },
            Change {
                edit: ("deletion_protection: true", "deletion_protection: false"),
                actions: &[("parameter/deletion-protection", "delete")],
                reasons: &[],
            },
        ],
    );
}

#[test]
fn replicas_that_were_there_from_the_start_go_and_come() {
    walk(
        &[("authorizer:", "cache: {replicas: 2}\nauthorizer:")],
        &[
            Change {
                edit: ("replicas: 2", "replicas: 0"),
                actions: &[("cache/main", "update")],
                reasons: &["replicas: 2 -> 0"],
            },
            Change {
                edit: ("replicas: 0", "replicas: 1"),
                actions: &[("cache/main", "update")],
                reasons: &["replicas: 0 -> 1"],
            },
        ],
    );
}

#[test]
fn the_cache_is_replaced_for_what_it_cannot_change() {
    walk(
        &[(
            "authorizer:",
            "cache: {engine: redis, tls: true}\nauthorizer:",
        )],
        &[
            Change {
                edit: ("engine: redis", "engine: valkey"),
                actions: &[("cache/main", "update")],
                reasons: &["engine: redis -> valkey", "engine version: 7.1 -> 7.2"],
            },
            Change {
                edit: ("tls: true", "tls: false"),
                actions: &[
                    ("cache/main", "replace"),
                    ("parameter/cache-endpoint", "update"),
                    ("secret/cache-auth-token", "delete"),
                ],
                reasons: &["tls: true -> false", CUT],
            },
            Change {
                edit: ("engine: valkey, tls: false", "engine: redis, tls: true"),
                actions: &[
                    ("cache/main", "update"),
                    ("parameter/cache-endpoint", "update"),
                    ("secret/cache-auth-token", "create"),
                ],
                reasons: &["engine: valkey -> redis", "tls: false -> true"],
            },
        ],
    );
}

#[test]
fn the_network_is_made_anew_and_the_functions_move() {
    // Lambda keeps the functions' network interfaces for some time, and the subnets and security groups that they use
    // cannot be deleted before then.
    let aws = TestAws::seeded();
    aws.post(
        "config",
        &json!({"delay": 1, "eni_linger": 1, "role_delay": 1, "page_size": 2}),
    );
    walk_on(
        &aws,
        &[("authorizer:", "network: {cidr: 10.42.0.0/16}\nauthorizer:")],
        &[Change {
            edit: ("10.42.0.0/16", "10.43.0.0/16"),
            actions: &[
                ("cache-subnet-group/main", "replace"),
                ("cache/main", "replace"),
                ("internet-gateway/main", "replace"),
                FUNCTIONS[0],
                FUNCTIONS[1],
                ("nat-gateway/a", "replace"),
                ("parameter/cache-endpoint", "update"),
                ("route-table/private", "replace"),
                ("route-table/public", "replace"),
                ("security-group/authorizer", "replace"),
                ("security-group/cache", "replace"),
                ("subnet/private-a", "replace"),
                ("subnet/private-b", "replace"),
                ("subnet/public-a", "replace"),
                ("subnet/public-b", "replace"),
                ("vpc/main", "replace"),
            ],
            reasons: &["cidr: 10.42.0.0/16 -> 10.43.0.0/16", CUT],
        }],
    );
}

#[test]
fn zones_come_and_go() {
    walk(
        &[("authorizer:", "network: {zones: 2}\nauthorizer:")],
        &[
            // A third zone makes every subnet smaller.
            Change {
                edit: ("zones: 2", "zones: 3"),
                actions: &[
                    ("cache-subnet-group/main", "replace"),
                    ("cache/main", "replace"),
                    FUNCTIONS[0],
                    FUNCTIONS[1],
                    ("nat-gateway/a", "replace"),
                    ("parameter/cache-endpoint", "update"),
                    ("route-table/private", "update"),
                    ("route-table/public", "update"),
                    ("subnet/private-a", "replace"),
                    ("subnet/private-b", "replace"),
                    ("subnet/private-c", "create"),
                    ("subnet/public-a", "replace"),
                    ("subnet/public-b", "replace"),
                    ("subnet/public-c", "create"),
                ],
                reasons: &["cidr: 10.42.0.0/18 -> 10.42.0.0/19"],
            },
            Change {
                edit: ("zones: 3", "zones: 2"),
                actions: &[
                    ("cache-subnet-group/main", "replace"),
                    ("cache/main", "replace"),
                    FUNCTIONS[0],
                    FUNCTIONS[1],
                    ("nat-gateway/a", "replace"),
                    ("parameter/cache-endpoint", "update"),
                    ("route-table/private", "update"),
                    ("route-table/public", "update"),
                    ("subnet/private-a", "replace"),
                    ("subnet/private-b", "replace"),
                    ("subnet/private-c", "delete"),
                    ("subnet/public-a", "replace"),
                    ("subnet/public-b", "replace"),
                    ("subnet/public-c", "delete"),
                ],
                reasons: &["cidr: 10.42.0.0/19 -> 10.42.0.0/18"],
            },
        ],
    );
}

#[test]
fn nat_gateways_come_and_go() {
    walk(
        &[("authorizer:", "network: {nat: single}\nauthorizer:")],
        &[
            Change {
                edit: ("nat: single", "nat: per-zone"),
                actions: &[
                    ("elastic-ip/b", "create"),
                    ("nat-gateway/b", "create"),
                    ("route-table/private", "delete"),
                    ("route-table/private-a", "create"),
                    ("route-table/private-b", "create"),
                ],
                reasons: &[],
            },
            Change {
                edit: ("nat: per-zone", "nat: single"),
                actions: &[
                    ("elastic-ip/b", "delete"),
                    ("nat-gateway/b", "delete"),
                    ("route-table/private", "create"),
                    ("route-table/private-a", "delete"),
                    ("route-table/private-b", "delete"),
                ],
                reasons: &[],
            },
        ],
    );
}

/// The program of [`artifact`], marked as a program for arm64.
fn artifact_for_arm64() -> Vec<u8> {
    let zip = std::io::Cursor::new(artifact(3));
    let mut program = Vec::new();
    let mut zip = zip::ZipArchive::new(zip).expect("a zip");
    zip.by_name("bootstrap")
        .expect("a program")
        .read_to_end(&mut program)
        .expect("its bytes");
    // The machine field of the ELF header.
    program[18] = 183;
    artifact_of(&program)
}

fn function(aws: &TestAws, name: &str) -> Value {
    let account = aws.account();
    let functions = account["functions"].as_array().expect("a list");
    let name = format!("threescale-gw-orders-{name}");
    functions
        .iter()
        .find(|function| function["FunctionName"] == name.as_str())
        .expect("the function")
        .clone()
}

#[test]
fn the_functions_get_another_architecture_and_other_code() {
    let before = TestAws::seeded().account();
    let (aws, workplace) = standing();

    // An artifact for another architecture is refused before any change.
    workplace.edit("artifact:", "architecture: arm64, artifact:");
    aws.check_log();
    let wrong = workplace.run(&["up", "--yes"]);
    assert!(matches!(wrong.code, Some(2 | 4)), "{}", wrong.stderr);
    assert!(aws.changes().is_empty());
    workplace.write("bootstrap.zip", &artifact_for_arm64());
    assert_eq!(
        actions(&workplace),
        with_aliases(
            FUNCTIONS
                .map(|(id, action)| (id.to_owned(), action.to_owned()))
                .into()
        )
    );
    let plan = workplace.succeed(&["plan"]);
    assert!(
        plan.stdout.contains("architecture: x86_64 -> arm64"),
        "{}",
        plan.stdout
    );
    workplace.succeed(&["up", "--yes"]);
    for name in ["authorizer", "reporter"] {
        assert_eq!(function(&aws, name)["Architectures"], json!(["arm64"]));
    }
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));

    workplace.edit("architecture: arm64, artifact:", "artifact:");
    workplace.write("bootstrap.zip", &artifact(4));
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn only_the_code_is_replaced_when_that_is_asked_for() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let too_early = workplace.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(too_early.code, Some(4), "{}", too_early.stderr);
    assert!(
        too_early.stderr.contains("the functions are not there yet"),
        "{}",
        too_early.stderr
    );
    assert!(aws.changes().is_empty());

    workplace.succeed(&["up", "--yes"]);
    let code = |name: &str| function(&aws, name)["code_sha256"].clone();
    let old = [code("authorizer"), code("reporter")];
    // Another resource differs too. `--only` leaves it for a full `up`.
    aws.call(
        "events",
        "DisableRule",
        json!({"Name": "threescale-gw-orders-reporter"}),
    );
    workplace.write("bootstrap.zip", &artifact(5));
    aws.check_log();
    let up = workplace.succeed(&["up", "--yes", "--only", "authorizer"]);
    assert!(up.stderr.contains("done: 4 updated"), "{}", up.stderr);
    let new = [code("authorizer"), code("reporter")];
    assert!(new[0] == new[1] && new[0] != old[0], "{new:?}");
    let changes = aws.changes();
    let others = changes.iter().filter(|operation| {
        ![
            "PutParameter",
            "DeleteParameter",
            "UpdateFunctionCode",
            "TagResource",
            "PublishVersion",
            "UpdateAlias",
        ]
        .contains(&operation.as_str())
    });
    assert_eq!(others.count(), 0, "{changes:?}");
    let again = workplace.succeed(&["up", "--yes", "--only", "authorizer"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);

    assert_eq!(
        actions(&workplace),
        [("schedule/reporter".to_owned(), "update".to_owned())].into()
    );
    workplace.succeed(&["up", "--yes"]);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn the_credential_moves_to_the_query() {
    walk(
        &[(
            "service_token: the-service-token",
            "service_token: the-service-token, credentials: {in: header, name: apikey}",
        )],
        &[Change {
            edit: ("in: header", "in: query"),
            actions: &[
                ("api-authorizer/main", "update"),
                ("api-attachment/main", "update"),
                FUNCTIONS[0],
                FUNCTIONS[1],
            ],
            reasons: &[
                "identity source: method.request.header.apikey -> method.request.querystring.apikey",
                "authorizer in the stage: other settings -> as configured",
            ],
        }],
    );
}

#[test]
fn a_replacement_that_is_killed_is_finished_by_the_next_run() {
    let aws = TestAws::start();
    let mut nth = 1;
    let mut ended = false;
    while !ended {
        aws.post("reset", &json!({}));
        aws.seed();
        let before = aws.account();
        let workplace = Workplace::new(&aws);
        workplace.edit("authorizer:", "network: {cidr: 10.42.0.0/16}\nauthorizer:");
        workplace.succeed(&["up", "--yes"]);
        let whole = aws.account();
        workplace.edit("10.42.0.0/16", "10.43.0.0/16");
        aws.post(
            "faults",
            &json!([{"mutating": true, "nth": nth, "kind": "hold", "freeze": true}]),
        );
        let mut child = workplace.start(&["up", "--yes"]);
        ended = eventually("the held call or the end", || {
            if !aws.get("held?timeout=0.2")["held"].is_null() {
                return Some(false);
            }
            child.try_wait().expect("a status").map(|_| true)
        });
        child.kill().expect("a signal");
        child.wait().expect("its end");
        aws.post("release", &json!({}));
        aws.post("faults", &json!([]));

        // Every second time, `up` finishes the change. Otherwise, `down` deletes everything.
        if nth % 2 == 1 {
            let up = workplace.run(&["up", "--yes"]);
            assert_eq!(up.code, Some(0), "killed after call {nth}: {}", up.stderr);
            let plan = workplace.run(&["plan", "--exit-code"]);
            assert_eq!(
                plan.code,
                Some(0),
                "killed after call {nth}: {}",
                plan.stdout
            );
            // Of the versions published in between, the previous one remains, so versions are not compared.
            let but_versions = |account| {
                let mut counts = counts(account);
                counts.retain(|path, _| !path.starts_with("/functions/versions"));
                counts
            };
            let account = aws.account();
            assert_eq!(
                but_versions(&account),
                but_versions(&whole),
                "killed after call {nth}"
            );
        }
        let down = workplace.run(&["down", "--yes", "--stack", "orders"]);
        assert_eq!(
            down.code,
            Some(0),
            "killed after call {nth}: {}",
            down.stderr
        );
        assert_same(&before, &aws.account());
        aws.check_log();
        nth += 11;
    }
    assert!(nth > 60, "{nth}");
}

#[test]
fn what_may_invoke_a_function_that_is_made_anew_may_do_so_again() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let policy = |name: &str| -> Value {
        let account = aws.account();
        let functions = account["functions"].as_array().expect("a list");
        let function = functions
            .iter()
            .find(|function| function["FunctionName"] == name);
        function.expect("the function")["aliases"][0]["policy"].clone()
    };
    let reporter = "threescale-gw-orders-reporter";
    workplace.succeed(&["up", "--yes"]);
    let whole = policy(reporter);
    workplace.succeed(&["down", "--yes"]);

    let failed = json!({"state": "Failed", "code": "EniLimitExceeded", "reason": "too many"});
    aws.post("config", &json!({"outcomes": {"function": failed}}));
    assert_eq!(workplace.run(&["up", "--yes"]).code, Some(5));
    aws.post("config", &json!({"outcomes": {"function": null}}));
    // A run can fail after it added the function's permissions.
    aws.call(
        "lambda",
        "CreateAlias",
        json!({"FunctionName": reporter, "Name": "live", "FunctionVersion": "$LATEST"}),
    );
    let statement = json!({
        "FunctionName": reporter, "Qualifier": "live", "StatementId": whole[0]["Sid"], "Action": whole[0]["Action"],
        "Principal": whole[0]["Principal"]["Service"],
        "SourceArn": whole[0]["Condition"]["ArnLike"]["AWS:SourceArn"],
    });
    aws.call("lambda", "AddPermission", statement);
    assert_eq!(policy(reporter), whole);
    let planned = actions(&workplace);
    assert_eq!(planned["lambda/reporter"], "replace");
    assert_eq!(planned["lambda-permission/schedule"], "update");
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(policy(reporter), whole);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
}

//! A stack on several stages of one API: interrupted runs, and what others do to one of the stages.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use crate::support::http_api::{self, account, id, rich, stage_of, workplace};
use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{self, add_stage, assert_mentions, publish};
use crate::support::{Run, TestAws, Workplace, artifact, assert_same, eventually, former};

const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";
const UP: [&str; 4] = ["up", "--yes", "--settle", "0s"];
const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];
const CLOSING: [&str; 5] = ["down", "--yes", "--stack", "orders", "--keep-protected"];
const STAGES: [&str; 2] = ["prod", "dev"];

/// The `api` line for stages of the REST API.
fn of_rest(stages: &str) -> String {
    format!("api: {{name: orders-api, stage: {stages}, except: [\"GET /health\"]}}")
}

/// A REST API with the stages prod and dev.
fn rest() -> (TestAws, String) {
    let (aws, id) = rest_api::account();
    add_stage(&aws, &id);
    (aws, id)
}

/// The deployment that a stage of the REST API serves.
fn deployment(aws: &TestAws, id: &str, stage: &str) -> Value {
    rest_api::stage_of(&aws.account(), id, stage)["deploymentId"].clone()
}

/// Two stages of an HTTP API that deploy automatically.
fn automatic() -> (TestAws, String) {
    let mut seed = rich("prod", true);
    seed["stages"] =
        json!([{"name": "prod", "auto_deploy": true}, {"name": "dev", "auto_deploy": true}]);
    let aws = account(&seed);
    let id = id(&aws.account());
    (aws, id)
}

/// A folder with both stages of that API. `narrow`: one route is protected.
fn on_both(aws: &TestAws, narrow: bool) -> Workplace {
    let here = workplace(aws, "[prod, dev]");
    if narrow {
        here.edit("except: [\"GET /health\"]", "protect: [\"GET /orders\"]");
    }
    here
}

fn served(aws: &TestAws, stage: &str, route: &str) -> String {
    http_api::served(&aws.account(), stage)[route].clone()
}

fn deploys_automatically(aws: &TestAws, stage: &str) -> bool {
    stage_of(&aws.account(), stage)["AutoDeploy"] == true
}

/// Waits until a call is held.
fn until_held(aws: &TestAws) {
    eventually("the held call", || {
        (!aws.get("held?timeout=1")["held"].is_null()).then_some(())
    });
}

/// Kills a run right after its call of this number that has this name.
fn kill(aws: &TestAws, here: &Workplace, operation: &str, nth: usize) {
    let rule = json!({"operation": operation, "nth": nth, "kind": "hold", "freeze": true});
    aws.post("faults", &json!([rule]));
    let mut child = here.start(&UP);
    until_held(aws);
    child.kill().expect("a signal");
    child.wait().expect("its end");
    aws.post("release", &json!({}));
    aws.post("faults", &json!([]));
}

/// What a former `down --keep-protected` has left is what each stage served before the stack. One that is interrupted later does
/// not delete it.
#[test]
fn a_reverted_down_keeps_the_former_deployment_of_each_stage() {
    let (aws, id) = rest();
    let api = "api: {name: orders-api, stage: [prod, dev], protect: [\"GET /orders\"]}";
    let here = rest_api::workplace(&aws, api);
    here.succeed(&UP);
    here.succeed(&CLOSING);
    let former = STAGES.map(|stage| deployment(&aws, &id, stage));
    here.succeed(&UP);
    let mut states = killed_after_each(&aws, &here, &CLOSING, "apigateway");
    // After the last one, only the rest of the stack is left.
    states.truncate(states.len().saturating_sub(2));
    assert!(states.len() >= 4, "{}", states.len());
    each(states, |nth, killed| {
        let when = format!("killed after {nth}, {}", killed.after);
        let here = rest_api::workplace(&killed.aws, api);
        here.succeed(&UP);
        let all = rest_api::rest_api(&killed.aws.account(), &id)["deployments"].clone();
        let all = all.as_array().expect("a list");
        let closed = all.iter().filter(|found| {
            let description = found["description"].as_str().unwrap_or_default();
            description.ends_with("keeps closed")
        });
        assert_eq!(closed.count(), 2, "{when}: {all:?}");
        here.succeed(&["rollback"]);
        let now = STAGES.map(|stage| deployment(&killed.aws, &id, stage));
        assert_eq!(now, former, "{when}");
    });
}

/// A stage that others have deployed since would keep the authorizer, because the other stages keep it in the draft.
#[test]
fn a_stage_whose_former_deployment_cannot_be_restored_does_not_leave_the_list() {
    let (aws, id) = rest();
    let before = aws.account();
    let first = deployment(&aws, &id, "prod");
    let case = |why: &str, happen: &dyn Fn(&TestAws, &Workplace)| {
        for stages in ["[prod, dev]", "dev"] {
            let aws = aws.fork();
            let here = rest_api::workplace(&aws, &of_rest(stages));
            happen(&aws, &here);
            let protected = aws.account();
            let less = rest_api::workplace(&aws, &of_rest("prod"));
            for command in [&["plan"][..], &UP] {
                let refused = less.run(command);
                assert_eq!(refused.code, Some(4), "{stages}: {}", refused.stderr);
                let texts = ["stage dev of REST API", why, "`threescale-gw down`"];
                assert_mentions(&refused, &texts);
            }
            let refused = less.run(&["up", "--yes", "-o", "json"]).lines();
            let codes = format!("{refused:?}");
            assert!(codes.contains("attached-to-other-stage"), "{codes}");
            assert_same(&protected, &aws.account());
            less.succeed(&DOWN);
            for stage in STAGES {
                let served = rest_api::served(&aws.account(), &id, stage);
                assert!(served.values().all(|words| !words.contains("threescale")));
            }
            assert_eq!(
                rest_api::draft(&aws.account(), &id)["GET /orders"],
                rest_api::draft(&before, &id)["GET /orders"]
            );
            less.succeed(&["up", "--yes", "--publish-pending"]);
            assert_eq!(
                rest_api::served(&aws.account(), &id, "dev")["GET /orders"],
                "NONE"
            );
        }
    };
    case("another user has deployed it since", &|aws, here| {
        here.succeed(&UP);
        publish(aws, &id, "dev");
    });
    case(
        "were published with this stack's deployment",
        &|aws, here| {
            let iam = [("/authorizationType", "AWS_IAM")];
            rest_api::change(aws, &id, "GET", "/health", &iam);
            here.succeed(&["up", "--yes", "--publish-pending"]);
        },
    );
    case("no longer exists", &|aws, here| {
        // Then only dev serves the first one.
        publish(aws, &id, "prod");
        here.succeed(&UP);
        let gone = json!({"restApiId": id, "deploymentId": first});
        aws.call("apigateway", "DeleteDeployment", gone);
    });
}

/// The same if others deploy the stage after the plan: nothing is deployed, and the next run says why.
/// A run was killed after it had recorded that it attaches the stack to dev, and others deployed the protected draft to dev.
#[test]
fn a_stage_that_only_others_have_deployed_is_restored_before_the_authorizer_is_deleted() {
    let (aws, id) = rest();
    let before = aws.account();
    let grown = of_rest("[prod, dev]");
    rest_api::workplace(&aws, &of_rest("prod")).succeed(&UP);
    let head = format!("/threescale-gw/orders/attachment/{id}/dev/head");
    let is_recorded = |aws: &TestAws| {
        let parameters = aws.account()["parameters"].clone();
        let mut parameters = parameters.as_array().expect("a list").iter();
        parameters.any(|parameter| parameter["name"] == *head)
    };
    let killed = (1..6).find_map(|nth| {
        let aws = aws.fork();
        kill(
            &aws,
            &rest_api::workplace(&aws, &grown),
            "PutParameter",
            nth,
        );
        is_recorded(&aws).then_some(aws)
    });
    let aws = killed.expect("a record of dev");
    publish(&aws, &id, "dev");
    let here = rest_api::workplace(&aws, &grown);
    here.succeed(&DOWN);
    let open = rest_api::served(&before, &id, "dev");
    assert_eq!(rest_api::served(&aws.account(), &id, "dev"), open);
    assert_eq!(
        rest_api::draft(&before, &id),
        rest_api::draft(&aws.account(), &id)
    );
    assert_eq!(aws.account()["parameters"], before["parameters"]);
}

#[test]
fn a_stage_that_others_deploy_while_it_leaves_the_list_stays_as_it_is() {
    let (aws, id) = rest();
    rest_api::workplace(&aws, &of_rest("[prod, dev]")).succeed(&UP);
    let less = rest_api::workplace(&aws, &of_rest("prod"));
    // The lock of the stack, and then that of the API.
    let rule = json!({"operation": "PutParameter", "nth": 2, "kind": "hold"});
    let mut theirs = None;
    let up = less.run_with(&aws, &UP, &rule, || {
        theirs = Some(publish(&aws, &id, "dev"))
    });
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "stage dev of REST API",
            "another user has deployed it since",
        ],
    );
    assert_eq!(deployment(&aws, &id, "dev"), json!(theirs));
    let again = less.run(&UP);
    assert_eq!(again.code, Some(4), "{}", again.stderr);
    rest_api::workplace(&aws, &of_rest("[prod, dev]")).succeed(&UP);
}

/// A stage that is restored is done, and does not wait for the others.
#[test]
fn down_is_done_with_one_stage_before_it_is_with_the_other() {
    let (rest, _) = rest();
    let here = rest_api::workplace(&rest, &of_rest("[prod, dev]"));
    let (http, _) = automatic();
    let there = on_both(&http, false);
    for (aws, here, operation, nth) in [
        // Each stage is moved with one call.
        (&rest, &here, "UpdateStage", 2),
        // Both are frozen and moved, and one is thawed, before the other one is.
        (&http, &there, "UpdateStage", 6),
    ] {
        let before = aws.account();
        here.succeed(&UP);
        let rule = json!({"operation": operation, "nth": nth, "kind": "hold"});
        aws.post("faults", &json!([rule]));
        let down = ["down", "--yes", "--stack", "orders", "-o", "json"];
        let mut child = here.start(&down);
        until_held(aws);
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut events = lines.map(|line| line.expect("a line"));
        let is_done = |line: &String| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            event["event"] == "finished" && event["kind"] == "api-attachment"
        };
        assert!(events.any(|line| is_done(&line)));
        assert!(!aws.get("held?timeout=0")["held"].is_null(), "{operation}");
        aws.post("release", &json!({}));
        assert!(events.any(|line| is_done(&line)));
        let run = Run::of(child.wait_with_output().expect("its end"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        aws.post("faults", &json!([]));
        assert_same(
            &http_api::comparable(&before),
            &http_api::comparable(&aws.account()),
        );
    }
}

/// After one stage is moved back, another one that a killed run has left frozen would serve the draft, which is not verified.
#[test]
fn a_failed_run_for_the_authorizer_alone_leaves_the_draft_undeployed() {
    let (aws, _) = automatic();
    on_both(&aws, true).succeed(&UP);
    let here = on_both(&aws, false);
    // Both stages are frozen, and then one is moved to the new deployment.
    kill(&aws, &here, "UpdateStage", 3);
    let moved = STAGES.map(|stage| served(&aws, stage, "POST /orders") == OURS);
    assert_eq!(moved.iter().filter(|moved| **moved).count(), 1, "{moved:?}");
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    here.write("bootstrap.zip", &artifact(1));
    let only = here.run(&["up", "--yes", "--only", "authorizer", "--settle", "0s"]);
    assert_eq!(only.code, Some(1), "{}", only.stderr);
    assert_mentions(&only, &["is rolled back to deployment"]);
    for stage in STAGES {
        assert_eq!(served(&aws, stage, "POST /orders"), "NONE", "{stage}");
        assert_eq!(served(&aws, stage, "GET /orders"), OURS, "{stage}");
        assert!(!deploys_automatically(&aws, stage), "{stage}");
    }
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&UP);
    for stage in STAGES {
        assert_eq!(served(&aws, stage, "POST /orders"), OURS, "{stage}");
        assert!(deploys_automatically(&aws, stage), "{stage}");
    }
}

/// Another user turns automatic deployment of a stage on after a run was killed, which deploys half of its changes. The next run
/// turns it off again, and is killed, too: what the stage serves is still not verified.
#[test]
fn what_others_have_deployed_between_two_killed_runs_is_not_verified() {
    let (aws, id) = automatic();
    on_both(&aws, true).succeed(&UP);
    let here = on_both(&aws, false);
    kill(&aws, &here, "UpdateRoute", 1);
    let on = json!({"ApiId": id, "StageName": "prod", "AutoDeploy": true});
    aws.call("apigatewayv2", "UpdateStage", on);
    kill(&aws, &here, "UpdateStage", 1);
    assert!(!deploys_automatically(&aws, "prod"));
    let status = here.run(&["status", "--no-deep", "-o", "json"]).json();
    let stages = status["api"]["stages"].as_array().expect("a list");
    let verified: Vec<_> = stages
        .iter()
        .map(|stage| (stage["stage"].clone(), stage["verified"].clone()))
        .collect();
    assert_eq!(
        verified,
        [(json!("prod"), json!(false)), (json!("dev"), json!(true))]
    );
    here.succeed(&UP);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
}

/// Automatic deployment publishes the edits of others, and that fails for one of the stages: both are told.
#[test]
fn a_failed_automatic_deployment_does_not_hide_what_is_published() {
    let (aws, id) = automatic();
    let here = on_both(&aws, false);
    // Both stages are frozen, and the second one is moved.
    let rule =
        json!({"service": "apigatewayv2", "operation": "UpdateStage", "nth": 4, "kind": "hold"});
    let up = here.run_with(&aws, &UP, &rule, || {
        let theirs = json!({"ApiId": id, "RouteKey": "OPTIONS /theirs"});
        aws.call("apigatewayv2", "CreateRoute", theirs);
        let failure = json!({"status": "FAILED", "message": "No integration.", "automatic": true});
        aws.post("config", &json!({"outcomes": {"deployment": failure}}));
    });
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    for stage in STAGES {
        let published = format!(
            "automatic deployment of stage {stage} is on again, which published changes of others: OPTIONS /theirs is new"
        );
        assert_mentions(&up, &[&published]);
        assert_eq!(served(&aws, stage, "GET /orders"), OURS, "{stage}");
    }
    assert_mentions(
        &up,
        &[
            "the last automatic deployment of stage prod",
            "No integration",
        ],
    );
}

/// A stage that cannot be moved does not keep the others from being rolled back.
#[test]
fn a_rollback_goes_on_after_a_stage_that_cannot_be_moved() {
    let (aws, id) = rest();
    let here = rest_api::workplace(&aws, &of_rest("[prod, dev]"));
    here.succeed(&UP);
    for nth in 1..=2 {
        let aws = aws.fork();
        let here = rest_api::workplace(&aws, &of_rest("[prod, dev]"));
        let deny = json!([{"operation": "UpdateStage", "nth": nth, "kind": "deny"}]);
        aws.post("faults", &deny);
        let rollback = here.run(&["rollback"]);
        assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
        let is_open =
            |stage: &&str| rest_api::served(&aws.account(), &id, stage)["GET /orders"] == "NONE";
        let open: Vec<_> = STAGES.into_iter().filter(is_open).collect();
        let [open] = open[..] else {
            panic!("{open:?} are open");
        };
        let stuck = STAGES.into_iter().find(|stage| *stage != open);
        let stuck = format!("stage {} of API {id}: ", stuck.expect("another stage"));
        let moved = format!("rolled back stage {open} of API {id}");
        assert_mentions(&rollback, &[&stuck, &moved]);
        here.succeed(&["rollback"]);
        assert!(STAGES.iter().all(is_open));
    }
}

/// A stack of a release without aliases, which knows one stage, becomes one of several stages.
#[test]
fn a_stack_of_the_release_before_aliases_gets_a_second_stage() {
    const GOOD: &str = "a-good-key";
    let (aws, id) = rest();
    aws.post("config", &json!({"valid_keys": [GOOD]}));
    rest_api::workplace(&aws, &of_rest("prod")).succeed(&UP);
    former::make(&aws, &id);
    for stages in ["[dev, prod]", "[prod, dev]"] {
        let aws = aws.fork();
        let path = format!("{id}/prod/orders");
        let watch = json!([{"path": path, "headers": {"apikey": GOOD}}]);
        aws.post("config", &json!({"watch": watch}));
        let here = rest_api::workplace(&aws, &of_rest(stages));
        let up = here.succeed(&UP);
        assert_mentions(&up, &["first it is moved to the alias"]);
        let watched = aws.get("watched");
        let watched = watched.as_array().expect("a list");
        assert!(watched.len() >= 10, "{watched:?}");
        for seen in watched {
            assert_eq!(seen["statuses"], json!([200]), "{stages}: {seen}");
        }
        for stage in STAGES {
            let served = rest_api::served(&aws.account(), &id, stage);
            assert!(
                served["GET /orders"].starts_with(OURS),
                "{stages}: {served:?}"
            );
        }
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{stages}: {}", plan.stdout);
        here.succeed(&DOWN);
    }
}

//! Two stacks on one API: only one of them works on the draft at a time.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr};

use crate::support::rest_api::{
    account, add_stage, assert_mentions, change, draft, ours, served, stage_of, workplace,
};
use crate::support::{Run, TestAws, Workplace, assert_same};
use serde_json::{Value, json};

const FIRST: &str = r#"api: {name: orders-api, stage: prod, protect: ["GET /orders"]}"#;
const WAITS: &str = "waiting until that run has finished its work on the API";

/// An API with the stages prod and dev, and a stack for each of them.
fn stacks() -> (TestAws, String, Workplace, Workplace) {
    let (aws, id) = account();
    add_stage(&aws, &id);
    let one = workplace(&aws, FIRST);
    let two = workplace(
        &aws,
        r#"api: {name: orders-api, stage: dev, protect: ["POST /orders"]}"#,
    );
    two.edit(
        "stack: orders",
        "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
    );
    (aws, id, one, two)
}

/// A run whose call of this operation is held before it is carried out.
fn held_before(aws: &TestAws, here: &Workplace, arguments: &[&str], operation: &str) -> Child {
    let rule = json!({"operation": operation, "kind": "hold-before"});
    aws.post("faults", &json!([rule]));
    let child = here.start(arguments);
    let held = aws.get("held?timeout=60");
    assert_ne!(held["held"], Value::Null, "{operation} is not called");
    aws.post("faults", &json!([]));
    child
}

/// A run that waits for the API, and for whom it says that it waits.
fn waiting(here: &Workplace, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>, String) {
    let mut child = here.start(arguments);
    let mut lines = BufReader::new(child.stderr.take().expect("its errors")).lines();
    let said = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains(WAITS));
    (child, lines, said.expect("it waits"))
}

fn ended(child: Child) -> Run {
    Run::of(child.wait_with_output().expect("its end"))
}

/// The locks of APIs in the account.
fn api_locks(aws: &TestAws) -> Vec<String> {
    let account = aws.account();
    let parameters = account["parameters"].as_array().expect("a list");
    let names = parameters.iter().filter_map(|it| it["name"].as_str());
    names
        .filter(|name| name.starts_with("/threescale-gw/_apis/"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn one_stack_does_not_touch_the_api_while_another_works_on_it() {
    let (aws, id, one, two) = stacks();
    let before = aws.account();
    one.succeed(&["up", "--yes"]);
    assert_eq!(api_locks(&aws), [""; 0]);

    // The second stack has reset the method of the first one for its own deployment.
    let deploying = held_before(&aws, &two, &["up", "--yes"], "CreateDeployment");
    assert_eq!(api_locks(&aws), [format!("/threescale-gw/_apis/{id}/lock")]);
    let half_way = draft(&aws.account(), &id);
    assert_eq!(half_way["GET /orders"], "NONE");
    one.edit(
        r#"protect: ["GET /orders"]"#,
        r#"protect: ["GET /orders", "GET /orders/{id}"]"#,
    );
    let (updating, lines, said) = waiting(&one, &["up", "--yes"]);
    let names = format!("API {id} is locked by stack partners: ");
    assert!(said.contains(&names), "{said}");
    assert_eq!(draft(&aws.account(), &id), half_way);
    aws.post("release", &json!({}));
    let deployed = ended(deploying);
    assert_eq!(deployed.code, Some(0), "{}", deployed.stderr);
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(ended(updating).code, Some(0), "{rest:?}");
    let after = aws.account();
    for method in ["GET /orders", "GET /orders/{id}"] {
        assert_eq!(served(&after, &id, "prod")[method], ours());
        assert_eq!(served(&after, &id, "dev")[method], "NONE");
        assert_eq!(draft(&after, &id)[method], ours());
    }
    for stack in [&one, &two] {
        let plan = stack.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    }

    // A rollback and the removal of a stack.
    let dev = stage_of(&aws.account(), &id, "dev")["deploymentId"].clone();
    let restoring = held_before(&aws, &one, &["down", "--yes"], "UpdateStage");
    let (moving, lines, said) = waiting(&two, &["rollback"]);
    assert!(said.contains("is locked by stack orders: "), "{said}");
    assert_eq!(stage_of(&aws.account(), &id, "dev")["deploymentId"], dev);
    aws.post("release", &json!({}));
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(ended(moving).code, Some(0), "{rest:?}");
    assert_ne!(stage_of(&aws.account(), &id, "dev")["deploymentId"], dev);
    let restored = ended(restoring);
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_eq!(api_locks(&aws), [""; 0]);

    // And two removals.
    two.succeed(&["up", "--yes"]);
    one.succeed(&["up", "--yes"]);
    let restoring = held_before(&aws, &one, &["down", "--yes"], "UpdateStage");
    let (removing, lines, _) = waiting(&two, &["down", "--yes"]);
    assert!(
        draft(&aws.account(), &id)["POST /orders"].contains("partners"),
        "the method is protected"
    );
    aws.post("release", &json!({}));
    assert_eq!(ended(restoring).code, Some(0));
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(ended(removing).code, Some(0), "{rest:?}");
    assert_same(&before, &aws.account());
}

#[test]
fn the_work_of_a_killed_run_on_the_api_is_taken_over() {
    let (aws, id, one, two) = stacks();
    let before = aws.account();
    one.succeed(&["up", "--yes"]);
    let mut killed = held_before(&aws, &two, &["up", "--yes"], "CreateDeployment");
    killed.kill().expect("a signal");
    ended(killed);
    aws.post("release", &json!({}));
    assert_eq!(api_locks(&aws).len(), 1);
    one.edit(
        r#"protect: ["GET /orders"]"#,
        r#"protect: ["GET /orders", "GET /orders/{id}"]"#,
    );
    let up = one.succeed(&["up", "--yes"]);
    assert_mentions(&up, &["took over the expired lock of stack partners: "]);
    assert_eq!(api_locks(&aws), [""; 0]);
    two.succeed(&["up", "--yes"]);
    for stack in [&one, &two] {
        let plan = stack.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    }
    assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
    two.succeed(&["down", "--yes"]);
    one.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// The lock of the API, as a run of the stack `partners` on another machine holds it.
fn locked(aws: &TestAws, id: &str) -> String {
    let name = format!("/threescale-gw/_apis/{id}/lock");
    let value = json!({
        "token": "0123456789abcdef", "owner": "ann", "host": "build-7", "pid": 4711, "boot": "0", "stack": "partners",
        "since": "2026-01-02T03:04:05Z", "expires": "2999-01-01T00:00:00Z",
    });
    let parameters = json!({"Name": name, "Value": value.to_string(), "Type": "String"});
    aws.call("ssm", "PutParameter", parameters);
    name
}

#[test]
fn a_run_that_waits_in_vain_for_another_stack_says_whether_it_has_changed_anything() {
    let (aws, id) = account();
    let here = workplace(&aws, FIRST);
    let before = aws.account();
    let said = format!("API {id} is locked by stack partners: ");
    let no_time = ["--lock-timeout", "0s"];
    let run_of = |command: &'static str| [&[command, "--yes"][..], &no_time].concat();

    // A new stack creates its other resources first.
    let lock = locked(&aws, &id);
    let up = here.run(&run_of("up"));
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    assert_mentions(&up, &[&said, "run the same command again to resume"]);
    let after = aws.account();
    assert_eq!(draft(&after, &id), draft(&before, &id));
    aws.call("ssm", "DeleteParameter", json!({"Name": lock}));
    here.succeed(&["up", "--yes"]);

    let lock = locked(&aws, &id);
    here.edit(
        r#"protect: ["GET /orders"]"#,
        r#"protect: ["GET /orders", "GET /orders/{id}"]"#,
    );
    let standing = aws.account();
    let rollback = [&["rollback"][..], &no_time].concat();
    for arguments in [run_of("up"), run_of("down"), rollback] {
        let run = here.run(&arguments);
        assert_eq!(run.code, Some(4), "{arguments:?}: {}", run.stderr);
        assert_mentions(&run, &[&said]);
        assert_same(&standing, &aws.account());
    }
    aws.call("ssm", "DeleteParameter", json!({"Name": lock}));
    here.succeed(&["up", "--yes"]);
}

/// Edits of others were published with the second stack, so its stage cannot return to the deployment from before it.
#[test]
fn down_does_not_give_a_stage_the_authorizer_of_another_stack() {
    let (aws, id, one, two) = stacks();
    let before = aws.account();
    let former = stage_of(&before, &id, "dev")["deploymentId"].clone();
    one.succeed(&["up", "--yes"]);
    change(&aws, &id, "GET", "/health", &[("/apiKeyRequired", "true")]);
    two.succeed(&["up", "--yes", "--publish-pending"]);
    let protected = served(&aws.account(), &id, "dev");
    let down = ["down", "--yes", "--publish-pending"];
    let refused = two.run(&down);
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert_mentions(
        &refused,
        &[
            "would contain the authorizer of stack orders on GET /orders",
            "threescale-gw down --stack orders",
        ],
    );
    assert_eq!(served(&aws.account(), &id, "dev"), protected);
    two.succeed(&["rollback", "--to", former.as_str().expect("an id")]);
    two.succeed(&down);
    assert_eq!(
        served(&aws.account(), &id, "dev"),
        served(&before, &id, "dev")
    );
    one.succeed(&down);
    change(&aws, &id, "GET", "/health", &[("/apiKeyRequired", "false")]);
    assert_eq!(draft(&aws.account(), &id), draft(&before, &id));
}

#[test]
fn a_method_that_another_stack_protects_in_the_same_stage_is_refused() {
    let (aws, id) = account();
    add_stage(&aws, &id);
    workplace(&aws, FIRST).succeed(&["up", "--yes"]);
    let before = aws.account();
    for stage in ["prod", "[dev, prod]"] {
        let two = workplace(&aws, &FIRST.replace("prod", stage));
        two.edit(
            "stack: orders",
            "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
        );
        let up = two.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(4), "{}", up.stderr);
        assert_mentions(
            &up,
            &[
                "method-of-another-stack",
                "GET /orders is protected by stack orders in stage prod",
            ],
        );
        assert_same(&before, &aws.account());
    }
}

#[test]
fn a_rollback_of_several_stages_moves_nothing_while_the_api_is_locked() {
    let (aws, id) = account();
    add_stage(&aws, &id);
    let here = workplace(&aws, &FIRST.replace("prod", "[prod, dev]"));
    here.succeed(&["up", "--yes"]);
    here.edit("bootstrap.zip}", "bootstrap.zip, memory: 256}");
    here.succeed(&["up", "--yes"]);
    locked(&aws, &id);
    let before = aws.account();
    let run = here.run(&["rollback", "--lock-timeout", "0s"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    let said = format!("API {id} is locked by stack partners: ");
    assert_mentions(&run, &[&said, "threescale-gw unlock --stack partners"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_lock_of_the_api_is_released_by_its_own_stack() {
    let (aws, id) = account();
    let here = workplace(&aws, FIRST);
    here.succeed(&["up", "--yes"]);
    let lock = format!("/threescale-gw/_apis/{id}/lock");
    let held_by = |value: &str| {
        let parameters = json!({"Name": lock, "Value": value, "Type": "String", "Overwrite": true});
        aws.call("ssm", "PutParameter", parameters);
    };
    let of = |stack: &str| {
        json!({
            "token": "0123456789abcdef", "owner": "ann", "host": "build-7", "pid": 4711, "boot": "0", "stack": stack,
            "since": "2026-01-02T03:04:05Z", "expires": "2999-01-01T00:00:00Z",
        })
        .to_string()
    };

    held_by(&of("partners"));
    let unlock = here.succeed(&["unlock"]);
    assert_eq!(unlock.stdout, "stack orders is not locked\n");
    assert_eq!(api_locks(&aws), [&*lock]);

    // A rollback does not wait for a run of its own stack, which it may have to undo.
    held_by(&of("orders"));
    let serves = || stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    let (ours, moved) = (serves(), here.succeed(&["rollback"]));
    assert!(!moved.stderr.contains(WAITS), "{}", moved.stderr);
    assert_ne!(serves(), ours);
    let unlock = here.succeed(&["unlock", "--yes", "-o", "json"]).json();
    assert_eq!(unlock["broken"], Value::Null);
    assert_eq!(unlock["apis"][0]["api"], id);
    assert_eq!(api_locks(&aws), [""; 0]);

    held_by("by hand");
    let unlock = here.succeed(&["unlock"]);
    let text = format!("released the lock of API {id} held by an unknown holder");
    assert_mentions(&unlock, &[&text]);
    assert_eq!(api_locks(&aws), [""; 0]);

    // Who may only move the stage can do so.
    here.succeed(&["up", "--yes"]);
    let ours = serves();
    aws.post(
        "faults",
        &json!([{"operation": "PutParameter", "kind": "deny"}]),
    );
    let moved = here.succeed(&["rollback"]);
    let text = format!("other stacks on API {id} are not excluded: ");
    assert_mentions(&moved, &[&text]);
    assert_ne!(serves(), ours);
    aws.post("faults", &json!([]));
    assert_eq!(api_locks(&aws), [""; 0]);
}

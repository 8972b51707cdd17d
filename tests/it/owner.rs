//! What the owner of the API does while a command runs, and what the stack finds when its own data is gone.

use crate::support::rest_api::{API, account, assert_mentions, count, stack, workplace};
use crate::support::{Run, TestAws};
use serde_json::{Value, json};

/// Deletes the API, as its owner.
fn delete_api(aws: &TestAws, id: &str) {
    aws.call("apigateway", "DeleteRestApi", json!({"restApiId": id}));
}

#[test]
fn an_api_that_is_deleted_during_up_is_reported_as_deleted_and_not_as_a_conflict() {
    // API Gateway answers `CreateAuthorizer` with a conflict, and the other calls with a missing resource or stage.
    for operation in ["CreateAuthorizer", "UpdateMethod", "CreateDeployment"] {
        let (aws, id) = account();
        let here = workplace(&aws, API);
        let rule = json!({"operation": operation, "kind": "hold-before"});
        let up = here.run_with(&aws, &["up", "--yes"], &rule, || delete_api(&aws, &id));
        assert_eq!(up.code, Some(5), "{operation}: {}", up.stderr);
        assert_mentions(
            &up,
            &[
                &format!("API {id} no longer exists: another user deleted it"),
                "run `threescale-gw down`",
            ],
        );
        for wrong in ["ConflictException", "concurrent", "tried for"] {
            assert!(
                !up.stderr.contains(wrong),
                "{operation}: {wrong}: {}",
                up.stderr
            );
        }
        assert_eq!(count(&aws, operation), 1, "{operation}");
        here.succeed(&["down", "--yes"]);
        assert_eq!(aws.account()["functions"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn an_api_that_is_deleted_during_down_is_nothing_to_restore() {
    let conflict = json!({"operation": "DeleteAuthorizer", "kind": "error", "code": "ConflictException", "status": 409,
        "message": "Unable to complete operation due to concurrent modification. Please try again later."});
    let held =
        |operation: &str, kind: &str| json!({"operation": operation, "nth": 1, "kind": kind});
    for rules in [
        json!([held("UpdateMethod", "hold-before"), conflict]),
        json!([held("UpdateStage", "hold"), conflict]),
    ] {
        let (aws, id, here) = stack(API);
        aws.post("faults", &rules);
        let down = here.start(&["down", "--yes"]);
        assert_ne!(aws.get("held?timeout=60")["held"], Value::Null, "{rules}");
        delete_api(&aws, &id);
        aws.post("release", &json!({}));
        let down = Run::of(down.wait_with_output().expect("it ends"));
        assert_eq!(down.code, Some(0), "{rules}: {}", down.stderr);
        assert_eq!(aws.account()["functions"].as_array().map(Vec::len), Some(2));
        assert_mentions(&here.succeed(&["down", "--yes"]), &["No changes"]);
    }
}

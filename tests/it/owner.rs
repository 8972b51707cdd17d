//! What the owner of the API does while a command runs, and what the stack finds when its own data is gone.

use crate::support::rest_api::{
    API, account, assert_mentions, authorizer, authorizers, change, count, deployments, draft,
    publish, rest_api, served, stack, stage_of, workplace,
};
use crate::support::{Run, TestAws, assert_same};
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

/// The deployment that the stage serves.
fn current(aws: &TestAws, id: &str) -> String {
    let deployment = stage_of(&aws.account(), id, "prod")["deploymentId"].clone();
    deployment.as_str().expect("an id").to_owned()
}

/// The first call of this operation, held after it is executed.
fn first(operation: &str) -> Value {
    json!({"operation": operation, "nth": 1, "kind": "hold"})
}

#[test]
fn a_deployment_of_others_during_down_is_not_replaced_by_an_older_one() {
    let (aws, id) = account();
    let before = aws.account();
    let (aws, _, here) = stack(API);
    let down = here.run_with(&aws, &["down", "--yes"], &first("UpdateMethod"), || {
        publish(&aws, &id, "prod");
    });
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    let after = aws.account();
    assert_eq!(draft(&after, &id), draft(&before, &id));
    // The restored draft is deployed on top, because their deployment has the stack's authorizer.
    assert_eq!(served(&after, &id, "prod"), draft(&before, &id));
    let mut left = deployments(&after, &id);
    left.sort();
    assert_eq!(
        left,
        ["first release", "theirs", "threescale-gw-orders restored"]
    );
    assert_ne!(current(&aws, &id), former(&before, &id));
}

/// The deployment that the stage has in this account.
fn former(account: &Value, id: &str) -> String {
    let deployment = &stage_of(account, id, "prod")["deploymentId"];
    deployment.as_str().expect("an id").to_owned()
}

#[test]
fn a_deployment_of_others_during_up_is_the_one_that_up_returns_to() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let mut theirs = String::new();
    let up = ["up", "--yes", "--settle", "1ms"];
    let up = here.run_with(&aws, &up, &first("UpdateMethod"), || {
        theirs = publish(&aws, &id, "prod");
    });
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &[&format!("stage prod is rolled back to deployment {theirs}")],
    );
    assert_eq!(current(&aws, &id), theirs);

    // Their deployment has the stack's authorizer, so `rollback` and `down` do not return to it, nor to an older one.
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&["up", "--yes"]);
    let rollback = here.run(&["rollback"]);
    assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
    here.succeed(&["down", "--yes"]);
    assert_eq!(served(&aws.account(), &id, "prod"), draft(&before, &id));
    assert_ne!(current(&aws, &id), former(&before, &id));
}

#[test]
fn a_deployment_of_others_during_the_verification_stays() {
    let (start, id) = account();
    start.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let up = ["up", "--yes", "--settle", "1ms"];
    // The last export is read at the end of the verification.
    let counted = start.fork();
    assert_eq!(workplace(&counted, API).run(&up).code, Some(1));
    let log = counted.log();
    let exports = log.iter().filter(|entry| entry["operation"] == "GetExport");
    let last = json!({"operation": "GetExport", "nth": exports.count(), "kind": "hold"});

    let aws = start.fork();
    let mut theirs = String::new();
    let up = workplace(&aws, API).run_with(&aws, &up, &last, || {
        theirs = publish(&aws, &id, "prod");
    });
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    let text = format!(
        "stage prod serves deployment {theirs}, which another user published since, and stays unchanged"
    );
    assert_mentions(&up, &[&text]);
    assert_eq!(current(&aws, &id), theirs);
}

/// API Gateway has no conditional update: what others deploy after the stage was read is found after the move.
#[test]
fn a_deployment_of_others_in_the_moment_of_the_move_is_found() {
    let before_call =
        |operation: &str| json!({"operation": operation, "nth": 1, "kind": "hold-before"});
    let (start, id) = account();
    let before = start.account();
    for (outcome, code) in [(Value::Null, 0), (json!("error"), 1)] {
        let aws = start.fork();
        let here = workplace(&aws, API);
        aws.post("config", &json!({"outcomes": {"authorizer": outcome}}));
        let mut theirs = String::new();
        let up = ["up", "--yes", "--settle", "1ms"];
        let up = here.run_with(&aws, &up, &before_call("CreateDeployment"), || {
            // A deployment for another stage is no reason.
            let dev = json!({"restApiId": id, "stageName": "dev", "description": "dev"});
            theirs = publish(&aws, &id, "prod");
            aws.call("apigateway", "CreateDeployment", dev);
        });
        assert_eq!(up.code, Some(code), "{}", up.stderr);
        let text = format!("another user deployed stage prod meanwhile ({theirs})");
        assert_mentions(&up, &[&text]);
        if code == 1 {
            let text = format!("stage prod is rolled back to deployment {theirs}");
            assert_mentions(&up, &[&text]);
            assert_eq!(current(&aws, &id), theirs);
            continue;
        }
        let rollback = here.run(&["rollback"]);
        assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
        assert_mentions(
            &rollback,
            &["another user has published in between", &theirs],
        );
        aws.call(
            "apigateway",
            "DeleteStage",
            json!({"restApiId": id, "stageName": "dev"}),
        );
        here.succeed(&["down", "--yes"]);
        assert_eq!(served(&aws.account(), &id, "prod"), draft(&before, &id));
        assert_ne!(current(&aws, &id), former(&before, &id));
    }

    let (start, _, _) = stack(API);
    let runs = [
        (
            &["rollback"][..],
            1,
            "another user published and which uses this stack's authorizer",
        ),
        (
            &["down", "--yes"],
            0,
            "another user deployed stage prod meanwhile",
        ),
    ];
    for (arguments, code, text) in runs {
        let aws = start.fork();
        let here = workplace(&aws, API);
        let mut theirs = String::new();
        let run = here.run_with(&aws, arguments, &before_call("UpdateStage"), || {
            theirs = publish(&aws, &id, "prod");
        });
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        assert_mentions(&run, &[text, &theirs]);
        assert_eq!(current(&aws, &id), theirs);
    }
}

#[test]
fn what_others_published_without_the_authorizer_stays_whatever_is_run() {
    let (aws, id, here) = stack(API);
    for (verb, path) in PROTECTED {
        let open = [("/authorizationType", "NONE"), ("/authorizerId", "")];
        change(&aws, &id, verb, path, &open);
    }
    let theirs = publish(&aws, &id, "prod");
    here.succeed(&["rollback"]);
    assert_eq!(current(&aws, &id), theirs);
    let fork = aws.fork();
    workplace(&fork, API).succeed(&["down", "--yes"]);
    assert_eq!(current(&fork, &id), theirs);

    // A stack that is deployed again on top of theirs returns to theirs at the earliest.
    here.succeed(&["up", "--yes"]);
    let rollback = here.run(&["rollback"]);
    assert_eq!(rollback.code, Some(1), "{}", rollback.stderr);
    let protected = served(&aws.account(), &id, "prod");
    assert_eq!(protected["GET /orders"], crate::support::rest_api::ours());
    here.succeed(&["down", "--yes"]);
    assert_mentions(&here.succeed(&["down", "--yes"]), &["No changes"]);
    let left = deployments(&aws.account(), &id);
    assert!(
        left.contains(&"threescale-gw-orders restored".to_owned()),
        "{left:?}"
    );
}

/// Deletes parameters of the attachment's record, as another user.
fn forget(aws: &TestAws, id: &str, parts: &[&str]) {
    for part in parts {
        let name = format!("/threescale-gw/orders/attachment/{id}/prod/{part}");
        aws.call("ssm", "DeleteParameter", json!({"Name": name}));
    }
}

#[test]
fn a_deployment_of_others_with_the_authorizer_is_not_recorded_as_the_former_one() {
    let (aws, id) = account();
    let before = aws.account();
    let (aws, _, here) = stack(API);
    publish(&aws, &id, "prod");
    forget(&aws, &id, &["head"]);
    here.edit(
        "service_token: the-service-token",
        "service_token: the-service-token, credentials: {in: query, name: apikey}",
    );
    here.succeed(&["up", "--yes"]);
    assert!(!authorizer(&aws.account(), &id, "threescale-gw-orders-authorizer").is_empty());
    here.succeed(&["down", "--yes"]);
    assert_eq!(served(&aws.account(), &id, "prod"), draft(&before, &id));
}

/// Every parameter of the attachment's record of [`API`].
const RECORD: [&str; 5] = [
    "head",
    "methods-000",
    "response-UNAUTHORIZED",
    "response-ACCESS_DENIED",
    "response-AUTHORIZER_FAILURE",
];

#[test]
fn without_its_records_down_refuses_while_a_method_uses_the_authorizer() {
    let (aws, id, here) = stack(API);
    forget(&aws, &id, &RECORD);
    let before = aws.account();
    for command in [&["plan"][..], &["status"]] {
        let run = here.run(command);
        assert_mentions(
            &run,
            &[
                "the original authorization of ANY /files/{proxy+}, GET /orders, ",
                "`down` refuses to run until it is set by hand",
            ],
        );
    }
    let refused = |aws: &TestAws, texts: &[&str]| {
        let before = aws.account();
        for arguments in [
            &["down", "--yes"][..],
            &["down", "--yes", "--stack", "orders", "-f", "none.yaml"],
        ] {
            let down = workplace(aws, API).run(arguments);
            assert_eq!(down.code, Some(4), "{}", down.stderr);
            assert_mentions(&down, texts);
            assert_same(&before, &aws.account());
        }
    };
    let draft_of_api = format!("is not recorded (draft of API {id})");
    let stage_of_api = format!("is not recorded (stage prod of API {id})");
    let all = [
        "GET /orders, ",
        "POST /orders",
        "GET /orders/{id}",
        "ANY /files/{proxy+}",
        &draft_of_api,
        &stage_of_api,
        "set their authorization in the draft",
    ];
    refused(&aws, &all);
    assert_same(&before, &aws.account());

    // Without the permission, the authorizer in the API shows that it is used.
    let fork = aws.fork();
    let function = "threescale-gw-orders-authorizer";
    let statement = format!("threescale-gw-api-{id}");
    fork.call(
        "lambda",
        "RemovePermission",
        json!({"FunctionName": function, "Qualifier": "live", "StatementId": statement}),
    );
    refused(&fork, &all);

    // The owner sets the authorization in the draft, and the stage still serves the authorizer. The service may
    // provide no export.
    for (verb, path) in PROTECTED {
        let open = [("/authorizationType", "NONE"), ("/authorizerId", "")];
        change(&aws, &id, verb, path, &open);
    }
    refused(&aws, &["GET /orders, ", &stage_of_api]);
    let no_export = json!([{"operation": "GetExport", "kind": "error", "code": "BadRequestException",
        "message": "unable to export", "status": 400}]);
    aws.post("faults", &no_export);
    refused(&aws, &["GET /orders, ", &stage_of_api]);
    aws.post("faults", &json!([]));
    publish(&aws, &id, "prod");
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    assert!(
        !authorizers(rest_api(&after, &id))
            .values()
            .any(|name| *name == function)
    );
    assert_eq!(served(&after, &id, "prod")["GET /orders"], "NONE");
    assert_eq!(after["functions"].as_array().map(Vec::len), Some(2));
    assert_mentions(&here.succeed(&["down", "--yes"]), &["No changes"]);
}

/// The methods that [`API`] protects.
const PROTECTED: [(&str, &str); 4] = [
    ("GET", "/orders"),
    ("POST", "/orders"),
    ("GET", "/orders/{id}"),
    ("ANY", "/files/{proxy+}"),
];

/// Opens `GET /me` in the draft, as the owner.
fn open_me(aws: &TestAws, id: &str) {
    let open = [("/authorizationType", "NONE"), ("/authorizerId", "")];
    change(aws, id, "GET", "/me", &open);
}

const EDIT: &str = "GET /me: authorization CUSTOM -> NONE";

#[test]
fn down_lists_what_its_deployment_would_publish_and_publishes_it_only_on_demand() {
    let (aws, id, here) = stack(API);
    // The stage returns to its former deployment, so nothing is published.
    let fork = aws.fork();
    open_me(&fork, &id);
    workplace(&fork, API).succeed(&["down", "--yes"]);
    assert_ne!(
        served(&fork.account(), &id, "prod")["GET /me"],
        "NONE with a key"
    );

    publish(&aws, &id, "prod");
    open_me(&aws, &id);
    let before = aws.account();
    let down = here.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(4), "{}", down.stderr);
    assert_mentions(
        &down,
        &[
            "the deployment also publishes undeployed changes of others",
            "1 edit of others",
            EDIT,
            "--publish-pending",
        ],
    );
    assert_same(&before, &aws.account());
    here.succeed(&["down", "--yes", "--publish-pending"]);
    let after = aws.account();
    assert_eq!(served(&after, &id, "prod")["GET /me"], "NONE with a key");
    assert_eq!(served(&after, &id, "prod"), draft(&after, &id));
}

#[test]
fn an_edit_that_comes_while_down_restores_the_methods_is_not_published() {
    let (aws, id, here) = stack(API);
    publish(&aws, &id, "prod");
    let down = here.run_with(&aws, &["down", "--yes"], &first("UpdateMethod"), || {
        open_me(&aws, &id)
    });
    assert_eq!(down.code, Some(5), "{}", down.stderr);
    assert_mentions(
        &down,
        &[&format!("the API was changed concurrently: {EDIT}")],
    );
    assert_eq!(
        served(&aws.account(), &id, "prod")["GET /me"],
        "CUSTOM own with a key"
    );
    let down = here.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(4), "{}", down.stderr);
    assert_mentions(&down, &[EDIT]);
    here.succeed(&["down", "--yes", "--publish-pending"]);
    assert_eq!(
        served(&aws.account(), &id, "prod")["GET /me"],
        "NONE with a key"
    );
}

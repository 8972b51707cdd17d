//! `status` and `plan` detect manual changes to the API by another user, and `up` repairs them.

use crate::support::drifted::{Drift, PROTECTED, Stack, all_but, protected};
use serde_json::json;

/// Another user changes the cache time and the identity source of the stack's authorizer.
fn remember(stack: &Stack) {
    let (id, _) = stack.api();
    let patches = json!([
        {"op": "replace", "path": "/authorizerResultTtlInSeconds", "value": "3600"},
        {"op": "replace", "path": "/identitySource", "value": "method.request.querystring.key"},
    ]);
    let parameters =
        json!({"restApiId": id, "authorizerId": stack.authorizer_id(), "patchOperations": patches});
    stack.aws.call("apigateway", "UpdateAuthorizer", parameters);
}

#[test]
fn protected_means_in_the_deployment_that_the_stage_serves() {
    let attachment: &[&str] = &["api-attachment/main"];
    // Each change, and the methods that callers reach without a credential until it is repaired.
    let drifts: &[(Drift, &[&str])] = &[
        (
            (
                "a method is opened in the draft",
                |stack| stack.open("GET /orders"),
                attachment,
            ),
            &[],
        ),
        (
            (
                "a method is opened and published",
                |stack| {
                    stack.open("GET /orders");
                    stack.publish();
                },
                attachment,
            ),
            &["GET /orders"],
        ),
        (
            (
                "the stage is put back on the deployment before ours",
                |stack| {
                    let (id, _) = stack.api();
                    let apis = stack.before["rest_apis"]
                        .as_array()
                        .expect("a list")
                        .clone();
                    let api = apis
                        .iter()
                        .find(|api| api["id"] == id.as_str())
                        .expect("the API");
                    let patch = json!({"op": "replace", "path": "/deploymentId", "value": api["stages"][0]["deploymentId"]});
                    let parameters =
                        json!({"restApiId": id, "stageName": "prod", "patchOperations": [patch]});
                    stack.aws.call("apigateway", "UpdateStage", parameters);
                },
                attachment,
            ),
            &PROTECTED,
        ),
        (
            (
                "the authorizer remembers, and looks elsewhere for the credential",
                remember,
                &["api-authorizer/main"],
            ),
            &[],
        ),
        (
            (
                "the same, published",
                |stack| {
                    remember(stack);
                    stack.publish();
                },
                &["api-authorizer/main", "api-attachment/main"],
            ),
            &[],
        ),
        (
            (
                "everything is opened, and the authorizer deleted",
                |stack| {
                    let (id, authorizer) = (stack.api().0, stack.authorizer_id());
                    PROTECTED.iter().for_each(|label| stack.open(label));
                    let parameters = json!({"restApiId": id, "authorizerId": authorizer});
                    stack.aws.call("apigateway", "DeleteAuthorizer", parameters);
                    stack.publish();
                },
                &[
                    "api-attachment/main",
                    "api-authorizer/main",
                    "lambda-permission/api",
                ],
            ),
            &PROTECTED,
        ),
    ];
    let stack = Stack::new();
    assert_eq!(protected(&stack.status().1), all_but(&[]));
    for (drift, open) in drifts {
        let status = stack.repairs(drift);
        assert_eq!(protected(&status), all_but(open), "{}", drift.0);
        assert_eq!(protected(&stack.status().1), all_but(&[]), "{}", drift.0);
    }

    // The next run protects a method that is added to the API, as the configuration specifies.
    let (id, _) = stack.api();
    let drift: Drift = (
        "a method is added",
        |stack| {
            let (id, methods) = stack.api();
            let of = json!({"restApiId": id, "resourceId": methods["GET /orders"]["resourceId"], "httpMethod": "DELETE"});
            let mut method = of.clone();
            method["authorizationType"] = json!("NONE");
            stack.aws.call("apigateway", "PutMethod", method);
            let mut integration = of;
            integration["type"] = json!("MOCK");
            stack.aws.call("apigateway", "PutIntegration", integration);
            stack.publish();
        },
        attachment,
    );
    let status = stack.repairs(&drift);
    assert_eq!(protected(&status), all_but(&[]));
    assert!(protected(&stack.status().1).contains("DELETE /orders"));

    // Another user published a deployment after the stack's, so the stage is deployed again instead of moved back.
    stack.workplace.succeed(&["down", "--yes"]);
    let after = stack.aws.account();
    let apis = after["rest_apis"].as_array().expect("a list");
    let api = apis
        .iter()
        .find(|api| api["id"] == id.as_str())
        .expect("the API");
    let stage = &api["stages"][0]["deploymentId"];
    let deployments = api["deployments"].as_array().expect("a list");
    let served = deployments
        .iter()
        .find(|found| found["id"] == *stage)
        .expect("the stage's");
    for verb in ["GET", "POST", "DELETE"] {
        assert_eq!(
            served["snapshot"]["methods"]["/orders"][verb]["authorizationType"], "NONE",
            "{verb}"
        );
    }
}

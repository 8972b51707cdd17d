//! A stack as created by the release before aliases: the API and the schedule invoke the functions directly.

use serde_json::{Value, json};

use super::TestAws;
use super::rest_api::stage_of;

/// The part of a deployment's description in which that release records that its authorizer reads the header `apikey`.
const ASKS: &str = "authorizer ef3717e6";

/// Turns a deployed stack into a stack of that release. The account then equals its state after `up` of that release.
pub fn make(aws: &TestAws, api: &str) {
    for name in ["authorizer", "reporter"] {
        let function = format!("threescale-gw-orders-{name}");
        plain_environment(aws, &function);
        move_permission(aws, &function);
    }
    let target = json!([{"Id": "reporter", "Arn": arn("reporter")}]);
    aws.call(
        "events",
        "PutTargets",
        json!({"Rule": "threescale-gw-orders-reporter", "Targets": target}),
    );
    invoke_the_function(aws, api);
    for name in ["authorizer", "reporter"] {
        let function = format!("threescale-gw-orders-{name}");
        aws.call(
            "lambda",
            "DeleteAlias",
            json!({"FunctionName": function, "Name": "live"}),
        );
        let versions = aws.call(
            "lambda",
            "ListVersionsByFunction",
            json!({"FunctionName": function}),
        );
        for version in versions["Versions"].as_array().expect("a list") {
            let version = version["Version"].as_str().expect("a number");
            if version != "$LATEST" {
                aws.call(
                    "lambda",
                    "DeleteFunction",
                    json!({"FunctionName": function, "Qualifier": version}),
                );
            }
        }
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:123456789012:function:threescale-gw-orders-{name}")
}

/// Removes the environment variables that that release does not set.
fn plain_environment(aws: &TestAws, function: &str) {
    let found = aws.call(
        "lambda",
        "GetFunctionConfiguration",
        json!({"FunctionName": function}),
    );
    let mut variables = found["Environment"]["Variables"].clone();
    let variables = variables.as_object_mut().expect("variables");
    variables.retain(|name, _| !name.ends_with("_PARAMETER"));
    let environment = json!({"Variables": variables});
    aws.call(
        "lambda",
        "UpdateFunctionConfiguration",
        json!({"FunctionName": function, "Environment": environment}),
    );
}

/// Moves the permission from the alias to the function.
fn move_permission(aws: &TestAws, function: &str) {
    let policy = aws.call(
        "lambda",
        "GetPolicy",
        json!({"FunctionName": function, "Qualifier": "live"}),
    );
    let policy: Value =
        serde_json::from_str(policy["Policy"].as_str().expect("text")).expect("JSON");
    let statement = &policy["Statement"][0];
    aws.call(
        "lambda",
        "AddPermission",
        json!({
            "FunctionName": function,
            "StatementId": statement["Sid"],
            "Action": statement["Action"],
            "Principal": statement["Principal"]["Service"],
            "SourceArn": statement["Condition"]["ArnLike"]["AWS:SourceArn"],
        }),
    );
}

/// Publishes the API with the ARN of the function, as a deployment of that release.
fn invoke_the_function(aws: &TestAws, api: &str) {
    let all = aws.call("apigateway", "GetAuthorizers", json!({"restApiId": api}));
    let authorizers = all["items"].as_array().expect("a list");
    let ours = authorizers
        .iter()
        .find(|authorizer| authorizer["name"] == super::rest_api::OURS)
        .expect("our authorizer");
    let uri = format!(
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{}/invocations",
        arn("authorizer")
    );
    let patch = json!([{"op": "replace", "path": "/authorizerUri", "value": uri}]);
    aws.call(
        "apigateway",
        "UpdateAuthorizer",
        json!({"restApiId": api, "authorizerId": ours["id"], "patchOperations": patch}),
    );
    let newer = stage_of(&aws.account(), api, "prod")["deploymentId"].clone();
    let described = aws.call(
        "apigateway",
        "GetDeployment",
        json!({"restApiId": api, "deploymentId": newer}),
    );
    let described = described["description"].as_str().expect("a description");
    let words: Vec<_> = described.split(' ').collect();
    let description = format!("{} {ASKS} responses {}", words[..3].join(" "), words[6]);
    let made = aws.call(
        "apigateway",
        "CreateDeployment",
        json!({"restApiId": api, "stageName": "prod", "description": description}),
    );
    aws.call(
        "apigateway",
        "DeleteDeployment",
        json!({"restApiId": api, "deploymentId": newer}),
    );
    let name = format!("/threescale-gw/orders/attachment/{api}/prod/head");
    let head = aws.call("ssm", "GetParameter", json!({"Name": name}));
    let mut head: Value =
        serde_json::from_str(head["Parameter"]["Value"].as_str().expect("text")).expect("JSON");
    head["verified"] = made["id"].clone();
    head.as_object_mut()
        .expect("a record")
        .remove("verified_version");
    aws.call(
        "ssm",
        "PutParameter",
        json!({"Name": name, "Value": head.to_string(), "Overwrite": true}),
    );
}

//! HTTP and WebSocket APIs in tests: how they are created, and what callers of them see.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rest_api::API;
use super::{TestAws, Workplace};

/// A key that the test AWS accepts.
pub const GOOD: &str = "good-key-0123456789";

/// An HTTP API with every kind of route that can exist before the stack protects it.
pub fn rich(stage: &str, auto_deploy: bool) -> Value {
    json!({
        "protocol": "HTTP",
        "name": "orders-api",
        "tags": {"owner": "orders"},
        "authorizers": {"own": {}, "tokens": {}},
        "routes": [
            {"key": "GET /orders"},
            {"key": "POST /orders"},
            {"key": "GET /orders/{id}"},
            {"key": "ANY /files/{proxy+}"},
            {"key": "GET /health"},
            {"key": "GET /internal", "authorization": "AWS_IAM"},
            {"key": "GET /me", "authorizer": "own"},
            {"key": "GET /user", "authorization": "JWT", "authorizer": "tokens", "scopes": ["orders/read", "orders/write"]},
            {"key": "$default"},
        ],
        "stages": [{"name": stage, "auto_deploy": auto_deploy, "tags": {"owner": "orders"}}],
    })
}

/// The routes of [`rich`] that the stack protects.
pub const PROTECTED: [&str; 5] = [
    "$default",
    "ANY /files/{proxy+}",
    "GET /orders",
    "GET /orders/{id}",
    "POST /orders",
];

/// An account with this API and another stack on REST and HTTP APIs.
pub fn account(api: &Value) -> TestAws {
    TestAws::state(&format!("http {api}"), || {
        let aws = TestAws::start();
        aws.post("seed", &json!({"foreign": "http"}));
        aws.post("seed", &json!({"api": api}));
        aws.post("config", &json!({"valid_keys": [GOOD]}));
        aws
    })
}

/// A folder whose configuration names the API and this stage.
pub fn workplace(aws: &TestAws, stage: &str) -> Workplace {
    let workplace = Workplace::new(aws);
    let api = format!("api: {{name: orders-api, stage: {stage}, except: [\"GET /health\"]}}");
    workplace.edit(API, &api);
    workplace
}

/// The API `orders-api`.
pub fn api(account: &Value) -> &Value {
    let apis = account["http_apis"].as_array().expect("a list");
    let api = apis.iter().find(|api| api["Name"] == "orders-api");
    api.expect("the API")
}

/// The ID of the API `orders-api`.
pub fn id(account: &Value) -> String {
    let id = api(account)["ApiId"].as_str();
    id.expect("the API's id").to_owned()
}

/// The stage of the API with this name.
pub fn stage_of<'a>(account: &'a Value, name: &str) -> &'a Value {
    let stages = api(account)["Stages"].as_array().expect("a list");
    let stage = stages.iter().find(|stage| stage["StageName"] == name);
    stage.expect("the stage")
}

/// The snapshot that a stage serves.
pub fn snapshot<'a>(account: &'a Value, stage: &str) -> &'a Value {
    let deployments = api(account)["Deployments"].as_array().expect("a list");
    let served = &stage_of(account, stage)["DeploymentId"];
    let deployment = deployments
        .iter()
        .find(|found| found["DeploymentId"] == *served);
    &deployment.expect("the deployment")["Snapshot"]
}

/// The authorization of each route that a stage serves, with the name of its authorizer.
pub fn served(account: &Value, stage: &str) -> BTreeMap<String, String> {
    let snapshot = snapshot(account, stage);
    let routes = snapshot["routes"].as_object().expect("routes");
    routes
        .values()
        .map(|route| {
            let key = route["RouteKey"].as_str().expect("a key").to_owned();
            let authorizer = route["AuthorizerId"].as_str();
            let name = authorizer.map(|id| &snapshot["authorizers"][id]["Name"]);
            let name = name.and_then(Value::as_str).unwrap_or_default();
            let kind = route["AuthorizationType"].as_str().expect("a type");
            (key, format!("{kind} {name}").trim_end().to_owned())
        })
        .collect()
}

/// The account with what API Gateway itself changes left out: a stage that deploys automatically has another deployment after
/// each change of the API, which counts by its content.
pub fn comparable(account: &Value) -> Value {
    let mut account = account.clone();
    for api in account["http_apis"].as_array_mut().expect("a list") {
        let deployments = api["Deployments"].as_array().cloned().unwrap_or_default();
        for stage in api["Stages"].as_array_mut().expect("a list") {
            let id = stage["DeploymentId"].clone();
            if stage["AutoDeploy"] == true {
                let mut deployments = deployments.iter();
                let served = deployments.find(|found| found["DeploymentId"] == id);
                stage["DeploymentId"] =
                    served.map_or(Value::Null, |served| served["Snapshot"].clone());
                stage["LastDeploymentStatusMessage"] = Value::Null;
            }
        }
        let mut kept = deployments;
        kept.retain(|found| found["AutoDeployed"] != true);
        api["Deployments"] = kept.into();
    }
    account
}

/// Requests that the test AWS sends after each changing call: each protected route without a key.
pub fn watch(aws: &TestAws, stage: &str) {
    watch_stages(aws, &[stage]);
}

/// The same requests to several stages.
pub fn watch_stages(aws: &TestAws, stages: &[&str]) {
    let id = id(&aws.account());
    let requests = stages.iter().flat_map(|stage| {
        let place = match *stage {
            "$default" => id.clone(),
            stage => format!("{id}/{stage}"),
        };
        let request =
            |method: &str, path: &str| json!({"method": method, "path": format!("{place}{path}")});
        [
            request("GET", "/orders"),
            request("POST", "/orders"),
            request("GET", "/orders/7"),
            request("DELETE", "/files/a/b"),
            request("GET", "/elsewhere"),
        ]
    });
    let requests: Vec<_> = requests.collect();
    aws.post("config", &json!({"watch": requests}));
}

/// The statuses of each watched moment.
pub fn watched(aws: &TestAws) -> Vec<(String, Vec<u64>)> {
    let watched = aws.get("watched");
    let moments = watched.as_array().expect("a list").iter();
    moments
        .map(|moment| {
            let statuses = moment["statuses"].as_array().expect("a list");
            let operation = moment["operation"].as_str().unwrap_or_default();
            let statuses = statuses.iter().map(|status| status.as_u64().unwrap_or(0));
            (operation.to_owned(), statuses.collect())
        })
        .collect()
}

/// Asserts that at each moment all watched routes are open, or all are protected.
pub fn assert_unmixed(aws: &TestAws, at_least: usize, when: &str) {
    assert_each_unmixed(aws, &[""], at_least, when);
}

/// Asserts the same of each of several stages.
pub fn assert_each_unmixed(aws: &TestAws, stages: &[&str], at_least: usize, when: &str) {
    let watched = watched(aws);
    assert!(watched.len() >= at_least, "{when}: {watched:?}");
    for (operation, statuses) in &watched {
        assert!(statuses.len().is_multiple_of(stages.len()), "{statuses:?}");
        let of_stage = statuses.chunks((statuses.len() / stages.len()).max(1));
        for (stage, statuses) in stages.iter().zip(of_stage) {
            let is = |wanted: u64| statuses.iter().all(|status| *status == wanted);
            // Without an identity source, as in the mode observe, the authorizer refuses.
            assert!(
                is(200) || is(401) || is(403),
                "{when}, {stage}, after {operation}: {statuses:?}"
            );
        }
    }
}

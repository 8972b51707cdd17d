//! REST APIs in tests: how they are created, changed by other users, and described as text.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Run, TestAws, Workplace};

/// The name of the stack's authorizer in an API.
pub const OURS: &str = "threescale-gw-orders-authorizer";
/// The `api` line of [`CONFIG`], which the tests replace.
pub const API: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;

/// An API with every kind of method that can exist before the stack protects it.
pub fn rich(name: &str) -> Value {
    json!({
        "name": name,
        "stage": "prod",
        "tags": {"owner": "orders"},
        "methods": [
            {"method": "GET", "path": "/orders"},
            {"method": "POST", "path": "/orders", "api_key_required": true},
            {"method": "OPTIONS", "path": "/orders", "integration": super::cors()},
            {"method": "GET", "path": "/orders/{id}"},
            {"method": "ANY", "path": "/files/{proxy+}"},
            {"method": "GET", "path": "/health"},
            {"method": "GET", "path": "/internal", "authorization_type": "AWS_IAM"},
            {"method": "GET", "path": "/me", "authorizer": "own", "api_key_required": true},
            {"method": "GET", "path": "/user", "authorizer": "pool", "authorization_type": "COGNITO_USER_POOLS",
             "scopes": ["orders/read", "orders/write"]},
        ],
    })
}

/// The response to a caller: status, body, and headers in lower case.
pub fn call(aws: &TestAws, id: &str, path: &str, key: Option<&str>) -> (u16, Value, Value) {
    let url = format!("{}/_aws/execute-api/{id}/prod{path}", aws.url());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(&url);
    if let Some(key) = key {
        request = request.header("apikey", key);
    }
    let mut answer = request.call().expect("an answer");
    let headers: serde_json::Map<_, _> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
        .collect();
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_json().unwrap_or(Value::Null);
    (status, body, headers.into())
}

/// Adds APIs to an empty account. Returns their IDs.
pub fn seed(aws: &TestAws, apis: &[Value]) -> Vec<String> {
    aws.post("seed", &json!({"foreign": true}));
    let id = |api| {
        let seeded = aws.post("seed", &json!({"api": api}));
        seeded["api_id"].as_str().expect("an id").to_owned()
    };
    apis.iter().map(id).collect()
}

/// An account with one [`rich`] API, and the API's ID.
pub fn account() -> (TestAws, String) {
    let aws = TestAws::state("rich", || {
        let aws = TestAws::start();
        seed(&aws, &[rich("orders-api")]);
        aws
    });
    let id = id(&aws.account(), "orders-api");
    (aws, id)
}

/// An account with one [`rich`] API and a stack with this `api` line in its configuration. Also returns the API's ID
/// and the stack's folder.
pub fn stack(api: &str) -> (TestAws, String, Workplace) {
    let aws = TestAws::state(&format!("rich, {api}"), || {
        let (aws, _) = account();
        workplace(&aws, api).succeed(&["up", "--yes"]);
        aws
    });
    let id = id(&aws.account(), "orders-api");
    let here = workplace(&aws, api);
    (aws, id, here)
}

/// The ID of the API with this name.
pub fn id(account: &Value, name: &str) -> String {
    let apis = account["rest_apis"].as_array().expect("a list");
    let api = apis.iter().find(|api| api["name"] == name);
    let id = api.and_then(|api| api["id"].as_str());
    id.expect("the API's id").to_owned()
}

/// A folder with this `api` line in its configuration.
pub fn workplace(aws: &TestAws, api: &str) -> Workplace {
    let workplace = Workplace::new(aws);
    workplace.edit(API, api);
    workplace
}

/// The API with this ID.
pub fn rest_api<'a>(account: &'a Value, id: &str) -> &'a Value {
    let apis = account["rest_apis"].as_array().expect("a list");
    apis.iter().find(|api| api["id"] == id).expect("the API")
}

pub fn stage_of<'a>(account: &'a Value, id: &str, name: &str) -> &'a Value {
    let stages = rest_api(account, id)["stages"].as_array().expect("a list");
    stages
        .iter()
        .find(|stage| stage["stageName"] == name)
        .expect("the stage")
}

/// The authorization of a method as text: `NONE`, `CUSTOM own with a key`, `COGNITO_USER_POOLS pool for orders/read`.
pub fn words(method: &Value, authorizers: &BTreeMap<&str, &str>) -> String {
    let mut words = method["authorizationType"]
        .as_str()
        .unwrap_or("?")
        .to_owned();
    if let Some(id) = method["authorizerId"].as_str() {
        words.push(' ');
        words.push_str(authorizers.get(id).unwrap_or(&"(gone)"));
    }
    if let Some(scopes) = method["authorizationScopes"].as_array() {
        for scope in scopes {
            words.push_str(&format!(" for {}", scope.as_str().unwrap_or("?")));
        }
    }
    if method["apiKeyRequired"] == true {
        words.push_str(" with a key");
    }
    words
}

/// The methods of the draft by label, as text.
pub fn draft(account: &Value, id: &str) -> BTreeMap<String, String> {
    let api = rest_api(account, id);
    let authorizers = authorizers(api);
    let mut methods = BTreeMap::new();
    for resource in api["resources"].as_array().expect("a list") {
        let path = resource["path"].as_str().expect("a path");
        for (verb, method) in resource["methods"].as_object().expect("a map") {
            methods.insert(format!("{verb} {path}"), words(method, &authorizers));
        }
    }
    methods
}

/// The methods that the stage's deployment serves, by label, as text.
pub fn served(account: &Value, id: &str, stage: &str) -> BTreeMap<String, String> {
    let api = rest_api(account, id);
    let authorizers = authorizers(api);
    let deployment = &stage_of(account, id, stage)["deploymentId"];
    let deployment = api["deployments"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|found| found["id"] == *deployment)
        .expect("the stage's deployment");
    let mut methods = BTreeMap::new();
    for (path, verbs) in deployment["snapshot"]["methods"]
        .as_object()
        .expect("a map")
    {
        for (verb, method) in verbs.as_object().expect("a map") {
            methods.insert(format!("{verb} {path}"), words(method, &authorizers));
        }
    }
    methods
}

/// The names of the API's authorizers by ID.
pub fn authorizers(api: &Value) -> BTreeMap<&str, &str> {
    let list = api["authorizers"].as_array().expect("a list").iter();
    list.filter_map(|found| Some((found["id"].as_str()?, found["name"].as_str()?)))
        .collect()
}

/// The descriptions of the API's deployments.
pub fn deployments(account: &Value, id: &str) -> Vec<String> {
    let list = rest_api(account, id)["deployments"]
        .as_array()
        .expect("a list");
    list.iter()
        .map(|found| found["description"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The ID of the resource with this path.
pub fn resource_id(account: &Value, id: &str, path: &str) -> String {
    let resources = rest_api(account, id)["resources"]
        .as_array()
        .expect("a list");
    let found = resources
        .iter()
        .find(|resource| resource["path"] == path)
        .expect("the resource");
    found["id"].as_str().expect("an id").to_owned()
}

/// Changes a method as another user.
pub fn change(aws: &TestAws, id: &str, verb: &str, path: &str, patches: &[(&str, &str)]) {
    let resource = resource_id(&aws.account(), id, path);
    let patches: Vec<_> = patches
        .iter()
        .map(|(path, value)| json!({"op": "replace", "path": path, "value": value}))
        .collect();
    let parameters = json!({"restApiId": id, "resourceId": resource, "httpMethod": verb, "patchOperations": patches});
    aws.call("apigateway", "UpdateMethod", parameters);
}

/// The ID of the authorizer with this name.
pub fn authorizer(account: &Value, id: &str, name: &str) -> String {
    let authorizers = authorizers(rest_api(account, id));
    let mut found = authorizers.iter().filter(|(_, found)| **found == name);
    (*found.next().expect("the authorizer").0).to_owned()
}

/// Moves the stage to a deployment as another user.
pub fn move_stage(aws: &TestAws, id: &str, stage: &str, deployment: &str) {
    let patches = json!([{"op": "replace", "path": "/deploymentId", "value": deployment}]);
    let parameters = json!({"restApiId": id, "stageName": stage, "patchOperations": patches});
    aws.call("apigateway", "UpdateStage", parameters);
}

/// Creates a stage `dev` next to `prod`, with the same deployment, as another user.
pub fn add_stage(aws: &TestAws, id: &str) {
    let deployment = stage_of(&aws.account(), id, "prod")["deploymentId"].clone();
    let parameters = json!({"restApiId": id, "stageName": "dev", "deploymentId": deployment});
    aws.call("apigateway", "CreateStage", parameters);
}

/// Deploys the API's draft to a stage as another user.
pub fn publish(aws: &TestAws, id: &str, stage: &str) -> String {
    let parameters = json!({"restApiId": id, "stageName": stage, "description": "theirs"});
    let answer = aws.call("apigateway", "CreateDeployment", parameters);
    answer["id"].as_str().expect("an id").to_owned()
}

/// The number of calls of a changing operation in the log.
pub fn count(aws: &TestAws, operation: &str) -> usize {
    aws.changes()
        .iter()
        .filter(|changed| *changed == operation)
        .count()
}

/// `before` with some methods replaced.
pub fn with(
    before: &BTreeMap<String, String>,
    changed: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let changed = changed
        .iter()
        .map(|(label, words)| ((*label).to_owned(), (*words).to_owned()));
    let mut methods = before.clone();
    methods.extend(changed);
    methods
}

/// Requires the output of a run to contain all of these texts.
#[track_caller]
pub fn assert_mentions(run: &Run, texts: &[&str]) {
    let shown = format!("{}\n{}", run.stdout, run.stderr);
    for text in texts {
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
}

/// The text for a method that uses the stack's authorizer.
pub fn ours() -> String {
    format!("CUSTOM {OURS}")
}

//! The attachment to an API that is not ours: what is taken, what is left alone, and how it is given back.

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{CONFIG, Run, TestAws, Workplace, assert_same};

/// What the name of our authorizer in an API is.
const OURS: &str = "threescale-gw-orders-authorizer";
/// The API part of [`CONFIG`], which the tests replace.
const API: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;

/// An API with everything that a method can be before us.
fn rich(name: &str) -> Value {
    json!({
        "name": name,
        "stage": "prod",
        "tags": {"owner": "orders"},
        "methods": [
            {"method": "GET", "path": "/orders"},
            {"method": "POST", "path": "/orders", "api_key_required": true},
            {"method": "OPTIONS", "path": "/orders"},
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

/// Fills an empty account; returns the APIs' ids.
fn seed(aws: &TestAws, apis: &[Value]) -> Vec<String> {
    aws.post("seed", &json!({"foreign": true}));
    let id = |api| {
        let seeded = aws.post("seed", &json!({"api": api}));
        seeded["api_id"].as_str().expect("an id").to_owned()
    };
    apis.iter().map(id).collect()
}

/// Empties the account and fills it with one [`rich`] API; returns the API's id.
fn start_over(aws: &TestAws) -> String {
    aws.check_log();
    aws.post("reset", &json!({}));
    seed(aws, &[rich("orders-api")]).remove(0)
}

/// A folder with this API part in its configuration.
fn workplace(aws: &TestAws, api: &str) -> Workplace {
    let workplace = Workplace::new(aws);
    workplace.edit(API, api);
    workplace
}

fn rest_api<'a>(account: &'a Value, id: &str) -> &'a Value {
    let apis = account["rest_apis"].as_array().expect("a list");
    apis.iter().find(|api| api["id"] == id).expect("the API")
}

fn stage_of<'a>(account: &'a Value, id: &str, name: &str) -> &'a Value {
    let stages = rest_api(account, id)["stages"].as_array().expect("a list");
    stages
        .iter()
        .find(|stage| stage["stageName"] == name)
        .expect("the stage")
}

/// A method in words: `NONE`, `CUSTOM own with a key`, `COGNITO_USER_POOLS pool for orders/read`.
fn words(method: &Value, authorizers: &BTreeMap<&str, &str>) -> String {
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

/// The methods of the draft by label, in words.
fn draft(account: &Value, id: &str) -> BTreeMap<String, String> {
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

/// The methods that the stage's deployment serves, by label, in words.
fn served(account: &Value, id: &str, stage: &str) -> BTreeMap<String, String> {
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

fn authorizers(api: &Value) -> BTreeMap<&str, &str> {
    let list = api["authorizers"].as_array().expect("a list").iter();
    list.filter_map(|found| Some((found["id"].as_str()?, found["name"].as_str()?)))
        .collect()
}

/// The descriptions of the API's deployments.
fn deployments(account: &Value, id: &str) -> Vec<String> {
    let list = rest_api(account, id)["deployments"]
        .as_array()
        .expect("a list");
    list.iter()
        .map(|found| found["description"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The id of a method's resource.
fn resource_id(account: &Value, id: &str, path: &str) -> String {
    let resources = rest_api(account, id)["resources"]
        .as_array()
        .expect("a list");
    let found = resources
        .iter()
        .find(|resource| resource["path"] == path)
        .expect("the resource");
    found["id"].as_str().expect("an id").to_owned()
}

/// Somebody else changes a method.
fn change(aws: &TestAws, id: &str, verb: &str, path: &str, patches: &[(&str, &str)]) {
    let resource = resource_id(&aws.account(), id, path);
    let patches: Vec<_> = patches
        .iter()
        .map(|(path, value)| json!({"op": "replace", "path": path, "value": value}))
        .collect();
    let parameters = json!({"restApiId": id, "resourceId": resource, "httpMethod": verb, "patchOperations": patches});
    aws.call("apigateway", "UpdateMethod", parameters);
}

/// Somebody else publishes the API's draft.
fn publish(aws: &TestAws, id: &str, stage: &str) -> String {
    let parameters = json!({"restApiId": id, "stageName": stage, "description": "theirs"});
    let answer = aws.call("apigateway", "CreateDeployment", parameters);
    answer["id"].as_str().expect("an id").to_owned()
}

/// How often an operation stands in the log.
fn count(aws: &TestAws, operation: &str) -> usize {
    aws.changes()
        .iter()
        .filter(|changed| *changed == operation)
        .count()
}

/// `before` with some methods changed.
fn with(before: &BTreeMap<String, String>, changed: &[(&str, &str)]) -> BTreeMap<String, String> {
    let changed = changed
        .iter()
        .map(|(label, words)| ((*label).to_owned(), (*words).to_owned()));
    let mut methods = before.clone();
    methods.extend(changed);
    methods
}

#[track_caller]
fn assert_mentions(run: &Run, texts: &[&str]) {
    let shown = format!("{}\n{}", run.stdout, run.stderr);
    for text in texts {
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
}

/// What a method is when it asks our authorizer.
fn ours() -> String {
    format!("CUSTOM {OURS}")
}

#[test]
fn what_each_method_becomes_and_that_it_is_given_back_exactly() {
    let aws = TestAws::start();
    let ours = ours();
    let ours = ours.as_str();
    let with_key = format!("{ours} with a key");
    let open = [
        ("GET /orders", ours),
        ("POST /orders", &with_key),
        ("GET /orders/{id}", ours),
        ("ANY /files/{proxy+}", ours),
        ("GET /health", ours),
    ];
    let left: &[&str] = &[
        "GET /internal has AWS_IAM and is left as it is; to take it, name it exactly in `api.protect`",
        "GET /me has CUSTOM and is left as it is",
        "GET /user has COGNITO_USER_POOLS and is left as it is",
    ];
    // What the configuration adds, which methods change, what `plan` says.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("", &open, left),
        (
            r#", protect: ["ANY /*"], except: ["GET /health"]"#,
            &open[..4],
            left,
        ),
        (
            r#", protect: ["ANY /*", "OPTIONS /orders"], except: ["GET /health", "ANY /files/*"]"#,
            &[open[0], open[1], open[2], ("OPTIONS /orders", ours)],
            left,
        ),
        (
            r#", protect: ["GET /orders/*", "GET /internal"]"#,
            &[open[2], ("GET /internal", ours)],
            &["GET /internal has AWS_IAM and is taken, as it is named exactly"],
        ),
        (
            r#", protect: ["GET /me", "GET /user"]"#,
            &[("GET /me", &with_key), ("GET /user", ours)],
            &[
                "GET /me has CUSTOM and is taken, as it is named exactly",
                "GET /user has COGNITO_USER_POOLS and is taken, as it is named exactly",
            ],
        ),
        (
            r#", protect: ["GET /*"], except: ["GET /orders/*"]"#,
            &[open[0], open[4]],
            left,
        ),
    ];
    for (extra, changed, says) in cases {
        let id = start_over(&aws);
        let before = aws.account();
        let workplace = workplace(
            &aws,
            &format!("api: {{name: orders-api, stage: prod{extra}}}"),
        );
        assert_mentions(&workplace.succeed(&["plan"]), says);
        workplace.succeed(&["up", "--yes"]);

        let after = aws.account();
        let expected = with(&draft(&before, &id), changed);
        assert_eq!(draft(&after, &id), expected, "{extra}");
        assert_eq!(served(&after, &id, "prod"), expected, "{extra}");
        assert_eq!(count(&aws, "UpdateMethod"), changed.len(), "{extra}");
        assert_eq!(count(&aws, "CreateDeployment"), 1, "{extra}");

        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn the_record_comes_first_then_the_methods_then_one_deployment_that_keeps_the_stage() {
    let aws = TestAws::start();
    let id = start_over(&aws);
    let before = aws.account();
    let workplace = workplace(&aws, "api: {name: orders-api, stage: prod}");
    workplace.succeed(&["up", "--yes"]);

    let log = aws.log();
    let places = |operation: &str| -> Vec<usize> {
        let all = log.iter().enumerate();
        all.filter(|(_, entry)| entry["operation"] == operation)
            .map(|(place, _)| place)
            .collect()
    };
    let recorded = log
        .iter()
        .position(|entry| {
            let name = entry["parameters"]["Name"].as_str().unwrap_or_default();
            name.contains("/attachment/") && name.ends_with("/methods-000")
        })
        .expect("the record");
    let (methods, deployed) = (places("UpdateMethod"), places("CreateDeployment"));
    assert_eq!((methods.len(), deployed.len()), (5, 1));
    assert!(recorded < methods[0], "recorded before the first change");
    assert!(methods[4] < deployed[0], "deployed behind the last change");
    let checked = places("AddPermission").into_iter().max();
    assert!(
        checked.is_some_and(|place| place < methods[0]),
        "the API is touched last"
    );

    let after = aws.account();
    let (old, mut new) = (
        stage_of(&before, &id, "prod"),
        stage_of(&after, &id, "prod").clone(),
    );
    assert_ne!(new["deploymentId"], old["deploymentId"]);
    for setting in ["description", "variables", "methodSettings", "tags"] {
        assert!(
            old[setting].is_string() || old[setting].is_object(),
            "{setting} is set: {old}"
        );
    }
    new["deploymentId"] = old["deploymentId"].clone();
    assert_eq!(new, *old);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn what_others_publish_survives_down() {
    let aws = TestAws::start();
    // Which methods are protected: open ones, one with an authorizer of its own, one with a user pool.
    for protect in [
        "",
        r#", protect: ["GET /me"]"#,
        r#", protect: ["GET /user"]"#,
    ] {
        let id = start_over(&aws);
        let before = aws.account();
        let workplace = workplace(
            &aws,
            &format!("api: {{name: orders-api, stage: prod{protect}}}"),
        );
        workplace.succeed(&["up", "--yes"]);
        let theirs = publish(&aws, &id, "prod");

        let down = workplace.succeed(&["down", "--yes"]);
        assert_mentions(
            &down,
            &["someone published the API since: the restored methods are deployed on top"],
        );
        let after = aws.account();
        assert_eq!(draft(&after, &id), draft(&before, &id), "{protect}");
        assert_eq!(
            served(&after, &id, "prod"),
            draft(&before, &id),
            "{protect}"
        );
        assert_ne!(stage_of(&after, &id, "prod")["deploymentId"], theirs);
        assert_eq!(
            deployments(&after, &id)
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>(),
            ["first release", "theirs", "threescale-gw-orders restored"]
                .map(str::to_owned)
                .into(),
            "{protect}"
        );
        assert_eq!(authorizers(rest_api(&after, &id)).len(), 2, "{protect}");
        let again = workplace.succeed(&["down", "--yes"]);
        assert_mentions(&again, &["Nothing to do"]);
    }
}

#[test]
fn what_others_changed_since_is_left_alone() {
    let aws = TestAws::start();

    // A method that was given to somebody else.
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    change(
        &aws,
        &id,
        "GET",
        "/orders",
        &[("/authorizationType", "AWS_IAM"), ("/authorizerId", "")],
    );
    let down = here.succeed(&["down", "--yes"]);
    assert_mentions(
        &down,
        &["GET /orders was changed by others since and is left as it is"],
    );
    let after = aws.account();
    assert_eq!(
        draft(&after, &id),
        with(&draft(&before, &id), &[("GET /orders", "AWS_IAM")])
    );
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
    assert_eq!(deployments(&after, &id), ["first release"]);

    // A method that is gone, and one that is gone and was made anew.
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    for path in ["/files/{proxy+}", "/orders/{id}"] {
        let resource = resource_id(&aws.account(), &id, path);
        aws.call(
            "apigateway",
            "DeleteResource",
            json!({"restApiId": id, "resourceId": resource}),
        );
    }
    let parent = resource_id(&aws.account(), &id, "/orders");
    let made = aws.call(
        "apigateway",
        "CreateResource",
        json!({"restApiId": id, "parentId": parent, "pathPart": "{id}"}),
    );
    let of = json!({"restApiId": id, "resourceId": made["id"], "httpMethod": "GET"});
    let with_type = |mut of: Value, key: &str, value: &str| {
        of[key] = json!(value);
        of
    };
    aws.call(
        "apigateway",
        "PutMethod",
        with_type(of.clone(), "authorizationType", "NONE"),
    );
    aws.call(
        "apigateway",
        "PutIntegration",
        with_type(of, "type", "MOCK"),
    );
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    let mut expected = draft(&before, &id);
    expected.remove("ANY /files/{proxy+}");
    assert_eq!(draft(&after, &id), expected);
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
}

#[test]
fn down_copes_with_an_api_a_stage_or_a_deployment_that_others_removed() {
    let aws = TestAws::start();
    let without_api = |account: &Value, id: &str| {
        let mut account = account.clone();
        if let Some(apis) = account["rest_apis"].as_array_mut() {
            apis.retain(|api| api["id"] != id);
        }
        account
    };

    // The API.
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    aws.call("apigateway", "DeleteRestApi", json!({"restApiId": id}));
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["no REST API has the name orders-api"]);
    here.succeed(&["down", "--yes"]);
    assert_same(&without_api(&before, &id), &aws.account());

    // The stage.
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    aws.call(
        "apigateway",
        "DeleteStage",
        json!({"restApiId": id, "stageName": "prod"}),
    );
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    assert_same(&without_api(&before, &id), &without_api(&after, &id));
    assert_eq!(draft(&after, &id), draft(&before, &id));
    assert_eq!(deployments(&after, &id), ["first release"]);
    assert_eq!(authorizers(rest_api(&after, &id)).len(), 2);

    // The deployment that the stage had before.
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    let former = stage_of(&before, &id, "prod")["deploymentId"].clone();
    aws.call(
        "apigateway",
        "DeleteDeployment",
        json!({"restApiId": id, "deploymentId": former}),
    );
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    assert_eq!(served(&after, &id, "prod"), draft(&before, &id));
    assert_eq!(deployments(&after, &id), ["threescale-gw-orders restored"]);
}

#[test]
fn another_stage_that_serves_our_deployment_is_reported() {
    let aws = TestAws::start();
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    let deployment = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    let parameters = json!({"restApiId": id, "stageName": "copy", "deploymentId": deployment});
    aws.call("apigateway", "CreateStage", parameters);
    let down = here.succeed(&["down", "--yes"]);
    assert_mentions(&down, &["is left: another stage serves it"]);
    let after = aws.account();
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
    assert_eq!(draft(&after, &id), draft(&before, &id));
    assert_eq!(deployments(&after, &id).len(), 2);
}

#[test]
fn methods_move_in_and_out_when_the_configuration_changes() {
    let aws = TestAws::start();
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, "api: {name: orders-api, stage: prod}");
    here.succeed(&["up", "--yes"]);
    let ours = ours();
    let ours = ours.as_str();
    let with_key = format!("{ours} with a key");
    let mut part = "api: {name: orders-api, stage: prod}".to_owned();
    // What the configuration says next, and which methods are ours then.
    let steps: &[(&str, &[(&str, &str)])] = &[
        (
            r#"except: ["ANY /files/*", "GET /health"]"#,
            &[
                ("GET /orders", ours),
                ("POST /orders", &with_key),
                ("GET /orders/{id}", ours),
            ],
        ),
        (
            r#"protect: ["GET /health", "GET /internal", "GET /user"]"#,
            &[
                ("GET /health", ours),
                ("GET /internal", ours),
                ("GET /user", ours),
            ],
        ),
        (
            r#"protect: ["POST /orders", "GET /internal"]"#,
            &[("POST /orders", &with_key), ("GET /internal", ours)],
        ),
    ];
    for (says, taken) in steps {
        let next = format!("api: {{name: orders-api, stage: prod, {says}}}");
        here.edit(&part, &next);
        part = next;
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{}", plan.stdout);
        aws.check_log();
        here.succeed(&["up", "--yes"]);
        let after = aws.account();
        let expected = with(&draft(&before, &id), taken);
        assert_eq!(draft(&after, &id), expected, "{says}");
        assert_eq!(served(&after, &id, "prod"), expected, "{says}");
        assert_eq!(count(&aws, "CreateDeployment"), 1, "{says}");
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    }
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());

    here.edit(
        &part,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /nothing"]}"#,
    );
    let nothing = here.run(&["up", "--yes"]);
    assert_eq!(nothing.code, Some(4), "{}", nothing.stderr);
    assert_mentions(
        &nothing,
        &["is protected by `api.protect` and `api.except`"],
    );
}

#[test]
fn an_api_is_meant_by_its_id_or_by_a_name_that_is_its_own() {
    let aws = TestAws::start();
    let ids = seed(&aws, &[rich("orders-api"), rich("orders-api")]);
    let before = aws.account();
    let here = workplace(&aws, API);
    for command in [&["plan"][..], &["up", "--yes"], &["status"]] {
        let run = here.run(command);
        assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
        assert_mentions(
            &run,
            &[
                "2 REST APIs have the name orders-api",
                &ids[0],
                &ids[1],
                "give `api.id`",
            ],
        );
    }
    assert!(aws.changes().is_empty());

    here.edit("name: orders-api", &format!("id: {}", ids[1]));
    here.succeed(&["up", "--yes"]);
    let after = aws.account();
    assert_eq!(draft(&after, &ids[1])["GET /orders"], ours());
    assert_eq!(rest_api(&after, &ids[0]), rest_api(&before, &ids[0]));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_stack_that_moves_to_another_api_gives_the_former_one_back() {
    let aws = TestAws::start();
    let ids = seed(&aws, &[rich("orders-api"), rich("billing-api")]);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    here.edit("name: orders-api", "name: billing-api");
    let former = format!("api-attachment/{}-prod", ids[0]);
    assert_mentions(&here.succeed(&["plan"]), &[&former, "delete"]);
    aws.check_log();
    here.succeed(&["up", "--yes"]);

    let after = aws.account();
    assert_eq!(rest_api(&after, &ids[0]), rest_api(&before, &ids[0]));
    assert_eq!(served(&after, &ids[1], "prod")["GET /orders"], ours());
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);

    // Callers of the former API are served until it is as it was: its permission goes last.
    let log = aws.log();
    let place = |operation: &str| {
        log.iter()
            .rposition(|entry| entry["operation"] == operation)
    };
    assert!(
        place("RemovePermission") > place("UpdateStage"),
        "the former API stays up meanwhile"
    );

    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_stack_that_moves_to_another_stage_gives_the_former_one_back() {
    let aws = TestAws::start();
    let id = start_over(&aws);
    let deployment = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    let parameters = json!({"restApiId": id, "stageName": "dev", "deploymentId": deployment});
    aws.call("apigateway", "CreateStage", parameters);
    let before = aws.account();
    let here = workplace(&aws, "api: {name: orders-api, stage: prod}");
    here.succeed(&["up", "--yes"]);
    here.edit(
        "api: {name: orders-api, stage: prod}",
        r#"api: {name: orders-api, stage: dev, except: ["ANY /files/*", "GET /health"]}"#,
    );
    let up = here.succeed(&["up", "--yes"]);
    assert!(!up.stderr.contains("note api-attachment"), "{}", up.stderr);

    let after = aws.account();
    let (ours, with_key) = (ours(), format!("{} with a key", ours()));
    let expected = with(
        &draft(&before, &id),
        &[
            ("GET /orders", &ours),
            ("POST /orders", &with_key),
            ("GET /orders/{id}", &ours),
        ],
    );
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
    assert_eq!(served(&after, &id, "dev"), expected);
    assert_eq!(draft(&after, &id), expected);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn two_stacks_share_an_api() {
    let aws = TestAws::start();
    // The second stack's stage and method, and whether the first one goes first.
    for (stage, first_goes_first) in [
        ("dev", false),
        ("dev", true),
        ("prod", false),
        ("prod", true),
    ] {
        let id = start_over(&aws);
        let deployment = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        let parameters = json!({"restApiId": id, "stageName": "dev", "deploymentId": deployment});
        aws.call("apigateway", "CreateStage", parameters);
        let before = aws.account();
        let one = workplace(
            &aws,
            r#"api: {name: orders-api, stage: prod, protect: ["GET /orders"]}"#,
        );
        let two = workplace(
            &aws,
            &format!(r#"api: {{name: orders-api, stage: {stage}, protect: ["POST /orders"]}}"#),
        );
        two.edit(
            "stack: orders",
            "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
        );
        one.succeed(&["up", "--yes"]);
        two.succeed(&["up", "--yes"]);
        let after = aws.account();
        assert_eq!(served(&after, &id, "prod")["GET /orders"], ours());
        let partners = "CUSTOM threescale-gw-partners-authorizer with a key";
        assert_eq!(served(&after, &id, stage)["POST /orders"], partners);
        for stack in [&one, &two] {
            let plan = stack.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(0), "{stage}: {}", plan.stdout);
        }

        let (first, last) = if first_goes_first {
            (&one, &two)
        } else {
            (&two, &one)
        };
        first.succeed(&["down", "--yes"]);
        let plan = last.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{stage}: {}", plan.stdout);
        last.succeed(&["down", "--yes"]);
        let after = aws.account();
        assert_eq!(draft(&after, &id), draft(&before, &id), "{stage}");
        assert_eq!(served(&after, &id, "prod"), draft(&before, &id), "{stage}");
        assert_eq!(served(&after, &id, "dev"), draft(&before, &id), "{stage}");
        if stage == "dev" || !first_goes_first {
            assert_same(&before, &after);
        }
    }
}

/// Somebody deletes a parameter of the attachment's record.
fn forget(aws: &TestAws, id: &str, part: &str) {
    let name = format!("/threescale-gw/orders/attachment/{id}/prod/{part}");
    aws.call("ssm", "DeleteParameter", json!({"Name": name}));
}

#[test]
fn a_record_that_was_lost_is_found_out_from_the_deployment_before() {
    let aws = TestAws::start();
    for repaired in [true, false] {
        let id = start_over(&aws);
        let before = aws.account();
        let here = workplace(
            &aws,
            r#"api: {name: orders-api, stage: prod, protect: ["GET /orders", "POST /orders", "GET /internal"]}"#,
        );
        here.succeed(&["up", "--yes"]);
        forget(&aws, &id, "methods-000");
        if repaired {
            let plan = here.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(3), "{}", plan.stdout);
            assert_mentions(&plan, &["record: lacks 3 methods -> whole"]);
            here.succeed(&["up", "--yes"]);
            let plan = here.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(0), "{}", plan.stdout);
        }
        here.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn down_leaves_the_api_as_it_is_while_it_cannot_be_given_back() {
    let aws = TestAws::start();
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /orders", "GET /me"]}"#,
    );
    here.succeed(&["up", "--yes"]);
    let whole = aws.account();
    forget(&aws, &id, "methods-000");
    let down = here.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(5), "{}", down.stderr);
    assert_mentions(&down, &["what GET /me was before us is not recorded"]);
    let after = aws.account();
    assert_eq!(rest_api(&after, &id), rest_api(&whole, &id));
    assert_eq!(
        after["functions"], whole["functions"],
        "the authorizer still answers"
    );
    assert_eq!(after["replication_groups"], whole["replication_groups"]);
    assert_eq!(after["nat_gateways"], whole["nat_gateways"]);

    let own = authorizers(rest_api(&before, &id))
        .into_iter()
        .find_map(|(id, name)| (name == "own").then(|| id.to_owned()))
        .expect("its own authorizer");
    change(&aws, &id, "GET", "/me", &[("/authorizerId", &own)]);
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_record_without_its_head_is_repaired() {
    let aws = TestAws::start();
    let id = start_over(&aws);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    forget(&aws, &id, "head");
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);
    here.succeed(&["up", "--yes"]);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    // Nobody knows which deployment it was, so the API as it was is deployed anew.
    let after = aws.account();
    assert_eq!(draft(&after, &id), draft(&before, &id));
    assert_eq!(served(&after, &id, "prod"), draft(&before, &id));
}

#[test]
fn three_hundred_methods_are_recorded_in_parts_and_deployed_once() {
    let aws = TestAws::start();
    let methods: Vec<_> = (0..300)
        .map(|n| json!({"method": "GET", "path": format!("/orders-by-region-and-customer-{n:03}"), "api_key_required": n % 2 == 0}))
        .collect();
    aws.post("config", &json!({"page_size": 100}));
    let id = seed(
        &aws,
        &[json!({"name": "orders-api", "stage": "prod", "methods": methods})],
    )
    .remove(0);
    let before = aws.account();
    let here = Workplace::new(&aws);
    here.succeed(&["up", "--yes"]);
    let records: Vec<_> = aws
        .log()
        .iter()
        .filter(|entry| entry["operation"] == "PutParameter")
        .filter_map(|entry| entry["parameters"]["Name"].as_str().map(str::to_owned))
        .filter(|name| name.contains("/methods-"))
        .collect();
    assert!(records.len() > 5, "{records:?}");
    assert_eq!(count(&aws, "UpdateMethod"), 300);
    assert_eq!(count(&aws, "CreateDeployment"), 1);
    assert!(
        served(&aws.account(), &id, "prod")
            .values()
            .all(|words| words.starts_with(&ours()))
    );
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn the_configuration_of_these_tests_is_the_shared_one() {
    assert!(CONFIG.contains(API));
}

//! A deployment publishes the API's whole draft. Undeployed edits of other users are reported, and are published only
//! on request.

use crate::support::rest_api::{assert_mentions, draft, seed, served, workplace};
use crate::support::{TestAws, assert_same};
use serde_json::{Value, json};

const HERE: &str = "api: {name: orders-api, stage: prod}";

fn api(pending: &Value, tags: &Value) -> Value {
    json!({
        "name": "orders-api", "stage": "prod", "tags": tags, "minimum_compression_size": 1024,
        "methods": [
            {"method": "GET", "path": "/orders"},
            {"method": "POST", "path": "/orders"},
            {"method": "OPTIONS", "path": "/orders", "integration": crate::support::cors()},
            {"method": "GET", "path": "/me", "authorization_type": "AWS_IAM"},
            {"method": "GET", "path": "/key", "authorization_type": "AWS_IAM", "api_key_required": true},
            {"method": "GET", "path": "/own", "authorizer": "own"},
            {"method": "PUT", "path": "/orders", "request_validator": "all", "request_models": {"application/json": "Order"},
             "request_parameters": {"method.request.querystring.page": false, "method.request.header.X-Id": true}},
        ],
        "models": [
            {"name": "Order", "schema": {"type": "object", "required": ["b", "a"], "properties": {
                "item": {"$ref": "https://apigateway.amazonaws.com/restapis/any/models/Item"}}}},
            {"name": "Item", "schema": {"type": "object"}},
        ],
        "request_validators": [{"name": "all", "body": true, "parameters": true}, {"name": "none"}],
        // The gateway responses that the console's "Enable CORS" and frameworks create for errors: only headers.
        "gateway_responses": {
            "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}},
            "DEFAULT_5XX": {"responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}},
            "INVALID_API_KEY": {"responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}},
        },
        "pending": pending,
    })
}

/// Edits in the format of the seed, each with the text that reports it.
fn edits() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"method": "GET", "path": "/new"}), "GET /new is new"),
        (json!({"remove": "POST /orders"}), "POST /orders is removed"),
        (
            json!({"change": "GET /me", "authorization_type": "NONE"}),
            "GET /me: authorization AWS_IAM -> NONE",
        ),
        (
            json!({"change": "GET /key", "api_key_required": false}),
            "GET /key: no API key is required any more",
        ),
        (
            json!({"change": "GET /orders", "api_key_required": true}),
            "GET /orders: an API key is required",
        ),
        (
            json!({"change": "GET /own", "authorizer": "another"}),
            "GET /own: another authorizer",
        ),
        (
            json!({"change": "GET /orders", "integration": {"type": "HTTP_PROXY", "uri": "https://example.com/", "integrationHttpMethod": "GET"}}),
            "GET /orders: integration changed",
        ),
        (
            json!({"settings": {"/minimumCompressionSize": "10"}}),
            "the API's minimum compression size changed",
        ),
        (
            json!({"change": "PUT /orders", "to": {"/requestParameters/method.request.querystring.page": "true"}}),
            "PUT /orders: request changed (parameters)",
        ),
        (
            json!({"update_authorizer": "own", "to": {"/authorizerResultTtlInSeconds": "60"}}),
            "GET /own: the settings of its authorizer changed",
        ),
        (
            json!({"validator": "all", "to": {"/validateRequestParameters": "false"}}),
            "request validator all changed",
        ),
        (
            json!({"model": "Item", "schema": {"type": "array"}}),
            "model Item changed",
        ),
        (
            json!({"gateway_responses": {"THROTTLED": {"statusCode": "503"}}}),
            "gateway response THROTTLED is new",
        ),
    ]
}

#[test]
fn each_kind_of_edit_is_told_and_refused_and_then_published_on_demand() {
    let aws = TestAws::start();
    for (edit, words) in edits() {
        aws.check_log();
        aws.post("reset", &json!({}));
        // `/me` is excepted, because the stack would otherwise protect it once it is open.
        let id = seed(&aws, &[api(&json!([edit]), &json!({}))]).remove(0);
        let here = workplace(
            &aws,
            r#"api: {name: orders-api, stage: prod, except: ["GET /me"]}"#,
        );
        let before = aws.account();

        let plan = here.run(&["plan", "-o", "json"]).json();
        let told = plan["pending"].as_array().expect("a list").clone();
        assert_eq!(told.len(), 1, "{words}: {told:?}");
        assert!(
            told[0].as_str().expect("text").starts_with(words),
            "{words}: {told:?}"
        );
        assert_mentions(
            &here.run(&["plan"]),
            &["also publishes undeployed changes of others", words],
        );

        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(4), "{words}: {}", up.stderr);
        assert_mentions(&up, &["1 edit of others", words, "--publish-pending"]);
        assert_same(&before, &aws.account());

        here.succeed(&["up", "--yes", "--publish-pending"]);
        let after = aws.account();
        assert_eq!(served(&after, &id, "prod"), draft(&after, &id), "{words}");
        // No edits of other users remain: a second plan has no changes and reports no edits.
        let plan = here.run(&["plan", "--exit-code", "-o", "json"]);
        assert_eq!(
            (plan.code, plan.json()["pending"].clone()),
            (Some(0), json!([])),
            "{words}"
        );
        // The previous deployment lacks the edit, so moving the stage back to it would undo the edit.
        let down = here.succeed(&["down", "--yes"]);
        assert_mentions(
            &down,
            &["changes of others were published with this stack's deployment"],
        );
        let restored = aws.account();
        assert_eq!(draft(&restored, &id), draft(&before, &id), "{words}");
        assert_eq!(
            served(&restored, &id, "prod"),
            draft(&before, &id),
            "{words}"
        );
    }
}

#[test]
fn without_edits_there_is_nothing_to_say_and_ours_are_none() {
    let aws = TestAws::start();
    seed(&aws, &[api(&json!([]), &json!({}))]);
    let here = workplace(&aws, HERE);
    assert_eq!(
        here.run(&["plan", "-o", "json"]).json()["pending"],
        json!([])
    );
    here.succeed(&["up", "--yes"]);
    // The second change follows a deployment of the same stack.
    here.edit("stage: prod}", "stage: prod, except: [\"POST /orders\"]}");
    let plan = here.run(&["plan", "-o", "json"]).json();
    assert_eq!(plan["pending"], json!([]));
    here.succeed(&["up", "--yes"]);
}

#[test]
fn an_edit_that_comes_while_the_plan_is_read_is_not_published() {
    let aws = TestAws::start();
    let id = seed(&aws, &[api(&json!([]), &json!({}))]).remove(0);
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, except: ["GET /me"]}"#,
    );
    // The lock is acquired after the plan. While that call is held, another user edits the API.
    aws.post(
        "faults",
        &json!([{"service": "ssm", "operation": "PutParameter", "nth": 1, "kind": "hold"}]),
    );
    let child = here.start(&["up", "--yes"]);
    aws.get("held?timeout=60");
    crate::support::rest_api::change(&aws, &id, "GET", "/me", &[("/authorizationType", "NONE")]);
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    let up = crate::support::Run::of(child.wait_with_output().expect("it ends"));
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["the account changed since the plan was shown"]);
}

#[test]
fn an_edit_that_comes_while_the_stack_is_made_is_not_published() {
    let aws = TestAws::start();
    let id = seed(&aws, &[api(&json!([]), &json!({}))]).remove(0);
    let before = aws.account();
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, except: ["GET /me"]}"#,
    );
    let open = || {
        crate::support::rest_api::change(&aws, &id, "GET", "/me", &[("/authorizationType", "NONE")])
    };
    let rule = json!({"operation": "CreateReplicationGroup", "kind": "hold"});
    let up = here.run_with(&aws, &["up", "--yes"], &rule, open);
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    let words = "GET /me: authorization AWS_IAM -> NONE";
    assert_mentions(&up, &["the API was changed concurrently", words]);
    let after = aws.account();
    assert_eq!(served(&after, &id, "prod"), draft(&before, &id));
    let next = here.run(&["up", "--yes"]);
    assert_eq!(next.code, Some(4), "{}", next.stderr);
    assert_mentions(&next, &[words, "--publish-pending"]);
    here.succeed(&["up", "--yes", "--publish-pending"]);
    assert_eq!(served(&aws.account(), &id, "prod")["GET /me"], "NONE");
}

/// The comparison is repeated after the stack has changed many methods, right before the deployment.
#[test]
fn an_edit_that_comes_while_the_methods_are_changed_is_not_published() {
    let aws = TestAws::start();
    let mut many = api(&json!([]), &json!({}));
    let methods = many["methods"].as_array_mut().expect("a list");
    let more = (0..12).map(|n| json!({"method": "GET", "path": format!("/more-{n}")}));
    methods.extend(more);
    let id = seed(&aws, &[many]).remove(0);
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, except: ["GET /me"]}"#,
    );
    let before = served(&aws.account(), &id, "prod");
    let last = json!({"operation": "UpdateMethod", "nth": 13, "kind": "hold"});
    let up = here.run_with(&aws, &["up", "--yes"], &last, || {
        crate::support::rest_api::change(
            &aws,
            &id,
            "GET",
            "/me",
            &[("/authorizationType", "NONE")],
        );
    });
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    assert_mentions(
        &up,
        &["the API was changed concurrently: GET /me: authorization AWS_IAM -> NONE"],
    );
    assert_eq!(served(&aws.account(), &id, "prod"), before);
    here.succeed(&["up", "--yes", "--publish-pending"]);
}

/// A member that the export has and the draft does not show is an edit: its meaning is not known.
#[test]
fn a_member_that_is_not_known_is_an_edit() {
    let aws = TestAws::start();
    seed(&aws, &[api(&json!([]), &json!({}))]);
    let here = workplace(&aws, HERE);
    let adds =
        |value: &Value| json!({"export_adds": {"integration": value, "methods": ["GET /orders"]}});
    // A default that older imports lack makes no difference.
    aws.post(
        "config",
        &adds(&json!({"responseTransferMode": "BUFFERED"})),
    );
    let plan = here.succeed(&["plan"]);
    assert!(
        !plan.stdout.contains("integration changed"),
        "{}",
        plan.stdout
    );
    aws.post("config", &adds(&json!({"inventedIn2027": "x"})));
    let plan = here.run(&["plan"]);
    assert_mentions(
        &plan,
        &["GET /orders: integration changed (inventedIn2027)"],
    );
    let adds = json!({"export_adds": {"methods": ["GET /orders"], "integration": {},
        "method": {"x-amazon-apigateway-invented-in": "2027"}, "document": {"x-amazon-apigateway-invented": 2028}}});
    aws.post("config", &adds);
    let plan = here.run(&["plan"]);
    let told = [
        "GET /orders: request changed (invented-in)",
        "the API's invented changed",
    ];
    assert_mentions(&plan, &told);
}

#[test]
fn an_api_of_another_tool_is_told_of() {
    let aws = TestAws::start();
    for (tags, maker) in [
        (
            json!({"aws:cloudformation:stack-name": "shop"}),
            "CloudFormation (stack shop)",
        ),
        (
            json!({"aws:cloudformation:stack-name": "shop", "lambda:createdBy": "SAM"}),
            "SAM (stack shop)",
        ),
        (
            json!({"aws:cloudformation:stack-name": "shop", "STAGE": "dev"}),
            "the Serverless Framework (stack shop)",
        ),
        (json!({"ManagedBy": "Terraform"}), "Terraform"),
    ] {
        aws.check_log();
        aws.post("reset", &json!({}));
        seed(&aws, &[api(&json!([]), &tags)]);
        let plan = workplace(&aws, HERE).succeed(&["plan"]);
        assert_mentions(
            &plan,
            &[maker, "may remove the authorizer", "`up` repairs it"],
        );
    }
}

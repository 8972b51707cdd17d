//! Refused callers receive 3scale's texts. Gateway responses that other users customized remain unchanged.

use crate::support::rest_api::{account, assert_mentions, call, rest_api, seed, stack, workplace};
use crate::support::{TestAws, assert_same};
use serde_json::{Value, json};

const HERE: &str = "api: {name: orders-api, stage: prod}";

/// The API's own gateway responses by type.
fn responses(account: &Value, id: &str) -> Value {
    let list = rest_api(account, id)["gateway_responses"]
        .as_array()
        .expect("a list");
    let by_type = list.iter().map(|response| {
        let kind = response["responseType"].as_str().expect("a type");
        (kind.to_owned(), response.clone())
    });
    Value::Object(by_type.collect())
}

fn put(aws: &TestAws, id: &str, kind: &str, status: &str) {
    aws.call(
        "apigateway",
        "PutGatewayResponse",
        json!({"restApiId": id, "responseType": kind, "statusCode": status, "responseTemplates": {"application/json": "{\"theirs\":\"{{a}}\"}"}}),
    );
}

#[test]
fn callers_read_the_reason_and_when_to_come_again() {
    let (aws, id, _) = stack(HERE);

    let (status, body, headers) = call(&aws, &id, "/orders", None);
    assert_eq!(
        (status, &body["error"]),
        (401, &json!("credential_missing"))
    );
    assert_eq!(body["message"], "Authentication parameters missing");
    // The API has OPTIONS methods, so browsers call it and the response includes CORS headers.
    assert_eq!(headers["access-control-allow-origin"], "*");

    let (status, body, _) = call(&aws, &id, "/orders", Some("nobody"));
    assert_eq!((status, &body["error"]), (403, &json!("user_key_invalid")));

    aws.post(
        "config",
        &json!({"authorizer_context": {"reason": "limits_exceeded", "message": "Usage limit exceeded", "retry_after": "17",
                                       "limit_remaining": "0", "limit_reset": "17"}}),
    );
    let (status, body, headers) = call(&aws, &id, "/orders", Some("nobody"));
    assert_eq!((status, &body["error"]), (403, &json!("limits_exceeded")));
    assert_eq!(body["message"], "Usage limit exceeded");
    assert_eq!(headers["retry-after"], "17");
    assert_eq!(headers["ratelimit-remaining"], "0");
    assert_eq!(headers["ratelimit-reset"], "17");

    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let failed = || {
        let (status, body, headers) = call(&aws, &id, "/orders", Some("nobody"));
        assert_eq!(
            (status, &body["error"]),
            (503, &json!("authorizer_failure"))
        );
        assert_eq!(headers["retry-after"], "5");
        assert_eq!(headers["access-control-expose-headers"], "Retry-After");
        assert_ne!(body["message"], "Authentication failed");
    };
    failed();
    // What is no fault of the caller is a failure, too.
    aws.post(
        "config",
        &json!({"outcomes": {"authorizer": null}, "authorizer_context": {"reason": "backend_unavailable"}}),
    );
    failed();
}

#[test]
fn a_usage_plan_gets_its_key_from_the_authorizer() {
    const IN_PLAN: &str = "a-key-of-the-usage-plan";
    let aws = TestAws::start();
    let api = json!({
        "name": "orders-api", "stage": "prod", "api_key_source": "AUTHORIZER",
        "methods": [{"method": "GET", "path": "/orders", "api_key_required": true}, {"method": "GET", "path": "/health"}],
    });
    let id = seed(&aws, &[api]).remove(0);
    let made = |operation: &str, parameters: Value| {
        let made = aws.call("apigateway", operation, parameters);
        made["id"].as_str().expect("an id").to_owned()
    };
    let key = json!({"name": "orders", "value": IN_PLAN, "enabled": true});
    let key = made("CreateApiKey", key);
    let plan = json!({"name": "orders", "apiStages": [{"apiId": id, "stage": "prod"}]});
    let plan = made("CreateUsagePlan", plan);
    aws.call(
        "apigateway",
        "CreateUsagePlanKey",
        json!({"usagePlanId": plan, "keyId": key, "keyType": "API_KEY"}),
    );
    aws.post("config", &json!({"valid_keys": [IN_PLAN, "another-key"]}));
    let here = workplace(&aws, HERE);
    let refused = "every request to GET /orders would be refused; set `api.usage_key`";
    assert_mentions(&here.succeed(&["plan"]), &[refused]);
    here.edit("stage: prod", "stage: prod, usage_key: user_key");
    let up = here.succeed(&["up", "--yes"]);
    assert!(!up.stderr.contains("usage_key"), "{}", up.stderr);
    let status = |key| call(&aws, &id, "/orders", Some(key)).0;
    assert_eq!((status(IN_PLAN), status("another-key")), (200, 403));
}

#[test]
fn down_and_the_switch_give_back_what_was_there() {
    for switched_off in [true, false] {
        let (aws, id) = account();
        put(&aws, &id, "THROTTLED", "503");
        put(&aws, &id, "ACCESS_DENIED", "418");
        crate::support::rest_api::publish(&aws, &id, "prod");
        let before = aws.account();
        // A gateway response that the configuration names is replaced even if another user customized it.
        let named =
            r#"api: {name: orders-api, stage: prod, responses: [ACCESS_DENIED, UNAUTHORIZED]}"#;
        let here = workplace(&aws, named);
        let plan = here.succeed(&["plan"]);
        assert_mentions(&plan, &["gateway response ACCESS_DENIED -> 3scale's texts"]);
        here.succeed(&["up", "--yes"]);
        let after = aws.account();
        assert_eq!(responses(&after, &id)["ACCESS_DENIED"]["statusCode"], "403");
        assert_eq!(responses(&after, &id)["AUTHORIZER_FAILURE"], Value::Null);
        assert_eq!(
            responses(&after, &id)["THROTTLED"],
            responses(&before, &id)["THROTTLED"]
        );
        assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
        if switched_off {
            here.edit("[ACCESS_DENIED, UNAUTHORIZED]", "false");
            let plan = here.run(&["plan"]);
            assert_mentions(
                &plan,
                &[
                    "response ACCESS_DENIED: 3scale's texts -> as before",
                    "deployment",
                ],
            );
            here.succeed(&["up", "--yes"]);
            assert_eq!(responses(&aws.account(), &id), responses(&before, &id));
            assert_eq!(call(&aws, &id, "/orders", Some("nobody")).0, 418);
            assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
        }
        here.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn what_others_made_is_left_unless_named_and_what_they_changed_since_too() {
    let (aws, id) = account();
    put(&aws, &id, "ACCESS_DENIED", "418");
    crate::support::rest_api::publish(&aws, &id, "prod");
    let before = aws.account();
    let here = workplace(&aws, HERE);
    let plan = here.succeed(&["plan"]);
    assert_mentions(
        &plan,
        &["ACCESS_DENIED is not managed by this stack and stays unchanged"],
    );
    here.succeed(&["up", "--yes"]);
    assert_eq!(
        responses(&aws.account(), &id)["ACCESS_DENIED"],
        responses(&before, &id)["ACCESS_DENIED"]
    );
    assert_eq!(
        call(&aws, &id, "/orders", None).1["error"],
        "credential_missing"
    );

    put(&aws, &id, "UNAUTHORIZED", "499");
    let theirs = responses(&aws.account(), &id)["UNAUTHORIZED"].clone();
    let up = here.succeed(&["up", "--yes"]);
    assert!(!up.stderr.contains("updated"), "{}", up.stderr);
    let down = here.succeed(&["down", "--yes"]);
    assert_mentions(
        &down,
        &[
            "the gateway response UNAUTHORIZED was changed by another user since and stays unchanged",
        ],
    );
    let after = aws.account();
    assert_eq!(responses(&after, &id)["UNAUTHORIZED"], theirs);
    assert_eq!(responses(&after, &id)["AUTHORIZER_FAILURE"], Value::Null);
}

#[test]
fn headers_that_a_type_inherits_are_kept() {
    let (aws, id) = account();
    aws.call(
        "apigateway",
        "PutGatewayResponse",
        json!({"restApiId": id, "responseType": "DEFAULT_4XX",
               "responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://shop.example'",
                                      "gatewayresponse.header.X-Served-By": "'shop'"}}),
    );
    crate::support::rest_api::publish(&aws, &id, "prod");
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    for key in [None, Some("nobody")] {
        let (_, _, headers) = call(&aws, &id, "/orders", key);
        assert_eq!(
            headers["access-control-allow-origin"],
            "https://shop.example"
        );
        assert_eq!(headers["x-served-by"], "shop");
    }
}

#[test]
fn one_that_is_not_served_any_more_is_drift_that_up_repairs() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    let protected = aws.account();
    // A change that exists only in the draft has no effect on callers and is not reported.
    let parameters = json!({"restApiId": id, "responseType": "ACCESS_DENIED"});
    aws.call("apigateway", "DeleteGatewayResponse", parameters);
    assert_eq!(here.run(&["status", "--exit-code"]).code, Some(0));
    crate::support::rest_api::publish(&aws, &id, "prod");
    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(3));
    assert_mentions(
        &status,
        &["response ACCESS_DENIED: API Gateway's -> 3scale's texts"],
    );
    here.succeed(&["up", "--yes"]);
    assert_eq!(responses(&aws.account(), &id), responses(&protected, &id));
    assert_eq!(
        call(&aws, &id, "/orders", Some("nobody")).1["error"],
        "user_key_invalid"
    );
    here.succeed(&["down", "--yes"]);
    assert_eq!(responses(&aws.account(), &id), responses(&before, &id));
}

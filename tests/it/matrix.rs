//! APIs of many shapes: `plan` is correct, `up` protects what the plan lists, and `down` restores every attribute.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::rest_api::{
    add_stage, assert_mentions, draft, ours, seed, served, stage_of, workplace,
};
use crate::support::{TestAws, assert_same};
use serde_json::{Value, json};

/// One API: its seed, its configuration, and the methods that the stack protects.
struct Shape {
    name: &'static str,
    api: Value,
    /// Additional keys of the configuration's `api` section.
    config: &'static str,
    protected: &'static [&'static str],
    /// Texts that `plan` must print.
    told: &'static [&'static str],
}

fn api(methods: Value) -> Value {
    json!({"name": "orders-api", "stage": "prod", "methods": methods})
}

fn with(mut api: Value, more: Value) -> Value {
    if let (Some(api), Some(more)) = (api.as_object_mut(), more.as_object()) {
        api.extend(more.clone());
    }
    api
}

fn shapes() -> Vec<Shape> {
    let orders =
        || json!([{"method": "GET", "path": "/orders"}, {"method": "POST", "path": "/orders"}]);
    let both: &[&str] = &["GET /orders", "POST /orders"];
    let shape = |name, api, protected| Shape {
        name,
        api,
        config: "",
        protected,
        told: &[],
    };
    vec![
        shape(
            "the root alone",
            api(json!([{"method": "ANY", "path": "/"}])),
            &["ANY /"],
        ),
        shape(
            "nested and greedy paths",
            api(json!([
                {"method": "GET", "path": "/a/{b}/c/{d}"},
                {"method": "ANY", "path": "/a/{b}/{rest+}"},
                {"method": "ANY", "path": "/{proxy+}"},
            ])),
            &["ANY /a/{b}/{rest+}", "ANY /{proxy+}", "GET /a/{b}/c/{d}"],
        ),
        Shape {
            config: r#", except: ["GET /orders"]"#,
            ..shape(
                "API keys and usage plans",
                with(
                    api(json!([
                        {"method": "GET", "path": "/orders", "api_key_required": true},
                        {"method": "POST", "path": "/orders", "api_key_required": true},
                    ])),
                    json!({"usage_plans": [{"name": "gold", "keys": [{"name": "k", "value": "a-key-of-more-than-20-characters"}]}]}),
                ),
                &["POST /orders"],
            )
        },
        Shape {
            told: &["GET /iam has AWS_IAM and stays unchanged"],
            ..shape(
                "AWS_IAM left alone",
                api(
                    json!([{"method": "GET", "path": "/iam", "authorization_type": "AWS_IAM"}, {"method": "GET", "path": "/orders"}]),
                ),
                &["GET /orders"],
            )
        },
        Shape {
            config: r#", protect: ["GET /iam"]"#,
            told: &[
                "GET /iam has AWS_IAM and will be protected",
                "GET /iam: AWS_IAM -> protected",
            ],
            ..shape(
                "AWS_IAM named",
                api(
                    json!([{"method": "GET", "path": "/iam", "authorization_type": "AWS_IAM"}, {"method": "GET", "path": "/orders"}]),
                ),
                &["GET /iam"],
            )
        },
        Shape {
            config: r#", protect: ["GET /user", "GET /me"]"#,
            told: &[
                "GET /user: COGNITO_USER_POOLS -> protected",
                "GET /me: CUSTOM -> protected",
            ],
            ..shape(
                "Cognito with scopes, and another Lambda authorizer, named",
                api(json!([
                    {"method": "GET", "path": "/user", "authorizer": "pool", "authorization_type": "COGNITO_USER_POOLS",
                     "scopes": ["orders/read", "orders/write"]},
                    {"method": "GET", "path": "/me", "authorizer": "own"},
                    {"method": "GET", "path": "/open"},
                ])),
                &["GET /me", "GET /user"],
            )
        },
        shape(
            "models, validators and OPTIONS mocks",
            with(
                api(json!([
                    {"method": "GET", "path": "/orders", "request_validator": "all", "request_models": {"application/json": "Order"},
                     "response_models": {"application/json": "Order"}, "request_parameters": {"method.request.querystring.page": false}},
                    {"method": "POST", "path": "/orders"},
                    {"method": "OPTIONS", "path": "/orders"},
                ])),
                json!({"models": [{"name": "Order", "schema": {"type": "object"}}],
                       "request_validators": [{"name": "all", "body": true, "parameters": true}]}),
            ),
            both,
        ),
        shape(
            "a stage with a cache, variables and settings",
            with(
                api(orders()),
                json!({"stage_settings": {"description": "live", "variables": {"a": "b"}, "tags": {"t": "u"}, "cache_cluster_size": "0.5",
                       "patches": {"/*/*/throttling/rateLimit": "50", "/*/*/metrics/enabled": "true"}}}),
            ),
            both,
        ),
        shape(
            "a canary release that answers nothing",
            with(
                api(orders()),
                json!({"stage_settings": {"canary": {"percent_traffic": 0, "variables": {"c": "d"}}}}),
            ),
            both,
        ),
        Shape {
            told: &["is managed by CloudFormation (stack shop)"],
            ..shape(
                "an API of another tool, with settings of its own",
                with(
                    api(orders()),
                    json!({"tags": {"aws:cloudformation:stack-name": "shop"}, "binary_media_types": ["image/png"],
                           "minimum_compression_size": 1024, "api_key_source": "HEADER", "endpoint_type": "REGIONAL"}),
                ),
                both,
            )
        },
    ]
}

/// The methods that the plan marks as protected.
fn planned(plan: &str) -> BTreeSet<String> {
    let lines = plan
        .lines()
        .filter_map(|line| line.trim().strip_suffix(" -> protected"));
    lines
        .filter_map(|line| Some(line.rsplit_once(": ")?.0.to_owned()))
        .collect()
}

#[test]
fn every_shape_is_told_protected_and_restored() {
    let aws = TestAws::start();
    for shape in shapes() {
        let name = shape.name;
        aws.check_log();
        aws.post("reset", &json!({}));
        let id = seed(&aws, &[shape.api]).remove(0);
        let before = aws.account();
        let here = workplace(
            &aws,
            &format!("api: {{name: orders-api, stage: prod{}}}", shape.config),
        );
        let expected: BTreeSet<_> = shape
            .protected
            .iter()
            .map(|label| (*label).to_owned())
            .collect();

        let plan = here.succeed(&["plan"]);
        assert_eq!(planned(&plan.stdout), expected, "{name}");
        assert_mentions(&plan, shape.told);
        assert!(
            !plan.stdout.contains("also publishes"),
            "{name}: {}",
            plan.stdout
        );

        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(0), "{name}: {}", up.stderr);
        let after = aws.account();
        let was = draft(&before, &id);
        for (label, words) in served(&after, &id, "prod") {
            if expected.contains(&label) {
                assert!(words.starts_with(&ours()), "{name}: {label} is {words}");
            } else {
                assert_eq!(words, was[&label], "{name}: {label}");
            }
        }
        // The stage keeps all of its settings, and every method keeps everything except its authorization.
        let settings = |account: &Value| {
            let mut stage = stage_of(account, &id, "prod").clone();
            stage["deploymentId"] = Value::Null;
            stage
        };
        assert_eq!(settings(&after), settings(&before), "{name}");
        assert_eq!(bare(&after, &id), bare(&before, &id), "{name}");
        assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0), "{name}");

        here.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

/// What the console, frameworks and teams add to an API over the years, all of it in one API.
#[test]
fn an_api_with_everything_is_protected_and_restored() {
    let aws = TestAws::start();
    let cors = json!({"responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}});
    let template = json!({"type": "HTTP", "uri": "https://backend.example.com/orders", "integrationHttpMethod": "GET",
        "requestTemplates": {"application/json": null},
        "responses": [{"statusCode": "200", "responseTemplates": {"application/json": null}}]});
    let everything = with(
        api(json!([
            {"method": "GET", "path": "/orders", "integration": template,
             "request_parameters": {"method.request.querystring.page": false}},
            {"method": "POST", "path": "/orders", "api_key_required": true, "request_validator": "all",
             "request_models": {"application/json": "Order"}, "response_models": {"application/json": "Order"}, "operation_name": "add"},
            {"method": "OPTIONS", "path": "/orders", "integration": crate::support::cors()},
            {"method": "ANY", "path": "/files/{proxy+}", "request_parameters": {"method.request.path.proxy": true}},
            {"method": "GET", "path": "/internal", "authorization_type": "AWS_IAM"},
            {"method": "GET", "path": "/me", "authorizer": "own"},
            {"method": "GET", "path": "/you", "authorizer": "another"},
            {"method": "GET", "path": "/user", "authorizer": "pool", "authorization_type": "COGNITO_USER_POOLS", "scopes": ["orders/read"]},
        ])),
        json!({
            "tags": {"team": "orders"}, "binary_media_types": ["image/png"], "minimum_compression_size": 1024,
            "models": [{"name": "Order", "schema": {"$schema": "http://json-schema.org/draft-04/schema#", "title": "Order", "type": "object"}}],
            "request_validators": [{"name": "all", "body": true, "parameters": true}],
            "authorizers": {"another": {"type": "TOKEN", "authorizerResultTtlInSeconds": null}},
            "gateway_responses": {"DEFAULT_4XX": cors, "DEFAULT_5XX": cors, "UNAUTHORIZED": cors},
            "usage_plans": [{"name": "gold", "keys": [{"name": "k", "value": "a-key-of-twenty-characters"}],
                             "throttle": {"rateLimit": 10.0, "burstLimit": 20}}],
            "stage_settings": {"variables": {"backend": "v2"}, "patches": {"/*/*/throttling/rateLimit": "50"},
                               "canary": {"percent_traffic": 0, "variables": {"c": "d"}}},
        }),
    );
    let id = seed(&aws, &[everything]).remove(0);
    add_stage(&aws, &id);
    let domain = json!({"domainName": "api.example.com", "certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/a"});
    aws.call("apigateway", "CreateDomainName", domain);
    let mapping = json!({"domainName": "api.example.com", "restApiId": id, "basePath": "orders", "stage": "prod"});
    aws.call("apigateway", "CreateBasePathMapping", mapping);
    let mappings = || {
        let domain = json!({"domainName": "api.example.com"});
        aws.call("apigateway", "GetBasePathMappings", domain)
    };
    let (before, mapped) = (aws.account(), mappings());
    let here = workplace(&aws, "api: {name: orders-api, stage: prod}");

    let plan = here.succeed(&["plan"]);
    let open = ["ANY /files/{proxy+}", "GET /orders", "POST /orders"];
    assert_eq!(planned(&plan.stdout), open.map(str::to_owned).into());
    assert!(!plan.stdout.contains("also publishes"), "{}", plan.stdout);
    here.succeed(&["up", "--yes"]);
    let after = aws.account();
    assert_eq!(bare(&after, &id), bare(&before, &id));
    assert_eq!(served(&after, &id, "dev"), served(&before, &id, "dev"));
    here.succeed(&["status", "--exit-code"]);
    here.succeed(&["verify"]);
    // A change of the configuration deploys again.
    here.edit("stage: prod}", "stage: prod, except: [\"POST /orders\"]}");
    here.succeed(&["up", "--yes"]);
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
    assert_eq!(mappings(), mapped);
}

/// The draft's methods with all their attributes except the authorization.
fn bare(account: &Value, id: &str) -> BTreeMap<String, Value> {
    let resources = crate::support::rest_api::rest_api(account, id)["resources"]
        .as_array()
        .expect("a list");
    let mut methods = BTreeMap::new();
    for resource in resources {
        let path = resource["path"].as_str().expect("a path");
        for (verb, method) in resource["methods"].as_object().into_iter().flatten() {
            let mut method = method.clone();
            for name in ["authorizationType", "authorizerId", "authorizationScopes"] {
                method.as_object_mut().map(|method| method.remove(name));
            }
            methods.insert(format!("{verb} {path}"), method);
        }
    }
    methods
}

#[test]
fn what_cannot_be_protected_is_refused_before_anything_is_made() {
    let aws = TestAws::start();
    let canary = json!({"stage_settings": {"canary": {"percent_traffic": 10, "variables": {}}}});
    for (api, words) in [
        (
            api(json!([{"method": "OPTIONS", "path": "/orders"}])),
            "no method of API",
        ),
        (
            with(api(json!([{"method": "GET", "path": "/orders"}])), canary),
            "has a canary release, whose 10 % of the requests would bypass the authorizer",
        ),
    ] {
        aws.check_log();
        aws.post("reset", &json!({}));
        seed(&aws, &[api]);
        let before = aws.account();
        let here = workplace(&aws, "api: {name: orders-api, stage: prod}");
        let plan = here.run(&["plan"]);
        assert_eq!(plan.code, Some(4), "{}", plan.stdout);
        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(4), "{}", up.stderr);
        assert_mentions(&up, &[words]);
        assert_same(&before, &aws.account());
    }
}

//! Real requests to HTTP and WebSocket APIs, whose refusals tell no reason: the log of the authorizer proves who refused.

use crate::support::rest_api::{API, OURS, assert_mentions};
use crate::support::{Run, TestAws, Workplace};
use serde_json::{Value, json};

const HTTP: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health", "GET /up/*"]}"#;
const SOCKET: &str = "api: {name: orders-api, stage: prod}";
const VERIFY: [&str; 3] = ["verify", "--settle", "1ms"];
const KEY: &str = "the-test-key-of-an-application";

/// An HTTP API with every kind of route.
fn routes() -> Value {
    json!({"protocol": "HTTP", "name": "orders-api", "routes": [
        {"key": "GET /orders"}, {"key": "POST /orders"}, {"key": "GET /orders/{id}"}, {"key": "ANY /files/{proxy+}"},
        {"key": "$default"}, {"key": "GET /health"}, {"key": "OPTIONS /orders"},
        {"key": "GET /iam", "authorization": "AWS_IAM"},
    ]})
}

/// An account with this API.
fn seeded(api: &Value) -> TestAws {
    let aws = TestAws::start();
    aws.post("seed", &json!({ "api": api }));
    aws.post("config", &json!({"valid_keys": [KEY]}));
    aws
}

fn workplace(aws: &TestAws, api: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit(API, api);
    here
}

/// An account in which the stack protects an API with every kind of route.
fn protected() -> (TestAws, Workplace) {
    let aws = TestAws::state("http", || {
        let aws = seeded(&routes());
        workplace(&aws, HTTP).succeed(&["up", "--yes", "--no-verify"]);
        aws
    });
    let here = workplace(&aws, HTTP);
    (aws, here)
}

/// The same for a WebSocket API.
fn connected() -> (TestAws, Workplace) {
    let aws = TestAws::state("websocket", || {
        let api = json!({"protocol": "WEBSOCKET", "name": "orders-api",
            "routes": [{"key": "$connect"}, {"key": "$default"}]});
        let aws = seeded(&api);
        workplace(&aws, SOCKET).succeed(&["up", "--yes", "--no-verify", "--publish-pending"]);
        aws
    });
    let here = workplace(&aws, SOCKET);
    (aws, here)
}

fn configure(aws: &TestAws, config: &Value) {
    aws.post("config", config);
}

/// The results of a document as `<method> <check>: <status> <fault or detail>`.
fn results(run: &Run) -> Vec<String> {
    let document = run.json();
    let rows = document["requests"].as_array().expect("a list").iter();
    rows.map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let told = match row["fault"].as_str() {
            Some(fault) => fault.to_owned(),
            None => text("detail"),
        };
        let line = format!(
            "{} {}: {} {told}",
            text("method"),
            text("check"),
            row["status"]
        );
        line.trim_end().to_owned()
    })
    .collect()
}

/// The result of one check.
#[track_caller]
fn result(run: &Run, row: &str) -> String {
    let all = results(run);
    let found = all
        .iter()
        .find_map(|line| line.strip_prefix(&format!("{row}: ")));
    found
        .unwrap_or_else(|| panic!("{row} in {all:#?}"))
        .to_owned()
}

fn verify(here: &Workplace) -> Run {
    here.run(&[&VERIFY[..], &["-o", "json"]].concat())
}

fn verify_with_key(here: &Workplace) -> Run {
    here.run(&[&VERIFY[..], &["-o", "json", "--key", KEY]].concat())
}

/// How often the log was read.
fn reads(aws: &TestAws) -> usize {
    let log = aws.log();
    let reads = log
        .iter()
        .filter(|call| call["operation"] == "FilterLogEvents");
    reads.count()
}

#[test]
fn each_route_is_asked_and_the_log_proves_who_refuses() {
    let (aws, here) = protected();
    aws.post("log/clear", &json!({}));
    let run = verify_with_key(&here);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let mut found = results(&run);
    found.sort();
    assert_eq!(
        found,
        [
            "$default bad key: 403 user_key_invalid",
            "$default good key: 200",
            "$default no key: 401",
            "ANY /files/{proxy+} bad key: 403 user_key_invalid",
            "ANY /files/{proxy+} good key: 200",
            "ANY /files/{proxy+} no key: 401",
            "GET /health open: 200",
            "GET /orders bad key: 403 user_key_invalid",
            "GET /orders good key: 200",
            "GET /orders no key: 401",
            "GET /orders/{id} bad key: 403 user_key_invalid",
            "GET /orders/{id} good key: 200",
            "GET /orders/{id} no key: 401",
            "OPTIONS /orders open: 200",
            "POST /orders no key: 401",
        ]
    );
    assert_eq!(reads(&aws), 1);
    // The key is another one in each run, and its end alone is sent to CloudWatch.
    let pattern = |aws: &TestAws| {
        let log = aws.log();
        let read = log
            .iter()
            .rfind(|call| call["operation"] == "FilterLogEvents");
        read.expect("a read")["parameters"]["filterPattern"].to_string()
    };
    let first = pattern(&aws);
    assert_eq!(first.len(), r#""\"***abcd\"""#.len(), "{first}");
    verify(&here);
    assert_ne!(pattern(&aws), first);
}

#[test]
fn up_verifies_and_a_line_that_comes_late_is_waited_for() {
    let aws = seeded(&routes());
    configure(&aws, &json!({"log_lag": 1}));
    let here = workplace(&aws, HTTP);
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(&up, &["user_key_invalid", "verified: "]);
    assert!(reads(&aws) > 1);
    let status = here.succeed(&["status", "-o", "json"]).json();
    assert_eq!(status["api"]["verified"], true, "{status}");
}

/// Each answer that callers see, for a route that should be protected.
#[test]
fn every_other_answer_is_no_refusal() {
    let (aws, here) = protected();
    let label = "GET /orders";
    let backend = |status: u16, body: Value| json!({"open": [label], "backends": {label: {"status": status, "body": body}}});
    let none = json!({"open": null, "backends": null, "throttled": null, "closed": null, "authorizer": null, "functions": null});
    for (outcomes, no_key, bad_key) in [
        (json!({"open": [label]}), "200 open", "200 open"),
        (
            backend(401, json!({"message": "unauthorized"})),
            "401 open",
            "401 open",
        ),
        (
            backend(
                403,
                json!({"error": "user_key_invalid", "detail": "Forbidden"}),
            ),
            "403 open",
            "403 open",
        ),
        (
            backend(404, json!({"message": "no such order"})),
            "404 open",
            "404 open",
        ),
        (
            backend(500, json!({"error": "database"})),
            "500 open",
            "500 open",
        ),
        // Exactly as API Gateway answers.
        (
            backend(403, json!({"message": "Forbidden"})),
            "403 wrong_authorizer",
            "403 the reason is not told",
        ),
        (
            backend(401, json!({"message": "Unauthorized"})),
            "401",
            "401 misplaced",
        ),
        (
            json!({"throttled": [label]}),
            "429 throttled",
            "429 throttled",
        ),
        (json!({"closed": [label]}), "403 wrong_authorizer", "403"),
        (
            json!({"authorizer": "error"}),
            "401",
            "500 authorizer_failed",
        ),
        (
            json!({"authorizer": "timeout"}),
            "401",
            "500 authorizer_failed",
        ),
        (
            json!({"functions": {(OURS): "deny"}}),
            "401",
            "403 unproven",
        ),
    ] {
        configure(&aws, &json!({ "outcomes": outcomes }));
        let run = verify(&here);
        assert_eq!(run.code, Some(1), "{outcomes}: {}", run.stdout);
        let of = |check: &str| result(&run, &format!("{label} {check}"));
        assert_eq!(of("no key"), no_key, "{outcomes}");
        let found = of("bad key");
        assert!(found.starts_with(bad_key), "{outcomes}: {found}");
        configure(&aws, &json!({ "outcomes": none }));
    }
    assert_eq!(verify(&here).code, Some(0));
}

/// Sets the authorization of a route of the draft, as another user.
fn set_route(aws: &TestAws, key: &str, authorizer: Option<&str>) {
    let api = &aws.account()["http_apis"][0];
    let id = |list: &str, name: &str, value: &str, id: &str| {
        let all = api[list].as_array().expect("a list").iter();
        let mut found = all.filter(|one| one[name] == value);
        found.next().expect("one").get(id).expect("an id").clone()
    };
    let mut call =
        json!({"ApiId": api["ApiId"], "RouteId": id("Routes", "RouteKey", key, "RouteId")});
    match authorizer {
        Some(name) => {
            call["AuthorizationType"] = "CUSTOM".into();
            call["AuthorizerId"] = id("Authorizers", "Name", name, "AuthorizerId");
        }
        None => call["AuthorizationType"] = "NONE".into(),
    }
    aws.call("apigatewayv2", "UpdateRoute", call);
}

/// Deploys the draft to the stage, as another user.
fn deploy(aws: &TestAws) {
    let id = aws.account()["http_apis"][0]["ApiId"].clone();
    aws.call(
        "apigatewayv2",
        "CreateDeployment",
        json!({"ApiId": id, "StageName": "prod"}),
    );
}

/// An authorizer of another user, whose function refuses everything.
fn add_theirs(aws: &TestAws) {
    let id = aws.account()["http_apis"][0]["ApiId"].clone();
    let function = "arn:aws:lambda:us-east-1:123456789012:function:theirs";
    let uri = format!(
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    );
    let mut authorizer =
        json!({"ApiId": id, "Name": "theirs", "AuthorizerType": "REQUEST", "AuthorizerUri": uri});
    if aws.account()["http_apis"][0]["ProtocolType"] == "HTTP" {
        authorizer["IdentitySource"] = json!(["$request.header.apikey"]);
        authorizer["AuthorizerPayloadFormatVersion"] = "2.0".into();
        authorizer["EnableSimpleResponses"] = true.into();
    } else {
        authorizer["IdentitySource"] = json!(["route.request.header.apikey"]);
    }
    aws.call("apigatewayv2", "CreateAuthorizer", authorizer);
}

fn deny_logs(aws: &TestAws) {
    aws.post(
        "faults",
        &json!([{"operation": "FilterLogEvents", "kind": "deny"}]),
    );
}

#[test]
fn another_authorizer_that_refuses_in_the_same_way_is_found() {
    let (aws, here) = protected();
    add_theirs(&aws);
    set_route(&aws, "GET /orders", Some("theirs"));
    deploy(&aws);
    set_route(&aws, "GET /orders", Some(OURS));
    for is_denied in [false, true] {
        if is_denied {
            deny_logs(&aws);
        }
        let run = verify(&here);
        assert_eq!(run.code, Some(1), "{}", run.stdout);
        assert_eq!(result(&run, "GET /orders no key"), "401");
        assert_eq!(result(&run, "GET /orders bad key"), "403 unproven");
        assert_eq!(result(&run, "GET /orders guard"), "null wrong_authorizer");
        assert!(result(&run, "$default bad key").starts_with("403 "));
        assert!(!result(&run, "$default bad key").contains("unproven"));
    }
}

/// What is deployed automatically may be served only after the export was read.
#[test]
fn an_export_from_before_the_requests_is_read_again() {
    let (aws, here) = protected();
    set_route(&aws, "GET /orders", None);
    deploy(&aws);
    set_route(&aws, "GET /orders", Some(OURS));
    assert_eq!(verify(&here).code, Some(1));
    let copy = aws.fork();
    deploy(&copy);
    copy.post("log/clear", &json!({}));
    assert_eq!(verify(&workplace(&copy, HTTP)).code, Some(0));
    let log = copy.log();
    let exports = log.iter().filter(|call| call["operation"] == "ExportApi");
    // The last one is what the answers are compared with.
    let nth = exports.count();
    let held = json!({"operation": "ExportApi", "nth": nth, "kind": "hold"});
    let run = here.run_with(&aws, &VERIFY, &held, || deploy(&aws));
    assert_eq!(run.code, Some(0), "{}", run.stdout);
}

#[test]
fn without_the_log_the_stage_is_the_weaker_proof() {
    let (aws, here) = protected();
    deny_logs(&aws);
    let run = here.succeed(&VERIFY);
    let words =
        "so only what the stage serves shows that this stack's authorizer refuses a bad key";
    assert_mentions(
        &run,
        &[
            "cannot be read",
            "logs:FilterLogEvents",
            words,
            "verified: ",
        ],
    );
    aws.post("faults", &json!([]));
    let group = json!({"logGroupName": "/aws/lambda/threescale-gw-orders-authorizer"});
    aws.call("logs", "DeleteLogGroup", group);
    // The log group is a resource of the stack, too, but its loss harms no caller.
    let run = verify(&here);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert!(run.json()["notes"].to_string().contains(words));
}

#[test]
fn the_reason_in_the_log_is_the_result() {
    let (aws, here) = protected();
    let reason = |reason: &str| json!({"reasons": {"GET /orders": reason}});
    for (outcomes, expected) in [
        (reason("service_not_active"), "403 nobody_gets_in"),
        (reason("too_many_unknown"), "403 not_asked"),
        (reason("no_mapping_rule"), "403 no_mapping_rule"),
        (reason("backend_unavailable"), "500 authorizer_failed"),
    ] {
        configure(&aws, &json!({ "outcomes": outcomes }));
        let run = verify(&here);
        assert_eq!(result(&run, "GET /orders bad key"), expected);
        let is_well = expected.ends_with("no_mapping_rule");
        assert_eq!(run.code == Some(0), is_well, "{}", run.stdout);
    }
    configure(&aws, &json!({"outcomes": {"reasons": null}}));
    // A test key that 3scale refuses for what it is shows that 3scale decides.
    configure(
        &aws,
        &json!({"valid_keys": [], "authorizer_context": {"reason": "limits_exceeded"}}),
    );
    let run = verify_with_key(&here);
    assert_eq!(result(&run, "GET /orders good key"), "403 key_refused");
    let up = here.run(&["up", "--yes", "--settle", "1ms", "--key", KEY]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "the test key is refused (403, limits_exceeded)",
            "stage prod stays",
        ],
    );
    for run in [&run, &up] {
        assert!(!format!("{}{}", run.stdout, run.stderr).contains(KEY));
    }
}

#[test]
fn a_500_says_what_it_may_be() {
    let (aws, here) = protected();
    let function = json!({"FunctionName": OURS, "Qualifier": "live"});
    let policy = aws.call("lambda", "GetPolicy", function);
    let policy: Value =
        serde_json::from_str(policy["Policy"].as_str().expect("text")).expect("JSON");
    let statement = policy["Statement"][0]["Sid"].clone();
    aws.call(
        "lambda",
        "RemovePermission",
        json!({"FunctionName": OURS, "Qualifier": "live", "StatementId": statement}),
    );
    let run = here.run(&VERIFY);
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert_mentions(
        &run,
        &[
            "got no decision from the authorizer: 500",
            "API Gateway may not invoke it",
            "`threescale-gw logs`",
        ],
    );
    here.succeed(&["up", "--yes"]);
    // The integration fails, and the authorizer does not.
    let failing =
        json!({"GET /orders": {"status": 500, "body": {"message": "Internal Server Error"}}});
    configure(&aws, &json!({"outcomes": {"backends": failing}}));
    let run = verify_with_key(&here);
    assert_eq!(
        result(&run, "GET /orders good key"),
        "500 500 of the integration"
    );
    assert_eq!(run.code, Some(0), "{}", run.stdout);
}

#[test]
fn an_open_route_may_answer_like_the_gateway_and_must_not_be_guarded() {
    let (aws, here) = protected();
    for (status, text) in [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
    ] {
        let own = json!({"GET /health": {"status": status, "body": {"message": text}}});
        configure(&aws, &json!({"outcomes": {"backends": own}}));
        let run = verify(&here);
        assert_eq!(run.code, Some(0), "{}", run.stdout);
        assert_eq!(
            result(&run, "GET /health open"),
            format!("{status} {status} of the backend")
        );
    }
    configure(&aws, &json!({"outcomes": {"backends": null}}));
    set_route(&aws, "GET /health", Some(OURS));
    deploy(&aws);
    set_route(&aws, "GET /health", None);
    let run = verify(&here);
    assert_eq!(result(&run, "GET /health open"), "401 blocked");
    assert_eq!(run.code, Some(1), "{}", run.stdout);
}

/// A stage that serves other routes than the draft has: nothing answers there.
#[test]
fn a_route_that_the_stage_does_not_serve_is_a_fault() {
    let mut api = routes();
    let all = api["routes"].as_array_mut().expect("a list");
    all.retain(|route| route["key"] != "$default");
    let aws = seeded(&api);
    let here = workplace(&aws, HTTP);
    here.succeed(&["up", "--yes", "--no-verify"]);
    let id = aws.account()["http_apis"][0]["ApiId"].clone();
    for key in ["GET /new", "GET /up/new"] {
        aws.call(
            "apigatewayv2",
            "CreateRoute",
            json!({"ApiId": id, "RouteKey": key}),
        );
    }
    let run = verify(&here);
    assert_eq!(result(&run, "GET /new no key"), "404 not_served");
    assert_eq!(result(&run, "GET /new bad key"), "404 not_served");
    assert_eq!(run.code, Some(1), "{}", run.stdout);
}

#[test]
fn a_refused_preflight_is_a_warning_and_no_fault() {
    let mut api = routes();
    api["cors"] = json!({"AllowOrigins": ["*"]});
    let aws = seeded(&api);
    let here = workplace(&aws, HTTP);
    here.succeed(&["up", "--yes"]);
    let run = verify(&here);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    for label in ["ANY /files/{proxy+}", "$default"] {
        let found = result(&run, &format!("{label} preflight"));
        assert!(found.contains("OPTIONS /{proxy+}"), "{found}");
    }
    let preflights = results(&run);
    let preflights = preflights.iter().filter(|line| line.contains("preflight:"));
    assert_eq!(preflights.count(), 2);
    let text = here.succeed(&VERIFY).stdout;
    assert!(text.contains("warn   $default"), "{text}");
    assert_eq!(result(&run, "OPTIONS /orders open"), "200");

    // The remedy.
    let id = aws.account()["http_apis"][0]["ApiId"].clone();
    let integration = aws.account()["http_apis"][0]["Integrations"][0]["IntegrationId"].clone();
    let target = format!("integrations/{}", integration.as_str().expect("an id"));
    let route = json!({"ApiId": id, "RouteKey": "OPTIONS /{proxy+}", "Target": target});
    aws.call("apigatewayv2", "CreateRoute", route);
    deploy(&aws);
    let run = verify(&here);
    assert_eq!(result(&run, "$default preflight"), "204", "{}", run.stdout);
}

#[test]
fn an_api_without_an_endpoint_is_called_at_a_custom_domain_only() {
    let mut api = routes();
    api["disable_execute_api_endpoint"] = true.into();
    let aws = seeded(&api);
    let here = workplace(&aws, HTTP);
    let up = here.succeed(&["up", "--yes"]);
    assert_mentions(&up, &["not verified:", "is disabled", "--url"]);
    assert_eq!(reads(&aws), 0);
}

/// What is open in the stage before a change is open for a reason that is not the change.
#[test]
fn what_reaches_its_backend_as_before_does_not_move_the_stage() {
    let aws = seeded(&routes());
    let here = workplace(&aws, HTTP);
    configure(&aws, &json!({"outcomes": {"open": ["POST /orders"]}}));
    let texts = [
        "POST /orders: reachable without a valid credential (200)",
        "this was the same before the change",
        "stage prod stays unchanged",
    ];
    // A run that has not asked the API before knows it from the record.
    here.succeed(&["up", "--yes", "--no-verify"]);
    for _ in 0..2 {
        let up = here.run(&["up", "--yes", "--settle", "1ms"]);
        assert_eq!(up.code, Some(1), "{}", up.stderr);
        assert_mentions(&up, &texts);
    }
}

#[test]
fn an_open_route_that_stops_answering_moves_the_stage_back() {
    let aws = seeded(&routes());
    let here = workplace(&aws, HTTP);
    let held = json!({"operation": "CreateDeployment", "kind": "hold-before"});
    let up = here.run_with(&aws, &["up", "--yes", "--settle", "1ms"], &held, || {
        configure(&aws, &json!({"outcomes": {"closed": ["GET /health"]}}));
    });
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    let text = "GET /health: a credential is required, but the method should be open (403";
    assert_mentions(&up, &[text, "rolled back to deployment"]);
}

#[test]
fn a_connection_is_opened_and_refused_where_it_should_be() {
    let (aws, here) = connected();
    let run = verify_with_key(&here);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert_eq!(
        results(&run),
        [
            "$connect no key: 401",
            "$connect bad key: 403 user_key_invalid",
            "$connect good key: 101",
        ]
    );
    let url = run.json()["url"].clone();
    let url = url.as_str().expect("text");
    assert!(url.starts_with("ws://"), "{url}");
    let by_url = here.run(&[&VERIFY[..], &["--url", url]].concat());
    assert_eq!(by_url.code, Some(0), "{}", by_url.stdout);

    for (outcomes, no_key, bad_key) in [
        (json!({"open": ["$connect"]}), "101 open", "101 open"),
        (
            json!({"throttled": ["$connect"]}),
            "429 throttled",
            "429 throttled",
        ),
        (
            json!({"authorizer": "error"}),
            "401",
            "500 authorizer_failed",
        ),
        (
            json!({"functions": {(OURS): "deny"}}),
            "401",
            "403 unproven",
        ),
        (
            json!({"reasons": {"$connect": "service_not_active"}}),
            "401",
            "403 nobody_gets_in",
        ),
    ] {
        let none = json!({"open": null, "throttled": null, "authorizer": null, "functions": null});
        configure(&aws, &json!({ "outcomes": none }));
        configure(&aws, &json!({ "outcomes": outcomes }));
        let run = verify(&here);
        assert_eq!(run.code, Some(1), "{outcomes}: {}", run.stdout);
        let of = |check: &str| result(&run, &format!("$connect {check}"));
        assert_eq!(
            [of("no key"), of("bad key")],
            [no_key, bad_key],
            "{outcomes}"
        );
    }
}

#[test]
fn without_the_log_the_draft_of_a_websocket_api_is_the_weaker_proof() {
    let (aws, here) = connected();
    deny_logs(&aws);
    let run = verify(&here);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let notes = run.json()["notes"].to_string();
    assert!(
        notes.contains("so only the draft of the API shows"),
        "{notes}"
    );
}

#[test]
fn status_tells_the_kind_of_the_api_and_of_its_deployments() {
    let (aws, here) = protected();
    let status = here.succeed(&["status", "--no-deep"]);
    let text = &status.stdout;
    for words in [
        "HTTP API ",
        "automatic deployment  off",
        "5 routes are protected",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let document = here.succeed(&["status", "--no-deep", "-o", "json"]).json();
    assert_eq!(document["api"]["protocol"], "HTTP");
    assert_eq!(document["api"]["automatic_deployment"], false);
    let id = aws.account()["http_apis"][0]["ApiId"].clone();
    let stage = json!({"ApiId": id, "StageName": "prod", "AutoDeploy": true});
    aws.call("apigatewayv2", "UpdateStage", stage);
    let document = here.succeed(&["status", "--no-deep", "-o", "json"]).json();
    assert_eq!(document["api"]["automatic_deployment"], true);
}

/// At the API's own address, a first segment that names a stage leads to it, and not to the stage `$default`.
#[test]
fn a_route_that_another_stage_hides_is_not_requested() {
    let aws = seeded(
        &json!({"protocol": "HTTP", "name": "orders-api", "routes": [
        {"key": "GET /orders"}, {"key": "GET /v1/orders"}, {"key": "ANY /v1/{proxy+}"}, {"key": "$default"},
    ], "stages": [{"name": "$default"}, {"name": "v1"}]}),
    );
    let here = workplace(&aws, "api: {name: orders-api, stage: $default}");
    let hidden = "GET /v1/orders (stage v1), ANY /v1/{proxy+} (stage v1)";
    let asked = || {
        let asked = aws.get("requests");
        let paths = asked.as_array().expect("a list").iter();
        let paths = paths.map(|request| request["path"].as_str().unwrap_or_default().to_owned());
        paths.collect::<Vec<_>>()
    };
    let up = here.succeed(&["up", "--yes", "--settle", "1ms"]);
    assert_mentions(&up, &["not requested", "verified: "]);
    let verify = here
        .succeed(&[&VERIFY[..], &["-o", "json"]].concat())
        .json();
    assert!(verify["notes"].to_string().contains(hidden), "{verify}");
    let paths = asked();
    assert!(paths.contains(&"/orders".to_owned()), "{paths:?}");
    assert!(
        !paths.iter().any(|path| path.starts_with("/v1")),
        "{paths:?}"
    );

    let api_id = crate::support::http_api::id(&aws.account());
    let url = format!("{}/_aws/execute-api/{api_id}/%24default/", aws.url());
    let other = here.succeed(&[&VERIFY[..], &["--url", &url]].concat());
    assert!(!other.stdout.contains("not requested"), "{}", other.stdout);
    assert!(asked().iter().any(|path| path == "/v1/orders"));
}

/// If another stage hides every route, nothing was verified, and every command says so.
#[test]
fn a_stage_whose_routes_are_all_hidden_is_not_verified() {
    let aws = seeded(
        &json!({"protocol": "HTTP", "name": "orders-api", "routes": [{"key": "GET /v1/orders"}],
        "stages": [{"name": "$default"}, {"name": "v1"}]}),
    );
    let here = workplace(&aws, "api: {name: orders-api, stage: $default}");
    let why =
        "the API's own address with that path leads to another stage: GET /v1/orders (stage v1)";
    let told = format!("not verified: {why}");
    let up = here.succeed(&["up", "--yes", "--settle", "1ms"]);
    assert_mentions(&up, &[&told]);
    assert_mentions(&here.run(&VERIFY), &[&told]);
    let verify = here.run(&[&VERIFY[..], &["-o", "json"]].concat()).json();
    assert!(verify["skipped"].to_string().contains(why), "{verify}");
    let status = here.run(&["status", "--no-deep", "-o", "json"]).json();
    assert_eq!(status["api"]["verified"], false, "{status}");
}

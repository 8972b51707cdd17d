//! HTTP and WebSocket APIs in configurations and plans: how they are found, what is refused, and what is told.

use serde_json::{Value, json};

use crate::preflight::{assert_mentions, carried_out};
use crate::support::rest_api::API;
use crate::support::{TestAws, Workplace};

/// The id of a new API.
fn seed(aws: &TestAws, api: &Value) -> String {
    let seeded = aws.post("seed", &json!({ "api": api }));
    seeded["api_id"].as_str().expect("an id").to_owned()
}

/// An HTTP API whose stage does not deploy automatically.
fn http(more: &Value) -> Value {
    let mut api = json!({
        "protocol": "HTTP",
        "name": "orders-api",
        "routes": [
            {"key": "GET /orders/{id}"},
            {"key": "GET /health"},
            {"key": "POST /jwt", "authorizer": "tokens", "authorization": "JWT", "scopes": ["a"]},
        ],
    });
    let more = more.as_object().expect("an object").clone();
    api.as_object_mut().expect("an object").extend(more);
    api
}

fn chat(more: &Value) -> Value {
    let mut api = json!({"protocol": "WEBSOCKET", "name": "chat", "routes": [{"key": "$connect"}, {"key": "$default"}]});
    let more = more.as_object().expect("an object").clone();
    api.as_object_mut().expect("an object").extend(more);
    api
}

/// The folder of a stack with this `api` line.
fn workplace(aws: &TestAws, api: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit(API, api);
    here
}

const HTTP: &str = "api: {name: orders-api, stage: prod}";

/// The plan of a new stack.
fn plan(aws: &TestAws, api: &str) -> Value {
    let run = workplace(aws, api).run(&["plan", "-o", "json"]);
    // A refusal follows as an object of its own.
    run.lines().swap_remove(0)
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.filter_map(Value::as_str).collect()
}

#[track_caller]
fn assert_told(texts: &[&str], beginning: &str) {
    let told = texts.iter().filter(|text| text.contains(beginning)).count();
    assert_eq!(told, 1, "{beginning:?} in {texts:#?}");
}

/// The blockers of a plan, each with its code.
fn blockers(plan: &Value) -> Vec<(String, String)> {
    let list = plan["blockers"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    list.map(|one| (text(&one["code"]), text(&one["message"])))
        .collect()
}

#[test]
fn an_http_api_is_found_by_name_and_by_id_and_its_plan_says_what_it_is() {
    let aws = TestAws::start();
    let id = seed(&aws, &http(&json!({"stages": [{"name": "prod"}]})));
    for selector in ["name: orders-api".to_owned(), format!("id: {id}")] {
        let plan = plan(
            &aws,
            &format!("api: {{{selector}, stage: prod, except: [GET /health]}}"),
        );
        assert_eq!(
            plan["api"],
            json!({"id": id, "protocol": "HTTP", "name": "orders-api", "stage": "prod"})
        );
        assert_eq!(blockers(&plan), []);
        assert_eq!(
            texts(&plan["attaches"]),
            ["GET /orders/{id}: NONE -> protected"]
        );
        let notices = texts(&plan["notices"]);
        assert_told(&notices, "an HTTP API tells a refused caller no reason");
        assert_told(&notices, "POST /jwt has JWT and stays unchanged");
        assert!(
            !notices.iter().any(|text| text.contains("gateway response")),
            "{notices:?}"
        );
    }
    let here = workplace(&aws, HTTP);
    let text = here.succeed(&["plan"]);
    assert_mentions(
        &text,
        0,
        &[
            &format!("HTTP API {id} (orders-api), stage prod"),
            "no reason, no `Retry-After`",
        ],
    );
    let markdown = here.succeed(&["plan", "-o", "markdown"]);
    assert_mentions(
        &markdown,
        0,
        &["an HTTP API tells a refused caller no reason"],
    );
    assert_eq!(carried_out(&aws).len(), 0);
    aws.check_log();
}

#[test]
fn a_name_of_several_apis_is_refused_with_each_of_them() {
    let aws = TestAws::seeded();
    let here = workplace(&aws, HTTP);
    let rest = here.succeed(&["plan", "-o", "json"]).json()["api"]["id"].clone();
    let http = seed(&aws, &http(&json!({})));
    let refused = here.run(&["plan"]);
    let rest = rest.as_str().expect("an id");
    assert_mentions(
        &refused,
        4,
        &[
            "2 APIs have the name orders-api",
            &format!("(REST API {rest}, HTTP API {http}): give `api.id`"),
        ],
    );
}

#[test]
fn keys_of_rest_apis_are_refused_with_their_place() {
    let aws = TestAws::start();
    seed(&aws, &http(&json!({})));
    seed(&aws, &chat(&json!({})));
    for (api, place, why) in [
        (
            "api: {name: orders-api, stage: prod, responses: false}",
            "threescale-gw.yaml:4:49: api.responses: HTTP APIs have no gateway responses",
            "remove the key",
        ),
        (
            "api: {name: orders-api, stage: prod, usage_key: user_key}",
            "threescale-gw.yaml:4:49: api.usage_key: HTTP APIs have no API keys",
            "remove the key",
        ),
        (
            "api: {name: chat, stage: prod, responses: [ACCESS_DENIED]}",
            "threescale-gw.yaml:4:43: api.responses: WebSocket APIs have no gateway responses",
            "remove the key",
        ),
    ] {
        let refused = workplace(&aws, api).run(&["plan"]);
        assert_mentions(&refused, 2, &[place, why]);
    }
    let accepted = workplace(&aws, "api: {name: chat, stage: prod, usage_key: user_key}");
    accepted.succeed(&["plan"]);
}

#[test]
fn routes_are_selected_by_their_keys() {
    let aws = TestAws::start();
    let routes = json!([
        {"key": "$default"}, {"key": "ANY /files/{proxy+}"}, {"key": "GET /orders/{id}"}, {"key": "OPTIONS /{proxy+}"},
    ]);
    let api = http(&json!({"routes": routes, "stages": [{"name": "$default"}]}));
    seed(&aws, &api);
    let attaches = |more: &str| {
        let plan = plan(
            &aws,
            &format!("api: {{name: orders-api, stage: $default{more}}}"),
        );
        assert_eq!(blockers(&plan), []);
        let attaches = texts(&plan["attaches"]).into_iter();
        let labels = attaches.map(|text| text.split(": NONE").next().expect("a label").to_owned());
        labels.collect::<Vec<_>>()
    };
    let all = ["$default", "ANY /files/{proxy+}", "GET /orders/{id}"];
    assert_eq!(attaches(""), all);
    assert_eq!(attaches(", protect: [ANY /*]"), all);
    assert_eq!(attaches(", protect: [$default]"), ["$default"]);
    assert_eq!(
        attaches(", except: [$default, GET /orders/*]"),
        ["ANY /files/{proxy+}"]
    );
    let unknown = plan(
        &aws,
        "api: {name: orders-api, stage: $default, protect: [$connect, POST /orders/*]}",
    );
    let codes: Vec<_> = blockers(&unknown)
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, ["nothing-protected", "method-unknown"]);
    assert_told(
        &texts(&unknown["notices"]),
        "POST /orders/* selects no route",
    );
}

#[test]
fn preflights_that_default_takes_are_told_with_the_remedy() {
    let aws = TestAws::start();
    let cors = json!({"AllowOrigins": ["https://x.example"], "AllowMethods": ["GET"], "AllowHeaders": ["apikey"]});
    let told = |routes: Value| {
        seed(
            &aws,
            &http(&json!({"routes": routes, "cors": cors, "name": "cors"})),
        );
        let plan = plan(&aws, "api: {name: cors, stage: prod}");
        let all = plan["notices"].as_array().cloned().expect("a list");
        aws.post("reset", &json!({}));
        all.into_iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .find(|text| text.contains("CORS preflight"))
    };
    let text = told(json!([{"key": "$default"}])).expect("a notice");
    assert!(
        text.contains("OPTIONS /{proxy+} without authorization"),
        "{text}"
    );
    assert_eq!(
        told(json!([{"key": "$default"}, {"key": "OPTIONS /{proxy+}"}])),
        None
    );
    assert_eq!(told(json!([{"key": "GET /orders"}])), None);
}

#[test]
fn another_stage_that_deploys_automatically_is_refused_by_name() {
    let aws = TestAws::start();
    let stages = json!([{"name": "prod"}, {"name": "test", "auto_deploy": true}]);
    let id = seed(&aws, &http(&json!({ "stages": stages })));
    let found = blockers(&plan(&aws, HTTP));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "other-stage-deploys");
    assert!(
        found[0].1.starts_with(&format!(
            "stage test of HTTP API {id} deploys automatically"
        )),
        "{found:?}"
    );
    let off = json!({"ApiId": id, "StageName": "test", "AutoDeploy": false});
    aws.call("apigatewayv2", "UpdateStage", off);
    assert_eq!(blockers(&plan(&aws, HTTP)), []);
}

#[test]
fn a_stage_without_a_deployment_is_refused_with_what_to_do() {
    let aws = TestAws::start();
    let id = seed(&aws, &http(&json!({ "stages": [] })));
    let stage = json!({"ApiId": id, "StageName": "prod"});
    aws.call("apigatewayv2", "CreateStage", stage);
    let found = blockers(&plan(&aws, HTTP));
    let expected = format!(
        "stage prod of HTTP API {id} has no deployment: deploy the API to it, for example with `aws apigatewayv2 create-deployment \
         --api-id {id} --stage-name 'prod'`"
    );
    assert!(
        found.contains(&("stage-not-found".to_owned(), expected)),
        "{found:?}"
    );
    let missing = blockers(&plan(&aws, "api: {name: orders-api, stage: prd}"));
    assert!(missing[0].1.contains("did you mean `prod`?"), "{missing:?}");
}

#[test]
fn what_quick_create_manages_is_told() {
    let aws = TestAws::start();
    let api = json!({"protocol": "HTTP", "name": "orders-api", "quick_create": true});
    seed(&aws, &api);
    let plan = plan(&aws, "api: {name: orders-api, stage: $default}");
    assert_eq!(plan["api"]["stage"], "$default");
    let notices = texts(&plan["notices"]);
    assert_told(&notices, "stage $default was created by quick create");
    assert_eq!(texts(&plan["attaches"]), ["$default: NONE -> protected"]);
}

#[test]
fn a_websocket_api_counts_connections_and_its_draft_needs_consent() {
    let aws = TestAws::start();
    let id = seed(&aws, &chat(&json!({})));
    let line = "api: {name: chat, stage: prod}";
    let first = plan(&aws, line);
    assert_eq!(blockers(&first), []);
    assert_eq!(first["api"]["protocol"], "WEBSOCKET");
    assert_eq!(texts(&first["attaches"]), ["$connect: NONE -> protected"]);
    let notices = texts(&first["notices"]);
    assert_told(&notices, "only the route $connect asks the authorizer");
    assert_told(&notices, "a browser cannot send the header apikey");
    assert_told(&notices, "only the status of the handshake");
    let waits =
        format!("what waits in the draft of WebSocket API {id}, which API Gateway does not list");
    assert_eq!(texts(&first["pending"]), [waits.as_str()]);
    let refused = workplace(&aws, line).run(&["up", "--yes"]);
    assert_mentions(&refused, 4, &[&waits, "--publish-pending"]);
    assert_eq!(carried_out(&aws).len(), 0);
    let other = plan(
        &aws,
        "api: {name: chat, stage: prod, protect: [GET /orders]}",
    );
    assert!(
        blockers(&other)
            .iter()
            .any(|(code, _)| code == "method-unknown")
    );
}

#[test]
fn a_missing_connect_will_be_created() {
    let aws = TestAws::start();
    seed(&aws, &chat(&json!({"routes": [{"key": "$default"}]})));
    let plan = plan(&aws, "api: {name: chat, stage: prod}");
    assert_eq!(blockers(&plan), []);
    assert_told(&texts(&plan["notices"]), "the API has no route $connect");
    assert_eq!(texts(&plan["attaches"]), ["$connect: (none) -> protected"]);
}

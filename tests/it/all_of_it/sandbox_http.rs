//! The sandbox with an HTTP API whose stage deploys automatically.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::sandbox::{Foreground, Home, request};

/// A sandbox with an HTTP API.
struct HttpSandbox {
    home: Home,
    sandbox: Foreground,
    facts: Value,
}

impl HttpSandbox {
    fn start() -> Self {
        let home = Home::new();
        let (sandbox, facts) = Foreground::start(&home, &["--api-type", "http"]);
        Self {
            home,
            sandbox,
            facts,
        }
    }

    fn url(&self) -> &str {
        self.facts["url"].as_str().expect("a URL")
    }

    /// Status and body of a request to the stage.
    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        request(method, &format!("{}{path}", self.url()), headers)
    }

    /// A call to the API Gateway of HTTP APIs, for a part of the API.
    fn call(&self, method: &str, part: &str, body: &Value) -> (u16, Value) {
        let api = self.url().rsplit('/').nth(1).expect("an id");
        let body = body.to_string();
        let mut more = vec!["-X", method, "-H", "content-type: application/json"];
        if method != "GET" {
            more.extend(["-d", &body]);
        }
        let path = format!("/v2/apis/{api}/{part}");
        let (status, said) = self.home.call(&self.facts, "apigateway", &path, &more);
        (status, serde_json::from_str(&said).unwrap_or_default())
    }

    fn get(&self, part: &str) -> Value {
        let (status, found) = self.call("GET", part, &Value::Null);
        assert_eq!(status, 200, "{part}: {found}");
        found
    }

    fn stage(&self) -> Value {
        self.get("stages/prod")
    }

    /// Each route's authorization, with the name of its authorizer.
    fn routes(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = |part| self.get(part)["items"].as_array().expect("a list").clone();
        let authorizers = items("authorizers").into_iter();
        let names: BTreeMap<_, _> = authorizers
            .map(|found| (text(&found["authorizerId"]), text(&found["name"])))
            .collect();
        let route = |route: Value| {
            let authorizer = text(&route["authorizerId"]);
            let name = names.get(&authorizer).unwrap_or(&authorizer);
            let kind = text(&route["authorizationType"]);
            (text(&route["routeKey"]), format!("{kind} {name}"))
        };
        items("routes").into_iter().map(route).collect()
    }

    fn route(&self, key: &str) -> Value {
        let found = self.get("routes");
        let mut routes = found["items"].as_array().expect("a list").iter();
        let route = routes.find(|route| route["routeKey"] == key);
        route.expect("the route").clone()
    }

    fn api_status(&self) -> Value {
        let status = self.home.said(&["status", "--sandbox", "-o", "json"]);
        let status: Value = serde_json::from_str(&status).expect("a document");
        status["api"].clone()
    }
}

const ORDERS: [(&str, &str); 3] = [
    ("GET", "/orders"),
    ("POST", "/orders"),
    ("GET", "/products"),
];

/// Routes without an authorizer, as they were created.
fn open_routes() -> BTreeMap<String, String> {
    [
        "GET /health",
        "GET /orders",
        "GET /products",
        "OPTIONS /orders",
        "POST /orders",
    ]
    .map(|key| (key.to_owned(), "NONE ".to_owned()))
    .into()
}

/// One session: the answers to requests, the changes of others, `rollback`, `up` and `down`, and the usage that arrives at
/// 3scale.
#[test]
fn an_http_api_is_protected_rolled_back_and_restored() {
    let api = HttpSandbox::start();
    let mut protected = open_routes();
    for (method, path) in ORDERS {
        let authorizer = "CUSTOM threescale-gw-sandbox-authorizer";
        protected.insert(format!("{method} {path}"), authorizer.to_owned());
    }
    let mut allowed = 0;
    let mut assert_closed = |when: &str| {
        assert_eq!(api.routes(), protected, "{when}");
        assert_eq!(api.stage()["autoDeploy"], true, "{when}");
        for (method, path) in [("GET", "/health"), ("OPTIONS", "/orders")] {
            assert_eq!(api.request(method, path, &[]).0, 200, "{when}: {path}");
        }
        for (method, path) in ORDERS {
            assert_eq!(
                api.request(method, path, &[]),
                (401, r#"{"message":"Unauthorized"}"#.to_owned()),
                "{when}: {path}"
            );
            for key in ["no-such-key", "sandbox-suspended"] {
                assert_eq!(
                    api.request(method, path, &[("apikey", key)]),
                    (403, r#"{"message": "Forbidden"}"#.to_owned()),
                    "{when}: {path}"
                );
            }
            allowed += 1;
            assert_eq!(
                api.request(method, path, &[("apikey", "sandbox-unlimited")]),
                (200, r#"{"answer": "of the backend"}"#.to_owned()),
                "{when}: {path}"
            );
        }
    };
    let assert_open = |when: &str| {
        for (method, path) in ORDERS {
            assert_eq!(api.request(method, path, &[]).0, 200, "{when}: {path}");
        }
    };
    assert_closed("after the start");
    let plan = api.home.run(&["plan", "--sandbox", "--exit-code"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    api.home.said(&["status", "--sandbox", "--exit-code"]);
    let verified = api.home.said(&["verify", "--sandbox"]);
    assert!(
        verified.contains("bad key   403  user_key_invalid"),
        "{verified}"
    );
    let logs = api.home.said(&["logs", "--sandbox"]);
    for refusal in ["reason=user_key_invalid", "reason=application_not_active"] {
        assert!(logs.contains(refusal), "{logs}");
    }

    // A change of the draft is published at once, and `up` repairs it.
    let products = api.route("GET /products");
    let part = format!("routes/{}", products["routeId"].as_str().expect("an id"));
    let opened = api.call("PATCH", &part, &json!({"authorizationType": "NONE"}));
    assert_eq!((opened.0, &opened.1["authorizerId"]), (200, &Value::Null));
    assert_eq!(api.request("GET", "/products", &[]).0, 200);
    let plan = api.home.run(&["plan", "--sandbox", "--exit-code"]);
    assert_eq!(plan.status.code(), Some(3), "{plan:?}");
    api.home.said(&["up", "--sandbox", "--yes"]);
    assert_closed("after a repair");

    api.home.said(&["rollback", "--sandbox"]);
    assert_open("after the rollback");
    assert_eq!(api.stage()["autoDeploy"], false);
    let status = api.api_status();
    assert_eq!(status["rolled_back"], true, "{status}");
    // The draft is not published while automatic deployment is off.
    let draft = api.get("exports/OAS30");
    assert_ne!(
        draft["paths"],
        api.get("exports/OAS30?stageName=prod")["paths"]
    );
    api.home.said(&["up", "--sandbox", "--yes"]);
    assert_closed("after the rollback and up");
    let draft = api.get("exports/OAS30");
    assert_eq!(
        draft["paths"],
        api.get("exports/OAS30?stageName=prod")["paths"]
    );

    api.home.said(&["down", "--sandbox", "--yes"]);
    assert_open("after down");
    assert_eq!(api.routes(), open_routes());
    assert_eq!(api.stage()["autoDeploy"], true);
    assert_eq!(api.get("authorizers")["items"], json!([]));
    // `down` delivers what is left.
    let usage = api.home.usage();
    assert_eq!(
        usage["applications"][0]["totals"]["hits"], allowed,
        "{usage}"
    );
    assert_eq!(usage["lost_batches"], json!([]));
    assert_as_api_gateway(&api);
    assert_eq!(api.sandbox.interrupt(), Some(0));
    api.home.assert_nothing_left(&api.facts);
}

/// The emulated API Gateway refuses what AWS refuses, and a stage serves its deployment.
fn assert_as_api_gateway(api: &HttpSandbox) {
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    let authorizer = json!({
        "name": "another", "authorizerType": "REQUEST", "authorizerUri": "arn:aws:another",
        "authorizerPayloadFormatVersion": "2.0", "identitySource": ["$request.header.apikey"],
    });
    let (_, authorizer) = api.call("POST", "authorizers", &authorizer);
    let authorizer = id(&authorizer["authorizerId"]);
    let closed = json!({"authorizationType": "CUSTOM", "authorizerId": authorizer});
    let unknown = json!({"authorizationType": "CUSTOM", "authorizerId": "unknown"});
    let open = json!({"authorizationType": "NONE"});
    let authorizer = format!("authorizers/{authorizer}");
    let route = format!("routes/{}", id(&api.route("GET /orders")["routeId"]));
    let call = |method: &str, part: &str, body: &Value, status: u16| {
        let (answered, said) = api.call(method, part, body);
        assert_eq!(answered, status, "{method} {part} {body}: {said}");
        said
    };
    let answer = || api.request("GET", "/orders", &[]).0;
    let stage = "stages/prod";
    let automatic = |is_on: bool| json!({"autoDeploy": is_on});
    call("PATCH", &route, &closed, 200);
    let deployment = api.stage()["deploymentId"].clone();
    let served = format!("deployments/{}", id(&deployment));
    let deployment = json!({"deploymentId": deployment});
    assert_eq!(answer(), 401);
    call("PATCH", stage, &deployment, 400);
    call("PATCH", &route, &unknown, 400);
    call("DELETE", &authorizer, &Value::Null, 409);
    call("DELETE", &served, &Value::Null, 400);
    call("POST", "routes", &json!({"routeKey": "GET /orders"}), 409);
    call("POST", "deployments", &json!({"stageName": "prod"}), 400);
    let exported = api.call("GET", "exports/OAS30?stageName=other", &Value::Null);
    assert_eq!(exported.0, 404, "{exported:?}");
    call("PATCH", stage, &automatic(false), 200);
    call("PATCH", stage, &json!({"deploymentId": "unknown"}), 404);
    let opened = call("PATCH", &route, &open, 200);
    assert_eq!((&opened["authorizerId"], answer()), (&Value::Null, 401));
    call("POST", "deployments", &json!({"stageName": "prod"}), 201);
    assert_eq!(answer(), 200);
    call("PATCH", stage, &deployment, 200);
    assert_eq!(answer(), 401);
    call("PATCH", stage, &automatic(true), 200);
    assert_eq!(answer(), 200);
    // This stage has no part in the path.
    call("PATCH", &route, &closed, 200);
    let body = json!({"stageName": "$default", "autoDeploy": true});
    call("POST", "stages", &body, 201);
    let root = api.url().trim_end_matches("/prod");
    let answer = |path: &str| request("GET", &format!("{root}{path}"), &[]).0;
    assert_eq!((answer("/orders"), answer("/products")), (401, 200));
}

//! HTTP APIs of many shapes: `plan` says what `up` protects, callers see all of it open or all of it protected after each
//! call, a rollback opens it, and `down` restores every attribute.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::http_api::{
    GOOD, api, assert_unmixed, comparable, id, served, stage_of, watched,
};
use crate::support::kill::each;
use crate::support::rest_api::{API, assert_mentions};
use crate::support::{TestAws, Workplace, assert_same};

/// The stages of the tests: their name, and whether they deploy automatically.
const STAGES: [(&str, bool); 4] = [
    ("$default", true),
    ("prod", false),
    ("prod", true),
    ("$default", false),
];

const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";

/// One API: its seed without a stage, and the configuration.
struct Odd {
    name: String,
    api: Value,
    /// Members of the stage's seed.
    stage: Value,
    /// The routes that already have an authorization and are named in the configuration.
    protect: &'static [&'static str],
    /// Texts that `plan` must print.
    told: &'static [&'static str],
    /// Members of responses that are absent, and those that are null, by operation.
    omit: Value,
    nulls: Value,
}

/// An account with another stack on REST and HTTP APIs, and this API.
pub(crate) fn account(api: &Value) -> TestAws {
    let aws = TestAws::state("http_odd", || {
        let aws = TestAws::start();
        aws.post("seed", &json!({"foreign": "http"}));
        aws.post("config", &json!({"valid_keys": [GOOD]}));
        aws
    });
    aws.post("seed", &json!({ "api": api }));
    aws
}

/// A folder whose configuration has this `api` line.
pub(crate) fn workplace(aws: &TestAws, stage: &str, more: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit(
        API,
        &format!("api: {{name: orders-api, stage: {stage}{more}}}"),
    );
    here
}

impl Odd {
    fn new(name: &str, routes: Value) -> Self {
        Self {
            name: name.to_owned(),
            api: json!({"protocol": "HTTP", "name": "orders-api", "routes": routes}),
            stage: json!({}),
            protect: &[],
            told: &[],
            omit: json!({}),
            nulls: json!({}),
        }
    }

    fn with(mut self, more: &Value) -> Self {
        let more = more.as_object().expect("an object").clone();
        self.api.as_object_mut().expect("an object").extend(more);
        self
    }

    fn routes(&self) -> &[Value] {
        self.api["routes"].as_array().expect("a list")
    }

    /// The routes that the stack protects: the open ones except OPTIONS, unless some are named.
    fn protected(&self) -> BTreeSet<String> {
        let is_open =
            |route: &&Value| route["authorization"].is_null() && route["authorizer"].is_null();
        let open = self.routes().iter().filter(is_open);
        let keys = open.map(|route| key(route).to_owned());
        let named = || self.protect.iter().map(|key| (*key).to_owned());
        match self.protect.is_empty() {
            true => keys.filter(|key| !key.starts_with("OPTIONS ")).collect(),
            false => named().collect(),
        }
    }

    /// A request to each protected route that is open before, and that only this route can take.
    fn requests(&self, place: &str) -> Vec<Value> {
        let protected = self.protected();
        let has_whole = self
            .routes()
            .iter()
            .any(|route| key(route).ends_with(" /{proxy+}"));
        let is_asked = |route: &&Value| {
            let key = key(route);
            let is_open = route["authorization"].is_null() && route["authorizer"].is_null();
            // Of a key with an encoded character, it is not known which path it takes.
            let is_known = !key.contains('%')
                && route["target"] != false
                && self.api["disable_execute_api_endpoint"] != true;
            is_open && is_known && protected.contains(key) && (key != "$default" || !has_whole)
        };
        let request = |route: &Value| {
            let (verb, path) = key(route)
                .split_once(' ')
                .unwrap_or(("DELETE", "/nothing/else"));
            let parts = path.split('/').map(|part| match part {
                part if part.ends_with("+}") => "v/w/x/y/z".to_owned(),
                part if part.starts_with('{') => "v".to_owned(),
                part => part.bytes().map(encoded).collect(),
            });
            let path: Vec<_> = parts.collect();
            let verb = if verb == "ANY" { "PATCH" } else { verb };
            json!({"method": verb, "path": format!("{place}{}", path.join("/"))})
        };
        self.routes().iter().filter(is_asked).map(request).collect()
    }

    /// Asserts everything that is promised, with a stage of this name.
    fn lives(&self, stage: &str, auto_deploy: bool) {
        let when = format!("{}, stage {stage}, automatic: {auto_deploy}", self.name);
        let mut seed = self.api.clone();
        seed["stages"] = json!([self.stage.clone()]);
        seed["stages"][0]["name"] = stage.into();
        seed["stages"][0]["auto_deploy"] = auto_deploy.into();
        let aws = account(&seed);
        let before = aws.account();
        let protect: Vec<_> = self.protect.iter().map(|key| json!(key)).collect();
        let more = match protect.is_empty() {
            true => String::new(),
            false => format!(", protect: {}", Value::from(protect)),
        };
        let here = workplace(&aws, stage, &more);
        aws.post("config", &json!({"omit": self.omit, "nulls": self.nulls}));
        let protected = self.protected();

        let plan = here.succeed(&["plan", "-o", "json"]).json();
        let attaches = plan["attaches"].as_array().expect("a list").iter();
        let planned: BTreeSet<_> = attaches
            .filter_map(|text| Some(text.as_str()?.rsplit_once(": ")?.0.to_owned()))
            .collect();
        assert_eq!(planned, protected, "{when}");
        assert_eq!(plan["pending"], json!([]), "{when}");
        let notices = plan["notices"].to_string();
        for told in self.told {
            assert!(notices.contains(told), "{when}: {told} is not in {notices}");
        }

        let place = match stage {
            "$default" => id(&before),
            stage => format!("{}/{stage}", id(&before)),
        };
        let requests = self.requests(&place);
        let moments = |number| if requests.is_empty() { 0 } else { number };
        aws.check_log();
        aws.post("config", &json!({"watch": requests}));
        here.succeed(&["up", "--yes"]);
        assert_unmixed(&aws, moments(20), &when);
        assert_changed(&aws, &when);
        let after = aws.account();
        let mut wanted = served(&before, stage);
        wanted.extend(protected.iter().map(|key| (key.clone(), OURS.to_owned())));
        assert_eq!(served(&after, stage), wanted, "{when}");
        assert_eq!(settings(&after, stage), settings(&before, stage), "{when}");
        assert_eq!(bare(&after), bare(&before), "{when}");
        aws.check_log();

        let again = here.succeed(&["up", "--yes"]);
        assert!(
            again.stderr.contains("No changes"),
            "{when}: {}",
            again.stderr
        );
        assert_eq!(aws.changes(), [""; 0], "{when}");
        let status = here
            .succeed(&["status", "--exit-code", "-o", "json"])
            .json();
        let rows = status["api"]["methods"].as_array().expect("a list").iter();
        let shown = rows.filter(|row| row["protected"] == true).count();
        assert_eq!(shown, protected.len(), "{when}");

        aws.check_log();
        here.succeed(&["rollback"]);
        assert_unmixed(&aws, moments(1), &when);
        assert_eq!(
            served(&aws.account(), stage),
            served(&before, stage),
            "{when}"
        );
        here.succeed(&["up", "--yes"]);
        assert_unmixed(&aws, moments(3), &when);
        assert_eq!(served(&aws.account(), stage), wanted, "{when}");

        aws.check_log();
        here.succeed(&["down", "--yes"]);
        assert_unmixed(&aws, moments(20), &when);
        assert_changed(&aws, &when);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

fn key(route: &Value) -> &str {
    route["key"].as_str().expect("a key")
}

fn encoded(byte: u8) -> String {
    match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    }
}

/// Asserts that callers were let through at one moment and refused at another, if they were watched.
#[track_caller]
fn assert_changed(aws: &TestAws, when: &str) {
    let watched = watched(aws);
    let of = |is_open: bool| {
        let mut moments = watched.iter();
        moments.any(|(_, statuses)| (statuses.first() == Some(&200)) == is_open)
    };
    let is_watched = watched.iter().any(|(_, statuses)| !statuses.is_empty());
    assert!(!is_watched || of(true) && of(false), "{when}: {watched:?}");
}

/// The settings of a stage: everything but its deployment.
fn settings(account: &Value, stage: &str) -> Value {
    let mut stage = stage_of(account, stage).clone();
    let shown = stage.as_object_mut().expect("an object");
    shown.retain(|name, _| name != "DeploymentId" && name != "LastDeploymentStatusMessage");
    stage
}

/// The API without the authorizer of the stack, and without the authorization of routes.
fn bare(account: &Value) -> Value {
    let mut api = api(account).clone();
    for route in api["Routes"].as_array_mut().expect("a list") {
        let shown = route.as_object_mut().expect("an object");
        shown.retain(|name, _| !name.starts_with("Authoriz"));
    }
    let authorizers = api["Authorizers"].as_array_mut().expect("a list");
    authorizers.retain(|one| one["Name"] != "threescale-gw-orders-authorizer");
    for name in ["Stages", "Deployments"] {
        api[name] = Value::Null;
    }
    api
}

fn shapes() -> Vec<Odd> {
    let orders = || json!([{"key": "GET /orders"}, {"key": "POST /orders"}]);
    let guarded = || {
        json!([
            {"key": "GET /me", "authorizer": "own"},
            {"key": "GET /former", "authorizer": "former"},
            {"key": "GET /user", "authorization": "JWT", "authorizer": "tokens", "scopes": ["orders/write", "orders/read"]},
            {"key": "GET /signed", "authorization": "AWS_IAM"},
            {"key": "GET /open"},
        ])
    };
    let authorizers = json!({"authorizers": {
        "own": {"AuthorizerResultTtlInSeconds": 3600, "IdentitySource": ["$request.querystring.token", "$context.routeKey"]},
        "former": {"AuthorizerPayloadFormatVersion": "1.0", "EnableSimpleResponses": null, "AuthorizerResultTtlInSeconds": null,
            "IdentitySource": []},
    }});
    let cors = json!({"cors": {"AllowOrigins": ["https://x.example"], "AllowMethods": ["GET"], "AllowHeaders": ["apikey"], "MaxAge": 60}});
    vec![
        Odd {
            told: &[
                "GET /me has CUSTOM and stays unchanged",
                "GET /former has CUSTOM and stays unchanged",
                "GET /user has JWT and stays unchanged",
                "GET /signed has AWS_IAM and stays unchanged",
            ],
            ..Odd::new("authorizations of others", guarded()).with(&authorizers)
        },
        Odd {
            protect: &["GET /me", "GET /former", "GET /user", "GET /signed"],
            told: &[
                "GET /user has JWT and will be protected because `api.protect` names it exactly",
            ],
            ..Odd::new("authorizations of others, named", guarded()).with(&authorizers)
        },
        Odd {
            told: &["$default also answers OPTIONS"],
            ..Odd::new("$default alone", json!([{"key": "$default"}]))
        },
        Odd::new(
            "a greedy route with a route of a method beside it",
            json!([
                {"key": "ANY /{proxy+}"}, {"key": "GET /{proxy+}", "target_of": "ANY /{proxy+}"}, {"key": "$default"},
                {"key": "DELETE /orders/{id}", "target": "https://x.example.com"}, {"key": "ANY /orders/{id}"}, {"key": "ANY /"},
            ]),
        ),
        Odd::new(
            "routes without a target, and several on one integration",
            json!([
                {"key": "GET /nowhere", "target": false}, {"key": "GET /a"}, {"key": "POST /a", "target_of": "GET /a"},
                {"key": "$default", "target_of": "GET /a"},
            ]),
        ),
        Odd::new("CORS", orders()).with(&cors),
        Odd::new(
            "CORS with routes for OPTIONS",
            json!([{"key": "$default"}, {"key": "OPTIONS /{all+}"}, {"key": "ANY /files/{rest+}"}, {"key": "OPTIONS /files/{rest+}"}]),
        )
        .with(&cors),
        Odd {
            stage: json!({
                "description": "live\u{1b}[31m", "variables": {"backend": "v2"}, "tags": {"team": "orders"},
                "default_route_settings": {"ThrottlingRateLimit": 100.0, "ThrottlingBurstLimit": 50, "DetailedMetricsEnabled": true},
                "route_settings": {"GET /orders": {"ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 2}},
                "access_log_settings": {"DestinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:access", "Format": "$context.requestId"},
            }),
            ..Odd::new("a stage with settings", orders())
        },
        Odd::new("a disabled endpoint", orders())
            .with(&json!({"disable_execute_api_endpoint": true})),
        Odd {
            omit: json!({
                "GetRoutes": ["apiKeyRequired", "authorizationScopes", "authorizationType"], "GetApis": ["tags", "corsConfiguration"],
                "GetApi": ["tags"], "GetStage": ["tags", "routeSettings", "lastUpdatedDate"], "GetAuthorizers": ["enableSimpleResponses"],
            }),
            ..Odd::new("absent members", orders())
        },
        Odd {
            nulls: json!({
                "GetRoutes": ["authorizationScopes", "authorizerId", "operationName", "requestModels", "requestParameters", "target"],
                "GetApis": ["corsConfiguration", "tags", "importInfo"], "GetApi": ["corsConfiguration", "warnings"],
                "GetStage": ["accessLogSettings", "autoDeploy", "lastDeploymentStatusMessage", "stageVariables"],
                "GetStages": ["autoDeploy", "deploymentId", "items"],
                "GetAuthorizers": ["jwtConfiguration", "identitySource", "authorizerResultTtlInSeconds"],
                "GetDeployments": ["description", "deploymentStatusMessage", "autoDeployed"], "GetDeployment": ["description"],
            }),
            ..Odd::new("nulls in place of lists", guarded()).with(&authorizers)
        },
        Odd::new(
            "names and paths",
            json!([
                {"key": "GET /v1.0/größe"}, {"key": "GET /a%20b"}, {"key": "POST /~user/{x.y-z_1}/:act"},
                {"key": "GET /{Größe}".replace("Größe", "a.b"), "operation_name": "zeile\nzwei"}, {"key": "PUT /a//b"},
                {"key": "GET /trailing/"}, {"key": "GET /日本/{id}"},
            ]),
        )
        .with(&json!({"description": "\u{1b}]0;title\u{7}", "tags": {"größe": "10%"}, "version": "1.0\u{202e}"})),
    ]
}

/// An API from a number: authorizations, forms of keys, and methods in another combination each.
fn generated(number: u64) -> Odd {
    const METHODS: [&str; 8] = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY",
    ];
    const PATHS: [&str; 9] = [
        "/",
        "/orders",
        "/orders/{id}",
        "/orders/{id}/lines/{line}",
        "/files/{proxy+}",
        "/{proxy+}",
        "/{one}",
        "/v1.0/a-b_c",
        "/größe",
    ];
    // A linear congruential generator: its higher bits are even enough for this.
    let mut state = number.wrapping_add(1);
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut routes: BTreeMap<String, Value> = BTreeMap::new();
    for _ in 0..14 {
        let key = match next(12) {
            0 => "$default".to_owned(),
            _ => format!("{} {}", METHODS[next(8)], PATHS[next(9)]),
        };
        let mut route = match next(8) {
            0 => json!({"authorization": "AWS_IAM"}),
            1 => json!({"authorization": "JWT", "authorizer": "tokens", "scopes": ["b", "a"]}),
            2 => json!({"authorization": "JWT", "authorizer": "tokens"}),
            3 => json!({"authorizer": "own"}),
            4 => json!({"target": "https://x.example.com"}),
            _ => json!({}),
        };
        route["key"] = key.clone().into();
        routes.insert(key, route);
    }
    routes
        .entry("GET /always".to_owned())
        .or_insert_with(|| json!({"key": "GET /always"}));
    let mut odd = Odd::new(
        &format!("generated {number}"),
        routes.into_values().collect(),
    );
    if next(2) == 0 {
        odd = odd.with(&json!({"cors": {"AllowOrigins": ["*"]}}));
    }
    odd
}

#[test]
fn every_shape_is_told_protected_rolled_back_and_restored() {
    let shapes = shapes().into_iter().chain((0..3).map(generated)).collect();
    each(shapes, |number, odd: Odd| {
        let (stage, auto_deploy) = STAGES[number % STAGES.len()];
        odd.lives(stage, auto_deploy);
    });
}

/// The plan with what would make it fail, of an API that cannot be protected as it is. Nothing changes.
fn refused(aws: &TestAws, here: &Workplace, code: i32, told: &[&str]) {
    let before = aws.account();
    for arguments in [&["plan"][..], &["up", "--yes", "--no-verify"]] {
        let run = here.run(arguments);
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        assert_mentions(&run, told);
    }
    assert_same(&before, &aws.account());
}

#[test]
fn an_api_that_cannot_be_protected_is_refused_and_unchanged() {
    let routes = json!([{"key": "GET /orders"}]);
    let with_stages = |stages: Value| {
        account(
            &json!({"protocol": "HTTP", "name": "orders-api", "routes": routes, "stages": stages}),
        )
    };
    let none = with_stages(json!([]));
    let here = workplace(&none, "$default", "");
    refused(
        &none,
        &here,
        4,
        &["has no stage \"$default\" with a deployment"],
    );

    // Nothing was ever deployed to the stage.
    let of_api = json!({"ApiId": id(&none.account()), "StageName": "$default"});
    none.call("apigatewayv2", "CreateStage", of_api);
    refused(
        &none,
        &here,
        4,
        &[
            "stage $default of HTTP API",
            "has no deployment: deploy the API to it",
        ],
    );

    let another = with_stages(
        json!([{"name": "prod", "auto_deploy": true}, {"name": "$default", "auto_deploy": true}, {"name": "old"}]),
    );
    let here = workplace(&another, "prod", "");
    refused(
        &another,
        &here,
        4,
        &[
            "stage $default of HTTP API",
            "turn off its automatic deployment",
        ],
    );

    let no_routes = account(
        &json!({"protocol": "HTTP", "name": "orders-api", "routes": [], "stages": [{"name": "prod", "auto_deploy": true}]}),
    );
    let here = workplace(&no_routes, "prod", "");
    refused(
        &no_routes,
        &here,
        4,
        &["stage prod of HTTP API", "has no deployment"],
    );
}

/// API Gateway's quota of authorizers is full: the plan says which of them no route uses. More of them show a raised quota.
#[test]
fn a_full_quota_of_authorizers_is_told_before_anything_is_made() {
    let aws = account(&json!({
        "protocol": "HTTP", "name": "orders-api", "routes": [{"key": "GET /a"}, {"key": "GET /me", "authorizer": "own"}],
        "stages": [{"name": "prod"}],
    }));
    let api_id = id(&aws.account());
    let uri = api(&aws.account())["Authorizers"][0]["AuthorizerUri"].clone();
    for number in 1..10 {
        let more = json!({"ApiId": api_id, "Name": format!("old-{number}\u{1b}[2J"), "AuthorizerType": "REQUEST", "IdentitySource": [],
            "AuthorizerPayloadFormatVersion": "2.0", "AuthorizerUri": uri});
        aws.call("apigatewayv2", "CreateAuthorizer", more);
    }
    let here = workplace(&aws, "prod", "");
    let told = [
        format!("HTTP API {api_id} has 10 authorizers"),
        r"no method uses old-1\u{1b}[2J, old-2\u{1b}[2J".to_owned(),
        "raise the quota".to_owned(),
    ];
    refused(&aws, &here, 4, &told.each_ref().map(String::as_str));
}

/// Text of the API's owner with control characters: it never reaches a terminal as it is.
#[test]
fn control_characters_of_an_api_never_reach_a_terminal() {
    let aws = TestAws::start();
    let function = "arn:aws:lambda:us-east-1:123456789012:function:own";
    let uri = format!(
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    );
    let seeded = aws.post("seed", &json!({"api": {
        "protocol": "HTTP", "name": "orders\u{1b}[31m-api\n", "description": "\u{1b}]0;d\u{7}",
        "authorizers": {"own\u{1b}[31m": {"AuthorizerUri": uri}},
        "routes": [{"key": "GET /a\u{1b}[31mb"}, {"key": "GET /me\u{9b}31m", "authorizer": "own\u{1b}[31m"},
            {"key": "GET /user", "authorization": "JWT", "authorizer": "to\u{1b}[31mkens", "scopes": ["a\u{1b}[31mb"]}],
        "stages": [{"name": "prod", "description": "\u{1b}[31m"}, {"name": "old"}],
        "pending": [{"key": "OPTIONS /new\u{1b}[31m"}, {"update_authorizer": "own\u{1b}[31m", "to": {"AuthorizerResultTtlInSeconds": 7}}],
    }}));
    let here = Workplace::new(&aws);
    let api_id = seeded["api_id"].as_str().expect("an id");
    here.edit(API, &format!("api: {{id: {api_id}, stage: prod}}"));
    for arguments in [
        &["plan"][..],
        &["plan", "-o", "markdown"],
        &["up", "--yes", "--no-verify", "-v"],
        &["up", "--yes", "--publish-pending", "--settle", "1ms", "-v"],
        &["status", "--all"],
        &["verify", "--settle", "1ms"],
        &["rollback"],
        &["list"],
        &["down", "--yes", "-v"],
    ] {
        let run = here.run(arguments);
        let shown = format!("{}{}", run.stdout, run.stderr);
        let raw = |c: char| c != '\n' && (c.is_control() || c == '\u{9b}');
        let line = shown.lines().find(|line| line.contains(raw));
        assert_eq!(line, None, "{arguments:?}");
    }
}

//! Stages whose automatic deployment a run has turned off: each way on turns it on again, and nothing is left unverified.

use serde_json::{Value, json};

use crate::support::http_api::{account, api, comparable, id, rich, served, stage_of, workplace};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::{API, assert_mentions};
use crate::support::socket::{CONNECT, chat};
use crate::support::{TestAws, Workplace, artifact, assert_same};

const UP: [&str; 4] = ["up", "--yes", "--settle", "1ms"];
const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];
const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";

/// An API whose stage `prod` deploys automatically.
struct Case {
    name: &'static str,
    aws: TestAws,
    here: Workplace,
    before: Value,
}

/// An HTTP API and a WebSocket API.
fn cases() -> Vec<Case> {
    let http = account(&rich("prod", true));
    let here = workplace(&http, "prod");
    let socket = chat((false, true));
    let there = Workplace::new(&socket);
    there.edit(API, "api: {name: orders-api, stage: prod}");
    [("HTTP", http, here), ("WebSocket", socket, there)]
        .into_iter()
        .map(|(name, aws, here)| Case {
            name,
            before: aws.account(),
            aws,
            here,
        })
        .collect()
}

impl Case {
    /// The same in a copy of the account.
    fn fork(&self) -> Self {
        self.of(self.aws.fork())
    }

    /// The same in this account.
    fn of(&self, aws: TestAws) -> Self {
        let here = Workplace::new(&aws);
        let text = std::fs::read(self.here.path("threescale-gw.yaml")).expect("the configuration");
        here.write("threescale-gw.yaml", &text);
        Self {
            name: self.name,
            before: self.before.clone(),
            aws,
            here,
        }
    }

    /// A route that the stack protects.
    fn route(&self) -> &'static str {
        match self.name {
            "HTTP" => "GET /orders",
            _ => CONNECT,
        }
    }

    fn is_automatic(&self) -> bool {
        stage_of(&self.aws.account(), "prod")["AutoDeploy"] == true
    }

    fn is_open(&self) -> bool {
        served(&self.aws.account(), "prod") == served(&self.before, "prod")
    }

    #[track_caller]
    fn assert_open_and_frozen(&self, when: &str) {
        assert!(self.is_open(), "{}, {when}", self.name);
        assert!(!self.is_automatic(), "{}, {when}", self.name);
    }

    #[track_caller]
    fn assert_protected_and_thawed(&self, when: &str) {
        let served = served(&self.aws.account(), "prod");
        assert_eq!(
            served.get(self.route()).map(String::as_str),
            Some(OURS),
            "{when}"
        );
        assert!(self.is_automatic(), "{}, {when}", self.name);
        let plan = self.here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}, {when}: {}", self.name, plan.stdout);
    }

    #[track_caller]
    fn assert_restored(&self, when: &str) {
        assert!(self.is_automatic(), "{}, {when}", self.name);
        assert_same(&comparable(&self.before), &comparable(&self.aws.account()));
    }

    /// Kills a run right after its call of this number that has this name.
    fn kill(&self, arguments: &[&str], operation: &str, nth: usize) {
        let rule = json!({"operation": operation, "nth": nth, "kind": "hold", "freeze": true});
        self.aws.post("faults", &json!([rule]));
        let mut child = self.here.start(arguments);
        let held = self.aws.get("held?timeout=60");
        assert_eq!(held["held"]["operation"], operation, "{}", self.name);
        child.kill().expect("a signal");
        child.wait().expect("its end");
        self.aws.post("release", &json!({}));
        self.aws.post("faults", &json!([]));
    }

    /// Another user turns automatic deployment on.
    fn turn_on(&self) {
        let stage =
            json!({"ApiId": id(&self.aws.account()), "StageName": "prod", "AutoDeploy": true});
        self.aws.call("apigatewayv2", "UpdateStage", stage);
    }

    /// Another user opens a protected route.
    fn open_a_route(&self) {
        let now = self.aws.account();
        let mut routes = api(&now)["Routes"].as_array().expect("a list").iter();
        let key = self.route();
        let route = routes.find(|route| route["RouteKey"] == key);
        let id = &route.expect("the route")["RouteId"];
        let open = json!({"ApiId": api(&now)["ApiId"], "RouteId": id, "AuthorizationType": "NONE"});
        self.aws.call("apigatewayv2", "UpdateRoute", open);
    }

    fn is_verified(&self) -> Value {
        let status = self.here.run(&["status", "--no-deep", "-o", "json"]);
        status.json()["api"]["verified"].clone()
    }
}

/// The record of a run that was killed right after it turned automatic deployment off names no method yet.
#[test]
fn a_stage_that_was_frozen_before_any_route_was_recorded_is_thawed() {
    for case in cases() {
        case.kill(&UP, "UpdateStage", 1);
        case.assert_open_and_frozen("killed");
        let plan = case.here.run(&["plan"]);
        assert_mentions(&plan, &["automatic deployment: off -> on"]);
        let up = case.fork();
        up.here.succeed(&UP);
        up.assert_protected_and_thawed("up");
        let down = case.here.succeed(&DOWN);
        // The stage is thawed before anything that callers depend on is deleted.
        assert_mentions(&down, &["api-attachment/main"]);
        case.assert_restored("down");
    }
}

/// After a rollback, the stage stays open and frozen until a run changes the API: each way on ends with what was.
#[test]
fn a_rolled_back_stage_is_thawed_by_up_and_down_and_by_nothing_else() {
    for case in cases() {
        case.here.succeed(&UP);
        case.here.succeed(&["rollback"]);
        case.assert_open_and_frozen("rollback");
        let again = case.here.succeed(&["rollback"]);
        assert_mentions(&again, &["which is not of this stack"]);
        case.assert_open_and_frozen("a second rollback");
        case.here.run(&["verify", "--settle", "1ms"]);
        case.here.run(&["status"]);

        let only = case.fork();
        only.here.write("bootstrap.zip", &artifact(1));
        only.here
            .succeed(&["up", "--yes", "--only", "authorizer", "--settle", "1ms"]);
        only.assert_open_and_frozen("up --only authorizer");
        let down = only.fork();
        down.here.succeed(&DOWN);
        down.assert_restored("down after up --only authorizer");
        only.here.succeed(&UP);
        only.assert_protected_and_thawed("up after up --only authorizer");

        let down = case.fork();
        down.here.succeed(&DOWN);
        down.assert_restored("down");
        let unverified = case.fork();
        unverified.here.succeed(&["up", "--yes", "--no-verify"]);
        unverified.assert_protected_and_thawed("up --no-verify");
        case.here.succeed(&UP);
        case.assert_protected_and_thawed("up");
        case.here.succeed(&DOWN);
        case.assert_restored("the end");
    }
}

/// Automatic deployment is turned on again before a run has verified its deployment: with `--no-verify`, or by another user after a
/// kill. That is remembered until it is verified, although the version of the authorizer is.
#[test]
fn what_was_thawed_before_it_was_verified_is_verified_by_the_next_up() {
    for case in cases() {
        case.here.succeed(&UP);
        case.open_a_route();
        let without = case.fork();
        without.here.succeed(&["up", "--yes", "--no-verify"]);
        assert_eq!(without.is_verified(), false, "{}", case.name);
        let up = without.here.succeed(&UP);
        assert_mentions(
            &up,
            &["was not verified: this run verifies it", "verified: "],
        );
        assert_eq!(without.is_verified(), true, "{}", case.name);
        without.assert_protected_and_thawed("verified");

        // The first call freezes the stage, and the second one moves it to the deployment.
        case.kill(&UP, "UpdateStage", 2);
        case.turn_on();
        case.aws.post("log/clear", &json!({}));
        let killed = killed_after_each(&case.aws, &case.here, &UP, "ssm");
        case.assert_protected_and_thawed("thawed by another user");
        let is_write = |killed: &Killed| killed.after == "PutParameter";
        let writes: Vec<_> = killed.iter().map(is_write).collect();
        // The last write records that the API is verified.
        let last = writes.iter().rposition(|is_write| *is_write);
        let last = last.expect("a write") + 1;
        assert!(last > 3, "{writes:?}");
        let killed = killed.into_iter().enumerate();
        // The writes before are those of the locks.
        let killed = killed.filter(|(index, _)| (last - 3..=last).contains(&(index + 1)));
        each(killed.collect(), |_, (index, killed)| {
            let nth = index + 1;
            let case = case.of(killed.aws);
            // A lock that a killed run was about to take over.
            case.aws.post("advance", &json!({"seconds": 3600}));
            case.here.succeed(&UP);
            let when = format!("{}, killed after {nth}, {}", case.name, killed.after);
            assert_eq!(case.is_verified(), true, "{when}");
            let mut calls = case.aws.log().into_iter();
            let is_verified = calls.any(|call| call["operation"] == "FilterLogEvents");
            assert_eq!(is_verified, nth < last, "{when}");
        });
    }
}

/// What was thawed and does not work is undone, and not left because it is there already.
#[test]
fn what_was_thawed_before_it_was_verified_and_does_not_work_is_undone() {
    // When API Gateway deploys the draft after that is not known.
    let cases = ["now", "next-change"].map(|thaw| (thaw, cases()));
    let cases = cases
        .into_iter()
        .flat_map(|(thaw, cases)| cases.into_iter().map(move |case| (thaw, case)));
    for (thaw, case) in cases {
        case.aws
            .post("config", &json!({"http_api": {"thaw": thaw}}));
        case.kill(&UP, "UpdateStage", 2);
        case.turn_on();
        case.aws
            .post("config", &json!({"outcomes": {"authorizer": "error"}}));
        let up = case.here.run(&UP);
        assert_eq!(up.code, Some(1), "{}: {}", case.name, up.stderr);
        assert!(case.is_open(), "{}: {}", case.name, up.stderr);
        assert!(!up.stderr.contains("as before the change"), "{}", up.stderr);
        case.aws
            .post("config", &json!({"outcomes": {"authorizer": null}}));
        case.here.succeed(&UP);
        case.assert_protected_and_thawed("the next up");
    }
}

/// Another stack has turned the automatic deployment of another stage off, and turns it on again with its next run.
#[test]
fn a_stage_that_another_stack_has_frozen_is_refused_by_name() {
    for (protocol, route) in [("HTTP", "GET /orders"), ("WEBSOCKET", CONNECT)] {
        let aws = account(&json!({
            "protocol": protocol, "name": "orders-api", "routes": [{ "key": route }],
            "stages": [{"name": "prod", "auto_deploy": true}, {"name": "dev"}],
        }));
        let of = |stack: &str, stage: &str| {
            let here = Workplace::new(&aws);
            here.edit("stack: orders", &format!("stack: {stack}"));
            here.edit(API, &format!("api: {{name: orders-api, stage: {stage}}}"));
            here
        };
        let (one, two) = (of("orders", "prod"), of("partners", "dev"));
        one.succeed(&UP);
        one.succeed(&["rollback"]);
        let frozen = aws.account();
        assert_ne!(stage_of(&frozen, "prod")["AutoDeploy"], true);
        let up = two.run(&["up", "--yes", "--publish-pending"]);
        assert_eq!(up.code, Some(4), "{protocol}: {}", up.stderr);
        assert_mentions(
            &up,
            &["stage prod (off until the next `up` or `down` of another stack) of"],
        );
        assert_same(&frozen, &aws.account());
        one.succeed(&DOWN);
        assert_eq!(stage_of(&aws.account(), "prod")["AutoDeploy"], true);
    }
}

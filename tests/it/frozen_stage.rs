//! Stages whose automatic deployment a run has turned off: each way on turns it on again, and nothing is left unverified.

use serde_json::{Value, json};

use crate::support::http_api::{account, api, comparable, id, rich, served, stage_of, workplace};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::{API, assert_mentions};
use crate::support::socket::{CONNECT, chat};
use crate::support::{Run, TestAws, Workplace, artifact, assert_same};

const UP: [&str; 4] = ["up", "--yes", "--settle", "1ms"];
const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];
/// What each command says that leaves automatic deployment off.
const OFF: &str = "is off until the next `threescale-gw up` or `threescale-gw down`";
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
        assert_mentions(&again, &["which is not of this stack", OFF]);
        case.assert_open_and_frozen("a second rollback");
        case.here.run(&["verify", "--settle", "1ms"]);
        case.here.run(&["status"]);

        let only = case.fork();
        only.here.write("bootstrap.zip", &artifact(1));
        only.here
            .succeed(&["up", "--yes", "--only", "authorizer", "--settle", "1ms"]);
        only.assert_open_and_frozen("up --only authorizer");
        let unchanged =
            only.here
                .succeed(&["up", "--yes", "--only", "authorizer", "--settle", "1ms"]);
        assert_mentions(&unchanged, &["No changes", OFF]);
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

/// Without the record, no command turns automatic deployment on again, and the draft of a killed run is changed in part.
#[test]
fn a_release_is_refused_until_up_or_down_has_thawed_the_stage() {
    const RELEASE: [&str; 2] = ["release", "--yes"];
    for case in cases() {
        case.kill(&UP, "UpdateStage", 1);
        let refused = |case: &Case, when: &str| {
            let before = case.aws.account();
            let release = case.here.run(&RELEASE);
            assert_eq!(release.code, Some(4), "{when}: {}", release.stderr);
            let told = "is off since a rollback or an interrupted run";
            assert_mentions(&release, &[told, "threescale-gw up", "threescale-gw down"]);
            assert_same(&before, &case.aws.account());
        };
        refused(&case, "killed");
        case.aws.post("advance", &json!({"seconds": 3600}));
        case.here.succeed(&UP);
        // One that has begun is completed: `up` and `down` refuse the stack.
        let begun = case.fork();
        let mut states = killed_after_each(&begun.aws, &begun.here, &RELEASE, "ssm");
        let begun = case.of(states.swap_remove(1).aws);
        begun.aws.post("advance", &json!({"seconds": 3600}));
        assert_eq!(begun.here.run(&UP).code, Some(4));
        begun.here.succeed(&["rollback"]);
        let release = begun.here.succeed(&RELEASE);
        assert_mentions(
            &release,
            &["no command turns it on again", "released stack"],
        );

        case.here.succeed(&["rollback"]);
        refused(&case, "rolled back");
        let down = case.fork();
        down.here.succeed(&DOWN);
        down.assert_restored("down");
        case.here.succeed(&UP);
        case.here.succeed(&RELEASE);
        assert!(case.is_automatic(), "{}", case.name);
    }
}

/// A fault that is no reason to undo the change is none to keep the setting of the stage from its owner either. The API stays
/// unverified.
#[test]
fn a_stage_that_keeps_its_deployment_is_thawed_although_it_is_not_verified() {
    for case in cases() {
        let mut faults = vec![(json!({}), Some("suspended-key"), "the test key is refused")];
        if case.name == "HTTP" {
            let open = json!({"open": ["POST /orders"]});
            faults.push((open, None, "this was the same before the change"));
        }
        for (outcomes, key, told) in faults {
            let case = case.fork();
            case.aws.post("config", &json!({ "outcomes": outcomes }));
            let key = key.iter().flat_map(|key| ["--key", key]);
            let arguments: Vec<_> = UP.into_iter().chain(key).collect();
            for run in ["first", "second"] {
                let up = case.here.run(&arguments);
                let when = format!("{}, {told}, {run}: {}", case.name, up.stderr);
                assert_eq!(up.code, Some(1), "{when}");
                assert_mentions(&up, &[told, "stays unchanged"]);
                assert!(!up.stderr.contains(OFF), "{when}");
                case.assert_protected_and_thawed(run);
                assert_eq!(case.is_verified(), false, "{when}");
            }
            case.aws
                .post("config", &json!({"outcomes": {"open": null}}));
            case.here.succeed(&UP);
            assert_eq!(case.is_verified(), true, "{}, {told}", case.name);
        }
    }
}

/// Each command that ends while automatic deployment is off says so, however it ends.
#[test]
fn every_command_that_leaves_automatic_deployment_off_says_so() {
    const DENY: &str = "UpdateStage";
    for case in cases() {
        let denied = |case: &Case, nth: usize| {
            let rule =
                json!({"service": "apigatewayv2", "operation": DENY, "nth": nth, "kind": "deny"});
            case.aws.post("faults", &json!([rule]));
        };
        let told = |case: &Case, arguments: &[&str], code: i32| {
            let run = case.here.run(arguments);
            let when = format!("{}, {arguments:?}: {}", case.name, run.stderr);
            assert_eq!(run.code, Some(code), "{when}");
            assert!(!case.is_automatic(), "{when}");
            assert_mentions(&run, &[OFF]);
        };
        let before = case.fork();
        before.kill(&UP, "UpdateStage", 1);
        told(&before, &["rollback"], 0);
        let json = before.here.run(&["rollback", "-o", "json"]).json();
        assert!(json["notices"].to_string().contains(OFF), "{json}");

        case.kill(&UP, "UpdateStage", 2);
        case.aws.post("advance", &json!({"seconds": 3600}));
        // Nothing is left to do but the thaw, which fails.
        let unchanged = case.fork();
        denied(&unchanged, 1);
        told(&unchanged, &UP, 1);
        // The same after a change.
        let changed = case.fork();
        changed.here.write("bootstrap.zip", &artifact(1));
        denied(&changed, 1);
        told(&changed, &UP, 1);
        changed.aws.post("faults", &json!([]));
        changed.here.succeed(&UP);
        changed.assert_protected_and_thawed("the next up");

        // The removal moves the stage, and cannot thaw it.
        let down = case.fork();
        denied(&down, 2);
        told(&down, &DOWN, 5);
        down.aws.post("faults", &json!([]));
        down.here.succeed(&DOWN);
        down.assert_restored("the next down");
    }
}

/// A run that fails before it has changed a route leaves the stage as it was.
#[test]
fn a_stage_is_thawed_if_no_route_was_changed() {
    for case in cases() {
        let complete = case.fork();
        complete.here.succeed(&UP);
        let calls = complete.aws.log().into_iter();
        let mut writes = calls.filter(|call| call["operation"] == "PutParameter");
        let is_record = |call: Value| {
            let name = call["parameters"]["Name"]
                .as_str()
                .expect("a name")
                .to_owned();
            name.ends_with("/methods-000")
        };
        let record = writes
            .position(is_record)
            .expect("the record of the methods")
            + 1;
        let route = match case.name {
            "HTTP" => "UpdateRoute",
            _ => "CreateRoute",
        };
        let failing = [("apigatewayv2", route, 1), ("ssm", "PutParameter", record)];
        for (service, operation, nth) in failing {
            let case = case.fork();
            let rule = json!({"service": service, "operation": operation, "nth": nth, "kind": "error", "code": "BadRequestException",
                "message": "no\nerror: luck", "status": 400});
            case.aws.post("faults", &json!([rule]));
            let up = case.here.run(&UP);
            let when = format!("{}, {operation}: {}", case.name, up.stderr);
            assert_eq!(up.code, Some(5), "{when}");
            assert!(case.is_open() && case.is_automatic(), "{when}");
            assert!(!up.stderr.contains(OFF), "{when}");
            // A message of a service is no line of this program.
            assert!(up.stderr.contains(r"no\nerror: luck"), "{when}");
            let log = case.aws.log();
            let mut calls = log.iter();
            assert!(
                calls.any(|call| call["operation"] == "UpdateStage"),
                "{when}"
            );
            case.aws.post("faults", &json!([]));
            case.here.succeed(&UP);
            case.assert_protected_and_thawed(operation);
        }
    }
}

/// What others have changed while the stage was frozen is published by the thaw. The API is verified with it, also by a run
/// that only has to thaw.
#[test]
fn what_a_thaw_publishes_is_verified_once_more() {
    let case = cases().swap_remove(0);
    let edit = |case: &Case| {
        let route = json!({"ApiId": id(&case.aws.account()), "RouteKey": "OPTIONS /theirs"});
        case.aws.call("apigatewayv2", "CreateRoute", route);
    };
    let verifications = |case: &Case| {
        let log = case.aws.log();
        let reads = log
            .iter()
            .filter(|call| call["operation"] == "FilterLogEvents");
        reads.count()
    };
    // The third call is the thaw, after the verification.
    let thaw = json!({"operation": "UpdateStage", "nth": 3, "kind": "hold-before"});
    let killed = case.fork();
    killed.aws.post("faults", &json!([thaw]));
    let mut child = killed.here.start(&UP);
    let held = killed.aws.get("held?timeout=60");
    assert_eq!(held["held"]["operation"], "UpdateStage");
    child.kill().expect("a signal");
    child.wait().expect("its end");
    killed.aws.post("faults", &json!([]));
    edit(&killed);
    killed.aws.post("advance", &json!({"seconds": 3600}));
    killed.aws.post("log/clear", &json!({}));
    let up = killed.here.succeed(&UP);
    assert_mentions(&up, &["OPTIONS /theirs is new", "verified: "]);
    assert!(verifications(&killed) >= 1, "{}", up.stderr);
    killed.assert_protected_and_thawed("up");

    // If it fails, nothing is moved back: the deployment of the stack was verified.
    let moved = json!({"operation": "UpdateStage", "nth": 2, "kind": "hold"});
    case.aws.post("faults", &json!([moved, thaw]));
    let child = case.here.start(&UP);
    let broken = json!({"outcomes": {"authorizer": "error"}});
    for phase in ["after", "before"] {
        let held = case.aws.get("held?timeout=60");
        assert_eq!(held["held"]["phase"], phase, "{held}");
        match phase {
            "after" => edit(&case),
            _ => {
                case.aws.post("config", &broken);
            }
        }
        case.aws.post("release", &json!({}));
    }
    let up = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(
        &up,
        &["OPTIONS /theirs is new", "; stage prod stays unchanged\n"],
    );
    assert!(case.is_automatic());
}

/// API Gateway may show late that automatic deployment is off, and deploys every change until then.
#[test]
fn a_stage_that_is_read_late_is_moved_and_its_settings_change_in_one_moment() {
    for case in cases() {
        case.here.succeed(&UP);
        case.aws
            .post("config", &json!({"http_api": {"freeze_lag": 2}}));
        let back = case.fork();
        let run = back.here.succeed(&["rollback"]);
        assert_mentions(&run, &["rolled back stage prod"]);
        back.assert_open_and_frozen("rollback");
        back.here.succeed(&UP);
        back.assert_protected_and_thawed("the next up");

        case.here
            .edit("authorizer: {", "authorizer: {mode: observe, ");
        case.aws.post("log/clear", &json!({}));
        case.here.succeed(&UP);
        let calls = case.aws.log().into_iter();
        let of_api = calls.filter(|call| call["service"] == "apigatewayv2");
        let calls: Vec<_> = of_api.map(|call| call["operation"].clone()).collect();
        let first = |operation: &str| calls.iter().position(|call| call == operation);
        let freeze = first("UpdateStage").expect("the freeze");
        let update = first("UpdateAuthorizer").expect("the change of the settings");
        assert!(freeze < update, "{}: {calls:?}", case.name);
        let reads = calls[freeze..update]
            .iter()
            .filter(|call| *call == "GetStage");
        // Two show that the stage still deploys automatically, and the next one that it does not.
        assert_eq!(reads.count(), 3, "{}: {calls:?}", case.name);
        case.assert_protected_and_thawed("the other mode");
    }
}

//! A stack on several stages of one API: they change together, and each is restored.

use serde_json::{Value, json};

use crate::support::http_api::{
    PROTECTED, account, assert_each_unmixed, comparable, id, rich, served, stage_of, watch_stages,
    workplace,
};
use crate::support::kill::{each, killed_after_each};
use crate::support::rest_api::{self, assert_mentions};
use crate::support::{TestAws, assert_same};

const OURS: &str = "CUSTOM threescale-gw-orders-authorizer";
const DOWN: [&str; 4] = ["down", "--yes", "--stack", "orders"];

/// The stages of the HTTP API, and whether each deploys automatically.
const STAGES: [(&str, bool); 3] = [("prod", true), ("$default", true), ("dev", false)];

fn names() -> [&'static str; 3] {
    STAGES.map(|(name, _)| name)
}

/// The stages of the tests that interrupt a run at each call.
const KILLED: [&str; 2] = ["prod", "$default"];

/// An account with an HTTP API with all of these stages.
fn http() -> TestAws {
    let mut seed = rich("prod", true);
    let stages =
        STAGES.map(|(name, auto_deploy)| json!({"name": name, "auto_deploy": auto_deploy}));
    seed["stages"] = json!(stages);
    account(&seed)
}

fn list(stages: &[&str]) -> String {
    format!("[{}]", stages.join(", "))
}

/// Asserts that each of these stages serves the protected routes with the stack's authorizer, and deploys as before.
fn assert_protected(before: &Value, now: &Value, stages: &[&str], when: &str) {
    for (stage, auto_deploy) in STAGES {
        let mut wanted = served(before, stage);
        if stages.contains(&stage) {
            wanted.extend(PROTECTED.map(|route| (route.to_owned(), OURS.to_owned())));
        }
        assert_eq!(served(now, stage), wanted, "{when}: {stage}");
        let now = &stage_of(now, stage)["AutoDeploy"];
        assert_eq!(*now == true, auto_deploy, "{when}: {stage}");
    }
}

#[test]
fn up_protects_all_stages_and_down_restores_them() {
    let aws = http();
    let before = aws.account();
    let here = workplace(&aws, &list(&names()));
    watch_stages(&aws, &names());
    let plan = here.run(&["plan"]);
    assert_mentions(
        &plan,
        &["automatic deployment of stage prod, $default is turned off"],
    );
    let up = here.succeed(&["up", "--yes"]);
    assert_each_unmixed(&aws, &names(), 30, "up");
    let changes = aws.changes();
    aws.check_log();
    assert_protected(&before, &aws.account(), &names(), "up");
    // The routes change once.
    let count = |operation: &str| changes.iter().filter(|one| *one == operation).count();
    assert_eq!(count("UpdateRoute"), PROTECTED.len(), "{changes:?}");
    assert_eq!(count("CreateDeployment"), 3, "{changes:?}");
    for stage in names() {
        assert!(up.stderr.contains(&format!("/{stage}/")), "{}", up.stderr);
    }
    let again = here.succeed(&["up", "--yes"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);

    let status = here.succeed(&["status", "-o", "json"]).json();
    let stages = status["api"]["stages"].as_array().expect("a list").clone();
    let of = |key: &str| {
        stages
            .iter()
            .map(|stage| stage[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("stage"), names().map(|name| json!(name)));
    assert_eq!(of("verified"), [true, true, true]);
    assert_eq!(of("automatic_deployment"), [true, true, false]);
    assert_eq!(status["healthy"], true, "{status}");
    let status = here.succeed(&["status"]);
    assert_mentions(
        &status,
        &["stage dev verified at", "HTTP API", "stage $default"],
    );
    let without_file = here
        .succeed(&["status", "--stack", "orders", "-o", "json"])
        .json();
    assert_eq!(
        without_file["api"]["stages"].as_array().map(Vec::len),
        Some(3)
    );
    for arguments in [
        &["verify", "-o", "json"][..],
        &["verify", "-o", "json", "--stack", "orders"],
    ] {
        let verified = here.succeed(arguments).json();
        let stages = verified["stages"].as_array().expect("a list");
        let stages: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str()).collect();
        assert_eq!(stages.len(), 3, "{verified}");
        let requests = verified["requests"].as_array().expect("a list");
        for name in names() {
            assert!(stages.contains(&Some(name)), "{verified}");
            assert!(requests.iter().any(|request| request["stage"] == name));
        }
    }
    let one = here.succeed(&["verify", "--stage", "dev"]);
    assert!(
        !one.stdout.contains("/prod/") && one.stdout.contains("/dev/"),
        "{}",
        one.stdout
    );
    let wrong = here.run(&["verify", "--stage", "devel"]);
    assert_eq!(wrong.code, Some(2));
    assert_mentions(
        &wrong,
        &["--stage devel: the stack is attached to prod, $default, dev"],
    );
    let url = here.run(&["verify", "--url", "https://api.example.com/"]);
    assert_eq!(url.code, Some(2));
    assert_mentions(&url, &["give --stage"]);

    aws.post("log/clear", &json!({}));
    here.succeed(&DOWN);
    assert_each_unmixed(&aws, &names(), 20, "down");
    aws.check_log();
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// Each state that a kill of `up` leaves is finished by the next `up`, and removed by the next `down`.
#[test]
fn up_killed_after_each_call_is_finished_or_removed() {
    let aws = http();
    let before = aws.account();
    let here = workplace(&aws, &list(&KILLED));
    watch_stages(&aws, &KILLED);
    let states = killed_after_each(&aws, &here, &["up", "--yes"], "apigatewayv2");
    assert!(states.len() >= 12, "{} changing calls", states.len());
    let runs = states.into_iter().flat_map(|killed| {
        let copy = killed.aws.fork();
        [
            (killed.after.clone(), killed.aws, true),
            (killed.after, copy, false),
        ]
    });
    each(runs.collect(), |nth, (operation, aws, goes_on)| {
        let when = format!("killed after {nth}, {operation}, up: {goes_on}");
        let here = workplace(&aws, &list(&KILLED));
        aws.post("log/clear", &json!({}));
        watch_stages(&aws, &KILLED);
        if goes_on {
            here.succeed(&["up", "--yes"]);
            assert_protected(&before, &aws.account(), &KILLED, &when);
            let plan = here.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
        }
        here.succeed(&DOWN);
        assert_each_unmixed(&aws, &KILLED, 1, &when);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

#[test]
fn down_killed_after_each_call_is_finished_by_the_next_down() {
    let aws = http();
    let before = aws.account();
    let here = workplace(&aws, &list(&KILLED));
    here.succeed(&["up", "--yes"]);
    let states = killed_after_each(&aws, &here, &DOWN, "apigatewayv2");
    assert!(states.len() >= 10, "{} changing calls", states.len());
    each(states, |nth, killed| {
        let aws = killed.aws;
        watch_stages(&aws, &KILLED);
        workplace(&aws, &list(&KILLED)).succeed(&DOWN);
        let when = format!("killed after {nth}, {}", killed.after);
        assert_each_unmixed(&aws, &KILLED, 1, &when);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

/// The other kinds of faults are tried with one stage.
#[test]
fn a_fault_at_each_call_changes_nothing_in_the_end() {
    each(vec!["throttle", "drop", "conflict"], |_, kind| {
        let aws = http();
        let before = aws.account();
        let here = workplace(&aws, &list(&KILLED));
        watch_stages(&aws, &KILLED);
        let every =
            json!([{"service": "apigatewayv2", "mutating": true, "every": true, "kind": kind}]);
        aws.post("faults", &every);
        here.succeed(&["up", "--yes"]);
        assert_protected(&before, &aws.account(), &KILLED, kind);
        here.succeed(&DOWN);
        assert_each_unmixed(&aws, &KILLED, 16, kind);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    });
}

/// The authorizer is deleted for each stage at the same time: API Gateway refuses one of the calls for the moment.
#[test]
fn a_conflict_between_the_stages_leaves_no_record() {
    let aws = http();
    let before = aws.account();
    workplace(&aws, &list(&KILLED)).succeed(&["up", "--yes"]);
    for nth in 1..=KILLED.len() {
        let aws = aws.fork();
        let conflict = json!([{"operation": "DeleteAuthorizer", "nth": nth, "kind": "conflict"}]);
        aws.post("faults", &conflict);
        workplace(&aws, &list(&KILLED)).succeed(&DOWN);
        assert_same(&comparable(&before), &comparable(&aws.account()));
    }
}

/// If callers of one stage are affected, all stages are moved back, and deploy automatically again.
#[test]
fn a_failed_verification_restores_every_stage() {
    let aws = http();
    let before = aws.account();
    let here = workplace(&aws, &list(&names()));
    watch_stages(&aws, &names());
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let up = here.run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    for stage in names() {
        assert_mentions(
            &up,
            &[&format!("stage {stage} is rolled back to deployment")],
        );
    }
    assert_each_unmixed(&aws, &names(), 16, "rolled back");
    assert_protected(&before, &aws.account(), &[], "rolled back");
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    here.succeed(&["up", "--yes"]);
    assert_protected(&before, &aws.account(), &names(), "up again");
    here.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// The stage serves the Lambda authorizer of the API's owner on a route that is protected, too.
#[test]
fn a_route_with_another_authorizer_does_not_keep_the_stages_frozen() {
    let aws = http();
    let before = aws.account();
    let here = workplace(&aws, &list(&KILLED));
    here.edit(
        "except: [\"GET /health\"]",
        "protect: [\"GET /me\", \"GET /orders\"]",
    );
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let up = here.run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_protected(&before, &aws.account(), &[], "rolled back");
    here.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// `rollback` opens all stages, or the one of `--stage`; the next `up` protects them, and `down` restores them.
#[test]
fn a_rollback_moves_every_stage_or_one() {
    let aws = http();
    let before = aws.account();
    let here = workplace(&aws, &list(&names()));
    here.succeed(&["up", "--yes"]);
    for (arguments, open) in [
        (&["rollback"][..], &names()[..]),
        (&["rollback", "--stage", "prod"], &["prod"]),
        (&["rollback", "--stage", "dev"], &["dev"]),
    ] {
        let when = arguments.join(" ");
        let aws = aws.fork();
        let here = workplace(&aws, &list(&names()));
        aws.post("log/clear", &json!({}));
        watch_stages(&aws, &names());
        here.succeed(arguments);
        let now = aws.account();
        for (stage, auto_deploy) in STAGES {
            let is_open = open.contains(&stage);
            let former = served(&before, stage);
            assert_eq!(served(&now, stage) == former, is_open, "{when}: {stage}");
            let automatic = stage_of(&now, stage)["AutoDeploy"] == true;
            assert_eq!(automatic, auto_deploy && !is_open, "{when}: {stage}");
        }
        let status = here.run(&["status", "--exit-code"]);
        assert_eq!(status.code, Some(3), "{}", status.stdout);
        let down = aws.fork();
        here.succeed(&["up", "--yes"]);
        assert_protected(&before, &aws.account(), &names(), &when);
        assert_each_unmixed(&aws, &names(), 1, &when);
        workplace(&down, "prod").succeed(&DOWN);
        assert_each_unmixed(&down, &names(), 1, &when);
        assert_same(&comparable(&before), &comparable(&down.account()));
    }
    let to = here.run(&["rollback", "--to", "abc"]);
    assert_eq!(to.code, Some(2));
    assert_mentions(&to, &["give --stage"]);
}

/// A list may grow. An automatic stage that is taken out would publish the authorizer, so that is refused.
#[test]
fn a_list_of_an_http_api_grows_and_does_not_shrink() {
    let mut seed = rich("prod", true);
    seed["stages"] =
        json!([{"name": "prod", "auto_deploy": true}, {"name": "$default"}, {"name": "dev"}]);
    let aws = account(&seed);
    let before = aws.account();
    workplace(&aws, "prod").succeed(&["up", "--yes"]);
    let both = workplace(&aws, "[dev, prod]");
    watch_stages(&aws, &["prod", "dev"]);
    let plan = both.run(&["plan"]);
    assert_mentions(&plan, &["api-attachment/main", "GET /orders"]);
    both.succeed(&["up", "--yes"]);
    assert_each_unmixed(&aws, &["prod", "dev"], 1, "grown");
    let grown = aws.account();
    assert_eq!(served(&grown, "dev")["GET /orders"], OURS);
    assert_eq!(served(&grown, "prod")["GET /orders"], OURS);
    assert!(stage_of(&grown, "prod")["AutoDeploy"] == true);
    assert_eq!(served(&grown, "$default"), served(&before, "$default"));
    let plan = both.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    let less = workplace(&aws, "dev").run(&["up", "--yes"]);
    assert_eq!(less.code, Some(4), "{}", less.stderr);
    assert_mentions(&less, &["the stack is attached to stage prod of HTTP API"]);
    assert_same(&grown, &aws.account());
    both.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// A change of the settings or of the routes reaches every stage, and no caller meets two of them.
#[test]
fn a_later_change_reaches_every_stage() {
    let aws = http();
    let before = aws.account();
    workplace(&aws, &list(&names())).succeed(&["up", "--yes"]);
    let here = workplace(&aws, &list(&names()));
    here.edit("except: [\"GET /health\"]", "protect: [\"GET /orders\"]");
    here.succeed(&["up", "--yes"]);
    let now = aws.account();
    for (stage, auto_deploy) in STAGES {
        let routes = served(&now, stage);
        let ours: Vec<_> = routes.iter().filter(|(_, kind)| *kind == OURS).collect();
        assert_eq!(ours.len(), 1, "{stage}: {routes:?}");
        assert_eq!(stage_of(&now, stage)["AutoDeploy"] == true, auto_deploy);
    }
    let observing = workplace(&aws, &list(&names()));
    observing.edit("authorizer: {", "authorizer: {mode: observe, ");
    watch_stages(&aws, &names());
    observing.succeed(&["up", "--yes"]);
    let plan = observing.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&DOWN);
    assert_same(&comparable(&before), &comparable(&aws.account()));
}

/// The draft of a stage that quick create made cannot be changed together with others.
#[test]
fn a_managed_stage_is_no_part_of_a_list() {
    let seed = json!({"protocol": "HTTP", "name": "orders-api", "quick_create": true,
        "routes": [{"key": "GET /orders"}]});
    let aws = account(&seed);
    let api = id(&aws.account());
    let made = aws.call("apigatewayv2", "CreateDeployment", json!({"ApiId": api}));
    let dev = json!({"ApiId": api, "StageName": "dev", "DeploymentId": made["DeploymentId"]});
    aws.call("apigatewayv2", "CreateStage", dev);
    let before = aws.account();
    let up = workplace(&aws, "[dev, $default]").run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(
        &up,
        &[
            "stage $default of HTTP API",
            "was created by quick create",
            "alone",
        ],
    );
    assert_same(&before, &aws.account());
}

/// The `api` line for stages of the REST API.
fn of_rest(stages: &str) -> String {
    format!("api: {{name: orders-api, stage: {stages}, except: [\"GET /health\"]}}")
}

/// A REST API with the stages prod and dev.
fn rest() -> (TestAws, String) {
    let (aws, id) = rest_api::account();
    rest_api::add_stage(&aws, &id);
    (aws, id)
}

#[test]
fn the_stages_of_a_rest_api_are_protected_and_restored() {
    let (aws, id) = rest();
    let before = aws.account();
    let here = rest_api::workplace(&aws, &of_rest("[prod, dev]"));
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    let now = aws.account();
    for stage in ["prod", "dev"] {
        let served = rest_api::served(&now, &id, stage);
        assert!(
            served["GET /orders"].starts_with("CUSTOM threescale"),
            "{served:?}"
        );
        assert_eq!(served["GET /health"], "NONE");
    }
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    let states = killed_after_each(&aws, &here, &DOWN, "apigateway");
    assert_same(&before, &aws.account());
    each(states, |_, killed| {
        rest_api::workplace(&killed.aws, &of_rest("[prod, dev]")).succeed(&DOWN);
        assert_same(&before, &killed.aws.account());
    });
}

#[test]
fn a_killed_up_on_two_stages_of_a_rest_api_is_finished_or_removed() {
    let (aws, id) = rest();
    let before = aws.account();
    let here = rest_api::workplace(&aws, &of_rest("[prod, dev]"));
    let states = killed_after_each(&aws, &here, &["up", "--yes"], "apigateway");
    each(states, |nth, killed| {
        let when = format!("killed after {nth}, {}", killed.after);
        let down = killed.aws.fork();
        let here = rest_api::workplace(&killed.aws, &of_rest("[prod, dev]"));
        here.succeed(&["up", "--yes"]);
        for stage in ["prod", "dev"] {
            let served = rest_api::served(&killed.aws.account(), &id, stage);
            assert!(
                served["GET /orders"].starts_with("CUSTOM threescale"),
                "{when}: {served:?}"
            );
        }
        here.succeed(&DOWN);
        assert_same(&before, &killed.aws.account());
        rest_api::workplace(&down, &of_rest("prod")).succeed(&DOWN);
        assert_same(&before, &down.account());
    });
}

/// A list grows, shrinks and changes its order. A stage that leaves it serves its former deployment again.
#[test]
fn a_list_of_a_rest_api_grows_and_shrinks() {
    let (aws, id) = rest();
    let before = aws.account();
    let is_protected = |stage: &str| {
        let served = rest_api::served(&aws.account(), &id, stage);
        served["GET /orders"].starts_with("CUSTOM threescale")
    };
    for (stages, prod, dev) in [
        ("prod", true, false),
        ("[prod, dev]", true, true),
        ("[dev, prod]", true, true),
        ("[dev]", false, true),
        ("[prod, dev]", true, true),
        ("prod", true, false),
    ] {
        let here = rest_api::workplace(&aws, &of_rest(stages));
        here.succeed(&["up", "--yes"]);
        assert_eq!(
            (is_protected("prod"), is_protected("dev")),
            (prod, dev),
            "{stages}"
        );
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{stages}: {}", plan.stdout);
    }
    rest_api::workplace(&aws, &of_rest("prod")).succeed(&DOWN);
    assert_same(&before, &aws.account());
}

/// What the owner of a method changes later is recorded for every stage, so that the last one of them restores it.
#[test]
fn a_later_original_state_is_recorded_for_every_stage() {
    let (aws, id) = rest();
    let with = |stages: &str| {
        format!("api: {{name: orders-api, stage: {stages}, protect: [\"GET /orders\"]}}")
    };
    for (last, order) in [("dev", "[prod, dev]"), ("prod", "[dev, prod]")] {
        let aws = aws.fork();
        rest_api::workplace(&aws, &with(order)).succeed(&["up", "--yes"]);
        // Its owner closes it; the name in `api.protect` says that the stack takes it all the same.
        let closed = [("/authorizationType", "AWS_IAM")];
        rest_api::change(&aws, &id, "GET", "/orders", &closed);
        rest_api::workplace(&aws, &with(order)).succeed(&["up", "--yes"]);
        let ours = rest_api::draft(&aws.account(), &id)["GET /orders"].clone();
        assert!(ours.starts_with("CUSTOM threescale"), "{ours}");
        let whole = aws.fork();
        rest_api::workplace(&aws, &with(last)).succeed(&["up", "--yes"]);
        for (aws, when) in [(aws, "one stage left"), (whole, "both stages")] {
            rest_api::workplace(&aws, &with(last)).succeed(&DOWN);
            let draft = rest_api::draft(&aws.account(), &id);
            assert_eq!(draft["GET /orders"], "AWS_IAM", "{order}, {when}");
        }
    }
}

/// A stage that others have deleted does not keep the other one from being restored in one moment, or from being configured alone.
#[test]
fn a_stage_that_others_delete_does_not_matter() {
    let mut seed = rich("prod", true);
    seed["stages"] = json!([{"name": "prod", "auto_deploy": true}, {"name": "dev"}]);
    let aws = account(&seed);
    workplace(&aws, "[dev, prod]").succeed(&["up", "--yes"]);
    let dev = json!({"ApiId": id(&aws.account()), "StageName": "dev"});
    aws.call("apigatewayv2", "DeleteStage", dev);
    let alone = aws.fork();
    watch_stages(&aws, &["prod"]);
    workplace(&aws, "prod").succeed(&DOWN);
    assert_each_unmixed(&aws, &["prod"], 8, "down");
    let open = served(&aws.account(), "prod");
    assert!(open.values().all(|kind| kind != OURS), "{open:?}");
    assert_eq!(open["GET /orders"], "NONE");

    let both = workplace(&alone, "[dev, prod]").run(&["up", "--yes"]);
    assert_eq!(both.code, Some(4), "{}", both.stderr);
    let here = workplace(&alone, "prod");
    here.succeed(&["up", "--yes"]);
    assert_eq!(served(&alone.account(), "prod")["GET /orders"], OURS);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&DOWN);
    assert_eq!(served(&alone.account(), "prod"), open);
}

/// A run that takes a stage out of the list keeps the deployment to which the other stage can be moved back.
#[test]
fn a_shrinking_list_keeps_the_deployment_to_go_back_to() {
    let (aws, id) = rest();
    rest_api::workplace(&aws, &of_rest("[prod, dev]")).succeed(&["up", "--yes"]);
    let deployment = || rest_api::stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
    let before = deployment();
    let only = "api: {name: orders-api, stage: prod, protect: [\"GET /orders\"]}";
    let here = rest_api::workplace(&aws, only);
    here.succeed(&["up", "--yes"]);
    assert_ne!(deployment(), before);
    let to = before.as_str().expect("an id");
    here.succeed(&["rollback", "--to", to]);
    assert_eq!(deployment(), before);
}

/// A changed gateway response is known to every stage, so that the last one restores it.
#[test]
fn a_changed_gateway_response_is_recorded_for_every_stage() {
    let (aws, _) = rest();
    let before = aws.account();
    for (order, last) in [("[prod, dev]", "dev"), ("[dev, prod]", "prod")] {
        let aws = aws.fork();
        rest_api::workplace(&aws, &of_rest(order)).succeed(&["up", "--yes"]);
        let limits = |stages: &str| {
            format!(
                "api: {{name: orders-api, stage: {stages}, except: [\"GET /health\"], responses: {{limits: 429}}}}"
            )
        };
        rest_api::workplace(&aws, &limits(order)).succeed(&["up", "--yes"]);
        let none = |stages: &str| {
            format!(
                "api: {{name: orders-api, stage: {stages}, except: [\"GET /health\"], responses: false}}"
            )
        };
        let off = aws.fork();
        let here = rest_api::workplace(&off, &none(order));
        here.succeed(&["up", "--yes"]);
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{order}: {}", plan.stdout);
        here.succeed(&DOWN);
        assert_same(&before, &off.account());
        rest_api::workplace(&aws, &limits(last)).succeed(&["up", "--yes"]);
        rest_api::workplace(&aws, &limits(last)).succeed(&DOWN);
        assert_same(&before, &aws.account());
    }
}

/// `down --keep-protected` that is killed between two stages is reverted by the next `down`, and by the next `up`.
#[test]
fn a_killed_down_that_keeps_methods_closed_is_reverted() {
    let (aws, id) = rest();
    let before = aws.account();
    let here = rest_api::workplace(&aws, &of_rest("[prod, dev]"));
    here.succeed(&["up", "--yes"]);
    let closing = ["down", "--yes", "--stack", "orders", "--keep-protected"];
    let mut states = killed_after_each(&aws, &here, &closing, "apigateway");
    // After the last one, only the rest of the stack is left.
    states.truncate(states.len().saturating_sub(2));
    each(states, |nth, killed| {
        let when = format!("killed after {nth}, {}", killed.after);
        let up = killed.aws.fork();
        let here = rest_api::workplace(&up, &of_rest("[prod, dev]"));
        here.succeed(&["up", "--yes"]);
        for stage in ["prod", "dev"] {
            let served = rest_api::served(&up.account(), &id, stage);
            assert!(
                served["GET /orders"].starts_with("CUSTOM threescale"),
                "{when}: {served:?}"
            );
        }
        here.succeed(&DOWN);
        assert_same(&before, &up.account());
        rest_api::workplace(&killed.aws, &of_rest("prod")).succeed(&DOWN);
        assert_same(&before, &killed.aws.account());
    });
}

/// A refused change stays off the stage until a whole `up` has verified it.
#[test]
fn a_run_for_the_authorizer_alone_does_not_deploy_a_refused_draft() {
    let aws = http();
    let stages = list(&names());
    let narrow = workplace(&aws, &stages);
    narrow.edit("except: [\"GET /health\"]", "protect: [\"GET /orders\"]");
    narrow.succeed(&["up", "--yes"]);
    let former = names().map(|stage| served(&aws.account(), stage));
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let wide = workplace(&aws, &stages);
    let up = wide.run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    aws.post("config", &json!({"outcomes": {"authorizer": null}}));
    wide.write("bootstrap.zip", &crate::support::artifact(1));
    wide.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(names().map(|stage| served(&aws.account(), stage)), former);
    wide.succeed(&["up", "--yes"]);
    for (stage, auto_deploy) in STAGES {
        assert_eq!(served(&aws.account(), stage)["POST /orders"], OURS);
        assert_eq!(
            stage_of(&aws.account(), stage)["AutoDeploy"] == true,
            auto_deploy
        );
    }
}

/// A new stage that fails its verification does not leave the other one frozen.
#[test]
fn a_new_stage_that_fails_leaves_the_others_as_they_were() {
    let mut seed = rich("prod", true);
    seed["stages"] = json!([{"name": "prod", "auto_deploy": true}, {"name": "dev"}]);
    let aws = account(&seed);
    let before = aws.account();
    workplace(&aws, "prod").succeed(&["up", "--yes"]);
    aws.post("config", &json!({"outcomes": {"authorizer": "error"}}));
    let up = workplace(&aws, "[prod, dev]").run(&["up", "--yes", "--settle", "0s"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_mentions(&up, &["stage dev is rolled back to deployment"]);
    let now = aws.account();
    assert_eq!(served(&now, "prod")["GET /orders"], OURS);
    assert!(stage_of(&now, "prod")["AutoDeploy"] == true);
    assert_eq!(served(&now, "dev"), served(&before, "dev"));
}

/// A method that another stack protects in one of the stages is refused by the name of that stage.
#[test]
fn another_stack_on_one_of_the_stages_is_named() {
    let (aws, _) = rest();
    let other = rest_api::workplace(&aws, "api: {name: orders-api, stage: dev}");
    other.edit(
        "stack: orders",
        "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
    );
    other.succeed(&["up", "--yes"]);
    let before = aws.account();
    for order in ["[prod, dev]", "[dev, prod]"] {
        let both = format!("api: {{name: orders-api, stage: {order}}}");
        let up = rest_api::workplace(&aws, &both).run(&["up", "--yes"]);
        assert_eq!(up.code, Some(4), "{order}: {}", up.stderr);
        assert_mentions(&up, &["no method of API", ", stage dev,"]);
        assert_same(&before, &aws.account());
    }
}

/// The first stage does not deploy automatically, so that only the second one is still to be turned on again.
#[test]
fn a_plan_has_something_to_do_if_any_stage_is_frozen() {
    let aws = http();
    let here = workplace(&aws, &list(&["dev", "prod", "$default"]));
    // Two stages are frozen, and all three are moved.
    let rule = json!({"operation": "UpdateStage", "nth": 5, "kind": "hold", "freeze": true});
    aws.post("faults", &json!([rule]));
    let mut child = here.start(&["up", "--yes"]);
    assert_eq!(
        aws.get("held?timeout=60")["held"]["operation"],
        "UpdateStage"
    );
    child.kill().expect("a signal");
    child.wait().expect("its end");
    aws.post("release", &json!({}));
    aws.post("faults", &json!([]));
    assert_ne!(stage_of(&aws.account(), "prod")["AutoDeploy"], true);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_mentions(&plan, &["No changes: "]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);
}

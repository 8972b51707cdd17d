//! How the API is restored in the cases where the result differs from its original state.

use crate::support::rest_api::{
    OURS, account, add_stage, assert_mentions, authorizer, authorizers, change, draft, move_stage,
    publish, rest_api, served, stage_of, with, workplace,
};
use crate::support::{TestAws, Workplace, assert_same};
use serde_json::json;

const HERE: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;

#[test]
fn methods_can_be_left_closed_rather_than_open() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, except: ["GET /health"], protect: ["ANY /*", "GET /me"]}"#,
    );
    here.succeed(&["up", "--yes"]);
    let down = here.succeed(&["down", "--yes", "--keep-protected"]);
    assert_mentions(
        &down,
        &[
            "GET /orders of API",
            "is closed with AWS_IAM, where it was open before the stack",
        ],
    );
    let after = aws.account();
    // Open methods become closed, and methods that other users protected get their own authorization back.
    let closed = with(
        &draft(&before, &id),
        &[
            ("GET /orders", "AWS_IAM"),
            ("POST /orders", "AWS_IAM with a key"),
            ("GET /orders/{id}", "AWS_IAM"),
            ("ANY /files/{proxy+}", "AWS_IAM"),
        ],
    );
    assert_eq!(draft(&after, &id), closed);
    assert_eq!(served(&after, &id, "prod"), closed);
    assert!(
        !authorizers(rest_api(&after, &id))
            .values()
            .any(|name| *name == OURS)
    );
    assert_mentions(&here.succeed(&["down", "--yes"]), &["No changes"]);
}

#[test]
fn a_method_whose_own_authorizer_is_gone_is_closed_and_not_opened() {
    let (aws, id) = account();
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /me"]}"#,
    );
    here.succeed(&["up", "--yes"]);
    let own = authorizer(&aws.account(), &id, "own");
    aws.call(
        "apigateway",
        "DeleteAuthorizer",
        json!({"restApiId": id, "authorizerId": own}),
    );
    let down = here.succeed(&["down", "--yes"]);
    assert_mentions(
        &down,
        &[
            "of GET /me no longer exists",
            "set to AWS_IAM instead of being opened",
        ],
    );
    assert!(draft(&aws.account(), &id)["GET /me"].starts_with("AWS_IAM"));
}

/// Another user re-creates an authorizer, as an import of the API does. It gets a new ID.
fn make_again(aws: &TestAws, id: &str, name: &str) -> String {
    let before = authorizer(&aws.account(), id, name);
    let parameters = json!({"restApiId": id, "authorizerId": before});
    let mut made = aws.call("apigateway", "GetAuthorizer", parameters.clone());
    aws.call("apigateway", "DeleteAuthorizer", parameters);
    made["restApiId"] = json!(id);
    made.as_object_mut().expect("a map").remove("id");
    let made = aws.call("apigateway", "CreateAuthorizer", made);
    let now = made["id"].as_str().expect("an id").to_owned();
    assert_ne!(now, before);
    now
}

#[test]
fn what_the_owners_guarded_since_stays_guarded() {
    const GUARDED: [&str; 4] = ["GET /orders", "GET /orders/{id}", "GET /me", "GET /user"];
    // Whether the owners published their edits, and whether they also deleted the stack's deployments.
    for (published, cleaned_up) in [(true, false), (true, true), (false, false)] {
        let (aws, id) = account();
        let here = workplace(
            &aws,
            &format!(
                "api: {{name: orders-api, stage: prod, responses: [ACCESS_DENIED, UNAUTHORIZED], protect: {}}}",
                json!(GUARDED)
            ),
        );
        here.succeed(&["up", "--yes"]);
        let ours = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        let own = make_again(&aws, &id, "own");
        make_again(&aws, &id, "pool");
        let iam = [("/authorizationType", "AWS_IAM"), ("/authorizerId", "")];
        change(&aws, &id, "GET", "/orders", &iam);
        let with_own = [("/authorizationType", "CUSTOM"), ("/authorizerId", &*own)];
        change(&aws, &id, "GET", "/orders/{id}", &with_own);
        aws.call(
            "apigateway",
            "PutGatewayResponse",
            json!({"restApiId": id, "responseType": "ACCESS_DENIED", "statusCode": "418"}),
        );
        let theirs = aws.account();
        if published {
            publish(&aws, &id, "prod");
        }
        if cleaned_up {
            let parameters = json!({"restApiId": id, "deploymentId": ours});
            aws.call("apigateway", "DeleteDeployment", parameters);
        }
        here.succeed(&["up", "--yes"]);
        let taken = aws.account();
        assert_eq!(
            served(&taken, &id, "prod")["GET /orders"],
            crate::support::rest_api::ours()
        );
        assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));

        let down = here.succeed(&["down", "--yes"]);
        assert!(!down.stderr.contains("is gone"), "{}", down.stderr);
        let after = aws.account();
        let expected = with(
            &draft(&theirs, &id),
            &[
                ("GET /me", "CUSTOM own with a key"),
                (
                    "GET /user",
                    "COGNITO_USER_POOLS pool for orders/read for orders/write",
                ),
            ],
        );
        assert_eq!(draft(&after, &id), expected);
        assert_eq!(draft(&after, &id)["GET /orders"], "AWS_IAM");
        if published {
            assert_eq!(served(&after, &id, "prod"), expected, "{cleaned_up}");
        }
        let responses = rest_api(&after, &id)["gateway_responses"].as_array();
        let [response] = &responses.expect("a list")[..] else {
            panic!("{responses:?}");
        };
        assert_eq!(response["statusCode"], "418");
    }
}

#[test]
fn the_authorizer_goes_only_when_the_api_reads_as_it_was() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    here.succeed(&["down", "--yes"]);
    let log = aws.log();
    let position = |operation: &str, from_behind: bool| {
        let mut at = log
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry["operation"] == operation)
            .map(|(index, _)| index);
        if from_behind {
            at.next_back()
        } else {
            at.next()
        }
        .expect("a call")
    };
    let last_change = position("UpdateStage", true).max(position("UpdateMethod", true));
    let proof = log
        .iter()
        .enumerate()
        .filter(|(index, entry)| *index > last_change && entry["operation"] == "GetResources")
        .map(|(index, _)| index)
        .next()
        .expect("the methods are read back");
    assert!(proof < position("DeleteAuthorizer", false));
    assert_same(&before, &aws.account());
    let _ = id;
}

#[test]
fn a_stage_that_somebody_moves_back_to_ours_is_restored_before_the_authorizer_goes() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, HERE);
    here.succeed(&["up", "--yes"]);
    let ours = stage_of(&aws.account(), &id, "prod")["deploymentId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let rule = json!({"operation": "UpdateStage", "nth": 1, "kind": "hold"});
    let down = here.run_with(&aws, &["down", "--yes", "-o", "json"], &rule, || {
        move_stage(&aws, &id, "prod", &ours);
    });
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    assert_mentions(
        &down,
        &[&format!(
            "stage prod serves deployment {ours} after it was moved"
        )],
    );
    assert_same(&before, &aws.account());
}

#[test]
fn two_stacks_protect_one_method_in_two_stages() {
    for first_goes_first in [true, false] {
        let (aws, id) = account();
        add_stage(&aws, &id);
        let before = aws.account();
        let one = workplace(
            &aws,
            r#"api: {name: orders-api, stage: prod, protect: ["GET /orders"]}"#,
        );
        let two = workplace(
            &aws,
            r#"api: {name: orders-api, stage: dev, protect: ["GET /orders"]}"#,
        );
        two.edit(
            "stack: orders",
            "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
        );
        one.succeed(&["up", "--yes"]);
        let plan = two.succeed(&["plan"]);
        assert_mentions(
            &plan,
            &[
                "GET /orders uses the authorizer of another stack",
                "uses this stack's in stage dev",
            ],
        );
        two.succeed(&["up", "--yes"]);
        let (ours, theirs) = (
            format!("CUSTOM {OURS}"),
            "CUSTOM threescale-gw-partners-authorizer",
        );
        let both = aws.account();
        assert_eq!(served(&both, &id, "prod")["GET /orders"], ours);
        assert_eq!(served(&both, &id, "dev")["GET /orders"], theirs);
        // The draft has the first stack's authorizer.
        assert_eq!(draft(&both, &id)["GET /orders"], ours);
        for stack in [&one, &two] {
            assert_eq!(stack.run(&["plan", "--exit-code"]).code, Some(0));
            let status = stack
                .succeed(&["status", "--exit-code", "-o", "json"])
                .json();
            let methods = status["api"]["methods"].as_array().expect("a list").clone();
            let orders = methods
                .iter()
                .find(|method| method["path"] == "/orders" && method["method"] == "GET");
            assert_eq!(orders.expect("the method")["protected"], true, "{status}");
        }

        let (first, last) = if first_goes_first {
            (&one, &two)
        } else {
            (&two, &one)
        };
        first.succeed(&["down", "--yes"]);
        let (stage, words) = if first_goes_first {
            ("dev", theirs)
        } else {
            ("prod", ours.as_str())
        };
        assert_eq!(served(&aws.account(), &id, stage)["GET /orders"], words);
        last.succeed(&["verify"]);
        last.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

/// Returns the account, the API's ID, a deployed stack that protects `GET /orders` in `prod`, and a stack that is
/// configured to protect `method` in `dev`.
fn two_stacks(method: &str) -> (TestAws, String, Workplace, Workplace) {
    let (aws, id) = account();
    add_stage(&aws, &id);
    let one = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /orders"]}"#,
    );
    let two = workplace(
        &aws,
        &format!(r#"api: {{name: orders-api, stage: dev, protect: ["{method}"]}}"#),
    );
    two.edit(
        "stack: orders",
        "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
    );
    one.succeed(&["up", "--yes"]);
    (aws, id, one, two)
}

/// Kills an `up` after a call to API Gateway, and runs `up` again, which must succeed.
fn finishes_after_a_kill(aws: &TestAws, stack: &Workplace, operation: &str, nth: usize) {
    aws.post(
        "faults",
        &json!([{"service": "apigateway", "operation": operation, "nth": nth, "kind": "hold", "freeze": true}]),
    );
    let mut child = stack.start(&["up", "--yes"]);
    let held = aws.get("held?timeout=60");
    assert_eq!(held["held"]["operation"], operation);
    child.kill().expect("killed");
    child.wait().expect("ended");
    aws.post("faults", &json!([]));
    stack.succeed(&["up", "--yes"]);
}

#[test]
fn a_borrowed_method_is_owed_after_a_kill() {
    let (aws, id, one, two) = two_stacks("GET /orders");
    let ours = format!("CUSTOM {OURS}");
    // Killed after each of these calls: the change of the method, the deployment, and the restoration of the method.
    for (operation, nth) in [
        ("UpdateMethod", 1),
        ("CreateDeployment", 1),
        ("UpdateMethod", 2),
    ] {
        finishes_after_a_kill(&aws, &two, operation, nth);
        let account = aws.account();
        assert_eq!(
            draft(&account, &id)["GET /orders"],
            ours,
            "{operation} {nth}"
        );
        let theirs = "CUSTOM threescale-gw-partners-authorizer";
        assert_eq!(
            served(&account, &id, "dev")["GET /orders"],
            theirs,
            "{operation} {nth}"
        );
        assert_eq!(two.run(&["plan", "--exit-code"]).code, Some(0));
        two.succeed(&["down", "--yes"]);
        assert_eq!(
            one.run(&["plan", "--exit-code"]).code,
            Some(0),
            "{operation} {nth}"
        );
    }
}

#[test]
fn a_method_of_another_stack_is_returned_after_a_kill() {
    let (aws, id, one, two) = two_stacks("POST /orders");
    let ours = format!("CUSTOM {OURS}");
    // Killed after each of these calls: the change of the stack's own method, the restoration of the other stack's
    // method, the deployment, and the return of that method.
    for (operation, nth) in [
        ("UpdateMethod", 1),
        ("UpdateMethod", 2),
        ("CreateDeployment", 1),
        ("UpdateMethod", 3),
    ] {
        finishes_after_a_kill(&aws, &two, operation, nth);
        let account = aws.account();
        let at = format!("{operation} {nth}");
        assert_eq!(draft(&account, &id)["GET /orders"], ours, "{at}");
        assert_eq!(served(&account, &id, "dev")["GET /orders"], "NONE", "{at}");
        let partners = "CUSTOM threescale-gw-partners-authorizer with a key";
        assert_eq!(served(&account, &id, "dev")["POST /orders"], partners);
        for stack in [&one, &two] {
            assert_eq!(stack.run(&["plan", "--exit-code"]).code, Some(0), "{at}");
        }
        two.succeed(&["down", "--yes"]);
    }
}

#[test]
fn an_eleventh_authorizer_is_refused_before_anything_is_made() {
    let (aws, id) = account();
    let uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations";
    let there = authorizers(rest_api(&aws.account(), &id)).len();
    for number in there..10 {
        let parameters = json!({"restApiId": id, "name": format!("extra-{number}"), "type": "TOKEN", "authorizerUri": uri,
                                "identitySource": "method.request.header.Authorization"});
        aws.call("apigateway", "CreateAuthorizer", parameters);
    }
    let before = aws.account();
    let up = workplace(&aws, HERE).run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    let full = format!("REST API {id} has 10 authorizers");
    assert_mentions(
        &up,
        &[&full, "no method uses", "extra-9: delete one of them"],
    );
    assert_same(&before, &aws.account());
}

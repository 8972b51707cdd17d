//! The attachment to an API that the stack does not own: what it protects, what it leaves unchanged, and how it
//! restores the API.

use crate::support::rest_api::{
    API, account, add_stage, assert_mentions, authorizer, authorizers, change, count, deployments,
    draft, ours, publish, resource_id, rest_api, rich, seed, served, stage_of, with, workplace,
};
use crate::support::{CONFIG, TestAws, Workplace, assert_same};
use serde_json::{Value, json};

#[test]
fn what_each_method_becomes_and_that_it_is_given_back_exactly() {
    let ours = ours();
    let ours = ours.as_str();
    let with_key = format!("{ours} with a key");
    let open = [
        ("GET /orders", ours),
        ("POST /orders", &with_key),
        ("GET /orders/{id}", ours),
        ("ANY /files/{proxy+}", ours),
        ("GET /health", ours),
    ];
    let left: &[&str] = &[
        "GET /internal has AWS_IAM and stays unchanged; to protect it, name it exactly in `api.protect`",
        "GET /me has CUSTOM and stays unchanged",
        "GET /user has COGNITO_USER_POOLS and stays unchanged",
    ];
    // The text added to the configuration, the methods that change, and the texts that `plan` prints.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("", &open, left),
        (
            r#", protect: ["ANY /*"], except: ["GET /health"]"#,
            &open[..4],
            left,
        ),
        (
            r#", protect: ["ANY /*", "OPTIONS /orders"], except: ["GET /health", "ANY /files/*"]"#,
            &[open[0], open[1], open[2], ("OPTIONS /orders", ours)],
            left,
        ),
        (
            r#", protect: ["GET /orders/*", "GET /internal"]"#,
            &[open[2], ("GET /internal", ours)],
            &[
                "GET /internal has AWS_IAM and will be protected because `api.protect` names it exactly",
            ],
        ),
        (
            r#", protect: ["GET /me", "GET /user"]"#,
            &[("GET /me", &with_key), ("GET /user", ours)],
            &[
                "GET /me has CUSTOM and will be protected because `api.protect` names it exactly",
                "GET /user has COGNITO_USER_POOLS and will be protected because `api.protect` names it exactly",
            ],
        ),
        (
            r#", protect: ["GET /*"], except: ["GET /orders/*"]"#,
            &[open[0], open[4]],
            left,
        ),
    ];
    for (extra, changed, says) in cases {
        let (aws, id) = account();
        let before = aws.account();
        let workplace = workplace(
            &aws,
            &format!("api: {{name: orders-api, stage: prod{extra}}}"),
        );
        assert_mentions(&workplace.succeed(&["plan"]), says);
        workplace.succeed(&["up", "--yes"]);

        let after = aws.account();
        let expected = with(&draft(&before, &id), changed);
        assert_eq!(draft(&after, &id), expected, "{extra}");
        assert_eq!(served(&after, &id, "prod"), expected, "{extra}");
        assert_eq!(count(&aws, "UpdateMethod"), changed.len(), "{extra}");
        assert_eq!(count(&aws, "CreateDeployment"), 1, "{extra}");

        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn the_record_comes_first_then_the_methods_then_one_deployment_that_keeps_the_stage() {
    let (aws, id) = account();
    let before = aws.account();
    let workplace = workplace(&aws, "api: {name: orders-api, stage: prod}");
    workplace.succeed(&["up", "--yes"]);

    let log = aws.log();
    let places = |operation: &str| -> Vec<usize> {
        let all = log.iter().enumerate();
        all.filter(|(_, entry)| entry["operation"] == operation)
            .map(|(place, _)| place)
            .collect()
    };
    let recorded = log
        .iter()
        .position(|entry| {
            let name = entry["parameters"]["Name"].as_str().unwrap_or_default();
            name.contains("/attachment/") && name.ends_with("/methods-000")
        })
        .expect("the record");
    let (methods, deployed) = (places("UpdateMethod"), places("CreateDeployment"));
    assert_eq!((methods.len(), deployed.len()), (5, 1));
    assert!(recorded < methods[0], "recorded before the first change");
    assert!(methods[4] < deployed[0], "deployed behind the last change");
    let checked = places("AddPermission").into_iter().max();
    assert!(
        checked.is_some_and(|place| place < methods[0]),
        "the API is touched last"
    );

    let after = aws.account();
    let (old, mut new) = (
        stage_of(&before, &id, "prod"),
        stage_of(&after, &id, "prod").clone(),
    );
    assert_ne!(new["deploymentId"], old["deploymentId"]);
    for setting in ["description", "variables", "methodSettings", "tags"] {
        assert!(
            old[setting].is_string() || old[setting].is_object(),
            "{setting} is set: {old}"
        );
    }
    new["deploymentId"] = old["deploymentId"].clone();
    assert_eq!(new, *old);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn what_others_publish_survives_down() {
    // The protected methods: open ones, one with its own authorizer, and one with a user pool.
    for protect in [
        "",
        r#", protect: ["GET /me"]"#,
        r#", protect: ["GET /user"]"#,
    ] {
        let (aws, id) = account();
        let before = aws.account();
        let workplace = workplace(
            &aws,
            &format!("api: {{name: orders-api, stage: prod{protect}}}"),
        );
        workplace.succeed(&["up", "--yes"]);
        let theirs = publish(&aws, &id, "prod");

        let down = workplace.succeed(&["down", "--yes"]);
        assert_mentions(
            &down,
            &["another user has deployed the API since: the restored draft is deployed on top"],
        );
        let after = aws.account();
        assert_eq!(draft(&after, &id), draft(&before, &id), "{protect}");
        assert_eq!(
            served(&after, &id, "prod"),
            draft(&before, &id),
            "{protect}"
        );
        assert_ne!(stage_of(&after, &id, "prod")["deploymentId"], theirs);
        assert_eq!(
            deployments(&after, &id)
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>(),
            ["first release", "theirs", "threescale-gw-orders restored"]
                .map(str::to_owned)
                .into(),
            "{protect}"
        );
        assert_eq!(authorizers(rest_api(&after, &id)).len(), 2, "{protect}");
        let again = workplace.succeed(&["down", "--yes"]);
        assert_mentions(&again, &["No changes"]);
    }
}

#[test]
fn what_others_changed_since_is_left_alone() {
    // Another user assigns a different authorizer to a method.
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    change(
        &aws,
        &id,
        "GET",
        "/orders",
        &[("/authorizationType", "AWS_IAM"), ("/authorizerId", "")],
    );
    let down = here.succeed(&["down", "--yes"]);
    assert_mentions(
        &down,
        &["GET /orders was changed by another user since and stays unchanged"],
    );
    let after = aws.account();
    assert_eq!(
        draft(&after, &id),
        with(&draft(&before, &id), &[("GET /orders", "AWS_IAM")])
    );
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
    assert_eq!(deployments(&after, &id), ["first release"]);

    // One method is deleted, and one is deleted and re-created.
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    for path in ["/files/{proxy+}", "/orders/{id}"] {
        let resource = resource_id(&aws.account(), &id, path);
        aws.call(
            "apigateway",
            "DeleteResource",
            json!({"restApiId": id, "resourceId": resource}),
        );
    }
    let parent = resource_id(&aws.account(), &id, "/orders");
    let made = aws.call(
        "apigateway",
        "CreateResource",
        json!({"restApiId": id, "parentId": parent, "pathPart": "{id}"}),
    );
    let of = json!({"restApiId": id, "resourceId": made["id"], "httpMethod": "GET"});
    let with_type = |mut of: Value, key: &str, value: &str| {
        of[key] = json!(value);
        of
    };
    aws.call(
        "apigateway",
        "PutMethod",
        with_type(of.clone(), "authorizationType", "NONE"),
    );
    aws.call(
        "apigateway",
        "PutIntegration",
        with_type(of, "type", "MOCK"),
    );
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    let mut expected = draft(&before, &id);
    expected.remove("ANY /files/{proxy+}");
    assert_eq!(draft(&after, &id), expected);
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
}

#[test]
fn down_copes_with_an_api_a_stage_or_a_deployment_that_others_removed() {
    let without_api = |account: &Value, id: &str| {
        let mut account = account.clone();
        if let Some(apis) = account["rest_apis"].as_array_mut() {
            apis.retain(|api| api["id"] != id);
        }
        account
    };

    // The API is deleted.
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    aws.call("apigateway", "DeleteRestApi", json!({"restApiId": id}));
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["no API has the name orders-api"]);
    here.succeed(&["down", "--yes"]);
    assert_same(&without_api(&before, &id), &aws.account());

    // The stage is deleted.
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    aws.call(
        "apigateway",
        "DeleteStage",
        json!({"restApiId": id, "stageName": "prod"}),
    );
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    assert_same(&without_api(&before, &id), &without_api(&after, &id));
    assert_eq!(draft(&after, &id), draft(&before, &id));
    assert_eq!(deployments(&after, &id), ["first release"]);
    assert_eq!(authorizers(rest_api(&after, &id)).len(), 2);

    // The stage's previous deployment is deleted.
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    let former = stage_of(&before, &id, "prod")["deploymentId"].clone();
    aws.call(
        "apigateway",
        "DeleteDeployment",
        json!({"restApiId": id, "deploymentId": former}),
    );
    here.succeed(&["down", "--yes"]);
    let after = aws.account();
    assert_eq!(served(&after, &id, "prod"), draft(&before, &id));
    assert_eq!(deployments(&after, &id), ["threescale-gw-orders restored"]);
}

#[test]
fn the_authorizer_stays_while_another_stage_asks_it() {
    // The stack's own deployment, and another deployment of the draft as the stack left it.
    for with_our_deployment in [true, false] {
        let (aws, id) = account();
        let before = aws.account();
        let here = workplace(&aws, API);
        here.succeed(&["up", "--yes"]);
        let mut deployment = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        if !with_our_deployment {
            let made = aws.call("apigateway", "CreateDeployment", json!({"restApiId": id}));
            deployment = made["id"].clone();
        }
        let parameters = json!({"restApiId": id, "stageName": "copy", "deploymentId": deployment});
        aws.call("apigateway", "CreateStage", parameters);
        let down = here.run(&["down", "--yes"]);
        assert_eq!(down.code, Some(5), "{}", down.stderr);
        assert_mentions(
            &down,
            &[
                "stage copy of API",
                "still uses this stack's authorizer",
                "deploy the API to that stage again",
            ],
        );
        let after = aws.account();
        assert_eq!(served(&after, &id, "copy")["GET /orders"], ours());
        assert_eq!(
            stage_of(&after, &id, "prod"),
            stage_of(&before, &id, "prod")
        );
        assert_eq!(draft(&after, &id), draft(&before, &id));
        let function = "threescale-gw-orders-authorizer";
        aws.call("lambda", "GetFunction", json!({"FunctionName": function}));

        aws.call(
            "apigateway",
            "DeleteStage",
            json!({"restApiId": id, "stageName": "copy"}),
        );
        if !with_our_deployment {
            let parameters = json!({"restApiId": id, "deploymentId": deployment});
            aws.call("apigateway", "DeleteDeployment", parameters);
        }
        here.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn methods_move_in_and_out_when_the_configuration_changes() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, "api: {name: orders-api, stage: prod}");
    here.succeed(&["up", "--yes"]);
    let ours = ours();
    let ours = ours.as_str();
    let with_key = format!("{ours} with a key");
    let mut part = "api: {name: orders-api, stage: prod}".to_owned();
    // The next configuration, and the methods that the stack protects then.
    let steps: &[(&str, &[(&str, &str)])] = &[
        (
            r#"except: ["ANY /files/*", "GET /health"]"#,
            &[
                ("GET /orders", ours),
                ("POST /orders", &with_key),
                ("GET /orders/{id}", ours),
            ],
        ),
        (
            r#"protect: ["GET /health", "GET /internal", "GET /user"]"#,
            &[
                ("GET /health", ours),
                ("GET /internal", ours),
                ("GET /user", ours),
            ],
        ),
        (
            r#"protect: ["POST /orders", "GET /internal"]"#,
            &[("POST /orders", &with_key), ("GET /internal", ours)],
        ),
    ];
    for (says, taken) in steps {
        let next = format!("api: {{name: orders-api, stage: prod, {says}}}");
        here.edit(&part, &next);
        part = next;
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{}", plan.stdout);
        aws.check_log();
        here.succeed(&["up", "--yes"]);
        let after = aws.account();
        let expected = with(&draft(&before, &id), taken);
        assert_eq!(draft(&after, &id), expected, "{says}");
        assert_eq!(served(&after, &id, "prod"), expected, "{says}");
        assert_eq!(count(&aws, "CreateDeployment"), 1, "{says}");
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    }
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());

    here.edit(
        &part,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /nothing"]}"#,
    );
    let nothing = here.run(&["up", "--yes"]);
    assert_eq!(nothing.code, Some(4), "{}", nothing.stderr);
    assert_mentions(
        &nothing,
        &["is protected by `api.protect` and `api.except`"],
    );
    here.edit("GET /nothing", "ANY /internal");
    assert_mentions(
        &here.run(&["up", "--yes"]),
        &[
            "no method of API",
            "GET /internal has AWS_IAM and stays unchanged; to protect it, name it exactly",
        ],
    );
}

#[test]
fn an_api_is_meant_by_its_id_or_by_a_name_that_is_its_own() {
    let aws = TestAws::start();
    let ids = seed(&aws, &[rich("orders-api"), rich("orders-api")]);
    let before = aws.account();
    let here = workplace(&aws, API);
    for command in [&["plan"][..], &["up", "--yes"], &["status"]] {
        let run = here.run(command);
        assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
        assert_mentions(
            &run,
            &[
                "2 APIs have the name orders-api",
                &ids[0],
                &ids[1],
                "give `api.id`",
            ],
        );
    }
    assert!(aws.changes().is_empty());

    here.edit("name: orders-api", &format!("id: {}", ids[1]));
    here.succeed(&["up", "--yes"]);
    let after = aws.account();
    assert_eq!(draft(&after, &ids[1])["GET /orders"], ours());
    assert_eq!(rest_api(&after, &ids[0]), rest_api(&before, &ids[0]));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_stack_that_moves_to_another_api_gives_the_former_one_back() {
    let aws = TestAws::start();
    let ids = seed(&aws, &[rich("orders-api"), rich("billing-api")]);
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    here.edit("name: orders-api", "name: billing-api");
    let former = format!("api-attachment/{}-prod", ids[0]);
    assert_mentions(&here.succeed(&["plan"]), &[&former, "delete"]);
    aws.check_log();
    here.succeed(&["up", "--yes"]);

    let after = aws.account();
    assert_eq!(rest_api(&after, &ids[0]), rest_api(&before, &ids[0]));
    assert_eq!(served(&after, &ids[1], "prod")["GET /orders"], ours());
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);

    // Callers of the former API are served until it is restored, so its permission is removed last.
    let log = aws.log();
    let place = |operation: &str| {
        log.iter()
            .rposition(|entry| entry["operation"] == operation)
    };
    assert!(
        place("RemovePermission") > place("UpdateStage"),
        "the former API stays up meanwhile"
    );

    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_stack_that_moves_to_another_stage_gives_the_former_one_back() {
    let (aws, id) = account();
    add_stage(&aws, &id);
    let before = aws.account();
    let here = workplace(&aws, "api: {name: orders-api, stage: prod}");
    here.succeed(&["up", "--yes"]);
    here.edit(
        "api: {name: orders-api, stage: prod}",
        r#"api: {name: orders-api, stage: dev, except: ["ANY /files/*", "GET /health"]}"#,
    );
    let up = here.succeed(&["up", "--yes"]);
    assert!(!up.stderr.contains("note api-attachment"), "{}", up.stderr);

    let after = aws.account();
    let (ours, with_key) = (ours(), format!("{} with a key", ours()));
    let expected = with(
        &draft(&before, &id),
        &[
            ("GET /orders", &ours),
            ("POST /orders", &with_key),
            ("GET /orders/{id}", &ours),
        ],
    );
    assert_eq!(
        stage_of(&after, &id, "prod"),
        stage_of(&before, &id, "prod")
    );
    assert_eq!(served(&after, &id, "dev"), expected);
    assert_eq!(draft(&after, &id), expected);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn two_stacks_share_an_api() {
    // The second stack's stage, and whether the first stack is deleted first.
    for (stage, first_goes_first) in [
        ("dev", false),
        ("dev", true),
        ("prod", false),
        ("prod", true),
    ] {
        let (aws, id) = account();
        add_stage(&aws, &id);
        let before = aws.account();
        let one = workplace(
            &aws,
            r#"api: {name: orders-api, stage: prod, protect: ["GET /orders"]}"#,
        );
        let two = workplace(
            &aws,
            &format!(r#"api: {{name: orders-api, stage: {stage}, protect: ["POST /orders"]}}"#),
        );
        two.edit(
            "stack: orders",
            "stack: partners\nnetwork: {cidr: 10.43.0.0/16}",
        );
        one.succeed(&["up", "--yes"]);
        let plan = two.succeed(&["plan"]);
        if stage == "dev" {
            assert_mentions(
                &plan,
                &[
                    "other stacks protect GET /orders in other stages: in stage dev they are as they were before",
                ],
            );
        }
        two.succeed(&["up", "--yes"]);
        let after = aws.account();
        assert_eq!(served(&after, &id, "prod")["GET /orders"], ours());
        let partners = "CUSTOM threescale-gw-partners-authorizer with a key";
        assert_eq!(served(&after, &id, stage)["POST /orders"], partners);
        if stage == "dev" {
            // The draft belongs to the whole API, but the first stack's method is not protected in the second stack's
            // stage.
            assert_eq!(served(&after, &id, "dev")["GET /orders"], "NONE");
            assert_eq!(draft(&after, &id)["GET /orders"], ours());
        }
        for stack in [&one, &two] {
            let plan = stack.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(0), "{stage}: {}", plan.stdout);
        }

        let (first, last) = if first_goes_first {
            (&one, &two)
        } else {
            (&two, &one)
        };
        first.succeed(&["down", "--yes"]);
        let plan = last.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{stage}: {}", plan.stdout);
        last.succeed(&["down", "--yes"]);
        let after = aws.account();
        assert_eq!(draft(&after, &id), draft(&before, &id), "{stage}");
        assert_eq!(served(&after, &id, "prod"), draft(&before, &id), "{stage}");
        assert_eq!(served(&after, &id, "dev"), draft(&before, &id), "{stage}");
        if stage == "dev" || !first_goes_first {
            assert_same(&before, &after);
        }
    }
}

/// Another user deletes a parameter of the attachment's record.
fn forget(aws: &TestAws, id: &str, part: &str) {
    let name = format!("/threescale-gw/orders/attachment/{id}/prod/{part}");
    aws.call("ssm", "DeleteParameter", json!({"Name": name}));
}

#[test]
fn a_record_that_was_lost_is_found_out_from_the_deployment_before() {
    for repaired in [true, false] {
        let (aws, id) = account();
        let before = aws.account();
        let here = workplace(
            &aws,
            r#"api: {name: orders-api, stage: prod, protect: ["GET /orders", "POST /orders", "GET /internal"]}"#,
        );
        here.succeed(&["up", "--yes"]);
        forget(&aws, &id, "methods-000");
        if repaired {
            let plan = here.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(3), "{}", plan.stdout);
            assert_mentions(&plan, &["record: 3 methods missing -> complete"]);
            here.succeed(&["up", "--yes"]);
            let plan = here.run(&["plan", "--exit-code"]);
            assert_eq!(plan.code, Some(0), "{}", plan.stdout);
        }
        here.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn down_leaves_the_api_as_it_is_while_it_cannot_be_given_back() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(
        &aws,
        r#"api: {name: orders-api, stage: prod, protect: ["GET /orders", "GET /me"]}"#,
    );
    here.succeed(&["up", "--yes"]);
    let whole = aws.account();
    forget(&aws, &id, "methods-000");
    let down = here.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(4), "{}", down.stderr);
    assert_mentions(
        &down,
        &["the original authorization of GET /me is not recorded"],
    );
    let after = aws.account();
    assert_eq!(after["rules"], whole["rules"], "nothing is deleted");
    assert_eq!(rest_api(&after, &id), rest_api(&whole, &id));
    assert_eq!(
        after["functions"], whole["functions"],
        "the authorizer still answers"
    );
    assert_eq!(after["replication_groups"], whole["replication_groups"]);
    assert_eq!(after["nat_gateways"], whole["nat_gateways"]);

    let own = authorizer(&before, &id, "own");
    change(&aws, &id, "GET", "/me", &[("/authorizerId", &own)]);
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_record_without_its_head_is_repaired() {
    let (aws, id) = account();
    let before = aws.account();
    let here = workplace(&aws, API);
    here.succeed(&["up", "--yes"]);
    forget(&aws, &id, "head");
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);
    here.succeed(&["up", "--yes"]);
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    here.succeed(&["down", "--yes"]);
    // The previous deployment is not known, so the original API is deployed again.
    let after = aws.account();
    assert_eq!(draft(&after, &id), draft(&before, &id));
    assert_eq!(served(&after, &id, "prod"), draft(&before, &id));
}

#[test]
fn three_hundred_methods_are_recorded_in_parts_and_deployed_once() {
    let aws = TestAws::start();
    let methods: Vec<_> = (0..300)
        .map(|n| json!({"method": "GET", "path": format!("/orders-by-region-and-customer-{n:03}"), "api_key_required": n % 2 == 0}))
        .collect();
    aws.post("config", &json!({"page_size": 100}));
    let id = seed(
        &aws,
        &[json!({"name": "orders-api", "stage": "prod", "methods": methods})],
    )
    .remove(0);
    let before = aws.account();
    let here = Workplace::new(&aws);
    here.succeed(&["up", "--yes"]);
    let records: Vec<_> = aws
        .log()
        .iter()
        .filter(|entry| entry["operation"] == "PutParameter")
        .filter_map(|entry| entry["parameters"]["Name"].as_str().map(str::to_owned))
        .filter(|name| name.contains("/methods-"))
        .collect();
    assert!(records.len() > 5, "{records:?}");
    assert_eq!(count(&aws, "UpdateMethod"), 300);
    assert_eq!(count(&aws, "CreateDeployment"), 1);
    assert!(
        served(&aws.account(), &id, "prod")
            .values()
            .all(|words| words.starts_with(&ours()))
    );
    // A second run makes only a few calls, regardless of the number of methods.
    aws.check_log();
    aws.post("config", &json!({"page_size": null}));
    here.succeed(&["up", "--yes"]);
    let log = aws.log();
    let reads = ["GetResources", "GetStage", "GetDeployment", "GetExport"];
    let reads = log
        .iter()
        .filter(|entry| reads.iter().any(|name| entry["operation"] == *name))
        .count();
    assert!(reads <= 4, "{reads} calls read the methods");
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn the_configuration_of_these_tests_is_the_shared_one() {
    assert!(CONFIG.contains(API));
}

//! An API whose authorizer refuses every caller is not healthy: only 3scale's own refusal of a bad key counts as
//! correct.

use crate::support::rest_api::{
    account, assert_mentions, ours, served, stack, stage_of, workplace,
};
use crate::support::{Run, TestAws};
use serde_json::{Value, json};

const HERE: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;
const MUTE: &str =
    r#"api: {name: orders-api, stage: prod, except: ["GET /health"], responses: false}"#;
const VERIFY: [&str; 3] = ["verify", "--settle", "1ms"];

fn config(aws: &TestAws, config: Value) {
    aws.post("config", &config);
}

/// Makes the authorizer refuse every key for this reason.
fn reason(aws: &TestAws, reason: &str) {
    config(aws, json!({"authorizer_context": {"reason": reason}}));
}

/// Makes each of these methods refuse every caller because no mapping rule matches.
fn unmapped(aws: &TestAws, methods: &[&str]) {
    let reasons: serde_json::Map<_, _> = methods
        .iter()
        .map(|method| ((*method).to_owned(), "no_mapping_rule".into()))
        .collect();
    config(aws, json!({"outcomes": {"reasons": reasons}}));
}

#[track_caller]
fn ends(run: &Run, code: i32, texts: &[&str]) {
    assert_eq!(run.code, Some(code), "{}\n{}", run.stdout, run.stderr);
    assert_mentions(run, texts);
}

#[test]
fn a_revoked_token_is_told_by_verify_and_status() {
    let (aws, _, here) = stack(HERE);
    here.succeed(&["verify"]);
    ends(&here.run(&["status", "--exit-code"]), 0, &["healthy"]);
    config(&aws, json!({"valid_tokens": ["another"]}));
    let texts = [
        "wrong  GET /orders",
        "API Gateway got no decision from the authorizer: 503",
        // The response has no cause, so the authorizer itself is asked.
        "wrong  lambda/authorizer",
        "the authorizer refuses every caller: threescale (token_invalid)",
        "FAIL: 3 of 9 requests",
    ];
    ends(&here.run(&VERIFY), 1, &texts);
    let texts = [
        "threescale (token_invalid)",
        "the authorizer does not pass its self-test",
    ];
    ends(&here.run(&["status", "--exit-code"]), 3, &texts);
    let document = here.run(&[&VERIFY[..], &["-o", "json"]].concat()).json();
    let row = &document["requests"][1];
    assert_eq!(
        (&row["check"], &row["fault"]),
        (&"bad key".into(), &"authorizer_failed".into()),
        "{document}"
    );
}

#[test]
fn only_3scales_own_refusal_of_a_bad_key_is_right() {
    let (aws, _, here) = stack(HERE);
    for failure in [
        "misconfigured",
        "not_ready",
        "backend_unavailable",
        "internal",
    ] {
        reason(&aws, failure);
        let text = "got no decision from the authorizer: 503";
        ends(&here.run(&VERIFY), 1, &[text]);
    }
    reason(&aws, "service_not_active");
    let texts = ["the authorizer refuses every caller", "service_not_active"];
    ends(&here.run(&VERIFY), 1, &texts);
    for (word, text) in [
        (
            "too_many_unknown",
            "3scale is not asked about unknown keys just now",
        ),
        ("a_word_of_others", "another authorizer decides"),
    ] {
        reason(&aws, word);
        ends(&here.run(&VERIFY), 1, &[text, word]);
    }
    for right in ["application_not_found", "limits_exceeded"] {
        reason(&aws, right);
        ends(&here.run(&VERIFY), 0, &["verified:", right]);
    }
}

#[test]
fn up_goes_back_where_nobody_gets_in() {
    let up = ["up", "--yes", "--settle", "1ms"];
    let every = ["GET /orders", "GET /orders/{id}", "ANY /files/{proxy+}"];
    let refused: &dyn Fn(&TestAws) = &|aws| reason(aws, "service_not_active");
    let failed: &dyn Fn(&TestAws) = &|aws| reason(aws, "misconfigured");
    let no_rule: &dyn Fn(&TestAws) = &|aws| unmapped(aws, &every);
    let refuses = "the authorizer refuses every caller";
    for (breaks, fault, text) in [
        (refused, refuses, "service_not_active"),
        (failed, "API Gateway got no decision", "503"),
        (no_rule, refuses, "no_mapping_rule"),
    ] {
        let (aws, id) = account();
        let former = stage_of(&aws.account(), &id, "prod")["deploymentId"].clone();
        let here = workplace(&aws, HERE);
        breaks(&aws);
        let back = format!(
            "rolled back to deployment {}",
            former.as_str().expect("an id")
        );
        ends(
            &here.run(&up),
            1,
            &[&format!("GET /orders: {fault}"), text, &back],
        );
        assert_eq!(
            stage_of(&aws.account(), &id, "prod")["deploymentId"],
            former
        );
        config(
            &aws,
            json!({"authorizer_context": null, "outcomes": {"reasons": null}}),
        );
        ends(&here.run(&up), 0, &["verified:"]);
        assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
    }
}

#[test]
fn a_method_without_a_mapping_rule_is_a_warning_while_others_have_one() {
    let (aws, id) = account();
    config(&aws, json!({"valid_keys": ["the-key"]}));
    unmapped(&aws, &["GET /orders"]);
    let here = workplace(&aws, HERE);
    let text = "warn   GET /orders          bad key   403  no_mapping_rule: no mapping rule matches, so every caller is refused";
    ends(&here.run(&["up", "--yes"]), 0, &[text, "verified:"]);
    assert_eq!(served(&aws.account(), &id, "prod")["GET /orders"], ours());
    let verify = here.run(&["verify", "--key", "the-key"]);
    ends(
        &verify,
        0,
        &[
            "warn   GET /orders          good key  403",
            "ok     GET /orders/{id}     good key  200",
        ],
    );
    let document = here.succeed(&["verify", "-o", "json"]).json();
    let rows = document["requests"].as_array().expect("a list");
    let unmapped: Vec<_> = rows.iter().filter(|row| row["unmapped"] == true).collect();
    assert_eq!(unmapped.len(), 1, "{document}");
    assert_eq!(
        (&unmapped[0]["ok"], &unmapped[0]["method"]),
        (&true.into(), &"GET /orders".into())
    );
}

#[test]
fn where_refusals_tell_no_reason_the_authorizer_itself_is_asked() {
    let (aws, _, here) = stack(MUTE);
    let texts = [
        "bad key    403  the reason is not told",
        "ok     lambda/authorizer    self-test",
        "verified:",
    ];
    ends(&here.run(&VERIFY), 0, &texts);
    // An accepted key proves more, so the self-test is not run.
    config(&aws, json!({"valid_keys": ["the-key"]}));
    let verify = here.succeed(&["verify", "--key", "the-key"]);
    assert!(!verify.stdout.contains("self-test"), "{}", verify.stdout);

    config(&aws, json!({"valid_tokens": ["another"]}));
    let texts = [
        "wrong  lambda/authorizer",
        "the authorizer refuses every caller: threescale (token_invalid)",
    ];
    ends(&here.run(&VERIFY), 1, &texts);
    config(&aws, json!({"valid_tokens": null}));
    aws.post(
        "faults",
        &json!([{"service": "lambda", "operation": "Invoke", "kind": "deny"}]),
    );
    let note =
        "note no answer shows that the authorizer can decide, and its self-test could not be run";
    ends(&here.run(&VERIFY), 0, &[note, "give --key"]);
}

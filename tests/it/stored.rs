//! Settings that do not fit into the environment of the functions are in parameters, each version's in its own: mapping
//! rules, and the certificate authorities of 3scale.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::rest_api::{account, assert_mentions, workplace};
use crate::support::{TestAws, Workplace, assert_same, standing};

const HERE: &str = r#"api: {name: orders-api, stage: prod, except: ["GET /health"]}"#;
const PATH: &str = "/threescale-gw/orders/";

/// Writes a configuration with this number of mapping rules.
fn write(here: &Workplace, rules: u32, token: &str) {
    let mut text = format!(
        "stack: orders\n{HERE}\nauthorizer: {{artifact: bootstrap.zip}}\nthreescale:\n  service_id: '2555417834780'\n  service_token: {token}\n"
    );
    text.push_str("  mapping_rules:\n");
    for number in 0..rules {
        let noise = number.wrapping_mul(2_654_435_761);
        let _ = writeln!(
            text,
            "    - {{method: GET, pattern: '/{noise:x}/{{id}}/{number}$', metric: m{noise:x}}}"
        );
    }
    here.write("threescale-gw.yaml", text.as_bytes());
}

/// The parameters with mapping rules, by the digest in their names.
fn digests(aws: &TestAws) -> BTreeSet<String> {
    let account = aws.account();
    let all = account["parameters"].as_array().expect("a list");
    let names = all
        .iter()
        .filter_map(|one| one["name"].as_str()?.strip_prefix(PATH));
    let parts = names.filter_map(|name| name.strip_prefix("rules-")?.split_once('-'));
    parts.map(|(digest, _)| digest.to_owned()).collect()
}

/// The live settings of the authorizer.
fn settings(aws: &TestAws) -> Value {
    let account = aws.account();
    let functions = account["functions"].as_array().expect("a list");
    let mut functions = functions.iter();
    let is_it = |function: &&Value| function["FunctionName"] == "threescale-gw-orders-authorizer";
    let function = functions.find(is_it).expect("the authorizer");
    let live = &function["aliases"][0]["FunctionVersion"];
    let versions = function["versions"].as_array().expect("a list");
    let version = versions.iter().find(|version| version["Version"] == *live);
    let settings = &version.expect("the live version")["Environment"]["Variables"];
    let text = settings["THREESCALE_GW_SETTINGS"].as_str().expect("text");
    serde_json::from_str(text).expect("JSON")
}

fn digest(aws: &TestAws) -> String {
    let digest = settings(aws)["stored_rules"]["digest"].clone();
    digest.as_str().expect("a digest").to_owned()
}

#[test]
fn two_thousand_rules_are_proved_before_they_are_live_and_go_with_their_version() {
    let (aws, _) = account();
    let empty = aws.account();
    let here = workplace(&aws, HERE);
    let config = json!({"valid_keys": ["a-good-key"], "valid_tokens": ["the-service-token"]});
    aws.post("config", &config);
    write(&here, 5, "the-service-token");
    here.succeed(&["up", "--yes"]);
    assert_eq!(
        settings(&aws)["mapping_rules"].as_array().map(Vec::len),
        Some(5)
    );
    assert_eq!(digests(&aws).len(), 0);

    // The plan has the number of the rules, and not the rules.
    write(&here, 2000, "the-service-token");
    let plan = here.succeed(&["plan"]);
    assert_mentions(&plan, &["\"count\":2000"]);
    assert!(plan.stdout.lines().count() < 60, "{}", plan.stdout);
    here.succeed(&["up", "--yes"]);
    let first = digest(&aws);
    assert!(settings(&aws)["stored_rules"]["parts"].as_u64() > Some(5));
    assert_eq!(digests(&aws), BTreeSet::from([first.clone()]));
    assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);

    // Rules that fail their test are never live, and those of the live version stay.
    write(&here, 300, "a-mistyped-token");
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    assert_eq!(digest(&aws), first);
    assert!(digests(&aws).contains(&first));

    // The version before keeps its rules, so a rollback finds them.
    write(&here, 301, "the-service-token");
    here.succeed(&["up", "--yes"]);
    let second = digest(&aws);
    assert_eq!(
        digests(&aws),
        BTreeSet::from([first.clone(), second.clone()])
    );
    here.succeed(&["rollback"]);
    assert_eq!(digest(&aws), first);
    here.succeed(&["up", "--yes"]);
    assert_eq!(digest(&aws), second);

    // A part that others delete or change is repaired.
    let part = format!("{PATH}rules-{second}-1");
    aws.call("ssm", "DeleteParameter", json!({"Name": part}));
    let status = here.run(&["status", "--exit-code"]);
    assert_eq!(status.code, Some(3), "{}", status.stdout);
    here.succeed(&["up", "--yes"]);
    let repaired = aws.account();
    let change = json!({"Name": part, "Value": "changed", "Overwrite": true});
    aws.call("ssm", "PutParameter", change);
    here.succeed(&["up", "--yes"]);
    assert_same(&repaired, &aws.account());

    // What only deleted versions read is deleted.
    write(&here, 302, "the-service-token");
    here.succeed(&["up", "--yes"]);
    let third = digest(&aws);
    assert_eq!(digests(&aws), BTreeSet::from([second, third.clone()]));
    write(&here, 5, "the-service-token");
    here.succeed(&["up", "--yes"]);
    assert_eq!(digests(&aws), BTreeSet::from([third]));
    here.succeed(&["down", "--yes"]);
    assert_same(&empty, &aws.account());
    aws.check_log();
}

const AUTHORITY: &str = include_str!("support/authority.pem");

/// Many certificates that cannot be compressed: the same one with other signatures.
fn many_authorities() -> String {
    let base64: String = AUTHORITY
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let (before, _) = base64.split_at(base64.len() - 80);
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(
            b"ABCDEFGHIJKLMNOPabcdefghijklmnop"[usize::try_from(state >> 59).unwrap_or_default()],
        )
    };
    let certificates = (0..2000).map(|_| {
        let noise: String = (0..80).map(|_| next()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{before}{noise}\n-----END CERTIFICATE-----\n")
    });
    certificates.collect()
}

#[test]
fn certificate_authorities_are_read_from_a_file_and_stored() {
    let (aws, here) = standing();
    let token = "service_token: the-service-token";
    let backend = "backend: \"http://10.1.2.3/backend\", allow_plain_http: true";
    here.edit(token, &format!("{token}, {backend}"));
    let plan = here.succeed(&["plan"]);
    assert_mentions(&plan, &["to http://10.1.2.3/backend unencrypted"]);
    here.edit(backend, "ca_file: ca.pem");
    let refused = |texts: &[&str]| {
        let run = here.run(&["plan"]);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert_mentions(&run, texts);
    };
    refused(&[
        "threescale-gw.yaml:5:",
        "threescale.ca_file: reading ca.pem: No such file",
    ]);
    let lines = AUTHORITY.lines().count();
    here.write(
        "ca.pem",
        format!("{AUTHORITY}-----BEGIN PRIVATE KEY-----\nsecret").as_bytes(),
    );
    refused(&[&format!(
        "ca.pem:{}:1: must contain certificates only",
        lines + 1
    )]);
    here.write("ca.pem", many_authorities().as_bytes());
    refused(&[
        "threescale.ca_file: too large: 2000 certificates take",
        "and at most 76800 fit",
    ]);

    here.write("ca.pem", format!("# ours\n{AUTHORITY}").as_bytes());
    here.succeed(&["up", "--yes"]);
    let stored = settings(&aws)["stored_roots"].clone();
    assert_eq!((&stored["parts"], &stored["count"]), (&json!(1), &json!(1)));
    let name = format!("{PATH}ca-{}-1", stored["digest"].as_str().expect("text"));
    let exists = |name: &str| {
        let account = aws.account();
        let all = account["parameters"].as_array().expect("a list");
        all.iter().any(|one| one["name"] == name)
    };
    assert!(exists(&name));
    assert_mentions(&here.succeed(&["up", "--yes"]), &["No changes"]);
    here.edit(", ca_file: ca.pem", "");
    here.succeed(&["up", "--yes"]);
    assert!(exists(&name), "the version before reads it");
    assert_eq!(settings(&aws)["stored_roots"], Value::Null);
    aws.check_log();
}

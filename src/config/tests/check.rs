//! `check`: what is found without the environment.

use super::*;

/// The problems and the open values of a file, each as `line:column ...`.
fn checked(text: &str) -> (Vec<String>, Vec<String>, bool) {
    let Checked {
        problems,
        unset,
        config,
    } = check("t.yaml", text, &|_| None);
    let problems = problems
        .iter()
        .map(|one| format!("{}:{} {}", one.line, one.column, one.message));
    let unset = unset
        .iter()
        .map(|one| format!("{}:{} {} {}", one.line, one.column, one.key, one.variable));
    (problems.collect(), unset.collect(), config.is_some())
}

const TOKEN_UNSET: &str = "5:18 threescale.service_token TOKEN";

#[test]
fn a_secret_whose_variable_is_not_set_is_left_open() {
    assert_eq!(checked(GOOD), (vec![], vec![TOKEN_UNSET.to_owned()], true));
    // Its scheme determines TLS, which is not known then.
    let cache = "cache: {url: '${CACHE_URL}', tls: false}\n";
    assert_eq!(
        checked(&format!("{GOOD}{cache}")),
        (
            vec![],
            vec![
                TOKEN_UNSET.to_owned(),
                "6:14 cache.url CACHE_URL".to_owned()
            ],
            true
        )
    );
}

#[test]
fn rules_about_several_keys_hold_without_the_secrets() {
    let (problems, unset, _) = checked(&format!("{GOOD}network: none\n"));
    assert_eq!(unset, [TOKEN_UNSET]);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("6:10 network: without a VPC"),
        "{problems:?}"
    );
}

#[test]
fn an_open_value_causes_no_other_problem() {
    for (lines, open) in [
        ("network: {zones: '${ZONES}', cidr: 10.0.0.0/28}\n", 1),
        ("network: {vpc: '${VPC}', subnets: ['${A}', '${B}']}\n", 3),
        (
            "network: {nat: '${NAT}', elastic_ips: [eipalloc-0abc1234]}\n",
            1,
        ),
        ("network: {elastic_ips: ['${IP}']}\n", 1),
        ("cache: {kind: '${KIND}', engine: '${ENGINE}'}\n", 2),
        ("authorizer: {caching: '${CACHING}', max_age: 0s}\n", 1),
        ("authorizer: {max_age: '${AGE}', artifact: '${ZIP}'}\n", 2),
        ("tags: {team: '${TEAM}'}\nregion: ${REGION}\n", 2),
        ("  backend: ${BACKEND}\n", 1),
        ("  credentials: {kind: '${KIND}', key_name: x}\n", 1),
    ] {
        let (problems, unset, _) = checked(&format!("{GOOD}{lines}"));
        assert_eq!((problems, unset.len()), (vec![], 1 + open), "{lines}");
    }
    let protect = "{id: a1b2c3d4e5, stage: prod, protect: ['${A}'], except: ['ANY /*']}";
    let (problems, unset, _) = checked(&GOOD.replace("{id: a1b2c3d4e5, stage: prod}", protect));
    assert_eq!((problems, unset.len()), (vec![], 2));
}

#[test]
fn a_wrong_reference_is_a_problem() {
    let (problems, unset, config) = checked(&GOOD.replace("${TOKEN}", "'${TOKEN} ${1}'"));
    assert_eq!((problems.len(), unset.len(), config), (1, 1, false));
    assert!(problems[0].contains("must be `${NAME}`"), "{problems:?}");
    // A variable that is set is checked like any other value.
    let checked = check("t.yaml", GOOD, &|_| Some("a b".to_owned()));
    assert_eq!((checked.problems.len(), checked.unset.len()), (1, 0));
}

#[test]
fn it_finds_what_a_run_finds() {
    let text = "stack: 1\nnetwork: {zoness: 2}\napi: {id: x}\n";
    let found = check("t.yaml", text, &environment).problems;
    let of_run = load("t.yaml", text, &environment).expect_err("problems");
    assert_eq!(found, of_run.0);
    for text in ["", "a: [1\nb: 2\n", "hello"] {
        assert_eq!(checked(text).0, problems(text));
    }
}

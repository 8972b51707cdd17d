//! The text of a file: variables, unknown and duplicate keys, types, and files that are none.

use super::*;

#[test]
fn variables_take_the_type_that_is_wanted() {
    let text = "network: {zones: '${ZONES}', nat: '${NAT:-per-zone}'}\ncache: {tls: '${YES}'}\ntags: {a: 'x${ZONES}y'}\n";
    let config = config(&format!("{GOOD}{text}"));
    assert_eq!(config.network.zones, 3);
    assert_eq!(config.network.nat, NatMode::PerZone);
    assert!(config.cache.tls);
    assert_eq!(config.tags.get("a").map(String::as_str), Some("x3y"));
}

#[test]
fn a_variable_cannot_bring_in_yaml() {
    assert_eq!(
        problems(&GOOD.replace("stack: orders", "stack: ${YAML}")),
        [
            "1:8 stack: must be a lower-case letter, followed by at most 31 of `a-z`, `0-9` and `-`, not `${YAML}`"
        ],
    );
}

#[test]
fn missing_variables_are_all_named() {
    assert_eq!(
        problems(
            "stack: ${A}-${B}\napi: {id: '${ID:-a1b2c3d4e5}', stage: prod}\nthreescale: {service_id: '1', service_token: '${C}'}\n"
        ),
        [
            "1:8 stack: environment variable A is not set",
            "1:8 stack: environment variable B is not set",
            "3:46 threescale.service_token: environment variable C is not set",
        ],
    );
    assert_eq!(
        problems(&GOOD.replace("${TOKEN}", "${TOKEN")),
        ["5:18 threescale.service_token: `${` has no closing `}`; write `$$` for a literal `$`"],
    );
}

#[test]
fn values_of_variables_and_secrets_are_not_shown() {
    // `problems` checks that no message contains a secret or a variable's value.
    assert_eq!(
        problems(&GOOD.replace("${TOKEN}", "'${TOKEN} x'")),
        [
            "5:18 threescale.service_token: must not contain white space, line breaks or control characters; it comes from TOKEN"
        ]
    );
    assert_eq!(
        problems(&GOOD.replace("${TOKEN}", "s3cret-t0ken x")).len(),
        1
    );
    assert_eq!(problems(&GOOD.replace("\"1\"", "s3cret-t0ken")).len(), 1);
    assert_eq!(
        problems(&GOOD.replace("${TOKEN}", "12345678")),
        ["5:18 threescale.service_token: must be text: put it in quotes"]
    );
    assert_eq!(
        problems(&GOOD.replace("${TOKEN}", "${EMPTY}")),
        ["5:18 threescale.service_token: must not be empty; it comes from EMPTY"]
    );
    assert_eq!(
        problems(&GOOD.replace("${TOKEN}", "[s3cret-t0ken]")).len(),
        1
    );
    assert_eq!(
        with("  backend: https://user:s3cret-t0ken@example.com\n").len(),
        1
    );
    assert_eq!(with("cache: {url: 'rediss://:s3cret-t0ken@/x'}\n").len(), 1);
    // No hint either: it would repeat part of the value.
    assert_eq!(
        with("network: {cidr: '${CIDR}'}\n"),
        ["6:17 network.cidr: must be a range's first address, without host bits, not `${CIDR}`"]
    );
    assert_eq!(
        with("network: {nat: '${HIDDEN}'}\n"),
        [
            "6:16 network.nat: must be `single`, `per-zone`, `instance`, `none` or the id of a NAT gateway such as \
             `nat-0123456789abcdef0`, not `${HIDDEN}`"
        ]
    );
}

#[test]
fn unknown_keys_come_with_the_likely_one() {
    assert_eq!(
        with("network: {zoness: 2, node_type: x, colour: red}\nacche: {}\nzones: 2\n"),
        [
            "6:11 network.zoness: unknown key; did you mean `zones`?",
            "6:22 network.node_type: unknown key; did you mean `cache.node_type`?",
            "6:36 network.colour: unknown key",
            "7:1 acche: unknown key; did you mean `cache`?",
            "8:1 zones: unknown key; did you mean `network.zones`?",
        ],
    );
    assert_eq!(
        with("<<: {a: 1}\n\"a\\e[31m\": 1\n"),
        ["6:1 <<: unknown key", "7:1 a\\u{1b}[31m: unknown key"]
    );
}

#[test]
fn duplicate_keys_are_found_at_every_level() {
    assert_eq!(
        with("stack: other\ncache: {tls: true, tls: false}\n  "),
        [
            "6:1 stack: duplicate key; first given in line 1",
            "7:20 cache.tls: duplicate key; first given in line 7",
        ],
    );
}

#[test]
fn keys_that_are_no_text_are_refused() {
    assert_eq!(
        with("1: x\ntags: {true: x, 1.5: y, null: z, [a]: b, {a: b}: c}\n"),
        [
            "6:1 keys must be text (put it in quotes), not a number",
            "7:8 tags: keys must be text (put it in quotes), not true or false",
            "7:17 tags: keys must be text (put it in quotes), not a number",
            "7:25 tags: keys must be text (put it in quotes), not empty",
            "7:34 tags: keys must be text (put it in quotes), not a list",
            "7:42 tags: keys must be text (put it in quotes), not a mapping",
        ],
    );
}

#[test]
fn wrong_types_are_named() {
    assert_eq!(
        problems(
            "stack: 1\napi: [x]\nthreescale: yes\ntags: 1.5\nnetwork: {zones: two, cidr: {}, nat: ~}\ncache: {tls: 1, replicas: 1.5}\nauthorizer: {memory: '256', max_age: 60}\ndeletion_protection: 'true'\n"
        ),
        [
            "1:8 stack: must be text: put it in quotes, not `1`",
            "2:6 api: must be a mapping of keys to values, not a list",
            "3:13 threescale: must be a mapping of keys to values, not text",
            "4:7 tags: must be a mapping of keys to values, not a number",
            "5:18 network.zones: must be a whole number from 1 to 6, not `two`",
            "5:29 network.cidr: must be a single value, not a mapping",
            "5:33 network.nat: must be a single value, not empty",
            "6:14 cache.tls: must be `true` or `false`, not `1`",
            "6:27 cache.replicas: must be a whole number from 0 to 5, not `1.5`",
            "7:22 authorizer.memory: must be a number: leave the quotes out, not `256`",
            "7:38 authorizer.max_age: must be text: put it in quotes, not `60`",
            "8:22 deletion_protection: must be true or false: leave the quotes out, not `true`",
        ],
    );
    for (lines, problem) in [
        (
            "  mapping_rules: GET\n",
            "6:18 threescale.mapping_rules: must be a list, not text",
        ),
        (
            "  mapping_rules: [GET]\n",
            "6:19 threescale.mapping_rules[0]: must be a mapping of keys to values, not text",
        ),
        (
            "  credentials: apikey\n",
            "6:16 threescale.credentials: must be a mapping of keys to values, not text",
        ),
    ] {
        assert_eq!(with(lines), [problem]);
    }
}

#[test]
fn required_keys_are_missed_at_their_section() {
    let missing = "missing, and has no default";
    assert_eq!(
        problems("# a comment\ndeletion_protection: true\n"),
        [
            format!("1:1 api: {missing}"),
            format!("1:1 stack: {missing}"),
            format!("1:1 threescale: {missing}")
        ],
    );
    assert_eq!(
        problems("stack: orders\napi:\nthreescale:\n  mapping_rules:\n    - delta: 1\n"),
        [
            "2:1 api.id: missing; give it, or `api.name`".to_owned(),
            format!("2:1 api.stage: {missing}"),
            format!("3:1 threescale.service_id: {missing}"),
            format!("3:1 threescale.service_token: {missing}"),
            format!("5:7 threescale.mapping_rules[0].method: {missing}"),
            format!("5:7 threescale.mapping_rules[0].metric: {missing}"),
            format!("5:7 threescale.mapping_rules[0].pattern: {missing}"),
        ],
    );
}

#[test]
fn files_that_are_no_configuration() {
    assert_eq!(problems(""), ["1:1 the file is empty"]);
    assert_eq!(problems("---\n"), ["1:1 the file is empty"]);
    assert_eq!(
        problems("hello"),
        ["1:1 must be a mapping of keys to values, not text"]
    );
    assert_eq!(
        problems("- a\n- b\n"),
        ["1:1 must be a mapping of keys to values, not a list"]
    );
    assert_eq!(problems("a: [1\nb: 2\n").len(), 1);
    assert_eq!(
        problems(&format!("{GOOD}---\n{GOOD}")),
        ["6:1 a second document begins here: the file must hold one"]
    );
}

/// The file is read or refused.
fn survives(text: &str) -> Vec<String> {
    let loaded = load("t.yaml", text, &environment);
    schema::accepts(text, &loaded);
    shown(loaded)
}

#[test]
fn no_cut_off_file_makes_it_panic() {
    for text in [
        include_str!("../../../templates/threescale-gw.yaml"),
        include_str!("../../../examples/02-full.yaml"),
    ] {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            survives(&text[..end]);
        }
    }
}

#[test]
fn no_damaged_file_makes_it_panic() {
    let text = include_str!("../../../examples/02-full.yaml");
    let damages = [
        "\0", "\t", "[", "]", "{", "}", "&a ", "*a", "!!x ", "\"", "'", ": ", "- ", "? ", "|\n",
        "%", "#", "---\n", "...\n", "\u{2028}", "\u{feff}", "ä", "${", "$",
    ];
    for (number, damage) in damages.iter().enumerate() {
        // Each at different positions, all of them together at every position.
        for at in (number..text.len()).step_by(damages.len() / 4) {
            survives(&format!("{}{damage}{}", &text[..at], &text[at..]));
        }
    }
}

#[test]
fn a_hostile_file_is_refused() {
    for text in ["[", "{", "- ", "? ", "[{", "a: {"] {
        assert_eq!(survives(&text.repeat(20_000)).len(), 1, "{text}");
    }
}

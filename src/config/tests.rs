//! Tests `load` with whole files.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::responses::{LimitStatus, ResponseTypes, Responses};

/// A valid file, which the tests modify.
const GOOD: &str = "\
stack: orders
api: {id: a1b2c3d4e5, stage: prod}
threescale:
  service_id: \"1\"
  service_token: ${TOKEN}
";

const TOKEN: &str = "s3cret-t0ken";

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" | "THREESCALE_SERVICE_TOKEN" => TOKEN,
        "ZONES" => "3",
        "YES" => "true",
        "HIDDEN" => "h1dden-value",
        "CIDR" => "10.99.1.0/16",
        "EMPTY" => "",
        "YAML" => "x\nstack: [injected]",
        _ => return None,
    };
    Some(value.to_owned())
}

fn config(text: &str) -> Config {
    load("t.yaml", text, &environment).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = load("t.yaml", text, &environment)
        .err()
        .map_or_else(Vec::new, |problems| problems.0);
    for problem in &problems {
        let shown = format!("{problem}{problem:?}");
        assert!(
            !shown.contains(TOKEN) && !shown.contains("h1dden"),
            "{shown}"
        );
        assert!(problem.line >= 1 && problem.column >= 1, "{problem}");
    }
    problems
        .iter()
        .map(|problem| format!("{}:{} {}", problem.line, problem.column, problem.message))
        .collect()
}

/// The problems of the valid file with more lines at its end.
fn with(lines: &str) -> Vec<String> {
    problems(&format!("{GOOD}{lines}"))
}

/// The problems of a file whose `api` has these lines.
fn api(lines: &str) -> Vec<String> {
    problems(&GOOD.replace(
        "{id: a1b2c3d4e5, stage: prod}",
        &format!("\n  stage: prod\n{lines}"),
    ))
}

#[test]
fn defaults_are_filled_in() {
    let config = config(GOOD);
    assert_eq!(
        config,
        Config {
            stack: StackName("orders".to_owned()),
            place: Place::default(),
            tags: BTreeMap::new(),
            api: Api {
                selector: ApiSelector::Id("a1b2c3d4e5".to_owned()),
                stage: "prod".to_owned(),
                protect: Vec::new(),
                except: Vec::new(),
                responses: ResponseTypes::All.into(),
                usage_key: None,
            },
            threescale: Threescale {
                service_id: "1".to_owned(),
                service_token: Secret::from(TOKEN.to_owned()),
                backend: "https://su1.3scale.net".to_owned(),
                allow_plain_http: false,
                ca_file: None,
                stored_roots: None,
                timeout: Duration::from_millis(720),
                credentials: Credentials {
                    kind: CredentialKind::UserKey,
                    location: CredentialLocation::Header,
                    name: "apikey".to_owned(),
                    key_name: None,
                },
                mapping_rules: Vec::new(),
                stored_rules: None,
            },
            network: Network {
                cidr: Ipv4Net::new_assert([10, 42, 0, 0].into(), 16),
                zones: 2,
                nat: NatMode::Single,
                elastic_ips: Vec::new(),
                vpc: Vpc::Created,
            },
            cache: Cache {
                engine: CacheEngine::Redis,
                engine_version: None,
                node_type: "cache.t4g.micro".to_owned(),
                replicas: 0,
                tls: true,
                url: None,
                memory: false,
            },
            authorizer: Authorizer {
                architecture: Architecture::X86_64,
                memory: 128,
                caching: Caching::Strict,
                max_age: Duration::from_secs(60),
                report_every: Duration::from_secs(60),
                log_retention_days: 14,
                role_arn: None,
                permissions_boundary: None,
                artifact: None,
            },
            deletion_protection: false,
        },
    );
    assert!(!format!("{config:?}").contains(TOKEN));
}

#[test]
fn an_empty_section_is_one_with_defaults() {
    assert_eq!(
        config(&format!(
            "{GOOD}tags:\nnetwork:\n  # zones: 3\ncache: {{}}\nauthorizer:\n"
        )),
        config(GOOD)
    );
}

#[test]
fn every_key_is_read() {
    let config = config(include_str!("../../examples/02-full.yaml"));
    assert_eq!(
        config.tags.get("cost-center").map(String::as_str),
        Some("4711")
    );
    assert_eq!(
        config
            .api
            .protect
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["ANY /*"]
    );
    assert_eq!(
        config
            .api
            .except
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["GET /health"]
    );
    assert_eq!(
        config.threescale.credentials.key_name.as_deref(),
        Some("app_key")
    );
    assert_eq!(
        config.threescale.mapping_rules,
        [MappingRule {
            method: "GET".to_owned(),
            pattern: "/orders/{id}".to_owned(),
            metric: "orders".to_owned(),
            delta: 1,
            last: false,
        }],
    );
    assert_eq!(
        config.authorizer.artifact.expect("a file").path,
        PathBuf::from("bootstrap.zip")
    );

    let config = self::config(include_str!("../../examples/06-production.yaml"));
    assert_eq!(config.network.nat, NatMode::PerZone);
    assert_eq!(config.network.subnets().len(), 6);
    assert_eq!(config.cache.engine, CacheEngine::Valkey);
    assert_eq!(config.cache.replicas, 2);
    assert_eq!(config.authorizer.architecture, Architecture::Arm64);
    assert_eq!(config.authorizer.caching, Caching::Resilient);
    assert_eq!(config.authorizer.max_age, Duration::from_secs(300));
    assert!(config.deletion_protection);

    let config = self::config(include_str!("../../examples/05-own-network.yaml"));
    assert_eq!(config.network.subnets(), []);
    assert_eq!(
        config.network.existing().map(|vpc| vpc.subnets.len()),
        Some(2)
    );
    assert!(config.cache.tls && config.cache.url.is_some());

    let config = self::config(include_str!("../../examples/07-first-try.yaml"));
    assert_eq!(config.network.vpc, Vpc::None);
    assert_eq!(config.network.subnets(), []);
    assert!(config.cache.memory && !config.cache.is_created());
    assert!(config.authorizer_settings().contains(r#""cache":"memory""#));
}

#[test]
fn a_word_can_take_the_place_of_a_section() {
    let with = |lines: &str| problems(&format!("{GOOD}{lines}"));
    let own = "cache: {url: 'rediss://c.example.com:6379'}\n";
    for lines in [
        "cache: memory\n".to_owned(),
        "network: none\ncache: memory\n".to_owned(),
        format!("network: none\n{own}"),
    ] {
        assert_eq!(with(&lines), [""; 0], "{lines}");
    }
    for lines in ["network: none\n", "network: none\ncache: {tls: false}\n"] {
        assert_eq!(
            with(lines),
            [
                "6:10 network: without a VPC, the stack can have no cache of its own: add `cache: memory`, or `cache.url`"
            ]
        );
    }
    assert_eq!(
        with("network: default\n"),
        ["6:10 network: must be a mapping of keys to values, or `none`, not `default`"]
    );
    assert_eq!(with("cache: [memory]\n").len(), 1);
}

#[test]
fn every_example_and_the_template_load() {
    for folder in ["examples", "templates"] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut loaded = 0;
        for entry in folder.read_dir().expect("the folder is in the repository") {
            let path = entry.expect("the folder can be listed").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                config(&std::fs::read_to_string(&path).expect("the file can be read"));
                loaded += 1;
            }
        }
        assert!(loaded > 0, "{}", folder.display());
    }
}

#[test]
fn the_template_offers_every_key_with_its_default() {
    // Commented-out configuration: a key or a list item.
    let template = include_str!("../../templates/threescale-gw.yaml");
    let without = [
        "# name:",
        "# network: none",
        "# cache: memory",
        "# protect:",
        "# except:",
        "# usage_key:",
        "# elastic_ips:",
        "# vpc:",
        "# subnets:",
        "# url:",
        "# engine_version:",
        "# role_arn:",
        "# permissions_boundary:",
        "# artifact:",
        "# ca_file:",
        "# account:",
        "# region:",
    ];
    let offered: String = template
        .lines()
        .filter(|line| !without.iter().any(|key| line.trim_start().starts_with(key)))
        .map(|line| {
            let indent = &line[..line.len() - line.trim_start().len()];
            let text = line.trim_start();
            let is_setting = |text: &str| {
                text.starts_with("- {")
                    || text.split_once(": ").is_some_and(|(key, _)| {
                        key.trim_start()
                            .chars()
                            .all(|c| c.is_ascii_lowercase() || c == '_')
                    })
                    || text.ends_with(':')
            };
            match text.strip_prefix("# ") {
                Some(setting) if is_setting(setting.trim_start()) => format!("{indent}{setting}\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect();
    let offered = config(&offered);
    let mut plain = config(template);
    assert_eq!(offered.tags.len(), 1);
    assert_eq!(offered.threescale.mapping_rules.len(), 1);
    plain.tags.clone_from(&offered.tags);
    plain
        .threescale
        .mapping_rules
        .clone_from(&offered.threescale.mapping_rules);
    assert_eq!(offered, plain);
}

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
            "5:18 threescale.service_token: must not contain white space, line breaks or control characters"
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
        ["5:18 threescale.service_token: must not be empty"]
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
        ["6:16 network.nat: must be `single` or `per-zone`, not `${HIDDEN}`"]
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

#[test]
fn an_api_is_named_once() {
    assert_eq!(
        api("  id: a1b2c3d4e5\n  name: orders-api\n"),
        ["5:9 api.name: give either `api.id` or `api.name`, not both"]
    );
    assert_eq!(
        api("  name: orders-api\n  id: a1b2c3d4e5\n"),
        ["5:7 api.id: give either `api.id` or `api.name`, not both"]
    );
    assert_eq!(api("  name: orders-api\n"), Vec::<String>::new());
    assert_eq!(
        api("  id: 1234567890\n"),
        ["4:7 api.id: must be text: put it in quotes, not `1234567890`"]
    );
    assert_eq!(
        api("  id: A1B2\n"),
        ["4:7 api.id: must be the id of a REST API: ten of `a-z` and `0-9`, not `A1B2`"],
    );
}

#[test]
fn something_is_left_to_protect() {
    let nothing = "excludes everything that `api.protect` names: no method would be protected";
    let name = "  name: x\n";
    assert_eq!(
        api(&format!("{name}  except: [ANY /*]\n")),
        [format!("5:11 api.except: {nothing}")]
    );
    assert_eq!(
        api(&format!(
            "{name}  protect: [GET /a, POST /b/c]\n  except: [ANY /b/*, GET /a]\n"
        )),
        [format!("6:11 api.except: {nothing}")],
    );
    assert_eq!(
        api(&format!(
            "{name}  protect: [GET /a, GET /b]\n  except: [GET /a]\n"
        )),
        Vec::<String>::new()
    );
    assert_eq!(api(&format!("{name}  except: []\n")), Vec::<String>::new());
    assert_eq!(
        api(&format!("{name}  protect: []\n")),
        ["5:12 api.protect: must name a method at least, or be left out"]
    );
    assert_eq!(
        api(&format!("{name}  protect: [get /a, GET b, 3]\n")),
        [
            "5:13 api.protect[0]: must begin with a method: ANY, GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS, not `get /a`; did you mean `GET`?",
            "5:21 api.protect[1]: must have a path that begins with `/`, not `GET b`",
            "5:28 api.protect[2]: must be text: put it in quotes, not `3`",
        ],
    );
}

#[test]
fn credentials_fit_together() {
    let with = |credentials: &str| with(&format!("  credentials: {{{credentials}}}\n"));
    assert_eq!(with("kind: app_id"), Vec::<String>::new());
    assert_eq!(
        with("key_name: k"),
        [
            "6:27 threescale.credentials.key_name: is for `kind: app_id` only: a user key has no second key"
        ]
    );
    assert_eq!(
        with("kind: app_id, name: x, key_name: X"),
        ["6:50 threescale.credentials.key_name: must differ from `name`"]
    );
    assert_eq!(
        with("kind: app_id, in: query, name: x, key_name: X"),
        Vec::<String>::new()
    );
    assert_eq!(
        with("kind: app_id, name: app_key"),
        [
            "6:37 threescale.credentials.name: is also the name of the application key, unless `key_name` says otherwise"
        ],
    );
    assert_eq!(
        with("kind: userkey, in: body, name: 'a b'"),
        [
            "6:23 threescale.credentials.kind: must be `user_key` or `app_id`, not `userkey`; did you mean `user_key`?",
            "6:36 threescale.credentials.in: must be `header` or `query`, not `body`",
            "6:48 threescale.credentials.name: must be the name of a header: at most 128 letters, digits and `. _ $ -`, not `a b`",
        ],
    );
}

#[test]
fn networks_are_made_or_brought() {
    let with = |network: &str| with(&format!("network: {{{network}}}\n"));
    let own = "vpc: vpc-0abc1234, subnets: [subnet-0abc1234]";
    assert_eq!(with(own), Vec::<String>::new());
    assert_eq!(
        with("vpc: default"),
        ["6:16 network.vpc: needs `network.subnets`: the subnets to use in it"]
    );
    assert_eq!(
        with("subnets: [subnet-0abc1234]"),
        ["6:20 network.subnets: needs `network.vpc`: the VPC they are in"]
    );
    assert_eq!(
        with(&format!("{own}, nat: single, zones: 2, cidr: 10.0.0.0/16")).len(),
        3
    );
    assert_eq!(
        with("vpc: default, subnets: []"),
        ["6:34 network.subnets: must be 1 to 16 subnets, not 0"]
    );
    assert_eq!(
        with("vpc: x, subnets: [subnet-0abc1234, y, subnet-0abc1234]"),
        [
            "6:16 network.vpc: must be a VPC's id such as `vpc-0123456789abcdef0`, or `default`, not `x`",
            "6:46 network.subnets[1]: must be a subnet's id such as `subnet-0123456789abcdef0`, not `y`",
            "6:49 network.subnets[2]: names a subnet twice",
        ],
    );
}

#[test]
fn address_ranges_hold_their_subnets() {
    let with = |network: &str| with(&format!("network: {{{network}}}\n"));
    assert_eq!(with("cidr: 10.0.0.0/26"), Vec::<String>::new());
    assert_eq!(
        with("cidr: 10.0.0.0/27"),
        [
            "6:17 network.cidr: is too small for 2 zones: must be /26 or larger, to hold 4 subnets of at least /28"
        ],
    );
    assert_eq!(with("cidr: 10.0.0.0/26, zones: 3").len(), 1);
    assert_eq!(
        with("cidr: 10.0.0.1/16"),
        [
            "6:17 network.cidr: must be a range's first address, without host bits, not `10.0.0.1/16`; did you mean `10.0.0.0/16`?"
        ],
    );
    for bad in [
        "8.8.0.0/16",
        "10.0.0.0/8",
        "10.0.0.0/30",
        "10.0.0.0",
        "fd00::/56",
        "300.0.0.0/16",
    ] {
        let problems = with(&format!("cidr: '{bad}'"));
        assert!(
            problems.len() == 1 && problems[0].ends_with(&format!("not `{bad}`")),
            "{problems:?}"
        );
    }
}

#[test]
fn caches_are_made_or_brought() {
    let with = |cache: &str| with(&format!("cache: {{{cache}}}\n"));
    assert_eq!(
        with("url: 'redis://x', tls: false, engine: valkey"),
        Vec::<String>::new()
    );
    assert_eq!(
        with("url: 'redis://x', node_type: cache.t3.small, replicas: 1, tls: true"),
        [
            "6:38 cache.node_type: is for a managed cache: remove it if you use `cache.url`",
            "6:64 cache.replicas: is for a managed cache: remove it if you use `cache.url`",
            "6:72 cache.tls: contradicts `cache.url`, which begins with `redis://`",
        ],
    );
    assert_eq!(with("url: x, replicas: 9").len(), 3);
    assert_eq!(
        with("engine: reddis"),
        ["6:17 cache.engine: must be `redis` or `valkey`, not `reddis`; did you mean `redis`?"],
    );
    for good in [
        "engine_version: '6.2'",
        "engine: valkey, engine_version: '7.2'",
        "engine: valkey, engine_version: '10.1'",
    ] {
        assert_eq!(with(good), Vec::<String>::new(), "{good}");
    }
    assert_eq!(
        with("engine_version: '7.1.0'"),
        [
            "6:25 cache.engine_version: must be a major and a minor version such as `7.1`, not `7.1.0`"
        ],
    );
    assert_eq!(
        with("engine_version: 7.1"),
        ["6:25 cache.engine_version: must be text: put it in quotes, not `7.1`"],
    );
    assert_eq!(
        with("engine_version: '7.2'"),
        ["6:25 cache.engine_version: must be 6.2, 7.0 or 7.1 for `redis`"],
    );
    assert_eq!(
        with("engine: valkey, engine_version: '7.1'"),
        ["6:41 cache.engine_version: must be 7.2 or newer for `valkey`"],
    );
    assert_eq!(
        with("url: 'redis://x', engine_version: '7.1'"),
        ["6:43 cache.engine_version: is for a managed cache: remove it if you use `cache.url`"],
    );
    assert!(
        !config(&format!("{GOOD}cache: {{url: 'redis://x'}}\n"))
            .cache
            .tls
    );
}

#[test]
fn the_time_for_3scale_is_bounded() {
    let timeout =
        |time: &str| GOOD.replace("threescale:", &format!("threescale:\n  timeout: {time}"));
    let with = |time: &str| problems(&timeout(time));
    assert_eq!(with("100ms"), Vec::<String>::new());
    assert_eq!(with("4s"), Vec::<String>::new());
    for time in ["99ms", "4001ms", "1ms 1us", "soon"] {
        let problems = with(time);
        assert!(
            problems.len() == 1
                && problems[0].contains(
                    "threescale.timeout: must be whole milliseconds or seconds, from `100ms` to `4s`"
                ),
            "{problems:?}"
        );
    }
    assert!(!config(GOOD).authorizer_settings().contains("timeout_ms"));
    let settings = config(&timeout("2s")).authorizer_settings();
    assert!(settings.contains("\"timeout_ms\":2000"), "{settings}");
}

#[test]
fn times_fit_together() {
    let with = |authorizer: &str| with(&format!("authorizer: {{{authorizer}}}\n"));
    assert_eq!(with("max_age: 0s, caching: none"), Vec::<String>::new());
    assert_eq!(
        with("max_age: 0s"),
        ["6:23 authorizer.max_age: must be at least `1s`, or set `authorizer.caching: none`"]
    );
    assert_eq!(
        with("report_every: 90s"),
        ["6:28 authorizer.report_every: must be whole minutes, from `1m` to `6h`, not `90s`"]
    );
    assert_eq!(
        with("log_retention_days: 15, memory: 64, artifact: ''").len(),
        3
    );
}

#[test]
fn tags_keep_to_what_aws_takes() {
    let many: String = (0..41).map(|number| format!("  t{number}: x\n")).collect();
    assert_eq!(
        with(&format!("tags:\n{many}")),
        ["6:1 tags: must be at most 40 tags, not 41"]
    );
    assert_eq!(
        with("tags: {Team: a, team: b, aws:x: c, number: 1, comma: 'a,b'}\n"),
        [
            "6:17 tags.team: differs from `tags.Team` only in case",
            "6:26 tags.aws:x: tag keys must not begin with `aws:` or `threescale-gw:`, which are reserved",
            "6:44 tags.number: must be text: put it in quotes, not `1`",
            "6:54 tags.comma: must have at most 256 letters, digits, spaces and `+ - = . _ : / @`, not `a,b`",
        ],
    );
}

#[test]
fn mapping_rules_are_those_of_3scale() {
    assert_eq!(
        with(
            "  mapping_rules: [{method: get, pattern: foo, metric: '', delta: 0, last: maybe, lsat: true}]\n"
        ),
        [
            "6:28 threescale.mapping_rules[0].method: must be one of ANY, GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS, not `get`; did you mean `GET`?",
            "6:42 threescale.mapping_rules[0].pattern: must be a path that begins with `/`, such as `/orders/{id}`, not `foo`",
            "6:55 threescale.mapping_rules[0].metric: must be the system name of a metric or method: letters, digits and `_ - / .`, not empty",
            "6:66 threescale.mapping_rules[0].delta: must be a whole number from 1 to 1000000000000, not `0`",
            "6:75 threescale.mapping_rules[0].last: must be `true` or `false`, not `maybe`",
            "6:82 threescale.mapping_rules[0].lsat: unknown key; did you mean `last`?",
        ],
    );
    let dollar = config(&format!(
        "{GOOD}  mapping_rules: [{{method: GET, pattern: '/foo$', metric: hits}}]\n"
    ));
    assert_eq!(
        dollar
            .threescale
            .mapping_rules
            .first()
            .map(|rule| rule.pattern.as_str()),
        Some("/foo$")
    );
}

#[test]
fn settings_fit_into_the_functions_environment() {
    let rules = |count: usize| {
        let rule = "    - {method: GET, pattern: '/orders/{id}', metric: orders}\n";
        format!("{GOOD}  mapping_rules:\n{}", rule.repeat(count))
    };
    let few = config(&rules(30));
    assert!(few.authorizer_settings().contains("\"mapping_rules\":[{"));
    assert_eq!(few.stored().count(), 0);
    let many = config(&rules(60));
    let settings = many.authorizer_settings();
    assert!(settings.len() < 500, "{settings}");
    assert!(!settings.contains("mapping_rules"), "{settings}");
    let stored: Vec<_> = many.stored().flat_map(Stored::parameters).collect();
    assert_eq!(stored.len(), 1);
    let read: Vec<_> = stored.into_iter().map(|(name, _)| name).collect();
    assert_eq!(crate::stored::read_by(&settings), read);
}

#[test]
fn mapping_rules_that_do_not_fit_at_all_are_refused_with_their_size() {
    let rules = (0..6000_u64).map(|number| {
        let noise = |salt: u64| (number + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "    - {{method: GET, pattern: '/{:x}', metric: m{:x}}}\n",
            noise(1),
            noise(7)
        )
    });
    let rules: String = rules.collect();
    let problems = problems(&format!("{GOOD}  mapping_rules:\n{rules}"));
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .starts_with("7:5 threescale.mapping_rules: too many or too long: 6000 rules take ")
            && problems[0].ends_with(
                " bytes, compressed, and at most 76800 fit into the parameters of the stack"
            ),
        "{problems:?}"
    );
}

#[test]
fn the_key_of_usage_plans_must_be_one_that_callers_send() {
    let text = |kind: &str, key: &str| {
        format!(
            "stack: orders\napi: {{name: a, stage: prod, usage_key: {key}}}\n\
             threescale: {{service_id: '1', service_token: t, credentials: {{kind: {kind}}}}}\n"
        )
    };
    let read = |kind, key| load("x.yaml", &text(kind, key), &|_| None);
    for (kind, key) in [
        ("user_key", "user_key"),
        ("user_key", "app_id"),
        ("app_id", "app_id"),
    ] {
        let config = read(kind, key).expect("a configuration");
        let settings = config.authorizer_settings();
        assert!(settings.contains(&format!("\"usage_key\":\"{key}\"")));
    }
    let refused = read("app_id", "user_key").expect_err("a problem");
    assert!(
        refused
            .to_string()
            .contains("x.yaml:2:40: api.usage_key: must be `app_id`"),
        "{refused}"
    );
    assert!(read("user_key", "key").is_err());
}

#[test]
fn a_passed_limit_has_a_status_that_only_the_types_of_all_refusals_can_have() {
    let read = |responses: &str| {
        let text = format!(
            "stack: orders\napi: {{name: a, stage: prod, responses: {responses}}}\n\
             threescale: {{service_id: '1', service_token: t}}\n"
        );
        load("x.yaml", &text, &|_| None)
    };
    let all = ResponseTypes::All;
    let named = ResponseTypes::Named(vec!["ACCESS_DENIED".to_owned()]);
    for (given, limits, types) in [
        ("{limits: 429}", LimitStatus::TooManyRequests, &all),
        (
            "{limits: 429, types: true}",
            LimitStatus::TooManyRequests,
            &all,
        ),
        ("{limits: 403}", LimitStatus::Forbidden, &all),
        (
            "{types: false}",
            LimitStatus::Forbidden,
            &ResponseTypes::Off,
        ),
        (
            "{limits: 429, types: [ACCESS_DENIED]}",
            LimitStatus::TooManyRequests,
            &named,
        ),
        ("[ACCESS_DENIED]", LimitStatus::Forbidden, &named),
    ] {
        let config = read(given).expect("a configuration");
        let types = types.clone();
        assert_eq!(config.api.responses, Responses { types, limits }, "{given}");
        let is_set = config.authorizer_settings().contains("\"limits\":429");
        assert_eq!(is_set, limits == LimitStatus::TooManyRequests, "{given}");
    }
    for (given, expected) in [
        (
            "{limits: 430}",
            "x.yaml:2:49: api.responses.limits: must be 403 or 429",
        ),
        (
            "{limits: 429, types: [UNAUTHORIZED]}",
            "x.yaml:2:61: api.responses.types: must contain ACCESS_DENIED",
        ),
        (
            "{limits: 429, types: false}",
            "x.yaml:2:61: api.responses.types: must contain ACCESS_DENIED",
        ),
        ("{limit: 429}", "did you mean `limits`?"),
    ] {
        let refused = read(given).expect_err("a problem").to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn plain_http_is_for_private_addresses_and_must_be_allowed() {
    let backend = |url: &str, more: &str| problems(&format!("{GOOD}  backend: {url}\n{more}"));
    let allow = "  allow_plain_http: true\n";
    let none = [""; 0];
    assert_eq!(backend("http://10.1.2.3:3000/backend", allow), none);
    assert_eq!(backend("http://127.0.0.1:3000", ""), none);
    assert_eq!(backend("https://3scale.example.com/backend", allow), none);
    let refused = backend("http://10.1.2.3", "");
    assert!(
        refused[0].starts_with(
            "6:12 threescale.backend: must begin with `https://`: `http://` sends the service token"
        ),
        "{refused:?}"
    );
    for more in [allow, ""] {
        let refused = backend("http://3scale.example.com", more);
        assert_eq!(
            refused,
            [
                "6:12 threescale.backend: must begin with `https://`: `http://` is for private addresses only, with `threescale.allow_plain_http: true`"
            ]
        );
    }
    // The setting is the CLI's alone.
    let text = format!("{GOOD}  backend: http://10.1.2.3/backend\n{allow}");
    let settings = config(&text).authorizer_settings();
    assert!(settings.contains("\"backend\":\"http://10.1.2.3/backend\""));
    assert!(!settings.contains("plain"), "{settings}");
}

#[test]
fn certificate_authorities_are_stored_beside_the_rules() {
    let mut config = config(&format!("{GOOD}  ca_file: ca.pem\n"));
    let file = config.threescale.ca_file.clone().expect("a file");
    assert_eq!((file.line, file.column), (6, 12));
    assert_eq!(config.stored().count(), 0);
    let pem = include_bytes!("../../tests/it/support/authority.pem");
    let read = certificates(pem).expect("certificates");
    config.set_roots(&read).expect("fits");
    let settings = config.authorizer_settings();
    let stored: Vec<_> = config.stored().flat_map(Stored::parameters).collect();
    let names: Vec<_> = stored.into_iter().map(|(name, _)| name).collect();
    assert_eq!(crate::stored::read_by(&settings), names);
    assert!(names[0].starts_with("ca-"), "{names:?}");
}

#[test]
fn settings_are_what_the_functions_read() {
    let config = config(include_str!("../../examples/02-full.yaml"));
    let settings: serde_json::Value =
        serde_json::from_str(&config.authorizer_settings()).expect("settings are JSON");
    assert_eq!(
        settings,
        serde_json::json!({
            "service_id": "2555417834780",
            "backend": "https://su1.3scale.net",
            "credentials": [{"kind": "app_id", "in": "header", "name": "app_id", "key_name": "app_key"}],
            "mapping_rules": [{"method": "GET", "pattern": "/orders/{id}", "metric": "orders", "delta": 1, "last": false}],
            "caching": "strict",
            "max_age_s": 60,
            "report_every_s": 60,
        }),
    );
}

#[test]
fn a_stack_name_from_the_command_line_is_checked_alike() {
    assert_eq!(
        "orders".parse::<StackName>().map(|name| name.to_string()),
        Ok("orders".to_owned())
    );
    let error = "Orders"
        .parse::<StackName>()
        .err()
        .map(|invalid| invalid.to_string());
    assert_eq!(
        error.as_deref(),
        Some("must be a lower-case letter, followed by at most 31 of `a-z`, `0-9` and `-`")
    );
}

#[test]
fn the_stack_of_a_file_is_told_whatever_else_is_wrong_with_it() {
    let stack = |text| {
        let named = super::stack_of(text, &|name| (name == "TEAM").then(|| "red".to_owned()));
        named.map(|stack| stack.to_string())
    };
    assert_eq!(
        stack("stack: orders\nnetwork: {zoness: 1}\nthreescale: {service_token: \"${NONE}\"}\n"),
        Some("orders".to_owned())
    );
    assert_eq!(
        stack("stack: orders-${TEAM}\n"),
        Some("orders-red".to_owned())
    );
    for text in [
        "",
        "stack: ${NONE}\n",
        "stack: Orders!\n",
        "stack: [orders\n",
        "- stack\n",
    ] {
        assert_eq!(stack(text), None, "{text}");
    }
}

#[test]
fn no_cut_off_file_makes_it_panic() {
    for text in [
        include_str!("../../templates/threescale-gw.yaml"),
        include_str!("../../examples/02-full.yaml"),
    ] {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            problems(&text[..end]);
        }
    }
}

#[test]
fn no_damaged_file_makes_it_panic() {
    let text = include_str!("../../examples/02-full.yaml");
    let damages = [
        "\0", "\t", "[", "]", "{", "}", "&a ", "*a", "!!x ", "\"", "'", ": ", "- ", "? ", "|\n",
        "%", "#", "---\n", "...\n", "\u{2028}", "\u{feff}", "ä", "${", "$",
    ];
    for (number, damage) in damages.iter().enumerate() {
        // Each at different positions, all of them together at every position.
        for at in (number..text.len()).step_by(damages.len() / 4) {
            problems(&format!("{}{damage}{}", &text[..at], &text[at..]));
        }
    }
}

#[test]
fn a_hostile_file_is_refused() {
    for text in ["[", "{", "- ", "? ", "[{", "a: {"] {
        assert_eq!(problems(&text.repeat(20_000)).len(), 1, "{text}");
    }
}

#[test]
fn the_place_is_read_even_if_the_rest_is_invalid() {
    let text = format!("{GOOD}account: \"123456789012\"\nregion: eusc-de-east-1\n");
    let place = Place {
        account: Some("123456789012".to_owned()),
        region: Some("eusc-de-east-1".to_owned()),
    };
    assert_eq!(config(&text).place, place);
    assert_eq!(place_of(&format!("{text}unknown: 1\n"), &|_| None), place);
    assert_eq!(place_of("- no mapping", &|_| None), Place::default());
    for (line, text) in [
        ("account: \"12345\"", "must be an AWS account id"),
        ("account: 123456789012", "account"),
        ("region: Frankfurt", "must be an AWS region"),
        ("tags: {name: x}", "tag key `Name`, in any spelling"),
        ("tags: {NAME: x}", "tag key `Name`, in any spelling"),
    ] {
        let found = problems(&format!("{GOOD}{line}\n"));
        assert!(found.len() == 1 && found[0].contains(text), "{found:?}");
    }
}

//! The rules of each section.

use super::*;

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
        ["4:7 api.id: must be the id of an API: ten of `a-z` and `0-9`, not `A1B2`"],
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
        [
            "6:16 network.vpc: needs `network.subnets`, the subnets to use in it, or `network.subnet_cidrs`, the subnets to create"
        ]
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
fn an_own_vpc_has_subnets_and_routes_to_use_or_to_create() {
    let with = |network: &str| with(&format!("network: {{{network}}}\n"));
    for good in [
        "subnet_cidrs: [10.0.1.0/24, 172.16.0.0/28]",
        "subnets: [subnet-0abc1234], route: create",
        "subnet_cidrs: [10.0.1.0/24], route: create, nat: per-zone",
        "subnet_cidrs: [10.0.1.0/24], route: create, elastic_ips: [eipalloc-0abc1234]",
        "subnets: [subnet-0abc1234], route: create, nat: nat-0123456789abcdef0",
        "subnets: [subnet-0abc1234], route: existing",
    ] {
        assert_eq!(with(&format!("vpc: default, {good}")), [""; 0], "{good}");
    }
    let needs_create = "is for a network whose way out the stack creates: add `network.route: create`, or remove it";
    let one = "vpc: default, subnets: [subnet-0abc1234]";
    let cases: [(&str, &[&str]); 10] = [
        (
            "vpc: default, subnets: [subnet-0abc1234], subnet_cidrs: [10.0.1.0/24]",
            &["6:67 network.subnet_cidrs: is in place of `network.subnets`: remove one of them"],
        ),
        (
            "subnet_cidrs: [10.0.1.0/24]",
            &["6:25 network.subnet_cidrs: needs `network.vpc`: the VPC they are in"],
        ),
        (
            "route: create",
            &["6:18 network.route: needs `network.vpc`: the VPC of the subnets"],
        ),
        (
            "nat: nat-0abc1234",
            &[
                "6:16 network.nat: needs `network.vpc`: the VPC of the NAT gateway, and `network.route: create`",
            ],
        ),
        (
            "vpc: default, subnet_cidrs: [10.0.1.0/24, 10.0.1.16/28, 10.0.2.1/24, 10.0.0.0/8, x]",
            &[
                "6:53 network.subnet_cidrs[1]: overlaps `10.0.1.0/24`",
                "6:67 network.subnet_cidrs[2]: must be a range's first address, without host bits, not `10.0.2.1/24`; did you mean `10.0.2.0/24`?",
                "6:80 network.subnet_cidrs[3]: must be between /16 and /28, the sizes AWS allows for a subnet, not `10.0.0.0/8`",
                "6:92 network.subnet_cidrs[4]: must be an IPv4 address range such as `10.0.96.0/24`, not `x`",
            ],
        ),
        (
            "vpc: default, subnet_cidrs: []",
            &["6:39 network.subnet_cidrs: must be 1 to 6 CIDR blocks, one for each zone, not 0"],
        ),
        (
            "vpc: default, subnets: [subnet-0abc1234], nat: single",
            &["network.nat"],
        ),
        (
            "vpc: default, subnets: [subnet-0abc1234], route: creat",
            &[
                "6:60 network.route: must be `existing` or `create`, not `creat`; did you mean `create`?",
            ],
        ),
        (
            "vpc: default, subnets: [subnet-0abc1234], route: create, nat: nat-x",
            &[
                "6:73 network.nat: must be the id of a NAT gateway such as `nat-0123456789abcdef0`, not `nat-x`",
            ],
        ),
        (
            "vpc: default, subnets: [subnet-0abc1234], route: create, nat: nat-0abc1234, elastic_ips: [eipalloc-0abc1234]",
            &["6:100 network.elastic_ips: must name one address for each NAT gateway: 0, not 1"],
        ),
    ];
    for (given, expected) in cases {
        match expected {
            ["network.nat"] => {
                assert_eq!(with(given), [format!("6:58 network.nat: {needs_create}")])
            }
            expected => assert_eq!(with(given), expected, "{given}"),
        }
    }
    assert_eq!(
        with(&format!("{one}, elastic_ips: [eipalloc-0abc1234]")).len(),
        1
    );
}

#[test]
fn a_network_has_one_way_out() {
    let with = |network: &str| with(&format!("network: {{{network}}}\n"));
    let own = "vpc: vpc-0abc1234, subnets: [subnet-0abc1234]";
    for good in [
        "nat: instance",
        "nat: instance, elastic_ips: [eipalloc-0abc1234]",
        &format!("{own}, nat: none"),
        &format!("{own}, endpoints: true"),
        "endpoints: true",
    ] {
        assert_eq!(with(good), Vec::<String>::new(), "{good}");
    }
    assert_eq!(
        with("nat: none"),
        [
            "6:16 network.nat: needs `network.vpc`: a VPC that the stack creates has no other way to 3scale; if 3scale has a private \
             address, name a VPC of yours that reaches it"
        ]
    );
    assert_eq!(
        with("nat: per_zone"),
        [
            "6:16 network.nat: must be `single`, `per-zone`, `instance`, `none` or the id of a NAT gateway such as \
             `nat-0123456789abcdef0`, not `per_zone`; did you mean `per-zone`?"
        ]
    );
    for mode in ["single", "per-zone", "instance"] {
        let problems = with(&format!("{own}, nat: {mode}"));
        assert!(
            problems.len() == 1 && problems[0].contains("remove it"),
            "{problems:?}"
        );
    }
    assert_eq!(
        with(&format!("{own}, route: create, nat: none")),
        ["6:78 network.nat: contradicts `network.route: create`: remove one of them"]
    );
    assert_eq!(
        with("nat: instance, elastic_ips: [eipalloc-0abc1234, eipalloc-0abc1235]"),
        ["6:39 network.elastic_ips: must name one address for the NAT instance: 1, not 2"]
    );
}

#[test]
fn the_functions_can_have_security_groups_of_their_own() {
    let with = |groups: &str, more: &str| {
        problems(&format!(
            "{GOOD}authorizer: {{security_groups: [{groups}]}}\n{more}"
        ))
    };
    let five = (1..=5)
        .map(|n| format!("sg-0000000{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(with("sg-0123456789abcdef0", ""), [""; 0]);
    assert_eq!(with(&five, ""), [""; 0]);
    assert_eq!(
        with(&format!("{five}, sg-00000006"), ""),
        ["6:31 authorizer.security_groups: must be 1 to 5 security groups, not 6"]
    );
    assert_eq!(
        with("", ""),
        ["6:31 authorizer.security_groups: must be 1 to 5 security groups, not 0"]
    );
    assert_eq!(
        with("sg-1, sg-00000001, sg-00000001", ""),
        [
            "6:32 authorizer.security_groups[0]: must be a security group's id such as `sg-0123456789abcdef0`, not `sg-1`",
            "6:51 authorizer.security_groups[2]: names a security group twice"
        ]
    );
    assert_eq!(
        with("sg-00000001", "network: none\ncache: memory\n"),
        [
            "6:31 authorizer.security_groups: is for functions in a VPC: remove it if you use `network: none`"
        ]
    );
}

#[test]
fn secrets_can_have_a_key_of_their_own() {
    let with = |key: &str| problems(&format!("{GOOD}authorizer: {{kms_key: \"{key}\"}}\n"));
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let mrk = "mrk-1234abcd12ab34cd56ef1234567890ab";
    for good in [
        format!("arn:aws:kms:us-east-1:123456789012:key/{id}"),
        format!("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/{mrk}"),
    ] {
        assert_eq!(with(&good), [""; 0]);
    }
    let must = "must be the ARN of a KMS key such as `arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab`";
    for bad in [
        "alias/own".to_owned(),
        id.to_owned(),
        format!("arn:aws:kms::123456789012:key/{id}"),
        format!("arn:aws:kms:us-east-1:12345:key/{id}"),
        format!("arn:aws:iam:us-east-1:123456789012:key/{id}"),
        "arn:aws:kms:us-east-1:123456789012:key/own".to_owned(),
        format!("arn:aws:kms:us-east-1:123456789012:key/{id}:x"),
    ] {
        let problems = with(&bad);
        let problem = format!("6:23 authorizer.kms_key: {must}, not `{}", &bad[..9]);
        let is_told = problems.len() == 1 && problems[0].starts_with(&problem);
        assert!(is_told, "{problems:?}");
    }
    let alias = "arn:aws:kms:us-east-1:123456789012:alias/own";
    let hint = "an alias is no key: `aws kms describe-key` shows the key behind it";
    assert_eq!(
        with(alias),
        [format!(
            "6:23 authorizer.kms_key: {must}, not `{alias}`; {hint}"
        )]
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
fn a_serverless_cache_is_configured_by_its_version_alone() {
    let with = |cache: &str| with(&format!("cache: {{kind: serverless{cache}}}\n"));
    for lines in ["", ", engine: valkey", ", engine_version: '9'"] {
        assert_eq!(with(lines), [""; 0], "{lines}");
    }
    let cache = config(&format!(
        "{GOOD}cache: {{kind: serverless, engine_version: '7'}}\n"
    ))
    .cache;
    assert_eq!(cache.kind, CacheKind::Serverless);
    assert_eq!(cache.engine, CacheEngine::Valkey);
    assert_eq!(cache.engine_version, Some(EngineVersion::new(7, 0)));
    assert!(cache.tls && cache.is_created());
    assert_eq!(
        with(", engine: redis, node_type: cache.t3.small, replicas: 1, tls: true"),
        [
            "6:35 cache.engine: must be `valkey` for `kind: serverless`",
            "6:53 cache.node_type: is for `kind: node`: a serverless cache has no nodes to choose, and is in several zones",
            "6:79 cache.replicas: is for `kind: node`: a serverless cache has no nodes to choose, and is in several zones",
            "6:87 cache.tls: is for `kind: node`: a serverless cache always has TLS",
        ]
    );
    for version in ["8.0", "6", "08", "x"] {
        assert_eq!(
            with(&format!(", engine_version: '{version}'")),
            [format!(
                "6:43 cache.engine_version: must be a major version of Valkey, `7` or newer, for `kind: serverless`, not `{version}`"
            )]
        );
    }
    assert_eq!(
        with(", url: 'redis://x'"),
        ["6:15 cache.kind: is for a managed cache: remove it if you use `cache.url`"]
    );
    let with = |lines: &str| self::with(lines);
    assert_eq!(
        with("network: {zones: 1}\ncache: {kind: serverless}\n"),
        [
            "7:8 cache: `kind: serverless` needs subnets in two zones: `network.zones` must be 2 or more"
        ]
    );
    assert_eq!(
        with("network: none\ncache: {kind: serverless}\n"),
        [
            "6:10 network: without a VPC, the stack can have no cache of its own: add `cache: memory`, or `cache.url`"
        ]
    );
    assert_eq!(
        with("cache: {kind: server}\n"),
        ["6:15 cache.kind: must be `node` or `serverless`, not `server`"]
    );
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
fn a_stage_is_one_or_a_list_of_different_ones() {
    let read = |stage: &str| {
        let text = format!(
            "stack: orders\napi: {{name: a, stage: {stage}}}\nthreescale: {{service_id: '1', service_token: t}}\n"
        );
        let loaded = load("x.yaml", &text, &|_| None);
        schema::agrees(&text, &loaded);
        loaded
    };
    for (stage, stages) in [
        ("prod", vec!["prod"]),
        ("[prod]", vec!["prod"]),
        ("[$default, 'dev']", vec!["$default", "dev"]),
    ] {
        let config = read(stage).expect("a configuration");
        assert_eq!(config.api.stages, stages);
        assert_eq!(config.api.stage(), stages[0]);
    }
    // One stage is the same configuration in both forms.
    let [alone, listed] = ["prod", "[prod]"].map(|stage| read(stage).expect("a configuration"));
    assert_eq!(
        serde_json::to_value(&alone).ok(),
        serde_json::to_value(&listed).ok()
    );
    let name =
        "must be the name of a stage: at most 128 letters, digits, `-` and `_`, or `$default`";
    for (stage, problem) in [
        (
            "[]",
            "x.yaml:2:23: api.stage: must name a stage at least".to_owned(),
        ),
        (
            "[dev, dev]",
            "x.yaml:2:29: api.stage[1]: names the stage twice".to_owned(),
        ),
        (
            "[dev, 'a b']",
            format!("x.yaml:2:29: api.stage[1]: {name}, not `a b`"),
        ),
        ("[[dev]]", "x.yaml:2:24: api.stage[0]: ".to_owned()),
        (
            "[$defualt]",
            format!("x.yaml:2:24: api.stage[0]: {name}, not `$defualt`"),
        ),
    ] {
        let refused = read(stage).expect_err("a problem").to_string();
        assert!(refused.contains(&problem), "{stage}: {refused}");
    }
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
    let pem = include_bytes!("../../../tests/it/support/authority.pem");
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
    let config = config(include_str!("../../../examples/02-full.yaml"));
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
fn only_an_authorizer_that_observes_may_report_nothing() {
    let with = |lines: &str| format!("{GOOD}authorizer: {{{lines}}}\n");
    let enforce = "6:22 authorizer.report: needs `authorizer.mode: observe`";
    assert_eq!(problems(&with("report: false")), [enforce]);
    assert_eq!(
        problems(&with("mode: watch")),
        ["6:20 authorizer.mode: must be `enforce` or `observe`, not `watch`"]
    );
    for (lines, mode, report) in [
        ("report: true", Mode::Enforce, true),
        ("mode: observe", Mode::Observe, true),
        ("mode: observe, report: false", Mode::Observe, false),
    ] {
        let found = config(&with(lines)).authorizer;
        assert_eq!((found.mode, found.report), (mode, report), "{lines}");
    }
    let example = config(include_str!("../../../examples/13-observe.yaml"));
    assert_eq!(example.authorizer.mode, Mode::Observe);
}

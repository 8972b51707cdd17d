//! Complete files: the defaults, every key, the examples, and the template.

use super::*;

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
                stages: vec!["prod".to_owned()],
                protect: Vec::new(),
                except: Vec::new(),
                responses: ResponseTypes::All.into(),
                usage_key: None,
                limited: LimitedKeys::default(),
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
                nat_gateway: None,
                endpoints: false,
                elastic_ips: Vec::new(),
                vpc: Vpc::Created,
            },
            cache: Cache {
                kind: CacheKind::Node,
                engine: CacheEngine::Redis,
                engine_version: None,
                node_type: "cache.t4g.micro".to_owned(),
                replicas: 0,
                tls: true,
                url: None,
                memory: false,
            },
            authorizer: Authorizer {
                mode: Mode::Enforce,
                report: true,
                architecture: Architecture::X86_64,
                memory: 128,
                caching: Caching::Strict,
                max_age: Duration::from_secs(60),
                report_every: Duration::from_secs(60),
                log_retention_days: 14,
                role_arn: None,
                security_groups: Vec::new(),
                permissions_boundary: None,
                kms_key: None,
                artifact: None,
            },
            deletion_protection: false,
            monitoring: Monitoring::default(),
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
    let config = config(include_str!("../../../examples/02-full.yaml"));
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

    let config = self::config(include_str!("../../../examples/06-production.yaml"));
    assert_eq!(config.network.nat, NatMode::PerZone);
    assert_eq!(config.network.subnets().len(), 6);
    assert_eq!(config.cache.engine, CacheEngine::Valkey);
    assert_eq!(config.cache.replicas, 2);
    assert_eq!(config.authorizer.architecture, Architecture::Arm64);
    assert_eq!(config.authorizer.caching, Caching::Resilient);
    assert_eq!(config.authorizer.max_age, Duration::from_secs(300));
    assert!(config.deletion_protection);

    let config = self::config(include_str!("../../../examples/05-own-network.yaml"));
    assert_eq!(config.network.subnets(), []);
    assert_eq!(
        config.network.existing().map(|vpc| vpc.subnets.len()),
        Some(2)
    );
    assert!(config.cache.tls && config.cache.url.is_some());

    let config = self::config(include_str!("../../../examples/14-pull-request.yaml"));
    assert_eq!(config.stack.as_str(), "pr-0");
    assert!(!config.network.is_created() && !config.cache.is_created());
    assert_eq!(config.authorizer.security_groups.len(), 1);

    let config = self::config(include_str!("../../../examples/11-default-vpc.yaml"));
    let own = config.network.existing().expect("a VPC");
    assert_eq!((own.id.as_str(), own.subnet_cidrs.len()), ("default", 2));
    assert_eq!(own.route, RouteMode::Create);

    let config = self::config(include_str!("../../../examples/07-first-try.yaml"));
    assert_eq!(config.network.vpc, Vpc::None);
    assert_eq!(config.network.subnets(), []);
    assert!(config.cache.memory && !config.cache.is_created());
    assert!(config.authorizer_settings().contains(r#""cache":"memory""#));
}

#[test]
fn the_example_with_a_serverless_cache() {
    let config = config(include_str!("../../../examples/10-serverless-cache.yaml"));
    assert_eq!(config.cache.kind, CacheKind::Serverless);
    assert_eq!(config.cache.engine, CacheEngine::Valkey);
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
    let template = include_str!("../../../templates/threescale-gw.yaml");
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
        "# subnet_cidrs:",
        "# route:",
        "# url:",
        "# engine_version:",
        "# role_arn:",
        "# security_groups:",
        "# permissions_boundary:",
        "# kms_key:",
        "# topic:",
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

//! TLS and AUTH with a real handshake, and servers that must not be trusted.

use std::path::Path;
use std::time::{Duration, Instant};

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use authorizer::decide::Source;
use authorizer::http::RootCertificates;
use authorizer::reporter::Reporter;

use crate::support::cut::CutProxy;
use crate::support::gateway::{Authorizer, World, decide, environment, event};
use crate::support::redis::Redis;
use crate::support::runtime_api::{Answer, Process};
use crate::support::tls::TlsProxy;

fn world(redis: Redis) -> (World, TlsProxy) {
    let proxy = TlsProxy::start(redis.port);
    let world = World::with_redis(Clock::default(), redis);
    world.ssm.put(
        "cache-endpoint",
        &format!("rediss://localhost:{}", proxy.address.port()),
    );
    (world, proxy)
}

fn authorizer(world: &World, ca: &Path) -> Authorizer {
    let roots = RootCertificates::read(ca).unwrap();
    let mut authorizer = Authorizer::new(
        world.read_settings("authorizer"),
        Some(&roots),
        world.clock.clone(),
    );
    authorizer.clients.warm_up();
    authorizer
}

fn source(authorizer: &mut Authorizer) -> Source {
    let decided = decide(authorizer, &event("uk_free", "/"));
    assert_eq!(decided.outcome.effect, Effect::Allow);
    decided.source
}

/// What one run of a new reporter delivers.
fn delivered(world: &World, proxy: &TlsProxy) -> u64 {
    let mut process = authorizer(world, &proxy.ca_file);
    let mut reporter = Reporter::new(&world.read_settings("reporter"));
    let deadline = Instant::now() + Duration::from_secs(20);
    let summary = reporter.run(&mut process.clients, deadline);
    assert_eq!(summary.stopped, None);
    summary.delivered
}

const TOKEN: &str = "a-token!of&the#cache$with^odd<chars>-";

#[test]
fn over_tls_with_a_token() {
    let (world, proxy) = world(Redis::start(&["--requirepass", TOKEN]));
    world.ssm.put("secrets/cache-auth-token", TOKEN);
    let mut authorizer = authorizer(&world, &proxy.ca_file);
    assert_eq!(
        [source(&mut authorizer), source(&mut authorizer)],
        [Source::Backend, Source::Cache]
    );
    assert_eq!(
        proxy.handshakes.load(std::sync::atomic::Ordering::SeqCst),
        1
    );
}

#[test]
fn the_real_binary_over_tls_with_a_token() {
    let (world, proxy) = world(Redis::start(&["--requirepass", TOKEN]));
    world.ssm.put("secrets/cache-auth-token", TOKEN);
    let environment = environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        Some(&proxy.ca_file),
    );
    let process = Process::start(&environment);
    for _ in 0..3 {
        assert!(
            matches!(process.api.invoke(&event("uk_free", "/")), Answer::Result(answer)
            if answer["policyDocument"]["Statement"][0]["Effect"] == "Allow")
        );
    }
    assert_eq!(world.threescale.calls("authorize"), 1);
    let Answer::Result(test) = process.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
        panic!("an error");
    };
    assert_eq!(test["ok"], true, "{test}");
}

/// The connections end at each step, which is the worst case: ElastiCache keeps them while it changes a token.
#[test]
fn the_token_changes_under_traffic_and_redis_decides_and_counts_every_request() {
    const NEW: &str = "another-token-of-the-cache";
    let (world, proxy) = world(Redis::start(&["--requirepass", TOKEN]));
    world.ssm.put("secrets/cache-auth-token", TOKEN);
    let mut warm = authorizer(&world, &proxy.ca_file);
    assert_eq!(source(&mut warm), Source::Backend);
    let mut counted = 1;
    let mut passes = |warm: &mut Authorizer, what: &str| {
        let new = authorizer(&world, &proxy.ca_file);
        // The pause between two reads of the parameters is over.
        warm.clients.forget_reading();
        for (process, authorizer) in [("the old", warm), ("a new", &mut { new })] {
            for _ in 0..2 {
                let decided = decide(authorizer, &event("uk_free", "/"));
                assert_eq!(decided.outcome.effect, Effect::Allow);
                assert_eq!(decided.source, Source::Cache, "{process} process, {what}");
                counted += 1;
            }
        }
    };
    let redis = |login: &str, command: &str| {
        let answer = world.redis.ask(&format!("AUTH {login}\r\n{command}"));
        assert!(answer.starts_with("+OK\r\n"), "{answer}");
    };
    let disconnect = |login: &str| redis(login, "CLIENT KILL TYPE normal SKIPME yes");

    world.ssm.put("secrets/cache-auth-token-former", TOKEN);
    world.ssm.put("secrets/cache-auth-token", NEW);
    disconnect(TOKEN);
    passes(&mut warm, "before the cache has the new token");
    redis(TOKEN, &format!("ACL SETUSER default >{NEW}"));
    disconnect(NEW);
    passes(&mut warm, "while it accepts both");
    redis(NEW, &format!("ACL SETUSER default <{TOKEN}"));
    disconnect(NEW);
    passes(&mut warm, "while it accepts the new one only");
    world.ssm.delete("secrets/cache-auth-token-former");
    disconnect(NEW);
    passes(&mut warm, "after the former one is deleted");

    assert_eq!(world.threescale.calls("authrep"), 0);
    assert_eq!(delivered(&world, &proxy), counted);
}

/// From no TLS and no token to TLS and a token, in the steps that ElastiCache has.
#[test]
fn tls_and_a_token_are_turned_on_under_traffic() {
    let (world, proxy) = world(Redis::start(&[]));
    let plain = CutProxy::start(world.redis.port);
    world
        .ssm
        .put("cache-endpoint", &format!("redis://{}", plain.address));
    let mut warm = authorizer(&world, &proxy.ca_file);
    assert_eq!(source(&mut warm), Source::Backend);
    let decided = |authorizer: &mut Authorizer| {
        authorizer.clients.forget_reading();
        source(authorizer)
    };
    // The token exists before the cache has one.
    world.ssm.put("secrets/cache-auth-token", TOKEN);
    world.redis.ask("CLIENT KILL TYPE normal");
    assert_eq!(decided(&mut warm), Source::Cache);
    world.ssm.put(
        "cache-endpoint",
        &format!("rediss://localhost:{}", proxy.address.port()),
    );
    // Without TLS, there are no connections any more.
    drop(plain);
    world.redis.ask("CLIENT KILL TYPE normal");
    assert_eq!(decided(&mut warm), Source::Cache);
    assert_eq!(
        source(&mut authorizer(&world, &proxy.ca_file)),
        Source::Cache
    );
    world
        .redis
        .ask(&format!("ACL SETUSER default resetpass >{TOKEN}"));
    assert_eq!(decided(&mut warm), Source::Cache);
    assert_eq!(
        source(&mut authorizer(&world, &proxy.ca_file)),
        Source::Cache
    );
    assert_eq!(world.threescale.calls("authrep"), 0);
    assert_eq!(delivered(&world, &proxy), 6);
}

#[test]
fn a_wrong_token_or_none_is_no_cache() {
    let (world, proxy) = world(Redis::start(&["--requirepass", TOKEN]));
    assert_eq!(
        source(&mut authorizer(&world, &proxy.ca_file)),
        Source::Direct
    );
    world.ssm.put("secrets/cache-auth-token", "wrong");
    assert_eq!(
        source(&mut authorizer(&world, &proxy.ca_file)),
        Source::Direct
    );
}

#[test]
fn a_certificate_of_nobody_is_not_trusted() {
    let (world, _proxy) = world(Redis::start(&[]));
    assert_eq!(source(&mut world.authorizer()), Source::Direct);
    let other = TlsProxy::start(world.redis.port);
    assert_eq!(
        source(&mut authorizer(&world, &other.ca_file)),
        Source::Direct
    );
}

#[test]
fn a_certificate_for_another_name_is_not_trusted() {
    let (world, proxy) = world(Redis::start(&[]));
    world.ssm.put(
        "cache-endpoint",
        &format!("rediss://127.0.0.2:{}", proxy.address.port()),
    );
    assert_eq!(
        source(&mut authorizer(&world, &proxy.ca_file)),
        Source::Direct
    );
}

/// The user's own cache: one URL with everything.
#[test]
fn a_url_with_a_login() {
    let (world, proxy) = world(Redis::start(&["--requirepass", "p:w/d@1"]));
    world.ssm.put(
        "secrets/cache-url",
        &format!(
            "rediss://default:p%3Aw%2Fd%401@localhost:{}/3",
            proxy.address.port()
        ),
    );
    let mut authorizer = authorizer(&world, &proxy.ca_file);
    assert_eq!(
        [source(&mut authorizer), source(&mut authorizer)],
        [Source::Backend, Source::Cache]
    );
}

#[test]
fn a_plain_server_where_tls_is_expected() {
    let world = World::new();
    world.ssm.put(
        "cache-endpoint",
        &format!("rediss://localhost:{}", world.redis.port),
    );
    assert_eq!(source(&mut world.authorizer()), Source::Direct);
}

/// The self-test describes the problem without a secret.
#[test]
fn the_self_test_names_what_fails() {
    let world = World::with_clock(Clock::default());
    world.ssm.put("cache-endpoint", "redis://127.0.0.1:1");
    world.threescale.state().token = "another".to_owned();
    for role in ["authorizer", "reporter"] {
        let process = Process::start(&environment(role, &world.ssm, &world.settings, None));
        let Answer::Result(test) = process.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
            panic!("an error");
        };
        assert_eq!(test["ok"], false);
        let ok: Vec<(&str, bool)> = test["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| {
                (
                    check["name"].as_str().unwrap(),
                    check["ok"].as_bool().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            ok,
            [
                ("secrets", true),
                ("redis", false),
                ("threescale", false),
                ("decision", false)
            ]
        );
        let text = test.to_string();
        assert!(text.contains("service_token_invalid"), "{text}");
        assert!(
            !text.contains("st_1001") && !text.contains("000102"),
            "{text}"
        );
    }
}

/// If the function lacks a setting, it says so and does not start.
#[test]
fn a_bad_environment_is_an_init_error() {
    let world = World::with_clock(Clock::default());
    let mut environment = environment("authorizer", &world.ssm, &world.settings, None);
    environment.retain(|(name, _)| name != "THREESCALE_GW_SETTINGS");
    let process = Process::start(&environment);
    crate::support::eventually("an init error", || process.api.init_error().is_some());
    let error = process.api.init_error().unwrap();
    assert_eq!(error["errorMessage"], "THREESCALE_GW_SETTINGS: is not set");
}

#[test]
fn threescale_over_tls() {
    let world = World::new();
    let proxy = TlsProxy::start(world.threescale.address().port());
    let backend = format!("https://localhost:{}", proxy.address.port());
    let world = world.with("backend", backend.into());
    assert_eq!(
        source(&mut authorizer(&world, &proxy.ca_file)),
        Source::Backend
    );
    let untrusted = decide(&mut world.authorizer(), &event("uk_other", "/"));
    assert_eq!(untrusted.outcome.reason, "backend_unavailable");
}

//! TLS and AUTH with a real handshake, and servers that must not be trusted.

use std::path::Path;

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use authorizer::decide::Source;
use authorizer::http::RootCertificates;

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

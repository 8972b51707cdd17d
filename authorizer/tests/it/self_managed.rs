//! A 3scale of the operator: behind a private certificate authority, and below a path.

use std::path::Path;
use std::sync::Arc;

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use authorizer::http::RootCertificates;
use serde_json::Value;

use crate::support::eventually;
use crate::support::gateway::{Authorizer, World, decide, environment, event};
use crate::support::http::{Response, Server};
use crate::support::runtime_api::{Answer, Process};
use crate::support::tls::{Authority, TlsProxy};

const VALID: (i32, i32) = (2000, 2100);

/// The check of a self-test with this name: its cause, "" if it passed, and its text.
fn check(world: &World, name: &str, ca: Option<&Path>) -> (String, String) {
    let process = Process::start(&environment("authorizer", &world.ssm, &world.settings, ca));
    let Answer::Result(answer) = process.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
        panic!("no result");
    };
    let checks = answer["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&check["cause"]), text(&check["error"]))
}

#[test]
fn the_self_test_names_the_step_that_fails() {
    let authority = Authority::new();
    let mut world = World::with_clock(Clock::default());
    world.store_roots(&authority.pem());
    let port = world.threescale.address().port();
    let good = authority.proxy(port, "localhost", VALID);
    let expired = authority.proxy(port, "localhost", (2000, 2001));
    let future = authority.proxy(port, "localhost", (2099, 2100));
    let other_name = authority.proxy(port, "3scale.internal", VALID);
    let unknown = Authority::new().proxy(port, "localhost", VALID);
    let at = |proxy: &TlsProxy| format!("https://localhost:{}", proxy.address.port());
    for (backend, cause, text) in [
        (at(&good), "", ""),
        (at(&unknown), "tls_chain", "issuer is not trusted"),
        (at(&other_name), "tls_name", "for another name"),
        (at(&expired), "tls_validity", "has expired"),
        (at(&future), "tls_validity", "is not valid yet"),
        (
            format!("https://localhost:{port}"),
            "tls",
            "does not speak TLS",
        ),
        (
            "https://no-such-host.invalid".to_owned(),
            "dns",
            "no-such-host.invalid",
        ),
        (
            "https://255.255.255.255".to_owned(),
            "no_route",
            "255.255.255.255:443",
        ),
        ("https://127.0.0.1:1".to_owned(), "refused", "127.0.0.1:1"),
    ] {
        world.settings["backend"] = backend.clone().into();
        let (found, error) = check(&world, "threescale", None);
        assert_eq!(found, cause, "{backend}: {error}");
        assert!(error.contains(text), "{backend}: {error}");
    }
    world.settings["backend"] = at(&good).into();
    world.threescale.state().token = "another".to_owned();
    assert_eq!(check(&world, "threescale", None).0, "token_invalid");
}

#[test]
fn a_private_authority_is_trusted_besides_the_public_ones_and_for_3scale_alone() {
    let (private, public) = (Authority::new(), Authority::new());
    let mut world = World::patient();
    world.store_roots(&private.pem());
    let threescale = world.threescale.address().port();
    let [of_private, of_public] =
        [&private, &public].map(|authority| authority.proxy(threescale, "localhost", VALID));
    let ca_file = of_public.ca_file.clone();
    for proxy in [&of_private, &of_public] {
        world.settings["backend"] = format!("https://localhost:{}", proxy.address.port()).into();
        let roots = RootCertificates::read(&ca_file).unwrap();
        let settings = world.read_settings("authorizer");
        let mut authorizer = Authorizer::new(settings, Some(&roots), world.clock.clone());
        authorizer.clients.warm_up();
        // The first connection is open before the first request.
        eventually("a connection", || {
            proxy.established.load(std::sync::atomic::Ordering::SeqCst) > 0
        });
        let name = format!("app{}", proxy.address.port());
        world.threescale.add(&name, &[]);
        let decided = decide(&mut authorizer, &event(&format!("uk_{name}"), "/"));
        assert_eq!(decided.outcome.effect, Effect::Allow, "{decided:?}");
    }

    // Neither the Parameter Store nor Redis can have a certificate of it.
    let ssm = world.ssm.server.address.port();
    let ssm = private.proxy(ssm, "localhost", VALID);
    let mut variables = environment("authorizer", &world.ssm, &world.settings, Some(&ca_file));
    let url = format!("https://localhost:{}", ssm.address.port());
    for (name, value) in &mut variables {
        if name == "AWS_ENDPOINT_URL_SSM" {
            value.clone_from(&url);
        }
    }
    let process = Process::start(&variables);
    let Answer::Result(answer) = process.api.invoke(r#"{"threescale-gw":"self-test"}"#) else {
        panic!("no result");
    };
    assert_eq!(answer["checks"][0]["cause"], "tls_chain", "{answer}");
    let redis = private.proxy(world.redis.port, "localhost", VALID);
    let url = format!("rediss://localhost:{}", redis.address.port());
    world.ssm.put("cache-endpoint", &url);
    assert_eq!(check(&world, "redis", Some(&ca_file)).0, "tls_chain");
}

#[test]
fn authorities_that_cannot_be_read_let_nobody_in() {
    let mut world = World::patient();
    world.store_roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let decided = decide(&mut world.authorizer(), &event("uk_free", "/"));
    assert_eq!(decided.outcome.reason, "not_ready");
}

#[test]
fn a_backend_below_a_path_is_called_there() {
    let server = Server::start(Arc::new(|request| {
        let is_below = request
            .target
            .starts_with("/a/backend/transactions/authorize.xml?");
        let yes = "<status><authorized>true</authorized><plan>P</plan></status>";
        match is_below {
            true => Response::new(200, yes),
            false => Response::new(404, ""),
        }
    }));
    let world = World::patient().with("backend", format!("{}/a/backend", server.url()).into());
    let decided = decide(&mut world.authorizer(), &event("uk_free", "/"));
    assert_eq!(decided.outcome.reason, "authorized", "{decided:?}");
}

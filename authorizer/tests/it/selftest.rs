//! The self-test through the real binary, with every cause that a real socket can show.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::gateway::{World, decide, environment, event};
use crate::support::redis::Redis;
use crate::support::runtime_api::{Answer, Process};
use crate::support::ssm::{Fault as SsmFault, HASH_KEY};
use crate::support::threescale::{Fault, TOKEN};
use crate::support::tls::TlsProxy;

const EVENT: &str = r#"{"threescale-gw":"self-test"}"#;
/// The limited broadcast address: no connection is possible, and Linux reports that at once.
const NO_ROUTE: &str = "255.255.255.255";
const UNKNOWN_HOST: &str = "no-such-host.invalid";
const NAMES: [&str; 4] = ["secrets", "redis", "threescale", "decision"];

fn world() -> World {
    World::with_clock(Clock::default())
}

/// The answer of the function in a new process.
fn answer(world: &World, variables: &[(&str, String)], ca: Option<&Path>) -> Value {
    let mut environment = environment("authorizer", &world.ssm, &world.settings, ca);
    for (name, value) in variables {
        environment.retain(|(known, _)| known != name);
        environment.push(((*name).to_owned(), value.clone()));
    }
    invoke(&Process::start(&environment), EVENT)
}

fn invoke(process: &Process, event: &str) -> Value {
    match process.api.invoke(event) {
        Answer::Result(answer) => answer,
        Answer::Error(error) => panic!("{error}"),
    }
}

/// Checks the form of the document and returns each check's cause, "" if it passed.
fn causes(answer: &Value) -> [String; 4] {
    let checks = answer["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 4, "{answer}");
    let mut all = true;
    let causes = std::array::from_fn(|at| {
        let check = &checks[at];
        assert_eq!(check.as_object().unwrap().len(), 6, "{check}");
        assert_eq!(check["name"], NAMES[at]);
        assert!(check["ms"].is_u64(), "{check}");
        let ok = check["ok"].as_bool().unwrap();
        all &= ok;
        assert_eq!(ok, check["error"].is_null(), "{check}");
        assert_eq!(ok, check["cause"].is_null(), "{check}");
        check["cause"].as_str().unwrap_or_default().to_owned()
    });
    assert_eq!(answer["ok"], all);
    let text = answer.to_string();
    for secret in [
        TOKEN,
        HASH_KEY,
        "secret-access-key",
        "session-token",
        "pass",
    ] {
        assert!(!text.contains(secret), "{text}");
    }
    causes
}

/// Checks the causes, and that the text of the failure contains `text`.
#[track_caller]
fn expect(answer: &Value, causes_expected: [&str; 4], text: &str) {
    assert_eq!(causes(answer), causes_expected, "{answer}");
    let errors: Vec<&str> = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|check| check["error"].as_str())
        .collect();
    assert!(
        errors.iter().any(|error| error.contains(text)),
        "{text}: {answer}"
    );
}

#[track_caller]
fn expect_secrets(answer: &Value, cause: &str, text: &str) {
    expect(answer, [cause, "skipped", "skipped", "skipped"], text);
}

#[track_caller]
fn expect_redis(answer: &Value, cause: &str, text: &str) {
    expect(answer, ["", cause, "", "skipped"], text);
}

/// A Redis that accepts no more connections says so in its reply to the login, and a wrong password is another cause.
#[test]
fn redis_without_a_free_connection_is_no_wrong_password() {
    let (address, _listener) = odd_server(Some(b"-ERR max number of clients reached\r\n"));
    let world = world();
    world.ssm.put("secrets/cache-auth-token", "pass");
    world
        .ssm
        .put("cache-endpoint", &format!("redis://{address}"));
    expect_redis(
        &answer(&world, &[], None),
        "full",
        "accepts no more connections",
    );
}

#[track_caller]
fn expect_threescale(answer: &Value, cause: &str, text: &str) {
    expect(answer, ["", "", cause, "skipped"], text);
}

/// A server that sends this to every client and closes the connection, or never sends anything.
fn odd_server(says: Option<&'static [u8]>) -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    if let Some(says) = says {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    // Reads first: unread data would reset the connection before the client reads the answer.
                    let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                    let _ = stream.write_all(says);
                });
            }
        });
    }
    // Without the thread, the system lets connections wait.
    (address, listener)
}

#[test]
fn all_is_well() {
    let world = world();
    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    // The same in a second event, and with other members in the event.
    for event in [
        EVENT,
        EVENT,
        r#"{"threescale-gw":"self-test","reason":"deployment"}"#,
    ] {
        assert_eq!(causes(&invoke(&process, event)), ["", "", "", ""]);
    }
    assert_eq!(world.threescale.calls("authrep"), 0);
    assert_eq!(world.threescale.calls("report"), 0);
}

/// A policy that evicts keys without an expiry loses counts. It is a warning and no failure, also for a user who may read
/// neither the configuration nor `INFO`.
#[test]
fn an_eviction_policy_that_drops_counts_is_a_warning() {
    let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let world = World::with_redis(Clock::default(), Redis::start(&options));
    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let warning = || {
        let answer = invoke(&process, EVENT);
        assert_eq!(causes(&answer), ["", "", "", ""]);
        answer["checks"][1]["warning"].clone()
    };
    let text = warning();
    let expected = "the eviction policy of the cache is allkeys-lru";
    assert!(
        text.as_str().unwrap_or_default().contains(expected),
        "{text}"
    );
    world.redis.ask("CONFIG SET maxmemory-policy volatile-lru");
    assert_eq!(warning(), Value::Null);
    world.redis.ask("CONFIG SET maxmemory-policy allkeys-lru");
    world.redis.ask("ACL SETUSER default -config -info");
    assert_eq!(warning(), Value::Null);
}

#[test]
fn secrets_network() {
    let world = world();
    let at = |url: String| answer(&world, &[("AWS_ENDPOINT_URL_SSM", url)], None);
    expect_secrets(
        &at("http://127.0.0.1:1".to_owned()),
        "refused",
        "the Parameter Store, 127.0.0.1:1: connection refused",
    );
    expect_secrets(&at(format!("http://{UNKNOWN_HOST}")), "dns", UNKNOWN_HOST);
    expect_secrets(&at(format!("http://{NO_ROUTE}:80")), "no_route", NO_ROUTE);
    let (hanging, _listener) = odd_server(None);
    expect_secrets(&at(format!("http://{hanging}")), "timeout", "time-out");
    expect_secrets(
        &at(format!("https://{hanging}")),
        "timeout",
        &hanging.to_string(),
    );
    let plain = world.ssm.server.address;
    let proxy = TlsProxy::start(plain.port());
    let tls = proxy.address.port();
    expect_secrets(
        &at(format!("https://localhost:{tls}")),
        "tls_chain",
        "issuer is not trusted",
    );
    let (odd, _listener) = odd_server(Some(b"SSH-2.0-OpenSSH_9.2\r\n"));
    expect_secrets(&at(format!("https://{odd}")), "tls", "does not speak TLS");
    expect_secrets(&at(format!("http://{odd}")), "ssm_unreachable", "not HTTP");
}

#[test]
fn secrets_refused_or_unusable() {
    let world = world();
    for (fault, cause, text) in [
        (SsmFault::Denied, "ssm_denied", "AccessDeniedException"),
        (SsmFault::Broken, "ssm_unreachable", "status 500"),
        (SsmFault::Nonsense, "ssm_unreachable", "not understood"),
        (
            SsmFault::Slow(Duration::from_secs(6)),
            "timeout",
            "time-out",
        ),
    ] {
        world.ssm.fault(Some(fault));
        expect_secrets(&answer(&world, &[], None), cause, text);
    }
    world.ssm.fault(None);
    for (name, value, cause) in [
        ("cache-endpoint", "memcached://x", "invalid"),
        ("secrets/cache-url", "redis://x:pass", "invalid"),
        ("secrets/hash-key", "pass", "invalid"),
        ("secrets/hash-key", "", "missing"),
        ("secrets/service-token", "", "missing"),
    ] {
        world.ssm.put(name, value);
        expect_secrets(&answer(&world, &[], None), cause, name);
        world.ssm.put("secrets/cache-url", "");
        world.ssm.put("cache-endpoint", &world.redis.url());
    }
}

/// Secrets from an earlier read do not hide that the Parameter Store cannot be reached now.
#[test]
fn secrets_that_cannot_be_read_any_more() {
    let world = world();
    let process = Process::start(&environment(
        "authorizer",
        &world.ssm,
        &world.settings,
        None,
    ));
    let run = || invoke(&process, EVENT);
    assert_eq!(causes(&run()), ["", "", "", ""]);
    world.ssm.fault(Some(SsmFault::Denied));
    expect_secrets(&run(), "ssm_denied", "AccessDeniedException");
    world.ssm.fault(None);
    assert_eq!(causes(&run()), ["", "", "", ""]);
}

#[test]
fn redis_network() {
    let world = world();
    let at = |url: &str| {
        world.ssm.put("cache-endpoint", url);
        answer(&world, &[], None)
    };
    expect_redis(&at(""), "endpoint_missing", "cache-endpoint");
    expect_redis(
        &at("redis://127.0.0.1:1"),
        "refused",
        "127.0.0.1:1: connection refused",
    );
    expect_redis(&at(&format!("redis://{UNKNOWN_HOST}")), "dns", UNKNOWN_HOST);
    expect_redis(
        &at(&format!("redis://{NO_ROUTE}:6379")),
        "no_route",
        "route",
    );
    let (hanging, _listener) = odd_server(None);
    expect_redis(
        &at(&format!("redis://{hanging}")),
        "timeout",
        &hanging.to_string(),
    );
    expect_redis(&at(&format!("rediss://{hanging}")), "timeout", "handshake");
    let (http, _listener) = odd_server(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect_redis(&at(&format!("redis://{http}")), "protocol", "not Redis'");
    let (closing, _listener) = odd_server(Some(b""));
    expect_redis(&at(&format!("redis://{closing}")), "protocol", "closed");
}

#[test]
fn redis_tls() {
    let world = world();
    let proxy = TlsProxy::start(world.redis.port);
    let other = TlsProxy::start(world.redis.port);
    let port = proxy.address.port();
    let at = |url: &str| {
        world.ssm.put("cache-endpoint", url);
        answer(&world, &[], Some(&proxy.ca_file))
    };
    let good = at(&format!("rediss://localhost:{port}"));
    assert_eq!(causes(&good), ["", "", "", ""]);
    expect_redis(
        &at(&format!("rediss://127.0.0.2:{port}")),
        "tls_name",
        "for another name",
    );
    expect_redis(
        &at(&format!("rediss://localhost:{}", other.address.port())),
        "tls_chain",
        "issuer is not trusted",
    );
    expect_redis(
        &at(&format!("rediss://localhost:{}", world.redis.port)),
        "tls",
        "does not speak TLS",
    );
    expect_redis(
        &at(&format!("redis://localhost:{port}")),
        "tls",
        "a plain connection is configured",
    );
}

/// As Redis does if it expects TLS: closes a plain connection without a reply.
fn taciturn(proxy: &TlsProxy) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behind = proxy.address;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut first = [0];
                client.peek(&mut first)?;
                // The type of a handshake record.
                if first != [0x16] {
                    return Ok(());
                }
                let server = TcpStream::connect(behind)?;
                let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                std::io::copy(&mut &server, &mut &client)?;
                Ok(())
            });
        }
    });
    address
}

#[test]
fn redis_that_closes_plain_connections() {
    let world = world();
    let proxy = TlsProxy::start(world.redis.port);
    let address = taciturn(&proxy);
    // Whether or not its certificate is trusted.
    for ca in [None, Some(proxy.ca_file.as_path())] {
        world
            .ssm
            .put("cache-endpoint", &format!("redis://{address}"));
        expect_redis(
            &answer(&world, &[], ca),
            "tls",
            "a plain connection is configured",
        );
    }
    world
        .ssm
        .put("cache-endpoint", &format!("rediss://{address}"));
    let good = answer(&world, &[], Some(&proxy.ca_file));
    assert_eq!(causes(&good), ["", "", "", ""]);
}

#[test]
fn redis_login() {
    let world = World::with_redis(Clock::default(), Redis::start(&["--requirepass", "pass-1"]));
    expect_redis(&answer(&world, &[], None), "auth", "NOAUTH");
    world.ssm.put("secrets/cache-auth-token", "pass-2");
    expect_redis(&answer(&world, &[], None), "auth", "WRONGPASS");
    world.ssm.put("secrets/cache-auth-token", "pass-1");
    assert_eq!(causes(&answer(&world, &[], None)), ["", "", "", ""]);
    // A token for a server that has none yet.
    let world = self::world();
    world.ssm.put("secrets/cache-auth-token", "pass-1");
    assert_eq!(causes(&answer(&world, &[], None)), ["", "", "", ""]);
    world.ssm.put("secrets/cache-auth-token", "");
    world.redis.ask("ACL SETUSER default -set");
    expect_redis(&answer(&world, &[], None), "auth", "NOPERM");
    world
        .ssm
        .put("cache-endpoint", &format!("{}/99", world.redis.url()));
    expect_redis(&answer(&world, &[], None), "protocol", "ERR");
}

#[test]
fn redis_that_takes_no_writes() {
    let replica = Redis::start(&["--replicaof", "127.0.0.1", "1"]);
    let world = World::with_redis(Clock::default(), replica);
    expect_redis(&answer(&world, &[], None), "read_only", "a replica");
    let full = Redis::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let world = World::with_redis(Clock::default(), full);
    expect_redis(&answer(&world, &[], None), "full", "OOM");
}

/// Redis accepts writes, but cannot run the scripts.
#[test]
fn decision_without_scripts() {
    for rights in ["-evalsha", "-eval", "-get"] {
        let world = world();
        let answer_of_redis = world.redis.ask(&format!("ACL SETUSER default {rights}"));
        assert_eq!(answer_of_redis, "+OK\r\n");
        expect(
            &answer(&world, &[], None),
            ["", "", "", "scripts"],
            "does not run our scripts",
        );
    }
}

#[test]
fn threescale_network() {
    let mut world = world();
    let plain = world.threescale.address().port();
    let proxy = TlsProxy::start(plain);
    let other = TlsProxy::start(plain);
    let tls = proxy.address.port();
    let mut at = |url: String, cause: &str, text: &str| {
        world.settings["backend"] = url.into();
        let answer = answer(&world, &[], Some(&proxy.ca_file));
        if cause.is_empty() {
            assert_eq!(causes(&answer), ["", "", "", ""], "{answer}");
        } else {
            expect_threescale(&answer, cause, text);
        }
    };
    at(format!("https://localhost:{tls}"), "", "");
    at(
        "http://127.0.0.1:1".to_owned(),
        "refused",
        "3scale, 127.0.0.1:1: connection refused",
    );
    at(format!("https://{UNKNOWN_HOST}"), "dns", UNKNOWN_HOST);
    at(
        format!("https://{NO_ROUTE}"),
        "no_route",
        "255.255.255.255:443",
    );
    let (hanging, _listener) = odd_server(None);
    at(format!("http://{hanging}"), "timeout", "time-out");
    at(format!("https://{hanging}"), "timeout", "time-out");
    at(
        format!("https://127.0.0.2:{tls}"),
        "tls_name",
        "another name",
    );
    at(
        format!("https://localhost:{}", other.address.port()),
        "tls_chain",
        "issuer is not trusted",
    );
    let (odd, _listener) = odd_server(Some(b"SSH-2.0-OpenSSH_9.2\r\n"));
    at(format!("https://{odd}"), "tls", "does not speak TLS");
    at(format!("http://{odd}"), "protocol", "not HTTP");
    at(format!("http://localhost:{tls}"), "protocol", "not HTTP");
}

#[test]
fn threescale_answers() {
    let mut world = world();
    for (fault, cause, text) in [
        (
            Fault::Status(500, "Internal Server Error"),
            "http_status",
            "500",
        ),
        (Fault::Status(502, "<html>"), "http_status", "502"),
        (Fault::Status(404, ""), "http_status", "404"),
        (Fault::Status(302, ""), "http_status", "302"),
        (Fault::Status(200, "<html>"), "protocol", "200"),
        (Fault::Status(403, "<html>"), "protocol", "403"),
        (Fault::Close, "protocol", "closed"),
        (Fault::Hang(Duration::from_secs(6)), "timeout", "time-out"),
    ] {
        world.threescale.fail(Some(fault));
        expect_threescale(&answer(&world, &[], None), cause, text);
    }
    world.threescale.fail(None);
    world.threescale.state().token = "another".to_owned();
    expect_threescale(
        &answer(&world, &[], None),
        "token_invalid",
        "not one for the service 1001",
    );
    world.threescale.state().token = TOKEN.to_owned();
    world.settings["service_id"] = "1002".into();
    expect_threescale(&answer(&world, &[], None), "token_invalid", "1002");
    world.settings["service_id"] = "1001".into();
    world.threescale.state().mode = threescale_stand_in::Mode::AppId;
    expect_threescale(
        &answer(&world, &[], None),
        "credential_kind",
        "takes app_id",
    );
    world.settings["credentials"][0]["kind"] = "app_id".into();
    assert_eq!(causes(&answer(&world, &[], None)), ["", "", "", ""]);
    world.threescale.state().mode = threescale_stand_in::Mode::UserKey;
    expect_threescale(
        &answer(&world, &[], None),
        "credential_kind",
        "takes user keys",
    );
    // The codes of the older authentication, as recorded.
    for (body, cause) in [
        (
            r#"<error code="provider_key_invalid">provider key "x" is invalid</error>"#,
            "token_invalid",
        ),
        (
            r#"<error code="service_id_invalid">service id "x" is invalid</error>"#,
            "service_unknown",
        ),
    ] {
        world.threescale.fail(Some(Fault::Status(403, body)));
        expect_threescale(&answer(&world, &[], None), cause, "3scale");
    }
}

/// 3scale checks a metric only for an application that it knows. Without one in the cache, metrics are not checked.
#[test]
fn threescale_metrics() {
    for app_id in [false, true] {
        let mut world = world();
        let metrics: Vec<Value> = ["hits", "orders", "bytes"]
            .into_iter()
            .chain((0..200).map(|_| "products"))
            .enumerate()
            .map(|(n, metric)| json!({ "method": "GET", "pattern": format!("/{n}$"), "metric": metric, "delta": 1 }))
            .collect();
        world.settings["mapping_rules"] = metrics.into();
        let mut credential = "uk_free";
        if app_id {
            world.settings["credentials"][0]["kind"] = "app_id".into();
            world.threescale.state().mode = threescale_stand_in::Mode::AppId;
            credential = "app_free";
        }
        world.threescale.state().metrics.remove("bytes");
        assert_eq!(causes(&answer(&world, &[], None)), ["", "", "", ""]);
        let decided = decide(&mut world.authorizer(), &event(credential, "/0"));
        assert_eq!(decided.outcome.effect, Effect::Allow);
        expect_threescale(&answer(&world, &[], None), "metric_unknown", "metric bytes");
        world.threescale.state().metrics.insert("bytes".to_owned());
        assert_eq!(causes(&answer(&world, &[], None)), ["", "", "", ""]);
        // An application that does not exist any more gives no information about metrics.
        world.threescale.state().metrics.remove("bytes");
        world.threescale.state().applications.clear();
        assert_eq!(causes(&answer(&world, &[], None)), ["", "", "", ""]);
        assert_eq!(
            world.threescale.calls("report") + world.threescale.calls("authrep"),
            0
        );
    }
}

/// Everything hangs except the Parameter Store, which the other checks need.
#[test]
fn all_hangs() {
    let mut world = world();
    let (hanging, _listener) = odd_server(None);
    world
        .ssm
        .put("cache-endpoint", &format!("redis://{hanging}"));
    world.settings["backend"] = format!("http://{hanging}").into();
    expect(
        &answer(&world, &[], None),
        ["", "timeout", "timeout", "skipped"],
        "time-out",
    );
}

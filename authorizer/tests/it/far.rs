//! 3scale far away, and 3scale whose listener has one thread: which connections are opened, continued, and kept.

use std::sync::atomic::Ordering;
use std::time::Duration;

use authorizer::answer::Effect;
use authorizer::http::RootCertificates;
use serde_json::json;

use crate::support::eventually;
use crate::support::gateway::{Authorizer, World, decide, event};
use crate::support::tls::TlsProxy;

/// A world whose 3scale is behind TLS.
fn behind_tls(world: World) -> (World, TlsProxy) {
    let proxy = TlsProxy::start(world.threescale.address().port());
    let backend = format!("https://localhost:{}", proxy.address.port());
    (world.with("backend", json!(backend)), proxy)
}

fn authorizer(world: &World, proxy: &TlsProxy) -> Authorizer {
    let roots = RootCertificates::read(&proxy.ca_file).unwrap();
    let settings = world.read_settings("authorizer");
    let mut authorizer = Authorizer::new(settings, Some(&roots), world.clock.clone());
    authorizer.clients.warm_up();
    authorizer
}

fn reason(authorizer: &mut Authorizer, key: &str) -> String {
    decide(authorizer, &event(key, "/")).outcome.reason
}

/// A connection that takes longer than a caller can wait is opened at the start, and the next request goes on with it.
#[test]
fn an_unfinished_connection_is_not_thrown_away() {
    let (mut world, proxy) = behind_tls(World::new());
    let answer = ("THREESCALE_GW_ANSWER_MS".to_owned(), "1200".to_owned());
    world.extra.push(answer);
    proxy.block(true);
    let mut authorizer = authorizer(&world, &proxy);
    let accepted = || proxy.accepted.load(Ordering::SeqCst);
    eventually("a connection before any request", || accepted() == 1);
    assert_eq!(reason(&mut authorizer, "uk_free"), "backend_unavailable");
    assert_eq!(accepted(), 1, "the request waits for the same connection");
    proxy.block(false);
    eventually("a caller passes", || {
        reason(&mut authorizer, "uk_free") == "authorized"
    });
    assert_eq!(accepted(), 1);
    assert_eq!(world.threescale.calls("authorize"), 1);
}

/// The first request uses the connection that was opened at the start, also long after its handshake.
#[test]
fn the_connection_opened_at_the_start_is_used() {
    for mode in ["strict", "none"] {
        let (world, proxy) = behind_tls(World::patient().with("caching", json!(mode)));
        for n in 1..4 {
            world.threescale.add(&format!("n{n}"), &[]);
            let mut authorizer = authorizer(&world, &proxy);
            eventually("the handshake is complete", || {
                proxy.established.load(Ordering::SeqCst) == n
            });
            assert_eq!(reason(&mut authorizer, &format!("uk_n{n}")), "authorized");
            assert_eq!(proxy.accepted.load(Ordering::SeqCst), n, "{mode}");
        }
    }
}

/// The connection to a 3scale that is far away is kept.
#[test]
fn a_far_connection_is_kept() {
    for mode in ["strict", "none"] {
        let (world, proxy) = behind_tls(World::patient().with("caching", json!(mode)));
        for n in 0..4 {
            world.threescale.add(&format!("n{n}"), &[]);
        }
        proxy.far(Duration::from_millis(100));
        let mut authorizer = authorizer(&world, &proxy);
        for n in 0..4 {
            assert_eq!(reason(&mut authorizer, &format!("uk_n{n}")), "authorized");
        }
        assert_eq!(proxy.handshakes.load(Ordering::SeqCst), 1, "{mode}");
    }
}

/// A connection that was kept and that the server has closed costs no caller its answer, also in the mode in which each
/// call counts.
#[test]
fn a_kept_connection_that_was_closed_refuses_no_caller() {
    for mode in ["strict", "none"] {
        let (world, proxy) = behind_tls(World::patient().with("caching", json!(mode)));
        proxy.far(Duration::from_millis(100));
        let mut authorizer = authorizer(&world, &proxy);
        for n in 0..3 {
            world.threescale.add(&format!("n{n}"), &[]);
            assert_eq!(reason(&mut authorizer, &format!("uk_n{n}")), "authorized");
            proxy.close();
        }
        assert_eq!(proxy.accepted.load(Ordering::SeqCst), 3, "{mode}");
        // In the other mode, Redis counts.
        let counted: u64 = world.threescale.state().totals.values().sum();
        assert_eq!(counted, if mode == "none" { 3 } else { 0 });
    }
}

/// Many processes, each with a new caller, at a listener with one thread: it does not wait on a connection that a process
/// keeps.
#[test]
fn many_processes_do_not_hold_the_listener() {
    let world = World::patient();
    let processes = 20;
    for n in 0..processes {
        world.threescale.add(&format!("n{n}"), &[]);
    }
    world.threescale.use_one_thread().unwrap();
    std::thread::scope(|scope| {
        for n in 0..processes {
            let world = &world;
            scope.spawn(move || {
                let decided = decide(&mut world.authorizer(), &event(&format!("uk_n{n}"), "/"));
                assert_eq!(decided.outcome.effect, Effect::Allow, "{n}");
            });
        }
    });
    assert_eq!(world.threescale.calls("authorize"), processes);
    assert_eq!(world.threescale.waits(), 0);
}

/// The same with new callers in each process, again and again.
#[test]
fn new_callers_do_not_hold_the_listener() {
    for mode in ["strict", "none"] {
        let world = World::patient().with("caching", json!(mode));
        world.threescale.use_one_thread().unwrap();
        let mut processes: Vec<_> = (0..8).map(|_| world.authorizer()).collect();
        for n in 0..24 {
            world.threescale.add(&format!("n{n}"), &[]);
            let process = &mut processes[n % 8];
            assert_eq!(reason(process, &format!("uk_n{n}")), "authorized", "{mode}");
        }
        assert_eq!(world.threescale.waits(), 0, "{mode}");
    }
}

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use threescale_stand_in::http::{Response, Server};
use threescale_stand_in::{Fault, Mode, Threescale as StandIn};

use super::*;

fn stand_in() -> StandIn {
    let stand_in = StandIn::start(|| 1_800_000_000_000).expect("a server");
    stand_in.state().keep_received = true;
    stand_in
}

/// The right question for the stand-in.
fn question(backend: &str) -> Question {
    let backend = Url::parse(backend).expect("a URL");
    Question {
        place: "3scale.example.com:443".to_owned(),
        backend,
        service_id: "1001".to_owned(),
        token: Secret::from("st_1001".to_owned()),
        kind: CredentialKind::UserKey,
        application: None,
        metrics: Vec::new(),
        roots: None,
    }
}

fn of(id: &str, key: Option<&str>) -> Option<Application> {
    Some(Application {
        id: Secret::from(id.to_owned()),
        key: key.map(|key| Secret::from(key.to_owned())),
    })
}

fn metrics(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The findings as text, which has no secret.
fn findings(question: Question) -> (String, String) {
    let Findings { faults, notices } = Asking::new(&question).run();
    let (faults, notices) = (faults.join("\n"), notices.join("\n"));
    for text in [&faults, &notices] {
        for secret in ["st_1001", "wrong-token", "uk_", "ak_"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    (faults, notices)
}

#[track_caller]
fn assert_fault(question: Question, words: &str) {
    let (faults, notices) = findings(question);
    assert!(faults.contains(words), "{faults}");
    assert_eq!(notices, "");
}

#[test]
fn what_is_wrong_is_told_without_counting() {
    let stand_in = stand_in();
    let right = || question(&stand_in.url());
    let nothing = (String::new(), String::new());
    assert_eq!(findings(right()), nothing);
    let token = Secret::from("wrong-token".to_owned());
    assert_fault(Question { token, ..right() }, "service_token_invalid");
    let service_id = "1002".to_owned();
    let other = Question {
        service_id,
        ..right()
    };
    assert_fault(other, "not a token of the product 1002");
    let kind = CredentialKind::AppId;
    assert_fault(Question { kind, ..right() }, "uses user keys");

    let rules = |names: &[&str]| Question {
        metrics: metrics(names),
        ..right()
    };
    assert_eq!(findings(rules(&["hits"])), nothing);
    let (faults, notices) = findings(rules(&["hits", "orders"]));
    assert!(
        faults.is_empty() && notices.contains("the metrics orders of"),
        "{notices}"
    );
    let with_key = |names: &[&str]| Question {
        application: of("uk_free", None),
        ..rules(names)
    };
    assert_eq!(findings(with_key(&["bytes", "hits", "orders"])), nothing);
    assert_fault(
        with_key(&["hits", "order", "orders", "unknown"]),
        "does not have the metrics or methods order, unknown.",
    );
    assert_fault(
        Question {
            application: of("uk_other", None),
            ..right()
        },
        "--key: 3scale has no application with this key",
    );

    stand_in.state().mode = Mode::AppId;
    assert_fault(right(), "uses application ids");
    let by_id = |key| Question {
        kind,
        application: of("app_free", key),
        metrics: metrics(&["orders", "typo"]),
        ..right()
    };
    assert_fault(by_id(None), "does not have the metrics or methods typo.");
    stand_in.state().applications[0].keys = vec!["ak_1".to_owned()];
    assert_fault(by_id(None), "--key: 3scale refuses its application");
    assert_fault(
        by_id(Some("ak_1")),
        "does not have the metrics or methods typo.",
    );

    assert_eq!(stand_in.calls("authrep") + stand_in.calls("report"), 0);
    assert_eq!(stand_in.state().totals.len(), 0);
}

#[test]
fn many_metrics_take_few_requests() {
    let stand_in = stand_in();
    let names: Vec<_> = (0..500).map(|n| format!("metric_{n:03}")).collect();
    stand_in.state().metrics.extend(names.iter().cloned());
    let many = Question {
        application: of("uk_free", None),
        metrics: names,
        ..question(&stand_in.url())
    };
    assert_eq!(findings(many), (String::new(), String::new()));
    assert!(stand_in.calls("authorize") < 8);
    let received = &stand_in.state().received;
    assert!(received.iter().all(|query| query.len() < 10_240));
}

#[test]
fn no_answer_is_no_fault() {
    let stand_in = stand_in();
    for (fault, words) in [
        (Fault::Status(503, ""), "status 503"),
        (Fault::Status(429, "<html>"), "status 429"),
        (Fault::Raw(b"SSH-2.0-OpenSSH\r\n"), "cannot be reached"),
        (Fault::Close, "cannot be reached"),
    ] {
        stand_in.fail(Some(fault));
        let (faults, notices) = findings(question(&stand_in.url()));
        assert!(
            faults.is_empty() && notices.contains(words),
            "{words}: {notices}"
        );
    }
    stand_in.fail(None);
    // The requests for the metrics fail.
    let with_key = Question {
        application: of("uk_free", None),
        metrics: metrics(&["orders"]),
        ..question(&stand_in.url())
    };
    let mut asking = Asking::new(&with_key);
    stand_in.fail(Some(Fault::Status(503, "")));
    let mut found = Findings::default();
    asking.metrics(&mut found);
    assert!(
        found.notices[0].ends_with("3scale answers with status 503"),
        "{found:?}"
    );

    let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let closed = free.local_addr().expect("an address");
    drop(free);
    for (backend, words) in [
        (format!("http://{closed}"), "connection refused"),
        (
            format!("https://{}", stand_in.url().trim_start_matches("http://")),
            "cannot be reached: TLS",
        ),
    ] {
        let (faults, notices) = findings(question(&backend));
        assert!(
            faults.is_empty() && notices.contains(words),
            "{words}: {notices}"
        );
    }
    let redirect = Server::start(Arc::new(|_| Response::new(302, "")));
    let (_, notices) = findings(question(&redirect.url()));
    assert!(notices.contains("status 302"), "{notices}");
}

/// Answers one request after each handshake.
fn tls_server(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        use std::io::Write as _;
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream: StreamOwned<_, TcpStream> = StreamOwned::new(connection, stream);
            let body = "<error code=\"user_key_invalid\">no</error>";
            let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}", body.len());
            let mut request = [0; 4096];
            // A client that does not trust the certificate sends none.
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}");
            }
        }
    });
    port
}

#[test]
fn the_authorities_of_the_configuration_are_trusted() {
    let certified =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a configuration");
    let backend = format!("https://localhost:{}", tls_server(config));
    let (faults, notices) = findings(question(&backend));
    assert_eq!(faults, "");
    assert!(
        notices.contains("TLS: invalid peer certificate"),
        "{notices}"
    );
    for (pem, trusted) in [
        (certified.cert.pem(), true),
        (
            include_str!("../../../tests/it/support/authority.pem").to_owned(),
            false,
        ),
    ] {
        let roots = Some(pem);
        let (faults, notices) = findings(Question {
            roots,
            ..question(&backend)
        });
        assert_eq!(
            (faults.as_str(), notices.is_empty()),
            ("", trusted),
            "{notices}"
        );
    }
}

//! Invalid configuration files passed to the real program: it reports every problem with its position, exits with 2,
//! and sends no request.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `plan` with a file of this text. Returns the output and whether the program connected to AWS.
fn plan(folder: &Path, text: &str) -> (Output, bool) {
    let file = folder.join("bad.yaml");
    std::fs::write(&file, text).expect("the test's folder can be written");
    let aws = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    aws.set_nonblocking(true).expect("a listener can be polled");
    let address = aws.local_addr().expect("a bound listener has an address");
    let output = Command::new(env!("CARGO_BIN_EXE_threescale-gw"))
        .args(["plan", "--region", "us-east-1", "--endpoint-url"])
        .arg(format!("http://{address}"))
        .arg("-f")
        .arg(&file)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("TOKEN", "s3cret-t0ken")
        .env_remove("UNSET")
        .output()
        .expect("the program can be run");
    let asked = !matches!(aws.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock);
    (output, asked)
}

/// Requires exactly these problems, each as `line:column: message`.
#[track_caller]
fn refused(text: &str, problems: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (output, asked) = plan(folder.path(), text);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(!asked, "a request was sent");
    assert!(!errors.contains("s3cret"), "{errors}");
    for problem in problems {
        assert!(
            errors.contains(&format!("bad.yaml:{problem}")),
            "{problem} is not in:\n{errors}"
        );
    }
    assert_eq!(
        errors.matches("bad.yaml:").count(),
        problems.len(),
        "{errors}"
    );
}

#[test]
fn an_empty_file() {
    refused("", &["1:1: the file is empty"]);
}

#[test]
fn a_syntax_error() {
    refused("stack: orders\napi: [\n", &["3:1: "]);
}

#[test]
fn every_problem_at_once() {
    refused(
        "\
stack: Orders
api: {id: a1b2c3d4e5, name: orders, stage: prod}
threescale:
  service_id: \"1\"
  service_token: ${UNSET}
network:
  zoness: 2
  cidr: 10.42.1.0/16
",
        &[
            "1:8: stack: must be a lower-case letter",
            "2:29: api.name: give either `api.id` or `api.name`, not both",
            "5:18: threescale.service_token: environment variable UNSET is not set",
            "7:3: network.zoness: unknown key; did you mean `zones`?",
            "8:9: network.cidr: must be a range's first address, without host bits, not `10.42.1.0/16`; did you mean `10.42.0.0/16`?",
        ],
    );
}

#[test]
fn a_bad_secret_is_not_shown() {
    refused(
        "\
stack: orders
api: {id: a1b2c3d4e5, stage: prod}
threescale:
  service_id: \"1\"
  service_token: \"${TOKEN} and more\"
cache:
  url: redis://:s3cret@
",
        &[
            "5:18: threescale.service_token: must not contain white space",
            "7:8: cache.url: must be an address",
        ],
    );
}

//! The sandbox: one command and the whole system stands on this machine; Ctrl-C, and nothing of it is left.

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::eventually;

/// Kills the sandbox of a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn status_of(url: &str, key: Option<&str>) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let request = agent.get(url);
    let request = match key {
        Some(key) => request.header("apikey", key),
        None => request,
    };
    request.call().expect("an answer").status().as_u16()
}

#[test]
fn the_system_stands_and_goes_without_a_trace() {
    // Kept below the build folder, as what the sandbox installs and builds takes minutes.
    let target = Path::new(env!("CARGO_BIN_EXE_threescale-gw"))
        .parent()
        .and_then(Path::parent)
        .expect("a folder");
    let child = Command::new(env!("CARGO_BIN_EXE_threescale-gw"))
        .arg("sandbox")
        .env("THREESCALE_GW_CACHE", target.join("threescale-gw"))
        .env_remove("AWS_ENDPOINT_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the sandbox starts");
    let mut sandbox = Running(child);
    let mut url = String::new();
    for line in BufReader::new(sandbox.0.stdout.take().expect("its output")).lines() {
        let line = line.expect("text");
        if let Some(found) = line.strip_prefix("invoke_url") {
            url = found.trim().to_owned();
        }
        if line.contains("Ctrl-C ends everything") {
            break;
        }
    }
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");

    assert_eq!(status_of(&format!("{url}health"), None), 200);
    assert_eq!(status_of(&format!("{url}orders"), None), 401);
    // There is no 3scale to ask, and without an answer nobody is let in.
    assert_eq!(status_of(&format!("{url}orders"), Some("a-key")), 403);

    let pid = i32::try_from(sandbox.0.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(pid, Signal::INT).expect("a signal");
    let status = eventually("its end", || sandbox.0.try_wait().expect("a status"));
    assert_eq!(status.code(), Some(0));
    let address = url
        .trim_start_matches("http://")
        .split('/')
        .next()
        .expect("an address")
        .to_owned();
    assert!(TcpStream::connect(address).is_err(), "a listener is left");
}

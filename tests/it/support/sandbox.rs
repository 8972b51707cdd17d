//! Sandboxes in tests: their folder, the program that runs there, and checks of what remains.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{built, eventually, times};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_threescale-gw");

/// A separate home for the sandboxes of a test. All tests share what sandboxes install and build, below the target
/// folder, because that takes minutes.
pub struct Home {
    pub dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        times::measure();
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("tmp")).expect("a folder");
        std::fs::create_dir(dir.path().join("bin")).expect("a folder");
        std::os::unix::fs::symlink(PROGRAM, dir.path().join("bin/threescale-gw")).expect("a link");
        let home = Self { dir };
        built::provide(&home.shared());
        home
    }

    /// The folder in which all sandboxes keep what they install and build.
    pub fn shared(&self) -> PathBuf {
        let target = Path::new(PROGRAM).ancestors().nth(2).expect("a folder");
        target.join("threescale-gw")
    }

    /// A command that runs the program, or a shell that finds the program in its PATH.
    pub fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .env("THREESCALE_GW_CACHE", self.shared())
            .env("THREESCALE_GW_SANDBOXES", self.dir.path().join("sandboxes"))
            .env("TMPDIR", self.temporary())
            .env(
                "PATH",
                format!("{}:{path}", self.dir.path().join("bin").display()),
            )
            .env_remove("AWS_ENDPOINT_URL")
            .env_remove("THREESCALE_GW_FILE")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let command = &mut self.command(PROGRAM);
        command.args(arguments).output().expect("the program runs")
    }

    /// The standard output of a run, which must succeed.
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        super::schemas::check(arguments, &String::from_utf8_lossy(&output.stdout));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub fn usage(&self) -> Value {
        let text = self.said(&["sandbox", "usage", "-o", "json"]);
        serde_json::from_str(&text).expect("a document")
    }

    /// The variables that `sandbox env` prints for a sandbox, by name.
    pub fn environment(&self, facts: &Value) -> BTreeMap<String, String> {
        let lines = self.said(&["sandbox", "env", &format!("--sandbox={}", facts["number"])]);
        let lines = lines.lines().map(|line| {
            let line = line.strip_prefix("export ").expect("a line for a shell");
            let (name, value) = line.split_once('=').expect("a name and a value");
            (name.to_owned(), value.to_owned())
        });
        lines.collect()
    }

    /// Sends a request to a sandbox's AWS, signed with its access key. Returns the status and the body. `more` is
    /// passed to curl.
    pub fn call(&self, facts: &Value, service: &str, path: &str, more: &[&str]) -> (u16, String) {
        let environment = self.environment(facts);
        let key = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| &environment[name]);
        let key = format!("{}:{}", key[0], key[1]);
        signed(facts, &key, service, path, more)
    }

    pub fn temporary(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    /// Requires that nothing listens at the addresses of a sandbox.
    pub fn assert_gone(&self, facts: &Value) {
        for name in ["endpoint", "backend", "control"] {
            let address = facts[name].as_str().expect("an address");
            let address = address.trim_start_matches("http://");
            assert!(TcpStream::connect(address).is_err(), "{name} is left");
        }
        let port = u16::try_from(facts["redis_port"].as_u64().expect("a port")).expect("a port");
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "Redis is left"
        );
    }

    /// Also requires that no process and no temporary folder of any sandbox in this home remains.
    pub fn assert_nothing_left(&self, facts: &Value) {
        self.assert_gone(facts);
        self.assert_no_process_left();
        self.assert_no_folder_left();
    }

    #[track_caller]
    pub fn assert_no_process_left(&self) {
        // Every process of a sandbox has this folder in its environment.
        let folder = self.temporary().display().to_string();
        eventually("the end of all its processes", || {
            let processes = std::fs::read_dir("/proc").expect("processes").flatten();
            let left = processes.filter(|process| {
                let environment = std::fs::read(process.path().join("environ"));
                let text = environment.unwrap_or_default();
                String::from_utf8_lossy(&text).contains(&folder)
            });
            (left.count() == 0).then_some(())
        });
    }

    #[track_caller]
    pub fn assert_no_folder_left(&self) {
        let left: Vec<_> = std::fs::read_dir(self.temporary())
            .expect("a folder")
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A test that failed might leave a sandbox.
        let _ = self.run(&["sandbox", "stop"]);
    }
}

/// A sandbox in the foreground. It is killed if its test fails.
pub struct Foreground(pub Child);

impl Foreground {
    /// Starts a sandbox and returns it with its properties when it is ready.
    pub fn start(home: &Home, arguments: &[&str]) -> (Self, Value) {
        let child = home
            .command(PROGRAM)
            .args(["sandbox", "-o", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the sandbox starts");
        let mut sandbox = Self(child);
        let output = BufReader::new(sandbox.0.stdout.take().expect("its output"));
        let facts = output
            .lines()
            .map(|line| line.expect("text"))
            .find_map(|line| {
                let facts: Value = serde_json::from_str(&line).ok()?;
                facts.get("control").is_some().then_some(facts)
            });
        (sandbox, facts.expect("where it is"))
    }

    pub fn interrupt(mut self) -> Option<i32> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::INT).expect("a signal");
        let ended = eventually("its end", || self.0.try_wait().expect("a status"));
        ended.code()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request with these headers. Returns the status and the body.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut builder = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut answer = agent
        .run(builder.body(()).expect("a request"))
        .expect("an answer");
    let body = answer.body_mut().read_to_string().unwrap_or_default();
    (answer.status().as_u16(), body)
}

/// Sends a request to a sandbox's AWS, signed with a key (`id:secret`). Returns the status and the body. `more` is
/// passed to curl.
pub fn signed(facts: &Value, key: &str, service: &str, path: &str, more: &[&str]) -> (u16, String) {
    let endpoint = facts["endpoint"].as_str().expect("an address");
    let scope = format!("aws:amz:us-east-1:{service}");
    let mut curl = Command::new("curl")
        // The key is passed on standard input because every user can read command lines.
        .args([
            "-s",
            "-m",
            "30",
            "-K",
            "-",
            "-w",
            "\n%{http_code}",
            "--aws-sigv4",
            &scope,
        ])
        .args(more)
        .arg(format!("{endpoint}{path}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    let mut stdin = curl.stdin.take().expect("its input");
    writeln!(stdin, "user = \"{key}\"").expect("written");
    drop(stdin);
    let said = curl.wait_with_output().expect("curl").stdout;
    let said = String::from_utf8_lossy(&said);
    let (body, status) = said.rsplit_once('\n').expect("a status");
    (status.parse().expect("a status"), body.to_owned())
}

/// The hits that the stand-in has counted for each application.
pub fn totals(usage: &Value) -> Vec<u64> {
    let all = usage["applications"].as_array().expect("a list").iter();
    all.map(|app| app["totals"]["hits"].as_u64().unwrap_or(0))
        .collect()
}

/// Waits for the reporter's one-minute schedule, plus some time for its first run.
pub fn reported<T, E: std::fmt::Debug>(mut ask: impl FnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(instead) => assert!(began.elapsed() < Duration::from_secs(180), "{instead:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

//! Shared parts of the tests: the test AWS, and the binary that runs against it.

pub mod aws;
pub mod built;
#[path = "../../../authorizer/tests/it/support/cloudwatch.rs"]
pub mod cloudwatch;
pub mod drifted;
pub mod former;
#[path = "../../../authorizer/tests/it/support/forward.rs"]
pub mod forward;
pub mod handmade;
pub mod http_api;
pub mod kill;
pub mod python;
pub mod rest_api;
pub mod sandbox;
pub mod schemas;
pub mod socket;
pub mod terminal;
pub mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::aws::{TestAws, cors};

/// The configuration that most tests use. The artifact replaces a build.
pub const CONFIG: &str = r#"
stack: orders
tags: {team: payments}
api: {name: orders-api, stage: prod, except: ["GET /health"]}
threescale: {service_id: "2555417834780", service_token: the-service-token}
authorizer: {artifact: bootstrap.zip}
"#;

/// A folder with a configuration in which the binary runs against one account.
#[derive(Debug)]
pub struct Workplace {
    pub folder: TempDir,
    url: String,
}

/// The result of a run of the binary.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// An account in which the stack of [`CONFIG`] is deployed, and the stack's folder.
pub fn standing() -> (TestAws, Workplace) {
    let aws = TestAws::state("standing", || {
        let aws = TestAws::seeded();
        Workplace::new(&aws).succeed(&["up", "--yes"]);
        aws
    });
    let workplace = Workplace::new(&aws);
    (aws, workplace)
}

impl Workplace {
    /// A folder with [`CONFIG`] and an artifact.
    pub fn new(aws: &TestAws) -> Self {
        let workplace = Self {
            folder: TempDir::new().expect("a folder"),
            url: aws.url(),
        };
        workplace.write("bootstrap.zip", &artifact(0));
        workplace.write("threescale-gw.yaml", CONFIG.as_bytes());
        workplace
    }

    /// The same folder, but the program does not see that the account is on this machine, and treats it as AWS.
    pub fn distant(self, aws: &TestAws) -> Self {
        let url = aws.distant_url();
        Self { url, ..self }
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::File::create(self.path(name))
            .and_then(|mut file| file.write_all(bytes))
            .expect("a file");
    }

    /// Replaces text in the configuration.
    pub fn edit(&self, from: &str, to: &str) {
        let text =
            std::fs::read_to_string(self.path("threescale-gw.yaml")).expect("the configuration");
        assert!(text.contains(from), "{from} stands in {text}");
        self.write("threescale-gw.yaml", text.replace(from, to).as_bytes());
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command that runs the binary with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_threescale-gw"), arguments)
    }

    /// The command that runs a line of a shell, not yet started.
    pub fn shell(&self, line: &str) -> Command {
        self.program("bash", &["-c", line])
    }

    fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "not-a-secret-of-anybody")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary until it ends.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let run = Run::of(self.command(arguments).output().expect("the binary runs"));
        schemas::check(arguments, &run.stdout);
        run
    }

    /// Runs the binary, which must exit with 0.
    pub fn succeed(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(
            run.code,
            Some(0),
            "{arguments:?}: {}\n{}",
            run.stdout,
            run.stderr
        );
        run
    }

    /// Runs the binary until it ends. Calls `meanwhile` while the call that matches `rule` is held.
    pub fn run_with(
        &self,
        aws: &TestAws,
        arguments: &[&str],
        rule: &Value,
        meanwhile: impl FnOnce(),
    ) -> Run {
        aws.post("faults", &json!([rule]));
        let child = self.start(arguments);
        let held = aws.get("held?timeout=60");
        assert_ne!(held["held"], Value::Null, "{rule} holds no call");
        meanwhile();
        aws.post("faults", &json!([]));
        aws.post("release", &json!({}));
        Run::of(child.wait_with_output().expect("it ends"))
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the binary starts")
    }
}

impl Run {
    /// The result of a finished process.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// Standard output as JSON lines.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

/// A zip with a minimal static x86_64 program. Different seeds result in different programs.
pub fn artifact(seed: u8) -> Vec<u8> {
    artifact_of(&elf(seed))
}

/// A zip that contains `bootstrap`.
pub fn artifact_of(bootstrap: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).expect("an entry");
    zip.write_all(bootstrap).expect("its bytes");
    zip.finish().expect("a zip").into_inner()
}

/// An ELF header and one loadable segment.
fn elf(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(2u16.to_le_bytes()); // executable
    bytes.extend(62u16.to_le_bytes()); // x86_64
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(0x40_0078u64.to_le_bytes()); // entry
    bytes.extend(64u64.to_le_bytes()); // program headers
    bytes.extend(0u64.to_le_bytes()); // section headers
    bytes.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes()); // load
    bytes.extend(5u32.to_le_bytes()); // read, execute
    for word in [0u64, 0x40_0000, 0x40_0000, 0x81, 0x81, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    // exit(0), followed by the seed.
    bytes.extend([0x31, 0xff, 0xb0, 0x3c, 0x0f, 0x05, 0xc3, 0x90, seed]);
    bytes
}

/// The number of items in each list of the account, at any depth. Comparing the counts detects duplicates.
pub fn counts(account: &Value) -> BTreeMap<String, usize> {
    fn count(value: &Value, path: &str, counts: &mut BTreeMap<String, usize>) {
        match value {
            Value::Array(list) => {
                *counts.entry(path.to_owned()).or_default() += list.len();
                list.iter().for_each(|value| count(value, path, counts));
            }
            Value::Object(map) => {
                for (name, value) in map {
                    count(value, &format!("{path}/{name}"), counts);
                }
            }
            _ => {}
        }
    }
    let mut all = BTreeMap::new();
    count(account, "", &mut all);
    all
}

/// Requires two accounts to be equal, and shows the first difference.
#[track_caller]
pub fn assert_same(before: &Value, after: &Value) {
    if before == after {
        return;
    }
    let keys: BTreeSet<_> = [before, after]
        .iter()
        .filter_map(|value| value.as_object())
        .flat_map(|map| map.keys())
        .collect();
    for key in keys {
        assert_eq!(after.get(key), before.get(key), "{key}");
    }
    panic!("the accounts differ");
}

/// Polls until there is an answer. The deadline only stops a test that hangs.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! Access to a sandbox: only programs of its user can call it. Web pages and other users of the machine reach only
//! the stages of its APIs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::sandbox::{Foreground, Home, signed};
use rustix::process::geteuid;
use serde_json::{Value, json};

/// Another user of the machine: `nobody`.
const NOBODY: u32 = 65534;
const PAGE: &str = "Origin: https://evil.example";

/// Sends the lines unchanged, as a browser or another program would, and reads the response.
fn send(port: u16, lines: &[&str], body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a limit");
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let head = format!("{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    // The server might close the connection as soon as it refuses the request.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !is_whole(&answer)
        && let Ok(length @ 1..) = stream.read(&mut piece)
    {
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the response is complete, even though the connection stays open.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length.is_some_and(|length| length.trim() == body.len().to_string())
}

#[track_caller]
fn assert_refused(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    // No CORS header allows a page to read the response or to send a request that is not simple.
    assert!(
        !answer.to_lowercase().contains("access-control-"),
        "{answer}"
    );
}

fn port(facts: &Value, name: &str) -> u16 {
    let address = facts[name].as_str().expect("an address");
    let port = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    port.expect("a port")
}

/// The processes of a sandbox: each has the test's folder in its environment, or as its working directory. The latter
/// finds Redis, which overwrites its environment.
fn processes(home: &Home) -> Vec<PathBuf> {
    let folder = home.temporary().display().to_string();
    let all = fs::read_dir("/proc").expect("processes").flatten();
    let ours = all.map(|process| process.path()).filter(|process| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let works_in = fs::read_link(process.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&folder) || works_in.starts_with(&folder)
    });
    ours.collect()
}

fn listeners(processes: &[PathBuf]) -> BTreeSet<u16> {
    let descriptors = processes.iter().flat_map(|process| {
        fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten()
    });
    let sockets: BTreeSet<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.to_owned()))
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("connections");
    let ports = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields[3] == "0A" && sockets.contains(&format!("{}]", fields[9]));
        let port = fields[1].rsplit(':').next()?;
        listens.then(|| u16::from_str_radix(port, 16).ok())?
    });
    ports.collect()
}

/// The body of a simple request that creates a function.
fn function() -> String {
    json!({
        "FunctionName": "evil", "Runtime": "provided.al2023", "Handler": "x",
        "Role": "arn:aws:iam::123456789012:role/x", "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
    })
    .to_string()
}

/// Calls to AWS and to the emulator's own endpoints, as a browser sends them for a page and as other programs send
/// them.
fn assert_aws_is_closed(home: &Home, facts: &Value) {
    let port = port(facts, "endpoint");
    let host = format!("Host: 127.0.0.1:{port}");
    let simple = "Content-Type: text/plain";
    let (create, invoke, body) = (
        "POST /2015-03-31/functions HTTP/1.1",
        "POST /2015-03-31/functions/evil/invocations HTTP/1.1",
        function(),
    );
    for lines in [
        &[create, &host, PAGE, simple][..],
        &[invoke, &host, PAGE, simple],
        // A request from a form, and one from a page opened from a file.
        &[create, &host, "Origin: null", simple],
        // The preflight request before a request that is not simple.
        &[
            "OPTIONS /2015-03-31/functions HTTP/1.1",
            &host,
            PAGE,
            "Access-Control-Request-Method: PUT",
        ],
        &["OPTIONS / HTTP/1.1", &host],
        // A host name that resolves to this machine: to the browser, the page and the sandbox have the same origin.
        &[
            create,
            &format!("Host: evil.example:{port}"),
            "Content-Type: application/json",
        ],
        &[
            create,
            &format!("Host: 127.0.0.1.evil.example:{port}"),
            simple,
        ],
        &[
            create,
            "Host: 00000000.lambda-url.us-east-1.localhost",
            simple,
        ],
        // A program of another user.
        &[create, &host],
        &["GET /_ministack/health HTTP/1.1", &host],
        &["POST /_ministack/reset HTTP/1.1", &host],
        &["POST /_ministack/config HTTP/1.1", &host],
        // Paths that look like a stage but are not.
        &[
            "POST /_aws/execute-api/ HTTP/1.1",
            &host,
            "X-Amz-Target: AmazonSSM.DescribeParameters",
        ],
        &[
            "POST /_aws/execute-api/x?Action=DescribeVpcs&Version=2016-11-15 HTTP/1.1",
            &host,
        ],
        &["POST /_aws/lambda-url/x HTTP/1.1", &host],
        &[
            "GET /_aws/execute-api/a/b HTTP/1.1",
            &host,
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
        ],
    ] {
        assert_refused(&send(port, lines, &body));
    }

    // Requests signed without the secret key, with only the key's ID, and from a page that has both.
    let environment = home.environment(facts);
    let [id, secret] =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| &environment[name]);
    let list =
        |key: &str, more: &[&str]| signed(facts, key, "lambda", "/2015-03-31/functions", more);
    let key = format!("{id}:{secret}");
    let (status, functions) = list(&key, &[]);
    assert!(
        status == 200 && functions.contains("threescale-gw-sandbox-authorizer"),
        "{functions}"
    );
    assert!(!functions.contains("evil"), "{functions}");
    for (key, more) in [
        ("test:test", &[][..]),
        ("123456789012:test", &[]),
        (&format!("123456789012:{secret}"), &[]),
        (&format!("{id}:test"), &[]),
        (&format!("{id}:"), &[]),
        (&key, &["-H", PAGE]),
        (&key, &["-H", "Host: evil.example"]),
    ] {
        let (status, said) = list(key, more);
        assert!((400..500).contains(&status), "{status} {said}");
    }
    // The signature decides, and no response is readable by a page.
    let (status, head) = list(&key, &["-D", "-"]);
    assert!(
        status == 200 && !head.to_lowercase().contains("access-control-"),
        "{head}"
    );
}

/// Every page can call the API, as with any deployed API: the API itself decides.
fn assert_stage_is_open(facts: &Value) {
    let port = port(facts, "endpoint");
    let url = facts["url"].as_str().expect("a URL");
    let stage = url.split_once(&format!(":{port}")).expect("a path").1;
    let host = format!("Host: 127.0.0.1:{port}");
    let named = format!("Host: localhost:{port}");
    for (line, host, more, status) in [
        (format!("GET {stage}/health HTTP/1.1"), &host, PAGE, 200),
        (format!("GET {stage}/orders HTTP/1.1"), &named, PAGE, 401),
        (
            format!("GET {stage}/orders HTTP/1.1"),
            &host,
            "apikey: sandbox-unlimited",
            200,
        ),
        (format!("OPTIONS {stage}/orders HTTP/1.1"), &host, PAGE, 200),
    ] {
        let answer = send(port, &[&line, host, more, PAGE], "");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}: {answer}"
        );
    }
    let rebound = format!("GET {stage}/health HTTP/1.1");
    assert_refused(&send(port, &[&rebound, "Host: evil.example"], ""));
}

/// The sandbox's control port and the stand-in's port.
fn assert_control_and_3scale_are_closed(home: &Home, facts: &Value) {
    let control = port(facts, "control");
    let host = format!("Host: 127.0.0.1:{control}");
    for lines in [
        &["GET /usage HTTP/1.1", &host][..],
        &["POST /stop HTTP/1.1", &host],
        &["POST /stop HTTP/1.1", &host, "threescale-gw: 1"],
        &[
            "OPTIONS /stop HTTP/1.1",
            &host,
            PAGE,
            "Access-Control-Request-Headers: threescale-gw-key",
        ],
    ] {
        assert_refused(&send(control, lines, ""));
    }
    let backend = port(facts, "backend");
    let host = format!("Host: 127.0.0.1:{backend}");
    let report = format!(
        "service_token=sandbox-token&service_id={}&transactions[0][user_key]=sandbox-five&transactions[0][usage][hits]=5",
        home.usage()["service"].as_str().expect("an id")
    );
    let form = "Content-Type: application/x-www-form-urlencoded";
    let answer = send(
        backend,
        &["POST /transactions.xml HTTP/1.1", &host, PAGE, form],
        &report,
    );
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("token"),
        "{answer}"
    );
}

/// Every port of every sandbox process refuses requests without a key. This includes the functions' Runtime APIs, which
/// return events that contain the callers' keys.
fn assert_every_port_is_closed(facts: &Value, processes: &[PathBuf]) {
    let mut ports = listeners(processes);
    let redis = facts["redis_port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok())
        .expect("a port");
    for known in ["endpoint", "backend", "control"].map(|name| port(facts, name)) {
        assert!(ports.contains(&known), "{ports:?}");
    }
    assert!(ports.remove(&redis), "{ports:?}");
    let mut stream = TcpStream::connect(("127.0.0.1", redis)).expect("it listens");
    stream.write_all(b"KEYS *\r\n").expect("written");
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"-NOAUTH");
    // More than the three known ports: at least the authorizer has run.
    assert!(ports.len() > 3, "{ports:?}");
    for port in ports {
        let host = format!("Host: 127.0.0.1:{port}");
        let answer = send(
            port,
            &["GET /2018-06-01/runtime/invocation/next HTTP/1.1", &host],
            "",
        );
        let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        assert!(refused, "{port}: {answer:?}");
    }
}

/// Adds a path and everything below it.
fn tree(path: &Path, all: &mut Vec<PathBuf>) {
    all.push(path.to_owned());
    if path.is_dir() && !path.is_symlink() {
        let entries = fs::read_dir(path).expect("a folder").flatten();
        entries.for_each(|entry| tree(&entry.path(), all));
    }
}

/// The output of a program run as another user, or `None` if the tests do not run as root.
fn as_nobody(program: &str, arguments: &[&str]) -> Option<String> {
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", program]);
    let output = command.args(arguments).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    geteuid()
        .is_root()
        .then(|| String::from_utf8_lossy(&said).into_owned())
}

/// No other user can read or change the files, and no secret is in a place that all users can read.
fn assert_files_and_processes_are_private(home: &Home, facts: &Value, processes: &[PathBuf]) {
    let folder = home.dir.path().join("sandboxes");
    let mut all = Vec::new();
    tree(&folder, &mut all);
    let run = fs::read_dir(home.temporary()).expect("a folder").flatten();
    run.for_each(|entry| tree(&entry.path(), &mut all));
    let keys = folder.join("1/keys.json");
    let config = PathBuf::from(facts["config"].as_str().expect("a path"));
    assert!(all.contains(&keys) && all.contains(&config), "{all:?}");
    for path in &all {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            continue;
        };
        // The file mode of a function's code comes from its zip. The folder is private.
        let code = path.file_name().is_some_and(|name| name == "bootstrap");
        let open = metadata.permissions().mode() & 0o077 != 0;
        assert!(
            !open || code || metadata.is_symlink(),
            "{} {metadata:?}",
            path.display()
        );
    }

    let document: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(&keys).expect("the keys")).expect("a document");
    let secrets: Vec<_> = document
        .into_iter()
        .filter(|(name, _)| name != "access_key_id")
        .collect();
    assert_eq!(secrets.len(), 4);
    let status =
        home.said(&["sandbox", "status", "-o", "json"]) + &home.said(&["sandbox", "status"]);
    let lines: Vec<_> = processes
        .iter()
        .map(|process| fs::read(process.join("cmdline")).unwrap_or_default())
        .collect();
    for (name, secret) in secrets {
        assert!(!status.contains(&secret), "{name}: {status}");
        for line in &lines {
            let line = String::from_utf8_lossy(line);
            assert!(!line.contains(&secret), "{name}: {line}");
        }
    }

    let environ = processes.last().expect("a process").join("environ");
    for path in [&keys, &config, &folder.join("1/sandbox.json"), &environ] {
        let path = path.to_str().expect("text");
        if let Some(said) = as_nobody("cat", &[path]) {
            assert!(said.contains("Permission denied"), "{path}: {said}");
        }
    }
    let dirs = all.iter().filter(|path| path.is_dir());
    for dir in dirs {
        if let Some(said) = as_nobody("ls", &[dir.to_str().expect("text")]) {
            assert!(said.contains("Permission denied"), "{said}");
        }
    }
    let url = format!(
        "{}/_ministack/health",
        facts["endpoint"].as_str().expect("an address")
    );
    if let Some(said) = as_nobody(
        "curl",
        &["-s", "-o", "/dev/null", "-w", "%{http_code}", &url],
    ) {
        assert_eq!(said, "403");
    }
}

/// Tries everything that a web page and another user could attempt against one sandbox.
#[test]
fn only_its_user_may_call_a_sandbox() {
    let home = Home::new();
    // Other users can reach the sandbox folders, so only the permissions of those folders protect them.
    fs::set_permissions(home.dir.path(), Permissions::from_mode(0o755)).expect("opened");
    let (sandbox, facts) = Foreground::start(&home, &[]);
    assert_aws_is_closed(&home, &facts);
    assert_stage_is_open(&facts);
    assert_control_and_3scale_are_closed(&home, &facts);
    let processes = processes(&home);
    assert_every_port_is_closed(&facts, &processes);
    assert_files_and_processes_are_private(&home, &facts, &processes);

    // None of the attempts had an effect, and the user's own commands still work.
    let usage = home.usage();
    assert_eq!(usage["applications"][1]["totals"], json!({}), "{usage}");
    let plan = home.run(&["plan", "--sandbox", "--exit-code"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    assert_eq!(sandbox.interrupt(), Some(0));
    home.assert_nothing_left(&facts);
}

/// A folder owned by another user is neither used nor trusted.
#[test]
fn the_folder_of_another_user_is_refused() {
    if !geteuid().is_root() {
        // Only root can change the owner of a folder.
        return;
    }
    let home = Home::new();
    let root = home.dir.path().join("sandboxes");
    let dir = root.join("1");
    fs::create_dir_all(&dir).expect("a folder");
    let facts = json!({
        "number": 1, "pid": 1, "endpoint": "http://127.0.0.1:1", "url": "http://127.0.0.1:1", "backend": "",
        "control": "127.0.0.1:1", "redis_port": 1, "config": "/none.yaml", "since": "",
    });
    let keys = json!({
        "access_key_id": "x", "secret_access_key": "x", "control": "x", "cache": "x", "service_token": "x",
    });
    fs::write(dir.join("sandbox.json"), facts.to_string()).expect("written");
    fs::write(dir.join("keys.json"), keys.to_string()).expect("written");
    let lock = File::create(dir.join("lock")).expect("a file");
    lock.lock().expect("held");
    assert!(
        home.said(&["sandbox", "env"])
            .contains("http://127.0.0.1:1")
    );

    // A single sandbox folder of another user is skipped. A parent folder of another user is refused.
    for (theirs, code) in [(&dir, 2), (&root, 4)] {
        chown(theirs, Some(NOBODY), None).expect("given away");
        let env = home.run(&["sandbox", "env"]);
        assert_eq!(env.status.code(), Some(code), "{env:?}");
        let start = home.run(&["sandbox", "--once"]);
        let said = String::from_utf8_lossy(&start.stderr);
        assert_eq!(start.status.code(), Some(4), "{said}");
        let place = theirs.display().to_string();
        assert!(said.contains(&place) && said.contains("65534"), "{said}");
        chown(theirs, Some(0), None).expect("taken");
    }
}

//! A program of a release: it uses the zip files of that release, and no others, unless it is told to build.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cli::alone;
use crate::support::rest_api::assert_mentions;
use crate::support::{Run, TestAws, Workplace, artifact};

const ZIP: &str = "authorizer-x86_64.zip";
/// Without tools, so that what is not built is not built by chance.
const NO_TOOLS: (&str, &str) = ("PATH", "/nowhere");

fn digest(zip: &[u8]) -> String {
    format!("{:x}", Sha256::digest(zip))
}

/// The program in a folder of its own, as that of a release.
struct Released<'a> {
    here: &'a Workplace,
    environment: Vec<(&'static str, String)>,
}

impl<'a> Released<'a> {
    /// The release has this zip.
    fn new(here: &'a Workplace, zip: &[u8]) -> Self {
        here.edit("authorizer: {artifact: bootstrap.zip}", "");
        let program = here.path("release/bin/threescale-gw");
        fs::create_dir_all(program.with_file_name("")).expect("a folder");
        let built = env!("CARGO_BIN_EXE_threescale-gw");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).expect("a copy");
        }
        let source = alone(&["version", "-o", "json"], &[]).json()["authorizer"]["x86_64"].clone();
        let source = source.as_str().expect("a digest");
        let line = format!("x86_64 {source} {}\n", digest(zip));
        here.write("zips.txt", line.as_bytes());
        let zips = here.path("zips.txt").display().to_string();
        Self {
            here,
            environment: vec![("THREESCALE_GW_RELEASE_ZIPS", zips)],
        }
    }

    /// The same release, with this variable too.
    fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut environment = self.environment.clone();
        environment.push((name, value.into()));
        Self {
            here: self.here,
            environment,
        }
    }

    /// The path of a file in the folder of the program, or in one that packages use.
    fn beside(&self, folder: &str) -> PathBuf {
        let folder = self.here.path("release").join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder.join(ZIP)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let program = self.here.path("release/bin/threescale-gw");
        let of_test = self.here.command(&[]);
        let variables: BTreeMap<_, _> = of_test
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let output = std::process::Command::new(program)
            .args(arguments)
            .current_dir(self.here.folder.path())
            .env_clear()
            .envs(variables)
            .envs([NO_TOOLS])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output();
        Run::of(output.expect("the binary runs"))
    }
}

#[test]
fn the_file_beside_the_program_is_used_and_any_other_is_refused_before_a_change() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let release = Released::new(&here, &artifact(7));
    let beside = release.beside("bin");
    fs::write(&beside, artifact(8)).expect("another zip");
    for command in [&["plan"][..], &["up", "--yes"]] {
        let run = release.run(command);
        assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
        let path = beside.display().to_string();
        let (found, expected) = (digest(&artifact(8)), digest(&artifact(7)));
        let texts = [
            &path,
            "is not the authorizer of this release",
            &found,
            &expected,
            "--build",
        ];
        assert_mentions(&run, &texts);
    }
    assert!(aws.changes().is_empty());
    let doctor = release.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("is not the authorizer of this release"),
        "{}",
        doctor.stdout
    );
    // A build is what the flag asks for, and this machine has no tools.
    let run = release.run(&["plan", "--build"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert_mentions(&run, &["building the authorizer needs Rust"]);
    assert!(
        run.stdout.contains("built on this machine"),
        "{}",
        run.stdout
    );

    fs::write(&beside, artifact(7)).expect("the zip");
    let run = release.run(&["plan"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let note = format!(
        "the code of the authorizer is the zip file of the release, {}",
        beside.display()
    );
    assert!(run.stdout.contains(&note), "{}", run.stdout);
    let run = release.run(&["up", "--yes"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let uploaded = BASE64_STANDARD.encode(Sha256::digest(artifact(7)));
    assert!(aws.account().to_string().contains(&uploaded));
    let code = |run: Run| run.json()["outputs"]["authorizer_code"].clone();
    let status = ["status", "-o", "json"];
    assert_eq!(code(release.run(&status)), "the zip file of this release");
    let status = ["status", "--stack", "orders", "-o", "json"];
    assert_eq!(code(release.run(&status)), "the zip file of this release");
    // The zip of another release, and a program that is built from the same source.
    let next = format!("arm64 {0} {0}\n", digest(&artifact(9)));
    here.write("zips.txt", next.as_bytes());
    assert_eq!(
        code(release.run(&status)),
        "built on a machine, or of another version"
    );
    assert_eq!(code(here.run(&status)), Value::Null);
    let same = here.run(&["plan", "--exit-code"]);
    assert_eq!(same.code, Some(0), "{}{}", same.stdout, same.stderr);
}

#[test]
fn a_file_in_the_folder_of_a_package_is_found() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let release = Released::new(&here, &artifact(7));
    let shared = release.beside("share/threescale-gw");
    fs::write(&shared, artifact(7)).expect("the zip");
    let version = release.run(&["version", "--verbose"]);
    let lines = format!(
        "  x86_64  the zip file of the release, {}\n          sha256 {}\n  arm64   built on this machine\n",
        shared.display(),
        digest(&artifact(7))
    );
    assert!(version.stdout.ends_with(&lines), "{}", version.stdout);
    let document = release.run(&["version", "-o", "json"]).json();
    assert_eq!(document["zips"]["x86_64"], digest(&artifact(7)));
    assert_eq!(document["zips"]["arm64"], Value::Null);
    // A zip file of other source is not that of this program.
    let other = format!("x86_64 {0} {0}\n", digest(&artifact(7)));
    here.write("zips.txt", other.as_bytes());
    let version = release.run(&["version", "--verbose"]);
    assert!(
        !version.stdout.contains("the zip file"),
        "{}",
        version.stdout
    );
}

/// By path, a body, or an address to redirect to.
type Answers = BTreeMap<&'static str, Result<Vec<u8>, String>>;

/// An HTTPS server for `localhost`.
struct Https {
    port: u16,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
    authority: String,
}

impl Https {
    fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let certified = certified.expect("a certificate");
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            answers: Arc::default(),
            asked: Arc::default(),
            authority: certified.cert.pem(),
        };
        let (answers, asked) = (Arc::clone(&server.answers), Arc::clone(&server.asked));
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                let mut stream = StreamOwned::new(connection, stream);
                let Some(path) = path_of(&mut stream) else {
                    continue;
                };
                let answer = answers.lock().expect("answers").get(path.as_str()).cloned();
                asked.lock().expect("paths").push(path);
                let (head, body) = match answer {
                    Some(Ok(body)) => ("200 OK".to_owned(), body),
                    Some(Err(to)) => (format!("302 Found\r\nLocation: {to}"), Vec::new()),
                    None => ("404 Not Found".to_owned(), Vec::new()),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&body);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn answer(&self, path: &'static str, with: Result<Vec<u8>, String>) {
        self.answers.lock().expect("answers").insert(path, with);
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("paths").len()
    }
}

/// The path of a request, whose head ends with an empty line.
fn path_of(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    head.split(' ').nth(1).map(str::to_owned)
}

#[test]
fn a_download_is_used_only_over_https_and_with_the_digest_of_the_release() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let https = Https::start();
    here.write("authority.pem", https.authority.as_bytes());
    let release = Released::new(&here, &artifact(7));
    let untrusted = release.with("THREESCALE_GW_RELEASE_URL", format!("{}/v1/", https.url()));
    let authority = here.path("authority.pem").display().to_string();
    let release = untrusted.with("SSL_CERT_FILE", authority);
    let address = format!("{}/v1/{ZIP}", https.url());
    let refused = |release: &Released<'_>, texts: &[&str]| {
        for command in [&["plan"][..], &["up", "--yes"]] {
            let run = release.run(command);
            assert_eq!(run.code, Some(4), "{command:?}: {}", run.stderr);
            assert_mentions(&run, texts);
            assert_mentions(&run, &[&address, "--build"]);
        }
    };
    refused(&release, &["404"]);
    https.answer("/v1/authorizer-x86_64.zip", Ok(artifact(8)));
    refused(
        &release,
        &[
            "is not the authorizer of this release",
            &digest(&artifact(8)),
        ],
    );
    // Nothing is sent to an address without TLS.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    plain.set_nonblocking(true).expect("a mode");
    let to = format!(
        "http://localhost:{}/",
        plain.local_addr().expect("one").port()
    );
    https.answer("/v1/authorizer-x86_64.zip", Err(to));
    refused(&release, &["downloading"]);
    assert!(plain.accept().is_err());
    https.answer("/v1/authorizer-x86_64.zip", Ok(artifact(7)));
    refused(&untrusted, &["downloading"]);
    // The proxy of the environment, at which nothing listens, and its exceptions.
    let proxied = release.with("HTTPS_PROXY", "http://127.0.0.1:9");
    refused(&proxied, &["downloading"]);
    assert!(aws.changes().is_empty());

    let asked = https.asked();
    let run = proxied.with("NO_PROXY", "localhost").run(&["plan"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let note = format!("the code of the authorizer is the zip file of the release, from {address}");
    assert!(run.stdout.contains(&note), "{}", run.stdout);
    assert_eq!(https.asked(), asked + 1);
    // It is kept in the cache folder, and read again only with its digest.
    assert_eq!(release.run(&["plan"]).code, Some(0));
    assert_eq!(https.asked(), asked + 1);
    let kept = here.path(".cache/threescale-gw");
    let kept = fs::read_dir(kept)
        .expect("a folder")
        .flatten()
        .next()
        .expect("a file")
        .path();
    assert_eq!(fs::read(&kept).expect("a zip"), artifact(7));
    fs::write(&kept, artifact(8)).expect("another zip");
    assert_eq!(release.run(&["plan"]).code, Some(0));
    assert_eq!(https.asked(), asked + 2);
    // A file beside the program comes first.
    fs::write(release.beside("bin"), artifact(7)).expect("the zip");
    fs::remove_file(Path::new(&kept)).expect("removed");
    let run = release.run(&["up", "--yes"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(https.asked(), asked + 2);
}

//! An AWS on this machine that runs functions and serves APIs: ministack and a real Redis server, on the loopback
//! interface only.
//!
//! Every user of the machine and every web page in a browser can connect to the loopback interface, and a caller of an AWS
//! endpoint can run code. Therefore all servers require a key of this sandbox ([`Keys`]), except the stages of its APIs.
//!
//! All processes end with the [`Sandbox`], even if this process is killed: a supervisor holds the other end of a pipe.

mod control;
mod keys;
pub mod load;
pub mod load_run;
mod openapi;
mod place;
mod python;
pub mod running;
pub mod set_up;
pub mod usage;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::ChildStdin;
use tokio::task::JoinHandle;

use crate::package::Progress;
use crate::package::environment::Environment;
use crate::package::process::{self, Group};
use crate::private;
use crate::secret::Secret;
pub use control::{Control, NO_PORT, ask as ask_control};
pub use keys::Keys;
pub use place::{Facts, Found, Place, running};
use python::Python;

/// The only region of the sandbox.
pub const REGION: &str = "us-east-1";
/// The only account of the sandbox.
pub const ACCOUNT: &str = "123456789012";

/// The programs that run in the process of ministack, in this order. The last one does not end.
const PROGRAMS: [(&str, &str); 3] = [
    ("guard.py", include_str!("guard.py")),
    ("http_apis.py", include_str!("http_apis.py")),
    ("gateway.py", include_str!("gateway.py")),
];
const SUPERVISE: &str = include_str!("supervise.py");
/// The longest time until the servers answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The longest time until the servers end. Then they are killed.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How often a state is polled.
const AGAIN: Duration = Duration::from_millis(25);
/// The time limit for an answer of Redis to another command.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The time for Redis to send its last answers before it is stopped.
const PAUSE: Duration = Duration::from_millis(100);
/// The number of output lines of the servers that are kept.
const KEPT: usize = 200;
/// How often the start is repeated if another process takes a port.
const ATTEMPTS: usize = 3;

/// The kind of the sandbox's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ApiType {
    #[default]
    Rest,
    Http,
}

/// As AWS names it: `REST API`.
impl fmt::Display for ApiType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rest => "REST API",
            Self::Http => "HTTP API",
        })
    }
}

/// A running sandbox. Dropping it ends all of its processes and waits for them; [`Self::stop`] does not block.
#[derive(Debug)]
pub struct Sandbox {
    // Dropped in this order: the processes, then their working folder.
    servers: Servers,
    dir: TempDir,
}

#[derive(Debug)]
struct Servers {
    supervisor: Group,
    /// Closing it makes the supervisor end everything.
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<VecDeque<String>>>,
    /// Reads the output of the servers until all of them have ended.
    reading: JoinHandle<std::io::Result<()>>,
    ports: Ports,
    redis_password: Secret,
}

/// The ports of the servers.
#[derive(Debug)]
struct Ports {
    aws: u16,
    redis: u16,
    /// Keep the ports while no server listens on them.
    _reserved: Vec<TcpSocket>,
}

impl Sandbox {
    /// Starts the servers on the loopback interface: AWS on `port` or a free port, and Redis on a free port. Their Python
    /// environment is kept in `dir`. The first start creates it, which needs the network and takes half a minute. They accept
    /// only `keys`.
    ///
    /// # Errors
    ///
    /// One line: what is missing, or the last output of a server that ended. [`crate::private::Foreign`] if `dir` belongs to
    /// another user.
    pub async fn start(
        dir: &Path,
        port: Option<u16>,
        keys: &Keys,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let environment = Environment::admit(std::env::vars_os());
        let redis = find(&["redis-server", "valkey-server"]);
        let python = Python::prepare(dir, environment, redis.is_none(), &progress).await?;
        let redis = redis.map_or_else(|| python.redis_server(), Ok)?;
        progress("starting the local AWS and Redis".to_owned(), None);
        let mut attempt = 1;
        loop {
            match Self::launch(&python, &redis, port, keys).await {
                Err(error) if attempt < ATTEMPTS && error.to_string().contains("in use") => {
                    attempt += 1
                }
                result => return result,
            }
        }
    }

    /// The URL of the AWS endpoint.
    pub fn endpoint_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.servers.ports.aws)
    }

    /// A folder that is removed at the end.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The port of Redis on 127.0.0.1, without TLS.
    pub fn redis_port(&self) -> u16 {
        self.servers.ports.redis
    }

    /// Stops Redis as an orderly restart does: it completes the commands in progress, and accepts no new ones.
    ///
    /// # Errors
    /// Redis cannot be signaled, or does not end.
    pub async fn stop_redis(&mut self) -> anyhow::Result<()> {
        // Without the pause, Redis could run a command and end before it answers: it would be unknown whether the usage was
        // counted.
        self.servers
            .redis("CLIENT PAUSE 60000 ALL")
            .await
            .context("pausing Redis")?;
        tokio::time::sleep(PAUSE).await;
        self.servers.order("stop 0\n").await?;
        let gone = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.servers.ports.redis))
                .await
                .is_ok()
            {
                tokio::time::sleep(AGAIN).await;
            }
        };
        let gone = tokio::time::timeout(GONE_WITHIN, gone).await;
        gone.context("Redis did not end in time")
    }

    /// Starts Redis again on its port, with its data, and waits until it answers.
    ///
    /// # Errors
    /// Redis does not answer in time.
    pub async fn start_redis(&mut self) -> anyhow::Result<()> {
        self.servers.order("start 0\n").await?;
        let answers = tokio::time::timeout(READY_WITHIN, self.servers.redis_ready()).await;
        answers.context("Redis did not come back in time")
    }

    /// The last lines that the servers wrote, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.servers.log()
    }

    /// Waits until the servers end without being stopped, and returns why.
    pub async fn ended(&mut self) -> anyhow::Error {
        self.servers.ended().await
    }

    /// Ends all processes and removes what they left.
    ///
    /// # Errors
    ///
    /// Waiting for the processes failed. They are killed nevertheless.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { mut servers, dir } = self;
        servers.stdin = None;
        let gone = tokio::time::timeout(GONE_WITHIN, servers.supervisor.child().wait()).await;
        servers.supervisor.kill();
        drop(dir);
        gone.context("the sandbox's processes did not end in time and were killed")?
            .context("waiting for the sandbox's processes")?;
        Ok(())
    }

    async fn launch(
        python: &Python,
        redis: &Path,
        port: Option<u16>,
        keys: &Keys,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("threescale-gw-sandbox-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("making a temporary folder")?;
        let ports = Ports::reserve(port)?;
        let environment = environment(dir.path(), &ports, keys);
        // Every user of the machine can see command lines.
        let redis_config = dir.path().join("redis.conf");
        let password = format!("requirepass {}\n", keys.cache.expose());
        private::write(&redis_config, 0o600, password.as_bytes())
            .context("writing Redis' configuration")?;
        let mut command = python.command(&environment);
        command
            .args(["-c", SUPERVISE])
            .arg(dir.path())
            .current_dir(dir.path());
        command.arg("--").arg(redis).arg(redis_config);
        command
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &ports.redis.to_string(),
                "--dir",
            ])
            .arg(dir.path());
        // Redis hands every write to the kernel before it answers, so the data survives a restart of Redis.
        command.args([
            "--save",
            "",
            "--appendonly",
            "yes",
            "--daemonize",
            "no",
            "--loglevel",
            "warning",
        ]);
        let ministack = python.command(&environment);
        command
            .arg("--")
            .arg(ministack.get_program())
            .args(ministack.get_args())
            .arg("-c")
            .arg(together());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut servers = Servers::spawn(command, ports, keys.cache.clone())?;
        servers.ready().await?;
        Ok(Self { servers, dir })
    }
}

impl Servers {
    fn spawn(
        command: std::process::Command,
        ports: Ports,
        redis_password: Secret,
    ) -> anyhow::Result<Self> {
        let mut supervisor = Group::spawn(command).context("starting Python")?;
        let stdin = supervisor.child().stdin.take();
        let said = Arc::<Mutex<VecDeque<String>>>::default();
        let keep = Arc::clone(&said);
        let reading = process::read(supervisor.child(), move |line| {
            if let Ok(mut said) = keep.lock() {
                if said.len() == KEPT {
                    said.pop_front();
                }
                said.push_back(line.to_owned());
            }
        });
        let reading = tokio::spawn(reading);
        Ok(Self {
            supervisor,
            stdin,
            said,
            reading,
            ports,
            redis_password,
        })
    }

    /// Redis' answer to one command.
    async fn redis(&self, command: &str) -> std::io::Result<Vec<u8>> {
        redis(self.ports.redis, &self.redis_password, command).await
    }

    /// Waits until Redis answers.
    async fn redis_ready(&self) {
        until_answered(|| self.redis("PING"), |answer| answer == b"+PONG\r\n").await;
    }

    /// Waits until both servers answer.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let (port, redis_port) = (self.ports.aws, self.ports.redis);
        let password = self.redis_password.clone();
        let answers = async move {
            let ping = || redis(redis_port, &password, "PING");
            until_answered(ping, |answer| answer == b"+PONG\r\n").await;
            // If the guard refuses an unsigned request, the server is ready and protected.
            let unsigned = b"GET /_ministack/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
            until_answered(
                || ask(port, unsigned),
                |answer| {
                    answer.starts_with(b"HTTP/1.") && answer.get(8..12) == Some(b" 403".as_slice())
                },
            )
            .await;
        };
        tokio::select! {
            () = answers => Ok(()),
            error = self.ended() => Err(error),
            () = tokio::time::sleep(READY_WITHIN) => bail!(
                "the local AWS did not answer within {} s; its last output: {}",
                READY_WITHIN.as_secs(),
                self.last_output()
            ),
        }
    }

    /// Sends a line to the supervisor.
    async fn order(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("the sandbox is ending")?;
        let written = stdin.write_all(line.as_bytes()).await;
        written.context("the sandbox's supervisor is gone")
    }

    async fn ended(&mut self) -> anyhow::Error {
        let _ = self.supervisor.child().wait().await;
        // Reads the remaining output first.
        let _ = (&mut self.reading).await;
        anyhow!(
            "the local AWS has ended; its last output: {}",
            self.last_output()
        )
    }

    fn log(&self) -> Vec<String> {
        self.said
            .lock()
            .map(|said| said.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The last line about an error, or the last line.
    fn last_output(&self) -> String {
        let log = self.log();
        let mut lines = log.iter().rev();
        let error = lines
            .clone()
            .find(|line| line.to_lowercase().contains("error") || line.contains("in use"));
        error
            .or_else(|| lines.next())
            .map_or_else(|| "none".to_owned(), |line| line.trim().to_owned())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + GONE_WITHIN;
        while matches!(self.supervisor.child().try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(AGAIN);
        }
    }
}

/// A Python program that runs each of [`PROGRAMS`] with variables of its own.
fn together() -> String {
    let run = PROGRAMS.map(|(name, text)| {
        // A string of JSON without control characters is one of Python.
        let [name, text] = [name, text].map(|text| serde_json::json!(text));
        format!("exec(compile({text}, {name}, 'exec'), {{'__name__': {name}}})")
    });
    run.join("\n")
}

/// The environment of the servers. It contains nothing of the user's, in particular no credentials of a real account. The
/// functions inherit it.
fn environment(dir: &Path, ports: &Ports, keys: &Keys) -> Environment {
    let path = |name: &str| dir.join(name).into_os_string();
    let text = |text: &str| OsString::from(text);
    let own = ["PATH", "LANG", "LD_LIBRARY_PATH"].into_iter();
    let own = own.filter_map(|name| Some((name, std::env::var_os(name)?)));
    let settings = [
        ("AWS_ACCESS_KEY_ID", text(&keys.access.id)),
        ("AWS_SECRET_ACCESS_KEY", text(keys.access.secret.expose())),
        ("AWS_DEFAULT_REGION", text(REGION)),
        // The functions inherit it, so their AWS calls reach this endpoint.
        (
            "AWS_ENDPOINT_URL",
            OsString::from(format!("http://127.0.0.1:{}", ports.aws)),
        ),
        ("BIND_HOST", text("127.0.0.1")),
        // A path that does not exist: the user's containers are neither used nor removed.
        (
            "DOCKER_HOST",
            OsString::from(format!("unix://{}", dir.join("no-docker").display())),
        ),
        ("GATEWAY_PORT", OsString::from(ports.aws.to_string())),
        ("HOME", dir.into()),
        ("IOT_MTLS_ENABLED", text("0")),
        ("LAMBDA_EXECUTOR", text("local")),
        ("MINISTACK_ACCOUNT_ID", text(ACCOUNT)),
        ("MINISTACK_REGION", text(REGION)),
        ("PYTHONUNBUFFERED", text("1")),
        ("REDIS_HOST", text("127.0.0.1")),
        ("REDIS_PORT", OsString::from(ports.redis.to_string())),
        ("S3_DATA_DIR", path("s3")),
        ("SFTP_ENABLED", text("0")),
        ("STATE_DIR", path("state")),
        ("TMPDIR", dir.into()),
    ];
    Environment::exactly(own.chain(settings))
}

impl Ports {
    /// Reserves the requested port of the loopback interface or a free one, and a free one for Redis.
    fn reserve(wanted: Option<u16>) -> anyhow::Result<Self> {
        let reserve = |port| -> std::io::Result<(u16, TcpSocket)> {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
            Ok((socket.local_addr()?.port(), socket))
        };
        let (aws, first) = match wanted {
            Some(port) => reserve(port).with_context(|| {
                format!(
                    "port {port} of 127.0.0.1 is not available: stop the process that listens on it (`ss -ltnp` shows it), or choose another --port"
                )
            })?,
            None => reserve(0).context(NO_PORT)?,
        };
        let (redis, second) = reserve(0).context(NO_PORT)?;
        let mut reserved = vec![first, second];
        // Only Linux lets a server listen on a port to which a socket that does not listen is bound.
        if !cfg!(target_os = "linux") {
            reserved.clear();
        }
        Ok(Self {
            aws,
            redis,
            _reserved: reserved,
        })
    }
}

/// Repeats a request until the answer is as expected.
async fn until_answered<F: Future<Output = std::io::Result<Vec<u8>>>>(
    ask: impl Fn() -> F,
    right: impl Fn(&[u8]) -> bool,
) {
    loop {
        if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(5), ask()).await
            && right(&answer)
        {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Sends a request and returns the first part of the answer. Both are so short that they arrive in one part.
async fn ask(port: u16, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// The answer of Redis, with this password, to one command: a line.
async fn redis(port: u16, password: &Secret, command: &str) -> std::io::Result<Vec<u8>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut stream = BufReader::new(stream);
    let lines = format!("AUTH {}\r\n{command}\r\n", password.expose());
    stream.write_all(lines.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_until(b'\n', &mut answer).await?;
    if answer == b"+OK\r\n" {
        answer.clear();
        stream.read_until(b'\n', &mut answer).await?;
    }
    Ok(answer)
}

/// The sum of what the authorizer has counted and the reporter has not delivered: the hashes `p:` and `f:` of its README, without
/// the names in the field `n`.
const NOT_REPORTED: &str = "local sum = 0 \
    for _, kind in ipairs({'p', 'f'}) do \
        for _, key in ipairs(redis.call('KEYS', 'tg:*:' .. kind .. ':*')) do \
            local fields = redis.call('HGETALL', key) \
            for at = 1, #fields, 2 do \
                if fields[at] ~= 'n' then sum = sum + tonumber(fields[at + 1]) end \
            end \
        end \
    end \
    return sum";

/// What the reporter of a sandbox has not delivered yet; `None` if its Redis does not answer.
pub async fn not_reported(facts: &Facts, keys: &Keys) -> Option<u64> {
    let command = format!("EVAL \"{NOT_REPORTED}\" 0");
    let asked = redis(facts.redis_port, &keys.cache, &command);
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked)
        .await
        .ok()?
        .ok()?;
    let number = str::from_utf8(&answer).ok()?.trim().strip_prefix(':')?;
    number.parse().ok()
}

/// The first of these programs on the search path.
fn find(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let candidates = programs
        .iter()
        .flat_map(|program| folders.iter().map(move |folder| folder.join(program)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

#[cfg(all(test, target_os = "linux"))]
mod tests;

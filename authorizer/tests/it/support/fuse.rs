//! Proxies that count the calls of a process to all its dependencies. At one of the calls they end its connection, all
//! connections, or the process: before the call is carried out, or after it and before its answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use authorizer::redis;

/// Where the fault happens, and which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of the call, from 0.
    pub call: usize,
    /// After the call was carried out, not before.
    pub after: bool,
    /// What ends.
    pub end: End,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection of the call.
    Connection,
    /// All connections, including later ones. For the other side, this looks like the end of a process that runs inside
    /// the test.
    Everything,
    /// The process: everything waits until the test has killed it, see [`Fuse::release`].
    Process,
}

#[derive(Clone, Copy)]
enum Protocol {
    Redis,
    Http,
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    blown: bool,
    released: bool,
}

struct Shared {
    fault: Fault,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

/// A fuse for all connections of a process.
pub struct Fuse {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
}

impl Fuse {
    pub fn new(fault: Fault) -> Self {
        let shared = Shared {
            fault,
            state: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            addresses: Vec::new(),
        }
    }

    /// Starts a proxy in front of a Redis.
    pub fn redis(&mut self, port: u16) -> SocketAddr {
        self.start(port, Protocol::Redis)
    }

    /// Starts a proxy in front of a 3scale.
    pub fn http(&mut self, port: u16) -> SocketAddr {
        self.start(port, Protocol::Http)
    }

    fn start(&mut self, port: u16, protocol: Protocol) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        self.addresses.push(address);
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A side that disconnects ends only its own thread.
                    let _ = pass(stream, port, protocol, &shared);
                });
            }
        });
        address
    }

    /// Whether the call was reached.
    pub fn blown(&self) -> bool {
        self.shared.state.lock().expect("lock").blown
    }

    /// The process has ended, so its connections may end.
    pub fn release(&self) {
        self.shared.state.lock().expect("lock").released = true;
        self.shared.changed.notify_all();
    }

    /// The calls so far: the request line of HTTP, or the command of Redis.
    pub fn calls(&self) -> Vec<String> {
        self.shared.state.lock().expect("lock").calls.clone()
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.release();
        for address in &self.addresses {
            // Wakes up the listener.
            let _ = TcpStream::connect(address);
        }
    }
}

impl Shared {
    /// Records a call, and returns whether it is the one with the fault; `None` if all connections have ended.
    fn call(&self, name: String) -> Option<bool> {
        let mut state = self.state.lock().expect("lock");
        if state.blown && self.fault.end == End::Everything {
            return None;
        }
        state.calls.push(name);
        Some(state.calls.len() == self.fault.call + 1)
    }

    fn blow(&self) {
        let mut state = self.state.lock().expect("lock");
        state.blown = true;
        while self.fault.end == End::Process && !state.released {
            state = self.changed.wait(state).expect("lock");
        }
    }
}

fn pass(
    mut client: TcpStream,
    port: u16,
    protocol: Protocol,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    loop {
        let Some(question) = message(&mut client, protocol)? else {
            return Ok(());
        };
        let Some(due) = shared.call(name(&question, protocol)) else {
            return Ok(());
        };
        if due && !shared.fault.after {
            shared.blow();
            return Ok(());
        }
        server.write_all(&question)?;
        let Some(answer) = message(&mut server, protocol)? else {
            return Ok(());
        };
        if due {
            shared.blow();
            return Ok(());
        }
        client.write_all(&answer)?;
    }
}

/// One whole request or response.
fn message(stream: &mut TcpStream, protocol: Protocol) -> std::io::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    let mut chunk = vec![0_u8; 1 << 16];
    while !whole(&all, protocol) {
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => all.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(Some(all))
}

fn whole(bytes: &[u8], protocol: Protocol) -> bool {
    match protocol {
        Protocol::Redis => matches!(redis::decode(bytes), Ok(Some(_))),
        Protocol::Http => {
            let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
                return false;
            };
            let length = String::from_utf8_lossy(&bytes[..head])
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().expect("length"));
            bytes.len() >= head + 4 + length
        }
    }
}

fn name(question: &[u8], protocol: Protocol) -> String {
    match protocol {
        Protocol::Redis => match redis::decode(question) {
            Ok(Some((redis::Value::Array(words), _))) => match words.first() {
                Some(redis::Value::Text(word)) => String::from_utf8_lossy(word).into_owned(),
                _ => String::new(),
            },
            _ => String::new(),
        },
        Protocol::Http => {
            let text = String::from_utf8_lossy(question);
            let line = text.lines().next().unwrap_or_default();
            line.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ")
        }
    }
}

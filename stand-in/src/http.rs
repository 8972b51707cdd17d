//! A small HTTP/1.1 server with persistent connections, whose handler can also misbehave.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The maximum total size of a request's headers. 3scale's web server has its limit somewhere between 80,000 and
/// 100,000.
const MOST_HEAD: usize = 90_000;

/// How long a server with one thread waits for the next request on a connection before it serves another one, as the web
/// server of 3scale does.
const KEPT: Duration = Duration::from_millis(200);

/// The time that requests in progress have to complete when the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// One request.
#[derive(Debug)]
pub struct Request {
    /// Its method, such as `GET`.
    pub method: String,
    /// The path with the query, as sent.
    pub target: String,
    /// In the order in which they were received.
    pub headers: Vec<(String, String)>,
    /// The complete body.
    pub body: Vec<u8>,
    /// The number of the connection, counted from 0.
    pub connection: u64,
}

impl Request {
    /// The first header with this name, ignoring case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The action that a handler requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A normal response. `Content-Length` is added.
    Reply {
        /// Its status.
        status: u16,
        /// In this order.
        headers: Vec<(String, String)>,
        /// The complete body.
        body: Vec<u8>,
    },
    /// These bytes, followed by the end of the connection.
    Raw(Vec<u8>),
    /// The connection is closed without a response.
    Close,
    /// No response for this duration, then the connection is closed.
    Hang(Duration),
}

impl Response {
    /// A response without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// Handles requests, several of them in parallel.
pub type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// A running server on the loopback interface. Dropping it stops the server and closes its connections. Requests in
/// progress are answered first, if that takes at most one second.
#[derive(Debug)]
pub struct Server {
    /// The address on which it listens.
    pub address: SocketAddr,
    open: Arc<Open>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Open {
    stop: AtomicBool,
    /// Requests that were read and are not answered yet.
    busy: AtomicUsize,
    /// How often the only thread waited on a connection that was kept, and no request came.
    waits: AtomicU64,
    streams: Mutex<HashMap<u64, TcpStream>>,
}

impl Server {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If there is no free port. This function is for tests; see [`Self::on`].
    #[must_use]
    pub fn start(handler: Arc<Handler>) -> Self {
        Self::on(0, handler).expect("a free port")
    }

    /// Starts a server on this port of 127.0.0.1, or on a free port if it is 0.
    ///
    /// # Errors
    /// If the port is in use.
    pub fn on(port: u16, handler: Arc<Handler>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let open = Arc::<Open>::default();
        let shared = Arc::clone(&open);
        let accepting = std::thread::Builder::new()
            .name("stand-in".to_owned())
            .spawn(move || accept(&listener, &handler, &shared))?;
        Ok(Self {
            address,
            open,
            accepting: Some(accepting),
        })
    }

    /// The same with one thread for all connections, as a listener of 3scale: after an answer it waits 0.2 s for the next
    /// request on the connection, and serves no other connection meanwhile.
    ///
    /// # Errors
    /// If the port is in use.
    pub fn on_one_thread(port: u16, handler: Arc<Handler>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let open = Arc::<Open>::default();
        let shared = Arc::clone(&open);
        let accepting = std::thread::Builder::new()
            .name("stand-in".to_owned())
            .spawn(move || serve_all(&listener, &handler, &shared))?;
        Ok(Self {
            address,
            open,
            accepting: Some(accepting),
        })
    }

    /// How often the only thread waited on a connection that was kept, and no request came.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.open.waits.load(Ordering::SeqCst)
    }

    /// Its address as a URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open.stop.store(true, Ordering::SeqCst);
        // Wakes the listener thread, which then ends.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let deadline = Instant::now() + LAST_ANSWERS;
        while self.open.busy.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        for stream in self.open.lock().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Open {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, handler: &Arc<Handler>, open: &Arc<Open>) {
    for (connection, stream) in (0..).zip(listener.incoming()) {
        if open.stop.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(copy) = stream.try_clone() else {
            continue;
        };
        open.lock().insert(connection, copy);
        let (handler, shared) = (Arc::clone(handler), Arc::clone(open));
        let served = std::thread::Builder::new().spawn(move || {
            // A client that disconnects ends only the thread of its connection.
            let _ = serve(stream, connection, &handler, &shared);
            shared.lock().remove(&connection);
        });
        if served.is_err() {
            open.lock().remove(&connection);
        }
    }
}

/// Serves all connections in this thread, until the server stops.
fn serve_all(listener: &TcpListener, handler: &Arc<Handler>, open: &Open) {
    let mut numbers = 0..;
    let mut idle: VecDeque<(u64, TcpStream)> = VecDeque::new();
    while !open.stop.load(Ordering::SeqCst) {
        while let (Ok((stream, _)), Some(number)) = (listener.accept(), numbers.next()) {
            idle.push_back((number, stream));
        }
        // Connections without a request are not waited for.
        let mut served = false;
        for _ in 0..idle.len() {
            let Some((number, stream)) = idle.pop_front() else {
                break;
            };
            match has_input(&stream, None) {
                None => idle.push_back((number, stream)),
                Some(false) => {}
                Some(true) => {
                    served = true;
                    if let Ok(Some(stream)) = serve_one(stream, number, handler, open) {
                        idle.push_back((number, stream));
                    }
                    break;
                }
            }
        }
        if !served {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Serves a connection as long as requests come. Returns it if it stays open.
fn serve_one(
    mut stream: TcpStream,
    number: u64,
    handler: &Arc<Handler>,
    open: &Open,
) -> std::io::Result<Option<TcpStream>> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    loop {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let Some(request) = read(&mut stream, &mut input, number)? else {
            return Ok(None);
        };
        if !answer(&mut stream, request, handler)? {
            return Ok(None);
        }
        match has_input(&stream, Some(KEPT)) {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => {
                open.waits.fetch_add(1, Ordering::SeqCst);
                return Ok(Some(stream));
            }
        }
    }
}

/// Whether a connection has input: `Some(false)` if it has ended, `None` if there is none in this time.
fn has_input(stream: &TcpStream, time: Option<Duration>) -> Option<bool> {
    let set = match time {
        None => stream.set_nonblocking(true),
        Some(_) => stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(time)),
    };
    if set.is_err() {
        return Some(false);
    }
    match stream.peek(&mut [0]) {
        Ok(read) => Some(read > 0),
        Err(error) => match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => None,
            _ => Some(false),
        },
    }
}

fn serve(
    mut stream: TcpStream,
    connection: u64,
    handler: &Arc<Handler>,
    open: &Open,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    while let Some(request) = read(&mut stream, &mut input, connection)? {
        open.busy.fetch_add(1, Ordering::SeqCst);
        // Checked after the request is counted as busy, so that the request is either answered or never started.
        let answered = match open.stop.load(Ordering::SeqCst) {
            true => Ok(false),
            false => answer(&mut stream, request, handler),
        };
        open.busy.fetch_sub(1, Ordering::SeqCst);
        if !answered? {
            return Ok(());
        }
    }
    Ok(())
}

/// Calls the handler and sends its response. Returns whether the connection stays open.
fn answer(
    stream: &mut TcpStream,
    request: Request,
    handler: &Arc<Handler>,
) -> std::io::Result<bool> {
    let head_only = request.method == "HEAD";
    match handler(request) {
        Response::Reply {
            status,
            headers,
            body,
        } => {
            let mut output = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
            for (name, value) in headers {
                output.push_str(&format!("{name}: {value}\r\n"));
            }
            output.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            let mut output = output.into_bytes();
            if !head_only {
                output.extend(body);
            }
            stream.write_all(&output)?;
            return Ok(true);
        }
        Response::Raw(bytes) => end(stream, &bytes)?,
        Response::Close => {}
        Response::Hang(time) => std::thread::sleep(time),
    }
    Ok(false)
}

/// Writes and closes the connection, but reads the remaining input first: unread input turns the close into a reset,
/// which can discard the response.
fn end(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut rest = [0_u8; 16384];
    while matches!(stream.read(&mut rest), Ok(1..)) {}
    Ok(())
}

/// The reason phrase of a status, as in the recordings of the web server. Some are only sent by a server in front of it.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

fn read(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    connection: u64,
) -> std::io::Result<Option<Request>> {
    let mut chunk = [0_u8; 16384];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 96];
        let mut parsed = httparse::Request::new(&mut headers);
        let complete = parsed.parse(input);
        let too_long = match complete {
            Ok(httparse::Status::Complete(head)) => head > MOST_HEAD,
            Ok(httparse::Status::Partial) => input.len() > MOST_HEAD,
            Err(_) => true,
        };
        if too_long {
            end(stream, REFUSED)?;
            return Ok(None);
        }
        if let Ok(httparse::Status::Complete(head)) = complete {
            let headers: Vec<(String, String)> = parsed
                .headers
                .iter()
                .map(|h| {
                    let value = String::from_utf8_lossy(h.value).into_owned();
                    (h.name.to_owned(), value)
                })
                .collect();
            let method = parsed.method.unwrap_or_default().to_owned();
            let target = parsed.path.unwrap_or_default().to_owned();
            let length: usize = headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or(0);
            let whole = head.saturating_add(length);
            while input.len() < whole {
                match stream.read(&mut chunk)? {
                    0 => return Ok(None),
                    n => input.extend_from_slice(&chunk[..n]),
                }
            }
            let body = input[head..whole].to_vec();
            input.drain(..whole);
            return Ok(Some(Request {
                method,
                target,
                headers,
                body,
                connection,
            }));
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => input.extend_from_slice(&chunk[..n]),
        }
    }
}

/// The web server's own response to a request that it does not forward.
pub(crate) const REFUSED: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\n";

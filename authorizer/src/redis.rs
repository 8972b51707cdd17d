//! One connection to Redis: RESP2, blocking, one question at a time, every wait within a deadline.
//!
//! A client library was not used for two things it could not give: a deadline over the whole of resolving, connecting,
//! handshake, sending and waiting, and the knowledge whether a question may have been carried out when its answer
//! did not come. What is left of the protocol is small.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::failure::{Cause, Failure};
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Where a cache is and how to log in. `Debug` shows no credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// User name, for access control lists.
    pub user: Option<String>,
    /// AUTH token.
    pub password: Option<String>,
    /// Database number.
    pub database: u32,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Endpoint {
    /// Reads `redis[s]://[[user][:password]@]host[:port][/database]`; `token` is the password if the URL has none.
    #[must_use]
    pub fn parse(url: &str, token: Option<&str>) -> Option<Self> {
        let (tls, rest) = match url.split_once("://")? {
            ("rediss", rest) => (true, rest),
            ("redis", rest) => (false, rest),
            _ => return None,
        };
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(|text| text.into_owned())
                .filter(|text| !text.is_empty())
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (decode(user), decode(password)),
            None => (None, None),
        };
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match path {
            "" => 0,
            number => number.parse().ok()?,
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(v6) => v6.split_once(']')?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        let port = match port {
            "" => 6379,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port,
            tls,
            user,
            password: password.or_else(|| token.map(str::to_owned)),
            database,
        })
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A null bulk or array.
    Nil,
    /// An integer.
    Int(i64),
    /// A simple or bulk string.
    Text(Vec<u8>),
    /// An error answer.
    Error(String),
    /// An array.
    Array(Vec<Value>),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisError {
    /// The question was not carried out: no connection, or refused before anything was done.
    NotDone(Failure),
    /// It may have been carried out; with `true` if the connection ended and asking again at once makes sense.
    Unknown(Failure, bool),
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDone(why) | Self::Unknown(why, _) => why.fmt(f),
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::NotDone(why) | RedisError::Unknown(why, _) => why,
        }
    }
}

impl std::error::Error for RedisError {}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

/// TLS set-up for connections to Redis.
#[must_use]
pub fn tls_config(roots: Option<Arc<RootCertStore>>) -> Option<Arc<ClientConfig>> {
    let roots = roots.unwrap_or_else(|| {
        Arc::new(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(Arc::new(config))
}

/// An open connection. After an error it is of no use any more.
pub struct Connection {
    stream: Stream,
    timeout: Duration,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`RedisError::NotDone`], always.
    pub fn open(
        endpoint: &Endpoint,
        tls: Option<&Arc<ClientConfig>>,
        deadline: Instant,
    ) -> Result<Self, RedisError> {
        let failed = |error: io::Error| RedisError::NotDone(Failure::io(&error));
        let addresses =
            resolve(&endpoint.host, endpoint.port, deadline).map_err(RedisError::NotDone)?;
        let socket = connect(&addresses, deadline).map_err(|error| {
            let failure = Failure::io(&error);
            RedisError::NotDone(match failure.cause {
                Cause::Timeout => Failure::new(Cause::Timeout, "time-out: no connection"),
                _ => failure,
            })
        })?;
        socket.set_nodelay(true).map_err(failed)?;
        let timeout = left(deadline).map_err(failed)?;
        socket.set_read_timeout(Some(timeout)).map_err(failed)?;
        socket.set_write_timeout(Some(timeout)).map_err(failed)?;
        let stream = if endpoint.tls {
            let refused =
                |why: &str| RedisError::NotDone(Failure::new(Cause::Tls, format!("TLS: {why}")));
            let config = tls.ok_or_else(|| refused("not set up"))?;
            let name = ServerName::try_from(endpoint.host.clone())
                .map_err(|_| refused("the host is no server name"))?;
            let client = ClientConnection::new(Arc::clone(config), name)
                .map_err(|error| RedisError::NotDone(Failure::tls(&error)))?;
            let stream = handshake(client, socket, deadline).map_err(|error| {
                let failure = Failure::io(&error);
                RedisError::NotDone(match failure.cause {
                    Cause::Timeout => {
                        Failure::new(Cause::Timeout, "time-out: no answer to the TLS handshake")
                    }
                    _ => failure,
                })
            })?;
            Stream::Tls(Box::new(stream))
        } else {
            Stream::Plain(socket)
        };
        let mut connection = Self {
            stream,
            timeout,
            input: Vec::with_capacity(4096),
            output: Vec::with_capacity(1024),
        };
        connection.log_in(endpoint, deadline)?;
        Ok(connection)
    }

    fn log_in(&mut self, endpoint: &Endpoint, deadline: Instant) -> Result<(), RedisError> {
        let mut ask = |arguments: &[&[u8]], cause: Option<Cause>| match self.command(
            arguments,
            &Arguments::default(),
            deadline,
        ) {
            Ok(Value::Error(error)) => {
                let refused = refusal(&error);
                let cause = cause.unwrap_or(refused.cause);
                Err(RedisError::NotDone(Failure { cause, ..refused }))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(RedisError::NotDone(error.into())),
        };
        // Whatever the error answer to this one: the login is wrong. Old servers have no code of their own for it.
        let login = Some(Cause::Auth);
        match (&endpoint.user, &endpoint.password) {
            (Some(user), Some(password)) => {
                ask(&[b"AUTH", user.as_bytes(), password.as_bytes()], login)?;
            }
            (None, Some(password)) => ask(&[b"AUTH", password.as_bytes()], login)?,
            (_, None) => {}
        }
        if endpoint.database != 0 {
            ask(&[b"SELECT", endpoint.database.to_string().as_bytes()], None)?;
        }
        Ok(())
    }

    /// Asks one question, `words` and then `rest`, and waits for its answer.
    ///
    /// # Errors
    /// [`RedisError::Unknown`] once anything was sent.
    pub fn command(
        &mut self,
        words: &[&[u8]],
        rest: &Arguments,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let left = left(deadline).map_err(|error| RedisError::NotDone(Failure::io(&error)))?;
        self.limit(left)
            .map_err(|error| RedisError::NotDone(Failure::io(&error)))?;
        self.output.clear();
        encode(&mut self.output, words, rest);
        let unknown = |error: io::Error| {
            let ended = !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::InvalidData
            );
            RedisError::Unknown(Failure::io(&error), ended)
        };
        self.stream.send(&self.output).map_err(unknown)?;
        self.input.clear();
        let mut chunk = [0_u8; 4096];
        loop {
            let read = match self.stream.receive(&mut chunk) {
                Ok(0) => return Err(unknown(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(unknown(error)),
            };
            self.input.extend_from_slice(&chunk[..read]);
            match decode(&self.input) {
                Ok(Some((value, used))) if used == self.input.len() => return Ok(value),
                // More than one answer to one question: we would read the next question's answer wrong.
                Ok(Some(_)) | Err(Nonsense) => {
                    return Err(RedisError::Unknown(strange(&self.input), false));
                }
                Ok(None) => {}
            }
            if Instant::now() >= deadline || self.input.len() > MAX_ANSWER {
                return Err(unknown(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    /// Sets the socket's time-outs, where they differ enough to be worth the system calls.
    fn limit(&mut self, left: Duration) -> io::Result<()> {
        let slack = Duration::from_millis(10);
        if left + slack < self.timeout || left > self.timeout * 2 {
            self.stream.socket().set_read_timeout(Some(left))?;
            self.stream.socket().set_write_timeout(Some(left))?;
            self.timeout = left;
        }
        Ok(())
    }
}

const MAX_ANSWER: usize = 64 << 20;

fn left(deadline: Instant) -> io::Result<Duration> {
    Some(deadline.saturating_duration_since(Instant::now()))
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// The system's resolver has no time limit of its own worth having, so it runs on a thread that may outlive us.
fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let target = (host.to_owned(), port);
    std::thread::Builder::new()
        .spawn(move || {
            let result = target.to_socket_addrs().map(Iterator::collect);
            // Nobody waits any more once the time is over.
            let _ = sender.send(result);
        })
        .map_err(|error| Failure::io(&error))?;
    let time = left(deadline).map_err(|error| Failure::io(&error))?;
    match receiver.recv_timeout(time) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) => Err(Failure::new(Cause::Dns, "the host name does not resolve")),
        Err(_) => Err(Failure::new(
            Cause::Dns,
            "the host name did not resolve in time",
        )),
    }
}

fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn handshake(
    mut client: ClientConnection,
    mut socket: TcpStream,
    deadline: Instant,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    while client.is_handshaking() {
        left(deadline)?;
        client.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(client, socket))
}

/// What came instead of an answer.
fn strange(input: &[u8]) -> Failure {
    // An alert of TLS: what a server says that waits for a handshake.
    if input.starts_with(&[0x15, 0x03]) {
        return expects_tls();
    }
    Failure::new(Cause::Protocol, "an answer that is not Redis'")
}

/// The connection is a plain one, and the server wants another.
pub(crate) fn expects_tls() -> Failure {
    Failure::new(
        Cause::Tls,
        "TLS: the server expects it, and a plain connection is configured",
    )
}

/// Codes that Redis 6 puts into the text of an error when they come out of a script.
const INNER: [&str; 6] = [
    "OOM",
    "READONLY",
    "NOPERM",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
];

/// The first word of an error answer, or the one that a script ran into; the rest can hold what was sent.
#[must_use]
pub fn error_code(error: &str) -> &str {
    let code = error.split(' ').next().unwrap_or_default();
    if code != "ERR" {
        return code;
    }
    INNER
        .into_iter()
        .find(|inner| {
            error
                .split(": -")
                .skip(1)
                .any(|rest| rest.split(' ').next() == Some(inner))
        })
        .unwrap_or(code)
}

/// An error answer by its code, which is all of the text.
#[must_use]
pub fn refusal(error: &str) -> Failure {
    let code = error_code(error);
    let cause = match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Cause::Auth,
        "READONLY" | "MISCONF" | "NOREPLICAS" | "MASTERDOWN" => Cause::ReadOnly,
        "OOM" => Cause::Full,
        _ => Cause::Protocol,
    };
    Failure::new(cause, code)
}

/// Arguments of a command, written down as they go over the wire.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    bytes: Vec<u8>,
    count: usize,
}

impl Arguments {
    /// Adds a text.
    pub fn text(&mut self, argument: impl AsRef<[u8]>) -> &mut Self {
        put(&mut self.bytes, argument.as_ref());
        self.count += 1;
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        self.text(buffer.format(number))
    }
}

fn put(output: &mut Vec<u8>, argument: &[u8]) {
    let mut buffer = itoa::Buffer::new();
    output.push(b'$');
    output.extend_from_slice(buffer.format(argument.len()).as_bytes());
    output.extend_from_slice(b"\r\n");
    output.extend_from_slice(argument);
    output.extend_from_slice(b"\r\n");
}

/// Writes a command.
pub fn encode(output: &mut Vec<u8>, words: &[&[u8]], rest: &Arguments) {
    let mut buffer = itoa::Buffer::new();
    output.push(b'*');
    output.extend_from_slice(buffer.format(words.len() + rest.count).as_bytes());
    output.extend_from_slice(b"\r\n");
    for word in words {
        put(output, word);
    }
    output.extend_from_slice(&rest.bytes);
}

/// The bytes are not RESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonsense;

/// Reads one answer off the front; `None` if it is not all there yet. Also gives its length in bytes.
///
/// # Errors
/// The bytes are not RESP, or no answer to anything we ask.
pub fn decode(input: &[u8]) -> Result<Option<(Value, usize)>, Nonsense> {
    let mut at = 0;
    let value = decode_at(input, &mut at, 0)?;
    Ok(value.map(|value| (value, at)))
}

const MAX_DEPTH: usize = 8;

fn decode_at(input: &[u8], at: &mut usize, depth: usize) -> Result<Option<Value>, Nonsense> {
    let Some(line) = line(input, at)? else {
        return Ok(None);
    };
    let (kind, rest) = line.split_first().ok_or(Nonsense)?;
    let number = || {
        std::str::from_utf8(rest)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or(Nonsense)
    };
    Ok(Some(match kind {
        b'+' => Value::Text(rest.to_vec()),
        b'-' => Value::Error(String::from_utf8_lossy(rest).into_owned()),
        b':' => Value::Int(number()?),
        b'$' => {
            let length = number()?;
            if length == -1 {
                return Ok(Some(Value::Nil));
            }
            let length = usize::try_from(length).map_err(|_| Nonsense)?;
            if length > MAX_ANSWER {
                return Err(Nonsense);
            }
            let Some(bytes) = input.get(*at..*at + length + 2) else {
                return Ok(None);
            };
            let (text, end) = bytes.split_at(length);
            if end != b"\r\n" {
                return Err(Nonsense);
            }
            *at += length + 2;
            Value::Text(text.to_vec())
        }
        b'*' => {
            let length = number()?;
            if length == -1 {
                return Ok(Some(Value::Nil));
            }
            let length = usize::try_from(length).map_err(|_| Nonsense)?;
            if depth >= MAX_DEPTH || length > MAX_ANSWER {
                return Err(Nonsense);
            }
            // The length is the other side's word: memory is only taken for what is really there.
            let mut values = Vec::with_capacity(length.min(1024));
            for _ in 0..length {
                match decode_at(input, at, depth + 1)? {
                    Some(value) => values.push(value),
                    None => return Ok(None),
                }
            }
            Value::Array(values)
        }
        _ => return Err(Nonsense),
    }))
}

fn line<'a>(input: &'a [u8], at: &mut usize) -> Result<Option<&'a [u8]>, Nonsense> {
    const MAX_LINE: usize = 64 << 10;
    let rest = &input[*at..];
    match rest.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => {
            *at += end + 2;
            Ok(Some(&rest[..end]))
        }
        None if rest.len() > MAX_LINE => Err(Nonsense),
        None => match rest.first() {
            // Said early, so that a server that speaks something else is not waited for.
            Some(first) if !b"+-:$*".contains(first) => Err(Nonsense),
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let parse = |url| Endpoint::parse(url, Some("token"));
        let plain = parse("redis://cache:6380").expect("endpoint");
        assert_eq!(
            (plain.host.as_str(), plain.port, plain.tls),
            ("cache", 6380, false)
        );
        assert_eq!(plain.password.as_deref(), Some("token"));
        let full = parse("rediss://us%40er:p%3Aw@[::1]:7000/3").expect("endpoint");
        assert_eq!(
            (full.host.as_str(), full.port, full.tls),
            ("::1", 7000, true)
        );
        assert_eq!(full.user.as_deref(), Some("us@er"));
        assert_eq!(full.password.as_deref(), Some("p:w"));
        assert_eq!(full.database, 3);
        assert_eq!(format!("{full:?}"), "rediss://::1:7000");
        assert_eq!(parse("redis://:pw@h").expect("endpoint").port, 6379);
        for url in [
            "",
            "http://x",
            "redis://",
            "redis://h:x",
            "redis://h:99999",
            "redis://h/x",
            "redis://[::1",
            "redis://a b",
        ] {
            assert!(parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn decodes_all_kinds_and_every_cut_of_them() {
        let bytes = b"*6\r\n:-7\r\n$3\r\na\r\n\r\n+OK\r\n-ERR x\r\n$-1\r\n*0\r\n";
        let value = Value::Array(vec![
            Value::Int(-7),
            Value::Text(b"a\r\n".to_vec()),
            Value::Text(b"OK".to_vec()),
            Value::Error("ERR x".to_owned()),
            Value::Nil,
            Value::Array(Vec::new()),
        ]);
        assert_eq!(decode(bytes), Ok(Some((value, bytes.len()))));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn refuses_nonsense() {
        for bytes in [
            &b"HTTP/1.1 400"[..],
            b"\r\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"$99999999999\r\n",
            b"*99999999999\r\n",
            &b"*1\r\n".repeat(20),
        ] {
            assert_eq!(decode(bytes), Err(Nonsense), "{bytes:?}");
        }
    }

    #[test]
    fn codes_of_error_answers() {
        for (error, code, cause) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                "OOM",
                Cause::Full,
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:7: @user_script: 7: -OOM command not allowed",
                "OOM",
                Cause::Full,
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:7: @user_script: 7: -READONLY You can't write",
                "READONLY",
                Cause::ReadOnly,
            ),
            (
                "ERR unknown command `x: -SECRET`, with args",
                "ERR",
                Cause::Protocol,
            ),
            (
                "WRONGPASS invalid username-password pair",
                "WRONGPASS",
                Cause::Auth,
            ),
            ("", "", Cause::Protocol),
        ] {
            assert_eq!((error_code(error), refusal(error).cause), (code, cause));
        }
    }

    #[test]
    fn encodes() {
        let mut output = Vec::new();
        let mut rest = Arguments::default();
        rest.text("\r\n").number(-7);
        encode(&mut output, &[b"GET"], &rest);
        assert_eq!(output, b"*3\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n$2\r\n-7\r\n");
    }
}

//! One blocking connection to Redis, with one command at a time and a deadline for every wait.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::endpoint::Endpoint;
use super::resp::{Arguments, MAX_ANSWER, ProtocolError, Value, decode, encode, refusal};
use crate::failure::{Cause, Failure};
use crate::input::Input;

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisError {
    /// Redis did not run the command: there was no connection, or Redis refused the command.
    NotDone(Failure),
    /// Redis may have run the command. `true` if the connection ended, so that repeating the command at once makes
    /// sense.
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

    fn receive(&mut self, input: &mut Input) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => input.read(stream),
            Self::Tls(stream) => input.read(stream),
        }
    }
}

/// The TLS configuration for connections to Redis.
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

/// An open connection. After an error it must not be used again.
pub struct Connection {
    stream: Stream,
    timeout: Duration,
    input: Input,
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
    /// Always [`RedisError::NotDone`].
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
                .map_err(|_| refused("the host is not a valid server name"))?;
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
            input: Input::default(),
            output: Vec::with_capacity(1024),
        };
        connection.log_in(endpoint, deadline)?;
        Ok(connection)
    }

    /// Logs in and selects the database. If the password is refused, tries the fallbacks in turn.
    fn log_in(&mut self, endpoint: &Endpoint, deadline: Instant) -> Result<(), RedisError> {
        let user = endpoint.user.as_deref();
        let mut login = match &endpoint.password {
            Some(password) => self.authenticate(user, password, deadline),
            None => Ok(()),
        };
        for fallback in &endpoint.fallback {
            if !matches!(&login, Err(RedisError::NotDone(why)) if why.cause == Cause::Auth) {
                break;
            }
            let other = match fallback {
                Some(password) => self.authenticate(user, password, deadline),
                // A server that requires a login refuses every other command.
                None => self.ask(&[b"PING"], None, deadline),
            };
            // The cause is that the first password is refused.
            if !matches!(&other, Err(RedisError::NotDone(why)) if why.cause == Cause::Auth) {
                login = other;
            }
        }
        login?;
        if endpoint.database != 0 {
            let number = endpoint.database.to_string();
            self.ask(&[b"SELECT", number.as_bytes()], None, deadline)?;
        }
        Ok(())
    }

    fn authenticate(
        &mut self,
        user: Option<&str>,
        password: &str,
        deadline: Instant,
    ) -> Result<(), RedisError> {
        // Any error reply to AUTH means that the login is wrong: old servers have no code for it.
        let login = Some(Cause::Auth);
        match user {
            Some(user) => self.ask(
                &[b"AUTH", user.as_bytes(), password.as_bytes()],
                login,
                deadline,
            ),
            None => self.ask(&[b"AUTH", password.as_bytes()], login, deadline),
        }
    }

    /// Runs a command of which only an error reply matters; `cause` replaces the cause of the reply, unless the server
    /// accepts no more connections, which it says in the reply to the first command.
    fn ask(
        &mut self,
        words: &[&[u8]],
        cause: Option<Cause>,
        deadline: Instant,
    ) -> Result<(), RedisError> {
        match self.command(words, &Arguments::default(), deadline) {
            Ok(Value::Error(error)) => {
                let refused = refusal(&error);
                let cause = match refused.cause {
                    Cause::Full => Cause::Full,
                    other => cause.unwrap_or(other),
                };
                Err(RedisError::NotDone(Failure { cause, ..refused }))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(RedisError::NotDone(error.into())),
        }
    }

    /// Sends one command, `words` and then `rest`, and waits for its reply.
    ///
    /// # Errors
    /// [`RedisError::Unknown`] as soon as anything was sent.
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
        loop {
            if self.stream.receive(&mut self.input).map_err(unknown)? == 0 {
                return Err(unknown(io::ErrorKind::UnexpectedEof.into()));
            }
            match decode(self.input.bytes()) {
                Ok(Some((value, used))) if used == self.input.len() => return Ok(value),
                // More than one reply to one command: the next command would read the wrong reply.
                Ok(Some(_)) | Err(ProtocolError) => {
                    return Err(RedisError::Unknown(
                        unexpected_reply(self.input.bytes()),
                        false,
                    ));
                }
                Ok(None) => {}
            }
            if Instant::now() >= deadline || self.input.len() > MAX_ANSWER {
                return Err(unknown(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    /// Sets the socket's time-outs if they differ enough to justify the system calls.
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

fn left(deadline: Instant) -> io::Result<Duration> {
    Some(deadline.saturating_duration_since(Instant::now()))
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// The system's resolver takes no time-out, so it runs in a thread that may outlive this call.
fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let target = (host.to_owned(), port);
    std::thread::Builder::new()
        .spawn(move || {
            let result = target.to_socket_addrs().map(Iterator::collect);
            // The receiver is gone after the deadline.
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

/// Connects to the first address that answers. The addresses share the time, so one that does not answer leaves some for
/// the others.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (tried, address) in addresses.iter().enumerate() {
        let share = u32::try_from(addresses.len() - tried).unwrap_or(1);
        match TcpStream::connect_timeout(address, left(deadline)? / share) {
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

/// What the bytes are if they are not a reply.
fn unexpected_reply(input: &[u8]) -> Failure {
    // A TLS alert: the server expects a handshake.
    if input.starts_with(&[0x15, 0x03]) {
        return expects_tls();
    }
    Failure::new(Cause::Protocol, "a response that is not Redis'")
}

/// The failure of a plain connection to a server that expects TLS.
pub(crate) fn expects_tls() -> Failure {
    Failure::new(
        Cause::Tls,
        "TLS: the server expects TLS, but a plain connection is configured",
    )
}

/// An address at which further connections hang, as long as the other value is kept: the backlog is full, and no
/// connection is accepted.
#[cfg(test)]
pub(crate) fn full_backlog() -> (SocketAddr, Vec<std::os::fd::OwnedFd>) {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("bind");
    listener.listen(0).expect("listen");
    let address = listener
        .local_addr()
        .expect("address")
        .as_socket()
        .expect("IP");
    let mut held: Vec<std::os::fd::OwnedFd> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok())
        .map(Into::into)
        .collect();
    held.push(listener.into());
    (address, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_hangs_leaves_time_for_the_others() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let good = listener.local_addr().expect("address");
        let (hangs, _held) = full_backlog();
        let deadline = Instant::now() + Duration::from_millis(500);
        let stream = connect(&[hangs, good], deadline).expect("a connection");
        assert_eq!(stream.peer_addr().expect("address"), good);
    }
}

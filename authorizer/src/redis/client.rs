//! The client of one Redis server: connects when needed, runs scripts, and pauses after a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::digest;
use rustls::ClientConfig;

use super::connection::{Connection, RedisError};
use super::endpoint::Endpoint;
use super::resp::{Arguments, Value, refusal};
use crate::breaker::Breaker;
use crate::failure::{Cause, Failure};

/// A script and its SHA-1, by which Redis finds it.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    text: String,
    sha: String,
}

impl Script {
    pub(crate) fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let sha = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { text, sha }
    }
}

/// A connection that was idle for longer, for example in a frozen process, is not used again: a NAT gateway or a
/// firewall may have dropped it, which would show as a time-out.
const MAX_IDLE: Duration = Duration::from_secs(300);

/// A client of one Redis server, with at most one connection.
#[derive(Debug)]
pub struct RedisClient {
    endpoint: Option<Endpoint>,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    breaker: Breaker,
    used: Instant,
    attempted: bool,
    /// Whether the last command failed because the connection could not be opened.
    unreachable: bool,
}

impl RedisClient {
    /// A client without an endpoint, until [`RedisClient::set_endpoint`].
    #[must_use]
    pub fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            endpoint: None,
            tls,
            connection: None,
            breaker: Breaker::new(1, Duration::from_millis(250), Duration::from_secs(5)),
            used: Instant::now(),
            attempted: false,
            unreachable: false,
        }
    }

    /// Sets the endpoint. A change closes the connection and ends the pause after a failure.
    pub fn set_endpoint(&mut self, endpoint: Option<Endpoint>) {
        if self.endpoint != endpoint {
            self.endpoint = endpoint;
            self.connection = None;
            self.breaker.success();
        }
    }

    /// The endpoint, if there is one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Whether the last command was attempted: false if it failed only because of the pause after an earlier failure.
    #[must_use]
    pub fn was_attempted(&self) -> bool {
        self.attempted
    }

    /// Whether the last command failed because the connection could not be opened: the endpoint or the login may have
    /// changed.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.unreachable
    }

    /// Opens a separate connection, even during the pause after a failure.
    ///
    /// # Errors
    /// There is no endpoint, or the connection fails.
    pub(crate) fn probe(&self, deadline: Instant) -> Result<Connection, Failure> {
        let endpoint = self.endpoint.as_ref().ok_or_else(|| {
            Failure::new(
                Cause::EndpointMissing,
                "the parameter cache-endpoint is missing: there is no cache yet",
            )
        })?;
        Ok(self.open(endpoint, deadline)?)
    }

    /// Opens a connection to any endpoint.
    pub(crate) fn open(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<Connection, RedisError> {
        Connection::open(endpoint, self.tls.as_ref(), deadline)
    }

    /// Closes the connection and ends the pause after a failure.
    pub(crate) fn reset(&mut self) {
        self.connection = None;
        self.breaker.success();
    }

    /// Connects if there is no connection.
    ///
    /// # Errors
    /// There is no endpoint, it failed a moment ago, or the connection fails.
    pub fn connect(&mut self, deadline: Instant) -> Result<(), RedisError> {
        let now = Instant::now();
        if now - self.used > MAX_IDLE {
            self.connection = None;
        }
        self.used = now;
        self.attempted = true;
        self.unreachable = false;
        if self.connection.is_some() {
            return Ok(());
        }
        let not_done = |cause, why: &str| RedisError::NotDone(Failure::new(cause, why));
        let endpoint = self
            .endpoint
            .as_ref()
            .ok_or_else(|| not_done(Cause::EndpointMissing, "no cache yet"))?;
        if !self.breaker.allows(now) {
            self.attempted = false;
            return Err(not_done(
                Cause::Timeout,
                "not attempted, because it failed a moment ago",
            ));
        }
        match Connection::open(endpoint, self.tls.as_ref(), deadline) {
            Ok(connection) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                self.unreachable = true;
                self.breaker.failure(Instant::now());
                Err(error)
            }
        }
    }

    /// Runs one command. An error reply is an error too; it means that Redis did nothing.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub fn command(
        &mut self,
        words: &[&[u8]],
        rest: &Arguments,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        self.connect(deadline)?;
        let Some(connection) = &mut self.connection else {
            return Err(RedisError::NotDone(Failure::new(
                Cause::Failed,
                "no connection",
            )));
        };
        match connection.command(words, rest, deadline) {
            Ok(Value::Error(error)) => {
                let refusal = refusal(&error);
                let code = refusal.text.as_str();
                if code != "NOSCRIPT" {
                    // The server is a replica, is loading, or has lost our login. A new connection may reach another
                    // server.
                    if matches!(code, "READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH") {
                        self.connection = None;
                    }
                    self.breaker.failure(Instant::now());
                }
                Err(RedisError::NotDone(refusal))
            }
            Ok(value) => {
                self.breaker.success();
                Ok(value)
            }
            Err(error) => {
                self.connection = None;
                // A connection that the server closed is no reason for a pause.
                if !matches!(error, RedisError::Unknown(_, true)) {
                    self.breaker.failure(Instant::now());
                }
                Err(error)
            }
        }
    }

    /// Runs a script by its SHA-1, and with its text if Redis does not have it. The first `keys` arguments are keys.
    pub(crate) fn script(
        &mut self,
        script: &Script,
        keys: usize,
        arguments: &Arguments,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let mut buffer = itoa::Buffer::new();
        let keys = buffer.format(keys).as_bytes();
        let words = [&b"EVALSHA"[..], script.sha.as_bytes(), keys];
        match self.command(&words, arguments, deadline) {
            Err(RedisError::NotDone(refusal)) if refusal.text == "NOSCRIPT" => {
                let words = [&b"EVAL"[..], script.text.as_bytes(), keys];
                self.command(&words, arguments, deadline)
            }
            result => result,
        }
    }
}

//! A blocking Redis client for this crate: where the cache is ([`Endpoint`]), the protocol ([`decode`], [`encode`]),
//! one connection ([`Connection`]), and the client that reconnects and runs scripts ([`RedisClient`]).
//!
//! This crate does not use the `redis` crate because of its cost: with it and `lambda_runtime`, a cache hit with the same
//! script took 1.4 to 1.65 times as long (p50) and twice the CPU time. That crate also sets a time-out for each read and
//! none for resolving the host name, while here one deadline covers resolving, connecting, the TLS handshake, sending, and
//! waiting. Whether Redis may have run a command whose reply is lost ([`RedisError`]) is not a reason: a small wrapper
//! around the `redis` crate could tell that too.

mod client;
mod connection;
mod endpoint;
mod resp;

pub use client::RedisClient;
pub(crate) use client::Script;
pub(crate) use connection::expects_tls;
#[cfg(test)]
pub(crate) use connection::full_backlog;
pub use connection::{Connection, RedisError, tls_config};
pub use endpoint::Endpoint;
pub(crate) use resp::MAX_CLIENTS;
pub use resp::{Arguments, ProtocolError, Value, decode, encode, error_code, refusal};

//! A blocking Redis client for this crate: where the cache is ([`Endpoint`]), the protocol ([`decode`], [`encode`]),
//! one connection ([`Connection`]), and the client that reconnects and runs scripts ([`RedisClient`]).
//!
//! This crate does not use the `redis` crate because of its cost for a cache hit: an estimated 2 to 5 microseconds and
//! 150 to 250 kB in the zip file. That crate also sets a time-out for each read and none for resolving the host name,
//! while here one deadline covers resolving, connecting, the TLS handshake, sending, and waiting. Whether Redis may
//! have run a command whose reply is lost ([`RedisError`]) is not a reason: a small wrapper around the `redis` crate
//! could tell that too. The fuzz target `fuzz/fuzz_targets/redis.rs` covers [`decode`].

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

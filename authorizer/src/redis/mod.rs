//! A blocking Redis client for this crate: where the cache is ([`Endpoint`]), the protocol ([`decode`], [`encode`]),
//! one connection ([`Connection`]), and the client that reconnects and runs scripts ([`RedisClient`]).
//!
//! The `redis` crate is not used because of its cost on the one path that matters: an estimated 2 to 5 microseconds a
//! cache hit and 150 to 250 kB of the zip file. It also sets a time-out for each read and none for resolving the host
//! name, while here one deadline covers resolving, connecting, the TLS handshake, sending, and waiting. Whether Redis
//! may have run a command whose answer is lost ([`RedisError`]) is not a reason: a wrapper around that crate could tell.
//! The fuzz target `fuzz/fuzz_targets/redis.rs` covers [`decode`].

mod client;
mod connection;
mod endpoint;
mod resp;

pub use client::RedisClient;
pub(crate) use client::Script;
pub(crate) use connection::expects_tls;
pub use connection::{Connection, RedisError, tls_config};
pub use endpoint::Endpoint;
pub use resp::{Arguments, ProtocolError, Value, decode, encode, error_code, refusal};

//! The Lambda authorizer and the reporter that `threescale-gw` puts in front of an API.
//!
//! The crate's README has the environment contract, the flow, what stands in Redis, and the guarantees with their
//! limits. Imports point one way: [`function`] to [`decide`], [`reporter`] and [`selftest`]; these to [`cache`],
//! [`backend`] and [`secrets`]; these to the formats (`redis`, [`xml`], [`event`], [`answer`]). Pure decisions
//! ([`mapping`], [`credentials`], [`terms`], [`periods`]) import nothing that does anything.

pub mod answer;
pub mod backend;
pub mod breaker;
pub mod cache;
pub mod clients;
pub mod clock;
pub mod credentials;
pub mod decide;
pub mod event;
pub mod failure;
pub mod function;
pub mod http;
pub mod keys;
pub mod log;
pub mod mapping;
pub mod periods;
pub mod redis;
pub mod reporter;
pub mod runtime;
pub mod secrets;
pub mod selftest;
pub mod settings;
pub mod terms;
mod upstream;
pub mod xml;

pub use function::run;

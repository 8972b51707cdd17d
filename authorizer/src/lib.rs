//! The Lambda authorizer and the reporter that `threescale-gw` puts in front of an API.
//!
//! The crate's README describes the environment contract, the flow, the data in Redis, and the guarantees with their
//! limits. Imports point one way, from the first line to the last:
//!
//! - `main` and [`function`], with [`runtime`] and `observe`: from the socket (`input`) to the event to the answer;
//! - [`decide`] with `memory`, [`reporter`] with `batch` and `reports`, [`selftest`]: the roles;
//! - [`clients`], and the guard in front of 3scale, `upstream`;
//! - [`backend`], [`cache`] with the scripts, [`secrets`] with [`stored`], [`redis`], [`http`] with `connect` and `tls`: the outside world;
//! - [`mapping`] with `patterns`, [`credentials`], [`terms`] with [`tree`], [`periods`], [`xml`], [`event`] with `path`, [`base_paths`] and `trace`, [`answer`]: formats and pure decisions.

pub mod answer;
pub mod backend;
pub mod base_paths;
mod batch;
pub mod breaker;
pub mod cache;
pub mod clients;
pub mod clock;
mod connect;
pub mod credentials;
pub mod decide;
pub mod event;
pub mod failure;
pub mod function;
pub mod http;
mod input;
pub mod keys;
pub mod log;
pub mod mapping;
mod memory;
mod observe;
mod path;
mod patterns;
pub mod periods;
pub mod redis;
pub mod reporter;
mod reports;
pub mod runtime;
mod scripts;
pub mod secrets;
pub mod selftest;
pub mod settings;
pub mod stored;
pub mod terms;
mod tls;
mod trace;
pub mod tree;
mod upstream;
pub mod xml;

pub use function::run;

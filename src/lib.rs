//! `threescale-gw` puts 3scale API management in front of an API on Amazon API Gateway, and takes it away again.
//!
//! Imports point one way: `commands` to everything; `stack` to `config` and `resource`; `resource` to `aws` and `event`;
//! `engine` to `resource` (its traits only) and `event`; `report` to `event` and `engine::plan`. Only `aws` and
//! `resource` know the SDK, only `report` and `commands` write to the streams.

pub mod aws;
pub mod cli;
pub mod commands;
pub mod config;
pub mod engine;
pub mod error;
pub mod event;
pub mod lock;
pub mod names;
pub mod package;
pub mod preflight;
pub mod prices;
pub mod private;
pub mod report;
pub mod resource;

pub mod sandbox;
pub mod secret;
pub mod stack;
pub mod verify;

pub use commands::run;

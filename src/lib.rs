//! `threescale-gw` puts 3scale API management in front of an API on Amazon API Gateway, and removes it again.
//!
//! ARCHITECTURE.md lists the modules and the allowed imports between them.

pub mod action;
pub mod api_gateway;
pub mod aws;
pub mod cancel;
pub mod cli;
pub mod code;
pub mod commands;
pub mod config;
pub mod decision;
pub mod duration;
pub mod engine;
pub mod engine_version;
pub mod error;
pub mod event;
pub mod expiry;
pub mod export;
pub mod finding;
pub mod hex;
pub mod id;
pub mod kind;
pub mod lock;
pub mod monitoring;
pub mod names;
pub mod nearest;
pub mod notice;
pub mod package;
pub mod pattern;
pub mod permissions;
pub mod plan_file;
pub mod preflight;
pub mod prices;
pub mod principal;
pub mod printable;
pub mod private;
pub mod reasons;
pub mod refusals;
pub mod report;
pub mod resource;
pub mod responses;
pub mod sandbox;
pub mod secret;
pub mod stack;
pub mod stored;
pub mod threescale;
pub mod verify;

pub use commands::run;
pub use report::usage::parse;

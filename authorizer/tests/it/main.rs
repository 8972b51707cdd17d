//! The authorizer against a real Redis server and stand-ins for 3scale and AWS. One binary: the harness is built once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod basics;
mod support;

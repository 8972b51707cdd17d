//! The authorizer against a real Redis server and stand-ins for 3scale and AWS. All tests are in one binary, so that
//! the harness is compiled once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(unreachable_pub, reason = "the harness is shared with the benches")]

mod alarms;
mod basics;
mod deaths;
mod far;
mod fuzz;
mod http_apis;
mod limits;
mod memory;
mod model;
mod observe;
mod outages;
mod properties;
mod referrers;
mod refused_reports;
mod reports;
mod requests;
mod scripts;
mod secure;
mod self_managed;
mod selftest;
mod series;
mod servers;
mod statuses;
mod stored;
mod sums;
mod support;
mod traces;
mod trees;
mod websocket_apis;

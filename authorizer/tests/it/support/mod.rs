//! What the tests and benches run against: a real Redis, and stand-ins for everything else, all on loopback.

pub mod cloudwatch;
pub mod cut;
pub mod forward;
pub mod fuse;
pub mod gateway;
pub mod redis;
pub mod runtime_api;
pub mod ssm;
pub mod storm;
pub mod tls;

use std::time::{Duration, Instant};

pub use threescale_stand_in as threescale;
pub use threescale_stand_in::http;

/// Waits until a condition is true, up to a deadline that no successful run reaches.
pub fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !test() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

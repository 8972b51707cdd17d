//! Any bytes as a reply of Redis.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../targets.rs"]
#[expect(dead_code, reason = "each target uses one of them")]
mod targets;

fuzz_target!(|data: &[u8]| targets::redis(data));

//! Any text as an answer of 3scale.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../targets.rs"]
#[expect(dead_code, reason = "each target uses one of them")]
mod targets;

fuzz_target!(|data: &str| targets::xml(data));

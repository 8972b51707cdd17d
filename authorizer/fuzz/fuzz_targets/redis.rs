//! Any bytes as an answer of Redis: what was read is all there, and no less would have been enough.
#![no_main]

use authorizer::redis;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some((value, used))) = redis::decode(data) {
        assert!(used <= data.len());
        assert_eq!(redis::decode(&data[..used]), Ok(Some((value, used))));
        assert_eq!(redis::decode(&data[..used - 1]), Ok(None));
    }
});

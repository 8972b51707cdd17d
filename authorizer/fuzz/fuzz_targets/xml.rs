//! Any text as an answer of 3scale: whatever is read as authorized says so.
#![no_main]

use authorizer::xml::{self, Document};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(Document::Status(status)) = xml::parse(text) {
        assert!(!status.authorized || text.contains("true"));
    }
});

//! Settings of the functions that do not fit into their environment: compressed, in numbered parameters of the stack. Pure.
//!
//! The names of the parameters contain a digest of the content. The settings in the environment contain the digest, so each
//! published version of a function has its own content. The contract is in the authorizer's README.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::hex;

/// The mapping rules: the beginning of the names of their parameters, and the key of the settings that names them.
pub const RULES: Base = Base {
    name: "rules",
    key: "stored_rules",
};
/// The certificate authorities of 3scale.
pub const ROOTS: Base = Base {
    name: "ca",
    key: "stored_roots",
};
const BASES: [Base; 2] = [RULES, ROOTS];

/// The size of a standard parameter in bytes. Larger ones cost money.
const PARAMETER: usize = 4096;
/// The number of parameters that the authorizer reads for one content, in three calls with everything else.
const MAX_PARTS: usize = 25;
/// The largest compressed content in bytes. Base64 makes four bytes of three.
pub const MAX_COMPRESSED: usize = MAX_PARTS * PARAMETER / 4 * 3;

/// What can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Base {
    name: &'static str,
    key: &'static str,
}

/// A stored content. Serializes as its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    base: Base,
    digest: String,
    /// What the content consists of, for people who read a plan.
    count: usize,
    /// The values of the parameters, in order.
    #[serde(skip)]
    values: Vec<String>,
}

/// The size in bytes of a compressed content that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge(pub usize);

impl Stored {
    /// Compresses a content.
    ///
    /// # Errors
    /// The size, if the content does not fit.
    pub fn new(base: Base, content: &str, count: usize) -> Result<Self, TooLarge> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        // Writing to memory cannot fail.
        let compressed = encoder
            .write_all(content.as_bytes())
            .and_then(|()| encoder.finish())
            .unwrap_or_default();
        if compressed.len() > MAX_COMPRESSED {
            return Err(TooLarge(compressed.len()));
        }
        let text = STANDARD.encode(compressed);
        let values = text.as_bytes().chunks(PARAMETER);
        let values = values.map(|part| String::from_utf8_lossy(part).into_owned());
        Ok(Self {
            base,
            // Of the values: another compressor makes other ones, which need other names.
            digest: hex::encode(&Sha256::digest(&text)[..6]),
            count,
            values: values.collect(),
        })
    }

    /// The key and the value in the settings that name the parameters.
    pub fn reference(&self) -> (&'static str, Value) {
        let value = json!({"digest": self.digest, "parts": self.values.len(), "count": self.count});
        (self.base.key, value)
    }

    /// The content.
    pub fn content(&self) -> String {
        let compressed = STANDARD.decode(self.values.concat()).unwrap_or_default();
        let mut content = String::new();
        // The values are what `new` made of a text.
        let _ = DeflateDecoder::new(&compressed[..]).read_to_string(&mut content);
        content
    }

    /// The parameters: their names below the stack's path, and their values.
    pub fn parameters(&self) -> impl Iterator<Item = (String, &str)> {
        let names = names(self.base, &self.digest, self.values.len());
        names.zip(self.values.iter().map(String::as_str))
    }
}

fn names(base: Base, digest: &str, parts: usize) -> impl Iterator<Item = String> {
    (1..=parts).map(move |part| format!("{}-{digest}-{part}", base.name))
}

/// Whether a parameter with this name below the stack's path is a part of a stored content.
pub fn is_part(name: &str) -> bool {
    let is_digest = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_part_of = |base: &Base| {
        let rest = name.strip_prefix(base.name)?.strip_prefix('-')?;
        let (digest, part) = rest.split_once('-')?;
        (is_digest(digest) && part.parse::<usize>().is_ok()).then_some(())
    };
    BASES.iter().any(|base| is_part_of(base).is_some())
}

/// The names of the parameters that a function with these settings reads.
pub fn read_by(settings: &str) -> Vec<String> {
    // Settings of another release may be of another form, and then name none.
    let Ok(settings) = serde_json::from_str::<Value>(settings) else {
        return Vec::new();
    };
    let named = BASES.iter().flat_map(|base| {
        let digest = settings[base.key]["digest"].as_str().unwrap_or_default();
        let parts = settings[base.key]["parts"].as_u64().unwrap_or_default();
        let parts = usize::try_from(parts).unwrap_or_default().min(MAX_PARTS);
        names(*base, digest, parts).collect::<Vec<_>>()
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> String {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b' ' + u8::try_from((state >> 33) % 90).unwrap_or_default())
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn the_parts_are_the_content() {
        let content = noise(12_000);
        let stored = Stored::new(RULES, &content, 3).expect("fits");
        let parameters: Vec<_> = stored.parameters().collect();
        assert!(parameters.len() > 1);
        assert!(parameters.iter().all(|(_, value)| value.len() <= PARAMETER));
        assert!(
            parameters.iter().all(|(name, _)| is_part(name)),
            "{parameters:?}"
        );
        let text: String = parameters.iter().map(|(_, value)| *value).collect();
        let compressed = STANDARD.decode(&text).expect("Base64");
        let mut read = String::new();
        DeflateDecoder::new(&compressed[..])
            .read_to_string(&mut read)
            .expect("Deflate");
        assert_eq!(read, content);
        assert_eq!(stored.content(), content);
        let (key, value) = stored.reference();
        let settings = json!({ key: value }).to_string();
        let names: Vec<_> = parameters.into_iter().map(|(name, _)| name).collect();
        assert_eq!(read_by(&settings), names);
        assert!(settings.contains("\"count\":3"), "{settings}");
    }

    #[test]
    fn another_content_has_other_names() {
        let name = |content| {
            let stored = Stored::new(RULES, content, 1).expect("fits");
            stored
                .parameters()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
    }

    #[test]
    fn a_content_that_does_not_fit_is_refused_with_its_size() {
        let refused = Stored::new(RULES, &noise(100_000), 1);
        assert!(matches!(refused, Err(TooLarge(size)) if size > MAX_COMPRESSED));
    }

    #[test]
    fn other_parameters_are_no_parts() {
        for (name, expected) in [
            ("rules-0123456789ab-1", true),
            ("rules-0123456789ab-25", true),
            ("ca-0123456789ab-1", true),
            ("rules-0123456789ab", false),
            ("rules-0123456789ab-x", false),
            ("rules-012345678-1", false),
            ("secrets/rules-0123456789ab-1", false),
            ("cache-endpoint-1", false),
        ] {
            assert_eq!(is_part(name), expected, "{name}");
        }
    }

    #[test]
    fn settings_without_a_stored_content_read_none() {
        for settings in [
            "",
            "{}",
            "[]",
            r#"{"stored_rules":7}"#,
            r#"{"mapping_rules":[]}"#,
        ] {
            assert_eq!(read_by(settings), [""; 0], "{settings}");
        }
    }
}

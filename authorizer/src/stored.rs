//! Settings that do not fit into the environment: compressed, in numbered parameters.
//!
//! The environment names them by a digest of their content, so a published version of the function always reads the
//! content it was tested with.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::DeflateDecoder;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

/// The number of parameters that one content can have.
pub const MAX_PARTS: u8 = 25;
/// The size limit of a content. Compressed text can be a thousand times as large as it seems.
const MAX_SIZE: u64 = 4 << 20;
/// The number of bytes of the digest in a name.
const DIGEST: usize = 6;

/// A content that is stored in parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// The first bytes of the SHA-256 digest of all values together, in hexadecimal digits.
    pub digest: String,
    /// The number of parameters.
    pub parts: u8,
    /// What the content consists of, for people.
    #[serde(default)]
    pub count: u32,
}

impl Stored {
    /// Whether this can name parameters.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        self.digest.len() == 2 * DIGEST
            && self.digest.bytes().all(is_digit)
            && (1..=MAX_PARTS).contains(&self.parts)
    }

    /// The names of the parameters below the stack's path, in order.
    pub fn names<'a>(&'a self, base: &'a str) -> impl Iterator<Item = String> + 'a {
        (1..=self.parts).map(move |part| format!("{base}-{}-{part}", self.digest))
    }

    /// The content of the parameters with these values together; `None` if it is not what was stored.
    #[must_use]
    pub fn content(&self, values: &str) -> Option<String> {
        if digest_of(values) != self.digest {
            return None;
        }
        let compressed = STANDARD.decode(values).ok()?;
        let mut content = String::new();
        let mut reader = DeflateDecoder::new(&compressed[..]).take(MAX_SIZE + 1);
        reader.read_to_string(&mut content).ok()?;
        (content.len() as u64 <= MAX_SIZE).then_some(content)
    }
}

fn digest_of(values: &str) -> String {
    let digest = digest(&SHA256, values.as_bytes());
    let bytes = digest.as_ref().iter().take(DIGEST);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    fn stored(content: &[u8]) -> (Stored, String) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).expect("memory");
        let values = STANDARD.encode(encoder.finish().expect("memory"));
        let stored = Stored {
            digest: digest_of(&values),
            parts: 2,
            count: 1,
        };
        (stored, values)
    }

    #[test]
    fn a_content_is_what_was_stored() {
        let (stored, values) = stored(b"[1, 2, 3]");
        assert!(stored.is_usable());
        assert_eq!(
            stored.names("rules").collect::<Vec<_>>(),
            [1, 2].map(|part| format!("rules-{}-{part}", stored.digest))
        );
        assert_eq!(stored.content(&values).as_deref(), Some("[1, 2, 3]"));
        let changed = values.replacen(|_| true, "B", 1);
        assert_eq!(stored.content(&changed), None);
        assert_eq!(stored.content(""), None);
        // The digest is right, and the rest is not.
        for nonsense in ["", "no base64!", "AAAA"] {
            let of_nonsense = Stored {
                digest: digest_of(nonsense),
                ..stored.clone()
            };
            assert_eq!(of_nonsense.content(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_content_that_is_too_large_is_not_read() {
        let size = usize::try_from(MAX_SIZE).expect("fits");
        let (fits, values) = stored(&vec![b' '; size]);
        assert!(fits.content(&values).is_some());
        let (large, values) = stored(&vec![b' '; size + 1]);
        assert!(values.len() < 10_000);
        assert_eq!(large.content(&values), None);
    }

    #[test]
    fn only_digests_name_parameters() {
        for (digest, parts, is_usable) in [
            ("0123456789ab", 1, true),
            ("0123456789ab", MAX_PARTS, true),
            ("0123456789ab", 0, false),
            ("0123456789ab", MAX_PARTS + 1, false),
            ("0123456789a", 1, false),
            ("0123456789AB", 1, false),
            ("../456789ab/", 1, false),
        ] {
            let stored = Stored {
                digest: digest.to_owned(),
                parts,
                count: 0,
            };
            assert_eq!(stored.is_usable(), is_usable, "{digest} {parts}");
        }
    }
}

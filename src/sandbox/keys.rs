//! The keys of one sandbox: random, available to its user's programs, and deleted with it.

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use crate::hex;
use crate::secret::{AccessKey, Secret};

/// The keys of one sandbox.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs the calls to its AWS.
    pub access: AccessKey,
    /// Authenticates requests to the running sandbox.
    pub control: Secret,
    /// The password of Redis.
    pub cache: Secret,
    /// 3scale's service token.
    pub service_token: Secret,
}

impl Keys {
    /// New random keys.
    ///
    /// # Errors
    /// The system cannot generate random numbers.
    pub fn random() -> anyhow::Result<Self> {
        Ok(Self {
            access: AccessKey {
                id: format!("SANDBOX{}", random::<7>()?.to_ascii_uppercase()),
                secret: random::<32>()?.into(),
            },
            control: random::<32>()?.into(),
            cache: random::<32>()?.into(),
            service_token: format!("sandbox-token-{}", random::<16>()?).into(),
        })
    }

    /// As a JSON document, for a file that only the user can read.
    pub(super) fn document(&self) -> String {
        json!({
            "access_key_id": self.access.id,
            "secret_access_key": self.access.secret.expose(),
            "control": self.control.expose(),
            "cache": self.cache.expose(),
            "service_token": self.service_token.expose(),
        })
        .to_string()
    }

    /// Parses such a document.
    pub(super) fn read(document: &[u8]) -> anyhow::Result<Self> {
        // The parser's error could contain a part of the document.
        let document: Value =
            serde_json::from_slice(document).map_err(|_| anyhow!("it is no document"))?;
        let text = |name: &str| {
            let text = document[name].as_str().map(str::to_owned);
            text.with_context(|| format!("it has no `{name}`"))
        };
        Ok(Self {
            access: AccessKey {
                id: text("access_key_id")?,
                secret: text("secret_access_key")?.into(),
            },
            control: text("control")?.into(),
            cache: text("cache")?.into(),
            service_token: text("service_token")?.into(),
        })
    }

    /// The URL of the Redis on this port, with its password.
    #[must_use]
    pub fn cache_url(&self, port: u16) -> Secret {
        format!("redis://:{}@127.0.0.1:{port}", self.cache.expose()).into()
    }
}

/// `N` random bytes as hexadecimal digits.
pub(super) fn random<const N: usize>() -> anyhow::Result<String> {
    hex::random::<N>().map_err(|error| anyhow!("generating a random key: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_again_in_their_document_and_shown_nowhere_else() {
        let keys = Keys::random().expect("keys");
        let other = Keys::random().expect("keys");
        assert_ne!(keys.access, other.access);
        let read = Keys::read(keys.document().as_bytes()).expect("the same");
        assert_eq!(read.access, keys.access);
        assert_eq!(read.document(), keys.document());
        let shown = format!("{keys:?}");
        for secret in [
            &keys.access.secret,
            &keys.control,
            &keys.cache,
            &keys.service_token,
        ] {
            assert!(
                secret.expose().len() >= 32 && !shown.contains(secret.expose()),
                "{shown}"
            );
        }
        // The length of an id that the AWS SDKs accept.
        assert!(
            (16..=128).contains(&keys.access.id.len()),
            "{}",
            keys.access.id
        );

        let error = Keys::read(br#"{"access_key_id": "x", "secret"#).expect_err("no document");
        assert!(!format!("{error:#}").contains("access_key_id"));
        assert!(Keys::read(b"{}").is_err());
    }
}

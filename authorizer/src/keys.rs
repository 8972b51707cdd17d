//! What stands in the cache in place of credentials: keyed hashes as keys, sealed names as values.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{aead, hmac};
use serde::{Deserialize, Serialize};

use crate::credentials::Credential;

/// Keys derived from the stack's `hash-key`. `Debug` shows nothing.
#[derive(Clone)]
pub struct Keys {
    hash: hmac::Key,
    seal: aead::LessSafeKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// The name under which an application is reported to 3scale. `Debug` shows no part of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Name {
    /// The application id, where 3scale told it or the caller sent it.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The user key with which it was last authorized.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user_key: Option<String>,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(***)")
    }
}

/// Bytes of an HMAC-SHA256 that are kept: 144 bits, 24 characters.
const HASH_LENGTH: usize = 18;

impl Keys {
    /// From the parameter `secrets/hash-key`: 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut master = [0_u8; 32];
        for (byte, pair) in master.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        // One key a purpose, so that no output of one is of use in the other.
        let master = hmac::Key::new(hmac::HMAC_SHA256, &master);
        let derive = |purpose: &str| hmac::sign(&master, purpose.as_bytes());
        let seal = aead::UnboundKey::new(&aead::AES_256_GCM, derive("seal").as_ref()).ok()?;
        Some(Self {
            hash: hmac::Key::new(hmac::HMAC_SHA256, derive("hash").as_ref()),
            seal: aead::LessSafeKey::new(seal),
        })
    }

    /// The key under which a credential's answer is kept.
    #[must_use]
    pub fn credential(&self, service: &str, credential: &Credential) -> String {
        match credential {
            Credential::UserKey(key) => self.hash(&["user_key", service, key]),
            Credential::AppId { id, key: None } => self.hash(&["app_id", service, id]),
            Credential::AppId { id, key: Some(key) } => {
                self.hash(&["app_id and app_key", service, id, key])
            }
        }
    }

    /// The key under which an application's limits and counters are kept: its id where that is known.
    #[must_use]
    pub fn application(&self, service: &str, name: &Name) -> String {
        match (&name.app_id, &name.user_key) {
            (Some(id), _) => self.hash(&["application", service, id]),
            (None, Some(key)) => self.hash(&["application by user_key", service, key]),
            (None, None) => self.hash(&["application", service]),
        }
    }

    /// The key for a credential that 3scale could not be asked about; kept apart from the applications' own.
    #[must_use]
    pub fn unconfirmed(&self, credential: &str) -> String {
        self.hash(&["unconfirmed", credential])
    }

    /// Each part goes in with its length: no two lists of parts give the same input.
    fn hash(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.hash);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..HASH_LENGTH])
    }

    /// Seals a name for the given application; `None` if the system has no randomness.
    #[must_use]
    pub fn seal(&self, application: &str, name: &Name) -> Option<String> {
        let mut nonce = [0_u8; aead::NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = serde_json::to_vec(name).ok()?;
        self.seal
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(application.as_bytes()),
                &mut sealed,
            )
            .ok()?;
        let mut all = nonce.to_vec();
        all.append(&mut sealed);
        Some(URL_SAFE_NO_PAD.encode(all))
    }

    /// Opens what [`Keys::seal`] made for the same application.
    #[must_use]
    pub fn open(&self, application: &str, sealed: &str) -> Option<Name> {
        let all = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = all.split_at_checked(aead::NONCE_LEN)?;
        let mut sealed = sealed.to_vec();
        let plain = self
            .seal
            .open_in_place(
                aead::Nonce::try_assume_unique_for_key(nonce).ok()?,
                aead::Aad::from(application.as_bytes()),
                &mut sealed,
            )
            .ok()?;
        serde_json::from_slice(plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: &str) -> Keys {
        Keys::from_hex(&byte.repeat(32)).expect("keys")
    }

    #[test]
    fn bad_keys_are_refused() {
        for text in [
            "",
            "00",
            &"zz".repeat(32),
            &"é".repeat(32),
            &"+1".repeat(32),
        ] {
            assert!(Keys::from_hex(text).is_none(), "{text}");
        }
    }

    #[test]
    fn seals_for_one_application_and_one_key() {
        let name = Name {
            app_id: Some("app".to_owned()),
            user_key: Some("very-secret".to_owned()),
        };
        let ours = keys("07");
        let sealed = ours.seal("a", &name).expect("sealed");
        assert_eq!(ours.open("a", &sealed), Some(name.clone()));
        assert_eq!(ours.open("b", &sealed), None);
        assert_eq!(keys("08").open("a", &sealed), None);
        assert_eq!(ours.open("a", "x"), None);
        assert_ne!(ours.seal("a", &name), Some(sealed));
        assert_eq!(format!("{name:?} {ours:?}"), "Name(***) Keys(***)");
    }

    #[test]
    fn parts_do_not_run_together() {
        let keys = keys("07");
        let app = |id: &str, key: Option<&str>| Credential::AppId {
            id: id.to_owned(),
            key: key.map(str::to_owned),
        };
        let all = [
            keys.credential("1", &app("ab", Some("c"))),
            keys.credential("1", &app("a", Some("bc"))),
            keys.credential("1a", &app("b", Some("c"))),
            keys.credential("1", &app("ab", None)),
            keys.credential("1", &app("ab", Some(""))),
            keys.credential("1", &Credential::UserKey("ab".to_owned())),
            keys.credential("1a", &Credential::UserKey("b".to_owned())),
        ];
        let mut distinct = all.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }
}

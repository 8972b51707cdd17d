//! What the cache contains instead of credentials: keyed hashes as keys, and sealed names as values.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{aead, hmac};
use serde::{Deserialize, Serialize};

use crate::credentials::Credential;

/// The keys derived from the stack's `hash-key`. `Debug` shows none of them.
#[derive(Clone)]
pub struct Keys {
    /// A hash of the parameter, to tell whether it is another one.
    id: [u8; 32],
    hash: hmac::Key,
    seal: aead::LessSafeKey,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Keys {}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// The name that reports use for an application. `Debug` shows no part of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Name {
    /// The application ID, if 3scale returned it or the caller sent it.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The user key with which the application was last authorized.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user_key: Option<String>,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(***)")
    }
}

/// How many bytes of an HMAC-SHA256 are used: 144 bits, 24 characters.
const HASH_LENGTH: usize = 18;

impl Keys {
    /// Derives the keys from the parameter `secrets/hash-key`: 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut master = [0_u8; 32];
        for (byte, pair) in master.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        // One key for each purpose, so that the output of one is useless for the other.
        let master = hmac::Key::new(hmac::HMAC_SHA256, &master);
        let derive = |purpose: &str| hmac::sign(&master, purpose.as_bytes());
        let seal = aead::UnboundKey::new(&aead::AES_256_GCM, derive("seal").as_ref()).ok()?;
        let mut id = [0; 32];
        id.copy_from_slice(derive("id").as_ref());
        Some(Self {
            id,
            hash: hmac::Key::new(hmac::HMAC_SHA256, derive("hash").as_ref()),
            seal: aead::LessSafeKey::new(seal),
        })
    }

    /// Tells the lists of this stack from those of another one with the same name, which has another `hash-key`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.id[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The key of a credential's record.
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

    /// The key of the record for a credential with a referrer, from the credential's key.
    #[must_use]
    pub fn referred(&self, credential: &str, referrer: &str) -> String {
        self.hash(&["referrer", credential, referrer])
    }

    /// The key of an application's record: from its ID if that is known, otherwise from the user key.
    #[must_use]
    pub fn application(&self, service: &str, name: &Name) -> String {
        match (&name.app_id, &name.user_key) {
            (Some(id), _) => self.hash(&["application", service, id]),
            (None, Some(key)) => self.hash(&["application by user_key", service, key]),
            (None, None) => self.hash(&["application", service]),
        }
    }

    /// The key of a caller's address. A network of IPv6 belongs to one caller, so it counts as one address.
    #[must_use]
    pub fn source(&self, address: &str) -> String {
        match address.parse() {
            Ok(std::net::IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                self.hash(&["source", &format!("{a:x}:{b:x}:{c:x}:{d:x}")])
            }
            _ => self.hash(&["source", address]),
        }
    }

    /// The key of a record for a credential that 3scale could not check; different from all applications' keys.
    #[must_use]
    pub fn unconfirmed(&self, credential: &str) -> String {
        self.hash(&["unconfirmed", credential])
    }

    /// The hash covers each part with its length, so that no two lists of parts have the same input.
    fn hash(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.hash);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..HASH_LENGTH])
    }

    /// Encrypts a name for the given application; `None` if the system has no randomness.
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

    /// Decrypts the result of [`Keys::seal`] for the same application.
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
            keys.referred("ab", "c"),
            keys.referred("a", "bc"),
            keys.unconfirmed("ab"),
        ];
        let mut distinct = all.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }
}

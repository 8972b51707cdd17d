//! Values that must never be shown.

use std::fmt;

/// A credential: it can be passed on, but not printed or serialized by mistake.
///
/// `Debug` and `Display` print `***`, so structures that contain one can be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the value itself, for the one call that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// An AWS access key that replaces the credential chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The access key id, which is not secret.
    pub id: String,
    /// The secret access key, which signs every request.
    pub secret: Secret,
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_only_when_asked_for() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** *** Some(***)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
